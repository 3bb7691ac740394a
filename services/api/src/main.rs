//! The control plane and its media worker, as processes of their own.
#![expect(clippy::print_stderr, clippy::print_stdout, reason = "a command at a terminal prints")]

use std::process::ExitCode;
use std::sync::Arc;

use clap::{Parser, Subcommand, ValueEnum};
use rend_api::config::{ApiConfig, SOLE_ORG, tickets};
use rend_api::{Bus, Deps, State, carry, make_key, open};
use rend_core::config::{Role, Settings, check, profile_of, variable as v};
use rend_core::credential::Scopes;
use rend_core::time::Clock;
use rend_shell::{ProcessVars, SystemClock, bind, init_logs, shutdown_on_signals, spawn};
use rend_storage::limits::Limiter;

#[derive(Parser)]
#[command(name = "rend-api", version, about = "Rend's control plane")]
struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Answer the API, the pages and the edges
    Serve,
    /// Work on jobs
    Worker {
        /// Which jobs
        kind: WorkerKind,
    },
    /// Bring the database's schema up to date, and end
    Migrate,
    /// Write an API key for everything into the database and print it: the first one of an installation
    Key {
        /// What to call it
        name: String,
    },
    /// Ask the API on this machine whether it is ready; status 0 says yes
    Healthcheck,
}

#[derive(Clone, Copy, ValueEnum)]
enum WorkerKind {
    /// Makes uploaded videos playable
    Media,
}

fn main() -> ExitCode {
    rend_shell::install_tls();
    let verb = Args::parse().verb;
    let done = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|e| format!("the runtime could not be started: {e}"))
        .and_then(|runtime| runtime.block_on(perform(verb)));
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("rend-api: {why}");
            ExitCode::FAILURE
        }
    }
}

async fn perform(verb: Verb) -> Result<(), String> {
    match verb {
        Verb::Serve => serve(&settings(Role::Api)?).await,
        Verb::Worker { kind: WorkerKind::Media } => work(&settings(Role::Worker)?).await,
        Verb::Migrate => migrate(&settings(Role::Api)?).await,
        Verb::Key { name } => key(&settings(Role::Api)?, &name).await,
        Verb::Healthcheck => healthcheck(&settings(Role::Api)?).await,
    }
}

/// The checked environment. Every problem is printed, not only the first.
fn settings(role: Role) -> Result<Settings, String> {
    let (settings, problems) = check(role, profile_of(&ProcessVars), false, &ProcessVars);
    for problem in problems.iter() {
        eprintln!("{problem}");
    }
    if problems.is_fatal() {
        return Err("the environment is not fit to start with; the lines above say what to change".into());
    }
    init_logs(settings.text(&v::REND_LOG).unwrap_or("info"));
    Ok(settings)
}

async fn serve(settings: &Settings) -> Result<(), String> {
    let redis = open::redis(settings)?;
    let deps = Deps {
        stores: open::stores(settings).await?,
        clock: Arc::new(SystemClock::start()),
        tickets: tickets(settings).map_err(|e| e.to_string())?,
        bus: Bus::default(),
        shutdown: shutdown_on_signals().map_err(|e| e.to_string())?,
    };
    let carrying = redis.clone().map(|redis| spawn("wakes", carry(deps.bus.clone(), redis, deps.shutdown.clone())));
    let public = bind("REND_API_BIND_ADDR", settings.addr(&v::REND_API_BIND_ADDR)).await.map_err(|e| e.to_string())?;
    let private = settings.addr(&v::REND_API_PRIVATE_BIND_ADDR);
    let private = bind("REND_API_PRIVATE_BIND_ADDR", private).await.map_err(|e| e.to_string())?;
    tracing::info!(public = %public.at, private = %private.at, "rend-api answers");
    let limiter = redis.map(|redis| Arc::new(redis) as Arc<dyn Limiter>);
    let state = State::counting(ApiConfig::from_settings(settings), deps, limiter).map_err(|e| e.to_string())?;
    rend_api::serve(state, public, private, settings.secs(&v::REND_SHUTDOWN_GRACE_SECS)).await;
    join(carrying).await;
    Ok(())
}

async fn work(settings: &Settings) -> Result<(), String> {
    let shutdown = shutdown_on_signals().map_err(|e| e.to_string())?;
    let clock = Arc::new(SystemClock::start());
    let scratch = std::env::temp_dir().join("rend-scratch");
    let (stores, bus) = (open::stores(settings).await?, Bus::default());
    let carrying = open::redis(settings)?.map(|redis| spawn("wakes", carry(bus.clone(), redis, shutdown.clone())));
    rend_api::work(settings, scratch, stores, clock, bus, shutdown).await;
    join(carrying).await;
    Ok(())
}

/// Waits for a task, if there is one.
async fn join(task: Option<tokio::task::JoinHandle<()>>) {
    if let Some(task) = task {
        // One that panicked has said so itself.
        let _ = task.await;
    }
}

async fn migrate(settings: &Settings) -> Result<(), String> {
    let had = open::migrate(settings).await?;
    eprintln!("the schema is current; it was at version {had}");
    Ok(())
}

async fn key(settings: &Settings, name: &str) -> Result<(), String> {
    let store = open::database(settings).await?.credentials();
    let now = SystemClock::start().wall();
    let (_, key) = make_key(store.as_ref(), SOLE_ORG, name, Scopes::ALL, None, now).await.map_err(|e| e.to_string())?;
    println!("{key}");
    eprintln!("this is the only time the key is shown");
    Ok(())
}

async fn healthcheck(settings: &Settings) -> Result<(), String> {
    let at = settings.addr(&v::REND_API_BIND_ADDR);
    let client = rend_shell::client::Client::new(std::time::Duration::from_secs(5)).map_err(|e| e.to_string())?;
    let request = rend_core::http::Request {
        method: rend_core::http::Method::Get,
        url: format!("http://{at}/readyz"),
        headers: Vec::new(),
        body: bytes::Bytes::new(),
    };
    match client.send(request).await {
        Ok(answer) if answer.is_success() => Ok(()),
        Ok(answer) => Err(format!("not ready: {}", String::from_utf8_lossy(&answer.body))),
        Err(_) => Err(format!("nothing answers at {at}")),
    }
}
