//! One machine in a folder: objects as files, everything else in memory, a worker that does one job.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures::StreamExt;
use rend_core::artifact::{ArtifactPath, ObjectKey, Rendition};
use rend_core::asset::{Asset, Move, PlaybackPolicy, StoredSource};
use rend_core::id::{AssetId, JobId, OrgId};
use rend_core::job::{JobKind, NewJob};
use rend_core::time::{Clock, Timestamp};
use rend_media::worker::{Advance, Ports, Worker, WorkerConfig};
use rend_shell::SystemClock;
use rend_storage::assets::{AssetStore, Change};
use rend_storage::fs::FsObjects;
use rend_storage::memory::Memory;
use rend_storage::objects::{ObjectStore, Put};

pub(crate) struct Machine {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) objects: Arc<FsObjects>,
    pub(crate) memory: Arc<Memory>,
    pub(crate) clock: Arc<SystemClock>,
    pub(crate) advances: Arc<Mutex<Vec<Advance>>>,
}

impl Machine {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let objects = Arc::new(FsObjects::open(folder.path().join("objects")).unwrap());
        let memory = Arc::new(Memory::default());
        Self { folder, objects, memory, clock: Arc::new(SystemClock::start()), advances: Arc::default() }
    }

    pub(crate) fn worker(&self, change: impl FnOnce(&mut WorkerConfig)) -> Worker {
        self.worker_on(self.objects.clone(), change)
    }

    /// A worker that sees the stored objects through `objects`.
    pub(crate) fn worker_on(&self, objects: Arc<dyn ObjectStore>, change: impl FnOnce(&mut WorkerConfig)) -> Worker {
        let mut config = WorkerConfig::new("test".to_owned(), self.folder.path().join("scratch"), 2);
        change(&mut config);
        let ports = Ports { objects, assets: self.memory.clone(), jobs: self.memory.clone() };
        let advances = self.advances.clone();
        let notify = Arc::new(move |advance| advances.lock().unwrap().push(advance));
        Worker::new(config, ports, self.clock.clone(), Arc::new(rend_shell::ten), notify)
    }

    /// An asset whose source is `bytes`, with a job that waits.
    pub(crate) async fn upload(&self, bytes: Bytes) -> AssetId {
        let now = self.clock.wall();
        let id = AssetId::new(now, rend_shell::ten());
        let org = OrgId::new(now, rend_shell::ten());
        let len = bytes.len() as u64;
        let put = Put { content_type: "video/mp4".to_owned(), len: Some(len), sha256: None, now };
        let body = futures::stream::once(async move { Ok(bytes) }).boxed();
        let meta = self.objects.put(&ObjectKey::source(id), put, body).await.unwrap();
        self.memory.create(&Asset::new(id, org, "clip".to_owned(), PlaybackPolicy::Public, now)).await.unwrap();
        self.step(id, Move::BeginUpload, None, now).await;
        let stored = StoredSource { bytes: len, sha256: meta.sha256.unwrap_or_default() };
        let job = NewJob {
            id: JobId::new(now, rend_shell::ten()),
            asset: id,
            kind: JobKind::Media,
            run_at: now,
            attempts_max: 3,
        };
        self.step(id, Move::SourceStored(stored), Some(job), now).await;
        id
    }

    async fn step(&self, asset: AssetId, step: Move, enqueue: Option<NewJob>, now: Timestamp) {
        self.memory.advance(&Change { asset, expect: None, step, fence: None, enqueue, now }).await.unwrap();
    }

    pub(crate) async fn advance(&self, asset: AssetId, step: Move) {
        self.step(asset, step, None, self.clock.wall()).await;
    }

    pub(crate) async fn delete(&self, asset: AssetId) {
        self.step(asset, Move::RequestDeletion, None, self.clock.wall()).await;
    }

    /// Uploads the file and works on it once.
    pub(crate) async fn make(&self, file: &Path, change: impl FnOnce(&mut WorkerConfig)) -> Asset {
        let id = self.upload(std::fs::read(file).unwrap().into()).await;
        let (_trigger, shutdown) = rend_shell::shutdown_pair();
        assert!(self.worker(change).run_once(&shutdown).await.unwrap());
        self.memory.get(id).await.unwrap()
    }

    /// Asks for a rendition as one file.
    pub(crate) async fn ask_download(&self, asset: AssetId, rendition: Rendition) {
        let now = self.clock.wall();
        let id = JobId::new(now, rend_shell::ten());
        let job = NewJob { id, asset, kind: JobKind::Download, run_at: now, attempts_max: 3 };
        self.step(asset, Move::RequestDownload(rendition), Some(job), now).await;
    }

    /// Works on one job.
    pub(crate) async fn work(&self) {
        let (_trigger, shutdown) = rend_shell::shutdown_pair();
        assert!(self.worker(|_| {}).run_once(&shutdown).await.unwrap());
    }

    /// Asks for a rendition as one file, and has it made.
    pub(crate) async fn download(&self, asset: AssetId, rendition: Rendition) -> Asset {
        self.ask_download(asset, rendition).await;
        self.work().await;
        self.memory.get(asset).await.unwrap()
    }

    /// Where the asset's artifacts lie as files.
    pub(crate) async fn artifact(&self, asset: AssetId, path: ArtifactPath) -> Option<PathBuf> {
        self.objects.local(&ObjectKey::artifact(asset, path)).await
    }

    pub(crate) async fn text(&self, asset: AssetId, path: ArtifactPath) -> String {
        std::fs::read_to_string(self.artifact(asset, path).await.unwrap()).unwrap()
    }

    /// Copies every artifact of the asset to `to`, under its own path.
    pub(crate) async fn export(&self, asset: AssetId, to: &Path) {
        let prefix = ObjectKey::asset_prefix(asset);
        for key in self.objects.list(&prefix, None, 100_000).await.unwrap() {
            let mut object = self.objects.get(&key, None).await.unwrap();
            let mut bytes = Vec::new();
            while let Some(chunk) = object.body.next().await {
                bytes.extend_from_slice(&chunk.unwrap());
            }
            let file = to.join(key.as_str().strip_prefix(&prefix).unwrap());
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, bytes).unwrap();
        }
    }
}

/// A clip made by ffmpeg from these arguments.
pub(crate) fn clip(folder: &Path, name: &str, args: &str) -> PathBuf {
    let file = folder.join(name);
    let status = Command::new("ffmpeg")
        .args(["-nostdin", "-hide_banner", "-v", "error", "-y"])
        .args(args.split(' '))
        .arg(&file)
        .status()
        .expect("these tests need ffmpeg: run `cargo xtask test`, which installs it, or `apt-get install ffmpeg`");
    assert!(status.success(), "ffmpeg could not make {name}");
    file
}

/// A program that runs `script` and then, if that has not ended it, ffmpeg with the same arguments.
pub(crate) fn stand_in(folder: &Path, script: &str) -> PathBuf {
    use std::os::unix::fs::PermissionsExt;
    let program = folder.join("encoder");
    std::fs::write(&program, format!("#!/bin/sh\n{script}\nexec /usr/bin/ffmpeg \"$@\"\n")).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    program
}

/// What ffprobe says of the file, as values parted by commas.
pub(crate) fn probe(file: &Path, args: &str) -> String {
    let output = Command::new("ffprobe")
        .args(["-v", "error", "-of", "csv=p=0"])
        .args(args.split(' '))
        .arg(file)
        .output()
        .expect("these tests need ffprobe: run `cargo xtask test`, which installs it, or `apt-get install ffmpeg`");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// When the file's first silence ends, in seconds.
pub(crate) fn silence_ends(file: &Path) -> f64 {
    let output = Command::new("ffmpeg")
        .args(["-nostdin", "-hide_banner", "-i"])
        .arg(file)
        .args(["-af", "silencedetect=n=-40dB:d=0.1", "-vn", "-f", "null", "-"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let after = said.split("silence_end: ").nth(1).unwrap_or_else(|| panic!("no silence: {said}"));
    after.split(' ').next().unwrap().trim().parse().unwrap()
}

/// Whether this ffmpeg has the option.
pub(crate) fn knows(option: &str) -> bool {
    let output = Command::new("ffmpeg").args(["-hide_banner", "-h", "full"]).output().unwrap();
    String::from_utf8_lossy(&output.stdout).lines().any(|line| line.trim_start().starts_with(option))
}

/// Every file under the folder, in order.
pub(crate) fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}
