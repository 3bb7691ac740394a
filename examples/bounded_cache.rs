//! Bound a cache of your own with the decisions of `rend-cache`, and bring a policy of your own.
//!
//! What is kept is yours: here a map of thumbnails. The policy is told what happens and says who has to go.

use std::collections::BTreeMap;

use rend_cache::Class;
use rend_cache::policy::{Arena, Engine, Event, Id, List, Order, Policy, Slot, Traits, ValueWheel, Verdict};

/// Thumbnails, never more than so many bytes.
struct Thumbnails<P> {
    images: BTreeMap<Id, Vec<u8>>,
    policy: P,
}

impl<P: Policy> Thumbnails<P> {
    fn get(&mut self, id: Id, make: impl FnOnce() -> Vec<u8>) -> Vec<u8> {
        if self.policy.apply(Event::Hit { id }).verdict != Verdict::Granted {
            let (image, traits) = (make(), Traits { class: Class::Still, ..Traits::plain() });
            let size = image.len() as u64;
            let reserved = self.policy.apply(Event::Reserve { id, size, traits });
            for victim in reserved.victims {
                self.images.remove(&victim);
            }
            if reserved.verdict != Verdict::Granted {
                return image;
            }
            self.policy.apply(Event::Commit { id, size });
            self.images.insert(id, image);
        }
        self.images[&id].clone()
    }
}

/// A policy of one's own: who came first goes first, however often it was asked for. The books are kept by the engine.
#[derive(Default)]
struct FirstIn(List);

impl Order for FirstIn {
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
    fn distance(&self, _: &Arena<()>, _: Slot) -> u64 {
        0
    }
    fn footprint(&self) -> usize {
        0
    }
    fn name(&self) -> &'static str {
        "first in, first out"
    }
}

#[expect(clippy::print_stdout, reason = "an example shows what it did")]
fn show(policy: impl Policy) {
    let mut thumbnails = Thumbnails { images: BTreeMap::new(), policy };
    let mut made = 0;
    // One favourite among many that are looked at once.
    for id in (1..=1000).flat_map(|n| [Id(0), Id(n)]) {
        thumbnails.get(id, || {
            made += usize::from(id == Id(0));
            vec![0; 1000]
        });
    }
    assert!(thumbnails.images.values().map(Vec::len).sum::<usize>() <= LIMIT as usize);
    println!("{}: the favourite was made {made} times", thumbnails.policy.name());
}

fn main() {
    show(ValueWheel::new(LIMIT));
    show(Engine::with_order(LIMIT, FirstIn::default()));
}

const LIMIT: u64 = 20_000;
