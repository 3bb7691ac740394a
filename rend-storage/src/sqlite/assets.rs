use async_trait::async_trait;
use rend_core::asset::{Asset, Failure, MediaFacts, RenditionRow, RenditionState, StoredSource};
use rend_core::event::EventKind;
use rend_core::id::{AssetId, OrgId};
use rusqlite::{Connection, Row, named_params};
use serde_json::Value;

use super::columns::{
    get, json, json_or_none, limit, list_of, millis, number, number_of, number_or_none, object, parsed, text_of, time,
    word_of,
};
use super::fault::Fault;
use super::{Sqlite, all, changed, events, first, jobs, run};
use crate::assets::{AssetStore, Change};
use crate::{StoreError, lease};

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
    let renditions = Value::Array(asset.renditions.iter().map(rendition_to_json).collect());
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
        ":failure": asset.failure.as_ref().map(|failure| failure_to_json(failure).to_string()),
        ":stored_bytes": asset.stored.as_ref().map(|stored| stored.bytes.cast_signed()),
        ":stored_sha256": asset.stored.as_ref().map(|stored| stored.sha256),
        ":media": asset.media.as_ref().map(|media| media_to_json(media).to_string()),
        ":renditions": renditions.to_string(),
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
    let renditions = json(row, "renditions")?;
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
        failure: json_or_none(row, "failure")?.as_ref().map(failure_of).transpose()?,
        stored,
        media: json_or_none(row, "media")?.as_ref().map(media_of).transpose()?,
        renditions: list_of(&renditions, "renditions")?.iter().map(rendition_of).collect::<Result<_, _>>()?,
        revision: number(row, "revision")?,
        created_at: time(row, "created_at")?,
        updated_at: time(row, "updated_at")?,
    })
}

fn failure_to_json(failure: &Failure) -> Value {
    object([("code", failure.code.as_str().into()), ("detail", failure.detail.as_str().into())])
}

fn failure_of(value: &Value) -> Result<Failure, Fault> {
    Ok(Failure { code: text_of(value, "code")?, detail: text_of(value, "detail")? })
}

fn rendition_to_json(row: &RenditionRow) -> Value {
    let (state, failure) = match &row.state {
        RenditionState::Planned => ("planned", Value::Null),
        RenditionState::Ready => ("ready", Value::Null),
        RenditionState::Failed(failure) => ("failed", failure_to_json(failure)),
    };
    object([
        ("rendition", row.rendition.to_string().into()),
        ("state", state.into()),
        ("failure", failure),
        ("bandwidth", row.bandwidth.into()),
    ])
}

fn rendition_of(value: &Value) -> Result<RenditionRow, Fault> {
    let state = match text_of(value, "state")?.as_str() {
        "planned" => RenditionState::Planned,
        "ready" => RenditionState::Ready,
        "failed" => RenditionState::Failed(failure_of(value.get("failure").ok_or(Fault::Strange("failure"))?)?),
        _ => return Err(Fault::Strange("renditions")),
    };
    let bandwidth = value.get("bandwidth").and_then(Value::as_u64);
    Ok(RenditionRow { rendition: word_of(value, "rendition")?, state, bandwidth })
}

fn media_to_json(media: &MediaFacts) -> Value {
    object([
        ("container", media.container.as_str().into()),
        ("duration_ms", media.duration_ms.into()),
        ("width", media.width.into()),
        ("height", media.height.into()),
        ("millifps", media.millifps.into()),
        ("video_codec", media.video_codec.as_str().into()),
        ("audio_codec", media.audio_codec.as_str().into()),
        ("notes", media.notes.clone().into()),
    ])
}

fn media_of(value: &Value) -> Result<MediaFacts, Fault> {
    let note = |note: &Value| note.as_str().map(str::to_owned).ok_or(Fault::Strange("notes"));
    Ok(MediaFacts {
        container: text_of(value, "container")?,
        duration_ms: number_of(value, "duration_ms")?,
        width: number_of(value, "width")?,
        height: number_of(value, "height")?,
        millifps: number_of(value, "millifps")?,
        video_codec: text_of(value, "video_codec")?,
        audio_codec: text_of(value, "audio_codec")?,
        notes: list_of(value, "notes")?.iter().map(note).collect::<Result<_, _>>()?,
    })
}
