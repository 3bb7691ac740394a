//! Rate limits: how often somebody may ask, and what they are told about it.
//!
//! [`Quota::take`] is the whole rule, a function of one instant that is remembered per asker. [`Buckets`] remembers it for
//! many, within a bound.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::time::Timestamp;

/// How often one asker may ask: `requests` at once, and as many again with every `window` that passes.
///
/// It refills evenly, so nobody waits for a window to end (the generic cell rate algorithm of ITU-T I.371).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Quota {
    /// What the quota is called in headers.
    pub name: &'static str,
    /// How many requests fit in a window; at most one a millisecond, and 0 counts as 1.
    pub requests: u32,
    /// The window.
    pub window: Duration,
}

/// What one request came to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Verdict {
    /// Whether it may go on.
    pub allowed: bool,
    /// How many more may follow at once.
    pub remaining: u32,
    /// After how long the quota is whole again.
    pub reset_after: Duration,
    /// After how long asking again helps; zero for an allowed request.
    pub retry_after: Duration,
}

impl Quota {
    /// A quota for each minute.
    pub const fn per_minute(name: &'static str, requests: u32) -> Self {
        Self { name, requests, window: Duration::from_secs(60) }
    }

    /// Judges a request at `now` of an asker whose quota is whole again at `whole_at`, and answers when it will be then. A
    /// refused request takes nothing.
    pub fn take(&self, whole_at: Option<Timestamp>, now: Timestamp) -> (Verdict, Timestamp) {
        let (window, each) = (self.window_ms(), self.each_ms());
        let now_ms = now.as_millis();
        // A clock that went backwards must not lock anybody out for longer than a window.
        let owed = whole_at.map_or(0, |at| at.as_millis().saturating_sub(now_ms)).min(window);
        let allowed = owed + each <= window;
        let owed = if allowed { owed + each } else { owed };
        let verdict = Verdict {
            allowed,
            remaining: u32::try_from((window - owed) / each).unwrap_or(u32::MAX),
            reset_after: Duration::from_millis(owed),
            retry_after: Duration::from_millis(if allowed { 0 } else { owed + each - window }),
        };
        (verdict, Timestamp::from_millis(now_ms + owed))
    }

    /// What one request costs of the window, in milliseconds.
    fn each_ms(&self) -> u64 {
        let window = u64::try_from(self.window.as_millis()).unwrap_or(u64::MAX);
        (window / u64::from(self.requests.max(1))).max(1)
    }

    /// The window that whole requests fill, in milliseconds.
    fn window_ms(&self) -> u64 {
        self.each_ms().saturating_mul(u64::from(self.requests.max(1)))
    }
}

/// When the quotas of many askers are whole again, at most [`Buckets::new`]'s number of them.
///
/// An asker that it does not hold has its whole quota. At the bound those whose quota is whole again are forgotten, which
/// loses nothing; when none is, the one that is nearest to it, which forgives it the least.
#[derive(Clone, Debug)]
pub struct Buckets<K> {
    whole_at: BTreeMap<K, Timestamp>,
    askers_max: usize,
}

impl<K: Clone + Ord> Buckets<K> {
    /// Room for `askers_max`, at least one.
    pub const fn new(askers_max: usize) -> Self {
        Self { whole_at: BTreeMap::new(), askers_max }
    }

    /// Judges a request of `asker` at `now`.
    pub fn take(&mut self, asker: K, quota: &Quota, now: Timestamp) -> Verdict {
        let (verdict, whole_at) = quota.take(self.whole_at.get(&asker).copied(), now);
        if !self.whole_at.contains_key(&asker) && self.whole_at.len() >= self.askers_max.max(1) {
            self.whole_at.retain(|_, whole_at| *whole_at > now);
            if self.whole_at.len() >= self.askers_max.max(1)
                && let Some(nearest) = self.whole_at.iter().min_by_key(|(_, at)| **at).map(|(key, _)| key.clone())
            {
                self.whole_at.remove(&nearest);
            }
        }
        self.whole_at.insert(asker, whole_at);
        verdict
    }

    /// How many askers it holds.
    pub fn len(&self) -> usize {
        self.whole_at.len()
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.whole_at.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const THREE: Quota = Quota { name: "three", requests: 3, window: Duration::from_millis(300) };

    fn at(ms: u64) -> Timestamp {
        Timestamp::from_millis(1_800_000_000_000 + ms)
    }

    /// Requests at these milliseconds are allowed (`+`) or refused (`-`).
    #[track_caller]
    fn check(times: &[u64], expect: &str) {
        let mut buckets = Buckets::new(8);
        let found: String =
            times.iter().map(|ms| if buckets.take("a", &THREE, at(*ms)).allowed { '+' } else { '-' }).collect();
        assert_eq!(found, expect, "{times:?}");
    }

    #[test]
    fn a_quota_may_be_used_at_once_and_refills_evenly() {
        check(&[0, 0, 0, 0], "+++-");
        check(&[0, 0, 0, 99, 100, 100, 200], "+++-+-+");
        check(&[0, 100, 200, 300, 400], "+++++");
        check(&[0, 0, 0, 300, 300, 300, 300], "++++++-");
        check(&[1000, 1000, 1000, 0], "+++-");
    }

    #[test]
    fn a_refusal_says_when_asking_again_helps_and_takes_nothing() {
        let (first, whole_at) = THREE.take(None, at(0));
        assert_eq!((first.allowed, first.remaining, first.retry_after), (true, 2, Duration::ZERO));
        assert_eq!(first.reset_after, Duration::from_millis(100));
        let (_, whole_at) = THREE.take(Some(whole_at), at(0));
        let (_, whole_at) = THREE.take(Some(whole_at), at(0));
        let (refused, after) = THREE.take(Some(whole_at), at(30));
        assert_eq!((refused.allowed, refused.remaining), (false, 0));
        assert_eq!(refused.retry_after, Duration::from_millis(70));
        assert_eq!(after, whole_at);
        assert!(THREE.take(Some(after), at(30) + refused.retry_after).0.allowed);
    }

    #[test]
    fn a_full_table_forgets_who_has_waited_the_longest() {
        let mut buckets = Buckets::new(2);
        for (asker, ms) in [("a", 0), ("b", 10), ("b", 10), ("b", 10)] {
            buckets.take(asker, &THREE, at(ms));
        }
        assert!(buckets.take("c", &THREE, at(20)).allowed);
        assert_eq!(buckets.len(), 2);
        assert!(!buckets.take("b", &THREE, at(20)).allowed, "b had the least left and is remembered");
        buckets.take("d", &THREE, at(5000));
        assert_eq!(buckets.len(), 1, "who may ask freely again needs no place");
    }

    proptest! {
        #[test]
        fn no_window_lets_more_through_than_twice_the_quota_and_nobody_waits_in_vain(
            requests in 1u32..50, window_ms in 1u64..10_000, steps in prop::collection::vec(0u64..400, 1..200)
        ) {
            let quota = Quota { name: "q", requests, window: Duration::from_millis(window_ms) };
            let (mut now, mut whole_at) = (at(0), None);
            let mut passed = Vec::new();
            for step in steps {
                now = now + Duration::from_millis(step);
                let (verdict, next) = quota.take(whole_at, now);
                prop_assert!(verdict.remaining <= requests);
                if verdict.allowed {
                    passed.push(now);
                } else {
                    prop_assert!(quota.take(whole_at, now + verdict.retry_after).0.allowed);
                }
                whole_at = Some(next);
                let window = Duration::from_millis(quota.window_ms());
                let recent = passed.iter().filter(|at| now.since(**at) < window).count();
                prop_assert!(recent <= 2 * requests as usize);
            }
        }
    }
}
