//! No header of an upload in pieces makes its reader panic, and what was read can be said again and reads the same.
#![no_main]
use libfuzzer_sys::fuzz_target;
use rend_core::upload::tus::headers_read_back;

fuzz_target!(|header: &str| headers_read_back(header));
