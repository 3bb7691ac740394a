//! A whole edge on real sockets, against an origin in memory and a control plane of a few lines.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

mod connections;
mod control;
mod crash;
mod fills;
mod gone;
mod playback;
mod private;
mod rig;
mod rotation;
mod table;
mod tokens;
