//! What holds of every grant, token and request.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::net::{IpAddr, Ipv6Addr};

use hmac::{Hmac, KeyInit, Mac};
use proptest::collection::vec;
use proptest::prelude::*;
use rend_token::testing::strategies::{claims, edited_tokens, sign};
use rend_token::testing::{self, Choices, NOW, arbitrary_claims, bytes_of, decode, payload_of, request, ring, text_of};
use rend_token::transport::{COOKIE_SECURE, CookieDomain, CookieSite, SetCookie, candidates, redact, split_path};
use rend_token::{
    Artifact, ArtifactClass, ArtifactGrammar, AssetRef, Claims, ClassMask, Grant, KeyLabel, KeyRingBuf, KeySpec,
    Network, Policy, PrefixGrammar, Reason, Request, Revocation, RevocationBuf, RingError, Rung, Secret, SecretPolicy,
    SessionId, Signer, UnixSecs, Use, Verifier,
};
use sha2::Sha256;

fn denied(claims: &Claims, token: &[u8], request: &Request<'_>) -> Option<Reason> {
    testing::verifier(ring(), claims).verify(token, request).err().map(|denied| denied.reason())
}

fn secret(seed: u8) -> Secret {
    let bytes: Vec<u8> =
        (0..48).map(|at: u8| at.wrapping_mul(at).wrapping_mul(29) ^ seed.wrapping_mul(at | 1)).collect();
    Secret::from_bytes(&bytes).unwrap()
}

fn label(text: &str) -> KeyLabel {
    KeyLabel::new(text).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 10_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn p1_what_is_signed_verifies_and_says_the_same(claims in claims()) {
        let ring = ring();
        let token = sign(&claims);
        prop_assert!(token.len() <= rend_token::TOKEN_LEN_MAX);
        let now = claims.starts_at();
        let verified = testing::verifier(ring, &claims).verify(token.as_bytes(), &request(&claims, now)).unwrap();
        prop_assert_eq!(verified.claims(), &claims);
    }

    #[test]
    fn p2_one_encoding_for_every_set_of_claims(claims in claims(), at in any::<prop::sample::Index>(), to in any::<u8>()) {
        let mut payload = payload_of(&claims);
        prop_assert_eq!(decode(&payload), Some(claims));
        let at = at.index(payload.len());
        payload[at] = to;
        testing::token_claims(&payload);
    }

    #[test]
    fn p2_any_payload_decodes_to_itself_or_not_at_all(payload in vec(any::<u8>(), 0..200)) {
        testing::token_claims(&payload);
    }

    #[test]
    fn p3_every_edit_denies(input in vec(any::<u8>(), 0..160)) {
        testing::token_verify(&input);
    }

    #[test]
    fn p3_the_halves_of_two_tokens_are_no_token(one in claims(), two in claims(), cut in any::<prop::sample::Index>()) {
        let (a, b) = (sign(&one), sign(&two));
        let cut = cut.index(a.len().min(b.len()));
        let spliced = format!("{}{}", &a[..cut], &b[cut..]);
        if spliced != a && spliced != b {
            prop_assert!(denied(&one, spliced.as_bytes(), &request(&one, one.starts_at())).is_some());
            prop_assert!(denied(&two, spliced.as_bytes(), &request(&two, two.starts_at())).is_some());
        }
    }

    #[test]
    fn p4_the_tag_is_that_of_hmac_under_the_named_key(claims in claims()) {
        let bytes = bytes_of(&sign(&claims)).unwrap();
        let (payload, tag) = bytes.split_last_chunk::<16>().unwrap();
        let plain: Vec<u8> = (0..32).collect();
        let key = testing::derived_key(&Secret::from_bytes(&plain).unwrap(), claims.purpose(), &label("prod-2026-01"));
        let mut mac = Hmac::<Sha256>::new_from_slice(&key).unwrap();
        mac.update(payload);
        mac.verify_truncated_left(tag).unwrap();
        let ring_says = ring::hmac::sign(&ring::hmac::Key::new(ring::hmac::HMAC_SHA256, &key), payload);
        prop_assert_eq!(&ring_says.as_ref()[..16], tag);
    }

    #[test]
    fn p5_a_narrower_grant_never_allows_more(
        classes in 1_u16..0x1000, less in any::<u16>(), rung in 0_u8..15, lower in 0_u8..15, ttl in 1_u32..5000,
        shorter in 1_u32..5000, class in 0_usize..12, asked in prop::option::of(0_u8..15), later in 0_u32..5000,
    ) {
        let asset = AssetRef::uuid([3; 16]);
        let allows = |classes, rung, ttl| {
            let grant = Grant::playback(&asset, ClassMask::from_bits(classes).unwrap(), ttl);
            let token = sign(&grant.rung_max(Rung::new(rung).unwrap()).build(NOW).unwrap());
            let mut artifact = Artifact::new(ArtifactClass::ALL[class], "x");
            if let Some(rung) = asked {
                artifact = artifact.on_rung(Rung::new(rung).unwrap());
            }
            let request = Request::new(&asset, artifact, NOW.saturating_add(later));
            Verifier::playback(ring()).verify(token.as_bytes(), &request).is_ok()
        };
        let wide = allows(classes, rung, ttl);
        if classes & less != 0 {
            prop_assert!(wide || !allows(classes & less, rung, ttl));
        }
        prop_assert!(wide || !allows(classes, rung.min(lower), ttl));
        prop_assert!(wide || !allows(classes, rung, ttl.min(shorter)));
    }

    #[test]
    fn p6_a_token_works_in_one_interval(claims in claims(), now in 0_u32..200_000) {
        let now = UnixSecs::new(NOW.get() - 50_000 + now);
        let reason = denied(&claims, sign(&claims).as_bytes(), &request(&claims, now));
        let expect = if now.saturating_add(30) < claims.starts_at() {
            Some(Reason::NotYet)
        } else if now >= claims.expires_at() {
            Some(Reason::Expired)
        } else {
            None
        };
        prop_assert_eq!(reason, expect);
    }

    #[test]
    fn p7_a_request_that_says_less_is_never_allowed_more(claims in claims()) {
        let asset = claims.asset();
        let class = ArtifactClass::ALL.into_iter().find(|class| claims.classes().has(*class)).unwrap();
        let bare = Request::for_key(asset, Artifact::new(class, testing::PATH), claims.starts_at());
        let token = sign(&claims);
        let bound = claims.audience().is_some()
            || claims.network().is_some()
            || claims.countries().len() > 0
            || claims.has_origin();
        let reason = denied(&claims, token.as_bytes(), &bare);
        prop_assert_eq!(reason.is_some(), bound);
    }

    #[test]
    fn p8_a_path_is_canonical_or_no_artifact(
        path in "([a-z0-9_.~%/\\\\-]|\\.\\.|//|\\PC){0,24}", plain in "[a-z0-9_]{1,8}(/[a-z0-9_.]{1,8}x){0,3}",
    ) {
        for text in [&path, &plain] {
            let parsed = PrefixGrammar.parse(text);
            // A reference that knows nothing of how the grammar is written.
            let canonical = !text.is_empty()
                && text.chars().all(|c| c.is_ascii_alphanumeric() || "_-.~/".contains(c))
                && text.split('/').all(|part| !part.is_empty() && part != "." && part != "..");
            prop_assert_eq!(parsed.map(|artifact| artifact.path()), canonical.then_some(text.as_str()));
        }
        prop_assert!(PrefixGrammar.parse(&plain).is_some());
    }

    #[test]
    fn p9_two_names_never_name_one_asset(a in "[A-Za-z0-9_-]{1,64}", b in "[A-Za-z0-9_-]{1,64}", uuid in any::<[u8; 16]>()) {
        let asset = |text: &str| AssetRef::parse(text).unwrap();
        prop_assert_eq!(asset(&a).key() == asset(&b).key(), a == b);
        let uuid = AssetRef::uuid(uuid);
        prop_assert_eq!(asset(&uuid.to_string()), uuid);
        prop_assert_ne!(asset(&uuid.to_string().to_uppercase().replace('-', "_")).key(), uuid.key());
        prop_assert_ne!(asset(&a).key(), uuid.key());
    }

    #[test]
    fn p14_other_cookies_and_blanks_do_not_matter(
        before in vec("[a-z]{1,8}=[a-z0-9]{0,8}", 0..8), after in vec("[a-z]{1,8}=[a-z0-9]{0,8}", 0..8),
        blanks in "[ \t]{0,4}", one_line in any::<bool>(),
    ) {
        let ours = format!("{blanks}{COOKIE_SECURE}=rt1.abc{blanks}");
        let all: Vec<String> = before.into_iter().chain([ours]).chain(after).collect();
        let lines = if one_line { vec![all.join(";")] } else { all };
        let found = candidates(None, None, lines.iter().map(String::as_bytes), COOKIE_SECURE);
        prop_assert!(found.iter().eq([b"rt1.abc".as_slice()]));
    }

    #[test]
    fn p14_anything_at_all_in_the_headers(input in vec(any::<u8>(), 0..300)) {
        testing::transport(&input);
    }

    #[test]
    fn p15_no_token_survives_redaction(claims in claims(), before in "\\PC{0,20}", after in "[^A-Za-z0-9_-]\\PC{0,20}") {
        let token = sign(&claims);
        let shown = redact(&format!("{before}{token}{after}")).to_string();
        prop_assert!(!testing::has_token(&shown));
        let body = &token.as_bytes()[4..];
        prop_assert!(body.windows(12).all(|part| !shown.contains(str::from_utf8(part).unwrap())));
    }

    #[test]
    fn p15_nothing_shows_a_part_of_a_token(claims in claims()) {
        let ring = ring();
        let token = testing::token_of(&claims);
        let verified = testing::verifier(ring, &claims).verify(token.as_bytes(), &request(&claims, claims.starts_at()));
        let asset = AssetRef::uuid([1; 16]);
        let domain = CookieDomain::new("a.example", "a.example", "a.example").unwrap();
        let cookie = SetCookie::new(CookieSite::Same, &token, &asset, 9).domain(domain);
        let found = candidates(Some(token.as_bytes()), Some(token.as_bytes()), [token.as_bytes()], COOKIE_SECURE);
        let split = format!("/v/a/~{}/b", token.as_str());
        let split = split_path(&split);
        let inspected = rend_token::inspect::inspect(token.as_bytes());
        let signer = Signer::new(ring);
        let shown =
            format!("{token:?} {verified:?} {cookie:?} {found:?} {split:?} {inspected:?} {ring:?} {signer:?} {claims:?}");
        let dump = inspected.map(|unverified| unverified.to_string()).unwrap_or_default();
        for part in token.as_bytes().windows(8) {
            let part = str::from_utf8(part).unwrap();
            prop_assert!(!shown.contains(part) && !dump.contains(part), "{}", part);
        }
    }

    #[test]
    fn p16_denials_say_the_same_whatever_the_reason((claims, edited) in edited_tokens(), later in any::<u32>()) {
        let request = request(&claims, UnixSecs::new(later));
        for token in [&edited[..], sign(&claims).as_bytes(), b"", b"rt1."] {
            if let Err(denied) = testing::verifier(ring(), &claims).verify(token, &request) {
                prop_assert_eq!((denied.to_string(), format!("{denied:?}")), ("denied".to_owned(), "Denied".to_owned()));
                // The one thing that may be told besides, and only of a token that was good.
                prop_assert!(!denied.renewable() || denied.reason() == Reason::Expired);
            }
        }
    }

    #[test]
    fn p17_nothing_panics(token in vec(any::<u8>(), 0..300), path in "\\PC{0,40}", now in any::<u32>(), address in any::<u128>()) {
        let ring = ring();
        let asset = AssetRef::uuid([1; 16]);
        let request = Request::new(&asset, Artifact::new(ArtifactClass::App, &path), UnixSecs::new(now))
            .address(IpAddr::from(Ipv6Addr::from(address)))
            .origin(&token);
        prop_assert!(Verifier::playback(ring).verify(&token, &request).is_err());
        prop_assert!(Verifier::bootstrap(ring).verify(&token, &request).is_err());
        testing::token_parse(&token);
        testing::keyring_text(&token);
    }

    #[test]
    fn a_network_holds_what_it_was_made_of(address in any::<u128>(), len in 0_u8..=64, other in any::<u128>()) {
        let (address, other) = (Ipv6Addr::from(address), Ipv6Addr::from(other));
        if let Some(network) = Network::of(address.into(), len) {
            prop_assert!(network.contains(address.into()));
            if network.is_v6() && len > 0 && other.to_ipv4_mapped().is_none() {
                let keep = u128::MAX << (128 - u32::from(len));
                let same = other.to_bits() & keep == address.to_bits() & keep;
                prop_assert_eq!(network.contains(other.into()), same);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn p10_a_ring_does_not_depend_on_the_order_of_its_keys(
        claims in claims(), order in Just(vec![0_usize, 1, 2, 3]).prop_shuffle(), revoked in prop::option::of(1_usize..4),
    ) {
        let names = ["k-a", "k-b", "k-c", "k-d"];
        let spec = |at: usize| {
            let spec = if at == 0 { KeySpec::new(label(names[at]), secret(1)) } else {
                KeySpec::verify_only(label(names[at]), secret(1 + at as u8))
            };
            if revoked == Some(at) { spec.revoked() } else { spec }
        };
        let build = |places: &[usize]| {
            let specs: Vec<_> = places.iter().map(|at| spec(*at)).collect();
            KeyRingBuf::build(&specs, Policy::new(), SecretPolicy::Production).unwrap()
        };
        let (sorted, shuffled, alone) = (build(&[0, 1, 2, 3]), build(&order), build(&[0]));
        let token = Signer::new(&alone).sign(&claims).unwrap();
        let request = request(&claims, claims.starts_at());
        for ring in [&sorted, &shuffled, &alone] {
            prop_assert!(testing::verifier(ring, &claims).verify(token.as_bytes(), &request).is_ok());
        }
        let gone = sorted.revoke(&label("k-a")).unwrap();
        let denied = testing::verifier(&gone, &claims).verify(token.as_bytes(), &request).unwrap_err();
        prop_assert_eq!(denied.reason(), Reason::RevokedKey);
        prop_assert!(Signer::new(&gone).sign(&claims).is_err());
    }

    #[test]
    fn p12_a_chain_of_renewals_keeps_its_scope_and_ends(
        claims in claims(), steps in vec(1_u32..100_000, 1..60),
    ) {
        let ring = ring();
        let signer = Signer::new(ring);
        let (mut now, mut token) = (claims.starts_at(), Signer::new(ring).sign(&claims).unwrap());
        for step in steps {
            let Ok(verified) = testing::verifier(ring, &claims).verify(token.as_bytes(), &request(&claims, now)) else {
                break;
            };
            let Ok(next) = signer.renew(&verified, now) else {
                prop_assert!(claims.purpose() == Use::Bootstrap || claims.deadline().is_none());
                break;
            };
            token = next;
            let held = verified.claims();
            prop_assert_eq!(held.deadline(), claims.deadline());
            prop_assert!(claims.deadline().is_none_or(|deadline| now < deadline));
            prop_assert_eq!((held.session(), held.org(), held.asset()), (claims.session(), claims.org(), claims.asset()));
            prop_assert_eq!((held.classes(), held.rung_max()), (claims.classes(), claims.rung_max()));
            prop_assert_eq!((held.path_prefix(), held.network()), (claims.path_prefix(), claims.network()));
            prop_assert_eq!((held.audience(), held.has_origin()), (claims.audience(), claims.has_origin()));
            now = now.saturating_add(step);
        }
        if let Some(deadline) = claims.deadline() {
            prop_assert!(denied(&claims, token.as_bytes(), &request(&claims, deadline)).is_some());
        }
    }

    #[test]
    fn p13_no_renewal_escapes_a_cut_off(cutoff in 0_u32..20_000, steps in vec(1_u32..900, 1..40)) {
        let ring = ring();
        let asset = AssetRef::uuid([9; 16]);
        let session = SessionId::new([1; 7]);
        let claims = Grant::playback(&asset, ClassMask::HLS, 900).session(session).renewable(900, 14_400).build(NOW).unwrap();
        let cutoff = NOW.saturating_add(cutoff);
        let mut list = RevocationBuf::new();
        let (mut now, mut token) = (NOW, Signer::new(ring).sign(&claims).unwrap());
        for step in steps {
            // The cut-off is pushed when its time comes, as a service would do.
            if now >= cutoff {
                prop_assert!(list.revoke_asset(asset.key(), cutoff));
            }
            let verifier = Verifier::playback(ring).with_revocation(&list);
            let Ok(verified) = verifier.verify(token.as_bytes(), &request(&claims, now)) else {
                break;
            };
            prop_assert!(verified.claims().issued_at() >= list.asset_cutoff(&asset.key()));
            match Signer::new(ring).renew(&verified, now) {
                Ok(next) => token = next,
                Err(_) => break,
            }
            let mut ended = RevocationBuf::new();
            prop_assert!(ended.end_session(session, now));
            let verifier = Verifier::playback(ring).with_revocation(&ended);
            let reason = verifier.verify(token.as_bytes(), &request(&claims, now)).unwrap_err().reason();
            prop_assert_eq!(reason, Reason::RevokedSession);
            now = now.saturating_add(step);
        }
    }
}

#[test]
fn every_single_bit_of_a_token_counts() {
    let claims = arbitrary_claims(&mut Choices(&[1, 0, 6, 3, 3, 3, 3, 3]));
    let bytes = bytes_of(&sign(&claims)).unwrap();
    let request = request(&claims, claims.starts_at());
    assert_eq!(denied(&claims, text_of(&bytes).as_bytes(), &request), None);
    for bit in 0..bytes.len() * 8 {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert!(denied(&claims, text_of(&flipped).as_bytes(), &request).is_some(), "bit {bit}");
    }
    for at in 0..bytes.len() {
        let mut shorter = bytes.clone();
        shorter.remove(at);
        assert!(denied(&claims, text_of(&shorter).as_bytes(), &request).is_some(), "byte {at} deleted");
        let mut longer = bytes.clone();
        longer.insert(at, bytes[at]);
        assert!(denied(&claims, text_of(&longer).as_bytes(), &request).is_some(), "byte {at} doubled");
    }
}

#[test]
fn two_labels_with_one_kid_make_no_ring() {
    let mut seen = std::collections::BTreeMap::new();
    let (one, two) = (0_u32..)
        .find_map(|at| {
            let text = format!("k{at}");
            seen.insert(label(&text).kid(), text.clone()).map(|earlier| (earlier, text))
        })
        .unwrap();
    let specs = [KeySpec::new(label(&one), secret(1)), KeySpec::verify_only(label(&two), secret(2))];
    let error = KeyRingBuf::build(&specs, Policy::new(), SecretPolicy::Production).unwrap_err();
    assert_eq!(error, RingError::SameKid { label: label(&two) });
}

#[test]
fn ten_thousand_renewals_end_at_the_deadline() {
    let ring = ring();
    let claims = Grant::playback(&AssetRef::uuid([9; 16]), ClassMask::HLS, 60).renewable(60, 9000).build(NOW).unwrap();
    let (mut now, mut token) = (NOW, Signer::new(ring).sign(&claims).unwrap());
    for _ in 0..10_000 {
        let Ok(verified) = Verifier::playback(ring).verify(token.as_bytes(), &request(&claims, now)) else {
            break;
        };
        token = Signer::new(ring).renew(&verified, now).unwrap();
        now = now.saturating_add(1);
    }
    assert_eq!(now, claims.deadline().unwrap());
}

#[test]
fn the_hash_of_the_oracle_is_the_hash_of_the_crate() {
    // Were the same code on both sides, P4 would say nothing; it compares with two other implementations.
    let key = [7; 32];
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).unwrap();
    mac.update(b"rend");
    assert_eq!(testing::tag_of(&key, b"rend"), mac.finalize().into_bytes()[..16]);
}
