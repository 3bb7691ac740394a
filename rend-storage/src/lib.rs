//! What Rend remembers: ports, and the adapters behind them.
//!
//! A port is a small trait with a contract. The adapter in [`memory`] is the specification: every other adapter passes
//! the same suite (feature `conformance`), and one that differs is wrong. Storage decides nothing: numbers, times and
//! tokens come in as arguments, and which moves are legal is asked of `rend-core`.
//!
//! | port | remembers |
//! |---|---|
//! | [`objects::ObjectStore`] | bytes under a key |
//! | [`multipart::PartStore`] | the same in parts, put one by one |
//! | [`assets::AssetStore`] | assets, and with each move its event and the job it calls for |
//! | [`uploads::UploadStore`] | upload sessions |
//! | [`transfers::TransferStore`] | how far those in pieces have come |
//! | [`jobs::JobQueue`] | jobs and leases |
//! | [`events::EventLog`] | what happened, in order |
//! | [`edges::EdgeDirectory`], [`edges::PurgeLog`] | the fleet, and what it must forget |
//! | [`revocations::RevocationLog`] | tokens that are no longer believed |
//! | [`suspensions::SuspensionLog`] | what operators took out of service, who and why |
//! | [`webhooks::WebhookStore`] | who is told of events, and how far |
//! | [`credentials::CredentialStore`] | API keys, by digest |
//! | [`analytics::Analytics`] | what edges served |
//! | [`usage::UsageLedger`] | what that came to, by organisation, tier and hour |
//! | [`answers::AnswerStore`] | what was answered to requests that name themselves |
//! | [`leads::Leads`] | which process does what only one should do |
//! | [`retention::Retention`] | nothing: it lets go of what is old |
//! | [`limits::Limiter`] | how often each asker has asked lately |
//!
//! ```
//! use futures::executor::block_on;
//! use rend_core::id::AssetId;
//! use rend_core::time::Timestamp;
//! use rend_storage::edges::PurgeLog;
//! use rend_storage::memory::Memory;
//!
//! let store = Memory::default();
//! let forget = store.append_purge(AssetId::from_bytes([1; 16]), Timestamp::EPOCH);
//! assert_eq!(block_on(forget)?, 1);
//! assert_eq!(block_on(store.purge_head())?, 1);
//! # Ok::<(), rend_storage::StoreError>(())
//! ```
//!
//! Feature `fs` adds `fs::FsObjects`, objects as files; feature `sqlite` adds `sqlite::Sqlite`, all other ports in one
//! file; feature `s3` adds `s3::S3Objects`, objects in a bucket; feature `clickhouse` adds `clickhouse::ClickHouse`, what edges served. Nothing here keeps a cache, and adapters on this machine
//! try nothing again: that is for callers, whom [`StoreError::is_transient`] tells when it can help.
pub mod analytics;
pub mod answers;
pub mod assets;
#[cfg(feature = "clickhouse")]
pub mod clickhouse;
#[cfg(feature = "conformance")]
pub mod conformance;
pub mod credentials;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod documents;
pub mod edges;
mod error;
pub mod events;
#[cfg(feature = "fs")]
pub mod fs;
pub mod jobs;
pub mod leads;
pub mod lease;
pub mod limits;
pub mod memory;
#[cfg(all(test, any(feature = "clickhouse", feature = "postgres", feature = "sqlite")))]
mod migrations;
pub mod multipart;
pub mod objects;
#[cfg(feature = "postgres")]
pub mod postgres;
#[cfg(feature = "redis")]
pub mod redis;
pub mod retention;
pub mod revocations;
#[cfg(feature = "s3")]
pub mod s3;
#[cfg(feature = "sqlite")]
pub mod sqlite;
pub mod suspensions;
pub mod transfers;
pub mod uploads;
pub mod usage;
pub mod webhooks;

pub use error::StoreError;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
