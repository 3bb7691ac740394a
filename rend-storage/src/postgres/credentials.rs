use async_trait::async_trait;
use rend_core::credential::Credential;
use rend_core::id::{CredentialId, OrgId};
use rend_core::time::Timestamp;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use super::Postgres;
use super::columns::{Id, bytes, escape, id, millis, parsed, text, time, time_or_none};
use super::fault::Fault;
use crate::StoreError;
use crate::credentials::CredentialStore;

#[async_trait]
impl CredentialStore for Postgres {
    async fn insert(&self, credential: &Credential) -> Result<(), StoreError> {
        let params: [&(dyn ToSql + Sync); 10] = [
            &Id(*credential.id.as_bytes()),
            &Id(*credential.org.as_bytes()),
            &escape(&credential.name),
            &escape(&credential.prefix),
            &&credential.digest[..],
            &credential.scopes.to_string(),
            &millis(credential.created_at),
            &credential.expires_at.map(millis),
            &credential.last_used_at.map(millis),
            &credential.revoked_at.map(millis),
        ];
        let db = self.session().await?;
        let inserted = db.run(include_str!("sql/credential_insert.sql"), &params).await;
        match db.end(inserted)? {
            0 => Err(StoreError::Conflict { what: "credential" }),
            _ => Ok(()),
        }
    }

    async fn by_digest(&self, digest: &[u8; 32]) -> Result<Credential, StoreError> {
        let db = self.session().await?;
        let found = db.first(include_str!("sql/credential_by_digest.sql"), &[&&digest[..]]).await;
        db.end(found.and_then(|row| decode(&row.ok_or(StoreError::NotFound { what: "credential" })?)))
    }

    async fn list(&self, org: OrgId) -> Result<Vec<Credential>, StoreError> {
        let db = self.session().await?;
        let found = db.all(include_str!("sql/credential_list.sql"), &[&Id(*org.as_bytes())]).await;
        db.end(found.and_then(|rows| rows.iter().map(decode).collect()))
    }

    async fn revoke(&self, id: CredentialId, now: Timestamp) -> Result<(), StoreError> {
        self.mark(include_str!("sql/credential_revoke.sql"), id, now).await
    }

    async fn touch(&self, id: CredentialId, now: Timestamp) -> Result<(), StoreError> {
        self.mark(include_str!("sql/credential_touch.sql"), id, now).await
    }
}

impl Postgres {
    async fn mark(&self, sql: &str, id: CredentialId, now: Timestamp) -> Result<(), StoreError> {
        let db = self.session().await?;
        let marked = db.run(sql, &[&Id(*id.as_bytes()), &millis(now)]).await;
        match db.end(marked)? {
            0 => Err(StoreError::NotFound { what: "credential" }),
            _ => Ok(()),
        }
    }
}

fn decode(row: &Row) -> Result<Credential, Fault> {
    Ok(Credential {
        id: CredentialId::from_bytes(id(row, "id")?),
        org: OrgId::from_bytes(id(row, "org")?),
        name: text(row, "name")?,
        prefix: text(row, "prefix")?,
        digest: bytes(row, "digest")?,
        scopes: parsed(row, "scopes")?,
        created_at: time(row, "created_at")?,
        expires_at: time_or_none(row, "expires_at")?,
        last_used_at: time_or_none(row, "last_used_at")?,
        revoked_at: time_or_none(row, "revoked_at")?,
    })
}
