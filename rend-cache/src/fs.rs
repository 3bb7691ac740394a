//! The files port on a file system.
//!
//! ```text
//! {folder}/LOCK                                    held by the one process that works here; the epoch of that process
//! {folder}/v1/objects/ab/cd/{hash}.{len}.{gen}     one file a body: body, then footer
//! {folder}/v1/tmp/{n}                              files being written; emptied at every start
//! {folder}/v1/index/journal                        what must be known after a restart
//! ```
//!
//! Small files are read, larger ones mapped: the mapping is handed out as [`Bytes`] and never copied.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::{Bytes, BytesMut};

use crate::error::CacheError;
use crate::files::{CacheFiles, Draft, FileName, Journal, Opened, ReadAt, Space};

/// A folder that this process alone works in.
#[derive(Debug)]
pub struct FsFiles {
    root: PathBuf,
    drafts: AtomicU64,
    journal: Mutex<Option<File>>,
    lock: File,
    /// Folders in which files were unlinked since the last sync, at most all 65,536. `None` is any: before the first sync nobody knows
    /// what the last process left.
    unsynced: Mutex<Option<BTreeSet<u16>>>,
}

impl FsFiles {
    /// Takes a folder into use, making it if need be, and removes what was being written when the last process ended.
    ///
    /// # Errors
    ///
    /// [`CacheError::Locked`] when another process works there; [`CacheError::Newer`] when it has a format unknown here; else what the
    /// disk says.
    pub fn open(folder: &Path) -> Result<Arc<Self>, CacheError> {
        fs::create_dir_all(folder).map_err(CacheError::io("could not make its folder"))?;
        let lock = OpenOptions::new().create(true).truncate(false).read(true).write(true).open(folder.join("LOCK"));
        let lock = lock.map_err(CacheError::io("could not open its lock"))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(CacheError::Locked),
            Err(TryLockError::Error(error)) => return Err(CacheError::io("could not lock its folder")(error)),
        }
        if let Some(found) = newer_format(folder).map_err(CacheError::io("could not list its folder"))? {
            return Err(CacheError::Newer { found, known: FORMAT });
        }
        let root = folder.join(format!("v{FORMAT}"));
        empty(&root.join("tmp")).map_err(CacheError::io("could not empty its folder of drafts"))?;
        for name in ["objects", "index"] {
            fs::create_dir_all(root.join(name)).map_err(CacheError::io("could not make its folders"))?;
        }
        Ok(Arc::new(Self {
            root,
            drafts: AtomicU64::new(0),
            journal: Mutex::new(None),
            lock,
            unsynced: Mutex::default(),
        }))
    }

    fn leaf(&self, leaf: u16) -> PathBuf {
        self.root.join("objects").join(format!("{:02x}", leaf >> 8)).join(format!("{:02x}", leaf & 0xff))
    }

    fn path(&self, name: &FileName) -> PathBuf {
        self.leaf(name.leaf()).join(name.to_string())
    }

    fn journal_path(&self) -> PathBuf {
        self.root.join("index").join("journal")
    }

    fn journal_file(&self) -> MutexGuard<'_, Option<File>> {
        lock(&self.journal)
    }

    fn with_journal<T>(&self, act: impl FnOnce(&mut File) -> io::Result<T>) -> io::Result<T> {
        let mut file = self.journal_file();
        if file.is_none() {
            *file = Some(OpenOptions::new().create(true).append(true).open(self.journal_path())?);
            sync_folder(&self.root.join("index"))?;
        }
        file.as_mut().map_or_else(|| Err(io::ErrorKind::NotFound.into()), act)
    }
}

impl CacheFiles for FsFiles {
    fn create(&self) -> io::Result<Box<dyn Draft>> {
        let number = self.drafts.fetch_add(1, Ordering::Relaxed);
        let path = self.root.join("tmp").join(number.to_string());
        let file = OpenOptions::new().create_new(true).read(true).write(true).open(&path)?;
        Ok(Box::new(FsDraft { file: Arc::new(file), path, objects: self.root.join("objects"), published: false }))
    }

    fn open(&self, name: &FileName) -> io::Result<Opened> {
        let file = File::open(self.path(name))?;
        let len = file.metadata()?.len();
        let len = usize::try_from(len).map_err(|_| io::ErrorKind::FileTooLarge)?;
        if len <= READ_BYTES_MAX {
            return Ok(Opened { bytes: read_exact_at(&file, 0, len)?, file: None });
        }
        #[expect(
            unsafe_code,
            reason = "mapping a file is unsafe because somebody could shorten it while it is mapped: published files are \
            never written again, only unlinked, in a folder whose lock this process holds"
        )]
        let map = unsafe { memmap2::Mmap::map(&file)? };
        Ok(Opened { bytes: Bytes::from_owner(map), file: Some(Arc::new(file)) })
    }

    fn remove(&self, name: &FileName) -> io::Result<()> {
        match fs::remove_file(self.path(name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            Ok(()) | Err(_) => {
                if let Some(unsynced) = &mut *lock(&self.unsynced) {
                    unsynced.insert(name.leaf());
                }
                Ok(())
            }
        }
    }

    fn sync_removed(&self) -> io::Result<()> {
        // A folder is synced once, however many files in it were unlinked. What a failure leaves over is anybody's guess again.
        let unsynced = lock(&self.unsynced).replace(BTreeSet::new());
        let leaves = unsynced.map_or_else(|| self.leaves(), |leaves| Ok(leaves.into_iter().collect()));
        let synced = leaves.and_then(|leaves| {
            leaves.into_iter().try_for_each(|leaf| match sync_folder(&self.leaf(leaf)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
                Ok(()) | Err(_) => Ok(()),
            })
        });
        synced.inspect_err(|_| *lock(&self.unsynced) = None)
    }

    fn scan(&self, leaf: u16) -> io::Result<Vec<FileName>> {
        let entries = match fs::read_dir(self.leaf(leaf)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let mut names = Vec::new();
        for entry in entries {
            let name = entry?.file_name();
            // What is not ours is left alone.
            names.extend(name.to_str().and_then(FileName::parse).filter(|name| name.leaf() == leaf));
        }
        names.sort_unstable();
        Ok(names)
    }

    fn leaves(&self) -> io::Result<Vec<u16>> {
        let objects = self.root.join("objects");
        let mut leaves = Vec::new();
        for high in numbered(&objects)? {
            let lows = numbered(&objects.join(format!("{high:02x}")))?;
            leaves.extend(lows.into_iter().map(|low| u16::from(high) << 8 | u16::from(low)));
        }
        leaves.sort_unstable();
        Ok(leaves)
    }

    fn footer(&self, name: &FileName, len: usize) -> io::Result<Bytes> {
        let file = File::open(self.path(name))?;
        let (mut bytes, mut read) = (BytesMut::zeroed(len), 0);
        // A footer is short, and comes in one piece unless a signal gets in between.
        while read < len {
            match file.read_at(&mut bytes[read..], name.len.saturating_add(read as u64)) {
                Ok(0) => break,
                Ok(more) => read += more,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        bytes.truncate(read);
        Ok(bytes.freeze())
    }

    fn noted_epoch(&self) -> io::Result<Option<u32>> {
        let mut noted = [0; EPOCH_BYTES];
        let whole = self.lock.read_exact_at(&mut noted, 0).is_ok();
        let ([a, b, c, d, ..], [.., e, f, g, h]) = (noted, noted);
        let (epoch, crc) = ([a, b, c, d], u32::from_le_bytes([e, f, g, h]));
        // Half a note is none: then the names of the files tell.
        Ok((whole && crc32c::crc32c(&epoch) == crc).then(|| u32::from_le_bytes(epoch)))
    }

    fn note_epoch(&self, epoch: u32) -> io::Result<()> {
        let epoch = epoch.to_le_bytes();
        let mut note = [0; EPOCH_BYTES];
        note[..4].copy_from_slice(&epoch);
        note[4..].copy_from_slice(&crc32c::crc32c(&epoch).to_le_bytes());
        self.lock.write_all_at(&note, 0)?;
        self.lock.sync_data()
    }

    fn space(&self) -> io::Result<Space> {
        let stat = rustix::fs::statvfs(&self.root)?;
        // Some file systems have no fixed number of files and say 0 of 0.
        let files = if stat.f_files == 0 { u64::MAX } else { stat.f_favail };
        Ok(Space { bytes: stat.f_bavail.saturating_mul(stat.f_frsize), files })
    }

    fn journal(&self) -> &dyn Journal {
        self
    }
}

impl Journal for FsFiles {
    fn read(&self) -> io::Result<Vec<u8>> {
        match fs::read(self.journal_path()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            read => read,
        }
    }

    fn append(&self, bytes: &[u8]) -> io::Result<()> {
        self.with_journal(|file| file.write_all(bytes))
    }

    fn sync(&self) -> io::Result<()> {
        self.with_journal(|file| file.sync_data())
    }

    fn cut(&self, len: usize) -> io::Result<()> {
        self.with_journal(|file| {
            file.set_len(len as u64)?;
            file.sync_data()
        })
    }

    fn replace(&self, bytes: &[u8]) -> io::Result<()> {
        let mut open = self.journal_file();
        let (aside, path) = (self.root.join("index").join("journal.new"), self.journal_path());
        let mut file = File::create(&aside)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&aside, &path)?;
        sync_folder(&self.root.join("index"))?;
        *open = Some(OpenOptions::new().append(true).open(&path)?);
        Ok(())
    }
}

struct FsDraft {
    file: Arc<File>,
    path: PathBuf,
    objects: PathBuf,
    published: bool,
}

impl Draft for FsDraft {
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all_at(bytes, offset)
    }

    fn reader(&self) -> Arc<dyn ReadAt> {
        Arc::new(FsReader { file: Arc::clone(&self.file) })
    }

    fn sync(&mut self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn publish(mut self: Box<Self>, name: &FileName) -> io::Result<()> {
        let leaf = name.leaf();
        let folder = self.objects.join(format!("{:02x}", leaf >> 8)).join(format!("{:02x}", leaf & 0xff));
        let to = folder.join(name.to_string());
        let renamed = match fs::rename(&self.path, &to) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                // The folders are made when the first file comes.
                fs::create_dir_all(&folder)?;
                fs::rename(&self.path, &to)
            }
            renamed => renamed,
        };
        self.published = renamed.is_ok();
        renamed
    }
}

impl Drop for FsDraft {
    fn drop(&mut self) {
        if !self.published {
            // What stays is removed at the next start.
            let _ = fs::remove_file(&self.path);
        }
    }
}

struct FsReader {
    file: Arc<File>,
}

impl ReadAt for FsReader {
    fn read_at(&self, offset: u64, len: usize) -> io::Result<Bytes> {
        read_exact_at(&self.file, offset, len)
    }
}

fn read_exact_at(file: &File, offset: u64, len: usize) -> io::Result<Bytes> {
    let mut bytes = BytesMut::zeroed(len);
    file.read_exact_at(&mut bytes, offset)?;
    Ok(bytes.freeze())
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

fn empty(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    fs::create_dir_all(folder)
}

/// The folders in `folder` whose names are two hexadecimal digits as we write them.
fn numbered(folder: &Path) -> io::Result<Vec<u8>> {
    let mut numbers = Vec::new();
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name();
        let number =
            name.to_str().and_then(|name| u8::from_str_radix(name, 16).ok().filter(|n| format!("{n:02x}") == name));
        numbers.extend(number);
    }
    Ok(numbers)
}

/// The number of a `v{n}` folder that a newer version made.
fn newer_format(folder: &Path) -> io::Result<Option<u32>> {
    let mut newest = None;
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name();
        let number = name.to_str().and_then(|name| name.strip_prefix('v')?.parse().ok());
        newest = newest.max(number.filter(|number| *number > FORMAT));
    }
    Ok(newest)
}

const FORMAT: u32 = 1;
/// An epoch and its checksum.
const EPOCH_BYTES: usize = 8;
/// Smaller files are read into memory: a mapping costs a page and a place in a bounded table.
const READ_BYTES_MAX: usize = 64 << 10;
