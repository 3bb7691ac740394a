use async_trait::async_trait;
use rend_core::id::{OrgId, WebhookId};
use rend_core::webhook::Endpoint;
use rusqlite::{Row, named_params};

use super::columns::{get, limit, number, read};
use super::fault::Fault;
use super::{Sqlite, all, changed, first, run};
use crate::webhooks::WebhookStore;
use crate::{StoreError, documents};

#[async_trait]
impl WebhookStore for Sqlite {
    async fn insert_webhook(&self, endpoint: &Endpoint, most: usize) -> Result<(), StoreError> {
        let endpoint = endpoint.clone();
        self.write(move |db| {
            let params = named_params! {
                ":id": endpoint.id.as_bytes(),
                ":org": endpoint.org.as_bytes(),
                ":revision": endpoint.revision.cast_signed(),
                ":document": documents::endpoint(&endpoint),
                ":most": limit(most),
            };
            let inserted = run(db, include_str!("sql/webhook_insert.sql"), params)?;
            changed(inserted, StoreError::Conflict { what: "webhook endpoint" })
        })
        .await
    }

    async fn webhook(&self, id: WebhookId) -> Result<Endpoint, StoreError> {
        self.read(move |db| {
            let params = named_params! { ":id": id.as_bytes() };
            let found = first(db, include_str!("sql/webhook_get.sql"), params, decode)?;
            found.ok_or_else(|| StoreError::NotFound { what: "webhook endpoint" }.into())
        })
        .await
    }

    async fn webhooks(&self, org: OrgId) -> Result<Vec<Endpoint>, StoreError> {
        self.read(move |db| {
            all(db, include_str!("sql/webhook_list.sql"), named_params! { ":org": org.as_bytes() }, decode)
        })
        .await
    }

    async fn replace_webhook(&self, endpoint: &Endpoint) -> Result<Endpoint, StoreError> {
        let endpoint = endpoint.clone();
        self.write(move |db| {
            let id = endpoint.id.as_bytes();
            let params = named_params! {
                ":id": id,
                ":revision": endpoint.revision.cast_signed(),
                ":document": documents::endpoint(&endpoint),
            };
            let replaced = first(db, include_str!("sql/webhook_replace.sql"), params, decode)?;
            if let Some(replaced) = replaced {
                return Ok(replaced);
            }
            let there = first(db, include_str!("sql/webhook_get.sql"), named_params! { ":id": id }, |_| Ok(()))?;
            let what = "webhook endpoint";
            Err(there.map_or(StoreError::NotFound { what }, |()| StoreError::Conflict { what }).into())
        })
        .await
    }

    async fn remove_webhook(&self, id: WebhookId) -> Result<(), StoreError> {
        self.write(move |db| {
            let removed = run(db, include_str!("sql/webhook_remove.sql"), named_params! { ":id": id.as_bytes() })?;
            changed(removed, StoreError::NotFound { what: "webhook endpoint" })
        })
        .await
    }
}

fn decode(row: &Row<'_>) -> Result<Endpoint, Fault> {
    let (id, org) = (WebhookId::from_bytes(get(row, "id")?), OrgId::from_bytes(get(row, "org")?));
    let revision = number(row, "revision")?;
    read(row, "document", |text| documents::endpoint_of(text, id, org, revision))
}
