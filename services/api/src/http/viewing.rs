//! What players tell of their views, and what that comes to for the owner.
//!
//! A player is known by the ticket that its bootstrap gave it: organisation, asset and the beginning of the view stand in
//! there, signed, and nothing that a body says changes them. Nothing that comes in here bills anybody.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, StatusCode, header};
use rend_core::credential::Scope;
use rend_core::id::{AssetId, EdgeId, OrgId};
use rend_core::time::Timestamp;
use rend_core::viewing::{Claim, Device, Figures, LiveViews, PlayerEvent, Slice, VIEW_FOR, View, ViewPart, Viewing};
use rend_shell::body::{BodyError, capped};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use warp::Filter;
use warp::filters::BoxedFilter;

use crate::auth::{Caller, state_and_caller};
use crate::error::ApiError;
use crate::http::{Answer, get, json, with_state};
use crate::state::State;

/// Bytes of what a player tells at once, at most.
const BODY_BYTES_MAX: usize = 16 << 10;
/// Events that a player tells at once, at most.
const EVENTS_MAX: usize = 50;
/// Parts of views that are read at a time.
const PAGE: usize = 2000;
/// Parts of views that an answer is made of, at most: of more it says that it left some out.
const PARTS_MAX: usize = 200_000;
/// Assets that an answer names.
const TOP: usize = 10;

pub(crate) fn routes(state: &Arc<State>) -> BoxedFilter<(Answer,)> {
    let told = warp::path!("v1" / "player" / "events")
        .and(warp::post())
        .and(with_state(state))
        .and(warp::header::headers_cloned())
        .and(capped(BODY_BYTES_MAX))
        .then(|state: Arc<State>, headers: HeaderMap, body: Result<Bytes, BodyError>| async move {
            told(&state, &headers, &body?).await
        });
    let live = warp::path!("v1" / "analytics" / "live")
        .and(get())
        .and(state_and_caller(state, Scope::Analytics))
        .then(|state: Arc<State>, caller: Result<Caller, ApiError>| async move { live(&state, caller?).await });
    told.or(live).unify().boxed()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Told<'b> {
    ticket: &'b str,
    #[serde(borrow)]
    events: Vec<&'b RawValue>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EventIn<'b> {
    seq: u32,
    /// Milliseconds since the view began.
    at_ms: u64,
    phase: &'b str,
    #[serde(default)]
    startup_ms: Option<u32>,
    #[serde(default)]
    playing_ms: u32,
    #[serde(default)]
    stalled_ms: u32,
    #[serde(default)]
    rung: Option<&'b str>,
    #[serde(default)]
    edge: Option<&'b str>,
}

impl<'b> EventIn<'b> {
    fn claim(&self) -> Claim<'b> {
        Claim {
            seq: self.seq,
            at_ms: self.at_ms,
            phase: self.phase,
            startup_ms: self.startup_ms,
            playing_ms: self.playing_ms,
            stalled_ms: self.stalled_ms,
            rung: self.rung,
            edge: self.edge,
        }
    }
}

#[derive(Serialize)]
struct Taken {
    taken: usize,
    rejected: Vec<RejectedJson>,
}

#[derive(Serialize)]
struct RejectedJson {
    index: usize,
    reason: String,
}

/// One bad event never rejects the others: it is answered by its place.
async fn told(state: &State, headers: &HeaderMap, body: &[u8]) -> Answer {
    from_a_page_of_ours(state, headers)?;
    let shape = || ApiError::field("body", "a JSON object with `ticket` and `events`");
    let read: Told<'_> = serde_json::from_slice(body).map_err(|_| shape())?;
    if read.events.len() > EVENTS_MAX {
        return Err(ApiError::field("events", format!("at most {EVENTS_MAX} events")));
    }
    let now = state.clock.wall();
    let view = state.view_tickets.read(read.ticket).filter(|view| view.is_heard(now));
    let view = view.ok_or_else(|| {
        let hours = VIEW_FOR.as_secs() / 3600;
        ApiError::field("ticket", format!("the ticket of a bootstrap of the last {hours} hours"))
    })?;
    let agent = headers.get(header::USER_AGENT).and_then(|agent| agent.to_str().ok()).unwrap_or("");
    let device = Device::of_agent(agent);
    let (mut events, mut rejected) = (Vec::new(), Vec::new());
    for (index, raw) in read.events.iter().enumerate() {
        match event(raw.get(), &view, device, now) {
            Ok(event) => events.push(event),
            Err(reason) => rejected.push(RejectedJson { index, reason }),
        }
    }
    state.stores.analytics.record_player(&events, now).await?;
    json(StatusCode::OK, &Taken { taken: events.len(), rejected })
}

fn event(text: &str, view: &View, device: Device, now: Timestamp) -> Result<PlayerEvent, String> {
    let read: EventIn<'_> = serde_json::from_str(text).map_err(|_| "not an event".to_owned())?;
    view.believe(&read.claim(), device, now).map_err(|why| why.to_string())
}

/// Refuses what another origin's page sends. What says no origin is no page.
fn from_a_page_of_ours(state: &State, headers: &HeaderMap) -> Result<(), ApiError> {
    let Some(origin) = headers.get(header::ORIGIN) else { return Ok(()) };
    let site = state.config.site_url.parse::<rend_core::url::BaseUrl>();
    let is_site = site.is_ok_and(|site| site.origin().as_bytes() == origin.as_bytes());
    let listed = state.config.cors_origins.iter().any(|known| known.as_bytes() == origin.as_bytes());
    // `rend up` is reached by more names than one, and a page that it served itself asks it by the same.
    let own = headers.get(header::HOST).and_then(|host| host.to_str().ok()).is_some_and(|host| {
        origin.to_str().is_ok_and(|origin| origin.split_once("://").is_some_and(|(_, name)| name == host))
    });
    if is_site || listed || own { Ok(()) } else { Err(ApiError::field("Origin", "an origin of this deployment")) }
}

/// What the views of `org` come to, and whether all of them were read.
pub(crate) async fn figures(
    state: &State,
    org: OrgId,
    from: Timestamp,
    until: Timestamp,
    regions: BTreeMap<EdgeId, String>,
) -> Result<ViewingJson, ApiError> {
    let mut viewing = Viewing::of_fleet(regions);
    let complete = each_part(state, org, from, until, |part| viewing.add(part)).await?;
    Ok(ViewingJson::new(viewing.figures(TOP), complete))
}

/// Shows `take` the parts of what `org` had watched, in the order of their places, and answers whether those were all.
async fn each_part(
    state: &State,
    org: OrgId,
    from: Timestamp,
    until: Timestamp,
    mut take: impl FnMut(&ViewPart) + Send,
) -> Result<bool, ApiError> {
    let (mut read, mut last) = (0, None);
    loop {
        let page = state.stores.analytics.views(org, from, until, last.as_ref(), PAGE).await?;
        page.iter().for_each(&mut take);
        read += page.len();
        last = page.last().map(ViewPart::key);
        let is_last = page.len() < PAGE;
        if is_last || read >= PARTS_MAX {
            return Ok(is_last);
        }
    }
}

#[derive(Serialize)]
pub(crate) struct ViewingJson {
    views: u64,
    unique_viewers: u64,
    watch_ms: u64,
    startup_p50_ms: Option<u32>,
    startup_p95_ms: Option<u32>,
    startup_success: Option<f64>,
    rebuffer_ratio: Option<f64>,
    exits_before_start: u64,
    failures_before_start: u64,
    failures: u64,
    by_device: BTreeMap<&'static str, SliceJson>,
    by_edge: BTreeMap<String, SliceJson>,
    by_region: BTreeMap<String, SliceJson>,
    watch_ms_by_rung: BTreeMap<String, u64>,
    top_assets: Vec<WatchedJson>,
    complete: bool,
}

#[derive(Serialize)]
struct SliceJson {
    views: u64,
    watch_ms: u64,
}

#[derive(Serialize)]
struct WatchedJson {
    asset_id: String,
    views: u64,
    watch_ms: u64,
}

impl ViewingJson {
    fn new(figures: Figures, complete: bool) -> Self {
        let slice = |slice: Slice| SliceJson { views: slice.views, watch_ms: slice.watch_ms };
        let watched = |(asset, slice): (AssetId, Slice)| WatchedJson {
            asset_id: asset.to_string(),
            views: slice.views,
            watch_ms: slice.watch_ms,
        };
        Self {
            views: figures.views,
            unique_viewers: figures.viewers,
            watch_ms: figures.watch_ms,
            startup_p50_ms: figures.startup_p50_ms,
            startup_p95_ms: figures.startup_p95_ms,
            startup_success: figures.startup_success,
            rebuffer_ratio: figures.rebuffer_ratio,
            exits_before_start: figures.exits_before_start,
            failures_before_start: figures.failures_before_start,
            failures: figures.failures,
            by_device: figures.by_device.into_iter().map(|(device, of)| (device.as_str(), slice(of))).collect(),
            by_edge: figures.by_edge.into_iter().map(|(edge, of)| (edge, slice(of))).collect(),
            by_region: figures.by_region.into_iter().map(|(region, of)| (region, slice(of))).collect(),
            watch_ms_by_rung: figures.by_rung,
            top_assets: figures.top_assets.into_iter().map(watched).collect(),
            complete,
        }
    }
}

#[derive(Serialize)]
struct LiveJson {
    views: u64,
    assets: Vec<LiveAssetJson>,
}

#[derive(Serialize)]
struct LiveAssetJson {
    asset_id: String,
    views: u64,
}

/// Views that spoke lately and have not ended.
async fn live(state: &State, caller: Caller) -> Answer {
    let (from, until) = LiveViews::window(state.clock.wall());
    let mut views = LiveViews::default();
    each_part(state, caller.org, from, until, |part| views.add(part)).await?;
    let live = views.figures(TOP);
    let asset = |(asset, views): (AssetId, u64)| LiveAssetJson { asset_id: asset.to_string(), views };
    json(StatusCode::OK, &LiveJson { views: live.views, assets: live.top_assets.into_iter().map(asset).collect() })
}
