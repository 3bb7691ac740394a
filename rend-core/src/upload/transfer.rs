//! How far the bytes of a session have come, when they come in pieces.
//!
//! ```text
//!            take over (epoch + 1)            take over          all there
//!  writer 1 ──▶ part 0 ──▶ part 1 ─ ─ ✗        ┌──▶ part 2 ──▶ part 3 ──▶ assembled into one original
//!  writer 2 ───────────────────────────────────┘
//! ```
//!
//! Each writer takes the transfer over first and so ends the writer before it: what that one still stores is never
//! counted, because its parts carry an epoch that is over. A part counts once it is durable and written down, so the
//! number of received bytes is what a crash leaves.

use std::fmt;

use thiserror::Error;

use super::{UploadSession, UploadState};
use crate::artifact::ObjectKey;
use crate::id::UploadId;
use crate::time::Timestamp;

/// A session whose bytes come in pieces, as it was last known.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Transfer {
    /// The session.
    pub session: UploadSession,
    /// Bytes that are durable, from the first on without a gap.
    pub received: u64,
    /// How often it was taken over: the fence of its writers.
    pub epoch: u64,
    /// What the sender said of the file, as it said it; at most [`NOTE_BYTES_MAX`] bytes.
    pub note: String,
    /// Where it is fetched from, when nobody sends it.
    pub pull: Option<Pull>,
    /// How its parts go past the API, when they do.
    pub direct: Option<Direct>,
}

/// Bytes that a sender may say of its file.
pub const NOTE_BYTES_MAX: usize = 4096;

impl Transfer {
    /// A transfer of which nothing has come.
    pub const fn new(session: UploadSession, note: String, pull: Option<Pull>) -> Self {
        Self { session, received: 0, epoch: 0, note, pull, direct: None }
    }

    /// Whether every byte is there. One of unknown length never is: whoever sees its end says so with [`Step::Learn`].
    pub fn is_whole(&self) -> bool {
        self.received > 0 && self.session.bytes_expected == Some(self.received)
    }

    /// The transfer with a new writer. Every earlier writer's epoch is over.
    ///
    /// # Errors
    ///
    /// [`NotNext::Ended`].
    pub fn taken_over(&self) -> Result<Self, NotNext> {
        self.must_be_open()?;
        Ok(Self { epoch: self.epoch + 1, ..self.clone() })
    }

    /// The transfer after `step` of the writer of `epoch`.
    ///
    /// # Errors
    ///
    /// [`NotNext`] when it does not follow; nothing has changed then.
    pub fn after(&self, epoch: u64, step: &Step) -> Result<Self, NotNext> {
        self.must_be_open()?;
        if epoch != self.epoch {
            return Err(NotNext::TakenOver);
        }
        let mut next = self.clone();
        match step {
            Step::Append { parts, expires_at } => {
                for part in parts {
                    if part.start != next.received || part.bytes == 0 || part.epoch != epoch {
                        return Err(NotNext::Gap);
                    }
                    next.received = part.start.checked_add(part.bytes).ok_or(NotNext::Long)?;
                }
                if self.session.bytes_expected.is_some_and(|bytes| next.received > bytes) {
                    return Err(NotNext::Long);
                }
                next.session.expires_at = *expires_at;
            }
            Step::Learn { bytes_expected, validator } => {
                let pull = next.pull.as_mut().ok_or(NotNext::Known)?;
                if self.session.bytes_expected.is_some_and(|known| *bytes_expected != Some(known)) {
                    return Err(NotNext::Known);
                }
                if bytes_expected.is_some_and(|bytes| bytes < self.received) {
                    return Err(NotNext::Long);
                }
                next.session.bytes_expected = *bytes_expected;
                pull.validator.clone_from(validator);
            }
            Step::Restart => {
                let pull = next.pull.as_mut().ok_or(NotNext::Known)?;
                pull.validator = None;
                next.session.bytes_expected = None;
                next.received = 0;
            }
            Step::Renew { expires_at } => {
                if next.direct.is_none() {
                    return Err(NotNext::Known);
                }
                next.session.expires_at = *expires_at;
            }
            Step::Seal { sha256 } => {
                let direct = next.direct.as_mut().ok_or(NotNext::Known)?;
                if self.is_whole() && direct.sha256 != *sha256 {
                    return Err(NotNext::Known);
                }
                direct.sha256 = *sha256;
                next.received = self.session.bytes_expected.ok_or(NotNext::Known)?;
            }
        }
        Ok(next)
    }

    fn must_be_open(&self) -> Result<(), NotNext> {
        if self.session.state == UploadState::Open { Ok(()) } else { Err(NotNext::Ended) }
    }
}

/// One step of a writer.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Step {
    /// These parts are durable, in this order, right after what was received. It moves the end of the session.
    Append {
        /// The parts.
        parts: Vec<Part>,
        /// The session's new end.
        expires_at: Timestamp,
    },
    /// The place it is fetched from said how long it is and what its version is called.
    Learn {
        /// Its length in bytes, if known.
        bytes_expected: Option<u64>,
        /// The version, for asking for the same one again.
        validator: Option<String>,
    },
    /// The place it is fetched from has another file by now: begin again.
    Restart,
    /// The sender of parts goes on. It moves the end of the session.
    Renew {
        /// The session's new end.
        expires_at: Timestamp,
    },
    /// The object storage has put all parts together under the original's key: everything is there.
    Seal {
        /// The digest that the sender announced, if it did.
        sha256: Option<[u8; 32]>,
    },
}

/// Some consecutive bytes of an original, durable under a key of their own.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Part {
    /// Where in the original it begins.
    pub start: u64,
    /// How many bytes it has, at least one.
    pub bytes: u64,
    /// Who stored it. Two writers at one place never share a key.
    pub epoch: u64,
}

impl Part {
    /// Where its bytes lie.
    pub fn key(&self, upload: UploadId) -> ObjectKey {
        ObjectKey::upload_part(upload, self.start, self.epoch)
    }
}

/// The most bytes of a part: what a crash of the server loses at most, times the uploads under way.
pub const PART_BYTES_MAX: u64 = 16 << 20;

/// Where a file is fetched from. Its `Debug` does not show the URL, which may hold a signature.
#[derive(Clone, Eq, PartialEq)]
pub struct Pull {
    /// The URL as it was asked for.
    pub url: String,
    /// What the place calls this version of the file: its entity tag, or else when it last changed.
    pub validator: Option<String>,
}

impl fmt::Debug for Pull {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pull").field("validator", &self.validator.is_some()).finish_non_exhaustive()
    }
}

/// How the parts of an upload go past the API. Its `Debug` shows no name and no secret, which let in whoever has them.
#[derive(Clone, Eq, PartialEq)]
pub struct Direct {
    /// What the object storage calls the upload.
    pub name: String,
    /// Bytes of every part but the last: see [`Division`](super::parts::Division).
    pub part_bytes: u64,
    /// What the URLs of parts are signed with where the API takes them itself.
    pub secret: [u8; 32],
    /// The digest that the sender announced, once everything is there.
    pub sha256: Option<[u8; 32]>,
}

impl fmt::Debug for Direct {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { part_bytes, sha256, .. } = self;
        f.debug_struct("Direct").field("part_bytes", part_bytes).field("sha256", sha256).finish_non_exhaustive()
    }
}

/// Why a step does not follow. Trying the same again will not help; reading the transfer again may show what would.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum NotNext {
    /// The session has ended.
    #[error("the upload has ended")]
    Ended,
    /// Another writer has begun since.
    #[error("another request goes on with this upload")]
    TakenOver,
    /// The part does not begin where the received bytes end.
    #[error("the part does not begin where the received bytes end")]
    Gap,
    /// There would be more bytes than were announced.
    #[error("there are more bytes than were announced")]
    Long,
    /// The length is settled already, or is the sender's to say.
    #[error("the length is settled")]
    Known,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::id::{AssetId, OrgId};
    use crate::upload::transfers_hold;

    fn transfer(bytes_expected: Option<u64>, pull: bool) -> Transfer {
        let session = UploadSession {
            id: UploadId::from_bytes([1; 16]),
            asset: AssetId::from_bytes([2; 16]),
            org: OrgId::from_bytes([3; 16]),
            bytes_expected,
            state: UploadState::Open,
            expires_at: at(10),
            created_at: at(0),
        };
        let pull = pull.then(|| Pull { url: "https://example.com/a?signature=secret".into(), validator: None });
        Transfer::new(session, String::new(), pull)
    }

    fn at(secs: u64) -> Timestamp {
        Timestamp::from_secs(secs)
    }

    fn append(start: u64, bytes: u64, epoch: u64) -> Step {
        Step::Append { parts: vec![Part { start, bytes, epoch }], expires_at: at(20) }
    }

    #[track_caller]
    fn check(from: &Transfer, epoch: u64, step: &Step, expect: Result<u64, NotNext>) {
        assert_eq!(from.after(epoch, step).map(|next| next.received), expect, "{step:?}");
    }

    #[test]
    fn a_part_follows_only_where_the_last_ended_and_under_the_present_epoch() {
        let one = transfer(Some(10), false).taken_over().unwrap();
        check(&one, 1, &append(0, 4, 1), Ok(4));
        check(&one, 1, &append(0, 10, 1), Ok(10));
        check(&one, 1, &append(0, 11, 1), Err(NotNext::Long));
        check(&one, 1, &append(1, 4, 1), Err(NotNext::Gap));
        check(&one, 1, &append(0, 0, 1), Err(NotNext::Gap));
        check(&one, 0, &append(0, 4, 0), Err(NotNext::TakenOver));
        check(&one, 1, &append(0, 4, 0), Err(NotNext::Gap));
        let two = one.after(1, &append(0, 4, 1)).unwrap().taken_over().unwrap();
        check(&two, 1, &append(4, 4, 1), Err(NotNext::TakenOver));
        check(&two, 2, &append(4, 6, 2), Ok(10));
        assert_eq!(two.session.expires_at, at(20), "each part moves the end");
    }

    #[test]
    fn nothing_follows_an_end() {
        for state in [UploadState::Complete, UploadState::Abandoned] {
            let mut ended = transfer(Some(10), false);
            ended.session.state = state;
            check(&ended, 0, &append(0, 4, 0), Err(NotNext::Ended));
            assert_eq!(ended.taken_over(), Err(NotNext::Ended));
        }
    }

    #[test]
    fn only_a_pull_learns_its_length_and_only_once() {
        let learn = |bytes| Step::Learn { bytes_expected: bytes, validator: Some("\"v\"".into()) };
        check(&transfer(Some(10), false), 0, &learn(Some(10)), Err(NotNext::Known));
        check(&transfer(Some(10), false), 0, &Step::Restart, Err(NotNext::Known));
        let known = transfer(None, true).after(0, &learn(Some(10))).unwrap();
        check(&known, 0, &learn(Some(11)), Err(NotNext::Known));
        check(&known, 0, &learn(Some(10)), Ok(0));
        let half = known.after(0, &append(0, 4, 0)).unwrap();
        let again = half.after(0, &Step::Restart).unwrap();
        assert_eq!((again.received, again.session.bytes_expected), (0, None));
        let open = transfer(None, true).after(0, &append(0, 4, 0)).unwrap();
        assert!(!open.is_whole());
        check(&open, 0, &learn(Some(3)), Err(NotNext::Long));
        assert!(open.after(0, &learn(Some(4))).unwrap().is_whole(), "its end was seen");
    }

    fn direct() -> Transfer {
        let direct = Direct { name: "hidden-name".into(), part_bytes: 8 << 20, secret: [7; 32], sha256: None };
        Transfer { direct: Some(direct), ..transfer(Some(10), false) }
    }

    #[test]
    fn parts_that_went_past_the_api_are_whole_once_they_are_sealed() {
        let (seal, other) = (Step::Seal { sha256: Some([1; 32]) }, Step::Seal { sha256: None });
        check(&transfer(Some(10), false), 0, &seal, Err(NotNext::Known));
        check(&transfer(Some(10), false), 0, &Step::Renew { expires_at: at(30) }, Err(NotNext::Known));
        let begun = direct();
        assert_eq!(begun.after(0, &Step::Renew { expires_at: at(30) }).unwrap().session.expires_at, at(30));
        check(&begun, 1, &seal, Err(NotNext::TakenOver));
        let sealed = begun.after(0, &seal).unwrap();
        assert!(sealed.is_whole() && !begun.is_whole());
        assert_eq!(sealed.after(0, &seal), Ok(sealed.clone()), "sealing twice is sealing once");
        check(&sealed, 0, &other, Err(NotNext::Known));
    }

    #[test]
    fn what_lets_in_is_not_shown() {
        let shown = format!("{:?}", direct());
        assert!(!shown.contains("hidden") && !shown.contains("7, 7"), "{shown}");
    }

    #[test]
    fn the_place_it_is_fetched_from_is_not_shown() {
        assert!(!format!("{:?}", transfer(None, true)).contains("secret"));
    }

    proptest! {
        #[test]
        fn whatever_writers_do_the_counted_parts_are_the_file(story in prop::collection::vec(any::<u8>(), 0..400)) {
            transfers_hold(&story);
        }
    }
}
