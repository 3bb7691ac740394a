//! `rend up`: everything on this machine, in one process, on embedded stores.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;
use rend_api::config::{ApiConfig, SOLE_ORG, tickets};
use rend_api::{Bus, Deps, State, Stores, make_key};
use rend_core::config::{Role, Settings, Vars, check, env_line, env_text, profile_of, variable as v};
use rend_core::credential::Scopes;
use rend_core::time::Clock;
use rend_shell::metrics::Metrics;
use rend_shell::{Listening, ProcessVars, SystemClock, bind, entropy, init_logs, shutdown_on_signals, spawn};
use rend_storage::fs::FsObjects;
use rend_storage::sqlite::Sqlite;
use serde_json::json;

use crate::Outcome;

/// Where the data lies, and on which ports to answer.
#[derive(Args)]
pub(crate) struct UpArgs {
    /// Where everything is kept [default: `REND_DATA_DIR`, else .rend]
    #[arg(long)]
    data_dir: Option<PathBuf>,
    /// Answer on any free ports in place of the configured ones; up.json in the data folder says which
    #[arg(long)]
    any_port: bool,
}

/// The version of what the data folder holds. One that is higher was written by a newer Rend.
const DATA_VERSION: u32 = 1;

pub(crate) async fn up(args: UpArgs) -> Outcome {
    let folder = args.data_dir.clone().unwrap_or_else(crate::default_data_dir);
    // Parts of Rend work in folders of their own; what a person is told should hold in any folder as well.
    let folder = std::path::absolute(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    let data = DataDir::open(&folder)?;
    let own = data.secrets()?;
    let listeners = Listeners::bind(&args, &own).await?;
    let settings = settings(&data, &own, &listeners)?;
    let database = data.path.join("rend.db");
    let database = Sqlite::open(&database).map_err(|e| at(&database, &e))?;
    let objects = data.path.join("objects");
    let objects = FsObjects::open(&objects).map_err(|e| at(&objects, &e))?;
    let stores = Stores::embedded(database, objects);
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::start());
    let shutdown = shutdown_on_signals().map_err(|e| e.to_string())?;
    let bus = Bus::default();
    let key = data.api_key(&stores, clock.as_ref()).await?;

    let (ffmpeg, ffprobe) = rend_api::programs(&settings);
    for finding in
        rend_media::doctor(&ffmpeg, &ffprobe).await.iter().filter(|finding| finding.state == rend_media::State::Bad)
    {
        eprintln!(
            "rend up: {}: {}; {} (what is ready plays, new uploads wait)",
            finding.name, finding.detail, finding.fix
        );
    }
    let mut config = ApiConfig::from_settings(&settings);
    config.gate_report = Some(data.path.join("readiness/playback-readiness-latest.json"));
    let deps = Deps {
        stores: stores.clone(),
        clock: Arc::clone(&clock),
        tickets: tickets(&settings).map_err(|e| e.to_string())?,
        bus: bus.clone(),
        shutdown: shutdown.clone(),
    };
    let state = State::new(config, deps).map_err(|e| e.to_string())?;
    let grace = settings.secs(&v::REND_SHUTDOWN_GRACE_SECS);
    let said = listeners.said(&data.path);
    let api = spawn("api", rend_api::serve(state, listeners.api, listeners.api_private, grace));
    let worker = {
        let (settings, stores, clock, shutdown) =
            (settings.clone(), stores.clone(), Arc::clone(&clock), shutdown.clone());
        let scratch = data.path.join("scratch");
        spawn("worker", async move { rend_api::work(&settings, scratch, stores, clock, bus, shutdown).await })
    };
    let edge_config = rend_edge::EdgeConfig::from_settings(&settings).map_err(|e| e.to_string())?;
    let edge_deps = rend_edge::Deps { objects: stores.objects, clock, metrics: Metrics::new() };
    let bound = rend_edge::Bound::over(listeners.edge, listeners.edge_private);
    let edge = rend_edge::start(edge_config, edge_deps, bound, shutdown).await.map_err(|e| e.to_string())?;

    data.say_up(&said)?;
    println!(
        "rend up\n  dashboard  {}/dashboard#key={key}\n  edge       {}\n  data       {}",
        said.api,
        said.edge,
        data.path.display()
    );
    if !rend_api::has_hls_js() {
        println!("  this build has no hls.js: the player uses the browser's own HLS (`cargo xtask web` fetches it)");
    }
    let (api, worker, ()) = tokio::join!(api, worker, edge.ended());
    data.say_down();
    if api.is_err() || worker.is_err() {
        return Err("a part ended in a panic, which is a defect; the lines above say where".into());
    }
    Ok(ExitCode::SUCCESS)
}

/// The folder of one installation: checked, and ours alone while this lives.
struct DataDir {
    path: PathBuf,
    _lock: fs::File,
}

/// Where everything answers.
struct Said {
    api: String,
    api_private: String,
    edge: String,
    edge_private: String,
}

impl DataDir {
    fn open(path: &Path) -> Result<Self, String> {
        let shown = path.display();
        fs::create_dir_all(path).map_err(|e| format!("the data folder {shown} can not be made: {e}"))?;
        let lock = fs::OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(path.join("LOCK"))
            .map_err(|e| format!("the data folder {shown} can not be written to: {e}"))?;
        rustix::fs::flock(&lock, rustix::fs::FlockOperation::NonBlockingLockExclusive).map_err(|_| {
            format!("another `rend up` uses the data folder {shown}; stop it, or name another with --data-dir")
        })?;
        let version = path.join("VERSION");
        match fs::read_to_string(&version) {
            Ok(text) => {
                let found: u32 = text.trim().parse().map_err(|_| format!("{} is not a number", version.display()))?;
                if found > DATA_VERSION {
                    return Err(format!(
                        "the data folder {shown} was written by a newer Rend (version {found}, this one knows {DATA_VERSION}); update rend, nothing was touched"
                    ));
                }
            }
            Err(_) => write_whole(&version, &format!("{DATA_VERSION}\n"))?,
        }
        Ok(Self { path: path.to_path_buf(), _lock: lock })
    }

    /// The secrets of this installation, made on its first start.
    fn secrets(&self) -> Result<BTreeMap<String, String>, String> {
        let path = self.path.join("secrets.env");
        let secret = || entropy::<32>().iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        if let Ok(text) = fs::read_to_string(&path) {
            let mut secrets = env_text(&text).map_err(|e| format!("{}: {e}", path.display()))?;
            // A folder from before there was one gets one of its own, too.
            if !secrets.contains_key("REND_OPERATOR_TOKEN") {
                secrets.insert("REND_OPERATOR_TOKEN".to_owned(), secret());
                write_secrets(&path, &secrets)?;
            }
            return Ok(secrets);
        }
        let secrets: BTreeMap<String, String> = [
            ("REND_PLAYBACK_SIGNING_KEY_ID", "up-1".to_owned()),
            ("REND_PLAYBACK_SIGNING_SECRET", secret()),
            ("REND_EDGE_INTERNAL_TOKEN", secret()),
            ("REND_INTERNAL_TELEMETRY_TOKEN", secret()),
            ("REND_OPERATOR_TOKEN", secret()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into();
        write_secrets(&path, &secrets)?;
        Ok(secrets)
    }

    /// The key for everything, made on the first start. Whoever can read the data folder can use it.
    async fn api_key(&self, stores: &Stores, clock: &dyn Clock) -> Result<String, String> {
        let path = self.path.join("api-key");
        if let Ok(key) = fs::read_to_string(&path) {
            return Ok(key.trim().to_owned());
        }
        let made = make_key(stores.credentials.as_ref(), SOLE_ORG, "rend up", Scopes::ALL, None, clock.wall()).await;
        let (_, key) = made.map_err(|e| format!("the first API key could not be made: {e}"))?;
        write_whole(&path, &format!("{key}\n"))?;
        Ok(key)
    }

    fn say_up(&self, said: &Said) -> Result<(), String> {
        let text = json!({
            "api": said.api, "api_private": said.api_private, "edge": said.edge, "edge_private": said.edge_private,
            "pid": std::process::id(), "version": env!("CARGO_PKG_VERSION"),
        });
        write_whole(&self.path.join("up.json"), &format!("{text}\n"))
    }

    fn say_down(&self) {
        // The next start writes it anew; a stale one is only a wrong hint.
        let _ = fs::remove_file(self.path.join("up.json"));
    }
}

/// The four listeners.
struct Listeners {
    api: Listening,
    api_private: Listening,
    edge: Listening,
    edge_private: Listening,
}

impl Listeners {
    /// Binds before anything else is begun, so that a port in use is the first thing said.
    async fn bind(args: &UpArgs, own: &BTreeMap<String, String>) -> Result<Self, String> {
        let settings = {
            let layers = Layers { first: &BTreeMap::new(), second: &ProcessVars, third: own };
            check(Role::Up, profile_of(&layers), false, &layers).0
        };
        let open = async |variable: &rend_core::config::Variable| {
            let mut at = settings.addr(variable);
            if args.any_port {
                at.set_port(0);
            }
            bind(variable.name, at).await.map_err(|e| e.to_string())
        };
        Ok(Self {
            api: open(&v::REND_API_BIND_ADDR).await?,
            api_private: open(&v::REND_API_PRIVATE_BIND_ADDR).await?,
            edge: open(&v::REND_EDGE_BIND_ADDR).await?,
            edge_private: open(&v::REND_EDGE_PRIVATE_BIND_ADDR).await?,
        })
    }

    fn said(&self, _data: &Path) -> Said {
        let url = |listening: &Listening| format!("http://{}", listening.at);
        Said {
            api: url(&self.api),
            api_private: url(&self.api_private),
            edge: url(&self.edge),
            edge_private: url(&self.edge_private),
        }
    }
}

/// What the process is told, over what the data folder holds, over what the listeners say.
struct Layers<'a> {
    first: &'a BTreeMap<String, String>,
    second: &'a dyn Vars,
    third: &'a BTreeMap<String, String>,
}

impl Vars for Layers<'_> {
    fn get(&self, name: &str) -> Option<String> {
        self.second.get(name).or_else(|| self.first.get(name).cloned()).or_else(|| self.third.get(name).cloned())
    }

    fn names(&self) -> Vec<String> {
        let mut names = self.second.names();
        names.extend(self.first.keys().chain(self.third.keys()).cloned());
        names.sort();
        names.dedup();
        names
    }
}

fn settings(data: &DataDir, own: &BTreeMap<String, String>, listeners: &Listeners) -> Result<Settings, String> {
    let said = listeners.said(&data.path);
    let below = |name: &str| data.path.join(name).display().to_string();
    let localhost = said.api.replace("127.0.0.1", "localhost");
    let derived: BTreeMap<String, String> = [
        ("REND_SITE_BASE_URL", said.api.clone()),
        ("REND_API_CORS_ALLOWED_ORIGINS", format!("{},{localhost}", said.api)),
        ("REND_EDGE_CORS_ALLOWED_ORIGINS", format!("{},{localhost}", said.api)),
        ("REND_PLAYBACK_BASE_URL", said.edge.clone()),
        ("REND_EDGE_BASE_URL", said.edge),
        ("REND_EDGE_PRIVATE_URL", said.edge_private),
        ("REND_CONTROL_PLANE_URL", said.api_private),
        ("REND_EDGE_CACHE_DIR", below("cache")),
        ("REND_EDGE_TELEMETRY_SPOOL_DIR", below("telemetry-spool")),
        // Nobody else works on this folder, so a lease that a crash left behind need not last long; and since a crash of
        // this one process takes every job with it, whosever fault it was, claims count for less than in a fleet.
        ("REND_MEDIA_JOB_LOCK_TIMEOUT_SECS", "8".to_owned()),
        ("REND_MEDIA_JOB_MAX_ATTEMPTS", "50".to_owned()),
        ("REND_EDGE_HEARTBEAT_INTERVAL_SECS", "2".to_owned()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into();
    let layers = Layers { first: &derived, second: &ProcessVars, third: own };
    let (settings, problems) = check(Role::Up, profile_of(&layers), false, &layers);
    for problem in problems.iter() {
        eprintln!("{problem}");
    }
    if problems.is_fatal() {
        return Err("the environment is not fit to start with; the lines above say what to change".into());
    }
    init_logs(settings.text(&v::REND_LOG).unwrap_or("info"));
    Ok(settings)
}

fn write_secrets(path: &Path, secrets: &BTreeMap<String, String>) -> Result<(), String> {
    let text: String = secrets.iter().map(|(name, value)| env_line(name, value) + "\n").collect();
    write_whole(path, &text)
}

/// Writes a file that only its owner reads: whole, or not at all.
fn write_whole(path: &Path, text: &str) -> Result<(), String> {
    let part = path.with_extension("part");
    let written = || -> std::io::Result<()> {
        let mut file = fs::OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&part)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&part, path)
    };
    written().map_err(|e| format!("{} can not be written: {e}", path.display()))
}

fn at(path: &Path, error: &rend_storage::StoreError) -> String {
    let cause = std::error::Error::source(error).map(|cause| format!(": {cause}")).unwrap_or_default();
    format!("{}: {error}{cause}", path.display())
}
