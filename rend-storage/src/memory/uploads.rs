use async_trait::async_trait;
use rend_core::asset::{Asset, SourceState};
use rend_core::id::{OrgId, UploadId};
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

    async fn bytes_held(&self, org: OrgId) -> Result<u64, StoreError> {
        Ok(self.with(|state| {
            let bytes = |asset: &Asset| asset.stored.as_ref().map(|stored| stored.bytes);
            let kept = state.assets.values().filter(|asset| asset.org == org && asset.source != SourceState::Deleted);
            let comes = |session: &&UploadSession| {
                let is_stored = state.assets.get(&session.asset).is_some_and(|asset| asset.stored.is_some());
                session.org == org && session.state == UploadState::Open && !is_stored
            };
            let coming = state.uploads.values().filter(comes).filter_map(|session| session.bytes_expected);
            kept.filter_map(bytes).chain(coming).fold(0, u64::saturating_add)
        }))
    }
}
