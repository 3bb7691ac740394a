use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rend_core::config::{Role, Settings, variable as v};
use rend_storage::StoreError;
use rend_storage::analytics::Analytics;
use rend_storage::credentials::CredentialStore;
use rend_storage::objects::ObjectStore;
use rend_storage::postgres::{Postgres, PostgresOptions};
use rend_storage::sqlite::Sqlite;

use super::explain;
use crate::state::Stores;

/// The open database. Clones share it.
#[derive(Clone, Debug)]
pub enum Database {
    /// One file on this machine.
    Sqlite(Sqlite),
    /// A server that a fleet shares.
    Postgres(Postgres),
}

impl Database {
    /// What edges served, kept in the database itself.
    pub fn analytics(&self) -> Arc<dyn Analytics> {
        match self {
            Self::Sqlite(store) => Arc::new(store.clone()),
            Self::Postgres(store) => Arc::new(store.clone()),
        }
    }

    /// The API keys.
    pub fn credentials(&self) -> Arc<dyn CredentialStore> {
        match self {
            Self::Sqlite(store) => Arc::new(store.clone()),
            Self::Postgres(store) => Arc::new(store.clone()),
        }
    }

    /// Every port: those of the database, and the two that may lie elsewhere.
    pub fn stores(self, objects: Arc<dyn ObjectStore>, analytics: Arc<dyn Analytics>) -> Stores {
        macro_rules! over {
            ($store:expr) => {{
                let store = Arc::new($store);
                Stores {
                    objects,
                    assets: store.clone(),
                    uploads: store.clone(),
                    transfers: store.clone(),
                    jobs: store.clone(),
                    events: store.clone(),
                    edges: store.clone(),
                    purges: store.clone(),
                    revocations: store.clone(),
                    suspensions: store.clone(),
                    webhooks: store.clone(),
                    credentials: store.clone(),
                    usage: store.clone(),
                    answers: store.clone(),
                    leads: store.clone(),
                    retention: store,
                    analytics,
                }
            }};
        }
        match self {
            Self::Sqlite(store) => over!(store),
            Self::Postgres(store) => over!(store),
        }
    }
}

/// The database that `DATABASE_URL` names, open and with a schema that this program knows.
///
/// Where `REND_API_AUTO_MIGRATE` says so, a schema of PostgreSQL is brought up to date first; a SQLite file always is.
///
/// # Errors
///
/// A sentence for the person at the terminal, without the URL.
pub async fn database(settings: &Settings) -> Result<Database, String> {
    if let Some(path) = settings.database(&v::DATABASE_URL) {
        let store = Sqlite::open(path).map_err(|e| format!("{}: {}", path.display(), explain(&e)))?;
        return Ok(Database::Sqlite(store));
    }
    let store = connect(settings).await?;
    if settings.bool(&v::REND_API_AUTO_MIGRATE) && settings.role() != Role::Worker {
        store.migrate().await.map_err(|e| format!("{SERVER}: {}", explain(&e)))?;
        return Ok(Database::Postgres(store));
    }
    let version = store.schema_version().await.map_err(|e| format!("{SERVER}: {}", explain(&e)))?;
    if version < Postgres::SCHEMA_VERSION {
        let newest = Postgres::SCHEMA_VERSION;
        return Err(format!(
            "{SERVER}: its schema is at version {version} and this program needs {newest}; run `rend-api migrate`"
        ));
    }
    Ok(Database::Postgres(store))
}

/// Brings the schema of the database that `DATABASE_URL` names to the newest version, and answers the one it had. Of
/// several that are asked to at once, one does it and the others wait.
///
/// # Errors
///
/// A sentence for the person at the terminal, without the URL.
pub(super) async fn migrate(settings: &Settings) -> Result<u32, String> {
    match settings.database(&v::DATABASE_URL) {
        Some(path) => Sqlite::migrate(path).map_err(|e| format!("{}: {}", path.display(), explain(&e))),
        None => connect(settings).await?.migrate().await.map_err(|e| format!("{SERVER}: {}", explain(&e))),
    }
}

async fn connect(settings: &Settings) -> Result<Postgres, String> {
    let url = settings.database_url(&v::DATABASE_URL).ok_or("DATABASE_URL is not set")?;
    let mut options = PostgresOptions::new(url.expose()).map_err(|e| format!("{SERVER}: {e}"))?;
    let most = settings.number(&v::REND_DATABASE_CONNECTIONS_MAX);
    options.connections_max = usize::try_from(most).unwrap_or(PostgresOptions::CONNECTIONS_MAX);
    options.connect_timeout = settings.secs(&v::REND_DATABASE_CONNECT_TIMEOUT_SECS);
    options.statement_timeout = settings.secs(&v::REND_DATABASE_STATEMENT_TIMEOUT_SECS);
    options.tls_ca_file = settings.path(&v::REND_DATABASE_TLS_CA_FILE).map(Path::to_path_buf);
    let wait = settings.secs(&v::REND_DATABASE_START_WAIT_SECS);
    let connected = patiently(wait, async || Postgres::connect(&options).await).await;
    connected.map_err(|e| format!("{SERVER}: {}", explain(&e)))
}

/// Asks until there is an answer, since who starts together with its database may be there first. What trying again can
/// not help is told at once; the rest once the waits come to `wait`.
async fn patiently<T>(wait: Duration, mut ask: impl AsyncFnMut() -> Result<T, StoreError>) -> Result<T, StoreError> {
    let (mut waited, mut next) = (Duration::ZERO, START_PAUSE_MIN);
    loop {
        match ask().await {
            Err(error) if error.is_transient() && waited < wait => {
                if waited.is_zero() {
                    tracing::warn!(why = explain(&error), "{SERVER} does not answer yet; it is waited for");
                }
                let pause = next.min(wait - waited);
                tokio::time::sleep(pause).await;
                (waited, next) = (waited + pause, (next * 2).min(START_PAUSE_MAX));
            }
            answer => return answer,
        }
    }
}

/// The pauses between two looks for a database that is not there yet, at first and at most.
const START_PAUSE_MIN: Duration = Duration::from_millis(250);
const START_PAUSE_MAX: Duration = Duration::from_secs(5);

/// What messages call the server. Its URL is a secret.
const SERVER: &str = "the PostgreSQL of DATABASE_URL";

#[cfg(test)]
mod tests {
    use super::*;

    fn away() -> StoreError {
        StoreError::Unavailable("connection refused".into())
    }

    #[tokio::test(start_paused = true)]
    async fn a_database_that_comes_late_is_waited_for_and_one_that_never_comes_is_not_waited_for_longer() {
        let mut looks = 0;
        let late = patiently(Duration::from_secs(30), async || {
            looks += 1;
            if looks < 4 { Err(away()) } else { Ok(looks) }
        });
        assert_eq!(late.await.unwrap(), 4);
        let mut looks = 0;
        let never = patiently(Duration::from_secs(30), async || {
            looks += 1;
            Err::<(), _>(away())
        });
        assert!(never.await.is_err());
        // After 0, 0.25, 0.75, 1.75, 3.75, 7.75, 12.75, 17.75, 22.75, 27.75 and 30 seconds.
        assert_eq!(looks, 11);
    }

    #[tokio::test(start_paused = true)]
    async fn what_an_operator_must_mend_is_told_at_once() {
        let mut looks = 0;
        let refused = patiently(Duration::from_secs(30), async || {
            looks += 1;
            Err::<(), _>(StoreError::Refused("password".into()))
        });
        assert!(refused.await.is_err());
        assert_eq!(looks, 1);
    }
}
