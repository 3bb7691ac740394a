//! Key → entry, in as few bytes as it takes.
//!
//! A large edge keeps millions of entries and reads few of them at a time, so an entry is 72 bytes of numbers: the asset, and the
//! parts of the name that many share, are told by number ([`names`]), tag and media type stand in the file's footer and are read when
//! it is opened, and what only matters while a body is open or in RAM stands aside ([`live`]).
//!
//! Entries are found by the upper bits of their id, which also choose the folder of their file, so that one folder's entries stand
//! together. They are linked by number into their bucket and into their asset.

mod live;
mod names;

pub(crate) use live::{Live, Open};

use std::fs::File;
use std::sync::Arc;

use bytes::Bytes;

use self::live::Lives;
use self::names::{Groups, Names, Place};
use crate::files::FileName;
use crate::fill::Meta;
use crate::key::{Class, Generation, KeyMeta, KeyRef};
use crate::policy::Id;

/// All stored bodies, by the number of their key, by folder, and by asset.
#[derive(Debug)]
pub(crate) struct Index {
    nodes: Vec<Node>,
    free: u32,
    len: usize,
    heads: Vec<u32>,
    groups: Groups,
    names: Names,
    lives: Lives,
}

/// The place of one entry.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Slot(u32);

/// A body that comes into the index.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stored<'a> {
    pub(crate) key: KeyRef<'a>,
    pub(crate) id: Id,
    pub(crate) key_meta: KeyMeta,
    pub(crate) len: u64,
    /// Bytes on disk, in whole blocks.
    pub(crate) charge: u64,
    pub(crate) generation: Generation,
    pub(crate) checked_ms: u64,
    pub(crate) hits: u32,
    /// Whether its bytes were checked since the process started, or written by it.
    pub(crate) verified: bool,
    /// Whether it was fetched on a guess and nobody has asked for it since.
    pub(crate) ahead: bool,
}

/// A body that has left the index. Dropping it may close and unmap a file, so it is done outside the lock.
#[derive(Debug)]
pub(crate) struct Removed {
    pub(crate) id: Id,
    pub(crate) name: FileName,
    pub(crate) charge: u64,
    pub(crate) ahead: bool,
    pub(crate) live: Option<Live>,
}

/// One entry.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Node {
    id: u64,
    len: u64,
    generation: u64,
    pub(crate) checked_ms: u64,
    place: Place,
    group: u32,
    segment: u32,
    pub(crate) hits: u32,
    live: u32,
    /// The next in the bucket, or the next free node.
    chain: u32,
    next: u32,
    prev: u32,
    /// Blocks on disk beyond those of the body.
    blocks_over: u16,
    tier: u8,
    flags: u8,
}

impl Node {
    pub(crate) const fn id(&self) -> Id {
        Id(self.id)
    }

    pub(crate) const fn len(&self) -> u64 {
        self.len
    }

    pub(crate) const fn generation(&self) -> Generation {
        Generation(self.generation)
    }

    /// Bytes on disk.
    pub(crate) const fn charge(&self) -> u64 {
        (self.len.div_ceil(BLOCK_BYTES) + self.blocks_over as u64) * BLOCK_BYTES
    }

    pub(crate) fn key_meta(&self) -> KeyMeta {
        KeyMeta {
            class: Class::from_number(self.flags & CLASS).unwrap_or(Class::Tail),
            tier: self.is(HAS_TIER).then_some(self.tier),
            segment: (self.segment != NONE).then_some(self.segment),
            immutable: self.is(IMMUTABLE),
        }
    }

    pub(crate) const fn is_verified(&self) -> bool {
        self.is(VERIFIED)
    }

    pub(crate) const fn set_verified(&mut self) {
        self.flags |= VERIFIED;
    }

    /// Says whether it was a guess that nobody had asked for, and that now somebody has.
    pub(crate) const fn take_ahead(&mut self) -> bool {
        let was = self.is(AHEAD);
        self.flags &= !AHEAD;
        was
    }

    const fn is(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }
}

impl Default for Index {
    fn default() -> Self {
        Self {
            nodes: Vec::new(),
            free: NONE,
            len: 0,
            heads: vec![NONE; 1 << BUCKET_BITS_MIN],
            groups: Groups::default(),
            names: Names::default(),
            lives: Lives::default(),
        }
    }
}

impl Index {
    /// Makes room for so many more entries at once, which a start knows beforehand.
    pub(crate) fn reserve(&mut self, more: usize) {
        self.nodes.reserve_exact(more);
        let buckets = (self.len + more).next_power_of_two();
        if buckets > self.heads.len() {
            self.rebuild(buckets);
        }
    }

    pub(crate) fn find(&self, key: KeyRef<'_>, id: Id) -> Option<Slot> {
        let slot = self.by_id(id)?;
        let node = self.at(slot);
        let same = self.groups.bytes(node.group) == key.group && self.names.is(node.place, key.name);
        same.then_some(slot)
    }

    pub(crate) fn by_id(&self, id: Id) -> Option<Slot> {
        let mut at = self.heads[self.bucket(id.0)];
        while at != NONE {
            let node = &self.nodes[at as usize];
            if node.id == id.0 {
                return Some(Slot(at));
            }
            at = node.chain;
        }
        None
    }

    pub(crate) fn at(&self, slot: Slot) -> &Node {
        &self.nodes[slot.0 as usize]
    }

    pub(crate) fn at_mut(&mut self, slot: Slot) -> &mut Node {
        &mut self.nodes[slot.0 as usize]
    }

    /// The id must be free.
    pub(crate) fn insert(&mut self, stored: &Stored<'_>) -> Slot {
        let Stored { key, id, key_meta, len, charge, generation, checked_ms, hits, verified, ahead } = *stored;
        let over = (charge / BLOCK_BYTES).saturating_sub(len.div_ceil(BLOCK_BYTES));
        let group = self.groups.take(key.group);
        let (head, flag) = (self.groups.head(group), |is: bool, flag: u8| if is { flag } else { 0 });
        let flags = key_meta.class as u8
            | flag(key_meta.immutable, IMMUTABLE)
            | flag(key_meta.tier.is_some(), HAS_TIER)
            | flag(verified, VERIFIED)
            | flag(ahead, AHEAD)
            | TAKEN;
        let node = Node {
            id: id.0,
            len,
            generation: generation.0,
            checked_ms,
            place: self.names.take(key.name),
            group,
            segment: key_meta.segment.unwrap_or(NONE),
            hits,
            live: NONE,
            chain: NONE,
            next: head,
            prev: NONE,
            // A body with so many checksums is refused before it is written.
            blocks_over: u16::try_from(over).unwrap_or(u16::MAX),
            tier: key_meta.tier.unwrap_or(0),
            flags,
        };
        let slot = match self.free {
            NONE => {
                if self.nodes.len() == self.nodes.capacity() {
                    // By an eighth, not by doubling: memory is a promise, and the system moves large blocks by their pages.
                    self.nodes.reserve_exact(self.nodes.len() / 8 + 64);
                }
                self.nodes.push(node);
                u32::try_from(self.nodes.len() - 1).unwrap_or(NONE)
            }
            slot => {
                self.free = self.nodes[slot as usize].chain;
                self.nodes[slot as usize] = node;
                slot
            }
        };
        if head != NONE {
            self.nodes[head as usize].prev = slot;
        }
        self.groups.set_head(group, slot);
        self.len += 1;
        if self.len > self.heads.len() {
            self.rebuild(self.heads.len() * 2);
        } else {
            self.chain(slot);
        }
        Slot(slot)
    }

    pub(crate) fn remove(&mut self, slot: Slot) -> Removed {
        let name = self.file_name(slot);
        let node = self.nodes[slot.0 as usize];
        self.unchain(slot.0);
        match node.prev {
            NONE => self.groups.set_head(node.group, node.next),
            prev => self.nodes[prev as usize].next = node.next,
        }
        if node.next != NONE {
            self.nodes[node.next as usize].prev = node.prev;
        }
        self.groups.leave(node.group);
        self.names.leave(node.place);
        let live = self.lives.remove(node.live);
        let gone = &mut self.nodes[slot.0 as usize];
        (gone.flags, gone.chain, gone.live) = (0, self.free, NONE);
        self.free = slot.0;
        self.len -= 1;
        Removed { id: node.id(), name, charge: node.charge(), ahead: node.is(AHEAD), live }
    }

    /// The name of its file.
    pub(crate) fn file_name(&self, slot: Slot) -> FileName {
        let node = self.at(slot);
        let hash = self.names.hash(node.place, &self.groups.bytes(node.group));
        FileName { hash, len: node.len, generation: node.generation() }
    }

    pub(crate) fn group_of(&self, slot: Slot) -> [u8; 16] {
        self.groups.bytes(self.at(slot).group)
    }

    /// Puts its name below the asset in the place of what is in `name`.
    pub(crate) fn name_into(&self, slot: Slot, name: &mut String) {
        name.clear();
        self.names.write(self.at(slot).place, name);
    }

    #[cfg(test)]
    fn key(&self, slot: Slot) -> crate::key::Key {
        let mut name = String::new();
        self.name_into(slot, &mut name);
        crate::key::Key::new(self.group_of(slot), &name)
    }

    /// The entries of one asset.
    pub(crate) fn group(&self, group: [u8; 16]) -> impl Iterator<Item = Slot> {
        let first = self.groups.find(group).map_or(NONE, |group| self.groups.head(group));
        std::iter::successors(slot(first), |at| slot(self.at(*at).next))
    }

    /// The entries among the `max` places from `from` on. `None` when there is no place any more.
    pub(crate) fn page(&self, from: usize, max: usize) -> Option<impl Iterator<Item = &Node>> {
        let page = self.nodes.get(from..).filter(|rest| !rest.is_empty())?;
        Some(page[..max.min(page.len())].iter().filter(|node| node.is(TAKEN)))
    }

    /// The entries whose files stand in one folder.
    pub(crate) fn leaf(&self, leaf: u16) -> impl Iterator<Item = Slot> {
        let first = self.bucket(u64::from(leaf) << 48);
        let last = self.bucket(u64::from(leaf) << 48 | (u64::MAX >> 16));
        let chain = |head: u32| std::iter::successors(slot(head), |at| slot(self.at(*at).chain));
        let slots = self.heads[first..=last].iter().flat_map(move |head| chain(*head));
        slots.filter(move |slot| (self.at(*slot).id >> 48) as u16 == leaf)
    }

    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn open_len(&self) -> usize {
        self.lives.open_len()
    }

    /// What is known of it beyond its numbers, if it was read lately.
    pub(crate) fn live(&self, slot: Slot) -> Option<&Live> {
        self.lives.get(self.at(slot).live)
    }

    pub(crate) fn live_mut(&mut self, slot: Slot) -> Option<&mut Live> {
        self.lives.get_mut(self.nodes[slot.0 as usize].live)
    }

    /// Notes what its footer says, now that it is read.
    pub(crate) fn enliven(&mut self, slot: Slot, meta: Meta) -> &mut Live {
        // A little of what nobody uses any more goes each time, so that it never piles up.
        let nodes = &mut self.nodes;
        self.lives.sweep(|slot| nodes[slot.0 as usize].live = NONE);
        let live = &mut nodes[slot.0 as usize].live;
        if *live == NONE {
            *live = self.lives.add(Live::new(slot, Arc::new(meta)));
        }
        let live = *live;
        self.lives.get_mut(live).unwrap_or_else(|| unreachable!("it was just put there"))
    }

    /// Keeps a file open, and closes those opened longest ago beyond `max`.
    pub(crate) fn keep_open(&mut self, slot: Slot, body: Bytes, file: Option<Arc<File>>, max: usize) -> Vec<Open> {
        self.lives.keep_open(self.at(slot).live, body, file, max)
    }

    /// Closes every file that is held open.
    pub(crate) fn close_all(&mut self) -> Vec<Open> {
        self.lives.close_all()
    }

    fn bucket(&self, id: u64) -> usize {
        (id >> (64 - self.heads.len().trailing_zeros())) as usize
    }

    fn chain(&mut self, slot: u32) {
        let bucket = self.bucket(self.nodes[slot as usize].id);
        self.nodes[slot as usize].chain = std::mem::replace(&mut self.heads[bucket], slot);
    }

    fn unchain(&mut self, slot: u32) {
        let (bucket, after) = (self.bucket(self.nodes[slot as usize].id), self.nodes[slot as usize].chain);
        let mut at = self.heads[bucket];
        if at == slot {
            self.heads[bucket] = after;
            return;
        }
        while at != NONE {
            let next = self.nodes[at as usize].chain;
            if next == slot {
                self.nodes[at as usize].chain = after;
                return;
            }
            at = next;
        }
    }

    fn rebuild(&mut self, buckets: usize) {
        self.heads = vec![NONE; buckets];
        for slot in 0..u32::try_from(self.nodes.len()).unwrap_or(NONE) {
            if self.nodes[slot as usize].is(TAKEN) {
                self.chain(slot);
            }
        }
    }
}

impl Removed {
    pub(crate) fn leaf(&self) -> u16 {
        self.name.leaf()
    }
}

const fn slot(at: u32) -> Option<Slot> {
    if at == NONE { None } else { Some(Slot(at)) }
}

const NONE: u32 = u32::MAX;
const BLOCK_BYTES: u64 = crate::budget::BLOCK_BYTES;
const BUCKET_BITS_MIN: u32 = 8;
const CLASS: u8 = 0b11;
const IMMUTABLE: u8 = 1 << 2;
const HAS_TIER: u8 = 1 << 3;
const VERIFIED: u8 = 1 << 4;
const AHEAD: u8 = 1 << 5;
const TAKEN: u8 = 1 << 6;

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use proptest::prelude::*;

    use super::*;
    use crate::key::{Key, id_of};

    fn stored<'a>(key: &'a Key, generation: u64, len: u64) -> Stored<'a> {
        Stored {
            key: key.borrowed(),
            id: key.id(),
            key_meta: KeyMeta::segment(7, Some(255)),
            len,
            charge: crate::budget::charge(len + 150),
            generation: Generation(generation),
            checked_ms: 9,
            hits: 0,
            verified: false,
            ahead: true,
        }
    }

    fn key(n: usize) -> Key {
        let names = ["hls/720p/segment_", "opener", "a/007/b", ""];
        let name = match n % 4 {
            0 => format!("{}{:05}.m4s", names[0], n / 4),
            1 => format!("{}{}", names[1], n / 4),
            2 => format!("{}{:03}", names[2], n / 4 % 500),
            _ => names[3].into(),
        };
        Key::new([(n % 5) as u8; 16], &name)
    }

    proptest! {
        /// Found is what was inserted and not removed; assets, folders and pages name exactly that.
        #[test]
        fn an_index_answers_like_a_map(ops in proptest::collection::vec((any::<bool>(), 0_usize..600), 0..900)) {
            let (mut index, mut model) = (Index::default(), BTreeMap::new());
            for (n, (add, which)) in ops.into_iter().enumerate() {
                let key = key(which);
                match index.find(key.borrowed(), key.id()) {
                    None if add => {
                        index.insert(&stored(&key, n as u64, n as u64 * 1000));
                        model.insert(key, n as u64);
                    }
                    Some(slot) if !add => {
                        let gone = index.remove(slot);
                        prop_assert_eq!(gone.name.hash, key.hash());
                        prop_assert_eq!(Some(gone.name.generation.0), model.remove(&key));
                        prop_assert!(gone.ahead && gone.live.is_none());
                    }
                    found => prop_assert_eq!(found.is_some(), model.contains_key(&key)),
                }
            }
            prop_assert_eq!(index.len(), model.len());
            for (key, n) in &model {
                let slot = index.find(key.borrowed(), key.id()).unwrap();
                let node = index.at(slot);
                prop_assert_eq!((&index.key(slot), node.generation().0, node.len()), (key, *n, n * 1000));
                prop_assert_eq!(node.charge(), crate::budget::charge(n * 1000 + 150));
                prop_assert_eq!(node.key_meta(), KeyMeta::segment(7, Some(255)));
                let leaf = index.file_name(slot).leaf();
                prop_assert!(index.leaf(leaf).any(|other| other == slot));
                prop_assert!(index.leaf(leaf).all(|other| index.file_name(other).leaf() == leaf));
            }
            for group in 0..5 {
                let is: BTreeSet<Key> = index.group([group; 16]).map(|slot| index.key(slot)).collect();
                let expect: BTreeSet<Key> = model.keys().filter(|key| key.group() == [group; 16]).cloned().collect();
                prop_assert_eq!(is, expect);
            }
            let (mut from, mut seen) = (0, 0);
            while let Some(page) = index.page(from, 7) {
                seen += page.count();
                from += 7;
            }
            prop_assert_eq!(seen, model.len());
        }
    }

    #[test]
    fn an_entry_is_seventy_two_bytes() {
        assert_eq!(size_of::<Node>(), 72);
    }

    #[test]
    fn what_was_read_is_remembered_while_somebody_uses_it_and_forgotten_later() {
        let mut index = Index::default();
        let meta = Meta { len: 0, etag: "\"e\"".into(), content_type: "x".into(), modified_ms: 0 };
        let keys: Vec<Key> = (0..40).map(|n| Key::new([0; 16], &n.to_string())).collect();
        let slots: Vec<Slot> = keys.iter().map(|key| index.insert(&stored(key, 1, 0))).collect();
        let held = Arc::clone(&index.enliven(slots[0], meta.clone()).revoked);
        for _ in 0..3 {
            for slot in &slots[1..] {
                index.enliven(*slot, meta.clone());
                assert!(index.live(*slot).is_some());
            }
        }
        let left = slots.iter().filter(|slot| index.live(**slot).is_some()).count();
        assert!(left < 20, "{left} of 40 are still remembered");
        assert!(index.live(slots[0]).is_some_and(|live| Arc::ptr_eq(&live.revoked, &held)), "somebody listens");
        // Files held open stay until closed.
        index.enliven(slots[5], meta.clone());
        index.keep_open(slots[5], Bytes::new(), None, 2);
        for slot in &slots[6..] {
            index.enliven(*slot, meta.clone());
        }
        assert!(index.live(slots[5]).is_some_and(|live| live.open.is_some()));
        assert_eq!((index.open_len(), index.close_all().len(), index.open_len()), (1, 1, 0));
    }

    #[test]
    fn a_name_of_its_own_costs_itself_and_is_forgotten_with_its_last_entry() {
        let mut index = Index::default();
        for round in 0..3 {
            let keys: Vec<Key> =
                (0..100).map(|n| Key::new([n; 16], &format!("r{round}/{}", "x".repeat(n.into())))).collect();
            let slots: Vec<Slot> = keys.iter().map(|key| index.insert(&stored(key, 1, 0))).collect();
            for (key, slot) in keys.iter().zip(slots) {
                assert_eq!(index.key(slot), *key);
                index.remove(slot);
            }
        }
        assert_eq!((index.len(), index.names.len(), index.groups.len()), (0, 0, 0));
        assert_eq!(index.nodes.len(), 100, "places are used again");
    }

    #[test]
    fn an_id_is_the_upper_half_of_the_hash_of_the_file() {
        let mut index = Index::default();
        let key = key(8);
        let slot = index.insert(&stored(&key, 1, 5));
        assert_eq!(id_of(index.file_name(slot).hash), key.id());
    }
}
