//! Private: an operator takes an asset or an organisation out of service, and gives it back.
//!
//! The order is written down first: from then on no API process hands out a playback token. Then every token that was
//! handed out before is revoked, and what edges keep is purged. The revocation reaches an edge at once, or with its next
//! heartbeat; it ends tokens from before the suspension alone, so that restoring needs nothing but the order.

use std::sync::Arc;

use bytes::Bytes;
use http::StatusCode;
use rend_core::event::EventKind;
use rend_core::fleet::Revoked;
use rend_core::id::{AssetId, OrgId};
use rend_core::suspension::{Action, Entry, Order, Signed, Subject, Unsigned};
use rend_shell::body::{BodyError, capped};
use serde::{Deserialize, Serialize};
use warp::Filter;
use warp::filters::BoxedFilter;

use crate::error::ApiError;
use crate::http::revocations::{Told, revoke};
use crate::http::videos::query_pairs;
use crate::http::{Answer, get, json, raw_query};
use crate::state::State;
use crate::wire::Page;

/// Bytes of an order, at most: a reason of 500 characters, each of up to twelve bytes in JSON, and the rest.
const BODY_BYTES_MAX: usize = 8 << 10;
/// Orders on one page, at most.
const PAGE_MAX: usize = 1000;

pub(crate) fn routes(state: &Arc<State>) -> BoxedFilter<(Answer,)> {
    let admitted = |state: &Arc<State>| {
        let state = Arc::clone(state);
        warp::header::optional::<String>("authorization").map(move |header: Option<String>| {
            let token = state.config.operator_token.as_ref().ok_or(ApiError::Unauthorized)?;
            token.admits(header.as_deref()).map(|()| Arc::clone(&state))
        })
    };
    let asset = warp::path!("internal" / "operator" / "assets" / AssetId / Verb)
        .and(warp::post())
        .and(admitted(state))
        .and(capped(BODY_BYTES_MAX))
        .then(|id, Verb(action), state: Result<Arc<State>, ApiError>, body: Result<Bytes, BodyError>| async move {
            order(&state?, Subject::Asset(id), action, &body?).await
        });
    let org = warp::path!("internal" / "operator" / "organizations" / OrgId / Verb)
        .and(warp::post())
        .and(admitted(state))
        .and(capped(BODY_BYTES_MAX))
        .then(|id, Verb(action), state: Result<Arc<State>, ApiError>, body: Result<Bytes, BodyError>| async move {
            order(&state?, Subject::Org(id), action, &body?).await
        });
    let log = warp::path!("internal" / "operator" / "orders")
        .and(get())
        .and(admitted(state))
        .and(raw_query())
        .then(|state: Result<Arc<State>, ApiError>, query: String| async move { page(&*state?, &query).await });
    asset.or(org).unify().or(log).unify().boxed()
}

/// The last part of an order's path.
struct Verb(Action);

impl std::str::FromStr for Verb {
    type Err = rend_core::asset::UnknownWord;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        word.parse().map(Self)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wish {
    by: String,
    reason: String,
}

#[derive(Serialize)]
struct OrderJson {
    seq: u64,
    kind: &'static str,
    subject: String,
    action: &'static str,
    by: String,
    reason: String,
    at: String,
    /// Edges that were told at once, of a suspension.
    #[serde(skip_serializing_if = "Option::is_none")]
    edges: Option<Told>,
}

impl OrderJson {
    fn new(entry: &Entry) -> Self {
        let Entry { seq, order } = entry;
        Self {
            seq: *seq,
            kind: order.subject.kind(),
            subject: match order.subject {
                Subject::Asset(id) => id.to_string(),
                Subject::Org(id) => id.to_string(),
            },
            action: order.action.as_str(),
            by: order.signed.by().to_owned(),
            reason: order.signed.reason().to_owned(),
            at: order.at.to_string(),
            edges: None,
        }
    }
}

async fn order(state: &Arc<State>, subject: Subject, action: Action, body: &[u8]) -> Answer {
    let wish: Wish = serde_json::from_slice(body)
        .map_err(|e| ApiError::field("body", format!("a JSON object of by and reason ({e})")))?;
    let signed = Signed::new(&wish.by, &wish.reason).map_err(|unsigned| match unsigned {
        Unsigned::By => ApiError::field("/by", unsigned.to_string()),
        Unsigned::Reason => ApiError::field("/reason", unsigned.to_string()),
    })?;
    match subject {
        Subject::Asset(id) => drop(state.stores.assets.get(id).await?),
        Subject::Org(id) if id != state.config.org => return Err(ApiError::NotFound { what: "organisation" }),
        Subject::Org(_) => {}
    }
    let order = Order { subject, action, signed, at: state.clock.wall() };
    let entry = state.stores.suspensions.append_order(&order).await?;
    tracing::warn!(kind = subject.kind(), seq = entry.seq, action = action.as_str(), "an operator gave an order");
    note(state, &order).await;
    let edges = match action {
        Action::Suspend => Some(end_playback(state, subject).await?),
        Action::Restore => None,
    };
    state.bus.wake();
    json(StatusCode::CREATED, &OrderJson { edges, ..OrderJson::new(&entry) })
}

/// Ends what was begun before: the order stands, so a failure here is told, and giving the order again is right.
async fn end_playback(state: &Arc<State>, subject: Subject) -> Result<Told, ApiError> {
    let what = match subject {
        Subject::Asset(id) => Revoked::Asset(id),
        Subject::Org(id) => Revoked::Org(id),
    };
    // Read after the order was written: a token that was judged before it has an earlier time of issue.
    let told = revoke(state, what, Some(state.clock.wall())).await?.1;
    // All assets of an organisation are purged by whoever follows the record, see `sync::suspend`.
    if let Subject::Asset(id) = subject {
        let (dispatch, written) = (state.dispatch.clone(), state.dispatch.write_purge(id).await?);
        rend_shell::spawn("purge", async move { dispatch.push_purge(written).await });
    }
    Ok(told)
}

/// An asset's own history tells of it, beside the record.
async fn note(state: &State, order: &Order) {
    let Subject::Asset(id) = order.subject else { return };
    let (by, reason) = (order.signed.by().to_owned(), order.signed.reason().to_owned());
    let kind = match order.action {
        Action::Suspend => EventKind::Suspended { by, reason },
        Action::Restore => EventKind::Restored { by, reason },
    };
    if let Err(error) = state.stores.events.append(id, &kind, order.at).await {
        tracing::warn!(asset = %id, %error, "an order was not noted in the asset's history; the record has it");
    }
}

async fn page(state: &State, query: &str) -> Answer {
    let (mut after, mut limit) = (0, PAGE_MAX);
    for (name, value) in query_pairs(query) {
        match name.as_str() {
            "after" => after = value.parse().map_err(|_| ApiError::field("after", "the `seq` of an order"))?,
            "limit" => {
                limit = value
                    .parse()
                    .ok()
                    .filter(|limit| (1..=PAGE_MAX).contains(limit))
                    .ok_or_else(|| ApiError::field("limit", "a number from 1 to 1000"))?;
            }
            other => {
                return Err(ApiError::field("query", format!("`{other}` is not known; known are after and limit")));
            }
        }
    }
    let mut entries = state.stores.suspensions.orders_after(after, limit + 1).await?;
    let more = entries.len() > limit;
    entries.truncate(limit);
    let next_cursor = entries.last().filter(|_| more).map(|entry| entry.seq.to_string());
    json(StatusCode::OK, &Page { data: entries.iter().map(OrderJson::new).collect(), next_cursor })
}
