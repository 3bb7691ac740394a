//! What an edge served, one record a response, and what can be asked of many of them.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use crate::artifact::{ArtifactPath, Rendition};
use crate::asset::{UnknownWord, named};
use crate::id::{AssetId, EdgeId, OrgId};
use crate::time::Timestamp;

/// One response that an edge gave. It cannot hold an address, a token, a cookie or a URL.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PlaybackEvent {
    /// Which run of the edge: drawn at its start.
    pub boot: [u8; 8],
    /// Its place among that run's events: 1, 2, 3, … so that a gap shows.
    pub seq: u64,
    /// The edge.
    pub node: EdgeId,
    /// When the response ended, by the edge's clock. Part of the record: a repeat has the same.
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

impl PlaybackEvent {
    /// The sixteen bytes that name this event: the run, then the place in it.
    pub fn id(&self) -> [u8; 16] {
        let mut id = [0; 16];
        id[..8].copy_from_slice(&self.boot);
        id[8..].copy_from_slice(&self.seq.to_be_bytes());
        id
    }
}

named! {
    /// Where the bytes of a response came from.
    CacheStatus {
        /// From the cache.
        Hit = "HIT",
        /// From the origin, by the fill this request began.
        Miss = "MISS",
        /// From a fill that another request had begun.
        Coalesced = "COALESCED",
        /// From the origin, past the cache.
        Pass = "PASS",
        /// From the cache, after the origin said it had not changed.
        Revalidated = "REVALIDATED",
    }
}

/// Events that an edge delivers together. Delivering one again changes nothing.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PlaybackBatch {
    /// Which run of the edge.
    pub boot: [u8; 8],
    /// The edge.
    pub node: EdgeId,
    /// Events of this run that were lost before they could be kept, in total so far.
    pub dropped_total: u64,
    /// The events.
    pub events: Vec<PlaybackEvent>,
}

/// What became of a batch.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Recorded {
    /// Events that were new.
    pub new: u64,
    /// Events that were known already.
    pub repeated: u64,
}

/// What was served of an asset in a window.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct PlaybackReport {
    /// Responses.
    pub requests: u64,
    /// Body bytes.
    pub bytes: u64,
    /// Distinct sessions.
    pub sessions: u64,
    /// Responses by where the bytes came from.
    pub by_cache: BTreeMap<CacheStatus, u64>,
    /// Responses by status code.
    pub by_status: BTreeMap<u16, u64>,
    /// The first response in the window.
    pub first_seen: Option<Timestamp>,
    /// The last response in the window.
    pub last_seen: Option<Timestamp>,
}

impl PlaybackReport {
    /// Which share of the responses came from the cache without the origin being asked; none where nothing was served.
    pub fn hit_ratio(&self) -> Option<f64> {
        share(self.by_cache.get(&CacheStatus::Hit).copied().unwrap_or(0), self.requests)
    }
}

/// Which share of `whole` this `part` is; none of nothing.
pub(crate) fn share(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

/// What one edge served of one rendition.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Served {
    /// The edge.
    pub node: EdgeId,
    /// The rendition whose segments they are; none for everything that is no segment.
    pub rung: Option<Rendition>,
    /// Responses.
    pub requests: u64,
    /// Body bytes.
    pub bytes: u64,
}

/// What `events` come to by edge and rendition, in the order of their names as text, what is no segment first: what every
/// store answers.
pub fn served<'e>(events: impl IntoIterator<Item = &'e PlaybackEvent>) -> Vec<Served> {
    let mut parts = BTreeMap::<(&EdgeId, String), Served>::new();
    for event in events {
        let rung = if let ArtifactPath::Segment { rendition, .. } = event.path { Some(rendition) } else { None };
        let name = rung.map_or_else(String::new, |rung| rung.to_string());
        let none_yet = || Served { node: event.node.clone(), rung, requests: 0, bytes: 0 };
        let part = parts.entry((&event.node, name)).or_insert_with(none_yet);
        part.requests += 1;
        part.bytes = part.bytes.saturating_add(event.bytes_sent);
    }
    parts.into_values().collect()
}

/// How complete the account of one edge's run is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct NodeAccount {
    /// The edge.
    pub node: EdgeId,
    /// Which run of it.
    pub boot: [u8; 8],
    /// Events received.
    pub received: u64,
    /// The highest place received.
    pub seq_max: u64,
    /// Events the edge says it lost.
    pub dropped_total: u64,
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn event(boot: u8, seq: u64) -> PlaybackEvent {
        PlaybackEvent {
            boot: [boot; 8],
            seq,
            node: EdgeId::from_str("ash-1").unwrap(),
            observed_at: Timestamp::EPOCH,
            org: None,
            asset: AssetId::from_bytes([1; 16]),
            session: None,
            path: ArtifactPath::Master,
            object_bytes: None,
            bytes_sent: 0,
            range_start: 0,
            status: 200,
            cache: CacheStatus::Hit,
            ttfb_us: 0,
            duration_ms: 0,
            aborted: false,
        }
    }

    #[test]
    fn an_event_is_named_by_its_run_and_its_place_in_it() {
        let ids: BTreeSet<_> = [(1, 1), (1, 2), (1, 256), (2, 1)].map(|(boot, seq)| event(boot, seq).id()).into();
        assert_eq!(ids.len(), 4);
        assert_eq!(event(1, 2).id(), event(1, 2).id());
        assert!(event(1, 255).id() < event(1, 256).id(), "names sort as events happened");
    }

    #[test]
    fn what_was_served_adds_up_by_edge_and_rendition() {
        let segment = |rendition| ArtifactPath::Segment { rendition, index: 1 };
        let of = |seq, path, bytes_sent| PlaybackEvent { path, bytes_sent, ..event(1, seq) };
        let events = [
            of(1, segment(Rendition::P720), 10),
            of(2, ArtifactPath::Variant(Rendition::P720), 1),
            of(3, segment(Rendition::P1080), u64::MAX),
            of(4, segment(Rendition::P1080), 7),
            PlaybackEvent { node: "ash-0".parse().unwrap(), ..of(5, segment(Rendition::P720), 3) },
        ];
        let found = served(&events);
        let told: Vec<_> =
            found.iter().map(|part| (part.node.as_str(), part.rung, part.requests, part.bytes)).collect();
        let expected = [
            ("ash-0", Some(Rendition::P720), 1, 3),
            ("ash-1", None, 1, 1),
            ("ash-1", Some(Rendition::P1080), 2, u64::MAX),
            ("ash-1", Some(Rendition::P720), 1, 10),
        ];
        assert_eq!(told, expected);
    }

    /// A report of responses by where their bytes came from, and how many there were in all.
    #[track_caller]
    fn check(by_cache: &[(CacheStatus, u64)], requests: u64, expect: Option<f64>) {
        let report =
            PlaybackReport { requests, by_cache: by_cache.iter().copied().collect(), ..PlaybackReport::default() };
        assert_eq!(report.hit_ratio(), expect, "{by_cache:?} of {requests}");
    }

    #[test]
    fn only_what_the_cache_answered_alone_is_a_hit() {
        use CacheStatus::{Coalesced, Hit, Miss, Pass, Revalidated};
        check(&[], 0, None);
        check(&[(Hit, 0)], 0, None);
        check(&[], 3, Some(0.0));
        check(&[(Hit, 3)], 3, Some(1.0));
        check(&[(Hit, 3), (Miss, 1)], 4, Some(0.75));
        check(&[(Miss, 1), (Coalesced, 1), (Pass, 1), (Revalidated, 1)], 4, Some(0.0));
        check(&[(Hit, u64::MAX)], u64::MAX, Some(1.0));
    }

    #[test]
    fn where_bytes_came_from_prints_and_reads_back() {
        for status in CacheStatus::ALL {
            assert_eq!(status.to_string().parse(), Ok(*status));
        }
        assert_eq!("hit".parse::<CacheStatus>(), Err(UnknownWord));
    }
}
