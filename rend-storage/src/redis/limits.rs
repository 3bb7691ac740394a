use std::fmt::Write as _;

use async_trait::async_trait;
use rend_core::limit::{Quota, Verdict};
use rend_core::time::Timestamp;

use super::Redis;
use crate::StoreError;
use crate::limits::{Asker, Limiter};

/// Counts in Redis, together with everybody who does. What is judged is asked of [`Quota::take`]; Redis only keeps one
/// instant for each asker and quota, and changes it for whoever knew it as it is.
#[async_trait]
impl Limiter for Redis {
    async fn take(&self, asker: &Asker, quota: &Quota, now: Timestamp) -> Result<Verdict, StoreError> {
        let mut key = format!("{}limit:{}:", self.prefix, quota.name);
        for byte in asker {
            let _ = write!(key, "{byte:02x}");
        }
        let mut known = String::new();
        for _ in 0..TRIES_MAX {
            let whole_at = known.parse().ok().map(Timestamp::from_millis);
            let (verdict, next) = quota.take(whole_at, now);
            // Once the quota is whole again nobody need know. Clocks that differ, and a machine that is slow, are given time.
            let kept_ms = verdict.reset_after.as_millis() * 2 + KEPT_MS_MIN;
            let mut change = redis::cmd("EVAL");
            change.arg(CHANGE).arg(1).arg(&key).arg(&known).arg(next.as_millis()).arg(kept_ms.to_string());
            match self.ask::<Option<String>>(&change).await? {
                None => return Ok(verdict),
                // Somebody else has asked meanwhile, or this is not the first request of the asker.
                Some(present) => known = present,
            }
        }
        Err(StoreError::Conflict { what: "the asker's quota, with too many requests at once" })
    }
}

/// Changes what is kept if it is as the caller knew it, and else answers what it is.
const CHANGE: &str = "local present = redis.call('GET', KEYS[1]) or '' \
    if present ~= ARGV[1] then return present end \
    redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3]) \
    return nil";
/// How often a request is judged anew because somebody was faster.
const TRIES_MAX: usize = 32;
/// How long an instant is kept at least, in milliseconds.
const KEPT_MS_MIN: u128 = 60_000;
