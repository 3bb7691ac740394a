use std::path::Path;
use std::sync::Arc;

use rend_core::config::{Role, Settings, variable as v};
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
                    credentials: store,
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
    Postgres::connect(&options).await.map_err(|e| format!("{SERVER}: {}", explain(&e)))
}

/// What messages call the server. Its URL is a secret.
const SERVER: &str = "the PostgreSQL of DATABASE_URL";
