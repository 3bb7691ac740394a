//! Credentials: what an API key may do, and for how long. Never the key itself.

use std::fmt;
use std::str::FromStr;

use crate::asset::{UnknownWord, named};
use crate::id::{CredentialId, OrgId};
use crate::time::Timestamp;

/// An API key as it is remembered: by its digest.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Credential {
    /// Its name.
    pub id: CredentialId,
    /// Whose it is.
    pub org: OrgId,
    /// What people call it.
    pub name: String,
    /// The first characters of the key, to recognise it by.
    pub prefix: String,
    /// The SHA-256 of the whole key.
    pub digest: [u8; 32],
    /// What it may do.
    pub scopes: Scopes,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it stops working, if ever.
    pub expires_at: Option<Timestamp>,
    /// When it was last used, to the minute.
    pub last_used_at: Option<Timestamp>,
    /// When it was revoked, if it was.
    pub revoked_at: Option<Timestamp>,
}

impl Credential {
    /// Whether it works at `now`.
    pub fn is_live(&self, now: Timestamp) -> bool {
        self.revoked_at.is_none() && self.expires_at.is_none_or(|end| now < end)
    }
}

named! {
    /// One thing that a key may do.
    Scope {
        /// Bring in originals and change what is said of assets.
        Upload = "upload",
        /// See assets and get playback.
        Read = "read",
        /// Delete assets.
        Delete = "delete",
        /// See analytics and usage.
        Analytics = "analytics",
        /// Make and revoke keys.
        Admin = "admin",
    }
}

/// A set of scopes. It prints as the words with commas between, in a fixed order.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Scopes(u8);

impl Scopes {
    /// Nothing.
    pub const NONE: Self = Self(0);
    /// Everything.
    pub const ALL: Self = Self(0b1_1111);

    /// This set and `scope`.
    #[must_use]
    pub const fn with(self, scope: Scope) -> Self {
        Self(self.0 | 1 << scope as u8)
    }

    /// Whether `scope` is in the set.
    pub const fn has(self, scope: Scope) -> bool {
        self.0 & 1 << scope as u8 != 0
    }
}

impl fmt::Display for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words: Vec<_> = Scope::ALL.iter().filter(|s| self.has(**s)).map(|s| s.as_str()).collect();
        f.write_str(&words.join(","))
    }
}

impl FromStr for Scopes {
    type Err = UnknownWord;

    fn from_str(words: &str) -> Result<Self, UnknownWord> {
        words.split(',').filter(|w| !w.is_empty()).try_fold(Self::NONE, |set, word| Ok(set.with(word.parse()?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_print_and_read_back() {
        for text in ["", "read", "upload,read,delete,analytics,admin"] {
            assert_eq!(text.parse::<Scopes>().map(|s| s.to_string()), Ok(text.to_owned()));
        }
        assert_eq!("upload,read,delete,analytics,admin".parse(), Ok(Scopes::ALL));
        assert!("root".parse::<Scopes>().is_err());
    }
}
