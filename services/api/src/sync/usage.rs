//! Usage: hours are counted after they are over, by one process at a time, and counted again when records come late.
//!
//! Which hours there are is asked of what was recorded, and what was counted is written down with each: there is no place
//! in between that could be skipped, however long nobody looked. Two who count at once are told apart by the ledger.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use rend_core::artifact::{ArtifactPath, ObjectKey, Rendition};
use rend_core::id::{AssetId, LeaseToken};
use rend_core::metering::{Bill, Taking};
use rend_core::time::Timestamp;
use rend_core::usage::{HOUR, HourCount, HourStep, Lengths, corrections, countable_until, steps, uncounted};
use rend_storage::StoreError;

use crate::state::{State, Stores};

/// How often is looked.
const LOOK_EVERY: Duration = Duration::from_secs(60);
/// How long one process leads after it said so last.
const LEASE: Duration = Duration::from_secs(180);
/// How far back every look goes; once an hour it goes back to the first record.
const RECENT: Duration = Duration::from_secs(48 * 3600);
/// How far back lengths are learnt for, so that they are known before an asset can be deleted and its hour counted.
const LEARN_BACK: Duration = Duration::from_secs(600);
/// Takings that are read at a time.
const PAGE: usize = 5000;
/// Renditions of which lengths are kept at hand.
const KNOWN_MAX: usize = 2000;
/// Bytes of a playlist that are read.
const PLAYLIST_BYTES_MAX: u64 = 16 << 20;

/// Counts until a stop is requested.
pub(crate) async fn run(state: Arc<State>) {
    let mut shutdown = state.shutdown.clone();
    let holder = LeaseToken::new(state.clock.wall(), rend_shell::ten());
    let mut looks = Looks::default();
    loop {
        let now = state.clock.wall();
        match state.stores.leads.lead("usage", holder, now, now + LEASE).await {
            Ok(true) => {
                if let Err(error) = count(&state.stores, &mut looks, now).await {
                    tracing::warn!(%error, "usage could not be counted; no hour is skipped");
                }
            }
            Ok(false) => looks = Looks::default(),
            Err(error) => tracing::warn!(%error, "nobody could be found to count usage"),
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK_EVERY) => {}
            () = shutdown.requested() => return,
        }
    }
}

/// What one process knows from one look to the next.
#[derive(Default)]
pub(crate) struct Looks {
    /// When the last look went back to the first record.
    whole: Option<Timestamp>,
    /// Renditions whose lengths are written down for good.
    learnt: BTreeSet<(AssetId, Rendition)>,
}

/// Learns the lengths of what is played, and does about every hour what is to be done.
pub(crate) async fn count(stores: &Stores, looks: &mut Looks, now: Timestamp) -> Result<(), StoreError> {
    learn(stores, looks, now).await?;
    let until = countable_until(now);
    let is_whole = looks.whole.is_none_or(|at| at.hour() != now.hour());
    let from = if is_whole { Timestamp::EPOCH } else { (now - RECENT).hour() };
    let runs = stores.analytics.hours(from, until).await?;
    let accounts = stores.analytics.accounts().await?;
    let counted = stores.usage.counted(from, until).await?;
    for step in steps(&runs, &accounts, &counted, is_whole, now) {
        let written = match step {
            HourStep::Count(count) => count_hour(stores, count, now).await,
            HourStep::Restate(hour) => stores.usage.write_count(&hour, &[]).await,
            HourStep::Leave => continue,
        };
        match written {
            // Another process counted it meanwhile; the next look compares with what that wrote.
            Ok(()) | Err(StoreError::Conflict { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    if is_whole {
        looks.whole = Some(now);
    }
    Ok(())
}

async fn count_hour(stores: &Stores, count: HourCount, now: Timestamp) -> Result<(), StoreError> {
    let hour = count.hour;
    let (mut bill, mut known) = (Bill::default(), BTreeMap::new());
    let mut last: Option<Taking> = None;
    loop {
        let page = stores.analytics.takings(hour, hour + HOUR, last.as_ref(), PAGE).await?;
        for taking in &page {
            let Ok(ArtifactPath::Segment { rendition, index }) = taking.path.parse() else { continue };
            let of = (taking.asset, rendition);
            if known.len() >= KNOWN_MAX && !known.contains_key(&of) {
                known.clear();
            }
            if let std::collections::btree_map::Entry::Vacant(place) = known.entry(of) {
                place.insert(stores.usage.lengths(taking.asset, rendition).await?);
            }
            let is_known = |lengths: &Option<Lengths>| lengths.as_ref().is_some_and(|l| l.segment(index).is_some());
            if !known.get(&of).is_some_and(is_known)
                && let Some(lengths) = read(stores, taking.asset, rendition).await?
            {
                stores.usage.learn_lengths(taking.asset, rendition, &lengths).await?;
                known.insert(of, Some(lengths));
            }
            let lengths = known.get(&of).and_then(Option::as_ref);
            bill.take(taking, hour, |_, _, index| lengths?.segment(index));
        }
        let is_last = page.len() < PAGE;
        last = page.into_iter().last();
        if is_last || last.is_none() {
            break;
        }
    }
    let written = stores.usage.written(hour).await?;
    stores.usage.write_count(&count.counted(uncounted(&bill), now), &corrections(hour, &bill, &written)).await
}

/// Writes down how long the segments are of what was played lately.
async fn learn(stores: &Stores, looks: &mut Looks, now: Timestamp) -> Result<(), StoreError> {
    let mut last: Option<Taking> = None;
    loop {
        let page = stores.analytics.takings(now - LEARN_BACK, now + LEARN_BACK, last.as_ref(), PAGE).await?;
        for taking in &page {
            let Ok(ArtifactPath::Segment { rendition, .. }) = taking.path.parse() else { continue };
            if looks.learnt.contains(&(taking.asset, rendition)) {
                continue;
            }
            if let Some(lengths) = read(stores, taking.asset, rendition).await? {
                stores.usage.learn_lengths(taking.asset, rendition, &lengths).await?;
            }
            if looks.learnt.len() >= KNOWN_MAX {
                looks.learnt.clear();
            }
            // A list that grows is read again when a segment beyond it is counted.
            looks.learnt.insert((taking.asset, rendition));
        }
        let is_last = page.len() < PAGE;
        last = page.into_iter().last();
        if is_last || last.is_none() {
            return Ok(());
        }
    }
}

/// What the playlists say of a rendition; `None` when they are gone or say nothing.
async fn read(stores: &Stores, asset: AssetId, rendition: Rendition) -> Result<Option<Lengths>, StoreError> {
    let Some(list) = text(stores, asset, ArtifactPath::Variant(rendition)).await? else { return Ok(None) };
    let master = text(stores, asset, ArtifactPath::Master).await?.and_then(|text| text.parse().ok());
    Ok(list.parse().ok().and_then(|list| Lengths::of(rendition, master.as_ref(), &list)))
}

async fn text(stores: &Stores, asset: AssetId, path: ArtifactPath) -> Result<Option<String>, StoreError> {
    let object = match stores.objects.get(&ObjectKey::artifact(asset, path), Some(0..PLAYLIST_BYTES_MAX)).await {
        Ok(object) => object,
        Err(StoreError::NotFound { .. }) => return Ok(None),
        Err(error) => return Err(error),
    };
    let (mut body, mut bytes) = (object.body, Vec::new());
    while let Some(piece) = body.next().await {
        bytes.extend_from_slice(&piece?);
    }
    Ok(String::from_utf8(bytes).ok())
}

#[cfg(test)]
mod tests {
    use rend_core::analytics::{CacheStatus, PlaybackBatch, PlaybackEvent};
    use rend_core::media::ladder::Tier;
    use rend_core::usage::Usage;
    use rend_storage::objects::Put;

    use super::*;
    use crate::config::SOLE_ORG;

    const LIST: &str = "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:4\n#EXT-X-PLAYLIST-TYPE:VOD\n\
        #EXT-X-MAP:URI=\"init_720p.mp4\"\n#EXTINF:4.000000,\nsegment_00000.m4s\n#EXTINF:1.500000,\n\
        segment_00001.m4s\n#EXT-X-ENDLIST\n";

    fn hour(n: u32) -> Timestamp {
        Timestamp::from_secs(1_800_000_000).hour() + HOUR * n
    }

    fn asset() -> AssetId {
        AssetId::from_bytes([2; 16])
    }

    /// The `seq`th response of the run, in the `n`th hour: the whole of a segment of four seconds, to a session of its own.
    fn event(seq: u64, n: u32) -> PlaybackEvent {
        PlaybackEvent {
            boot: [7; 8],
            seq,
            node: "ash-1".parse().unwrap(),
            observed_at: hour(n) + Duration::from_secs(seq % 600),
            org: Some(SOLE_ORG),
            asset: asset(),
            session: Some([seq as u8; 7]),
            path: ArtifactPath::Segment { rendition: Rendition::P720, index: 0 },
            object_bytes: Some(1000),
            bytes_sent: 1000,
            range_start: 0,
            status: 200,
            cache: CacheStatus::Hit,
            ttfb_us: 0,
            duration_ms: 0,
            aborted: false,
        }
    }

    async fn record(stores: &Stores, events: &[PlaybackEvent]) {
        let batch =
            PlaybackBatch { boot: [7; 8], node: "ash-1".parse().unwrap(), dropped_total: 0, events: events.to_vec() };
        stores.analytics.record(&batch, hour(0)).await.unwrap();
    }

    async fn with_playlist() -> Stores {
        let stores = Stores::memory();
        let path = ArtifactPath::Variant(Rendition::P720);
        let put = Put { content_type: path.content_type().to_owned(), len: None, sha256: None, now: hour(0) };
        let body = futures::stream::once(async { Ok(LIST.into()) }).boxed();
        stores.objects.put(&ObjectKey::artifact(asset(), path), put, body).await.unwrap();
        stores
    }

    async fn usage(stores: &Stores) -> Vec<(Timestamp, u32, u64, bool)> {
        let rows = stores.usage.usage(SOLE_ORG, Timestamp::EPOCH, Timestamp::MAX, None, 1000).await.unwrap();
        assert!(rows.iter().all(|row: &Usage| row.tier == Tier::P720));
        rows.iter().rev().map(|row| (row.hour, row.revision, row.micros / 1000, row.complete)).collect()
    }

    #[tokio::test]
    async fn an_hour_is_counted_once_and_late_records_are_a_revision_with_the_difference() {
        let stores = with_playlist().await;
        let mut looks = Looks::default();
        record(&stores, &[event(1, 0), event(2, 0), event(1, 0)]).await;
        count(&stores, &mut looks, hour(1) + Duration::from_secs(899)).await.unwrap();
        assert_eq!(usage(&stores).await, [], "records may still come");
        let over = hour(1) + Duration::from_secs(900);
        for _ in 0..3 {
            count(&stores, &mut looks, over).await.unwrap();
            assert_eq!(usage(&stores).await, [(hour(0), 1, 8000, true)]);
        }
        assert_eq!(stores.usage.counted(hour(0), hour(1)).await.unwrap()[0].pass, 1);
        // Told again in other batches nothing changes; half a segment more is half a segment more.
        let late = PlaybackEvent {
            bytes_sent: 500,
            path: ArtifactPath::Segment { rendition: Rendition::P720, index: 1 },
            ..event(3, 0)
        };
        record(&stores, &[event(2, 0), late.clone(), event(1, 0)]).await;
        for _ in 0..2 {
            count(&stores, &mut looks, over + HOUR).await.unwrap();
            assert_eq!(usage(&stores).await, [(hour(0), 2, 8750, true)]);
        }
        // What is late and free is counted without a revision.
        record(&stores, &[PlaybackEvent { path: ArtifactPath::Master, ..event(4, 0) }]).await;
        count(&stores, &mut looks, over + HOUR).await.unwrap();
        assert_eq!(usage(&stores).await, [(hour(0), 2, 8750, true)]);
        assert_eq!(stores.usage.counted(hour(0), hour(1)).await.unwrap()[0].rows, 4);
    }

    #[tokio::test]
    async fn after_three_days_away_every_hour_is_counted_once() {
        let stores = with_playlist().await;
        let events: Vec<_> = (0..72).map(|n| event(u64::from(n) + 1, n)).collect();
        for shuffled in [&events[40..], &events[..40], &events[10..60]] {
            record(&stores, shuffled).await;
        }
        // Two processes begin at once: what one has written the other does not write again.
        for _ in 0..2 {
            count(&stores, &mut Looks::default(), hour(73)).await.unwrap();
        }
        let expected: Vec<_> = (0..72).map(|n| (hour(n), 1, 4000, true)).collect();
        assert_eq!(usage(&stores).await, expected);
    }

    #[tokio::test]
    async fn a_record_that_comes_after_weeks_is_counted_within_the_hour() {
        let stores = with_playlist().await;
        let mut looks = Looks::default();
        count(&stores, &mut looks, hour(500)).await.unwrap();
        record(&stores, &[event(1, 0)]).await;
        count(&stores, &mut looks, hour(500) + Duration::from_secs(60)).await.unwrap();
        assert_eq!(usage(&stores).await, [], "most looks go back two days");
        count(&stores, &mut looks, hour(501)).await.unwrap();
        assert_eq!(usage(&stores).await, [(hour(0), 1, 4000, true)]);
    }

    #[tokio::test]
    async fn a_gap_makes_its_hours_incomplete_until_it_is_filled() {
        let stores = with_playlist().await;
        let mut looks = Looks::default();
        record(&stores, &[event(1, 0), event(3, 0), event(4, 1)]).await;
        count(&stores, &mut looks, hour(2) + Duration::from_secs(900)).await.unwrap();
        assert_eq!(usage(&stores).await, [(hour(0), 1, 8000, false), (hour(1), 1, 4000, true)]);
        record(&stores, &[event(2, 0)]).await;
        count(&stores, &mut looks, hour(3) + Duration::from_secs(900)).await.unwrap();
        assert_eq!(usage(&stores).await, [(hour(0), 2, 12_000, true), (hour(1), 1, 4000, true)]);
        // A place between two hours that is found missing later is told of both.
        record(&stores, &[event(6, 2)]).await;
        count(&stores, &mut looks, hour(4)).await.unwrap();
        let told: Vec<_> = usage(&stores).await.iter().map(|row| row.3).collect();
        assert_eq!(told, [true, false, false]);
    }

    #[tokio::test]
    async fn what_was_said_of_an_hour_stays_when_records_before_it_die_of_age() {
        let stores = with_playlist().await;
        let mut looks = Looks::default();
        record(&stores, &[event(1, 0), event(2, 1), event(3, 2), event(5, 3)]).await;
        count(&stores, &mut looks, hour(4) + Duration::from_secs(900)).await.unwrap();
        let before = usage(&stores).await;
        assert_eq!(before.iter().map(|row| row.3).collect::<Vec<_>>(), [true, true, false, false]);
        let old = rend_core::retention::Due::Playback { before: hour(1) };
        assert_eq!(stores.retention.remove_due(&old, 10).await.unwrap(), 1);
        for looked in [5, 6] {
            count(&stores, &mut looks, hour(looked)).await.unwrap();
            assert_eq!(usage(&stores).await, before);
        }
        // What comes late is still counted, and says of the gap that it is filled.
        record(&stores, &[event(4, 3)]).await;
        count(&stores, &mut looks, hour(7)).await.unwrap();
        let after: Vec<_> = usage(&stores).await.iter().map(|row| (row.2, row.3)).collect();
        assert_eq!(after, [(4000, true), (4000, true), (4000, true), (8000, true)]);
    }

    #[tokio::test]
    async fn what_was_played_before_its_asset_was_deleted_is_counted() {
        let stores = with_playlist().await;
        let mut looks = Looks::default();
        record(&stores, &[event(1, 0)]).await;
        count(&stores, &mut looks, hour(0) + Duration::from_secs(30)).await.unwrap();
        stores.objects.delete(&ObjectKey::artifact(asset(), ArtifactPath::Variant(Rendition::P720))).await.unwrap();
        // Of a rendition that nobody has seen the lengths of, nothing is guessed.
        let unknown = ArtifactPath::Segment { rendition: Rendition::P360, index: 0 };
        count(&stores, &mut looks, hour(2)).await.unwrap();
        assert_eq!(usage(&stores).await, [(hour(0), 1, 4000, true)]);
        record(&stores, &[PlaybackEvent { path: unknown, ..event(2, 0) }]).await;
        count(&stores, &mut looks, hour(3)).await.unwrap();
        assert_eq!(usage(&stores).await, [(hour(0), 1, 4000, false)]);
        assert_eq!(stores.usage.counted(hour(0), hour(1)).await.unwrap()[0].uncounted, 1);
    }
}
