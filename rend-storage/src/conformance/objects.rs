//! What every [`ObjectStore`] must do.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use futures::StreamExt;
use futures::future::{self, FutureExt};
use rend_core::artifact::ObjectKey;
use rend_core::prng::Prng;
use sha2::{Digest, Sha256};

use super::make::at;
use crate::StoreError;
use crate::objects::{CONTENT_TYPE_BYTES_MAX, ObjectBody, ObjectMeta, ObjectStore, Put};

/// A read returns the last write: bytes, length, digest, media type and time together.
pub async fn get_returns_the_last_put(store: &impl ObjectStore) {
    let first = Put { content_type: "video/mp4".into(), len: None, sha256: None, now: at(1) };
    let meta = store.put(&key("a"), first, body(b"one")).await.unwrap();
    assert_eq!(meta, ObjectMeta { len: 3, sha256: sha256(b"one"), content_type: "video/mp4".into(), modified: at(1) });
    let second = Put { content_type: "text/vtt".into(), len: None, sha256: None, now: at(2) };
    store.put(&key("a"), second, body(b"three")).await.unwrap();

    let object = store.get(&key("a"), None).await.unwrap();
    assert_eq!(object.meta.len, 5);
    assert_eq!(object.meta.content_type, "text/vtt");
    assert_eq!(object.meta.modified, at(2));
    assert!(object.meta.sha256.is_none() || object.meta.sha256 == sha256(b"three"));
    assert_eq!(store.head(&key("a")).await.unwrap(), object.meta);
    assert_eq!(read(object.body).await, b"three");
}

/// A key that was never written is reported as such.
pub async fn get_of_an_absent_key_is_not_found(store: &impl ObjectStore) {
    write(store, "b/c", b"beneath").await;
    for absent in ["a", "b", "b/c/d", "b/cc"] {
        assert_absent(store, absent).await;
    }
    assert_eq!(store.local(&key("a")).await, None);
}

/// Deleting twice is the same as deleting once.
pub async fn delete_is_idempotent(store: &impl ObjectStore) {
    write(store, "a/b", b"x").await;
    store.delete(&key("a/b")).await.unwrap();
    store.delete(&key("a/b")).await.unwrap();
    store.delete(&key("never/was")).await.unwrap();
    assert_absent(store, "a/b").await;
    assert_eq!(store.local(&key("a/b")).await, None);
    assert_eq!(store.list("", None, 10).await.unwrap(), []);
}

/// A key that was deleted can be written again.
pub async fn a_deleted_key_can_be_put_again(store: &impl ObjectStore) {
    for round in [b"one".as_slice(), b"two", b"three"] {
        write(store, "a", round).await;
        assert_holds(store, "a", round).await;
        store.delete(&key("a")).await.unwrap();
        assert_absent(store, "a").await;
    }
}

/// No bytes are an object too.
pub async fn an_empty_object_is_an_object(store: &impl ObjectStore) {
    let put = Put { len: Some(0), sha256: sha256(b""), ..plain() };
    let meta = store.put(&key("a"), put, futures::stream::empty().boxed()).await.unwrap();
    assert_eq!((meta.len, meta.sha256), (0, sha256(b"")));
    assert_holds(store, "a", b"").await;
    assert_eq!(read_part(store, "a", 0..10).await, b"");
    assert_eq!(store.list("", None, 10).await.unwrap(), [key("a")]);
}

/// A body arrives in whatever pieces it likes, and comes back the same.
pub async fn a_body_of_many_pieces_comes_back_whole(store: &impl ObjectStore) {
    let bytes = chance(3 * 1024 * 1024 + 17);
    let mut prng = Prng::seeded(7);
    let mut rest = bytes.clone();
    let mut pieces = Vec::new();
    while !rest.is_empty() {
        let len = usize::try_from(prng.below(700_000)).unwrap().min(rest.len());
        pieces.push(Ok(rest.split_to(len)));
    }
    pieces.push(Ok(Bytes::new()));
    let put = Put { len: Some(bytes.len() as u64), sha256: sha256(&bytes), ..plain() };
    store.put(&key("a"), put, futures::stream::iter(pieces).boxed()).await.unwrap();
    assert_holds(store, "a", &bytes).await;
    let middle = 1_000_000..2_500_001;
    assert!(read_part(store, "a", 1_000_000..2_500_001).await == bytes[middle]);
}

/// A range is cut to the object; what lies past it is empty.
pub async fn a_range_gives_that_part(store: &impl ObjectStore) {
    write(store, "a", b"0123456789").await;
    let rows: [(Range<u64>, &[u8]); 9] = [
        (0..10, b"0123456789"),
        (0..1, b"0"),
        (9..10, b"9"),
        (3..7, b"3456"),
        (3..u64::MAX, b"3456789"),
        (4..4, b""),
        (10..11, b""),
        (11..20, b""),
        (u64::MAX - 1..u64::MAX, b""),
    ];
    for (range, part) in rows {
        let object = store.get(&key("a"), Some(range.clone())).await.unwrap();
        assert_eq!(object.meta.len, 10, "the object's length, not the part's");
        assert_eq!(read(object.body).await, part, "{range:?}");
    }
    #[expect(clippy::reversed_empty_ranges, reason = "this is the case")]
    let backwards = 7..3;
    assert_eq!(read_part(store, "a", backwards).await, b"");
}

/// A stream that breaks off leaves no object.
pub async fn a_put_whose_stream_fails_stores_nothing(store: &impl ObjectStore) {
    for bytes_before in [0, 1, 600_000] {
        let put = Put { content_type: "video/mp4".into(), ..plain() };
        let refused = store.put(&key("a"), put, breaks_after(bytes_before)).await;
        assert!(matches!(refused, Err(StoreError::BadBody { .. })), "{refused:?}");
        assert_absent(store, "a").await;
    }
    assert_eq!(store.list("", None, 10).await.unwrap(), []);
}

/// A put that is refused leaves what was there, with all that was known of it.
pub async fn a_refused_put_keeps_what_was_there(store: &impl ObjectStore) {
    write(store, "a", b"old").await;
    let before = store.head(&key("a")).await.unwrap();
    let other = Put { content_type: "text/vtt".into(), now: at(9), ..plain() };
    let refusals = [
        (other.clone(), breaks_after(5)),
        (Put { len: Some(4), ..other.clone() }, body(b"new")),
        (Put { len: Some(2), ..other.clone() }, body(b"new")),
        (Put { sha256: sha256(b"old"), ..other.clone() }, body(b"new")),
        (Put { content_type: String::new(), ..other }, body(b"new")),
    ];
    for (put, body) in refusals {
        let refused = store.put(&key("a"), put.clone(), body).await;
        assert!(matches!(refused, Err(StoreError::BadBody { .. })), "{put:?}: {refused:?}");
        assert_eq!(store.head(&key("a")).await.unwrap(), before);
        assert_holds(store, "a", b"old").await;
    }
}

/// What was announced is checked: length both ways, and digest.
pub async fn a_body_that_is_not_as_announced_is_refused(store: &impl ObjectStore) {
    let bytes = chance(300_000);
    let len = bytes.len() as u64;
    for wrong in [
        Put { len: Some(len + 1), ..plain() },
        Put { len: Some(len - 1), ..plain() },
        Put { len: Some(0), ..plain() },
        Put { sha256: Some([0; 32]), ..plain() },
        Put { len: Some(len), sha256: sha256(&bytes[1..]), ..plain() },
    ] {
        let refused = store.put(&key("a"), wrong.clone(), body(&bytes)).await;
        assert!(matches!(refused, Err(StoreError::BadBody { .. })), "{wrong:?}: {refused:?}");
        assert_absent(store, "a").await;
    }
    let right = Put { len: Some(len), sha256: sha256(&bytes), ..plain() };
    store.put(&key("a"), right, body(&bytes)).await.unwrap();
    assert_holds(store, "a", &bytes).await;
}

/// A body that goes on and on is stopped once it is longer than announced.
pub async fn a_body_that_goes_on_is_stopped_at_its_announced_length(store: &impl ObjectStore) {
    let drawn = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&drawn);
    let draw = move || {
        count.fetch_add(1, Ordering::Relaxed);
        Ok(Bytes::from_static(&[7; 1000]))
    };
    let long = futures::stream::repeat_with(draw).take(20_000).boxed();
    let refused = store.put(&key("a"), Put { len: Some(10_500), ..plain() }, long).await;
    assert!(matches!(refused, Err(StoreError::BadBody { .. })), "{refused:?}");
    assert!(drawn.load(Ordering::Relaxed) < 2000, "read on to the end");
    assert_absent(store, "a").await;
}

/// A put that nobody waits for any more leaves no object.
pub async fn a_put_that_is_dropped_stores_nothing(store: &impl ObjectStore) {
    write(store, "b", b"old").await;
    for name in ["a", "b"] {
        let stuck = futures::stream::iter([Ok(chance(400_000))]).chain(futures::stream::pending()).boxed();
        let name = key(name);
        let mut put = store.put(&name, plain(), stuck);
        for _ in 0..10 {
            assert!((&mut put).now_or_never().is_none(), "its body has not ended");
        }
        drop(put);
    }
    assert_absent(store, "a").await;
    assert_holds(store, "b", b"old").await;
    assert_eq!(store.list("", None, 10).await.unwrap(), [key("b")]);
}

/// Media types come back as they were; what is none is refused.
pub async fn a_media_type_is_kept_or_refused(store: &impl ObjectStore) {
    let longest = "x/".to_owned() + &"y".repeat(CONTENT_TYPE_BYTES_MAX - 2);
    for good in ["application/vnd.apple.mpegurl", "text/vtt; charset=\"utf-8\"", "a/b+c_d-e.f%2f", "@-/", &longest] {
        let put = Put { content_type: good.into(), ..plain() };
        store.put(&key("a"), put, body(b"x")).await.unwrap();
        assert_eq!(store.head(&key("a")).await.unwrap().content_type, good);
    }
    for bad in ["", " text/vtt", "text/vtt ", "text/vtt\n", "te:xt", "text/ä", &(longest.clone() + "y")] {
        let put = Put { content_type: bad.into(), ..plain() };
        let refused = store.put(&key("b"), put, body(b"x")).await;
        assert!(matches!(refused, Err(StoreError::BadBody { .. })), "{bad:?}: {refused:?}");
    }
    assert_absent(store, "b").await;
}

/// A key may lie beneath another, and neither minds what happens to the other.
pub async fn a_key_and_a_key_beneath_it_may_both_exist(store: &impl ObjectStore) {
    let names = ["a", "a/b", "a/b/c"];
    for order in [[0, 1, 2], [2, 1, 0], [1, 2, 0]] {
        for n in order {
            write(store, names[n], names[n].as_bytes()).await;
        }
        for name in names {
            assert_holds(store, name, name.as_bytes()).await;
        }
        assert_eq!(store.list("", None, 10).await.unwrap(), names.map(key));
        for (gone, n) in order.into_iter().enumerate() {
            store.delete(&key(names[n])).await.unwrap();
            assert_absent(store, names[n]).await;
            for n in &order[gone + 1..] {
                assert_holds(store, names[*n], names[*n].as_bytes()).await;
            }
        }
    }
}

/// Every key that can be built can be stored, the longest too.
pub async fn a_key_may_be_as_long_as_keys_can_be(store: &impl ObjectStore) {
    let deep = "a/".repeat(255) + "a";
    let mut names: Vec<String> = [199, 200, 201, 255, 256, 400, 401, 512].map(|len| "x".repeat(len)).into();
    names.extend([deep, "x".repeat(200) + "/y", "x".repeat(200) + "-y", "x".repeat(200) + "0"]);
    names.extend(["...", "a..b", "-", "_", "0", ".a"].map(str::to_owned));
    for name in &names {
        write(store, name, name.as_bytes()).await;
    }
    for name in &names {
        assert_holds(store, name, name.as_bytes()).await;
    }
    names.sort();
    assert_eq!(listed(store, "", 1000).await, names);
    assert_eq!(listed(store, "", 1).await, names);
}

/// The order of a listing is that of bytes, where `-` and `.` come before `/`, and digits after.
pub async fn keys_are_listed_in_byte_order(store: &impl ObjectStore) {
    for name in SORTED.iter().rev() {
        write(store, name, b"x").await;
    }
    assert_eq!(listed(store, "", 1000).await, SORTED);
}

/// Pages of any size add up to the whole, without a gap or a repeat.
pub async fn pages_add_up_to_the_whole_listing(store: &impl ObjectStore) {
    for name in SORTED {
        write(store, name, b"x").await;
    }
    for limit in [1, 2, 3, 5, SORTED.len(), SORTED.len() + 1] {
        assert_eq!(listed(store, "", limit).await, SORTED, "pages of {limit}");
        assert_eq!(listed(store, "a", limit).await, within("a"), "pages of {limit}");
    }
    assert_eq!(store.list("", None, 0).await.unwrap(), []);
}

/// A page begins after a key whether or not that key is there, or in the prefix.
pub async fn a_page_begins_after_any_key(store: &impl ObjectStore) {
    for name in SORTED {
        write(store, name, b"x").await;
    }
    for prefix in ["", "a", "a/", "b/"] {
        for after in ["-", "a", "a-", "a/", "a/b/zz", "a/c", "a0", "b", "b/a", "zz"].map(|a| a.trim_end_matches('/')) {
            let expected: Vec<_> = within(prefix).into_iter().filter(|name| name.as_str() > after).collect();
            let page = store.list(prefix, Some(&key(after)), 1000).await.unwrap();
            assert_eq!(names(&page), expected, "prefix {prefix:?}, after {after:?}");
        }
    }
}

/// A prefix is text, not a folder; one that no key begins with lists nothing.
pub async fn a_prefix_may_end_anywhere(store: &impl ObjectStore) {
    for name in SORTED {
        write(store, name, b"x").await;
    }
    for prefix in ["a", "a/", "a/b", "a/b/", "a/b/c", "a/b/c/", "b", "b/a", "c", "a-", "a."] {
        assert_eq!(listed(store, prefix, 1000).await, within(prefix), "{prefix:?}");
    }
    for none in ["/", "//", "a//", "../", "a/../a/", "./", "A", "a/b/c/d/e/", "@", "a/@", "+", "ä"] {
        assert_eq!(listed(store, none, 1000).await, Vec::<String>::new(), "{none:?}");
    }
}

/// Who has opened an object reads all of it, though it is replaced or deleted meanwhile.
pub async fn an_opened_object_reads_to_its_end(store: &impl ObjectStore) {
    let old = chance(1_500_000);
    write(store, "a", &old).await;
    let mut one = store.get(&key("a"), None).await.unwrap();
    let other = store.get(&key("a"), None).await.unwrap();
    let first = one.body.next().await.unwrap().unwrap();
    write(store, "a", b"new").await;
    store.delete(&key("a")).await.unwrap();
    let mut bytes = first.to_vec();
    bytes.extend(read(one.body).await);
    assert!(bytes == old, "the object that was opened");
    assert!(read(other.body).await == old, "the object that was opened");
}

/// Of puts at once one stands in the end, whole.
pub async fn of_puts_at_once_one_stands(store: &impl ObjectStore) {
    let name = key("a/b");
    for round in 0..4_usize {
        let bodies: Vec<_> = (0..6_usize).map(|n| chance(50_000 * n + round + 1)).collect();
        let puts = bodies.iter().map(|bytes| store.put(&name, plain(), body(bytes)));
        for put in future::join_all(puts).await {
            put.unwrap();
        }
        let object = store.get(&name, None).await.unwrap();
        let bytes = read(object.body).await;
        assert_eq!(object.meta.len, bytes.len() as u64);
        assert!(bodies.iter().any(|body| *body == bytes), "one of the bodies");
    }
}

/// While an object is replaced again and again, each reader sees one of the objects whole, and never none.
pub async fn readers_see_whole_objects_while_puts_replace_them(store: &impl ObjectStore) {
    let name = key("a");
    write(store, "a", &[0; 1000]).await;
    let replace = async {
        for n in 1..30_u8 {
            let bytes = vec![n; 1000 * usize::from(n)];
            store.put(&name, Put { now: at(u64::from(n)), ..plain() }, body(&bytes)).await.unwrap();
        }
    };
    let look = async {
        for _ in 0..60 {
            let object = store.get(&name, None).await.unwrap();
            let bytes = read(object.body).await;
            assert_eq!(object.meta.len, bytes.len() as u64);
            assert!(bytes.iter().all(|byte| *byte == bytes[0]), "bytes of one put");
            assert!(object.meta.sha256.is_none() || object.meta.sha256 == sha256(&bytes));
            let age = object.meta.modified.since(at(0)).as_secs();
            assert!(age == u64::from(bytes[0]), "the time of the put that the bytes are of");
        }
    };
    future::join(replace, look).await;
}

/// Puts and deletes of keys that share folders do not get in each other's way.
pub async fn deletes_do_not_disturb_puts_beside_them(store: &impl ObjectStore) {
    let churn = async {
        for _ in 0..20 {
            write(store, "a/b/c", b"x").await;
            store.delete(&key("a/b/c")).await.unwrap();
        }
    };
    let keep = async {
        for n in 0..20 {
            let name = format!("a/b/{n}");
            write(store, &name, b"y").await;
            assert_holds(store, &name, b"y").await;
            store.delete(&key(&name)).await.unwrap();
        }
    };
    future::join(churn, keep).await;
    assert_eq!(store.list("", None, 10).await.unwrap(), []);
}

/// A file, where the adapter has one, holds the object's bytes and nothing else.
pub async fn a_local_file_holds_exactly_the_bytes(store: &impl ObjectStore) {
    for bytes in [b"one".as_slice(), b"", b"three"] {
        write(store, "a/b", bytes).await;
        if let Some(path) = store.local(&key("a/b")).await {
            assert_eq!(std::fs::read(path).unwrap(), bytes);
        }
    }
}

const SORTED: [&str; 20] = [
    "a", "a-", "a-b", "a-b/c", "a.", "a.b", "a/-", "a/b", "a/b-c", "a/b/c", "a/b/c/d", "a/b0", "a/c", "a0", "a0/b",
    "aa", "b/a", "b/b", "b0", "c",
];

fn within(prefix: &str) -> Vec<String> {
    SORTED.iter().filter(|name| name.starts_with(prefix)).map(|name| (*name).to_owned()).collect()
}

fn names(keys: &[ObjectKey]) -> Vec<String> {
    keys.iter().map(ToString::to_string).collect()
}

async fn listed(store: &impl ObjectStore, prefix: &str, limit: usize) -> Vec<String> {
    let mut all = Vec::<ObjectKey>::new();
    loop {
        let page = store.list(prefix, all.last(), limit).await.unwrap();
        assert!(page.len() <= limit);
        if page.is_empty() {
            return names(&all);
        }
        all.extend(page);
        assert!(all.len() <= 1000, "a listing that does not end");
    }
}

fn key(name: &str) -> ObjectKey {
    name.parse().unwrap()
}

fn plain() -> Put {
    Put { content_type: "application/octet-stream".into(), len: None, sha256: None, now: at(0) }
}

fn body(bytes: &[u8]) -> ObjectBody {
    let pieces: Vec<_> = bytes.chunks(100_000).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
    futures::stream::iter(pieces).boxed()
}

fn breaks_after(bytes: usize) -> ObjectBody {
    let cause = StoreError::Unavailable("the sender is gone".into());
    futures::stream::iter([Ok(chance(bytes)), Err(cause)]).boxed()
}

fn chance(len: usize) -> Bytes {
    let mut bytes = vec![0; len];
    Prng::seeded(len as u64).fill(&mut bytes);
    bytes.into()
}

fn sha256(bytes: &[u8]) -> Option<[u8; 32]> {
    Some(Sha256::digest(bytes).into())
}

async fn write(store: &impl ObjectStore, name: &str, bytes: &[u8]) {
    let meta = store.put(&key(name), plain(), body(bytes)).await.unwrap();
    assert_eq!((meta.len, meta.sha256), (bytes.len() as u64, sha256(bytes)));
}

async fn read(mut body: ObjectBody) -> Vec<u8> {
    let mut bytes = Vec::new();
    while let Some(chunk) = body.next().await {
        bytes.extend_from_slice(&chunk.unwrap());
    }
    bytes
}

async fn read_part(store: &impl ObjectStore, name: &str, range: Range<u64>) -> Vec<u8> {
    read(store.get(&key(name), Some(range)).await.unwrap().body).await
}

async fn assert_holds(store: &impl ObjectStore, name: &str, bytes: &[u8]) {
    let object = store.get(&key(name), None).await.unwrap();
    assert_eq!(object.meta.len, bytes.len() as u64, "{name}");
    assert!(read(object.body).await == bytes, "{name}");
}

async fn assert_absent(store: &impl ObjectStore, name: &str) {
    assert!(matches!(store.head(&key(name)).await, Err(StoreError::NotFound { .. })), "{name}");
    assert!(matches!(store.get(&key(name), None).await, Err(StoreError::NotFound { .. })), "{name}");
}

/// Mounts what every `ObjectStore` must do; see [`conformance`](crate::conformance).
#[macro_export]
macro_rules! object_store_conformance {
    ($(#[$attribute:meta])* $block_on:path, $make:expr) => {
        $crate::mount_cases! { objects [$(#[$attribute])*] $block_on, $make;
            get_returns_the_last_put
            get_of_an_absent_key_is_not_found
            delete_is_idempotent
            a_deleted_key_can_be_put_again
            an_empty_object_is_an_object
            a_body_of_many_pieces_comes_back_whole
            a_range_gives_that_part
            a_put_whose_stream_fails_stores_nothing
            a_refused_put_keeps_what_was_there
            a_body_that_is_not_as_announced_is_refused
            a_body_that_goes_on_is_stopped_at_its_announced_length
            a_put_that_is_dropped_stores_nothing
            a_media_type_is_kept_or_refused
            a_key_and_a_key_beneath_it_may_both_exist
            a_key_may_be_as_long_as_keys_can_be
            keys_are_listed_in_byte_order
            pages_add_up_to_the_whole_listing
            a_page_begins_after_any_key
            a_prefix_may_end_anywhere
            an_opened_object_reads_to_its_end
            of_puts_at_once_one_stands
            readers_see_whole_objects_while_puts_replace_them
            deletes_do_not_disturb_puts_beside_them
            a_local_file_holds_exactly_the_bytes
        }
    };
}
