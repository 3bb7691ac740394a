//! Deletes: every object of an asset goes, then every edge forgets it, then the record says so. A while later somebody
//! looks again, for what was written late or came back.

use std::sync::Arc;
use std::time::Duration;

use futures::{FutureExt, StreamExt, TryStreamExt, stream};
use rend_core::artifact::ObjectKey;
use rend_core::asset::Move;
use rend_core::id::{AssetId, JobId};
use rend_core::job::{Job, JobKind, JobState, Lease, NewJob, Outcome};
use rend_storage::StoreError;
use rend_storage::assets::Change;

use crate::queue;
use crate::state::State;

/// Tries before a delete counts as failed. With the longest waits between them this is more than five days.
pub(crate) const ATTEMPTS_MAX: u32 = 1000;
/// How long a try may go without a sign of life before another worker may begin again: with each page of objects the
/// lease is extended. Deleting twice is the same as deleting once.
const LEASE_FOR: Duration = Duration::from_secs(30);
/// When is looked again after all was gone. A worker that had lost the database was still writing for as long as its own
/// lease, and a store that was killed may not remember what it did last.
const LOOK_AGAIN_AFTER: Duration = Duration::from_secs(180);
/// Keys listed at a time.
const PAGE: usize = 200;
/// Objects deleted at a time.
const DELETES_AT_ONCE: usize = 8;

/// Works off delete jobs until a stop is requested.
pub(crate) async fn run(state: Arc<State>) {
    queue::work_off(&state, JobKind::Delete, LEASE_FOR, |state, job, lease| outcome(state, job, lease).boxed()).await;
}

async fn outcome(state: &Arc<State>, job: &Job, lease: &Lease) -> Outcome {
    let Err(error) = carry_out(state, job, lease).await else { return Outcome::Succeed };
    tracing::warn!(asset = %job.asset, %error, "a delete did not go through; it is tried again");
    // Whoever took the request may have died before it was in the log. While objects can not be removed, at least no edge
    // fetches them.
    if job.attempt == 1
        && let Err(error) = state.dispatch.purge(job.asset).await
    {
        tracing::warn!(asset = %job.asset, %error, "a purge could not be written down");
    }
    queue::again(state, job, "delete_failed", "not everything could be removed yet; it is tried again")
}

/// The objects go first, so that no edge can fetch again what it is then told to forget.
async fn carry_out(state: &Arc<State>, job: &Job, lease: &Lease) -> Result<(), StoreError> {
    let asset = job.asset;
    let (removed, lease) = remove(state, asset, lease).await?;
    if is_second_look(&state.stores.jobs.of_asset(asset).await?, job) {
        if removed > 0 {
            tracing::warn!(%asset, removed, "objects of a deleted asset were still there, or there again");
            state.dispatch.purge(asset).await?;
        }
        return Ok(());
    }
    state.dispatch.purge(asset).await?;
    let now = state.clock.wall();
    let again = NewJob {
        id: JobId::new(now, rend_shell::ten()),
        asset,
        kind: JobKind::Delete,
        run_at: now + LOOK_AGAIN_AFTER,
        attempts_max: ATTEMPTS_MAX,
    };
    let change = Change { asset, expect: None, step: Move::Deleted, fence: Some(lease), enqueue: Some(again), now };
    state.stores.assets.advance(&change).await.map(|_| ())
}

/// Whether another delete than `job` has said that all is gone. It was asked for earlier, but its id needs not be lower: two
/// of one millisecond come in any order, and so do those of two machines.
fn is_second_look(jobs: &[Job], job: &Job) -> bool {
    let is_done = |other: &Job| other.kind == JobKind::Delete && other.state == JobState::Succeeded;
    jobs.iter().any(|other| other.id != job.id && is_done(other))
}

/// Removes every object of `asset`, and answers how many there were.
async fn remove(state: &State, asset: AssetId, lease: &Lease) -> Result<(usize, Lease), StoreError> {
    let (mut removed, mut lease) = (0, lease.clone());
    for prefix in [ObjectKey::asset_prefix(asset), ObjectKey::source_prefix(asset)] {
        loop {
            let keys = state.stores.objects.list(&prefix, None, PAGE).await?;
            if keys.is_empty() {
                break;
            }
            removed += keys.len();
            let delete = |key: ObjectKey| async move { state.stores.objects.delete(&key).await };
            stream::iter(keys).map(Ok).try_for_each_concurrent(DELETES_AT_ONCE, delete).await?;
            lease = state.stores.jobs.extend(&lease, state.clock.wall() + LEASE_FOR).await?;
        }
    }
    Ok((removed, lease))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use rend_core::artifact::ArtifactPath;
    use rend_core::asset::{Asset, PlaybackPolicy};
    use rend_core::event::EventKind;
    use rend_storage::events::EventsOf;
    use rend_storage::objects::Put;

    use super::*;
    use crate::config::SOLE_ORG;
    use crate::ingest::rig::Rig;

    /// An asset whose deletion was requested, with objects here and there.
    async fn doomed(rig: &Rig) -> AssetId {
        // Its id is as high as one of its millisecond can be, so that those of later jobs are lower.
        doomed_by(rig, JobId::new(rig.state.clock.wall(), [0xff; 10])).await
    }

    async fn doomed_by(rig: &Rig, id: JobId) -> AssetId {
        let now = rig.state.clock.wall();
        let asset = Asset::new(AssetId::new(now, [1; 10]), SOLE_ORG, "t".into(), PlaybackPolicy::Public, now);
        rig.stores.assets.create(&asset).await.unwrap();
        for key in [ObjectKey::source(asset.id), ObjectKey::artifact(asset.id, ArtifactPath::Master)] {
            write(rig, &key).await;
        }
        let job = NewJob { id, asset: asset.id, kind: JobKind::Delete, run_at: now, attempts_max: ATTEMPTS_MAX };
        let step = Move::RequestDeletion;
        let change = Change { asset: asset.id, expect: None, step, fence: None, enqueue: Some(job), now };
        rig.stores.assets.advance(&change).await.unwrap();
        asset.id
    }

    async fn write(rig: &Rig, key: &ObjectKey) {
        let put = Put { content_type: "x/y".into(), len: None, sha256: None, now: rig.state.clock.wall() };
        rig.stores.objects.put(key, put, stream::iter([Ok("x".into())]).boxed()).await.unwrap();
    }

    /// Works on the next due delete job, and answers what came of it.
    async fn work(rig: &Rig) -> Option<Outcome> {
        let (job, lease) = queue::claim(&rig.state, JobKind::Delete, LEASE_FOR).await?;
        let outcome = outcome(&rig.state, &job, &lease).await;
        rig.stores.jobs.finish(&lease, &outcome, rig.state.clock.wall()).await.unwrap();
        Some(outcome)
    }

    async fn objects(rig: &Rig, asset: AssetId) -> usize {
        let all = [ObjectKey::asset_prefix(asset), ObjectKey::source_prefix(asset)];
        let lists = all.iter().map(|prefix| rig.stores.objects.list(prefix, None, 100));
        futures::future::join_all(lists).await.into_iter().map(|keys| keys.unwrap().len()).sum()
    }

    async fn deleted_events(rig: &Rig, asset: AssetId) -> usize {
        let events = rig.stores.events.after(EventsOf::Asset(asset), 0, 100).await.unwrap();
        events.iter().filter(|event| event.kind == EventKind::AssetDeleted).count()
    }

    #[tokio::test]
    async fn what_is_written_after_a_delete_goes_with_the_second_look_and_is_purged_again() {
        let rig = Rig::new();
        let asset = doomed(&rig).await;
        assert_eq!(work(&rig).await, Some(Outcome::Succeed));
        assert_eq!((objects(&rig, asset).await, rig.stores.purges.purge_head().await.unwrap()), (0, 1));
        write(&rig, &ObjectKey::artifact(asset, ArtifactPath::Poster)).await;
        assert_eq!(work(&rig).await, None, "the second look is a while later");
        rig.pass(LOOK_AGAIN_AFTER);
        assert_eq!(work(&rig).await, Some(Outcome::Succeed));
        assert_eq!((objects(&rig, asset).await, rig.stores.purges.purge_head().await.unwrap()), (0, 2));
        rig.pass(LOOK_AGAIN_AFTER);
        assert_eq!(work(&rig).await, None, "there is no third");
        assert_eq!(deleted_events(&rig, asset).await, 1);
    }

    #[tokio::test]
    async fn a_second_look_that_finds_nothing_tells_nobody_whichever_of_the_two_ids_is_higher() {
        for chance in [[0; 10], [0xff; 10]] {
            let rig = Rig::new();
            let asset = doomed_by(&rig, JobId::new(rig.state.clock.wall(), chance)).await;
            work(&rig).await;
            rig.pass(LOOK_AGAIN_AFTER);
            assert_eq!(work(&rig).await, Some(Outcome::Succeed));
            assert_eq!((deleted_events(&rig, asset).await, rig.stores.purges.purge_head().await.unwrap()), (1, 1));
            rig.pass(LOOK_AGAIN_AFTER);
            assert_eq!(work(&rig).await, None, "there is no third");
        }
    }

    #[tokio::test]
    async fn while_the_objects_can_not_be_removed_edges_are_told_once_and_the_last_purge_comes_after_them() {
        let rig = Rig::new();
        let asset = doomed(&rig).await;
        rig.disk.away.store(true, Ordering::Relaxed);
        for expect in [1, 1] {
            assert!(matches!(work(&rig).await, Some(Outcome::Retry { .. })));
            assert_eq!(rig.stores.purges.purge_head().await.unwrap(), expect);
            rig.pass(Duration::from_secs(3600));
        }
        assert_eq!(deleted_events(&rig, asset).await, 0);
        rig.disk.away.store(false, Ordering::Relaxed);
        assert_eq!(work(&rig).await, Some(Outcome::Succeed));
        assert_eq!((objects(&rig, asset).await, rig.stores.purges.purge_head().await.unwrap()), (0, 2));
        assert_eq!(deleted_events(&rig, asset).await, 1);
    }

    #[tokio::test]
    async fn a_delete_of_many_objects_keeps_its_lease() {
        let rig = Rig::new();
        let asset = doomed(&rig).await;
        let (job, lease) = queue::claim(&rig.state, JobKind::Delete, LEASE_FOR).await.unwrap();
        rig.pass(LEASE_FOR - Duration::from_secs(1));
        remove(&rig.state, asset, &lease).await.unwrap();
        let kept = rig.stores.jobs.of_asset(asset).await.unwrap().remove(0);
        assert_eq!((kept.id, kept.lease_expires), (job.id, Some(rig.state.clock.wall() + LEASE_FOR)));
    }
}
