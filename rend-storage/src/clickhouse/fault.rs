use thiserror::Error;

use crate::StoreError;

/// Why ClickHouse did not do as asked, in words that name no address and no value.
#[derive(Debug, Error)]
pub(super) enum Fault {
    /// It refused, with the number that it gives the reason.
    #[error("ClickHouse answered {status}, error {code}")]
    Refused {
        /// The status.
        status: u16,
        /// Its own number; 0 when it gave none.
        code: u32,
    },
    /// No whole answer came.
    #[error("ClickHouse gave no whole answer{}", if *.0 { " in time" } else { "" })]
    Away(bool),
    /// What came is not what was asked for.
    #[error("ClickHouse's answer is not understood: {0}")]
    Odd(&'static str),
}

impl Fault {
    /// Whether it is said that a table or a database is not there.
    pub(super) const fn is_absence(&self) -> bool {
        matches!(self, Self::Refused { code: UNKNOWN_TABLE | UNKNOWN_DATABASE, .. })
    }
}

impl From<Fault> for StoreError {
    fn from(fault: Fault) -> Self {
        if matches!(fault, Fault::Refused { code: NOT_ENOUGH_SPACE, .. }) {
            return Self::NoSpace;
        }
        Self::Unavailable(Box::new(fault))
    }
}

const UNKNOWN_TABLE: u32 = 60;
const UNKNOWN_DATABASE: u32 = 81;
const NOT_ENOUGH_SPACE: u32 = 243;
