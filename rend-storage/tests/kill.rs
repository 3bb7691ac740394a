//! A process that is killed loses nothing of what was acknowledged.
//!
//! The tests start this very program again as a writer, which says each acknowledgement aloud, and kill it.
#![cfg(all(unix, feature = "fs", feature = "sqlite"))]
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use bytes::Bytes;
use futures::StreamExt;
use futures::executor::block_on;
use futures::future;
use rend_core::analytics::{CacheStatus, PlaybackBatch, PlaybackEvent};
use rend_core::artifact::{ArtifactPath, ObjectKey};
use rend_core::asset::{Asset, Edit, Move, PlaybackPolicy};
use rend_core::id::{AssetId, JobId, OrgId};
use rend_core::job::{JobKind, NewJob};
use rend_core::prng::Prng;
use rend_core::time::Timestamp;
use rend_storage::analytics::Analytics;
use rend_storage::assets::{AssetStore, Change};
use rend_storage::edges::PurgeLog;
use rend_storage::events::{EventLog, EventsOf};
use rend_storage::fs::FsObjects;
use rend_storage::jobs::JobQueue;
use rend_storage::objects::{ObjectStore, Put};
use rend_storage::sqlite::Sqlite;
use sha2::{Digest, Sha256};

/// Writers at once in the killed process.
const WRITERS: u8 = 8;
/// How often a writer is killed.
const KILLS: u64 = 12;

#[test]
fn a_killed_writer_of_sqlite_loses_nothing_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let mut prng = Prng::seeded(1);
    let mut acknowledged = BTreeMap::<u8, u64>::new();
    for round in 0..KILLS {
        let mut seen = 0;
        for (writer, n) in kill_after("write_sqlite", folder.path(), prng.below(150)) {
            acknowledged.insert(writer, n);
            seen += 1;
        }
        assert!(seen > 0, "the writer of round {round} wrote nothing");
        let store = Sqlite::open(folder.path().join("rend.db")).unwrap();
        block_on(verify_sqlite(&store, &acknowledged));
    }
}

/// Each writer has an asset of its own, and in each step edits it with a job, orders a purge and records an event.
async fn verify_sqlite(store: &Sqlite, acknowledged: &BTreeMap<u8, u64>) {
    let purges = store.purges_after(0, usize::MAX).await.unwrap();
    assert!(purges.iter().map(|row| row.seq).eq(1..=purges.len() as u64), "places without a gap");
    for (writer, steps) in acknowledged {
        let id = asset_id(*writer);
        let asset = AssetStore::get(store, id).await.unwrap();
        assert!(asset.revision > *steps, "{} after {steps} acknowledged moves", asset.revision);
        let events = store.after(EventsOf::Asset(id), 0, usize::MAX).await.unwrap();
        assert!(events.iter().map(|event| event.asset_seq).eq(1..=asset.revision), "one event a move");
        let jobs = store.of_asset(id).await.unwrap();
        assert_eq!(jobs.len() as u64, asset.revision - 1, "one job a move");
        assert!(purges.iter().filter(|row| row.asset == id).count() as u64 >= *steps);
        let report = store.playback(id, Timestamp::EPOCH, Timestamp::MAX).await.unwrap();
        assert!(report.requests >= *steps);
    }
    let accounts = store.accounts().await.unwrap();
    let requests: u64 = accounts.iter().map(|account| account.received).sum();
    let (mut counted, ids) = (0, (0..WRITERS).map(asset_id));
    for id in ids {
        counted += store.playback(id, Timestamp::EPOCH, Timestamp::MAX).await.unwrap().requests;
    }
    assert_eq!(requests, counted, "accounts and events are of one state");
}

#[test]
#[ignore = "the process that another test kills"]
fn write_sqlite() {
    let Some(folder) = told_folder() else { return };
    let store = Sqlite::open(folder.join("rend.db")).unwrap();
    let writers = (0..WRITERS).map(|writer| {
        let store = &store;
        async move {
            let id = asset_id(writer);
            let org = OrgId::from_bytes([1; 16]);
            let new = Asset::new(id, org, String::new(), PlaybackPolicy::Public, now());
            // A writer before this one may have made it.
            let _ = store.create(&new).await;
            let first = AssetStore::get(store, id).await.unwrap().revision;
            for n in first.. {
                write_step(store, writer, n).await;
                say(writer, n);
            }
        }
    });
    block_on(future::join_all(writers));
}

async fn write_step(store: &Sqlite, writer: u8, n: u64) {
    let id = asset_id(writer);
    let mut job = [writer; 16];
    job[8..].copy_from_slice(&n.to_be_bytes());
    let job = NewJob { id: JobId::from_bytes(job), asset: id, kind: JobKind::Media, run_at: now(), attempts_max: 3 };
    let event = PlaybackEvent {
        boot: [writer; 8],
        seq: n,
        node: "ash-1".parse().unwrap(),
        observed_at: now(),
        org: None,
        asset: id,
        session: None,
        path: ArtifactPath::Opener,
        object_bytes: None,
        bytes_sent: 1,
        range_start: 0,
        status: 200,
        cache: CacheStatus::Hit,
        ttfb_us: 1,
        duration_ms: 1,
        aborted: false,
    };
    let batch =
        PlaybackBatch { boot: [writer; 8], node: "ash-1".parse().unwrap(), dropped_total: 0, events: vec![event] };
    let edit = Move::Edit(Edit { title: Some(n.to_string()), ..Edit::default() });
    let change = Change { asset: id, expect: Some(n), step: edit, fence: None, enqueue: Some(job), now: now() };
    // An earlier writer was killed between the record and the move, so an event may be there already.
    store.record(&batch, now()).await.unwrap();
    store.append_purge(id, now()).await.unwrap();
    store.advance(&change).await.unwrap();
}

#[test]
fn a_killed_writer_of_files_loses_nothing_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let mut prng = Prng::seeded(2);
    let mut acknowledged = BTreeMap::<u8, u64>::new();
    for round in 0..KILLS {
        let mut seen = 0;
        for (writer, n) in kill_after("write_files", folder.path(), prng.below(150)) {
            acknowledged.insert(writer, n);
            seen += 1;
        }
        assert!(seen > 0, "the writer of round {round} wrote nothing");
        let store = FsObjects::open(folder.path()).unwrap();
        runtime.block_on(verify_files(&store, &acknowledged));
        let incoming: Vec<_> = std::fs::read_dir(folder.path().join("incoming")).unwrap().collect();
        assert_eq!(incoming.len(), 1, "the open store's own");
    }
}

/// Each writer replaces one key with longer and longer objects, and leaves each under a key of its own too.
async fn verify_files(store: &FsObjects, acknowledged: &BTreeMap<u8, u64>) {
    for key in store.list("", None, usize::MAX).await.unwrap() {
        let object = store.get(&key, None).await.unwrap();
        let bytes: Vec<_> = object.body.map(|chunk| chunk.unwrap().to_vec()).concat().await;
        assert_eq!(object.meta.len, bytes.len() as u64, "{key}");
        assert_eq!(object.meta.sha256, Some(Sha256::digest(&bytes).into()), "{key}");
    }
    for (writer, steps) in acknowledged {
        let replaced = store.head(&key(*writer, None)).await.unwrap();
        assert!(replaced.modified >= Timestamp::from_secs(*steps), "writer {writer}");
        for n in 1..=*steps {
            assert_eq!(store.head(&key(*writer, Some(n))).await.unwrap().modified, Timestamp::from_secs(n));
        }
    }
}

#[test]
#[ignore = "the process that another test kills"]
fn write_files() {
    let Some(folder) = told_folder() else { return };
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let store = FsObjects::open(&folder).unwrap();
    let writers = (0..WRITERS).map(|writer| {
        let store = &store;
        async move {
            let last = store.head(&key(writer, None)).await.map_or(0, |meta| meta.modified.as_secs());
            for n in last + 1.. {
                for key in [key(writer, Some(n)), key(writer, None)] {
                    let mut bytes = vec![0; usize::try_from(n).unwrap() * 1000];
                    Prng::seeded(n).fill(&mut bytes);
                    let now = Timestamp::from_secs(n);
                    let put = Put { content_type: "video/mp4".into(), len: None, sha256: None, now };
                    let body = futures::stream::iter([Ok(Bytes::from(bytes))]).boxed();
                    store.put(&key, put, body).await.unwrap();
                }
                say(writer, n);
            }
        }
    });
    runtime.block_on(future::join_all(writers));
}

/// Starts `test` of this program on `folder`, kills it once it acknowledged so many writes, and answers all of them.
fn kill_after(test: &str, folder: &Path, acknowledgements: u64) -> Vec<(u8, u64)> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "--nocapture", test])
        .arg(format!("{TOLD}{}", folder.display()))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut all = Vec::new();
    let acknowledged = |line: String| {
        let (writer, n) = line.strip_prefix(SAID)?.split_once(' ')?;
        Some((writer.parse().ok()?, n.parse().ok()?))
    };
    while all.len() as u64 <= acknowledgements {
        let line = lines.next().expect("the writer ended by itself").unwrap();
        all.extend(acknowledged(line));
    }
    child.kill().unwrap();
    // What it said before the kill arrived, too.
    all.extend(lines.map_while(Result::ok).filter_map(acknowledged));
    child.wait().unwrap();
    all
}

/// Says aloud that a write was acknowledged, in one call, so that a kill leaves whole lines.
fn say(writer: u8, n: u64) {
    std::io::stdout().lock().write_all(format!("{SAID}{writer} {n}\n").as_bytes()).unwrap();
}

/// The folder that the starting test told.
fn told_folder() -> Option<PathBuf> {
    std::env::args().find_map(|arg| arg.strip_prefix(TOLD).map(PathBuf::from))
}

fn key(writer: u8, n: Option<u64>) -> ObjectKey {
    match n {
        None => format!("replaced/{writer}"),
        Some(n) => format!("replaced/{writer}/{n}"),
    }
    .parse()
    .unwrap()
}

fn asset_id(writer: u8) -> AssetId {
    AssetId::from_bytes([writer + 1; 16])
}

fn now() -> Timestamp {
    Timestamp::from_secs(1_800_000_000)
}

const TOLD: &str = "folder=";
const SAID: &str = "acknowledged ";
