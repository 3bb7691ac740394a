//! What every [`WebhookStore`] must do.

use futures::future;
use rend_core::id::{AssetId, WebhookId};
use rend_core::webhook::deliver::{Lease, Progress, Waiting};
use rend_core::webhook::{Endpoint, Kinds, Secret, State, Why};

use super::make::{at, org_id};
use crate::StoreError;
use crate::webhooks::WebhookStore;

/// What was inserted and replaced reads back, each field of it.
pub async fn an_endpoint_reads_back_whole(store: &impl WebhookStore) {
    let full = Endpoint {
        description: "Ünïcödé \"quotes\" \u{1f600} a\0b".into(),
        wants: Kinds::new(["asset.created", "webhook.disabled"]).unwrap(),
        secret_before: Some((Secret::from_bytes([9; 32]), at(77))),
        progress: Progress {
            cursor: u64::MAX >> 1,
            waiting: [(3, Waiting { attempts: 2, due: at(8) }), (5, Waiting { attempts: 0, due: at(9) })].into(),
            lease: Some(Lease { holder: [0xf0; 8], until: at(30) }),
        },
        ..endpoint(2)
    };
    for made in [endpoint(1), full] {
        store.insert_webhook(&made, 10).await.unwrap();
        assert_eq!(store.webhook(made.id).await.unwrap(), made);
    }
    for tell in [None, Some(AssetId::from_bytes([4; 16]))] {
        let row = store.webhook(endpoint(1).id).await.unwrap();
        let changed = Endpoint { state: State::Disabled { why: Why::Gone, at: at(6), tell }, updated_at: at(6), ..row };
        let stands = store.replace_webhook(&changed).await.unwrap();
        assert_eq!(stands, Endpoint { revision: changed.revision + 1, ..changed });
        assert_eq!(store.webhook(stands.id).await.unwrap(), stands);
    }
}

/// A row is replaced only as it was read.
pub async fn a_row_is_replaced_only_as_it_was_read(store: &impl WebhookStore) {
    store.insert_webhook(&endpoint(1), 10).await.unwrap();
    let old = store.webhook(endpoint(1).id).await.unwrap();
    let new = store.replace_webhook(&Endpoint { description: "new".into(), ..old.clone() }).await.unwrap();
    let late = store.replace_webhook(&Endpoint { description: "late".into(), ..old }).await;
    assert!(matches!(late, Err(StoreError::Conflict { .. })), "{late:?}");
    assert_eq!(store.webhook(new.id).await.unwrap(), new);
    let absent = store.replace_webhook(&endpoint(2)).await;
    assert!(matches!(absent, Err(StoreError::NotFound { .. })), "{absent:?}");
}

/// Of several who change a row at once, one does and the others are told.
pub async fn of_changes_at_once_one_is_made(store: &impl WebhookStore) {
    store.insert_webhook(&endpoint(1), 10).await.unwrap();
    let rows: Vec<_> = (0..8).map(|n| Endpoint { progress: Progress::from_place(n), ..endpoint(1) }).collect();
    let answers = future::join_all(rows.iter().map(|row| store.replace_webhook(row))).await;
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1, "{answers:?}");
    let stands = answers.into_iter().find_map(Result::ok).unwrap();
    assert_eq!(store.webhook(stands.id).await.unwrap(), stands);
}

/// An organisation has no more than it may, each once; they are listed oldest first, and nobody else's.
pub async fn an_organisation_has_no_more_endpoints_than_it_may(store: &impl WebhookStore) {
    for n in [3, 1, 2] {
        store.insert_webhook(&endpoint(n), 3).await.unwrap();
    }
    for refused in [endpoint(4), endpoint(1)] {
        let answer = store.insert_webhook(&refused, 3).await;
        assert!(matches!(answer, Err(StoreError::Conflict { .. })), "{answer:?}");
    }
    let taken = store.insert_webhook(&endpoint(1), 10).await;
    assert!(matches!(taken, Err(StoreError::Conflict { .. })), "{taken:?}");
    store.insert_webhook(&Endpoint { org: org_id(2), ..endpoint(5) }, 3).await.unwrap();
    assert_eq!(store.webhooks(org_id(1)).await.unwrap(), [endpoint(1), endpoint(2), endpoint(3)]);
    let more: Vec<_> = (10..20).map(|n| Endpoint { org: org_id(3), ..endpoint(n) }).collect();
    let answers = future::join_all(more.iter().map(|endpoint| store.insert_webhook(endpoint, 4))).await;
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 4, "{answers:?}");
    assert_eq!(store.webhooks(org_id(4)).await.unwrap(), []);
}

/// What is removed is gone, and its place is free.
pub async fn what_is_removed_is_gone(store: &impl WebhookStore) {
    store.insert_webhook(&endpoint(1), 1).await.unwrap();
    store.remove_webhook(endpoint(1).id).await.unwrap();
    for gone in [store.remove_webhook(endpoint(1).id).await, store.webhook(endpoint(1).id).await.map(drop)] {
        assert!(matches!(gone, Err(StoreError::NotFound { .. })), "{gone:?}");
    }
    store.insert_webhook(&endpoint(2), 1).await.unwrap();
    assert_eq!(store.webhooks(org_id(1)).await.unwrap(), [endpoint(2)]);
}

fn endpoint(n: u8) -> Endpoint {
    Endpoint {
        id: WebhookId::new(at(u64::from(n)), [n; 10]),
        org: org_id(1),
        url: format!("https://example.com/hooks/{n}?key=a%20b"),
        description: String::new(),
        wants: Kinds::ALL,
        secret: Secret::from_bytes([n; 32]),
        secret_before: None,
        state: State::Active,
        progress: Progress::from_place(0),
        revision: 1,
        created_at: at(u64::from(n)),
        updated_at: at(u64::from(n)),
    }
}

/// Mounts what every `WebhookStore` must do; see [`conformance`](crate::conformance).
#[macro_export]
macro_rules! webhook_conformance {
    ($(#[$attribute:meta])* $block_on:path, $make:expr) => {
        $crate::mount_cases! { webhooks [$(#[$attribute])*] $block_on, $make;
            an_endpoint_reads_back_whole
            a_row_is_replaced_only_as_it_was_read
            of_changes_at_once_one_is_made
            an_organisation_has_no_more_endpoints_than_it_may
            what_is_removed_is_gone
        }
    };
}
