//! What edges served, and what players saw.

use std::fmt;

use async_trait::async_trait;
use rend_core::analytics::{NodeAccount, PlaybackBatch, PlaybackReport, Recorded, Served};
use rend_core::id::{AssetId, OrgId};
use rend_core::metering::Taking;
use rend_core::time::Timestamp;
use rend_core::usage::RunHour;
use rend_core::viewing::{PartKey, PlayerEvent, ViewPart};

use crate::StoreError;

/// The record of what edges served.
///
/// # Contract
///
/// A batch is recorded whole or not at all, and durably before the answer. An event is known by its boot and place:
/// recording it again changes no report, in whichever batch it comes. Events are accounted to the node and run that they
/// name; `dropped_total` belongs to the node and run that the batch names, and never falls. Sums stop at [`u64::MAX`].
/// Every adapter passes `conformance::analytics`.
#[async_trait]
pub trait Analytics: fmt::Debug + Send + Sync {
    /// Records the events that are new.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`].
    async fn record(&self, batch: &PlaybackBatch, now: Timestamp) -> Result<Recorded, StoreError>;

    /// What was served of `asset` from `from` (included) until `until` (not included).
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`].
    async fn playback(&self, asset: AssetId, from: Timestamp, until: Timestamp) -> Result<PlaybackReport, StoreError>;

    /// The same over every asset of `org`, with the assets that were asked for most: id and report, at most `top`, by
    /// falling requests, then by id.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`].
    async fn overview(
        &self,
        org: OrgId,
        from: Timestamp,
        until: Timestamp,
        top: usize,
    ) -> Result<(PlaybackReport, Vec<(AssetId, PlaybackReport)>), StoreError>;

    /// What was served of the assets of `org` by edge and rendition, as [`rend_core::analytics::served`] has it, from `from`
    /// (included) until `until` (not included).
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`].
    async fn served(&self, org: OrgId, from: Timestamp, until: Timestamp) -> Result<Vec<Served>, StoreError>;

    /// How complete the account of each run of each edge is, by node, then boot.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`].
    async fn accounts(&self) -> Result<Vec<NodeAccount>, StoreError>;

    /// What there is of each run of each edge in the hours from `from` (included) until `until` (not included), which are
    /// starts of hours: by hour, node and boot. Hours and runs without events are left out.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`].
    async fn hours(&self, from: Timestamp, until: Timestamp) -> Result<Vec<RunHour>, StoreError>;

    /// What was taken of segments from `from` (included) until `until` (not included), as
    /// [`rend_core::metering::Meter::takings`] has it: in their order, at most `rows` of those after `after`.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`].
    async fn takings(
        &self,
        from: Timestamp,
        until: Timestamp,
        after: Option<&Taking>,
        rows: usize,
    ) -> Result<Vec<Taking>, StoreError>;

    /// Records what players told. A moment that is known by its view and place changes nothing when it is told again.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`]; what was told before the one that failed may be there.
    async fn record_player(&self, events: &[PlayerEvent], now: Timestamp) -> Result<(), StoreError>;

    /// What the views of `org` come to from `from` (included) until `until` (not included), as
    /// [`rend_core::viewing::parts`] has it: in their order, at most `rows` of those after `after`.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`].
    async fn views(
        &self,
        org: OrgId,
        from: Timestamp,
        until: Timestamp,
        after: Option<&PartKey>,
        rows: usize,
    ) -> Result<Vec<ViewPart>, StoreError>;
}
