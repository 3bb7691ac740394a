//! Playback: from an asset to what a player needs to start.
//!
//! [`bootstrap`] says whether a viewer may start and how URLs look that cannot hold a token, [`scope`] how the right to
//! fetch travels, [`startup`] what an edge fetches ahead of viewers, and [`delivery`] how one artifact is handed out.
pub mod bootstrap;
pub mod delivery;
pub mod scope;
pub mod startup;
