use deadpool_postgres::PoolError;
use rend_core::asset::IllegalMove;
use thiserror::Error;
use tokio_postgres::error::SqlState;

use crate::StoreError;
use crate::documents::Strange;

/// Why a transaction did not come to its end.
#[derive(Debug, Error)]
pub(super) enum Fault {
    /// An answer of the port.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The server's answer, or that there was none.
    #[error(transparent)]
    Sql(#[from] tokio_postgres::Error),
    /// There is no connection to be had.
    #[error(transparent)]
    Pool(#[from] PoolError),
    /// A column holds what no version up to this one wrote there.
    #[error(transparent)]
    Strange(#[from] Strange),
    /// The server has not answered for longer than it may.
    #[error("the server did not answer in time")]
    Slow,
    /// The connection was given up by an earlier step.
    #[error("the connection was given up")]
    GivenUp,
    /// A certificate of ours could not be read.
    #[error("the file of certificates to check the server's against can not be used")]
    Certificates(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl Fault {
    /// What a caller of the port is told.
    pub(super) fn into_store(self) -> StoreError {
        let state = if let Self::Sql(cause) | Self::Pool(PoolError::Backend(cause)) = &self {
            cause.code().cloned()
        } else {
            None
        };
        match (self, state) {
            (Self::Store(answer), _) => answer,
            (_, Some(SqlState::DISK_FULL)) => StoreError::NoSpace,
            (other, Some(state)) if is_lasting(&state) => StoreError::Refused(Box::new(other)),
            (other @ Self::Certificates(_), _) => StoreError::Refused(Box::new(other)),
            (other, _) => StoreError::Unavailable(Box::new(other)),
        }
    }
}

impl From<IllegalMove> for Fault {
    fn from(illegal: IllegalMove) -> Self {
        Self::Store(illegal.into())
    }
}

/// Whether the server will say the same until somebody changes it or us: we may not, there is no such database or table,
/// or the statement makes no sense to it. Anything else may pass: it starts, stops, fails over, has no connection left.
fn is_lasting(state: &SqlState) -> bool {
    LASTING.iter().any(|class| state.code().starts_with(class))
}

/// Classes of SQLSTATE: feature not supported, data exception, constraint violated, who we are, no such database, no such
/// schema, syntax or access rule.
const LASTING: [&str; 7] = ["0A", "22", "23", "28", "3D", "3F", "42"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_operator_must_mend_is_lasting_and_what_passes_is_not() {
        for lasting in ["28P01", "3D000", "42P01", "42501", "0A000"] {
            assert!(is_lasting(&SqlState::from_code(lasting)), "{lasting}");
        }
        for passing in ["08006", "40001", "40P01", "53300", "53100", "55P03", "57014", "57P01", "57P03", "25006"] {
            assert!(!is_lasting(&SqlState::from_code(passing)), "{passing}");
        }
    }
}
