//! What a token claims, for people who debug. Nothing here is checked, and nothing here can become trust: there is no
//! way from [`Unverified`] to [`Claims`].

use core::fmt;

use crate::TOKEN_LEN_MAX;
use crate::base64;
use crate::claims::Claims;
use crate::codec::{self, DECODED_LEN_MAX, PREFIX};
use crate::grammar::Rung;
use crate::key::Kid;
use crate::mac::TAG_LEN;

/// What a text in the shape of a token says of itself. Anybody can write such a text.
#[derive(Clone, Copy)]
pub struct Unverified {
    claims: Claims,
    kid: Kid,
}

impl Unverified {
    /// The kid it names.
    pub const fn kid(&self) -> Kid {
        self.kid
    }
}

/// What `token` says of itself, if it is in the shape of a token.
pub fn inspect(token: &[u8]) -> Option<Unverified> {
    let mut bytes = [0; DECODED_LEN_MAX];
    if token.len() > TOKEN_LEN_MAX {
        return None;
    }
    let len = base64::decode(token.strip_prefix(PREFIX)?, &mut bytes)?;
    let (payload, _) = bytes.get(..len)?.split_last_chunk::<TAG_LEN>()?;
    let (claims, kid) = codec::decoded(payload)?;
    Some(Unverified { claims, kid })
}

impl fmt::Display for Unverified {
    /// One `name: value` a line, the first of which says that nothing is verified. The token is not shown, and neither
    /// is the network.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let claims = &self.claims;
        writeln!(f, "verified: no")?;
        writeln!(f, "use: {}", claims.purpose.as_str())?;
        writeln!(f, "kid: {}", self.kid)?;
        if claims.asset.opaque {
            f.write_str("asset: sha256/128 ")?;
            claims.asset.bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
            writeln!(f)?;
        } else {
            writeln!(f, "asset: {}", crate::AssetRef::uuid(claims.asset.bytes))?;
        }
        writeln!(f, "classes: {}", claims.classes)?;
        writeln!(f, "issued_at: {}", claims.issued_at)?;
        writeln!(f, "starts_at: {}", claims.starts_at())?;
        writeln!(f, "expires_at: {}", claims.expires_at())?;
        if let Some(rung) = claims.rung_max.map(Rung::index) {
            writeln!(f, "rung_max: {rung}")?;
        }
        if let Some(org) = claims.org {
            writeln!(f, "org: {}", crate::AssetRef::uuid(org.0))?;
        }
        if let Some(session) = claims.session {
            writeln!(f, "session: {session}")?;
        }
        if let Some(audience) = claims.audience() {
            writeln!(f, "audience: {audience}")?;
        }
        if let (Some(step), Some(deadline)) = (claims.renewal_step_secs(), claims.deadline()) {
            writeln!(f, "renewal_step_secs: {step}")?;
            writeln!(f, "deadline: {deadline}")?;
        }
        if let Some(network) = claims.network {
            writeln!(f, "network: ipv{} /{}", if network.v6 { 6 } else { 4 }, network.prefix_len)?;
        }
        if claims.countries.len > 0 {
            f.write_str("countries:")?;
            claims.countries().try_for_each(|country| write!(f, " {}", country.as_str()))?;
            writeln!(f)?;
        }
        if claims.has_origin() {
            writeln!(f, "origin: bound")?;
        }
        if let Some(prefix) = claims.path_prefix() {
            writeln!(f, "path_prefix: {prefix}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Unverified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Unverified({})", self.kid)
    }
}
