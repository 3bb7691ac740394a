//! The disk as a port.
//!
//! # Contract
//!
//! - A [`Draft`] is invisible until it is published, and gone when it is dropped or the process dies before that.
//! - Publishing is atomic: [`CacheFiles::open`] and [`CacheFiles::scan`] see the whole file or none. Publishing over a name that is
//!   there replaces it.
//! - A published file never changes. What was opened stays readable after the file is removed.
//! - Removing what is not there is a success.
//! - A journal append is whole or, after a crash, a prefix. What was appended before a successful [`Journal::sync`] survives power
//!   loss. [`Journal::replace`] leaves the old journal or the new one.
//!
//! Every method may block on the disk. None is called while a lock of the cache is held. Adapters: [`crate::memory`], which is the
//! specification and can be told to fail, and `fs` (feature).

use std::fmt;
use std::fs::File;
use std::io;
use std::sync::Arc;

use bytes::Bytes;

use crate::key::Generation;

/// Where bodies are kept.
pub trait CacheFiles: fmt::Debug + Send + Sync {
    /// Begins a new, invisible file.
    ///
    /// # Errors
    ///
    /// What the disk says.
    fn create(&self) -> io::Result<Box<dyn Draft>>;

    /// Opens a published file.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::NotFound`] when there is none; else what the disk says.
    fn open(&self, name: &FileName) -> io::Result<Opened>;

    /// Removes a published file.
    ///
    /// # Errors
    ///
    /// What the disk says; never that there is none.
    fn remove(&self, name: &FileName) -> io::Result<()>;

    /// Makes every removal so far survive power loss. It is asked for once in some minutes, when the record of a purge is to be forgotten,
    /// and never before an answer. An adapter whose removals need nothing for that does nothing, which is what it does unless it says
    /// otherwise.
    ///
    /// # Errors
    ///
    /// What the disk says; a removal may be undone then.
    fn sync_removed(&self) -> io::Result<()> {
        Ok(())
    }

    /// The published files whose hash begins with the 16 bits `leaf`.
    ///
    /// # Errors
    ///
    /// What the disk says.
    fn scan(&self, leaf: u16) -> io::Result<Vec<FileName>>;

    /// The folders that may hold published files, by the 16 bits that [`CacheFiles::scan`] takes: every folder with a file is among
    /// them. An adapter that cannot tell cheaply names all, which is what it does unless it says otherwise.
    ///
    /// # Errors
    ///
    /// What the disk says.
    fn leaves(&self) -> io::Result<Vec<u16>> {
        Ok((0..=u16::MAX).collect())
    }

    /// The first `len` bytes of what stands behind the body in a published file: the beginning of its footer, all of it when it is
    /// shorter. An adapter that can read a part of a file cheaply does so; unless it says otherwise, the file is opened.
    ///
    /// # Errors
    ///
    /// As [`CacheFiles::open`]; [`io::ErrorKind::UnexpectedEof`] when the file is shorter than its name says.
    fn footer(&self, name: &FileName, len: usize) -> io::Result<Bytes> {
        let bytes = self.open(name)?.bytes;
        let from = usize::try_from(name.len).ok().filter(|from| *from <= bytes.len());
        let from = from.ok_or(io::ErrorKind::UnexpectedEof)?;
        Ok(bytes.slice(from..bytes.len().min(from.saturating_add(len))))
    }

    /// The newest epoch that [`CacheFiles::note_epoch`] was told, when it is known without listing the files. A start whose journal is
    /// lost asks for it before it lists every name.
    ///
    /// # Errors
    ///
    /// What the disk says.
    fn noted_epoch(&self) -> io::Result<Option<u32>> {
        Ok(None)
    }

    /// Remembers, apart from the journal, that a process with this epoch worked here. An adapter need not.
    ///
    /// # Errors
    ///
    /// What the disk says.
    fn note_epoch(&self, _epoch: u32) -> io::Result<()> {
        Ok(())
    }

    /// What is free.
    ///
    /// # Errors
    ///
    /// What the disk says.
    fn space(&self) -> io::Result<Space>;

    /// The journal beside the bodies.
    fn journal(&self) -> &dyn Journal;
}

/// A file being written.
pub trait Draft: Send {
    /// Writes all of `bytes` at `offset`. After an error the same write may be tried again.
    ///
    /// # Errors
    ///
    /// What the disk says.
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()>;

    /// A way to read what was written, which stays good after publishing and after dropping.
    fn reader(&self) -> Arc<dyn ReadAt>;

    /// Makes what was written survive power loss.
    ///
    /// # Errors
    ///
    /// What the disk says.
    fn sync(&mut self) -> io::Result<()>;

    /// Makes it visible under `name`.
    ///
    /// # Errors
    ///
    /// What the disk says; the draft is gone then.
    fn publish(self: Box<Self>, name: &FileName) -> io::Result<()>;
}

/// Reads a file that may still be growing.
pub trait ReadAt: Send + Sync {
    /// Exactly `len` bytes from `offset`, all of which were written before.
    ///
    /// # Errors
    ///
    /// What the disk says.
    fn read_at(&self, offset: u64, len: usize) -> io::Result<Bytes>;
}

/// The append-only record of what must be known after a restart.
pub trait Journal: Send + Sync {
    /// Everything in it.
    ///
    /// # Errors
    ///
    /// What the disk says; an absent journal is empty.
    fn read(&self) -> io::Result<Vec<u8>>;

    /// Appends.
    ///
    /// # Errors
    ///
    /// What the disk says.
    fn append(&self, bytes: &[u8]) -> io::Result<()>;

    /// Makes what was appended survive power loss.
    ///
    /// # Errors
    ///
    /// What the disk says.
    fn sync(&self) -> io::Result<()>;

    /// Forgets everything after the first `len` bytes, which is what a crash left behind in halves. Unless an adapter can do better, what
    /// stays is written anew.
    ///
    /// # Errors
    ///
    /// What the disk says; nothing before `len` is lost then.
    fn cut(&self, len: usize) -> io::Result<()> {
        let mut bytes = self.read()?;
        bytes.truncate(len);
        self.replace(&bytes)
    }

    /// Puts `bytes` in the place of everything, and makes that survive power loss.
    ///
    /// # Errors
    ///
    /// What the disk says; the old journal stands then.
    fn replace(&self, bytes: &[u8]) -> io::Result<()>;
}

/// A published file, opened.
#[derive(Clone, Debug)]
pub struct Opened {
    /// All of it, footer included, without a copy where the system allows it.
    pub bytes: Bytes,
    /// The file itself, for systems calls that send it without passing user space.
    pub file: Option<Arc<File>>,
}

/// What is free on the disk.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Space {
    /// Bytes that this process may still write.
    pub bytes: u64,
    /// Files that it may still create.
    pub files: u64,
}

/// The name of a published file. It tells length and generation, so a listing of names rebuilds the books.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct FileName {
    /// The hash of its key.
    pub hash: u128,
    /// The length of the body, without the footer.
    pub len: u64,
    /// Which fill it came from.
    pub generation: Generation,
}

impl FileName {
    /// The folder it stands in.
    pub const fn leaf(&self) -> u16 {
        (self.hash >> 112) as u16
    }

    /// Reads what [`fmt::Display`] wrote, and nothing else.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('.');
        let (hash, len, generation) = (parts.next()?, parts.next()?, parts.next()?);
        if parts.next().is_some() || hash.len() != 32 {
            return None;
        }
        let name = Self {
            hash: u128::from_str_radix(hash, 16).ok()?,
            len: u64::from_str_radix(len, 36).ok()?,
            generation: Generation(u64::from_str_radix(generation, 16).ok()?),
        };
        // One spelling a name: no upper case, no leading zeros, no plus signs.
        (name.to_string() == text).then_some(name)
    }
}

impl fmt::Display for FileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (mut digits, mut at, mut rest) = ([0_u8; 13], 13, self.len);
        loop {
            at -= 1;
            digits[at] = b"0123456789abcdefghijklmnopqrstuvwxyz"[(rest % 36) as usize];
            rest /= 36;
            if rest == 0 {
                break;
            }
        }
        write!(f, "{:032x}.{}.{}", self.hash, String::from_utf8_lossy(&digits[at..]), self.generation)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_file_name_reads_back_what_it_printed(hash: u128, len: u64, generation: u64) {
            let name = FileName { hash, len, generation: Generation(generation) };
            prop_assert_eq!(FileName::parse(&name.to_string()), Some(name));
        }

        #[test]
        fn no_text_is_a_second_spelling_of_a_name(text in "[0-9a-fA-F]{30,33}\\.[0-9a-zA-Z+]{1,3}\\.[0-9a-f+]{1,3}") {
            if let Some(name) = FileName::parse(&text) {
                prop_assert_eq!(name.to_string(), text);
            }
        }
    }

    #[test]
    fn foreign_names_are_not_ours() {
        for text in
            ["", ".", "lost+found", "00000000000000000000000000000000.0", "00000000000000000000000000000000.0.1.tmp"]
        {
            assert_eq!(FileName::parse(text), None, "{text}");
        }
    }
}
