//! The servers of the test run, as something that can be stopped and killed.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use rend_core::config::Vars;
use rend_shell::ProcessVars;

use crate::fleet::pause;

/// Leave to use the servers: with others, or alone. Whoever breaks one of them is alone with all of them.
pub(crate) enum Leave {
    /// Others use them as well.
    Shared { _held: RwLockReadGuard<'static, ()> },
    /// Nobody else in this process does.
    Alone { _held: RwLockWriteGuard<'static, ()> },
}

impl Leave {
    /// Leave to use the servers beside other tests.
    pub(crate) fn shared() -> Self {
        Self::Shared { _held: USED.read().unwrap_or_else(PoisonError::into_inner) }
    }

    /// Leave to do anything to them.
    pub(crate) fn alone() -> Self {
        Self::Alone { _held: USED.write().unwrap_or_else(PoisonError::into_inner) }
    }
}

static USED: RwLock<()> = RwLock::new(());

/// A server that every process of a fleet may need.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Engine {
    Postgres,
    Redis,
    Seaweedfs,
    ClickHouse,
}

impl Engine {
    pub(crate) const ALL: [Self; 4] = [Self::Postgres, Self::Redis, Self::Seaweedfs, Self::ClickHouse];

    /// What its files and the ways to it are called.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Postgres => "postgres",
            Self::Redis => "redis",
            Self::Seaweedfs => "seaweedfs",
            Self::ClickHouse => "clickhouse",
        }
    }

    /// Where it answers.
    pub(crate) fn url(self) -> String {
        given(match self {
            Self::Postgres => "REND_TEST_POSTGRES_URL",
            Self::Redis => "REND_TEST_REDIS_URL",
            Self::Seaweedfs => "REND_TEST_S3_ENDPOINT",
            Self::ClickHouse => "REND_TEST_CLICKHOUSE_URL",
        })
    }

    /// SIGSTOP to it and to every process below it.
    pub(crate) fn stop(self) {
        signal("STOP", &self.processes());
    }

    /// SIGCONT to the same.
    pub(crate) fn go_on(self) {
        signal("CONT", &self.processes());
    }

    /// SIGKILL to the same; the test run starts it again.
    pub(crate) fn kill(self) {
        signal("KILL", &self.processes());
    }

    /// Waits until it answers as a client would find it.
    pub(crate) fn wait(self) {
        for _ in 0..1200 {
            if self.answers() {
                return;
            }
            pause();
        }
        panic!("{} did not come back", self.name());
    }

    fn answers(self) -> bool {
        let asked = match self {
            Self::Postgres => Command::new("psql").args([&self.url(), "-X", "-q", "-c", "SELECT 1"]).output(),
            Self::Redis => Command::new("redis-cli").args(["-u", &self.url(), "PING"]).output(),
            Self::Seaweedfs => curl(&self.url()),
            Self::ClickHouse => curl(&format!("{}/ping", self.url())),
        };
        asked.is_ok_and(|asked| asked.status.success())
    }

    /// It and every process below it, itself first.
    fn processes(self) -> Vec<u32> {
        let file = Path::new(&given("REND_TEST_ENGINES")).join(format!("{}.pid", self.name()));
        family(fs::read_to_string(&file).unwrap().trim().parse().unwrap())
    }
}

/// A process and every one below it, itself first.
pub(crate) fn family(pid: u32) -> Vec<u32> {
    let mut all = vec![pid];
    let mut at = 0;
    let parents = parents();
    while at < all.len() {
        let own = all[at];
        all.extend(parents.iter().filter(|(_, parent)| *parent == own).map(|(child, _)| *child));
        at += 1;
    }
    all
}

/// Every process with the one that began it.
fn parents() -> Vec<(u32, u32)> {
    let running = fs::read_dir("/proc").unwrap().flatten();
    running
        .filter_map(|entry| {
            let pid = entry.file_name().to_str()?.parse().ok()?;
            let stat = fs::read_to_string(entry.path().join("stat")).ok()?;
            // The name before it may hold anything, also spaces and brackets.
            let parent = stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()?;
            Some((pid, parent))
        })
        .collect()
}

/// Sends `name` to each of `pids` at once.
pub(crate) fn signal(name: &str, pids: &[u32]) {
    let mut kill = Command::new("kill");
    kill.arg(format!("-{name}")).args(pids.iter().map(u32::to_string));
    // One that ended meanwhile is not there to be told.
    let _ = kill.output();
}

/// What the test run says under `name`.
pub(crate) fn given(name: &str) -> String {
    ProcessVars.get(name).unwrap_or_else(|| panic!("{name} is not set; run `cargo xtask served`"))
}

fn curl(url: &str) -> std::io::Result<std::process::Output> {
    // Any answer is one: what is asked for may need a signature.
    Command::new("curl").args(["-s", "-m", "2", "-o", "/dev/null", url]).output()
}
