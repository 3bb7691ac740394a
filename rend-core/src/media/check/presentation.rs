//! Every rule over a whole presentation: its texts as they were served, and the headers of its segments.

use super::headers::{Described, Segment};
use super::lists::{self, MasterLines, MediaLines, attribute};
use super::texts;
use super::{Broken, Findings, micros};
use crate::media::isobmff::{Run, Track, TrackKind};
use crate::media::playlist::bandwidth;

/// All that is served of one asset, as it was read back.
#[derive(Clone, Debug, Default)]
pub struct Presentation {
    /// The multivariant playlist.
    pub master: String,
    /// The media playlists that it names: see [`super::lists_of`].
    pub lists: Vec<List>,
    /// How long the source is, in microseconds, when it is known and all of it was usable.
    pub duration_us: Option<u64>,
}

/// One media playlist with what it names.
#[derive(Clone, Debug, Default)]
pub struct List {
    /// Its address, as the multivariant playlist writes it.
    pub uri: String,
    /// Its text.
    pub text: String,
    /// Its initialisation segment, unless it has none or that could not be read.
    pub init: Option<Described>,
    /// Its segments, in its order. Fewer than it lists are a finding. Those of a key-frame list need not be read again.
    pub segments: Vec<Segment>,
    /// The texts of its segments, in its order, when it is a list of captions.
    pub texts: Vec<String>,
    /// How many pictures its segments hold together once it has ended, when that is known from elsewhere.
    pub frames: Option<u64>,
}

/// Every rule that a presentation breaks.
pub fn presentation(all: &Presentation) -> Vec<Broken> {
    let mut found = Findings::default();
    let master = MasterLines::read(&all.master);
    lists::every("master", &all.master, &mut found);
    found.error(!master.variants.is_empty(), "V5", || "master: there is no variant".to_owned());
    found.error(master.independent, "M3", || "master: EXT-X-INDEPENDENT-SEGMENTS is missing".to_owned());
    let read: Vec<Read<'_>> = all.lists.iter().map(Read::of).collect();
    let by_uri = |uri: &str| read.iter().find(|list| list.list.uri == uri);
    for list in &read {
        lists::every(&list.list.uri, &list.list.text, &mut found);
        lists::placed(&list.list.uri, &list.list.text, &mut found);
        if texts::is_captions(&master, &list.list.uri) {
            let beside = master.variants.first().and_then(|(_, uri)| by_uri(uri)).map(|read| &read.lines);
            texts::list(list.list, &list.lines, beside, &mut found);
        } else if list.lines.iframes_only {
            iframes_alone(list, &mut found);
        } else {
            media(list, all.duration_us, &mut found);
        }
    }
    let mut variants = Vec::new();
    for (place, (attributes, uri)) in master.variants.iter().enumerate() {
        let again = master.variants[..place]
            .iter()
            .any(|(other, earlier)| earlier == uri && attribute(other, "AUDIO") == attribute(attributes, "AUDIO"));
        found.error(!again, "V5", || format!("{uri}: is listed twice"));
        match by_uri(uri) {
            Some(list) => {
                variant(attributes, list, &mut found);
                variants.push((attributes.as_str(), list));
            }
            None => found.error(false, "V5", || format!("{uri}: is listed and not there")),
        }
    }
    against_each_other(&variants, &mut found);
    for (attributes, uri) in &master.iframes {
        match by_uri(uri) {
            Some(list) => iframes(attributes, list, &read, &mut found),
            None => found.error(false, "V4", || format!("{uri}: is listed and not there")),
        }
    }
    let pictures = variants.iter().any(|(_, list)| list.lead().is_some_and(|track| track.kind == TrackKind::Video));
    found.warning(!pictures || !master.iframes.is_empty(), "V4", || "master: there is no key-frame list".to_owned());
    groups(&master, &variants, &read, &mut found);
    texts::groups(&master, &mut found);
    found.0
}

/// A media playlist and its lines.
struct Read<'a> {
    list: &'a List,
    lines: MediaLines,
}

impl<'a> Read<'a> {
    fn of(list: &'a List) -> Self {
        Self { list, lines: MediaLines::read(&list.text) }
    }

    /// The track that segments are measured by: the picture, or the sound where there is none.
    fn lead(&self) -> Option<&'a Track> {
        let init = &self.list.init.as_ref()?.init;
        init.first(TrackKind::Video).or_else(|| init.tracks.first())
    }

    fn run<'s>(&self, segment: &'s Segment) -> Option<&'s Run> {
        let lead = self.lead()?;
        segment.runs.iter().find(|run| run.track == lead.id)
    }

    /// When each segment is shown first, in microseconds.
    fn starts(&self) -> Vec<u64> {
        let scale = self.lead().map_or(1, |track| track.timescale);
        let shown = |segment| self.run(segment).map_or(0, |run| u64::try_from(run.shown_at).unwrap_or(0));
        self.list.segments.iter().map(|segment| micros(shown(segment), scale)).collect()
    }

    /// When each key frame is shown, in microseconds.
    fn keys(&self) -> Vec<u64> {
        let scale = self.lead().map_or(1, |track| track.timescale);
        let keys = self.list.segments.iter().flat_map(|segment| &segment.keys);
        keys.map(|at| micros(u64::try_from(*at).unwrap_or(0), scale)).collect()
    }

    /// Peak and mean.
    fn measured(&self) -> (u64, u64) {
        let sizes: Vec<_> = self
            .lines
            .segments
            .iter()
            .zip(&self.list.segments)
            .map(|(line, segment)| (line.micros, segment.bytes))
            .collect();
        bandwidth(&sizes, u32::try_from(self.lines.target_secs.unwrap_or(0)).unwrap_or(u32::MAX))
    }
}

/// M1 to M8 of one list.
fn media(read: &Read<'_>, source_us: Option<u64>, found: &mut Findings) {
    let Read { list, lines } = read;
    let name = &list.uri;
    let target = lines.target_secs.unwrap_or(0);
    found.error(target >= 1, "M1", || format!("{name}: the target duration is missing or 0"));
    found.error(lines.independent, "M3", || format!("{name}: EXT-X-INDEPENDENT-SEGMENTS is missing"));
    found.warning(lines.ended || lines.starts_at_zero, "M7", || {
        format!("{name}: a growing list without EXT-X-START at 0 is begun near its end")
    });
    found.error(lines.segments.len() == list.segments.len(), "M2", || format!("{name}: listed segments are missing"));
    found.warning(lines.segments.iter().all(|line| line.decimals >= 5), "M2", || {
        format!("{name}: durations have fewer than five decimals")
    });
    description(read, found);
    if list.init.is_none() {
        // Nothing can be said of segments whose tracks are not known.
        return;
    }
    let scale = read.lead().map_or(1, |track| track.timescale);
    let (mut ends, mut sequence, mut real): (Vec<(u32, u64)>, Option<u32>, u64) = (Vec::new(), None, 0);
    for (index, (line, segment)) in lines.segments.iter().zip(&list.segments).enumerate() {
        let at = || format!("{name} #{index}");
        found.error((line.micros + 500_000) / 1_000_000 <= target, "M1", || {
            format!("{}: longer than the target duration", at())
        });
        if let Some(run) = read.run(segment) {
            let lasts = micros(run.duration, scale);
            real = real.saturating_add(run.duration);
            found.error(lasts.abs_diff(line.micros) <= SEGMENT_US_OFF_MAX, "M2", || {
                format!("{}: lasts {lasts} µs, listed {} µs", at(), line.micros)
            });
            found.error(run.starts_with_key, "M3", || format!("{}: does not start with a key frame", at()));
        } else {
            found.error(false, "M3", || format!("{}: holds nothing of the main track", at()));
        }
        for number in &segment.sequences {
            found.error(sequence.is_none_or(|last| last < *number), "M4", || {
                format!("{}: fragment {number} follows {}", at(), sequence.unwrap_or(0))
            });
            sequence = Some(*number);
        }
        tracks(&at(), read, segment, line.discontinuity, &mut ends, found);
    }
    // Printed durations may be rounded; what they add up to may not drift.
    let (said, real) = (lines.micros(), micros(real, scale));
    let drift_max = 1000 * (1 + real / 3_600_000_000) + u64::try_from(lines.segments.len()).unwrap_or(0);
    found.error(said.abs_diff(real) <= drift_max, "M2", || format!("{name}: lists {said} µs of {real} µs"));
    if let (Some(planned), true) = (list.frames, lines.ended) {
        let runs = list.segments.iter().filter_map(|segment| read.run(segment));
        let frames = runs.fold(0_u64, |sum, run| sum.saturating_add(run.samples));
        found.error(frames.abs_diff(planned) <= 1, "M2", || format!("{name}: holds {frames} pictures of {planned}"));
    }
    if let (Some(source), true) = (source_us, lines.ended) {
        let frame =
            read.list.segments.iter().filter_map(|s| read.run(s)).fold((0_u64, 0_u64), |sum, run| {
                (sum.0.saturating_add(run.duration), sum.1.saturating_add(run.samples))
            });
        let frame = micros(frame.0 / frame.1.max(1), scale).max(FRAME_US_MIN);
        found.error(said.abs_diff(source) <= frame + drift_max, "M2", || {
            format!("{name}: lists {said} µs of a source of {source} µs")
        });
    }
    if let [.., before, last] = lines.segments.as_slice() {
        let (last, target_us) = (last.micros, target * 1_000_000);
        found.error(last * 4 >= target_us || before.micros * 4 < target_us, "M4", || {
            format!("{name}: the last segment lasts {last} µs only")
        });
        found.warning(last * 4 < target_us || (last + FRAME_US_MIN * 2) * 2 >= target_us, "M4", || {
            format!("{name}: the last segment is shorter than half a target duration")
        });
    }
    let keys = read.keys();
    let longest = keys.windows(2).map(|pair| pair[1].saturating_sub(pair[0])).max().unwrap_or(0);
    found.warning(longest <= KEY_US_MAX, "V7", || format!("{name}: {longest} µs between two key frames"));
}

/// M4 and M8: each track goes on where it ended.
fn tracks(
    at: &str,
    read: &Read<'_>,
    segment: &Segment,
    discontinuity: bool,
    ends: &mut Vec<(u32, u64)>,
    found: &mut Findings,
) {
    let Some(described) = &read.list.init else { return };
    let mut continuous = !ends.is_empty();
    for run in &segment.runs {
        found.error(described.init.track(run.track).is_some(), "M8", || {
            format!("{at}: holds track {}, which is not described", run.track)
        });
        let end = run.starts_at.saturating_add(run.duration);
        match ends.iter_mut().find(|(track, _)| *track == run.track) {
            Some((_, expected)) => {
                continuous &= *expected == run.starts_at;
                found.error(*expected == run.starts_at || discontinuity, "M4", || {
                    format!("{at} track {}: starts at {}, not {expected}", run.track, run.starts_at)
                });
                *expected = end;
            }
            None => ends.push((run.track, end)),
        }
    }
    found.error(!(discontinuity && continuous), "M8", || format!("{at}: a discontinuity where nothing breaks"));
    let all = described.init.tracks.iter().filter(|track| track.kind != TrackKind::Other);
    found.warning(all.clone().all(|track| segment.runs.iter().any(|run| run.track == track.id)), "M8", || {
        format!("{at}: lacks a track")
    });
}

/// M5 and M8 of the initialisation segment.
fn description(read: &Read<'_>, found: &mut Findings) {
    let name = &read.list.uri;
    found.error(!read.lines.maps.is_empty(), "M5", || format!("{name}: there is no EXT-X-MAP"));
    for (_, before) in read.lines.maps.iter().skip(1) {
        let told = read.lines.segments.get(*before).is_none_or(|line| line.discontinuity);
        found.error(told, "M8", || format!("{name} #{before}: another map without a discontinuity"));
    }
    let Some(described) = &read.list.init else {
        found.error(false, "M5", || format!("{name}: the initialisation segment is missing or can not be read"));
        return;
    };
    found.error(described.brands.iter().any(|brand| matches!(brand, b"iso6" | b"cmfc")), "M5", || {
        format!("{name}: the initialisation segment claims neither iso6 nor cmfc")
    });
    for track in &described.init.tracks {
        found.error(!track.edited, "M5", || format!("{name}: the {} track has an edit list", track.codec));
        found.error(!matches!(codec_kind(&track.codec), "avc3" | "hev1"), "M5", || {
            format!("{name}: parameter sets stand in the segments ({})", track.codec)
        });
        let wanted: &[u8] = match codec_kind(&track.codec) {
            "avc1" => b"avcC",
            "hvc1" => b"hvcC",
            "mp4a" => b"esds",
            _ => b"",
        };
        let there = wanted.is_empty() || track.stsd.windows(4).any(|four| four == wanted);
        found.error(there, "M5", || format!("{name}: the {} track has no decoder configuration", track.codec));
    }
}

/// V1, V2 and V7 of one variant.
fn variant(attributes: &str, read: &Read<'_>, found: &mut Findings) {
    let name = &read.list.uri;
    let number = |key| attribute(attributes, key).and_then(|value| value.parse::<u64>().ok());
    let (peak, mean) = read.measured();
    let near = |said: u64, real: u64| said.abs_diff(real) <= real / 10;
    let grouped = attribute(attributes, "AUDIO").is_some();
    if read.lines.ended {
        // With a group of sounds the figure is for both together, and what the sound takes is not known here.
        let fits = |said: u64, real: u64| near(said, real) || grouped && said >= real;
        let said = number("BANDWIDTH").unwrap_or(0);
        found.error(fits(said, peak), "V1", || format!("{name}: BANDWIDTH {said} but measured {peak}"));
        let said = number("AVERAGE-BANDWIDTH").unwrap_or(0);
        found.error(fits(said, mean), "V1", || format!("{name}: AVERAGE-BANDWIDTH {said} but measured {mean}"));
        found.warning(peak <= mean.saturating_mul(2), "V1", || format!("{name}: the peak is above twice the mean"));
    }
    let Some(described) = &read.list.init else { return };
    let tracks: Vec<&str> = described.init.tracks.iter().map(|track| track.codec.as_str()).collect();
    let said: Vec<&str> = attribute(attributes, "CODECS").unwrap_or_default().split(',').collect();
    let same = tracks.iter().all(|codec| said.contains(codec)) && (grouped || said.len() == tracks.len());
    found.error(same, "V2", || format!("{name}: CODECS {said:?} but {tracks:?}"));
    let picture = described.init.first(TrackKind::Video);
    let size = picture.map(|track| format!("{}x{}", track.size.0, track.size.1));
    let told = attribute(attributes, "RESOLUTION");
    let rule = if picture.is_none() { "V6" } else { "V2" };
    found.error(told == size.as_deref(), rule, || format!("{name}: RESOLUTION {told:?} but {size:?}"));
    if let Some(picture) = picture {
        let rate = attribute(attributes, "FRAME-RATE");
        let decimals = rate.and_then(|rate| rate.split_once('.')).map_or(0, |(_, part)| part.len());
        let rate_us = rate.map_or(0, lists::micros);
        found.error(decimals == 3 && rate_us > 0, "V2", || format!("{name}: FRAME-RATE is missing or not exact"));
        found.error(rate_us <= FPS_US_MAX, "V2", || format!("{name}: more than 60 frames a second"));
        let (frames, ticks) = read
            .list
            .segments
            .iter()
            .filter_map(|s| read.run(s))
            .fold((0, 0), |sum, run| (sum.0 + run.samples, sum.1 + run.duration));
        let real = frames.saturating_mul(1_000_000_000_000) / micros(ticks, picture.timescale).max(1);
        found.error(rate_us == 0 || real <= rate_us + rate_us / 50, "V2", || {
            format!("{name}: FRAME-RATE {rate_us} but {real} in a million seconds")
        });
        for key in ["VIDEO-RANGE", "CLOSED-CAPTIONS"] {
            found.error(attribute(attributes, key).is_some(), "V2", || format!("{name}: {key} is missing"));
        }
        if let Some([_, profile, _, level, ..]) = avc(&picture.codec) {
            found.warning(matches!(profile, 66 | 77 | 100) && level <= 52, "V7", || {
                format!("{name}: {} is above High 5.2", picture.codec)
            });
        }
    }
}

/// V3, V5 and V7 between variants.
fn against_each_other(variants: &[(&str, &Read<'_>)], found: &mut Findings) {
    if let Some(((_, first), others)) = variants.split_first() {
        let (starts, keys) = (first.starts(), first.keys());
        for (_, other) in others.iter().filter(|(_, other)| other.list.init.is_some() && first.list.init.is_some()) {
            let name = &other.list.uri;
            let same = other.list.segments.len() == first.list.segments.len();
            let growing = !(first.lines.ended && other.lines.ended);
            found.error(same || growing, "V3", || format!("{name}: another number of segments"));
            found.error(other.lines.target_secs == first.lines.target_secs, "V3", || {
                format!("{name}: another target duration")
            });
            for (index, (one, two)) in starts.iter().zip(other.starts()).enumerate() {
                found.error(one.abs_diff(two) <= START_US_OFF_MAX, "V3", || {
                    format!("{name} #{index}: starts {} µs away", one.abs_diff(two))
                });
            }
            let aligned = keys.iter().zip(other.keys()).all(|(one, two)| one.abs_diff(two) <= START_US_OFF_MAX);
            found.warning(aligned, "V7", || format!("{name}: its key frames are at other instants"));
        }
    }
    let rate = |(attributes, _): &(&str, &Read<'_>)| {
        attribute(attributes, "AVERAGE-BANDWIDTH").and_then(|value| value.parse::<u64>().ok()).unwrap_or(0)
    };
    let mut rises: Vec<(u64, u64, &str)> = variants
        .iter()
        .filter_map(|(attributes, read)| {
            let (width, height) = attribute(attributes, "RESOLUTION")?.split_once('x')?;
            let pixels = width.parse::<u64>().ok()?.saturating_mul(height.parse().ok()?);
            Some((pixels, attribute(attributes, "BANDWIDTH")?.parse().ok()?, read.list.uri.as_str()))
        })
        .collect();
    rises.sort_unstable();
    for pair in rises.windows(2).filter(|pair| pair[0].0 < pair[1].0) {
        found.warning(pair[0].1 <= pair[1].1, "V5", || {
            format!("{}: costs {} bits a second, more than the larger {}", pair[0].2, pair[0].1, pair[1].2)
        });
    }
    let mut rates: Vec<u64> = variants.iter().map(rate).collect();
    if let Some(first) = rates.first() {
        found.warning(*first <= START_BITS_MAX, "V5", || format!("master: playback starts with {first} bits a second"));
    }
    rates.sort_unstable();
    for pair in rates.windows(2).filter(|pair| pair[0] > 0) {
        found.warning(pair[1] * 10 >= pair[0] * 11 && pair[1] <= pair[0] * 3, "V5", || {
            format!("master: neighbours of {} and {} bits a second", pair[0], pair[1])
        });
    }
}

/// V4 of a key-frame list itself.
fn iframes_alone(read: &Read<'_>, found: &mut Findings) {
    let name = &read.list.uri;
    found.error(!read.lines.maps.is_empty(), "M5", || format!("{name}: there is no EXT-X-MAP"));
    found.warning(read.lines.segments.iter().all(|line| line.bytes.is_some_and(|(len, _)| len > 0)), "V4", || {
        format!("{name}: a key frame without its bytes")
    });
}

/// V4 of a key-frame list beside the list that it is made of.
fn iframes(attributes: &str, read: &Read<'_>, all: &[Read<'_>], found: &mut Findings) {
    let name = &read.list.uri;
    found.error(read.lines.iframes_only, "V4", || format!("{name}: EXT-X-I-FRAMES-ONLY is missing"));
    let folder = |uri: &str| uri.rsplit_once('/').map_or(String::new(), |(folder, _)| folder.to_owned());
    let whole = all.iter().find(|list| !list.lines.iframes_only && folder(&list.list.uri) == folder(name));
    let Some(whole) = whole else { return };
    found.warning(read.lines.micros().abs_diff(whole.lines.micros()) <= SEGMENT_US_OFF_MAX, "V4", || {
        format!("{name}: lasts {} µs, its segments {} µs", read.lines.micros(), whole.lines.micros())
    });
    let mut sizes = Vec::new();
    for line in &read.lines.segments {
        let (len, offset) = line.bytes.unwrap_or((0, 0));
        sizes.push((line.micros, len));
        let place = whole.lines.segments.iter().position(|segment| segment.uri == line.uri);
        let run = place.and_then(|place| whole.run(whole.list.segments.get(place)?));
        found.warning(offset > 0 || run.is_some_and(|run| run.first_sample_end <= len), "V4", || {
            format!("{name}: {} bytes of {} do not hold its key frame", len, line.uri)
        });
    }
    let target = u32::try_from(read.lines.target_secs.unwrap_or(0)).unwrap_or(u32::MAX);
    let (peak, _) = bandwidth(&sizes, target);
    let said = attribute(attributes, "BANDWIDTH").and_then(|value| value.parse::<u64>().ok()).unwrap_or(0);
    found.warning(said.abs_diff(peak) <= peak / 10, "V4", || format!("{name}: BANDWIDTH {said} but measured {peak}"));
}

/// V6: sounds in groups.
fn groups(master: &MasterLines, variants: &[(&str, &Read<'_>)], all: &[Read<'_>], found: &mut Findings) {
    let grouped = variants.iter().filter(|(attributes, _)| attribute(attributes, "AUDIO").is_some()).count();
    found.error(grouped == 0 || grouped == variants.len(), "V6", || {
        "master: some variants have their sound in a group and others do not".to_owned()
    });
    let sounds: Vec<_> = master.media.iter().filter(|(list, _)| attribute(list, "TYPE") == Some("AUDIO")).collect();
    for (attributes, read) in variants {
        let name = &read.list.uri;
        let Some(group) = attribute(attributes, "AUDIO") else { continue };
        let members = || sounds.iter().filter(move |(list, _)| attribute(list, "GROUP-ID") == Some(group));
        found.error(members().count() > 0, "V6", || format!("{name}: there is no group {group}"));
        let init = read.list.init.as_ref().map(|described| &described.init);
        let pictures = init.is_some_and(|init| init.first(TrackKind::Video).is_some());
        let muxed = init.is_some_and(|init| init.first(TrackKind::Audio).is_some());
        found.error(!(pictures && muxed), "V6", || format!("{name}: has sound of its own beside its group"));
        found.error(members().filter(|(list, _)| attribute(list, "DEFAULT") == Some("YES")).count() <= 1, "V6", || {
            format!("{name}: two defaults in group {group}")
        });
        let codec = |uri: &str| {
            let list = all.iter().find(|read| read.list.uri == uri)?;
            Some(list.list.init.as_ref()?.init.tracks.first()?.codec.clone())
        };
        let codecs: Vec<_> = members().filter_map(|(_, uri)| codec(uri)).collect();
        found.error(codecs.windows(2).all(|pair| pair[0] == pair[1]), "V6", || {
            format!("{name}: codecs differ within group {group}")
        });
        let mut names: Vec<_> = members().filter_map(|(list, _)| attribute(list, "NAME")).collect();
        names.sort_unstable();
        found.error(names.windows(2).all(|pair| pair[0] != pair[1]), "V6", || {
            format!("{name}: two sounds of group {group} have one name")
        });
    }
    for (list, uri) in &sounds {
        for key in ["NAME", "LANGUAGE", "CHANNELS", "AUTOSELECT"] {
            found.error(attribute(list, key).is_some(), "V6", || format!("{uri}: {key} is missing"));
        }
        match all.iter().find(|read| read.list.uri == *uri) {
            Some(sound) => variants.first().into_iter().for_each(|(_, picture)| beside(sound, picture, found)),
            // Without an address the sound is in the variants themselves.
            None => found.error(uri.is_empty(), "V6", || format!("{uri}: is listed and not there")),
        }
    }
}

/// V6 of a sound beside the pictures that it goes with: cut at the same instants, but for a frame of sound.
fn beside(sound: &Read<'_>, picture: &Read<'_>, found: &mut Findings) {
    let name = &sound.list.uri;
    found.error(sound.lines.target_secs == picture.lines.target_secs, "V6", || {
        format!("{name}: another target duration than the pictures")
    });
    let same = sound.lines.segments.len() == picture.lines.segments.len();
    found.error(same || !(sound.lines.ended && picture.lines.ended), "V6", || {
        format!("{name}: another number of segments than the pictures")
    });
    if sound.list.init.is_none() || picture.list.init.is_none() {
        return;
    }
    for (index, (heard, seen)) in sound.starts().into_iter().zip(picture.starts()).enumerate() {
        found.error(heard.abs_diff(seen) <= SEGMENT_US_OFF_MAX, "V6", || {
            format!("{name} #{index}: starts {} µs from the picture", heard.abs_diff(seen))
        });
    }
}

/// The first part of a codec's name.
fn codec_kind(codec: &str) -> &str {
    codec.split('.').next().unwrap_or(codec)
}

/// Kind, profile, constraints and level of an H.264 codec's name.
fn avc(codec: &str) -> Option<[u8; 4]> {
    let digits = codec.strip_prefix("avc1.").filter(|digits| digits.len() == 6 && digits.is_ascii())?;
    let pair = |at: usize| u8::from_str_radix(digits.get(at..at + 2)?, 16).ok();
    Some([1, pair(0)?, pair(2)?, pair(4)?])
}

/// How far a listed duration may be from the real one.
const SEGMENT_US_OFF_MAX: u64 = 50_000;
/// How far apart variants may start a segment.
const START_US_OFF_MAX: u64 = 2000;
/// No frame is taken to be shorter.
const FRAME_US_MIN: u64 = 16_667;
/// Key frames are at most this far apart: two seconds, and some for rates that two seconds do not fit.
const KEY_US_MAX: u64 = 2_100_000;
/// Sixty frames a second, in frames per million seconds.
const FPS_US_MAX: u64 = 60_000_000;
/// Bits a second of the rendition that playback starts with.
const START_BITS_MAX: u64 = 2_000_000;
