//! What a seed is put through: which faults there are, and for how long.

use std::time::Duration;

use rend_core::prng::Prng;

use crate::world::{Report, World};

mod everything;
mod fills;
mod fleet;
mod jobs;
mod purge;
mod telemetry;

/// The size of a world, its load and its faults. Faults end after [`Options::trouble`]; then the world has
/// [`Options::calm`] to recover.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Options {
    /// Edges.
    pub edges: usize,
    /// Workers.
    pub workers: usize,
    /// Assets that viewers ask for.
    pub assets: usize,
    /// How long things go wrong.
    pub trouble: Duration,
    /// How long they go well afterwards.
    pub calm: Duration,
    /// Packets lost, of a hundred.
    pub loss_percent: u64,
    /// Packets that arrive twice, of a hundred.
    pub repeat_percent: u64,
    /// The longest delay of a packet, in milliseconds.
    pub delay_ms_max: u64,
    /// How far clocks are off at first, at most, in milliseconds.
    pub skew_ms_max: u64,
    /// The mean pause between requests at one edge, in milliseconds; 0 for none.
    pub request_every_ms: u64,
    /// The mean pause between purges, in milliseconds; 0 for none.
    pub purge_every_ms: u64,
    /// The mean pause between new jobs, in milliseconds; 0 for none.
    pub job_every_ms: u64,
    /// The mean pause between mishaps, in milliseconds; 0 for none.
    pub mishap_every_ms: u64,
    /// Events that the other side refuses exist.
    pub poison: bool,
    /// The origin stalls, breaks off, sends too little, too much, or nothing.
    pub moods: bool,
    /// How often a purge comes between two steps of a fill, of a hundred.
    pub purge_between_steps_percent: u64,
    /// Viewers come with tokens, not all of them good.
    pub tokens: bool,
    /// The bytes an edge's spool may take.
    pub spool_bytes_max: u64,
    /// Which mishaps there are.
    pub mishaps: Mishaps,
}

/// Which mishaps there are.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Mishaps {
    /// Processes are killed and machines lose their power.
    pub crashes: bool,
    /// Links are cut, in one direction or both.
    pub cuts: bool,
    /// Disks fill and fail.
    pub disks: bool,
    /// Clocks jump.
    pub clocks: bool,
    /// The control plane loses its directory of edges.
    pub directory: bool,
}

impl Options {
    /// A quiet world: two edges, no faults, no load.
    pub const QUIET: Self = Self {
        edges: 2,
        workers: 0,
        assets: 3,
        trouble: Duration::from_secs(150),
        calm: Duration::from_secs(300),
        loss_percent: 0,
        repeat_percent: 0,
        delay_ms_max: 50,
        skew_ms_max: 0,
        request_every_ms: 0,
        purge_every_ms: 0,
        job_every_ms: 0,
        mishap_every_ms: 0,
        poison: false,
        moods: false,
        purge_between_steps_percent: 0,
        tokens: false,
        spool_bytes_max: 1 << 20,
        mishaps: Mishaps { crashes: false, cuts: false, disks: false, clocks: false, directory: false },
    };
}

/// Every scenario by name.
pub const NAMES: [&str; 6] = ["fleet", "purge", "fills", "telemetry", "jobs", "everything"];

/// The options of a scenario with this seed, or `None` for an unknown name.
pub fn options(name: &str, seed: u64) -> Option<Options> {
    // Options and events draw from different streams, so that a change of one does not shuffle the other.
    let mut prng = Prng::seeded(seed ^ 0x0517_1095_0000_0000);
    match name {
        "fleet" => Some(fleet::options(&mut prng)),
        "purge" => Some(purge::options(&mut prng)),
        "fills" => Some(fills::options(&mut prng)),
        "telemetry" => Some(telemetry::options(&mut prng)),
        "jobs" => Some(jobs::options(&mut prng)),
        "everything" => Some(everything::options(&mut prng)),
        _ => None,
    }
}

/// Runs a scenario to its end or to the first violation, or answers `None` for an unknown name.
pub fn run(name: &str, seed: u64) -> Option<Report> {
    options(name, seed).map(|options| World::new(options, seed).run())
}

fn between(prng: &mut Prng, low: u64, high: u64) -> u64 {
    low + prng.below(high - low + 1)
}

fn some(prng: &mut Prng, low: usize, high: usize) -> usize {
    low + usize::try_from(prng.below((high - low + 1) as u64)).unwrap_or(0)
}
