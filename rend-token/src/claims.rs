//! What a token says.

use core::fmt;
use core::net::IpAddr;

use sha2::{Digest, Sha256};

use crate::asset::{AssetKey, Org, SessionId};
use crate::grammar::{ClassMask, Rung};
use crate::time::UnixSecs;

/// What a token says, all of it, in a fixed size.
///
/// A value exists only after [`Grant::build`](crate::Grant::build) checked it or a verification passed, so it always has
/// exactly one encoding.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Claims {
    pub(crate) purpose: Use,
    pub(crate) asset: AssetKey,
    pub(crate) classes: ClassMask,
    pub(crate) rung_max: Option<Rung>,
    pub(crate) issued_at: UnixSecs,
    pub(crate) ttl_secs: u32,
    pub(crate) org: Option<Org>,
    pub(crate) session: Option<SessionId>,
    /// Zero when the token starts at once.
    pub(crate) start_secs: u32,
    /// Zero when the token is for every audience.
    pub(crate) audience: u16,
    pub(crate) renewal: Option<Renewal>,
    pub(crate) network: Option<Network>,
    pub(crate) countries: Countries,
    pub(crate) origin: Option<OriginKey>,
    pub(crate) prefix: Prefix,
}

impl Claims {
    /// What a decoder starts from, and nobody else ever sees: no token can say it, since it opens no class.
    pub(crate) const VACANT: Self = Self {
        purpose: Use::Playback,
        asset: AssetKey { opaque: false, bytes: [0; 16] },
        classes: ClassMask::NONE,
        rung_max: None,
        issued_at: UnixSecs::ZERO,
        ttl_secs: 0,
        org: None,
        session: None,
        start_secs: 0,
        audience: 0,
        renewal: None,
        network: None,
        countries: Countries::NONE,
        origin: None,
        prefix: Prefix::NONE,
    };

    /// What the token is for.
    pub const fn purpose(&self) -> Use {
        self.purpose
    }

    /// The one asset it opens.
    pub const fn asset(&self) -> AssetKey {
        self.asset
    }

    /// The kinds of artifact it opens.
    pub const fn classes(&self) -> ClassMask {
        self.classes
    }

    /// The highest rung it opens; `None` is no limit.
    pub const fn rung_max(&self) -> Option<Rung> {
        self.rung_max
    }

    /// When it was issued.
    pub const fn issued_at(&self) -> UnixSecs {
        self.issued_at
    }

    /// When it starts to work.
    pub const fn starts_at(&self) -> UnixSecs {
        self.issued_at.saturating_add(self.start_secs)
    }

    /// The first second in which it no longer works.
    pub const fn expires_at(&self) -> UnixSecs {
        self.issued_at.saturating_add(self.ttl_secs)
    }

    /// How long it lives, in seconds.
    pub const fn ttl_secs(&self) -> u32 {
        self.ttl_secs
    }

    /// Whose asset it is, if the token says so.
    pub const fn org(&self) -> Option<Org> {
        self.org
    }

    /// The viewing session, if the token names one.
    pub const fn session(&self) -> Option<SessionId> {
        self.session
    }

    /// The audience or region it is limited to.
    pub const fn audience(&self) -> Option<u16> {
        if self.audience == 0 { None } else { Some(self.audience) }
    }

    /// The instant that no renewal passes; `None` when the token cannot be renewed.
    pub const fn deadline(&self) -> Option<UnixSecs> {
        match self.renewal {
            Some(renewal) => Some(self.issued_at.saturating_add(renewal.horizon_secs)),
            None => None,
        }
    }

    /// How long each renewed token lives, in seconds; `None` when the token cannot be renewed.
    pub const fn renewal_step_secs(&self) -> Option<u32> {
        match self.renewal {
            Some(renewal) => Some(renewal.step_secs as u32),
            None => None,
        }
    }

    /// The network of viewers it is limited to.
    pub const fn network(&self) -> Option<Network> {
        self.network
    }

    /// The countries it is limited to, ascending; empty is no limit.
    pub fn countries(&self) -> impl ExactSizeIterator<Item = Country> + '_ {
        self.countries.as_slice().iter().copied()
    }

    /// Whether it is limited to one web origin. Which one cannot be read back: the token holds a digest.
    pub const fn has_origin(&self) -> bool {
        self.origin.is_some()
    }

    /// The path prefix it is limited to, ending in `/`.
    pub fn path_prefix(&self) -> Option<&str> {
        core::str::from_utf8(self.prefix.as_bytes()).ok().filter(|prefix| !prefix.is_empty())
    }
}

#[cfg(feature = "serde")]
impl serde::Serialize for Claims {
    /// What telemetry may keep of a token: no network, no origin, never the token.
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeStruct;
        let mut out = serializer.serialize_struct("Claims", 10)?;
        out.serialize_field("use", self.purpose.as_str())?;
        out.serialize_field("asset", &self.asset.bytes)?;
        out.serialize_field("asset_is_opaque", &self.asset.opaque)?;
        out.serialize_field("classes", &self.classes.bits())?;
        out.serialize_field("rung_max", &self.rung_max.map(Rung::index))?;
        out.serialize_field("issued_at", &self.issued_at.get())?;
        out.serialize_field("expires_at", &self.expires_at().get())?;
        out.serialize_field("org", &self.org.map(|org| org.0))?;
        out.serialize_field("session", &self.session.map(|session| session.0))?;
        out.serialize_field("deadline", &self.deadline().map(UnixSecs::get))?;
        out.end()
    }
}

/// What a token is for. Each use has a key of its own, so one is never mistaken for the other.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[repr(u8)]
pub enum Use {
    /// Fetching artifacts.
    Playback = 0x11,
    /// Being exchanged, once and soon, for a playback token.
    Bootstrap = 0x12,
}

impl Use {
    /// `playback` or `bootstrap`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Playback => "playback",
            Self::Bootstrap => "bootstrap",
        }
    }
}

/// How a token may be renewed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Renewal {
    /// How long a renewed token lives; not zero.
    pub(crate) step_secs: u16,
    /// From the issue to the deadline; at least the token's own life.
    pub(crate) horizon_secs: u32,
}

/// A country, as two upper-case letters.
#[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Country(pub(crate) [u8; 2]);

impl Country {
    /// The country written as `code`, ISO 3166 alpha-2 in upper case; `None` for anything but two upper-case letters.
    pub fn new(code: &str) -> Option<Self> {
        let code: [u8; 2] = code.as_bytes().try_into().ok()?;
        code.iter().all(u8::is_ascii_uppercase).then_some(Self(code))
    }

    /// The two letters.
    pub fn as_str(&self) -> &str {
        core::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl fmt::Debug for Country {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Country({})", self.as_str())
    }
}

/// Up to eight countries, strictly ascending.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Countries {
    pub(crate) len: u8,
    pub(crate) codes: [Country; COUNTRIES_MAX],
}

impl Countries {
    pub(crate) const NONE: Self = Self { len: 0, codes: [Country([0; 2]); COUNTRIES_MAX] };

    pub(crate) fn as_slice(&self) -> &[Country] {
        self.codes.get(..usize::from(self.len)).unwrap_or_default()
    }
}

/// A network of IP addresses: an address and how many of its bits count.
///
/// At most /64 for IPv6, since a provider gives a household no less; the bits that do not count are zero.
#[derive(Clone, Copy, Eq, PartialEq)]
pub struct Network {
    pub(crate) v6: bool,
    pub(crate) prefix_len: u8,
    /// The first four or eight bytes of the address.
    pub(crate) bytes: [u8; 8],
}

impl Network {
    /// The network of `address` in which the first `prefix_len` bits count, at most 32 or, for IPv6, 64. `None` when
    /// `prefix_len` is more. An IPv4 address mapped into IPv6 counts as IPv4.
    pub fn of(address: IpAddr, prefix_len: u8) -> Option<Self> {
        let (v6, mut bytes) = leading_bytes(address);
        let bits = if v6 { 64 } else { 32 };
        if prefix_len > bits {
            return None;
        }
        let mask = mask_of(prefix_len);
        for (byte, keep) in bytes.iter_mut().zip(mask) {
            *byte &= keep;
        }
        Some(Self { v6, prefix_len, bytes })
    }

    /// Whether `address` lies in it.
    pub fn contains(&self, address: IpAddr) -> bool {
        let (v6, bytes) = leading_bytes(address);
        let same = u64::from_be_bytes(bytes) & u64::from_be_bytes(mask_of(self.prefix_len));
        v6 == self.v6 && same == u64::from_be_bytes(self.bytes)
    }

    /// Whether the address is an IPv6 address.
    pub const fn is_v6(&self) -> bool {
        self.v6
    }

    /// How many bits count.
    pub const fn prefix_len(&self) -> u8 {
        self.prefix_len
    }

    /// The lowest address in it.
    pub fn first_address(&self) -> IpAddr {
        let mut octets = [0; 16];
        octets[..8].copy_from_slice(&self.bytes);
        match self.v6 {
            true => core::net::Ipv6Addr::from(octets).into(),
            false => core::net::Ipv4Addr::new(octets[0], octets[1], octets[2], octets[3]).into(),
        }
    }

    pub(crate) const fn wire_len(&self) -> usize {
        if self.v6 { 8 } else { 4 }
    }
}

impl fmt::Debug for Network {
    /// Addresses are nobody's business: only the size is shown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Network(v{}/{})", if self.v6 { 6 } else { 4 }, self.prefix_len)
    }
}

fn leading_bytes(address: IpAddr) -> (bool, [u8; 8]) {
    let mut bytes = [0; 8];
    match address.to_canonical() {
        IpAddr::V4(v4) => {
            bytes[..4].copy_from_slice(&v4.octets());
            (false, bytes)
        }
        IpAddr::V6(v6) => {
            bytes.copy_from_slice(&v6.octets()[..8]);
            (true, bytes)
        }
    }
}

pub(crate) fn mask_of(prefix_len: u8) -> [u8; 8] {
    let ones = u64::MAX.checked_shl(64_u32.saturating_sub(u32::from(prefix_len))).unwrap_or(0);
    ones.to_be_bytes()
}

/// The start of a digest of a web origin.
#[derive(Clone, Copy, Eq, PartialEq)]
pub(crate) struct OriginKey(pub(crate) [u8; 8]);

impl OriginKey {
    /// `None` when the text is too long to be an origin, so that nobody makes a verifier hash a megabyte.
    pub(crate) fn of(origin: &[u8]) -> Option<Self> {
        if origin.is_empty() || origin.len() > ORIGIN_LEN_MAX {
            return None;
        }
        let digest = Sha256::new().chain_update(ORIGIN_DOMAIN).chain_update(origin).finalize();
        let mut key = [0; 8];
        key.copy_from_slice(&digest[..8]);
        Some(Self(key))
    }
}

impl fmt::Debug for OriginKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OriginKey")
    }
}

/// A path prefix of at most 64 bytes, ending in `/`; empty when there is none.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Prefix {
    pub(crate) len: u8,
    pub(crate) bytes: [u8; PREFIX_LEN_MAX],
}

impl Prefix {
    pub(crate) const NONE: Self = Self { len: 0, bytes: [0; PREFIX_LEN_MAX] };

    /// The prefix `text`, when it is one: relative, canonical, ending in `/`.
    pub(crate) fn new(text: &[u8]) -> Option<Self> {
        let name = core::str::from_utf8(text).ok()?.strip_suffix('/')?;
        if text.len() > PREFIX_LEN_MAX || !name.split('/').all(crate::grammar::is_plain_part) {
            return None;
        }
        let mut prefix = Self { len: u8::try_from(text.len()).ok()?, ..Self::NONE };
        prefix.bytes[..text.len()].copy_from_slice(text);
        Some(prefix)
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or_default()
    }
}

pub(crate) const COUNTRIES_MAX: usize = 8;
pub(crate) const PREFIX_LEN_MAX: usize = 64;
pub(crate) const ORIGIN_LEN_MAX: usize = 272;

const ORIGIN_DOMAIN: &[u8] = b"rend-token/rt1/origin\0";

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(network: (&str, u8), address: &str, expect: bool) {
        let network = Network::of(network.0.parse().unwrap(), network.1).unwrap();
        assert_eq!(network.contains(address.parse().unwrap()), expect, "{network:?} {address}");
    }

    #[test]
    fn a_network_holds_its_own_family_up_to_its_edges() {
        check(("192.0.2.77", 24), "192.0.2.0", true);
        check(("192.0.2.77", 24), "192.0.2.255", true);
        check(("192.0.2.77", 24), "192.0.3.0", false);
        check(("192.0.2.77", 24), "192.0.1.255", false);
        check(("192.0.2.77", 24), "::ffff:192.0.2.1", true);
        check(("192.0.2.77", 24), "2001:db8::1", false);
        check(("192.0.2.77", 0), "8.8.8.8", true);
        check(("192.0.2.77", 0), "2001:db8::1", false);
        check(("192.0.2.77", 32), "192.0.2.77", true);
        check(("192.0.2.77", 32), "192.0.2.78", false);
        check(("2001:db8:0:aa::1", 64), "2001:db8:0:aa:ffff::", true);
        check(("2001:db8:0:aa::1", 64), "2001:db8:0:ab::", false);
        check(("2001:db8:0:aa::1", 64), "192.0.2.1", false);
    }

    #[test]
    fn a_household_is_the_smallest_network() {
        assert_eq!(Network::of("2001:db8::1".parse().unwrap(), 65), None);
        assert_eq!(Network::of("192.0.2.1".parse().unwrap(), 33), None);
    }
}
