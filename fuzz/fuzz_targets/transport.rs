//! Any bytes as query, path and cookie lines: few candidates, and a redacted text shows none.
#![no_main]

rend_fuzz::fuzz_target!(|input: &[u8]| rend_token::testing::transport(input));
