use async_trait::async_trait;
use rend_core::id::{AssetId, OrgId, UploadId};
use rend_core::time::Timestamp;
use rend_core::upload::{UploadSession, UploadState};
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use super::Postgres;
use super::columns::{Id, id, limit, millis, number, number_or_none, parsed, time};
use super::fault::Fault;
use super::session::Session;
use crate::StoreError;
use crate::uploads::UploadStore;

#[async_trait]
impl UploadStore for Postgres {
    async fn open(&self, session: &UploadSession) -> Result<(), StoreError> {
        let params: [&(dyn ToSql + Sync); 7] = [
            &Id(*session.id.as_bytes()),
            &Id(*session.asset.as_bytes()),
            &Id(*session.org.as_bytes()),
            &session.bytes_expected.map(u64::cast_signed),
            &session.state.as_str(),
            &millis(session.expires_at),
            &millis(session.created_at),
        ];
        let db = self.session().await?;
        let inserted = db.run(include_str!("sql/upload_insert.sql"), &params).await;
        match db.end(inserted)? {
            0 => Err(StoreError::Conflict { what: "upload" }),
            _ => Ok(()),
        }
    }

    async fn get(&self, id: UploadId) -> Result<UploadSession, StoreError> {
        let db = self.session().await?;
        let found = find(&db, include_str!("sql/upload_get.sql"), id).await;
        db.end(found.and_then(|row| decode(&row)))
    }

    async fn settle(&self, id: UploadId, to: UploadState) -> Result<(), StoreError> {
        let db = self.transaction().await?;
        let settled = settle(&db, id, to).await;
        db.commit(settled).await
    }

    async fn expired(&self, now: Timestamp, rows: usize) -> Result<Vec<UploadSession>, StoreError> {
        let db = self.session().await?;
        let found = db.all(include_str!("sql/upload_expired.sql"), &[&millis(now), &limit(rows)]).await;
        db.end(found.and_then(|rows| rows.iter().map(decode).collect()))
    }

    async fn bytes_held(&self, org: OrgId) -> Result<u64, StoreError> {
        let db = self.session().await?;
        let held = db.all(include_str!("sql/upload_bytes_held.sql"), &[&Id(*org.as_bytes())]).await;
        db.end(held.and_then(|rows| rows.first().map_or(Ok(0), |row| number(row, "bytes"))))
    }
}

async fn settle(db: &Session, id: UploadId, to: UploadState) -> Result<(), Fault> {
    let conflict = || Err(StoreError::Conflict { what: "upload" }.into());
    match decode(&find(db, include_str!("sql/upload_hold.sql"), id).await?)?.state {
        _ if to == UploadState::Open => conflict(),
        UploadState::Open => {
            db.run(include_str!("sql/upload_settle.sql"), &[&Id(*id.as_bytes()), &to.as_str()]).await?;
            Ok(())
        }
        settled if settled == to => Ok(()),
        UploadState::Complete | UploadState::Abandoned => conflict(),
    }
}

/// The row of the upload named `id`.
pub(super) async fn find(db: &Session, sql: &str, id: UploadId) -> Result<Row, Fault> {
    let found = db.first(sql, &[&Id(*id.as_bytes())]).await?;
    found.ok_or_else(|| StoreError::NotFound { what: "upload" }.into())
}

pub(super) fn decode(row: &Row) -> Result<UploadSession, Fault> {
    Ok(UploadSession {
        id: UploadId::from_bytes(id(row, "id")?),
        asset: AssetId::from_bytes(id(row, "asset")?),
        org: OrgId::from_bytes(id(row, "org")?),
        bytes_expected: number_or_none(row, "bytes_expected")?,
        state: parsed(row, "state")?,
        expires_at: time(row, "expires_at")?,
        created_at: time(row, "created_at")?,
    })
}
