//! The adapter that keeps everything but objects in one SQLite file.
//!
//! One thread writes and a few read. What waits for the writer becomes one transaction, each request in a savepoint of its
//! own, so that many small writes share one wait for the disk; each is answered after that wait, so what was acknowledged
//! survives a kill and a loss of power (WAL, `synchronous=FULL`). Reads see what was acknowledged before them.
//!
//! Several processes may open one file on a local disk. No statement asks for the time, and none decides: rows are turned
//! into values of `rend-core`, which say what follows.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use rusqlite::{Connection, Row, ToSql};

use crate::StoreError;

mod analytics;
mod answers;
mod assets;
mod columns;
mod credentials;
mod edges;
mod events;
mod fault;
mod jobs;
mod leads;
mod migrate;
mod retention;
mod revocations;
mod suspensions;
mod threads;
mod transfers;
mod uploads;
mod usage;
mod webhooks;

use fault::Fault;
use threads::Threads;

/// All ports but the objects, in one file. Clones share one open database; dropping the last one waits for what is under
/// way.
#[derive(Clone)]
pub struct Sqlite(Arc<Threads>);

impl Sqlite {
    /// The newest schema that this version knows.
    pub const SCHEMA_VERSION: u32 = migrate::NEWEST;

    /// Opens the database at `path`, making it or bringing it to [`Sqlite::SCHEMA_VERSION`] first. It blocks.
    ///
    /// # Errors
    ///
    /// [`StoreError::TooNew`] when a newer version wrote it, [`StoreError::NoSpace`], else [`StoreError::Unavailable`],
    /// also when the file is something else.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, StoreError> {
        let path = path.as_ref();
        let writer = migrate::open_current(path)?;
        Ok(Self(Arc::new(Threads::start(path, writer)?)))
    }

    /// Brings the database at `path` to [`Sqlite::SCHEMA_VERSION`], making it if it is not there, and answers the version
    /// it had. It blocks.
    ///
    /// # Errors
    ///
    /// As [`Sqlite::open`].
    pub fn migrate(path: impl AsRef<Path>) -> Result<u32, StoreError> {
        let (_closed, had) = migrate::bring_up(path.as_ref())?;
        Ok(had)
    }

    /// The schema of the open database.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`].
    pub async fn schema_version(&self) -> Result<u32, StoreError> {
        self.read(migrate::version).await
    }

    /// Runs `f` in a transaction of the writer. When it fails, nothing it wrote is there.
    async fn write<T: Send + 'static>(
        &self,
        f: impl FnOnce(&Connection) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.0.write(f).await
    }

    /// Runs `f` on one state of the database.
    async fn read<T: Send + 'static>(
        &self,
        f: impl FnOnce(&Connection) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.0.read(f).await
    }
}

impl fmt::Debug for Sqlite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sqlite").finish_non_exhaustive()
    }
}

/// What a statement's parameters are given as.
type Params<'p> = &'p [(&'p str, &'p dyn ToSql)];

/// Every row of a query, decoded.
fn all<T>(
    db: &Connection,
    sql: &str,
    params: Params<'_>,
    decode: impl FnMut(&Row<'_>) -> Result<T, Fault>,
) -> Result<Vec<T>, Fault> {
    db.prepare_cached(sql)?.query_and_then(params, decode)?.collect()
}

/// The first row of a query, decoded, if there is one.
fn first<T>(
    db: &Connection,
    sql: &str,
    params: Params<'_>,
    decode: impl FnMut(&Row<'_>) -> Result<T, Fault>,
) -> Result<Option<T>, Fault> {
    db.prepare_cached(sql)?.query_and_then(params, decode)?.next().transpose()
}

/// Runs a statement, and answers how many rows it changed.
fn run(db: &Connection, sql: &str, params: Params<'_>) -> Result<usize, Fault> {
    Ok(db.prepare_cached(sql)?.execute(params)?)
}

/// Refuses with `otherwise` when a statement changed no row.
fn changed(rows: usize, otherwise: StoreError) -> Result<(), Fault> {
    if rows == 0 { Err(otherwise.into()) } else { Ok(()) }
}
