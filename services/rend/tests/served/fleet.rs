//! `rend-api serve`, `rend-api worker media` and `rend-edge` as three processes over the servers of the test run.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use rend_core::config::Vars;
use rend_core::time::Clock;
use rend_shell::{ProcessVars, SystemClock};
use rend_storage::clickhouse::{ClickHouse, ClickHouseConfig};
use rend_storage::s3::{S3Config, S3Objects};
use rend_storage::sqlite::Sqlite;

/// The program under test.
const REND: &str = env!("CARGO_BIN_EXE_rend");

/// The bearer of the ingest.
pub(crate) const TELEMETRY_TOKEN: &str = "telemetry-token-for-these-tests-0123456789";

/// The three, running.
pub(crate) struct Fleet {
    children: Vec<(&'static str, Child)>,
    vars: Vec<(String, String)>,
    /// Where the API answers edges.
    pub(crate) private: String,
    /// The bucket as the processes see it.
    pub(crate) objects: S3Config,
    /// ClickHouse as the processes see it.
    pub(crate) served: ClickHouseConfig,
}

impl Fleet {
    /// Starts them in `folder`, with a prefix of the bucket and a database of ClickHouse of their own.
    pub(crate) fn start(folder: &Path) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        rend_shell::install_tls();
        let given =
            |name: &str| ProcessVars.get(name).unwrap_or_else(|| panic!("{name} is not set; run `cargo xtask test`"));
        let own = format!("served_{}_{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let mut objects = S3Config::new(
            &given("REND_TEST_S3_ENDPOINT"),
            "us-east-1",
            &given("REND_TEST_S3_BUCKET"),
            &given("REND_TEST_S3_ACCESS_KEY"),
            &given("REND_TEST_S3_SECRET_KEY"),
        );
        objects.prefix = format!("{own}/");
        let served = ClickHouseConfig::new(
            &given("REND_TEST_CLICKHOUSE_URL"),
            &own,
            &given("REND_TEST_CLICKHOUSE_USER"),
            &given("REND_TEST_CLICKHOUSE_PASSWORD"),
        );

        let port = || std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
        let (api, private, edge, edge_private) = (port(), port(), port(), port());
        let path = |name: &str| folder.join(name).display().to_string();
        let vars: Vec<(String, String)> = [
            ("DATABASE_URL", format!("sqlite:{}", path("rend.db"))),
            ("S3_ENDPOINT", objects.endpoint.clone()),
            ("S3_BUCKET", objects.bucket.clone()),
            ("S3_PREFIX", objects.prefix.clone()),
            ("AWS_ACCESS_KEY_ID", objects.access_key.clone()),
            ("AWS_SECRET_ACCESS_KEY", objects.secret_key.clone()),
            ("CLICKHOUSE_URL", served.url.clone()),
            ("CLICKHOUSE_DATABASE", served.database.clone()),
            ("CLICKHOUSE_USER", served.user.clone()),
            ("CLICKHOUSE_PASSWORD", served.password.clone()),
            ("REND_API_BIND_ADDR", api.clone()),
            ("REND_API_PRIVATE_BIND_ADDR", private.clone()),
            ("REND_EDGE_BIND_ADDR", edge.clone()),
            ("REND_EDGE_PRIVATE_BIND_ADDR", edge_private.clone()),
            ("REND_SITE_BASE_URL", format!("http://{api}")),
            ("REND_PLAYBACK_BASE_URL", format!("http://{edge}")),
            ("REND_EDGE_BASE_URL", format!("http://{edge}")),
            ("REND_EDGE_PRIVATE_URL", format!("http://{edge_private}")),
            ("REND_CONTROL_PLANE_URL", format!("http://{private}")),
            ("REND_EDGE_CACHE_DIR", path("cache")),
            ("REND_EDGE_TELEMETRY_SPOOL_DIR", path("spool")),
            ("REND_EDGE_HEARTBEAT_INTERVAL_SECS", "1".into()),
            ("REND_PLAYBACK_SIGNING_KEY_ID", "tests".into()),
            ("REND_PLAYBACK_SIGNING_SECRET", "0123456789-a-secret-for-these-tests-alone-abcdefghij".into()),
            ("REND_EDGE_INTERNAL_TOKEN", "edge-token-for-these-tests-0123456789abcdef".into()),
            ("REND_INTERNAL_TELEMETRY_TOKEN", TELEMETRY_TOKEN.into()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into();
        build();
        let programs = Path::new(REND).parent().unwrap();
        let spawn = |name: &'static str, program: &str, args: &[&str]| {
            let log = fs::File::create(folder.join(format!("{name}.log"))).unwrap();
            let mut command = Command::new(programs.join(program));
            command.args(args).envs(vars.iter().cloned()).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
            (name, command.spawn().unwrap())
        };
        let mut fleet = Self {
            children: vec![spawn("api", "rend-api", &["serve"])],
            vars: vars.clone(),
            private: format!("http://{private}"),
            objects,
            served,
        };
        wait_for(&api, &folder.join("api.log"));
        fleet.children.push(spawn("worker", "rend-api", &["worker", "media"]));
        fleet.children.push(spawn("edge", "rend-edge", &[]));
        wait_for(&edge, &folder.join("edge.log"));
        fleet.vars.extend([
            ("REND_API_BASE".to_owned(), format!("http://{api}")),
            ("REND_API_KEY".to_owned(), first_key(&folder.join("rend.db"))),
            ("REND_READINESS_EDGES".to_owned(), format!("local-edge-001=local=http://{edge}=http://{edge_private}")),
            ("REND_DATA_DIR".to_owned(), path("none")),
        ]);
        fleet
    }

    /// `rend` with `args`, told of this fleet.
    pub(crate) fn rend(&self, args: &[&str]) -> Output {
        Command::new(REND).args(args).envs(self.vars.iter().cloned()).stdin(Stdio::null()).output().unwrap()
    }

    /// What the three and their callers are told under `name`.
    pub(crate) fn var(&self, name: &str) -> String {
        self.vars.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone()).unwrap()
    }

    /// Kills the API as a machine that loses its power does, and starts it again.
    pub(crate) fn restart_api(&mut self, folder: &Path) {
        let (_, api) = &mut self.children[0];
        api.kill().unwrap();
        api.wait().unwrap();
        let log = fs::File::options().append(true).open(folder.join("api.log")).unwrap();
        let mut command = Command::new(Path::new(REND).parent().unwrap().join("rend-api"));
        command.arg("serve").envs(self.vars.iter().cloned()).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        self.children[0] = ("api", command.spawn().unwrap());
        wait_for(&self.var("REND_API_BIND_ADDR"), &folder.join("api.log"));
    }

    /// The bucket.
    pub(crate) fn objects(&self) -> S3Objects {
        S3Objects::new(&self.objects).unwrap()
    }

    /// What edges served.
    pub(crate) fn served(&self) -> ClickHouse {
        ClickHouse::new(&self.served).unwrap()
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

/// Runs a future to its end.
pub(crate) fn block_on<F: Future>(f: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(f)
}

/// A moment, before something is looked at again.
#[expect(clippy::disallowed_methods, reason = "a test waits for processes")]
pub(crate) fn pause() {
    thread::sleep(Duration::from_millis(50));
}

/// The programs of the fleet are built by their own packages, not by this one.
fn build() {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "-q", "-p", "rend-api", "-p", "rend-edge"]);
    assert!(cargo.status().unwrap().success());
}

fn wait_for(address: &str, log: &Path) {
    for _ in 0..1200 {
        if std::net::TcpStream::connect(address).is_ok() {
            return;
        }
        pause();
    }
    panic!("nothing answers at {address}: {}", fs::read_to_string(log).unwrap_or_default());
}

/// A key for everything, written into the database as `rend up` does on its first start.
fn first_key(database: &Path) -> String {
    block_on(async {
        let store = Sqlite::open(database).unwrap();
        let scopes = rend_core::credential::Scopes::ALL;
        let now = SystemClock::start().wall();
        rend_api::make_key(&store, rend_api::config::SOLE_ORG, "tests", scopes, None, now).await.unwrap().1
    })
}
