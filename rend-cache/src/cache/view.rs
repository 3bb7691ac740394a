//! What can be seen from outside.

use std::collections::BTreeMap;

use super::Cache;
use crate::budget::Spending;
use crate::gone::Gone;
use crate::key::{Class, Generation, Key, KeyMeta};
use crate::negative::{FailKind, Negative};
use crate::policy::Standing;

/// The state of one artifact.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum EntryState {
    /// It is stored.
    Stored,
    /// It is being filled.
    Filling,
}

/// One artifact of an asset, as an operator sees it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct EntryView {
    /// Its path below the asset.
    pub name: Box<str>,
    /// Stored or filling.
    pub state: EntryState,
    /// Bytes on disk, or received so far.
    pub bytes: u64,
    /// How dearly it is kept.
    pub class: Class,
    /// Milliseconds since the origin was last known to have it.
    pub age_ms: u64,
    /// Hits since it was stored or the process started.
    pub hits: u32,
    /// Whether it is in RAM.
    pub in_ram: bool,
    /// Which fill.
    pub generation: Generation,
    /// Why it would or would not be evicted: what the policy knows of it.
    pub standing: Option<Standing>,
}

/// What became of one artifact, as far as the cache knows.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Fate {
    /// It is here, or on its way.
    Here(EntryView),
    /// It could not be had a moment ago.
    Negative(Negative),
    /// It went, or was not let in, so many milliseconds ago.
    Gone(Gone, u64),
    /// Nothing is remembered of it.
    Unknown,
}

/// Figures of the whole cache.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Stats {
    /// The limit.
    pub max_bytes: u64,
    /// Bytes on disk, reserved, or still to be unlinked. Never above the limit.
    pub used_bytes: u64,
    /// The part of it that waits to be unlinked, or for the last reader.
    pub pending_bytes: u64,
    /// The part of it that fills under way have reserved, which a purge has cut off.
    pub doomed_bytes: u64,
    /// Bytes of bodies in RAM.
    pub ram_bytes: u64,
    /// What the disk has free, as estimated.
    pub free_bytes: u64,
    /// Stored bodies.
    pub entries: usize,
    /// Stored bodies and bytes on disk by class.
    pub by_class: BTreeMap<&'static str, ClassStats>,
    /// Fills under way.
    pub fills: usize,
    /// Readers of fills.
    pub readers: usize,
    /// Requests that joined a fill.
    pub followers: u64,
    /// Bodies evicted.
    pub evicted: u64,
    /// Bytes evicted.
    pub evicted_bytes: u64,
    /// Fills that failed.
    pub failed: u64,
    /// Fills that were streamed without being stored.
    pub bypassed: u64,
    /// Refusals by the disk.
    pub disk_errors: u64,
    /// Files that were not what they should be.
    pub corrupt: u64,
    /// Bytes written to the disk: bodies and footers, those of fills that failed too.
    pub written_bytes: u64,
    /// How dear a write is: `free` unless [`crate::Config::write_bytes_per_day`] is being used up.
    pub spending: &'static str,
    /// Bytes fetched on a guess that somebody then asked for.
    pub ahead_used_bytes: u64,
    /// Bytes fetched on a guess that went without anybody having asked for them.
    pub ahead_wasted_bytes: u64,
    /// Absences and failures remembered.
    pub negatives: usize,
    /// Files held open between hits.
    pub open_files: usize,
    /// Fences that still matter.
    pub fences: usize,
    /// Bytes on disk of which the journal speaks and was not read yet since the start. They count as used.
    pub unread_bytes: u64,
    /// Folders not yet looked at since the start.
    pub leaves_left: u32,
    /// Bytes in the journal.
    pub journal_bytes: u64,
    /// What the policy is called.
    pub policy: &'static str,
    /// Its running digest: see [`crate::policy::Policy::digest`].
    pub policy_digest: u64,
}

/// Figures of one class.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct ClassStats {
    /// Hits.
    pub hits: u64,
    /// Bytes of bodies hit.
    pub hit_bytes: u64,
    /// Bodies stored.
    pub fills: u64,
    /// Bytes of bodies stored.
    pub fill_bytes: u64,
}

impl Cache {
    /// Every artifact of an asset that is stored or being filled, in the order of their names.
    pub fn inspect(&self, group: [u8; 16], now_ms: u64) -> Vec<EntryView> {
        let state = self.inner.state();
        let stored = state.index.group(group).map(|slot| {
            let (node, mut name) = (state.index.at(slot), String::new());
            state.index.name_into(slot, &mut name);
            EntryView {
                name: name.into(),
                state: EntryState::Stored,
                bytes: node.charge(),
                class: node.key_meta().class,
                age_ms: now_ms.saturating_sub(node.checked_ms),
                hits: node.hits,
                in_ram: state.index.live(slot).is_some_and(|live| live.hot.is_some()),
                generation: node.generation(),
                standing: state.policy.standing(node.id()),
            }
        });
        let mut views: Vec<EntryView> = stored.collect();
        let first = Key::new(group, "");
        let filling = state.fills.range(first..).take_while(|(key, _)| key.group() == group);
        views.extend(filling.map(|(key, fill)| EntryView {
            name: key.name().into(),
            state: EntryState::Filling,
            bytes: fill.written(),
            class: fill.key_meta.class,
            age_ms: 0,
            hits: 0,
            in_ram: false,
            generation: fill.generation,
            standing: None,
        }));
        drop(state);
        views.sort_by(|a, b| a.name.cmp(&b.name).then(a.generation.cmp(&b.generation)));
        views
    }

    /// Why `key` is kept, or why it is not here.
    pub fn explain(&self, key: &Key, now_ms: u64) -> Fate {
        let views = self.inspect(key.group(), now_ms);
        if let Some(view) = views.into_iter().find(|view| *view.name == *key.name()) {
            return Fate::Here(view);
        }
        let state = self.inner.state();
        if let Some(negative) = state.negatives.find(key, now_ms) {
            return Fate::Negative(negative);
        }
        state.departed.find(key.id(), now_ms).map_or(Fate::Unknown, |(why, ago_ms)| Fate::Gone(why, ago_ms))
    }

    /// The log of what the policy decided since the start, when it was wrapped in [`crate::replay::Recorded`]; else empty.
    pub fn policy_log(&self) -> Vec<u8> {
        self.inner.state().policy.log().to_vec()
    }

    /// Figures of the whole cache, in constant time.
    pub fn stats(&self) -> Stats {
        let state = self.inner.state();
        let counts = &state.counts;
        let by_class = Class::ALL.map(|class| {
            let at = class as usize;
            let stats = ClassStats {
                hits: counts.hits[at],
                hit_bytes: counts.hit_bytes[at],
                fills: counts.fills[at],
                fill_bytes: counts.fill_bytes[at],
            };
            (class.name(), stats)
        });
        Stats {
            max_bytes: self.inner.config.max_bytes,
            used_bytes: state.total_bytes(),
            pending_bytes: state.pending_bytes,
            doomed_bytes: state.doomed_bytes,
            ram_bytes: state.hot.used(),
            free_bytes: state.free.free_bytes(),
            entries: state.index.len(),
            by_class: by_class.into_iter().collect(),
            fills: state.flights.len(),
            readers: self.inner.readers.load(std::sync::atomic::Ordering::Relaxed),
            followers: counts.followers,
            evicted: counts.evicted,
            evicted_bytes: counts.evicted_bytes,
            failed: counts.failed,
            bypassed: counts.bypassed,
            disk_errors: counts.disk_errors,
            corrupt: counts.corrupt,
            written_bytes: counts.written_bytes,
            spending: match state.spending {
                Spending::Free => "free",
                Spending::Sparing => "sparing",
                Spending::Spent => "spent",
            },
            ahead_used_bytes: counts.ahead_used_bytes,
            ahead_wasted_bytes: counts.ahead_wasted_bytes,
            negatives: state.negatives.len(),
            open_files: state.index.open_len(),
            fences: state.fences.len(),
            unread_bytes: state.unread_bytes,
            leaves_left: state.leaves.missing(),
            journal_bytes: state.journal_bytes,
            policy: state.policy.name(),
            policy_digest: state.policy.digest(),
        }
    }

    /// Whether a viewer of the segment `key_meta` will probably ask for the next one: at least half of those who came so far did, or too
    /// few came to tell. Before the journal was read the answer is no, because what is fetched ahead may be here already.
    pub fn expects_next(&self, key_meta: &KeyMeta) -> bool {
        let state = self.inner.state();
        let Some(segment) = key_meta.segment.filter(|_| !state.is_unread) else { return false };
        let (here, next) = (state.policy.survival(segment), state.policy.survival(segment.saturating_add(1)));
        let (Some(here), Some(next)) = (here, next) else { return true };
        here < VIEWERS_MIN || u64::from(next) * 2 >= u64::from(here)
    }

    /// Forgets that `key` was absent or failed, as a warm-up does before it asks again.
    pub fn forget_negative(&self, key: &Key) {
        self.inner.state().negatives.forget(key);
    }

    /// Whether the origin may be asked for `key` again: `None`, or why it was not there a moment ago.
    pub fn negative(&self, key: &Key, now_ms: u64) -> Option<FailKind> {
        self.inner.state().negatives.find(key, now_ms).map(|negative| negative.kind)
    }
}

/// So many requests for a segment tell how many viewers go on after it.
const VIEWERS_MIN: u32 = 16;
