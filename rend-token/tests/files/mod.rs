//! The texts of the vector files.

use rend_token::testing::{self, Choices, KEYS, NOW, arbitrary_claims};
use rend_token::{Claims, Rung, Signer, UnixSecs};
use serde_json::{Value, json};

use crate::cases::{self, ORG, hex};

/// `denied.json`: the ring, and a case on every line.
pub(crate) fn denied() -> String {
    let keys: Vec<Value> = keys();
    let lines: Vec<String> = cases::all().iter().map(|case| case.json().to_string()).collect();
    format!(
        "{{\"about\":{},\n\"keys\":{},\n\"org\":\"{}\",\n\"default\":{},\n\"cases\":[\n{}\n]}}\n",
        json!("Each case is refused for the reason given. What a case leaves out is as in default."),
        Value::from(keys),
        hex(&ORG),
        json!({
            "use": "playback", "asset": testing::ASSET, "class": 3, "rung": 2, "path": testing::PATH,
            "now": NOW.get() + 1, "audience": null, "address": null, "country": null, "origin": null,
            "asset_cutoff": 0, "org_cutoff": 0, "ended_session": null, "ttl_secs_max": 86_400,
        }),
        lines.join(",\n")
    )
}

/// `grants.json`: as many arbitrary grants and their tokens, the same ones every time.
pub(crate) fn grants(count: u32) -> String {
    let ring = testing::ring();
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as u8
    };
    let lines: Vec<String> = (0..count)
        .map(|_| {
            let bytes: Vec<u8> = (0..128).map(|_| next()).collect();
            let claims = arbitrary_claims(&mut Choices(&bytes));
            let token = Signer::new(ring).sign(&claims).expect("arbitrary grants can be signed");
            let mut out = of_claims(&claims);
            out["token"] = json!(token.as_str());
            out.to_string()
        })
        .collect();
    format!("{{\"keys\":{},\n\"grants\":[\n{}\n]}}\n", Value::from(keys()), lines.join(",\n"))
}

fn keys() -> Vec<Value> {
    KEYS.iter()
        .map(|(label, first, from, until, revoked, issued_at_min)| {
            let secret: Vec<u8> = (*first..first + 32).collect();
            json!({
                "label": label, "secret_hex": hex(&secret), "verify_from": from.get(), "verify_until": until.get(),
                "revoked": revoked, "issued_at_min": issued_at_min.get(),
            })
        })
        .collect()
}

/// The claims in the words of the vectors.
fn of_claims(claims: &Claims) -> Value {
    let network = claims
        .network()
        .map(|network| json!({"address": network.first_address().to_string(), "prefix_len": network.prefix_len()}));
    json!({
        "use": claims.purpose().as_str(),
        "asset_hex": hex(claims.asset().as_bytes()),
        "asset_is_opaque": claims.asset().is_opaque(),
        "classes": claims.classes().bits(),
        "rung_max": claims.rung_max().map(Rung::index),
        "issued_at": claims.issued_at().get(),
        "ttl_secs": claims.ttl_secs(),
        "org_hex": claims.org().map(|org| hex(org.as_bytes())),
        "session_hex": claims.session().map(|session| hex(session.as_bytes())),
        "start_secs": claims.starts_at().since(claims.issued_at()),
        "audience": claims.audience(),
        "renewal_step_secs": claims.renewal_step_secs(),
        "deadline": claims.deadline().map(UnixSecs::get),
        "network": network,
        "countries": claims.countries().map(|country| country.as_str().to_owned()).collect::<Vec<_>>(),
        "origin": claims.has_origin().then_some(testing::ORIGIN),
        "path_prefix": claims.path_prefix(),
    })
}
