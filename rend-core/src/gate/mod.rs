//! The playback readiness gate: what must hold before viewers are let in.
//!
//! A performer drives the real path and notes what it saw; the functions here judge it. They know no network and no
//! clock, so the simulator judges its made-up fleet with the very same ones.
//!
//! [`check`] holds the predicates, [`threshold`] the timings, [`verdict`] what comes of both, and [`redact`] looks over
//! the report before it is written.
pub mod check;
pub mod invariant;
pub mod redact;
pub mod threshold;
pub mod verdict;

pub use check::Fetch;
pub use redact::{Leak, scan};
pub use threshold::{Threshold, Thresholds, Timing};
pub use verdict::{Report, Step, Verdict};
