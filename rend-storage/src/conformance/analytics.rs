//! What every [`Analytics`] must do.

use std::collections::BTreeMap;

use futures::future;
use rend_core::analytics::{CacheStatus, NodeAccount, PlaybackBatch, PlaybackEvent, PlaybackReport, Recorded, served};
use rend_core::artifact::{ArtifactPath, Rendition};
use rend_core::metering::{BYTES_MAX, Meter, Taking};
use rend_core::time::Timestamp;
use rend_core::usage::{HOUR, RunHour};
use rend_core::viewing::{Device, Phase, PlayerEvent, ViewPart, parts};

use super::make::{asset_id, at, org_id};
use crate::analytics::Analytics;

/// Nothing recorded is nothing reported.
pub async fn an_empty_record_reports_nothing(store: &impl Analytics) {
    let nothing = PlaybackReport::default();
    assert_eq!(store.playback(asset_id(1), at(0), at(100)).await.unwrap(), nothing);
    assert_eq!(store.overview(org_id(1), at(0), at(100), 10).await.unwrap(), (nothing, Vec::new()));
    assert_eq!(store.served(org_id(1), at(0), at(100)).await.unwrap(), []);
    assert_eq!(store.accounts().await.unwrap(), []);
}

/// A report adds up what was served: responses, bytes, sessions, by cache and by status, first and last.
pub async fn a_report_adds_up_what_was_served(store: &impl Analytics) {
    let events = vec![
        PlaybackEvent { bytes_sent: 100, session: Some([1; 7]), observed_at: at(5), ..event(1) },
        PlaybackEvent {
            bytes_sent: 20,
            session: Some([2; 7]),
            cache: CacheStatus::Miss,
            observed_at: at(3),
            ..event(2)
        },
        PlaybackEvent { bytes_sent: 3, session: Some([1; 7]), status: 206, observed_at: at(9), ..event(3) },
        PlaybackEvent { bytes_sent: 0, session: None, status: 404, cache: CacheStatus::Pass, ..event(4) },
        PlaybackEvent { asset: asset_id(2), bytes_sent: 7777, session: Some([3; 7]), ..event(5) },
    ];
    let recorded = store.record(&batch(events), at(50)).await.unwrap();
    assert_eq!(recorded, Recorded { new: 5, repeated: 0 });
    let expected = PlaybackReport {
        requests: 4,
        bytes: 123,
        sessions: 2,
        by_cache: BTreeMap::from([(CacheStatus::Hit, 2), (CacheStatus::Miss, 1), (CacheStatus::Pass, 1)]),
        by_status: BTreeMap::from([(200, 2), (206, 1), (404, 1)]),
        first_seen: Some(at(3)),
        last_seen: Some(at(9)),
    };
    assert_eq!(store.playback(asset_id(1), at(0), at(100)).await.unwrap(), expected);
}

/// An event counts once, however often and in whichever batches it comes, and what is new beside it counts.
pub async fn an_event_counts_once(store: &impl Analytics) {
    let first = batch(vec![event(1), event(2), event(3)]);
    assert_eq!(store.record(&first, at(50)).await.unwrap(), Recorded { new: 3, repeated: 0 });
    let before = store.overview(org_id(1), at(0), at(100), 10).await.unwrap();
    for again in [first.clone(), batch(vec![event(2)]), batch(vec![event(3), event(1)]), batch(Vec::new())] {
        let repeated = again.events.len() as u64;
        assert_eq!(store.record(&again, at(60)).await.unwrap(), Recorded { new: 0, repeated });
    }
    assert_eq!(store.overview(org_id(1), at(0), at(100), 10).await.unwrap(), before);

    let partly = batch(vec![event(3), event(4), event(4), event(5), event(1)]);
    assert_eq!(store.record(&partly, at(70)).await.unwrap(), Recorded { new: 2, repeated: 3 });
    assert_eq!(store.playback(asset_id(1), at(0), at(100)).await.unwrap().requests, 5);
    assert_eq!(store.accounts().await.unwrap(), [account(5, 5)]);
}

/// The first telling of an event stays, also when a later one says something else.
pub async fn the_first_telling_of_an_event_stays(store: &impl Analytics) {
    store.record(&batch(vec![event(1)]), at(50)).await.unwrap();
    let before = store.playback(asset_id(1), at(0), at(100)).await.unwrap();
    let other = PlaybackEvent { bytes_sent: 9999, status: 500, asset: asset_id(2), ..event(1) };
    assert_eq!(store.record(&batch(vec![other]), at(50)).await.unwrap(), Recorded { new: 0, repeated: 1 });
    assert_eq!(store.playback(asset_id(1), at(0), at(100)).await.unwrap(), before);
    assert_eq!(store.playback(asset_id(2), at(0), at(100)).await.unwrap().requests, 0);
}

/// Another run of an edge counts its places anew: they are other events.
pub async fn runs_count_their_own_places(store: &impl Analytics) {
    store.record(&batch(vec![event(1), event(2)]), at(50)).await.unwrap();
    let boot = [9; 8];
    let rerun = vec![PlaybackEvent { boot, ..event(1) }, PlaybackEvent { boot, ..event(7) }];
    let recorded = store.record(&PlaybackBatch { boot, ..batch(rerun) }, at(50)).await.unwrap();
    assert_eq!(recorded, Recorded { new: 2, repeated: 0 });
    assert_eq!(store.playback(asset_id(1), at(0), at(100)).await.unwrap().requests, 4);
    assert_eq!(store.accounts().await.unwrap(), [account(2, 2), NodeAccount { boot, ..account(2, 7) }]);
}

/// A window has its start and not its end.
pub async fn a_window_has_its_start_and_not_its_end(store: &impl Analytics) {
    let millis = |millis| Timestamp::from_millis(at(10).as_millis() + millis);
    let events = [0, 1, 999, 1000, 1001].into_iter().enumerate();
    let events = events.map(|(n, at)| PlaybackEvent { observed_at: millis(at), ..event(n as u64 + 1) }).collect();
    store.record(&batch(events), at(50)).await.unwrap();
    for (from, until, requests) in
        [(0, 1000, 3), (0, 1001, 4), (1, 1000, 2), (1000, 1001, 1), (1000, 1000, 0), (1001, 1000, 0), (1002, 9999, 0)]
    {
        let report = store.playback(asset_id(1), millis(from), millis(until)).await.unwrap();
        assert_eq!(report.requests, requests, "{from}..{until}");
        let (total, assets) = store.overview(org_id(1), millis(from), millis(until), 10).await.unwrap();
        assert_eq!(total, report, "{from}..{until}");
        assert_eq!(assets.len(), usize::from(requests > 0));
    }
    let whole = store.playback(asset_id(1), Timestamp::EPOCH, Timestamp::MAX).await.unwrap();
    assert_eq!((whole.first_seen, whole.last_seen), (Some(millis(0)), Some(millis(1001))));
}

/// The overview of an organisation sums its assets, and names those asked for most, ties by id.
pub async fn an_overview_names_what_was_asked_for_most(store: &impl Analytics) {
    let plays = [(3, 2), (1, 1), (4, 1), (2, 3), (5, 1)];
    let assets = plays.iter().flat_map(|(asset, times)| std::iter::repeat_n(asset_id(*asset), *times));
    let events = assets.zip(1..).map(|(asset, seq)| PlaybackEvent { asset, ..event(seq) });
    let theirs = PlaybackEvent { org: Some(org_id(2)), asset: asset_id(6), ..event(100) };
    let nobodys = PlaybackEvent { org: None, asset: asset_id(2), ..event(101) };
    store.record(&batch(events.chain([theirs, nobodys]).collect()), at(50)).await.unwrap();

    let (total, top) = store.overview(org_id(1), at(0), at(100), 10).await.unwrap();
    assert_eq!(total.requests, 8);
    assert_eq!(total.sessions, 1, "one viewer saw all of them");
    let ranked: Vec<_> = top.iter().map(|(asset, report)| (*asset, report.requests)).collect();
    assert_eq!(ranked, [(2, 3), (3, 2), (1, 1), (4, 1), (5, 1)].map(|(asset, requests)| (asset_id(asset), requests)));
    for rows in 0..=5 {
        let (same, fewer) = store.overview(org_id(1), at(0), at(100), rows).await.unwrap();
        assert_eq!((same, fewer.as_slice()), (total.clone(), &top[..rows]));
    }
    // The event that nobody owns is part of the asset's own report alone.
    assert_eq!(store.playback(asset_id(2), at(0), at(100)).await.unwrap().requests, 4);
    let (theirs, _) = store.overview(org_id(2), at(0), at(100), 10).await.unwrap();
    assert_eq!(theirs.requests, 1);
}

/// What was served adds up by edge and rendition, each response once, and within its window and organisation.
pub async fn what_was_served_adds_up_by_edge_and_rendition(store: &impl Analytics) {
    let sound = Rendition::AudioAgain { lang: "de".parse().unwrap(), number: 2 };
    let mut events = Vec::new();
    for n in 0..120_u32 {
        let rendition = [Rendition::P720, Rendition::P2160, Rendition::Source, sound][n as usize % 4];
        let path = match n % 6 {
            0 => ArtifactPath::Variant(rendition),
            1 => ArtifactPath::Init(rendition),
            2 => ArtifactPath::Master,
            3 => ArtifactPath::Opener,
            _ => ArtifactPath::Segment { rendition, index: n * 1000 },
        };
        events.push(PlaybackEvent {
            node: ["ash-1", "ash-10", "fra-1"][n as usize / 5 % 3].parse().unwrap(),
            org: [Some(org_id(1)), Some(org_id(1)), Some(org_id(2)), None][n as usize / 7 % 4],
            observed_at: at(u64::from(n)),
            bytes_sent: if n == 4 { u64::MAX } else { u64::from(n) << 30 },
            path,
            ..event(u64::from(n) + 1)
        });
    }
    for told in [&events[..70], &events[50..], &events[..]] {
        store.record(&batch(told.to_vec()), at(500)).await.unwrap();
    }
    for (from, until) in [(0, 1000), (20, 90)] {
        let of_org = events.iter().filter(|event| event.org == Some(org_id(1)));
        let expected = served(of_org.filter(|event| (at(from)..at(until)).contains(&event.observed_at)));
        assert!(expected.len() > 6, "{}", expected.len());
        assert_eq!(store.served(org_id(1), at(from), at(until)).await.unwrap(), expected);
    }
    assert_eq!(store.served(org_id(3), at(0), at(1000)).await.unwrap(), []);
}

/// Sums stop at the largest number instead of failing or starting over.
pub async fn sums_stop_at_the_largest_number(store: &impl Analytics) {
    let huge = |seq| PlaybackEvent { bytes_sent: u64::MAX / 2 + 1, ..event(seq) };
    store.record(&batch(vec![huge(1)]), at(50)).await.unwrap();
    assert_eq!(store.playback(asset_id(1), at(0), at(100)).await.unwrap().bytes, u64::MAX / 2 + 1);
    store.record(&batch(vec![huge(2), huge(3)]), at(50)).await.unwrap();
    assert_eq!(store.playback(asset_id(1), at(0), at(100)).await.unwrap().bytes, u64::MAX);
}

/// An account shows gaps and losses of each run, by node, then run; losses never fall.
pub async fn accounts_show_gaps_and_losses(store: &impl Analytics) {
    let told = |dropped_total, seqs: &[u64]| PlaybackBatch {
        dropped_total,
        ..batch(seqs.iter().map(|seq| event(*seq)).collect())
    };
    store.record(&told(0, &[2, 1]), at(50)).await.unwrap();
    assert_eq!(store.accounts().await.unwrap(), [account(2, 2)]);
    store.record(&told(3, &[7]), at(50)).await.unwrap();
    store.record(&told(1, &[6]), at(50)).await.unwrap();
    let lossy = NodeAccount { dropped_total: 3, ..account(4, 7) };
    assert_eq!(store.accounts().await.unwrap(), std::slice::from_ref(&lossy));

    // A batch without events still tells of losses.
    let other = PlaybackBatch { node: "ash-0".parse().unwrap(), boot: [0xff; 8], ..told(u64::MAX, &[]) };
    store.record(&other, at(50)).await.unwrap();
    let silent = NodeAccount {
        node: "ash-0".parse().unwrap(),
        boot: [0xff; 8],
        received: 0,
        seq_max: 0,
        dropped_total: u64::MAX,
    };
    assert_eq!(store.accounts().await.unwrap(), [silent, lossy]);
}

/// Events are accounted to the run that they name, also when another run delivers them.
pub async fn events_of_an_earlier_run_are_accounted_to_it(store: &impl Analytics) {
    let boot = [1; 8];
    let left_over = PlaybackEvent { boot, seq: u64::MAX, ..event(1) };
    let mixed = PlaybackBatch { dropped_total: 4, ..batch(vec![left_over, event(3)]) };
    store.record(&mixed, at(50)).await.unwrap();
    let earlier = NodeAccount { boot, ..account(1, u64::MAX) };
    let present = NodeAccount { dropped_total: 4, ..account(1, 3) };
    assert_eq!(store.accounts().await.unwrap(), [earlier, present]);
}

/// Batches at once that hold the same events count each once.
pub async fn batches_at_once_count_each_event_once(store: &impl Analytics) {
    let batches: Vec<_> = (0..8_u64).map(|n| batch((1..=10).map(|seq| event(seq + n)).collect())).collect();
    let answers = future::join_all(batches.iter().map(|batch| store.record(batch, at(50)))).await;
    let (mut new, mut repeated) = (0, 0);
    for answer in answers {
        let recorded = answer.unwrap();
        new += recorded.new;
        repeated += recorded.repeated;
    }
    assert_eq!((new, repeated), (17, 63));
    assert_eq!(store.playback(asset_id(1), at(0), at(100)).await.unwrap().requests, 17);
    assert_eq!(store.accounts().await.unwrap(), [account(17, 17)]);
}

/// The records of each hour are told by edge and run, with the places that they lie between.
pub async fn hours_tell_how_much_of_each_run_there_is(store: &impl Analytics) {
    let hour = at(0).hour();
    let in_hour = |n: u32, secs: u64, seq| PlaybackEvent {
        observed_at: hour + HOUR * n + std::time::Duration::from_secs(secs),
        ..event(seq)
    };
    let other = PlaybackEvent { node: "ash-0".parse().unwrap(), boot: [0xff; 8], ..in_hour(1, 1, u64::MAX) };
    let last = PlaybackEvent { observed_at: Timestamp::from_millis((hour + HOUR).as_millis() - 1), ..event(9) };
    let events = vec![in_hour(0, 0, 5), in_hour(0, 3599, 3), last, in_hour(1, 0, 10), in_hour(4, 7, 300), other];
    for now in [50, 60] {
        store.record(&batch(events.clone()), at(now)).await.unwrap();
    }
    let run = |n, rows, seq_min, seq_max| RunHour {
        hour: hour + HOUR * n,
        node: "ash-1".parse().unwrap(),
        boot: BOOT,
        rows,
        seq_min,
        seq_max,
    };
    let theirs = RunHour { node: "ash-0".parse().unwrap(), boot: [0xff; 8], ..run(1, 1, u64::MAX, u64::MAX) };
    let all = [run(0, 3, 3, 9), theirs.clone(), run(1, 1, 10, 10), run(4, 1, 300, 300)];
    assert_eq!(store.hours(Timestamp::EPOCH, Timestamp::MAX).await.unwrap(), all);
    assert_eq!(store.hours(hour + HOUR, hour + HOUR * 4).await.unwrap(), [theirs, run(1, 1, 10, 10)]);
    assert_eq!(store.hours(hour + HOUR, hour + HOUR).await.unwrap(), []);
}

/// Takings are what the rule makes of the records, whatever was told twice, and pages of any size add up to all of them.
pub async fn takings_are_what_the_rule_makes_of_the_records(store: &impl Analytics) {
    let hour = at(0).hour();
    let mut events = Vec::new();
    let mut prng = rend_core::prng::Prng::seeded(42);
    for seq in 1..=300 {
        let one_of = |prng: &mut rend_core::prng::Prng, most: u64| prng.below(most) as u8;
        let rendition = [Rendition::P360, Rendition::P720][usize::from(one_of(&mut prng, 2))];
        let index = u32::from(one_of(&mut prng, 3));
        let path = match one_of(&mut prng, 8) {
            0 => ArtifactPath::Variant(rendition),
            1 => ArtifactPath::Init(rendition),
            _ => ArtifactPath::Segment { rendition, index },
        };
        let org = one_of(&mut prng, 3);
        let session = one_of(&mut prng, 4);
        let sizes = [0, 1, 500, 1000, 2000, u64::MAX];
        events.push(PlaybackEvent {
            observed_at: hour + std::time::Duration::from_secs(u64::from(one_of(&mut prng, 70)) * 60),
            org: (org > 0).then(|| org_id(org)),
            asset: asset_id(one_of(&mut prng, 2)),
            session: (session > 0).then_some([session; 7]),
            path,
            status: [200, 206, 206, 304, 404][usize::from(one_of(&mut prng, 5))],
            bytes_sent: sizes[usize::from(one_of(&mut prng, 6))],
            object_bytes: [None, Some(1000), Some(1000), Some(u64::MAX)][usize::from(one_of(&mut prng, 4))],
            ..event(seq)
        });
    }
    let mut meter = Meter::default();
    for event in events.iter().filter(|event| event.observed_at.hour() == hour) {
        meter.add(event);
    }
    let expected = meter.takings(hour);
    assert!(expected.len() > 40, "{} takings", expected.len());
    assert!(expected.iter().any(|taking| taking.times > 1 && taking.whole == BYTES_MAX));
    for again in [events.clone(), events[100..200].to_vec(), events] {
        store.record(&batch(again), at(50)).await.unwrap();
    }
    for rows in [1000, 7] {
        let mut found: Vec<Taking> = Vec::new();
        loop {
            let page = store.takings(hour, hour + HOUR, found.last(), rows).await.unwrap();
            assert!(page.len() <= rows);
            let is_last = page.len() < rows;
            found.extend(page);
            if is_last {
                break;
            }
        }
        assert_eq!(found, expected, "pages of {rows}");
    }
    assert_eq!(store.takings(hour + HOUR * 9, hour + HOUR * 10, None, 10).await.unwrap(), []);
}

/// What players told adds up by view, edge and rendition, each moment once, and pages of any size are all of it.
pub async fn what_players_told_adds_up_by_view(store: &impl Analytics) {
    let mut events = Vec::new();
    for n in 0..200_u32 {
        let view = (n * 7 % 11) as u8;
        let phase = Phase::ALL[n as usize % Phase::ALL.len()];
        events.push(PlayerEvent {
            view: [0xf0 + view; 16],
            seq: n,
            at: at(u64::from(n)),
            org: org_id(1 + view % 2),
            asset: asset_id(view % 3),
            viewer: [view; 7],
            phase,
            startup_ms: (phase == Phase::FirstFrame).then_some(3000 - n),
            playing_ms: n,
            stalled_ms: if n == 7 { u32::MAX } else { 0 },
            rung: [None, Some(Rendition::P720), Some(Rendition::Audio("de".parse().unwrap()))][n as usize % 3],
            edge: [None, Some("ash-1".parse().unwrap())][n as usize % 2].clone(),
            device: Device::ALL[usize::from(view) % Device::ALL.len()],
        });
    }
    for told in [&events[..120], &events[60..], &events[..], &[]] {
        store.record_player(told, at(500)).await.unwrap();
    }
    for (from, until) in [(0, 1000), (50, 150)] {
        let seen = events.iter().filter(|event| event.org == org_id(1) && (at(from)..at(until)).contains(&event.at));
        let expected = parts(seen);
        assert!(expected.len() > 10);
        for rows in [1000, 7] {
            let mut found: Vec<ViewPart> = Vec::new();
            loop {
                let after = found.last().map(ViewPart::key);
                let page = store.views(org_id(1), at(from), at(until), after.as_ref(), rows).await.unwrap();
                assert!(page.len() <= rows);
                let is_last = page.len() < rows;
                found.extend(page);
                if is_last {
                    break;
                }
            }
            assert_eq!(found, expected, "pages of {rows}");
        }
    }
    assert_eq!(store.views(org_id(3), at(0), at(1000), None, 10).await.unwrap(), []);
}

/// What players tell is in no account, no report and no taking of edges: it bills nothing.
pub async fn what_players_told_bills_nothing(store: &impl Analytics) {
    store.record(&batch(vec![event(1)]), at(50)).await.unwrap();
    let before = (
        store.takings(at(0).hour(), at(0).hour() + HOUR, None, 10).await.unwrap(),
        store.hours(Timestamp::EPOCH, Timestamp::MAX).await.unwrap(),
        store.accounts().await.unwrap(),
        store.overview(org_id(1), at(0), at(100), 10).await.unwrap(),
    );
    let forged = PlayerEvent {
        view: [9; 16],
        seq: 1,
        at: at(5),
        org: org_id(1),
        asset: asset_id(1),
        viewer: [5; 7],
        phase: Phase::Heartbeat,
        startup_ms: None,
        playing_ms: u32::MAX,
        stalled_ms: 0,
        rung: Some(Rendition::P720),
        edge: Some("ash-1".parse().unwrap()),
        device: Device::Tv,
    };
    store.record_player(&[forged], at(50)).await.unwrap();
    let after = (
        store.takings(at(0).hour(), at(0).hour() + HOUR, None, 10).await.unwrap(),
        store.hours(Timestamp::EPOCH, Timestamp::MAX).await.unwrap(),
        store.accounts().await.unwrap(),
        store.overview(org_id(1), at(0), at(100), 10).await.unwrap(),
    );
    assert_eq!(after, before);
}

const BOOT: [u8; 8] = [7; 8];

fn event(seq: u64) -> PlaybackEvent {
    PlaybackEvent {
        boot: BOOT,
        seq,
        node: "ash-1".parse().unwrap(),
        observed_at: at(5),
        org: Some(org_id(1)),
        asset: asset_id(1),
        session: Some([5; 7]),
        path: ArtifactPath::Segment { rendition: Rendition::P720, index: 3 },
        object_bytes: Some(5000),
        bytes_sent: 1000,
        range_start: 0,
        status: 200,
        cache: CacheStatus::Hit,
        ttfb_us: 1500,
        duration_ms: 20,
        aborted: false,
    }
}

fn batch(events: Vec<PlaybackEvent>) -> PlaybackBatch {
    PlaybackBatch { boot: BOOT, node: "ash-1".parse().unwrap(), dropped_total: 0, events }
}

fn account(received: u64, seq_max: u64) -> NodeAccount {
    NodeAccount { node: "ash-1".parse().unwrap(), boot: BOOT, received, seq_max, dropped_total: 0 }
}

/// Mounts what every `Analytics` must do; see [`conformance`](crate::conformance).
#[macro_export]
macro_rules! analytics_conformance {
    ($(#[$attribute:meta])* $block_on:path, $make:expr) => {
        $crate::mount_cases! { analytics [$(#[$attribute])*] $block_on, $make;
            an_empty_record_reports_nothing
            a_report_adds_up_what_was_served
            an_event_counts_once
            the_first_telling_of_an_event_stays
            runs_count_their_own_places
            a_window_has_its_start_and_not_its_end
            an_overview_names_what_was_asked_for_most
            what_was_served_adds_up_by_edge_and_rendition
            sums_stop_at_the_largest_number
            accounts_show_gaps_and_losses
            events_of_an_earlier_run_are_accounted_to_it
            batches_at_once_count_each_event_once
            hours_tell_how_much_of_each_run_there_is
            takings_are_what_the_rule_makes_of_the_records
            what_players_told_adds_up_by_view
            what_players_told_bills_nothing
        }
    };
}
