//! The whole of an upload: its parts joined to an original, once.

use std::sync::Arc;

use http::StatusCode;
use rend_core::artifact::ObjectKey;
use rend_core::id::UploadId;
use rend_core::upload::UploadState;
use rend_core::upload::parts::Listed;
use rend_core::upload::transfer::{Step, Transfer};
use rend_storage::StoreError;
use rend_storage::objects::Put;
use serde::Deserialize;

use super::super::piece::hand_over;
use super::super::writers::Writers;
use super::{WRONG_DIGEST, division_of, from_hex, must_be_open, owned_direct, parse, parts_of};
use crate::auth::Caller;
use crate::error::{ApiError, UploadRefusal};
use crate::http::{Answer, json};
use crate::ingest::source::OCTETS;
use crate::state::State;
use crate::wire::AssetJson;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Whole {
    parts: Vec<PartJson>,
    size: u64,
    sha256: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PartJson {
    number: u32,
    etag: String,
}

/// All parts are there: makes them the original. Asking again changes nothing and is answered the same.
pub(super) async fn complete(
    state: &State,
    writers: &Arc<Writers>,
    caller: Caller,
    id: UploadId,
    body: &[u8],
) -> Answer {
    let whole: Whole = parse(body, "an object with parts, each with number and etag, with size, and sha256 if known")?;
    let sha256 = whole.sha256.as_deref().map(digest).transpose()?;
    let tag = |text: &str| text.parse().map_err(|_| ApiError::field("/parts", "each with the ETag of its answer"));
    let listed = whole
        .parts
        .iter()
        .map(|part| Ok(Listed { number: part.number, tag: tag(&part.etag)? }))
        .collect::<Result<Vec<_>, ApiError>>()?;
    let transfer = owned_direct(state, caller, id).await?;
    let (division, _) = division_of(&transfer)?;
    if whole.size != division.bytes() {
        return Err(ApiError::field("/size", format!("{} bytes, as it was begun with", division.bytes())));
    }
    let listed = division.whole(listed).map_err(|why| ApiError::field("/parts", why.to_string()))?;
    // One request at a time: the next one finds what this one did.
    let _writing = writers.replace(id).await;
    let transfer = owned_direct(state, caller, id).await?;
    match transfer.session.state {
        UploadState::Complete => return shown(state, &transfer).await,
        UploadState::Abandoned => return Err(ended(state, &transfer).await),
        UploadState::Open => {}
    }
    if !transfer.is_whole() {
        must_be_open(state, &transfer).await?;
        join(state, &transfer, &listed, sha256).await?;
        let sealed = state.stores.transfers.advance_transfer(id, transfer.epoch, &Step::Seal { sha256 }).await;
        match sealed {
            Ok(_) => {}
            Err(StoreError::Conflict { .. }) => {
                // Its time may have been over, and then what was just made belongs to nobody.
                let now = state.stores.transfers.transfer(id).await?;
                if now.session.state == UploadState::Abandoned {
                    state.stores.objects.delete(&ObjectKey::source(now.session.asset)).await?;
                    return Err(ended(state, &now).await);
                }
                if !now.is_whole() {
                    return Err(ApiError::Conflict { detail: "another request goes on with this upload".into() });
                }
            }
            Err(error) => return Err(error.into()),
        }
    }
    let transfer = state.stores.transfers.transfer(id).await?;
    hand_over(state, &transfer).await;
    shown(state, &transfer).await
}

/// Has the store join the parts, unless it did and nobody heard.
async fn join(state: &State, transfer: &Transfer, listed: &[Listed], sha256: Option<[u8; 32]>) -> Result<(), ApiError> {
    let (division, direct) = division_of(transfer)?;
    let source = ObjectKey::source(transfer.session.asset);
    let put = Put { content_type: OCTETS.into(), len: Some(division.bytes()), sha256, now: state.clock.wall() };
    match parts_of(state)?.join_parts(&source, &direct.name, listed, put).await {
        Ok(_) => Ok(()),
        Err(StoreError::NotFound { .. }) => match state.stores.objects.head(&source).await {
            Ok(meta) if meta.len == division.bytes() => Ok(()),
            Ok(_) | Err(StoreError::NotFound { .. }) => Err(ApiError::Upload(UploadRefusal::Gone)),
            Err(error) => Err(error.into()),
        },
        Err(StoreError::BadBody { reason }) => Err(ApiError::Upload(UploadRefusal::Parts { reason })),
        Err(error) => Err(error.into()),
    }
}

/// The asset as it stands, and whether that is all.
pub(super) async fn shown(state: &State, transfer: &Transfer) -> Answer {
    let session = state.stores.uploads.get(transfer.session.id).await?;
    if session.state == UploadState::Abandoned {
        return Err(ended(state, transfer).await);
    }
    let asset = state.stores.assets.get(session.asset).await?;
    let status = if session.state == UploadState::Complete { StatusCode::OK } else { StatusCode::ACCEPTED };
    json(status, &AssetJson::new(&asset, &state.config.site_url))
}

/// Why an upload ended without an original.
async fn ended(state: &State, transfer: &Transfer) -> ApiError {
    match state.stores.assets.get(transfer.session.asset).await {
        Ok(asset) if asset.failure.as_ref().is_some_and(|failure| failure.code == WRONG_DIGEST) => {
            ApiError::Upload(UploadRefusal::Digest)
        }
        Ok(_) | Err(StoreError::NotFound { .. }) => ApiError::Upload(UploadRefusal::Gone),
        Err(error) => error.into(),
    }
}

fn digest(text: &str) -> Result<[u8; 32], ApiError> {
    let bytes = from_hex(text).and_then(|bytes| bytes.try_into().ok());
    bytes.ok_or_else(|| ApiError::field("/sha256", "64 hexadecimal digits"))
}
