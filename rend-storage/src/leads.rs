//! Which one of several processes does what only one should do.

use std::fmt;

use async_trait::async_trait;
use rend_core::id::LeaseToken;
use rend_core::time::Timestamp;

use crate::StoreError;

/// Leases on names, each held by one at a time.
///
/// A lease spares work; it does not fence writes. Who does the work must stay right when two do it at once, since a holder
/// may be slower than its lease.
///
/// # Contract
///
/// A name is led by who asked for it last while nobody else's lease held. Every adapter passes `conformance::leads`.
#[async_trait]
pub trait Leads: fmt::Debug + Send + Sync {
    /// Takes the lease on `name` until `expires`, or extends it, and answers whether `holder` has it now. A lease that ends
    /// at `now` or before it is free.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`].
    async fn lead(
        &self,
        name: &str,
        holder: LeaseToken,
        now: Timestamp,
        expires: Timestamp,
    ) -> Result<bool, StoreError>;
}
