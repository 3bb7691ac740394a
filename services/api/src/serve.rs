use std::sync::Arc;
use std::time::Duration;

use rend_core::time::Clock;
use rend_shell::client::{Client, ClientError};
use rend_shell::{Listening, ServeOptions, Shutdown, spawn};
use rend_storage::limits::Limiter;

use crate::bus::Bus;
use crate::config::ApiConfig;
use crate::limits::Limits;
use crate::once::Sealer;
use crate::state::{ApiMetrics, State, Stores};
use crate::sync::fanout::{Dispatch, PUSH_TIMEOUT};
use crate::tickets::Tickets;
use crate::viewticket::ViewTickets;
use crate::{http, ingest, routes, sync, webhooks};

/// What the API stands on.
#[derive(Debug)]
pub struct Deps {
    /// What is remembered.
    pub stores: Stores,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Playback tokens.
    pub tickets: Tickets,
    /// Wakes listeners; shared with a worker in the same process.
    pub bus: Bus,
    /// When to stop.
    pub shutdown: Shutdown,
}

impl State {
    /// The state over `deps`, with nothing begun.
    ///
    /// # Errors
    ///
    /// When there is no TLS provider to call edges with.
    pub fn new(config: ApiConfig, deps: Deps) -> Result<Arc<Self>, ClientError> {
        Self::counting(config, deps, None)
    }

    /// The same, where requests are counted by `limiter` together with other processes; without one this process counts
    /// its own.
    ///
    /// # Errors
    ///
    /// When there is no TLS provider to call edges with.
    pub fn counting(
        config: ApiConfig,
        deps: Deps,
        limiter: Option<Arc<dyn Limiter>>,
    ) -> Result<Arc<Self>, ClientError> {
        let metrics = ApiMetrics::new();
        let limits = Limits::new(limiter, &config.edge_token.header(), metrics.limiter_away.clone());
        let view_tickets = ViewTickets::new(&config.edge_token.header());
        let sealer = Sealer::new(&config.edge_token.header());
        let dispatch = Dispatch::new(
            deps.stores.clone(),
            Arc::clone(&deps.clock),
            config.edge_token.clone(),
            config.heartbeat_window,
            deps.bus.clone(),
            deps.shutdown.clone(),
        )?;
        Ok(Arc::new(Self {
            stores: deps.stores,
            config,
            started: deps.clock.mono(),
            clock: deps.clock,
            bus: deps.bus,
            tickets: deps.tickets,
            client: Client::new(PUSH_TIMEOUT)?,
            dispatch,
            metrics,
            limits,
            sealer,
            view_tickets,
            samples: http::health::Samples::default(),
            patience: crate::patience::Patience::default(),
            shutdown: deps.shutdown,
        }))
    }
}

/// Serves on both listeners and does the control plane's own work, until the stop that `state` was given; then lets open
/// responses end within `grace`.
pub async fn serve(state: Arc<State>, public: Listening, private: Listening, grace: Duration) {
    let options = ServeOptions { grace, ..ServeOptions::default() };
    let shutdown = state.shutdown.clone();
    // Before the first request, so that no start lets in what was revoked.
    if let Err(error) = sync::revoke::learn(&state).await {
        tracing::warn!(%error, "the log of revocations could not be read; it is tried again");
    }
    let work = [
        spawn("sample", http::health::sample(Arc::clone(&state))),
        spawn("follow", sync::follow::run(Arc::clone(&state))),
        spawn("revoke", sync::revoke::run(Arc::clone(&state))),
        spawn("delete", sync::delete::run(Arc::clone(&state))),
        spawn("suspend", sync::suspend::run(Arc::clone(&state))),
        spawn("captions", sync::captions::run(Arc::clone(&state))),
        spawn("sweep", sync::sweep::run(Arc::clone(&state))),
        spawn("usage", sync::usage::run(Arc::clone(&state))),
        spawn("retain", sync::retain::run(Arc::clone(&state))),
        spawn("ingest", ingest::run(Arc::clone(&state))),
        spawn("webhooks", webhooks::run(Arc::clone(&state))),
        spawn("private", rend_shell::serve(private, warp::service(routes::private(&state)), options, shutdown.clone())),
    ];
    rend_shell::serve(public, warp::service(routes::public(&state)), options, shutdown).await;
    for task in work {
        // A task that panicked has said so itself; the others are waited for.
        let _ = task.await;
    }
}
