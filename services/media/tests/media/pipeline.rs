//! Clips of the kinds that people really have, made here, carried through the worker to a checked ladder.
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::support::{Machine, clip};
use rend_core::artifact::{ArtifactPath, ObjectKey, Rendition};
use rend_core::asset::{Asset, PlayableState, SourceState};
use rend_core::job::{ErrorClass, JobState};
use rend_core::media::playlist::{Master, Media};
use rend_storage::assets::AssetStore;
use rend_storage::jobs::JobQueue;
use rend_storage::objects::ObjectStore;

const PICTURE: &str = "-f lavfi -i testsrc2=s=640x360:r=24:d=5 -c:v libx264 -preset ultrafast -pix_fmt yuv420p";
const BOTH: &str = "-f lavfi -i testsrc2=s=640x360:r=24:d=5 -f lavfi -i sine=f=440:d=5 -c:v libx264 -preset ultrafast \
                    -pix_fmt yuv420p -c:a aac";

async fn made(args: &str, name: &str) -> (Machine, Asset) {
    let folder = tempfile::tempdir().unwrap();
    let file = clip(folder.path(), name, args);
    let machine = Machine::new();
    let asset = machine.make(&file, |_| {}).await;
    (machine, asset)
}

fn names(asset: &Asset) -> Vec<String> {
    asset.renditions.iter().map(|row| row.rendition.to_string()).collect()
}

/// What a player sees: width, height and the number of pictures of one rendition.
async fn seen(machine: &Machine, asset: &Asset, rendition: Rendition) -> (u32, u32, u64) {
    let list: Media = machine.text(asset.id, ArtifactPath::Variant(rendition)).await.parse().unwrap();
    let mut whole = std::fs::read(machine.artifact(asset.id, ArtifactPath::Init(rendition)).await.unwrap()).unwrap();
    for index in 0..u32::try_from(list.segments.len()).unwrap() {
        let path = ArtifactPath::Segment { rendition, index };
        whole.extend(std::fs::read(machine.artifact(asset.id, path).await.unwrap()).unwrap());
    }
    let file = machine.folder.path().join("whole.mp4");
    std::fs::write(&file, whole).unwrap();
    let said = crate::support::probe(
        &file,
        "-count_frames -select_streams v -show_entries stream=width,height,nb_read_frames",
    );
    let mut numbers = said.trim().split(',').map(|number| number.parse::<u64>().unwrap());
    let mut next = || numbers.next().unwrap();
    (u32::try_from(next()).unwrap(), u32::try_from(next()).unwrap(), next())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ordinary_clip_plays_early_and_ends_as_a_measured_ladder() {
    let args = BOTH.replace("640x360", "1280x720").replace("d=5", "d=11");
    let (machine, asset) = made(&args, "clip.mp4").await;
    assert_eq!((asset.source, asset.playable, asset.degraded), (SourceState::Ready, PlayableState::HlsReady, false));
    assert_eq!(names(&asset), ["360p", "480p", "720p"]);
    assert!(asset.renditions.iter().all(|row| row.bandwidth.is_some()));

    let states: Vec<_> = machine.advances.lock().unwrap().iter().map(|a| (a.asset.playable, a.warm.len())).collect();
    let opener = states.iter().position(|(state, warm)| *state == PlayableState::OpenerReady && *warm > 4).unwrap();
    let ready = states.iter().position(|(state, _)| *state == PlayableState::HlsReady).unwrap();
    assert!(opener < ready);

    let master: Master = machine.text(asset.id, ArtifactPath::Master).await.parse().unwrap();
    assert_eq!(
        master.variants.iter().map(|v| v.uri.as_str()).collect::<Vec<_>>(),
        ["360p/index.m3u8", "480p/index.m3u8", "720p/index.m3u8"]
    );
    for (variant, row) in master.variants.iter().zip(&asset.renditions) {
        assert_eq!(Some(variant.bandwidth), row.bandwidth);
        assert_eq!(seen(&machine, &asset, row.rendition).await.2, 264);
    }
    let list: Media = machine.text(asset.id, ArtifactPath::Variant(Rendition::P720)).await.parse().unwrap();
    let secs: Vec<_> = list.segments.iter().map(|entry| entry.micros / 1_000_000).collect();
    assert_eq!((secs, list.ended, list.target_secs), (vec![2, 2, 4, 3], true, 4));
    for path in [ArtifactPath::Opener, ArtifactPath::Poster, ArtifactPath::IFrames(Rendition::P360)] {
        assert!(machine.artifact(asset.id, path).await.is_some(), "{path}");
    }
    let track = machine.text(asset.id, ArtifactPath::ThumbTrack).await;
    assert!(track.ends_with("00:00:08.000 --> 00:00:11.000\nthumbs.jpg#xywh=480,0,160,90\n"), "{track}");
    let sprite = machine.folder.path().join("thumbs.jpg");
    std::fs::copy(machine.artifact(asset.id, ArtifactPath::ThumbSprite).await.unwrap(), &sprite).unwrap();
    assert_eq!(crate::support::probe(&sprite, "-show_entries stream=width,height").trim(), "640,90");
    assert!(!machine.folder.path().join("scratch").read_dir().unwrap().any(|_| true), "scratch is left behind");
}

#[track_caller]
fn check_size(real: (u32, u32, u64), expect: (u32, u32, u64)) {
    assert_eq!(real, expect);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_turned_picture_is_upright_and_laddered_by_its_short_side() {
    let folder = tempfile::tempdir().unwrap();
    let flat = clip(folder.path(), "flat.mp4", PICTURE);
    let args = format!("-display_rotation 90 -i {} -c copy", flat.display());
    let turned = if crate::support::knows("-display_rotation") {
        clip(folder.path(), "turned.mp4", &args)
    } else {
        clip(folder.path(), "turned.mp4", &format!("-i {} -c copy -metadata:s:v rotate=90", flat.display()))
    };
    let machine = Machine::new();
    let asset = machine.make(&turned, |_| {}).await;
    assert_eq!(names(&asset), ["360p"]);
    check_size(seen(&machine, &asset, Rendition::P360).await, (360, 640, 120));
}

#[tokio::test(flavor = "multi_thread")]
async fn odd_sides_are_made_even() {
    let args = "-f lavfi -i testsrc2=s=427x241:r=24:d=3 -c:v libvpx -b:v 300k -deadline realtime";
    let (machine, asset) = made(args, "odd.webm").await;
    assert_eq!(names(&asset), ["src"]);
    check_size(seen(&machine, &asset, Rendition::Source).await, (426, 240, 72));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gap_between_frames_stays_a_gap() {
    // Every frame of the first and the last second, and none between.
    let args = format!("{PICTURE} -vf select='lt(t,1)+gte(t,4)' -fps_mode passthrough");
    let (machine, asset) = made(&args, "gaps.mp4").await;
    let (width, height, frames) = seen(&machine, &asset, Rendition::P360).await;
    assert_eq!((width, height), (640, 360));
    // One more at the cut within the gap, which every segment must start with.
    assert!((48..=50).contains(&frames), "{frames}");
    assert!(asset.media.unwrap().notes.iter().any(|note| note.what.contains("uneven") && note.cost.millis().is_some()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recording_that_does_not_tell_its_length_is_measured() {
    let args = "-f lavfi -i testsrc2=s=640x360:r=24:d=7 -f lavfi -i sine=f=440:d=7 -c:v libvpx -b:v 500k -deadline realtime \
                -c:a libopus -f webm -live 1";
    let (machine, asset) = made(args, "recording.webm").await;
    assert_eq!(asset.media.as_ref().unwrap().duration_ms / 100, 70, "{:?}", asset.media);
    check_size(seen(&machine, &asset, Rendition::P360).await, (640, 360, 168));
}

#[tokio::test(flavor = "multi_thread")]
async fn too_many_frames_a_second_are_reduced_to_sixty() {
    let args = PICTURE.replace("r=24:d=5", "r=240:d=2");
    let (machine, asset) = made(&args, "fast.mp4").await;
    check_size(seen(&machine, &asset, Rendition::P360).await, (640, 360, 120));
}

#[tokio::test(flavor = "multi_thread")]
async fn very_few_frames_a_second_are_repeated() {
    let args = PICTURE.replace("r=24:d=5", "r=1/5:d=30");
    let (machine, asset) = made(&args, "slow.mp4").await;
    check_size(seen(&machine, &asset, Rendition::P360).await, (640, 360, 30));
}

#[tokio::test(flavor = "multi_thread")]
async fn interlaced_and_anamorphic_pictures_become_progressive_and_square() {
    let args = format!(
        "{} -vf setsar=16/11 -flags +ilme+ildct -x264-params tff=1",
        PICTURE.replace("640x360:r=24", "720x576:r=25")
    );
    let (machine, asset) = made(&args, "pal.mp4").await;
    assert_eq!(names(&asset).last().unwrap(), "src");
    check_size(seen(&machine, &asset, Rendition::Source).await, (1046, 576, 125));
}

#[tokio::test(flavor = "multi_thread")]
async fn sound_alone_plays_and_its_cover_is_the_poster() {
    let folder = tempfile::tempdir().unwrap();
    let cover = clip(folder.path(), "cover.jpg", "-f lavfi -i color=red:s=64x64 -frames:v 1");
    let args = format!(
        "-f lavfi -i sine=f=440:d=9 -i {} -map 0 -map 1 -c:a aac -c:v mjpeg -disposition:v attached_pic",
        cover.display()
    );
    let song = clip(folder.path(), "song.m4a", &args);
    let machine = Machine::new();
    let asset = machine.make(&song, |_| {}).await;
    assert_eq!((asset.playable, names(&asset)), (PlayableState::HlsReady, vec!["a-und".to_owned()]));
    assert!(machine.artifact(asset.id, ArtifactPath::Poster).await.is_some());
    let master = machine.text(asset.id, ArtifactPath::Master).await;
    assert!(!master.contains("RESOLUTION"), "{master}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sound_that_starts_late_or_goes_on_keeps_its_place() {
    let args = "-f lavfi -i testsrc2=s=640x360:r=24:d=4 -itsoffset 1.5 -f lavfi -i sine=f=440:d=6 -c:v libx264 \
                -preset ultrafast -pix_fmt yuv420p -c:a libmp3lame";
    let (machine, asset) = made(args, "late.mp4").await;
    let list: Media = machine.text(asset.id, ArtifactPath::Variant(Rendition::P360)).await.parse().unwrap();
    assert!(list.micros().abs_diff(7_500_000) < 80_000, "{}", list.micros());
    let file = machine.folder.path().join("opener.mp4");
    std::fs::copy(machine.artifact(asset.id, ArtifactPath::Opener).await.unwrap(), &file).unwrap();
    let silence = crate::support::silence_ends(&file);
    assert!((1.45..1.55).contains(&silence), "{silence}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_can_not_be_sought_is_encoded_too() {
    for name in ["clip.ts", "clip.avi", "clip.mpg"] {
        let args = if name == "clip.ts" {
            BOTH.to_owned()
        } else {
            BOTH.replace("libx264 -preset ultrafast", "mpeg2video").replace("-c:a aac", "-c:a mp2")
        };
        let (machine, asset) = made(&args, name).await;
        assert_eq!(asset.playable, PlayableState::HlsReady, "{name}");
        // AVI has no instants for its frames, so its first may count twice.
        let (_, _, frames) = seen(&machine, &asset, Rendition::P360).await;
        assert!((120..=121).contains(&frames), "{name}: {frames}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_metadata_of_the_source_comes_along() {
    let args = format!(
        "{BOTH} -movflags use_metadata_tags -metadata location=+12.3456-098.7654/ -metadata comment=secret-place"
    );
    let (machine, asset) = made(&args, "tagged.mp4").await;
    let to = machine.folder.path().join("export");
    machine.export(asset.id, &to).await;
    for file in crate::support::files(&to) {
        let text = String::from_utf8_lossy(&std::fs::read(&file).unwrap()).into_owned();
        assert!(!text.contains("98.7654") && !text.contains("secret-place"), "{}", file.display());
    }
}

async fn refused(bytes: Vec<u8>, code: &str) {
    let machine = Machine::new();
    let id = machine.upload(bytes.into()).await;
    let (_trigger, shutdown) = rend_shell::shutdown_pair();
    assert!(machine.worker(|_| {}).run_once(&shutdown).await.unwrap());
    let asset = machine.memory.get(id).await.unwrap();
    assert_eq!(asset.failure.map(|failure| failure.code), Some(code.to_owned()));
    let job = machine.memory.of_asset(id).await.unwrap().remove(0);
    assert_eq!((job.state, job.error.unwrap().class), (JobState::Failed, ErrorClass::Permanent));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_video_is_refused_with_a_reason() {
    let folder = tempfile::tempdir().unwrap();
    let whole = std::fs::read(clip(folder.path(), "whole.mp4", PICTURE)).unwrap();
    let still = std::fs::read(clip(folder.path(), "one.mp4", &format!("{PICTURE} -frames:v 1"))).unwrap();
    refused(Vec::new(), "not_a_video").await;
    refused(b"this is a text with a video's name".to_vec(), "not_a_video").await;
    refused(b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n".to_vec(), "not_a_video").await;
    refused(whole[..whole.len() / 2].to_vec(), "unreadable").await;
    refused(still, "not_a_video").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_encoder_is_told_with_its_fix_and_tried_again() {
    let machine = Machine::new();
    let folder = tempfile::tempdir().unwrap();
    let file = clip(folder.path(), "clip.mp4", PICTURE);
    let asset = machine.make(&file, |config| config.ffprobe = PathBuf::from("/nowhere/ffprobe")).await;
    let job = machine.memory.of_asset(asset.id).await.unwrap().remove(0);
    let error = job.error.unwrap();
    assert_eq!((job.state, error.code.as_str()), (JobState::Queued, "encoder_missing"));
    assert!(error.detail.contains("apt-get install ffmpeg"), "{}", error.detail);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_worker_gives_its_job_back_and_the_next_one_makes_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let args = BOTH.replace("640x360", "1280x720").replace("d=5", "d=26");
    let file = clip(folder.path(), "clip.mp4", &args);
    let undisturbed = Machine::new();
    let calm = undisturbed.make(&file, |_| {}).await;
    undisturbed.export(calm.id, &folder.path().join("calm")).await;

    let machine = Machine::new();
    let id = machine.upload(std::fs::read(&file).unwrap().into()).await;
    let (trigger, shutdown) = rend_shell::shutdown_pair();
    let worker = machine.worker(|_| {});
    let stop = async {
        // Let go as soon as something plays: the ladder is half made then.
        while !machine.advances.lock().unwrap().iter().any(|a| a.asset.playable == PlayableState::OpenerReady) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        trigger.request();
    };
    let (worked, ()) = tokio::join!(worker.run_once(&shutdown), stop);
    assert!(worked.unwrap());
    let job = machine.memory.of_asset(id).await.unwrap().remove(0);
    assert_eq!((job.state, job.attempt), (JobState::Queued, 0));
    assert_eq!(machine.memory.get(id).await.unwrap().playable, PlayableState::OpenerReady);
    let first = ObjectKey::artifact(id, ArtifactPath::Segment { rendition: Rendition::P360, index: 0 });
    let before = machine.objects.head(&first).await.unwrap();

    let (_trigger, shutdown) = rend_shell::shutdown_pair();
    assert!(machine.worker(|_| {}).run_once(&shutdown).await.unwrap());
    assert_eq!(machine.memory.get(id).await.unwrap().playable, PlayableState::HlsReady);
    assert_eq!(machine.objects.head(&first).await.unwrap().modified, before.modified, "a finished unit was made again");
    machine.export(id, &folder.path().join("again")).await;
    let calm = crate::support::files(&folder.path().join("calm"));
    assert_eq!(calm.len(), crate::support::files(&folder.path().join("again")).len());
    for one in calm {
        let two = folder.path().join("again").join(one.strip_prefix(folder.path().join("calm")).unwrap());
        assert!(std::fs::read(&one).unwrap() == std::fs::read(&two).unwrap(), "{} differs", one.display());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_asset_ends_the_work_and_gets_nothing_more() {
    let folder = tempfile::tempdir().unwrap();
    let file = clip(folder.path(), "clip.mp4", PICTURE);
    let machine = Machine::new();
    let id = machine.upload(std::fs::read(&file).unwrap().into()).await;
    machine.delete(id).await;
    let (_trigger, shutdown) = rend_shell::shutdown_pair();
    assert!(machine.worker(|_| {}).run_once(&shutdown).await.unwrap());
    let job = machine.memory.of_asset(id).await.unwrap().remove(0);
    assert_eq!(job.state, JobState::Succeeded);
    assert!(machine.objects.list(&ObjectKey::asset_prefix(id), None, 10).await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_leaves_no_process_behind_and_sees_nothing_of_its_surroundings() {
    let folder = tempfile::tempdir().unwrap();
    let offline = rend_media::runner::network_can_be_cut().await;
    let jail = |secs| rend_media::runner::Jail {
        scratch: folder.path().to_path_buf(),
        reads: Vec::new(),
        timeout: Duration::from_secs(secs),
        cpu_secs: 10,
        tells_cpu: false,
        memory_bytes: 1 << 30,
        file_bytes: 0,
        offline,
    };
    let shell = |script: &str| vec!["-c".to_owned(), script.to_owned()];
    let start = async |script: &str, secs| {
        rend_media::runner::Run::start(Path::new("/bin/sh"), &shell(script), &jail(secs)).await.unwrap()
    };
    let (said, _) =
        start("env; pwd; ls /sys/class/net 2>/dev/null; ulimit -f; ulimit -n", 10).await.output(4096).await.unwrap();
    let said = String::from_utf8(said).unwrap();
    assert!(!said.contains("HOME=") && said.contains(&folder.path().display().to_string()), "{said}");
    let slow = start("sleep 1000 & echo $!; wait", 1).await;
    let error = slow.output(64).await.unwrap_err();
    assert!(matches!(error, rend_media::runner::RunError::Timeout { secs: 1 }), "{error}");
    let mut child = start("sleep 1000 & echo $!; wait", 60).await;
    let pid: u32 = String::from_utf8(child.read().await.unwrap().unwrap().to_vec()).unwrap().trim().parse().unwrap();
    assert!(Path::new(&format!("/proc/{pid}/cmdline")).exists());
    drop(child);
    for _ in 0..200 {
        if std::fs::read(format!("/proc/{pid}/cmdline")).map_or(true, |line| line.is_empty()) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the grandchild {pid} still runs");
}
