//! What every [`JobQueue`] must do.

use futures::future;
use rend_core::job::{ErrorClass, Job, JobKind, JobState, Lease, NewJob, Outcome};

use super::make::{asset_id, at, claim, claimed, job, job_id, only_job, token, trouble};
use crate::StoreError;
use crate::jobs::{Claim, Depth, JobQueue, WORKER_LOST};

/// What was written down is read back as queued, and of its asset only.
pub async fn a_job_is_written_down_as_queued(store: &impl JobQueue) {
    let new = NewJob { kind: JobKind::Delete, run_at: at(5), attempts_max: u32::MAX, ..job(1) };
    store.enqueue(&new, at(3)).await.unwrap();
    let written = only_job(store, asset_id(1)).await;
    let expected = Job {
        id: job_id(1),
        asset: asset_id(1),
        kind: JobKind::Delete,
        state: JobState::Queued,
        attempt: 0,
        attempts_max: u32::MAX,
        run_at: at(5),
        lease_expires: None,
        worker: None,
        error: None,
        created_at: at(3),
        updated_at: at(3),
    };
    assert_eq!(written, expected);
    assert_eq!(store.of_asset(asset_id(2)).await.unwrap(), []);
}

/// An id is taken once.
pub async fn a_job_id_is_taken_once(store: &impl JobQueue) {
    store.enqueue(&job(1), at(0)).await.unwrap();
    let refused = store.enqueue(&NewJob { asset: asset_id(2), ..job(1) }, at(1)).await;
    assert!(matches!(refused, Err(StoreError::Conflict { .. })), "{refused:?}");
    assert_eq!(store.of_asset(asset_id(2)).await.unwrap(), []);
    assert_eq!(only_job(store, asset_id(1)).await.created_at, at(0));
}

/// Jobs of an asset come oldest first, whatever became of them.
pub async fn jobs_of_an_asset_come_oldest_first(store: &impl JobQueue) {
    for n in [3, 1, 4, 2] {
        let asset = if n == 4 { asset_id(2) } else { asset_id(1) };
        store.enqueue(&NewJob { asset, ..job(n) }, at(10 - u64::from(n))).await.unwrap();
    }
    let ids: Vec<_> = store.of_asset(asset_id(1)).await.unwrap().into_iter().map(|job| job.id).collect();
    assert_eq!(ids, [1, 2, 3].map(job_id));
}

/// A claim gives the job as it is from then on, and a lease that names the claim.
pub async fn a_claim_gives_the_job_and_a_lease(store: &impl JobQueue) {
    store.enqueue(&job(1), at(0)).await.unwrap();
    let (claimed, lease) = claimed(store, 7, 2).await;
    assert_eq!(lease, Lease { job: job_id(1), token: token(7), attempt: 1, expires: at(12) });
    assert_eq!((claimed.state, claimed.attempt), (JobState::Leased, 1));
    assert_eq!((claimed.lease_expires, claimed.worker.as_deref()), (Some(at(12)), Some("worker 7")));
    assert_eq!((claimed.created_at, claimed.updated_at, claimed.run_at), (at(0), at(2), at(0)));
    assert_eq!(only_job(store, asset_id(1)).await, claimed);
}

/// A lease holds until it ends; others are given nothing.
pub async fn a_leased_job_is_not_claimed_again(store: &impl JobQueue) {
    store.enqueue(&job(1), at(0)).await.unwrap();
    claimed(store, 1, 0).await;
    for now in [0, 5, 9] {
        assert_eq!(store.claim(&claim(2, now)).await.unwrap(), None);
    }
    assert_eq!(only_job(store, asset_id(1)).await.worker.as_deref(), Some("worker 1"));
}

/// A lease that ends at this very moment has ended.
pub async fn a_lease_has_ended_at_its_end(store: &impl JobQueue) {
    store.enqueue(&job(1), at(0)).await.unwrap();
    claimed(store, 1, 0).await;
    let just_before = Claim { now: rend_core::time::Timestamp::from_millis(at(10).as_millis() - 1), ..claim(2, 10) };
    assert_eq!(store.claim(&just_before).await.unwrap(), None);
    let (job, lease) = claimed(store, 2, 10).await;
    assert_eq!((job.attempt, lease.attempt, lease.token), (2, 2, token(2)));
}

/// A job is not given out before its time, and is at it.
pub async fn a_job_waits_for_its_time(store: &impl JobQueue) {
    store.enqueue(&NewJob { run_at: at(5), ..job(1) }, at(0)).await.unwrap();
    let just_before = Claim { now: rend_core::time::Timestamp::from_millis(at(5).as_millis() - 1), ..claim(1, 5) };
    assert_eq!(store.claim(&just_before).await.unwrap(), None);
    claimed(store, 1, 5).await;
}

/// What has been due longest comes first, ties by id; an ended lease counts from its end.
pub async fn what_has_been_due_longest_is_claimed_first(store: &impl JobQueue) {
    for (n, run_at) in [(1, 30), (2, 10), (4, 20), (3, 20), (5, 0)] {
        store.enqueue(&NewJob { run_at: at(run_at), ..job(n) }, at(0)).await.unwrap();
    }
    // The lease of the fifth ends at 15: after the second was due, before the third.
    let (leased, _) = store.claim(&Claim { expires: at(15), ..claim(1, 0) }).await.unwrap().unwrap();
    assert_eq!(leased.id, job_id(5));
    for (n, expected) in [2, 5, 3, 4, 1].into_iter().enumerate() {
        let (job, _) = claimed(store, 10 + n as u8, 100).await;
        assert_eq!(job.id, job_id(expected));
    }
    assert_eq!(store.claim(&claim(20, 100)).await.unwrap(), None);
}

/// Only kinds that were asked for are given.
pub async fn only_kinds_that_were_asked_for_are_claimed(store: &impl JobQueue) {
    store.enqueue(&job(1), at(0)).await.unwrap();
    store.enqueue(&NewJob { kind: JobKind::Delete, run_at: at(1), ..job(2) }, at(0)).await.unwrap();
    let only = |kinds: &[JobKind]| Claim { kinds: kinds.to_vec(), ..claim(1, 5) };
    assert_eq!(store.claim(&only(&[])).await.unwrap(), None);
    let (job, _) = store.claim(&only(&[JobKind::Delete])).await.unwrap().unwrap();
    assert_eq!(job.id, job_id(2));
    assert_eq!(store.claim(&only(&[JobKind::Delete])).await.unwrap(), None);
    let (job, _) = store.claim(&only(&[JobKind::Media, JobKind::Media])).await.unwrap().unwrap();
    assert_eq!(job.id, job_id(1));
}

/// Claims at once give each job to one of them.
pub async fn claims_at_once_give_each_job_once(store: &impl JobQueue) {
    for n in 1..=5 {
        store.enqueue(&job(n), at(0)).await.unwrap();
    }
    let claims: Vec<_> = (1..=9).map(|n| claim(n, 1)).collect();
    let answers = future::join_all(claims.iter().map(|claim| store.claim(claim))).await;
    let mut given: Vec<_> = answers.into_iter().filter_map(|answer| Some(answer.unwrap()?.0.id)).collect();
    given.sort_unstable();
    assert_eq!(given, [1, 2, 3, 4, 5].map(job_id));
}

/// A job whose every worker was lost fails as poison, and the claim that meets it looks on.
pub async fn a_job_that_lost_all_its_workers_is_poison(store: &impl JobQueue) {
    store.enqueue(&NewJob { attempts_max: 2, ..job(1) }, at(0)).await.unwrap();
    store.enqueue(&NewJob { run_at: at(50), ..job(2) }, at(0)).await.unwrap();
    claimed(store, 1, 0).await;
    let (again, last) = claimed(store, 2, 10).await;
    assert_eq!((again.id, again.attempt), (job_id(1), 2));
    // Nobody has met it yet, so whoever has it may still finish.
    assert_eq!(store.of_asset(asset_id(1)).await.unwrap()[0].state, JobState::Leased);

    let (other, _) = claimed(store, 3, 50).await;
    assert_eq!(other.id, job_id(2));
    let lost = &store.of_asset(asset_id(1)).await.unwrap()[0];
    assert_eq!((lost.state, lost.attempt, lost.updated_at), (JobState::Failed, 2, at(50)));
    assert_eq!((lost.lease_expires, lost.worker.as_deref()), (None, None));
    let error = lost.error.as_ref().unwrap();
    assert_eq!((error.class, error.code.as_str()), (ErrorClass::Poison, WORKER_LOST));
    assert!(!error.detail.is_empty());
    let refused = store.finish(&last, &Outcome::Succeed, at(51)).await;
    assert!(matches!(refused, Err(StoreError::LeaseLost)), "{refused:?}");
    assert_eq!(store.claim(&claim(4, 55)).await.unwrap(), None);
}

/// Several of those in a row are all met by one claim, also when nothing else is due.
pub async fn one_claim_meets_every_job_that_lost_its_workers(store: &impl JobQueue) {
    for n in 1..=3 {
        store.enqueue(&NewJob { attempts_max: 1, ..job(n) }, at(0)).await.unwrap();
        claimed(store, n, 0).await;
    }
    assert_eq!(store.claim(&claim(9, 100)).await.unwrap(), None);
    assert_eq!(store.depth().await.unwrap(), Depth { failed: 3, ..Depth::default() });
}

/// An extended lease ends later, and keeps its fence and its count.
pub async fn an_extended_lease_ends_later(store: &impl JobQueue) {
    store.enqueue(&job(1), at(0)).await.unwrap();
    let (_, lease) = claimed(store, 1, 0).await;
    let extended = store.extend(&lease, at(30)).await.unwrap();
    assert_eq!(extended, Lease { expires: at(30), ..lease });
    assert_eq!(only_job(store, asset_id(1)).await.lease_expires, Some(at(30)));
    assert_eq!(store.claim(&claim(2, 29)).await.unwrap(), None);
    claimed(store, 2, 30).await;
}

/// A lease that merely ran out still holds; one after which another was given does not.
pub async fn a_lease_is_lost_to_another_claim_and_not_to_time(store: &impl JobQueue) {
    store.enqueue(&job(1), at(0)).await.unwrap();
    let (_, first) = claimed(store, 1, 0).await;
    let first = store.extend(&first, at(25)).await.unwrap();
    let (_, second) = claimed(store, 2, 25).await;
    assert_lost(store, &first).await;
    let job = only_job(store, asset_id(1)).await;
    assert_eq!((job.worker.as_deref(), job.lease_expires), (Some("worker 2"), Some(at(35))));
    store.finish(&second, &Outcome::Succeed, at(1000)).await.unwrap();
    assert_lost(store, &second).await;
}

/// A lease that was never given, or is another job's, holds nothing.
pub async fn a_lease_that_was_never_given_holds_nothing(store: &impl JobQueue) {
    store.enqueue(&job(1), at(0)).await.unwrap();
    store.enqueue(&job(2), at(0)).await.unwrap();
    let invented = Lease { job: job_id(1), token: token(9), attempt: 1, expires: at(10) };
    assert_lost(store, &invented).await;
    let (_, lease) = claimed(store, 1, 0).await;
    claimed(store, 2, 0).await;
    assert_lost(store, &Lease { job: job_id(2), ..lease.clone() }).await;
    assert_lost(store, &Lease { job: job_id(3), ..lease }).await;
}

/// A job that is done is not given out again, and its holder is forgotten.
pub async fn a_job_that_is_done_stays_done(store: &impl JobQueue) {
    store.enqueue(&job(1), at(0)).await.unwrap();
    let (_, lease) = claimed(store, 1, 0).await;
    store.finish(&lease, &Outcome::Succeed, at(3)).await.unwrap();
    let done = only_job(store, asset_id(1)).await;
    assert_eq!((done.state, done.attempt, done.updated_at), (JobState::Succeeded, 1, at(3)));
    assert_eq!((done.worker, done.lease_expires, done.error), (None, None, None));
    assert_eq!(store.claim(&claim(2, 1000)).await.unwrap(), None);
    assert_lost(store, &lease).await;
}

/// A job that is tried again waits until its time, and remembers what went wrong.
pub async fn a_retry_waits_and_remembers_its_trouble(store: &impl JobQueue) {
    store.enqueue(&job(1), at(0)).await.unwrap();
    let (_, lease) = claimed(store, 1, 0).await;
    store.finish(&lease, &Outcome::Retry { at: at(60), error: trouble("storage") }, at(3)).await.unwrap();
    let waiting = only_job(store, asset_id(1)).await;
    assert_eq!((waiting.state, waiting.attempt, waiting.run_at), (JobState::Queued, 1, at(60)));
    assert_eq!((&waiting.worker, waiting.lease_expires, waiting.updated_at), (&None, None, at(3)));
    assert_eq!(waiting.error, Some(trouble("storage")));
    assert_lost(store, &lease).await;
    assert_eq!(store.claim(&claim(2, 59)).await.unwrap(), None);
    let (again, second) = claimed(store, 2, 60).await;
    assert_eq!((again.attempt, again.error), (2, Some(trouble("storage"))));
    store.finish(&second, &Outcome::Succeed, at(61)).await.unwrap();
    assert_eq!(only_job(store, asset_id(1)).await.error, Some(trouble("storage")));
}

/// A job that is given back does not count as tried, however often.
pub async fn a_deferred_job_gets_its_attempt_back(store: &impl JobQueue) {
    store.enqueue(&NewJob { attempts_max: 1, ..job(1) }, at(0)).await.unwrap();
    for round in 0..5 {
        let now = round * 10;
        let (job, lease) = claimed(store, round as u8 + 1, now).await;
        assert_eq!((job.attempt, lease.attempt), (1, 1));
        store.finish(&lease, &Outcome::Defer { at: at(now + 10) }, at(now + 1)).await.unwrap();
        let waiting = only_job(store, asset_id(1)).await;
        assert_eq!((waiting.state, waiting.attempt, waiting.run_at), (JobState::Queued, 0, at(now + 10)));
        assert_eq!((waiting.error, waiting.worker, waiting.lease_expires), (None, None, None));
        assert_lost(store, &lease).await;
    }
}

/// A job that failed is not given out again.
pub async fn a_failed_job_stays_failed(store: &impl JobQueue) {
    store.enqueue(&job(1), at(0)).await.unwrap();
    let (_, lease) = claimed(store, 1, 0).await;
    store.finish(&lease, &Outcome::Fail { error: trouble("unreadable") }, at(3)).await.unwrap();
    let failed = only_job(store, asset_id(1)).await;
    assert_eq!((failed.state, failed.attempt, failed.error), (JobState::Failed, 1, Some(trouble("unreadable"))));
    assert_eq!((failed.worker, failed.lease_expires, failed.updated_at), (None, None, at(3)));
    assert_eq!(store.claim(&claim(2, 1000)).await.unwrap(), None);
    assert_lost(store, &lease).await;
}

/// How many tries there have been does not keep a queued job from being claimed: its outcome said that it may be.
pub async fn a_queued_job_is_claimed_whatever_its_count(store: &impl JobQueue) {
    store.enqueue(&NewJob { attempts_max: 1, ..job(1) }, at(0)).await.unwrap();
    let (_, lease) = claimed(store, 1, 0).await;
    store.finish(&lease, &Outcome::Retry { at: at(1), error: trouble("storage") }, at(1)).await.unwrap();
    assert_eq!(claimed(store, 2, 1).await.0.attempt, 2);
}

/// Failed jobs can be paged through, oldest first, those that lost their workers among them.
pub async fn failed_jobs_are_found_page_by_page(store: &impl JobQueue) {
    assert_eq!(store.failed(None, 10).await.unwrap(), []);
    for n in 1..=6 {
        let attempts_max = if n == 5 { 1 } else { 3 };
        store
            .enqueue(&NewJob { attempts_max, asset: asset_id(n), run_at: at(u64::from(n)), ..job(n) }, at(0))
            .await
            .unwrap();
    }
    for n in 1..=5 {
        let (_, lease) = claimed(store, n, 10).await;
        let error = trouble("unreadable");
        match n {
            1 => store.finish(&lease, &Outcome::Succeed, at(11)).await.unwrap(),
            2 => store.finish(&lease, &Outcome::Retry { at: at(999), error }, at(11)).await.unwrap(),
            5 => {}
            _ => store.finish(&lease, &Outcome::Fail { error }, at(11)).await.unwrap(),
        }
    }
    claimed(store, 6, 50).await;
    assert_eq!(store.claim(&claim(7, 50)).await.unwrap(), None);
    let failed = store.failed(None, 10).await.unwrap();
    assert!(failed.iter().map(|job| job.id).eq([3, 4, 5].map(job_id)), "{failed:?}");
    assert_eq!(failed[2].error.as_ref().map(|error| error.code.as_str()), Some(WORKER_LOST));
    assert_eq!(store.failed(None, 2).await.unwrap(), failed[..2]);
    assert_eq!(store.failed(Some(job_id(4)), 2).await.unwrap(), failed[2..]);
    assert_eq!(store.failed(Some(job_id(5)), 2).await.unwrap(), []);
    assert_eq!(store.failed(None, 0).await.unwrap(), []);
}

/// The queue's depth counts each state, and knows what has waited longest.
pub async fn the_depth_counts_each_state(store: &impl JobQueue) {
    assert_eq!(store.depth().await.unwrap(), Depth::default());
    for n in 1..=6 {
        store.enqueue(&NewJob { run_at: at(u64::from(n)), ..job(n) }, at(0)).await.unwrap();
    }
    let (_, done) = claimed(store, 1, 10).await;
    let (_, failed) = claimed(store, 2, 10).await;
    claimed(store, 3, 10).await;
    store.finish(&done, &Outcome::Succeed, at(11)).await.unwrap();
    store.finish(&failed, &Outcome::Fail { error: trouble("x") }, at(11)).await.unwrap();
    let depth = Depth { queued: 3, leased: 1, failed: 1, oldest_run_at: Some(at(4)) };
    assert_eq!(store.depth().await.unwrap(), depth);
}

async fn assert_lost(store: &impl JobQueue, lease: &Lease) {
    let before = store.of_asset(asset_id(1)).await.unwrap();
    let extended = store.extend(lease, at(9999)).await;
    assert!(matches!(extended, Err(StoreError::LeaseLost)), "{extended:?}");
    let error = trouble("late");
    for outcome in [
        Outcome::Succeed,
        Outcome::Retry { at: at(1), error: error.clone() },
        Outcome::Defer { at: at(1) },
        Outcome::Fail { error },
    ] {
        let finished = store.finish(lease, &outcome, at(2)).await;
        assert!(matches!(finished, Err(StoreError::LeaseLost)), "{finished:?}");
    }
    assert_eq!(store.of_asset(asset_id(1)).await.unwrap(), before);
}

/// Mounts what every `JobQueue` must do; see [`conformance`](crate::conformance).
#[macro_export]
macro_rules! job_queue_conformance {
    ($(#[$attribute:meta])* $block_on:path, $make:expr) => {
        $crate::mount_cases! { jobs [$(#[$attribute])*] $block_on, $make;
            a_job_is_written_down_as_queued
            a_job_id_is_taken_once
            jobs_of_an_asset_come_oldest_first
            a_claim_gives_the_job_and_a_lease
            a_leased_job_is_not_claimed_again
            a_lease_has_ended_at_its_end
            a_job_waits_for_its_time
            what_has_been_due_longest_is_claimed_first
            only_kinds_that_were_asked_for_are_claimed
            claims_at_once_give_each_job_once
            a_job_that_lost_all_its_workers_is_poison
            one_claim_meets_every_job_that_lost_its_workers
            an_extended_lease_ends_later
            a_lease_is_lost_to_another_claim_and_not_to_time
            a_lease_that_was_never_given_holds_nothing
            a_job_that_is_done_stays_done
            a_retry_waits_and_remembers_its_trouble
            a_deferred_job_gets_its_attempt_back
            a_failed_job_stays_failed
            a_queued_job_is_claimed_whatever_its_count
            failed_jobs_are_found_page_by_page
            the_depth_counts_each_state
        }
    };
}
