//! Assets and their moves.

use std::fmt;

use async_trait::async_trait;
use rend_core::asset::{Asset, Move};
use rend_core::id::{AssetId, OrgId};
use rend_core::job::{Lease, NewJob};
use rend_core::time::Timestamp;

use crate::StoreError;

/// The assets.
///
/// # Contract
///
/// A change is one transaction: the move, its event and the job it calls for are all there afterwards, or none is, also
/// after a crash. Changes of one asset are applied one after another. Every adapter passes `conformance::assets`.
#[async_trait]
pub trait AssetStore: fmt::Debug + Send + Sync {
    /// Writes a new asset down, with the event `asset.created`.
    ///
    /// # Errors
    ///
    /// [`StoreError::Conflict`] when the id is taken, else [`StoreError::Unavailable`].
    async fn create(&self, asset: &Asset) -> Result<(), StoreError>;

    /// The asset named `id`, deleted ones too until they are forgotten.
    ///
    /// # Errors
    ///
    /// [`StoreError::NotFound`], else [`StoreError::Unavailable`].
    async fn get(&self, id: AssetId) -> Result<Asset, StoreError>;

    /// Up to `limit` assets of `org` that are not deleted and are older than `before`, newest first by id.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`].
    async fn page(&self, org: OrgId, before: Option<AssetId>, limit: usize) -> Result<Vec<Asset>, StoreError>;

    /// Applies `change.step` by [`Asset::after`], appends the event it gives, and writes `change.enqueue` down.
    ///
    /// # Errors
    ///
    /// The first of these that is the case: [`StoreError::NotFound`] when there is no such asset;
    /// [`StoreError::LeaseLost`] when `change.fence` no longer holds its job; [`StoreError::Conflict`] when
    /// `change.expect` is not the present revision; [`StoreError::Illegal`] when the step does not follow;
    /// [`StoreError::Conflict`] when the id of `change.enqueue` is taken; else [`StoreError::Unavailable`].
    async fn advance(&self, change: &Change) -> Result<Asset, StoreError>;
}

/// One change of one asset.
#[derive(Clone, Debug)]
pub struct Change {
    /// Which asset.
    pub asset: AssetId,
    /// The revision it must have, or `None` for whichever it has.
    pub expect: Option<u64>,
    /// The step.
    pub step: Move,
    /// The lease this is done under, if under one. A lease holds while it is its job's newest and the job is not
    /// finished; running out alone does not end it, another claim does.
    pub fence: Option<Lease>,
    /// A job to be written down with it.
    pub enqueue: Option<NewJob>,
    /// The time of the change.
    pub now: Timestamp,
}
