//! What survives: recovery from the journal, adoption of files it does not know, snapshots, shutdown.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, PoisonError, Weak};

use hashbrown::HashTable;

use super::{Cache, Config, Counts, EPOCH_SHIFT, Inner, State};
use crate::budget::{FreeSpace, charge};
use crate::error::{CacheError, FillError};
use crate::fence::Fences;
use crate::files::{CacheFiles, FileName};
use crate::fill::Meta;
use crate::footer::{self, Footer};
use crate::gone::Departed;
use crate::hot::Hot;
use crate::index::{Entry, Index};
use crate::journal::{FORMAT, Record, Records};
use crate::key::{Generation, Key, KeyMeta, id_of};
use crate::negative::Negatives;
use crate::policy::{Event, Id, Policy, Verdict};

/// What was found when a cache was opened.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Recovered {
    /// Bodies that the journal knew.
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

/// What the journal says of one body.
struct Known {
    hash: u128,
    key: Key,
    key_meta: KeyMeta,
    meta: Meta,
    generation: Generation,
    checked_ms: u64,
    /// When it was last spoken of; 0 once it was dropped.
    order: u64,
}

impl Known {
    fn charge(&self) -> u64 {
        let meta = &self.meta;
        let footer = footer::encoded_len(&self.key, &meta.etag, &meta.content_type, meta.len);
        charge(meta.len.saturating_add(footer))
    }
}

/// The bodies that a journal speaks of. A million of them are read at each start of a large edge.
struct Roll {
    bodies: Vec<Known>,
    // For lookup only, and never iterated.
    places: HashTable<u32>,
}

impl Roll {
    fn with_room(bodies: usize) -> Self {
        Self { bodies: Vec::with_capacity(bodies), places: HashTable::with_capacity(bodies) }
    }

    fn find(&mut self, hash: u128) -> Option<&mut Known> {
        let place = *self.places.find(hash as u64, |place| self.bodies[*place as usize].hash == hash)?;
        self.bodies.get_mut(place as usize)
    }

    fn stored(&mut self, known: Known) {
        if let Some(before) = self.find(known.hash) {
            *before = known;
            return;
        }
        let Ok(place) = u32::try_from(self.bodies.len()) else { return };
        self.places.insert_unique(known.hash as u64, place, |place| self.bodies[*place as usize].hash as u64);
        self.bodies.push(known);
    }

    /// Those that were not dropped, from cold to hot.
    fn into_order(mut self) -> Vec<Known> {
        self.bodies.retain(|known| known.order > 0);
        self.bodies.sort_by_key(|known| known.order);
        self.bodies
    }
}

/// Builds the state from the journal.
pub(super) fn recover(
    config: &Config,
    files: &dyn CacheFiles,
    policy: Box<dyn Policy>,
) -> Result<(State, Recovered), CacheError> {
    let journal = files.journal().read().map_err(CacheError::io("could not read its journal"))?;
    let mut records = Records::new(&journal);
    let mut state = State::empty(config, policy);
    let (mut known, mut order, mut last_epoch, mut clean, mut first) =
        (Roll::with_room(journal.len() / RECORD_BYTES), 0, None, journal.is_empty(), true);
    let mut complete = false;
    for record in records.by_ref() {
        order += 1;
        clean = record == Record::Closed;
        complete = record == Record::Complete || (complete && clean);
        if std::mem::take(&mut first) && !matches!(record, Record::Header { .. }) {
            break;
        }
        match record {
            Record::Header { format } if format > FORMAT => {
                return Err(CacheError::Newer { found: format, known: FORMAT });
            }
            Record::Header { .. } | Record::Closed | Record::Complete => {}
            Record::Opened { epoch } => last_epoch = last_epoch.max(Some(epoch)),
            Record::Stored { key, key_meta, meta, generation, checked_ms } => {
                last_epoch = last_epoch.max(u32::try_from(generation.0 >> EPOCH_SHIFT).ok());
                known.stored(Known { hash: key.hash(), key, key_meta, meta, generation, checked_ms, order });
            }
            Record::Dropped { hash, generation } => {
                state.note_dropped(hash, generation);
                if let Some(known) = known.find(hash).filter(|known| known.generation <= generation) {
                    known.order = 0;
                }
            }
            Record::Touched { hash } => {
                if let Some(known) = known.find(hash).filter(|known| known.order > 0) {
                    known.order = order;
                }
            }
            Record::Checked { hash, checked_ms } => {
                known.find(hash).into_iter().for_each(|known| known.checked_ms = checked_ms);
            }
            Record::Purged { scope, fence, seq } => {
                last_epoch = last_epoch.max(u32::try_from(fence.0 >> EPOCH_SHIFT).ok());
                match scope {
                    Some(scope) => state.fences.raise(&scope, fence),
                    None => state.fences.raise_all(fence),
                }
                state.purge_seen = state.purge_seen.max(seq);
            }
        }
    }
    let torn_bytes = journal.len() - records.read();
    complete &= clean && torn_bytes == 0;
    // A folder that cannot be listed is looked at leaf by leaf.
    let leaves = if complete { Vec::new() } else { files.leaves().unwrap_or_else(|_| (0..=u16::MAX).collect()) };
    // Without a journal nothing says which epochs were used; the names of the files do.
    let epoch = match last_epoch {
        Some(epoch) => epoch,
        None => newest_epoch(files, &leaves)?,
    };
    state.epoch = epoch.saturating_add(1);
    let mut look_at: BTreeSet<u16> = leaves.into_iter().collect();
    let refused = state.adopt_all(known.into_order(), |leaf| {
        // Of an unlisted folder the file is gone.
        if !complete {
            look_at.insert(leaf);
        }
    });
    // What was not taken over, because the limit is smaller now, still has a file.
    look_at.extend(refused);
    state.look_only_at(&look_at);
    // What adoption had to say is known already.
    state.journal.clear();
    let recovered = Recovered {
        entries: state.index.len(),
        bytes: state.policy.used(),
        clean,
        torn_bytes,
        purge_seen: state.purge_seen,
    };
    let opened = Record::Opened { epoch: state.epoch };
    let mut bytes = Vec::new();
    if last_epoch.is_none() || torn_bytes > 0 {
        // Appending behind half a record would hide what follows, so the whole records are written anew.
        Record::Header { format: FORMAT }.encode(&mut bytes);
        if last_epoch.is_some() {
            bytes = journal[..records.read()].to_vec();
        }
        opened.encode(&mut bytes);
        files.journal().replace(&bytes).map_err(CacheError::io("could not begin its journal"))?;
    } else {
        opened.encode(&mut bytes);
        let journal = files.journal();
        journal.append(&bytes).and_then(|()| journal.sync()).map_err(CacheError::io("could not write its journal"))?;
    }
    state.journal_bytes = (records.read() + bytes.len()) as u64;
    Ok((state, recovered))
}

fn newest_epoch(files: &dyn CacheFiles, leaves: &[u16]) -> Result<u32, CacheError> {
    let mut newest = 0;
    for leaf in leaves {
        for name in files.scan(*leaf).map_err(CacheError::io("could not list its files"))? {
            newest = newest.max(u32::try_from(name.generation.0 >> EPOCH_SHIFT).unwrap_or(u32::MAX - 1));
        }
    }
    Ok(newest)
}

impl Cache {
    /// Looks at up to `max` folders that were not looked at since the start: adopts what the journal did not know, forgets what is
    /// gone. Says how many folders are left. Touches the disk.
    pub fn reconcile(&self, max: usize) -> u32 {
        for _ in 0..max {
            let mut state = self.inner.state();
            let from = state.leaves_from;
            let next = state.leaves[from..].iter().position(|word| *word != u64::MAX);
            let Some(word) = next.map(|word| from + word) else { return 0 };
            state.leaves_from = word;
            let leaf = word * 64 + (!state.leaves[word]).trailing_zeros() as usize;
            drop(state);
            if !self.inner.reconcile_leaf(u16::try_from(leaf).unwrap_or(u16::MAX)) {
                break;
            }
        }
        self.inner.state().leaves_left
    }

    /// Writes the journal anew, as short as it can be. The rim calls it every few minutes, or when [`Cache::wants_snapshot`] says so.
    ///
    /// # Errors
    ///
    /// When the disk refuses; the old journal stands then.
    pub fn snapshot(&self) -> Result<(), CacheError> {
        let mut turn = self.inner.journal.lock().unwrap_or_else(PoisonError::into_inner);
        self.inner.write_snapshot(&mut turn.torn)
    }

    /// Whether the journal has grown so much that a snapshot pays.
    pub fn wants_snapshot(&self) -> bool {
        self.inner.state().journal_bytes >= SNAPSHOT_BYTES
    }

    /// Writes to the journal what waits to be written, without a sync.
    ///
    /// # Errors
    ///
    /// When the disk refuses; it is tried again with the next.
    pub fn flush(&self) -> Result<(), CacheError> {
        self.inner.flush(false)
    }

    /// Ends all fills, unlinks what waits, and writes a snapshot. Bodies that readers hold stay readable.
    ///
    /// # Errors
    ///
    /// When the snapshot could not be written; the journal stands as it was then, and the next start is as after a crash.
    pub fn shutdown(&self) -> Result<(), CacheError> {
        let mut state = self.inner.state();
        state.closed = true;
        let fills: Vec<_> = state.fills.values().cloned().collect();
        drop(state);
        fills.iter().for_each(|fill| fill.end(Err(FillError::Closed)));
        self.inner.reap(usize::MAX);
        self.snapshot()?;
        let mut state = self.inner.state();
        // A fill that has not let go may still publish a file, and an unlink may have failed: then the next start looks.
        if state.flights.is_empty() && state.pending.is_empty() && state.leaves_left == 0 {
            Record::Complete.encode(&mut state.journal);
        }
        Record::Closed.encode(&mut state.journal);
        drop(state);
        self.inner.flush(true)
    }
}

impl Inner {
    /// Writes what waits to the journal, in the order in which it happened.
    pub(super) fn flush(&self, sync: bool) -> Result<(), CacheError> {
        let mut turn = self.journal.lock().unwrap_or_else(PoisonError::into_inner);
        if turn.torn {
            return self.write_snapshot(&mut turn.torn);
        }
        let bytes = std::mem::take(&mut self.state().journal);
        let journal = self.files.journal();
        if !bytes.is_empty() {
            // Half a record may be in the file now, and what comes behind it would not be read: begin anew next time.
            journal
                .append(&bytes)
                .inspect_err(|_| turn.torn = true)
                .map_err(CacheError::io("could not write its journal"))?;
            self.state().journal_bytes += bytes.len() as u64;
        }
        if sync {
            journal.sync().inspect_err(|_| turn.torn = true).map_err(CacheError::io("could not sync its journal"))?;
        }
        Ok(())
    }

    /// The same, unless somebody else is at it: what is not written now is written with the next, and a body whose record is lost is found
    /// by its footer. So a commit never waits for the sync of somebody's purge.
    pub(super) fn flush_if_idle(&self) {
        let idle = self.journal.try_lock().is_ok();
        if idle {
            let _ = self.flush(false);
        }
    }

    fn write_snapshot(&self, torn: &mut bool) -> Result<(), CacheError> {
        let mut bytes = Vec::new();
        Record::Header { format: FORMAT }.encode(&mut bytes);
        let mut state = self.state();
        state.forget_fences();
        Record::Opened { epoch: state.epoch }.encode(&mut bytes);
        if let Some(fence) = state.fences.all() {
            Record::Purged { scope: None, fence, seq: state.purge_seen }.encode(&mut bytes);
        }
        for (scope, fence) in state.fences.iter() {
            Record::Purged { scope: Some(scope), fence, seq: state.purge_seen }.encode(&mut bytes);
        }
        if state.purge_seen > 0 {
            // All fences may be forgotten, but how far the log of purges was read may not.
            let nobody = crate::Scope::Key(Key::new([0; 16], ""));
            Record::Purged { scope: Some(nobody), fence: Generation(0), seq: state.purge_seen }.encode(&mut bytes);
        }
        // Files that are dropped and not yet unlinked must not be taken for unknown ones either.
        let pending = state.pending.iter().map(|pending| (pending.name.hash, pending.name.generation));
        let dropped = state.dropped.iter().map(|(hash, generation)| (*hash, *generation));
        for (hash, generation) in dropped.chain(pending) {
            Record::Dropped { hash, generation }.encode(&mut bytes);
        }
        // What waits now is contained in what is read from here on; what happens while it is read waits for the next flush, and may be
        // said twice.
        state.journal.clear();
        drop(state);
        // From cold to hot, so that the next start knows what goes first.
        let (mut order, mut from) = (Vec::new(), Some(Id(0)));
        while let Some(id) = from {
            let state = self.state();
            let place = |id| state.policy.standing(id).map_or(0, |standing| standing.distance);
            let before = order.len();
            order.extend(state.index.page(id, PAGE).map(|(id, _)| (place(id), id)));
            from = order[before..].last().and_then(|(_, Id(id))| id.checked_add(1)).map(Id);
        }
        order.sort_unstable();
        for page in order.chunks(PAGE) {
            let state = self.state();
            for entry in page.iter().filter_map(|(_, id)| state.index.get(*id)) {
                let record = Record::Stored {
                    key: entry.key.clone(),
                    key_meta: entry.key_meta,
                    meta: (*entry.meta).clone(),
                    generation: entry.generation(),
                    checked_ms: entry.checked_ms,
                };
                record.encode(&mut bytes);
            }
        }
        let replaced = self.files.journal().replace(&bytes);
        *torn = replaced.is_err();
        replaced.map_err(CacheError::io("could not write its snapshot"))?;
        self.state().journal_bytes = bytes.len() as u64;
        Ok(())
    }

    /// Looks at one folder. Says whether the disk let it.
    pub(super) fn reconcile_leaf(&self, leaf: u16) -> bool {
        let Ok(names) = self.files.scan(leaf) else {
            let mut state = self.state();
            state.counts.disk_errors += 1;
            // A folder that cannot be read must not be asked at every miss.
            state.know(leaf);
            return false;
        };
        let state = self.state();
        let ours = state.first_generation();
        let unknown: Vec<FileName> = names
            .iter()
            .filter(|name| name.generation < ours)
            .filter(|name| state.index.get(id_of(name.hash)).is_none_or(|entry| entry.name != **name))
            .filter(|name| state.pending.iter().all(|pending| pending.name != **name))
            .copied()
            .collect();
        let gone: Vec<(Id, Generation)> = state
            .index
            .leaf(leaf)
            .filter(|(_, entry)| entry.generation() < ours && !names.contains(&entry.name))
            .map(|(id, entry)| (id, entry.generation()))
            .collect();
        drop(state);
        let footers: Vec<(FileName, Option<Footer>)> = unknown
            .into_iter()
            .map(|name| (name, self.files.open(&name).ok().and_then(|opened| Footer::decode(&opened.bytes))))
            .collect();
        let mut state = self.state();
        for (id, generation) in gone {
            if state.index.get(id).is_some_and(|entry| entry.generation() == generation) {
                state.drop_entry(id, true);
            }
        }
        for (name, footer) in footers {
            let good = footer.filter(|footer| {
                footer.key.hash() == name.hash && footer.generation == name.generation && footer.meta.len == name.len
            });
            let dropped = state.dropped.get(&name.hash).is_some_and(|newest| name.generation <= *newest);
            let adopted = good.filter(|_| !dropped).is_some_and(|footer| {
                let (key, generation) = (footer.key, footer.generation);
                state.adopt(key, footer.key_meta, footer.meta, generation, 0)
            });
            let known = state.index.get(id_of(name.hash)).is_some_and(|entry| entry.name == name);
            if !adopted && !known {
                state.unlink_later(name, charge(name.len), Weak::new());
            }
        }
        state.know(leaf);
        drop(state);
        self.reap(BATCH);
        true
    }
}

impl State {
    fn empty(config: &Config, policy: Box<dyn Policy>) -> Self {
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
            pending: VecDeque::new(),
            held: Vec::new(),
            pending_bytes: 0,
            doomed_bytes: 0,
            epoch: 0,
            next: 0,
            journal: Vec::new(),
            journal_bytes: 0,
            leaves: vec![0; LEAVES / 64].into_boxed_slice(),
            leaves_left: LEAVES as u32,
            dropped: BTreeMap::new(),
            leaves_from: 0,
            disk_errors_in_row: 0,
            disk_rests_until_ms: 0,
            closed: false,
            counts: Counts::default(),
        }
    }

    fn know(&mut self, leaf: u16) {
        let word = &mut self.leaves[usize::from(leaf) / 64];
        let bit = 1 << (leaf % 64);
        if *word & bit == 0 {
            *word |= bit;
            self.leaves_left -= 1;
            let first = u128::from(leaf) << 112;
            let gone: Vec<u128> =
                self.dropped.range(first..=first | (u128::MAX >> 16)).map(|(hash, _)| *hash).collect();
            gone.iter().for_each(|hash| _ = self.dropped.remove(hash));
        }
    }

    /// Says that only these folders may hold what the index does not know.
    fn look_only_at(&mut self, unknown: &BTreeSet<u16>) {
        self.leaves.fill(u64::MAX);
        for leaf in unknown {
            self.leaves[usize::from(*leaf) / 64] &= !(1 << (leaf % 64));
        }
        self.leaves_left = u32::try_from(unknown.len()).unwrap_or(u32::MAX);
        self.dropped.retain(|hash, _| unknown.contains(&((hash >> 112) as u16)));
    }

    /// Remembers that no body of this key as old as `generation` may come back.
    pub(super) fn note_dropped(&mut self, hash: u128, generation: Generation) {
        let newest = self.dropped.entry(hash).or_insert(generation);
        *newest = generation.max(*newest);
    }

    /// Takes a body from before the start into index and books, if it may live. The older of two is dropped.
    fn adopt(&mut self, key: Key, key_meta: KeyMeta, meta: Meta, generation: Generation, checked_ms: u64) -> bool {
        let id = key.id();
        let bytes =
            charge(meta.len.saturating_add(footer::encoded_len(&key, &meta.etag, &meta.content_type, meta.len)));
        let name = FileName { hash: key.hash(), len: meta.len, generation };
        if !self.fences.pass(&key, generation)
            || self.index.get(id).is_some_and(|entry| entry.generation() >= generation)
        {
            return false;
        }
        self.drop_entry(id, true);
        if self.total_bytes().saturating_add(bytes) > self.policy.limit() {
            return false;
        }
        let traits = key_meta.traits(&key.group());
        let reserved = self.policy.apply(Event::Reserve { id, size: bytes, traits });
        self.drop_victims(&reserved.victims);
        if reserved.verdict != Verdict::Granted {
            return false;
        }
        self.policy.apply(Event::Commit { id, size: bytes });
        let record = Record::Stored { key: key.clone(), key_meta, meta: meta.clone(), generation, checked_ms };
        record.encode(&mut self.journal);
        let entry = Entry::from_before(key, key_meta, meta, name, bytes, checked_ms);
        self.index.insert(id, entry);
        true
    }

    /// Takes the bodies of a journal into the empty index and the books, from cold to hot and without the coldest that do not fit. Tells the
    /// folder of each to `seen`, and answers the folders of those that it did not take.
    fn adopt_all(&mut self, known: Vec<Known>, mut seen: impl FnMut(u16)) -> Vec<u16> {
        let (mut refused, mut evicted, mut entries) = (Vec::new(), Vec::new(), Vec::with_capacity(known.len()));
        let mut over: u64 = known.iter().fold(0, |sum: u64, known| sum.saturating_add(known.charge()));
        over = over.saturating_sub(self.policy.limit());
        for known in known {
            let leaf = (known.hash >> 112) as u16;
            seen(leaf);
            let (id, size) = (id_of(known.hash), known.charge());
            let fits = over == 0;
            over = over.saturating_sub(size);
            let traits = known.key_meta.traits(&known.key.group());
            let reserved = (fits && self.fences.pass(&known.key, known.generation))
                .then(|| self.policy.apply(Event::Reserve { id, size, traits }));
            let Some(reserved) = reserved.filter(|reserved| reserved.verdict == Verdict::Granted) else {
                refused.push(leaf);
                continue;
            };
            // There is room for all; a policy of the embedder's may evict all the same.
            evicted.extend(reserved.victims);
            self.policy.apply(Event::Commit { id, size });
            let Known { hash, key, key_meta, meta, generation, checked_ms, .. } = known;
            let name = FileName { hash, len: meta.len, generation };
            entries.push((id, Box::new(Entry::from_before(key, key_meta, meta, name, size, checked_ms))));
        }
        self.index = Index::of(entries);
        refused.extend(evicted.into_iter().filter_map(|id| Some(self.index.remove(id)?.name.leaf())));
        refused
    }

    /// Fences matter only while something older may still turn up: a fill, a file to be unlinked, a folder not yet looked at.
    fn forget_fences(&mut self) {
        if self.leaves_left > 0 || !self.pending.is_empty() {
            return;
        }
        let now = Generation(u64::from(self.epoch) << EPOCH_SHIFT | (self.next + 1));
        let oldest = self.flights.keys().next().copied().unwrap_or(now);
        self.fences.forget_below(oldest);
    }
}

impl Entry {
    /// A body that was stored before this start.
    fn from_before(key: Key, key_meta: KeyMeta, meta: Meta, name: FileName, charge: u64, checked_ms: u64) -> Self {
        Self {
            key,
            key_meta,
            meta: Arc::new(meta),
            name,
            charge,
            checked_ms,
            hits: 0,
            verified: false,
            ahead: false,
            revoked: None,
            alive: None,
            open: None,
            hot: None,
        }
    }
}

/// Folders of files: one for each value of the first 16 bits of a hash.
const LEAVES: usize = 1 << 16;
/// About what a stored body takes in the journal.
const RECORD_BYTES: usize = 150;
/// Entries written to a snapshot between two turns of the lock.
const PAGE: usize = 1024;
/// A journal of this size is worth writing anew.
const SNAPSHOT_BYTES: u64 = 64 << 20;
/// Files unlinked after looking at one folder.
const BATCH: usize = 64;
