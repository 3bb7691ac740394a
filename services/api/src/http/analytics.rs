//! What was served, as its owner may ask.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use rend_core::analytics::{PlaybackReport, Served};
use rend_core::credential::Scope;
use rend_core::id::{AssetId, EdgeId};
use rend_core::viewing::NO_REGION;
use serde::Serialize;
use warp::Filter;
use warp::filters::BoxedFilter;

use crate::auth::{Caller, state_and_caller};
use crate::error::ApiError;
use crate::http::assets::owned;
use crate::http::videos::query_pairs;
use crate::http::viewing::{ViewingJson, figures};
use crate::http::{Answer, get, json, raw_query};
use crate::state::State;

/// The window when none is asked for: a day.
const WINDOW_SECS: u64 = 86_400;
/// The longest window: a week.
const WINDOW_SECS_MAX: u64 = 604_800;
/// The longest window of an overview: ninety days, for which what was recorded is kept.
const OVERVIEW_SECS_MAX: u64 = 90 * 86_400;
/// Assets that an overview names.
const TOP: usize = 10;

pub(crate) fn routes(state: &Arc<State>) -> BoxedFilter<(Answer,)> {
    let playback = warp::path!("v1" / "assets" / AssetId / "analytics" / "playback")
        .and(get())
        .and(state_and_caller(state, Scope::Analytics))
        .and(raw_query())
        .then(|id, state: Arc<State>, caller: Result<Caller, ApiError>, query: String| async move {
            playback(&state, caller?, id, &query).await
        });
    let overview = warp::path!("v1" / "analytics" / "overview")
        .and(get())
        .and(state_and_caller(state, Scope::Analytics))
        .and(raw_query())
        .then(|state: Arc<State>, caller: Result<Caller, ApiError>, query: String| async move {
            overview(&state, caller?, &query).await
        });
    playback.or(overview).unify().boxed()
}

#[derive(Serialize)]
struct ReportJson {
    #[serde(skip_serializing_if = "Option::is_none")]
    asset_id: Option<String>,
    window_seconds: u64,
    requests: u64,
    bytes: u64,
    sessions: u64,
    by_cache: BTreeMap<&'static str, u64>,
    by_status: BTreeMap<String, u64>,
    first_seen: Option<String>,
    last_seen: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_assets: Option<Vec<Self>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hit_ratio: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    served: Option<ServedJson>,
    #[serde(skip_serializing_if = "Option::is_none")]
    viewing: Option<ViewingJson>,
}

impl ReportJson {
    fn new(asset: Option<AssetId>, window_seconds: u64, report: &PlaybackReport) -> Self {
        Self {
            asset_id: asset.map(|id| id.to_string()),
            window_seconds,
            requests: report.requests,
            bytes: report.bytes,
            sessions: report.sessions,
            by_cache: report.by_cache.iter().map(|(status, count)| (status.as_str(), *count)).collect(),
            by_status: report.by_status.iter().map(|(status, count)| (status.to_string(), *count)).collect(),
            first_seen: report.first_seen.map(|at| at.to_string()),
            last_seen: report.last_seen.map(|at| at.to_string()),
            top_assets: None,
            hit_ratio: None,
            served: None,
            viewing: None,
        }
    }
}

/// What was served by whom, and of what.
#[derive(Default, Serialize)]
struct ServedJson {
    by_region: BTreeMap<String, ShareJson>,
    by_edge: BTreeMap<String, ShareJson>,
    by_rung: BTreeMap<String, ShareJson>,
}

#[derive(Default, Serialize)]
struct ShareJson {
    requests: u64,
    bytes: u64,
}

impl ServedJson {
    fn new(parts: &[Served], regions: &BTreeMap<EdgeId, String>) -> Self {
        let mut served = Self::default();
        for part in parts {
            let region = regions.get(&part.node).map_or(NO_REGION, String::as_str);
            let rung = part.rung.map_or_else(|| NO_SEGMENT.to_owned(), |rung| rung.to_string());
            for share in [
                served.by_region.entry(region.to_owned()).or_default(),
                served.by_edge.entry(part.node.to_string()).or_default(),
                served.by_rung.entry(rung).or_default(),
            ] {
                share.requests += part.requests;
                share.bytes = share.bytes.saturating_add(part.bytes);
            }
        }
        served
    }
}

/// What stands for the rendition of what is no segment: playlists, stills and the like.
const NO_SEGMENT: &str = "other";

/// In which region each edge stands that ever registered, as it said last.
async fn regions(state: &State) -> Result<BTreeMap<EdgeId, String>, ApiError> {
    Ok(state.stores.edges.all().await?.into_iter().map(|row| (row.id, row.region)).collect())
}

async fn playback(state: &State, caller: Caller, id: AssetId, query: &str) -> Answer {
    owned(state, caller, id).await?;
    let window = window(query, WINDOW_SECS_MAX)?;
    let until = state.clock.wall() + Duration::from_millis(1);
    let report = state.stores.analytics.playback(id, until - Duration::from_secs(window), until).await?;
    json(StatusCode::OK, &ReportJson::new(Some(id), window, &report))
}

async fn overview(state: &State, caller: Caller, query: &str) -> Answer {
    let window = window(query, OVERVIEW_SECS_MAX)?;
    let until = state.clock.wall() + Duration::from_millis(1);
    let from = until - Duration::from_secs(window);
    let (report, top) = state.stores.analytics.overview(caller.org, from, until, TOP).await?;
    let mut json_report = ReportJson::new(None, window, &report);
    json_report.top_assets = Some(top.iter().map(|(id, report)| ReportJson::new(Some(*id), window, report)).collect());
    json_report.hit_ratio = report.hit_ratio();
    let regions = regions(state).await?;
    let parts = state.stores.analytics.served(caller.org, from, until).await?;
    json_report.served = Some(ServedJson::new(&parts, &regions));
    json_report.viewing = Some(figures(state, caller.org, from, until, regions).await?);
    json(StatusCode::OK, &json_report)
}

fn window(query: &str, secs_max: u64) -> Result<u64, ApiError> {
    let mut window = WINDOW_SECS;
    for (name, value) in query_pairs(query) {
        if name != "window_seconds" {
            return Err(ApiError::field("query", format!("`{name}` is not known; known is window_seconds")));
        }
        window =
            value.parse().ok().filter(|secs| (1..=secs_max).contains(secs)).ok_or_else(|| {
                ApiError::field("window_seconds", format!("a number of seconds from 1 to {secs_max}"))
            })?;
    }
    Ok(window)
}
