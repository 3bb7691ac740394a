//! How to bring a policy of your own: say who goes next, and let the engine keep the books.
//!
//! Who came first goes first here, however often it was asked for. The same lines store thumbnails under it and under the value
//! wheel, and say what that costs a favourite.
#![expect(clippy::print_stdout, reason = "an example shows what it did")]

use rend_cache::policy::{Arena, Engine, Event, Id, List, Order, Policy, Slot, Traits, ValueWheel, Verdict};

/// First in, first out.
#[derive(Default)]
struct FirstIn(List);

impl Order for FirstIn {
    /// What the order remembers of each object: nothing but its place in the queue.
    type Mark = ();

    fn admit(&mut self, _: Id, _: &Traits, _: bool) -> bool {
        true
    }
    fn insert(&mut self, arena: &mut Arena<()>, slot: Slot) {
        arena.push_back(&mut self.0, slot);
    }
    fn touch(&mut self, _: &mut Arena<()>, _: Slot) {}
    fn victim(&mut self, _: &mut Arena<()>) -> Option<Slot> {
        self.0.front()
    }
    fn remove(&mut self, arena: &mut Arena<()>, slot: Slot, _: bool) {
        arena.unlink(&mut self.0, slot);
    }
    fn distance(&self, arena: &Arena<()>, slot: Slot) -> u64 {
        arena.slots(&self.0).position(|other| other == slot).unwrap_or(0) as u64
    }
    fn footprint(&self) -> usize {
        0
    }
    fn name(&self) -> &'static str {
        "first in, first out"
    }
}

/// Asks for one favourite between two of a thousand others, and counts how often it was missing.
fn misses_of_a_favourite(policy: &mut impl Policy) -> usize {
    let (favourite, mut missed) = (Id(0), 0);
    for id in (1..=1000).flat_map(|n| [favourite, Id(n)]) {
        if policy.apply(Event::Hit { id }).verdict != Verdict::Granted {
            policy.apply(Event::Reserve { id, size: 1000, traits: Traits::plain() });
            policy.apply(Event::Commit { id, size: 1000 });
            missed += usize::from(id == favourite);
        }
        assert!(policy.used() <= policy.limit());
    }
    missed
}

fn main() {
    let (mut own, mut wheel) = (Engine::with_order(LIMIT, FirstIn::default()), ValueWheel::new(LIMIT));
    println!("{}: the favourite was missing {} times", own.name(), misses_of_a_favourite(&mut own));
    println!("{}: {}", wheel.name(), misses_of_a_favourite(&mut wheel));
}

/// Room for twenty.
const LIMIT: u64 = 20_000;
