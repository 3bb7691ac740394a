//! `/v1/assets/{id}/downloads`: renditions as ordinary files, each of them once.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use rend_core::artifact::{ArtifactPath, ObjectKey, Rendition};
use rend_core::asset::{Asset, DownloadRow, DownloadState, Move, PlayableState};
use rend_core::credential::Scope;
use rend_core::id::{AssetId, JobId};
use rend_core::job::{JobKind, NewJob};
use rend_core::routing::{Route, Viewer};
use rend_shell::body::{BodyError, capped};
use rend_storage::StoreError;
use rend_storage::assets::Change;
use rend_token::TokenBuf;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json as value};
use warp::Filter;
use warp::filters::BoxedFilter;

use crate::auth::{Caller, state_and_caller};
use crate::error::ApiError;
use crate::http::assets::owned;
use crate::http::player::{download_url, routes_for, unsigned};
use crate::http::{Answer, empty, get, json};
use crate::state::State;
use crate::tickets::DOWNLOAD_TTL_SECS;
use crate::wire::Page;

/// Bytes of a wish, at most.
const WISH_BYTES_MAX: usize = 1024;

pub(crate) fn routes(state: &Arc<State>) -> BoxedFilter<(Answer,)> {
    let list = warp::path!("v1" / "assets" / AssetId / "downloads")
        .and(get())
        .and(state_and_caller(state, Scope::Read))
        .then(|id, state: Arc<State>, caller: Result<Caller, ApiError>| async move { list(&state, caller?, id).await });
    let ask = warp::path!("v1" / "assets" / AssetId / "downloads")
        .and(warp::post())
        .and(state_and_caller(state, Scope::Upload))
        .and(capped(WISH_BYTES_MAX))
        .then(|id, state: Arc<State>, caller: Result<Caller, ApiError>, body: Result<Bytes, BodyError>| async move {
            ask(&state, caller?, id, &body?).await
        });
    let remove = warp::path!("v1" / "assets" / AssetId / "downloads" / String)
        .and(warp::delete())
        .and(state_and_caller(state, Scope::Upload))
        .then(|id, rung: String, state: Arc<State>, caller: Result<Caller, ApiError>| async move {
            remove(&state, caller?, id, &rung).await
        });
    list.or(ask).unify().or(remove).unify().boxed()
}

/// A download, as the asset's owner sees it.
#[derive(Serialize)]
struct DownloadJson {
    rung: String,
    state: &'static str,
    bytes: Option<u64>,
    error: Option<Value>,
    url: Option<String>,
    expires_at: Option<String>,
    viewer_url: Option<String>,
}

impl DownloadJson {
    /// `site` is where viewers come to.
    fn new(row: &DownloadRow, links: Option<&Links>, site: &str) -> Self {
        let (bytes, error) = match &row.state {
            DownloadState::Pending => (None, None),
            DownloadState::Ready { bytes } => (Some(*bytes), None),
            DownloadState::Failed(failure) => (None, Some(value!({ "code": failure.code, "detail": failure.detail }))),
        };
        let links = links.filter(|_| bytes.is_some());
        Self {
            rung: row.rendition.to_string(),
            state: row.state.as_str(),
            bytes,
            error,
            url: links.map(|links| links.to(row.rendition)),
            expires_at: links.map(|links| links.expires_at.clone()),
            viewer_url: links.map(|links| format!("{site}/api/player/{}/downloads/{}.mp4", links.asset, row.rendition)),
        }
    }
}

/// The right to fetch what an asset has for download, and where.
struct Links {
    asset: AssetId,
    edge: Route,
    token: TokenBuf,
    expires_at: String,
}

impl Links {
    /// None while nothing is there, or the asset is out of service.
    async fn of(state: &State, asset: &Asset) -> Result<Option<Self>, ApiError> {
        let is_there = asset.downloads.iter().any(|row| matches!(row.state, DownloadState::Ready { .. }));
        if !is_there {
            return Ok(None);
        }
        // The time of issue is from before the look, so that what suspends the asset meanwhile ends what is issued here.
        let now = state.clock.wall();
        if state.stores.suspensions.suspension(asset.id).await?.is_some() {
            return Ok(None);
        }
        let token = state.tickets.download(asset, now).map_err(unsigned)?;
        let edges = routes_for(state, &Viewer::default(), asset.id, None).await?;
        let expires_at = (now + Duration::from_secs(DOWNLOAD_TTL_SECS.into())).to_string();
        Ok(edges.into_iter().next().map(|edge| Self { asset: asset.id, edge, token, expires_at }))
    }

    fn to(&self, rendition: Rendition) -> String {
        download_url(&self.edge, self.asset, &self.token, rendition)
    }
}

async fn list(state: &State, caller: Caller, id: AssetId) -> Answer {
    let asset = owned(state, caller, id).await?;
    let links = Links::of(state, &asset).await?;
    let data =
        asset.downloads.iter().map(|row| DownloadJson::new(row, links.as_ref(), &state.config.site_url)).collect();
    json(StatusCode::OK, &Page { data, next_cursor: None })
}

/// What may be said of a download when it is asked for.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wish {
    #[serde(default)]
    rung: Option<String>,
}

async fn ask(state: &State, caller: Caller, id: AssetId, body: &[u8]) -> Answer {
    let asset = owned(state, caller, id).await?;
    let wish: Wish = if body.is_empty() {
        Wish::default()
    } else {
        // A list would fill the fields in their order, which nobody means.
        serde_json::from_slice::<Map<String, Value>>(body)
            .and_then(|wish| serde_json::from_value(Value::Object(wish)))
            .map_err(|error| ApiError::field("body", format!("a JSON object of rung, or nothing ({error})")))?
    };
    let Some(usual) = asset.usual_download() else { return Err(not_ready(asset)) };
    let rendition = wish.rung.as_deref().map_or(Ok(usual), |rung| chosen(&asset, rung))?;
    let now = state.clock.wall();
    let job = NewJob {
        id: JobId::new(now, rend_shell::ten()),
        asset: id,
        kind: JobKind::Download,
        run_at: now,
        attempts_max: state.config.job_attempts_max,
    };
    let step = Move::RequestDownload(rendition);
    let change = Change { asset: id, expect: None, step, fence: None, enqueue: Some(job), now };
    match state.stores.assets.advance(&change).await {
        Ok(_) => state.bus.wake(),
        // It is there, or waited for.
        Err(StoreError::Illegal(_)) => {}
        Err(error) => return Err(error.into()),
    }
    let asset = owned(state, caller, id).await?;
    let row = asset.download(rendition).ok_or(ApiError::NotFound { what: "download" })?;
    let is_there = matches!(row.state, DownloadState::Ready { .. });
    let links = Links::of(state, &asset).await?;
    json(
        if is_there { StatusCode::OK } else { StatusCode::ACCEPTED },
        &DownloadJson::new(row, links.as_ref(), &state.config.site_url),
    )
}

/// The rendition that `rung` names, if it can be downloaded.
fn chosen(asset: &Asset, rung: &str) -> Result<Rendition, ApiError> {
    let all = asset.downloadable();
    all.iter().copied().find(|rendition| rendition.to_string() == rung).ok_or_else(|| {
        let names: Vec<String> = all.iter().map(Rendition::to_string).collect();
        ApiError::field("/rung", format!("one of {}", names.join(", ")))
    })
}

fn not_ready(asset: Asset) -> ApiError {
    if asset.playable == PlayableState::Failed {
        ApiError::Unavailable(Box::new(asset))
    } else {
        ApiError::NotPlayable(Box::new(asset))
    }
}

/// From here on nobody is told where it is. The file goes before the edges are told to forget it, so that none fetches it
/// again.
async fn remove(state: &State, caller: Caller, id: AssetId, rung: &str) -> Answer {
    let asset = owned(state, caller, id).await?;
    let row = rung.parse().ok().and_then(|rendition| asset.download(rendition));
    let rendition = row.map(|row| row.rendition).ok_or(ApiError::NotFound { what: "download" })?;
    let step = Move::RemoveDownload(rendition);
    let change = Change { asset: id, expect: None, step, fence: None, enqueue: None, now: state.clock.wall() };
    match state.stores.assets.advance(&change).await {
        Ok(_) => {}
        Err(StoreError::Illegal(_)) => return Err(ApiError::NotFound { what: "download" }),
        Err(error) => return Err(error.into()),
    }
    let path = ArtifactPath::Download(rendition);
    state.stores.objects.delete(&ObjectKey::artifact(id, path)).await?;
    state.bus.wake();
    let dispatch = state.dispatch.clone();
    rend_shell::spawn("purge", async move { dispatch.purge_artifact(id, path).await });
    empty(StatusCode::NO_CONTENT)
}
