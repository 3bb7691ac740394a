//! Purges that race fills, crashes and a disk that refuses: nothing is served from before a fence.

use rend_core::prng::Prng;

use super::{Mishaps, Options, between, some};

pub(super) fn options(prng: &mut Prng) -> Options {
    Options {
        edges: some(prng, 1, 3),
        assets: some(prng, 1, 4),
        loss_percent: between(prng, 0, 30),
        repeat_percent: between(prng, 0, 20),
        delay_ms_max: between(prng, 10, 2000),
        skew_ms_max: between(prng, 0, 60_000),
        request_every_ms: between(prng, 100, 600),
        purge_every_ms: between(prng, 500, 4000),
        tokens: true,
        mishap_every_ms: between(prng, 4000, 20_000),
        mishaps: Mishaps { crashes: true, cuts: true, disks: true, clocks: true, directory: false },
        ..Options::QUIET
    }
}
