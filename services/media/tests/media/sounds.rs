//! Sources with sound in several languages: each a rendition of its own, cut as the pictures are.
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::{Machine, clip, files, stand_in};
use rend_core::artifact::{ArtifactPath, Rendition};
use rend_core::asset::{Asset, PlayableState, RenditionState, SourceState};
use rend_core::media::playlist::{Master, Media};

/// Eleven seconds with an English tone of 440 Hz and a German one of 880 Hz, and key frames so far apart that it is encoded.
pub(crate) const TWO: &str = "-f lavfi -i testsrc2=s=854x480:r=24:d=11 -f lavfi -i sine=f=440:r=48000:d=11 \
                   -f lavfi -i sine=f=880:r=48000:d=11 -map 0 -map 1 -map 2 -metadata:s:a:0 language=eng \
                   -metadata:s:a:1 language=deu -disposition:a:0 default -disposition:a:1 0 \
                   -c:v libx264 -preset ultrafast -g 600 -pix_fmt yuv420p -c:a aac -ac 2";

fn sound(name: &str) -> Rendition {
    name.parse().unwrap()
}

/// One rendition as a file.
pub(crate) async fn whole(machine: &Machine, asset: &Asset, rendition: Rendition) -> PathBuf {
    let list: Media = machine.text(asset.id, ArtifactPath::Variant(rendition)).await.parse().unwrap();
    let mut bytes = std::fs::read(machine.artifact(asset.id, ArtifactPath::Init(rendition)).await.unwrap()).unwrap();
    for index in 0..u32::try_from(list.segments.len()).unwrap() {
        let path = ArtifactPath::Segment { rendition, index };
        bytes.extend(std::fs::read(machine.artifact(asset.id, path).await.unwrap()).unwrap());
    }
    let file = machine.folder.path().join(format!("{rendition}.mp4"));
    std::fs::write(&file, bytes).unwrap();
    file
}

/// The tone of a file's sound in hertz, and how long it is in seconds.
fn tone(file: &Path) -> (f64, f64) {
    let output = Command::new("ffmpeg")
        .args(["-nostdin", "-v", "error", "-i"])
        .arg(file)
        .args(["-map", "0:a:0", "-ac", "1", "-ar", "48000", "-f", "s16le", "-"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let waves: Vec<i16> = output.stdout.chunks_exact(2).map(|two| i16::from_le_bytes([two[0], two[1]])).collect();
    let secs = f64::from(u32::try_from(waves.len()).unwrap()) / 48_000.0;
    // The middle only: what encoders do at the ends is no tone.
    let middle = &waves[48_000..48_000 * 9];
    let turns = middle.windows(2).filter(|pair| (pair[0] < 0) != (pair[1] < 0)).count();
    (f64::from(u32::try_from(turns).unwrap()) / 2.0 / 8.0, secs)
}

#[track_caller]
pub(crate) fn check_tone(file: &Path, hertz: f64, secs: f64) {
    let (heard, lasts) = tone(file);
    assert!((heard - hertz).abs() < 3.0, "{heard} Hz, not {hertz}");
    assert!((lasts - secs).abs() < 0.05, "{lasts} s, not {secs}");
}

async fn check_choice(machine: &Machine, asset: &Asset) -> Master {
    assert_eq!((asset.source, asset.playable, asset.degraded), (SourceState::Ready, PlayableState::HlsReady, false));
    assert!(asset.renditions.iter().all(|row| row.state == RenditionState::Ready), "{:?}", asset.renditions);
    let text = machine.text(asset.id, ArtifactPath::Master).await;
    let master: Master = text.parse().unwrap();
    let told: Vec<_> = master
        .sounds
        .iter()
        .map(|s| (s.uri.as_str(), s.lang.as_str(), s.name.as_str(), s.default, s.channels))
        .collect();
    assert_eq!(told, [("a-eng/index.m3u8", "en", "English", true, 2), ("a-deu/index.m3u8", "de", "Deutsch", false, 2)]);
    for line in text.lines().filter(|line| line.starts_with("#EXT-X-STREAM-INF:")) {
        assert!(line.contains(",AUDIO=\"sound\"") && line.contains(",mp4a.40.2\""), "{line}");
    }
    for row in &asset.renditions {
        let file = whole(machine, asset, row.rendition).await;
        let kinds = crate::support::probe(&file, "-show_entries stream=codec_type");
        let alone = if row.rendition.sound_lang().is_some() { "audio" } else { "video" };
        assert_eq!(kinds.trim(), alone, "{}", row.rendition);
    }
    master
}

#[tokio::test(flavor = "multi_thread")]
async fn two_languages_are_two_sounds_beside_the_pictures() {
    let folder = tempfile::tempdir().unwrap();
    let file = clip(folder.path(), "two.mp4", TWO);
    let machine = Machine::new();
    let asset = machine.make(&file, |_| {}).await;
    let master = check_choice(&machine, &asset).await;
    let names: Vec<_> = asset.renditions.iter().map(|row| row.rendition.to_string()).collect();
    assert_eq!(names, ["360p", "480p", "a-eng", "a-deu"]);
    assert_eq!(master.variants.len(), 2);
    check_tone(&whole(&machine, &asset, sound("a-eng")).await, 440.0, 11.0);
    check_tone(&whole(&machine, &asset, sound("a-deu")).await, 880.0, 11.0);
    // What is shown before playback has the sound that is heard by default.
    let opener = machine.folder.path().join("opener.mp4");
    std::fs::copy(machine.artifact(asset.id, ArtifactPath::Opener).await.unwrap(), &opener).unwrap();
    let kinds = crate::support::probe(&opener, "-show_entries stream=codec_type");
    assert_eq!(kinds.split_whitespace().collect::<Vec<_>>(), ["video", "audio"]);
    let early = machine.advances.lock().unwrap().iter().find(|advance| !advance.warm.is_empty()).cloned().unwrap();
    assert!(early.warm.contains(&ArtifactPath::Segment { rendition: sound("a-eng"), index: 0 }));
    let notes = &asset.media.as_ref().unwrap().notes;
    assert!(notes.iter().any(|note| note.what.contains("viewers choose among 2")), "{notes:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sound_that_can_not_be_decoded_leaves_the_others() {
    let folder = tempfile::tempdir().unwrap();
    let file = clip(folder.path(), "two.mp4", TWO);
    let program = stand_in(folder.path(), "case \"$*\" in *'-map 0:2 '*) echo no >&2; exit 1;; esac");
    let machine = Machine::new();
    let asset = machine.make(&file, |config| config.ffmpeg = program).await;
    assert_eq!((asset.source, asset.playable), (SourceState::Ready, PlayableState::HlsReady));
    let lost = asset.renditions.iter().find(|row| row.rendition == sound("a-deu")).unwrap();
    assert!(matches!(lost.state, RenditionState::Failed(_)), "{lost:?}");
    let master: Master = machine.text(asset.id, ArtifactPath::Master).await.parse().unwrap();
    assert_eq!(master.sounds.iter().map(|sound| sound.uri.as_str()).collect::<Vec<_>>(), ["a-eng/index.m3u8"]);
    assert_eq!(master.variants.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn sounds_that_were_made_before_a_crash_are_not_made_again() {
    let folder = tempfile::tempdir().unwrap();
    let file = clip(folder.path(), "two.mp4", TWO);
    let (undisturbed, broken) = (Machine::new(), Machine::new());
    let whole = undisturbed.make(&file, |_| {}).await;
    // The first attempt dies with its second run of the encoder for pictures.
    let script = "case \"$*\" in *libx264*) test -e seen && kill -9 $$; /bin/mkdir seen;; esac";
    let program = stand_in(folder.path(), script);
    let id = broken.upload(std::fs::read(&file).unwrap().into()).await;
    let (_trigger, shutdown) = rend_shell::shutdown_pair();
    assert!(broken.worker(|config| config.ffmpeg = program).run_once(&shutdown).await.unwrap());
    let half = ArtifactPath::Segment { rendition: sound("a-deu"), index: 0 };
    assert!(broken.artifact(id, half).await.is_some());
    tokio::time::sleep(std::time::Duration::from_secs(4)).await;
    assert!(broken.worker(|_| {}).run_once(&shutdown).await.unwrap());
    let (one, two) = (folder.path().join("one"), folder.path().join("two"));
    undisturbed.export(whole.id, &one).await;
    broken.export(id, &two).await;
    let names = |root: &Path| {
        let own = |file: PathBuf| file.strip_prefix(root).unwrap().to_owned();
        files(root).into_iter().map(own).filter(|file| !file.starts_with("ended")).collect::<Vec<_>>()
    };
    assert_eq!(names(&one), names(&two));
    for name in names(&one) {
        assert!(std::fs::read(one.join(&name)).unwrap() == std::fs::read(two.join(&name)).unwrap(), "{name:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_languages_of_a_source_that_plays_as_it_is_are_taken_over_as_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let file = clip(folder.path(), "two.mp4", &TWO.replace("-g 600", "-g 48 -crf 34"));
    let machine = Machine::new();
    let asset = machine.make(&file, |_| {}).await;
    let master = check_choice(&machine, &asset).await;
    let notes = &asset.media.as_ref().unwrap().notes;
    assert!(notes.iter().any(|note| note.what.contains("passed through")), "{notes:?}");
    let names: Vec<_> = asset.renditions.iter().map(|row| row.rendition.to_string()).collect();
    assert_eq!(names, ["360p", "src", "a-eng", "a-deu"]);
    assert_eq!(master.variants.len(), 2);
    check_tone(&whole(&machine, &asset, sound("a-eng")).await, 440.0, 11.0);
    check_tone(&whole(&machine, &asset, sound("a-deu")).await, 880.0, 11.0);
    // The very frames of the source are in the sound, not others that an encoder made of them.
    let frames = |file: &Path, stream: &str| {
        let args = format!("-select_streams {stream} -show_entries packet=size");
        let sizes: Vec<u64> = crate::support::probe(file, &args).lines().filter_map(|line| line.parse().ok()).collect();
        sizes
    };
    let (own, made) = (frames(&file, "a:1"), frames(&whole(&machine, &asset, sound("a-deu")).await, "a:0"));
    assert!(own.windows(300).any(|part| made.windows(300).next() == Some(part)), "{} {}", own.len(), made.len());
}
