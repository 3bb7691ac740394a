//! What is there for a key, and how a stored body is handed out.

use std::fs::File;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;

use super::{Cache, Inner, State};
use crate::files::{FileName, Opened};
use crate::fill::{FillReader, Meta};
use crate::footer::Footer;
use crate::gone::Gone;
use crate::index::{Open, Slot};
use crate::journal::Record;
use crate::key::{Generation, Key};
use crate::negative::Negative;
use crate::policy::{Event, Id, Policy};

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
    /// What is there for `key`. May open and, once after a restart, read the file.
    pub fn lookup(&self, key: &Key, now_ms: u64) -> Lookup {
        let id = key.id();
        let leaf = (id.0 >> 48) as u16;
        loop {
            let mut state = self.inner.state();
            let ours = state.first_generation();
            let found = state.index.find(key.borrowed(), id);
            if !state.leaves.has(leaf) && found.is_none_or(|slot| state.index.at(slot).generation() < ours) {
                // The folder was not looked at since the start. It may hold what the journal missed, or a younger body than the journal
                // knows; neither must be fetched again.
                if !state.fills.contains_key(key) {
                    drop(state);
                    self.inner.reconcile_leaf(leaf);
                    continue;
                }
            }
            if let Some(slot) = found {
                match state.hit(slot, id) {
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

    /// Whether the stored body of `key`, if there is one, may be served without asking the origin.
    ///
    /// Its tag stands in its file, which may have to be opened to tell that it is stale.
    pub fn freshness(&self, key: &Key, ttl_ms: u64, now_ms: u64) -> Option<Freshness> {
        let state = self.inner.state();
        let slot = state.index.find(key.borrowed(), key.id())?;
        let node = state.index.at(slot);
        let (immutable, checked_ms) = (node.key_meta().immutable, node.checked_ms);
        let (live, name) = (state.index.live(slot).map(|live| Arc::clone(&live.meta)), state.index.file_name(slot));
        drop(state);
        if let Some(meta) = live {
            return Some(freshness(&meta, immutable, checked_ms, ttl_ms, now_ms));
        }
        if is_fresh(immutable, checked_ms, ttl_ms, now_ms) {
            return Some(Freshness::Fresh);
        }
        let footer = self.inner.footer_of(&name)?;
        Some(freshness(&footer.meta, immutable, checked_ms, ttl_ms, now_ms))
    }

    /// Whether `key` is stored, without counting it as asked for and without touching the disk.
    pub fn contains(&self, key: &Key) -> bool {
        self.inner.state().index.find(key.borrowed(), key.id()).is_some()
    }
}

enum Found {
    Hit(Hit),
    Unopened { name: FileName, verified: bool },
}

impl State {
    /// Counts a hit, and gives the body if it is at hand.
    fn hit(&mut self, slot: Slot, id: Id) -> Found {
        self.policy.apply(Event::Hit { id });
        let node = self.index.at_mut(slot);
        node.hits = node.hits.saturating_add(1);
        if node.take_ahead() {
            self.counts.ahead_used_bytes += node.charge();
        }
        let (hits, verified, class) = (node.hits, node.is_verified(), node.key_meta().class as usize);
        self.counts.hits[class] += 1;
        self.counts.hit_bytes[class] += node.len();
        // One hit in many is remembered across restarts; more would be writing on the hit path.
        if hits % TOUCH_EVERY == 1 && self.journal.len() < TOUCHES_BYTES_MAX {
            Record::Touched { hash: self.index.file_name(slot).hash }.encode(&mut self.journal);
        }
        let at_hand = self.index.live(slot).and_then(|live| match (&live.hot, &live.open) {
            (Some(body), _) => Some((body.clone(), None, Tier::Ram)),
            (None, Some(open)) => Some((open.body.clone(), open.file.clone(), Tier::Open)),
            (None, None) => None,
        });
        let hit = at_hand.and_then(|(body, file, tier)| self.as_hit(slot, body, file, tier));
        let Some(hit) = hit else { return Found::Unopened { name: self.index.file_name(slot), verified } };
        if hit.tier == Tier::Ram {
            self.hot.hit(id);
        }
        Found::Hit(hit)
    }

    fn as_hit(&self, slot: Slot, body: Bytes, file: Option<Arc<File>>, tier: Tier) -> Option<Hit> {
        let (node, live) = (self.index.at(slot), self.index.live(slot)?);
        Some(Hit {
            meta: Arc::clone(&live.meta),
            body,
            file,
            generation: node.generation(),
            checked_ms: node.checked_ms,
            immutable: node.key_meta().immutable,
            tier,
            revoked: Arc::clone(&live.revoked),
        })
    }

    fn leave_ram(&mut self, ids: &[Id]) -> Vec<Bytes> {
        let index = &mut self.index;
        let leave = |id: &Id| index.by_id(*id).and_then(|slot| index.live_mut(slot)?.hot.take());
        ids.iter().filter_map(leave).collect()
    }
}

impl Inner {
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
        let same = state.index.find(key.borrowed(), id).filter(|slot| state.index.file_name(*slot) == name);
        let Some(slot) = same else { return Ok(None) };
        let Some((body, file, meta)) = checked else {
            state.counts.corrupt += u64::from(!failed);
            let removed = state.drop_entry(slot, true);
            state.departed.note(id, Gone::Damaged, now_ms);
            drop(state);
            drop(removed);
            return Ok(None);
        };
        let node = state.index.at_mut(slot);
        node.set_verified();
        let (traits, hits) = (node.key_meta().traits(&key.group()), node.hits);
        let alive = Arc::clone(&state.index.enliven(slot, meta).alive);
        let guarded = Bytes::from_owner(Mapped { body: body.clone(), _alive: alive });
        let hit = state.as_hit(slot, guarded.clone(), file.clone(), Tier::Disk);
        if file.is_none() && body.len() as u64 <= self.config.hot_object_bytes_max {
            // On the heap already: in RAM or nowhere.
            let (granted, leavers) = state.hot.offer(id, &body, traits, hits);
            let gone = state.leave_ram(&leavers);
            if let Some(live) = state.index.live_mut(slot).filter(|_| granted) {
                live.hot = Some(body);
            }
            drop(state);
            drop(gone);
        } else {
            let closed: Vec<Open> = state.index.keep_open(slot, guarded, file, self.config.open_files_max);
            drop(state);
            // Unmapping and closing is the system's work, and not done under the lock.
            drop(closed);
        }
        Ok(hit)
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
fn check(opened: Opened, key: &Key, name: FileName, verified: bool) -> Option<(Bytes, Option<Arc<File>>, Meta)> {
    let footer = Footer::decode(&opened.bytes)?;
    let len = usize::try_from(name.len).ok()?;
    if footer.key != *key || footer.generation != name.generation || footer.meta.len != name.len {
        return None;
    }
    let body = opened.bytes.slice(..len);
    (verified || footer.verify(&body)).then_some((body, opened.file, footer.meta))
}

fn is_fresh(immutable: bool, checked_ms: u64, ttl_ms: u64, now_ms: u64) -> bool {
    // A clock that went back makes a body that can change stale: asking once too often does no harm.
    immutable || now_ms.checked_sub(checked_ms).is_some_and(|age_ms| age_ms < ttl_ms)
}

fn freshness(meta: &Meta, immutable: bool, checked_ms: u64, ttl_ms: u64, now_ms: u64) -> Freshness {
    if is_fresh(immutable, checked_ms, ttl_ms, now_ms) {
        return Freshness::Fresh;
    }
    let age_ms = now_ms.checked_sub(checked_ms);
    Freshness::Stale { etag: meta.etag.clone(), for_ms: age_ms.map_or(0, |age_ms| age_ms - ttl_ms) }
}

/// One hit in so many is written to the journal.
const TOUCH_EVERY: u32 = 64;
/// Hits are not noted for later once so much waits to be written.
const TOUCHES_BYTES_MAX: usize = 1 << 20;
