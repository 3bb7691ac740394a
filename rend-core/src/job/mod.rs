//! Jobs: work that is written down, leased, retried by class, and finished once.

pub mod lease;
mod lost;
mod retry;
pub mod worker;

pub use crate::asset::UnknownWord;
pub use lost::moves_for_lost;
pub use retry::{RETRY_WAIT_MAX, RETRY_WAIT_MIN, retry_wait};

use crate::asset::named;
use crate::id::{AssetId, JobId, LeaseToken};
use crate::time::Timestamp;
use std::fmt;
use std::str::FromStr;

named! {
    /// What a job does.
    JobKind {
        /// Makes an uploaded source playable.
        Media = "media",
        /// Removes everything of a deleted asset and purges the edges.
        Delete = "delete",
        /// Puts the pieces of an upload together.
        Assemble = "assemble",
        /// Fetches an original from a URL.
        Pull = "pull",
        /// Publishes the captions that an asset has, and no others.
        Captions = "captions",
        /// Makes the downloads that an asset has none of yet.
        Download = "download",
    }
}

/// A job to be written down.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct NewJob {
    /// Its name.
    pub id: JobId,
    /// What it works on.
    pub asset: AssetId,
    /// What it does.
    pub kind: JobKind,
    /// Not before this.
    pub run_at: Timestamp,
    /// How often it may be tried.
    pub attempts_max: u32,
}

/// A job as it was last known.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Job {
    /// Its name.
    pub id: JobId,
    /// What it works on.
    pub asset: AssetId,
    /// What it does.
    pub kind: JobKind,
    /// Where it stands.
    pub state: JobState,
    /// How often it was claimed so far, not counting claims that were given back ([`Outcome::Defer`]).
    pub attempt: u32,
    /// How often it may be tried.
    pub attempts_max: u32,
    /// Not before this, while queued.
    pub run_at: Timestamp,
    /// When the present lease ends, while leased.
    pub lease_expires: Option<Timestamp>,
    /// Who holds the present lease, while leased.
    pub worker: Option<String>,
    /// What went wrong last.
    pub error: Option<JobError>,
    /// When it was written down.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

named! {
    /// Where a job stands. A leased job whose lease ran out may be claimed like a queued one.
    JobState {
        /// It waits.
        Queued = "queued",
        /// A worker has it.
        Leased = "leased",
        /// It is done.
        Succeeded = "succeeded",
        /// It will not be tried again.
        Failed = "failed",
    }
}

named! {
    /// What kind of trouble it was, which decides whether trying again can help.
    ErrorClass {
        /// The input is at fault: trying again gives the same.
        Permanent = "permanent",
        /// The surroundings were at fault: trying again may help.
        Transient = "transient",
        /// It took two workers down: trying again does harm.
        Poison = "poison",
    }
}

/// What went wrong with a job.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct JobError {
    /// Whether trying again can help.
    pub class: ErrorClass,
    /// A stable word, such as `unreadable`.
    pub code: String,
    /// A sentence for the owner.
    pub detail: String,
    /// The end of what the encoder said, at most [`STDERR_TAIL_BYTES_MAX`] bytes.
    pub stderr_tail: String,
}

/// Bytes of an encoder's last words that are kept.
pub const STDERR_TAIL_BYTES_MAX: usize = 4096;

/// A worker's time-limited right to a job.
///
/// Holding one proves that the job was claimed with this token; every write on its behalf carries it, and fails with
/// `LeaseLost` once another claim has been made or the job is finished.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Lease {
    /// The job.
    pub job: JobId,
    /// This claim's fence.
    pub token: LeaseToken,
    /// Which try this is, from 1.
    pub attempt: u32,
    /// When it ends, unless extended.
    pub expires: Timestamp,
}

/// What becomes of a job when its worker lets go of it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Outcome {
    /// It is done.
    Succeed,
    /// It is tried again, not before `at`.
    Retry {
        /// Not before this.
        at: Timestamp,
        /// What went wrong.
        error: JobError,
    },
    /// The worker gives it back without having failed; the try does not count.
    Defer {
        /// Not before this.
        at: Timestamp,
    },
    /// It will not be tried again.
    Fail {
        /// What went wrong.
        error: JobError,
    },
}
