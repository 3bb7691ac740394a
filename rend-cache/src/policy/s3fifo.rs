//! S3-FIFO: a small queue for newcomers, a main queue for what was asked for again, and a memory of who was dropped.

use std::collections::VecDeque;

use super::arena::{Arena, List, Slot, number};
use super::table::Table;
use super::{Id, Order, S3Fifo, Traits};
use crate::footer::take;

/// The queues. The small one holds about a tenth of the bytes.
#[derive(Debug)]
pub struct TwoQueues {
    small: List,
    small_bytes: u64,
    main: List,
    main_bytes: u64,
    ghosts: Ghosts,
}

/// What the order knows of an object.
#[derive(Clone, Copy, Debug, Default)]
pub struct Mark {
    in_main: bool,
    freq: u8,
}

impl S3Fifo {
    /// An empty cache of at most `limit` bytes.
    pub fn new(limit: u64) -> Self {
        let order = TwoQueues {
            small: List::new(),
            small_bytes: 0,
            main: List::new(),
            main_bytes: 0,
            ghosts: Ghosts { ids: VecDeque::new(), first: 0, table: Table::default() },
        };
        Self::with_order(limit, order)
    }
}

impl Order for TwoQueues {
    type Mark = Mark;

    fn admit(&mut self, _: Id, _: &Traits, _: bool) -> bool {
        true
    }

    fn insert(&mut self, arena: &mut Arena<Mark>, slot: Slot) {
        let known = self.ghosts.forget(arena.id(slot));
        let size = arena.size(slot);
        *arena.mark_mut(slot) = Mark { in_main: known, freq: 0 };
        if known {
            self.main_bytes += size;
            arena.push_back(&mut self.main, slot);
        } else {
            self.small_bytes += size;
            arena.push_back(&mut self.small, slot);
        }
    }

    fn touch(&mut self, arena: &mut Arena<Mark>, slot: Slot) {
        let mark = arena.mark_mut(slot);
        mark.freq = (mark.freq + 1).min(3);
    }

    fn victim(&mut self, arena: &mut Arena<Mark>) -> Option<Slot> {
        loop {
            // Each turn returns, moves an object out of the small queue for good, or takes one from a count of at most three.
            let from_small = self.small_bytes * 10 >= self.small_bytes + self.main_bytes || self.main.is_empty();
            if let Some(slot) = self.small.front().filter(|_| from_small) {
                if arena.mark(slot).freq <= 1 {
                    return Some(slot);
                }
                arena.unlink(&mut self.small, slot);
                self.small_bytes -= arena.size(slot);
                *arena.mark_mut(slot) = Mark { in_main: true, freq: 0 };
                self.main_bytes += arena.size(slot);
                arena.push_back(&mut self.main, slot);
            } else {
                let slot = self.main.front()?;
                let mark = arena.mark_mut(slot);
                if mark.freq == 0 {
                    return Some(slot);
                }
                mark.freq -= 1;
                arena.unlink(&mut self.main, slot);
                arena.push_back(&mut self.main, slot);
            }
        }
    }

    fn remove(&mut self, arena: &mut Arena<Mark>, slot: Slot, evicted: bool) {
        let size = arena.size(slot);
        if arena.mark(slot).in_main {
            self.main_bytes -= size;
            arena.unlink(&mut self.main, slot);
        } else {
            self.small_bytes -= size;
            arena.unlink(&mut self.small, slot);
            if evicted {
                self.ghosts.remember(arena.id(slot), arena.len());
            }
        }
    }

    fn save(&self, arena: &Arena<Mark>, out: &mut Vec<u8>) -> bool {
        for list in [&self.small, &self.main] {
            out.extend_from_slice(&(arena.slots(list).count() as u64).to_le_bytes());
            for slot in arena.slots(list) {
                arena.write(slot, out);
                out.push(arena.mark(slot).freq);
            }
        }
        out.extend_from_slice(&(self.ghosts.ids.len() as u64).to_le_bytes());
        // A ghost that was asked for again stays in the queue without being remembered.
        let remembered =
            |number: u32, id: u64| self.ghosts.number_of(id) == Some((self.ghosts.first + number) % NUMBERS);
        for (number, id) in (0..).zip(&self.ghosts.ids) {
            out.extend_from_slice(&id.to_le_bytes());
            out.push(u8::from(remembered(number, *id)));
        }
        true
    }

    fn load(&mut self, arena: &mut Arena<Mark>, bytes: &mut &[u8]) -> Option<()> {
        for in_main in [false, true] {
            for _ in 0..number(bytes)? {
                let slot = arena.read(bytes)?;
                let [freq] = take::<1>(bytes)?;
                *arena.mark_mut(slot) = Mark { in_main, freq };
                let (list, sum) = if in_main {
                    (&mut self.main, &mut self.main_bytes)
                } else {
                    (&mut self.small, &mut self.small_bytes)
                };
                *sum = sum.checked_add(arena.size(slot))?;
                arena.push_back(list, slot);
            }
        }
        for _ in 0..number(bytes)? {
            let id = number(bytes)?;
            let [remembered] = take::<1>(bytes)?;
            self.ghosts.append(id, remembered != 0)?;
        }
        Some(())
    }

    fn distance(&self, arena: &Arena<Mark>, slot: Slot) -> u64 {
        let mark = arena.mark(slot);
        u64::from(mark.in_main) * 4 + u64::from(mark.freq)
    }

    fn footprint(&self) -> usize {
        self.ghosts.ids.capacity() * size_of::<u64>() + self.ghosts.table.footprint()
    }

    fn name(&self) -> &'static str {
        "s3-fifo"
    }
}

/// The ids of objects dropped lately, at most as many as there are residents, in the order in which they went.
///
/// A forgotten ghost leaves a hole in the queue that goes when it comes to the front.
#[derive(Debug)]
struct Ghosts {
    ids: VecDeque<u64>,
    first: u32,
    table: Table,
}

impl Ghosts {
    fn remember(&mut self, id: Id, bound: usize) {
        while self.ids.len() >= bound.max(GHOSTS_MIN) {
            let (ids, first) = (&self.ids, self.first);
            let Some(oldest) = ids.front().copied() else { break };
            // The table may hold a younger copy of the same id, which stays.
            let key_of = |n: u32| ids[((n + NUMBERS - first) % NUMBERS) as usize];
            if self.table.find(oldest, key_of) == Some(first) {
                self.table.remove(oldest, key_of);
            }
            self.ids.pop_front();
            self.first = (self.first + 1) % NUMBERS;
        }
        self.forget(id);
        self.ids.push_back(id.0);
        let (ids, first) = (&self.ids, self.first);
        let number = (first + u32::try_from(ids.len() - 1).unwrap_or(0)) % NUMBERS;
        self.table.insert(id.0, number, |n| ids[((n + NUMBERS - first) % NUMBERS) as usize]);
    }

    fn number_of(&self, id: u64) -> Option<u32> {
        self.table.find(id, |n| self.ids[((n + NUMBERS - self.first) % NUMBERS) as usize])
    }

    /// Puts one more at the end of the queue, while it is read back. `None` when it is remembered already.
    fn append(&mut self, id: u64, remembered: bool) -> Option<()> {
        let number = (self.first + u32::try_from(self.ids.len()).ok()?) % NUMBERS;
        let free = !remembered || self.number_of(id).is_none();
        self.ids.push_back(id);
        if remembered && free {
            let (ids, first) = (&self.ids, self.first);
            self.table.insert(id, number, |n| ids[((n + NUMBERS - first) % NUMBERS) as usize]);
        }
        free.then_some(())
    }

    fn forget(&mut self, id: Id) -> bool {
        let (ids, first) = (&self.ids, self.first);
        self.table.remove(id.0, |n| ids[((n + NUMBERS - first) % NUMBERS) as usize]).is_some()
    }
}

/// Ghosts are numbered modulo this, so that no number is the table's mark of an empty cell.
const NUMBERS: u32 = 1 << 30;
/// A cache of a handful of objects still remembers this many.
const GHOSTS_MIN: usize = 16;
