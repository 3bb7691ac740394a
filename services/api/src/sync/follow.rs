//! Follows the event log: wakes streams for what other processes wrote, and warms what nobody has warmed.
//!
//! The worker warms what it has published. It may be killed between the two, so whoever follows the log sees which asset
//! became playable without a warm after it, and makes up for it. The log is the memory: after a restart its last hour is
//! read again.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use rend_core::event::{Event, EventKind, FanoutOutcome};
use rend_core::id::AssetId;
use rend_core::playback::startup;
use rend_core::time::Timestamp;
use rend_storage::events::EventsOf;

use crate::state::State;

/// How often the log's head is looked at for what other processes wrote. One look serves every stream.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// Events read at a time.
const PAGE: usize = 200;
/// Events that are read again after a restart, at most.
const AGAIN_MAX: u64 = 5_000;

/// Follows until a stop is requested.
pub(crate) async fn run(state: Arc<State>) {
    let mut shutdown = state.shutdown.clone();
    let mut woken = state.bus.listen();
    let mut seen = state.stores.events.head().await.unwrap_or(0).saturating_sub(AGAIN_MAX);
    let mut unwarmed = Unwarmed::default();
    loop {
        woken.mark_unchanged();
        if let Ok(head) = state.stores.events.head().await
            && head > seen
        {
            if !woken.has_changed().unwrap_or(false) {
                state.bus.wake();
                woken.mark_unchanged();
            }
            seen = read(&state, seen, &mut unwarmed).await;
        }
        for asset in unwarmed.due(state.clock.wall()) {
            warm(&state, asset).await;
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK_EVERY) => {}
            _ = woken.changed() => {}
            () = shutdown.requested() => return,
        }
    }
}

/// Takes in what was written after `seen`, and answers the last place read.
async fn read(state: &State, mut seen: u64, unwarmed: &mut Unwarmed) -> u64 {
    loop {
        let Ok(events) = state.stores.events.after(EventsOf::Org(state.config.org), seen, PAGE).await else {
            return seen;
        };
        let Some(last) = events.last() else { return seen };
        seen = last.seq;
        let now = state.clock.wall();
        events.iter().for_each(|event| unwarmed.note(event, now));
    }
}

async fn warm(state: &Arc<State>, asset: AssetId) {
    let Ok(asset) = state.stores.assets.get(asset).await else { return };
    if !asset.playable.is_playable() {
        return;
    }
    let set = startup::of_asset(&asset, state.config.warm_artifacts_max);
    tracing::info!(asset = %asset.id, "warming what became playable without a warm");
    let dispatch = state.dispatch.clone();
    rend_shell::spawn("warm", async move { dispatch.warm(asset.id, &set).await });
}

/// The assets that became playable and were not warmed since, with when to make up for it.
#[derive(Debug, Default)]
struct Unwarmed(BTreeMap<AssetId, Timestamp>);

/// How long the worker has to begin a warm.
const BEGIN_WITHIN: Duration = Duration::from_secs(5);
/// How long a warm that began may take: longer than a fan-out does with all its attempts.
const END_WITHIN: Duration = Duration::from_secs(60);
/// After this an asset that was not warmed is left to its viewers: they have warmed it.
const MATTERS_FOR: Duration = Duration::from_secs(3600);
/// Assets that wait, at most; of more, the ones that would wait longest are left to their viewers.
const UNWARMED_MAX: usize = 1_000;

impl Unwarmed {
    fn note(&mut self, event: &Event, now: Timestamp) {
        if now.since(event.at) > MATTERS_FOR {
            return;
        }
        if let EventKind::PlayableStateChanged { to } = &event.kind {
            if to.is_playable() {
                self.0.insert(event.asset, event.at + BEGIN_WITHIN);
            } else {
                self.0.remove(&event.asset);
            }
        } else if let EventKind::EdgeWarm { outcome, .. } = &event.kind {
            match outcome {
                FanoutOutcome::Attempted => {
                    if let Some(due) = self.0.get_mut(&event.asset) {
                        *due = event.at + END_WITHIN;
                    }
                }
                // What failed was asked often enough.
                FanoutOutcome::Succeeded | FanoutOutcome::Failed => {
                    self.0.remove(&event.asset);
                }
            }
        } else if event.kind == EventKind::DeletionRequested {
            self.0.remove(&event.asset);
        }
        if self.0.len() > UNWARMED_MAX
            && let Some(last) = self.0.iter().max_by_key(|(_, due)| **due).map(|(asset, _)| *asset)
        {
            self.0.remove(&last);
        }
    }

    /// Takes out the assets whose time has come.
    fn due(&mut self, now: Timestamp) -> Vec<AssetId> {
        let due: Vec<_> = self.0.iter().filter(|(_, due)| **due <= now).map(|(asset, _)| *asset).collect();
        for asset in &due {
            self.0.remove(asset);
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use rend_core::asset::PlayableState;

    use super::*;
    use crate::config::SOLE_ORG;

    fn at(secs: u64) -> Timestamp {
        Timestamp::from_secs(1_800_000_000 + secs)
    }

    fn asset(n: u16) -> AssetId {
        let mut bytes = [0; 16];
        bytes[..2].copy_from_slice(&n.to_be_bytes());
        AssetId::from_bytes(bytes)
    }

    fn event(n: u16, secs: u64, kind: EventKind) -> Event {
        Event { seq: 1, asset_seq: 1, at: at(secs), asset: asset(n), org: SOLE_ORG, kind }
    }

    fn plays(secs: u64) -> Event {
        event(1, secs, EventKind::PlayableStateChanged { to: PlayableState::OpenerReady })
    }

    fn warmed(secs: u64, outcome: FanoutOutcome) -> Event {
        event(1, secs, EventKind::EdgeWarm { edge: "e".parse().unwrap(), outcome })
    }

    /// When, in seconds, `events` leave the asset to be warmed by the follower.
    #[track_caller]
    fn check(events: &[Event], expect: Option<u64>) {
        let mut unwarmed = Unwarmed::default();
        events.iter().for_each(|event| unwarmed.note(event, at(100)));
        let found = (0..4000).find(|secs| !unwarmed.due(at(*secs)).is_empty());
        assert_eq!(found, expect);
        assert!(unwarmed.due(at(9999)).is_empty(), "once is enough");
    }

    #[test]
    fn what_nobody_warmed_is_made_up_for_once() {
        check(&[], None);
        check(&[plays(10)], Some(15));
        check(&[plays(10), warmed(11, FanoutOutcome::Attempted)], Some(71));
        check(&[plays(10), warmed(11, FanoutOutcome::Attempted), warmed(12, FanoutOutcome::Succeeded)], None);
        check(&[plays(10), warmed(11, FanoutOutcome::Attempted), warmed(12, FanoutOutcome::Failed)], None);
        check(&[warmed(9, FanoutOutcome::Succeeded), plays(10)], Some(15));
        check(&[plays(10), event(1, 11, EventKind::DeletionRequested)], None);
    }

    #[test]
    fn what_became_playable_long_ago_is_left_to_its_viewers() {
        let mut unwarmed = Unwarmed::default();
        unwarmed.note(&plays(0), at(3601));
        assert!(unwarmed.due(at(9999)).is_empty());
    }

    #[test]
    fn no_more_than_so_many_wait() {
        let mut unwarmed = Unwarmed::default();
        for n in 0..=u16::try_from(UNWARMED_MAX).unwrap() {
            let kind = EventKind::PlayableStateChanged { to: PlayableState::HlsReady };
            unwarmed.note(&event(n, u64::from(n), kind), at(1000));
        }
        assert_eq!(unwarmed.due(at(9999)).len(), UNWARMED_MAX);
    }
}
