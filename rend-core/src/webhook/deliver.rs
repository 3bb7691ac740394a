//! How events reach an endpoint: at least once each, begun in the order of the log.
//!
//! ```text
//!   log  1 2 3 4 5 6 7 8 9 …
//!              │         └ not read yet
//!              └ cursor: up to here every wanted event was taken, or waits
//!        waiting: 2 (tried once), 4 (tried three times)
//! ```
//!
//! A sender works in rounds. It takes a lease on the endpoint, so that of several processes one sends; it begins what is
//! due of those that wait, then what is new ([`Progress::due`], [`Progress::room`]); and it writes down what came of it
//! ([`Endpoint::after`]). Killed at any moment, the round is done again: events are sent twice then, and never not at all.
//! What an owner changes meanwhile is kept, since a round is applied to the row as it is by then.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Endpoint, Why};
use crate::id::AssetId;
use crate::prng::Prng;
use crate::time::Timestamp;

/// How far an endpoint has been told.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Progress {
    /// The place of the log up to which every wanted event was taken or waits.
    pub cursor: u64,
    /// What did not arrive, by place in the log; at most [`WAITING_MAX`], and as many more as one round begins.
    pub waiting: BTreeMap<u64, Waiting>,
    /// Who sends at present.
    pub lease: Option<Lease>,
}

/// An event that is to be sent again.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Waiting {
    /// How often it was sent.
    pub attempts: u32,
    /// Not before this.
    pub due: Timestamp,
}

/// Somebody's right to send to an endpoint.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Lease {
    /// Who.
    pub holder: [u8; 8],
    /// Until when.
    pub until: Timestamp,
}

/// How long after each try that failed an event is sent again. After the last the endpoint is given up: that is about
/// three days after the first.
pub const SCHEDULE: [Duration; 10] = [
    Duration::from_secs(5),
    Duration::from_secs(60),
    Duration::from_secs(5 * 60),
    Duration::from_secs(30 * 60),
    Duration::from_secs(2 * 3600),
    Duration::from_secs(5 * 3600),
    Duration::from_secs(10 * 3600),
    Duration::from_secs(14 * 3600),
    Duration::from_secs(16 * 3600),
    Duration::from_secs(24 * 3600),
];
/// Waits are longer by up to one part in so many, so that what failed together does not come back together.
const JITTER_PARTS: u64 = 10;
/// Events that may wait before no new one is begun. The log keeps the others.
pub const WAITING_MAX: usize = 100;
/// Events that one round begins.
pub const ROUND_MAX: usize = 8;
/// How long one try may take.
pub const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// How long a lease lasts: longer than a round, and after a crash nobody sends before it has run out.
pub const LEASE_FOR: Duration = Duration::from_secs(20);

/// What came of one try.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Reply {
    /// It was taken: any status from 200 to 299.
    Taken,
    /// The endpoint wants no more: 410.
    Gone,
    /// It was not taken: another status, a redirect included, no answer in time, no connection, or an address that is not
    /// public.
    Failed,
}

impl Reply {
    /// What the status of an answer means.
    pub const fn of_status(status: u16) -> Self {
        match status {
            200..=299 => Self::Taken,
            410 => Self::Gone,
            _ => Self::Failed,
        }
    }
}

/// What came of a round.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Round {
    /// The cursor when it began.
    pub read_from: u64,
    /// The place up to which it read.
    pub read_to: u64,
    /// What came of each event that was sent, and whose it was, by place in the log.
    pub replies: BTreeMap<u64, (Reply, AssetId)>,
    /// Events that waited and are in the log no more.
    pub vanished: Vec<u64>,
}

impl Progress {
    /// Nothing after place `seq` was told, and everything up to it needs not be.
    pub const fn from_place(seq: u64) -> Self {
        Self { cursor: seq, waiting: BTreeMap::new(), lease: None }
    }

    /// The events to send again at `now`, oldest first, at most [`ROUND_MAX`].
    pub fn due(&self, now: Timestamp) -> Vec<u64> {
        let due = self.waiting.iter().filter(|(_, waiting)| waiting.due <= now);
        due.map(|(seq, _)| *seq).take(ROUND_MAX).collect()
    }

    /// How many new events a round may begin beside `again` that it sends again.
    pub fn room(&self, again: usize) -> usize {
        if self.waiting.len() >= WAITING_MAX { 0 } else { ROUND_MAX.saturating_sub(again) }
    }

    /// Whether there is something to do at `now`, with the log at `head`.
    pub fn has_work(&self, head: u64, now: Timestamp) -> bool {
        let due = self.due(now).len();
        due > 0 || (head > self.cursor && self.room(due) > 0)
    }

    /// When the next event that waits is due.
    pub fn next_due(&self) -> Option<Timestamp> {
        self.waiting.values().map(|waiting| waiting.due).min()
    }

    /// The same under a lease of `holder`, or `None` while another one holds it.
    pub fn leased(&self, holder: [u8; 8], now: Timestamp) -> Option<Self> {
        match self.lease {
            Some(lease) if lease.holder != holder && now < lease.until => None,
            Some(_) | None => Some(Self { lease: Some(Lease { holder, until: now + LEASE_FOR }), ..self.clone() }),
        }
    }

    /// Has everything after place `seq` told again. A place that was not reached changes nothing: nothing is skipped.
    pub fn replay_after(&mut self, seq: u64) {
        self.waiting.retain(|waiting, _| *waiting <= seq);
        self.cursor = self.cursor.min(seq);
    }

    /// Has the event at place `seq` told again at `now`, and answers whether there was room for it.
    pub fn replay(&mut self, seq: u64, now: Timestamp) -> bool {
        if seq > self.cursor {
            return true;
        }
        let room = self.waiting.len() < WAITING_MAX || self.waiting.contains_key(&seq);
        if room {
            self.waiting.insert(seq, Waiting { attempts: 0, due: now });
        }
        room
    }

    pub(super) fn try_all_again(&mut self, now: Timestamp) {
        self.waiting.values_mut().for_each(|waiting| *waiting = Waiting { attempts: 0, due: now });
    }
}

impl Endpoint {
    /// The endpoint after `round`, of which `self` is what it has become meanwhile.
    #[must_use]
    pub fn after(&self, round: &Round, now: Timestamp, prng: &mut Prng) -> Self {
        let mut next = self.clone();
        let progress = &mut next.progress;
        // When the owner had it begin elsewhere meanwhile, what was read does not count as told.
        if progress.cursor == round.read_from {
            progress.cursor = progress.cursor.max(round.read_to);
        }
        for seq in &round.vanished {
            progress.waiting.remove(seq);
        }
        let mut ended = None;
        for (seq, (reply, asset)) in &round.replies {
            if *reply == Reply::Taken {
                progress.waiting.remove(seq);
                continue;
            }
            // It will be read again, or has been given back to the log.
            if *seq > progress.cursor {
                continue;
            }
            let attempts = progress.waiting.get(seq).map_or(0, |waiting| waiting.attempts).saturating_add(1);
            let wait = usize::try_from(attempts - 1).ok().and_then(|past| SCHEDULE.get(past));
            let due = now + wait.map_or(Duration::ZERO, |wait| jittered(*wait, prng));
            progress.waiting.insert(*seq, Waiting { attempts, due });
            if *reply == Reply::Gone {
                ended = Some((Why::Gone, *asset));
            } else if wait.is_none() && ended.is_none() {
                ended = Some((Why::Exhausted, *asset));
            }
        }
        match ended {
            Some((why, asset)) => next.disabled(why, now, Some(asset)),
            None => next,
        }
    }
}

fn jittered(wait: Duration, prng: &mut Prng) -> Duration {
    let most = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX) / JITTER_PARTS;
    wait + Duration::from_millis(prng.below(most + 1))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;
    use crate::webhook::State;
    use crate::webhook::tests::endpoint;

    fn at(secs: u64) -> Timestamp {
        Timestamp::from_secs(1_800_000_000 + secs)
    }

    fn asset() -> AssetId {
        AssetId::from_bytes([3; 16])
    }

    fn round(read_from: u64, read_to: u64, replies: &[(u64, Reply)]) -> Round {
        let replies = replies.iter().map(|(seq, reply)| (*seq, (*reply, asset()))).collect();
        Round { read_from, read_to, replies, vanished: Vec::new() }
    }

    fn after(endpoint: &Endpoint, round: &Round, now: Timestamp) -> Endpoint {
        endpoint.after(round, now, &mut Prng::seeded(1))
    }

    #[test]
    fn what_is_taken_is_done_and_what_is_not_waits() {
        let next = after(&endpoint(), &round(0, 3, &[(1, Reply::Taken), (2, Reply::Failed), (3, Reply::Taken)]), at(0));
        assert_eq!((next.progress.cursor, next.progress.waiting.len()), (3, 1));
        let waiting = next.progress.waiting[&2];
        assert_eq!(waiting.attempts, 1);
        assert!((at(5)..=at(6)).contains(&waiting.due));
        assert_eq!((next.progress.due(at(0)), next.progress.due(at(6))), (vec![], vec![2]));
        let done = after(&next, &round(3, 3, &[(2, Reply::Taken)]), at(6));
        assert_eq!(done.progress, Progress::from_place(3));
    }

    #[test]
    fn an_event_that_never_arrives_is_tried_for_three_days_and_disables_its_endpoint() {
        let mut endpoint = after(&endpoint(), &round(0, 1, &[(1, Reply::Failed)]), at(0));
        let mut tries = 1;
        let mut now = at(0);
        while endpoint.is_active() {
            now = endpoint.progress.next_due().unwrap();
            endpoint = after(&endpoint, &round(1, 1, &[(1, Reply::Failed)]), now);
            tries += 1;
        }
        assert_eq!(tries, SCHEDULE.len() + 1);
        let days = now.since(at(0)).as_secs_f64() / 86_400.0;
        assert!((2.9..3.4).contains(&days), "{days}");
        assert_eq!(endpoint.state, State::Disabled { why: Why::Exhausted, at: now, tell: Some(asset()) });
        // Enabled, it goes on with what it did not get.
        let back = endpoint.enabled(now);
        assert_eq!(back.progress.due(now), [1]);
        assert_eq!(back.progress.waiting[&1].attempts, 0);
    }

    #[test]
    fn gone_disables_at_once_and_keeps_what_was_not_taken() {
        let gone = after(&endpoint(), &round(0, 2, &[(1, Reply::Gone), (2, Reply::Taken)]), at(0));
        assert_eq!(gone.state, State::Disabled { why: Why::Gone, at: at(0), tell: Some(asset()) });
        assert!(gone.progress.waiting.contains_key(&1));
    }

    #[test]
    fn statuses_mean_what_receivers_mean_by_them() {
        for (status, reply) in [
            (200, Reply::Taken),
            (204, Reply::Taken),
            (301, Reply::Failed),
            (400, Reply::Failed),
            (410, Reply::Gone),
            (429, Reply::Failed),
            (500, Reply::Failed),
        ] {
            assert_eq!(Reply::of_status(status), reply, "{status}");
        }
    }

    #[test]
    fn a_replay_that_was_asked_for_during_a_round_outlasts_it() {
        let mut asked = endpoint();
        asked.progress = Progress::from_place(10);
        asked.progress.replay_after(4);
        let next = after(&asked, &round(10, 12, &[(11, Reply::Taken), (12, Reply::Failed)]), at(0));
        assert_eq!(next.progress, Progress::from_place(4), "all of it is read again, the failure included");
        // One event alone is sent again, whatever became of it before.
        let mut one = Progress::from_place(10);
        assert!(one.replay(3, at(1)) && one.replay(11, at(1)));
        assert_eq!(one.due(at(1)), [3], "11 comes anyway");
    }

    #[test]
    fn one_sends_at_a_time_and_a_lease_that_was_left_behind_runs_out() {
        let free = Progress::from_place(0);
        let mine = free.leased([1; 8], at(0)).unwrap();
        assert_eq!(mine.leased([2; 8], at(19)), None);
        assert!(mine.leased([1; 8], at(19)).is_some(), "who has it may renew it");
        assert!(mine.leased([2; 8], at(20)).is_some());
    }

    #[test]
    fn a_full_waiting_room_holds_the_log_back() {
        let mut progress = Progress::from_place(200);
        for seq in 1..=WAITING_MAX as u64 {
            progress.waiting.insert(seq, Waiting { attempts: 1, due: at(50) });
        }
        assert_eq!(progress.room(0), 0);
        assert!(!progress.has_work(300, at(0)) && progress.has_work(300, at(50)));
        assert!(!progress.replay(150, at(0)) && progress.replay(5, at(0)));
        progress.waiting.remove(&1);
        assert_eq!((progress.room(0), progress.room(ROUND_MAX)), (ROUND_MAX, 0));
    }

    #[derive(Clone, Copy, Debug)]
    enum Turn {
        /// A round in which each try is answered by the next of these.
        Round,
        /// A round that was sent and never written down.
        Killed,
        /// Time passes.
        Pass(u32),
        ReplayAfter(u64),
        Replay(u64),
    }

    fn turns() -> impl Strategy<Value = Turn> {
        prop_oneof![
            6 => Just(Turn::Round),
            1 => Just(Turn::Killed),
            3 => (0..100_000_u32).prop_map(Turn::Pass),
            1 => (0..40_u64).prop_map(Turn::ReplayAfter),
            1 => (1..40_u64).prop_map(Turn::Replay),
        ]
    }

    proptest! {
        #[test]
        fn every_wanted_event_is_taken_or_waits_or_is_still_to_be_read(
            turns in prop::collection::vec(turns(), 1..60),
            wanted in prop::collection::btree_set(1..40_u64, 0..40),
            answers in prop::collection::vec(prop_oneof![3 => Just(Reply::Taken), 2 => Just(Reply::Failed)], 1..50),
        ) {
            const HEAD: u64 = 40;
            let mut prng = Prng::seeded(7);
            let (mut row, mut now) = (endpoint(), at(0));
            let mut answer = answers.iter().cycle().copied();
            let mut taken = BTreeSet::new();
            // What an owner asked to have again must be taken after that once more.
            let mut owed = wanted.clone();
            for turn in turns {
                match turn {
                    Turn::Pass(secs) => now = now + Duration::from_secs(secs.into()),
                    Turn::ReplayAfter(seq) => {
                        row.progress.replay_after(seq);
                        owed.extend(wanted.iter().filter(|event| **event > seq));
                    }
                    Turn::Replay(seq) => {
                        if wanted.contains(&seq) && row.progress.replay(seq, now) {
                            owed.insert(seq);
                        }
                    }
                    Turn::Round | Turn::Killed => {
                        let again = row.progress.due(now);
                        let room = row.progress.room(again.len());
                        let from = row.progress.cursor;
                        let fresh: Vec<_> = wanted.range(from + 1..).copied().take(room).collect();
                        // With room left the rest of the log holds nothing that is wanted.
                        let read_to = if fresh.len() < room { HEAD } else { fresh.last().copied().unwrap_or(from) };
                        prop_assert!(again.len() + fresh.len() <= ROUND_MAX);
                        prop_assert!(fresh.is_sorted() && again.is_sorted());
                        let replies: Vec<_> = again.iter().chain(&fresh).map(|s| (*s, answer.next().unwrap())).collect();
                        for (seq, _) in replies.iter().filter(|(_, reply)| *reply == Reply::Taken) {
                            taken.insert(*seq);
                            owed.remove(seq);
                        }
                        if matches!(turn, Turn::Round) {
                            row = row.after(&round(from, read_to, &replies), now, &mut prng);
                        }
                    }
                }
                if !row.is_active() {
                    row = row.enabled(now);
                }
                let progress = &row.progress;
                for event in &owed {
                    prop_assert!(*event > progress.cursor || progress.waiting.contains_key(event), "{event} is lost");
                }
                prop_assert!(progress.waiting.len() < WAITING_MAX + ROUND_MAX);
                prop_assert!(progress.waiting.values().all(|waiting| waiting.attempts as usize <= SCHEDULE.len()));
            }
            // From here on everything is taken: whatever was owed arrives, in a bounded number of rounds.
            for _ in 0..40 {
                now = now + Duration::from_secs(30 * 3600);
                let again = row.progress.due(now);
                let from = row.progress.cursor;
                let room = row.progress.room(again.len());
                let fresh: Vec<_> = wanted.range(from + 1..).copied().take(room).collect();
                let read_to = if fresh.len() < room { HEAD } else { fresh.last().copied().unwrap_or(from) };
                let replies: Vec<_> = again.iter().chain(&fresh).map(|seq| (*seq, Reply::Taken)).collect();
                taken.extend(replies.iter().map(|(seq, _)| *seq));
                row = row.after(&round(from, read_to, &replies), now, &mut prng);
            }
            prop_assert!(row.progress.waiting.is_empty() && !row.progress.has_work(HEAD, now));
            prop_assert!(wanted.is_subset(&taken));
        }
    }
}
