//! Bytes and a request become [`Verified`], or [`Denied`].
//!
//! The order of the checks is fixed. What costs nothing comes first; before the tag is known to be good, only the
//! length, the alphabet, the first byte and the kid are looked at, and one key at most is tried:
//!
//! length → prefix → base64url → use → least length → key and its window → **tag** → claims → start, expiry, longest
//! life → asset → class, rung, prefix → audience, network, country, origin → revocation
//!
//! A condition whose counterpart the request does not know denies.

use core::net::IpAddr;

use crate::TOKEN_LEN_MAX;
use crate::asset::{AssetKey, AssetRef};
use crate::base64;
use crate::claims::{Claims, Country, OriginKey, Use};
use crate::codec::{self, HEADER_LEN, PREFIX};
use crate::error::{Denied, Reason};
use crate::grammar::{Artifact, ArtifactClass};
use crate::key::Kid;
use crate::mac::{Message, TAG_LEN, tags_eq};
use crate::renew::Renew;
use crate::revoke::{NoRevocation, Revocation};
use crate::ring::{KeyEntry, Keys};
use crate::time::{BOOTSTRAP_TTL_SECS_MAX, Policy, UnixSecs};

/// What is asked for, when, and by whom as far as is known.
#[derive(Clone, Copy, Debug)]
#[must_use]
pub struct Request<'a> {
    asset: AssetKey,
    artifact: Artifact<'a>,
    now: UnixSecs,
    audience: Option<u16>,
    address: Option<IpAddr>,
    country: Option<Country>,
    origin: Option<&'a [u8]>,
}

impl<'a> Request<'a> {
    /// Somebody asks for `artifact` of `asset` at `now`.
    pub const fn new(asset: &AssetRef, artifact: Artifact<'a>, now: UnixSecs) -> Self {
        Self::for_key(asset.key(), artifact, now)
    }

    /// As [`Request::new`], for those who keep the key of an asset and not its name.
    pub const fn for_key(asset: AssetKey, artifact: Artifact<'a>, now: UnixSecs) -> Self {
        Self { asset, artifact, now, audience: None, address: None, country: None, origin: None }
    }

    /// The audience or region that this verifier stands for.
    pub const fn audience(mut self, audience: u16) -> Self {
        self.audience = Some(audience);
        self
    }

    /// The viewer's address: the peer's own, or what a proxy of yours says. Never the first of a list that anybody can
    /// write.
    pub const fn address(mut self, address: IpAddr) -> Self {
        self.address = Some(address);
        self
    }

    /// The country that the address lies in.
    pub const fn country(mut self, country: Country) -> Self {
        self.country = Some(country);
        self
    }

    /// The `Origin` header, byte for byte.
    pub const fn origin(mut self, origin: &'a [u8]) -> Self {
        self.origin = Some(origin);
        self
    }
}

/// A token was good for a request. There is no other way to get one.
#[derive(Clone, Copy, Debug)]
pub struct Verified {
    claims: Claims,
    kid: Kid,
    renew: Renew,
}

impl Verified {
    /// What the token says.
    pub const fn claims(&self) -> &Claims {
        &self.claims
    }

    /// The key it was made with.
    pub const fn kid(&self) -> Kid {
        self.kid
    }

    /// Whether its holder should get the next token of the chain.
    pub const fn renew(&self) -> Renew {
        self.renew
    }
}

/// Checks tokens of one use against a ring.
#[derive(Clone, Copy, Debug)]
pub struct Verifier<'r, R = NoRevocation> {
    entries: &'r [KeyEntry],
    policy: Policy,
    purpose: Use,
    revocation: R,
}

impl<'r> Verifier<'r> {
    /// Checks playback tokens.
    pub fn playback(ring: &'r impl Keys) -> Self {
        Self { entries: ring.entries(), policy: *ring.policy(), purpose: Use::Playback, revocation: NoRevocation }
    }

    /// Checks bootstrap tokens, which open nothing but the master manifest: it is there that they are exchanged.
    pub fn bootstrap(ring: &'r impl Keys) -> Self {
        Self { purpose: Use::Bootstrap, ..Self::playback(ring) }
    }
}

impl<'r, R: Revocation> Verifier<'r, R> {
    /// The same checks, and `revocation`.
    #[must_use]
    pub fn with_revocation<S: Revocation>(self, revocation: S) -> Verifier<'r, S> {
        Verifier { entries: self.entries, policy: self.policy, purpose: self.purpose, revocation }
    }

    /// The same checks with another reading of times than the ring's.
    #[must_use]
    pub fn with_policy(mut self, policy: Policy) -> Self {
        self.policy = policy;
        self
    }

    /// Whether `token` opens `request`. It does no I/O, reads no clock, allocates nothing and does not panic.
    ///
    /// # Errors
    /// [`Denied`] for every token that does not.
    pub fn verify(&self, token: &[u8], request: &Request<'_>) -> Result<Verified, Denied> {
        let mut message = Message::EMPTY;
        let (key, payload) = self.authenticate(token, request.now, &mut message)?;
        let mut verified = Verified { claims: Claims::VACANT, kid: key.kid, renew: Renew::No };
        let claims = &mut verified.claims;
        codec::decode(payload, claims).ok_or(Reason::Malformed)?;
        self.check_time(claims, request.now)?;
        self.check_scope(claims, request)?;
        check_viewer(claims, request)?;
        self.check_revocation(claims, key)?;
        verified.renew = Renew::of(claims, request.now);
        Ok(verified)
    }

    /// The key and the payload of a token that was made with a key of the ring.
    #[inline]
    fn authenticate<'b>(
        &self,
        token: &[u8],
        now: UnixSecs,
        message: &'b mut Message,
    ) -> Result<(&'r KeyEntry, &'b [u8]), Reason> {
        if token.is_empty() {
            return Err(Reason::Missing);
        }
        if token.len() > TOKEN_LEN_MAX {
            return Err(Reason::TooLong);
        }
        let body = token.strip_prefix(PREFIX).ok_or(Reason::Encoding)?;
        let len = base64::decode(body, message.bytes_mut()).ok_or(Reason::Encoding)?;
        let bytes = message.first(len);
        if bytes.first() != Some(&(self.purpose as u8)) {
            return Err(Reason::Suite);
        }
        let (payload, tag) = bytes.split_last_chunk::<TAG_LEN>().ok_or(Reason::Malformed)?;
        if payload.len() < HEADER_LEN {
            return Err(Reason::Malformed);
        }
        let kid = codec::kid_of(payload).ok_or(Reason::Malformed)?;
        let key = self.entries.iter().find(|key| key.kid == kid).ok_or(Reason::UnknownKey)?;
        if key.revoked {
            return Err(Reason::RevokedKey);
        }
        if !key.in_window(now) {
            return Err(Reason::KeyWindow);
        }
        let (len, tag) = (payload.len(), *tag);
        message.pad(len);
        if !tags_eq(key.mac(self.purpose).tag(message), tag) {
            return Err(Reason::BadMac);
        }
        Ok((key, message.first(len)))
    }

    #[inline]
    fn check_time(&self, claims: &Claims, now: UnixSecs) -> Result<(), Denied> {
        if now < claims.starts_at().saturating_sub(self.policy.early_secs) {
            return Err(Reason::NotYet.into());
        }
        if now >= claims.expires_at().saturating_add(self.policy.late_secs) {
            return Err(Denied::expired(claims.deadline().is_some_and(|deadline| now < deadline)));
        }
        let ttl_secs_max = match claims.purpose {
            Use::Playback => self.policy.ttl_secs_max,
            Use::Bootstrap => self.policy.ttl_secs_max.min(BOOTSTRAP_TTL_SECS_MAX),
        };
        if claims.ttl_secs > ttl_secs_max {
            return Err(Reason::TtlPolicy.into());
        }
        Ok(())
    }

    #[inline]
    fn check_scope(&self, claims: &Claims, request: &Request<'_>) -> Result<(), Reason> {
        if claims.asset != request.asset {
            return Err(Reason::Asset);
        }
        let artifact = &request.artifact;
        let exchanged = self.purpose == Use::Playback || artifact.class == ArtifactClass::MasterManifest;
        if !claims.classes.has(artifact.class) || !exchanged {
            return Err(Reason::Class);
        }
        if let (Some(ceiling), Some(rung)) = (claims.rung_max, artifact.rung)
            && rung > ceiling
        {
            return Err(Reason::Rung);
        }
        let prefix = claims.prefix.as_bytes();
        if !prefix.is_empty() && !artifact.path.as_bytes().starts_with(prefix) {
            return Err(Reason::Prefix);
        }
        Ok(())
    }

    #[inline]
    fn check_revocation(&self, claims: &Claims, key: &KeyEntry) -> Result<(), Reason> {
        if claims.issued_at < key.issued_at_min {
            return Err(Reason::RevokedKey);
        }
        if claims.issued_at < self.revocation.asset_cutoff(&claims.asset) {
            return Err(Reason::RevokedAsset);
        }
        if claims.org.is_some_and(|org| claims.issued_at < self.revocation.org_cutoff(&org)) {
            return Err(Reason::RevokedOrg);
        }
        if claims.session.is_some_and(|session| self.revocation.session_denied(&session)) {
            return Err(Reason::RevokedSession);
        }
        Ok(())
    }
}

#[inline]
fn check_viewer(claims: &Claims, request: &Request<'_>) -> Result<(), Reason> {
    if claims.audience != 0 && request.audience != Some(claims.audience) {
        return Err(Reason::Audience);
    }
    if let Some(network) = claims.network
        && !request.address.is_some_and(|address| network.contains(address))
    {
        return Err(Reason::Ip);
    }
    if claims.countries.len != 0
        && !request.country.is_some_and(|country| claims.countries.as_slice().contains(&country))
    {
        return Err(Reason::Geo);
    }
    if claims.origin.is_some() && request.origin.and_then(OriginKey::of) != claims.origin {
        return Err(Reason::Origin);
    }
    Ok(())
}
