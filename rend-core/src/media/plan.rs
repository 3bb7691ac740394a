//! What will exist, where each cut falls, and in which order it is made and published.
//!
//! [`plan`] is a pure function: equal sources and policies give equal plans with equal [`Plan::id`]s. All renditions
//! share one list of cuts, counted in frames of one grid, so that their segments begin at the same instant to the tick.

use std::fmt::Write as _;
use std::ops::Range;

use crate::artifact::{ArtifactPath, Rendition};
use crate::media::ladder::{LadderPolicy, Rung, Size, Tier, ladder};
use crate::media::probe::{PacketScan, Rate, Source};
use crate::media::sounds::{Sound, sounds};

mod cost;
mod holds;

pub use cost::{NS_PER_PIXEL, RunLimit};
#[doc(hidden)]
pub use holds::plans_hold;

/// All that is decided about one source.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Plan {
    /// A digest of everything below: another attempt at the same plan has the same.
    pub id: String,
    /// The source it was made for.
    pub source: Source,
    /// Where its renditions come from.
    pub route: Route,
    /// The rungs, lowest first; empty for sound alone.
    pub rungs: Vec<Rung>,
    /// The grid that every cut lies on.
    pub grid: Grid,
    /// The cuts as the probe lets expect them. Only the last two may still move, when the source's length was misstated.
    pub cuts: Vec<Cut>,
    /// Whole seconds that no segment, rounded, is longer than.
    pub target_secs: u32,
    /// Whether there is sound in every rendition of the pictures, or sound alone.
    pub sound: bool,
    /// The sounds that have renditions of their own, the one that is heard by default first. Then the pictures have none.
    pub sounds: Vec<Sound>,
    /// The encoder runs, in the order they are started.
    pub units: Vec<Unit>,
    /// How much quality is bought with time in all but the opener.
    pub effort: Effort,
}

/// Where renditions come from.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Route {
    /// Everything is decoded and encoded.
    Transcode,
    /// The source itself is the top rung; those below it are encoded and cut where it is cut.
    Passthrough,
}

/// Evenly spaced instants, in ticks of a timescale in which each is a whole number.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Grid {
    /// Frames a second.
    pub rate: Rate,
    /// Ticks a second.
    pub timescale: u32,
    /// Ticks a frame.
    pub ticks: u32,
    /// Frames from one key frame to the next: about two seconds.
    pub gop: u32,
}

impl Grid {
    fn new(rate: Rate) -> Self {
        let fine = TIMESCALE_MIN.div_ceil(rate.num()).max(1);
        let gop = u32::try_from(rate.frames_in(GOP_US)).unwrap_or(u32::MAX).max(1);
        Self { rate, timescale: rate.num().saturating_mul(fine), ticks: rate.den().saturating_mul(fine), gop }
    }

    /// When `frame` begins, in ticks.
    pub fn ticks_at(&self, frame: u64) -> u64 {
        frame.saturating_mul(self.ticks.into())
    }

    /// When `frame` begins, in microseconds.
    pub fn micros_at(&self, frame: u64) -> u64 {
        self.rate.micros_at(frame)
    }
}

/// One segment's place on the grid.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Cut {
    /// Its first frame.
    pub first: u64,
    /// How many frames it has.
    pub frames: u64,
}

impl Cut {
    /// The first frame after it.
    pub const fn end(&self) -> u64 {
        self.first + self.frames
    }
}

/// How much quality is bought with time.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Effort {
    /// For the first seconds of the first rung, which somebody waits for.
    Opener,
    /// For everything else, by default.
    Usual,
    /// For small files, at about twice the time.
    Thorough,
}

/// One run of the encoder.
///
/// It decodes one stretch of the source once and encodes it for one rung or several.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Unit {
    /// Its place in [`Plan::units`].
    pub number: u32,
    /// The rungs, and for each the first segment that counts: earlier ones are another unit's.
    pub outputs: Vec<(Rendition, u32)>,
    /// The segments in its stretch.
    pub segments: Range<u32>,
    /// Its first frame on the grid.
    pub first: u64,
    /// How many frames it has; exact unless [`Self::open`].
    pub frames: u64,
    /// Frames that are decoded before the first and thrown away, so that what is on screen at the first is known.
    pub preroll: u64,
    /// Whether it takes all there is to the source's end, however much that turns out to be.
    pub open: bool,
    /// Whether frames that repeat the one before are left out, so that a gap in the source stays a gap.
    pub sparse: bool,
    /// How much quality is bought with time.
    pub effort: Effort,
    /// How many threads encode one rung.
    pub threads: u32,
}

impl Unit {
    /// Whether somebody waits for it: the first segments of the first rung.
    pub fn is_opener(&self) -> bool {
        self.effort == Effort::Opener || self.segments.start == 0 && self.number == 0
    }
}

impl Unit {
    /// Frames of its stretch that are another unit's, for an output whose first own segment is `from`.
    pub fn skipped(&self, plan: &Plan, from: u32) -> u64 {
        let own = usize::try_from(from).ok().and_then(|from| plan.cuts.get(from));
        own.map_or(0, |cut| cut.first.saturating_sub(self.first))
    }
}

/// What a caller may choose.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Policy {
    /// The ladder.
    pub ladder: LadderPolicy,
    /// Encoders that run side by side.
    pub slots: u32,
    /// How much quality is bought with time.
    pub effort: Effort,
    /// Whether a source that plays as it is is passed through, and only what is below it is encoded.
    pub passthrough: bool,
}

impl Default for Policy {
    fn default() -> Self {
        Self { ladder: LadderPolicy::default(), slots: 2, effort: Effort::Usual, passthrough: true }
    }
}

/// The plan for `source`. `scan` is what its packets' time stamps say, wanted for a source whose cadence is
/// [`Cadence::Variable`](crate::media::probe::Cadence::Variable).
pub fn plan(source: &Source, scan: Option<&PacketScan>, policy: &Policy) -> Plan {
    let slots = policy.slots.clamp(1, SLOTS_MAX);
    let sounds: Vec<Sound> = sounds(source).into_iter().map(|(sound, _)| sound).collect();
    let sound = source.audio.is_some() && sounds.is_empty();
    let Some(video) = &source.video else {
        let grid = Grid { timescale: SOUND_HZ, ticks: SOUND_FRAME, ..Grid::new(SOUND_RATE) };
        let total = grid.rate.frames_in(source.duration_us).max(1);
        let cuts = cuts(total, grid.gop, &[]);
        return Plan {
            id: String::new(),
            source: source.clone(),
            route: Route::Transcode,
            rungs: Vec::new(),
            grid,
            target_secs: target_secs(&grid, &cuts, 0),
            cuts,
            sound,
            sounds,
            units: Vec::new(),
            effort: policy.effort,
        }
        .sealed();
    };
    let grid = Grid::new(video.rate);
    let total = total_frames(source).max(1);
    let cuts = cuts(total, grid.gop, &[]);
    let rungs = ladder(video, video.rate, video.kbps, &policy.ladder);
    let mut plan = Plan {
        id: String::new(),
        source: source.clone(),
        route: Route::Transcode,
        rungs,
        grid,
        target_secs: target_secs(&grid, &cuts, if sounds.is_empty() { 0 } else { SOUND_FRAME_US }),
        cuts,
        sound,
        sounds,
        units: Vec::new(),
        effort: policy.effort,
    };
    plan.lay_out_units(scan, slots);
    plan.sealed()
}

impl Plan {
    /// Every rendition: the pictures', lowest first, then the sounds'.
    pub fn all_renditions(&self) -> Vec<Rendition> {
        let mut all = self.renditions();
        all.extend(self.sounds.iter().map(|sound| sound.rendition));
        all
    }

    /// The renditions of the pictures, lowest first; without pictures that of the sound.
    pub fn renditions(&self) -> Vec<Rendition> {
        if self.rungs.is_empty() {
            let lang = self.source.audio.as_ref().map_or(crate::artifact::Lang::UND, |audio| audio.lang);
            return vec![Rendition::Audio(lang)];
        }
        self.rungs.iter().map(|rung| rung.rendition).collect()
    }

    /// The rendition that playback starts with.
    pub fn start(&self) -> Rendition {
        self.renditions().first().copied().unwrap_or(Rendition::Source)
    }

    /// What a minute of it is counted as, by its largest rung.
    pub fn tier(&self) -> Tier {
        self.rungs.last().map_or(Tier::AudioOnly, |rung| Tier::of(rung.size))
    }

    /// This plan for the renditions that are left when one could not be made. Its units are still those of all.
    #[must_use]
    pub fn without(&self, lost: Rendition) -> Self {
        let mut left = self.clone();
        left.rungs.retain(|rung| rung.rendition != lost);
        left.sounds.retain(|sound| sound.rendition != lost);
        left
    }

    /// This plan for the rungs smaller than `top` alone, which is passed through and cut at `cuts`. These cuts do not move,
    /// and sounds with renditions of their own are passed through as well.
    pub(super) fn below(
        mut self,
        top: Size,
        cuts: Vec<Cut>,
        target_secs: u32,
        scan: Option<&PacketScan>,
        slots: u32,
    ) -> Self {
        self.route = Route::Passthrough;
        self.rungs.retain(|rung| rung.size.pixels() < top.pixels());
        (self.cuts, self.target_secs) = (cuts, target_secs);
        self.sounds.clear();
        self.lay_out_units(scan, slots.clamp(1, SLOTS_MAX));
        self.sealed()
    }

    /// The cuts once the source turned out to have `total` frames, given the first `fixed` are published already.
    pub fn settled(&self, total: u64, fixed: usize) -> Vec<Cut> {
        cuts(total, self.grid.gop, self.cuts.get(..fixed.min(self.cuts.len())).unwrap_or_default())
    }

    /// The length of a cut in microseconds, as the difference of rounded instants, so that the lengths add up.
    pub fn micros_of(&self, cut: &Cut) -> u64 {
        self.grid.micros_at(cut.end()) - self.grid.micros_at(cut.first)
    }

    /// Everything that will be published, what is wanted soonest first. A cache warms in this order and evicts against it.
    pub fn artifacts(&self) -> Vec<ArtifactPath> {
        let renditions = self.renditions();
        let start = self.start();
        let count = u32::try_from(self.cuts.len()).unwrap_or(u32::MAX);
        let others = || renditions.iter().copied().filter(|r| *r != start);
        let segment = |rendition, index| ArtifactPath::Segment { rendition, index };
        // Nothing is played without the sound that is heard by default; the other sounds come last.
        let heard = self.sounds.first().map(|sound| sound.rendition);
        let unheard: Vec<Rendition> = self.sounds.iter().skip(1).map(|sound| sound.rendition).collect();
        let mut order = vec![ArtifactPath::Master];
        for rendition in std::iter::once(start).chain(heard) {
            order.extend([ArtifactPath::Variant(rendition), ArtifactPath::Init(rendition), segment(rendition, 0)]);
        }
        if !self.rungs.is_empty() {
            order.push(ArtifactPath::Opener);
        }
        if count > 1 {
            order.extend(std::iter::once(start).chain(heard).map(|rendition| segment(rendition, 1)));
        }
        for rendition in others().chain(unheard.iter().copied()) {
            order.extend([ArtifactPath::Variant(rendition), ArtifactPath::Init(rendition)]);
        }
        for index in 0..count.min(2) {
            order.extend(others().chain(unheard.iter().copied()).map(|rendition| segment(rendition, index)));
        }
        for index in 2..count {
            order.extend(heard.map(|rendition| segment(rendition, index)));
            order.extend(renditions.iter().chain(&unheard).map(|rendition| segment(*rendition, index)));
        }
        if !self.rungs.is_empty() {
            order.extend(renditions.iter().take(IFRAME_LISTS).map(|rendition| ArtifactPath::IFrames(*rendition)));
            order.extend([ArtifactPath::Poster, ArtifactPath::ThumbSprite, ArtifactPath::ThumbTrack]);
        }
        order
    }

    /// The first `items_max` of [`Self::artifacts`]: what an edge is asked to fetch ahead of viewers.
    pub fn warm(&self, items_max: usize) -> Vec<ArtifactPath> {
        let mut order = self.artifacts();
        // The storyboard comes last, may be missing, and nobody waits for it.
        order.retain(|path| !matches!(path, ArtifactPath::ThumbSprite | ArtifactPath::ThumbTrack));
        order.truncate(items_max);
        order
    }

    /// With its digest: 128 bits of FNV-1a over everything else, written out.
    fn sealed(mut self) -> Self {
        self.id.clear();
        let mut hash = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d_u128;
        let mut text = String::new();
        let _ = write!(text, "{PLAN_VERSION} {self:?}");
        for byte in text.bytes() {
            hash = (hash ^ u128::from(byte)).wrapping_mul(0x0000_0000_0100_0000_0000_0000_0000_013B);
        }
        self.id = format!("{hash:032x}");
        self
    }
}

/// Renditions, lowest first, that get a key-frame list for seeking with pictures.
pub const IFRAME_LISTS: usize = 2;
/// Samples a second of all sound that Rend makes.
pub const SOUND_HZ: u32 = 48_000;
/// Channels of all sound that Rend makes.
pub const SOUND_CHANNELS: u32 = 2;
/// Samples in one frame of AAC.
pub const SOUND_FRAME: u32 = 1024;
/// The rate of AAC frames at 48 kHz: the grid of a source without pictures.
pub const SOUND_RATE: Rate = match Rate::new(SOUND_HZ, SOUND_FRAME) {
    Some(rate) => rate,
    None => panic!("a constant fraction"),
};
/// A frame of AAC-LC with two channels in which nothing is heard: one element for both, whose highest band is none, twice.
pub const SOUND_SILENT: [u8; 6] = [0x21, 0x00, 0x00, 0x00, 0x00, 0x1C];
/// How long a frame of AAC lasts at most, in microseconds: a sound that is cut beside a picture may be so much longer.
pub(super) const SOUND_FRAME_US: u64 = 23_220;
/// Encoders that run side by side at most.
pub const SLOTS_MAX: u32 = 64;
/// Goes up with every change that makes other bytes of the same plan, so that an older attempt is not continued.
const PLAN_VERSION: u32 = 10;
/// Ticks a second are at least this many, so that rounding to a tick is never heard or seen.
const TIMESCALE_MIN: u32 = 10_000;
/// The distance of key frames.
const GOP_US: u64 = 2_000_000;

fn total_frames(source: &Source) -> u64 {
    let Some(video) = &source.video else { return 0 };
    let by_time = video.rate.frames_in(source.duration_us);
    let counted = video.frames.filter(|_| video.rate == video.native && video.start_us == 0);
    match counted {
        // The count is exact where the clock is rounded, as long as both speak of the same frames.
        Some(frames) if frames.abs_diff(by_time) <= 2 => frames,
        _ => by_time,
    }
}

/// Whole seconds that every segment of `cuts`, rounded, stays within, also when it is `longer_us` longer: four, or less for
/// a clip of one segment.
fn target_secs(grid: &Grid, cuts: &[Cut], longer_us: u64) -> u32 {
    let longest = cuts.iter().map(|cut| grid.micros_at(cut.frames)).max().unwrap_or(0) + longer_us;
    let secs = u32::try_from(longest.div_ceil(1_000_000)).unwrap_or(u32::MAX).max(1);
    if cuts.len() > 1 {
        secs.max(TARGET_SECS).min(TARGET_SECS.max(u32::try_from((longest + 500_000) / 1_000_000).unwrap_or(secs)))
    } else {
        secs
    }
}

const TARGET_SECS: u32 = 4;

/// The cuts of `total` frames after those in `fixed`: two of one group of pictures, the rest of two, and no runt at the end.
fn cuts(total: u64, gop: u32, fixed: &[Cut]) -> Vec<Cut> {
    let gop = u64::from(gop);
    let mut cuts: Vec<Cut> = Vec::new();
    for cut in fixed {
        if cut.end() > total {
            break;
        }
        cuts.push(*cut);
    }
    let kept = cuts.len();
    let mut first = cuts.last().map_or(0, Cut::end);
    while first < total {
        let frames = if cuts.len() < 2 { gop } else { gop * 2 }.min(total - first);
        cuts.push(Cut { first, frames });
        first += frames;
    }
    // A last segment of less than half a target makes players stumble.
    if let [.., before, last] = cuts.as_slice()
        && last.frames < gop
        && cuts.len() - kept >= 2
    {
        let (start, both) = (before.first, before.frames + last.frames);
        cuts.truncate(cuts.len() - 2);
        if both <= gop * 2 {
            cuts.push(Cut { first: start, frames: both });
        } else {
            cuts.push(Cut { first: start, frames: gop });
            cuts.push(Cut { first: start + gop, frames: both - gop });
        }
    }
    cuts
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::artifact::Lang;
    use crate::media::probe::tests::video;
    use crate::media::probe::{Audio, Cadence};
    use crate::media::sniff::Container;

    pub(crate) fn source(width: u32, height: u32, secs: u64) -> Source {
        let mut video = video(Size { width, height });
        video.duration_us = secs * 1_000_000;
        video.frames = Some(secs * 30);
        let audio = Audio {
            index: 1,
            codec: "aac".to_owned(),
            channels: 2,
            sample_rate: 48_000,
            lang: Lang::UND,
            default: true,
            end_us: Some(secs * 1_000_000),
        };
        Source {
            container: Container::Mov,
            video: Some(video),
            audio: Some(audio),
            other_audio: Vec::new(),
            subtitles: Vec::new(),
            cover: None,
            duration_us: secs * 1_000_000,
            keys_us: Vec::new(),
            notes: Vec::new(),
        }
    }

    #[track_caller]
    fn check(total: u64, expect: &[u64]) {
        let cuts = cuts(total, 20, &[]);
        assert_eq!(cuts.iter().map(|c| c.frames).collect::<Vec<_>>(), expect, "{total}");
    }

    #[test]
    fn cuts_start_short_and_leave_no_runt() {
        check(1, &[1]);
        check(20, &[20]);
        check(35, &[35]);
        check(40, &[20, 20]);
        check(41, &[20, 21]);
        check(50, &[20, 30]);
        check(60, &[20, 20, 20]);
        check(80, &[20, 20, 40]);
        check(85, &[20, 20, 20, 25]);
        check(100, &[20, 20, 40, 20]);
    }

    #[test]
    fn a_plan_opens_with_two_seconds_of_the_lowest_rung() {
        let plan = plan(&source(1920, 1080, 60), None, &Policy::default());
        let first = &plan.units[0];
        assert_eq!(
            (first.outputs.as_slice(), first.frames, first.effort),
            (&[(Rendition::P360, 0)][..], 60, Effort::Opener)
        );
        assert_eq!(plan.target_secs, 4);
        assert_eq!(
            plan.warm(6).iter().map(ToString::to_string).collect::<Vec<_>>(),
            [
                "hls/master.m3u8",
                "hls/360p/index.m3u8",
                "hls/360p/init_360p.mp4",
                "hls/360p/segment_00000.m4s",
                "opener.mp4",
                "hls/360p/segment_00001.m4s",
            ]
        );
    }

    #[test]
    fn a_source_without_pictures_is_cut_between_sound_frames() {
        let mut source = source(640, 360, 10);
        source.video = None;
        let plan = plan(&source, None, &Policy::default());
        assert_eq!((plan.grid.timescale, plan.grid.ticks, plan.grid.gop), (48_000, 1024, 94));
        assert_eq!((plan.rungs.len(), plan.units.len(), plan.target_secs), (0, 0, 4));
        assert_eq!(plan.renditions(), [Rendition::Audio(Lang::UND)]);
    }

    #[test]
    fn what_can_not_be_sought_is_read_once_for_the_first_rung_and_once_for_the_others() {
        let mut source = source(1280, 720, 20);
        source.container = Container::MpegTs;
        let plan = plan(&source, None, &Policy::default());
        assert_eq!(plan.units.len(), 2);
        assert!(plan.units.iter().all(|unit| unit.open && unit.first == 0));
    }

    #[test]
    fn sounds_of_two_languages_are_warmed_as_the_first_picture_is() {
        let mut source = source(1920, 1080, 60);
        let other = source.audio.clone().unwrap();
        source.other_audio = vec![Audio { index: 2, lang: "deu".parse().unwrap(), ..other }];
        let plan = plan(&source, None, &Policy::default());
        assert!(!plan.sound);
        assert_eq!(plan.sounds.iter().map(|s| s.rendition.to_string()).collect::<Vec<_>>(), ["a-und", "a-deu"]);
        assert_eq!(
            plan.warm(10).iter().map(ToString::to_string).collect::<Vec<_>>(),
            [
                "hls/master.m3u8",
                "hls/360p/index.m3u8",
                "hls/360p/init_360p.mp4",
                "hls/360p/segment_00000.m4s",
                "hls/a-und/index.m3u8",
                "hls/a-und/init_a-und.mp4",
                "hls/a-und/segment_00000.m4s",
                "opener.mp4",
                "hls/360p/segment_00001.m4s",
                "hls/a-und/segment_00001.m4s",
            ]
        );
        let all = plan.artifacts();
        for (rendition, index) in plan.all_renditions().iter().flat_map(|r| (0..plan.cuts.len()).map(move |i| (*r, i)))
        {
            let segment = ArtifactPath::Segment { rendition, index: u32::try_from(index).unwrap() };
            assert_eq!(all.iter().filter(|path| **path == segment).count(), 1, "{segment}");
        }
        let left = plan.without(plan.sounds[1].rendition);
        assert_eq!((left.sounds.len(), left.rungs.len()), (1, plan.rungs.len()));
    }

    fn any_source() -> impl Strategy<Value = Source> {
        let rates =
            prop::sample::select(vec![(30, 1), (24_000, 1001), (25, 1), (60_000, 1001), (1, 1), (73, 10), (60, 1)]);
        let kind = prop::sample::select(vec![Container::Mov, Container::MpegTs]);
        let cadence = prop::sample::select(vec![Cadence::Constant, Cadence::Variable]);
        (16_u32..4000, 16_u32..4000, 1_u64..400_000_000, rates, kind, cadence, any::<bool>(), 0_u64..20_000_000)
            .prop_map(|(width, height, us, (num, den), container, cadence, sound, longer)| {
                let mut source = source(width, height, 1);
                let video = source.video.as_mut().unwrap();
                let rate = Rate::new(num, den).unwrap();
                (video.rate, video.native, video.cadence, video.frames, video.duration_us) =
                    (rate, rate, cadence, None, us);
                source.container = container;
                source.duration_us = us + if sound && longer > 500_000 { longer } else { 0 };
                if !sound {
                    source.audio = None;
                }
                source
            })
    }

    proptest! {
        #[test]
        fn the_first_sixteen_warm_items_play_four_seconds(source in any_source()) {
            let plan = plan(&source, None, &Policy::default());
            let warm = plan.warm(16);
            let start = plan.start();
            for needed in [ArtifactPath::Master, ArtifactPath::Variant(start), ArtifactPath::Init(start)] {
                prop_assert!(warm.contains(&needed));
            }
            let plays: u64 = plan.cuts.iter().zip(0..).filter(|(_, index)| {
                warm.contains(&ArtifactPath::Segment { rendition: start, index: *index })
            }).map(|(cut, _)| plan.micros_of(cut)).sum();
            let whole: u64 = plan.cuts.iter().map(|cut| plan.micros_of(cut)).sum();
            prop_assert!(plays >= whole.min(3_900_000), "{plays} of {whole}");
        }

        #[test]
        fn every_segment_of_every_rung_is_made_by_exactly_one_unit(source in any_source(), slots in 1_u32..9) {
            let plan = plan(&source, None, &Policy { slots, ..Policy::default() });
            for rung in &plan.rungs {
                for index in 0..plan.cuts.len() as u32 {
                    let makers = plan.units.iter().filter(|unit| {
                        unit.segments.contains(&index)
                            && unit.outputs.iter().any(|(r, from)| *r == rung.rendition && *from <= index)
                    }).count();
                    prop_assert_eq!(makers, 1, "{} {}", rung.rendition, index);
                }
            }
            for unit in &plan.units {
                prop_assert_eq!(unit.first, plan.cuts[unit.segments.start as usize].first);
                prop_assert!(unit.preroll <= unit.first);
            }
        }

        #[test]
        fn a_stretch_that_can_be_sought_is_short_enough_to_be_made_again(secs in 1_u64..4000, slots in 1_u32..9) {
            let plan = plan(&source(1280, 720, secs), None, &Policy { slots, ..Policy::default() });
            for unit in &plan.units {
                let us = plan.grid.micros_at(unit.first + unit.frames) - plan.grid.micros_at(unit.first);
                prop_assert!(us <= 18_000_000, "{us}");
                prop_assert!(us >= 2_000_000 || unit.frames == plan.cuts.iter().map(|cut| cut.frames).sum::<u64>(), "{us}");
            }
        }

        #[test]
        fn a_plan_without_a_rung_keeps_the_others_and_its_name(source in any_source()) {
            let plan = plan(&source, None, &Policy::default());
            let left = plan.without(plan.start());
            prop_assert_eq!(left.rungs.len() + 1, plan.rungs.len());
            prop_assert!(left.rungs.iter().all(|rung| plan.rungs.contains(rung) && rung.rendition != plan.start()));
            prop_assert_eq!(left.id, plan.id);
        }

        #[test]
        fn cuts_add_up_and_keep_the_target(source in any_source()) {
            let plan = plan(&source, None, &Policy::default());
            let mut next = 0;
            for cut in &plan.cuts {
                prop_assert_eq!(cut.first, next);
                prop_assert!((plan.micros_of(cut) + 500_000) / 1_000_000 <= u64::from(plan.target_secs));
                next = cut.end();
            }
            prop_assert!(plan.target_secs >= 1);
        }

        #[test]
        fn planning_again_gives_the_same(source in any_source()) {
            let (one, two) = (plan(&source, None, &Policy::default()), plan(&source, None, &Policy::default()));
            prop_assert_eq!(&one, &two);
            let other = plan(&source, None, &Policy { slots: 3, ..Policy::default() });
            prop_assert!(other.id != one.id || other.units == one.units);
        }

        #[test]
        fn a_source_that_ends_elsewhere_keeps_what_is_published(total in 1_u64..2000, real in 1_u64..2000, fixed in 0_usize..40) {
            let mut plan = plan(&source(640, 360, 10), None, &Policy::default());
            plan.cuts = cuts(total, 60, &[]);
            let settled = plan.settled(real, fixed);
            for (kept, was) in settled.iter().zip(plan.cuts.iter().take(fixed)).filter(|(_, was)| was.end() <= real) {
                prop_assert_eq!(kept, was);
            }
            prop_assert_eq!(settled.iter().map(|c| c.frames).sum::<u64>(), real);
        }
    }
}
