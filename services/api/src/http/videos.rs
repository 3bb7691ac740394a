//! `POST /v1/videos`: a video file comes in.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, Bytes};
use futures::{Stream, StreamExt};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, StatusCode};
use rend_core::artifact::ObjectKey;
use rend_core::asset::{Asset, Move, PlaybackPolicy, StoredSource};
use rend_core::credential::Scope;
use rend_core::id::{AssetId, JobId, OrgId, UploadId};
use rend_core::job::{JobKind, NewJob};
use rend_core::upload::admission::{Admission, Arrival, Limits, Standing, admit, arrived, quota_left};
use rend_core::upload::sweep::SESSION_KEPT;
use rend_core::upload::transfer::Pull;
use rend_core::upload::{UploadSession, UploadState};
use rend_storage::StoreError;
use rend_storage::assets::Change;
use rend_storage::objects::Put;
use serde::Deserialize;
use warp::Filter;
use warp::filters::BoxedFilter;

use crate::auth::{Caller, state_and_caller};
use crate::error::{ApiError, UploadRefusal};
pub(crate) use crate::http::uploads::abandon;
use crate::http::uploads::{Ask, key, open};
use crate::http::{Answer, json, raw_query};
use crate::ingest::fetch;
use crate::once::{named, once};
use crate::state::State;
use crate::wire::AssetJson;

/// The words that come with a video.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Words {
    pub title: Option<String>,
    pub policy: Option<String>,
    pub external_id: Option<String>,
}

pub(crate) fn routes(state: &Arc<State>) -> BoxedFilter<(Answer,)> {
    warp::path!("v1" / "videos")
        .and(warp::post())
        .and(state_and_caller(state, Scope::Upload))
        .and(warp::header::optional::<u64>("content-length"))
        .and(raw_query())
        .and(warp::header::headers_cloned())
        .and(warp::body::stream())
        .then(|state: Arc<State>, caller: Result<Caller, ApiError>, length, query: String, headers, body| async move {
            bring(&state, caller?, length, query, &headers, body).await
        })
        .boxed()
}

/// Takes a video in that is sent, or writes down that one is to be fetched.
async fn bring<B: Buf>(
    state: &Arc<State>,
    caller: Caller,
    length: Option<u64>,
    query: String,
    headers: &HeaderMap,
    body: impl Stream<Item = Result<B, warp::Error>> + Send + 'static,
) -> Answer {
    let media_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if media_type.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case(JSON)) {
        return pull(state, caller, &query, headers, body).await;
    }
    // The bytes are still to come, so it is their number and the digest that was announced that tell one upload from
    // another.
    let digest = headers.get("content-digest").map_or(&[][..], HeaderValue::as_bytes);
    let asked: [&[u8]; 4] = [b"video", query.as_bytes(), &length.unwrap_or(u64::MAX).to_be_bytes(), digest];
    let create = {
        let (work, query) = (Arc::clone(state), query.clone());
        async move { create(&work, caller, length, &query, body).await }
    };
    once(state, caller.org, named(headers)?, &asked, create).await
}

/// What is asked for instead of being sent. No video is of this type, so it tells the two apart.
const JSON: &str = "application/json";
/// Bytes of such a wish, at most.
const WISH_BYTES_MAX: usize = 16 << 10;

/// A wish for a video to be fetched.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wish {
    source_url: String,
    title: Option<String>,
    policy: Option<String>,
    external_id: Option<String>,
}

/// Writes down that a video is to be fetched. A job does it; the answer comes before the first byte.
async fn pull<B: Buf>(
    state: &Arc<State>,
    caller: Caller,
    query: &str,
    headers: &HeaderMap,
    body: impl Stream<Item = Result<B, warp::Error>> + Send,
) -> Answer {
    if !query.is_empty() {
        return Err(ApiError::field("query", "title, policy and external_id stand beside source_url in the body"));
    }
    let body = rend_shell::body::collect(body, WISH_BYTES_MAX).await?;
    let wish: Wish = serde_json::from_slice(&body).map_err(|error| {
        // Its own words may repeat the URL.
        let at = format!("line {}, column {}", error.line(), error.column());
        ApiError::field(
            "body",
            format!("an object with source_url, and title, policy and external_id if wanted ({at})"),
        )
    })?;
    let url = fetch::parse(&wish.source_url).map_err(|why| ApiError::Upload(UploadRefusal::Url(why)))?;
    fetch::judge(state.config.pull_guard, &url).map_err(|why| ApiError::Upload(UploadRefusal::Url(why)))?;
    let words = Words {
        title: wish.title.or_else(|| title_of(url.path())),
        policy: wish.policy,
        external_id: wish.external_id,
    };
    let asset = new_asset(state, caller, words)?;
    let ask =
        Ask { bytes: None, note: String::new(), pull: Some(Pull { url: url.into(), validator: None }), direct: None };
    let transfer = open(state, asset, ask, key(headers)?).await?;
    let asset = state.stores.assets.get(transfer.session.asset).await?;
    json(StatusCode::ACCEPTED, &AssetJson::new(&asset, &state.config.site_url))
}

/// The last part of a path as a title, if it can be one.
fn title_of(path: &str) -> Option<String> {
    let name = path.rsplit('/').next().unwrap_or_default();
    let name = query_pairs(&format!("name={}", name.replace('+', "%2B"))).pop()?.1;
    Some(name).filter(|name| check_title(name).is_ok() && !name.trim().is_empty())
}

async fn create<B: Buf>(
    state: &Arc<State>,
    caller: Caller,
    length: Option<u64>,
    query: &str,
    body: impl Stream<Item = Result<B, warp::Error>> + Send + 'static,
) -> Answer {
    let judged = async {
        let bytes_max = admitted(state, caller.org, length, state.config.upload_bytes_max).await?;
        Ok::<_, ApiError>((bytes_max, new_asset(state, caller, parse(query)?)?))
    };
    let (bytes_max, asset) = match judged.await {
        Ok(judged) => judged,
        Err(refusal) => {
            drain(body).await;
            return Err(refusal);
        }
    };
    let chunks = body.map(|chunk| {
        chunk
            .map(|mut buf| buf.copy_to_bytes(buf.remaining()))
            .map_err(|_| StoreError::BadBody { reason: "the connection ended before the body did".into() })
    });
    // The upload runs in a task of its own, since a caller that hangs up drops this future: what was begun must be
    // settled all the same.
    let work = Arc::clone(state);
    let stored =
        rend_shell::spawn("upload", async move { receive(&work, asset, (length, bytes_max), chunks.boxed()).await });
    let asset =
        stored.await.map_err(|_| ApiError::Store(StoreError::Unavailable("the upload's task ended".into())))??;
    json(StatusCode::CREATED, &AssetJson::new(&asset, &state.config.site_url))
}

/// Bytes of a refused body that are read and thrown away: a caller that is still sending would otherwise find its
/// connection reset before it could read why.
const DRAIN_BYTES_MAX: usize = 16 << 20;
/// How long that may take.
const DRAIN_WAIT: Duration = Duration::from_secs(2);

/// Reads and throws away what comes of a refused body, within bounds.
pub(crate) async fn drain<B: Buf, E>(body: impl Stream<Item = Result<B, E>>) {
    let mut body = std::pin::pin!(body);
    let read = async {
        let mut left = DRAIN_BYTES_MAX;
        while let Some(Ok(chunk)) = body.next().await {
            let Some(rest) = left.checked_sub(chunk.remaining()) else { return };
            left = rest;
        }
    };
    let _ = tokio::time::timeout(DRAIN_WAIT, read).await;
}

/// Remembers the asset and its session, stores the bytes, and settles: as a source with its job, or as nothing.
async fn receive(
    state: &State,
    asset: Asset,
    (length, bytes_max): (Option<u64>, u64),
    body: futures::stream::BoxStream<'static, Result<Bytes, StoreError>>,
) -> Result<Asset, ApiError> {
    let now = state.clock.wall();
    let session = UploadSession {
        id: UploadId::new(now, rend_shell::ten()),
        asset: asset.id,
        org: asset.org,
        bytes_expected: length,
        state: UploadState::Open,
        expires_at: now + SESSION_KEPT,
        created_at: now,
    };
    state.stores.assets.create(&asset).await?;
    state.stores.uploads.open(&session).await?;
    advance(state, asset.id, Move::BeginUpload, None).await?;

    let put = Put { content_type: "application/octet-stream".into(), len: length, sha256: None, now };
    let capped = Capped::new(body, bytes_max);
    let over = capped.over();
    let key = ObjectKey::source(asset.id);
    let stored = state.stores.objects.put(&key, put, capped.boxed()).await;
    let outcome = match stored {
        Ok(meta) => match arrived(length, meta.len, bytes_max) {
            Arrival::Whole => Ok(StoredSource { bytes: meta.len, sha256: meta.sha256.unwrap_or_default() }),
            Arrival::Empty => Err(ApiError::EmptyUpload),
            Arrival::Short => Err(ApiError::Cut),
            Arrival::Long => Err(ApiError::TooLarge { bytes_max }),
        },
        Err(_) if over.load(std::sync::atomic::Ordering::Relaxed) => Err(ApiError::TooLarge { bytes_max }),
        Err(error) => Err(error.into()),
    };
    match outcome {
        Ok(source) => {
            let job = NewJob {
                id: JobId::new(state.clock.wall(), rend_shell::ten()),
                asset: asset.id,
                kind: JobKind::Media,
                run_at: state.clock.wall(),
                attempts_max: state.config.job_attempts_max,
            };
            let asset = advance(state, asset.id, Move::SourceStored(source), Some(job)).await?;
            state.stores.uploads.settle(session.id, UploadState::Complete).await?;
            Ok(asset)
        }
        Err(error) => {
            abandon(&state.stores, &session, state.clock.wall()).await;
            state.bus.wake();
            Err(error)
        }
    }
}

async fn advance(state: &State, asset: AssetId, step: Move, enqueue: Option<NewJob>) -> Result<Asset, ApiError> {
    let change = Change { asset, expect: None, step, fence: None, enqueue, now: state.clock.wall() };
    let asset = state.stores.assets.advance(&change).await?;
    state.bus.wake();
    Ok(asset)
}

/// The bytes of originals that `org` may still bring, if that is bounded. Several requests at once may each bring so many.
pub(crate) async fn quota(state: &State, org: OrgId) -> Result<Option<u64>, StoreError> {
    let bytes_max = state.config.org_source_bytes_max;
    let held = if bytes_max == 0 { 0 } else { state.stores.uploads.bytes_held(org).await? };
    Ok(quota_left(bytes_max, held))
}

/// Refuses what comes from an organisation that is out of service.
pub(crate) async fn in_service(state: &State, org: OrgId) -> Result<(), ApiError> {
    let order = state.stores.suspensions.org_suspension(org).await?;
    judge(Standing::by(order.as_ref()), None, u64::MAX, None).map(|_| ())
}

/// The bytes that `org` may send in a body of the announced length. Room is judged by the store while it writes.
pub(crate) async fn admitted(
    state: &State,
    org: OrgId,
    announced: Option<u64>,
    bytes_max: u64,
) -> Result<u64, ApiError> {
    let order = state.stores.suspensions.org_suspension(org).await?;
    judge(Standing::by(order.as_ref()), announced, bytes_max, quota(state, org).await?)
}

fn judge(
    standing: Standing,
    announced: Option<u64>,
    bytes_max: u64,
    quota_bytes_left: Option<u64>,
) -> Result<u64, ApiError> {
    let limits = Limits {
        body_bytes_max: bytes_max,
        source_bytes_max: bytes_max,
        free_bytes_min: 0,
        takes_unannounced: true,
        quota_bytes_left,
    };
    match admit(standing, announced, None, &limits) {
        Admission::Accept { bytes_max } => Ok(bytes_max),
        Admission::Empty => Err(ApiError::EmptyUpload),
        Admission::LengthRequired => Err(ApiError::field("Content-Length", "the number of bytes of the body")),
        Admission::TooLarge { bytes_max } => Err(ApiError::TooLarge { bytes_max }),
        Admission::NoRoom => Err(ApiError::NoSpace),
        Admission::OverQuota { bytes_left } => Err(ApiError::OverQuota { bytes_left }),
        Admission::Suspended => Err(ApiError::OrgSuspended),
    }
}

fn parse(query: &str) -> Result<Words, ApiError> {
    let mut words = Words::default();
    for (name, value) in query_pairs(query) {
        match name.as_str() {
            "title" => words.title = Some(value),
            "policy" => words.policy = Some(value),
            "external_id" => words.external_id = Some(value),
            other => {
                return Err(ApiError::field(
                    "query",
                    format!("`{other}` is not known; known are title, policy and external_id"),
                ));
            }
        }
    }
    Ok(words)
}

/// The decoded pairs of a query.
pub(crate) fn query_pairs(query: &str) -> Vec<(String, String)> {
    form_urlencoded::parse(query.as_bytes()).into_owned().collect()
}

pub(crate) fn new_asset(state: &State, caller: Caller, words: Words) -> Result<Asset, ApiError> {
    let title = words.title.unwrap_or_else(|| "Untitled".into());
    check_title(&title)?;
    let policy = match words.policy {
        Some(word) => parse_policy(&word)?,
        None => PlaybackPolicy::Signed,
    };
    let now = state.clock.wall();
    let mut asset = Asset::new(AssetId::new(now, rend_shell::ten()), caller.org, title, policy, now);
    if let Some(external_id) = words.external_id {
        check_external_id(&external_id)?;
        asset.external_id = Some(external_id);
    }
    Ok(asset)
}

/// Whether a title may stand.
pub(crate) fn check_title(title: &str) -> Result<(), ApiError> {
    let fits = (1..=rend_core::asset::TITLE_CHARS_MAX).contains(&title.chars().count())
        && !title.chars().any(char::is_control);
    if fits { Ok(()) } else { Err(ApiError::field("title", "1 to 255 characters without control characters")) }
}

/// Whether an external id may stand.
pub(crate) fn check_external_id(id: &str) -> Result<(), ApiError> {
    let fits = (1..=255).contains(&id.len()) && !id.chars().any(char::is_control);
    if fits { Ok(()) } else { Err(ApiError::field("external_id", "1 to 255 bytes without control characters")) }
}

/// The policy that a word names.
pub(crate) fn parse_policy(word: &str) -> Result<PlaybackPolicy, ApiError> {
    word.parse().map_err(|_| ApiError::field("policy", "`public` or `signed`"))
}

/// A body that fails once it has more bytes than it may.
struct Capped<S> {
    inner: S,
    left: u64,
    over: Arc<std::sync::atomic::AtomicBool>,
}

impl<S> Capped<S> {
    fn new(inner: S, bytes_max: u64) -> Self {
        Self { inner, left: bytes_max, over: Arc::default() }
    }

    fn over(&self) -> Arc<std::sync::atomic::AtomicBool> {
        Arc::clone(&self.over)
    }
}

impl<S: Stream<Item = Result<Bytes, StoreError>> + Unpin> Stream for Capped<S> {
    type Item = Result<Bytes, StoreError>;

    fn poll_next(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Self::Item>> {
        let polled = self.inner.poll_next_unpin(cx);
        if let std::task::Poll::Ready(Some(Ok(chunk))) = &polled {
            match self.left.checked_sub(chunk.len() as u64) {
                Some(left) => self.left = left,
                None => {
                    self.over.store(true, std::sync::atomic::Ordering::Relaxed);
                    let reason = "the body has more bytes than an upload may".into();
                    return std::task::Poll::Ready(Some(Err(StoreError::BadBody { reason })));
                }
            }
        }
        polled
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_decoded_once() {
        assert_eq!(
            query_pairs("title=a%20b+c&policy=public"),
            [("title".to_owned(), "a b c".to_owned()), ("policy".to_owned(), "public".to_owned())]
        );
        assert_eq!(query_pairs("x=%2525&y"), [("x".to_owned(), "%25".to_owned()), ("y".to_owned(), String::new())]);
        assert!(query_pairs("").is_empty());
    }

    #[test]
    fn lengths_are_judged_before_a_byte_is_read() {
        let judge = |announced| judge(Standing::InService, announced, 10, None);
        assert!(matches!(judge(Some(0)), Err(ApiError::EmptyUpload)));
        assert!(matches!(judge(Some(11)), Err(ApiError::TooLarge { bytes_max: 10 })));
        assert!(matches!(judge(Some(9)), Ok(9)));
        assert!(matches!(judge(None), Ok(10)));
    }
}
