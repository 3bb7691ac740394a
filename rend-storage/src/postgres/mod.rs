//! The adapter that keeps everything but objects in PostgreSQL, for a fleet.
//!
//! A few connections are shared by all who ask (a *pool*). Each change is one transaction; none of them waits for the
//! network of anybody else. A statement names its columns, so that processes of two releases can use one schema while a
//! fleet is updated, and no statement asks for the time or decides: rows are turned into values of `rend-core`, which
//! say what follows.
//!
//! # Places in the logs
//!
//! A sequence of PostgreSQL is no place in a log: transactions that took numbers may end in another order, and then a
//! reader who has seen 6 would miss 5. So the newest place is a row. Whoever appends adds one to it, last in the
//! transaction, and holds it until the end: places become visible in their order, and one that is not written leaves no
//! gap. What that costs is one append to a log at a time, for the length of one commit.
//!
//! # What holds what
//!
//! A change of an asset holds the asset's row, then the job whose lease it is done under, then the log's newest place.
//! Everybody takes them in this order, so nobody waits in a circle. Claims pass over jobs that others hold.

use std::fmt;
use std::sync::Arc;

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
mod options;
mod retention;
mod revocations;
mod session;
mod suspensions;
mod transfers;
mod uploads;
mod usage;
mod webhooks;

use session::{Pool, Session};

pub use options::{BadOptions, PostgresOptions};

/// All ports but the objects, in one PostgreSQL database. Clones share one pool of connections.
///
/// It must be used within a tokio runtime.
#[derive(Clone)]
pub struct Postgres(Arc<Pool>);

impl Postgres {
    /// The newest schema that this version knows.
    pub const SCHEMA_VERSION: u32 = migrate::NEWEST;

    /// Connects, and looks at the schema, which it leaves as it is. A database without one has version 0, and answers
    /// nothing but [`Postgres::migrate`].
    ///
    /// # Errors
    ///
    /// [`StoreError::TooNew`] when a newer version wrote the schema, [`StoreError::Refused`] when the server will not
    /// have us, else [`StoreError::Unavailable`].
    pub async fn connect(options: &PostgresOptions) -> Result<Self, StoreError> {
        let store = Self(Arc::new(Pool::new(options)?));
        let found = store.schema_version().await?;
        if found > Self::SCHEMA_VERSION {
            return Err(StoreError::TooNew { found, known: Self::SCHEMA_VERSION });
        }
        Ok(store)
    }

    /// Brings the schema to [`Postgres::SCHEMA_VERSION`], and answers the version it had. Of several at once, one does it
    /// and the others wait.
    ///
    /// # Errors
    ///
    /// As [`Postgres::connect`]. What was done is undone then.
    pub async fn migrate(&self) -> Result<u32, StoreError> {
        migrate::bring_up(self.session().await?).await
    }

    /// The version of the database's schema, 0 when it has none.
    ///
    /// # Errors
    ///
    /// [`StoreError::Refused`] or [`StoreError::Unavailable`].
    pub async fn schema_version(&self) -> Result<u32, StoreError> {
        let db = self.session().await?;
        let version = migrate::version(&db).await;
        db.end(version)
    }

    /// Whether the server answers.
    ///
    /// # Errors
    ///
    /// [`StoreError::Refused`] or [`StoreError::Unavailable`].
    pub async fn ping(&self) -> Result<(), StoreError> {
        let db = self.session().await?;
        let answered = db.batch("SELECT 1").await;
        db.end(answered)
    }

    /// How many connections there are, and how many of them nobody uses at this moment.
    pub fn connections(&self) -> (usize, usize) {
        self.0.connections()
    }

    async fn session(&self) -> Result<Session, StoreError> {
        self.0.session().await
    }

    async fn transaction(&self) -> Result<Session, StoreError> {
        self.0.transaction().await
    }
}

impl fmt::Debug for Postgres {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Postgres").finish_non_exhaustive()
    }
}
