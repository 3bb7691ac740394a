//! Collects what uploads left behind that never ended.

use std::sync::Arc;
use std::time::Duration;

use crate::http::videos::abandon;
use crate::state::State;

/// How often sessions are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(60);
/// Sessions collected in one look.
const PAGE: usize = 100;

/// Sweeps until a stop is requested. It says what it collects before it does.
pub(crate) async fn run(state: Arc<State>) {
    let mut shutdown = state.shutdown.clone();
    loop {
        match state.stores.uploads.expired(state.clock.wall(), PAGE).await {
            Ok(sessions) => {
                for session in sessions {
                    tracing::info!(asset = %session.asset, upload = %session.id, "collecting an upload that never ended");
                    abandon(&state, &session).await;
                }
            }
            Err(error) => tracing::warn!(%error, "upload sessions could not be read"),
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK_EVERY) => {}
            () = shutdown.requested() => return,
        }
    }
}
