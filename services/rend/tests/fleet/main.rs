//! A fleet as processes of their own over PostgreSQL, Redis, S3-compatible storage and ClickHouse: two APIs, a worker and
//! two edges, whole and with parts of it broken. `cargo xtask served` starts the servers and names them in `REND_TEST_*`.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]
#![expect(clippy::print_stdout, reason = "a script that fails is known by its seed")]

mod engines;
mod faults;
mod fleet;
mod gate;
#[path = "../../../../rend-storage/tests/proxy/mod.rs"]
mod proxy;
mod script;
mod secrets;
mod suspend;
mod wakes;
mod ways;
