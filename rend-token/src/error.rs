//! The one answer that a refused viewer gets, and what operators may count.

use core::fmt;

/// The token does not open this request. Trying again will not help.
///
/// It prints the same for every cause, and so must every answer made from it: `401`, a constant body, `no-store`. What
/// it was is for metrics alone: [`Denied::reason`].
#[derive(Clone, Copy)]
pub struct Denied {
    reason: Reason,
    renewable: bool,
}

impl Denied {
    pub(crate) const fn new(reason: Reason) -> Self {
        Self { reason, renewable: false }
    }

    pub(crate) const fn expired(renewable: bool) -> Self {
        Self { reason: Reason::Expired, renewable }
    }

    /// Why, for metrics. Never tell the one who asked.
    pub const fn reason(&self) -> Reason {
        self.reason
    }

    /// Whether the token was good but expired, and its deadline has not come: the viewer may fetch a new one. This alone
    /// may be told, since the holder knows when the token expires.
    pub const fn renewable(&self) -> bool {
        self.renewable
    }
}

impl From<Reason> for Denied {
    fn from(reason: Reason) -> Self {
        Self::new(reason)
    }
}

impl fmt::Debug for Denied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Denied")
    }
}

impl fmt::Display for Denied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("denied")
    }
}

impl core::error::Error for Denied {}

macro_rules! reasons {
    ($($(#[doc = $doc:literal])+ $name:ident = $value:literal, $text:literal;)+) => {
        /// Why a request was denied, as a label for metrics.
        ///
        /// Many [`Reason::BadMac`] or [`Reason::UnknownKey`] are a fault in rolling out keys; many [`Reason::Asset`] or
        /// [`Reason::Class`] are abuse.
        #[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
        #[repr(u8)]
        #[non_exhaustive]
        pub enum Reason { $($(#[doc = $doc])+ $name = $value,)+ }

        impl Reason {
            /// Every reason, in the order of the checks.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// Its name in lower case, with `_` between words.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)+ }
            }
        }
    };
}

reasons! {
    /// There is no token.
    Missing = 0, "missing";
    /// It is longer than any token.
    TooLong = 1, "too_long";
    /// Its prefix or its alphabet is wrong.
    Encoding = 2, "encoding";
    /// It is of another version, or for another use.
    Suite = 3, "suite";
    /// Its key is not in the ring.
    UnknownKey = 4, "unknown_key";
    /// Its key is not yet or no longer good.
    KeyWindow = 5, "key_window";
    /// It was not made with the key that it names, or was changed.
    BadMac = 6, "bad_mac";
    /// It was made with the key, but is not an encoding of any claims.
    Malformed = 7, "malformed";
    /// It has not started.
    NotYet = 8, "not_yet";
    /// It has expired.
    Expired = 9, "expired";
    /// It lives longer than the policy allows.
    TtlPolicy = 10, "ttl_policy";
    /// It is for another asset.
    Asset = 11, "asset";
    /// It is for other kinds of artifact.
    Class = 12, "class";
    /// The artifact's rung is above its ceiling.
    Rung = 13, "rung";
    /// The artifact lies outside its path prefix.
    Prefix = 14, "prefix";
    /// It is for another audience, or the request names none.
    Audience = 15, "audience";
    /// The viewer is outside its network, or the address is not known.
    Ip = 16, "ip";
    /// The viewer is outside its countries, or the country is not known.
    Geo = 17, "geo";
    /// The request comes from another web origin, or from none.
    Origin = 18, "origin";
    /// Its key was revoked, or revoked for tokens of its age.
    RevokedKey = 19, "revoked_key";
    /// Tokens of its age for this asset were revoked.
    RevokedAsset = 20, "revoked_asset";
    /// Tokens of its age for this organisation were revoked.
    RevokedOrg = 21, "revoked_org";
    /// Its session was ended.
    RevokedSession = 22, "revoked_session";
}

#[cfg(test)]
mod tests {
    use std::format;

    use super::*;

    #[test]
    fn every_denial_reads_the_same() {
        for reason in Reason::ALL {
            let denied = Denied::new(*reason);
            assert_eq!((format!("{denied}"), format!("{denied:?}")), ("denied".into(), "Denied".into()));
        }
    }

    #[test]
    fn reasons_count_from_zero() {
        for (at, reason) in Reason::ALL.iter().enumerate() {
            assert_eq!(*reason as usize, at);
        }
    }
}
