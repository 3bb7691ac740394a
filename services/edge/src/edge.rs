//! What every request of one edge shares.

use std::sync::Arc;

use rend_cache::Cache;
use rend_core::config::SecretText;
use rend_storage::objects::ObjectStore;
use tokio::sync::mpsc;

use crate::auth::CookieRules;
use crate::config::EdgeConfig;
use crate::cors::Cors;
use crate::delivery::Accounts;
use crate::gone::Gone;
use crate::head::Identity;
use crate::health::Health;
use crate::origin::Allowance;
use crate::trust::Trust;

/// One running edge.
#[derive(Debug)]
pub(crate) struct Edge {
    pub(crate) config: EdgeConfig,
    /// The keys in force, and what was revoked.
    pub(crate) trust: Trust,
    /// What was deleted and is not to be fetched again.
    pub(crate) gone: Arc<Gone>,
    pub(crate) cache: Cache,
    pub(crate) objects: Arc<dyn ObjectStore>,
    pub(crate) accounts: Arc<Accounts>,
    /// What it may ask of the origin beside its fills.
    pub(crate) allowance: Allowance,
    pub(crate) identity: Identity,
    pub(crate) cors: Cors,
    pub(crate) cookies: CookieRules,
    pub(crate) health: Health,
    /// One purge at a time, so that places of the log are carried out in their order.
    pub(crate) purging: tokio::sync::Mutex<()>,
    /// What the agent should hear.
    pub(crate) news: mpsc::Sender<rend_core::fleet::Heard>,
    pub(crate) started: rend_core::time::Mono,
    /// Where fills run: not where viewers are served, since they hash and write to disk.
    pub(crate) fillers: tokio::runtime::Handle,
}

impl Edge {
    /// Milliseconds since the epoch.
    pub(crate) fn now_ms(&self) -> u64 {
        self.accounts.clock.wall().as_millis()
    }

    /// Whether `offered` is the bearer of the private listener.
    pub(crate) fn is_internal(&self, offered: &[u8]) -> bool {
        let token: &SecretText = &self.config.internal_token;
        !token.expose().is_empty() && token.matches(offered)
    }
}
