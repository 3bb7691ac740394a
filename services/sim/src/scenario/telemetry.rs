//! The account of what was served, over crashes, full disks, lost answers and refused events.

use rend_core::prng::Prng;

use super::{Mishaps, Options, between, some};

pub(super) fn options(prng: &mut Prng) -> Options {
    Options {
        edges: some(prng, 1, 3),
        loss_percent: between(prng, 0, 40),
        repeat_percent: between(prng, 0, 20),
        delay_ms_max: between(prng, 10, 3000),
        skew_ms_max: between(prng, 0, 3_600_000),
        request_every_ms: between(prng, 80, 400),
        mishap_every_ms: between(prng, 4000, 20_000),
        poison: prng.below(2) == 0,
        spool_bytes_max: between(prng, 4000, 200_000),
        mishaps: Mishaps { crashes: true, cuts: true, disks: true, clocks: true, directory: false },
        ..Options::QUIET
    }
}
