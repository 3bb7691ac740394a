//! Collects what was left behind: uploads that never ended, and assets whose last worker was lost.

use std::sync::Arc;
use std::time::Duration;

use rend_core::asset::{Failure, Move, SourceState};
use rend_core::id::JobId;
use rend_core::job::{Job, JobKind};
use rend_core::time::Timestamp;
use rend_core::upload::sweep::{SWEEP_MAX, Sweep, sweep};
use rend_core::upload::{UploadSession, UploadState};
use rend_storage::StoreError;
use rend_storage::assets::Change;

use crate::http::videos::abandon;
use crate::state::{State, Stores};

/// How often is looked.
const LOOK_EVERY: Duration = Duration::from_secs(60);
/// Failed jobs read in one look; the next look goes on from there, and begins again after the last.
const FAILED_MAX: usize = 500;

/// Sweeps until a stop is requested. It says what it collects before it does.
pub(crate) async fn run(state: Arc<State>) {
    let mut shutdown = state.shutdown.clone();
    let mut seen = None;
    loop {
        let now = state.clock.wall();
        match collect(&state.stores, now).await {
            Ok(()) => state.bus.wake(),
            Err(error) => tracing::warn!(%error, "upload sessions could not be swept"),
        }
        match fail_lost(&state.stores, seen, now).await {
            Ok(last) => {
                seen = last;
                state.bus.wake();
            }
            Err(error) => tracing::warn!(%error, "failed jobs could not be swept"),
        }
        if let Err(error) = crate::once::forget(&state.stores, now).await {
            tracing::warn!(%error, "old answers could not be forgotten");
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK_EVERY) => {}
            () = shutdown.requested() => return,
        }
    }
}

/// Settles the upload sessions whose time is over.
pub(crate) async fn collect(stores: &Stores, now: Timestamp) -> Result<(), StoreError> {
    for session in stores.uploads.expired(now, SWEEP_MAX).await? {
        let is_stored = match stores.assets.get(session.asset).await {
            Ok(asset) => asset.stored.is_some(),
            Err(StoreError::NotFound { .. }) => false,
            Err(error) => return Err(error),
        };
        settle(stores, &session, sweep(&session, is_stored, now), now).await?;
    }
    Ok(())
}

async fn settle(stores: &Stores, session: &UploadSession, what: Sweep, now: Timestamp) -> Result<(), StoreError> {
    match what {
        Sweep::Keep => Ok(()),
        Sweep::Complete => stores.uploads.settle(session.id, UploadState::Complete).await,
        Sweep::Abandon => {
            tracing::info!(asset = %session.asset, upload = %session.id, "collecting an upload that never ended");
            abandon(stores, session, now).await;
            Ok(())
        }
    }
}

/// Fails the assets of failed media jobs with an id after `after`, and answers where to go on: a job whose worker was
/// lost has nobody else to do it.
async fn fail_lost(stores: &Stores, after: Option<JobId>, now: Timestamp) -> Result<Option<JobId>, StoreError> {
    let failed = stores.jobs.failed(after, FAILED_MAX).await?;
    for job in failed.iter().filter(|job| job.kind == JobKind::Media) {
        match fail_asset_of(stores, job, now).await {
            // Somebody moved the asset meanwhile: a worker, a retry or a delete. What they did stands.
            Ok(()) | Err(StoreError::NotFound { .. } | StoreError::Conflict { .. } | StoreError::Illegal(_)) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(failed.last().filter(|_| failed.len() == FAILED_MAX).map(|job| job.id))
}

async fn fail_asset_of(stores: &Stores, job: &Job, now: Timestamp) -> Result<(), StoreError> {
    // Read before the jobs: a retry after this changes the revision, and the failure is refused.
    let asset = stores.assets.get(job.asset).await?;
    if !asset.source.is_live() || asset.source == SourceState::Ready {
        return Ok(());
    }
    let jobs = stores.jobs.of_asset(job.asset).await?;
    if jobs.iter().any(|other| other.kind == JobKind::Media && other.id > job.id) {
        return Ok(());
    }
    let code = job.error.as_ref().map_or("processing_failed", |error| error.code.as_str());
    tracing::info!(asset = %asset.id, job = %job.id, code, "failing an asset whose last job failed without saying so");
    let failure = Failure {
        code: code.to_owned(),
        detail: "preparing the video was interrupted too often and was given up; try again, or upload it in another \
                 format"
            .into(),
    };
    let (expect, step) = (Some(asset.revision), Move::Fail(failure));
    let change = Change { asset: asset.id, expect, step, fence: None, enqueue: None, now };
    stores.assets.advance(&change).await.map(|_| ())
}

#[cfg(test)]
mod tests {
    use rend_core::asset::{Asset, PlaybackPolicy, StoredSource};
    use rend_core::id::{AssetId, LeaseToken, UploadId};
    use rend_core::job::NewJob;
    use rend_storage::jobs::{Claim, WORKER_LOST};

    use super::*;
    use crate::config::SOLE_ORG;

    fn at(secs: u64) -> Timestamp {
        Timestamp::from_secs(1_800_000_000 + secs)
    }

    async fn advance(stores: &Stores, asset: AssetId, step: Move, enqueue: Option<NewJob>) -> Asset {
        let change = Change { asset, expect: None, step, fence: None, enqueue, now: at(0) };
        stores.assets.advance(&change).await.unwrap()
    }

    fn job(asset: AssetId, n: u8) -> NewJob {
        let id = JobId::new(at(u64::from(n)), [n; 10]);
        NewJob { id, asset, kind: JobKind::Media, run_at: at(0), attempts_max: 1 }
    }

    /// An asset whose upload began, with its open session.
    async fn uploading(stores: &Stores) -> (AssetId, UploadSession) {
        let asset = Asset::new(AssetId::new(at(0), [1; 10]), SOLE_ORG, "a".into(), PlaybackPolicy::Public, at(0));
        stores.assets.create(&asset).await.unwrap();
        let session = UploadSession {
            id: UploadId::new(at(0), [1; 10]),
            asset: asset.id,
            org: SOLE_ORG,
            bytes_expected: None,
            state: UploadState::Open,
            expires_at: at(10),
            created_at: at(0),
        };
        stores.uploads.open(&session).await.unwrap();
        advance(stores, asset.id, Move::BeginUpload, None).await;
        (asset.id, session)
    }

    /// An asset whose only job was lost with its worker.
    async fn lost(stores: &Stores) -> AssetId {
        let (asset, _) = uploading(stores).await;
        let stored = StoredSource { bytes: 1, sha256: [0; 32] };
        advance(stores, asset, Move::SourceStored(stored), Some(job(asset, 1))).await;
        advance(stores, asset, Move::BeginProcessing, None).await;
        for (n, secs) in [(1, 0), (2, 20)] {
            let claim = Claim {
                worker: "w".into(),
                kinds: vec![JobKind::Media],
                token: LeaseToken::new(at(0), [n; 10]),
                now: at(secs),
                expires: at(secs + 10),
            };
            assert_eq!(stores.jobs.claim(&claim).await.unwrap().is_some(), n == 1);
        }
        asset
    }

    #[tokio::test]
    async fn an_asset_whose_worker_was_lost_is_failed_once() {
        let stores = Stores::memory();
        let asset = lost(&stores).await;
        assert_eq!(fail_lost(&stores, None, at(30)).await.unwrap(), None);
        let failed = stores.assets.get(asset).await.unwrap();
        assert_eq!((failed.source, failed.failure.clone().unwrap().code.as_str()), (SourceState::Failed, WORKER_LOST));
        fail_lost(&stores, None, at(31)).await.unwrap();
        assert_eq!(stores.assets.get(asset).await.unwrap(), failed);
    }

    #[tokio::test]
    async fn the_failure_of_an_older_job_says_nothing_of_a_retry() {
        let stores = Stores::memory();
        let asset = lost(&stores).await;
        fail_lost(&stores, None, at(30)).await.unwrap();
        advance(&stores, asset, Move::Retry, Some(job(asset, 2))).await;
        fail_lost(&stores, None, at(31)).await.unwrap();
        assert_eq!(stores.assets.get(asset).await.unwrap().source, SourceState::Uploaded);
    }

    #[tokio::test]
    async fn an_expired_upload_is_abandoned_unless_its_original_is_stored() {
        let stores = Stores::memory();
        let (asset, session) = uploading(&stores).await;
        collect(&stores, at(9)).await.unwrap();
        assert_eq!(stores.uploads.get(session.id).await.unwrap().state, UploadState::Open);
        collect(&stores, at(10)).await.unwrap();
        assert_eq!(stores.uploads.get(session.id).await.unwrap().state, UploadState::Abandoned);
        assert_eq!(stores.assets.get(asset).await.unwrap().source, SourceState::Failed);

        let stores = Stores::memory();
        let (asset, session) = uploading(&stores).await;
        advance(&stores, asset, Move::SourceStored(StoredSource { bytes: 1, sha256: [0; 32] }), None).await;
        collect(&stores, at(10)).await.unwrap();
        assert_eq!(stores.uploads.get(session.id).await.unwrap().state, UploadState::Complete);
        assert_eq!(stores.assets.get(asset).await.unwrap().source, SourceState::Uploaded);
    }
}
