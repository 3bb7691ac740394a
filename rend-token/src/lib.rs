//! Playback tokens: may this request have this artifact, now? Answered at an edge from one short string and a key,
//! without asking anybody.
//!
//! An issuer states a [`Grant`]: which asset, which kinds of artifact, how long. A [`Signer`] turns it into a token of
//! 68 to 244 characters that is safe in a cookie, a query and a path. A [`Verifier`] turns the token and the request
//! into [`Verified`], or into [`Denied`], which says nothing. There is no clock, no allocation and no I/O inside: time
//! is an argument, keys are values, and `no_std` is the default.
//!
//! ```
//! use rend_token::{
//!     Artifact, ArtifactClass, AssetRef, ClassMask, Grant, KeyLabel, KeyRing, KeySpec, Policy, Request, Secret,
//!     SecretPolicy, Signer, UnixSecs, Verifier,
//! };
//!
//! // Both sides hold the same key ring; the secret comes from your configuration.
//! let secret = Secret::from_bytes(b"Zr8fQ0mVt3uXkYw1LhJc7sNdB2gAe5PiRo9KxTyUvMlWqHzE")?;
//! let key = KeySpec::new(KeyLabel::new("2026-11")?, secret);
//! let ring = KeyRing::<4>::build(&[key], Policy::new(), SecretPolicy::Production)?;
//!
//! // Issue: HLS of one asset for a quarter of an hour.
//! let now = UnixSecs::new(1_800_000_000);
//! let asset = AssetRef::parse("018f5d3e-7c1a-7b2c-9d4e-5f60718293a4")?;
//! let claims = Grant::playback(&asset, ClassMask::HLS, 900).build(now)?;
//! let token = Signer::new(&ring).sign(&claims)?;
//! assert_eq!(token.as_str().len(), 68);
//!
//! // Verify, on every request.
//! let request = Request::new(&asset, Artifact::new(ArtifactClass::Segment, "hls/720p/segment_00001.m4s"), now);
//! let verified = Verifier::playback(&ring).verify(token.as_bytes(), &request)?;
//! assert_eq!(verified.claims().expires_at(), UnixSecs::new(1_800_000_900));
//!
//! // Another asset, an expired token or a changed character: `Denied`, and no word why.
//! let late = Request::new(&asset, Artifact::new(ArtifactClass::Segment, "x"), UnixSecs::new(1_800_000_900));
//! assert!(Verifier::playback(&ring).verify(token.as_bytes(), &late).is_err());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What it does not do
//!
//! It does not hide its claims (they are signed, not encrypted), does not tie a token to a device, does not count how
//! often a token is used, and does not know your paths: an [`ArtifactGrammar`] of yours says which text is which
//! artifact, before any token is looked at. A token is a bearer's ticket; keep it short and revoke by session.
//!
//! # Features
//!
//! `std`: [`KeyRing`]s that grow and come from configuration texts, revocation lists that grow. `transport`: cookies,
//! query and path over raw header bytes, `Set-Cookie`, redaction. `serde`: `Serialize` for verified claims. `inspect`:
//! what a token says, unverified, in a type that leads nowhere. `proptest`: strategies for tests of what embeds it. None
//! is on by default.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(any(feature = "std", test))]
extern crate std;

pub use crate::asset::{AssetKey, AssetRef, BadAsset, Org, SessionId};
pub use crate::claims::{Claims, Country, Network, Use};
pub use crate::error::{Denied, Reason};
pub use crate::grammar::{Artifact, ArtifactClass, ArtifactGrammar, ClassMask, PrefixGrammar, Rung};
pub use crate::grant::{Grant, GrantError};
pub use crate::issue::{SignError, Signer, TokenBuf};
pub use crate::key::{BadLabel, KeyLabel, Kid, Secret, SecretPolicy, Weakness};
pub use crate::mac::ct_eq;
pub use crate::renew::Renew;
pub use crate::revoke::{NoRevocation, Revocation, RevocationList};
pub use crate::ring::{KeyEntry, KeyRing, KeySpec, Keys, RingError};
pub use crate::time::{Policy, TimeOutOfRange, UnixSecs};
pub use crate::verify::{Request, Verified, Verifier};
#[cfg(feature = "std")]
pub use crate::{
    config::{KeyProblem, KeyProblems, KeyRingBuf, RingValues},
    revoke::RevocationBuf,
};

mod asset;
mod base64;
mod claims;
mod codec;
#[cfg(feature = "std")]
mod config;
mod error;
mod grammar;
mod grant;
#[cfg(feature = "inspect")]
pub mod inspect;
mod issue;
mod key;
mod mac;
mod renew;
mod revoke;
mod ring;
#[cfg(feature = "testing")]
#[doc(hidden)]
pub mod testing;
mod time;
#[cfg(feature = "transport")]
pub mod transport;
mod verify;

/// What the README prints is compiled and run with the tests.
#[cfg(all(doctest, feature = "std"))]
#[doc = include_str!("../README.md")]
struct Readme;

/// The longest token in characters. Anything longer is refused before it is looked at.
pub const TOKEN_LEN_MAX: usize = 244;
