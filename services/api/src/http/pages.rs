//! The web: player page, iframe page, dashboard, and the files they load. All of it is in the binary.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, LOCATION, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderValue, StatusCode};
use rend_core::id::AssetId;
use serde_json::json as value;
use warp::filters::BoxedFilter;
use warp::{Filter, Reply};

use crate::error::ApiError;
use crate::http::videos::query_pairs;
use crate::http::{Answer, get, json};
use crate::state::State;

mod web_files {
    include!(concat!(env!("OUT_DIR"), "/web_files.rs"));
}

pub(crate) fn routes(state: &Arc<State>) -> BoxedFilter<(Answer,)> {
    let with = |state: &Arc<State>| {
        let state = Arc::clone(state);
        warp::any().map(move || Arc::clone(&state))
    };
    let root = warp::path::end().and(get()).map(|| {
        let mut response = StatusCode::FOUND.into_response();
        response.headers_mut().insert(LOCATION, HeaderValue::from_static("/dashboard"));
        Ok(response)
    });
    let dashboard = warp::path!("dashboard")
        .and(get())
        .and(with(state))
        .map(|state: Arc<State>| page(&state, "dashboard.html", "'none'"));
    let watch = warp::path!("watch" / AssetId)
        .and(get())
        .and(with(state))
        .map(|_, state: Arc<State>| page(&state, "watch.html", "'none'"));
    let embed = warp::path!("embed" / AssetId)
        .and(get())
        .and(with(state))
        .map(|_, state: Arc<State>| page(&state, "embed.html", "*"));
    let file = warp::path!("assets" / String).and(get()).map(|name: String| file(&name));
    let oembed = warp::path!("oembed")
        .and(get())
        .and(with(state))
        .and(warp::query::raw().or(warp::any().map(String::new)).unify())
        .then(|state: Arc<State>, query: String| async move { oembed(&state, &query).await });
    root.or(dashboard).unify().or(watch).unify().or(embed).unify().or(file).unify().or(oembed).unify().boxed()
}

/// Whether hls.js was there when this was built. Without it the player needs a browser with HLS of its own.
pub fn has_hls_js() -> bool {
    find("hls.js").is_some()
}

fn find(name: &str) -> Option<&'static [u8]> {
    web_files::FILES.iter().find(|(known, _)| *known == name).map(|(_, bytes)| *bytes)
}

fn page(state: &State, name: &str, frame_ancestors: &str) -> Answer {
    let body = find(name).ok_or(ApiError::NotFound { what: "page in this build" })?;
    let media = state.media_origins().join(" ");
    let policy = format!(
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self' {media}; \
         media-src 'self' blob: {media}; img-src 'self' data: blob: {media}; worker-src 'self' blob:; font-src 'self'; \
         manifest-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors {frame_ancestors}"
    );
    let mut response = http::Response::new(Bytes::from_static(body));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    // A watch page's query may hold a token.
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    if let Ok(policy) = HeaderValue::from_str(&policy) {
        headers.insert(CONTENT_SECURITY_POLICY, policy);
    }
    Ok(response.into_response())
}

fn file(name: &str) -> Answer {
    let body =
        find(name).filter(|_| !name.ends_with(".html")).ok_or(ApiError::NotFound { what: "file in this build" })?;
    let kind = match name.rsplit('.').next() {
        Some("js" | "mjs") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("json" | "webmanifest") => "application/json",
        _ => "application/octet-stream",
    };
    let mut response = http::Response::new(Bytes::from_static(body));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    // `<rend-player>` is made to stand on other people's pages, and modules are fetched with CORS.
    headers.insert(http::header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    Ok(response.into_response())
}

/// How a page elsewhere learns what to embed for a watch URL (oembed.com, the `video` type).
async fn oembed(state: &State, query: &str) -> Answer {
    let wrong = || ApiError::field("url", "the URL of a watch page of this server");
    let url = query_pairs(query).into_iter().find(|(name, _)| name == "url").map(|(_, url)| url).ok_or_else(wrong)?;
    let site = &state.config.site_url;
    let id: AssetId = url
        .strip_prefix(site.as_str())
        .and_then(|rest| rest.strip_prefix("/watch/"))
        .and_then(|id| id.parse().ok())
        .ok_or_else(wrong)?;
    let asset = state.stores.assets.get(id).await?;
    if asset.source == rend_core::asset::SourceState::Deleted
        || asset.policy != rend_core::asset::PlaybackPolicy::Public
    {
        return Err(ApiError::NotFound { what: "asset" });
    }
    let (width, height) = asset.media.as_ref().filter(|m| m.width > 0).map_or((16, 9), |m| (m.width, m.height));
    let shown_width = 640;
    let shown_height = u64::from(height) * shown_width / u64::from(width.max(1));
    let html = format!(
        "<iframe src=\"{site}/embed/{id}\" width=\"{shown_width}\" height=\"{shown_height}\" \
         allow=\"autoplay; fullscreen; picture-in-picture\" style=\"border:0\" title=\"Video\"></iframe>"
    );
    json(
        StatusCode::OK,
        &value!({
            "version": "1.0", "type": "video", "provider_name": "Rend", "provider_url": site, "title": asset.title,
            "width": shown_width, "height": shown_height, "html": html,
        }),
    )
}
