//! Originals in pieces, as tus 1.0 sends them: its headers, read and written.

use std::sync::Arc;

use http::header::{CACHE_CONTROL, LOCATION};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use rend_core::id::UploadId;
use rend_core::upload::UploadState;
use rend_core::upload::transfer::Transfer;
use rend_core::upload::tus::{
    ALGORITHMS, BadHeader, Checksum, EXTENSIONS, Metadata, Piece, VERSION, Verdict, judge, number,
};
use warp::Reply;
use warp::reply::Response;

use super::end::terminate;
use super::open::{Ask, key, open};
use super::piece::{add, hand_over, is_asset_gone};
use super::writers::Writers;
use super::{Body, text};
use crate::auth::Caller;
use crate::error::{ApiError, UploadRefusal};
use crate::http::Answer;
use crate::http::videos::{Words, drain, new_asset};
use crate::state::State;

/// The media type of a piece.
pub(super) const PIECE: &str = "application/offset+octet-stream";
const TUS_RESUMABLE: HeaderName = HeaderName::from_static("tus-resumable");
const TUS_VERSION: HeaderName = HeaderName::from_static("tus-version");
const UPLOAD_OFFSET: HeaderName = HeaderName::from_static("upload-offset");
const UPLOAD_EXPIRES: HeaderName = HeaderName::from_static("upload-expires");
const ASSET_ID: HeaderName = HeaderName::from_static("rend-asset-id");

pub(super) async fn to_collection(
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
    // All that is said of the first piece is read before anything is written down: a piece that can not be understood
    // would otherwise leave an upload behind that nobody knows of.
    let begun = async {
        if method != Method::POST {
            return Err(ApiError::Method);
        }
        let caller = caller?;
        spoken(headers)?;
        let first = first_piece(headers)?;
        Ok((begin(state, caller, headers).await?, first))
    };
    let (mut transfer, first) = match begun.await {
        Ok(begun) => begun,
        Err(error) => {
            drain(&mut body).await;
            return Err(error);
        }
    };
    let id = transfer.session.id;
    let mut response = StatusCode::CREATED.into_response();
    if let Some((piece, checksum)) = first {
        let received = if transfer.received > 0 {
            // A repeat brings the first piece again. What is there already is not stored twice.
            drain(&mut body).await;
            Some(transfer.received)
        } else {
            let added = add(state, writers, id, piece, checksum, body).await;
            if let Err(ApiError::Store(error)) = &added {
                tracing::error!(upload = %id, %error, "a store failed while a piece came with its upload");
            }
            // Whatever became of the piece, the upload is there, and its sender has to hear where: it goes on from what is
            // durable. Where that can not be told now, it asks.
            let stands = state.stores.transfers.transfer(id).await.ok();
            let received = added.ok().or_else(|| stands.as_ref().map(|stands| stands.received));
            transfer = stands.unwrap_or(transfer);
            received
        };
        if let Some(received) = received {
            response.headers_mut().insert(UPLOAD_OFFSET, received.into());
        }
    }
    let headers = response.headers_mut();
    if let Ok(location) = HeaderValue::from_str(&format!("/v1/uploads/{id}")) {
        headers.insert(LOCATION, location);
    }
    name(headers, &transfer);
    Ok(response)
}

pub(super) async fn to_one(
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

/// Some clients can only send GET and POST, and say otherwise what they mean.
pub(super) fn overridden(method: Method, headers: &HeaderMap) -> Method {
    let meant = text(headers, "x-http-method-override").and_then(|name| Method::from_bytes(name.as_bytes()).ok());
    match meant {
        Some(meant) if method == Method::POST => meant,
        _ => method,
    }
}

/// Every answer names the version of the protocol, also one that refuses.
pub(super) fn as_tus(answer: Answer) -> Answer {
    match answer {
        Ok(mut response) => {
            response.headers_mut().insert(TUS_RESUMABLE, HeaderValue::from_static(VERSION));
            Ok(response)
        }
        Err(error) => Err(ApiError::Tus(Box::new(error))),
    }
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

/// What the headers of a creation say of a piece that comes with it, if one does.
fn first_piece(headers: &HeaderMap) -> Result<Option<(Piece, Option<Checksum>)>, ApiError> {
    if text(headers, "content-type") != Some(PIECE) {
        return Ok(None);
    }
    Ok(Some((Piece { offset: 0, bytes: length(headers)? }, checksum(headers)?)))
}

/// Whether the request speaks the protocol's version.
fn spoken(headers: &HeaderMap) -> Result<(), ApiError> {
    if text(headers, "tus-resumable") == Some(VERSION) { Ok(()) } else { Err(ApiError::Upload(UploadRefusal::Version)) }
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
