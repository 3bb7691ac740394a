use async_trait::async_trait;
use rend_core::id::{AssetId, JobId, LeaseToken};
use rend_core::job::{Job, JobState, Lease, NewJob, Outcome};
use rend_core::time::Timestamp;
use rusqlite::{Connection, Row, named_params};

use super::columns::{get, limit, millis, number, parsed, read_or_none, time, time_or_none};
use super::fault::Fault;
use super::{Sqlite, all, changed, first, run};
use crate::jobs::{Claim, Depth, JobQueue};
use crate::lease::{self, Met};
use crate::{StoreError, documents};

#[async_trait]
impl JobQueue for Sqlite {
    async fn enqueue(&self, job: &NewJob, now: Timestamp) -> Result<(), StoreError> {
        let job = lease::queued(job, now);
        self.write(move |db| insert(db, &job)).await
    }

    async fn claim(&self, claim: &Claim) -> Result<Option<(Job, Lease)>, StoreError> {
        let claim = claim.clone();
        self.write(move |db| {
            while let Some(due) = next_due(db, &claim)? {
                match lease::meet(due, &claim) {
                    Met::Claimed(job, lease) => {
                        update(db, &job, Some(claim.token))?;
                        return Ok(Some((job, lease)));
                    }
                    Met::Lost(job) => update(db, &job, None)?,
                }
            }
            Ok(None)
        })
        .await
    }

    async fn extend(&self, lease: &Lease, expires: Timestamp) -> Result<Lease, StoreError> {
        let lease = lease.clone();
        self.write(move |db| {
            let job = held(db, &lease)?;
            let extended = Lease { expires, attempt: job.attempt, ..lease };
            update(db, &Job { lease_expires: Some(expires), ..job }, Some(extended.token))?;
            Ok(extended)
        })
        .await
    }

    async fn finish(&self, lease: &Lease, outcome: &Outcome, now: Timestamp) -> Result<(), StoreError> {
        let (lease, outcome) = (lease.clone(), outcome.clone());
        self.write(move |db| update(db, &lease::finished(held(db, &lease)?, &outcome, now), None)).await
    }

    async fn of_asset(&self, asset: AssetId) -> Result<Vec<Job>, StoreError> {
        self.read(move |db| {
            all(db, include_str!("sql/jobs_of_asset.sql"), named_params! { ":asset": asset.as_bytes() }, decode)
        })
        .await
    }

    async fn failed(&self, after: Option<JobId>, rows: usize) -> Result<Vec<Job>, StoreError> {
        self.read(move |db| {
            // Nothing at all comes before every id.
            let after = after.map_or_else(Vec::new, |after| after.as_bytes().to_vec());
            let params = named_params! { ":after": after, ":limit": limit(rows) };
            all(db, include_str!("sql/jobs_failed.sql"), params, decode)
        })
        .await
    }

    async fn depth(&self) -> Result<Depth, StoreError> {
        self.read(|db| {
            let mut depth = Depth::default();
            let row = |row: &Row<'_>| Ok((parsed(row, "state")?, number(row, "jobs")?, time(row, "oldest_run_at")?));
            for (state, jobs, oldest) in all(db, include_str!("sql/job_depth.sql"), &[], row)? {
                match state {
                    JobState::Queued => {
                        depth.queued = jobs;
                        depth.oldest_run_at = Some(oldest);
                    }
                    JobState::Leased => depth.leased = jobs,
                    JobState::Failed => depth.failed = jobs,
                    JobState::Succeeded => {}
                }
            }
            Ok(depth)
        })
        .await
    }
}

/// The job that `lease` holds.
pub(super) fn held(db: &Connection, lease: &Lease) -> Result<Job, Fault> {
    let params = named_params! { ":id": lease.job.as_bytes(), ":token": lease.token.as_bytes() };
    let held = first(db, include_str!("sql/job_held.sql"), params, decode)?;
    held.ok_or_else(|| StoreError::LeaseLost.into())
}

/// Writes a new job down.
pub(super) fn insert(db: &Connection, job: &Job) -> Result<(), Fault> {
    let inserted = write(db, include_str!("sql/job_insert.sql"), job, None)?;
    changed(inserted, StoreError::Conflict { what: "job" })
}

fn update(db: &Connection, job: &Job, token: Option<LeaseToken>) -> Result<(), Fault> {
    write(db, include_str!("sql/job_update.sql"), job, token)?;
    Ok(())
}

fn next_due(db: &Connection, claim: &Claim) -> Result<Option<Job>, Fault> {
    let mut next: Option<Job> = None;
    for kind in &claim.kinds {
        let params = named_params! { ":kind": kind.as_str(), ":now": millis(claim.now) };
        let due = first(db, include_str!("sql/job_due.sql"), params, decode)?;
        let place = |job: &Job| (lease::due_since(job), job.id);
        next = next.into_iter().chain(due).min_by_key(place);
    }
    Ok(next)
}

fn write(db: &Connection, sql: &str, job: &Job, token: Option<LeaseToken>) -> Result<usize, Fault> {
    let params = named_params! {
        ":id": job.id.as_bytes(),
        ":asset": job.asset.as_bytes(),
        ":kind": job.kind.as_str(),
        ":state": job.state.as_str(),
        ":attempt": job.attempt,
        ":attempts_max": job.attempts_max,
        ":run_at": millis(job.run_at),
        ":lease_expires": job.lease_expires.map(millis),
        ":worker": job.worker,
        ":error": job.error.as_ref().map(documents::job_error),
        ":created_at": millis(job.created_at),
        ":updated_at": millis(job.updated_at),
        ":token": token.map(|token| *token.as_bytes()),
        ":due_since": lease::due_since(job).map(millis),
    };
    run(db, sql, params)
}

fn decode(row: &Row<'_>) -> Result<Job, Fault> {
    Ok(Job {
        id: JobId::from_bytes(get(row, "id")?),
        asset: AssetId::from_bytes(get(row, "asset")?),
        kind: parsed(row, "kind")?,
        state: parsed(row, "state")?,
        attempt: get(row, "attempt")?,
        attempts_max: get(row, "attempts_max")?,
        run_at: time(row, "run_at")?,
        lease_expires: time_or_none(row, "lease_expires")?,
        worker: get(row, "worker")?,
        error: read_or_none(row, "error", documents::job_error_of)?,
        created_at: time(row, "created_at")?,
        updated_at: time(row, "updated_at")?,
    })
}
