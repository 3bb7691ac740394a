//! What is old enough to go.

use std::fmt;

use async_trait::async_trait;
use rend_core::retention::Due;

use crate::StoreError;

/// Lets go of what is old.
///
/// # Contract
///
/// Which rows may go is said by [`Due`], variant by variant, and no other row does. One step removes at most as many as it
/// is asked to, the oldest first, whole or not at all; a crash between two steps leaves what the next one begins with. Of
/// several that remove at once each row is counted by one. Places in logs stay given: no head falls, and no place comes
/// again. Where records of playback lie in another store they are that store's to let go of, and there are none here. Every
/// adapter passes `conformance::retention`.
#[async_trait]
pub trait Retention: fmt::Debug + Send + Sync {
    /// How many rows may go, counted up to `most`. Nothing changes.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`].
    async fn count_due(&self, due: &Due, most: usize) -> Result<usize, StoreError>;

    /// Removes up to `rows` of them, and answers how many.
    ///
    /// # Errors
    ///
    /// [`StoreError::NoSpace`] or [`StoreError::Unavailable`].
    async fn remove_due(&self, due: &Due, rows: usize) -> Result<usize, StoreError>;
}
