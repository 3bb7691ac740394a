//! Films of which some is damaged: what plays is told to be damaged, and what is mostly garbage is refused.
use std::path::Path;

use crate::support::{Machine, clip, probe};
use rend_core::artifact::Rendition;
use rend_core::asset::{Asset, PlayableState, SourceState};

/// Pictures with rare key frames, so that they are encoded, and a tone.
const FILM: &str = "-f lavfi -i testsrc2=s=640x360:r=24:d=5 -f lavfi -i sine=f=440:r=48000:d=5 -c:v libx264 \
                    -preset veryfast -bf 2 -g 600 -pix_fmt yuv420p -c:a aac -ac 2";
/// The same with a sound in each of two languages.
const TWO: &str = "-f lavfi -i testsrc2=s=854x480:r=24:d=5 -f lavfi -i sine=f=440:r=48000:d=5 -f lavfi -i \
                   sine=f=880:r=48000:d=5 -map 0 -map 1 -map 2 -metadata:s:a:0 language=eng -metadata:s:a:1 language=deu \
                   -c:v libx264 -preset veryfast -bf 2 -g 600 -pix_fmt yuv420p -c:a aac -ac 2";

/// Which packets of a stream are damaged.
#[derive(Clone, Copy, Debug)]
enum Which {
    One,
    Fifth,
}

/// Flips the bytes of some packets of one stream, but for what says how long they are and of which kind.
fn flip(file: &Path, stream: &str, which: Which) -> Vec<u8> {
    let told = probe(file, &format!("-select_streams {stream} -show_entries packet=pos,size"));
    let mut bytes = std::fs::read(file).unwrap();
    let packets: Vec<(usize, usize)> = told
        .lines()
        .map(|line| line.split(',').filter_map(|number| number.parse().ok()).collect::<Vec<usize>>())
        .filter_map(|numbers| Some((*numbers.get(1)?, numbers[0])))
        .collect();
    assert!(packets.len() > 100, "{told}");
    let chosen = |place: &usize| match which {
        Which::One => *place == 61,
        Which::Fifth => place % 5 == 3,
    };
    for (at, size) in (0..packets.len()).filter(chosen).map(|place| packets[place]) {
        bytes[at + 5.min(size)..at + size].iter_mut().for_each(|byte| *byte ^= 0xFF);
    }
    bytes
}

async fn made(args: &str, name: &str, stream: &str, which: Which) -> Asset {
    let machine = Machine::new();
    let file = clip(machine.folder.path(), name, args);
    let bytes = flip(&file, stream, which);
    std::fs::write(&file, bytes).unwrap();
    machine.make(&file, |_| {}).await
}

#[track_caller]
fn check_degraded(asset: &Asset, what: &str) {
    let end = (asset.source, asset.playable, asset.degraded);
    assert_eq!(end, (SourceState::Ready, PlayableState::HlsReady, true), "{what}: {:?}", asset.failure);
}

#[track_caller]
fn check_refused(asset: &Asset, what: &str) {
    assert_eq!((asset.source, asset.playable), (SourceState::Failed, PlayableState::Failed), "{what}");
    let failure = asset.failure.as_ref().unwrap();
    assert_eq!(failure.code, "unreadable", "{what}");
    assert!(failure.detail.starts_with("the file is too damaged to be played: "), "{what}: {}", failure.detail);
}

fn passed(asset: &Asset) -> bool {
    asset.renditions.iter().any(|row| row.rendition == Rendition::Source)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_film_of_which_a_fifth_is_garbage_is_refused_and_one_with_a_bad_picture_plays_as_degraded() {
    let kept = FILM.replace("-g 600", "-g 48");
    let larger = kept.replace("640x360", "854x480");
    for (args, as_it_is) in [(FILM, false), (&kept, true), (&larger, true)] {
        let asset = made(args, "film.mp4", "v:0", Which::One).await;
        check_degraded(&asset, args);
        assert_eq!(passed(&asset), as_it_is, "{args}");
        check_refused(&made(args, "film.mp4", "v:0", Which::Fifth).await, args);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn damaged_sound_is_told_and_the_pictures_play() {
    for (args, stream) in [(FILM, "a:0"), (TWO, "a:1")] {
        for key_frames in ["-g 600", "-g 48"] {
            let args = args.replace("-g 600", key_frames);
            for which in [Which::One, Which::Fifth] {
                let asset = made(&args, "film.mp4", stream, which).await;
                check_degraded(&asset, &args);
                assert_eq!(passed(&asset), key_frames == "-g 48", "{args}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sound_by_itself_is_judged_as_pictures_are() {
    let args = "-f lavfi -i sine=f=440:r=48000:d=5 -c:a aac -ac 2";
    check_degraded(&made(args, "sound.m4a", "a:0", Which::One).await, "one");
    check_refused(&made(args, "sound.m4a", "a:0", Which::Fifth).await, "a fifth");
}
