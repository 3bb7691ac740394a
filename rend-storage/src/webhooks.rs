//! Who is told of events, and how far.

use std::fmt;

use async_trait::async_trait;
use rend_core::id::{OrgId, WebhookId};
use rend_core::webhook::Endpoint;

use crate::StoreError;

/// The endpoints of webhooks, each a row that is read and replaced whole.
///
/// Secrets are kept as they are, since messages are signed with them: whoever reads the store can sign as Rend.
///
/// # Contract
///
/// A row is replaced only as it was read: by its revision, of which each replacement adds one. So of two who change it at
/// once, one is told, reads again and changes what is there then. Once a change returns, no crash loses it. Every adapter
/// passes `conformance::webhooks`.
#[async_trait]
pub trait WebhookStore: fmt::Debug + Send + Sync {
    /// Writes a new endpoint down, unless its organisation has `most` already.
    ///
    /// # Errors
    ///
    /// [`StoreError::Conflict`] when the id is taken or there are as many, else [`StoreError::Unavailable`].
    async fn insert_webhook(&self, endpoint: &Endpoint, most: usize) -> Result<(), StoreError>;

    /// The endpoint.
    ///
    /// # Errors
    ///
    /// [`StoreError::NotFound`], else [`StoreError::Unavailable`].
    async fn webhook(&self, id: WebhookId) -> Result<Endpoint, StoreError>;

    /// Every endpoint of `org`, oldest first by id.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`].
    async fn webhooks(&self, org: OrgId) -> Result<Vec<Endpoint>, StoreError>;

    /// Replaces the row that has `endpoint`'s id and revision, and answers what stands there now: `endpoint` with a revision
    /// that is one higher. Id and organisation stay.
    ///
    /// # Errors
    ///
    /// [`StoreError::Conflict`] when it has another revision, [`StoreError::NotFound`], else [`StoreError::Unavailable`].
    async fn replace_webhook(&self, endpoint: &Endpoint) -> Result<Endpoint, StoreError>;

    /// Removes it.
    ///
    /// # Errors
    ///
    /// [`StoreError::NotFound`], else [`StoreError::Unavailable`].
    async fn remove_webhook(&self, id: WebhookId) -> Result<(), StoreError>;
}
