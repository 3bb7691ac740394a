use async_trait::async_trait;
use rend_core::id::{AssetId, OrgId};
use rend_core::suspension::{Entry, Order, Signed, Subject, standing};
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use super::Postgres;
use super::columns::{Id, capped, escape, get, id, limit, millis, number, parsed, text, time};
use super::fault::Fault;
use crate::StoreError;
use crate::documents::Strange;
use crate::suspensions::SuspensionLog;

#[async_trait]
impl SuspensionLog for Postgres {
    async fn append_order(&self, order: &Order) -> Result<Entry, StoreError> {
        // One statement, and so one transaction.
        let db = self.session().await?;
        let (subject, by) = (Id(*order.subject.bytes()), escape(order.signed.by()));
        let params: [&(dyn ToSql + Sync); 6] = [
            &order.subject.kind(),
            &subject,
            &order.action.as_str(),
            &by,
            &escape(order.signed.reason()),
            &millis(order.at),
        ];
        let placed = db.first(include_str!("sql/order_append.sql"), &params).await;
        let seq = placed.and_then(|row| number(&row.ok_or(Strange("seq"))?, "seq"));
        db.end(seq.map(|seq| Entry { seq, order: order.clone() }))
    }

    async fn suspension(&self, asset: AssetId) -> Result<Option<Entry>, StoreError> {
        self.standing(include_str!("sql/orders_newest.sql"), *asset.as_bytes()).await
    }

    async fn org_suspension(&self, org: OrgId) -> Result<Option<Entry>, StoreError> {
        self.standing(include_str!("sql/orders_newest_of_org.sql"), *org.as_bytes()).await
    }

    async fn orders_after(&self, seq: u64, rows: usize) -> Result<Vec<Entry>, StoreError> {
        let db = self.session().await?;
        let found = db.all(include_str!("sql/orders_after.sql"), &[&capped(seq), &limit(rows)]).await;
        db.end(found.and_then(|rows| rows.iter().map(decode).collect()))
    }
}

impl Postgres {
    /// What stands by the newest orders that `statement` finds of the subject with this id.
    async fn standing(&self, statement: &str, subject: [u8; 16]) -> Result<Option<Entry>, StoreError> {
        let db = self.session().await?;
        let found = db.all(statement, &[&Id(subject)]).await;
        let newest = found.and_then(|rows| rows.iter().map(decode).collect::<Result<Vec<_>, _>>());
        db.end(newest.map(standing))
    }
}

fn decode(row: &Row) -> Result<Entry, Fault> {
    let order = Order {
        subject: Subject::from_parts(get(row, "kind")?, id(row, "subject")?).ok_or(Strange("kind"))?,
        action: parsed(row, "action")?,
        signed: Signed::new(&text(row, "ordered_by")?, &text(row, "reason")?).map_err(|_| Strange("reason"))?,
        at: time(row, "at")?,
    };
    Ok(Entry { seq: number(row, "seq")?, order })
}
