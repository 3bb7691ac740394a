//! The folders and the index: what stands in one and not in the other after a start.

use std::sync::Weak;

use super::{Cache, Inner, State};
use crate::budget::charge;
use crate::files::FileName;
use crate::footer::{self, Footer};
use crate::index::Stored;
use crate::journal::KeptRef;
use crate::key::{Generation, id_of};
use crate::policy::{Event, Id, Verdict};

impl Cache {
    /// Looks at up to `max` folders that were not looked at since the start: adopts what the journal did not know, forgets what is
    /// gone. Says how many folders are left. Touches the disk, and reads the journal first if that was left for later.
    pub fn reconcile(&self, max: usize) -> u32 {
        self.inner.load(usize::MAX);
        for _ in 0..max {
            let next = self.inner.state().leaves.next_missing();
            let Some(leaf) = next else { return 0 };
            if !self.inner.reconcile_leaf(leaf) {
                break;
            }
        }
        self.inner.state().leaves.missing()
    }
}

impl Inner {
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
        let is_known = |name: &FileName| {
            let entry = state.index.by_id(id_of(name.hash));
            entry.is_some_and(|slot| state.index.file_name(slot) == *name)
        };
        let unknown: Vec<FileName> = names
            .iter()
            .filter(|name| name.generation < ours && !is_known(name))
            .filter(|name| state.pending.iter().all(|pending| pending.name != **name))
            .copied()
            .collect();
        let gone: Vec<(Id, Generation)> = state
            .index
            .leaf(leaf)
            .filter(|slot| state.index.at(*slot).generation() < ours && !names.contains(&state.index.file_name(*slot)))
            .map(|slot| (state.index.at(slot).id(), state.index.at(slot).generation()))
            .collect();
        drop(state);
        let footers: Vec<(FileName, Option<Footer>)> =
            unknown.into_iter().map(|name| (name, self.footer_of(&name))).collect();
        let mut state = self.state();
        for (id, generation) in gone {
            let slot = state.index.by_id(id).filter(|slot| state.index.at(*slot).generation() == generation);
            slot.into_iter().for_each(|slot| drop(state.drop_entry(slot, true)));
        }
        for (name, footer) in footers {
            let good = footer.filter(|footer| {
                footer.key.hash() == name.hash && footer.generation == name.generation && footer.meta.len == name.len
            });
            let dropped = state.dropped.get(&name.hash).is_some_and(|newest| name.generation <= *newest);
            let adopted = good.filter(|_| !dropped).is_some_and(|footer| state.adopt(&footer, &name));
            let entry = state.index.by_id(id_of(name.hash));
            let known = entry.is_some_and(|slot| state.index.file_name(slot) == name);
            if !adopted && !known {
                state.unlink_later(name, charge(name.len), Weak::new());
            }
        }
        state.know(leaf);
        drop(state);
        self.reap(BATCH);
        true
    }

    pub(super) fn footer_of(&self, name: &FileName) -> Option<Footer> {
        let len = usize::try_from(footer::len_max(name.len)).ok()?;
        Footer::decode_alone(&self.files.footer(name, len).ok()?)
    }
}

impl State {
    fn know(&mut self, leaf: u16) {
        if self.leaves.add(leaf) {
            let first = u128::from(leaf) << 112;
            let gone: Vec<u128> =
                self.dropped.range(first..=first | (u128::MAX >> 16)).map(|(hash, _)| *hash).collect();
            gone.iter().for_each(|hash| _ = self.dropped.remove(hash));
        }
    }

    /// Takes a body from before the start into index and books, if it may live. The older of two is dropped.
    fn adopt(&mut self, footer: &Footer, name: &FileName) -> bool {
        let (key, key_meta, meta) = (&footer.key, footer.key_meta, &footer.meta);
        let (id, generation) = (id_of(name.hash), name.generation);
        let footer_bytes = footer::encoded_len(key, &meta.etag, &meta.content_type, meta.len);
        let bytes = charge(meta.len.saturating_add(footer_bytes));
        let before = self.index.by_id(id);
        if !self.fences.pass(key, generation)
            || before.is_some_and(|slot| self.index.at(slot).generation() >= generation)
        {
            return false;
        }
        before.into_iter().for_each(|slot| drop(self.drop_entry(slot, true)));
        if self.booked_bytes().saturating_add(bytes) > self.policy.limit() {
            return false;
        }
        let traits = key_meta.traits(&key.group());
        let reserved = self.policy.apply(Event::Reserve { id, size: bytes, traits });
        self.drop_victims(&reserved.victims);
        if reserved.verdict != Verdict::Granted {
            return false;
        }
        self.policy.apply(Event::Commit { id, size: bytes });
        let (key, len, checked_ms) = (key.borrowed(), meta.len, 0);
        KeptRef { key, key_meta, len, charge: bytes, generation, checked_ms }.encode(&mut self.journal);
        let (hits, verified, ahead) = (0, false, false);
        self.index.insert(&Stored {
            key,
            id,
            key_meta,
            len,
            charge: bytes,
            generation,
            checked_ms,
            hits,
            verified,
            ahead,
        });
        true
    }
}

/// Files unlinked after looking at one folder.
const BATCH: usize = 64;
