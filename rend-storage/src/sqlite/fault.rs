use rend_core::asset::IllegalMove;
use rusqlite::ErrorCode;
use thiserror::Error;

use crate::StoreError;
use crate::documents::Strange;

/// Why a transaction did not come to its end.
#[derive(Debug, Error)]
pub(super) enum Fault {
    /// An answer of the port.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// SQLite's answer.
    #[error(transparent)]
    Sql(#[from] rusqlite::Error),
    /// A column holds what no version up to this one wrote there.
    #[error("the column {0} holds something unknown")]
    Strange(&'static str),
    /// There is nobody to ask any more.
    #[error("the database is closed")]
    Closed,
    /// It is another program's.
    #[error("the file is another program's database")]
    Foreign,
}

impl Fault {
    /// What a caller of the port is told.
    pub(super) fn into_store(self) -> StoreError {
        match self {
            Self::Store(answer) => answer,
            Self::Sql(cause) if cause.sqlite_error_code() == Some(ErrorCode::DiskFull) => StoreError::NoSpace,
            other @ (Self::Sql(_) | Self::Strange(_) | Self::Closed | Self::Foreign) => {
                StoreError::Unavailable(Box::new(other))
            }
        }
    }
}

impl From<Strange> for Fault {
    fn from(strange: Strange) -> Self {
        Self::Strange(strange.0)
    }
}

impl From<IllegalMove> for Fault {
    fn from(illegal: IllegalMove) -> Self {
        Self::Store(illegal.into())
    }
}
