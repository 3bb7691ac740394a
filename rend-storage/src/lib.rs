//! What Rend remembers: ports, and the adapters behind them.
//!
//! A port is a small trait with a contract. The adapter in [`memory`] is the specification: every other adapter passes
//! the same suite (feature `conformance`), and one that differs is wrong. Storage decides nothing: numbers, times and
//! tokens come in as arguments, and which moves are legal is asked of `rend-core`.
//!
//! | port | remembers |
//! |---|---|
//! | [`objects::ObjectStore`] | bytes under a key |
//! | [`assets::AssetStore`] | assets, and with each move its event and the job it calls for |
//! | [`uploads::UploadStore`] | upload sessions |
//! | [`jobs::JobQueue`] | jobs and leases |
//! | [`events::EventLog`] | what happened, in order |
//! | [`edges::EdgeDirectory`], [`edges::PurgeLog`] | the fleet, and what it must forget |
//! | [`credentials::CredentialStore`] | API keys, by digest |
//! | [`analytics::Analytics`] | what edges served |
pub mod analytics;
pub mod assets;
#[cfg(feature = "conformance")]
pub mod conformance;
pub mod credentials;
pub mod edges;
mod error;
pub mod events;
#[cfg(feature = "fs")]
pub mod fs;
pub mod jobs;
mod lease;
pub mod memory;
pub mod objects;
#[cfg(feature = "sqlite")]
pub mod sqlite;
pub mod uploads;

pub use error::StoreError;
