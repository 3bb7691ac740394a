//! What lies on the disk: after puts, deletes and crashes, and when somebody else put it there.
#![cfg(feature = "fs")]
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::path::{Path, PathBuf};

use bytes::Bytes;
use futures::StreamExt;
use rend_core::artifact::ObjectKey;
use rend_core::time::Timestamp;
use rend_storage::StoreError;
use rend_storage::fs::FsObjects;
use rend_storage::objects::{ObjectStore, Put};
use tempfile::TempDir;

#[test]
fn a_replaced_object_leaves_one_file_and_a_deleted_one_nothing() {
    run(async |store, root| {
        for n in 1..5 {
            put(&store, "a/b", &vec![n; 1000]).await;
            put(&store, "a", &[n]).await;
            assert_eq!(files_in(&root.join("objects")).len(), 2);
        }
        store.delete(&key("a/b")).await.unwrap();
        assert_eq!(files_in(&root.join("objects")).len(), 1);
        store.delete(&key("a")).await.unwrap();
        assert_eq!(std::fs::read_dir(root.join("objects")).unwrap().count(), 0, "nor a folder");
        assert_eq!(files_in(&root.join("incoming")), Vec::<PathBuf>::new());
    });
}

#[test]
fn a_store_under_a_relative_folder_hands_out_paths_that_hold_in_any_folder() {
    run(async |_, root| {
        let here = std::env::current_dir().unwrap();
        let up: PathBuf = here.components().skip(1).map(|_| "..").collect();
        let relative = up.join(root.join("relative").strip_prefix("/").unwrap());
        assert!(relative.is_relative());
        let store = FsObjects::open(&relative).unwrap();
        put(&store, "a", b"bytes").await;
        assert!(store.local(&key("a")).await.unwrap().is_absolute());
    });
}

#[test]
fn a_crash_before_the_old_file_is_removed_shows_the_new_object() {
    run(async |store, root| {
        put(&store, "a", b"old").await;
        let old = files_in(&root.join("objects")).remove(0);
        let saved = root.join("saved");
        std::fs::copy(&old, &saved).unwrap();
        put(&store, "a", b"newer").await;
        // So it would stand after a crash between the rename and the removal.
        std::fs::rename(&saved, &old).unwrap();

        let store = FsObjects::open(root).unwrap();
        assert_eq!(read(&store, "a").await.unwrap(), b"newer");
        assert_eq!(store.list("", None, 10).await.unwrap(), [key("a")]);
        put(&store, "a", b"newest").await;
        assert_eq!(read(&store, "a").await.unwrap(), b"newest");
        assert_eq!(files_in(&root.join("objects")).len(), 1, "the next put removes both");
    });
}

#[test]
fn a_delete_takes_what_a_crash_left_too() {
    run(async |store, root| {
        put(&store, "a", b"old").await;
        let old = files_in(&root.join("objects")).remove(0);
        let saved = root.join("saved");
        std::fs::copy(&old, &saved).unwrap();
        put(&store, "a", b"newer").await;
        std::fs::rename(&saved, &old).unwrap();
        store.delete(&key("a")).await.unwrap();
        assert!(matches!(read(&store, "a").await, Err(StoreError::NotFound { .. })));
    });
}

#[test]
fn a_file_that_was_cut_or_grew_is_an_error_and_not_an_object() {
    run(async |store, root| {
        put(&store, "a", &[7; 1000]).await;
        let file = files_in(&root.join("objects")).remove(0);
        for len in [0, 999, 1001] {
            std::fs::File::options().write(true).open(&file).unwrap().set_len(len).unwrap();
            assert!(matches!(read(&store, "a").await, Err(StoreError::Unavailable(_))), "{len} bytes");
        }
        put(&store, "a", &[8; 10]).await;
        assert_eq!(read(&store, "a").await.unwrap(), [8; 10], "a put heals it");
    });
}

#[test]
fn what_others_put_there_is_no_object_and_in_nobodys_way() {
    run(async |store, root| {
        put(&store, "a/b", b"x").await;
        let objects = root.join("objects");
        std::fs::write(objects.join("note.txt"), "mine").unwrap();
        std::fs::write(objects.join("a/@1"), "mine").unwrap();
        std::fs::write(objects.join("a/b/.DS_Store"), "mine").unwrap();
        std::fs::create_dir_all(objects.join("Upper Case/b")).unwrap();
        std::fs::create_dir_all(objects.join("a/@folder")).unwrap();
        assert_eq!(store.list("", None, 10).await.unwrap(), [key("a/b")]);
        assert!(matches!(read(&store, "a").await, Err(StoreError::NotFound { .. })));
        put(&store, "a", b"y").await;
        assert_eq!(read(&store, "a").await.unwrap(), b"y");
        store.delete(&key("a")).await.unwrap();
        store.delete(&key("a/b")).await.unwrap();
        assert_eq!(std::fs::read(objects.join("a/b/.DS_Store")).unwrap(), b"mine");
    });
}

#[test]
fn several_open_stores_share_what_lies_there() {
    run(async |one, root| {
        let other = FsObjects::open(root).unwrap();
        for (n, (writer, reader)) in [(&one, &other), (&other, &one), (&one, &other)].into_iter().enumerate() {
            put(writer, "a", &[n as u8]).await;
            assert_eq!(read(reader, "a").await.unwrap(), [n as u8]);
        }
        other.delete(&key("a")).await.unwrap();
        assert!(matches!(read(&one, "a").await, Err(StoreError::NotFound { .. })));
        drop(other);
        put(&one, "a", b"still open").await;
    });
}

#[test]
fn what_was_put_is_there_when_the_store_is_opened_again() {
    run(async |store, root| {
        put(&store, "a/b", b"x").await;
        let before = store.head(&key("a/b")).await.unwrap();
        drop(store);
        let store = FsObjects::open(root).unwrap();
        assert_eq!(store.head(&key("a/b")).await.unwrap(), before);
        assert_eq!(read(&store, "a/b").await.unwrap(), b"x");
    });
}

#[test]
fn a_root_that_cannot_be_made_is_unavailable() {
    let root = tempfile::tempdir().unwrap();
    let file = root.path().join("file");
    std::fs::write(&file, "").unwrap();
    let refused = FsObjects::open(file.join("store"));
    assert!(matches!(refused, Err(StoreError::Unavailable(_))), "{refused:?}");
}

fn run(story: impl AsyncFnOnce(FsObjects, &Path)) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let root: TempDir = tempfile::tempdir().unwrap();
    runtime.block_on(story(FsObjects::open(root.path()).unwrap(), root.path()));
}

async fn put(store: &FsObjects, name: &str, bytes: &[u8]) {
    let put = Put { content_type: "video/mp4".into(), len: None, sha256: None, now: Timestamp::EPOCH };
    let body = futures::stream::iter([Ok(Bytes::copy_from_slice(bytes))]).boxed();
    store.put(&key(name), put, body).await.unwrap();
}

async fn read(store: &FsObjects, name: &str) -> Result<Vec<u8>, StoreError> {
    let object = store.get(&key(name), None).await?;
    Ok(object.body.map(|chunk| chunk.unwrap().to_vec()).concat().await)
}

fn files_in(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files_in(&path) } else { vec![path] }).collect()
}

fn key(name: &str) -> ObjectKey {
    name.parse().unwrap()
}
