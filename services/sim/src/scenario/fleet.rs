//! Registration and heartbeats under loss, cuts, crashes and clocks that are off.

use rend_core::prng::Prng;

use super::{Mishaps, Options, between, some};

pub(super) fn options(prng: &mut Prng) -> Options {
    Options {
        edges: some(prng, 1, 6),
        loss_percent: between(prng, 0, 50),
        repeat_percent: between(prng, 0, 20),
        delay_ms_max: between(prng, 10, 4000),
        skew_ms_max: between(prng, 0, 3_600_000),
        purge_every_ms: 20_000,
        mishap_every_ms: between(prng, 3000, 20_000),
        mishaps: Mishaps { crashes: true, cuts: true, disks: false, clocks: true, directory: true },
        ..Options::QUIET
    }
}
