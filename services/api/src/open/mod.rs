//! Opens what the environment names: which adapters stand behind the ports is decided here and nowhere else.

mod analytics;
mod database;
mod objects;

use std::time::Duration;

use rend_core::config::{Settings, variable as v};
use rend_storage::StoreError;
use rend_storage::redis::Redis;

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

/// The Redis that `settings` name, if they name one. It may be away; what is asked of it says so then.
///
/// # Errors
///
/// A sentence for the person at the terminal, without the URL.
pub fn redis(settings: &Settings) -> Result<Option<Redis>, String> {
    let Some(url) = settings.secret(&v::REND_REDIS_URL) else { return Ok(None) };
    Redis::new(url.expose(), REDIS_WITHIN).map(Some).map_err(|e| format!("REND_REDIS_URL: {}", explain(&e)))
}

/// How long Redis may take to answer: a request waits for it.
const REDIS_WITHIN: Duration = Duration::from_millis(500);

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
