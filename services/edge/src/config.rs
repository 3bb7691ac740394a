//! What an edge is told at its start.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rend_core::config::{Profile, SecretText, Settings, variable as known};
use rend_core::id::EdgeId;
use rend_token::{KeyProblems, KeyRingBuf, Policy, RingValues};

/// Everything an edge is told. Built by [`EdgeConfig::from_settings`]; `rend up` then sets addresses as it bound them.
#[derive(Debug)]
pub struct EdgeConfig {
    /// Its name.
    pub id: EdgeId,
    /// Its region.
    pub region: String,
    /// Where viewers reach the listener.
    pub bind: SocketAddr,
    /// Where the control plane and operators reach the private listener.
    pub private_bind: SocketAddr,
    /// The URL by which viewers are sent here.
    pub base_url: String,
    /// The URL by which the control plane asks for warm and purge.
    pub private_url: String,
    /// The control plane's private listener. Without one, nothing is registered and nothing is shipped.
    pub control_plane_url: Option<String>,
    /// The bearer of the private listener, and of requests to the control plane.
    pub internal_token: SecretText,
    /// The keys that playback tokens are verified with, and renewed.
    pub keys: Arc<KeyRingBuf>,
    /// The domain that renewed cookies are set for, when site and edges share one.
    pub cookie_domain: Option<String>,
    /// How long the token works that a bootstrap token is exchanged for, in seconds.
    pub playback_ttl_secs: u32,
    /// Web origins whose pages may read responses.
    pub cors_origins: Vec<String>,
    /// The folder of the cache. One process at a time.
    pub cache_dir: PathBuf,
    /// The most bytes the cache takes on disk.
    pub cache_bytes_max: u64,
    /// Bytes that the cache leaves free on its file system.
    pub cache_bytes_free_min: u64,
    /// Fills that store at once; further ones stream without storing, up to twice as many.
    pub fills_max: usize,
    /// The largest artifact that is fetched, in bytes.
    pub origin_artifact_bytes_max: u64,
    /// Artifacts of one warm request at most.
    pub warm_artifacts_max: usize,
    /// Where to ask whether the origin is well; without it the object store itself is asked.
    pub origin_health_url: Option<String>,
    /// Where telemetry is kept and delivered; without it nothing is recorded.
    pub telemetry: Option<TelemetryConfig>,
    /// How long open responses may go on after a stop is requested.
    pub shutdown_grace: Duration,
    /// How often the control plane is told that this edge lives.
    pub heartbeat_every: Duration,
    /// Whether the segment after the one that is asked for is fetched ahead.
    pub prefetch: bool,
    /// The most bytes per second that are fetched ahead.
    pub prefetch_bytes_per_sec: u64,
    /// How many bytes a day the cache's disk is meant to take; 0 for as many as come. An eighth may be written at once: once half of that
    /// is used up, a full cache stores of later segments only what was asked for before; once all of it is, none of them.
    pub cache_write_budget_bytes: u64,
    /// Bytes of the log of what the cache's policy decides, from the start on; 0 for no log.
    pub cache_log_bytes_max: usize,
    /// Connections open at once; further ones wait in the system's queue.
    pub connections_max: usize,
    /// Responses under way at once; further requests are answered 503.
    pub responses_max: usize,
    /// How long a request's head may take, and a connection may rest between two requests.
    pub header_timeout: Duration,
    /// How long a viewer may take none of the bytes that wait for it.
    pub stall_timeout: Duration,
    /// How long the origin may take to answer.
    pub origin_timeout: Duration,
}

/// How telemetry is kept and delivered.
#[derive(Debug)]
pub struct TelemetryConfig {
    /// The absolute URL of the ingest.
    pub ingest_url: String,
    /// Its bearer.
    pub token: SecretText,
    /// The folder of the spool.
    pub spool_dir: PathBuf,
    /// The most bytes the spool takes on disk.
    pub spool_bytes_max: u64,
    /// Events in memory at most.
    pub queue_events_max: usize,
    /// So many events are shipped without waiting for more; what came at the same time goes along.
    pub batch_events_max: u64,
    /// An event waits so long at most before it is shipped.
    pub flush_every: Duration,
    /// How long the ingest may take to answer.
    pub request_timeout: Duration,
}

impl EdgeConfig {
    /// What `settings`, read for an edge or for `rend up`, come to.
    ///
    /// # Errors
    ///
    /// [`KeyProblems`] when the playback keys are no ring; everything else was checked when the settings were read.
    pub fn from_settings(settings: &Settings) -> Result<Self, KeyProblems> {
        let text = |variable| settings.text(variable).map(str::to_owned);
        let url = |variable| settings.url(variable).map(|url| url.as_str().to_owned());
        let path = |variable, default: &str| settings.path(variable).unwrap_or_else(|| Path::new(default)).to_owned();
        let secret = |variable| settings.secret(variable).cloned().unwrap_or_else(|| SecretText::new(""));
        let count = |variable| usize::try_from(settings.number(variable)).unwrap_or(usize::MAX);
        let id = settings.edge_id(&known::REND_EDGE_ID).cloned();
        let base_url = url(&known::REND_EDGE_BASE_URL).unwrap_or_default();
        let control_plane_url = url(&known::REND_CONTROL_PLANE_URL);
        let ingest_url = url(&known::REND_EDGE_TELEMETRY_INGEST_URL)
            .or_else(|| control_plane_url.as_ref().map(|base| format!("{base}/internal/telemetry/playback")));
        let telemetry = ingest_url.filter(|_| settings.bool(&known::REND_EDGE_TELEMETRY_ENABLED));
        let telemetry = telemetry.map(|ingest_url| TelemetryConfig {
            ingest_url,
            token: secret(&known::REND_INTERNAL_TELEMETRY_TOKEN),
            spool_dir: path(&known::REND_EDGE_TELEMETRY_SPOOL_DIR, ".rend/telemetry-spool"),
            spool_bytes_max: settings.bytes(&known::REND_EDGE_TELEMETRY_SPOOL_MAX_BYTES),
            queue_events_max: count(&known::REND_EDGE_TELEMETRY_QUEUE_CAPACITY),
            batch_events_max: settings.number(&known::REND_EDGE_TELEMETRY_BATCH_SIZE),
            flush_every: settings.secs(&known::REND_EDGE_TELEMETRY_FLUSH_INTERVAL_SECS),
            request_timeout: settings.secs(&known::REND_EDGE_TELEMETRY_REQUEST_TIMEOUT_SECS),
        });
        let origins = settings.origins(&known::REND_EDGE_CORS_ALLOWED_ORIGINS);
        let mut cors_origins: Vec<String> = origins.iter().map(ToString::to_string).collect();
        if cors_origins.is_empty() {
            cors_origins.extend(url(&known::REND_SITE_BASE_URL).and_then(|site| origin_of(&site)));
        }
        Ok(Self {
            id: id.unwrap_or_else(|| unreachable_id(&base_url)),
            region: settings.region(&known::REND_EDGE_REGION).map(ToString::to_string).unwrap_or_default(),
            bind: settings.addr(&known::REND_EDGE_BIND_ADDR),
            private_bind: settings.addr(&known::REND_EDGE_PRIVATE_BIND_ADDR),
            base_url,
            private_url: url(&known::REND_EDGE_PRIVATE_URL).unwrap_or_default(),
            control_plane_url,
            internal_token: secret(&known::REND_EDGE_INTERNAL_TOKEN),
            keys: Arc::new(keys(settings, text(&known::REND_PLAYBACK_SIGNING_KEY_ID).as_deref())?),
            cookie_domain: text(&known::REND_PLAYBACK_COOKIE_DOMAIN),
            playback_ttl_secs: u32::try_from(settings.secs(&known::REND_PLAYBACK_TOKEN_TTL_SECS).as_secs())
                .unwrap_or(u32::MAX),
            cors_origins,
            cache_dir: path(&known::REND_EDGE_CACHE_DIR, ".rend/cache"),
            cache_bytes_max: settings.bytes(&known::REND_EDGE_CACHE_MAX_BYTES),
            cache_bytes_free_min: settings.bytes(&known::REND_EDGE_CACHE_MIN_FREE_BYTES),
            fills_max: count(&known::REND_EDGE_MAX_IN_FLIGHT_FILLS),
            origin_artifact_bytes_max: settings.bytes(&known::REND_EDGE_MAX_ORIGIN_ARTIFACT_BYTES),
            warm_artifacts_max: count(&known::REND_EDGE_WARM_MAX_ARTIFACTS),
            origin_health_url: url(&known::REND_EDGE_ORIGIN_HEALTH_URL),
            telemetry,
            shutdown_grace: settings.secs(&known::REND_SHUTDOWN_GRACE_SECS),
            heartbeat_every: settings.secs(&known::REND_EDGE_HEARTBEAT_INTERVAL_SECS),
            prefetch: settings.bytes(&known::REND_EDGE_PREFETCH_BYTES_PER_SEC) > 0,
            prefetch_bytes_per_sec: settings.bytes(&known::REND_EDGE_PREFETCH_BYTES_PER_SEC),
            cache_write_budget_bytes: settings.bytes(&known::REND_EDGE_CACHE_WRITE_BYTES_PER_DAY),
            cache_log_bytes_max: usize::try_from(settings.bytes(&known::REND_EDGE_CACHE_LOG_BYTES)).unwrap_or(0),
            connections_max: CONNECTIONS_MAX,
            responses_max: RESPONSES_MAX,
            header_timeout: HEADER_TIMEOUT,
            stall_timeout: STALL_TIMEOUT,
            origin_timeout: ORIGIN_TIMEOUT,
        })
    }
}

/// The ring of the playback keys in `settings`.
fn keys(settings: &Settings, label: Option<&str>) -> Result<KeyRingBuf, KeyProblems> {
    let others: Vec<String> = settings
        .verify_keys(&known::REND_PLAYBACK_VERIFY_KEYS)
        .iter()
        .map(|(label, secret)| format!("{label}={}", secret.expose()))
        .collect();
    let others = others.join(",");
    let values = RingValues {
        signing_label: label,
        signing_secret: settings.secret(&known::REND_PLAYBACK_SIGNING_SECRET).map(SecretText::expose),
        verify_keys: Some(&others),
        production: settings.profile() == Profile::Production,
    };
    KeyRingBuf::from_values(&values, Policy::new())
}

/// Scheme, host and port of a URL.
fn origin_of(url: &str) -> Option<String> {
    let (scheme, rest) = url.split_once("://")?;
    let host = rest.split('/').next()?;
    Some(format!("{scheme}://{host}"))
}

/// `REND_EDGE_ID` has a default, so a role that reads it always has one.
fn unreachable_id(_: &str) -> EdgeId {
    #[expect(clippy::expect_used, reason = "the text is an edge id")]
    "local-edge-001".parse().expect("an edge id")
}

/// Connections open at once.
pub const CONNECTIONS_MAX: usize = 16_384;
/// Responses under way at once.
pub const RESPONSES_MAX: usize = 12_288;
/// How long a request's head may take.
pub const HEADER_TIMEOUT: Duration = Duration::from_secs(30);
/// How long the origin may take to answer.
pub const ORIGIN_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a viewer may take nothing.
pub const STALL_TIMEOUT: Duration = Duration::from_secs(60);
