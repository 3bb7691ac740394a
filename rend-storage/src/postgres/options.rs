use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use thiserror::Error;
use tokio_postgres::Config;

/// Where the database is, and how long to wait for it.
///
/// Neither its `Debug` nor any error shows the URL, which may hold a password.
#[derive(Clone)]
pub struct PostgresOptions {
    pub(super) config: Config,
    /// Connections at most. Who asks while all are in use waits for `connect_timeout`, and is then told
    /// [`StoreError::Unavailable`](crate::StoreError::Unavailable).
    pub connections_max: usize,
    /// How long to wait for a connection: for a free one, and for a new one to be made.
    pub connect_timeout: Duration,
    /// How long one statement may take. The server is told to end it then; where the server does not answer at all, the
    /// connection is given up a little later.
    pub statement_timeout: Duration,
    /// A file of PEM certificates to hold the server's against, in place of the system's.
    pub tls_ca_file: Option<PathBuf>,
}

impl PostgresOptions {
    /// The options for `url`, such as `postgres://user:password@host:5432/database?sslmode=require`, with the defaults of
    /// everything else.
    ///
    /// Where TLS is used, the server's certificate is always checked. `sslmode=prefer`, the default, uses it when the
    /// server offers it, `require` insists, `disable` does without.
    ///
    /// # Errors
    ///
    /// [`BadOptions`]. Trying again will not help.
    pub fn new(url: &str) -> Result<Self, BadOptions> {
        let scheme = ["postgres://", "postgresql://"].iter().any(|scheme| url.starts_with(scheme));
        let config = Config::from_str(url).map_err(|_| BadOptions)?;
        if !scheme || config.get_hosts().is_empty() || config.get_dbname().is_none() {
            return Err(BadOptions);
        }
        Ok(Self {
            config,
            connections_max: Self::CONNECTIONS_MAX,
            connect_timeout: Self::CONNECT_TIMEOUT,
            statement_timeout: Self::STATEMENT_TIMEOUT,
            tls_ca_file: None,
        })
    }

    /// Connections at most, unless told otherwise.
    pub const CONNECTIONS_MAX: usize = 16;
    /// How long to wait for a connection, unless told otherwise.
    pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
    /// How long one statement may take, unless told otherwise.
    pub const STATEMENT_TIMEOUT: Duration = Duration::from_secs(10);
}

impl fmt::Debug for PostgresOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresOptions")
            .field("connections_max", &self.connections_max)
            .field("connect_timeout", &self.connect_timeout)
            .field("statement_timeout", &self.statement_timeout)
            .finish_non_exhaustive()
    }
}

/// The URL names no PostgreSQL database. Trying again will not help.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[error("not a URL such as postgres://user:password@host:5432/database")]
pub struct BadOptions;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_names_host_and_database_and_is_not_shown() {
        let good = PostgresOptions::new("postgres://rend:hunter2@db.example.net/rend?sslmode=require").unwrap();
        assert!(!format!("{good:?}").contains("hunter2"));
        for odd in ["", "postgres://", "postgres://h", "mysql://h/d", "host=h dbname=d", "postgres://h/d?nonsense=1"] {
            assert_eq!(PostgresOptions::new(odd).unwrap_err(), BadOptions, "{odd}");
        }
    }
}
