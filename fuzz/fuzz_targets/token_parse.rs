//! Any bytes as a token: whatever decodes has one text, and nothing leads from there to trust.
#![no_main]

rend_fuzz::fuzz_target!(|input: &[u8]| rend_token::testing::token_parse(input));
