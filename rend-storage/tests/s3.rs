//! Objects in a real S3-compatible server: the suite of the port, and what is special to S3.
//!
//! `cargo xtask test` starts a server and names it in `REND_TEST_S3_ENDPOINT`, `REND_TEST_S3_BUCKET`,
//! `REND_TEST_S3_ACCESS_KEY` and `REND_TEST_S3_SECRET_KEY`. Every test keeps to a prefix of its own.
#![cfg(all(feature = "s3", feature = "conformance"))]
#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "tests fail by panicking and read their surroundings"
)]

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use rend_core::artifact::ObjectKey;
use rend_core::time::Timestamp;
use rend_storage::StoreError;
use rend_storage::objects::{ObjectBody, ObjectStore, Put};
use rend_storage::s3::{Ability, PART_BYTES, S3Config, S3Objects, Trouble};

fn block_on<F: Future>(f: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(f)
}

fn config() -> S3Config {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let var = |name: &str| std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set; run `cargo xtask test`"));
    let mut config = S3Config::new(
        &var("REND_TEST_S3_ENDPOINT"),
        "us-east-1",
        &var("REND_TEST_S3_BUCKET"),
        &var("REND_TEST_S3_ACCESS_KEY"),
        &var("REND_TEST_S3_SECRET_KEY"),
    );
    config.prefix = format!("test-{}/{}/", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    config
}

fn fresh() -> (S3Objects, ()) {
    (S3Objects::new(&config()).unwrap(), ())
}

mod s3 {
    use super::{block_on, fresh};

    rend_storage::object_store_conformance!(
        #[ignore = "needs S3: cargo xtask test starts one"]
        block_on,
        fresh()
    );
    rend_storage::part_store_conformance!(
        #[ignore = "needs S3: cargo xtask test starts one"]
        block_on,
        fresh()
    );
}

fn key(name: &str) -> ObjectKey {
    name.parse().unwrap()
}

fn put(len: Option<u64>) -> Put {
    Put { content_type: "video/mp4".into(), len, sha256: None, now: Timestamp::from_secs(1_800_000_000) }
}

fn body(bytes: &[u8]) -> ObjectBody {
    let pieces: Vec<_> = bytes.chunks(300_000).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
    futures::stream::iter(pieces).boxed()
}

async fn read(mut body: ObjectBody) -> Vec<u8> {
    let mut bytes = Vec::new();
    while let Some(piece) = body.next().await {
        bytes.extend_from_slice(&piece.unwrap());
    }
    bytes
}

fn chance(len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    rend_core::prng::Prng::seeded(len as u64).fill(&mut bytes);
    bytes
}

#[test]
#[ignore = "needs S3: cargo xtask test starts one"]
fn objects_in_parts_come_back_whole_at_every_edge_of_a_part() {
    block_on(async {
        let (store, ()) = fresh();
        for len in [PART_BYTES - 1, PART_BYTES, PART_BYTES + 1, 2 * PART_BYTES, 2 * PART_BYTES + 1] {
            let bytes = chance(len);
            for announced in [None, Some(len as u64)] {
                let meta = store.put(&key("a"), put(announced), body(&bytes)).await.unwrap();
                assert_eq!(meta.len, len as u64);
                let object = store.get(&key("a"), None).await.unwrap();
                assert_eq!(object.meta.len, len as u64);
                assert_eq!(object.meta.modified, meta.modified);
                assert!(object.meta.sha256.is_none() || object.meta.sha256 == meta.sha256);
                assert_eq!(object.meta.sha256.is_some(), len <= PART_BYTES, "digests of short objects are kept");
                assert!(read(object.body).await == bytes, "{len}");
            }
        }
        // An announced digest is kept however long the object.
        let bytes = chance(PART_BYTES + 1);
        let meta = store.put(&key("b"), put(None), body(&bytes)).await.unwrap();
        store.put(&key("a"), Put { sha256: meta.sha256, ..put(None) }, body(&bytes)).await.unwrap();
        assert_eq!(store.head(&key("a")).await.unwrap().sha256, meta.sha256);
    });
}

#[test]
#[ignore = "needs S3: cargo xtask test starts one"]
fn an_upload_in_parts_that_breaks_off_leaves_what_was_there() {
    block_on(async {
        let (store, ()) = fresh();
        store.put(&key("a"), put(None), body(b"old")).await.unwrap();
        let cause = || Err(StoreError::Unavailable("the sender is gone".into()));
        let long = chance(PART_BYTES + 10);
        let broken = futures::stream::iter([Ok(Bytes::from(long.clone())), cause()]).boxed();
        assert!(matches!(store.put(&key("a"), put(None), broken).await, Err(StoreError::BadBody { .. })));
        let stuck = futures::stream::iter([Ok(Bytes::from(long))]).chain(futures::stream::pending()).boxed();
        let cut = tokio::time::timeout(Duration::from_secs(3), store.put(&key("a"), put(None), stuck)).await;
        assert!(cut.is_err(), "its body has not ended");
        assert_eq!(read(store.get(&key("a"), None).await.unwrap().body).await, b"old");
    });
}

#[test]
#[ignore = "needs S3: cargo xtask test starts one"]
fn a_put_on_the_condition_of_absence_keeps_the_first() {
    block_on(async {
        let (store, ()) = fresh();
        let long = chance(PART_BYTES + 1);
        for (name, first) in [("a", b"first".as_slice()), ("b", &long)] {
            store.put_if_absent(&key(name), put(None), body(first)).await.unwrap();
            for second in [b"second".as_slice(), &long] {
                let refused = store.put_if_absent(&key(name), put(None), body(second)).await;
                assert!(matches!(refused, Err(StoreError::Conflict { .. })), "{refused:?}");
            }
            assert!(read(store.get(&key(name), None).await.unwrap().body).await == first);
        }
    });
}

#[test]
#[ignore = "needs S3: cargo xtask test starts one"]
fn the_probe_finds_everything_that_is_needed() {
    block_on(async {
        let (store, ()) = fresh();
        let probed = store.probe("word", Timestamp::from_secs(1_800_000_000)).await;
        assert_eq!(probed.findings.len(), Ability::ALL.len());
        for finding in &probed.findings {
            assert_eq!(finding.lacks, None, "{}", finding.ability);
        }
        assert!(probed.is_fit());
        assert_eq!(store.list("", None, 10).await.unwrap(), [], "the probe leaves nothing");
    });
}

#[test]
#[ignore = "needs S3: cargo xtask test starts one"]
fn a_wrong_secret_and_a_missing_bucket_are_said_as_such() {
    block_on(async {
        let wrong = S3Config { secret_key: "not-the-secret".into(), ..config() };
        let missing = S3Config { bucket: "no-such-bucket-here".into(), ..config() };
        for (config, says) in [(wrong, "403 SignatureDoesNotMatch"), (missing, "404 NoSuchBucket")] {
            let store = S3Objects::new(&config).unwrap();
            let refused = store.get(&key("a"), None).await.err().expect("it cannot work");
            let cause = std::error::Error::source(&refused).expect("a cause").to_string();
            assert!(cause.contains(says), "{cause}");
            assert!(!format!("{refused:?}").contains("127.0.0.1"), "no address is told");
            let Err(Trouble::Refused(why)) = store.check().await else { panic!("waiting does not help") };
            assert!(why.contains(says), "{why}");
            assert!(!store.probe("word", Timestamp::EPOCH).await.is_fit());
        }
        let nobody = S3Config { endpoint: "http://127.0.0.1:9".into(), ..config() };
        assert!(matches!(S3Objects::new(&nobody).unwrap().check().await, Err(Trouble::Away(_))));
    });
}

#[test]
#[ignore = "needs S3: cargo xtask test starts one"]
fn who_has_a_signed_url_may_read_and_put_and_nobody_else() {
    block_on(async {
        let (store, ()) = fresh();
        store.put(&key("a/b"), put(None), body(b"bytes")).await.unwrap();
        let get = store.presign_get(&key("a/b"), 60).await.unwrap();
        assert_eq!(ask("GET", &get, b"").await, (200, b"bytes".to_vec()));
        assert_eq!(ask("GET", &get.replace("a/b", "a/c"), b"").await.0, 403);
        assert_eq!(ask("PUT", &get, b"x").await.0, 403);
        let (bare, _) = get.split_once('?').unwrap();
        assert_eq!(ask("GET", bare, b"").await.0, 403);
        let put = store.presign_put(&key("c"), 60).await.unwrap();
        assert_eq!(ask("PUT", &put, b"theirs").await.0, 200);
        let object = store.get(&key("c"), None).await.unwrap();
        assert!(object.meta.modified > Timestamp::EPOCH, "the server's own time");
        assert_eq!(read(object.body).await, b"theirs");
    });
}

/// A request by hand, without anything that could sign it.
async fn ask(method: &str, url: &str, body: &[u8]) -> (u16, Vec<u8>) {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let (host, path) = url.strip_prefix("http://").unwrap().split_once('/').unwrap();
    let head = format!(
        "{method} /{path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    let mut stream = tokio::net::TcpStream::connect(host).await.unwrap();
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(body).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
    let status = std::str::from_utf8(&answer[9..12]).unwrap().parse().unwrap();
    (status, answer[end + 4..].to_vec())
}
