//! What runs may use: time by what they have to do, and processor time apart from time on the wall.
use std::path::Path;
use std::time::Duration;

use crate::support::{Machine, clip, stand_in};
use rend_core::asset::{Asset, SourceState};
use rend_core::job::{ErrorClass, Job, JobState};
use rend_core::media::plan::RunLimit;
use rend_media::worker::WorkerConfig;
use rend_storage::jobs::JobQueue;

/// So small and short that what it costs is a fraction of a second of any machine.
const TINY: &str = "-f lavfi -i testsrc2=s=128x72:r=24:d=1 -c:v libx264 -preset ultrafast -pix_fmt yuv420p";

async fn worked(folder: &Path, args: &str, change: impl FnOnce(&mut WorkerConfig)) -> (Asset, Job) {
    let file = clip(folder, "clip.mp4", args);
    let machine = Machine::new();
    let asset = machine
        .make(&file, |config| {
            config.policy.passthrough = false;
            change(config);
        })
        .await;
    let job = machine.memory.of_asset(asset.id).await.unwrap().remove(0);
    (asset, job)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_encoder_that_hangs_is_ended_by_what_its_work_costs_and_tried_again() {
    let folder = tempfile::tempdir().unwrap();
    let program = stand_in(folder.path(), "case \"$*\" in *libx264*) exec /bin/sleep 1000;; esac");
    let (asset, job) = worked(folder.path(), TINY, |config| {
        config.ffmpeg = program;
        config.run_floor = Duration::from_secs(1);
        assert!(config.process_timeout > Duration::from_secs(3600), "the bound that does not know the work is far off");
    })
    .await;
    assert_eq!((asset.source, job.state), (SourceState::Processing, JobState::Queued));
    let error = job.error.unwrap();
    assert_eq!((error.class, error.code.as_str()), (ErrorClass::Transient, "encoder_timeout"), "{error:?}");
    assert!(error.detail.contains("longer than 1 s"), "{error:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_encoder_that_spins_is_ended_by_what_its_work_costs_and_tried_again() {
    let folder = tempfile::tempdir().unwrap();
    let program = stand_in(folder.path(), "case \"$*\" in *libx264*) while :; do :; done;; esac");
    // With many slots there is a minute on the wall, and a second or two of a processor.
    let larger = TINY.replace("128x72:r=24:d=1", "320x180:r=24:d=2");
    let (asset, job) = worked(folder.path(), &larger, |config| {
        config.ffmpeg = program;
        config.run_floor = Duration::from_secs(1);
        config.policy.slots = 64;
    })
    .await;
    assert_eq!((asset.source, job.state), (SourceState::Processing, JobState::Queued));
    let error = job.error.unwrap();
    assert_eq!((error.class, error.code.as_str()), (ErrorClass::Transient, "encoder_killed"), "{error:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_probe_that_had_to_wait_is_tried_again() {
    let folder = tempfile::tempdir().unwrap();
    let program = stand_in(folder.path(), "exec /bin/sleep 1000");
    let (asset, job) = worked(folder.path(), TINY, |config| {
        config.ffprobe = program;
        config.probe_limit = RunLimit { wall: Duration::from_secs(1), cpu: Duration::from_secs(20) };
    })
    .await;
    assert_eq!((asset.source, job.state), (SourceState::Processing, JobState::Queued));
    let error = job.error.unwrap();
    assert_eq!((error.class, error.code.as_str()), (ErrorClass::Transient, "encoder_timeout"), "{error:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_keeps_the_probe_busy_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let program = stand_in(folder.path(), "while :; do :; done");
    let (asset, job) = worked(folder.path(), TINY, |config| {
        config.ffprobe = program;
        config.probe_limit = RunLimit { wall: Duration::from_secs(600), cpu: Duration::from_secs(1) };
    })
    .await;
    assert_eq!((asset.source, job.state), (SourceState::Failed, JobState::Failed));
    assert_eq!(asset.failure.map(|failure| failure.code).as_deref(), Some("unreadable"));
}
