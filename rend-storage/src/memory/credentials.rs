use async_trait::async_trait;
use rend_core::credential::Credential;
use rend_core::id::{CredentialId, OrgId};
use rend_core::time::Timestamp;

use super::Memory;
use crate::StoreError;
use crate::credentials::CredentialStore;

#[async_trait]
impl CredentialStore for Memory {
    async fn insert(&self, credential: &Credential) -> Result<(), StoreError> {
        self.with(|state| {
            if state.credentials.contains_key(&credential.id) || state.digests.contains_key(&credential.digest) {
                return Err(StoreError::Conflict { what: "credential" });
            }
            state.digests.insert(credential.digest, credential.id);
            state.credentials.insert(credential.id, credential.clone());
            Ok(())
        })
    }

    async fn by_digest(&self, digest: &[u8; 32]) -> Result<Credential, StoreError> {
        let found = self.with(|state| state.credentials.get(state.digests.get(digest)?).cloned());
        found.ok_or(StoreError::NotFound { what: "credential" })
    }

    async fn list(&self, org: OrgId) -> Result<Vec<Credential>, StoreError> {
        Ok(self.with(|state| state.credentials.values().filter(|held| held.org == org).cloned().collect()))
    }

    async fn revoke(&self, id: CredentialId, now: Timestamp) -> Result<(), StoreError> {
        self.with(|state| {
            let held = state.credentials.get_mut(&id).ok_or(StoreError::NotFound { what: "credential" })?;
            held.revoked_at = held.revoked_at.or(Some(now));
            Ok(())
        })
    }

    async fn touch(&self, id: CredentialId, now: Timestamp) -> Result<(), StoreError> {
        self.with(|state| {
            let held = state.credentials.get_mut(&id).ok_or(StoreError::NotFound { what: "credential" })?;
            held.last_used_at = held.last_used_at.max(Some(now));
            Ok(())
        })
    }
}
