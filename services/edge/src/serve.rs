//! From a configuration to a running edge, and back to nothing.

use std::net::SocketAddr;
use std::sync::Arc;

use rend_cache::Cache;
use rend_cache::fs::FsFiles;
use rend_cache::policy::{Policy, ValueWheel};
use rend_cache::replay::Recorded;
use rend_core::artifact::ObjectKey;
use rend_core::http::{Method, Request};
use rend_core::time::Clock;
use rend_shell::client::Client;
use rend_shell::metrics::Metrics;
use rend_shell::{Listening, ServeOptions, Shutdown};
use rend_storage::StoreError;
use rend_storage::objects::ObjectStore;
use rend_telemetry::{Destination, PumpConfig};
use rend_token::KeyRingBuf;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use crate::auth::CookieRules;
use crate::config::EdgeConfig;
use crate::cors::Cors;
use crate::delivery::Accounts;
use crate::edge::Edge;
use crate::error::EdgeError;
use crate::gone::Gone;
use crate::head::Identity;
use crate::health::{Health, LOOK_EVERY, LOOK_TIMEOUT, Subject, probe_folder};
use crate::house::{self, Pace};
use crate::io::Patience;
use crate::metrics::EdgeMetrics;
use crate::origin::Allowance;
use crate::telemetry::{Plan, Shipping, Telemetry};
use crate::trust::Trust;
use crate::{agent, lane, routes};

/// What an edge needs from its surroundings.
#[derive(Clone, Debug)]
pub struct Deps {
    /// The origin.
    pub objects: Arc<dyn ObjectStore>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Where figures are registered.
    pub metrics: Metrics,
}

/// The listeners of an edge, bound.
#[derive(Debug)]
pub struct Bound {
    public: Listening,
    private: Listening,
}

impl Bound {
    /// Listeners that somebody else has bound.
    pub const fn over(public: Listening, private: Listening) -> Self {
        Self { public, private }
    }

    /// Where viewers connect, also when port 0 was asked for.
    pub const fn public_at(&self) -> SocketAddr {
        self.public.at
    }

    /// Where the control plane and operators connect.
    pub const fn private_at(&self) -> SocketAddr {
        self.private.at
    }
}

/// Binds both listeners of `config`.
///
/// # Errors
///
/// [`EdgeError::Bind`], which names the variable.
pub async fn bind(config: &EdgeConfig) -> Result<Bound, EdgeError> {
    let public = rend_shell::bind("REND_EDGE_BIND_ADDR", config.bind).await.map_err(EdgeError::Bind)?;
    let private =
        rend_shell::bind("REND_EDGE_PRIVATE_BIND_ADDR", config.private_bind).await.map_err(EdgeError::Bind)?;
    Ok(Bound { public, private })
}

/// Runs an edge until `shutdown`, then drains it.
///
/// # Errors
///
/// [`EdgeError`] when it can not start. Once it runs, nothing ends it but `shutdown`.
pub async fn serve(config: EdgeConfig, deps: Deps, bound: Bound, shutdown: Shutdown) -> Result<(), EdgeError> {
    start(config, deps, bound, shutdown).await?.ended().await;
    Ok(())
}

/// An edge that serves.
#[derive(Debug)]
pub struct Running {
    listeners: [JoinHandle<()>; 2],
    agent: Option<JoinHandle<()>>,
    cache: Cache,
    shipping: Option<Shipping>,
    edge: Arc<Edge>,
}

impl Running {
    /// Verifies with `keys`, and renews with the one of them that signs, from here on. Requests under way end by the ring
    /// that they began with; what was revoked stays revoked.
    pub async fn swap_keys(&self, keys: KeyRingBuf) {
        self.edge.trust.swap_keys(Arc::new(keys)).await;
    }

    /// Resolves when the edge was told to stop and has drained: open responses have ended or their grace has, what was
    /// recorded lies on disk, and the cache's books are closed.
    pub async fn ended(self) {
        for listener in self.listeners {
            // A panic in a listener has been logged; the rest is still closed in order.
            let _ = listener.await;
        }
        if let Some(agent) = self.agent {
            let _ = agent.await;
        }
        if let Some(shipping) = self.shipping {
            shipping.stop().await;
        }
        let cache = self.cache;
        match rend_shell::spawn_blocking(move || cache.shutdown()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::warn!(%error, "the cache's books were not closed; the next start reads the folder")
            }
            Err(_) => tracing::error!("closing the cache panicked"),
        }
    }
}

/// Starts an edge: opens cache and spool, catches up with missed purges if the control plane answers, then serves.
///
/// # Errors
///
/// [`EdgeError`] when it can not start.
pub async fn start(config: EdgeConfig, deps: Deps, bound: Bound, shutdown: Shutdown) -> Result<Running, EdgeError> {
    raise_descriptors();
    let Deps { objects, clock, metrics } = deps;
    let cache = open_cache(&config, clock.wall().as_millis()).await?;
    let (telemetry, shipping) = open_telemetry(&config, &clock)?;
    let (dir, keys) = (config.cache_dir.clone(), Arc::clone(&config.keys));
    let known = rend_shell::spawn_blocking(move || (Trust::open(&dir, keys), Gone::open(&dir)));
    let (trust, gone) = known
        .await
        .unwrap_or_else(|_| (Trust::none(&config.cache_dir, Arc::clone(&config.keys)), Gone::none(&config.cache_dir)));
    let (news, heard) = mpsc::channel(NEWS_MAX);
    let edge = Arc::new(Edge {
        identity: Identity::new(&config.id, &config.region),
        cors: Cors::new(config.cors_origins.iter().cloned()),
        cookies: CookieRules::new(&config),
        trust,
        gone: Arc::new(gone),
        cache: cache.clone(),
        objects,
        accounts: Arc::new(Accounts { clock: Arc::clone(&clock), telemetry, metrics: EdgeMetrics::new(metrics) }),
        allowance: Allowance::new(config.prefetch_bytes_per_sec),
        health: Health::new(Arc::clone(&clock)),
        purging: tokio::sync::Mutex::new(()),
        news,
        started: clock.mono(),
        fillers: Handle::current(),
        config,
    });
    let client = Client::new(agent::PATIENCE).map_err(EdgeError::Client)?;
    look(&edge, &client).await;
    rend_shell::spawn("look", looking(Arc::clone(&edge), client.clone(), shutdown.clone()));
    rend_shell::spawn("house", house::keep(cache.clone(), Pace::USUAL, shutdown.clone()));
    let agent = match edge.config.control_plane_url.clone() {
        None => None,
        Some(base) => {
            let (settled, settling) = oneshot::channel();
            let run = agent::run(Arc::clone(&edge), client, base, heard, shutdown.clone(), settled);
            let agent = rend_shell::spawn("agent", run);
            if tokio::time::timeout(agent::SETTLE_PATIENCE, settling).await.is_err() {
                tracing::warn!("the control plane is slow; serving begins before missed purges are known");
            }
            Some(agent)
        }
    };
    let options = ServeOptions {
        connections_max: edge.config.connections_max,
        header_timeout: edge.config.header_timeout,
        grace: edge.config.shutdown_grace,
    };
    let patience = Patience { greeting: edge.config.header_timeout, stall: edge.config.stall_timeout };
    tracing::info!(edge = %edge.config.id, public = %bound.public.at, private = %bound.private.at, "serving");
    let (routed, of) = (Arc::new(warp::service(routes::public(&edge))), Arc::clone(&edge));
    let run = move |stream, peer: SocketAddr, host| {
        lane::serve(Arc::clone(&of), Arc::clone(&routed), stream, peer.ip(), host, patience)
    };
    let threads = rend_shell::cores();
    let public = rend_shell::serve_spread(bound.public, options, shutdown.clone(), threads, run);
    let public = rend_shell::spawn("public", public.map_err(EdgeError::Threads)?);
    let private = warp::service(routes::private(&edge));
    let options = ServeOptions { connections_max: PRIVATE_CONNECTIONS_MAX, ..options };
    let private = rend_shell::spawn("private", rend_shell::serve(bound.private, private, options, shutdown));
    Ok(Running { listeners: [public, private], agent, cache, shipping, edge })
}

async fn open_cache(config: &EdgeConfig, now_ms: u64) -> Result<Cache, EdgeError> {
    let mut limits = rend_cache::Config::new(config.cache_bytes_max);
    limits.min_free_bytes = config.cache_bytes_free_min;
    limits.fills_max = config.fills_max;
    limits.bypass_fills_max = config.fills_max;
    limits.readers_max = config.responses_max;
    limits.ram_bytes_max = RAM_BYTES_MAX.min(config.cache_bytes_max);
    limits.write_bytes_per_day = config.cache_write_budget_bytes;
    let log_bytes_max = config.cache_log_bytes_max;
    let dir = config.cache_dir.clone();
    let opened = rend_shell::spawn_blocking(move || {
        std::fs::create_dir_all(&dir)
            .map_err(|source| rend_cache::CacheError::Io { doing: "folder could not be made", source })?;
        let files = FsFiles::open(&dir)?;
        let wheel = ValueWheel::new(limits.max_bytes);
        let policy: Box<dyn Policy> =
            if log_bytes_max > 0 { Box::new(Recorded::new(wheel, log_bytes_max)) } else { Box::new(wheel) };
        // What it says of bodies is read while it serves: see `house`.
        Cache::open_early(limits, files, policy, now_ms)
    });
    let fail = |source| EdgeError::Cache { dir: config.cache_dir.clone(), source };
    let (cache, recovered) = opened
        .await
        .unwrap_or_else(|panic| {
            Err(rend_cache::CacheError::Io { doing: "opening panicked", source: std::io::Error::other(panic) })
        })
        .map_err(fail)?;
    tracing::info!(entries = recovered.entries, bytes = recovered.bytes, clean = recovered.clean, "the cache is open");
    Ok(cache)
}

fn open_telemetry(config: &EdgeConfig, clock: &Arc<dyn Clock>) -> Result<(Telemetry, Option<Shipping>), EdgeError> {
    let Some(telemetry) = &config.telemetry else { return Ok((Telemetry::off(), None)) };
    let mut pump = PumpConfig {
        queue_events_max: telemetry.queue_events_max,
        spool_bytes_max: telemetry.spool_bytes_max,
        ..PumpConfig::default()
    };
    // More that came at the same time goes along: a file and a request for each hundred would cost more than the hundred.
    pump.limits.events_wanted = telemetry.batch_events_max;
    pump.limits.seal_after = telemetry.flush_every;
    let plan = Plan {
        spool_dir: &telemetry.spool_dir,
        pump,
        destination: Destination { url: telemetry.ingest_url.clone(), bearer: telemetry.token.expose().to_owned() },
        request_timeout: telemetry.request_timeout,
        boot: rend_shell::entropy(),
        node: config.id.clone(),
    };
    let (telemetry, shipping) = Shipping::start(plan, Arc::clone(clock))?;
    Ok((telemetry, Some(shipping)))
}

/// Looks at everything the edge depends on, once.
async fn look(edge: &Arc<Edge>, client: &Client) {
    let clock = &edge.accounts.clock;
    let started = clock.mono();
    let dir = edge.config.cache_dir.clone();
    let probed = rend_shell::spawn_blocking(move || probe_folder(&dir));
    let trouble = match tokio::time::timeout(LOOK_TIMEOUT, probed).await {
        Ok(Ok(probed)) => probed.err(),
        Ok(Err(_)) => Some("looking at the cache folder panicked"),
        Err(_) => Some("the cache folder does not answer"),
    };
    edge.health.note(Subject::Cache, started, trouble);
    let started = clock.mono();
    let trouble = match tokio::time::timeout(LOOK_TIMEOUT, ask_origin(edge, client)).await {
        Ok(true) => None,
        Ok(false) => Some("the origin fails"),
        Err(_) => Some("the origin does not answer"),
    };
    edge.health.note(Subject::Origin, started, trouble);
}

async fn ask_origin(edge: &Edge, client: &Client) -> bool {
    if let Some(url) = edge.config.origin_health_url.clone() {
        let request = Request { method: Method::Get, url, headers: Vec::new(), body: bytes::Bytes::new() };
        return client.send(request).await.is_ok_and(|answer| answer.is_success());
    }
    let Ok(probe) = ORIGIN_PROBE.parse::<ObjectKey>() else { return false };
    matches!(edge.objects.head(&probe).await, Ok(_) | Err(StoreError::NotFound { .. }))
}

async fn looking(edge: Arc<Edge>, client: Client, mut shutdown: Shutdown) {
    loop {
        tokio::select! {
            () = shutdown.requested() => break,
            () = tokio::time::sleep(LOOK_EVERY) => look(&edge, &client).await,
        }
    }
    edge.health.drain();
}

/// Asks the system for as many descriptors as it allows: each connection takes one.
fn raise_descriptors() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    // Where it is refused, the accept loop pauses when descriptors run out.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
}

/// Bodies that are kept in memory, in bytes.
const RAM_BYTES_MAX: u64 = 256 << 20;
/// News that wait for the agent.
const NEWS_MAX: usize = 64;
/// Connections of the private listener.
const PRIVATE_CONNECTIONS_MAX: usize = 256;
/// A key that is never put: asking for it shows that the store answers.
const ORIGIN_PROBE: &str = "health/probe";
