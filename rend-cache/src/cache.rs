//! The cache: one handle over index, policy, fills, fences and files.
//!
//! All that is in memory stands behind one lock that is held for microseconds and never while the disk works. What touches the disk
//! does its part outside, comes back, and looks whether the world is still the one it left: a generation tells.

mod commit;
mod config;
mod durable;
mod lookup;
mod purge;
mod room;
mod view;

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

pub use commit::Begin;
pub use config::Config;
pub use durable::Recovered;
pub use lookup::{Freshness, Hit, Lookup, Tier};
pub use purge::Purged;
pub use view::{ClassStats, EntryState, EntryView, Fate, Stats};

use crate::budget::FreeSpace;
use crate::error::CacheError;
use crate::fence::Fences;
use crate::files::{CacheFiles, FileName};
use crate::fill::{Fill, Permit};
use crate::gone::{Departed, Gone};
use crate::hot::Hot;
use crate::index::{Entry, Index};
use crate::journal::Record;
use crate::key::{Generation, Key};
use crate::negative::Negatives;
use crate::policy::{Event, Id, Policy, ValueWheel};

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
    pending: VecDeque<Pending>,
    /// Unlinked, but still mapped by a reader.
    held: Vec<(u64, Weak<()>)>,
    pending_bytes: u64,
    /// Reserved by fills that a purge has cut off from the books, until their drafts are gone.
    doomed_bytes: u64,
    epoch: u32,
    next: u64,
    journal: Vec<u8>,
    journal_bytes: u64,
    /// One bit a folder: whether its files are all in the index.
    leaves: Box<[u64]>,
    leaves_left: u32,
    /// Bodies dropped whose files may still lie in a folder not yet looked at: they must not be taken for unknown ones.
    dropped: BTreeMap<u128, Generation>,
    /// All words of `leaves` before this one are full.
    leaves_from: usize,
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
    ahead_used_bytes: u64,
    ahead_wasted_bytes: u64,
}

impl Cache {
    /// Opens the cache that `files` holds, with the policy that measured best.
    ///
    /// Reads the journal and nothing else; files that the journal does not know are found by [`Cache::reconcile`], or when they are asked
    /// for.
    ///
    /// # Errors
    ///
    /// When a limit contradicts another, the folder is of a newer version, or the disk refuses.
    pub fn open(config: Config, files: Arc<dyn CacheFiles>, now_ms: u64) -> Result<(Self, Recovered), CacheError> {
        let policy = Box::new(ValueWheel::new(config.max_bytes));
        Self::open_with(config, files, policy, now_ms)
    }

    /// The same with a policy of one's own, which must be empty and have [`Config::max_bytes`] as its limit.
    ///
    /// # Errors
    ///
    /// As [`Cache::open`].
    pub fn open_with(
        config: Config,
        files: Arc<dyn CacheFiles>,
        policy: Box<dyn Policy>,
        now_ms: u64,
    ) -> Result<(Self, Recovered), CacheError> {
        config.check()?;
        if policy.limit() != config.max_bytes {
            let rule = "the policy's limit must be equal to it";
            return Err(CacheError::Config { field: "max_bytes", value: config.max_bytes, rule });
        }
        let (state, recovered) = durable::recover(&config, &*files, policy)?;
        let inner =
            Inner { config, files, state: Mutex::new(state), journal: Mutex::default(), readers: Arc::default() };
        inner.sample_space(now_ms);
        Ok((Self { inner: Arc::new(inner) }, recovered))
    }
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

    fn knows(&self, leaf: u16) -> bool {
        self.leaves_left == 0 || self.leaves[usize::from(leaf) / 64] & (1 << (leaf % 64)) != 0
    }

    /// Takes an entry out of index and books. Its file is unlinked later.
    fn drop_entry(&mut self, id: Id, still_in_policy: bool) -> Option<Entry> {
        let entry = self.index.remove(id)?;
        self.counts.ahead_wasted_bytes += if entry.ahead { entry.charge } else { 0 };
        if still_in_policy {
            self.policy.apply(Event::Remove { id });
        }
        if entry.hot.is_some() {
            self.hot.remove(id);
        }
        Record::Dropped { hash: entry.name.hash, generation: entry.generation() }.encode(&mut self.journal);
        if !self.knows(entry.name.leaf()) {
            self.note_dropped(entry.name.hash, entry.generation());
        }
        let alive = entry.alive.as_ref().map_or_else(Weak::new, Arc::downgrade);
        self.unlink_later(entry.name, entry.charge, alive);
        Some(entry)
    }

    fn unlink_later(&mut self, name: FileName, charge: u64, alive: Weak<()>) {
        self.pending_bytes += charge;
        self.pending.push_back(Pending { name, charge, alive });
    }

    fn drop_victims(&mut self, victims: &[Id]) -> Vec<Entry> {
        let dropped: Vec<Entry> = victims.iter().filter_map(|id| self.drop_entry(*id, false)).collect();
        victims.iter().for_each(|id| self.departed.note(*id, Gone::Evicted, self.told_ms));
        self.counts.evicted += dropped.len() as u64;
        self.counts.evicted_bytes += dropped.iter().map(|entry| entry.charge).sum::<u64>();
        dropped
    }

    /// Bytes on disk, reserved or still to be unlinked.
    fn total_bytes(&self) -> u64 {
        self.policy.used() + self.pending_bytes + self.doomed_bytes
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
