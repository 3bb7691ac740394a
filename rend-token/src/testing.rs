//! What must hold for every input, as functions over bytes: the property tests feed them from proptest, the fuzz targets
//! from libFuzzer, and a plain test replays the corpus. Each panics when its property does not hold.
//!
//! Nothing here is part of the stable interface.

use std::format;
use std::string::{String, ToString};
use std::sync::LazyLock;
use std::vec::Vec;

use crate::asset::{AssetRef, Org, SessionId};
use crate::base64;
use crate::claims::{Claims, Country, Network, Use};
use crate::codec::{self, DECODED_LEN_MAX, PAYLOAD_LEN_MAX, PREFIX};
use crate::error::Reason;
use crate::grammar::{Artifact, ArtifactClass, ArtifactGrammar, ClassMask, PrefixGrammar, Rung};
use crate::grant::Grant;
use crate::inspect;
use crate::issue::{Signer, TokenBuf};
use crate::key::{KeyLabel, Secret, SecretPolicy};
use crate::mac::{Message, TAG_LEN};
use crate::ring::{KeyEntry, KeyRing, KeySpec, Keys};
use crate::time::{Policy, UnixSecs};
use crate::transport::{self, CANDIDATES_MAX, COOKIE_SECURE};
use crate::verify::{Request, Verified, Verifier};
use crate::{KeyRingBuf, RingValues, TOKEN_LEN_MAX};

#[cfg(feature = "proptest")]
pub mod strategies;

/// The issue time of every vector and every arbitrary grant.
pub const NOW: UnixSecs = UnixSecs::new(1_800_000_000);
/// The asset of the vectors.
pub const ASSET: &str = "018f5d3e-7c1a-7b2c-9d4e-5f60718293a4";
/// The origin that arbitrary grants are bound to.
pub const ORIGIN: &str = "https://www.example.com";
/// The path that arbitrary requests ask for; it lies in every prefix that arbitrary grants are bound to.
pub const PATH: &str = "hls/720p/segment_00001.m4s";

/// The keys of the vectors: label, first byte of the secret (which counts up from there), first and last instant, whether
/// revoked, least issue time. The first key signs.
pub const KEYS: [(&str, u8, UnixSecs, UnixSecs, bool, UnixSecs); 7] = [
    ("prod-2026-01", 0, UnixSecs::ZERO, UnixSecs::MAX, false, UnixSecs::ZERO),
    ("prod-2025-12", 32, UnixSecs::ZERO, UnixSecs::MAX, false, UnixSecs::ZERO),
    ("prod-2026-02", 64, UnixSecs::new(1_800_001_000), UnixSecs::new(1_800_002_000), false, UnixSecs::ZERO),
    ("prod-2025-01", 96, UnixSecs::ZERO, UnixSecs::MAX, true, UnixSecs::ZERO),
    ("prod-2024-01", 128, UnixSecs::ZERO, UnixSecs::new(1_700_000_000), false, UnixSecs::ZERO),
    ("twin-of-the-first", 0, UnixSecs::ZERO, UnixSecs::MAX, false, UnixSecs::ZERO),
    ("not-before-noon", 160, UnixSecs::ZERO, UnixSecs::MAX, false, UnixSecs::new(1_800_000_001)),
];

/// The ring of the vectors, made of [`KEYS`].
pub fn ring() -> &'static KeyRing<8> {
    static RING: LazyLock<KeyRing<8>> = LazyLock::new(build_ring);
    &RING
}

fn build_ring() -> KeyRing<8> {
    let spec = |(at, (label, first, from, until, revoked, issued_at_min)): (usize, (&str, u8, _, _, bool, _))| {
        let bytes: Vec<u8> = (first..first + 32).collect();
        let (label, secret) = (KeyLabel::new(label).expect("a label"), Secret::from_bytes(&bytes).expect("a secret"));
        let spec = if at == 0 { KeySpec::new(label, secret) } else { KeySpec::verify_only(label, secret) };
        let spec = spec.verifies(from, until).issued_at_min(issued_at_min);
        if revoked { spec.revoked() } else { spec }
    };
    let keys: Vec<KeySpec> = KEYS.into_iter().enumerate().map(spec).collect();
    KeyRing::build(&keys, Policy::new(), SecretPolicy::Local).expect("a ring")
}

/// Choices read off a byte string; when it ends, every choice is the first.
#[derive(Clone, Copy, Debug)]
pub struct Choices<'a>(pub &'a [u8]);

impl Choices<'_> {
    fn byte(&mut self) -> u8 {
        let (first, rest) = self.0.split_first().unwrap_or((&0, &[]));
        self.0 = rest;
        *first
    }

    fn array<const N: usize>(&mut self) -> [u8; N] {
        core::array::from_fn(|_| self.byte())
    }

    fn below(&mut self, bound: u32) -> u32 {
        u32::from_be_bytes(self.array()) % bound
    }
}

/// A grant that holds for [`request`], and its claims, chosen by `choices`. It may carry any of the sections.
pub fn arbitrary_claims(choices: &mut Choices<'_>) -> Claims {
    let codes: Vec<Country> =
        ["DE", "FR", "GB", "JP", "BR", "US", "ZA", "IN"].into_iter().filter_map(Country::new).collect();
    let asset = match choices.byte() % 3 {
        0 => AssetRef::parse(ASSET).expect("an asset"),
        1 => AssetRef::uuid(choices.array()),
        _ => AssetRef::parse(&format!("opaque_{}", choices.byte())).expect("an asset"),
    };
    let sections = u16::from_be_bytes(choices.array());
    let has = |bit: u16| sections >> bit & 1 == 1;
    let classes = ClassMask::from_bits(1 | u16::from_be_bytes(choices.array()) & 0xfff).unwrap_or(ClassMask::ALL);
    let bootstrap = has(10) && has(11) && has(12);
    let ttl_secs = 1 + choices.below(if bootstrap { 120 } else { 86_400 });
    let mut grant = if bootstrap {
        Grant::bootstrap(&asset, classes, ttl_secs)
    } else {
        Grant::playback(&asset, classes, ttl_secs)
    };
    let count = 1 + choices.below(8) as usize;
    if let Some(rung) = Rung::new(choices.byte() % 16) {
        grant = grant.rung_max(rung);
    }
    if has(1) {
        grant = grant.org(Org::new(choices.array()));
    }
    if has(2) {
        grant = grant.session(SessionId::new(choices.array()));
    }
    if has(3) {
        grant = grant.starts_after(choices.below(ttl_secs));
    }
    if has(4) {
        grant = grant.audience(u16::from_be_bytes(choices.array()));
    }
    if has(5) {
        let horizon = ttl_secs + choices.below((1 << 24) - ttl_secs);
        grant = grant.renewable(1 + choices.below(65_535), horizon);
    }
    if has(6) {
        let network = if has(13) {
            Network::of(core::net::Ipv6Addr::from(choices.array()).into(), choices.byte() % 65)
        } else {
            Network::of(core::net::Ipv4Addr::from(choices.array()).into(), choices.byte() % 33)
        };
        if let Some(network) = network {
            grant = grant.network(network);
        }
    }
    if has(7) {
        grant = grant.countries(codes.get(..count).unwrap_or(&codes));
    }
    if has(8) {
        grant = grant.origin(ORIGIN);
    }
    if has(9) {
        grant = grant.path_prefix(if has(14) { "hls/" } else { "hls/720p/" });
    }
    grant.build(NOW).expect("every arbitrary grant can be")
}

/// A request that `claims` open at `now`, as far as asset, class, rung, audience, address and origin can make it so.
pub fn request(claims: &Claims, now: UnixSecs) -> Request<'static> {
    let class = if claims.purpose() == Use::Bootstrap {
        ArtifactClass::MasterManifest
    } else {
        ArtifactClass::ALL.into_iter().find(|class| claims.classes().has(*class)).unwrap_or(ArtifactClass::App)
    };
    let mut artifact = Artifact::new(class, PATH);
    if let Some(rung) = claims.rung_max() {
        artifact = artifact.on_rung(rung);
    }
    let mut request = Request::for_key(claims.asset(), artifact, now);
    if let Some(audience) = claims.audience() {
        request = request.audience(audience);
    }
    if let Some(network) = claims.network() {
        request = request.address(network.first_address());
    }
    if let Some(country) = claims.countries().next() {
        request = request.country(country);
    }
    if claims.has_origin() {
        request = request.origin(ORIGIN.as_bytes());
    }
    request
}

/// The verifier for the use of `claims`.
pub fn verifier<'r>(ring: &'r impl Keys, claims: &Claims) -> Verifier<'r> {
    match claims.purpose() {
        Use::Playback => Verifier::playback(ring),
        Use::Bootstrap => Verifier::bootstrap(ring),
    }
}

/// The first instant at which an arbitrary grant works without leeway.
pub fn starts(claims: &Claims) -> UnixSecs {
    claims.starts_at()
}

/// The text of `payload` and its tag under a key of `ring`, whatever the payload says: what a faulty issuer could make.
pub fn mac_anything(ring: &impl Keys, label: &str, purpose: Use, payload: &[u8]) -> String {
    let find = |key: &&KeyEntry| key.label().as_str() == label;
    let key = ring.entries().iter().find(find).expect("a key of the ring");
    let mut bytes = payload.to_vec();
    bytes.extend_from_slice(&key.mac(purpose).tag(&message(payload)));
    text_of(&bytes)
}

/// The text of these bytes, tag included.
pub fn text_of(bytes: &[u8]) -> String {
    let mut out = std::vec![0; (bytes.len() * 4).div_ceil(3)];
    base64::encode(bytes, &mut out);
    format!("rt1.{}", String::from_utf8(out).expect("ascii"))
}

/// The bytes of a token's text, tag included.
pub fn bytes_of(token: &str) -> Option<Vec<u8>> {
    let mut out = std::vec![0; token.len()];
    let len = base64::decode(token.as_bytes().strip_prefix(PREFIX)?, &mut out)?;
    out.truncate(len);
    Some(out)
}

/// The payload of `claims` under the signing key of the ring.
pub fn payload_of(claims: &Claims) -> Vec<u8> {
    let mut payload = [0; PAYLOAD_LEN_MAX];
    let kid = KeyLabel::new("prod-2026-01").expect("a label").kid();
    let len = codec::encode(claims, kid, &mut payload);
    payload[..len].to_vec()
}

/// The claims that `payload` encodes.
pub fn decode(payload: &[u8]) -> Option<Claims> {
    codec::decoded(payload).map(|(claims, _)| claims)
}

/// The tag of `payload` under a key of these bytes.
pub fn tag_of(key: &[u8; 32], payload: &[u8]) -> [u8; TAG_LEN] {
    crate::mac::MacKey::new(key).tag(&message(payload))
}

/// As a verifier lays it out. No token holds a longer payload than is taken here.
fn message(payload: &[u8]) -> Message {
    let mut message = Message::EMPTY;
    let len = payload.len().min(PAYLOAD_LEN_MAX);
    message.bytes_mut()[..len].copy_from_slice(&payload[..len]);
    message.pad(len);
    message
}

/// The key that is derived from `secret` for `purpose` under `label`.
pub fn derived_key(secret: &Secret, purpose: Use, label: &KeyLabel) -> [u8; 32] {
    let mut key = [0; 32];
    crate::mac::derive_bytes(&secret.prk, purpose, label, &mut key);
    key
}

/// Any bytes: no panic, and whatever decodes encodes to the same text. What is not signed never verifies.
pub fn token_parse(token: &[u8]) {
    let mut bytes = [0; DECODED_LEN_MAX];
    if token.len() > TOKEN_LEN_MAX {
        assert!(inspect::inspect(token).is_none());
        return;
    }
    if let Some(body) = token.strip_prefix(PREFIX)
        && let Some(len) = base64::decode(body, &mut bytes)
    {
        let mut text = [0; TOKEN_LEN_MAX];
        let chars = base64::encode(&bytes[..len], &mut text);
        assert_eq!(&text[..chars], body, "one text for every byte string");
    }
    if let Some(unverified) = inspect::inspect(token) {
        assert!(unverified.to_string().starts_with("verified: no\n"));
    }
}

/// Any payload: no panic, and whatever decodes encodes to the same payload.
pub fn token_claims(payload: &[u8]) {
    if let Some((claims, kid)) = codec::decoded(payload) {
        let mut out = [0; PAYLOAD_LEN_MAX];
        let len = codec::encode(&claims, kid, &mut out);
        assert_eq!(&out[..len], payload, "one encoding for every set of claims");
        assert!(claims.issued_at() < claims.expires_at());
        assert!(claims.starts_at() < claims.expires_at());
        assert!(claims.deadline().is_none_or(|deadline| deadline >= claims.expires_at()));
    }
}

/// The first bytes choose a grant, the rest an edit of its token: the token verifies, and the edited one does not unless
/// the edit changed nothing.
pub fn token_verify(input: &[u8]) {
    let ring = ring();
    let mut choices = Choices(input);
    let claims = arbitrary_claims(&mut choices);
    let token = Signer::new(ring).sign(&claims).expect("arbitrary grants can be signed");
    let now = starts(&claims);
    let request = request(&claims, now);
    let verifier = verifier(ring, &claims);
    let verified = verifier.verify(token.as_bytes(), &request).expect("what was signed verifies");
    assert_eq!(*verified.claims(), claims);
    token_parse(token.as_bytes());
    token_parse(input);

    let mut edited = token.as_bytes().to_vec();
    edit(&mut edited, &mut choices);
    if edited != token.as_bytes() {
        let denied = verifier.verify(&edited, &request).expect_err("an edited token is denied");
        let long = core::str::from_utf8(&edited).ok().and_then(bytes_of).is_some_and(|bytes| bytes.len() >= 48);
        assert!(!long || denied.reason() != Reason::Malformed, "nothing is decoded before its tag is known to be good");
    }
    if input != token.as_bytes() {
        assert!(verifier.verify(input, &request).is_err());
    }
    let other = match claims.purpose() {
        Use::Playback => Verifier::bootstrap(ring),
        Use::Bootstrap => Verifier::playback(ring),
    };
    assert_eq!(other.verify(token.as_bytes(), &request).expect_err("the other use").reason(), Reason::Suite);
    renewal(ring, &verified, now);
}

/// Renewing what was verified keeps its scope and its deadline, and ends.
fn renewal(ring: &KeyRing<8>, verified: &Verified, now: UnixSecs) {
    let signer = Signer::new(ring);
    let Ok(next) = signer.renew(verified, now) else {
        return;
    };
    let before = verified.claims();
    let payload = bytes_of(next.as_str()).expect("a token");
    let after = decode(&payload[..payload.len() - TAG_LEN]).expect("claims");
    assert_eq!(after.deadline(), before.deadline());
    assert!(after.deadline().is_some_and(|deadline| after.expires_at() <= deadline));
    assert_eq!((after.org(), after.session(), after.asset()), (before.org(), before.session(), before.asset()));
    assert_eq!((after.classes(), after.rung_max()), (before.classes(), before.rung_max()));
    assert_eq!((after.path_prefix(), after.network()), (before.path_prefix(), before.network()));
    assert!(after.countries().eq(before.countries()));
    assert!(after.starts_at() >= before.starts_at().min(now));
}

fn edit(token: &mut Vec<u8>, choices: &mut Choices<'_>) {
    let at = choices.below(token.len() as u32) as usize;
    let byte = choices.byte();
    match choices.byte() % 6 {
        0 => token[at] ^= 1 << (byte % 8),
        1 => token[at] = byte,
        2 => token.insert(at, byte),
        3 => drop(token.remove(at)),
        4 => token.truncate(at),
        _ => {
            let other = choices.below(token.len() as u32) as usize;
            token.swap(at, other);
        }
    }
}

/// Any bytes as query, path and cookie lines: no panic, few candidates, each a part of what was sent, none shown.
pub fn transport(input: &[u8]) {
    let mut lines = input.split(|b| *b == b'\n');
    let query = lines.next();
    let path = lines.next().and_then(|line| core::str::from_utf8(line).ok());
    let split = path.and_then(transport::split_path);
    if let (Some(path), Some(split)) = (path, split) {
        let again = match split.token {
            Some(token) => format!("/v/{}/~{token}/{}", split.asset, split.artifact),
            None => format!("/v/{}/{}", split.asset, split.artifact),
        };
        assert_eq!(again, path);
        if let Some(artifact) = PrefixGrammar.parse(split.artifact) {
            assert_eq!(artifact.path(), split.artifact);
            assert!(!artifact.path().split('/').any(|part| matches!(part, "" | "." | "..")));
        }
    }
    let token = split.and_then(|split| split.token).map(str::as_bytes);
    let found = transport::candidates(query, token, lines.clone(), COOKIE_SECURE);
    assert!(found.len() <= CANDIDATES_MAX);
    for candidate in found.iter() {
        assert!(!candidate.is_empty() && input.windows(candidate.len()).any(|part| part == candidate));
    }
    if let Ok(text) = core::str::from_utf8(input) {
        let shown = transport::redact(text).to_string();
        assert!(!has_token(&shown), "a redacted text shows no token");
        assert_eq!(transport::redact(&shown).to_string(), shown, "redacting twice changes nothing more");
    }
}

/// Whether a token could be read off `text`.
pub fn has_token(text: &str) -> bool {
    text.match_indices("rt1.").any(|(at, mark)| {
        text[at + mark.len()..].starts_with(|c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'))
    })
}

/// Any text as the values of a ring: no panic, problems name a variable and show no value, and what makes a ring signs
/// and verifies.
pub fn keyring_text(input: &[u8]) {
    let Ok(text) = core::str::from_utf8(input) else {
        return;
    };
    let mut lines = text.splitn(3, '\n');
    let values = RingValues {
        signing_label: lines.next(),
        signing_secret: lines.next(),
        verify_keys: lines.next(),
        production: input.len().is_multiple_of(2),
    };
    match KeyRingBuf::from_values(&values, Policy::new()) {
        Ok(ring) => {
            let claims = arbitrary_claims(&mut Choices(&[]));
            let token = Signer::new(&ring).sign(&claims).expect("a ring has a key that signs");
            assert!(Verifier::playback(&ring).verify(token.as_bytes(), &request(&claims, NOW)).is_ok());
            assert!(ring.entries().len() <= 64);
        }
        Err(problems) => {
            assert!(problems.iter().len() > 0);
            // What is said is one of a few sentences, whatever the values hold; a ring's error may add a label.
            for problem in problems.iter() {
                let what = problem.what();
                let sentence = match what.strip_prefix("entry ").and_then(|rest| rest.split_once(": ")) {
                    Some((number, sentence)) if number.bytes().all(|b| b.is_ascii_digit()) => sentence,
                    _ => what.as_str(),
                };
                let known = SENTENCES.contains(&sentence) || sentence.starts_with("makes no ring: ");
                assert!(known, "a problem says what no problem should: {sentence}");
            }
        }
    }
}

/// Everything that is said of a single value.
const SENTENCES: &[&str] = &[
    "is not set",
    "is not label=secret",
    "is not a key label: 1 to 64 characters A-Z a-z 0-9 _ . -, starting with a letter or a digit",
    "has a label that is for development only",
    "has a production label, but this is a local set-up",
    "is empty",
    "is longer than 4096 bytes",
    "is a placeholder or a development value",
    "holds fewer than 32 bytes (as text: fewer than 43 characters)",
    "holds fewer than 16 different bytes",
    "repeats itself or counts",
];

/// A token to look for in what other types show.
pub fn token_of(claims: &Claims) -> TokenBuf {
    Signer::new(ring()).sign(claims).expect("a token")
}
