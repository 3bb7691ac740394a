//! API keys, by digest.

use std::fmt;

use async_trait::async_trait;
use rend_core::credential::Credential;
use rend_core::id::{CredentialId, OrgId};
use rend_core::time::Timestamp;

use crate::StoreError;

/// The API keys. Only digests are kept, so reading the store gives nobody a key.
///
/// # Contract
///
/// Every adapter passes `conformance::credentials`.
#[async_trait]
pub trait CredentialStore: fmt::Debug + Send + Sync {
    /// Writes a new credential down.
    ///
    /// # Errors
    ///
    /// [`StoreError::Conflict`] when the id or the digest is taken, else [`StoreError::Unavailable`].
    async fn insert(&self, credential: &Credential) -> Result<(), StoreError>;

    /// The credential whose key has this SHA-256, revoked and expired ones too.
    ///
    /// # Errors
    ///
    /// [`StoreError::NotFound`], else [`StoreError::Unavailable`].
    async fn by_digest(&self, digest: &[u8; 32]) -> Result<Credential, StoreError>;

    /// Every credential of `org`, oldest first by id.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`].
    async fn list(&self, org: OrgId) -> Result<Vec<Credential>, StoreError>;

    /// Ends it for good. The first revocation's time stays.
    ///
    /// # Errors
    ///
    /// [`StoreError::NotFound`], else [`StoreError::Unavailable`].
    async fn revoke(&self, id: CredentialId, now: Timestamp) -> Result<(), StoreError>;

    /// Notes its last use, unless a later one is noted already.
    ///
    /// # Errors
    ///
    /// [`StoreError::NotFound`], else [`StoreError::Unavailable`].
    async fn touch(&self, id: CredentialId, now: Timestamp) -> Result<(), StoreError>;
}
