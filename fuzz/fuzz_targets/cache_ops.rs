//! Any list of events: the books stay within the limit, and two policies that were told the same have the same digest.
#![no_main]
use rend_cache::policy::{Event, Lru, Policy, S3Fifo, ValueWheel};
use rend_cache::replay::{Recorded, events};
use rend_fuzz::fuzz_target;

const LIMIT: u64 = 1 << 20;

fuzz_target!(|log: &[u8]| {
    let policies: [fn() -> Box<dyn Policy>; 3] =
        [|| Box::new(ValueWheel::new(LIMIT)), || Box::new(Lru::new(LIMIT)), || Box::new(S3Fifo::new(LIMIT))];
    for policy in policies {
        let (mut one, mut other) = (Recorded::new(policy(), 0), Recorded::new(policy(), 0));
        for event in events(log).filter(|event| !matches!(event, Event::SetLimit { .. })) {
            let actions = one.apply(event);
            assert_eq!(other.apply(event), actions);
            assert!(one.used() <= LIMIT);
            assert!(actions.victims.iter().all(|victim| one.standing(*victim).is_none()));
        }
        assert_eq!(one.digest(), other.digest());
    }
});
