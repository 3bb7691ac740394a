use async_trait::async_trait;
use rend_core::credential::Credential;
use rend_core::id::{CredentialId, OrgId};
use rend_core::time::Timestamp;
use rusqlite::{Row, named_params};

use super::columns::{get, millis, parsed, time, time_or_none};
use super::fault::Fault;
use super::{Sqlite, all, changed, first, run};
use crate::StoreError;
use crate::credentials::CredentialStore;

#[async_trait]
impl CredentialStore for Sqlite {
    async fn insert(&self, credential: &Credential) -> Result<(), StoreError> {
        let credential = credential.clone();
        self.write(move |db| {
            let params = named_params! {
                ":id": credential.id.as_bytes(),
                ":org": credential.org.as_bytes(),
                ":name": credential.name,
                ":prefix": credential.prefix,
                ":digest": credential.digest,
                ":scopes": credential.scopes.to_string(),
                ":created_at": millis(credential.created_at),
                ":expires_at": credential.expires_at.map(millis),
                ":last_used_at": credential.last_used_at.map(millis),
                ":revoked_at": credential.revoked_at.map(millis),
            };
            let inserted = run(db, include_str!("sql/credential_insert.sql"), params)?;
            changed(inserted, StoreError::Conflict { what: "credential" })
        })
        .await
    }

    async fn by_digest(&self, digest: &[u8; 32]) -> Result<Credential, StoreError> {
        let digest = *digest;
        self.read(move |db| {
            let params = named_params! { ":digest": digest };
            let found = first(db, include_str!("sql/credential_by_digest.sql"), params, decode)?;
            found.ok_or_else(|| StoreError::NotFound { what: "credential" }.into())
        })
        .await
    }

    async fn list(&self, org: OrgId) -> Result<Vec<Credential>, StoreError> {
        self.read(move |db| {
            all(db, include_str!("sql/credential_list.sql"), named_params! { ":org": org.as_bytes() }, decode)
        })
        .await
    }

    async fn revoke(&self, id: CredentialId, now: Timestamp) -> Result<(), StoreError> {
        self.mark(include_str!("sql/credential_revoke.sql"), id, now).await
    }

    async fn touch(&self, id: CredentialId, now: Timestamp) -> Result<(), StoreError> {
        self.mark(include_str!("sql/credential_touch.sql"), id, now).await
    }
}

impl Sqlite {
    async fn mark(&self, sql: &'static str, id: CredentialId, now: Timestamp) -> Result<(), StoreError> {
        self.write(move |db| {
            let params = named_params! { ":id": id.as_bytes(), ":now": millis(now) };
            changed(run(db, sql, params)?, StoreError::NotFound { what: "credential" })
        })
        .await
    }
}

fn decode(row: &Row<'_>) -> Result<Credential, Fault> {
    Ok(Credential {
        id: CredentialId::from_bytes(get(row, "id")?),
        org: OrgId::from_bytes(get(row, "org")?),
        name: get(row, "name")?,
        prefix: get(row, "prefix")?,
        digest: get(row, "digest")?,
        scopes: parsed(row, "scopes")?,
        created_at: time(row, "created_at")?,
        expires_at: time_or_none(row, "expires_at")?,
        last_used_at: time_or_none(row, "last_used_at")?,
        revoked_at: time_or_none(row, "revoked_at")?,
    })
}
