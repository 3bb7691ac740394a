//! An API over memory with a clock that stands, for tests of how originals come in.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use futures::StreamExt;
use rend_core::artifact::ObjectKey;
use rend_core::asset::{Asset, PlaybackPolicy};
use rend_core::config::{Profile, Role, check};
use rend_core::credential::Scopes;
use rend_core::id::{AssetId, UploadId};
use rend_core::time::{Clock, Mono, Timestamp};
use rend_core::upload::pull::Guard;
use rend_core::upload::transfer::Pull;
use rend_shell::{ShutdownTrigger, shutdown_pair};
use rend_storage::StoreError;
use rend_storage::memory::MemoryObjects;
use rend_storage::multipart::{PartStore, PartsAsObjects};
use rend_storage::objects::{Object, ObjectBody, ObjectMeta, ObjectStore, Put};

use crate::config::{ApiConfig, SOLE_ORG, tickets};
use crate::http::uploads::{Ask, open};
use crate::state::{State, Stores};
use crate::{Bus, Deps, make_key};

/// A clock that is set by hand.
#[derive(Clone, Debug, Default)]
pub(crate) struct Standing(Arc<AtomicU64>);

impl Clock for Standing {
    fn mono(&self) -> Mono {
        Mono::after_start(Duration::from_millis(self.0.load(Ordering::Relaxed)))
    }

    fn wall(&self) -> Timestamp {
        Timestamp::from_secs(1_800_000_000) + Duration::from_millis(self.0.load(Ordering::Relaxed))
    }
}

/// Objects in memory, on a disk that may be full, or away.
#[derive(Clone, Debug)]
pub(crate) struct Disk {
    inner: MemoryObjects,
    /// Bytes that still fit.
    pub(crate) room: Arc<AtomicU64>,
    /// Whether its keys can not be listed.
    pub(crate) away: Arc<AtomicBool>,
}

#[async_trait]
impl ObjectStore for Disk {
    async fn put(&self, key: &ObjectKey, put: Put, body: ObjectBody) -> Result<ObjectMeta, StoreError> {
        let chunks: Vec<_> = body.collect().await;
        let bytes: u64 = chunks.iter().filter_map(|chunk| chunk.as_ref().ok()).map(|chunk| chunk.len() as u64).sum();
        if self.room.load(Ordering::Relaxed) < bytes {
            return Err(StoreError::NoSpace);
        }
        self.inner.put(key, put, futures::stream::iter(chunks).boxed()).await
    }

    async fn get(&self, key: &ObjectKey, range: Option<std::ops::Range<u64>>) -> Result<Object, StoreError> {
        self.inner.get(key, range).await
    }

    async fn head(&self, key: &ObjectKey) -> Result<ObjectMeta, StoreError> {
        self.inner.head(key).await
    }

    async fn delete(&self, key: &ObjectKey) -> Result<(), StoreError> {
        self.inner.delete(key).await
    }

    async fn list(&self, prefix: &str, after: Option<&ObjectKey>, limit: usize) -> Result<Vec<ObjectKey>, StoreError> {
        if self.away.load(Ordering::Relaxed) {
            return Err(StoreError::Unavailable("away".into()));
        }
        self.inner.list(prefix, after, limit).await
    }

    async fn local(&self, key: &ObjectKey) -> Option<std::path::PathBuf> {
        self.inner.local(key).await
    }

    fn parts(&self) -> Option<&dyn PartStore> {
        Some(self)
    }
}

impl PartsAsObjects for Disk {}

pub(crate) struct Rig {
    pub(crate) state: Arc<State>,
    pub(crate) stores: Stores,
    pub(crate) disk: Disk,
    clock: Standing,
    trigger: ShutdownTrigger,
}

impl Rig {
    pub(crate) fn new() -> Self {
        rend_shell::install_tls();
        let disk =
            Disk { inner: MemoryObjects::default(), room: Arc::new(AtomicU64::new(u64::MAX)), away: Arc::default() };
        let stores = Stores { objects: Arc::new(disk.clone()), ..Stores::memory() };
        let clock = Standing::default();
        let vars: BTreeMap<String, String> = [
            ("REND_EDGE_INTERNAL_TOKEN", "an-edge-token-of-tests-0123456789abcdef"),
            ("REND_INTERNAL_TELEMETRY_TOKEN", "a-telemetry-token-of-tests-0123456789"),
            ("REND_PLAYBACK_SIGNING_KEY_ID", "test"),
            ("REND_PLAYBACK_SIGNING_SECRET", "a-secret-that-only-these-tests-use-0123456789"),
            ("REND_MAX_SOURCE_BYTES", "64MiB"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
        let (settings, _) = check(Role::Api, Profile::Local, true, &vars);
        let (trigger, shutdown) = shutdown_pair();
        let deps = Deps {
            stores: stores.clone(),
            clock: Arc::new(clock.clone()),
            tickets: tickets(&settings).unwrap(),
            bus: Bus::default(),
            shutdown,
        };
        let mut config = ApiConfig::from_settings(&settings);
        // Servers of tests are on this machine, which no setting lets in.
        config.pull_guard = Guard { plain_http: true, also: Some([127, 0, 0, 1].into()) };
        config.webhook_guard = config.pull_guard;
        let state = State::new(config, deps).unwrap();
        Self { state, stores, disk, clock, trigger }
    }

    /// Has the jobs done that bring originals in.
    pub(crate) fn run(&self) {
        rend_shell::spawn("test", super::run(Arc::clone(&self.state)));
    }

    /// Ends what [`Rig::run`] began.
    pub(crate) fn stop(&self) {
        self.trigger.request();
    }

    pub(crate) fn clock(&self) -> Arc<dyn Clock> {
        Arc::new(self.clock.clone())
    }

    pub(crate) fn pass(&self, time: Duration) {
        self.clock.0.fetch_add(u64::try_from(time.as_millis()).unwrap(), Ordering::Relaxed);
    }

    pub(crate) async fn key(&self, scopes: Scopes) -> String {
        make_key(self.stores.credentials.as_ref(), SOLE_ORG, "test", scopes, None, self.state.clock.wall())
            .await
            .unwrap()
            .1
    }

    /// The bytes of every counted part, joined.
    pub(crate) async fn parts_of(&self, id: UploadId) -> Vec<u8> {
        let mut all = Vec::new();
        for part in self.stores.transfers.parts(id, 0, usize::MAX).await.unwrap() {
            all.extend(self.object(&part.key(id)).await);
        }
        all
    }

    pub(crate) async fn object(&self, key: &ObjectKey) -> Vec<u8> {
        let body = self.stores.objects.get(key, None).await.unwrap().body;
        body.map(Result::unwrap).collect::<Vec<_>>().await.concat()
    }

    /// Every key of the pieces of uploads.
    pub(crate) async fn pieces(&self) -> Vec<ObjectKey> {
        self.stores.objects.list("uploads/", None, 1000).await.unwrap()
    }

    /// Waits until the asset's state is `source`.
    pub(crate) async fn until(&self, id: AssetId, source: &str) -> Asset {
        for _ in 0..2000 {
            let asset = self.stores.assets.get(id).await.unwrap();
            if asset.source.as_str() == source {
                return asset;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("the asset is not {source}: {:?}", self.stores.assets.get(id).await.unwrap());
    }
}

/// A session that is fetched from `url`.
pub(crate) async fn pulled(rig: &Rig, url: &str) -> UploadId {
    let now = rig.state.clock.wall();
    let id = AssetId::new(now, rend_shell::ten());
    let asset = Asset::new(id, SOLE_ORG, "film".into(), PlaybackPolicy::Public, now);
    let pull = Some(Pull { url: url.into(), validator: None });
    open(&rig.state, asset, Ask { bytes: None, note: String::new(), pull, direct: None }, None)
        .await
        .unwrap()
        .session
        .id
}

/// Some bytes, none like its neighbour.
pub(crate) fn bytes_of(count: usize) -> Vec<u8> {
    (0..count).map(|n| (n % 251) as u8).collect()
}
