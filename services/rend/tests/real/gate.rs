//! The gate against the real thing: it passes when all is well, and names the step when something is not.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use crate::common::{REND, Up, clip, pause};
use serde_json::Value;

fn report(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|_| panic!("no report: {}", String::from_utf8_lossy(&output.stderr)))
}

fn failed_steps(report: &Value) -> Vec<String> {
    let steps = report["steps"].as_array().unwrap().iter().filter(|step| step["verdict"] == "fail");
    steps.map(|step| step["name"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn the_gate_passes_on_a_healthy_installation() {
    let folder = tempfile::tempdir().unwrap();
    let up = Up::start(&folder.path().join("data"), &[]);
    let output = up.rend(&["gate", "--target", "embedded", "--json"]);
    let report = report(&output);
    assert!(failed_steps(&report).is_empty(), "{report}");
    assert!(output.status.success(), "{report}");
    assert!(up.assets().is_empty(), "the gate leaves nothing behind");
    let latest = fs::read_to_string(up.data.join("readiness/playback-readiness-latest.json")).unwrap();
    assert_eq!(serde_json::from_str::<Value>(&latest).unwrap(), report);
    assert!(!latest.contains("127.0.0.1") && !latest.contains("rt1."));
}

#[test]
fn altered_bytes_in_the_object_store_are_found_and_never_served_whole() {
    let folder = tempfile::tempdir().unwrap();
    let up = Up::start(&folder.path().join("data"), &[]);
    let clip = clip(folder.path(), 4);
    let asset: Value =
        serde_json::from_str(&up.rend_ok(&["upload", clip.to_str().unwrap(), "--wait", "--json"])).unwrap();
    let id = asset["id"].as_str().unwrap();
    let whole = up.rend(&["gate", "--json", "--asset", id]);
    assert!(failed_steps(&report(&whole)).is_empty(), "{}", report(&whole));
    let altered = alter(&up.data.join("objects"), "segment_00000.m4s");
    assert!(altered > 0, "there is a segment to alter");
    let output = up.rend(&["gate", "--json", "--asset", id]);
    assert!(!output.status.success());
    let report = report(&output);
    assert_eq!(failed_steps(&report), ["asset"], "{report}");
    assert!(report["reasons"].to_string().contains("segment_00000.m4s"), "{report}");
}

#[test]
fn a_cache_folder_that_can_not_be_written_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    fs::create_dir_all(data.join("cache")).unwrap();
    let up = Up::start(&data, &[]);
    let _read_only = ReadOnly::over(&data.join("cache"));
    // Readiness is sampled on a clock of its own.
    let mut steps = Vec::new();
    for _ in 0..200 {
        let output = up.rend(&["gate", "--json"]);
        assert!(!output.status.success());
        steps = failed_steps(&report(&output));
        if steps == ["ready"] {
            break;
        }
        pause();
    }
    assert_eq!(steps, ["ready"]);
    drop(up);
}

#[test]
fn an_edge_with_another_signing_secret_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let fleet = Fleet::start(folder.path(), "0123456789-another-secret-for-the-edge-alone-abcdef");
    let output = fleet.gate();
    assert!(!output.status.success());
    let report = report(&output);
    let failed = failed_steps(&report);
    assert!(failed.contains(&"edge_miss_hit".to_owned()), "{report}");
    assert!(report["reasons"].to_string().contains("401"), "{report}");
}

#[test]
fn the_same_gate_passes_on_processes_of_their_own() {
    let folder = tempfile::tempdir().unwrap();
    let fleet = Fleet::start(folder.path(), SECRET);
    let report = report(&fleet.gate());
    assert!(failed_steps(&report).is_empty(), "{report}");
}

const SECRET: &str = "0123456789-a-secret-for-these-tests-alone-abcdefghij";

/// `rend-api serve`, `rend-api worker media` and `rend-edge` as three processes over one database and one folder.
struct Fleet {
    children: Vec<Child>,
    vars: Vec<(String, String)>,
}

impl Fleet {
    fn start(folder: &Path, edge_secret: &str) -> Self {
        let port = || std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
        let (api, private, edge, edge_private) = (port(), port(), port(), port());
        let path = |name: &str| folder.join(name).display().to_string();
        let vars: Vec<(String, String)> = [
            ("DATABASE_URL", format!("sqlite:{}", path("rend.db"))),
            ("REND_OBJECT_STORE_DIR", path("objects")),
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
            ("REND_PLAYBACK_SIGNING_SECRET", SECRET.into()),
            ("REND_EDGE_INTERNAL_TOKEN", "edge-token-for-these-tests-0123456789abcdef".into()),
            ("REND_INTERNAL_TELEMETRY_TOKEN", "telemetry-token-for-these-tests-0123456789".into()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into();
        let programs = Path::new(REND).parent().unwrap();
        let log = fs::File::create(folder.join("fleet.log")).unwrap();
        let spawn = |program: &str, args: &[&str], secret: &str| {
            let mut command = Command::new(programs.join(program));
            command.args(args).envs(vars.iter().cloned()).env("REND_PLAYBACK_SIGNING_SECRET", secret);
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log.try_clone().unwrap()).spawn().unwrap()
        };
        build();
        let mut fleet = Self { children: vec![spawn("rend-api", &["serve"], SECRET)], vars: vars.clone() };
        wait_for(&api);
        fleet.children.push(spawn("rend-api", &["worker", "media"], SECRET));
        fleet.children.push(spawn("rend-edge", &[], edge_secret));
        wait_for(&edge);
        let key = first_key(&folder.join("rend.db"));
        fleet.vars.extend([
            ("REND_API_BASE".to_owned(), format!("http://{api}")),
            ("REND_API_KEY".to_owned(), key),
            ("REND_READINESS_EDGES".to_owned(), format!("local-edge-001=local=http://{edge}=http://{edge_private}")),
            ("REND_DATA_DIR".to_owned(), path("none")),
        ]);
        fleet
    }

    fn gate(&self) -> Output {
        let mut command = Command::new(REND);
        command.args(["gate", "--target", "configured", "--json"]).envs(self.vars.iter().cloned());
        command.stdin(Stdio::null()).output().unwrap()
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        for child in &mut self.children {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// The programs of the fleet are built by their own packages, not by this one.
fn build() {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "-q", "-p", "rend-api", "-p", "rend-edge"]);
    assert!(cargo.status().unwrap().success());
}

fn wait_for(address: &str) {
    for _ in 0..1200 {
        if std::net::TcpStream::connect(address).is_ok() {
            return;
        }
        pause();
    }
    panic!("nothing answers at {address}");
}

/// A key for everything, written into the database as `rend up` does on its first start.
fn first_key(database: &Path) -> String {
    use rend_core::time::Clock;
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let store = rend_storage::sqlite::Sqlite::open(database).unwrap();
        let scopes = rend_core::credential::Scopes::ALL;
        let now = rend_shell::SystemClock::start().wall();
        rend_api::make_key(&store, rend_api::config::SOLE_ORG, "tests", scopes, None, now).await.unwrap().1
    })
}

/// Turns the last byte of every object whose key ends so, and answers how many there were.
fn alter(objects: &Path, name: &str) -> usize {
    let mut altered = 0;
    let mut folders = vec![objects.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path: PathBuf = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.parent().is_some_and(|parent| parent.to_string_lossy().contains(name))
                || path.to_string_lossy().contains(name)
            {
                let mut bytes = fs::read(&path).unwrap();
                *bytes.last_mut().unwrap() ^= 1;
                fs::write(&path, bytes).unwrap();
                altered += 1;
            }
        }
    }
    altered
}

/// A folder that is read-only, also for root: by a read-only mount of itself over itself, or by its mode where the user
/// is not root.
struct ReadOnly {
    folder: PathBuf,
    mounted: bool,
}

impl ReadOnly {
    fn over(folder: &Path) -> Self {
        let mount = |args: &[&str]| {
            let mut command = Command::new("mount");
            command.args(args).arg(folder).stderr(Stdio::null());
            command.status().is_ok_and(|status| status.success())
        };
        let itself = folder.display().to_string();
        let mounted = mount(&["--bind", &itself]) && mount(&["-o", "remount,bind,ro"]);
        if !mounted {
            let mut folders = vec![folder.to_path_buf()];
            while let Some(folder) = folders.pop() {
                folders.extend(
                    fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()),
                );
                set_mode(&folder, 0o555);
            }
        }
        let writable = fs::write(folder.join("probe"), b"").is_ok();
        assert!(!writable, "this test needs the right to mount, or a user that is not root");
        Self { folder: folder.to_path_buf(), mounted }
    }
}

impl Drop for ReadOnly {
    fn drop(&mut self) {
        if self.mounted {
            let _ = Command::new("umount").arg("-l").arg(&self.folder).status();
        } else {
            set_mode(&self.folder, 0o755);
        }
    }
}

fn set_mode(folder: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(folder, fs::Permissions::from_mode(mode)).unwrap();
}
