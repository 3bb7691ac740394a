//! Whatever a probe, a scan and a caller say, a plan breaks no rule, is bounded by its segments, and is the same when made again.
#![no_main]

rend_fuzz::fuzz_target!(|input: &[u8]| rend_core::media::plan::plans_hold(input));
