//! An encoder that fails for one rung, or once: the others play, and what can be made is made.
use std::path::Path;

use crate::support::{Machine, clip, stand_in};
use rend_core::artifact::{ArtifactPath, Rendition};
use rend_core::asset::{Asset, PlayableState, RenditionState, SourceState};
use rend_core::event::EventKind;
use rend_core::job::{ErrorClass, JobState};
use rend_core::media::playlist::{Master, Media};
use rend_storage::events::{EventLog, EventsOf};
use rend_storage::jobs::JobQueue;

/// Eleven seconds with sound, in three rungs, cut into two stretches.
const CLIP: &str = "-f lavfi -i testsrc2=s=1280x720:r=24:d=11 -f lavfi -i sine=f=440:d=11 -c:v libx264 -preset ultrafast \
                    -pix_fmt yuv420p -c:a aac";

async fn made_with(folder: &Path, script: &str) -> (Machine, Asset) {
    let file = clip(folder, "clip.mp4", CLIP);
    let program = stand_in(folder, script);
    let machine = Machine::new();
    let asset = machine.make(&file, |config| config.ffmpeg = program).await;
    (machine, asset)
}

fn told(asset: &Asset) -> Vec<String> {
    let state = |state: &RenditionState| match state {
        RenditionState::Planned => "planned".to_owned(),
        RenditionState::Ready => "ready".to_owned(),
        RenditionState::Failed(failure) => format!("failed: {}", failure.code),
    };
    asset.renditions.iter().map(|row| format!("{} {}", row.rendition, state(&row.state))).collect()
}

async fn listed(machine: &Machine, asset: &Asset) -> Vec<String> {
    let master: Master = machine.text(asset.id, ArtifactPath::Master).await.parse().unwrap();
    master.variants.into_iter().map(|variant| variant.uri).collect()
}

#[track_caller]
fn check_plays_degraded(asset: &Asset, rows: &[&str]) {
    assert_eq!((asset.source, asset.playable, asset.degraded), (SourceState::Ready, PlayableState::HlsReady, true));
    assert_eq!(told(asset), rows);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rung_that_can_not_be_encoded_leaves_the_others_playing() {
    let folder = tempfile::tempdir().unwrap();
    let (machine, asset) = made_with(folder.path(), "case \"$*\" in *854:480*) echo no >&2; exit 1;; esac").await;
    check_plays_degraded(&asset, &["360p ready", "480p failed: encoder_failed", "720p ready"]);
    assert_eq!(listed(&machine, &asset).await, ["360p/index.m3u8", "720p/index.m3u8"]);
    let events = machine.memory.after(EventsOf::Asset(asset.id), 0, 100).await.unwrap();
    let failed = EventKind::RenditionFailed { rendition: Rendition::P480, code: "encoder_failed".to_owned() };
    assert_eq!(events.iter().filter(|event| event.kind == failed).count(), 1);
    let job = machine.memory.of_asset(asset.id).await.unwrap().remove(0);
    assert_eq!(job.state, JobState::Succeeded);
}

#[tokio::test(flavor = "multi_thread")]
async fn playback_starts_with_the_next_rung_when_the_first_can_not_be_encoded() {
    let folder = tempfile::tempdir().unwrap();
    let (machine, asset) = made_with(folder.path(), "case \"$*\" in *640:360*) exit 1;; esac").await;
    check_plays_degraded(&asset, &["360p failed: encoder_failed", "480p ready", "720p ready"]);
    assert_eq!(listed(&machine, &asset).await, ["480p/index.m3u8", "720p/index.m3u8"]);
    assert!(machine.artifact(asset.id, ArtifactPath::Opener).await.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rung_that_fails_after_it_was_listed_is_taken_back() {
    let folder = tempfile::tempdir().unwrap();
    // Its first stretch is made, and the list names it; the second stretch is sought, and fails.
    let script = "case \"$*\" in *-ss*854:480*) /bin/sleep 1; exit 1;; esac";
    let (machine, asset) = made_with(folder.path(), script).await;
    check_plays_degraded(&asset, &["360p ready", "480p failed: encoder_failed", "720p ready"]);
    assert_eq!(listed(&machine, &asset).await, ["360p/index.m3u8", "720p/index.m3u8"]);
    assert!(machine.artifact(asset.id, ArtifactPath::Variant(Rendition::P480)).await.is_none());
    for rendition in [Rendition::P360, Rendition::P720] {
        let list: Media = machine.text(asset.id, ArtifactPath::Variant(rendition)).await.parse().unwrap();
        assert_eq!((list.micros(), list.ended), (11_000_000, true));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_encoder_that_dies_once_costs_no_rung() {
    let folder = tempfile::tempdir().unwrap();
    // Where it works it may leave a mark.
    let script = "case \"$*\" in *libx264*854:480*|*854:480*libx264*) /bin/mkdir once 2>/dev/null && kill -9 $$;; esac";
    let file = clip(folder.path(), "clip.mp4", CLIP);
    let program = stand_in(folder.path(), script);
    let machine = Machine::new();
    let jobs = machine.folder.path().join("scratch");
    let died = async {
        let is_marked = |job: std::io::Result<std::fs::DirEntry>| job.is_ok_and(|job| job.path().join("once").exists());
        while !std::fs::read_dir(&jobs).is_ok_and(|mut all| all.any(is_marked)) {
            tokio::time::sleep(std::time::Duration::from_millis(2)).await;
        }
    };
    let making = machine.make(&file, |config| config.ffmpeg = program);
    tokio::pin!(making);
    let asset = tokio::select! {
        asset = &mut making => panic!("it never died: {asset:?}"),
        () = died => making.await,
    };
    assert_eq!((asset.playable, asset.degraded), (PlayableState::HlsReady, false));
    assert_eq!(told(&asset), ["360p ready", "480p ready", "720p ready"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_encoder_that_fails_at_everything_fails_the_asset() {
    let folder = tempfile::tempdir().unwrap();
    let (machine, asset) = made_with(folder.path(), "case \"$*\" in *libx264*) echo broken >&2; exit 1;; esac").await;
    assert_eq!(asset.playable, PlayableState::Failed);
    let job = machine.memory.of_asset(asset.id).await.unwrap().remove(0);
    let error = job.error.unwrap();
    assert_eq!((job.state, error.class), (JobState::Failed, ErrorClass::Permanent));
    assert!(error.stderr_tail.contains("broken"), "{error:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_encoder_that_is_killed_at_everything_is_tried_again_later() {
    let folder = tempfile::tempdir().unwrap();
    let (machine, asset) = made_with(folder.path(), "case \"$*\" in *libx264*) kill -9 $$;; esac").await;
    assert_eq!(asset.source, SourceState::Processing);
    let job = machine.memory.of_asset(asset.id).await.unwrap().remove(0);
    assert_eq!((job.state, job.error.unwrap().code.as_str()), (JobState::Queued, "encoder_killed"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rung_that_costs_more_than_a_better_one_is_not_named_in_the_end() {
    let folder = tempfile::tempdir().unwrap();
    // The opener is as good as ever, and what follows in all rungs is so poor that the next rung is cheaper than the opener.
    let script = "case \"$*\" in *superfast*) ;; *) n=$#; while [ $n -gt 0 ]; do a=$1; shift; [ \"$a\" = 23 ] && a=50; \
                  set -- \"$@\" \"$a\"; n=$((n-1)); done;; esac";
    let (machine, asset) = made_with(folder.path(), script).await;
    assert_eq!(told(&asset), ["360p ready", "480p ready", "720p ready"]);
    let master: Master = machine.text(asset.id, ArtifactPath::Master).await.parse().unwrap();
    let cost: Vec<(&str, u64)> = master.variants.iter().map(|v| (v.uri.as_str(), v.bandwidth)).collect();
    assert!(cost.windows(2).all(|pair| pair[0].1 < pair[1].1), "{cost:?}");
    assert!(cost.iter().all(|(uri, _)| *uri != "360p/index.m3u8"), "{cost:?}");
    // Whoever plays it already plays on, and edges are asked for what viewers start with from now on.
    let list: Media = machine.text(asset.id, ArtifactPath::Variant(Rendition::P360)).await.parse().unwrap();
    assert!(list.ended);
    let advances = machine.advances.lock().unwrap();
    let warm = &advances.iter().rfind(|advance| !advance.warm.is_empty()).unwrap().warm;
    let start: Rendition = cost[0].0.strip_suffix("/index.m3u8").unwrap().parse().unwrap();
    assert_eq!(warm[..2], [ArtifactPath::Master, ArtifactPath::Variant(start)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn rungs_of_a_source_that_spends_little_rise_in_what_they_cost() {
    let folder = tempfile::tempdir().unwrap();
    let args = "-f lavfi -i testsrc2=s=1280x720:r=24:d=9 -vf noise=alls=20:allf=t -c:v libx264 -preset veryfast -b:v 300k \
                -maxrate 300k -bufsize 300k -pix_fmt yuv420p";
    let file = clip(folder.path(), "little.mp4", args);
    let machine = Machine::new();
    let asset = machine.make(&file, |_| {}).await;
    assert_eq!(asset.playable, PlayableState::HlsReady);
    let master: Master = machine.text(asset.id, ArtifactPath::Master).await.parse().unwrap();
    let cost: Vec<u64> = master.variants.iter().map(|variant| variant.bandwidth).collect();
    assert!(cost.windows(2).all(|pair| pair[0] < pair[1]), "{cost:?}");
}
