//! Upload sessions.

use std::fmt;

use async_trait::async_trait;
use rend_core::id::{OrgId, UploadId};
use rend_core::time::Timestamp;
use rend_core::upload::{UploadSession, UploadState};

use crate::StoreError;

/// The upload sessions.
///
/// # Contract
///
/// A session is settled once: the first settlement stays, a repeat of it is answered alike, and another one is a
/// conflict. Every adapter passes `conformance::uploads`.
#[async_trait]
pub trait UploadStore: fmt::Debug + Send + Sync {
    /// Writes a new session down.
    ///
    /// # Errors
    ///
    /// [`StoreError::Conflict`] when the id is taken, else [`StoreError::Unavailable`].
    async fn open(&self, session: &UploadSession) -> Result<(), StoreError>;

    /// The session named `id`.
    ///
    /// # Errors
    ///
    /// [`StoreError::NotFound`], else [`StoreError::Unavailable`].
    async fn get(&self, id: UploadId) -> Result<UploadSession, StoreError>;

    /// Ends the session as `state`.
    ///
    /// # Errors
    ///
    /// [`StoreError::NotFound`], [`StoreError::Conflict`] when it ended otherwise or `state` is [`UploadState::Open`],
    /// which ends nothing, else [`StoreError::Unavailable`].
    async fn settle(&self, id: UploadId, state: UploadState) -> Result<(), StoreError>;

    /// Up to `limit` open sessions that expired at or before `now`, longest expired first, then by id.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`].
    async fn expired(&self, now: Timestamp, limit: usize) -> Result<Vec<UploadSession>, StoreError>;

    /// Bytes of originals that `org` has: those that are stored of assets which are not deleted, and those that open sessions
    /// announced and that are not stored yet.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`].
    async fn bytes_held(&self, org: OrgId) -> Result<u64, StoreError>;
}
