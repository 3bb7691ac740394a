//! Uploads whose parts go past the API: it says where each part is put, and puts the whole together when all are there.
//!
//! ```text
//!  POST /v1/uploads (JSON) ──▶ POST …/parts: ten URLs ──▶ PUT to the object storage ──▶ POST …/complete ──▶ an original
//!                                    ▲                              │
//!                                    └───────────── more ───────────┘
//! ```
//!
//! Where the object storage has no server of its own the URLs lead back here, signed with the secret of their upload, so
//! that they end with it and outlast a restart.

use std::sync::Arc;

use bytes::Bytes;
use futures::StreamExt;
use hmac::{Hmac, KeyInit, Mac};
use http::header::{ETAG, LOCATION};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use rend_core::artifact::ObjectKey;
use rend_core::credential::Scope;
use rend_core::id::UploadId;
use rend_core::time::Timestamp;
use rend_core::upload::UploadState;
use rend_core::upload::parts::{Division, Listed, SIGNED_MAX, URL_KEPT};
use rend_core::upload::sweep::SESSION_KEPT;
use rend_core::upload::transfer::{Direct, Step, Transfer};
use rend_core::upload::tus::Metadata;
use rend_shell::body::{BodyError, capped};
use rend_storage::StoreError;
use rend_storage::multipart::PartStore;
use rend_storage::objects::Put;
use serde::{Deserialize, Serialize};
use serde_json::json as value;
use sha2::Sha256;
use warp::Filter;
use warp::filters::BoxedFilter;

use super::{Ask, Body, is_asset_gone, key, open, pieces, terminate};
use crate::auth::{Caller, state_and_caller};
use crate::error::{ApiError, UploadRefusal};
use crate::http::uploads::Writers;
use crate::http::videos::{Words, drain, new_asset, query_pairs};
use crate::http::{Answer, json, raw_query, with_state};
use crate::ingest::source::{BODY_IDLE_MAX, OCTETS};
use crate::state::State;
use crate::wire::{AssetJson, hex};

#[cfg(test)]
mod tests;

/// Bytes of a wish, at most.
const WISH_BYTES_MAX: usize = 16 << 10;
/// Bytes of a list of parts, at most: ten thousand of them, each with the longest tag.
const LIST_BYTES_MAX: usize = 2 << 20;
/// The media type that tells these uploads from those of tus.
const JSON: &str = "application/json";

pub(super) fn routes(state: &Arc<State>, writers: &Arc<Writers>) -> BoxedFilter<(Answer,)> {
    let sign = warp::path!("v1" / "uploads" / UploadId / "parts")
        .and(warp::post())
        .and(state_and_caller(state, Scope::Upload))
        .and(capped(WISH_BYTES_MAX))
        .then(|id, state: Arc<State>, caller: Result<Caller, ApiError>, body: Result<Bytes, BodyError>| async move {
            sign(&state, caller?, id, &body?).await
        });
    let place = warp::path!("v1" / "uploads" / UploadId / "parts" / u32)
        .and(warp::put())
        .and(with_state(state))
        .and(raw_query())
        .and(warp::header::optional::<u64>("content-length"))
        .and(warp::body::stream())
        .then(|id, number, state: Arc<State>, query: String, length, body| async move {
            take(&state, id, number, &query, length, pieces(body)).await
        });
    let complete = {
        let writers = Arc::clone(writers);
        warp::path!("v1" / "uploads" / UploadId / "complete")
            .and(warp::post())
            .and(state_and_caller(state, Scope::Upload))
            .and(capped(LIST_BYTES_MAX))
            .then(move |id, state: Arc<State>, caller: Result<Caller, ApiError>, body: Result<Bytes, BodyError>| {
                let writers = Arc::clone(&writers);
                async move {
                    let (caller, body) = (caller?, body?);
                    // What was begun is brought to its end also when the caller hangs up.
                    let work = async move { complete(&state, &writers, caller, id, &body).await };
                    let done = rend_shell::spawn("upload", work).await;
                    done.map_err(|_| ApiError::Store(StoreError::Unavailable("the upload's task ended".into())))?
                }
            })
    };
    sign.or(place).unify().or(complete).unify().boxed()
}

/// Whether a request begins an upload whose parts go past the API.
pub(super) fn is_wish(method: &Method, headers: &HeaderMap) -> bool {
    let kind = super::text(headers, "content-type").unwrap_or_default().split(';').next().unwrap_or_default();
    method == Method::POST && kind.trim().eq_ignore_ascii_case(JSON)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wish {
    bytes: u64,
    title: Option<String>,
    policy: Option<String>,
    external_id: Option<String>,
}

#[derive(Serialize)]
struct UploadJson {
    id: String,
    asset_id: String,
    state: &'static str,
    bytes: u64,
    part_bytes: u64,
    parts: u32,
    expires_at: String,
}

impl UploadJson {
    fn new(transfer: &Transfer, division: Division) -> Self {
        Self {
            id: transfer.session.id.to_string(),
            asset_id: transfer.session.asset.to_string(),
            state: transfer.session.state.as_str(),
            bytes: division.bytes(),
            part_bytes: division.part_bytes(),
            parts: division.parts(),
            expires_at: transfer.session.expires_at.to_string(),
        }
    }
}

/// Writes an asset and its session down, and begins its object.
pub(super) async fn begin(state: &State, caller: Caller, headers: &HeaderMap, body: Body) -> Answer {
    let body = rend_shell::body::collect(body, WISH_BYTES_MAX).await?;
    // Said in two places, one of the two would be lost in silence.
    if let Some(name) = ["Upload-Length", "Upload-Metadata"].into_iter().find(|name| headers.contains_key(*name)) {
        return Err(ApiError::field(name, "no such header beside a JSON body, which says all of it itself"));
    }
    let wish: Wish = parse(&body, "an object with bytes, and title, policy and external_id if wanted")?;
    if wish.bytes == 0 {
        return Err(ApiError::EmptyUpload);
    }
    let bytes_max = state.config.source_bytes_max;
    let division = Division::of(wish.bytes).filter(|_| wish.bytes <= bytes_max);
    let division = division.ok_or(ApiError::Upload(UploadRefusal::TooLarge { bytes_max }))?;
    parts_of(state)?;
    // What was asked for is remembered as it is of other uploads, so that a repeat is known again.
    let words = [("title", &wish.title), ("policy", &wish.policy), ("external_id", &wish.external_id)];
    let pairs = words.iter().filter_map(|(name, word)| Some(((*name).to_owned(), (*word).clone()?))).collect();
    let note = Metadata::new(pairs).map(|metadata| metadata.to_header()).unwrap_or_default();
    let words = Words { title: wish.title, policy: wish.policy, external_id: wish.external_id };
    let asset = new_asset(state, caller, words)?;
    let ask = Ask { bytes: Some(wish.bytes), note, pull: None, direct: Some(division) };
    let transfer = open(state, asset, ask, key(headers)?).await?;
    let mut response = json(StatusCode::CREATED, &UploadJson::new(&transfer, division_of(&transfer)?.0))?;
    if let Ok(location) = HeaderValue::from_str(&format!("/v1/uploads/{}", transfer.session.id)) {
        response.headers_mut().insert(LOCATION, location);
    }
    Ok(response)
}

/// Begins the object of a new upload.
pub(super) async fn begin_object(state: &State, division: Division, transfer: &Transfer) -> Result<Direct, ApiError> {
    let (key, now) = (ObjectKey::source(transfer.session.asset), state.clock.wall());
    let name = parts_of(state)?.begin_parts(&key, transfer.session.id, OCTETS, now).await?;
    Ok(Direct { name, part_bytes: division.part_bytes(), secret: rend_shell::entropy(), sha256: None })
}

/// How an upload of this kind stands, or its end. `None` when it is of another kind, or not the caller's.
pub(super) async fn one(
    state: &State,
    writers: &Arc<Writers>,
    caller: &Result<Caller, ApiError>,
    id: UploadId,
    method: &Method,
    headers: &HeaderMap,
) -> Option<Answer> {
    let asked = [Method::GET, Method::HEAD, Method::DELETE].contains(method) && !headers.contains_key("tus-resumable");
    let caller = caller.as_ref().ok().filter(|_| asked)?;
    let transfer = state.stores.transfers.transfer(id).await.ok()?;
    if transfer.session.org != caller.org || transfer.direct.is_none() {
        return None;
    }
    if method == Method::DELETE {
        return Some(terminate(state, writers, &transfer).await);
    }
    Some(division_of(&transfer).and_then(|(division, _)| json(StatusCode::OK, &UploadJson::new(&transfer, division))))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Numbers {
    numbers: Vec<u32>,
}

/// Says where parts are put. It moves the end of the session, since its sender is there.
async fn sign(state: &State, caller: Caller, id: UploadId, body: &[u8]) -> Answer {
    let transfer = open_one(state, caller, id).await?;
    let (division, direct) = division_of(&transfer)?;
    let wish: Numbers = parse(body, "an object with numbers: up to 10 numbers of parts")?;
    if wish.numbers.is_empty() || wish.numbers.len() > SIGNED_MAX {
        return Err(ApiError::field("/numbers", "1 to 10 numbers of parts"));
    }
    let store = parts_of(state)?;
    let expires = state.clock.wall() + URL_KEPT;
    let source = ObjectKey::source(transfer.session.asset);
    let ttl_secs = u32::try_from(URL_KEPT.as_secs()).unwrap_or(u32::MAX);
    let mut parts = Vec::with_capacity(wish.numbers.len());
    for number in wish.numbers {
        let bytes = division
            .bytes_of(number)
            .ok_or_else(|| ApiError::field("/numbers", format!("numbers from 1 to {}", division.parts())))?;
        let address = store.part_address(&source, &direct.name, number, bytes, ttl_secs).await?;
        let url = address.unwrap_or_else(|| {
            let signature = hex(&Signed { id, number, bytes, expires }.sign(&direct.secret).finalize().into_bytes());
            let (site, secs) = (state.config.site_url.trim_end_matches('/'), expires.as_secs());
            format!("{site}/v1/uploads/{id}/parts/{number}?bytes={bytes}&expires={secs}&signature={signature}")
        });
        parts.push(value!({ "number": number, "bytes": bytes, "method": "PUT", "url": url }));
    }
    let step = Step::Renew { expires_at: state.clock.wall() + SESSION_KEPT };
    match state.stores.transfers.advance_transfer(id, transfer.epoch, &step).await {
        Ok(_) => {}
        Err(StoreError::Conflict { .. }) => return Err(ApiError::Upload(UploadRefusal::Gone)),
        Err(error) => return Err(error.into()),
    }
    json(StatusCode::OK, &value!({ "parts": parts, "expires_at": expires.to_string() }))
}

/// What the URL of a part says, and its signature vouches for.
struct Signed {
    id: UploadId,
    number: u32,
    bytes: u64,
    expires: Timestamp,
}

impl Signed {
    fn sign(&self, secret: &[u8; 32]) -> Hmac<Sha256> {
        // A key that is shorter than a block is filled up with zeros, as HMAC itself has it.
        let mut block = [0; 64];
        block[..32].copy_from_slice(secret);
        let mut mac = Hmac::<Sha256>::new(&block.into());
        mac.update(b"part of an upload\0");
        mac.update(self.id.as_bytes());
        mac.update(&self.number.to_be_bytes());
        mac.update(&self.bytes.to_be_bytes());
        mac.update(&self.expires.as_secs().to_be_bytes());
        mac
    }

    fn parse(id: UploadId, number: u32, query: &str) -> Result<(Self, Vec<u8>), ApiError> {
        let pairs = query_pairs(query);
        let word = |name: &str| pairs.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
        let number_in = |name: &str| word(name).and_then(|text| text.parse().ok());
        let read = || {
            let (bytes, expires) = (number_in("bytes")?, Timestamp::from_secs(number_in("expires")?));
            Some((Self { id, number, bytes, expires }, from_hex(word("signature")?)?))
        };
        read().ok_or_else(|| ApiError::field("query", "the URL as `POST /v1/uploads/{id}/parts` answered it"))
    }
}

/// Takes a part here, from whoever has its URL.
async fn take(state: &State, id: UploadId, number: u32, query: &str, length: Option<u64>, mut body: Body) -> Answer {
    let judged = admitted(state, id, number, query, length).await;
    let (transfer, bytes) = match judged {
        Ok(judged) => judged,
        Err(error) => {
            drain(&mut body).await;
            return Err(error);
        }
    };
    let source = ObjectKey::source(transfer.session.asset);
    let (_, direct) = division_of(&transfer)?;
    let stored = parts_of(state)?.put_part(&source, &direct.name, number, bytes, lively(body)).await;
    let tag = match stored {
        Ok(tag) => tag,
        Err(StoreError::NotFound { .. }) => return Err(ApiError::Upload(UploadRefusal::Gone)),
        Err(error) => return Err(error.into()),
    };
    let mut response = json(StatusCode::OK, &value!({ "number": number, "etag": tag.as_str() }))?;
    if let Ok(tag) = HeaderValue::from_str(&format!("\"{tag}\"")) {
        response.headers_mut().insert(ETAG, tag);
    }
    Ok(response)
}

async fn admitted(
    state: &State,
    id: UploadId,
    number: u32,
    query: &str,
    length: Option<u64>,
) -> Result<(Transfer, u64), ApiError> {
    let (said, signature) = Signed::parse(id, number, query)?;
    let transfer = state.stores.transfers.transfer(id).await?;
    let direct = transfer.direct.as_ref().ok_or(ApiError::NotFound { what: "upload" })?;
    if said.sign(&direct.secret).verify_slice(&signature).is_err() {
        return Err(ApiError::Upload(UploadRefusal::PartUrl));
    }
    let now = state.clock.wall();
    if now >= said.expires {
        return Err(ApiError::Upload(UploadRefusal::PartUrl));
    }
    must_be_open(state, &transfer).await?;
    if length.is_some_and(|length| length != said.bytes) {
        return Err(ApiError::field("Content-Length", format!("{} bytes, which this part has", said.bytes)));
    }
    Ok((transfer, said.bytes))
}

/// A body that counts as broken when it says nothing for too long.
fn lively(body: Body) -> rend_storage::objects::ObjectBody {
    let broken = || StoreError::BadBody { reason: "the connection ended before the part did".into() };
    futures::stream::unfold(Some(body), move |body| async move {
        let mut body = body?;
        match tokio::time::timeout(BODY_IDLE_MAX, body.next()).await {
            Ok(Some(Ok(chunk))) => Some((Ok(chunk), Some(body))),
            Ok(Some(Err(()))) | Err(_) => Some((Err(broken()), None)),
            Ok(None) => None,
        }
    })
    .boxed()
}

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
async fn complete(state: &State, writers: &Arc<Writers>, caller: Caller, id: UploadId, body: &[u8]) -> Answer {
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
    super::hand_over(state, &transfer).await;
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
async fn shown(state: &State, transfer: &Transfer) -> Answer {
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

/// What an asset fails with whose original has another digest than was announced.
pub(crate) const WRONG_DIGEST: &str = "digest_mismatch";

async fn owned_direct(state: &State, caller: Caller, id: UploadId) -> Result<Transfer, ApiError> {
    let transfer = state.stores.transfers.transfer(id).await?;
    let is_theirs = transfer.session.org == caller.org && transfer.direct.is_some();
    if is_theirs { Ok(transfer) } else { Err(ApiError::NotFound { what: "upload" }) }
}

async fn open_one(state: &State, caller: Caller, id: UploadId) -> Result<Transfer, ApiError> {
    let transfer = owned_direct(state, caller, id).await?;
    must_be_open(state, &transfer).await?;
    Ok(transfer)
}

/// Whether parts may still come.
async fn must_be_open(state: &State, transfer: &Transfer) -> Result<(), ApiError> {
    let session = &transfer.session;
    let is_over = session.state != UploadState::Open || state.clock.wall() >= session.expires_at || transfer.is_whole();
    if is_over || is_asset_gone(state, session.asset).await? {
        return Err(ApiError::Upload(UploadRefusal::Gone));
    }
    Ok(())
}

fn division_of(transfer: &Transfer) -> Result<(Division, &Direct), ApiError> {
    let read = || {
        let direct = transfer.direct.as_ref()?;
        Some((Division::known(transfer.session.bytes_expected?, direct.part_bytes)?, direct))
    };
    read().ok_or(ApiError::NotFound { what: "upload" })
}

fn parts_of(state: &State) -> Result<&dyn PartStore, ApiError> {
    state.stores.objects.parts().ok_or(ApiError::Upload(UploadRefusal::NoParts))
}

fn parse<'b, T: Deserialize<'b>>(body: &'b [u8], right: &str) -> Result<T, ApiError> {
    serde_json::from_slice(body).map_err(|error| ApiError::field("body", format!("{right} ({error})")))
}

fn digest(text: &str) -> Result<[u8; 32], ApiError> {
    let bytes = from_hex(text).and_then(|bytes| bytes.try_into().ok());
    bytes.ok_or_else(|| ApiError::field("/sha256", "64 hexadecimal digits"))
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).ok()).collect()
}
