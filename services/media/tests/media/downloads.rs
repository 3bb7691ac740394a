//! Renditions as ordinary files.
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::sounds::{check_tone, whole};
use crate::support::{Machine, clip, probe};
use rend_core::artifact::{ArtifactPath, ObjectKey, Rendition};
use rend_core::asset::{Asset, DownloadState, Move, SourceState};
use rend_core::job::JobState;
use rend_storage::assets::AssetStore;
use rend_storage::jobs::JobQueue;
use rend_storage::objects::ObjectStore;

/// The file, copied beside the objects under a name that tells programs what it is.
async fn file(machine: &Machine, asset: &Asset, rendition: Rendition) -> PathBuf {
    let file = machine.folder.path().join(format!("download-{rendition}.mp4"));
    std::fs::copy(machine.artifact(asset.id, ArtifactPath::Download(rendition)).await.unwrap(), &file).unwrap();
    file
}

#[track_caller]
fn bytes(asset: &Asset, rendition: Rendition) -> u64 {
    match &asset.download(rendition).unwrap().state {
        DownloadState::Ready { bytes } => *bytes,
        other @ (DownloadState::Pending | DownloadState::Failed(_)) => panic!("{rendition}: {other:?}"),
    }
}

/// The digests of what a decoder makes of a file's pictures or sound, each with how long after the first it comes. Where the
/// first is said to be differs between readings of fragments, which is no matter of the file.
fn decoded(file: &Path, stream: &str) -> Vec<(i64, String)> {
    let output = Command::new("ffmpeg")
        .args(["-nostdin", "-v", "error", "-xerror", "-i"])
        .arg(file)
        .args(["-map", &format!("0:{stream}:0"), "-fps_mode", "passthrough", "-f", "framemd5", "-"])
        .output()
        .unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    let told = String::from_utf8(output.stdout).unwrap();
    let lines = told.lines().filter(|line| !line.starts_with('#'));
    let all: Vec<(i64, String)> = lines
        .map(|line| {
            let fields: Vec<&str> = line.split(',').map(str::trim).collect();
            (fields[2].parse().unwrap(), fields[5].to_owned())
        })
        .collect();
    let first = all[0].0;
    all.into_iter().map(|(at, digest)| (at - first, digest)).collect()
}

/// When the first picture or sound is there, in seconds.
fn begins(file: &Path, stream: &str) -> f64 {
    let said = probe(file, &format!("-select_streams {stream}:0 -show_entries stream=start_time"));
    said.trim().trim_end_matches(',').parse().unwrap()
}

/// Whether the description stands in front of the media, and no fragment anywhere.
fn is_progressive(file: &Path) -> bool {
    let bytes = std::fs::read(file).unwrap();
    let mut at = 0;
    let mut boxes = Vec::new();
    while at < bytes.len() {
        let len = u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap());
        boxes.push(String::from_utf8_lossy(&bytes[at + 4..at + 8]).into_owned());
        at += usize::try_from(len).unwrap();
    }
    at == bytes.len() && boxes == ["ftyp", "moov", "mdat"]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rung_becomes_one_file_that_decodes_to_the_very_same() {
    let folder = tempfile::tempdir().unwrap();
    let args = "-f lavfi -i testsrc2=s=1280x720:r=24:d=7 -f lavfi -i sine=f=440:d=7 -c:v libx264 -preset ultrafast \
                -g 600 -pix_fmt yuv420p -c:a aac -metadata location=+48.1-011.5/";
    let source = clip(folder.path(), "clip.mp4", args);
    let machine = Machine::new();
    let asset = machine.make(&source, |_| {}).await;
    assert_eq!(asset.usual_download(), Some(Rendition::P720));
    let asset = machine.download(asset.id, Rendition::P720).await;
    let made = file(&machine, &asset, Rendition::P720).await;
    assert_eq!(bytes(&asset, Rendition::P720), made.metadata().unwrap().len());
    assert!(is_progressive(&made));
    let segments = whole(&machine, &asset, Rendition::P720).await;
    for stream in ["v", "a"] {
        let (told, expect) = (decoded(&made, stream), decoded(&segments, stream));
        assert!(told.len() >= 168 && told == expect, "{stream}: {} of {}", told.len(), expect.len());
        assert!(begins(&made, stream).abs() < 0.001, "{stream}");
    }
    let said = probe(&made, "-show_entries format=duration:format_tags:stream_tags=language");
    assert!(said.contains("7.0") && !said.contains("48.1"), "{said}");
    let object = machine.objects.head(&ObjectKey::artifact(asset.id, ArtifactPath::Download(Rendition::P720))).await;
    assert_eq!(object.unwrap().content_type, "video/mp4");

    // The same is made again, byte by byte.
    let first = std::fs::read(&made).unwrap();
    machine.advance(asset.id, Move::RemoveDownload(Rendition::P720)).await;
    let again = machine.download(asset.id, Rendition::P720).await;
    assert!(std::fs::read(file(&machine, &again, Rendition::P720).await).unwrap() == first);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rung_with_its_sound_beside_it_is_heard_in_the_first_language() {
    let folder = tempfile::tempdir().unwrap();
    let source = clip(folder.path(), "two.mp4", &crate::sounds::TWO.replace("-g 600", "-g 48 -crf 34 -bf 2"));
    let machine = Machine::new();
    let asset = machine.make(&source, |_| {}).await;
    let names: Vec<_> = asset.downloadable().iter().map(ToString::to_string).collect();
    assert_eq!(names, ["360p", "src"]);
    // What is passed through, and what was encoded below it.
    for rendition in [Rendition::Source, Rendition::P360] {
        let asset = machine.download(asset.id, rendition).await;
        let made = file(&machine, &asset, rendition).await;
        assert!(is_progressive(&made));
        let kinds = probe(&made, "-show_entries stream=codec_type:stream_tags=language");
        assert_eq!(kinds.lines().collect::<Vec<_>>(), ["video,und", "audio,eng"], "{rendition}");
        check_tone(&made, 440.0, 11.0);
        assert!(decoded(&made, "v") == decoded(&whole(&machine, &asset, rendition).await, "v"), "{rendition}");
    }
    // Of what was passed through the file holds the source's own pictures.
    let pictures = |file: &Path| decoded(file, "v").into_iter().map(|(_, digest)| digest).collect::<Vec<_>>();
    let own = pictures(&source);
    assert!(own.len() > 260 && own == pictures(&file(&machine, &asset, Rendition::Source).await));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sound_alone_is_a_file_too() {
    let folder = tempfile::tempdir().unwrap();
    let source = clip(folder.path(), "sound.mp3", "-f lavfi -i sine=f=440:r=48000:d=11 -c:a libmp3lame");
    let machine = Machine::new();
    let asset = machine.make(&source, |_| {}).await;
    let rendition = asset.usual_download().unwrap();
    assert!(rendition.sound_lang().is_some());
    let asset = machine.download(asset.id, rendition).await;
    check_tone(&file(&machine, &asset, rendition).await, 440.0, 11.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_can_not_be_made_is_told_and_one_that_nobody_wants_is_not_kept() {
    let folder = tempfile::tempdir().unwrap();
    let args = "-f lavfi -i testsrc2=s=854x480:r=24:d=5 -c:v libx264 -preset ultrafast -g 600 -pix_fmt yuv420p";
    let machine = Machine::new();
    let asset = machine.make(&clip(folder.path(), "clip.mp4", args), |_| {}).await;
    let gone = ArtifactPath::Segment { rendition: Rendition::P480, index: 1 };
    machine.objects.delete(&ObjectKey::artifact(asset.id, gone)).await.unwrap();
    let failed = machine.download(asset.id, Rendition::P480).await;
    match &failed.download(Rendition::P480).unwrap().state {
        DownloadState::Failed(failure) => assert_eq!(failure.code, "media_missing"),
        other @ (DownloadState::Pending | DownloadState::Ready { .. }) => panic!("{other:?}"),
    }
    assert_eq!(failed.source, SourceState::Ready, "what plays still plays");
    let jobs = machine.memory.of_asset(asset.id).await.unwrap();
    assert_eq!(jobs.last().unwrap().state, JobState::Failed);
    assert!(machine.artifact(asset.id, ArtifactPath::Download(Rendition::P480)).await.is_none());
    // The other rung is not touched by that.
    let asset = machine.download(asset.id, Rendition::P360).await;
    assert!(bytes(&asset, Rendition::P360) > 1000);

    // Asked for and taken back before a worker came to it.
    machine.advance(asset.id, Move::RemoveDownload(Rendition::P360)).await;
    machine.objects.delete(&ObjectKey::artifact(asset.id, ArtifactPath::Download(Rendition::P360))).await.unwrap();
    machine.ask_download(asset.id, Rendition::P360).await;
    machine.advance(asset.id, Move::RemoveDownload(Rendition::P360)).await;
    machine.work().await;
    assert!(machine.memory.get(asset.id).await.unwrap().download(Rendition::P360).is_none());
    assert!(machine.artifact(asset.id, ArtifactPath::Download(Rendition::P360)).await.is_none());
    // Of a deleted asset nothing is made.
    machine.ask_download(asset.id, Rendition::P360).await;
    machine.delete(asset.id).await;
    machine.work().await;
    assert!(machine.artifact(asset.id, ArtifactPath::Download(Rendition::P360)).await.is_none());
}
