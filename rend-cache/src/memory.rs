//! The files port in memory: the specification, and a disk that fails on demand.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use crate::files::{CacheFiles, Draft, FileName, Journal, Opened, ReadAt, Space};

/// A disk in memory.
///
/// It survives the cache that used it: open another cache on the same value and it finds what a process that was killed would find.
#[derive(Debug, Default)]
pub struct MemoryFiles {
    disk: Arc<Mutex<Disk>>,
}

/// An operation that can be told to fail.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Op {
    /// [`CacheFiles::create`].
    Create,
    /// [`Draft::write_at`].
    Write,
    /// [`Draft::publish`].
    Publish,
    /// [`CacheFiles::open`].
    Open,
    /// [`ReadAt::read_at`].
    Read,
    /// [`CacheFiles::remove`].
    Remove,
    /// [`CacheFiles::space`].
    Space,
    /// [`Journal::append`].
    Append,
    /// [`Journal::sync`].
    Sync,
    /// [`Journal::replace`].
    Replace,
}

#[derive(Debug, Default)]
struct Disk {
    files: BTreeMap<FileName, Bytes>,
    journal: Vec<u8>,
    synced: usize,
    drafts: usize,
    drafts_bytes: u64,
    capacity: Option<u64>,
    taken_by_others: u64,
    inodes: Option<u64>,
    script: BTreeMap<Op, VecDeque<Option<io::ErrorKind>>>,
    broken: BTreeMap<Op, io::ErrorKind>,
}

impl MemoryFiles {
    /// An empty disk, ready to be handed to a cache.
    pub fn shared() -> Arc<Self> {
        Arc::new(Self::default())
    }

    /// Lets the next operations of one kind go as `script` says, in order; afterwards they succeed again.
    pub fn script(&self, op: Op, script: impl IntoIterator<Item = Option<io::ErrorKind>>) {
        self.disk().script.entry(op).or_default().extend(script);
    }

    /// Lets all operations of one kind fail until told otherwise.
    pub fn set_broken(&self, op: Op, with: Option<io::ErrorKind>) {
        match with {
            Some(kind) => self.disk().broken.insert(op, kind),
            None => self.disk().broken.remove(&op),
        };
    }

    /// Limits the disk to so many bytes: writes beyond fail as on a full disk.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        self.disk().capacity = bytes;
    }

    /// Lets others take so many bytes of the capacity.
    pub fn set_taken_by_others(&self, bytes: u64) {
        self.disk().taken_by_others = bytes;
    }

    /// Limits the disk to so many files, drafts included: creating more fails as it does without inodes.
    pub fn set_inodes(&self, files: Option<u64>) {
        self.disk().inodes = files;
    }

    /// The names of all published files.
    pub fn names(&self) -> Vec<FileName> {
        self.disk().files.keys().copied().collect()
    }

    /// How many bytes published files have, footers included.
    pub fn published_bytes(&self) -> u64 {
        self.disk().files.values().map(|file| file.len() as u64).sum()
    }

    /// How many drafts are neither published nor dropped.
    pub fn drafts(&self) -> usize {
        self.disk().drafts
    }

    /// Puts `bytes` in the place of a published file, as a bad disk does.
    pub fn corrupt(&self, name: FileName, bytes: Bytes) {
        self.disk().files.insert(name, bytes);
    }

    /// What the journal holds.
    pub fn journal_bytes(&self) -> Vec<u8> {
        self.disk().journal.clone()
    }

    /// Cuts the journal to `len` bytes, as a crash does.
    pub fn cut_journal(&self, len: usize) {
        let mut disk = self.disk();
        disk.journal.truncate(len);
        disk.synced = disk.synced.min(len);
    }

    /// Loses what was appended to the journal and not synced, as power loss may.
    pub fn lose_power(&self) {
        let mut disk = self.disk();
        let synced = disk.synced;
        disk.journal.truncate(synced);
    }

    /// A disk with the same files and journal and no faults.
    pub fn copy(&self) -> Arc<Self> {
        let disk = self.disk();
        let copy =
            Disk { files: disk.files.clone(), journal: disk.journal.clone(), synced: disk.synced, ..Disk::default() };
        Arc::new(Self { disk: Arc::new(Mutex::new(copy)) })
    }

    fn disk(&self) -> MutexGuard<'_, Disk> {
        lock(&self.disk)
    }
}

impl CacheFiles for MemoryFiles {
    fn create(&self) -> io::Result<Box<dyn Draft>> {
        let mut disk = self.disk();
        disk.fault(Op::Create)?;
        if disk.inodes_left() == 0 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        disk.drafts += 1;
        Ok(Box::new(MemoryDraft { disk: Arc::clone(&self.disk), body: Arc::new(Mutex::new(Vec::new())), counted: 0 }))
    }

    fn open(&self, name: &FileName) -> io::Result<Opened> {
        let mut disk = self.disk();
        disk.fault(Op::Open)?;
        let bytes = disk.files.get(name).cloned().ok_or(io::ErrorKind::NotFound)?;
        Ok(Opened { bytes, file: None })
    }

    fn remove(&self, name: &FileName) -> io::Result<()> {
        let mut disk = self.disk();
        disk.fault(Op::Remove)?;
        disk.files.remove(name);
        Ok(())
    }

    fn scan(&self, leaf: u16) -> io::Result<Vec<FileName>> {
        let first = FileName { hash: u128::from(leaf) << 112, len: 0, generation: crate::Generation(0) };
        Ok(self.disk().files.range(first..).map(|(name, _)| *name).take_while(|name| name.leaf() == leaf).collect())
    }

    fn leaves(&self) -> io::Result<Vec<u16>> {
        let mut leaves: Vec<u16> = self.disk().files.keys().map(FileName::leaf).collect();
        leaves.dedup();
        Ok(leaves)
    }

    fn space(&self) -> io::Result<Space> {
        let mut disk = self.disk();
        disk.fault(Op::Space)?;
        let bytes = disk.capacity.map_or(u64::MAX, |capacity| capacity.saturating_sub(disk.taken()));
        Ok(Space { bytes, files: disk.inodes_left() })
    }

    fn journal(&self) -> &dyn Journal {
        self
    }
}

impl Journal for MemoryFiles {
    fn read(&self) -> io::Result<Vec<u8>> {
        Ok(self.disk().journal.clone())
    }

    fn append(&self, bytes: &[u8]) -> io::Result<()> {
        let mut disk = self.disk();
        disk.fault(Op::Append)?;
        disk.journal.extend_from_slice(bytes);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let mut disk = self.disk();
        disk.fault(Op::Sync)?;
        disk.synced = disk.journal.len();
        Ok(())
    }

    fn cut(&self, len: usize) -> io::Result<()> {
        self.disk().fault(Op::Replace)?;
        self.cut_journal(len);
        Ok(())
    }

    fn replace(&self, bytes: &[u8]) -> io::Result<()> {
        let mut disk = self.disk();
        disk.fault(Op::Replace)?;
        disk.journal = bytes.to_vec();
        disk.synced = bytes.len();
        Ok(())
    }
}

impl Disk {
    fn fault(&mut self, op: Op) -> io::Result<()> {
        if let Some(Some(kind)) = self.script.get_mut(&op).and_then(VecDeque::pop_front) {
            return Err(kind.into());
        }
        self.broken.get(&op).map_or(Ok(()), |kind| Err((*kind).into()))
    }

    fn taken(&self) -> u64 {
        self.files.values().map(|file| file.len() as u64).sum::<u64>() + self.drafts_bytes + self.taken_by_others
    }

    fn inodes_left(&self) -> u64 {
        self.inodes.map_or(u64::MAX, |inodes| inodes.saturating_sub((self.files.len() + self.drafts) as u64))
    }
}

struct MemoryDraft {
    disk: Arc<Mutex<Disk>>,
    body: Arc<Mutex<Vec<u8>>>,
    counted: u64,
}

impl Draft for MemoryDraft {
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let end = offset + bytes.len() as u64;
        let mut disk = lock(&self.disk);
        disk.fault(Op::Write)?;
        let more = end.saturating_sub(self.counted);
        if disk.capacity.is_some_and(|capacity| disk.taken() + more > capacity) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.counted += more;
        disk.drafts_bytes += more;
        drop(disk);
        let mut body = lock(&self.body);
        let (start, end) = (offset as usize, end as usize);
        if body.len() < end {
            body.resize(end, 0);
        }
        body[start..end].copy_from_slice(bytes);
        Ok(())
    }

    fn reader(&self) -> Arc<dyn ReadAt> {
        Arc::new(MemoryReader { disk: Arc::clone(&self.disk), body: Arc::clone(&self.body) })
    }

    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn publish(self: Box<Self>, name: &FileName) -> io::Result<()> {
        let mut disk = lock(&self.disk);
        disk.fault(Op::Publish)?;
        let body = lock(&self.body).clone();
        disk.files.insert(*name, body.into());
        Ok(())
    }
}

impl Drop for MemoryDraft {
    fn drop(&mut self) {
        let mut disk = lock(&self.disk);
        disk.drafts -= 1;
        disk.drafts_bytes -= self.counted;
    }
}

struct MemoryReader {
    disk: Arc<Mutex<Disk>>,
    body: Arc<Mutex<Vec<u8>>>,
}

impl ReadAt for MemoryReader {
    fn read_at(&self, offset: u64, len: usize) -> io::Result<Bytes> {
        lock(&self.disk).fault(Op::Read)?;
        let body = lock(&self.body);
        let start = offset as usize;
        body.get(start..start + len).map(Bytes::copy_from_slice).ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
