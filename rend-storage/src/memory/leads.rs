use async_trait::async_trait;
use rend_core::id::LeaseToken;
use rend_core::time::Timestamp;

use super::Memory;
use crate::StoreError;
use crate::leads::Leads;

#[async_trait]
impl Leads for Memory {
    async fn lead(
        &self,
        name: &str,
        holder: LeaseToken,
        now: Timestamp,
        expires: Timestamp,
    ) -> Result<bool, StoreError> {
        Ok(self.with(|state| {
            let held = state.leads.get(name).filter(|(other, until)| *other != holder && *until > now);
            let free = held.is_none();
            if free {
                state.leads.insert(name.to_owned(), (holder, expires));
            }
            free
        }))
    }
}
