//! Which renditions a source is encoded to, how large each is and how many bits it may spend.

use crate::artifact::Rendition;
use crate::media::probe::{Rate, Video};

/// A picture's size in square pixels.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Size {
    /// Pixels from left to right.
    pub width: u32,
    /// Pixels from top to bottom.
    pub height: u32,
}

impl Size {
    /// The shorter side, by which rungs are named: a portrait phone clip of 1080 × 1920 is 1080p.
    pub const fn short_side(self) -> u32 {
        if self.width < self.height { self.width } else { self.height }
    }

    /// How many pixels it has.
    pub const fn pixels(self) -> u64 {
        self.width as u64 * self.height as u64
    }

    /// The largest size with even sides that is not larger.
    pub const fn even(self) -> Self {
        Self { width: self.width - self.width % 2, height: self.height - self.height % 2 }
    }

    /// This picture with a short side of `short_side`, and even sides. The shape is kept to within a pixel.
    pub fn scaled_to(self, short_side: u32) -> Self {
        let long = self.width.max(self.height);
        let exact = u64::from(long) * u64::from(short_side);
        let half = exact.div_ceil(u64::from(self.short_side().max(1)) * 2).max(1);
        // Round to the nearest even number: div_ceil above may be one pair too far.
        let low = (half - 1) * 2;
        let high = half * 2;
        let short = u64::from(self.short_side().max(1));
        let nearest = if exact - low * short < (high * short).saturating_sub(exact) { low.max(2) } else { high };
        let long = u32::try_from(nearest).unwrap_or(u32::MAX);
        let short_side = short_side - short_side % 2;
        if self.width < self.height {
            Self { width: short_side, height: long }
        } else {
            Self { width: long, height: short_side }
        }
    }
}

/// What a minute of playback is counted as. Portrait and landscape of one size are one tier.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Tier {
    /// No picture.
    AudioOnly,
    /// Up to 1280 × 720.
    P720,
    /// Up to 1920 × 1080.
    P1080,
    /// Up to 2560 × 1440 and somewhat above: 4,194,304 pixels.
    K2,
    /// More than that.
    K4,
}

impl Tier {
    /// Every tier, smallest first.
    pub const ALL: &[Self] = &[Self::AudioOnly, Self::P720, Self::P1080, Self::K2, Self::K4];

    /// The tier that [`Tier::as_str`] calls `word`.
    pub fn of_word(word: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|tier| tier.as_str() == word)
    }

    /// The tier of a picture of this size.
    pub const fn of(size: Size) -> Self {
        match size.pixels() {
            0..=921_600 => Self::P720,
            921_601..=2_073_600 => Self::P1080,
            2_073_601..=4_194_304 => Self::K2,
            _ => Self::K4,
        }
    }

    /// The word for it in APIs and invoices.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AudioOnly => "audio_only",
            Self::P720 => "720p",
            Self::P1080 => "1080p",
            Self::K2 => "2k",
            Self::K4 => "4k",
        }
    }
}

/// One rung of the ladder.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Rung {
    /// Its name.
    pub rendition: Rendition,
    /// The size of its pictures: both sides even, none larger than the source's.
    pub size: Size,
    /// The most bits it may spend, in thousands per second, over any second or two.
    pub kbps_max: u32,
}

/// What a caller may choose about the ladder.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct LadderPolicy {
    /// Fixed rungs that may be used, lowest first.
    pub rungs: Vec<Rendition>,
    /// Whether a source between two rungs gets a rung of its own size, when that is at least 1.2 times the rung below.
    pub source_size: bool,
}

impl Default for LadderPolicy {
    fn default() -> Self {
        Self { rungs: Rendition::RUNGS.to_vec(), source_size: true }
    }
}

/// The rungs for `video`, lowest first; never empty, and none larger than the picture.
///
/// `kbps` is what the source itself spends on the picture, if known: no rung may spend much more.
pub fn ladder(video: &Video, rate: Rate, kbps: Option<u32>, policy: &LadderPolicy) -> Vec<Rung> {
    let own = video.display;
    let short = own.short_side();
    let rung = |rendition, size: Size| Rung { rendition, size, kbps_max: cap(size, rate, kbps, &video.codec) };
    let mut rungs: Vec<Rung> = policy
        .rungs
        .iter()
        .filter_map(|rendition| rendition.short_side().map(|side| (*rendition, side)))
        .filter(|(_, side)| *side <= short)
        .map(|(rendition, side)| rung(rendition, if side == short { own.even() } else { own.scaled_to(side) }))
        .collect();
    rungs.sort_by_key(|rung| rung.size.pixels());
    let below = rungs.last().map_or(0, |top| top.size.short_side());
    let above = Rendition::RUNGS.iter().filter_map(|r| r.short_side()).any(|side| side > short);
    let between = policy.source_size && above && u64::from(short) * 10 >= u64::from(below) * 12;
    if rungs.is_empty() || between {
        rungs.push(rung(Rendition::Source, own.even()));
    }
    rungs
}

/// The most that a rung of this size and rate may spend, in kb/s, whatever its source spends.
pub(super) fn cap_of(size: Size, rate: Rate) -> u32 {
    cap(size, rate, None, "h264")
}

/// The most that a picture of this size may spend, in kb/s.
fn cap(size: Size, rate: Rate, source_kbps: Option<u32>, codec: &str) -> u32 {
    let pixels = size.pixels();
    let above = CAPS.iter().position(|(known, _)| *known >= pixels).unwrap_or(CAPS.len() - 1);
    let (low, high) = if above == 0 { ((0, 0), CAPS[0]) } else { (CAPS[above - 1], CAPS[above]) };
    let share = (pixels.min(high.0) - low.0) * (high.1 - low.1) / (high.0 - low.0).max(1);
    let mut cap = low.1 + share;
    if rate.millis() > 30_500 {
        cap = cap * 14 / 10;
    }
    if let Some(kbps) = source_kbps {
        // A newer codec says as much in half the bits; H.264 needs twice the source's to say it again.
        let factor = if matches!(codec, "hevc" | "vp9" | "av1" | "vvc") { 22 } else { 11 };
        cap = cap.min(u64::from(kbps) * factor / 10);
    }
    u32::try_from(cap.max(KBPS_MIN)).unwrap_or(u32::MAX)
}

/// Pixels and the most kb/s for them; between two rows the cap grows with the pixels.
const CAPS: [(u64, u64); 6] = [
    (640 * 360, 800),
    (854 * 480, 1400),
    (1280 * 720, 2800),
    (1920 * 1080, 5000),
    (2560 * 1440, 9000),
    (3840 * 2160, 16_000),
];
/// No rung spends less: below this a rate limiter does harm and saves nothing.
const KBPS_MIN: u64 = 150;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::media::probe::tests::video;

    #[track_caller]
    fn check(width: u32, height: u32, expect: &[&str]) {
        let video = video(Size { width, height });
        let ladder = ladder(&video, video.rate, None, &LadderPolicy::default());
        let told: Vec<String> = ladder
            .iter()
            .map(|r| format!("{} {}x{} {}", r.rendition, r.size.width, r.size.height, r.kbps_max))
            .collect();
        assert_eq!(told, expect);
    }

    #[test]
    fn rungs_go_by_the_short_side_and_never_up() {
        check(1920, 1080, &["360p 640x360 800", "480p 854x480 1400", "720p 1280x720 2800", "1080p 1920x1080 5000"]);
        check(1080, 1920, &["360p 360x640 800", "480p 480x854 1400", "720p 720x1280 2800", "1080p 1080x1920 5000"]);
        check(1046, 576, &["360p 654x360 816", "480p 872x480 1423", "src 1046x576 1926"]);
        check(427, 241, &["src 426x240 355"]);
        check(640, 360, &["360p 640x360 800"]);
        check(848, 480, &["360p 636x360 795", "480p 848x480 1390"]);
        check(960, 540, &["360p 640x360 800", "480p 854x480 1400"]);
        check(
            7680,
            4320,
            &[
                "360p 640x360 800",
                "480p 854x480 1400",
                "720p 1280x720 2800",
                "1080p 1920x1080 5000",
                "1440p 2560x1440 9000",
                "2160p 3840x2160 16000",
            ],
        );
    }

    #[test]
    fn a_caller_chooses_the_rungs() {
        let video = video(Size { width: 1920, height: 1080 });
        let policy = LadderPolicy { rungs: vec![Rendition::P720, Rendition::P1080], source_size: false };
        let names: Vec<_> = ladder(&video, video.rate, None, &policy).iter().map(|r| r.rendition).collect();
        assert_eq!(names, [Rendition::P720, Rendition::P1080]);
    }

    #[test]
    fn a_rung_spends_little_more_than_its_source() {
        let video = video(Size { width: 1280, height: 720 });
        let ladder = ladder(&video, video.rate, Some(1000), &LadderPolicy::default());
        assert_eq!(ladder.iter().map(|r| r.kbps_max).collect::<Vec<_>>(), [800, 1100, 1100]);
    }

    proptest! {
        #[test]
        fn every_ladder_is_even_rising_and_within_its_source(width in 16_u32..8193, height in 16_u32..8193) {
            let video = video(Size { width, height });
            let rungs = ladder(&video, video.rate, None, &LadderPolicy::default());
            prop_assert!(!rungs.is_empty());
            for rung in &rungs {
                prop_assert!(rung.size.width.is_multiple_of(2) && rung.size.height.is_multiple_of(2));
                prop_assert!(rung.size.width <= width.max(2) && rung.size.height <= height.max(2), "{rung:?}");
            }
            for pair in rungs.windows(2) {
                prop_assert!(pair[0].size.pixels() < pair[1].size.pixels());
                prop_assert!(pair[0].kbps_max <= pair[1].kbps_max);
            }
        }

        #[test]
        fn portrait_and_landscape_are_one_tier(width in 1_u32..8193, height in 1_u32..8193) {
            let turned = Size { width: height, height: width };
            prop_assert_eq!(Tier::of(Size { width, height }), Tier::of(turned));
        }
    }
}
