//! An edge under everything at once, for as long as one likes: viewers, prefetch, purges, restarts, kills, a cache that is too small
//! and an origin that comes and goes. At the end its books must be those of its folder.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::run::{Done, cargo, root, run};

/// Runs for as long as `lasts`, prints what happened, and fails when something was not as it must be.
pub(crate) fn edge(lasts: Duration) -> Done {
    run(cargo().args(["build", "-p", "rend-edge", "--bin", "rend-edge", "--example", "soak_fixture"]))?;
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from);
    let dir = std::env::temp_dir().join(format!("rend-soak-{}", std::process::id()));
    let done = prepared(&dir, &target.join("debug"), lasts);
    let _ = fs::remove_dir_all(&dir);
    done
}

/// A soak starts its edge many times. It keeps copies of what was built, so that one who builds meanwhile does not change what is soaked.
fn prepared(dir: &Path, built: &Path, lasts: Duration) -> Done {
    let kept = dir.join("built");
    fs::create_dir_all(&kept).map_err(|error| format!("{}: {error}", kept.display()))?;
    for program in ["rend-edge", "examples/soak_fixture"] {
        let from = built.join(program);
        let to = kept.join(from.file_name().unwrap_or_default());
        fs::copy(&from, to).map_err(|error| format!("{}: {error}", from.display()))?;
    }
    with_folder(dir, &kept, lasts)
}

fn with_folder(dir: &Path, built: &Path, lasts: Duration) -> Done {
    let fixture = Command::new(built.join("soak_fixture"))
        .arg(dir)
        .args([SECRET, &TITLES.to_string(), &SEGMENTS.to_string()])
        .output()
        .map_err(|error| format!("the fixture: {error}"))?;
    if !fixture.status.success() {
        return Err("the fixture could not be made".into());
    }
    let titles: Vec<Title> = String::from_utf8_lossy(&fixture.stdout)
        .lines()
        .filter_map(|line| line.split_once(' '))
        .map(|(asset, token)| Title { asset: asset.to_owned(), cookie: format!("rend_pb={token}") })
        .collect();
    let world = Arc::new(World {
        public: free_port()?,
        private: free_port()?,
        titles,
        stop: AtomicBool::new(false),
        troubles: AtomicU64::new(0),
        counts: Mutex::default(),
        wrong: Mutex::default(),
    });
    let mut edge = Process::start(dir, built, &world)?;
    let viewers: Vec<_> = (0..VIEWERS)
        .map(|seed| {
            let world = Arc::clone(&world);
            std::thread::spawn(move || view(&world, seed + 1))
        })
        .collect();
    let mut rss = vec![Vec::new()];
    let troubled = trouble(dir, built, &world, &mut edge, &mut rss, lasts);
    world.stop.store(true, Ordering::SeqCst);
    for viewer in viewers {
        viewer.join().map_err(|_| "a viewer panicked")?;
    }
    troubled?;
    let audited = audit(dir, &world);
    let counts = world.counts.lock().unwrap_or_else(PoisonError::into_inner).clone();
    println!("\n| what | times |\n|---|---|");
    counts.iter().for_each(|(what, times)| println!("| {what} | {times} |"));
    let wrong = world.wrong.lock().unwrap_or_else(PoisonError::into_inner).clone();
    if let Some(first) = wrong.first() {
        return Err(format!("{} answers were wrong, the first: {first}", wrong.len()));
    }
    println!("\n{}", audited?);
    println!("{}", flat(&rss)?);
    edge.end("TERM");
    Ok(())
}

struct Title {
    asset: String,
    cookie: String,
}

struct World {
    public: SocketAddr,
    private: SocketAddr,
    titles: Vec<Title>,
    stop: AtomicBool,
    /// Odd while something is being done to the edge or its origin that a viewer may notice.
    troubles: AtomicU64,
    counts: Mutex<BTreeMap<String, u64>>,
    wrong: Mutex<Vec<String>>,
}

impl World {
    fn count(&self, what: &str) {
        *self.counts.lock().unwrap_or_else(PoisonError::into_inner).entry(what.to_owned()).or_default() += 1;
    }

    fn wrong(&self, what: String) {
        let mut wrong = self.wrong.lock().unwrap_or_else(PoisonError::into_inner);
        // One is enough to fail; some more help to find out why.
        if wrong.len() < 1000 {
            wrong.push(what);
        }
    }
}

/// The edge as a process.
struct Process(Child);

impl Process {
    fn start(dir: &Path, built: &Path, world: &World) -> Result<Self, String> {
        let child = Command::new(built.join("rend-edge"))
            .env("REND_LOG", "error")
            .env("REND_EDGE_CACHE_DIR", dir.join("cache"))
            .env("REND_EDGE_CACHE_MAX_BYTES", CACHE_BYTES.to_string())
            .env("REND_EDGE_CACHE_MIN_FREE_BYTES", "0")
            .env("REND_EDGE_TELEMETRY_SPOOL_DIR", dir.join("spool"))
            .env("REND_EDGE_TELEMETRY_ENABLED", "false")
            .env("REND_OBJECT_STORE_DIR", dir.join("objects"))
            .env("REND_EDGE_INTERNAL_TOKEN", INTERNAL)
            .env("REND_INTERNAL_TELEMETRY_TOKEN", "a telemetry token for soaks only, long")
            .env("REND_PLAYBACK_SIGNING_KEY_ID", "local-dev-playback-key")
            .env("REND_PLAYBACK_SIGNING_SECRET", SECRET)
            .env("REND_CONTROL_PLANE_URL", "http://127.0.0.1:9")
            .env("REND_SHUTDOWN_GRACE_SECS", "2")
            .env("REND_EDGE_BIND_ADDR", world.public.to_string())
            .env("REND_EDGE_PRIVATE_BIND_ADDR", world.private.to_string())
            .spawn()
            .map_err(|error| format!("rend-edge could not be started: {error}"))?;
        let until = Instant::now() + Duration::from_secs(30);
        while Instant::now() < until {
            if TcpStream::connect(world.public).is_ok() {
                return Ok(Self(child));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Err("rend-edge does not listen within 30 s".into())
    }

    fn end(&mut self, signal: &str) {
        let _ = Command::new("kill").args([&format!("-{signal}"), &self.0.id().to_string()]).status();
        let _ = self.0.wait();
    }

    /// Resident memory in KiB.
    fn rss_kib(&self) -> Option<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.0.id())).ok()?;
        // What is mapped of cached files is the system's page cache, not the edge's memory.
        let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"))?;
        line.split_whitespace().next()?.parse().ok()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Purges, restarts, kills and takes the origin away, until the time is over.
fn trouble(
    dir: &Path,
    built: &Path,
    world: &World,
    edge: &mut Process,
    rss: &mut Vec<Vec<u64>>,
    lasts: Duration,
) -> Done {
    let begun = Instant::now();
    let mut chance = Chance(99);
    for tick in 1_u64.. {
        if begun.elapsed() >= lasts {
            return Ok(());
        }
        std::thread::sleep(TICK);
        rss.last_mut().into_iter().for_each(|run| run.extend(edge.rss_kib()));
        let title = &world.titles[chance.below(world.titles.len() as u64)];
        if tick % 4 == 0 {
            let hard = chance.below(4) == 0;
            world.troubles.fetch_add(u64::from(hard), Ordering::SeqCst);
            let mode = if hard { "hard" } else { "soft" };
            let order = format!(r#"{{"asset_id":"{}","mode":"{mode}"}}"#, title.asset);
            let (status, _) = internal(world, "POST", "/internal/purge", &order).map_err(|e| format!("purge: {e}"))?;
            if status != 200 {
                return Err(format!("a purge was answered with {status}"));
            }
            world.count(&format!("{mode} purges"));
            std::thread::sleep(Duration::from_millis(100));
            world.troubles.fetch_add(u64::from(hard), Ordering::SeqCst);
        }
        if tick % 24 == 12 {
            world.troubles.fetch_add(1, Ordering::SeqCst);
            let (objects, away) = (dir.join("objects"), dir.join("away"));
            fs::rename(&objects, &away).map_err(|error| format!("the origin: {error}"))?;
            std::thread::sleep(Duration::from_millis(1500));
            fs::rename(&away, &objects).map_err(|error| format!("the origin: {error}"))?;
            // A failure is remembered for a quarter of a second.
            std::thread::sleep(Duration::from_millis(500));
            world.count("times the origin was away");
            world.troubles.fetch_add(1, Ordering::SeqCst);
        }
        if tick % 32 == 0 {
            let kill = tick % 64 == 0;
            world.troubles.fetch_add(1, Ordering::SeqCst);
            edge.end(if kill { "KILL" } else { "TERM" });
            *edge = Process::start(dir, built, world)?;
            rss.push(Vec::new());
            world.count(if kill { "kills" } else { "restarts" });
            std::thread::sleep(Duration::from_millis(200));
            world.troubles.fetch_add(1, Ordering::SeqCst);
        }
    }
    Ok(())
}

/// One viewer after the other: a title, then its segments until the viewer leaves.
fn view(world: &World, seed: u64) {
    let mut chance = Chance(seed);
    while !world.stop.load(Ordering::SeqCst) {
        // Squared, so that few titles are asked for by many.
        let at = chance.below(world.titles.len() as u64) * chance.below(world.titles.len() as u64);
        let title = &world.titles[at / world.titles.len()];
        for path in ["hls/master.m3u8", "hls/720p/init_720p.mp4"] {
            ask(world, title, path, None);
        }
        for segment in 0..SEGMENTS {
            if world.stop.load(Ordering::SeqCst) || chance.below(100) < 12 {
                break;
            }
            let part = (chance.below(10) == 0).then_some((1000, 9999));
            ask(world, title, &format!("hls/720p/segment_{segment:05}.m4s"), part);
        }
    }
}

/// Asks once and judges the answer.
fn ask(world: &World, title: &Title, path: &str, part: Option<(usize, usize)>) {
    let before = world.troubles.load(Ordering::SeqCst);
    let range = part.map_or_else(String::new, |(from, to)| format!("range: bytes={from}-{to}\r\n"));
    let request = format!(
        "GET /v/{}/{path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n{range}cookie: {}\r\n\r\n",
        title.asset, title.cookie
    );
    let answer = exchange(world.public, &request);
    let after = world.troubles.load(Ordering::SeqCst);
    let excused = before != after || before % 2 == 1;
    let name = format!("{}/{path}", title.asset);
    match answer {
        Ok(answer) if [200, 206].contains(&answer.status) => {
            let start: usize = name.bytes().map(usize::from).sum::<usize>() + part.map_or(0, |(from, _)| from);
            if answer.body.iter().enumerate().any(|(n, byte)| usize::from(*byte) != (n + start) % 251) {
                // Nothing excuses this.
                world.wrong(format!("{name}: other bytes than were stored"));
            } else if answer.len != Some(answer.body.len()) {
                world.count("bodies cut in a moment of trouble");
                if !excused {
                    world.wrong(format!("{name}: {} of {:?} bytes", answer.body.len(), answer.len));
                }
            } else {
                world.count(&format!("answers {}", answer.cache));
            }
        }
        Ok(answer) if [502, 503, 504].contains(&answer.status) && answer.says_when => {
            world.count(&format!("told to come back ({})", answer.status));
            if !excused {
                world.wrong(format!("{name}: {} though nothing was amiss", answer.status));
            }
        }
        Ok(answer) => {
            if !excused {
                world.wrong(format!("{name}: answered {}", answer.status));
            }
            world.count("other answers in a moment of trouble");
        }
        Err(error) => {
            if !excused {
                world.wrong(format!("{name}: {error}"));
            }
            world.count("connections lost in a moment of trouble");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

struct Answer {
    status: u16,
    len: Option<usize>,
    cache: String,
    says_when: bool,
    body: Vec<u8>,
}

fn exchange(at: SocketAddr, request: &str) -> Result<Answer, String> {
    let mut stream = TcpStream::connect(at).map_err(|error| error.to_string())?;
    stream.set_read_timeout(Some(Duration::from_secs(40))).map_err(|error| error.to_string())?;
    stream.write_all(request.as_bytes()).map_err(|error| error.to_string())?;
    let mut bytes = Vec::new();
    // A reset shows as a body that is cut.
    let read = stream.read_to_end(&mut bytes);
    let end = bytes.windows(4).position(|w| w == b"\r\n\r\n").ok_or_else(|| format!("no head: {read:?}"))?;
    let head = String::from_utf8_lossy(&bytes[..end]).to_lowercase();
    let field = |name: &str| head.lines().find_map(|line| line.strip_prefix(name)).map(|value| value.trim().to_owned());
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).ok_or("no status")?;
    Ok(Answer {
        status,
        len: field("content-length:").and_then(|len| len.parse().ok()),
        cache: field("x-rend-cache:").unwrap_or_default().to_uppercase(),
        says_when: field("retry-after:").is_some(),
        body: bytes.split_off(end + 4),
    })
}

fn internal(world: &World, method: &str, path: &str, body: &str) -> Result<(u16, Value), String> {
    let request = format!(
        "{method} {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\nauthorization: Bearer {INTERNAL}\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let answer = exchange(world.private, &request)?;
    Ok((answer.status, serde_json::from_slice(&answer.body).unwrap_or(Value::Null)))
}

/// Waits until the edge rests, and holds its books against its folder.
fn audit(dir: &Path, world: &World) -> Result<String, String> {
    let (begun, mut nearing) = (Instant::now(), Nearing::default());
    loop {
        let (_, said) = internal(world, "GET", "/internal/cache", "")?;
        let number = |name: &str| said[name].as_u64().unwrap_or(u64::MAX);
        let (files, bytes) = charged(&dir.join("cache/v1/objects"))?;
        let drafts = fs::read_dir(dir.join("cache/v1/tmp")).map_err(|error| error.to_string())?.count();
        let differ = number("entries").abs_diff(files).saturating_add(number("bytes_used").abs_diff(bytes));
        let left: Vec<u64> = TO_DO.iter().map(|name| number(name)).chain([drafts as u64, differ]).collect();
        if left.iter().all(|left| *left == 0) && bytes <= CACHE_BYTES {
            return Ok(format!(
                "the books are the folder's: {files} files, {bytes} bytes of at most {CACHE_BYTES}, no draft"
            ));
        }
        nearing.saw(&left, begun.elapsed()).map_err(|why| {
            format!("{why}: the folder has {files} files of {bytes} bytes and {drafts} drafts, the edge says {said}")
        })?;
        std::thread::sleep(Duration::from_millis(250));
    }
}

/// Whether an edge that is at work comes nearer to its rest. On a machine that has little time for it, it may take long.
#[derive(Default)]
struct Nearing {
    /// The least that was left of each thing.
    least: Vec<u64>,
    since: Duration,
}

impl Nearing {
    /// Takes note of what is left to be done after `now`.
    ///
    /// # Errors
    ///
    /// When nothing of it has become less for too long, or all of it takes too long.
    fn saw(&mut self, left: &[u64], now: Duration) -> Result<(), &'static str> {
        self.least.resize(left.len(), u64::MAX);
        for (least, left) in self.least.iter_mut().zip(left) {
            if left < least {
                (*least, self.since) = (*left, now);
            }
        }
        if now.saturating_sub(self.since) >= STUCK_AFTER {
            return Err("nothing goes on any more, and the books are not those of the folder");
        }
        if now >= REST_WITHIN {
            Err("the edge works on and on, and the books are not those of the folder")
        } else {
            Ok(())
        }
    }
}

/// How many files there are below, and what they cost on a disk of 4 KiB blocks.
fn charged(folder: &Path) -> Result<(u64, u64), String> {
    let (mut files, mut bytes) = (0, 0);
    for entry in fs::read_dir(folder).map_err(|error| error.to_string())?.flatten() {
        let meta = entry.metadata().map_err(|error| error.to_string())?;
        let (more_files, more_bytes) =
            if meta.is_dir() { charged(&entry.path())? } else { (1, meta.len().next_multiple_of(4096).max(4096)) };
        files += more_files;
        bytes += more_bytes;
    }
    Ok((files, bytes))
}

/// Whether memory grew from the first processes to the last: the peaks of each are compared.
fn flat(rss: &[Vec<u64>]) -> Result<String, String> {
    let peaks: Vec<u64> = rss.iter().filter(|run| run.len() >= 8).filter_map(|run| run.iter().max().copied()).collect();
    let (Some(first), Some(last)) = (peaks.first(), peaks.last()) else {
        return Ok("too short to say whether memory stays flat".into());
    };
    // Within one process as well: the last quarter against the one after the start.
    for run in rss.iter().filter(|run| run.len() >= 60) {
        let quarter = run.len() / 4;
        let peak = |part: &[u64]| part.iter().max().copied().unwrap_or(0);
        let (early, late) = (peak(&run[quarter..2 * quarter]), peak(&run[3 * quarter..]));
        if late > early + early / 4 + GROWTH_KIB {
            return Err(format!("memory grew within one process from {early} to {late} KiB"));
        }
    }
    if *last > first + first / 4 + GROWTH_KIB {
        return Err(format!("memory grew from process to process: peaks of {peaks:?} KiB"));
    }
    Ok(format!("memory is flat: peaks of {peaks:?} KiB"))
}

fn free_port() -> Result<SocketAddr, String> {
    let listener = TcpListener::bind("127.0.0.1:0").map_err(|error| error.to_string())?;
    listener.local_addr().map_err(|error| error.to_string())
}

struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: u64) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((u128::from(self.0) * u128::from(bound)) >> 64) as usize
    }
}

const SECRET: &str = "Zr8fQ0mVt3uXkYw1LhJc7sNdB2gAe5PiRo9KxTyUvMlWqHzE";
const INTERNAL: &str = "an internal token for soaks only, long enough";
const TITLES: u32 = 60;
const SEGMENTS: u32 = 24;
/// About a tenth of what all titles have.
const CACHE_BYTES: u64 = 24 << 20;
const VIEWERS: u64 = 12;
/// Between two looks at what to do next.
const TICK: Duration = Duration::from_millis(500);
/// What the edge says is still to be done, each of which is nothing at rest.
const TO_DO: [&str; 5] = ["fills", "readers", "bytes_pending_unlink", "bytes_unread", "folders_to_look_at"];
/// An edge at rest that has done nothing of what is left for so long will not do it.
const STUCK_AFTER: Duration = Duration::from_secs(60);
/// However slow the machine is.
const REST_WITHIN: Duration = Duration::from_secs(600);
/// What memory may grow by beside a quarter.
const GROWTH_KIB: u64 = 24 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    /// What is left every ten seconds, and when that is found to be wrong.
    #[track_caller]
    fn check(left: impl Fn(u64) -> [u64; 2], expect: Option<(u64, &str)>) {
        let mut nearing = Nearing::default();
        let found = (0..100).find_map(|n| {
            let why = nearing.saw(&left(n), Duration::from_secs(n * 10)).err()?;
            Some((n * 10, why))
        });
        assert_eq!(found.map(|(secs, _)| secs), expect.map(|(secs, _)| secs));
        assert!(found.is_none_or(|(_, why)| expect.is_some_and(|(_, part)| why.contains(part))), "{found:?}");
    }

    #[test]
    fn an_edge_that_is_slow_is_waited_for_and_one_that_is_stuck_is_not() {
        check(|n| [1464, 7_u64.saturating_sub(n)], Some((70 + 60, "nothing goes on")));
        check(|_| [0, 12], Some((60, "nothing goes on")));
        // Nearly a minute between two steps.
        check(|n| [1464 - n / 5, 0], Some((600, "on and on")));
        // What goes up and down comes no nearer.
        check(|n| [5 + n % 3, 9], Some((60, "nothing goes on")));
    }
}
