//! What is written down for the next start: the journal, snapshots, shutdown.

use std::sync::PoisonError;

use super::{Cache, EPOCH_SHIFT, Inner, State};
use crate::error::{CacheError, FillError};
use crate::journal::{FORMAT, KeptRef, Record};
use crate::key::{Generation, Key, KeyRef};
use crate::policy::Id;

impl Cache {
    /// Writes the journal anew, as short as it can be. The rim calls it every few minutes, or when [`Cache::wants_snapshot`] says so.
    ///
    /// # Errors
    ///
    /// When the disk refuses; the old journal stands then.
    pub fn snapshot(&self) -> Result<(), CacheError> {
        let below = self.inner.settled();
        let mut turn = self.inner.journal.lock().unwrap_or_else(PoisonError::into_inner);
        self.inner.write_snapshot(&mut turn.torn, below)
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
        if state.flights.is_empty() && state.pending.is_empty() && state.leaves.missing() == 0 {
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
            return self.write_snapshot(&mut turn.torn, None);
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

    /// Below which generation nothing is left that a fence would have to stop: no fill, no file, and no file that power loss could
    /// bring back. `None` while that is not known, or nobody has to know it.
    fn settled(&self) -> Option<Generation> {
        let oldest = self.state().oldest_unsettled()?;
        // What is unlinked may come back until the folders it was in are synced. A file that is unlinked while they are was not
        // stopped by a fence, or its fence is younger than `oldest`.
        self.files.sync_removed().is_ok().then_some(oldest)
    }

    fn write_snapshot(&self, torn: &mut bool, settled: Option<Generation>) -> Result<(), CacheError> {
        // What was not read yet must be in it too.
        self.load(usize::MAX);
        let mut bytes = Vec::new();
        Record::Header { format: FORMAT }.encode(&mut bytes);
        let mut state = self.state();
        if let Some(oldest) = settled {
            state.fences.forget_below(oldest);
        }
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
        let (mut order, mut from): (Vec<(u64, Id)>, _) = (Vec::new(), 0);
        loop {
            let state = self.state();
            let place = |id| state.policy.standing(id).map_or(0, |standing| standing.distance);
            let Some(page) = state.index.page(from, PAGE) else { break };
            order.extend(page.map(|node| (place(node.id()), node.id())));
            from += PAGE;
        }
        order.sort_unstable();
        let mut name = String::new();
        for page in order.chunks(PAGE) {
            let state = self.state();
            for slot in page.iter().filter_map(|(_, id)| state.index.by_id(*id)) {
                let node = state.index.at(slot);
                state.index.name_into(slot, &mut name);
                let kept = KeptRef {
                    key: KeyRef { group: state.index.group_of(slot), name: &name },
                    key_meta: node.key_meta(),
                    len: node.len(),
                    charge: node.charge(),
                    generation: node.generation(),
                    checked_ms: node.checked_ms,
                };
                kept.encode(&mut bytes);
            }
        }
        let replaced = self.files.journal().replace(&bytes);
        *torn = replaced.is_err();
        replaced.map_err(CacheError::io("could not write its snapshot"))?;
        self.state().journal_bytes = bytes.len() as u64;
        Ok(())
    }
}

impl State {
    /// The oldest generation that may still turn up: of a fill under way, or of the next one. `None` while files wait to be unlinked or
    /// folders to be looked at, and when there is no fence that could be forgotten.
    fn oldest_unsettled(&self) -> Option<Generation> {
        if self.fences.is_empty() || self.leaves.missing() > 0 || !self.pending.is_empty() {
            return None;
        }
        let now = Generation(u64::from(self.epoch) << EPOCH_SHIFT | (self.next + 1));
        Some(self.flights.keys().next().copied().unwrap_or(now))
    }
}

/// Entries written to a snapshot between two turns of the lock.
const PAGE: usize = 1024;
/// A journal of this size is worth writing anew.
const SNAPSHOT_BYTES: u64 = 64 << 20;
