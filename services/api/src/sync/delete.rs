//! Deletes: every object of an asset goes, then every edge forgets it, then the record says so.

use std::sync::Arc;
use std::time::Duration;

use rend_core::artifact::ObjectKey;
use rend_core::asset::Move;
use rend_core::id::{AssetId, LeaseToken};
use rend_core::job::{ErrorClass, Job, JobError, JobKind, Lease, Outcome};
use rend_storage::StoreError;
use rend_storage::assets::Change;
use rend_storage::jobs::Claim;

use crate::state::State;

/// Tries before a delete counts as failed. With the longest wait between them this is more than a week.
pub(crate) const ATTEMPTS_MAX: u32 = 1000;
/// How long one try may take before another worker may begin again. Deleting twice is the same as deleting once.
const LEASE_FOR: Duration = Duration::from_secs(120);
/// How often the queue is looked at when nothing wakes the loop.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// The longest wait between two tries.
const WAIT_MAX: Duration = Duration::from_secs(900);
/// Keys listed at a time.
const PAGE: usize = 500;

/// Works off delete jobs until a stop is requested.
pub(crate) async fn run(state: Arc<State>) {
    let mut shutdown = state.shutdown.clone();
    let mut woken = state.bus.listen();
    loop {
        woken.mark_unchanged();
        while let Some((job, lease)) = claim(&state).await {
            let outcome = outcome(&state, &job, &lease).await;
            if let Err(error) = state.stores.jobs.finish(&lease, &outcome, state.clock.wall()).await {
                tracing::warn!(job = %job.id, %error, "a delete could not be finished; its lease will run out");
            }
            state.bus.wake();
            if shutdown.is_requested() {
                return;
            }
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK_EVERY) => {}
            _ = woken.changed() => {}
            () = shutdown.requested() => return,
        }
    }
}

async fn claim(state: &State) -> Option<(Job, Lease)> {
    let now = state.clock.wall();
    let claim = Claim {
        worker: "rend-api".into(),
        kinds: vec![JobKind::Delete],
        token: LeaseToken::new(now, rend_shell::ten()),
        now,
        expires: now + LEASE_FOR,
    };
    state.stores.jobs.claim(&claim).await.ok().flatten()
}

async fn outcome(state: &Arc<State>, job: &Job, lease: &Lease) -> Outcome {
    match remove(state, job.asset, lease).await {
        Ok(()) => Outcome::Succeed,
        Err(error) => {
            tracing::warn!(asset = %job.asset, %error, "a delete did not go through; it is tried again");
            let wait = Duration::from_secs(1 << job.attempt.min(10)).min(WAIT_MAX);
            let error = JobError {
                class: ErrorClass::Transient,
                code: "delete_failed".into(),
                detail: "not everything could be removed yet; it is tried again".into(),
                stderr_tail: String::new(),
            };
            Outcome::Retry { at: state.clock.wall() + wait, error }
        }
    }
}

/// The objects go first, so that no edge can fetch again what it is then told to forget.
async fn remove(state: &Arc<State>, asset: AssetId, lease: &Lease) -> Result<(), StoreError> {
    let prefix = ObjectKey::asset_prefix(asset);
    loop {
        let keys = state.stores.objects.list(&prefix, None, PAGE).await?;
        if keys.is_empty() {
            break;
        }
        for key in &keys {
            state.stores.objects.delete(key).await?;
        }
    }
    state.stores.objects.delete(&ObjectKey::source(asset)).await?;
    for key in state.stores.objects.list(&ObjectKey::source_prefix(asset), None, PAGE).await? {
        state.stores.objects.delete(&key).await?;
    }
    state.dispatch.purge(asset).await?;
    let now = state.clock.wall();
    let change = Change { asset, expect: None, step: Move::Deleted, fence: Some(lease.clone()), enqueue: None, now };
    state.stores.assets.advance(&change).await.map(|_| ())
}
