//! Clips that play as they are, and clips that do not and say why.
use std::path::{Path, PathBuf};

use crate::support::{Machine, clip, probe};
use rend_core::artifact::{ArtifactPath, CaptionRef, Rendition};
use rend_core::asset::{Asset, CaptionKind, CaptionOrigin, CaptionRow, Move, PlayableState, RenditionState};
use rend_core::job::{JobKind, JobState};
use rend_core::media::playlist::{Master, Media};
use rend_storage::jobs::JobQueue;

/// A picture with a key frame every two seconds, bidirectional frames, and a tone.
const GOOD: &str = "-f lavfi -i testsrc2=s=640x360:r=24:d=13 -f lavfi -i sine=f=440:d=13 -c:v libx264 -preset veryfast \
                    -bf 3 -g 48 -pix_fmt yuv420p -c:a aac -ac 2";

async fn made(args: &str, name: &str) -> (Machine, Asset, PathBuf) {
    let machine = Machine::new();
    let file = clip(machine.folder.path(), name, args);
    let asset = machine.make(&file, |_| {}).await;
    (machine, asset, file)
}

/// The initialisation segment and all segments of the source, as one file.
async fn whole(machine: &Machine, asset: &Asset) -> (Media, PathBuf) {
    let rendition = Rendition::Source;
    let list: Media = machine.text(asset.id, ArtifactPath::Variant(rendition)).await.parse().unwrap();
    let mut whole = std::fs::read(machine.artifact(asset.id, ArtifactPath::Init(rendition)).await.unwrap()).unwrap();
    for index in 0..u32::try_from(list.segments.len()).unwrap() {
        let path = ArtifactPath::Segment { rendition, index };
        whole.extend(std::fs::read(machine.artifact(asset.id, path).await.unwrap()).unwrap());
    }
    let file = machine.folder.path().join("whole.mp4");
    std::fs::write(&file, whole).unwrap();
    (list, file)
}

/// A digest of each decoded picture, or of the sound as decoded, in order.
fn decoded(file: &Path, what: &str) -> Vec<String> {
    let output = std::process::Command::new("ffmpeg")
        .args(["-nostdin", "-v", "error", "-i"])
        .arg(file)
        .args(["-map", what, "-fps_mode", "passthrough", "-f", "framemd5", "-"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let digest = |line: &str| line.rsplit(',').next().unwrap().trim().to_owned();
    text.lines().filter(|line| !line.starts_with('#')).map(digest).collect()
}

fn passed(asset: &Asset) -> bool {
    asset.renditions.iter().any(|row| row.rendition == Rendition::Source)
        && asset.media.as_ref().unwrap().notes.iter().any(|note| note.what.contains("passed through"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_good_file_plays_picture_by_picture_as_it_is() {
    for (name, flags) in [("front.mp4", "-movflags +faststart"), ("behind.mp4", ""), ("camera.mov", "")] {
        let (machine, asset, file) = made(format!("{GOOD} {flags}").trim(), name).await;
        assert_eq!((asset.playable, asset.degraded, passed(&asset)), (PlayableState::HlsReady, false, true), "{name}");
        let (list, out) = whole(&machine, &asset).await;
        let secs: Vec<_> = list.segments.iter().map(|entry| entry.micros).collect();
        assert_eq!(secs, [2_000_000, 2_000_000, 4_000_000, 2_000_000, 3_000_000], "{name}");
        assert!(list.ended && list.target_secs == 4);
        assert_eq!(decoded(&out, "0:v"), decoded(&file, "0:v"), "{name}");
        assert_eq!(decoded(&out, "0:v").len(), 312);
        let said = probe(&out, "-show_entries stream=codec_name,width,height,channels");
        assert!(said.contains("h264,640,360") && said.contains("aac,2"), "{said}");
        let master: Master = machine.text(asset.id, ArtifactPath::Master).await.parse().unwrap();
        assert_eq!(master.variants[0].uri, "src/index.m3u8");
        assert_eq!((master.variants.len(), master.iframes.len()), (1, 1));
        assert_eq!(master.variants[0].millifps, Some(24_000));
        for path in [
            ArtifactPath::Opener,
            ArtifactPath::Poster,
            ArtifactPath::IFrames(Rendition::Source),
            ArtifactPath::ThumbSprite,
            ArtifactPath::ThumbTrack,
        ] {
            assert!(machine.artifact(asset.id, path).await.is_some(), "{path}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn captions_that_wait_have_a_job_once_the_asset_is_ready_and_others_have_none() {
    for waits in [true, false] {
        let machine = Machine::new();
        let file = clip(machine.folder.path(), "front.mp4", &format!("{GOOD} -movflags +faststart"));
        let id = machine.upload(std::fs::read(&file).unwrap().into()).await;
        if waits {
            let row = CaptionRow {
                captions: CaptionRef { lang: "en".parse().unwrap(), version: 1 },
                label: "English".to_owned(),
                kind: CaptionKind::Subtitles,
                default: false,
                origin: CaptionOrigin::Given,
                cues: 1,
                published: false,
            };
            machine.advance(id, Move::StoreCaptions(row)).await;
        }
        let (_trigger, shutdown) = rend_shell::shutdown_pair();
        assert!(machine.worker(|_| {}).run_once(&shutdown).await.unwrap());
        let jobs = machine.memory.of_asset(id).await.unwrap();
        assert_eq!(jobs.iter().filter(|job| job.kind == JobKind::Captions).count(), usize::from(waits), "{jobs:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_without_sound_and_one_whose_sound_is_shorter_play() {
    let silent = "-f lavfi -i testsrc2=s=640x360:r=30000/1001:d=7 -c:v libx264 -preset veryfast -g 60 -pix_fmt yuv420p";
    let (machine, asset, file) = made(silent, "silent.mp4").await;
    assert!(passed(&asset), "{:?}", asset.media);
    let (list, out) = whole(&machine, &asset).await;
    assert_eq!(decoded(&out, "0:v"), decoded(&file, "0:v"));
    assert!(!machine.text(asset.id, ArtifactPath::Master).await.contains("mp4a"));
    assert!(list.micros().abs_diff(7_007_000) < 40_000, "{}", list.micros());

    let (machine, asset, _) = made(&GOOD.replace("440:d=13", "440:d=5"), "short.mp4").await;
    assert!(passed(&asset), "{:?}", asset.media);
    let (_, out) = whole(&machine, &asset).await;
    let ends: f64 = probe(&out, "-select_streams a -show_entries stream=duration").trim().parse().unwrap();
    assert!((12.9..13.05).contains(&ends), "{ends}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sound_that_is_moved_by_an_edit_list_keeps_its_place() {
    let args = GOOD.replace("-f lavfi -i sine=f=440:d=13", "-itsoffset 1.5 -f lavfi -i sine=f=440:d=11");
    let (machine, asset, file) = made(&args, "late.mp4").await;
    assert!(passed(&asset), "{:?}", asset.media);
    let (_, out) = whole(&machine, &asset).await;
    assert_eq!(decoded(&out, "0:v"), decoded(&file, "0:v"));
    let silence = crate::support::silence_ends(&out);
    assert!((1.46..1.54).contains(&silence), "{silence}");
    let first = std::fs::read(machine.artifact(asset.id, ArtifactPath::Opener).await.unwrap()).unwrap();
    assert!(first.windows(4).filter(|w| w == b"traf").count() == 4, "no segment of the start lacks a track");
}

#[track_caller]
fn check_encoded(asset: &Asset, reason: &str) {
    assert_eq!(asset.playable, PlayableState::HlsReady, "{reason}");
    let notes = &asset.media.as_ref().unwrap().notes;
    assert!(
        notes.iter().any(|note| {
            let what = &note.what;
            what.contains("had to be encoded") && what.contains(reason) && note.cost.millis() > Some(0)
        }),
        "{reason}: {notes:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_would_not_play_well_is_encoded_and_its_owner_told_why() {
    let short = GOOD.replace("d=13", "d=3");
    let with = |from: &str, to: &str| short.replace(from, to);
    for (args, reason) in [
        (with("-pix_fmt yuv420p", "-pix_fmt yuv420p10le"), "profile 110"),
        (with("-pix_fmt yuv420p", "-pix_fmt yuv444p"), "8-bit 4:2:0"),
        (GOOD.replace("d=13", "d=9").replace("-bf 3", "-bf 3 -x264-params open-gop=1"), "open"),
        (GOOD.replace("d=13", "d=9").replace("-g 48", "-g 480 -sc_threshold 0"), "key frames are up to 9.0 s apart"),
        (with("-ac 2", "-ac 6"), "AAC-LC"),
        (with("-c:a aac -ac 2", "-c:a libmp3lame"), "sound is mp4a"),
        (with("r=24", "r=120"), "more than 60"),
        (with("-pix_fmt yuv420p", "-pix_fmt yuv420p -flags +ilme+ildct"), "interlaced"),
        (with("-pix_fmt yuv420p", "-pix_fmt yuv420p -vf setsar=4/3"), "square"),
        (with("-pix_fmt yuv420p", "-pix_fmt yuv420p -movflags +frag_keyframe+empty_moov"), "fragments"),
        (with("-preset veryfast", "-preset ultrafast -qp 1"), "kb/s"),
    ] {
        let (_, asset, _) = made(&args, "clip.mp4").await;
        check_encoded(&asset, reason);
    }
    let (_, asset, _) = made(&short, "clip.mkv").await;
    check_encoded(&asset, "no MP4 or MOV");
    let machine = Machine::new();
    let flat = clip(machine.folder.path(), "flat.mp4", &short);
    let args = if crate::support::knows("-display_rotation") {
        format!("-display_rotation 90 -i {} -c copy", flat.display())
    } else {
        format!("-i {} -c copy -metadata:s:v rotate=90", flat.display())
    };
    let turned = clip(machine.folder.path(), "turned.mp4", &args);
    check_encoded(&machine.make(&turned, |_| {}).await, "turned");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_description_of_the_source_comes_along() {
    let args = format!(
        "{GOOD} -movflags use_metadata_tags -metadata location=+12.3456-098.7654/ -metadata comment=secret-place \
         -metadata:s:v handler_name=secret-camera -metadata:s:a handler_name=secret-microphone"
    );
    let (machine, asset, _) = made(&args, "tagged.mp4").await;
    assert!(passed(&asset));
    let to = machine.folder.path().join("export");
    machine.export(asset.id, &to).await;
    for file in crate::support::files(&to) {
        let text = String::from_utf8_lossy(&std::fs::read(&file).unwrap()).into_owned();
        for told in ["98.7654", "secret", "VideoHandler", "udta", "Lavf"] {
            assert!(!text.contains(told), "{told} in {}", file.display());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_ladder_below_a_passed_source_shares_its_cuts_and_is_named_once_it_is_whole() {
    // Key frames at uneven distances, so that no cut of an ordinary ladder would fall on all of them.
    let args = "-f lavfi -i testsrc2=s=1280x720:r=25:d=11 -f lavfi -i sine=f=440:d=11 -c:v libx264 -preset veryfast \
                -g 1000 -force_key_frames 1.2,2.6,3.4,5.2,7.6,9.2 -pix_fmt yuv420p -c:a aac";
    let (machine, asset, _) = made(args, "clip.mp4").await;
    assert_eq!((asset.playable, asset.degraded), (PlayableState::HlsReady, false));
    let names: Vec<_> = asset.renditions.iter().map(|row| row.rendition.to_string()).collect();
    assert_eq!(names, ["360p", "480p", "src"]);
    assert!(asset.renditions.iter().all(|row| row.bandwidth.is_some() && row.state == RenditionState::Ready));
    let master: Master = machine.text(asset.id, ArtifactPath::Master).await.parse().unwrap();
    let uris: Vec<_> = master.variants.iter().map(|v| v.uri.as_str()).collect();
    assert_eq!(uris, ["360p/index.m3u8", "480p/index.m3u8", "src/index.m3u8"]);
    let mut all = Vec::new();
    for rendition in [Rendition::P360, Rendition::P480, Rendition::Source] {
        let list: Media = machine.text(asset.id, ArtifactPath::Variant(rendition)).await.parse().unwrap();
        assert!(list.ended);
        all.push(list.segments.iter().map(|entry| entry.micros).collect::<Vec<_>>());
    }
    assert_eq!(all[2], [1_200_000, 1_400_000, 2_600_000, 2_400_000, 3_400_000]);
    assert!(all.iter().all(|list| *list == all[2]), "{all:?}");

    let advances = machine.advances.lock().unwrap();
    let plays = advances.iter().filter(|a| a.asset.playable == PlayableState::OpenerReady && !a.warm.is_empty());
    assert_eq!(plays.count(), 1, "nothing but the source is announced before the ladder is whole");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_off_the_grid_plays_until_its_ladder_is_whole() {
    // Frames at uneven instants.
    let args = "-f lavfi -i testsrc2=s=848x480:r=30:d=9 -f lavfi -i sine=f=440:d=9 -c:v libx264 -preset ultrafast \
                -pix_fmt yuv420p -c:a aac -g 30 -vf select='not(mod(n,7)*mod(n,5))+lt(mod(n,3),1)' -fps_mode passthrough";
    let (machine, asset, file) = made(args, "uneven.mp4").await;
    assert_eq!(asset.playable, PlayableState::HlsReady);
    let master: Master = machine.text(asset.id, ArtifactPath::Master).await.parse().unwrap();
    let uris: Vec<_> = master.variants.iter().map(|v| v.uri.as_str()).collect();
    assert_eq!(uris, ["360p/index.m3u8", "480p/index.m3u8"]);
    // Whoever began with the source can go on with it.
    let (list, out) = whole(&machine, &asset).await;
    assert!(list.ended);
    assert_eq!(decoded(&out, "0:v"), decoded(&file, "0:v"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ladder_that_fails_leaves_the_source_playing() {
    let machine = Machine::new();
    let file = clip(machine.folder.path(), "clip.mp4", &GOOD.replace("640x360", "1280x720"));
    let asset = machine.make(&file, |config| config.ffmpeg = PathBuf::from("/bin/false")).await;
    assert_eq!((asset.playable, asset.degraded), (PlayableState::HlsReady, true));
    let failed = asset.renditions.iter().filter(|row| matches!(row.state, RenditionState::Failed(_))).count();
    assert_eq!((asset.renditions.len(), failed), (3, 2));
    // The asset is ready, so its job is done; what was lost stands with the renditions.
    let job = machine.memory.of_asset(asset.id).await.unwrap().remove(0);
    assert_eq!(job.state, JobState::Succeeded);
    let master: Master = machine.text(asset.id, ArtifactPath::Master).await.parse().unwrap();
    assert_eq!(master.variants.iter().map(|v| v.uri.as_str()).collect::<Vec<_>>(), ["src/index.m3u8"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_source_plays_and_is_marked_as_degraded() {
    let machine = Machine::new();
    let file = clip(machine.folder.path(), "clip.mp4", GOOD);
    let mut bytes = std::fs::read(&file).unwrap();
    // Within the samples, far from where the first begins.
    let middle = bytes.len() / 2;
    (0..1000).for_each(|step| bytes[middle + step * 97] ^= 0x55);
    std::fs::write(&file, bytes).unwrap();
    let asset = machine.make(&file, |_| {}).await;
    assert_eq!((asset.playable, asset.degraded, passed(&asset)), (PlayableState::HlsReady, true, true));
}

/// Prints how long a minute of 1080p takes until it plays, beside what a copy and a ladder take for it. It decides nothing.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "prints figures, and takes minutes; run it alone"]
async fn figures_of_the_first_instant_that_plays() {
    let machine = Machine::new();
    let args = "-f lavfi -i testsrc2=s=1920x1080:r=30:d=60 -f lavfi -i sine=f=440:d=60 -c:v libx264 -preset ultrafast -g 60 \
                -b:v 5M -maxrate 6M -bufsize 6M -pix_fmt yuv420p -c:a aac";
    let file = clip(machine.folder.path(), "minute.mp4", args);
    let clock = machine.clock.clone();
    let millis = move || rend_core::time::Clock::mono(clock.as_ref()).since_start().as_secs_f64() * 1000.0;

    let mut passed = Vec::new();
    for _ in 0..3 {
        // A machine of its own, since the job before is given back and would be claimed first.
        let machine = Machine::new();
        let id = machine.upload(std::fs::read(&file).unwrap().into()).await;
        let (trigger, shutdown) = rend_shell::shutdown_pair();
        let worker = machine.worker(|_| {});
        let begun = millis();
        let playable = async {
            let plays = |asset: &Asset| asset.id == id && asset.playable == PlayableState::OpenerReady;
            while !machine.advances.lock().unwrap().iter().any(|a| plays(&a.asset)) {
                tokio::task::yield_now().await;
            }
            let first = millis() - begun;
            let ended = async || {
                let list: Media = machine.text(id, ArtifactPath::Variant(Rendition::Source)).await.parse().unwrap();
                list.ended
            };
            while !ended().await {
                tokio::time::sleep(std::time::Duration::from_millis(2)).await;
            }
            passed.push((first, millis() - begun));
            trigger.request();
        };
        let (worked, ()) = tokio::join!(worker.run_once(&shutdown), playable);
        assert!(worked.unwrap());
    }
    let run = |args: &str, until: &str| {
        let folder = tempfile::tempdir().unwrap();
        let begun = millis();
        let mut child = std::process::Command::new("ffmpeg")
            .args(["-nostdin", "-v", "error", "-i"])
            .arg(&file)
            .args(args.split_whitespace())
            .current_dir(folder.path())
            .spawn()
            .unwrap();
        let mut first = None;
        loop {
            if first.is_none() && folder.path().join(until).exists() {
                first = Some(millis() - begun);
            }
            if child.try_wait().unwrap().is_some() {
                return (first.unwrap_or_default(), millis() - begun);
            }
            std::thread::yield_now();
        }
    };
    let hls = "-f hls -hls_time 4 -hls_segment_type fmp4 -hls_playlist_type event";
    let copies: Vec<_> =
        (0..5).map(|_| run(&format!("-c copy {hls} -master_pl_name master.m3u8 out.m3u8"), "out.m3u8")).collect();
    let best = |all: &[(f64, f64)]| all.iter().fold((f64::MAX, f64::MAX), |b, x| (b.0.min(x.0), b.1.min(x.1)));
    let (ours, copy) = (best(&passed), best(&copies));
    println!("passed through: plays after {:.0} ms, all of it after {:.0} ms {passed:.0?}", ours.0, ours.1);
    println!("copied by ffmpeg: first list after {:.0} ms, all after {:.0} ms {copies:.0?}", copy.0, copy.1);
    let rung = |map: &str, list: &str| {
        format!("-map {map} -map 0:a -c:v libx264 -preset veryfast -g 60 -crf 23 -c:a aac {hls} {list}")
    };
    let split = "-filter_complex [0:v]split=2[a][b];[b]scale=1280:720[c]";
    let ladder = run(&format!("{split} {} {}", rung("[a]", "large.m3u8"), rung("[c]", "small.m3u8")), "large.m3u8");
    println!("ladder by ffmpeg: all after {:.0} ms", ladder.1);
    println!(
        "ratios: plays / copy's first {:.2}, all / copy {:.2}, plays / ladder 1:{:.0}",
        ours.0 / copy.0,
        ours.1 / copy.1,
        ladder.1 / ours.0
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_is_stopped_while_it_passes_a_source_is_succeeded_with_the_same_bytes() {
    let machine = Machine::new();
    let file = clip(machine.folder.path(), "clip.mp4", GOOD);
    let calm = Machine::new();
    let undisturbed = calm.make(&file, |_| {}).await;
    calm.export(undisturbed.id, &machine.folder.path().join("calm")).await;

    let id = machine.upload(std::fs::read(&file).unwrap().into()).await;
    let (trigger, shutdown) = rend_shell::shutdown_pair();
    let worker = machine.worker(|_| {});
    let stop = async {
        while !machine.advances.lock().unwrap().iter().any(|a| a.asset.playable == PlayableState::OpenerReady) {
            tokio::task::yield_now().await;
        }
        trigger.request();
    };
    let (worked, ()) = tokio::join!(worker.run_once(&shutdown), stop);
    assert!(worked.unwrap());
    let (_trigger, shutdown) = rend_shell::shutdown_pair();
    let again = machine.worker(|_| {}).run_once(&shutdown).await.unwrap();
    let asset = rend_storage::assets::AssetStore::get(machine.memory.as_ref(), id).await.unwrap();
    assert_eq!(asset.playable, PlayableState::HlsReady, "{again}");
    let to = machine.folder.path().join("again");
    machine.export(id, &to).await;
    let files = |folder: &Path| {
        let found = crate::support::files(folder);
        found
            .into_iter()
            .map(|f| (f.strip_prefix(folder).unwrap().to_owned(), std::fs::read(&f).unwrap()))
            .collect::<Vec<_>>()
    };
    let (one, two) = (files(&machine.folder.path().join("calm")), files(&to));
    let different: Vec<_> = one.iter().zip(&two).filter(|(a, b)| a != b).map(|(a, _)| &a.0).collect();
    assert!(one.len() == two.len() && different.is_empty(), "{different:?}");
}
