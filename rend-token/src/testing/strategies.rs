//! Strategies for proptest: claims of every shape, tokens that are good, and texts that are close to one.
//!
//! ```
//! use proptest::prelude::*;
//! use rend_token::testing::{self, strategies};
//!
//! proptest!(|(claims in strategies::claims())| {
//!     let token = strategies::sign(&claims);
//!     let request = testing::request(&claims, claims.starts_at());
//!     prop_assert!(testing::verifier(testing::ring(), &claims).verify(token.as_bytes(), &request).is_ok());
//! });
//! ```

use std::string::{String, ToString};
use std::vec::Vec;

use proptest::collection::vec;
use proptest::prelude::*;

use super::{ASSET, Choices, arbitrary_claims, ring};
use crate::asset::AssetRef;
use crate::claims::Claims;
use crate::grammar::{ArtifactClass, ClassMask, Rung};
use crate::issue::Signer;
use crate::time::UnixSecs;

/// Claims with any of the sections, issued at [`NOW`](super::NOW). They shrink towards the plainest.
pub fn claims() -> impl Strategy<Value = Claims> {
    vec(any::<u8>(), 0..128).prop_map(|bytes| arbitrary_claims(&mut Choices(&bytes)))
}

/// Tokens that verify under the [`ring`] of the vectors.
pub fn tokens() -> impl Strategy<Value = String> {
    claims().prop_map(|claims| sign(&claims))
}

/// Tokens with one edit: a byte changed, put in, taken out or swapped, or the end cut off. Now and then the edit changes
/// nothing, so compare with the token of the same claims where that matters.
pub fn edited_tokens() -> impl Strategy<Value = (Claims, Vec<u8>)> {
    (claims(), vec(any::<u8>(), 10)).prop_map(|(claims, choices)| {
        let mut token = sign(&claims).into_bytes();
        super::edit(&mut token, &mut Choices(&choices));
        (claims, token)
    })
}

/// Assets: UUIDs, opaque names, and the one of the vectors.
pub fn assets() -> impl Strategy<Value = AssetRef> {
    prop_oneof![
        any::<[u8; 16]>().prop_map(AssetRef::uuid),
        "[A-Za-z0-9_-]{1,64}".prop_filter_map("an asset", |name| AssetRef::parse(&name).ok()),
        Just(ASSET).prop_filter_map("an asset", |text| AssetRef::parse(text).ok()),
    ]
}

/// Classes, never none.
pub fn classes() -> impl Strategy<Value = ClassMask> {
    (1_u16..0x1000).prop_filter_map("twelve bits", ClassMask::from_bits)
}

/// One class.
pub fn class() -> impl Strategy<Value = ArtifactClass> {
    proptest::sample::select(&ArtifactClass::ALL[..])
}

/// Rungs of a ladder.
pub fn rungs() -> impl Strategy<Value = Rung> {
    (0_u8..=14).prop_filter_map("a rung", Rung::new)
}

/// Instants around [`NOW`](super::NOW), up to two days to either side, and the two ends of time.
pub fn instants() -> impl Strategy<Value = UnixSecs> {
    let now = super::NOW.get();
    prop_oneof![
        8 => (now - 172_800..now + 172_800).prop_map(UnixSecs::new),
        1 => Just(UnixSecs::ZERO),
        1 => Just(UnixSecs::MAX),
    ]
}

/// The token that says `claims`, under the signing key of the [`ring`].
pub fn sign(claims: &Claims) -> String {
    Signer::new(ring()).sign(claims).expect("arbitrary claims can be signed").as_str().to_string()
}
