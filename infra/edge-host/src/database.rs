//! SQLite files and their pooled connections.
//!
//! Statements run in place on the executor: a prepared one takes tens of microseconds, less than
//! handing it to another thread and back (README, "Measured"). For that to be safe nothing here may
//! wait. A statement that meets another writer's lock returns [`Failure::Busy`] at once and the
//! caller retries; a statement that runs past the request's deadline is interrupted; the log is
//! written back to the database by a thread of its own.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use edge::store::MAX_COMMIT_WRITES;
use rusqlite::config::DbConfig;
use rusqlite::ffi::ErrorCode;
use rusqlite::hooks::{AuthAction, AuthContext, Authorization};
use rusqlite::limits::Limit;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, ToSql};

use crate::clock;
use crate::config::Limits;

/// Idle connections kept for each database.
const IDLE_CONNECTIONS: usize = 64;
/// Prepared statements kept for each connection.
const CACHED_STATEMENTS: usize = 64;
/// Virtual-machine steps between looks at the deadline: about 20 us of work.
const STEPS_PER_DEADLINE_CHECK: i32 = 2_000;
/// How often the write-ahead log is copied into the database file.
const CHECKPOINT_INTERVAL_MS: u64 = 500;
/// A commit copies the log itself when the thread fell this far behind, so that the log stays
/// bounded.
const AUTOCHECKPOINT_PAGES: u32 = 16_384;
/// Longest statement.
const STATEMENT_BYTES: i32 = 64 << 10;

/// Why a statement did not run.
#[derive(Debug, PartialEq)]
pub(crate) enum Failure {
    /// Another connection holds the lock; nothing happened, try again.
    Busy,
    /// The file reached its limit.
    Full,
    /// SQLite's message.
    Other(String),
}

/// Rows of a statement, and what it was. `V` is the caller's form of a value.
#[derive(Debug)]
pub(crate) struct Rows<V> {
    pub(crate) columns: Vec<String>,
    pub(crate) rows: Vec<Vec<V>>,
    /// Whether it could not have changed the database.
    pub(crate) is_read: bool,
}

/// The databases of an application, by name.
pub(crate) struct Databases {
    by_name: BTreeMap<String, Arc<Database>>,
    stop: Option<Sender<()>>,
    checkpointer: Option<JoinHandle<()>>,
}

impl Databases {
    /// Opens, and creates where missing, one file for each name in `folder`.
    pub(crate) fn open(
        folder: &Path,
        names: impl IntoIterator<Item = String>,
        limits: &Limits,
    ) -> Result<Self, String> {
        let mut by_name = BTreeMap::new();
        for name in names {
            let file = folder.join(format!("{name}.db"));
            let describe = |cause| format!("database {}: {cause}", file.display());
            std::fs::create_dir_all(folder).map_err(|cause| describe(cause.to_string()))?;
            let database = Database::open(file.clone(), limits)
                .map_err(|cause| describe(cause.to_string()))?;
            by_name.insert(name, Arc::new(database));
        }
        let (stop, stopped) = channel();
        let databases: Vec<_> = by_name.values().cloned().collect();
        let checkpointer = std::thread::Builder::new()
            .name("checkpoint".into())
            .spawn(move || {
                let interval = Duration::from_millis(CHECKPOINT_INTERVAL_MS);
                while stopped.recv_timeout(interval) == Err(RecvTimeoutError::Timeout) {
                    databases.iter().for_each(|database| database.checkpoint());
                }
            });
        let checkpointer = Some(checkpointer.map_err(|cause| cause.to_string())?);
        Ok(Self {
            by_name,
            stop: Some(stop),
            checkpointer,
        })
    }

    pub(crate) fn find(&self, name: &str) -> Option<&Arc<Database>> {
        self.by_name.get(name)
    }
}

impl Drop for Databases {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.checkpointer.take() {
            // A panic of the thread was already printed.
            let _ = thread.join();
        }
    }
}

/// One database file.
pub(crate) struct Database {
    file: PathBuf,
    idle: Mutex<Vec<Pooled>>,
    limits: Limits,
    /// Set by each write, cleared by the checkpoint.
    is_changed: AtomicBool,
    checkpoints: Mutex<Connection>,
    /// The zero of the deadlines that connections carry.
    epoch: Instant,
}

struct Pooled {
    connection: Connection,
    /// Microseconds since `Database::epoch` after which a running statement is interrupted.
    deadline_us: Arc<AtomicU64>,
}

impl Database {
    fn open(file: PathBuf, limits: &Limits) -> rusqlite::Result<Self> {
        let checkpoints = Connection::open(&file)?;
        checkpoints.pragma_update(None, "journal_mode", "wal")?;
        let database = Self {
            file,
            idle: Mutex::default(),
            limits: *limits,
            is_changed: AtomicBool::new(true),
            checkpoints: Mutex::new(checkpoints),
            epoch: clock::now(),
        };
        // The first request should not pay for opening, nor be the first to learn that it is
        // impossible.
        let first = database.connect()?;
        lock(&database.idle).push(first);
        Ok(database)
    }

    fn connect(&self) -> rusqlite::Result<Pooled> {
        let mut connection = Connection::open(&self.file)?;
        connection.busy_timeout(Duration::ZERO)?;
        connection.pragma_update(None, "synchronous", "normal")?;
        connection.pragma_update(None, "wal_autocheckpoint", AUTOCHECKPOINT_PAGES)?;
        connection.pragma_update(None, "temp_store", "memory")?;
        let page_bytes: u32 = connection.pragma_query_value(None, "page_size", |row| row.get(0))?;
        let pages = (self.limits.sqlite_database_bytes / u64::from(page_bytes)).max(1);
        connection.pragma_update(
            None,
            "max_page_count",
            u32::try_from(pages).unwrap_or(u32::MAX),
        )?;
        connection.set_prepared_statement_cache_capacity(CACHED_STATEMENTS);
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
        connection.set_limit(Limit::SQLITE_LIMIT_ATTACHED, 0)?;
        connection.set_limit(Limit::SQLITE_LIMIT_SQL_LENGTH, STATEMENT_BYTES)?;
        let deadline_us = Arc::new(AtomicU64::new(u64::MAX));
        let (deadline, epoch) = (deadline_us.clone(), self.epoch);
        let is_over = move || elapsed_us(epoch) > deadline.load(Ordering::Relaxed);
        connection.progress_handler(STEPS_PER_DEADLINE_CHECK, Some(is_over))?;
        connection.authorizer(Some(|asked: AuthContext<'_>| authorize(&asked)))?;
        Ok(Pooled {
            connection,
            deadline_us,
        })
    }

    /// Takes a connection for one guest; it goes back to the pool when dropped.
    pub(crate) fn checkout(self: &Arc<Self>, deadline: Instant) -> Result<Checkout, Failure> {
        let idle = lock(&self.idle).pop();
        let pooled = match idle {
            Some(pooled) => pooled,
            None => self.connect().map_err(|cause| failure(&cause))?,
        };
        let deadline_us = deadline.saturating_duration_since(self.epoch).as_micros();
        let deadline_us = u64::try_from(deadline_us).unwrap_or(u64::MAX);
        pooled.deadline_us.store(deadline_us, Ordering::Relaxed);
        Ok(Checkout {
            database: self.clone(),
            pooled: Some(pooled),
            written: Vec::new(),
        })
    }

    fn checkpoint(&self) {
        if self.is_changed.swap(false, Ordering::Relaxed) {
            let outcome =
                lock(&self.checkpoints).query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| {
                    row.get::<_, i64>(0)
                });
            if let Err(cause) = outcome {
                tracing::warn!(file = %self.file.display(), %cause, "checkpoint failed");
            }
        }
    }

    fn give_back(&self, pooled: Pooled) {
        // The guest's deadline must not interrupt its own rollback.
        pooled.deadline_us.store(u64::MAX, Ordering::Relaxed);
        if !pooled.connection.is_autocommit()
            && let Err(cause) = pooled.connection.execute_batch("ROLLBACK")
        {
            // Dropping the connection closes it, which rolls back as well.
            tracing::warn!(file = %self.file.display(), %cause, "rollback failed");
            return;
        }
        let mut idle = lock(&self.idle);
        if idle.len() < IDLE_CONNECTIONS {
            idle.push(pooled);
        }
    }
}

/// A connection that a guest has. Dropping it rolls back what the guest did not commit.
#[expect(
    unreachable_pub,
    reason = "the generated bindings name it as the guest's resource"
)]
pub struct Checkout {
    database: Arc<Database>,
    pooled: Option<Pooled>,
    /// Items that were written since the last commit: partition and sort key.
    written: Vec<(String, String)>,
}

impl Drop for Checkout {
    fn drop(&mut self) {
        if let Some(pooled) = self.pooled.take() {
            self.database.give_back(pooled);
        }
    }
}

impl Checkout {
    fn connection(&self) -> &Connection {
        &self.pooled.as_ref().expect("taken only by drop").connection
    }

    /// Runs one statement without waiting for locks.
    pub(crate) fn execute<P: ToSql, V: for<'v> From<ValueRef<'v>>>(
        &self,
        statement: &str,
        parameters: &[P],
    ) -> Result<Rows<V>, Failure> {
        let outcome = self.run(statement, parameters);
        if let Ok(rows) = &outcome
            && !rows.is_read
        {
            self.database.is_changed.store(true, Ordering::Relaxed);
        }
        outcome
    }

    fn run<P: ToSql, V: for<'v> From<ValueRef<'v>>>(
        &self,
        statement: &str,
        parameters: &[P],
    ) -> Result<Rows<V>, Failure> {
        let connection = self.connection();
        let mut prepared = connection
            .prepare_cached(statement)
            .map_err(|it| failure(&it))?;
        let is_read = prepared.readonly();
        let columns: Vec<String> = prepared.column_names().map(str::to_owned).collect();
        let limit_bytes = self.database.limits.sqlite_result_bytes;
        let mut rows = Vec::new();
        let mut bytes = 0;
        let mut results = prepared
            .query(rusqlite::params_from_iter(parameters))
            .map_err(|cause| failure(&cause))?;
        while let Some(row) = results.next().map_err(|cause| failure(&cause))? {
            let mut values = Vec::with_capacity(columns.len());
            for index in 0..columns.len() {
                let value = row.get_ref(index).map_err(|cause| failure(&cause))?;
                bytes += size_bytes::<V>(value);
                values.push(V::from(value));
            }
            if bytes > limit_bytes {
                let message = format!("the result is over {limit_bytes} bytes; ask for fewer rows");
                return Err(Failure::Other(message));
            }
            rows.push(values);
        }
        Ok(Rows {
            columns,
            rows,
            is_read,
        })
    }

    /// Remembers that the last statement wrote an item.
    pub(crate) fn wrote(&mut self, partition: &str, sort: &str) {
        self.written.push((partition.to_owned(), sort.to_owned()));
    }

    /// Whether a transaction wrote as many items as one may.
    pub(crate) fn is_full(&self) -> bool {
        self.written.len() >= MAX_COMMIT_WRITES
    }

    /// The items that others can read now: none while a transaction is open. After a rollback too,
    /// so that somebody looks for nothing.
    pub(crate) fn take_committed(&mut self) -> Vec<(String, String)> {
        match self.connection().is_autocommit() {
            true => std::mem::take(&mut self.written),
            false => Vec::new(),
        }
    }

    pub(crate) fn last_insert_rowid(&self) -> i64 {
        self.connection().last_insert_rowid()
    }

    pub(crate) fn changes(&self) -> u64 {
        self.connection().changes()
    }
}

/// Denies what would reach other files, change the connection for its next user, or outlive the
/// guest on it.
fn authorize(asked: &AuthContext<'_>) -> Authorization {
    /// Pragmas that only read, or belong to the database file.
    const PRAGMAS: [&str; 13] = [
        "foreign_key_check",
        "foreign_key_list",
        "function_list",
        "index_info",
        "index_list",
        "index_xinfo",
        "integrity_check",
        "optimize",
        "quick_check",
        "table_info",
        "table_list",
        "table_xinfo",
        "user_version",
    ];
    match asked.action {
        AuthAction::Pragma { pragma_name, .. } if !PRAGMAS.contains(&pragma_name) => {
            Authorization::Deny
        }
        AuthAction::Attach { .. }
        | AuthAction::Detach { .. }
        | AuthAction::CreateTempIndex { .. }
        | AuthAction::CreateTempTable { .. }
        | AuthAction::CreateTempTrigger { .. }
        | AuthAction::CreateTempView { .. }
        | AuthAction::Unknown { .. } => Authorization::Deny,
        _ => Authorization::Allow,
    }
}

fn failure(cause: &rusqlite::Error) -> Failure {
    match cause.sqlite_error() {
        // A snapshot that is too old stays too old: only a new transaction helps.
        Some(error) if error.extended_code == rusqlite::ffi::SQLITE_BUSY_SNAPSHOT => {
            Failure::Other(cause.to_string())
        }
        Some(error) => match error.code {
            ErrorCode::DatabaseBusy => Failure::Busy,
            ErrorCode::DiskFull => Failure::Full,
            _ => Failure::Other(cause.to_string()),
        },
        None => Failure::Other(cause.to_string()),
    }
}

/// What a value takes in the form `V`.
fn size_bytes<V>(value: ValueRef<'_>) -> usize {
    match value {
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => size_of::<V>() + bytes.len(),
        _ => size_of::<V>(),
    }
}

fn elapsed_us(epoch: Instant) -> u64 {
    u64::try_from(epoch.elapsed().as_micros()).unwrap_or(u64::MAX)
}

/// A panic while the lock was held left nothing half done.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
