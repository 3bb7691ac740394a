//! A disk that fails: what it may cost, and what it never may.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use proptest::prelude::*;
use rend_cache::memory::{MemoryFiles, Op};
use rend_cache::{Bypass, Cache, Config, Finished, Head, Lookup, Mode, Scope};

use crate::support::{at_rest, body, cache, drain, fill, get, key, lead, open};

/// Every client got its bytes, nothing is stored, and once the disk is well again it stores.
#[track_caller]
fn streams_on_and_recovers(cache: &Cache, files: &Arc<MemoryFiles>, heal: impl FnOnce(&MemoryFiles)) {
    let finished = fill(cache, &key("a"), &body(300_000));
    assert!(matches!(finished, Finished::Streamed(Bypass::Disk | Bypass::NoRoom)), "{finished:?}");
    assert_eq!(get(cache, &key("a")), None);
    heal(files);
    cache.reap(usize::MAX);
    let mut writer = match cache.begin(&key("a"), &rend_cache::KeyMeta::segment(5, Some(1)), None, LATER_MS) {
        rend_cache::Begin::Lead(writer) => writer,
        other => panic!("{other:?}"),
    };
    writer.expect(Head::new("\"e\"", "video/mp4").with_len(300_000), LATER_MS).unwrap();
    writer.push(body(300_000), LATER_MS).unwrap();
    assert!(matches!(writer.finish(LATER_MS).unwrap(), Finished::Stored(_)));
    at_rest(cache, files);
}

#[test]
fn no_space_at_the_rename_costs_the_copy_and_nothing_else() {
    let (cache, files) = cache(64 << 20);
    files.set_broken(Op::Publish, Some(io::ErrorKind::StorageFull));
    streams_on_and_recovers(&cache, &files, |files| files.set_broken(Op::Publish, None));
}

#[test]
fn a_disk_that_turns_read_only_streams_on_and_keeps_what_it_has() {
    let (cache, files) = cache(64 << 20);
    fill(&cache, &key("before"), &body(1000));
    let read_only = [Op::Create, Op::Write, Op::Publish, Op::Remove, Op::Append, Op::Sync, Op::Replace];
    read_only.iter().for_each(|op| files.set_broken(*op, Some(io::ErrorKind::ReadOnlyFilesystem)));
    assert!(get(&cache, &key("before")).is_some());
    streams_on_and_recovers(&cache, &files, |files| read_only.iter().for_each(|op| files.set_broken(*op, None)));
    assert!(get(&cache, &key("before")).is_some());
}

#[test]
fn a_disk_without_inodes_streams_on() {
    let (cache, files) = cache(64 << 20);
    files.set_inodes(Some(0));
    streams_on_and_recovers(&cache, &files, |files| files.set_inodes(None));
}

#[test]
fn inodes_that_run_out_make_room_by_evicting() {
    let files = MemoryFiles::shared();
    files.set_inodes(Some(80));
    let cache = open(&files, 1 << 30);
    for n in 0..200 {
        fill(&cache, &key(&n.to_string()), &body(1000));
        assert!(files.names().len() <= 80);
    }
    assert!(cache.stats().evicted > 0 && cache.stats().entries > 0, "{:?}", cache.stats());
    at_rest(&cache, &files);
}

#[test]
fn a_disk_that_others_have_filled_is_left_to_them() {
    let files = MemoryFiles::shared();
    files.set_capacity(Some(10 << 20));
    let mut config = Config::new(64 << 20);
    config.min_free_bytes = 1 << 20;
    let (cache, _) = Cache::open(config, files.clone(), 0).unwrap();
    files.set_taken_by_others(10 << 20);
    streams_on_and_recovers(&cache, &files, |files| files.set_taken_by_others(0));
}

#[test]
fn a_journal_that_cannot_be_appended_to_loses_no_body_and_no_purge() {
    let (cache, files) = cache(64 << 20);
    fill(&cache, &key("kept"), &body(1000));
    let both = [Op::Append, Op::Replace];
    both.iter().for_each(|op| files.set_broken(*op, Some(io::ErrorKind::StorageFull)));
    fill(&cache, &key("unrecorded"), &body(1000));
    assert!(cache.purge(&Scope::Key(key("kept")), Mode::Soft, 0).is_err(), "it could be undone by a crash");
    assert_eq!(get(&cache, &key("kept")), None, "and is in force all the same");
    both.iter().for_each(|op| files.set_broken(*op, None));
    cache.purge(&Scope::Key(key("kept")), Mode::Soft, 0).unwrap();
    let again = open(&files.copy(), 64 << 20);
    assert_eq!(get(&again, &key("kept")), None);
    assert!(get(&again, &key("unrecorded")).is_some(), "its footer tells what the journal does not");
}

#[test]
fn a_read_error_costs_one_fetch_and_no_more() {
    let (first, files) = cache(64 << 20);
    fill(&first, &key("a"), &body(200_000));
    drop(first);
    let cache = open(&files, 64 << 20);
    files.script(Op::Open, [Some(io::ErrorKind::Other)]);
    assert!(matches!(cache.lookup(&key("a"), 0), Lookup::Absent));
    fill(&cache, &key("a"), &body(200_000));
    for _ in 0..3 {
        assert!(get(&cache, &key("a")).is_some());
    }
    assert_eq!(cache.stats().disk_errors, 1);
}

#[test]
fn an_unlink_that_is_late_counts_until_it_is_done() {
    let (cache, files) = cache(64 << 10);
    files.set_broken(Op::Remove, Some(io::ErrorKind::Other));
    for n in 0..40 {
        fill(&cache, &key(&n.to_string()), &body(10_000));
        assert!(cache.stats().used_bytes <= 64 << 10);
        let on_disk: u64 = files.names().len() as u64 * 12_288;
        assert!(on_disk <= 64 << 10, "{on_disk}");
    }
    files.set_broken(Op::Remove, None);
    at_rest(&cache, &files);
}

#[test]
fn a_clock_that_jumps_a_day_either_way_neither_loses_nor_freezes_anything() {
    let day_ms = 86_400_000;
    let (cache, files) = cache(64 << 20);
    fill(&cache, &key("a"), &body(1000));
    lead(&cache, &key("gone")).fail(rend_cache::FailKind::NotFound, 10 * day_ms);
    for now_ms in [11 * day_ms, 9 * day_ms, 10 * day_ms + 10_000] {
        assert!(matches!(cache.lookup(&key("a"), now_ms), Lookup::Hit(_)));
        assert!(matches!(cache.lookup(&key("gone"), now_ms), Lookup::Absent), "{now_ms}: an absence is not for ever");
    }
    // A disk that was told to rest is tried again, whatever the clock says.
    files.set_broken(Op::Create, Some(io::ErrorKind::Other));
    (0..8).for_each(|n| _ = fill(&cache, &key(&n.to_string()), &body(10)));
    files.set_broken(Op::Create, None);
    for now_ms in [11 * day_ms, 0] {
        let name = key(&format!("at {now_ms}"));
        let rend_cache::Begin::Lead(mut writer) =
            cache.begin(&name, &rend_cache::KeyMeta::segment(0, None), None, now_ms + 20_000)
        else {
            panic!("nobody else asked")
        };
        writer.expect(Head::new("\"e\"", "x").with_len(1), now_ms + 20_000).unwrap();
        assert_eq!(writer.placement(), rend_cache::Placement::Storing);
    }
}

/// What power loss does to one file whose bytes were never synced.
#[derive(Clone, Copy, Debug)]
enum Damage {
    None,
    Cut(u16),
    ZeroTail(u16),
    Empty,
    /// The rename was not written down: the file is not there.
    Lost,
}

fn damage() -> impl Strategy<Value = Damage> {
    prop_oneof![
        2 => Just(Damage::None),
        1 => any::<u16>().prop_map(Damage::Cut),
        1 => any::<u16>().prop_map(Damage::ZeroTail),
        1 => Just(Damage::Empty),
        1 => Just(Damage::Lost),
    ]
}

fn damaged(files: &MemoryFiles, damages: &[Damage]) {
    use rend_cache::files::CacheFiles;
    for (name, damage) in files.names().into_iter().zip(damages.iter().cycle()) {
        let bytes = files.open(&name).unwrap().bytes;
        let keep = |share: u16| bytes.len() * usize::from(share) / usize::from(u16::MAX);
        match *damage {
            Damage::None => {}
            Damage::Cut(share) => files.corrupt(name, bytes.slice(..keep(share))),
            Damage::ZeroTail(share) => {
                let keep = keep(share);
                files.corrupt(name, [&bytes[..keep], &vec![0; bytes.len() - keep]].concat().into());
            }
            Damage::Empty => files.corrupt(name, Bytes::new()),
            Damage::Lost => files.remove(&name).unwrap(),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Files may be torn, emptied or lost in any combination, and the journal loses what was not synced: what is served is a body that
    /// was stored whole and not purged since.
    #[test]
    fn after_power_loss_a_file_is_what_was_stored_or_a_miss(
        steps in proptest::collection::vec((0_u8..6, 0_u8..4, 1_usize..40_000), 1..30),
        damages in proptest::collection::vec(damage(), 1..9),
    ) {
        let (cache, files) = cache(1 << 20);
        let mut stored: BTreeMap<u8, Vec<Bytes>> = BTreeMap::new();
        for (what, name, len) in &steps {
            match what {
                0 => {
                    cache.purge(&Scope::Key(key(&name.to_string())), Mode::Soft, 0).unwrap();
                    stored.remove(name);
                }
                1 => cache.snapshot().unwrap(),
                2 => _ = cache.reap(usize::MAX),
                _ if get(&cache, &key(&name.to_string())).is_none() => {
                    let bytes: Bytes = body(*len);
                    fill(&cache, &key(&name.to_string()), &bytes);
                    stored.entry(*name).or_default().push(bytes);
                }
                _ => {}
            }
        }
        let lost = files.copy();
        drop(cache);
        lost.lose_power();
        damaged(&lost, &damages);
        let cache = open(&lost, 1 << 20);
        for name in 0..4 {
            if let Some(found) = get(&cache, &key(&name.to_string())) {
                prop_assert!(stored.get(&name).is_some_and(|bodies| bodies.contains(&found)), "{name}");
            }
        }
        while cache.reconcile(usize::MAX) > 0 {}
        for name in 0..4 {
            if let Some(found) = get(&cache, &key(&name.to_string())) {
                prop_assert!(stored.get(&name).is_some_and(|bodies| bodies.contains(&found)), "{name}, reconciled");
            }
        }
        // It goes on as a cache does.
        (0..4_u8).for_each(|name| if get(&cache, &key(&name.to_string())).is_none() { fill(&cache, &key(&name.to_string()), &body(5)); });
        prop_assert!((0..4_u8).all(|name| get(&cache, &key(&name.to_string())).is_some()));
    }
}

#[test]
fn a_slow_reader_of_a_fill_whose_disk_fails_is_told_and_the_quick_one_reads_on() {
    let (cache, files) = cache(64 << 20);
    let mut writer = lead(&cache, &key("a"));
    let mut quick = writer.reader().unwrap();
    writer.expect(Head::new("\"e\"", "x").with_len(20 << 20), 0).unwrap();
    files.set_broken(Op::Write, Some(io::ErrorKind::Other));
    let mut read = 0;
    for _ in 0..20 {
        writer.push(body(1 << 20), 0).unwrap();
        read += drain(&mut quick).0.len();
    }
    assert!(matches!(writer.finish(0).unwrap(), Finished::Streamed(Bypass::Disk)));
    read += drain(&mut quick).0.len();
    assert_eq!(read, 20 << 20);
    drop(quick);
    files.set_broken(Op::Write, None);
    at_rest(&cache, &files);
}

/// Later than a disk that refused is left alone.
const LATER_MS: u64 = 60_000;
