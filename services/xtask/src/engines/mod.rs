//! Private copies of the servers that Rend runs over: for `cargo xtask test` and `cargo xtask stack`.
//!
//! Each engine has its own folder, its own free ports on 127.0.0.1, and ends with the value that holds it. None of them
//! is the machine's own: nothing here talks to a server that it did not start.

pub(crate) mod clickhouse;
pub(crate) mod postgres;
pub(crate) mod redis;
pub(crate) mod s3;
mod venv;

use std::fs::{self, File};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// One server of ours, running. Dropping it stops it.
pub(crate) struct Engine {
    /// What tests and services are told of it: names of variables and their values.
    pub(crate) env: Vec<(&'static str, String)>,
    name: &'static str,
    child: Child,
    log: PathBuf,
    stop_signal: &'static str,
}

impl Engine {
    /// Starts `command`; what it says goes to `name.log` under `folder`. It is asked to stop with `stop_signal`, a name
    /// that `kill` knows.
    pub(crate) fn spawn(
        name: &'static str,
        command: &mut Command,
        folder: &Path,
        stop_signal: &'static str,
    ) -> Result<Self, String> {
        let log = folder.join(format!("{name}.log"));
        let said = File::create(&log).map_err(|e| format!("{}: {e}", log.display()))?;
        let also = said.try_clone().map_err(|e| e.to_string())?;
        let child = command
            .stdin(Stdio::null())
            .stdout(said)
            .stderr(also)
            .spawn()
            .map_err(|e| format!("{name} could not be started: {e}"))?;
        Ok(Self { env: Vec::new(), name, child, log, stop_signal })
    }

    /// Waits until `ready` says so, or answers why it never will: the engine ended, or took too long.
    pub(crate) fn wait_until(&mut self, mut ready: impl FnMut() -> bool) -> Result<(), String> {
        let began = Instant::now();
        loop {
            if ready() {
                return Ok(());
            }
            let ended = self.child.try_wait().map_err(|e| e.to_string())?;
            if let Some(status) = ended {
                return Err(format!("{} ended with {status}: {}", self.name, self.last_words()));
            }
            if began.elapsed() > READY_WITHIN {
                let waited = READY_WITHIN.as_secs();
                return Err(format!("{} was not ready within {waited} s: {}", self.name, self.last_words()));
            }
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// What it is called.
    pub(crate) const fn name(&self) -> &'static str {
        self.name
    }

    /// The process, for tests that stop and pause it.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    fn last_words(&self) -> String {
        let said = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<_> = said.lines().rev().take(LAST_WORDS_LINES).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join(" | ")
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        let pid = self.child.id().to_string();
        // One that was paused must go on before it can stop.
        let _ = Command::new("kill").args(["-CONT", &pid]).stderr(Stdio::null()).status();
        let _ = Command::new("kill").args([&format!("-{}", self.stop_signal), &pid]).stderr(Stdio::null()).status();
        let began = Instant::now();
        while began.elapsed() < STOP_WITHIN {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            thread::sleep(Duration::from_millis(50));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Several engines in one temporary folder, which goes with them.
pub(crate) struct Engines {
    // Before the folder, so that they have ended when it is removed.
    started: Vec<Engine>,
    folder: Folder,
}

impl Engines {
    /// Starts every engine there is, installing what is missing when `install`.
    pub(crate) fn start(install: bool) -> Result<Self, String> {
        let mut engines = Self { started: Vec::new(), folder: Folder::new()? };
        for start in ALL {
            let began = Instant::now();
            let engine = start(&engines.folder.0, install)?;
            println!("{} runs (process {}, {} ms)", engine.name(), engine.pid(), began.elapsed().as_millis());
            engines.started.push(engine);
        }
        Ok(engines)
    }

    /// What tests and services are told of all of them.
    pub(crate) fn env(&self) -> Vec<(&'static str, String)> {
        self.started.iter().flat_map(|engine| engine.env.iter().cloned()).collect()
    }
}

/// How an engine is started: in a folder of which it may use whatever bears its name; `install` lets it fetch packages.
type Start = fn(&Path, bool) -> Result<Engine, String>;

/// Every engine, in the order in which they are started.
const ALL: &[Start] = &[postgres::start, redis::start, s3::start, clickhouse::start];

/// A folder that everybody may pass through, since some engines refuse to run as root, and that goes when dropped.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Result<Self, String> {
        use std::os::unix::fs::PermissionsExt;
        Self::sweep();
        let path = std::env::temp_dir().join(format!("{FOLDER}{}", std::process::id()));
        let made =
            fs::create_dir_all(&path).and_then(|()| fs::set_permissions(&path, fs::Permissions::from_mode(0o755)));
        made.map_err(|e| format!("{}: {e}", path.display()))?;
        Ok(Self(path))
    }

    /// Removes the folders of runs that were killed before they could.
    fn sweep() {
        for entry in fs::read_dir(std::env::temp_dir()).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let run = name.to_str().and_then(|name| name.strip_prefix(FOLDER)).and_then(|pid| pid.parse::<u32>().ok());
            if run.is_some_and(|pid| !Path::new(&format!("/proc/{pid}")).exists()) {
                let _ = fs::remove_dir_all(entry.path());
            }
        }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A TCP port of 127.0.0.1 that nobody listens on.
pub(crate) fn free_port() -> Result<u16, String> {
    let bound = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    bound.map(|at| at.port()).map_err(|e| format!("no free port: {e}"))
}

/// Whether something accepts connections on this port of 127.0.0.1.
pub(crate) fn answers(port: u16) -> bool {
    TcpStream::connect(("127.0.0.1", port)).is_ok()
}

/// `program` such that it is sent `signal` when this process ends, however that ends; where that can not be had, plainly.
pub(crate) fn bound_to_us(program: &Path, signal: &str) -> Command {
    if crate::run::has("setpriv") {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", signal, "--"]).arg(program);
        command
    } else {
        Command::new(program)
    }
}

/// What the folder of a run is called before its process.
const FOLDER: &str = "rend-engines-";
/// How long an engine may take until it answers.
const READY_WITHIN: Duration = Duration::from_secs(60);
/// How long an engine may take to stop before it is killed.
const STOP_WITHIN: Duration = Duration::from_secs(10);
/// Lines of its log that are shown of an engine that failed.
const LAST_WORDS_LINES: usize = 5;
