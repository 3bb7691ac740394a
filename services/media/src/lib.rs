//! Uploaded sources in object storage become growing HLS ladders in object storage.
//!
//! [`worker::Worker`] claims jobs, has [`rend_core::media`] decide, runs ffmpeg in a jail ([`runner`]), and publishes what
//! becomes durable, in an order in which nothing is named that is not there. A worker that is killed at any instant is
//! succeeded by one that continues the same plan and makes the same bytes.
mod adopt;
mod announce;
mod assembly;
mod doctor;
mod download;
mod encode;
mod fence;
mod passthrough;
mod process;
mod publish;
mod ready;
pub mod runner;
mod sound;
mod stills;
mod subtitles;
mod trouble;
mod verify;
mod voices;
pub mod worker;

pub use doctor::{Finding, State, doctor};
