//! What holds for every plan, whatever the file says of itself and whatever a caller chooses.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::artifact::{ArtifactPath, Rendition};
use crate::media::ladder::LadderPolicy;
use crate::media::plan::{Cut, Effort, Plan, Policy, plan};
use crate::media::probe::{Limits, PacketScan, read};
use crate::media::sniff::Container;

impl Plan {
    /// The first rule of plans that this one breaks, in a sentence; `None` for every plan that [`plan`] gives.
    pub fn fault(&self) -> Option<String> {
        self.fault_of_cuts()
            .or_else(|| self.fault_of_rungs())
            .or_else(|| self.fault_of_units())
            .or_else(|| self.fault_of_order())
    }

    /// Cuts follow each other, none is empty, and none, rounded, is longer than what the lists announce.
    fn fault_of_cuts(&self) -> Option<String> {
        let mut next = 0;
        for cut in &self.cuts {
            if cut.first != next || cut.frames == 0 {
                return Some(format!("a cut of {} frames at {} where {next} is the next", cut.frames, cut.first));
            }
            let secs = (self.micros_of(cut) + 500_000) / 1_000_000;
            if secs > u64::from(self.target_secs) {
                return Some(format!("a segment of {secs} s where {} s are announced", self.target_secs));
            }
            next = cut.end();
        }
        (self.cuts.is_empty() || self.target_secs == 0).then(|| "nothing to play".to_owned())
    }

    /// Rungs rise, are even, and none is larger than the picture.
    fn fault_of_rungs(&self) -> Option<String> {
        let Some(video) = &self.source.video else {
            return (!self.rungs.is_empty()).then(|| "rungs of no picture".to_owned());
        };
        for rung in &self.rungs {
            let (width, height) = (rung.size.width, rung.size.height);
            let even = width.is_multiple_of(2) && height.is_multiple_of(2) && width > 0 && height > 0;
            if !even || width > video.display.width.max(2) || height > video.display.height.max(2) {
                return Some(format!("a rung of {width} × {height}"));
            }
        }
        let falls = self.rungs.windows(2).any(|pair| match pair {
            [low, high] => low.size.pixels() >= high.size.pixels() || low.kbps_max > high.kbps_max,
            _ => false,
        });
        falls.then(|| "a rung that does not rise above the one below".to_owned())
    }

    /// Every segment of every rung is made by exactly one unit, and units lie where their segments do.
    fn fault_of_units(&self) -> Option<String> {
        let mut makers = vec![0_u32; self.cuts.len() * self.rungs.len()];
        for (number, unit) in self.units.iter().enumerate() {
            let first = self.cuts.get(unit.segments.start as usize).map(|cut| cut.first);
            let end = unit.segments.end.checked_sub(1).and_then(|last| self.cuts.get(last as usize)).map(Cut::end);
            let lies = first == Some(unit.first) && end == Some(unit.first + unit.frames) && unit.preroll <= unit.first;
            if !lies
                || usize::try_from(unit.number).ok() != Some(number)
                || unit.outputs.is_empty()
                || unit.threads == 0
            {
                return Some(format!("unit {number} does not lie where its segments do"));
            }
            for (rendition, from) in &unit.outputs {
                let Some(place) = self.rungs.iter().position(|rung| rung.rendition == *rendition) else {
                    return Some(format!("unit {number} makes {rendition}, which is no rung"));
                };
                for index in unit.segments.start.max(*from)..unit.segments.end {
                    if let Some(made) = makers.get_mut(place * self.cuts.len() + index as usize) {
                        *made += 1;
                    }
                }
            }
        }
        makers.iter().any(|made| *made != 1).then(|| "a segment that is not made by exactly one unit".to_owned())
    }

    /// Nothing is named twice, and the first sixteen things that an edge fetches play four seconds, or all there is.
    fn fault_of_order(&self) -> Option<String> {
        let all = self.artifacts();
        let mut sorted = all.clone();
        sorted.sort_unstable();
        sorted.dedup();
        if sorted.len() != all.len() {
            return Some("an artifact that is named twice".to_owned());
        }
        let warm = self.warm(WARM_ITEMS);
        let heard = self.sounds.first().map(|sound| sound.rendition);
        if !warm.contains(&ArtifactPath::Master) {
            return Some("the list of all is not among the first that are fetched".to_owned());
        }
        std::iter::once(self.start()).chain(heard).find_map(|rendition| self.fault_of_warm(&warm, rendition))
    }

    fn fault_of_warm(&self, warm: &[ArtifactPath], rendition: Rendition) -> Option<String> {
        for needed in [ArtifactPath::Variant(rendition), ArtifactPath::Init(rendition)] {
            if !warm.contains(&needed) {
                return Some(format!("{needed} is not among the first that are fetched"));
            }
        }
        let is_warm = |index| warm.contains(&ArtifactPath::Segment { rendition, index });
        let first = self.cuts.iter().zip(0..WARM_SEGMENTS_MAX).filter(|(_, index)| is_warm(*index));
        let plays: u64 = first.map(|(cut, _)| self.micros_of(cut)).sum();
        let whole = self.cuts.last().map_or(0, |cut| self.grid.micros_at(cut.end()));
        // Two groups of pictures, each of which is rounded to whole frames.
        let frame = self.grid.micros_at(1);
        (plays < whole.min(4_000_000_u64.saturating_sub(frame)))
            .then(|| format!("only {plays} µs of {whole} µs are fetched ahead"))
    }
}

/// What must hold for any bytes, taken as the words of a probe, of a scan and of a caller: whatever is planned breaks no
/// rule, and planning it again gives the same. Answers how many segments and units there are.
#[doc(hidden)]
pub fn plans_hold(input: &[u8]) -> usize {
    let mut dice = Dice(input);
    let limits = Limits::default();
    let container = *dice.of(&[Container::Mov, Container::MpegTs, Container::Matroska]);
    let policy = dice.policy();
    let scan = dice.scan();
    let probe = dice.probe();
    let text = serde_json::to_vec(&probe).unwrap_or_default();
    let Ok(mut source) = read(&text, container, &limits) else { return 0 };
    source.keys_us = dice.keys();
    let untold = source.untold().is_some();
    let Ok(source) = (if untold { source.measured(&scan, &limits) } else { Ok(source) }) else { return 0 };
    assert!(source.duration_us <= limits.duration_secs_max * 1_000_000, "longer than the limit: {source:?}");
    if let Some(video) = &source.video {
        let size = video.display;
        assert!(size.pixels() <= limits.pixels_max && size.width.max(size.height) <= limits.side_max, "{video:?}");
        assert!(video.rate.millis() <= 60_000 && video.rate.millis() >= 1000, "{video:?}");
    }
    let scan = untold.then_some(&scan);
    let planned = plan(&source, scan, &policy);
    assert_eq!(planned.fault(), None, "{source:?} {policy:?}");
    assert_eq!(plan(&source, scan, &policy), planned, "planned again");
    let rungs = planned.rungs.len().max(1);
    assert!(planned.cuts.len() <= SEGMENTS_MAX && planned.units.len() <= 2 * planned.cuts.len() + 1, "{source:?}");
    planned.cuts.len() * rungs + planned.units.len()
}

/// Bytes that are used up as choices; once there are none left every choice is the first.
struct Dice<'a>(&'a [u8]);

impl Dice<'_> {
    fn number<const N: usize>(&mut self) -> u64 {
        let taken = self.0.len().min(N);
        let (now, rest) = self.0.split_at(taken);
        self.0 = rest;
        now.iter().rev().fold(0, |sum, byte| sum << 8 | u64::from(*byte))
    }

    fn below(&mut self, end: u64) -> u64 {
        self.number::<1>() % end.max(1)
    }

    fn of<'c, T>(&mut self, choices: &'c [T]) -> &'c T {
        let place = usize::try_from(self.below(choices.len() as u64)).unwrap_or(0);
        &choices[place]
    }

    fn policy(&mut self) -> Policy {
        let wanted = self.number::<1>();
        let rungs = Rendition::RUNGS.iter().zip(0..).filter(|(_, bit)| wanted >> bit & 1 == 0).map(|(rung, _)| *rung);
        Policy {
            ladder: LadderPolicy { rungs: rungs.collect(), source_size: wanted >> 7 == 0 },
            slots: u32::try_from(self.below(80)).unwrap_or(0),
            effort: *self.of(&[Effort::Usual, Effort::Thorough]),
            passthrough: false,
        }
    }

    fn scan(&mut self) -> PacketScan {
        let mut scan = PacketScan::default();
        let mut line = String::new();
        for _ in 0..self.below(32) {
            line.clear();
            let _ = match self.below(8) {
                0 => write!(line, "{}", self.number::<4>()),
                1 => write!(line, "-{}", self.number::<2>()),
                2 => write!(line, "N/A"),
                _ => write!(line, "{}.{:03}", self.number::<2>(), self.number::<2>() % 1000),
            };
            scan.line(&line);
        }
        scan
    }

    fn keys(&mut self) -> Vec<u64> {
        let mut at = 0_u64;
        (0..self.below(64))
            .map(|_| {
                at += self.number::<3>();
                at
            })
            .collect()
    }

    fn probe(&mut self) -> Value {
        let pictures = (0..self.below(3)).map(|_| self.picture()).collect::<Vec<_>>();
        let sounds = (0..self.below(4)).map(|_| self.sound()).collect::<Vec<_>>();
        let streams: Vec<Value> = pictures.into_iter().chain(sounds).collect();
        json!({ "streams": streams, "format": { "duration": self.secs(), "start_time": self.secs(), "bit_rate": self.number::<4>() } })
    }

    fn picture(&mut self) -> Value {
        json!({
            "index": self.below(8),
            "codec_type": "video",
            "codec_name": self.of(&["h264", "hevc", "vp9", "mpeg2video", "unknown"]),
            "codec_tag_string": self.of(&["avc1", "[0][0][0][0]"]),
            "width": self.side(),
            "height": self.side(),
            "sample_aspect_ratio": match self.below(4) {
                0 => format!("{}:{}", self.number::<2>(), self.number::<2>()),
                1 => "16:11".to_owned(),
                _ => "1:1".to_owned(),
            },
            "field_order": self.of(&["progressive", "tt", "bt"]),
            "color_transfer": self.of(&["bt709", "smpte2084", "arib-std-b67"]),
            "r_frame_rate": self.rate(),
            "avg_frame_rate": self.rate(),
            "start_time": self.secs(),
            "duration": self.secs(),
            "nb_frames": match self.below(4) { 0 => Value::Null, 1 => json!(self.number::<4>()), _ => json!(self.number::<2>()) },
            "bit_rate": match self.below(2) { 0 => Value::Null, _ => json!(self.number::<4>()) },
            "disposition": { "default": self.below(2), "attached_pic": u64::from(self.below(8) == 7) },
            "side_data_list": match self.below(4) { 0 => json!([{ "rotation": self.number::<2>() }]), 1 => json!([{ "rotation": -90 }]), _ => json!([]) },
        })
    }

    fn sound(&mut self) -> Value {
        json!({
            "index": self.below(8),
            "codec_type": "audio",
            "codec_name": self.of(&["aac", "mp3", "ac3", "unknown"]),
            "channels": self.below(9),
            "sample_rate": self.of(&["48000", "44100", "8000", "0"]),
            "start_time": self.secs(),
            "duration": self.secs(),
            "disposition": { "default": self.below(2) },
            "tags": { "language": self.of(&["eng", "deu", "", "xx-very-long"]) },
        })
    }

    fn side(&mut self) -> u64 {
        match self.below(4) {
            0 => *self.of(&[1920, 1080, 1280, 720, 854, 480, 360, 640, 3840, 2160]),
            1 => self.number::<4>(),
            _ => self.number::<2>() % 8200,
        }
    }

    fn rate(&mut self) -> String {
        match self.below(6) {
            0 => "30/1".to_owned(),
            1 => "24000/1001".to_owned(),
            2 => format!("{}/{}", self.number::<4>(), self.number::<4>()),
            3 => "0/0".to_owned(),
            _ => format!("{}/{}", self.number::<2>(), self.number::<1>()),
        }
    }

    fn secs(&mut self) -> Value {
        match self.below(8) {
            0 => Value::Null,
            1 => json!(format!("{}", self.number::<4>())),
            2 => json!(format!("-{}.5", self.number::<2>())),
            3 => json!("0.000000"),
            _ => json!(format!("{}.{:06}", self.number::<2>(), self.number::<3>() % 1_000_000)),
        }
    }
}

/// What an edge is asked to fetch ahead of viewers by default.
const WARM_ITEMS: usize = 16;
/// No more segments than that are among them.
const WARM_SEGMENTS_MAX: u32 = 16;
/// Segments of the longest source: twelve hours with a cut every two seconds.
const SEGMENTS_MAX: usize = 12 * 3600 / 2 + 2;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::media::plan::tests::source;

    proptest! {
        #[test]
        fn whatever_a_probe_says_its_plan_holds(input in prop::collection::vec(any::<u8>(), 0..400)) {
            plans_hold(&input);
        }
    }

    #[track_caller]
    fn check(spoil: impl FnOnce(&mut Plan), expect: &str) {
        let mut plan = plan(&source(1280, 720, 20), None, &Policy::default());
        assert_eq!(plan.fault(), None);
        spoil(&mut plan);
        let fault = plan.fault().unwrap_or_default();
        assert!(fault.contains(expect), "{fault}");
    }

    #[test]
    fn a_plan_that_was_spoilt_is_told_from_a_good_one() {
        check(|plan| plan.cuts[1].first += 1, "is the next");
        check(|plan| plan.target_secs = 3, "are announced");
        check(|plan| plan.rungs.swap(0, 1), "does not rise");
        check(|plan| plan.rungs[0].size.width = 641, "a rung of 641");
        check(|plan| plan.units[1].first += 1, "does not lie");
        check(|plan| plan.units[1].outputs.clear(), "does not lie");
        check(|plan| drop(plan.units.pop()), "exactly one unit");
        check(|plan| plan.units[1].outputs[0].1 = 0, "exactly one unit");
    }
}
