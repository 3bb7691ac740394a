//! Identifiers, each a type of its own, so that none can stand where another is meant.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use crate::time::Timestamp;

/// The text is not an identifier of the wanted kind. Trying again will not help.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[error("not {expected}")]
pub struct BadId {
    /// What was expected, as a noun phrase for people.
    pub expected: &'static str,
}

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
        pub struct $name(uuid::Uuid);

        impl $name {
            /// The identifier made at `now` with `chance`: a UUID of version 7 (RFC 9562), so ids sort by age.
            pub fn new(now: Timestamp, chance: [u8; 10]) -> Self {
                Self(uuid::Builder::from_unix_timestamp_millis(now.as_millis(), &chance).into_uuid())
            }

            /// The identifier with these bytes.
            pub const fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(uuid::Uuid::from_bytes(bytes))
            }

            /// The sixteen bytes of the identifier.
            pub const fn as_bytes(&self) -> &[u8; 16] {
                self.0.as_bytes()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self.0.as_hyphenated(), f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }

        impl FromStr for $name {
            type Err = BadId;

            /// Reads the one canonical form: 36 characters, lower case, hyphenated.
            fn from_str(text: &str) -> Result<Self, BadId> {
                let bad = BadId { expected: "a lower-case hyphenated UUID" };
                let id = uuid::Uuid::try_parse(text).map_err(|_| bad)?;
                let mut canonical = [0; 36];
                if id.as_hyphenated().encode_lower(&mut canonical) == text { Ok(Self(id)) } else { Err(bad) }
            }
        }
    };
}

uuid_id! {
    /// Names one video that somebody uploaded.
    AssetId
}
uuid_id! {
    /// Names the organisation that owns assets, credentials and usage.
    OrgId
}
uuid_id! {
    /// Names one job.
    JobId
}
uuid_id! {
    /// Names one upload session.
    UploadId
}
uuid_id! {
    /// Names one API credential. It is not the credential itself.
    CredentialId
}
uuid_id! {
    /// Names one place that is told of events.
    WebhookId
}
uuid_id! {
    /// Names one entry of the event log.
    EventId
}
uuid_id! {
    /// Names one HTTP request as it passes from service to service.
    RequestId
}
uuid_id! {
    /// Fences the writes of one claim of one job: every claim gets a new one.
    LeaseToken
}

/// Names one edge of the fleet: 1 to 63 characters of `a-z`, `0-9` and `-`, not starting or ending with `-`.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct EdgeId(Box<str>);

impl EdgeId {
    /// The identifier as text.
    pub const fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for EdgeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for EdgeId {
    type Err = BadId;

    fn from_str(text: &str) -> Result<Self, BadId> {
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        let fits = (1..=63).contains(&text.len()) && text.bytes().all(plain);
        if fits && !text.starts_with('-') && !text.ends_with('-') {
            Ok(Self(text.into()))
        } else {
            Err(BadId { expected: "an edge id of 1 to 63 characters a-z, 0-9 and -" })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_canonical_form_parses() {
        let id = AssetId::new(Timestamp::from_secs(1_800_000_000), [7; 10]);
        let text = id.to_string();
        assert_eq!(text.parse(), Ok(id));
        for odd in
            [text.to_uppercase(), text.replace('-', ""), format!("{{{text}}}"), format!("{text} "), String::new()]
        {
            assert!(odd.parse::<AssetId>().is_err(), "{odd}");
        }
    }

    #[test]
    fn later_ids_sort_later() {
        let at = |secs| JobId::new(Timestamp::from_secs(secs), [0xff; 10]);
        assert!(at(1) < at(2));
    }

    #[test]
    fn an_edge_id_is_a_host_label() {
        for good in ["a", "ash-1", "local-edge-001"] {
            assert!(good.parse::<EdgeId>().is_ok(), "{good}");
        }
        for bad in ["", "-a", "a-", "A", "a b", "a/b", &"x".repeat(64)] {
            assert!(bad.parse::<EdgeId>().is_err(), "{bad}");
        }
    }
}
