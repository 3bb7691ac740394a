use async_trait::async_trait;
use rend_core::event::{Event, EventKind};
use rend_core::id::{AssetId, OrgId};
use rend_core::time::Timestamp;
use rusqlite::{Connection, Row, named_params};

use super::columns::{capped, get, limit, millis, number, read, time};
use super::fault::Fault;
use super::{Sqlite, all, first};
use crate::events::{EventLog, EventsOf};
use crate::{StoreError, documents};

#[async_trait]
impl EventLog for Sqlite {
    async fn append(&self, asset: AssetId, kind: &EventKind, now: Timestamp) -> Result<Event, StoreError> {
        let kind = kind.clone();
        self.write(move |db| note(db, asset, &kind, now)).await
    }

    async fn after(&self, of: EventsOf, seq: u64, rows: usize) -> Result<Vec<Event>, StoreError> {
        self.read(move |db| {
            let (sql, of) = match of {
                EventsOf::Asset(asset) => (include_str!("sql/events_of_asset.sql"), *asset.as_bytes()),
                EventsOf::Org(org) => (include_str!("sql/events_of_org.sql"), *org.as_bytes()),
            };
            all(db, sql, named_params! { ":of": of, ":seq": capped(seq), ":limit": limit(rows) }, decode)
        })
        .await
    }

    async fn head(&self) -> Result<u64, StoreError> {
        self.read(|db| {
            let newest = first(db, include_str!("sql/event_head.sql"), &[], |row| number(row, "seq"))?;
            Ok(newest.unwrap_or(0))
        })
        .await
    }
}

/// Appends one event.
pub(super) fn note(db: &Connection, asset: AssetId, kind: &EventKind, at: Timestamp) -> Result<Event, Fault> {
    let counted = |row: &Row<'_>| Ok((number(row, "event_count")?, OrgId::from_bytes(get(row, "org")?)));
    let count = first(db, include_str!("sql/event_count.sql"), named_params! { ":asset": asset.as_bytes() }, counted)?;
    let (asset_seq, org) = count.ok_or(StoreError::NotFound { what: "asset" })?;
    let params = named_params! {
        ":asset": asset.as_bytes(),
        ":asset_seq": asset_seq.cast_signed(),
        ":org": org.as_bytes(),
        ":at": millis(at),
        ":name": kind.name(),
        ":data": documents::event_data(kind),
    };
    let seq = first(db, include_str!("sql/event_insert.sql"), params, |row| number(row, "seq"))?;
    let seq = seq.ok_or(Fault::Strange("seq"))?;
    Ok(Event { seq, asset_seq, at, asset, org, kind: kind.clone() })
}

fn decode(row: &Row<'_>) -> Result<Event, Fault> {
    let name: String = get(row, "name")?;
    Ok(Event {
        seq: number(row, "seq")?,
        asset_seq: number(row, "asset_seq")?,
        at: time(row, "at")?,
        asset: AssetId::from_bytes(get(row, "asset")?),
        org: OrgId::from_bytes(get(row, "org")?),
        kind: read(row, "data", |data| documents::event_kind_of(&name, data))?,
    })
}
