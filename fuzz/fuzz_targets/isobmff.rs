//! No bytes make the box readers panic or cost more memory than there are bytes.
#![no_main]
use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use rend_core::media::isobmff::{FragmentReader, read_init, read_segment};

fuzz_target!(|input: &[u8]| {
    let bytes = Bytes::copy_from_slice(input);
    if let Ok(init) = read_init(&bytes) {
        let _ = read_segment(&init, &bytes);
    }
    let mut reader = FragmentReader::default();
    for chunk in input.chunks(7) {
        reader.push(chunk);
        loop {
            match reader.next_piece() {
                Ok(Some(_)) => {}
                Ok(None) => break,
                Err(_) => return,
            }
        }
    }
});
