//! What a start does: it looks for purges in the journal, serves, and reads about bodies while it serves.
//!
//! Whoever asks for a key meanwhile is answered from the folder that the key's file would stand in, so nothing that is here is
//! fetched again; what is bytes by the journal and was not read yet counts as used, so nothing is written that might not fit.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use super::leaves::Leaves;
use super::{Cache, Config, Counts, EPOCH_SHIFT, Inner, State};
use crate::budget::{FreeSpace, Spending, WriteBudget, charge};
use crate::error::CacheError;
use crate::fence::Fences;
use crate::files::CacheFiles;
use crate::footer;
use crate::gone::Departed;
use crate::hot::Hot;
use crate::index::{Index, Stored};
use crate::journal::{FORMAT, KeptRef, Line, Lines, Record};
use crate::key::{Generation, id_of};
use crate::negative::Negatives;
use crate::policy::{Event, Id, Policy, ValueWheel, Verdict};

/// What was found when a cache was opened.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Recovered {
    /// Bodies that the journal knew. After [`Cache::open_early`] those that it speaks of, among them some that went later.
    pub entries: usize,
    /// Their bytes on disk.
    pub bytes: u64,
    /// Whether the last owner had closed the cache in good order.
    pub clean: bool,
    /// Bytes of the journal that were being written when the machine stopped.
    pub torn_bytes: usize,
    /// The largest number of a purge seen.
    pub purge_seen: u64,
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
        let (cache, recovered) = Self::open_early(config, files, policy, now_ms)?;
        cache.load(usize::MAX);
        let state = cache.inner.state();
        let (entries, bytes) = (state.index.len(), state.policy.used());
        drop(state);
        Ok((cache, Recovered { entries, bytes, ..recovered }))
    }

    /// The same, ready to serve as soon as it is known what was purged. What the journal says of bodies is read by [`Cache::load`], which
    /// [`Cache::reconcile`] does first.
    ///
    /// Until then a key is looked for in its own folder, and a fill that would need the room of what was not read yet is streamed without
    /// being stored.
    ///
    /// # Errors
    ///
    /// As [`Cache::open`].
    pub fn open_early(
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
        let (state, unread, recovered) = begin(&config, &*files, policy)?;
        let inner = Inner {
            config,
            files,
            state: Mutex::new(state),
            journal: Mutex::default(),
            unread: Mutex::new(Some(unread)),
            readers: Arc::default(),
        };
        inner.sample_space(now_ms);
        if recovered.entries == 0 {
            // There is nothing to read, so nothing to wait for.
            inner.load(usize::MAX);
        }
        Ok((Self { inner: Arc::new(inner) }, recovered))
    }

    /// Reads up to `records_max` further records of the journal, after [`Cache::open_early`]. Says how many bytes of it are left: none
    /// once everything is known.
    pub fn load(&self, records_max: usize) -> usize {
        self.inner.load(records_max)
    }
}

/// The journal as a start found it, and how far it was read.
pub(super) struct Unread {
    journal: Vec<u8>,
    at: usize,
    bodies: usize,
    /// Whether no other file stands in any folder.
    complete: bool,
    /// Folders in which something may stand that the index does not know.
    look_at: Leaves,
}

/// What must be known before anything is served.
struct Scan {
    fences: Fences,
    purge_seen: u64,
    last_epoch: Option<u32>,
    format: Option<u32>,
    clean: bool,
    complete: bool,
    bodies: usize,
    bytes: u64,
    /// Bytes of whole records.
    end: usize,
}

impl Scan {
    fn of(journal: &[u8]) -> Result<Self, CacheError> {
        let mut scan = Self {
            fences: Fences::default(),
            purge_seen: 0,
            last_epoch: None,
            format: None,
            clean: journal.is_empty(),
            complete: false,
            bodies: 0,
            bytes: 0,
            end: 0,
        };
        let mut lines = Lines::new(journal);
        while let Some(line) = lines.next() {
            if scan.format.is_none() && !matches!(line, Line::Other(Record::Header { .. })) {
                break;
            }
            scan.take(line)?;
            scan.end = lines.read();
        }
        scan.complete &= scan.clean && scan.end == journal.len();
        Ok(scan)
    }

    fn take(&mut self, line: Line<'_>) -> Result<(), CacheError> {
        let (closed, complete) =
            (matches!(line, Line::Other(Record::Closed)), matches!(line, Line::Other(Record::Complete)));
        self.clean = closed;
        self.complete = complete || (self.complete && closed);
        match &line {
            Line::Other(Record::Header { format }) if *format > FORMAT => {
                return Err(CacheError::Newer { found: *format, known: FORMAT });
            }
            Line::Other(Record::Header { format }) => self.format = self.format.or(Some(*format)),
            Line::Other(Record::Opened { epoch }) => self.last_epoch = self.last_epoch.max(Some(*epoch)),
            Line::Other(Record::Purged { scope, fence, seq }) => {
                self.saw(*fence);
                match scope {
                    Some(scope) => self.fences.raise(scope, *fence),
                    None => self.fences.raise_all(*fence),
                }
                self.purge_seen = self.purge_seen.max(*seq);
            }
            Line::Kept(_) | Line::Other(_) => {
                if let Some(kept) = body(&line) {
                    self.saw(kept.generation);
                    self.bodies += 1;
                    self.bytes = self.bytes.saturating_add(kept.charge);
                }
            }
        }
        Ok(())
    }

    fn saw(&mut self, generation: Generation) {
        self.last_epoch = self.last_epoch.max(u32::try_from(generation.0 >> EPOCH_SHIFT).ok());
    }
}

/// The body that a record speaks of, if it does.
fn body<'a>(line: &'a Line<'a>) -> Option<KeptRef<'a>> {
    match line {
        Line::Kept(kept) => Some(*kept),
        Line::Other(Record::Stored { key, key_meta, meta, generation, checked_ms }) => {
            let footer = footer::encoded_len(key, &meta.etag, &meta.content_type, meta.len);
            Some(KeptRef {
                key: key.borrowed(),
                key_meta: *key_meta,
                len: meta.len,
                charge: charge(meta.len.saturating_add(footer)),
                generation: *generation,
                checked_ms: *checked_ms,
            })
        }
        Line::Other(_) => None,
    }
}

/// Builds a state that knows what was purged, and keeps the rest for later.
fn begin(
    config: &Config,
    files: &dyn CacheFiles,
    policy: Box<dyn Policy>,
) -> Result<(State, Unread, Recovered), CacheError> {
    let mut journal = files.journal().read().map_err(CacheError::io("could not read its journal"))?;
    let scan = Scan::of(&journal)?;
    let torn_bytes = journal.len() - scan.end;
    let noted = files.noted_epoch().map_err(CacheError::io("could not read its epoch"))?;
    // Without a journal nothing says which epochs were used; a note does, or the names of the files.
    let epoch = match scan.last_epoch.max(noted) {
        Some(epoch) => epoch,
        None => newest_epoch(files)?,
    };
    let mut state = State::empty(config, policy);
    state.epoch = epoch.saturating_add(1);
    files.note_epoch(state.epoch).map_err(CacheError::io("could not note its epoch"))?;
    let mut opened = Vec::new();
    if scan.format != Some(FORMAT) {
        // An older version must not read what this one appends, and a journal without a beginning needs one.
        let mut header = Vec::new();
        Record::Header { format: FORMAT }.encode(&mut header);
        let kept = if scan.format.is_some() { journal.get(header.len()..scan.end).unwrap_or_default() } else { &[] };
        opened = [&header, kept].concat();
        Record::Opened { epoch: state.epoch }.encode(&mut opened);
        files.journal().replace(&opened).map_err(CacheError::io("could not begin its journal"))?;
        state.journal_bytes = opened.len() as u64;
    } else {
        Record::Opened { epoch: state.epoch }.encode(&mut opened);
        let file = files.journal();
        // Appending behind half a record would hide what follows.
        let whole = if torn_bytes > 0 { file.cut(scan.end) } else { Ok(()) };
        let written = whole.and_then(|()| file.append(&opened)).and_then(|()| file.sync());
        written.map_err(CacheError::io("could not write its journal"))?;
        state.journal_bytes = (scan.end + opened.len()) as u64;
    }
    let recovered = Recovered {
        entries: scan.bodies,
        bytes: scan.bytes,
        clean: scan.clean,
        torn_bytes,
        purge_seen: scan.purge_seen,
    };
    (state.fences, state.purge_seen, state.unread_bytes) = (scan.fences, scan.purge_seen, scan.bytes);
    journal.truncate(scan.end);
    let unread = Unread { journal, at: 0, bodies: scan.bodies, complete: scan.complete, look_at: Leaves::none() };
    Ok((state, unread, recovered))
}

fn newest_epoch(files: &dyn CacheFiles) -> Result<u32, CacheError> {
    let mut newest = 0;
    for leaf in all_or_listed(files) {
        for name in files.scan(leaf).map_err(CacheError::io("could not list its files"))? {
            newest = newest.max(u32::try_from(name.generation.0 >> EPOCH_SHIFT).unwrap_or(u32::MAX - 1));
        }
    }
    Ok(newest)
}

/// Folders that cannot be listed are looked at one by one.
fn all_or_listed(files: &dyn CacheFiles) -> Vec<u16> {
    files.leaves().unwrap_or_else(|_| (0..=u16::MAX).collect())
}

impl Inner {
    pub(super) fn load(&self, records_max: usize) -> usize {
        let mut turn = self.unread.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(unread) = turn.as_mut() else { return 0 };
        if unread.at == 0 {
            // The journal may speak of a body more than once, but mostly does not.
            let mut state = self.state();
            state.index.reserve(unread.bodies);
            state.policy.reserve(unread.bodies);
        }
        let mut left = records_max;
        while left > 0 && unread.at < unread.journal.len() {
            left -= self.load_some(unread, left.min(BATCH));
        }
        let bytes = unread.journal.len() - unread.at;
        if bytes > 0 {
            return bytes;
        }
        if !unread.complete {
            all_or_listed(&*self.files).into_iter().for_each(|leaf| _ = unread.look_at.add(leaf));
        }
        self.state().loaded(&unread.look_at);
        *turn = None;
        0
    }

    /// Reads some records, and applies them in one turn of the lock.
    fn load_some(&self, unread: &mut Unread, max: usize) -> usize {
        let mut lines = Lines::new(&unread.journal[unread.at..]);
        let mut batch = Vec::with_capacity(max);
        for line in lines.by_ref().take(max) {
            let hash = body(&line).map_or(0, |kept| kept.key.hash());
            batch.push((line, hash));
        }
        let read = lines.read();
        let count = batch.len();
        let mut state = self.state();
        for (line, hash) in &batch {
            state.recall(line, *hash, unread.complete, &mut unread.look_at);
        }
        drop(state);
        drop(batch);
        // Every record was whole when the cache was opened.
        unread.at = if read == 0 { unread.journal.len() } else { unread.at + read };
        count.max(1)
    }
}

impl State {
    pub(super) fn empty(config: &Config, policy: Box<dyn Policy>) -> Self {
        Self {
            index: Index::default(),
            policy,
            hot: Hot::new(config.ram_bytes_max, config.hot_object_bytes_max),
            fills: BTreeMap::new(),
            flights: BTreeMap::new(),
            live: Vec::new(),
            fences: Fences::default(),
            purge_seen: 0,
            negatives: Negatives::default(),
            departed: Departed::default(),
            told_ms: 0,
            free: FreeSpace::new(config.min_free_bytes, config.max_bytes),
            writes: WriteBudget::new(config.write_bytes_per_day),
            spending: Spending::Free,
            pending: VecDeque::new(),
            held: Vec::new(),
            pending_bytes: 0,
            doomed_bytes: 0,
            unread_bytes: 0,
            is_unread: true,
            epoch: 0,
            next: 0,
            journal: Vec::new(),
            journal_bytes: 0,
            leaves: Leaves::none(),
            dropped: BTreeMap::new(),
            disk_errors_in_row: 0,
            disk_rests_until_ms: 0,
            closed: false,
            counts: Counts::default(),
        }
    }

    /// Takes note of one record from before this start.
    fn recall(&mut self, line: &Line<'_>, hash: u128, complete: bool, look_at: &mut Leaves) {
        if let Some(kept) = body(line) {
            self.unread_bytes = self.unread_bytes.saturating_sub(kept.charge);
            self.recall_body(&kept, hash, complete, look_at);
            return;
        }
        let Line::Other(record) = line else { return };
        match record {
            Record::Dropped { hash, generation } => {
                let leaf = (hash >> 112) as u16;
                let entry =
                    self.index.by_id(id_of(*hash)).filter(|slot| self.index.at(*slot).generation() <= *generation);
                if self.leaves.has(leaf) {
                    // It was found in its folder since the start, so it has a file.
                    entry.into_iter().for_each(|slot| drop(self.drop_entry(slot, true)));
                    return;
                }
                entry.into_iter().for_each(|slot| self.forget(slot, true));
                self.note_dropped(*hash, *generation);
            }
            Record::Touched { hash } => drop(self.policy.apply(Event::Hit { id: id_of(*hash) })),
            Record::Checked { hash, checked_ms } => {
                let ours = self.first_generation();
                if let Some(slot) = self.index.by_id(id_of(*hash)) {
                    let node = self.index.at_mut(slot);
                    if node.generation() < ours {
                        node.checked_ms = node.checked_ms.max(*checked_ms);
                    }
                }
            }
            Record::Header { .. }
            | Record::Opened { .. }
            | Record::Kept { .. }
            | Record::Stored { .. }
            | Record::Purged { .. }
            | Record::Closed
            | Record::Complete => {}
        }
    }

    fn recall_body(&mut self, kept: &KeptRef<'_>, hash: u128, complete: bool, look_at: &mut Leaves) {
        let (id, leaf) = (id_of(hash), (hash >> 112) as u16);
        let before = self.index.by_id(id);
        if let Some(slot) = before {
            let node = self.index.at_mut(slot);
            if node.generation() == kept.generation {
                node.checked_ms = node.checked_ms.max(kept.checked_ms);
            }
            if node.generation() >= kept.generation {
                return;
            }
        }
        if self.leaves.has(leaf) {
            // The folder was looked at since the start: what is not in the index has no file.
            return;
        }
        if !complete {
            // If the folder turns out not to exist, the file is gone.
            look_at.add(leaf);
        }
        if self.dropped.get(&hash).is_some_and(|newest| kept.generation <= *newest) {
            return;
        }
        if !self.fences.pass_borrowed(kept.key, kept.generation) {
            look_at.add(leaf);
            return;
        }
        before.into_iter().for_each(|slot| self.forget(slot, true));
        let over = self.booked_bytes().saturating_add(kept.charge).saturating_sub(self.policy.limit());
        if over > 0 && kept.charge <= self.policy.limit() {
            // The limit is lower than it was.
            let shrunk = self.policy.apply(Event::Shrink { bytes: over });
            self.set_aside(&shrunk.victims, look_at);
        }
        let traits = kept.key_meta.traits(&kept.key.group);
        let reserved = self.policy.apply(Event::Reserve { id, size: kept.charge, traits });
        self.set_aside(&reserved.victims, look_at);
        if reserved.verdict != Verdict::Granted {
            // What was not taken over still has a file.
            look_at.add(leaf);
            return;
        }
        self.policy.apply(Event::Commit { id, size: kept.charge });
        self.index.insert(&Stored {
            key: kept.key,
            id,
            key_meta: kept.key_meta,
            len: kept.len,
            charge: kept.charge,
            generation: kept.generation,
            checked_ms: kept.checked_ms,
            hits: 0,
            verified: false,
            ahead: false,
        });
    }

    /// Takes an entry that the journal spoke of out of index and books. Whether it has a file is not known.
    fn forget(&mut self, slot: crate::index::Slot, still_in_policy: bool) {
        let removed = self.index.remove(slot);
        if still_in_policy {
            self.policy.apply(Event::Remove { id: removed.id });
        }
    }

    /// Takes victims of the policy out of the index. The files of those from before this start are found when their folders are looked at.
    fn set_aside(&mut self, victims: &[Id], look_at: &mut Leaves) {
        let ours = self.first_generation();
        for id in victims {
            let Some(slot) = self.index.by_id(*id) else { continue };
            let (name, generation) = (self.index.file_name(slot), self.index.at(slot).generation());
            if generation < ours && !self.leaves.has(name.leaf()) {
                self.forget(slot, false);
                self.note_dropped(name.hash, generation);
                look_at.add(name.leaf());
            } else {
                self.drop_victims(&[*id]);
            }
        }
    }

    /// The journal was read: only these folders may hold what the index does not know.
    fn loaded(&mut self, look_at: &Leaves) {
        self.leaves.add_all_but(look_at);
        let leaves = &self.leaves;
        self.dropped.retain(|hash, _| !leaves.has((hash >> 112) as u16));
        (self.unread_bytes, self.is_unread) = (0, false);
    }

    /// Remembers that no body of this key as old as `generation` may come back.
    pub(super) fn note_dropped(&mut self, hash: u128, generation: Generation) {
        let newest = self.dropped.entry(hash).or_insert(generation);
        *newest = generation.max(*newest);
    }
}

/// Records applied in one turn of the lock.
const BATCH: usize = 128;
