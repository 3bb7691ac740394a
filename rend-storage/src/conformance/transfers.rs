//! What every [`TransferStore`] must do. A store of transfers is one of sessions too.

use futures::future;
use rend_core::id::UploadId;
use rend_core::upload::transfer::{Direct, Part, Pull, Step, Transfer};
use rend_core::upload::{UploadSession, UploadState};

use super::make::{asset_id, at, org_id};
use crate::StoreError;
use crate::transfers::TransferStore;
use crate::uploads::UploadStore;

/// What was opened is read back, each field of it, and its session through the other port.
pub async fn a_transfer_reads_back_as_it_was_opened(store: &(impl TransferStore + UploadStore)) {
    let pull = |validator: Option<&str>| Pull {
        url: "https://example.com/a?b=c".into(),
        validator: validator.map(Into::into),
    };
    for (n, note, pull) in [
        (1, "", None),
        (2, "title aGVsbG8=,x", None),
        (3, "ünïcödé \"quoted\"", Some(pull(None))),
        (4, "", Some(pull(Some("\"v1\"")))),
    ] {
        let opened = Transfer::new(session(n, Some(10)), note.into(), pull);
        store.open_transfer(&opened).await.unwrap();
        assert_eq!(store.transfer(id(n)).await.unwrap(), opened);
        assert_eq!(UploadStore::get(store, id(n)).await.unwrap(), opened.session);
        assert_eq!(store.parts(id(n), 0, 10).await.unwrap(), []);
    }
}

/// An id is taken once, through whichever port.
pub async fn a_transfer_id_is_taken_once(store: &(impl TransferStore + UploadStore)) {
    store.open_transfer(&transfer(1, Some(10))).await.unwrap();
    UploadStore::open(store, &session(2, Some(10))).await.unwrap();
    for n in [1, 2] {
        conflict(store.open_transfer(&transfer(n, Some(99))).await);
        assert_eq!(store.transfer(id(n)).await.unwrap(), transfer(n, Some(10)));
    }
    conflict(UploadStore::open(store, &session(1, Some(99))).await);
}

/// What was never opened is reported as such.
pub async fn an_absent_transfer_is_not_found(store: &(impl TransferStore + UploadStore)) {
    store.open_transfer(&transfer(1, Some(10))).await.unwrap();
    let missing = |answer: Result<Transfer, StoreError>| matches!(answer, Err(StoreError::NotFound { .. }));
    assert!(missing(store.transfer(id(2)).await));
    assert!(missing(store.take_over(id(2)).await));
    assert!(missing(store.advance_transfer(id(2), 0, &append(0, &[(0, 1)])).await));
    assert_eq!(store.parts(id(2), 0, 10).await.unwrap(), []);
}

/// Parts count in their order, and move the session's end.
pub async fn parts_count_in_their_order(store: &(impl TransferStore + UploadStore)) {
    store.open_transfer(&transfer(1, Some(10))).await.unwrap();
    assert_eq!(store.take_over(id(1)).await.unwrap().epoch, 1);
    let half = store.advance_transfer(id(1), 1, &append(1, &[(0, 3), (3, 1)])).await.unwrap();
    assert_eq!((half.received, half.session.expires_at), (4, at(50)));
    for wrong in [append(1, &[(0, 1)]), append(1, &[(5, 1)]), append(1, &[(4, 7)]), append(1, &[(4, 3), (8, 1)])] {
        conflict(store.advance_transfer(id(1), 1, &wrong).await);
        assert_eq!(store.transfer(id(1)).await.unwrap(), half);
    }
    assert!(!half.is_whole());
    let whole = store.advance_transfer(id(1), 1, &append(1, &[(4, 6)])).await.unwrap();
    assert!(whole.is_whole());
    assert_eq!(store.transfer(id(1)).await.unwrap(), whole);
    let parts = [(0, 3), (3, 1), (4, 6)].map(|(start, bytes)| Part { start, bytes, epoch: 1 });
    assert_eq!(store.parts(id(1), 0, 10).await.unwrap(), parts);
    assert_eq!(store.parts(id(1), 3, 1).await.unwrap(), parts[1..2]);
    assert_eq!(store.parts(id(1), 5, 10).await.unwrap(), []);
    assert_eq!(store.parts(id(1), u64::MAX, 10).await.unwrap(), []);
    assert_eq!(store.parts(id(1), 0, 0).await.unwrap(), []);
    assert_eq!(UploadStore::get(store, id(1)).await.unwrap().expires_at, at(50));
}

/// A writer that was taken over counts nothing any more.
pub async fn a_writer_that_was_taken_over_counts_nothing(store: &(impl TransferStore + UploadStore)) {
    store.open_transfer(&transfer(1, Some(10))).await.unwrap();
    let first = store.take_over(id(1)).await.unwrap().epoch;
    store.advance_transfer(id(1), first, &append(first, &[(0, 2)])).await.unwrap();
    let second = store.take_over(id(1)).await.unwrap();
    assert_eq!((second.epoch, second.received), (first + 1, 2));
    conflict(store.advance_transfer(id(1), first, &append(first, &[(2, 2)])).await);
    let next = store.advance_transfer(id(1), second.epoch, &append(second.epoch, &[(2, 3)])).await.unwrap();
    assert_eq!(next.received, 5);
    assert_eq!(store.parts(id(1), 0, 10).await.unwrap().len(), 2);
}

/// Of writers at once one counts at each place.
pub async fn of_writers_at_once_one_counts(store: &(impl TransferStore + UploadStore)) {
    store.open_transfer(&transfer(1, Some(100))).await.unwrap();
    let taken = future::join_all((0..6).map(|_| store.take_over(id(1)))).await;
    let mut epochs: Vec<_> = taken.into_iter().map(|it| it.unwrap().epoch).collect();
    epochs.sort_unstable();
    assert_eq!(epochs, [1, 2, 3, 4, 5, 6]);
    let steps: Vec<_> = epochs.iter().map(|epoch| append(*epoch, &[(0, 10 + epoch)])).collect();
    let writes = epochs.iter().zip(&steps).map(|(epoch, step)| store.advance_transfer(id(1), *epoch, step));
    let answers = future::join_all(writes).await;
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1);
    assert_eq!(store.transfer(id(1)).await.unwrap().received, 16);
    let twice = append(6, &[(16, 4)]);
    let again = future::join_all((0..4).map(|_| store.advance_transfer(id(1), 6, &twice))).await;
    assert_eq!(again.iter().filter(|answer| answer.is_ok()).count(), 1, "a part counts once");
}

/// An end through the other port ends a transfer.
pub async fn a_settled_transfer_takes_nothing(store: &(impl TransferStore + UploadStore)) {
    for (n, state) in [(1, UploadState::Complete), (2, UploadState::Abandoned)] {
        store.open_transfer(&transfer(n, Some(10))).await.unwrap();
        let epoch = store.take_over(id(n)).await.unwrap().epoch;
        store.settle(id(n), state).await.unwrap();
        conflict(store.take_over(id(n)).await);
        conflict(store.advance_transfer(id(n), epoch, &append(epoch, &[(0, 1)])).await);
        let settled = store.transfer(id(n)).await.unwrap();
        assert_eq!((settled.session.state, settled.received, settled.epoch), (state, 0, epoch));
    }
}

/// A pull learns its length and version, and a restart forgets them with the parts.
pub async fn a_pull_learns_its_length_and_can_begin_again(store: &(impl TransferStore + UploadStore)) {
    let pull = Pull { url: "https://example.com/film".into(), validator: None };
    store.open_transfer(&Transfer { pull: Some(pull.clone()), ..transfer(1, None) }).await.unwrap();
    store.open_transfer(&transfer(2, Some(9))).await.unwrap();
    let learn = |bytes| Step::Learn { bytes_expected: bytes, validator: Some("\"v1\"".into()) };
    conflict(store.advance_transfer(id(2), 0, &learn(Some(9))).await);
    conflict(store.advance_transfer(id(2), 0, &Step::Restart).await);
    let known = store.advance_transfer(id(1), 0, &learn(Some(9))).await.unwrap();
    assert_eq!(known.session.bytes_expected, Some(9));
    assert_eq!(known.pull, Some(Pull { validator: Some("\"v1\"".into()), ..pull.clone() }));
    conflict(store.advance_transfer(id(1), 0, &learn(Some(8))).await);
    store.advance_transfer(id(1), 0, &append(0, &[(0, 4)])).await.unwrap();
    store.advance_transfer(id(1), 0, &Step::Restart).await.unwrap();
    let again = store.transfer(id(1)).await.unwrap();
    assert_eq!((again.received, again.session.bytes_expected, again.pull), (0, None, Some(pull)));
    assert_eq!(store.parts(id(1), 0, 10).await.unwrap(), []);
    store.advance_transfer(id(1), 0, &append(0, &[(0, 5)])).await.unwrap();
    let ended =
        store.advance_transfer(id(1), 0, &Step::Learn { bytes_expected: Some(5), validator: None }).await.unwrap();
    assert!(ended.is_whole());
    assert_eq!(store.parts(id(1), 0, 10).await.unwrap(), [Part { start: 0, bytes: 5, epoch: 0 }]);
}

/// What goes past the API is remembered, and whole once it is sealed.
pub async fn a_direct_transfer_is_whole_once_it_is_sealed(store: &(impl TransferStore + UploadStore)) {
    let direct = Direct { name: "a+b/c=".into(), part_bytes: 8 << 20, secret: [0xfe; 32], sha256: None };
    let begun = Transfer { direct: Some(direct.clone()), ..transfer(1, Some(99)) };
    store.open_transfer(&begun).await.unwrap();
    store.open_transfer(&transfer(2, Some(99))).await.unwrap();
    assert_eq!(store.transfer(id(1)).await.unwrap(), begun);
    let renewed = store.advance_transfer(id(1), 0, &Step::Renew { expires_at: at(77) }).await.unwrap();
    assert_eq!((renewed.session.expires_at, renewed.is_whole()), (at(77), false));
    let seal = Step::Seal { sha256: Some([0xab; 32]) };
    conflict(store.advance_transfer(id(2), 0, &seal).await);
    let sealed = store.advance_transfer(id(1), 0, &seal).await.unwrap();
    assert!(sealed.is_whole());
    assert_eq!(sealed.direct, Some(Direct { sha256: Some([0xab; 32]), ..direct }));
    assert_eq!(store.transfer(id(1)).await.unwrap(), sealed);
    conflict(store.advance_transfer(id(1), 0, &Step::Seal { sha256: None }).await);
    assert_eq!(store.whole_transfers(9).await.unwrap(), [sealed]);
    assert_eq!(UploadStore::get(store, id(1)).await.unwrap().expires_at, at(77));
}

/// Open sessions are counted by organisation, whichever port opened them.
pub async fn open_sessions_are_counted_by_organisation(store: &(impl TransferStore + UploadStore)) {
    assert_eq!(store.open_transfers(org_id(1)).await.unwrap(), 0);
    for n in 1..=3 {
        store.open_transfer(&transfer(n, Some(10))).await.unwrap();
    }
    let other = UploadSession { org: org_id(2), ..session(4, None) };
    UploadStore::open(store, &other).await.unwrap();
    store.settle(id(2), UploadState::Complete).await.unwrap();
    assert_eq!(store.open_transfers(org_id(1)).await.unwrap(), 2);
    assert_eq!(store.open_transfers(org_id(2)).await.unwrap(), 1);
    assert_eq!(store.open_transfers(org_id(3)).await.unwrap(), 0);
}

/// Whole transfers wait, by id, until they are settled.
pub async fn whole_transfers_wait_until_they_are_settled(store: &(impl TransferStore + UploadStore)) {
    for n in [3, 1, 2, 4] {
        store.open_transfer(&transfer(n, Some(10))).await.unwrap();
    }
    UploadStore::open(store, &session(5, Some(0))).await.unwrap();
    UploadStore::open(store, &session(6, None)).await.unwrap();
    for (n, bytes) in [(1, 10), (2, 9), (3, 10), (4, 10)] {
        store.advance_transfer(id(n), 0, &append(0, &[(0, bytes)])).await.unwrap();
    }
    store.settle(id(4), UploadState::Complete).await.unwrap();
    let whole = |rows| async move {
        let whole = store.whole_transfers(rows).await.unwrap();
        whole.into_iter().map(|it| it.session.id).collect::<Vec<_>>()
    };
    assert_eq!(whole(10).await, [id(1), id(3)]);
    assert_eq!(whole(1).await, [id(1)]);
    assert_eq!(whole(0).await, []);
    assert_eq!(store.expired(at(10), 10).await.unwrap().len(), 2, "its end moved with its last part");
}

/// Numbers past what a signed column holds are kept.
pub async fn a_transfer_of_any_size_is_counted(store: &(impl TransferStore + UploadStore)) {
    store.open_transfer(&transfer(1, Some(u64::MAX))).await.unwrap();
    let whole = store.advance_transfer(id(1), 0, &append(0, &[(0, u64::MAX)])).await.unwrap();
    assert!(whole.is_whole());
    assert_eq!(store.transfer(id(1)).await.unwrap(), whole);
    assert_eq!(store.parts(id(1), 0, 1).await.unwrap(), [Part { start: 0, bytes: u64::MAX, epoch: 0 }]);
    assert_eq!(store.whole_transfers(1).await.unwrap(), [whole]);
}

#[track_caller]
fn conflict<T: std::fmt::Debug>(answer: Result<T, StoreError>) {
    assert!(matches!(answer, Err(StoreError::Conflict { .. })), "{answer:?}");
}

fn append(epoch: u64, parts: &[(u64, u64)]) -> Step {
    let parts = parts.iter().map(|(start, bytes)| Part { start: *start, bytes: *bytes, epoch }).collect();
    Step::Append { parts, expires_at: at(50) }
}

fn id(n: u8) -> UploadId {
    UploadId::new(at(u64::from(n)), [n; 10])
}

fn transfer(n: u8, bytes_expected: Option<u64>) -> Transfer {
    Transfer::new(session(n, bytes_expected), String::new(), None)
}

fn session(n: u8, bytes_expected: Option<u64>) -> UploadSession {
    UploadSession {
        id: id(n),
        asset: asset_id(n),
        org: org_id(1),
        bytes_expected,
        state: UploadState::Open,
        expires_at: at(10),
        created_at: at(1),
    }
}

/// Mounts what every `TransferStore` must do; see [`conformance`](crate::conformance).
#[macro_export]
macro_rules! transfer_store_conformance {
    ($(#[$attribute:meta])* $block_on:path, $make:expr) => {
        $crate::mount_cases! { transfers [$(#[$attribute])*] $block_on, $make;
            a_transfer_reads_back_as_it_was_opened
            a_transfer_id_is_taken_once
            an_absent_transfer_is_not_found
            parts_count_in_their_order
            a_writer_that_was_taken_over_counts_nothing
            of_writers_at_once_one_counts
            a_settled_transfer_takes_nothing
            a_pull_learns_its_length_and_can_begin_again
            a_direct_transfer_is_whole_once_it_is_sealed
            open_sessions_are_counted_by_organisation
            whole_transfers_wait_until_they_are_settled
            a_transfer_of_any_size_is_counted
        }
    };
}
