//! One fetch a key: who leads, who follows, and how each of them ends.

use std::io;

use crate::support::{at_rest, body, cache, drain, fill, get, key, lead};
use bytes::Bytes;
use futures::FutureExt;
use rend_cache::memory::{MemoryFiles, Op};
use rend_cache::{
    Begin, Bypass, Cache, Config, FailKind, FillError, Finished, Freshness, Head, KeyMeta, Lookup, Mode, Placement,
    Scope,
};

#[test]
fn of_a_thousand_who_ask_at_once_one_fetches_and_all_read_the_same() {
    let files = MemoryFiles::shared();
    let mut config = Config::new(64 << 20);
    config.window_bytes_max = 128 << 10;
    let (cache, _) = Cache::open(config, files.clone(), 0).unwrap();
    let (key, body) = (key("a"), body(512 << 10));
    let mut writer = lead(&cache, &key);
    let mut readers: Vec<_> = (0..1000)
        .map(|n| {
            match if n % 2 == 0 { cache.begin(&key, &KeyMeta::segment(0, None), None, 0) } else { Begin::Stored } {
                Begin::Follow(reader) => reader,
                Begin::Stored => match cache.lookup(&key, 0) {
                    Lookup::Filling(reader) => reader,
                    other => panic!("{other:?}"),
                },
                other => panic!("{other:?}"),
            }
        })
        .collect();
    writer.expect(Head::new("\"e\"", "video/mp4").with_len(body.len() as u64), 0).unwrap();
    let mut got: Vec<Vec<u8>> = vec![Vec::new(); readers.len()];
    for at in (0..body.len()).step_by(50_000) {
        writer.push(body.slice(at..body.len().min(at + 50_000)), 0).unwrap();
        // Every third keeps up, the others read when all is over: from the file.
        for (reader, got) in readers.iter_mut().zip(&mut got).step_by(3) {
            got.extend(drain(reader).0);
        }
    }
    assert!(matches!(writer.finish(1).unwrap(), Finished::Stored(_)));
    for (reader, got) in readers.iter_mut().zip(&mut got) {
        let (rest, end) = drain(reader);
        got.extend(rest);
        assert_eq!(end, Some(Ok(())));
        assert!(*got == body);
    }
    drop(readers);
    assert!(get(&cache, &key).unwrap() == body);
    at_rest(&cache, &files);
}

#[test]
fn a_follower_gets_the_whole_body_whenever_it_joins() {
    let body = body(3 << 20);
    for percent in [0, 1, 50, 99, 100] {
        let (cache, files) = cache(64 << 20);
        let key = key("a");
        let mut writer = lead(&cache, &key);
        writer.expect(Head::new("\"e\"", "video/mp4").with_len(body.len() as u64), 0).unwrap();
        let cut = match percent {
            99 => body.len() - 1,
            percent => body.len() * percent / 100,
        };
        for at in (0..cut).step_by(100_000) {
            writer.push(body.slice(at..cut.min(at + 100_000)), 0).unwrap();
        }
        let Lookup::Filling(mut reader) = cache.lookup(&key, 0) else { panic!("a fill is under way") };
        let (mut got, end) = drain(&mut reader);
        assert_eq!(end, None, "it must not end before the fill does");
        if cut < body.len() {
            writer.push(body.slice(cut..), 0).unwrap();
        }
        writer.finish(0).unwrap();
        let (rest, end) = drain(&mut reader);
        got.extend(rest);
        assert_eq!(end, Some(Ok(())));
        assert!(got == body, "{percent} %");
        drop(reader);
        at_rest(&cache, &files);
    }
}

#[test]
fn a_follower_who_comes_after_completion_hits() {
    let (cache, _) = cache(64 << 20);
    fill(&cache, &key("a"), &body(10));
    assert!(matches!(cache.begin(&key("a"), &KeyMeta::segment(0, None), None, 0), Begin::Stored));
    assert_eq!(get(&cache, &key("a")), Some(body(10)));
}

#[test]
fn a_dropped_leader_ends_its_followers_with_an_error_and_the_next_may_lead() {
    for pushed in [0, 1, 10] {
        let (cache, files) = cache(64 << 20);
        let mut writer = lead(&cache, &key("a"));
        let mut reader = writer.reader().unwrap();
        if pushed > 0 {
            writer.expect(Head::new("\"e\"", "x").with_len(10), 0).unwrap();
            writer.push(body(pushed), 0).unwrap();
        }
        drop(writer);
        assert_eq!(drain(&mut reader).1, Some(Err(FillError::Abandoned)), "after {pushed} of 10 bytes");
        drop(reader);
        at_rest(&cache, &files);
        fill(&cache, &key("a"), &body(10));
    }
}

#[test]
fn an_origin_that_sends_one_byte_too_few_or_too_many_fails_everybody() {
    for (sent, expect) in [(9, FillError::Short), (11, FillError::Long)] {
        let (cache, files) = cache(64 << 20);
        let mut writer = lead(&cache, &key("a"));
        let mut reader = writer.reader().unwrap();
        writer.expect(Head::new("\"e\"", "x").with_len(10), 0).unwrap();
        let pushed = writer.push(body(sent), 0);
        let told = pushed.and_then(|()| writer.finish(0).map(|_| ()));
        assert_eq!(told, Err(expect));
        assert_eq!(drain(&mut reader).1, Some(Err(expect)));
        assert_eq!(get(&cache, &key("a")), None);
        drop(reader);
        at_rest(&cache, &files);
    }
}

#[test]
fn a_length_that_no_disk_can_hold_is_streamed_and_breaks_nothing() {
    for len in [u64::MAX, u64::MAX - 4096, (1 << 20) + 1] {
        let (cache, files) = cache(1 << 20);
        let mut writer = lead(&cache, &key("a"));
        let placed = writer.expect(Head::new("\"e\"", "x").with_len(len), 0).unwrap();
        assert_eq!(placed, Placement::Bypassed(Bypass::TooLarge), "{len}");
        writer.push(body(100), 0).unwrap();
        drop(writer);
        at_rest(&cache, &files);
    }
}

#[test]
fn an_empty_body_and_one_that_just_fits_are_stored() {
    // A footer of this key takes less than a block.
    for len in [0, (1 << 20) - 4096] {
        let (cache, files) = cache(1 << 20);
        assert!(matches!(fill(&cache, &key("a"), &body(len)), Finished::Stored(_)));
        assert!(get(&cache, &key("a")).unwrap() == body(len));
        at_rest(&cache, &files);
    }
}

#[test]
fn a_body_of_unknown_length_is_stored_in_steps_within_the_limit() {
    let (cache, files) = cache(8 << 20);
    let mut writer = lead(&cache, &key("a"));
    writer.expect(Head::new("\"e\"", "x"), 0).unwrap();
    for _ in 0..50 {
        writer.push(body(100_000), 0).unwrap();
        let stats = cache.stats();
        assert!(stats.used_bytes <= stats.max_bytes);
    }
    assert!(matches!(writer.finish(0).unwrap(), Finished::Stored(_)));
    assert_eq!(get(&cache, &key("a")).unwrap().len(), 5_000_000);
    at_rest(&cache, &files);
}

#[test]
fn a_small_body_of_unknown_length_fits_a_small_cache() {
    let (cache, files) = cache(64 << 10);
    let mut writer = lead(&cache, &key("a"));
    writer.expect(Head::new("\"e\"", "x"), 0).unwrap();
    writer.push(body(9), 0).unwrap();
    assert!(matches!(writer.finish(0).unwrap(), Finished::Stored(_)));
    at_rest(&cache, &files);
}

#[test]
fn a_body_of_unknown_length_that_outgrows_the_cache_streams_on() {
    let (cache, files) = cache(1 << 20);
    let mut writer = lead(&cache, &key("a"));
    let mut reader = writer.reader().unwrap();
    writer.expect(Head::new("\"e\"", "x"), 0).unwrap();
    let mut got = Vec::new();
    for _ in 0..30 {
        writer.push(body(100_000), 0).unwrap();
        got.extend(drain(&mut reader).0);
    }
    assert!(matches!(writer.placement(), Placement::Bypassed(_)));
    assert!(matches!(writer.finish(0).unwrap(), Finished::Streamed(_)));
    let (rest, end) = drain(&mut reader);
    got.extend(rest);
    assert_eq!((got.len(), end), (3_000_000, Some(Ok(()))));
    drop(reader);
    at_rest(&cache, &files);
}

#[test]
fn a_range_of_a_fill_under_way_is_read_as_soon_as_it_is_there_and_ends_at_its_end() {
    let (cache, files) = cache(64 << 20);
    let body = body(3 << 20);
    let mut writer = lead(&cache, &key("a"));
    writer.expect(Head::new("\"e\"", "x").with_len(body.len() as u64), 0).unwrap();
    let mut middle = writer.reader().unwrap();
    let head = middle.head().now_or_never().unwrap().unwrap();
    assert_eq!(head.len, Some(body.len() as u64));
    middle.select(1_500_000..1_500_010);
    let mut suffix = writer.reader().unwrap();
    suffix.select(body.len() as u64 - 5..body.len() as u64);
    writer.push(body.slice(..1_000_000), 0).unwrap();
    assert_eq!(drain(&mut middle), (vec![], None));
    writer.push(body.slice(1_000_000..2_000_000), 0).unwrap();
    assert_eq!(drain(&mut middle), (body[1_500_000..1_500_010].to_vec(), Some(Ok(()))), "before the fill is complete");
    assert_eq!(drain(&mut suffix), (vec![], None));
    writer.push(body.slice(2_000_000..), 0).unwrap();
    assert_eq!(drain(&mut suffix), (body[body.len() - 5..].to_vec(), Some(Ok(()))));
    // Behind the window: from the half-written file.
    let mut early = writer.reader().unwrap();
    early.select(10..20);
    assert_eq!(drain(&mut early), (body[10..20].to_vec(), Some(Ok(()))));
    writer.finish(0).unwrap();
    drop((middle, suffix, early));
    at_rest(&cache, &files);
}

#[test]
fn a_reader_sleeps_until_there_is_more_and_is_woken_then() {
    let (cache, _) = cache(64 << 20);
    let mut writer = lead(&cache, &key("a"));
    let mut reader = writer.reader().unwrap();
    let mut next = Box::pin(async move { reader.chunk().await });
    let (waker, count) = futures_test_waker();
    let mut cx = std::task::Context::from_waker(&waker);
    assert!(next.poll_unpin(&mut cx).is_pending());
    writer.expect(Head::new("\"e\"", "x").with_len(2), 0).unwrap();
    writer.push(body(2), 0).unwrap();
    assert!(count.load(std::sync::atomic::Ordering::SeqCst) > 0);
    assert!(next.poll_unpin(&mut cx).is_ready());
}

fn futures_test_waker() -> (std::task::Waker, std::sync::Arc<std::sync::atomic::AtomicUsize>) {
    struct Count(std::sync::Arc<std::sync::atomic::AtomicUsize>);
    impl std::task::Wake for Count {
        fn wake(self: std::sync::Arc<Self>) {
            self.0.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        }
    }
    let count = std::sync::Arc::<std::sync::atomic::AtomicUsize>::default();
    (std::sync::Arc::new(Count(count.clone())).into(), count)
}

#[test]
fn without_a_file_the_fastest_reader_sets_the_pace_and_one_too_far_behind_is_cut_off() {
    let (cache, files) = cache(1 << 20);
    let mut writer = lead(&cache, &key("a"));
    let (mut fast, mut slow) = (writer.reader().unwrap(), writer.reader().unwrap());
    let len = 32_u64 << 20;
    let placed = writer.expect(Head::new("\"e\"", "x").with_len(len), 0).unwrap();
    assert_eq!(placed, Placement::Bypassed(Bypass::TooLarge));
    let mut got = 0;
    for _ in 0..len >> 20 {
        assert!(writer.ready().now_or_never().is_some(), "the fast one keeps up");
        writer.push(body(1 << 20), 0).unwrap();
        writer.push(Bytes::new(), 0).unwrap();
        got += drain(&mut fast).0.len() as u64;
    }
    assert!(matches!(writer.finish(0).unwrap(), Finished::Streamed(Bypass::TooLarge)));
    assert_eq!((got, drain(&mut fast).1), (len, Some(Ok(()))));
    assert_eq!(drain(&mut slow).1, Some(Err(FillError::Lagged)));
    drop((fast, slow));
    at_rest(&cache, &files);
}

#[test]
fn without_a_file_a_single_slow_reader_stops_the_writer_and_loses_nothing() {
    let (cache, _) = cache(1 << 20);
    let mut writer = lead(&cache, &key("a"));
    let mut only = writer.reader().unwrap();
    writer.expect(Head::new("\"e\"", "x").with_len(16 << 20), 0).unwrap();
    let (mut pushed, mut got) = (0, 0);
    while pushed < 16 {
        if writer.ready().now_or_never().is_some() {
            writer.push(body(1 << 20), 0).unwrap();
            pushed += 1;
            assert!(pushed - got <= 3, "the window bounds what is in memory");
        } else {
            got += only.chunk().now_or_never().unwrap().unwrap().unwrap().len() >> 20;
        }
    }
    writer.finish(0).unwrap();
    let (rest, end) = drain(&mut only);
    assert_eq!((got + (rest.len() >> 20), end), (16, Some(Ok(()))));
}

#[test]
fn fills_beyond_the_bound_are_streamed_and_beyond_the_second_bound_refused() {
    let mut config = Config::new(64 << 20);
    (config.fills_max, config.bypass_fills_max) = (2, 1);
    let (cache, _) = Cache::open(config, MemoryFiles::shared(), 0).unwrap();
    let mut writers: Vec<_> = (0..3).map(|n| lead(&cache, &key(&n.to_string()))).collect();
    let places: Vec<_> =
        writers.iter_mut().map(|writer| writer.expect(Head::new("\"e\"", "x").with_len(1), 0).unwrap()).collect();
    assert_eq!(places, [Placement::Storing, Placement::Storing, Placement::Bypassed(Bypass::Busy)]);
    assert!(matches!(cache.begin(&key("3"), &KeyMeta::segment(0, None), None, 0), Begin::Overloaded));
    writers.pop();
    assert!(matches!(cache.begin(&key("3"), &KeyMeta::segment(0, None), None, 0), Begin::Lead(_)));
}

#[test]
fn readers_beyond_the_bound_are_refused_until_one_leaves() {
    let mut config = Config::new(64 << 20);
    config.readers_max = 2;
    let (cache, _) = Cache::open(config, MemoryFiles::shared(), 0).unwrap();
    let writer = lead(&cache, &key("a"));
    let (first, _second) = (writer.reader().unwrap(), writer.reader().unwrap());
    assert!(writer.reader().is_none());
    assert!(matches!(cache.lookup(&key("a"), 0), Lookup::Overloaded));
    drop(first);
    assert!(matches!(cache.lookup(&key("a"), 0), Lookup::Filling(_)));
}

#[test]
fn a_failure_is_remembered_for_a_moment_so_that_not_everybody_asks_the_origin_again() {
    let (cache, _) = cache(64 << 20);
    for (kind, error, forgotten_ms) in
        [(FailKind::Origin, FillError::Origin, 250), (FailKind::NotFound, FillError::NotFound, 3000)]
    {
        let key = key(&format!("{kind:?}"));
        let writer = lead(&cache, &key);
        let mut reader = writer.reader().unwrap();
        writer.fail(kind, 0);
        assert_eq!(reader.head().now_or_never().unwrap().map(|_| ()), Err(error));
        assert!(matches!(cache.lookup(&key, forgotten_ms - 1), Lookup::Negative(negative) if negative.kind == kind));
        assert!(matches!(cache.begin(&key, &KeyMeta::segment(0, None), None, 0), Begin::Negative(_)));
        assert!(matches!(cache.lookup(&key, forgotten_ms), Lookup::Absent));
    }
}

#[test]
fn a_playlist_goes_stale_is_asked_for_by_one_and_kept_when_the_origin_confirms_it() {
    let (cache, files) = cache(64 << 20);
    let (key, meta) = (key("index.m3u8"), KeyMeta::playlist(Some(1)));
    let put = |seen, text: &'static str, now_ms| {
        let Begin::Lead(mut writer) = cache.begin(&key, &meta, seen, now_ms) else { panic!("nobody else asks") };
        writer.expect(Head::new(&format!("\"{text}\""), "x").with_len(text.len() as u64), now_ms).unwrap();
        writer.push(Bytes::from_static(text.as_bytes()), now_ms).unwrap();
        assert!(matches!(writer.finish(now_ms).unwrap(), Finished::Stored(_)));
    };
    put(None, "one", 1000);
    let hit = |now_ms| match cache.lookup(&key, now_ms) {
        Lookup::Hit(hit) => hit,
        other => panic!("{other:?}"),
    };
    let first = hit(1500);
    assert_eq!(first.freshness(1000, 1999), Freshness::Fresh);
    assert_eq!(first.freshness(1000, 2100), Freshness::Stale { etag: "\"one\"".into(), for_ms: 100 });
    assert!(matches!(first.freshness(1000, 999), Freshness::Stale { .. }), "the clock went back");

    // One asks, the others serve what is there meanwhile.
    let Begin::Lead(writer) = cache.begin(&key, &meta, Some(first.generation()), 2100) else { panic!("stale") };
    let Begin::Follow(mut other) = cache.begin(&key, &meta, Some(first.generation()), 2100) else { panic!("one asks") };
    assert_eq!(&hit(2100).body()[..], b"one");
    writer.not_modified(2200);
    assert_eq!(other.head().now_or_never().unwrap().map(|_| ()), Err(FillError::Unchanged));
    assert_eq!(hit(2200).freshness(1000, 3100), Freshness::Fresh);

    // It grew: the new body takes the old one's place, and who holds the old one may go on reading.
    let before = hit(3300);
    put(Some(before.generation()), "longer", 3300);
    assert_eq!((&before.body()[..], &hit(3300).body()[..]), (&b"one"[..], &b"longer"[..]));
    drop((first, before, other));
    at_rest(&cache, &files);
    assert_eq!(files.names().len(), 1);

    // A failed revalidation leaves what is there.
    let Begin::Lead(writer) = cache.begin(&key, &meta, Some(hit(9000).generation()), 9000) else { panic!("stale") };
    writer.fail(FailKind::Origin, 9000);
    assert_eq!(&hit(9000).body()[..], b"longer");
}

#[test]
fn a_disk_that_refuses_at_any_write_never_fails_a_client() {
    let body = body(1 << 20);
    for op in [Op::Create, Op::Write, Op::Publish, Op::Append, Op::Space] {
        for kind in [io::ErrorKind::StorageFull, io::ErrorKind::Other, io::ErrorKind::ReadOnlyFilesystem] {
            for (at, times) in [(0, 1), (0, 2), (3, 2), (16, 2), (0, 100)] {
                let (cache, files) = cache(64 << 20);
                files.script(op, std::iter::repeat_n(None, at).chain(std::iter::repeat_n(Some(kind), times)));
                let mut writer = lead(&cache, &key("a"));
                let mut reader = writer.reader().unwrap();
                writer.expect(Head::new("\"e\"", "x").with_len(body.len() as u64), 0).unwrap();
                for chunk in 0..16 {
                    writer.push(body.slice(chunk << 16..(chunk + 1) << 16), 0).unwrap();
                }
                let finished = writer.finish(0).unwrap();
                assert_eq!(drain(&mut reader).1, Some(Ok(())), "{op:?} {kind:?} {at} {times}");
                assert_eq!(matches!(finished, Finished::Stored(_)), get(&cache, &key("a")).is_some());
                if let Some(stored) = get(&cache, &key("a")) {
                    assert!(stored == body);
                }
                drop(reader);
                files.script(op, []);
                at_rest(&cache, &files);
            }
        }
    }
}

#[test]
fn one_refused_write_is_tried_again_and_the_body_is_stored() {
    let (cache, files) = cache(64 << 20);
    files.script(Op::Write, [None, Some(io::ErrorKind::StorageFull)]);
    assert!(matches!(fill(&cache, &key("a"), &body(200_000)), Finished::Stored(_)));
    assert_eq!(cache.stats().disk_errors, 1);
}

#[test]
fn a_disk_that_refuses_again_and_again_is_left_alone_for_a_while() {
    let (cache, files) = cache(64 << 20);
    files.set_broken(Op::Create, Some(io::ErrorKind::Other));
    for n in 0..20 {
        assert_eq!(fill(&cache, &key(&n.to_string()), &body(10)), Finished::Streamed(Bypass::Disk));
    }
    assert_eq!(cache.stats().disk_errors, 8);
    files.set_broken(Op::Create, None);
    let Begin::Lead(mut writer) = cache.begin(&key("later"), &KeyMeta::segment(0, None), None, 10_001) else {
        panic!()
    };
    assert_eq!(writer.expect(Head::new("\"e\"", "x").with_len(1), 10_001).unwrap(), Placement::Storing);
}

#[test]
fn a_file_that_is_bad_or_gone_is_a_miss_and_is_fetched_once_more() {
    for bad in [Some(Bytes::new()), Some(body(5000)), None] {
        let (first, files) = cache(64 << 20);
        fill(&first, &key("a"), &body(200_000));
        drop(first);
        let name = files.names()[0];
        match &bad {
            Some(bytes) => files.corrupt(name, bytes.clone()),
            None => rend_cache::files::CacheFiles::remove(&*files, &name).unwrap(),
        }
        let cache = crate::support::open(&files, 64 << 20);
        assert!(matches!(cache.lookup(&key("a"), 0), Lookup::Absent), "{bad:?}");
        fill(&cache, &key("a"), &body(200_000));
        assert!(get(&cache, &key("a")).unwrap() == body(200_000));
        at_rest(&cache, &files);
    }
}

#[test]
fn one_flipped_bit_in_a_body_is_found_at_its_first_read_after_a_start() {
    let (first, files) = cache(64 << 20);
    fill(&first, &key("a"), &body(700_000));
    let name = files.names()[0];
    let mut bytes = rend_cache::files::CacheFiles::open(&*files, &name).unwrap().bytes.to_vec();
    bytes[600_000] ^= 1;
    files.corrupt(name, bytes.into());
    let cache = crate::support::open(&files, 64 << 20);
    assert!(matches!(cache.lookup(&key("a"), 0), Lookup::Absent));
    assert_eq!(cache.stats().corrupt, 1);
}

#[test]
fn a_read_error_on_a_hit_is_a_miss() {
    let (first, files) = cache(64 << 20);
    fill(&first, &key("a"), &body(200_000));
    let cache = crate::support::open(&files, 64 << 20);
    files.script(Op::Open, [Some(io::ErrorKind::Other)]);
    assert!(matches!(cache.lookup(&key("a"), 0), Lookup::Absent));
    fill(&cache, &key("a"), &body(200_000));
}

#[test]
fn without_a_file_handle_nothing_is_lost_and_nothing_is_fetched_again() {
    let (first, files) = cache(64 << 20);
    fill(&first, &key("a"), &body(200_000));
    let cache = crate::support::open(&files, 64 << 20);
    files.script(Op::Open, [Some(io::ErrorKind::ResourceBusy); 2]);
    assert!(matches!(cache.lookup(&key("a"), 0), Lookup::Overloaded));
    files.script(Op::Open, [Some(io::ErrorKind::ResourceBusy)]);
    assert!(get(&cache, &key("a")).unwrap() == body(200_000), "closing what was held open was enough");
    at_rest(&cache, &files);
}

#[test]
fn a_reader_whose_half_written_file_cannot_be_read_is_cut_off_and_the_others_are_not() {
    let (cache, files) = cache(64 << 20);
    let mut writer = lead(&cache, &key("a"));
    let (mut behind, mut ahead) = (writer.reader().unwrap(), writer.reader().unwrap());
    writer.expect(Head::new("\"e\"", "x").with_len(4 << 20), 0).unwrap();
    for _ in 0..4 {
        writer.push(body(1 << 20), 0).unwrap();
        drain(&mut ahead);
    }
    files.script(Op::Read, [Some(io::ErrorKind::Other)]);
    assert_eq!(drain(&mut behind).1, Some(Err(FillError::Disk)));
    writer.finish(0).unwrap();
    assert_eq!(drain(&mut ahead).1, Some(Ok(())));
}

#[test]
fn what_was_fetched_on_a_guess_counts_as_used_once_asked_for_and_as_wasted_when_it_goes_unasked() {
    let (cache, files) = cache(1 << 20);
    for name in ["asked", "unasked", "joined"] {
        let mut writer = lead(&cache, &key(name));
        writer.mark_ahead();
        let reader = (name == "joined").then(|| writer.reader().unwrap());
        writer.expect(Head::new("\"e\"", "video/mp4").with_len(5), 0).unwrap();
        writer.push(Bytes::from_static(b"hello"), 0).unwrap();
        writer.finish(0).unwrap();
        drop(reader);
    }
    assert!(get(&cache, &key("asked")).is_some() && get(&cache, &key("asked")).is_some());
    cache.purge(&Scope::Group([1; 16]), Mode::Soft, 0).unwrap();
    let stats = cache.stats();
    assert_eq!(
        (stats.ahead_used_bytes, stats.ahead_wasted_bytes),
        (4096, 4096),
        "the one that was joined was no guess"
    );
    at_rest(&cache, &files);
}

#[test]
fn a_write_budget_refuses_the_tail_when_it_is_used_up_and_never_what_starts_playback() {
    let files = MemoryFiles::shared();
    let mut config = Config::new(1 << 20);
    // An eighth at once: 500,000 bytes.
    config.write_bytes_per_day = 4_000_000;
    let (cache, _) = Cache::open(config, files.clone(), 0).unwrap();
    let store = |name: &str, meta: KeyMeta, now_ms: u64| {
        let Begin::Lead(mut writer) = cache.begin(&key(name), &meta, None, now_ms) else { panic!("nobody else asked") };
        writer.expect(Head::new("\"e\"", "x").with_len(100_000), now_ms).unwrap();
        writer.push(body(100_000), now_ms).unwrap();
        writer.finish(now_ms).unwrap()
    };
    let tail = KeyMeta::segment(9, None);
    for n in 0..5 {
        assert!(matches!(store(&n.to_string(), tail, 0), Finished::Stored(_)), "{n}");
    }
    assert!(matches!(store("5", tail, 0), Finished::Streamed(Bypass::OverBudget)));
    assert_eq!(cache.stats().spending, "spent");
    assert!(matches!(store("first", KeyMeta::segment(0, None), 0), Finished::Stored(_)));
    assert!(cache.stats().written_bytes > 600_000);
    let day_ms = 86_400_000;
    assert!(matches!(store("5", tail, day_ms), Finished::Stored(_)), "the next day is another day");
    assert_eq!(cache.stats().spending, "free");
    at_rest(&cache, &files);
}

#[test]
fn a_full_cache_with_half_its_budget_left_stores_of_the_tail_what_was_asked_for_before() {
    let files = MemoryFiles::shared();
    let mut config = Config::new(300_000);
    config.write_bytes_per_day = 8_000_000;
    let (cache, _) = Cache::open(config, files.clone(), 0).unwrap();
    (0..6).for_each(|n| assert!(matches!(fill(&cache, &key(&n.to_string()), &body(90_000)), Finished::Stored(_))));
    assert!(matches!(fill(&cache, &key("new"), &body(90_000)), Finished::Streamed(Bypass::NotAdmitted)));
    assert_eq!(cache.stats().spending, "sparing");
    assert!(matches!(fill(&cache, &key("new"), &body(90_000)), Finished::Stored(_)), "asked for again");
    at_rest(&cache, &files);
}

#[test]
fn the_next_segment_is_expected_while_half_of_the_viewers_go_on() {
    let (cache, _) = cache(64 << 20);
    let meta = |index| KeyMeta::segment(index, Some(1));
    assert!(cache.expects_next(&meta(0)), "nobody came yet");
    assert!(!cache.expects_next(&KeyMeta::playlist(None)), "it has no next");
    let watch = |viewer: usize, index: u32| {
        let name = key(&format!("{viewer}/{index}"));
        let Begin::Lead(writer) = cache.begin(&name, &meta(index), None, 0) else { panic!("nobody else asked") };
        let mut writer = writer;
        writer.push(body(10), 0).unwrap();
        writer.finish(0).unwrap();
    };
    for viewer in 0..30 {
        watch(viewer, 0);
        if viewer % 3 > 0 {
            watch(viewer, 1);
        }
        if viewer % 5 == 0 {
            watch(viewer, 2);
        }
    }
    // 30, 20 and 6 viewers.
    assert_eq!([0, 1].map(|index| cache.expects_next(&meta(index))), [true, false]);
}

#[test]
fn a_follower_that_reads_nothing_slows_nobody_and_gets_all_of_it_later() {
    let (cache, files) = cache(64 << 20);
    let body = body(6 << 20);
    let mut writer = lead(&cache, &key("a"));
    let (mut slow, mut quick) = (writer.reader().unwrap(), writer.reader().unwrap());
    writer.expect(Head::new("\"e\"", "x").with_len(body.len() as u64), 0).unwrap();
    let mut read = Vec::new();
    for at in (0..body.len()).step_by(1 << 20) {
        assert!(writer.ready().now_or_never().is_some(), "the writer waits for nobody");
        writer.push(body.slice(at..at + (1 << 20)), 0).unwrap();
        read.extend(drain(&mut quick).0);
        assert_eq!(read.len(), at + (1 << 20), "the quick one has it at once");
    }
    writer.finish(0).unwrap();
    assert!(read == body && drain(&mut slow) == (body.to_vec(), Some(Ok(()))));
    drop((slow, quick));
    at_rest(&cache, &files);
}

/// Memory that says how much of it there is.
struct Counted(Vec<u8>, std::sync::Arc<std::sync::atomic::AtomicUsize>);

impl AsRef<[u8]> for Counted {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.1.fetch_sub(self.0.len(), std::sync::atomic::Ordering::Relaxed);
    }
}

#[test]
fn a_fill_holds_its_window_in_memory_and_no_more_however_many_read_it() {
    let (cache, files) = cache(64 << 20);
    let mut writer = lead(&cache, &key("a"));
    let readers: Vec<_> = (0..1000).map(|_| writer.reader().unwrap()).collect();
    let held = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    writer.expect(Head::new("\"e\"", "x").with_len(16 << 20), 0).unwrap();
    for _ in 0..16 << 20 >> 16 {
        held.fetch_add(1 << 16, std::sync::atomic::Ordering::Relaxed);
        writer.push(Bytes::from_owner(Counted(vec![7; 1 << 16], held.clone())), 0).unwrap();
        let held = held.load(std::sync::atomic::Ordering::Relaxed);
        assert!(held <= Config::new(1).window_bytes_max, "{held} bytes are held for readers that read nothing");
    }
    writer.finish(0).unwrap();
    drop(readers);
    at_rest(&cache, &files);
    assert_eq!(held.load(std::sync::atomic::Ordering::Relaxed), 0, "and nothing once they are gone");
}

/// Goal 14: a hit costs an open and reads, and nothing that wears a disk.
#[test]
fn ten_thousand_hits_change_nothing_on_the_disk() {
    let files = crate::recording::Recording::with(Default::default(), Vec::new());
    let mut config = Config::new(64 << 20);
    // So that every other body is opened again and again.
    (config.ram_bytes_max, config.open_files_max) = (4096, 1);
    let (cache, _) = Cache::open(config, files.clone(), 0).unwrap();
    (0..4).for_each(|n| _ = fill(&cache, &key(&n.to_string()), &body(3000 << n)));
    let before = files.calls();
    assert!((0..10_000).all(|n| get(&cache, &key(&(n % 4).to_string())).is_some()));
    assert_eq!(files.calls(), before);
}
