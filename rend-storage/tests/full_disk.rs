//! What happens when there is no room: nothing half-written, a clear answer, and all is well once there is room again.
//!
//! The tests start this very program again with less room than it wants: always under a limit on the size of files, and
//! on a small file system of its own as well where this machine lets us mount one.
#![cfg(all(unix, feature = "fs"))]
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::path::{Path, PathBuf};
use std::process::Command;

use bytes::Bytes;
use futures::StreamExt;
use rend_core::artifact::ObjectKey;
use rend_core::time::Timestamp;
use rend_storage::StoreError;
use rend_storage::fs::FsObjects;
use rend_storage::objects::{ObjectBody, ObjectStore, Put};

/// A limit on files raises a signal, which is ignored, and then fails the write. The unit is 512 bytes, or 1024 in some
/// shells: at most 1 MiB.
const LIMITED: &str = "trap '' XFSZ; ulimit -f 1024; exec \"$0\" \"$@\"";
/// A file system of 1 MiB that only this process sees.
const MOUNTED: &str = "mount -t tmpfs -o size=1m none \"$FOLDER\" && exec \"$0\" \"$@\"";

#[test]
fn a_put_without_room_stores_nothing_and_later_puts_work() {
    run_child(Command::new("sh"), LIMITED);
    let mut unshare = Command::new("unshare");
    unshare.args(["--map-root-user", "--mount", "sh"]);
    if can_mount() {
        run_child(unshare, MOUNTED);
    }
}

#[test]
#[ignore = "the process that another test starts with little room"]
fn put_too_much() {
    let Some(folder) = told_folder() else { return };
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let store = FsObjects::open(&folder).unwrap();
        store.put(&key("kept"), put(), body(1, 1000)).await.unwrap();
        for name in ["kept", "new", "new/er"] {
            let refused = store.put(&key(name), put(), body(2, 3 * 1024 * 1024)).await;
            assert!(matches!(refused, Err(StoreError::NoSpace)), "{refused:?}");
        }
        assert_eq!(store.head(&key("kept")).await.unwrap().len, 1000);
        assert_eq!(store.list("", None, 10).await.unwrap(), [key("kept")]);
        assert_eq!(files_in(&folder.join("incoming")), Vec::<PathBuf>::new(), "nothing is left of what was refused");

        store.put(&key("new"), put(), body(3, 300_000)).await.unwrap();
        assert_eq!(store.list("", None, 10).await.unwrap(), [key("kept"), key("new")]);
    });
}

#[track_caller]
fn run_child(mut command: Command, script: &str) {
    let folder = tempfile::tempdir().unwrap();
    let status = command
        .args(["-c", script])
        .arg(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "put_too_much"])
        .arg(format!("{TOLD}{}", folder.path().display()))
        .env("FOLDER", folder.path())
        .status()
        .unwrap();
    assert!(status.success(), "{script}: {status}");
}

fn can_mount() -> bool {
    let folder = tempfile::tempdir().unwrap();
    let probe = ["--map-root-user", "--mount", "mount", "-t", "tmpfs", "none"];
    Command::new("unshare").args(probe).arg(folder.path()).output().is_ok_and(|output| output.status.success())
}

fn files_in(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files_in(&path) } else { vec![path] }).collect()
}

fn body(byte: u8, len: usize) -> ObjectBody {
    let bytes = Bytes::from(vec![byte; len]);
    futures::stream::iter((0..len).step_by(10_000).map(move |at| Ok(bytes.slice(at..len.min(at + 10_000))))).boxed()
}

fn put() -> Put {
    Put { content_type: "video/mp4".into(), len: None, sha256: None, now: Timestamp::EPOCH }
}

fn key(name: &str) -> ObjectKey {
    name.parse().unwrap()
}

/// The folder that the starting test told.
fn told_folder() -> Option<PathBuf> {
    std::env::args().find_map(|arg| arg.strip_prefix(TOLD).map(PathBuf::from))
}

const TOLD: &str = "folder=";
