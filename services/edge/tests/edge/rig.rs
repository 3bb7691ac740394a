//! A running edge on free ports, an origin that can be told to misbehave, and a client that sees every byte.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use rend_core::artifact::ObjectKey;
use rend_core::config::{Profile, Role, check};
use rend_core::time::{Clock, Timestamp};
use rend_edge::{Deps, EdgeConfig, Running, bind, start};
use rend_shell::metrics::Metrics;
use rend_shell::{ShutdownTrigger, SystemClock, shutdown_pair};
use rend_storage::StoreError;
use rend_storage::memory::MemoryObjects;
use rend_storage::objects::{Object, ObjectBody, ObjectMeta, ObjectStore, Put};
use rend_token::{AssetRef, ClassMask, Grant, Signer, UnixSecs};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;

pub(crate) const ASSET: &str = "018f5d3e-7c1a-7b2c-9d4e-5f60718293a4";
pub(crate) const OTHER: &str = "018f5d3e-7c1a-7b2c-9d4e-5f60718293a5";
pub(crate) const INTERNAL: &str = "an internal token for tests only, long enough";
pub(crate) const SECRET: &str = "Zr8fQ0mVt3uXkYw1LhJc7sNdB2gAe5PiRo9KxTyUvMlWqHzE";
pub(crate) const PAGE: &str = "https://www.example.com";

/// An origin in memory that counts, waits and lies on demand.
#[derive(Clone, Debug, Default)]
pub(crate) struct Origin {
    pub(crate) inner: MemoryObjects,
    pub(crate) gets: Arc<AtomicU64>,
    pub(crate) heads: Arc<AtomicU64>,
    pub(crate) tamper: Arc<AtomicU64>,
    pub(crate) down: Arc<AtomicU64>,
    /// While it is 1, nothing is answered.
    pub(crate) late: Arc<AtomicU64>,
    pub(crate) gate: Arc<std::sync::Mutex<Option<Arc<Semaphore>>>>,
    /// How the next answers end.
    pub(crate) breaks: Arc<std::sync::Mutex<VecDeque<Break>>>,
}

/// How an answer ends before its time.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Break {
    /// With an error after so many chunks.
    After(usize),
    /// As if it were whole.
    Short(usize),
}

impl Origin {
    pub(crate) async fn put(&self, asset: &str, path: &str, bytes: impl Into<Bytes>) {
        let bytes = bytes.into();
        let key = ObjectKey::artifact(asset.parse().unwrap(), path.parse().unwrap());
        let put = Put { content_type: "x/y".into(), len: None, sha256: None, now: SystemClock::start().wall() };
        self.inner.put(&key, put, futures::stream::iter([Ok(bytes)]).boxed()).await.unwrap();
    }

    pub(crate) async fn delete(&self, asset: &str, path: &str) {
        self.inner.delete(&ObjectKey::artifact(asset.parse().unwrap(), path.parse().unwrap())).await.unwrap();
    }

    /// From now on each chunk of a body waits for a permit.
    pub(crate) fn hold(&self) -> Arc<Semaphore> {
        let gate = Arc::new(Semaphore::new(0));
        *self.gate.lock().unwrap() = Some(Arc::clone(&gate));
        gate
    }

    /// From now on chunks come as they are asked for; those of bodies that are held stay so.
    pub(crate) fn release(&self) {
        *self.gate.lock().unwrap() = None;
    }

    fn answer(&self) -> Result<(), StoreError> {
        if self.down.load(Ordering::SeqCst) == 1 {
            return Err(StoreError::Unavailable("down".into()));
        }
        Ok(())
    }
}

#[async_trait]
impl ObjectStore for Origin {
    async fn put(&self, key: &ObjectKey, put: Put, body: ObjectBody) -> Result<ObjectMeta, StoreError> {
        self.inner.put(key, put, body).await
    }

    async fn get(&self, key: &ObjectKey, range: Option<Range<u64>>) -> Result<Object, StoreError> {
        if key.as_str().starts_with("assets/") {
            self.gets.fetch_add(1, Ordering::SeqCst);
        }
        if self.late.load(Ordering::SeqCst) == 1 {
            std::future::pending::<()>().await;
        }
        self.answer()?;
        let Object { meta, body } = self.inner.get(key, range).await?;
        let gate = self.gate.lock().unwrap().clone();
        let tamper = self.tamper.load(Ordering::SeqCst) == 1;
        let end = self.breaks.lock().unwrap().pop_front();
        let body = match end {
            None => body,
            Some(Break::Short(chunks)) => body.take(chunks).boxed(),
            Some(Break::After(chunks)) => {
                let broken = Err(StoreError::Unavailable("broken off".into()));
                body.take(chunks).chain(futures::stream::iter([broken])).boxed()
            }
        };
        let body = body
            .enumerate()
            .then(move |(index, chunk)| {
                let gate = gate.clone();
                async move {
                    if let Some(gate) = gate {
                        gate.acquire().await.unwrap().forget();
                    }
                    chunk.map(|bytes| {
                        if tamper && index == 0 {
                            let mut bytes = bytes.to_vec();
                            bytes[0] ^= 1;
                            return Bytes::from(bytes);
                        }
                        bytes
                    })
                }
            })
            .boxed();
        Ok(Object { meta, body })
    }

    async fn head(&self, key: &ObjectKey) -> Result<ObjectMeta, StoreError> {
        if key.as_str().starts_with("assets/") {
            self.heads.fetch_add(1, Ordering::SeqCst);
        }
        self.answer()?;
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

pub(crate) struct Rig {
    pub(crate) origin: Origin,
    pub(crate) public: SocketAddr,
    pub(crate) private: SocketAddr,
    pub(crate) dir: Arc<tempfile::TempDir>,
    running: Option<Running>,
    trigger: Option<ShutdownTrigger>,
}

pub(crate) fn config(dir: &Path) -> EdgeConfig {
    let text = |name: &str| dir.join(name).to_str().unwrap().to_owned();
    let vars: BTreeMap<String, String> = [
        ("REND_EDGE_CACHE_DIR", text("cache")),
        ("REND_EDGE_CACHE_MAX_BYTES", "256MiB".into()),
        ("REND_EDGE_CACHE_MIN_FREE_BYTES", "0".into()),
        ("REND_EDGE_INTERNAL_TOKEN", INTERNAL.into()),
        ("REND_INTERNAL_TELEMETRY_TOKEN", "a telemetry token for tests only, long".into()),
        ("REND_PLAYBACK_SIGNING_KEY_ID", "local-dev-playback-key".into()),
        ("REND_PLAYBACK_SIGNING_SECRET", SECRET.into()),
        ("REND_EDGE_CORS_ALLOWED_ORIGINS", PAGE.into()),
        ("REND_EDGE_BIND_ADDR", "127.0.0.1:0".into()),
        ("REND_EDGE_PRIVATE_BIND_ADDR", "127.0.0.1:0".into()),
        ("REND_OBJECT_STORE_DIR", text("objects")),
        ("REND_EDGE_TELEMETRY_SPOOL_DIR", text("spool")),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into();
    let (settings, problems) = check(Role::Edge, Profile::Local, false, &vars);
    assert!(!problems.is_fatal(), "{problems}");
    let mut config = EdgeConfig::from_settings(&settings).unwrap();
    config.control_plane_url = None;
    config.telemetry = None;
    config.prefetch = false;
    config.shutdown_grace = Duration::from_secs(5);
    config
}

impl Rig {
    pub(crate) async fn start() -> Self {
        Self::with(Origin::default(), Arc::new(tempfile::tempdir().unwrap()), |_| {}).await
    }

    pub(crate) async fn with(
        origin: Origin,
        dir: Arc<tempfile::TempDir>,
        change: impl FnOnce(&mut EdgeConfig),
    ) -> Self {
        Self::with_clock(origin, dir, Arc::new(SystemClock::start()), change).await
    }

    /// As [`Rig::with`], for an edge whose clock may be off.
    pub(crate) async fn with_clock(
        origin: Origin,
        dir: Arc<tempfile::TempDir>,
        clock: Arc<dyn Clock>,
        change: impl FnOnce(&mut EdgeConfig),
    ) -> Self {
        let mut config = config(dir.path());
        change(&mut config);
        let bound = bind(&config).await.unwrap();
        let (public, private) = (bound.public_at(), bound.private_at());
        let (trigger, shutdown) = shutdown_pair();
        let deps = Deps { objects: Arc::new(origin.clone()), clock, metrics: Metrics::new() };
        rend_shell::install_tls();
        let running = start(config, deps, bound, shutdown).await.unwrap();
        Self { origin, public, private, dir, running: Some(running), trigger: Some(trigger) }
    }

    pub(crate) async fn stop(mut self) -> (Origin, Arc<tempfile::TempDir>) {
        drop(self.trigger.take());
        self.running.take().unwrap().ended().await;
        (self.origin.clone(), Arc::clone(&self.dir))
    }

    /// Verifies with other keys from here on.
    pub(crate) async fn swap_keys(&self, keys: rend_token::KeyRingBuf) {
        self.running.as_ref().unwrap().swap_keys(keys).await;
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, &[("cookie", &cookie(ASSET))]).await
    }

    pub(crate) async fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/v/{ASSET}/{path}") };
        request(self.public, method, &path, headers, "").await
    }

    pub(crate) async fn internal(&self, method: &str, path: &str, body: &str) -> Answer {
        request(self.private, method, path, &[("authorization", &format!("Bearer {INTERNAL}"))], body).await
    }

    pub(crate) async fn purge(&self, body: &str) -> Answer {
        self.internal("POST", "/internal/purge", body).await
    }
}

pub(crate) fn token_at(asset: &str, now: Timestamp, ttl_secs: u32, secret: &str) -> String {
    signed(asset, ClassMask::ALL, now, ttl_secs, secret)
}

/// A token that opens these kinds of artifact alone.
pub(crate) fn token_of(asset: &str, now: Timestamp, classes: ClassMask) -> String {
    signed(asset, classes, now, 900, SECRET)
}

fn signed(asset: &str, classes: ClassMask, now: Timestamp, ttl_secs: u32, secret: &str) -> String {
    let values = rend_token::RingValues {
        signing_label: Some("local-dev-playback-key"),
        signing_secret: Some(secret),
        verify_keys: None,
        production: false,
    };
    let ring = rend_token::KeyRingBuf::from_values(&values, rend_token::Policy::new()).unwrap();
    let asset = AssetRef::parse(asset).unwrap();
    let now = UnixSecs::try_from(now.as_secs()).unwrap();
    let claims = Grant::playback(&asset, classes, ttl_secs).build(now).unwrap();
    Signer::new(&ring).sign(&claims).unwrap().as_str().to_owned()
}

pub(crate) fn token(asset: &str) -> String {
    token_at(asset, SystemClock::start().wall(), 900, SECRET)
}

pub(crate) fn cookie(asset: &str) -> String {
    format!("rend_pb={}", token(asset))
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Bytes,
    /// Whether as many bytes came as were announced.
    pub(crate) whole: bool,
}

impl Answer {
    #[track_caller]
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or_else(|| panic!("no {name} in {:?}", self.headers), String::as_str)
    }

    pub(crate) fn cache(&self) -> &str {
        self.headers.get("x-rend-cache").map_or("", String::as_str)
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

pub(crate) fn head_text(method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> String {
    let mut text = format!("{method} {path} HTTP/1.1\r\nhost: edge\r\nconnection: close\r\n");
    for (name, value) in headers {
        text += &format!("{name}: {value}\r\n");
    }
    if !body.is_empty() {
        text += &format!("content-length: {}\r\n", body.len());
    }
    text + "\r\n" + body
}

pub(crate) async fn request(at: SocketAddr, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
    let mut stream = TcpStream::connect(at).await.unwrap();
    stream.write_all(head_text(method, path, headers, body).as_bytes()).await.unwrap();
    let mut bytes = Vec::new();
    // A connection that is reset shows as a body that is not whole.
    let _ = stream.read_to_end(&mut bytes).await;
    parse(&bytes, method == "HEAD")
}

pub(crate) fn parse(bytes: &[u8], bodyless: bool) -> Answer {
    let end = bytes.windows(4).position(|w| w == b"\r\n\r\n").unwrap_or_else(|| panic!("{}", bytes.escape_ascii()));
    let head = std::str::from_utf8(&bytes[..end]).unwrap();
    let mut lines = head.split("\r\n");
    let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    let mut headers: BTreeMap<String, String> = BTreeMap::new();
    for line in lines {
        let (name, value) = line.split_once(": ").unwrap();
        headers.insert(name.to_owned(), value.to_owned());
    }
    let body = Bytes::copy_from_slice(&bytes[end + 4..]);
    let announced: Option<usize> = headers.get("content-length").map(|len| len.parse().unwrap());
    let whole = bodyless || announced.is_none_or(|len| len == body.len());
    Answer { status, headers, body, whole }
}

/// Bytes that repeat nowhere near.
pub(crate) fn noise(len: usize) -> Bytes {
    let mut prng = rend_core::prng::Prng::seeded(len as u64);
    let mut bytes = vec![0; len];
    prng.fill(&mut bytes);
    bytes.into()
}

/// Waits until `done`, which must come.
pub(crate) async fn until(mut done: impl FnMut() -> bool) {
    while !done() {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}
