use std::path::{Path, PathBuf};
use std::sync::Arc;

use rend_core::config::{Settings, Vars, variable as v};
use rend_core::time::Clock;
use rend_media::worker::{Advance, Ports, Worker, WorkerConfig};
use rend_shell::{Shutdown, ten};

use crate::bearer::BearerToken;
use crate::bus::Bus;
use crate::state::Stores;
use crate::sync::fanout::Dispatch;

/// Works on media jobs until a stop is requested; leases that are held then are given back.
///
/// `scratch` is a folder for files that may be lost at any time.
pub async fn work(
    settings: &Settings,
    scratch: PathBuf,
    stores: Stores,
    clock: Arc<dyn Clock>,
    bus: Bus,
    shutdown: Shutdown,
) {
    let config = config(settings, scratch);
    let token = BearerToken::new(settings.secret(&v::REND_EDGE_INTERNAL_TOKEN).map_or("", |secret| secret.expose()));
    let window = settings.secs(&v::REND_EDGE_ACTIVE_HEARTBEAT_WINDOW_SECS);
    let dispatch = Dispatch::new(stores.clone(), Arc::clone(&clock), token, window, bus.clone(), shutdown.clone());
    if dispatch.is_err() {
        tracing::warn!("there is no TLS provider to call edges with; what becomes playable is warmed by the API");
    }
    let dispatch = dispatch.ok();
    let ports = Ports { objects: stores.objects, assets: stores.assets, jobs: stores.jobs };
    let woken = bus.listen();
    let notify = move |advance: Advance| {
        // Who listens in this process learns at once; a worker of its own is heard through the log.
        bus.wake();
        if let Some(dispatch) = dispatch.clone().filter(|_| !advance.warm.is_empty()) {
            rend_shell::spawn("warm", async move { dispatch.warm(advance.asset.id, &advance.warm).await });
        }
    };
    Worker::new(config, ports, clock, Arc::new(ten), Arc::new(notify)).run_woken(shutdown, woken).await;
}

/// Where ffmpeg and ffprobe are, in this order.
pub fn programs(settings: &Settings) -> (PathBuf, PathBuf) {
    let program = |variable, name: &str| on_path(settings.path(variable).unwrap_or_else(|| Path::new(name)));
    (program(&v::REND_FFMPEG_PATH, "ffmpeg"), program(&v::REND_FFPROBE_PATH, "ffprobe"))
}

/// The worker's configuration.
fn config(settings: &Settings, scratch: PathBuf) -> WorkerConfig {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let name = settings.text(&v::REND_MEDIA_WORKER_ID).map_or_else(own_name, str::to_owned);
    let mut config = WorkerConfig::new(name, scratch, u32::try_from(cores).unwrap_or(1));
    (config.ffmpeg, config.ffprobe) = programs(settings);
    config.lock_timeout = settings.secs(&v::REND_MEDIA_JOB_LOCK_TIMEOUT_SECS);
    config.poll_interval = settings.secs(&v::REND_MEDIA_WORKER_POLL_INTERVAL_SECS);
    config.warm_items_max = usize::try_from(settings.number(&v::REND_EDGE_WARM_MAX_ARTIFACTS)).unwrap_or(usize::MAX);
    if settings.has(&v::REND_MEDIA_PROCESS_TIMEOUT_SECS) {
        config.process_timeout = settings.secs(&v::REND_MEDIA_PROCESS_TIMEOUT_SECS);
    }
    config
}

/// A program as a file: encoders run with an empty environment, which has no search path.
fn on_path(program: &Path) -> PathBuf {
    if program.components().count() > 1 {
        return program.to_path_buf();
    }
    let path = rend_shell::ProcessVars.get("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .map(|folder| folder.join(program))
        .find(|file| file.is_file())
        .unwrap_or_else(|| program.to_path_buf())
}

fn own_name() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_else(|_| "host".into());
    let chance: String = rend_shell::entropy::<3>().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{}-{}-{chance}", host.trim(), std::process::id())
}
