//! Where bodies wait until they are whole.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// The folder of one open store for files that are not objects yet. It is locked as long as the store is open, so a lock
/// that can be had tells of a store that is gone.
pub(super) struct Incoming {
    folder: PathBuf,
    lock: File,
    next: AtomicU64,
}

impl Incoming {
    /// Sweeps what closed stores left under `all`, then makes a folder of its own there.
    pub(super) fn open(all: &Path) -> io::Result<Self> {
        std::fs::create_dir_all(all)?;
        for left in std::fs::read_dir(all)? {
            sweep(&left?.path())?;
        }
        for n in 0..STORES_MAX {
            let folder = all.join(n.to_string());
            match std::fs::create_dir(&folder) {
                Err(taken) if taken.kind() == ErrorKind::AlreadyExists => continue,
                other => other?,
            }
            if let Some(lock) = lock(&folder)? {
                return Ok(Self { folder, lock, next: AtomicU64::new(0) });
            }
        }
        Err(io::Error::other("too many stores are open on this folder"))
    }

    /// A new empty file, removed again unless it is renamed.
    pub(super) fn create(&self) -> io::Result<(Temp, File)> {
        let path = self.folder.join(self.next.fetch_add(1, Ordering::Relaxed).to_string());
        let file = File::create_new(&path)?;
        let temp = Temp { path, renamed: false };
        Ok((temp, file))
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        // What stays because of a failure here is swept by the next open. The lock goes last.
        let _ = std::fs::remove_dir_all(&self.folder);
        let _ = self.lock.unlock();
    }
}

/// A file that is removed when this is dropped.
pub(super) struct Temp {
    path: PathBuf,
    renamed: bool,
}

impl Temp {
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The file has another name now.
    pub(super) fn renamed(mut self) {
        self.renamed = true;
    }
}

impl Drop for Temp {
    fn drop(&mut self) {
        if !self.renamed {
            // What cannot be removed now is swept by the next open.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// Removes `folder` unless an open store has it.
fn sweep(folder: &Path) -> io::Result<()> {
    match lock(folder)? {
        Some(_held) => match std::fs::remove_dir_all(folder) {
            Err(other) if other.kind() != ErrorKind::NotFound => Err(other),
            _ => Ok(()),
        },
        None => Ok(()),
    }
}

/// Locks `folder`, or answers `None` when another has it or has just removed it.
fn lock(folder: &Path) -> io::Result<Option<File>> {
    let file = match File::open(folder) {
        Err(gone) if gone.kind() == ErrorKind::NotFound => return Ok(None),
        other => other?,
    };
    match file.try_lock() {
        Ok(()) => {}
        Err(std::fs::TryLockError::WouldBlock) => return Ok(None),
        Err(std::fs::TryLockError::Error(other)) => return Err(other),
    }
    // Another may have swept the folder, and a third made it anew, before the lock was had.
    let held = identity(&file.metadata()?);
    match std::fs::metadata(folder) {
        Ok(now) => Ok((identity(&now) == held).then_some(file)),
        Err(gone) if gone.kind() == ErrorKind::NotFound => Ok(None),
        Err(other) => Err(other),
    }
}

#[cfg(unix)]
fn identity(of: &std::fs::Metadata) -> (u64, u64) {
    use std::os::unix::fs::MetadataExt;
    (of.dev(), of.ino())
}

#[cfg(not(unix))]
fn identity(of: &std::fs::Metadata) -> Option<std::time::SystemTime> {
    of.created().ok()
}

/// Stores that may be open on one folder at once.
const STORES_MAX: u32 = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_not_renamed_is_removed() {
        let root = tempfile::tempdir().unwrap();
        let incoming = Incoming::open(root.path()).unwrap();
        let (temp, _) = incoming.create().unwrap();
        let path = temp.path().to_owned();
        assert!(path.exists());
        drop(temp);
        assert!(!path.exists());
    }

    #[test]
    fn a_sweep_takes_what_nobody_has_and_leaves_what_a_living_store_is_writing() {
        let root = tempfile::tempdir().unwrap();
        let living = Incoming::open(root.path()).unwrap();
        let (temp, _) = living.create().unwrap();
        let dead = root.path().join("7");
        std::fs::create_dir(&dead).unwrap();
        std::fs::write(dead.join("0"), "half a body").unwrap();

        let other = Incoming::open(root.path()).unwrap();
        assert!(temp.path().exists());
        assert!(!dead.exists());
        drop((other, temp, living));
        assert_eq!(std::fs::read_dir(root.path()).unwrap().count(), 0);
    }
}
