use async_trait::async_trait;
use rend_core::fleet::RevocationRow;
use rend_core::time::Timestamp;

use super::Memory;
use crate::StoreError;
use crate::revocations::{NewRevocation, RevocationLog};

#[async_trait]
impl RevocationLog for Memory {
    async fn append_revocation(&self, order: &NewRevocation) -> Result<u64, StoreError> {
        Ok(self.with(|state| {
            state.revocation_head += 1;
            let seq = state.revocation_head;
            state.revocations.retain(|row| !row.is_over(order.at));
            state.revocations.push(order.at_place(seq));
            seq
        }))
    }

    async fn revocations_after(
        &self,
        seq: u64,
        now: Timestamp,
        limit: usize,
    ) -> Result<Vec<RevocationRow>, StoreError> {
        Ok(self.with(|state| {
            let first = state.revocations.partition_point(|row| row.seq <= seq);
            state.revocations[first..].iter().filter(|row| !row.is_over(now)).take(limit).cloned().collect()
        }))
    }

    async fn revocation_head(&self) -> Result<u64, StoreError> {
        Ok(self.with(|state| state.revocation_head))
    }
}
