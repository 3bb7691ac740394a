//! Films whose coding changes on the way, as browsers record them and as people join them.
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::sounds::whole;
use crate::support::{Machine, clip, probe};
use rend_core::artifact::{ArtifactPath, Rendition};
use rend_core::asset::{Asset, PlayableState};
use rend_core::media::playlist::Media;

const FIRST: &str = "-f lavfi -i testsrc2=s=640x360:r=24:d=4";
const SECOND: &str = "-f lavfi -i testsrc2=s=320x180:r=24:d=4 -vf negate,hflip";
const VP8: &str = "-c:v libvpx -b:v 800k -deadline realtime -cpu-used 8 -g 48";
const H264: &str = "-c:v libx264 -preset ultrafast -pix_fmt yuv420p -g 48";

/// Two clips of four seconds as one file, not encoded again; and the second by itself.
fn joined(folder: &Path, (first, second): (&str, &str), of: &str, name: &str) -> (PathBuf, PathBuf) {
    let one = clip(folder, &format!("one.{of}"), first);
    let two = clip(folder, &format!("two.{of}"), second);
    let list = folder.join("list");
    std::fs::write(&list, format!("file {}\nfile {}\n", one.display(), two.display())).unwrap();
    let args = format!("-f concat -safe 0 -i {} -c copy", list.display());
    (clip(folder, name, &args), two)
}

/// How like `with` the pictures of `file` from number `from` on are, one by one: 1 when they are the same.
fn likeness(file: &Path, from: u64, with: &Path) -> f64 {
    let graph = format!(
        "[0:v]trim=start_frame={from},setpts=PTS-STARTPTS,scale=320:180[a];[1:v]setpts=PTS-STARTPTS,scale=320:180[b];[a][b]ssim=shortest=1"
    );
    let output = Command::new("ffmpeg")
        .args(["-nostdin", "-hide_banner", "-i"])
        .arg(file)
        .arg("-i")
        .arg(with)
        .args(["-filter_complex", &graph, "-f", "null", "-"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let all = said.rsplit("All:").next().and_then(|rest| rest.split_whitespace().next());
    all.and_then(|all| all.parse().ok()).unwrap_or_else(|| panic!("{said}"))
}

async fn check_one_size(machine: &Machine, asset: &Asset, second: &Path, what: &str) {
    assert_eq!(asset.playable, PlayableState::HlsReady, "{what}: {:?}", asset.failure);
    let list: Media = machine.text(asset.id, ArtifactPath::Variant(Rendition::P360)).await.parse().unwrap();
    assert!(list.micros().abs_diff(8_000_000) < 50_000, "{what}: {}", list.micros());
    let made = whole(machine, asset, Rendition::P360).await;
    let said = probe(&made, "-count_frames -select_streams v -show_entries stream=width,height,nb_read_frames");
    assert_eq!(said.trim(), "640,360,192", "{what}");
    let alike = likeness(&made, 96, second);
    assert!(alike > 0.8, "{what}: {alike}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_film_that_changes_its_size_on_the_way_has_one_size_and_every_frame() {
    for (codec, of, name) in
        [(VP8, "webm", "j.mkv"), (VP8, "webm", "j.webm"), (H264, "mp4", "j.mp4"), (H264, "mp4", "j.ts")]
    {
        let machine = Machine::new();
        let (first, second) = (format!("{FIRST} {codec}"), format!("{SECOND} {codec}"));
        let (file, second) = joined(machine.folder.path(), (&first, &second), of, name);
        let asset = machine.make(&file, |_| {}).await;
        check_one_size(&machine, &asset, &second, name).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_joined_film_is_passed_through_only_when_one_description_fits_all_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let good = format!("{FIRST} {H264} -crf 30");
    // The same encoder with the same settings describes both alike, so that nothing changes between them.
    let (file, _) = joined(folder.path(), (&good, &good), "mp4", "alike.mp4");
    let asset = Machine::new().make(&file, |_| {}).await;
    assert!(notes(&asset).contains("passed through"), "{}", notes(&asset));

    let other = good.replace("-preset ultrafast", "-preset medium -bf 0");
    let (file, second) = joined(folder.path(), (&good, &other), "mp4", "unlike.mp4");
    let machine = Machine::new();
    let asset = machine.make(&file, |_| {}).await;
    assert!(notes(&asset).contains("change their coding on the way"), "{}", notes(&asset));
    check_one_size(&machine, &asset, &second, "unlike.mp4").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_is_seen_only_when_its_segment_is_written_is_encoded_too() {
    let folder = tempfile::tempdir().unwrap();
    // The second is one of many segments: too few of them are looked at before to find it.
    let long = format!("-f lavfi -i testsrc2=s=640x360:r=5:d=80 {H264} -g 10 -crf 30");
    let short = format!("-f lavfi -i testsrc2=s=640x360:r=5:d=3 -vf negate {H264} -g 10 -bf 0 -preset medium");
    let (file, _) = joined(folder.path(), (&long, &short), "mp4", "late.mp4");
    let machine = Machine::new();
    let asset = machine.make(&file, |_| {}).await;
    assert_eq!((asset.playable, asset.degraded), (PlayableState::HlsReady, false), "{:?}", asset.failure);
    assert!(notes(&asset).contains("change their coding on the way"), "{}", notes(&asset));
    assert!(asset.renditions.iter().all(|row| row.rendition != Rendition::Source), "{:?}", asset.renditions);
    let master = machine.text(asset.id, ArtifactPath::Master).await;
    assert!(!master.contains("src/"), "{master}");
}

fn notes(asset: &Asset) -> String {
    format!("{:?}", asset.media.as_ref().map(|media| &media.notes))
}
