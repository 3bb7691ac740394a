//! The log of tokens that are no longer to be believed.

use std::fmt;

use async_trait::async_trait;
use rend_core::fleet::{RevocationRow, Revoked};
use rend_core::time::Timestamp;

use crate::StoreError;

/// Which tokens edges must no longer believe, in order.
///
/// # Contract
///
/// Places are 1, 2, 3, … in the order of the appends, and none is ever given twice. Once `append` returns, no crash loses
/// the row before it expires. A row that has expired is not shown any more, and may be removed; the head still counts it.
/// Every adapter passes `conformance::revocations`.
#[async_trait]
pub trait RevocationLog: fmt::Debug + Send + Sync {
    /// Appends an order, and answers its place. Rows that have expired at `order.at` may go.
    ///
    /// # Errors
    ///
    /// [`StoreError::NoSpace`] or [`StoreError::Unavailable`].
    async fn append_revocation(&self, order: &NewRevocation) -> Result<u64, StoreError>;

    /// Up to `limit` orders after place `seq` that have not expired at `now`, in order.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`].
    async fn revocations_after(&self, seq: u64, now: Timestamp, limit: usize)
    -> Result<Vec<RevocationRow>, StoreError>;

    /// The place of the newest order, 0 for none, also when it has expired.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`].
    async fn revocation_head(&self) -> Result<u64, StoreError>;
}

/// An order that has no place yet.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct NewRevocation {
    /// Whose tokens.
    pub what: Revoked,
    /// Those issued before this; `None` says all of them.
    pub issued_before: Option<Timestamp>,
    /// When it is given.
    pub at: Timestamp,
    /// From when on it may be forgotten; `None` for never.
    pub expires_at: Option<Timestamp>,
}

impl NewRevocation {
    /// The row of this order at place `seq`.
    pub fn at_place(&self, seq: u64) -> RevocationRow {
        RevocationRow {
            seq,
            what: self.what.clone(),
            issued_before: self.issued_before,
            at: self.at,
            expires_at: self.expires_at,
        }
    }
}
