use async_trait::async_trait;
use rend_core::asset::{Asset, StoredSource};
use rend_core::event::EventKind;
use rend_core::id::{AssetId, OrgId};
use tokio_postgres::Row;

use super::columns::{
    Id, bytes, escape, get, id, limit, millis, number, number_or_none, parsed, text, text_or_none, time,
};
use super::fault::Fault;
use super::session::Session;
use super::{Postgres, events, jobs};
use crate::assets::{AssetStore, Change};
use crate::documents::{self, Strange};
use crate::{StoreError, lease};

#[async_trait]
impl AssetStore for Postgres {
    async fn create(&self, asset: &Asset) -> Result<(), StoreError> {
        let db = self.transaction().await?;
        let created = create(&db, asset).await;
        db.commit(created).await
    }

    async fn get(&self, id: AssetId) -> Result<Asset, StoreError> {
        let db = self.session().await?;
        let found = find(&db, include_str!("sql/asset_get.sql"), id).await;
        db.end(found)
    }

    async fn page(&self, org: OrgId, before: Option<AssetId>, rows: usize) -> Result<Vec<Asset>, StoreError> {
        let db = self.session().await?;
        let (org, rows) = (Id(*org.as_bytes()), limit(rows));
        let found = match before.map(|before| Id(*before.as_bytes())) {
            None => db.all(include_str!("sql/asset_page.sql"), &[&org, &rows]).await,
            Some(before) => db.all(include_str!("sql/asset_page_before.sql"), &[&org, &rows, &before]).await,
        };
        db.end(found.and_then(|rows| rows.iter().map(decode).collect()))
    }

    async fn advance(&self, change: &Change) -> Result<Asset, StoreError> {
        let db = self.transaction().await?;
        let advanced = advance(&db, change).await;
        db.commit(advanced).await
    }
}

async fn create(db: &Session, asset: &Asset) -> Result<(), Fault> {
    if write(db, include_str!("sql/asset_insert.sql"), asset).await? == 0 {
        return Err(StoreError::Conflict { what: "asset" }.into());
    }
    events::note(db, asset.id, &EventKind::AssetCreated, asset.created_at).await?;
    Ok(())
}

async fn advance(db: &Session, change: &Change) -> Result<Asset, Fault> {
    // Held until the end, so that changes of one asset are applied one after another.
    let asset = find(db, include_str!("sql/asset_hold.sql"), change.asset).await?;
    if let Some(fence) = &change.fence {
        jobs::hold_fence(db, fence).await?;
    }
    if change.expect.is_some_and(|expect| expect != asset.revision) {
        return Err(StoreError::Conflict { what: "asset" }.into());
    }
    let (next, event) = asset.after(&change.step, change.now)?;
    if let Some(new) = &change.enqueue {
        jobs::insert(db, &lease::queued(new, change.now)).await?;
    }
    write(db, include_str!("sql/asset_update.sql"), &next).await?;
    events::note(db, next.id, &event, change.now).await?;
    Ok(next)
}

async fn find(db: &Session, sql: &str, id: AssetId) -> Result<Asset, Fault> {
    let found = db.first(sql, &[&Id(*id.as_bytes())]).await?;
    decode(&found.ok_or(StoreError::NotFound { what: "asset" })?)
}

async fn write(db: &Session, sql: &str, asset: &Asset) -> Result<u64, Fault> {
    let params: [&(dyn tokio_postgres::types::ToSql + Sync); 19] = [
        &Id(*asset.id.as_bytes()),
        &Id(*asset.org.as_bytes()),
        &escape(&asset.title),
        &asset.external_id.as_deref().map(escape),
        &escape(&asset.metadata),
        &asset.policy.as_str(),
        &asset.source.as_str(),
        &asset.playable.as_str(),
        &asset.degraded,
        &asset.failure.as_ref().map(documents::failure),
        &asset.stored.as_ref().map(|stored| stored.bytes.cast_signed()),
        &asset.stored.as_ref().map(|stored| stored.sha256.to_vec()),
        &asset.media.as_ref().map(documents::media),
        &documents::renditions(&asset.renditions),
        &asset.revision.cast_signed(),
        &millis(asset.created_at),
        &millis(asset.updated_at),
        &documents::captions(&asset.captions),
        &documents::downloads(&asset.downloads),
    ];
    db.run(sql, &params).await
}

fn decode(row: &Row) -> Result<Asset, Fault> {
    let has_digest = get::<Option<&[u8]>>(row, "stored_sha256")?.is_some();
    let stored = match (number_or_none(row, "stored_bytes")?, has_digest) {
        (Some(length), true) => Some(StoredSource { bytes: length, sha256: bytes(row, "stored_sha256")? }),
        (None, false) => None,
        (Some(_), false) | (None, true) => return Err(Strange("stored_sha256").into()),
    };
    Ok(Asset {
        id: AssetId::from_bytes(id(row, "id")?),
        org: OrgId::from_bytes(id(row, "org")?),
        title: text(row, "title")?,
        external_id: text_or_none(row, "external_id")?,
        metadata: text(row, "metadata")?,
        policy: parsed(row, "policy")?,
        source: parsed(row, "source")?,
        playable: parsed(row, "playable")?,
        degraded: get(row, "degraded")?,
        failure: get::<Option<&str>>(row, "failure")?.map(documents::failure_of).transpose()?,
        stored,
        media: get::<Option<&str>>(row, "media")?.map(documents::media_of).transpose()?,
        renditions: documents::renditions_of(get(row, "renditions")?)?,
        captions: documents::captions_of(get(row, "captions")?)?,
        downloads: documents::downloads_of(get(row, "downloads")?)?,
        revision: number(row, "revision")?,
        created_at: time(row, "created_at")?,
        updated_at: time(row, "updated_at")?,
    })
}
