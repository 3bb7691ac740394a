use std::path::{Path, PathBuf};
use std::sync::Arc;

use rend_core::config::{Settings, variable as v};
use rend_storage::analytics::Analytics;
use rend_storage::objects::ObjectStore;
use rend_storage::sqlite::Sqlite;

use super::explain;
use crate::state::Stores;

/// The open database. Clones share it.
#[derive(Clone, Debug)]
pub enum Database {
    /// One file on this machine.
    Sqlite(Sqlite),
}

impl Database {
    /// What edges served, kept in the database itself.
    pub fn analytics(&self) -> Arc<dyn Analytics> {
        match self {
            Self::Sqlite(store) => Arc::new(store.clone()),
        }
    }

    /// Every port: those of the database, and the two that may lie elsewhere.
    pub fn stores(self, objects: Arc<dyn ObjectStore>, analytics: Arc<dyn Analytics>) -> Stores {
        match self {
            Self::Sqlite(store) => {
                let store = Arc::new(store);
                Stores {
                    objects,
                    assets: store.clone(),
                    uploads: store.clone(),
                    jobs: store.clone(),
                    events: store.clone(),
                    edges: store.clone(),
                    purges: store.clone(),
                    credentials: store,
                    analytics,
                }
            }
        }
    }
}

/// The database that `DATABASE_URL` names, open and with a schema that this program knows.
///
/// # Errors
///
/// A sentence for the person at the terminal.
pub async fn database(settings: &Settings) -> Result<Database, String> {
    let path = file(settings)?;
    let store = Sqlite::open(&path).map_err(|e| format!("{}: {}", path.display(), explain(&e)))?;
    Ok(Database::Sqlite(store))
}

/// Brings the schema of the database that `DATABASE_URL` names to the newest version, and answers the one it had.
///
/// # Errors
///
/// A sentence for the person at the terminal.
pub async fn migrate(settings: &Settings) -> Result<u32, String> {
    Sqlite::migrate(file(settings)?).map_err(|e| explain(&e))
}

fn file(settings: &Settings) -> Result<PathBuf, String> {
    settings.database(&v::DATABASE_URL).map(Path::to_path_buf).ok_or_else(|| "DATABASE_URL is not set".to_owned())
}
