//! The command people type.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command at a terminal prints")]

mod assets;
mod cache;
mod captions;
mod client;
mod doctor;
mod download;
mod env;
mod gate;
mod hls;
mod key;
mod ledger;
mod operator;
mod token;
mod up;
mod upload;
mod usage;
mod webhook;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

use crate::client::{Api, Server};

#[derive(Parser)]
#[command(name = "rend", version, about = "Upload a video, get one playback URL, serve it from your own machines")]
struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Run everything on this machine: API, worker, edge, pages. Needs no other service
    Up(up::UpArgs),
    /// Bring in a video file
    Upload(upload::UploadArgs),
    /// List assets, newest first
    Ls {
        #[command(flatten)]
        server: Server,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Show one asset with its jobs
    Show {
        #[command(flatten)]
        server: Server,
        /// The asset's id
        id: String,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Delete assets: from here on nothing of them is served
    Rm {
        #[command(flatten)]
        server: Server,
        /// The assets' ids
        #[arg(required = true)]
        ids: Vec<String>,
    },
    /// Print a URL that plays an asset
    Play {
        #[command(flatten)]
        server: Server,
        /// The asset's id
        id: String,
    },
    /// Give an asset captions, list them, take them away
    Captions {
        #[command(flatten)]
        server: Server,
        #[command(subcommand)]
        verb: captions::CaptionsVerb,
    },
    /// Have a rendition made into one MP4 file, wait for it, and print its URL or keep it
    Download(download::DownloadArgs),
    /// Make, list and revoke API keys
    Key {
        #[command(flatten)]
        server: Server,
        #[command(subcommand)]
        verb: key::KeyVerb,
    },
    /// Make, inspect and verify playback tokens; list their keys; revoke them
    Token {
        #[command(subcommand)]
        verb: token::TokenVerb,
    },
    /// Check an environment, or print what it may hold
    Env {
        #[command(subcommand)]
        verb: env::EnvVerb,
    },
    /// Drive the real path with a video of its own, and say whether viewers may be let in
    Gate(gate::GateArgs),
    /// Look at this machine and at what is running; every finding says what to do
    Doctor {
        #[command(flatten)]
        server: Server,
        /// Only this; without it, everything
        patient: Option<doctor::Patient>,
    },
    /// Replay what a cache decided, or ask an edge why an artifact is kept, evicted or refused
    Cache {
        #[command(subcommand)]
        verb: cache::CacheVerb,
    },
    /// Check what is served against the rules of HLS
    Hls {
        #[command(subcommand)]
        verb: hls::HlsVerb,
    },
    /// Have URLs told of events
    Webhook {
        #[command(flatten)]
        server: Server,
        #[command(subcommand)]
        verb: webhook::WebhookVerb,
    },
    /// Take assets or a whole organisation out of service, and give them back
    Operator {
        #[command(subcommand)]
        verb: operator::OperatorVerb,
    },
    /// Show what was delivered by tier and UTC hour
    Usage(usage::UsageArgs),
    /// Recompute what was delivered from edges' own records
    Ledger {
        #[command(subcommand)]
        verb: ledger::LedgerVerb,
    },
    /// Print the completion script for a shell
    Completion {
        /// Which shell
        shell: clap_complete::Shell,
    },
}

fn main() -> ExitCode {
    rend_shell::install_tls();
    let args = Args::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&format!("the runtime could not be started: {error}")),
    };
    match runtime.block_on(perform(args.verb)) {
        Ok(code) => code,
        Err(why) => failed(&why),
    }
}

/// What a verb answers: a status, or one line that says what is wrong and what to do.
type Outcome = Result<ExitCode, String>;

async fn perform(verb: Verb) -> Outcome {
    match verb {
        Verb::Up(args) => up::up(args).await,
        Verb::Upload(args) => upload::upload(args).await,
        Verb::Ls { server, json } => assets::list(&Api::of(&server)?, json).await,
        Verb::Show { server, id, json } => assets::show(&Api::of(&server)?, &id, json).await,
        Verb::Rm { server, ids } => assets::remove(&Api::of(&server)?, &ids).await,
        Verb::Play { server, id } => assets::play(&Api::of(&server)?, &id).await,
        Verb::Captions { server, verb } => captions::captions(&server, verb).await,
        Verb::Download(args) => download::download(args).await,
        Verb::Key { server, verb } => key::key(&server, verb).await,
        Verb::Token { verb } => token::token(verb).await,
        Verb::Env { verb } => env::env(&verb),
        Verb::Gate(args) => gate::gate(args).await,
        Verb::Doctor { server, patient } => doctor::doctor(&server, patient).await,
        Verb::Cache { verb } => cache::cache(verb).await,
        Verb::Hls { verb } => hls::hls(verb).await,
        Verb::Webhook { server, verb } => webhook::webhook(&server, verb).await,
        Verb::Operator { verb } => operator::operator(verb).await,
        Verb::Usage(args) => usage::usage(args).await,
        Verb::Ledger { verb } => ledger::ledger(verb).await,
        Verb::Completion { shell } => {
            clap_complete::generate(shell, &mut Args::command(), "rend", &mut std::io::stdout());
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn failed(why: &str) -> ExitCode {
    eprintln!("rend: {why}");
    ExitCode::FAILURE
}

/// Where `rend up` keeps its data unless it is told otherwise.
fn default_data_dir() -> PathBuf {
    rend_core::config::Vars::get(&rend_shell::ProcessVars, "REND_DATA_DIR")
        .map_or_else(|| ".rend".into(), PathBuf::from)
}
