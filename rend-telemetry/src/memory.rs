//! Files in memory: the specification of [`SegmentFiles`], and a disk that can be made to fail.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rend_core::prng::Prng;

use crate::files::{FilesError, SegmentFiles, checked};

/// A disk in memory. A clone is another handle to the same disk, so a test keeps one and hands one to the spool.
#[derive(Clone, Debug, Default)]
pub struct MemoryFiles(Arc<Mutex<Disk>>);

impl MemoryFiles {
    /// An empty disk without a limit.
    pub fn new() -> Self {
        Self::default()
    }

    /// Limits what the disk holds in total; `None` lifts the limit.
    pub fn limit(&self, bytes_max: Option<u64>) {
        self.disk().bytes_max = bytes_max;
    }

    /// Lets the next `calls` calls that write fail; an append that fails leaves half of its bytes.
    pub fn fail_next(&self, calls: u32) {
        self.disk().failing = calls;
    }

    /// Bytes on the disk.
    pub fn bytes(&self) -> u64 {
        self.disk().used()
    }

    /// What a machine finds on this disk after its power failed now.
    ///
    /// Synced bytes are there. Of the others a file keeps a part drawn from `chance`, sometimes with its last byte
    /// damaged; a file never synced may be gone, and one removed since may be back.
    pub fn after_crash(&self, chance: &mut Prng) -> Self {
        let disk = self.disk();
        let mut files = BTreeMap::new();
        for (name, file) in &disk.files {
            if file.synced == 0 && chance.below(2) == 0 {
                continue;
            }
            let unsynced = file.bytes.len() - file.synced;
            let kept = usize::try_from(chance.below(unsynced as u64 + 1)).unwrap_or(unsynced);
            let mut bytes = file.bytes[..file.synced + kept].to_vec();
            if kept > 0
                && chance.below(2) == 0
                && let Some(last) = bytes.last_mut()
            {
                *last ^= 0x40;
            }
            files.insert(name.clone(), File { synced: bytes.len(), bytes });
        }
        for (name, bytes) in &disk.removed {
            if chance.below(2) == 0 && !files.contains_key(name) {
                files.insert(name.clone(), File { synced: bytes.len(), bytes: bytes.clone() });
            }
        }
        let bytes_max = disk.bytes_max;
        Self(Arc::new(Mutex::new(Disk { files, bytes_max, ..Disk::default() })))
    }

    /// Another disk with the same content, of which nothing is pending.
    pub fn copy(&self) -> Self {
        let disk = self.disk();
        let files = disk.files.iter().map(|(n, f)| (n.clone(), File { synced: f.bytes.len(), bytes: f.bytes.clone() }));
        Self(Arc::new(Mutex::new(Disk { files: files.collect(), ..Disk::default() })))
    }

    /// Puts `bytes` in the place of the file's content, as a damaged disk might.
    pub fn overwrite(&self, name: &str, bytes: &[u8]) {
        let file = File { synced: bytes.len(), bytes: bytes.to_vec() };
        self.disk().files.insert(name.to_owned(), file);
    }

    fn disk(&self) -> MutexGuard<'_, Disk> {
        // The disk is whole between any two statements, so a panic elsewhere does not spoil it.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SegmentFiles for MemoryFiles {
    fn append(&mut self, name: &str, bytes: &[u8]) -> Result<(), FilesError> {
        let name = checked(name)?;
        let mut disk = self.disk();
        let (room, error) = match disk.fault() {
            Some(error) => (bytes.len() / 2, Some(error)),
            None => match disk.bytes_max {
                Some(max) => (usize::try_from(max.saturating_sub(disk.used())).unwrap_or(usize::MAX), None),
                None => (usize::MAX, None),
            },
        };
        let fits = bytes.len().min(room);
        disk.files.entry(name.to_owned()).or_default().bytes.extend_from_slice(&bytes[..fits]);
        match error {
            Some(error) => Err(error),
            None if fits < bytes.len() => Err(FilesError::NoSpace),
            None => Ok(()),
        }
    }

    fn sync(&mut self, name: &str) -> Result<(), FilesError> {
        let name = checked(name)?;
        let mut disk = self.disk();
        if let Some(error) = disk.fault() {
            return Err(error);
        }
        if let Some(file) = disk.files.get_mut(name) {
            file.synced = file.bytes.len();
        }
        Ok(())
    }

    fn read(&self, name: &str, bytes_max: usize) -> Result<Option<Vec<u8>>, FilesError> {
        let name = checked(name)?;
        let disk = self.disk();
        Ok(disk.files.get(name).map(|file| file.bytes[..file.bytes.len().min(bytes_max)].to_vec()))
    }

    fn remove(&mut self, name: &str) -> Result<(), FilesError> {
        let name = checked(name)?;
        let mut disk = self.disk();
        if let Some(error) = disk.fault() {
            return Err(error);
        }
        if let Some(file) = disk.files.remove(name)
            && file.synced > 0
        {
            disk.removed.insert(name.to_owned(), file.bytes[..file.synced].to_vec());
            while disk.removed.len() > REMOVED_MAX {
                disk.removed.pop_first();
            }
        }
        Ok(())
    }

    fn list(&self) -> Result<Vec<(String, u64)>, FilesError> {
        Ok(self.disk().files.iter().map(|(name, file)| (name.clone(), file.bytes.len() as u64)).collect())
    }
}

#[derive(Debug, Default)]
struct Disk {
    files: BTreeMap<String, File>,
    removed: BTreeMap<String, Vec<u8>>,
    bytes_max: Option<u64>,
    failing: u32,
}

impl Disk {
    fn used(&self) -> u64 {
        self.files.values().map(|file| file.bytes.len() as u64).sum()
    }

    fn fault(&mut self) -> Option<FilesError> {
        if self.failing == 0 {
            return None;
        }
        self.failing -= 1;
        Some(FilesError::Io(io::Error::other("the disk was told to fail")))
    }
}

#[derive(Debug, Default)]
struct File {
    bytes: Vec<u8>,
    synced: usize,
}

/// Removed files that a crash may still bring back; older ones are gone for good.
const REMOVED_MAX: usize = 64;
