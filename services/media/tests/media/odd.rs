//! Files as people and attackers have them, each made here: what they end as, and that nothing of it breaks a rule.
use std::path::Path;

use crate::support::{Machine, clip, probe};
use rend_core::artifact::{ArtifactPath, Rendition};
use rend_core::asset::{Asset, PlayableState};
use rend_core::media::playlist::{Master, Media};

const PICTURE: &str = "-f lavfi -i testsrc2=s=640x360:r=24:d=6";
const H264: &str = "-c:v libx264 -preset ultrafast -pix_fmt yuv420p";
const SOUND: &str = "-f lavfi -i sine=f=440:d=6";

async fn made(args: &str, name: &str) -> (Machine, Asset) {
    let folder = tempfile::tempdir().unwrap();
    let file = clip(folder.path(), name, args);
    let machine = Machine::new();
    let asset = machine.make(&file, |_| {}).await;
    (machine, asset)
}

async fn made_of(bytes: Vec<u8>) -> (Machine, Asset) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file.mp4");
    std::fs::write(&file, bytes).unwrap();
    let machine = Machine::new();
    let asset = machine.make(&file, |_| {}).await;
    (machine, asset)
}

/// The master list of an asset that plays.
async fn master(machine: &Machine, asset: &Asset) -> Master {
    assert_eq!(asset.playable, PlayableState::HlsReady, "{:?}", asset.failure);
    machine.text(asset.id, ArtifactPath::Master).await.parse().unwrap()
}

/// One rendition as a single file.
async fn whole(machine: &Machine, asset: &Asset, rendition: Rendition) -> std::path::PathBuf {
    let list: Media = machine.text(asset.id, ArtifactPath::Variant(rendition)).await.parse().unwrap();
    let mut whole = std::fs::read(machine.artifact(asset.id, ArtifactPath::Init(rendition)).await.unwrap()).unwrap();
    for index in 0..u32::try_from(list.segments.len()).unwrap() {
        let path = ArtifactPath::Segment { rendition, index };
        whole.extend(std::fs::read(machine.artifact(asset.id, path).await.unwrap()).unwrap());
    }
    let file = machine.folder.path().join("whole.mp4");
    std::fs::write(&file, whole).unwrap();
    file
}

fn notes(asset: &Asset) -> String {
    asset.media.as_ref().map_or_else(String::new, |media| {
        media.notes.iter().map(|note| note.what.as_str()).collect::<Vec<_>>().join("; ")
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clip_without_sound_claims_none() {
    let (machine, asset) = made(&format!("{PICTURE} {H264}"), "mute.mp4").await;
    assert!(master(&machine, &asset).await.variants.iter().all(|variant| !variant.codecs.contains("mp4a")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_high_dynamic_range_is_mapped_and_not_only_called_so() {
    let args = format!(
        "{PICTURE} -vf format=yuv420p10le -c:v libx265 -preset ultrafast -tag:v hvc1 -x265-params \
         log-level=none:colorprim=bt2020:transfer=smpte2084:colormatrix=bt2020nc"
    );
    let (machine, asset) = made(&args, "hdr.mp4").await;
    master(&machine, &asset).await;
    assert!(notes(&asset).contains("dynamic range"), "{}", notes(&asset));
    let file = whole(&machine, &asset, Rendition::P360).await;
    let said = probe(&file, "-select_streams v -show_entries stream=profile,pix_fmt,color_space,color_transfer");
    assert_eq!(said.trim(), "High,yuv420p,bt709,bt709");
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_bits_and_full_chroma_become_what_every_screen_decodes() {
    for format in ["yuv420p10le", "yuv444p", "yuv422p"] {
        let args = format!("{PICTURE} -c:v libx264 -preset ultrafast -pix_fmt {format}");
        let (machine, asset) = made(&args, "rich.mp4").await;
        let codecs = &master(&machine, &asset).await.variants[0].codecs;
        assert!(codecs.starts_with("avc1.6400"), "{format}: {codecs}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn more_than_two_channels_become_two() {
    let args = format!("{PICTURE} {SOUND} {H264} -c:a aac -ac 6");
    let (machine, asset) = made(&args, "surround.mp4").await;
    master(&machine, &asset).await;
    let rendition = asset.renditions[0].rendition;
    let file = whole(&machine, &asset, rendition).await;
    assert_eq!(probe(&file, "-select_streams a -show_entries stream=codec_name,channels").trim(), "aac,2");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_sounds_in_one_language_the_default_is_heard_and_the_other_is_told() {
    let args = format!(
        "{PICTURE} {SOUND} {SOUND} -map 0 -map 1 -map 2 {H264} -c:a aac -metadata:s:a:0 language=deu \
         -metadata:s:a:1 language=deu -disposition:a:0 0 -disposition:a:1 default"
    );
    let (machine, asset) = made(&args, "two.mp4").await;
    assert!(master(&machine, &asset).await.sounds.is_empty());
    assert!(notes(&asset).contains("1 more sound track"), "{}", notes(&asset));
    let file = whole(&machine, &asset, asset.renditions[0].rendition).await;
    assert_eq!(probe(&file, "-select_streams a -show_entries stream_tags=language").trim(), "deu");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_languages_the_default_is_heard_first_and_the_other_is_offered() {
    let args = format!(
        "{PICTURE} {SOUND} {SOUND} -map 0 -map 1 -map 2 {H264} -c:a aac -metadata:s:a:0 language=eng \
         -metadata:s:a:1 language=deu -disposition:a:0 0 -disposition:a:1 default"
    );
    let (machine, asset) = made(&args, "two.mp4").await;
    let sounds = master(&machine, &asset).await.sounds;
    let told: Vec<_> = sounds.iter().map(|sound| (sound.lang.as_str(), sound.default)).collect();
    assert_eq!(told, [("de", true), ("en", false)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cover_before_the_film_is_not_the_film() {
    let folder = tempfile::tempdir().unwrap();
    let cover = clip(folder.path(), "cover.jpg", "-f lavfi -i color=red:s=64x64 -frames:v 1");
    let args = format!(
        "-i {} {PICTURE} -map 0 -map 1 -c:v:0 copy -disposition:v:0 attached_pic -c:v:1 libx264 -preset ultrafast \
         -pix_fmt:v:1 yuv420p",
        cover.display()
    );
    let file = clip(folder.path(), "covered.mp4", &args);
    let machine = Machine::new();
    let asset = machine.make(&file, |_| {}).await;
    let size = master(&machine, &asset).await.variants[0].resolution;
    assert_eq!(size, Some((640, 360)));
}

#[tokio::test(flavor = "multi_thread")]
async fn subtitles_and_data_are_left_out_and_told() {
    let folder = tempfile::tempdir().unwrap();
    let text = folder.path().join("words.srt");
    std::fs::write(&text, "1\n00:00:01,000 --> 00:00:02,000\nhello\n").unwrap();
    let args = format!("{PICTURE} -i {} -map 0 -map 1 {H264} -c:s mov_text -timecode 01:00:00:00", text.display());
    let file = clip(folder.path(), "words.mp4", &args);
    let machine = Machine::new();
    let asset = machine.make(&file, |_| {}).await;
    master(&machine, &asset).await;
    assert!(notes(&asset).contains("subtitles"), "{}", notes(&asset));
}

/// A film whose index stands before its media, so that its end may be missing.
fn film(folder: &Path) -> Vec<u8> {
    let args = format!("{PICTURE} {SOUND} {H264} -g 24 -c:a aac -movflags +faststart");
    std::fs::read(clip(folder, "film.mp4", &args)).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_decodes_of_a_film_that_was_cut_off_plays_as_degraded() {
    let folder = tempfile::tempdir().unwrap();
    let film = film(folder.path());
    let (machine, asset) = made_of(film[..film.len() * 2 / 3].to_vec()).await;
    assert!(!master(&machine, &asset).await.variants.is_empty());
    assert!(asset.degraded, "{asset:?}");
    let list: Media =
        machine.text(asset.id, ArtifactPath::Variant(asset.renditions[0].rendition)).await.parse().unwrap();
    assert!((2_000_000..6_100_000).contains(&list.micros()), "{}", list.micros());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_film_with_flipped_bits_plays_as_degraded() {
    let folder = tempfile::tempdir().unwrap();
    let mut film = film(folder.path());
    let media = film.windows(4).position(|four| four == b"mdat").unwrap() + 64;
    for place in (media..film.len()).step_by(997) {
        film[place] ^= 0x55;
    }
    let (machine, asset) = made_of(film).await;
    if asset.playable == PlayableState::HlsReady {
        assert!(asset.degraded, "{asset:?}");
        master(&machine, &asset).await;
    } else {
        assert_eq!(asset.failure.unwrap().code, "unreadable");
    }
}

#[track_caller]
fn check_refused(asset: &Asset, code: &str) {
    assert_eq!(asset.failure.as_ref().map(|failure| failure.code.as_str()), Some(code), "{asset:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_picture_that_costs_too_much_is_refused_before_it_is_decoded() {
    let args = "-f lavfi -i color=black:s=4096x4096:r=60 -frames:v 6 -c:v libx264 -preset ultrafast -pix_fmt yuv420p";
    let (_, asset) = made(args, "bomb.mp4").await;
    check_refused(&asset, "over_limit");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_film_without_its_index_is_refused_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let film = film(folder.path());
    let index = film.windows(4).position(|four| four == b"moov").unwrap();
    let (_, asset) = made_of(film[..index + 400].to_vec()).await;
    check_refused(&asset, "unreadable");
    // A box that claims to be larger than the file.
    let mut torn = film.clone();
    torn[index - 4..index].copy_from_slice(&0x7FFF_FFF0_u32.to_be_bytes());
    let (_, asset) = made_of(torn).await;
    assert!(asset.playable == PlayableState::HlsReady || asset.failure.is_some(), "{asset:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_film_that_claims_a_hundred_hours_is_as_long_as_its_pictures() {
    let folder = tempfile::tempdir().unwrap();
    let mut film = film(folder.path());
    let header = film.windows(4).position(|four| four == b"mvhd").unwrap();
    // Version and flags, two dates, the timescale, then the length.
    film[header + 20..header + 24].copy_from_slice(&360_000_000_u32.to_be_bytes());
    let (machine, asset) = made_of(film).await;
    master(&machine, &asset).await;
    let ms = asset.media.as_ref().unwrap().duration_ms;
    assert!((5900..6600).contains(&ms), "{ms}");
}
