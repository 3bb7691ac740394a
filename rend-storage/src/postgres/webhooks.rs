use async_trait::async_trait;
use rend_core::id::{OrgId, WebhookId};
use rend_core::webhook::Endpoint;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use super::Postgres;
use super::columns::{Id, id, limit, number, text};
use super::fault::Fault;
use super::session::Session;
use crate::webhooks::WebhookStore;
use crate::{StoreError, documents};

#[async_trait]
impl WebhookStore for Postgres {
    async fn insert_webhook(&self, endpoint: &Endpoint, most: usize) -> Result<(), StoreError> {
        let db = self.transaction().await?;
        let inserted = insert(&db, endpoint, most).await;
        db.commit(inserted).await
    }

    async fn webhook(&self, id: WebhookId) -> Result<Endpoint, StoreError> {
        let db = self.session().await?;
        let found = get(&db, id).await;
        db.end(found.and_then(|found| found.ok_or_else(|| StoreError::NotFound { what: WHAT }.into())))
    }

    async fn webhooks(&self, org: OrgId) -> Result<Vec<Endpoint>, StoreError> {
        let db = self.session().await?;
        let found = db.all(include_str!("sql/webhook_list.sql"), &[&Id(*org.as_bytes())]).await;
        db.end(found.and_then(|rows| rows.iter().map(decode).collect()))
    }

    async fn replace_webhook(&self, endpoint: &Endpoint) -> Result<Endpoint, StoreError> {
        let db = self.session().await?;
        let replaced = replace(&db, endpoint).await;
        db.end(replaced)
    }

    async fn remove_webhook(&self, id: WebhookId) -> Result<(), StoreError> {
        let db = self.session().await?;
        let removed = db.run(include_str!("sql/webhook_remove.sql"), &[&Id(*id.as_bytes())]).await;
        db.end(
            removed.and_then(|rows| if rows == 0 { Err(StoreError::NotFound { what: WHAT }.into()) } else { Ok(()) }),
        )
    }
}

async fn insert(db: &Session, endpoint: &Endpoint, most: usize) -> Result<(), Fault> {
    // Two who are counted at once would both find room, so an organisation's endpoints are made one after the other.
    db.run(include_str!("sql/webhook_alone.sql"), &[&endpoint.org.to_string()]).await?;
    let document = super::columns::escape(&documents::endpoint(endpoint));
    let params: [&(dyn ToSql + Sync); 5] = [
        &Id(*endpoint.id.as_bytes()),
        &Id(*endpoint.org.as_bytes()),
        &endpoint.revision.cast_signed(),
        &document,
        &limit(most),
    ];
    let inserted = db.run(include_str!("sql/webhook_insert.sql"), &params).await?;
    if inserted == 0 { Err(StoreError::Conflict { what: WHAT }.into()) } else { Ok(()) }
}

async fn get(db: &Session, id: WebhookId) -> Result<Option<Endpoint>, Fault> {
    let row = db.first(include_str!("sql/webhook_get.sql"), &[&Id(*id.as_bytes())]).await?;
    row.as_ref().map(decode).transpose()
}

async fn replace(db: &Session, endpoint: &Endpoint) -> Result<Endpoint, Fault> {
    let document = super::columns::escape(&documents::endpoint(endpoint));
    let params: [&(dyn ToSql + Sync); 3] = [&Id(*endpoint.id.as_bytes()), &endpoint.revision.cast_signed(), &document];
    match db.first(include_str!("sql/webhook_replace.sql"), &params).await? {
        Some(row) => decode(&row),
        None if get(db, endpoint.id).await?.is_some() => Err(StoreError::Conflict { what: WHAT }.into()),
        None => Err(StoreError::NotFound { what: WHAT }.into()),
    }
}

fn decode(row: &Row) -> Result<Endpoint, Fault> {
    let (webhook, org) = (WebhookId::from_bytes(id(row, "id")?), OrgId::from_bytes(id(row, "org")?));
    let revision = number(row, "revision")?;
    Ok(documents::endpoint_of(&text(row, "document")?, webhook, org, revision)?)
}

const WHAT: &str = "webhook endpoint";
