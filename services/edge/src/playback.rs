//! `/v/…`: parse → admit → find → reply.

use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderValue};
use http::request::Parts;
use http::{Method, Response, StatusCode};
use rend_cache::range::{Answer, ByteRange};
use rend_cache::{FillReader, Hit};
use rend_core::analytics::CacheStatus;
use rend_core::artifact::ArtifactPath;
use rend_core::id::RequestId;
use rend_core::time::{Mono, Timestamp};
use rend_shell::problem::Problem;

use crate::auth::{self, Admitted};
use crate::body::{Outgoing, Sending};
use crate::conditional::Validators;
use crate::delivery::{Delivery, Facts};
use crate::edge::Edge;
use crate::fill::{self, Got, Refusal, Sight, Wanted};
use crate::front::Answering;
use crate::head::{self, Life};
use crate::io::Wire;
use crate::origin;
use crate::plain::Fields;
use crate::target::Target;
use crate::trust::Trusted;

/// A request for something below `/v/`. It has no `Debug`, since it carries tokens.
pub(crate) struct Ask {
    pub(crate) parts: Parts,
    pub(crate) wire: Option<Wire>,
    pub(crate) address: Option<IpAddr>,
}

/// The same in the form in which it was read.
pub(crate) struct Asked<'a, F> {
    pub(crate) method: &'a Method,
    pub(crate) path: &'a str,
    pub(crate) query: Option<&'a str>,
    pub(crate) fields: &'a F,
    pub(crate) address: Option<IpAddr>,
}

/// A request that may have what it asks for.
pub(crate) struct Order {
    pub(crate) admitted: Admitted,
    pub(crate) wanted: Wanted,
    pub(crate) started: Mono,
    pub(crate) asked_at: Timestamp,
}

/// An answer that needs no look into the cache.
#[derive(Clone, Copy)]
pub(crate) enum Turned {
    /// There is no such path, or no such method on one: the two are answered alike.
    Unknown,
    /// A page asks what it may ask.
    Preflight,
    /// No token opens it.
    Denied,
}

/// Judges a request by what it says.
///
/// # Errors
///
/// [`Turned`], when the answer is known already.
pub(crate) fn order<F: Fields>(edge: &Edge, trusted: &Trusted, asked: &Asked<'_, F>) -> Result<Order, Turned> {
    let (started, asked_at) = (edge.accounts.clock.mono(), edge.accounts.clock.wall());
    let known = matches!(*asked.method, Method::GET | Method::HEAD | Method::OPTIONS);
    let target = Target::parse(asked.path).filter(|_| known).ok_or(Turned::Unknown)?;
    if asked.method == Method::OPTIONS {
        return Err(Turned::Preflight);
    }
    let admitted = auth::admit(trusted, &target, asked.query, asked.fields, asked.address, asked_at);
    let admitted = admitted.map_err(|reason| {
        edge.accounts.metrics.denied.get_or_create(&[("reason", reason.as_str())]).inc();
        Turned::Denied
    })?;
    Ok(Order { admitted, wanted: Wanted::of(&target), started, asked_at })
}

/// Looks for what an order wants, without waiting for anything.
///
/// # Errors
///
/// [`Refusal::Overloaded`] when there are as many responses under way as may be.
pub(crate) fn seek(edge: &Edge, order: &Order) -> Result<Sight, Refusal> {
    let open = usize::try_from(edge.accounts.metrics.responses_open.get()).unwrap_or(0);
    if open >= edge.config.responses_max {
        edge.accounts.metrics.overloads.get_or_create(&[("bound", "responses")]).inc();
        return Err(Refusal::Overloaded);
    }
    Ok(fill::look(edge, &order.wanted, order.asked_at))
}

/// Answers a request below `/v/`: at once when the cache has what may be given out, else when that is found.
pub(crate) fn answer(edge: &Arc<Edge>, ask: Ask) -> Answering {
    let trusted = edge.trust.now();
    let Parts { method, uri, headers, .. } = &ask.parts;
    let asked = Asked { method, path: uri.path(), query: uri.query(), fields: headers, address: ask.address };
    match order(edge, &trusted, &asked) {
        Ok(order) => {
            let seen = seek(edge, &order);
            carry_out(edge, ask, trusted, order, seen)
        }
        Err(turned) => Answering::Now(Some(turn(edge, &ask, turned))),
    }
}

/// Answers a request that was turned away.
pub(crate) fn turn(edge: &Edge, ask: &Ask, turned: Turned) -> Response<Outgoing> {
    match turned {
        Turned::Unknown => signed(edge, ask, constant(StatusCode::NOT_FOUND, NOT_FOUND)),
        Turned::Denied => signed(edge, ask, constant(StatusCode::UNAUTHORIZED, DENIED)),
        Turned::Preflight => preflight(edge, &ask.parts.headers),
    }
}

/// Answers an order by what a look showed.
pub(crate) fn carry_out(
    edge: &Arc<Edge>,
    ask: Ask,
    trusted: Arc<Trusted>,
    order: Order,
    seen: Result<Sight, Refusal>,
) -> Answering {
    let now = |response| Answering::Now(Some(response));
    match seen {
        Err(refusal) => now(serve(edge, &ask, &trusted, &order, Err(refusal))),
        Ok(Sight::Here(got)) => now(serve(edge, &ask, &trusted, &order, Ok(got))),
        Ok(Sight::Else(seen)) => {
            let edge = Arc::clone(edge);
            Answering::Later(Box::pin(async move {
                let got = fill::find(&edge, &order.wanted, order.asked_at, seen).await;
                if got.as_ref().is_err_and(|refusal| *refusal == Refusal::Overloaded) {
                    edge.accounts.metrics.overloads.get_or_create(&[("bound", "fills")]).inc();
                }
                serve(&edge, &ask, &trusted, &order, got)
            }))
        }
    }
}

impl Order {
    /// What is known of an answer before it is.
    pub(crate) fn facts(&self) -> Facts {
        let viewer = self.admitted.viewer();
        Facts {
            org: viewer.org,
            session: viewer.session,
            asset: self.wanted.asset,
            path: self.wanted.path,
            object_bytes: None,
            range_start: 0,
            status: 0,
            cache: CacheStatus::Pass,
            started: self.started,
            asked_at: self.asked_at,
        }
    }

    /// The cookie that goes with the whole or a part of what was asked for.
    pub(crate) fn cookie(&self, edge: &Edge, trusted: &Trusted, request: &impl Fields) -> Option<HeaderValue> {
        if carries_cookies(&self.wanted.path) {
            self.admitted.set_cookie(trusted, &edge.cookies, request)
        } else {
            None
        }
    }
}

fn preflight(edge: &Edge, headers: &HeaderMap) -> Response<Outgoing> {
    let mut response = Response::new(Outgoing::Bytes(Bytes::new()));
    *response.status_mut() = StatusCode::NO_CONTENT;
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    edge.identity.write(response.headers_mut());
    edge.cors.preflight(headers, response.headers_mut());
    response
}

/// The same answer as one of this edge, which the page that asked may read.
fn signed<B: Into<Outgoing>>(edge: &Edge, ask: &Ask, response: Response<B>) -> Response<Outgoing> {
    let mut response = response.map(Into::into);
    edge.identity.write(response.headers_mut());
    edge.cors.apply(&ask.parts.headers, response.headers_mut());
    response
}

/// Whether an answer with `path` may renew its viewer's cookie. Playlists and segments are `private` and are asked for as
/// long as somebody watches; the rest is fetched once.
const fn carries_cookies(path: &ArtifactPath) -> bool {
    matches!(path, ArtifactPath::Master | ArtifactPath::Variant(_) | ArtifactPath::Segment { .. })
}

/// An answer that is the same for whoever asks.
pub(crate) fn constant(status: StatusCode, body: &'static str) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from_static(body.as_bytes()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Answers with what came of looking for what an order wants.
fn serve(
    edge: &Arc<Edge>,
    ask: &Ask,
    trusted: &Trusted,
    order: &Order,
    got: Result<Got, Refusal>,
) -> Response<Outgoing> {
    let Order { wanted, started, asked_at, .. } = order;
    let facts = order.facts();
    let asks_get = ask.parts.method == Method::GET;
    let (mut response, cache) = match got {
        Ok(got) => {
            let cache = got.status();
            let mut response = found(edge, ask, wanted, got, facts, *asked_at);
            if asks_get {
                let along = match response.body_mut() {
                    Outgoing::Artifact(sending) => sending.along(),
                    Outgoing::Bytes(_) | Outgoing::Routed(_) => None,
                };
                match along {
                    // A thousand may have waited for this head.
                    Some(along) => {
                        let (edge, wanted, asked_at) = (Arc::clone(edge), wanted.clone(), *asked_at);
                        along.and_then(move || fill::prefetch_next(&edge, &wanted, asked_at));
                    }
                    None => fill::prefetch_next(edge, wanted, *asked_at),
                }
            }
            (response, cache)
        }
        Err(refusal) => (refused(edge, refusal, facts), CacheStatus::Miss),
    };
    head::timing(response.headers_mut(), *started, edge.accounts.clock.mono(), cache);
    let sent = matches!(response.status(), StatusCode::OK | StatusCode::PARTIAL_CONTENT);
    if sent && asks_get {
        let cookie = order.cookie(edge, trusted, &ask.parts.headers);
        cookie.map(|cookie| response.headers_mut().append(header::SET_COOKIE, cookie));
    }
    signed(edge, ask, response)
}

/// Replies with what was found, as far as the client asked for it.
fn found(
    edge: &Arc<Edge>,
    ask: &Ask,
    wanted: &Wanted,
    got: Got,
    mut facts: Facts,
    now: Timestamp,
) -> Response<Outgoing> {
    let (len, etag, modified, life, cache) = match &got {
        Got::Stored(hit, cache) => {
            let modified = Timestamp::from_millis(hit.meta().modified_ms);
            let life = Life::of(&wanted.path, hit.body(), modified, now);
            (hit.meta().len, &hit.meta().etag, modified, life, *cache)
        }
        Got::Read(body, head, cache) => {
            let modified = Timestamp::from_millis(head.modified_ms);
            (body.len() as u64, &head.etag, modified, Life::of(&wanted.path, body, modified, now), *cache)
        }
        Got::Along(_, head, cache) => {
            let modified = Timestamp::from_millis(head.modified_ms);
            (head.len.unwrap_or(0), &head.etag, modified, Life::of(&wanted.path, b"", modified, now), *cache)
        }
    };
    let validators = Validators::new(etag, modified);
    let mut response = Response::new(Outgoing::Bytes(Bytes::new()));
    // Room for everything that is written here and by the caller, so that the map never grows.
    response.headers_mut().reserve(HEADERS_ROOM);
    head::artifact(response.headers_mut(), wanted.asset, &wanted.path, &validators, life, cache);
    facts.object_bytes = Some(len);
    facts.cache = cache;
    let Parts { method, headers, .. } = &ask.parts;
    let asks_get = *method == Method::GET;
    if validators.not_modified(headers) {
        facts.status = 304;
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        response.headers_mut().remove(header::CONTENT_TYPE);
        Delivery::begin(&edge.accounts, facts, 0);
        return response;
    }
    let range = headers.get(header::RANGE).filter(|_| asks_get && validators.range_applies(headers));
    let part =
        range.and_then(|range| ByteRange::parse(range.as_bytes())).map_or(Answer::Whole, |range| range.within(len));
    let (status, start, end) = match part {
        Answer::Whole => (StatusCode::OK, 0, len),
        Answer::Span(span) => {
            if let Ok(value) = HeaderValue::try_from(span.to_string()) {
                response.headers_mut().insert(header::CONTENT_RANGE, value);
            }
            (StatusCode::PARTIAL_CONTENT, span.start(), span.end())
        }
        Answer::Unsatisfiable { len } => {
            if let Ok(value) = HeaderValue::try_from(format!("bytes */{len}")) {
                response.headers_mut().insert(header::CONTENT_RANGE, value);
            }
            (StatusCode::RANGE_NOT_SATISFIABLE, 0, 0)
        }
    };
    *response.status_mut() = status;
    facts.status = status.as_u16();
    facts.range_start = start;
    if !asks_get || start == end {
        // A body tells its length itself.
        response.headers_mut().insert(header::CONTENT_LENGTH, (end - start).into());
        Delivery::begin(&edge.accounts, facts, 0);
        return response;
    }
    let delivery = Delivery::begin(&edge.accounts, facts, end - start);
    let sending = match got {
        Got::Stored(hit, _) => stored(hit, start, end, ask.wire.clone(), delivery),
        Got::Read(body, _, _) => {
            let at = |position: u64| usize::try_from(position).unwrap_or(usize::MAX).min(body.len());
            Sending::read(body.slice(at(start)..at(end)), ask.wire.clone(), delivery)
        }
        Got::Along(reader, head, _) => match origin::far(edge, &wanted.object_key(), reader, &head, start..end) {
            Ok(chunks) => Sending::far(chunks, end - start, ask.wire.clone(), delivery),
            Err(reader) => along(reader, start, end, ask.wire.clone(), delivery),
        },
    };
    *response.body_mut() = Outgoing::Artifact(sending);
    response
}

fn stored(hit: Hit, start: u64, end: u64, wire: Option<Wire>, delivery: Arc<Delivery>) -> Sending {
    // A stored body is in memory or mapped, so its positions fit.
    let at = |position: u64| usize::try_from(position).unwrap_or(usize::MAX).min(hit.body().len());
    let (start, end) = (at(start), at(end));
    Sending::stored(hit, start, end, wire, delivery)
}

fn along(mut reader: FillReader, start: u64, end: u64, wire: Option<Wire>, delivery: Arc<Delivery>) -> Sending {
    if start > 0 {
        // To the body's end, whatever the part: only there it shows whether the fill was good.
        reader.select(start..u64::MAX);
    }
    Sending::filling(reader, end - start, wire, delivery)
}

/// Says why there is nothing to send.
fn refused(edge: &Edge, refusal: Refusal, mut facts: Facts) -> Response<Outgoing> {
    let problem = |status, code, detail: &str| {
        let id = RequestId::new(edge.accounts.clock.wall(), rend_shell::ten());
        Problem::new(status, code, detail).retry_after(1).into_response(&id.to_string())
    };
    let response: Response<Bytes> = match refusal {
        Refusal::Absent => constant(StatusCode::NOT_FOUND, NOT_FOUND),
        Refusal::Origin => problem(
            StatusCode::BAD_GATEWAY,
            "origin_failed",
            "The artifact is not cached here and could not be read from storage. Ask again in a second.",
        ),
        Refusal::Timeout => problem(
            StatusCode::GATEWAY_TIMEOUT,
            "origin_timeout",
            "The artifact is not cached here and storage did not answer in time. Ask again in a second.",
        ),
        Refusal::Overloaded => problem(
            StatusCode::SERVICE_UNAVAILABLE,
            "overloaded",
            "This edge has as many responses or fetches under way as it may have. Ask again in a second.",
        ),
    };
    facts.status = response.status().as_u16();
    facts.cache = CacheStatus::Miss;
    Delivery::begin(&edge.accounts, facts, 0);
    response.map(Into::into)
}

/// Headers that an answer has at most, and some.
const HEADERS_ROOM: usize = 24;
/// The one body of every 404 on the public listener.
pub(crate) const NOT_FOUND: &str =
    r#"{"type":"about:blank","title":"Not Found","status":404,"detail":"There is nothing here.","code":"not_found"}"#;
/// The one body of every 401 on the public listener: it says nothing of why.
pub(crate) const DENIED: &str = r#"{"type":"about:blank","title":"Unauthorized","status":401,"detail":"Playback needs a good token for this video. Get one from the player bootstrap.","code":"playback_denied"}"#;
