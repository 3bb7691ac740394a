//! No bytes make the box readers panic or cost more memory than there are bytes; and a file that is passed through is
//! read within itself.
#![no_main]
use bytes::Bytes;
use rend_core::artifact::Lang;
use rend_core::media::isobmff::{FragmentReader, Progressive, read_init, read_segment};
use rend_core::media::ladder::LadderPolicy;
use rend_core::media::moov::{Place, locate};
use rend_core::media::passthrough::survey;
use rend_core::media::probe::Limits;
use rend_fuzz::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let bytes = Bytes::copy_from_slice(input);
    if let Ok(init) = read_init(&bytes) {
        let _ = read_segment(&init, &bytes);
    }
    if let Ok(mut file) = Progressive::new(&[(bytes.clone(), Lang::UND)]) {
        let _ = file.segment(0, &bytes, bytes.len() as u64);
        if let Ok(layout) = file.finish() {
            assert!(layout.copied.iter().all(|copied| copied.range.end <= bytes.len() as u64), "a copy past the end");
        }
    }
    pass(&bytes);
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

fn pass(file: &Bytes) {
    let len = file.len() as u64;
    let Place::At(range) = locate(0, file, len) else { return };
    let place = |at: u64| usize::try_from(at).unwrap_or(usize::MAX);
    let moov = file.slice(place(range.start)..place(range.end));
    let Ok(passthrough) = survey(&moov, len, &Limits::default(), &LadderPolicy::default()) else { return };
    for index in 0..passthrough.len() {
        assert!(passthrough.reads(index).iter().all(|range| range.end <= len), "a read past the end");
        if let Ok(segment) = passthrough.write(index, &[(0, file.clone())]) {
            assert_eq!(passthrough.bytes_of(index), Some(segment.len() as u64), "another length than was announced");
        }
    }
}
