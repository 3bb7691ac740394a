//! `/v1/webhook-endpoints`: who is told of events.

use std::sync::Arc;

use bytes::Bytes;
use http::StatusCode;
use rend_core::credential::Scope;
use rend_core::id::WebhookId;
use rend_core::time::Timestamp;
use rend_core::webhook::deliver::{Progress, WAITING_MAX};
use rend_core::webhook::{
    DESCRIPTION_CHARS_MAX, ENDPOINTS_MAX, Endpoint, Kinds, Secret, State as EndpointState, Why, seq_of,
};
use rend_shell::body::{BodyError, capped};
use rend_storage::StoreError;
use serde::{Deserialize, Serialize};
use warp::Filter;
use warp::filters::BoxedFilter;

use crate::auth::{Caller, state_and_caller};
use crate::error::ApiError;
use crate::http::{Answer, empty, get, json};
use crate::ingest::fetch::{judge, parse};
use crate::once::{made_once, once_key};
use crate::state::State;
use crate::webhooks::{Message, Sender, Sent, change, event_at};
use crate::wire::{Page, given};

/// Bytes of a body, at most: a URL of 2048 characters and the rest.
const BODY_BYTES_MAX: usize = 16 << 10;

pub(crate) fn routes(state: &Arc<State>) -> BoxedFilter<(Answer,)> {
    let admin = || state_and_caller(state, Scope::Admin);
    let list = warp::path!("v1" / "webhook-endpoints")
        .and(get())
        .and(admin())
        .then(|state: Arc<State>, caller: Result<Caller, ApiError>| async move { list(&state, caller?).await });
    let create = warp::path!("v1" / "webhook-endpoints")
        .and(warp::post())
        .and(admin())
        .and(once_key())
        .and(capped(BODY_BYTES_MAX))
        .then(|state, caller, key, body| made_once(state, caller, key, body, b"webhook-endpoint", create));
    let show = warp::path!("v1" / "webhook-endpoints" / WebhookId).and(get()).and(admin()).then(
        |id, state: Arc<State>, caller: Result<Caller, ApiError>| async move {
            json(StatusCode::OK, &EndpointJson::new(&owned(&state, caller?, id).await?))
        },
    );
    let edit = warp::path!("v1" / "webhook-endpoints" / WebhookId)
        .and(warp::patch())
        .and(admin())
        .and(capped(BODY_BYTES_MAX))
        .then(|id, state: Arc<State>, caller: Result<Caller, ApiError>, body: Result<Bytes, BodyError>| async move {
            edit(&state, caller?, id, &body?).await
        });
    let remove = warp::path!("v1" / "webhook-endpoints" / WebhookId).and(warp::delete()).and(admin()).then(
        |id, state: Arc<State>, caller: Result<Caller, ApiError>| async move {
            owned(&state, caller?, id).await?;
            state.stores.webhooks.remove_webhook(id).await?;
            empty(StatusCode::NO_CONTENT)
        },
    );
    let rotate =
        warp::path!("v1" / "webhook-endpoints" / WebhookId / "rotate-secret").and(warp::post()).and(admin()).then(
            |id, state: Arc<State>, caller: Result<Caller, ApiError>| async move { rotate(&state, caller?, id).await },
        );
    let replay = warp::path!("v1" / "webhook-endpoints" / WebhookId / "replay")
        .and(warp::post())
        .and(admin())
        .and(capped(BODY_BYTES_MAX))
        .then(|id, state: Arc<State>, caller: Result<Caller, ApiError>, body: Result<Bytes, BodyError>| async move {
            replay(&state, caller?, id, &body?).await
        });
    let test = warp::path!("v1" / "webhook-endpoints" / WebhookId / "test")
        .and(warp::post())
        .and(admin())
        .then(|id, state: Arc<State>, caller: Result<Caller, ApiError>| async move { test(&state, caller?, id).await });
    let named = show.or(edit).unify().or(remove).unify().or(rotate).unify().or(replay).unify().or(test).unify();
    list.or(create).unify().or(named).unify().boxed()
}

#[derive(Serialize)]
struct EndpointJson {
    id: String,
    url: String,
    description: String,
    events: Vec<&'static str>,
    enabled: bool,
    disabled_why: Option<&'static str>,
    disabled_at: Option<String>,
    /// The place of the log up to which it was told, or what did not arrive waits.
    cursor: u64,
    /// How many events wait for another try.
    waiting: usize,
    next_try_at: Option<String>,
    created_at: String,
    updated_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<String>,
}

impl EndpointJson {
    fn new(endpoint: &Endpoint) -> Self {
        let (why, at) = match &endpoint.state {
            EndpointState::Active => (None, None),
            EndpointState::Disabled { why, at, .. } => (Some(why.as_str()), Some(at.to_string())),
        };
        Self {
            id: endpoint.id.to_string(),
            url: endpoint.url.clone(),
            description: endpoint.description.clone(),
            events: endpoint.wants.names().collect(),
            enabled: endpoint.is_active(),
            disabled_why: why,
            disabled_at: at,
            cursor: endpoint.progress.cursor,
            waiting: endpoint.progress.waiting.len(),
            next_try_at: endpoint.progress.next_due().map(|at| at.to_string()),
            created_at: endpoint.created_at.to_string(),
            updated_at: endpoint.updated_at.to_string(),
            secret: None,
        }
    }

    /// The same with the secret, which is shown here and never again.
    fn with_secret(endpoint: &Endpoint) -> Self {
        Self { secret: Some(endpoint.secret.expose()), ..Self::new(endpoint) }
    }
}

/// A new endpoint as it is wished for.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wish {
    url: Option<String>,
    description: Option<String>,
    events: Option<Vec<String>>,
    enabled: Option<bool>,
}

/// What is to change of an endpoint; what is absent stays.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Change {
    #[serde(default, deserialize_with = "given")]
    url: Option<String>,
    #[serde(default, deserialize_with = "given")]
    description: Option<String>,
    #[serde(default, deserialize_with = "given")]
    events: Option<Vec<String>>,
    #[serde(default, deserialize_with = "given")]
    enabled: Option<bool>,
}

impl From<Change> for Wish {
    fn from(Change { url, description, events, enabled }: Change) -> Self {
        Self { url, description, events, enabled }
    }
}

fn read<'b, T: Deserialize<'b>>(body: &'b [u8]) -> Result<T, ApiError> {
    let wrong = "a JSON object of url, description, events and enabled";
    serde_json::from_slice(body).map_err(|e| ApiError::field("body", format!("{wrong} ({e})")))
}

impl Wish {
    fn judge(&self, state: &State) -> Result<(), ApiError> {
        if let Some(url) = &self.url {
            let judged = parse(url).and_then(|url| judge(state.config.webhook_guard, &url));
            judged.map_err(|refused| ApiError::field("/url", refused.to_string()))?;
        }
        if self.description.as_ref().is_some_and(|text| text.chars().count() > DESCRIPTION_CHARS_MAX) {
            return Err(ApiError::field("/description", "at most 255 characters"));
        }
        Ok(())
    }

    fn kinds(&self) -> Result<Option<Kinds>, ApiError> {
        let Some(names) = &self.events else { return Ok(None) };
        let wrong = "names of events such as `rendition.ready`; none for all. They stand in the documentation";
        Kinds::new(names.iter().map(String::as_str)).map(Some).map_err(|_| ApiError::field("/events", wrong))
    }
}

async fn owned(state: &State, caller: Caller, id: WebhookId) -> Result<Endpoint, ApiError> {
    let endpoint = state.stores.webhooks.webhook(id).await?;
    if endpoint.org == caller.org { Ok(endpoint) } else { Err(ApiError::NotFound { what: "webhook endpoint" }) }
}

async fn list(state: &State, caller: Caller) -> Answer {
    let rows = state.stores.webhooks.webhooks(caller.org).await?;
    json(StatusCode::OK, &Page { data: rows.iter().map(EndpointJson::new).collect(), next_cursor: None })
}

/// A new endpoint is told of what happens from now on.
async fn create(state: Arc<State>, caller: Caller, body: Bytes) -> Answer {
    let wish: Wish = read(&body)?;
    wish.judge(&state)?;
    let wants = wish.kinds()?.unwrap_or_default();
    let url = wish.url.ok_or_else(|| ApiError::field("/url", "where to send, such as https://example.com/hooks"))?;
    let now = state.clock.wall();
    let endpoint = Endpoint {
        id: WebhookId::new(now, rend_shell::ten()),
        org: caller.org,
        url,
        description: wish.description.unwrap_or_default(),
        wants,
        secret: Secret::from_bytes(rend_shell::entropy()),
        secret_before: None,
        state: EndpointState::Active,
        progress: Progress::from_place(state.stores.events.head().await?),
        revision: 1,
        created_at: now,
        updated_at: now,
    };
    let endpoint = if wish.enabled == Some(false) { endpoint.disabled(Why::ByOwner, now, None) } else { endpoint };
    state.stores.webhooks.insert_webhook(&endpoint, ENDPOINTS_MAX).await.map_err(|error| {
        if !matches!(error, StoreError::Conflict { .. }) {
            return error.into();
        }
        let detail = format!("there are {ENDPOINTS_MAX} endpoints, and no more may be; remove one first");
        ApiError::Conflict { detail }
    })?;
    json(StatusCode::CREATED, &EndpointJson::with_secret(&endpoint))
}

/// Changes a row and answers what it has become.
async fn changed(
    state: &State,
    id: WebhookId,
    mut how: impl FnMut(&Endpoint) -> Endpoint + Send,
) -> Result<Endpoint, ApiError> {
    let row = change(state, id, |row| Some(how(row))).await?;
    state.bus.wake();
    row.ok_or(ApiError::NotFound { what: "webhook endpoint" })
}

async fn edit(state: &State, caller: Caller, id: WebhookId, body: &[u8]) -> Answer {
    let wish = Wish::from(read::<Change>(body)?);
    wish.judge(state)?;
    let kinds = wish.kinds()?;
    owned(state, caller, id).await?;
    let now = state.clock.wall();
    let row = changed(state, id, |row| {
        let mut row = match wish.enabled {
            Some(true) => row.enabled(now),
            Some(false) => row.disabled(Why::ByOwner, now, None),
            None => row.clone(),
        };
        if let Some(url) = &wish.url {
            row.url.clone_from(url);
        }
        if let Some(description) = &wish.description {
            row.description.clone_from(description);
        }
        if let Some(kinds) = &kinds {
            row.wants = kinds.clone();
        }
        row.updated_at = now;
        row
    })
    .await?;
    json(StatusCode::OK, &EndpointJson::new(&row))
}

async fn rotate(state: &State, caller: Caller, id: WebhookId) -> Answer {
    owned(state, caller, id).await?;
    let (secret, now) = (Secret::from_bytes(rend_shell::entropy()), state.clock.wall());
    let row = changed(state, id, |row| row.with_new_secret(secret.clone(), now)).await?;
    json(StatusCode::OK, &EndpointJson::with_secret(&row))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ReplayWish {
    #[serde(default, deserialize_with = "given")]
    after: Option<u64>,
    #[serde(default, deserialize_with = "given")]
    event_id: Option<String>,
}

/// Has everything after a place told again, or one event.
async fn replay(state: &State, caller: Caller, id: WebhookId, body: &[u8]) -> Answer {
    let wish: ReplayWish = serde_json::from_slice(body)
        .map_err(|e| ApiError::field("body", format!("a JSON object of after or event_id ({e})")))?;
    let row = owned(state, caller, id).await?;
    let now = state.clock.wall();
    let row = match (wish.after, wish.event_id) {
        (Some(seq), None) => replay_after(state, id, seq).await?,
        (None, Some(event)) => {
            let wrong = || ApiError::field("/event_id", "the `webhook-id` of an event, such as evt_12");
            let seq = seq_of(&event).ok_or_else(wrong)?;
            event_at(state, &row, seq).await?.ok_or(ApiError::NotFound { what: "event" })?;
            let mut has_room = true;
            let row = changed(state, id, |row| {
                let mut row = row.clone();
                has_room = row.progress.replay(seq, now);
                row
            })
            .await?;
            if !has_room {
                let detail = format!("{WAITING_MAX} events wait for another try already; ask again once some arrived");
                return Err(ApiError::Conflict { detail });
            }
            row
        }
        (Some(_), Some(_)) | (None, None) => {
            return Err(ApiError::field("body", "exactly one of after and event_id"));
        }
    };
    json(StatusCode::ACCEPTED, &EndpointJson::new(&row))
}

async fn replay_after(state: &State, id: WebhookId, seq: u64) -> Result<Endpoint, ApiError> {
    if seq > state.stores.events.head().await? {
        return Err(ApiError::field("/after", "the `seq` of an event of this log, which has not come so far"));
    }
    changed(state, id, |row| {
        let mut row = row.clone();
        row.progress.replay_after(seq);
        row
    })
    .await
}

#[derive(Serialize)]
struct TestJson {
    arrived: bool,
    status: Option<u16>,
    detail: String,
}

/// Sends a message that tells of nothing, now and once, and answers what came of it.
async fn test(state: &State, caller: Caller, id: WebhookId) -> Answer {
    let row = owned(state, caller, id).await?;
    let now: Timestamp = state.clock.wall();
    let name = WebhookId::new(now, rend_shell::ten()).to_string();
    let sender = Sender::new(state.config.webhook_guard)
        .map_err(|_| ApiError::Store(StoreError::Unavailable("there is no TLS provider to send with".into())))?;
    let sent = sender.send(&row, &Message::test(&name, now), now).await;
    let (status, detail) = match sent {
        Sent::Answered(status @ 200..=299) => (Some(status), "the endpoint took it".to_owned()),
        Sent::Answered(status) => (Some(status), "the endpoint did not take it: it must answer 200 to 299".to_owned()),
        Sent::Late => (None, "no answer came within 10 seconds".to_owned()),
        Sent::Unreachable => (None, "no connection to the endpoint stood".to_owned()),
        Sent::Refused(why) => (None, format!("nothing is sent there; give {why}")),
    };
    let arrived = status.is_some_and(|status| (200..300).contains(&status));
    json(StatusCode::OK, &TestJson { arrived, status, detail })
}
