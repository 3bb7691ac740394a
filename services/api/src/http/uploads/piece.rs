//! One piece of an upload: judged, stored, and with the last of them handed over.

use std::sync::Arc;
use std::time::Duration;

use rend_core::asset::SourceState;
use rend_core::id::{AssetId, UploadId};
use rend_core::upload::UploadState;
use rend_core::upload::transfer::Transfer;
use rend_core::upload::tus::{Checksum, Piece, Verdict, judge};
use rend_storage::StoreError;

use super::Body;
use super::writers::Writers;
use crate::error::{ApiError, UploadRefusal};
use crate::http::videos::drain;
use crate::ingest::assemble_later;
use crate::ingest::source::{End, Received, Source, receive};
use crate::state::State;

/// How long the answer to the last piece waits for the upload to be put together.
const ASSEMBLE_WAIT: Duration = Duration::from_secs(20);
/// How often it looks meanwhile, beside when it is woken.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Adds a piece, and answers how much is durable then.
pub(super) async fn add(
    state: &Arc<State>,
    writers: &Arc<Writers>,
    id: UploadId,
    piece: Piece,
    checksum: Option<Checksum>,
    mut body: Body,
) -> Result<u64, ApiError> {
    let transfer = match judged(state, id, piece).await {
        Ok((transfer, Verdict::Take { .. })) => transfer,
        Ok((transfer, _)) => {
            hand_over(state, &transfer).await;
            return Ok(transfer.received);
        }
        Err(error) => {
            drain(&mut body).await;
            return Err(error);
        }
    };
    drop(transfer);
    // In a task of its own, since a caller that hangs up drops this future: what came of its body is stored all the same.
    let (state, writers) = (Arc::clone(state), Arc::clone(writers));
    let stored = rend_shell::spawn("upload", async move { store(&state, &writers, id, piece, checksum, body).await });
    stored.await.map_err(|_| ApiError::Store(StoreError::Unavailable("the upload's task ended".into())))?
}

async fn store(
    state: &State,
    writers: &Arc<Writers>,
    id: UploadId,
    piece: Piece,
    checksum: Option<Checksum>,
    mut body: Body,
) -> Result<u64, ApiError> {
    let writing = writers.replace(id).await;
    // Whoever was asked to stop may have stored more meanwhile.
    let judged = judged(state, id, piece).await;
    let taken = match judged {
        Ok((_, Verdict::Take { bytes_max })) => match state.stores.transfers.take_over(id).await {
            // Another process may have counted something since.
            Ok(transfer) if transfer.received != piece.offset => {
                Err(ApiError::Upload(UploadRefusal::Elsewhere { received: transfer.received }))
            }
            Ok(transfer) => Ok((transfer, bytes_max)),
            Err(StoreError::Conflict { .. }) => Err(ApiError::Upload(UploadRefusal::Gone)),
            Err(error) => Err(error.into()),
        },
        Ok((transfer, _)) => return Ok(transfer.received),
        Err(error) => Err(error),
    };
    let (transfer, bytes_max) = match taken {
        Ok(taken) => taken,
        Err(error) => {
            drain(&mut body).await;
            return Err(error);
        }
    };
    let source = Source::new(body, piece.bytes.unwrap_or(bytes_max).min(bytes_max), writing.stop.clone());
    let received = receive(&state.stores, &state.clock, transfer, source, checksum.as_ref()).await;
    drop(writing);
    match received {
        Ok(Received { transfer, end: End::Clean | End::Cut, is_right: true }) => {
            hand_over(state, &transfer).await;
            Ok(transfer.received)
        }
        Ok(Received { end: End::Clean, is_right: false, .. }) => Err(ApiError::Upload(UploadRefusal::Checksum)),
        Ok(Received { transfer, end, .. }) => {
            let received = transfer.received;
            Err(ApiError::Upload(match end {
                End::Long => UploadRefusal::PastEnd { bytes_max },
                End::Stopped => UploadRefusal::TakenOver { received },
                End::Clean | End::Cut | End::Idle => UploadRefusal::Idle { received },
            }))
        }
        Err(StoreError::Conflict { .. }) => {
            let transfer = state.stores.transfers.transfer(id).await?;
            Err(ApiError::Upload(match transfer.session.state {
                UploadState::Open => UploadRefusal::TakenOver { received: transfer.received },
                UploadState::Complete | UploadState::Abandoned => UploadRefusal::Gone,
            }))
        }
        Err(error) => Err(error.into()),
    }
}

/// The transfer, and whether the piece may come: either way there is nothing to refuse.
async fn judged(state: &State, id: UploadId, piece: Piece) -> Result<(Transfer, Verdict), ApiError> {
    let transfer = state.stores.transfers.transfer(id).await?;
    let verdict = judge(&transfer, piece, state.clock.wall());
    let refusal = match verdict {
        Verdict::Take { .. } if is_asset_gone(state, transfer.session.asset).await? => UploadRefusal::Gone,
        Verdict::Take { .. } | Verdict::Whole => return Ok((transfer, verdict)),
        Verdict::Elsewhere { received } => UploadRefusal::Elsewhere { received },
        Verdict::TooLong { bytes_max } => UploadRefusal::PastEnd { bytes_max },
        Verdict::Gone => UploadRefusal::Gone,
    };
    Err(ApiError::Upload(refusal))
}

/// Whether the asset was deleted, or failed, so that nothing needs to come any more.
pub(super) async fn is_asset_gone(state: &State, id: AssetId) -> Result<bool, ApiError> {
    match state.stores.assets.get(id).await {
        Ok(asset) => Ok(matches!(asset.source, SourceState::Deleted | SourceState::Failed) && asset.stored.is_none()),
        Err(StoreError::NotFound { .. }) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Has a whole upload put together, and waits a little for it: mostly it is done at once, and then whoever sent the last
/// piece finds its asset uploaded.
pub(super) async fn hand_over(state: &State, transfer: &Transfer) {
    let session = &transfer.session;
    if !transfer.is_whole() || session.state != UploadState::Open {
        return;
    }
    if let Err(error) = assemble_later(state, session.id, session.asset).await {
        tracing::warn!(upload = %session.id, %error, "a whole upload was not handed over; the sweep will do it");
        return;
    }
    let _ = tokio::time::timeout(ASSEMBLE_WAIT, ended(state, session.id)).await;
}

/// Resolves when the session has ended.
pub(super) async fn ended(state: &State, id: UploadId) {
    let mut woken = state.bus.listen();
    loop {
        woken.mark_unchanged();
        if state.stores.uploads.get(id).await.is_ok_and(|session| session.state != UploadState::Open) {
            return;
        }
        let _ = tokio::time::timeout(LOOK_EVERY, woken.changed()).await;
    }
}
