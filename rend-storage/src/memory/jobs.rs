use async_trait::async_trait;
use rend_core::id::{AssetId, JobId};
use rend_core::job::{Job, JobState, Lease, NewJob, Outcome};
use rend_core::time::Timestamp;

use super::{Held, Memory, State};
use crate::StoreError;
use crate::jobs::{Claim, Depth, JobQueue};
use crate::lease::{self, Met};

impl State {
    /// The job that `lease` holds.
    pub(super) fn held(&self, lease: &Lease) -> Result<&Held, StoreError> {
        let held = self.jobs.get(&lease.job).filter(|held| held.token == Some(lease.token));
        held.ok_or(StoreError::LeaseLost)
    }

    fn next_due(&self, claim: &Claim) -> Option<JobId> {
        let due = self.jobs.values().map(|held| &held.job).filter(|job| claim.kinds.contains(&job.kind));
        let due = due.filter_map(|job| Some((lease::due_since(job)?, job.id))).filter(|(since, _)| *since <= claim.now);
        due.min().map(|(_, id)| id)
    }
}

#[async_trait]
impl JobQueue for Memory {
    async fn enqueue(&self, job: &NewJob, now: Timestamp) -> Result<(), StoreError> {
        self.with(|state| {
            if state.jobs.contains_key(&job.id) {
                return Err(StoreError::Conflict { what: "job" });
            }
            state.jobs.insert(job.id, Held { job: lease::queued(job, now), token: None });
            Ok(())
        })
    }

    async fn claim(&self, claim: &Claim) -> Result<Option<(Job, Lease)>, StoreError> {
        Ok(self.with(|state| {
            while let Some(id) = state.next_due(claim) {
                let held = state.jobs.remove(&id)?;
                match lease::meet(held.job, claim) {
                    Met::Claimed(job, lease) => {
                        state.jobs.insert(id, Held { job: job.clone(), token: Some(claim.token) });
                        return Some((job, lease));
                    }
                    Met::Lost(job) => {
                        state.jobs.insert(id, Held { job, token: None });
                    }
                }
            }
            None
        }))
    }

    async fn extend(&self, lease: &Lease, expires: Timestamp) -> Result<Lease, StoreError> {
        self.with(|state| {
            state.held(lease)?;
            let held = state.jobs.get_mut(&lease.job).ok_or(StoreError::LeaseLost)?;
            held.job.lease_expires = Some(expires);
            Ok(Lease { expires, attempt: held.job.attempt, ..lease.clone() })
        })
    }

    async fn finish(&self, lease: &Lease, outcome: &Outcome, now: Timestamp) -> Result<(), StoreError> {
        self.with(|state| {
            let job = lease::finished(state.held(lease)?.job.clone(), outcome, now);
            state.jobs.insert(job.id, Held { job, token: None });
            Ok(())
        })
    }

    async fn of_asset(&self, asset: AssetId) -> Result<Vec<Job>, StoreError> {
        Ok(self.with(|state| {
            state.jobs.values().map(|held| &held.job).filter(|job| job.asset == asset).cloned().collect()
        }))
    }

    async fn failed(&self, after: Option<JobId>, limit: usize) -> Result<Vec<Job>, StoreError> {
        Ok(self.with(|state| {
            let failed = state.jobs.values().map(|held| &held.job).filter(|job| job.state == JobState::Failed);
            failed.filter(|job| after.is_none_or(|after| job.id > after)).take(limit).cloned().collect()
        }))
    }

    async fn depth(&self) -> Result<Depth, StoreError> {
        Ok(self.with(|state| {
            let mut depth = Depth::default();
            for Held { job, .. } in state.jobs.values() {
                match job.state {
                    JobState::Queued => {
                        depth.queued += 1;
                        let oldest = depth.oldest_run_at.unwrap_or(job.run_at);
                        depth.oldest_run_at = Some(oldest.min(job.run_at));
                    }
                    JobState::Leased => depth.leased += 1,
                    JobState::Failed => depth.failed += 1,
                    JobState::Succeeded => {}
                }
            }
            depth
        }))
    }
}
