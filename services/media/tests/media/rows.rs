//! The rows of the table of odd inputs that need no eye: what each is refused as, or that it plays and how long.
use std::path::Path;

use crate::support::{Machine, clip};
use rend_core::artifact::ArtifactPath;
use rend_core::asset::{Asset, PlayableState};
use rend_core::media::playlist::{Master, Media};

const H264: &str = "-c:v libx264 -preset ultrafast -pix_fmt yuv420p";

async fn made_of(bytes: &[u8]) -> Asset {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file.mp4");
    std::fs::write(&file, bytes).unwrap();
    Machine::new().make(&file, |_| {}).await
}

/// A short film whose description stands before its media.
fn film(folder: &Path) -> Vec<u8> {
    let args = format!("-f lavfi -i testsrc2=s=320x180:r=24:d=3 {H264} -g 24 -movflags +faststart");
    std::fs::read(clip(folder, "film.mp4", &args)).unwrap()
}

fn boxed(size: u32, kind: &[u8; 4]) -> Vec<u8> {
    [&size.to_be_bytes()[..], kind].concat()
}

/// Where the content of the first box of this kind begins.
fn within(film: &[u8], kind: &[u8; 4]) -> usize {
    film.windows(4).position(|four| four == kind).unwrap() + 4
}

#[track_caller]
fn check_refused(asset: &Asset, code: &str) {
    assert_eq!(asset.failure.as_ref().map(|failure| failure.code.as_str()), Some(code), "{asset:?}");
}

/// It ended in one of the ways that the table knows, and nothing of it is left open.
#[track_caller]
fn check_defined(asset: &Asset) {
    let code = asset.failure.as_ref().map(|failure| failure.code.as_str());
    let refused = matches!(code, Some("unreadable" | "not_a_video" | "over_limit" | "unsupported"));
    assert!(asset.playable == PlayableState::HlsReady || refused, "{asset:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn boxes_within_boxes_without_end_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let film = film(folder.path());
    let nested: Vec<u8> = (0..20_000_u32).rev().flat_map(|left| boxed(8 * (left + 1), b"moov")).collect();
    check_refused(&made_of(&[&film[..32], &nested].concat()).await, "unreadable");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_header_of_a_picture_past_every_limit_is_refused_before_it_is_decoded() {
    let folder = tempfile::tempdir().unwrap();
    let mut film = film(folder.path());
    let entry = within(&film, b"avc1");
    // Reserved, index, and what was predefined stand before the width and the height.
    film[entry + 24..entry + 28].fill(0xff);
    let header = within(&film, b"tkhd");
    film[header + 76..header + 84].copy_from_slice(&[0xff, 0xff, 0, 0, 0xff, 0xff, 0, 0]);
    let asset = made_of(&film).await;
    check_defined(&asset);
    if let Some(media) = &asset.media {
        assert!(media.width <= 8192 && media.height <= 8192, "{media:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_of_times_that_lies_neither_bills_nor_blocks() {
    let folder = tempfile::tempdir().unwrap();
    let film = film(folder.path());
    let table = within(&film, b"stts");
    // Version and flags, the number of rows, then a count and a length for each.
    for (at, value) in [(8, 0x8000_0000_u32), (12, 0x7fff_ffff), (4, 0xffff_ffff), (12, 0)] {
        let mut lies = film.clone();
        lies[table + at..table + at + 4].copy_from_slice(&value.to_be_bytes());
        let asset = made_of(&lies).await;
        check_defined(&asset);
        let ms = asset.media.as_ref().map_or(0, |media| media.duration_ms);
        assert!(ms <= 12 * 3600 * 1000, "{ms} at {at}");
    }
}

async fn plays(args: &str, name: &str, secs: f64) -> (Machine, Asset) {
    let folder = tempfile::tempdir().unwrap();
    let file = clip(folder.path(), name, args);
    let machine = Machine::new();
    let asset = machine.make(&file, |_| {}).await;
    check_plays(&machine, &asset, name, secs).await;
    (machine, asset)
}

async fn check_plays(machine: &Machine, asset: &Asset, name: &str, secs: f64) {
    assert_eq!(asset.playable, PlayableState::HlsReady, "{name}: {:?}", asset.failure);
    let rendition = asset.renditions[0].rendition;
    let list: Media = machine.text(asset.id, ArtifactPath::Variant(rendition)).await.parse().unwrap();
    let long = list.micros() as f64 / 1e6;
    assert!((long - secs).abs() < 0.2, "{name} lasts {long} s, not {secs}");
}

#[tokio::test(flavor = "multi_thread")]
async fn codecs_that_no_browser_plays_become_ones_that_all_play() {
    let picture = "-f lavfi -i testsrc2=s=320x180:r=24:d=3";
    let sound = "-f lavfi -i sine=f=440:r=48000:d=3";
    for (name, codecs) in [
        ("film.mov", "-c:v prores_ks -profile:v 0 -c:a pcm_s16le"),
        ("film.webm", "-c:v libvpx-vp9 -deadline realtime -cpu-used 8 -c:a libopus"),
        ("film.ogv", "-c:v libtheora -c:a libvorbis"),
        ("film.mpg", "-c:v mpeg2video -c:a mp2"),
        ("film.avi", "-c:v mpeg4 -c:a libmp3lame"),
        ("film.ts", "-c:v libx264 -preset ultrafast -pix_fmt yuv420p -c:a ac3"),
    ] {
        let (machine, asset) = plays(&format!("{picture} {sound} {codecs}"), name, 3.0).await;
        let master: Master = machine.text(asset.id, ArtifactPath::Master).await.parse().unwrap();
        let codecs = &master.variants[0].codecs;
        assert!(codecs.starts_with("avc1.") && codecs.ends_with("mp4a.40.2"), "{name}: {codecs}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn times_that_begin_again_in_the_middle_go_on() {
    // The clock of a transport stream begins again after 2^33 ticks of a ninety-thousandth of a second: 95443.7 s.
    let args = format!("-f lavfi -i testsrc2=s=320x180:r=24:d=6 {H264} -g 24 -output_ts_offset 95440 -mpegts_copyts 1");
    plays(&args, "wrap.ts", 6.0).await;
}

/// A program that may take two seconds of processor time and address 300 MiB, and is killed or refused what is above.
fn held(folder: &Path, program: &str) -> std::path::PathBuf {
    use std::os::unix::fs::PermissionsExt;
    let held = folder.join(program);
    std::fs::write(&held, format!("#!/bin/sh\nulimit -t 2\nulimit -v 307200\nexec /usr/bin/{program} \"$@\"\n"))
        .unwrap();
    std::fs::set_permissions(&held, std::fs::Permissions::from_mode(0o755)).unwrap();
    held
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_mean_harm_are_judged_within_two_seconds_of_processor_time_and_300_mib() {
    let folder = tempfile::tempdir().unwrap();
    let film = film(folder.path());
    let bomb = "-f lavfi -i color=black:s=4096x4096:r=60 -frames:v 6 -c:v libx264 -preset ultrafast -pix_fmt yuv420p";
    let bomb = std::fs::read(clip(folder.path(), "bomb.mp4", bomb)).unwrap();
    let photo = std::fs::read(clip(folder.path(), "photo.jpg", "-f lavfi -i testsrc2=s=320x180 -frames:v 1")).unwrap();
    let head = &film[..32];
    let nested: Vec<u8> = (0..20_000_u32).rev().flat_map(|left| boxed(8 * (left + 1), b"moov")).collect();
    let list = b"#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:4,\nhttp://127.0.0.1:9/a.ts\n#EXT-X-ENDLIST\n";
    for (name, bytes) in [
        ("text", b"this is a letter and no video".repeat(40)),
        ("a list", list.to_vec()),
        ("cut before its media", film[..200].to_vec()),
        ("larger than the file", [head, &boxed(u32::MAX, b"moov"), &[0; 64]].concat()),
        ("nested", [head, &nested].concat()),
        ("of no length", [head, &boxed(0, b"moov"), &[0xff; 256]].concat()),
        ("zeroes", vec![0; 1 << 20]),
        ("a bomb", bomb),
        ("a photograph", photo),
    ] {
        let file = folder.path().join("file.mp4");
        std::fs::write(&file, bytes).unwrap();
        let (probe, encoder) = (held(folder.path(), "ffprobe"), held(folder.path(), "ffmpeg"));
        let asset = Machine::new().make(&file, |config| (config.ffprobe, config.ffmpeg) = (probe, encoder)).await;
        let code = asset.failure.as_ref().map(|failure| failure.code.as_str());
        assert!(matches!(code, Some("unreadable" | "not_a_video" | "over_limit" | "unsupported")), "{name}: {asset:?}");
    }
}
