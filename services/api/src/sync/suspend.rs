//! Suspensions of an organisation: everything of all its assets is purged, whoever dies meanwhile.
//!
//! The record of orders and the purge log are the memory. What still has to be purged is every asset that no purge has named
//! since the order; so whoever goes on after a death begins where the other one was.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use rend_core::id::{AssetId, OrgId};
use rend_core::suspension::SuspendedOrgs;
use rend_core::time::Timestamp;
use rend_storage::StoreError;

use crate::state::{State, Stores};

/// How often the record is looked at. No token opens what is suspended meanwhile.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// Orders and purges that are read at a time.
const PAGE: usize = 1000;
/// Assets of an organisation that are looked up at a time.
const ASSETS_PAGE: usize = 100;

/// Follows the record until a stop is requested.
pub(crate) async fn run(state: Arc<State>) {
    let mut shutdown = state.shutdown.clone();
    // Those that stand and are not carried out, as far as is known here.
    let mut suspended = SuspendedOrgs::default();
    loop {
        if let Err(error) = look(&state, &mut suspended).await {
            tracing::warn!(%error, "not everything suspended was purged; no token opens it, and it is tried again");
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK_EVERY) => {}
            () = shutdown.requested() => return,
        }
    }
}

/// Reads what is new in the record, and purges what is to be purged by it.
async fn look(state: &State, suspended: &mut SuspendedOrgs) -> Result<(), StoreError> {
    read_on(&state.stores, suspended).await?;
    while let Some((org, since)) = suspended.first() {
        if !purge(state, org, since).await? {
            return Ok(());
        }
        suspended.settle(org);
    }
    Ok(())
}

/// Notes the orders that came since the record was read last, a page at a time, up to its end.
pub(super) async fn read_on(stores: &Stores, suspended: &mut SuspendedOrgs) -> Result<(), StoreError> {
    loop {
        let entries = stores.suspensions.orders_after(suspended.seen(), PAGE).await?;
        entries.iter().for_each(|entry| suspended.note(entry));
        if entries.len() < PAGE {
            return Ok(());
        }
    }
}

/// Purges every asset of `org` that was not purged since, and answers whether that came to its end: a stop ends it early.
async fn purge(state: &State, org: OrgId, since: Timestamp) -> Result<bool, StoreError> {
    let mut purged = purged_since(state, since).await?;
    let mut before = None;
    loop {
        let assets = state.stores.assets.page(org, before, ASSETS_PAGE).await?;
        let Some(last) = assets.last() else { return Ok(true) };
        before = Some(last.id);
        for asset in &assets {
            if state.shutdown.is_requested() {
                return Ok(false);
            }
            if !purged.remove(&asset.id) {
                state.dispatch.purge(asset.id).await?;
            }
        }
    }
}

/// The assets that purges name since then: at most as many as the organisation had, unless others were deleted meanwhile.
async fn purged_since(state: &State, since: Timestamp) -> Result<BTreeSet<AssetId>, StoreError> {
    let (mut purged, mut seen) = (BTreeSet::new(), 0);
    loop {
        let rows = state.stores.purges.purges_after(seen, PAGE).await?;
        purged.extend(rows.iter().filter(|row| row.at >= since).map(|row| row.asset));
        match rows.last() {
            Some(last) if rows.len() == PAGE => seen = last.seq,
            _ => return Ok(purged),
        }
    }
}

#[cfg(test)]
mod tests {
    use rend_core::asset::{Asset, PlaybackPolicy};
    use rend_core::suspension::{Action, Order, Signed, Subject};

    use super::*;
    use crate::config::SOLE_ORG;
    use crate::ingest::rig::Rig;

    async fn assets(rig: &Rig, count: u8) {
        for n in 1..=count {
            let asset = AssetId::new(rig.state.clock.wall(), [n; 10]);
            let asset = Asset::new(asset, SOLE_ORG, "t".into(), PlaybackPolicy::Public, rig.state.clock.wall());
            rig.stores.assets.create(&asset).await.unwrap();
        }
    }

    async fn order(rig: &Rig, action: Action) {
        rig.pass(Duration::from_secs(1));
        let signed = Signed::new("ada", "a reason").unwrap();
        let order = Order { subject: Subject::Org(SOLE_ORG), action, signed, at: rig.state.clock.wall() };
        rig.stores.suspensions.append_order(&order).await.unwrap();
    }

    async fn purges(rig: &Rig) -> usize {
        rig.stores.purges.purges_after(0, PAGE).await.unwrap().len()
    }

    #[tokio::test]
    async fn who_goes_on_after_a_death_purges_what_was_not_purged_since_the_order() {
        let rig = Rig::new();
        assets(&rig, 5).await;
        let all = rig.stores.assets.page(SOLE_ORG, None, 10).await.unwrap();
        // One was purged before the order, which does not count.
        rig.state.dispatch.purge(all[4].id).await.unwrap();
        order(&rig, Action::Suspend).await;
        // The first process died after two.
        for asset in &all[..2] {
            rig.state.dispatch.purge(asset.id).await.unwrap();
        }
        let mut suspended = SuspendedOrgs::default();
        look(&rig.state, &mut suspended).await.unwrap();
        let rows = rig.stores.purges.purges_after(3, PAGE).await.unwrap();
        assert_eq!(rows.iter().map(|row| row.asset).collect::<Vec<_>>(), [all[2].id, all[3].id, all[4].id]);
        look(&rig.state, &mut suspended).await.unwrap();
        look(&rig.state, &mut SuspendedOrgs::default()).await.unwrap();
        assert_eq!(purges(&rig).await, 6, "once is enough, for another process too");
    }

    #[tokio::test]
    async fn a_restored_organisation_is_left_alone_and_suspended_again_it_is_purged_again() {
        let rig = Rig::new();
        assets(&rig, 2).await;
        let mut suspended = SuspendedOrgs::default();
        order(&rig, Action::Suspend).await;
        order(&rig, Action::Restore).await;
        look(&rig.state, &mut suspended).await.unwrap();
        assert_eq!(purges(&rig).await, 0);
        for expect in [2, 4] {
            order(&rig, Action::Suspend).await;
            look(&rig.state, &mut suspended).await.unwrap();
            assert_eq!(purges(&rig).await, expect);
        }
    }

    #[tokio::test]
    async fn a_stop_in_the_middle_leaves_the_rest_to_whoever_comes_after() {
        let rig = Rig::new();
        assets(&rig, 2).await;
        order(&rig, Action::Suspend).await;
        let mut suspended = SuspendedOrgs::default();
        rig.stop();
        look(&rig.state, &mut suspended).await.unwrap();
        assert_eq!(purges(&rig).await, 0);
        assert_eq!(suspended.first().map(|(org, _)| org), Some(SOLE_ORG));
    }

    #[tokio::test]
    async fn the_record_is_read_to_its_end_and_then_on_from_there() {
        let rig = Rig::new();
        for n in 0..=PAGE {
            order(&rig, if n.is_multiple_of(2) { Action::Suspend } else { Action::Restore }).await;
        }
        let mut suspended = SuspendedOrgs::default();
        read_on(&rig.stores, &mut suspended).await.unwrap();
        assert_eq!(suspended.seen(), PAGE as u64 + 1);
        assert_eq!(suspended.oldest(), Some(rig.state.clock.wall()), "the last order of all stands");
        order(&rig, Action::Restore).await;
        read_on(&rig.stores, &mut suspended).await.unwrap();
        assert_eq!((suspended.seen(), suspended.oldest()), (PAGE as u64 + 2, None));
    }
}
