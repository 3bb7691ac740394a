//! How one job changes when it is claimed and let go of.
//!
//! Every adapter asks here and only reads and writes rows, so adapters cannot disagree on what a claim or an outcome means.
//! Which job is next, and whether a token still holds, is for the adapter to find.

use rend_core::job::{ErrorClass, Job, JobError, JobState, Lease, NewJob, Outcome};
use rend_core::time::Timestamp;

use crate::jobs::{Claim, WORKER_LOST};

/// The job as it is written down first.
pub const fn queued(new: &NewJob, now: Timestamp) -> Job {
    Job {
        id: new.id,
        asset: new.asset,
        kind: new.kind,
        state: JobState::Queued,
        attempt: 0,
        attempts_max: new.attempts_max,
        run_at: new.run_at,
        lease_expires: None,
        worker: None,
        error: None,
        created_at: now,
        updated_at: now,
    }
}

/// Since when the job may be claimed, or `None` when it is finished.
pub const fn due_since(job: &Job) -> Option<Timestamp> {
    match job.state {
        JobState::Queued => Some(job.run_at),
        JobState::Leased => job.lease_expires,
        JobState::Succeeded | JobState::Failed => None,
    }
}

/// What a claim that meets a due job makes of it: the job as it is to be written down.
#[derive(Clone, Debug)]
pub enum Met {
    /// The claimer has it, under this lease.
    Claimed(Job, Lease),
    /// It has been lost as often as it may be; the claimer looks on.
    Lost(Job),
}

/// What `claim` makes of `job`, which is due.
pub fn meet(job: Job, claim: &Claim) -> Met {
    if job.state == JobState::Leased && job.attempt >= job.attempts_max {
        let error = JobError {
            class: ErrorClass::Poison,
            code: WORKER_LOST.into(),
            detail: "Every worker that took this up stopped before it was done.".into(),
            stderr_tail: String::new(),
        };
        let error = Some(error);
        return Met::Lost(Job { state: JobState::Failed, error, ..released(job, claim.now) });
    }
    let attempt = job.attempt.saturating_add(1);
    let job = Job {
        state: JobState::Leased,
        attempt,
        lease_expires: Some(claim.expires),
        worker: Some(claim.worker.clone()),
        updated_at: claim.now,
        ..job
    };
    let lease = Lease { job: job.id, token: claim.token, attempt, expires: claim.expires };
    Met::Claimed(job, lease)
}

/// The job after its holder let go of it.
pub fn finished(job: Job, outcome: &Outcome, now: Timestamp) -> Job {
    let job = released(job, now);
    match outcome {
        Outcome::Succeed => Job { state: JobState::Succeeded, ..job },
        Outcome::Retry { at, error } => Job { state: JobState::Queued, run_at: *at, error: Some(error.clone()), ..job },
        Outcome::Defer { at } => {
            Job { state: JobState::Queued, run_at: *at, attempt: job.attempt.saturating_sub(1), ..job }
        }
        Outcome::Fail { error } => Job { state: JobState::Failed, error: Some(error.clone()), ..job },
    }
}

fn released(job: Job, now: Timestamp) -> Job {
    Job { lease_expires: None, worker: None, updated_at: now, ..job }
}
