//! Any bytes are legal as a spool file: what is read back writes the same bytes, and its events are read or refused, never a panic.
#![no_main]
use rend_fuzz::fuzz_target;
use rend_telemetry::spool::segment::{Frame, read};
use rend_telemetry::wire;

fuzz_target!(|bytes: &[u8]| {
    let content = read(bytes);
    let mut again = Vec::new();
    content.frames.iter().for_each(|frame| frame.write(&mut again));
    assert_eq!(&bytes[..content.good_bytes], &again[..]);
    let node = "ash-1".parse().expect("a literal edge id");
    for frame in &content.frames {
        if let Frame::Event(json) = frame {
            let _ = wire::decode_event(json, [7; 8], &node);
        }
    }
    let _ = wire::decode(bytes);
});
