//! `rend-edge` over a folder that answers as late as an origin across a network: `slow_origin MILLISECONDS`.
#![expect(clippy::unwrap_used, reason = "a tool for developers fails by panicking")]

use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use rend_core::artifact::ObjectKey;
use rend_core::config::{Role, check, profile_of, variable as known};
use rend_edge::{Deps, EdgeConfig, bind, serve};
use rend_shell::metrics::Metrics;
use rend_shell::{ProcessVars, SystemClock, init_logs, install_tls, shutdown_on_signals};
use rend_storage::StoreError;
use rend_storage::fs::FsObjects;
use rend_storage::objects::{Object, ObjectBody, ObjectMeta, ObjectStore, Put};

#[tokio::main]
async fn main() {
    install_tls();
    let delay = Duration::from_millis(std::env::args().nth(1).unwrap().parse().unwrap());
    let (settings, problems) = check(Role::Edge, profile_of(&ProcessVars), false, &ProcessVars);
    assert!(!problems.is_fatal(), "{problems}");
    init_logs(settings.text(&known::REND_LOG).unwrap_or("info"));
    let folder = settings.path(&known::REND_OBJECT_STORE_DIR).unwrap();
    let objects = Arc::new(Far { inner: FsObjects::open(folder).unwrap(), delay });
    let config = EdgeConfig::from_settings(&settings).unwrap();
    let bound = bind(&config).await.unwrap();
    let deps = Deps { objects, clock: Arc::new(SystemClock::start()), metrics: Metrics::new() };
    serve(config, deps, bound, shutdown_on_signals().unwrap()).await.unwrap();
}

#[derive(Debug)]
struct Far {
    inner: FsObjects,
    delay: Duration,
}

#[async_trait]
impl ObjectStore for Far {
    async fn put(&self, key: &ObjectKey, put: Put, body: ObjectBody) -> Result<ObjectMeta, StoreError> {
        self.inner.put(key, put, body).await
    }

    async fn get(&self, key: &ObjectKey, range: Option<Range<u64>>) -> Result<Object, StoreError> {
        tokio::time::sleep(self.delay).await;
        self.inner.get(key, range).await
    }

    async fn head(&self, key: &ObjectKey) -> Result<ObjectMeta, StoreError> {
        tokio::time::sleep(self.delay).await;
        self.inner.head(key).await
    }

    async fn delete(&self, key: &ObjectKey) -> Result<(), StoreError> {
        self.inner.delete(key).await
    }

    async fn list(&self, prefix: &str, after: Option<&ObjectKey>, limit: usize) -> Result<Vec<ObjectKey>, StoreError> {
        self.inner.list(prefix, after, limit).await
    }

    async fn local(&self, _: &ObjectKey) -> Option<PathBuf> {
        None
    }
}
