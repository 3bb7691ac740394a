//! The public vectors: what they accept, what they refuse and why, and that other languages say the same.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::path::Path;
use std::process::Command;

use rend_token::testing::{bytes_of, derived_key, tag_of};
use rend_token::{
    Artifact, ArtifactClass, AssetRef, ClassMask, Country, Grant, KeyLabel, KeyRing, KeySpec, Network, Org,
};
use rend_token::{Policy, Reason, Request, Rung, Secret, SecretPolicy, SessionId, Signer, UnixSecs, Use, Verifier};
use serde_json::Value;

mod cases;
mod files;

#[test]
fn the_public_tokens_are_made_and_accepted() {
    let file: Value = serde_json::from_str(ACCEPTED).unwrap();
    let (label, secret) = (KeyLabel::new(text(&file["label"])).unwrap(), unhex(&file["secret_hex"]));
    let secret = Secret::from_bytes(&secret).unwrap();
    assert_eq!(label.kid().as_bytes().as_slice(), unhex(&file["kid_hex"]));
    let key = derived_key(&secret, Use::Playback, &label);
    assert_eq!(key.as_slice(), unhex(&file["playback_key_hex"]));
    let ring = KeyRing::<1>::build(&[KeySpec::new(label, secret)], Policy::new(), SecretPolicy::Local).unwrap();
    let cases = file["cases"].as_array().unwrap();
    assert_eq!(cases.len(), 4);
    for case in cases {
        let name = text(&case["name"]);
        let number = |field: &str| u32::try_from(case[field].as_u64().unwrap_or(0)).unwrap();
        let asset = AssetRef::parse(text(&case["asset"])).unwrap();
        let classes = ClassMask::from_bits(number("classes").try_into().unwrap()).unwrap();
        let countries: Vec<Country> =
            case["countries"].as_array().into_iter().flatten().map(|c| Country::new(text(c)).unwrap()).collect();
        let mut grant = Grant::playback(&asset, classes, number("ttl_secs")).countries(&countries);
        grant = grant.starts_after(number("start_secs")).audience(number("audience").try_into().unwrap());
        let mut artifact = Artifact::new(ArtifactClass::ALL[number("class") as usize], "hls/720p/segment_00001.m4s");
        if let Some(rung) = case["rung_max"].as_u64() {
            let rung = Rung::new(rung.try_into().unwrap()).unwrap();
            (grant, artifact) = (grant.rung_max(rung), artifact.on_rung(rung));
        }
        let mut request = Request::new(&asset, artifact, UnixSecs::new(number("now")));
        if case["org_hex"].is_string() {
            grant = grant.org(Org::new(unhex(&case["org_hex"]).try_into().unwrap()));
            grant = grant.session(SessionId::new(unhex(&case["session_hex"]).try_into().unwrap()));
        }
        if number("horizon_secs") > 0 {
            grant = grant.renewable(number("renewal_step_secs"), number("horizon_secs"));
        }
        if let Some(address) = case["network"].as_str() {
            let network = Network::of(address.parse().unwrap(), number("network_prefix_len").try_into().unwrap());
            let (origin, prefix) = (text(&case["origin"]), text(&case["path_prefix"]));
            grant = grant.network(network.unwrap()).origin(origin).path_prefix(prefix);
            request =
                request.audience(7).address(address.parse().unwrap()).country(countries[2]).origin(origin.as_bytes());
        }
        let claims = grant.build(UnixSecs::new(number("issued_at"))).unwrap();
        let token = Signer::new(&ring).sign(&claims).unwrap();
        assert_eq!(token.as_str(), text(&case["token"]), "{name}");
        let (payload, tag) = (unhex(&case["payload_hex"]), unhex(&case["tag_hex"]));
        assert_eq!(bytes_of(token.as_str()).unwrap(), [payload.clone(), tag.clone()].concat(), "{name}");
        assert_eq!(tag_of(&key, &payload).as_slice(), tag, "{name}");
        let verified = Verifier::playback(&ring).verify(token.as_bytes(), &request).unwrap();
        assert_eq!(*verified.claims(), claims, "{name}");
        assert_eq!(verified.kid(), label.kid());
    }
}

#[test]
fn every_attack_is_refused_for_its_reason() {
    let cases = cases::all();
    assert!(cases.len() >= 200, "{}", cases.len());
    let wrong: Vec<_> = cases
        .iter()
        .filter(|case| case.verify() != Some(case.reason))
        .map(|case| format!("{}: {:?}, not {:?}", case.name, case.verify(), case.reason))
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    let unseen: Vec<_> = Reason::ALL.iter().filter(|reason| cases.iter().all(|case| case.reason != **reason)).collect();
    assert!(unseen.is_empty(), "no case for {unseen:?}");
    let mut names: Vec<_> = cases.iter().map(|case| &case.name).collect();
    names.sort_unstable();
    assert!(names.is_sorted_by(|a, b| a < b), "each case has a name of its own");
}

#[test]
fn the_published_refusals_are_those_of_this_version() {
    let hint = "run: cargo run -p rend-token --example write_vectors";
    assert!(include_str!("vectors/denied.json") == files::denied(), "{hint}");
}

#[test]
#[ignore = "needs python3"]
fn p18_python_agrees() {
    agree("python3", "verify.py");
}

#[test]
#[ignore = "needs node 20"]
fn p18_javascript_agrees() {
    agree("node", "verify.mjs");
}

/// Runs a verifier in another language over the vectors and a thousand random grants; it fails on the first that it
/// reads in another way.
#[track_caller]
fn agree(program: &str, script: &str) {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let grants = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{script}.grants.json"));
    std::fs::write(&grants, files::grants(1000)).unwrap();
    let vectors = tests.join("vectors");
    let args = [tests.join("interop").join(script), vectors.join("accepted.json"), vectors.join("denied.json"), grants];
    let output = Command::new(program).args(args).output().unwrap();
    let (said, complained) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}{complained}");
    let count = cases::all().len();
    assert_eq!(said.trim(), format!("4 accepted, {count} denied, 1000 grants"));
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

fn unhex(value: &Value) -> Vec<u8> {
    text(value)
        .as_bytes()
        .chunks(2)
        .map(|pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

const ACCEPTED: &str = include_str!("vectors/accepted.json");
