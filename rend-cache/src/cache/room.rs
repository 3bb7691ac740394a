//! Room on disk: reserved before a byte is written, and given back when the file is gone.

use std::io;
use std::sync::Weak;

use super::{Cache, Inner, Pending, State};
use crate::budget::Spending;
use crate::files::Draft;
use crate::fill::Fill;
use crate::gone::Gone;
use crate::key::{Class, Generation};
use crate::policy::{Event, Id, Verdict};
use crate::writer::Bypass;

impl Cache {
    /// Unlinks up to `max` files that nobody can find any more, and says how many are left. Touches the disk.
    ///
    /// The rim calls it now and then; a fill that needs the room does so itself. What waits to be written to the journal is written too.
    pub fn reap(&self, max: usize) -> usize {
        self.inner.flush_if_idle();
        self.inner.reap(max)
    }
}

impl Inner {
    /// Makes room for a fill, reserves it, and begins its file.
    pub(crate) fn place(&self, fill: &Fill, need: u64, now_ms: u64) -> Result<Box<dyn Draft>, Bypass> {
        let reserved = self.reserve(fill, need, now_ms);
        let draft = reserved.and_then(|()| {
            self.files.create().map_err(|error| {
                self.disk_refused(&error, need, now_ms);
                let mut state = self.state();
                if let Some(flight) = state.flights.get_mut(&fill.generation).filter(|flight| !flight.doomed) {
                    let id = flight.policy_id.take();
                    flight.reserved = 0;
                    id.into_iter().for_each(|id| drop(state.policy.apply(Event::Abort { id })));
                }
                Bypass::Disk
            })
        });
        if let Err(bypass) = &draft {
            self.count_bypass(fill, *bypass);
        }
        draft
    }

    fn reserve(&self, fill: &Fill, need: u64, now_ms: u64) -> Result<(), Bypass> {
        let key_id = fill.key.id();
        let traits = fill.key_meta.traits(&fill.key.group());
        for attempt in 0..ATTEMPTS {
            self.sample_space(now_ms);
            let mut state = self.state();
            if state.disk_rests(now_ms) {
                return Err(Bypass::Disk);
            }
            if state.spend(now_ms) == Spending::Spent && fill.key_meta.class == Class::Tail {
                return Err(Bypass::OverBudget);
            }
            if state.flights.get(&fill.generation).is_none_or(|flight| flight.doomed) {
                return Err(Bypass::Purged);
            }
            let taken = state.policy.standing(key_id).is_some();
            let id = if taken { beside(key_id, fill.generation) } else { key_id };
            let shortfall = state.free.shortfall(need);
            if state.lacks_unread_room(need) {
                return Err(Bypass::NoRoom);
            }
            let mut dropped = Vec::new();
            if attempt == 0 {
                // Asked once: an admission filter remembers the question.
                let room = state.policy.apply(Event::Room { id, size: need, traits });
                dropped = state.drop_victims(&room.victims);
                match room.verdict {
                    Verdict::Granted => {}
                    Verdict::TooLarge => return Err(Bypass::TooLarge),
                    // Either the policy does not want it, or what stands in its way cannot go.
                    Verdict::Bypass if room.victims.is_empty() && state.index.len() > 0 => {
                        return Err(Bypass::NotAdmitted);
                    }
                    Verdict::Bypass | Verdict::Ignored => return Err(Bypass::NoRoom),
                }
            }
            let over = (state.total_bytes().saturating_add(need)).saturating_sub(self.config.max_bytes);
            // What waits to be unlinked makes room without another eviction.
            let waiting = state.pending.iter().map(|pending| pending.charge).sum::<u64>();
            let wanted = over.max(shortfall);
            if wanted > waiting {
                let shrunk = state.policy.apply(Event::Shrink { bytes: wanted - waiting });
                dropped.extend(state.drop_victims(&shrunk.victims));
            }
            if wanted == 0 {
                let granted = state.policy.apply(Event::Reserve { id, size: need, traits });
                dropped.extend(state.drop_victims(&granted.victims));
                let fits = granted.verdict == Verdict::Granted && state.total_bytes() <= self.config.max_bytes;
                match state.flights.get_mut(&fill.generation).filter(|flight| fits && !flight.doomed) {
                    Some(flight) => {
                        (flight.policy_id, flight.reserved) = (Some(id), need);
                        state.free.created();
                        return Ok(());
                    }
                    None if granted.verdict == Verdict::Granted => drop(state.policy.apply(Event::Abort { id })),
                    None => {}
                }
                return Err(Bypass::NoRoom);
            }
            drop(state);
            drop(dropped);
            self.reap(usize::MAX);
            if shortfall > 0 {
                // What was unlinked counts only when the disk confirms it.
                self.state().free.doubt();
            }
        }
        Err(Bypass::NoRoom)
    }

    /// Raises the reservation of a fill whose length is not known.
    pub(crate) fn grow(&self, fill: &Fill, need: u64, now_ms: u64) -> Result<(), Bypass> {
        for _ in 0..ATTEMPTS {
            self.sample_space(now_ms);
            let mut state = self.state();
            let Some(flight) = state.flights.get(&fill.generation).copied() else { return Err(Bypass::Purged) };
            if need <= flight.reserved {
                return Ok(());
            }
            let (Some(id), false) = (flight.policy_id, flight.doomed) else { return Err(Bypass::Purged) };
            let more = need - flight.reserved;
            if need > self.config.max_bytes {
                return Err(Bypass::TooLarge);
            }
            if state.lacks_unread_room(more) {
                return Err(Bypass::NoRoom);
            }
            let over = (state.total_bytes() + more).saturating_sub(self.config.max_bytes);
            let shortfall = state.free.shortfall(more);
            let wanted = over.max(shortfall);
            if wanted == 0 {
                let grown = state.policy.apply(Event::Grow { id, size: need });
                let dropped = state.drop_victims(&grown.victims);
                let granted = grown.verdict == Verdict::Granted;
                if let Some(flight) = state.flights.get_mut(&fill.generation).filter(|_| granted) {
                    flight.reserved = need;
                }
                drop(state);
                drop(dropped);
                return if granted { Ok(()) } else { Err(Bypass::NoRoom) };
            }
            let waiting = state.pending.iter().map(|pending| pending.charge).sum::<u64>();
            let shrunk = state.policy.apply(Event::Shrink { bytes: wanted.saturating_sub(waiting) });
            let dropped = state.drop_victims(&shrunk.victims);
            drop(state);
            drop(dropped);
            self.reap(usize::MAX);
            if shortfall > 0 {
                self.state().free.doubt();
            }
        }
        Err(Bypass::NoRoom)
    }

    pub(crate) fn reap(&self, max: usize) -> usize {
        let mut left = max;
        loop {
            let mut state = self.state();
            state.let_go();
            let count = state.pending.len().min(left).min(BATCH);
            let batch: Vec<Pending> = state.pending.drain(..count).collect();
            let rest = state.pending.len();
            drop(state);
            if batch.is_empty() {
                return rest;
            }
            left -= batch.len();
            let mut failed = Vec::new();
            for pending in batch {
                match self.files.remove(&pending.name) {
                    Ok(()) => self.state().unlinked(pending.charge, pending.alive),
                    Err(_) => failed.push(pending),
                }
            }
            if !failed.is_empty() {
                // Tried again at the next call; until then the bytes count.
                let mut state = self.state();
                state.counts.disk_errors += failed.len() as u64;
                state.pending.extend(failed);
                return state.pending.len();
            }
        }
    }

    /// Looks at the disk when it is time.
    pub(crate) fn sample_space(&self, now_ms: u64) {
        if !self.state().free.is_due(now_ms) {
            return;
        }
        // A disk that does not say how full it is, is not taken for a full one.
        if let Ok(space) = self.files.space() {
            self.state().free.sampled(space, now_ms);
        }
    }

    /// Room is reserved in such steps while the length of a body is unknown.
    pub(crate) fn step_bytes(&self) -> u64 {
        (self.config.max_bytes / 64).clamp(STEP_BYTES_MIN, STEP_BYTES_MAX)
    }

    pub(crate) fn wrote(&self, bytes: u64) {
        let mut state = self.state();
        state.free.wrote(bytes);
        state.writes.wrote(bytes);
        state.counts.written_bytes += bytes;
    }

    /// After a refused write: makes generous room, because what was believed about the disk was wrong.
    pub(crate) fn disk_refused(&self, error: &io::Error, need: u64, now_ms: u64) {
        let mut state = self.state();
        state.count_disk_error(now_ms);
        state.free.doubt();
        if !is_full(error) {
            return;
        }
        let bytes = need.saturating_mul(2).max(REFUSED_ROOM_BYTES).min(state.policy.used() / 2 + need);
        let waiting = state.pending.iter().map(|pending| pending.charge).sum::<u64>();
        let shrunk = state.policy.apply(Event::Shrink { bytes: bytes.saturating_sub(waiting) });
        let dropped = state.drop_victims(&shrunk.victims);
        drop(state);
        drop(dropped);
        self.reap(usize::MAX);
    }

    pub(crate) fn count_bypass(&self, fill: &Fill, why: Bypass) {
        let mut state = self.state();
        state.counts.bypassed += 1;
        let told_ms = state.told_ms;
        state.departed.note(fill.key.id(), Gone::Refused(why), told_ms);
    }

    pub(crate) fn count_disk_error(&self, now_ms: u64) {
        self.state().count_disk_error(now_ms);
    }
}

impl State {
    /// Counts a disk that refused. After several in a row nothing is stored for a while.
    pub(super) fn count_disk_error(&mut self, now_ms: u64) {
        self.counts.disk_errors += 1;
        self.disk_errors_in_row += 1;
        if self.disk_errors_in_row >= DISK_ERRORS_MAX {
            self.disk_errors_in_row = 0;
            self.disk_rests_until_ms = now_ms.saturating_add(DISK_REST_MS);
        }
    }

    pub(super) const fn disk_rests(&self, now_ms: u64) -> bool {
        // A clock that jumped back by more than the rest must not make it longer.
        now_ms < self.disk_rests_until_ms && self.disk_rests_until_ms - now_ms <= DISK_REST_MS
    }

    /// How dear a write is now. The policy hears of a change.
    fn spend(&mut self, now_ms: u64) -> Spending {
        let spending = self.writes.spending(now_ms);
        let before = std::mem::replace(&mut self.spending, spending);
        if (before == Spending::Free) != (spending == Spending::Free) {
            self.policy.apply(Event::SetAdmission { on: spending != Spending::Free });
        }
        spending
    }

    /// Whether room for so many bytes would have to be taken from bodies about which the journal was not read yet: who goes first is not
    /// known then.
    fn lacks_unread_room(&self, need: u64) -> bool {
        self.is_unread && self.total_bytes().saturating_add(need) > self.policy.limit()
    }

    /// Bytes of files that were unlinked while mapped come back when the last reader has gone.
    fn let_go(&mut self) {
        let mut freed = 0;
        self.held.retain(|(charge, alive)| {
            let held = alive.strong_count() > 0;
            freed += if held { 0 } else { *charge };
            held
        });
        self.pending_bytes -= freed;
    }

    fn unlinked(&mut self, charge: u64, alive: Weak<()>) {
        if alive.strong_count() > 0 {
            self.held.push((charge, alive));
        } else {
            self.pending_bytes -= charge;
        }
    }
}

/// The number under which a body is reserved while the one that it replaces still stands.
fn beside(id: Id, generation: Generation) -> Id {
    Id(id.0 ^ (generation.0.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1))
}

fn is_full(error: &io::Error) -> bool {
    [io::ErrorKind::StorageFull, io::ErrorKind::QuotaExceeded, io::ErrorKind::FileTooLarge].contains(&error.kind())
}

/// Small enough that a small cache can hold a body of unknown length.
const STEP_BYTES_MIN: u64 = 16 << 10;
/// Large enough that the books are rarely asked.
const STEP_BYTES_MAX: u64 = 1 << 20;
const ATTEMPTS: u32 = 4;
/// Files unlinked between two looks at the books.
const BATCH: usize = 64;
/// At least so much is evicted when the disk says that it is full.
const REFUSED_ROOM_BYTES: u64 = 64 << 20;
/// So many refusals in a row let the disk rest.
const DISK_ERRORS_MAX: u32 = 8;
const DISK_REST_MS: u64 = 10_000;
