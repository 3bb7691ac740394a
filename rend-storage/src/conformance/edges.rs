//! What every [`EdgeDirectory`] and every [`PurgeLog`] must do.

use futures::future;
use rend_core::fleet::{Beat, EdgeRow, EdgeState, PurgeRow};

use super::make::{asset_id, at};
use crate::StoreError;
use crate::edges::{EdgeDirectory, PurgeLog};

/// What was registered is read back, each field of it, by id.
pub async fn edges_read_back_by_id(store: &(impl EdgeDirectory + PurgeLog)) {
    assert_eq!(EdgeDirectory::all(store).await.unwrap(), []);
    let rows = ["ash-1", "ash-10", "ash-2", "z", "0"].map(edge);
    for row in &rows {
        store.register(row).await.unwrap();
    }
    let mut sorted = rows.to_vec();
    sorted.sort_by(|a, b| a.id.cmp(&b.id));
    assert_eq!(store.all().await.unwrap(), sorted);
}

/// Registering again replaces the whole row.
pub async fn registering_again_replaces_the_row(store: &(impl EdgeDirectory + PurgeLog)) {
    store.register(&edge("ash-1")).await.unwrap();
    let moved = EdgeRow {
        region: "eu".into(),
        public_url: "https://elsewhere.example".into(),
        private_url: String::new(),
        version: "2".into(),
        beat: quiet(),
        registered_at: at(50),
        beat_at: at(51),
        ..edge("ash-1")
    };
    store.register(&moved).await.unwrap();
    assert_eq!(store.all().await.unwrap(), [moved]);
}

/// A beat replaces what the edge says of itself and when it was heard, and nothing else.
pub async fn a_beat_changes_only_what_the_edge_says(store: &(impl EdgeDirectory + PurgeLog)) {
    store.register(&edge("ash-1")).await.unwrap();
    store.register(&edge("ash-2")).await.unwrap();
    store.beat(&edge("ash-1").id, &quiet(), at(70)).await.unwrap();
    let heard = EdgeRow { beat: quiet(), beat_at: at(70), ..edge("ash-1") };
    assert_eq!(store.all().await.unwrap(), [heard, edge("ash-2")]);
}

/// An edge that is not registered is told so.
pub async fn a_beat_of_a_stranger_is_not_found(store: &(impl EdgeDirectory + PurgeLog)) {
    store.register(&edge("ash-1")).await.unwrap();
    let refused = store.beat(&edge("ash-2").id, &quiet(), at(70)).await;
    assert!(matches!(refused, Err(StoreError::NotFound { .. })), "{refused:?}");
    assert_eq!(store.all().await.unwrap(), [edge("ash-1")]);
}

/// An empty log has no orders, and its head is 0.
pub async fn an_empty_purge_log_has_no_orders(store: &(impl EdgeDirectory + PurgeLog)) {
    assert_eq!(store.purge_head().await.unwrap(), 0);
    assert_eq!(store.purges_after(0, 10).await.unwrap(), []);
}

/// Orders count from 1 without a gap, an asset may be named again, and the head is the newest.
pub async fn orders_count_without_a_gap(store: &(impl EdgeDirectory + PurgeLog)) {
    let mut rows = Vec::new();
    for (n, asset) in [3, 1, 3, 2].into_iter().enumerate() {
        let (seq, asset, now) = (n as u64 + 1, asset_id(asset), at(n as u64));
        assert_eq!(store.append_purge(asset, now).await.unwrap(), seq);
        assert_eq!(store.purge_head().await.unwrap(), seq);
        rows.push(PurgeRow { seq, asset, at: now });
    }
    assert_eq!(store.purges_after(0, 10).await.unwrap(), rows);
}

/// Pages of any size add up, and a cursor at or past the end gives nothing.
pub async fn pages_of_orders_add_up(store: &(impl EdgeDirectory + PurgeLog)) {
    for n in 1..=7 {
        store.append_purge(asset_id(n), at(0)).await.unwrap();
    }
    for rows in 1..=8 {
        let mut seen = Vec::new();
        loop {
            let page = store.purges_after(seen.last().copied().unwrap_or(0), rows).await.unwrap();
            assert!(page.len() <= rows);
            if page.is_empty() {
                break;
            }
            seen.extend(page.into_iter().map(|row| row.seq));
        }
        assert!(seen.into_iter().eq(1..=7), "pages of {rows}");
    }
    for past in [7, 8, u64::MAX] {
        assert_eq!(store.purges_after(past, 10).await.unwrap(), []);
    }
    assert_eq!(store.purges_after(0, 0).await.unwrap(), []);
}

/// Orders at once get a place each.
pub async fn orders_at_once_get_a_place_each(store: &(impl EdgeDirectory + PurgeLog)) {
    let orders = (1..=20).map(|n| store.append_purge(asset_id(n), at(0)));
    let mut places: Vec<_> = future::join_all(orders).await.into_iter().map(Result::unwrap).collect();
    places.sort_unstable();
    assert!(places.into_iter().eq(1..=20));
    assert_eq!(store.purges_after(0, 100).await.unwrap().len(), 20);
}

fn edge(name: &str) -> EdgeRow {
    EdgeRow {
        id: name.parse().unwrap(),
        region: "us-east".into(),
        public_url: "https://ash-1.example".into(),
        private_url: "http://10.0.0.7:4100".into(),
        version: "0.1.0".into(),
        beat: Beat {
            state: EdgeState::Standby,
            cache_bytes_max: u64::MAX,
            cache_bytes_used: 1,
            cache_entries: 2,
            disk_bytes_free: 3,
            fills: u32::MAX,
            spool_events: 4,
            dropped_events: 5,
            purge_seen: 6,
        },
        registered_at: at(1),
        beat_at: at(2),
    }
}

fn quiet() -> Beat {
    Beat {
        cache_bytes_max: 10,
        disk_bytes_free: 11,
        dropped_events: u64::MAX,
        purge_seen: 12,
        ..Beat::idle(EdgeState::Draining)
    }
}

/// Mounts what every `EdgeDirectory` and `PurgeLog` must do; see [`conformance`](crate::conformance).
#[macro_export]
macro_rules! edge_conformance {
    ($(#[$attribute:meta])* $block_on:path, $make:expr) => {
        $crate::mount_cases! { edges [$(#[$attribute])*] $block_on, $make;
            edges_read_back_by_id
            registering_again_replaces_the_row
            a_beat_changes_only_what_the_edge_says
            a_beat_of_a_stranger_is_not_found
            an_empty_purge_log_has_no_orders
            orders_count_without_a_gap
            pages_of_orders_add_up
            orders_at_once_get_a_place_each
        }
    };
}
