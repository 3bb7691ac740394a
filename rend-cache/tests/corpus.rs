//! What fuzzing found or was begun with, on stable.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use bytes::Bytes;
use rend_cache::footer::Footer;
use rend_cache::journal::Records;
use rend_cache::policy::{Event, Lru, Policy, S3Fifo, ValueWheel};
use rend_cache::range::{Answer, ByteRange, answer};
use rend_cache::replay::events;

fn corpus(target: &str) -> Vec<Vec<u8>> {
    let folder = format!("{}/../fuzz/corpus/{target}", env!("CARGO_MANIFEST_DIR"));
    let mut paths: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(!paths.is_empty());
    paths.iter().map(|path| std::fs::read(path).unwrap()).collect()
}

#[test]
fn every_range_header_of_the_corpus_asks_for_a_part_or_for_all() {
    for header in corpus("range_header") {
        for len in [0, 1, 1000, u64::MAX] {
            if let Answer::Span(span) = answer(Some(&header), None, "\"e\"", len) {
                assert!(span.start() < span.end() && span.end() <= len);
            }
        }
        if let Some(range) = ByteRange::parse(&header) {
            assert_eq!(ByteRange::parse(range.to_string().as_bytes()), Some(range));
        }
    }
}

#[test]
fn every_file_of_the_corpus_reads_as_what_would_have_been_written() {
    let (mut footers, mut journals) = (0, 0);
    for bytes in corpus("cache_footer") {
        if let Some(footer) = Footer::decode(&bytes) {
            let (body, rest) = bytes.split_at(footer.meta.len as usize);
            assert_eq!(footer.encode(), rest);
            footers += usize::from(footer.verify(&Bytes::copy_from_slice(body)));
        }
        let mut records = Records::new(&bytes);
        let mut again = Vec::new();
        records.by_ref().for_each(|record| record.encode(&mut again));
        assert_eq!(again, &bytes[..records.read()]);
        journals += usize::from(records.read() > 0);
    }
    assert!(footers > 0 && journals > 0, "the corpus holds at least one of each");
}

#[test]
fn every_list_of_events_of_the_corpus_stays_within_the_limit() {
    let limit = 1 << 20;
    for log in corpus("cache_ops") {
        let policies: [Box<dyn Policy>; 3] =
            [Box::new(ValueWheel::new(limit)), Box::new(Lru::new(limit)), Box::new(S3Fifo::new(limit))];
        assert!(events(&log).count() > 0);
        for mut policy in policies {
            for event in events(&log).filter(|event| !matches!(event, Event::SetLimit { .. })) {
                policy.apply(event);
                assert!(policy.used() <= limit);
            }
        }
    }
}
