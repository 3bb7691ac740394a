//! Walks a folder of clips that is named by `REND_TEST_MEDIA_DIR`, and tells how each ended.
use std::path::{Path, PathBuf};

use crate::support::Machine;
use rend_core::asset::PlayableState;
use rend_core::time::Clock;

fn files(folder: &Path, out: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, out);
        } else if path.extension().is_some_and(|ext| ext != "md") {
            out.push(path);
        }
    }
}

/// Every file ends as ready or as failed for a reason that its owner is told. Files whose folder is called `malformed`
/// may end either way; all others must play.
#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::disallowed_methods, reason = "a test that is told where to look")]
async fn every_clip_of_a_folder_ends_as_it_should() {
    let Ok(folder) = std::env::var("REND_TEST_MEDIA_DIR") else {
        println!("skipped: REND_TEST_MEDIA_DIR names no folder of clips");
        return;
    };
    let mut clips = Vec::new();
    files(Path::new(&folder), &mut clips);
    clips.sort();
    let only = std::env::var("REND_TEST_MEDIA_ONLY").unwrap_or_default();
    let export = std::env::var("REND_TEST_MEDIA_EXPORT").ok();
    let mut wrong = Vec::new();
    for clip in clips.iter().filter(|clip| clip.to_string_lossy().contains(&only)) {
        let machine = Machine::new();
        let asset = machine.make(clip, |_| {}).await;
        let took = machine.clock.mono().since_start().as_millis();
        let name = clip.file_stem().unwrap().to_string_lossy().into_owned();
        let made: Vec<_> = asset.renditions.iter().map(|row| row.rendition.to_string()).collect();
        let secs = asset.media.as_ref().map_or(0, |media| media.duration_ms);
        let failure = asset.failure.as_ref().map_or(String::new(), |f| format!("{}: {}", f.code, f.detail));
        println!(
            "{name}: {} after {took} ms, degraded={} {secs} ms {made:?} {failure}",
            asset.playable, asset.degraded
        );
        asset.media.iter().flat_map(|media| &media.notes).for_each(|note| println!("    {note}"));
        if let Some(to) = &export {
            machine.export(asset.id, &Path::new(to).join(&name)).await;
        }
        let malformed = clip.components().any(|part| part.as_os_str() == "malformed");
        let single = name == "single_frame";
        let told = asset.playable == PlayableState::HlsReady || asset.failure.is_some();
        if !told || (!malformed && !single && asset.playable != PlayableState::HlsReady) {
            wrong.push(name);
        }
    }
    assert!(wrong.is_empty(), "{wrong:?}");
}
