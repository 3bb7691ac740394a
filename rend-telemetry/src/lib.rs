//! From an event to a row, losing none silently.
//!
//! An edge records what it served. The record survives a crash, is delivered until it is acknowledged, and whatever
//! could not be kept is counted, with the count travelling beside the next batch. So the account adds up at every
//! moment:
//!
//! ```text
//! recorded + recovered = queued + spooled + acked + quarantined + dropped
//! ```
//!
//! ```text
//! request threads          one thread that may block                        the rim's client
//! Recorder::record ─▶ queue ─▶ Pump::step: append ▸ sync ▸ seal ─▶ Pump::shipment ─▶ POST
//!                                     Pump::on_answer ◀────────────────────────────── status, body
//! ```
//!
//! ```
//! use rend_core::time::{Mono, Timestamp};
//! use rend_telemetry::memory::MemoryFiles;
//! use rend_telemetry::{CacheStatus, Destination, Pump, PumpConfig, Served};
//!
//! let files = MemoryFiles::new();
//! let ingest = Destination { url: "http://control/internal/telemetry/playback".into(), bearer: "secret".into() };
//! let (recorder, mut pump) =
//!     Pump::open(PumpConfig::default(), files, ingest, [7; 8], "ash-1".parse()?, Mono::START)?;
//!
//! recorder.record(Served {
//!     observed_at: Timestamp::from_secs(1_800_000_000),
//!     org: None,
//!     asset: "018f0000-0000-7000-8000-000000000001".parse()?,
//!     session: None,
//!     path: "hls/720p/segment_00001.m4s".parse()?,
//!     object_bytes: Some(400_000),
//!     bytes_sent: 400_000,
//!     range_start: 0,
//!     status: 200,
//!     cache: CacheStatus::Hit,
//!     ttfb_us: 900,
//!     duration_ms: 40,
//!     aborted: false,
//! });
//!
//! pump.close(Mono::START);
//! let shipment = pump.shipment(Mono::START).expect("a sealed batch waits");
//! let answer = rend_core::http::Response { status: 200, body: bytes::Bytes::new() };
//! pump.on_answer(shipment.ticket, Some(&answer), Mono::START);
//! assert_eq!(pump.account().acked, 1);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! What it does not do: open connections, read clocks, or decide what is billed. Blocking calls happen in
//! [`files::SegmentFiles`] only, so a rim gives the [`Pump`] a thread of its own.
pub mod batch;
#[cfg(feature = "conformance")]
pub mod conformance;
pub mod files;
#[cfg(feature = "fs")]
pub mod fs;
pub mod memory;
pub mod pump;
pub mod recorder;
pub mod ship;
pub mod spool;
pub mod wire;

pub use pump::{Destination, Pump, PumpConfig, Shipment};
pub use recorder::{Account, Recorder, Served};
pub use rend_core::analytics::{CacheStatus, PlaybackBatch, PlaybackEvent};
