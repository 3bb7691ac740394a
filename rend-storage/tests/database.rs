//! Files that are not what SQLite or this version expects, and files that several have open.
#![cfg(feature = "sqlite")]
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::path::{Path, PathBuf};

use futures::executor::block_on;
use rend_core::asset::{Asset, PlaybackPolicy};
use rend_core::id::{AssetId, JobId, LeaseToken, OrgId};
use rend_core::job::{JobKind, NewJob};
use rend_core::time::Timestamp;
use rend_storage::StoreError;
use rend_storage::assets::AssetStore;
use rend_storage::edges::PurgeLog;
use rend_storage::jobs::{Claim, JobQueue};
use rend_storage::sqlite::Sqlite;
use rusqlite::Connection;

#[test]
fn a_new_file_has_the_newest_schema_and_migrating_again_changes_nothing() {
    let (_folder, path) = fresh();
    assert_eq!(Sqlite::migrate(&path).unwrap(), 0);
    assert_eq!(Sqlite::migrate(&path).unwrap(), Sqlite::SCHEMA_VERSION);
    let store = Sqlite::open(&path).unwrap();
    assert_eq!(block_on(store.schema_version()).unwrap(), Sqlite::SCHEMA_VERSION);
}

#[test]
fn an_empty_file_is_a_new_database() {
    let (_folder, path) = fresh();
    std::fs::write(&path, "").unwrap();
    assert_eq!(block_on(Sqlite::open(&path).unwrap().purge_head()).unwrap(), 0);
}

#[test]
fn a_database_of_a_newer_version_is_refused_and_left_as_it_is() {
    let (_folder, path) = fresh();
    Sqlite::migrate(&path).unwrap();
    let newer = Sqlite::SCHEMA_VERSION + 1;
    Connection::open(&path).unwrap().pragma_update(None, "user_version", newer).unwrap();
    assert_refused_untouched(
        &path,
        |refused| matches!(refused, StoreError::TooNew { found, known } if *found == newer && *known == Sqlite::SCHEMA_VERSION),
    );
}

#[test]
fn another_programs_database_is_refused_and_left_as_it_is() {
    let (_folder, path) = fresh();
    Connection::open(&path).unwrap().execute_batch("CREATE TABLE bookmarks (url TEXT)").unwrap();
    assert_refused_untouched(&path, |refused| matches!(refused, StoreError::Unavailable(_)));
}

#[test]
fn a_file_that_is_no_database_is_refused_and_left_as_it_is() {
    let (_folder, path) = fresh();
    for bytes in [vec![b'x'; 10_000], b"SQLite format 3\0".to_vec(), b"{}".to_vec()] {
        std::fs::write(&path, bytes).unwrap();
        assert_refused_untouched(&path, |refused| matches!(refused, StoreError::Unavailable(_)));
    }
}

#[test]
fn a_folder_that_is_not_there_is_unavailable() {
    let (folder, _) = fresh();
    let refused = Sqlite::open(folder.path().join("no/such/rend.db"));
    assert!(matches!(refused, Err(StoreError::Unavailable(_))), "{refused:?}");
}

#[test]
fn a_damaged_database_answers_with_errors_and_not_with_wrong_rows() {
    let (_folder, path) = fresh();
    let assets: Vec<_> = (1..=200).map(asset).collect();
    {
        let store = Sqlite::open(&path).unwrap();
        for asset in &assets {
            block_on(store.create(asset)).unwrap();
        }
    }
    let whole = std::fs::read(&path).unwrap();
    let mut failures = 0;
    for page in 1..whole.len() / 4096 {
        let mut damaged = whole.clone();
        damaged[page * 4096..(page + 1) * 4096].fill(0xa5);
        // A log that a damaged database could not take in would heal the next one.
        let (_folder, path) = fresh();
        std::fs::write(&path, damaged).unwrap();
        let Ok(store) = Sqlite::open(&path) else {
            failures += 1;
            continue;
        };
        for asset in &assets {
            match block_on(AssetStore::get(&store, asset.id)) {
                Ok(read) => assert_eq!(read, *asset),
                Err(StoreError::Unavailable(_)) => failures += 1,
                Err(other) => panic!("page {page}: {other:?}"),
            }
        }
        // The threads live on after an error: a database that is repaired is served again.
        let _ = block_on(store.append_purge(asset(1).id, at(1)));
        let _ = block_on(store.page(OrgId::from_bytes([1; 16]), None, 1000));
    }
    assert!(failures > 0, "damage was met");
}

#[test]
fn two_that_have_the_file_open_see_each_others_writes() {
    let (_folder, path) = fresh();
    let (one, other) = (Sqlite::open(&path).unwrap(), Sqlite::open(&path).unwrap());
    for n in 1..=20 {
        let (writer, reader) = if n % 2 == 0 { (&one, &other) } else { (&other, &one) };
        assert_eq!(block_on(writer.append_purge(asset(1).id, at(1))).unwrap(), n);
        assert_eq!(block_on(reader.purge_head()).unwrap(), n);
    }
}

#[test]
fn two_that_have_the_file_open_never_claim_one_job() {
    let (_folder, path) = fresh();
    let jobs = 60;
    let store = Sqlite::open(&path).unwrap();
    for n in 1..=jobs {
        let asset = asset(1).id;
        let job = NewJob { id: job_id(n), asset, kind: JobKind::Media, run_at: at(0), attempts_max: 1 };
        block_on(store.enqueue(&job, at(0))).unwrap();
    }
    let claim_all = |worker: u8| {
        let store = Sqlite::open(&path).unwrap();
        let mut mine = Vec::new();
        loop {
            let claim = Claim {
                worker: worker.to_string(),
                kinds: JobKind::ALL.to_vec(),
                token: LeaseToken::from_bytes([worker; 16]),
                now: at(1),
                expires: at(100),
            };
            match block_on(store.claim(&claim)).unwrap() {
                Some((job, _)) => mine.push(job.id),
                None => return mine,
            }
        }
    };
    let mut claimed: Vec<_> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..3).map(|worker| scope.spawn(move || claim_all(worker))).collect();
        workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect()
    });
    claimed.sort_unstable();
    assert!(claimed.into_iter().eq((1..=jobs).map(job_id)));
}

#[test]
fn many_may_open_a_new_file_at_once() {
    for _ in 0..20 {
        let (_folder, path) = fresh();
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    let store = Sqlite::open(&path).unwrap();
                    block_on(store.append_purge(asset(1).id, at(1))).unwrap();
                });
            }
        });
        assert_eq!(block_on(Sqlite::open(&path).unwrap().purge_head()).unwrap(), 8);
    }
}

#[test]
fn a_store_that_was_closed_leaves_one_whole_file() {
    for _ in 0..20 {
        close_and_look();
    }
}

fn close_and_look() {
    let (folder, path) = fresh();
    let store = Sqlite::open(&path).unwrap();
    let clone = store.clone();
    block_on(store.append_purge(asset(1).id, at(1))).unwrap();
    drop(store);
    assert_eq!(block_on(clone.purge_head()).unwrap(), 1, "a clone keeps it open");
    drop(clone);
    let files: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|file| file.unwrap().path()).collect();
    assert_eq!(files, [path]);
}

#[track_caller]
fn assert_refused_untouched(path: &Path, expected: impl Fn(&StoreError) -> bool) {
    let before = std::fs::read(path).unwrap();
    for refused in [Sqlite::open(path).map(drop), Sqlite::migrate(path).map(drop)] {
        let refused = refused.unwrap_err();
        assert!(expected(&refused), "{refused:?}");
        assert!(std::fs::read(path).unwrap() == before, "the file has changed");
    }
    assert_eq!(std::fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "something lies beside the file");
}

fn fresh() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rend.db");
    (folder, path)
}

fn at(secs: u64) -> Timestamp {
    Timestamp::from_secs(1_800_000_000 + secs)
}

fn asset(n: u8) -> Asset {
    let metadata = "x".repeat(300);
    let id = AssetId::from_bytes([n; 16]);
    let asset = Asset::new(id, OrgId::from_bytes([1; 16]), n.to_string(), PlaybackPolicy::Public, at(u64::from(n)));
    Asset { metadata, ..asset }
}

fn job_id(n: u8) -> JobId {
    JobId::from_bytes([n; 16])
}
