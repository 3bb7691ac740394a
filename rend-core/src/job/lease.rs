//! When a lease ends, and when its holder must say that it is still there.

use std::time::Duration;

use super::Lease;
use crate::time::Timestamp;

/// How often a lease is renewed while it lasts: three renewals may be lost before it ends.
pub const BEATS_PER_LEASE: u32 = 4;

impl Lease {
    /// Whether another worker may take the job at `now`, with clocks up to `skew_max` apart: only when it is past the
    /// end by more than that. A clock further off costs a job done twice, never one finished twice, since each write
    /// carries the token.
    pub fn is_expired(&self, now: Timestamp, skew_max: Duration) -> bool {
        now > self.expires + skew_max
    }

    /// Whether the holder may still believe at `now` that nobody else has the job: until `skew_max` before the end.
    pub fn is_held(&self, now: Timestamp, skew_max: Duration) -> bool {
        now < self.expires - skew_max
    }
}

/// How long the holder of a lease of `length` rests between renewals.
pub fn beat_every(length: Duration) -> Duration {
    length / BEATS_PER_LEASE
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::id::{JobId, LeaseToken};

    fn lease(expires: u64) -> Lease {
        let (job, token) = (JobId::from_bytes([1; 16]), LeaseToken::from_bytes([2; 16]));
        Lease { job, token, attempt: 1, expires: Timestamp::from_millis(expires) }
    }

    #[track_caller]
    fn check(now: u64, held: bool, expired: bool) {
        let (lease, now, skew) = (lease(10_000), Timestamp::from_millis(now), Duration::from_secs(2));
        assert_eq!((lease.is_held(now, skew), lease.is_expired(now, skew)), (held, expired), "{now}");
    }

    #[test]
    fn between_held_and_expired_lies_the_doubt_about_clocks() {
        check(0, true, false);
        check(7_999, true, false);
        check(8_000, false, false);
        check(12_000, false, false);
        check(12_001, false, true);
    }

    proptest! {
        #[test]
        fn two_clocks_within_the_skew_never_both_claim_the_job(
            expires in 0u64..1_000_000, now in 0u64..1_000_000, skew in 0u64..60_000, apart in 0u64..60_000
        ) {
            let (lease, skew_max) = (lease(expires), Duration::from_millis(skew));
            let other = Timestamp::from_millis(now + apart.min(skew));
            prop_assert!(!(lease.is_held(Timestamp::from_millis(now), skew_max) && lease.is_expired(other, skew_max)));
        }
    }
}
