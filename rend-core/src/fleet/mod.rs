//! The fleet: which edges there are, how they report, and what they are told.
//!
//! [`ExpectedEdges`] says who may register, [`registry`] who is there, [`Agent`] keeps one edge registered, [`Fanout`]
//! brings one order to many, [`RevocationSet`] says which tokens are no longer believed, and [`wire`] is what they write to
//! one another.

mod agent;
mod expected;
mod fanout;
pub mod registry;
mod revoke;
pub mod wire;

use std::fmt;
use std::str::FromStr;

use crate::asset::{UnknownWord, named};
use crate::id::{AssetId, EdgeId};
use crate::time::Timestamp;

pub use agent::{Agent, AgentConfig, Ask, Heard};
pub use expected::{
    BadEntry, BadExpectedEdges, BadRegion, EXPECTED_EDGES_MAX, ExpectedEdge, ExpectedEdges, Region, Stranger,
};
pub use fanout::{Answer, Answered, Fanout, FanoutAsk, FanoutConfig};
pub use revoke::{BadRevoked, KeyName, REVOCATION_SECS, RevocationRow, RevocationSet, Revoked, TooManyRevoked};

/// One edge as the directory knows it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct EdgeRow {
    /// Its name.
    pub id: EdgeId,
    /// Its region.
    pub region: String,
    /// Where viewers reach it.
    pub public_url: String,
    /// Where the control plane reaches it.
    pub private_url: String,
    /// The version it runs.
    pub version: String,
    /// What it last said of itself.
    pub beat: Beat,
    /// When it registered.
    pub registered_at: Timestamp,
    /// When it was last heard.
    pub beat_at: Timestamp,
}

/// What an edge says of itself every few seconds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Beat {
    /// Whether it wants viewers.
    pub state: EdgeState,
    /// The most its cache may hold, in bytes.
    pub cache_bytes_max: u64,
    /// What its cache holds, in bytes.
    pub cache_bytes_used: u64,
    /// Artifacts in its cache.
    pub cache_entries: u64,
    /// Free bytes on the cache's file system.
    pub disk_bytes_free: u64,
    /// Fills in flight.
    pub fills: u32,
    /// Events that wait in its spool.
    pub spool_events: u64,
    /// Events it has lost since it started.
    pub dropped_events: u64,
    /// The last purge it has carried out.
    pub purge_seen: u64,
}

impl Beat {
    /// The beat of an edge in this state that holds nothing and has done nothing yet: every number is 0.
    pub const fn idle(state: EdgeState) -> Self {
        Self {
            state,
            cache_bytes_max: 0,
            cache_bytes_used: 0,
            cache_entries: 0,
            disk_bytes_free: 0,
            fills: 0,
            spool_events: 0,
            dropped_events: 0,
            purge_seen: 0,
        }
    }
}

named! {
    /// Whether an edge wants viewers.
    EdgeState {
        /// It does.
        Active = "active",
        /// It is finishing what it has.
        Draining = "draining",
        /// It is ready but not asked.
        Standby = "standby",
    }
}

/// One order to forget, in the order it was given.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PurgeRow {
    /// Its place in the log: 1, 2, 3, ….
    pub seq: u64,
    /// What to forget.
    pub asset: AssetId,
    /// When it was given.
    pub at: Timestamp,
}
