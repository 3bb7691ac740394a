//! `rend-api serve` twice, `rend-api worker media` and `rend-edge` twice, running.

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

use crate::engines::{Engine, Leave, family, given, signal};
use crate::gate::expect_no_secrets;
use crate::ways::Ways;

/// The processes, in the order in which they are started.
pub(crate) const APIS: [&str; 2] = ["api-a", "api-b"];
/// See [`APIS`].
pub(crate) const WORKER: &str = "worker";
/// See [`APIS`]. Each tells the API at its own place what it serves, and hears from it what to forget.
pub(crate) const EDGES: [&str; 2] = ["ash-1", "ams-1"];
/// Whoever looks from outside: callers, viewers, the gate.
pub(crate) const OUTSIDE: &str = "outside";

/// The folder of the programs under test: where this one was built, or where `REND_TEST_PROGRAMS` says, so that a long run
/// is not disturbed by a build.
fn programs() -> PathBuf {
    let built = || Path::new(env!("CARGO_BIN_EXE_rend")).parent().unwrap().to_path_buf();
    ProcessVars.get("REND_TEST_PROGRAMS").map_or_else(built, PathBuf::from)
}

/// Where the edges are said to be.
const REGIONS: [&str; 2] = ["us-east", "europe-west"];
/// What signs playback tokens.
pub(crate) const SECRET: &str = "0123456789-a-secret-for-these-tests-alone-abcdefghij";
/// What edges and APIs show each other.
pub(crate) const EDGE_TOKEN: &str = "edge-token-for-these-tests-0123456789abcdef";
/// What opens the database.
pub(crate) const DATABASE_PASSWORD: &str = "database-password-for-these-tests-alone";
/// What edges show when they tell what they served.
pub(crate) const TELEMETRY_TOKEN: &str = "telemetry-token-for-these-tests-0123456789";

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

/// The processes and the ways between them.
pub(crate) struct Fleet {
    processes: Vec<Process>,
    /// What tools are told.
    told: Vec<(String, String)>,
    folder: PathBuf,
    /// The network.
    pub(crate) ways: Ways,
    /// Where callers reach each API.
    pub(crate) apis: [String; 2],
    /// Where viewers reach each edge.
    pub(crate) edges: [String; 2],
    /// Where scrapers reach the private listeners: both APIs, both edges.
    pub(crate) private: [String; 4],
    /// Where each edge really listens for viewers, for those whose address it is to see.
    pub(crate) doors: [String; 2],
    /// A key for everything.
    pub(crate) key: String,
    /// The database of ClickHouse that holds what edges served.
    served: String,
    database: String,
    // Last, so that the servers are left to others only when nothing runs over them any more.
    _leave: Leave,
}

/// One process, and how it is started again.
struct Process {
    name: &'static str,
    under: Vec<&'static str>,
    program: &'static str,
    args: &'static [&'static str],
    vars: Vec<(String, String)>,
    /// Where it answers, when it does.
    at: Option<String>,
    child: Option<Child>,
}

impl Fleet {
    /// Starts them in `folder` over databases of their own, beside other tests.
    pub(crate) fn start(folder: &Path, second: &Second) -> Self {
        Self::with(Leave::shared(), folder, second, &[])
    }

    /// The same with the servers to itself, and with `more` variables for everybody.
    pub(crate) fn alone(folder: &Path, more: &[(&str, &str)]) -> Self {
        Self::with(Leave::alone(), folder, &Second::default(), more)
    }

    fn with(leave: Leave, folder: &Path, second: &Second, more: &[(&str, &str)]) -> Self {
        rend_shell::install_tls();
        build();
        let own = own_name();
        let database = own_database(&own);
        let url = |engine: Engine| if engine == Engine::Postgres { database.clone() } else { engine.url() };
        let mut ways = Ways::default();
        let listen: [[String; 2]; 4] = [(); 4].map(|()| [own_address(), own_address()]);
        let [a, b, first, other] = &listen;
        let mut outside = |to, at: &str| ways.lay(OUTSIDE, to, &format!("http://{at}"));
        let apis = [outside(APIS[0], &a[0]), outside(APIS[1], &b[0])];
        let edges = [outside(EDGES[0], &first[0]), outside(EDGES[1], &other[0])];
        let private = [
            outside(APIS[0], &a[1]),
            outside(APIS[1], &b[1]),
            outside(EDGES[0], &first[1]),
            outside(EDGES[1], &other[1]),
        ];
        let expected = [0, 1].map(|n| format!("{}={}={}={}", EDGES[n], REGIONS[n], edges[n], private[n + 2])).join(",");

        let mut shared = vec![
            ("REND_DATABASE_CONNECT_TIMEOUT_SECS", "1".to_owned()),
            ("REND_DATABASE_STATEMENT_TIMEOUT_SECS", "2".into()),
            ("S3_BUCKET", given("REND_TEST_S3_BUCKET")),
            ("S3_PREFIX", format!("{own}/")),
            ("AWS_ACCESS_KEY_ID", given("REND_TEST_S3_ACCESS_KEY")),
            ("AWS_SECRET_ACCESS_KEY", given("REND_TEST_S3_SECRET_KEY")),
            ("CLICKHOUSE_DATABASE", own.clone()),
            ("CLICKHOUSE_USER", given("REND_TEST_CLICKHOUSE_USER")),
            ("CLICKHOUSE_PASSWORD", given("REND_TEST_CLICKHOUSE_PASSWORD")),
            ("REND_SITE_BASE_URL", apis[0].clone()),
            ("REND_PLAYBACK_BASE_URL", edges[0].clone()),
            ("REND_EXPECTED_EDGES", expected.clone()),
            ("REND_EDGE_HEARTBEAT_INTERVAL_SECS", "1".into()),
            ("REND_EDGE_TELEMETRY_FLUSH_INTERVAL_SECS", "1".into()),
            ("REND_MEDIA_JOB_LOCK_TIMEOUT_SECS", "8".into()),
            ("REND_MEDIA_JOB_MAX_ATTEMPTS", "20".into()),
            ("REND_PLAYBACK_SIGNING_KEY_ID", "tests".into()),
            ("REND_PLAYBACK_SIGNING_SECRET", SECRET.into()),
            ("REND_EDGE_INTERNAL_TOKEN", EDGE_TOKEN.into()),
            ("REND_INTERNAL_TELEMETRY_TOKEN", TELEMETRY_TOKEN.into()),
        ];
        shared.extend(more.iter().map(|(name, value)| (*name, (*value).to_owned())));
        let shared: Vec<(String, String)> = shared.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();

        let mut processes = Vec::new();
        let mut add = |name, under: &[&'static str], program, args, at: Option<&String>, own: Vec<(&str, String)>| {
            let mut vars = shared.clone();
            for engine in Engine::ALL {
                let variable = match engine {
                    Engine::Postgres => "DATABASE_URL",
                    Engine::Redis => "REND_REDIS_URL",
                    Engine::Seaweedfs => "S3_ENDPOINT",
                    Engine::ClickHouse => "CLICKHOUSE_URL",
                };
                // An edge knows objects and nothing else.
                if engine == Engine::Seaweedfs || !EDGES.contains(&name) {
                    vars.push((variable.to_owned(), ways.lay(name, engine.name(), &url(engine))));
                }
            }
            vars.extend(own.into_iter().map(|(name, value)| (name.to_owned(), value)));
            processes.push(Process { name, under: under.to_vec(), program, args, vars, at: at.cloned(), child: None });
        };
        for (name, [public, inner]) in APIS.into_iter().zip(&listen) {
            let own = vec![("REND_API_BIND_ADDR", public.clone()), ("REND_API_PRIVATE_BIND_ADDR", inner.clone())];
            add(name, &[], "rend-api", &["serve"], Some(public), own);
        }
        let scratch = folder.join("tmp");
        fs::create_dir_all(&scratch).unwrap();
        add(WORKER, &[], "rend-api", &["worker", "media"], None, vec![("TMPDIR", scratch.display().to_string())]);
        for n in [0, 1] {
            let [public, inner] = &listen[n + 2];
            let below = |name: &str| folder.join(EDGES[n]).join(name);
            let usual = Second::default();
            let odd = if n == 1 { second } else { &usual };
            let mut own = vec![
                ("REND_EDGE_ID", EDGES[n].to_owned()),
                ("REND_EDGE_REGION", REGIONS[n].to_owned()),
                ("REND_EDGE_BIND_ADDR", public.clone()),
                ("REND_EDGE_PRIVATE_BIND_ADDR", inner.clone()),
                ("REND_EDGE_BASE_URL", edges[n].clone()),
                ("REND_EDGE_PRIVATE_URL", private[n + 2].clone()),
                ("REND_EDGE_CACHE_DIR", odd.cache.clone().unwrap_or_else(|| below("cache")).display().to_string()),
                ("REND_EDGE_TELEMETRY_SPOOL_DIR", below("spool").display().to_string()),
            ];
            own.extend(odd.secret.map(|secret| ("REND_PLAYBACK_SIGNING_SECRET", secret.to_owned())));
            add(EDGES[n], &odd.under, "rend-edge", &[], Some(public), own);
        }
        for n in [0, 1] {
            let home = ways.lay(EDGES[n], APIS[n], &format!("http://{}", listen[n][1]));
            processes[n + 3].vars.push(("REND_CONTROL_PLANE_URL".into(), home));
        }

        let mut fleet = Self {
            processes,
            told: Vec::new(),
            folder: folder.to_path_buf(),
            ways,
            apis,
            edges,
            private,
            doors: [listen[2][0].clone(), listen[3][0].clone()],
            key: String::new(),
            served: own,
            database,
            _leave: leave,
        };
        fleet.first_run();
        // As a stack leaves it for its tools.
        let told = [
            ("REND_API_BASE", fleet.apis[0].clone()),
            ("REND_API_KEY", fleet.key.clone()),
            ("REND_EDGE_INTERNAL_TOKEN", EDGE_TOKEN.to_owned()),
            ("REND_READINESS_EDGES", expected),
        ];
        let text: String = told.iter().map(|(name, value)| format!("{name}={value}\n")).collect();
        fs::write(folder.join("stack.env"), text).unwrap();
        fleet.told = told.map(|(name, value)| (name.to_owned(), value)).into();
        fleet
    }

    /// Makes the schemas and the first key, and starts everything.
    fn first_run(&mut self) {
        let once = |args: &[&str]| {
            let done = self.processes[0].command(args).output().unwrap();
            assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
            String::from_utf8(done.stdout).unwrap().trim().to_owned()
        };
        once(&["migrate"]);
        self.key = once(&["key", "tests"]);
        for name in APIS.into_iter().chain([WORKER]).chain(EDGES) {
            self.begin(name);
        }
    }

    /// Starts the process of this name and waits until it answers.
    pub(crate) fn begin(&mut self, name: &str) {
        let log = self.folder.join(format!("{name}.log"));
        let process = self.process(name);
        process.spawn(&log);
        let Some(at) = process.at.clone() else { return };
        for _ in 0..1200 {
            if std::net::TcpStream::connect(&at).is_ok() {
                return;
            }
            pause();
        }
        panic!("{name} does not answer: {}", self.logs());
    }

    /// SIGKILL to it.
    pub(crate) fn kill(&mut self, name: &str) {
        if let Some(mut child) = self.process(name).child.take() {
            signal("KILL", &family(child.id()));
            child.wait().unwrap();
        }
    }

    /// SIGSTOP to it, until [`Fleet::go_on`].
    pub(crate) fn stop(&mut self, name: &str) {
        signal("STOP", &[self.pid(name)]);
    }

    /// SIGCONT to it.
    pub(crate) fn go_on(&mut self, name: &str) {
        signal("CONT", &[self.pid(name)]);
    }

    fn pid(&mut self, name: &str) -> u32 {
        self.process(name).child.as_ref().unwrap().id()
    }

    fn process(&mut self, name: &str) -> &mut Process {
        self.processes.iter_mut().find(|process| process.name == name).unwrap()
    }

    /// The gate's report on the two edges, and whether it let viewers in.
    pub(crate) fn gate(&self) -> (bool, Value) {
        let mut gate = Command::new(programs().join("rend"));
        gate.args(["gate", "--target", "local-two-edge", "--json"]).env("REND_DATA_DIR", &self.folder);
        judged(&gate.stdin(Stdio::null()).output().unwrap())
    }

    /// The same of edges that are named on the command line.
    pub(crate) fn gate_of(&self, edges: &str) -> (bool, Value) {
        judged(&self.rend(&["gate", "--target", "configured", "--edges", edges, "--json"]))
    }

    /// `rend` with `args`, told of this fleet.
    pub(crate) fn rend(&self, args: &[&str]) -> Output {
        let mut rend = Command::new(programs().join("rend"));
        rend.args(args).envs(self.told.iter().cloned()).env("REND_DATA_DIR", self.folder.join("none"));
        rend.stdin(Stdio::null()).output().unwrap()
    }

    /// What `rend show` says of an asset, once it can be asked.
    pub(crate) fn asset(&self, id: &str) -> Option<Value> {
        let output = self.rend(&["show", id, "--json"]);
        output.status.success().then(|| serde_json::from_slice(&output.stdout).unwrap())
    }

    /// What ClickHouse answers to a question about what edges served, asked past all that is between.
    pub(crate) async fn served(&self, question: &str) -> String {
        let client = reqwest::Client::builder().timeout(Duration::from_secs(30)).build().unwrap();
        let asked = client
            .post(Engine::ClickHouse.url())
            .query(&[("database", &self.served)])
            .header("X-ClickHouse-User", given("REND_TEST_CLICKHOUSE_USER"))
            .header("X-ClickHouse-Key", given("REND_TEST_CLICKHOUSE_PASSWORD"))
            .body(question.to_owned());
        let answer = asked.send().await.unwrap();
        assert!(answer.status().is_success(), "{question}: {}", answer.text().await.unwrap());
        answer.text().await.unwrap()
    }

    /// The folder of logs, caches and spools, each process's under its name.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The URL of the database, with its password.
    pub(crate) fn database(&self) -> &str {
        &self.database
    }

    /// What was said so far, by everybody.
    pub(crate) fn logs(&self) -> String {
        let log = |process: &Process| {
            fs::read_to_string(self.folder.join(format!("{}.log", process.name))).unwrap_or_default()
        };
        self.processes.iter().map(log).collect::<Vec<_>>().join("\n")
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        // A test that failed in the middle may have left a server stopped.
        if matches!(self._leave, Leave::Alone { .. }) {
            Engine::ALL.into_iter().for_each(Engine::go_on);
        }
        for child in self.processes.iter_mut().filter_map(|process| process.child.as_mut()) {
            // What stands before a program may run it as a child, which would outlive it.
            signal("KILL", &family(child.id()));
            let _ = child.wait();
        }
    }
}

impl Process {
    fn command(&self, args: &[&str]) -> Command {
        let path = programs().join(self.program);
        let mut words = self.under.iter().map(Path::new).chain([path.as_path()]);
        let mut command = Command::new(words.next().unwrap());
        command.args(words).args(args).envs(self.vars.iter().cloned()).stdin(Stdio::null());
        command
    }

    fn spawn(&mut self, log: &Path) {
        let said = fs::File::options().create(true).append(true).open(log).unwrap();
        let mut command = self.command(self.args);
        command.stdout(said.try_clone().unwrap()).stderr(said);
        self.child = Some(command.spawn().unwrap());
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

fn judged(output: &Output) -> (bool, Value) {
    let report = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|_| panic!("no report: {}", String::from_utf8_lossy(&output.stderr)));
    expect_no_secrets("a report of the gate", &String::from_utf8_lossy(&output.stdout));
    (output.status.success(), report)
}

/// The programs of the fleet are built by their own packages, not by this one; whoever has done so says it.
fn build() {
    static BUILT: Once = Once::new();
    if ["REND_TEST_BUILT", "REND_TEST_PROGRAMS"].iter().any(|name| ProcessVars.get(name).is_some()) {
        return;
    }
    BUILT.call_once(|| {
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["build", "-q", "-p", "rend-api", "-p", "rend-edge"]);
        assert!(cargo.status().unwrap().success());
    });
}

/// An address that nobody listens at and that no connection is given by chance: it lies below the ports that systems hand
/// out, since a process may start again there long after.
fn own_address() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    loop {
        let port = 20_000 + (std::process::id() * 61 + NEXT.fetch_add(1, Ordering::Relaxed)) % 12_000;
        let at = format!("127.0.0.1:{port}");
        if std::net::TcpListener::bind(&at).is_ok() {
            return at;
        }
    }
}

/// A name for everything that one fleet has on the servers.
fn own_name() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("fleet_{}_{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// The URL of an empty database of this name on the server of the test run.
fn own_database(name: &str) -> String {
    let server = Engine::Postgres.url();
    let made = Command::new("psql").args([&server, "-X", "-q", "-c", &format!("CREATE DATABASE {name}")]).output();
    let made = made.expect("psql comes with PostgreSQL");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let (place, _) = server.rsplit_once('/').unwrap();
    // The server asks for none, and takes any.
    let place = place.replacen('@', &format!(":{DATABASE_PASSWORD}@"), 1);
    format!("{place}/{name}?sslmode=disable")
}
