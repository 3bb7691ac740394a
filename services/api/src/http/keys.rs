//! `/v1/keys`: API keys are made, listed and revoked.

use std::sync::Arc;

use bytes::Bytes;
use http::StatusCode;
use rend_core::credential::{Credential, Scope, Scopes};
use rend_core::id::{CredentialId, OrgId};
use rend_core::time::Timestamp;
use rend_shell::body::capped;
use rend_storage::StoreError;
use rend_storage::credentials::CredentialStore;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use warp::Filter;
use warp::filters::BoxedFilter;

use crate::auth::{Caller, state_and_caller};
use crate::error::ApiError;
use crate::http::{Answer, empty, get, json};
use crate::once::{made_once, once_key};
use crate::state::State;
use crate::wire::{Page, hex};

/// Bytes of a wish for a key, at most.
const BODY_BYTES_MAX: usize = 4 << 10;

pub(crate) fn routes(state: &Arc<State>) -> BoxedFilter<(Answer,)> {
    let admin = || state_and_caller(state, Scope::Admin);
    let list = warp::path!("v1" / "keys")
        .and(get())
        .and(admin())
        .then(|state: Arc<State>, caller: Result<Caller, ApiError>| async move { list(&state, caller?).await });
    let create = warp::path!("v1" / "keys")
        .and(warp::post())
        .and(admin())
        .and(once_key())
        .and(capped(BODY_BYTES_MAX))
        .then(|state, caller, key, body| made_once(state, caller, key, body, b"key", create));
    let revoke = warp::path!("v1" / "keys" / CredentialId).and(warp::delete()).and(admin()).then(
        |id, state: Arc<State>, caller: Result<Caller, ApiError>| async move { revoke(&state, caller?, id).await },
    );
    list.or(create).unify().or(revoke).unify().boxed()
}

/// A new key: what is remembered of it, and the key itself, which is shown once.
///
/// # Errors
///
/// What [`CredentialStore::insert`] answers.
pub async fn make_key(
    store: &dyn CredentialStore,
    org: OrgId,
    name: &str,
    scopes: Scopes,
    expires_at: Option<Timestamp>,
    now: Timestamp,
) -> Result<(Credential, String), StoreError> {
    let key = format!("rend_live_{}", hex(&rend_shell::entropy::<32>()));
    let credential = Credential {
        id: CredentialId::new(now, rend_shell::ten()),
        org,
        name: name.to_owned(),
        prefix: key[..PREFIX_CHARS].to_owned(),
        digest: Sha256::digest(key.as_bytes()).into(),
        scopes,
        created_at: now,
        expires_at,
        last_used_at: None,
        revoked_at: None,
    };
    store.insert(&credential).await?;
    Ok((credential, key))
}

/// Characters of a key that are kept to recognise it by: `rend_live_` and six digits, 24 bits of 256.
const PREFIX_CHARS: usize = 16;

#[derive(Serialize)]
struct KeyJson {
    id: String,
    name: String,
    prefix: String,
    scopes: Vec<String>,
    created_at: String,
    expires_at: Option<String>,
    last_used_at: Option<String>,
    revoked_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
}

impl KeyJson {
    fn new(credential: &Credential, key: Option<String>) -> Self {
        let text = |at: Option<Timestamp>| at.map(|at| at.to_string());
        Self {
            id: credential.id.to_string(),
            name: credential.name.clone(),
            prefix: credential.prefix.clone(),
            scopes: credential.scopes.to_string().split(',').filter(|s| !s.is_empty()).map(str::to_owned).collect(),
            created_at: credential.created_at.to_string(),
            expires_at: text(credential.expires_at),
            last_used_at: text(credential.last_used_at),
            revoked_at: text(credential.revoked_at),
            key,
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wish {
    name: String,
    scopes: Vec<String>,
    expires_at: Option<String>,
}

async fn list(state: &State, caller: Caller) -> Answer {
    let keys = state.stores.credentials.list(caller.org).await?;
    json(StatusCode::OK, &Page { data: keys.iter().map(|key| KeyJson::new(key, None)).collect(), next_cursor: None })
}

async fn create(state: Arc<State>, caller: Caller, body: Bytes) -> Answer {
    let wish: Wish = serde_json::from_slice(&body)
        .map_err(|e| ApiError::field("body", format!("a JSON object of name, scopes and expires_at ({e})")))?;
    if wish.name.is_empty() || wish.name.chars().count() > 100 {
        return Err(ApiError::field("/name", "1 to 100 characters"));
    }
    let known = "of upload, read, delete, analytics and admin, at least one";
    let scopes: Scopes = wish.scopes.join(",").parse().map_err(|_| ApiError::field("/scopes", known))?;
    if scopes == Scopes::NONE {
        return Err(ApiError::field("/scopes", known));
    }
    let now = state.clock.wall();
    let expires_at = wish
        .expires_at
        .map(|text| text.parse::<Timestamp>())
        .transpose()
        .ok()
        .filter(|end| end.is_none_or(|end| end > now))
        .ok_or_else(|| ApiError::field("/expires_at", "an RFC 3339 time in the future"))?;
    let (credential, key) =
        make_key(state.stores.credentials.as_ref(), caller.org, &wish.name, scopes, expires_at, now).await?;
    json(StatusCode::CREATED, &KeyJson::new(&credential, Some(key)))
}

async fn revoke(state: &State, caller: Caller, id: CredentialId) -> Answer {
    let keys = state.stores.credentials.list(caller.org).await?;
    if !keys.iter().any(|key| key.id == id) {
        return Err(ApiError::NotFound { what: "key" });
    }
    state.stores.credentials.revoke(id, state.clock.wall()).await?;
    empty(StatusCode::NO_CONTENT)
}
