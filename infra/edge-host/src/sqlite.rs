//! The `spin:sqlite` interface, on `database`.

use std::time::{Duration, Instant};

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

/// The resource that a guest's connection handle names.
#[expect(unreachable_pub, reason = "the generated bindings re-export it")]
pub struct GuestConnection(Checkout);

type Columns = Vec<String>;
type Streamed = (
    Columns,
    StreamReader<RowResult>,
    FutureReader<Result<(), Error>>,
);

impl SpinView<'_> {
    fn open_database(
        &mut self,
        name: &str,
    ) -> wasmtime::Result<Result<Resource<GuestConnection>, Error>> {
        let grants = &self.state.grants;
        if !grants.database_names.iter().any(|granted| granted == name) {
            return Ok(Err(Error::AccessDenied));
        }
        let Some(database) = grants.databases.find(name) else {
            return Ok(Err(Error::NoSuchDatabase));
        };
        match database.checkout(self.state.deadline) {
            Ok(checkout) => Ok(Ok(self.table.push(GuestConnection(checkout))?)),
            Err(failure) => Ok(Err(error(failure))),
        }
    }

    /// One try of a statement; counts it when it ran.
    fn run(
        &mut self,
        connection: &Resource<GuestConnection>,
        statement: &str,
        parameters: &[Value],
    ) -> wasmtime::Result<Result<Rows, Failure>> {
        let partitions = &self.state.grants.partitions;
        if let Err(refused) = partitions.check(statement, parameters) {
            return Ok(Err(Failure::Other(refused)));
        }
        let outcome = self.table.get(connection)?.0.execute(statement, parameters);
        if let Ok(rows) = &outcome {
            match rows.is_read {
                true => self.state.reads += 1,
                false => self.state.writes += 1,
            }
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
    fn open(
        &mut self,
        database: String,
    ) -> wasmtime::Result<Result<Resource<GuestConnection>, Error>> {
        self.open_database(&database)
    }

    async fn execute(
        &mut self,
        connection: Resource<GuestConnection>,
        statement: String,
        parameters: Vec<Value>,
    ) -> wasmtime::Result<Result<QueryResult, Error>> {
        let mut patience = self.patience();
        loop {
            match self.run(&connection, &statement, &parameters)? {
                Ok(Rows { columns, rows, .. }) => return Ok(Ok(QueryResult { columns, rows })),
                Err(Failure::Busy) if patience.wait().await => {}
                Err(failure) => return Ok(Err(error(failure))),
            }
        }
    }

    fn last_insert_rowid(
        &mut self,
        connection: Resource<GuestConnection>,
    ) -> wasmtime::Result<i64> {
        Ok(self.table.get(&connection)?.0.last_insert_rowid())
    }

    fn changes(&mut self, connection: Resource<GuestConnection>) -> wasmtime::Result<u64> {
        Ok(self.table.get(&connection)?.0.changes())
    }

    fn drop(&mut self, connection: Resource<GuestConnection>) -> wasmtime::Result<()> {
        self.table.delete(connection)?;
        Ok(())
    }
}

impl<T: Send + 'static> HostConnectionWithStore<T> for Spin {
    async fn open_async(
        accessor: &Accessor<T, Self>,
        database: String,
    ) -> wasmtime::Result<Result<Resource<GuestConnection>, Error>> {
        accessor.with(|mut access| access.get().open_database(&database))
    }

    async fn execute_async(
        accessor: &Accessor<T, Self>,
        connection: Resource<GuestConnection>,
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
        connection: Resource<GuestConnection>,
    ) -> wasmtime::Result<i64> {
        accessor.with(|mut access| access.get().last_insert_rowid(connection))
    }

    async fn changes_async(
        accessor: &Accessor<T, Self>,
        connection: Resource<GuestConnection>,
    ) -> wasmtime::Result<u64> {
        accessor.with(|mut access| access.get().changes(connection))
    }
}

/// Rows that are already here, as the stream and the future that the interface returns.
fn streams<T: Send + 'static>(
    mut access: Access<'_, T, Spin>,
    rows: Rows,
) -> wasmtime::Result<Streamed> {
    let stream = StreamReader::new(&mut access, rows.rows)?;
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
