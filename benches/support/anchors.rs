//! What others use for the same purpose: one asset, some of its artifacts up to a rung, an organisation, a session, an end.
//!
//! Each anchor does all that its users do on a request and nothing twice: keys are loaded and rules are read beforehand,
//! and what a library can keep between requests is kept. Each is seen to accept its own token and to refuse one for
//! another asset before it is measured.
//!
//! What stands here costs crates that nothing else needs: `biscuit-auth` and `common-access-token` bring 30 of them, some of
//! them older versions of ones that are here anyway, and about half a minute of building on two cores.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use biscuit_auth::builder::{Algorithm as BiscuitAlgorithm, AuthorizerBuilder, date, fact, int, string};
use biscuit_auth::datalog::RunLimits;
use biscuit_auth::{Biscuit, KeyPair as BiscuitKeyPair, PrivateKey, PublicKey};
use common_access_token::{
    Algorithm as CatAlgorithm, KeyId, RegisteredClaims, Token as Cat, TokenBuilder, VerificationOptions, cat_keys,
    catm, catu, uri_components,
};
use hashbrown::HashMap;
use hmac::{Hmac, KeyInit, Mac};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use pasetors::claims::{Claims as PasetoClaims, ClaimsValidationRules};
use pasetors::keys::SymmetricKey;
use pasetors::token::UntrustedToken;
use pasetors::{Local, version4::V4};
use ring::signature::KeyPair;
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use super::{ASSET, SECRET, Table};

/// Adds every anchor.
pub(crate) fn add_to(table: &mut Table<'_>) {
    bare_hmac(table);
    json_claims(table);
    jwt(table);
    paseto(table);
    cat(table);
    biscuit(table);
    ed25519(table);
    rsa(table);
}

fn bare_hmac(table: &mut Table<'_>) {
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, &SECRET[..32]);
    let tag = ring::hmac::sign(&key, &PAYLOAD);
    table.add("ring: HMAC-SHA256 of 55 bytes alone", move || {
        black_box(ring::hmac::verify(&key, black_box(&PAYLOAD), tag.as_ref()).is_ok());
    });
}

/// What one writes by hand: `v1.{claims as JSON}.{tag}`, with the questions that we answer too: which of four keys, which
/// times, which asset, classes and rung, and whether any of it is revoked.
fn json_claims(table: &mut Table<'_>) {
    let site = JsonSite::new();
    let token = site.token(ASSET, 1_800_000_000, 1_800_000_900);
    assert!(site.verify(&token, ASSET, 3, 2, 1_800_000_001).is_some());
    assert!(site.verify(&token, OTHER_ASSET, 3, 2, 1_800_000_001).is_none());
    assert!(site.verify(&token, ASSET, 3, 2, 1_800_000_900).is_none());
    table.add("JSON claims with an HMAC", move || {
        black_box(site.verify(black_box(&token), black_box(ASSET), 3, 2, 1_800_000_001).is_some());
    });
}

struct JsonSite {
    keys: BTreeMap<String, Hmac<Sha256>>,
    assets: HashMap<String, u64>,
    orgs: HashMap<String, u64>,
    sessions: HashMap<String, u64>,
}

impl JsonSite {
    /// Four keys, and a hundred entries of each kind of revocation, as our own verifier has them.
    fn new() -> Self {
        let keys = ["2026-11", "2026-10", "2026-09", "2026-08"].into_iter().zip(0_u8..).map(|(label, at)| {
            let secret: Vec<u8> = SECRET.iter().map(|byte| byte ^ at).collect();
            (label.to_owned(), Hmac::new_from_slice(&secret).unwrap())
        });
        let ids = |len: usize| (0..100_u64).map(move |at| (format!("{:0len$x}", at.wrapping_mul(0x9e37_79b9)), 1));
        Self { keys: keys.collect(), assets: ids(36).collect(), orgs: ids(36).collect(), sessions: ids(14).collect() }
    }

    fn token(&self, asset: &str, iat: u64, exp: u64) -> String {
        let claims = JsonClaims { kid: Some("2026-08".into()), sub: asset.into(), iat, exp, ..JsonClaims::example() };
        let body = URL_SAFE_NO_PAD.encode(serde_json::to_vec(&claims).unwrap());
        let tag = self.keys["2026-08"].clone().chain_update(&body).finalize().into_bytes();
        format!("v1.{body}.{}", URL_SAFE_NO_PAD.encode(tag))
    }

    fn verify(&self, token: &str, asset: &str, class: u16, rung: u8, now: u64) -> Option<JsonClaims> {
        let (body, tag) = token.strip_prefix("v1.")?.split_once('.')?;
        let claims: JsonClaims = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(body).ok()?).ok()?;
        let key = self.keys.get(claims.kid.as_deref()?)?;
        key.clone().chain_update(body).verify_slice(&URL_SAFE_NO_PAD.decode(tag).ok()?).ok()?;
        let in_time = claims.iat <= now + 30 && now < claims.exp && claims.exp - claims.iat <= 86_400;
        let in_scope = claims.sub == asset && claims.scope >> class & 1 == 1 && rung <= claims.max;
        let revoked = |list: &HashMap<String, u64>, id: &str| list.get(id).is_some_and(|cutoff| claims.iat < *cutoff);
        let refused = revoked(&self.assets, &claims.sub) || revoked(&self.orgs, &claims.org);
        (in_time && in_scope && !refused && !revoked(&self.sessions, &claims.sid)).then_some(claims)
    }
}

fn jwt(table: &mut Table<'_>) {
    let encoding = EncodingKey::from_secret(&SECRET[..32]);
    let token = jsonwebtoken::encode(&Header::default(), &JsonClaims::example(), &encoding).unwrap();
    let (key, rules) = (DecodingKey::from_secret(&SECRET[..32]), Validation::new(Algorithm::HS256));
    let verify = move |asset: &str| {
        let data = jsonwebtoken::decode::<JsonClaims>(black_box(&token), &key, &rules).unwrap();
        data.claims.sub == asset && data.claims.scope & 8 == 8 && data.claims.max >= 2
    };
    assert!(verify(ASSET) && !verify(OTHER_ASSET));
    table.add("jsonwebtoken: HS256", move || {
        black_box(verify(black_box(ASSET)));
    });
}

fn paseto(table: &mut Table<'_>) {
    let key = SymmetricKey::<V4>::from(&SECRET[..32]).unwrap();
    let claims = JsonClaims::example();
    let mut held = PasetoClaims::new().unwrap();
    held.subject(ASSET).unwrap();
    held.add_additional("org", claims.org.as_str()).unwrap();
    held.add_additional("sid", claims.sid.as_str()).unwrap();
    held.add_additional("scope", 15).unwrap();
    held.add_additional("max", 3).unwrap();
    let token = pasetors::local::encrypt(&key, &held, None, None).unwrap();
    let rules = ClaimsValidationRules::new();
    table.add("pasetors: v4.local", move || {
        let token = UntrustedToken::<Local, V4>::try_from(black_box(token.as_str())).unwrap();
        black_box(pasetors::local::decrypt(&key, &token, &rules, None, None).is_ok());
    });
}

/// CTA-5007 by the crate that is published for it: host, path prefix, methods, times, issuer. It brings a SHA-256 of its
/// own that uses no SHA instructions, and tries two structures for each token; both are part of what it costs.
fn cat(table: &mut Table<'_>) {
    let token = cat_token(ASSET);
    let verify = move |asset: &str| {
        let bytes = URL_SAFE_NO_PAD.decode(black_box(&token)).unwrap();
        let token = Cat::from_bytes(&bytes).unwrap();
        assert!(token.header.key_id() == Some(KeyId::string("2026-08")));
        token.verify(&SECRET[..32]).unwrap();
        let asked = VerificationOptions::new()
            .require_exp(true)
            .expected_issuer("rend")
            .require_iss(true)
            .verify_catu(true)
            .uri(format!("https://ash-1.play.example.com/v/{asset}/{}", super::ARTIFACT))
            .verify_catm(true)
            .http_method("GET");
        token.verify_claims(&asked).is_ok()
    };
    assert!(verify(ASSET) && !verify(OTHER_ASSET));
    table.add("common-access-token: HMAC 256/256", move || {
        black_box(verify(black_box(ASSET)));
    });
}

fn cat_token(asset: &str) -> String {
    let mut places = BTreeMap::new();
    places.insert(uri_components::HOST, catu::exact_match("ash-1.play.example.com"));
    places.insert(uri_components::PATH, catu::prefix_match(&format!("/v/{asset}/hls/")));
    let claims = RegisteredClaims::new()
        .with_issuer("rend")
        .with_issued_at(1_700_000_000)
        .with_expiration(4_000_000_000)
        .with_cti(vec![0x9f, 0x3c, 0x2a, 0x7b, 0x11, 0xd0, 0x4e]);
    let token = TokenBuilder::new()
        .algorithm(CatAlgorithm::HmacSha256)
        .protected_key_id(KeyId::string("2026-08"))
        .registered_claims(claims)
        .custom_cbor(cat_keys::CATU, catu::create(places))
        .custom_array(cat_keys::CATM, catm::create(vec!["GET", "HEAD"]))
        .sign(&SECRET[..32])
        .unwrap();
    URL_SAFE_NO_PAD.encode(token.to_bytes().unwrap())
}

/// A biscuit of one block with the same meaning, and a policy that was read beforehand. Its feature for macros is on, since
/// version 6 does not build without it.
fn biscuit(table: &mut Table<'_>) {
    let key = PrivateKey::from_bytes(&SECRET[..32], BiscuitAlgorithm::Ed25519).unwrap();
    let pair = BiscuitKeyPair::from(&key);
    let claims = JsonClaims::example();
    let says = format!(
        r#"asset("{ASSET}"); org("{}"); session("{}"); rung_max(3);
        class("master-manifest"); class("variant-manifest"); class("init"); class("segment");
        check if time($now), $now < 2096-10-02T07:06:40Z;"#,
        claims.org, claims.sid
    );
    let token = Biscuit::builder().code(says).unwrap().build(&pair).unwrap().to_base64().unwrap();
    let policy = "allow if asks($asset, $class, $rung), asset($asset), class($class), rung_max($max), $rung <= $max";
    // The bound on time is the library's own; one that a busy machine reaches would end the run.
    let limits = RunLimits { max_time: Duration::from_secs(5), ..RunLimits::default() };
    let rules = AuthorizerBuilder::new().policy(policy).unwrap().set_limits(limits);
    let public = pair.public();
    assert!(biscuit_opens(&token, public, &rules, ASSET) && !biscuit_opens(&token, public, &rules, OTHER_ASSET));
    table.add("biscuit-auth: one block, Ed25519", move || {
        black_box(biscuit_opens(black_box(&token), public, &rules, black_box(ASSET)));
    });
}

fn biscuit_opens(token: &str, key: PublicKey, rules: &AuthorizerBuilder, asset: &str) -> bool {
    let token = Biscuit::from_base64(token, key).unwrap();
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_001);
    let asks = fact("asks", &[string(asset), string("segment"), int(2)]);
    let asked = rules.clone().fact(fact("time", &[date(&now)])).unwrap().fact(asks).unwrap();
    asked.build(&token).unwrap().authorize().is_ok()
}

fn ed25519(table: &mut Table<'_>) {
    let pair = ring::signature::Ed25519KeyPair::from_seed_unchecked(&SECRET[..32]).unwrap();
    let signature = pair.sign(&PAYLOAD);
    let public = pair.public_key().as_ref().to_vec();
    table.add("ring: Ed25519 of 55 bytes alone", move || {
        let key = ring::signature::UnparsedPublicKey::new(&ring::signature::ED25519, &public);
        black_box(key.verify(black_box(&PAYLOAD), signature.as_ref()).is_ok());
    });
}

/// RSA, as others use it between a site and its edges.
fn rsa(table: &mut Table<'_>) {
    let key = URL_SAFE_NO_PAD.decode(RSA_PUBLIC).unwrap();
    let signature = URL_SAFE_NO_PAD.decode(RSA_SIGNATURE).unwrap();
    let verify = move || {
        let key = ring::signature::UnparsedPublicKey::new(&ring::signature::RSA_PKCS1_2048_8192_SHA256, &key);
        key.verify(black_box(&PAYLOAD), &signature).is_ok()
    };
    assert!(verify());
    table.add("ring: RSA-2048 of 55 bytes alone", move || {
        black_box(verify());
    });
}

/// The claims as JSON has them. JSON web tokens name the key in their header, and so have no `kid` here.
#[derive(Deserialize, Serialize)]
struct JsonClaims {
    #[serde(skip_serializing_if = "Option::is_none")]
    kid: Option<String>,
    sub: String,
    org: String,
    sid: String,
    scope: u16,
    max: u8,
    iat: u64,
    exp: u64,
}

impl JsonClaims {
    fn example() -> Self {
        Self {
            kid: None,
            sub: ASSET.into(),
            org: "0190aaaa-0000-7000-8000-000000000001".into(),
            sid: "9f3c2a7b11d04e".into(),
            scope: 15,
            max: 3,
            iat: 1_800_000_000,
            exp: 4_000_000_000,
        }
    }
}

const PAYLOAD: [u8; 55] = [5; 55];
const OTHER_ASSET: &str = "018f5d3e-7c1a-7b2c-9d4e-5f60718293a5";
/// The public half of an RSA key of 2,048 bits that was made for this and thrown away, as PKCS #1 in base64url.
const RSA_PUBLIC: &str = "\
    MIIBCgKCAQEAmaVdiT6Z3u39j2HNJkcUu_gtPwNfqZgNxox75BuOPeepUZD6AgRnTNp02QoKakFmH5IvX7vPyR4ZeAEWWBKbPANuDtp1hHfv7e\
    vUznG6Rq83ux9yTUDwXgV22jarskmvLSpdmtydms_70MWNagv3kqhs26PEiKNqUh85uhaUDi90VPrRFEkunmHLh7rZJEu_8z5Uncb1JCODn5ZS\
    claknygPnfK84S2MiCQA8ci4cffxEh9P1rX5KGgq8WNinz60CihQHD8YDxV_IAbeVFCXUlnqlFHuAqCDu_0UlgFWoFNPv88nbth7WGrtAYr4_f\
    MiBsUqv42jQWC4n28Od-a0GQIDAQAB";
/// Its signature (PKCS #1 v1.5, SHA-256) of `PAYLOAD`, in base64url.
const RSA_SIGNATURE: &str = "\
    cckwQ6HQyFj7mtY4hfqbgzzUb1_0KtVVPThP_EaXJ3JW01aERCjmT22sTRomj4lp6WVNS7e9-H-AUTzo2NxgGU4bpEdU4eZbSNW-hApHHFDZjk\
    UnNued3qcdReg4ENIm3YGclcpW1sf_7Cr9XR9eGxyt2qVlg31mCwk8-m4upMLGgrLsg33uCzNjaADFoqFEuTnowB1e4OSqCkag0atesgpNpbGj\
    sBEMh-6MOgDZUFD1fjb1veXFSKWqyvtO3whVkauQ8yWy4_sF6XqfIluEU9UWBJOXiQZzOXnwEK6Yfy8vLqKDHk_FRK1Q3h8IPODtRYZDmMirpr\
    A0bUIpV3pWlw";
