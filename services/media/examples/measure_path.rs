//! Measures one upload's way to a playable ladder: `measure_path CLIP [RUNG…]` prints one line of JSON.
//!
//! The clock starts when the upload is complete and its job is written down. `cargo xtask bench path` runs it beside a
//! plain `ffmpeg -f hls`.
#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a program for the command line that measures")]
use std::sync::{Arc, Mutex};

use futures::StreamExt;
use rend_core::artifact::{ObjectKey, Rendition};
use rend_core::asset::{Asset, Move, PlayableState, PlaybackPolicy, StoredSource};
use rend_core::id::{AssetId, JobId, OrgId};
use rend_core::job::{JobKind, NewJob};
use rend_core::media::ladder::LadderPolicy;
use rend_core::time::Clock;
use rend_media::worker::{Advance, Ports, Worker, WorkerConfig};
use rend_shell::SystemClock;
use rend_storage::assets::{AssetStore, Change};
use rend_storage::fs::FsObjects;
use rend_storage::memory::Memory;
use rend_storage::objects::{ObjectStore, Put};

#[tokio::main]
async fn main() {
    rend_shell::init_logs("warn");
    let args: Vec<String> = std::env::args().skip(1).collect();
    let rungs: Vec<Rendition> = args[1..].iter().map(|name| name.parse().unwrap()).collect();
    let folder = tempfile::tempdir().unwrap();
    let objects = Arc::new(FsObjects::open(folder.path().join("objects")).unwrap());
    let memory = Arc::new(Memory::default());
    let clock = Arc::new(SystemClock::start());

    let now = clock.wall();
    let id = AssetId::new(now, rend_shell::ten());
    let bytes = std::fs::read(&args[0]).unwrap();
    let len = bytes.len() as u64;
    let put = Put { content_type: "video/mp4".to_owned(), len: Some(len), sha256: None, now };
    let body = futures::stream::once(async move { Ok(bytes.into()) }).boxed();
    objects.put(&ObjectKey::source(id), put, body).await.unwrap();
    let asset = Asset::new(id, OrgId::new(now, rend_shell::ten()), String::new(), PlaybackPolicy::Public, now);
    memory.create(&asset).await.unwrap();
    let job = NewJob {
        id: JobId::new(now, rend_shell::ten()),
        asset: id,
        kind: JobKind::Media,
        run_at: now,
        attempts_max: 1,
    };
    let stored = Move::SourceStored(StoredSource { bytes: len, sha256: [0; 32] });
    for (step, enqueue) in [(Move::BeginUpload, None), (stored, Some(job))] {
        memory.advance(&Change { asset: id, expect: None, step, fence: None, enqueue, now }).await.unwrap();
    }

    let cores = std::thread::available_parallelism().map_or(2, |cores| u32::try_from(cores.get()).unwrap_or(2));
    let mut config = WorkerConfig::new("measure".to_owned(), folder.path().join("scratch"), cores);
    if !rungs.is_empty() {
        config.policy.ladder = LadderPolicy { rungs, source_size: false };
    }
    let began = clock.mono();
    let opener: Arc<Mutex<Option<u128>>> = Arc::default();
    let seen = (opener.clone(), clock.clone());
    let notify = Arc::new(move |advance: Advance| {
        if advance.asset.playable == PlayableState::OpenerReady {
            seen.0.lock().unwrap().get_or_insert(seen.1.mono().since(began).as_millis());
        }
    });
    let ports = Ports { objects, assets: memory.clone(), jobs: memory.clone() };
    let worker = Worker::new(config, ports, clock.clone(), Arc::new(rend_shell::ten), notify);
    let (_trigger, shutdown) = rend_shell::shutdown_pair();
    worker.run_once(&shutdown).await.unwrap();
    let ready = clock.mono().since(began).as_millis();
    let asset = memory.get(id).await.unwrap();
    assert_eq!(asset.playable, PlayableState::HlsReady, "{:?}", asset.failure);
    println!("{{\"opener_ms\":{},\"ready_ms\":{ready}}}", opener.lock().unwrap().unwrap_or(ready));
}
