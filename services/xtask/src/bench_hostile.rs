//! Files that mean harm, and files that say too much of their owner.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::bench_media::Goals;
use crate::bench_peer::{load, rend, succeed};

/// A refusal may take so long.
const SECS_MAX: f64 = 2.0;
/// Bytes of memory that the largest process may take.
const MEMORY_MIB_MAX: f64 = 300.0;

/// G7: each file that is no video, or one that would cost too much, is refused with a word of its own, soon and cheaply.
pub(crate) fn hostile(program: &Path, folder: &Path, goals: &mut Goals) -> Result<(), String> {
    let (mut slowest, mut largest, mut undefined): (f64, f64, Vec<String>) = (0.0, 0.0, Vec::new());
    let files = files(folder)?;
    for (name, file) in &files {
        let ran = rend(program, file, "720p,1080p", &folder.join("hostile"))?;
        let memory = ran.took.memory_bytes as f64 / f64::from(1 << 20);
        let code = ran.failure.as_deref().unwrap_or("none");
        println!("  {name:<36}{code:<16}{:>6.2} s {memory:>6.0} MiB  {}", ran.took.whole, load());
        (slowest, largest) = (slowest.max(ran.took.whole), largest.max(memory));
        if ran.state != "failed" || !REFUSALS.contains(&code) {
            undefined.push(format!("{name}: {} {code}", ran.state));
        }
    }
    let refused = format!("{}/{}", files.len() - undefined.len(), files.len());
    goals.holds(
        &format!("G7 hostile files refused for a defined reason {}", undefined.join(", ")),
        &refused,
        undefined.is_empty(),
    );
    goals.most("G7 seconds until the slowest is refused", slowest, SECS_MAX);
    goals.most("G7 MiB of the largest process meanwhile", largest, MEMORY_MIB_MAX);
    Ok(())
}

/// The codes of sources that are refused for good.
const REFUSALS: [&str; 5] = ["unreadable", "not_a_video", "over_limit", "unsupported", "empty"];

fn files(folder: &Path) -> Result<Vec<(&'static str, PathBuf)>, String> {
    let make = |name: &str, words: &str| {
        let file = folder.join(name);
        let mut command = Command::new("ffmpeg");
        command.args("-nostdin -hide_banner -v error -y".split(' ')).args(words.split_whitespace()).arg(&file);
        succeed(&mut command, "ffmpeg").map(|()| file)
    };
    let read = |file: &Path| fs::read(file).map_err(|error| format!("{}: {error}", file.display()));
    let picture = "-f lavfi -i testsrc2=s=320x180:r=30:d=4 -c:v libx264 -preset ultrafast -pix_fmt yuv420p";
    let behind = read(&make("behind.mp4", picture)?)?;
    let before = read(&make("before.mp4", &format!("{picture} -movflags +faststart"))?)?;
    let head = &before[..before.len().min(32)];
    let boxed = |size: u32, kind: &[u8; 4]| [&size.to_be_bytes()[..], kind].concat();
    let nested: Vec<u8> = (0..20_000_u32).rev().flat_map(|left| boxed(8 * (left + 1), b"moov")).collect();
    let list = "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:4,\nhttp://127.0.0.1:9/a.ts\n#EXT-X-ENDLIST\n";
    let dash = "<?xml version=\"1.0\"?><MPD xmlns=\"urn:mpeg:dash:schema:mpd:2011\"><BaseURL>http://127.0.0.1:9/</BaseURL></MPD>";
    let written: Vec<(&'static str, Vec<u8>)> = vec![
        ("nothing but text", b"this is a letter and no video".repeat(40)),
        ("a playlist named as a video", list.into()),
        ("a manifest named as a video", dash.into()),
        ("cut before its description", behind[..behind.len() / 2].to_vec()),
        ("cut inside its description", before[..200].to_vec()),
        ("a description larger than the file", [head, &boxed(u32::MAX, b"moov"), &[0; 64]].concat()),
        ("twenty thousand nested boxes", [head, &nested].concat()),
        ("a box of no length", [head, &boxed(0, b"moov"), &[0xff; 256]].concat()),
        ("zeroes", vec![0; 1 << 20]),
    ];
    let mut all = Vec::new();
    for (place, (name, bytes)) in written.into_iter().enumerate() {
        let file = folder.join(format!("hostile-{place}.mp4"));
        fs::write(&file, bytes).map_err(|error| error.to_string())?;
        all.push((name, file));
    }
    let bomb = "-f lavfi -i color=s=4096x4096:r=60:d=1 -c:v libx264 -preset ultrafast -qp 51 -pix_fmt yuv420p";
    all.push(("a picture of 4096x4096 at 60 frames", make("bomb.mp4", bomb)?));
    all.push(("a photograph named as a video", make("photo.jpg", "-f lavfi -i testsrc2=s=320x180 -frames:v 1")?));
    Ok(all)
}

/// G8: where and with what a clip was recorded is in nothing that viewers get, whether it plays as it is or is encoded.
pub(crate) fn privacy(program: &Path, folder: &Path, goals: &mut Goals) -> Result<(), String> {
    let mut found = Vec::new();
    for (way, frames_apart) in [("passed through", "30"), ("encoded", "250")] {
        let clip = folder.join("private.mov");
        let words = "-nostdin -hide_banner -v error -y -f lavfi -i testsrc2=s=640x360:r=30:d=9 -c:v libx264 -preset ultrafast \
                     -pix_fmt yuv420p -sc_threshold 0 -movflags use_metadata_tags+faststart";
        let mut command = Command::new("ffmpeg");
        command.args(words.split_whitespace()).args(["-g", frames_apart]);
        for (key, said) in
            [("location", PLACE), ("com.apple.quicktime.model", DEVICE), ("comment", SERIAL), ("title", SERIAL)]
        {
            command.args(["-metadata", &format!("{key}={said}")]);
        }
        command.args(["-metadata:s:v", &format!("handler_name={SERIAL}")]);
        succeed(command.arg(&clip), "ffmpeg")?;
        let told = fs::read(&clip).map_err(|error| error.to_string())?;
        if SECRETS.iter().filter(|secret| contains(&told, secret)).count() < SECRETS.len() {
            return Err("the private clip does not say what it should".to_owned());
        }
        let export = folder.join("private");
        let ran = rend(program, &clip, "360p", &export)?;
        if ran.state != "hls_ready" {
            return Err(format!("the private clip ended as {} ({:?})", ran.state, ran.failure));
        }
        let mut folders = vec![export];
        while let Some(inside) = folders.pop() {
            for entry in fs::read_dir(inside).into_iter().flatten().flatten() {
                let path = entry.path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    let bytes = fs::read(&path).map_err(|error| error.to_string())?;
                    found.extend(
                        SECRETS
                            .iter()
                            .filter(|secret| contains(&bytes, secret))
                            .map(|_| format!("{way}: {}", path.display())),
                    );
                }
            }
        }
    }
    goals.holds(
        &format!("G8 files that tell where or with what {}", found.join(", ")),
        &found.len().to_string(),
        found.is_empty(),
    );
    Ok(())
}

const PLACE: &str = "+48.8577+002.2950/";
const DEVICE: &str = "PocketCam-77Q";
const SERIAL: &str = "serial-9041-XKZ";
const SECRETS: [&str; 3] = ["48.8577", DEVICE, SERIAL];

fn contains(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|part| part == text.as_bytes())
}
