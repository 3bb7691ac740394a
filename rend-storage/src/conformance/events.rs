//! What every [`EventLog`] must do.

use futures::future;
use rend_core::artifact::Rendition;
use rend_core::asset::{Asset, Edit, Move, PlayableState};
use rend_core::event::{Event, EventKind, FanoutOutcome};

use super::make::{asset, asset_id, at, org_id};
use crate::StoreError;
use crate::assets::{AssetStore, Change};
use crate::events::{EventLog, EventsOf};

/// A log that nothing was written to is empty.
pub async fn an_empty_log_has_no_events(store: &(impl EventLog + AssetStore)) {
    assert_eq!(store.head().await.unwrap(), 0);
    assert_eq!(store.after(EventsOf::Asset(asset_id(1)), 0, 10).await.unwrap(), []);
    assert_eq!(store.after(EventsOf::Org(org_id(1)), 0, 10).await.unwrap(), []);
}

/// Every kind of event reads back as it was appended.
pub async fn every_kind_of_event_reads_back(store: &(impl EventLog + AssetStore)) {
    store.create(&asset(1)).await.unwrap();
    let edge = || "ash-1".parse().unwrap();
    let kinds = [
        EventKind::AssetUpdated,
        EventKind::DeletionRequested,
        EventKind::AssetDeleted,
        EventKind::SourceUploadStarted,
        EventKind::SourceUploaded { bytes: u64::MAX },
        EventKind::ProcessingQueued,
        EventKind::ProcessingStarted,
        EventKind::Planned { renditions: 4 },
        EventKind::ProcessingFailed { code: "odd \"code\" \u{1f600}".into() },
        EventKind::RenditionReady { rendition: Rendition::Audio("de".parse().unwrap()) },
        EventKind::RenditionFailed { rendition: Rendition::Source, code: String::new() },
        EventKind::PlayableStateChanged { to: PlayableState::HlsReady },
        EventKind::EdgeWarm { edge: edge(), outcome: FanoutOutcome::Attempted },
        EventKind::EdgePurge { edge: edge(), outcome: FanoutOutcome::Failed },
    ];
    let mut expected = Vec::new();
    for (n, kind) in kinds.iter().enumerate() {
        let now = at(50 + n as u64);
        let event = store.append(asset_id(1), kind, now).await.unwrap();
        assert_eq!((&event.kind, event.at, event.asset, event.org), (kind, now, asset_id(1), org_id(1)));
        assert_eq!(event.asset_seq, n as u64 + 2, "creating was the first");
        expected.push(event);
    }
    let read = store.after(EventsOf::Asset(asset_id(1)), expected[0].seq - 1, 100).await.unwrap();
    assert_eq!(read, expected);
}

/// An asset that is not there has no events.
pub async fn an_event_of_an_absent_asset_is_refused(store: &(impl EventLog + AssetStore)) {
    store.create(&asset(1)).await.unwrap();
    let refused = store.append(asset_id(2), &EventKind::AssetUpdated, at(1)).await;
    assert!(matches!(refused, Err(StoreError::NotFound { .. })), "{refused:?}");
    assert_eq!(store.head().await.unwrap(), 1);
}

/// Places rise over the whole log, and count without a gap within an asset, whoever appends.
pub async fn places_rise_and_count_without_a_gap(store: &(impl EventLog + AssetStore)) {
    let (one, two) = (story(store).await, org_id(2));
    assert!(one.windows(2).all(|pair| pair[0].seq < pair[1].seq));
    for n in 1..=3 {
        let of_asset = store.after(EventsOf::Asset(asset_id(n)), 0, 100).await.unwrap();
        assert!(of_asset.iter().map(|event| event.asset_seq).eq(1..=of_asset.len() as u64), "{of_asset:?}");
        assert!(of_asset.windows(2).all(|pair| pair[0].seq < pair[1].seq));
    }
    let of_two = store.after(EventsOf::Org(two), 0, 100).await.unwrap();
    let newest = one.iter().chain(&of_two).map(|event| event.seq).max().unwrap();
    assert_eq!(store.head().await.unwrap(), newest);
}

/// One reads the events of an asset, or of an organisation, and nobody else's.
pub async fn events_are_read_by_asset_or_by_organisation(store: &(impl EventLog + AssetStore)) {
    let of_org = story(store).await;
    assert!(of_org.iter().all(|event| event.org == org_id(1)));
    let mut of_assets = store.after(EventsOf::Asset(asset_id(1)), 0, 100).await.unwrap();
    assert!(of_assets.iter().all(|event| event.asset == asset_id(1)));
    of_assets.extend(store.after(EventsOf::Asset(asset_id(3)), 0, 100).await.unwrap());
    of_assets.sort_by_key(|event| event.seq);
    assert_eq!(of_assets, of_org, "the assets of the first organisation are the first and the third");
    assert!(store.after(EventsOf::Org(org_id(2)), 0, 100).await.unwrap().iter().all(|e| e.asset == asset_id(2)));
    assert_eq!(store.after(EventsOf::Org(org_id(9)), 0, 100).await.unwrap(), []);
}

/// Pages of any size add up, and a cursor at or past the end gives nothing.
pub async fn pages_of_events_add_up(store: &(impl EventLog + AssetStore)) {
    let whole = story(store).await;
    for of in [EventsOf::Org(org_id(1)), EventsOf::Asset(asset_id(1))] {
        let whole: Vec<_> = match of {
            EventsOf::Org(_) => whole.clone(),
            EventsOf::Asset(id) => whole.iter().filter(|event| event.asset == id).cloned().collect(),
        };
        for rows in [1, 2, 3, whole.len(), whole.len() + 1] {
            let mut seen = Vec::<Event>::new();
            loop {
                let page = store.after(of, seen.last().map_or(0, |last| last.seq), rows).await.unwrap();
                assert!(page.len() <= rows);
                if page.is_empty() {
                    break;
                }
                seen.extend(page);
            }
            assert_eq!(seen, whole, "pages of {rows}");
        }
        assert_eq!(store.after(of, 0, 0).await.unwrap(), []);
        assert_eq!(store.after(of, store.head().await.unwrap(), 10).await.unwrap(), []);
        assert_eq!(store.after(of, u64::MAX, 10).await.unwrap(), []);
    }
}

/// A refused move takes no place in the log.
pub async fn a_refused_move_takes_no_place(store: &(impl EventLog + AssetStore)) {
    store.create(&asset(1)).await.unwrap();
    assert!(store.advance(&change(1, Move::Retry)).await.is_err());
    store.advance(&change(1, Move::BeginUpload)).await.unwrap();
    let events = store.after(EventsOf::Asset(asset_id(1)), 0, 10).await.unwrap();
    assert!(events.iter().map(|event| event.asset_seq).eq(1..=2));
}

/// A reader who asks again and again from the last place misses nothing of what is appended at once.
pub async fn a_reader_misses_nothing_while_others_append(store: &(impl EventLog + AssetStore)) {
    for n in 1..=3 {
        store.create(&asset(n)).await.unwrap();
    }
    let append = |n: u8| async move {
        for _ in 0..15 {
            store.append(asset_id(n), &EventKind::AssetUpdated, at(1)).await.unwrap();
        }
    };
    let follow = async {
        let mut seen = Vec::<Event>::new();
        // Each append can be seen by at most one page, so so many pages are enough.
        for _ in 0..400 {
            let page = store.after(EventsOf::Org(org_id(1)), seen.last().map_or(0, |last| last.seq), 2).await.unwrap();
            seen.extend(page);
        }
        seen
    };
    let (_, seen) = future::join(future::join_all((1..=3).map(append)), follow).await;
    let rest = store.after(EventsOf::Org(org_id(1)), seen.last().map_or(0, |last| last.seq), 1000).await.unwrap();
    let seen: Vec<_> = seen.into_iter().chain(rest).collect();
    assert_eq!(seen, store.after(EventsOf::Org(org_id(1)), 0, 1000).await.unwrap());
    assert_eq!(seen.len(), 3 + 45);
}

/// Writes events of three assets of two organisations, mixed, and answers those of the first.
async fn story(store: &(impl EventLog + AssetStore)) -> Vec<Event> {
    for n in 1..=3 {
        let org = if n == 2 { org_id(2) } else { org_id(1) };
        store.create(&Asset { org, ..asset(n) }).await.unwrap();
    }
    for n in [2, 1, 1, 3, 2, 1] {
        store.append(asset_id(n), &EventKind::ProcessingQueued, at(20)).await.unwrap();
        store.advance(&change(n, Move::Edit(Edit::default()))).await.unwrap();
    }
    store.after(EventsOf::Org(org_id(1)), 0, 1000).await.unwrap()
}

fn change(n: u8, step: Move) -> Change {
    Change { asset: asset_id(n), expect: None, step, fence: None, enqueue: None, now: at(60) }
}

/// Mounts what every `EventLog` must do; see [`conformance`](crate::conformance).
#[macro_export]
macro_rules! event_log_conformance {
    ($(#[$attribute:meta])* $block_on:path, $make:expr) => {
        $crate::mount_cases! { events [$(#[$attribute])*] $block_on, $make;
            an_empty_log_has_no_events
            every_kind_of_event_reads_back
            an_event_of_an_absent_asset_is_refused
            places_rise_and_count_without_a_gap
            events_are_read_by_asset_or_by_organisation
            pages_of_events_add_up
            a_refused_move_takes_no_place
            a_reader_misses_nothing_while_others_append
        }
    };
}
