//! One run of ffmpeg or ffprobe, in a jail.
//!
//! A run has an empty environment, the scratch folder as its working folder, bounds on processor time, memory, files and
//! wall time; no network and no files but its own where the system allows that. It is the leader of its own process group,
//! which is killed as a whole when the run is dropped, times out or is cancelled; and it dies with the worker, so that a
//! `kill -9` of the worker leaves no orphan behind.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::OnceLock;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::Duration;

use bytes::Bytes;
use rend_core::job::STDERR_TAIL_BYTES_MAX;
use rend_core::media::damage::Log;
use rustix::process::{Pid, Resource, Rlimit, Signal};
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, ChildStdout, Command};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::fence::Fence;

pub use crate::fence::files_can_be_fenced;

/// What a run may do at most.
#[derive(Clone, Debug)]
pub struct Jail {
    /// Its working folder. It may read and write there.
    pub scratch: PathBuf,
    /// What else it may read, beside programs and libraries: see [`files_can_be_fenced`].
    pub reads: Vec<PathBuf>,
    /// How long it may take, by the clock on the wall.
    pub timeout: Duration,
    /// Processor seconds it may use.
    pub cpu_secs: u64,
    /// Whether it is told when it has used them, by a signal that ends it, so that the run ends as [`RunError::Spent`].
    /// Programs that catch that signal, as ffmpeg does, would end as if they were done: those are killed instead.
    pub tells_cpu: bool,
    /// Bytes of memory it may address.
    pub memory_bytes: u64,
    /// Bytes of any file it may write.
    pub file_bytes: u64,
    /// Whether it must be cut off from the network. Set it when [`network_can_be_cut`] says yes.
    pub offline: bool,
}

/// A program that runs. Dropping it kills it and all that it started.
#[derive(Debug)]
pub struct Run {
    child: Child,
    group: Option<Pid>,
    stdout: ChildStdout,
    stderr: JoinHandle<Said>,
    timeout: std::pin::Pin<Box<tokio::time::Sleep>>,
    timeout_secs: u64,
    cpu_secs: u64,
}

/// What a program said on its standard error.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Said {
    /// The last of its complaints, at most [`STDERR_TAIL_BYTES_MAX`] bytes.
    pub tail: String,
    /// All of it, counted.
    pub log: Log,
}

/// Why a run gave no result.
#[derive(Debug, Error)]
pub enum RunError {
    /// The program is not there. Trying again will not help until it is installed.
    #[error("{program} is not installed; install it with `apt-get install ffmpeg`, or name it in the configuration")]
    Missing {
        /// The program.
        program: String,
    },
    /// It could not be started. Trying again may help.
    #[error("{program} could not be started")]
    NotStarted {
        /// The program.
        program: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It took too long and was killed. Trying again may help, once the machine is less busy.
    #[error("it took longer than {secs} s and was stopped")]
    Timeout {
        /// How long it was given.
        secs: u64,
    },
    /// It used all the processor time that it was given. Trying again will not help: it needs as much then.
    #[error("it used more than {secs} s of processor time and was stopped")]
    Spent {
        /// How much it was given.
        secs: u64,
        /// Its last words.
        said: Said,
    },
    /// It ended by a signal that we did not send: out of memory, most often. Trying again may help.
    #[error("it was killed by signal {signal}")]
    Killed {
        /// The signal.
        signal: i32,
        /// Its last words.
        said: Said,
    },
    /// It ended with an error of its own. The input is at fault, most often.
    #[error("it failed with status {status}")]
    Failed {
        /// Its status.
        status: i32,
        /// Its last words.
        said: Said,
    },
    /// Its output could not be read. Trying again may help.
    #[error("its output could not be read")]
    Output(#[source] io::Error),
}

impl Run {
    /// Starts `program` with `args` in `jail`.
    ///
    /// # Errors
    ///
    /// [`RunError::Missing`] or [`RunError::NotStarted`].
    pub async fn start(program: &Path, args: &[String], jail: &Jail) -> Result<Self, RunError> {
        let name = program.display().to_string();
        let mut command = Command::new(program);
        command
            .args(args)
            .env_clear()
            .current_dir(&jail.scratch)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true);
        confine(&mut command, jail, Fence::around(program, &jail.scratch, &jail.reads));
        let spawned = on_lasting_thread(command).await;
        let not_started = |source: io::Error| {
            let program = name.clone();
            if source.kind() == io::ErrorKind::NotFound {
                RunError::Missing { program }
            } else {
                RunError::NotStarted { program, source }
            }
        };
        let mut child = spawned.map_err(not_started)?;
        let group = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        let (Some(stdout), Some(stderr)) = (child.stdout.take(), child.stderr.take()) else {
            return Err(not_started(io::Error::other("a pipe is missing")));
        };
        Ok(Self {
            child,
            group,
            stdout,
            stderr: rend_shell::spawn("last words", listen(stderr)),
            timeout: Box::pin(tokio::time::sleep(jail.timeout)),
            timeout_secs: jail.timeout.as_secs(),
            cpu_secs: jail.cpu_secs,
        })
    }

    /// The next bytes of its output, or `None` at the end.
    ///
    /// # Errors
    ///
    /// [`RunError::Timeout`] or [`RunError::Output`].
    pub async fn read(&mut self) -> Result<Option<Bytes>, RunError> {
        let mut chunk = bytes::BytesMut::with_capacity(READ_BYTES);
        tokio::select! {
            read = self.stdout.read_buf(&mut chunk) => match read {
                Ok(0) => Ok(None),
                Ok(_) => Ok(Some(chunk.freeze())),
                Err(source) => Err(RunError::Output(source)),
            },
            () = &mut self.timeout => Err(self.timed_out()),
        }
    }

    /// Its whole output, at most `bytes_max`, once it has ended well.
    ///
    /// # Errors
    ///
    /// Any [`RunError`]; more output than `bytes_max` is [`RunError::Output`].
    pub async fn output(mut self, bytes_max: usize) -> Result<(Vec<u8>, Said), RunError> {
        let mut all = Vec::new();
        while let Some(chunk) = self.read().await? {
            if all.len() + chunk.len() > bytes_max {
                return Err(RunError::Output(io::Error::other("more output than expected")));
            }
            all.extend_from_slice(&chunk);
        }
        self.finish().await.map(|said| (all, said))
    }

    /// Waits until it has ended, and answers with what it said.
    ///
    /// # Errors
    ///
    /// [`RunError`] when it did not end well.
    pub async fn finish(mut self) -> Result<Said, RunError> {
        let status = tokio::select! {
            status = self.child.wait() => status.map_err(RunError::Output)?,
            () = &mut self.timeout => return Err(self.timed_out()),
        };
        self.group = None;
        let said = (&mut self.stderr).await.unwrap_or_default();
        if status.success() {
            return Ok(said);
        }
        use std::os::unix::process::ExitStatusExt;
        match (status.code(), status.signal()) {
            (Some(status), _) => Err(RunError::Failed { status, said }),
            (None, Some(signal)) if signal == Signal::XCPU.as_raw() => {
                Err(RunError::Spent { secs: self.cpu_secs, said })
            }
            (None, signal) => Err(RunError::Killed { signal: signal.unwrap_or_default(), said }),
        }
    }

    const fn timed_out(&self) -> RunError {
        RunError::Timeout { secs: self.timeout_secs }
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        if let Some(group) = self.group {
            // It may have ended in this instant; then there is nothing to kill.
            let _ = rustix::process::kill_process_group(group, Signal::KILL);
        }
        self.stderr.abort();
    }
}

/// Whether a process here can be put into a network of its own, which is empty.
pub async fn network_can_be_cut() -> bool {
    let jail = Jail {
        scratch: PathBuf::from("/"),
        reads: Vec::new(),
        timeout: Duration::from_secs(5),
        cpu_secs: 5,
        tells_cpu: false,
        memory_bytes: 1 << 30,
        file_bytes: 0,
        offline: true,
    };
    match Run::start(Path::new("/bin/true"), &[], &jail).await {
        Ok(run) => run.finish().await.is_ok(),
        Err(_) => false,
    }
}

const READ_BYTES: usize = 64 << 10;
/// Bytes of one line that are read: what tells its kind stands in front.
const LINE_BYTES_MAX: usize = 1024;
/// Files that a run may have open.
const FILES_MAX: u64 = 64;
/// Starts that wait for their turn.
const STARTS_MAX: usize = 64;

/// Sets the bounds that take effect between fork and exec.
#[expect(unsafe_code, reason = "limits of a child can be set in the child only, between fork and exec")]
fn confine(command: &mut Command, jail: &Jail, mut fence: Fence) {
    let limits = [
        // The signal comes at the first bound, and at the second the end.
        (Resource::Cpu, jail.cpu_secs, jail.cpu_secs.saturating_add(u64::from(jail.tells_cpu))),
        (Resource::As, jail.memory_bytes, jail.memory_bytes),
        (Resource::Fsize, jail.file_bytes, jail.file_bytes),
        (Resource::Nofile, FILES_MAX, FILES_MAX),
        (Resource::Core, 0, 0),
    ];
    let offline = jail.offline;
    let worker = rustix::process::getpid();
    let enter = move || -> io::Result<()> {
        rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
        if rustix::process::getppid() != Some(worker) {
            // The worker died between the fork and the line above, so no signal will come.
            return Err(io::Error::from_raw_os_error(rustix::io::Errno::SRCH.raw_os_error()));
        }
        for (resource, current, maximum) in limits {
            rustix::process::setrlimit(resource, Rlimit { current: Some(current), maximum: Some(maximum) })?;
        }
        if offline {
            use rustix::thread::UnshareFlags;
            // SAFETY: the child has one thread and shares nothing with the parent but file descriptors that std set up;
            // a new user and network namespace change neither memory nor descriptors.
            unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWUSER | UnshareFlags::NEWNET)? };
        }
        fence.enter();
        Ok(())
    };
    // SAFETY: `enter` only makes system calls, through a library that neither allocates nor locks, on values that were
    // copied into it before the fork; that is all POSIX allows between fork and exec.
    unsafe { command.pre_exec(enter) };
}

/// Starts `command` on a thread that lives as long as the process.
///
/// The kernel sends the parent-death signal when the *thread* that forked ends. A runtime's threads may end early, which
/// would kill a healthy encoder; this one never does.
async fn on_lasting_thread(mut command: Command) -> io::Result<Child> {
    static STARTER: OnceLock<SyncSender<Box<dyn FnOnce() + Send>>> = OnceLock::new();
    let starter = STARTER.get_or_init(|| {
        let (sender, receiver) = sync_channel::<Box<dyn FnOnce() + Send>>(STARTS_MAX);
        let body = move || receiver.into_iter().for_each(|start| start());
        if let Err(error) = std::thread::Builder::new().name("encoder-starter".to_owned()).spawn(body) {
            tracing::error!(%error, "no thread to start encoders on");
        }
        sender
    });
    let runtime = tokio::runtime::Handle::current();
    let (answer, started) = oneshot::channel();
    let start = Box::new(move || {
        let _inside = runtime.enter();
        // When nobody waits any more, dropping the child kills it.
        let _ = answer.send(command.spawn());
    });
    starter.send(start).map_err(|_| io::Error::other("the starter is gone"))?;
    started.await.map_err(|_| io::Error::other("the starter is gone"))?
}

async fn listen(mut stderr: impl AsyncRead + Unpin) -> Said {
    let mut ear = Ear::default();
    let mut chunk = vec![0; 4096];
    while let Ok(read) = stderr.read(&mut chunk).await {
        if read == 0 {
            break;
        }
        ear.hear(&chunk[..read]);
    }
    ear.said()
}

/// Takes in what a program says as it comes.
#[derive(Debug, Default)]
struct Ear {
    /// The line that has not ended yet, as far as it is kept.
    line: Vec<u8>,
    tail: String,
    log: Log,
}

impl Ear {
    fn hear(&mut self, bytes: &[u8]) {
        for part in bytes.split_inclusive(|byte| matches!(byte, b'\n' | b'\r')) {
            let ended = part.last().is_some_and(|byte| matches!(byte, b'\n' | b'\r'));
            let words = &part[..part.len() - usize::from(ended)];
            let room = LINE_BYTES_MAX.saturating_sub(self.line.len());
            self.line.extend_from_slice(&words[..words.len().min(room)]);
            if ended {
                self.end_line();
            }
        }
    }

    fn end_line(&mut self) {
        let line = String::from_utf8_lossy(&self.line).into_owned();
        self.line.clear();
        // What is said again and again is told once.
        let again = || self.tail.strip_suffix('\n').is_some_and(|tail| tail.rsplit('\n').next() == Some(&line));
        if line.is_empty() || !self.log.line(&line) || again() {
            return;
        }
        self.tail.push_str(&line);
        self.tail.push('\n');
        if self.tail.len() > STDERR_TAIL_BYTES_MAX * 2 {
            self.keep_tail();
        }
    }

    /// Lets go of all but the last words.
    fn keep_tail(&mut self) {
        let from = self.tail.len().saturating_sub(STDERR_TAIL_BYTES_MAX);
        let from = (from..=self.tail.len()).find(|at| self.tail.is_char_boundary(*at)).unwrap_or(0);
        self.tail.drain(..from);
    }

    fn said(mut self) -> Said {
        self.end_line();
        self.keep_tail();
        Said { tail: self.tail, log: self.log }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(parts: &[&str]) -> Said {
        let mut ear = Ear::default();
        parts.iter().for_each(|part| ear.hear(part.as_bytes()));
        ear.said()
    }

    #[test]
    fn lines_are_told_apart_however_they_come() {
        let whole = heard(&["[error] one\n[info] two\r[error] three"]);
        assert_eq!(whole.tail, "[error] one\n[error] three\n");
        assert_eq!(whole.log.complaints(), 2);
        assert_eq!(heard(&["[err", "or] one", "\n[info] t", "wo\r[error] three"]), whole);
    }

    #[test]
    fn what_is_said_again_and_again_is_kept_once_and_counted_each_time() {
        let said = heard(&["no\n", "no\n", "no\n", "yes\n", "\n"]);
        assert_eq!((said.tail.as_str(), said.log.complaints()), ("no\nyes\n", 4));
    }

    #[test]
    fn last_words_stay_within_their_bound() {
        let mut ear = Ear::default();
        for number in 0..2000 {
            ear.hear(format!("{number} ü {}\n", "long ".repeat(number)).as_bytes());
            assert!(
                ear.tail.len() <= STDERR_TAIL_BYTES_MAX * 2 + LINE_BYTES_MAX * 3 + 1
                    && ear.line.len() <= LINE_BYTES_MAX
            );
        }
        let said = ear.said();
        assert!(said.tail.len() <= STDERR_TAIL_BYTES_MAX && said.tail.contains("1999 ü"), "{}", said.tail.len());
        assert_eq!(said.log.complaints(), 2000);
    }
}
