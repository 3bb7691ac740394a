//! The value wheel: one order for all objects, in which class is a weight and not a rank.
//!
//! An object's credit is `weight(class) · score · size^-α`, and its place on the wheel is `now + credit`, where `now` is the place
//! of the last victim. So a playlist that nobody asks for any more goes too, only later than a segment would.
//! `score = first + 256 · hits + foresight · starts(line) · survival(segment)`: what was asked for once counts little, so that
//! passers-by pass quickly; and somebody who asked for the first segment of a rendition will ask for the next ones, where how many
//! viewers get how far is learned while serving.
//!
//! The numbers of [`WheelConfig::default`] were found by trying some hundred sets at random on two audiences that no benchmark
//! shows, and keeping the one that missed fewest bytes among those that missed no more requests than before.
//!
//! The wheel is a ring of first-in first-out lists with a bitmap of those in use. Insertion, a hit and the search for the next victim
//! take a constant number of steps.

use std::num::NonZeroU32;

use super::arena::{Arena, List, Slot, number};
use super::{Id, Order, Traits, ValueWheel};
use crate::footer::take;
use crate::key::Class;

/// How much the size counts against an object.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Alpha {
    /// Not at all: good for bytes saved.
    Bytes,
    /// By its fourth root.
    Quarter,
    /// By its square root.
    Balanced,
    /// Fully: good for requests saved.
    Objects,
}

/// What the wheel's owner may choose.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct WheelConfig {
    /// How much the size counts.
    pub alpha: Alpha,
    /// The weight of each class, in the order of [`Class::ALL`].
    pub weights: [u16; 4],
    /// How finely credit is told apart: larger is coarser and lets the wheel turn more slowly.
    pub shift: u8,
    /// What an object counts for before it is asked for again, in 256ths of a hit. Little lets passers-by pass quickly.
    pub first: u16,
    /// What one expected viewer counts for, in 256ths of a hit.
    pub foresight: u16,
    /// Starts count half after as many requests as there are objects, times this.
    pub epoch: u16,
    /// Whether an object of the tail that nobody has asked for before is served without being stored once the cache is full, until
    /// [`super::Event::SetAdmission`] says otherwise.
    pub admission: bool,
}

impl Default for WheelConfig {
    fn default() -> Self {
        Self {
            alpha: Alpha::Balanced,
            weights: [1, 2, 2, 16],
            shift: 15,
            first: 48,
            foresight: 512,
            epoch: 4,
            admission: false,
        }
    }
}

impl WheelConfig {
    /// What two wheels must have in common to decide alike.
    fn encode(&self) -> [u8; 17] {
        let [[a, b], [c, d], [e, f], [g, h]] = self.weights.map(u16::to_le_bytes);
        let [[i, j], [k, l], [m, n]] = [self.first, self.foresight, self.epoch].map(u16::to_le_bytes);
        [a, b, c, d, e, f, g, h, i, j, k, l, m, n, self.alpha as u8, self.shift, u8::from(self.admission)]
    }
}

impl ValueWheel {
    /// An empty cache of at most `limit` bytes with the weights that measured best.
    pub fn new(limit: u64) -> Self {
        Self::with_config(limit, WheelConfig::default())
    }

    /// An empty cache of at most `limit` bytes.
    pub fn with_config(limit: u64, config: WheelConfig) -> Self {
        let order = Value {
            config,
            lists: boxed(List::new()),
            words: [0; SLOTS / 64],
            summary: [0; SLOTS / 64 / 64],
            now: 0,
            starts: boxed(0),
            decay_at: 0,
            decay_due: 0,
            survival: [0; SEGMENTS],
            per_start: 0,
            admission: false,
            seen: Box::default(),
        };
        let mut engine = Self::with_order(limit, order);
        engine.order.set_admission(config.admission);
        engine
    }
}

/// The wheel.
#[derive(Debug)]
pub struct Value {
    config: WheelConfig,
    lists: Box<[List; SLOTS]>,
    words: [u64; SLOTS / 64],
    summary: [u64; SLOTS / 64 / 64],
    now: u64,
    starts: Box<[u16; LINES]>,
    decay_at: usize,
    decay_due: u64,
    survival: [u32; SEGMENTS],
    /// 2^32 divided by how many began, so that no request divides.
    per_start: u64,
    admission: bool,
    /// Made when admission is first turned on.
    seen: Box<[u64]>,
}

/// What the wheel knows of an object.
#[derive(Clone, Copy, Debug, Default)]
pub struct Mark {
    /// The lower half of its place: the upper is that of `now`, or one more.
    place: u32,
    unit: u32,
}

impl Value {
    /// Puts an object in its place, which follows from all that is known of it.
    #[inline]
    fn link(&mut self, arena: &mut Arena<Mark>, slot: Slot, traits: &Traits, unit: u32) {
        let place = self.now + self.credit(arena.hits(slot), traits, unit);
        *arena.mark_mut(slot) = Mark { place: place as u32, unit };
        self.put(arena, slot, ring(place));
    }

    #[inline]
    fn put(&mut self, arena: &mut Arena<Mark>, slot: Slot, at: usize) {
        if self.lists[at].is_empty() {
            self.words[at / 64] |= 1 << (at % 64);
            self.summary[at / 4096] |= 1 << (at / 64 % 64);
        }
        arena.push_back(&mut self.lists[at], slot);
    }

    /// How far its place is from `now`: less than a turn.
    #[inline]
    fn ahead(&self, arena: &Arena<Mark>, slot: Slot) -> u64 {
        u64::from(arena.mark(slot).place.wrapping_sub(self.now as u32))
    }

    #[inline]
    fn unlink(&mut self, arena: &mut Arena<Mark>, slot: Slot) {
        let at = ring(u64::from(arena.mark(slot).place));
        arena.unlink(&mut self.lists[at], slot);
        if self.lists[at].is_empty() {
            self.words[at / 64] &= !(1 << (at % 64));
            if self.words[at / 64] == 0 {
                self.summary[at / 4096] &= !(1 << (at / 64 % 64));
            }
        }
    }

    /// How many places beyond `now` an object belongs that was asked for so often.
    #[inline]
    fn credit(&self, hits: u32, traits: &Traits, unit: u32) -> u64 {
        let score = 256 * u64::from(hits) + u64::from(self.config.first) + self.demand(traits);
        (u64::from(unit).saturating_mul(score) >> self.config.shift).clamp(1, SLOTS as u64 - 1)
    }

    /// What one point of score is worth for an object of this class and size.
    #[inline]
    fn unit(&self, class: Class, size: u64) -> u32 {
        let weight = u64::from(self.config.weights[class as usize]);
        let size = size.max(1);
        let unit = match self.config.alpha {
            Alpha::Bytes => weight << 12,
            Alpha::Quarter => (weight << 25) / root(root(size.saturating_mul(1 << 16))),
            Alpha::Balanced => (weight << 22) / root(size),
            Alpha::Objects => (weight << 30) / size,
        };
        u32::try_from(unit).unwrap_or(u32::MAX)
    }

    /// How many viewers are expected, in 256ths.
    #[inline]
    fn demand(&self, traits: &Traits) -> u64 {
        let Some(segment) = traits.segment else { return 0 };
        let starts = u64::from(self.starts[line(traits.line)]);
        if starts == 0 {
            return 0;
        }
        let reached = u64::from(self.survival[(segment as usize).min(SEGMENTS - 1)]);
        // Both factors are below 2^32, and survivors are hardly ever more than those who began.
        let share = ((reached * self.per_start) >> 24).min(256);
        (starts * share * u64::from(self.config.foresight)) >> 12
    }

    /// Learns from one request and lets a little of the past fade.
    #[inline]
    fn learn(&mut self, traits: &Traits, residents: usize) {
        let Some(segment) = traits.segment else { return };
        if segment == 0 {
            let starts = &mut self.starts[line(traits.line)];
            *starts = starts.saturating_add(START);
        }
        let count = &mut self.survival[(segment as usize).min(SEGMENTS - 1)];
        *count += 1;
        if *count == u32::MAX / 2 {
            self.survival.iter_mut().for_each(|count| *count /= 2);
            self.per_start = (1 << 32) / u64::from(self.survival[0]).max(1);
        } else if segment == 0 {
            self.per_start = (1 << 32) / u64::from(*count);
        }
        // All counters are halved once in an epoch of twice as many requests as there are objects, a few at each request.
        let epoch = (u64::from(self.config.epoch) * residents as u64).max(EPOCH_MIN);
        self.decay_due += LINES as u64;
        while self.decay_due >= epoch {
            self.decay_due -= epoch;
            self.starts[self.decay_at] /= 2;
            self.decay_at = (self.decay_at + 1) % LINES;
        }
    }

    /// The first list in use at or after `now`.
    #[inline]
    fn next_used(&self) -> Option<usize> {
        let from = ring(self.now);
        self.used_between(from, SLOTS).or_else(|| self.used_between(0, from))
    }

    #[inline]
    fn used_between(&self, from: usize, to: usize) -> Option<usize> {
        let (word, bit) = (from / 64, from % 64);
        if from >= to {
            return None;
        }
        let rest = self.words[word] & (u64::MAX << bit);
        let found = if rest != 0 {
            word * 64 + rest.trailing_zeros() as usize
        } else {
            let mut next = word + 1;
            loop {
                let group = next / 64;
                let bits = self.summary.get(group)? & (u64::MAX << (next % 64));
                if bits != 0 {
                    let word = group * 64 + bits.trailing_zeros() as usize;
                    break word * 64 + self.words[word].trailing_zeros() as usize;
                }
                next = (group + 1) * 64;
            }
        };
        (found < to).then_some(found)
    }
}

impl Order for Value {
    type Mark = Mark;

    #[inline]
    fn admit(&mut self, id: Id, traits: &Traits, full: bool) -> bool {
        if !self.admission || !full || traits.class != Class::Tail || self.starts[line(traits.line)] > START {
            return true;
        }
        let bit = id.0 as usize % (SEEN_WORDS * 64);
        let word = &mut self.seen[bit / 64];
        let known = *word & (1 << (bit % 64)) != 0;
        *word ^= 1 << (bit % 64);
        known
    }

    #[inline]
    fn insert(&mut self, arena: &mut Arena<Mark>, slot: Slot) {
        let traits = arena.traits(slot);
        self.learn(&traits, arena.len());
        let unit = self.unit(traits.class, arena.size(slot));
        self.link(arena, slot, &traits, unit);
    }

    #[inline]
    fn touch(&mut self, arena: &mut Arena<Mark>, slot: Slot) {
        let traits = arena.traits(slot);
        self.learn(&traits, arena.len());
        self.unlink(arena, slot);
        let unit = arena.mark(slot).unit;
        self.link(arena, slot, &traits, unit);
    }

    #[inline]
    fn victim(&mut self, _: &mut Arena<Mark>) -> Option<Slot> {
        self.lists[self.next_used()?].front()
    }

    #[inline]
    fn remove(&mut self, arena: &mut Arena<Mark>, slot: Slot, evicted: bool) {
        if evicted {
            self.now += self.ahead(arena, slot);
        }
        self.unlink(arena, slot);
    }

    fn distance(&self, arena: &Arena<Mark>, slot: Slot) -> u64 {
        self.ahead(arena, slot)
    }

    fn set_admission(&mut self, on: bool) {
        self.admission = on;
        if on && self.seen.is_empty() {
            self.seen = vec![0; SEEN_WORDS].into_boxed_slice();
        }
    }

    fn unlearn(&mut self, traits: &Traits) {
        if let Some(segment) = traits.segment {
            let count = &mut self.survival[(segment as usize).min(SEGMENTS - 1)];
            *count = count.saturating_sub(1);
            if segment == 0 {
                self.per_start = (1 << 32) / u64::from(*count).max(1);
                let starts = &mut self.starts[line(traits.line)];
                *starts = starts.saturating_sub(START);
            }
        }
    }

    fn survival(&self, segment: u32) -> Option<u32> {
        Some(self.survival[(segment as usize).min(SEGMENTS - 1)])
    }

    fn save(&self, arena: &Arena<Mark>, out: &mut Vec<u8>) -> bool {
        out.extend_from_slice(&self.config.encode());
        out.extend_from_slice(&[u8::from(self.admission), u8::from(!self.seen.is_empty())]);
        for word in [self.now, self.decay_at as u64, self.decay_due] {
            out.extend_from_slice(&word.to_le_bytes());
        }
        self.starts.iter().for_each(|starts| out.extend_from_slice(&starts.to_le_bytes()));
        self.survival.iter().for_each(|count| out.extend_from_slice(&count.to_le_bytes()));
        self.seen.iter().for_each(|word| out.extend_from_slice(&word.to_le_bytes()));
        let linked: usize = self.lists.iter().map(|list| arena.slots(list).count()).sum();
        out.extend_from_slice(&(linked as u64).to_le_bytes());
        for slot in self.lists.iter().flat_map(|list| arena.slots(list)) {
            arena.write(slot, out);
            out.extend_from_slice(&arena.mark(slot).place.to_le_bytes());
        }
        true
    }

    fn load(&mut self, arena: &mut Arena<Mark>, bytes: &mut &[u8]) -> Option<()> {
        if take(bytes)? != self.config.encode() {
            return None;
        }
        match take(bytes)? {
            [admission @ (0 | 1), seen @ (0 | 1)] if admission <= seen => {
                self.set_admission(seen == 1);
                self.set_admission(admission == 1);
            }
            _ => return None,
        }
        // Counters that no run of events reaches would overflow soon, or take for ever to fade.
        self.now = number(bytes).filter(|now| *now < 1 << 62)?;
        self.decay_at = usize::try_from(number(bytes)?).ok().filter(|at| *at < LINES)?;
        self.decay_due = number(bytes).filter(|due| *due < 1 << 36)?;
        for starts in self.starts.iter_mut() {
            *starts = u16::from_le_bytes(take(bytes)?);
        }
        for count in &mut self.survival {
            *count = u32::from_le_bytes(take(bytes)?);
            if *count > u32::MAX / 2 {
                return None;
            }
        }
        if self.survival[0] > 0 {
            self.per_start = (1 << 32) / u64::from(self.survival[0]);
        }
        for word in &mut self.seen {
            *word = number(bytes)?;
        }
        for _ in 0..number(bytes)? {
            let slot = arena.read(bytes)?;
            let place = u32::from_le_bytes(take(bytes)?);
            let unit = self.unit(arena.traits(slot).class, arena.size(slot));
            *arena.mark_mut(slot) = Mark { place, unit };
            if self.ahead(arena, slot) >= SLOTS as u64 {
                return None;
            }
            self.put(arena, slot, ring(u64::from(place)));
        }
        Some(())
    }

    fn footprint(&self) -> usize {
        self.lists.len() * size_of::<List>() + self.starts.len() * 2 + self.seen.len() * 8 + size_of::<Self>()
    }

    fn name(&self) -> &'static str {
        "wheel"
    }
}

/// The integer square root, rounded down. Sizes mostly fit 32 bits, where a table and one step of Newton's way are exact to the
/// last unit, which is then set right.
#[inline]
fn root(n: u64) -> u64 {
    let Some(small) = u32::try_from(n).ok().and_then(NonZeroU32::new) else { return n.isqrt() };
    // The eight bits from the first one on, moved by an even number of places so that the root moves by half of it.
    let places = (small.ilog2() & !1).saturating_sub(6);
    let guess = u32::from(ROOTS[(small.get() >> places) as usize & 0xff]) << (places / 2) >> 7;
    let near = u64::from((guess + small.get() / guess) / 2);
    near - u64::from(near * near > n)
}

/// The square roots of 0 to 255 and a half, times 128: within half a hundredth from 64 on.
const ROOTS: [u16; 256] = {
    let mut roots = [0_u16; 256];
    let mut n = 0;
    while n < roots.len() {
        roots[n] = (((2 * n as u32 + 1) << 13).isqrt()) as u16;
        n += 1;
    }
    roots
};

/// A value many times over, on the heap from the start.
fn boxed<T: Clone, const N: usize>(value: T) -> Box<[T; N]> {
    let Ok(boxed) = vec![value; N].into_boxed_slice().try_into() else { unreachable!("it has that length") };
    boxed
}

const fn ring(place: u64) -> usize {
    (place % SLOTS as u64) as usize
}

const fn line(line: u64) -> usize {
    (line.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - LINES.trailing_zeros())) as usize
}

/// Lists in the ring. A credit spans at most one less, so that no two turns of the wheel share a list.
const SLOTS: usize = 8192;
/// One start, so that a start that has faded still counts.
const START: u16 = 16;
/// Counters of starts. Lines that share one cost a little foresight only.
const LINES: usize = 1 << 14;
/// Segments whose survival is learned one by one; later ones share the last.
const SEGMENTS: usize = 512;
/// The shortest epoch, in requests.
const EPOCH_MIN: u64 = 4096;
/// Words of the one-bit filter of keys seen before.
const SEEN_WORDS: usize = 1 << 14;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_root_is_the_one_of_the_standard_library() {
        let check = |n: u64| assert_eq!(root(n), n.isqrt(), "{n}");
        (0..1 << 16).for_each(check);
        (1..1 << 16).map(|root: u64| root * root).for_each(|square| (square - 1..=square + 1).for_each(check));
        [u64::from(u32::MAX), 1 << 32, u64::MAX].into_iter().for_each(check);
    }
}
