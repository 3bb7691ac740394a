//! Walks a folder of clips that is named by `REND_TEST_MEDIA_DIR`, and tells how each ended.
use std::path::{Path, PathBuf};

use crate::support::{Machine, files, probe};
use rend_core::artifact::{ArtifactPath, ObjectKey};
use rend_core::asset::{Asset, PlayableState};
use rend_core::media::sniff::sniff;
use rend_core::time::Clock;

/// How a clip may end.
#[derive(Clone, Copy, Debug)]
enum End {
    /// It plays.
    Plays,
    /// It plays, and its owner is told that it was damaged.
    Degraded,
    /// Either, or it is refused as unreadable: how much of it decodes is a matter of luck.
    Damaged,
    /// It is refused with this word.
    Refused(&'static str),
    /// Nothing is known of it but that its owner must be told.
    Told,
}

/// What is known of clips by a part of their name; the first that fits counts.
const KNOWN: &[(&str, End)] = &[
    ("single_frame", End::Refused("not_a_video")),
    ("malformed/bitflips", End::Damaged),
    ("malformed/bomb", End::Refused("over_limit")),
    ("malformed/moov_size_overflow", End::Damaged),
    ("malformed/mvhd_duration_lie", End::Plays),
    ("malformed/stts_giant_delta", End::Degraded),
    ("malformed/truncated_in_moov", End::Refused("unreadable")),
    ("malformed/truncated_mdat", End::Degraded),
    ("ssrf", End::Refused("not_a_video")),
    ("jpeg_renamed", End::Refused("not_a_video")),
    ("malformed/text", End::Refused("not_a_video")),
    ("zero_bytes", End::Refused("not_a_video")),
    ("malformed/", End::Told),
    ("", End::Plays),
];

fn known(clip: &Path) -> End {
    let name = clip.to_string_lossy();
    KNOWN.iter().find(|(part, _)| name.contains(part)).map_or(End::Told, |(_, end)| *end)
}

fn fits(asset: &Asset, end: End) -> bool {
    let plays = asset.playable == PlayableState::HlsReady;
    let code = asset.failure.as_ref().map(|failure| failure.code.as_str());
    match end {
        End::Plays => plays,
        End::Degraded => plays && asset.degraded,
        End::Damaged => plays || code == Some("unreadable"),
        End::Refused(word) => code == Some(word),
        End::Told => plays || code.is_some(),
    }
}

/// The clips of the folder that are walked, and every other file with why it is not.
fn taken(folder: &Path, only: &str) -> (Vec<PathBuf>, Vec<(PathBuf, &'static str)>) {
    assert!(folder.is_dir(), "REND_TEST_MEDIA_DIR={} is no folder", folder.display());
    let (mut clips, mut left_out) = (Vec::new(), Vec::new());
    for file in files(folder) {
        let is_note = file.extension().is_none_or(|ext| ext == "md");
        let within = file.strip_prefix(folder).unwrap_or(&file).to_string_lossy().contains(only);
        match (is_note, within) {
            (true, _) => left_out.push((file, "notes, and no clip")),
            (false, false) => left_out.push((file, "not among those that REND_TEST_MEDIA_ONLY names")),
            (false, true) => clips.push(file),
        }
    }
    (clips, left_out)
}

/// Where it was filmed and with what: words of the source that no output may hold.
fn secrets(clip: &Path) -> Vec<String> {
    let entries = "-show_entries format_tags=location,location-eng,make,model,comment,com.android.version";
    let Ok(said) = std::panic::catch_unwind(|| probe(clip, entries)) else { return Vec::new() };
    said.split(',').map(|word| word.trim().trim_matches('"').to_owned()).filter(|word| word.len() > 6).collect()
}

#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::disallowed_methods, reason = "a test that is told where to look")]
async fn every_clip_of_a_folder_ends_as_it_should() {
    let Ok(folder) = std::env::var("REND_TEST_MEDIA_DIR") else {
        println!("skipped: REND_TEST_MEDIA_DIR names no folder of clips");
        return;
    };
    let only = std::env::var("REND_TEST_MEDIA_ONLY").unwrap_or_default();
    let export = std::env::var("REND_TEST_MEDIA_EXPORT").ok();
    let (clips, left_out) = taken(Path::new(&folder), &only);
    for (file, why) in &left_out {
        println!("left out: {} ({why})", file.display());
    }
    println!("{} clips are walked and {} files left out", clips.len(), left_out.len());
    assert!(!clips.is_empty(), "REND_TEST_MEDIA_DIR={folder} holds no clip to walk, {} left out", left_out.len());
    let mut wrong = Vec::new();
    for clip in &clips {
        let machine = Machine::new();
        let began = machine.clock.mono();
        let asset = machine.make(clip, |_| {}).await;
        let took = machine.clock.mono().since(began).as_millis();
        let name = clip.file_stem().unwrap().to_string_lossy().into_owned();
        let kind = sniff(&std::fs::read(clip).unwrap()).map_or_else(|| "no media".to_owned(), |kind| kind.to_string());
        let made: Vec<_> = asset.renditions.iter().map(|row| row.rendition.to_string()).collect();
        let secs = asset.media.as_ref().map_or(0, |media| media.duration_ms);
        let failure = asset.failure.as_ref().map_or(String::new(), |f| format!("{}: {}", f.code, f.detail));
        let state = if asset.degraded { "plays, degraded" } else { asset.playable.as_str() };
        println!("{name} ({kind}): {state} after {took} ms, {secs} ms {made:?} {failure}");
        if let Some(to) = &export {
            machine.export(asset.id, &Path::new(to).join(&name)).await;
        }
        if !fits(&asset, known(clip)) {
            wrong.push(format!("{name}: should be {:?}", known(clip)));
        }
        if asset.playable == PlayableState::HlsReady {
            let told = told_secrets(&machine, &asset, &secrets(clip)).await;
            wrong.extend(told.into_iter().map(|file| format!("{name}: {file} tells where it was made")));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

async fn told_secrets(machine: &Machine, asset: &Asset, secrets: &[String]) -> Vec<String> {
    let to = machine.folder.path().join("told");
    machine.export(asset.id, &to).await;
    let tells = |file: &PathBuf| {
        let bytes = std::fs::read(file).unwrap();
        secrets.iter().any(|secret| bytes.windows(secret.len()).any(|part| part == secret.as_bytes()))
    };
    assert!(machine.artifact(asset.id, ArtifactPath::Master).await.is_some(), "{}", ObjectKey::asset_prefix(asset.id));
    files(&to).into_iter().filter(tells).map(|file| file.display().to_string()).collect()
}

#[test]
fn every_file_of_a_folder_is_walked_or_left_out_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let of = |only: &str| {
        let name = |file: &PathBuf| file.file_name().unwrap().to_string_lossy().into_owned();
        let (clips, left_out) = taken(folder.path(), only);
        let left_out: Vec<_> = left_out.iter().map(|(file, _)| name(file)).collect();
        (clips.iter().map(name).collect::<Vec<_>>(), left_out)
    };
    assert_eq!(of(""), (Vec::new(), Vec::new()), "nothing is made up for an empty folder");
    std::fs::create_dir(folder.path().join("real")).unwrap();
    for file in ["README.md", "LICENCE", "real/phone.mp4", "real/film.webm"] {
        std::fs::write(folder.path().join(file), "").unwrap();
    }
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    assert_eq!(of(""), (names(&["film.webm", "phone.mp4"]), names(&["LICENCE", "README.md"])));
    assert_eq!(of("phone"), (names(&["phone.mp4"]), names(&["LICENCE", "README.md", "film.webm"])));
}
