//! Webhooks: where an owner wants to be told of events, and what becomes of the telling.
//!
//! An [`Endpoint`] reads the event log of its organisation from a place of its own, and every event of a kind that it wants
//! reaches it at least once. [`deliver`] is how: what is sent, what an answer means, when it is sent again and when an
//! endpoint is given up. What is sent and how it is signed follows *Standard Webhooks*; [`signed`] is the text under the
//! signature.

pub mod deliver;

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use thiserror::Error;

use crate::asset::{UnknownWord, named};
use crate::event;
use crate::id::{AssetId, OrgId, WebhookId};
use crate::time::Timestamp;
use deliver::Progress;

/// One place that is told of events.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Endpoint {
    /// Its name.
    pub id: WebhookId,
    /// Whose events.
    pub org: OrgId,
    /// Where it is told. It may hold a secret of the owner's, so it stands in no log.
    pub url: String,
    /// What people call it; at most [`DESCRIPTION_CHARS_MAX`] characters.
    pub description: String,
    /// Which events.
    pub wants: Kinds,
    /// What it is signed with.
    pub secret: Secret,
    /// What it was signed with before, and still is until then.
    pub secret_before: Option<(Secret, Timestamp)>,
    /// Whether it is told at all.
    pub state: State,
    /// How far it has been told.
    pub progress: Progress,
    /// How many changes led here. Two values with equal revision are equal.
    pub revision: u64,
    /// When it was made.
    pub created_at: Timestamp,
    /// When its owner last changed it, or it was disabled.
    pub updated_at: Timestamp,
}

/// Endpoints that an organisation may have.
pub const ENDPOINTS_MAX: usize = 16;
/// Characters that a description may have.
pub const DESCRIPTION_CHARS_MAX: usize = 255;
/// How long what was signed with before is still signed with after a new secret was made.
pub const SECRET_OVERLAP: std::time::Duration = std::time::Duration::from_secs(24 * 3600);

impl Endpoint {
    /// Whether it is told.
    pub const fn is_active(&self) -> bool {
        matches!(self.state, State::Active)
    }

    /// What a message at `now` is signed with: the new secret, then the one before while both hold.
    pub fn secrets(&self, now: Timestamp) -> impl Iterator<Item = &Secret> {
        let before = self.secret_before.as_ref().filter(|(_, until)| now < *until).map(|(secret, _)| secret);
        std::iter::once(&self.secret).chain(before)
    }

    /// The same with a new secret. The present one is signed with for [`SECRET_OVERLAP`] more.
    #[must_use]
    pub fn with_new_secret(&self, secret: Secret, now: Timestamp) -> Self {
        let mut next = self.clone();
        next.secret_before = Some((std::mem::replace(&mut next.secret, secret), now + SECRET_OVERLAP));
        next.updated_at = now;
        next
    }

    /// The same, told again from where it stopped. What waited for another try is tried at once, as if for the first time.
    #[must_use]
    pub fn enabled(&self, now: Timestamp) -> Self {
        let mut next = self.clone();
        if !self.is_active() {
            next.state = State::Active;
            next.progress.try_all_again(now);
            next.updated_at = now;
        }
        next
    }

    /// The same, told no more until it is enabled.
    #[must_use]
    pub fn disabled(&self, why: Why, now: Timestamp, tell: Option<AssetId>) -> Self {
        let mut next = self.clone();
        if self.is_active() {
            next.state = State::Disabled { why, at: now, tell };
            next.progress.lease = None;
            next.updated_at = now;
        }
        next
    }
}

/// Whether an endpoint is told of events.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum State {
    /// It is.
    Active,
    /// It is not, and goes on from where it stopped once it is enabled.
    Disabled {
        /// Why.
        why: Why,
        /// Since when.
        at: Timestamp,
        /// The asset in whose history this is still to be noted: that of the event that was given up.
        tell: Option<AssetId>,
    },
}

named! {
    /// Why an endpoint is told no more.
    Why {
        /// Its owner wants it so.
        ByOwner = "by_owner",
        /// It answered that it is gone: 410.
        Gone = "gone",
        /// An event did not reach it in all the tries of the schedule.
        Exhausted = "exhausted",
    }
}

/// Which kinds of events an endpoint wants: those with these names, or all. It prints as the names with commas between.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Kinds(BTreeSet<&'static str>);

impl Kinds {
    /// Every kind, also those that will be added.
    pub const ALL: Self = Self(BTreeSet::new());

    /// These kinds; none named means all.
    ///
    /// # Errors
    ///
    /// [`UnknownWord`] when there is no event of such a name.
    pub fn new<'n>(names: impl IntoIterator<Item = &'n str>) -> Result<Self, UnknownWord> {
        let known = |name: &str| event::NAMES.iter().copied().find(|known| *known == name).ok_or(UnknownWord);
        names.into_iter().map(known).collect::<Result<_, _>>().map(Self)
    }

    /// Whether an event called `name` is wanted.
    pub fn has(&self, name: &str) -> bool {
        self.0.is_empty() || self.0.contains(name)
    }

    /// The names; none for all.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.0.iter().copied()
    }
}

impl fmt::Display for Kinds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.names().collect::<Vec<_>>().join(","))
    }
}

impl FromStr for Kinds {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        Self::new(text.split(',').filter(|name| !name.is_empty()))
    }
}

/// What messages are signed with: 32 random bytes. Its `Debug` shows none of them.
#[derive(Clone, Eq, PartialEq)]
pub struct Secret([u8; 32]);

impl Secret {
    /// The secret with these bytes.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes, as the key of HMAC-SHA256.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The secret as its owner is shown it, once: `whsec_` and the bytes in base64.
    pub fn expose(&self) -> String {
        format!("{PREFIX}{}", STANDARD.encode(self.0))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

impl FromStr for Secret {
    type Err = BadSecret;

    fn from_str(text: &str) -> Result<Self, BadSecret> {
        let bytes = text.strip_prefix(PREFIX).and_then(|text| STANDARD.decode(text).ok());
        bytes.and_then(|bytes| bytes.try_into().ok()).map(Self).ok_or(BadSecret)
    }
}

/// Not a secret of a webhook. Trying again will not help.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[error("not `whsec_` and 32 bytes in base64")]
pub struct BadSecret;

const PREFIX: &str = "whsec_";

/// The name of the message that tells of the event at place `seq` of the log. It is the same at every try, so that a
/// receiver knows a repeat.
pub fn message_id(seq: u64) -> String {
    format!("evt_{seq}")
}

/// The place of the event that the message called `id` tells of.
pub fn seq_of(id: &str) -> Option<u64> {
    let digits = id.strip_prefix("evt_")?;
    digits.parse().ok().filter(|seq: &u64| seq.to_string() == digits)
}

/// The text under a message's signature: its name, the seconds of its sending, and its body.
pub fn signed(id: &str, sent_at: Timestamp, body: &[u8]) -> Vec<u8> {
    let mut text = format!("{id}.{}.", sent_at.as_secs()).into_bytes();
    text.extend_from_slice(body);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One that is active and was told of nothing yet.
    pub(super) fn endpoint() -> Endpoint {
        Endpoint {
            id: WebhookId::from_bytes([1; 16]),
            org: OrgId::from_bytes([2; 16]),
            url: "https://example.com/hook".into(),
            description: String::new(),
            wants: Kinds::ALL,
            secret: Secret::from_bytes([7; 32]),
            secret_before: None,
            state: State::Active,
            progress: Progress::from_place(0),
            revision: 1,
            created_at: Timestamp::EPOCH,
            updated_at: Timestamp::EPOCH,
        }
    }

    #[test]
    fn a_secret_reads_back_and_is_not_printed() {
        let secret = Secret::from_bytes([0xfb; 32]);
        assert!(secret.expose().starts_with("whsec_"));
        assert_eq!(secret.expose().parse(), Ok(secret.clone()));
        assert_eq!(format!("{secret:?}"), "Secret");
        for wrong in ["", "whsec_", "whsec_AAAA", "whsec_****", &secret.expose()[6..]] {
            assert_eq!(wrong.parse::<Secret>(), Err(BadSecret), "{wrong}");
        }
    }

    #[test]
    fn both_secrets_sign_while_they_overlap() {
        let at = Timestamp::from_secs;
        let rotated = endpoint().with_new_secret(Secret::from_bytes([8; 32]), at(100));
        let keys = |now| rotated.secrets(now).map(|secret| secret.as_bytes()[0]).collect::<Vec<_>>();
        assert_eq!(keys(at(100)), [8, 7]);
        assert_eq!(keys(at(100 + 24 * 3600 - 1)), [8, 7]);
        assert_eq!(keys(at(100 + 24 * 3600)), [8]);
        let twice = rotated.with_new_secret(Secret::from_bytes([9; 32]), at(200));
        assert_eq!(twice.secrets(at(200)).map(|secret| secret.as_bytes()[0]).collect::<Vec<_>>(), [9, 8]);
    }

    #[test]
    fn kinds_are_those_that_there_are_and_none_named_means_all() {
        let some = Kinds::new(["asset.deleted", "asset.created"]).unwrap();
        assert_eq!(some.to_string(), "asset.created,asset.deleted");
        assert_eq!(some.to_string().parse(), Ok(some.clone()));
        assert!(some.has("asset.created") && !some.has("asset.updated"));
        assert!(Kinds::ALL.has("asset.updated") && Kinds::ALL.to_string().is_empty());
        assert_eq!("".parse(), Ok(Kinds::ALL));
        assert_eq!("asset.teleported".parse::<Kinds>(), Err(UnknownWord));
    }

    #[test]
    fn a_message_is_named_by_its_event_and_signed_with_its_time() {
        assert_eq!((message_id(12).as_str(), seq_of("evt_12")), ("evt_12", Some(12)));
        for wrong in ["12", "evt_", "evt_012", "evt_+1", "evt_x"] {
            assert_eq!(seq_of(wrong), None, "{wrong}");
        }
        assert_eq!(signed("evt_1", Timestamp::from_millis(1_999), b"{}"), b"evt_1.1.{}");
    }

    #[test]
    fn an_endpoint_is_disabled_once_and_goes_on_when_it_is_enabled() {
        let at = Timestamp::from_secs;
        let gone = endpoint().disabled(Why::Gone, at(5), Some(AssetId::from_bytes([3; 16])));
        assert!(!gone.is_active());
        assert_eq!(gone.disabled(Why::ByOwner, at(6), None), gone, "the first reason stays");
        let back = gone.enabled(at(7));
        assert_eq!((back.state, back.updated_at), (State::Active, at(7)));
        assert_eq!(endpoint().enabled(at(7)), endpoint());
    }
}
