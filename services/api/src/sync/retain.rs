//! Lets go of what is old: one process at a time, a bounded step at a time.
//!
//! What may go is [`rend_core::retention`]'s to say, and no step needs the one before it: killed anywhere, or done twice at
//! once, it goes on from what is there. Answers to requests that name themselves are bounded by number too, so they are
//! forgotten by the minute, in [`super::sweep`]; revocations go when the next one is written after they expired. Endpoints of
//! webhooks keep their place in the log of events and no more, so of deliveries there is nothing to let go of.

use std::sync::Arc;
use std::time::Duration;

use rend_core::id::LeaseToken;
use rend_core::retention::{BATCH, Due, STEPS_MAX, plan, seen_by_all};
use rend_core::suspension::SuspendedOrgs;
use rend_core::time::Timestamp;
use rend_storage::StoreError;

use super::suspend;
use crate::config::ApiConfig;
use crate::state::{State, Stores};

/// How often is looked.
const LOOK_EVERY: Duration = Duration::from_secs(3600);
/// How long one process leads after it said so last: shorter than it rests, so that a restart waits for nobody who is gone.
const LEASE: Duration = Duration::from_secs(50 * 60);

/// Lets go until a stop is requested. It says what goes before it does.
pub(crate) async fn run(state: Arc<State>) {
    let mut shutdown = state.shutdown.clone();
    let holder = LeaseToken::new(state.clock.wall(), rend_shell::ten());
    loop {
        let now = state.clock.wall();
        match state.stores.leads.lead("retention", holder, now, now + LEASE).await {
            Ok(true) => {
                if let Err(error) = look(&state.stores, &state.config, now).await {
                    tracing::warn!(%error, "what is old could not be let go of; it is tried again");
                }
            }
            Ok(false) => {}
            Err(error) => tracing::warn!(%error, "nobody could be found to let go of what is old"),
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK_EVERY) => {}
            () = shutdown.requested() => return,
        }
    }
}

/// Tells what is old enough to go, and removes it unless that is all that is wanted. Answers each shelf with how many rows
/// were found, up to what one look removes, and how many went.
pub(crate) async fn look(
    stores: &Stores,
    config: &ApiConfig,
    now: Timestamp,
) -> Result<Vec<(Due, usize, usize)>, StoreError> {
    let seen = seen_by_all(&config.expected_edges, &stores.edges.all().await?);
    let mut suspended = SuspendedOrgs::default();
    suspend::read_on(stores, &mut suspended).await?;
    let plan = plan(&config.ages, seen, suspended.oldest(), now);
    let mut told = Vec::new();
    for due in plan {
        let rows = stores.retention.count_due(&due, BATCH * STEPS_MAX).await?;
        if rows == 0 {
            told.push((due, 0, 0));
            continue;
        }
        let (shelf, before) = (due.shelf(), due.before());
        if config.retention_dry_run {
            tracing::info!(shelf, rows, %before, "old enough to go; REND_RETENTION_DRY_RUN lets it stay");
            told.push((due, rows, 0));
            continue;
        }
        tracing::info!(shelf, rows, %before, "letting go of what is old");
        told.push((due, rows, remove(stores, &due).await?));
    }
    Ok(told)
}

async fn remove(stores: &Stores, due: &Due) -> Result<usize, StoreError> {
    let mut removed = 0;
    for _ in 0..STEPS_MAX {
        let some = stores.retention.remove_due(due, BATCH).await?;
        removed += some;
        if some < BATCH {
            break;
        }
    }
    Ok(removed)
}

#[cfg(test)]
mod tests {
    use rend_core::asset::{Asset, Move, PlaybackPolicy};
    use rend_core::event::EventKind;
    use rend_core::fleet::{Beat, EdgeRow, EdgeState};
    use rend_core::id::AssetId;
    use rend_core::suspension::{Action, Order, Signed, Subject};
    use rend_storage::assets::Change;
    use rend_storage::events::EventsOf;

    use super::*;
    use crate::config::SOLE_ORG;
    use crate::ingest::rig::Rig;

    const DAY: Duration = Duration::from_secs(86_400);

    async fn asset(rig: &Rig, n: u8) -> AssetId {
        let now = rig.state.clock.wall();
        let asset = Asset::new(AssetId::new(now, [n; 10]), SOLE_ORG, "t".into(), PlaybackPolicy::Public, now);
        rig.stores.assets.create(&asset).await.unwrap();
        asset.id
    }

    async fn delete(rig: &Rig, asset: AssetId) {
        let now = rig.state.clock.wall();
        let change = Change { asset, expect: None, step: Move::RequestDeletion, fence: None, enqueue: None, now };
        rig.stores.assets.advance(&change).await.unwrap();
    }

    async fn history(rig: &Rig, asset: AssetId) -> Vec<u64> {
        let events = rig.stores.events.after(EventsOf::Asset(asset), 0, 10_000).await.unwrap();
        events.iter().map(|event| event.asset_seq).collect()
    }

    /// An edge that has carried out the purges up to `seen`.
    async fn edge(rig: &Rig, id: &str, purge_seen: u64) {
        let now = rig.state.clock.wall();
        let beat = Beat { purge_seen, ..Beat::idle(EdgeState::Active) };
        let row = EdgeRow {
            id: id.parse().unwrap(),
            region: "eu".into(),
            public_url: format!("https://{id}.example.com"),
            private_url: "http://10.0.0.2:4110".into(),
            version: "1".into(),
            beat,
            registered_at: now,
            beat_at: now,
        };
        rig.stores.edges.register(&row).await.unwrap();
    }

    /// How much went of each shelf that something was found of.
    async fn went(rig: &Rig) -> Vec<(&'static str, usize)> {
        let told = look(&rig.stores, &rig.state.config, rig.state.clock.wall()).await.unwrap();
        told.iter().filter(|(_, rows, _)| *rows > 0).map(|(due, _, went)| (due.shelf(), *went)).collect()
    }

    #[tokio::test]
    async fn the_history_of_a_live_asset_is_whole_however_old_it_is_and_that_of_a_deleted_one_goes_in_time() {
        let rig = Rig::new();
        let (live, gone) = (asset(&rig, 1).await, asset(&rig, 2).await);
        for _ in 0..3 {
            rig.stores.events.append(live, &EventKind::AssetUpdated, rig.state.clock.wall()).await.unwrap();
        }
        rig.pass(DAY * 400);
        delete(&rig, gone).await;
        rig.pass(DAY * 30);
        assert_eq!(went(&rig).await, [], "nothing younger than its age goes");
        rig.pass(Duration::from_millis(1));
        assert_eq!(went(&rig).await, [("events of deleted assets", 2)]);
        assert_eq!((history(&rig, live).await, history(&rig, gone).await), (vec![1, 2, 3, 4], vec![]));
        assert_eq!(went(&rig).await, []);
    }

    #[tokio::test]
    async fn one_look_is_bounded_and_the_next_one_goes_on_as_after_a_crash() {
        let rig = Rig::new();
        let gone = asset(&rig, 1).await;
        let most = BATCH * STEPS_MAX;
        for _ in 0..most {
            rig.stores.events.append(gone, &EventKind::AssetUpdated, rig.state.clock.wall()).await.unwrap();
        }
        delete(&rig, gone).await;
        rig.pass(DAY * 31);
        // Somebody died after one step.
        let due = Due::Events { before: rig.state.clock.wall() };
        assert_eq!(rig.stores.retention.remove_due(&due, 1).await.unwrap(), 1);
        assert_eq!(went(&rig).await, [("events of deleted assets", most)]);
        assert_eq!(history(&rig, gone).await, [most as u64 + 2]);
        assert_eq!(went(&rig).await, [("events of deleted assets", 1)]);
    }

    #[tokio::test]
    async fn two_sweepers_at_once_remove_each_row_once() {
        let rig = Rig::new();
        let gone = asset(&rig, 1).await;
        for _ in 0..BATCH * 3 {
            rig.stores.events.append(gone, &EventKind::AssetUpdated, rig.state.clock.wall()).await.unwrap();
        }
        delete(&rig, gone).await;
        rig.pass(DAY * 31);
        let (one, other) = tokio::join!(went(&rig), went(&rig));
        let removed: usize = one.iter().chain(&other).map(|(_, removed)| removed).sum();
        assert_eq!(removed, BATCH * 3 + 2);
        assert!(history(&rig, gone).await.is_empty());
    }

    #[tokio::test]
    async fn an_edge_that_was_away_finds_the_purges_that_it_missed() {
        let rig = Rig::new();
        let asset = asset(&rig, 1).await;
        edge(&rig, "near", 5).await;
        edge(&rig, "away", 2).await;
        for _ in 0..6 {
            rig.stores.purges.append_purge(asset, rig.state.clock.wall()).await.unwrap();
        }
        rig.pass(DAY * 500);
        assert_eq!(went(&rig).await, [("purges", 2)]);
        edge(&rig, "away", 6).await;
        assert_eq!(went(&rig).await, [("purges", 3)]);
        let left = rig.stores.purges.purges_after(0, 10).await.unwrap();
        assert_eq!(left.iter().map(|row| row.seq).collect::<Vec<_>>(), [6]);
    }

    #[tokio::test]
    async fn what_says_that_a_suspension_was_carried_out_stays_while_it_stands() {
        let rig = Rig::new();
        let asset = asset(&rig, 1).await;
        rig.stores.purges.append_purge(asset, rig.state.clock.wall()).await.unwrap();
        rig.pass(DAY);
        let order = |action, rig: &Rig| Order {
            subject: Subject::Org(SOLE_ORG),
            action,
            signed: Signed::new("ada", "a reason").unwrap(),
            at: rig.state.clock.wall(),
        };
        rig.stores.suspensions.append_order(&order(Action::Suspend, &rig)).await.unwrap();
        for _ in 0..3 {
            rig.stores.purges.append_purge(asset, rig.state.clock.wall()).await.unwrap();
        }
        rig.pass(DAY * 500);
        assert_eq!(went(&rig).await, [("purges", 1)]);
        rig.stores.suspensions.append_order(&order(Action::Restore, &rig)).await.unwrap();
        assert_eq!(went(&rig).await, [("purges", 2)]);
    }

    #[tokio::test]
    async fn a_dry_run_tells_what_a_run_removes_and_removes_nothing() {
        let rig = Rig::new();
        let gone = asset(&rig, 1).await;
        delete(&rig, gone).await;
        rig.pass(DAY * 31);
        let dry = ApiConfig { retention_dry_run: true, ..rig.state.config.clone() };
        let now = rig.state.clock.wall();
        let told = look(&rig.stores, &dry, now).await.unwrap();
        assert_eq!(history(&rig, gone).await, [1, 2]);
        let done = look(&rig.stores, &rig.state.config, now).await.unwrap();
        assert!(told.iter().zip(&done).all(|(told, done)| (told.0, told.1) == (done.0, done.1)));
        assert!(told.iter().all(|(_, _, went)| *went == 0) && done.iter().all(|(_, rows, went)| rows == went));
        assert!(history(&rig, gone).await.is_empty());
    }
}
