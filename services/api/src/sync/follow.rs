//! Follows the event log: wakes streams for what other processes wrote, and warms what has become playable.

use std::sync::Arc;
use std::time::Duration;

use rend_core::event::EventKind;
use rend_core::playback::startup;
use rend_storage::events::EventsOf;

use crate::state::State;

/// How often the log's head is looked at for what other processes wrote. One look serves every stream.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// Events read at a time.
const PAGE: usize = 200;

/// Follows until a stop is requested.
pub(crate) async fn run(state: Arc<State>) {
    let mut shutdown = state.shutdown.clone();
    let mut woken = state.bus.listen();
    let mut seen = state.stores.events.head().await.unwrap_or(0);
    loop {
        woken.mark_unchanged();
        if let Ok(head) = state.stores.events.head().await
            && head > seen
        {
            if !woken.has_changed().unwrap_or(false) {
                state.bus.wake();
                woken.mark_unchanged();
            }
            seen = warm_since(&state, seen).await;
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK_EVERY) => {}
            _ = woken.changed() => {}
            () = shutdown.requested() => return,
        }
    }
}

/// Warms each asset whose playable state moved after `seen`, and answers the last place read.
async fn warm_since(state: &Arc<State>, mut seen: u64) -> u64 {
    loop {
        let Ok(events) = state.stores.events.after(EventsOf::Org(state.config.org), seen, PAGE).await else {
            return seen;
        };
        let Some(last) = events.last() else { return seen };
        seen = last.seq;
        for event in &events {
            if let EventKind::PlayableStateChanged { to } = &event.kind
                && to.is_playable()
                && let Ok(asset) = state.stores.assets.get(event.asset).await
                && asset.playable.is_playable()
            {
                let set = startup::of_asset(&asset, state.config.warm_artifacts_max);
                let wire = rend_core::fleet::wire::WarmWire::new(asset.id, &set);
                let state = Arc::clone(state);
                rend_shell::spawn("warm", async move { super::fanout::warm(&state, asset.id, &wire).await });
            }
        }
    }
}
