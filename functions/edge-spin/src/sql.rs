//! The store on SQLite: one table, every condition inside one statement.

use edge::store::{
    Condition, Delete, Direction, Item, Key, MAX_QUERY_ITEMS, Put, Query, Store, StoreError, Write,
};

/// A value of a column or a parameter.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// NULL.
    Null,
    /// INTEGER.
    Integer(i64),
    /// TEXT.
    Text(String),
    /// BLOB.
    Blob(Vec<u8>),
}

/// One connection to SQLite.
pub trait Database {
    /// Runs one statement and returns its rows.
    ///
    /// # Errors
    /// What SQLite said.
    async fn execute(&self, sql: &str, parameters: &[Value]) -> Result<Vec<Vec<Value>>, SqlError>;
}

/// SQLite's message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SqlError(pub String);

/// A [`Store`] over a [`Database`]. The table is made when a statement finds that it is missing,
/// so that a request to a table that exists pays nothing for it.
#[derive(Debug)]
pub struct SqlStore<D> {
    database: D,
}

const CREATE: [&str; 2] = [
    "CREATE TABLE IF NOT EXISTS items (partition TEXT NOT NULL, sort TEXT NOT NULL, \
     value BLOB NOT NULL, version INTEGER NOT NULL, expires_at_ms INTEGER, \
     PRIMARY KEY (partition, sort)) WITHOUT ROWID",
    "CREATE INDEX IF NOT EXISTS items_by_expiry ON items (expires_at_ms) \
     WHERE expires_at_ms IS NOT NULL",
];
const GET: &str = "SELECT sort, value, version, expires_at_ms FROM items \
     WHERE partition = ?1 AND sort = ?2 AND (expires_at_ms IS NULL OR expires_at_ms > ?3)";
const QUERY_FORWARD: &str = "SELECT sort, value, version, expires_at_ms FROM items \
     WHERE partition = ?1 AND sort >= ?2 AND (?3 IS NULL OR sort <= ?3) \
     AND (expires_at_ms IS NULL OR expires_at_ms > ?4) ORDER BY sort LIMIT ?5";
const QUERY_BACKWARD: &str = "SELECT sort, value, version, expires_at_ms FROM items \
     WHERE partition = ?1 AND sort >= ?2 AND (?3 IS NULL OR sort <= ?3) \
     AND (expires_at_ms IS NULL OR expires_at_ms > ?4) ORDER BY sort DESC LIMIT ?5";
const PUT_ALWAYS: &str = "INSERT INTO items VALUES (?1, ?2, ?3, 1, ?4) \
     ON CONFLICT (partition, sort) DO UPDATE SET value = excluded.value, \
     version = items.version + 1, expires_at_ms = excluded.expires_at_ms RETURNING version";
const PUT_ABSENT: &str = "INSERT INTO items VALUES (?1, ?2, ?3, 1, ?4) \
     ON CONFLICT (partition, sort) DO UPDATE SET value = excluded.value, \
     version = items.version + 1, expires_at_ms = excluded.expires_at_ms \
     WHERE items.expires_at_ms <= ?5 RETURNING version";
const PUT_VERSION: &str = "UPDATE items SET value = ?3, version = version + 1, \
     expires_at_ms = ?4 WHERE partition = ?1 AND sort = ?2 AND version = ?6 \
     AND (expires_at_ms IS NULL OR expires_at_ms > ?5) RETURNING version";
const DELETE: &str = "DELETE FROM items WHERE partition = ?1 AND sort = ?2";
const DELETE_VERSION: &str = "DELETE FROM items WHERE partition = ?1 AND sort = ?2 \
     AND version = ?3 AND (expires_at_ms IS NULL OR expires_at_ms > ?4) RETURNING version";
/// A counter is kept as decimal text, which is what reading it as an item gives.
const INCREMENT: &str = "INSERT INTO items VALUES (?1, ?2, CAST(?3 AS TEXT), 1, ?4) \
     ON CONFLICT (partition, sort) DO UPDATE SET value = CASE \
     WHEN items.expires_at_ms <= ?5 THEN excluded.value \
     ELSE CAST(CAST(items.value AS INTEGER) + ?3 AS TEXT) END, \
     version = items.version + 1, expires_at_ms = excluded.expires_at_ms RETURNING value, version";
const PURGE: &str = "DELETE FROM items WHERE (partition, sort) IN \
     (SELECT partition, sort FROM items WHERE expires_at_ms <= ?1 LIMIT 64)";

/// Statements about items of one partition, which is their first parameter: what a host lets a
/// component run that may touch some partitions and no others.
pub const OF_A_PARTITION: [&str; 9] = [
    GET,
    QUERY_FORWARD,
    QUERY_BACKWARD,
    PUT_ALWAYS,
    PUT_ABSENT,
    PUT_VERSION,
    DELETE,
    DELETE_VERSION,
    INCREMENT,
];

/// Those of them that write the item whose key their first two parameters are: what a host goes by
/// that tells who waits for it.
pub const WRITES: [&str; 6] = [
    PUT_ALWAYS,
    PUT_ABSENT,
    PUT_VERSION,
    DELETE,
    DELETE_VERSION,
    INCREMENT,
];

/// Statements about the table, or about what nobody can see any more.
pub const OF_THE_TABLE: [&str; 6] = [CREATE[0], CREATE[1], PURGE, BEGIN, COMMIT, ROLLBACK];

const BEGIN: &str = "BEGIN IMMEDIATE";
const COMMIT: &str = "COMMIT";
const ROLLBACK: &str = "ROLLBACK";

/// Every so many writes of one item, some expired items are removed.
const WRITES_PER_PURGE: u64 = 64;
/// And in every so many milliseconds one, because many items are written once.
const MS_PER_PURGE: u64 = 64;

type Rows = Vec<Vec<Value>>;

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

fn integer(number: u64) -> Value {
    Value::Integer(i64::try_from(number).unwrap_or(i64::MAX))
}

fn optional(number: Option<u64>) -> Value {
    number.map_or(Value::Null, integer)
}

fn unavailable(error: SqlError) -> StoreError {
    StoreError::Unavailable(error.0)
}

impl<D: Database> SqlStore<D> {
    /// A store on `database`.
    pub fn new(database: D) -> Self {
        Self { database }
    }

    /// The database below.
    pub fn database(&self) -> &D {
        &self.database
    }

    async fn run(&self, sql: &str, parameters: &[Value]) -> Result<Rows, StoreError> {
        match self.database.execute(sql, parameters).await {
            Err(SqlError(message)) if message.contains("no such table") => {
                for statement in CREATE {
                    self.database
                        .execute(statement, &[])
                        .await
                        .map_err(unavailable)?;
                }
                self.database
                    .execute(sql, parameters)
                    .await
                    .map_err(unavailable)
            }
            result => result.map_err(unavailable),
        }
    }

    async fn put_now(&self, now_ms: u64, put: &Put<'_>) -> Result<u64, StoreError> {
        let mut parameters = vec![
            text(put.key.partition),
            text(put.key.sort),
            Value::Blob(put.value.to_vec()),
            optional(put.expires_at_ms),
        ];
        let sql = match put.condition {
            Condition::Always => PUT_ALWAYS,
            Condition::Absent => {
                parameters.push(integer(now_ms));
                PUT_ABSENT
            }
            Condition::Version(version) => {
                parameters.extend([integer(now_ms), integer(version)]);
                PUT_VERSION
            }
        };
        let rows = self.run(sql, &parameters).await?;
        let version = rows.first().ok_or(StoreError::ConditionFailed)?;
        integer_at(version, 0)
    }

    async fn delete_now(&self, now_ms: u64, delete: &Delete<'_>) -> Result<(), StoreError> {
        let (partition, sort) = (text(delete.key.partition), text(delete.key.sort));
        let Some(version) = delete.version else {
            return self.run(DELETE, &[partition, sort]).await.map(drop);
        };
        let parameters = [partition, sort, integer(version), integer(now_ms)];
        let rows = self.run(DELETE_VERSION, &parameters).await?;
        if rows.is_empty() {
            Err(StoreError::ConditionFailed)
        } else {
            Ok(())
        }
    }

    async fn write_now(&self, now_ms: u64, writes: &[Write<'_>]) -> Result<(), StoreError> {
        for write in writes {
            match write {
                Write::Put(put) => drop(self.put_now(now_ms, put).await?),
                Write::Delete(delete) => self.delete_now(now_ms, delete).await?,
            }
        }
        Ok(())
    }

    /// Removes what nobody can see any more. Tied to version numbers, so that it needs neither
    /// chance nor a timer: the writer of every 64th version of an item pays, and whoever writes in
    /// every 64th millisecond. What fails here is tried again by the next one.
    async fn purge_sometimes(&self, now_ms: u64, version: u64) {
        if version.is_multiple_of(WRITES_PER_PURGE) || now_ms.is_multiple_of(MS_PER_PURGE) {
            let _ = self.run(PURGE, &[integer(now_ms)]).await;
        }
    }
}

impl<D: Database> Store for SqlStore<D> {
    async fn get(&self, now_ms: u64, key: Key<'_>) -> Result<Option<Item>, StoreError> {
        key.check()?;
        let parameters = [text(key.partition), text(key.sort), integer(now_ms)];
        let rows = self.run(GET, &parameters).await?;
        rows.into_iter().next().map(item).transpose()
    }

    async fn query(&self, now_ms: u64, query: Query<'_>) -> Result<Vec<Item>, StoreError> {
        let parameters = [
            text(query.partition),
            text(query.from.unwrap_or_default()),
            query.to.map_or(Value::Null, text),
            integer(now_ms),
            integer(query.limit.min(MAX_QUERY_ITEMS) as u64),
        ];
        let sql = match query.direction {
            Direction::Forward => QUERY_FORWARD,
            Direction::Backward => QUERY_BACKWARD,
        };
        self.run(sql, &parameters)
            .await?
            .into_iter()
            .map(item)
            .collect()
    }

    async fn put(&self, now_ms: u64, put: Put<'_>) -> Result<u64, StoreError> {
        put.check()?;
        let version = self.put_now(now_ms, &put).await?;
        self.purge_sometimes(now_ms, version).await;
        Ok(version)
    }

    async fn delete(&self, now_ms: u64, delete: Delete<'_>) -> Result<(), StoreError> {
        delete.key.check()?;
        self.delete_now(now_ms, &delete).await
    }

    async fn increment(
        &self,
        now_ms: u64,
        key: Key<'_>,
        by: i64,
        expires_at_ms: Option<u64>,
    ) -> Result<i64, StoreError> {
        key.check()?;
        let parameters = [
            text(key.partition),
            text(key.sort),
            Value::Integer(by),
            optional(expires_at_ms),
            integer(now_ms),
        ];
        let rows = self.run(INCREMENT, &parameters).await?;
        let sum = rows.first().and_then(|row| match row.first() {
            Some(Value::Text(digits)) => digits.parse().ok(),
            _ => None,
        });
        sum.ok_or_else(unreadable)
    }

    async fn commit(&self, now_ms: u64, writes: &[Write<'_>]) -> Result<(), StoreError> {
        Write::check_all(writes)?;
        if let [write] = writes {
            return self.write_now(now_ms, std::slice::from_ref(write)).await;
        }
        self.run(BEGIN, &[]).await?;
        // Should this future be dropped here, the host rolls back with the connection.
        let written = match self.write_now(now_ms, writes).await {
            Ok(()) => self.run(COMMIT, &[]).await.map(drop),
            Err(error) => Err(error),
        };
        if written.is_err() {
            let _ = self.run(ROLLBACK, &[]).await;
        }
        written
    }
}

fn unreadable() -> StoreError {
    StoreError::Unavailable("the table items does not have the columns of this version".into())
}

fn integer_at(row: &[Value], column: usize) -> Result<u64, StoreError> {
    match row.get(column) {
        Some(Value::Integer(number)) => u64::try_from(*number).map_err(|_| unreadable()),
        _ => Err(unreadable()),
    }
}

fn item(row: Vec<Value>) -> Result<Item, StoreError> {
    let version = integer_at(&row, 2)?;
    let expires_at_ms = match row.get(3) {
        Some(Value::Null) => None,
        _ => Some(integer_at(&row, 3)?),
    };
    let mut columns = row.into_iter();
    let (Some(Value::Text(sort)), Some(value)) = (columns.next(), columns.next()) else {
        return Err(unreadable());
    };
    let value = match value {
        Value::Blob(bytes) => bytes,
        Value::Text(digits) => digits.into_bytes(),
        Value::Null | Value::Integer(_) => return Err(unreadable()),
    };
    Ok(Item {
        sort,
        value,
        version,
        expires_at_ms,
    })
}
