//! Finds what crashes left between two steps: whole uploads that nobody puts together, and parts of sessions that ended.

use std::sync::Arc;
use std::time::Duration;

use rend_core::artifact::ObjectKey;
use rend_core::id::UploadId;
use rend_core::upload::UploadState;
use rend_storage::StoreError;

use super::assemble::forget_parts;
use super::lane::assemble_later;
use crate::state::{State, Stores};

/// How often is looked for whole uploads.
const LOOK_EVERY: Duration = Duration::from_secs(60);
/// Looks between two searches for parts that were left behind.
const LEFT_BEHIND_EVERY: u32 = 60;
/// Uploads that one look takes up; the next one finds the rest.
const WHOLE_MAX: usize = 100;
/// Sessions that one search looks at; the next one goes on from there.
const SESSIONS_MAX: usize = 1000;

/// Looks until a stop is requested. It says what it removes before it does.
pub(crate) async fn run(state: &Arc<State>) {
    let mut shutdown = state.shutdown.clone();
    let mut seen = None;
    let mut look: u32 = 0;
    loop {
        if let Err(error) = take_up(state).await {
            tracing::warn!(%error, "whole uploads could not be looked for");
        }
        if look.is_multiple_of(LEFT_BEHIND_EVERY) {
            match left_behind(&state.stores, seen.take()).await {
                Ok(last) => seen = last,
                Err(error) => tracing::warn!(%error, "parts of ended uploads could not be looked for"),
            }
        }
        look = look.wrapping_add(1);
        tokio::select! {
            () = tokio::time::sleep(LOOK_EVERY) => {}
            () = shutdown.requested() => return,
        }
    }
}

/// Asks for every whole upload to be put together. Those that are on their way already are not asked for twice.
async fn take_up(state: &State) -> Result<(), StoreError> {
    for transfer in state.stores.transfers.whole_transfers(WHOLE_MAX).await? {
        assemble_later(state, transfer.session.id, transfer.session.asset).await?;
    }
    Ok(())
}

/// Removes the parts of sessions that ended, from `after` on, and answers where to go on.
pub(crate) async fn left_behind(stores: &Stores, after: Option<ObjectKey>) -> Result<Option<ObjectKey>, StoreError> {
    let mut seen = after;
    for _ in 0..SESSIONS_MAX {
        let Some(key) = stores.objects.list("uploads/", seen.as_ref(), 1).await?.pop() else { return Ok(None) };
        let Some(id) = session_of(&key) else {
            // Not a name that we give. It is left alone.
            seen = Some(key);
            continue;
        };
        let is_open = match stores.uploads.get(id).await {
            Ok(session) => session.state == UploadState::Open,
            Err(StoreError::NotFound { .. }) => false,
            Err(error) => return Err(error),
        };
        if !is_open {
            tracing::info!(upload = %id, "collecting the parts of an upload that ended");
            let parts = forget_parts(stores, id).await?;
            tracing::info!(upload = %id, parts, "collected");
        }
        seen = past(id);
    }
    Ok(seen)
}

fn session_of(key: &ObjectKey) -> Option<UploadId> {
    key.as_str().strip_prefix("uploads/")?.split('/').next()?.parse().ok()
}

/// A key after every part of the session: parts begin with a digit or a letter up to f.
fn past(id: UploadId) -> Option<ObjectKey> {
    format!("{}z", ObjectKey::upload_prefix(id)).parse().ok()
}
