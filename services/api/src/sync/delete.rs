//! Deletes: every object of an asset goes, then every edge forgets it, then the record says so.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use rend_core::artifact::ObjectKey;
use rend_core::asset::Move;
use rend_core::id::AssetId;
use rend_core::job::{Job, JobKind, Lease, Outcome};
use rend_storage::StoreError;
use rend_storage::assets::Change;

use crate::queue;
use crate::state::State;

/// Tries before a delete counts as failed. With the longest waits between them this is more than five days.
pub(crate) const ATTEMPTS_MAX: u32 = 1000;
/// How long one try may take before another worker may begin again. Deleting twice is the same as deleting once.
const LEASE_FOR: Duration = Duration::from_secs(120);
/// Keys listed at a time.
const PAGE: usize = 500;

/// Works off delete jobs until a stop is requested.
pub(crate) async fn run(state: Arc<State>) {
    queue::work_off(&state, JobKind::Delete, LEASE_FOR, |state, job, lease| outcome(state, job, lease).boxed()).await;
}

async fn outcome(state: &Arc<State>, job: &Job, lease: &Lease) -> Outcome {
    let Err(error) = remove(state, job.asset, lease).await else { return Outcome::Succeed };
    tracing::warn!(asset = %job.asset, %error, "a delete did not go through; it is tried again");
    queue::again(state, job, "delete_failed", "not everything could be removed yet; it is tried again")
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
