//! Any order of calls against a plain map: what is served is what was last stored and not purged since, the books hold at every step,
//! and nothing is left over at the end. Crashes and full disks included.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use proptest::prelude::*;
use rend_cache::memory::{MemoryFiles, Op};
use rend_cache::policy::ValueWheel;
use rend_cache::{
    Begin, Cache, Config, FailKind, FillError, FillReader, FillWriter, Finished, Generation, Head, Key, KeyMeta,
    Lookup, Mode, Scope,
};

use crate::support::{at_rest, drain};

#[derive(Clone, Debug)]
enum Step {
    /// Asks for a key; when it is absent, or is to be fetched again, begins a fill of so many bytes.
    Ask {
        key: u8,
        len: usize,
        again: bool,
        told: bool,
    },
    /// The fill of a key gets a part of its bytes.
    Push {
        key: u8,
        part: usize,
    },
    Finish {
        key: u8,
    },
    Fail {
        key: u8,
        absent: bool,
    },
    Abandon {
        key: u8,
    },
    Confirm {
        key: u8,
    },
    Read {
        key: u8,
    },
    Leave {
        key: u8,
    },
    Purge {
        scope: u8,
        hard: bool,
    },
    Reap,
    Snapshot,
    Reconcile,
    /// The process is killed.
    Crash,
    /// The disk refuses its next operation of a kind.
    Fault {
        op: usize,
    },
    Capacity {
        full: bool,
    },
    Later {
        ms: u64,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let key = || 0_u8..6;
    prop_oneof![
        8 => (key(), 0_usize..60_000, any::<bool>(), any::<bool>())
            .prop_map(|(key, len, again, told)| Step::Ask { key, len, again, told }),
        8 => (key(), 1_usize..40_000).prop_map(|(key, part)| Step::Push { key, part }),
        8 => key().prop_map(|key| Step::Finish { key }),
        1 => (key(), any::<bool>()).prop_map(|(key, absent)| Step::Fail { key, absent }),
        1 => key().prop_map(|key| Step::Abandon { key }),
        1 => key().prop_map(|key| Step::Confirm { key }),
        4 => key().prop_map(|key| Step::Read { key }),
        1 => key().prop_map(|key| Step::Leave { key }),
        2 => (0_u8..8, any::<bool>()).prop_map(|(scope, hard)| Step::Purge { scope, hard }),
        1 => Just(Step::Reap),
        1 => Just(Step::Snapshot),
        1 => Just(Step::Reconcile),
        1 => Just(Step::Crash),
        1 => (0_usize..8).prop_map(|op| Step::Fault { op }),
        1 => any::<bool>().prop_map(|full| Step::Capacity { full }),
        2 => (0_u64..5000).prop_map(|ms| Step::Later { ms }),
    ]
}

const OPS: [Op; 8] = [Op::Create, Op::Write, Op::Publish, Op::Open, Op::Remove, Op::Append, Op::Read, Op::Replace];
const MAX_BYTES: u64 = 160_000;

/// A fill as the test drives it.
struct Filling {
    writer: FillWriter,
    body: Bytes,
    pushed: usize,
    reader: FillReader,
    read: Vec<u8>,
    /// Whether a purge came after it began: then it must never become visible.
    fenced: bool,
    hard: bool,
}

struct World {
    files: Arc<MemoryFiles>,
    cache: Cache,
    now_ms: u64,
    serial: usize,
    filling: BTreeMap<u8, Filling>,
    /// What may be served. A body may be gone, because it was evicted, but never be another one.
    stored: BTreeMap<u8, Bytes>,
}

fn name(key: u8) -> Key {
    // Two assets, two folders.
    Key::new([key % 2; 16], &format!("{}/{key}", if key < 3 { "a" } else { "b" }))
}

fn covers(scope: u8) -> Scope {
    match scope {
        0 | 1 => Scope::Group([scope; 16]),
        2 => Scope::Prefix([0; 16], "a/".into()),
        3 => Scope::Prefix([1; 16], "b".into()),
        other => Scope::Key(name(other - 4)),
    }
}

impl World {
    fn new() -> Self {
        let files = MemoryFiles::shared();
        let cache = Self::open(&files, false);
        Self { files, cache, now_ms: 0, serial: 0, filling: BTreeMap::new(), stored: BTreeMap::new() }
    }

    fn open(files: &Arc<MemoryFiles>, early: bool) -> Cache {
        let mut config = Config::new(MAX_BYTES);
        // Small windows, so that readers fall behind them.
        (config.window_bytes_max, config.bypass_window_bytes_max) = (8 << 10, 64 << 10);
        (config.ram_bytes_max, config.open_files_max, config.hot_object_bytes_max) = (20_000, 2, 10_000);
        let wheel = Box::new(ValueWheel::new(MAX_BYTES));
        let cache = Cache::open_early(config, files.clone(), wheel, 0).unwrap().0;
        if !early {
            cache.load(usize::MAX);
        }
        cache
    }

    fn take(&mut self, step: &Step) {
        match step {
            Step::Ask { key, len, again, told } => self.ask(*key, *len, *again, *told),
            Step::Push { key, part } => {
                let now_ms = self.now_ms;
                if let Some(filling) = self.filling.get_mut(key) {
                    let end = filling.body.len().min(filling.pushed + part);
                    let pushed = filling.writer.push(filling.body.slice(filling.pushed..end), now_ms);
                    assert_eq!(pushed, if filling.hard { Err(FillError::Purged) } else { Ok(()) });
                    filling.pushed = end;
                }
            }
            Step::Finish { key } => self.finish(*key),
            Step::Fail { key, absent } => {
                if let Some(filling) = self.filling.remove(key) {
                    // What the origin no longer has is dropped, but may come back in a crash: it is no purge.
                    filling.writer.fail(if *absent { FailKind::NotFound } else { FailKind::Origin }, self.now_ms);
                }
            }
            Step::Abandon { key } => drop(self.filling.remove(key)),
            Step::Confirm { key } => {
                if let Some(filling) = self.filling.remove(key) {
                    filling.writer.not_modified(self.now_ms);
                }
            }
            Step::Read { key } => {
                if let Some(filling) = self.filling.get_mut(key) {
                    let (bytes, end) = drain(&mut filling.reader);
                    filling.read.extend(bytes);
                    assert!(filling.body.starts_with(&filling.read));
                    assert_ne!(end, Some(Ok(())), "the fill has not ended");
                } else {
                    self.look(*key);
                }
            }
            Step::Leave { key } => {
                if let Some(filling) = self.filling.get_mut(key) {
                    let another = filling.writer.reader().unwrap();
                    filling.reader = another;
                    filling.read.clear();
                }
            }
            Step::Purge { scope, hard } => self.purge(&covers(*scope), *hard),
            Step::Reap => drop(self.cache.reap(3)),
            Step::Snapshot => drop(self.cache.snapshot()),
            Step::Reconcile => drop(self.cache.reconcile(1000)),
            Step::Crash => self.crash(),
            Step::Fault { op } => self.files.script(OPS[*op], [Some(io::ErrorKind::Other)]),
            Step::Capacity { full } => {
                let now = self.files.published_bytes();
                self.files.set_capacity(full.then_some(now + 5000));
            }
            Step::Later { ms } => self.now_ms += ms,
        }
        let stats = self.cache.stats();
        assert!(stats.used_bytes <= stats.max_bytes, "after {step:?}: {stats:?}");
        // A file whose journal record was lost is adopted as it turns up, so only those of this life are in the books for sure.
    }

    fn ask(&mut self, key: u8, len: usize, again: bool, told: bool) {
        let seen = match self.cache.lookup(&name(key), self.now_ms) {
            Lookup::Hit(hit) => {
                assert_eq!(Some(hit.body()), self.stored.get(&key), "key {key} serves what was not stored last");
                Some(hit.generation()).filter(|_| again)
            }
            Lookup::Filling(_) => {
                assert!(self.filling.get(&key).is_some_and(|filling| !filling.fenced), "nobody fills {key}");
                return;
            }
            Lookup::Absent => None,
            Lookup::Negative(_) => return,
            Lookup::Overloaded => panic!("there are few readers"),
        };
        let known = seen.unwrap_or(Generation(0));
        match self.cache.begin(&name(key), &KeyMeta::playlist(None), Some(known), self.now_ms) {
            Begin::Lead(mut writer) => {
                assert!(self.filling.get(&key).is_none_or(|filling| filling.fenced), "two lead {key}");
                self.serial += 1;
                let body: Bytes = (0..len).map(|n| (n * 7 + self.serial) as u8).collect();
                let head = Head::new(&format!("\"{}\"", self.serial), "x");
                let head = if told { head.with_len(len as u64) } else { head };
                writer.expect(head, self.now_ms).unwrap();
                let reader = writer.reader().unwrap();
                let filling = Filling { writer, body, pushed: 0, reader, read: Vec::new(), fenced: false, hard: false };
                self.filling.insert(key, filling);
            }
            Begin::Stored => assert!(self.stored.contains_key(&key)),
            Begin::Follow(_) => assert!(self.filling.contains_key(&key)),
            Begin::Negative(_) => {}
            Begin::Overloaded => panic!("there are few fills"),
        }
    }

    fn finish(&mut self, key: u8) {
        let Some(mut filling) = self.filling.remove(&key) else { return };
        let rest = filling.body.slice(filling.pushed..);
        let told = filling.writer.push(rest, self.now_ms).and_then(|()| filling.writer.finish(self.now_ms));
        let (bytes, end) = drain(&mut filling.reader);
        filling.read.extend(bytes);
        match told {
            Ok(finished) => {
                assert!(!filling.hard);
                if end == Some(Ok(())) {
                    assert!(filling.read == filling.body);
                } else {
                    let cut = [FillError::Lagged, FillError::Disk];
                    assert!(cut.map(|error| Some(Err(error))).contains(&end), "{end:?}");
                }
                if let Finished::Stored(_) = finished {
                    assert!(!filling.fenced, "a fill begun before a purge became visible");
                    self.stored.insert(key, filling.body);
                }
            }
            Err(error) => {
                assert!(filling.hard && error == FillError::Purged && end == Some(Err(error)), "{error:?} {end:?}")
            }
        }
    }

    fn purge(&mut self, scope: &Scope, hard: bool) {
        let mode = if hard { Mode::Hard } else { Mode::Soft };
        // Asked again until it is durable, as a caller does.
        while self.cache.purge(scope, mode, 0).is_err() {}
        self.stored.retain(|key, _| !scope.covers(&name(*key)));
        for (key, filling) in &mut self.filling {
            if scope.covers(&name(*key)) {
                filling.fenced = true;
                filling.hard |= hard;
            }
        }
    }

    fn look(&self, key: u8) {
        if let Lookup::Hit(hit) = self.cache.lookup(&name(key), self.now_ms) {
            assert_eq!(Some(hit.body()), self.stored.get(&key), "key {key}");
        }
    }

    /// Everything in memory is gone, and what the kernel had is still there.
    fn crash(&mut self) {
        let files = self.files.copy();
        self.filling.clear();
        // Every other start serves before it has read about bodies, which happens at the next snapshot or look at folders.
        self.cache = Self::open(&files, self.serial.is_multiple_of(2));
        self.files = files;
        (0..6).for_each(|key| self.look(key));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(80))]

    /// P1 and P2 of the whole cache, and P8 with crashes in between.
    #[test]
    fn in_any_order_of_calls_and_crashes_only_what_was_stored_last_is_served(steps in proptest::collection::vec(step(), 0..150)) {
        let mut world = World::new();
        for step in &steps {
            world.take(step);
        }
        world.filling.clear();
        for op in OPS {
            world.files.script(op, std::iter::empty());
        }
        // Faults that were ordered and did not happen yet must not disturb the reckoning.
        world.crash();
        while world.cache.reconcile(usize::MAX) > 0 {}
        at_rest(&world.cache, &world.files);
    }
}

#[test]
fn many_threads_at_once_see_whole_bodies_only_and_leave_nothing_behind() {
    let files = MemoryFiles::shared();
    let cache = World::open(&files, false);
    let body = |key: u8| -> Bytes { (0..20_000).map(|n| (n as u8).wrapping_mul(key + 1)).collect() };
    std::thread::scope(|scope| {
        for thread in 0..4_u8 {
            let cache = cache.clone();
            scope.spawn(move || {
                for round in 0..400_u32 {
                    let key = (round % 6) as u8;
                    match cache.lookup(&name(key), 0) {
                        Lookup::Hit(hit) => assert_eq!(*hit.body(), body(key)),
                        Lookup::Filling(mut reader) => {
                            let read = futures::executor::block_on(async {
                                let mut all = Vec::new();
                                while let Some(chunk) = reader.chunk().await {
                                    all.extend_from_slice(&chunk?);
                                }
                                Ok::<_, FillError>(all)
                            });
                            assert!(read.is_err() || read == Ok(body(key).to_vec()));
                        }
                        _ => {
                            if let Begin::Lead(mut writer) =
                                cache.begin(&name(key), &KeyMeta::segment(9, None), None, 0)
                            {
                                writer
                                    .expect(Head::new("\"e\"", "x").with_len(20_000), 0)
                                    .unwrap_or(rend_cache::Placement::Storing);
                                for chunk in 0..4 {
                                    let _ = writer.push(body(key).slice(chunk * 5000..(chunk + 1) * 5000), 0);
                                }
                                let _ = writer.finish(0);
                            }
                        }
                    }
                    if round % 50 == u32::from(thread) {
                        cache.purge(&covers((round % 8) as u8), Mode::Hard, 0).unwrap();
                    }
                    let stats = cache.stats();
                    assert!(stats.used_bytes <= stats.max_bytes);
                }
            });
        }
    });
    while cache.reconcile(usize::MAX) > 0 {}
    at_rest(&cache, &files);
}
