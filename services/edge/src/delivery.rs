//! The account of one response: what left, how soon, and whether the viewer stayed.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rend_core::analytics::CacheStatus;
use rend_core::artifact::ArtifactPath;
use rend_core::id::{AssetId, OrgId};
use rend_core::time::{Clock, Mono, Timestamp};

use crate::metrics::EdgeMetrics;
use crate::telemetry::Telemetry;

/// What is known of a response when its head leaves.
#[derive(Clone, Debug)]
pub(crate) struct Facts {
    pub(crate) org: Option<OrgId>,
    pub(crate) session: Option<[u8; 7]>,
    pub(crate) asset: AssetId,
    pub(crate) path: ArtifactPath,
    pub(crate) object_bytes: Option<u64>,
    pub(crate) range_start: u64,
    pub(crate) status: u16,
    pub(crate) cache: CacheStatus,
    /// When the request came, by both clocks.
    pub(crate) started: Mono,
    pub(crate) asked_at: Timestamp,
}

/// Where finished responses are reported.
pub(crate) struct Accounts {
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) telemetry: Telemetry,
    pub(crate) metrics: EdgeMetrics,
}

impl fmt::Debug for Accounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Accounts")
    }
}

impl Accounts {
    /// Writes the record of a response that is over: `sent` bytes of `body_bytes` left, the first after `first_us` and the last after
    /// `over_us`.
    pub(crate) fn over(&self, facts: &Facts, body_bytes: u64, sent: u64, first_us: u64, over_us: u64) {
        self.metrics.response_over(facts, sent, first_us);
        let over_at = facts.asked_at + Duration::from_micros(over_us);
        self.telemetry.record(facts, sent, first_us, over_us / 1000, sent < body_bytes, over_at);
    }

    /// Microseconds since the request of `facts` came.
    pub(crate) fn elapsed_us(&self, facts: &Facts) -> u64 {
        u64::try_from(self.clock.mono().since(facts.started).as_micros()).unwrap_or(NOT_YET - 1)
    }
}

/// One response under way. It is held by the response's body and by every piece that waits in a socket; when the last
/// of them lets go, the response is over, and its record is written.
#[derive(Debug)]
pub(crate) struct Delivery {
    accounts: Arc<Accounts>,
    facts: Facts,
    body_bytes: u64,
    sent_bytes: AtomicU64,
    first_byte_us: AtomicU64,
    pieces: AtomicU64,
}

impl Delivery {
    /// A response that will have `body_bytes` of body.
    pub(crate) fn begin(accounts: &Arc<Accounts>, facts: Facts, body_bytes: u64) -> Arc<Self> {
        accounts.metrics.responses_open.inc();
        Arc::new(Self {
            accounts: Arc::clone(accounts),
            facts,
            body_bytes,
            sent_bytes: AtomicU64::new(0),
            first_byte_us: AtomicU64::new(NOT_YET),
            pieces: AtomicU64::new(0),
        })
    }

    /// Counts `bytes` of body as having left.
    pub(crate) fn add(&self, bytes: u64) {
        if self.first_byte_us.load(Ordering::Relaxed) == NOT_YET {
            self.first_byte_us.store(self.elapsed_us(), Ordering::Relaxed);
        }
        self.pieces.fetch_add(1, Ordering::Relaxed);
        self.sent_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    fn elapsed_us(&self) -> u64 {
        self.accounts.elapsed_us(&self.facts)
    }
}

impl Drop for Delivery {
    fn drop(&mut self) {
        let sent = *self.sent_bytes.get_mut();
        let first = *self.first_byte_us.get_mut();
        // A body that left in one piece was over when it began: the clock need not be asked again.
        let over_us = if sent == self.body_bytes && *self.pieces.get_mut() == 1 { first } else { self.elapsed_us() };
        let first_us = if first == NOT_YET { over_us } else { first };
        self.accounts.metrics.responses_open.dec();
        self.accounts.over(&self.facts, self.body_bytes, sent, first_us, over_us);
    }
}

const NOT_YET: u64 = u64::MAX;
