use async_trait::async_trait;
use rend_core::id::{AssetId, OrgId, UploadId};
use rend_core::time::Timestamp;
use rend_core::upload::{UploadSession, UploadState};
use rusqlite::{Connection, Row, named_params};

use super::columns::{get, limit, millis, number, number_or_none, parsed, time};
use super::fault::Fault;
use super::{Sqlite, all, changed, first, run};
use crate::StoreError;
use crate::uploads::UploadStore;

#[async_trait]
impl UploadStore for Sqlite {
    async fn open(&self, session: &UploadSession) -> Result<(), StoreError> {
        let session = session.clone();
        self.write(move |db| {
            let params = named_params! {
                ":id": session.id.as_bytes(),
                ":asset": session.asset.as_bytes(),
                ":org": session.org.as_bytes(),
                ":bytes_expected": session.bytes_expected.map(u64::cast_signed),
                ":state": session.state.as_str(),
                ":expires_at": millis(session.expires_at),
                ":created_at": millis(session.created_at),
            };
            let inserted = run(db, include_str!("sql/upload_insert.sql"), params)?;
            changed(inserted, StoreError::Conflict { what: "upload" })
        })
        .await
    }

    async fn get(&self, id: UploadId) -> Result<UploadSession, StoreError> {
        self.read(move |db| find(db, id)).await
    }

    async fn settle(&self, id: UploadId, to: UploadState) -> Result<(), StoreError> {
        self.write(move |db| {
            let present = find(db, id)?.state;
            match present {
                _ if to == UploadState::Open => Err(StoreError::Conflict { what: "upload" }.into()),
                UploadState::Open => {
                    let params = named_params! { ":id": id.as_bytes(), ":state": to.as_str() };
                    run(db, include_str!("sql/upload_settle.sql"), params)?;
                    Ok(())
                }
                settled if settled == to => Ok(()),
                UploadState::Complete | UploadState::Abandoned => Err(StoreError::Conflict { what: "upload" }.into()),
            }
        })
        .await
    }

    async fn expired(&self, now: Timestamp, rows: usize) -> Result<Vec<UploadSession>, StoreError> {
        self.read(move |db| {
            let params = named_params! { ":now": millis(now), ":limit": limit(rows) };
            all(db, include_str!("sql/upload_expired.sql"), params, decode)
        })
        .await
    }

    async fn bytes_held(&self, org: OrgId) -> Result<u64, StoreError> {
        self.read(move |db| {
            let params = named_params! { ":org": org.as_bytes() };
            let held = first(db, include_str!("sql/upload_bytes_held.sql"), params, |row| number(row, "bytes"))?;
            Ok(held.unwrap_or(0))
        })
        .await
    }
}

fn find(db: &Connection, id: UploadId) -> Result<UploadSession, Fault> {
    let found = first(db, include_str!("sql/upload_get.sql"), named_params! { ":id": id.as_bytes() }, decode)?;
    found.ok_or_else(|| StoreError::NotFound { what: "upload" }.into())
}

pub(super) fn decode(row: &Row<'_>) -> Result<UploadSession, Fault> {
    Ok(UploadSession {
        id: UploadId::from_bytes(get(row, "id")?),
        asset: AssetId::from_bytes(get(row, "asset")?),
        org: OrgId::from_bytes(get(row, "org")?),
        bytes_expected: number_or_none(row, "bytes_expected")?,
        state: parsed(row, "state")?,
        expires_at: time(row, "expires_at")?,
        created_at: time(row, "created_at")?,
    })
}
