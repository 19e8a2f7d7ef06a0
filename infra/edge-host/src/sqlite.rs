//! The `spin:sqlite` interface, on `database`.

use std::time::{Duration, Instant};

use edge::store::MAX_COMMIT_WRITES;
use edge_spin::sql::WRITES;
use rusqlite::ToSql;
use rusqlite::types::{ToSqlOutput, Value as SqlValue, ValueRef};
use wasmtime::component::{Access, Accessor, FutureReader, Resource, StreamReader};

use crate::bindings::sqlite::{Error, Host, HostConnection, HostConnectionWithStore};
use crate::bindings::sqlite::{QueryResult, RowResult, Value};
use crate::clock;
use crate::config::milliseconds;
use crate::database::{Checkout, Failure, Rows};
use crate::guest::{Spin, SpinView};

/// First pause before a statement that met a lock runs again; doubles up to the next constant.
const RETRY_MIN: Duration = Duration::from_micros(200);
const RETRY_MAX: Duration = Duration::from_millis(10);

type Columns = Vec<String>;
type Streamed = (
    Columns,
    StreamReader<RowResult>,
    FutureReader<Result<(), Error>>,
);

impl SpinView<'_> {
    fn open_database(&mut self, name: &str) -> wasmtime::Result<Result<Resource<Checkout>, Error>> {
        let grants = &self.state.grants;
        if !grants.database_names.iter().any(|granted| granted == name) {
            return Ok(Err(Error::AccessDenied));
        }
        let Some(database) = grants.databases.find(name) else {
            return Ok(Err(Error::NoSuchDatabase));
        };
        match database.checkout(self.state.deadline) {
            Ok(checkout) => Ok(Ok(self.table.push(checkout)?)),
            Err(failure) => Ok(Err(error(failure))),
        }
    }

    /// One try of a statement; counts it when it ran.
    fn run(
        &mut self,
        connection: &Resource<Checkout>,
        statement: &str,
        parameters: &[Value],
    ) -> wasmtime::Result<Result<Rows<Value>, Failure>> {
        let partitions = &self.state.grants.partitions;
        if let Err(refused) = partitions.check(statement, first_text(parameters)) {
            return Ok(Err(Failure::Other(refused)));
        }
        let key = written_key(statement, parameters);
        let checkout = self.table.get_mut(connection)?;
        if key.is_some() && checkout.is_full() {
            let refused = format!("a transaction writes at most {MAX_COMMIT_WRITES} items");
            return Ok(Err(Failure::Other(refused)));
        }
        let outcome = checkout.execute(statement, parameters);
        if let Ok(rows) = &outcome {
            match rows.is_read {
                true => self.state.reads += 1,
                false => self.state.writes += 1,
            }
            if let Some((partition, sort)) = key
                && checkout.changes() > 0
            {
                checkout.wrote(partition, sort);
            }
        }
        for (partition, sort) in checkout.take_committed() {
            self.state.grants.waiters.note(&partition, &sort);
        }
        Ok(outcome)
    }

    fn patience(&self) -> Patience {
        let busy = clock::now() + milliseconds(self.state.grants.sqlite_busy_ms);
        Patience {
            until: busy.min(self.state.deadline),
            pause: RETRY_MIN,
        }
    }
}

/// How long a statement goes on trying to get a lock.
struct Patience {
    until: Instant,
    pause: Duration,
}

impl Patience {
    /// Waits before the next try; false when there is no time left.
    async fn wait(&mut self) -> bool {
        if clock::now() + self.pause > self.until {
            return false;
        }
        tokio::time::sleep(self.pause).await;
        self.pause = (self.pause * 2).min(RETRY_MAX);
        true
    }
}

impl Host for SpinView<'_> {}

impl HostConnection for SpinView<'_> {
    fn open(&mut self, database: String) -> wasmtime::Result<Result<Resource<Checkout>, Error>> {
        self.open_database(&database)
    }

    async fn execute(
        &mut self,
        connection: Resource<Checkout>,
        statement: String,
        parameters: Vec<Value>,
    ) -> wasmtime::Result<Result<QueryResult, Error>> {
        let mut patience = self.patience();
        loop {
            match self.run(&connection, &statement, &parameters)? {
                Ok(Rows { columns, rows, .. }) => {
                    let rows = row_results(rows);
                    return Ok(Ok(QueryResult { columns, rows }));
                }
                Err(Failure::Busy) if patience.wait().await => {}
                Err(failure) => return Ok(Err(error(failure))),
            }
        }
    }

    fn last_insert_rowid(&mut self, connection: Resource<Checkout>) -> wasmtime::Result<i64> {
        Ok(self.table.get(&connection)?.last_insert_rowid())
    }

    fn changes(&mut self, connection: Resource<Checkout>) -> wasmtime::Result<u64> {
        Ok(self.table.get(&connection)?.changes())
    }

    fn drop(&mut self, connection: Resource<Checkout>) -> wasmtime::Result<()> {
        self.table.delete(connection)?;
        Ok(())
    }
}

impl<T: Send + 'static> HostConnectionWithStore<T> for Spin {
    async fn open_async(
        accessor: &Accessor<T, Self>,
        database: String,
    ) -> wasmtime::Result<Result<Resource<Checkout>, Error>> {
        accessor.with(|mut access| access.get().open_database(&database))
    }

    async fn execute_async(
        accessor: &Accessor<T, Self>,
        connection: Resource<Checkout>,
        statement: String,
        parameters: Vec<Value>,
    ) -> wasmtime::Result<Result<Streamed, Error>> {
        let mut patience = accessor.with(|mut access| access.get().patience());
        loop {
            let outcome = accessor
                .with(|mut access| access.get().run(&connection, &statement, &parameters))?;
            match outcome {
                Ok(rows) => return accessor.with(|access| streams(access, rows)).map(Ok),
                Err(Failure::Busy) if patience.wait().await => {}
                Err(failure) => return Ok(Err(error(failure))),
            }
        }
    }

    async fn last_insert_rowid_async(
        accessor: &Accessor<T, Self>,
        connection: Resource<Checkout>,
    ) -> wasmtime::Result<i64> {
        accessor.with(|mut access| access.get().last_insert_rowid(connection))
    }

    async fn changes_async(
        accessor: &Accessor<T, Self>,
        connection: Resource<Checkout>,
    ) -> wasmtime::Result<u64> {
        accessor.with(|mut access| access.get().changes(connection))
    }
}

/// Rows that are already here, as the stream and the future that the interface returns.
fn streams<T: Send + 'static>(
    mut access: Access<'_, T, Spin>,
    rows: Rows<Value>,
) -> wasmtime::Result<Streamed> {
    let stream = StreamReader::new(&mut access, row_results(rows.rows))?;
    let end = FutureReader::new(&mut access, async { wasmtime::error::Ok(Ok(())) })?;
    Ok((rows.columns, stream, end))
}

fn error(failure: Failure) -> Error {
    match failure {
        Failure::Busy => Error::Io("database is locked".to_owned()),
        Failure::Full => Error::DatabaseFull,
        Failure::Other(message) => Error::Io(message),
    }
}

/// Rows in the form of the interface. None is copied: both forms are laid out alike, so the
/// collection reuses the memory that it consumes.
fn row_results(rows: Vec<Vec<Value>>) -> Vec<RowResult> {
    rows.into_iter()
        .map(|values| RowResult { values })
        .collect()
}

/// The first parameter, if it is a text.
fn first_text(parameters: &[Value]) -> Option<&str> {
    match parameters.first() {
        Some(Value::Text(text)) => Some(text),
        _ => None,
    }
}

/// The item that a statement of the store writes, if it writes one.
fn written_key<'p>(statement: &str, parameters: &'p [Value]) -> Option<(&'p str, &'p str)> {
    match parameters {
        [Value::Text(partition), Value::Text(sort), ..] if WRITES.contains(&statement) => {
            Some((partition, sort))
        }
        _ => None,
    }
}

impl ToSql for Value {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match self {
            Self::Integer(value) => ToSqlOutput::Owned(SqlValue::Integer(*value)),
            Self::Real(value) => ToSqlOutput::Owned(SqlValue::Real(*value)),
            Self::Text(value) => ToSqlOutput::Borrowed(ValueRef::Text(value.as_bytes())),
            Self::Blob(value) => ToSqlOutput::Borrowed(ValueRef::Blob(value)),
            Self::Null => ToSqlOutput::Owned(SqlValue::Null),
        })
    }
}

impl From<ValueRef<'_>> for Value {
    fn from(value: ValueRef<'_>) -> Self {
        match value {
            ValueRef::Null => Self::Null,
            ValueRef::Integer(value) => Self::Integer(value),
            ValueRef::Real(value) => Self::Real(value),
            ValueRef::Text(value) => Self::Text(String::from_utf8_lossy(value).into_owned()),
            ValueRef::Blob(value) => Self::Blob(value.to_vec()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partition_is_a_text_and_comes_first() {
        let text = |text: &str| Value::Text(text.to_owned());
        assert_eq!(
            first_text(&[text("evacuation"), text("sort")]),
            Some("evacuation")
        );
        assert_eq!(first_text(&[Value::Blob(b"evacuation".to_vec())]), None);
        assert_eq!(first_text(&[Value::Null, text("evacuation")]), None);
        assert_eq!(first_text(&[]), None);
    }

    #[test]
    fn rows_are_moved_and_not_copied() {
        let rows: Vec<Vec<Value>> = (0..3).map(|n| vec![Value::Integer(n)]).collect();
        let (outer, first) = (rows.as_ptr().cast::<()>(), rows[0].as_ptr());
        let moved = row_results(rows);
        assert_eq!(moved.as_ptr().cast::<()>(), outer);
        assert_eq!(moved[0].values.as_ptr(), first);
        assert_eq!(moved.len(), 3);
    }
}
