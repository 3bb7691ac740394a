//! What is remembered of an entry while its body is open, in RAM, or being sent: a small part of all entries.

use std::collections::BTreeMap;
use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use bytes::Bytes;

use super::{NONE, Slot};
use crate::fill::Meta;

/// An entry that was read lately.
#[derive(Debug)]
pub(crate) struct Live {
    slot: Slot,
    pub(crate) meta: Arc<Meta>,
    /// Heard by every hit that was handed out.
    pub(crate) revoked: Arc<AtomicBool>,
    /// Held by each mapping of the file; what is unlinked counts until the last one is gone.
    pub(crate) alive: Arc<()>,
    pub(crate) open: Option<Open>,
    pub(crate) hot: Option<Bytes>,
}

/// A file that stays open between hits.
#[derive(Clone, Debug)]
pub(crate) struct Open {
    pub(crate) body: Bytes,
    pub(crate) file: Option<Arc<File>>,
    tick: u64,
}

impl Live {
    pub(super) fn new(slot: Slot, meta: Arc<Meta>) -> Self {
        Self { slot, meta, revoked: Arc::default(), alive: Arc::default(), open: None, hot: None }
    }

    /// Whether nobody would notice that it is forgotten.
    fn is_idle(&self) -> bool {
        self.open.is_none()
            && self.hot.is_none()
            && Arc::strong_count(&self.revoked) == 1
            && Arc::strong_count(&self.alive) == 1
    }
}

/// The entries that were read lately, by number.
#[derive(Debug, Default)]
pub(super) struct Lives {
    all: Vec<Option<Box<Live>>>,
    free: Vec<u32>,
    opened: BTreeMap<u64, u32>,
    ticks: u64,
    hand: usize,
}

impl Lives {
    pub(super) fn get(&self, at: u32) -> Option<&Live> {
        self.all.get(at as usize)?.as_deref()
    }

    pub(super) fn get_mut(&mut self, at: u32) -> Option<&mut Live> {
        self.all.get_mut(at as usize)?.as_deref_mut()
    }

    pub(super) fn add(&mut self, live: Live) -> u32 {
        let live = Some(Box::new(live));
        if let Some(at) = self.free.pop() {
            self.all[at as usize] = live;
            return at;
        }
        self.all.push(live);
        u32::try_from(self.all.len() - 1).unwrap_or(NONE)
    }

    pub(super) fn remove(&mut self, at: u32) -> Option<Live> {
        let live = self.all.get_mut(at as usize)?.take()?;
        self.free.push(at);
        if let Some(open) = &live.open {
            self.opened.remove(&open.tick);
        }
        Some(*live)
    }

    /// Looks at two more of them, forgets those that are idle, and tells whose they were.
    pub(super) fn sweep(&mut self, mut forget: impl FnMut(Slot)) {
        for _ in 0..SWEPT.min(self.all.len()) {
            self.hand = (self.hand + 1) % self.all.len();
            let idle = self.all[self.hand].take_if(|live| live.is_idle());
            if let Some(live) = idle {
                forget(live.slot);
                self.free.push(u32::try_from(self.hand).unwrap_or(NONE));
            }
        }
    }

    pub(super) fn keep_open(&mut self, at: u32, body: Bytes, file: Option<Arc<File>>, max: usize) -> Vec<Open> {
        let tick = self.ticks;
        let Some(live) = self.get_mut(at) else { return Vec::new() };
        let mut closed: Vec<Open> = live.open.replace(Open { body, file, tick }).into_iter().collect();
        self.ticks += 1;
        for open in &closed {
            self.opened.remove(&open.tick);
        }
        self.opened.insert(tick, at);
        while self.opened.len() > max {
            let Some((_, oldest)) = self.opened.pop_first() else { break };
            closed.extend(self.get_mut(oldest).and_then(|live| live.open.take()));
        }
        closed
    }

    pub(super) fn close_all(&mut self) -> Vec<Open> {
        let opened = std::mem::take(&mut self.opened);
        opened.into_values().filter_map(|at| self.get_mut(at)?.open.take()).collect()
    }

    pub(super) fn open_len(&self) -> usize {
        self.opened.len()
    }
}

/// Entries looked at whenever another one comes: more than one, so that those that are idle become fewer.
const SWEPT: usize = 2;
