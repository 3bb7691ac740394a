//! The job queue.

use std::fmt;

use async_trait::async_trait;
use rend_core::id::{AssetId, JobId, LeaseToken};
use rend_core::job::{Job, JobKind, Lease, NewJob, Outcome};
use rend_core::time::Timestamp;

use crate::StoreError;

/// The jobs and who holds them.
///
/// # Contract
///
/// A job has at most one lease that holds. A claim takes the job that has been due longest, ties by id: one that is
/// queued with `run_at ≤ now`, or leased with a lease that ended at or before `now`. Each claim counts one attempt,
/// gets the token it is given, and ends every earlier lease of the job. A leased job whose attempts are used up is not
/// claimed again: the claim that meets it fails it with the code [`WORKER_LOST`] and class poison, and looks on. A lease
/// holds until another claim or the end of the job, so extending or finishing under one that has merely run out works.
/// Every adapter passes `conformance::jobs`.
#[async_trait]
pub trait JobQueue: fmt::Debug + Send + Sync {
    /// Writes `job` down as queued.
    ///
    /// # Errors
    ///
    /// [`StoreError::Conflict`] when the id is taken, else [`StoreError::Unavailable`].
    async fn enqueue(&self, job: &NewJob, now: Timestamp) -> Result<(), StoreError>;

    /// Claims the next due job of one of `kinds`, or `None`.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`].
    async fn claim(&self, claim: &Claim) -> Result<Option<(Job, Lease)>, StoreError>;

    /// Moves the end of the lease to `expires`.
    ///
    /// # Errors
    ///
    /// [`StoreError::LeaseLost`], else [`StoreError::Unavailable`].
    async fn extend(&self, lease: &Lease, expires: Timestamp) -> Result<Lease, StoreError>;

    /// Lets go of the job. [`Outcome::Defer`] takes its attempt back.
    ///
    /// # Errors
    ///
    /// [`StoreError::LeaseLost`], else [`StoreError::Unavailable`].
    async fn finish(&self, lease: &Lease, outcome: &Outcome, now: Timestamp) -> Result<(), StoreError>;

    /// Every job of `asset`, oldest first by id.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`].
    async fn of_asset(&self, asset: AssetId) -> Result<Vec<Job>, StoreError>;

    /// Up to `limit` failed jobs with an id after `after`, oldest first by id. A job that fails as [`WORKER_LOST`] has no
    /// worker left to say so elsewhere, so somebody has to look here for them.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`].
    async fn failed(&self, after: Option<JobId>, limit: usize) -> Result<Vec<Job>, StoreError>;

    /// How many jobs of each state there are, and when the oldest queued one became due.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`].
    async fn depth(&self) -> Result<Depth, StoreError>;
}

/// One wish for a job.
#[derive(Clone, Debug)]
pub struct Claim {
    /// Who asks; shown to people.
    pub worker: String,
    /// Kinds that it can do.
    pub kinds: Vec<JobKind>,
    /// The fence of the lease, new for each claim.
    pub token: LeaseToken,
    /// The time.
    pub now: Timestamp,
    /// When the lease ends unless extended.
    pub expires: Timestamp,
}

/// The code of the error of a job whose last worker never let go of it.
pub const WORKER_LOST: &str = "worker_lost";

/// How full the queue is.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Depth {
    /// Jobs that wait.
    pub queued: u64,
    /// Jobs that a worker has.
    pub leased: u64,
    /// Jobs that will not be tried again.
    pub failed: u64,
    /// When the longest-waiting queued job became due.
    pub oldest_run_at: Option<Timestamp>,
}
