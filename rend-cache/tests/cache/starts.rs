//! Starts that serve before the journal was read: what is here is found, what was purged is not, and nothing is lost on the way.

use std::sync::Arc;

use bytes::Bytes;
use rend_cache::journal::{FORMAT, Record, Records};
use rend_cache::memory::{MemoryFiles, Op};
use rend_cache::policy::ValueWheel;
use rend_cache::{Begin, Bypass, Cache, CacheError, Config, Finished, Head, KeyMeta, Lookup, Meta, Mode, Scope};

use crate::support::{at_rest, body, cache, fill, get, key, open};

fn early(files: &Arc<MemoryFiles>, max_bytes: u64) -> Cache {
    let wheel = Box::new(ValueWheel::new(max_bytes));
    Cache::open_early(Config::new(max_bytes), files.clone(), wheel, 0).unwrap().0
}

fn named(n: usize) -> rend_cache::Key {
    key(&format!("hls/720p/segment_{n:05}.m4s"))
}

/// A disk with so many bodies, each of its own length.
fn filled(count: usize) -> (Cache, Arc<MemoryFiles>) {
    let (cache, files) = cache(64 << 20);
    (0..count).for_each(|n| _ = fill(&cache, &named(n), &body(100 + n)));
    cache.flush().unwrap();
    (cache, files)
}

#[test]
fn a_body_is_served_before_the_journal_was_read_and_counted_once_it_was() {
    let (_, files) = filled(40);
    let again = early(&files, 64 << 20);
    assert_eq!(again.stats().entries, 0, "nothing was read about bodies yet");
    let whole = open(&files.copy(), 64 << 20);
    assert_eq!(again.stats().used_bytes, whole.stats().used_bytes, "what was not read counts as used");
    assert_eq!(get(&again, &named(7)), Some(body(107)));
    assert!(matches!(again.lookup(&named(1000), 0), Lookup::Absent));
    assert_eq!(again.load(usize::MAX), 0);
    assert_eq!((again.stats().entries, again.load(1)), (40, 0));
    assert!((0..40).all(|n| get(&again, &named(n)) == Some(body(100 + n))));
    while again.reconcile(usize::MAX) > 0 {}
    at_rest(&again, &files);
}

#[test]
fn reading_in_steps_of_any_size_comes_to_the_same() {
    let (first, files) = filled(30);
    first.purge(&Scope::Key(named(3)), Mode::Hard, 1).unwrap();
    fill(&first, &named(30), &body(9));
    (0..70).for_each(|_| _ = get(&first, &named(5)));
    first.flush().unwrap();
    let digest = open(&files.copy(), 64 << 20).stats().policy_digest;
    for step in [1, 2, 7, 1000] {
        let again = early(&files.copy(), 64 << 20);
        let (mut before, mut steps) = (usize::MAX, 0);
        loop {
            let left = again.load(step);
            assert!(left < before, "each step reads on");
            (before, steps) = (left, steps + 1);
            if left == 0 {
                break;
            }
        }
        assert_eq!((again.stats().entries, again.stats().policy_digest), (30, digest), "in {steps} steps of {step}");
    }
}

/// P8, for the time before the journal was read: wherever it was cut, a purge that it holds is in force from the first question on.
#[test]
fn a_journal_cut_at_any_byte_serves_nothing_purged_before_anything_else_of_it_was_read() {
    let files = MemoryFiles::shared();
    let first = open(&files, 64 << 20);
    (0..3).for_each(|n| _ = fill(&first, &named(n), &body(100 + n)));
    // The unlink never happens, as when the process dies.
    files.set_broken(Op::Remove, Some(std::io::ErrorKind::Other));
    first.purge(&Scope::Key(named(1)), Mode::Hard, 5).unwrap();
    let purged_at = files.journal_bytes().len();
    fill(&first, &named(9), &body(300));
    first.flush().unwrap();
    for cut in 0..=files.journal_bytes().len() {
        let crashed = files.copy();
        crashed.cut_journal(cut);
        let again = early(&crashed, 64 << 20);
        assert!(get(&again, &named(1)).is_none() || cut < purged_at, "cut at {cut}");
        assert_eq!(get(&again, &named(9)), Some(body(300)), "cut at {cut}");
        assert_eq!(again.load(usize::MAX), 0);
        assert!(get(&again, &named(1)).is_none() || cut < purged_at, "cut at {cut}, read");
        while again.reconcile(usize::MAX) > 0 {}
        at_rest(&again, &crashed);
    }
}

#[test]
fn a_purge_between_two_steps_of_reading_is_not_undone_by_what_is_read_later() {
    let (_, files) = filled(20);
    for step in [0, 1, 5, 19, 20] {
        for ask_first in [false, true] {
            let disk = files.copy();
            let again = early(&disk, 64 << 20);
            if ask_first {
                assert!(get(&again, &named(5)).is_some());
            }
            again.load(step);
            again.purge(&Scope::Prefix([1; 16], "hls/".into()), Mode::Soft, 1).unwrap();
            assert_eq!(again.load(usize::MAX), 0);
            assert!((0..20).all(|n| get(&again, &named(n)).is_none()), "after {step} records");
            while again.reconcile(usize::MAX) > 0 {}
            at_rest(&again, &disk);
            assert!(disk.names().is_empty(), "{:?}", disk.names());
        }
    }
}

#[test]
fn a_body_that_was_filled_anew_before_the_journal_was_read_stays_the_one_that_is_served() {
    let (_, files) = filled(5);
    let again = early(&files, 64 << 20);
    let Lookup::Hit(hit) = again.lookup(&named(2), 0) else { panic!("it is here") };
    let Begin::Lead(mut writer) = again.begin(&named(2), &KeyMeta::playlist(None), Some(hit.generation()), 0) else {
        panic!("nobody else asked")
    };
    writer.expect(Head::new("\"new\"", "x").with_len(3), 0).unwrap();
    writer.push(Bytes::from_static(b"new"), 0).unwrap();
    again.load(1);
    assert!(matches!(writer.finish(0).unwrap(), Finished::Stored(_)));
    assert_eq!(again.load(usize::MAX), 0);
    assert_eq!(get(&again, &named(2)), Some(Bytes::from_static(b"new")));
    drop(hit);
    while again.reconcile(usize::MAX) > 0 {}
    at_rest(&again, &files);
}

#[test]
fn a_fill_that_needs_the_room_of_what_was_not_read_yet_is_streamed_and_evicts_nobody() {
    let files = MemoryFiles::shared();
    let first = open(&files, 400_000);
    (0..20).for_each(|n| _ = fill(&first, &named(n), &body(18_000)));
    let kept = first.stats().entries;
    drop(first);
    let again = early(&files, 400_000);
    assert!(matches!(fill(&again, &key("new"), &body(50_000)), Finished::Streamed(Bypass::NoRoom)));
    assert!(again.stats().used_bytes <= 400_000);
    again.load(usize::MAX);
    assert_eq!((again.stats().entries, again.stats().evicted), (kept, 0));
    assert!(matches!(fill(&again, &key("new"), &body(50_000)), Finished::Stored(_)));
    while again.reconcile(usize::MAX) > 0 {}
    at_rest(&again, &files);
}

#[test]
fn a_snapshot_or_a_good_end_before_the_journal_was_read_loses_nothing() {
    let (_, files) = filled(25);
    let again = early(&files, 64 << 20);
    again.snapshot().unwrap();
    drop(again);
    let again = early(&files, 64 << 20);
    again.shutdown().unwrap();
    drop(again);
    let whole = open(&files, 64 << 20);
    assert_eq!(whole.stats().entries, 25);
    at_rest(&whole, &files);
}

#[test]
fn what_the_journal_dropped_and_its_folder_still_has_goes_when_that_is_read() {
    let files = MemoryFiles::shared();
    let first = open(&files, 400_000);
    files.set_broken(Op::Remove, Some(std::io::ErrorKind::Other));
    (0..15).for_each(|n| _ = fill(&first, &named(n), &body(18_000)));
    // Dropped, and its file stays: the process died before it was unlinked.
    let Lookup::Hit(hit) = first.lookup(&named(0), 0) else { panic!("it is here") };
    let Begin::Lead(writer) = first.begin(&named(0), &KeyMeta::playlist(None), Some(hit.generation()), 0) else {
        panic!("nobody else asked")
    };
    writer.fail(rend_cache::FailKind::NotFound, 0);
    first.flush().unwrap();
    let disk = files.copy();
    let again = early(&disk, 400_000);
    // Found in its folder for the moment, which does no harm: it was not purged.
    let _ = get(&again, &named(0));
    again.load(usize::MAX);
    assert_eq!(get(&again, &named(0)), None);
    assert!((1..15).all(|n| get(&again, &named(n)).is_some()));
    while again.reconcile(usize::MAX) > 0 {}
    at_rest(&again, &disk);
}

#[test]
fn a_journal_of_the_first_format_is_read_and_goes_on_in_this_one() {
    let (first, files) = filled(4);
    first.purge(&Scope::Key(named(3)), Mode::Hard, 8).unwrap();
    // The same journal as an older version would have written it.
    let mut old = Vec::new();
    for record in Records::new(&files.journal_bytes()) {
        match record {
            Record::Header { .. } => Record::Header { format: 1 }.encode(&mut old),
            Record::Kept { key, key_meta, len, generation, checked_ms, .. } => {
                let meta = Meta { len, etag: "\"e\"".into(), content_type: "video/mp4".into(), modified_ms: 0 };
                Record::Stored { key, key_meta, meta, generation, checked_ms }.encode(&mut old);
            }
            other => other.encode(&mut old),
        }
    }
    rend_cache::files::Journal::replace(&*files, &old).unwrap();
    let again = open(&files, 64 << 20);
    assert_eq!((again.stats().entries, again.purge_seen()), (3, 8));
    while again.reconcile(usize::MAX) > 0 {}
    at_rest(&again, &files);
    fill(&again, &key("new"), &body(5));
    again.flush().unwrap();
    let bytes = files.journal_bytes();
    let records: Vec<Record> = Records::new(&bytes).collect();
    assert_eq!(records[0], Record::Header { format: FORMAT });
    assert!(records.iter().any(|record| matches!(record, Record::Kept { generation, .. } if generation.0 >> 40 == 2)));
    assert_eq!(open(&files, 64 << 20).stats().entries, 4);
}

#[test]
fn a_start_that_cannot_write_its_journal_says_so_and_can_be_tried_again() {
    let (_, files) = filled(2);
    let len = files.journal_bytes().len();
    files.cut_journal(len - 1);
    for op in [Op::Replace, Op::Append, Op::Sync] {
        files.script(op, [Some(std::io::ErrorKind::Other)]);
        let refused = Cache::open(Config::new(1 << 20), files.clone(), 0).unwrap_err();
        assert!(matches!(refused, CacheError::Io { .. }) && refused.is_retryable());
    }
    let again = open(&files, 1 << 20);
    assert!(get(&again, &named(0)).is_some() && get(&again, &named(1)).is_some());
}
