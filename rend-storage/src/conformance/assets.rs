//! What every [`AssetStore`] must do, together with the log and the queue that its moves write to.

use futures::future;
use rend_core::artifact::Rendition;
use rend_core::asset::{
    Asset, CaptionKind, CaptionOrigin, CaptionRow, DownloadRow, DownloadState, Edit, Move, PlayableState,
    PlaybackPolicy, SourceState,
};
use rend_core::event::EventKind;
use rend_core::job::{JobState, NewJob, Outcome};

use super::make::{asset, asset_id, at, captions, claimed, failure, job, job_id, moves_to_ready, only_job, org_id};
use crate::StoreError;
use crate::assets::{AssetStore, Change};
use crate::events::{EventLog, EventsOf};
use crate::jobs::JobQueue;

/// What was created is read back, each field of it.
pub async fn an_asset_reads_back_as_it_was_created(store: &(impl AssetStore + EventLog + JobQueue)) {
    let plain = asset(1);
    let full = Asset {
        title: "Ünïcödé \"quotes\" 'and' \u{1f600}\n".into(),
        external_id: Some("their id".into()),
        metadata: r#"{"a":[1,2,{"b":null}]}"#.into(),
        policy: PlaybackPolicy::Public,
        captions: vec![
            CaptionRow { default: true, published: true, ..captions("en") },
            CaptionRow { kind: CaptionKind::Captions, origin: CaptionOrigin::Original, ..captions("pt-br") },
        ],
        downloads: vec![
            DownloadRow { rendition: Rendition::P360, state: DownloadState::Pending },
            DownloadRow { rendition: Rendition::P720, state: DownloadState::Ready { bytes: u64::MAX } },
            DownloadRow { rendition: Rendition::Source, state: DownloadState::Failed(failure("media_missing")) },
        ],
        ..asset(2)
    };
    let empty = Asset { title: String::new(), external_id: Some(String::new()), ..asset(3) };
    for asset in [plain, full, empty] {
        store.create(&asset).await.unwrap();
        assert_eq!(store.get(asset.id).await.unwrap(), asset);
    }
}

/// The first event of an asset is that it was created, at its own time.
pub async fn creating_is_the_first_event(store: &(impl AssetStore + EventLog + JobQueue)) {
    store.create(&asset(1)).await.unwrap();
    let events = store.after(EventsOf::Asset(asset_id(1)), 0, 10).await.unwrap();
    assert_eq!(events.len(), 1);
    assert_eq!((events[0].asset_seq, &events[0].kind, events[0].at), (1, &EventKind::AssetCreated, at(1)));
    assert_eq!((events[0].asset, events[0].org), (asset_id(1), org_id(1)));
    assert_eq!(events[0].seq, store.head().await.unwrap());
}

/// An id is taken once; a second create changes nothing and says nothing.
pub async fn an_id_is_taken_once(store: &(impl AssetStore + EventLog + JobQueue)) {
    store.create(&asset(1)).await.unwrap();
    let other = Asset { title: "another".into(), org: org_id(2), ..asset(1) };
    let refused = store.create(&other).await;
    assert!(matches!(refused, Err(StoreError::Conflict { .. })), "{refused:?}");
    assert_eq!(store.get(asset_id(1)).await.unwrap(), asset(1));
    assert_eq!(store.head().await.unwrap(), 1);
    assert_eq!(store.page(org_id(2), None, 10).await.unwrap(), []);
}

/// What was never created is reported as such, by reads and moves.
pub async fn an_absent_asset_is_not_found(store: &(impl AssetStore + EventLog + JobQueue)) {
    store.create(&asset(1)).await.unwrap();
    assert!(matches!(store.get(asset_id(2)).await, Err(StoreError::NotFound { .. })));
    let refused = store.advance(&Change { asset: asset_id(2), ..change(Move::BeginUpload) }).await;
    assert!(matches!(refused, Err(StoreError::NotFound { .. })), "{refused:?}");
    assert_eq!(store.head().await.unwrap(), 1);
}

/// Each move gives what [`Asset::after`] gives, is what is read back, and is one event without a gap.
pub async fn each_move_is_applied_and_noted(store: &(impl AssetStore + EventLog + JobQueue)) {
    store.create(&asset(1)).await.unwrap();
    let mut model = asset(1);
    let mut kinds = vec![EventKind::AssetCreated];
    let edit = Edit {
        title: Some("new".into()),
        external_id: Some(Some("x".into())),
        metadata: Some("{}".into()),
        policy: Some(PlaybackPolicy::Public),
    };
    let no_id = Edit { external_id: Some(None), ..Edit::default() };
    let mut moves = moves_to_ready();
    moves.extend([Move::Edit(edit), Move::Edit(no_id), Move::RequestDeletion, Move::Deleted]);
    for (n, step) in moves.into_iter().enumerate() {
        let now = at(100 + n as u64);
        let (next, kind) = model.after(&step, now).unwrap();
        let answered = store.advance(&Change { now, expect: Some(model.revision), ..change(step) }).await.unwrap();
        assert_eq!(answered, next);
        assert_eq!(store.get(asset_id(1)).await.unwrap(), next);
        model = next;
        kinds.push(kind);
        let events = store.after(EventsOf::Asset(asset_id(1)), 0, 100).await.unwrap();
        let places: Vec<_> = events.iter().map(|event| event.asset_seq).collect();
        assert_eq!(places, (1..=kinds.len() as u64).collect::<Vec<_>>());
        assert_eq!(events.last().map(|event| event.at), Some(now));
        assert_eq!(events.into_iter().map(|event| event.kind).collect::<Vec<_>>(), kinds);
    }
}

/// A failed asset and its second try read back too.
pub async fn a_failure_and_a_retry_read_back(store: &(impl AssetStore + EventLog + JobQueue)) {
    store.create(&asset(1)).await.unwrap();
    for step in moves_to_ready().into_iter().take(7).chain([Move::Fail(failure("not_a_video")), Move::Retry]) {
        let answered = store.advance(&change(step)).await.unwrap();
        assert_eq!(store.get(asset_id(1)).await.unwrap(), answered);
    }
    assert_eq!(store.get(asset_id(1)).await.unwrap().source, SourceState::Uploaded);
}

/// A move that does not follow changes nothing: no state, no event, no job.
pub async fn an_illegal_move_changes_nothing(store: &(impl AssetStore + EventLog + JobQueue)) {
    store.create(&asset(1)).await.unwrap();
    for step in [
        Move::BeginProcessing,
        Move::OpenerReady { took_ms: 70 },
        Move::HlsReady { degraded: true },
        Move::Retry,
        Move::Deleted,
    ] {
        let refused = store.advance(&Change { enqueue: Some(job(1)), ..change(step) }).await;
        let Err(StoreError::Illegal(illegal)) = refused else { panic!("{refused:?}") };
        assert_eq!((illegal.original, illegal.playable), (SourceState::Pending, PlayableState::NotPlayable));
    }
    assert_unmoved(store).await;
}

/// Who expects another revision is told so, and changes nothing.
pub async fn an_expectation_that_fails_changes_nothing(store: &(impl AssetStore + EventLog + JobQueue)) {
    store.create(&asset(1)).await.unwrap();
    for expect in [0, 2, u64::MAX] {
        let wrong = Change { expect: Some(expect), enqueue: Some(job(1)), ..change(Move::BeginUpload) };
        let refused = store.advance(&wrong).await;
        assert!(matches!(refused, Err(StoreError::Conflict { .. })), "{refused:?}");
    }
    assert_unmoved(store).await;
    let right = Change { expect: Some(1), ..change(Move::BeginUpload) };
    assert_eq!(store.advance(&right).await.unwrap().revision, 2);
    let again = store.advance(&right).await;
    assert!(matches!(again, Err(StoreError::Conflict { .. })), "{again:?}");
}

/// The job that a move calls for is there with it.
pub async fn a_move_and_its_job_are_written_together(store: &(impl AssetStore + EventLog + JobQueue)) {
    store.create(&asset(1)).await.unwrap();
    let wanted = NewJob { run_at: at(7), ..job(1) };
    let with_job = Change { enqueue: Some(wanted.clone()), now: at(5), ..change(Move::BeginUpload) };
    store.advance(&with_job).await.unwrap();
    let written = only_job(store, asset_id(1)).await;
    assert_eq!((written.id, written.kind, written.run_at), (wanted.id, wanted.kind, wanted.run_at));
    assert_eq!((written.state, written.attempt, written.attempts_max), (JobState::Queued, 0, 3));
    assert_eq!((written.created_at, written.updated_at), (at(5), at(5)));
}

/// When the job's id is taken, the move is not made either.
pub async fn a_move_whose_job_is_taken_is_not_made(store: &(impl AssetStore + EventLog + JobQueue)) {
    store.create(&asset(1)).await.unwrap();
    let there = NewJob { asset: asset_id(9), ..job(1) };
    store.enqueue(&there, at(0)).await.unwrap();
    let refused = store.advance(&Change { enqueue: Some(job(1)), ..change(Move::BeginUpload) }).await;
    assert!(matches!(refused, Err(StoreError::Conflict { .. })), "{refused:?}");
    assert_unmoved(store).await;
    assert_eq!(only_job(store, asset_id(9)).await.run_at, there.run_at);
}

/// A move under a lease is made while the lease holds: until another claim, and not after the job is finished.
pub async fn a_move_under_a_lost_lease_changes_nothing(store: &(impl AssetStore + EventLog + JobQueue)) {
    store.create(&asset(1)).await.unwrap();
    store.enqueue(&job(1), at(0)).await.unwrap();
    let (_, first) = claimed(store, 1, 0).await;
    let under = |lease| Change { fence: Some(lease), enqueue: Some(job(2)), now: at(50), ..change(Move::BeginUpload) };
    let (_, second) = claimed(store, 2, 20).await;
    let refused = store.advance(&under(first.clone())).await;
    assert!(matches!(refused, Err(StoreError::LeaseLost)), "{refused:?}");
    assert_unmoved_but_for_jobs(store).await;

    let never = rend_core::job::Lease { job: job_id(9), ..second.clone() };
    let refused = store.advance(&under(never)).await;
    assert!(matches!(refused, Err(StoreError::LeaseLost)), "{refused:?}");

    store.finish(&second, &Outcome::Succeed, at(21)).await.unwrap();
    let refused = store.advance(&under(second)).await;
    assert!(matches!(refused, Err(StoreError::LeaseLost)), "{refused:?}");
    assert_unmoved_but_for_jobs(store).await;
}

/// A lease that has merely run out still fences, as long as nobody else claimed the job.
pub async fn a_move_under_a_lease_that_ran_out_is_made_while_nobody_else_claimed(
    store: &(impl AssetStore + EventLog + JobQueue),
) {
    store.create(&asset(1)).await.unwrap();
    store.enqueue(&job(1), at(0)).await.unwrap();
    let (_, lease) = claimed(store, 1, 0).await;
    let late = Change { fence: Some(lease), now: at(1000), ..change(Move::BeginUpload) };
    assert_eq!(store.advance(&late).await.unwrap().source, SourceState::Uploading);
}

/// Of several reasons to refuse, the documented first is told.
pub async fn refusals_come_in_their_order(store: &(impl AssetStore + EventLog + JobQueue)) {
    store.create(&asset(1)).await.unwrap();
    store.enqueue(&job(1), at(0)).await.unwrap();
    let (_, lost) = claimed(store, 1, 0).await;
    store.finish(&lost, &Outcome::Succeed, at(1)).await.unwrap();
    let all = Change {
        asset: asset_id(2),
        expect: Some(9),
        step: Move::Deleted,
        fence: Some(lost),
        enqueue: Some(job(1)),
        now: at(2),
    };
    assert!(matches!(store.advance(&all).await, Err(StoreError::NotFound { .. })));
    let found = Change { asset: asset_id(1), ..all };
    assert!(matches!(store.advance(&found).await, Err(StoreError::LeaseLost)));
    let unfenced = Change { fence: None, ..found };
    assert!(matches!(store.advance(&unfenced).await, Err(StoreError::Conflict { what: "asset" })));
    let expected = Change { expect: Some(1), ..unfenced };
    assert!(matches!(store.advance(&expected).await, Err(StoreError::Illegal(_))));
    let legal = Change { step: Move::BeginUpload, ..expected };
    assert!(matches!(store.advance(&legal).await, Err(StoreError::Conflict { what: "job" })));
}

/// Moves at once are made one after another: of those that expect one revision, one is made.
pub async fn of_moves_at_once_that_expect_one_revision_one_is_made(store: &(impl AssetStore + EventLog + JobQueue)) {
    store.create(&asset(1)).await.unwrap();
    let rename = |n: u8| Change {
        expect: Some(1),
        enqueue: Some(job(n)),
        ..change(Move::Edit(Edit { title: Some(format!("title {n}")), ..Edit::default() }))
    };
    let changes: Vec<_> = (1..=8).map(rename).collect();
    let answers = future::join_all(changes.iter().map(|change| store.advance(change))).await;
    let made: Vec<_> = answers.into_iter().flatten().collect();
    assert_eq!(made.len(), 1, "{made:?}");
    assert_eq!(store.get(asset_id(1)).await.unwrap(), made[0]);
    assert_eq!(store.of_asset(asset_id(1)).await.unwrap().len(), 1);
    assert_eq!(store.after(EventsOf::Asset(asset_id(1)), 0, 100).await.unwrap().len(), 2);
}

/// Without an expectation all of them are made, and none is lost.
pub async fn moves_at_once_without_an_expectation_are_all_made(store: &(impl AssetStore + EventLog + JobQueue)) {
    store.create(&asset(1)).await.unwrap();
    let edits: Vec<_> = (0..20).map(|_| change(Move::Edit(Edit::default()))).collect();
    let answers = future::join_all(edits.iter().map(|change| store.advance(change))).await;
    let mut revisions: Vec<_> = answers.into_iter().map(|answer| answer.unwrap().revision).collect();
    revisions.sort_unstable();
    assert_eq!(revisions, (2..=21).collect::<Vec<_>>());
    let events = store.after(EventsOf::Asset(asset_id(1)), 0, 100).await.unwrap();
    assert!(events.iter().map(|event| event.asset_seq).eq(1..=21));
}

/// A page is of one organisation, newest first, and pages add up.
pub async fn pages_are_newest_first_and_of_one_organisation(store: &(impl AssetStore + EventLog + JobQueue)) {
    for n in [3, 1, 7, 5, 2, 6, 4] {
        let org = if n % 3 == 0 { org_id(2) } else { org_id(1) };
        store.create(&Asset { org, ..asset(n) }).await.unwrap();
    }
    for rows in 1..=6 {
        let mut seen = Vec::new();
        loop {
            let page = store.page(org_id(1), seen.last().copied(), rows).await.unwrap();
            assert!(page.len() <= rows && page.iter().all(|asset| asset.org == org_id(1)));
            if page.is_empty() {
                break;
            }
            seen.extend(page.into_iter().map(|asset| asset.id));
        }
        assert_eq!(seen, [7, 5, 4, 2, 1].map(asset_id), "pages of {rows}");
    }
    assert_eq!(store.page(org_id(1), None, 0).await.unwrap(), []);
    assert_eq!(store.page(org_id(3), None, 10).await.unwrap(), []);
    assert_eq!(store.page(org_id(1), Some(asset_id(1)), 10).await.unwrap(), []);
    let before_another = store.page(org_id(1), Some(asset_id(3)), 10).await.unwrap();
    assert!(before_another.into_iter().map(|asset| asset.id).eq([2, 1].map(asset_id)));
}

/// A deleted asset is on no page, but can be asked for.
pub async fn a_deleted_asset_is_on_no_page(store: &(impl AssetStore + EventLog + JobQueue)) {
    for n in 1..=3 {
        store.create(&asset(n)).await.unwrap();
    }
    store.advance(&Change { asset: asset_id(2), ..change(Move::RequestDeletion) }).await.unwrap();
    let page = store.page(org_id(1), None, 2).await.unwrap();
    assert!(page.into_iter().map(|asset| asset.id).eq([3, 1].map(asset_id)));
    assert_eq!(store.get(asset_id(2)).await.unwrap().source, SourceState::Deleted);
}

fn change(step: Move) -> Change {
    Change { asset: asset_id(1), expect: None, step, fence: None, enqueue: None, now: at(60) }
}

async fn assert_unmoved(store: &(impl AssetStore + EventLog + JobQueue)) {
    assert_unmoved_but_for_jobs(store).await;
    assert_eq!(store.of_asset(asset_id(1)).await.unwrap(), []);
}

async fn assert_unmoved_but_for_jobs(store: &(impl AssetStore + EventLog + JobQueue)) {
    assert_eq!(store.get(asset_id(1)).await.unwrap(), asset(1));
    assert_eq!(store.after(EventsOf::Asset(asset_id(1)), 0, 10).await.unwrap().len(), 1);
    assert_eq!(store.head().await.unwrap(), 1);
}

/// Mounts what every `AssetStore` must do; see [`conformance`](crate::conformance).
#[macro_export]
macro_rules! asset_store_conformance {
    ($(#[$attribute:meta])* $block_on:path, $make:expr) => {
        $crate::mount_cases! { assets [$(#[$attribute])*] $block_on, $make;
            an_asset_reads_back_as_it_was_created
            creating_is_the_first_event
            an_id_is_taken_once
            an_absent_asset_is_not_found
            each_move_is_applied_and_noted
            a_failure_and_a_retry_read_back
            an_illegal_move_changes_nothing
            an_expectation_that_fails_changes_nothing
            a_move_and_its_job_are_written_together
            a_move_whose_job_is_taken_is_not_made
            a_move_under_a_lost_lease_changes_nothing
            a_move_under_a_lease_that_ran_out_is_made_while_nobody_else_claimed
            refusals_come_in_their_order
            of_moves_at_once_that_expect_one_revision_one_is_made
            moves_at_once_without_an_expectation_are_all_made
            pages_are_newest_first_and_of_one_organisation
            a_deleted_asset_is_on_no_page
        }
    };
}
