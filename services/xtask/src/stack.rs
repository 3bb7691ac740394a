//! `cargo xtask stack`: a small fleet on this machine over real servers, left running for a person, or judged once.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::engines::{Engines, answers, bound_to_us, free_port};
use crate::interrupt;
use crate::run::{Done, cargo, read, root, run};
use crate::tools::{CC, FFMPEG, need, web};

/// The edges, and where they are said to be.
const EDGES: [(&str, &str); 2] = [("ash-1", "us-east"), ("ams-1", "europe-west")];
/// How long a process may take until it answers.
const READY_WITHIN: Duration = Duration::from_secs(60);

/// Starts PostgreSQL, Redis, S3-compatible storage, ClickHouse, the API, a worker and two edges; prints where they answer;
/// and waits for Ctrl-C, or runs the readiness gate once and stops.
pub(crate) fn stack(install: bool, once: bool, release: bool, folder: &Path) -> Done {
    need(&[CC, FFMPEG], install)?;
    if let Err(why) = web(install) {
        println!("hls.js is left out ({why}); the player will use the browser's own HLS and say so");
    }
    let mut build = cargo();
    build.args(["build", "-p", "rend-api", "-p", "rend-edge", "-p", "rend"]);
    if release {
        build.arg("--release");
    }
    run(&mut build)?;
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from);
    let programs = target.join(if release { "release" } else { "debug" });
    let folder = Folder::open(folder)?;
    interrupt::catch(&interrupt::ALL)?;
    let engines = Engines::start(install)?;
    let mut stack = Stack::plan(&engines, programs, folder)?;
    stack.start()?;
    stack.say()?;
    if once {
        let mut gate = Command::new(stack.programs.join("rend"));
        gate.args(["gate", "--target", "local-two-edge"]).env("REND_DATA_DIR", &stack.folder.path);
        return run(&mut gate);
    }
    println!("  Ctrl-C stops it.\n");
    while !interrupt::came() {
        for (name, child) in &mut stack.children {
            if let Some(status) = child.try_wait().map_err(|e| e.to_string())? {
                return if status.success() { Ok(()) } else { Err(format!("{name} ended with {status}")) };
            }
        }
        thread::sleep(Duration::from_millis(200));
    }
    println!("\nstopping, the edges first; a second Ctrl-C ends it at once");
    Ok(())
}

/// The processes of ours, and what they are told.
struct Stack {
    children: Vec<(String, Child)>,
    programs: PathBuf,
    folder: Folder,
    /// What all of them are told.
    shared: Vec<(String, String)>,
    api: u16,
    edges: Vec<EdgePlan>,
    key: String,
}

struct EdgePlan {
    id: &'static str,
    region: &'static str,
    public: u16,
    private: u16,
}

impl Stack {
    fn plan(engines: &Engines, programs: PathBuf, folder: Folder) -> Result<Self, String> {
        let given = |name: &str| {
            let found = engines.env().into_iter().find(|(known, _)| *known == name).map(|(_, value)| value);
            found.ok_or_else(|| format!("no engine gave {name}"))
        };
        let (api, api_private) = (free_port()?, free_port()?);
        let edges = EDGES
            .iter()
            .map(|(id, region)| Ok(EdgePlan { id, region, public: free_port()?, private: free_port()? }))
            .collect::<Result<Vec<_>, String>>()?;
        let at = |port: u16| format!("http://127.0.0.1:{port}");
        let expected: Vec<_> =
            edges.iter().map(|e| format!("{}={}={}={}", e.id, e.region, at(e.public), at(e.private))).collect();
        let secret = || random();
        let shared = [
            ("REND_LOG", "info".to_owned()),
            ("DATABASE_URL", given("REND_TEST_POSTGRES_URL")?),
            ("REND_REDIS_URL", given("REND_TEST_REDIS_URL")?),
            ("S3_ENDPOINT", given("REND_TEST_S3_ENDPOINT")?),
            ("S3_BUCKET", given("REND_TEST_S3_BUCKET")?),
            ("AWS_ACCESS_KEY_ID", given("REND_TEST_S3_ACCESS_KEY")?),
            ("AWS_SECRET_ACCESS_KEY", given("REND_TEST_S3_SECRET_KEY")?),
            ("CLICKHOUSE_URL", given("REND_TEST_CLICKHOUSE_URL")?),
            ("CLICKHOUSE_USER", given("REND_TEST_CLICKHOUSE_USER")?),
            ("CLICKHOUSE_PASSWORD", given("REND_TEST_CLICKHOUSE_PASSWORD")?),
            ("REND_API_BIND_ADDR", format!("127.0.0.1:{api}")),
            ("REND_API_PRIVATE_BIND_ADDR", format!("127.0.0.1:{api_private}")),
            ("REND_SITE_BASE_URL", at(api)),
            ("REND_PLAYBACK_BASE_URL", at(edges[0].public)),
            ("REND_CONTROL_PLANE_URL", at(api_private)),
            ("REND_EXPECTED_EDGES", expected.join(",")),
            ("REND_EDGE_HEARTBEAT_INTERVAL_SECS", "2".to_owned()),
            ("REND_PLAYBACK_SIGNING_KEY_ID", "stack-1".to_owned()),
            ("REND_PLAYBACK_SIGNING_SECRET", secret()?),
            ("REND_EDGE_INTERNAL_TOKEN", secret()?),
            ("REND_INTERNAL_TELEMETRY_TOKEN", secret()?),
        ];
        let shared = shared.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        Ok(Self { children: Vec::new(), programs, folder, shared, api, edges, key: String::new() })
    }

    fn start(&mut self) -> Done {
        run(self.command("rend-api", &["migrate"]).env("REND_LOG", "warn"))?;
        self.key = read(&mut self.command("rend-api", &["key", "stack"]))
            .map(|key| key.trim().to_owned())
            .ok_or("the first API key could not be made")?;
        self.spawn("api", "rend-api", &["serve"], &[])?;
        self.wait_for("the API", self.api)?;
        self.spawn("worker", "rend-api", &["worker", "media"], &[])?;
        for at in 0..self.edges.len() {
            let EdgePlan { id, region, public, private } = self.edges[at];
            let below = |name: &str| self.folder.path.join(id).join(name).display().to_string();
            let own = [
                ("REND_EDGE_ID", id.to_owned()),
                ("REND_EDGE_REGION", region.to_owned()),
                ("REND_EDGE_BIND_ADDR", format!("127.0.0.1:{public}")),
                ("REND_EDGE_PRIVATE_BIND_ADDR", format!("127.0.0.1:{private}")),
                ("REND_EDGE_BASE_URL", format!("http://127.0.0.1:{public}")),
                ("REND_EDGE_PRIVATE_URL", format!("http://127.0.0.1:{private}")),
                ("REND_EDGE_CACHE_DIR", below("cache")),
                ("REND_EDGE_TELEMETRY_SPOOL_DIR", below("spool")),
            ];
            self.spawn(id, "rend-edge", &[], &own)?;
            self.wait_for(id, public)?;
        }
        Ok(())
    }

    /// A program of ours as every part of the stack runs it.
    fn command(&self, program: &str, args: &[&str]) -> Command {
        let mut command = bound_to_us(&self.programs.join(program), "TERM");
        command.args(args).envs(self.shared.iter().cloned()).stdin(Stdio::null());
        command
    }

    fn spawn(&mut self, name: &str, program: &str, args: &[&str], own: &[(&str, String)]) -> Done {
        let log = self.folder.path.join(format!("{name}.log"));
        let said = fs::File::create(&log).map_err(|e| format!("{}: {e}", log.display()))?;
        let also = said.try_clone().map_err(|e| e.to_string())?;
        let mut command = self.command(program, args);
        command.envs(own.iter().map(|(name, value)| (*name, value))).stdout(said).stderr(also);
        let child = command.spawn().map_err(|e| format!("{name} could not be started: {e}"))?;
        println!("{name} starts (process {}); it says what it does in {}", child.id(), log.display());
        self.children.push((name.to_owned(), child));
        Ok(())
    }

    fn wait_for(&mut self, name: &str, port: u16) -> Done {
        let began = Instant::now();
        while !answers(port) {
            if interrupt::came() {
                return Err(format!("stopped while {name} was starting"));
            }
            for (name, child) in &mut self.children {
                if let Some(status) = child.try_wait().map_err(|e| e.to_string())? {
                    let log = self.folder.path.join(format!("{name}.log"));
                    let said = fs::read_to_string(&log).unwrap_or_default();
                    return Err(format!("{name} ended with {status}: {}", said.lines().last().unwrap_or("no word")));
                }
            }
            if began.elapsed() > READY_WITHIN {
                return Err(format!("{name} did not answer within {} s", READY_WITHIN.as_secs()));
            }
            thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    /// Writes what tools need to know, for its owner only, and prints where everything answers.
    fn say(&self) -> Done {
        let token = |name: &str| self.shared.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value);
        let lines = [
            ("REND_API_BASE", format!("http://127.0.0.1:{}", self.api)),
            ("REND_API_KEY", self.key.clone()),
            ("REND_EDGE_INTERNAL_TOKEN", token("REND_EDGE_INTERNAL_TOKEN").to_owned()),
            ("REND_READINESS_EDGES", token("REND_EXPECTED_EDGES").to_owned()),
        ];
        let mut text = String::new();
        for (name, value) in lines {
            let _ = writeln!(text, "{name}={value}");
        }
        let path = self.folder.path.join(ENV_FILE);
        let file = fs::OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&path);
        let written = file.and_then(|mut file| std::io::Write::write_all(&mut file, text.as_bytes()));
        written.map_err(|e| format!("{}: {e}", path.display()))?;
        println!("\n  The stack is up.\n");
        println!("  API        http://127.0.0.1:{}", self.api);
        println!("  dashboard  http://127.0.0.1:{}/dashboard#key={}", self.api, self.key);
        for edge in &self.edges {
            println!("  {}      http://127.0.0.1:{} ({})", edge.id, edge.public, edge.region);
        }
        println!("  for tools  {} (`rend gate --target local-two-edge` reads it)", path.display());
        println!("  logs       {}\n", self.folder.path.display());
        Ok(())
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        // Edges first, so that what they served is delivered while the API still listens.
        for (_, child) in self.children.iter_mut().rev() {
            let _ = Command::new("kill").args(["-TERM", &child.id().to_string()]).stderr(Stdio::null()).status();
            let began = Instant::now();
            while began.elapsed() < Duration::from_secs(10) && matches!(child.try_wait(), Ok(None)) {
                thread::sleep(Duration::from_millis(20));
            }
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// The data folder of one run. What goes when it is dropped is what is worth nothing without the servers, whose data goes
/// too: the file for tools, and what the edges keep. The logs stay, unless the whole folder was made for the run in the
/// system's place for such.
struct Folder {
    path: PathBuf,
    is_temporary: bool,
    /// Held as long as it is ours.
    _lock: fs::File,
}

impl Folder {
    fn open(path: &Path) -> Result<Self, String> {
        let failed = |e: std::io::Error| format!("{}: {e}", path.display());
        let is_new = !path.exists();
        fs::create_dir_all(path).map_err(failed)?;
        let path = fs::canonicalize(path).map_err(failed)?;
        let is_temporary = is_new && path.starts_with(std::env::temp_dir());
        let lock = fs::File::create(path.join(LOCK_FILE)).map_err(failed)?;
        lock.try_lock()
            .map_err(|_| format!("another stack uses {}; stop it, or name another folder", path.display()))?;
        let folder = Self { path, is_temporary, _lock: lock };
        // A run that was killed left them. An edge with the cache of another database would go on in a log that is none of
        // its own.
        folder.forget();
        Ok(folder)
    }

    fn forget(&self) {
        let _ = fs::remove_file(self.path.join(ENV_FILE));
        for (id, _) in EDGES {
            let _ = fs::remove_dir_all(self.path.join(id));
        }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        self.forget();
        let _ = fs::remove_file(self.path.join(LOCK_FILE));
        if self.is_temporary {
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}

/// What tools are told, under the data folder.
const ENV_FILE: &str = "stack.env";
/// Held by the stack that uses the folder.
const LOCK_FILE: &str = "stack.lock";

/// Thirty-two random bytes in hexadecimal.
fn random() -> Result<String, String> {
    use std::io::Read;
    let mut bytes = [0; 32];
    let drawn = fs::File::open("/dev/urandom").and_then(|mut source| source.read_exact(&mut bytes));
    drawn.map_err(|e| format!("no randomness: {e}"))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is left of a data folder with something of everything, which `made_by_us` or was there.
    fn left(name: &str, made_by_us: bool) -> Option<Vec<String>> {
        let path = std::env::temp_dir().join(format!("rend-stack-test-{}-{name}", std::process::id()));
        if !made_by_us {
            fs::create_dir(&path).unwrap();
        }
        let folder = Folder::open(&path).unwrap();
        assert!(Folder::open(&path).is_err(), "it is one stack's alone");
        for file in [ENV_FILE, "api.log", "mine"] {
            fs::write(path.join(file), "x").unwrap();
        }
        for (id, _) in EDGES {
            fs::create_dir_all(path.join(id).join("cache")).unwrap();
        }
        drop(folder);
        let names = fs::read_dir(&path).ok()?.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<_> = names.collect();
        names.sort();
        fs::remove_dir_all(&path).unwrap();
        Some(names)
    }

    #[test]
    fn a_stack_takes_what_it_made_with_it_and_leaves_its_logs_where_a_folder_was() {
        assert_eq!(left("theirs", false), Some(vec!["api.log".to_owned(), "mine".to_owned()]));
        assert_eq!(left("ours", true), None);
    }
}
