//! All of it at once.

use rend_core::prng::Prng;

use super::{Mishaps, Options, between, some};

pub(super) fn options(prng: &mut Prng) -> Options {
    Options {
        edges: some(prng, 1, 4),
        workers: some(prng, 1, 3),
        assets: some(prng, 1, 5),
        loss_percent: between(prng, 0, 30),
        repeat_percent: between(prng, 0, 20),
        delay_ms_max: between(prng, 10, 2000),
        skew_ms_max: between(prng, 0, 120_000),
        request_every_ms: between(prng, 150, 800),
        purge_every_ms: between(prng, 1000, 8000),
        job_every_ms: between(prng, 2000, 10_000),
        tokens: true,
        mishap_every_ms: between(prng, 3000, 15_000),
        poison: prng.below(2) == 0,
        spool_bytes_max: between(prng, 20_000, 1_000_000),
        mishaps: Mishaps { crashes: true, cuts: true, disks: true, clocks: true, directory: true },
        calm: std::time::Duration::from_secs(7200),
        ..Options::QUIET
    }
}
