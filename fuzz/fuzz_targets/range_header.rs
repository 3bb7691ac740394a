//! Whatever a Range header says, the answer is a part of the body or none, and what was read prints as what reads the same.
#![no_main]
use libfuzzer_sys::fuzz_target;
use rend_cache::range::{Answer, ByteRange, answer};
use rend_fuzz::bounded;

fuzz_target!(|input: (u64, &[u8])| bounded(input, input.1.len(), |(len, header)| {
    match answer(Some(header), None, "\"e\"", len) {
        Answer::Span(span) => assert!(span.start() < span.end() && span.end() <= len && span.len() <= len),
        Answer::Unsatisfiable { len: of } => assert_eq!(of, len),
        Answer::Whole => {}
    }
    if let Some(range) = ByteRange::parse(header) {
        assert_eq!(ByteRange::parse(range.to_string().as_bytes()), Some(range));
    }
}));
