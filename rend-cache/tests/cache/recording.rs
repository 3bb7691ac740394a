//! A disk that writes down every call that changed it, and what of them may be left when the power fails.
//!
//! A file system owes nobody more than it was asked to sync. So after power loss each file stands at any point of its own history,
//! whatever became of the others: a rename is done or not, an unlink is done or not, and a body that was not synced is whole, cut,
//! zeroed or empty. The journal keeps what was synced, and of the rest some first part, with zeros behind it or not.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use rend_cache::Generation;
use rend_cache::files::{CacheFiles, Draft, FileName, Journal, Opened, ReadAt, Space};

/// A disk that remembers every call that changed it.
#[derive(Debug, Default)]
pub(crate) struct Recording {
    disk: Arc<Mutex<Disk>>,
}

#[derive(Debug, Default)]
struct Disk {
    /// What stood on it when the machine was started.
    begun: (BTreeMap<FileName, Bytes>, Vec<u8>),
    files: BTreeMap<FileName, Bytes>,
    journal: Vec<u8>,
    calls: Vec<Call>,
}

#[derive(Clone, Debug)]
enum Call {
    Publish { name: FileName, body: Bytes, synced: bool },
    Remove(FileName),
    SyncRemoved,
    Append(Vec<u8>),
    Sync,
    Cut(usize),
    Replace(Vec<u8>),
}

impl Recording {
    pub(crate) fn with(files: BTreeMap<FileName, Bytes>, journal: Vec<u8>) -> Arc<Self> {
        let disk = Disk { begun: (files.clone(), journal.clone()), files, journal, calls: Vec::new() };
        Arc::new(Self { disk: Arc::new(Mutex::new(disk)) })
    }

    fn disk(&self) -> MutexGuard<'_, Disk> {
        self.disk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many calls changed it so far.
    pub(crate) fn calls(&self) -> usize {
        self.disk().calls.len()
    }

    /// The lengths of all published files, footers included.
    pub(crate) fn lengths(&self) -> Vec<u64> {
        self.disk().files.values().map(|file| file.len() as u64).collect()
    }

    fn done(&self, call: Call) {
        self.disk().calls.push(call);
    }

    /// What may be left when the power fails after so many calls. `chance` decides among all that is allowed.
    pub(crate) fn after_power_loss(&self, calls: usize, chance: &mut Chance) -> Arc<Self> {
        let disk = self.disk();
        let (mut files, mut journal) = disk.begun.clone();
        let mut histories: BTreeMap<FileName, Vec<Option<Bytes>>> = BTreeMap::new();
        let mut synced = journal.len();
        for call in &disk.calls[..calls] {
            match call {
                Call::Publish { name, body, synced } => {
                    let body = if *synced { body.clone() } else { torn(body, chance) };
                    histories.entry(*name).or_default().push(Some(body));
                }
                Call::Remove(name) => histories.entry(*name).or_default().push(None),
                Call::SyncRemoved => {
                    // Every name that stands removed stays so; what was published may still be anywhere in its history.
                    histories.retain(|name, history| {
                        let removed = history.last() == Some(&None);
                        if removed {
                            files.remove(name);
                        }
                        !removed
                    });
                }
                Call::Append(bytes) => journal.extend_from_slice(bytes),
                Call::Sync => synced = journal.len(),
                Call::Cut(len) => {
                    journal.truncate(*len);
                    synced = synced.min(*len);
                }
                Call::Replace(bytes) => {
                    journal.clone_from(bytes);
                    synced = journal.len();
                }
            }
        }
        for (name, history) in histories {
            let stands = chance.below(history.len() + 1);
            match history[..stands].last() {
                Some(Some(body)) => _ = files.insert(name, body.clone()),
                Some(None) => _ = files.remove(&name),
                None => {}
            }
        }
        let (whole, kept) = (journal.len(), synced + chance.below(journal.len() - synced + 1));
        journal.truncate(kept);
        if chance.below(3) == 0 {
            journal.resize(whole, 0);
        }
        Self::with(files, journal)
    }
}

/// What may be left of bytes that were not synced.
fn torn(body: &Bytes, chance: &mut Chance) -> Bytes {
    let keep = chance.below(body.len() + 1);
    match chance.below(8) {
        0 => body.slice(..keep),
        1 => [&body[..keep], &vec![0; body.len() - keep]].concat().into(),
        2 => Bytes::new(),
        _ => body.clone(),
    }
}

impl CacheFiles for Recording {
    fn create(&self) -> io::Result<Box<dyn Draft>> {
        let body = Arc::new(Mutex::new(Vec::new()));
        Ok(Box::new(Drafted { disk: Arc::clone(&self.disk), body, synced: false }))
    }

    fn open(&self, name: &FileName) -> io::Result<Opened> {
        let bytes = self.disk().files.get(name).cloned().ok_or(io::ErrorKind::NotFound)?;
        Ok(Opened { bytes, file: None })
    }

    fn remove(&self, name: &FileName) -> io::Result<()> {
        if self.disk().files.remove(name).is_some() {
            self.done(Call::Remove(*name));
        }
        Ok(())
    }

    fn sync_removed(&self) -> io::Result<()> {
        self.done(Call::SyncRemoved);
        Ok(())
    }

    fn scan(&self, leaf: u16) -> io::Result<Vec<FileName>> {
        let first = FileName { hash: u128::from(leaf) << 112, len: 0, generation: Generation(0) };
        Ok(self.disk().files.range(first..).map(|(name, _)| *name).take_while(|name| name.leaf() == leaf).collect())
    }

    fn leaves(&self) -> io::Result<Vec<u16>> {
        Ok(self.disk().files.keys().map(FileName::leaf).collect::<BTreeSet<_>>().into_iter().collect())
    }

    fn space(&self) -> io::Result<Space> {
        Ok(Space { bytes: u64::MAX, files: u64::MAX })
    }

    fn journal(&self) -> &dyn Journal {
        self
    }
}

impl Journal for Recording {
    fn read(&self) -> io::Result<Vec<u8>> {
        Ok(self.disk().journal.clone())
    }

    fn append(&self, bytes: &[u8]) -> io::Result<()> {
        self.disk().journal.extend_from_slice(bytes);
        self.done(Call::Append(bytes.to_vec()));
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        self.done(Call::Sync);
        Ok(())
    }

    fn cut(&self, len: usize) -> io::Result<()> {
        self.disk().journal.truncate(len);
        self.done(Call::Cut(len));
        Ok(())
    }

    fn replace(&self, bytes: &[u8]) -> io::Result<()> {
        self.disk().journal = bytes.to_vec();
        self.done(Call::Replace(bytes.to_vec()));
        Ok(())
    }
}

struct Drafted {
    disk: Arc<Mutex<Disk>>,
    body: Arc<Mutex<Vec<u8>>>,
    synced: bool,
}

impl Draft for Drafted {
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mut body = self.body.lock().unwrap_or_else(PoisonError::into_inner);
        let (start, end) = (offset as usize, offset as usize + bytes.len());
        let len = body.len().max(end);
        body.resize(len, 0);
        body[start..end].copy_from_slice(bytes);
        self.synced = false;
        Ok(())
    }

    fn reader(&self) -> Arc<dyn ReadAt> {
        Arc::new(Growing(Arc::clone(&self.body)))
    }

    fn sync(&mut self) -> io::Result<()> {
        self.synced = true;
        Ok(())
    }

    fn publish(self: Box<Self>, name: &FileName) -> io::Result<()> {
        let body = Bytes::from(self.body.lock().unwrap_or_else(PoisonError::into_inner).clone());
        let mut disk = self.disk.lock().unwrap_or_else(PoisonError::into_inner);
        disk.files.insert(*name, body.clone());
        disk.calls.push(Call::Publish { name: *name, body, synced: self.synced });
        Ok(())
    }
}

struct Growing(Arc<Mutex<Vec<u8>>>);

impl ReadAt for Growing {
    fn read_at(&self, offset: u64, len: usize) -> io::Result<Bytes> {
        let body = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let start = offset as usize;
        body.get(start..start + len).map(Bytes::copy_from_slice).ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }
}

/// A linear congruence: plain, and the same everywhere.
pub(crate) struct Chance(pub(crate) u64);

impl Chance {
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((u128::from(self.0) * bound as u128) >> 64) as usize
    }
}
