//! `rend ledger verify` on a spool as an edge leaves it.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use bytes::Bytes;
use futures::StreamExt;
use rend_core::analytics::CacheStatus;
use rend_core::artifact::{ArtifactPath, ObjectKey, Rendition};
use rend_core::id::{AssetId, OrgId};
use rend_core::time::{Mono, Timestamp};
use rend_storage::fs::FsObjects;
use rend_storage::objects::{ObjectStore, Put};
use rend_telemetry::fs::FsFiles;
use rend_telemetry::{Destination, Pump, PumpConfig, Served};

fn asset() -> AssetId {
    AssetId::from_bytes([7; 16])
}

/// Three segments of 720p, the last one short.
fn publish(folder: &Path) {
    let list = "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:4\n#EXT-X-MEDIA-SEQUENCE:0\n\
        #EXT-X-PLAYLIST-TYPE:EVENT\n#EXT-X-INDEPENDENT-SEGMENTS\n#EXT-X-MAP:URI=\"init_720p.mp4\"\n\
        #EXTINF:4.000000,\nsegment_00000.m4s\n#EXTINF:4.000000,\nsegment_00001.m4s\n#EXTINF:1.500000,\n\
        segment_00002.m4s\n#EXT-X-ENDLIST\n";
    let put =
        Put { content_type: "application/vnd.apple.mpegurl".into(), len: None, sha256: None, now: Timestamp::EPOCH };
    let key = ObjectKey::artifact(asset(), ArtifactPath::Variant(Rendition::P720));
    let body = futures::stream::iter([Ok(Bytes::from_static(list.as_bytes()))]).boxed();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async { FsObjects::open(folder).unwrap().put(&key, put, body).await.unwrap() });
}

/// What a viewer took of segment `index`: `sent` of 1000 bytes.
fn took(index: u32, sent: u64) -> Served {
    Served {
        observed_at: Timestamp::from_secs(1_800_000_000),
        org: Some(OrgId::from_bytes([1; 16])),
        asset: asset(),
        session: Some([5; 7]),
        path: ArtifactPath::Segment { rendition: Rendition::P720, index },
        object_bytes: Some(1000),
        bytes_sent: sent,
        range_start: 0,
        status: 200,
        cache: CacheStatus::Hit,
        ttfb_us: 1,
        duration_ms: 1,
        aborted: sent < 1000,
    }
}

/// A spool with these responses in it, as after an edge that could not deliver.
fn spool(folder: &Path, served: &[Served]) {
    let files = FsFiles::open(folder).unwrap();
    let to = Destination { url: "http://127.0.0.1:9/".into(), bearer: String::new() };
    let node = "ash-1".parse().unwrap();
    let (recorder, mut pump) = Pump::open(PumpConfig::default(), files, to, [9; 8], node, Mono::START).unwrap();
    for response in served {
        assert!(recorder.record(response.clone()));
    }
    pump.close(Mono::START);
}

fn verify(folder: &Path, more: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rend"));
    command.args(["ledger", "verify", "--json", "--spool"]).arg(folder.join("spool"));
    command.arg("--objects").arg(folder.join("objects")).args(more).stdin(Stdio::null());
    command.output().unwrap()
}

fn said(output: &Output) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (text(&output.stdout), text(&output.stderr))
}

#[test]
fn a_spool_comes_to_what_was_taken_and_a_bill_is_held_against_it() {
    let folder = tempfile::tempdir().unwrap();
    publish(&folder.path().join("objects"));
    // All of the first, the second twice, half of the third: 4 s + 4 s + 0.75 s.
    spool(&folder.path().join("spool"), &[took(0, 1000), took(1, 1000), took(1, 1000), took(2, 500)]);
    let output = verify(folder.path(), &[]);
    let (lines, words) = said(&output);
    assert!(output.status.success(), "{words}");
    assert_eq!(lines.lines().count(), 1, "{lines}");
    assert!(lines.contains("\"tier\":\"720p\",\"delivered_ms\":8750"), "{lines}");
    assert!(words.starts_with("4 records in"), "{words}");

    let bill = folder.path().join("bill.jsonl");
    fs::write(&bill, &lines).unwrap();
    let same = verify(folder.path(), &["--bill", bill.to_str().unwrap()]);
    assert!(same.status.success(), "{:?}", said(&same));
    fs::write(&bill, lines.replace("8750", "8751")).unwrap();
    let other = verify(folder.path(), &["--bill", bill.to_str().unwrap()]);
    assert_eq!(other.status.code(), Some(1));
    assert!(said(&other).1.contains("delivered 8750 ms, billed 8751 ms"), "{:?}", said(&other));

    // The same spool twice, as from a copy, is the same account.
    let copy = folder.path().join("copy");
    fs::create_dir(&copy).unwrap();
    for file in fs::read_dir(folder.path().join("spool")).unwrap() {
        let file = file.unwrap();
        if file.file_type().unwrap().is_file() {
            fs::copy(file.path(), copy.join(file.file_name())).unwrap();
        }
    }
    let twice = verify(folder.path(), &["--spool", copy.to_str().unwrap()]);
    assert!(twice.status.success());
    assert_eq!(said(&twice).0, lines);
}

#[test]
fn what_is_missing_from_the_account_is_said() {
    let folder = tempfile::tempdir().unwrap();
    publish(&folder.path().join("objects"));
    let gone = Served { asset: AssetId::from_bytes([8; 16]), ..took(0, 1000) };
    spool(&folder.path().join("spool"), &[took(0, 1000), gone, took(7, 1000)]);
    let output = verify(folder.path(), &[]);
    let (lines, words) = said(&output);
    assert_eq!(output.status.code(), Some(1));
    assert!(lines.contains("\"delivered_ms\":4000"), "{lines}");
    assert_eq!(words.matches("have no known length").count(), 2, "{words}");

    // A torn tail is left out, and told.
    let torn = fs::read_dir(folder.path().join("spool")).unwrap().map(|file| file.unwrap().path());
    let torn = torn.into_iter().find(|path| path.extension().is_some_and(|end| end == "seg")).unwrap();
    let bytes = fs::read(&torn).unwrap();
    fs::write(&torn, &bytes[..bytes.len() - 3]).unwrap();
    let (_, words) = said(&verify(folder.path(), &[]));
    assert!(words.contains("bytes are whole"), "{words}");

    let nothing = verify(&folder.path().join("none"), &[]);
    assert!(!nothing.status.success());
    assert!(said(&nothing).1.contains("none"), "{:?}", said(&nothing));
}
