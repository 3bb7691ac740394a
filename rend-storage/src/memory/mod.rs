//! The adapters that keep everything in memory. They are the specification for all others.
//!
//! [`MemoryObjects`] keeps objects and [`MemoryLimiter`] counts requests; [`Memory`] is every other port at once, over
//! one lock, because a move of an asset, its event, its job and its fence are one transaction. Nothing here waits, so a
//! future of theirs is ready at its first poll as long as the body it is given is. What they hold grows with what is
//! written and ends with the process.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use rend_core::analytics::PlaybackEvent;
use rend_core::artifact::Rendition;
use rend_core::asset::Asset;
use rend_core::credential::Credential;
use rend_core::event::Event;
use rend_core::fleet::{EdgeRow, PurgeRow, RevocationRow};
use rend_core::id::{AssetId, CredentialId, EdgeId, JobId, LeaseToken, OrgId, UploadId};
use rend_core::job::Job;
use rend_core::media::ladder::Tier;
use rend_core::time::Timestamp;
use rend_core::upload::UploadSession;
use rend_core::usage::{CountedHour, Lengths};

mod analytics;
mod answers;
mod assets;
mod credentials;
mod edges;
mod events;
mod jobs;
mod leads;
mod limits;
mod objects;
mod retention;
mod revocations;
mod suspensions;
mod transfers;
mod uploads;
mod usage;
mod webhooks;

pub use limits::MemoryLimiter;
pub use objects::MemoryObjects;

/// All ports but the objects. Clones share what they hold.
#[derive(Clone, Default)]
pub struct Memory(Arc<Mutex<State>>);

impl Memory {
    /// Runs one transaction. Each writes only after it can no longer fail, so there is nothing to roll back.
    fn with<T>(&self, f: impl FnOnce(&mut State) -> T) -> T {
        f(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Memory").finish_non_exhaustive()
    }
}

#[derive(Default)]
struct State {
    assets: BTreeMap<AssetId, Asset>,
    uploads: BTreeMap<UploadId, UploadSession>,
    /// What came of those whose bytes come in pieces.
    come: BTreeMap<UploadId, transfers::Come>,
    jobs: BTreeMap<JobId, Held>,
    /// By place; some have gone from among them.
    events: Vec<Event>,
    /// The last place that was given to an event.
    event_head: u64,
    /// How many events each asset has.
    event_counts: BTreeMap<AssetId, u64>,
    edges: BTreeMap<EdgeId, EdgeRow>,
    /// By place; some have gone from among them.
    purges: Vec<PurgeRow>,
    /// The last place that was given to a purge.
    purge_head: u64,
    /// Those that have not expired, by place; some have gone from among them.
    revocations: Vec<RevocationRow>,
    /// The last place that was given.
    revocation_head: u64,
    /// The place of an order of an operator is its index and one.
    orders: Vec<rend_core::suspension::Entry>,
    webhooks: BTreeMap<rend_core::id::WebhookId, rend_core::webhook::Endpoint>,
    credentials: BTreeMap<CredentialId, Credential>,
    digests: BTreeMap<[u8; 32], CredentialId>,
    played: BTreeMap<[u8; 16], PlaybackEvent>,
    /// When each of those was recorded.
    recorded_at: BTreeMap<[u8; 16], Timestamp>,
    accounts: BTreeMap<(EdgeId, [u8; 8]), analytics::Account>,
    viewed: BTreeMap<([u8; 16], u32), rend_core::viewing::PlayerEvent>,
    counted: BTreeMap<Timestamp, CountedHour>,
    /// What each count added, and when, by what it corrects.
    corrections: BTreeMap<(OrgId, Timestamp, Tier, u32), (i64, Timestamp)>,
    lengths: BTreeMap<(AssetId, Rendition), Lengths>,
    leads: BTreeMap<String, (LeaseToken, Timestamp)>,
    answers: BTreeMap<[u8; 32], answers::Row>,
}

/// A job, and the token of the lease that holds.
struct Held {
    job: Job,
    token: Option<LeaseToken>,
}
