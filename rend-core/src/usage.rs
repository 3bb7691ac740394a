//! Usage by organisation, tier and UTC hour: which hours are to be counted, what changes in them, how complete they are.
//!
//! ```text
//! records ──> takings of an hour ──> Bill ──┐
//! playlists ──> Lengths ────────────────────┤
//!                                           ├─> corrections: revision n, and by how much
//! what was written before ──────────────────┘
//! ```
//!
//! An hour is counted once its end lies [`LATENESS`] back, and again when it has more records than were counted; [`steps`]
//! says which. What was written stays: a later count writes the difference under the next revision, so whoever adds up the
//! revisions of an organisation, tier and hour has what was delivered, at every moment.

mod step;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use thiserror::Error;

use crate::analytics::NodeAccount;
use crate::artifact::Rendition;
use crate::id::{EdgeId, OrgId};
use crate::media::ladder::{Size, Tier};
use crate::media::playlist::{Master, Media};
use crate::metering::{Bill, Segment};
use crate::time::Timestamp;

pub use step::{HourCount, HourStep, steps};

/// An hour, as long as it is.
pub const HOUR: Duration = Duration::from_secs(3600);
/// How long after its end an hour is counted.
pub const LATENESS: Duration = Duration::from_secs(15 * 60);

/// The records of one run of one edge in one hour.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct RunHour {
    /// The start of the UTC hour.
    pub hour: Timestamp,
    /// The edge.
    pub node: EdgeId,
    /// Which run of it.
    pub boot: [u8; 8],
    /// How many records there are.
    pub rows: u64,
    /// The lowest place among them.
    pub seq_min: u64,
    /// The highest.
    pub seq_max: u64,
}

/// An hour that was counted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct CountedHour {
    /// The start of the UTC hour.
    pub hour: Timestamp,
    /// How many records there were when it was counted last.
    pub rows: u64,
    /// Whether no record is known to be missing, and each that counts could be counted.
    pub complete: bool,
    /// Takings that are in no line: their owner or the length of their segment is not known.
    pub uncounted: u64,
    /// How often it was written; 0 for one that is about to be written first.
    pub pass: u64,
    /// When it was written last.
    pub at: Timestamp,
}

/// What one count adds to an organisation, tier and hour.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Correction {
    /// Who owns what was delivered.
    pub org: OrgId,
    /// The tier.
    pub tier: Tier,
    /// The start of the UTC hour.
    pub hour: Timestamp,
    /// 1 for the first count, and one more for each that changed something.
    pub revision: u32,
    /// Delivered microseconds of media, more or fewer than the revisions before say together.
    pub micros: i64,
}

impl Correction {
    /// What names it for whoever must not charge it twice: organisation, tier, hour and revision.
    pub fn key(&self) -> String {
        format!("{}:{}:{}:{}", self.org, self.tier.as_str(), self.hour, self.revision)
    }
}

/// What the revisions of an organisation, tier and hour come to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Usage {
    /// Who owns what was delivered.
    pub org: OrgId,
    /// The start of the UTC hour.
    pub hour: Timestamp,
    /// The tier.
    pub tier: Tier,
    /// The last revision.
    pub revision: u32,
    /// Delivered microseconds of media, all revisions added up.
    pub micros: u64,
    /// Whether nothing of the hour is known to be missing.
    pub complete: bool,
    /// When the hour was counted last.
    pub at: Timestamp,
}

/// Before which instant hours must begin to be counted at `now`.
pub fn countable_until(now: Timestamp) -> Timestamp {
    (now - LATENESS).hour()
}

/// What is to be written of an hour that has come to `bill` and has `written` already.
///
/// They come in the order of organisation and tier. Nothing is written of what did not change, and of lines without an
/// owner; see [`uncounted`].
pub fn corrections(hour: Timestamp, bill: &Bill, written: &[Usage]) -> Vec<Correction> {
    let mut both = BTreeMap::<(OrgId, Tier), (u64, u64, u32)>::new();
    for (line, micros) in bill.lines.iter().filter(|(line, _)| line.hour == hour) {
        if let Some(org) = line.org {
            both.entry((org, line.tier)).or_default().0 = *micros;
        }
    }
    for usage in written.iter().filter(|usage| usage.hour == hour) {
        let (_, before, revision) = both.entry((usage.org, usage.tier)).or_default();
        (*before, *revision) = (usage.micros, usage.revision);
    }
    let changed = both.into_iter().filter(|(_, (found, before, _))| found != before);
    let correction = |((org, tier), (found, before, revision)): ((OrgId, Tier), (u64, u64, u32))| {
        let micros = i64::try_from(i128::from(found) - i128::from(before)).unwrap_or(i64::MAX);
        Correction { org, tier, hour, revision: revision.saturating_add(1), micros }
    };
    changed.map(correction).collect()
}

/// How many takings of `bill` are in no line that anybody is charged for: those of segments of unknown length, and one for
/// each line without an owner.
pub fn uncounted(bill: &Bill) -> u64 {
    let unowned = bill.lines.keys().filter(|line| line.org.is_none()).count() as u64;
    bill.unknown.values().fold(unowned, |sum, times| sum.saturating_add(*times))
}

/// The hours of which records are missing.
///
/// Each record has its place in its run, and what an edge lost has a place too. So a run of which every place up to the
/// last was received lacks nothing, whichever hours its records lie in. Of other runs the hours on both sides of each gap
/// count as incomplete, and those between them. What was lost after a run's last record shows in the number of losses, and
/// makes the hour of that record incomplete.
///
/// `hours` may begin in the middle of a run: what is missing before it is not looked for unless `from_start`.
pub fn incomplete(hours: &[RunHour], accounts: &[NodeAccount], from_start: bool) -> BTreeSet<Timestamp> {
    let mut runs = BTreeMap::<(&EdgeId, [u8; 8]), Vec<&RunHour>>::new();
    for hour in hours {
        runs.entry((&hour.node, hour.boot)).or_default().push(hour);
    }
    let mut found = BTreeSet::new();
    for account in accounts {
        let missing = account.seq_max.saturating_sub(account.received);
        if missing == 0 && account.dropped_total == 0 {
            continue;
        }
        let Some(run) = runs.get_mut(&(&account.node, account.boot)) else { continue };
        run.sort();
        if from_start && run.first().is_some_and(|first| first.seq_min > 1) {
            found.extend(run.first().map(|first| first.hour));
        }
        for hour in run.iter() {
            if hour.seq_max - hour.seq_min >= hour.rows {
                found.insert(hour.hour);
            }
        }
        for pair in run.windows(2) {
            if pair[1].seq_min > pair[0].seq_max.saturating_add(1) {
                found.extend(between(pair[0].hour, pair[1].hour));
            }
        }
        if account.dropped_total > missing {
            found.extend(run.last().map(|last| last.hour));
        }
    }
    found
}

/// The hours of which it can no longer be told whether records are missing, since records die of age.
///
/// Those are the hours up to the last that has fewer records than were `counted`, and the first of each run whose beginning
/// may have died with them. What was said of them stays said.
pub fn aged(hours: &[RunHour], counted: &[CountedHour]) -> BTreeSet<Timestamp> {
    let rows = step::rows_of(hours);
    let died = |hour: &&CountedHour| rows.get(&hour.hour).copied().unwrap_or(0) < hour.rows;
    let Some(last) = counted.iter().filter(died).map(|hour| hour.hour).max() else { return BTreeSet::new() };
    let mut firsts = BTreeMap::<(&EdgeId, [u8; 8]), &RunHour>::new();
    for hour in hours {
        let first = firsts.entry((&hour.node, hour.boot)).or_insert(hour);
        *first = (*first).min(hour);
    }
    let begun = firsts.into_values().filter(|first| first.seq_min > 1).map(|first| first.hour);
    rows.into_keys().filter(|hour| *hour <= last).chain(begun).collect()
}

/// Every hour from `first` to `last`, at most [`GAP_HOURS_MAX`].
fn between(first: Timestamp, last: Timestamp) -> impl Iterator<Item = Timestamp> {
    let next = move |hour: &Timestamp| (*hour < last).then_some(*hour + HOUR);
    std::iter::successors(Some(first), next).take(GAP_HOURS_MAX)
}

/// Hours that one gap makes incomplete, at most.
const GAP_HOURS_MAX: usize = 24 * 366;

/// How long the segments of a rendition are, and what they count as: what usage needs of it after it is gone.
///
/// As text, `720p 2*4000000 1500000`: the tier, then lengths in microseconds, each with how many follow each other.
///
/// ```
/// use rend_core::usage::Lengths;
///
/// let lengths: Lengths = "720p 2*4000000 1500000".parse()?;
/// assert_eq!(lengths.micros, [4_000_000, 4_000_000, 1_500_000]);
/// assert_eq!(lengths.to_string(), "720p 2*4000000 1500000");
/// # Ok::<(), rend_core::usage::NotLengths>(())
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Lengths {
    /// What they count as.
    pub tier: Tier,
    /// Their lengths in microseconds, in order.
    pub micros: Vec<u64>,
}

/// The text does not say lengths. Trying again will not help.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[error("not the lengths of segments")]
pub struct NotLengths;

impl Lengths {
    /// The lengths that the playlists of a rendition say, if what it counts as can be told: by the size that `master` gives
    /// it, else by its name.
    ///
    /// A sound that goes with pictures is heard while they are seen, so its segments have no length of their own: those
    /// minutes are counted once.
    pub fn of(rendition: Rendition, master: Option<&Master>, list: &Media) -> Option<Self> {
        let uri = format!("{rendition}/index.m3u8");
        let said = master.and_then(|master| master.variants.iter().find(|variant| variant.uri == uri));
        let size = said.and_then(|variant| variant.resolution).map(|(width, height)| Size { width, height });
        let by_name = || rendition.short_side().map(|height| Size { width: height * 16 / 9, height });
        let beside = master.is_some_and(|master| master.sounds.iter().any(|sound| sound.uri == uri));
        let is_sound = beside || rendition.sound_lang().is_some();
        let tier = size.or_else(by_name).map(Tier::of).or_else(|| is_sound.then_some(Tier::AudioOnly))?;
        let micros = list.segments.iter().map(|segment| if beside { 0 } else { segment.micros }).collect();
        Some(Self { tier, micros })
    }

    /// The `index`th segment, if there are as many.
    pub fn segment(&self, index: u32) -> Option<Segment> {
        let micros = *self.micros.get(usize::try_from(index).ok()?)?;
        Some(Segment { micros, tier: self.tier })
    }
}

impl fmt::Display for Lengths {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.tier.as_str())?;
        for alike in self.micros.chunk_by(|one, other| one == other) {
            match (alike.len(), alike[0]) {
                (1, micros) => write!(f, " {micros}")?,
                (times, micros) => write!(f, " {times}*{micros}")?,
            }
        }
        Ok(())
    }
}

impl FromStr for Lengths {
    type Err = NotLengths;

    fn from_str(text: &str) -> Result<Self, NotLengths> {
        let mut words = text.split(' ');
        let tier = words.next().and_then(Tier::of_word).ok_or(NotLengths)?;
        let mut micros = Vec::new();
        for word in words {
            let (times, length) = word.split_once('*').unwrap_or(("1", word));
            let times: usize = times.parse().map_err(|_| NotLengths)?;
            if micros.len().saturating_add(times) > SEGMENTS_MAX {
                return Err(NotLengths);
            }
            let length: u64 = length.parse().map_err(|_| NotLengths)?;
            micros.extend(std::iter::repeat_n(length, times));
        }
        Ok(Self { tier, micros })
    }
}

/// Segments of a rendition that lengths are read of, at most.
pub const SEGMENTS_MAX: usize = 1_000_000;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::id::AssetId;
    use crate::metering::Line;

    fn hour(n: u64) -> Timestamp {
        Timestamp::from_millis((500_000 + n) * 3_600_000)
    }

    fn org(n: u8) -> OrgId {
        OrgId::from_bytes([n; 16])
    }

    fn usage(n: u8, tier: Tier, revision: u32, micros: u64) -> Usage {
        Usage { org: org(n), hour: hour(0), tier, revision, micros, complete: true, at: hour(2) }
    }

    fn bill(lines: &[(u8, Tier, u64)]) -> Bill {
        let line = |(n, tier, micros): &(u8, Tier, u64)| {
            (Line { org: (*n > 0).then(|| org(*n)), tier: *tier, hour: hour(0) }, *micros)
        };
        Bill { lines: lines.iter().map(line).collect(), ..Bill::default() }
    }

    #[test]
    fn an_hour_is_counted_a_quarter_of_an_hour_after_its_end() {
        assert_eq!(countable_until(hour(1) + Duration::from_secs(14 * 60 + 59)), hour(0));
        assert_eq!(countable_until(hour(1) + LATENESS), hour(1));
    }

    #[test]
    fn a_count_writes_what_changed_and_by_how_much() {
        let found = bill(&[(1, Tier::P720, 900), (1, Tier::P1080, 5), (2, Tier::P720, 7), (0, Tier::P720, 1)]);
        let said = |written: &[Usage]| -> Vec<_> {
            let all = corrections(hour(0), &found, written);
            all.iter().map(|c| (c.org.as_bytes()[0], c.tier.as_str(), c.revision, c.micros)).collect()
        };
        assert_eq!(said(&[]), [(1, "720p", 1, 900), (1, "1080p", 1, 5), (2, "720p", 1, 7)]);
        let written = [usage(1, Tier::P720, 3, 1000), usage(1, Tier::P1080, 1, 5), usage(3, Tier::K4, 2, 8)];
        assert_eq!(said(&written), [(1, "720p", 4, -100), (2, "720p", 1, 7), (3, "4k", 3, -8)]);
        assert_eq!(uncounted(&found), 1);
    }

    #[test]
    fn a_correction_is_named_by_what_it_corrects() {
        let all = corrections(hour(0), &bill(&[(1, Tier::P720, 900)]), &[]);
        let name = "01010101-0101-0101-0101-010101010101:720p:2027-01-15T08:00:00.000Z:1";
        assert_eq!(all[0].key(), name);
    }

    fn run(n: u64, rows: u64, seq_min: u64, seq_max: u64) -> RunHour {
        RunHour { hour: hour(n), node: "ash-1".parse().unwrap(), boot: [1; 8], rows, seq_min, seq_max }
    }

    /// Which hours are incomplete of a run with these hours that received `received` and lost `dropped`.
    #[track_caller]
    fn check(hours: &[RunHour], dropped_total: u64, from_start: bool, expect: &[u64]) {
        let received = hours.iter().map(|hour| hour.rows).sum();
        let seq_max = hours.iter().map(|hour| hour.seq_max).max().unwrap_or(0);
        let account = NodeAccount { node: "ash-1".parse().unwrap(), boot: [1; 8], received, seq_max, dropped_total };
        let found: Vec<_> = incomplete(hours, &[account], from_start).into_iter().collect();
        let expect: Vec<_> = expect.iter().map(|n| hour(*n)).collect();
        assert_eq!(found, expect, "{hours:?}");
    }

    #[test]
    fn gaps_and_losses_make_the_hours_beside_them_incomplete() {
        check(&[run(0, 5, 1, 5), run(1, 5, 6, 10)], 0, true, &[]);
        // Records of two hours may cross at the turn, as long as none is missing.
        check(&[run(0, 5, 1, 6), run(1, 5, 5, 10)], 0, true, &[]);
        check(&[run(0, 4, 1, 5), run(1, 5, 6, 10)], 0, true, &[0]);
        check(&[run(0, 5, 1, 5), run(3, 5, 7, 11)], 0, true, &[0, 1, 2, 3]);
        check(&[run(0, 5, 2, 6)], 0, true, &[0]);
        check(&[run(0, 5, 2, 6)], 0, false, &[]);
        check(&[run(0, 5, 1, 5), run(1, 5, 6, 10)], 1, true, &[1]);
        check(&[run(0, 4, 1, 5), run(1, 5, 6, 10)], 1, true, &[0]);
    }

    #[test]
    fn the_gaps_of_one_run_say_nothing_of_another() {
        let other = RunHour { boot: [2; 8], ..run(4, 2, 1, 9) };
        check(&[run(0, 5, 1, 5), other], 0, true, &[]);
    }

    #[test]
    fn of_hours_whose_records_died_and_of_what_began_with_them_nothing_new_is_said() {
        let was = |n, rows| CountedHour { hour: hour(n), rows, complete: true, uncounted: 0, pass: 1, at: hour(9) };
        let said = |hours: &[RunHour], counted: &[CountedHour]| aged(hours, counted).into_iter().collect::<Vec<_>>();
        let other = RunHour { boot: [2; 8], ..run(3, 2, 1, 2) };
        let hours = [run(1, 2, 4, 5), run(2, 5, 6, 10), other];
        assert_eq!(said(&hours, &[was(1, 2), was(2, 5), was(3, 2)]), [], "all are there");
        assert_eq!(said(&hours, &[was(2, 4)]), [], "and more than were counted");
        assert_eq!(said(&hours, &[was(0, 3), was(2, 5)]), [hour(1)]);
        assert_eq!(said(&hours, &[was(2, 6)]), [hour(1), hour(2)]);
        assert_eq!(said(&[], &[was(0, 3)]), []);
    }

    #[test]
    fn what_has_no_known_length_is_told() {
        let unknown = [((AssetId::from_bytes([1; 16]), Rendition::P720), 3)].into();
        assert_eq!(uncounted(&Bill { unknown, ..Bill::default() }), 3);
    }

    #[test]
    fn lengths_are_not_read_from_other_texts() {
        for text in ["", "8k 1", "720p x", "720p 1*", "720p -1", "720p 1000001*1", "720p  1"] {
            assert_eq!(text.parse::<Lengths>(), Err(NotLengths), "{text}");
        }
        let none: Lengths = "4k".parse().unwrap();
        assert_eq!(none.segment(0), None);
    }

    const LIST: &str = "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:4\n#EXT-X-PLAYLIST-TYPE:VOD\n\
        #EXT-X-MAP:URI=\"init.mp4\"\n#EXTINF:4.000000,\nsegment_00000.m4s\n#EXTINF:1.500000,\nsegment_00001.m4s\n\
        #EXT-X-ENDLIST\n";

    #[test]
    fn playlists_say_what_a_rendition_counts_as() {
        let list: Media = LIST.parse().unwrap();
        let audio = Rendition::Audio(crate::artifact::Lang::UND);
        for (rendition, tier) in [
            (Rendition::P360, Some(Tier::P720)),
            (Rendition::P720, Some(Tier::P720)),
            (Rendition::P1080, Some(Tier::P1080)),
            (Rendition::P1440, Some(Tier::K2)),
            (Rendition::P2160, Some(Tier::K4)),
            (Rendition::Source, None),
            (audio, Some(Tier::AudioOnly)),
        ] {
            let lengths = Lengths::of(rendition, None, &list);
            assert_eq!(lengths.as_ref().map(|lengths| lengths.tier), tier, "{rendition}");
            assert!(lengths.is_none_or(|lengths| lengths.micros == [4_000_000, 1_500_000]));
        }
    }

    proptest! {
        #[test]
        fn lengths_print_and_read_back(micros in prop::collection::vec(0..3_u64, 0..20), tier in 0..5_usize) {
            let lengths = Lengths { tier: Tier::ALL[tier], micros };
            prop_assert_eq!(lengths.to_string().parse::<Lengths>(), Ok(lengths));
        }

        #[test]
        fn revisions_add_up_to_the_last_count(counts in prop::collection::vec(0..50_u64, 1..12)) {
            let (mut written, mut sum, mut revisions) = (Vec::new(), 0_i64, 0);
            for count in &counts {
                for correction in corrections(hour(0), &bill(&[(1, Tier::P720, *count)]), &written) {
                    prop_assert_eq!(correction.revision, revisions + 1);
                    (revisions, sum) = (revisions + 1, sum + correction.micros);
                    written = vec![usage(1, Tier::P720, revisions, sum.cast_unsigned())];
                }
            }
            prop_assert_eq!(sum.cast_unsigned(), *counts.last().unwrap());
        }
    }
}
