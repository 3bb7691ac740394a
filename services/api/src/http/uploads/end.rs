//! The end of an upload that brought no original: its sender gave it up, or its time was over.

use std::sync::Arc;

use http::StatusCode;
use rend_core::artifact::ObjectKey;
use rend_core::asset::{Failure, Move};
use rend_core::id::JobId;
use rend_core::job::{JobKind, NewJob};
use rend_core::time::Timestamp;
use rend_core::upload::transfer::Transfer;
use rend_core::upload::{UploadSession, UploadState};
use rend_storage::StoreError;
use rend_storage::assets::Change;
use warp::Reply;

use super::writers::Writers;
use crate::error::{ApiError, UploadRefusal};
use crate::http::Answer;
use crate::ingest::assemble::forget_parts;
use crate::state::{State, Stores};

/// The sender wants nothing of it to stay.
pub(super) async fn terminate(state: &State, writers: &Arc<Writers>, transfer: &Transfer) -> Answer {
    let id = transfer.session.id;
    if transfer.session.state != UploadState::Open {
        return Err(ApiError::Upload(UploadRefusal::Gone));
    }
    let _writing = writers.replace(id).await;
    match state.stores.uploads.settle(id, UploadState::Abandoned).await {
        Ok(()) => {}
        Err(StoreError::Conflict { .. }) => return Err(ApiError::Upload(UploadRefusal::Gone)),
        Err(error) => return Err(error.into()),
    }
    let now = state.clock.wall();
    let job = NewJob {
        id: JobId::new(now, rend_shell::ten()),
        asset: transfer.session.asset,
        kind: JobKind::Delete,
        run_at: now,
        attempts_max: crate::sync::delete::ATTEMPTS_MAX,
    };
    let (asset, step) = (transfer.session.asset, Move::RequestDeletion);
    let change = Change { asset, expect: None, step, fence: None, enqueue: Some(job), now };
    match state.stores.assets.advance(&change).await {
        Ok(_) | Err(StoreError::Illegal(_) | StoreError::NotFound { .. }) => {}
        Err(error) => return Err(error.into()),
    }
    let gone = match drop_parts(&state.stores, transfer).await {
        Ok(()) => forget_parts(&state.stores, id).await.map(|_| ()),
        Err(error) => Err(error),
    };
    if let Err(error) = gone {
        tracing::warn!(upload = %id, %error, "parts of an ended upload were not removed; the sweep tries again");
    }
    state.bus.wake();
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Has the store give up an object in parts that nobody finishes.
pub(super) async fn drop_parts(stores: &Stores, transfer: &Transfer) -> Result<(), StoreError> {
    let (Some(direct), Some(store)) = (&transfer.direct, stores.objects.parts()) else { return Ok(()) };
    store.drop_parts(&ObjectKey::source(transfer.session.asset), &direct.name).await
}

/// Ends a session that brought nothing: what came of it goes, and its asset says why.
pub(crate) async fn abandon(stores: &Stores, session: &UploadSession, now: Timestamp) {
    let failure = Failure {
        code: "upload_incomplete".into(),
        detail: "the upload ended before all of the file had arrived; upload it again".into(),
    };
    let (asset, step) = (session.asset, Move::Fail(failure));
    let failed = stores.assets.advance(&Change { asset, expect: None, step, fence: None, enqueue: None, now }).await;
    let failed = match failed {
        // It was deleted, or failed, or its asset was never written down: there is nothing more to say of it.
        Ok(_) | Err(StoreError::Illegal(_) | StoreError::NotFound { .. }) => Ok(()),
        Err(error) => Err(error),
    };
    let settled = stores.uploads.settle(session.id, UploadState::Abandoned).await;
    // The bytes go last: once the session has ended nobody adds to them.
    let gone = stores.objects.delete(&ObjectKey::source(asset)).await;
    let dropped = match stores.transfers.transfer(session.id).await {
        Ok(transfer) => drop_parts(stores, &transfer).await,
        Err(StoreError::NotFound { .. }) => Ok(()),
        Err(error) => Err(error),
    };
    let parts = dropped.and(forget_parts(stores, session.id).await);
    if gone.is_err() || failed.is_err() || settled.is_err() || parts.is_err() {
        tracing::warn!(asset = %session.asset, "an abandoned upload could not be settled; the sweep will try again");
    }
}
