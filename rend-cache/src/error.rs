//! What can go wrong.

use std::io;

use thiserror::Error;

/// Why the cache itself could not do something.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CacheError {
    /// Another process works in the same folder.
    #[error("another process uses this cache folder: stop it or give each edge a folder of its own")]
    Locked,
    /// The folder was written by a newer version of this crate.
    #[error(
        "the cache folder has format {found}, this version reads {known}: empty the folder or run the newer version"
    )]
    Newer {
        /// The format found.
        found: u32,
        /// The newest format known here.
        known: u32,
    },
    /// A limit contradicts another.
    #[error("{field} is {value}: {rule}")]
    Config {
        /// The field.
        field: &'static str,
        /// Its value.
        value: u64,
        /// What it must be.
        rule: &'static str,
    },
    /// The disk refused.
    #[error("cache {doing}")]
    Io {
        /// What was being done.
        doing: &'static str,
        /// The cause.
        #[source]
        source: io::Error,
    },
}

impl CacheError {
    /// Whether the same call may succeed later without anybody changing the configuration.
    pub const fn is_retryable(&self) -> bool {
        match self {
            Self::Locked | Self::Io { .. } => true,
            Self::Newer { .. } | Self::Config { .. } => false,
        }
    }

    pub(crate) const fn io(doing: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { doing, source }
    }
}

/// Why a fill, and with it each of its readers, ended without the whole body.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[non_exhaustive]
pub enum FillError {
    /// The origin says that there is no such body.
    #[error("the origin has no such body")]
    NotFound,
    /// The origin answered with an error or not at all.
    #[error("the origin failed")]
    Origin,
    /// The origin took too long.
    #[error("the origin took too long")]
    Timeout,
    /// The origin sent fewer bytes than it had promised.
    #[error("the origin sent fewer bytes than promised")]
    Short,
    /// The origin sent more bytes than it had promised.
    #[error("the origin sent more bytes than promised")]
    Long,
    /// The bytes do not hash to what they should.
    #[error("the body is not what its checksum promised")]
    Corrupt,
    /// The origin says that the stored body is still good: look it up again.
    #[error("the stored body is still good")]
    Unchanged,
    /// The body was purged while it was being filled.
    #[error("the body was purged while it was being filled")]
    Purged,
    /// Nobody waited any longer, or the fill's owner was dropped.
    #[error("the fill was abandoned")]
    Abandoned,
    /// This reader fell so far behind a fill without a file that the bytes are gone.
    #[error("the reader fell behind a fill that has no file")]
    Lagged,
    /// The half-written file could not be read back.
    #[error("the half-written file could not be read")]
    Disk,
    /// The cache is shutting down.
    #[error("the cache is shutting down")]
    Closed,
}

impl FillError {
    /// Whether asking again soon can succeed.
    pub const fn is_retryable(self) -> bool {
        !matches!(self, Self::NotFound | Self::Closed)
    }
}
