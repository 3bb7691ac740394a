//! What fuzzing has found worth keeping, replayed without a fuzzer.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::fs;
use std::path::Path;

use rend_token::testing;

#[track_caller]
fn replay(target: &str, property: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(target);
    // The published crate stands without the fuzzer's folder.
    let Ok(entries) = fs::read_dir(&folder) else {
        return;
    };
    let inputs: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    assert!(!inputs.is_empty(), "{}", folder.display());
    for input in inputs {
        property(&fs::read(input).unwrap());
    }
}

#[test]
fn tokens_parse_to_themselves_or_not_at_all() {
    replay("token_parse", testing::token_parse);
}

#[test]
fn edited_tokens_are_denied() {
    replay("token_verify", testing::token_verify);
}

#[test]
fn payloads_decode_to_themselves_or_not_at_all() {
    replay("token_claims", testing::token_claims);
}

#[test]
fn headers_hold_few_candidates_and_show_none() {
    replay("transport", testing::transport);
}

#[test]
fn texts_make_a_ring_or_problems() {
    replay("keyring_text", testing::keyring_text);
}
