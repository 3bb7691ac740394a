//! Who asks, and whether they may.

use std::convert::Infallible;
use std::sync::Arc;

use rend_core::credential::{Credential, Scope};
use rend_core::id::OrgId;
use sha2::{Digest, Sha256};
use warp::Filter;

use crate::error::ApiError;
use crate::http::with_state;
use crate::state::State;

/// A caller whose key works and has the scope that its route wants.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Caller {
    /// Whom the key belongs to.
    pub org: OrgId,
}

/// Extracts the caller, or why there is none.
pub(crate) fn caller(
    state: &Arc<State>,
    scope: Scope,
) -> impl Filter<Extract = (Result<Caller, ApiError>,), Error = Infallible> + Clone + use<> {
    let state = Arc::clone(state);
    warp::header::optional::<String>("authorization").or_else(|_| async { Ok::<_, Infallible>((None,)) }).then(
        move |header: Option<String>| {
            let state = Arc::clone(&state);
            async move { check(&state, header.as_deref(), scope).await }
        },
    )
}

/// The same, beside the state that answers.
pub(crate) fn state_and_caller(
    state: &Arc<State>,
    scope: Scope,
) -> impl Filter<Extract = (Arc<State>, Result<Caller, ApiError>), Error = Infallible> + Clone + use<> {
    with_state(state).and(caller(state, scope))
}

async fn check(state: &State, header: Option<&str>, scope: Scope) -> Result<Caller, ApiError> {
    let key = header.and_then(bearer).ok_or(ApiError::Unauthorized)?;
    let digest: [u8; 32] = Sha256::digest(key.as_bytes()).into();
    let credential = match state.stores.credentials.by_digest(&digest).await {
        Ok(credential) => credential,
        Err(rend_storage::StoreError::NotFound { .. }) => return Err(ApiError::Unauthorized),
        Err(error) => return Err(error.into()),
    };
    let now = state.clock.wall();
    if !credential.is_live(now) {
        return Err(ApiError::Unauthorized);
    }
    if !credential.scopes.has(scope) {
        return Err(ApiError::Forbidden { scope: scope.as_str() });
    }
    note_use(state, &credential, now).await;
    Ok(Caller { org: credential.org })
}

/// The last use is kept to the minute, so that reading does not become writing.
async fn note_use(state: &State, credential: &Credential, now: rend_core::time::Timestamp) {
    let fresh = credential.last_used_at.is_some_and(|at| now.since(at).as_secs() < 60);
    if !fresh && let Err(error) = state.stores.credentials.touch(credential.id, now).await {
        tracing::warn!(%error, "the last use of a key was not noted");
    }
}

/// The token of an `Authorization: Bearer` header.
pub(crate) fn bearer(header: &str) -> Option<&str> {
    let (scheme, token) = header.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}
