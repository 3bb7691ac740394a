//! What is passed through is read back before it is called ready, all of it.
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::support::{Machine, clip, stand_in};
use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use rend_core::artifact::{ArtifactPath, ObjectKey, Rendition};
use rend_core::asset::{Asset, PlayableState};
use rend_core::job::JobState;
use rend_media::worker::WorkerConfig;
use rend_storage::StoreError;
use rend_storage::assets::AssetStore;
use rend_storage::fs::FsObjects;
use rend_storage::jobs::JobQueue;
use rend_storage::objects::{Object, ObjectBody, ObjectMeta, ObjectStore, Put};

/// Two seconds a segment, which play as they are; so small that no rung lies below.
const ALONE: &str = "-f lavfi -i testsrc2=s=640x360:r=24:d=7 -f lavfi -i sine=f=440:d=7 -f lavfi -i sine=f=880:d=7 \
                     -map 0 -map 1 -map 2 -c:v libx264 -preset veryfast -g 48 -pix_fmt yuv420p -c:a aac -ac 2 \
                     -metadata:s:a:0 language=eng -metadata:s:a:1 language=deu -movflags +faststart";

/// A store that spoils one object.
#[derive(Debug)]
struct Spoiling {
    inner: Arc<FsObjects>,
    /// How the object's key ends.
    name: String,
    spoil: fn(&[u8]) -> Vec<u8>,
}

#[async_trait]
impl ObjectStore for Spoiling {
    async fn put(&self, key: &ObjectKey, put: Put, mut body: ObjectBody) -> Result<ObjectMeta, StoreError> {
        if !key.as_str().ends_with(&self.name) {
            return self.inner.put(key, put, body).await;
        }
        let mut all = BytesMut::new();
        while let Some(chunk) = body.next().await {
            all.extend_from_slice(&chunk?);
        }
        let spoilt = Bytes::from((self.spoil)(&all));
        let put = Put { len: None, sha256: None, ..put };
        self.inner.put(key, put, futures::stream::once(async move { Ok(spoilt) }).boxed()).await
    }

    async fn get(&self, key: &ObjectKey, range: Option<Range<u64>>) -> Result<Object, StoreError> {
        self.inner.get(key, range).await
    }

    async fn head(&self, key: &ObjectKey) -> Result<ObjectMeta, StoreError> {
        self.inner.head(key).await
    }

    async fn delete(&self, key: &ObjectKey) -> Result<(), StoreError> {
        self.inner.delete(key).await
    }

    async fn list(&self, prefix: &str, after: Option<&ObjectKey>, limit: usize) -> Result<Vec<ObjectKey>, StoreError> {
        self.inner.list(prefix, after, limit).await
    }

    async fn local(&self, key: &ObjectKey) -> Option<PathBuf> {
        self.inner.local(key).await
    }
}

/// What becomes of `file` where the object at `path` is spoilt on its way.
async fn made(
    file: &Path,
    path: ArtifactPath,
    spoil: fn(&[u8]) -> Vec<u8>,
    change: impl FnOnce(&mut WorkerConfig),
) -> Asset {
    let machine = Machine::new();
    let id = machine.upload(std::fs::read(file).unwrap().into()).await;
    let name = ObjectKey::artifact(id, path).as_str().to_owned();
    let objects = Arc::new(Spoiling { inner: machine.objects.clone(), name, spoil });
    let (_trigger, shutdown) = rend_shell::shutdown_pair();
    assert!(machine.worker_on(objects, change).run_once(&shutdown).await.unwrap());
    let asset = machine.memory.get(id).await.unwrap();
    let job = machine.memory.of_asset(id).await.unwrap().remove(0);
    let expect = if asset.playable == PlayableState::HlsReady { JobState::Succeeded } else { JobState::Failed };
    assert_eq!(job.state, expect, "{job:?}");
    asset
}

#[track_caller]
fn check_refused(asset: &Asset) {
    assert_eq!(asset.playable, PlayableState::Failed);
    assert_eq!(asset.failure.as_ref().map(|failure| failure.code.as_str()), Some("check_failed"), "{asset:?}");
}

fn as_it_is(bytes: &[u8]) -> Vec<u8> {
    bytes.to_vec()
}

fn no_key_frames_only(bytes: &[u8]) -> Vec<u8> {
    String::from_utf8(bytes.to_vec()).unwrap().replace("#EXT-X-I-FRAMES-ONLY\n", "").into_bytes()
}

fn nothing_in_it(bytes: &[u8]) -> Vec<u8> {
    vec![0; bytes.len()]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_plays_alone_is_read_back_with_its_key_frame_list_and_its_sounds() {
    let folder = tempfile::tempdir().unwrap();
    let file = clip(folder.path(), "alone.mp4", ALONE);
    let keys = ArtifactPath::IFrames(Rendition::Source);
    let voice = ArtifactPath::Segment { rendition: "a-deu".parse().unwrap(), index: 1 };
    let well = made(&file, keys, as_it_is, |_| {}).await;
    assert_eq!((well.playable, well.degraded), (PlayableState::HlsReady, false), "{well:?}");
    let names: Vec<_> = well.renditions.iter().map(|row| row.rendition.to_string()).collect();
    assert_eq!(names, ["src", "a-eng", "a-deu"], "it is passed through with both of its sounds");
    check_refused(&made(&file, keys, no_key_frames_only, |_| {}).await);
    check_refused(&made(&file, voice, nothing_in_it, |_| {}).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_would_play_on_without_its_ladder_is_read_back_too() {
    let folder = tempfile::tempdir().unwrap();
    let file = clip(folder.path(), "above.mp4", &ALONE.replace("640x360", "854x480"));
    let program = stand_in(folder.path(), "case \"$*\" in *libx264*) exit 1;; esac");
    let keys = ArtifactPath::IFrames(Rendition::Source);
    let well = made(&file, keys, as_it_is, |config| config.ffmpeg = program.clone()).await;
    assert_eq!((well.playable, well.degraded), (PlayableState::HlsReady, true), "{well:?}");
    check_refused(&made(&file, keys, no_key_frames_only, |config| config.ffmpeg = program.clone()).await);
}
