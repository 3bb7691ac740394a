//! The adapter that keeps objects as files under a folder.
//!
//! ```text
//! {root}/objects/{part}/{part}/@{sequence}-{length}-{sha256}-{milliseconds}-{media type}
//! {root}/incoming/{n}/{n}
//! ```
//!
//! A key is a folder, and its object the one file in it whose name begins with `@`, which no part of a key can hold: so
//! `a` and `a/b` can both be objects. All that is known of an object stands in the name of its file, so bytes, length,
//! digest, media type and time change in one rename. A put writes to `incoming`, makes that durable, renames it to the
//! next sequence, makes the folder durable and removes older sequences; a reader takes the highest. Each open store has a
//! folder of its own in `incoming`, which it locks: what a process that was killed left there is swept by the next open.
//!
//! Several processes may open one folder. The file system must be local and case-sensitive, and give files locks.

use std::fmt;
use std::fs::File;
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use rend_core::artifact::ObjectKey;

use crate::StoreError;
use crate::multipart::{PartStore, PartsAsObjects};
use crate::objects::{CHUNK_BYTES, Intake, Object, ObjectBody, ObjectMeta, ObjectStore, Put, part_of};

mod incoming;
mod layout;
mod list;

use incoming::Incoming;
use layout::Entry;

/// Objects as files. Clones share one open store.
///
/// Its methods must be called within a tokio runtime, whose blocking threads wait for the disk.
#[derive(Clone)]
pub struct FsObjects(Arc<Inner>);

struct Inner {
    objects: PathBuf,
    incoming: Incoming,
    /// Held while folders are made, so that a put which finds one made by another knows it to be durable.
    making: Mutex<()>,
}

impl FsObjects {
    /// Opens the store under `root`, which is made if it is not there, and sweeps what killed processes left behind. It
    /// blocks.
    ///
    /// # Errors
    ///
    /// [`StoreError::NoSpace`] when there is no room for a folder, else [`StoreError::Unavailable`].
    pub fn open(root: impl AsRef<Path>) -> Result<Self, StoreError> {
        // Whoever is handed a path may stand in another folder, as an encoder does.
        let root = std::path::absolute(root).map_err(failed)?;
        let objects = root.join("objects");
        std::fs::create_dir_all(&objects).map_err(failed)?;
        let incoming = Incoming::open(&root.join("incoming")).map_err(failed)?;
        sync_folder(&root).map_err(failed)?;
        Ok(Self(Arc::new(Inner { objects, incoming, making: Mutex::new(()) })))
    }

    async fn blocking<T, F>(&self, f: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Inner) -> io::Result<T> + Send + 'static,
    {
        let inner = Arc::clone(&self.0);
        run(move || f(&inner)).await
    }
}

impl fmt::Debug for FsObjects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FsObjects").field("objects", &self.0.objects).finish_non_exhaustive()
    }
}

#[async_trait]
impl ObjectStore for FsObjects {
    async fn put(&self, key: &ObjectKey, put: Put, mut body: ObjectBody) -> Result<ObjectMeta, StoreError> {
        let mut intake = Intake::new(put)?;
        let (temp, mut file) = self.blocking(|inner| inner.incoming.create()).await?;
        let mut waiting = Vec::new();
        let mut waiting_bytes = 0;
        while let Some(chunk) = body.next().await {
            let chunk = intake.take(chunk)?;
            waiting_bytes += chunk.len();
            waiting.push(chunk);
            if waiting_bytes >= CHUNK_BYTES {
                file = write(file, std::mem::take(&mut waiting)).await?;
                waiting_bytes = 0;
            }
        }
        let file = write(file, waiting).await?;
        let meta = intake.finish()?;
        let (folder, stored) = (layout::folder(&self.0.objects, key.as_str()), meta.clone());
        // The file is removed by `temp` when anything on the way fails, and when nobody waits for the put any more.
        let path = temp.path().to_owned();
        self.blocking(move |inner| {
            file.sync_data()?;
            inner.publish(&path, &folder, &stored)
        })
        .await?;
        temp.renamed();
        Ok(meta)
    }

    async fn get(&self, key: &ObjectKey, range: Option<Range<u64>>) -> Result<Object, StoreError> {
        let folder = layout::folder(&self.0.objects, key.as_str());
        let opened = self.blocking(move |inner| inner.absent_or(|| open_newest(&folder, range.clone()))).await?;
        let (meta, file, bytes) = opened.ok_or(StoreError::NotFound { what: "object" })?;
        let body = futures::stream::try_unfold((file, bytes), |(file, rest)| async move {
            if rest == 0 {
                return Ok(None);
            }
            let (file, chunk) = run(move || read(file, rest)).await?;
            let rest = rest - chunk.len() as u64;
            Ok(Some((chunk, (file, rest))))
        });
        Ok(Object { meta, body: body.boxed() })
    }

    async fn head(&self, key: &ObjectKey) -> Result<ObjectMeta, StoreError> {
        let folder = layout::folder(&self.0.objects, key.as_str());
        let newest = self.blocking(move |inner| inner.absent_or(|| newest(&folder))).await?;
        newest.map(|entry| entry.meta).ok_or(StoreError::NotFound { what: "object" })
    }

    async fn delete(&self, key: &ObjectKey) -> Result<(), StoreError> {
        let folder = layout::folder(&self.0.objects, key.as_str());
        self.blocking(move |inner| inner.remove(&folder)).await
    }

    async fn list(&self, prefix: &str, after: Option<&ObjectKey>, limit: usize) -> Result<Vec<ObjectKey>, StoreError> {
        let (prefix, after) = (prefix.to_owned(), after.cloned());
        self.blocking(move |inner| list::list(&inner.objects, &prefix, after.as_ref(), limit)).await
    }

    async fn local(&self, key: &ObjectKey) -> Option<PathBuf> {
        let folder = layout::folder(&self.0.objects, key.as_str());
        let entry = self.blocking({
            let folder = folder.clone();
            move |_| newest(&folder)
        });
        entry.await.ok().flatten().map(|entry| folder.join(entry.file_name()))
    }

    fn parts(&self) -> Option<&dyn PartStore> {
        Some(self)
    }
}

impl PartsAsObjects for FsObjects {}

impl Inner {
    /// What `look` finds. That it finds nothing means something only while the store's own folder is there: a file system
    /// that is not mounted has nothing, and that is no reason to forget what it will have again. So it looks again with the
    /// folder seen before and after, since the folder may have come back just then.
    fn absent_or<T>(&self, look: impl Fn() -> io::Result<Option<T>>) -> io::Result<Option<T>> {
        for _ in 0..2 {
            if let Some(found) = look()? {
                return Ok(Some(found));
            }
            if !self.objects.try_exists()? {
                return Err(io::Error::other("the folder of objects is gone"));
            }
        }
        Ok(None)
    }

    /// Makes the whole and durable file at `temp` the object of `folder`.
    fn publish(&self, temp: &Path, folder: &Path, meta: &ObjectMeta) -> io::Result<()> {
        for _ in 0..RACES_MAX {
            // A delete may remove the folder, or what it lies in, at any moment until the file is in it.
            let Some(()) = found(self.make_folder(folder))? else { continue };
            let Some(entries) = found(entries(folder))? else { continue };
            let sequence = entries.last().map_or(1, |last| last.sequence.saturating_add(1));
            let entry = Entry { sequence, meta: meta.clone() };
            match std::fs::rename(temp, folder.join(entry.file_name())) {
                Ok(()) => return settle(folder),
                Err(gone) if gone.kind() == ErrorKind::NotFound && temp.exists() => {}
                Err(other) => return Err(other),
            }
        }
        Err(io::Error::other("other processes remove the folder as fast as it is made"))
    }

    /// Makes `folder` and what it lies in, each durably.
    fn make_folder(&self, folder: &Path) -> io::Result<()> {
        let _making = self.making.lock().unwrap_or_else(PoisonError::into_inner);
        let mut missing = Vec::new();
        let mut at = folder;
        while at != self.objects && !at.exists() {
            missing.push(at);
            at = at.parent().unwrap_or(&self.objects);
        }
        for folder in missing.into_iter().rev() {
            match std::fs::create_dir(folder) {
                Err(other) if other.kind() != ErrorKind::AlreadyExists => return Err(other),
                _ => folder.parent().map_or(Ok(()), sync_folder)?,
            }
        }
        Ok(())
    }

    fn remove(&self, folder: &Path) -> io::Result<()> {
        let Some(entries) = found(entries(folder))? else { return Ok(()) };
        if !entries.is_empty() {
            remove_all(folder, &entries)?;
            found(sync_folder(folder))?;
        }
        // Folders that this leaves empty go too; the first that is not empty, or is gone already, ends the walk.
        let mut at = folder;
        while at != self.objects && std::fs::remove_dir(at).is_ok() {
            at = at.parent().unwrap_or(&self.objects);
        }
        Ok(())
    }
}

/// Makes a rename into `folder` durable and removes what it replaced. A folder that is gone was deleted since.
fn settle(folder: &Path) -> io::Result<()> {
    let Some(()) = found(sync_folder(folder))? else { return Ok(()) };
    let Some(mut older) = found(entries(folder))? else { return Ok(()) };
    // Two puts at once may both have taken the same sequence. Both keep the one that sorts last.
    older.pop();
    remove_all(folder, &older)
}

/// `None` for what is not there.
fn found<T>(what: io::Result<T>) -> io::Result<Option<T>> {
    match what {
        Ok(what) => Ok(Some(what)),
        Err(gone) if gone.kind() == ErrorKind::NotFound => Ok(None),
        Err(other) => Err(other),
    }
}

/// The objects in `folder`, in the order of their sequences: one, or more while a put is under way or cut short.
fn entries(folder: &Path) -> io::Result<Vec<Entry>> {
    let mut entries = Vec::new();
    for file in std::fs::read_dir(folder)? {
        entries.extend(file?.file_name().to_str().and_then(Entry::parse));
    }
    entries.sort_unstable_by_key(|entry| (entry.sequence, entry.file_name()));
    Ok(entries)
}

fn newest(folder: &Path) -> io::Result<Option<Entry>> {
    // A put adds the new file before it removes the old, but a listing made meanwhile may miss both: so none is believed
    // only twice.
    for _ in 0..2 {
        let Some(mut entries) = found(entries(folder))? else { return Ok(None) };
        if let Some(newest) = entries.pop() {
            return Ok(Some(newest));
        }
    }
    Ok(None)
}

/// Opens the newest object of `folder` at the start of `range`, and answers how many bytes are to be read.
fn open_newest(folder: &Path, range: Option<Range<u64>>) -> io::Result<Option<(ObjectMeta, File, u64)>> {
    for _ in 0..RACES_MAX {
        let Some(entry) = newest(folder)? else { return Ok(None) };
        // What is not there was replaced or deleted since the listing.
        let Some(mut file) = found(File::open(folder.join(entry.file_name())))? else { continue };
        if file.metadata()?.len() != entry.meta.len {
            return Err(io::Error::new(ErrorKind::InvalidData, "the file does not have the length in its name"));
        }
        let part = part_of(entry.meta.len, range);
        file.seek(SeekFrom::Start(part.start))?;
        return Ok(Some((entry.meta, file, part.end - part.start)));
    }
    Err(io::Error::other("other processes replace the object as fast as it is opened"))
}

/// Removes the oldest first, so that no reader ever meets an object again that had been replaced.
fn remove_all(folder: &Path, entries: &[Entry]) -> io::Result<()> {
    for entry in entries {
        found(std::fs::remove_file(folder.join(entry.file_name())))?;
    }
    Ok(())
}

fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

async fn write(mut file: File, chunks: Vec<Bytes>) -> Result<File, StoreError> {
    run(move || {
        for chunk in chunks {
            file.write_all(&chunk)?;
        }
        Ok(file)
    })
    .await
}

fn read(mut file: File, rest: u64) -> io::Result<(File, Bytes)> {
    let wanted = rest.min(CHUNK_BYTES as u64);
    let mut chunk = Vec::with_capacity(CHUNK_BYTES.min(usize::try_from(rest).unwrap_or(CHUNK_BYTES)));
    (&mut file).take(wanted).read_to_end(&mut chunk)?;
    if (chunk.len() as u64) < wanted {
        return Err(ErrorKind::UnexpectedEof.into());
    }
    Ok((file, chunk.into()))
}

async fn run<T: Send + 'static>(f: impl FnOnce() -> io::Result<T> + Send + 'static) -> Result<T, StoreError> {
    match tokio::task::spawn_blocking(f).await {
        Ok(done) => done.map_err(failed),
        Err(panicked) => Err(StoreError::Unavailable(Box::new(panicked))),
    }
}

fn failed(cause: io::Error) -> StoreError {
    // A limit on the size of files is met like a disk that is full, and helped alike.
    if matches!(cause.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge) {
        return StoreError::NoSpace;
    }
    StoreError::Unavailable(Box::new(cause))
}

/// How often a step is tried again because another process was faster.
const RACES_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_os = "linux")]
    fn a_write_to_a_full_disk_is_no_space() {
        let mut full = File::options().write(true).open("/dev/full").unwrap();
        let refused = full.write_all(b"x").unwrap_err();
        assert!(matches!(failed(refused), StoreError::NoSpace));
    }

    #[test]
    fn a_store_whose_folder_is_gone_says_so_and_not_that_its_objects_are() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("store");
        let store = FsObjects::open(&root).unwrap();
        let key: ObjectKey = "health/probe".parse().unwrap();
        let head = || runtime.block_on(store.head(&key)).unwrap_err();
        let get = || runtime.block_on(store.get(&key, None)).map(|_| ()).unwrap_err();
        assert!(matches!(head(), StoreError::NotFound { .. }) && matches!(get(), StoreError::NotFound { .. }));
        std::fs::rename(&root, folder.path().join("unmounted")).unwrap();
        assert!(matches!(head(), StoreError::Unavailable(_)) && matches!(get(), StoreError::Unavailable(_)));
        std::fs::rename(folder.path().join("unmounted"), &root).unwrap();
        assert!(matches!(head(), StoreError::NotFound { .. }));
    }

    #[test]
    fn an_object_whose_folder_comes_back_between_two_looks_is_not_called_absent() {
        let folder = tempfile::tempdir().unwrap();
        let store = FsObjects::open(folder.path()).unwrap();
        let (objects, away) = (folder.path().join("objects"), folder.path().join("away"));
        std::fs::create_dir(objects.join("there")).unwrap();
        std::fs::rename(&objects, &away).unwrap();
        let look = || {
            let seen = objects.join("there").exists().then_some(());
            // What was away during the first look is back right after it.
            if away.exists() {
                std::fs::rename(&away, &objects)?;
            }
            Ok(seen)
        };
        assert_eq!(store.0.absent_or(look).unwrap(), Some(()));
    }

    #[test]
    fn other_failures_may_be_tried_again() {
        let failed = failed(ErrorKind::PermissionDenied.into());
        assert!(matches!(failed, StoreError::Unavailable(_)) && failed.is_transient());
    }
}
