//! Measures one upload's way to a playable ladder, and prints one line of JSON.
//!
//! ```text
//! measure_path CLIP [--rungs 720p,1080p] [--export FOLDER]     the whole way of one clip
//! measure_path survey CLIP                                     what deciding costs for a clip that plays as it is
//! ```
//!
//! The clock starts when the upload is complete and its job is written down. A clip that ends as failed is reported, not an
//! error: `cargo xtask bench media` shows it hostile files as well. `cargo xtask bench path` runs it beside a plain
//! `ffmpeg -f hls`. What it logs, a line a unit among it, goes to the standard error.
#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a program for the command line that measures")]
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use rend_core::artifact::{ObjectKey, Rendition};
use rend_core::asset::{Asset, Move, PlayableState, PlaybackPolicy, RenditionState, StoredSource};
use rend_core::id::{AssetId, JobId, OrgId};
use rend_core::job::{JobKind, NewJob};
use rend_core::media::ladder::LadderPolicy;
use rend_core::media::moov::{Place, locate};
use rend_core::media::passthrough::survey;
use rend_core::media::probe::Limits;
use rend_core::time::Clock;
use rend_media::worker::{Advance, Ports, Worker, WorkerConfig};
use rend_shell::SystemClock;
use rend_storage::assets::{AssetStore, Change};
use rend_storage::fs::FsObjects;
use rend_storage::memory::Memory;
use rend_storage::objects::{ObjectStore, Put};
use serde_json::json;

#[tokio::main]
async fn main() {
    rend_shell::init_logs("warn,rend_media=debug");
    let mut args = std::env::args().skip(1).peekable();
    if args.next_if_eq("survey").is_some() {
        return decide(Path::new(&args.next().unwrap()));
    }
    let clip = PathBuf::from(args.next().unwrap());
    let (mut rungs, mut export): (Vec<Rendition>, Option<PathBuf>) = (Vec::new(), None);
    while let Some(name) = args.next() {
        let value = args.next().unwrap();
        match name.as_str() {
            "--rungs" => rungs = value.split(',').map(|name| name.parse().unwrap()).collect(),
            "--export" => export = Some(value.into()),
            _ => panic!("unknown option {name}"),
        }
    }
    measure(&clip, rungs, export.as_deref()).await;
}

/// The instants that somebody waits for, in milliseconds since the job was written down.
#[derive(Default)]
struct Seen {
    plays: Option<u128>,
    passed: Option<u128>,
    warm: Vec<String>,
}

async fn measure(clip: &Path, rungs: Vec<Rendition>, export: Option<&Path>) {
    let folder = tempfile::tempdir().unwrap();
    let objects = Arc::new(FsObjects::open(folder.path().join("objects")).unwrap());
    let memory = Arc::new(Memory::default());
    let clock = Arc::new(SystemClock::start());
    let id = upload(&objects, &memory, &clock, std::fs::read(clip).unwrap().into()).await;

    let cores = std::thread::available_parallelism().map_or(2, |cores| u32::try_from(cores.get()).unwrap_or(2));
    let scratch = folder.path().join("scratch");
    let mut config = WorkerConfig::new("measure".to_owned(), scratch.clone(), cores);
    if !rungs.is_empty() {
        config.policy.ladder = LadderPolicy { rungs, source_size: false };
    }
    let uploading = processor_time(rustix::time::ClockId::ProcessCPUTime);
    let began = clock.mono();
    let seen: Arc<Mutex<Seen>> = Arc::default();
    let (seeing, watch) = (seen.clone(), clock.clone());
    let notify = Arc::new(move |advance: Advance| {
        let now = watch.mono().since(began).as_millis();
        let mut seen = seeing.lock().unwrap();
        if advance.asset.playable == PlayableState::OpenerReady && seen.plays.is_none() {
            seen.plays = Some(now);
            seen.warm = advance.warm.iter().map(ToString::to_string).collect();
        }
        let whole = advance
            .asset
            .renditions
            .iter()
            .any(|row| row.rendition == Rendition::Source && row.state == RenditionState::Ready);
        if whole {
            seen.passed.get_or_insert(now);
        }
    });
    let ports = Ports { objects: objects.clone(), assets: memory.clone(), jobs: memory.clone() };
    let worker = Worker::new(config, ports, clock.clone(), Arc::new(rend_shell::ten), notify);
    let (_trigger, shutdown) = rend_shell::shutdown_pair();
    let mut scratch_bytes = 0;
    {
        let work = worker.run_once(&shutdown);
        tokio::pin!(work);
        loop {
            tokio::select! {
                done = &mut work => break assert!(done.unwrap()),
                () = tokio::time::sleep(LOOK_EVERY) => scratch_bytes = scratch_bytes.max(bytes_in(&scratch)),
            }
        }
    }
    let ready = clock.mono().since(began).as_millis();
    let asset = memory.get(id).await.unwrap();
    if let Some(to) = export {
        write_out(&objects, id, to).await;
    }
    let seen = seen.lock().unwrap();
    let failure = asset.failure.as_ref().map(|failure| failure.code.clone());
    let said = json!({
        "state": asset.playable.to_string(),
        "failure": failure,
        "opener_ms": seen.plays.unwrap_or(ready),
        "passed_ms": seen.passed,
        "ready_ms": ready,
        "scratch_bytes": scratch_bytes,
        "upload_cpu_ms": uploading.as_millis(),
        "warm": seen.warm,
    });
    println!("{said}");
}

async fn upload(objects: &FsObjects, memory: &Memory, clock: &SystemClock, bytes: Bytes) -> AssetId {
    let now = clock.wall();
    let id = AssetId::new(now, rend_shell::ten());
    let len = bytes.len() as u64;
    let put = Put { content_type: "video/mp4".to_owned(), len: Some(len), sha256: None, now };
    let body = futures::stream::once(async move { Ok(bytes) }).boxed();
    objects.put(&ObjectKey::source(id), put, body).await.unwrap();
    let asset = Asset::new(id, OrgId::new(now, rend_shell::ten()), String::new(), PlaybackPolicy::Public, now);
    memory.create(&asset).await.unwrap();
    let job = JobId::new(now, rend_shell::ten());
    let job = NewJob { id: job, asset: id, kind: JobKind::Media, run_at: now, attempts_max: 1 };
    let stored = Move::SourceStored(StoredSource { bytes: len, sha256: [0; 32] });
    for (step, enqueue) in [(Move::BeginUpload, None), (stored, Some(job))] {
        memory.advance(&Change { asset: id, expect: None, step, fence: None, enqueue, now }).await.unwrap();
    }
    id
}

/// Writes every artifact of the asset under its own path.
async fn write_out(objects: &FsObjects, id: AssetId, to: &Path) {
    let prefix = ObjectKey::asset_prefix(id);
    for key in objects.list(&prefix, None, KEYS_MAX).await.unwrap() {
        let file = to.join(key.as_str().strip_prefix(&prefix).unwrap());
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        let mut object = objects.get(&key, None).await.unwrap();
        let mut bytes = Vec::new();
        while let Some(chunk) = object.body.next().await {
            bytes.extend_from_slice(&chunk.unwrap());
        }
        std::fs::write(file, bytes).unwrap();
    }
}

fn bytes_in(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .map(|entry| entry.metadata().map_or(0, |m| if m.is_dir() { bytes_in(&entry.path()) } else { m.len() }))
        .sum()
}

/// Reads the clip's description, decides, and writes the lists, several times; prints the processor time of the quickest.
fn decide(clip: &Path) {
    let file = Bytes::from(std::fs::read(clip).unwrap());
    let len = file.len() as u64;
    let limits = Limits { duration_secs_max: u64::MAX / 2_000_000, ..Limits::default() };
    let once = || {
        let began = processor_time(THREAD);
        let mut at = 0;
        let range = loop {
            match locate(at, &file[usize::try_from(at).unwrap()..], len) {
                Place::At(range) => break range,
                Place::Look(next) => at = next,
                Place::Nowhere(why) => panic!("{why}"),
            }
        };
        let moov = file.slice(usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap());
        let bytes = moov.len();
        let passed = survey(&moov, len, &limits, &LadderPolicy::default()).unwrap();
        let lists = passed.master(true).to_string().len() + passed.media(passed.len(), true).to_string().len();
        assert!(lists > 0 && !passed.init().is_empty());
        (processor_time(THREAD) - began, bytes, passed.len())
    };
    let (took, bytes, segments) = (0..TIMES).map(|_| once()).min().unwrap();
    println!("{}", json!({ "cpu_us": took.as_micros(), "moov_bytes": bytes, "segments": segments }));
}

fn processor_time(of: rustix::time::ClockId) -> Duration {
    let time = rustix::time::clock_gettime(of);
    Duration::new(u64::try_from(time.tv_sec).unwrap(), u32::try_from(time.tv_nsec).unwrap())
}

/// Of this thread alone, so that what else the machine does hardly counts.
const THREAD: rustix::time::ClockId = rustix::time::ClockId::ThreadCPUTime;
/// How often the scratch folder is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(50);
const KEYS_MAX: usize = 100_000;
/// The quickest of so many counts.
const TIMES: usize = 7;
