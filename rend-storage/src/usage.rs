//! What was delivered by organisation, tier and hour, written down for good.

use std::fmt;

use async_trait::async_trait;
use rend_core::artifact::Rendition;
use rend_core::id::{AssetId, OrgId};
use rend_core::media::ladder::Tier;
use rend_core::time::Timestamp;
use rend_core::usage::{Correction, CountedHour, Lengths, Usage};

use crate::StoreError;

/// The ledger of usage.
///
/// # Contract
///
/// Hours and corrections are written together or not at all, durably, and never changed: a correction adds to those before
/// it. An hour is written only as it was read, so of two who count it at once one is told. Every adapter passes
/// `conformance::usage`.
#[async_trait]
pub trait UsageLedger: fmt::Debug + Send + Sync {
    /// The hours that were counted from `from` (included) until `until` (not included), in order.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`].
    async fn counted(&self, from: Timestamp, until: Timestamp) -> Result<Vec<CountedHour>, StoreError>;

    /// What the corrections of one hour come to, by organisation and tier. An organisation and tier without a correction is
    /// left out.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`].
    async fn written(&self, hour: Timestamp) -> Result<Vec<Usage>, StoreError>;

    /// Writes a count of one hour: `hour` with a `pass` that is one higher, and `corrections` of it.
    ///
    /// # Errors
    ///
    /// [`StoreError::Conflict`] when the hour's pass is another than `hour.pass`, or a correction's revision is there
    /// already: then nothing was written. Else [`StoreError::Unavailable`].
    async fn write_count(&self, hour: &CountedHour, corrections: &[Correction]) -> Result<(), StoreError>;

    /// What `org` used from `from` (included) until `until` (not included): newest hour first, in an hour by tier, at most
    /// `rows` of those after the hour and tier of `after`.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`].
    async fn usage(
        &self,
        org: OrgId,
        from: Timestamp,
        until: Timestamp,
        after: Option<(Timestamp, Tier)>,
        rows: usize,
    ) -> Result<Vec<Usage>, StoreError>;

    /// Remembers how long the segments of a rendition are, in place of what was remembered of it.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`].
    async fn learn_lengths(&self, asset: AssetId, rendition: Rendition, lengths: &Lengths) -> Result<(), StoreError>;

    /// What is remembered of a rendition.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`].
    async fn lengths(&self, asset: AssetId, rendition: Rendition) -> Result<Option<Lengths>, StoreError>;
}
