use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Once;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use rend_core::config::Vars;
use rend_shell::ProcessVars;
use serde_json::Value;

use crate::proxy::Proxy;

/// The program under test.
const REND: &str = env!("CARGO_BIN_EXE_rend");
const SECRET: &str = "0123456789-a-secret-for-these-tests-alone-abcdefghij";

/// What is unlike the rest about the second edge.
#[derive(Default)]
pub(crate) struct Second {
    /// Its signing secret.
    pub(crate) secret: Option<&'static str>,
    /// Words before the program.
    pub(crate) under: Vec<&'static str>,
    /// Its cache folder.
    pub(crate) cache: Option<PathBuf>,
}

/// `rend-api serve`, `rend-api worker media` and two `rend-edge`, running.
pub(crate) struct Fleet {
    children: Vec<(&'static str, Child)>,
    shared: Vec<(String, String)>,
    folder: PathBuf,
    /// Between the processes and PostgreSQL.
    pub(crate) database: Proxy,
}

impl Fleet {
    /// Starts them in `folder` over a database of their own.
    pub(crate) fn start(folder: &Path, second: &Second) -> Self {
        build();
        let database = Proxy::before(&own_database());
        let port = || std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
        let (api, private) = (port(), port());
        let edges = [("ash-1", "us-east", port(), port()), ("ams-1", "europe-west", port(), port())];
        let expected = edges.each_ref().map(|(id, region, at, own)| format!("{id}={region}=http://{at}=http://{own}"));
        let shared: Vec<(String, String)> = [
            ("DATABASE_URL", database.url.clone()),
            ("REND_DATABASE_CONNECT_TIMEOUT_SECS", "1".into()),
            ("REND_DATABASE_STATEMENT_TIMEOUT_SECS", "2".into()),
            ("REND_OBJECT_STORE_DIR", folder.join("objects").display().to_string()),
            ("REND_API_BIND_ADDR", api.clone()),
            ("REND_API_PRIVATE_BIND_ADDR", private.clone()),
            ("REND_SITE_BASE_URL", format!("http://{api}")),
            ("REND_PLAYBACK_BASE_URL", format!("http://{}", edges[0].2)),
            ("REND_CONTROL_PLANE_URL", format!("http://{private}")),
            ("REND_EXPECTED_EDGES", expected.join(",")),
            ("REND_EDGE_HEARTBEAT_INTERVAL_SECS", "1".into()),
            ("REND_MEDIA_JOB_LOCK_TIMEOUT_SECS", "8".into()),
            ("REND_PLAYBACK_SIGNING_KEY_ID", "tests".into()),
            ("REND_PLAYBACK_SIGNING_SECRET", SECRET.into()),
            ("REND_EDGE_INTERNAL_TOKEN", "edge-token-for-these-tests-0123456789abcdef".into()),
            ("REND_INTERNAL_TELEMETRY_TOKEN", "telemetry-token-for-these-tests-0123456789".into()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into();
        let mut fleet = Self { children: Vec::new(), shared, folder: folder.to_path_buf(), database };

        let migrated = fleet.command("rend-api", &[]).arg("migrate").output().unwrap();
        assert!(migrated.status.success(), "{}", String::from_utf8_lossy(&migrated.stderr));
        let made = fleet.command("rend-api", &[]).args(["key", "tests"]).output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let key = String::from_utf8(made.stdout).unwrap().trim().to_owned();

        fleet.spawn("api", &[], |api| api.arg("serve"));
        fleet.wait_for("api", &api);
        fleet.start_worker();
        for (n, (id, region, at, own)) in edges.iter().enumerate() {
            let below = |name: &str| folder.join(id).join(name);
            let usual = Second::default();
            let odd = if n == 1 { second } else { &usual };
            let cache = odd.cache.clone().unwrap_or_else(|| below("cache"));
            fleet.spawn(if n == 0 { "ash-1" } else { "ams-1" }, &odd.under, |edge| {
                edge.env("REND_EDGE_ID", id).env("REND_EDGE_REGION", region);
                edge.env("REND_EDGE_BIND_ADDR", at).env("REND_EDGE_PRIVATE_BIND_ADDR", own);
                edge.env("REND_EDGE_BASE_URL", format!("http://{at}"));
                edge.env("REND_EDGE_PRIVATE_URL", format!("http://{own}"));
                edge.env("REND_EDGE_CACHE_DIR", &cache).env("REND_EDGE_TELEMETRY_SPOOL_DIR", below("spool"));
                edge.env("REND_PLAYBACK_SIGNING_SECRET", odd.secret.unwrap_or(SECRET))
            });
            fleet.wait_for(if n == 0 { "ash-1" } else { "ams-1" }, at);
        }

        // As a stack leaves it for its tools.
        let told = [
            ("REND_API_BASE", format!("http://{api}")),
            ("REND_API_KEY", key),
            ("REND_EDGE_INTERNAL_TOKEN", "edge-token-for-these-tests-0123456789abcdef".to_owned()),
            ("REND_READINESS_EDGES", expected.join(",")),
        ];
        let text: String = told.iter().map(|(name, value)| format!("{name}={value}\n")).collect();
        fs::write(folder.join("stack.env"), text).unwrap();
        fleet.shared.extend(told.map(|(name, value)| (name.to_owned(), value)));
        fleet
    }

    /// One more worker.
    pub(crate) fn start_worker(&mut self) {
        self.spawn("worker", &[], |worker| worker.args(["worker", "media"]));
    }

    /// SIGKILL to every process of this name.
    pub(crate) fn kill(&mut self, name: &str) {
        for (_, child) in self.children.iter_mut().filter(|(known, _)| *known == name) {
            child.kill().unwrap();
            child.wait().unwrap();
        }
        self.children.retain(|(known, _)| *known != name);
    }

    /// The gate's report on the two edges, and whether it let viewers in.
    pub(crate) fn gate(&self) -> (bool, Value) {
        let mut gate = Command::new(REND);
        gate.args(["gate", "--target", "local-two-edge", "--json"]).env("REND_DATA_DIR", &self.folder);
        let output = gate.stdin(Stdio::null()).output().unwrap();
        let report = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|_| panic!("no report: {}", String::from_utf8_lossy(&output.stderr)));
        (output.status.success(), report)
    }

    /// `rend` with `args`, told of this fleet.
    pub(crate) fn rend(&self, args: &[&str]) -> Output {
        let mut rend = Command::new(REND);
        rend.args(args).envs(self.shared.iter().cloned()).env("REND_DATA_DIR", self.folder.join("none"));
        rend.stdin(Stdio::null()).output().unwrap()
    }

    /// What `rend show` says of an asset, once it can be asked.
    pub(crate) fn asset(&self, id: &str) -> Option<Value> {
        let output = self.rend(&["show", id, "--json"]);
        output.status.success().then(|| serde_json::from_slice(&output.stdout).unwrap())
    }

    /// Where the API answers.
    pub(crate) fn api(&self) -> String {
        self.shared.iter().find(|(name, _)| name == "REND_API_BASE").unwrap().1.clone()
    }

    /// What was said so far, by everybody.
    pub(crate) fn logs(&self) -> String {
        let log = |name: &str| fs::read_to_string(self.folder.join(format!("{name}.log"))).unwrap_or_default();
        ["api", "worker", "ash-1", "ams-1"].map(log).join("\n")
    }

    fn command(&self, program: &str, under: &[&str]) -> Command {
        let path = Path::new(REND).parent().unwrap().join(program);
        let mut words = under.iter().map(Path::new).chain([path.as_path()]);
        let mut command = Command::new(words.next().unwrap());
        command.args(words).envs(self.shared.iter().cloned()).stdin(Stdio::null());
        command
    }

    fn spawn(&mut self, name: &'static str, under: &[&str], more: impl FnOnce(&mut Command) -> &mut Command) {
        let log = fs::File::options().create(true).append(true).open(self.folder.join(format!("{name}.log"))).unwrap();
        let program = if matches!(name, "api" | "worker") { "rend-api" } else { "rend-edge" };
        let mut command = self.command(program, under);
        command.stdout(log.try_clone().unwrap()).stderr(log);
        let child = more(&mut command).spawn().unwrap();
        self.children.push((name, child));
    }

    fn wait_for(&mut self, name: &str, address: &str) {
        for _ in 0..1200 {
            if std::net::TcpStream::connect(address).is_ok() {
                return;
            }
            pause();
        }
        panic!("{name} does not answer: {}", self.logs());
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        for (_, child) in &mut self.children {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// A moment, before something is looked at again.
#[expect(clippy::disallowed_methods, reason = "a test waits for processes")]
pub(crate) fn pause() {
    thread::sleep(Duration::from_millis(50));
}

/// The names of the steps that failed.
pub(crate) fn failed_steps(report: &Value) -> Vec<String> {
    let steps = report["steps"].as_array().unwrap().iter().filter(|step| step["verdict"] == "fail");
    steps.map(|step| step["name"].as_str().unwrap().to_owned()).collect()
}

/// The programs of the fleet are built by their own packages, not by this one.
fn build() {
    static BUILT: Once = Once::new();
    BUILT.call_once(|| {
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["build", "-q", "-p", "rend-api", "-p", "rend-edge"]);
        assert!(cargo.status().unwrap().success());
    });
}

/// The URL of an empty database on the server of the test run.
fn own_database() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let server = ProcessVars
        .get("REND_TEST_POSTGRES_URL")
        .expect("REND_TEST_POSTGRES_URL is not set; `cargo xtask test` starts one");
    let name = format!("fleet_{}_{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    let made = Command::new("psql").args([&server, "-X", "-q", "-c", &format!("CREATE DATABASE {name}")]).output();
    let made = made.expect("psql comes with PostgreSQL");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let (place, _) = server.rsplit_once('/').unwrap();
    format!("{place}/{name}?sslmode=disable")
}
