//! Whether an edge can be trusted with viewers.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::fleet::{EdgeRow, EdgeState, registry};
use crate::id::EdgeId;
use crate::time::Timestamp;

/// What is known of the edges when a viewer is routed. An edge that it says nothing of counts as good.
pub type Health = BTreeMap<EdgeId, Condition>;

/// How an edge is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Condition {
    /// It can be used.
    Good {
        /// How much of its weight counts, in thousandths: less than 1000 while it comes back.
        share_permille: u32,
        /// Viewers it serves at present, as far as known.
        load: u64,
    },
    /// It answered wrongly too often: passed over, but never with more than half of its region.
    Down,
    /// It drains, stands by or was not heard of: passed over.
    Away,
}

impl Condition {
    /// Nothing is wrong with it.
    pub const GOOD: Self = Self::Good { share_permille: 1000, load: 0 };
}

/// How long an edge that came back gets less than its share.
pub const SLOW_START: Duration = Duration::from_secs(30);
/// The least share that a returning edge gets, in thousandths, so that its cache can fill.
pub const SHARE_MIN_PERMILLE: u32 = 100;

/// The conditions that heartbeats tell of.
pub fn of_fleet(rows: &[EdgeRow], now: Timestamp, window: Duration) -> Health {
    let condition = |row: &EdgeRow| {
        if row.beat.state == EdgeState::Active && registry::is_live(row, now, window) {
            Condition::GOOD
        } else {
            Condition::Away
        }
    };
    rows.iter().map(|row| (row.id.clone(), condition(row))).collect()
}

/// The fall and rise of one edge: `fall` bad answers in a row take it down, `rise` good ones bring it back.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Pulse {
    fall: u32,
    rise: u32,
    streak: u32,
    down: bool,
    up_since: Option<Timestamp>,
}

impl Pulse {
    /// An edge that is up, with this rule; counts below 1 become 1.
    pub const fn new(fall: u32, rise: u32) -> Self {
        let fall = if fall == 0 { 1 } else { fall };
        let rise = if rise == 0 { 1 } else { rise };
        Self { fall, rise, streak: 0, down: false, up_since: None }
    }

    /// Takes in one answer.
    pub fn observe(&mut self, good: bool, now: Timestamp) {
        // Only answers against the present state count, and only in a row.
        self.streak = if good == self.down { self.streak + 1 } else { 0 };
        let turn = if self.down { self.rise } else { self.fall };
        if self.streak >= turn {
            self.down = !self.down;
            self.streak = 0;
            self.up_since = (!self.down).then_some(now);
        }
    }

    /// How the edge is at `now`.
    pub fn condition(&self, now: Timestamp) -> Condition {
        if self.down {
            return Condition::Down;
        }
        let since = self.up_since.map_or(SLOW_START, |up| now.since(up)).min(SLOW_START);
        let share = u32::try_from(since.as_millis() * 1000 / SLOW_START.as_millis()).unwrap_or(1000);
        Condition::Good { share_permille: share.max(SHARE_MIN_PERMILLE), load: 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(answers: &str, down: bool) {
        let mut pulse = Pulse::new(3, 2);
        for answer in answers.chars() {
            pulse.observe(answer == '+', Timestamp::EPOCH);
        }
        assert_eq!(pulse.condition(Timestamp::EPOCH) == Condition::Down, down, "{answers}");
    }

    #[test]
    fn three_bad_answers_in_a_row_take_an_edge_down_and_two_good_ones_bring_it_back() {
        check("", false);
        check("--", false);
        check("--+--", false);
        check("---", true);
        check("---+", true);
        check("---+-+", true);
        check("---++", false);
        check("---++--", false);
    }

    #[test]
    fn a_returning_edge_gets_its_share_back_over_thirty_seconds() {
        let mut pulse = Pulse::new(1, 1);
        pulse.observe(false, Timestamp::EPOCH);
        pulse.observe(true, Timestamp::from_secs(100));
        let share = |secs| match pulse.condition(Timestamp::from_secs(secs)) {
            Condition::Good { share_permille, .. } => share_permille,
            Condition::Down | Condition::Away => 0,
        };
        assert_eq!([share(100), share(115), share(130), share(900)], [100, 500, 1000, 1000]);
    }
}
