use async_trait::async_trait;
use rend_core::fleet::{RevocationRow, Revoked};
use rend_core::time::Timestamp;
use rusqlite::{Row, named_params};

use super::columns::{capped, get, limit, millis, number, time, time_or_none};
use super::fault::Fault;
use super::{Sqlite, all, first, run};
use crate::StoreError;
use crate::revocations::{NewRevocation, RevocationLog};

#[async_trait]
impl RevocationLog for Sqlite {
    async fn append_revocation(&self, order: &NewRevocation) -> Result<u64, StoreError> {
        let order = order.clone();
        self.write(move |db| {
            run(db, include_str!("sql/revocations_over.sql"), named_params! { ":now": millis(order.at) })?;
            let params = named_params! {
                ":kind": order.what.kind(),
                ":subject": order.what.subject(),
                ":issued_before": order.issued_before.map(millis),
                ":at": millis(order.at),
                ":expires_at": order.expires_at.map(millis),
            };
            let seq = first(db, include_str!("sql/revocation_append.sql"), params, |row| number(row, "seq"))?;
            seq.ok_or(Fault::Strange("seq"))
        })
        .await
    }

    async fn revocations_after(&self, seq: u64, now: Timestamp, rows: usize) -> Result<Vec<RevocationRow>, StoreError> {
        self.read(move |db| {
            let params = named_params! { ":seq": capped(seq), ":now": millis(now), ":limit": limit(rows) };
            all(db, include_str!("sql/revocations_after.sql"), params, revocation)
        })
        .await
    }

    async fn revocation_head(&self) -> Result<u64, StoreError> {
        self.read(|db| {
            let newest = first(db, include_str!("sql/revocation_head.sql"), &[], |row| number(row, "seq"))?;
            Ok(newest.unwrap_or(0))
        })
        .await
    }
}

fn revocation(row: &Row<'_>) -> Result<RevocationRow, Fault> {
    let (kind, subject): (String, String) = (get(row, "kind")?, get(row, "subject")?);
    Ok(RevocationRow {
        seq: number(row, "seq")?,
        what: Revoked::parse(&kind, &subject).map_err(|_| Fault::Strange("subject"))?,
        issued_before: time_or_none(row, "issued_before")?,
        at: time(row, "at")?,
        expires_at: time_or_none(row, "expires_at")?,
    })
}
