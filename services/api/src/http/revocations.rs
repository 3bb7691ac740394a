//! `/v1/revocations`: playback tokens that are to be believed no longer, by key, organisation, asset or session.
//!
//! An order is written into the log before it is pushed to the edges. The push makes it fast; the log makes it certain,
//! since every edge reads on in it with each heartbeat, and before it first reports active.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::join_all;
use http::StatusCode;
use rend_core::credential::Scope;
use rend_core::fleet::wire::{RevocationWire, RevocationsAnswer};
use rend_core::fleet::{RevocationRow, RevocationSet, Revoked};
use rend_core::http::{Method, Request};
use rend_core::id::AssetId;
use rend_core::time::Timestamp;
use rend_shell::body::{BodyError, capped};
use rend_storage::revocations::NewRevocation;
use serde::{Deserialize, Serialize};
use warp::Filter;
use warp::filters::BoxedFilter;

use crate::auth::{Caller, state_and_caller};
use crate::error::ApiError;
use crate::http::assets::owned;
use crate::http::videos::query_pairs;
use crate::http::{Answer, get, json, raw_query};
use crate::state::State;
use crate::wire::{Page, given};

/// Bytes of an order, at most.
const BODY_BYTES_MAX: usize = 4 << 10;
/// Orders in one answer to an edge, at most.
const ROWS_MAX: usize = 1000;
/// How far ahead an order may reach: as far as clocks of edges may be off.
const AHEAD_MAX: Duration = Duration::from_secs(300);
/// How long an edge may take to answer a push.
const PUSH_TIMEOUT: Duration = Duration::from_secs(5);

pub(crate) fn routes(state: &Arc<State>) -> BoxedFilter<(Answer,)> {
    let list = warp::path!("v1" / "revocations").and(get()).and(state_and_caller(state, Scope::Admin)).then(
        |state: Arc<State>, caller: Result<Caller, ApiError>| async move {
            caller?;
            list(&state)
        },
    );
    let create = warp::path!("v1" / "revocations")
        .and(warp::post())
        .and(state_and_caller(state, Scope::Admin))
        .and(capped(BODY_BYTES_MAX))
        .then(|state: Arc<State>, caller: Result<Caller, ApiError>, body: Result<Bytes, BodyError>| async move {
            create(&state, caller?, &body?).await
        });
    list.or(create).unify().boxed()
}

/// What edges ask.
pub(crate) fn internal_routes(state: &Arc<State>) -> BoxedFilter<(Answer,)> {
    let state = Arc::clone(state);
    warp::path!("internal" / "revocations")
        .and(get())
        .and(warp::header::optional::<String>("authorization"))
        .and(raw_query())
        .then(move |authorization: Option<String>, query: String| {
            let state = Arc::clone(&state);
            async move {
                state.config.edge_token.admits(authorization.as_deref())?;
                page(&state, &query).await
            }
        })
        .boxed()
}

/// An order as it is wished for: one subject, and for an asset, an organisation or a key from when on tokens are good.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wish {
    #[serde(default, deserialize_with = "given")]
    key: Option<String>,
    #[serde(default, deserialize_with = "given")]
    org: Option<String>,
    #[serde(default, deserialize_with = "given")]
    asset: Option<String>,
    #[serde(default, deserialize_with = "given")]
    session: Option<String>,
    #[serde(default, deserialize_with = "given")]
    issued_before: Option<String>,
}

impl Wish {
    fn what(&self) -> Result<Revoked, ApiError> {
        let named = [("key", &self.key), ("org", &self.org), ("asset", &self.asset), ("session", &self.session)];
        let mut named = named.into_iter().filter_map(|(kind, subject)| Some((kind, subject.as_deref()?)));
        let (Some((kind, subject)), None) = (named.next(), named.next()) else {
            return Err(ApiError::field("body", "exactly one of key, org, asset and session"));
        };
        Revoked::parse(kind, subject).map_err(|bad| match kind {
            "key" => ApiError::field("/key", bad.to_string()),
            "org" => ApiError::field("/org", bad.to_string()),
            "asset" => ApiError::field("/asset", bad.to_string()),
            _ => ApiError::field("/session", bad.to_string()),
        })
    }

    /// From when on tokens are good again. A session is ended whole, and so is a key unless it is said from when on.
    fn issued_before(&self, what: &Revoked, now: Timestamp) -> Result<Option<Timestamp>, ApiError> {
        let expected = "an RFC 3339 time, at most five minutes ahead; a session has none, since all its tokens end";
        let wrong = || ApiError::field("/issued_before", expected);
        let asked = self.issued_before.as_deref().map(str::parse::<Timestamp>).transpose().map_err(|_| wrong())?;
        match (what, asked) {
            (Revoked::Session(_), Some(_)) => Err(wrong()),
            (_, Some(at)) if at > now + AHEAD_MAX => Err(wrong()),
            (Revoked::Org(_) | Revoked::Asset(_), None) => Ok(Some(now)),
            (_, asked) => Ok(asked),
        }
    }
}

#[derive(Serialize)]
struct RevocationJson {
    #[serde(flatten)]
    order: RevocationWire,
    /// Edges that were told at once. The others learn it with their next heartbeat, or before they are active again.
    edges: Told,
}

/// How many edges an order was carried to at once.
#[derive(Serialize)]
pub(crate) struct Told {
    asked: usize,
    told: usize,
}

fn list(state: &State) -> Answer {
    let set = state.tickets.revocations();
    json(StatusCode::OK, &Page { data: set.rows().map(RevocationWire::from).collect(), next_cursor: None })
}

async fn create(state: &State, caller: Caller, body: &[u8]) -> Answer {
    let wish: Wish = serde_json::from_slice(body).map_err(|e| {
        ApiError::field("body", format!("a JSON object of key, org, asset or session, and issued_before ({e})"))
    })?;
    let (what, now) = (wish.what()?, state.clock.wall());
    let issued_before = wish.issued_before(&what, now)?;
    allowed(state, caller, &what, now).await?;
    let (row, edges) = revoke(state, what, issued_before).await?;
    json(StatusCode::CREATED, &RevocationJson { order: RevocationWire::from(&row), edges })
}

/// Writes an order down, has it in force here, and tells the edges.
pub(crate) async fn revoke(
    state: &State,
    what: Revoked,
    issued_before: Option<Timestamp>,
) -> Result<(RevocationRow, Told), ApiError> {
    let now = state.clock.wall();
    if state.tickets.revocations().len() >= RevocationSet::ROWS_MAX {
        let detail = rend_core::fleet::TooManyRevoked.to_string();
        return Err(ApiError::Conflict { detail });
    }
    let expires_at = RevocationRow::expiry(&what, issued_before, now);
    let order = NewRevocation { what, issued_before, at: now, expires_at };
    let row = order.at_place(state.stores.revocations.append_revocation(&order).await?);
    // In force here before any edge is asked. Where there is no room for it, the next reading of the log says so.
    let _ = state.tickets.revoke(|set| set.apply(&row));
    tracing::warn!(kind = row.what.kind(), seq = row.seq, "playback tokens were revoked");
    let edges = push(state, &row).await;
    Ok((row, edges))
}

/// Whether `caller` may revoke `what`, and nothing speaks against it.
async fn allowed(state: &State, caller: Caller, what: &Revoked, now: Timestamp) -> Result<(), ApiError> {
    match what {
        Revoked::Asset(id) => owned(state, caller, AssetId::from_bytes(*id.as_bytes())).await.map(drop),
        Revoked::Org(id) if *id != caller.org => Err(ApiError::NotFound { what: "organisation" }),
        Revoked::Key(name) if state.tickets.signs_with(name.as_str(), now) => {
            let detail = "this key signs at present, and every new token would be refused; put another in force as \
                          REND_PLAYBACK_SIGNING_KEY_ID first, with this one among REND_PLAYBACK_VERIFY_KEYS";
            Err(ApiError::Conflict { detail: detail.to_owned() })
        }
        Revoked::Org(_) | Revoked::Session(_) | Revoked::Key(_) => Ok(()),
    }
}

/// Tells every edge that was heard of lately, also one that drains: it still serves.
async fn push(state: &State, row: &RevocationRow) -> Told {
    let now = state.clock.wall();
    let edges = state.stores.edges.all().await.unwrap_or_default();
    let body: Bytes = serde_json::to_vec(&RevocationWire::from(row)).unwrap_or_default().into();
    let heard = edges.iter().filter(|edge| now.since(edge.beat_at) <= state.config.heartbeat_window);
    let answers = join_all(heard.map(|edge| {
        let request = Request {
            method: Method::Post,
            url: format!("{}/internal/revoke", edge.private_url.trim_end_matches('/')),
            headers: vec![
                ("authorization", state.config.edge_token.header()),
                ("content-type", "application/json".into()),
            ],
            body: body.clone(),
        };
        async move {
            let answer = tokio::time::timeout(PUSH_TIMEOUT, state.client.send(request)).await;
            let told = matches!(&answer, Ok(Ok(answer)) if answer.is_success());
            if !told {
                tracing::warn!(edge = %edge.id, seq = row.seq, "an edge did not take a revocation; it learns it with its next heartbeat");
            }
            told
        }
    }))
    .await;
    Told { asked: answers.len(), told: answers.into_iter().filter(|told| *told).count() }
}

async fn page(state: &State, query: &str) -> Answer {
    let (mut after, mut limit) = (0, ROWS_MAX);
    for (name, value) in query_pairs(query) {
        match name.as_str() {
            "after" => after = value.parse().map_err(|_| ApiError::field("after", "the place of a revocation"))?,
            "limit" => {
                limit = value
                    .parse()
                    .ok()
                    .filter(|limit| (1..=ROWS_MAX).contains(limit))
                    .ok_or_else(|| ApiError::field("limit", "a number from 1 to 1000"))?;
            }
            other => {
                return Err(ApiError::field("query", format!("`{other}` is not known; known are after and limit")));
            }
        }
    }
    // The head first: what is appended between the two readings is then only shown, and never skipped.
    let head = state.stores.revocations.revocation_head().await?;
    let rows = state.stores.revocations.revocations_after(after, state.clock.wall(), limit).await?;
    json(StatusCode::OK, &RevocationsAnswer::new(&rows, head))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(body: &str, expect: Result<(&str, Option<u64>), &str>) {
        let now = Timestamp::from_secs(1000);
        let wish: Wish = serde_json::from_str(body).unwrap();
        let read = wish.what().and_then(|what| Ok((what.kind(), wish.issued_before(&what, now)?)));
        match (read, expect) {
            (Ok((kind, before)), Ok(expect)) => assert_eq!((kind, before.map(Timestamp::as_secs)), expect, "{body}"),
            (Err(ApiError::Field { pointer, .. }), Err(expect)) => assert_eq!(pointer, expect, "{body}"),
            (read, _) => panic!("{body}: {read:?}"),
        }
    }

    #[test]
    fn a_wish_names_one_subject_and_what_of_it() {
        let id = "018f5d3e-7c1a-7b2c-9d4e-5f60718293a4";
        check(r#"{"key":"2026-01"}"#, Ok(("key", None)));
        check(r#"{"key":"2026-01","issued_before":"1970-01-01T00:10:00Z"}"#, Ok(("key", Some(600))));
        check(&format!(r#"{{"asset":"{id}"}}"#), Ok(("asset", Some(1000))));
        check(&format!(r#"{{"org":"{id}","issued_before":"1970-01-01T00:21:40Z"}}"#), Ok(("org", Some(1300))));
        check(&format!(r#"{{"org":"{id}","issued_before":"1970-01-01T00:21:41Z"}}"#), Err("/issued_before"));
        check(r#"{"session":"9f3c2a7b11d04e"}"#, Ok(("session", None)));
        check(r#"{"session":"9f3c2a7b11d04e","issued_before":"1970-01-01T00:10:00Z"}"#, Err("/issued_before"));
        check(r#"{"session":"9f3c"}"#, Err("/session"));
        check(r#"{"key":"a=b"}"#, Err("/key"));
        check(r#"{"asset":"x"}"#, Err("/asset"));
        check(r#"{}"#, Err("body"));
        check(r#"{"key":"a","session":"9f3c2a7b11d04e"}"#, Err("body"));
    }
}
