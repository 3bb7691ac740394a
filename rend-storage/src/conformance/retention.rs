//! What every [`Retention`] must do, over whatever else the store remembers.

use futures::future;
use rend_core::analytics::{CacheStatus, PlaybackBatch, PlaybackEvent};
use rend_core::artifact::ArtifactPath;
use rend_core::asset::Move;
use rend_core::event::EventKind;
use rend_core::id::{AssetId, JobId, UploadId};
use rend_core::job::{JobKind, NewJob, Outcome};
use rend_core::media::ladder::Tier;
use rend_core::retention::Due;
use rend_core::time::Timestamp;
use rend_core::upload::transfer::{Part, Step, Transfer};
use rend_core::upload::{UploadSession, UploadState};
use rend_core::usage::{Correction, CountedHour, HOUR};
use rend_core::viewing::{Device, Phase, PlayerEvent};

use super::make::{asset, asset_id, at, claimed, job, job_id, moves_to_ready, org_id, trouble};
use crate::StoreError;
use crate::analytics::Analytics;
use crate::assets::{AssetStore, Change};
use crate::edges::PurgeLog;
use crate::events::{EventLog, EventsOf};
use crate::jobs::JobQueue;
use crate::retention::Retention;
use crate::transfers::TransferStore;
use crate::uploads::UploadStore;
use crate::usage::UsageLedger;

/// The history of a deleted asset goes once all of it is old; that of one that is there is whole from its first event on.
pub async fn the_history_of_a_deleted_asset_goes_and_that_of_any_other_is_whole(
    store: &(impl Retention + AssetStore + EventLog),
) {
    for n in 1..=3 {
        store.create(&asset(n)).await.unwrap();
        store.append(asset_id(n), &EventKind::AssetUpdated, at(10)).await.unwrap();
    }
    advance(store, 1, Move::RequestDeletion, 20).await;
    advance(store, 1, Move::Deleted, 30).await;
    advance(store, 2, Move::RequestDeletion, 40).await;
    // What an edge answered was noted after the end.
    store.append(asset_id(1), &EventKind::AssetUpdated, at(50)).await.unwrap();
    let (theirs, head) = (history(store, 3).await, store.head().await.unwrap());

    check(store, Due::Events { before: at(30) }, 0).await;
    check(store, Due::Events { before: at(31) }, 4).await;
    let left: Vec<_> = history(store, 1).await;
    assert_eq!(left.iter().map(|(_, _, at)| *at).collect::<Vec<_>>(), [at(50)], "it is younger than the rest");
    check(store, Due::Events { before: Timestamp::MAX }, 4).await;
    assert_eq!((history(store, 1).await, history(store, 2).await), (vec![], vec![]));
    assert_eq!(history(store, 3).await, theirs);
    assert!(AssetStore::get(store, asset_id(1)).await.is_ok(), "that it was deleted is not forgotten");

    // Places go on where they were.
    assert_eq!(store.head().await.unwrap(), head);
    let next = store.append(asset_id(3), &EventKind::AssetUpdated, at(60)).await.unwrap();
    assert!(next.seq > head && next.asset_seq == 3, "{next:?}");
    let late = store.append(asset_id(1), &EventKind::AssetUpdated, at(61)).await.unwrap();
    assert_eq!(late.asset_seq, 6);
}

/// A step removes as many as it may, the oldest, and what it leaves the next one takes.
pub async fn a_step_is_bounded_and_the_next_one_goes_on(store: &(impl Retention + AssetStore + EventLog)) {
    for n in [2, 1] {
        store.create(&asset(n)).await.unwrap();
        for secs in 0..4 {
            store.append(asset_id(n), &EventKind::AssetUpdated, at(10 + secs)).await.unwrap();
        }
        advance(store, n, Move::RequestDeletion, 40 - u64::from(n)).await;
    }
    let due = Due::Events { before: at(100) };
    assert_eq!(store.count_due(&due, 5).await.unwrap(), 5);
    assert_eq!(store.count_due(&due, 100).await.unwrap(), 12);
    assert_eq!(store.remove_due(&due, 0).await.unwrap(), 0);
    assert_eq!(store.remove_due(&due, 4).await.unwrap(), 4);
    // The second was deleted first.
    assert_eq!((history(store, 2).await.len(), history(store, 1).await.len()), (2, 6));
    for (rows, removed) in [(5, 5), (5, 3), (5, 0)] {
        assert_eq!(store.remove_due(&due, rows).await.unwrap(), removed);
    }
}

/// Jobs go that ended long ago, when their asset rests; a delete that failed stays.
pub async fn finished_jobs_go_when_their_asset_rests(store: &(impl Retention + AssetStore + JobQueue)) {
    for n in 1..=4 {
        store.create(&asset(n)).await.unwrap();
    }
    for step in moves_to_ready() {
        advance(store, 1, step, 5).await;
    }
    advance(store, 2, Move::BeginUpload, 5).await;
    advance(store, 3, Move::RequestDeletion, 5).await;
    for step in moves_to_ready() {
        advance(store, 4, step, 5).await;
    }
    let fail = || Outcome::Fail { error: trouble("gone") };
    let ends = [
        (1, 1, JobKind::Media, Outcome::Succeed),
        (2, 1, JobKind::Media, fail()),
        // Its asset is not at rest.
        (3, 2, JobKind::Media, Outcome::Succeed),
        (4, 3, JobKind::Delete, fail()),
        (5, 3, JobKind::Media, fail()),
        // Another job of its asset waits.
        (6, 4, JobKind::Media, Outcome::Succeed),
        // Its asset was never there.
        (7, 9, JobKind::Media, Outcome::Succeed),
    ];
    for (n, of, kind, outcome) in ends {
        end_job(store, n, of, kind, &outcome, 20 + u64::from(n)).await;
    }
    store.enqueue(&NewJob { asset: asset_id(4), run_at: at(9999), ..job(8) }, at(0)).await.unwrap();

    check(store, Due::Jobs { before: at(21) }, 0).await;
    check(store, Due::Jobs { before: at(22) }, 1).await;
    assert_eq!(jobs_of(store, 1).await, [job_id(2)]);
    check(store, Due::Jobs { before: at(1000) }, 3).await;
    let left = [jobs_of(store, 1).await, jobs_of(store, 2).await, jobs_of(store, 3).await, jobs_of(store, 4).await];
    assert_eq!(left, [vec![], vec![job_id(3)], vec![job_id(4)], vec![job_id(6), job_id(8)]]);
    assert_eq!(jobs_of(store, 9).await, []);
    let depth = store.depth().await.unwrap();
    assert_eq!((depth.queued, depth.leased, depth.failed), (1, 0, 1));
}

/// Sessions that ended go with their parts; what is open stays, however old it is.
pub async fn ended_uploads_go_with_their_parts(store: &(impl Retention + TransferStore + UploadStore)) {
    for n in 1..=4 {
        store.open_transfer(&Transfer::new(session(n), String::new(), None)).await.unwrap();
        assert_eq!(store.take_over(upload(n)).await.unwrap().epoch, 1);
        let parts = vec![Part { start: 0, bytes: 3, epoch: 1 }, Part { start: 3, bytes: 4, epoch: 1 }];
        let step = Step::Append { parts, expires_at: at(10 * u64::from(n)) };
        store.advance_transfer(upload(n), 1, &step).await.unwrap();
    }
    store.settle(upload(1), UploadState::Complete).await.unwrap();
    store.settle(upload(2), UploadState::Abandoned).await.unwrap();
    store.settle(upload(4), UploadState::Complete).await.unwrap();
    check(store, Due::Uploads { before: at(10) }, 0).await;
    check(store, Due::Uploads { before: at(40) }, 2).await;
    for (n, parts) in [(1, 0), (2, 0), (3, 2), (4, 2)] {
        assert_eq!(store.parts(upload(n), 0, 10).await.unwrap().len(), parts, "{n}");
        let found = UploadStore::get(store, upload(n)).await;
        assert_eq!(matches!(found, Err(StoreError::NotFound { .. })), parts == 0, "{n}: {found:?}");
    }
    check(store, Due::Uploads { before: Timestamp::MAX }, 1).await;
    assert_eq!(store.open_transfers(org_id(1)).await.unwrap(), 1);
}

/// Purges go up to the place that every edge has carried out, and the newest never does.
pub async fn purges_go_up_to_a_place_and_the_newest_stays(store: &(impl Retention + PurgeLog)) {
    check(store, Due::Purges { before: Timestamp::MAX, upto: u64::MAX }, 0).await;
    for n in 1..=6 {
        store.append_purge(asset_id(n), at(10 * u64::from(n))).await.unwrap();
    }
    check(store, Due::Purges { before: at(10), upto: 6 }, 0).await;
    check(store, Due::Purges { before: at(1000), upto: 0 }, 0).await;
    check(store, Due::Purges { before: at(1000), upto: 2 }, 2).await;
    check(store, Due::Purges { before: at(31), upto: 5 }, 1).await;
    assert_eq!(places(store, 0).await, [4, 5, 6]);
    check(store, Due::Purges { before: Timestamp::MAX, upto: u64::MAX }, 2).await;
    // An edge that begins at 0 finds where the log ends.
    assert_eq!((places(store, 0).await, store.purge_head().await.unwrap()), (vec![6], 6));
    assert_eq!(store.append_purge(asset_id(7), at(99)).await.unwrap(), 7);
    assert_eq!(places(store, 6).await, [7]);
}

/// Records of playback go once their hour was counted since they came; what was delivered stays written down.
pub async fn playback_goes_once_it_is_counted(store: &(impl Retention + Analytics + UsageLedger)) {
    let hour = at(0).hour();
    let during = |n: u32, secs| hour + HOUR * n + std::time::Duration::from_secs(secs);
    let events =
        vec![served(1, during(0, 0)), served(2, during(0, 3599)), served(3, during(1, 1)), served(4, during(2, 0))];
    store.record(&batch(events), during(2, 60)).await.unwrap();
    let due = |n| Due::Playback { before: during(n, 0) };
    check(store, due(99), 0).await;
    store.write_count(&counted(during(0, 0), during(2, 59), 0), &[]).await.unwrap();
    check(store, due(99), 0).await;
    let line = Correction { org: org_id(1), tier: Tier::P720, hour, revision: 1, micros: 4_000_000 };
    store.write_count(&counted(during(0, 0), during(2, 60), 1), &[line]).await.unwrap();
    store.write_count(&counted(during(1, 0), during(3, 0), 0), &[]).await.unwrap();
    let usage = store.usage(org_id(1), Timestamp::EPOCH, Timestamp::MAX, None, 10).await.unwrap();

    check(store, due(0), 0).await;
    // They were recorded later than they were observed, and that counts as well.
    check(store, due(2), 0).await;
    check(store, due(3), 3).await;
    assert_eq!(store.playback(asset_id(1), Timestamp::EPOCH, Timestamp::MAX).await.unwrap().requests, 1);
    assert_eq!(store.usage(org_id(1), Timestamp::EPOCH, Timestamp::MAX, None, 10).await.unwrap(), usage);
    assert_eq!(store.counted(Timestamp::EPOCH, Timestamp::MAX).await.unwrap().len(), 2);
    assert_eq!(store.accounts().await.unwrap()[0].received, 4, "what was received is still known");
    // What is left of the hour that nobody counted stays, however old it is.
    check(store, due(99), 0).await;
}

/// What players saw goes by its age alone.
pub async fn what_players_saw_goes_by_its_age(store: &(impl Retention + Analytics)) {
    let events: Vec<_> = (1..=4).map(|n| seen(n, at(10 * u64::from(n)))).collect();
    store.record_player(&events, at(50)).await.unwrap();
    check(store, Due::PlayerEvents { before: at(10) }, 0).await;
    check(store, Due::PlayerEvents { before: at(31) }, 3).await;
    let views = store.views(org_id(1), Timestamp::EPOCH, Timestamp::MAX, None, 10).await.unwrap();
    assert_eq!(views.len(), 1);
    assert_eq!(views[0].last_at, at(40));
}

/// Several that remove at once remove each row once, and nothing else.
pub async fn several_at_once_remove_each_row_once(store: &(impl Retention + AssetStore + EventLog + PurgeLog)) {
    for n in 1..=2 {
        store.create(&asset(n)).await.unwrap();
        for secs in 0..30 {
            store.append(asset_id(n), &EventKind::AssetUpdated, at(secs)).await.unwrap();
        }
    }
    advance(store, 1, Move::RequestDeletion, 40).await;
    let due = Due::Events { before: at(100) };
    let steps = (0..8).map(|_| store.remove_due(&due, 7));
    let mut removed = 0;
    for answer in future::join_all(steps).await {
        removed += answer.unwrap();
    }
    assert_eq!(history(store, 1).await.len() + removed, 32);
    while store.remove_due(&due, 7).await.unwrap() > 0 {}
    assert_eq!((history(store, 1).await.len(), history(store, 2).await.len()), (0, 31));
}

/// Counts, removes and counts again: as many as counted went.
#[track_caller]
fn check(store: &impl Retention, due: Due, expect: usize) -> impl Future<Output = ()> + Send {
    let caller = std::panic::Location::caller();
    async move {
        assert_eq!(store.count_due(&due, 1000).await.unwrap(), expect, "counted at {caller}");
        assert_eq!(store.remove_due(&due, 1000).await.unwrap(), expect, "removed at {caller}");
        assert_eq!(store.count_due(&due, 1000).await.unwrap(), 0, "left at {caller}");
    }
}

async fn advance(store: &impl AssetStore, n: u8, step: Move, secs: u64) {
    let change = Change { asset: asset_id(n), expect: None, step, fence: None, enqueue: None, now: at(secs) };
    store.advance(&change).await.unwrap();
}

/// The places and times of an asset's events.
async fn history(store: &impl EventLog, n: u8) -> Vec<(u64, u64, Timestamp)> {
    let events = store.after(EventsOf::Asset(asset_id(n)), 0, 1000).await.unwrap();
    events.into_iter().map(|event| (event.seq, event.asset_seq, event.at)).collect()
}

async fn end_job(store: &impl JobQueue, n: u8, of: u8, kind: JobKind, outcome: &Outcome, secs: u64) {
    let of: AssetId = asset_id(of);
    store.enqueue(&NewJob { asset: of, kind, ..job(n) }, at(0)).await.unwrap();
    let (job, lease) = claimed(store, n, 10).await;
    assert_eq!((job.asset, job.kind), (of, kind));
    store.finish(&lease, outcome, at(secs)).await.unwrap();
}

async fn jobs_of(store: &impl JobQueue, n: u8) -> Vec<JobId> {
    store.of_asset(asset_id(n)).await.unwrap().into_iter().map(|job| job.id).collect()
}

async fn places(store: &impl PurgeLog, after: u64) -> Vec<u64> {
    store.purges_after(after, 100).await.unwrap().into_iter().map(|row| row.seq).collect()
}

fn upload(n: u8) -> UploadId {
    UploadId::new(at(u64::from(n)), [n; 10])
}

fn session(n: u8) -> UploadSession {
    UploadSession {
        id: upload(n),
        asset: asset_id(n),
        org: org_id(1),
        bytes_expected: Some(7),
        state: UploadState::Open,
        expires_at: at(5),
        created_at: at(1),
    }
}

fn served(seq: u64, observed_at: Timestamp) -> PlaybackEvent {
    PlaybackEvent {
        boot: [7; 8],
        seq,
        node: "ash-1".parse().unwrap(),
        observed_at,
        org: Some(org_id(1)),
        asset: asset_id(1),
        session: None,
        path: ArtifactPath::Master,
        object_bytes: None,
        bytes_sent: 10,
        range_start: 0,
        status: 200,
        cache: CacheStatus::Hit,
        ttfb_us: 1,
        duration_ms: 1,
        aborted: false,
    }
}

fn batch(events: Vec<PlaybackEvent>) -> PlaybackBatch {
    PlaybackBatch { boot: [7; 8], node: "ash-1".parse().unwrap(), dropped_total: 0, events }
}

fn counted(hour: Timestamp, at: Timestamp, pass: u64) -> CountedHour {
    CountedHour { hour, rows: 2, complete: true, uncounted: 0, pass, at }
}

fn seen(n: u8, at: Timestamp) -> PlayerEvent {
    PlayerEvent {
        view: [n; 16],
        seq: u32::from(n),
        at,
        org: org_id(1),
        asset: asset_id(1),
        viewer: [1; 7],
        phase: Phase::Load,
        startup_ms: None,
        playing_ms: 0,
        stalled_ms: 0,
        rung: None,
        edge: None,
        device: Device::Other,
    }
}

/// Mounts what every `Retention` must do; see [`conformance`](crate::conformance).
#[macro_export]
macro_rules! retention_conformance {
    ($(#[$attribute:meta])* $block_on:path, $make:expr) => {
        $crate::mount_cases! { retention [$(#[$attribute])*] $block_on, $make;
            the_history_of_a_deleted_asset_goes_and_that_of_any_other_is_whole
            a_step_is_bounded_and_the_next_one_goes_on
            finished_jobs_go_when_their_asset_rests
            ended_uploads_go_with_their_parts
            purges_go_up_to_a_place_and_the_newest_stays
            playback_goes_once_it_is_counted
            what_players_saw_goes_by_its_age
            several_at_once_remove_each_row_once
        }
    };
}
