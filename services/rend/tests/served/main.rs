//! API, worker and edge as processes of their own over real servers: objects in S3-compatible storage, what edges served in
//! ClickHouse. `cargo xtask test` starts the servers and names them in `REND_TEST_S3_*` and `REND_TEST_CLICKHOUSE_*`.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

mod bucket;
mod fleet;
mod telemetry;
