//! How the work on one source is divided: into stretches of time, and in each into rungs that share one decoder.
//!
//! The first two seconds of the lowest rung come first and alone, since somebody waits for them. Behind them each stretch is
//! decoded once for as many rungs as keep ahead of playback together.

use std::ops::Range;

use crate::artifact::Rendition;
use crate::media::plan::{Cut, Effort, Plan, Route, Unit};
use crate::media::probe::{Cadence, PacketScan};

impl Plan {
    /// Divides the work into runs of the encoder.
    pub(super) fn lay_out_units(&mut self, scan: Option<&PacketScan>, slots: u32) {
        let Some(video) = &self.source.video else { return };
        let count = u32::try_from(self.cuts.len()).unwrap_or(u32::MAX);
        let all: Vec<Rendition> = self.rungs.iter().map(|r| r.rendition).collect();
        let start = self.start();
        let video_end = self.grid.rate.frames_in(video.start_us.saturating_add(video.duration_us));
        let total = self.cuts.last().map_or(0, Cut::end);
        let held = total > video_end + 1;
        let sparse = video.cadence == Cadence::Variable && self.source.container.is_seekable();
        let seekable = self.source.container.is_seekable() && video.cadence != Cadence::Broken;
        let thin = video.native.millis() < self.grid.rate.millis();
        let gap_us = match video.cadence {
            Cadence::Variable => scan.map_or(GAP_US_UNKNOWN, |scan| scan.gap_us_max).min(GAP_US_MAX),
            _ if thin => video.native.micros_at(3) / 2,
            Cadence::Constant | Cadence::Broken => 0,
        };
        let gap = self.grid.rate.frames_in(gap_us) + u64::from(gap_us > 0);
        let mut units: Vec<Unit> = Vec::new();
        let mut add = |plan: &Self, outputs: Vec<(Rendition, u32)>, segments: Range<u32>, effort, threads| {
            let cut = |index: u32| plan.cuts.get(index as usize).copied().unwrap_or(Cut { first: 0, frames: 0 });
            let (first, end) = (cut(segments.start).first, cut(segments.end.saturating_sub(1)).end());
            let known = if held { first.min(video_end.saturating_sub(1)) } else { first };
            let open = segments.end == count && !held && !sparse && plan.route != Route::Passthrough;
            units.push(Unit {
                number: u32::try_from(units.len()).unwrap_or(u32::MAX),
                outputs,
                segments,
                first,
                frames: end - first,
                preroll: first - known.saturating_sub(gap),
                open,
                sparse,
                effort,
                threads,
            });
        };
        if !seekable {
            // It can only be read from its start, so each unit reads all of it.
            let (first, others) = all.split_at(1);
            let alone = if others.is_empty() { slots } else { 1 };
            add(self, first.iter().map(|r| (*r, 0)).collect(), 0..count, self.effort, alone);
            if !others.is_empty() {
                let threads = slots.saturating_sub(1).max(1);
                add(self, others.iter().map(|r| (*r, 0)).collect(), 0..count, self.effort, threads);
            }
        } else if count == 1 {
            // There is nothing to do side by side, so one run takes all the slots, however its frames come.
            add(self, vec![(start, 0)], 0..1, Effort::Opener, slots);
            if all.len() > 1 {
                add(self, all[1..].iter().map(|r| (*r, 0)).collect(), 0..1, self.effort, slots);
            }
        } else if sparse {
            add(self, vec![(start, 0)], 0..1, Effort::Opener, slots);
            let others: Vec<_> = all.iter().filter(|r| **r != start).map(|r| (*r, 0)).collect();
            for index in 1..count {
                add(self, vec![(start, 0)], index..index + 1, self.effort, 1);
            }
            for index in 0..count {
                if !others.is_empty() {
                    add(self, others.clone(), index..index + 1, self.effort, 1);
                }
            }
        } else {
            add(self, vec![(start, 0)], 0..1, Effort::Opener, slots);
            let chunks = self.chunks(slots);
            let pixels: u64 = self.rungs.iter().map(|rung| rung.size.pixels()).sum();
            let together = pixels * self.grid.rate.millis() / 1000 <= PIXELS_TOGETHER_MAX * u64::from(slots);
            if together || all.len() == 1 {
                // Fast enough to stay ahead of playback with all rungs at once: then each stretch is decoded only once.
                for chunk in chunks {
                    add(self, all.iter().map(|r| (*r, u32::from(*r == start))).collect(), chunk, self.effort, 1);
                }
            } else {
                for chunk in &chunks {
                    let chunk = chunk.start.max(1)..chunk.end;
                    if !chunk.is_empty() {
                        add(self, vec![(start, 1)], chunk, self.effort, 1);
                    }
                }
                for chunk in chunks {
                    add(self, all[1..].iter().map(|r| (*r, 0)).collect(), chunk, self.effort, 1);
                }
            }
        }
        self.units = units;
    }

    /// Frames that are decoded and thrown away by an encoder that begins at `frame`.
    pub(super) fn frames_wasted(&self, frame: u64) -> u64 {
        let us = self.grid.micros_at(frame).saturating_add(self.grid.micros_at(1) / 2);
        let before = self.source.keys_us.partition_point(|key| *key <= us).checked_sub(1);
        let key = before.and_then(|place| self.source.keys_us.get(place)).copied();
        key.map_or(0, |key| self.grid.rate.frames_in(us.saturating_sub(key)))
    }

    /// Stretches of whole segments, even enough that all slots finish together. The last takes up the tail.
    fn chunks(&self, slots: u32) -> Vec<Range<u32>> {
        let count = u32::try_from(self.cuts.len()).unwrap_or(u32::MAX);
        let secs = u32::try_from(self.source.duration_us / 1_000_000).unwrap_or(u32::MAX);
        let wanted = (secs / slots).clamp(CHUNK_SECS_MIN, CHUNK_SECS_MAX);
        let pieces = (secs / wanted + u32::from(secs % wanted >= CHUNK_SECS_MIN)).clamp(1, count);
        // As many pieces as slots divide evenly, so that none waits for a last one alone, unless that makes them too short.
        let even = pieces.next_multiple_of(slots).min(count);
        let pieces = if secs / even >= CHUNK_SECS_MIN { even } else { pieces };
        let total = self.cuts.last().map_or(0, Cut::end);
        // By time rather than by number: the first segments are shorter.
        let near_max = total / u64::from(pieces) * NEAR_SHARE / 100;
        // The first begins where the source does, even if another cut near it lies closer behind a key frame.
        let mut starts: Vec<u32> = std::iter::once(0)
            .chain((1..pieces).map(|piece| {
                let at = total * u64::from(piece) / u64::from(pieces);
                // Cuts rise, so the nearest is one of the two around the place, and those near enough stand together.
                let from = |at: u64| self.cuts.partition_point(|cut| cut.first < at);
                let around = self.cuts[from(at).saturating_sub(1)..].iter().take(2);
                let nearest = around.map(|cut| cut.first.abs_diff(at)).min().unwrap_or(0);
                let away_max = near_max.max(nearest);
                let (start, end) = (from(at.saturating_sub(away_max)), from(at.saturating_add(away_max + 1)));
                let near = (start..end).zip(&self.cuts[start..end]);
                // Of the cuts that are near enough, the one before which the least is decoded for nothing.
                let best = near.min_by_key(|(_, cut)| (self.frames_wasted(cut.first), cut.first.abs_diff(at)));
                best.and_then(|(index, _)| u32::try_from(index).ok()).unwrap_or(0)
            }))
            .collect();
        starts.dedup();
        let ends = starts.iter().skip(1).copied().chain([count]).collect::<Vec<_>>();
        starts.into_iter().zip(ends).map(|(start, end)| start..end).collect()
    }
}

/// Seconds of a stretch: shorter ones waste decoding before their first frame, longer ones are much to redo.
const CHUNK_SECS_MIN: u32 = 4;
const CHUNK_SECS_MAX: u32 = 15;
/// How far from its even place a stretch may begin, in hundredths of a stretch: the farther, the less even the stretches,
/// and the longer one slot works alone at the end.
const NEAR_SHARE: u64 = 15;
/// Pixels a second that one slot surely encodes faster than they are played.
const PIXELS_TOGETHER_MAX: u64 = 50_000_000;
/// The longest gap that is looked across for what is on screen.
const GAP_US_MAX: u64 = 60_000_000;
/// What is looked across when nothing is known.
const GAP_US_UNKNOWN: u64 = 10_000_000;

#[cfg(test)]
mod tests {
    use crate::media::plan::tests::source;
    use crate::media::plan::{Effort, Policy, plan};
    use crate::media::probe::{Cadence, Rate};

    /// The seconds at which the stretches of a minute of 720p begin, whose decoding can start at `keys_us`.
    fn starts(keys_us: Vec<u64>) -> Vec<u64> {
        let mut source = source(1280, 720, 60);
        source.keys_us = keys_us;
        let plan = plan(&source, None, &Policy::default());
        let stretches = plan.units.iter().skip(1).map(|unit| plan.grid.micros_at(unit.first) / 1_000_000);
        stretches.collect()
    }

    #[test]
    fn a_key_frame_close_behind_the_second_cut_does_not_cost_the_first_segment() {
        let mut source = source(1280, 720, 60);
        let video = source.video.as_mut().unwrap();
        video.rate = Rate::new(25, 1).unwrap();
        (video.native, video.frames) = (video.rate, None);
        source.keys_us = vec![0, 2_010_000];
        let plan = plan(&source, None, &Policy::default());
        assert_eq!(plan.fault(), None);
    }

    #[test]
    fn what_is_waited_for_and_what_stands_alone_take_all_the_slots_also_when_frames_come_unevenly() {
        for (secs, cadence, alone) in [
            (2, Cadence::Constant, 2),
            (2, Cadence::Variable, 2),
            (60, Cadence::Constant, 1),
            (60, Cadence::Variable, 1),
        ] {
            let mut source = source(1920, 1080, secs);
            if let Some(video) = &mut source.video {
                video.cadence = cadence;
            }
            let plan = plan(&source, None, &Policy { slots: 4, ..Policy::default() });
            let first = &plan.units[0];
            assert_eq!((first.effort, first.threads, first.sparse), (Effort::Opener, 4, cadence == Cadence::Variable));
            assert!(plan.units.iter().take(alone).all(|unit| unit.threads == 4), "{secs} {cadence:?}");
            assert!(plan.units.iter().skip(alone).all(|unit| unit.threads == 1), "{secs} {cadence:?}");
            assert_eq!(plan.fault(), None);
        }
    }

    #[test]
    fn a_stretch_begins_at_the_near_cut_before_which_the_least_is_decoded_for_nothing() {
        let keys = |all: &[u64]| all.iter().map(|secs| secs * 1_000_000).collect();
        assert_eq!(starts(Vec::new()), [0, 16, 28, 44], "where nothing is known, evenly");
        // The cuts at 28 s and at 32 s are equally far from the middle.
        assert_eq!(starts(keys(&[0, 25, 33])), [0, 16, 28, 44]);
        assert_eq!(starts(keys(&[0, 31, 47])), [0, 16, 32, 44]);
        // The cut at 12 s would be free, and is too far from a quarter: stretches stay even.
        assert_eq!(starts(keys(&[0, 12, 31])), [0, 16, 32, 44]);
    }
}
