//! What the edge counts. Every label takes one of a fixed set of words, so the number of series has a bound.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use rend_core::analytics::CacheStatus;
use rend_core::artifact::ArtifactPath;
use rend_shell::metrics::{Counter, Family, Gauge, Histogram, Metrics};

use crate::delivery::Facts;

/// Names and values of the labels of one series.
type Labels<const N: usize> = [(&'static str, &'static str); N];

/// The series of one kind of response. Found by place: looking them up by their labels would cost every request as much as
/// checking its token.
#[derive(Clone)]
struct Series {
    responses: Counter,
    bytes: Counter,
    first_byte: Histogram,
}

/// The edge's counters. Cheap to clone.
#[derive(Clone)]
pub(crate) struct EdgeMetrics {
    registry: Metrics,
    responses: Family<Labels<3>, Counter>,
    response_bytes: Family<Labels<2>, Counter>,
    first_byte: Family<Labels<1>, Histogram, fn() -> Histogram>,
    series: Arc<[OnceLock<Series>]>,
    shelves: Arc<[Shelf; SHELVES]>,
    pub(crate) responses_open: Gauge,
    pub(crate) denied: Family<Labels<1>, Counter>,
    pub(crate) fills: Family<Labels<1>, Counter>,
    pub(crate) fills_open: Gauge,
    pub(crate) origin: Family<Labels<2>, Counter>,
    pub(crate) origin_first_byte: Histogram,
    pub(crate) origin_bytes: Counter,
    pub(crate) overloads: Family<Labels<1>, Counter>,
    pub(crate) prefetches: Family<Labels<1>, Counter>,
    pub(crate) prefetch_used_bytes: Gauge,
    pub(crate) prefetch_wasted_bytes: Gauge,
    pub(crate) purges: Counter,
    pub(crate) purge_seen: Gauge,
    pub(crate) revoked: Gauge,
    pub(crate) cache_bytes: Gauge,
    pub(crate) cache_entries: Gauge,
    pub(crate) cache_evictions: Gauge,
    pub(crate) spool_bytes: Gauge,
    pub(crate) spool_events: Gauge,
    pub(crate) telemetry_dropped: Gauge,
    pub(crate) ready: Gauge,
}

impl fmt::Debug for EdgeMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EdgeMetrics")
    }
}

impl EdgeMetrics {
    /// Registers everything with `registry`.
    pub(crate) fn new(registry: Metrics) -> Self {
        let histogram: fn() -> Histogram = || Histogram::new(SECONDS);
        Self {
            responses: registry.register(
                "edge_responses",
                "Responses to verified playback requests, by what was asked, where the bytes came from and the status",
                Family::default(),
            ),
            response_bytes: registry.register(
                "edge_response_bytes",
                "Body bytes that left, by what was asked and where they came from",
                Family::default(),
            ),
            first_byte: registry.register(
                "edge_first_byte_seconds",
                "From request to first body byte",
                Family::new_with_constructor(histogram),
            ),
            responses_open: registry.register("edge_responses_open", "Responses under way", Gauge::default()),
            denied: registry.register("edge_denied", "Requests without a good token, by reason", Family::default()),
            fills: registry.register("edge_fills", "Fills that ended, by outcome", Family::default()),
            fills_open: registry.register("edge_fills_open", "Fills under way", Gauge::default()),
            origin: registry.register(
                "edge_origin_requests",
                "Requests to the origin, by kind and outcome",
                Family::default(),
            ),
            origin_first_byte: registry.register(
                "edge_origin_seconds",
                "From a request to the origin to its answer",
                histogram(),
            ),
            origin_bytes: registry.register("edge_origin_bytes", "Bytes read from the origin", Counter::default()),
            overloads: registry.register("edge_overloads", "Requests turned away, by bound", Family::default()),
            prefetches: registry.register(
                "edge_prefetches",
                "Next segments fetched ahead, by outcome",
                Family::default(),
            ),
            prefetch_used_bytes: registry.register(
                "edge_prefetch_used_bytes",
                "Bytes fetched ahead that somebody then asked for, since the start",
                Gauge::default(),
            ),
            prefetch_wasted_bytes: registry.register(
                "edge_prefetch_wasted_bytes",
                "Bytes fetched ahead that went without anybody having asked for them, since the start",
                Gauge::default(),
            ),
            purges: registry.register("edge_purges", "Purges carried out", Counter::default()),
            purge_seen: registry.register("edge_purge_seen", "Place of the last purge carried out", Gauge::default()),
            revoked: registry.register(
                "edge_revoked",
                "Keys, organisations, assets and sessions whose tokens are refused",
                Gauge::default(),
            ),
            cache_bytes: registry.register("edge_cache_bytes", "Bytes in the cache", Gauge::default()),
            cache_entries: registry.register("edge_cache_entries", "Artifacts in the cache", Gauge::default()),
            cache_evictions: registry.register(
                "edge_cache_evictions",
                "Artifacts evicted since the start",
                Gauge::default(),
            ),
            spool_bytes: registry.register("edge_spool_bytes", "Bytes in the telemetry spool", Gauge::default()),
            spool_events: registry.register("edge_spool_events", "Events that wait to be shipped", Gauge::default()),
            telemetry_dropped: registry.register(
                "edge_telemetry_dropped",
                "Events lost since the start",
                Gauge::default(),
            ),
            ready: registry.register("edge_ready", "1 while /readyz says ready", Gauge::default()),
            shelves: Arc::default(),
            series: (0..CLASSES.len() * CacheStatus::ALL.len() * STATUSES.len()).map(|_| OnceLock::new()).collect(),
            registry,
        }
    }

    /// Everything as text.
    pub(crate) fn render(&self) -> String {
        for shelf in self.shelves.iter() {
            self.put_away(&mut shelf.0.lock().unwrap_or_else(PoisonError::into_inner));
        }
        self.registry.render()
    }

    /// Counts a response that is over.
    pub(crate) fn response_over(&self, facts: &Facts, sent_bytes: u64, first_byte_us: u64) {
        let (class, status) = (class(&facts.path), status(facts.status));
        let place = (class * CacheStatus::ALL.len() + facts.cache as usize) * STATUSES.len() + status;
        let shelf = &self.shelves[SHELF.with(|shelf| *shelf)];
        let mut shelf = shelf.0.lock().unwrap_or_else(PoisonError::into_inner);
        shelf.push(Over { place, sent_bytes, first_byte_us });
        if shelf.len() == SHELF_MAX {
            self.put_away(&mut shelf);
        }
    }

    /// Counts what lies on a shelf in the series that everybody shares.
    fn put_away(&self, shelf: &mut Vec<Over>) {
        for Over { place, sent_bytes, first_byte_us } in shelf.drain(..) {
            let Some(cell) = self.series.get(place) else { continue };
            let series = cell.get_or_init(|| self.series_at(place));
            series.responses.inc();
            series.bytes.inc_by(sent_bytes);
            // Microseconds up to a day are exact in an f64.
            series.first_byte.observe(first_byte_us as f64 / 1e6);
        }
    }

    fn series_at(&self, place: usize) -> Series {
        let (rest, status) = (place / STATUSES.len(), STATUSES[place % STATUSES.len()]);
        let cache = CacheStatus::ALL[rest % CacheStatus::ALL.len()].as_str();
        let class = CLASSES[rest / CacheStatus::ALL.len()];
        let labels = [("artifact", class), ("cache", cache), ("status", status)];
        Series {
            responses: self.responses.get_or_create(&labels).clone(),
            bytes: self.response_bytes.get_or_create(&[("artifact", class), ("cache", cache)]).clone(),
            first_byte: self.first_byte.get_or_create(&[("cache", cache)]).clone(),
        }
    }
}

/// A response that is over and not yet counted.
struct Over {
    place: usize,
    sent_bytes: u64,
    first_byte_us: u64,
}

/// Where the threads of one shelf leave what is over. It has a pair of cache lines of its own: neighbours that are written by different
/// cores would be passed between them at every response.
#[derive(Default)]
#[repr(align(128))]
struct Shelf(Mutex<Vec<Over>>);

/// Threads are given shelves in turn.
static SHELVES_TAKEN: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static SHELF: usize = SHELVES_TAKEN.fetch_add(1, Ordering::Relaxed) % SHELVES;
}

/// The place of a kind of artifact in [`CLASSES`].
const fn class(path: &ArtifactPath) -> usize {
    match path {
        ArtifactPath::Master | ArtifactPath::ClipMaster(_) => 1,
        ArtifactPath::Variant(_) | ArtifactPath::ClipVariant { .. } => 2,
        ArtifactPath::IFrames(_) => 3,
        ArtifactPath::Init(_) => 4,
        ArtifactPath::Segment { .. } => 5,
        ArtifactPath::Opener => 6,
        ArtifactPath::Poster => 7,
        ArtifactPath::ThumbSprite | ArtifactPath::ThumbTrack => 8,
        ArtifactPath::Captions(_) | ArtifactPath::CaptionSegment { .. } | ArtifactPath::ClipCaptions { .. } => 9,
        ArtifactPath::Download(_) => 10,
        _ => 0,
    }
}

/// The place of a status in [`STATUSES`]; those that the edge does not give share one.
const fn status(status: u16) -> usize {
    match status {
        200 => 1,
        206 => 2,
        304 => 3,
        404 => 4,
        416 => 5,
        502 => 6,
        503 => 7,
        504 => 8,
        _ => 0,
    }
}

/// More threads than this share.
const SHELVES: usize = 16;
/// What a shelf holds before it is put away.
const SHELF_MAX: usize = 256;
/// The words for kinds of artifact.
const CLASSES: [&str; 11] = [
    "other",
    "master",
    "variant",
    "iframes",
    "init",
    "segment",
    "opener",
    "poster",
    "storyboard",
    "captions",
    "download",
];
/// The words for statuses.
const STATUSES: [&str; 9] = ["other", "200", "206", "304", "404", "416", "502", "503", "504"];
/// Upper ends of the histograms' buckets.
const SECONDS: [f64; 14] =
    [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 2.5, 10.0];
