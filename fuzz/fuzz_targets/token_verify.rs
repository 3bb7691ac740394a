//! The first bytes choose a grant, the rest an edit: the token verifies, the edited one does not.
#![no_main]

rend_fuzz::fuzz_target!(|input: &[u8]| rend_token::testing::token_verify(input));
