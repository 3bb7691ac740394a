//! Any payload: whatever decodes encodes to the same bytes.
#![no_main]

rend_fuzz::fuzz_target!(|input: &[u8]| rend_token::testing::token_claims(input));
