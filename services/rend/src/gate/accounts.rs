//! What was served is accounted for, and what was deleted is gone.

use std::time::Duration;

use rend_core::artifact::ArtifactPath;
use rend_core::fleet::wire::{PurgeMode, PurgeWire};
use rend_core::gate::{Timing, check};
use rend_core::id::AssetId;
use rend_core::time::Clock;
use reqwest::{Method, StatusCode};

use super::{ASK_EVERY, GONE_WITHIN, Gate, VISIBLE_WITHIN};

impl Gate {
    pub(super) async fn telemetry(&mut self, asset: AssetId) -> Vec<String> {
        let began = self.clock.mono();
        loop {
            let report = self.api.get(&format!("/v1/assets/{asset}/analytics/playback?window_seconds=3600")).await;
            let took = self.clock.mono().since(began);
            match report {
                Ok(report) if report["requests"].as_u64().unwrap_or(0) > 0 => {
                    self.note(Timing::TelemetryVisibility, took);
                    return Vec::new();
                }
                Err(why) => return vec![why],
                Ok(_) if took > VISIBLE_WITHIN => {
                    return vec![format!("no play was visible in analytics after {} s", VISIBLE_WITHIN.as_secs())];
                }
                Ok(_) => tokio::time::sleep(ASK_EVERY).await,
            }
        }
    }

    pub(super) async fn accounted(&mut self) -> Vec<String> {
        let mut wrong = Vec::new();
        for at in 0..self.edges.len() {
            let id = self.edges[at].id.clone();
            let before = self.dropped.get(&id).copied().unwrap_or(0);
            let began = self.clock.mono();
            loop {
                let faults = match self.accounts(&id).await {
                    Some((dropped, spooled)) => check::accounted(&id, before, dropped, spooled),
                    None => vec![format!("edge {id} is not registered, or not live")],
                };
                // What is spooled now needs a moment to be delivered, and the heartbeat one more to say so.
                if faults.is_empty() || self.clock.mono().since(began) > VISIBLE_WITHIN {
                    wrong.extend(faults);
                    break;
                }
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
        }
        wrong
    }

    /// What an edge last said of its telemetry: lost and waiting events.
    pub(super) async fn accounts(&self, id: &str) -> Option<(u64, u64)> {
        let fleet = self.api.get("/v1/fleet").await.ok()?;
        let edge = fleet["edges"].as_array()?.iter().find(|edge| edge["id"] == id && edge["live"] == true)?.clone();
        Some((edge["dropped_events"].as_u64()?, edge["spool_events"].as_u64()?))
    }

    pub(super) async fn delete(&mut self, asset: AssetId) -> Vec<String> {
        if let Err(why) = self.api.json(self.api.request(Method::DELETE, &format!("/v1/assets/{asset}"))).await {
            return vec![why];
        }
        if !self.sessions.contains_key(&asset) {
            return Vec::new();
        }
        let began = self.clock.mono();
        let mut wrong;
        loop {
            wrong = Vec::new();
            for at in 0..self.edges.len() {
                for path in [ArtifactPath::Master, ArtifactPath::Poster, ArtifactPath::Opener] {
                    match self.fetch(at, asset, path, &[]).await {
                        Ok(seen) => wrong.extend(check::gone(path, &seen.fetch)),
                        Err(why) => wrong.push(why),
                    }
                }
            }
            if wrong.is_empty() || self.clock.mono().since(began) > GONE_WITHIN {
                return wrong;
            }
            tokio::time::sleep(ASK_EVERY).await;
        }
    }

    pub(super) async fn purge(&self, at: usize, asset: AssetId) -> Result<(), String> {
        let wire = PurgeWire {
            asset_id: asset.to_string(),
            path: None,
            prefix: None,
            mode: PurgeMode::Hard,
            seq: None,
            gone: false,
        };
        let url = format!("{}/internal/purge", self.edges[at].private);
        match self.private(Method::POST, &url, serde_json::to_value(wire).ok()).await? {
            (StatusCode::OK, _) => Ok(()),
            (status, _) => Err(format!("a purge was answered with {status}")),
        }
    }
}
