use rend_core::asset::IllegalMove;
use thiserror::Error;

/// Why a store could not do as asked.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StoreError {
    /// There is no such thing. Trying again will not help.
    #[error("no such {what}")]
    NotFound {
        /// The kind of thing, such as `asset`.
        what: &'static str,
    },
    /// Something of that name is there already, or what is there is not what the caller believed. Read again, then decide.
    #[error("{what} is already there, or has changed")]
    Conflict {
        /// The kind of thing.
        what: &'static str,
    },
    /// The step does not follow from the present state. Trying again will not help while it stands.
    #[error(transparent)]
    Illegal(#[from] IllegalMove),
    /// The job was claimed by another worker, or finished. Stop working on it.
    #[error("the lease is lost")]
    LeaseLost,
    /// The body did not have the announced length or digest, or its stream failed. Nothing was stored.
    #[error("the body is not what was announced: {reason}")]
    BadBody {
        /// What was wrong, in words that may be shown.
        reason: String,
    },
    /// There is no room. Nothing was stored; trying again helps once room is made.
    #[error("no space is left")]
    NoSpace,
    /// What is stored was written by a newer version. Update this program; nothing was touched.
    #[error("the data was written by a newer version (schema {found}, this program knows {known})")]
    TooNew {
        /// The version found.
        found: u32,
        /// The newest version known.
        known: u32,
    },
    /// The store will not do it as it and we are set up: wrong credentials, no right, no such database or table. Trying
    /// again will not help until an operator changes something.
    #[error("the store refused")]
    Refused(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The store did not answer as it should. Trying again may help.
    #[error("the store failed")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl StoreError {
    /// Whether trying the same again can help.
    pub const fn is_transient(&self) -> bool {
        match self {
            Self::Unavailable(_) | Self::NoSpace => true,
            Self::NotFound { .. }
            | Self::Conflict { .. }
            | Self::Illegal(_)
            | Self::LeaseLost
            | Self::BadBody { .. }
            | Self::TooNew { .. }
            | Self::Refused(_) => false,
        }
    }
}
