use async_trait::async_trait;
use rend_core::fleet::{Beat, EdgeRow, PurgeRow};
use rend_core::id::{AssetId, EdgeId};
use rend_core::time::Timestamp;
use rusqlite::{Row, named_params};

use super::columns::{capped, get, limit, millis, number, parsed, time};
use super::fault::Fault;
use super::{Sqlite, all, changed, first, run};
use crate::StoreError;
use crate::edges::{EdgeDirectory, PurgeLog};

#[async_trait]
impl EdgeDirectory for Sqlite {
    async fn register(&self, row: &EdgeRow) -> Result<(), StoreError> {
        let row = row.clone();
        self.write(move |db| {
            let beat = row.beat;
            let params = named_params! {
                ":id": row.id.as_str(),
                ":region": row.region,
                ":public_url": row.public_url,
                ":private_url": row.private_url,
                ":version": row.version,
                ":state": beat.state.as_str(),
                ":cache_bytes_max": beat.cache_bytes_max.cast_signed(),
                ":cache_bytes_used": beat.cache_bytes_used.cast_signed(),
                ":cache_entries": beat.cache_entries.cast_signed(),
                ":disk_bytes_free": beat.disk_bytes_free.cast_signed(),
                ":fills": beat.fills,
                ":spool_events": beat.spool_events.cast_signed(),
                ":dropped_events": beat.dropped_events.cast_signed(),
                ":purge_seen": beat.purge_seen.cast_signed(),
                ":registered_at": millis(row.registered_at),
                ":beat_at": millis(row.beat_at),
            };
            run(db, include_str!("sql/edge_register.sql"), params)?;
            Ok(())
        })
        .await
    }

    async fn beat(&self, id: &EdgeId, beat: &Beat, now: Timestamp) -> Result<(), StoreError> {
        let (id, beat) = (id.clone(), *beat);
        self.write(move |db| {
            let params = named_params! {
                ":id": id.as_str(),
                ":state": beat.state.as_str(),
                ":cache_bytes_max": beat.cache_bytes_max.cast_signed(),
                ":cache_bytes_used": beat.cache_bytes_used.cast_signed(),
                ":cache_entries": beat.cache_entries.cast_signed(),
                ":disk_bytes_free": beat.disk_bytes_free.cast_signed(),
                ":fills": beat.fills,
                ":spool_events": beat.spool_events.cast_signed(),
                ":dropped_events": beat.dropped_events.cast_signed(),
                ":purge_seen": beat.purge_seen.cast_signed(),
                ":beat_at": millis(now),
            };
            changed(run(db, include_str!("sql/edge_beat.sql"), params)?, StoreError::NotFound { what: "edge" })
        })
        .await
    }

    async fn all(&self) -> Result<Vec<EdgeRow>, StoreError> {
        self.read(|db| all(db, include_str!("sql/edge_all.sql"), &[], edge)).await
    }
}

#[async_trait]
impl PurgeLog for Sqlite {
    async fn append_purge(&self, asset: AssetId, now: Timestamp) -> Result<u64, StoreError> {
        self.write(move |db| {
            let params = named_params! { ":asset": asset.as_bytes(), ":at": millis(now) };
            let seq = first(db, include_str!("sql/purge_append.sql"), params, |row| number(row, "seq"))?;
            seq.ok_or(Fault::Strange("seq"))
        })
        .await
    }

    async fn purges_after(&self, seq: u64, rows: usize) -> Result<Vec<PurgeRow>, StoreError> {
        self.read(move |db| {
            let params = named_params! { ":seq": capped(seq), ":limit": limit(rows) };
            all(db, include_str!("sql/purges_after.sql"), params, purge)
        })
        .await
    }

    async fn purge_head(&self) -> Result<u64, StoreError> {
        self.read(|db| {
            let newest = first(db, include_str!("sql/purge_head.sql"), &[], |row| number(row, "seq"))?;
            Ok(newest.unwrap_or(0))
        })
        .await
    }
}

fn edge(row: &Row<'_>) -> Result<EdgeRow, Fault> {
    Ok(EdgeRow {
        id: parsed(row, "id")?,
        region: get(row, "region")?,
        public_url: get(row, "public_url")?,
        private_url: get(row, "private_url")?,
        version: get(row, "version")?,
        beat: Beat {
            state: parsed(row, "state")?,
            cache_bytes_max: number(row, "cache_bytes_max")?,
            cache_bytes_used: number(row, "cache_bytes_used")?,
            cache_entries: number(row, "cache_entries")?,
            disk_bytes_free: number(row, "disk_bytes_free")?,
            fills: get(row, "fills")?,
            spool_events: number(row, "spool_events")?,
            dropped_events: number(row, "dropped_events")?,
            purge_seen: number(row, "purge_seen")?,
        },
        registered_at: time(row, "registered_at")?,
        beat_at: time(row, "beat_at")?,
    })
}

fn purge(row: &Row<'_>) -> Result<PurgeRow, Fault> {
    Ok(PurgeRow { seq: number(row, "seq")?, asset: AssetId::from_bytes(get(row, "asset")?), at: time(row, "at")? })
}
