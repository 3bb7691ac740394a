//! What a bounded cache of video keeps, fills and drops.
//!
//! An edge that serves video asks five things of its cache, and this crate answers them without a runtime, a clock or a network:
//! which bytes are here ([`Cache::lookup`]), who fetches what is missing while everybody else reads along ([`Cache::begin`]),
//! what has to go when the disk is full ([`policy`]), how a take-down outruns every fill and every crash ([`Cache::purge`]), and
//! what survives a restart ([`Cache::open`]).
//!
//! ```
//! use rend_cache::{Begin, Cache, Class, Config, Head, Key, KeyMeta, Lookup, memory::MemoryFiles};
//!
//! let (cache, _) = Cache::open(Config::new(64 << 20), MemoryFiles::shared(), 0)?;
//! let key = Key::new([7; 16], "hls/720p/segment_00000.m4s");
//! let Begin::Lead(mut writer) = cache.begin(&key, &KeyMeta::segment(0, Some(2)), None, 0) else { panic!("nobody else asked") };
//! writer.expect(Head::new("\"e1\"", "video/mp4").with_len(5), 0)?;
//! writer.push("hello".into(), 0)?;
//! writer.finish(1)?;
//! let Lookup::Hit(hit) = cache.lookup(&key, 2) else { panic!("it was just filled") };
//! assert_eq!(&hit.body()[..], b"hello");
//! # assert_eq!(KeyMeta::segment(0, None).class, Class::Startup);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! It does not fetch: the rim that owns the sockets pushes what it receives into a [`FillWriter`]. It does not wait: readers are
//! polled with a [`std::task::Waker`]. It does not know the time: every call takes `now_ms`, wall-clock milliseconds since the
//! Unix epoch. It does not decide who may read.
//!
//! Calls that may touch the disk say so. No lock is held while they do.

pub mod budget;
mod cache;
#[cfg(feature = "conformance")]
pub mod conformance;
mod error;
pub mod fence;
pub mod files;
mod fill;
pub mod footer;
#[cfg(feature = "fs")]
pub mod fs;
mod gone;
mod hot;
mod index;
pub mod journal;
mod key;
pub mod memory;
mod negative;
pub mod policy;
pub mod range;
pub mod replay;
/// What threads meet at in a fill.
mod sync {
    pub(crate) use std::sync::atomic::{AtomicUsize, Ordering};
    pub(crate) use std::sync::{Mutex, MutexGuard};
}
mod writer;

pub use cache::{
    Begin, Cache, ClassStats, Config, EntryState, EntryView, Fate, Freshness, Hit, Lookup, Purged, Recovered, Stats,
    Tier,
};
pub use error::{CacheError, FillError};
pub use fence::{Mode, Scope};
pub use fill::{FillReader, Head, Meta};
pub use gone::Gone;
pub use key::{Class, Generation, Key, KeyMeta};
pub use negative::{FailKind, Negative};
pub use writer::{Bypass, FillWriter, Finished, Placement};
