//! Pieces become one original.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures::{StreamExt, TryStreamExt, stream};
use rend_core::artifact::ObjectKey;
use rend_core::asset::{Move, SourceState, StoredSource};
use rend_core::id::{JobId, UploadId};
use rend_core::job::{JobKind, Lease, NewJob};
use rend_core::time::Clock;
use rend_core::upload::UploadState;
use rend_core::upload::transfer::{Part, Transfer};
use rend_storage::StoreError;
use rend_storage::assets::Change;
use rend_storage::objects::{ObjectBody, Put};
use sha2::{Digest, Sha256};

use super::source::OCTETS;
use crate::state::Stores;

/// Parts that are read at a time from the record.
const PARTS_PAGE: usize = 256;
/// Keys that are listed at a time.
const KEYS_PAGE: usize = 500;

/// Puts the parts of a whole transfer together, and hands the original on to be made playable. Doing it twice, or going on
/// where a killed process stopped, leads to the same.
///
/// # Errors
///
/// What a store answers; nothing is lost then.
pub(crate) async fn assemble(
    stores: &Stores,
    clock: &Arc<dyn Clock>,
    transfer: &Transfer,
    lease: &Lease,
    media_attempts_max: u32,
) -> Result<Assembled, StoreError> {
    let (id, asset) = (transfer.session.id, transfer.session.asset);
    let found = match stores.assets.get(asset).await {
        Ok(found) => Some(found),
        Err(StoreError::NotFound { .. }) => None,
        Err(error) => return Err(error),
    };
    match found.map(|asset| (asset.source, asset.stored.is_some())) {
        // A crash fell between the move and the end of the session.
        Some((_, true)) => return end(stores, id, UploadState::Complete).await.map(|()| Assembled::Ended),
        Some((SourceState::Uploading, false)) => {}
        // Deleted or failed meanwhile, or never written down.
        Some(_) | None => return end(stores, id, UploadState::Abandoned).await.map(|()| Assembled::Ended),
    }
    let key = ObjectKey::source(asset);
    let source = match &transfer.direct {
        Some(direct) => {
            let source = joined(stores, &key, transfer.session.bytes_expected).await?;
            if direct.sha256.is_some_and(|announced| announced != source.sha256) {
                return Ok(Assembled::WrongDigest);
            }
            source
        }
        None => {
            let len = transfer.session.bytes_expected;
            let put = Put { content_type: OCTETS.into(), len, sha256: None, now: clock.wall() };
            let away = Arc::new(AtomicBool::new(false));
            let stored = stores.objects.put(&key, put, whole(stores, id, &away)).await;
            let stored = stored.map_err(|error| told_apart(error, away.load(Ordering::Relaxed)))?;
            StoredSource { bytes: stored.len, sha256: stored.sha256.unwrap_or_default() }
        }
    };
    let now = clock.wall();
    let media = NewJob {
        id: JobId::new(now, rend_shell::ten()),
        asset,
        kind: JobKind::Media,
        run_at: now,
        attempts_max: media_attempts_max,
    };
    let step = Move::SourceStored(source);
    let change = Change { asset, expect: None, step, fence: Some(lease.clone()), enqueue: Some(media), now };
    match stores.assets.advance(&change).await {
        Ok(_) => end(stores, id, UploadState::Complete).await.map(|()| Assembled::Ended),
        // It was deleted while its bytes were put together; the delete may have looked before they were there.
        Err(StoreError::Illegal(_) | StoreError::NotFound { .. }) => {
            stores.objects.delete(&key).await?;
            end(stores, id, UploadState::Abandoned).await.map(|()| Assembled::Ended)
        }
        Err(error) => Err(error),
    }
}

/// What putting an original together came to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Assembled {
    /// The session has ended: with an original, or because nobody wants one any more.
    Ended,
    /// Everything came, but it is not what was announced.
    WrongDigest,
}

/// What the object storage made of parts that went past us. A digest that it could not tell is read from the bytes, once.
async fn joined(stores: &Stores, key: &ObjectKey, bytes: Option<u64>) -> Result<StoredSource, StoreError> {
    let lost = || StoreError::BadBody { reason: "what the parts were made into is not there as it was".into() };
    let absent = |error| if matches!(error, StoreError::NotFound { .. }) { lost() } else { error };
    let meta = stores.objects.head(key).await.map_err(absent)?;
    if Some(meta.len) != bytes {
        return Err(lost());
    }
    if let Some(sha256) = meta.sha256 {
        return Ok(StoredSource { bytes: meta.len, sha256 });
    }
    let (mut body, mut digest) = (stores.objects.get(key, None).await.map_err(absent)?.body, Sha256::new());
    while let Some(chunk) = body.next().await {
        digest.update(&chunk?);
    }
    Ok(StoredSource { bytes: meta.len, sha256: digest.finalize().into() })
}

/// Ends the session, and removes its parts, which nobody needs any more.
async fn end(stores: &Stores, id: UploadId, state: UploadState) -> Result<(), StoreError> {
    match stores.uploads.settle(id, state).await {
        // Somebody ended it otherwise: the sweep, or its sender. What they did stands.
        Ok(()) | Err(StoreError::Conflict { .. } | StoreError::NotFound { .. }) => {}
        Err(error) => return Err(error),
    }
    forget_parts(stores, id).await.map(|_| ())
}

/// Removes whatever lies there of the parts of a session, counted or not, and answers how many there were.
///
/// # Errors
///
/// What the store answers; some may be gone then.
pub(crate) async fn forget_parts(stores: &Stores, id: UploadId) -> Result<usize, StoreError> {
    let prefix = ObjectKey::upload_prefix(id);
    let mut gone = 0;
    loop {
        let keys = stores.objects.list(&prefix, None, KEYS_PAGE).await?;
        if keys.is_empty() {
            return Ok(gone);
        }
        for key in &keys {
            stores.objects.delete(key).await?;
        }
        gone += keys.len();
    }
}

/// Why the parts did not become one. Whoever stores a body knows only that it broke off; when that was because a part could
/// not be read at this moment, nothing is wrong with the upload, however often it happens.
fn told_apart(error: StoreError, away: bool) -> StoreError {
    if away && matches!(error, StoreError::BadBody { .. }) {
        return StoreError::Unavailable("a part could not be read".into());
    }
    error
}

/// All counted bytes, from the first to the last. `away` is set when a part could not be read, but may be another time.
fn whole(stores: &Stores, id: UploadId, away: &Arc<AtomicBool>) -> ObjectBody {
    let away = Arc::clone(away);
    let (transfers, objects) = (Arc::clone(&stores.transfers), Arc::clone(&stores.objects));
    let pages = stream::try_unfold(0, move |from| {
        let transfers = Arc::clone(&transfers);
        async move {
            let page = transfers.parts(id, from, PARTS_PAGE).await?;
            Ok::<_, StoreError>(page.last().map(|last| last.start + 1).map(|next| (page, next)))
        }
    });
    pages
        .map_ok(|page| stream::iter(page.into_iter().map(Ok::<Part, StoreError>)))
        .try_flatten()
        .and_then(move |part| {
            let objects = Arc::clone(&objects);
            async move {
                let object = objects.get(&part.key(id), None).await?;
                if object.meta.len != part.bytes {
                    return Err(StoreError::BadBody { reason: "a part has another length than was counted".into() });
                }
                Ok(object.body)
            }
        })
        .try_flatten()
        .inspect_err(move |error| {
            if error.is_transient() {
                away.store(true, Ordering::Relaxed);
            }
        })
        .boxed()
}
