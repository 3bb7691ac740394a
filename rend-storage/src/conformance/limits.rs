//! What every [`Limiter`] must do.

use std::time::Duration;

use rend_core::limit::Quota;

use super::make::at;
use crate::limits::Limiter;

const TWO: Quota = Quota { name: "two", requests: 2, window: Duration::from_secs(10) };

/// A quota may be used at once; then one request passes for each share of the window.
pub async fn a_quota_is_used_up_and_refills(limiter: &impl Limiter) {
    let take = async |secs| limiter.take(&[1; 32], &TWO, at(secs)).await.unwrap();
    assert!(take(0).await.allowed);
    let second = take(0).await;
    assert_eq!((second.allowed, second.remaining), (true, 0));
    let refused = take(1).await;
    assert_eq!((refused.allowed, refused.retry_after), (false, Duration::from_secs(4)));
    assert!(take(5).await.allowed);
    assert!(!take(5).await.allowed);
}

/// What one asker used up is no other asker's business, and neither is another quota of theirs.
pub async fn askers_and_quotas_are_counted_apart(limiter: &impl Limiter) {
    for _ in 0..2 {
        assert!(limiter.take(&[1; 32], &TWO, at(0)).await.unwrap().allowed);
    }
    assert!(!limiter.take(&[1; 32], &TWO, at(0)).await.unwrap().allowed);
    assert!(limiter.take(&[2; 32], &TWO, at(0)).await.unwrap().allowed);
    let other = Quota { name: "other", ..TWO };
    assert!(limiter.take(&[1; 32], &other, at(0)).await.unwrap().allowed);
}

/// The answers are those of the rule itself.
pub async fn the_rule_is_the_one_of_core(limiter: &impl Limiter) {
    let mut whole_at = None;
    for secs in [0, 0, 1, 1, 6, 6, 7, 30, 30, 30] {
        let (expect, next) = TWO.take(whole_at, at(secs));
        whole_at = Some(next);
        assert_eq!(limiter.take(&[3; 32], &TWO, at(secs)).await.unwrap(), expect, "{secs}");
    }
}

/// Mounts what every `Limiter` must do; see [`conformance`](crate::conformance).
#[macro_export]
macro_rules! limiter_conformance {
    ($(#[$attribute:meta])* $block_on:path, $make:expr) => {
        $crate::mount_cases! { limits [$(#[$attribute])*] $block_on, $make;
            a_quota_is_used_up_and_refills
            askers_and_quotas_are_counted_apart
            the_rule_is_the_one_of_core
        }
    };
}
