//! The fleet's directory, and the log of what it must forget.

use std::fmt;

use async_trait::async_trait;
use rend_core::fleet::{Beat, EdgeRow, PurgeRow};
use rend_core::id::{AssetId, EdgeId};
use rend_core::time::Timestamp;

use crate::StoreError;

/// The edges that have registered.
///
/// # Contract
///
/// Registering again replaces the row. Every adapter passes `conformance::edges`.
#[async_trait]
pub trait EdgeDirectory: fmt::Debug + Send + Sync {
    /// Writes `row` down, over one with the same id.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`].
    async fn register(&self, row: &EdgeRow) -> Result<(), StoreError>;

    /// Notes what an edge says of itself.
    ///
    /// # Errors
    ///
    /// [`StoreError::NotFound`] when it is not registered: it must register; else [`StoreError::Unavailable`].
    async fn beat(&self, id: &EdgeId, beat: &Beat, now: Timestamp) -> Result<(), StoreError>;

    /// Every edge ever registered, by id. Which of them live is for `rend_core::fleet` to say.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`].
    async fn all(&self) -> Result<Vec<EdgeRow>, StoreError>;
}

/// What edges must forget, in order.
///
/// # Contract
///
/// Places are given as 1, 2, 3, … without a gap. Once `append` returns, no crash loses the row; only
/// [`Retention`](crate::retention::Retention) takes it, once every edge has carried it out, and never the newest. Every
/// adapter passes `conformance::edges`.
#[async_trait]
pub trait PurgeLog: fmt::Debug + Send + Sync {
    /// Appends an order to forget `asset`, and answers its place.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`].
    async fn append_purge(&self, asset: AssetId, now: Timestamp) -> Result<u64, StoreError>;

    /// Up to `limit` orders after place `seq`, in order.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`].
    async fn purges_after(&self, seq: u64, limit: usize) -> Result<Vec<PurgeRow>, StoreError>;

    /// The place of the newest order, 0 for none.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`].
    async fn purge_head(&self) -> Result<u64, StoreError>;
}
