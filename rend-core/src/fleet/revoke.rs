//! What of all playback tokens is no longer to be believed, although it was signed.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use crate::id::{AssetId, OrgId};
use crate::time::Timestamp;

/// The name of a playback key: 1 to 64 characters `A-Z`, `a-z`, `0-9`, `.`, `_` and `-`, the first a letter or a digit.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct KeyName(String);

impl KeyName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for KeyName {
    type Err = BadRevoked;

    fn from_str(text: &str) -> Result<Self, BadRevoked> {
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
        let begins = text.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric());
        let good = begins && text.len() <= KEY_NAME_BYTES_MAX && text.bytes().all(plain);
        good.then(|| Self(text.to_owned())).ok_or(BadRevoked)
    }
}

impl fmt::Display for KeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whose tokens are revoked.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Revoked {
    /// Those that were signed with a key.
    Key(KeyName),
    /// Those of an organisation.
    Org(OrgId),
    /// Those for an asset.
    Asset(AssetId),
    /// Those of one viewing session, its renewals included.
    Session([u8; 7]),
}

impl Revoked {
    /// What `subject` names as a `kind`; the inverse of [`Revoked::kind`] and [`Revoked::subject`].
    ///
    /// # Errors
    ///
    /// [`BadRevoked`] when there is no such kind, or `subject` is none of it.
    pub fn parse(kind: &str, subject: &str) -> Result<Self, BadRevoked> {
        match kind {
            "key" => subject.parse().map(Self::Key),
            "org" => subject.parse().map(Self::Org).map_err(|_| BadRevoked),
            "asset" => subject.parse().map(Self::Asset).map_err(|_| BadRevoked),
            "session" => session(subject).map(Self::Session).ok_or(BadRevoked),
            _ => Err(BadRevoked),
        }
    }

    /// `key`, `org`, `asset` or `session`.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Key(_) => "key",
            Self::Org(_) => "org",
            Self::Asset(_) => "asset",
            Self::Session(_) => "session",
        }
    }

    /// Which one, as text: the key's name, an id, or the session's fourteen digits.
    pub fn subject(&self) -> String {
        match self {
            Self::Key(name) => name.to_string(),
            Self::Org(id) => id.to_string(),
            Self::Asset(id) => id.to_string(),
            Self::Session(bytes) => bytes.iter().map(|byte| format!("{byte:02x}")).collect(),
        }
    }
}

impl fmt::Display for Revoked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind(), self.subject())
    }
}

/// Not something that can be revoked. Trying again will not help.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[error(
    "not a key's name, an organisation's or asset's id, or the fourteen lower-case hexadecimal digits of a session"
)]
pub struct BadRevoked;

/// One order to believe some tokens no longer.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RevocationRow {
    /// Its place in the log: 1, 2, 3, ….
    pub seq: u64,
    /// Whose tokens.
    pub what: Revoked,
    /// Those issued before this; `None` says all of them, whenever they were or will be issued.
    pub issued_before: Option<Timestamp>,
    /// When it was given.
    pub at: Timestamp,
    /// From when on no token that it means can be alive, so that it may be forgotten; `None` for never.
    pub expires_at: Option<Timestamp>,
}

/// How many seconds after an order for tokens issued before it the last of them has run out: the longest life that a
/// token may have, and five minutes for clocks that are off.
pub const REVOCATION_SECS: u64 = 86_400 + 300;

impl RevocationRow {
    /// When an order given at `at` may be forgotten. One for a key never is: whoever holds the secret goes on signing.
    pub fn expiry(what: &Revoked, issued_before: Option<Timestamp>, at: Timestamp) -> Option<Timestamp> {
        match what {
            Revoked::Key(_) => None,
            Revoked::Org(_) | Revoked::Asset(_) if issued_before.is_none() => None,
            Revoked::Org(_) | Revoked::Asset(_) | Revoked::Session(_) => {
                Some(at.max(issued_before.unwrap_or(at)) + std::time::Duration::from_secs(REVOCATION_SECS))
            }
        }
    }

    /// Whether it may be forgotten at `now`.
    pub fn is_over(&self, now: Timestamp) -> bool {
        self.expires_at.is_some_and(|end| end <= now)
    }
}

/// The orders in force, as somebody who verifies knows them, and up to which place of the log they know it.
///
/// Of several orders about one subject the widest is kept. Applying an order again, or in another sequence, changes
/// nothing, so pushes and pages may cross.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct RevocationSet {
    seen: u64,
    rows: BTreeMap<Revoked, RevocationRow>,
}

impl RevocationSet {
    /// The most subjects at once. Far fewer are ever in force together: each is gone after a day, and before there are
    /// so many, a wider order (an organisation, a key) says the same in one.
    pub const ROWS_MAX: usize = 65_536;

    /// Nothing is revoked and nothing was seen.
    pub const fn new() -> Self {
        Self { seen: 0, rows: BTreeMap::new() }
    }

    /// The place up to which every order was applied.
    pub const fn seen(&self) -> u64 {
        self.seen
    }

    /// The orders in force, by subject.
    pub fn rows(&self) -> impl ExactSizeIterator<Item = &RevocationRow> {
        self.rows.values()
    }

    /// How many subjects there are.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether nothing is revoked.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Applies one order. The place moves on only when it is the next in line: before a gap, the log must still be asked.
    ///
    /// # Errors
    ///
    /// [`TooManyRevoked`] when there is no room for a new subject; then nothing changed.
    pub fn apply(&mut self, row: &RevocationRow) -> Result<(), TooManyRevoked> {
        let room = self.rows.len() < Self::ROWS_MAX;
        match self.rows.get_mut(&row.what) {
            Some(known) => {
                // `None` is the widest of both.
                known.issued_before = known.issued_before.zip(row.issued_before).map(|(a, b)| a.max(b));
                known.expires_at = known.expires_at.zip(row.expires_at).map(|(a, b)| a.max(b));
                (known.seq, known.at) = (known.seq.max(row.seq), known.at.max(row.at));
            }
            None if room => {
                self.rows.insert(row.what.clone(), row.clone());
            }
            None => return Err(TooManyRevoked),
        }
        if row.seq == self.seen + 1 {
            self.seen = row.seq;
        }
        Ok(())
    }

    /// Notes that every order up to place `seq` was applied or has expired.
    pub fn saw(&mut self, seq: u64) {
        self.seen = self.seen.max(seq);
    }

    /// Begins to read the log from its start: it is another log, which counts anew. What is revoked stays so.
    pub fn start_over(&mut self) {
        self.seen = 0;
    }

    /// Forgets what can no longer matter at `now`, and answers whether there was anything.
    pub fn forget_over(&mut self, now: Timestamp) -> bool {
        let before = self.rows.len();
        self.rows.retain(|_, row| !row.is_over(now));
        self.rows.len() < before
    }
}

/// There is no room for another subject. A wider order will help: an organisation in place of assets, or a key.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[error("as many subjects are revoked as can be at once; revoke an organisation or a key in their place")]
pub struct TooManyRevoked;

fn session(text: &str) -> Option<[u8; 7]> {
    let digits: &[u8; 14] = text.as_bytes().try_into().ok()?;
    let nibble = |digit: u8| match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    };
    let mut bytes = [0; 7];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = nibble(pair[0])? << 4 | nibble(pair[1])?;
    }
    Some(bytes)
}

/// Bytes of a key's name at most.
const KEY_NAME_BYTES_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(kind: &str, subject: &str, good: bool) {
        let parsed = Revoked::parse(kind, subject);
        assert_eq!(parsed.is_ok(), good, "{kind} {subject}");
        if let Ok(what) = parsed {
            assert_eq!((what.kind(), what.subject().as_str()), (kind, subject));
        }
    }

    #[test]
    fn a_subject_reads_back_or_is_refused() {
        let id = "018f5d3e-7c1a-7b2c-9d4e-5f60718293a4";
        check("key", "prod-2026.01_b", true);
        check("key", "", false);
        check("key", "-a", false);
        check("key", "a=b", false);
        check("key", &"x".repeat(64), true);
        check("key", &"x".repeat(65), false);
        check("org", id, true);
        check("asset", id, true);
        check("asset", &id.to_uppercase(), false);
        check("session", "9f3c2a7b11d04e", true);
        check("session", "9F3C2A7B11D04E", false);
        check("session", "9f3c2a7b11d04", false);
        check("token", "x", false);
    }

    fn row(seq: u64, subject: u8, before: Option<u64>, end: Option<u64>) -> RevocationRow {
        RevocationRow {
            seq,
            what: Revoked::Asset(AssetId::from_bytes([subject; 16])),
            issued_before: before.map(Timestamp::from_secs),
            at: Timestamp::from_secs(seq),
            expires_at: end.map(Timestamp::from_secs),
        }
    }

    #[test]
    fn a_gap_is_not_stepped_over() {
        let mut set = RevocationSet::new();
        set.apply(&row(1, 1, Some(1), Some(9))).unwrap();
        set.apply(&row(3, 3, Some(1), Some(9))).unwrap();
        assert_eq!((set.seen(), set.len()), (1, 2));
        set.apply(&row(2, 2, Some(1), Some(9))).unwrap();
        assert_eq!(set.seen(), 2);
        set.saw(3);
        assert_eq!(set.seen(), 3);
        set.saw(1);
        assert_eq!(set.seen(), 3, "the place only rises");
        set.start_over();
        assert_eq!((set.seen(), set.len()), (0, 3), "another log does not undo what was revoked");
    }

    #[test]
    fn what_can_no_longer_matter_is_forgotten_and_a_key_never() {
        let at = Timestamp::from_secs(1000);
        let key = Revoked::parse("key", "a").unwrap();
        let session = Revoked::Session([1; 7]);
        assert_eq!(RevocationRow::expiry(&key, None, at), None);
        assert_eq!(RevocationRow::expiry(&key, Some(at), at), None);
        assert_eq!(RevocationRow::expiry(&session, None, at), Some(Timestamp::from_secs(1000 + REVOCATION_SECS)));
        let later = Timestamp::from_secs(1100);
        let asset = Revoked::Asset(AssetId::from_bytes([1; 16]));
        assert_eq!(
            RevocationRow::expiry(&asset, Some(later), at),
            Some(Timestamp::from_secs(1100 + REVOCATION_SECS)),
            "an order that reaches ahead lives on for longer"
        );
        let mut set = RevocationSet::new();
        set.apply(&row(1, 1, Some(1), Some(9))).unwrap();
        set.apply(&row(2, 2, None, None)).unwrap();
        assert!(!set.forget_over(Timestamp::from_secs(8)));
        assert!(set.forget_over(Timestamp::from_secs(9)));
        assert_eq!(set.len(), 1);
    }

    #[test]
    fn one_subject_too_many_is_refused_and_known_ones_are_not() {
        let mut set = RevocationSet::new();
        let session = |n: usize| RevocationRow {
            what: Revoked::Session(n.to_be_bytes()[1..].try_into().unwrap()),
            ..row(1, 0, None, None)
        };
        for n in 0..RevocationSet::ROWS_MAX {
            set.apply(&session(n)).unwrap();
        }
        assert_eq!(set.apply(&session(RevocationSet::ROWS_MAX)), Err(TooManyRevoked));
        assert_eq!(set.apply(&session(0)), Ok(()));
    }

    proptest! {
        #[test]
        fn orders_in_any_sequence_and_more_than_once_come_to_the_same(
            orders in prop::collection::vec((0u8..4, prop::option::of(0u64..50), prop::option::of(0u64..50)), 1..20),
            shuffle in prop::collection::vec(any::<prop::sample::Index>(), 0..60),
        ) {
            let rows: Vec<_> = (1..).zip(&orders).map(|(seq, (subject, before, end))| row(seq, *subject, *before, *end)).collect();
            let mut one = RevocationSet::new();
            for row in &rows {
                one.apply(row).unwrap();
            }
            let mut other = RevocationSet::new();
            for index in shuffle {
                other.apply(&rows[index.index(rows.len())]).unwrap();
            }
            for row in rows.iter().rev() {
                other.apply(row).unwrap();
            }
            other.saw(one.seen());
            prop_assert_eq!(&one, &other);
            // A plain model: the widest of each subject.
            for kept in one.rows() {
                let same: Vec<_> = rows.iter().filter(|row| row.what == kept.what).collect();
                let widest = if same.iter().any(|row| row.issued_before.is_none()) { None } else { same.iter().map(|row| row.issued_before).max().unwrap() };
                prop_assert_eq!(kept.issued_before, widest);
            }
        }
    }
}
