//! Rings from configuration, keys that change, and fleets whose clocks and configurations lag.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use proptest::collection::vec;
use proptest::prelude::*;
use rend_token::testing::{self, NOW, request};
use rend_token::{
    AssetRef, ClassMask, Grant, KeyLabel, KeyRing, KeyRingBuf, KeySpec, Keys, Policy, Reason, RingError, RingValues,
    Secret, SecretPolicy, SignError, Signer, UnixSecs, Verifier,
};

const GOOD: &str = "Zr8fQ0mVt3uXkYw1LhJc7sNdB2gAe5PiRo9KxTyUvMlWqHzE";
const OTHER: &str = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";

fn values<'a>(label: &'a str, secret: &'a str, verify_keys: &'a str, production: bool) -> RingValues<'a> {
    RingValues { signing_label: Some(label), signing_secret: Some(secret), verify_keys: Some(verify_keys), production }
}

#[track_caller]
fn refused(values: RingValues<'_>, expect: &str) {
    let problems = KeyRingBuf::from_values(&values, Policy::new()).unwrap_err();
    let shown = problems.to_string();
    assert!(shown.contains(expect), "{shown}");
    assert!(!shown.contains(GOOD) && !shown.contains(OTHER), "{shown}");
    assert!(problems.iter().all(|problem| problem.variable().starts_with("REND_PLAYBACK_")));
}

#[test]
fn production_refuses_weak_secrets_by_the_name_of_their_variable() {
    let repeated = "\u{1}\u{2}xYz7%Q".repeat(8);
    let counting = "0123456789abcdefghijklmnopqrstuvwxyz0123456789abcdefghijklmnopqrstuvwxyz";
    let thirty_one = "Zr8fQ0mVt3uXkYw1LhJc7sNdB2gAe5P";
    for secret in [
        "",
        " \t",
        "a",
        thirty_one,
        "local-dev-playback-signing-secret",
        "changeme-0a1b2c3d4e5f60718293a4b5c6d7e8f9changeme",
        &"a".repeat(32),
        &"a".repeat(64),
        &"0123456789".repeat(5),
        &repeated,
        "00112233445566778899aabbccddeeff0011223344556677",
        "c2hvcnQgc2VjcmV0IG9mIHR3ZW50eSBieXRlcw==",
        "<SECRET>",
    ] {
        refused(values("2026-11", secret, "", true), "REND_PLAYBACK_SIGNING_SECRET ");
        let entry = format!("old={secret}");
        refused(values("2026-11", GOOD, &entry, true), "REND_PLAYBACK_VERIFY_KEYS entry 1 ");
    }
    assert!(Secret::from_bytes(counting.as_bytes()).is_ok(), "36 different characters in a row are not caught");
}

#[test]
fn labels_that_carry_syntax_or_belong_elsewhere_are_refused() {
    let long = "x".repeat(65);
    for label in ["", &long, "../../etc/passwd", "k' OR 1=1", "a\nb", "local-dev-playback-key", "dev"] {
        refused(values(label, GOOD, "", true), "REND_PLAYBACK_SIGNING_KEY_ID ");
    }
    refused(values("prod-2026-11", GOOD, "", false), "REND_PLAYBACK_SIGNING_KEY_ID has a production label");
    refused(values("2026-11", GOOD, &format!("dev={OTHER}"), true), "REND_PLAYBACK_VERIFY_KEYS entry 1 ");
    let local = values("local-dev-playback-key", "local-dev-playback-signing-secret", "", false);
    assert!(KeyRingBuf::from_values(&local, Policy::new()).is_ok());
}

#[test]
fn all_problems_come_at_once() {
    let bad = RingValues {
        signing_label: None,
        signing_secret: Some("short"),
        verify_keys: Some("x,b=c,,=d"),
        production: true,
    };
    let problems = KeyRingBuf::from_values(&bad, Policy::new()).unwrap_err();
    assert_eq!(
        problems.to_string(),
        "REND_PLAYBACK_SIGNING_KEY_ID is not set; \
         REND_PLAYBACK_SIGNING_SECRET holds fewer than 32 bytes (as text: fewer than 43 characters); \
         REND_PLAYBACK_VERIFY_KEYS entry 1 is not label=secret; \
         REND_PLAYBACK_VERIFY_KEYS entry 2 holds fewer than 32 bytes (as text: fewer than 43 characters); \
         REND_PLAYBACK_VERIFY_KEYS entry 4 is not a key label: 1 to 64 characters A-Z a-z 0-9 _ . -, starting with a letter \
         or a digit"
    );
    assert_eq!(problems.iter().len(), 5);
}

#[test]
fn one_label_twice_is_no_ring() {
    refused(values("a", GOOD, &format!("a={OTHER}"), true), "key a has the kid of an earlier key");
}

#[test]
fn sixty_four_keys_are_the_most() {
    let entry = |at: u32| format!("k{at}={OTHER}{at}");
    let entries = |count: u32| (0..count).map(entry).collect::<Vec<_>>().join(",");
    let ring = KeyRingBuf::from_values(&values("a", GOOD, &entries(63), true), Policy::new()).unwrap();
    assert_eq!(ring.entries().len(), 64);
    refused(values("a", GOOD, &entries(64), true), "more keys than the ring holds");
    refused(values("a", GOOD, &entries(65), true), "more keys than the ring holds");
    let spec = KeySpec::new(KeyLabel::new("a").unwrap(), Secret::from_bytes(GOOD.as_bytes()).unwrap());
    let full = KeyRing::<0>::build(&[spec], Policy::new(), SecretPolicy::Production);
    assert_eq!(full.unwrap_err(), RingError::Full);
    assert_eq!(KeyRing::<1>::build(&[], Policy::new(), SecretPolicy::Production).unwrap_err(), RingError::Empty);
}

#[test]
fn overlap_keys_verify_and_do_not_sign() {
    let old = KeyRingBuf::from_values(&values("old", OTHER, "", true), Policy::new()).unwrap();
    let new = KeyRingBuf::from_values(&values("new", GOOD, &format!(" old = {OTHER} ,"), true), Policy::new()).unwrap();
    let claims = Grant::playback(&AssetRef::uuid([1; 16]), ClassMask::HLS, 900).build(NOW).unwrap();
    let token = Signer::new(&old).sign(&claims).unwrap();
    assert_eq!(
        Verifier::playback(&new).verify(token.as_bytes(), &request(&claims, NOW)).unwrap().kid(),
        old.entries()[0].kid()
    );
    let token = Signer::new(&new).sign(&claims).unwrap();
    let reason = Verifier::playback(&old).verify(token.as_bytes(), &request(&claims, NOW)).unwrap_err().reason();
    assert_eq!(reason, Reason::UnknownKey);
}

#[test]
fn a_key_verifies_as_long_as_what_it_signed_can_live() {
    let spec = || KeySpec::new(KeyLabel::new("a").unwrap(), Secret::from_bytes(GOOD.as_bytes()).unwrap());
    let build = |spec: KeySpec| KeyRingBuf::build(&[spec], Policy::new(), SecretPolicy::Production).map(|_| ());
    let (from, until) = (NOW, NOW.saturating_add(1000));
    let last = until.saturating_add(86_400 + 30);
    let early = NOW.saturating_sub(30);
    let window = Err(RingError::Window { label: KeyLabel::new("a").unwrap() });
    assert_eq!(build(spec().signs(from, until).verifies(early, last)), Ok(()));
    assert_eq!(build(spec().signs(from, until).verifies(early, last.saturating_sub(1))), window);
    assert_eq!(build(spec().signs(from, until).verifies(from, last)), window);
    assert_eq!(build(spec().signs(until, from)), window);
    assert_eq!(build(spec().verifies(until, from)), window);
    let two = [spec(), KeySpec::new(KeyLabel::new("b").unwrap(), Secret::from_bytes(OTHER.as_bytes()).unwrap())];
    let error = KeyRingBuf::build(&two, Policy::new(), SecretPolicy::Production).unwrap_err();
    assert_eq!(error, RingError::TwoSigners { label: KeyLabel::new("b").unwrap() });
}

#[test]
fn a_key_signs_in_its_window_alone() {
    let spec = KeySpec::new(KeyLabel::new("a").unwrap(), Secret::from_bytes(GOOD.as_bytes()).unwrap());
    let spec = spec.signs(NOW, NOW.saturating_add(10));
    let ring = KeyRingBuf::build(&[spec], Policy::new(), SecretPolicy::Production).unwrap();
    let at = |now: UnixSecs| {
        let claims = Grant::playback(&AssetRef::uuid([1; 16]), ClassMask::HLS, 900).build(now).unwrap();
        Signer::new(&ring).sign(&claims).map(|_| ())
    };
    assert_eq!(at(NOW.saturating_sub(1)), Err(SignError::NoActiveKey));
    assert_eq!(at(NOW), Ok(()));
    assert_eq!(at(NOW.saturating_add(9)), Ok(()));
    assert_eq!(at(NOW.saturating_add(10)), Err(SignError::NoActiveKey));
    let long = Grant::playback(&AssetRef::uuid([1; 16]), ClassMask::HLS, 86_401).build(NOW).unwrap();
    assert_eq!(Signer::new(&ring).sign(&long).map(|_| ()), Err(SignError::TtlPolicy));
}

#[test]
fn a_bound_on_the_age_of_a_key_s_tokens_never_falls() {
    let ring = KeyRingBuf::from_values(&values("a", GOOD, "", true), Policy::new()).unwrap();
    let label = KeyLabel::new("a").unwrap();
    let claims = Grant::playback(&AssetRef::uuid([1; 16]), ClassMask::HLS, 900).build(NOW).unwrap();
    let token = Signer::new(&ring).sign(&claims).unwrap();
    let check = |ring: &KeyRingBuf| {
        let verdict = Verifier::playback(ring).verify(token.as_bytes(), &request(&claims, NOW));
        verdict.err().map(|denied| denied.reason())
    };
    let at = ring.refuse_issued_before(&label, NOW).unwrap();
    assert_eq!(check(&at), None);
    let after = at.refuse_issued_before(&label, NOW.saturating_add(1)).unwrap();
    assert_eq!(check(&after), Some(Reason::RevokedKey));
    let back = after.refuse_issued_before(&label, UnixSecs::ZERO).unwrap();
    assert_eq!(check(&back), Some(Reason::RevokedKey));
    assert!(ring.revoke(&KeyLabel::new("b").unwrap()).is_none());
}

/// A fleet: an issuer and edges, each with a clock of its own and a ring that reaches it late.
#[derive(Clone, Copy, Debug)]
struct Node {
    clock_off_secs: i64,
    lag_secs: u32,
}

fn node() -> impl Strategy<Value = Node> {
    (-15_i64..=15, 0..=LAG_SECS_MAX).prop_map(|(clock_off_secs, lag_secs)| Node { clock_off_secs, lag_secs })
}

/// How long a configuration takes to reach every node.
const LAG_SECS_MAX: u32 = 300;
const TTL_SECS: u32 = 900;
/// How far two clocks differ at most.
const SKEW_SECS: u32 = 30;

/// The steps of the rotation runbook: each is the configuration that is in force from its time on.
fn runbook() -> [(u32, KeyRingBuf); 4] {
    let entry = |label: &str, secret: &str| format!("{label}={secret}");
    let ring = |signer: (&str, &str), other: Option<(&str, &str)>| {
        let overlap = other.map(|(label, secret)| entry(label, secret)).unwrap_or_default();
        let policy = Policy::new().with_ttl_secs_max(TTL_SECS);
        KeyRingBuf::from_values(&values(signer.0, signer.1, &overlap, true), policy).unwrap()
    };
    let (old, new) = (("old", GOOD), ("new", OTHER));
    let swap = 1000 + LAG_SECS_MAX + SKEW_SECS;
    let drop = swap + LAG_SECS_MAX + TTL_SECS + SKEW_SECS;
    [(0, ring(old, None)), (1000, ring(old, Some(new))), (swap, ring(new, Some(old))), (drop, ring(new, None))]
}

fn seen_by(steps: &[(u32, KeyRingBuf)], node: Node, at_secs: u32) -> &KeyRingBuf {
    let seen = at_secs.saturating_sub(node.lag_secs);
    &steps.iter().rev().find(|(from, _)| *from <= seen).unwrap_or(&steps[0]).1
}

fn clock(node: Node, at_secs: u32) -> UnixSecs {
    UnixSecs::new(u32::try_from(i64::from(NOW.get()) + i64::from(at_secs) + node.clock_off_secs).unwrap())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn p11_rotation_denies_no_honest_viewer(
        issuer in node(), edges in vec(node(), 3..6), requests in vec((0_u32..4000, 0_u32..TTL_SECS - SKEW_SECS), 40),
    ) {
        let steps = runbook();
        for (issued, later) in requests {
            let claims = Grant::playback(&AssetRef::uuid([1; 16]), ClassMask::HLS, TTL_SECS).build(clock(issuer, issued)).unwrap();
            let token = Signer::new(seen_by(&steps, issuer, issued)).sign(&claims).unwrap();
            for edge in &edges {
                let at = issued + later;
                let verdict = Verifier::playback(seen_by(&steps, *edge, at))
                    .verify(token.as_bytes(), &request(&claims, clock(*edge, at)));
                prop_assert!(verdict.is_ok(), "issued {issued} seen {at}: {:?}", verdict.unwrap_err().reason());
            }
        }
    }

    #[test]
    fn p11_a_revoked_key_opens_nothing_once_the_word_is_out(
        edges in vec(node(), 3..6), revoked_at in 0_u32..2000, later in 0_u32..4000, issued in 0_u32..4000,
    ) {
        let before = KeyRingBuf::from_values(&values("new", OTHER, &format!("leaked={GOOD}"), true), Policy::new()).unwrap();
        let after = before.revoke(&KeyLabel::new("leaked").unwrap()).unwrap();
        let thief = KeyRingBuf::from_values(&values("leaked", GOOD, "", true), Policy::new()).unwrap();
        let steps = [(0, before), (revoked_at, after)];
        let at = revoked_at + LAG_SECS_MAX + later;
        for edge in edges {
            let now = clock(edge, at);
            let claims = Grant::playback(&AssetRef::uuid([1; 16]), ClassMask::HLS, 9000);
            let claims = claims.build(now.saturating_sub(issued)).unwrap();
            let token = Signer::new(&thief).sign(&claims).unwrap();
            let denied = Verifier::playback(seen_by(&steps, edge, at)).verify(token.as_bytes(), &request(&claims, now));
            prop_assert_eq!(denied.unwrap_err().reason(), Reason::RevokedKey);
        }
    }

    #[test]
    fn texts_make_a_ring_or_a_list_of_problems(text in "\\PC{0,40}(\n\\PC{0,60}){0,2}(=|,|\\PC){0,20}") {
        testing::keyring_text(text.as_bytes());
    }
}
