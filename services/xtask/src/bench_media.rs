//! The goals of the media pipeline as ratios against plain ffmpeg: same clips, same machine, same run, turn about.
//!
//! Two clips of a minute are made: one that may be passed through, and one that must be encoded. Beside Rend run the
//! one-command ladder (`ffmpeg -f hls`, 720p and 1080p) and the plain copy (`ffmpeg -c copy -f hls`). The best of each
//! counts. What is made is then held against the source and the rules, hostile files are shown to it, and workers are
//! killed. Each goal is printed with what was measured, what it may be, and the load of the machine at that moment.

use std::path::Path;
use std::process::{Command, ExitCode};

use serde_json::Value;

use crate::bench_peer::{
    Browser, Coded, Plain, ROUNDS, Ran, SECS, Took, clip, coded, ffmpeg, load, measuring_program, node, plain_words,
    rend,
};
use crate::{bench_hostile, bench_quality};

/// Runs the comparison and prints it.
pub(crate) fn run() -> ExitCode {
    let folder = std::env::temp_dir().join(format!("rend-bench-media-{}", std::process::id()));
    let done = std::fs::create_dir_all(&folder).map_err(|error| error.to_string()).and_then(|()| compare(&folder));
    let _ = std::fs::remove_dir_all(&folder);
    match done {
        Ok(goals) => {
            goals.print();
            ExitCode::SUCCESS
        }
        Err(problem) => {
            eprintln!("bench media: {problem}");
            ExitCode::FAILURE
        }
    }
}

/// Goals and what was measured.
#[derive(Default)]
pub(crate) struct Goals(Vec<String>);

impl Goals {
    /// Notes `measured` where at most `max` is wanted.
    pub(crate) fn most(&mut self, what: &str, measured: f64, max: f64) {
        self.note(what, &format!("{measured:.4}"), &format!("<= {max}"), measured <= max);
    }

    /// Notes `measured` where at least `min` is wanted.
    pub(crate) fn least(&mut self, what: &str, measured: f64, min: f64) {
        self.note(what, &format!("{measured:.4}"), &format!(">= {min:.4}"), measured >= min);
    }

    /// Notes what holds or does not.
    pub(crate) fn holds(&mut self, what: &str, measured: &str, met: bool) {
        self.note(what, measured, "", met);
    }

    fn note(&mut self, what: &str, measured: &str, goal: &str, met: bool) {
        let met = if met { "met" } else { "MISSED" };
        let line = format!("{what:<64}{measured:>12}  {goal:<10} {met:<7} {}", load());
        println!("  {line}");
        self.0.push(line);
    }

    fn print(&self) {
        println!("\n{:<64}{:>12}  {:<10} {:<7} load", "goal", "measured", "wanted", "");
        self.0.iter().for_each(|line| println!("{line}"));
    }
}

/// Processor or wall seconds below this are taken as this much, since no clock here is finer.
const FINEST: f64 = 0.001;
/// Deaths of the worker here, unless `REND_TEST_KILLS` says how many.
const KILLS: &str = "5";

fn compare(folder: &Path) -> Result<Goals, String> {
    let (passed, encoded) = (clip(folder, "60")?, clip(folder, "250")?);
    let program = measuring_program()?;
    let mut goals = Goals::default();
    let sides = Sides::run(&program, &passed, &encoded, folder)?;
    sides.goals(&mut goals);
    survey(&program, &passed, folder, &mut goals)?;
    browser(&passed, &encoded, folder, &mut goals)?;
    bench_quality::quality(&encoded, folder, &sides.encoded.stretches, &mut goals)?;
    bench_quality::rules(folder, &mut goals)?;
    bench_hostile::hostile(&program, folder, &mut goals)?;
    bench_hostile::privacy(&program, folder, &mut goals)?;
    warm(&[&sides.passed, &sides.encoded], folder, &mut goals);
    kills(&mut goals);
    Ok(goals)
}

/// The best of every side.
struct Sides {
    passed: Ran,
    encoded: Ran,
    ladder: Took,
    copy: Took,
}

impl Sides {
    fn run(program: &Path, passed: &Path, encoded: &Path, folder: &Path) -> Result<Self, String> {
        let mut best: Option<Self> = None;
        println!("{:<7}{:<16}{:>10}{:>10}{:>10}  load", "round", "", "first", "whole", "cpu");
        for round in 1..=ROUNDS {
            let say = |name: &str, took: Took| {
                println!(
                    "{round:<7}{name:<16}{:>8.2} s{:>8.2} s{:>8.2} s  {}",
                    took.first,
                    took.whole,
                    took.cpu,
                    load()
                );
            };
            let mut now = Self {
                passed: rend(program, passed, "1080p", &folder.join("passed"))?,
                encoded: rend(program, encoded, "720p,1080p", &folder.join("encoded"))?,
                ladder: ffmpeg(encoded, &folder.join("ladder"), Plain::Ladder)?,
                copy: ffmpeg(passed, &folder.join("copy"), Plain::Copy)?,
            };
            say("passed through", now.passed.took);
            say("encoded", now.encoded.took);
            say("ffmpeg ladder", now.ladder);
            say("ffmpeg copy", now.copy);
            for (ran, name) in [(&now.passed, "the clip to pass through"), (&now.encoded, "the clip to encode")] {
                if ran.state != "hls_ready" {
                    return Err(format!("{name} ended as {} ({:?})", ran.state, ran.failure));
                }
            }
            if let Some(before) = best {
                now.passed.took = now.passed.took.best(before.passed.took);
                now.encoded.took = now.encoded.took.best(before.encoded.took);
                let passed = now.passed.passed.into_iter().chain(before.passed.passed).reduce(f64::min);
                now.passed.passed = passed;
                now.ladder = now.ladder.best(before.ladder);
                now.copy = now.copy.best(before.copy);
            }
            best = Some(now);
        }
        best.ok_or_else(|| "nothing was run".to_owned())
    }

    fn goals(&self, goals: &mut Goals) {
        let (passed, encoded) = (self.passed.took, self.encoded.took);
        let (ladder, copy) = (self.ladder, self.copy);
        goals.most("G1 passed through, playable / ladder's wall", passed.first / ladder.whole.max(FINEST), 0.01);
        goals.most("G1 passed through, playable / copy's first segment", passed.first / copy.first.max(FINEST), 0.5);
        let whole = self.passed.passed.unwrap_or(f64::INFINITY);
        goals.most("G1 passed through, all of it / the whole copy", whole / copy.whole.max(FINEST), 1.0);
        goals.most("G2 encoded, playable / ladder's first segment", encoded.first / ladder.first.max(FINEST), 0.30);
        goals.most("G2 encoded, playable / ladder's wall", encoded.first / ladder.whole.max(FINEST), 0.04);
        goals.most("G3 whole ladder / ladder's wall", encoded.whole / ladder.whole.max(FINEST), 1.0);
        goals.most("G3 processor time / ladder's", encoded.cpu / ladder.cpu.max(FINEST), 0.95);
        let memory = encoded.memory_bytes as f64 / f64::from(1 << 20);
        goals.most("G3 MiB of the largest process", memory, 350.0);
        let scratch = self.encoded.scratch_bytes as f64 / f64::from(1 << 20);
        goals.most("G3 MiB of scratch beside the source", scratch, 64.0);
    }
}

/// G1: what reading a description, deciding and writing the lists costs, for the clip and for two hours of it.
fn survey(program: &Path, passed: &Path, folder: &Path, goals: &mut Goals) -> Result<(), String> {
    let long = folder.join("two-hours.mp4");
    let mut command = Command::new("ffmpeg");
    command.args(["-nostdin", "-hide_banner", "-v", "error", "-y", "-stream_loop", "119", "-i"]).arg(small(folder)?);
    crate::bench_peer::succeed(command.args(["-c", "copy", "-movflags", "+faststart"]).arg(&long), "ffmpeg")?;
    for (what, clip, max) in [("a minute", passed, 5.0), ("two hours", &long, 60.0)] {
        let output = Command::new(program).arg("survey").arg(clip).output().map_err(|error| error.to_string())?;
        let said: Value = serde_json::from_slice(&output.stdout).map_err(|error| format!("survey: {error}"))?;
        let millis = said["cpu_us"].as_f64().ok_or("survey says no cpu_us")? / 1000.0;
        let what = format!("G1 ms to decide on {what} ({} bytes of tables)", said["moov_bytes"]);
        goals.most(&what, millis, max);
    }
    let _ = std::fs::remove_file(&long);
    Ok(())
}

/// A minute of a small picture, to be repeated.
fn small(folder: &Path) -> Result<std::path::PathBuf, String> {
    let clip = folder.join("small.mp4");
    let words = "-nostdin -hide_banner -v error -y -f lavfi -i testsrc2=s=128x72:r=30 -f lavfi -i sine=f=440:r=48000 \
                 -c:v libx264 -preset ultrafast -pix_fmt yuv420p -g 60 -sc_threshold 0 -c:a aac -b:a 32k -ac 1";
    let mut command = Command::new("ffmpeg");
    command.args(words.split_whitespace()).args(["-t", SECS]);
    crate::bench_peer::succeed(command.arg(&clip), "ffmpeg")?;
    Ok(clip)
}

/// G2 in Chromium: the first frame of clips that have to be encoded, beside that of the plain ladder, and of one that plays
/// as it is.
fn browser(passed: &Path, encoded: &Path, folder: &Path, goals: &mut Goals) -> Result<(), String> {
    let others = [coded(folder, Coded::Hevc)?, coded(folder, Coded::Vp9)?];
    let browser = Browser::start(&folder.join("up"))?;
    let clips = [("H.264 with rare key frames", encoded), ("HEVC", &others[0]), ("VP9", &others[1])];
    let mut ratios = Vec::new();
    for (what, clip) in clips {
        let (mut ours, mut theirs) = (f64::INFINITY, f64::INFINITY);
        for _ in 0..ROUNDS {
            ours = ours.min(first_frame(&browser, what, clip)?);
            let said = node("first-frame-plain.mjs", |node| {
                node.env("REND_TEST_CLIP", clip).args(plain_words(Plain::Ladder))
            })?;
            let plain = said["first_frame_ms"].as_f64().ok_or("first-frame-plain says no first_frame_ms")? / 1000.0;
            println!("  first frame of the plain ladder {plain:.2} s");
            theirs = theirs.min(plain);
        }
        ratios.push((what, ours / theirs.max(FINEST)));
    }
    let mut as_it_is = f64::INFINITY;
    for _ in 0..ROUNDS {
        as_it_is = as_it_is.min(first_frame(&browser, "what plays as it is", passed)?);
    }
    browser.stop()?;
    for (what, ratio) in ratios {
        goals.most(&format!("G2 {what}, first frame in Chromium / the plain ladder's"), ratio, 0.35);
    }
    goals.most("G1 passed through, seconds from upload to first frame in Chromium", as_it_is, 1.0);
    Ok(())
}

fn first_frame(browser: &Browser, what: &str, clip: &Path) -> Result<f64, String> {
    let seen = browser.see(clip, "fresh", false)?;
    println!("  first frame of {what} {:.2} s: {}", seen.first_frame, seen.steps);
    Ok(seen.first_frame)
}

/// G10: the first sixteen things that an edge fetches play four seconds. A property test holds it for every plan.
fn warm(runs: &[&Ran], folder: &Path, goals: &mut Goals) {
    for (ran, name) in runs.iter().zip(["passed", "encoded"]) {
        let start = ran.warm.iter().find_map(|path| path.strip_suffix("/index.m3u8")).unwrap_or_default();
        let text = std::fs::read_to_string(folder.join(name).join(start).join("index.m3u8")).unwrap_or_default();
        let named = |file: &str| ran.warm.iter().any(|path| *path == format!("{start}/{file}"));
        let plays: f64 = bench_quality::segments(&text).filter(|(_, file)| named(file)).map(|(secs, _)| secs).sum();
        goals.least(&format!("G10 seconds from {} warm items, {name}", ran.warm.len()), plays, 4.0);
    }
}

/// G5: workers that are killed at random moments; the test fails when more than one unit a slot is made again, a process is
/// left, or a byte differs.
fn kills(goals: &mut Goals) {
    let mut test = crate::run::cargo();
    let wanted = std::env::var("REND_TEST_KILLS").unwrap_or_else(|_| KILLS.to_owned());
    test.args(["test", "-q", "-p", "rend-media", "--test", "media", "kills"]).env("REND_TEST_KILLS", &wanted);
    let done = crate::run::run(&mut test);
    goals.holds(
        "G5 kill -9: one unit a slot again, no orphan, the same bytes",
        &format!("{wanted} deaths"),
        done.is_ok(),
    );
}
