//! Workers that crash, are cut off or have clocks that are off: a job is finished once, and by the lease that holds.

use rend_core::prng::Prng;

use super::{Mishaps, Options, between, some};

pub(super) fn options(prng: &mut Prng) -> Options {
    Options {
        edges: 0,
        workers: some(prng, 1, 5),
        loss_percent: between(prng, 0, 40),
        delay_ms_max: between(prng, 10, 3000),
        skew_ms_max: between(prng, 0, 120_000),
        job_every_ms: between(prng, 1000, 8000),
        mishap_every_ms: between(prng, 3000, 15_000),
        mishaps: Mishaps { crashes: true, cuts: true, disks: false, clocks: true, directory: false },
        calm: std::time::Duration::from_secs(7200),
        ..Options::QUIET
    }
}
