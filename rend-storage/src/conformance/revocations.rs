//! What every [`RevocationLog`] must do.

use futures::future;
use rend_core::fleet::{RevocationRow, Revoked};

use super::make::{asset_id, at};
use crate::revocations::{NewRevocation, RevocationLog};

/// An empty log has no orders, and its head is 0.
pub async fn an_empty_revocation_log_has_no_orders(store: &impl RevocationLog) {
    assert_eq!(store.revocation_head().await.unwrap(), 0);
    assert_eq!(store.revocations_after(0, at(0), 10).await.unwrap(), []);
}

/// Every kind of order reads back whole, in its place.
pub async fn revocations_of_every_kind_read_back(store: &impl RevocationLog) {
    let mut rows = Vec::new();
    for (n, what) in subjects().into_iter().enumerate() {
        let n = n as u64;
        for (issued_before, expires_at) in [(None, None), (Some(at(n)), Some(at(1000 + n)))] {
            let order = NewRevocation { what: what.clone(), issued_before, at: at(n), expires_at };
            let seq = store.append_revocation(&order).await.unwrap();
            assert_eq!(store.revocation_head().await.unwrap(), seq);
            rows.push(order.at_place(seq));
        }
    }
    assert!(rows.iter().map(|row| row.seq).eq(1..=8));
    assert_eq!(store.revocations_after(0, at(9), 100).await.unwrap(), rows);
    assert_eq!(store.revocations_after(3, at(9), 2).await.unwrap(), rows[3..5]);
}

/// What has expired is not shown, removed or not; places go on and the head counts it.
pub async fn what_has_expired_is_not_shown_and_its_place_is_not_given_again(store: &impl RevocationLog) {
    let append = |end, now| async move {
        let what = Revoked::Asset(asset_id(1));
        store.append_revocation(&NewRevocation { what, issued_before: None, at: at(now), expires_at: end }).await
    };
    assert_eq!(append(Some(at(10)), 0).await.unwrap(), 1);
    assert_eq!(append(None, 0).await.unwrap(), 2);
    assert_eq!(append(Some(at(10)), 0).await.unwrap(), 3);
    assert_eq!(shown(store, 9).await, [1, 2, 3]);
    assert_eq!(shown(store, 10).await, [2], "at its end it is over");
    assert_eq!(store.revocation_head().await.unwrap(), 3);
    assert_eq!(append(Some(at(30)), 20).await.unwrap(), 4);
    assert_eq!(store.revocation_head().await.unwrap(), 4);
    assert_eq!(shown(store, 20).await, [2, 4]);
    // Time that went back does not bring anything back that was removed, and shows what was not.
    assert!(shown(store, 0).await.ends_with(&[4]));
    assert_eq!(append(Some(at(31)), 40).await.unwrap(), 5);
    assert_eq!(shown(store, 40).await, [2]);
    assert_eq!(store.revocation_head().await.unwrap(), 5);
}

/// Pages of any size add up, and a cursor at or past the end gives nothing.
pub async fn pages_of_revocations_add_up(store: &impl RevocationLog) {
    for n in 1..=7 {
        let what = Revoked::Asset(asset_id(n));
        let end = (n % 3 != 0).then(|| at(50));
        let order = NewRevocation { what, issued_before: Some(at(1)), at: at(0), expires_at: end };
        store.append_revocation(&order).await.unwrap();
    }
    for (now, expect) in [(0, vec![1, 2, 3, 4, 5, 6, 7]), (50, vec![3, 6])] {
        for rows in 1..=8 {
            let mut seen: Vec<u64> = Vec::new();
            loop {
                let after = seen.last().copied().unwrap_or(0);
                let page = store.revocations_after(after, at(now), rows).await.unwrap();
                assert!(page.len() <= rows);
                if page.is_empty() {
                    break;
                }
                seen.extend(page.into_iter().map(|row| row.seq));
            }
            assert_eq!(seen, expect, "pages of {rows} at {now}");
        }
    }
    for past in [7, 8, u64::MAX] {
        assert_eq!(store.revocations_after(past, at(0), 10).await.unwrap(), []);
    }
    assert_eq!(store.revocations_after(0, at(0), 0).await.unwrap(), []);
}

/// Orders at once get a place each.
pub async fn revocations_at_once_get_a_place_each(store: &impl RevocationLog) {
    let orders: Vec<_> = (1..=20)
        .map(|n| NewRevocation {
            what: Revoked::Asset(asset_id(n)),
            issued_before: None,
            at: at(0),
            expires_at: Some(at(5)),
        })
        .collect();
    let appended = orders.iter().map(|order| store.append_revocation(order));
    let mut places: Vec<_> = future::join_all(appended).await.into_iter().map(Result::unwrap).collect();
    places.sort_unstable();
    assert!(places.into_iter().eq(1..=20));
    assert_eq!(store.revocations_after(0, at(0), 100).await.unwrap().len(), 20);
}

async fn shown(store: &impl RevocationLog, now: u64) -> Vec<u64> {
    let rows: Vec<RevocationRow> = store.revocations_after(0, at(now), 100).await.unwrap();
    rows.into_iter().map(|row| row.seq).collect()
}

fn subjects() -> [Revoked; 4] {
    let id = "018f5d3e-7c1a-7b2c-9d4e-5f60718293a4";
    [("key", "prod-2026.01_b"), ("org", id), ("asset", id), ("session", "9f3c2a7b11d04e")]
        .map(|(kind, subject)| Revoked::parse(kind, subject).unwrap())
}

/// Mounts what every `RevocationLog` must do; see [`conformance`](crate::conformance).
#[macro_export]
macro_rules! revocation_conformance {
    ($(#[$attribute:meta])* $block_on:path, $make:expr) => {
        $crate::mount_cases! { revocations [$(#[$attribute])*] $block_on, $make;
            an_empty_revocation_log_has_no_orders
            revocations_of_every_kind_read_back
            what_has_expired_is_not_shown_and_its_place_is_not_given_again
            pages_of_revocations_add_up
            revocations_at_once_get_a_place_each
        }
    };
}
