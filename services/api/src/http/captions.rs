//! `/v1/assets/{id}/captions`: the captions of an asset, each language once.

use std::sync::Arc;

use bytes::Bytes;
use futures::StreamExt;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, StatusCode};
use rend_core::artifact::{CaptionRef, ObjectKey};
use rend_core::asset::{Asset, CAPTION_LABEL_CHARS_MAX, CAPTIONS_MAX, CaptionKind, CaptionOrigin, CaptionRow, Move};
use rend_core::credential::Scope;
use rend_core::id::{AssetId, JobId};
use rend_core::job::{JobKind, NewJob};
use rend_core::language::LangTag;
use rend_core::media::captions::{BYTES_MAX, Captions, Wrong};
use rend_core::time::Timestamp;
use rend_shell::body::{BodyError, capped};
use rend_storage::StoreError;
use rend_storage::assets::Change;
use rend_storage::objects::Put;
use serde::Serialize;
use sha2::{Digest, Sha256};
use warp::filters::BoxedFilter;
use warp::{Filter, Reply};

use crate::auth::{Caller, state_and_caller};
use crate::error::ApiError;
use crate::http::assets::owned;
use crate::http::videos::query_pairs;
use crate::http::{Answer, empty, get, json, raw_query};
use crate::state::State;
use crate::sync::captions::ATTEMPTS_MAX;
use crate::wire::Page;

pub(crate) fn routes(state: &Arc<State>) -> BoxedFilter<(Answer,)> {
    let list = warp::path!("v1" / "assets" / AssetId / "captions")
        .and(get())
        .and(state_and_caller(state, Scope::Read))
        .then(|id, state: Arc<State>, caller: Result<Caller, ApiError>| async move { list(&state, caller?, id).await });
    let show = warp::path!("v1" / "assets" / AssetId / "captions" / String)
        .and(get())
        .and(state_and_caller(state, Scope::Read))
        .then(|id, lang: String, state: Arc<State>, caller: Result<Caller, ApiError>| async move {
            show(&state, caller?, id, &lang).await
        });
    let put = warp::path!("v1" / "assets" / AssetId / "captions" / String)
        .and(warp::put())
        .and(state_and_caller(state, Scope::Upload))
        .and(raw_query())
        .and(capped(BYTES_MAX))
        .then(
            |id,
             lang: String,
             state: Arc<State>,
             caller: Result<Caller, ApiError>,
             query: String,
             body: Result<Bytes, BodyError>| async move { put(&state, caller?, id, &lang, &query, body).await },
        );
    let remove = warp::path!("v1" / "assets" / AssetId / "captions" / String)
        .and(warp::delete())
        .and(state_and_caller(state, Scope::Upload))
        .then(|id, lang: String, state: Arc<State>, caller: Result<Caller, ApiError>| async move {
            remove(&state, caller?, id, &lang).await
        });
    list.or(show).unify().or(put).unify().or(remove).unify().boxed()
}

/// The captions of an asset in one language, as its owner sees them.
#[derive(Serialize)]
pub(crate) struct CaptionsJson {
    lang: String,
    label: String,
    kind: &'static str,
    default: bool,
    origin: &'static str,
    cues: u32,
    state: &'static str,
}

impl CaptionsJson {
    pub(crate) fn new(row: &CaptionRow) -> Self {
        Self {
            lang: row.captions.lang.bcp47(),
            label: row.label.clone(),
            kind: row.kind.as_str(),
            default: row.default,
            origin: row.origin.as_str(),
            cues: row.cues,
            state: if row.published { "published" } else { "stored" },
        }
    }
}

async fn list(state: &State, caller: Caller, id: AssetId) -> Answer {
    let asset = owned(state, caller, id).await?;
    let data = asset.captions.iter().map(CaptionsJson::new).collect();
    json(StatusCode::OK, &Page { data, next_cursor: None })
}

/// The text, in WebVTT whatever it was given in.
async fn show(state: &State, caller: Caller, id: AssetId, lang: &str) -> Answer {
    let asset = owned(state, caller, id).await?;
    let row = asset.captions_in(language(lang)?).ok_or(ApiError::NotFound { what: "captions" })?;
    // They may have been replaced between the two looks.
    let text = read_text(state, id, row.captions).await?;
    let mut response = http::Response::new(text).into_response();
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/vtt; charset=utf-8"));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// What may be said of captions when they are given.
struct Words {
    label: Option<String>,
    kind: CaptionKind,
    default: bool,
}

fn words(query: &str) -> Result<Words, ApiError> {
    let mut words = Words { label: None, kind: CaptionKind::Subtitles, default: false };
    for (name, value) in query_pairs(query) {
        match name.as_str() {
            "label" => {
                let fits = (1..=CAPTION_LABEL_CHARS_MAX).contains(&value.chars().count())
                    && !value.chars().any(char::is_control);
                if !fits {
                    return Err(ApiError::field("label", "1 to 64 characters without control characters"));
                }
                words.label = Some(value);
            }
            "kind" => {
                words.kind = value.parse().map_err(|_| ApiError::field("kind", "`subtitles` or `captions`"))?;
            }
            "default" => {
                words.default = match value.as_str() {
                    "true" | "1" | "" => true,
                    "false" | "0" => false,
                    _ => return Err(ApiError::field("default", "`true` or `false`")),
                };
            }
            other => {
                let known = format!("`{other}` is not known; known are label, kind and default");
                return Err(ApiError::field("query", known));
            }
        }
    }
    Ok(words)
}

fn language(text: &str) -> Result<LangTag, ApiError> {
    LangTag::of(text).map_err(|bad| ApiError::field("lang", bad.to_string()))
}

async fn put(
    state: &State,
    caller: Caller,
    id: AssetId,
    lang: &str,
    query: &str,
    body: Result<Bytes, BodyError>,
) -> Answer {
    let too_large = |bytes_max: usize| ApiError::CaptionsTooLarge { bytes_max: bytes_max as u64 };
    let body = body.map_err(|error| match error {
        BodyError::TooLarge { bytes_max } => too_large(bytes_max),
        BodyError::Cut => error.into(),
    })?;
    let (lang, words) = (language(lang)?, words(query)?);
    let before = owned(state, caller, id).await?;
    let captions = Captions::read(&body).map_err(|bad| {
        if bad.wrong == Wrong::TooLarge { too_large(BYTES_MAX) } else { ApiError::field("body", bad.to_string()) }
    })?;
    let row = CaptionRow {
        captions: CaptionRef { lang, version: u32::from_be_bytes(rend_shell::entropy()) },
        label: words.label.unwrap_or_else(|| lang.name()),
        kind: words.kind,
        default: words.default,
        origin: CaptionOrigin::Given,
        cues: u32::try_from(captions.cues().len()).unwrap_or(u32::MAX),
        published: false,
    };
    if !before.can_take_captions(&row) {
        let detail = format!("an asset has captions in {CAPTIONS_MAX} languages at most; remove others first");
        return Err(ApiError::Conflict { detail });
    }
    // The text is there before anything says so.
    let key = ObjectKey::captions(id, row.captions);
    let text = Bytes::from(captions.to_string());
    let now = state.clock.wall();
    let announced = Put {
        content_type: "text/vtt".into(),
        len: Some(text.len() as u64),
        sha256: Some(Sha256::digest(&text).into()),
        now,
    };
    state.stores.objects.put(&key, announced, futures::stream::once(async move { Ok(text) }).boxed()).await?;
    let name = row.captions;
    let after = match change(state, id, Move::StoreCaptions(row), now).await {
        Ok(after) => after,
        Err(error) => {
            let _ = state.stores.objects.delete(&key).await;
            return Err(error.into());
        }
    };
    forget(state, &before, &after).await;
    let row = after.captions.iter().find(|row| row.captions == name).ok_or(ApiError::NotFound { what: "captions" })?;
    let is_new = before.captions_in(lang).is_none();
    json(if is_new { StatusCode::CREATED } else { StatusCode::OK }, &CaptionsJson::new(row))
}

async fn remove(state: &State, caller: Caller, id: AssetId, lang: &str) -> Answer {
    let lang = language(lang)?;
    let before = owned(state, caller, id).await?;
    if before.captions_in(lang).is_none() {
        return Err(ApiError::NotFound { what: "captions" });
    }
    let after = change(state, id, Move::RemoveCaptions(lang), state.clock.wall()).await?;
    forget(state, &before, &after).await;
    empty(StatusCode::NO_CONTENT)
}

/// Makes the move, and has what viewers see follow it.
async fn change(state: &State, asset: AssetId, step: Move, now: Timestamp) -> Result<Asset, StoreError> {
    let change = Change { asset, expect: None, step, fence: None, enqueue: Some(job(asset, now)), now };
    let after = state.stores.assets.advance(&change).await?;
    state.bus.wake();
    Ok(after)
}

/// The job that publishes what captions `asset` has.
pub(crate) fn job(asset: AssetId, now: Timestamp) -> NewJob {
    let id = JobId::new(now, rend_shell::ten());
    NewJob { id, asset, kind: JobKind::Captions, run_at: now, attempts_max: ATTEMPTS_MAX }
}

/// Deletes the texts that `before` had and `after` has not. One that stays behind goes with its asset.
async fn forget(state: &State, before: &Asset, after: &Asset) {
    for gone in before.captions.iter().filter(|row| after.captions.iter().all(|kept| kept.captions != row.captions)) {
        if let Err(error) = state.stores.objects.delete(&ObjectKey::captions(before.id, gone.captions)).await {
            tracing::warn!(asset = %before.id, captions = %gone.captions, %error, "old captions were not removed");
        }
    }
}

/// The text of captions as it is kept.
pub(crate) async fn read_text(state: &State, asset: AssetId, captions: CaptionRef) -> Result<Bytes, StoreError> {
    let mut object = state.stores.objects.get(&ObjectKey::captions(asset, captions), None).await?;
    let mut all = bytes::BytesMut::new();
    while let Some(chunk) = object.body.next().await {
        all.extend_from_slice(&chunk?);
    }
    Ok(all.freeze())
}
