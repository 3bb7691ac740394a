//! `kill -9` of a worker at random moments: what it made stays, what it began is made again, and the bytes are the same.
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::support::clip;
use bytes::Bytes;
use futures::StreamExt;
use rend_core::artifact::{ArtifactPath, ObjectKey};
use rend_core::asset::{Asset, Move, PlayableState, PlaybackPolicy, StoredSource};
use rend_core::id::{AssetId, JobId, OrgId};
use rend_core::job::{JobKind, NewJob};
use rend_core::prng::Prng;
use rend_core::time::{Clock, Mono, Timestamp};
use rend_media::worker::{Ports, Worker, WorkerConfig};
use rend_shell::SystemClock;
use rend_storage::assets::{AssetStore, Change};
use rend_storage::fs::FsObjects;
use rend_storage::objects::{ObjectStore, Put};
use rend_storage::sqlite::Sqlite;

/// Deaths of the worker, unless `REND_TEST_KILLS` says otherwise.
const KILLS: u64 = 15;
/// Encoders that run side by side: as many units may be begun again after each death.
const SLOTS: u32 = 2;
/// It plays as it is, and below it one rung is encoded: an opener and two stretches.
const CLIP: &str = "-f lavfi -i testsrc2=s=854x480:r=24:d=30 -f lavfi -i sine=f=440:d=30 -c:v libx264 -preset ultrafast \
                    -g 48 -pix_fmt yuv420p -c:a aac";
/// Each life of the worker begins this much later than the one before, so that a dead one's lease has run out.
const LIFE_SECS: u64 = 3600;
/// The longest that a worker is waited for.
const PATIENCE: Duration = Duration::from_secs(300);

#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::disallowed_methods, reason = "deaths are spread over real time, from a seed that is printed")]
async fn a_worker_that_is_killed_at_any_moment_loses_one_unit_a_slot_at_most() {
    let kills = std::env::var("REND_TEST_KILLS").ok().and_then(|n| n.parse().ok()).unwrap_or(KILLS);
    let seed = std::env::var("REND_TEST_SEED").ok().and_then(|n| n.parse().ok());
    let seed = seed.unwrap_or_else(|| SystemClock::start().wall().as_millis());
    println!("REND_TEST_SEED={seed} REND_TEST_KILLS={kills}");
    let mut prng = Prng::seeded(seed);
    let folder = tempfile::tempdir().unwrap();
    let source: Bytes = std::fs::read(clip(folder.path(), "clip.mp4", CLIP)).unwrap().into();

    let calm = folder.path().join("calm");
    let id = upload(&calm, source.clone()).await;
    let began = Instant::now();
    let mut life = Life::start(&calm, 0);
    life.ends();
    let whole = began.elapsed();
    let expected = artifacts(&calm, id).await;
    assert!(expected.len() > 30, "{}", expected.len());
    let units = begun(&calm, 0).len();

    let (mut deaths, mut again, mut assets, mut life) = (0, 0, 0, 0);
    while deaths < kills {
        assets += 1;
        let shaken = folder.path().join(format!("shaken-{assets}"));
        let id = upload(&shaken, source.clone()).await;
        let mut before = BTreeSet::new();
        loop {
            life += 1;
            let mut worker = Life::start(&shaken, life);
            let share = f64::from(u32::try_from(prng.below(1000)).unwrap()) / 1000.0;
            tokio::time::sleep(if deaths < kills { whole.mul_f64(share) } else { Duration::ZERO }).await;
            let done = deaths == kills || worker.has_ended();
            if done {
                worker.ends();
            } else {
                worker.dies();
                deaths += 1;
            }
            let now = begun(&shaken, life);
            let redone: Vec<_> = now.intersection(&before).copied().collect();
            assert!(redone.len() <= SLOTS as usize, "life {life} made {redone:?} again");
            again += redone.len();
            before.extend(now);
            no_orphan(&shaken);
            let made = artifacts(&shaken, id).await;
            // What can be read is whole: it has its last bytes already. Only lists change while they grow.
            for (path, bytes) in &made {
                let grows = !done && path.parse::<ArtifactPath>().is_ok_and(|path| !path.is_immutable());
                assert!(grows || expected.get(path) == Some(bytes), "life {life}: {path} is not as it should be");
            }
            if done {
                assert_eq!(made.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>());
                break;
            }
        }
    }
    println!("{units} units an asset, {assets} assets, {deaths} deaths, {again} units begun again");
}

/// The worker that is killed: this test program once more, as a process of its own.
#[test]
#[ignore = "needs the test above, which runs it as a process to kill"]
#[expect(clippy::disallowed_methods, reason = "a process that is told what to do")]
fn the_worker_that_is_killed() {
    let (Ok(folder), Ok(round)) = (std::env::var("REND_TEST_WORKER"), std::env::var("REND_TEST_ROUND")) else { return };
    rend_shell::init_logs("rend_media=debug");
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let folder = Path::new(&folder);
        let clock =
            Arc::new(Later(SystemClock::start(), Duration::from_secs(LIFE_SECS * round.parse::<u64>().unwrap())));
        let store = Arc::new(Sqlite::open(folder.join("db")).unwrap());
        let objects = Arc::new(FsObjects::open(folder.join("objects")).unwrap());
        let config = WorkerConfig::new("killed".to_owned(), folder.join("scratch"), SLOTS);
        let ports = Ports { objects, assets: store.clone(), jobs: store.clone() };
        let worker = Worker::new(config, ports, clock, Arc::new(rend_shell::ten), Arc::new(|_| {}));
        let (_trigger, shutdown) = rend_shell::shutdown_pair();
        while worker.run_once(&shutdown).await.unwrap() {}
    });
}

/// A clock that is ahead of the system's.
#[derive(Debug)]
struct Later(SystemClock, Duration);

impl Clock for Later {
    fn mono(&self) -> Mono {
        self.0.mono()
    }

    fn wall(&self) -> Timestamp {
        self.0.wall() + self.1
    }
}

/// One life of the worker.
struct Life(Child);

impl Life {
    fn start(folder: &Path, round: u64) -> Self {
        let log = std::fs::File::create(folder.join(format!("log-{round}"))).unwrap();
        // The program that runs, even when a newer build has taken its place meanwhile.
        let child = Command::new("/proc/self/exe")
            .args(["kills::the_worker_that_is_killed", "--exact", "--ignored", "--nocapture"])
            .env("REND_TEST_WORKER", folder)
            .env("REND_TEST_ROUND", round.to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        Self(child)
    }

    fn dies(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }

    fn has_ended(&mut self) -> bool {
        self.0.try_wait().unwrap().is_some()
    }

    fn ends(&mut self) {
        let status = self.0.wait().unwrap();
        assert!(status.success(), "{status}");
    }
}

impl Drop for Life {
    fn drop(&mut self) {
        self.dies();
    }
}

/// The units that a life began, by number.
fn begun(folder: &Path, round: u64) -> BTreeSet<u64> {
    let log = std::fs::read_to_string(folder.join(format!("log-{round}"))).unwrap();
    let number = |line: &str| line.split("\"unit\":").nth(1)?.split([',', '}']).next()?.trim().parse().ok();
    log.lines().filter(|line| line.contains("a unit begins")).filter_map(number).collect()
}

async fn upload(folder: &Path, bytes: Bytes) -> AssetId {
    let id = AssetId::new(SystemClock::start().wall(), rend_shell::ten());
    std::fs::create_dir_all(folder).unwrap();
    let store = Sqlite::open(folder.join("db")).unwrap();
    let objects = FsObjects::open(folder.join("objects")).unwrap();
    let now = SystemClock::start().wall();
    let len = bytes.len() as u64;
    let put = Put { content_type: "video/mp4".to_owned(), len: Some(len), sha256: None, now };
    let body = futures::stream::once(async move { Ok(bytes) }).boxed();
    let meta = objects.put(&ObjectKey::source(id), put, body).await.unwrap();
    let org = OrgId::new(now, rend_shell::ten());
    store.create(&Asset::new(id, org, "clip".to_owned(), PlaybackPolicy::Public, now)).await.unwrap();
    let job = JobId::new(now, rend_shell::ten());
    // It dies more often than any job is tried.
    let job = NewJob { id: job, asset: id, kind: JobKind::Media, run_at: now, attempts_max: 10_000 };
    let stored = Move::SourceStored(StoredSource { bytes: len, sha256: meta.sha256.unwrap_or_default() });
    for (step, enqueue) in [(Move::BeginUpload, None), (stored, Some(job))] {
        store.advance(&Change { asset: id, expect: None, step, fence: None, enqueue, now }).await.unwrap();
    }
    assert_eq!(store.get(id).await.unwrap().playable, PlayableState::NotPlayable);
    id
}

/// Every object of the asset that a reader can find, by its name below the asset.
async fn artifacts(folder: &Path, id: AssetId) -> BTreeMap<String, Vec<u8>> {
    let objects = FsObjects::open(folder.join("objects")).unwrap();
    let prefix = ObjectKey::asset_prefix(id);
    let mut named = BTreeMap::new();
    for key in objects.list(&prefix, None, 10_000).await.unwrap() {
        let mut object = objects.get(&key, None).await.unwrap();
        let mut bytes = Vec::new();
        while let Some(chunk) = object.body.next().await {
            bytes.extend_from_slice(&chunk.unwrap());
        }
        named.insert(key.as_str().strip_prefix(&prefix).unwrap().to_owned(), bytes);
    }
    named
}

/// No encoder outlives the worker that started it.
#[expect(clippy::disallowed_methods, reason = "the system ends a process in its own time")]
fn no_orphan(folder: &Path) {
    let scratch = folder.display().to_string();
    let began = Instant::now();
    loop {
        let listed = Command::new("ps").args(["-eo", "args"]).output().unwrap();
        let text = String::from_utf8_lossy(&listed.stdout).into_owned();
        if !text.lines().any(|line| line.contains("ffmpeg") && line.contains(&scratch)) {
            return;
        }
        assert!(began.elapsed() < PATIENCE, "an encoder was left behind");
        std::thread::sleep(Duration::from_millis(20));
    }
}
