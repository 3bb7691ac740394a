//! What nobody can beat, knowing the future.

use std::collections::{BTreeMap, BTreeSet};

use rend_cache::Class;

use super::trace::{Request, Trace};

/// Shares of requests, bytes and requests for what starts playback that were missed, in [0, 1].
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Ratios {
    pub(crate) objects: f64,
    pub(crate) bytes: f64,
    pub(crate) startup: f64,
}

/// Counts misses.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Misses {
    requests: u64,
    bytes: u64,
    startup: u64,
    missed: u64,
    missed_bytes: u64,
    missed_startup: u64,
}

impl Misses {
    pub(crate) fn count(&mut self, request: &Request, hit: bool) {
        let startup = u64::from(is_startup(request));
        self.requests += 1;
        self.bytes += request.size;
        self.startup += startup;
        if !hit {
            self.missed += 1;
            self.missed_bytes += request.size;
            self.missed_startup += startup;
        }
    }

    pub(crate) fn ratios(&self) -> Ratios {
        let share = |part: u64, whole: u64| if whole == 0 { 0.0 } else { part as f64 / whole as f64 };
        Ratios {
            objects: share(self.missed, self.requests),
            bytes: share(self.missed_bytes, self.bytes),
            startup: share(self.missed_startup, self.startup),
        }
    }
}

fn is_startup(request: &Request) -> bool {
    request.traits.class != Class::Tail
}

/// PFOO-L: each ratio has its own bound, as if space could be shared freely over time. No policy can miss less.
///
/// A hit keeps `size` bytes for as many requests as lie between two of one object. The cheapest hits are granted until space times
/// time is used up: cheapest per hit for requests, per byte for bytes.
pub(crate) fn pfoo_l(trace: &Trace, limit: u64) -> Ratios {
    let mut last: BTreeMap<u64, usize> = BTreeMap::new();
    let mut intervals = Vec::new();
    for (now, request) in trace.requests.iter().enumerate() {
        if let Some(before) = last.insert(request.id, now) {
            intervals.push(((now - before) as u64, request));
        }
    }
    let volume = u128::from(limit) * trace.requests.len() as u128;
    let granted = |intervals: &[(u64, &Request)], wanted: &dyn Fn(&Request) -> u64| {
        let (mut used, mut sum) = (0_u128, 0);
        for (span, request) in intervals {
            used += u128::from(*span) * u128::from(request.size);
            if used > volume {
                break;
            }
            sum += wanted(request);
        }
        sum
    };
    let total = |wanted: &dyn Fn(&Request) -> u64| trace.requests.iter().map(wanted).sum::<u64>();
    let miss = |hits: u64, total: u64| if total == 0 { 0.0 } else { 1.0 - hits as f64 / total as f64 };
    intervals.sort_by_key(|(span, request)| u128::from(*span) * u128::from(request.size));
    let objects = miss(granted(&intervals, &|_| 1), total(&|_| 1));
    let starts: Vec<_> = intervals.iter().copied().filter(|(_, request)| is_startup(request)).collect();
    let startup_of = |request: &Request| u64::from(is_startup(request));
    let startup = miss(granted(&starts, &startup_of), total(&startup_of));
    intervals.sort_by_key(|(span, _)| *span);
    let bytes = miss(granted(&intervals, &|request| request.size), total(&|request| request.size));
    Ratios { objects, bytes, startup }
}

/// Belady by size: evicts what would hold the most bytes for the longest time. Not a bound, but what foresight alone achieves.
pub(crate) fn belady_size(trace: &Trace, limit: u64) -> Ratios {
    let mut next_use = vec![u64::MAX; trace.requests.len()];
    let mut later: BTreeMap<u64, usize> = BTreeMap::new();
    for (now, request) in trace.requests.iter().enumerate().rev() {
        if let Some(next) = later.insert(request.id, now) {
            next_use[now] = next as u64;
        }
    }
    let mut misses = Misses::default();
    // By next use only; among the farthest the largest cost of size × distance goes. A window of candidates keeps it quick.
    let mut order = BTreeSet::<(u64, u64)>::new();
    let mut resident = BTreeMap::<u64, (u64, u64)>::new();
    let mut used = 0;
    for (now, request) in trace.requests.iter().enumerate() {
        let hit = resident.remove(&request.id);
        misses.count(request, hit.is_some());
        if let Some((next, size)) = hit {
            order.remove(&(next, request.id));
            used -= size;
        }
        if next_use[now] == u64::MAX || request.size > limit {
            continue;
        }
        order.insert((next_use[now], request.id));
        resident.insert(request.id, (next_use[now], request.size));
        used += request.size;
        while used > limit {
            let cost = |(next, id): &(u64, u64)| {
                let size = resident.get(id).map_or(0, |(_, size)| *size);
                u128::from(next - now as u64) * u128::from(size)
            };
            let Some(victim) = order.iter().rev().take(CANDIDATES).max_by_key(|entry| cost(entry)).copied() else {
                break;
            };
            order.remove(&victim);
            used -= resident.remove(&victim.1).map_or(0, |(_, size)| size);
        }
    }
    misses.ratios()
}

const CANDIDATES: usize = 64;
