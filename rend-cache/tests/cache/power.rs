//! Power that fails after any call to a disk that keeps only what it must: nothing purged comes back, and nothing is served in part.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use proptest::prelude::*;
use rend_cache::budget::charge;
use rend_cache::policy::ValueWheel;
use rend_cache::{Begin, Cache, Config, Head, Key, KeyMeta, Mode, Scope};

use crate::recording::{Chance, Recording};
use crate::support::{get, key};

/// What is done to a key, and what may be found of it afterwards.
#[derive(Clone, Debug)]
enum Deed {
    /// A body was stored.
    Stored(Bytes),
    /// A purge was acknowledged when the disk had been called so often.
    Purged(usize),
}

/// What may be served of each key: everything that was stored and not purged since.
#[derive(Clone, Debug, Default)]
struct Deeds(BTreeMap<u8, Vec<Deed>>);

impl Deeds {
    /// What may be there when the power failed after so many calls.
    fn after_power_loss(self, calls: usize) -> Self {
        let alive = |deeds: Vec<Deed>| {
            let fence = deeds.iter().rposition(|deed| matches!(deed, Deed::Purged(at) if *at <= calls));
            let rest = deeds.into_iter().skip(fence.map_or(0, |fence| fence + 1));
            // A purge that nobody was told of may have happened or not.
            rest.filter(|deed| matches!(deed, Deed::Stored(_))).collect()
        };
        Self(self.0.into_iter().map(|(key, deeds)| (key, alive(deeds))).collect())
    }

    fn allow(&self, key: u8, found: &Bytes) -> bool {
        let deeds = self.0.get(&key).map_or(&[][..], |deeds| deeds);
        deeds.iter().any(|deed| matches!(deed, Deed::Stored(body) if body == found))
    }
}

/// One life of the machine: what is done, after what share of the calls its power fails, and the seed of what is left then.
type Life = (Vec<(u8, u8, usize)>, prop::sample::Index, u64);

fn lives() -> impl Strategy<Value = Vec<Life>> {
    let step = (0_u8..9, 0_u8..4, 1_usize..9000);
    prop::collection::vec((prop::collection::vec(step, 1..20), any::<prop::sample::Index>(), any::<u64>()), 1..5)
}

fn start(files: &Arc<Recording>, early: bool) -> Cache {
    let (config, wheel) = (Config::new(1 << 20), Box::new(ValueWheel::new(1 << 20)));
    let opened = if early {
        Cache::open_early(config, files.clone(), wheel, 0)
    } else {
        Cache::open_with(config, files.clone(), wheel, 0)
    };
    opened.unwrap().0
}

fn name(n: u8) -> Key {
    key(&format!("{n}.m4s"))
}

/// A body like no other: every byte follows from `salt`.
fn unlike_others(salt: usize, len: usize) -> Bytes {
    (0..len)
        .map(|n| (n.wrapping_mul(31) ^ salt.wrapping_mul(167) ^ (salt >> 8)) as u8)
        .chain(salt.to_le_bytes())
        .collect()
}

fn store(cache: &Cache, n: u8, body: &Bytes) {
    let Begin::Lead(mut writer) = cache.begin(&name(n), &KeyMeta::segment(5, Some(1)), None, 0) else { return };
    writer.expect(Head::new("\"e\"", "video/mp4").with_len(body.len() as u64), 0).unwrap();
    writer.push(body.clone(), 0).unwrap();
    writer.finish(0).unwrap();
}

fn look(cache: &Cache, deeds: &Deeds, when: &str) -> Result<(), TestCaseError> {
    for n in 0..4 {
        if let Some(found) = get(cache, &name(n)) {
            prop_assert!(deeds.allow(n, &found), "{when}: key {n} is served as nobody may see it");
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn whatever_a_disk_forgets_of_what_was_not_synced_nothing_purged_comes_back_and_nothing_is_served_in_part(lives in lives()) {
        let (mut files, mut deeds, mut salt) = (Recording::with(BTreeMap::new(), Vec::new()), Deeds::default(), 0);
        for (steps, at, seed) in lives {
            let cache = start(&files, seed % 2 == 0);
            look(&cache, &deeds, "at the start")?;
            for (what, n, len) in steps {
                match what {
                    0 => {
                        cache.purge(&Scope::Key(name(n)), Mode::Hard, 0).unwrap();
                        deeds.0.entry(n).or_default().push(Deed::Purged(files.calls()));
                    }
                    1 => {
                        cache.purge(&Scope::Group([1; 16]), Mode::Soft, 0).unwrap();
                        (0..4).for_each(|n| deeds.0.entry(n).or_default().push(Deed::Purged(files.calls())));
                    }
                    2 => cache.snapshot().unwrap(),
                    3 => _ = cache.reap(usize::MAX),
                    4 => while cache.reconcile(usize::MAX) > 0 {},
                    _ if get(&cache, &name(n)).is_none() => {
                        salt += 1;
                        let body = unlike_others(salt, len);
                        store(&cache, n, &body);
                        deeds.0.entry(n).or_default().push(Deed::Stored(body));
                    }
                    _ => {}
                }
                look(&cache, &deeds.clone().after_power_loss(usize::MAX), "while it works")?;
            }
            let calls = at.index(files.calls() + 1);
            // The old process is gone before it can write again.
            let left = files.after_power_loss(calls, &mut Chance(seed));
            drop(cache);
            (files, deeds) = (left, deeds.after_power_loss(calls));
        }
        let cache = start(&files, true);
        look(&cache, &deeds, "at the end")?;
        while cache.reconcile(usize::MAX) > 0 {}
        look(&cache, &deeds, "when every folder is known")?;
        cache.reap(usize::MAX);
        let on_disk: u64 = files.lengths().into_iter().map(charge).sum();
        prop_assert_eq!(cache.stats().used_bytes, on_disk, "books and disk differ");
        // It goes on as a cache does.
        for n in 0..4 {
            if get(&cache, &name(n)).is_none() {
                let body = unlike_others(1_000_000, 10);
                store(&cache, n, &body);
                prop_assert_eq!(get(&cache, &name(n)), Some(body));
            }
        }
    }
}

/// The case that the property was written for: the record of a purge is not needed once its files are gone, but the disk may not have
/// written down that they are.
#[test]
fn an_unlink_that_a_power_loss_undoes_brings_nothing_back_that_was_purged() {
    let files = Recording::with(BTreeMap::new(), Vec::new());
    let cache = start(&files, false);
    let body = unlike_others(1, 5000);
    store(&cache, 0, &body);
    cache.purge(&Scope::Key(name(0)), Mode::Hard, 0).unwrap();
    cache.reap(usize::MAX);
    cache.snapshot().unwrap();
    for seed in 0..64 {
        let left = files.after_power_loss(files.calls(), &mut Chance(seed));
        let again = start(&left, seed % 2 == 0);
        while again.reconcile(usize::MAX) > 0 {}
        assert_eq!(get(&again, &name(0)), None, "seed {seed}");
    }
}
