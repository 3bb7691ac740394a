//! The beginning of an upload, however its bytes are to come: a session first, then its asset, once for each key.

use http::{HeaderMap, HeaderValue};
use rend_core::asset::{Asset, Move};
use rend_core::id::{JobId, OrgId, UploadId};
use rend_core::job::{JobKind, NewJob};
use rend_core::upload::idempotency::is_key;
use rend_core::upload::parts::Division;
use rend_core::upload::sweep::SESSION_KEPT;
use rend_core::upload::transfer::{Pull, Transfer};
use rend_core::upload::{UploadSession, UploadState};
use rend_storage::StoreError;
use rend_storage::assets::Change;
use sha2::{Digest, Sha256};

use super::direct;
use super::end::drop_parts;
use crate::error::{ApiError, UploadRefusal};
use crate::http::videos::{admitted, in_service};
use crate::state::State;

/// Uploads that an organisation may have open. Several processes that open at once may each let one more in.
pub(super) const OPEN_MAX: u64 = 1000;

/// What an upload is asked for with, beside its asset.
pub(crate) struct Ask {
    /// Its length, if known.
    pub bytes: Option<u64>,
    /// What the sender said.
    pub note: String,
    /// Where to fetch it, when nobody sends it.
    pub pull: Option<Pull>,
    /// How it is cut, when its parts go past the API.
    pub direct: Option<Division>,
}

/// Opens a session for `asset`, or finds the one that `key` stands for.
pub(crate) async fn open(state: &State, asset: Asset, ask: Ask, key: Option<String>) -> Result<Transfer, ApiError> {
    let now = state.clock.wall();
    let id = match &key {
        // The key names the session, so that it is remembered as long as the session is, and by the same rules.
        Some(key) => named_by(asset.org, key),
        None => UploadId::new(now, rend_shell::ten()),
    };
    if key.is_some() {
        match state.stores.transfers.transfer(id).await {
            Ok(first) => {
                // What it announced was admitted then, and is counted.
                in_service(state, asset.org).await?;
                return again(state, first, asset, &ask).await;
            }
            Err(StoreError::NotFound { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    admitted(state, asset.org, ask.bytes, state.config.source_bytes_max).await?;
    if state.stores.transfers.open_transfers(asset.org).await? >= OPEN_MAX {
        return Err(ApiError::Upload(UploadRefusal::TooMany { open_max: OPEN_MAX }));
    }
    let session = UploadSession {
        id,
        asset: asset.id,
        org: asset.org,
        bytes_expected: ask.bytes,
        state: UploadState::Open,
        expires_at: now + SESSION_KEPT,
        created_at: now,
    };
    let mut transfer = Transfer::new(session, ask.note, ask.pull);
    if let Some(division) = ask.direct {
        transfer.direct = Some(direct::begin_object(state, division, &transfer).await?);
    }
    match state.stores.transfers.open_transfer(&transfer).await {
        Ok(()) => {}
        // The same key, at the same moment: the other request does it.
        Err(StoreError::Conflict { .. }) => {
            // Where the name is the upload's own, it is the other's too, and stays.
            if transfer.direct.as_ref().is_some_and(|direct| direct.name != id.to_string()) {
                drop_parts(&state.stores, &transfer).await?;
            }
            return Err(ApiError::Conflict { detail: "a request with this Idempotency-Key is under way".into() });
        }
        Err(error) => return Err(error.into()),
    }
    write_down(state, asset, &transfer).await?;
    Ok(transfer)
}

/// The upload that the key stands for already, if it is the same.
async fn again(state: &State, first: Transfer, mut asset: Asset, ask: &Ask) -> Result<Transfer, ApiError> {
    let pulls_alike = match (&first.pull, &ask.pull) {
        (Some(one), Some(other)) => one.url == other.url && first.note == ask.note,
        (None, None) => {
            let cut_alike = first.direct.is_some() == ask.direct.is_some();
            cut_alike && first.session.bytes_expected == ask.bytes && first.note == ask.note
        }
        _ => false,
    };
    if first.session.org != asset.org || !pulls_alike {
        return Err(ApiError::Upload(UploadRefusal::Key));
    }
    // A crash may have fallen between the session and its asset.
    asset.id = first.session.asset;
    if first.session.state == UploadState::Open {
        write_down(state, asset, &first).await?;
    }
    Ok(first)
}

/// The session is there; now its asset, and the job that fetches it if nobody sends it. Doing it twice is doing it once.
async fn write_down(state: &State, asset: Asset, transfer: &Transfer) -> Result<(), ApiError> {
    let id = asset.id;
    match state.stores.assets.create(&asset).await {
        Ok(()) | Err(StoreError::Conflict { .. }) => {}
        Err(error) => return Err(error.into()),
    }
    let now = state.clock.wall();
    let enqueue = transfer.pull.is_some().then(|| NewJob {
        id: JobId::from_bytes(*transfer.session.id.as_bytes()),
        asset: id,
        kind: JobKind::Pull,
        run_at: now,
        attempts_max: rend_core::upload::pull::ATTEMPTS_MAX,
    });
    let change = Change { asset: id, expect: None, step: Move::BeginUpload, fence: None, enqueue, now };
    match state.stores.assets.advance(&change).await {
        Ok(_) | Err(StoreError::Illegal(_)) => {}
        Err(error) => return Err(error.into()),
    }
    state.bus.wake();
    Ok(())
}

/// The name of the session that a key stands for.
fn named_by(org: OrgId, key: &str) -> UploadId {
    let mut digest = Sha256::new();
    digest.update(b"upload of an idempotency key\0");
    digest.update(org.as_bytes());
    digest.update(key.as_bytes());
    let digest: [u8; 32] = digest.finalize().into();
    let mut id = [0; 16];
    id.copy_from_slice(&digest[..16]);
    UploadId::from_bytes(id)
}

/// The `Idempotency-Key`, if there is one.
pub(crate) fn key(headers: &HeaderMap) -> Result<Option<String>, ApiError> {
    match headers.get("idempotency-key").map(HeaderValue::to_str) {
        None => Ok(None),
        Some(Ok(key)) if is_key(key) => Ok(Some(key.to_owned())),
        Some(_) => Err(ApiError::Upload(UploadRefusal::Key)),
    }
}
