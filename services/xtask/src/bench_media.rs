//! The goals of the media pipeline as ratios against plain ffmpeg: same clips, same machine, same run, turn about.
//!
//! Two clips of a minute are made: one that may be passed through, and one that must be encoded. Beside Rend run the
//! one-command ladder (`ffmpeg -f hls`, 720p and 1080p) and the plain copy (`ffmpeg -c copy -f hls`). The best of each
//! counts, and the load of the machine is printed with it, since a busy machine measures others. Goals that are no matter
//! of time are held by tests; their names are printed.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// Runs the comparison and prints it.
pub(crate) fn run() -> ExitCode {
    let folder = std::env::temp_dir().join(format!("rend-bench-media-{}", std::process::id()));
    let done = std::fs::create_dir_all(&folder).map_err(|error| error.to_string()).and_then(|()| compare(&folder));
    let _ = std::fs::remove_dir_all(&folder);
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("bench media: {problem}");
            ExitCode::FAILURE
        }
    }
}

/// Rounds of each; the best counts.
const ROUNDS: usize = 3;
/// Seconds of each clip.
const SECS: &str = "60";
/// Wall or processor seconds below this are taken as this much, since no clock here is finer.
const FINEST: f64 = 0.001;

/// One run: until something plays, until all is done, and processor time, all in seconds.
#[derive(Clone, Copy, Debug)]
struct Took {
    first: f64,
    whole: f64,
    cpu: f64,
}

impl Took {
    /// The best of both, figure by figure.
    fn min(self, other: Self) -> Self {
        Self { first: self.first.min(other.first), whole: self.whole.min(other.whole), cpu: self.cpu.min(other.cpu) }
    }
}

fn compare(folder: &Path) -> Result<(), String> {
    println!("making two clips of {SECS} s at 1920x1080, 30 frames a second");
    let passed = clip(folder, "passed.mp4", "60")?;
    let encoded = clip(folder, "encoded.mp4", "250")?;
    let program = measuring_program()?;
    let (mut best, names) = ([None; 4], ["passed through", "encoded", "ffmpeg ladder", "ffmpeg copy"]);
    println!("{:<7}{:<16}{:>10}{:>10}{:>10}  load", "round", "", "first", "whole", "cpu");
    for round in 1..=ROUNDS {
        let runs: [&dyn Fn() -> Result<Took, String>; 4] = [
            &|| rend(&program, &passed),
            &|| rend(&program, &encoded),
            &|| ffmpeg(&encoded, &folder.join("ladder"), LADDER),
            &|| ffmpeg(&passed, &folder.join("copy"), COPY),
        ];
        for ((run, best), name) in runs.into_iter().zip(&mut best).zip(names) {
            let took = run()?;
            println!("{round:<7}{name:<16}{:>8.2} s{:>8.2} s{:>8.2} s  {}", took.first, took.whole, took.cpu, load());
            *best = Some(best.map_or(took, |before: Took| before.min(took)));
        }
    }
    let [Some(passed), Some(encoded), Some(ladder), Some(copy)] = best else {
        return Err("nothing was run".to_owned());
    };
    println!("\n{:<62}{:>8}{:>8}", "goal", "ratio", "at most");
    goal("G1 passed through, playable / ladder's wall", passed.first / ladder.whole.max(FINEST), 0.01);
    goal("G1 passed through, playable / copy's first segment", passed.first / copy.first.max(FINEST), 0.5);
    goal("G2 encoded, playable / ladder's first segment", encoded.first / ladder.first.max(FINEST), 0.30);
    goal("G2 encoded, playable / ladder's wall", encoded.first / ladder.whole.max(FINEST), 0.04);
    goal("G3 whole ladder / ladder's wall", encoded.whole / ladder.whole.max(FINEST), 1.0);
    goal("G3 processor time / ladder's", encoded.cpu / ladder.cpu.max(FINEST), 0.95);
    for (goal, test) in HELD {
        println!("{goal:<62}  {test}");
    }
    Ok(())
}

fn goal(what: &str, ratio: f64, max: f64) {
    let met = if ratio <= max { "met" } else { "missed" };
    println!("{what:<62}{ratio:>8.3}{max:>8.2}  {met}");
}

/// Goals that are no matter of time, and what holds them.
const HELD: &[(&str, &str)] = &[
    ("G4 quality at the cuts", "not measured here"),
    ("G5 kill -9 at any moment", "cargo test -p rend-media --test media kills"),
    ("G6 every rule of HLS on every output", "the worker itself; cargo test -p rend-core --test hls_rules"),
    ("G7 hostile files", "cargo test -p rend-media --test media odd jail"),
    ("G8 nothing of the source's metadata", "cargo test -p rend-media --test media no_metadata"),
    ("G10 sixteen warm items play four seconds", "cargo test -p rend-core the_first_sixteen_warm_items"),
];

/// A minute of 1080p30 H.264 with stereo sound and some noise, a key frame every `gop` frames.
fn clip(folder: &Path, name: &str, gop: &str) -> Result<PathBuf, String> {
    let file = folder.join(name);
    let words = "-nostdin -hide_banner -v error -y -f lavfi -i testsrc2=s=1920x1080:r=30 -f lavfi -i sine=f=440:r=48000 \
                 -vf noise=alls=12:allf=t -c:v libx264 -preset ultrafast -crf 26 -maxrate 8M -bufsize 12M -pix_fmt yuv420p \
                 -sc_threshold 0 -c:a aac -b:a 128k -ac 2 -movflags +faststart";
    let mut command = Command::new("ffmpeg");
    command.args(words.split_whitespace()).args(["-t", SECS, "-g", gop, "-keyint_min", gop]).arg(&file);
    succeed(&mut command, "ffmpeg")?;
    Ok(file)
}

const LADDER: &str = "-filter_complex [0:v]split=2[a][b];[a]scale=1280:720[v0];[b]scale=1920:1080[v1] -map [v0] -map 0:a \
                      -map [v1] -map 0:a -c:v libx264 -preset veryfast -crf 23 -g 60 -keyint_min 60 -sc_threshold 0 \
                      -maxrate:v:0 2800k -bufsize:v:0 5600k -maxrate:v:1 5000k -bufsize:v:1 10000k -c:a aac -b:a 128k -ac 2 \
                      -ar 48000 -var_stream_map v:0,a:0|v:1,a:1";
const COPY: &str = "-map 0:v -map 0:a -c copy -var_stream_map v:0,a:0";

/// Plain ffmpeg: until it lists its first segment in a multivariant playlist, and until its end.
fn ffmpeg(clip: &Path, folder: &Path, work: &str) -> Result<Took, String> {
    let _ = std::fs::remove_dir_all(folder);
    std::fs::create_dir_all(folder).map_err(|error| error.to_string())?;
    let hls = "-f hls -hls_time 4 -hls_playlist_type event -hls_segment_type fmp4 -master_pl_name master.m3u8 \
               -hls_segment_filename v%v_%05d.m4s v%v.m3u8";
    let (before, began) = (children_cpu(), Instant::now());
    let mut child = Command::new("ffmpeg")
        .args(["-nostdin", "-hide_banner", "-v", "error", "-y", "-i"])
        .arg(clip)
        .args(work.split_whitespace().map(|word| word.replace('|', " ")))
        .args(hls.split_whitespace())
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
            if !status.success() {
                return Err("ffmpeg failed".to_owned());
            }
            let first = first.unwrap_or(whole);
            return Ok(Took {
                first: first.as_secs_f64(),
                whole: whole.as_secs_f64(),
                cpu: children_cpu().saturating_sub(before).as_secs_f64(),
            });
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Rend, from the moment its job is written down.
fn rend(program: &Path, clip: &Path) -> Result<Took, String> {
    let before = children_cpu();
    let output = Command::new(program)
        .arg(clip)
        .args(["720p", "1080p"])
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| format!("{}: {error}", program.display()))?;
    let said: Value = serde_json::from_slice(&output.stdout).map_err(|error| format!("measure_path: {error}"))?;
    let secs = |name: &str| {
        let millis = said.get(name).and_then(Value::as_u64).ok_or_else(|| format!("measure_path: no {name}"))?;
        Ok::<_, String>(Duration::from_millis(millis).as_secs_f64())
    };
    Ok(Took {
        first: secs("opener_ms")?,
        whole: secs("ready_ms")?,
        cpu: children_cpu().saturating_sub(before).as_secs_f64(),
    })
}

/// Processor time of all children so far, and of theirs.
fn children_cpu() -> Duration {
    let text = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The name of the program stands in brackets and may hold anything; fields are counted behind it.
    let fields: Vec<&str> = text.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |place: usize| fields.get(place).and_then(|field| field.parse::<u64>().ok()).unwrap_or(0);
    // User and system time of children that were waited for, in hundredths of a second.
    Duration::from_millis((ticks(13) + ticks(14)) * 10)
}

fn measuring_program() -> Result<PathBuf, String> {
    let build = ["build", "--release", "-q", "-p", "rend-media", "--example", "measure_path"];
    succeed(Command::new(env!("CARGO")).args(build), "cargo build")?;
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version=1", "--no-deps", "--offline"])
        .output()
        .map_err(|error| format!("cargo metadata: {error}"))?;
    let said: Value = serde_json::from_slice(&output.stdout).map_err(|error| format!("cargo metadata: {error}"))?;
    let folder = said.get("target_directory").and_then(Value::as_str).ok_or("cargo metadata names no target folder")?;
    Ok(PathBuf::from(folder).join("release/examples/measure_path"))
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
