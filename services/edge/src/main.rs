//! `rend-edge`: one playback edge in a process of its own.

use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;

use rend_core::config::{Role, Settings, check, profile_of, variable as known};
use rend_edge::{Deps, EdgeConfig, bind, serve};
use rend_shell::metrics::Metrics;
use rend_shell::{ProcessVars, SystemClock, init_logs, install_tls, shutdown_on_signals};
use rend_storage::fs::FsObjects;
use rend_storage::objects::ObjectStore;
use rend_storage::s3::{S3Config, S3Objects, Trouble};

fn main() -> ExitCode {
    install_tls();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error),
    };
    match runtime.block_on(run()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(error.as_ref()),
    }
}

async fn run() -> Result<(), Box<dyn std::error::Error>> {
    let (settings, problems) = check(Role::Edge, profile_of(&ProcessVars), false, &ProcessVars);
    if problems.is_fatal() {
        return Err(problems.to_string().trim_end().into());
    }
    init_logs(settings.text(&known::REND_LOG).unwrap_or("info"));
    let config = EdgeConfig::from_settings(&settings)?;
    let objects = origin(&settings).await?;
    let bound = bind(&config).await?;
    let shutdown = shutdown_on_signals()?;
    let deps = Deps { objects, clock: Arc::new(SystemClock::start()), metrics: Metrics::new() };
    serve(config, deps, bound, shutdown).await?;
    Ok(())
}

/// Where artifacts are fetched from: a folder, else a bucket.
async fn origin(settings: &Settings) -> Result<Arc<dyn ObjectStore>, String> {
    if let Some(dir) = settings.path(&known::REND_OBJECT_STORE_DIR) {
        let opened = FsObjects::open(dir);
        let objects = opened.map_err(|error| format!("REND_OBJECT_STORE_DIR={}: {error}", dir.display()))?;
        return Ok(Arc::new(objects));
    }
    let config = S3Config::from_settings(settings).ok_or("neither REND_OBJECT_STORE_DIR nor S3_ENDPOINT is set")?;
    let objects = S3Objects::new(&config).map_err(|error| format!("S3_ENDPOINT: {error}"))?;
    match objects.check().await {
        Ok(()) => {}
        Err(Trouble::Refused(why)) => return Err(format!("S3_BUCKET={}: {why}", config.bucket)),
        // What is cached is served without it, and readiness tells while it is away.
        Err(Trouble::Away(why)) => tracing::warn!(%why, "the origin is away"),
    }
    Ok(Arc::new(objects))
}

/// One line on standard error. Nothing more can be done when that is closed.
fn fail(error: &dyn std::error::Error) -> ExitCode {
    let _ = writeln!(std::io::stderr(), "rend-edge: {error}");
    ExitCode::FAILURE
}
