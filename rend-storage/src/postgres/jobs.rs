use async_trait::async_trait;
use rend_core::id::{AssetId, JobId, LeaseToken};
use rend_core::job::{Job, JobState, Lease, NewJob, Outcome};
use rend_core::time::Timestamp;
use tokio_postgres::Row;

use super::Postgres;
use super::columns::{Id, escape, get, id, limit, millis, number, parsed, small, text_or_none, time, time_or_none};
use super::fault::Fault;
use super::session::Session;
use crate::jobs::{Claim, Depth, JobQueue};
use crate::lease::{self, Met};
use crate::{StoreError, documents};

#[async_trait]
impl JobQueue for Postgres {
    async fn enqueue(&self, job: &NewJob, now: Timestamp) -> Result<(), StoreError> {
        let db = self.session().await?;
        let inserted = insert(&db, &lease::queued(job, now)).await;
        db.end(inserted)
    }

    async fn claim(&self, claim: &Claim) -> Result<Option<(Job, Lease)>, StoreError> {
        let db = self.transaction().await?;
        let claimed = take_next(&db, claim).await;
        db.commit(claimed).await
    }

    async fn extend(&self, lease: &Lease, expires: Timestamp) -> Result<Lease, StoreError> {
        let db = self.transaction().await?;
        let extended = extend(&db, lease, expires).await;
        db.commit(extended).await
    }

    async fn finish(&self, lease: &Lease, outcome: &Outcome, now: Timestamp) -> Result<(), StoreError> {
        let db = self.transaction().await?;
        let finished = finish(&db, lease, outcome, now).await;
        db.commit(finished).await
    }

    async fn of_asset(&self, asset: AssetId) -> Result<Vec<Job>, StoreError> {
        let db = self.session().await?;
        let found = db.all(include_str!("sql/jobs_of_asset.sql"), &[&Id(*asset.as_bytes())]).await;
        db.end(found.and_then(|rows| rows.iter().map(decode).collect()))
    }

    async fn failed(&self, after: Option<JobId>, rows: usize) -> Result<Vec<Job>, StoreError> {
        let db = self.session().await?;
        let found = match after.map(|after| Id(*after.as_bytes())) {
            None => db.all(include_str!("sql/jobs_failed.sql"), &[&limit(rows)]).await,
            Some(after) => db.all(include_str!("sql/jobs_failed_after.sql"), &[&limit(rows), &after]).await,
        };
        db.end(found.and_then(|rows| rows.iter().map(decode).collect()))
    }

    async fn depth(&self) -> Result<Depth, StoreError> {
        let db = self.session().await?;
        let counted = db.all(include_str!("sql/job_depth.sql"), &[]).await;
        db.end(counted.and_then(|rows| depth(&rows)))
    }
}

async fn take_next(db: &Session, claim: &Claim) -> Result<Option<(Job, Lease)>, Fault> {
    let mut kinds: Vec<_> = claim.kinds.iter().map(|kind| kind.as_str()).collect();
    kinds.sort_unstable();
    kinds.dedup();
    while let Some(row) = db.first(include_str!("sql/job_due.sql"), &[&kinds, &millis(claim.now)]).await? {
        match lease::meet(decode(&row)?, claim) {
            Met::Claimed(job, lease) => {
                update(db, &job, Some(claim.token)).await?;
                return Ok(Some((job, lease)));
            }
            Met::Lost(job) => update(db, &job, None).await?,
        }
    }
    Ok(None)
}

async fn extend(db: &Session, lease: &Lease, expires: Timestamp) -> Result<Lease, Fault> {
    let job = held(db, lease).await?;
    let extended = Lease { expires, attempt: job.attempt, ..lease.clone() };
    update(db, &Job { lease_expires: Some(expires), ..job }, Some(extended.token)).await?;
    Ok(extended)
}

async fn finish(db: &Session, lease: &Lease, outcome: &Outcome, now: Timestamp) -> Result<(), Fault> {
    let job = held(db, lease).await?;
    update(db, &lease::finished(job, outcome, now), None).await
}

/// The job that `lease` holds, which nobody else can change until the end of the transaction.
async fn held(db: &Session, lease: &Lease) -> Result<Job, Fault> {
    let row = db.first(include_str!("sql/job_held.sql"), &[&Id(*lease.job.as_bytes()), &token_of(lease)]).await?;
    decode(&row.ok_or(StoreError::LeaseLost)?)
}

/// Sees to it that `lease` holds, and goes on holding until the end of the transaction.
pub(super) async fn hold_fence(db: &Session, lease: &Lease) -> Result<(), Fault> {
    let held = db.first(include_str!("sql/job_fence.sql"), &[&Id(*lease.job.as_bytes()), &token_of(lease)]).await?;
    if held.is_some() { Ok(()) } else { Err(StoreError::LeaseLost.into()) }
}

/// Writes a new job down.
pub(super) async fn insert(db: &Session, job: &Job) -> Result<(), Fault> {
    let inserted = write(db, include_str!("sql/job_insert.sql"), job, None).await?;
    if inserted == 0 { Err(StoreError::Conflict { what: "job" }.into()) } else { Ok(()) }
}

async fn update(db: &Session, job: &Job, token: Option<LeaseToken>) -> Result<(), Fault> {
    write(db, include_str!("sql/job_update.sql"), job, token).await?;
    Ok(())
}

async fn write(db: &Session, sql: &str, job: &Job, token: Option<LeaseToken>) -> Result<u64, Fault> {
    let params: [&(dyn tokio_postgres::types::ToSql + Sync); 14] = [
        &Id(*job.id.as_bytes()),
        &Id(*job.asset.as_bytes()),
        &job.kind.as_str(),
        &job.state.as_str(),
        &i64::from(job.attempt),
        &i64::from(job.attempts_max),
        &millis(job.run_at),
        &job.lease_expires.map(millis),
        &job.worker.as_deref().map(escape),
        &job.error.as_ref().map(documents::job_error),
        &millis(job.created_at),
        &millis(job.updated_at),
        &token.map(|token| Id(*token.as_bytes())),
        &lease::due_since(job).map(millis),
    ];
    db.run(sql, &params).await
}

const fn token_of(lease: &Lease) -> Id {
    Id(*lease.token.as_bytes())
}

fn depth(rows: &[Row]) -> Result<Depth, Fault> {
    let mut depth = Depth::default();
    for row in rows {
        let (jobs, oldest) = (number(row, "jobs")?, time(row, "oldest_run_at")?);
        match parsed(row, "state")? {
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
}

fn decode(row: &Row) -> Result<Job, Fault> {
    Ok(Job {
        id: JobId::from_bytes(id(row, "id")?),
        asset: AssetId::from_bytes(id(row, "asset")?),
        kind: parsed(row, "kind")?,
        state: parsed(row, "state")?,
        attempt: small(row, "attempt")?,
        attempts_max: small(row, "attempts_max")?,
        run_at: time(row, "run_at")?,
        lease_expires: time_or_none(row, "lease_expires")?,
        worker: text_or_none(row, "worker")?,
        error: get::<Option<&str>>(row, "error")?.map(documents::job_error_of).transpose()?,
        created_at: time(row, "created_at")?,
        updated_at: time(row, "updated_at")?,
    })
}
