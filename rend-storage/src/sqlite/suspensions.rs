use async_trait::async_trait;
use rend_core::id::{AssetId, OrgId};
use rend_core::suspension::{Entry, Order, Signed, Subject, standing};
use rusqlite::{Row, named_params};

use super::columns::{capped, get, limit, millis, number, parsed, time};
use super::fault::Fault;
use super::{Sqlite, all, first};
use crate::StoreError;
use crate::suspensions::SuspensionLog;

#[async_trait]
impl SuspensionLog for Sqlite {
    async fn append_order(&self, order: &Order) -> Result<Entry, StoreError> {
        let order = order.clone();
        self.write(move |db| {
            let params = named_params! {
                ":kind": order.subject.kind(),
                ":subject": order.subject.bytes(),
                ":action": order.action.as_str(),
                ":ordered_by": order.signed.by(),
                ":reason": order.signed.reason(),
                ":at": millis(order.at),
            };
            let seq = first(db, include_str!("sql/order_append.sql"), params, |row| number(row, "seq"))?;
            Ok(Entry { seq: seq.ok_or(Fault::Strange("seq"))?, order: order.clone() })
        })
        .await
    }

    async fn suspension(&self, asset: AssetId) -> Result<Option<Entry>, StoreError> {
        self.read(move |db| {
            let params = named_params! { ":asset": asset.as_bytes() };
            Ok(standing(all(db, include_str!("sql/orders_newest.sql"), params, decode)?))
        })
        .await
    }

    async fn org_suspension(&self, org: OrgId) -> Result<Option<Entry>, StoreError> {
        self.read(move |db| {
            let params = named_params! { ":org": org.as_bytes() };
            Ok(standing(all(db, include_str!("sql/orders_newest_of_org.sql"), params, decode)?))
        })
        .await
    }

    async fn orders_after(&self, seq: u64, rows: usize) -> Result<Vec<Entry>, StoreError> {
        self.read(move |db| {
            let params = named_params! { ":seq": capped(seq), ":limit": limit(rows) };
            all(db, include_str!("sql/orders_after.sql"), params, decode)
        })
        .await
    }
}

fn decode(row: &Row<'_>) -> Result<Entry, Fault> {
    let (kind, by, reason): (String, String, String) =
        (get(row, "kind")?, get(row, "ordered_by")?, get(row, "reason")?);
    let order = Order {
        subject: Subject::from_parts(&kind, get(row, "subject")?).ok_or(Fault::Strange("kind"))?,
        action: parsed(row, "action")?,
        signed: Signed::new(&by, &reason).map_err(|_| Fault::Strange("reason"))?,
        at: time(row, "at")?,
    };
    Ok(Entry { seq: number(row, "seq")?, order })
}
