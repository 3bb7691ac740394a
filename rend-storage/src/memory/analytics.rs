use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use rend_core::analytics::{NodeAccount, PlaybackBatch, PlaybackEvent, PlaybackReport, Recorded, Served, served};
use rend_core::id::{AssetId, OrgId};
use rend_core::metering::{Meter, Taking};
use rend_core::time::Timestamp;
use rend_core::usage::RunHour;
use rend_core::viewing::{PartKey, PlayerEvent, ViewPart, parts};

use super::Memory;
use crate::StoreError;
use crate::analytics::Analytics;

/// What is known of one run of one edge.
#[derive(Default)]
pub(super) struct Account {
    received: u64,
    seq_max: u64,
    dropped_total: u64,
}

#[async_trait]
impl Analytics for Memory {
    async fn record(&self, batch: &PlaybackBatch, now: Timestamp) -> Result<Recorded, StoreError> {
        Ok(self.with(|state| {
            let account = state.accounts.entry((batch.node.clone(), batch.boot)).or_default();
            account.dropped_total = account.dropped_total.max(batch.dropped_total);
            let mut recorded = Recorded::default();
            for event in &batch.events {
                if state.played.contains_key(&event.id()) {
                    recorded.repeated += 1;
                    continue;
                }
                state.played.insert(event.id(), event.clone());
                state.recorded_at.insert(event.id(), now);
                let account = state.accounts.entry((event.node.clone(), event.boot)).or_default();
                account.received += 1;
                account.seq_max = account.seq_max.max(event.seq);
                recorded.new += 1;
            }
            recorded
        }))
    }

    async fn playback(&self, asset: AssetId, from: Timestamp, until: Timestamp) -> Result<PlaybackReport, StoreError> {
        Ok(self.with(|state| {
            let of_asset = state.played.values().filter(|event| event.asset == asset);
            report(of_asset.filter(|event| (from..until).contains(&event.observed_at)))
        }))
    }

    async fn overview(
        &self,
        org: OrgId,
        from: Timestamp,
        until: Timestamp,
        top: usize,
    ) -> Result<(PlaybackReport, Vec<(AssetId, PlaybackReport)>), StoreError> {
        Ok(self.with(|state| {
            let of_org = state.played.values().filter(|event| event.org == Some(org));
            let served: Vec<_> = of_org.filter(|event| (from..until).contains(&event.observed_at)).collect();
            let mut by_asset = BTreeMap::<AssetId, Vec<&PlaybackEvent>>::new();
            for event in &served {
                by_asset.entry(event.asset).or_default().push(event);
            }
            let mut assets: Vec<_> = by_asset.into_iter().map(|(id, events)| (id, report(events))).collect();
            // The sort is stable, so that assets with equal requests stay in the order of their ids.
            assets.sort_by_key(|(_, report)| std::cmp::Reverse(report.requests));
            assets.truncate(top);
            (report(served), assets)
        }))
    }

    async fn served(&self, org: OrgId, from: Timestamp, until: Timestamp) -> Result<Vec<Served>, StoreError> {
        Ok(self.with(|state| {
            let of_org = state.played.values().filter(|event| event.org == Some(org));
            served(of_org.filter(|event| (from..until).contains(&event.observed_at)))
        }))
    }

    async fn accounts(&self) -> Result<Vec<NodeAccount>, StoreError> {
        Ok(self.with(|state| {
            let accounts = state.accounts.iter().map(|((node, boot), account)| NodeAccount {
                node: node.clone(),
                boot: *boot,
                received: account.received,
                seq_max: account.seq_max,
                dropped_total: account.dropped_total,
            });
            accounts.collect()
        }))
    }

    async fn hours(&self, from: Timestamp, until: Timestamp) -> Result<Vec<RunHour>, StoreError> {
        Ok(self.with(|state| {
            let mut hours = BTreeMap::<_, RunHour>::new();
            for event in state.played.values().filter(|event| (from..until).contains(&event.observed_at)) {
                let (hour, node, boot, seq) = (event.observed_at.hour(), event.node.clone(), event.boot, event.seq);
                let none_yet = RunHour { hour, node: node.clone(), boot, rows: 0, seq_min: seq, seq_max: seq };
                let run = hours.entry((hour, node, boot)).or_insert(none_yet);
                run.rows += 1;
                run.seq_min = run.seq_min.min(seq);
                run.seq_max = run.seq_max.max(seq);
            }
            hours.into_values().collect()
        }))
    }

    async fn takings(
        &self,
        from: Timestamp,
        until: Timestamp,
        after: Option<&Taking>,
        rows: usize,
    ) -> Result<Vec<Taking>, StoreError> {
        Ok(self.with(|state| {
            let mut meter = Meter::default();
            for event in state.played.values().filter(|event| (from..until).contains(&event.observed_at)) {
                meter.add(event);
            }
            let mut takings = meter.all_takings();
            takings.retain(|taking| after.is_none_or(|after| taking > after));
            takings.truncate(rows);
            takings
        }))
    }

    async fn record_player(&self, events: &[PlayerEvent], _now: Timestamp) -> Result<(), StoreError> {
        self.with(|state| {
            for event in events {
                state.viewed.entry((event.view, event.seq)).or_insert_with(|| event.clone());
            }
        });
        Ok(())
    }

    async fn views(
        &self,
        org: OrgId,
        from: Timestamp,
        until: Timestamp,
        after: Option<&PartKey>,
        rows: usize,
    ) -> Result<Vec<ViewPart>, StoreError> {
        Ok(self.with(|state| {
            let of_org = state.viewed.values().filter(|event| event.org == org && (from..until).contains(&event.at));
            let mut parts = parts(of_org);
            let place = |key: &PartKey| (key.view, key.edge.clone(), key.rung.clone());
            parts.retain(|part| after.is_none_or(|after| place(&part.key()) > place(after)));
            parts.truncate(rows);
            parts
        }))
    }
}

fn report<'e>(events: impl IntoIterator<Item = &'e PlaybackEvent>) -> PlaybackReport {
    let mut report = PlaybackReport::default();
    let mut sessions = BTreeSet::new();
    for event in events {
        report.requests += 1;
        report.bytes = report.bytes.saturating_add(event.bytes_sent);
        sessions.extend(event.session);
        *report.by_cache.entry(event.cache).or_default() += 1;
        *report.by_status.entry(event.status).or_default() += 1;
        let at = event.observed_at;
        report.first_seen = Some(report.first_seen.map_or(at, |first| first.min(at)));
        report.last_seen = Some(report.last_seen.map_or(at, |last| last.max(at)));
    }
    report.sessions = sessions.len() as u64;
    report
}
