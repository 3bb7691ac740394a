//! What every [`UsageLedger`] must do.

use futures::future;
use rend_core::artifact::Rendition;
use rend_core::media::ladder::Tier;
use rend_core::time::Timestamp;
use rend_core::usage::{Correction, CountedHour, HOUR, Lengths, Usage};

use super::make::{asset_id, at, org_id};
use crate::StoreError;
use crate::usage::UsageLedger;

/// Nothing counted is nothing used.
pub async fn an_empty_ledger_says_nothing(store: &impl UsageLedger) {
    assert_eq!(store.counted(Timestamp::EPOCH, Timestamp::MAX).await.unwrap(), []);
    assert_eq!(store.written(hour(0)).await.unwrap(), []);
    assert_eq!(store.usage(org_id(1), Timestamp::EPOCH, Timestamp::MAX, None, 10).await.unwrap(), []);
    assert_eq!(store.lengths(asset_id(1), Rendition::P720).await.unwrap(), None);
}

/// What corrections come to is their sum under the last revision, and an hour tells how it was counted last.
pub async fn corrections_add_up_under_the_last_revision(store: &impl UsageLedger) {
    let first = CountedHour { rows: 5, complete: false, uncounted: 2, ..counted(0, 0) };
    store.write_count(&first, &[correction(1, 0, Tier::P720, 1, 4_000_000)]).await.unwrap();
    let second = CountedHour { rows: u64::MAX, at: at(9), ..counted(0, 1) };
    let late = [correction(1, 0, Tier::P720, 2, -1_500_000), correction(1, 0, Tier::K4, 1, 7)];
    store.write_count(&second, &late).await.unwrap();
    // A count that changes nothing is a count all the same.
    store.write_count(&CountedHour { at: at(10), ..counted(0, 2) }, &[]).await.unwrap();

    assert_eq!(store.counted(hour(0), hour(1)).await.unwrap(), [CountedHour { at: at(10), ..counted(0, 3) }]);
    let usage = |tier, revision, micros| Usage {
        org: org_id(1),
        hour: hour(0),
        tier,
        revision,
        micros,
        complete: true,
        at: at(10),
    };
    let mut expected = [usage(Tier::K4, 1, 7), usage(Tier::P720, 2, 2_500_000)];
    assert_eq!(store.usage(org_id(1), hour(0), hour(1), None, 10).await.unwrap(), {
        expected.sort_by_key(|usage| usage.tier.as_str());
        expected
    });
    let mut written = store.written(hour(0)).await.unwrap();
    written.sort_by_key(|usage| usage.tier.as_str());
    assert_eq!(written, expected);
}

/// A count is written once: what was counted from another pass, or under a revision that is there, changes nothing.
pub async fn a_count_is_written_once(store: &impl UsageLedger) {
    let first = correction(1, 0, Tier::P720, 1, 100);
    store.write_count(&counted(0, 0), &[first]).await.unwrap();
    let before = store.written(hour(0)).await.unwrap();
    let other = correction(2, 0, Tier::P720, 1, 9);
    for (pass, lines) in [(0, vec![other]), (2, vec![other]), (1, vec![other, first])] {
        let refused = store.write_count(&counted(0, pass), &lines).await;
        assert!(matches!(refused, Err(StoreError::Conflict { .. })), "{refused:?}");
        assert_eq!(store.written(hour(0)).await.unwrap(), before, "pass {pass}");
        assert_eq!(store.counted(hour(0), hour(1)).await.unwrap(), [counted(0, 1)]);
    }
}

/// Of many who write the same count at once, one does.
pub async fn counts_at_once_are_written_once(store: &impl UsageLedger) {
    for pass in 0..3 {
        let (count, lines) = (counted(0, pass), [correction(1, 0, Tier::P720, pass as u32 + 1, 100)]);
        let answers = future::join_all((0..8).map(|_| store.write_count(&count, &lines))).await;
        assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1);
    }
    assert_eq!(store.written(hour(0)).await.unwrap()[0].micros, 300);
}

/// Pages of any size show every hour and tier of an organisation once, newest hour first.
pub async fn pages_of_usage_show_everything_once(store: &impl UsageLedger) {
    for n in 0..7 {
        let tiers = [Tier::P720, Tier::P1080, Tier::AudioOnly];
        let mut lines: Vec<_> = tiers.map(|tier| correction(1, n, tier, 1, 10 + n as i64)).into();
        lines.push(correction(2, n, Tier::P720, 1, 1));
        store.write_count(&counted(n, 0), &lines).await.unwrap();
    }
    let all = store.usage(org_id(1), hour(1), hour(6), None, 100).await.unwrap();
    let names: Vec<_> = all.iter().map(|usage| (usage.hour, usage.tier.as_str())).collect();
    let expected: Vec<_> =
        (1..6).rev().flat_map(|n| ["1080p", "720p", "audio_only"].map(|tier| (hour(n), tier))).collect();
    assert_eq!(names, expected);
    for rows in 1..5 {
        let mut found: Vec<Usage> = Vec::new();
        loop {
            let after = found.last().map(|usage| (usage.hour, usage.tier));
            let page = store.usage(org_id(1), hour(1), hour(6), after, rows).await.unwrap();
            if page.is_empty() {
                break;
            }
            found.extend(page);
        }
        assert_eq!(found, all, "pages of {rows}");
    }
    let hours: Vec<_> =
        store.counted(hour(2), hour(4)).await.unwrap().into_iter().map(|counted| counted.hour).collect();
    assert_eq!(hours, [hour(2), hour(3)]);
}

/// Lengths are kept for each rendition of each asset, the last that were told.
pub async fn lengths_are_kept_by_rendition(store: &impl UsageLedger) {
    let lengths = |micros: &[u64]| Lengths { tier: Tier::P1080, micros: micros.to_vec() };
    let audio = Rendition::Audio("de".parse().unwrap());
    store.learn_lengths(asset_id(1), Rendition::P720, &lengths(&[1])).await.unwrap();
    store.learn_lengths(asset_id(1), audio, &lengths(&[])).await.unwrap();
    store.learn_lengths(asset_id(1), Rendition::P720, &lengths(&[4, 4, u64::MAX])).await.unwrap();
    assert_eq!(store.lengths(asset_id(1), Rendition::P720).await.unwrap(), Some(lengths(&[4, 4, u64::MAX])));
    assert_eq!(store.lengths(asset_id(1), audio).await.unwrap(), Some(lengths(&[])));
    assert_eq!(store.lengths(asset_id(1), Rendition::P360).await.unwrap(), None);
    assert_eq!(store.lengths(asset_id(2), Rendition::P720).await.unwrap(), None);
}

fn hour(n: u64) -> Timestamp {
    at(0).hour() + HOUR * n as u32
}

/// The `n`th hour, counted whole from `pass`.
fn counted(n: u64, pass: u64) -> CountedHour {
    CountedHour { hour: hour(n), rows: 100, complete: true, uncounted: 0, pass, at: at(5) }
}

fn correction(org: u8, n: u64, tier: Tier, revision: u32, micros: i64) -> Correction {
    Correction { org: org_id(org), tier, hour: hour(n), revision, micros }
}

/// Mounts what every `UsageLedger` must do; see [`conformance`](crate::conformance).
#[macro_export]
macro_rules! usage_conformance {
    ($(#[$attribute:meta])* $block_on:path, $make:expr) => {
        $crate::mount_cases! { usage [$(#[$attribute])*] $block_on, $make;
            an_empty_ledger_says_nothing
            corrections_add_up_under_the_last_revision
            a_count_is_written_once
            counts_at_once_are_written_once
            pages_of_usage_show_everything_once
            lengths_are_kept_by_rendition
        }
    };
}
