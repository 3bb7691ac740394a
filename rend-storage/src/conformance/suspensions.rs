//! What every [`SuspensionLog`] must do.

use futures::future;
use rend_core::id::AssetId;
use rend_core::suspension::{Action, Order, Signed, Subject};

use super::make::{asset, asset_id, at, org_id};
use crate::assets::AssetStore;
use crate::suspensions::SuspensionLog;

/// An empty record suspends nothing, an asset that is not there included.
pub async fn an_empty_record_suspends_nothing(store: &(impl SuspensionLog + AssetStore)) {
    store.create(&asset(1)).await.unwrap();
    assert_eq!(store.suspension(asset_id(1)).await.unwrap(), None);
    assert_eq!(store.suspension(asset_id(2)).await.unwrap(), None);
    assert_eq!(store.org_suspension(org_id(1)).await.unwrap(), None);
    assert_eq!(store.orders_after(0, 10).await.unwrap(), []);
}

/// The newest order about an asset says whether it is suspended, and reads back whole.
pub async fn the_newest_order_about_an_asset_stands(store: &(impl SuspensionLog + AssetStore)) {
    store.create(&asset(1)).await.unwrap();
    store.create(&asset(2)).await.unwrap();
    let (suspend, restore) = (order(Subject::Asset(asset_id(1)), Action::Suspend, 5), Action::Restore);
    let first = store.append_order(&suspend).await.unwrap();
    assert_eq!((first.seq, &first.order), (1, &suspend));
    assert_eq!(store.suspension(asset_id(1)).await.unwrap(), Some(first.clone()));
    assert_eq!(store.suspension(asset_id(2)).await.unwrap(), None, "another asset plays");
    let again = store.append_order(&order(Subject::Asset(asset_id(1)), Action::Suspend, 3)).await.unwrap();
    assert_eq!(store.suspension(asset_id(1)).await.unwrap(), Some(again.clone()), "by place, not by time");
    let back = store.append_order(&order(Subject::Asset(asset_id(1)), restore, 9)).await.unwrap();
    assert_eq!(store.suspension(asset_id(1)).await.unwrap(), None);
    assert_eq!(store.orders_after(0, 10).await.unwrap(), [first, again, back]);
}

/// An organisation's order is about each of its assets, and about nobody else's; an asset's own goes before it.
pub async fn an_organisation_is_suspended_with_all_its_assets(store: &(impl SuspensionLog + AssetStore)) {
    for n in [1, 2] {
        store.create(&asset(n)).await.unwrap();
    }
    store.create(&rend_core::asset::Asset { org: org_id(2), ..asset(3) }).await.unwrap();
    let org = store.append_order(&order(Subject::Org(org_id(1)), Action::Suspend, 1)).await.unwrap();
    let own = store.append_order(&order(Subject::Asset(asset_id(2)), Action::Suspend, 2)).await.unwrap();
    store.append_order(&order(Subject::Asset(asset_id(3)), Action::Suspend, 2)).await.unwrap();
    store.append_order(&order(Subject::Asset(asset_id(3)), Action::Restore, 2)).await.unwrap();
    assert_eq!(store.org_suspension(org_id(1)).await.unwrap(), Some(org.clone()), "also before it has an asset");
    assert_eq!(store.org_suspension(org_id(2)).await.unwrap(), None, "what is about its asset is not about it");
    assert_eq!(store.suspension(asset_id(1)).await.unwrap(), Some(org.clone()));
    assert_eq!(store.suspension(asset_id(2)).await.unwrap(), Some(own));
    assert_eq!(store.suspension(asset_id(3)).await.unwrap(), None);
    // What comes later is suspended with the others.
    store.create(&asset(4)).await.unwrap();
    assert_eq!(store.suspension(asset_id(4)).await.unwrap(), Some(org.clone()));
    // Restoring the asset leaves the organisation's order, and restoring the organisation leaves the asset's.
    store.append_order(&order(Subject::Asset(asset_id(2)), Action::Restore, 3)).await.unwrap();
    assert_eq!(store.suspension(asset_id(2)).await.unwrap(), Some(org));
    store.append_order(&order(Subject::Org(org_id(1)), Action::Restore, 4)).await.unwrap();
    assert_eq!(store.org_suspension(org_id(1)).await.unwrap(), None);
    for n in [1, 2, 3, 4] {
        assert_eq!(store.suspension(asset_id(n)).await.unwrap(), None, "{n}");
    }
}

/// Orders at once get a place each, without a gap, and pages of any size add up.
pub async fn orders_at_once_get_a_place_each_and_pages_add_up(store: &(impl SuspensionLog + AssetStore)) {
    let orders: Vec<_> = (1..=20).map(|n| order(Subject::Asset(asset_id(n)), Action::Suspend, 1)).collect();
    let mut places = Vec::new();
    for entry in future::join_all(orders.iter().map(|order| store.append_order(order))).await {
        places.push(entry.unwrap().seq);
    }
    places.sort_unstable();
    assert!(places.into_iter().eq(1..=20));
    for rows in [1, 3, 7, 20, 100] {
        let mut seen: Vec<u64> = Vec::new();
        loop {
            let page = store.orders_after(seen.last().copied().unwrap_or(0), rows).await.unwrap();
            assert!(page.len() <= rows);
            if page.is_empty() {
                break;
            }
            seen.extend(page.iter().map(|entry| entry.seq));
        }
        assert!(seen.into_iter().eq(1..=20), "pages of {rows}");
    }
    assert_eq!(store.orders_after(u64::MAX, 10).await.unwrap(), []);
    assert_eq!(store.suspension(AssetId::from_bytes([0; 16])).await.unwrap(), None);
}

fn order(subject: Subject, action: Action, now: u64) -> Order {
    let signed = Signed::new("ada ünï", "a \"quoted\" reason\nin two lines").unwrap();
    Order { subject, action, signed, at: at(now) }
}

/// Mounts what every `SuspensionLog` must do; see [`conformance`](crate::conformance).
#[macro_export]
macro_rules! suspension_conformance {
    ($(#[$attribute:meta])* $block_on:path, $make:expr) => {
        $crate::mount_cases! { suspensions [$(#[$attribute])*] $block_on, $make;
            an_empty_record_suspends_nothing
            the_newest_order_about_an_asset_stands
            an_organisation_is_suspended_with_all_its_assets
            orders_at_once_get_a_place_each_and_pages_add_up
        }
    };
}
