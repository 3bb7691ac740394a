//! Claims become tokens.

use core::fmt;

use crate::TOKEN_LEN_MAX;
use crate::base64;
use crate::claims::{Claims, Renewal, Use};
use crate::codec::{self, DECODED_LEN_MAX, PAYLOAD_LEN_MAX, PREFIX};
use crate::mac::{Message, TAG_LEN};
use crate::ring::{KeyEntry, Keys};
use crate::time::{BOOTSTRAP_TTL_SECS_MAX, Policy, UnixSecs};
use crate::verify::Verified;

/// Makes tokens with the key of a ring that signs at the time of issue.
#[derive(Clone, Copy, Debug)]
pub struct Signer<'r> {
    entries: &'r [KeyEntry],
    policy: Policy,
}

impl<'r> Signer<'r> {
    /// A signer with the keys of `ring`.
    pub fn new(ring: &'r impl Keys) -> Self {
        Self { entries: ring.entries(), policy: *ring.policy() }
    }

    /// The token that says `claims`.
    ///
    /// # Errors
    /// When no key signs at the time of issue, or the token would outlive the policy.
    pub fn sign(&self, claims: &Claims) -> Result<TokenBuf, SignError> {
        let mut token = TokenBuf { len: 0, text: [0; TOKEN_LEN_MAX] };
        let len = self.sign_into(claims, &mut token.text)?;
        token.len = u8::try_from(len).map_err(|_| SignError::BufferTooSmall)?;
        Ok(token)
    }

    /// Writes the token that says `claims` to the front of `out` and answers its length;
    /// [`TOKEN_LEN_MAX`](crate::TOKEN_LEN_MAX) bytes are always enough.
    ///
    /// # Errors
    /// As [`Signer::sign`], or when `out` is too small.
    pub fn sign_into(&self, claims: &Claims, out: &mut [u8]) -> Result<usize, SignError> {
        if claims.ttl_secs > self.policy.ttl_secs_max {
            return Err(SignError::TtlPolicy);
        }
        let signs = |key: &&KeyEntry| key.signs_at(claims.issued_at);
        let key = self.entries.iter().find(signs).ok_or(SignError::NoActiveKey)?;
        let mut message = Message::EMPTY;
        let payload: &mut [u8; PAYLOAD_LEN_MAX] =
            message.bytes_mut().first_chunk_mut().ok_or(SignError::BufferTooSmall)?;
        let len = codec::encode(claims, key.kid, payload);
        message.pad(len);
        let tag = key.mac(claims.purpose).tag(&message);
        let behind = message.bytes_mut().get_mut(len..).and_then(<[u8]>::first_chunk_mut);
        *behind.ok_or(SignError::BufferTooSmall)? = tag;
        let (prefix, body) = out.split_first_chunk_mut::<4>().ok_or(SignError::BufferTooSmall)?;
        *prefix = *PREFIX;
        match base64::encode(message.first(len + TAG_LEN), body) {
            0 => Err(SignError::BufferTooSmall),
            chars => Ok(PREFIX.len() + chars),
        }
    }

    /// The next token of a chain: the same scope, session and deadline, issued at `now`. It lives for one step, or until
    /// the deadline if that comes first.
    ///
    /// # Errors
    /// When the token cannot be renewed, its deadline has come, or it was for bootstrap; and as [`Signer::sign`].
    pub fn renew(&self, verified: &Verified, now: UnixSecs) -> Result<TokenBuf, SignError> {
        let claims = verified.claims();
        if claims.purpose != Use::Playback {
            return Err(SignError::NotRenewable);
        }
        let (Some(renewal), Some(deadline)) = (claims.renewal, claims.deadline()) else {
            return Err(SignError::NotRenewable);
        };
        self.sign(&reissue(claims, now, u32::from(renewal.step_secs), Some((renewal.step_secs, deadline)))?)
    }

    /// The playback token that a bootstrap token is exchanged for: the same scope and session, issued at `now`, living
    /// for `ttl_secs`. A bootstrap token that can be renewed passes on its deadline, and the token does not outlive it.
    ///
    /// # Errors
    /// When `verified` is of no bootstrap token, its deadline has come, or `ttl_secs` is 0; and as [`Signer::sign`].
    pub fn exchange(&self, verified: &Verified, ttl_secs: u32, now: UnixSecs) -> Result<TokenBuf, SignError> {
        let claims = verified.claims();
        if claims.purpose != Use::Bootstrap || ttl_secs == 0 {
            return Err(SignError::NotRenewable);
        }
        let renewal = claims.renewal.map(|renewal| renewal.step_secs).zip(claims.deadline());
        self.sign(&reissue(claims, now, ttl_secs, renewal)?)
    }
}

/// The playback claims of the same scope, issued at `now`.
fn reissue(
    claims: &Claims,
    now: UnixSecs,
    ttl_secs: u32,
    renewal: Option<(u16, UnixSecs)>,
) -> Result<Claims, SignError> {
    // A clock that lags must not move a chain back before the token it came from: a cut-off in between would be undone
    // by nobody, but the horizon would not fit.
    let now = now.max(claims.issued_at);
    let left = match renewal {
        Some((_, deadline)) => deadline.since(now),
        None => u32::MAX - now.get(),
    };
    let mut next = *claims;
    next.purpose = Use::Playback;
    next.issued_at = now;
    next.ttl_secs = ttl_secs.min(left);
    next.start_secs = claims.starts_at().since(now);
    next.renewal = renewal.map(|(step_secs, deadline)| Renewal { step_secs, horizon_secs: deadline.since(now) });
    if next.ttl_secs == 0 || next.start_secs >= next.ttl_secs {
        return Err(SignError::DeadlinePassed);
    }
    Ok(next)
}

/// A token, in place. It can be shown only on purpose: `Debug` does not.
#[derive(Clone, Copy)]
pub struct TokenBuf {
    len: u8,
    text: [u8; TOKEN_LEN_MAX],
}

impl TokenBuf {
    /// The token as text: `A-Z`, `a-z`, `0-9`, `_`, `-` and `.`, safe unescaped in a cookie, a query and a path.
    pub fn as_str(&self) -> &str {
        core::str::from_utf8(self.as_bytes()).unwrap_or_default()
    }

    /// The token as bytes.
    pub fn as_bytes(&self) -> &[u8] {
        self.text.get(..usize::from(self.len)).unwrap_or_default()
    }
}

impl fmt::Debug for TokenBuf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenBuf")
    }
}

/// Why no token was made.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum SignError {
    /// No key of the ring signs at the time of issue. Another ring will help.
    NoActiveKey,
    /// The token would live longer than the ring's policy allows.
    TtlPolicy,
    /// The output is shorter than the token.
    BufferTooSmall,
    /// The token is not of a kind that this can be done with.
    NotRenewable,
    /// The deadline has come: the viewer starts again at the issuer.
    DeadlinePassed,
}

impl fmt::Display for SignError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoActiveKey => "no key of the ring signs at this time",
            Self::TtlPolicy => "the token would live longer than the policy allows",
            Self::BufferTooSmall => "the output is shorter than the token",
            Self::NotRenewable => "the token cannot be renewed or exchanged",
            Self::DeadlinePassed => "the token's deadline has come",
        })
    }
}

impl core::error::Error for SignError {}

const _: () = assert!(BOOTSTRAP_TTL_SECS_MAX > 0 && TOKEN_LEN_MAX == PREFIX.len() + DECODED_LEN_MAX / 3 * 4);
