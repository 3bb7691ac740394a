//! No text makes the playlist readers panic, and what was read prints as what reads the same.
#![no_main]
use rend_core::media::playlist::{Master, Media};
use rend_fuzz::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(media) = text.parse::<Media>() {
        // An address may be missing from a list that nobody wrote; then printing it gives a list that is refused.
        if !media.init.is_empty() && !media.init.contains(['"', '\r']) {
            assert_eq!(media.to_string().parse(), Ok(media));
        }
    }
    let _ = text.parse::<Master>();
});
