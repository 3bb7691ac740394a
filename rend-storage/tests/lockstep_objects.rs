//! Random operations, the same on memory and on files, or in a bucket, give the same answers.
#![cfg(any(feature = "fs", feature = "s3"))]
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use bytes::Bytes;
use futures::StreamExt;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use rend_core::artifact::ObjectKey;
use rend_core::time::Timestamp;
use rend_storage::StoreError;
#[cfg(feature = "fs")]
use rend_storage::fs::FsObjects;
use rend_storage::memory::MemoryObjects;
use rend_storage::objects::{ObjectStore, Put};

/// One thing asked of a store.
#[derive(Clone, Debug)]
enum Ask {
    /// A key, how many bytes, the announced length, and whether the stream breaks off.
    Put(ObjectKey, usize, Option<u64>, bool),
    Get(ObjectKey, Option<(u64, u64)>),
    Delete(ObjectKey),
    List(String, Option<ObjectKey>, usize),
}

async fn perform(store: &impl ObjectStore, ask: &Ask) -> String {
    match ask {
        Ask::Put(key, len, announced, breaks) => {
            let put = Put { content_type: "video/mp4".into(), len: *announced, sha256: None, now: Timestamp::EPOCH };
            let mut pieces = vec![Ok(Bytes::from(vec![*len as u8; *len]))];
            if *breaks {
                pieces.push(Err(StoreError::LeaseLost));
            }
            format!("{:?}", store.put(key, put, futures::stream::iter(pieces).boxed()).await)
        }
        Ask::Get(key, range) => match store.get(key, range.map(|(start, end)| start..end)).await {
            Ok(object) => {
                let bytes: Vec<_> = object.body.map(|chunk| chunk.unwrap().to_vec()).concat().await;
                format!("{:?} {bytes:?}", object.meta)
            }
            Err(refused) => format!("{refused:?}"),
        },
        Ask::Delete(key) => format!("{:?}", store.delete(key).await),
        Ask::List(prefix, after, limit) => format!("{:?}", store.list(prefix, after.as_ref(), *limit).await),
    }
}

fn any_key() -> impl Strategy<Value = ObjectKey> {
    // Few characters and parts, so that keys meet, lie beneath each other, and sort around the slash.
    "[a0.-]{1,2}(/[ab-]{1,2}){0,2}".prop_filter_map("no part may be . or ..", |key| key.parse().ok())
}

fn any_ask() -> impl Strategy<Value = Ask> {
    let len = 0..9_usize;
    prop_oneof![
        8 => (any_key(), len, option::weighted(0.2, 0..9_u64), proptest::bool::weighted(0.1))
            .prop_map(|(key, len, announced, breaks)| Ask::Put(key, len, announced, breaks)),
        2 => (any_key(), option::of((0..9_u64, 0..9_u64))).prop_map(|(key, range)| Ask::Get(key, range)),
        3 => any_key().prop_map(Ask::Delete),
        3 => ("[a0.-]{0,2}(/[ab-]{0,2}){0,2}", option::of(any_key()), 0..9_usize)
            .prop_map(|(prefix, after, limit)| Ask::List(prefix, after, limit)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    #[cfg(feature = "fs")]
    fn memory_and_files_give_the_same_answers(asks in vec(any_ask(), 1..60)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let (memory, files) = (MemoryObjects::default(), FsObjects::open(folder.path()).unwrap());
        let whole = Ask::List(String::new(), None, 1000);
        for ask in asks.iter().chain([&whole]) {
            let expected = runtime.block_on(perform(&memory, ask));
            let answer = runtime.block_on(perform(&files, ask));
            prop_assert_eq!(answer, expected, "{:?}", ask);
        }
    }
}

#[cfg(feature = "s3")]
proptest! {
    // Each answer takes a server some milliseconds.
    #![proptest_config(ProptestConfig { cases: 12, max_shrink_iters: 50, ..ProptestConfig::default() })]

    #[test]
    #[ignore = "needs S3: cargo xtask test starts one"]
    fn memory_and_s3_give_the_same_answers(asks in vec(any_ask(), 1..60)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (memory, bucket) = (MemoryObjects::default(), bucket());
        let asks: Vec<_> = asks.into_iter().map(with_bytes).collect();
        let whole = Ask::List(String::new(), None, 1000);
        for ask in asks.iter().chain([&whole]) {
            let expected = runtime.block_on(perform(&memory, ask));
            let answer = runtime.block_on(perform(&bucket, ask));
            prop_assert_eq!(answer, expected, "{:?}", ask);
        }
    }
}

/// A server that keeps keys as folders takes an empty object for one as soon as another key lies beneath it; README.md says
/// so. Empty objects beside others are in the suite.
#[cfg(feature = "s3")]
fn with_bytes(ask: Ask) -> Ask {
    match ask {
        Ask::Put(key, 0, announced, breaks) => Ask::Put(key, 1, announced.map(|len| len.max(1)), breaks),
        other @ (Ask::Put(..) | Ask::Get(..) | Ask::Delete(_) | Ask::List(..)) => other,
    }
}

/// A fresh part of the bucket that `cargo xtask test` names.
#[cfg(feature = "s3")]
#[expect(clippy::disallowed_methods, reason = "tests read their surroundings")]
fn bucket() -> rend_storage::s3::S3Objects {
    static NEXT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
    let var = |name: &str| std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set; run `cargo xtask test`"));
    let mut config = rend_storage::s3::S3Config::new(
        &var("REND_TEST_S3_ENDPOINT"),
        "us-east-1",
        &var("REND_TEST_S3_BUCKET"),
        &var("REND_TEST_S3_ACCESS_KEY"),
        &var("REND_TEST_S3_SECRET_KEY"),
    );
    let place = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    config.prefix = format!("lockstep-{}/{place}/", std::process::id());
    rend_storage::s3::S3Objects::new(&config).unwrap()
}
