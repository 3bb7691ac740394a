//! What every handler shares.

use std::collections::BTreeSet;
use std::sync::Arc;

use rend_core::fleet::{EdgeRow, EdgeState, registry};
use rend_core::time::{Clock, Mono, Timestamp};
use rend_core::url::BaseUrl;
use rend_shell::Shutdown;
use rend_shell::client::Client;
use rend_shell::metrics::{Counter, Metrics};
use rend_storage::analytics::Analytics;
use rend_storage::answers::AnswerStore;
use rend_storage::assets::AssetStore;
use rend_storage::credentials::CredentialStore;
use rend_storage::edges::{EdgeDirectory, PurgeLog};
use rend_storage::events::EventLog;
use rend_storage::jobs::JobQueue;
use rend_storage::leads::Leads;
use rend_storage::objects::ObjectStore;
use rend_storage::retention::Retention;
use rend_storage::revocations::RevocationLog;
use rend_storage::suspensions::SuspensionLog;
use rend_storage::transfers::TransferStore;
use rend_storage::uploads::UploadStore;
use rend_storage::usage::UsageLedger;
use rend_storage::webhooks::WebhookStore;

use crate::bus::Bus;
use crate::config::ApiConfig;
use crate::http::health::Samples;
use crate::limits::Limits;
use crate::once::Sealer;
use crate::patience::Patience;
use crate::sync::fanout::Dispatch;
use crate::tickets::Tickets;
use crate::viewticket::ViewTickets;

/// The ports behind which everything is remembered. Which adapters stand there is `main`'s business.
#[derive(Clone, Debug)]
pub struct Stores {
    /// Bytes under a key.
    pub objects: Arc<dyn ObjectStore>,
    /// Assets and their moves.
    pub assets: Arc<dyn AssetStore>,
    /// Upload sessions.
    pub uploads: Arc<dyn UploadStore>,
    /// How far those in pieces have come.
    pub transfers: Arc<dyn TransferStore>,
    /// Jobs and leases.
    pub jobs: Arc<dyn JobQueue>,
    /// What happened.
    pub events: Arc<dyn EventLog>,
    /// The fleet.
    pub edges: Arc<dyn EdgeDirectory>,
    /// What the fleet must forget.
    pub purges: Arc<dyn PurgeLog>,
    /// Which playback tokens the fleet must no longer believe.
    pub revocations: Arc<dyn RevocationLog>,
    /// What operators took out of service.
    pub suspensions: Arc<dyn SuspensionLog>,
    /// Who is told of events.
    pub webhooks: Arc<dyn WebhookStore>,
    /// API keys.
    pub credentials: Arc<dyn CredentialStore>,
    /// What edges served.
    pub analytics: Arc<dyn Analytics>,
    /// What that came to, by organisation, tier and hour.
    pub usage: Arc<dyn UsageLedger>,
    /// What was answered to requests that name themselves.
    pub answers: Arc<dyn AnswerStore>,
    /// Which process does what only one should do.
    pub leads: Arc<dyn Leads>,
    /// Lets go of what is old.
    pub retention: Arc<dyn Retention>,
}

impl Stores {
    /// Everything in memory: for tests.
    pub fn memory() -> Self {
        let memory = Arc::new(rend_storage::memory::Memory::default());
        Self {
            objects: Arc::new(rend_storage::memory::MemoryObjects::default()),
            assets: memory.clone(),
            uploads: memory.clone(),
            transfers: memory.clone(),
            jobs: memory.clone(),
            events: memory.clone(),
            edges: memory.clone(),
            purges: memory.clone(),
            revocations: memory.clone(),
            suspensions: memory.clone(),
            webhooks: memory.clone(),
            credentials: memory.clone(),
            usage: memory.clone(),
            answers: memory.clone(),
            leads: memory.clone(),
            retention: memory.clone(),
            analytics: memory,
        }
    }

    /// One database file and one folder of objects.
    pub fn embedded(database: rend_storage::sqlite::Sqlite, objects: rend_storage::fs::FsObjects) -> Self {
        let database = Arc::new(database);
        Self {
            objects: Arc::new(objects),
            assets: database.clone(),
            uploads: database.clone(),
            transfers: database.clone(),
            jobs: database.clone(),
            events: database.clone(),
            edges: database.clone(),
            purges: database.clone(),
            revocations: database.clone(),
            suspensions: database.clone(),
            webhooks: database.clone(),
            credentials: database.clone(),
            usage: database.clone(),
            answers: database.clone(),
            leads: database.clone(),
            retention: database.clone(),
            analytics: database,
        }
    }
}

/// The counters that handlers touch.
#[derive(Debug)]
pub(crate) struct ApiMetrics {
    pub registry: Metrics,
    pub telemetry_events: Counter,
    pub bootstraps: Counter,
    pub bootstraps_denied: Counter,
    pub limiter_away: Counter,
}

impl ApiMetrics {
    pub(crate) fn new() -> Self {
        let registry = Metrics::new();
        Self {
            telemetry_events: registry.register("api_telemetry_events", "Playback events recorded", Counter::default()),
            bootstraps: registry.register("api_bootstraps", "Bootstraps handed out", Counter::default()),
            bootstraps_denied: registry.register(
                "api_bootstraps_denied",
                "Bootstraps refused for lack of a token",
                Counter::default(),
            ),
            limiter_away: registry.register(
                "api_limiter_away",
                "Requests that could not be counted with the other processes",
                Counter::default(),
            ),
            registry,
        }
    }
}

/// What every handler shares.
#[derive(Debug)]
pub struct State {
    pub(crate) stores: Stores,
    pub(crate) config: ApiConfig,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) started: Mono,
    pub(crate) bus: Bus,
    pub(crate) tickets: Tickets,
    pub(crate) client: Client,
    pub(crate) dispatch: Dispatch,
    pub(crate) metrics: ApiMetrics,
    pub(crate) limits: Limits,
    pub(crate) sealer: Sealer,
    pub(crate) view_tickets: ViewTickets,
    pub(crate) samples: Samples,
    pub(crate) patience: Patience,
    pub(crate) shutdown: Shutdown,
}

impl State {
    /// Whether `row` counts as live: it wants viewers, and its last word is young enough.
    pub(crate) fn is_live(&self, row: &EdgeRow, now: Timestamp) -> bool {
        row.beat.state == EdgeState::Active && registry::is_live(row, now, self.config.heartbeat_window)
    }

    /// The origins that pages may fetch media from, at most [`ORIGINS_MAX`]: every edge that they may be sent to.
    pub(crate) async fn media_origins(&self) -> Vec<String> {
        let written = self.config.expected_edges.iter().chain(self.config.route_override.iter());
        let mut origins: BTreeSet<String> = written.map(|edge| edge.public_url.origin().to_owned()).collect();
        let base = |url: &str| url.parse::<BaseUrl>().ok().map(|base| base.origin().to_owned());
        origins.extend(base(&self.config.playback_base_url));
        // Without the directory the page still plays from the edges that are written down.
        let rows = self.stores.edges.all().await.unwrap_or_default();
        origins.extend(rows.iter().filter_map(|row| base(&row.public_url)));
        if origins.len() > ORIGINS_MAX { vec!["https:".to_owned()] } else { origins.into_iter().collect() }
    }
}

/// Origins that a policy names, at most: of a larger fleet it names none and allows `https:`, since headers have limits.
const ORIGINS_MAX: usize = 64;
