//! Opens what the environment names: which adapters stand behind the ports is decided here and nowhere else.

mod analytics;
mod database;
mod objects;

use rend_core::config::Settings;
use rend_storage::StoreError;

use crate::state::Stores;

pub use database::{Database, database};

/// Every store that `settings` name, open.
///
/// # Errors
///
/// A sentence for the person at the terminal that names the variable and says what is wrong.
pub async fn stores(settings: &Settings) -> Result<Stores, String> {
    let objects = objects::open(settings).await?;
    let database = database(settings).await?;
    let analytics = analytics::open(settings, &database).await?;
    Ok(database.stores(objects, analytics))
}

/// Brings the schemas of the database and of ClickHouse, where it is named, to the newest versions, and answers the one
/// that the database had.
///
/// # Errors
///
/// A sentence for the person at the terminal, without any URL.
pub async fn migrate(settings: &Settings) -> Result<u32, String> {
    let had = database::migrate(settings).await?;
    analytics::migrate(settings).await?;
    Ok(had)
}

/// An error with its causes, in one line.
pub(crate) fn explain(error: &StoreError) -> String {
    let mut said = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(why) = cause {
        said.push_str(": ");
        said.push_str(&why.to_string());
        cause = why.source();
    }
    said
}
