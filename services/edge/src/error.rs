//! Why an edge could not start.

use std::io;
use std::path::PathBuf;

use rend_cache::CacheError;
use rend_shell::client::ClientError;
use rend_telemetry::files::FilesError;
use rend_token::KeyProblems;
use thiserror::Error;

/// Why an edge could not start. Each says in one line what to change.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum EdgeError {
    /// The playback keys can not be used.
    #[error("{0}")]
    Keys(KeyProblems),
    /// A listener could not be bound. The text names the variable.
    #[error("{0}")]
    Bind(io::Error),
    /// The cache folder can not be used.
    #[error("REND_EDGE_CACHE_DIR={}: {source}", dir.display())]
    Cache {
        /// The folder.
        dir: PathBuf,
        /// The cause.
        source: CacheError,
    },
    /// The telemetry spool can not be used.
    #[error("REND_EDGE_TELEMETRY_SPOOL_DIR={}: {source}", dir.display())]
    Spool {
        /// The folder.
        dir: PathBuf,
        /// The cause.
        source: FilesError,
    },
    /// The system gave no threads to serve viewers with.
    #[error("the threads that serve viewers could not be started")]
    Threads(#[source] io::Error),
    /// TLS is not available to the client that talks to the control plane.
    #[error("the HTTP client could not be made")]
    Client(#[source] ClientError),
}
