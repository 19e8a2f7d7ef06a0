//! The SQL store against SQLite itself: the suite of all stores, and writers in threads.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::time::Duration;

use edge::store::{Condition, Key, Put, Query, Store, StoreError, Write};
use edge::testing::{conformance, schedule::block_on};
use edge_spin::sql::{Database, SqlError, SqlStore, Value};
use rusqlite::types::{ToSqlOutput, ValueRef};

struct Sqlite {
    connection: rusqlite::Connection,
    statements: RefCell<Vec<String>>,
}

struct Parameter<'a>(&'a Value);

impl rusqlite::ToSql for Parameter<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self.0 {
            Value::Null => ValueRef::Null,
            Value::Integer(number) => ValueRef::Integer(*number),
            Value::Text(text) => ValueRef::Text(text.as_bytes()),
            Value::Blob(bytes) => ValueRef::Blob(bytes),
        }))
    }
}

fn column(value: ValueRef<'_>) -> Value {
    match value {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(number) => Value::Integer(number),
        ValueRef::Text(text) => Value::Text(String::from_utf8(text.to_vec()).unwrap()),
        ValueRef::Blob(bytes) => Value::Blob(bytes.to_vec()),
        ValueRef::Real(number) => panic!("a real number: {number}"),
    }
}

impl Database for Sqlite {
    async fn execute(&self, sql: &str, parameters: &[Value]) -> Result<Vec<Vec<Value>>, SqlError> {
        self.statements.borrow_mut().push(sql.to_owned());
        let run = || -> rusqlite::Result<Vec<Vec<Value>>> {
            let mut statement = self.connection.prepare_cached(sql)?;
            let columns = statement.column_count();
            let parameters = rusqlite::params_from_iter(parameters.iter().map(Parameter));
            let rows = statement.query_map(parameters, |row| {
                (0..columns).map(|at| row.get_ref(at).map(column)).collect()
            })?;
            rows.collect()
        };
        run().map_err(|error| SqlError(error.to_string()))
    }
}

fn open(path: &Path) -> SqlStore<Sqlite> {
    let connection = rusqlite::Connection::open(path).unwrap();
    connection
        .pragma_update(None, "journal_mode", "WAL")
        .unwrap();
    connection
        .pragma_update(None, "synchronous", "OFF")
        .unwrap();
    connection.busy_timeout(Duration::from_secs(30)).unwrap();
    SqlStore::new(Sqlite {
        connection,
        statements: RefCell::default(),
    })
}

/// A file in a directory of its own, removed at the end.
struct File(PathBuf);

impl File {
    fn new(name: &str) -> Self {
        let directory = PathBuf::from(env!("CARGO_TARGET_TMPDIR"))
            .join(format!("{name}-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        Self(directory.join("items.db"))
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(self.0.parent().unwrap());
    }
}

#[test]
fn conforms() {
    let file = File::new("conforms");
    block_on(conformance::check(&[
        open(&file.0),
        open(&file.0),
        open(&file.0),
    ]));
}

#[test]
fn a_read_is_one_statement_once_the_table_exists() {
    let file = File::new("statements");
    let store = open(&file.0);
    assert_eq!(block_on(store.get(1, Key::new("p", "s"))), Ok(None));
    assert_eq!(
        store.database().statements.borrow().len(),
        4,
        "failed, two creates, again"
    );
    let again = open(&file.0);
    assert_eq!(block_on(again.get(1, Key::new("p", "s"))), Ok(None));
    assert_eq!(again.database().statements.borrow().len(), 1);
}

#[test]
fn a_failed_commit_leaves_no_transaction_open() {
    let file = File::new("rollback");
    let store = open(&file.0);
    let write = |sort, condition| {
        let key = Key::new("p", sort);
        Write::Put(Put {
            key,
            value: b"x",
            expires_at_ms: None,
            condition,
        })
    };
    let torn = [
        write("a", Condition::Always),
        write("b", Condition::Version(7)),
    ];
    assert_eq!(
        block_on(store.commit(1, &torn)),
        Err(StoreError::ConditionFailed)
    );
    assert!(store.database().connection.is_autocommit());
    assert_eq!(block_on(store.query(1, Query::all("p", 9))), Ok(vec![]));
}

#[test]
fn expired_items_leave_the_file() {
    let file = File::new("purge");
    let store = open(&file.0);
    let put = |sort: &str, now, expires_at_ms| {
        let key = Key::new("p", sort);
        let condition = Condition::Always;
        block_on(store.put(
            now,
            Put {
                key,
                value: b"x",
                expires_at_ms,
                condition,
            },
        ))
        .unwrap()
    };
    for i in 0..10 {
        put(&i.to_string(), 1, Some(5));
    }
    for _ in 0..64 {
        put("heartbeat", 10, Some(1000));
    }
    let count = "SELECT count(*) FROM items";
    let left: i64 = store
        .database()
        .connection
        .query_row(count, [], |row| row.get(0))
        .unwrap();
    assert_eq!(left, 1, "only the heartbeat is left");
}

#[test]
fn threads_lose_no_write() {
    let file = File::new("threads");
    block_on(open(&file.0).get(1, Key::new("p", "s"))).unwrap();
    let won: usize = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(|| compete(&file.0))).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .sum()
    });
    let item = block_on(open(&file.0).get(1, Key::new("p", "swapped")))
        .unwrap()
        .unwrap();
    assert_eq!(
        item.version, won as u64,
        "every write that was confirmed counts once"
    );
    let [left, right] = ["left", "right"].map(|sort| {
        let item = block_on(open(&file.0).get(1, Key::new("p", sort)))
            .unwrap()
            .unwrap();
        String::from_utf8(item.value).unwrap()
    });
    assert_eq!((left.as_str(), right.as_str()), ("200", "200"));
}

/// Swaps one item and counts two others in a transaction, fifty times; returns the swaps won.
fn compete(path: &Path) -> usize {
    let store = open(path);
    let swapped = Key::new("p", "swapped");
    let mut won = 0;
    for _ in 0..50 {
        let old = block_on(store.get(1, swapped)).unwrap();
        let condition = old.map_or(Condition::Absent, |item| Condition::Version(item.version));
        let put = Put {
            key: swapped,
            value: b"x",
            expires_at_ms: None,
            condition,
        };
        match block_on(store.put(1, put)) {
            Ok(_) => won += 1,
            Err(StoreError::ConditionFailed) => {}
            Err(error) => panic!("{error}"),
        }
        for sort in ["left", "right"] {
            block_on(store.increment(1, Key::new("p", sort), 1, None)).unwrap();
        }
    }
    won
}
