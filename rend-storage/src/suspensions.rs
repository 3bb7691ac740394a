//! The record of suspensions.

use std::fmt;

use async_trait::async_trait;
use rend_core::id::{AssetId, OrgId};
use rend_core::suspension::{Entry, Order};

use crate::StoreError;

/// What operators took out of service and gave back, in order. Nothing of it is ever forgotten: it is an audit.
///
/// # Contract
///
/// Places are 1, 2, 3, … without a gap. Once `append_order` returns, every `suspension` and `org_suspension` that begins
/// afterwards judges by it, in whichever process, and no crash loses it. Every adapter passes `conformance::suspensions`.
#[async_trait]
pub trait SuspensionLog: fmt::Debug + Send + Sync {
    /// Appends an order, and answers its entry.
    ///
    /// # Errors
    ///
    /// [`StoreError::NoSpace`] or [`StoreError::Unavailable`].
    async fn append_order(&self, order: &Order) -> Result<Entry, StoreError>;

    /// The order by which `asset` does not play, as [`rend_core::suspension::standing`] says; none for an asset that is
    /// not there.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`].
    async fn suspension(&self, asset: AssetId) -> Result<Option<Entry>, StoreError>;

    /// The order by which nothing of `org` plays, and nothing more of it is taken in; orders about single assets are none.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`].
    async fn org_suspension(&self, org: OrgId) -> Result<Option<Entry>, StoreError>;

    /// Up to `limit` orders after place `seq`, in order.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`].
    async fn orders_after(&self, seq: u64, limit: usize) -> Result<Vec<Entry>, StoreError>;
}
