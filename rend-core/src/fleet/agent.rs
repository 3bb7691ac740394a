//! An edge's side of the fleet: registered, heard, and never active before it has forgotten what it was told to.

use std::collections::VecDeque;
use std::time::Duration;

use super::EdgeState;
use crate::machine::Machine;
use crate::prng::Prng;
use crate::time::Mono;

/// Keeps one edge registered and caught up with the purge log.
///
/// ```text
///            ┌────────────────────────── Unknown ───────────────────────────┐
///            ▼                                                              │
/// Registering ──Registered──▶ CatchingUp ──CaughtUp──▶ Resting ──deadline──▶ Beating
///    ▲  │Failed/deadline        ▲  │Failed/deadline      ▲ │ behind            │ │Failed/deadline
///    │  ▼                       │  ▼                     │ ▼                   │ ▼
///    └─BackingOff               └─BackingOff             └─CatchingUp          └─Resting (sooner)
/// ```
///
/// While it has not caught up for the first time since it registered it reports [`EdgeState::Standby`]. A control plane
/// that is away changes nothing for viewers: the edge goes on serving, and the agent goes on asking.
#[derive(Debug)]
pub struct Agent {
    config: AgentConfig,
    prng: Prng,
    state: State,
    failures: u32,
    caught_up: bool,
    registered: bool,
    seen: u64,
    head: u64,
    draining: bool,
    asks: VecDeque<Ask>,
}

/// The agent's pace.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct AgentConfig {
    /// Rest between heartbeats; each is shortened by up to a tenth, so that a fleet does not beat in step.
    pub beat_every: Duration,
    /// How long an answer is waited for.
    pub patience: Duration,
    /// The first wait after a failure; it doubles up to [`AgentConfig::back_off_max`].
    pub back_off: Duration,
    /// The longest wait after failures.
    pub back_off_max: Duration,
}

impl Default for AgentConfig {
    fn default() -> Self {
        Self {
            beat_every: Duration::from_secs(15),
            patience: Duration::from_secs(5),
            back_off: Duration::from_secs(1),
            back_off_max: Duration::from_secs(30),
        }
    }
}

/// What the agent wants done.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Ask {
    /// Register, saying this state.
    Register {
        /// The state to report.
        state: EdgeState,
    },
    /// Send a heartbeat, saying this state.
    Beat {
        /// The state to report.
        state: EdgeState,
    },
    /// Read the purge log after this place, and forget what it says.
    CatchUp {
        /// The last place that has been carried out.
        after: u64,
    },
}

/// What the agent is told.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Heard {
    /// The control plane knows this edge; its purge log ends here.
    Registered {
        /// The newest place of the log.
        purge_head: u64,
    },
    /// The heartbeat arrived; the purge log ends here.
    Beaten {
        /// The newest place of the log.
        purge_head: u64,
    },
    /// The control plane has forgotten this edge.
    Unknown,
    /// Every order up to here has been carried out and written down.
    CaughtUp {
        /// The last place that has been carried out.
        seen: u64,
    },
    /// It refused, could not be reached, or the edge could not carry it out.
    Failed,
    /// A purge with this place arrived on its own and has been carried out.
    Purged {
        /// Its place.
        seq: u64,
    },
    /// The edge is going down: say so at once.
    Drain,
}

impl Agent {
    /// An agent that registers at once. `purge_seen` is the last order that this edge carried out before.
    pub fn new(config: AgentConfig, purge_seen: u64, seed: u64, now: Mono) -> Self {
        let mut agent = Self {
            config,
            prng: Prng::seeded(seed),
            state: State::BackingOff { until: now },
            failures: 0,
            caught_up: false,
            registered: false,
            seen: purge_seen,
            head: 0,
            draining: false,
            asks: VecDeque::new(),
        };
        agent.register(now);
        agent
    }

    /// What the edge reports of itself.
    pub const fn state(&self) -> EdgeState {
        match (self.draining, self.caught_up) {
            (true, _) => EdgeState::Draining,
            (false, true) => EdgeState::Active,
            (false, false) => EdgeState::Standby,
        }
    }

    /// Whether the control plane is believed to know this edge.
    pub const fn is_registered(&self) -> bool {
        self.registered
    }

    /// The last order of the purge log that has been carried out, with all before it.
    pub const fn purge_seen(&self) -> u64 {
        self.seen
    }

    fn register(&mut self, now: Mono) {
        self.registered = false;
        self.caught_up = false;
        self.state = State::Registering { give_up: now + self.config.patience };
        self.asks.push_back(Ask::Register { state: self.state() });
    }

    fn catch_up_or_rest(&mut self, now: Mono) {
        if self.seen < self.head {
            self.state = State::CatchingUp { give_up: now + self.config.patience };
            self.asks.push_back(Ask::CatchUp { after: self.seen });
            return;
        }
        let was = self.state();
        self.caught_up = true;
        self.failures = 0;
        // The first beat after catching up is sent at once: until it arrives no viewer is sent here.
        let rest = if was == self.state() { self.rest() } else { Duration::ZERO };
        self.state = State::Resting { until: now + rest };
    }

    fn rest(&mut self) -> Duration {
        let tenth = u64::try_from(self.config.beat_every.as_micros() / 10).unwrap_or(u64::MAX);
        self.config.beat_every.saturating_sub(Duration::from_micros(self.prng.below(tenth)))
    }

    fn back_off(&mut self, now: Mono) {
        let doubled = self.config.back_off.saturating_mul(1 << self.failures.min(16)).min(self.config.back_off_max);
        self.failures = self.failures.saturating_add(1);
        let half = doubled / 2;
        let spread = u64::try_from(half.as_micros()).unwrap_or(u64::MAX);
        let until = now + half + Duration::from_micros(self.prng.below(spread.saturating_add(1)));
        // A registered edge beats on while the log cannot be read, lest it be taken for dead.
        self.state = if self.registered { State::Resting { until } } else { State::BackingOff { until } };
    }
}

impl Machine for Agent {
    type Input = Heard;
    type Output = Ask;

    fn handle(&mut self, heard: Heard, now: Mono) {
        match (self.state, heard) {
            (_, Heard::Purged { seq }) => {
                // Only the next order in line moves the place: a gap before it is for catching up.
                if seq == self.seen + 1 {
                    self.seen = seq;
                }
                self.head = self.head.max(seq);
            }
            (_, Heard::Drain) => {
                self.draining = true;
                self.state = State::Beating { give_up: now + self.config.patience };
                self.asks.push_back(Ask::Beat { state: EdgeState::Draining });
            }
            (State::Registering { .. }, Heard::Registered { purge_head }) => {
                self.registered = true;
                self.failures = 0;
                // A log that ends before our place is another log: a new control plane counts from the start again.
                if purge_head < self.seen {
                    self.seen = 0;
                }
                self.head = purge_head;
                self.catch_up_or_rest(now);
            }
            (State::Beating { .. }, Heard::Beaten { purge_head }) => {
                self.failures = 0;
                self.head = self.head.max(purge_head);
                self.catch_up_or_rest(now);
            }
            (State::Beating { .. } | State::Registering { .. }, Heard::Unknown) if !self.draining => self.register(now),
            (State::CatchingUp { .. }, Heard::CaughtUp { seen }) => {
                // An answer that moves nothing would be asked for again at once, and so counts as a failure.
                if seen <= self.seen {
                    self.back_off(now);
                } else {
                    self.seen = seen;
                    self.catch_up_or_rest(now);
                }
            }
            (State::Registering { .. } | State::Beating { .. } | State::CatchingUp { .. }, Heard::Failed) => {
                self.back_off(now);
            }
            // Answers to questions that are no longer asked say nothing new.
            (_, Heard::CaughtUp { .. })
            | (_, Heard::Registered { .. })
            | (_, Heard::Beaten { .. })
            | (_, Heard::Unknown)
            | (_, Heard::Failed) => {}
        }
    }

    fn wake(&mut self, now: Mono) {
        if self.deadline().is_none_or(|due| now < due) {
            return;
        }
        match self.state {
            State::Registering { .. } | State::Beating { .. } | State::CatchingUp { .. } => self.back_off(now),
            State::BackingOff { .. } => self.register(now),
            State::Resting { .. } => {
                self.state = State::Beating { give_up: now + self.config.patience };
                self.asks.push_back(Ask::Beat { state: self.state() });
            }
        }
    }

    fn deadline(&self) -> Option<Mono> {
        Some(match self.state {
            State::Registering { give_up } | State::Beating { give_up } | State::CatchingUp { give_up } => give_up,
            State::BackingOff { until } | State::Resting { until } => until,
        })
    }

    fn poll(&mut self) -> Option<Ask> {
        self.asks.pop_front()
    }
}

#[derive(Clone, Copy, Debug)]
enum State {
    Registering { give_up: Mono },
    BackingOff { until: Mono },
    CatchingUp { give_up: Mono },
    Resting { until: Mono },
    Beating { give_up: Mono },
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ACTIVE: EdgeState = EdgeState::Active;
    const STANDBY: EdgeState = EdgeState::Standby;

    fn agent(seen: u64) -> Agent {
        Agent::new(AgentConfig::default(), seen, 7, Mono::START)
    }

    /// Tells the agent, and answers all that it asks.
    fn tell(agent: &mut Agent, heard: Heard, now: Mono) -> Vec<Ask> {
        agent.handle(heard, now);
        std::iter::from_fn(|| agent.poll()).collect()
    }

    fn wake(agent: &mut Agent) -> (Vec<Ask>, Mono) {
        let now = agent.deadline().unwrap();
        agent.wake(now);
        (std::iter::from_fn(|| agent.poll()).collect(), now)
    }

    #[test]
    fn an_edge_is_active_only_after_it_caught_up_with_the_purges_it_missed() {
        let mut agent = agent(3);
        assert_eq!(agent.poll(), Some(Ask::Register { state: STANDBY }));
        let now = Mono::START;
        assert_eq!(tell(&mut agent, Heard::Registered { purge_head: 5 }, now), [Ask::CatchUp { after: 3 }]);
        assert_eq!(tell(&mut agent, Heard::CaughtUp { seen: 4 }, now), [Ask::CatchUp { after: 4 }]);
        assert_eq!(agent.state(), STANDBY);
        assert_eq!(tell(&mut agent, Heard::CaughtUp { seen: 5 }, now), []);
        assert_eq!(wake(&mut agent), (vec![Ask::Beat { state: ACTIVE }], now));
    }

    #[test]
    fn a_forgotten_edge_registers_again_and_stands_by_until_it_caught_up() {
        let mut agent = agent(0);
        let now = Mono::START;
        tell(&mut agent, Heard::Registered { purge_head: 0 }, now);
        let (_, now) = wake(&mut agent);
        assert_eq!(tell(&mut agent, Heard::Unknown, now), [Ask::Register { state: STANDBY }]);
        assert!(!agent.is_registered());
        tell(&mut agent, Heard::Registered { purge_head: 2 }, now);
        assert_eq!(agent.state(), STANDBY);
    }

    #[test]
    fn a_beat_that_tells_of_a_new_purge_is_followed_up_without_leaving_service() {
        let mut agent = agent(0);
        tell(&mut agent, Heard::Registered { purge_head: 0 }, Mono::START);
        let (_, now) = wake(&mut agent);
        assert_eq!(tell(&mut agent, Heard::Beaten { purge_head: 1 }, now), [Ask::CatchUp { after: 0 }]);
        assert_eq!(agent.state(), ACTIVE);
    }

    #[test]
    fn beats_come_about_every_fifteen_seconds_and_never_in_step() {
        let mut agent = agent(0);
        tell(&mut agent, Heard::Registered { purge_head: 0 }, Mono::START);
        let (_, mut last) = wake(&mut agent);
        let mut rests = std::collections::BTreeSet::new();
        for _ in 0..50 {
            tell(&mut agent, Heard::Beaten { purge_head: 0 }, last);
            let (asks, now) = wake(&mut agent);
            assert_eq!(asks, [Ask::Beat { state: ACTIVE }]);
            let rest = now.since(last);
            assert!((13_500..=15_000).contains(&rest.as_millis()), "{rest:?}");
            rests.insert(rest);
            last = now;
        }
        assert!(rests.len() > 40);
    }

    #[test]
    fn failures_are_waited_out_longer_and_longer_up_to_a_bound() {
        let mut agent = agent(0);
        agent.poll();
        let (mut now, mut longest) = (Mono::START, Duration::ZERO);
        for _ in 0..20 {
            tell(&mut agent, Heard::Failed, now);
            let wait = agent.deadline().unwrap().since(now);
            assert!(wait <= Duration::from_secs(30), "{wait:?}");
            longest = longest.max(wait);
            let (asks, woken) = wake(&mut agent);
            assert_eq!(asks, [Ask::Register { state: STANDBY }]);
            now = woken;
        }
        assert!(longest > Duration::from_secs(14), "{longest:?}");
    }

    #[test]
    fn a_purge_pushed_in_order_needs_no_catching_up_but_a_gap_does() {
        let mut agent = agent(0);
        tell(&mut agent, Heard::Registered { purge_head: 0 }, Mono::START);
        tell(&mut agent, Heard::Purged { seq: 1 }, Mono::START);
        assert_eq!(agent.purge_seen(), 1);
        tell(&mut agent, Heard::Purged { seq: 3 }, Mono::START);
        assert_eq!(agent.purge_seen(), 1);
        let (_, now) = wake(&mut agent);
        assert_eq!(tell(&mut agent, Heard::Beaten { purge_head: 3 }, now), [Ask::CatchUp { after: 1 }]);
    }

    #[test]
    fn a_draining_edge_says_so_at_once_and_stays_so() {
        let mut agent = agent(0);
        let asks = tell(&mut agent, Heard::Registered { purge_head: 0 }, Mono::START);
        assert_eq!(asks, [Ask::Register { state: STANDBY }]);
        let drain = [Ask::Beat { state: EdgeState::Draining }];
        assert_eq!(tell(&mut agent, Heard::Drain, Mono::START), drain);
        assert_eq!(tell(&mut agent, Heard::Unknown, Mono::START), []);
        assert_eq!(agent.state(), EdgeState::Draining);
    }

    #[test]
    fn a_control_plane_that_starts_over_is_read_from_its_start() {
        let mut agent = agent(9);
        agent.poll();
        assert_eq!(tell(&mut agent, Heard::Registered { purge_head: 2 }, Mono::START), [Ask::CatchUp { after: 0 }]);
    }

    fn heard() -> impl Strategy<Value = Heard> {
        prop_oneof![
            (0u64..5).prop_map(|purge_head| Heard::Registered { purge_head }),
            (0u64..5).prop_map(|purge_head| Heard::Beaten { purge_head }),
            (0u64..5).prop_map(|seen| Heard::CaughtUp { seen }),
            (0u64..5).prop_map(|seq| Heard::Purged { seq }),
            Just(Heard::Unknown),
            Just(Heard::Failed),
        ]
    }

    proptest! {
        #[test]
        fn whatever_is_heard_the_agent_goes_on_and_never_spins(heards in prop::collection::vec((any::<bool>(), heard()), 0..80)) {
            let mut agent = agent(0);
            let mut now = Mono::START;
            for (wait, heard) in heards {
                if wait {
                    now = now.max(agent.deadline().unwrap());
                    agent.wake(now);
                } else {
                    agent.handle(heard, now);
                }
                let asks = std::iter::from_fn(|| agent.poll()).count();
                prop_assert!(asks <= 2);
                let due = agent.deadline();
                prop_assert!(due.is_some());
                if agent.state() == EdgeState::Active {
                    prop_assert!(agent.is_registered());
                }
            }
            for _ in 0..3 {
                let before = agent.deadline().unwrap();
                agent.wake(before);
                prop_assert!(agent.deadline().unwrap() > before);
                while agent.poll().is_some() {}
            }
        }
    }
}
