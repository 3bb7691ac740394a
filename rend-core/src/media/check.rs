//! The rules of HLS that a published asset must keep, over its playlists and the boxes of its segments.
//!
//! The same functions are run before an asset is called ready, by tests on every output, and by people. They take what
//! they check as values and answer with every rule that is broken. [`presentation()`] knows all rules and takes any text;
//! [`renditions`] takes what is about to be written.
//!
//! | rule | says |
//! |---|---|
//! | P1 | UTF-8, first line, line ends, tags that stand once, media sequence before the first segment |
//! | P2 | a version that knows maps |
//! | P3 | plain relative addresses, nothing signed |
//! | M1 | rounded durations within the target, which is at least 1 and never changes |
//! | M2 | durations as the samples say, adding up to the source's; as many pictures as were planned |
//! | M3 | every segment starts with a key frame, and the lists say so |
//! | M4 | tracks go on where they ended, fragments are numbered upwards, no tiny last segment |
//! | M5 | an initialisation segment without edit lists, with brands and decoder configurations |
//! | M6 | lists only grow, and end once |
//! | M7 | a growing list is begun at its start |
//! | M8 | discontinuities exactly where something breaks |
//! | V1 | bandwidths as measured |
//! | V2 | codecs, size, rate, range and captions as they are |
//! | V3 | variants cut at the same instants |
//! | V4 | key-frame lists that fit their segments |
//! | V5 | each variant once, at sensible distances, a light one first |
//! | V6 | sounds in groups that agree; captions cut as the picture is, with their clock mapped |
//! | V7 | H.264 up to High 5.2, key frames every two seconds, at the same instants |

use std::fmt;

mod headers;
mod lists;
mod presentation;
mod texts;

pub use headers::{Described, Segment};
pub use lists::{is_master, lists_of, parts_of};
pub use presentation::{List, Presentation, presentation};

use crate::media::isobmff::{Init, Run, TrackKind};
use crate::media::playlist::{Master, Media, Variant, bandwidth, foreign_lines};

/// One finished rendition as it was read back.
#[derive(Clone, Debug)]
pub struct Rendered {
    /// Its entry in the multivariant playlist.
    pub variant: Variant,
    /// Its media playlist.
    pub media: Media,
    /// Its initialisation segment.
    pub init: Init,
    /// Its segments, in the order of the list: length in bytes, and each track's part.
    pub segments: Vec<(u64, Vec<Run>)>,
}

/// A rule that is broken.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Broken {
    /// The rule's short name, such as `M4`.
    pub rule: &'static str,
    /// Whether players stumble over it.
    pub weight: Weight,
    /// Where and how.
    pub detail: String,
}

/// How much a broken rule matters.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Weight {
    /// Players may make less of it than they could.
    Warning,
    /// Players stumble over it, or the standard forbids it.
    Error,
}

impl Broken {
    /// An error that was found by other means than the rules here.
    pub const fn error(rule: &'static str, detail: String) -> Self {
        Self { rule, weight: Weight::Error, detail }
    }

    /// Whether it keeps an asset from being called ready.
    pub fn is_error(&self) -> bool {
        self.weight == Weight::Error
    }
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let weight = if self.is_error() { "error" } else { "warning" };
        write!(f, "{weight} {} {}", self.rule, self.detail)
    }
}

/// Every rule that a list breaks by what became of it: `before` and `after` are its text at two instants.
pub fn growth(name: &str, before: &str, after: &str) -> Vec<Broken> {
    let mut found = Findings::default();
    lists::growth(name, before, after, &mut found);
    found.0
}

/// Broken rules, at most [`BROKEN_MAX`] of them.
#[derive(Debug, Default)]
struct Findings(Vec<Broken>);

impl Findings {
    fn error(&mut self, ok: bool, rule: &'static str, detail: impl FnOnce() -> String) {
        self.add(ok, rule, Weight::Error, detail);
    }

    fn warning(&mut self, ok: bool, rule: &'static str, detail: impl FnOnce() -> String) {
        self.add(ok, rule, Weight::Warning, detail);
    }

    fn add(&mut self, ok: bool, rule: &'static str, weight: Weight, detail: impl FnOnce() -> String) {
        if !ok && self.0.len() < BROKEN_MAX {
            self.0.push(Broken { rule, weight, detail: detail() });
        }
    }
}

/// The text of the playlist `name`, and the rule that it breaks when its bytes are no UTF-8: then it is read as far as it can be.
pub fn utf8(name: &str, bytes: &[u8]) -> (String, Option<Broken>) {
    match std::str::from_utf8(bytes) {
        Ok(text) => (text.to_owned(), None),
        Err(error) => {
            let detail = format!("{name}: is no UTF-8 from byte {} on", error.valid_up_to());
            (String::from_utf8_lossy(bytes).into_owned(), Some(Broken::error("P1", detail)))
        }
    }
}

/// Every rule that a text breaks as a playlist of Rend: its first line, its line ends, its addresses.
pub fn text(name: &str, text: &str) -> Vec<Broken> {
    let mut broken = Vec::new();
    let mut rule = |ok: bool, rule, detail: String| {
        if !ok {
            broken.push(Broken { rule, weight: Weight::Error, detail });
        }
    };
    rule(text.starts_with("#EXTM3U\n"), "P1", format!("{name}: the first line is not #EXTM3U"));
    rule(!text.contains('\r'), "P1", format!("{name}: lines end in CR LF"));
    let foreign = foreign_lines(text);
    rule(foreign.is_empty(), "P3", format!("{name}: an address leaves the asset: {}", foreign.trim_end()));
    broken
}

/// Every rule that finished renditions break, each alone and against each other.
pub fn renditions(master: &Master, renditions: &[Rendered]) -> Vec<Broken> {
    let mut broken = Vec::new();
    let mut rule = |ok: bool, rule, detail: String| {
        if !ok && broken.len() < BROKEN_MAX {
            broken.push(Broken { rule, weight: Weight::Error, detail });
        }
    };
    rule(master.variants.len() == renditions.len(), "V5", "not every listed rendition is there".to_owned());
    for rendered in renditions {
        rendition(rendered, &mut rule);
    }
    if let Some((first, others)) = renditions.split_first() {
        for other in others {
            let name = &other.variant.uri;
            rule(other.segments.len() == first.segments.len(), "V3", format!("{name}: another number of segments"));
            rule(other.media.target_secs == first.media.target_secs, "V3", format!("{name}: another target duration"));
            for (index, (one, two)) in first.segments.iter().zip(&other.segments).enumerate() {
                let (one, two) = (start_us(first, &one.1), start_us(other, &two.1));
                rule(one.abs_diff(two) <= 2000, "V3", format!("{name} #{index}: starts at another instant"));
            }
        }
    }
    broken
}

fn rendition(rendered: &Rendered, rule: &mut impl FnMut(bool, &'static str, String)) {
    let Rendered { variant, media, init, segments } = rendered;
    let name = &variant.uri;
    rule(media.target_secs >= 1, "M1", format!("{name}: the target duration is 0"));
    rule(media.ended, "M6", format!("{name}: the list is not ended"));
    rule(media.segments.len() == segments.len(), "M2", format!("{name}: listed segments are missing"));
    for track in &init.tracks {
        rule(!track.edited, "M5", format!("{name}: the {} track has an edit list", track.codec));
    }
    let picture = init.first(TrackKind::Video);
    let lead = picture.or_else(|| init.tracks.first());
    let mut ends: Vec<(u32, u64)> = Vec::new();
    for (index, ((_, runs), entry)) in segments.iter().zip(&media.segments).enumerate() {
        let at = format!("{name} #{index}");
        let rounded = (entry.micros + 500_000) / 1_000_000;
        rule(rounded <= media.target_secs.into(), "M1", format!("{at}: longer than the target duration"));
        if let Some(run) = lead.and_then(|track| runs.iter().find(|run| run.track == track.id)) {
            let timescale = lead.map_or(1, |track| track.timescale);
            let real = micros(run.duration, timescale);
            rule(
                real.abs_diff(entry.micros) <= 50_000,
                "M2",
                format!("{at}: lasts {real} µs, listed {} µs", entry.micros),
            );
            rule(run.starts_with_key, "M3", format!("{at}: does not start with a key frame"));
        } else {
            rule(false, "M3", format!("{at}: has no picture"));
        }
        for run in runs {
            let expected = ends.iter_mut().find(|(track, _)| *track == run.track);
            match expected {
                Some((_, end)) => {
                    rule(
                        *end == run.starts_at,
                        "M4",
                        format!("{at} track {}: starts at {}, not {end}", run.track, run.starts_at),
                    );
                    *end = run.starts_at.saturating_add(run.duration);
                }
                None => ends.push((run.track, run.starts_at.saturating_add(run.duration))),
            }
        }
    }
    let sizes: Vec<_> = media.segments.iter().zip(segments).map(|(entry, (bytes, _))| (entry.micros, *bytes)).collect();
    let (peak, mean) = bandwidth(&sizes, media.target_secs);
    let near = |said: u64, real: u64| said.abs_diff(real) <= real / 10;
    rule(near(variant.bandwidth, peak), "V1", format!("{name}: BANDWIDTH {} but measured {peak}", variant.bandwidth));
    rule(
        near(variant.average, mean),
        "V1",
        format!("{name}: AVERAGE-BANDWIDTH {} but measured {mean}", variant.average),
    );
    let codecs: Vec<&str> = init.tracks.iter().map(|track| track.codec.as_str()).collect();
    rule(variant.codecs == codecs.join(","), "V2", format!("{name}: CODECS {} but {codecs:?}", variant.codecs));
    let size = picture.map(|track| (u32::from(track.size.0), u32::from(track.size.1)));
    rule(variant.resolution == size, "V2", format!("{name}: RESOLUTION {:?} but {size:?}", variant.resolution));
    rule(variant.millifps.unwrap_or(0) <= 60_000, "V2", format!("{name}: more than 60 frames a second"));
    rule(variant.millifps.is_some() == picture.is_some(), "V2", format!("{name}: FRAME-RATE does not fit its tracks"));
}

/// Broken rules that are told at most.
pub const BROKEN_MAX: usize = 100;

fn start_us(rendered: &Rendered, runs: &[Run]) -> u64 {
    let track = rendered.init.first(TrackKind::Video).or_else(|| rendered.init.tracks.first());
    let shown = track.and_then(|track| runs.iter().find(|run| run.track == track.id)).map_or(0, |run| run.shown_at);
    micros(u64::try_from(shown).unwrap_or(0), track.map_or(1, |track| track.timescale))
}

fn micros(ticks: u64, timescale: u32) -> u64 {
    u64::try_from(u128::from(ticks) * 1_000_000 / u128::from(timescale.max(1))).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::artifact::Lang;
    use crate::media::isobmff::tests::avc_stsd;
    use crate::media::isobmff::{NewTrack, read_init, write_init};
    use crate::media::playlist::Entry;

    fn good() -> Rendered {
        let track = NewTrack {
            id: 1,
            kind: TrackKind::Video,
            timescale: 1000,
            size: (640, 360),
            lang: Lang::UND,
            stsd: avc_stsd(640, 360),
        };
        let init = read_init(&write_init(&[track])).unwrap();
        let run = |starts_at: u64| Run {
            track: 1,
            starts_at,
            duration: 2000,
            samples: 60,
            starts_with_key: true,
            shown_at: starts_at.cast_signed(),
            first_sample_end: 10,
        };
        let entry = |index: u32| Entry { micros: 2_000_000, uri: format!("segment_{index:05}.m4s"), bytes: None };
        Rendered {
            variant: Variant {
                uri: "360p/index.m3u8".to_owned(),
                bandwidth: 4000,
                average: 4000,
                codecs: "avc1.64001f".to_owned(),
                resolution: Some((640, 360)),
                millifps: Some(30_000),
            },
            media: Media {
                target_secs: 4,
                init: "init_360p.mp4".to_owned(),
                segments: vec![entry(0), entry(1)],
                ended: true,
                iframes_only: false,
            },
            init,
            segments: vec![(1000, vec![run(0)]), (1000, vec![run(2000)])],
        }
    }

    #[track_caller]
    fn check(change: impl FnOnce(&mut Rendered), expect: &[&str]) {
        let mut rendered = good();
        change(&mut rendered);
        let master = Master { variants: vec![rendered.variant.clone()], ..Master::default() };
        let rules: Vec<_> = renditions(&master, &[rendered]).iter().map(|b| b.rule).collect();
        assert_eq!(rules, expect);
    }

    #[test]
    fn each_broken_rule_is_told() {
        check(|_| {}, &[]);
        check(|r| r.media.ended = false, &["M6"]);
        check(|r| r.media.target_secs = 1, &["M1", "M1"]);
        check(|r| r.segments[1].1[0].starts_at = 1999, &["M4"]);
        check(|r| r.segments[1].1[0].starts_with_key = false, &["M3"]);
        check(|r| r.media.segments[0].micros += 60_000, &["M2"]);
        check(|r| r.variant.bandwidth = 3000, &["V1"]);
        check(|r| r.variant.codecs.push_str(",mp4a.40.2"), &["V2"]);
        check(|r| r.variant.resolution = None, &["V2"]);
        // The segments that are left have the same rate as all of them, so only the missing one is told.
        check(
            |r| {
                r.segments.pop();
            },
            &["M2"],
        );
    }

    #[test]
    fn renditions_are_cut_at_the_same_instants() {
        let (one, mut two) = (good(), good());
        two.segments[1].1[0].shown_at += 3;
        let master = Master { variants: vec![one.variant.clone(), two.variant.clone()], ..Master::default() };
        let rules: Vec<_> = renditions(&master, &[one, two]).iter().map(|b| b.rule).collect();
        assert_eq!(rules, ["V3"]);
    }

    #[test]
    fn bytes_that_are_no_text_are_told_and_read_as_far_as_they_can_be() {
        assert_eq!(utf8("x", "#EXTM3U ü\n".as_bytes()), ("#EXTM3U ü\n".to_owned(), None));
        let (text, broken) = utf8("x", b"#EXTM3U\n\xFF\n");
        assert_eq!(
            (text.as_str(), broken.map(|b| b.to_string())),
            ("#EXTM3U\n\u{FFFD}\n", Some("error P1 x: is no UTF-8 from byte 8 on".to_owned()))
        );
    }

    #[test]
    fn no_address_leaves_the_asset() {
        assert!(text("x", "#EXTM3U\nsegment.m4s\n").is_empty());
        assert_eq!(text("x", "#EXTM3U\nsegment.m4s?token=1\n")[0].rule, "P3");
        assert_eq!(text("x", "#EXTM3U\r\n")[0].rule, "P1");
    }
}
