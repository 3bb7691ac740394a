//! What is done about each hour when usage is looked at: it is counted, only restated, or left as it is.

use std::collections::BTreeMap;

use super::{CountedHour, RunHour, aged, incomplete};
use crate::analytics::NodeAccount;
use crate::time::Timestamp;

/// What is to be done about an hour that has records.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum HourStep {
    /// Its records are read and counted: for the first time, or because there are more than were counted.
    Count(HourCount),
    /// Nothing is read: only what is said of its completeness changes, to this.
    Restate(CountedHour),
    /// What was written of it stands.
    Leave,
}

/// A count of an hour that is to be made.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct HourCount {
    /// The start of the UTC hour.
    pub hour: Timestamp,
    /// How many records there are.
    pub rows: u64,
    /// Whether records are known to be missing.
    pub lacks: bool,
    /// How often it was written; 0 before the first time.
    pub pass: u64,
}

impl HourCount {
    /// What is written of the hour when the count found that many takings that are in no line.
    pub const fn counted(self, uncounted: u64, at: Timestamp) -> CountedHour {
        let Self { hour, rows, lacks, pass } = self;
        CountedHour { hour, rows, complete: is_complete(lacks, uncounted), uncounted, pass, at }
    }
}

/// What is to be done about each hour of `runs` at `now`, in the order of the hours.
///
/// `accounts` are those of the runs, and `counted` is what was written of the same hours before. `from_start` says that
/// `runs` begin with the first record of all: only then is an hour without new records said to lack nothing any more.
pub fn steps(
    runs: &[RunHour],
    accounts: &[NodeAccount],
    counted: &[CountedHour],
    from_start: bool,
    now: Timestamp,
) -> Vec<HourStep> {
    let (missing, aged) = (incomplete(runs, accounts, from_start), aged(runs, counted));
    let counted: BTreeMap<_, _> = counted.iter().map(|hour| (hour.hour, *hour)).collect();
    let found = |(hour, rows): (Timestamp, u64)| Found {
        hour,
        rows,
        misses: missing.contains(&hour),
        is_aged: aged.contains(&hour),
        before: counted.get(&hour).copied(),
    };
    rows_of(runs).into_iter().map(|hour| found(hour).step(from_start, now)).collect()
}

/// How many records each hour has, of all runs together.
pub(super) fn rows_of(runs: &[RunHour]) -> BTreeMap<Timestamp, u64> {
    let mut rows = BTreeMap::new();
    for run in runs {
        *rows.entry(run.hour).or_default() += run.rows;
    }
    rows
}

/// What a look found of one hour.
#[derive(Clone, Copy, Debug)]
struct Found {
    hour: Timestamp,
    rows: u64,
    /// A gap beside it is seen.
    misses: bool,
    /// Records that would tell may have died of age.
    is_aged: bool,
    /// What was written of it.
    before: Option<CountedHour>,
}

impl Found {
    fn step(self, from_start: bool, now: Timestamp) -> HourStep {
        let Self { hour, rows, misses, is_aged, before } = self;
        let Some(before) = before else {
            return HourStep::Count(HourCount { hour, rows, lacks: misses, pass: 0 });
        };
        // Records die of age: an hour that has fewer than were counted is not counted again.
        if rows > before.rows {
            let lacks = if is_aged { !before.complete } else { misses };
            return HourStep::Count(HourCount { hour, rows, lacks, pass: before.pass });
        }
        let complete = is_complete(misses, before.uncounted);
        if is_aged || complete == before.complete || (complete && !from_start) {
            return HourStep::Leave;
        }
        HourStep::Restate(CountedHour { complete, at: now, ..before })
    }
}

const fn is_complete(lacks: bool, uncounted: u64) -> bool {
    !lacks && uncounted == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_800_036_000);

    fn hour(n: u64) -> Timestamp {
        Timestamp::from_secs(1_800_000_000 + n * 3600)
    }

    /// An hour of five records of which nothing was written.
    const fn fresh() -> Found {
        Found { hour: Timestamp::EPOCH, rows: 5, misses: false, is_aged: false, before: None }
    }

    /// The same hour, written three times with all five records: whether it was complete, and what was uncounted.
    const fn written(complete: bool, uncounted: u64) -> Found {
        let at = Timestamp::from_secs(1_800_000_000);
        let before = CountedHour { hour: Timestamp::EPOCH, rows: 5, complete, uncounted, pass: 3, at };
        Found { before: Some(before), ..fresh() }
    }

    /// What is done about the hour by a look at what is recent, and by one at everything.
    #[track_caller]
    fn check(found: Found, recent: HourStep, whole: HourStep) {
        assert_eq!(found.step(false, NOW), recent, "recent: {found:?}");
        assert_eq!(found.step(true, NOW), whole, "whole: {found:?}");
    }

    fn count(rows: u64, lacks: bool, pass: u64) -> HourStep {
        HourStep::Count(HourCount { hour: Timestamp::EPOCH, rows, lacks, pass })
    }

    fn restate(found: Found, complete: bool) -> HourStep {
        HourStep::Restate(CountedHour { complete, at: NOW, ..found.before.unwrap() })
    }

    #[test]
    fn an_hour_is_counted_when_it_has_more_records_than_were_counted_and_restated_when_only_its_gaps_changed() {
        use HourStep::Leave;
        let both = |found, step| check(found, step, step);
        // First of all it is counted, whatever else is known.
        both(fresh(), count(5, false, 0));
        both(Found { misses: true, ..fresh() }, count(5, true, 0));
        both(Found { misses: true, is_aged: true, ..fresh() }, count(5, true, 0));
        // More records are counted again, fewer are not.
        let more = |found| Found { rows: 6, ..found };
        both(more(written(true, 0)), count(6, false, 3));
        both(Found { misses: true, ..more(written(true, 0)) }, count(6, true, 3));
        both(more(written(false, 0)), count(6, false, 3));
        both(Found { rows: 4, ..written(true, 0) }, Leave);
        both(Found { rows: 4, is_aged: true, ..written(true, 0) }, Leave);
        // As many as were counted are not: what was said stays, or is said otherwise.
        both(written(true, 0), Leave);
        let gap = Found { misses: true, ..written(true, 0) };
        both(gap, restate(gap, false));
        both(Found { misses: true, ..written(false, 0) }, Leave);
        // Only a look at everything says that nothing is missing any more.
        check(written(false, 0), Leave, restate(written(false, 0), true));
        // What could not be counted leaves an hour incomplete without a gap.
        both(written(false, 2), Leave);
        // Where records have died, what was said stays said, and is what a new count begins with.
        let aged = |found| Found { is_aged: true, ..found };
        both(aged(gap), Leave);
        both(aged(written(false, 0)), Leave);
        both(aged(more(gap)), count(6, false, 3));
        both(aged(more(written(false, 0))), count(6, true, 3));
    }

    #[test]
    fn an_hour_is_complete_when_it_lacks_nothing_and_all_of_it_was_counted() {
        for (lacks, uncounted, complete) in [(false, 0, true), (true, 0, false), (false, 1, false), (true, 1, false)] {
            let count = HourCount { hour: hour(1), rows: 9, lacks, pass: 2 };
            let expect = CountedHour { hour: hour(1), rows: 9, complete, uncounted, pass: 2, at: NOW };
            assert_eq!(count.counted(uncounted, NOW), expect);
        }
    }

    #[test]
    fn each_hour_has_one_step_by_the_records_of_all_its_runs() {
        let run = |boot, n, rows, seq_min| RunHour {
            hour: hour(n),
            node: "ash-1".parse().unwrap(),
            boot: [boot; 8],
            rows,
            seq_min,
            seq_max: seq_min + rows - 1,
        };
        let account = |boot, received, seq_max| {
            let node = "ash-1".parse().unwrap();
            NodeAccount { node, boot: [boot; 8], received, seq_max, dropped_total: 0 }
        };
        // The first run misses the place between its hours; the second one is whole.
        let runs = [run(1, 1, 3, 1), run(1, 2, 2, 5), run(2, 2, 4, 1), run(2, 3, 1, 5)];
        let accounts = [account(1, 5, 6), account(2, 5, 5)];
        let was = |n, rows| CountedHour { hour: hour(n), rows, complete: true, uncounted: 0, pass: 1, at: hour(9) };
        let expect = [
            HourStep::Restate(CountedHour { complete: false, at: NOW, ..was(1, 3) }),
            HourStep::Count(HourCount { hour: hour(2), rows: 6, lacks: true, pass: 1 }),
            HourStep::Count(HourCount { hour: hour(3), rows: 1, lacks: false, pass: 0 }),
        ];
        assert_eq!(steps(&runs, &accounts, &[was(1, 3), was(2, 4)], true, NOW), expect);
        assert_eq!(steps(&[], &[], &[], true, NOW), []);
        // A record of the first hour has died, and with it the hour's say.
        let first = steps(&runs, &accounts, &[was(1, 4), was(2, 6), was(3, 1)], true, NOW)[0];
        assert_eq!(first, HourStep::Leave);
    }
}
