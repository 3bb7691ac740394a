use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::str::FromStr;

use async_trait::async_trait;
use rend_core::analytics::{NodeAccount, PlaybackBatch, PlaybackEvent, PlaybackReport, Recorded, Served};
use rend_core::id::{AssetId, OrgId};
use rend_core::metering::{BYTES_MAX, STRETCH_MS, Taking};
use rend_core::time::Timestamp;
use rend_core::usage::RunHour;
use rend_core::viewing::{PartKey, PlayerEvent, ViewPart};

use super::fault::Fault;
use super::server::Params;
use super::{ClickHouse, rows};
use crate::StoreError;
use crate::analytics::Analytics;

#[async_trait]
impl Analytics for ClickHouse {
    async fn record(&self, batch: &PlaybackBatch, now: Timestamp) -> Result<Recorded, StoreError> {
        let _alone = self.0.recording.lock().await;
        let mut known = self.known(&batch.events).await?;
        let mut recorded = Recorded::default();
        let mut new = Vec::new();
        for event in &batch.events {
            if known.insert(event.id()) {
                new.push(event);
                recorded.new += 1;
            } else {
                recorded.repeated += 1;
            }
        }
        if !new.is_empty() {
            let (mut events, mut ids) = (Vec::new(), Vec::new());
            for event in &new {
                rows::event(&mut events, event, now);
                rows::id(&mut ids, event, now);
            }
            // The events before their names: what was cut short between the two is written again, under the same key.
            let name = hex(&rows::digest(batch, new));
            let server = &self.0.server;
            server.insert(rows::INSERT_EVENTS, &format!("{name}:edge_events"), events.into()).await?;
            server.insert(rows::INSERT_IDS, &format!("{name}:edge_event_ids"), ids.into()).await?;
        }
        let batch_id = rows::digest(batch, &batch.events);
        let mut row = Vec::new();
        rows::batch(&mut row, batch_id, batch, now);
        let token = format!("{}:ingest_batches", hex(&batch_id));
        self.0.server.insert(rows::INSERT_BATCH, &token, row.into()).await?;
        Ok(recorded)
    }

    async fn playback(&self, asset: AssetId, from: Timestamp, until: Timestamp) -> Result<PlaybackReport, StoreError> {
        let mut params = window(from, until);
        params.push(("asset", hex(asset.as_bytes())));
        Ok(self.report(include_str!("sql/playback.sql"), &params).await?)
    }

    async fn overview(
        &self,
        org: OrgId,
        from: Timestamp,
        until: Timestamp,
        top: usize,
    ) -> Result<(PlaybackReport, Vec<(AssetId, PlaybackReport)>), StoreError> {
        let mut params = window(from, until);
        params.push(("org", hex(org.as_bytes())));
        let total = self.report(include_str!("sql/overview.sql"), &params).await?;
        if top == 0 {
            return Ok((total, Vec::new()));
        }
        params.push(("top", top.to_string()));
        let ranked = self.0.server.rows(include_str!("sql/top.sql"), &params).await?;
        let ranked: Vec<_> =
            ranked.iter().map(|row| Ok(AssetId::from_bytes(bytes(row, 0)?))).collect::<Result<_, Fault>>()?;
        if ranked.is_empty() {
            return Ok((total, Vec::new()));
        }
        let names: Vec<_> = ranked.iter().map(|asset| format!("'{}'", hex(asset.as_bytes()))).collect();
        params.push(("assets", format!("[{}]", names.join(","))));
        let rows = self.0.server.rows(include_str!("sql/overview_assets.sql"), &params).await?;
        let mut reports = BTreeMap::<[u8; 16], PlaybackReport>::new();
        for row in &rows {
            add(reports.entry(bytes(row, 0)?).or_default(), &row[1..])?;
        }
        let report = |asset: AssetId| (asset, reports.remove(asset.as_bytes()).unwrap_or_default());
        Ok((total, ranked.into_iter().map(report).collect()))
    }

    async fn served(&self, org: OrgId, from: Timestamp, until: Timestamp) -> Result<Vec<Served>, StoreError> {
        let mut params = window(from, until);
        params.push(("org", hex(org.as_bytes())));
        let rows = self.0.server.rows(include_str!("sql/served.sql"), &params).await?;
        let served = |row: &Vec<String>| {
            let is_segment = row.get(1).is_some_and(|rung| !rung.is_empty());
            Ok(Served {
                node: parsed(row, 0)?,
                rung: if is_segment { Some(parsed(row, 1)?) } else { None },
                requests: parsed(row, 2)?,
                bytes: u64::try_from(parsed::<u128>(row, 3)?).unwrap_or(u64::MAX),
            })
        };
        Ok(rows.iter().map(served).collect::<Result<_, Fault>>()?)
    }

    async fn accounts(&self) -> Result<Vec<NodeAccount>, StoreError> {
        let rows = self.0.server.rows(include_str!("sql/accounts.sql"), &[]).await?;
        let account = |row: &Vec<String>| {
            Ok(NodeAccount {
                node: parsed(row, 0)?,
                boot: bytes(row, 1)?,
                received: parsed(row, 2)?,
                seq_max: parsed(row, 3)?,
                dropped_total: parsed(row, 4)?,
            })
        };
        Ok(rows.iter().map(account).collect::<Result<_, Fault>>()?)
    }

    async fn hours(&self, from: Timestamp, until: Timestamp) -> Result<Vec<RunHour>, StoreError> {
        let rows = self.0.server.rows(include_str!("sql/hours.sql"), &window(from, until)).await?;
        let seq = |row: &[String], at| Ok(u128::from_be_bytes(bytes(row, at)?) as u64);
        let run = |row: &Vec<String>| {
            Ok(RunHour {
                hour: Timestamp::from_millis(parsed::<u64>(row, 0)?.saturating_mul(HOUR_MS)),
                node: parsed(row, 1)?,
                boot: bytes(row, 2)?,
                rows: parsed(row, 3)?,
                seq_min: seq(row, 4)?,
                seq_max: seq(row, 5)?,
            })
        };
        Ok(rows.iter().map(run).collect::<Result<_, Fault>>()?)
    }

    async fn takings(
        &self,
        from: Timestamp,
        until: Timestamp,
        after: Option<&Taking>,
        rows: usize,
    ) -> Result<Vec<Taking>, StoreError> {
        let mut params = window(from, until);
        let upper = |bytes: &[u8]| hex(bytes).to_uppercase();
        params.extend([
            ("most", BYTES_MAX.to_string()),
            ("stretch_ms", STRETCH_MS.to_string()),
            ("asset", after.map_or_else(String::new, |after| upper(after.asset.as_bytes()))),
            ("owner", after.and_then(|after| after.org).map_or_else(String::new, |org| upper(org.as_bytes()))),
            ("path", after.map_or_else(String::new, |after| after.path.clone())),
            ("sent", after.map_or(0, |after| after.sent).to_string()),
            ("entire", after.map_or(0, |after| after.whole).to_string()),
            ("limit", rows.to_string()),
        ]);
        let rows = self.0.server.rows(include_str!("sql/takings.sql"), &params).await?;
        let taking = |row: &Vec<String>| {
            let owner = row.get(1).ok_or(Fault::Odd("a field"))?;
            let org = if owner.is_empty() { None } else { Some(OrgId::from_bytes(bytes(row, 1)?)) };
            Ok(Taking {
                asset: AssetId::from_bytes(bytes(row, 0)?),
                org,
                path: parsed(row, 2)?,
                sent: parsed(row, 3)?,
                whole: parsed(row, 4)?,
                times: parsed(row, 5)?,
            })
        };
        Ok(rows.iter().map(taking).collect::<Result<_, Fault>>()?)
    }

    async fn record_player(&self, events: &[PlayerEvent], now: Timestamp) -> Result<(), StoreError> {
        if events.is_empty() {
            return Ok(());
        }
        let mut told = Vec::new();
        events.iter().for_each(|event| rows::player(&mut told, event));
        let token = format!("{}:player_events", hex(&rows::sha256(&told)));
        let mut written = Vec::new();
        for event in events {
            rows::player(&mut written, event);
            rows::ingested(&mut written, now);
        }
        Ok(self.0.server.insert(rows::INSERT_PLAYER, &token, written.into()).await?)
    }

    async fn views(
        &self,
        org: OrgId,
        from: Timestamp,
        until: Timestamp,
        after: Option<&PartKey>,
        rows: usize,
    ) -> Result<Vec<ViewPart>, StoreError> {
        let mut params = window(from, until);
        let (view, edge, rung) = after.map_or_else(Default::default, |after| {
            (hex(&after.view).to_uppercase(), after.edge.clone(), after.rung.clone())
        });
        params.extend([("org", hex(org.as_bytes())), ("view", view), ("edge", edge), ("rung", rung)]);
        params.push(("limit", rows.to_string()));
        let rows = self.0.server.rows(include_str!("sql/player_views.sql"), &params).await?;
        Ok(rows.iter().map(|row| view_part(row)).collect::<Result<_, Fault>>()?)
    }
}

impl ClickHouse {
    /// Which of `events` are known.
    async fn known(&self, events: &[PlaybackEvent]) -> Result<BTreeSet<[u8; 16]>, Fault> {
        let asked: BTreeSet<_> = events.iter().map(PlaybackEvent::id).collect();
        let stretches = stretches(&asked);
        let mut known = BTreeSet::new();
        // One run at a time, since the names of others may lie between.
        let runs = stretches.chunk_by(|one, other| one.0[..8] == other.0[..8]);
        for some in runs.flat_map(|run| run.chunks(STRETCHES_MAX)) {
            let ends = |end: fn(&Stretch) -> [u8; 16]| {
                let names: Vec<_> = some.iter().map(|stretch| format!("'{}'", hex(&end(stretch)))).collect();
                format!("[{}]", names.join(","))
            };
            let lowest = some.first().map_or([0; 16], |stretch| stretch.0);
            let highest = some.last().map_or([0; 16], |stretch| stretch.1);
            let params = [
                ("lowest", hex(&lowest)),
                ("highest", hex(&highest)),
                ("firsts", ends(|stretch| stretch.0)),
                ("lasts", ends(|stretch| stretch.1)),
            ];
            for row in self.0.server.rows(include_str!("sql/known.sql"), &params).await? {
                known.insert(bytes(&row, 0)?);
            }
        }
        Ok(&known & &asked)
    }

    async fn report(&self, statement: &str, params: Params<'_>) -> Result<PlaybackReport, Fault> {
        let mut report = PlaybackReport::default();
        for row in self.0.server.rows(statement, params).await? {
            add(&mut report, &row)?;
        }
        Ok(report)
    }
}

/// The first and the last name of a run of names that lie close together.
type Stretch = ([u8; 16], [u8; 16]);

/// Covers `ids` with few stretches that hold little else: batches are places of a run, one after the other.
fn stretches(ids: &BTreeSet<[u8; 16]>) -> Vec<Stretch> {
    let mut stretches: Vec<Stretch> = Vec::new();
    for id in ids {
        match stretches.last_mut() {
            Some((_, last)) if u128::from_be_bytes(*id) - u128::from_be_bytes(*last) <= GAP_MAX => *last = *id,
            _ => stretches.push((*id, *id)),
        }
    }
    stretches
}

/// Adds one row of a report: a row of sums with an empty cache, or the count of one cache and status.
fn add(report: &mut PlaybackReport, row: &[String]) -> Result<(), Fault> {
    if parsed::<u8>(row, 0)? == 0 {
        let (cache, status, requests) = (parsed(row, 1)?, parsed(row, 2)?, parsed::<u64>(row, 3)?);
        *report.by_cache.entry(cache).or_default() += requests;
        *report.by_status.entry(status).or_default() += requests;
        return Ok(());
    }
    report.requests = parsed(row, 3)?;
    if report.requests > 0 {
        report.sessions = parsed(row, 4)?;
        report.bytes = u64::try_from(parsed::<u128>(row, 5)?).unwrap_or(u64::MAX);
        report.first_seen = Some(Timestamp::from_millis(parsed(row, 6)?));
        report.last_seen = Some(Timestamp::from_millis(parsed(row, 7)?));
    }
    Ok(())
}

fn view_part(row: &[String]) -> Result<ViewPart, Fault> {
    let there = |at: usize| row.get(at).is_some_and(|field| !field.is_empty());
    Ok(ViewPart {
        view: bytes(row, 0)?,
        edge: if there(1) { Some(parsed(row, 1)?) } else { None },
        rung: if there(2) { Some(parsed(row, 2)?) } else { None },
        asset: AssetId::from_bytes(bytes(row, 3)?),
        viewer: bytes(row, 4)?,
        device: parsed(row, 5)?,
        intents: parsed(row, 6)?,
        startup_ms: if there(7) { Some(parsed(row, 7)?) } else { None },
        playing_ms: parsed(row, 8)?,
        stalled_ms: parsed(row, 9)?,
        errors: parsed(row, 10)?,
        ends: parsed(row, 11)?,
        last_at: Timestamp::from_millis(parsed(row, 12)?),
    })
}

/// The ends of a window, exactly and as keys have them.
fn window(from: Timestamp, until: Timestamp) -> Vec<(&'static str, String)> {
    vec![
        ("from", from.as_millis().to_string()),
        ("until", until.as_millis().to_string()),
        ("from_place", rows::placed(from).to_string()),
        ("until_place", rows::placed(until).to_string()),
    ]
}

fn parsed<T: FromStr>(row: &[String], at: usize) -> Result<T, Fault> {
    row.get(at).and_then(|field| field.parse().ok()).ok_or(Fault::Odd("a field"))
}

fn bytes<const N: usize>(row: &[String], at: usize) -> Result<[u8; N], Fault> {
    let odd = Fault::Odd("an identifier");
    let field = match row.get(at) {
        Some(field) if field.len() == 2 * N && field.is_ascii() => field,
        _ => return Err(odd),
    };
    let mut bytes = [0; N];
    for (at, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&field[2 * at..2 * at + 2], 16).map_err(|_| Fault::Odd("an identifier"))?;
    }
    Ok(bytes)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut hex, byte| {
        // Writing to a string cannot fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

/// An hour in milliseconds.
const HOUR_MS: u64 = 3_600_000;
/// Names between two of a batch that are fetched in vain rather than asked around.
const GAP_MAX: u128 = 64;
/// Stretches that one question covers.
const STRETCHES_MAX: usize = 500;

#[cfg(test)]
mod tests {
    use super::*;

    fn id(boot: u8, seq: u64) -> [u8; 16] {
        let mut id = [boot; 16];
        id[8..].copy_from_slice(&seq.to_be_bytes());
        id
    }

    #[test]
    fn places_that_follow_each_other_are_asked_for_together() {
        let ids = [id(1, 1), id(1, 2), id(1, 66), id(1, 131), id(2, 1), id(2, u64::MAX)].into();
        let expect = [(id(1, 1), id(1, 66)), (id(1, 131), id(1, 131)), (id(2, 1), id(2, 1))];
        let found = stretches(&ids);
        assert_eq!(found[..3], expect);
        assert_eq!(found[3], (id(2, u64::MAX), id(2, u64::MAX)));
        assert_eq!(stretches(&BTreeSet::new()), []);
    }

    #[test]
    fn identifiers_read_back() {
        let row = vec![hex(&[0xa7; 16]).to_uppercase()];
        assert_eq!(bytes(&row, 0).unwrap(), [0xa7_u8; 16]);
        assert!(bytes::<8>(&row, 0).is_err() && bytes::<16>(&row, 1).is_err());
        assert!(bytes::<2>(&["zzzz".to_owned()], 0).is_err());
    }
}
