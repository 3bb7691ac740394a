//! The inputs that the fuzzer of spool files begins with, on stable: each is read without a panic, and the whole ones in full.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use rend_telemetry::spool::segment::{End, Frame, read, write_event};

/// Name and bytes of each input.
fn inputs() -> Vec<(&'static str, Vec<u8>)> {
    let node = || "ash-1".parse().unwrap();
    let event = br#"{"seq":1,"at":1800000000000,"org":null,"asset":"018f0000-0000-7000-8000-000000000001","sid":null,"path":"opener.mp4","obj":null,"sent":5,"from":0,"status":200,"cache":"HIT","ttfb_us":1,"ms":2,"aborted":false}"#;
    let mut segment = Vec::new();
    Frame::Header { boot: [7; 8], node: node() }.write(&mut segment);
    write_event(event, &mut segment);
    let mut ledger = Vec::new();
    Frame::Acked { file_no: 3 }.write(&mut ledger);
    Frame::Dropped { boot: [7; 8], node: node(), total: 9, told: 4 }.write(&mut ledger);
    let batch = [
        br#"{"v":1,"id":"07:1","boot":"0707070707070707","node":"ash-1","dropped_total":0,"events":["#,
        &event[..],
        b"]}",
    ];
    let torn = segment[..segment.len() - 7].to_vec();
    let mut foreign = 2_u32.to_le_bytes().to_vec();
    foreign.extend(crc32c::crc32c(b"Zx").to_le_bytes());
    foreign.extend(b"Zx");
    vec![
        ("segment", segment),
        ("ledger", ledger),
        ("batch", batch.concat()),
        ("torn", torn),
        ("zeros", vec![0; 64]),
        ("foreign", foreign),
    ]
}

#[test]
fn every_input_of_the_fuzzer_reads_as_it_did() {
    let dir = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus/spool_segment");
    for (name, bytes) in inputs() {
        let stored = std::fs::read(dir.join(name)).unwrap();
        assert!(stored == bytes, "{name} is not what this version writes: a format that changes needs another version");
    }
    let end = |name: &str| read(&std::fs::read(dir.join(name)).unwrap()).end;
    assert_eq!([end("segment"), end("ledger")], [End::Whole; 2]);
    assert_eq!([end("torn"), end("zeros"), end("batch")], [End::Torn; 3]);
    assert_eq!(end("foreign"), End::Foreign);
}
