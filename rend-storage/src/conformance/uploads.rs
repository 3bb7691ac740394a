//! What every [`UploadStore`] must do.

use futures::future;
use rend_core::asset::{Move, StoredSource};
use rend_core::id::UploadId;
use rend_core::upload::{UploadSession, UploadState};

use super::make::{asset, asset_id, at, org_id};
use crate::StoreError;
use crate::assets::{AssetStore, Change};
use crate::uploads::UploadStore;

/// What was opened is read back, each field of it.
pub async fn a_session_reads_back_as_it_was_opened(store: &impl UploadStore) {
    for (n, bytes_expected) in [(1, None), (2, Some(0)), (3, Some(u64::MAX))] {
        let opened = UploadSession { bytes_expected, org: org_id(n), ..session(n, 10) };
        store.open(&opened).await.unwrap();
        assert_eq!(store.get(opened.id).await.unwrap(), opened);
    }
}

/// An id is taken once.
pub async fn an_upload_id_is_taken_once(store: &impl UploadStore) {
    store.open(&session(1, 10)).await.unwrap();
    let refused = store.open(&session(1, 20)).await;
    assert!(matches!(refused, Err(StoreError::Conflict { .. })), "{refused:?}");
    assert_eq!(store.get(id(1)).await.unwrap(), session(1, 10));
}

/// What was never opened is reported as such.
pub async fn an_absent_session_is_not_found(store: &impl UploadStore) {
    store.open(&session(1, 10)).await.unwrap();
    assert!(matches!(store.get(id(2)).await, Err(StoreError::NotFound { .. })));
    for state in UploadState::ALL {
        let refused = store.settle(id(2), *state).await;
        assert!(matches!(refused, Err(StoreError::NotFound { .. })), "{refused:?}");
    }
}

/// The first settlement stays; a repeat is answered alike, and another is a conflict.
pub async fn a_session_is_settled_once(store: &impl UploadStore) {
    let ends = [(1, UploadState::Complete, UploadState::Abandoned), (2, UploadState::Abandoned, UploadState::Complete)];
    for (n, first, other) in ends {
        store.open(&session(n, 10)).await.unwrap();
        for _ in 0..3 {
            store.settle(id(n), first).await.unwrap();
            for not in [other, UploadState::Open] {
                let refused = store.settle(id(n), not).await;
                assert!(matches!(refused, Err(StoreError::Conflict { .. })), "{not}: {refused:?}");
            }
            assert_eq!(store.get(id(n)).await.unwrap(), UploadSession { state: first, ..session(n, 10) });
        }
    }
}

/// Being open is no settlement.
pub async fn open_settles_nothing(store: &impl UploadStore) {
    store.open(&session(1, 10)).await.unwrap();
    let refused = store.settle(id(1), UploadState::Open).await;
    assert!(matches!(refused, Err(StoreError::Conflict { .. })), "{refused:?}");
    assert_eq!(store.get(id(1)).await.unwrap(), session(1, 10));
}

/// Of settlements at once one kind stands.
pub async fn of_settlements_at_once_one_stands(store: &impl UploadStore) {
    store.open(&session(1, 10)).await.unwrap();
    let states: Vec<_> = (0..8).map(|n| UploadState::ALL[1 + n % 2]).collect();
    let answers = future::join_all(states.iter().map(|state| store.settle(id(1), *state))).await;
    let stands = store.get(id(1)).await.unwrap().state;
    for (state, answer) in states.iter().zip(answers) {
        assert_eq!(answer.is_ok(), *state == stands, "{state}: {answer:?}");
    }
}

/// A session has expired at its end; those longest expired come first, then by id, as many as are wanted.
pub async fn expired_sessions_come_longest_expired_first(store: &impl UploadStore) {
    for (n, end) in [(1, 30), (2, 10), (4, 20), (3, 20), (5, 31)] {
        store.open(&session(n, end)).await.unwrap();
    }
    let expired = |now, rows| async move {
        let sessions = store.expired(at(now), rows).await.unwrap();
        sessions.into_iter().map(|session| session.id).collect::<Vec<_>>()
    };
    assert_eq!(expired(9, 10).await, []);
    assert_eq!(expired(10, 10).await, [id(2)]);
    assert_eq!(expired(30, 10).await, [2, 3, 4, 1].map(id));
    assert_eq!(expired(30, 2).await, [2, 3].map(id));
    assert_eq!(expired(30, 0).await, []);
}

/// A settled session does not expire.
pub async fn a_settled_session_does_not_expire(store: &impl UploadStore) {
    for n in 1..=3 {
        store.open(&session(n, 10)).await.unwrap();
    }
    store.settle(id(1), UploadState::Complete).await.unwrap();
    store.settle(id(3), UploadState::Abandoned).await.unwrap();
    assert_eq!(store.expired(at(99), 10).await.unwrap(), [session(2, 10)]);
}

/// What an organisation holds is what is stored for it and what it announced, each once.
pub async fn bytes_are_held_once_from_their_announcement_to_their_deletion(store: &(impl UploadStore + AssetStore)) {
    let held = || async { store.bytes_held(org_id(1)).await.unwrap() };
    assert_eq!(held().await, 0);
    store.create(&asset(1)).await.unwrap();
    store.open(&session(1, 10)).await.unwrap();
    store.open(&UploadSession { bytes_expected: None, ..session(2, 10) }).await.unwrap();
    store.open(&UploadSession { org: org_id(2), ..session(3, 10) }).await.unwrap();
    assert_eq!(held().await, 1234);
    let moves = [Move::BeginUpload, Move::SourceStored(StoredSource { bytes: 1200, sha256: [7; 32] })];
    for step in moves {
        let (asset, now) = (asset_id(1), at(2));
        store.advance(&Change { asset, expect: None, step, fence: None, enqueue: None, now }).await.unwrap();
    }
    assert_eq!(held().await, 1200, "stored, though its session is open still");
    store.settle(id(1), UploadState::Complete).await.unwrap();
    assert_eq!(held().await, 1200);
    store.open(&session(4, 10)).await.unwrap();
    assert_eq!(held().await, 2434);
    store.settle(id(4), UploadState::Abandoned).await.unwrap();
    let (gone, step) = (asset_id(1), Move::RequestDeletion);
    let change = Change { asset: gone, expect: None, step, fence: None, enqueue: None, now: at(3) };
    store.advance(&change).await.unwrap();
    assert_eq!(held().await, 0);
    assert_eq!(store.bytes_held(org_id(2)).await.unwrap(), 1234);
}

fn id(n: u8) -> UploadId {
    UploadId::new(at(u64::from(n)), [n; 10])
}

fn session(n: u8, end: u64) -> UploadSession {
    UploadSession {
        id: id(n),
        asset: asset_id(n),
        org: org_id(1),
        bytes_expected: Some(1234),
        state: UploadState::Open,
        expires_at: at(end),
        created_at: at(1),
    }
}

/// Mounts what every `UploadStore` must do; see [`conformance`](crate::conformance).
#[macro_export]
macro_rules! upload_store_conformance {
    ($(#[$attribute:meta])* $block_on:path, $make:expr) => {
        $crate::mount_cases! { uploads [$(#[$attribute])*] $block_on, $make;
            a_session_reads_back_as_it_was_opened
            an_upload_id_is_taken_once
            an_absent_session_is_not_found
            a_session_is_settled_once
            open_settles_nothing
            of_settlements_at_once_one_stands
            expired_sessions_come_longest_expired_first
            a_settled_session_does_not_expire
            bytes_are_held_once_from_their_announcement_to_their_deletion
        }
    };
}
