//! Drives the fleet's agent: registered, heard, and caught up with what must be forgotten.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rend_cache::{Mode, Scope};
use rend_core::fleet::wire::{
    BeatAnswer, BeatWire, HeartbeatWire, PurgesAnswer, RegisterAnswer, RegisterWire, RevocationsAnswer,
};
use rend_core::fleet::{Agent, AgentConfig, Ask, Heard};
use rend_core::http::{Method, Request, Response};
use rend_core::machine::Machine;
use rend_shell::client::Client;
use rend_shell::{Shutdown, sleep_until};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::{mpsc, oneshot};

use crate::edge::Edge;
use crate::health::Subject;
use crate::internal;

/// Keeps `edge` registered until `shutdown`, then says that it drains.
///
/// `settled` is told once the first attempt is over: either every missed purge is carried out, or the control plane does
/// not answer. Until then nothing is served.
pub(crate) async fn run(
    edge: Arc<Edge>,
    client: Client,
    base: String,
    mut news: mpsc::Receiver<Heard>,
    mut shutdown: Shutdown,
    settled: oneshot::Sender<()>,
) {
    let clock = Arc::clone(&edge.accounts.clock);
    let config = AgentConfig { beat_every: edge.config.heartbeat_every, patience: PATIENCE, ..AgentConfig::default() };
    let seed = u64::from_le_bytes(rend_shell::entropy());
    let mut agent = Agent::new(config, edge.cache.purge_seen(), seed, clock.mono());
    let mut settled = Some(settled);
    loop {
        while let Some(ask) = agent.poll() {
            let heard = perform(&edge, &client, &base, ask).await;
            let over = heard == Heard::Failed || heard == Heard::Unknown;
            agent.handle(heard, clock.mono());
            if over {
                settle(&mut settled);
            }
        }
        if agent.purge_seen() >= edge.cache.purge_seen() && agent.is_registered() {
            settle(&mut settled);
        }
        let Some(due) = agent.deadline() else { return };
        tokio::select! {
            () = shutdown.requested() => break,
            heard = news.recv() => if let Some(heard) = heard { agent.handle(heard, clock.mono()) },
            () = sleep_until(clock.as_ref(), due) => agent.wake(clock.mono()),
        }
    }
    edge.health.drain();
    agent.handle(Heard::Drain, clock.mono());
    while let Some(ask) = agent.poll() {
        let said = tokio::time::timeout(FAREWELL, perform(&edge, &client, &base, ask)).await;
        let Ok(heard) = said else { return };
        agent.handle(heard, clock.mono());
        if heard == Heard::Failed {
            return;
        }
    }
}

fn settle(settled: &mut Option<oneshot::Sender<()>>) {
    // Nobody waits any longer when serving began without it.
    let _ = settled.take().map(|settled| settled.send(()));
}

async fn perform(edge: &Arc<Edge>, client: &Client, base: &str, ask: Ask) -> Heard {
    let started = edge.accounts.clock.mono();
    let heard = match ask {
        Ask::Register { state } => {
            let beat = BeatWire::from(&internal::beat(edge, state));
            let wire = RegisterWire {
                id: edge.config.id.to_string(),
                region: edge.config.region.clone(),
                public_url: edge.config.base_url.clone(),
                private_url: edge.config.private_url.clone(),
                version: env!("CARGO_PKG_VERSION").to_owned(),
                beat,
            };
            match post::<RegisterAnswer>(edge, client, format!("{base}/internal/edges/register"), &wire).await {
                Told::Answer(answer) if learn(edge, client, base).await => {
                    Heard::Registered { purge_head: answer.purge_head }
                }
                Told::Refused(status) => {
                    tracing::warn!(
                        status,
                        "the control plane does not take this edge: compare REND_EXPECTED_EDGES with REND_EDGE_ID, REND_EDGE_REGION and REND_EDGE_BASE_URL, and REND_EDGE_INTERNAL_TOKEN on both sides"
                    );
                    Heard::Failed
                }
                // Whoever does not know what was revoked does not say that he is ready for viewers.
                Told::Answer(_) | Told::Nothing => Heard::Failed,
            }
        }
        Ask::Beat { state } => {
            let beat = BeatWire::from(&internal::beat(edge, state));
            let wire = HeartbeatWire { id: edge.config.id.to_string(), beat };
            match post::<BeatAnswer>(edge, client, format!("{base}/internal/edges/heartbeat"), &wire).await {
                Told::Answer(answer) if learn(edge, client, base).await => {
                    Heard::Beaten { purge_head: answer.purge_head }
                }
                Told::Refused(404) => Heard::Unknown,
                Told::Answer(_) | Told::Refused(_) | Told::Nothing => Heard::Failed,
            }
        }
        Ask::CatchUp { after } => catch_up(edge, client, base, after).await,
    };
    let trouble = (heard == Heard::Failed).then_some("the control plane does not answer as it should");
    edge.health.note(Subject::ControlPlane, started, trouble);
    heard
}

/// Carries out every order after place `after`, a page at a time.
async fn catch_up(edge: &Arc<Edge>, client: &Client, base: &str, after: u64) -> Heard {
    let mut seen = after;
    loop {
        let url = format!("{base}/internal/purges?after={seen}&limit={PURGES_A_PAGE}");
        let request = Request { method: Method::Get, url, headers: headers(edge), body: Bytes::new() };
        let page: Option<PurgesAnswer> = client.send(request).await.ok().and_then(|answer| parsed(&answer));
        let Some(page) = page else { return Heard::Failed };
        let Ok(rows) = page.to_rows() else { return Heard::Failed };
        for (row, wire) in rows.iter().zip(&page.data) {
            // Before what is there is forgotten, so that nothing can be fetched between the two.
            if wire.gone && edge.gone.add(row.asset).await.is_err() {
                return Heard::Failed;
            }
            let scope = Scope::Group(*row.asset.as_bytes());
            if internal::forget(edge, scope, Mode::Hard, row.seq).await.is_err() {
                return Heard::Failed;
            }
            seen = seen.max(row.seq);
        }
        if rows.is_empty() || seen >= page.head {
            return Heard::CaughtUp { seen };
        }
    }
}

/// Learns every revocation that is not known yet, a page at a time, and answers whether all are in force and on disk.
/// Asked with every word that the control plane gives: an order that was not pushed here is in force after one heartbeat.
async fn learn(edge: &Edge, client: &Client, base: &str) -> bool {
    for _ in 0..REVOCATION_PAGES_MAX {
        let seen = edge.trust.seen().await;
        let url = format!("{base}/internal/revocations?after={seen}&limit={REVOCATIONS_A_PAGE}");
        let request = Request { method: Method::Get, url, headers: headers(edge), body: Bytes::new() };
        let Ok(answer) = client.send(request).await else { return false };
        if answer.status == 404 {
            // A control plane from before there were revocations.
            return true;
        }
        let Some(page) = parsed::<RevocationsAnswer>(&answer) else { return false };
        let Ok(rows) = page.to_rows() else { return false };
        if page.head < seen {
            edge.trust.follow_log(page.head).await;
            continue;
        }
        let last = rows.last().map_or(seen, |row| row.seq);
        // What the page leaves out on its way has expired.
        let all = rows.len() < REVOCATIONS_A_PAGE;
        let upto = if all { last.max(page.head) } else { last };
        if let Err(error) = edge.trust.revoke(&rows, Some(upto), edge.accounts.clock.wall()).await {
            tracing::error!(%error, "not every revocation is in force for good; it is tried again");
            return false;
        }
        if all {
            return true;
        }
    }
    false
}

enum Told<T> {
    Answer(T),
    Refused(u16),
    Nothing,
}

async fn post<T: DeserializeOwned>(
    edge: &Edge,
    client: &Client,
    url: String,
    wire: &(impl Serialize + Sync),
) -> Told<T> {
    let mut headers = headers(edge);
    headers.push(("content-type", "application/json".to_owned()));
    // These values hold nothing that JSON can not say.
    let body = Bytes::from(serde_json::to_vec(wire).unwrap_or_default());
    match client.send(Request { method: Method::Post, url, headers, body }).await {
        Ok(answer) => parsed(&answer).map_or(Told::Refused(answer.status), Told::Answer),
        Err(_) => Told::Nothing,
    }
}

fn parsed<T: DeserializeOwned>(answer: &Response) -> Option<T> {
    answer.is_success().then(|| serde_json::from_slice(&answer.body).ok()).flatten()
}

fn headers(edge: &Edge) -> Vec<(&'static str, String)> {
    vec![("authorization", format!("Bearer {}", edge.config.internal_token.expose()))]
}

/// How long the control plane may take to answer.
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);
/// How long a start waits for the purges it missed.
pub(crate) const SETTLE_PATIENCE: Duration = Duration::from_secs(8);
/// How long a stop waits to say so.
const FAREWELL: Duration = Duration::from_secs(2);
/// Orders that are read at once.
const PURGES_A_PAGE: usize = 500;
/// Revocations that are read at once.
const REVOCATIONS_A_PAGE: usize = 1000;
/// Pages that are read in one go: as many as hold every revocation that there can be.
const REVOCATION_PAGES_MAX: usize = rend_core::fleet::RevocationSet::ROWS_MAX / REVOCATIONS_A_PAGE + 2;
