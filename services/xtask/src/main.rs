//! What a developer of Rend runs: `cargo xtask up | test | ci | bench | stack | contract | fuzz | web`.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "a command at a terminal prints, measures and waits"
)]

mod bench_edge;
mod bench_fleet;
mod bench_hostile;
mod bench_media;
mod bench_path;
mod bench_peer;
mod bench_quality;
mod bench_token;
mod ci;
mod contract;
mod engines;
mod fuzz;
mod interrupt;
mod run;
mod soak;
mod stack;
mod test;
mod tools;
mod up;

use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "What a developer of Rend runs", version)]
struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Install what is missing, build, start Rend with a sample video, and print the URLs to open
    Up {
        /// Only say what is missing
        #[arg(long)]
        no_install: bool,
        /// Stop again once the sample plays, with status 0
        #[arg(long)]
        once: bool,
        /// Where the data lies
        #[arg(long, default_value = ".rend")]
        data_dir: std::path::PathBuf,
    },
    /// Install what is missing and run every test: libraries, services, crashes, browser
    Test {
        /// Only say what is missing
        #[arg(long)]
        no_install: bool,
    },
    /// What the continuous integration runs: format, lints, docs, purity, examples, then `test`
    Ci,
    /// Run fuzz targets for some seconds on the stable toolchain; without a name, say which there are
    Fuzz {
        /// The targets, as in `fuzz/fuzz_targets`; `all` for each
        targets: Vec<String>,
        /// How long, for each
        #[arg(long, default_value_t = 20)]
        seconds: u64,
        /// How long, for each, in minutes
        #[arg(long, conflicts_with = "seconds")]
        minutes: Option<u64>,
        /// Targets at once
        #[arg(long, default_value_t = 1)]
        jobs: usize,
        /// Run the target over this file alone, and show what it says
        #[arg(long, conflicts_with_all = ["seconds", "minutes", "jobs"])]
        replay: Option<std::path::PathBuf>,
    },
    /// Measure, side by side with a peer in the same run
    Bench {
        /// `path`: upload to first frame beside ffmpeg; `media`: the pipeline's goals beside it; `edge`: signed hits beside
        /// nginx; `token`: playback tokens beside other tokens; `fleet`: a fleet beside its bare servers
        what: Bench,
        /// With `token`: without the machine's SHA instructions
        #[arg(long)]
        soft: bool,
        /// With `edge`: interleaved rounds of each body
        #[arg(long, default_value_t = bench_edge::ROUNDS)]
        rounds: usize,
        /// With `edge`: this part alone
        #[arg(long)]
        only: Option<bench_edge::Part>,
        /// With `fleet`: unoptimised, with few assets and short rounds, to see that it runs
        #[arg(long)]
        small: bool,
    },
    /// Run an edge under viewers, purges, restarts, kills and an origin that comes and goes, and audit it
    Soak {
        /// What to soak
        what: Soak,
        /// For how long
        #[arg(long, default_value_t = 30)]
        minutes: u64,
        /// The same in seconds
        #[arg(long, conflicts_with = "minutes")]
        seconds: Option<u64>,
    },
    /// A small fleet over real servers, left running: API, worker, two edges, PostgreSQL, Redis, S3, ClickHouse
    Stack {
        /// Only say what is missing
        #[arg(long)]
        no_install: bool,
        /// Run the readiness gate against it and stop
        #[arg(long)]
        once: bool,
        /// Build without optimisations
        #[arg(long)]
        debug: bool,
        /// Where its logs, caches and the file for tools lie
        #[arg(long, default_value = ".rend/stack")]
        data_dir: std::path::PathBuf,
    },
    /// Only the tests that need a server, over private servers of our own
    Served {
        /// Only say what is missing
        #[arg(long)]
        no_install: bool,
        /// Only those of this file, such as `fleet`
        #[arg(long)]
        test: Option<String>,
        /// Only those with this in their name
        #[arg(long)]
        name: Option<String>,
    },
    /// Run a command with private servers beside it, which the `REND_TEST_*` variables name
    Engines {
        /// Only say what is missing
        #[arg(long)]
        no_install: bool,
        /// The command and its words
        #[arg(trailing_var_arg = true, required = true)]
        command: Vec<std::ffi::OsString>,
    },
    /// Only the API against its own description, judged by a tool that is not ours
    Contract {
        /// Only say what is missing
        #[arg(long)]
        no_install: bool,
    },
    /// Only the browser tests, against a Rend of their own
    Browser,
    /// Fetch the locked npm packages of the web pages
    Web,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Bench {
    Path,
    Edge,
    Media,
    Token,
    Fleet,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Soak {
    Edge,
}

fn main() -> ExitCode {
    let done = match Args::parse().verb {
        Verb::Up { no_install, once, data_dir } => up::up(!no_install, once, &data_dir),
        Verb::Test { no_install } => test::test(!no_install),
        Verb::Ci => ci::ci(),
        Verb::Fuzz { targets, replay: Some(file), .. } => fuzz::replay(&targets, &file),
        Verb::Fuzz { targets, seconds, minutes, jobs, replay: None } => {
            let seconds = minutes.map_or(seconds, |minutes| minutes * 60);
            fuzz::fuzz(&targets, fuzz::Plan { seconds, jobs })
        }
        Verb::Bench { what: Bench::Token, soft, .. } => bench_token::bench(soft),
        Verb::Bench { soft: true, .. } => Err("`--soft` goes with `bench token` alone".into()),
        Verb::Bench { what: Bench::Edge, rounds, only, .. } => return bench_edge::run(rounds, only),
        Verb::Bench { only: Some(_), .. } => Err("`--only` goes with `bench edge` alone".into()),
        Verb::Bench { what: Bench::Fleet, small, .. } => bench_fleet::fleet(small),
        Verb::Bench { what: Bench::Path, .. } => return bench_path::run(),
        Verb::Bench { what: Bench::Media, .. } => return bench_media::run(),
        Verb::Soak { what: Soak::Edge, minutes, seconds } => {
            soak::edge(Duration::from_secs(seconds.unwrap_or(minutes * 60)))
        }
        Verb::Stack { no_install, once, debug, data_dir } => stack::stack(!no_install, once, !debug, &data_dir),
        Verb::Served { no_install, test, name } => test::served(!no_install, test.as_deref(), name.as_deref()),
        Verb::Engines { no_install, command } => test::beside_engines(!no_install, &command),
        Verb::Browser => tools::need(&[tools::CHROMIUM, tools::NPM, tools::FFMPEG], true)
            .and_then(|()| tools::web(true))
            .and_then(|()| up::browser_tests()),
        Verb::Contract { no_install } => contract::contract(!no_install),
        Verb::Web => tools::web(true),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("\ncargo xtask: {why}");
            ExitCode::FAILURE
        }
    }
}
