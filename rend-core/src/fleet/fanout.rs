//! One order to many edges: asked at once, asked again with patience, and given up within bounds.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use crate::event::FanoutOutcome;
use crate::id::EdgeId;
use crate::machine::Machine;
use crate::prng::Prng;
use crate::time::Mono;

/// Brings one warm or purge to every edge of a list.
///
/// ```text
/// each edge:  Waiting ──a slot is free──▶ Asked ──Done──▶ Succeeded
///                ▲                          │ Refused/Failed/deadline
///                └── back-off, tries left ──┴── none left, or it refused ──▶ Failed
/// ```
///
/// It ends when every edge has succeeded or failed; then [`Fanout::outcomes`] says which. What failed is not lost: a purge
/// stands in the log that edges read before they report active, and a warm that failed costs a miss.
#[derive(Debug)]
pub struct Fanout {
    config: FanoutConfig,
    prng: Prng,
    edges: BTreeMap<EdgeId, Progress>,
    asks: VecDeque<FanoutAsk>,
}

/// How patient a fan-out is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct FanoutConfig {
    /// Edges asked at one time.
    pub in_flight_max: usize,
    /// How often one edge is asked.
    pub attempts_max: u32,
    /// How long one answer is waited for.
    pub timeout: Duration,
    /// The wait after the first failure; it doubles with each further one.
    pub back_off: Duration,
    /// The longest wait between two attempts.
    pub back_off_max: Duration,
}

impl Default for FanoutConfig {
    fn default() -> Self {
        Self {
            in_flight_max: 64,
            attempts_max: 4,
            timeout: Duration::from_secs(5),
            back_off: Duration::from_millis(500),
            back_off_max: Duration::from_secs(10),
        }
    }
}

/// Ask this edge. Attempts of one edge are numbered from 1.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct FanoutAsk {
    /// The edge.
    pub edge: EdgeId,
    /// Which attempt this is.
    pub attempt: u32,
}

/// What became of one attempt.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Answered {
    /// The edge.
    pub edge: EdgeId,
    /// Which attempt it was.
    pub attempt: u32,
    /// What came of it.
    pub answer: Answer,
}

/// What an edge answered.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Answer {
    /// It did as asked.
    Done,
    /// It will not: asking again gives the same.
    Refused,
    /// It did not answer as it should: asking again may help.
    Failed,
}

impl Answer {
    /// What a status code of an edge means.
    pub const fn of_status(status: u16) -> Self {
        match status {
            200..=299 => Self::Done,
            408 | 425 | 429 | 500..=599 => Self::Failed,
            _ => Self::Refused,
        }
    }
}

impl Fanout {
    /// A fan-out to `edges` that asks the first ones at once.
    pub fn new(edges: impl IntoIterator<Item = EdgeId>, config: FanoutConfig, seed: u64, now: Mono) -> Self {
        let waiting = |edge| (edge, Progress::Waiting { attempt: 1, until: now });
        let mut fanout = Self {
            config,
            prng: Prng::seeded(seed),
            edges: edges.into_iter().map(waiting).collect(),
            asks: VecDeque::new(),
        };
        fanout.ask(now);
        fanout
    }

    /// Whether every edge has succeeded or failed.
    pub fn is_done(&self) -> bool {
        self.edges.values().all(|progress| matches!(progress, Progress::Ended(_)))
    }

    /// What came of each edge so far: attempted while it is not settled.
    pub fn outcomes(&self) -> impl Iterator<Item = (&EdgeId, FanoutOutcome)> {
        self.edges.iter().map(|(edge, progress)| match progress {
            Progress::Waiting { .. } | Progress::Asked { .. } => (edge, FanoutOutcome::Attempted),
            Progress::Ended(outcome) => (edge, *outcome),
        })
    }

    /// Asks every edge that is due, in the order of ids, while slots are free.
    fn ask(&mut self, now: Mono) {
        let asked = self.edges.values().filter(|p| matches!(p, Progress::Asked { .. })).count();
        let mut slots = self.config.in_flight_max.max(1).saturating_sub(asked);
        for (edge, progress) in &mut self.edges {
            if slots == 0 {
                return;
            }
            if let Progress::Waiting { attempt, until } = *progress
                && until <= now
            {
                *progress = Progress::Asked { attempt, give_up: now + self.config.timeout };
                self.asks.push_back(FanoutAsk { edge: edge.clone(), attempt });
                slots -= 1;
            }
        }
    }

    fn failed(config: &FanoutConfig, prng: &mut Prng, attempt: u32, now: Mono) -> Progress {
        if attempt >= config.attempts_max {
            return Progress::Ended(FanoutOutcome::Failed);
        }
        let doubled = config.back_off.saturating_mul(1 << (attempt - 1).min(16)).min(config.back_off_max);
        let half = doubled / 2;
        let spread = u64::try_from(half.as_micros()).unwrap_or(u64::MAX);
        let wait = half + Duration::from_micros(prng.below(spread.saturating_add(1)));
        Progress::Waiting { attempt: attempt + 1, until: now + wait }
    }
}

impl Machine for Fanout {
    type Input = Answered;
    type Output = FanoutAsk;

    fn handle(&mut self, answered: Answered, now: Mono) {
        let Some(progress) = self.edges.get_mut(&answered.edge) else { return };
        match (*progress, answered.answer) {
            // Whatever attempt it was for, what is done is done: orders are safe to repeat.
            (Progress::Waiting { .. } | Progress::Asked { .. }, Answer::Done) => {
                *progress = Progress::Ended(FanoutOutcome::Succeeded);
            }
            (Progress::Asked { attempt, .. }, Answer::Refused) if attempt == answered.attempt => {
                *progress = Progress::Ended(FanoutOutcome::Failed);
            }
            (Progress::Asked { attempt, .. }, Answer::Failed) if attempt == answered.attempt => {
                *progress = Self::failed(&self.config, &mut self.prng, attempt, now);
            }
            // The failure of an attempt that was given up says nothing of the present one.
            (Progress::Waiting { .. } | Progress::Asked { .. } | Progress::Ended(_), _) => {}
        }
        self.ask(now);
    }

    fn wake(&mut self, now: Mono) {
        for progress in self.edges.values_mut() {
            if let Progress::Asked { attempt, give_up } = *progress
                && give_up <= now
            {
                *progress = Self::failed(&self.config, &mut self.prng, attempt, now);
            }
        }
        self.ask(now);
    }

    fn deadline(&self) -> Option<Mono> {
        let asked = self.edges.values().filter(|p| matches!(p, Progress::Asked { .. })).count();
        let is_full = asked >= self.config.in_flight_max.max(1);
        let due = |progress: &Progress| match progress {
            Progress::Asked { give_up, .. } => Some(*give_up),
            // Without a free slot an edge whose wait is over is asked when an answer frees one.
            Progress::Waiting { until, .. } if !is_full => Some(*until),
            Progress::Waiting { .. } | Progress::Ended(_) => None,
        };
        self.edges.values().filter_map(due).min()
    }

    fn poll(&mut self) -> Option<FanoutAsk> {
        self.asks.pop_front()
    }
}

#[derive(Clone, Copy, Debug)]
enum Progress {
    Waiting { attempt: u32, until: Mono },
    Asked { attempt: u32, give_up: Mono },
    Ended(FanoutOutcome),
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn id(n: u32) -> EdgeId {
        format!("e{n}").parse().unwrap()
    }

    fn fanout(edges: u32, in_flight_max: usize) -> Fanout {
        let config = FanoutConfig { in_flight_max, ..FanoutConfig::default() };
        Fanout::new((0..edges).map(id), config, 7, Mono::START)
    }

    fn asks(fanout: &mut Fanout) -> Vec<(String, u32)> {
        std::iter::from_fn(|| fanout.poll()).map(|ask| (ask.edge.to_string(), ask.attempt)).collect()
    }

    fn answer(fanout: &mut Fanout, n: u32, attempt: u32, answer: Answer) {
        fanout.handle(Answered { edge: id(n), attempt, answer }, Mono::START);
    }

    #[test]
    fn every_edge_is_asked_but_only_so_many_at_once() {
        let mut fanout = fanout(3, 2);
        assert_eq!(asks(&mut fanout), [("e0".into(), 1), ("e1".into(), 1)]);
        answer(&mut fanout, 1, 1, Answer::Done);
        assert_eq!(asks(&mut fanout), [("e2".into(), 1)]);
        answer(&mut fanout, 0, 1, Answer::Done);
        answer(&mut fanout, 2, 1, Answer::Done);
        assert!(fanout.is_done());
        assert_eq!(fanout.deadline(), None);
        assert!(fanout.outcomes().all(|(_, outcome)| outcome == FanoutOutcome::Succeeded));
    }

    #[test]
    fn a_silent_edge_is_asked_four_times_and_then_given_up() {
        let mut fanout = fanout(1, 8);
        for attempt in 1..=4 {
            assert_eq!(asks(&mut fanout), [("e0".into(), attempt)]);
            fanout.wake(fanout.deadline().unwrap());
            if attempt < 4 {
                fanout.wake(fanout.deadline().unwrap());
            }
        }
        assert!(fanout.is_done());
        assert!(fanout.outcomes().all(|(_, outcome)| outcome == FanoutOutcome::Failed));
    }

    #[test]
    fn a_refusal_is_final_and_a_late_success_counts() {
        let mut fanout = fanout(2, 8);
        asks(&mut fanout);
        answer(&mut fanout, 0, 1, Answer::Refused);
        answer(&mut fanout, 1, 1, Answer::Failed);
        answer(&mut fanout, 1, 1, Answer::Done);
        let outcomes: Vec<_> = fanout.outcomes().map(|(_, outcome)| outcome).collect();
        assert_eq!(outcomes, [FanoutOutcome::Failed, FanoutOutcome::Succeeded]);
    }

    #[test]
    fn a_status_says_whether_asking_again_can_help() {
        for (status, expect) in [
            (200, Answer::Done),
            (204, Answer::Done),
            (404, Answer::Refused),
            (401, Answer::Refused),
            (429, Answer::Failed),
            (503, Answer::Failed),
        ] {
            assert_eq!(Answer::of_status(status), expect, "{status}");
        }
    }

    #[test]
    fn a_fan_out_to_nobody_is_done() {
        let fanout = fanout(0, 8);
        assert!(fanout.is_done() && fanout.deadline().is_none());
    }

    proptest! {
        #[test]
        fn it_always_ends_and_never_asks_too_many(
            edges in 0u32..6, in_flight_max in 1usize..4, script in prop::collection::vec((0u32..6, 1u32..5, 0u8..4), 0..60)
        ) {
            let mut fanout = fanout(edges, in_flight_max);
            let mut now = Mono::START;
            let mut attempts: BTreeMap<String, u32> = BTreeMap::new();
            let mut script = script.into_iter();
            for _ in 0..1000 {
                for (edge, attempt) in asks(&mut fanout) {
                    let last = attempts.insert(edge, attempt).unwrap_or(0);
                    prop_assert_eq!(attempt, last + 1);
                    prop_assert!(attempt <= 4);
                }
                let open = fanout.edges.values().filter(|p| matches!(p, Progress::Asked { .. })).count();
                prop_assert!(open <= in_flight_max);
                match script.next() {
                    Some((n, attempt, kind)) if kind < 3 => {
                        let answer = [Answer::Done, Answer::Refused, Answer::Failed][usize::from(kind)];
                        fanout.handle(Answered { edge: id(n), attempt, answer }, now);
                    }
                    _ => {
                        let Some(due) = fanout.deadline() else { break };
                        now = now.max(due);
                        fanout.wake(now);
                    }
                }
            }
            prop_assert!(fanout.is_done());
        }
    }
}
