//! Purges: durable before they answer, and faster than any fill begun before them.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::{Cache, State};
use crate::error::{CacheError, FillError};
use crate::fence::{Mode, Scope};
use crate::fill::Fill;
use crate::gone::Gone;
use crate::index::Slot;
use crate::journal::Record;
use crate::key::{Generation, KeyRef};
use crate::policy::Event;

/// What a purge did.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Purged {
    /// How many stored bodies went.
    pub entries: u64,
    /// How many bytes they had on disk.
    pub bytes: u64,
    /// How many fills under way will not be stored.
    pub fills: u64,
    /// Everything older in the scope is dead.
    pub fence: Generation,
}

impl Cache {
    /// Removes everything in `scope`, now and for good: nothing that was fetched before this call is served after it, whatever is under
    /// way and whenever the machine stops. Safe to repeat. Writes and syncs the journal.
    ///
    /// `seq` is the caller's number of the purge in its ordered log, 0 without one; the largest is [`Cache::purge_seen`].
    ///
    /// # Errors
    ///
    /// When the journal could not be written or synced. The purge is in force then, but a crash could undo it: repeat it.
    pub fn purge(&self, scope: &Scope, mode: Mode, seq: u64) -> Result<Purged, CacheError> {
        let mut state = self.inner.state();
        let fence = state.next_generation();
        state.fences.raise(scope, fence);
        state.negatives.purge(scope);
        let mut purged = Purged { entries: 0, bytes: 0, fills: 0, fence };
        let slots = state.in_scope(scope);
        let mut dropped = Vec::new();
        for slot in slots {
            let removed = state.drop_entry(slot, true);
            if mode == Mode::Hard {
                removed.live.iter().for_each(|live| live.revoked.store(true, Ordering::Release));
            }
            let told_ms = state.told_ms;
            state.departed.note(removed.id, Gone::Purged, told_ms);
            purged.entries += 1;
            purged.bytes += removed.charge;
            dropped.push(removed);
        }
        let covered: Vec<Arc<Fill>> =
            state.live.iter().filter_map(std::sync::Weak::upgrade).filter(|fill| scope.covers(&fill.key)).collect();
        for fill in &covered {
            purged.fills += u64::from(state.doom(fill));
        }
        state.purge_seen = state.purge_seen.max(seq);
        Record::Purged { scope: Some(scope.clone()), fence, seq }.encode(&mut state.journal);
        drop(state);
        drop(dropped);
        if mode == Mode::Hard {
            covered.iter().for_each(|fill| fill.revoke(FillError::Purged));
        }
        self.inner.flush(true)?;
        Ok(purged)
    }

    /// The largest number of a purge that this cache has seen, across restarts: from where to catch up.
    pub fn purge_seen(&self) -> u64 {
        self.inner.state().purge_seen
    }
}

impl State {
    /// The entries that a purge covers.
    fn in_scope(&self, scope: &Scope) -> Vec<Slot> {
        let group = scope.group();
        let mut name = String::new();
        let covers = |slot: &Slot| {
            self.index.name_into(*slot, &mut name);
            scope.covers_borrowed(KeyRef { group, name: &name })
        };
        self.index.group(group).filter(covers).collect()
    }

    /// Cuts a fill off from the books: it may stream on, but the next request fetches again. Says whether it was under way.
    fn doom(&mut self, fill: &Fill) -> bool {
        self.forget_fill(fill);
        let Some(flight) = self.flights.get_mut(&fill.generation).filter(|flight| !flight.doomed) else { return false };
        flight.doomed = true;
        let (id, reserved) = (flight.policy_id, flight.reserved);
        if let Some(id) = id {
            self.policy.apply(Event::Abort { id });
            self.doomed_bytes += reserved;
        }
        true
    }
}
