//! What was answered to requests that name themselves.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use rend_core::id::LeaseToken;
use rend_core::time::Timestamp;

use crate::StoreError;

/// Remembers answers by the name of their request, for every process alike.
///
/// # Contract
///
/// What a name is worth is judged by [`rend_core::upload::idempotency::judge`]. Of several that begin the same name at once
/// one is told [`Begun::Do`]. Once `end_answer` returned, no crash loses the answer. Answers may hold what is shown once:
/// who reads the store can read it for as long as they are kept. Every adapter passes `conformance::answers`.
#[async_trait]
pub trait AnswerStore: fmt::Debug + Send + Sync {
    /// A request named `asked.place` begins.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`].
    async fn begin_answer(&self, asked: &Asked) -> Result<Begun, StoreError>;

    /// The holder's request goes on: its name stays taken until `until`.
    ///
    /// # Errors
    ///
    /// [`StoreError::LeaseLost`] when the name is no longer `holder`'s, else [`StoreError::Unavailable`].
    async fn extend_answer(&self, place: [u8; 32], holder: LeaseToken, until: Timestamp) -> Result<(), StoreError>;

    /// The holder's request was answered with `answer`; with `None` it did nothing, and its name is free.
    ///
    /// # Errors
    ///
    /// [`StoreError::LeaseLost`] when the name is no longer `holder`'s: then nothing changed. Else
    /// [`StoreError::Unavailable`].
    async fn end_answer(&self, place: [u8; 32], holder: LeaseToken, answer: Option<&[u8]>) -> Result<(), StoreError>;

    /// Forgets what was first asked before `before`, oldest first, at most `rows`, and answers how much. While there are
    /// more than `most`, the oldest answers go as well.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`].
    async fn forget_answers(&self, before: Timestamp, most: usize, rows: usize) -> Result<usize, StoreError>;
}

/// A request that names itself.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Asked {
    /// The SHA-256 of its name and who gave it.
    pub place: [u8; 32],
    /// The SHA-256 of all that makes it what it is.
    pub asked_sha256: [u8; 32],
    /// Who is about to do it.
    pub holder: LeaseToken,
    /// The time.
    pub now: Timestamp,
    /// Until when its name is taken while it is not answered; after that somebody else may do it.
    pub until: Timestamp,
}

/// What to do with a request.
///
/// It has no `Debug`: the answer to a new key holds the key.
#[expect(missing_debug_implementations, reason = "an answer may hold a secret")]
#[derive(Clone, Eq, PartialEq)]
pub enum Begun {
    /// It is the first: do it.
    Do,
    /// It was done, with this answer.
    Replay(Vec<u8>),
    /// It is being done.
    Running,
    /// Its name stands for another request.
    Other,
}

impl Begun {
    /// The word for it, without what was answered.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Do => "do",
            Self::Replay(_) => "replay",
            Self::Running => "running",
            Self::Other => "other",
        }
    }
}

/// How long a name is taken by a request that says nothing: a process that dies leaves it free after this.
pub const TAKEN: Duration = Duration::from_secs(60);
