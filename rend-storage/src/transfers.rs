//! How far the uploads that come in pieces have come.

use std::fmt;

use async_trait::async_trait;
use rend_core::id::{OrgId, UploadId};
use rend_core::upload::transfer::{NotNext, Part, Step, Transfer};

use crate::StoreError;

/// Upload sessions whose bytes come in pieces.
///
/// # Contract
///
/// A transfer is a session of [`UploadStore`](crate::uploads::UploadStore) of which more is remembered: what that port
/// says of a session holds for it, and settling it there ends it here. What a step leads to is asked of
/// [`Transfer::after`]; the step, its parts and the session's new end are written in one transaction or not at all, and
/// survive a crash once it returns. Steps of one transfer are applied one after another. A session that was opened
/// through the other port is a transfer too, of which nothing was received. Every adapter passes
/// `conformance::transfers`.
#[async_trait]
pub trait TransferStore: fmt::Debug + Send + Sync {
    /// Writes a new transfer down, with its session.
    ///
    /// # Errors
    ///
    /// [`StoreError::Conflict`] when the id is taken, else [`StoreError::Unavailable`].
    async fn open_transfer(&self, transfer: &Transfer) -> Result<(), StoreError>;

    /// The transfer of the session named `id`.
    ///
    /// # Errors
    ///
    /// [`StoreError::NotFound`], else [`StoreError::Unavailable`].
    async fn transfer(&self, id: UploadId) -> Result<Transfer, StoreError>;

    /// Gives the transfer a new writer, and answers it with that writer's epoch: see [`Transfer::taken_over`].
    ///
    /// # Errors
    ///
    /// [`StoreError::NotFound`], [`StoreError::Conflict`] when the session has ended, else [`StoreError::Unavailable`].
    async fn take_over(&self, id: UploadId) -> Result<Transfer, StoreError>;

    /// Applies `step` of the writer of `epoch` by [`Transfer::after`], and answers what is then. A restart forgets the
    /// parts.
    ///
    /// # Errors
    ///
    /// [`StoreError::NotFound`], [`StoreError::Conflict`] when the step does not follow, else
    /// [`StoreError::Unavailable`].
    async fn advance_transfer(&self, id: UploadId, epoch: u64, step: &Step) -> Result<Transfer, StoreError>;

    /// Up to `limit` counted parts that begin at or after `from`, in their order. None of what was never opened.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`].
    async fn parts(&self, id: UploadId, from: u64, limit: usize) -> Result<Vec<Part>, StoreError>;

    /// How many sessions of `org` are open.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`].
    async fn open_transfers(&self, org: OrgId) -> Result<u64, StoreError>;

    /// Up to `limit` open transfers that are whole, by id. One stays here only while nobody has put it together.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`].
    async fn whole_transfers(&self, limit: usize) -> Result<Vec<Transfer>, StoreError>;
}

/// What an adapter answers when a step does not follow.
impl From<NotNext> for StoreError {
    fn from(_: NotNext) -> Self {
        Self::Conflict { what: "upload" }
    }
}
