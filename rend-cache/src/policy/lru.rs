//! Least recently used: the yardstick.

use super::arena::{Arena, List, Slot, number};
use super::{Id, Lru, Order, Traits};

/// One queue; what is asked for goes to its end.
#[derive(Debug, Default)]
pub struct Recency {
    queue: List,
    tick: u64,
}

impl Lru {
    /// An empty cache of at most `limit` bytes that evicts what was asked for longest ago.
    pub fn new(limit: u64) -> Self {
        Self::with_order(limit, Recency::default())
    }
}

impl Order for Recency {
    /// When it was last asked for.
    type Mark = u64;

    fn admit(&mut self, _: Id, _: &Traits, _: bool) -> bool {
        true
    }

    fn insert(&mut self, arena: &mut Arena<u64>, slot: Slot) {
        self.tick += 1;
        *arena.mark_mut(slot) = self.tick;
        arena.push_back(&mut self.queue, slot);
    }

    fn touch(&mut self, arena: &mut Arena<u64>, slot: Slot) {
        arena.unlink(&mut self.queue, slot);
        self.insert(arena, slot);
    }

    fn victim(&mut self, _: &mut Arena<u64>) -> Option<Slot> {
        self.queue.front()
    }

    fn remove(&mut self, arena: &mut Arena<u64>, slot: Slot, _: bool) {
        arena.unlink(&mut self.queue, slot);
    }

    fn save(&self, arena: &Arena<u64>, out: &mut Vec<u8>) -> bool {
        out.extend_from_slice(&self.tick.to_le_bytes());
        out.extend_from_slice(&(arena.slots(&self.queue).count() as u64).to_le_bytes());
        for slot in arena.slots(&self.queue) {
            arena.write(slot, out);
            out.extend_from_slice(&arena.mark(slot).to_le_bytes());
        }
        true
    }

    fn load(&mut self, arena: &mut Arena<u64>, bytes: &mut &[u8]) -> Option<()> {
        self.tick = number(bytes).filter(|tick| *tick < 1 << 62)?;
        for _ in 0..number(bytes)? {
            let slot = arena.read(bytes)?;
            *arena.mark_mut(slot) = number(bytes)?;
            arena.push_back(&mut self.queue, slot);
        }
        Some(())
    }

    fn distance(&self, arena: &Arena<u64>, slot: Slot) -> u64 {
        let oldest = self.queue.front().map_or(0, |front| *arena.mark(front));
        arena.mark(slot).saturating_sub(oldest)
    }

    fn footprint(&self) -> usize {
        0
    }

    fn name(&self) -> &'static str {
        "lru"
    }
}
