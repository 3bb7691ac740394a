//! The objects of a policy in one vector, linked into lists by number.

use super::table::Table;
use super::{Id, Traits};
use crate::footer::take;
use crate::key::Class;

/// The place of one object in its arena.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Slot(pub(crate) u32);

/// A queue of objects: its two ends. The links are in the objects.
#[derive(Clone, Copy, Debug)]
pub struct List {
    head: u32,
    tail: u32,
}

impl List {
    /// An empty queue.
    pub const fn new() -> Self {
        Self { head: NONE, tail: NONE }
    }

    /// The oldest object.
    pub const fn front(&self) -> Option<Slot> {
        if self.head == NONE { None } else { Some(Slot(self.head)) }
    }

    /// Whether nothing is queued.
    pub const fn is_empty(&self) -> bool {
        self.head == NONE
    }
}

impl Default for List {
    fn default() -> Self {
        Self::new()
    }
}

/// Every object that a policy knows, by slot and by id.
#[derive(Debug)]
pub struct Arena<M> {
    nodes: Vec<Node<M>>,
    table: Table,
    free: u32,
    len: usize,
    /// The object that came last: what is reserved is often committed next.
    last: u32,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
pub(crate) enum State {
    Reserved,
    Resident,
    Pinned,
    /// Nobody's: it waits for the next object.
    Free,
}

#[derive(Debug)]
struct Node<M> {
    id: u64,
    size: u64,
    line: u64,
    prev: u32,
    next: u32,
    segment: u32,
    hits: u16,
    class: Class,
    state: State,
    mark: M,
}

impl<M: Copy + Default> Arena<M> {
    pub(crate) fn new() -> Self {
        Self { nodes: Vec::new(), table: Table::default(), free: NONE, len: 0, last: NONE }
    }

    /// Makes room for so many more objects.
    pub(crate) fn reserve(&mut self, objects: usize) {
        self.nodes.reserve_exact(objects);
        self.table.reserve(objects, |slot| self.nodes[slot as usize].id);
    }

    /// Where the object `id` is, if it is here.
    #[inline]
    pub fn find(&self, id: Id) -> Option<Slot> {
        self.table.find(id.0, |slot| self.nodes[slot as usize].id).map(Slot)
    }

    /// The same, quicker when the object came last.
    #[inline]
    pub(crate) fn find_lately(&self, id: Id) -> Option<Slot> {
        let last = self.nodes.get(self.last as usize).filter(|node| node.id == id.0 && node.state != State::Free);
        if last.is_some() { Some(Slot(self.last)) } else { self.find(id) }
    }

    /// Its id.
    #[inline]
    pub fn id(&self, slot: Slot) -> Id {
        Id(self.node(slot).id)
    }

    /// Its size as charged, in bytes.
    #[inline]
    pub fn size(&self, slot: Slot) -> u64 {
        self.node(slot).size
    }

    /// What it is.
    #[inline]
    pub fn traits(&self, slot: Slot) -> Traits {
        let node = self.node(slot);
        Traits { class: node.class, line: node.line, segment: (node.segment != NONE).then_some(node.segment) }
    }

    /// How often it was asked for, up to 65,535.
    #[inline]
    pub fn hits(&self, slot: Slot) -> u32 {
        u32::from(self.node(slot).hits)
    }

    /// What the order remembers of it.
    #[inline]
    pub fn mark(&self, slot: Slot) -> &M {
        &self.node(slot).mark
    }

    /// What the order remembers of it, to change.
    #[inline]
    pub fn mark_mut(&mut self, slot: Slot) -> &mut M {
        &mut self.nodes[slot.0 as usize].mark
    }

    /// Appends `slot`, which is in no list.
    #[inline]
    pub fn push_back(&mut self, list: &mut List, slot: Slot) {
        let node = &mut self.nodes[slot.0 as usize];
        (node.prev, node.next) = (list.tail, NONE);
        match list.tail {
            NONE => list.head = slot.0,
            tail => self.nodes[tail as usize].next = slot.0,
        }
        list.tail = slot.0;
    }

    /// Takes `slot` out of the list it is in.
    #[inline]
    pub fn unlink(&mut self, list: &mut List, slot: Slot) {
        let (prev, next) = (self.node(slot).prev, self.node(slot).next);
        match prev {
            NONE => list.head = next,
            prev => self.nodes[prev as usize].next = next,
        }
        match next {
            NONE => list.tail = prev,
            next => self.nodes[next as usize].prev = prev,
        }
    }

    /// How many objects there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    #[inline]
    pub(crate) fn insert(&mut self, id: Id, size: u64, traits: Traits) -> Slot {
        let node = Node {
            id: id.0,
            size,
            line: traits.line,
            prev: NONE,
            next: NONE,
            segment: traits.segment.unwrap_or(NONE),
            hits: 0,
            class: traits.class,
            state: State::Reserved,
            mark: M::default(),
        };
        let slot = match self.free {
            NONE => {
                if self.nodes.len() == self.nodes.capacity() {
                    // By a quarter, not by doubling: the policy's memory is a promise, and it moves rarely either way.
                    self.nodes.reserve_exact(self.nodes.len() / 4 + 64);
                }
                self.nodes.push(node);
                u32::try_from(self.nodes.len() - 1).unwrap_or(NONE)
            }
            slot => {
                self.free = self.nodes[slot as usize].next;
                self.nodes[slot as usize] = node;
                slot
            }
        };
        self.table.insert(id.0, slot, |slot| self.nodes[slot as usize].id);
        self.len += 1;
        self.last = slot;
        Slot(slot)
    }

    /// Forgets the object, which is in no list, and says how many bytes it was charged.
    #[inline]
    pub(crate) fn release(&mut self, slot: Slot) -> u64 {
        let id = self.node(slot).id;
        self.table.remove(id, |slot| self.nodes[slot as usize].id);
        let node = &mut self.nodes[slot.0 as usize];
        node.next = self.free;
        node.state = State::Free;
        self.free = slot.0;
        self.len -= 1;
        node.size
    }

    #[inline]
    pub(crate) fn state(&self, slot: Slot) -> State {
        self.node(slot).state
    }

    #[inline]
    pub(crate) fn set_state(&mut self, slot: Slot, state: State) {
        self.nodes[slot.0 as usize].state = state;
    }

    #[inline]
    pub(crate) fn resize(&mut self, slot: Slot, size: u64) {
        self.nodes[slot.0 as usize].size = size;
    }

    #[inline]
    pub(crate) fn count_hit(&mut self, slot: Slot) {
        let hits = &mut self.nodes[slot.0 as usize].hits;
        *hits = hits.saturating_add(1);
    }

    /// The objects of a queue, oldest first.
    pub fn slots(&self, list: &List) -> impl Iterator<Item = Slot> {
        std::iter::successors(list.front(), |slot| match self.node(*slot).next {
            NONE => None,
            next => Some(Slot(next)),
        })
    }

    /// Objects that are in no queue: reserved or pinned.
    pub(crate) fn aside(&self) -> impl Iterator<Item = Slot> {
        let apart = |node: &Node<M>| matches!(node.state, State::Reserved | State::Pinned);
        (0..).zip(&self.nodes).filter(move |(_, node)| apart(node)).map(|(slot, _)| Slot(slot))
    }

    /// The sizes of all objects.
    pub(crate) fn sizes(&self) -> impl Iterator<Item = u64> {
        self.nodes.iter().filter(|node| node.state != State::Free).map(|node| node.size)
    }

    /// Writes an object down for [`Arena::read`], without its mark.
    pub fn write(&self, slot: Slot, out: &mut Vec<u8>) {
        let node = self.node(slot);
        for word in [node.id, node.size, node.line] {
            out.extend_from_slice(&word.to_le_bytes());
        }
        out.extend_from_slice(&node.segment.to_le_bytes());
        out.extend_from_slice(&node.hits.to_le_bytes());
        out.extend_from_slice(&[node.class as u8, node.state as u8]);
    }

    /// Takes an object in that [`Arena::write`] wrote down, and `bytes` past it. It is in no queue then. `None` when the bytes are no such
    /// object, or one that is here already.
    pub fn read(&mut self, bytes: &mut &[u8]) -> Option<Slot> {
        let (id, size, line) = (number(bytes)?, number(bytes)?, number(bytes)?);
        let segment = u32::from_le_bytes(take(bytes)?);
        let hits = u16::from_le_bytes(take(bytes)?);
        let [class, state] = take(bytes)?;
        let traits = Traits { class: Class::from_number(class)?, line, segment: (segment != NONE).then_some(segment) };
        let state =
            [State::Reserved, State::Resident, State::Pinned].into_iter().find(|known| *known as u8 == state)?;
        if self.find(Id(id)).is_some() {
            return None;
        }
        let slot = self.insert(Id(id), size, traits);
        let node = &mut self.nodes[slot.0 as usize];
        (node.hits, node.state) = (hits, state);
        Some(slot)
    }

    pub(crate) fn footprint(&self) -> usize {
        self.nodes.capacity() * size_of::<Node<M>>() + self.table.footprint()
    }

    #[inline]
    fn node(&self, slot: Slot) -> &Node<M> {
        &self.nodes[slot.0 as usize]
    }
}

/// The next eight bytes as a number.
pub(crate) fn number(bytes: &mut &[u8]) -> Option<u64> {
    take(bytes).map(u64::from_le_bytes)
}

const NONE: u32 = u32::MAX;
