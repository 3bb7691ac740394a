//! A worker: the machine that claims, renews and finishes, and work that takes a while.

use std::time::Duration;

use rend_core::id::LeaseToken;
use rend_core::job::worker::{Ask, Ended, Told, Worker, WorkerConfig};
use rend_core::job::{ErrorClass, JobError, JobKind, Lease, Outcome};
use rend_core::machine::Machine;
use rend_core::time::Mono;
use rend_storage::jobs::Claim;

use crate::control::{ATTEMPTS_MAX, LEASE, Packet, StoreAsk};
use crate::net::Node;
use crate::world::{Event, World};

/// A worker's machine. Its process comes and goes.
pub(crate) struct WorkerNode {
    pub(crate) skew_ms: i64,
    incarnation: u32,
    up: Option<Up>,
}

struct Up {
    worker: Worker,
    /// The one question to the store that is open.
    asked: u64,
    /// The work under way.
    work: Option<(u64, Lease)>,
    works: u64,
}

impl WorkerNode {
    pub(crate) const fn new(skew_ms: i64) -> Self {
        Self { skew_ms, incarnation: 0, up: None }
    }

    pub(crate) fn deadline(&self) -> Option<Mono> {
        self.up.as_ref().and_then(|up| up.worker.deadline())
    }
}

impl World {
    pub(crate) fn start_worker(&mut self, worker: usize) {
        let config =
            WorkerConfig { poll_every: Duration::from_secs(2), lease: LEASE, patience: Duration::from_secs(5) };
        let now = self.now;
        let Some(node) = self.workers.get_mut(worker).filter(|node| node.up.is_none()) else { return };
        node.incarnation += 1;
        node.up = Some(Up { worker: Worker::new(config, now), asked: 0, work: None, works: 0 });
        self.say(format_args!("worker {worker} starts"));
        self.wake_worker(worker);
    }

    pub(crate) fn crash_worker(&mut self, worker: usize) {
        if self.workers[worker].up.take().is_some() {
            self.say(format_args!("worker {worker} crashes"));
            let down = Duration::from_millis(self.prng.below(30_000));
            self.after(down, Event::WorkerStarts { worker });
        }
    }

    pub(crate) fn wake_worker(&mut self, worker: usize) {
        let now = self.now;
        let Some(up) = self.workers[worker].up.as_mut() else { return };
        up.worker.wake(now);
        if up.worker.deadline().is_some_and(|due| due <= now) {
            up.worker.wake(now);
            if up.worker.deadline().is_some_and(|due| due < now) {
                self.truth.broken(format!("worker {worker} would spin"));
            }
        }
        while let Some(ask) = self.workers[worker].up.as_mut().and_then(|up| up.worker.poll()) {
            self.perform(worker, ask);
        }
    }

    fn perform(&mut self, worker: usize, ask: Ask) {
        let wall = self.wall(self.workers[worker].skew_ms);
        match ask {
            Ask::Claim => {
                let mut token = [0; 16];
                self.prng.fill(&mut token);
                let claim = Claim {
                    worker: format!("worker-{worker}"),
                    kinds: vec![JobKind::Media],
                    token: LeaseToken::from_bytes(token),
                    now: wall,
                    expires: wall + LEASE,
                };
                self.ask_store(worker, StoreAsk::Claim(claim));
            }
            Ask::Extend(lease) => self.ask_store(worker, StoreAsk::Extend(lease, wall + LEASE)),
            Ask::Finish(lease, ended) => {
                let outcome = match ended {
                    Ended::With(outcome) => outcome,
                    Ended::GivenBack => Outcome::Defer { at: wall },
                };
                self.ask_store(worker, StoreAsk::Finish(lease, outcome, wall));
            }
            Ask::Work(lease) => {
                let takes = Duration::from_millis(100 + self.prng.below(90_000));
                let node = &mut self.workers[worker];
                let incarnation = node.incarnation;
                let Some(up) = node.up.as_mut() else { return };
                if up.work.is_some() {
                    self.truth.broken(format!("worker {worker} works on two jobs"));
                    return;
                }
                up.works += 1;
                let work = up.works;
                up.work = Some((work, lease));
                self.after(takes, Event::WorkEnds { worker, incarnation, work });
            }
            Ask::Stop => {
                if let Some(up) = self.workers[worker].up.as_mut() {
                    up.work = None;
                }
            }
        }
    }

    pub(crate) fn work_ends(&mut self, worker: usize, incarnation: u32, work: u64) {
        let wall = self.wall(self.workers[worker].skew_ms);
        let now = self.now;
        let roll = self.prng.below(10);
        let node = &mut self.workers[worker];
        if node.incarnation != incarnation {
            return;
        }
        let Some(up) = node.up.as_mut() else { return };
        let Some((_, lease)) = up.work.take_if(|(number, _)| *number == work) else { return };
        let failure = |class| JobError {
            class,
            code: "unlucky".to_owned(),
            detail: "The seed said so.".to_owned(),
            stderr_tail: String::new(),
        };
        let outcome = match roll {
            0 => Outcome::Fail { error: failure(ErrorClass::Permanent) },
            1 | 2 => Outcome::after(failure(ErrorClass::Transient), lease.attempt, ATTEMPTS_MAX, wall, &mut self.prng),
            _ => Outcome::Succeed,
        };
        up.worker.handle(Told::Worked(outcome), now);
        self.wake_worker(worker);
    }

    pub(crate) fn worker_gets(&mut self, worker: usize, incarnation: u32, packet: Packet) {
        let now = self.now;
        let node = &mut self.workers[worker];
        if node.incarnation != incarnation {
            return;
        }
        if let Packet::Told { number, told } = packet
            && let Some(up) = node.up.as_mut().filter(|up| up.asked == number)
        {
            // Each question has one answer; a copy of it is not taken for the answer to the next.
            up.asked += 1;
            up.worker.handle(told, now);
            self.wake_worker(worker);
        }
    }

    fn ask_store(&mut self, worker: usize, ask: StoreAsk) {
        let node = &mut self.workers[worker];
        let incarnation = node.incarnation;
        let Some(up) = node.up.as_mut() else { return };
        up.asked += 2;
        let number = up.asked;
        self.send(Node::Worker(worker), Node::Control, 0, &Packet::Store { worker, incarnation, number, ask });
    }
}
