//! A control plane, a worker and two edges as processes of their own over PostgreSQL, whole and with parts of it broken.
//! `cargo xtask test` starts the server and names it in `REND_TEST_POSTGRES_URL`.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

mod faults;
mod fleet;
mod gate;
#[path = "../../../../rend-storage/tests/proxy/mod.rs"]
mod proxy;
