//! Assets that were deleted: nothing of them is fetched any more, whatever the origin still holds.
//!
//! Objects go a moment after their asset, or much later when their store is away, and one that was written late goes with
//! the second look alone. A purge makes the cache forget; this keeps it from learning again. The file holds the ids one
//! after the other, sixteen bytes each, and begins anew at its first place when it is full.

use std::collections::{BTreeSet, VecDeque};
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use rend_core::id::AssetId;

/// The deleted assets that this edge knows of, the newest [`GONE_MAX`].
#[derive(Debug)]
pub(crate) struct Gone {
    file: PathBuf,
    /// What requests look at.
    ids: RwLock<BTreeSet<AssetId>>,
    book: Mutex<Book>,
}

/// What is on disk, and in which place.
#[derive(Debug, Default)]
struct Book {
    /// Those on disk, oldest first.
    written: VecDeque<AssetId>,
    /// The place of the next.
    next: usize,
}

impl Gone {
    /// Those that the file in `folder` names. It blocks.
    ///
    /// A file that can not be read is as none: it is said in the log, and what is deleted goes from the origin in the end.
    pub(crate) fn open(folder: &Path) -> Self {
        let file = folder.join(FILE);
        let bytes = fs::read(&file).unwrap_or_else(|error| {
            if error.kind() != io::ErrorKind::NotFound {
                tracing::error!(file = %file.display(), %error, "the deleted assets on disk can not be read; none are known");
            }
            Vec::new()
        });
        // What a crash left of the last one is no id, and is written over.
        let (ids, _torn) = bytes.as_chunks::<ID_BYTES>();
        let written: VecDeque<_> = ids.iter().take(GONE_MAX).map(|id| AssetId::from_bytes(*id)).collect();
        let next = written.len() % GONE_MAX;
        let ids = RwLock::new(written.iter().copied().collect());
        Self { file, ids, book: Mutex::new(Book { written, next }) }
    }

    /// None, as if the file in `folder` were not there.
    pub(crate) fn none(folder: &Path) -> Self {
        Self { file: folder.join(FILE), ids: RwLock::default(), book: Mutex::default() }
    }

    /// Whether `asset` is known to be deleted.
    pub(crate) fn holds(&self, asset: AssetId) -> bool {
        self.ids.read().unwrap_or_else(PoisonError::into_inner).contains(&asset)
    }

    /// Knows `asset` as deleted. When this returns, no fill of it begins, and no crash forgets it.
    ///
    /// # Errors
    ///
    /// When it could not be written down: it holds until the next restart. Asking again can help.
    pub(crate) async fn add(self: &Arc<Self>, asset: AssetId) -> io::Result<()> {
        // In force before it is written, also where the disk is full.
        self.ids.write().unwrap_or_else(PoisonError::into_inner).insert(asset);
        let own = Arc::clone(self);
        let written = rend_shell::spawn_blocking(move || own.write(asset)).await;
        written.unwrap_or_else(|panic| Err(io::Error::other(panic)))
    }

    fn write(&self, asset: AssetId) -> io::Result<()> {
        let mut book = self.book();
        if book.written.contains(&asset) {
            return Ok(());
        }
        let file = File::options().create(true).truncate(false).write(true).open(&self.file)?;
        file.write_all_at(asset.as_bytes(), (book.next * ID_BYTES) as u64)?;
        file.sync_data()?;
        if book.written.is_empty() {
            // The name is durable only with its folder.
            self.file.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())?;
        }
        book.next = (book.next + 1) % GONE_MAX;
        book.written.push_back(asset);
        if book.written.len() > GONE_MAX
            && let Some(oldest) = book.written.pop_front()
        {
            self.ids.write().unwrap_or_else(PoisonError::into_inner).remove(&oldest);
        }
        Ok(())
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Deleted assets that are remembered: of more, those that were told of first are forgotten. Their objects are long gone.
const GONE_MAX: usize = 65_536;
/// Bytes of an id.
const ID_BYTES: usize = 16;
/// The file in the cache's folder.
const FILE: &str = "gone";

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: u32) -> AssetId {
        let mut bytes = [0; ID_BYTES];
        bytes[..4].copy_from_slice(&n.to_be_bytes());
        AssetId::from_bytes(bytes)
    }

    fn open(folder: &Path) -> Arc<Gone> {
        Arc::new(Gone::open(folder))
    }

    #[tokio::test]
    async fn what_was_deleted_is_known_also_after_a_restart_and_a_torn_write() {
        let folder = tempfile::tempdir().unwrap();
        let gone = open(folder.path());
        for n in [1, 2, 1] {
            gone.add(id(n)).await.unwrap();
        }
        assert_eq!([1, 2, 3].map(|n| gone.holds(id(n))), [true, true, false]);
        let file = folder.path().join(FILE);
        assert_eq!(fs::metadata(&file).unwrap().len(), 32, "each once");
        let mut torn = fs::read(&file).unwrap();
        torn.extend_from_slice(&[7; 5]);
        fs::write(&file, torn).unwrap();
        let gone = open(folder.path());
        gone.add(id(3)).await.unwrap();
        let gone = open(folder.path());
        assert_eq!([1, 2, 3, 4].map(|n| gone.holds(id(n))), [true, true, true, false]);
    }

    #[tokio::test]
    async fn what_could_not_be_written_holds_and_is_written_at_the_next_try() {
        let folder = tempfile::tempdir().unwrap();
        let below = folder.path().join("later");
        let gone = open(&below);
        gone.add(id(1)).await.unwrap_err();
        assert!(gone.holds(id(1)));
        fs::create_dir(&below).unwrap();
        gone.add(id(1)).await.unwrap();
        assert!(open(&below).holds(id(1)));
    }

    #[tokio::test]
    async fn of_more_than_fit_the_first_are_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let full: Vec<u8> = (0..u32::try_from(GONE_MAX).unwrap()).flat_map(|n| *id(n).as_bytes()).collect();
        fs::write(folder.path().join(FILE), &full).unwrap();
        let gone = open(folder.path());
        let next = u32::try_from(GONE_MAX).unwrap();
        gone.add(id(next)).await.unwrap();
        assert_eq!([0, 1, next].map(|n| gone.holds(id(n))), [false, true, true]);
        assert_eq!(fs::metadata(folder.path().join(FILE)).unwrap().len(), full.len() as u64);
        let gone = open(folder.path());
        assert_eq!([0, 1, next].map(|n| gone.holds(id(n))), [false, true, true]);
    }
}
