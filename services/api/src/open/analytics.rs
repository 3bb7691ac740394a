use std::sync::Arc;

use rend_core::config::{Role, Settings, variable as v};
use rend_storage::analytics::Analytics;
use rend_storage::clickhouse::{ClickHouse, ClickHouseConfig};

use super::{Database, explain};

/// The analytics store that `settings` name: ClickHouse, or the database itself while they name none.
pub(super) async fn open(settings: &Settings, database: &Database) -> Result<Arc<dyn Analytics>, String> {
    let Some(store) = named(settings)? else { return Ok(database.analytics()) };
    let migrates = settings.bool(&v::REND_API_AUTO_MIGRATE) && settings.role() != Role::Worker;
    let version =
        if migrates { store.migrate().await.map(|_| ClickHouse::SCHEMA_VERSION) } else { store.schema_version().await };
    match version {
        Ok(version) if version < ClickHouse::SCHEMA_VERSION => {
            let newest = ClickHouse::SCHEMA_VERSION;
            return Err(format!(
                "{SERVER}: its schema is at version {version} and this program needs {newest}; run `rend-api migrate`"
            ));
        }
        Ok(_) => {}
        // Only analytics wait for it: edges keep their accounts until it is back.
        Err(error) if error.is_transient() => tracing::warn!(why = explain(&error), "{SERVER} does not answer"),
        Err(error) => return Err(format!("{SERVER}: {}", explain(&error))),
    }
    Ok(Arc::new(store))
}

/// Brings the schema of the ClickHouse that `settings` name to the newest version, if they name one.
pub(super) async fn migrate(settings: &Settings) -> Result<(), String> {
    let Some(store) = named(settings)? else { return Ok(()) };
    store.migrate().await.map(drop).map_err(|e| format!("{SERVER}: {}", explain(&e)))
}

fn named(settings: &Settings) -> Result<Option<ClickHouse>, String> {
    let Some(config) = ClickHouseConfig::from_settings(settings) else { return Ok(None) };
    ClickHouse::new(&config).map(Some).map_err(|e| format!("{SERVER}: {}", explain(&e)))
}

/// What messages call the server.
const SERVER: &str = "the ClickHouse of CLICKHOUSE_URL";
