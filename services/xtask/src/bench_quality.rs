//! How what was made looks and whether its lists say the truth: read from the files alone, by no code of Rend's.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::bench_media::Goals;
use crate::bench_peer::{load, succeed};

/// A rung on both sides: its name, and its size.
const RUNGS: [(&str, u32, u32); 2] = [("720p", 1280, 720), ("1080p", 1920, 1080)];
/// Frames on either side of a cut.
const NEAR: usize = 3;

/// G4: the likeness of each rung to the source, beside that of the plain ladder's, at no more bytes; and near the first
/// frames of `stretches`, where one encoder took over from another.
pub(crate) fn quality(source: &Path, folder: &Path, stretches: &[u64], goals: &mut Goals) -> Result<(), String> {
    println!("comparing every frame with the source  {}", load());
    for (place, (rung, width, height)) in RUNGS.iter().enumerate() {
        let (ours, theirs) = (folder.join("ours.mp4"), folder.join("theirs.mp4"));
        let bytes = join(&folder.join(format!("encoded/hls/{rung}/index.m3u8")), &ours)?;
        let plain = join(&folder.join(format!("ladder/v{place}.m3u8")), &theirs)?;
        let mine = likeness(&ours, source, *width, *height, folder)?;
        let other = likeness(&theirs, source, *width, *height, folder)?;
        let mean = |all: &[f64]| all.iter().sum::<f64>() / all.len().max(1) as f64;
        goals.least(
            &format!("G4 {rung}: SSIM(Y) (the plain ladder's {:.4})", mean(&other)),
            mean(&mine),
            mean(&other) - 0.002,
        );
        goals.most(&format!("G4 {rung}: bytes / the plain ladder's"), bytes as f64 / plain.max(1) as f64, 1.02);
        goals.holds(
            &format!("G4 {rung}: frames, as many as the plain ladder's"),
            &mine.len().to_string(),
            mine.len() == other.len(),
        );
        let mut sorted = mine.clone();
        sorted.sort_by(f64::total_cmp);
        let first_percentile = sorted.get(sorted.len() / 100).copied().unwrap_or(0.0);
        let near = stretches.iter().filter(|first| **first > 0).flat_map(|first| {
            let first = usize::try_from(*first).unwrap_or(usize::MAX);
            mine.get(first.saturating_sub(NEAR)..(first + NEAR + 1).min(mine.len())).unwrap_or_default()
        });
        let worst = near.copied().fold(f64::INFINITY, f64::min);
        // A run without a cut says nothing of cuts.
        let worst = if worst.is_finite() { worst } else { 0.0 };
        let cuts = stretches.iter().filter(|first| **first > 0).count();
        goals.least(&format!("G4 {rung}: worst frame near {cuts} cuts"), worst, first_percentile - 0.005);
    }
    Ok(())
}

/// G6: what the multivariant playlist says of bits a second, beside what the segments have; and every rule of HLS by
/// `rend hls check`.
pub(crate) fn rules(folder: &Path, goals: &mut Goals) -> Result<(), String> {
    let rend = crate::up::target().join("release/rend");
    for name in ["passed", "encoded"] {
        let place = folder.join(name);
        let output = Command::new(&rend).args(["hls", "check"]).arg(&place).output().map_err(|e| e.to_string())?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let last = said.lines().next_back().unwrap_or("nothing").to_owned();
        let errors = last.split(", ").find_map(|part| part.strip_suffix(" errors")).unwrap_or("?").to_owned();
        goals.holds(&format!("G6 errors of {name} against the rules ({last})"), &errors, output.status.success());
    }
    let ours = ["passed", "encoded"].map(|name| folder.join(name).join("hls/master.m3u8"));
    let ours = ours.iter().map(|master| bandwidth_error(master)).collect::<Result<Vec<_>, _>>()?;
    let theirs = bandwidth_error(&folder.join("ladder/master.m3u8"))?;
    let worst = ours.into_iter().fold(0.0, f64::max);
    goals.most(&format!("G6 error of BANDWIDTH (the plain ladder's {theirs:.3})"), worst, 0.0005);
    Ok(())
}

/// The segments of a media playlist: their seconds and their names.
pub(crate) fn segments(text: &str) -> impl Iterator<Item = (f64, &str)> {
    let mut secs = 0.0;
    text.lines().filter_map(move |line| {
        if let Some(told) = line.strip_prefix("#EXTINF:") {
            secs = told.split(',').next()?.parse().ok()?;
        }
        (!line.starts_with('#') && !line.is_empty()).then_some((secs, line))
    })
}

/// By how much a multivariant playlist misstates the most bits a second of the worst of its renditions, as a share.
fn bandwidth_error(master: &Path) -> Result<f64, String> {
    let text = fs::read_to_string(master).map_err(|error| format!("{}: {error}", master.display()))?;
    let mut worst: f64 = 0.0;
    let mut told = None;
    for line in text.lines() {
        if let Some(attributes) = line.strip_prefix("#EXT-X-STREAM-INF:") {
            let value = attributes.split(',').find_map(|part| part.strip_prefix("BANDWIDTH="));
            told = value.and_then(|value| value.parse::<f64>().ok());
        } else if let Some(told) = told.take_if(|_| !line.starts_with('#')) {
            worst = worst.max((told / peak(&beside(master, line))? - 1.0).abs());
        }
    }
    Ok(worst)
}

/// The most bits a second over any row of segments that lasts between half and one and a half target durations.
fn peak(list: &Path) -> Result<f64, String> {
    let text = fs::read_to_string(list).map_err(|error| format!("{}: {error}", list.display()))?;
    let target = text.lines().find_map(|line| line.strip_prefix("#EXT-X-TARGETDURATION:")?.parse::<f64>().ok());
    let target = target.ok_or("a list without a target duration")?;
    let sizes: Vec<(f64, f64)> = segments(&text)
        .map(|(secs, name)| Ok((secs, fs::metadata(beside(list, name))?.len() as f64 * 8.0)))
        .collect::<std::io::Result<_>>()
        .map_err(|error| error.to_string())?;
    let (mut peak, mut whole): (f64, (f64, f64)) = (0.0, (0.0, 0.0));
    for from in 0..sizes.len() {
        let (mut secs, mut bits) = (0.0, 0.0);
        for (more, heavy) in &sizes[from..] {
            (secs, bits) = (secs + more, bits + heavy);
            if secs > target * 1.5 {
                break;
            }
            if secs >= target * 0.5 {
                peak = peak.max(bits / secs);
            }
        }
        whole = (whole.0 + sizes[from].0, whole.1 + sizes[from].1);
    }
    Ok(if peak > 0.0 { peak } else { whole.1 / whole.0.max(0.001) })
}

/// Writes the initialisation segment and all segments of a list one behind the other; answers how many bytes they have.
fn join(list: &Path, to: &Path) -> Result<u64, String> {
    let text = fs::read_to_string(list).map_err(|error| format!("{}: {error}", list.display()))?;
    let map = text.lines().find_map(|line| line.strip_prefix("#EXT-X-MAP:URI=\"")?.split('"').next());
    let mut all = Vec::new();
    for name in map.into_iter().chain(segments(&text).map(|(_, name)| name)) {
        let file = beside(list, name);
        all.extend(fs::read(&file).map_err(|error| format!("{}: {error}", file.display()))?);
    }
    fs::write(to, &all).map_err(|error| error.to_string())?;
    Ok(all.len() as u64)
}

fn beside(list: &Path, name: &str) -> PathBuf {
    list.with_file_name("").join(name)
}

/// The structural similarity of every frame's brightness to that of the source, scaled to the same size.
fn likeness(made: &Path, source: &Path, width: u32, height: u32, folder: &Path) -> Result<Vec<f64>, String> {
    let graph = format!(
        "[0:v]settb=1/30,setpts=N[a];[1:v]scale={width}:{height}:flags=bicubic,settb=1/30,setpts=N[b];\
         [a][b]ssim=stats_file=likeness.log"
    );
    let mut command = Command::new("ffmpeg");
    command.args(["-nostdin", "-hide_banner", "-v", "error", "-i"]).arg(made).arg("-i").arg(source);
    command.args(["-filter_complex", &graph, "-an", "-f", "null", "-"]).current_dir(folder).stdout(Stdio::null());
    succeed(&mut command, "ffmpeg")?;
    let text = fs::read_to_string(folder.join("likeness.log")).map_err(|error| error.to_string())?;
    let brightness = |line: &str| line.split("Y:").nth(1)?.split(' ').next()?.parse().ok();
    Ok(text.lines().filter_map(brightness).collect())
}
