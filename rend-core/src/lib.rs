//! Rend's decisions, with no clock, network, disk or runtime of their own.
//!
//! Everything here is a value, a plain function or a [`machine::Machine`]. Time arrives as [`time::Mono`] and
//! [`time::Timestamp`], chance as [`prng::Prng`], the surroundings as a [`config::Vars`]; what should be done leaves as a
//! value that a service performs.
//!
//! ```
//! use rend_core::artifact::{ArtifactPath, Rendition};
//!
//! let path: ArtifactPath = "hls/720p/segment_00001.m4s".parse()?;
//! assert_eq!(path, ArtifactPath::Segment { rendition: Rendition::P720, index: 1 });
//! # Ok::<(), rend_core::artifact::UnknownArtifact>(())
//! ```
pub mod analytics;
pub mod artifact;
pub mod asset;
pub mod config;
pub mod credential;
pub mod event;
pub mod fleet;
pub mod gate;
pub mod http;
pub mod id;
pub mod job;
pub mod machine;
pub mod media;
pub mod playback;
pub mod prng;
pub mod routing;
pub mod time;
pub mod upload;
pub mod url;
