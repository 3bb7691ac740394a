//! The event log: as pages, and as a stream.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use http::StatusCode;
use rend_core::credential::Scope;
use rend_core::id::{AssetId, OrgId};
use rend_storage::events::EventsOf;
use tokio::sync::mpsc;
use warp::filters::BoxedFilter;
use warp::{Filter, Reply, sse};

use crate::auth::{Caller, state_and_caller};
use crate::error::ApiError;
use crate::http::videos::query_pairs;
use crate::http::{Answer, get, json, raw_query};
use crate::state::State;
use crate::wire::{EventJson, Page};

/// Events on one page, at most, and events that one wake-up of a stream reads at a time.
const PAGE_MAX: usize = 200;
/// How often a silent stream says that it is still there.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// Events that wait for a slow reader of a stream before its log is read no further.
const STREAM_BUFFER: usize = 16;

pub(crate) fn routes(state: &Arc<State>) -> BoxedFilter<(Answer,)> {
    let page = warp::path!("v1" / "assets" / AssetId / "events")
        .and(get())
        .and(state_and_caller(state, Scope::Read))
        .and(raw_query())
        .then(|id, state: Arc<State>, caller: Result<Caller, ApiError>, query: String| async move {
            page(&state, caller?, id, &query).await
        });
    let stream = warp::path!("v1" / "events")
        .and(get())
        .and(state_and_caller(state, Scope::Read))
        .and(warp::header::optional::<u64>("last-event-id"))
        .and(raw_query())
        .then(|state: Arc<State>, caller: Result<Caller, ApiError>, last, query: String| async move {
            stream(state, caller?, last, &query).await
        });
    page.or(stream).unify().boxed()
}

async fn page(state: &State, caller: Caller, id: AssetId, query: &str) -> Answer {
    // A deleted asset keeps its history.
    let asset = state.stores.assets.get(id).await?;
    if asset.org != caller.org {
        return Err(ApiError::NotFound { what: "asset" });
    }
    let (after, limit) = window(query)?;
    reached(state, after).await?;
    let mut events = state.stores.events.after(EventsOf::Asset(id), after, limit + 1).await?;
    let more = events.len() > limit;
    events.truncate(limit);
    let next_cursor = events.last().filter(|_| more).map(|event| event.seq.to_string());
    json(StatusCode::OK, &Page { data: events.iter().map(EventJson::new).collect(), next_cursor })
}

fn window(query: &str) -> Result<(u64, usize), ApiError> {
    let (mut after, mut limit) = (0, PAGE_MAX);
    for (name, value) in query_pairs(query) {
        match name.as_str() {
            "after" | "cursor" => {
                after = value.parse().map_err(|_| ApiError::field("after", "the `seq` of an event"))?;
            }
            "limit" => {
                limit = value
                    .parse()
                    .ok()
                    .filter(|limit| (1..=PAGE_MAX).contains(limit))
                    .ok_or_else(|| ApiError::field("limit", "a number from 1 to 200"))?;
            }
            other => {
                return Err(ApiError::field("query", format!("`{other}` is not known; known are after and limit")));
            }
        }
    }
    Ok((after, limit))
}

/// Refuses a cursor of another log: who waits after a place that this one has not reached would wait in silence.
async fn reached(state: &State, after: u64) -> Result<(), ApiError> {
    if after > state.stores.events.head().await? {
        return Err(ApiError::field("after", "the `seq` of an event of this log, which has not come so far"));
    }
    Ok(())
}

async fn stream(state: Arc<State>, caller: Caller, last: Option<u64>, query: &str) -> Answer {
    let from = match last {
        Some(seq) => seq,
        None if query.is_empty() => state.stores.events.head().await?,
        None => window(query)?.0,
    };
    reached(&state, from).await?;
    let (sender, mut receiver) = mpsc::channel(STREAM_BUFFER);
    let entries = futures::stream::poll_fn(move |cx| receiver.poll_recv(cx));
    rend_shell::spawn("event-stream", feed(state, caller.org, from, sender));
    let reply = sse::reply(sse::keep_alive().interval(KEEP_ALIVE).stream(entries.map(Ok::<_, Infallible>)));
    let mut response = reply.into_response();
    response.headers_mut().insert(http::header::CACHE_CONTROL, http::HeaderValue::from_static("no-store"));
    Ok(response)
}

/// Feeds one stream from the log until its reader is gone. What it missed while it waited is read when it is woken.
async fn feed(state: Arc<State>, org: OrgId, from: u64, sender: mpsc::Sender<sse::Event>) {
    let mut woken = state.bus.listen();
    let mut shutdown = state.shutdown.clone();
    let mut seen = from;
    loop {
        woken.mark_unchanged();
        loop {
            let Ok(events) = state.stores.events.after(EventsOf::Org(org), seen, PAGE_MAX).await else { break };
            if events.is_empty() {
                break;
            }
            for event in events {
                seen = event.seq;
                let wire = EventJson::new(&event);
                let data = serde_json::to_string(&wire).unwrap_or_default();
                let entry = sse::Event::default().id(event.seq.to_string()).event(event.kind.name()).data(data);
                if sender.send(entry).await.is_err() {
                    return;
                }
            }
        }
        tokio::select! {
            woken = woken.changed() => if woken.is_err() { return },
            () = sender.closed() => return,
            () = shutdown.requested() => return,
        }
    }
}
