//! What goes when the cache is full: `apply(event) → actions`, pure and replayable.
//!
//! No I/O, no clock, no chance, no floating point. Equal configurations and equal events give equal answers on every machine,
//! which [`crate::replay`] checks with a digest.
//!
//! [`Engine`] keeps the books: who is resident, who is reserved, how many bytes that is, and that it is never more than the limit.
//! An [`Order`] says only who goes next. Three come with the crate: [`ValueWheel`], [`Lru`] and [`S3Fifo`]; your own is a type with
//! four methods.

mod arena;
mod lru;
mod s3fifo;
mod table;
mod wheel;

pub use arena::{Arena, List, Slot};
pub use lru::Recency;
pub use s3fifo::{Mark as QueueMark, TwoQueues};
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
}

/// What follows from an event.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Actions {
    /// Whether what was asked is granted.
    pub verdict: Verdict,
    /// Who was evicted, in order. They are out of the books already.
    pub victims: Vec<Id>,
}

impl Actions {
    fn granted(self) -> Self {
        Self { verdict: Verdict::Granted, ..self }
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
    /// Takes note of `event` and says what follows.
    fn apply(&mut self, event: Event) -> Actions;
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
    /// Memory in bytes that the policy itself takes.
    fn footprint(&self) -> usize;
    /// What it is called in logs.
    fn name(&self) -> &'static str;
}

impl<P: Policy + ?Sized> Policy for Box<P> {
    fn apply(&mut self, event: Event) -> Actions {
        (**self).apply(event)
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
}

impl<O: Order> Engine<O> {
    /// An empty cache of at most `limit` bytes.
    pub fn with_order(limit: u64, order: O) -> Self {
        Self { arena: Arena::new(), order, used: 0, limit }
    }

    /// Evicts until `size` more bytes fit.
    fn make_room(&mut self, size: u64, victims: &mut Vec<Id>) -> bool {
        while self.used.saturating_add(size) > self.limit {
            if !self.evict_one(victims) {
                return false;
            }
        }
        true
    }

    fn evict_one(&mut self, victims: &mut Vec<Id>) -> bool {
        let Some(slot) = self.order.victim(&mut self.arena) else { return false };
        self.order.remove(&mut self.arena, slot, true);
        victims.push(self.arena.id(slot));
        self.used -= self.arena.release(slot);
        true
    }

    fn room(&mut self, id: Id, size: u64, traits: &Traits) -> Actions {
        if size > self.limit {
            return Actions { verdict: Verdict::TooLarge, ..Actions::default() };
        }
        let full = self.used.saturating_add(size) > self.limit;
        if !self.order.admit(id, traits, full) {
            return Actions { verdict: Verdict::Bypass, ..Actions::default() };
        }
        let mut victims = Vec::new();
        // What is reserved or pinned cannot go; when only that is left, the answer is no.
        let granted = self.make_room(size, &mut victims);
        Actions { verdict: if granted { Verdict::Granted } else { Verdict::Bypass }, victims }
    }

    fn reserve(&mut self, id: Id, size: u64, traits: Traits) -> Actions {
        if self.arena.find(id).is_some() {
            return ignored();
        }
        let actions = self.room(id, size, &traits);
        if actions.verdict == Verdict::Granted {
            self.arena.insert(id, size, traits);
            self.used += size;
        }
        actions
    }

    fn grow(&mut self, id: Id, size: u64) -> Actions {
        let Some(slot) = self.arena.find(id).filter(|slot| self.arena.state(*slot) == State::Reserved) else {
            return ignored();
        };
        let more = size.saturating_sub(self.arena.size(slot));
        if size > self.limit {
            return Actions { verdict: Verdict::TooLarge, ..Actions::default() };
        }
        let mut victims = Vec::new();
        if !self.make_room(more, &mut victims) {
            return Actions { verdict: Verdict::Bypass, victims };
        }
        self.arena.resize(slot, size.max(self.arena.size(slot)));
        self.used += more;
        Actions { verdict: Verdict::Granted, victims }
    }

    fn commit(&mut self, id: Id, size: u64) -> Actions {
        let Some(slot) = self.arena.find(id).filter(|slot| self.arena.state(*slot) == State::Reserved) else {
            return ignored();
        };
        let reserved = self.arena.size(slot);
        if size > reserved {
            // More bytes than were reserved were never written by a well-behaved caller. They are not admitted unpaid.
            return ignored();
        }
        self.used -= reserved - size;
        self.arena.resize(slot, size);
        self.arena.set_state(slot, State::Resident);
        self.order.insert(&mut self.arena, slot);
        self.settle()
    }

    /// What could not go when the limit was lowered goes as soon as it can.
    fn settle(&mut self) -> Actions {
        self.shrink(self.used.saturating_sub(self.limit)).granted()
    }

    fn leave(&mut self, id: Id, from_reserved: bool) -> Actions {
        let Some(slot) = self.arena.find(id) else { return ignored() };
        let state = self.arena.state(slot);
        if from_reserved != (state == State::Reserved) {
            return ignored();
        }
        if state == State::Resident {
            self.order.remove(&mut self.arena, slot, false);
        }
        self.used -= self.arena.release(slot);
        Actions::default()
    }

    fn pin(&mut self, id: Id, from: State, to: State) -> Actions {
        let Some(slot) = self.arena.find(id).filter(|slot| self.arena.state(*slot) == from) else { return ignored() };
        if from == State::Resident {
            self.order.remove(&mut self.arena, slot, false);
        }
        self.arena.set_state(slot, to);
        if to == State::Resident {
            self.order.insert(&mut self.arena, slot);
        }
        self.settle()
    }

    fn shrink(&mut self, bytes: u64) -> Actions {
        let mut victims = Vec::new();
        let goal = self.used.saturating_sub(bytes);
        while self.used > goal && self.evict_one(&mut victims) {}
        Actions { verdict: if self.used > goal { Verdict::Bypass } else { Verdict::Granted }, victims }
    }
}

impl<O: Order> Policy for Engine<O> {
    fn apply(&mut self, event: Event) -> Actions {
        match event {
            Event::Hit { id } => {
                let Some(slot) = self.arena.find(id) else { return ignored() };
                self.arena.count_hit(slot);
                if self.arena.state(slot) == State::Resident {
                    self.order.touch(&mut self.arena, slot);
                }
                Actions::default()
            }
            Event::Room { id, size, traits } => self.room(id, size, &traits),
            Event::Reserve { id, size, traits } => self.reserve(id, size, traits),
            Event::Grow { id, size } => self.grow(id, size),
            Event::Commit { id, size } => self.commit(id, size),
            Event::Abort { id } => self.leave(id, true),
            Event::Remove { id } => self.leave(id, false),
            Event::Pin { id } => self.pin(id, State::Resident, State::Pinned),
            Event::Unpin { id } => self.pin(id, State::Pinned, State::Resident),
            Event::Shrink { bytes } => self.shrink(bytes),
            Event::SetLimit { limit } => {
                self.limit = limit;
                self.shrink(self.used.saturating_sub(limit))
            }
        }
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

    fn footprint(&self) -> usize {
        self.arena.footprint() + self.order.footprint()
    }

    fn name(&self) -> &'static str {
        self.order.name()
    }
}

fn ignored() -> Actions {
    Actions { verdict: Verdict::Ignored, ..Actions::default() }
}
