//! Private copies of the servers that Rend runs over: for `cargo xtask test` and `cargo xtask stack`.
//!
//! Each engine has its own folder, its own free ports on 127.0.0.1, and ends with the value that holds it. None of them
//! is the machine's own: nothing here talks to a server that it did not start. One that ends unasked is started again on
//! what it left on disk, as the unit of a real one does it; so a test may kill it.

pub(crate) mod clickhouse;
pub(crate) mod postgres;
pub(crate) mod redis;
pub(crate) mod s3;
mod venv;

pub(crate) use venv::environment;

use std::fs::{self, File};
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::interrupt;

/// One server of ours, running. Dropping it stops it.
pub(crate) struct Engine {
    /// What tests and services are told of it: names of variables and their values.
    pub(crate) env: Vec<(&'static str, String)>,
    process: Arc<Mutex<Process>>,
    stop_signal: &'static str,
}

/// The process of an engine, and how it is started again.
struct Process {
    name: &'static str,
    command: Command,
    child: Child,
    log: PathBuf,
    /// Where its number stands, for tests that stop and kill it.
    pid_file: PathBuf,
    restarts: u32,
}

impl Engine {
    /// Starts `command`; what it says goes to `name.log` under `folder`, and its number to `name.pid`. It is asked to stop
    /// with `stop_signal`, a name that `kill` knows.
    pub(crate) fn spawn(
        name: &'static str,
        mut command: Command,
        folder: &Path,
        stop_signal: &'static str,
    ) -> Result<Self, String> {
        let log = folder.join(format!("{name}.log"));
        let said = File::create(&log).map_err(|e| format!("{}: {e}", log.display()))?;
        let also = said.try_clone().map_err(|e| e.to_string())?;
        command.stdin(Stdio::null()).stdout(said).stderr(also);
        let child = command.spawn().map_err(|e| format!("{name} could not be started: {e}"))?;
        let pid_file = folder.join(format!("{name}.pid"));
        let process = Process { name, command, child, log, pid_file, restarts: 0 };
        process.write_pid()?;
        Ok(Self { env: Vec::new(), process: Arc::new(Mutex::new(process)), stop_signal })
    }

    /// Waits until `ready` says so, or answers why it never will: the engine ended, or took too long.
    pub(crate) fn wait_until(&mut self, mut ready: impl FnMut() -> bool) -> Result<(), String> {
        let began = Instant::now();
        loop {
            if ready() {
                return Ok(());
            }
            let mut process = lock(&self.process);
            let ended = process.child.try_wait().map_err(|e| e.to_string())?;
            if let Some(status) = ended {
                return Err(format!("{} ended with {status}: {}", process.name, process.last_words()));
            }
            if interrupt::came() {
                return Err(format!("stopped while {} was starting", process.name));
            }
            if began.elapsed() > READY_WITHIN {
                let waited = READY_WITHIN.as_secs();
                return Err(format!("{} was not ready within {waited} s: {}", process.name, process.last_words()));
            }
            drop(process);
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// What it is called.
    pub(crate) fn name(&self) -> &'static str {
        lock(&self.process).name
    }

    /// The process, for tests that stop and pause it.
    pub(crate) fn pid(&self) -> u32 {
        lock(&self.process).child.id()
    }
}

impl Process {
    fn write_pid(&self) -> Result<(), String> {
        fs::write(&self.pid_file, self.child.id().to_string()).map_err(|e| format!("{}: {e}", self.pid_file.display()))
    }

    /// Starts it again if it has ended, but not for ever: what ends again and again has another trouble.
    fn tend(&mut self) {
        let Ok(Some(status)) = self.child.try_wait() else { return };
        if self.restarts == RESTARTS_MAX {
            return;
        }
        self.restarts += 1;
        if let Ok(child) = self.command.spawn() {
            self.child = child;
            if let Err(why) = self.write_pid() {
                println!("{why}");
            }
            println!("{} ended with {status} and is started again (process {})", self.name, self.child.id());
        }
    }

    fn last_words(&self) -> String {
        let said = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<_> = said.lines().rev().take(LAST_WORDS_LINES).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join(" | ")
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        let mut process = lock(&self.process);
        let pid = process.child.id().to_string();
        // One that was paused must go on before it can stop.
        let _ = Command::new("kill").args(["-CONT", &pid]).stderr(Stdio::null()).status();
        let _ = Command::new("kill").args([&format!("-{}", self.stop_signal), &pid]).stderr(Stdio::null()).status();
        let began = Instant::now();
        while began.elapsed() < STOP_WITHIN {
            if !matches!(process.child.try_wait(), Ok(None)) {
                return;
            }
            thread::sleep(Duration::from_millis(50));
        }
        let _ = process.child.kill();
        let _ = process.child.wait();
    }
}

fn lock(process: &Mutex<Process>) -> MutexGuard<'_, Process> {
    process.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Several engines in one temporary folder, which goes with them.
pub(crate) struct Engines {
    // Before the engines, so that nobody starts again what is stopped; and these before the folder.
    tending: Tending,
    started: Vec<Engine>,
    folder: Folder,
}

impl Engines {
    /// Starts every engine there is, installing what is missing when `install`. From here on Ctrl-C only ends what runs
    /// beside them in the terminal, so that they and their folder go after it.
    pub(crate) fn start(install: bool) -> Result<Self, String> {
        interrupt::catch(&interrupt::OF_TERMINAL)?;
        let mut engines = Self { tending: Tending::default(), started: Vec::new(), folder: Folder::new()? };
        for start in ALL {
            let began = Instant::now();
            let engine = start(&engines.folder.0, install)?;
            println!("{} runs (process {}, {} ms)", engine.name(), engine.pid(), began.elapsed().as_millis());
            engines.started.push(engine);
        }
        engines.tending.begin(engines.started.iter().map(|engine| Arc::clone(&engine.process)).collect());
        Ok(engines)
    }

    /// What tests and services are told of all of them: where each is, and the folder where the number of each one's
    /// process stands in a file of its name.
    pub(crate) fn env(&self) -> Vec<(&'static str, String)> {
        let folder = ("REND_TEST_ENGINES", self.folder.0.display().to_string());
        self.started.iter().flat_map(|engine| engine.env.iter().cloned()).chain([folder]).collect()
    }
}

/// The thread that starts again what ended. It lives as long as what it started: engines are told to end when the thread
/// does that began them.
#[derive(Default)]
struct Tending {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Tending {
    fn begin(&mut self, processes: Vec<Arc<Mutex<Process>>>) {
        let stop = Arc::clone(&self.stop);
        self.thread = Some(thread::spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                processes.iter().for_each(|process| lock(process).tend());
                thread::sleep(Duration::from_millis(100));
            }
        }));
    }
}

impl Drop for Tending {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
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

/// `program` such that it is sent `signal` when this process ends, however that ends, and that Ctrl-C at the terminal reaches
/// this process alone, which then stops all in their order; where that can not be had, plainly.
pub(crate) fn bound_to_us(program: &Path, signal: &str) -> Command {
    if crate::run::has("setpriv") {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", signal, "--"]).arg(program).process_group(0);
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
/// How often an engine is started again.
const RESTARTS_MAX: u32 = 200;
/// Lines of its log that are shown of an engine that failed.
const LAST_WORDS_LINES: usize = 5;
