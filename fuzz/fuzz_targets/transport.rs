#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| rend_token::testing::transport(input));
