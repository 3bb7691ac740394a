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
use http::header::LOCATION;
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use rend_core::artifact::ObjectKey;
use rend_core::credential::Scope;
use rend_core::id::UploadId;
use rend_core::upload::UploadState;
use rend_core::upload::parts::Division;
use rend_core::upload::transfer::{Direct, Transfer};
use rend_core::upload::tus::Metadata;
use rend_shell::body::{BodyError, capped};
use rend_storage::StoreError;
use rend_storage::multipart::PartStore;
use serde::{Deserialize, Serialize};
use warp::Filter;
use warp::filters::BoxedFilter;

use super::end::terminate;
use super::piece::is_asset_gone;
use super::writers::Writers;
use super::{Ask, Body, key, open, pieces, text};
use crate::auth::{Caller, state_and_caller};
use crate::error::{ApiError, UploadRefusal};
use crate::http::videos::{Words, new_asset};
use crate::http::{Answer, json, raw_query, with_state};
use crate::ingest::source::OCTETS;
use crate::state::State;

mod part;
#[cfg(test)]
mod tests;
mod whole;

use part::{sign, take};
use whole::complete;

/// Bytes of a wish, at most.
const WISH_BYTES_MAX: usize = 16 << 10;
/// Bytes of a list of parts, at most: ten thousand of them, each with the longest tag.
const LIST_BYTES_MAX: usize = 2 << 20;
/// What an asset fails with whose original has another digest than was announced.
pub(crate) const WRONG_DIGEST: &str = "digest_mismatch";
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
    let kind = text(headers, "content-type").unwrap_or_default().split(';').next().unwrap_or_default();
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

fn from_hex(text: &str) -> Option<Vec<u8>> {
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).ok()).collect()
}
