//! The disk as the spool sees it: small files that grow at the end.

use std::fmt;
use std::io;

use thiserror::Error;

/// Files that only grow, by name.
///
/// # Contract
///
/// A name is 1 to [`NAME_BYTES_MAX`] characters of `a-z`, `0-9`, `-` and `.`, and does not begin with a dot.
///
/// After [`append`](Self::append) answers `Ok` the bytes stand at the end of the file, which it creates when needed.
/// After an error the file may have grown by any prefix of them, and nothing else changed. Bytes survive a crash once
/// [`sync`](Self::sync) of that file answered `Ok`, and so does the file's name; before, a crash may keep any part of
/// them, or damage them. A removed file may come back after a crash.
///
/// Every adapter passes the suite `conformance` (a feature). The one in [`crate::memory`] is the specification.
pub trait SegmentFiles: fmt::Debug + Send {
    /// Writes `bytes` at the end of the file called `name`.
    ///
    /// # Errors
    ///
    /// [`FilesError::NoSpace`], [`FilesError::BadName`] or [`FilesError::Io`].
    fn append(&mut self, name: &str, bytes: &[u8]) -> Result<(), FilesError>;

    /// Makes what was appended to `name` so far survive a crash. An absent file is not an error.
    ///
    /// # Errors
    ///
    /// [`FilesError::BadName`] or [`FilesError::Io`].
    fn sync(&mut self, name: &str) -> Result<(), FilesError>;

    /// The first `bytes_max` bytes of the file, or `None` when there is no such file.
    ///
    /// # Errors
    ///
    /// [`FilesError::BadName`] or [`FilesError::Io`].
    fn read(&self, name: &str, bytes_max: usize) -> Result<Option<Vec<u8>>, FilesError>;

    /// Removes the file. An absent file is not an error.
    ///
    /// # Errors
    ///
    /// [`FilesError::BadName`] or [`FilesError::Io`].
    fn remove(&mut self, name: &str) -> Result<(), FilesError>;

    /// Every file with a name that keeps to the grammar, and its length in bytes, by name.
    ///
    /// # Errors
    ///
    /// [`FilesError::Io`].
    fn list(&self) -> Result<Vec<(String, u64)>, FilesError>;
}

/// Why a file could not be used as asked.
#[derive(Debug, Error)]
pub enum FilesError {
    /// There is no room. Trying again helps once room is made.
    #[error("no space is left for telemetry")]
    NoSpace,
    /// The name breaks the grammar. Trying again will not help.
    #[error("not a name for a spool file")]
    BadName,
    /// The file system failed. Trying again may help.
    #[error("the spool's file system failed")]
    Io(#[source] io::Error),
}

impl FilesError {
    /// Whether trying the same again can help.
    pub const fn is_transient(&self) -> bool {
        match self {
            Self::NoSpace | Self::Io(_) => true,
            Self::BadName => false,
        }
    }
}

/// Characters that a file's name may have.
pub const NAME_BYTES_MAX: usize = 64;

/// Whether `name` keeps to the grammar of names.
pub fn is_name(name: &str) -> bool {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'.';
    (1..=NAME_BYTES_MAX).contains(&name.len()) && name.bytes().all(plain) && !name.starts_with('.')
}

pub(crate) fn checked(name: &str) -> Result<&str, FilesError> {
    if is_name(name) { Ok(name) } else { Err(FilesError::BadName) }
}
