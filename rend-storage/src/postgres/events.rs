use async_trait::async_trait;
use rend_core::event::{Event, EventKind};
use rend_core::id::{AssetId, OrgId};
use rend_core::time::Timestamp;
use tokio_postgres::Row;

use super::Postgres;
use super::columns::{Id, capped, get, id, limit, millis, number, time};
use super::fault::Fault;
use super::session::Session;
use crate::StoreError;
use crate::documents;
use crate::events::{EventLog, EventsOf};

#[async_trait]
impl EventLog for Postgres {
    async fn append(&self, asset: AssetId, kind: &EventKind, now: Timestamp) -> Result<Event, StoreError> {
        // One statement, and so one transaction.
        let db = self.session().await?;
        let noted = note(&db, asset, kind, now).await;
        db.end(noted)
    }

    async fn after(&self, of: EventsOf, seq: u64, rows: usize) -> Result<Vec<Event>, StoreError> {
        let (sql, of) = match of {
            EventsOf::Asset(asset) => (include_str!("sql/events_of_asset.sql"), Id(*asset.as_bytes())),
            EventsOf::Org(org) => (include_str!("sql/events_of_org.sql"), Id(*org.as_bytes())),
        };
        let db = self.session().await?;
        let found = db.all(sql, &[&of, &capped(seq), &limit(rows)]).await;
        db.end(found.and_then(|rows| rows.iter().map(decode).collect()))
    }

    async fn head(&self) -> Result<u64, StoreError> {
        let db = self.session().await?;
        let newest = db.first(include_str!("sql/event_head.sql"), &[]).await;
        db.end(newest.and_then(|row| row.map_or(Ok(0), |row| number(&row, "seq"))))
    }
}

/// Appends one event. In a transaction it comes last, since until the end nobody else can append.
pub(super) async fn note(db: &Session, asset: AssetId, kind: &EventKind, at: Timestamp) -> Result<Event, Fault> {
    let asset_id = Id(*asset.as_bytes());
    let params: [&(dyn tokio_postgres::types::ToSql + Sync); 4] =
        [&asset_id, &millis(at), &kind.name(), &documents::event_data(kind)];
    let row = db.first(include_str!("sql/event_append.sql"), &params).await?;
    let row = row.ok_or(StoreError::NotFound { what: "asset" })?;
    let (seq, asset_seq) = (number(&row, "seq")?, number(&row, "asset_seq")?);
    Ok(Event { seq, asset_seq, at, asset, org: OrgId::from_bytes(id(&row, "org")?), kind: kind.clone() })
}

fn decode(row: &Row) -> Result<Event, Fault> {
    Ok(Event {
        seq: number(row, "seq")?,
        asset_seq: number(row, "asset_seq")?,
        at: time(row, "at")?,
        asset: AssetId::from_bytes(id(row, "asset")?),
        org: OrgId::from_bytes(id(row, "org")?),
        kind: documents::event_kind_of(get(row, "name")?, get(row, "data")?)?,
    })
}
