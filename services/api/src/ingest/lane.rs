//! Claims the jobs that bring originals in, and works on a few of them at once.

use std::sync::Arc;
use std::time::Duration;

use rend_core::artifact::ObjectKey;
use rend_core::asset::{Failure, Move};
use rend_core::id::{AssetId, JobId, UploadId};
use rend_core::job::lease::beat_every;
use rend_core::job::{ErrorClass, Job, JobError, JobKind, Lease, NewJob, Outcome};
use rend_core::upload::UploadState;
use rend_storage::StoreError;
use rend_storage::assets::Change;
use tokio::sync::Semaphore;

use super::assemble::{Assembled, assemble, forget_parts};
use super::fetch::{Fetched, fetch};
use crate::queue;
use crate::state::State;

/// Originals that are put together at once; further ones wait in the queue.
const ASSEMBLING_MAX: usize = 2;
/// Originals that are fetched at once; further ones wait in the queue.
const FETCHING_MAX: usize = 4;
/// Tries to put an original together. With the longest wait between them this is about a day: as long as a disk that is
/// full may take to be cleared, and as long as the session lasts.
const ASSEMBLE_ATTEMPTS_MAX: u32 = 100;
/// Tries after which parts that do not fit together count as damaged.
const DAMAGED_AFTER: u32 = 3;
/// How long a lease lasts; it is renewed while work goes on. After a crash nobody goes on before it has run out, and who sent
/// the last piece may be waiting.
const LEASE_FOR: Duration = Duration::from_secs(15);
/// What an owner is told between two tries.
const NOT_YET: &str = "the original did not come in yet; it is tried again";

/// Works until a stop is requested, then gives back what it holds.
pub(crate) async fn run(state: Arc<State>) {
    let assembling = lane(&state, JobKind::Assemble, ASSEMBLING_MAX);
    let fetching = lane(&state, JobKind::Pull, FETCHING_MAX);
    futures::join!(assembling, fetching, super::sweep::run(&state));
}

/// Asks for the pieces of `upload` to be put together. Asking again changes nothing: the job has the upload's name.
///
/// # Errors
///
/// What the queue answers; the sweep asks again.
pub(crate) async fn assemble_later(state: &State, upload: UploadId, asset: AssetId) -> Result<(), StoreError> {
    let now = state.clock.wall();
    let id = JobId::from_bytes(*upload.as_bytes());
    let job = NewJob { id, asset, kind: JobKind::Assemble, run_at: now, attempts_max: ASSEMBLE_ATTEMPTS_MAX };
    match state.stores.jobs.enqueue(&job, now).await {
        Ok(()) | Err(StoreError::Conflict { .. }) => {
            state.bus.wake();
            Ok(())
        }
        Err(error) => Err(error),
    }
}

async fn lane(state: &Arc<State>, kind: JobKind, at_once: usize) {
    let places = Arc::new(Semaphore::new(at_once));
    let mut shutdown = state.shutdown.clone();
    let mut woken = state.bus.listen();
    loop {
        let place = tokio::select! {
            place = Arc::clone(&places).acquire_owned() => place,
            () = shutdown.requested() => break,
        };
        woken.mark_unchanged();
        if let Some((job, lease)) = queue::claim(state, kind, LEASE_FOR).await {
            let state = Arc::clone(state);
            rend_shell::spawn("ingest", async move {
                perform(&state, &job, lease).await;
                drop(place);
            });
            continue;
        }
        drop(place);
        tokio::select! {
            () = tokio::time::sleep(queue::LOOK_EVERY) => {}
            _ = woken.changed() => {}
            () = shutdown.requested() => break,
        }
    }
    // Everybody who still works hears the same request and gives the job back.
    let _ = tokio::time::timeout(LEASE_FOR, places.acquire_many(u32::try_from(at_once).unwrap_or(1))).await;
}

/// Works on one job while its lease holds, and lets go of it.
async fn perform(state: &Arc<State>, job: &Job, lease: Lease) {
    let mut shutdown = state.shutdown.clone();
    let outcome = tokio::select! {
        outcome = work(state, job, &lease) => outcome,
        () = lost(state, &lease) => {
            tracing::warn!(job = %job.id, "the lease on a job was lost; whoever has it goes on");
            return;
        }
        () = shutdown.requested() => Outcome::Defer { at: state.clock.wall() },
    };
    if let Err(error) = state.stores.jobs.finish(&lease, &outcome, state.clock.wall()).await {
        tracing::warn!(job = %job.id, %error, "a job could not be finished; its lease will run out");
    }
    state.bus.wake();
}

/// Renews the lease as long as it can be renewed.
async fn lost(state: &State, lease: &Lease) {
    loop {
        tokio::time::sleep(beat_every(LEASE_FOR)).await;
        let expires = state.clock.wall() + LEASE_FOR;
        if matches!(state.stores.jobs.extend(lease, expires).await, Err(StoreError::LeaseLost)) {
            return;
        }
    }
}

async fn work(state: &Arc<State>, job: &Job, lease: &Lease) -> Outcome {
    let upload = UploadId::from_bytes(*job.id.as_bytes());
    // Taking it over ends whoever still sends: nothing changes while the parts are read.
    let transfer = match state.stores.transfers.take_over(upload).await {
        Ok(transfer) => transfer,
        Err(StoreError::Conflict { .. } | StoreError::NotFound { .. }) => {
            return swept(forget_parts(&state.stores, upload).await.map(|_| ()), state, job);
        }
        Err(error) => return again(state, job, &error),
    };
    let transfer = if job.kind == JobKind::Pull && !transfer.is_whole() {
        match fetch(state, transfer).await {
            Fetched::Whole(transfer) => *transfer,
            // A try that brought something does not count.
            Fetched::Some => return Outcome::Defer { at: state.clock.wall() + PULL_PAUSE },
            Fetched::Nothing(error) => return retry_or_fail(state, job, lease, error, &PULL_FAILED).await,
            Fetched::Never(failure) => return fail(state, job, lease, failure).await,
        }
    } else {
        transfer
    };
    match assemble(&state.stores, &state.clock, &transfer, lease, state.config.job_attempts_max).await {
        Ok(Assembled::Ended) => Outcome::Succeed,
        Ok(Assembled::WrongDigest) => {
            let outcome = fail(state, job, lease, wrong_digest()).await;
            // The asset says so by now; its bytes are nobody's.
            let _ = state.stores.objects.delete(&ObjectKey::source(job.asset)).await;
            outcome
        }
        Err(StoreError::BadBody { .. }) if job.attempt >= DAMAGED_AFTER => fail(state, job, lease, damaged()).await,
        Err(error) => again(state, job, &error),
    }
}

fn swept(gone: Result<(), StoreError>, state: &State, job: &Job) -> Outcome {
    match gone {
        Ok(()) => Outcome::Succeed,
        Err(error) => again(state, job, &error),
    }
}

/// Tries again after a while, since a store failed.
fn again(state: &State, job: &Job, error: &StoreError) -> Outcome {
    tracing::warn!(job = %job.id, asset = %job.asset, %error, "an original could not be put together yet");
    queue::again(state, job, "store_failed", NOT_YET)
}

async fn retry_or_fail(state: &State, job: &Job, lease: &Lease, code: &'static str, last: &Known) -> Outcome {
    if job.attempt < job.attempts_max {
        return queue::again(state, job, code, NOT_YET);
    }
    fail(state, job, lease, Failure { code: last.code.into(), detail: last.detail.into() }).await
}

/// Gives up: the asset says why, and nothing of it stays.
async fn fail(state: &State, job: &Job, lease: &Lease, failure: Failure) -> Outcome {
    let now = state.clock.wall();
    tracing::info!(job = %job.id, asset = %job.asset, code = failure.code, "an original did not come in");
    let error = JobError {
        class: ErrorClass::Permanent,
        code: failure.code.clone(),
        detail: failure.detail.clone(),
        stderr_tail: String::new(),
    };
    let step = Move::Fail(failure);
    let change = Change { asset: job.asset, expect: None, step, fence: Some(lease.clone()), enqueue: None, now };
    let upload = UploadId::from_bytes(*job.id.as_bytes());
    match give_up(state, &change, upload).await {
        Ok(()) => Outcome::Fail { error },
        Err(error) => again(state, job, &error),
    }
}

async fn give_up(state: &State, change: &Change, upload: UploadId) -> Result<(), StoreError> {
    match state.stores.assets.advance(change).await {
        // Deleted meanwhile: that stands.
        Ok(_) | Err(StoreError::Illegal(_) | StoreError::NotFound { .. }) => {}
        Err(error) => return Err(error),
    }
    match state.stores.uploads.settle(upload, UploadState::Abandoned).await {
        Ok(()) | Err(StoreError::Conflict { .. } | StoreError::NotFound { .. }) => {}
        Err(error) => return Err(error),
    }
    forget_parts(&state.stores, upload).await.map(|_| ())
}

/// A reason in fixed words.
struct Known {
    code: &'static str,
    detail: &'static str,
}

const PULL_FAILED: Known = Known {
    code: "source_unreachable",
    detail: "the file could not be fetched from its URL in several tries; check that it can be reached, then ask again",
};

fn damaged() -> Failure {
    Failure {
        code: "upload_damaged".into(),
        detail: "parts of the upload were lost in storage; upload the file again".into(),
    }
}

fn wrong_digest() -> Failure {
    Failure {
        code: crate::http::uploads::direct::WRONG_DIGEST.into(),
        detail: "the file that arrived does not have the announced SHA-256; upload it again".into(),
    }
}

/// Rest before a file that came in part is asked for again.
const PULL_PAUSE: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use rend_core::job::JobState;
    use sha2::{Digest, Sha256};

    use super::*;
    use crate::ingest::fetch::tests::{answer, server};
    use crate::ingest::rig::{Rig, bytes_of, pulled};

    async fn asset_of(rig: &Rig, id: UploadId) -> AssetId {
        rig.stores.uploads.get(id).await.unwrap().asset
    }

    async fn job_of(rig: &Rig, asset: AssetId, state: JobState) -> Job {
        for _ in 0..2000 {
            let jobs = rig.stores.jobs.of_asset(asset).await.unwrap();
            if let Some(job) = jobs.into_iter().find(|job| job.kind != JobKind::Media && job.state == state) {
                return job;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("no job is {state}");
    }

    #[tokio::test]
    async fn a_file_from_a_url_becomes_an_original_though_its_server_breaks_off() {
        let file = bytes_of(50_000);
        let serve = file.clone();
        let (base, heard) = server(move |head, n| match n {
            0 => answer("200 OK", &[("content-length", "50000"), ("etag", "\"v1\"")], &serve[..20_000]),
            _ => {
                let range = head.lines().find_map(|line| line.strip_prefix("range: bytes=")).unwrap();
                let start: usize = range.trim_end_matches('-').parse().unwrap();
                let range = format!("bytes {start}-49999/50000");
                answer("206 Partial Content", &[("content-range", &range), ("etag", "\"v1\"")], &serve[start..])
            }
        })
        .await;
        let rig = Rig::new();
        let id = pulled(&rig, &base).await;
        let asset = asset_of(&rig, id).await;
        rig.run();
        // The second try comes after a rest.
        while heard.lock().unwrap().is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        job_of(&rig, asset, JobState::Queued).await;
        rig.pass(PULL_PAUSE);
        rig.state.bus.wake();
        let stored = rig.until(asset, "uploaded").await.stored.unwrap();
        assert_eq!((stored.bytes, stored.sha256), (50_000, Sha256::digest(&file).into()));
        assert_eq!(job_of(&rig, asset, JobState::Succeeded).await.kind, JobKind::Pull);
        assert!(rig.pieces().await.is_empty());
        let jobs = rig.stores.jobs.of_asset(asset).await.unwrap();
        assert_eq!(jobs.iter().filter(|job| job.kind == JobKind::Media).count(), 1);
        rig.stop();
    }

    #[tokio::test]
    async fn a_file_that_does_not_come_fails_its_asset_with_a_reason_and_leaves_nothing() {
        let (base, _) = server(|_, _| answer("404 Not Found", &[("content-length", "0")], b"")).await;
        let rig = Rig::new();
        let id = pulled(&rig, &format!("{base}/gone?signature=secret")).await;
        let asset = asset_of(&rig, id).await;
        rig.run();
        let failed = rig.until(asset, "failed").await;
        assert_eq!(failed.failure.unwrap().code, "source_missing");
        let job = job_of(&rig, asset, JobState::Failed).await;
        assert!(!format!("{job:?}").contains("secret"), "the URL is not in the record of the job");
        assert_eq!(rig.stores.uploads.get(id).await.unwrap().state, UploadState::Abandoned);
        rig.stop();
    }

    #[tokio::test]
    async fn a_part_that_was_lost_in_storage_fails_the_upload_in_the_end() {
        let (base, _) = server(|_, _| answer("200 OK", &[("content-length", "4"), ("etag", "\"v\"")], b"film")).await;
        let rig = Rig::new();
        let id = pulled(&rig, &base).await;
        let asset = asset_of(&rig, id).await;
        let transfer = rig.stores.transfers.take_over(id).await.unwrap();
        assert!(matches!(fetch(&rig.state, transfer).await, Fetched::Whole(_)));
        for key in rig.pieces().await {
            rig.stores.objects.delete(&key).await.unwrap();
        }
        rig.run();
        for _ in 0..DAMAGED_AFTER {
            tokio::time::sleep(Duration::from_millis(100)).await;
            rig.pass(Duration::from_secs(3600));
            rig.state.bus.wake();
        }
        assert_eq!(rig.until(asset, "failed").await.failure.unwrap().code, "upload_damaged");
        assert!(rig.stores.objects.head(&ObjectKey::source(asset)).await.is_err());
        rig.stop();
    }

    #[tokio::test]
    async fn parts_of_sessions_that_ended_are_collected_and_those_of_open_ones_are_not() {
        let (base, _) = server(|_, _| answer("200 OK", &[("content-length", "4"), ("etag", "\"v\"")], b"film")).await;
        let rig = Rig::new();
        let (open, ended) = (pulled(&rig, &base).await, pulled(&rig, &base).await);
        for id in [open, ended] {
            let transfer = rig.stores.transfers.take_over(id).await.unwrap();
            assert!(matches!(fetch(&rig.state, transfer).await, Fetched::Whole(_)));
        }
        rig.stores.uploads.settle(ended, UploadState::Abandoned).await.unwrap();
        let (prefix, at_open) = (ObjectKey::upload_prefix(ended), ObjectKey::upload_prefix(open));
        assert_eq!(rig.pieces().await.len(), 2);
        assert_eq!(crate::ingest::sweep::left_behind(&rig.stores, None).await.unwrap(), None);
        let left = rig.pieces().await;
        assert_eq!(left.len(), 1);
        assert!(left[0].as_str().starts_with(&at_open) && !left[0].as_str().starts_with(&prefix));
    }
}
