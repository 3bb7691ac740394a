//! An origin that stalls, breaks off and miscounts, and purges between any two steps of a fill, over crashes, torn files and clocks
//! that jump: one fetch a key, no body taken for whole that is not, and nothing from before a fence.

use rend_core::prng::Prng;

use super::{Mishaps, Options, between, some};

pub(super) fn options(prng: &mut Prng) -> Options {
    Options {
        edges: some(prng, 1, 2),
        assets: some(prng, 1, 2),
        loss_percent: between(prng, 0, 10),
        repeat_percent: between(prng, 0, 20),
        delay_ms_max: between(prng, 10, 3000),
        skew_ms_max: between(prng, 0, 86_400_000),
        request_every_ms: between(prng, 60, 300),
        purge_every_ms: between(prng, 2000, 20_000),
        moods: true,
        purge_between_steps_percent: between(prng, 0, 25),
        mishap_every_ms: between(prng, 2000, 10_000),
        mishaps: Mishaps { crashes: true, cuts: false, disks: true, clocks: true, directory: false },
        ..Options::QUIET
    }
}
