use async_trait::async_trait;
use rend_core::asset::{Asset, SourceState};
use rend_core::event::EventKind;
use rend_core::id::{AssetId, OrgId};

use super::{Held, Memory};
use crate::assets::{AssetStore, Change};
use crate::{StoreError, lease};

#[async_trait]
impl AssetStore for Memory {
    async fn create(&self, asset: &Asset) -> Result<(), StoreError> {
        self.with(|state| {
            if state.assets.contains_key(&asset.id) {
                return Err(StoreError::Conflict { what: "asset" });
            }
            state.assets.insert(asset.id, asset.clone());
            state.note(asset.id, asset.org, EventKind::AssetCreated, asset.created_at);
            Ok(())
        })
    }

    async fn get(&self, id: AssetId) -> Result<Asset, StoreError> {
        self.with(|state| state.assets.get(&id).cloned()).ok_or(StoreError::NotFound { what: "asset" })
    }

    async fn page(&self, org: OrgId, before: Option<AssetId>, limit: usize) -> Result<Vec<Asset>, StoreError> {
        Ok(self.with(|state| {
            let newest_first = state.assets.values().rev();
            let wanted = newest_first
                .filter(|asset| asset.org == org && asset.source != SourceState::Deleted)
                .filter(|asset| before.is_none_or(|before| asset.id < before));
            wanted.take(limit).cloned().collect()
        }))
    }

    async fn advance(&self, change: &Change) -> Result<Asset, StoreError> {
        self.with(|state| {
            let asset = state.assets.get(&change.asset).ok_or(StoreError::NotFound { what: "asset" })?;
            if let Some(fence) = &change.fence {
                state.held(fence)?;
            }
            if change.expect.is_some_and(|expect| expect != asset.revision) {
                return Err(StoreError::Conflict { what: "asset" });
            }
            let (next, event) = asset.after(&change.step, change.now)?;
            if let Some(new) = &change.enqueue {
                if state.jobs.contains_key(&new.id) {
                    return Err(StoreError::Conflict { what: "job" });
                }
                state.jobs.insert(new.id, Held { job: lease::queued(new, change.now), token: None });
            }
            state.assets.insert(next.id, next.clone());
            state.note(next.id, next.org, event, change.now);
            Ok(next)
        })
    }
}
