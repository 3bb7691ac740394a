//! What every [`PartStore`] must do that an [`ObjectStore`] has.

use bytes::Bytes;
use futures::future;
use futures::{FutureExt, StreamExt};
use rend_core::artifact::ObjectKey;
use rend_core::id::UploadId;
use rend_core::prng::Prng;
use rend_core::upload::parts::{Listed, PART_BYTES_MIN, Tag};

use super::make::at;
use crate::StoreError;
use crate::multipart::PartStore;
use crate::objects::{ObjectBody, ObjectStore, Put};

/// Parts that came in any order become one object, with what is said of it.
pub async fn parts_in_any_order_become_one_object(store: &impl ObjectStore) {
    let parts = parts_of(store);
    let file = chance(2 * PART + 1000);
    let name = begin(store, 1).await;
    let pieces: Vec<_> = file.chunks(PART).collect();
    let mut listed = Vec::new();
    for number in [3_u32, 1, 2] {
        listed.push(put(store, 1, &name, number, pieces[number as usize - 1]).await);
    }
    absent(store, 1).await;
    listed.sort_by_key(|part| part.number);
    let meta = parts.join_parts(&key(1), &name, &listed, whole(file.len())).await.unwrap();
    assert_eq!(meta.len, file.len() as u64);
    assert!(meta.sha256.is_none() || meta.sha256 == sha256(&file));
    let object = store.get(&key(1), None).await.unwrap();
    assert_eq!(object.meta.content_type, "video/mp4");
    assert!(read(object.body).await == file);
    takes_nothing(store, 1, &name).await;
    // Joining again finds nothing, or what was made: never another object.
    match parts.join_parts(&key(1), &name, &listed, whole(file.len())).await {
        Ok(again) => assert_eq!(again.len, meta.len),
        Err(StoreError::NotFound { .. }) => {}
        Err(odd) => panic!("{odd:?}"),
    }
    assert_eq!(store.list("uploads/", None, 10).await.unwrap(), [], "nothing of the parts stays");
}

/// One part is enough, and may be short, as the last of each.
pub async fn one_short_part_is_an_object(store: &impl ObjectStore) {
    let name = begin(store, 1).await;
    let listed = put(store, 1, &name, 1, b"x").await;
    parts_of(store).join_parts(&key(1), &name, &[listed], whole(1)).await.unwrap();
    assert_eq!(read(store.get(&key(1), None).await.unwrap().body).await, b"x");
}

/// A part that comes again takes the place of the one before. What is joined has the bytes of the tags that were named.
pub async fn a_part_that_comes_again_replaces_the_one_before(store: &impl ObjectStore) {
    let name = begin(store, 1).await;
    let first = put(store, 1, &name, 1, b"first").await;
    let second = put(store, 1, &name, 1, b"second").await;
    let again = put(store, 1, &name, 1, b"second").await;
    assert_eq!(second.tag, again.tag, "the same bytes have the same tag");
    assert_ne!(first.tag, second.tag);
    parts_of(store).join_parts(&key(1), &name, &[second], whole(6)).await.unwrap();
    assert_eq!(read(store.get(&key(1), None).await.unwrap().body).await, b"second");

    let name = begin(store, 2).await;
    let first = put(store, 2, &name, 1, b"first").await;
    let second = put(store, 2, &name, 1, b"second").await;
    match parts_of(store).join_parts(&key(2), &name, &[first], whole(5)).await {
        Ok(_) => assert_eq!(read(store.get(&key(2), None).await.unwrap().body).await, b"first"),
        Err(StoreError::BadBody { .. }) => {
            absent(store, 2).await;
            parts_of(store).join_parts(&key(2), &name, &[second], whole(6)).await.unwrap();
        }
        Err(odd) => panic!("{odd:?}"),
    }
}

/// Parts that are not there are refused, and what is there can still be joined.
pub async fn parts_that_are_not_there_are_refused(store: &impl ObjectStore) {
    let name = begin(store, 1).await;
    let one = put(store, 1, &name, 1, &chance(PART)).await;
    let parts = parts_of(store);
    let never = Listed { number: 2, tag: one.tag.clone() };
    bad(parts.join_parts(&key(1), &name, &[one.clone(), never], whole(2 * PART)).await);
    absent(store, 1).await;
    let two = put(store, 1, &name, 2, b"end").await;
    parts.join_parts(&key(1), &name, &[one, two], whole(PART + 3)).await.unwrap();
    assert_eq!(store.head(&key(1)).await.unwrap().len, PART as u64 + 3);
}

/// A part that breaks off, or is not as long as was said, does not count.
pub async fn a_part_that_is_not_whole_does_not_count(store: &impl ObjectStore) {
    let name = begin(store, 1).await;
    let parts = parts_of(store);
    let broken = || Err(StoreError::Unavailable("the sender is gone".into()));
    let cut = futures::stream::iter([Ok(Bytes::from_static(b"abc")), broken()]).boxed();
    let put_one = |body: ObjectBody, bytes| parts.put_part(&KEY_1, &name, 1, bytes, body);
    for (body, bytes) in [(cut, 6), (body(b"abc"), 4), (body(b"abc"), 2)] {
        let answer = put_one(body, bytes).await;
        assert!(matches!(answer, Err(StoreError::BadBody { .. })), "{answer:?}");
    }
    let tag: Tag = "900150983cd24fb0d6963f7d28e17f72".parse().unwrap();
    let joined = parts.join_parts(&key(1), &name, &[Listed { number: 1, tag }], whole(3)).await;
    assert!(matches!(joined, Err(StoreError::BadBody { .. } | StoreError::NotFound { .. })), "{joined:?}");
    absent(store, 1).await;
}

/// What lay under the key stays until the parts are joined, and stays when they are dropped.
pub async fn what_was_there_stays_until_parts_are_joined(store: &impl ObjectStore) {
    let before = Put { len: None, ..whole(0) };
    store.put(&key(1), before, body(b"old")).await.unwrap();
    let name = begin(store, 1).await;
    put(store, 1, &name, 1, b"new").await;
    assert_eq!(read(store.get(&key(1), None).await.unwrap().body).await, b"old");
    parts_of(store).drop_parts(&key(1), &name).await.unwrap();
    takes_nothing(store, 1, &name).await;
    let listed = Listed { number: 1, tag: "900150983cd24fb0d6963f7d28e17f72".parse().unwrap() };
    let joined = parts_of(store).join_parts(&key(1), &name, &[listed], whole(4)).await;
    assert!(matches!(joined, Err(StoreError::NotFound { .. })), "{joined:?}");
    assert_eq!(read(store.get(&key(1), None).await.unwrap().body).await, b"old");
    assert_eq!(store.list("uploads/", None, 10).await.unwrap(), []);
    let name = begin(store, 1).await;
    let listed = put(store, 1, &name, 1, b"new").await;
    parts_of(store).join_parts(&key(1), &name, &[listed], whole(3)).await.unwrap();
    assert_eq!(read(store.get(&key(1), None).await.unwrap().body).await, b"new");
}

/// Dropping twice is dropping once, and dropping what was joined leaves the object.
pub async fn dropping_parts_is_idempotent(store: &impl ObjectStore) {
    let name = begin(store, 1).await;
    let listed = put(store, 1, &name, 1, b"x").await;
    parts_of(store).join_parts(&key(1), &name, &[listed], whole(1)).await.unwrap();
    for _ in 0..2 {
        parts_of(store).drop_parts(&key(1), &name).await.unwrap();
    }
    assert_eq!(store.head(&key(1)).await.unwrap().len, 1);
}

/// Objects in parts know nothing of each other.
pub async fn objects_in_parts_do_not_mix(store: &impl ObjectStore) {
    let (one, two) = (begin(store, 1).await, begin(store, 2).await);
    assert_ne!(one, two);
    let first = put(store, 1, &one, 1, b"one").await;
    let second = put(store, 2, &two, 1, b"two!").await;
    parts_of(store).drop_parts(&key(1), &one).await.unwrap();
    parts_of(store).join_parts(&key(2), &two, &[second], whole(4)).await.unwrap();
    assert_eq!(read(store.get(&key(2), None).await.unwrap().body).await, b"two!");
    let answer = parts_of(store).join_parts(&key(1), &one, &[first], whole(3)).await;
    assert!(matches!(answer, Err(StoreError::NotFound { .. })), "{answer:?}");
}

/// Parts that come at once all count.
pub async fn parts_that_come_at_once_all_count(store: &impl ObjectStore) {
    let name = begin(store, 1).await;
    let file = chance(3 * PART + 5);
    let puts = file.chunks(PART).zip(1_u32..).map(|(piece, number)| put(store, 1, &name, number, piece).boxed());
    let listed = future::join_all(puts).await;
    parts_of(store).join_parts(&key(1), &name, &listed, whole(file.len())).await.unwrap();
    assert!(read(store.get(&key(1), None).await.unwrap().body).await == file);
}

/// A store with a server of its own says where a part is put; one without says so.
pub async fn the_address_of_a_part_is_one_or_none(store: &impl ObjectStore) {
    let name = begin(store, 1).await;
    let parts = parts_of(store);
    let one = parts.part_address(&key(1), &name, 1, 10, 60).await.unwrap();
    let two = parts.part_address(&key(1), &name, 2, 10, 60).await.unwrap();
    match (one, two) {
        (Some(one), Some(two)) => {
            assert!(one.starts_with("http") && one != two);
        }
        (None, None) => {}
        odd => panic!("{odd:?}"),
    }
}

const PART: usize = PART_BYTES_MIN as usize;

static KEY_1: std::sync::LazyLock<ObjectKey> = std::sync::LazyLock::new(|| key(1));

fn parts_of(store: &impl ObjectStore) -> &dyn PartStore {
    store.parts().expect("the store takes objects in parts")
}

async fn begin(store: &impl ObjectStore, n: u8) -> String {
    parts_of(store).begin_parts(&key(n), upload(n), "video/mp4", at(1)).await.unwrap()
}

async fn put(store: &impl ObjectStore, n: u8, name: &str, number: u32, bytes: &[u8]) -> Listed {
    let tag = parts_of(store).put_part(&key(n), name, number, bytes.len() as u64, body(bytes)).await.unwrap();
    Listed { number, tag }
}

/// No part is taken any more by an object in parts that is over.
async fn takes_nothing(store: &impl ObjectStore, n: u8, name: &str) {
    let late = parts_of(store).put_part(&key(n), name, 1, 4, body(b"late")).await;
    assert!(matches!(late, Err(StoreError::NotFound { .. })), "{late:?}");
}

#[track_caller]
fn bad<T: std::fmt::Debug>(answer: Result<T, StoreError>) {
    assert!(matches!(answer, Err(StoreError::BadBody { .. })), "{answer:?}");
}

async fn absent(store: &impl ObjectStore, n: u8) {
    assert!(matches!(store.head(&key(n)).await, Err(StoreError::NotFound { .. })));
}

fn upload(n: u8) -> UploadId {
    UploadId::new(at(u64::from(n)), [n; 10])
}

fn key(n: u8) -> ObjectKey {
    format!("film/{n}").parse().unwrap()
}

fn whole(len: usize) -> Put {
    Put { content_type: "video/mp4".into(), len: Some(len as u64), sha256: None, now: at(2) }
}

fn body(bytes: &[u8]) -> ObjectBody {
    let pieces: Vec<_> = bytes.chunks(300_000).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
    futures::stream::iter(pieces).boxed()
}

async fn read(mut body: ObjectBody) -> Vec<u8> {
    let mut bytes = Vec::new();
    while let Some(chunk) = body.next().await {
        bytes.extend_from_slice(&chunk.unwrap());
    }
    bytes
}

fn chance(len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    Prng::seeded(len as u64).fill(&mut bytes);
    bytes
}

fn sha256(bytes: &[u8]) -> Option<[u8; 32]> {
    use sha2::Digest;
    Some(sha2::Sha256::digest(bytes).into())
}

/// Mounts what every store of objects in parts must do; see [`conformance`](crate::conformance).
#[macro_export]
macro_rules! part_store_conformance {
    ($(#[$attribute:meta])* $block_on:path, $make:expr) => {
        $crate::mount_cases! { multipart [$(#[$attribute])*] $block_on, $make;
            parts_in_any_order_become_one_object
            one_short_part_is_an_object
            a_part_that_comes_again_replaces_the_one_before
            parts_that_are_not_there_are_refused
            a_part_that_is_not_whole_does_not_count
            what_was_there_stays_until_parts_are_joined
            dropping_parts_is_idempotent
            objects_in_parts_do_not_mix
            parts_that_come_at_once_all_count
            the_address_of_a_part_is_one_or_none
        }
    };
}
