//! Which edges are there now, judged by when they were last heard.

use std::time::Duration;

use super::{EdgeRow, EdgeState};
use crate::time::Timestamp;

/// Whether an edge counts as there: its last word is younger than `window`.
///
/// A word from the future, as a skewed clock gives it, is as good as one from now.
pub fn is_live(row: &EdgeRow, now: Timestamp, window: Duration) -> bool {
    now.since(row.beat_at) < window
}

/// The edges that a fan-out asks, in the order of their ids, so that equal histories ask equal edges in equal order.
///
/// Draining edges are asked too: what they still serve must be forgotten when an order says so.
pub fn live(rows: &[EdgeRow], now: Timestamp, window: Duration) -> Vec<&EdgeRow> {
    let mut live: Vec<_> = rows.iter().filter(|row| is_live(row, now, window)).collect();
    live.sort_by(|a, b| a.id.cmp(&b.id));
    live
}

/// The edges that viewers may be sent to: live, and wanting viewers.
pub fn playing(rows: &[EdgeRow], now: Timestamp, window: Duration) -> Vec<&EdgeRow> {
    live(rows, now, window).into_iter().filter(|row| row.beat.state == EdgeState::Active).collect()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::fleet::Beat;

    pub(crate) fn row(id: &str, state: EdgeState, beat_secs: u64) -> EdgeRow {
        EdgeRow {
            id: id.parse().unwrap(),
            region: "local".into(),
            public_url: format!("http://{id}.example.com"),
            private_url: format!("http://{id}.internal:4110"),
            version: String::new(),
            beat: Beat::idle(state),
            registered_at: Timestamp::EPOCH,
            beat_at: Timestamp::from_secs(beat_secs),
        }
    }

    #[track_caller]
    fn check(beat_secs: u64, expect: bool) {
        let row = row("a", EdgeState::Active, beat_secs);
        assert_eq!(is_live(&row, Timestamp::from_secs(1000), Duration::from_secs(120)), expect, "{beat_secs}");
    }

    #[test]
    fn an_edge_is_live_while_its_last_word_is_younger_than_the_window() {
        check(1000, true);
        check(985, true);
        check(881, true);
        check(880, false);
        check(0, false);
        check(1100, true);
    }

    #[test]
    fn a_draining_edge_is_told_to_forget_but_gets_no_viewers() {
        let rows =
            [row("c", EdgeState::Active, 100), row("b", EdgeState::Draining, 100), row("a", EdgeState::Standby, 100)];
        let ids = |rows: Vec<&EdgeRow>| rows.iter().map(|r| r.id.to_string()).collect::<Vec<_>>();
        let (now, window) = (Timestamp::from_secs(100), Duration::from_secs(10));
        assert_eq!(ids(live(&rows, now, window)), ["a", "b", "c"]);
        assert_eq!(ids(playing(&rows, now, window)), ["c"]);
    }
}
