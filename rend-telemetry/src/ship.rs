//! What becomes of a batch on its way: acknowledged, tried again, split, or its poison quarantined.

use std::collections::VecDeque;
use std::ops::Range;
use std::time::Duration;

use rend_core::machine::Machine;
use rend_core::prng::Prng;
use rend_core::time::Mono;

/// Delivers one batch at a time, in pieces when the other side refuses it.
///
/// ```text
///         Offer                 Answer 2xx            every piece settled
/// idle ──────────▶ asking ──────────────────▶ next piece ───────────────▶ idle (Done)
///                  │  ▲  400, 413, 422: halves, down to one event, which is quarantined
///     else, none   ▼  │ wait, twice as long each time
///                 waiting ── eighth failure on end ─▶ idle (Deferred: another batch has its turn)
/// ```
#[derive(Debug)]
pub struct Shipper {
    prng: Prng,
    state: State,
    /// The pieces of the batch in hand that are still to be delivered, the next one first.
    pieces: VecDeque<Range<usize>>,
    batch: u64,
    /// Failures on end, over all batches: the other side is one.
    failures: u32,
    /// Failures on end of the batch in hand.
    failures_of_batch: u32,
    tickets: u64,
    out: VecDeque<Output>,
}

impl Shipper {
    /// An idle shipper; `chance` spreads the waits of many edges.
    pub const fn new(chance: Prng) -> Self {
        Self {
            prng: chance,
            state: State::Idle,
            pieces: VecDeque::new(),
            batch: 0,
            failures: 0,
            failures_of_batch: 0,
            tickets: 0,
            out: VecDeque::new(),
        }
    }

    /// Whether it wants a batch.
    pub fn is_idle(&self, now: Mono) -> bool {
        match self.state {
            State::Idle => self.out.is_empty(),
            State::Pause { until } => self.out.is_empty() && now >= until,
            State::Asking { .. } | State::Waiting { .. } => false,
        }
    }

    fn ask(&mut self) {
        let Some(piece) = self.pieces.front().cloned() else {
            self.state = State::Idle;
            self.out.push_back(Output::Done { batch: self.batch });
            return;
        };
        self.tickets += 1;
        self.state = State::Asking { ticket: self.tickets };
        self.out.push_back(Output::Send { ticket: self.tickets, batch: self.batch, piece });
    }

    fn answered(&mut self, status: Option<u16>, now: Mono) {
        let Some(piece) = self.pieces.pop_front() else { return };
        match Disposition::of(status, piece.len()) {
            Disposition::Ack => {
                self.failures = 0;
                self.failures_of_batch = 0;
                self.out.push_back(Output::Acked { batch: self.batch, piece });
                self.ask();
            }
            Disposition::Split => {
                self.failures = 0;
                let middle = piece.start + piece.len() / 2;
                self.pieces.push_front(middle..piece.end);
                self.pieces.push_front(piece.start..middle);
                self.ask();
            }
            Disposition::Quarantine => {
                self.failures = 0;
                self.out.push_back(Output::Quarantine { batch: self.batch, piece });
                self.ask();
            }
            Disposition::Retry => {
                self.pieces.push_front(piece);
                self.failures = self.failures.saturating_add(1);
                self.failures_of_batch += 1;
                let until = now + self.wait();
                if self.failures_of_batch < FAILURES_OF_BATCH_MAX {
                    self.state = State::Waiting { until };
                } else {
                    // One batch that the other side always fails on must not hold up the others.
                    self.state = State::Pause { until };
                    let pieces = self.pieces.drain(..).collect();
                    self.out.push_back(Output::Deferred { batch: self.batch, pieces });
                }
            }
        }
    }

    /// Twice as long for each failure on end, up to the bound; of that, a half for sure and a half by chance.
    fn wait(&mut self) -> Duration {
        let doublings = self.failures.saturating_sub(1).min(16);
        let full = RETRY_WAIT_MIN.saturating_mul(1 << doublings).min(RETRY_WAIT_MAX);
        let half = u64::try_from(full.as_millis() / 2).unwrap_or(u64::MAX);
        Duration::from_millis(half + self.prng.below(half + 1))
    }
}

impl Machine for Shipper {
    type Input = Input;
    type Output = Output;

    fn handle(&mut self, input: Input, now: Mono) {
        match (input, &self.state) {
            (Input::Offer { batch, pieces }, State::Idle | State::Pause { .. }) => {
                self.batch = batch;
                self.pieces = pieces.into();
                self.failures_of_batch = 0;
                self.ask();
            }
            // Whoever offers asks first whether it is idle; the batch stays with the offerer.
            (Input::Offer { .. }, State::Asking { .. } | State::Waiting { .. }) => {}
            (Input::Answer { ticket, status }, State::Asking { ticket: asked }) if ticket == *asked => {
                self.answered(status, now);
            }
            // An answer to a request given up earlier: the piece was asked for again, and that answer counts.
            (
                Input::Answer { .. },
                State::Idle | State::Pause { .. } | State::Asking { .. } | State::Waiting { .. },
            ) => {}
        }
    }

    fn wake(&mut self, now: Mono) {
        match self.state {
            State::Waiting { until } if now >= until => self.ask(),
            State::Pause { until } if now >= until => self.state = State::Idle,
            State::Idle | State::Asking { .. } | State::Waiting { .. } | State::Pause { .. } => {}
        }
    }

    fn deadline(&self) -> Option<Mono> {
        match self.state {
            State::Waiting { until } | State::Pause { until } => Some(until),
            State::Idle | State::Asking { .. } => None,
        }
    }

    fn poll(&mut self) -> Option<Output> {
        self.out.pop_front()
    }
}

/// What a shipper is told.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Input {
    /// Deliver this batch.
    Offer {
        /// Its number.
        batch: u64,
        /// The events of it that are still to be delivered, by index.
        pieces: Vec<Range<usize>>,
    },
    /// The other side answered, or did not.
    Answer {
        /// Which question this answers.
        ticket: u64,
        /// The status, or `None` when there was no answer in time.
        status: Option<u16>,
    },
}

/// What a shipper wants done.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Output {
    /// Send these events of the batch.
    Send {
        /// Comes back with the answer.
        ticket: u64,
        /// The batch.
        batch: u64,
        /// The events, by index.
        piece: Range<usize>,
    },
    /// These are delivered.
    Acked {
        /// The batch.
        batch: u64,
        /// The events, by index.
        piece: Range<usize>,
    },
    /// The other side will never take this: at most one event.
    Quarantine {
        /// The batch.
        batch: u64,
        /// The event, by index; empty when the batch held none.
        piece: Range<usize>,
    },
    /// The batch is settled.
    Done {
        /// The batch.
        batch: u64,
    },
    /// The batch failed too often on end; offer another, and this one later.
    Deferred {
        /// The batch.
        batch: u64,
        /// What is left of it.
        pieces: Vec<Range<usize>>,
    },
}

/// What an answer means for the events asked about.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Disposition {
    /// They are delivered.
    Ack,
    /// The other side or the way to it is in trouble: try again later.
    Retry,
    /// Something among them is at fault: try the halves.
    Split,
    /// This one is at fault: set it aside.
    Quarantine,
}

impl Disposition {
    /// What `status` means for `events` events; `None` is no answer.
    ///
    /// 401, 403 and 404 are tried again like 5xx: they say that a token or a route is wrong, which somebody will put
    /// right, and nothing about the events.
    pub const fn of(status: Option<u16>, events: usize) -> Self {
        match status {
            Some(200..=299) => Self::Ack,
            Some(400 | 413 | 422) if events > 1 => Self::Split,
            Some(400 | 413 | 422) => Self::Quarantine,
            Some(_) | None => Self::Retry,
        }
    }
}

/// The first wait after a failure.
pub const RETRY_WAIT_MIN: Duration = Duration::from_millis(500);
/// The longest wait after a failure.
pub const RETRY_WAIT_MAX: Duration = Duration::from_secs(60);
/// A batch that failed so often on end gives way to another.
pub const FAILURES_OF_BATCH_MAX: u32 = 8;

#[derive(Debug)]
enum State {
    /// It has no batch.
    Idle,
    /// It has no batch, and the other side is in trouble.
    Pause { until: Mono },
    /// A request is under way.
    Asking { ticket: u64 },
    /// It will ask again.
    Waiting { until: Mono },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: u64) -> Mono {
        Mono::after_start(Duration::from_secs(secs))
    }

    /// Delivers a batch of `events` to a side that answers as `judge` says; answers acked, quarantined and requests.
    fn deliver(events: usize, judge: impl Fn(&Range<usize>) -> u16) -> (Vec<usize>, Vec<usize>, usize) {
        let mut shipper = Shipper::new(Prng::seeded(1));
        let (mut acked, mut poison, mut sent) = (Vec::new(), Vec::new(), 0);
        shipper.handle(Input::Offer { batch: 1, pieces: std::iter::once(0..events).collect() }, at(0));
        loop {
            match shipper.poll() {
                Some(Output::Send { ticket, piece, .. }) => {
                    sent += 1;
                    shipper.handle(Input::Answer { ticket, status: Some(judge(&piece)) }, at(0));
                }
                Some(Output::Acked { piece, .. }) => acked.extend(piece),
                Some(Output::Quarantine { piece, .. }) => poison.extend(piece),
                Some(Output::Done { .. }) => return (acked, poison, sent),
                Some(Output::Deferred { .. }) | None => panic!("it stopped"),
            }
        }
    }

    #[track_caller]
    fn check(status: Option<u16>, events: usize, expect: Disposition) {
        assert_eq!(Disposition::of(status, events), expect);
    }

    #[test]
    fn an_answer_means_one_of_four_things() {
        check(Some(200), 9, Disposition::Ack);
        check(Some(202), 0, Disposition::Ack);
        for refusal in [400, 413, 422] {
            check(Some(refusal), 2, Disposition::Split);
            check(Some(refusal), 1, Disposition::Quarantine);
            check(Some(refusal), 0, Disposition::Quarantine);
        }
        for trouble in [301, 401, 403, 404, 408, 429, 500, 503] {
            check(Some(trouble), 9, Disposition::Retry);
            check(Some(trouble), 1, Disposition::Retry);
        }
        check(None, 1, Disposition::Retry);
    }

    #[test]
    fn one_poison_event_among_a_thousand_goes_to_quarantine_alone() {
        for poisoned in [0, 1, 499, 500, 999] {
            let (acked, poison, sent) = deliver(1000, |piece| if piece.contains(&poisoned) { 422 } else { 200 });
            assert_eq!(poison, [poisoned]);
            assert_eq!(acked.len(), 999);
            assert!(sent <= 21, "{sent} requests for a thousand events");
        }
    }

    #[test]
    fn a_side_that_takes_ten_at_most_gets_all_in_small_pieces() {
        let (acked, poison, _) = deliver(1000, |piece| if piece.len() > 10 { 413 } else { 200 });
        assert_eq!((acked, poison), ((0..1000).collect(), vec![]));
    }

    #[test]
    fn failures_wait_longer_each_time_and_then_give_way() {
        let mut shipper = Shipper::new(Prng::seeded(3));
        let mut now = Mono::START;
        shipper.handle(Input::Offer { batch: 4, pieces: std::iter::once(0..3).collect() }, now);
        let mut waits = Vec::new();
        loop {
            match shipper.poll() {
                Some(Output::Send { ticket, .. }) => {
                    shipper.handle(Input::Answer { ticket, status: None }, now);
                    let Some(due) = shipper.deadline() else { panic!("a failure without a wait") };
                    waits.push(due.since(now));
                    now = due;
                    shipper.wake(now);
                    assert!(shipper.deadline().is_none_or(|next| next > due));
                }
                Some(Output::Deferred { batch: 4, pieces }) => {
                    assert_eq!(pieces.concat_len(), 3);
                    break;
                }
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(waits.len(), 8);
        for (n, wait) in waits.iter().enumerate() {
            let full = RETRY_WAIT_MIN * (1 << n);
            assert!(*wait >= full.min(RETRY_WAIT_MAX) / 2 && *wait <= full.min(RETRY_WAIT_MAX), "{n}: {wait:?}");
        }
        assert!(shipper.is_idle(now));
    }

    #[test]
    fn an_answer_that_comes_too_late_changes_nothing() {
        let mut shipper = Shipper::new(Prng::seeded(1));
        shipper.handle(Input::Offer { batch: 1, pieces: std::iter::once(0..5).collect() }, at(0));
        let Some(Output::Send { ticket, .. }) = shipper.poll() else { panic!("nothing sent") };
        shipper.handle(Input::Answer { ticket, status: None }, at(2));
        shipper.handle(Input::Answer { ticket, status: Some(200) }, at(3));
        assert_eq!(shipper.poll(), None, "the late 200 is ignored, and the piece asked for again");
        shipper.wake(at(10));
        assert!(matches!(shipper.poll(), Some(Output::Send { ticket: again, .. }) if again != ticket));
    }

    trait ConcatLen {
        fn concat_len(&self) -> usize;
    }

    impl ConcatLen for Vec<Range<usize>> {
        fn concat_len(&self) -> usize {
            self.iter().map(ExactSizeIterator::len).sum()
        }
    }
}
