//! Subtitles inside sources: they become captions, and give way to those that somebody gives.
use std::path::Path;

use crate::support::{Machine, clip, stand_in};
use rend_core::artifact::{CaptionRef, ObjectKey};
use rend_core::asset::{Asset, CaptionKind, CaptionOrigin, CaptionRow, Move, PlayableState};
use rend_core::id::AssetId;
use rend_core::job::JobKind;
use rend_storage::assets::AssetStore;
use rend_storage::jobs::JobQueue;

/// A clip of four seconds with English subtitles as `subrip` and German ones as `ass`, or both as `mov_text`.
fn subtitled(folder: &Path, name: &str, codecs: [&str; 2]) -> std::path::PathBuf {
    let text = folder.join("text.srt");
    std::fs::write(
        &text,
        "1\n00:00:01,000 --> 00:00:02,000\nHello <i>you</i>\n\n2\n00:00:02,500 --> 00:00:03,500\nBye\n",
    )
    .unwrap();
    let [first, second] = codecs;
    let args = format!(
        "-f lavfi -i testsrc2=s=320x180:r=24:d=4 -i {0} -i {0} -map 0 -map 1 -map 2 -c:v libx264 -preset ultrafast \
         -g 48 -pix_fmt yuv420p -c:s:0 {first} -c:s:1 {second} -metadata:s:s:0 language=eng -metadata:s:s:1 language=deu",
        text.display()
    );
    clip(folder, name, &args)
}

fn told(asset: &Asset) -> Vec<(String, CaptionOrigin, u32)> {
    asset.captions.iter().map(|row| (row.captions.lang.to_string(), row.origin, row.cues)).collect()
}

async fn text(machine: &Machine, asset: &Asset, place: usize) -> String {
    use rend_storage::objects::ObjectStore;
    let file = machine.objects.local(&ObjectKey::captions(asset.id, asset.captions[place].captions)).await.unwrap();
    std::fs::read_to_string(file).unwrap()
}

async fn check(name: &str, codecs: [&str; 2]) {
    let folder = tempfile::tempdir().unwrap();
    let file = subtitled(folder.path(), name, codecs);
    let machine = Machine::new();
    let asset = machine.make(&file, |_| {}).await;
    assert_eq!(asset.playable, PlayableState::HlsReady);
    assert_eq!(told(&asset), [("de".into(), CaptionOrigin::Original, 2), ("en".into(), CaptionOrigin::Original, 2)]);
    let english = text(&machine, &asset, 1).await;
    assert!(english.starts_with("WEBVTT\n\n00:00:01.000 --> 00:00:02.000\nHello <i>you</i>\n\n"), "{english}");
    assert!(text(&machine, &asset, 0).await.contains("00:00:02.500 --> 00:00:03.500\nBye\n"));
    let notes = &asset.media.as_ref().unwrap().notes;
    assert!(
        notes.iter().any(|note| note.what.ends_with("become captions where they can be read: English, Deutsch")),
        "{notes:?}"
    );
    let waiting = machine.memory.of_asset(asset.id).await.unwrap();
    assert!(waiting.iter().any(|job| job.kind == JobKind::Captions), "somebody publishes them");
}

#[tokio::test(flavor = "multi_thread")]
async fn subtitles_of_an_mp4_become_captions() {
    check("film.mp4", ["mov_text", "mov_text"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn subtitles_of_a_matroska_file_become_captions() {
    check("film.mkv", ["subrip", "ass"]).await;
}

async fn change(machine: &Machine, asset: AssetId, step: Move) {
    machine.advance(asset, step).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn captions_that_were_given_or_removed_stay_so_over_another_attempt() {
    let folder = tempfile::tempdir().unwrap();
    let file = subtitled(folder.path(), "film.mkv", ["subrip", "ass"]);
    let program = stand_in(folder.path(), "case \"$*\" in *libx264*) kill -9 $$;; esac");
    let machine = Machine::new();
    let id = machine.upload(std::fs::read(&file).unwrap().into()).await;
    let (_trigger, shutdown) = rend_shell::shutdown_pair();
    assert!(machine.worker(|config| config.ffmpeg = program).run_once(&shutdown).await.unwrap());
    let early = machine.memory.get(id).await.unwrap();
    assert_eq!((told(&early).len(), early.playable), (2, PlayableState::NotPlayable));

    change(&machine, id, Move::RemoveCaptions("en".parse().unwrap())).await;
    let given = CaptionRow {
        captions: CaptionRef { lang: "de".parse().unwrap(), version: 7 },
        label: "Mein Text".to_owned(),
        kind: CaptionKind::Captions,
        default: true,
        origin: CaptionOrigin::Given,
        cues: 9,
        published: false,
    };
    change(&machine, id, Move::StoreCaptions(given)).await;
    let mut turns = 0;
    while machine.memory.get(id).await.unwrap().playable != PlayableState::HlsReady {
        turns += 1;
        assert!(turns < 40, "it is never ready");
        tokio::time::sleep(std::time::Duration::from_millis(250)).await;
        machine.worker(|_| {}).run_once(&shutdown).await.unwrap();
    }
    let asset = machine.memory.get(id).await.unwrap();
    assert_eq!(told(&asset), [("de".into(), CaptionOrigin::Given, 9)]);
}
