//! From an uploaded file to a ladder of HLS renditions: everything that can be decided without touching the file.
//!
//! ```text
//! first bytes ─▶ sniff ─▶ ffprobe's answer ─▶ probe::Source ─▶ plan::Plan ─▶ ffmpeg::Invocation (one a unit)
//!                                                                  │
//!          encoder's fragments ─▶ isobmff::Samples ─▶ segments ─▶ playlist ─▶ check
//! ```
//!
//! An MP4 or MOV file that is good H.264 and AAC already takes a shorter way: [`moov`] reads its sample tables,
//! [`passthrough::survey`] decides, and segments are ranges of the file itself. A ladder follows behind it.
//!
//! Of sounds in several languages each is a rendition of its own ([`sounds`]), and [`subtitles`] inside a file become captions.
//!
//! A [`plan::Plan`] says what will exist, in which order it is made and published, and where each cut falls, to the
//! frame. Equal sources and policies give equal plans, so a worker that takes over after a crash continues the same work.
pub mod captions;
pub mod check;
pub mod clip;
pub mod damage;
pub mod ffmpeg;
pub mod isobmff;
pub mod ladder;
pub mod moov;
pub mod passthrough;
pub mod plan;
pub mod playlist;
pub mod probe;
pub mod sniff;
pub mod sounds;
pub mod storyboard;
mod stretch;
pub mod subtitles;
