//! What runs of the encoder cost, before any of them is started, and what they may use at most.
//!
//! Work is priced in pixels: those that are decoded and those that are encoded. Programs that need many times what a slow
//! and busy machine would need for as many hang, and are ended rather than waited for.

use std::time::Duration;

use crate::media::plan::{Effort, Plan, Unit};
use crate::media::probe::{Transfer, Video};

/// What one run may use at most.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct RunLimit {
    /// Time by the clock on the wall.
    pub wall: Duration,
    /// Time of processors, of all its threads together.
    pub cpu: Duration,
}

impl RunLimit {
    /// What a run that costs `pixels` may use, beside `slots` runs that share its processors: `floor`, and
    /// [`NS_PER_PIXEL`] for each; by the clock on the wall as much for each slot, and never more than `most`.
    ///
    /// The run holds all slots if it must, so its processor time is bounded by `most` in each.
    pub fn of(pixels: u64, slots: u32, floor: Duration, most: Duration) -> Self {
        let slots = slots.max(1);
        let need = Duration::from_nanos(pixels.saturating_mul(NS_PER_PIXEL));
        Self {
            wall: floor.saturating_add(need.saturating_mul(slots)).min(most),
            cpu: floor.saturating_add(need).min(most.saturating_mul(slots)),
        }
    }

    /// `wall` by the clock on the wall, and as much processor time.
    pub const fn alike(wall: Duration) -> Self {
        Self { wall, cpu: wall }
    }
}

impl Unit {
    /// Its price in pixels: those of all pictures that are decoded for it, and those of all that are encoded, over all its
    /// outputs.
    ///
    /// Decoding starts at the key frame before what is wanted. Where that is not known, and in files that can only be read
    /// from their start, all that comes before is counted too. Pictures whose light has to be mapped, and those that are
    /// encoded thoroughly, count for more than one; and so does a stretch that is open, since nobody knows how long it is.
    pub fn cost(&self, plan: &Plan) -> u64 {
        let Some(video) = &plan.source.video else { return 0 };
        let from = self.first.saturating_sub(self.preroll);
        let before = if is_sought(plan) { plan.frames_wasted(from) } else { from };
        let frames = self.frames.saturating_add(self.preroll).saturating_add(before);
        let encoded = self.outputs.iter().fold(0_u64, |sum, (rendition, from)| {
            let rung = plan.rungs.iter().find(|rung| rung.rendition == *rendition);
            let frames = self.frames.saturating_sub(self.skipped(plan, *from));
            sum.saturating_add(rung.map_or(0, |rung| rung.size.pixels()).saturating_mul(frames))
        });
        let effort = if self.effort == Effort::Thorough { THOROUGH } else { 1 };
        let cost = decoded(plan, video, frames).saturating_add(encoded.saturating_mul(effort));
        cost.saturating_mul(if self.open { OPEN } else { 1 })
    }
}

impl Plan {
    /// The price in pixels of decoding all of its pictures, once.
    pub fn cost_to_decode(&self) -> u64 {
        let Some(video) = &self.source.video else { return 0 };
        decoded(self, video, self.grid.rate.frames_in(self.source.duration_us).max(1)).saturating_mul(OPEN)
    }

    /// The price in pixels of decoding and encoding all of one of its sounds: what takes as long.
    pub fn cost_of_sound(&self) -> u64 {
        (self.source.duration_us / 1_000_000).saturating_add(1).saturating_mul(PIXELS_PER_SECOND_OF_SOUND * OPEN)
    }
}

/// Whether decoding starts at the last key frame before an instant, and that is known.
fn is_sought(plan: &Plan) -> bool {
    plan.source.container.is_seekable() && !plan.source.keys_us.is_empty()
}

/// The pixels of the source over so many frames of the grid, which has fewer than the source when that has too many.
fn decoded(plan: &Plan, video: &Video, frames: u64) -> u64 {
    let (native, grid) = (video.native.millis().max(1), plan.grid.rate.millis().max(1));
    let frames = if native > grid { frames.saturating_mul(native).div_ceil(grid) } else { frames };
    let light = if video.transfer == Transfer::Sdr { 1 } else { MAPPED };
    video.coded.pixels().saturating_mul(frames).saturating_mul(light)
}

/// Nanoseconds of one processor in which a pixel is surely decoded or encoded.
///
/// One old processor that encodes 1080p at 30 frames a second twenty times slower than it is played takes 160 for each pixel
/// that it decodes or encodes; an ordinary one takes between two and ten.
pub const NS_PER_PIXEL: u64 = 200;
/// How many times an encoder that is thorough takes what the usual one takes, and some more.
const THOROUGH: u64 = 3;
/// How many times mapping its light makes a picture dearer to decode.
const MAPPED: u64 = 3;
/// How many times longer than it claims a source may turn out to be, where all there is of it is taken.
const OPEN: u64 = 4;
/// A second of sound takes as long as so many pixels: as long as it is played.
const PIXELS_PER_SECOND_OF_SOUND: u64 = 1_000_000_000 / NS_PER_PIXEL;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::artifact::Rendition;
    use crate::media::plan::tests::source;
    use crate::media::plan::{Policy, plan};
    use crate::media::probe::{Cadence, Rate, Source};
    use crate::media::sniff::Container;

    const MINUTE: Duration = Duration::from_secs(60);
    const DAY: Duration = Duration::from_secs(24 * 3600);

    /// The costs of the units of a minute of 720p, in pictures of 720p, rounded.
    #[track_caller]
    fn check(change: impl FnOnce(&mut Source, &mut Policy), expect: &[u64]) {
        let mut source = source(1280, 720, 60);
        source.keys_us = (0..30).map(|group| group * 2_000_000).collect();
        let mut policy = Policy::default();
        change(&mut source, &mut policy);
        let plan = plan(&source, None, &policy);
        let costs: Vec<u64> = plan.units.iter().map(|unit| unit.cost(&plan) / (1280 * 720)).collect();
        assert_eq!(costs, expect);
    }

    #[test]
    fn a_unit_costs_what_it_decodes_and_what_it_encodes() {
        // Rungs of 360, 480 and 720 lines are a quarter, 0.445 and one of the source's pixels.
        // The opener: 60 frames in and a quarter of 60 out. The first stretch: 480 frames in, and out 420 of the lowest.
        check(|_, _| {}, &[75, 1278, 970, 1293, 5174]);
        // What is decoded and thrown away counts as well: from the only key frame on.
        check(|source, _| source.keys_us = vec![0], &[75, 1278, 1450, 2133, 10454]);
        // Where nobody knows where decoding starts, it may start at the beginning.
        check(|source, _| source.keys_us.clear(), &[75, 1278, 1450, 2133, 10454]);
    }

    #[test]
    fn what_is_dear_to_decode_or_to_encode_counts_for_more() {
        check(|source, _| picture(source).transfer = Transfer::Pq, &[195, 2238, 1690, 2253, 9014]);
        check(|_, policy| policy.effort = Effort::Thorough, &[75, 2875, 2190, 2920, 11682]);
        // 240 frames a second are decoded, and 60 of them are encoded.
        let fast = |source: &mut Source| {
            let picture = picture(source);
            (picture.rate, picture.native, picture.frames) =
                (Rate::new(60, 1).unwrap(), Rate::new(240, 1).unwrap(), None);
        };
        check(|source, _| fast(source), &[510, 5437, 4100, 5467, 21868]);
    }

    #[test]
    fn what_can_not_be_sought_is_read_from_its_start_by_each_unit() {
        check(|source, _| source.container = Container::MpegTs, &[9000, 17602]);
        check(|source, _| picture(source).cadence = Cadence::Broken, &[9000, 17602]);
    }

    #[test]
    fn a_source_without_pictures_has_units_without_a_price_and_a_sound_with_one() {
        let mut source = source(1280, 720, 60);
        source.video = None;
        let plan = plan(&source, None, &Policy::default());
        assert_eq!((plan.cost_to_decode(), plan.units.len()), (0, 0));
        assert_eq!(plan.cost_of_sound() * NS_PER_PIXEL, 4 * 61 * 1_000_000_000);
    }

    #[test]
    fn a_limit_grows_with_the_price_and_with_what_runs_beside_it_up_to_the_most() {
        #[track_caller]
        fn check(pixels: u64, slots: u32, most: Duration, wall: u64, cpu: u64) {
            let limit = RunLimit::of(pixels, slots, MINUTE, most);
            assert_eq!((limit.wall.as_secs(), limit.cpu.as_secs()), (wall, cpu), "{pixels} {slots}");
        }
        check(0, 1, DAY, 60, 60);
        check(0, 0, DAY, 60, 60);
        check(1_000_000_000, 1, DAY, 260, 260);
        check(1_000_000_000, 4, DAY, 860, 260);
        check(1_000_000_000, 4, MINUTE * 5, 300, 260);
        check(10_000_000_000, 2, MINUTE * 5, 300, 600);
        check(u64::MAX, 64, DAY, 86_400, 64 * 86_400);
        assert_eq!(RunLimit::alike(MINUTE), RunLimit { wall: MINUTE, cpu: MINUTE });
    }

    #[test]
    fn the_stretches_of_an_ordinary_film_may_take_minutes_and_twenty_times_as_long_as_they_play() {
        let mut source = source(1920, 1080, 600);
        source.keys_us = (0..300).map(|group| group * 2_000_000).collect();
        let policy = Policy::default();
        let plan = plan(&source, None, &policy);
        let full = |unit: &&Unit| !unit.open && unit.outputs.iter().any(|(rung, _)| *rung == Rendition::P1080);
        assert!(plan.units.iter().filter(full).count() > 20);
        for unit in plan.units.iter().filter(full) {
            let limit = RunLimit::of(unit.cost(&plan), policy.slots, MINUTE, DAY);
            let plays = Duration::from_micros(plan.grid.micros_at(unit.frames));
            assert!(limit.wall >= plays * 20 * policy.slots, "{unit:?} {limit:?}");
            assert!(limit.cpu >= plays * 20, "{unit:?} {limit:?}");
            assert!(limit.wall <= MINUTE * 45, "{unit:?} {limit:?}");
        }
    }

    fn picture(source: &mut Source) -> &mut Video {
        source.video.as_mut().unwrap()
    }
}
