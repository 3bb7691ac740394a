//! Bytes: what the disk has free, what is still to be unlinked, and how much a file costs.

use crate::files::Space;

/// What a file of `bytes` costs on a disk of 4 KiB blocks.
pub const fn charge(bytes: u64) -> u64 {
    match bytes.checked_next_multiple_of(BLOCK_BYTES) {
        Some(0) => BLOCK_BYTES,
        Some(charge) => charge,
        None => u64::MAX,
    }
}

/// An estimate of what is free, between two looks at the disk.
///
/// A look lags: delayed allocation and files unlinked while open show late. So what was written since is taken off, and what was
/// unlinked since is not added until the next look confirms it.
#[derive(Clone, Debug)]
pub struct FreeSpace {
    min_bytes: u64,
    margin_bytes: u64,
    sample: Option<Sample>,
}

#[derive(Clone, Copy, Debug)]
struct Sample {
    space: Space,
    at_ms: u64,
    written: u64,
    created: u64,
}

impl FreeSpace {
    /// Keeps at least `min_bytes` free on a disk of which the cache may use `max_bytes`.
    pub fn new(min_bytes: u64, max_bytes: u64) -> Self {
        // The margin keeps one eviction from being followed by the next at the next fill.
        let margin_bytes = (max_bytes / 100).clamp(MARGIN_MIN_BYTES.min(max_bytes / 8), max_bytes / 2);
        Self { min_bytes, margin_bytes, sample: None }
    }

    /// Notes what the disk says now.
    pub const fn sampled(&mut self, space: Space, now_ms: u64) {
        self.sample = Some(Sample { space, at_ms: now_ms, written: 0, created: 0 });
    }

    /// Notes bytes written.
    pub const fn wrote(&mut self, bytes: u64) {
        if let Some(sample) = &mut self.sample {
            sample.written = sample.written.saturating_add(bytes);
        }
    }

    /// Notes a file created.
    pub const fn created(&mut self) {
        if let Some(sample) = &mut self.sample {
            sample.created += 1;
        }
    }

    /// Forgets the last look, so that the next question needs a new one.
    pub const fn doubt(&mut self) {
        self.sample = None;
    }

    /// Whether it is time to look again.
    pub fn is_due(&self, now_ms: u64) -> bool {
        let Some(sample) = self.sample else { return true };
        let close = self.free_bytes() < self.min_bytes.saturating_mul(2);
        // A clock that jumped back makes a look due as well.
        let age_ms = now_ms.checked_sub(sample.at_ms).unwrap_or(u64::MAX);
        sample.written >= SAMPLE_EVERY_BYTES || age_ms >= if close { SAMPLE_CLOSE_MS } else { SAMPLE_MS }
    }

    /// What is free by the last look and what happened since. Without a look, everything.
    pub fn free_bytes(&self) -> u64 {
        self.sample.map_or(u64::MAX, |sample| sample.space.bytes.saturating_sub(sample.written))
    }

    /// How many bytes have to go before `need` more may be written: 0 when there is room. It asks for a margin more than is needed.
    pub fn shortfall(&self, need: u64) -> u64 {
        let Some(sample) = self.sample else { return 0 };
        let floor = self.min_bytes.saturating_add(need);
        let free = self.free_bytes();
        let files_short = sample.space.files.saturating_sub(sample.created) < FILES_MIN;
        if free >= floor && !files_short {
            return 0;
        }
        (floor.saturating_sub(free)).saturating_add(self.margin_bytes)
    }
}

/// How dear a write is.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Spending {
    /// What comes is written.
    Free,
    /// More than half of what may be written at once is: what nobody asked for before is not worth a write.
    Sparing,
    /// All of it is: only what starts playback is written.
    Spent,
}

/// How many bytes may be written a day, so that a disk lasts as long as it should.
///
/// An eighth of the day's bytes may be written at once, and the rest comes evenly over the day: in no 24 hours is more granted than a
/// day's bytes.
#[derive(Clone, Debug)]
pub struct WriteBudget {
    bytes_per_day: u64,
    /// What may be written now, in bytes times the milliseconds of a day. Below 0 once more was written than was granted.
    credit: i128,
    at_ms: Option<u64>,
}

impl WriteBudget {
    /// `bytes_per_day` 0 sets no limit.
    pub fn new(bytes_per_day: u64) -> Self {
        let mut budget = Self { bytes_per_day, credit: 0, at_ms: None };
        budget.credit = budget.at_once();
        budget
    }

    /// Notes bytes written.
    pub fn wrote(&mut self, bytes: u64) {
        // What is owed is bounded, so that a mistaken clock or a flood cannot stop writing for days.
        let floor = -self.at_once();
        self.credit = self.credit.saturating_sub(i128::from(bytes) * DAY_MS).max(floor);
    }

    /// How dear a write is at `now_ms`.
    pub fn spending(&mut self, now_ms: u64) -> Spending {
        if self.bytes_per_day == 0 {
            return Spending::Free;
        }
        // A clock that went back grants nothing, and one that jumps ahead no more than may be written at once.
        let gained_ms = now_ms.saturating_sub(*self.at_ms.get_or_insert(now_ms));
        self.at_ms = Some(now_ms);
        let even = i128::from(self.bytes_per_day - self.bytes_per_day / AT_ONCE_SHARE);
        self.credit = self.credit.saturating_add(even * i128::from(gained_ms)).min(self.at_once());
        match self.credit {
            credit if credit <= 0 => Spending::Spent,
            credit if credit <= self.at_once() / 2 => Spending::Sparing,
            _ => Spending::Free,
        }
    }

    fn at_once(&self) -> i128 {
        i128::from(self.bytes_per_day / AT_ONCE_SHARE) * DAY_MS
    }
}

pub(crate) const BLOCK_BYTES: u64 = 4096;
const MARGIN_MIN_BYTES: u64 = 64 << 20;
const SAMPLE_EVERY_BYTES: u64 = 256 << 20;
const SAMPLE_CLOSE_MS: u64 = 1000;
const SAMPLE_MS: u64 = 30_000;
const FILES_MIN: u64 = 64;
const DAY_MS: i128 = 86_400_000;
const AT_ONCE_SHARE: u64 = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_costs_whole_blocks_and_an_empty_one_a_block() {
        for (bytes, expect) in [(0, 4096), (1, 4096), (4096, 4096), (4097, 8192), (u64::MAX, u64::MAX)] {
            assert_eq!(charge(bytes), expect, "{bytes}");
        }
    }

    #[test]
    fn bytes_written_since_the_last_look_are_not_free_and_bytes_unlinked_are_not_free_yet() {
        let mut free = FreeSpace::new(100 << 20, 1 << 30);
        assert!(free.is_due(0));
        free.sampled(Space { bytes: 300 << 20, files: u64::MAX }, 0);
        assert_eq!(free.shortfall(200 << 20), 0);
        free.wrote(1);
        assert!(free.shortfall(200 << 20) > 64 << 20, "the margin is asked for too");
        free.wrote(256 << 20);
        assert!(free.is_due(1));
    }

    #[test]
    fn a_clock_that_jumps_makes_a_look_due_and_breaks_nothing() {
        let mut free = FreeSpace::new(0, 1 << 30);
        free.sampled(Space { bytes: 1 << 40, files: u64::MAX }, 86_400_000);
        assert!(!free.is_due(86_400_000));
        assert!(free.is_due(0) && free.is_due(2 * 86_400_000));
    }

    #[test]
    fn a_write_budget_grants_an_eighth_at_once_and_the_rest_evenly() {
        let (day_ms, per_day) = (86_400_000, 8 << 30);
        let mut budget = WriteBudget::new(per_day);
        assert_eq!(budget.spending(5), Spending::Free);
        budget.wrote(600 << 20);
        assert_eq!(budget.spending(5), Spending::Sparing);
        budget.wrote(500 << 20);
        assert_eq!(budget.spending(5), Spending::Spent);
        // Seven eighths come in a day: 600 MiB in about two hours.
        assert_eq!(budget.spending(5 + day_ms / 24), Spending::Sparing);
        assert_eq!(budget.spending(5 + day_ms / 6), Spending::Free);
        assert_eq!(budget.spending(0), Spending::Free, "a clock that went back");
        budget.wrote(u64::MAX);
        assert_eq!(budget.spending(3 * day_ms), Spending::Free, "what is owed is bounded");
        let mut none = WriteBudget::new(0);
        none.wrote(u64::MAX);
        assert_eq!(none.spending(1), Spending::Free);
    }

    #[test]
    fn no_day_grants_more_than_its_bytes_however_the_writes_come() {
        let (hour_ms, per_day) = (3_600_000, 80_000_u64);
        let (mut budget, mut written) = (WriteBudget::new(per_day), 0);
        for minute in 0..24 * 60 {
            while budget.spending(minute * hour_ms / 60) < Spending::Spent {
                budget.wrote(10);
                written += 10;
            }
        }
        assert!((per_day - 100..=per_day + 10).contains(&written), "{written}");
    }

    #[test]
    fn a_disk_without_inodes_is_full() {
        let mut free = FreeSpace::new(0, 1 << 30);
        free.sampled(Space { bytes: 1 << 40, files: 3 }, 0);
        assert!(free.shortfall(1) > 0);
    }
}
