//! The bytes of a token. This is the only file that knows them.
//!
//! `"rt1." + base64url(payload + tag)`; all integers big-endian.
//!
//! | at | bytes | |
//! |---|---|---|
//! | 0 | 1 | use: 0x11 playback, 0x12 bootstrap |
//! | 1 | 2 | flags: 0 asset is opaque, 1 org, 2 session, 3 start, 4 audience, 5 renewal, 6 network, 7 countries, 8 origin, 9 prefix; the rest zero |
//! | 3 | 2 | top 4 bits the highest rung (15: no limit), low 12 the classes, not zero |
//! | 5 | 4 | kid |
//! | 9 | 4 | issued at |
//! | 13 | 3 | life in seconds, not zero |
//! | 16 | 16 | asset |
//! | 32 | … | in the order of their flags: org 16 · session 7 · start 3 (seconds after issue, 1 to life − 1) · audience 2 (not zero) · renewal step 2 (not zero) and horizon 3 (at least the life) · network 1 + 4 or 8 (bit 7 the family, the rest the prefix length; bits that do not count zero) · countries 1 + 2n (n 1 to 8, strictly ascending) · origin 8 · prefix 1 + n (n 2 to 64, ending in `/`) |
//! | end | 16 | tag |
//!
//! One set of claims has one encoding: the order is fixed, every byte is consumed, reserved bits are zero, and nothing is
//! written that says the same as its absence.

use crate::asset::{AssetKey, Org, SessionId};
use crate::claims::{COUNTRIES_MAX, Claims, Country, Network, OriginKey, Prefix, Renewal, Use, mask_of};
use crate::grammar::{ClassMask, Rung};
use crate::key::Kid;
use crate::mac::TAG_LEN;
use crate::time::UnixSecs;

/// Writes the payload of `claims` under `kid` and answers its length.
#[inline]
pub(crate) fn encode(claims: &Claims, kid: Kid, out: &mut [u8; PAYLOAD_LEN_MAX]) -> usize {
    let mut flags = 0;
    let mut out = Writer { out, at: HEADER_LEN };
    let mut flag = |bit: u16, set: bool| flags |= u16::from(set) << bit;
    flag(0, claims.asset.opaque);
    flag(1, claims.org.is_some());
    flag(2, claims.session.is_some());
    flag(3, claims.start_secs != 0);
    flag(4, claims.audience != 0);
    flag(5, claims.renewal.is_some());
    flag(6, claims.network.is_some());
    flag(7, claims.countries.len != 0);
    flag(8, claims.origin.is_some());
    flag(9, claims.prefix.len != 0);
    if let Some(org) = claims.org {
        out.put(&org.0);
    }
    if let Some(session) = claims.session {
        out.put(&session.0);
    }
    if claims.start_secs != 0 {
        out.put(&u24(claims.start_secs));
    }
    if claims.audience != 0 {
        out.put(&claims.audience.to_be_bytes());
    }
    if let Some(renewal) = claims.renewal {
        out.put(&renewal.step_secs.to_be_bytes());
        out.put(&u24(renewal.horizon_secs));
    }
    if let Some(network) = claims.network {
        out.put(&[u8::from(network.v6) << 7 | network.prefix_len]);
        out.put(&network.bytes[..network.wire_len()]);
    }
    if claims.countries.len != 0 {
        out.put(&[claims.countries.len]);
        claims.countries.as_slice().iter().for_each(|country| out.put(&country.0));
    }
    if let Some(origin) = claims.origin {
        out.put(&origin.0);
    }
    if claims.prefix.len != 0 {
        out.put(&[claims.prefix.len]);
        out.put(claims.prefix.as_bytes());
    }
    let len = out.at;
    let scope = u16::from(claims.rung_max.map_or(NO_RUNG, Rung::index)) << 12 | claims.classes.bits();
    out.at = 0;
    out.put(&[claims.purpose as u8]);
    out.put(&flags.to_be_bytes());
    out.put(&scope.to_be_bytes());
    out.put(&kid.0);
    out.put(&claims.issued_at.get().to_be_bytes());
    out.put(&u24(claims.ttl_secs));
    out.put(&claims.asset.bytes);
    len
}

/// Reads the claims and the kid that `payload` encodes, if it is the one encoding of any. Otherwise what stands in
/// `claims`, which is [`Claims::VACANT`] before, means nothing.
///
/// They are written where they stay: they are large, and to move them costs as much as to read them.
#[inline]
pub(crate) fn decode(payload: &[u8], claims: &mut Claims) -> Option<Kid> {
    let mut from = Reader(payload);
    claims.purpose = match from.take()? {
        [PLAYBACK] => Use::Playback,
        [BOOTSTRAP] => Use::Bootstrap,
        _ => return None,
    };
    let flags = u16::from_be_bytes(from.take()?);
    if flags >> FLAGS != 0 {
        return None;
    }
    let has = |bit: u16| flags >> bit & 1 == 1;
    let scope = u16::from_be_bytes(from.take()?);
    claims.classes = ClassMask::from_bits(scope & 0xfff).filter(|classes| *classes != ClassMask::NONE)?;
    let kid = Kid(from.take()?);
    let issued_at = u32::from_be_bytes(from.take()?);
    let ttl_secs = from.take_u24()?;
    if ttl_secs == 0 {
        return None;
    }
    issued_at.checked_add(ttl_secs)?;
    claims.issued_at = UnixSecs::new(issued_at);
    claims.ttl_secs = ttl_secs;
    // Fifteen is no rung, and so no limit.
    claims.rung_max = Rung::new((scope >> 12) as u8);
    claims.asset = AssetKey { opaque: has(0), bytes: from.take()? };
    if has(1) {
        claims.org = Some(Org(from.take()?));
    }
    if has(2) {
        claims.session = Some(SessionId(from.take()?));
    }
    if flags >> 3 != 0 {
        decode_conditions(claims, &has, &mut from)?;
    }
    from.0.is_empty().then_some(kid)
}

/// As [`decode`], for those who are in no hurry.
#[cfg(feature = "inspect")]
pub(crate) fn decoded(payload: &[u8]) -> Option<(Claims, Kid)> {
    let mut claims = Claims::VACANT;
    decode(payload, &mut claims).map(|kid| (claims, kid))
}

/// The sections that most tokens do not have.
fn decode_conditions(claims: &mut Claims, has: &impl Fn(u16) -> bool, from: &mut Reader<'_>) -> Option<()> {
    if has(3) {
        claims.start_secs = from.take_u24()?;
        if claims.start_secs == 0 || claims.start_secs >= claims.ttl_secs {
            return None;
        }
    }
    if has(4) {
        claims.audience = u16::from_be_bytes(from.take()?);
        if claims.audience == 0 {
            return None;
        }
    }
    if has(5) {
        let renewal = Renewal { step_secs: u16::from_be_bytes(from.take()?), horizon_secs: from.take_u24()? };
        if renewal.step_secs == 0 || renewal.horizon_secs < claims.ttl_secs {
            return None;
        }
        claims.issued_at.get().checked_add(renewal.horizon_secs)?;
        claims.renewal = Some(renewal);
    }
    if has(6) {
        let [shape] = from.take()?;
        let (v6, prefix_len) = (shape & 0x80 != 0, shape & 0x7f);
        let mut bytes = [0; 8];
        if v6 {
            bytes = from.take()?;
        } else {
            bytes[..4].copy_from_slice(&from.take::<4>()?);
        }
        let beyond = u64::from_be_bytes(bytes) & !u64::from_be_bytes(mask_of(prefix_len.min(64)));
        if prefix_len > if v6 { 64 } else { 32 } || beyond != 0 {
            return None;
        }
        claims.network = Some(Network { v6, prefix_len, bytes });
    }
    if has(7) {
        let [len] = from.take()?;
        if len == 0 || usize::from(len) > COUNTRIES_MAX {
            return None;
        }
        claims.countries.len = len;
        for slot in claims.countries.codes.iter_mut().take(usize::from(len)) {
            *slot = Country(from.take()?);
        }
        let codes = claims.countries.as_slice();
        if !codes.is_sorted_by(|a, b| a < b) || !codes.iter().all(|code| code.0.iter().all(u8::is_ascii_uppercase)) {
            return None;
        }
    }
    if has(8) {
        claims.origin = Some(OriginKey(from.take()?));
    }
    if has(9) {
        let [len] = from.take()?;
        let (prefix, rest) = from.0.split_at_checked(usize::from(len))?;
        claims.prefix = Prefix::new(prefix)?;
        from.0 = rest;
    }
    Some(())
}

/// The kid of a payload that is long enough to have one, before anything else is known of it.
#[inline]
pub(crate) fn kid_of(payload: &[u8]) -> Option<Kid> {
    payload.get(5..9)?.try_into().ok().map(Kid)
}

struct Writer<'a> {
    out: &'a mut [u8; PAYLOAD_LEN_MAX],
    at: usize,
}

impl Writer<'_> {
    /// The sections together never exceed [`PAYLOAD_LEN_MAX`], by the bounds on their types.
    #[inline]
    fn put(&mut self, bytes: &[u8]) {
        if let Some(to) = self.out.get_mut(self.at..self.at + bytes.len()) {
            to.copy_from_slice(bytes);
            self.at += bytes.len();
        }
    }
}

struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    #[inline]
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*taken)
    }

    #[inline]
    fn take_u24(&mut self) -> Option<u32> {
        let [a, b, c] = self.take()?;
        Some(u32::from_be_bytes([0, a, b, c]))
    }
}

const fn u24(value: u32) -> [u8; 3] {
    let [_, a, b, c] = value.to_be_bytes();
    [a, b, c]
}

/// What every token starts with, for scanners and for people. It is not covered by the tag; the first byte of the
/// payload, which says the same, is.
pub(crate) const PREFIX: &[u8; 4] = b"rt1.";
pub(crate) const HEADER_LEN: usize = 32;
pub(crate) const PAYLOAD_LEN_MAX: usize = 164;
pub(crate) const DECODED_LEN_MAX: usize = PAYLOAD_LEN_MAX + TAG_LEN;

const PLAYBACK: u8 = Use::Playback as u8;
const BOOTSTRAP: u8 = Use::Bootstrap as u8;
const FLAGS: u16 = 10;
const NO_RUNG: u8 = 15;
