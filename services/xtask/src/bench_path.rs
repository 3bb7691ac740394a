//! From a complete upload to a playable ladder, beside one plain `ffmpeg -f hls` that makes the same two rungs.
//!
//! Both encode the same clip with the same codec, preset, quality and bit-rate limits on this machine, turn about, several
//! times; the best of each counts. The load of the machine is printed beside the result, since a busy one measures others.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::up::{Running, target};

/// Runs the comparison and prints it.
pub(crate) fn run() -> ExitCode {
    match compare() {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("bench path: {problem}");
            ExitCode::FAILURE
        }
    }
}

/// Rounds of each side; the best counts.
const ROUNDS: usize = 3;
/// Seconds of the clip.
const SECS: &str = "60";
/// The first playable picture may take this share of the time ffmpeg takes to its first listed segment.
const OPENER_SHARE_MAX: f64 = 0.30;
/// The whole ladder may take this share of ffmpeg's whole time.
const LADDER_SHARE_MAX: f64 = 1.0;

fn compare() -> Result<(), String> {
    let folder = std::env::temp_dir().join(format!("rend-bench-path-{}", std::process::id()));
    std::fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let result = compare_in(&folder);
    let _ = std::fs::remove_dir_all(&folder);
    result
}

fn compare_in(folder: &Path) -> Result<(), String> {
    let clip = make_clip(folder, "250")?;
    let build = ["build", "--release", "-q", "-p", "rend-media", "--example", "measure_path"];
    succeed(Command::new(env!("CARGO")).args(build), "cargo build")?;
    let program = target().join("release/examples/measure_path");
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    println!(
        "{:<7}{:>14}{:>14}{:>16}{:>16}  load",
        "round", "Rend opener", "Rend ladder", "ffmpeg first", "ffmpeg ladder"
    );
    for round in 1..=ROUNDS {
        let one = measure_rend(&program, &clip)?;
        let two = measure_ffmpeg(&clip, &folder.join("hls"))?;
        let secs = |time: Duration| format!("{:.2} s", time.as_secs_f64());
        println!("{round:<7}{:>14}{:>14}{:>16}{:>16}  {}", secs(one.0), secs(one.1), secs(two.0), secs(two.1), load());
        ours.push(one);
        theirs.push(two);
    }
    let best = |times: &[(Duration, Duration)], pick: fn(&(Duration, Duration)) -> Duration| {
        times.iter().map(pick).min().unwrap_or_default().as_secs_f64()
    };
    let opener = best(&ours, |t| t.0) / best(&theirs, |t| t.0);
    let ladder = best(&ours, |t| t.1) / best(&theirs, |t| t.1);
    verdict("first playable / ffmpeg's first listed segment", opener, OPENER_SHARE_MAX);
    verdict("whole ladder / ffmpeg's whole time", ladder, LADDER_SHARE_MAX);
    first_frames(folder, &[("encoded", clip), ("as it is", make_clip(folder, "60")?)])
}

/// Clips through a whole `rend up` and a real browser: from the answer to the upload to the first frame that the
/// compositor had, with the whole ladder being made behind it.
fn first_frames(folder: &Path, clips: &[(&str, PathBuf)]) -> Result<(), String> {
    crate::tools::need(&[crate::tools::CHROMIUM, crate::tools::NPM], true)?;
    crate::tools::web(true)?;
    crate::run::run(crate::run::cargo().args(["build", "--release", "-q", "-p", "rend"]))?;
    let vars = [("REND_LOG", "warn")];
    let mut running = Running::start(&target().join("release/rend"), &folder.join("up"), &vars)?;
    println!("{:<10}{:>14}{:>14}  load", "the clip", "first frame", "all ready");
    for (what, clip) in clips.iter().flat_map(|clip| [clip; ROUNDS]) {
        let mut node = Command::new("node");
        node.current_dir(crate::run::root().join("services/web"))
            .arg("test/real/first-frame.mjs")
            .env("REND_API_BASE", &running.api)
            .env("REND_API_KEY", &running.key)
            .env("REND_TEST_CLIP", clip)
            .stderr(Stdio::inherit());
        let output = node.output().map_err(|error| format!("node: {error}"))?;
        let said: Value = serde_json::from_slice(&output.stdout).map_err(|error| format!("first-frame: {error}"))?;
        let secs =
            |name: &str| said[name].as_f64().map(|millis| format!("{:.2} s", millis / 1000.0)).unwrap_or_default();
        println!("{what:<10}{:>14}{:>14}  {}", secs("first_frame_ms"), secs("ready_ms"), load());
    }
    running.stop()
}

fn verdict(what: &str, share: f64, max: f64) {
    let met = if share <= max { "met" } else { "missed" };
    println!("{what}: {share:.2} (goal {max:.2}, {met})");
}

/// A minute of 1080p30 H.264 with stereo sound, with enough noise in it that no encoder has an easy time.
/// With a key frame every two seconds it plays as it is; with rare ones it has to be encoded.
fn make_clip(folder: &Path, frames_apart: &str) -> Result<PathBuf, String> {
    let clip = folder.join(format!("clip-{frames_apart}.mp4"));
    println!("making a clip of {SECS} s at 1920x1080, 30 frames a second, a key frame every {frames_apart} frames");
    let args = [
        "-nostdin",
        "-hide_banner",
        "-v",
        "error",
        "-y",
        "-f",
        "lavfi",
        "-i",
        "testsrc2=s=1920x1080:r=30",
        "-f",
        "lavfi",
        "-i",
        "sine=f=440:r=48000",
        "-t",
        SECS,
        "-vf",
        "noise=alls=12:allf=t",
        "-c:v",
        "libx264",
        "-preset",
        "ultrafast",
        "-crf",
        "26",
        "-maxrate",
        "9M",
        "-bufsize",
        "12M",
        "-g",
        frames_apart,
        "-pix_fmt",
        "yuv420p",
        "-c:a",
        "aac",
        "-b:a",
        "128k",
        "-ac",
        "2",
    ];
    succeed(Command::new("ffmpeg").args(args).arg(&clip), "ffmpeg")?;
    Ok(clip)
}

fn measure_rend(program: &Path, clip: &Path) -> Result<(Duration, Duration), String> {
    let output = Command::new(program)
        .arg(clip)
        .args(["720p", "1080p"])
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| format!("{}: {error}", program.display()))?;
    let said: Value = serde_json::from_slice(&output.stdout).map_err(|error| format!("measure_path: {error}"))?;
    let millis = |name: &str| {
        said.get(name)
            .and_then(Value::as_u64)
            .map(Duration::from_millis)
            .ok_or_else(|| format!("measure_path: no {name}"))
    };
    Ok((millis("opener_ms")?, millis("ready_ms")?))
}

/// Time to the first master playlist, which ffmpeg writes with the first segment, and to the end.
fn measure_ffmpeg(clip: &Path, folder: &Path) -> Result<(Duration, Duration), String> {
    let _ = std::fs::remove_dir_all(folder);
    std::fs::create_dir_all(folder).map_err(|error| error.to_string())?;
    let began = Instant::now();
    let mut child = Command::new("ffmpeg")
        .args(["-nostdin", "-hide_banner", "-v", "error", "-y", "-i"])
        .arg(clip)
        .args(["-filter_complex", "[0:v]split=2[a][b];[a]scale=1280:720[v0];[b]scale=1920:1080[v1]"])
        .args(["-map", "[v0]", "-map", "0:a", "-map", "[v1]", "-map", "0:a"])
        .args([
            "-c:v",
            "libx264",
            "-preset",
            "veryfast",
            "-crf",
            "23",
            "-g",
            "60",
            "-keyint_min",
            "60",
            "-sc_threshold",
            "0",
        ])
        .args(["-maxrate:v:0", "2800k", "-bufsize:v:0", "5600k", "-maxrate:v:1", "5000k", "-bufsize:v:1", "10000k"])
        .args(["-c:a", "aac", "-b:a", "128k", "-ac", "2", "-ar", "48000"])
        .args(["-f", "hls", "-hls_time", "4", "-hls_playlist_type", "event", "-hls_segment_type", "fmp4"])
        .args(["-master_pl_name", "master.m3u8", "-var_stream_map", "v:0,a:0 v:1,a:1"])
        .args(["-hls_segment_filename", "v%v_%05d.m4s", "v%v.m3u8"])
        .current_dir(folder)
        .spawn()
        .map_err(|error| format!("ffmpeg: {error}"))?;
    let mut first = None;
    loop {
        if first.is_none() && std::fs::metadata(folder.join("master.m3u8")).is_ok_and(|meta| meta.len() > 0) {
            first = Some(began.elapsed());
        }
        if let Some(status) = child.try_wait().map_err(|error| error.to_string())? {
            let whole = began.elapsed();
            return if status.success() {
                Ok((first.unwrap_or(whole), whole))
            } else {
                Err("ffmpeg failed".to_owned())
            };
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn succeed(command: &mut Command, name: &str) -> Result<(), String> {
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("{name} ended with {status}")),
        Err(error) => Err(format!("{name}: {error}; `cargo xtask up` installs what is missing")),
    }
}

fn load() -> String {
    std::fs::read_to_string("/proc/loadavg")
        .map_or_else(|_| "unknown".to_owned(), |text| text.chars().take(14).collect())
}
