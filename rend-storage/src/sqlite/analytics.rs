use async_trait::async_trait;
use rend_core::analytics::{NodeAccount, PlaybackBatch, PlaybackEvent, PlaybackReport, Recorded, Served};
use rend_core::id::{AssetId, EdgeId, OrgId};
use rend_core::metering::{BYTES_MAX, STRETCH_MS, Taking};
use rend_core::time::Timestamp;
use rend_core::usage::RunHour;
use rend_core::viewing::{PartKey, PlayerEvent, ViewPart};
use rusqlite::{Connection, Row, ToSql, named_params};

use super::columns::{get, limit, millis, number, parsed, time_or_none};
use super::fault::Fault;
use super::{Sqlite, all, first, run};
use crate::StoreError;
use crate::analytics::Analytics;

#[async_trait]
impl Analytics for Sqlite {
    async fn record(&self, batch: &PlaybackBatch, now: Timestamp) -> Result<Recorded, StoreError> {
        let batch = batch.clone();
        self.write(move |db| {
            let mut accounts = vec![Account::load(db, &batch.node, batch.boot)?];
            accounts[0].0.dropped_total = accounts[0].0.dropped_total.max(batch.dropped_total);
            let mut recorded = Recorded::default();
            for event in &batch.events {
                if insert(db, event, now)? == 0 {
                    recorded.repeated += 1;
                    continue;
                }
                recorded.new += 1;
                let of_event = |account: &Account| account.0.node == event.node && account.0.boot == event.boot;
                let place = match accounts.iter().position(of_event) {
                    Some(place) => place,
                    None => {
                        accounts.push(Account::load(db, &event.node, event.boot)?);
                        accounts.len() - 1
                    }
                };
                let account = &mut accounts[place].0;
                account.received += 1;
                account.seq_max = account.seq_max.max(event.seq);
            }
            accounts.iter().try_for_each(|account| account.store(db))?;
            Ok(recorded)
        })
        .await
    }

    async fn playback(&self, asset: AssetId, from: Timestamp, until: Timestamp) -> Result<PlaybackReport, StoreError> {
        self.read(move |db| {
            let scope = Scope { of: "asset = :asset", from, until };
            scope.report(db, &[(":asset", asset.as_bytes())])
        })
        .await
    }

    async fn overview(
        &self,
        org: OrgId,
        from: Timestamp,
        until: Timestamp,
        top: usize,
    ) -> Result<(PlaybackReport, Vec<(AssetId, PlaybackReport)>), StoreError> {
        self.read(move |db| {
            let total = Scope { of: "org = :org", from, until }.report(db, &[(":org", org.as_bytes())])?;
            let params = named_params! {
                ":org": org.as_bytes(),
                ":from": millis(from),
                ":until": millis(until),
                ":top": limit(top),
            };
            let asset = |row: &Row<'_>| Ok(AssetId::from_bytes(get(row, "asset")?));
            let assets = all(db, include_str!("sql/playback_top.sql"), params, asset)?;
            // The plus keeps SQLite from searching by organisation, of which there is more than of one asset.
            let scope = Scope { of: "asset = :asset AND +org = :org", from, until };
            let report = |asset: AssetId| {
                Ok((asset, scope.report(db, &[(":asset", asset.as_bytes()), (":org", org.as_bytes())])?))
            };
            Ok((total, assets.into_iter().map(report).collect::<Result<_, Fault>>()?))
        })
        .await
    }

    async fn served(&self, org: OrgId, from: Timestamp, until: Timestamp) -> Result<Vec<Served>, StoreError> {
        self.read(move |db| {
            let params = named_params! { ":org": org.as_bytes(), ":from": millis(from), ":until": millis(until) };
            all(db, include_str!("sql/playback_served.sql"), params, |row| {
                let rung: String = get(row, "rung")?;
                Ok(Served {
                    node: parsed(row, "node")?,
                    rung: if rung.is_empty() { None } else { Some(parsed(row, "rung")?) },
                    requests: number(row, "requests")?,
                    bytes: both_halves(row)?,
                })
            })
        })
        .await
    }

    async fn accounts(&self) -> Result<Vec<NodeAccount>, StoreError> {
        self.read(|db| all(db, include_str!("sql/account_all.sql"), &[], decode)).await
    }

    async fn hours(&self, from: Timestamp, until: Timestamp) -> Result<Vec<RunHour>, StoreError> {
        self.read(move |db| {
            let params = named_params! { ":from": millis(from), ":until": millis(until) };
            all(db, include_str!("sql/playback_hours.sql"), params, |row| {
                Ok(RunHour {
                    hour: Timestamp::from_millis(number(row, "hours")?.saturating_mul(HOUR_MS)),
                    node: parsed(row, "node")?,
                    boot: get(row, "boot")?,
                    rows: number(row, "records")?,
                    seq_min: seq(get(row, "first_id")?),
                    seq_max: seq(get(row, "last_id")?),
                })
            })
        })
        .await
    }

    async fn takings(
        &self,
        from: Timestamp,
        until: Timestamp,
        after: Option<&Taking>,
        rows: usize,
    ) -> Result<Vec<Taking>, StoreError> {
        let after = after.cloned();
        self.read(move |db| {
            let owner = after.as_ref().and_then(|after| after.org).map_or_else(Vec::new, |org| org.as_bytes().to_vec());
            let params = named_params! {
                ":from": millis(from),
                ":until": millis(until),
                ":most": BYTES_MAX.cast_signed(),
                ":stretch_ms": STRETCH_MS.cast_signed(),
                // Before the first there is nothing: the empty name sorts before every other.
                ":asset": after.as_ref().map_or_else(Vec::new, |after| after.asset.as_bytes().to_vec()),
                ":owner": owner,
                ":path": after.as_ref().map_or("", |after| after.path.as_str()),
                ":sent": after.as_ref().map_or(0, |after| after.sent.cast_signed()),
                ":entire": after.as_ref().map_or(0, |after| after.whole.cast_signed()),
                ":limit": limit(rows),
            };
            all(db, include_str!("sql/playback_takings.sql"), params, |row| {
                let owner: Vec<u8> = get(row, "owner")?;
                Ok(Taking {
                    asset: AssetId::from_bytes(get(row, "asset")?),
                    org: owner.try_into().ok().map(OrgId::from_bytes),
                    path: get(row, "path")?,
                    sent: number(row, "sent")?,
                    whole: number(row, "entire")?,
                    times: number(row, "times")?,
                })
            })
        })
        .await
    }

    async fn record_player(&self, events: &[PlayerEvent], _now: Timestamp) -> Result<(), StoreError> {
        let events = events.to_vec();
        self.write(move |db| events.iter().try_for_each(|event| insert_player(db, event))).await
    }

    async fn views(
        &self,
        org: OrgId,
        from: Timestamp,
        until: Timestamp,
        after: Option<&PartKey>,
        rows: usize,
    ) -> Result<Vec<ViewPart>, StoreError> {
        let after = after.cloned();
        self.read(move |db| {
            let params = named_params! {
                ":org": org.as_bytes(),
                ":from": millis(from),
                ":until": millis(until),
                // Before the first there is nothing: the empty name sorts before every other.
                ":view": after.as_ref().map_or_else(Vec::new, |after| after.view.to_vec()),
                ":edge": after.as_ref().map_or("", |after| after.edge.as_str()),
                ":rung": after.as_ref().map_or("", |after| after.rung.as_str()),
                ":limit": limit(rows),
            };
            all(db, include_str!("sql/player_views.sql"), params, view_part)
        })
        .await
    }
}

/// An hour in milliseconds.
const HOUR_MS: u64 = 3_600_000;

/// The place that an event's name ends with.
fn seq(id: [u8; 16]) -> u64 {
    id[8..].iter().fold(0, |seq, byte| seq << 8 | u64::from(*byte))
}

fn insert(db: &Connection, event: &PlaybackEvent, now: Timestamp) -> Result<usize, Fault> {
    let params = named_params! {
        ":id": event.id(),
        ":node": event.node.as_str(),
        ":observed_at": millis(event.observed_at),
        ":org": event.org.map(|org| *org.as_bytes()),
        ":asset": event.asset.as_bytes(),
        ":session": event.session,
        ":path": event.path.to_string(),
        ":object_bytes": event.object_bytes.map(u64::cast_signed),
        ":bytes_sent": event.bytes_sent.cast_signed(),
        ":range_start": event.range_start.cast_signed(),
        ":status": event.status,
        ":cache": event.cache.as_str(),
        ":ttfb_us": event.ttfb_us.cast_signed(),
        ":duration_ms": event.duration_ms.cast_signed(),
        ":aborted": event.aborted,
        ":recorded_at": millis(now),
    };
    run(db, include_str!("sql/playback_insert.sql"), params)
}

fn insert_player(db: &Connection, event: &PlayerEvent) -> Result<(), Fault> {
    let params = named_params! {
        ":view": event.view,
        ":seq": event.seq,
        ":at": millis(event.at),
        ":org": event.org.as_bytes(),
        ":asset": event.asset.as_bytes(),
        ":viewer": event.viewer,
        ":phase": event.phase.as_str(),
        ":startup_ms": event.startup_ms,
        ":playing_ms": event.playing_ms,
        ":stalled_ms": event.stalled_ms,
        ":rung": event.rung.map_or_else(String::new, |rung| rung.to_string()),
        ":edge": event.edge.as_ref().map_or("", |edge| edge.as_str()),
        ":device": event.device.as_str(),
    };
    run(db, include_str!("sql/player_insert.sql"), params).map(drop)
}

fn view_part(row: &Row<'_>) -> Result<ViewPart, Fault> {
    let there = |name| Ok::<_, Fault>(!get::<String>(row, name)?.is_empty());
    Ok(ViewPart {
        view: get(row, "view")?,
        edge: if there("edge")? { Some(parsed(row, "edge")?) } else { None },
        rung: if there("rung")? { Some(parsed(row, "rung")?) } else { None },
        asset: AssetId::from_bytes(get(row, "asset")?),
        viewer: get(row, "viewer")?,
        device: parsed(row, "device")?,
        intents: number(row, "intents")?,
        startup_ms: get(row, "startup_ms")?,
        playing_ms: number(row, "playing_ms")?,
        stalled_ms: number(row, "stalled_ms")?,
        errors: number(row, "errors")?,
        ends: number(row, "ends")?,
        last_at: Timestamp::from_millis(number(row, "last_at")?),
    })
}

/// Bytes that were summed in two halves, since a sum past 63 bits would be an error.
fn both_halves(row: &Row<'_>) -> Result<u64, Fault> {
    let bytes = (u128::from(number(row, "bytes_high")?) << 32) + u128::from(number(row, "bytes_low")?);
    Ok(u64::try_from(bytes).unwrap_or(u64::MAX))
}

/// The account of one run of one edge while a batch is recorded.
struct Account(NodeAccount);

impl Account {
    fn load(db: &Connection, node: &EdgeId, boot: [u8; 8]) -> Result<Self, Fault> {
        let params = named_params! { ":node": node.as_str(), ":boot": boot };
        let known = first(db, include_str!("sql/account_get.sql"), params, decode)?;
        let none_yet = || NodeAccount { node: node.clone(), boot, received: 0, seq_max: 0, dropped_total: 0 };
        Ok(Self(known.unwrap_or_else(none_yet)))
    }

    fn store(&self, db: &Connection) -> Result<(), Fault> {
        let params = named_params! {
            ":node": self.0.node.as_str(),
            ":boot": self.0.boot,
            ":received": self.0.received.cast_signed(),
            ":seq_max": self.0.seq_max.cast_signed(),
            ":dropped_total": self.0.dropped_total.cast_signed(),
        };
        run(db, include_str!("sql/account_put.sql"), params)?;
        Ok(())
    }
}

fn decode(row: &Row<'_>) -> Result<NodeAccount, Fault> {
    Ok(NodeAccount {
        node: parsed(row, "node")?,
        boot: get(row, "boot")?,
        received: number(row, "received")?,
        seq_max: number(row, "seq_max")?,
        dropped_total: number(row, "dropped_total")?,
    })
}

/// Which events a report counts. Its statements stand here, since all but their condition is alike.
struct Scope {
    of: &'static str,
    from: Timestamp,
    until: Timestamp,
}

impl Scope {
    fn report(&self, db: &Connection, of: &[(&str, &dyn ToSql)]) -> Result<PlaybackReport, Fault> {
        let (from, until) = (millis(self.from), millis(self.until));
        let mut params: Vec<(&str, &dyn ToSql)> = vec![(":from", &from), (":until", &until)];
        params.extend_from_slice(of);
        let condition = format!("{} AND observed_at >= :from AND observed_at < :until", self.of);
        let totals = format!(
            "SELECT count(*) AS requests, count(DISTINCT session) AS sessions,
               coalesce(sum((bytes_sent >> 32) & 4294967295), 0) AS bytes_high,
               coalesce(sum(bytes_sent & 4294967295), 0) AS bytes_low,
               min(observed_at) AS first_seen, max(observed_at) AS last_seen
             FROM playback WHERE {condition}"
        );
        let counts = format!(
            "SELECT cache, status, count(*) AS requests FROM playback WHERE {condition} GROUP BY cache, status"
        );
        let report = first(db, &totals, &params, |row| {
            Ok(PlaybackReport {
                requests: number(row, "requests")?,
                bytes: both_halves(row)?,
                sessions: number(row, "sessions")?,
                first_seen: time_or_none(row, "first_seen")?,
                last_seen: time_or_none(row, "last_seen")?,
                ..PlaybackReport::default()
            })
        })?;
        let mut report = report.unwrap_or_default();
        let count = |row: &Row<'_>| Ok((parsed(row, "cache")?, get(row, "status")?, number(row, "requests")?));
        for (cache, status, requests) in all(db, &counts, &params, count)? {
            *report.by_cache.entry(cache).or_default() += requests;
            *report.by_status.entry(status).or_default() += requests;
        }
        Ok(report)
    }
}
