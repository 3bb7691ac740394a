//! The rim: the one crate that reads the clock, the environment, the signals and entropy, and that opens listeners.
//!
//! Services are thin because this is here once: [`serve()`] accepts connections with bounds and drains them,
//! [`drive()`] runs a [`rend_core::machine::Machine`] on the real clock, [`body::capped`] reads a body that has a
//! limit, [`problem::Problem`] is every error that leaves over HTTP, and [`client::Client`] performs the requests that
//! deciders hand out as values.
pub mod body;
pub mod client;
mod clock;
mod drive;
mod entropy;
mod greeting;
mod log;
pub mod metrics;
pub mod problem;
mod serve;
mod shutdown;
mod spread;
mod task;
mod vars;

pub use clock::{SystemClock, sleep_until};
pub use drive::drive;
pub use entropy::{entropy, seeded, ten};
pub use log::init_logs;
pub use serve::{Host, Listening, Peer, ServeOptions, bind, serve, serve_connections, serve_with};
pub use shutdown::{Shutdown, ShutdownTrigger, shutdown_on_signals, shutdown_pair};
pub use spread::{cores, serve_spread};
pub use task::{spawn, spawn_blocking, spawn_on};
pub use vars::ProcessVars;

/// Makes ring the process's TLS provider. The first line of every `main`: with none, the first TLS client would panic.
pub fn install_tls() {
    // An error only says that one is installed already, which is what is wanted.
    let _ = rustls::crypto::ring::default_provider().install_default();
}
