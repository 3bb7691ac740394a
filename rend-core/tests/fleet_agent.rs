//! An agent and a control plane with a purge log, driven over a link that loses, delays and forgets, through the public
//! API alone.

use std::time::Duration;

use proptest::prelude::*;
use rend_core::fleet::{Agent, AgentConfig, Ask, EdgeState, Heard};
use rend_core::gate::invariant;
use rend_core::machine::Machine;
use rend_core::prng::Prng;
use rend_core::time::Mono;

/// The control plane, as far as an agent meets it.
struct ControlPlane {
    knows: bool,
    state_said: EdgeState,
    log_head: u64,
    head_at_registration: u64,
}

impl ControlPlane {
    fn answer(&mut self, ask: Ask) -> Heard {
        match ask {
            Ask::Register { state } => {
                (self.knows, self.state_said, self.head_at_registration) = (true, state, self.log_head);
                Heard::Registered { purge_head: self.log_head }
            }
            Ask::Beat { .. } if !self.knows => Heard::Unknown,
            Ask::Beat { state } => {
                self.state_said = state;
                Heard::Beaten { purge_head: self.log_head }
            }
            // The log is read in pages of two.
            Ask::CatchUp { after } => Heard::CaughtUp { seen: (after + 2).min(self.log_head) },
        }
    }
}

proptest! {
    #[test]
    fn an_edge_never_says_active_before_it_caught_up_and_always_comes_back(seed: u64, steps in 10u32..200) {
        let mut prng = Prng::seeded(seed);
        let mut agent = Agent::new(AgentConfig::default(), 0, seed, Mono::START);
        let mut plane = ControlPlane { knows: false, state_said: EdgeState::Standby, log_head: 3, head_at_registration: 3 };
        let mut now = Mono::START;
        for step in 0..steps + 40 {
            let healed = step >= steps;
            if !healed {
                match prng.below(8) {
                    0 => plane.knows = false,
                    1 => plane.log_head += prng.below(4),
                    _ => {}
                }
            }
            while let Some(ask) = agent.poll() {
                if healed || prng.below(3) > 0 {
                    let heard = plane.answer(ask);
                    // The answer may be lost on its way back.
                    if healed || prng.below(4) > 0 {
                        agent.handle(heard, now);
                    }
                }
                let is_active = plane.knows && plane.state_said == EdgeState::Active;
                let wrong = invariant::caught_up("a", is_active, agent.purge_seen(), plane.head_at_registration);
                prop_assert_eq!(wrong, None);
            }
            let due = agent.deadline().unwrap();
            prop_assert!(due >= now);
            now = due + Duration::from_millis(1);
            agent.wake(now);
        }
        prop_assert!(agent.is_registered());
        prop_assert_eq!(agent.state(), EdgeState::Active);
        prop_assert_eq!(agent.purge_seen(), plane.log_head);
    }
}
