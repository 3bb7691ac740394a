use async_trait::async_trait;
use rend_core::artifact::Rendition;
use rend_core::id::{AssetId, OrgId};
use rend_core::media::ladder::Tier;
use rend_core::time::Timestamp;
use rend_core::usage::{Correction, CountedHour, Lengths, Usage};
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use super::Postgres;
use super::columns::{Id, get, id, limit, millis, number, parsed, small, time};
use super::fault::Fault;
use super::session::Session;
use crate::StoreError;
use crate::documents::Strange;
use crate::usage::UsageLedger;

#[async_trait]
impl UsageLedger for Postgres {
    async fn counted(&self, from: Timestamp, until: Timestamp) -> Result<Vec<CountedHour>, StoreError> {
        let db = self.session().await?;
        let found = db.all(include_str!("sql/usage_counted.sql"), &[&millis(from), &millis(until)]).await;
        db.end(found.and_then(|rows| rows.iter().map(counted).collect()))
    }

    async fn written(&self, hour: Timestamp) -> Result<Vec<Usage>, StoreError> {
        let db = self.session().await?;
        let found = db.all(include_str!("sql/usage_of_hour.sql"), &[&millis(hour)]).await;
        db.end(found.and_then(|rows| rows.iter().map(usage).collect()))
    }

    async fn write_count(&self, hour: &CountedHour, corrections: &[Correction]) -> Result<(), StoreError> {
        let db = self.transaction().await?;
        let counted = write_count(&db, hour, corrections).await;
        db.commit(counted).await
    }

    async fn usage(
        &self,
        org: OrgId,
        from: Timestamp,
        until: Timestamp,
        after: Option<(Timestamp, Tier)>,
        rows: usize,
    ) -> Result<Vec<Usage>, StoreError> {
        let db = self.session().await?;
        let (hour, tier) = after.map_or((i64::MAX, ""), |(hour, tier)| (millis(hour), tier.as_str()));
        let params: [&(dyn ToSql + Sync); 6] =
            [&Id(*org.as_bytes()), &millis(from), &millis(until), &hour, &tier, &limit(rows)];
        let found = db.all(include_str!("sql/usage_of_org.sql"), &params).await;
        db.end(found.and_then(|rows| rows.iter().map(usage).collect()))
    }

    async fn learn_lengths(&self, asset: AssetId, rendition: Rendition, lengths: &Lengths) -> Result<(), StoreError> {
        let db = self.session().await?;
        let params: [&(dyn ToSql + Sync); 3] = [&Id(*asset.as_bytes()), &rendition.to_string(), &lengths.to_string()];
        let learnt = db.run(include_str!("sql/lengths_put.sql"), &params).await;
        db.end(learnt.map(drop))
    }

    async fn lengths(&self, asset: AssetId, rendition: Rendition) -> Result<Option<Lengths>, StoreError> {
        let db = self.session().await?;
        let params: [&(dyn ToSql + Sync); 2] = [&Id(*asset.as_bytes()), &rendition.to_string()];
        let found = db.first(include_str!("sql/lengths_get.sql"), &params).await;
        db.end(found.and_then(|row| row.map(|row| parsed(&row, "lengths")).transpose()))
    }
}

async fn write_count(db: &Session, hour: &CountedHour, corrections: &[Correction]) -> Result<(), Fault> {
    let taken = || Err(StoreError::Conflict { what: "count of this hour" }.into());
    let params: [&(dyn ToSql + Sync); 6] = [
        &millis(hour.hour),
        &hour.rows.cast_signed(),
        &hour.complete,
        &hour.uncounted.cast_signed(),
        &hour.pass.cast_signed(),
        &millis(hour.at),
    ];
    // The row holds the hour until the commit, so of two who count it at once the second meets the first one's pass.
    let row = db.first(include_str!("sql/usage_count.sql"), &params).await?;
    if row.map(|row| number(&row, "pass")).transpose()? != Some(hour.pass + 1) {
        return taken();
    }
    for correction in corrections {
        let params: [&(dyn ToSql + Sync); 6] = [
            &Id(*correction.org.as_bytes()),
            &millis(correction.hour),
            &correction.tier.as_str(),
            &i64::from(correction.revision),
            &correction.micros,
            &millis(hour.at),
        ];
        if db.run(include_str!("sql/usage_insert.sql"), &params).await? == 0 {
            return taken();
        }
    }
    Ok(())
}

fn counted(row: &Row) -> Result<CountedHour, Fault> {
    Ok(CountedHour {
        hour: time(row, "hour")?,
        rows: number(row, "records")?,
        complete: get(row, "complete")?,
        uncounted: number(row, "uncounted")?,
        pass: number(row, "pass")?,
        at: time(row, "at")?,
    })
}

fn usage(row: &Row) -> Result<Usage, Fault> {
    Ok(Usage {
        org: OrgId::from_bytes(id(row, "org")?),
        hour: time(row, "hour")?,
        tier: Tier::of_word(get(row, "tier")?).ok_or(Strange("tier"))?,
        revision: small(row, "revision")?,
        micros: number(row, "total")?,
        complete: get(row, "complete")?,
        at: time(row, "at")?,
    })
}
