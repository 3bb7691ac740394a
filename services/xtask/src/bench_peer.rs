//! What the benchmarks of the media pipeline share: their clip, one plain ffmpeg beside Rend, and how a run is timed.
//!
//! Both sides encode the same clip with the same codec, preset, quality and bit-rate limits on this machine, turn about. The
//! load of the machine is printed beside each figure, since a busy one measures others.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::up::{Running, target};

/// Rounds of each side; the best counts.
pub(crate) const ROUNDS: usize = 3;
/// Seconds of the clip.
pub(crate) const SECS: &str = "60";

/// A minute of 1080p30 H.264 with stereo sound, with enough noise in it that no encoder has an easy time.
/// With a key frame every two seconds it plays as it is; with rare ones it has to be encoded.
pub(crate) fn clip(folder: &Path, frames_apart: &str) -> Result<PathBuf, String> {
    let clip = folder.join(format!("clip-{frames_apart}.mp4"));
    println!("making a clip of {SECS} s at 1920x1080, 30 frames a second, a key frame every {frames_apart} frames");
    let words = "-nostdin -hide_banner -v error -y -f lavfi -i testsrc2=s=1920x1080:r=30 -f lavfi -i sine=f=440:r=48000 \
                 -vf noise=alls=12:allf=t -c:v libx264 -preset ultrafast -crf 26 -maxrate 9M -bufsize 12M -pix_fmt yuv420p \
                 -sc_threshold 0 -c:a aac -b:a 128k -ac 2 -movflags +faststart";
    let mut command = Command::new("ffmpeg");
    command.args(words.split_whitespace()).args(["-t", SECS, "-g", frames_apart, "-keyint_min", frames_apart]);
    succeed(command.arg(&clip), "ffmpeg")?;
    Ok(clip)
}

/// Codecs of clips that always have to be encoded.
#[derive(Clone, Copy)]
pub(crate) enum Coded {
    /// HEVC in MP4, as phones record it.
    Hevc,
    /// VP9 in WebM, as browsers record it.
    Vp9,
}

/// The same minute as [`clip`] in another codec.
pub(crate) fn coded(folder: &Path, codec: Coded) -> Result<PathBuf, String> {
    let (file, words) = match codec {
        Coded::Hevc => {
            ("clip-hevc.mp4", "-c:v libx265 -preset ultrafast -x265-params log-level=error -tag:v hvc1 -c:a aac")
        }
        Coded::Vp9 => {
            ("clip-vp9.webm", "-c:v libvpx-vp9 -deadline realtime -cpu-used 8 -row-mt 1 -threads 2 -c:a libopus")
        }
    };
    let clip = folder.join(file);
    println!("making {file}, {SECS} s at 1920x1080, 30 frames a second");
    let from = "-nostdin -hide_banner -v error -y -f lavfi -i testsrc2=s=1920x1080:r=30 -f lavfi -i sine=f=440:r=48000 \
                -vf noise=alls=12:allf=t -pix_fmt yuv420p -g 150 -b:v 6M -b:a 128k -ac 2";
    let mut command = Command::new("ffmpeg");
    command.args(from.split_whitespace()).args(words.split_whitespace()).args(["-t", SECS]);
    succeed(command.arg(&clip), "ffmpeg")?;
    Ok(clip)
}

/// One run: until something plays, until all is done, processor time, all in seconds, and bytes of memory.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Took {
    pub(crate) first: f64,
    pub(crate) whole: f64,
    pub(crate) cpu: f64,
    /// What the largest of its processes had at once.
    pub(crate) memory_bytes: u64,
}

impl Took {
    /// The best of both, figure by figure; of memory the worst.
    pub(crate) fn best(self, other: Self) -> Self {
        Self {
            first: self.first.min(other.first),
            whole: self.whole.min(other.whole),
            cpu: self.cpu.min(other.cpu),
            memory_bytes: self.memory_bytes.max(other.memory_bytes),
        }
    }
}

/// What plain ffmpeg makes.
#[derive(Clone, Copy)]
pub(crate) enum Plain {
    /// 720p and 1080p from one decoder.
    Ladder,
    /// The source in segments.
    Copy,
}

/// Plain ffmpeg: until it lists its first segment in a multivariant playlist, and until its end.
pub(crate) fn ffmpeg(clip: &Path, folder: &Path, plain: Plain) -> Result<Took, String> {
    let _ = fs::remove_dir_all(folder);
    fs::create_dir_all(folder).map_err(|error| error.to_string())?;
    let (before, began) = (children_cpu(), Instant::now());
    let mut first = None;
    let master = folder.join("master.m3u8");
    let child = plain_command(clip, plain).current_dir(folder).spawn().map_err(|error| format!("ffmpeg: {error}"))?;
    let (status, memory_bytes) = watch(child, || {
        if first.is_none() && fs::metadata(&master).is_ok_and(|meta| meta.len() > 0) {
            first = Some(began.elapsed());
        }
    })?;
    let whole = began.elapsed();
    if !status.success() {
        return Err(format!("ffmpeg ended with {status}"));
    }
    let first = first.unwrap_or(whole);
    let cpu = children_cpu().saturating_sub(before).as_secs_f64();
    Ok(Took { first: first.as_secs_f64(), whole: whole.as_secs_f64(), cpu, memory_bytes })
}

/// The words of one plain ffmpeg, which writes into the folder that it is started in.
pub(crate) fn plain_words(plain: Plain) -> Vec<String> {
    let words = match plain {
        Plain::Ladder => LADDER,
        Plain::Copy => COPY,
    };
    words.split_whitespace().chain(HLS.split_whitespace()).map(|word| word.replace('|', " ")).collect()
}

fn plain_command(clip: &Path, plain: Plain) -> Command {
    let mut command = Command::new("ffmpeg");
    command.args(["-nostdin", "-hide_banner", "-v", "error", "-y", "-i"]).arg(clip).args(plain_words(plain));
    command
}

const LADDER: &str = "-filter_complex [0:v]split=2[a][b];[a]scale=1280:720[v0];[b]scale=1920:1080[v1] -map [v0] -map 0:a \
                      -map [v1] -map 0:a -c:v libx264 -preset veryfast -crf 23 -g 60 -keyint_min 60 -sc_threshold 0 \
                      -maxrate:v:0 2800k -bufsize:v:0 5600k -maxrate:v:1 5000k -bufsize:v:1 10000k -c:a aac -b:a 128k -ac 2 \
                      -ar 48000 -var_stream_map v:0,a:0|v:1,a:1";
const COPY: &str = "-map 0:v -map 0:a -c copy -var_stream_map v:0,a:0";
const HLS: &str = "-f hls -hls_time 4 -hls_playlist_type event -hls_segment_type fmp4 -master_pl_name master.m3u8 \
                   -hls_segment_filename v%v_%05d.m4s v%v.m3u8";

/// One run of Rend, from the moment its job is written down.
#[derive(Clone, Debug)]
pub(crate) struct Ran {
    pub(crate) took: Took,
    /// When the source as it is was published whole, if it was.
    pub(crate) passed: Option<f64>,
    /// What the asset came to, and its failure's code.
    pub(crate) state: String,
    pub(crate) failure: Option<String>,
    /// Bytes in the scratch folder at most.
    pub(crate) scratch_bytes: u64,
    /// What an edge was asked to fetch when it became playable.
    pub(crate) warm: Vec<String>,
    /// The first frames of the stretches it was encoded in.
    pub(crate) stretches: Vec<u64>,
}

/// Builds the program that carries one clip from its upload to its ladder, and answers where it is.
pub(crate) fn measuring_program() -> Result<PathBuf, String> {
    let build = ["build", "--release", "-q", "-p", "rend-media", "--example", "measure_path"];
    crate::run::run(crate::run::cargo().args(build))?;
    Ok(target().join("release/examples/measure_path"))
}

/// Runs Rend over `clip` with these rungs; what it makes is left in `export`.
pub(crate) fn rend(program: &Path, clip: &Path, rungs: &str, export: &Path) -> Result<Ran, String> {
    let _ = fs::remove_dir_all(export);
    fs::create_dir_all(export).map_err(|error| error.to_string())?;
    let (said, told) = (export.with_extension("said"), export.with_extension("told"));
    let file = |path: &Path| File::create(path).map_err(|error| format!("{}: {error}", path.display()));
    let before = children_cpu();
    let child = Command::new(program)
        .arg(clip)
        .args(["--rungs", rungs, "--export"])
        .arg(export)
        .stdin(Stdio::null())
        .stdout(file(&said)?)
        .stderr(file(&told)?)
        .spawn()
        .map_err(|error| format!("{}: {error}", program.display()))?;
    let (status, memory_bytes) = watch(child, || {})?;
    let log = fs::read_to_string(&told).unwrap_or_default();
    let said: Value = fs::read(&said)
        .ok()
        .and_then(|text| serde_json::from_slice(&text).ok())
        .ok_or_else(|| format!("measure_path ended with {status}: {}", log.lines().next_back().unwrap_or_default()))?;
    let secs = |name: &str| said[name].as_f64().map(|millis| millis / 1000.0);
    let needed = |name: &str| secs(name).ok_or_else(|| format!("measure_path says no {name}"));
    let number = |line: &str| line.split("\"first\":").nth(1)?.split([',', '}']).next()?.trim().parse().ok();
    let mut stretches: Vec<u64> =
        log.lines().filter(|line| line.contains("a unit begins")).filter_map(number).collect();
    stretches.sort_unstable();
    stretches.dedup();
    Ok(Ran {
        took: Took {
            first: needed("opener_ms")?,
            whole: needed("ready_ms")?,
            // The upload is over when the job begins, as it is for plain ffmpeg, which finds the file there.
            cpu: children_cpu().saturating_sub(before).as_secs_f64() - secs("upload_cpu_ms").unwrap_or(0.0),
            memory_bytes,
        },
        passed: secs("passed_ms"),
        state: said["state"].as_str().unwrap_or_default().to_owned(),
        failure: said["failure"].as_str().map(str::to_owned),
        scratch_bytes: said["scratch_bytes"].as_u64().unwrap_or(0),
        warm: said["warm"].as_array().into_iter().flatten().filter_map(|v| v.as_str().map(str::to_owned)).collect(),
        stretches,
    })
}

/// The first frame in a browser of each of `clips`, by way of a whole `rend up`: from the answer to the upload to the frame
/// that the compositor had, with the ladder being made behind it. `way` is `fresh` or `open`: see `first-frame.mjs`.
pub(crate) struct Browser {
    running: Running,
}

/// What one clip took in the browser, in seconds.
pub(crate) struct Seen {
    pub(crate) first_frame: f64,
    pub(crate) ready: Option<f64>,
    /// The steps on the way, as the script prints them.
    pub(crate) steps: String,
}

impl Browser {
    /// Builds Rend, and starts it in `folder`.
    pub(crate) fn start(folder: &Path) -> Result<Self, String> {
        crate::tools::need(&[crate::tools::CHROMIUM, crate::tools::NPM], true)?;
        crate::tools::web(true)?;
        crate::run::run(crate::run::cargo().args(["build", "--release", "-q", "-p", "rend"]))?;
        let running = Running::start(&target().join("release/rend"), folder, &[("REND_LOG", "warn")])?;
        Ok(Self { running })
    }

    /// Uploads `clip` and looks at it. With `whole`, waits until all of the ladder is there.
    pub(crate) fn see(&self, clip: &Path, way: &str, whole: bool) -> Result<Seen, String> {
        let said = node("first-frame.mjs", |node| {
            node.env("REND_API_BASE", &self.running.api)
                .env("REND_API_KEY", &self.running.key)
                .env("REND_TEST_CLIP", clip)
                .env("REND_TEST_WAY", way)
                .env("REND_TEST_WHOLE", if whole { "1" } else { "0" })
        })?;
        let secs = |name: &str| said[name].as_f64().map(|millis| millis / 1000.0);
        let first_frame = secs("first_frame_ms").ok_or("first-frame says no first_frame_ms")?;
        let steps = said["steps"].as_object().into_iter().flatten();
        let steps: Vec<String> = steps.map(|(name, at)| format!("{name} {at}")).collect();
        Ok(Seen { first_frame, ready: secs("ready_ms"), steps: steps.join(", ") })
    }

    /// Stops Rend.
    pub(crate) fn stop(mut self) -> crate::run::Done {
        self.running.stop()
    }
}

/// Runs a script of the browser tests, which prints one line of JSON.
pub(crate) fn node(script: &str, with: impl FnOnce(&mut Command) -> &mut Command) -> Result<Value, String> {
    let mut node = Command::new("node");
    node.current_dir(crate::run::root().join("services/web"))
        .arg(format!("test/real/{script}"))
        .stderr(Stdio::inherit());
    let output = with(&mut node).output().map_err(|error| format!("node: {error}"))?;
    serde_json::from_slice(&output.stdout).map_err(|error| format!("{script}: {error}"))
}

/// Runs a command to its end.
pub(crate) fn succeed(command: &mut Command, name: &str) -> Result<(), String> {
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("{name} ended with {status}")),
        Err(error) => Err(format!("{name}: {error}; `cargo xtask up` installs what is missing")),
    }
}

/// The load of the machine over a minute, five and fifteen.
pub(crate) fn load() -> String {
    fs::read_to_string("/proc/loadavg").map_or_else(|_| "unknown".to_owned(), |text| text.chars().take(14).collect())
}

/// Waits for `child`, looking about often, and answers with the most memory that it or a process of its had.
fn watch(mut child: Child, mut look: impl FnMut()) -> Result<(ExitStatus, u64), String> {
    let (mut memory, mut looks) = (0, 0_u32);
    loop {
        look();
        if looks.is_multiple_of(LOOKS_A_MEMORY) {
            memory = memory.max(largest_below(child.id()));
        }
        looks = looks.wrapping_add(1);
        if let Some(status) = child.try_wait().map_err(|error| error.to_string())? {
            return Ok((status, memory));
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

const LOOK_EVERY: Duration = Duration::from_millis(2);
/// Memory is looked at every so many looks.
const LOOKS_A_MEMORY: u32 = 25;

/// The largest peak of memory of `root` and the processes below it, in bytes.
fn largest_below(root: u32) -> u64 {
    let mut parents = BTreeMap::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        let Some(fields) = stat(&pid.to_string()) else { continue };
        parents.insert(pid, fields.get(1).and_then(|field| field.parse::<u32>().ok()).unwrap_or(0));
    }
    let is_below = |pid: u32| {
        let mut at = pid;
        for _ in 0..16 {
            if at == root {
                return true;
            }
            at = parents.get(&at).copied().unwrap_or(0);
        }
        false
    };
    let peak = |pid: &u32| {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let line =
            status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?.trim().strip_suffix("kB")?.trim().parse();
        line.ok().map(|kilobytes: u64| kilobytes * 1024)
    };
    parents.keys().filter(|pid| is_below(**pid)).filter_map(peak).max().unwrap_or(0)
}

/// Processor time of all children so far, and of theirs.
fn children_cpu() -> Duration {
    let fields = stat("self").unwrap_or_default();
    let ticks = |place: usize| fields.get(place).and_then(|field| field.parse::<u64>().ok()).unwrap_or(0);
    // User and system time of children that were waited for, in hundredths of a second.
    Duration::from_millis((ticks(13) + ticks(14)) * 10)
}

/// What the system says of a process, from its state on.
fn stat(pid: &str) -> Option<Vec<String>> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name of the program stands in brackets and may hold anything; fields are counted behind it.
    Some(text.rsplit(')').next()?.split_whitespace().map(str::to_owned).collect())
}
