//! The playback edge: verifies, serves from its cache, fills it from the origin, and keeps account of every byte.
//!
//! [`bind`] takes the listeners, [`serve`] runs an edge on them until it is told to stop. The binary `rend-edge` is one in
//! a process of its own; `rend up` runs one beside the control plane. An edge needs its keys and an object store; the
//! control plane may be away.
//!
//! A request goes through `lane` → `playback` (parse, admit, find, reply) → `fill` (cache or origin) → `body` → `lane`
//! (the socket); what left is told by `delivery` to `telemetry` and `metrics`. What is no plain HTTP/1.1 request for playback
//! `lane` hands on to hyper, and takes the way by `front` and `io`.
mod agent;
mod auth;
mod bell;
mod body;
mod conditional;
mod config;
mod cors;
mod delivery;
mod edge;
mod error;
mod fill;
mod front;
mod gone;
mod head;
mod health;
mod house;
mod internal;
mod io;
mod lane;
mod metrics;
mod origin;
mod plain;
mod playback;
mod routes;
mod serve;
mod target;
mod telemetry;
mod trust;

pub use auth::artifact_of;
pub use config::{
    CONNECTIONS_MAX, EdgeConfig, HEADER_TIMEOUT, ORIGIN_TIMEOUT, RESPONSES_MAX, STALL_TIMEOUT, TelemetryConfig,
};
pub use error::EdgeError;
pub use serve::{Bound, Deps, Running, bind, serve, start};
