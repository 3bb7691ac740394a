//! The control plane: uploads come in, assets are kept, players learn where to play.
//!
//! [`routes`] lists every route. A handler parses, asks a decider of `rend-core`, remembers through a port of
//! `rend-storage`, and replies; [`error`] is the one place where statuses are chosen. [`serve()`] puts the routes on two
//! listeners, one for everybody and one for edges and operators, and starts what the control plane does by itself.
mod auth;
mod bearer;
mod bus;
mod clips;
pub mod config;
pub mod error;
mod fuse;
mod http;
mod ingest;
mod limits;
mod once;
pub mod open;
mod patience;
mod queue;
pub mod reference;
pub mod routes;
mod serve;
mod state;
mod sync;
mod tickets;
mod viewticket;
mod wakes;
mod webhooks;
mod wire;
mod work;

pub use bearer::BearerToken;
pub use bus::Bus;
pub use http::keys::make_key;
pub use http::pages::has_hls_js;
pub use limits::RateLimits;
pub use serve::{Deps, serve};
pub use state::{State, Stores};
pub use tickets::{BOOTSTRAP_TTL_SECS, SESSION_SECS, Tickets};
pub use wakes::carry;
pub use work::{programs, work};
