//! What processes share through Redis, and what they notice when it goes.
#![cfg(feature = "redis")]
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

mod proxy;

use std::time::Duration;

use futures::future;
use proxy::Proxy;
use rend_core::limit::Quota;
use rend_core::time::Timestamp;
use rend_storage::StoreError;
use rend_storage::limits::Limiter;
use rend_storage::redis::Redis;

const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

#[test]
#[ignore = "needs Redis: cargo xtask test starts one"]
fn what_is_said_is_heard_by_all_who_listen_and_on_no_other_channel() {
    block_on(async {
        let redis = redis(&url(), "said:");
        let (mut one, mut other) = (redis.listen("wakes").await.unwrap(), redis.listen("wakes").await.unwrap());
        redis.say("elsewhere", "not this").await.unwrap();
        redis.clone().under("another:").say("wakes", "nor this").await.unwrap();
        for word in ["a", "b"] {
            redis.say("wakes", word).await.unwrap();
            assert_eq!(one.heard().await.as_deref(), Some(word));
            assert_eq!(other.heard().await.as_deref(), Some(word));
        }
    });
}

#[test]
#[ignore = "needs Redis: cargo xtask test starts one"]
fn processes_count_together_to_the_request() {
    block_on(async {
        let quota = Quota { name: "ten", requests: 10, window: Duration::from_secs(60) };
        let processes: Vec<_> = (0..4).map(|_| redis(&url(), "together:")).collect();
        let takes = (0..40).map(|n| {
            let process = processes[n % processes.len()].clone();
            async move { process.take(&[7; 32], &quota, NOW).await.unwrap().allowed }
        });
        let allowed = future::join_all(takes).await.into_iter().filter(|allowed| *allowed).count();
        assert_eq!(allowed, 10);
    });
}

#[test]
#[ignore = "needs Redis: cargo xtask test starts one"]
fn a_redis_that_goes_is_noticed_and_found_again_when_it_is_back() {
    block_on(async {
        let proxy = Proxy::before(&url());
        let through = redis(&proxy.url, "cut:");
        let quota = Quota::per_minute("cut", 100);
        through.take(&[1; 32], &quota, NOW).await.unwrap();
        let mut listening = through.listen("wakes").await.unwrap();

        proxy.cut();
        assert_eq!(listening.heard().await, None, "who listens learns that it may have missed something");
        let away = through.take(&[1; 32], &quota, NOW).await.unwrap_err();
        assert!(matches!(away, StoreError::Unavailable(_)) && away.is_transient(), "{away:?}");
        assert!(through.listen("wakes").await.is_err());

        proxy.mend();
        while through.ping().await.is_err() {}
        assert_eq!(through.take(&[1; 32], &quota, NOW).await.unwrap().remaining, 98, "the count was kept");
        let mut listening = through.listen("wakes").await.unwrap();
        through.say("wakes", "again").await.unwrap();
        assert_eq!(listening.heard().await.as_deref(), Some("again"));
    });
}

#[test]
#[ignore = "needs Redis: cargo xtask test starts one"]
fn a_redis_that_falls_silent_is_given_up_in_time() {
    block_on(async {
        let proxy = Proxy::before(&url());
        let through = redis(&proxy.url, "silent:");
        through.ping().await.unwrap();
        proxy.freeze();
        let silent = through.ping().await.unwrap_err();
        assert!(silent.is_transient(), "{silent:?}");
        proxy.thaw();
        while through.ping().await.is_err() {}
    });
}

fn redis(url: &str, prefix: &str) -> Redis {
    let own = format!("test:{}:{prefix}", std::process::id());
    Redis::new(url, Duration::from_secs(1)).unwrap().under(&own)
}

fn block_on<F: Future>(f: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(f)
}

#[expect(clippy::disallowed_methods, reason = "tests read their surroundings")]
fn url() -> String {
    std::env::var("REND_TEST_REDIS_URL").expect("`cargo xtask test` starts a Redis and names it")
}
