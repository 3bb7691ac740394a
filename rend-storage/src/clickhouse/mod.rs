//! The adapter that keeps what edges served in ClickHouse, over its HTTP interface.
//!
//! A batch is three inserts, each of which waits until the rows are on disk: the responses, their names, and what the
//! batch said of its run. Each bears a token made of the batch's content, so that one that is sent again within the
//! window is not written again; and every row has a key under which a repeat meets it, so that one that is written again
//! is not counted again. When one insert fails the batch was not recorded, and sending it again completes it.
//!
//! What is new in a batch is found by asking for the names first, with one batch at a time in a process. Two processes
//! that are given the same response at the same instant may both call it new; reports count it once all the same.
//!
//! Statements stand in the source; everything that differs goes to the server as a parameter. The password goes in a
//! header, never in a URL.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use rend_core::config::{SecretText, Settings, variable as v};

use crate::StoreError;

mod analytics;
mod fault;
mod migrate;
mod rows;
mod server;

use server::Server;

/// What edges served, in ClickHouse. Clones share connections.
///
/// Its methods must be called within a tokio runtime with time and network.
#[derive(Clone)]
pub struct ClickHouse(Arc<Inner>);

struct Inner {
    server: Server,
    /// Held while a batch is recorded, so that what is new is told rightly.
    recording: tokio::sync::Mutex<()>,
}

/// Where ClickHouse is and who asks.
#[expect(missing_debug_implementations, reason = "it holds a secret")]
#[derive(Clone)]
pub struct ClickHouseConfig {
    /// The server's URL, such as `https://clickhouse.example.net:8443`.
    pub url: String,
    /// The database, 1 to 64 letters, digits and underscores. [`ClickHouse::migrate`] makes it.
    pub database: String,
    /// Who asks.
    pub user: String,
    /// The password.
    pub password: String,
    /// How long an answer may take.
    pub answer_within: Duration,
    /// Whether the server gathers the rows of several batches before it writes them. The answer waits for the disk all the
    /// same. For many edges: it spares the server small parts.
    pub async_inserts: bool,
}

impl ClickHouseConfig {
    /// A server with usual patience: 15 s for an answer, each batch written by itself.
    pub fn new(url: &str, database: &str, user: &str, password: &str) -> Self {
        Self {
            url: url.to_owned(),
            database: database.to_owned(),
            user: user.to_owned(),
            password: password.to_owned(),
            answer_within: Duration::from_secs(15),
            async_inserts: false,
        }
    }

    /// The server that `settings` name, if they name one.
    pub fn from_settings(settings: &Settings) -> Option<Self> {
        let url = settings.url(&v::CLICKHOUSE_URL)?.as_str();
        let text = |variable| settings.text(variable).unwrap_or_default();
        let password = settings.secret(&v::CLICKHOUSE_PASSWORD).map_or("", SecretText::expose);
        let mut config = Self::new(url, text(&v::CLICKHOUSE_DATABASE), text(&v::CLICKHOUSE_USER), password);
        config.async_inserts = settings.bool(&v::CLICKHOUSE_ASYNC_INSERT);
        Some(config)
    }
}

impl ClickHouse {
    /// The newest version of the schema that this program knows.
    pub const SCHEMA_VERSION: u32 = migrate::NEWEST;

    /// The store that `config` names. Nothing is asked of the server yet. The process must have a TLS provider of rustls
    /// installed.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`] when the settings name no database, or there is no TLS provider.
    pub fn new(config: &ClickHouseConfig) -> Result<Self, StoreError> {
        let server = Server::new(config)?;
        Ok(Self(Arc::new(Inner { server, recording: tokio::sync::Mutex::new(()) })))
    }

    /// Makes the database if it is not there, brings its schema to the newest version, and answers the one it had. To be
    /// called by one process at a time.
    ///
    /// # Errors
    ///
    /// [`StoreError::TooNew`] for a schema of a newer program, which is left as it is; else [`StoreError::Unavailable`].
    pub async fn migrate(&self) -> Result<u32, StoreError> {
        migrate::bring_up(&self.0.server).await
    }

    /// The version that the schema has, 0 when there is none.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`].
    pub async fn schema_version(&self) -> Result<u32, StoreError> {
        Ok(migrate::version(&self.0.server).await?)
    }
}

impl fmt::Debug for ClickHouse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClickHouse").finish_non_exhaustive()
    }
}
