//! No bytes make the reader of captions panic, and what was read prints as what reads the same.
#![no_main]
use rend_core::media::captions::Captions;
use rend_fuzz::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(captions) = Captions::read(bytes) {
        assert_eq!(Captions::read(captions.to_string().as_bytes()), Ok(captions));
    }
});
