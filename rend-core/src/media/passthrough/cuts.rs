//! Where a picture that is not encoded can be cut.

use crate::media::moov::Stored;

/// A place where decoding can start: nothing from here on needs anything before.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Start {
    /// The sample.
    pub(super) index: usize,
    /// When it is shown, in microseconds from the first.
    pub(super) at_us: u64,
}

/// Every sample at which the group before is closed: all samples up to it are shown before it, and all after it later.
///
/// A key frame of an open group is followed by pictures that are shown before it and need the group before.
pub(super) fn starts(pictures: &[Stored], micros: impl Fn(i64) -> u64) -> Vec<Start> {
    let shown = |sample: &Stored| sample.decoded_at.cast_signed().saturating_add(sample.shown_after.into());
    let mut earliest_after = i64::MAX;
    let mut closed: Vec<usize> = Vec::new();
    for (index, sample) in pictures.iter().enumerate().rev() {
        let at = shown(sample);
        if sample.key && at < earliest_after {
            closed.push(index);
        }
        earliest_after = earliest_after.min(at);
    }
    let mut closed = closed.into_iter().rev().peekable();
    let mut latest_before = i64::MIN;
    let mut out = Vec::new();
    for (index, sample) in pictures.iter().enumerate() {
        let at = shown(sample);
        if closed.next_if_eq(&index).is_some() && at > latest_before {
            out.push(Start { index, at_us: micros(at) });
        }
        latest_before = latest_before.max(at);
    }
    out
}

/// The places of `starts` at which segments begin, for a picture that ends at `end_us`: two short ones, then long ones, and
/// no runt at the end where that can be helped. The first of `starts` is always among them.
///
/// # Errors
///
/// The longest time without a place to start, in microseconds, when it is longer than a segment may be.
pub(super) fn cut(starts: &[Start], end_us: u64) -> Result<Vec<Start>, u64> {
    let ends = starts.iter().skip(1).map(|start| start.at_us).chain([end_us]);
    let longest = starts.iter().zip(ends).map(|(start, end)| end.saturating_sub(start.at_us)).max().unwrap_or(0);
    if longest > SEGMENT_US_MAX {
        return Err(longest);
    }
    let mut chosen: Vec<usize> = Vec::new();
    let mut at = 0;
    while at < starts.len() {
        chosen.push(at);
        let wanted = if chosen.len() <= SHORT_SEGMENTS { SHORT_US } else { SEGMENT_US_MAX };
        let from = starts[at].at_us;
        let within = |start: &Start| start.at_us.saturating_sub(from) <= wanted;
        // The farthest that is near enough; the next of all when none is.
        let far = starts[at + 1..].iter().take_while(|start| within(start)).count();
        let rest_fits = end_us.saturating_sub(from) <= wanted;
        if rest_fits {
            break;
        }
        at += far.max(1);
    }
    mend_tail(&mut chosen, starts, end_us);
    Ok(chosen.into_iter().map(|index| starts[index]).collect())
}

/// Moves the last cut forward, or takes it out, when what follows it is a runt.
fn mend_tail(chosen: &mut Vec<usize>, starts: &[Start], end_us: u64) {
    let [.., before, last] = chosen.as_slice() else { return };
    let (before, last) = (*before, *last);
    if end_us.saturating_sub(starts[last].at_us) >= TAIL_US_MIN {
        return;
    }
    let both = end_us.saturating_sub(starts[before].at_us);
    chosen.pop();
    if both <= SEGMENT_US_MAX {
        return;
    }
    let fits = |index: &usize| {
        let tail = end_us.saturating_sub(starts[*index].at_us);
        tail >= TAIL_US_MIN && starts[*index].at_us - starts[before].at_us <= SEGMENT_US_MAX && tail <= SEGMENT_US_MAX
    };
    match (before + 1..last).rev().find(fits) {
        Some(earlier) => chosen.push(earlier),
        // So little that a player would stumble over it is worth a longer segment; more than that stands alone.
        None if end_us.saturating_sub(starts[last].at_us) < RUNT_US => {}
        None => chosen.push(last),
    }
}

/// Segments at the start that are short, so that the first picture comes soon.
const SHORT_SEGMENTS: usize = 2;
/// How long they are at most where the key frames allow it: two seconds, and a little for rates that are no whole number.
const SHORT_US: u64 = 2_100_000;
/// How long any segment is: four seconds, and a little.
pub(super) const SEGMENT_US_MAX: u64 = 4_200_000;
/// A last segment is at least this long where that can be had.
const TAIL_US_MIN: u64 = 2_000_000;
/// A last segment is never as short as this, unless it is the only one.
const RUNT_US: u64 = 500_000;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(secs: &[f64]) -> Vec<Start> {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small numbers of a test")]
        let us = |secs: &f64| (secs * 1e6).round() as u64;
        secs.iter().enumerate().map(|(index, secs)| Start { index, at_us: us(secs) }).collect()
    }

    #[track_caller]
    fn check(starts: &[f64], end: f64, expect: &[f64]) {
        let end_us = at(&[end])[0].at_us;
        let cuts: Vec<u64> = cut(&at(starts), end_us).unwrap().iter().map(|start| start.at_us).collect();
        assert_eq!(cuts, at(expect).iter().map(|start| start.at_us).collect::<Vec<_>>());
    }

    #[test]
    fn segments_start_short_and_leave_no_runt() {
        check(&[0.0], 3.0, &[0.0]);
        check(&[0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0], 10.0, &[0.0, 2.0, 4.0, 8.0]);
        check(&[0.0, 2.0, 4.0, 6.0, 8.0, 10.0], 12.0, &[0.0, 2.0, 4.0, 8.0]);
        // Half a second would be left: the cut before it moves forward.
        check(&[0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0], 8.5, &[0.0, 2.0, 4.0, 6.0]);
        // It can not move, and there is enough to stand alone.
        check(&[0.0, 4.0, 8.0], 9.0, &[0.0, 4.0, 8.0]);
        // It can not move, and there is too little: the one before takes it up.
        check(&[0.0, 4.0, 8.0], 8.4, &[0.0, 4.0]);
        check(&[0.0, 3.9], 4.1, &[0.0]);
        check(&[0.0, 2.002, 4.004, 6.006, 8.008], 10.01, &[0.0, 2.002, 4.004, 8.008]);
    }

    #[test]
    fn key_frames_too_far_apart_are_told_with_their_distance() {
        assert_eq!(cut(&at(&[0.0, 2.0, 12.0]), 13_000_000), Err(10_000_000));
        assert_eq!(cut(&at(&[0.0]), 4_300_000), Err(4_300_000));
    }

    #[test]
    fn an_open_group_is_no_place_to_start() {
        let sample = |decoded_at, shown_after, key| Stored {
            offset: 0,
            size: 1,
            decoded_at,
            shown_after,
            duration: 1,
            key,
            description: 1,
        };
        // The second key frame is followed by one that is shown before it.
        let pictures = [
            sample(0, 2, true),
            sample(1, 2, false),
            sample(2, 3, true),
            sample(3, 1, false),
            sample(4, 3, true),
            sample(5, 3, false),
        ];
        let found: Vec<usize> = starts(&pictures, |t| t.unsigned_abs()).iter().map(|s| s.index).collect();
        assert_eq!(found, [0, 4]);
    }

    proptest! {
        #[test]
        fn cuts_cover_all_and_keep_their_bounds(gaps in proptest::collection::vec(1_u64..4_200_000, 1..200), tail in 1_u64..4_200_000) {
            let mut sum = 0;
            let starts: Vec<Start> = std::iter::once(0).chain(gaps).enumerate().map(|(index, gap)| {
                sum += gap;
                Start { index, at_us: sum }
            }).collect();
            let end = sum + tail;
            let cuts = cut(&starts, end).unwrap();
            prop_assert_eq!(cuts[0], starts[0]);
            prop_assert!(cuts.iter().all(|cut| starts.contains(cut)));
            let ends: Vec<u64> = cuts.iter().skip(1).map(|cut| cut.at_us).chain([end]).collect();
            for (number, (cut, end)) in cuts.iter().zip(&ends).enumerate() {
                let long = end - cut.at_us;
                let last = number + 1 == cuts.len();
                let most = SEGMENT_US_MAX + if last { RUNT_US } else { 0 };
                prop_assert!(long <= most);
                prop_assert!(!last || cuts.len() == 1 || long >= RUNT_US);
            }
        }
    }
}
