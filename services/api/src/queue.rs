//! Claiming jobs, for whoever in the control plane works on them.

use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use rend_core::id::LeaseToken;
use rend_core::job::{ErrorClass, Job, JobError, JobKind, Lease, Outcome};
use rend_storage::jobs::Claim;

use crate::state::State;

/// How often the queue is looked at when nothing wakes the loop.
pub(crate) const LOOK_EVERY: Duration = Duration::from_secs(2);

/// What is done with a job under its lease.
pub(crate) type Work = for<'a> fn(&'a Arc<State>, &'a Job, &'a Lease) -> BoxFuture<'a, Outcome>;

/// Works off jobs of one kind, one after the other, until a stop is requested.
pub(crate) async fn work_off(state: &Arc<State>, kind: JobKind, lease_for: Duration, work: Work) {
    let mut shutdown = state.shutdown.clone();
    let mut woken = state.bus.listen();
    loop {
        woken.mark_unchanged();
        while let Some((job, lease)) = claim(state, kind, lease_for).await {
            let outcome = work(state, &job, &lease).await;
            if let Err(error) = state.stores.jobs.finish(&lease, &outcome, state.clock.wall()).await {
                tracing::warn!(job = %job.id, ?kind, %error, "a job could not be finished; its lease will run out");
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

/// The next job of `kind`, if there is one that may be worked on now.
pub(crate) async fn claim(state: &State, kind: JobKind, lease_for: Duration) -> Option<(Job, Lease)> {
    let now = state.clock.wall();
    let claim = Claim {
        worker: "rend-api".into(),
        kinds: vec![kind],
        token: LeaseToken::new(now, rend_shell::ten()),
        now,
        expires: now + lease_for,
    };
    state.stores.jobs.claim(&claim).await.ok().flatten()
}

/// What follows when the work on `job` did not go through, with what its owner is told meanwhile.
pub(crate) fn again(state: &State, job: &Job, code: &str, detail: &str) -> Outcome {
    let error =
        JobError { class: ErrorClass::Transient, code: code.into(), detail: detail.into(), stderr_tail: String::new() };
    Outcome::after(error, job.attempt, job.attempts_max, state.clock.wall(), &mut rend_shell::seeded())
}
