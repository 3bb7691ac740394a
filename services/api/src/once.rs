//! A request that names itself is done once: `Idempotency-Key`.
//!
//! What is remembered lies behind [`AnswerBook`]. The one that there is keeps it in this process, within bounds: a restart
//! forgets it, and a caller behind several API processes must reach the same one.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use rend_core::id::OrgId;
use rend_core::time::Timestamp;
use rend_core::upload::idempotency::{KEY_CHARS_MAX, Remembered, Verdict, is_key, judge};
use rend_storage::StoreError;
use sha2::{Digest, Sha256};
use warp::{Filter, Reply};

use crate::error::ApiError;
use crate::http::Answer;
use crate::state::State;

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
    let place = digest(&[org.as_bytes(), key.as_bytes()]);
    match state.answers.begin(place, digest(asked), state.clock.wall()) {
        Begun::Do => {}
        Begun::Replay(kept) => return Ok(kept.replay()),
        Begun::Running => return Err(ApiError::OnceRunning),
        Begun::Other => return Err(ApiError::OnceReused),
        Begun::Full => return Err(ApiError::TooOften { retry_after: FULL_WAIT }),
    }
    let open = Open { state: Arc::clone(state), place, kept: None };
    let task = rend_shell::spawn("once", async move {
        let mut open = open;
        let response = work.await?;
        match rend_shell::body::small(response, ANSWER_BYTES_MAX).await {
            Ok(response) => {
                let kept = Kept::of(&response);
                open.kept = Some(kept);
                Ok(response.into_response())
            }
            // Too large to keep: a repeat would be done again.
            Err(response) => Ok(response),
        }
    });
    task.await.unwrap_or_else(|_| Err(ApiError::Store(StoreError::Unavailable("the request's task ended".into()))))
}

/// Remembers answers by the name of their request.
///
/// # Contract
///
/// Between `begin` that answers [`Begun::Do`] and `end` the name is taken. `end` without an answer frees it. What was
/// answered is kept for [`rend_core::upload::idempotency::ANSWER_KEPT`] unless there is no room.
pub(crate) trait AnswerBook: fmt::Debug + Send + Sync {
    /// A request named `place` asks for `asked`.
    fn begin(&self, place: [u8; 32], asked: [u8; 32], now: Timestamp) -> Begun;
    /// It was answered with `kept`, or with nothing to remember.
    fn end(&self, place: &[u8; 32], kept: Option<Kept>);
}

/// What to do with a request.
pub(crate) enum Begun {
    /// It is the first.
    Do,
    /// It was done, with this answer.
    Replay(Kept),
    /// It is being done.
    Running,
    /// Its name stands for another request.
    Other,
    /// No more requests can be under way at once.
    Full,
}

/// An answer that was given. It has no `Debug`, since the answer to a new key holds the key.
#[derive(Clone)]
pub(crate) struct Kept {
    status: StatusCode,
    headers: Vec<(header::HeaderName, HeaderValue)>,
    body: Bytes,
}

impl Kept {
    fn of(response: &Response<Bytes>) -> Self {
        let headers = response.headers().iter().map(|(name, value)| (name.clone(), value.clone())).collect();
        Self { status: response.status(), headers, body: response.body().clone() }
    }

    fn replay(self) -> warp::reply::Response {
        let mut response = Response::new(self.body);
        *response.status_mut() = self.status;
        response.headers_mut().extend(self.headers);
        response.headers_mut().insert("idempotency-replayed", HeaderValue::from_static("true"));
        response.into_response()
    }
}

/// Gives the name back when the work ends, also when it panics.
struct Open {
    state: Arc<State>,
    place: [u8; 32],
    kept: Option<Kept>,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.state.answers.end(&self.place, self.kept.take());
    }
}

/// Remembers in this process.
pub(crate) struct MemoryAnswers(Mutex<Book>);

#[derive(Default)]
struct Book {
    rows: BTreeMap<[u8; 32], Remembered<Kept>>,
    bytes: usize,
}

/// Answers that are remembered, at most; of more, the oldest is forgotten.
const ANSWERS_MAX: usize = 10_000;
/// Bytes of all of them, at most.
const ANSWERS_BYTES_MAX: usize = 32 << 20;
/// Bytes of one of them, at most.
const ANSWER_BYTES_MAX: usize = 64 << 10;
/// How long a caller waits while too many requests are under way.
const FULL_WAIT: Duration = Duration::from_secs(1);

impl Default for MemoryAnswers {
    fn default() -> Self {
        Self(Mutex::new(Book::default()))
    }
}

impl fmt::Debug for MemoryAnswers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MemoryAnswers")
    }
}

impl AnswerBook for MemoryAnswers {
    fn begin(&self, place: [u8; 32], asked: [u8; 32], now: Timestamp) -> Begun {
        let mut book = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match judge(book.rows.get(&place), &asked, now) {
            Verdict::Do => {}
            Verdict::Replay(kept) => return Begun::Replay(kept.clone()),
            Verdict::Running => return Begun::Running,
            Verdict::Other => return Begun::Other,
        }
        book.forget(&place);
        if book.rows.len() >= ANSWERS_MAX && !book.forget_oldest() {
            return Begun::Full;
        }
        book.rows.insert(place, Remembered { asked_sha256: asked, answer: None, at: now, until: Timestamp::MAX });
        Begun::Do
    }

    fn end(&self, place: &[u8; 32], kept: Option<Kept>) {
        let mut book = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(kept) = kept else { return book.forget(place) };
        let bytes = kept.body.len();
        if let Some(row) = book.rows.get_mut(place) {
            row.answer = Some(kept);
            book.bytes += bytes;
        }
        while book.bytes > ANSWERS_BYTES_MAX && book.forget_oldest() {}
    }
}

impl Book {
    fn forget(&mut self, place: &[u8; 32]) {
        if let Some(Remembered { answer: Some(kept), .. }) = self.rows.remove(place) {
            self.bytes -= kept.body.len();
        }
    }

    /// Forgets the oldest answer, and says whether there was one. What is under way is never forgotten.
    fn forget_oldest(&mut self) -> bool {
        let answered = self.rows.iter().filter(|(_, row)| row.answer.is_some());
        let oldest = answered.min_by_key(|(_, row)| row.at).map(|(place, _)| *place);
        if let Some(place) = oldest {
            self.forget(&place);
        }
        oldest.is_some()
    }
}

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

    fn place(n: usize) -> [u8; 32] {
        digest(&[&n.to_be_bytes()])
    }

    fn at(secs: usize) -> Timestamp {
        Timestamp::from_secs(1_800_000_000 + secs as u64)
    }

    fn kept(bytes: usize) -> Option<Kept> {
        Some(Kept { status: StatusCode::OK, headers: vec![], body: vec![0; bytes].into() })
    }

    fn word(begun: &Begun) -> &'static str {
        match begun {
            Begun::Do => "do",
            Begun::Replay(_) => "replay",
            Begun::Running => "running",
            Begun::Other => "other",
            Begun::Full => "full",
        }
    }

    #[test]
    fn a_name_is_taken_while_its_request_runs_and_replays_afterwards() {
        let book = MemoryAnswers::default();
        let ask = |asked: usize, secs| word(&book.begin(place(1), place(asked), at(secs)));
        assert_eq!((ask(1, 0), ask(1, 1), ask(2, 1)), ("do", "running", "other"));
        book.end(&place(1), None);
        assert_eq!(ask(2, 2), "do", "what did nothing leaves its name free");
        book.end(&place(1), kept(1));
        assert_eq!((ask(2, 3), ask(1, 3)), ("replay", "other"));
        assert_eq!(ask(1, 3 + 86_400), "do", "after a day it is a new name");
    }

    #[test]
    fn of_too_many_answers_the_oldest_is_forgotten_and_nothing_that_runs() {
        let book = MemoryAnswers::default();
        for n in 0..ANSWERS_MAX {
            assert_eq!(word(&book.begin(place(n), place(n), at(n))), "do");
            if n > 0 {
                book.end(&place(n), kept(1));
            }
        }
        assert_eq!(word(&book.begin(place(ANSWERS_MAX), place(0), at(ANSWERS_MAX))), "do");
        assert_eq!(word(&book.begin(place(0), place(0), at(ANSWERS_MAX))), "running");
        assert_eq!(word(&book.begin(place(2), place(2), at(ANSWERS_MAX))), "replay");
        assert_eq!(book.0.lock().unwrap().rows.len(), ANSWERS_MAX);
    }

    #[test]
    fn answers_take_no_more_bytes_than_they_may() {
        let book = MemoryAnswers::default();
        for n in 0..=ANSWERS_BYTES_MAX / ANSWER_BYTES_MAX {
            book.begin(place(n), place(n), at(n));
            book.end(&place(n), kept(ANSWER_BYTES_MAX));
        }
        let book = book.0.into_inner().unwrap();
        assert_eq!(book.bytes, ANSWERS_BYTES_MAX);
        assert!(!book.rows.contains_key(&place(0)));
    }

    #[test]
    fn parts_are_told_apart_by_where_they_end() {
        assert_ne!(digest(&[b"ab", b"c"]), digest(&[b"a", b"bc"]));
    }
}
