//! No header of an upload in pieces makes its reader panic, and what was read can be said again and reads the same.
#![no_main]
use rend_core::upload::tus::headers_read_back;
use rend_fuzz::fuzz_target;

fuzz_target!(|header: &str| headers_read_back(header));
