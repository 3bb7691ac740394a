//! What was delivered, in seconds of media by owner, tier and hour: recomputed from the records of edges alone.
//!
//! Of a segment that was sent with 200 or 206, the share of its bytes that left counts as that share of its length. Ranges
//! add up; what one session takes of one segment within ten minutes counts once at most, so that a player which asks again
//! is not billed again. Playlists, initialisation segments, key-frame lists, stills, downloads and refusals count nothing: a
//! download is a file to keep, not minutes that were watched, and what was sent of it stands in the records. A record
//! that comes twice counts once, and the order in which records come changes nothing.
//!
//! ```
//! use rend_core::media::ladder::Tier;
//! use rend_core::metering::{Meter, Segment};
//!
//! let meter = Meter::default();
//! let bill = meter.bill(|_, _, _| Some(Segment { micros: 4_000_000, tier: Tier::P720 }));
//! assert!(bill.lines.is_empty() && bill.unknown.is_empty());
//! ```

use std::collections::{BTreeMap, BTreeSet};

use crate::analytics::PlaybackEvent;
use crate::artifact::{ArtifactPath, Rendition};
use crate::id::{AssetId, OrgId};
use crate::media::ladder::Tier;
use crate::time::Timestamp;

/// Takes in records and says what they come to.
#[derive(Clone, Debug, Default)]
pub struct Meter {
    known: BTreeSet<[u8; 16]>,
    parts: BTreeMap<Part, Bytes>,
}

/// What a record counted for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Counted {
    /// Bytes of a segment.
    Delivered,
    /// Nothing, by the rule.
    Free,
    /// Nothing, since it was counted before.
    Repeated,
    /// Nothing, since [`EVENTS_MAX`] records were taken in. What was counted before still stands.
    Full,
}

/// What is known of a segment beside its name.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Segment {
    /// Its length in microseconds.
    pub micros: u64,
    /// What its minutes are counted as.
    pub tier: Tier,
}

/// What was taken of one segment, as often as the same much was: what a store answers instead of every record.
///
/// It is made by the rule of [`Meter`]: bytes of one session in one stretch of [`STRETCH_MS`] added up, no response and no
/// object counted above [`BYTES_MAX`], and no more than the whole.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Taking {
    /// The asset.
    pub asset: AssetId,
    /// Who owns it, if the tokens said so.
    pub org: Option<OrgId>,
    /// The path of the segment, as it prints; takings sort by it.
    pub path: String,
    /// Bytes that left, at most the whole.
    pub sent: u64,
    /// The whole object's length; 0 when it is not known.
    pub whole: u64,
    /// How many such takings there were.
    pub times: u64,
}

/// What is summed apart.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Line {
    /// Who owns the assets, if the tokens said so.
    pub org: Option<OrgId>,
    /// The tier.
    pub tier: Tier,
    /// The start of the UTC hour.
    pub hour: Timestamp,
}

/// What records come to.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Bill {
    /// Delivered microseconds of media.
    pub lines: BTreeMap<Line, u64>,
    /// How often a rendition's segments were sent of which the length is not known. They are in no line.
    pub unknown: BTreeMap<(AssetId, Rendition), u64>,
}

impl Meter {
    /// Takes in one record.
    pub fn add(&mut self, event: &PlaybackEvent) -> Counted {
        if self.known.contains(&event.id()) {
            return Counted::Repeated;
        }
        if self.known.len() >= EVENTS_MAX {
            return Counted::Full;
        }
        self.known.insert(event.id());
        let ArtifactPath::Segment { rendition, index } = event.path else { return Counted::Free };
        if !matches!(event.status, 200 | 206) || event.bytes_sent == 0 {
            return Counted::Free;
        }
        let part = Part {
            org: event.org,
            asset: event.asset,
            rendition,
            index,
            // Without a session nothing tells one viewer from another, so each response stands for itself.
            viewer: event.session.map_or_else(|| Viewer::Response(event.id()), Viewer::Session),
            stretch: event.observed_at.as_millis() / STRETCH_MS,
        };
        let bytes = self.parts.entry(part).or_default();
        bytes.sent = bytes.sent.saturating_add(event.bytes_sent.min(BYTES_MAX));
        bytes.whole = bytes.whole.max(event.object_bytes.unwrap_or(0).min(BYTES_MAX));
        Counted::Delivered
    }

    /// What the records come to, with `segment` saying how long a segment is.
    pub fn bill(&self, mut segment: impl FnMut(AssetId, Rendition, u32) -> Option<Segment>) -> Bill {
        let mut bill = Bill::default();
        for (part, bytes) in &self.parts {
            // Stretches do not cross hours.
            let hour = Timestamp::from_millis(part.stretch * STRETCH_MS).hour();
            let known = segment(part.asset, part.rendition, part.index);
            bill.add(part.org, (part.asset, part.rendition), hour, (bytes.sent, bytes.whole), 1, known);
        }
        bill
    }

    /// What was taken in of the hour that begins at `hour`, in their order. A store that keeps records answers the same.
    pub fn takings(&self, hour: Timestamp) -> Vec<Taking> {
        self.gathered(|part| Timestamp::from_millis(part.stretch * STRETCH_MS).hour() == hour.hour())
    }

    /// What was taken in of any hour.
    pub fn all_takings(&self) -> Vec<Taking> {
        self.gathered(|_| true)
    }

    fn gathered(&self, wanted: impl Fn(&Part) -> bool) -> Vec<Taking> {
        let mut takings = BTreeMap::new();
        for (part, bytes) in self.parts.iter().filter(|(part, _)| wanted(part)) {
            let path = ArtifactPath::Segment { rendition: part.rendition, index: part.index }.to_string();
            let sent = bytes.sent.min(bytes.whole);
            *takings.entry((part.asset, part.org, path, sent, bytes.whole)).or_insert(0) += 1;
        }
        let taking = |((asset, org, path, sent, whole), times)| Taking { asset, org, path, sent, whole, times };
        takings.into_iter().map(taking).collect()
    }
}

impl Bill {
    /// Adds a taking of the hour that begins at `hour`, with `segment` saying how long a segment is. What is no segment
    /// adds nothing.
    pub fn take(
        &mut self,
        taking: &Taking,
        hour: Timestamp,
        segment: impl FnOnce(AssetId, Rendition, u32) -> Option<Segment>,
    ) {
        let Ok(ArtifactPath::Segment { rendition, index }) = taking.path.parse() else { return };
        let known = segment(taking.asset, rendition, index);
        let bytes = (taking.sent, taking.whole);
        self.add(taking.org, (taking.asset, rendition), hour.hour(), bytes, taking.times, known);
    }

    fn add(
        &mut self,
        org: Option<OrgId>,
        of: (AssetId, Rendition),
        hour: Timestamp,
        (sent, whole): (u64, u64),
        times: u64,
        segment: Option<Segment>,
    ) {
        let Some(Segment { micros, tier }) = segment.filter(|_| whole > 0) else {
            *self.unknown.entry(of).or_default() += times;
            return;
        };
        // Each taking's share is rounded by itself, so that takings add up alike however they are gathered.
        let share = u128::from(micros) * u128::from(sent.min(whole)) / u128::from(whole);
        let line = self.lines.entry(Line { org, tier, hour }).or_default();
        let sum = u128::from(*line).saturating_add(share.saturating_mul(u128::from(times)));
        *line = u64::try_from(sum).unwrap_or(u64::MAX);
    }
}

/// Records that one meter takes in.
pub const EVENTS_MAX: usize = 50_000_000;

/// Bytes that one response or one object counts as, at most: 1 TiB, so that sums of many stay exact in every store.
pub const BYTES_MAX: u64 = 1 << 40;

/// How long a session's takings of one segment are one, in milliseconds: a divisor of an hour.
pub const STRETCH_MS: u64 = 600_000;

/// What counts once at most.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
struct Part {
    org: Option<OrgId>,
    asset: AssetId,
    rendition: Rendition,
    index: u32,
    viewer: Viewer,
    stretch: u64,
}

#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Viewer {
    Session([u8; 7]),
    Response([u8; 16]),
}

#[derive(Clone, Copy, Debug, Default)]
struct Bytes {
    sent: u64,
    whole: u64,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::analytics::CacheStatus;

    const HOUR_MS: u64 = 3_600_000;

    fn event(seq: u64) -> PlaybackEvent {
        PlaybackEvent {
            boot: [7; 8],
            seq,
            node: "ash-1".parse().unwrap(),
            observed_at: Timestamp::from_millis(500_000 * HOUR_MS),
            org: Some(OrgId::from_bytes([1; 16])),
            asset: AssetId::from_bytes([2; 16]),
            session: Some([5; 7]),
            path: ArtifactPath::Segment { rendition: Rendition::P720, index: 3 },
            object_bytes: Some(1000),
            bytes_sent: 1000,
            range_start: 0,
            status: 200,
            cache: CacheStatus::Hit,
            ttfb_us: 0,
            duration_ms: 0,
            aborted: false,
        }
    }

    fn four_seconds(_: AssetId, rendition: Rendition, _: u32) -> Option<Segment> {
        let tier = if rendition == Rendition::P1080 { Tier::P1080 } else { Tier::P720 };
        Some(Segment { micros: 4_000_000, tier })
    }

    fn total(events: &[PlaybackEvent]) -> u64 {
        let mut meter = Meter::default();
        for event in events {
            meter.add(event);
        }
        meter.bill(four_seconds).lines.values().sum()
    }

    #[track_caller]
    fn check(events: &[PlaybackEvent], millis: u64) {
        assert_eq!(total(events), millis * 1000);
    }

    #[test]
    fn the_share_that_left_counts() {
        check(&[event(1)], 4000);
        check(&[PlaybackEvent { bytes_sent: 250, aborted: true, ..event(1) }], 1000);
        check(&[PlaybackEvent { bytes_sent: 1, object_bytes: Some(4_000_000_000), ..event(1) }], 0);
        check(&[PlaybackEvent { bytes_sent: u64::MAX, object_bytes: Some(u64::MAX), ..event(1) }], 4000);
    }

    #[test]
    fn ranges_add_up_and_what_is_asked_for_again_does_not() {
        let part = |seq, bytes_sent| PlaybackEvent { bytes_sent, status: 206, ..event(seq) };
        check(&[part(1, 400), part(2, 350)], 3000);
        check(&[part(1, 400), part(2, 350), part(3, 900)], 4000);
        check(&[event(1), event(2), event(3)], 4000);
        // Another session, rung, segment or stretch of ten minutes is another taking.
        let later = Timestamp::from_millis(event(1).observed_at.as_millis() + STRETCH_MS);
        let others = [
            event(1),
            PlaybackEvent { session: Some([6; 7]), ..event(2) },
            PlaybackEvent { path: ArtifactPath::Segment { rendition: Rendition::P360, index: 3 }, ..event(3) },
            PlaybackEvent { path: ArtifactPath::Segment { rendition: Rendition::P720, index: 4 }, ..event(4) },
            PlaybackEvent { observed_at: later, ..event(5) },
        ];
        check(&others, 20_000);
        // Nobody knows whether these two are one viewer.
        check(&[PlaybackEvent { session: None, ..event(1) }, PlaybackEvent { session: None, ..event(2) }], 8000);
    }

    #[test]
    fn what_is_no_segment_or_was_not_sent_is_free() {
        for path in [
            ArtifactPath::Master,
            ArtifactPath::Variant(Rendition::P720),
            ArtifactPath::IFrames(Rendition::P720),
            ArtifactPath::Init(Rendition::P720),
            ArtifactPath::Poster,
        ] {
            check(&[PlaybackEvent { path, ..event(1) }], 0);
        }
        for status in [304, 403, 404, 416, 500] {
            check(&[PlaybackEvent { status, ..event(1) }], 0);
        }
        check(&[PlaybackEvent { bytes_sent: 0, ..event(1) }], 0);
    }

    #[test]
    fn lines_are_apart_by_owner_tier_and_hour() {
        let mut meter = Meter::default();
        let next = Timestamp::from_millis(event(1).observed_at.as_millis() + HOUR_MS);
        let large = ArtifactPath::Segment { rendition: Rendition::P1080, index: 3 };
        for event in [
            event(1),
            PlaybackEvent { org: None, ..event(2) },
            PlaybackEvent { path: large, ..event(3) },
            PlaybackEvent { observed_at: next, ..event(4) },
        ] {
            assert_eq!(meter.add(&event), Counted::Delivered);
            assert_eq!(meter.add(&event), Counted::Repeated);
        }
        let bill = meter.bill(four_seconds);
        let (org, hour) = (event(1).org, event(1).observed_at.hour());
        let lines = [
            Line { org: None, tier: Tier::P720, hour },
            Line { org, tier: Tier::P720, hour },
            Line { org, tier: Tier::P720, hour: next },
            Line { org, tier: Tier::P1080, hour },
        ];
        assert_eq!(bill.lines, lines.map(|line| (line, 4_000_000)).into());
    }

    #[test]
    fn a_segment_of_which_the_length_is_not_known_is_told_and_not_guessed() {
        let mut meter = Meter::default();
        meter.add(&event(1));
        meter.add(&PlaybackEvent { session: None, ..event(2) });
        let bill = meter.bill(|_, _, _| None);
        assert!(bill.lines.is_empty());
        assert_eq!(bill.unknown, [((event(1).asset, Rendition::P720), 2)].into());
        let mut meter = Meter::default();
        meter.add(&PlaybackEvent { object_bytes: None, ..event(1) });
        assert_eq!(meter.bill(four_seconds).unknown.len(), 1, "the whole's length is not known");
    }

    fn any_event() -> impl Strategy<Value = PlaybackEvent> {
        let what = (0..40_u64, 0..3_u32, prop::option::of(0..2_u8), 0..2_u8, 0..4_u64);
        (what, 0..1200_u64, prop::sample::select(vec![200, 206, 304])).prop_map(
            |((seq, index, session, asset, stretch), bytes_sent, status)| PlaybackEvent {
                path: ArtifactPath::Segment { rendition: Rendition::P720, index },
                session: session.map(|n| [n; 7]),
                asset: AssetId::from_bytes([asset; 16]),
                observed_at: Timestamp::from_millis(500_000 * HOUR_MS + stretch * 1_700_000),
                bytes_sent,
                status,
                ..event(seq)
            },
        )
    }

    proptest! {
        #[test]
        fn repeats_and_order_change_nothing(
            events in prop::collection::vec(any_event(), 0..60),
            shuffled in any::<u64>(),
        ) {
            // The first telling of an event is the one that counts, so tellings that differ are left out.
            let mut first = BTreeMap::new();
            for event in events {
                first.entry(event.id()).or_insert(event);
            }
            let told: Vec<_> = first.into_values().collect();
            let mut again: Vec<_> = told.iter().chain(&told).chain(&told).cloned().collect();
            let mut prng = crate::prng::Prng::seeded(shuffled);
            for last in (1..again.len()).rev() {
                again.swap(last, prng.below(last as u64 + 1) as usize);
            }
            let bill = |events: &[PlaybackEvent]| {
                let mut meter = Meter::default();
                for event in events {
                    meter.add(event);
                }
                meter.bill(four_seconds)
            };
            prop_assert_eq!(bill(&again), bill(&told));
        }

        #[test]
        fn takings_come_to_the_same_as_records(events in prop::collection::vec(any_event(), 0..60)) {
            let mut meter = Meter::default();
            for event in &events {
                meter.add(event);
            }
            let hours: BTreeSet<_> = events.iter().map(|event| event.observed_at.hour()).collect();
            let mut bill = Bill::default();
            for hour in hours {
                for taking in meter.takings(hour) {
                    bill.take(&taking, hour, four_seconds);
                }
            }
            prop_assert_eq!(bill, meter.bill(four_seconds));
        }

        #[test]
        fn nobody_is_billed_more_than_every_taking_whole(events in prop::collection::vec(any_event(), 0..60)) {
            prop_assert!(total(&events) <= events.len() as u64 * 4_000_000);
        }
    }
}
