//! The event log.

use std::fmt;

use async_trait::async_trait;
use rend_core::event::{Event, EventKind};
use rend_core::id::{AssetId, OrgId};
use rend_core::time::Timestamp;

use crate::StoreError;

/// What happened, in order.
///
/// # Contract
///
/// `seq` rises over the whole log and is never given twice; a reader that has seen *n* never later meets a new event at
/// or below *n*. `asset_seq` counts the events of one asset without a gap; all of them stay for as long as it does, and for
/// a while after: see [`Retention`](crate::retention::Retention). Moves of assets append through
/// [`crate::assets::AssetStore::advance`]; this port appends what is not a move. Every adapter passes
/// `conformance::events`.
#[async_trait]
pub trait EventLog: fmt::Debug + Send + Sync {
    /// Appends, and answers the entry.
    ///
    /// # Errors
    ///
    /// [`StoreError::NotFound`] when there is no such asset, else [`StoreError::Unavailable`].
    async fn append(&self, asset: AssetId, kind: &EventKind, now: Timestamp) -> Result<Event, StoreError>;

    /// Up to `limit` events after `seq`, oldest first: those of one asset, or all of one organisation.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`].
    async fn after(&self, of: EventsOf, seq: u64, limit: usize) -> Result<Vec<Event>, StoreError>;

    /// The highest `seq` given so far, 0 for none.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`].
    async fn head(&self) -> Result<u64, StoreError>;
}

/// Whose events.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum EventsOf {
    /// Those of one asset.
    Asset(AssetId),
    /// Those of every asset of one organisation.
    Org(OrgId),
}
