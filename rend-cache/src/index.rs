//! Key → entry.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use bytes::Bytes;

use crate::files::FileName;
use crate::fill::Meta;
use crate::key::{Generation, Key, KeyMeta};
use crate::policy::Id;

/// A stored body.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) key: Key,
    pub(crate) key_meta: KeyMeta,
    pub(crate) meta: Arc<Meta>,
    pub(crate) name: FileName,
    pub(crate) charge: u64,
    pub(crate) checked_ms: u64,
    pub(crate) hits: u32,
    /// Whether its bytes were checked since the process started, or written by it.
    pub(crate) verified: bool,
    /// Whether it was fetched on a guess and nobody has asked for it since.
    pub(crate) ahead: bool,
    /// Heard by every hit that was handed out; there is none before the first.
    pub(crate) revoked: Option<Arc<AtomicBool>>,
    /// Held by each mapping of the file; what is unlinked counts until the last one is gone.
    /// There is none before the first mapping.
    pub(crate) alive: Option<Arc<()>>,
    pub(crate) open: Option<Box<Open>>,
    pub(crate) hot: Option<Bytes>,
}

/// A file that stays open between hits.
#[derive(Clone, Debug)]
pub(crate) struct Open {
    pub(crate) body: Bytes,
    pub(crate) file: Option<Arc<File>>,
    pub(crate) tick: u64,
}

impl Entry {
    pub(crate) const fn generation(&self) -> Generation {
        self.name.generation
    }
}

/// All stored bodies, by the number of their key, and by asset.
#[derive(Debug, Default)]
pub(crate) struct Index {
    // Boxed: half of what a tree keeps is empty room.
    entries: BTreeMap<Id, Box<Entry>>,
    groups: BTreeMap<[u8; 16], BTreeSet<Id>>,
    opened: BTreeMap<u64, Id>,
    ticks: u64,
}

impl Index {
    pub(crate) fn find(&mut self, key: &Key, id: Id) -> Option<&mut Entry> {
        self.entries.get_mut(&id).map(Box::as_mut).filter(|entry| entry.key == *key)
    }

    pub(crate) fn by_id(&mut self, id: Id) -> Option<&mut Entry> {
        self.entries.get_mut(&id).map(Box::as_mut)
    }

    pub(crate) fn get(&self, id: Id) -> Option<&Entry> {
        self.entries.get(&id).map(Box::as_ref)
    }

    /// The id must be free.
    pub(crate) fn insert(&mut self, id: Id, entry: Entry) {
        self.groups.entry(entry.key.group()).or_default().insert(id);
        self.entries.insert(id, Box::new(entry));
    }

    /// An index of all these at once, which takes a fraction of the time of inserting each.
    pub(crate) fn of(mut entries: Vec<(Id, Box<Entry>)>) -> Self {
        let mut groups: Vec<([u8; 16], Id)> = entries.iter().map(|(id, entry)| (entry.key.group(), *id)).collect();
        groups.sort_unstable();
        let groups = groups.chunk_by(|(one, _), (other, _)| one == other);
        let groups = groups.map(|ids| (ids[0].0, ids.iter().map(|(_, id)| *id).collect())).collect();
        entries.sort_unstable_by_key(|(id, _)| *id);
        Self { entries: entries.into_iter().collect(), groups, opened: BTreeMap::new(), ticks: 0 }
    }

    pub(crate) fn remove(&mut self, id: Id) -> Option<Entry> {
        let entry = *self.entries.remove(&id)?;
        if let Some(group) = self.groups.get_mut(&entry.key.group()) {
            group.remove(&id);
            if group.is_empty() {
                self.groups.remove(&entry.key.group());
            }
        }
        if let Some(open) = &entry.open {
            self.opened.remove(&open.tick);
        }
        Some(entry)
    }

    /// Keeps a file open, and closes those opened longest ago beyond `max`.
    pub(crate) fn keep_open(&mut self, id: Id, body: Bytes, file: Option<Arc<File>>, max: usize) -> Vec<Open> {
        let tick = self.ticks;
        let Some(entry) = self.entries.get_mut(&id) else { return Vec::new() };
        self.ticks += 1;
        let before = entry.open.replace(Box::new(Open { body, file, tick }));
        let mut closed: Vec<Open> = before.into_iter().map(|open| *open).collect();
        for open in &closed {
            self.opened.remove(&open.tick);
        }
        self.opened.insert(tick, id);
        while self.opened.len() > max {
            let Some((_, oldest)) = self.opened.pop_first() else { break };
            closed.extend(self.entries.get_mut(&oldest).and_then(|entry| entry.open.take()).map(|open| *open));
        }
        closed
    }

    /// Closes every file that is held open.
    pub(crate) fn close_all(&mut self) -> Vec<Open> {
        let opened = std::mem::take(&mut self.opened);
        opened.into_values().filter_map(|id| Some(*self.entries.get_mut(&id)?.open.take()?)).collect()
    }

    pub(crate) fn group(&self, group: [u8; 16]) -> impl Iterator<Item = (Id, &Entry)> {
        let ids = self.groups.get(&group).into_iter().flatten();
        ids.filter_map(|id| self.entries.get(id).map(|entry| (*id, &**entry)))
    }

    /// At most `max` entries from `from` on.
    pub(crate) fn page(&self, from: Id, max: usize) -> impl Iterator<Item = (Id, &Entry)> {
        self.entries.range(from..).take(max).map(|(id, entry)| (*id, &**entry))
    }

    /// The entries whose files stand in one folder.
    pub(crate) fn leaf(&self, leaf: u16) -> impl Iterator<Item = (Id, &Entry)> {
        let first = u64::from(leaf) << 48;
        self.entries.range(Id(first)..=Id(first | (u64::MAX >> 16))).map(|(id, entry)| (*id, &**entry))
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn open_len(&self) -> usize {
        self.opened.len()
    }
}
