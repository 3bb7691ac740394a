use std::sync::Arc;

use rend_core::config::Settings;
use rend_storage::analytics::Analytics;

use super::Database;

/// The analytics store that `settings` name: the database itself while they name no other.
pub(super) async fn open(_settings: &Settings, database: &Database) -> Result<Arc<dyn Analytics>, String> {
    Ok(database.analytics())
}
