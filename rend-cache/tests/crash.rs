//! What is left when the process is killed: a child works on a folder and says what it did, the parent kills it and looks.
#![cfg(feature = "fs")]
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]
#![expect(clippy::wildcard_enum_match_arm, reason = "whatever is no hit is a miss here")]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use bytes::Bytes;
use rend_cache::fs::FsFiles;
use rend_cache::policy::ValueWheel;
use rend_cache::{Begin, Cache, CacheError, Config, Head, Key, KeyMeta, Lookup, Mode, Scope};

#[test]
fn a_process_killed_again_and_again_leaves_no_draft_served_no_purged_body_alive_and_books_equal_to_the_folder() {
    let folder = tempfile::tempdir().unwrap();
    let mut alive: BTreeMap<u8, Option<usize>> = BTreeMap::new();
    for round in 0..rounds() {
        let said = run_and_kill(folder.path(), 8 + round * 37 % 45);
        let mut unsure = BTreeMap::new();
        for line in &said {
            let mut words = line.split(' ');
            let (what, key) = (words.next().unwrap(), words.next().unwrap().parse::<u8>().unwrap());
            let version = words.next().and_then(|version| version.parse::<usize>().ok());
            unsure.remove(&key);
            match what {
                "stored" => _ = alive.insert(key, version),
                "purged" => _ = alive.insert(key, None),
                // Begun and never acknowledged: both outcomes are right.
                "storing" => _ = unsure.insert(key, version),
                "purging" => _ = unsure.insert(key, None),
                other => panic!("the child said {other}"),
            }
        }
        // An operation that was cut off is one of the last two that were announced.
        // Every other time what is asked for is answered before the journal was read about bodies.
        let (cache, recovered) = if round % 2 == 0 { open(folder.path()) } else { open_early(folder.path()) };
        assert_eq!(std::fs::read_dir(folder.path().join("v1/tmp")).unwrap().count(), 0, "drafts are gone");
        for (key, version) in alive.clone() {
            let found = match cache.lookup(&name(key), 0) {
                Lookup::Hit(hit) => Some(version_of(hit.body())),
                _ => None,
            };
            match unsure.get(&key) {
                // A purge that was not acknowledged may have removed the body; it must not have brought another.
                Some(maybe) => {
                    assert!(found == version || found == *maybe || found.is_none(), "round {round}, key {key}")
                }
                None => assert_eq!(found, version, "round {round}, key {key}, {recovered:?}"),
            }
            alive.insert(key, found);
        }
        while cache.reconcile(usize::MAX) > 0 {}
        cache.reap(usize::MAX);
        assert_eq!(cache.stats().used_bytes, charged(folder.path()), "round {round}");
        if round % 5 == 0 {
            cache.snapshot().unwrap();
        }
    }
}

#[test]
fn a_second_process_on_one_folder_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let first = FsFiles::open(folder.path()).unwrap();
    let refused = FsFiles::open(folder.path()).unwrap_err();
    assert!(matches!(refused, CacheError::Locked) && refused.is_retryable(), "{refused}");
    drop(first);
    take(folder.path());
}

#[test]
fn a_folder_of_a_newer_version_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("v2")).unwrap();
    assert!(matches!(FsFiles::open(folder.path()).unwrap_err(), CacheError::Newer { found: 2, known: 1 }));
    assert!(folder.path().join("v2").exists());
}

#[test]
fn files_of_others_in_the_folders_are_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let (cache, _) = open(folder.path());
    store(&cache, 1, 1);
    let leaf = leaf_with_a_file(folder.path());
    std::fs::write(leaf.join("README"), b"mine").unwrap();
    drop(cache);
    let (cache, _) = open(folder.path());
    while cache.reconcile(usize::MAX) > 0 {}
    assert!(leaf.join("README").exists());
    assert!(matches!(cache.lookup(&name(1), 0), Lookup::Hit(_)));
}

#[test]
fn zero_length_and_zero_tailed_files_with_right_names_are_misses_and_go() {
    for spoil in [|_: usize| 0, |len: usize| len / 2, |len: usize| len - 1] {
        let folder = tempfile::tempdir().unwrap();
        let (cache, _) = open(folder.path());
        store(&cache, 1, 1);
        drop(cache);
        let file = std::fs::read_dir(leaf_with_a_file(folder.path())).unwrap().next().unwrap().unwrap().path();
        let bytes = std::fs::read(&file).unwrap();
        let keep = spoil(bytes.len());
        // What power loss leaves: the length is right or nothing is, and the tail is zeros.
        std::fs::write(&file, if keep == 0 { vec![] } else { [&bytes[..keep], &vec![0; bytes.len() - keep]].concat() })
            .unwrap();
        let (cache, _) = open(folder.path());
        let found = matches!(cache.lookup(&name(1), 0), Lookup::Hit(_));
        // The highest byte of the footer's length is zero anyway.
        assert_eq!(found, keep == bytes.len() - 1, "{keep} of {}", bytes.len());
        while cache.reconcile(usize::MAX) > 0 {}
        cache.reap(usize::MAX);
        assert_eq!(cache.stats().used_bytes, charged(folder.path()));
    }
}

#[test]
fn without_its_journal_a_folder_serves_at_once_and_its_generations_go_on() {
    for noted in [true, false] {
        let folder = tempfile::tempdir().unwrap();
        let (cache, _) = open(folder.path());
        (0..9).for_each(|key| assert!(store(&cache, key, 1)));
        let Lookup::Hit(before) = cache.lookup(&name(4), 0) else { panic!("stored") };
        drop(cache);
        std::fs::remove_file(folder.path().join("v1/index/journal")).unwrap();
        if !noted {
            // As a version before this one left it: then the names of the files tell.
            std::fs::write(folder.path().join("LOCK"), b"").unwrap();
        }
        let (cache, _) = open_early(folder.path());
        assert!((0..9).all(|key| matches!(cache.lookup(&name(key), 0), Lookup::Hit(_))));
        assert!(store(&cache, 4, 2));
        let Lookup::Hit(after) = cache.lookup(&name(4), 0) else { panic!("stored") };
        assert!(after.generation() > before.generation());
        // So a purge covers what nobody has looked at yet.
        cache.purge(&Scope::Group([1; 16]), Mode::Hard, 0).unwrap();
        while cache.reconcile(usize::MAX) > 0 {}
        assert!((0..9).all(|key| matches!(cache.lookup(&name(key), 0), Lookup::Hit(_)) == (key % 3 != 1)));
        drop((before, after));
        cache.reap(usize::MAX);
        assert_eq!(cache.stats().used_bytes, charged(folder.path()));
    }
}

#[test]
fn a_mapped_body_is_the_file_itself_and_stays_readable_after_it_is_evicted() {
    let folder = tempfile::tempdir().unwrap();
    let (cache, _) = open(folder.path());
    store(&cache, 7, 3);
    let Lookup::Hit(hit) = cache.lookup(&name(7), 0) else { panic!("stored") };
    let file = hit.file().expect("large bodies are mapped").clone();
    cache.purge(&Scope::Key(name(7)), Mode::Hard, 0).unwrap();
    cache.reap(usize::MAX);
    assert_eq!(charged(folder.path()), 0);
    assert_eq!(version_of(hit.body()), 3);
    let mut start = vec![0; 100];
    std::os::unix::fs::FileExt::read_exact_at(&*file, &mut start, 0).unwrap();
    assert_eq!(start, hit.body()[..100]);
}

/// Not a test by itself: it is what the parent starts and kills.
#[test]
#[ignore = "is started by the test that kills it"]
fn child() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let (cache, _) = open_early(Path::new(&folder));
    // Readers and the keeper of the house work beside the writer all the time.
    for seed in 0..2_u8 {
        let cache = cache.clone();
        std::thread::spawn(move || {
            for n in (0..=u8::MAX).cycle() {
                if let Lookup::Hit(hit) = cache.lookup(&name(n.wrapping_mul(13).wrapping_add(seed) % 16), 0) {
                    version_of(hit.body());
                }
                cache.reconcile(3);
                cache.flush().unwrap();
            }
        });
    }
    let start = cache.stats().journal_bytes as usize;
    for n in start.. {
        let key = (n * 7 % 16) as u8;
        if n % 11 == 0 {
            say(format_args!("purging {key}"));
            cache.purge(&Scope::Key(name(key)), Mode::Hard, n as u64).unwrap();
            say(format_args!("purged {key}"));
        } else if n % 23 == 0 {
            cache.snapshot().unwrap();
        } else {
            say(format_args!("storing {key} {n}"));
            if store(&cache, key, n) {
                say(format_args!("stored {key} {n}"));
            }
        }
        cache.reap(1);
    }
}

fn say(line: std::fmt::Arguments<'_>) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{SAYS}{line}").and_then(|()| out.flush()).unwrap();
}

/// What the child said until it was killed, some time after its `lines`th line.
fn run_and_kill(folder: &Path, lines: usize) -> Vec<String> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["child", "--exact", "--ignored", "--nocapture"])
        .env(FOLDER, folder)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut said = Vec::new();
    let mut out = BufReader::new(child.stdout.take().unwrap()).lines();
    while let Some(Ok(line)) = out.next() {
        // The test harness says things too, the first of them on the same line.
        said.extend(line.split_once(SAYS).map(|(_, line)| line.to_owned()));
        if said.len() == lines {
            child.kill().unwrap();
        }
    }
    child.wait().unwrap();
    assert!(said.len() >= lines, "the child ended by itself after {said:?}");
    said
}

fn open(folder: &Path) -> (Cache, rend_cache::Recovered) {
    Cache::open(Config::new(64 << 20), take(folder), 0).unwrap()
}

/// Takes a folder into use. While another test starts its child, that holds every open file for a moment, this folder's lock among
/// them.
#[track_caller]
fn take(folder: &Path) -> Arc<FsFiles> {
    for _ in 0..YIELDS_MAX {
        match FsFiles::open(folder) {
            Err(CacheError::Locked) => std::thread::yield_now(),
            opened => return opened.unwrap(),
        }
    }
    panic!("the folder is still locked")
}

/// Ready to serve as soon as it is known what was purged.
fn open_early(folder: &Path) -> (Cache, rend_cache::Recovered) {
    let (files, wheel) = (take(folder), Box::new(ValueWheel::new(64 << 20)));
    Cache::open_early(Config::new(64 << 20), files, wheel, 0).unwrap()
}

fn name(key: u8) -> Key {
    Key::new([key % 3; 16], &format!("hls/{key}"))
}

/// Fills a key anew, whatever is there. Says whether it was stored.
fn store(cache: &Cache, key: u8, version: usize) -> bool {
    let seen = match cache.lookup(&name(key), 0) {
        Lookup::Hit(hit) => Some(hit.generation()),
        _ => None,
    };
    let Begin::Lead(mut writer) = cache.begin(&name(key), &KeyMeta::playlist(None), seen, 0) else { panic!("alone") };
    let body: Bytes =
        (0..BODY_BYTES).map(|n| if n < 8 { (version >> (8 * n)) as u8 } else { (n * version) as u8 }).collect();
    writer.expect(Head::new("\"e\"", "video/mp4").with_len(body.len() as u64), 0).unwrap();
    body.chunks(30_000).for_each(|chunk| writer.push(body.slice_ref(chunk), 0).unwrap());
    matches!(writer.finish(0).unwrap(), rend_cache::Finished::Stored(_))
}

/// Which version a body is, every byte of it.
#[track_caller]
fn version_of(body: &[u8]) -> usize {
    let version = body[..8].iter().rev().fold(0, |version, byte| version << 8 | usize::from(*byte));
    assert!(body.len() == BODY_BYTES && body.iter().enumerate().skip(8).all(|(n, byte)| *byte == (n * version) as u8));
    version
}

fn leaf_with_a_file(folder: &Path) -> std::path::PathBuf {
    let mut path = folder.join("v1/objects");
    for _ in 0..2 {
        path = std::fs::read_dir(&path).unwrap().next().unwrap().unwrap().path();
    }
    path
}

/// What the files in the folder cost.
fn charged(folder: &Path) -> u64 {
    let mut total = 0;
    let mut folders = vec![folder.join("v1/objects")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
            let meta = entry.metadata().unwrap();
            if meta.is_dir() {
                folders.push(entry.path());
            } else {
                total += rend_cache::budget::charge(meta.len());
            }
        }
    }
    total
}

/// How often the child is killed: `REND_CACHE_KILLS=200` for a run before a release.
fn rounds() -> usize {
    std::env::var_os("REND_CACHE_KILLS").and_then(|kills| kills.to_str()?.parse().ok()).unwrap_or(ROUNDS)
}

/// How often the child is killed when nobody says otherwise.
const ROUNDS: usize = 60;
/// How often a lock that should be free is tried.
const YIELDS_MAX: usize = 10_000_000;
const BODY_BYTES: usize = 100_000;
const FOLDER: &str = "REND_CACHE_CRASH_FOLDER";
const SAYS: &str = "child: ";
