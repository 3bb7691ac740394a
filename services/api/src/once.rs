//! A request that names itself is done once: `Idempotency-Key`.
//!
//! What was answered is kept in the database for a day, sealed with what only the caller and this deployment know: an answer
//! may hold what is shown once, such as a key, and whoever reads the database does not read it there. While a request is
//! under way its name is taken under a lease, so a process that dies in the middle frees it after a minute.

use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use rend_core::id::{LeaseToken, OrgId};
use rend_core::time::Timestamp;
use rend_core::upload::idempotency::{ANSWER_KEPT, KEY_CHARS_MAX, is_key};
use rend_shell::body::BodyError;
use rend_storage::StoreError;
use rend_storage::answers::{Asked, Begun, TAKEN};
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use sha2::{Digest, Sha256};
use warp::{Filter, Reply};

use crate::auth::Caller;
use crate::error::ApiError;
use crate::http::Answer;
use crate::state::{State, Stores};

/// The name that a caller gave its request. Holding one proves that it may be a key.
#[derive(Clone, Debug)]
pub(crate) struct OnceKey(String);

/// Extracts the request's name, if it has one.
pub(crate) fn once_key()
-> impl Filter<Extract = (Result<Option<OnceKey>, ApiError>,), Error = Infallible> + Clone + Send + Sync + 'static {
    warp::header::headers_cloned().map(|headers: HeaderMap| named(&headers))
}

/// The name that `headers` give their request, if they do.
///
/// # Errors
///
/// [`ApiError::Field`] for what can be no name.
pub(crate) fn named(headers: &HeaderMap) -> Result<Option<OnceKey>, ApiError> {
    let Some(value) = headers.get("idempotency-key") else { return Ok(None) };
    let key = value.to_str().ok().filter(|key| is_key(key));
    let wrong =
        || ApiError::field("Idempotency-Key", format!("1 to {KEY_CHARS_MAX} visible ASCII characters, without spaces"));
    key.map(|key| Some(OnceKey(key.to_owned()))).ok_or_else(wrong)
}

/// Does `work` unless a request with this name did it before: then the first answer is given again.
///
/// `asked` is all that makes the request what it is: its route, its parameters and its body. Only what was done is
/// remembered; a refusal did nothing, and is judged anew. A caller that hangs up does not stop what it began.
pub(crate) async fn once(
    state: &Arc<State>,
    org: OrgId,
    key: Option<OnceKey>,
    asked: &[&[u8]],
    work: impl Future<Output = Answer> + Send + 'static,
) -> Answer {
    let Some(OnceKey(key)) = key else { return work.await };
    let now = state.clock.wall();
    let (place, holder) = (digest(&[org.as_bytes(), key.as_bytes()]), LeaseToken::new(now, rend_shell::ten()));
    let seal = state.sealer.seal_of(org, &key);
    let begins = Asked { place, asked_sha256: digest(asked), holder, now, until: now + TAKEN };
    match state.stores.answers.begin_answer(&begins).await? {
        Begun::Do => {}
        Begun::Replay(sealed) => {
            // What can not be opened was sealed before the deployment's secret changed.
            let kept = seal.open(sealed).as_deref().and_then(Kept::read).ok_or(ApiError::OnceReused)?;
            return Ok(kept.replay());
        }
        Begun::Running => return Err(ApiError::OnceRunning),
        Begun::Other => return Err(ApiError::OnceReused),
    }
    let state = Arc::clone(state);
    let task = rend_shell::spawn("once", async move {
        let answer = tokio::select! {
            answer = work => answer,
            () = stay(&state, place, holder) => Err(ApiError::Store(StoreError::LeaseLost)),
        };
        let (kept, answer) = match answer {
            Ok(response) => match rend_shell::body::small(response, ANSWER_BYTES_MAX).await {
                Ok(response) => (Some(seal.close(&Kept::of(&response).write())), Ok(response.into_response())),
                // Too large to keep: a repeat would be done again.
                Err(response) => (None, Ok(response)),
            },
            Err(error) => (None, Err(error)),
        };
        if let Err(error) = state.stores.answers.end_answer(place, holder, kept.as_deref()).await {
            tracing::warn!(%error, "an answer could not be remembered; a repeat within the minute waits, a later one is done anew");
        }
        answer
    });
    task.await.unwrap_or_else(|_| Err(ApiError::Store(StoreError::Unavailable("the request's task ended".into()))))
}

/// Has `make` make a thing of the kind `what` out of a body, by [`once`].
pub(crate) async fn made_once<F: Future<Output = Answer> + Send + 'static>(
    state: Arc<State>,
    caller: Result<Caller, ApiError>,
    key: Result<Option<OnceKey>, ApiError>,
    body: Result<Bytes, BodyError>,
    what: &'static [u8],
    make: impl FnOnce(Arc<State>, Caller, Bytes) -> F,
) -> Answer {
    let (caller, body) = (caller?, body?);
    let made = make(Arc::clone(&state), caller, body.clone());
    once(&state, caller.org, key?, &[what, &body], made).await
}

/// Keeps a name taken while its request is under way. It ends only when the name is somebody else's, which it never is as
/// long as the database answers once a minute.
async fn stay(state: &State, place: [u8; 32], holder: LeaseToken) {
    loop {
        tokio::time::sleep(TAKEN / 4).await;
        let until = state.clock.wall() + TAKEN;
        match state.stores.answers.extend_answer(place, holder, until).await {
            Ok(()) => {}
            // What it began goes on: to stop in the middle would not make it undone.
            Err(error) => tracing::warn!(%error, "the name of a request could not be kept taken"),
        }
    }
}

/// Forgets answers that are older than a day, and the oldest of too many; answers how many.
pub(crate) async fn forget(stores: &Stores, now: Timestamp) -> Result<usize, StoreError> {
    let mut forgotten = 0;
    for _ in 0..FORGET_ROUNDS {
        let some = stores.answers.forget_answers(now - ANSWER_KEPT, ANSWERS_MAX, FORGET_ROWS).await?;
        forgotten += some;
        if some < FORGET_ROWS {
            break;
        }
    }
    Ok(forgotten)
}

/// An answer that was given. It has no `Debug`, since the answer to a new key holds the key.
#[derive(Clone, Eq, PartialEq)]
struct Kept {
    status: StatusCode,
    headers: Vec<(header::HeaderName, HeaderValue)>,
    body: Bytes,
}

impl Kept {
    fn of(response: &Response<Bytes>) -> Self {
        let headers = response.headers().iter().map(|(name, value)| (name.clone(), value.clone())).collect();
        Self { status: response.status(), headers, body: response.body().clone() }
    }

    /// The status in two bytes, the number of headers in two, then names, values and the body, each after its length in four.
    fn write(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.body.len() + 512);
        bytes.extend(self.status.as_u16().to_be_bytes());
        bytes.extend((self.headers.len() as u16).to_be_bytes());
        let headers = self.headers.iter().flat_map(|(name, value)| [name.as_str().as_bytes(), value.as_bytes()]);
        for part in headers.chain([&self.body[..]]) {
            bytes.extend((part.len() as u32).to_be_bytes());
            bytes.extend(part);
        }
        bytes
    }

    fn read(mut bytes: &[u8]) -> Option<Self> {
        let status = StatusCode::from_u16(u16::from_be_bytes(*bytes.split_off(..2)?.first_chunk()?)).ok()?;
        let headers = u16::from_be_bytes(*bytes.split_off(..2)?.first_chunk()?);
        let mut part = || {
            let len = u32::from_be_bytes(*bytes.split_off(..4)?.first_chunk()?);
            bytes.split_off(..usize::try_from(len).ok()?)
        };
        let mut header =
            || Some((header::HeaderName::from_bytes(part()?).ok()?, HeaderValue::from_bytes(part()?).ok()?));
        let headers = (0..headers).map(|_| header()).collect::<Option<_>>()?;
        let body = Bytes::copy_from_slice(part()?);
        bytes.is_empty().then_some(Self { status, headers, body })
    }

    fn replay(self) -> warp::reply::Response {
        let mut response = Response::new(self.body);
        *response.status_mut() = self.status;
        response.headers_mut().extend(self.headers);
        response.headers_mut().insert("idempotency-replayed", HeaderValue::from_static("true"));
        response.into_response()
    }
}

/// Seals answers with what this deployment and the caller know.
pub(crate) struct Sealer([u8; 32]);

impl Sealer {
    /// `secret` is known to every process of the control plane and to nobody who reads the database.
    pub(crate) fn new(secret: &str) -> Self {
        Self(digest(&[b"rend answers", secret.as_bytes()]))
    }

    /// The seal of what is answered to the request that its caller named `key`.
    fn seal_of(&self, org: OrgId, key: &str) -> Seal {
        Seal(digest(&[&self.0, org.as_bytes(), key.as_bytes()]))
    }
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sealer")
    }
}

struct Seal([u8; 32]);

impl Seal {
    /// A nonce, then the answer sealed. Each name has a seal of its own and hardly ever a second answer, so that chance
    /// gives no nonce twice.
    fn close(&self, answer: &[u8]) -> Vec<u8> {
        let nonce: [u8; NONCE_LEN] = rend_shell::entropy();
        let mut sealed = answer.to_vec();
        if let Some(key) = self.key()
            && key.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::empty(), &mut sealed).is_ok()
        {
            return [&nonce[..], &sealed].concat();
        }
        Vec::new()
    }

    fn open(&self, mut sealed: Vec<u8>) -> Option<Vec<u8>> {
        let nonce = *sealed.first_chunk::<NONCE_LEN>()?;
        let nonce = Nonce::assume_unique_for_key(nonce);
        let opened = self.key()?.open_within(nonce, Aad::empty(), &mut sealed, NONCE_LEN..).ok()?;
        Some(opened.to_vec())
    }

    fn key(&self) -> Option<LessSafeKey> {
        UnboundKey::new(&CHACHA20_POLY1305, &self.0).map(LessSafeKey::new).ok()
    }
}

/// Answers that are remembered, at most; of more, the oldest are forgotten.
const ANSWERS_MAX: usize = 1_000_000;
/// Bytes of one of them, at most.
const ANSWER_BYTES_MAX: usize = 64 << 10;
/// Answers that are forgotten in one statement.
const FORGET_ROWS: usize = 1000;
/// Statements of one look.
const FORGET_ROUNDS: usize = 20;

/// The SHA-256 of `parts`, each with its length, so that no two lists give one text.
fn digest(parts: &[&[u8]]) -> [u8; 32] {
    let mut sha256 = Sha256::new();
    for part in parts {
        sha256.update((part.len() as u64).to_be_bytes());
        sha256.update(part);
    }
    sha256.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(body: &'static [u8]) -> Kept {
        let value = HeaderValue::from_bytes(b"a\xe4 b").unwrap();
        let headers = vec![(header::ETAG, HeaderValue::from_static("\"1\"")), (header::LOCATION, value)];
        Kept { status: StatusCode::CREATED, headers, body: Bytes::from_static(body) }
    }

    #[test]
    fn an_answer_reads_back_and_nothing_else_does() {
        for kept in [kept(b""), kept(b"{}"), Kept { headers: Vec::new(), ..kept(b"x") }] {
            let bytes = kept.write();
            assert!(Kept::read(&bytes) == Some(kept));
            for cut in 0..bytes.len() {
                assert!(Kept::read(&bytes[..cut]).is_none(), "{cut}");
            }
            assert!(Kept::read(&[&bytes[..], b"x"].concat()).is_none());
        }
    }

    #[test]
    fn a_seal_is_opened_by_the_same_name_of_the_same_owner_and_deployment() {
        let (ours, theirs) = (Sealer::new("secret"), Sealer::new("other"));
        let org = |n| OrgId::from_bytes([n; 16]);
        let sealed = ours.seal_of(org(1), "key").close(b"rend_live_shown_once");
        assert!(!sealed.windows(4).any(|part| part == b"rend"));
        assert_eq!(ours.seal_of(org(1), "key").open(sealed.clone()).as_deref(), Some(&b"rend_live_shown_once"[..]));
        for seal in [ours.seal_of(org(2), "key"), ours.seal_of(org(1), "kez"), theirs.seal_of(org(1), "key")] {
            assert_eq!(seal.open(sealed.clone()), None);
        }
        assert_eq!(ours.seal_of(org(1), "key").open(b"short".to_vec()), None);
    }

    #[test]
    fn parts_are_told_apart_by_where_they_end() {
        assert_ne!(digest(&[b"ab", b"c"]), digest(&[b"a", b"bc"]));
    }
}
