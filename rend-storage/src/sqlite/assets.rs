use async_trait::async_trait;
use rend_core::asset::{Asset, StoredSource};
use rend_core::event::EventKind;
use rend_core::id::{AssetId, OrgId};
use rusqlite::{Connection, Row, named_params};

use super::columns::{get, limit, millis, number, number_or_none, parsed, read, read_or_none, time};
use super::fault::Fault;
use super::{Sqlite, all, changed, events, first, jobs, run};
use crate::assets::{AssetStore, Change};
use crate::{StoreError, documents, lease};

#[async_trait]
impl AssetStore for Sqlite {
    async fn create(&self, asset: &Asset) -> Result<(), StoreError> {
        let asset = asset.clone();
        self.write(move |db| {
            let inserted = write(db, include_str!("sql/asset_insert.sql"), &asset)?;
            changed(inserted, StoreError::Conflict { what: "asset" })?;
            events::note(db, asset.id, &EventKind::AssetCreated, asset.created_at)?;
            Ok(())
        })
        .await
    }

    async fn get(&self, id: AssetId) -> Result<Asset, StoreError> {
        self.read(move |db| find(db, id)).await
    }

    async fn page(&self, org: OrgId, before: Option<AssetId>, rows: usize) -> Result<Vec<Asset>, StoreError> {
        self.read(move |db| {
            // One byte longer than any id, this comes after all of them.
            let before = before.map_or_else(|| vec![u8::MAX; 17], |before| before.as_bytes().to_vec());
            let params = named_params! { ":org": org.as_bytes(), ":before": before, ":limit": limit(rows) };
            all(db, include_str!("sql/asset_page.sql"), params, decode)
        })
        .await
    }

    async fn advance(&self, change: &Change) -> Result<Asset, StoreError> {
        let change = change.clone();
        self.write(move |db| {
            let asset = find(db, change.asset)?;
            if let Some(fence) = &change.fence {
                jobs::held(db, fence)?;
            }
            if change.expect.is_some_and(|expect| expect != asset.revision) {
                return Err(StoreError::Conflict { what: "asset" }.into());
            }
            let (next, event) = asset.after(&change.step, change.now)?;
            if let Some(new) = &change.enqueue {
                jobs::insert(db, &lease::queued(new, change.now))?;
            }
            write(db, include_str!("sql/asset_update.sql"), &next)?;
            events::note(db, next.id, &event, change.now)?;
            Ok(next)
        })
        .await
    }
}

fn find(db: &Connection, id: AssetId) -> Result<Asset, Fault> {
    let found = first(db, include_str!("sql/asset_get.sql"), named_params! { ":id": id.as_bytes() }, decode)?;
    found.ok_or_else(|| StoreError::NotFound { what: "asset" }.into())
}

fn write(db: &Connection, sql: &str, asset: &Asset) -> Result<usize, Fault> {
    let params = named_params! {
        ":id": asset.id.as_bytes(),
        ":org": asset.org.as_bytes(),
        ":title": asset.title,
        ":external_id": asset.external_id,
        ":metadata": asset.metadata,
        ":policy": asset.policy.as_str(),
        ":source": asset.source.as_str(),
        ":playable": asset.playable.as_str(),
        ":degraded": asset.degraded,
        ":failure": asset.failure.as_ref().map(documents::failure),
        ":stored_bytes": asset.stored.as_ref().map(|stored| stored.bytes.cast_signed()),
        ":stored_sha256": asset.stored.as_ref().map(|stored| stored.sha256),
        ":media": asset.media.as_ref().map(documents::media),
        ":renditions": documents::renditions(&asset.renditions),
        ":captions": documents::captions(&asset.captions),
        ":downloads": documents::downloads(&asset.downloads),
        ":revision": asset.revision.cast_signed(),
        ":created_at": millis(asset.created_at),
        ":updated_at": millis(asset.updated_at),
    };
    run(db, sql, params)
}

fn decode(row: &Row<'_>) -> Result<Asset, Fault> {
    let stored = match (number_or_none(row, "stored_bytes")?, get(row, "stored_sha256")?) {
        (Some(bytes), Some(sha256)) => Some(StoredSource { bytes, sha256 }),
        (None, None) => None,
        (Some(_), None) | (None, Some(_)) => return Err(Fault::Strange("stored_sha256")),
    };
    Ok(Asset {
        id: AssetId::from_bytes(get(row, "id")?),
        org: OrgId::from_bytes(get(row, "org")?),
        title: get(row, "title")?,
        external_id: get(row, "external_id")?,
        metadata: get(row, "metadata")?,
        policy: parsed(row, "policy")?,
        source: parsed(row, "source")?,
        playable: parsed(row, "playable")?,
        degraded: get(row, "degraded")?,
        failure: read_or_none(row, "failure", documents::failure_of)?,
        stored,
        media: read_or_none(row, "media", documents::media_of)?,
        renditions: read(row, "renditions", documents::renditions_of)?,
        captions: read(row, "captions", documents::captions_of)?,
        downloads: read(row, "downloads", documents::downloads_of)?,
        revision: number(row, "revision")?,
        created_at: time(row, "created_at")?,
        updated_at: time(row, "updated_at")?,
    })
}
