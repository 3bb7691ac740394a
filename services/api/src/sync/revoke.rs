//! Revocations: this process judges tokens by the same log as the edges, also by orders that another process took.

use std::sync::Arc;
use std::time::Duration;

use rend_storage::StoreError;

use crate::state::State;

/// How often the log is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// Orders that are read at once.
const PAGE: usize = 1000;

/// Follows the log until a stop is requested.
pub(crate) async fn run(state: Arc<State>) {
    let mut shutdown = state.shutdown.clone();
    loop {
        if let Err(error) = learn(&state).await {
            tracing::warn!(%error, "the log of revocations could not be read; what was known holds");
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK_EVERY) => {}
            () = shutdown.requested() => return,
        }
    }
}

/// Applies every order that is not known yet.
///
/// # Errors
///
/// What the store answers. What was read before that holds.
pub(crate) async fn learn(state: &State) -> Result<(), StoreError> {
    loop {
        let (log, seen) = (&state.stores.revocations, state.tickets.revocations().seen());
        // The head first: what is appended between the two readings is then only shown, and never skipped.
        let head = log.revocation_head().await?;
        let now = state.clock.wall();
        let rows = log.revocations_after(seen, now, PAGE).await?;
        let all = rows.len() < PAGE;
        let last = rows.last().map_or(seen, |row| row.seq);
        let applied = state.tickets.revoke(|set| {
            set.forget_over(now);
            rows.iter().try_for_each(|row| set.apply(row))?;
            set.saw(if all { last.max(head) } else { last });
            Ok(())
        });
        if let Err(full) = applied {
            tracing::error!(%full, "not every revocation is in force");
        }
        if all || applied.is_err() {
            return Ok(());
        }
    }
}
