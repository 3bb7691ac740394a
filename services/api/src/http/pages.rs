//! The web: player page, iframe page, dashboard, and the files they load. All of it is in the binary.

use std::sync::Arc;

use http::header::{ACCESS_CONTROL_ALLOW_ORIGIN, CONTENT_SECURITY_POLICY, LOCATION, REFERRER_POLICY};
use http::{HeaderMap, HeaderValue, StatusCode};
use rend_core::id::AssetId;
use serde_json::json as value;
use warp::filters::BoxedFilter;
use warp::{Filter, Reply};

use crate::error::ApiError;
use crate::http::videos::query_pairs;
use crate::http::web::WebFile;
use crate::http::{Answer, get, json, raw_query, with_state};
use crate::state::State;

pub(crate) fn routes(state: &Arc<State>) -> BoxedFilter<(Answer,)> {
    let root = warp::path::end().and(get()).map(|| {
        let mut response = StatusCode::FOUND.into_response();
        response.headers_mut().insert(LOCATION, HeaderValue::from_static("/dashboard"));
        Ok(response)
    });
    let dashboard = warp::path!("dashboard")
        .and(get())
        .and(with_state(state))
        .and(warp::header::headers_cloned())
        .then(|state: Arc<State>, headers: HeaderMap| async move { page(&state, &DASHBOARD, &headers).await });
    let watch = warp::path!("watch" / AssetId)
        .and(get())
        .and(with_state(state))
        .and(warp::header::headers_cloned())
        .then(|_, state: Arc<State>, headers: HeaderMap| async move { page(&state, &WATCH, &headers).await });
    let embed = warp::path!("embed" / AssetId)
        .and(get())
        .and(with_state(state))
        .and(warp::header::headers_cloned())
        .then(|_, state: Arc<State>, headers: HeaderMap| async move { page(&state, &EMBED, &headers).await });
    let file = warp::path!("assets" / String)
        .and(get())
        .and(warp::header::headers_cloned())
        .map(|name: String, headers: HeaderMap| file(&name, &headers));
    let oembed = warp::path!("oembed")
        .and(get())
        .and(with_state(state))
        .and(raw_query())
        .then(|state: Arc<State>, query: String| async move { oembed(&state, &query).await });
    root.or(dashboard).unify().or(watch).unify().or(embed).unify().or(file).unify().or(oembed).unify().boxed()
}

/// Whether hls.js was there when this was built. Without it the player needs a browser with HLS of its own.
pub fn has_hls_js() -> bool {
    WebFile::find("hls.js").is_some()
}

/// A page, and what it may do beyond loading its own scripts and styles and asking this server and the edges.
struct Page {
    file: &'static str,
    /// Who may frame it.
    frames: &'static str,
    /// Where its forms may go.
    forms: &'static str,
}

const DASHBOARD: Page = Page { file: "dashboard.html", frames: "'none'", forms: "'self'" };
const WATCH: Page = Page { file: "watch.html", frames: "'none'", forms: "'none'" };
const EMBED: Page = Page { file: "embed.html", frames: "*", forms: "'none'" };

async fn page(state: &State, page: &Page, request: &HeaderMap) -> Answer {
    let file = WebFile::find(page.file).ok_or(ApiError::NotFound { what: "page in this build" })?;
    let media = state.media_origins().await.join(" ");
    // Media that a script puts together has a `blob:` URL.
    let policy = format!(
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self' {media}; media-src blob: {media}; \
         img-src 'self' {media}; base-uri 'none'; form-action {}; frame-ancestors {}",
        page.forms, page.frames
    );
    let mut response = file.answer(request);
    let headers = response.headers_mut();
    // A watch page's query may hold a token.
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    if let Ok(policy) = HeaderValue::from_str(&policy) {
        headers.insert(CONTENT_SECURITY_POLICY, policy);
    }
    Ok(response.into_response())
}

fn file(name: &str, request: &HeaderMap) -> Answer {
    let file =
        WebFile::find(name).filter(|file| !file.is_page()).ok_or(ApiError::NotFound { what: "file in this build" })?;
    let mut response = file.answer(request);
    // `<rend-player>` is made to stand on other people's pages, and modules are fetched with CORS.
    response.headers_mut().insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
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
