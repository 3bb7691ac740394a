//! Caches to be compared with: ours and those that people use.

use rend_cache::policy::{Event, Id, Policy, Verdict};

use super::trace::Request;

/// A cache of which only the decisions count.
pub(crate) trait Peer {
    /// Asks for an object, and stores it if it was not there. Says whether it was.
    fn access(&mut self, request: &Request) -> bool;
    /// Bytes that it holds.
    fn used(&mut self) -> u64;
    /// Objects that it holds.
    fn len(&mut self) -> usize;
}

/// One of ours.
pub(crate) struct Ours<P> {
    policy: P,
    victims: Vec<Id>,
}

impl<P: Policy> Ours<P> {
    pub(crate) const fn new(policy: P) -> Self {
        Self { policy, victims: Vec::new() }
    }
}

impl<P: Policy> Peer for Ours<P> {
    fn access(&mut self, request: &Request) -> bool {
        let id = Id(request.id);
        self.victims.clear();
        if self.policy.apply_to(Event::Hit { id }, &mut self.victims) == Verdict::Granted {
            return true;
        }
        let reserve = Event::Reserve { id, size: request.size, traits: request.traits };
        if self.policy.apply_to(reserve, &mut self.victims) == Verdict::Granted {
            self.policy.apply_to(Event::Commit { id, size: request.size }, &mut self.victims);
        }
        false
    }

    fn used(&mut self) -> u64 {
        self.policy.used()
    }

    fn len(&mut self) -> usize {
        self.policy.len()
    }
}

/// The `lru` crate with a count of bytes.
pub(crate) struct LruCrate {
    cache: lru::LruCache<u64, u64>,
    used: u64,
    limit: u64,
}

impl LruCrate {
    pub(crate) fn new(limit: u64) -> Self {
        Self { cache: lru::LruCache::unbounded(), used: 0, limit }
    }
}

impl Peer for LruCrate {
    fn access(&mut self, request: &Request) -> bool {
        if self.cache.get(&request.id).is_some() {
            return true;
        }
        if request.size <= self.limit {
            while self.used + request.size > self.limit {
                let Some((_, size)) = self.cache.pop_lru() else { break };
                self.used -= size;
            }
            self.cache.put(request.id, request.size);
            self.used += request.size;
        }
        false
    }

    fn used(&mut self) -> u64 {
        self.used
    }

    fn len(&mut self) -> usize {
        self.cache.len()
    }
}

/// Weighs an object by its size.
#[derive(Clone)]
pub(crate) struct BySize;

impl quick_cache::Weighter<u64, u64> for BySize {
    fn weight(&self, _: &u64, size: &u64) -> u64 {
        *size
    }
}

/// The `quick_cache` crate, without locks.
pub(crate) struct QuickCache(quick_cache::unsync::Cache<u64, u64, BySize>);

impl QuickCache {
    pub(crate) fn new(limit: u64, objects: usize) -> Self {
        Self(quick_cache::unsync::Cache::with_weighter(objects, limit, BySize))
    }
}

impl Peer for QuickCache {
    fn access(&mut self, request: &Request) -> bool {
        if self.0.get(&request.id).is_some() {
            return true;
        }
        self.0.insert(request.id, request.size);
        false
    }

    fn used(&mut self) -> u64 {
        self.0.weight()
    }

    fn len(&mut self) -> usize {
        self.0.len()
    }
}

/// The `moka` crate. Its weights are 32 bits, so bytes are counted in blocks of 4 KiB.
pub(crate) struct Moka(moka::sync::Cache<u64, u64>);

impl Moka {
    pub(crate) fn new(limit: u64) -> Self {
        let weigh = |_: &u64, size: &u64| u32::try_from(size.div_ceil(BLOCK)).unwrap_or(u32::MAX);
        Self(moka::sync::Cache::builder().max_capacity(limit / BLOCK).weigher(weigh).build())
    }
}

impl Peer for Moka {
    fn access(&mut self, request: &Request) -> bool {
        if self.0.get(&request.id).is_some() {
            return true;
        }
        self.0.insert(request.id, request.size);
        false
    }

    fn used(&mut self) -> u64 {
        self.0.run_pending_tasks();
        self.0.weighted_size() * BLOCK
    }

    fn len(&mut self) -> usize {
        self.0.run_pending_tasks();
        self.0.entry_count() as usize
    }
}

const BLOCK: u64 = 4096;
