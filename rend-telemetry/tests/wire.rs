//! The JSON of a batch: what goes in comes out, and one bad event stands alone.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use proptest::prelude::*;
use rend_core::analytics::{CacheStatus, PlaybackBatch, PlaybackEvent};
use rend_core::artifact::ArtifactPath;
use rend_core::id::{AssetId, OrgId};
use rend_core::time::Timestamp;
use rend_telemetry::wire::{self, BATCH_BYTES_MAX, BATCH_EVENTS_MAX, NUMBER_MAX, WireError};

const GOOD: &str = r#"{"seq":1,"at":1800000000000,"org":null,"asset":"018f0000-0000-7000-8000-000000000001","sid":null,"path":"opener.mp4","obj":null,"sent":5,"from":0,"status":200,"cache":"HIT","ttfb_us":1,"ms":2,"aborted":false}"#;

fn batch_of(events: &str) -> String {
    format!(r#"{{"v":1,"id":"07:1","boot":"0707070707070707","node":"ash-1","dropped_total":0,"events":[{events}]}}"#)
}

#[track_caller]
fn check_event(event: &str, reason: Option<&str>) {
    let decoded = wire::decode(batch_of(&format!("{GOOD},{event},{GOOD}")).as_bytes()).unwrap();
    match reason {
        None => assert_eq!((decoded.batch.events.len(), decoded.rejected.len()), (3, 0)),
        Some(reason) => {
            assert_eq!(decoded.batch.events.len(), 2, "the others are taken");
            assert_eq!(decoded.rejected.len(), 1);
            assert_eq!(decoded.rejected[0].index, 1);
            assert!(decoded.rejected[0].reason.starts_with(reason), "{}", decoded.rejected[0].reason);
        }
    }
}

#[test]
fn one_bad_event_never_rejects_its_batch() {
    let with = |from: &str, to: &str| {
        assert!(GOOD.contains(from));
        GOOD.replacen(from, to, 1)
    };
    check_event(GOOD, None);
    check_event(&with(r#""org":null,"#, ""), None);
    check_event("null", Some("a field"));
    check_event("[]", Some("a field"));
    check_event("{}", Some("a field"));
    check_event(&with("{", r#"{"client_ip":"198.51.100.7","#), Some("a field"));
    check_event(&with("{", r#"{"seq":2,"#), Some("a field"));
    check_event(&with(r#""seq":1"#, r#""seq":"1""#), Some("a field"));
    check_event(&with(r#""seq":1"#, r#""seq":-1"#), Some("a field"));
    check_event(&with(r#""seq":1"#, r#""seq":0"#), Some("seq"));
    check_event(&with(r#""sent":5"#, r#""sent":9007199254740992"#), Some("a number"));
    check_event(&with("1800000000000", "253402207200000"), Some("at"));
    check_event(&with("opener.mp4", "source.mp4"), Some("path"));
    check_event(&with("opener.mp4", "opener.mp4?token=x"), Some("path"));
    check_event(&with("018f", "018F"), Some("asset"));
    check_event(&with(r#""org":null"#, r#""org":"acme""#), Some("org"));
    check_event(&with(r#""sid":null"#, r#""sid":"0102""#), Some("sid"));
    check_event(&with("HIT", "hit"), Some("cache"));
    check_event(&with("200", "99"), Some("status"));
    check_event(&with("200", "600"), Some("status"));
    check_event(&with("opener.mp4", &"x".repeat(1024)), Some("longer than 1024 bytes"));
}

#[test]
fn a_reason_never_repeats_the_input() {
    let event = GOOD.replace("opener.mp4", "hls/secret-token-value");
    let decoded = wire::decode(batch_of(&event).as_bytes()).unwrap();
    assert!(!decoded.rejected[0].reason.contains("secret"));
}

#[track_caller]
fn check_batch(body: &str, expect: fn(&WireError) -> bool) {
    let error = wire::decode(body.as_bytes()).unwrap_err();
    assert!(expect(&error), "{error}");
}

#[test]
fn a_broken_outer_form_is_refused_whole() {
    let good = batch_of("");
    assert!(wire::decode(good.as_bytes()).is_ok());
    let malformed: fn(&WireError) -> bool = |error| matches!(error, WireError::Malformed { .. });
    for body in ["", "null", "[]", "{}", "{", &good[..good.len() - 1]] {
        check_batch(body, malformed);
    }
    check_batch(&good.replace("ash-1", "Ash 1"), malformed);
    check_batch(&good.replace(r#""boot":"07"#, r#""boot":"zz"#), malformed);
    check_batch(&good.replace(r#""id":"07:1""#, r#""id":"<script>""#), malformed);
    check_batch(&good.replace(r#""dropped_total":0"#, r#""dropped_total":9007199254740992"#), malformed);
    check_batch(&good.replacen('{', r#"{"extra":1,"#, 1), malformed);
    check_batch(&good.replace(r#""v":1"#, r#""v":2"#), |e| *e == WireError::UnknownVersion { found: 2 });
    check_batch(r#"{"v":3,"rows":[]}"#, |e| *e == WireError::UnknownVersion { found: 3 });
}

#[test]
fn both_bounds_of_a_batch_are_kept() {
    let long = format!("{}{}", batch_of(""), " ".repeat(BATCH_BYTES_MAX));
    check_batch(&long, |e| matches!(e, WireError::TooLong { .. }));
    let many = vec!["1"; BATCH_EVENTS_MAX + 1].join(",");
    check_batch(&batch_of(&many), |e| *e == WireError::TooMany { events: BATCH_EVENTS_MAX + 1 });
    let most = wire::decode(batch_of(&vec!["1"; BATCH_EVENTS_MAX].join(",")).as_bytes()).unwrap();
    assert_eq!(most.rejected.len(), BATCH_EVENTS_MAX);
}

#[test]
fn the_largest_event_keeps_to_its_bound() {
    let boot = [255; 8];
    let node = "n".repeat(63);
    let n = NUMBER_MAX;
    let event = PlaybackEvent {
        boot,
        seq: n,
        node: node.parse().unwrap(),
        observed_at: Timestamp::MAX,
        org: Some(OrgId::from_bytes([255; 16])),
        asset: AssetId::from_bytes([255; 16]),
        session: Some([255; 7]),
        path: "hls/1440p/segment_4294967295.m4s".parse().unwrap(),
        object_bytes: Some(n),
        bytes_sent: n,
        range_start: n,
        status: 599,
        cache: CacheStatus::Revalidated,
        ttfb_us: n,
        duration_ms: n,
        aborted: false,
    };
    let batch = PlaybackBatch { boot, node: event.node.clone(), dropped_total: n, events: vec![event] };
    let body = wire::encode("ff:1", &batch).unwrap();
    assert_eq!(wire::decode(&body).unwrap().batch, batch);
    assert!(body.len() < wire::EVENT_BYTES_MAX, "{} bytes with the batch around it", body.len());
    let mut mixed = batch;
    mixed.boot = [0; 8];
    assert_eq!(wire::encode("ff:1", &mixed), Err(WireError::Mixed { index: 0 }));
}

fn path() -> impl Strategy<Value = ArtifactPath> {
    let texts =
        ["opener.mp4", "poster.jpg", "thumbs.vtt", "hls/master.m3u8", "hls/src/index.m3u8", "hls/a-en/init_a-en.mp4"];
    prop_oneof![
        prop::sample::select(texts.to_vec()).prop_map(|text| text.parse().unwrap()),
        any::<u32>().prop_map(|n| format!("hls/720p/segment_{n:05}.m4s").parse().unwrap()),
    ]
}

prop_compose! {
    fn event()(
        numbers in prop::array::uniform5(0..=NUMBER_MAX), seq in 1..=NUMBER_MAX, at in 0..=Timestamp::MAX.as_millis(),
        org in prop::option::of(any::<[u8; 16]>()), asset in any::<[u8; 16]>(), session in prop::option::of(any::<[u8; 7]>()),
        path in path(), known in any::<bool>(), status in 100_u16..=599, cache in prop::sample::select(CacheStatus::ALL.to_vec()),
        aborted in any::<bool>(),
    ) -> PlaybackEvent {
        let [object, bytes_sent, range_start, ttfb_us, duration_ms] = numbers;
        PlaybackEvent {
            boot: [9; 8], seq, node: "ash-1".parse().unwrap(), observed_at: Timestamp::from_millis(at),
            org: org.map(OrgId::from_bytes), asset: AssetId::from_bytes(asset), session, path,
            object_bytes: known.then_some(object), bytes_sent, range_start, status, cache, ttfb_us, duration_ms, aborted,
        }
    }
}

proptest! {
    #[test]
    fn writing_and_reading_undo_each_other(events in prop::collection::vec(event(), 0..20), dropped_total in 0..=NUMBER_MAX) {
        let batch = PlaybackBatch { boot: [9; 8], node: "ash-1".parse().unwrap(), dropped_total, events };
        let decoded = wire::decode(&wire::encode("09:1", &batch).unwrap()).unwrap();
        prop_assert_eq!(decoded.batch, batch);
        prop_assert_eq!(decoded.rejected, vec![]);
    }

    #[test]
    fn no_body_makes_the_reader_panic(body in prop::collection::vec(any::<u8>(), 0..300), cut in 0..400_usize) {
        drop(wire::decode(&body));
        let good = batch_of(GOOD);
        drop(wire::decode(&good.as_bytes()[..cut.min(good.len())]));
    }

    #[test]
    fn no_file_makes_the_reader_of_frames_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let content = rend_telemetry::spool::segment::read(&bytes);
        let mut again = Vec::new();
        content.frames.iter().for_each(|frame| frame.write(&mut again));
        prop_assert_eq!(&bytes[..content.good_bytes], &again[..]);
    }
}
