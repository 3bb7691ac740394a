//! Collects what was left behind: uploads that never ended, and assets whose last worker was lost.

use std::sync::Arc;
use std::time::Duration;

use rend_core::asset::Move;
use rend_core::id::JobId;
use rend_core::job::{Job, moves_for_lost};
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
        match tell_of_lost(&state.stores, seen, now).await {
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

/// Tells the assets of failed jobs with an id after `after`, and answers where to go on: a job whose worker was lost has
/// nobody else to do it.
async fn tell_of_lost(stores: &Stores, after: Option<JobId>, now: Timestamp) -> Result<Option<JobId>, StoreError> {
    let failed = stores.jobs.failed(after, FAILED_MAX).await?;
    for job in &failed {
        match tell_asset_of(stores, job, now).await {
            // Somebody moved the asset meanwhile: a worker, a retry or a delete. What they did stands.
            Ok(()) | Err(StoreError::NotFound { .. } | StoreError::Conflict { .. } | StoreError::Illegal(_)) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(failed.last().filter(|_| failed.len() == FAILED_MAX).map(|job| job.id))
}

async fn tell_asset_of(stores: &Stores, job: &Job, now: Timestamp) -> Result<(), StoreError> {
    // Read before the jobs: what somebody asks for after this changes the revision, and the moves are refused.
    let mut asset = stores.assets.get(job.asset).await?;
    let jobs = stores.jobs.of_asset(job.asset).await?;
    for step in moves_for_lost(job, &asset, &jobs) {
        tracing::info!(asset = %asset.id, job = %job.id, step = step.name(), "saying what a lost worker could not");
        // What becomes ready publishes its captions.
        let enqueue = (matches!(step, Move::HlsReady { .. }) && !asset.captions.is_empty())
            .then(|| crate::http::captions::job(asset.id, now));
        let change = Change { asset: asset.id, expect: Some(asset.revision), step, fence: None, enqueue, now };
        asset = stores.assets.advance(&change).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use rend_core::artifact::Rendition;
    use rend_core::asset::{
        Asset, DownloadState, MediaFacts, PlayableState, PlaybackPolicy, SourceState, StoredSource,
    };
    use rend_core::id::{AssetId, LeaseToken, UploadId};
    use rend_core::job::{JobKind, NewJob};
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

    fn job(asset: AssetId, n: u8, kind: JobKind) -> NewJob {
        let id = JobId::new(at(u64::from(n)), [n; 10]);
        NewJob { id, asset, kind, run_at: at(0), attempts_max: 1 }
    }

    /// A worker takes the one job of `kind` that there is, and is not heard of again.
    async fn lose(stores: &Stores, kind: JobKind) {
        for (n, secs) in [(1, 0), (2, 20)] {
            let claim = Claim {
                worker: "w".into(),
                kinds: vec![kind],
                token: LeaseToken::new(at(0), [n; 10]),
                now: at(secs),
                expires: at(secs + 10),
            };
            assert_eq!(stores.jobs.claim(&claim).await.unwrap().is_some(), n == 1);
        }
    }

    fn media() -> MediaFacts {
        MediaFacts {
            container: "mov".into(),
            duration_ms: 1000,
            width: 1280,
            height: 720,
            millifps: 25_000,
            video_codec: "h264".into(),
            audio_codec: String::new(),
            notes: Vec::new(),
        }
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
        advance(stores, asset, Move::SourceStored(stored), Some(job(asset, 1, JobKind::Media))).await;
        advance(stores, asset, Move::BeginProcessing, None).await;
        lose(stores, JobKind::Media).await;
        asset
    }

    #[tokio::test]
    async fn an_asset_whose_worker_was_lost_is_failed_once() {
        let stores = Stores::memory();
        let asset = lost(&stores).await;
        assert_eq!(tell_of_lost(&stores, None, at(30)).await.unwrap(), None);
        let failed = stores.assets.get(asset).await.unwrap();
        assert_eq!((failed.source, failed.failure.clone().unwrap().code.as_str()), (SourceState::Failed, WORKER_LOST));
        tell_of_lost(&stores, None, at(31)).await.unwrap();
        assert_eq!(stores.assets.get(asset).await.unwrap(), failed);
    }

    #[tokio::test]
    async fn a_source_that_plays_goes_on_playing_without_the_ladder_that_took_its_workers_down() {
        let stores = Stores::memory();
        let asset = lost(&stores).await;
        let renditions = vec![Rendition::P360, Rendition::Source];
        advance(&stores, asset, Move::Planned { media: media(), renditions }, None).await;
        advance(&stores, asset, Move::OpenerReady { took_ms: 9 }, None).await;
        advance(&stores, asset, Move::RenditionReady { rendition: Rendition::Source, bandwidth: 1 }, None).await;
        tell_of_lost(&stores, None, at(30)).await.unwrap();
        let told = stores.assets.get(asset).await.unwrap();
        assert_eq!((told.source, told.playable), (SourceState::Ready, PlayableState::HlsReady));
        assert!(told.degraded);
    }

    #[tokio::test]
    async fn the_failure_of_an_older_job_says_nothing_of_a_retry() {
        let stores = Stores::memory();
        let asset = lost(&stores).await;
        tell_of_lost(&stores, None, at(30)).await.unwrap();
        advance(&stores, asset, Move::Retry, Some(job(asset, 2, JobKind::Media))).await;
        tell_of_lost(&stores, None, at(31)).await.unwrap();
        assert_eq!(stores.assets.get(asset).await.unwrap().source, SourceState::Uploaded);
    }

    #[tokio::test]
    async fn downloads_whose_worker_was_lost_are_failed_and_can_be_asked_for_again() {
        let stores = Stores::memory();
        let (asset, _) = uploading(&stores).await;
        let rungs = [Rendition::P360, Rendition::P720];
        advance(&stores, asset, Move::SourceStored(StoredSource { bytes: 1, sha256: [0; 32] }), None).await;
        advance(&stores, asset, Move::BeginProcessing, None).await;
        advance(&stores, asset, Move::Planned { media: media(), renditions: rungs.to_vec() }, None).await;
        for rendition in rungs {
            advance(&stores, asset, Move::RenditionReady { rendition, bandwidth: 1 }, None).await;
        }
        advance(&stores, asset, Move::HlsReady { degraded: false }, None).await;
        advance(&stores, asset, Move::RequestDownload(Rendition::P360), Some(job(asset, 1, JobKind::Download))).await;
        advance(&stores, asset, Move::RequestDownload(Rendition::P720), None).await;
        lose(&stores, JobKind::Download).await;
        tell_of_lost(&stores, None, at(30)).await.unwrap();
        let told = stores.assets.get(asset).await.unwrap();
        let said: Vec<_> = told.downloads.iter().map(|row| row.state.as_str()).collect();
        assert_eq!(said, ["failed", "failed"]);
        assert!(matches!(&told.downloads[0].state, DownloadState::Failed(failure) if failure.code == WORKER_LOST));

        let again = Some(job(asset, 2, JobKind::Download));
        advance(&stores, asset, Move::RequestDownload(Rendition::P360), again).await;
        tell_of_lost(&stores, None, at(31)).await.unwrap();
        assert_eq!(stores.assets.get(asset).await.unwrap().downloads[0].state, DownloadState::Pending);
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
