//! Who fills a key, and how a fill ends: visible, confirmed, failed or given up.

use std::sync::{Arc, Weak};

use super::{Cache, Flight, Inner, State};
use crate::files::FileName;
use crate::fill::{Fill, FillReader, Meta};
use crate::index::Stored;
use crate::journal::{KeptRef, Record};
use crate::key::{Generation, Key, KeyMeta};
use crate::negative::{FailKind, Negative};
use crate::policy::{Event, Policy, Verdict};
use crate::writer::{Bypass, FillWriter};

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

impl Cache {
    /// Asks to fill `key`. `seen` is the generation of the stored body that is to be fetched again, if one is.
    pub fn begin(&self, key: &Key, key_meta: &KeyMeta, seen: Option<Generation>, now_ms: u64) -> Begin {
        let mut state = self.inner.state();
        state.told_ms = now_ms;
        let stored = state.index.find(key.borrowed(), key.id());
        if stored.is_some_and(|slot| Some(state.index.at(slot).generation()) != seen) {
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

    /// Notes that the origin confirmed the stored body of `key`. Says whether there is one.
    pub fn revalidated(&self, key: &Key, now_ms: u64) -> bool {
        self.inner.confirm(key, Generation(u64::MAX), now_ms)
    }
}

impl Inner {
    pub(crate) fn confirm(&self, key: &Key, before: Generation, now_ms: u64) -> bool {
        let mut state = self.state();
        let found = state.index.find(key.borrowed(), key.id());
        let Some(slot) = found.filter(|slot| state.index.at(*slot).generation() < before) else { return false };
        state.index.at_mut(slot).checked_ms = now_ms;
        let hash = state.index.file_name(slot).hash;
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
        meta: &Meta,
        bytes: u64,
        ahead: bool,
        now_ms: u64,
    ) -> Result<(), Bypass> {
        let (key, id) = (&fill.key, fill.key.id());
        let mut state = self.state();
        let flight = state.flights.get(&fill.generation).copied();
        let valid = flight.filter(|flight| !flight.doomed && state.fences.pass(key, fill.generation) && !state.closed);
        let Some(policy_id) = valid.and_then(|flight| flight.policy_id) else {
            // Its bytes move from the reservation to what is to be unlinked.
            state.release(fill);
            state.unlink_later(name, bytes, Weak::new());
            return Err(Bypass::Purged);
        };
        let before = state.index.by_id(id);
        let old_hits = before.map_or(0, |slot| state.index.at(slot).hits);
        let old = before.map(|slot| state.drop_entry(slot, true));
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
        if ahead {
            state.policy.apply(Event::Guess { id });
        }
        let kept = KeptRef {
            key: key.borrowed(),
            key_meta: fill.key_meta,
            len: meta.len,
            charge: size,
            generation: fill.generation,
            checked_ms: now_ms,
        };
        state.index.insert(&Stored {
            key: kept.key,
            id,
            key_meta: fill.key_meta,
            len: meta.len,
            charge: size,
            generation: fill.generation,
            checked_ms: now_ms,
            hits: old_hits,
            verified: true,
            ahead,
        });
        state.drop_victims(&committed.victims);
        state.flights.remove(&fill.generation);
        state.forget_fill(fill);
        state.negatives.forget(key);
        state.counts.fills[fill.key_meta.class as usize] += 1;
        state.counts.fill_bytes[fill.key_meta.class as usize] += meta.len;
        state.disk_errors_in_row = 0;
        kept.encode(&mut state.journal);
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
    pub(super) fn forget_fill(&mut self, fill: &Fill) {
        if self.fills.get(&fill.key).is_some_and(|found| found.generation == fill.generation) {
            self.fills.remove(&fill.key);
        }
    }

    fn drop_entry_of(&mut self, key: &Key) {
        if let Some(slot) = self.index.find(key.borrowed(), key.id()) {
            self.drop_entry(slot, true);
        }
    }
}

/// Fills that have ended are swept out of the list of the living when there are so many more than in flight.
const LIVE_SLACK: usize = 64;
