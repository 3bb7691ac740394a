//! What is kept for how long: which rows may go at a given time, and which must stay whatever their age.
//!
//! ```text
//!  ages, by configuration ─┐
//!  what edges have seen ───┼─> plan ──> Due, one a shelf ──> counted, told, and removed in bounded batches
//!  orders that stand ──────┘
//! ```
//!
//! Only what nobody reads any more goes: the history of an asset that plays is whole from its first event on, what was
//! delivered is never removed, and an edge that was away finds every purge that it has not carried out. What a plan says is
//! what a dry run tells and what a run removes.

use std::time::Duration;

use crate::fleet::{EdgeRow, ExpectedEdges};
use crate::id::EdgeId;
use crate::time::Timestamp;

/// How long things are kept.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Ages {
    /// The events of an asset after it was deleted.
    pub events: Duration,
    /// Finished jobs, ended uploads, and purges that every edge has carried out.
    pub work: Duration,
    /// What edges served and what players saw, where the database itself keeps that.
    pub playback: Duration,
}

impl Default for Ages {
    fn default() -> Self {
        let days = |days: u64| Duration::from_secs(days * 86_400);
        Self { events: days(30), work: days(30), playback: days(90) }
    }
}

/// Rows that may go. Each variant is the whole rule of its shelf; times do not include their instant, and of more rows than
/// are asked for the oldest go.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Due {
    /// Events from before `before` of assets that were deleted before it, the asset that was deleted first before the others.
    /// The rows of those assets stay, and with them what says that they are gone.
    Events {
        /// Both lie before this.
        before: Timestamp,
    },
    /// Jobs that ended before `before`, when nothing is under way of their asset: it is ready, failed or deleted, or not
    /// there, and no other job of it waits or runs. A delete that failed stays, since what it left behind does.
    Jobs {
        /// They changed last before this.
        before: Timestamp,
    },
    /// Upload sessions that ended and whose time was over before `before`, with what is remembered of their parts.
    Uploads {
        /// Their time was over before this.
        before: Timestamp,
    },
    /// Purge orders from before `before` up to place `upto`, but for the newest order of all: an edge that begins anew reads
    /// from it where the log ends.
    Purges {
        /// They were given before this.
        before: Timestamp,
        /// The last place that may go.
        upto: u64,
    },
    /// Records of what edges served that were observed and recorded before `before`, when their hour was counted since they
    /// were recorded. What was not counted stays, however old it is.
    Playback {
        /// Both lie before this.
        before: Timestamp,
    },
    /// What players saw before `before`.
    PlayerEvents {
        /// It happened before this.
        before: Timestamp,
    },
}

impl Due {
    /// The shelf's name in logs.
    pub const fn shelf(&self) -> &'static str {
        match self {
            Self::Events { .. } => "events of deleted assets",
            Self::Jobs { .. } => "finished jobs",
            Self::Uploads { .. } => "ended uploads",
            Self::Purges { .. } => "purges",
            Self::Playback { .. } => "playback records",
            Self::PlayerEvents { .. } => "player events",
        }
    }

    /// Nothing at or after this goes.
    pub const fn before(&self) -> Timestamp {
        match self {
            Self::Events { before }
            | Self::Jobs { before }
            | Self::Uploads { before }
            | Self::Purges { before, .. }
            | Self::Playback { before }
            | Self::PlayerEvents { before } => *before,
        }
    }
}

/// What may go at `now`, a shelf at a time.
///
/// `seen` is the place of the purge log up to which every edge has carried it out ([`seen_by_all`]); `standing` is when the
/// oldest suspension of an organisation that stands was ordered
/// ([`SuspendedOrgs::oldest`](crate::suspension::SuspendedOrgs::oldest)): whether it was carried out is read from the purges
/// since.
pub fn plan(ages: &Ages, seen: u64, standing: Option<Timestamp>, now: Timestamp) -> [Due; 6] {
    let (work, playback) = (now - ages.work, now - ages.playback);
    let purges = standing.map_or(work, |at| work.min(at));
    [
        Due::Events { before: now - ages.events },
        Due::Jobs { before: work },
        Due::Uploads { before: work },
        Due::Purges { before: purges, upto: seen },
        // Whole hours, as they are counted.
        Due::Playback { before: playback.hour() },
        Due::PlayerEvents { before: playback },
    ]
}

/// The place of the purge log up to which every edge that may come back has carried it out.
///
/// Those are the edges that are expected, or, where none are named, all that ever registered. An edge that is expected and
/// was never heard has carried out nothing.
pub fn seen_by_all(expected: &ExpectedEdges, known: &[EdgeRow]) -> u64 {
    let seen = |row: &EdgeRow| row.beat.purge_seen;
    if expected.is_empty() {
        return known.iter().map(seen).min().unwrap_or(u64::MAX);
    }
    let of = |id: &EdgeId| known.iter().find(|row| row.id == *id).map_or(0, seen);
    expected.iter().map(|edge| of(&edge.id)).min().unwrap_or(0)
}

/// Rows that one step removes: short enough that nobody who writes meanwhile waits long.
pub const BATCH: usize = 500;
/// Steps that one look takes for a shelf; the next look goes on.
pub const STEPS_MAX: usize = 20;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::{Beat, EdgeState};

    fn at(secs: u64) -> Timestamp {
        Timestamp::from_secs(1_800_000_000 + secs)
    }

    fn edge(id: &str, purge_seen: u64) -> EdgeRow {
        let beat = Beat { purge_seen, ..Beat::idle(EdgeState::Active) };
        EdgeRow {
            id: id.parse().unwrap(),
            region: "us-east".into(),
            public_url: format!("https://{id}.example.com"),
            private_url: "http://10.0.0.2:4110".into(),
            version: "1".into(),
            beat,
            registered_at: at(0),
            beat_at: at(0),
        }
    }

    #[track_caller]
    fn check_seen(expected: &str, known: &[(&str, u64)], expect: u64) {
        let known: Vec<_> = known.iter().map(|(id, seen)| edge(id, *seen)).collect();
        assert_eq!(seen_by_all(&expected.parse().unwrap(), &known), expect);
    }

    #[test]
    fn no_purge_goes_that_an_edge_which_may_come_back_has_not_carried_out() {
        const TWO: &str = "a=us-east=https://a.example.com,b=us-east=https://b.example.com";
        check_seen("", &[], u64::MAX);
        check_seen("", &[("a", 7), ("b", 3)], 3);
        check_seen(TWO, &[("a", 7), ("b", 3), ("gone", 1)], 3);
        check_seen(TWO, &[("a", 7)], 0);
        check_seen(TWO, &[], 0);
    }

    #[test]
    fn the_oldest_suspension_that_stands_keeps_the_purges_since() {
        let ages = Ages::default();
        let purges = |standing| plan(&ages, 9, standing, at(100) + ages.work)[3];
        assert_eq!(purges(None), Due::Purges { before: at(100), upto: 9 });
        assert_eq!(purges(Some(at(3))), Due::Purges { before: at(3), upto: 9 });
        assert_eq!(purges(Some(at(300))), Due::Purges { before: at(100), upto: 9 });
    }

    #[test]
    fn a_plan_has_each_shelf_once_and_nothing_younger_than_its_age() {
        let ages = Ages::default();
        let now = at(12_345);
        let plan = plan(&ages, 1, None, now);
        let shelves: std::collections::BTreeSet<_> = plan.iter().map(Due::shelf).collect();
        assert_eq!(shelves.len(), plan.len());
        let youngest = [ages.events, ages.work, ages.work, ages.work, ages.playback, ages.playback];
        for (due, age) in plan.iter().zip(youngest) {
            assert!(due.before() + age <= now, "{due:?}");
        }
        assert_eq!(plan[4].before(), plan[4].before().hour(), "hours are counted whole and go whole");
    }

    #[test]
    fn soon_after_the_epoch_nothing_is_old() {
        for due in plan(&Ages::default(), u64::MAX, None, Timestamp::from_secs(5)) {
            assert_eq!(due.before(), Timestamp::EPOCH);
        }
    }
}
