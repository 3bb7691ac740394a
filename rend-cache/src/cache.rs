//! The cache: one handle over index, policy, fills, fences and files.
//!
//! All that is in memory stands behind one lock that is held for microseconds and never while the disk works. What touches the disk
//! does its part outside, comes back, and looks whether the world is still the one it left: a generation tells.

mod durable;
mod purge;
mod room;
mod view;

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::fs::File;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use bytes::Bytes;

pub use durable::Recovered;
pub use purge::Purged;
pub use view::{ClassStats, EntryState, EntryView, Stats};

use crate::budget::FreeSpace;
use crate::error::CacheError;
use crate::fence::Fences;
use crate::files::{CacheFiles, FileName, Opened};
use crate::fill::{Fill, FillReader, Meta, Permit};
use crate::footer::Footer;
use crate::hot::Hot;
use crate::index::{Entry, Index, Open};
use crate::journal::Record;
use crate::key::{Generation, Key, KeyMeta};
use crate::negative::{FailKind, Negative, Negatives};
use crate::policy::{Event, Id, Policy, ValueWheel, Verdict};
use crate::writer::{Bypass, FillWriter};

/// The limits of a cache. Each is tested at its edge; what happens there is said with it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// The most bytes on disk: bodies, footers, rounding to blocks, fills under way and files not yet unlinked. Above it: evict.
    pub max_bytes: u64,
    /// Bytes that stay free on the disk for others. Below it: evict, then stream without storing.
    pub min_free_bytes: u64,
    /// The most bytes of bodies in RAM. Above it: the least valuable go back to being read from disk.
    pub ram_bytes_max: u64,
    /// The largest body kept in RAM. Larger ones are mapped, so that the system's page cache holds them once.
    pub hot_object_bytes_max: u64,
    /// The most files kept open between hits. Above it: the one opened longest ago is closed.
    pub open_files_max: usize,
    /// The most fills that may write to disk at once. Above it: fills stream without storing.
    pub fills_max: usize,
    /// The most fills above [`Config::fills_max`]. Above it: [`Begin::Overloaded`].
    pub bypass_fills_max: usize,
    /// The most readers of fills. Above it: overloaded.
    pub readers_max: usize,
    /// How much of a fill stays in memory for those who keep up.
    pub window_bytes_max: usize,
    /// The same for a fill that is not stored. A reader farther behind is cut off with an error.
    pub bypass_window_bytes_max: usize,
    /// Whether each body is synced before it becomes visible. It is a cache: a torn file is found and is a miss.
    pub sync_bodies: bool,
}

impl Config {
    /// A cache of at most `max_bytes` on disk, with limits that suit a small server.
    pub const fn new(max_bytes: u64) -> Self {
        Self {
            max_bytes,
            min_free_bytes: 0,
            ram_bytes_max: 256 << 20,
            hot_object_bytes_max: 64 << 10,
            open_files_max: 4096,
            fills_max: 256,
            bypass_fills_max: 256,
            readers_max: 16_384,
            window_bytes_max: 2 << 20,
            bypass_window_bytes_max: 8 << 20,
            sync_bodies: false,
        }
    }

    fn check(&self) -> Result<(), CacheError> {
        let rules = [
            ("max_bytes", self.max_bytes, self.max_bytes > 0, "must be above 0"),
            ("fills_max", self.fills_max as u64, self.fills_max > 0, "must be above 0"),
            ("readers_max", self.readers_max as u64, self.readers_max > 0, "must be above 0"),
            ("window_bytes_max", self.window_bytes_max as u64, self.window_bytes_max > 0, "must be above 0"),
            (
                "bypass_window_bytes_max",
                self.bypass_window_bytes_max as u64,
                self.bypass_window_bytes_max >= self.window_bytes_max,
                "must be at least window_bytes_max",
            ),
        ];
        let broken = rules.into_iter().find(|(_, _, holds, _)| !holds);
        broken.map_or(Ok(()), |(field, value, _, rule)| Err(CacheError::Config { field, value, rule }))
    }
}

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
}

/// What is there for a key.
#[derive(Debug)]
pub enum Lookup {
    /// The whole body.
    Hit(Hit),
    /// Somebody is filling it: read along.
    Filling(FillReader),
    /// Nothing: [`Cache::begin`].
    Absent,
    /// It was not there, or could not be had, a moment ago.
    Negative(Negative),
    /// Somebody is filling it and there are as many readers as may be, or the process has no file handle left to open it with.
    Overloaded,
}

/// Who fills a key.
#[derive(Debug)]
pub enum Begin {
    /// You do. Nobody else will until you are done.
    Lead(FillWriter),
    /// Somebody does: read along.
    Follow(FillReader),
    /// It has just been stored: look it up again.
    Stored,
    /// It was not there, or could not be had, a moment ago.
    Negative(Negative),
    /// There are as many fills or readers as may be.
    Overloaded,
}

/// A stored body.
#[derive(Clone, Debug)]
pub struct Hit {
    meta: Arc<Meta>,
    body: Bytes,
    file: Option<Arc<File>>,
    generation: Generation,
    checked_ms: u64,
    immutable: bool,
    tier: Tier,
    revoked: Arc<AtomicBool>,
}

/// Where a body came from.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Tier {
    /// From memory that the cache holds.
    Ram,
    /// From a file that was open already.
    Open,
    /// From a file that had to be opened.
    Disk,
}

/// Whether a stored body may be served without asking the origin.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Freshness {
    /// It may.
    Fresh,
    /// The origin should be asked whether this is still it.
    Stale {
        /// The tag to ask with.
        etag: Box<str>,
        /// For how long it has been stale, in milliseconds.
        for_ms: u64,
    },
}

impl Hit {
    /// Length, tag and type.
    pub const fn meta(&self) -> &Arc<Meta> {
        &self.meta
    }

    /// The whole body. Slicing it copies nothing.
    pub const fn body(&self) -> &Bytes {
        &self.body
    }

    /// The file whose first bytes are the body, when it lies on disk: for systems calls that send from file to socket.
    pub const fn file(&self) -> Option<&Arc<File>> {
        self.file.as_ref()
    }

    /// Which fill it came from.
    pub const fn generation(&self) -> Generation {
        self.generation
    }

    /// Where it came from.
    pub const fn tier(&self) -> Tier {
        self.tier
    }

    /// When it was last known to be what the origin has, in milliseconds since the Unix epoch.
    pub const fn checked_ms(&self) -> u64 {
        self.checked_ms
    }

    /// Whether it may be served without asking the origin, when a body that can change is fresh for `ttl_ms`.
    pub fn freshness(&self, ttl_ms: u64, now_ms: u64) -> Freshness {
        freshness(&self.meta, self.immutable, self.checked_ms, ttl_ms, now_ms)
    }

    /// Whether a take-down came meanwhile: whoever is still sending must break off.
    pub fn is_revoked(&self) -> bool {
        self.revoked.load(Ordering::Acquire)
    }
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

    /// What is there for `key`. May open and, once after a restart, read the file.
    pub fn lookup(&self, key: &Key, now_ms: u64) -> Lookup {
        let id = key.id();
        let leaf = (id.0 >> 48) as u16;
        loop {
            let mut state = self.inner.state();
            let ours = state.first_generation();
            if !state.knows(leaf) && state.index.find(key, id).is_none_or(|entry| entry.generation() < ours) {
                // The folder was not looked at since the start. It may hold what the journal missed, or a younger body than the journal
                // knows; neither must be fetched again.
                if !state.fills.contains_key(key) {
                    drop(state);
                    self.inner.reconcile_leaf(leaf);
                    continue;
                }
            }
            if state.index.find(key, id).is_some() {
                let Some(unopened) = state.hit(key, id) else { continue };
                match unopened {
                    Found::Hit(hit) => return Lookup::Hit(hit),
                    Found::Unopened { name, verified } => {
                        drop(state);
                        match self.inner.open_body(key, id, name, verified, now_ms) {
                            Ok(Some(hit)) => return Lookup::Hit(hit),
                            // What was there is gone or was bad; look at the world as it is now.
                            Ok(None) => continue,
                            Err(NoHandles) => return Lookup::Overloaded,
                        }
                    }
                }
            }
            if let Some(fill) = state.fills.get(key).cloned() {
                let Some(permit) = self.inner.permit() else { return Lookup::Overloaded };
                state.counts.followers += 1;
                drop(state);
                return Lookup::Filling(fill.follow(permit));
            }
            if let Some(negative) = state.negatives.find(key, now_ms) {
                return Lookup::Negative(negative);
            }
            return Lookup::Absent;
        }
    }

    /// Asks to fill `key`. `seen` is the generation of the stored body that is to be fetched again, if one is.
    pub fn begin(&self, key: &Key, key_meta: &KeyMeta, seen: Option<Generation>, now_ms: u64) -> Begin {
        let mut state = self.inner.state();
        if state.index.find(key, key.id()).is_some_and(|entry| Some(entry.generation()) != seen) {
            return Begin::Stored;
        }
        if let Some(fill) = state.fills.get(key).cloned() {
            let Some(permit) = self.inner.permit() else { return Begin::Overloaded };
            state.counts.followers += 1;
            drop(state);
            return Begin::Follow(fill.follow(permit));
        }
        if let Some(negative) = state.negatives.find(key, now_ms) {
            return Begin::Negative(negative);
        }
        let config = &self.inner.config;
        let in_flight = state.flights.len();
        if state.closed || in_flight >= config.fills_max + config.bypass_fills_max {
            return Begin::Overloaded;
        }
        let generation = state.next_generation();
        let windows = [config.window_bytes_max, config.bypass_window_bytes_max];
        let fill = Arc::new(Fill::new(key.clone(), *key_meta, generation, in_flight >= config.fills_max, windows));
        state.fills.insert(key.clone(), Arc::clone(&fill));
        state.flights.insert(generation, Flight { policy_id: None, reserved: 0, doomed: false });
        if state.live.len() >= 2 * (in_flight + LIVE_SLACK) {
            state.live.retain(|fill| fill.strong_count() > 0);
        }
        state.live.push(Arc::downgrade(&fill));
        drop(state);
        Begin::Lead(FillWriter::new(Arc::clone(&self.inner), fill))
    }

    /// Whether the stored body of `key`, if there is one, may be served without asking the origin.
    pub fn freshness(&self, key: &Key, ttl_ms: u64, now_ms: u64) -> Option<Freshness> {
        let mut state = self.inner.state();
        let entry = state.index.find(key, key.id())?;
        Some(freshness(&entry.meta, entry.key_meta.immutable, entry.checked_ms, ttl_ms, now_ms))
    }

    /// Notes that the origin confirmed the stored body of `key`. Says whether there is one.
    pub fn revalidated(&self, key: &Key, now_ms: u64) -> bool {
        self.inner.confirm(key, Generation(u64::MAX), now_ms)
    }

    /// Whether `key` is stored, without counting it as asked for and without touching the disk.
    pub fn contains(&self, key: &Key) -> bool {
        self.inner.state().index.find(key, key.id()).is_some()
    }
}

impl fmt::Debug for Cache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cache").field("config", &self.inner.config).finish_non_exhaustive()
    }
}

enum Found {
    Hit(Hit),
    Unopened { name: FileName, verified: bool },
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

    /// Counts a hit, and gives the body if it is at hand.
    fn hit(&mut self, key: &Key, id: Id) -> Option<Found> {
        self.policy.apply(Event::Hit { id });
        let entry = self.index.find(key, id)?;
        entry.hits = entry.hits.saturating_add(1);
        let class = entry.key_meta.class as usize;
        self.counts.hits[class] += 1;
        self.counts.hit_bytes[class] += entry.meta.len;
        // One hit in many is remembered across restarts; more would be writing on the hit path.
        if entry.hits % TOUCH_EVERY == 1 && self.journal.len() < TOUCHES_BYTES_MAX {
            Record::Touched { hash: entry.name.hash }.encode(&mut self.journal);
        }
        let (body, file, tier) = if let Some(body) = &entry.hot {
            (body.clone(), None, Tier::Ram)
        } else if let Some(open) = &entry.open {
            (open.body.clone(), open.file.clone(), Tier::Open)
        } else {
            return Some(Found::Unopened { name: entry.name, verified: entry.verified });
        };
        let hit = entry.as_hit(body, file, tier);
        if tier == Tier::Ram {
            self.hot.hit(id);
        }
        Some(Found::Hit(hit))
    }

    /// Takes an entry out of index and books. Its file is unlinked later.
    fn drop_entry(&mut self, id: Id, still_in_policy: bool) -> Option<Entry> {
        let entry = self.index.remove(id)?;
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
        self.unlink_later(entry.name, entry.charge, Arc::downgrade(&entry.alive));
        Some(entry)
    }

    fn unlink_later(&mut self, name: FileName, charge: u64, alive: Weak<()>) {
        self.pending_bytes += charge;
        self.pending.push_back(Pending { name, charge, alive });
    }

    fn drop_victims(&mut self, victims: &[Id]) -> Vec<Entry> {
        let dropped: Vec<Entry> = victims.iter().filter_map(|id| self.drop_entry(*id, false)).collect();
        self.counts.evicted += dropped.len() as u64;
        self.counts.evicted_bytes += dropped.iter().map(|entry| entry.charge).sum::<u64>();
        dropped
    }

    fn leave_ram(&mut self, ids: &[Id]) -> Vec<Bytes> {
        ids.iter().filter_map(|id| self.index.by_id(*id)?.hot.take()).collect()
    }

    /// Bytes on disk, reserved or still to be unlinked.
    fn total_bytes(&self) -> u64 {
        self.policy.used() + self.pending_bytes + self.doomed_bytes
    }
}

impl Entry {
    fn as_hit(&self, body: Bytes, file: Option<Arc<File>>, tier: Tier) -> Hit {
        Hit {
            meta: Arc::clone(&self.meta),
            body,
            file,
            generation: self.generation(),
            checked_ms: self.checked_ms,
            immutable: self.key_meta.immutable,
            tier,
            revoked: Arc::clone(&self.revoked),
        }
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

    /// Opens a stored body. A file that is gone or bad is dropped, and `None`: the key is a miss then.
    fn open_body(
        &self,
        key: &Key,
        id: Id,
        name: FileName,
        verified: bool,
        now_ms: u64,
    ) -> Result<Option<Hit>, NoHandles> {
        let mut opened = self.files.open(&name);
        if opened.as_ref().is_err_and(lacks_handles) {
            // The file is as good as ever: close what is held open between hits, and try again.
            let closed = self.state().index.close_all();
            drop(closed);
            opened = self.files.open(&name);
            if opened.as_ref().is_err_and(lacks_handles) {
                return Err(NoHandles);
            }
        }
        let failed = opened.as_ref().is_err_and(|error| error.kind() != io::ErrorKind::NotFound);
        let checked = opened.ok().and_then(|opened| check(opened, key, name, verified));
        let mut state = self.state();
        if failed {
            state.count_disk_error(now_ms);
        }
        let Some(same) = state.index.find(key, id).filter(|entry| entry.name == name) else { return Ok(None) };
        let Some((body, file)) = checked else {
            state.counts.corrupt += u64::from(!failed);
            let entry = state.drop_entry(id, true);
            drop(state);
            drop(entry);
            return Ok(None);
        };
        same.verified = true;
        let guarded = Bytes::from_owner(Mapped { body: body.clone(), _alive: Arc::clone(&same.alive) });
        let (traits, hits) = (same.key_meta.traits(&key.group()), same.hits);
        let hit = same.as_hit(guarded.clone(), file.clone(), Tier::Disk);
        if file.is_none() && body.len() as u64 <= self.config.hot_object_bytes_max {
            // On the heap already: in RAM or nowhere.
            let (granted, leavers) = state.hot.offer(id, &body, traits, hits);
            let gone = state.leave_ram(&leavers);
            if let Some(entry) = state.index.by_id(id).filter(|_| granted) {
                entry.hot = Some(body);
            }
            drop(state);
            drop(gone);
        } else {
            let closed: Vec<Open> = state.index.keep_open(id, guarded, file, self.config.open_files_max);
            drop(state);
            // Unmapping and closing is the system's work, and not done under the lock.
            drop(closed);
        }
        Ok(Some(hit))
    }

    pub(crate) fn confirm(&self, key: &Key, before: Generation, now_ms: u64) -> bool {
        let mut state = self.state();
        let Some(entry) = state.index.find(key, key.id()).filter(|entry| entry.generation() < before) else {
            return false;
        };
        entry.checked_ms = now_ms;
        let hash = entry.name.hash;
        Record::Checked { hash, checked_ms: now_ms }.encode(&mut state.journal);
        true
    }

    pub(crate) fn remember_failure(&self, fill: &Fill, kind: FailKind, now_ms: u64) {
        let mut state = self.state();
        state.counts.failed += 1;
        // An older failure says nothing about a key that was purged or warmed since.
        if state.fences.pass(&fill.key, fill.generation) {
            state.negatives.remember(&fill.key, kind, now_ms);
            if kind == FailKind::NotFound {
                state.drop_entry_of(&fill.key);
            }
        }
    }

    /// Makes a published file visible, unless a purge was faster.
    pub(crate) fn commit(
        &self,
        fill: &Fill,
        name: FileName,
        meta: Meta,
        bytes: u64,
        now_ms: u64,
    ) -> Result<(), Bypass> {
        let (key, id) = (&fill.key, fill.key.id());
        let mut state = self.state();
        let flight = state.flights.get(&fill.generation).copied();
        let alive = Arc::new(());
        let valid = flight.filter(|flight| !flight.doomed && state.fences.pass(key, fill.generation) && !state.closed);
        let Some(policy_id) = valid.and_then(|flight| flight.policy_id) else {
            // Its bytes move from the reservation to what is to be unlinked.
            state.release(fill);
            state.unlink_later(name, bytes, Weak::new());
            return Err(Bypass::Purged);
        };
        let old_hits = state.index.get(id).map_or(0, |entry| entry.hits);
        let old = state.drop_entry(id, true);
        let size = bytes;
        let traits = fill.key_meta.traits(&key.group());
        if policy_id != id {
            // It was reserved beside the body that it replaces; now it takes that body's place in the books.
            state.policy.apply(Event::Abort { id: policy_id });
            let reserved = state.policy.apply(Event::Reserve { id, size, traits });
            state.drop_victims(&reserved.victims);
            if reserved.verdict != Verdict::Granted {
                state.flights.remove(&fill.generation);
                state.forget_fill(fill);
                state.unlink_later(name, bytes, Weak::new());
                return Err(Bypass::NotAdmitted);
            }
        }
        let committed = state.policy.apply(Event::Commit { id, size });
        if old_hits > 0 {
            state.policy.apply(Event::Hit { id });
        }
        let meta = Arc::new(meta);
        let entry = Entry {
            key: key.clone(),
            key_meta: fill.key_meta,
            meta: Arc::clone(&meta),
            name,
            charge: size,
            checked_ms: now_ms,
            hits: old_hits,
            verified: true,
            revoked: Arc::default(),
            alive,
            open: None,
            hot: None,
        };
        state.index.insert(id, entry);
        state.drop_victims(&committed.victims);
        state.flights.remove(&fill.generation);
        state.forget_fill(fill);
        state.negatives.forget(key);
        state.counts.fills[fill.key_meta.class as usize] += 1;
        state.counts.fill_bytes[fill.key_meta.class as usize] += meta.len;
        state.disk_errors_in_row = 0;
        let record = Record::Stored {
            key: key.clone(),
            key_meta: fill.key_meta,
            meta: (*meta).clone(),
            generation: fill.generation,
            checked_ms: now_ms,
        };
        record.encode(&mut state.journal);
        drop(state);
        drop(old);
        self.flush_if_idle();
        Ok(())
    }

    /// Gives back what a fill that has ended had reserved.
    pub(crate) fn release(&self, fill: &Fill) {
        self.state().release(fill);
    }
}

impl State {
    fn release(&mut self, fill: &Fill) {
        if let Some(flight) = self.flights.remove(&fill.generation) {
            match flight.policy_id {
                Some(_) if flight.doomed => self.doomed_bytes -= flight.reserved,
                Some(id) => drop(self.policy.apply(Event::Abort { id })),
                None => {}
            }
        }
        self.forget_fill(fill);
    }

    /// Takes the fill off the table, unless a later one stands there.
    fn forget_fill(&mut self, fill: &Fill) {
        if self.fills.get(&fill.key).is_some_and(|found| found.generation == fill.generation) {
            self.fills.remove(&fill.key);
        }
    }

    fn drop_entry_of(&mut self, key: &Key) {
        let id = key.id();
        if self.index.find(key, id).is_some() {
            self.drop_entry(id, true);
        }
    }
}

/// The process or the machine has no file handle or memory left for now.
struct NoHandles;

fn lacks_handles(error: &io::Error) -> bool {
    // ENOMEM, ENFILE and EMFILE; the standard library has no kinds for the latter two.
    matches!(error.raw_os_error(), Some(12 | 23 | 24))
        || [io::ErrorKind::OutOfMemory, io::ErrorKind::ResourceBusy].contains(&error.kind())
}

/// Keeps an unlinked file in the books while somebody reads it.
struct Mapped {
    body: Bytes,
    _alive: Arc<()>,
}

impl AsRef<[u8]> for Mapped {
    fn as_ref(&self) -> &[u8] {
        &self.body
    }
}

/// Whether a file is what its name and key say, and if it was not checked since the start, whether each byte is.
fn check(opened: Opened, key: &Key, name: FileName, verified: bool) -> Option<(Bytes, Option<Arc<File>>)> {
    let footer = Footer::decode(&opened.bytes)?;
    let len = usize::try_from(name.len).ok()?;
    if footer.key != *key || footer.generation != name.generation || footer.meta.len != name.len {
        return None;
    }
    let body = opened.bytes.slice(..len);
    (verified || footer.verify(&body)).then_some((body, opened.file))
}

fn freshness(meta: &Meta, immutable: bool, checked_ms: u64, ttl_ms: u64, now_ms: u64) -> Freshness {
    // A clock that went back makes a body that can change stale: asking once too often does no harm.
    let age_ms = now_ms.checked_sub(checked_ms);
    match age_ms {
        _ if immutable => Freshness::Fresh,
        Some(age_ms) if age_ms < ttl_ms => Freshness::Fresh,
        Some(age_ms) => Freshness::Stale { etag: meta.etag.clone(), for_ms: age_ms - ttl_ms },
        None => Freshness::Stale { etag: meta.etag.clone(), for_ms: 0 },
    }
}

/// A generation is the process's epoch and a count.
const EPOCH_SHIFT: u32 = 40;
/// One hit in so many is written to the journal.
const TOUCH_EVERY: u32 = 64;
/// Hits are not noted for later once so much waits to be written.
const TOUCHES_BYTES_MAX: usize = 1 << 20;
/// Fills that have ended are swept out of the list of the living when there are so many more than in flight.
const LIVE_SLACK: usize = 64;
