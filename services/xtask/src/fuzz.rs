//! Fuzzing on the stable toolchain: libFuzzer's runtime, and coverage from flags that the stable compiler takes.
//!
//! No address sanitizer, which only nightly has: our own code holds next to no `unsafe`, and what fuzzing looks for is
//! panics, broken properties, hangs and memory that grows. `fuzz/README.md` says how to go on from a find.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use crate::run::{Done, cargo, read, root, run};
use crate::tools::{CXX, need};

/// How long to fuzz, and how many targets at once.
#[derive(Clone, Copy)]
pub(crate) struct Plan {
    pub seconds: u64,
    pub jobs: usize,
}

/// Builds the targets once, fuzzes those that are named, or each there is for `all`, and prints what came of it. Without a
/// name it says which there are.
pub(crate) fn fuzz(names: &[String], plan: Plan) -> Done {
    let targets = targets()?;
    if names.is_empty() {
        return list(&targets);
    }
    if let Some(unknown) = names.iter().find(|name| *name != "all" && !targets.contains(name)) {
        return Err(format!("there is no fuzz target `{unknown}`; there are {}", targets.join(", ")));
    }
    let every = names.iter().any(|name| name == "all");
    let chosen: Vec<_> = targets.iter().filter(|name| every || names.contains(name)).collect();
    let programs = build(if every { &[] } else { names })?;
    println!("\nfuzzing {}, {} at once, {} s each", counted(chosen.len()), plan.jobs.max(1), plan.seconds);
    let (waiting, done) = (Mutex::new(chosen.into_iter()), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for _ in 0..plan.jobs.max(1) {
            scope.spawn(|| {
                loop {
                    let Some(name) = waiting.lock().ok().and_then(|mut waiting| waiting.next()) else { return };
                    let ran = one(&programs.join(name), name, plan.seconds);
                    println!("{}", ran.line());
                    if let Ok(mut done) = done.lock() {
                        done.push(ran);
                    }
                }
            });
        }
    });
    let mut ran = done.into_inner().unwrap_or_default();
    ran.sort_by(|a, b| a.name.cmp(&b.name));
    println!("\n{}", Ran::HEAD);
    for ran in &ran {
        println!("{}", ran.line());
    }
    let runs: u64 = ran.iter().map(|ran| ran.runs).sum();
    println!("{:<18} {runs:>14}", "all");
    let found: Vec<_> = ran.iter().filter(|ran| !ran.found.is_empty()).collect();
    for ran in &found {
        println!("\n{}:\n{}", ran.name, ran.found.join("\n"));
    }
    if found.is_empty() {
        return Ok(());
    }
    let names: Vec<_> = found.iter().map(|ran| ran.name.as_str()).collect();
    Err(format!(
        "found something in {}; see it again with `cargo xtask fuzz {} --replay FILE`, and put the file into fuzz/corpus \
         when it is mended",
        names.join(", "),
        names[0]
    ))
}

/// Runs one target over one file, such as a find, and shows what it says.
pub(crate) fn replay(names: &[String], file: &Path) -> Done {
    let [name] = names else { return Err("`--replay` goes with one target".into()) };
    let targets = targets()?;
    if !targets.contains(name) {
        return Err(format!("there is no fuzz target `{name}`; there are {}", targets.join(", ")));
    }
    let file = file.canonicalize().map_err(|error| format!("{} can not be read: {error}", file.display()))?;
    let program = build(names)?.join(name);
    run(Command::new(program).arg(file))
}

/// Says which targets there are, each with what its file opens with.
fn list(targets: &[String]) -> Done {
    println!("cargo xtask fuzz TARGET --seconds 20, with `all` for each of");
    for name in targets {
        let file = root().join("fuzz/fuzz_targets").join(name).with_extension("rs");
        let text = fs::read_to_string(&file).map_err(|error| format!("{} can not be read: {error}", file.display()))?;
        let says: Vec<_> = text.lines().map_while(|line| line.strip_prefix("//! ")).collect();
        println!("  {name:<18} {}", says.join(" "));
    }
    Ok(())
}

fn counted(targets: usize) -> String {
    if targets == 1 { "1 target".to_owned() } else { format!("{targets} targets") }
}

/// What came of one target.
struct Ran {
    name: String,
    runs: u64,
    per_second: u64,
    features: u64,
    peak_mib: u64,
    found: Vec<String>,
}

impl Ran {
    const HEAD: &str = "target                       runs     exec/s   features  peak MiB  finds";

    fn line(&self) -> String {
        let Self { name, runs, per_second, features, peak_mib, found } = self;
        format!("{name:<18} {runs:>14} {per_second:>10} {features:>10} {peak_mib:>9} {:>6}", found.len())
    }
}

/// Builds these targets, or all when there are none, with coverage, into a folder of their own, and answers where they are.
fn build(only: &[String]) -> Result<PathBuf, String> {
    need(&[CXX], false)?;
    let said = read(Command::new("rustc").arg("-vV")).ok_or("`rustc -vV` failed")?;
    let host = said.lines().find_map(|line| line.strip_prefix("host: ")).ok_or("rustc names no host")?;
    let folder = root().join("target/fuzz");
    let mut build = cargo();
    // Naming the host as a target keeps the flags from build scripts and macros.
    build.args(["build", "--release", "--manifest-path", "fuzz/Cargo.toml", "--target", host, "--target-dir"]);
    build.arg(&folder).env("RUSTFLAGS", COVERAGE.join(" "));
    if only.is_empty() {
        build.arg("--bins");
    }
    only.iter().for_each(|name| {
        build.args(["--bin", name]);
    });
    run(&mut build)?;
    Ok(folder.join(host).join("release"))
}

fn one(program: &Path, name: &str, seconds: u64) -> Ran {
    let mut ran = Ran { name: name.to_owned(), runs: 0, per_second: 0, features: 0, peak_mib: 0, found: Vec::new() };
    // What is found goes to folders of its own; the committed corpus is only read.
    let found = root().join("target/fuzz-corpus").join(name);
    let artifacts = root().join("target/fuzz-artifacts").join(name);
    for folder in [&found, &artifacts] {
        if let Err(error) = fs::create_dir_all(folder) {
            ran.found.push(format!("{} can not be made: {error}", folder.display()));
            return ran;
        }
    }
    let mut command = Command::new(program);
    command.arg(&found).arg(root().join("fuzz/corpus").join(name)).args([
        format!("-max_total_time={seconds}"),
        format!("-artifact_prefix={}/", artifacts.display()),
        "-max_len=4096".to_owned(),
        format!("-rss_limit_mb={MEMORY_MIB_MAX}"),
        format!("-timeout={HANG_SECS}"),
        "-print_final_stats=1".to_owned(),
    ]);
    let child = command.current_dir(root()).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn();
    let mut child = match child {
        Ok(child) => child,
        Err(error) => {
            ran.found.push(format!("{} can not be started: {error}", program.display()));
            return ran;
        }
    };
    let said = child.stderr.take().map(|said| thread::spawn(move || last_lines(BufReader::new(said))));
    // libFuzzer ends by itself, and ends a run that hangs. Should it not, it is ended from outside.
    let end = Instant::now() + Duration::from_secs(seconds + GRACE_SECS);
    let status = loop {
        match child.try_wait() {
            Ok(Some(status)) => break Some(status),
            Ok(None) if Instant::now() < end => thread::sleep(Duration::from_millis(50)),
            Ok(None) | Err(_) => {
                let _ = child.kill();
                let _ = child.wait();
                break None;
            }
        }
    };
    let said = said.and_then(|said| said.join().ok()).unwrap_or_default();
    for line in &said {
        let number = |text: &str| text.trim().split(' ').next().and_then(|word| word.parse().ok()).unwrap_or(0);
        if let Some(rest) = line.strip_prefix("stat::number_of_executed_units:") {
            ran.runs = number(rest);
        } else if let Some(rest) = line.strip_prefix("stat::average_exec_per_sec:") {
            ran.per_second = number(rest);
        } else if let Some(rest) = line.strip_prefix("stat::peak_rss_mb:") {
            ran.peak_mib = number(rest);
        } else if let Some((_, rest)) = line.split_once(" ft: ") {
            ran.features = number(rest);
        }
    }
    match status {
        Some(status) if status.success() => {}
        status => {
            ran.found
                .push(status.map_or_else(|| "it did not end and was killed".to_owned(), |status| status.to_string()));
            ran.found.extend(said.into_iter().rev().take(SHOWN_LINES).rev());
        }
    }
    ran
}

/// The last lines of what a fuzzer says; it may say a great deal.
fn last_lines(said: impl BufRead) -> Vec<String> {
    let mut lines = std::collections::VecDeque::new();
    for line in said.lines().map_while(Result::ok) {
        if lines.len() == KEPT_LINES {
            lines.pop_front();
        }
        lines.push_back(line);
    }
    lines.into()
}

fn targets() -> Result<Vec<String>, String> {
    let folder = root().join("fuzz/fuzz_targets");
    let entries = fs::read_dir(&folder).map_err(|e| format!("fuzz/fuzz_targets can not be read: {e}"))?;
    let mut names: Vec<_> =
        entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.strip_suffix(".rs").map(str::to_owned)).collect();
    names.sort();
    Ok(names)
}

/// Coverage as libFuzzer reads it: counters on every edge, their places, and what is compared with what.
const COVERAGE: [&str; 8] = [
    "--cfg=fuzzing",
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "-Cllvm-args=-simplifycfg-branch-fold-threshold=0",
    "-Cdebug-assertions",
];
/// What a fuzzer may hold in memory, with all that it learned. What one input may cost is asserted in `fuzz/src/lib.rs`.
const MEMORY_MIB_MAX: u64 = 64;
/// One input may take so long.
const HANG_SECS: u64 = 10;
/// A fuzzer may take so long to end.
const GRACE_SECS: u64 = 60;
const KEPT_LINES: usize = 4096;
const SHOWN_LINES: usize = 25;
