//! Waiting on a player's behalf until there is something to play.
//!
//! A player that asks again and again learns late, and asks often. One that says how long it would wait is answered the
//! moment the first seconds are there. Nothing depends on it: who finds no room is answered at once, as if it had not asked
//! to wait.

use std::time::Duration;

use rend_core::asset::{Asset, PlayableState, PlaybackPolicy, SourceState};
use rend_core::id::AssetId;
use rend_storage::StoreError;
use tokio::sync::Semaphore;

use crate::state::State;

/// Room for players that wait.
#[derive(Debug)]
pub(crate) struct Patience {
    room: Semaphore,
}

impl Default for Patience {
    fn default() -> Self {
        Self { room: Semaphore::new(WAITERS_MAX) }
    }
}

/// Returns when the asset can be played or never will be, when `wait` is over, when the process stops, or at once when
/// too many wait already. What it is asked again for afterwards is the answer; this only says when to look.
///
/// An asset that only those play whom its owner vouches for is not waited for unless the caller bears a token, good or bad.
///
/// # Errors
///
/// [`StoreError`] when the asset can not be looked at.
pub(crate) async fn until_playable(state: &State, id: AssetId, bears: bool, wait: Duration) -> Result<(), StoreError> {
    let Ok(_room) = state.patience.room.try_acquire() else { return Ok(()) };
    // Listening begins before the first look, so that what happens in between wakes too.
    let mut woken = state.bus.listen();
    let mut shutdown = state.shutdown.clone();
    let over = tokio::time::sleep(wait.min(WAIT_MAX));
    tokio::pin!(over);
    loop {
        woken.mark_unchanged();
        let asset = state.stores.assets.get(id).await?;
        if !is_awaited(&asset, bears) {
            return Ok(());
        }
        tokio::select! {
            woken = woken.changed() => if woken.is_err() { return Ok(()) },
            () = &mut over => return Ok(()),
            () = shutdown.requested() => return Ok(()),
        }
    }
}

/// Whether it may yet become playable for this caller.
fn is_awaited(asset: &Asset, bears: bool) -> bool {
    let visible = bears || asset.policy == PlaybackPolicy::Public;
    visible && asset.source != SourceState::Deleted && asset.playable == PlayableState::NotPlayable
}

/// A player is kept waiting for so long at most: less than proxies give up after.
pub(crate) const WAIT_MAX: Duration = Duration::from_secs(20);
/// Players that wait at once. Each event of any asset has each of them look again.
pub(crate) const WAITERS_MAX: usize = 256;
