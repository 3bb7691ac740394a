//! A worker's life: claim, work, renew, finish.

use std::collections::VecDeque;
use std::time::Duration;

use super::lease::beat_every;
use super::{Lease, Outcome};
use crate::machine::Machine;
use crate::time::Mono;

/// Takes one job after another.
///
/// ```text
/// Resting ──deadline──▶ Claiming ──Claimed──▶ Working ──Worked──▶ Finishing ──Finished──▶ Claiming
///    ▲                     │NothingDue/Failed   │  ▲ beat every      │  ▲ Failed: again
///    └─────────────────────┘                    └──┘ quarter         └──┘ until the lease ends
///                        LeaseLost, or no renewal until the lease's end: Stop, then Claiming
///                        Drain while Working: Stop, Finish(Defer); otherwise: Stopped
/// ```
///
/// Claims, renewals and finishing are asked for one at a time, so at most one [`Ask`] of the store is open. Work runs
/// beside them, from [`Ask::Work`] until [`Told::Worked`] or [`Ask::Stop`].
#[derive(Debug)]
pub struct Worker {
    config: WorkerConfig,
    state: State,
    draining: bool,
    asks: VecDeque<Ask>,
}

/// A worker's pace.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct WorkerConfig {
    /// Rest after a claim that found nothing.
    pub poll_every: Duration,
    /// How long a lease lasts.
    pub lease: Duration,
    /// How long an answer of the store is waited for.
    pub patience: Duration,
}

/// What the worker wants done.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Ask {
    /// Claim the next job that is due.
    Claim,
    /// Begin to work on it, and go on meanwhile.
    Work(Lease),
    /// Renew the lease.
    Extend(Lease),
    /// Stop the work: whatever it still writes is refused, or given back.
    Stop,
    /// Let go of the job.
    Finish(Lease, Ended),
}

/// How work ended.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Ended {
    /// The work said so.
    With(Outcome),
    /// The worker goes down and gives the job back: [`Outcome::Defer`] to the present.
    GivenBack,
}

/// What the worker is told.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Told {
    /// A job, and the right to it.
    Claimed(Lease),
    /// No job is due.
    NothingDue,
    /// The lease is renewed.
    Extended(Lease),
    /// The work ended.
    Worked(Outcome),
    /// The store took the outcome.
    Finished,
    /// Somebody else has the job.
    LeaseLost,
    /// The store did not answer as it should.
    Failed,
    /// Something was written that may have made a job due.
    Nudge,
    /// Go down.
    Drain,
}

impl Worker {
    /// A worker that claims at once.
    pub fn new(config: WorkerConfig, now: Mono) -> Self {
        let mut worker = Self { config, state: State::Resting { until: now }, draining: false, asks: VecDeque::new() };
        worker.claim(now);
        worker
    }

    /// Whether it has come to its end and will ask for nothing more.
    pub const fn is_stopped(&self) -> bool {
        matches!(self.state, State::Stopped)
    }

    /// The job it works on, if it does.
    pub const fn lease(&self) -> Option<&Lease> {
        match &self.state {
            State::Working { lease, .. } | State::Finishing { lease, .. } => Some(lease),
            State::Resting { .. } | State::Claiming { .. } | State::Stopped => None,
        }
    }

    fn claim(&mut self, now: Mono) {
        self.state = if self.draining {
            State::Stopped
        } else {
            self.asks.push_back(Ask::Claim);
            State::Claiming { give_up: now + self.config.patience }
        };
    }

    fn rest(&mut self, now: Mono) {
        self.state =
            if self.draining { State::Stopped } else { State::Resting { until: now + self.config.poll_every } };
    }

    fn finish(&mut self, lease: Lease, ended: Ended, ends: Mono, now: Mono) {
        self.asks.push_back(Ask::Finish(lease.clone(), ended.clone()));
        self.state = State::Finishing { lease, ended, ends, again: now + self.config.patience };
    }
}

impl Machine for Worker {
    type Input = Told;
    type Output = Ask;

    fn handle(&mut self, told: Told, now: Mono) {
        match (std::mem::replace(&mut self.state, State::Stopped), told) {
            (State::Claiming { .. }, Told::Claimed(lease)) if self.draining => {
                self.finish(lease, Ended::GivenBack, now + self.config.lease, now);
            }
            (State::Claiming { .. }, Told::Claimed(lease)) => {
                self.asks.push_back(Ask::Work(lease.clone()));
                let beat = now + beat_every(self.config.lease);
                self.state = State::Working { lease, beat, asked: now, ends: now + self.config.lease };
            }
            // A claim that was given up for lost may have been granted. Its lease runs out by itself, and the next
            // claim finds the job again: nothing is done under a lease that this machine does not hold.
            (State::Claiming { .. }, Told::NothingDue | Told::Failed) => self.rest(now),
            (State::Resting { .. }, Told::Nudge) => self.claim(now),
            (State::Working { asked, .. }, Told::Extended(lease)) => {
                // Counted from when the renewal was asked for, which is never later than when it was granted.
                let beat = now + beat_every(self.config.lease);
                self.state = State::Working { lease, beat, asked, ends: asked + self.config.lease };
            }
            (State::Working { lease, ends, .. }, Told::Worked(outcome)) => {
                self.finish(lease, Ended::With(outcome), ends, now);
            }
            (State::Working { .. }, Told::LeaseLost) => {
                self.asks.push_back(Ask::Stop);
                self.claim(now);
            }
            (State::Working { lease, ends, .. }, Told::Drain) => {
                self.draining = true;
                self.asks.push_back(Ask::Stop);
                self.finish(lease, Ended::GivenBack, ends, now);
            }
            (State::Working { lease, ends, asked, .. }, Told::Failed) => {
                // A renewal that failed is asked for again after one more quarter; the lease has some left.
                let beat = now + beat_every(self.config.lease);
                self.state = State::Working { lease, beat, asked, ends };
            }
            (State::Finishing { .. }, Told::Finished | Told::LeaseLost) => self.claim(now),
            (State::Finishing { lease, ended, ends, .. }, Told::Failed) => {
                let again = now + beat_every(self.config.lease).min(self.config.patience);
                self.state = State::Finishing { lease, ended, ends, again };
            }
            (State::Resting { .. }, Told::Drain) => self.draining = true,
            (state, Told::Drain) => {
                self.draining = true;
                self.state = state;
            }
            // Answers to what is no longer asked, and nudges while busy, change nothing.
            (
                state,
                Told::Claimed(_)
                | Told::NothingDue
                | Told::Extended(_)
                | Told::Worked(_)
                | Told::Finished
                | Told::LeaseLost
                | Told::Failed
                | Told::Nudge,
            ) => self.state = state,
        }
    }

    fn wake(&mut self, now: Mono) {
        if self.deadline().is_none_or(|due| now < due) {
            return;
        }
        match std::mem::replace(&mut self.state, State::Stopped) {
            State::Resting { .. } => self.claim(now),
            State::Claiming { .. } => self.rest(now),
            State::Working { ends, .. } if now >= ends => {
                self.asks.push_back(Ask::Stop);
                self.claim(now);
            }
            State::Working { lease, ends, .. } => {
                // An unanswered renewal is asked for again, since it may have been lost on its way.
                self.asks.push_back(Ask::Extend(lease.clone()));
                let beat = now + beat_every(self.config.lease);
                self.state = State::Working { lease, beat, asked: now, ends };
            }
            State::Finishing { ends, .. } if now >= ends => self.claim(now),
            State::Finishing { lease, ended, ends, .. } => self.finish(lease, ended, ends, now),
            State::Stopped => {}
        }
    }

    fn deadline(&self) -> Option<Mono> {
        match &self.state {
            State::Resting { until } => Some(*until),
            State::Claiming { give_up } => Some(*give_up),
            State::Working { beat, ends, .. } => Some((*beat).min(*ends)),
            State::Finishing { again, ends, .. } => Some((*again).min(*ends)),
            State::Stopped => None,
        }
    }

    fn poll(&mut self) -> Option<Ask> {
        self.asks.pop_front()
    }
}

#[derive(Debug)]
enum State {
    Resting { until: Mono },
    Claiming { give_up: Mono },
    Working { lease: Lease, beat: Mono, asked: Mono, ends: Mono },
    Finishing { lease: Lease, ended: Ended, ends: Mono, again: Mono },
    Stopped,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::id::{JobId, LeaseToken};
    use crate::time::Timestamp;

    const CONFIG: WorkerConfig = WorkerConfig {
        poll_every: Duration::from_secs(1),
        lease: Duration::from_secs(120),
        patience: Duration::from_secs(5),
    };

    fn lease(n: u8) -> Lease {
        let token = LeaseToken::from_bytes([n; 16]);
        Lease { job: JobId::from_bytes([n; 16]), token, attempt: 1, expires: Timestamp::EPOCH }
    }

    fn at(secs: u64) -> Mono {
        Mono::after_start(Duration::from_secs(secs))
    }

    fn asks(worker: &mut Worker) -> Vec<Ask> {
        std::iter::from_fn(|| worker.poll()).collect()
    }

    fn working() -> Worker {
        let mut worker = Worker::new(CONFIG, at(0));
        assert_eq!(asks(&mut worker), [Ask::Claim]);
        worker.handle(Told::Claimed(lease(1)), at(0));
        assert_eq!(asks(&mut worker), [Ask::Work(lease(1))]);
        worker
    }

    #[test]
    fn a_lease_is_renewed_every_quarter() {
        let mut worker = working();
        for beat in 1..20 {
            assert_eq!(worker.deadline(), Some(at(30 * beat)));
            worker.wake(at(30 * beat));
            assert_eq!(asks(&mut worker), [Ask::Extend(lease(1))]);
            worker.handle(Told::Extended(lease(1)), at(30 * beat));
        }
    }

    #[test]
    fn work_stops_when_its_lease_could_not_be_renewed_until_its_end() {
        let mut worker = working();
        for beat in 1..4 {
            worker.wake(at(30 * beat));
            assert_eq!(asks(&mut worker), [Ask::Extend(lease(1))]);
            worker.handle(Told::Failed, at(30 * beat));
        }
        worker.wake(at(120));
        assert_eq!(asks(&mut worker), [Ask::Stop, Ask::Claim]);
        worker.handle(Told::Worked(Outcome::Succeed), at(121));
        assert_eq!(asks(&mut worker), [], "nothing is finished without a lease");
    }

    #[test]
    fn a_lost_lease_stops_the_work() {
        let mut worker = working();
        worker.handle(Told::LeaseLost, at(1));
        assert_eq!(asks(&mut worker), [Ask::Stop, Ask::Claim]);
    }

    #[test]
    fn an_outcome_is_offered_until_it_is_taken_or_the_lease_ends() {
        let mut worker = working();
        worker.handle(Told::Worked(Outcome::Succeed), at(10));
        let finish = Ask::Finish(lease(1), Ended::With(Outcome::Succeed));
        assert_eq!(asks(&mut worker), std::slice::from_ref(&finish));
        worker.handle(Told::Failed, at(11));
        worker.wake(worker.deadline().unwrap());
        assert_eq!(asks(&mut worker), [finish]);
        worker.wake(at(120));
        assert_eq!(asks(&mut worker), [Ask::Claim]);
    }

    #[test]
    fn a_draining_worker_gives_its_job_back_and_claims_no_other() {
        let mut worker = working();
        worker.handle(Told::Drain, at(10));
        assert_eq!(asks(&mut worker), [Ask::Stop, Ask::Finish(lease(1), Ended::GivenBack)]);
        worker.handle(Told::Finished, at(10));
        assert_eq!(asks(&mut worker), []);
        assert!(worker.is_stopped());
        assert_eq!(worker.deadline(), None);
    }

    #[test]
    fn a_job_that_is_granted_to_a_draining_worker_is_given_back() {
        let mut worker = Worker::new(CONFIG, at(0));
        asks(&mut worker);
        worker.handle(Told::Drain, at(0));
        worker.handle(Told::Claimed(lease(2)), at(0));
        assert_eq!(asks(&mut worker), [Ask::Finish(lease(2), Ended::GivenBack)]);
    }

    #[test]
    fn an_idle_worker_asks_once_a_poll_or_when_nudged() {
        let mut worker = Worker::new(CONFIG, at(0));
        asks(&mut worker);
        worker.handle(Told::NothingDue, at(0));
        assert_eq!(worker.deadline(), Some(at(1)));
        worker.handle(Told::Nudge, at(0));
        assert_eq!(asks(&mut worker), [Ask::Claim]);
        worker.handle(Told::Nudge, at(0));
        assert_eq!(asks(&mut worker), []);
        worker.handle(Told::Failed, at(0));
        worker.handle(Told::Drain, at(0));
        assert!(worker.is_stopped());
    }

    fn told() -> impl Strategy<Value = Told> {
        prop_oneof![
            4 => (1u8..4).prop_map(|n| Told::Claimed(lease(n))),
            2 => Just(Told::NothingDue),
            2 => (1u8..4).prop_map(|n| Told::Extended(lease(n))),
            2 => Just(Told::Worked(Outcome::Succeed)),
            2 => Just(Told::Finished),
            1 => Just(Told::LeaseLost),
            2 => Just(Told::Failed),
            1 => Just(Told::Nudge),
            1 => Just(Told::Drain),
        ]
    }

    proptest! {
        #[test]
        fn one_job_at_a_time_and_never_a_second_before_the_first_is_let_go(
            steps in prop::collection::vec((any::<bool>(), told()), 0..100)
        ) {
            let mut worker = Worker::new(CONFIG, at(0));
            asks(&mut worker);
            let (mut now, mut running, mut drained) = (at(0), false, false);
            for (wait, told) in steps {
                if wait {
                    now = now.max(worker.deadline().unwrap_or(now));
                    worker.wake(now);
                } else {
                    // Work that is not running cannot end.
                    if matches!(told, Told::Worked(_)) && !running { continue; }
                    running &= !matches!(told, Told::Worked(_));
                    drained |= matches!(told, Told::Drain);
                    worker.handle(told, now);
                }
                for ask in asks(&mut worker) {
                    match ask {
                        Ask::Work(_) => { prop_assert!(!running && !drained); running = true; }
                        Ask::Stop => { prop_assert!(running); running = false; }
                        Ask::Claim => prop_assert!(!running && !drained),
                        Ask::Finish(..) => prop_assert!(!running),
                        Ask::Extend(_) => prop_assert!(running),
                    }
                }
                prop_assert_eq!(worker.deadline().is_none(), worker.is_stopped());
                prop_assert!(worker.deadline().is_none_or(|due| due >= now || wait));
            }
        }
    }
}
