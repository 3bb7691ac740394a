//! `/v1/assets`: what there is, and what its owner does with it.

use std::sync::Arc;

use bytes::Bytes;
use http::header::ETAG;
use http::{HeaderMap, HeaderValue, StatusCode};
use rend_core::artifact::{ArtifactPath, ObjectKey};
use rend_core::asset::{Asset, Edit, METADATA_BYTES_MAX, Move, SourceState};
use rend_core::credential::Scope;
use rend_core::id::{AssetId, JobId};
use rend_core::job::{JobKind, NewJob};
use rend_shell::body::{BodyError, capped};
use rend_storage::StoreError;
use rend_storage::assets::Change;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use warp::Filter;
use warp::filters::BoxedFilter;

use crate::auth::{Caller, state_and_caller};
use crate::error::ApiError;
use crate::http::conditional::{insisted, tag_of};
use crate::http::videos::{check_external_id, check_title, parse_policy, query_pairs};
use crate::http::{Answer, get, json, raw_query};
use crate::once::{once, once_key};
use crate::state::State;
use crate::wire::{AssetJson, Page, given, hex};

/// Assets on one page, at most.
const PAGE_MAX: usize = 100;
/// Bytes of a change's body, at most.
const PATCH_BYTES_MAX: usize = 16 << 10;
/// Artifacts that are listed, at most: more than a ladder of six rungs over twelve hours has.
const ARTIFACTS_MAX: usize = 100_000;

pub(crate) fn routes(state: &Arc<State>) -> BoxedFilter<(Answer,)> {
    let list = warp::path!("v1" / "assets").and(get()).and(state_and_caller(state, Scope::Read)).and(raw_query()).then(
        |state: Arc<State>, caller: Result<Caller, ApiError>, query: String| async move {
            list(&state, caller?, &query).await
        },
    );
    let show = warp::path!("v1" / "assets" / AssetId)
        .and(get())
        .and(state_and_caller(state, Scope::Read))
        .then(|id, state: Arc<State>, caller: Result<Caller, ApiError>| async move { show(&state, caller?, id).await });
    let edit = warp::path!("v1" / "assets" / AssetId)
        .and(warp::patch())
        .and(state_and_caller(state, Scope::Upload))
        .and(warp::header::headers_cloned())
        .and(capped(PATCH_BYTES_MAX))
        .then(|id, state: Arc<State>, caller: Result<Caller, ApiError>, headers, body: Result<Bytes, BodyError>| async move {
            edit(&state, caller?, id, &headers, &body?).await
        });
    let delete = warp::path!("v1" / "assets" / AssetId)
        .and(warp::delete())
        .and(state_and_caller(state, Scope::Delete))
        .and(warp::header::headers_cloned())
        .then(|id, state: Arc<State>, caller: Result<Caller, ApiError>, headers: HeaderMap| async move {
            delete(&state, caller?, id, &headers).await
        });
    let retry = warp::path!("v1" / "assets" / AssetId / "retry")
        .and(warp::post())
        .and(state_and_caller(state, Scope::Upload))
        .and(once_key())
        .then(
            |id: AssetId, state: Arc<State>, caller: Result<Caller, ApiError>, key: Result<_, ApiError>| async move {
                let (caller, work) = (caller?, Arc::clone(&state));
                let asked: [&[u8]; 2] = [b"retry", id.as_bytes()];
                once(&state, caller.org, key?, &asked, async move { retry(&work, caller, id).await }).await
            },
        );
    let artifacts =
        warp::path!("v1" / "assets" / AssetId / "artifacts")
            .and(get())
            .and(state_and_caller(state, Scope::Read))
            .then(|id, state: Arc<State>, caller: Result<Caller, ApiError>| async move {
                artifacts(&state, caller?, id).await
            });
    list.or(show).unify().or(edit).unify().or(delete).unify().or(retry).unify().or(artifacts).unify().boxed()
}

/// The asset named `id`, if it is the caller's and not gone.
pub(crate) async fn owned(state: &State, caller: Caller, id: AssetId) -> Result<Asset, ApiError> {
    let asset = state.stores.assets.get(id).await?;
    let visible = asset.org == caller.org && asset.source != SourceState::Deleted;
    if visible { Ok(asset) } else { Err(ApiError::NotFound { what: "asset" }) }
}

async fn list(state: &State, caller: Caller, query: &str) -> Answer {
    let mut limit = 50;
    let mut before = None;
    for (name, value) in query_pairs(query) {
        match name.as_str() {
            "limit" => {
                limit = value
                    .parse()
                    .ok()
                    .filter(|limit| (1..=PAGE_MAX).contains(limit))
                    .ok_or_else(|| ApiError::field("limit", "a number from 1 to 100"))?;
            }
            "cursor" => {
                before =
                    Some(value.parse().map_err(|_| ApiError::field("cursor", "the `next_cursor` of an earlier page"))?);
            }
            other => {
                return Err(ApiError::field("query", format!("`{other}` is not known; known are limit and cursor")));
            }
        }
    }
    let mut assets = state.stores.assets.page(caller.org, before, limit + 1).await?;
    let more = assets.len() > limit;
    assets.truncate(limit);
    let next_cursor = assets.last().filter(|_| more).map(|asset| asset.id.to_string());
    let data = assets.iter().map(|asset| AssetJson::new(asset, &state.config.site_url)).collect();
    json(StatusCode::OK, &Page { data, next_cursor })
}

async fn show(state: &State, caller: Caller, id: AssetId) -> Answer {
    let asset = owned(state, caller, id).await?;
    let jobs = state.stores.jobs.of_asset(id).await?;
    let shown = AssetJson::new(&asset, &state.config.site_url).with_jobs(&jobs);
    tagged(json(StatusCode::OK, &shown), &asset)
}

/// What an owner may send to change an asset. A field that is absent stays; a `null` external id is taken away.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Patch {
    #[serde(default, deserialize_with = "given")]
    title: Option<String>,
    #[serde(default, deserialize_with = "given")]
    external_id: Option<Option<String>>,
    #[serde(default, deserialize_with = "given")]
    metadata: Option<Map<String, Value>>,
    #[serde(default, deserialize_with = "given")]
    playback_policy: Option<String>,
}

async fn edit(state: &State, caller: Caller, id: AssetId, headers: &HeaderMap, body: &[u8]) -> Answer {
    let patch: Patch = serde_json::from_slice(body).map_err(|e| {
        ApiError::field("body", format!("a JSON object of title, external_id, metadata and playback_policy ({e})"))
    })?;
    let expect = insisted(headers, &owned(state, caller, id).await?)?;
    let step = Move::Edit(checked(patch)?);
    let change = Change { asset: id, expect, step, fence: None, enqueue: None, now: state.clock.wall() };
    let asset = advance(state, &change).await?;
    state.bus.wake();
    answer(state, StatusCode::OK, &asset)
}

/// Makes a change. One that insists on a revision which has passed meanwhile is told so.
async fn advance(state: &State, change: &Change) -> Result<Asset, ApiError> {
    state.stores.assets.advance(change).await.map_err(|error| {
        let passed = matches!(error, StoreError::Conflict { .. }) && change.expect.is_some();
        if passed { ApiError::Changed } else { error.into() }
    })
}

fn answer(state: &State, status: StatusCode, asset: &Asset) -> Answer {
    tagged(json(status, &AssetJson::new(asset, &state.config.site_url)), asset)
}

fn tagged(answer: Answer, asset: &Asset) -> Answer {
    let mut response = answer?;
    if let Ok(tag) = HeaderValue::from_str(&tag_of(asset)) {
        response.headers_mut().insert(ETAG, tag);
    }
    Ok(response)
}

fn checked(patch: Patch) -> Result<Edit, ApiError> {
    if let Some(title) = &patch.title {
        check_title(title)?;
    }
    if let Some(Some(external_id)) = &patch.external_id {
        check_external_id(external_id)?;
    }
    let metadata = patch.metadata.map(|map| Value::Object(map).to_string());
    if metadata.as_ref().is_some_and(|text| text.len() > METADATA_BYTES_MAX) {
        return Err(ApiError::field("/metadata", "a JSON object of at most 4096 bytes"));
    }
    let policy = patch.playback_policy.map(|word| parse_policy(&word)).transpose()?;
    Ok(Edit { title: patch.title, external_id: patch.external_id, metadata, policy })
}

/// From here on nobody is let in to the asset. Its bytes and what the edges keep of them go after the answer: the event
/// `asset.deleted` says when.
async fn delete(state: &Arc<State>, caller: Caller, id: AssetId, headers: &HeaderMap) -> Answer {
    let expect = insisted(headers, &owned(state, caller, id).await?)?;
    let now = state.clock.wall();
    let job = NewJob {
        id: JobId::new(now, rend_shell::ten()),
        asset: id,
        kind: JobKind::Delete,
        run_at: now,
        attempts_max: crate::sync::delete::ATTEMPTS_MAX,
    };
    let change = Change { asset: id, expect, step: Move::RequestDeletion, fence: None, enqueue: Some(job), now };
    let asset = advance(state, &change).await?;
    state.bus.wake();
    let dispatch = state.dispatch.clone();
    // The order is in the log before the answer, so that an edge which comes back after it reads of it; nobody waits for
    // the edges. The job purges again once the bytes are gone.
    match dispatch.write_purge(id).await {
        Ok(written) => {
            rend_shell::spawn("purge", async move { dispatch.push_purge(written).await });
        }
        Err(error) => {
            tracing::warn!(asset = %id, %error, "a purge could not be written down; the delete job tries again");
        }
    }
    answer(state, StatusCode::ACCEPTED, &asset)
}

async fn retry(state: &State, caller: Caller, id: AssetId) -> Answer {
    let asset = owned(state, caller, id).await?;
    retry_of(state, caller, asset).await
}

/// Has `asset`, as it was read, worked on again.
async fn retry_of(state: &State, caller: Caller, asset: Asset) -> Answer {
    // Asking again for what is under way already changes nothing.
    if is_under_way(&asset) {
        return answer(state, StatusCode::ACCEPTED, &asset);
    }
    let id = asset.id;
    let now = state.clock.wall();
    let job = NewJob {
        id: JobId::new(now, rend_shell::ten()),
        asset: id,
        kind: JobKind::Media,
        run_at: now,
        attempts_max: state.config.job_attempts_max,
    };
    let change =
        Change { asset: id, expect: Some(asset.revision), step: Move::Retry, fence: None, enqueue: Some(job), now };
    let asset = match state.stores.assets.advance(&change).await {
        Ok(asset) => asset,
        // Something changed since it was read. When that was the same wish, it is fulfilled.
        Err(StoreError::Conflict { .. }) => {
            let now = owned(state, caller, id).await?;
            if is_under_way(&now) {
                return answer(state, StatusCode::ACCEPTED, &now);
            }
            let detail = "the asset was changed by somebody else at the same moment; ask again".into();
            return Err(ApiError::Conflict { detail });
        }
        Err(error) => return Err(error.into()),
    };
    state.bus.wake();
    answer(state, StatusCode::ACCEPTED, &asset)
}

fn is_under_way(asset: &Asset) -> bool {
    matches!(asset.source, SourceState::Uploaded | SourceState::Processing)
}

#[derive(Serialize)]
struct ArtifactJson {
    path: String,
    bytes: u64,
    sha256: Option<String>,
    content_type: String,
}

/// What is published of an asset, with digests, so that anybody can compare what an edge serves with what was made.
async fn artifacts(state: &State, caller: Caller, id: AssetId) -> Answer {
    owned(state, caller, id).await?;
    let prefix = ObjectKey::asset_prefix(id);
    let mut data = Vec::new();
    for key in state.stores.objects.list(&prefix, None, ARTIFACTS_MAX).await? {
        let Some(path) = key.as_str().strip_prefix(&prefix).and_then(|path| path.parse::<ArtifactPath>().ok()) else {
            continue;
        };
        match state.stores.objects.head(&key).await {
            Ok(meta) => data.push(ArtifactJson {
                path: path.to_string(),
                bytes: meta.len,
                sha256: meta.sha256.map(|digest| hex(&digest)),
                content_type: meta.content_type,
            }),
            // It went between the listing and the look.
            Err(StoreError::NotFound { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    json(StatusCode::OK, &Page { data, next_cursor: None })
}

#[cfg(test)]
mod tests {
    use rend_core::asset::{Failure, PlaybackPolicy, StoredSource};

    use super::*;
    use crate::config::SOLE_ORG;
    use crate::ingest::rig::Rig;

    #[tokio::test]
    async fn two_who_ask_for_a_retry_at_once_are_both_told_that_it_is_under_way_and_one_job_does_it() {
        let rig = Rig::new();
        let (state, caller) = (&rig.state, Caller { org: SOLE_ORG });
        let now = state.clock.wall();
        let id = AssetId::new(now, rend_shell::ten());
        state
            .stores
            .assets
            .create(&Asset::new(id, SOLE_ORG, "film".into(), PlaybackPolicy::Public, now))
            .await
            .unwrap();
        let broken = Failure { code: "test".into(), detail: "a test".into() };
        let stored = Move::SourceStored(StoredSource { bytes: 4, sha256: [0; 32] });
        for step in [Move::BeginUpload, stored, Move::Fail(broken)] {
            let change = Change { asset: id, expect: None, step, fence: None, enqueue: None, now };
            state.stores.assets.advance(&change).await.unwrap();
        }
        // Both have read the asset before either has changed it.
        let read = owned(state, caller, id).await.unwrap();
        for _ in 0..2 {
            assert_eq!(retry_of(state, caller, read.clone()).await.unwrap().status(), StatusCode::ACCEPTED);
        }
        assert_eq!(state.stores.jobs.of_asset(id).await.unwrap().len(), 1);

        // A change that was another wish is told as what it is.
        let edit = Move::Edit(Edit { title: Some("other".into()), ..Edit::default() });
        let failed = Move::Fail(Failure { code: "test".into(), detail: "again".into() });
        for step in [failed, edit] {
            let change = Change { asset: id, expect: None, step, fence: None, enqueue: None, now };
            state.stores.assets.advance(&change).await.unwrap();
        }
        let refused = retry_of(state, caller, read).await;
        assert!(matches!(refused, Err(ApiError::Conflict { .. })));
    }
}
