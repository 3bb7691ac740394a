//! Playback: from an asset to what a player needs to start.
pub mod delivery;
pub mod startup;
