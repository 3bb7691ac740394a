//! Who has asked how often lately.

use std::fmt;

use async_trait::async_trait;
use rend_core::limit::{Quota, Verdict};
use rend_core::time::Timestamp;

use crate::StoreError;

/// The name that an asker is counted under: a digest, since neither a key nor an address may be kept.
pub type Asker = [u8; 32];

/// Counts requests against quotas.
///
/// # Contract
///
/// The answers are those of [`Quota::take`] for the requests of one asker and quota, told apart by its name, one after
/// another. What is counted may be forgotten when the process ends or when there are more askers than fit: that forgives,
/// it never refuses. Every adapter passes `conformance::limits`.
#[async_trait]
pub trait Limiter: fmt::Debug + Send + Sync {
    /// Judges one request of `asker` at `now`.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`]; the caller decides whether the request may go on. [`StoreError::Conflict`] when so many
    /// requests of the asker come at once that they can not be counted one after another.
    async fn take(&self, asker: &Asker, quota: &Quota, now: Timestamp) -> Result<Verdict, StoreError>;
}
