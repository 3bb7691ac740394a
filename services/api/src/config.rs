//! What the API is told by its surroundings.

use std::path::PathBuf;
use std::time::Duration;

use rend_core::config::{Profile, Settings, Variable, variable as v};
use rend_core::fleet::ExpectedEdges;
use rend_core::id::OrgId;
use rend_core::retention::Ages;
use rend_core::routing::GeoHeaders;
use rend_core::upload::pull::Guard;
use rend_token::{KeyProblems, KeyRingBuf, Policy, RingValues};

use crate::bearer::BearerToken;
use crate::limits::RateLimits;
use crate::tickets::Tickets;

/// The API's configuration, checked.
#[derive(Clone, Debug)]
pub struct ApiConfig {
    /// Where people reach the pages, without a slash at the end.
    pub site_url: String,
    /// The edge to name when none is registered.
    pub playback_base_url: String,
    /// Edges that stand in place of those that registered; none for those that did.
    pub route_override: ExpectedEdges,
    /// Whose headers are believed about where a viewer is.
    pub geo_headers: GeoHeaders,
    /// The domain that playback cookies are set for, when site and edges share one.
    pub cookie_domain: Option<String>,
    /// Bytes that one upload may have.
    pub upload_bytes_max: u64,
    /// Bytes that an original may have, however it arrives.
    pub source_bytes_max: u64,
    /// Bytes of originals that one organisation may have; 0 bounds nothing.
    pub org_source_bytes_max: u64,
    /// From where originals may be fetched. Nothing but the profile decides it.
    pub pull_guard: Guard,
    /// Where webhooks may be sent.
    pub webhook_guard: Guard,
    /// What readiness asks of the object storage, in place of a look for an object.
    pub object_health_url: Option<String>,
    /// Tries that a media job gets.
    pub job_attempts_max: u32,
    /// What edges show, and what is shown to edges.
    pub edge_token: BearerToken,
    /// What edges show when they deliver telemetry.
    pub telemetry_token: BearerToken,
    /// What operators show who suspend and restore; without one nobody may.
    pub operator_token: Option<BearerToken>,
    /// The edges that may register; none named means that any may.
    pub expected_edges: ExpectedEdges,
    /// How often edges are asked to beat.
    pub heartbeat_interval: Duration,
    /// For how long after a beat an edge counts as live.
    pub heartbeat_window: Duration,
    /// Artifacts that a warm asks for, at most.
    pub warm_artifacts_max: usize,
    /// Where the gate leaves its latest report, if it runs on this machine.
    pub gate_report: Option<PathBuf>,
    /// Origins whose pages may read answers.
    pub cors_origins: Vec<String>,
    /// How long what nobody reads any more is kept.
    pub ages: Ages,
    /// Whether what is old is only told, and stays.
    pub retention_dry_run: bool,
    /// How often callers and viewers may ask.
    pub rate_limits: RateLimits,
    /// The organisation that everything belongs to.
    pub org: OrgId,
}

impl ApiConfig {
    /// The configuration that `settings` describe.
    pub fn from_settings(settings: &Settings) -> Self {
        let url = |variable| settings.url(variable).map(|url| url.as_str().to_owned()).unwrap_or_default();
        let token = |variable| BearerToken::new(settings.secret(variable).map_or("", |secret| secret.expose()));
        let site_url = url(&v::REND_SITE_BASE_URL);
        let alone = &v::REND_PLAYER_PLAYBACK_BASE_URL;
        Self {
            playback_base_url: url(if settings.has(alone) { alone } else { &v::REND_PLAYBACK_BASE_URL }),
            route_override: route_override(settings),
            geo_headers: settings
                .text(&v::REND_PLAYER_GEO_HEADERS)
                .and_then(|word| word.parse().ok())
                .unwrap_or(GeoHeaders::None),
            cookie_domain: settings.text(&v::REND_PLAYBACK_COOKIE_DOMAIN).map(str::to_owned),
            upload_bytes_max: settings.bytes(&v::REND_MAX_UPLOAD_BYTES),
            source_bytes_max: settings.bytes(&v::REND_MAX_SOURCE_BYTES),
            org_source_bytes_max: settings.bytes(&v::REND_MAX_ORG_SOURCE_BYTES),
            pull_guard: Guard { plain_http: settings.profile() == Profile::Local, ..Guard::STRICT },
            webhook_guard: webhook_guard(settings),
            object_health_url: settings.url(&v::OBJECT_STORE_HEALTH_URL).map(|url| url.as_str().to_owned()),
            job_attempts_max: u32::try_from(settings.number(&v::REND_MEDIA_JOB_MAX_ATTEMPTS)).unwrap_or(u32::MAX),
            edge_token: token(&v::REND_EDGE_INTERNAL_TOKEN),
            telemetry_token: token(&v::REND_INTERNAL_TELEMETRY_TOKEN),
            operator_token: settings.secret(&v::REND_OPERATOR_TOKEN).map(|secret| BearerToken::new(secret.expose())),
            expected_edges: settings.edges(&v::REND_EXPECTED_EDGES),
            heartbeat_interval: settings.secs(&v::REND_EDGE_HEARTBEAT_INTERVAL_SECS),
            heartbeat_window: settings.secs(&v::REND_EDGE_ACTIVE_HEARTBEAT_WINDOW_SECS),
            warm_artifacts_max: usize::try_from(settings.number(&v::REND_EDGE_WARM_MAX_ARTIFACTS))
                .unwrap_or(usize::MAX),
            gate_report: None,
            cors_origins: settings.list(&v::REND_API_CORS_ALLOWED_ORIGINS),
            ages: Ages {
                events: days(settings, &v::REND_RETENTION_EVENTS_DAYS),
                work: days(settings, &v::REND_RETENTION_WORK_DAYS),
                playback: days(settings, &v::REND_RETENTION_PLAYBACK_DAYS),
            },
            retention_dry_run: settings.bool(&v::REND_RETENTION_DRY_RUN),
            rate_limits: RateLimits {
                reads: rate(settings, &v::REND_API_RATE_LIMIT_READS_PER_MINUTE),
                writes: rate(settings, &v::REND_API_RATE_LIMIT_WRITES_PER_MINUTE),
                address: rate(settings, &v::REND_API_RATE_LIMIT_ADDRESS_PER_MINUTE),
            },
            org: SOLE_ORG,
            site_url,
        }
    }
}

/// Public addresses, and this machine where a developer says so.
fn webhook_guard(settings: &Settings) -> Guard {
    let local = settings.profile() == Profile::Local;
    let here = local && settings.bool(&v::REND_WEBHOOK_ALLOW_LOOPBACK);
    Guard { plain_http: local, also: here.then_some(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST)) }
}

fn days(settings: &Settings, variable: &Variable) -> Duration {
    Duration::from_secs(settings.number(variable).saturating_mul(86_400))
}

fn rate(settings: &Settings, variable: &Variable) -> u32 {
    u32::try_from(settings.number(variable)).unwrap_or(u32::MAX)
}

/// The edges that replace the route table: on a developer's machine, or where the operator says that they hold anywhere.
fn route_override(settings: &Settings) -> ExpectedEdges {
    let anywhere = settings.text(&v::REND_PLAYER_EDGE_BASE_URLS_MODE) == Some("override");
    if anywhere || settings.profile() == Profile::Local {
        settings.edges(&v::REND_PLAYER_EDGE_BASE_URLS)
    } else {
        ExpectedEdges::default()
    }
}

/// The signer that `settings` describe.
///
/// # Errors
///
/// Everything that is wrong with the keys, by the names of their variables, never by their values.
pub fn tickets(settings: &Settings) -> Result<Tickets, KeyProblems> {
    let ring = key_ring(settings)?;
    let ttl = settings.secs(&v::REND_PLAYBACK_TOKEN_TTL_SECS).as_secs();
    Ok(Tickets::new(ring, u32::try_from(ttl).unwrap_or(u32::MAX)))
}

fn key_ring(settings: &Settings) -> Result<KeyRingBuf, KeyProblems> {
    let pairs = settings.verify_keys(&v::REND_PLAYBACK_VERIFY_KEYS);
    let verify: Vec<_> = pairs.iter().map(|(label, secret)| format!("{label}={}", secret.expose())).collect();
    let values = RingValues {
        signing_label: settings.text(&v::REND_PLAYBACK_SIGNING_KEY_ID),
        signing_secret: settings.secret(&v::REND_PLAYBACK_SIGNING_SECRET).map(|secret| secret.expose()),
        verify_keys: Some(&verify.join(",")),
        production: settings.profile() == Profile::Production,
    };
    KeyRingBuf::from_values(&values, Policy::new())
}

/// The organisation of an installation that has only one.
pub const SOLE_ORG: OrgId = OrgId::from_bytes([0x01, 0x90, 0, 0, 0, 0, 0x70, 0, 0x80, 0, 0, 0, 0, 0, 0, 1]);
