use async_trait::async_trait;
use rend_core::fleet::{Beat, EdgeRow, PurgeRow};
use rend_core::id::{AssetId, EdgeId};
use rend_core::time::Timestamp;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use super::Postgres;
use super::columns::{Id, capped, escape, id, limit, millis, number, parsed, small, text, time};
use super::fault::Fault;
use crate::StoreError;
use crate::documents::Strange;
use crate::edges::{EdgeDirectory, PurgeLog};

#[async_trait]
impl EdgeDirectory for Postgres {
    async fn register(&self, row: &EdgeRow) -> Result<(), StoreError> {
        let beat = row.beat;
        let params: [&(dyn ToSql + Sync); 16] = [
            &row.id.as_str(),
            &escape(&row.region),
            &escape(&row.public_url),
            &escape(&row.private_url),
            &escape(&row.version),
            &beat.state.as_str(),
            &beat.cache_bytes_max.cast_signed(),
            &beat.cache_bytes_used.cast_signed(),
            &beat.cache_entries.cast_signed(),
            &beat.disk_bytes_free.cast_signed(),
            &i64::from(beat.fills),
            &beat.spool_events.cast_signed(),
            &beat.dropped_events.cast_signed(),
            &beat.purge_seen.cast_signed(),
            &millis(row.registered_at),
            &millis(row.beat_at),
        ];
        let db = self.session().await?;
        let written = db.run(include_str!("sql/edge_register.sql"), &params).await;
        db.end(written.map(drop))
    }

    async fn beat(&self, id: &EdgeId, beat: &Beat, now: Timestamp) -> Result<(), StoreError> {
        let params: [&(dyn ToSql + Sync); 11] = [
            &id.as_str(),
            &beat.state.as_str(),
            &beat.cache_bytes_max.cast_signed(),
            &beat.cache_bytes_used.cast_signed(),
            &beat.cache_entries.cast_signed(),
            &beat.disk_bytes_free.cast_signed(),
            &i64::from(beat.fills),
            &beat.spool_events.cast_signed(),
            &beat.dropped_events.cast_signed(),
            &beat.purge_seen.cast_signed(),
            &millis(now),
        ];
        let db = self.session().await?;
        let beaten = db.run(include_str!("sql/edge_beat.sql"), &params).await;
        match db.end(beaten)? {
            0 => Err(StoreError::NotFound { what: "edge" }),
            _ => Ok(()),
        }
    }

    async fn all(&self) -> Result<Vec<EdgeRow>, StoreError> {
        let db = self.session().await?;
        let found = db.all(include_str!("sql/edge_all.sql"), &[]).await;
        db.end(found.and_then(|rows| rows.iter().map(edge).collect()))
    }
}

#[async_trait]
impl PurgeLog for Postgres {
    async fn append_purge(&self, asset: AssetId, now: Timestamp) -> Result<u64, StoreError> {
        // One statement, and so one transaction.
        let db = self.session().await?;
        let params: [&(dyn ToSql + Sync); 2] = [&Id(*asset.as_bytes()), &millis(now)];
        let placed = db.first(include_str!("sql/purge_append.sql"), &params).await;
        db.end(placed.and_then(|row| number(&row.ok_or(Strange("seq"))?, "seq")))
    }

    async fn purges_after(&self, seq: u64, rows: usize) -> Result<Vec<PurgeRow>, StoreError> {
        let db = self.session().await?;
        let found = db.all(include_str!("sql/purges_after.sql"), &[&capped(seq), &limit(rows)]).await;
        db.end(found.and_then(|rows| rows.iter().map(purge).collect()))
    }

    async fn purge_head(&self) -> Result<u64, StoreError> {
        let db = self.session().await?;
        let newest = db.first(include_str!("sql/purge_head.sql"), &[]).await;
        db.end(newest.and_then(|row| row.map_or(Ok(0), |row| number(&row, "seq"))))
    }
}

fn edge(row: &Row) -> Result<EdgeRow, Fault> {
    Ok(EdgeRow {
        id: parsed(row, "id")?,
        region: text(row, "region")?,
        public_url: text(row, "public_url")?,
        private_url: text(row, "private_url")?,
        version: text(row, "version")?,
        beat: Beat {
            state: parsed(row, "state")?,
            cache_bytes_max: number(row, "cache_bytes_max")?,
            cache_bytes_used: number(row, "cache_bytes_used")?,
            cache_entries: number(row, "cache_entries")?,
            disk_bytes_free: number(row, "disk_bytes_free")?,
            fills: small(row, "fills")?,
            spool_events: number(row, "spool_events")?,
            dropped_events: number(row, "dropped_events")?,
            purge_seen: number(row, "purge_seen")?,
        },
        registered_at: time(row, "registered_at")?,
        beat_at: time(row, "beat_at")?,
    })
}

fn purge(row: &Row) -> Result<PurgeRow, Fault> {
    Ok(PurgeRow { seq: number(row, "seq")?, asset: AssetId::from_bytes(id(row, "asset")?), at: time(row, "at")? })
}
