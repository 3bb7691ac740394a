//! The edge beside nginx and Varnish: same files, same client, interleaved rounds.

mod load;
mod many;
mod plot;
mod servers;

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use self::load::{Round, median, round};
use self::many::{Cold, Coming, Held};
use self::plot::Bar;
use self::servers::Server;
use crate::run::{read, root};

/// A part of the measurement.
#[derive(Clone, Copy, Debug, Eq, PartialEq, clap::ValueEnum)]
pub(crate) enum Part {
    /// A thousand who ask for what nobody has asked for.
    Cold,
    /// Cached bodies, beside the peers.
    Hits,
    /// The memory of connections, beside the peers.
    Held,
}

/// Measures, prints tables, and answers failure only when something could not be measured. With `only`, that part of it.
pub(crate) fn run(rounds: usize, only: Option<Part>) -> ExitCode {
    match measure(rounds.max(1), only) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench edge: {error}");
            ExitCode::FAILURE
        }
    }
}

/// How many interleaved rounds there are when nobody says.
pub(crate) const ROUNDS: usize = 5;

const ASSET: &str = "018f5d3e-7c1a-7b2c-9d4e-5f60718293a4";
const SECRET: &str = "Zr8fQ0mVt3uXkYw1LhJc7sNdB2gAe5PiRo9KxTyUvMlWqHzE";
const INTERNAL: &str = "an internal token for benches only, long enough";
const SEGMENT: &str = "hls/720p/segment_00003.m4s";
const PLAYLIST: &str = "hls/720p/index.m3u8";
const COLD: &str = "hls/1080p/segment_00000.m4s";
const SECONDS: u32 = 5;
const CLIENTS: usize = 32;
const COLD_CLIENTS: usize = 1000;
/// How far the origin of the cold clients is: they have all asked before it answers, as they have when a video is announced.
const ORIGIN_DELAY: Duration = Duration::from_millis(150);
const IDLE: usize = 10_000;
const SLOW: usize = 1000;

type Failure = Box<dyn std::error::Error>;

fn measure(rounds: usize, only: Option<Part>) -> Result<(), Failure> {
    for (tool, package) in [("nginx", "nginx-light"), ("varnishd", "varnish"), ("wrk", "wrk")] {
        servers::find(tool).ok_or_else(|| format!("{tool} is not installed: apt-get install {package}"))?;
    }
    let built = Command::new("cargo")
        .args(["build", "--release", "-p", "rend-edge", "--bin", "rend-edge"])
        .args(["--example", "bench_fixture", "--example", "slow_origin"])
        .current_dir(root())
        .status()?;
    if !built.success() {
        return Err("the edge could not be built".into());
    }
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from);
    let dir = std::env::temp_dir().join(format!("rend-bench-edge-{}", std::process::id()));
    fs::create_dir_all(&dir)?;
    let result = with_folder(&dir, &target.join("release"), rounds, only);
    let _ = fs::remove_dir_all(&dir);
    result
}

fn with_folder(dir: &Path, release: &Path, rounds: usize, only: Option<Part>) -> Result<(), Failure> {
    let has = |part| only.is_none_or(|only| only == part);
    let fixture = Command::new(release.join("examples/bench_fixture")).arg(dir).arg(SECRET).output()?;
    if !fixture.status.success() {
        return Err("the fixture could not be made".into());
    }
    let token = String::from_utf8(fixture.stdout)?.trim().to_owned();
    let idle = many::possible(IDLE);
    let mut report = Report::new(rounds);
    if has(Part::Cold) {
        report.cold(&cold(dir, release, &token)?);
    }
    if only == Some(Part::Cold) {
        return report.keep();
    }
    let edge = servers::edge(dir, release, &token)?;
    let nginx = servers::nginx(dir)?;
    let varnish = servers::varnish(dir, nginx.at)?;
    let all = [edge, nginx, varnish];
    for path in [SEGMENT, PLAYLIST] {
        let mut bodies = Vec::new();
        for server in &all {
            server.fetch(path)?;
            bodies.push(server.fetch(path)?);
        }
        if bodies.iter().any(|body| *body != bodies[0]) {
            return Err(format!("{path}: the servers do not send the same bytes").into());
        }
    }
    if has(Part::Hits) {
        hits(&mut report, &all, rounds)?;
    }
    if has(Part::Held) {
        report.begin_held();
        for server in &all {
            let idle = many::idle(server, PLAYLIST, idle)?;
            let slow = many::slow(server, SEGMENT, SLOW)?;
            report.held(server, &idle, &slow);
        }
    }
    report.keep()
}

/// Asks everybody for what they have, in turns.
fn hits(report: &mut Report, all: &[Server], rounds: usize) -> Result<(), Failure> {
    report.begin_hits();
    for (path, bytes, label) in [(SEGMENT, 1_048_576.0, "1 MiB segment"), (PLAYLIST, 1024.0, "1 KiB playlist")] {
        let mut seen: Vec<Vec<Round>> = all.iter().map(|_| Vec::new()).collect();
        for _ in 0..rounds {
            for (server, seen) in all.iter().zip(&mut seen) {
                seen.push(round(server, path, CLIENTS, SECONDS)?);
            }
        }
        report.hits(label, bytes, all, &seen);
    }
    Ok(())
}

/// Asks with as many cold clients as one popular video has, three times in each way, each for a body that nobody has asked for.
fn cold(dir: &Path, release: &Path, token: &str) -> Result<Vec<(Coming, Cold, u64)>, Failure> {
    let mut seen = Vec::new();
    for coming in [Coming::Connected, Coming::Arriving].repeat(3) {
        let edge = servers::edge_far_from_its_origin(dir, release, token, ORIGIN_DELAY)?;
        let expect = fs::read(dir.join("www/v").join(ASSET).join(COLD))?;
        let before = edge.origin_reads()?;
        let cold = many::cold(&edge, COLD, COLD_CLIENTS, coming, &expect)?;
        seen.push((coming, cold, edge.origin_reads()? - before));
        drop(edge);
        fs::remove_dir_all(dir.join("far"))?;
    }
    Ok(seen)
}

/// What is printed, and what is kept of it.
struct Report {
    rounds: usize,
    text: String,
    raw: String,
    plot: Vec<(String, Vec<Bar>)>,
}

impl Report {
    fn new(rounds: usize) -> Self {
        let line = |program: &str, args: &[&str]| {
            let output = Command::new(servers::find(program)?).args(args).output().ok()?;
            let text = [output.stdout, output.stderr].concat();
            String::from_utf8_lossy(&text).lines().next().map(str::to_owned)
        };
        let field = |file: &str, name: &str| {
            let text = fs::read_to_string(file).unwrap_or_default();
            let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_default().to_owned();
            line.split_once(':').map_or_else(String::new, |(_, value)| value.trim().to_owned())
        };
        let cores = std::thread::available_parallelism().map_or(0, usize::from);
        let mut report = Self {
            rounds,
            text: String::new(),
            raw: String::from("body,server,round,requests_per_sec,cpu_secs,requests_per_cpu_sec,p50_ms,p99_ms\n"),
            plot: Vec::new(),
        };
        report.say(&format!(
            "{}: {} × {}, {}, Linux {}; {}; {}.\n",
            read(Command::new("date").args(["-u", "+%F"])).unwrap_or_default().trim(),
            cores,
            field("/proc/cpuinfo", "model name"),
            field("/proc/meminfo", "MemTotal"),
            read(Command::new("uname").arg("-r")).unwrap_or_default().trim(),
            line("nginx", &["-v"]).unwrap_or_default(),
            line("varnishd", &["-V"]).unwrap_or_default(),
        ));
        report
    }

    fn say(&mut self, line: &str) {
        println!("{line}");
        self.text += line;
        self.text.push('\n');
    }

    fn cold(&mut self, runs: &[(Coming, Cold, u64)]) {
        self.say(&format!(
            "{COLD_CLIENTS} cold clients ask for one 1 MiB segment while its origin takes {} ms to answer. Every body was held against the original.",
            ORIGIN_DELAY.as_millis()
        ));
        self.say("The spread is how long after the first client to have a first byte each other one had its own. Connected: all connections stand before the first request, and all have asked before the origin answers, so it is what the fan-out of one fill takes. Arriving: each client connects and then asks, one after the other from one thread.\n");
        self.say(
            "| clients | origin reads | asked within, ms | first byte after, ms | then p50, ms | p90 | p99 | last |",
        );
        self.say("|---|---|---|---|---|---|---|---|");
        for (coming, cold, reads) in runs {
            let ms = |wait: Duration| wait.as_secs_f64() * 1000.0;
            let at = |share: usize| {
                let last = cold.after_first.len() - 1;
                ms(cold.after_first[(last * share).div_ceil(100)])
            };
            let coming = match coming {
                Coming::Connected => "connected",
                Coming::Arriving => "arriving",
            };
            self.say(&format!(
                "| {coming} | {reads} | {:.1} | {:.1} | {:.2} | {:.2} | {:.2} | {:.2} |",
                ms(cold.asked_within),
                ms(cold.first),
                at(50),
                at(90),
                at(99),
                at(100),
            ));
        }
        self.say("");
    }

    fn begin_hits(&mut self) {
        self.say(&format!(
            "wrk -t1 -c{CLIENTS} -d{SECONDS}, {} interleaved round(s); client and servers share this machine's cores. rend-edge checks a signed token and accounts for each response; its peers check nothing and log nothing.",
            self.rounds
        ));
        self.say("Median of the rounds; ratios are the median over rounds of edge / peer.\n");
        self.say("| body | server | requests/s | MB/s | CPU seconds | requests per CPU second | p50 ms | p99 ms | edge ÷ it: requests/s | per CPU second | p99 |");
        self.say("|---|---|---|---|---|---|---|---|---|---|---|");
    }

    fn hits(&mut self, label: &str, bytes: f64, servers: &[Server], seen: &[Vec<Round>]) {
        let mut bars = Vec::new();
        for (server, own) in servers.iter().zip(seen) {
            let of = |figure: fn(&Round) -> f64| median(own.iter().map(figure).collect());
            let ratio = |figure: fn(&Round) -> f64| {
                median(seen[0].iter().zip(own).map(|(edge, peer)| figure(edge) / figure(peer)).collect())
            };
            self.say(&format!(
                "| {label} | {} | {:.0} | {:.0} | {:.2} | {:.0} | {:.2} | {:.2} | {:.2} | {:.2} | {:.2} |",
                server.name,
                of(|r| r.requests_per_sec),
                of(|r| r.requests_per_sec) * bytes / 1e6,
                of(|r| r.cpu_secs),
                of(|r| r.requests_per_cpu_sec),
                of(|r| r.p50_ms),
                of(|r| r.p99_ms),
                ratio(|r| r.requests_per_sec),
                ratio(|r| r.requests_per_cpu_sec),
                ratio(|r| r.p99_ms),
            ));
            for (n, r) in own.iter().enumerate() {
                // Writing into a string cannot fail.
                let _ = writeln!(
                    self.raw,
                    "{label},{},{},{:.1},{:.2},{:.1},{:.3},{:.3}",
                    server.name,
                    n + 1,
                    r.requests_per_sec,
                    r.cpu_secs,
                    r.requests_per_cpu_sec,
                    r.p50_ms,
                    r.p99_ms
                );
            }
            bars.push(Bar { label: server.name.to_owned(), value: of(|r| r.requests_per_cpu_sec) });
        }
        self.plot.push((format!("{label}: requests per CPU second"), bars));
    }

    fn begin_held(&mut self) {
        self.say("\nMemory of the servers' own (not the page cache) for connections that were answered and rest, and for such as asked for 1 MiB and take nothing.\n");
        self.say("| server | idle | KiB each | MiB in all | slow readers | KiB each | MiB in all |");
        self.say("|---|---|---|---|---|---|---|");
    }

    fn held(&mut self, server: &Server, idle: &Held, slow: &Held) {
        let mib = |held: &Held| held.kib_with as f64 / 1024.0;
        self.say(&format!(
            "| {} | {} | {:.1} | {:.0} | {} | {:.1} | {:.0} |",
            server.name,
            idle.connections,
            idle.kib_each(),
            mib(idle),
            slow.connections,
            slow.kib_each(),
            mib(slow),
        ));
    }

    /// Writes everything where git does not look.
    fn keep(&self) -> Result<(), Failure> {
        let secs = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
        let folder = root().join("bench-results").join(format!("edge-{secs}"));
        fs::create_dir_all(&folder)?;
        fs::write(folder.join("summary.md"), &self.text)?;
        if !self.plot.is_empty() {
            fs::write(folder.join("rounds.csv"), &self.raw)?;
            fs::write(folder.join("hits.svg"), plot::bars(&self.plot))?;
        }
        println!("\nWhat was measured is in {}.", folder.display());
        Ok(())
    }
}
