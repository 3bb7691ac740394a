//! A purge beats everything that was begun before it, also over a crash.

use std::io;
use std::sync::Arc;

use crate::support::{at_rest, body, cache, drain, fill, get, key, lead, open};
use bytes::Bytes;
use rend_cache::memory::{MemoryFiles, Op};
use rend_cache::{Begin, Bypass, FailKind, Fate, FillError, Finished, Gone, Head, Key, KeyMeta, Lookup, Mode, Scope};

fn scopes() -> [Scope; 3] {
    [Scope::Group([1; 16]), Scope::Prefix([1; 16], "a".into()), Scope::Key(key("a"))]
}

/// P8.
#[test]
fn a_purge_beats_a_fill_begun_before_it_at_every_step() {
    for scope in scopes() {
        for mode in [Mode::Hard, Mode::Soft] {
            for step in 0..4 {
                let (cache, files) = cache(64 << 20);
                let purge = |now: usize| {
                    if now == step {
                        cache.purge(&scope, mode, 7).unwrap();
                    }
                };
                let mut writer = lead(&cache, &key("a"));
                let mut reader = writer.reader().unwrap();
                purge(0);
                let mut told = writer.expect(Head::new("\"e\"", "x").with_len(200_000), 0).map(|_| ());
                purge(1);
                told = told.and_then(|()| writer.push(body(100_000), 0));
                purge(2);
                told = told.and_then(|()| writer.push(body(100_000), 0));
                purge(3);
                // Whoever asks now does not join what was purged.
                let second = cache.begin(&key("a"), &KeyMeta::segment(5, Some(1)), None, 0);
                let Begin::Lead(mut second) = second else { panic!("{second:?}") };
                let finished = told.and_then(|()| writer.finish(0));
                let (got, end) = drain(&mut reader);
                match mode {
                    Mode::Hard => {
                        assert_eq!(finished, Err(FillError::Purged), "{scope} {step}");
                        assert_eq!(end, Some(Err(FillError::Purged)));
                    }
                    Mode::Soft => {
                        assert!(
                            matches!(finished, Ok(Finished::Streamed(Bypass::Purged))),
                            "{scope} {step} {finished:?}"
                        );
                        assert_eq!((got.len(), end), (200_000, Some(Ok(()))));
                    }
                }
                assert_eq!(get(&cache, &key("a")), None);
                second.expect(Head::new("\"f\"", "x").with_len(3), 0).unwrap();
                second.push("new".into(), 0).unwrap();
                assert!(matches!(second.finish(0).unwrap(), Finished::Stored(_)));
                assert_eq!(get(&cache, &key("a")).as_deref(), Some(&b"new"[..]));
                drop(reader);
                at_rest(&cache, &files);
                // And so it is after a crash.
                let again = open(&files.copy(), 64 << 20);
                assert_eq!(get(&again, &key("a")).as_deref(), Some(&b"new"[..]));
                assert_eq!(again.purge_seen(), 7);
            }
        }
    }
}

#[test]
fn what_was_purged_stays_purged_after_power_loss_at_any_later_moment() {
    for scope in scopes() {
        let (first, files) = cache(64 << 20);
        fill(&first, &key("a"), &body(300));
        fill(&first, &key("b"), &body(300));
        // The files survive, as unlinking was not done yet, and so does every synced record.
        first.purge(&scope, Mode::Hard, 3).unwrap();
        let crashed = files.copy();
        crashed.lose_power();
        assert_eq!(crashed.names().len(), 2, "not unlinked yet");
        let again = open(&crashed, 64 << 20);
        again.reconcile(usize::MAX);
        assert_eq!(get(&again, &key("a")), None, "{scope}");
        assert_eq!(get(&again, &key("b")).is_some(), scope != Scope::Group([1; 16]), "{scope}");
        assert_eq!(again.purge_seen(), 3);
        at_rest(&again, &crashed);
    }
}

#[test]
fn a_purge_that_could_not_be_made_durable_says_so_and_is_in_force_all_the_same() {
    for op in [Op::Append, Op::Sync] {
        let (cache, files) = cache(64 << 20);
        fill(&cache, &key("a"), &body(300));
        files.script(op, [Some(io::ErrorKind::Other)]);
        assert!(cache.purge(&Scope::Group([1; 16]), Mode::Hard, 1).unwrap_err().is_retryable());
        assert_eq!(get(&cache, &key("a")), None);
        // Repeating it makes it durable, though the journal may have ended in half a record.
        cache.purge(&Scope::Group([1; 16]), Mode::Hard, 1).unwrap();
        let crashed = files.copy();
        crashed.lose_power();
        assert_eq!(get(&open(&crashed, 64 << 20), &key("a")), None);
    }
}

#[test]
fn a_hard_purge_tells_those_who_are_sending_a_stored_body_to_break_off() {
    for (mode, revoked) in [(Mode::Hard, true), (Mode::Soft, false)] {
        let (cache, _) = cache(64 << 20);
        fill(&cache, &key("a"), &body(300));
        let Lookup::Hit(hit) = cache.lookup(&key("a"), 0) else { panic!("stored") };
        cache.purge(&Scope::Key(key("a")), mode, 0).unwrap();
        assert_eq!(hit.is_revoked(), revoked);
        assert_eq!(hit.body(), &body(300), "the bytes stay readable");
    }
}

#[test]
fn a_hard_purge_cuts_off_a_slow_reader_of_a_fill_that_is_complete() {
    let (cache, _) = cache(64 << 20);
    let mut writer = lead(&cache, &key("a"));
    let mut slow = writer.reader().unwrap();
    writer.push(body(300), 0).unwrap();
    writer.finish(0).unwrap();
    cache.purge(&Scope::Group([1; 16]), Mode::Hard, 0).unwrap();
    assert_eq!(drain(&mut slow), (vec![], Some(Err(FillError::Purged))));
}

#[test]
fn purging_twice_or_what_is_not_there_is_as_good_as_once() {
    let (cache, files) = cache(64 << 20);
    fill(&cache, &key("a"), &body(300));
    assert_eq!(cache.purge(&Scope::Key(key("a")), Mode::Hard, 1).unwrap().entries, 1);
    assert_eq!(cache.purge(&Scope::Key(key("a")), Mode::Hard, 1).unwrap().entries, 0);
    assert_eq!(cache.purge(&Scope::Group([9; 16]), Mode::Soft, 2).unwrap().entries, 0);
    assert_eq!(cache.purge_seen(), 2);
    at_rest(&cache, &files);
}

#[test]
fn a_purge_forgets_that_a_key_was_absent() {
    let (cache, _) = cache(64 << 20);
    lead(&cache, &key("a")).fail(FailKind::NotFound, 0);
    assert!(matches!(cache.lookup(&key("a"), 0), Lookup::Negative(_)));
    cache.purge(&Scope::Group([1; 16]), Mode::Soft, 0).unwrap();
    assert!(matches!(cache.lookup(&key("a"), 0), Lookup::Absent));
}

#[test]
fn the_failure_of_a_fill_that_was_purged_is_not_remembered() {
    let (cache, _) = cache(64 << 20);
    let writer = lead(&cache, &key("a"));
    cache.purge(&Scope::Group([1; 16]), Mode::Soft, 0).unwrap();
    writer.fail(FailKind::NotFound, 0);
    assert!(matches!(cache.lookup(&key("a"), 0), Lookup::Absent));
}

/// The journal and the files as they are at each step of a life; a start from any of them must find nothing purged and nothing torn.
#[test]
fn a_journal_cut_at_any_byte_serves_whole_bodies_and_nothing_purged_before_the_cut() {
    let files = MemoryFiles::shared();
    let first = open(&files, 64 << 20);
    fill(&first, &key("a1"), &body(100));
    fill(&first, &key("b1"), &body(200));
    first.purge(&Scope::Prefix([1; 16], "a".into()), Mode::Hard, 5).unwrap();
    let purged_at = files.journal_bytes().len();
    fill(&first, &key("c1"), &body(300));
    first.flush().unwrap();
    for cut in 0..=files.journal_bytes().len() {
        let crashed = files.copy();
        crashed.cut_journal(cut);
        let cache = open(&crashed, 64 << 20);
        let found = |name: &str, len| get(&cache, &key(name)).inspect(|found| assert!(*found == body(len))).is_some();
        assert!(found("b1", 200) && found("c1", 300), "cut at {cut}: files tell what the journal does not");
        assert!(!found("a1", 100) || cut < purged_at, "cut at {cut}");
        drop(cache);
        // The second start reads what the first one wrote behind the cut.
        let cache = open(&crashed, 64 << 20);
        assert!(get(&cache, &key("c1")).is_some(), "cut at {cut}, second start");
        fill(&cache, &key(&format!("new{cut}")), &body(10));
        if cut % 32 == 0 {
            // All folders: what nobody asked for is adopted, or removed when it was purged.
            assert_eq!(cache.reconcile(usize::MAX), 0);
            at_rest(&cache, &crashed);
        }
    }
}

#[test]
fn generations_never_repeat_even_when_the_journal_is_lost() {
    let files = MemoryFiles::shared();
    let first = open(&files, 64 << 20);
    let Finished::Stored(before) = fill(&first, &key("a"), &body(100)) else { panic!("stored") };
    drop(first);
    files.cut_journal(0);
    let again = open(&files, 64 << 20);
    let Finished::Stored(after) = fill(&again, &key("b"), &body(100)) else { panic!("stored") };
    assert!(after > before);
    // So a purge still covers the file that nobody has looked at yet.
    again.purge(&Scope::Group([1; 16]), Mode::Hard, 0).unwrap();
    again.reconcile(usize::MAX);
    assert_eq!(get(&again, &key("a")), None);
}

#[test]
fn a_snapshot_and_a_clean_end_keep_everything_and_its_order() {
    let files = MemoryFiles::shared();
    let first = open(&files, 1 << 20);
    for n in 0..20 {
        fill(&first, &key(&n.to_string()), &body(20_000));
    }
    first.purge(&Scope::Key(key("3")), Mode::Hard, 9).unwrap();
    first.snapshot().unwrap();
    fill(&first, &key("after"), &body(20_000));
    first.shutdown().unwrap();
    let (again, recovered) = rend_cache::Cache::open(rend_cache::Config::new(1 << 20), files.clone(), 0).unwrap();
    assert_eq!((recovered.entries, recovered.clean, recovered.torn_bytes, recovered.purge_seen), (20, true, 0, 9));
    assert!((0..20).all(|n| get(&again, &key(&n.to_string())).is_some() == (n != 3)));
    at_rest(&again, &files);
    again.reconcile(usize::MAX);
    again.snapshot().unwrap();
    assert_eq!(again.stats().fences, 0, "nothing older can turn up any more");
    assert_eq!(open(&files, 1 << 20).purge_seen(), 9);
}

#[test]
fn a_smaller_limit_at_the_next_start_is_kept_from_the_start() {
    let files = MemoryFiles::shared();
    let first = open(&files, 1 << 20);
    for n in 0..20 {
        fill(&first, &key(&n.to_string()), &body(20_000));
    }
    let again = open(&files, 200_000);
    assert!(again.stats().used_bytes <= 200_000);
    again.reconcile(usize::MAX);
    at_rest(&again, &files);
    assert!(files.published_bytes() <= 200_000);
}

#[test]
fn a_journal_of_a_newer_format_is_refused() {
    let files = MemoryFiles::shared();
    let mut bytes = Vec::new();
    rend_cache::journal::Record::Header { format: 3 }.encode(&mut bytes);
    rend_cache::files::Journal::append(&*files, &bytes).unwrap();
    let refused = rend_cache::Cache::open(rend_cache::Config::new(1 << 20), files, 0).unwrap_err();
    assert!(matches!(refused, rend_cache::CacheError::Newer { found: 3, known: 2 }) && !refused.is_retryable());
}

#[test]
fn an_asset_is_inspected_by_name_with_what_decides_its_fate() {
    let (cache, _) = cache(64 << 20);
    fill(&cache, &key("b"), &body(300));
    fill(&cache, &key("a"), &body(300));
    fill(&cache, &Key::new([2; 16], "c"), &body(300));
    let _writer = lead(&cache, &key("0"));
    get(&cache, &key("b"));
    let views = cache.inspect([1; 16], 500);
    let names: Vec<_> = views.iter().map(|view| (&*view.name, view.state, view.hits)).collect();
    use rend_cache::EntryState::{Filling, Stored};
    assert_eq!(names, [("0", Filling, 0), ("a", Stored, 0), ("b", Stored, 1)]);
    assert!(
        views[2].standing.unwrap().distance > views[1].standing.unwrap().distance,
        "the one that was asked for stays longer"
    );
    assert_eq!(views[1].age_ms, 500);
}

#[test]
fn bytes_that_a_reader_still_maps_count_until_it_lets_go() {
    let (cache, files) = cache(1 << 20);
    fill(&cache, &key("a"), &body(500_000));
    let held: Bytes = get(&cache, &key("a")).unwrap();
    cache.purge(&Scope::Key(key("a")), Mode::Soft, 0).unwrap();
    cache.reap(usize::MAX);
    assert!(files.names().is_empty());
    assert!(cache.stats().pending_bytes >= 500_000, "the inode lives on");
    assert!(matches!(fill(&cache, &key("b"), &body(700_000)), Finished::Streamed(Bypass::NoRoom)));
    drop(held);
    assert!(matches!(fill(&cache, &key("b"), &body(700_000)), Finished::Stored(_)));
    let _: Arc<MemoryFiles> = files;
}

#[test]
fn a_start_looks_at_no_folder_when_there_is_none_or_all_was_closed_in_good_order() {
    let (cache, files) = cache(1 << 20);
    assert_eq!(cache.stats().leaves_left, 0, "an empty disk has no folders");
    (0..20).for_each(|n| _ = fill(&cache, &key(&format!("{n}")), &body(100)));
    cache.shutdown().unwrap();
    drop(cache);
    let cache = open(&files, 1 << 20);
    assert_eq!((cache.stats().leaves_left, cache.stats().entries), (0, 20));
    assert!(get(&cache, &key("7")).is_some());
    drop(cache);
    // Not closed this time: only folders that exist are looked at.
    let cache = open(&files, 1 << 20);
    assert!((1..=20).contains(&cache.stats().leaves_left), "{}", cache.stats().leaves_left);
    while cache.reconcile(usize::MAX) > 0 {}
    at_rest(&cache, &files);
}

#[test]
fn a_good_end_is_not_believed_when_a_fill_or_an_unlink_was_left_or_a_smaller_limit_leaves_files_over() {
    let (cache, files) = cache(1 << 20);
    (0..20).for_each(|n| _ = fill(&cache, &key(&format!("{n}")), &body(10_000)));
    let mut late = lead(&cache, &key("late"));
    late.expect(Head::new("\"e\"", "video/mp4").with_len(5), 0).unwrap();
    cache.shutdown().unwrap();
    assert!(late.push(Bytes::from_static(b"hello"), 0).is_err(), "its readers were told");
    drop(late);
    drop(cache);
    let cache = open(&files, 1 << 20);
    assert!(cache.stats().leaves_left > 0);
    while cache.reconcile(usize::MAX) > 0 {}
    files.set_broken(Op::Remove, Some(io::ErrorKind::Other));
    cache.purge(&Scope::Key(key("1")), Mode::Soft, 0).unwrap();
    cache.shutdown().unwrap();
    drop(cache);
    files.set_broken(Op::Remove, None);
    let cache = open(&files, 1 << 20);
    assert!(cache.stats().leaves_left > 0, "the purged file is still there");
    while cache.reconcile(usize::MAX) > 0 {}
    cache.shutdown().unwrap();
    drop(cache);
    let cache = open(&files, 64 << 10);
    assert!(cache.stats().leaves_left > 0, "most files are over the limit");
    while cache.reconcile(usize::MAX) > 0 {}
    at_rest(&cache, &files);
    cache.shutdown().unwrap();
    drop(cache);
    assert_eq!(open(&files, 64 << 10).stats().leaves_left, 0);
}

#[test]
fn the_cache_says_why_an_artifact_is_not_here() {
    let (cache, _) = cache(64 << 10);
    let fate = |name: &str| cache.explain(&key(name), 1000);
    assert_eq!(fate("a"), Fate::Unknown);
    fill(&cache, &key("a"), &body(10_000));
    assert!(matches!(fate("a"), Fate::Here(view) if view.standing.is_some()));
    (0..20).for_each(|n| _ = fill(&cache, &key(&format!("other{n}")), &body(10_000)));
    assert_eq!(fate("a"), Fate::Gone(Gone::Evicted, 1000));
    fill(&cache, &key("b"), &body(100));
    cache.purge(&Scope::Key(key("b")), Mode::Soft, 0).unwrap();
    assert_eq!(fate("b"), Fate::Gone(Gone::Purged, 1000));
    fill(&cache, &key("big"), &body(100_000));
    assert_eq!(fate("big"), Fate::Gone(Gone::Refused(Bypass::TooLarge), 1000));
    let writer = lead(&cache, &key("none"));
    writer.fail(FailKind::NotFound, 1000);
    assert!(matches!(fate("none"), Fate::Negative(negative) if negative.kind == FailKind::NotFound));
}

#[test]
fn a_take_down_after_a_soft_purge_still_cuts_off_whoever_reads_the_old_fill() {
    let (cache, files) = cache(64 << 20);
    let (mut writer, scope) = (lead(&cache, &key("a")), Scope::Key(key("a")));
    let mut reader = writer.reader().unwrap();
    writer.expect(Head::new("\"e\"", "x").with_len(200), 0).unwrap();
    writer.push(body(100), 0).unwrap();
    cache.purge(&scope, Mode::Soft, 1).unwrap();
    writer.push(body(50), 0).unwrap();
    assert_eq!(drain(&mut reader).0.len(), 150, "a soft purge lets it read on");
    cache.purge(&scope, Mode::Hard, 2).unwrap();
    assert_eq!(drain(&mut reader), (vec![], Some(Err(FillError::Purged))));
    assert_eq!(writer.push(body(50), 0), Err(FillError::Purged));
    drop((writer, reader));
    assert_eq!(get(&cache, &key("a")), None);
    at_rest(&cache, &files);
}
