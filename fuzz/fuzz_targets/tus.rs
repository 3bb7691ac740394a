//! Whatever the writers of an upload in pieces send, and in whatever order, the parts that count are the file, and a request
//! for a piece is judged by where the upload stands.
#![no_main]

rend_fuzz::fuzz_target!(|story: &[u8]| rend_core::upload::transfers_hold(story));
