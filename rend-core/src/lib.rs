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
//!
//! # Contents
//!
//! | the way of a video | answers |
//! |---|---|
//! | [`upload`] | may it come in, is this a repeat, what becomes of what nobody ended |
//! | [`asset`] | in which states it can be, and which moves lead where |
//! | [`job`] | who works on it and for how long, and what becomes of a try that failed |
//! | [`media`] | what it will be made into, in which order, and how that is said to the encoder and in playlists |
//! | [`artifact`] | what everything that a viewer may fetch is called |
//! | [`language`] | which language a sound or a caption is in, and what people call it |
//! | [`playback`] | may this viewer start, how does the right to fetch travel, what is fetched ahead |
//! | [`routing`] | which edge, and why |
//! | [`analytics`] | what was served |
//! | [`viewing`] | what players saw |
//! | [`metering`] | what that comes to, in seconds of media |
//! | [`usage`] | which hours of it are counted when, what a later count changes, how complete each is |
//!
//! | what holds it together | answers |
//! |---|---|
//! | [`fleet`] | which edges there are, how they report, what they are told |
//! | [`gate`] | what must hold before viewers come, for a deployment and for the simulator alike |
//! | [`event`] | what happened, in words that may be shown |
//! | [`webhook`] | who is told of it, and what becomes of the telling |
//! | [`credential`] | what an API key may do |
//! | [`suspension`] | what an operator took out of service, who and why |
//! | [`retention`] | what is kept for how long, and what must stay whatever its age |
//! | [`limit`] | how often somebody may ask |
//! | [`config`] | what every variable means, and all that is wrong with a configuration at once |
//!
//! | what all of it is made of | is |
//! |---|---|
//! | [`id`], [`url`], [`time`], [`prng`] | values that can only be built right |
//! | [`machine`], [`http`] | the shape of things with a timeline; requests as values |
//!
//! # What it does not do
//!
//! It opens nothing, waits for nothing and remembers nothing: ports and adapters are `rend-storage`'s, signing and
//! verifying are `rend-token`'s, and which bytes stay in a cache is `rend-cache`'s to say.
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
pub mod language;
pub mod limit;
pub mod machine;
pub mod media;
pub mod metering;
pub mod playback;
pub mod prng;
pub mod retention;
pub mod routing;
pub mod suspension;
pub mod time;
pub mod upload;
pub mod url;
pub mod usage;
pub mod viewing;
pub mod webhook;
