//! What a fleet does in a second over real servers, beside what those servers do alone. `cargo xtask bench fleet` starts them
//! and names them in `REND_TEST_*`; with `small` as an argument it is over soon and proves only that it runs.
//!
//! Each figure and its peer are measured in turns, round by round, over the same connections at a time; a ratio is the median
//! of the ratios of rounds.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a measurement fails by panicking and prints what it saw"
)]

mod bootstrap;
mod claims;
mod figures;
mod ingest;
mod purges;
mod stand;

use std::time::Duration;

use stand::Stand;

fn main() {
    rend_shell::install_tls();
    let small = std::env::args().any(|arg| arg == "small");
    let size = if small { Size::SMALL } else { Size::WHOLE };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let stand = Stand::start(&size).await;
        println!("{} assets in PostgreSQL, two edges, {} rounds of {:?}\n", size.assets, size.rounds, size.round);
        println!("| what | Rend | bare | ratio |\n|---|---|---|---|");
        bootstrap::measure(&stand, &size).await;
        claims::measure(&stand, &size).await;
        ingest::measure(&stand, &size).await;
        purges::measure(&stand, &size).await;
        println!(
            "\nA bare bootstrap is an indexed select of the same row over as many connections; a bare claim one update"
        );
        println!("with SKIP LOCKED; a bare ingest an insert of the same rows; a bare purge one request to each edge.");
    });
}

/// How much is measured.
struct Size {
    assets: u64,
    rounds: usize,
    round: Duration,
    purges: usize,
}

impl Size {
    const WHOLE: Self = Self { assets: 100_000, rounds: 5, round: Duration::from_secs(4), purges: 100 };
    const SMALL: Self = Self { assets: 2_000, rounds: 2, round: Duration::from_millis(700), purges: 5 };
}
