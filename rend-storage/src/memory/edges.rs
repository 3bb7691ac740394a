use async_trait::async_trait;
use rend_core::fleet::{Beat, EdgeRow, PurgeRow};
use rend_core::id::{AssetId, EdgeId};
use rend_core::time::Timestamp;

use super::Memory;
use crate::StoreError;
use crate::edges::{EdgeDirectory, PurgeLog};

#[async_trait]
impl EdgeDirectory for Memory {
    async fn register(&self, row: &EdgeRow) -> Result<(), StoreError> {
        self.with(|state| state.edges.insert(row.id.clone(), row.clone()));
        Ok(())
    }

    async fn beat(&self, id: &EdgeId, beat: &Beat, now: Timestamp) -> Result<(), StoreError> {
        self.with(|state| {
            let row = state.edges.get_mut(id).ok_or(StoreError::NotFound { what: "edge" })?;
            row.beat = *beat;
            row.beat_at = now;
            Ok(())
        })
    }

    async fn all(&self) -> Result<Vec<EdgeRow>, StoreError> {
        Ok(self.with(|state| state.edges.values().cloned().collect()))
    }
}

#[async_trait]
impl PurgeLog for Memory {
    async fn append_purge(&self, asset: AssetId, now: Timestamp) -> Result<u64, StoreError> {
        Ok(self.with(|state| {
            state.purge_head += 1;
            let seq = state.purge_head;
            state.purges.push(PurgeRow { seq, asset, at: now });
            seq
        }))
    }

    async fn purges_after(&self, seq: u64, limit: usize) -> Result<Vec<PurgeRow>, StoreError> {
        Ok(self.with(|state| {
            let first = state.purges.partition_point(|row| row.seq <= seq);
            state.purges[first..].iter().take(limit).cloned().collect()
        }))
    }

    async fn purge_head(&self) -> Result<u64, StoreError> {
        Ok(self.with(|state| state.purge_head))
    }
}
