//! The cache: one handle over index, policy, fills, fences and files.
//!
//! All that is in memory stands behind one lock that is held for microseconds and never while the disk works. What touches the disk
//! does its part outside, comes back, and looks whether the world is still the one it left: a generation tells.

mod commit;
mod config;
mod durable;
mod leaves;
mod lookup;
mod purge;
mod reconcile;
mod recover;
mod room;
mod view;

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

pub use commit::Begin;
pub use config::Config;
pub use lookup::{Freshness, Hit, Lookup, Tier};
pub use purge::Purged;
pub use recover::Recovered;
pub use view::{ClassStats, EntryState, EntryView, Fate, Stats};

use self::leaves::Leaves;
use self::recover::Unread;
use crate::budget::{FreeSpace, Spending, WriteBudget};
use crate::fence::Fences;
use crate::files::{CacheFiles, FileName};
use crate::fill::{Fill, Permit};
use crate::gone::{Departed, Gone};
use crate::hot::Hot;
use crate::index::{Index, Removed, Slot};
use crate::journal::Record;
use crate::key::{Generation, Key};
use crate::negative::Negatives;
use crate::policy::{Event, Id, Policy};

/// A bounded cache on disk. Clones are handles to the same one.
#[derive(Clone)]
pub struct Cache {
    inner: Arc<Inner>,
}

pub(crate) struct Inner {
    config: Config,
    files: Arc<dyn CacheFiles>,
    state: Mutex<State>,
    /// Whose turn it is to write the journal, and whether the last append failed, so that the file may end in half a record.
    journal: Mutex<JournalTurn>,
    /// What a start left to be read for later. Its lock is taken after that of the journal and before that of the state.
    unread: Mutex<Option<Unread>>,
    readers: Arc<AtomicUsize>,
}

#[derive(Debug, Default)]
struct JournalTurn {
    torn: bool,
}

struct State {
    index: Index,
    policy: Box<dyn Policy>,
    hot: Hot,
    fills: BTreeMap<Key, Arc<Fill>>,
    flights: BTreeMap<Generation, Flight>,
    /// Every fill that somebody may still read, so that a take-down finds them all.
    live: Vec<Weak<Fill>>,
    fences: Fences,
    purge_seen: u64,
    negatives: Negatives,
    departed: Departed,
    /// The latest moment that a caller told, for notes that need no better one.
    told_ms: u64,
    free: FreeSpace,
    writes: WriteBudget,
    spending: Spending,
    pending: VecDeque<Pending>,
    /// Unlinked, but still mapped by a reader.
    held: Vec<(u64, Weak<()>)>,
    pending_bytes: u64,
    /// Reserved by fills that a purge has cut off from the books, until their drafts are gone.
    doomed_bytes: u64,
    /// Bytes of bodies that the journal speaks of and that were not read yet.
    unread_bytes: u64,
    is_unread: bool,
    epoch: u32,
    next: u64,
    journal: Vec<u8>,
    journal_bytes: u64,
    /// Folders whose files are all in the index.
    leaves: Leaves,
    /// Bodies dropped whose files may still lie in a folder not yet looked at: they must not be taken for unknown ones.
    dropped: BTreeMap<u128, Generation>,
    disk_errors_in_row: u32,
    disk_rests_until_ms: u64,
    closed: bool,
    counts: Counts,
}

/// A fill under way, as the books see it.
#[derive(Clone, Copy, Debug)]
struct Flight {
    policy_id: Option<Id>,
    reserved: u64,
    doomed: bool,
}

/// A file that nobody can find any more and that is still to be unlinked.
#[derive(Debug)]
struct Pending {
    name: FileName,
    charge: u64,
    alive: Weak<()>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    hits: [u64; 4],
    hit_bytes: [u64; 4],
    fills: [u64; 4],
    fill_bytes: [u64; 4],
    followers: u64,
    evicted: u64,
    evicted_bytes: u64,
    failed: u64,
    bypassed: u64,
    disk_errors: u64,
    corrupt: u64,
    written_bytes: u64,
    ahead_used_bytes: u64,
    ahead_wasted_bytes: u64,
}

impl fmt::Debug for Cache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cache").field("config", &self.inner.config).finish_non_exhaustive()
    }
}

impl State {
    fn next_generation(&mut self) -> Generation {
        self.next += 1;
        Generation(u64::from(self.epoch) << EPOCH_SHIFT | self.next)
    }

    /// The first generation that this process can have given.
    fn first_generation(&self) -> Generation {
        Generation(u64::from(self.epoch) << EPOCH_SHIFT)
    }

    /// Takes an entry out of index and books. Its file is unlinked later.
    fn drop_entry(&mut self, slot: Slot, still_in_policy: bool) -> Removed {
        let removed = self.index.remove(slot);
        let (id, name) = (removed.id, removed.name);
        self.counts.ahead_wasted_bytes += if removed.ahead { removed.charge } else { 0 };
        if still_in_policy {
            self.policy.apply(Event::Remove { id });
        }
        if removed.live.as_ref().is_some_and(|live| live.hot.is_some()) {
            self.hot.remove(id);
        }
        Record::Dropped { hash: name.hash, generation: name.generation }.encode(&mut self.journal);
        if !self.leaves.has(removed.leaf()) {
            self.note_dropped(name.hash, name.generation);
        }
        let alive = removed.live.as_ref().map_or_else(Weak::new, |live| Arc::downgrade(&live.alive));
        self.unlink_later(name, removed.charge, alive);
        removed
    }

    fn unlink_later(&mut self, name: FileName, charge: u64, alive: Weak<()>) {
        self.pending_bytes += charge;
        self.pending.push_back(Pending { name, charge, alive });
    }

    fn drop_victims(&mut self, victims: &[Id]) -> Vec<Removed> {
        let mut dropped = Vec::new();
        for id in victims {
            let slot = self.index.by_id(*id);
            dropped.extend(slot.map(|slot| self.drop_entry(slot, false)));
            self.departed.note(*id, Gone::Evicted, self.told_ms);
        }
        self.counts.evicted += dropped.len() as u64;
        self.counts.evicted_bytes += dropped.iter().map(|removed| removed.charge).sum::<u64>();
        dropped
    }

    /// Bytes on disk, reserved or still to be unlinked, as far as they are in the books.
    fn booked_bytes(&self) -> u64 {
        self.policy.used() + self.pending_bytes + self.doomed_bytes
    }

    /// The same with what the journal speaks of and was not read yet.
    fn total_bytes(&self) -> u64 {
        let booked = self.booked_bytes();
        // The journal may speak of a body twice, or of one that is gone: more than the limit it never was.
        booked + self.unread_bytes.min(self.policy.limit().saturating_sub(booked))
    }
}

impl Inner {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn permit(&self) -> Option<Permit> {
        Permit::take(&self.readers, self.config.readers_max)
    }

    pub(crate) const fn syncs_bodies(&self) -> bool {
        self.config.sync_bodies
    }
}

/// A generation is the process's epoch and a count.
const EPOCH_SHIFT: u32 = 40;
