//! Any text as the values of a ring: it makes one, or problems that show no value.
#![no_main]

rend_fuzz::fuzz_target!(|input: &[u8]| rend_token::testing::keyring_text(input));
