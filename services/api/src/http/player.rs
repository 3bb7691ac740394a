//! Bootstrap: from an asset's name to URLs that play, and the right to fetch them.

use std::sync::Arc;
use std::time::Duration;

use http::header::{COOKIE, HOST, SET_COOKIE};
use http::{HeaderMap, HeaderValue, StatusCode};
use rend_core::artifact::ArtifactPath;
use rend_core::asset::{Asset, PlayableState, PlaybackPolicy, SourceState};
use rend_core::credential::Scope;
use rend_core::id::AssetId;
use rend_token::transport::{CookieDomain, CookieSite};
use serde::Serialize;
use serde_json::{Value, json as value};
use warp::Filter;
use warp::filters::BoxedFilter;

use crate::auth::{Caller, caller};
use crate::error::ApiError;
use crate::http::assets::owned;
use crate::http::videos::query_pairs;
use crate::http::{Answer, json};
use crate::state::State;
use crate::tickets::{BOOTSTRAP_TTL_SECS, Session, session_cookies};

pub(crate) fn routes(state: &Arc<State>) -> BoxedFilter<(Answer,)> {
    let with = |state: &Arc<State>| {
        let state = Arc::clone(state);
        warp::any().map(move || Arc::clone(&state))
    };
    let browsers = warp::path!("api" / "player" / AssetId)
        .and(warp::get())
        .and(with(state))
        .and(warp::query::raw().or(warp::any().map(String::new)).unify())
        .and(warp::header::headers_cloned())
        .then(|id, state: Arc<State>, query: String, headers: HeaderMap| async move {
            for_browser(&state, id, &query, &headers).await
        });
    let servers = warp::path!("v1" / "assets" / AssetId / "playback")
        .and(warp::get())
        .and(with(state))
        .and(caller(state, Scope::Read))
        .then(|id, state: Arc<State>, caller: Result<Caller, ApiError>| async move {
            for_server(&state, caller?, id).await
        });
    browsers.or(servers).unify().boxed()
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
    transport: &'static str,
    transport_reason: &'static str,
    expires_at: String,
    ttl_seconds: u64,
    refresh_after_seconds: u64,
    prefetch_hints: Vec<String>,
    edge: EdgeRef,
    fallbacks: Vec<Value>,
    telemetry: Option<Value>,
}

#[derive(Serialize)]
struct EdgeRef {
    id: String,
    region: String,
}

/// An edge as a viewer meets it.
struct Route {
    id: String,
    region: String,
    base: String,
}

async fn for_browser(state: &State, id: AssetId, query: &str, headers: &HeaderMap) -> Answer {
    let (mut token, mut wants_path) = (None, false);
    for (name, value) in query_pairs(query) {
        match name.as_str() {
            "token" => token = Some(value),
            "transport" if value == "path" => wants_path = true,
            "transport" if value == "cookie" => {}
            "transport" => return Err(ApiError::field("transport", "`cookie` or `path`")),
            // Other words are the business of whoever wrote the link.
            _ => {}
        }
    }
    let now = state.clock.wall();
    let asset = state.stores.assets.get(id).await?;
    if asset.source == SourceState::Deleted {
        return Err(ApiError::NotFound { what: "asset" });
    }
    let lines = headers.get_all(COOKIE).into_iter().map(HeaderValue::as_bytes);
    let admitted = token
        .as_deref()
        .map(str::as_bytes)
        .into_iter()
        .chain(session_cookies(lines))
        .find_map(|token| state.tickets.admit(token, id, now));
    if admitted.is_none() && asset.policy == PlaybackPolicy::Signed {
        state.metrics.bootstraps_denied.inc();
        return Err(ApiError::PlaybackDenied);
    }
    playable(&asset)?;
    let session = match &admitted {
        Some(verified) => state.tickets.resume(&asset, verified, now),
        None => state.tickets.open(&asset, now),
    };
    let session = session.map_err(unsigned)?;
    let routes = routes_for(state).await?;
    let site = headers.get(HOST).and_then(|host| host.to_str().ok()).map(host_name);
    let body = bootstrap(state, &asset, &routes, &session, site, wants_path);
    let cookies = cookies(state, &asset, &body, &routes[0].base, &session, site);
    state.metrics.bootstraps.inc();
    let mut response = json(StatusCode::OK, &body)?;
    for cookie in cookies {
        if let Ok(cookie) = HeaderValue::from_str(&cookie) {
            response.headers_mut().append(SET_COOKIE, cookie);
        }
    }
    Ok(response)
}

async fn for_server(state: &State, caller: Caller, id: AssetId) -> Answer {
    let asset = owned(state, caller, id).await?;
    playable(&asset)?;
    let now = state.clock.wall();
    let handed = state.tickets.bootstrap(&asset, now).map_err(unsigned)?;
    let session = state.tickets.open(&asset, now).map_err(unsigned)?;
    let routes = routes_for(state).await?;
    let base = &routes[0].base;
    let secs = |secs: u32| (now + Duration::from_secs(u64::from(secs))).to_string();
    json(
        StatusCode::OK,
        &value!({
            "asset_id": id.to_string(),
            "bootstrap_token": handed.as_str(),
            "expires_at": secs(BOOTSTRAP_TTL_SECS),
            "player_url": format!("/watch/{id}?token={}", handed.as_str()),
            "playback_url": format!("{base}/v/{id}/~{}/{}", session.playback.as_str(), ArtifactPath::Master),
            "playback_expires_at": secs(state.tickets.playback_ttl_secs()),
        }),
    )
}

fn playable(asset: &Asset) -> Result<(), ApiError> {
    match asset.playable {
        PlayableState::OpenerReady | PlayableState::HlsReady => Ok(()),
        PlayableState::NotPlayable => Err(ApiError::NotPlayable(Box::new(asset.clone()))),
        PlayableState::Failed => Err(ApiError::Unavailable(Box::new(asset.clone()))),
        PlayableState::Deleted => Err(ApiError::NotFound { what: "asset" }),
    }
}

fn unsigned(_: rend_token::SignError) -> ApiError {
    tracing::error!("no playback key signs at this time; look at REND_PLAYBACK_SIGNING_KEY_ID and its window");
    ApiError::Store(rend_storage::StoreError::Unavailable("no key signs".into()))
}

/// The edges to try, best first: the live ones, and where there is none the configured base, so that playback never
/// waits for a heartbeat.
async fn routes_for(state: &State) -> Result<Vec<Route>, ApiError> {
    let now = state.clock.wall();
    let mut routes: Vec<Route> = state
        .stores
        .edges
        .all()
        .await?
        .into_iter()
        .filter(|row| state.is_live(row, now))
        .map(|row| Route {
            id: row.id.to_string(),
            region: row.region,
            base: row.public_url.trim_end_matches('/').to_owned(),
        })
        .collect();
    if routes.is_empty() {
        let base = state.config.playback_base_url.trim_end_matches('/').to_owned();
        routes.push(Route { id: "configured".into(), region: "local".into(), base });
    }
    Ok(routes)
}

fn bootstrap(
    state: &State,
    asset: &Asset,
    routes: &[Route],
    session: &Session,
    site: Option<&str>,
    wants_path: bool,
) -> Bootstrap {
    let edge = &routes[0];
    let shared = site.is_some_and(|site| may_share_cookie(site, &edge.base, state.config.cookie_domain.as_deref()));
    let (transport, transport_reason) = match (wants_path, shared) {
        (true, _) => ("path", "the caller asked for it"),
        (false, false) => ("path", "the page's host and the edge's do not share cookies"),
        (false, true) => ("cookie", "the page's host and the edge's share cookies"),
    };
    let prefix = |route: &Route| match transport {
        "path" => format!("{}/v/{}/~{}", route.base, asset.id, session.playback.as_str()),
        _ => format!("{}/v/{}", route.base, asset.id),
    };
    let base = prefix(edge);
    let url = |path: ArtifactPath| format!("{base}/{path}");
    let ttl = u64::from(session.playback_secs);
    let hints = asset.renditions.first().map(|row| {
        let rendition = row.rendition;
        [ArtifactPath::Variant(rendition), ArtifactPath::Init(rendition), ArtifactPath::Segment { rendition, index: 0 }]
    });
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
        transport,
        transport_reason,
        expires_at: (state.clock.wall() + Duration::from_secs(ttl)).to_string(),
        ttl_seconds: ttl,
        refresh_after_seconds: ttl * 4 / 5,
        prefetch_hints: hints.into_iter().flatten().map(url).collect(),
        edge: EdgeRef { id: edge.id.clone(), region: edge.region.clone() },
        fallbacks: routes[1..]
            .iter()
            .map(|route| value!({ "edge": { "id": route.id, "region": route.region }, "playback_url": format!("{}/{}", prefix(route), ArtifactPath::Master) }))
            .collect(),
        telemetry: None,
    }
}

/// The host of a `Host` header, without its port.
fn host_name(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    }
}

/// Whether a cookie set by `site` reaches the edge: on the same host, or under a configured domain above both.
fn may_share_cookie(site: &str, edge_base: &str, domain: Option<&str>) -> bool {
    let edge = edge_host(edge_base);
    site == edge || domain.is_some_and(|domain| CookieDomain::new(domain, site, edge).is_some())
}

/// The cookies of a session: what the edges read, and what the next refresh reads.
fn cookies(
    state: &State,
    asset: &Asset,
    body: &Bootstrap,
    edge_base: &str,
    session: &Session,
    site: Option<&str>,
) -> Vec<String> {
    let https = edge_base.starts_with("https://");
    let mut cookies: Vec<String> = session.refresh_cookie(asset.id, https).into_iter().collect();
    if body.transport == "cookie" {
        let kind = if https { CookieSite::Same } else { CookieSite::Local };
        let edge = edge_host(edge_base);
        let domain = state.config.cookie_domain.as_deref().and_then(|domain| CookieDomain::new(domain, site?, edge));
        cookies.push(session.playback_cookie(asset.id, kind, domain));
    }
    cookies
}

fn edge_host(base: &str) -> &str {
    base.split_once("://").map_or(base, |(_, rest)| rest).split('/').next().map_or("", host_name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cookies_are_shared_on_one_host_or_under_a_configured_domain() {
        let check = |site: &str, edge: &str, domain: Option<&str>, expect: bool| {
            assert_eq!(may_share_cookie(site, edge, domain), expect, "{site} {edge} {domain:?}");
        };
        check("127.0.0.1", "http://127.0.0.1:4100", None, true);
        check("localhost", "http://127.0.0.1:4100", None, false);
        check("www.rend.example", "https://ash-1.play.rend.example", None, false);
        check("www.rend.example", "https://ash-1.play.rend.example", Some("rend.example"), true);
        check("www.evilrend.example", "https://ash-1.play.rend.example", Some("rend.example"), false);
        check("www.other.example", "https://ash-1.play.rend.example", Some("rend.example"), false);
    }

    #[test]
    fn a_host_loses_its_port_only() {
        assert_eq!(host_name("127.0.0.1:4000"), "127.0.0.1");
        assert_eq!(host_name("example.com"), "example.com");
        assert_eq!(host_name("[::1]"), "[::1]");
    }
}
