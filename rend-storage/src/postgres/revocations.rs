use async_trait::async_trait;
use rend_core::fleet::{RevocationRow, Revoked};
use rend_core::time::Timestamp;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use super::Postgres;
use super::columns::{capped, get, limit, millis, number, time, time_or_none};
use super::fault::Fault;
use super::session::Session;
use crate::StoreError;
use crate::documents::Strange;
use crate::revocations::{NewRevocation, RevocationLog};

#[async_trait]
impl RevocationLog for Postgres {
    async fn append_revocation(&self, order: &NewRevocation) -> Result<u64, StoreError> {
        let db = self.transaction().await?;
        let appended = append(&db, order).await;
        db.commit(appended).await
    }

    async fn revocations_after(&self, seq: u64, now: Timestamp, rows: usize) -> Result<Vec<RevocationRow>, StoreError> {
        let db = self.session().await?;
        let params: [&(dyn ToSql + Sync); 3] = [&capped(seq), &millis(now), &limit(rows)];
        let found = db.all(include_str!("sql/revocations_after.sql"), &params).await;
        db.end(found.and_then(|rows| rows.iter().map(decode).collect()))
    }

    async fn revocation_head(&self) -> Result<u64, StoreError> {
        let db = self.session().await?;
        let newest = db.first(include_str!("sql/revocation_head.sql"), &[]).await;
        db.end(newest.and_then(|row| row.map_or(Ok(0), |row| number(&row, "seq"))))
    }
}

async fn append(db: &Session, order: &NewRevocation) -> Result<u64, Fault> {
    let subject = order.what.subject();
    let params: [&(dyn ToSql + Sync); 5] = [
        &order.what.kind(),
        &subject,
        &order.issued_before.map(millis),
        &millis(order.at),
        &order.expires_at.map(millis),
    ];
    // The place first: whoever has it is alone, so that two who append do not wait for each other's rows below.
    let row = db.first(include_str!("sql/revocation_append.sql"), &params).await?;
    let seq = number(&row.ok_or(Strange("seq"))?, "seq")?;
    db.run(include_str!("sql/revocations_over.sql"), &[&millis(order.at), &capped(seq)]).await?;
    Ok(seq)
}

fn decode(row: &Row) -> Result<RevocationRow, Fault> {
    Ok(RevocationRow {
        seq: number(row, "seq")?,
        what: Revoked::parse(get(row, "kind")?, get(row, "subject")?).map_err(|_| Strange("subject"))?,
        issued_before: time_or_none(row, "issued_before")?,
        at: time(row, "at")?,
        expires_at: time_or_none(row, "expires_at")?,
    })
}
