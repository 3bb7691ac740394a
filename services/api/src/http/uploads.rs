//! `/v1/uploads`: originals in pieces, as tus 1.0 sends them.
//!
//! A piece counts once it is durable, and the offset that is answered is that of durable bytes. The last piece hands the
//! upload to [`crate::ingest`], which puts it together; until then its asset is `uploading`.
//!
//! `Upload-Expires` says until when an upload is kept: a day from its beginning, and from every piece that is stored since. A
//! look moves it no more than a piece that is refused does. After that the upload answers 410, and the next sweep takes what
//! came of it and fails its asset as `upload_incomplete`.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, Bytes};
use futures::{Stream, StreamExt};
use http::header::{CACHE_CONTROL, LOCATION};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use rend_core::artifact::ObjectKey;
use rend_core::asset::{Asset, Failure, Move, SourceState};
use rend_core::credential::Scope;
use rend_core::id::{AssetId, JobId, OrgId, UploadId};
use rend_core::job::{JobKind, NewJob};
use rend_core::time::Timestamp;
use rend_core::upload::idempotency::is_key;
use rend_core::upload::parts::Division;
use rend_core::upload::sweep::SESSION_KEPT;
use rend_core::upload::transfer::{Pull, Transfer};
use rend_core::upload::tus::{
    ALGORITHMS, BadHeader, Checksum, EXTENSIONS, Metadata, Piece, VERSION, Verdict, judge, number,
};
use rend_core::upload::{UploadSession, UploadState};
use rend_storage::StoreError;
use rend_storage::assets::Change;
use sha2::{Digest, Sha256};
use warp::filters::BoxedFilter;
use warp::reply::Response;
use warp::{Filter, Reply};

use crate::auth::{Caller, caller};
use crate::error::{ApiError, UploadRefusal};
use crate::http::Answer;
use crate::http::videos::{Words, drain, new_asset};
use crate::ingest::assemble::forget_parts;
use crate::ingest::assemble_later;
use crate::ingest::source::{End, Received, Source, receive};
use crate::state::{State, Stores};

pub(crate) mod direct;
#[cfg(test)]
mod tests;
mod writers;

use writers::Writers;

/// Uploads that an organisation may have open. Several processes that open at once may each let one more in.
pub(crate) const OPEN_MAX: u64 = 1000;
/// How long the answer to the last piece waits for the upload to be put together.
const ASSEMBLE_WAIT: Duration = Duration::from_secs(20);
/// How often it looks meanwhile, beside when it is woken.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// The media type of a piece.
const PIECE: &str = "application/offset+octet-stream";

const TUS_RESUMABLE: HeaderName = HeaderName::from_static("tus-resumable");
const TUS_VERSION: HeaderName = HeaderName::from_static("tus-version");
const UPLOAD_OFFSET: HeaderName = HeaderName::from_static("upload-offset");
const UPLOAD_EXPIRES: HeaderName = HeaderName::from_static("upload-expires");
const ASSET_ID: HeaderName = HeaderName::from_static("rend-asset-id");

pub(crate) fn routes(state: &Arc<State>) -> BoxedFilter<(Answer,)> {
    let writers = Arc::new(Writers::default());
    let collection = {
        let (state, writers) = (Arc::clone(state), Arc::clone(&writers));
        warp::path!("v1" / "uploads").and(asked(&state)).then(move |caller, method, headers, body| {
            let (state, writers) = (Arc::clone(&state), Arc::clone(&writers));
            async move {
                if direct::is_wish(&method, &headers) {
                    return direct::begin(&state, caller?, &headers, pieces(body)).await;
                }
                as_tus(to_collection(&state, &writers, caller, &method, &headers, pieces(body)).await)
            }
        })
    };
    let direct = direct::routes(state, &writers);
    let one = {
        let state = Arc::clone(state);
        warp::path!("v1" / "uploads" / UploadId).and(asked(&state)).then(
            move |id: UploadId, caller, method: Method, headers: HeaderMap, body| {
                let (state, writers) = (Arc::clone(&state), Arc::clone(&writers));
                async move {
                    let method = overridden(method, &headers);
                    if let Some(answer) = direct::one(&state, &writers, &caller, id, &method, &headers).await {
                        return answer;
                    }
                    as_tus(to_one(&state, &writers, caller, id, &method, &headers, pieces(body)).await)
                }
            },
        )
    };
    collection.or(one).unify().or(direct).unify().boxed()
}

/// What every request brings: who asks, how, and a body.
fn asked(
    state: &Arc<State>,
) -> impl Filter<
    Extract = (
        Result<Caller, ApiError>,
        Method,
        HeaderMap,
        impl Stream<Item = Result<impl Buf + use<>, warp::Error>> + Send + use<>,
    ),
    Error = warp::Rejection,
> + Clone
+ use<> {
    caller(state, Scope::Upload).and(warp::method()).and(warp::header::headers_cloned()).and(warp::body::stream())
}

/// A body as bytes. Why it broke off does not matter: what came is kept.
fn pieces<B: Buf>(body: impl Stream<Item = Result<B, warp::Error>> + Send + 'static) -> Body {
    body.map(|chunk| chunk.map(|mut buf| buf.copy_to_bytes(buf.remaining())).map_err(|_| ())).boxed()
}

type Body = futures::stream::BoxStream<'static, Result<Bytes, ()>>;

/// Some clients can only send GET and POST, and say otherwise what they mean.
fn overridden(method: Method, headers: &HeaderMap) -> Method {
    let meant = text(headers, "x-http-method-override").and_then(|name| Method::from_bytes(name.as_bytes()).ok());
    match meant {
        Some(meant) if method == Method::POST => meant,
        _ => method,
    }
}

/// Every answer names the version of the protocol, also one that refuses.
fn as_tus(answer: Answer) -> Answer {
    match answer {
        Ok(mut response) => {
            response.headers_mut().insert(TUS_RESUMABLE, HeaderValue::from_static(VERSION));
            Ok(response)
        }
        Err(error) => Err(ApiError::Tus(Box::new(error))),
    }
}

async fn to_collection(
    state: &Arc<State>,
    writers: &Arc<Writers>,
    caller: Result<Caller, ApiError>,
    method: &Method,
    headers: &HeaderMap,
    mut body: Body,
) -> Answer {
    if method == Method::OPTIONS {
        return Ok(abilities(state.config.source_bytes_max));
    }
    let judged = match caller {
        _ if method != Method::POST => Err(ApiError::Method),
        Ok(caller) => begin(state, caller, headers).await,
        Err(error) => Err(error),
    };
    let transfer = match judged {
        Ok(transfer) => transfer,
        Err(error) => {
            drain(&mut body).await;
            return Err(error);
        }
    };
    let id = transfer.session.id;
    let mut response = StatusCode::CREATED.into_response();
    if text(headers, "content-type") == Some(PIECE) {
        let piece = Piece { offset: 0, bytes: length(headers)? };
        let checksum = checksum(headers)?;
        // A repeat brings the first piece again. What is there already is not stored twice.
        let received = if transfer.received > 0 {
            drain(&mut body).await;
            transfer.received
        } else {
            add(state, writers, id, piece, checksum, body).await?
        };
        response.headers_mut().insert(UPLOAD_OFFSET, received.into());
    }
    let headers = response.headers_mut();
    if let Ok(location) = HeaderValue::from_str(&format!("/v1/uploads/{id}")) {
        headers.insert(LOCATION, location);
    }
    name(headers, &transfer);
    Ok(response)
}

async fn to_one(
    state: &Arc<State>,
    writers: &Arc<Writers>,
    caller: Result<Caller, ApiError>,
    id: UploadId,
    method: &Method,
    headers: &HeaderMap,
    mut body: Body,
) -> Answer {
    if method == Method::OPTIONS {
        return Ok(abilities(state.config.source_bytes_max));
    }
    let owned = match caller {
        _ if ![Method::HEAD, Method::GET, Method::DELETE, Method::PATCH].contains(method) => Err(ApiError::Method),
        Ok(caller) => owned(state, caller, id, headers).await,
        Err(error) => Err(error),
    };
    let transfer = match owned {
        Ok(transfer) => transfer,
        Err(error) => {
            drain(&mut body).await;
            return Err(error);
        }
    };
    if method == Method::HEAD || method == Method::GET {
        return stand(state, &transfer).await;
    }
    if method == Method::DELETE {
        return terminate(state, writers, &transfer).await;
    }
    let asked = || -> Result<_, ApiError> {
        if text(headers, "content-type") != Some(PIECE) {
            return Err(ApiError::Upload(UploadRefusal::MediaType));
        }
        let offset = needed(headers, "upload-offset")?;
        Ok((Piece { offset, bytes: length(headers)? }, checksum(headers)?))
    };
    let (piece, checksum) = match asked() {
        Ok(asked) => asked,
        Err(error) => {
            drain(&mut body).await;
            return Err(error);
        }
    };
    let received = add(state, writers, id, piece, checksum, body).await?;
    let mut response = StatusCode::NO_CONTENT.into_response();
    response.headers_mut().insert(UPLOAD_OFFSET, received.into());
    let transfer = state.stores.transfers.transfer(id).await?;
    name(response.headers_mut(), &transfer);
    Ok(response)
}

/// What is spoken here.
fn abilities(bytes_max: u64) -> Response {
    let mut response = StatusCode::NO_CONTENT.into_response();
    let headers = response.headers_mut();
    headers.insert(TUS_VERSION, HeaderValue::from_static(VERSION));
    headers.insert("tus-extension", HeaderValue::from_static(EXTENSIONS));
    headers.insert("tus-checksum-algorithm", HeaderValue::from_static(ALGORITHMS));
    headers.insert("tus-max-size", bytes_max.into());
    response
}

/// Writes an asset and its session down. With an `Idempotency-Key` that stands for the same upload, answers that one.
async fn begin(state: &Arc<State>, caller: Caller, headers: &HeaderMap) -> Result<Transfer, ApiError> {
    spoken(headers)?;
    let bytes = needed(headers, "upload-length")?;
    if bytes == 0 {
        return Err(ApiError::EmptyUpload);
    }
    let bytes_max = state.config.source_bytes_max;
    if bytes > bytes_max {
        return Err(ApiError::Upload(UploadRefusal::TooLarge { bytes_max }));
    }
    // What can not be read is refused like what can not be understood, so that no title is lost in silence.
    let unread = |_| BadHeader::Metadata("ASCII characters, with values in base64");
    let note = headers.get("upload-metadata").map_or(Ok(""), |value| value.to_str().map_err(unread));
    let (note, metadata) = note
        .and_then(|note| Ok((note.trim().to_owned(), Metadata::parse(note.trim())?)))
        .map_err(|why| ApiError::Upload(UploadRefusal::Header { name: "Upload-Metadata", why }))?;
    let word = |key: &str| metadata.get(key).map(str::to_owned);
    let words = Words {
        title: word("title").or_else(|| file_title(&metadata)),
        policy: word("policy"),
        external_id: word("external_id"),
    };
    let asset = new_asset(state, caller, words)?;
    open(state, asset, Ask { bytes: Some(bytes), note, pull: None, direct: None }, key(headers)?).await
}

/// A file's name as a title. What can not be one is left out: nobody typed it.
fn file_title(metadata: &Metadata) -> Option<String> {
    let name: String =
        metadata.title()?.chars().filter(|c| !c.is_control()).take(rend_core::asset::TITLE_CHARS_MAX).collect();
    Some(name).filter(|name| !name.trim().is_empty())
}

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
            Ok(first) => return again(state, first, asset, &ask).await,
            Err(StoreError::NotFound { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
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

/// The transfer, if it is the caller's.
async fn owned(state: &State, caller: Caller, id: UploadId, headers: &HeaderMap) -> Result<Transfer, ApiError> {
    spoken(headers)?;
    let transfer = state.stores.transfers.transfer(id).await?;
    // What is fetched from elsewhere is nobody's to send, and what goes past the API is sent otherwise.
    let is_theirs = transfer.session.org == caller.org && transfer.pull.is_none() && transfer.direct.is_none();
    if is_theirs { Ok(transfer) } else { Err(ApiError::NotFound { what: "upload" }) }
}

/// How far it has come.
async fn stand(state: &State, transfer: &Transfer) -> Answer {
    let now = state.clock.wall();
    let session = &transfer.session;
    let piece = Piece { offset: transfer.received, bytes: Some(0) };
    if judge(transfer, piece, now) == Verdict::Gone || is_asset_gone(state, session.asset).await? {
        return Err(ApiError::Upload(UploadRefusal::Gone));
    }
    hand_over(state, transfer).await;
    let mut response = StatusCode::OK.into_response();
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(UPLOAD_OFFSET, transfer.received.into());
    if let Some(bytes) = session.bytes_expected {
        headers.insert("upload-length", bytes.into());
    }
    if let Ok(note) = HeaderValue::from_str(&transfer.note)
        && !transfer.note.is_empty()
    {
        headers.insert("upload-metadata", note);
    }
    name(headers, transfer);
    Ok(response)
}

/// The sender wants nothing of it to stay.
async fn terminate(state: &State, writers: &Arc<Writers>, transfer: &Transfer) -> Answer {
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

/// Adds a piece, and answers how much is durable then.
async fn add(
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
async fn is_asset_gone(state: &State, id: AssetId) -> Result<bool, ApiError> {
    match state.stores.assets.get(id).await {
        Ok(asset) => Ok(matches!(asset.source, SourceState::Deleted | SourceState::Failed) && asset.stored.is_none()),
        Err(StoreError::NotFound { .. }) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Has a whole upload put together, and waits a little for it: mostly it is done at once, and then whoever sent the last
/// piece finds its asset uploaded.
async fn hand_over(state: &State, transfer: &Transfer) {
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
async fn ended(state: &State, id: UploadId) {
    let mut woken = state.bus.listen();
    loop {
        woken.mark_unchanged();
        if state.stores.uploads.get(id).await.is_ok_and(|session| session.state != UploadState::Open) {
            return;
        }
        let _ = tokio::time::timeout(LOOK_EVERY, woken.changed()).await;
    }
}

/// Has the store give up an object in parts that nobody finishes.
pub(crate) async fn drop_parts(stores: &Stores, transfer: &Transfer) -> Result<(), StoreError> {
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

/// The headers that name an upload.
fn name(headers: &mut HeaderMap, transfer: &Transfer) {
    if let Ok(asset) = HeaderValue::from_str(&transfer.session.asset.to_string()) {
        headers.insert(ASSET_ID, asset);
    }
    let expires = httpdate::fmt_http_date(transfer.session.expires_at.to_system());
    if let Ok(expires) = HeaderValue::from_str(&expires)
        && transfer.session.state == UploadState::Open
    {
        headers.insert(UPLOAD_EXPIRES, expires);
    }
}

/// Whether the request speaks the protocol's version.
fn spoken(headers: &HeaderMap) -> Result<(), ApiError> {
    if text(headers, "tus-resumable") == Some(VERSION) { Ok(()) } else { Err(ApiError::Upload(UploadRefusal::Version)) }
}

fn text<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

fn needed(headers: &HeaderMap, name: &'static str) -> Result<u64, ApiError> {
    let value = text(headers, name).ok_or(ApiError::Upload(UploadRefusal::Missing { name }))?;
    number(value).map_err(|why| ApiError::Upload(UploadRefusal::Header { name, why }))
}

/// The announced length of the body, if announced.
fn length(headers: &HeaderMap) -> Result<Option<u64>, ApiError> {
    let name = "content-length";
    text(headers, name)
        .map(|value| number(value).map_err(|why| ApiError::Upload(UploadRefusal::Header { name, why })))
        .transpose()
}

fn checksum(headers: &HeaderMap) -> Result<Option<Checksum>, ApiError> {
    let name = "Upload-Checksum";
    text(headers, name)
        .map(|value| Checksum::parse(value).map_err(|why| ApiError::Upload(UploadRefusal::Header { name, why })))
        .transpose()
}
