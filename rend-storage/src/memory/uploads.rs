use async_trait::async_trait;
use rend_core::id::UploadId;
use rend_core::time::Timestamp;
use rend_core::upload::{UploadSession, UploadState};

use super::Memory;
use crate::StoreError;
use crate::uploads::UploadStore;

#[async_trait]
impl UploadStore for Memory {
    async fn open(&self, session: &UploadSession) -> Result<(), StoreError> {
        self.with(|state| {
            if state.uploads.contains_key(&session.id) {
                return Err(StoreError::Conflict { what: "upload" });
            }
            state.uploads.insert(session.id, session.clone());
            Ok(())
        })
    }

    async fn get(&self, id: UploadId) -> Result<UploadSession, StoreError> {
        self.with(|state| state.uploads.get(&id).cloned()).ok_or(StoreError::NotFound { what: "upload" })
    }

    async fn settle(&self, id: UploadId, to: UploadState) -> Result<(), StoreError> {
        self.with(|state| {
            let session = state.uploads.get_mut(&id).ok_or(StoreError::NotFound { what: "upload" })?;
            match session.state {
                _ if to == UploadState::Open => Err(StoreError::Conflict { what: "upload" }),
                UploadState::Open => {
                    session.state = to;
                    Ok(())
                }
                settled if settled == to => Ok(()),
                UploadState::Complete | UploadState::Abandoned => Err(StoreError::Conflict { what: "upload" }),
            }
        })
    }

    async fn expired(&self, now: Timestamp, limit: usize) -> Result<Vec<UploadSession>, StoreError> {
        Ok(self.with(|state| {
            let open = state.uploads.values().filter(|s| s.state == UploadState::Open && s.expires_at <= now);
            let mut expired: Vec<_> = open.cloned().collect();
            expired.sort_by_key(|session| (session.expires_at, session.id));
            expired.truncate(limit);
            expired
        }))
    }
}
