use async_trait::async_trait;
use rend_core::artifact::Rendition;
use rend_core::id::{AssetId, OrgId};
use rend_core::media::ladder::Tier;
use rend_core::time::Timestamp;
use rend_core::usage::{Correction, CountedHour, Lengths, Usage};
use rusqlite::{Row, named_params};

use super::columns::{get, limit, millis, number, parsed, time};
use super::fault::Fault;
use super::{Sqlite, all, changed, first, run};
use crate::StoreError;
use crate::usage::UsageLedger;

#[async_trait]
impl UsageLedger for Sqlite {
    async fn counted(&self, from: Timestamp, until: Timestamp) -> Result<Vec<CountedHour>, StoreError> {
        self.read(move |db| {
            let params = named_params! { ":from": millis(from), ":until": millis(until) };
            all(db, include_str!("sql/usage_counted.sql"), params, |row| {
                Ok(CountedHour {
                    hour: time(row, "hour")?,
                    rows: number(row, "records")?,
                    complete: get(row, "complete")?,
                    uncounted: number(row, "uncounted")?,
                    pass: number(row, "pass")?,
                    at: time(row, "at")?,
                })
            })
        })
        .await
    }

    async fn written(&self, hour: Timestamp) -> Result<Vec<Usage>, StoreError> {
        self.read(move |db| {
            all(db, include_str!("sql/usage_of_hour.sql"), named_params! { ":hour": millis(hour) }, decode)
        })
        .await
    }

    async fn write_count(&self, hour: &CountedHour, corrections: &[Correction]) -> Result<(), StoreError> {
        let (hour, corrections) = (*hour, corrections.to_vec());
        self.write(move |db| {
            let params = named_params! {
                ":hour": millis(hour.hour),
                ":records": hour.rows.cast_signed(),
                ":complete": hour.complete,
                ":uncounted": hour.uncounted.cast_signed(),
                ":pass": hour.pass.cast_signed(),
                ":at": millis(hour.at),
            };
            let taken = || StoreError::Conflict { what: "count of this hour" };
            changed(run(db, include_str!("sql/usage_count.sql"), params)?, taken())?;
            for correction in &corrections {
                let params = named_params! {
                    ":org": correction.org.as_bytes(),
                    ":hour": millis(correction.hour),
                    ":tier": correction.tier.as_str(),
                    ":revision": correction.revision,
                    ":micros": correction.micros,
                    ":at": millis(hour.at),
                };
                changed(run(db, include_str!("sql/usage_insert.sql"), params)?, taken())?;
            }
            Ok(())
        })
        .await
    }

    async fn usage(
        &self,
        org: OrgId,
        from: Timestamp,
        until: Timestamp,
        after: Option<(Timestamp, Tier)>,
        rows: usize,
    ) -> Result<Vec<Usage>, StoreError> {
        self.read(move |db| {
            let params = named_params! {
                ":org": org.as_bytes(),
                ":from": millis(from),
                ":until": millis(until),
                ":hour": after.map_or(i64::MAX, |(hour, _)| millis(hour)),
                ":tier": after.map_or("", |(_, tier)| tier.as_str()),
                ":limit": limit(rows),
            };
            all(db, include_str!("sql/usage_of_org.sql"), params, decode)
        })
        .await
    }

    async fn learn_lengths(&self, asset: AssetId, rendition: Rendition, lengths: &Lengths) -> Result<(), StoreError> {
        let lengths = lengths.to_string();
        self.write(move |db| {
            let rendition = rendition.to_string();
            let params = named_params! { ":asset": asset.as_bytes(), ":rendition": rendition, ":lengths": lengths };
            run(db, include_str!("sql/lengths_put.sql"), params).map(drop)
        })
        .await
    }

    async fn lengths(&self, asset: AssetId, rendition: Rendition) -> Result<Option<Lengths>, StoreError> {
        self.read(move |db| {
            let params = named_params! { ":asset": asset.as_bytes(), ":rendition": rendition.to_string() };
            first(db, include_str!("sql/lengths_get.sql"), params, |row| parsed(row, "lengths"))
        })
        .await
    }
}

fn decode(row: &Row<'_>) -> Result<Usage, Fault> {
    let tier: String = get(row, "tier")?;
    Ok(Usage {
        org: OrgId::from_bytes(get(row, "org")?),
        hour: time(row, "hour")?,
        tier: Tier::of_word(&tier).ok_or(Fault::Strange("tier"))?,
        revision: get(row, "revision")?,
        micros: number(row, "total")?,
        complete: get(row, "complete")?,
        at: time(row, "at")?,
    })
}
