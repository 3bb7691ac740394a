use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use rend_core::limit::{Buckets, Quota, Verdict};
use rend_core::time::Timestamp;

use crate::StoreError;
use crate::limits::{Asker, Limiter};

/// Askers that are remembered, at most: a few megabytes.
const ASKERS_MAX: usize = 50_000;

/// Counts in memory, up to 50,000 askers.
#[derive(Debug)]
pub struct MemoryLimiter(Mutex<Buckets<(Asker, &'static str)>>);

impl Default for MemoryLimiter {
    fn default() -> Self {
        Self(Mutex::new(Buckets::new(ASKERS_MAX)))
    }
}

#[async_trait]
impl Limiter for MemoryLimiter {
    async fn take(&self, asker: &Asker, quota: &Quota, now: Timestamp) -> Result<Verdict, StoreError> {
        Ok(self.0.lock().unwrap_or_else(PoisonError::into_inner).take((*asker, quota.name), quota, now))
    }
}
