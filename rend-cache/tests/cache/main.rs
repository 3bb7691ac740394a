//! The cache as its rim sees it, on the disk in memory.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]
#![expect(clippy::wildcard_enum_match_arm, reason = "whatever is not expected fails the test")]

mod faults;
mod fills;
mod interleavings;
mod model;
mod power;
mod purges;
mod recording;
mod starts;
mod support;
