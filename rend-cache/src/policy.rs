//! What goes when the cache is full: `apply(event) → actions`, pure and replayable.
//!
//! No I/O, no clock, no chance, no floating point. Equal configurations and equal events give equal answers on every machine,
//! which [`crate::replay`] checks with a digest.
//!
//! [`Engine`] keeps the books: who is resident, who is reserved, how many bytes that is, and that it is never more than the limit.
//! An [`Order`] says only who goes next. Three come with the crate: [`ValueWheel`], [`Lru`] and [`S3Fifo`]; your own is a type with
//! eight small methods.

mod arena;
mod lru;
mod s3fifo;
mod snapshot;
mod table;
mod wheel;

pub use arena::{Arena, List, Slot};
pub use lru::Recency;
pub use s3fifo::{Mark as QueueMark, TwoQueues};
pub use snapshot::RestoreError;
pub use wheel::{Alpha, Mark as WheelMark, Value, WheelConfig};

use arena::State;

use crate::key::Class;

/// Keeps what is worth most per byte, by class, frequency and the foresight that a viewer who started goes on.
pub type ValueWheel = Engine<Value>;
/// Evicts what was asked for longest ago.
pub type Lru = Engine<Recency>;
/// Small queue, main queue and a memory of what was dropped: resists scans.
pub type S3Fifo = Engine<TwoQueues>;

/// The policy's number of a key.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Id(pub u64);

/// What a policy may know about an object.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Traits {
    /// How dearly it is kept.
    pub class: Class,
    /// A number for its asset and rendition: those that share it are watched one after the other.
    pub line: u64,
    /// Its place in the line.
    pub segment: Option<u32>,
}

impl Traits {
    /// An object about which nothing else is known.
    pub const fn plain() -> Self {
        Self { class: Class::Tail, line: 0, segment: None }
    }
}

/// Something that happened. Sizes are bytes as charged.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Event {
    /// A resident object was asked for.
    Hit {
        /// Which.
        id: Id,
    },
    /// Room for an object is wanted, but not taken yet.
    Room {
        /// Which.
        id: Id,
        /// How many bytes.
        size: u64,
        /// What it is.
        traits: Traits,
    },
    /// A fill begins: take the room.
    Reserve {
        /// Which.
        id: Id,
        /// How many bytes.
        size: u64,
        /// What it is.
        traits: Traits,
    },
    /// A fill without a known length needs its reservation raised to `size`.
    Grow {
        /// Which.
        id: Id,
        /// The new total.
        size: u64,
    },
    /// A fill ended well: the object is resident with its true size, at most what was reserved. It can be a victim at once when the
    /// limit was lowered meanwhile.
    Commit {
        /// Which.
        id: Id,
        /// Its size.
        size: u64,
    },
    /// A fill ended badly: the room is free again.
    Abort {
        /// Which.
        id: Id,
    },
    /// A resident object is gone for a reason of the caller's.
    Remove {
        /// Which.
        id: Id,
    },
    /// A resident object must not be evicted for now.
    Pin {
        /// Which.
        id: Id,
    },
    /// A pinned object may be evicted again.
    Unpin {
        /// Which.
        id: Id,
    },
    /// At least so many bytes must go, whatever the limit.
    Shrink {
        /// How many.
        bytes: u64,
    },
    /// The limit is now this.
    SetLimit {
        /// Bytes.
        limit: u64,
    },
    /// Writing has become dear, or cheap again: from now on a full cache refuses what is hardly worth the write, or does not.
    SetAdmission {
        /// Whether to refuse.
        on: bool,
    },
    /// A resident object was fetched on a guess: that it came was no request.
    Guess {
        /// Which.
        id: Id,
    },
}

/// What follows from an event.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Actions {
    /// Whether what was asked is granted.
    pub verdict: Verdict,
    /// Who was evicted, in order. They are out of the books already.
    pub victims: Vec<Id>,
}

impl Event {
    /// Kind, object and the number that goes with it, for digests.
    #[inline]
    const fn words(&self) -> (u64, u64, u64) {
        match *self {
            Self::Hit { id } => (1, id.0, 0),
            Self::Room { id, size, .. } => (2, id.0, size),
            Self::Reserve { id, size, .. } => (3, id.0, size),
            Self::Grow { id, size } => (4, id.0, size),
            Self::Commit { id, size } => (5, id.0, size),
            Self::Abort { id } => (6, id.0, 0),
            Self::Remove { id } => (7, id.0, 0),
            Self::Pin { id } => (8, id.0, 0),
            Self::Unpin { id } => (9, id.0, 0),
            Self::Shrink { bytes } => (10, 0, bytes),
            Self::SetLimit { limit } => (11, 0, limit),
            Self::SetAdmission { on } => (12, 0, on as u64),
            Self::Guess { id } => (13, id.0, 0),
        }
    }
}

/// Whether what an event asked for is granted.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[repr(u8)]
pub enum Verdict {
    /// Yes.
    #[default]
    Granted = 0,
    /// No: serve it without storing it. Nothing was evicted for it beyond what is listed.
    Bypass = 1,
    /// Never: it is larger than the whole limit.
    TooLarge = 2,
    /// The event does not fit the object's state and changed nothing.
    Ignored = 3,
}

/// Why an object is where it is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Standing {
    /// Its size as charged.
    pub size: u64,
    /// How often it was asked for while resident.
    pub hits: u32,
    /// How far it is from eviction: the next victim has the smallest. Comparable within one moment only.
    pub distance: u64,
    /// Whether it is protected from eviction.
    pub pinned: bool,
    /// Whether it is still being filled.
    pub reserved: bool,
}

/// A policy: a pure function of its configuration and the events so far.
pub trait Policy: Send {
    /// Takes note of `event`, says whether what it asked for is granted, and appends who was evicted to `victims`. They are out of the
    /// books already.
    fn apply_to(&mut self, event: Event, victims: &mut Vec<Id>) -> Verdict;
    /// The same with the answer as one value.
    fn apply(&mut self, event: Event) -> Actions {
        let mut victims = Vec::new();
        let verdict = self.apply_to(event, &mut victims);
        Actions { verdict, victims }
    }
    /// Bytes resident and reserved; never more than [`Policy::limit`].
    fn used(&self) -> u64;
    /// The most bytes.
    fn limit(&self) -> u64;
    /// How many objects are resident or reserved.
    fn len(&self) -> usize;
    /// Whether there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// Why `id` is kept, if it is.
    fn standing(&self, id: Id) -> Option<Standing>;
    /// A running hash of all events, verdicts and victims so far: equal histories have equal digests, on every machine and in every
    /// build.
    fn digest(&self) -> u64;
    /// Everything that decides what comes next, as bytes. `None` when the order behind it cannot be written down.
    fn snapshot(&self) -> Option<Vec<u8>>;
    /// So many more objects will come soon: a policy that makes room for them at once need not move those it has again and again.
    fn reserve(&mut self, _objects: usize) {}
    /// Goes on where the policy that wrote `snapshot` was. This one must be new, and configured alike.
    ///
    /// # Errors
    ///
    /// When it is no snapshot of such a policy. What is in the policy then is undefined: make a new one.
    fn restore(&mut self, snapshot: &[u8]) -> Result<(), RestoreError>;
    /// How many requests there were for this place in a line, in all lines together. `None` when the policy does not count them.
    fn survival(&self, _segment: u32) -> Option<u32> {
        None
    }
    /// The log of what it was told and decided, if it keeps one: [`crate::replay::Recorded`] does.
    fn log(&self) -> &[u8] {
        &[]
    }
    /// Memory in bytes that the policy itself takes.
    fn footprint(&self) -> usize;
    /// What it is called in logs.
    fn name(&self) -> &'static str;
}

impl<P: Policy + ?Sized> Policy for Box<P> {
    fn apply_to(&mut self, event: Event, victims: &mut Vec<Id>) -> Verdict {
        (**self).apply_to(event, victims)
    }
    fn used(&self) -> u64 {
        (**self).used()
    }
    fn limit(&self) -> u64 {
        (**self).limit()
    }
    fn len(&self) -> usize {
        (**self).len()
    }
    fn standing(&self, id: Id) -> Option<Standing> {
        (**self).standing(id)
    }
    fn digest(&self) -> u64 {
        (**self).digest()
    }
    fn snapshot(&self) -> Option<Vec<u8>> {
        (**self).snapshot()
    }
    fn reserve(&mut self, objects: usize) {
        (**self).reserve(objects);
    }
    fn restore(&mut self, snapshot: &[u8]) -> Result<(), RestoreError> {
        (**self).restore(snapshot)
    }
    fn survival(&self, segment: u32) -> Option<u32> {
        (**self).survival(segment)
    }
    fn log(&self) -> &[u8] {
        (**self).log()
    }
    fn footprint(&self) -> usize {
        (**self).footprint()
    }
    fn name(&self) -> &'static str {
        (**self).name()
    }
}

/// Who goes next. The engine keeps the books; an order keeps its queues in the [`Arena`].
///
/// # Contract
///
/// - After `insert` an object can become a victim; after `remove` it cannot until it is inserted again.
/// - `victim` names a linked object whenever there is one, in a number of steps that does not grow with how many there are,
///   amortised over insertions.
/// - Everything is a function of the calls so far.
pub trait Order: Send {
    /// What the order remembers of each object.
    type Mark: Copy + Default + Send;

    /// Whether an object that would need room may be stored at all. Asked once a reservation.
    fn admit(&mut self, id: Id, traits: &Traits, full: bool) -> bool;
    /// An object became resident, or is no longer pinned.
    fn insert(&mut self, arena: &mut Arena<Self::Mark>, slot: Slot);
    /// A resident object was asked for.
    fn touch(&mut self, arena: &mut Arena<Self::Mark>, slot: Slot);
    /// The next victim. It may move others first.
    fn victim(&mut self, arena: &mut Arena<Self::Mark>) -> Option<Slot>;
    /// An object leaves; `evicted` when because it was the victim.
    fn remove(&mut self, arena: &mut Arena<Self::Mark>, slot: Slot, evicted: bool);
    /// How far an object is from eviction.
    fn distance(&self, arena: &Arena<Self::Mark>, slot: Slot) -> u64;
    /// From now on [`Order::admit`] is to refuse what is hardly worth the write, or is not. An order need not.
    fn set_admission(&mut self, _on: bool) {}
    /// The arrival of an object, which counted as a request when it was inserted, was none.
    fn unlearn(&mut self, _traits: &Traits) {}
    /// How many requests there were for this place in a line, if the order counts them.
    fn survival(&self, _segment: u32) -> Option<u32> {
        None
    }
    /// Appends to `out` all that [`Order::load`] needs, with every queued object by [`Arena::write`]. `false` when this order cannot.
    fn save(&self, _arena: &Arena<Self::Mark>, _out: &mut Vec<u8>) -> bool {
        false
    }
    /// Reads into a new order what [`Order::save`] wrote, and `bytes` past it. `None` when it is something else.
    fn load(&mut self, _arena: &mut Arena<Self::Mark>, _bytes: &mut &[u8]) -> Option<()> {
        None
    }
    /// Memory beyond the arena, in bytes.
    fn footprint(&self) -> usize;
    /// What it is called in logs.
    fn name(&self) -> &'static str;
}

/// The books of a policy: `used` is the sum of what is resident and reserved, and never above the limit.
#[derive(Debug)]
pub struct Engine<O: Order> {
    arena: Arena<O::Mark>,
    order: O,
    used: u64,
    limit: u64,
    digest: u64,
    /// Asked for in vain last, so that a reservation that follows need not look again.
    absent: Option<Id>,
}

impl<O: Order> Engine<O> {
    /// An empty cache of at most `limit` bytes.
    pub fn with_order(limit: u64, order: O) -> Self {
        Self { arena: Arena::new(), order, used: 0, limit, digest: 0, absent: None }
    }

    /// Evicts until `size` more bytes fit.
    #[inline]
    fn make_room(&mut self, size: u64, victims: &mut Vec<Id>) -> bool {
        while self.used.saturating_add(size) > self.limit {
            if !self.evict_one(victims) {
                return false;
            }
        }
        true
    }

    #[inline]
    fn evict_one(&mut self, victims: &mut Vec<Id>) -> bool {
        let Some(slot) = self.order.victim(&mut self.arena) else { return false };
        self.order.remove(&mut self.arena, slot, true);
        victims.push(self.arena.id(slot));
        self.used -= self.arena.release(slot);
        true
    }

    #[inline]
    fn room(&mut self, id: Id, size: u64, traits: &Traits, victims: &mut Vec<Id>) -> Verdict {
        if size > self.limit {
            return Verdict::TooLarge;
        }
        let full = self.used.saturating_add(size) > self.limit;
        if !self.order.admit(id, traits, full) {
            return Verdict::Bypass;
        }
        // What is reserved or pinned cannot go; when only that is left, the answer is no.
        if self.make_room(size, victims) { Verdict::Granted } else { Verdict::Bypass }
    }

    #[inline]
    fn reserve(&mut self, id: Id, size: u64, traits: Traits, victims: &mut Vec<Id>) -> Verdict {
        if self.absent.take() != Some(id) && self.arena.find(id).is_some() {
            return Verdict::Ignored;
        }
        let verdict = self.room(id, size, &traits, victims);
        if verdict == Verdict::Granted {
            self.arena.insert(id, size, traits);
            self.used += size;
        }
        verdict
    }

    fn grow(&mut self, id: Id, size: u64, victims: &mut Vec<Id>) -> Verdict {
        let Some(slot) = self.arena.find_lately(id).filter(|slot| self.arena.state(*slot) == State::Reserved) else {
            return Verdict::Ignored;
        };
        let more = size.saturating_sub(self.arena.size(slot));
        if size > self.limit {
            return Verdict::TooLarge;
        }
        if !self.make_room(more, victims) {
            return Verdict::Bypass;
        }
        self.arena.resize(slot, size.max(self.arena.size(slot)));
        self.used += more;
        Verdict::Granted
    }

    #[inline]
    fn commit(&mut self, id: Id, size: u64, victims: &mut Vec<Id>) -> Verdict {
        let Some(slot) = self.arena.find_lately(id).filter(|slot| self.arena.state(*slot) == State::Reserved) else {
            return Verdict::Ignored;
        };
        let reserved = self.arena.size(slot);
        if size > reserved {
            // More bytes than were reserved were never written by a well-behaved caller. They are not admitted unpaid.
            return Verdict::Ignored;
        }
        self.used -= reserved - size;
        self.arena.resize(slot, size);
        self.arena.set_state(slot, State::Resident);
        self.order.insert(&mut self.arena, slot);
        self.settle(victims)
    }

    /// What could not go when the limit was lowered goes as soon as it can.
    #[inline]
    fn settle(&mut self, victims: &mut Vec<Id>) -> Verdict {
        self.shrink(self.used.saturating_sub(self.limit), victims);
        Verdict::Granted
    }

    fn leave(&mut self, id: Id, from_reserved: bool) -> Verdict {
        let Some(slot) = self.arena.find(id) else { return Verdict::Ignored };
        let state = self.arena.state(slot);
        if from_reserved != (state == State::Reserved) {
            return Verdict::Ignored;
        }
        if state == State::Resident {
            self.order.remove(&mut self.arena, slot, false);
        }
        self.used -= self.arena.release(slot);
        Verdict::Granted
    }

    fn pin(&mut self, id: Id, from: State, to: State, victims: &mut Vec<Id>) -> Verdict {
        let Some(slot) = self.arena.find(id).filter(|slot| self.arena.state(*slot) == from) else {
            return Verdict::Ignored;
        };
        if from == State::Resident {
            self.order.remove(&mut self.arena, slot, false);
        }
        self.arena.set_state(slot, to);
        if to == State::Resident {
            self.order.insert(&mut self.arena, slot);
        }
        self.settle(victims)
    }

    fn shrink(&mut self, bytes: u64, victims: &mut Vec<Id>) -> Verdict {
        let goal = self.used.saturating_sub(bytes);
        while self.used > goal && self.evict_one(victims) {}
        if self.used > goal { Verdict::Bypass } else { Verdict::Granted }
    }

    #[inline(always)]
    fn decide(&mut self, event: Event, victims: &mut Vec<Id>) -> Verdict {
        match event {
            Event::Hit { id } => {
                let Some(slot) = self.arena.find(id) else {
                    self.absent = Some(id);
                    return Verdict::Ignored;
                };
                self.arena.count_hit(slot);
                if self.arena.state(slot) == State::Resident {
                    self.order.touch(&mut self.arena, slot);
                }
                Verdict::Granted
            }
            Event::Room { id, size, traits } => self.room(id, size, &traits, victims),
            Event::Reserve { id, size, traits } => self.reserve(id, size, traits, victims),
            Event::Grow { id, size } => self.grow(id, size, victims),
            Event::Commit { id, size } => self.commit(id, size, victims),
            Event::Abort { id } => self.leave(id, true),
            Event::Remove { id } => self.leave(id, false),
            Event::Pin { id } => self.pin(id, State::Resident, State::Pinned, victims),
            Event::Unpin { id } => self.pin(id, State::Pinned, State::Resident, victims),
            Event::Shrink { bytes } => self.shrink(bytes, victims),
            Event::SetLimit { limit } => {
                self.limit = limit;
                self.shrink(self.used.saturating_sub(limit), victims)
            }
            Event::SetAdmission { on } => {
                self.order.set_admission(on);
                Verdict::Granted
            }
            Event::Guess { id } => {
                let resident = self.arena.find_lately(id).filter(|slot| self.arena.state(*slot) == State::Resident);
                let Some(slot) = resident else { return Verdict::Ignored };
                self.order.unlearn(&self.arena.traits(slot));
                Verdict::Granted
            }
        }
    }
}

impl<O: Order> Policy for Engine<O> {
    /// Always inlined, so that a caller that writes the event's kind down pays for that kind alone.
    #[inline(always)]
    fn apply_to(&mut self, event: Event, victims: &mut Vec<Id>) -> Verdict {
        let before = victims.len();
        let verdict = self.decide(event, victims);
        let (kind, id, number) = event.words();
        let mut digest = snapshot::mix(self.digest, id ^ kind << 56 ^ (verdict as u64) << 48 ^ number.rotate_left(24));
        for victim in &victims[before..] {
            digest = snapshot::mix(digest, victim.0);
        }
        self.digest = digest;
        verdict
    }

    fn used(&self) -> u64 {
        self.used
    }

    fn limit(&self) -> u64 {
        self.limit
    }

    fn len(&self) -> usize {
        self.arena.len()
    }

    fn standing(&self, id: Id) -> Option<Standing> {
        let slot = self.arena.find(id)?;
        let state = self.arena.state(slot);
        Some(Standing {
            size: self.arena.size(slot),
            hits: self.arena.hits(slot),
            distance: if state == State::Resident { self.order.distance(&self.arena, slot) } else { u64::MAX },
            pinned: state == State::Pinned,
            reserved: state == State::Reserved,
        })
    }

    fn digest(&self) -> u64 {
        self.digest
    }

    fn snapshot(&self) -> Option<Vec<u8>> {
        snapshot::take(self)
    }

    fn reserve(&mut self, objects: usize) {
        self.arena.reserve(objects);
    }

    fn restore(&mut self, snapshot: &[u8]) -> Result<(), RestoreError> {
        snapshot::restore(self, snapshot)
    }

    fn survival(&self, segment: u32) -> Option<u32> {
        self.order.survival(segment)
    }

    fn footprint(&self) -> usize {
        self.arena.footprint() + self.order.footprint()
    }

    fn name(&self) -> &'static str {
        self.order.name()
    }
}
