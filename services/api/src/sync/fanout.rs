//! Warm and purge, pushed to the edges by [`Fanout`]: all at once, each again until it answers or is given up.
//!
//! A purge order is written into the log before it is pushed. The push makes it fast; the log makes it certain, since an
//! edge that was away reads the log before it reports active. A warm goes to the edges that routing would send viewers to.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use rend_core::artifact::{ArtifactPath, CaptionRef};
use rend_core::asset::SourceState;
use rend_core::event::{EventKind, FanoutOutcome};
use rend_core::fleet::wire::{PurgeMode, PurgeWire, WarmWire};
use rend_core::fleet::{Answer, Answered, EdgeRow, Fanout, FanoutAsk, FanoutConfig, registry};
use rend_core::http::{Method, Request};
use rend_core::id::{AssetId, EdgeId};
use rend_core::machine::Machine;
use rend_core::routing::{RouteTable, owners};
use rend_core::time::Clock;
use rend_shell::client::{Client, ClientError};
use rend_shell::{Shutdown, seeded, sleep_until};
use rend_storage::StoreError;

use crate::bearer::BearerToken;
use crate::bus::Bus;
use crate::state::Stores;

/// Edges of each region that a title is fetched to ahead of viewers.
pub(crate) const WARM_OWNERS: usize = 2;
/// How long an edge may take to answer one push.
pub(crate) const PUSH_TIMEOUT: Duration = Duration::from_secs(5);

/// What it takes to bring orders to edges. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Dispatch {
    stores: Stores,
    clock: Arc<dyn Clock>,
    client: Client,
    token: BearerToken,
    window: Duration,
    patience: FanoutConfig,
    bus: Bus,
    shutdown: Shutdown,
}

impl Dispatch {
    /// Brings orders to the edges of `stores`, which know them by `token`. An edge counts as there for `window` after its
    /// last word.
    ///
    /// # Errors
    ///
    /// When there is no TLS provider to call edges with.
    pub(crate) fn new(
        stores: Stores,
        clock: Arc<dyn Clock>,
        token: BearerToken,
        window: Duration,
        bus: Bus,
        shutdown: Shutdown,
    ) -> Result<Self, ClientError> {
        let patience = FanoutConfig { timeout: PUSH_TIMEOUT, ..FanoutConfig::default() };
        Ok(Self { stores, clock, client: Client::new(PUSH_TIMEOUT)?, token, window, patience, bus, shutdown })
    }

    /// Orders every edge to forget `asset`. Once the order is in the log the edges that are there are asked and waited
    /// for, within bounds; those that are not are asked without anybody waiting.
    ///
    /// # Errors
    ///
    /// What [`rend_storage::edges::PurgeLog::append_purge`] answers; nothing is pushed then.
    pub(crate) async fn purge(&self, asset: AssetId) -> Result<(), StoreError> {
        let written = self.write_purge(asset).await?;
        self.push_purge(written).await;
        Ok(())
    }

    /// Writes the order to forget `asset` down, and no more: from here on every edge learns it with its next heartbeat.
    /// [`Dispatch::push_purge`] makes it fast.
    ///
    /// # Errors
    ///
    /// What the stores answer; nothing is written then.
    pub(crate) async fn write_purge(&self, asset: AssetId) -> Result<Written, StoreError> {
        // Looked up before: one that is deleted stays so.
        let gone = self.is_gone(asset).await?;
        let seq = self.stores.purges.append_purge(asset, self.clock.wall()).await?;
        Ok(Written { asset, seq, gone })
    }

    /// Whether `asset` was deleted, so that edges must not fetch it again, whatever is left of its objects.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`].
    pub(crate) async fn is_gone(&self, asset: AssetId) -> Result<bool, StoreError> {
        match self.stores.assets.get(asset).await {
            Ok(asset) => Ok(asset.source == SourceState::Deleted),
            Err(StoreError::NotFound { .. }) => Ok(true),
            Err(error) => Err(error),
        }
    }

    /// Brings an order that is in the log to the edges; see [`Dispatch::purge`].
    pub(crate) async fn push_purge(&self, written: Written) {
        let order = Order::purge(written);
        let Ok(rows) = self.stores.edges.all().await else { return };
        let now = self.clock.wall();
        let (live, away): (Vec<_>, Vec<_>) = rows.into_iter().partition(|row| registry::is_live(row, now, self.window));
        if !away.is_empty() {
            let (dispatch, order) = (self.clone(), order.clone());
            rend_shell::spawn("purge-away", async move { dispatch.push(&order, away).await });
        }
        self.push(&order, live).await;
    }

    /// Has the edges ask anew for the list of renditions of `asset`, and forget captions that are `gone`. Responses under way
    /// end as they began. An edge that is away asks by itself once its copy is a minute old.
    pub(crate) async fn purge_captions(&self, asset: AssetId, gone: &[CaptionRef]) {
        let Ok(rows) = self.stores.edges.all().await else { return };
        let now = self.clock.wall();
        let live: Vec<EdgeRow> = rows.into_iter().filter(|row| registry::is_live(row, now, self.window)).collect();
        self.push(&Order::soft(asset, Some(ArtifactPath::Master.to_string()), None), live.clone()).await;
        for captions in gone {
            self.push(&Order::soft(asset, None, Some(format!("hls/c-{captions}/"))), live.clone()).await;
        }
    }

    /// Has every live edge forget what it keeps at `path` of `asset`. Nothing waits for it: it does not come back.
    pub(crate) async fn purge_artifact(&self, asset: AssetId, path: ArtifactPath) {
        let Ok(rows) = self.stores.edges.all().await else { return };
        let now = self.clock.wall();
        let live = rows.into_iter().filter(|row| registry::is_live(row, now, self.window)).collect();
        self.push(&Order::soft(asset, Some(path.to_string()), None), live).await;
    }

    /// Has `paths` of `asset` fetched by the edges that its viewers will be sent to. Nothing depends on it: a warm that
    /// fails costs a miss.
    pub(crate) async fn warm(&self, asset: AssetId, paths: &[ArtifactPath]) {
        let Ok(rows) = self.stores.edges.all().await else { return };
        let playing: Vec<EdgeRow> =
            registry::playing(&rows, self.clock.wall(), self.window).into_iter().cloned().collect();
        let homes = homes(&playing, asset);
        let edges = playing.into_iter().filter(|row| homes.contains(&row.id)).collect();
        self.push(&Order::warm(asset, paths), edges).await;
    }

    /// Carries `order` to each of `edges` and writes down what came of it.
    async fn push(&self, order: &Order, edges: Vec<EdgeRow>) {
        for edge in &edges {
            self.note(order, edge.id.clone(), FanoutOutcome::Attempted).await;
        }
        for (edge, outcome) in self.carry(order, edges).await {
            // An edge that was still being asked when this process was told to stop is not known to have failed.
            if outcome != FanoutOutcome::Attempted {
                self.note(order, edge, outcome).await;
            }
        }
        self.bus.wake();
    }

    async fn carry(&self, order: &Order, edges: Vec<EdgeRow>) -> BTreeMap<EdgeId, FanoutOutcome> {
        let urls: BTreeMap<EdgeId, String> =
            edges.into_iter().map(|edge| (edge.id, format!("{}/{}", edge.private_url, order.path))).collect();
        let mut machine = Fanout::new(urls.keys().cloned(), self.patience, seeded().bits(), self.clock.mono());
        let mut open = FuturesUnordered::new();
        let mut shutdown = self.shutdown.clone();
        loop {
            while let Some(ask) = machine.poll() {
                let url = urls.get(&ask.edge).cloned().unwrap_or_default();
                open.push(self.ask(ask, url, order));
            }
            let Some(due) = machine.deadline() else { break };
            tokio::select! {
                Some(answered) = open.next() => machine.handle(answered, self.clock.mono()),
                () = sleep_until(self.clock.as_ref(), due) => machine.wake(self.clock.mono()),
                () = shutdown.requested() => break,
            }
        }
        machine.outcomes().map(|(edge, outcome)| (edge.clone(), outcome)).collect()
    }

    async fn ask(&self, ask: FanoutAsk, url: String, order: &Order) -> Answered {
        let request = Request {
            method: Method::Post,
            url,
            headers: vec![("authorization", self.token.header()), ("content-type", "application/json".into())],
            body: order.body.clone(),
        };
        let answer = match self.client.send(request).await {
            Ok(answer) => Answer::of_status(answer.status),
            Err(_) => Answer::Failed,
        };
        if answer != Answer::Done {
            tracing::warn!(edge = %ask.edge, attempt = ask.attempt, path = order.path, ?answer, "an edge did not do as told");
        }
        Answered { edge: ask.edge, attempt: ask.attempt, answer }
    }

    async fn note(&self, order: &Order, edge: EdgeId, outcome: FanoutOutcome) {
        let kind = (order.event)(edge, outcome);
        match self.stores.events.append(order.asset, &kind, self.clock.wall()).await {
            Ok(_) | Err(StoreError::NotFound { .. }) => {}
            Err(error) => tracing::warn!(asset = %order.asset, %error, "an event was not written down"),
        }
    }
}

/// The edges of every region on which routing will look for `asset`.
fn homes(playing: &[EdgeRow], asset: AssetId) -> Vec<EdgeId> {
    let Ok(table) = RouteTable::of_fleet(playing) else { return Vec::new() };
    let mut regions: Vec<&str> = table.routes().iter().map(|route| route.region.as_str()).collect();
    regions.sort_unstable();
    regions.dedup();
    regions
        .into_iter()
        .flat_map(|region| owners(&table, region, asset, WARM_OWNERS))
        .map(|route| route.id.clone())
        .collect()
}

/// An order to forget an asset that is in the log.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Written {
    asset: AssetId,
    seq: u64,
    /// Whether it was deleted, so that nothing of it may be fetched again.
    gone: bool,
}

/// One thing that edges are told.
#[derive(Clone)]
struct Order {
    asset: AssetId,
    path: &'static str,
    body: Bytes,
    event: fn(EdgeId, FanoutOutcome) -> EventKind,
}

impl Order {
    fn purge(Written { asset, seq, gone }: Written) -> Self {
        let event = |edge, outcome| EventKind::EdgePurge { edge, outcome };
        let wire = if gone { PurgeWire::gone(asset, seq) } else { PurgeWire::hard(asset, seq) };
        Self { asset, path: "internal/purge", body: body(&wire), event }
    }

    fn soft(asset: AssetId, path: Option<String>, prefix: Option<String>) -> Self {
        let event = |edge, outcome| EventKind::EdgePurge { edge, outcome };
        let wire =
            PurgeWire { asset_id: asset.to_string(), path, prefix, mode: PurgeMode::Soft, seq: None, gone: false };
        Self { asset, path: "internal/purge", body: body(&wire), event }
    }

    fn warm(asset: AssetId, paths: &[ArtifactPath]) -> Self {
        let event = |edge, outcome| EventKind::EdgeWarm { edge, outcome };
        Self { asset, path: "internal/warm", body: body(&WarmWire::new(asset, paths)), event }
    }
}

fn body(wire: &impl serde::Serialize) -> Bytes {
    serde_json::to_vec(wire).unwrap_or_default().into()
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::sync::Mutex;

    use http::StatusCode;
    use rend_core::asset::{Asset, PlaybackPolicy};
    use rend_core::fleet::{Beat, EdgeState};
    use rend_core::time::Timestamp;
    use rend_shell::{ServeOptions, ShutdownTrigger, SystemClock, shutdown_pair};
    use rend_storage::events::EventsOf;
    use warp::Filter;

    use super::*;
    use crate::config::SOLE_ORG;

    /// A fleet of edges that answer with a status each, and what they were told.
    struct Fleet {
        dispatch: Dispatch,
        asset: AssetId,
        told: Arc<Mutex<Vec<String>>>,
        _trigger: ShutdownTrigger,
    }

    impl Fleet {
        async fn new() -> Self {
            rend_shell::install_tls();
            let (trigger, shutdown) = shutdown_pair();
            let stores = Stores::memory();
            let clock = Arc::new(SystemClock::start());
            let asset = AssetId::from_bytes([7; 16]);
            let policy = PlaybackPolicy::Public;
            stores.assets.create(&Asset::new(asset, SOLE_ORG, "t".into(), policy, clock.wall())).await.unwrap();
            let token = BearerToken::new("the-edges-token");
            let window = Duration::from_secs(120);
            let mut dispatch = Dispatch::new(stores, clock, token, window, Bus::default(), shutdown).unwrap();
            dispatch.patience.back_off = Duration::from_millis(10);
            Self { dispatch, asset, told: Arc::default(), _trigger: trigger }
        }

        /// An edge that answers its first orders with `statuses` and the rest with 200.
        async fn edge(&self, id: &'static str, region: &str, statuses: &[u16], beat_at: Timestamp) {
            let (told, mut left) = (Arc::clone(&self.told), statuses.to_vec());
            left.reverse();
            let left = Arc::new(Mutex::new(left));
            let routes = warp::post().and(warp::path::full()).map(move |path: warp::path::FullPath| {
                told.lock().unwrap().push(format!("{id} {}", path.as_str()));
                let status = left.lock().unwrap().pop().unwrap_or(200);
                warp::reply::with_status("{}", StatusCode::from_u16(status).unwrap())
            });
            let at = SocketAddr::from(([127, 0, 0, 1], 0));
            let listening = rend_shell::bind("TEST", at).await.unwrap();
            let url = format!("http://{}", listening.at);
            let options = ServeOptions { grace: Duration::from_millis(10), ..ServeOptions::default() };
            let shutdown = self.dispatch.shutdown.clone();
            rend_shell::spawn("edge", rend_shell::serve(listening, warp::service(routes), options, shutdown));
            self.row(id, region, url, beat_at).await;
        }

        async fn row(&self, id: &str, region: &str, private_url: String, beat_at: Timestamp) {
            let row = EdgeRow {
                id: id.parse().unwrap(),
                region: region.into(),
                public_url: format!("https://{id}.example.com"),
                private_url,
                version: String::new(),
                beat: Beat::idle(EdgeState::Active),
                registered_at: beat_at,
                beat_at,
            };
            self.dispatch.stores.edges.register(&row).await.unwrap();
        }

        fn now(&self) -> Timestamp {
            self.dispatch.clock.wall()
        }

        fn told(&self) -> Vec<String> {
            let mut told = self.told.lock().unwrap().clone();
            told.sort();
            told
        }

        /// The events of edges, as `name edge`.
        async fn events(&self) -> Vec<String> {
            let events = self.dispatch.stores.events.after(EventsOf::Asset(self.asset), 0, 100).await.unwrap();
            let mut lines: Vec<_> = events
                .iter()
                .filter_map(|event| Some(format!("{} {}", event.kind.name(), event.kind.data().first()?.1)))
                .collect();
            lines.sort();
            lines
        }
    }

    #[tokio::test]
    async fn an_edge_that_fails_is_asked_again_and_one_that_refuses_is_not() {
        let fleet = Fleet::new().await;
        fleet.edge("busy", "us-east", &[503, 503], fleet.now()).await;
        fleet.edge("deaf", "us-east", &[403], fleet.now()).await;
        fleet.dispatch.purge(fleet.asset).await.unwrap();
        let purge = "/internal/purge";
        assert_eq!(
            fleet.told(),
            [format!("busy {purge}"), format!("busy {purge}"), format!("busy {purge}"), format!("deaf {purge}")]
        );
        assert_eq!(
            fleet.events().await,
            [
                "edge.purge_attempted busy",
                "edge.purge_attempted deaf",
                "edge.purge_failed deaf",
                "edge.purge_succeeded busy"
            ]
        );
        assert_eq!(fleet.dispatch.stores.purges.purge_head().await.unwrap(), 1);
    }

    #[tokio::test]
    async fn an_edge_that_was_not_heard_of_lately_is_told_too_but_nobody_waits_for_it() {
        let fleet = Fleet::new().await;
        fleet.edge("old", "us-east", &[], Timestamp::from_secs(1)).await;
        fleet.row("gone", "us-east", "http://127.0.0.1:9".into(), Timestamp::from_secs(1)).await;
        fleet.dispatch.purge(fleet.asset).await.unwrap();
        while fleet.told().is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert_eq!(fleet.told(), ["old /internal/purge"]);
    }

    #[tokio::test]
    async fn a_warm_goes_to_two_owners_in_each_region_and_to_no_other() {
        let fleet = Fleet::new().await;
        for id in ["a", "b", "c"] {
            fleet.edge(id, "us-east", &[], fleet.now()).await;
        }
        fleet.edge("d", "amsterdam", &[], fleet.now()).await;
        fleet.edge("e", "amsterdam", &[], Timestamp::from_secs(1)).await;
        fleet.dispatch.warm(fleet.asset, &[ArtifactPath::Master]).await;
        let rows = fleet.dispatch.stores.edges.all().await.unwrap();
        let table = RouteTable::of_fleet(&rows).unwrap();
        let mut expect: Vec<_> = owners(&table, "us-east", fleet.asset, WARM_OWNERS)
            .iter()
            .map(|route| format!("{} /internal/warm", route.id))
            .collect();
        expect.push("d /internal/warm".into());
        expect.sort();
        assert_eq!(fleet.told(), expect);
        assert_eq!(expect.len(), 3);
    }

    #[tokio::test]
    async fn a_fleet_without_edges_is_told_nothing_and_the_order_stands_in_the_log() {
        let fleet = Fleet::new().await;
        fleet.dispatch.purge(fleet.asset).await.unwrap();
        fleet.dispatch.warm(fleet.asset, &[ArtifactPath::Master]).await;
        assert_eq!(fleet.dispatch.stores.purges.purge_head().await.unwrap(), 1);
        assert!(fleet.events().await.is_empty());
    }
}
