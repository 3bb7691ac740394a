//! From a complete upload to a playable ladder, beside one plain `ffmpeg -f hls` that makes the same two rungs; and to the
//! first frame in a browser.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::bench_peer::{Browser, Plain, ROUNDS, Took, clip, ffmpeg, load, measuring_program, rend};

/// Runs the comparison and prints it.
pub(crate) fn run() -> ExitCode {
    let folder = std::env::temp_dir().join(format!("rend-bench-path-{}", std::process::id()));
    let done = std::fs::create_dir_all(&folder).map_err(|error| error.to_string()).and_then(|()| compare(&folder));
    let _ = std::fs::remove_dir_all(&folder);
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("bench path: {problem}");
            ExitCode::FAILURE
        }
    }
}

/// The first playable picture may take this share of the time ffmpeg takes to its first listed segment.
const OPENER_SHARE_MAX: f64 = 0.30;
/// The whole ladder may take this share of ffmpeg's whole time, and of its processor time.
const LADDER_SHARE_MAX: f64 = 1.0;
const CPU_SHARE_MAX: f64 = 0.95;

fn compare(folder: &Path) -> Result<(), String> {
    let encoded = clip(folder, "250")?;
    let program = measuring_program()?;
    let mut best: Option<(Took, Took)> = None;
    let titles = ["Rend opener", "Rend ladder", "Rend cpu", "ffmpeg first", "ffmpeg ladder", "ffmpeg cpu"];
    println!("{:<7}{}  load", "round", titles.map(|title| format!("{title:>15}")).concat());
    for round in 1..=ROUNDS {
        let ours = rend(&program, &encoded, "720p,1080p", &folder.join("rend"))?.took;
        let theirs = ffmpeg(&encoded, &folder.join("hls"), Plain::Ladder)?;
        let figures = [ours.first, ours.whole, ours.cpu, theirs.first, theirs.whole, theirs.cpu];
        println!("{round:<7}{}  {}", figures.map(|secs| format!("{secs:>13.2} s")).concat(), load());
        best = Some(best.map_or((ours, theirs), |(a, b): (Took, Took)| (a.best(ours), b.best(theirs))));
    }
    let Some((ours, theirs)) = best else { return Err("nothing was run".to_owned()) };
    verdict("first playable / ffmpeg's first listed segment", ours.first / theirs.first, OPENER_SHARE_MAX);
    verdict("whole ladder / ffmpeg's whole time", ours.whole / theirs.whole, LADDER_SHARE_MAX);
    verdict("processor time / ffmpeg's", ours.cpu / theirs.cpu, CPU_SHARE_MAX);
    first_frames(folder, &[("encoded", encoded), ("as it is", clip(folder, "60")?)])
}

/// Clips through a whole `rend up` and a real browser, on a page that is opened when the upload is answered and on one that
/// is open before.
fn first_frames(folder: &Path, clips: &[(&str, PathBuf)]) -> Result<(), String> {
    let browser = Browser::start(&folder.join("up"))?;
    println!("{:<10}{:<8}{:>14}{:>14}  load", "the clip", "page", "first frame", "all ready");
    for (what, clip) in clips.iter().flat_map(|clip| [clip; ROUNDS]) {
        for (way, whole) in [("fresh", true), ("open", false)] {
            let seen = browser.see(clip, way, whole)?;
            let ready = seen.ready.map(|secs| format!("{secs:.2} s")).unwrap_or_default();
            println!("{what:<10}{way:<8}{:>12.2} s{ready:>14}  {}  {}", seen.first_frame, load(), seen.steps);
        }
    }
    browser.stop()
}

fn verdict(what: &str, share: f64, max: f64) {
    let met = if share <= max { "met" } else { "missed" };
    println!("{what}: {share:.2} (goal {max:.2}, {met})");
}
