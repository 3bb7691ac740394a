//! How originals come in when they do not come in one body: in pieces, and from URLs.
//!
//! [`source`] turns a body into durable parts, whoever sends it. [`assemble`] puts parts together once all are there, and
//! [`fetch`] asks another server for a file; both are jobs, so that a crash costs a piece and never the whole. [`sweep`]
//! finds what crashes left between two steps.

pub(crate) mod assemble;
pub(crate) mod fetch;
mod lane;
#[cfg(test)]
pub(crate) mod rig;
pub(crate) mod source;
mod sweep;

pub(crate) use lane::{assemble_later, run};
