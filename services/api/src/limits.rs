//! How often callers and viewers may ask.
//!
//! A key has a quota for reading and one for writing, and each address class has one for everything: an IPv4 address, or
//! the 64 bits of an IPv6 address that one customer of a network gets. What passes through a proxy on a private network
//! without saying for whom has no class and is not counted, since everybody would share it.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderValue, Method};
use rend_core::limit::{Quota, Verdict};
use rend_core::routing::GeoHeaders;
use rend_core::time::{Clock, Timestamp};
use rend_shell::Peer;
use rend_shell::metrics::Counter;
use rend_storage::StoreError;
use rend_storage::limits::{Asker, Limiter};
use rend_storage::memory::MemoryLimiter;
use sha2::{Digest, Sha256};
use warp::path::FullPath;
use warp::{Filter, Rejection};

use crate::auth::bearer;
use crate::fuse::Fuse;
use crate::state::State;

/// How long nobody asks what is shared after it did not answer. Then one request tries, and waits for it if it must.
const COOLDOWN: Duration = Duration::from_secs(2);

/// How many requests fit in a minute; 0 counts nothing.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct RateLimits {
    /// Requests of one key that read.
    pub reads: u32,
    /// Requests of one key that write.
    pub writes: u32,
    /// Requests of one address class, whatever they do.
    pub address: u32,
}

impl Default for RateLimits {
    fn default() -> Self {
        Self { reads: 3000, writes: 1200, address: 3000 }
    }
}

/// Counts requests. When what is shared with other processes does not answer, reading goes on uncounted and writing is
/// counted by this process alone; a metric says so. Only the first requests and one in [`COOLDOWN`] wait to find out.
#[derive(Debug)]
pub(crate) struct Limits {
    shared: Option<Arc<dyn Limiter>>,
    fuse: Fuse,
    local: MemoryLimiter,
    away: Counter,
    salt: [u8; 32],
}

impl Limits {
    /// Counts in `shared`, or in this process. `secret` keeps addresses from being guessed from their digests.
    pub(crate) fn new(shared: Option<Arc<dyn Limiter>>, secret: &str, away: Counter) -> Self {
        let salt = Sha256::digest(secret.as_bytes()).into();
        Self { shared, fuse: Fuse::new(COOLDOWN), local: MemoryLimiter::default(), away, salt }
    }

    /// Whether the counter that processes share answers; `None` where each counts alone.
    pub(crate) fn shared_answers(&self, now: Timestamp) -> Option<impl Future<Output = bool> + Send + use<>> {
        let shared = Arc::clone(self.shared.as_ref()?);
        Some(async move { shared.take(&[0; 32], &Quota::per_minute("health", 60_000), now).await.is_ok() })
    }

    async fn take(&self, asker: &Asker, quota: Quota, writes: bool, clock: &dyn Clock) -> Option<(Quota, Verdict)> {
        let now = clock.wall();
        if let Some(shared) = self.shared.as_deref() {
            if self.fuse.may_ask(clock.mono()) {
                match shared.take(asker, &quota, now).await {
                    Ok(verdict) => {
                        self.fuse.answered();
                        return Some((quota, verdict));
                    }
                    // It answers, and somebody asks so often at once that it can not be counted there.
                    Err(StoreError::Conflict { .. }) => {
                        self.fuse.answered();
                        return Some((quota, self.local.take(asker, &quota, now).await.ok()?));
                    }
                    Err(_) => self.fuse.failed(clock.mono()),
                }
            }
            self.away.inc();
            if !writes {
                return None;
            }
        }
        Some((quota, self.local.take(asker, &quota, now).await.ok()?))
    }

    fn asker(&self, kind: &str, who: &[u8]) -> Asker {
        Sha256::new().chain_update(self.salt).chain_update(kind).chain_update(who).finalize().into()
    }
}

/// What a request was counted against.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counted(Vec<(Quota, Verdict)>);

impl Counted {
    /// After how long asking again helps, if the request may not go on.
    pub(crate) fn refused(&self) -> Option<Duration> {
        self.0.iter().filter(|(_, verdict)| !verdict.allowed).map(|(_, verdict)| verdict.retry_after).max()
    }

    /// Tells the caller where it stands.
    pub(crate) fn write(&self, headers: &mut HeaderMap) {
        let list = |entry: &dyn Fn(&Quota, &Verdict) -> String| {
            let entries: Vec<_> = self.0.iter().map(|(quota, verdict)| entry(quota, verdict)).collect();
            HeaderValue::from_str(&entries.join(", ")).ok()
        };
        let policy = list(&|quota, _| format!("\"{}\";q={};w={}", quota.name, quota.requests, quota.window.as_secs()));
        let standing = list(&|quota, verdict| {
            format!("\"{}\";r={};t={}", quota.name, verdict.remaining, secs(verdict.reset_after))
        });
        if let (false, Some(policy), Some(standing)) = (self.0.is_empty(), policy, standing) {
            headers.insert("ratelimit-policy", policy);
            headers.insert("ratelimit", standing);
        }
    }
}

/// Whole seconds, rounded up, so that who waits them has waited long enough.
pub(crate) const fn secs(wait: Duration) -> u64 {
    wait.as_secs() + (wait.subsec_nanos() > 0) as u64
}

/// A request that may not go on.
#[derive(Debug)]
pub(crate) struct TooOften(pub Counted);

impl warp::reject::Reject for TooOften {}

/// Counts the request; one too many is rejected with [`TooOften`] before a route sees it.
pub(crate) fn counted(state: &Arc<State>) -> impl Filter<Extract = (Counted,), Error = Rejection> + Clone + use<> {
    let state = Arc::clone(state);
    warp::method()
        .and(warp::path::full())
        .and(warp::header::headers_cloned())
        .and(warp::ext::optional::<Peer>())
        .and_then(move |method: Method, path: FullPath, headers: HeaderMap, peer: Option<Peer>| {
            let state = Arc::clone(&state);
            async move {
                let counted = count(&state, &method, path.as_str(), &headers, peer.map(|peer| peer.0)).await;
                match counted.refused() {
                    Some(_) => Err(warp::reject::custom(TooOften(counted))),
                    None => Ok(counted),
                }
            }
        })
}

async fn count(state: &State, method: &Method, path: &str, headers: &HeaderMap, peer: Option<SocketAddr>) -> Counted {
    // Probes must be answered whatever else happens, and pages load many small files at once.
    if path == "/healthz" || path == "/readyz" || path.starts_with("/assets/") {
        return Counted::default();
    }
    let (limits, rates) = (&state.limits, state.config.rate_limits);
    let writes = matches!(*method, Method::POST | Method::PATCH | Method::PUT | Method::DELETE);
    let key = headers.get(http::header::AUTHORIZATION).and_then(|header| bearer(header.to_str().ok()?));
    let mut asked = Vec::new();
    // The pieces of an upload are bounded by the upload.
    if let Some(key) = key
        && !path.starts_with("/v1/uploads/")
    {
        let quota = if writes { ("writes", rates.writes) } else { ("reads", rates.reads) };
        asked.push((limits.asker("key", key.as_bytes()), quota));
    }
    if let Some(class) = address(state.config.geo_headers, headers, peer).and_then(class_of) {
        asked.push((limits.asker("address", &class), ("address", rates.address)));
    }
    let mut counted = Counted::default();
    for (asker, (name, requests)) in asked.into_iter().filter(|(_, (_, requests))| *requests > 0) {
        counted.0.extend(limits.take(&asker, Quota::per_minute(name, requests), writes, state.clock.as_ref()).await);
    }
    counted
}

/// The address of whoever asks: as the network in front of the API says it, else the one that connected.
fn address(network: GeoHeaders, headers: &HeaderMap, peer: Option<SocketAddr>) -> Option<IpAddr> {
    let Some(name) = network.client_address() else { return peer.map(|peer| peer.ip()) };
    headers.get(name)?.to_str().ok()?.trim().parse().ok()
}

/// What an address counts as; nothing for one that only a private network or this machine knows.
fn class_of(address: IpAddr) -> Option<Vec<u8>> {
    match address.to_canonical() {
        IpAddr::V4(v4) => {
            let shared = v4.octets()[0] == 100 && v4.octets()[1] & 0xc0 == 64;
            let private = v4.is_private() || v4.is_loopback() || v4.is_link_local() || v4.is_unspecified() || shared;
            (!private).then(|| v4.octets().to_vec())
        }
        IpAddr::V6(v6) => {
            let private = v6.is_loopback()
                || v6.is_unspecified()
                || v6.octets()[0] & 0xfe == 0xfc
                || v6.segments()[0] & 0xffc0 == 0xfe80;
            (!private).then(|| v6.octets()[..8].to_vec())
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

    use async_trait::async_trait;
    use futures::future::join_all;
    use rend_core::time::Mono;
    use rend_storage::redis::Redis;
    use tokio::net::TcpListener;

    use super::*;

    /// A clock that is set by hand, in milliseconds.
    #[derive(Debug, Default)]
    struct Hand(AtomicU64);

    impl Clock for Hand {
        fn mono(&self) -> Mono {
            Mono::after_start(Duration::from_millis(self.0.load(Ordering::Relaxed)))
        }

        fn wall(&self) -> Timestamp {
            Timestamp::from_secs(1_800_000_000)
        }
    }

    #[track_caller]
    fn check(address: &str, expect: Option<&[u8]>) {
        assert_eq!(class_of(address.parse().unwrap()).as_deref(), expect, "{address}");
    }

    #[test]
    fn an_address_counts_as_what_one_customer_of_a_network_gets() {
        check("203.0.113.7", Some(&[203, 0, 113, 7]));
        check("::ffff:203.0.113.7", Some(&[203, 0, 113, 7]));
        check("2001:db8:1:2:3:4:5:6", Some(&[0x20, 1, 0x0d, 0xb8, 0, 1, 0, 2]));
        for private in
            ["127.0.0.1", "10.1.2.3", "192.168.0.1", "169.254.1.1", "100.64.0.1", "::1", "fd00::1", "fe80::1"]
        {
            check(private, None);
        }
    }

    #[test]
    fn behind_a_known_network_only_its_word_counts() {
        let peer = Some(SocketAddr::from(([198, 51, 100, 1], 443)));
        let mut headers = HeaderMap::new();
        headers.insert("cf-connecting-ip", HeaderValue::from_static("203.0.113.7"));
        let found = |network, headers: &HeaderMap| address(network, headers, peer).map(|ip| ip.to_string());
        assert_eq!(found(GeoHeaders::None, &headers).as_deref(), Some("198.51.100.1"));
        assert_eq!(found(GeoHeaders::Cloudflare, &headers).as_deref(), Some("203.0.113.7"));
        assert_eq!(found(GeoHeaders::Cloudflare, &HeaderMap::new()), None);
    }

    /// A limiter that never answers.
    #[derive(Debug)]
    struct Away;

    #[async_trait]
    impl Limiter for Away {
        async fn take(&self, _: &Asker, _: &Quota, _: Timestamp) -> Result<Verdict, StoreError> {
            Err(StoreError::Unavailable("away".into()))
        }
    }

    #[tokio::test]
    async fn when_the_shared_count_is_away_reading_goes_on_and_writing_is_counted_here() {
        let limits = Limits::new(Some(Arc::new(Away)), "secret", Counter::default());
        let one = Quota::per_minute("one", 1);
        let take = async |writes| {
            let taken = limits.take(&[1; 32], one, writes, &Hand::default()).await;
            taken.map(|(_, verdict)| verdict.allowed)
        };
        assert_eq!((take(false).await, take(false).await), (None, None));
        assert_eq!((take(true).await, take(true).await), (Some(true), Some(false)));
        assert_eq!(limits.away.get(), 4);
    }

    /// Asks another, and counts how often.
    #[derive(Debug)]
    struct Asked<L>(L, AtomicUsize);

    #[async_trait]
    impl<L: Limiter> Limiter for Asked<L> {
        async fn take(&self, asker: &Asker, quota: &Quota, now: Timestamp) -> Result<Verdict, StoreError> {
            self.1.fetch_add(1, Ordering::Relaxed);
            self.0.take(asker, quota, now).await
        }
    }

    #[tokio::test]
    async fn a_redis_that_says_nothing_is_waited_for_by_one_request_in_a_while_and_not_by_all() {
        let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("redis://{}", silent.local_addr().unwrap());
        rend_shell::spawn("silent", async move {
            let mut held = Vec::new();
            while let Ok((stream, _)) = silent.accept().await {
                held.push(stream);
            }
        });
        let redis = Redis::new(&url, Duration::from_millis(50)).unwrap();
        let shared = Arc::new(Asked(redis, AtomicUsize::new(0)));
        let (limits, clock) = (Limits::new(Some(shared.clone()), "secret", Counter::default()), Hand::default());
        let quota = Quota::per_minute("many", 1000);
        let read = async || limits.take(&[1; 32], quota, false, &clock).await;
        let asked = || shared.1.load(Ordering::Relaxed);
        for _ in 0..50 {
            assert!(read().await.is_none());
        }
        assert_eq!((asked(), limits.away.get()), (1, 50));
        let cooldown_ms = u64::try_from(COOLDOWN.as_millis()).unwrap();
        for round in 1..=3 {
            clock.0.fetch_add(cooldown_ms, Ordering::Relaxed);
            join_all((0..20).map(|_| read())).await;
            assert_eq!((asked(), limits.away.get()), (1 + round, 50 + 20 * round as u64));
        }
        let write = limits.take(&[1; 32], quota, true, &clock).await;
        assert!(write.is_some_and(|(_, verdict)| verdict.allowed && verdict.remaining == 999), "counted here");
    }

    #[tokio::test]
    async fn one_who_asks_too_often_at_once_to_be_counted_with_the_others_does_not_turn_the_count_off() {
        #[derive(Debug)]
        struct Crowded;

        #[async_trait]
        impl Limiter for Crowded {
            async fn take(&self, _: &Asker, _: &Quota, _: Timestamp) -> Result<Verdict, StoreError> {
                Err(StoreError::Conflict { what: "limit" })
            }
        }

        let shared = Arc::new(Asked(Crowded, AtomicUsize::new(0)));
        let limits = Limits::new(Some(shared.clone()), "secret", Counter::default());
        let take = async || limits.take(&[1; 32], Quota::per_minute("one", 1), false, &Hand::default()).await;
        let allowed = [take().await, take().await].map(|taken| taken.is_some_and(|(_, verdict)| verdict.allowed));
        assert_eq!((allowed, shared.1.load(Ordering::Relaxed), limits.away.get()), ([true, false], 2, 0));
    }

    #[test]
    fn a_caller_is_told_where_it_stands() {
        let quota = Quota::per_minute("reads", 60);
        let (verdict, _) = quota.take(None, Timestamp::from_secs(1_800_000_000));
        let mut headers = HeaderMap::new();
        Counted(vec![(quota, verdict)]).write(&mut headers);
        assert_eq!(headers["ratelimit-policy"], "\"reads\";q=60;w=60");
        assert_eq!(headers["ratelimit"], "\"reads\";r=59;t=1");
        let mut none = HeaderMap::new();
        Counted::default().write(&mut none);
        assert!(none.is_empty());
    }
}
