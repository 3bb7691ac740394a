//! The side that request threads see: hand over an event and go on.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::SyncSender;

use rend_core::analytics::{CacheStatus, PlaybackEvent};
use rend_core::artifact::ArtifactPath;
use rend_core::id::{AssetId, EdgeId, OrgId};
use rend_core::time::Timestamp;

/// What an edge knows of one response it gave. The [`Recorder`] adds which edge, which run and which place.
///
/// Like [`PlaybackEvent`], it cannot hold an address, a token, a cookie or a URL.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Served {
    /// When the response ended, by the edge's clock.
    pub observed_at: Timestamp,
    /// Who owns the asset, if the token said so.
    pub org: Option<OrgId>,
    /// The asset.
    pub asset: AssetId,
    /// The viewer's session, if the token named one.
    pub session: Option<[u8; 7]>,
    /// What was asked for.
    pub path: ArtifactPath,
    /// The whole object's length, if known.
    pub object_bytes: Option<u64>,
    /// Body bytes that left.
    pub bytes_sent: u64,
    /// The first byte asked for; 0 without a range.
    pub range_start: u64,
    /// The status code.
    pub status: u16,
    /// Where the bytes came from.
    pub cache: CacheStatus,
    /// From request to first body byte, in microseconds.
    pub ttfb_us: u64,
    /// From request to last body byte, in milliseconds.
    pub duration_ms: u64,
    /// The viewer left before the end.
    pub aborted: bool,
}

/// Where request threads leave what they served. Cheap to clone; all clones feed one [`Pump`](crate::Pump).
///
/// The queue is bounded. Its last quarter is reserved for events that bill, so the others are lost first.
#[derive(Clone)]
pub struct Recorder {
    queue: SyncSender<Queued>,
    counts: Arc<Counts>,
    node: EdgeId,
}

/// An event on its way to the pump, and its place among those of this run. The run and the edge are the same for all and are
/// added there.
pub(crate) struct Queued {
    pub(crate) seq: u64,
    pub(crate) served: Served,
}

impl Queued {
    /// The event of the run `boot` on `node`.
    pub(crate) fn into_event(self, boot: [u8; 8], node: EdgeId) -> PlaybackEvent {
        let Self { seq, served } = self;
        PlaybackEvent {
            boot,
            seq,
            node,
            observed_at: served.observed_at,
            org: served.org,
            asset: served.asset,
            session: served.session,
            path: served.path,
            object_bytes: served.object_bytes,
            bytes_sent: served.bytes_sent,
            range_start: served.range_start,
            status: served.status,
            cache: served.cache,
            ttfb_us: served.ttfb_us,
            duration_ms: served.duration_ms,
            aborted: served.aborted,
        }
    }
}

impl Recorder {
    pub(crate) const fn new(queue: SyncSender<Queued>, counts: Arc<Counts>, node: EdgeId) -> Self {
        Self { queue, counts, node }
    }

    /// Leaves `served` for the pump, and answers whether there was room. Never blocks and never fails: without room,
    /// the event is counted as dropped.
    ///
    /// Each call takes the next place of this run (1, 2, 3, …), kept or not, so a lost event leaves a gap that shows.
    pub fn record(&self, served: Served) -> bool {
        let seq = self.counts.recorded.fetch_add(1, Ordering::Relaxed) + 1;
        let grade = Grade::of(&served);
        let queued = self.counts.queued.fetch_add(1, Ordering::Relaxed);
        let room = match grade {
            Grade::Billing => true,
            Grade::Other => queued < self.counts.queue_others_max.load(Ordering::Relaxed),
        };
        if room && self.queue.try_send(Queued { seq, served }).is_ok() {
            return true;
        }
        self.counts.queued.fetch_sub(1, Ordering::Relaxed);
        self.counts.drop_one(grade);
        self.counts.ring_dropped.fetch_add(1, Ordering::Relaxed);
        false
    }

    /// Where every event is, at this moment. While other threads record, the figures may lag each other by the events
    /// on their way.
    pub fn account(&self) -> Account {
        self.counts.account()
    }
}

impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recorder").field("node", &self.node).field("account", &self.account()).finish_non_exhaustive()
    }
}

/// Where every event is. `recorded + recovered = queued + spooled + acked + quarantined + dropped`, at every moment at
/// which no thread is recording.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Account {
    /// Events handed to [`Recorder::record`] in this run.
    pub recorded: u64,
    /// Events of earlier runs found in the spool when it was opened.
    pub recovered: u64,
    /// Events in memory, on their way to the spool. A crash loses these.
    pub queued: u64,
    /// Events in the spool that are not acknowledged.
    pub spooled: u64,
    /// Events that the other side has acknowledged.
    pub acked: u64,
    /// Events that the other side would not take, kept in quarantine files.
    pub quarantined: u64,
    /// Events lost that bill: responses that carried media.
    pub dropped_billing: u64,
    /// Events lost that do not bill.
    pub dropped_other: u64,
    /// Bytes on disk: segments and quarantine.
    pub spooled_bytes: u64,
}

impl Account {
    /// Events lost in this run, of both kinds. It is what an edge's heartbeat says.
    pub const fn dropped(&self) -> u64 {
        self.dropped_billing + self.dropped_other
    }

    /// Whether every event is somewhere.
    pub const fn adds_up(&self) -> bool {
        self.recorded + self.recovered
            == self.queued + self.spooled + self.acked + self.quarantined + self.dropped_billing + self.dropped_other
    }
}

/// Whether an event bills, which says who is lost last.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Grade {
    Billing,
    Other,
}

impl Grade {
    pub(crate) const fn of(served: &Served) -> Self {
        match (served.path, served.status, served.bytes_sent) {
            (ArtifactPath::Segment { .. } | ArtifactPath::Opener, 200 | 206, 1..) => Self::Billing,
            _ => Self::Other,
        }
    }
}

/// The figures that any thread may read.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) recorded: AtomicU64,
    pub(crate) recovered: AtomicU64,
    pub(crate) queued: AtomicU64,
    pub(crate) queue_others_max: AtomicU64,
    pub(crate) ring_dropped: AtomicU64,
    pub(crate) spooled: AtomicU64,
    pub(crate) spooled_bytes: AtomicU64,
    pub(crate) acked: AtomicU64,
    pub(crate) quarantined: AtomicU64,
    pub(crate) dropped_billing: AtomicU64,
    pub(crate) dropped_other: AtomicU64,
}

impl Counts {
    pub(crate) fn drop_one(&self, grade: Grade) {
        match grade {
            Grade::Billing => &self.dropped_billing,
            Grade::Other => &self.dropped_other,
        }
        .fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn account(&self) -> Account {
        let get = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Account {
            recorded: get(&self.recorded),
            recovered: get(&self.recovered),
            queued: get(&self.queued),
            spooled: get(&self.spooled),
            acked: get(&self.acked),
            quarantined: get(&self.quarantined),
            dropped_billing: get(&self.dropped_billing),
            dropped_other: get(&self.dropped_other),
            spooled_bytes: get(&self.spooled_bytes),
        }
    }
}
