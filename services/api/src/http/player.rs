//! Bootstrap: from an asset's name to URLs that play, and the right to fetch them.

use std::sync::Arc;
use std::time::Duration;

use http::header::{CACHE_CONTROL, COOKIE, HOST, LOCATION, SET_COOKIE};
use http::{HeaderMap, HeaderValue, StatusCode};
use rend_core::artifact::{ArtifactPath, Rendition};
use rend_core::asset::{Asset, DownloadRow, DownloadState, SourceState};
use rend_core::credential::Scope;
use rend_core::id::{AssetId, RequestId};
use rend_core::language::LangTag;
use rend_core::playback::bootstrap::{Admission, PlaybackUrl, Terms, admit};
use rend_core::playback::scope::{self, Transport};
use rend_core::routing::{EDGE_SELECTED, EdgeSelected, Route, RouteTable, Viewer, decide, health, in_region};
use rend_core::suspension::Entry;
use rend_core::time::Timestamp;
use rend_core::viewing::View;
use rend_token::TokenBuf;
use rend_token::transport::{CookieDomain, CookieSite};
use serde::Serialize;
use serde_json::json as value;
use warp::Filter;
use warp::filters::BoxedFilter;

use crate::auth::{Caller, state_and_caller};
use crate::clips::{self, ClipWish};
use crate::error::ApiError;
use crate::http::assets::owned;
use crate::http::videos::query_pairs;
use crate::http::{Answer, REQUEST_ID, empty, get, json, raw_query, with_state};
use crate::patience::{WAIT_MAX, until_playable};
use crate::state::State;
use crate::tickets::{self, BOOTSTRAP_TTL_SECS, Session, session_cookies};

pub(crate) fn routes(state: &Arc<State>) -> BoxedFilter<(Answer,)> {
    let browsers = warp::path!("api" / "player" / AssetId)
        .and(get())
        .and(with_state(state))
        .and(raw_query())
        .and(warp::header::headers_cloned())
        .then(|id, state: Arc<State>, query: String, headers: HeaderMap| async move {
            for_browser(&state, id, &query, &headers).await
        });
    let servers = warp::path!("v1" / "assets" / AssetId / "playback")
        .and(get())
        .and(state_and_caller(state, Scope::Read))
        .and(raw_query())
        .then(|id, state: Arc<State>, caller: Result<Caller, ApiError>, query: String| async move {
            for_server(&state, caller?, id, &query).await
        });
    let downloads = warp::path!("api" / "player" / AssetId / "downloads" / String)
        .and(get())
        .and(with_state(state))
        .and(raw_query())
        .and(warp::header::headers_cloned())
        .then(|id, file: String, state: Arc<State>, query: String, headers: HeaderMap| async move {
            to_download(&state, id, &file, &query, &headers).await
        });
    browsers.or(servers).unify().or(downloads).unify().boxed()
}

/// Where a player tells what it sees, and with which ticket. A refresh brings another one, which a running view has no use
/// for.
#[derive(Serialize)]
struct TelemetryRef {
    ticket: String,
    url: &'static str,
}

/// What a player needs to start.
#[derive(Serialize)]
struct Bootstrap {
    asset_id: String,
    source_state: &'static str,
    playable_state: &'static str,
    status: &'static str,
    title: String,
    duration_ms: Option<u64>,
    playback_url: String,
    playback_content_type: &'static str,
    manifest_url: String,
    opener_url: String,
    poster_url: String,
    storyboard_url: String,
    captions: Vec<CaptionsRef>,
    sounds: Vec<String>,
    transport: &'static str,
    transport_reason: &'static str,
    expires_at: String,
    ttl_seconds: u64,
    refresh_after_seconds: u64,
    prefetch_hints: Vec<String>,
    edge: EdgeRef,
    fallbacks: Vec<FallbackJson>,
    telemetry: TelemetryRef,
}

/// Captions that a viewer can choose.
#[derive(Serialize)]
struct CaptionsRef {
    lang: String,
    label: String,
    kind: &'static str,
    default: bool,
}

impl CaptionsRef {
    /// Those of `asset` that are published.
    fn of(asset: &Asset) -> Vec<Self> {
        let published = asset.captions.iter().filter(|row| row.published);
        let shown = |row: &rend_core::asset::CaptionRow| Self {
            lang: row.captions.lang.bcp47(),
            label: row.label.clone(),
            kind: row.kind.as_str(),
            default: row.default,
        };
        published.map(shown).collect()
    }
}

/// The languages of sounds to choose from; empty when there is no choice.
fn sounds_of(asset: &Asset) -> Vec<String> {
    let lang = |rendition: Rendition| rendition.sound_lang().map(|lang| LangTag::from(lang).bcp47());
    let sounds: Vec<String> = asset.renditions.iter().filter_map(|row| lang(row.rendition)).collect();
    if sounds.len() > 1 { sounds } else { Vec::new() }
}

#[derive(Serialize)]
struct EdgeRef {
    id: String,
    region: String,
}

impl EdgeRef {
    fn new(route: &Route) -> Self {
        Self { id: route.id.to_string(), region: route.region.clone() }
    }
}

/// Where to go on when the edge fails.
#[derive(Serialize)]
struct FallbackJson {
    edge: EdgeRef,
    playback_url: String,
    transport: &'static str,
}

/// Characters that a bootstrap token may have: more than any has.
const TOKEN_CHARS_MAX: usize = 1024;

async fn for_browser(state: &State, id: AssetId, query: &str, headers: &HeaderMap) -> Answer {
    let (mut token, mut wants_path, mut wait_secs) = (None, false, 0);
    for (name, value) in query_pairs(query) {
        match name.as_str() {
            "token" if value.len() > TOKEN_CHARS_MAX => {
                return Err(ApiError::field("token", "the bootstrap token that the owner's server handed out"));
            }
            "token" => token = Some(value),
            "transport" if value == "path" => wants_path = true,
            "transport" if value == "cookie" => {}
            "transport" => return Err(ApiError::field("transport", "`cookie` or `path`")),
            "wait" => wait_secs = seconds(&value)?,
            // Other words are the business of whoever wrote the link.
            _ => {}
        }
    }
    let (wait, bears) = (Duration::from_secs(wait_secs), token.is_some() || headers.contains_key(COOKIE));
    if !wait.is_zero() {
        until_playable(state, id, bears, wait).await?;
    }
    let now = state.clock.wall();
    // The time of issue is from before the look, so that what suspends the asset meanwhile ends what is issued here.
    let (asset, suspension) = tokio::try_join!(state.stores.assets.get(id), state.stores.suspensions.suspension(id))?;
    let admitted = vouched(state, id, token.as_deref(), headers, now);
    in_service(&asset, suspension.as_ref())?;
    may_start(&asset, admitted.is_some()).inspect_err(|error| {
        if matches!(error, ApiError::PlaybackDenied) {
            state.metrics.bootstraps_denied.inc();
        }
    })?;
    let session = match &admitted {
        Some(verified) => state.tickets.resume(&asset, verified, now),
        None => state.tickets.open(&asset, now),
    };
    let session = session.map_err(unsigned)?;
    let viewer = state.config.geo_headers.viewer(|name| headers.get(name)?.to_str().ok());
    let request = RequestId::new(now, rend_shell::ten());
    let routes = routes_for(state, &viewer, id, Some(request)).await?;
    let site = headers.get(HOST).and_then(|host| host.to_str().ok()).map_or("", host_name).to_ascii_lowercase();
    let carriage = Carriage { asset: id, site: &site, domain: state.config.cookie_domain.as_deref(), wants_path };
    let body = bootstrap(state, &asset, &routes, &session, &carriage);
    let cookies = carriage.cookies(&routes[0], &session);
    state.metrics.bootstraps.inc();
    let mut response = json(StatusCode::OK, &body)?;
    // The answer carries the id under which its route was logged.
    if let Ok(request) = HeaderValue::from_str(&request.to_string()) {
        response.headers_mut().insert(REQUEST_ID, request);
    }
    for cookie in cookies {
        if let Ok(cookie) = HeaderValue::from_str(&cookie) {
            response.headers_mut().append(SET_COOKIE, cookie);
        }
    }
    Ok(response)
}

/// The session that a viewer shows a token of, in the URL or in a cookie.
fn vouched(
    state: &State,
    id: AssetId,
    token: Option<&str>,
    headers: &HeaderMap,
    now: Timestamp,
) -> Option<tickets::Admitted> {
    let lines = headers.get_all(COOKIE).into_iter().map(HeaderValue::as_bytes);
    let mut all = token.map(str::as_bytes).into_iter().chain(session_cookies(lines));
    all.find_map(|token| state.tickets.admit(token, id, now))
}

/// Sends whoever may play the video to a file of it. The answer is for this viewer and this moment, so nobody keeps it.
async fn to_download(state: &State, id: AssetId, file: &str, query: &str, headers: &HeaderMap) -> Answer {
    let token = query_pairs(query).into_iter().find(|(name, _)| name == "token").map(|(_, value)| value);
    if token.as_ref().is_some_and(|token| token.len() > TOKEN_CHARS_MAX) {
        return Err(ApiError::field("token", "the bootstrap token that the owner's server handed out"));
    }
    let now = state.clock.wall();
    let (asset, suspension) = tokio::try_join!(state.stores.assets.get(id), state.stores.suspensions.suspension(id))?;
    in_service(&asset, suspension.as_ref())?;
    may_start(&asset, vouched(state, id, token.as_deref(), headers, now).is_some())?;
    let named = |row: &&DownloadRow| format!("{}.mp4", row.rendition) == file;
    let is_there = |row: &&DownloadRow| matches!(row.state, DownloadState::Ready { .. });
    let row = asset.downloads.iter().filter(is_there).find(named).ok_or(ApiError::NotFound { what: "download" })?;
    let token = state.tickets.download(&asset, now).map_err(unsigned)?;
    let viewer = state.config.geo_headers.viewer(|name| headers.get(name)?.to_str().ok());
    let routes = routes_for(state, &viewer, id, None).await?;
    let url = download_url(&routes[0], id, &token, row.rendition);
    let mut response = empty(StatusCode::FOUND)?;
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // Ids, tokens and names of rungs are plain, so this is always a header.
    if let Ok(location) = HeaderValue::from_str(&url) {
        response.headers_mut().insert(LOCATION, location);
    }
    Ok(response)
}

/// Where a download is fetched from `edge`, by whoever has the URL.
pub(crate) fn download_url(edge: &Route, asset: AssetId, token: &TokenBuf, rendition: Rendition) -> String {
    edge.public_url.join(&format!("v/{asset}/~{}/{}", token.as_str(), ArtifactPath::Download(rendition)))
}

/// How long a player would wait.
fn seconds(value: &str) -> Result<u64, ApiError> {
    let wrong = || ApiError::field("wait", "a whole number of seconds from 0 to 20");
    value.parse().ok().filter(|secs| *secs <= WAIT_MAX.as_secs()).ok_or_else(wrong)
}

async fn for_server(state: &State, caller: Caller, id: AssetId, query: &str) -> Answer {
    let wish = ClipWish::parse(query)?;
    let now = state.clock.wall();
    let asset = owned(state, caller, id).await?;
    in_service(&asset, state.stores.suspensions.suspension(id).await?.as_ref())?;
    may_start(&asset, true)?;
    let clip = match wish {
        Some(wish) => Some(clips::clip(state, &asset, wish).await?),
        None => None,
    };
    let handed = state.tickets.bootstrap(&asset, now).map_err(unsigned)?;
    let session = state.tickets.open(&asset, now).map_err(unsigned)?;
    // The viewer is not here yet; only where the asset lives counts.
    let routes = routes_for(state, &Viewer::default(), id, None).await?;
    let by_path = Carriage { asset: id, site: "", domain: None, wants_path: true };
    let secs = |secs: u32| (now + Duration::from_secs(u64::from(secs))).to_string();
    let shown = wish.zip(clip).map(|(wish, clip)| {
        value!({
            "requested": { "start_ms": wish.start_ms, "end_ms": wish.end_ms },
            "actual": { "start_ms": clip.start_ms(), "end_ms": clip.end_ms() },
        })
    });
    json(
        StatusCode::OK,
        &value!({
            "asset_id": id.to_string(),
            "clip": shown,
            "bootstrap_token": handed.as_str(),
            "expires_at": secs(BOOTSTRAP_TTL_SECS),
            "player_url": format!("/watch/{id}?token={}", handed.as_str()),
            "playback_url": by_path.url(&routes[0], &session, clip.map_or(ArtifactPath::Master, ArtifactPath::ClipMaster)),
            "playback_expires_at": secs(state.tickets.playback_ttl_secs()),
        }),
    )
}

/// Refuses what an operator took out of service. Of what is gone, it is said that it is gone.
fn in_service(asset: &Asset, suspension: Option<&Entry>) -> Result<(), ApiError> {
    if suspension.is_some() && asset.source != SourceState::Deleted { Err(ApiError::Suspended) } else { Ok(()) }
}

fn may_start(asset: &Asset, vouched: bool) -> Result<(), ApiError> {
    match admit(asset, vouched) {
        Admission::Ready => Ok(()),
        Admission::NotPlayable => Err(ApiError::NotPlayable(Box::new(asset.clone()))),
        Admission::Unavailable(_) => Err(ApiError::Unavailable(Box::new(asset.clone()))),
        Admission::Denied => Err(ApiError::PlaybackDenied),
        Admission::Gone => Err(ApiError::NotFound { what: "asset" }),
    }
}

pub(crate) fn unsigned(_: rend_token::SignError) -> ApiError {
    tracing::error!("no playback key signs at this time; look at REND_PLAYBACK_SIGNING_KEY_ID and its window");
    ApiError::Store(rend_storage::StoreError::Unavailable("no key signs".into()))
}

/// The edges to try, best first. Where none is registered it is the configured one, so that playback never waits for a
/// heartbeat. The choice is logged under `request`, if there is one.
pub(crate) async fn routes_for(
    state: &State,
    viewer: &Viewer,
    asset: AssetId,
    request: Option<RequestId>,
) -> Result<Vec<Route>, ApiError> {
    let rows = state.stores.edges.all().await?;
    let written_down = &state.config.route_override;
    let table =
        if written_down.is_empty() { RouteTable::of_fleet(&rows) } else { RouteTable::of_expected(written_down) };
    let table = match table {
        Ok(table) => table,
        Err(_) => configured(&state.config.playback_base_url)?,
    };
    let health = health::of_fleet(&rows, state.clock.wall(), state.config.heartbeat_window);
    let decision = decide(&table, viewer, asset, &health);
    if let Some(request) = request {
        log_choice(&EdgeSelected::new(request, viewer, &decision));
    }
    Ok(std::iter::once(decision.route).chain(decision.fallbacks).cloned().collect())
}

/// A table of the one edge that is configured.
fn configured(base: &str) -> Result<RouteTable, ApiError> {
    let route = "configured".parse().ok().zip(base.parse().ok()).map(|(id, base)| in_region(id, "local", base));
    RouteTable::new(route.into_iter().collect()).map_err(|_| {
        ApiError::Store(rend_storage::StoreError::Unavailable("no edge is registered and none configured".into()))
    })
}

/// How the right to fetch travels to each of the edges that one viewer is told of.
struct Carriage<'a> {
    asset: AssetId,
    /// The host that the page was loaded from, in lower case.
    site: &'a str,
    /// The domain that is configured for cookies.
    domain: Option<&'a str>,
    wants_path: bool,
}

impl Carriage<'_> {
    fn transport(&self, edge: &Route) -> Transport {
        let host = edge.public_url.host();
        // A domain that no cookie may be set for would leave a cookie on the page's host alone.
        let domain = self.domain.filter(|domain| CookieDomain::new(domain, self.site, host).is_some());
        scope::transport(self.asset, self.site, host, domain, self.wants_path)
    }

    /// Where `path` is fetched from `edge`. A URL holds a token only when no cookie would reach that edge.
    fn url(&self, edge: &Route, session: &Session, path: ArtifactPath) -> String {
        match self.transport(edge) {
            Transport::Path(_) => {
                edge.public_url.join(&format!("v/{}/~{}/{path}", self.asset, session.playback.as_str()))
            }
            Transport::Cookie(_) => PlaybackUrl::new(&edge.public_url, self.asset, path).as_str().to_owned(),
        }
    }

    /// The cookies of a session: what the edges read, and what the next refresh reads.
    fn cookies(&self, edge: &Route, session: &Session) -> Vec<String> {
        let https = edge.public_url.is_https();
        let mut cookies: Vec<String> = session.refresh_cookie(self.asset, https).into_iter().collect();
        if let Transport::Cookie(scope) = self.transport(edge) {
            let kind = if https { CookieSite::Same } else { CookieSite::Local };
            let host = edge.public_url.host();
            let domain = scope.domain.as_deref().and_then(|domain| CookieDomain::new(domain, self.site, host));
            cookies.push(session.playback_cookie(self.asset, kind, domain));
        }
        cookies
    }
}

fn log_choice(selected: &EdgeSelected) {
    let fields = selected.fields();
    let field = |name: &str| fields.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_str());
    tracing::info!(
        event = EDGE_SELECTED,
        request_id = field("request_id"),
        country = field("country"),
        country_region = field("country_region"),
        continent = field("continent"),
        has_coordinates = field("has_coordinates"),
        route = field("route"),
        route_region = field("route_region"),
        reason = field("reason"),
        matched = field("matched"),
        distance_km = field("distance_km"),
        playback_host = field("playback_host"),
        failed_open = field("failed_open"),
    );
}

fn bootstrap(state: &State, asset: &Asset, routes: &[Route], session: &Session, carriage: &Carriage<'_>) -> Bootstrap {
    let edge = &routes[0];
    let url = |path: ArtifactPath| carriage.url(edge, session, path);
    let ttl = Duration::from_secs(u64::from(session.playback_secs));
    let terms = Terms::new(carriage.transport(edge), ttl);
    let (transport, transport_reason) = words(&terms.transport);
    let hints = asset.renditions.first().map(|row| {
        let rendition = row.rendition;
        [ArtifactPath::Variant(rendition), ArtifactPath::Init(rendition), ArtifactPath::Segment { rendition, index: 0 }]
    });
    let fallback = |route: &Route| FallbackJson {
        edge: EdgeRef::new(route),
        playback_url: carriage.url(route, session, ArtifactPath::Master),
        transport: words(&carriage.transport(route)).0,
    };
    Bootstrap {
        asset_id: asset.id.to_string(),
        source_state: asset.source.as_str(),
        playable_state: asset.playable.as_str(),
        status: "ready",
        title: asset.title.clone(),
        duration_ms: asset.media.as_ref().map(|media| media.duration_ms),
        playback_url: url(ArtifactPath::Master),
        playback_content_type: ArtifactPath::Master.content_type(),
        manifest_url: url(ArtifactPath::Master),
        opener_url: url(ArtifactPath::Opener),
        poster_url: url(ArtifactPath::Poster),
        storyboard_url: url(ArtifactPath::ThumbTrack),
        captions: CaptionsRef::of(asset),
        sounds: sounds_of(asset),
        transport,
        transport_reason,
        expires_at: (state.clock.wall() + terms.ttl).to_string(),
        ttl_seconds: terms.ttl.as_secs(),
        refresh_after_seconds: terms.refresh_after.as_secs(),
        prefetch_hints: hints.into_iter().flatten().map(url).collect(),
        edge: EdgeRef::new(edge),
        fallbacks: routes[1..].iter().map(fallback).collect(),
        telemetry: TelemetryRef {
            ticket: state.view_tickets.sign(&View {
                begun_at: state.clock.wall(),
                id: rend_shell::entropy(),
                org: asset.org,
                asset: asset.id,
                viewer: *session.id.as_bytes(),
            }),
            url: "/v1/player/events",
        },
    }
}

const fn words(transport: &Transport) -> (&'static str, &'static str) {
    match transport {
        Transport::Path(reason) => ("path", reason.as_str()),
        Transport::Cookie(_) => ("cookie", "the page's host and the edge's share cookies"),
    }
}

/// The host of a `Host` header, without its port.
fn host_name(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(site: &str, edge: &str, domain: Option<&str>, expect: &str) {
        let asset = AssetId::from_bytes([1; 16]);
        let edge = in_region("a".parse().unwrap(), "local", edge.parse().unwrap());
        let carriage = Carriage { asset, site, domain, wants_path: false };
        assert_eq!(words(&carriage.transport(&edge)).0, expect, "{site} {domain:?}");
    }

    #[test]
    fn cookies_are_shared_on_one_host_or_under_a_configured_domain() {
        check("127.0.0.1", "http://127.0.0.1:4100", None, "cookie");
        check("localhost", "http://127.0.0.1:4100", None, "path");
        check("www.rend.example", "https://ash-1.play.rend.example", None, "path");
        check("www.rend.example", "https://ash-1.play.rend.example", Some("rend.example"), "cookie");
        check("www.evilrend.example", "https://ash-1.play.rend.example", Some("rend.example"), "path");
        check("www.other.example", "https://ash-1.play.rend.example", Some("rend.example"), "path");
        // Nobody may set a cookie for a suffix under which strangers register names.
        check("a.co.uk", "https://b.co.uk", Some("co.uk"), "path");
    }

    #[test]
    fn a_host_loses_its_port_only() {
        assert_eq!(host_name("127.0.0.1:4000"), "127.0.0.1");
        assert_eq!(host_name("example.com"), "example.com");
        assert_eq!(host_name("[::1]"), "[::1]");
    }
}
