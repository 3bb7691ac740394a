use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use rend_core::analytics::{NodeAccount, PlaybackBatch, PlaybackEvent, PlaybackReport, Recorded, Served};
use rend_core::id::{AssetId, EdgeId, OrgId};
use rend_core::metering::{BYTES_MAX, STRETCH_MS, Taking};
use rend_core::time::Timestamp;
use rend_core::usage::RunHour;
use rend_core::viewing::{PartKey, PlayerEvent, ViewPart};
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use super::Postgres;
use super::columns::{Id, bytes, get, id, limit, millis, number, parsed, time_or_none};
use super::fault::Fault;
use super::session::{Params, Session};
use crate::StoreError;
use crate::analytics::Analytics;
use crate::documents::Strange;

#[async_trait]
impl Analytics for Postgres {
    async fn record(&self, batch: &PlaybackBatch, now: Timestamp) -> Result<Recorded, StoreError> {
        let db = self.transaction().await?;
        let recorded = record(&db, batch, now).await;
        db.commit(recorded).await
    }

    async fn playback(&self, asset: AssetId, from: Timestamp, until: Timestamp) -> Result<PlaybackReport, StoreError> {
        let db = self.transaction().await?;
        let reported = async {
            one_state(&db).await?;
            let (asset, from, until) = (Id(*asset.as_bytes()), millis(from), millis(until));
            report(&db, OF_ASSET, &[&asset, &from, &until]).await
        };
        let reported = reported.await;
        db.commit(reported).await
    }

    async fn overview(
        &self,
        org: OrgId,
        from: Timestamp,
        until: Timestamp,
        top: usize,
    ) -> Result<(PlaybackReport, Vec<(AssetId, PlaybackReport)>), StoreError> {
        let db = self.transaction().await?;
        let reported = async {
            one_state(&db).await?;
            let (org, from, until) = (Id(*org.as_bytes()), millis(from), millis(until));
            let total = report(&db, OF_ORG, &[&org, &from, &until]).await?;
            let mut assets = Vec::new();
            for row in db.all(include_str!("sql/playback_top.sql"), &[&org, &from, &until, &limit(top)]).await? {
                let asset = id(&row, "asset")?;
                let of_asset = report(&db, OF_BOTH, &[&Id(asset), &from, &until, &org]).await?;
                assets.push((AssetId::from_bytes(asset), of_asset));
            }
            Ok((total, assets))
        };
        let reported = reported.await;
        db.commit(reported).await
    }

    async fn served(&self, org: OrgId, from: Timestamp, until: Timestamp) -> Result<Vec<Served>, StoreError> {
        let db = self.session().await?;
        let params: [&(dyn ToSql + Sync); 3] = [&Id(*org.as_bytes()), &millis(from), &millis(until)];
        let found = db.all(include_str!("sql/playback_served.sql"), &params).await;
        db.end(found.and_then(|rows| rows.iter().map(served).collect()))
    }

    async fn accounts(&self) -> Result<Vec<NodeAccount>, StoreError> {
        let db = self.session().await?;
        let found = db.all(include_str!("sql/account_all.sql"), &[]).await;
        db.end(found.and_then(|rows| rows.iter().map(account).collect()))
    }

    async fn hours(&self, from: Timestamp, until: Timestamp) -> Result<Vec<RunHour>, StoreError> {
        let db = self.session().await?;
        let found = db.all(include_str!("sql/playback_hours.sql"), &[&millis(from), &millis(until)]).await;
        db.end(found.and_then(|rows| rows.iter().map(run_hour).collect()))
    }

    async fn takings(
        &self,
        from: Timestamp,
        until: Timestamp,
        after: Option<&Taking>,
        rows: usize,
    ) -> Result<Vec<Taking>, StoreError> {
        let db = self.session().await?;
        // Before the first there is nothing: the empty path sorts before every other.
        let asset = Id(after.map_or([0; 16], |after| *after.asset.as_bytes()));
        let owner = after.and_then(|after| after.org).map_or_else(Vec::new, |org| org.as_bytes().to_vec());
        let (path, sent, whole) = after.map_or(("", 0, 0), |after| (after.path.as_str(), after.sent, after.whole));
        let params: [&(dyn ToSql + Sync); 10] = [
            &millis(from),
            &millis(until),
            &BYTES_MAX.cast_signed(),
            &STRETCH_MS.cast_signed(),
            &asset,
            &owner,
            &path,
            &sent.cast_signed(),
            &whole.cast_signed(),
            &limit(rows),
        ];
        let found = db.all(include_str!("sql/playback_takings.sql"), &params).await;
        db.end(found.and_then(|rows| rows.iter().map(taking).collect()))
    }

    async fn record_player(&self, events: &[PlayerEvent], _now: Timestamp) -> Result<(), StoreError> {
        let db = self.transaction().await?;
        let recorded = async {
            for event in events {
                insert_player(&db, event).await?;
            }
            Ok(())
        };
        let recorded = recorded.await;
        db.commit(recorded).await
    }

    async fn views(
        &self,
        org: OrgId,
        from: Timestamp,
        until: Timestamp,
        after: Option<&PartKey>,
        rows: usize,
    ) -> Result<Vec<ViewPart>, StoreError> {
        let db = self.session().await?;
        // Before the first there is nothing: the empty name sorts before every other.
        let (view, edge, rung) =
            after.map_or((&[][..], "", ""), |after| (&after.view[..], after.edge.as_str(), after.rung.as_str()));
        let params: [&(dyn ToSql + Sync); 7] =
            [&Id(*org.as_bytes()), &millis(from), &millis(until), &view, &edge, &rung, &limit(rows)];
        let found = db.all(include_str!("sql/player_views.sql"), &params).await;
        db.end(found.and_then(|rows| rows.iter().map(view_part).collect()))
    }
}

/// Statements that count the same events: their totals, and their numbers by status.
type Counting = (&'static str, &'static str);

const OF_ASSET: Counting =
    (include_str!("sql/playback_totals_of_asset.sql"), include_str!("sql/playback_counts_of_asset.sql"));
const OF_ORG: Counting =
    (include_str!("sql/playback_totals_of_org.sql"), include_str!("sql/playback_counts_of_org.sql"));
const OF_BOTH: Counting =
    (include_str!("sql/playback_totals_of_both.sql"), include_str!("sql/playback_counts_of_both.sql"));

/// What follows in the transaction sees one state of the database.
async fn one_state(db: &Session) -> Result<(), Fault> {
    db.batch("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY").await
}

async fn record(db: &Session, batch: &PlaybackBatch, now: Timestamp) -> Result<Recorded, Fault> {
    // Accounts are held in one order by everybody, so that nobody waits in a circle.
    let mut runs: BTreeSet<(&EdgeId, [u8; 8])> = BTreeSet::from([(&batch.node, batch.boot)]);
    runs.extend(batch.events.iter().map(|event| (&event.node, event.boot)));
    let mut accounts = BTreeMap::new();
    for (node, boot) in runs {
        let held = db.first(include_str!("sql/account_hold.sql"), &[&node.as_str(), &&boot[..]]).await?;
        accounts.insert((node.clone(), boot), account(&held.ok_or(Strange("boot"))?)?);
    }
    if let Some(account) = accounts.get_mut(&(batch.node.clone(), batch.boot)) {
        account.dropped_total = account.dropped_total.max(batch.dropped_total);
    }
    let new = insert(db, &batch.events, now).await?;
    let mut recorded = Recorded::default();
    let mut seen = BTreeSet::new();
    for event in &batch.events {
        // Of an event that stands twice in a batch the first is the new one.
        if !(new.contains(&event.id()) && seen.insert(event.id())) {
            recorded.repeated += 1;
            continue;
        }
        recorded.new += 1;
        if let Some(account) = accounts.get_mut(&(event.node.clone(), event.boot)) {
            account.received += 1;
            account.seq_max = account.seq_max.max(event.seq);
        }
    }
    for account in accounts.values() {
        let params: [&(dyn ToSql + Sync); 5] = [
            &account.node.as_str(),
            &&account.boot[..],
            &account.received.cast_signed(),
            &account.seq_max.cast_signed(),
            &account.dropped_total.cast_signed(),
        ];
        db.run(include_str!("sql/account_put.sql"), &params).await?;
    }
    Ok(recorded)
}

/// Writes the events that are new in one statement, and answers which they are.
async fn insert(db: &Session, events: &[PlaybackEvent], now: Timestamp) -> Result<BTreeSet<[u8; 16]>, Fault> {
    fn column<T>(events: &[PlaybackEvent], of: impl Fn(&PlaybackEvent) -> T) -> Vec<T> {
        events.iter().map(of).collect()
    }
    if events.is_empty() {
        return Ok(BTreeSet::new());
    }
    let params: [&(dyn ToSql + Sync); 16] = [
        &column(events, |event| event.id().to_vec()),
        &column(events, |event| event.node.to_string()),
        &column(events, |event| millis(event.observed_at)),
        &column(events, |event| event.org.map(|org| Id(*org.as_bytes()))),
        &column(events, |event| Id(*event.asset.as_bytes())),
        &column(events, |event| event.session.map(|session| session.to_vec())),
        &column(events, |event| event.path.to_string()),
        &column(events, |event| event.object_bytes.map(u64::cast_signed)),
        &column(events, |event| event.bytes_sent.cast_signed()),
        &column(events, |event| event.range_start.cast_signed()),
        &column(events, |event| i32::from(event.status)),
        &column(events, |event| event.cache.as_str()),
        &column(events, |event| event.ttfb_us.cast_signed()),
        &column(events, |event| event.duration_ms.cast_signed()),
        &column(events, |event| event.aborted),
        &millis(now),
    ];
    let rows = db.all(include_str!("sql/playback_insert.sql"), &params).await?;
    rows.iter().map(|row| bytes(row, "id")).collect()
}

async fn report(db: &Session, (totals, counts): Counting, params: Params<'_>) -> Result<PlaybackReport, Fault> {
    let mut report = PlaybackReport::default();
    if let Some(row) = db.first(totals, params).await? {
        report.requests = number(&row, "requests")?;
        report.bytes = both_halves(&row)?;
        report.sessions = number(&row, "sessions")?;
        report.first_seen = time_or_none(&row, "first_seen")?;
        report.last_seen = time_or_none(&row, "last_seen")?;
    }
    for row in db.all(counts, params).await? {
        let requests = number(&row, "requests")?;
        let status = u16::try_from(get::<i32>(&row, "status")?).map_err(|_| Strange("status"))?;
        *report.by_cache.entry(parsed(&row, "cache")?).or_default() += requests;
        *report.by_status.entry(status).or_default() += requests;
    }
    Ok(report)
}

/// Bytes that were summed in two halves.
fn both_halves(row: &Row) -> Result<u64, Fault> {
    let half = |name| get::<&str>(row, name)?.parse::<u128>().map_err(|_| Fault::from(Strange("bytes_sent")));
    Ok(u64::try_from((half("bytes_high")? << 32) + half("bytes_low")?).unwrap_or(u64::MAX))
}

fn served(row: &Row) -> Result<Served, Fault> {
    let is_segment = !get::<&str>(row, "rung")?.is_empty();
    Ok(Served {
        node: parsed(row, "node")?,
        rung: if is_segment { Some(parsed(row, "rung")?) } else { None },
        requests: number(row, "requests")?,
        bytes: both_halves(row)?,
    })
}

async fn insert_player(db: &Session, event: &PlayerEvent) -> Result<(), Fault> {
    let params: [&(dyn ToSql + Sync); 13] = [
        &&event.view[..],
        &i64::from(event.seq),
        &millis(event.at),
        &Id(*event.org.as_bytes()),
        &Id(*event.asset.as_bytes()),
        &&event.viewer[..],
        &event.phase.as_str(),
        &event.startup_ms.map(i64::from),
        &i64::from(event.playing_ms),
        &i64::from(event.stalled_ms),
        &event.rung.map_or_else(String::new, |rung| rung.to_string()),
        &event.edge.as_ref().map_or("", |edge| edge.as_str()),
        &event.device.as_str(),
    ];
    db.run(include_str!("sql/player_insert.sql"), &params).await.map(drop)
}

fn view_part(row: &Row) -> Result<ViewPart, Fault> {
    let there = |name| Ok::<_, Fault>(!get::<&str>(row, name)?.is_empty());
    let startup_ms = get::<Option<i64>>(row, "startup_ms")?;
    Ok(ViewPart {
        view: bytes(row, "view")?,
        edge: if there("edge")? { Some(parsed(row, "edge")?) } else { None },
        rung: if there("rung")? { Some(parsed(row, "rung")?) } else { None },
        asset: AssetId::from_bytes(id(row, "asset")?),
        viewer: bytes(row, "viewer")?,
        device: parsed(row, "device")?,
        intents: number(row, "intents")?,
        startup_ms: startup_ms.map(u32::try_from).transpose().map_err(|_| Strange("startup_ms"))?,
        playing_ms: number(row, "playing_ms")?,
        stalled_ms: number(row, "stalled_ms")?,
        errors: number(row, "errors")?,
        ends: number(row, "ends")?,
        last_at: Timestamp::from_millis(number(row, "last_at")?),
    })
}

fn run_hour(row: &Row) -> Result<RunHour, Fault> {
    let seq = |name| {
        u64::from_str_radix(get::<&str>(row, name)?.get(16..).unwrap_or(""), 16).map_err(|_| Fault::from(Strange(name)))
    };
    Ok(RunHour {
        hour: Timestamp::from_millis(number(row, "hours")?.saturating_mul(HOUR_MS)),
        node: parsed(row, "node")?,
        boot: bytes(row, "boot")?,
        rows: number(row, "records")?,
        seq_min: seq("first_id")?,
        seq_max: seq("last_id")?,
    })
}

fn taking(row: &Row) -> Result<Taking, Fault> {
    Ok(Taking {
        asset: AssetId::from_bytes(id(row, "asset")?),
        org: get::<&[u8]>(row, "owner")?.try_into().ok().map(OrgId::from_bytes),
        path: get(row, "path")?,
        sent: number(row, "sent")?,
        whole: number(row, "entire")?,
        times: number(row, "times")?,
    })
}

/// An hour in milliseconds.
const HOUR_MS: u64 = 3_600_000;

fn account(row: &Row) -> Result<NodeAccount, Fault> {
    Ok(NodeAccount {
        node: parsed(row, "node")?,
        boot: bytes(row, "boot")?,
        received: number(row, "received")?,
        seq_max: number(row, "seq_max")?,
        dropped_total: number(row, "dropped_total")?,
    })
}
