use async_trait::async_trait;
use rend_core::id::{OrgId, WebhookId};
use rend_core::webhook::Endpoint;

use super::Memory;
use crate::StoreError;
use crate::webhooks::WebhookStore;

#[async_trait]
impl WebhookStore for Memory {
    async fn insert_webhook(&self, endpoint: &Endpoint, most: usize) -> Result<(), StoreError> {
        self.with(|state| {
            let there = state.webhooks.values().filter(|held| held.org == endpoint.org).count();
            if there >= most || state.webhooks.contains_key(&endpoint.id) {
                return Err(StoreError::Conflict { what: "webhook endpoint" });
            }
            state.webhooks.insert(endpoint.id, endpoint.clone());
            Ok(())
        })
    }

    async fn webhook(&self, id: WebhookId) -> Result<Endpoint, StoreError> {
        self.with(|state| state.webhooks.get(&id).cloned()).ok_or(StoreError::NotFound { what: "webhook endpoint" })
    }

    async fn webhooks(&self, org: OrgId) -> Result<Vec<Endpoint>, StoreError> {
        Ok(self.with(|state| state.webhooks.values().filter(|held| held.org == org).cloned().collect()))
    }

    async fn replace_webhook(&self, endpoint: &Endpoint) -> Result<Endpoint, StoreError> {
        self.with(|state| {
            let held = state.webhooks.get_mut(&endpoint.id).ok_or(StoreError::NotFound { what: "webhook endpoint" })?;
            if held.revision != endpoint.revision {
                return Err(StoreError::Conflict { what: "webhook endpoint" });
            }
            *held = Endpoint { revision: held.revision + 1, org: held.org, ..endpoint.clone() };
            Ok(held.clone())
        })
    }

    async fn remove_webhook(&self, id: WebhookId) -> Result<(), StoreError> {
        self.with(|state| state.webhooks.remove(&id)).map(drop).ok_or(StoreError::NotFound { what: "webhook endpoint" })
    }
}
