//! Whether a source can be passed through, and everything that follows if it can.

use std::fmt::Write as _;

use bytes::Bytes;

use super::cuts::{cut, starts};
use super::sound::heard;
use super::{Passthrough, Reason, Segment, Voice, tracks_of};
use crate::media::isobmff::{TrackKind, read_init, write_init};
use crate::media::ladder::{LadderPolicy, Size, cap_of};
use crate::media::moov::{Avc, Entry, Movie, MovieTrack, Stored, read_movie};
use crate::media::playlist::SEGMENTS_MAX;
use crate::media::probe::{Limits, Rate};
use crate::media::sounds::named;

/// Looks at the whole `moov` box of a file of `file_len` bytes.
///
/// # Errors
///
/// Every [`Reason`] against it that could be found.
pub fn survey(moov: &Bytes, file_len: u64, limits: &Limits, ladder: &LadderPolicy) -> Result<Passthrough, Vec<Reason>> {
    let movie = read_movie(moov, file_len).map_err(|error| vec![Reason::Unreadable(error)])?;
    let mut reasons = Vec::new();
    if movie.fragmented {
        reasons.push(Reason::Fragmented);
    }
    let of = |kind| movie.tracks.iter().filter(move |track| track.kind == kind).collect::<Vec<_>>();
    let (pictures, sounds) = (of(TrackKind::Video), of(TrackKind::Audio));
    let [picture] = pictures.as_slice() else {
        reasons.push(Reason::Pictures(pictures.len()));
        return Err(reasons);
    };
    let avc = match &picture.entry {
        Entry::Avc(avc) => avc,
        Entry::Aac(_) => return Err(told(reasons, Reason::PictureCodec("mp4a".to_owned()))),
        Entry::Other(codec) => return Err(told(reasons, Reason::PictureCodec(codec.clone()))),
    };
    described(picture, avc, limits, ladder, &mut reasons);
    if movie.fragmented {
        return Err(reasons);
    }
    match timed(&movie, picture, &chosen(sounds), avc, file_len, limits) {
        Ok(passthrough) if reasons.is_empty() => Ok(passthrough),
        Ok(_) => Err(reasons),
        Err(reason) => Err(told(reasons, reason)),
    }
}

/// The sounds that are heard, the one that is heard by default first: all of them when they are in several languages, as
/// [`named`] has it, else that one.
fn chosen(mut sounds: Vec<&MovieTrack>) -> Vec<&MovieTrack> {
    if let Some(first) = sounds.iter().position(|sound| sound.enabled) {
        let first = sounds.remove(first);
        sounds.insert(0, first);
    }
    let langs: Vec<_> = sounds.iter().map(|sound| sound.lang).collect();
    sounds.truncate(named(&langs).len().max(1));
    sounds
}

fn told(mut reasons: Vec<Reason>, last: Reason) -> Vec<Reason> {
    reasons.push(last);
    reasons
}

/// What the picture's description calls for.
fn described(track: &MovieTrack, avc: &Avc, limits: &Limits, ladder: &LadderPolicy, reasons: &mut Vec<Reason>) {
    let set = &avc.set;
    let mut unless = |good: bool, reason: Reason| {
        if !good {
            reasons.push(reason);
        }
    };
    // Of baseline only what main decoders take, too, is taken: it says so itself.
    let plain = matches!(set.profile, 77 | 100) || set.profile == 66 && set.compatible & 0x40 != 0;
    unless(plain, Reason::Profile(set.profile));
    unless(set.level <= 52, Reason::Level(set.level));
    unless(set.chroma == 1 && set.depth == (8, 8), Reason::Depth);
    unless(set.progressive, Reason::Interlaced);
    let size = (u32::from(avc.size.0), u32::from(avc.size.1));
    let as_stored = size == set.size && (track.shown == (0, 0) || track.shown == size);
    let even = size.0.is_multiple_of(2) && size.1.is_multiple_of(2) && size.0.min(size.1) >= SIDE_MIN;
    unless(as_stored && even && avc.square && set.square, Reason::Shape);
    unless(track.upright, Reason::Turned);
    let curve = |transfer: u16| matches!(transfer, 16 | 18);
    let high = avc.colour.is_some_and(|c| curve(c.transfer)) || set.transfer.is_some_and(|t| curve(t.into()));
    unless(!high, Reason::HighRange);
    unless(track.descriptions == 1, Reason::Descriptions);
    unless(track.contained, Reason::Elsewhere);
    let size = Size { width: size.0, height: size.1 };
    let within = size.width.max(size.height) <= limits.side_max && size.pixels() <= limits.pixels_max;
    unless(within, Reason::Limit);
    let offered = ladder.rungs.iter().filter_map(|rung| rung.short_side()).any(|side| side >= size.short_side());
    unless(offered || ladder.source_size, Reason::Ladder);
}

/// What its samples' times allow.
fn timed(
    movie: &Movie,
    picture: &MovieTrack,
    heard_tracks: &[&MovieTrack],
    avc: &Avc,
    file_len: u64,
    limits: &Limits,
) -> Result<Passthrough, Reason> {
    let mut pictures = stored(picture, file_len)?;
    let timescale = picture.timescale;
    let shown = |sample: &Stored| sample.decoded_at.cast_signed().saturating_add(sample.shown_after.into());
    let delay = pictures.iter().map(shown).min().unwrap_or(0);
    if pictures.iter().any(|s| i32::try_from(i64::from(s.shown_after) - delay).is_err()) {
        return Err(Reason::TimeStamps);
    }
    if let [.., before, last] = pictures.as_mut_slice()
        && last.duration == 0
    {
        last.duration = before.duration;
    }
    let end = pictures.iter().map(|s| shown(s).saturating_add(s.duration.into())).max().unwrap_or(0);
    let longest = pictures.iter().map(|s| s.duration).max().unwrap_or(0);
    let (from, until) = edited(picture)?;
    // A cut of less than a frame is how writers round.
    if from > delay.saturating_add(i64::from(longest) / 2) || until.is_some_and(|t| t + i64::from(longest) < end) {
        return Err(Reason::Edited);
    }
    let micros = |ticks: i64| {
        let ticks = u128::from(ticks.saturating_sub(delay).max(0).unsigned_abs());
        u64::try_from((ticks * 1_000_000 + u128::from(timescale) / 2) / u128::from(timescale)).unwrap_or(u64::MAX)
    };
    let end_us = micros(end);
    if end_us > limits.duration_secs_max.saturating_mul(1_000_000) {
        return Err(Reason::Limit);
    }
    let found = starts(&pictures, micros);
    if found.first().is_none_or(|start| start.index != 0 || start.at_us != 0) {
        return Err(Reason::NoStart);
    }
    let keys = pictures.iter().filter(|sample| sample.key).count();
    let cuts = cut(&found, end_us).map_err(|longest| {
        if found.len() * 2 < keys { Reason::OpenGroups } else { Reason::KeyFrames(longest / 1000) }
    })?;
    if cuts.len() > SEGMENTS_MAX {
        return Err(Reason::Limit);
    }

    let hear = |track: &MovieTrack| {
        let shift = shift(movie, picture, track, delay)?;
        let late = i128::from(-shift.0) * 1_000_000 / i128::from(track.timescale.max(1));
        if late > i128::from(LATE_US_MAX) {
            return Err(Reason::LateStart);
        }
        let ends_at = u128::from((end - delay).unsigned_abs()) * u128::from(track.timescale);
        let ends_at = u64::try_from(ends_at / u128::from(timescale)).map_err(|_| Reason::TimeStamps)?;
        heard(track, file_len, shift.1, ends_at)
    };
    let langs: Vec<_> = heard_tracks.iter().map(|track| track.lang).collect();
    let ends_us: Vec<u64> = cuts.iter().skip(1).map(|cut| cut.at_us).chain([end_us]).collect();
    let mut voices = Vec::new();
    for (sound, track) in named(&langs).into_iter().zip(heard_tracks) {
        let channels = if let Entry::Aac(aac) = &track.entry { aac.channels.into() } else { 0 };
        voices.push(Voice::cut(sound, channels, hear(track)?, &ends_us)?);
    }
    let (sounds, sound_track, silence) = match heard_tracks.first().filter(|_| voices.is_empty()) {
        Some(track) => {
            let (sounds, new, silence) = hear(track)?;
            (sounds, Some(new), silence)
        }
        None => (Vec::new(), None, Bytes::new()),
    };

    let sound_hz = sound_track.as_ref().map_or(1, |track| track.timescale);
    let mut segments: Vec<Segment> = Vec::with_capacity(cuts.len());
    let mut said = 0;
    for (number, cut) in cuts.iter().enumerate() {
        let next = cuts.get(number + 1);
        let (to, to_us) = next.map_or((pictures.len(), end_us), |next| (next.index, next.at_us));
        let begun = |at_us: u64| {
            let ticks = u128::from(at_us) * u128::from(sound_hz);
            sounds.partition_point(|heard| u128::from(heard.starts_at) * 1_000_000 < ticks)
        };
        let heard_to = if next.is_some() { begun(to_us) } else { sounds.len() };
        let own = &pictures[cut.index..to];
        let lasts: u64 = own.iter().map(|sample| u64::from(sample.duration)).sum();
        let lasts_us = micros(delay.saturating_add(lasts.cast_signed()));
        if lasts_us.abs_diff(to_us - cut.at_us) > UNEVEN_US_MAX {
            return Err(Reason::TimeStamps);
        }
        segments.push(Segment::new(cut.at_us, to_us, cut.index..to, said..heard_to, &pictures, &sounds));
        said = heard_to;
    }

    let size = Size { width: avc.size.0.into(), height: avc.size.1.into() };
    let millifps = frame_rate(&pictures, timescale, end_us, &segments)?;
    let rate = Rate::new(u32::try_from(millifps).unwrap_or(u32::MAX), 1000).ok_or(Reason::TimeStamps)?;
    if size.pixels().saturating_mul(millifps) / 1000 > limits.pixels_per_sec_max {
        return Err(Reason::Limit);
    }
    let bytes: u64 = pictures.iter().map(|sample| u64::from(sample.size)).sum();
    let kbps = u64::try_from(u128::from(bytes) * 8000 / u128::from(end_us.max(1))).unwrap_or(u64::MAX);
    let most = u64::from(cap_of(size, rate)) * 2;
    if kbps > most {
        return Err(Reason::Bitrate(kbps, most));
    }
    let init_bytes = write_init(&tracks_of(avc, timescale, sound_track));
    let init = read_init(&init_bytes).map_err(Reason::Unreadable)?;
    let target_secs = target(&segments, &voices);
    let mut passthrough = Passthrough {
        id: String::new(),
        size,
        millifps,
        duration_us: end_us,
        target_secs,
        init_bytes,
        init,
        avc: avc.clone(),
        delay,
        pictures,
        sounds,
        silence,
        segments,
        voices,
    };
    passthrough.id = digest(&passthrough, file_len);
    Ok(passthrough)
}

/// The picture's samples, all of them within the file.
fn stored(track: &MovieTrack, file_len: u64) -> Result<Vec<Stored>, Reason> {
    let table = track.table.as_ref().ok_or(Reason::Still)?;
    if table.count() < 2 {
        return Err(Reason::Still);
    }
    let mut all = Vec::with_capacity(usize::try_from(table.count()).unwrap_or(0));
    for sample in table.samples() {
        let sample = sample.map_err(Reason::Unreadable)?;
        if sample.offset.checked_add(sample.size.into()).is_none_or(|end| end > file_len) || sample.size == 0 {
            return Err(Reason::CutShort);
        }
        if sample.description != 1 {
            return Err(Reason::Descriptions);
        }
        if sample.decoded_at > TICKS_MAX {
            return Err(Reason::TimeStamps);
        }
        all.push(sample);
    }
    Ok(all)
}

/// From when to when of its own time the track is shown, in its ticks; the end is open when nothing is cut off.
pub(super) fn edited(track: &MovieTrack) -> Result<(i64, Option<i64>), Reason> {
    let mut shown = track.edits.iter().filter(|edit| edit.from.is_some());
    let (first, more) = (shown.next(), shown.next().is_some());
    let empty_behind = track.edits.iter().skip_while(|edit| edit.from.is_none()).any(|edit| edit.from.is_none());
    if more || empty_behind || first.is_some_and(|edit| !edit.usual_speed) {
        return Err(Reason::Edited);
    }
    let from = first.and_then(|edit| edit.from).unwrap_or(0);
    if from > TICKS_MAX {
        return Err(Reason::TimeStamps);
    }
    Ok((from.cast_signed(), track.shown_until))
}

/// How much later than the first picture the sound begins, and where its time 0 lies from there, in ticks of the sound.
fn shift(movie: &Movie, picture: &MovieTrack, sound: &MovieTrack, delay: i64) -> Result<(i64, i64), Reason> {
    let empty = |track: &MovieTrack| {
        let empty =
            track.edits.iter().take_while(|edit| edit.from.is_none()).fold(0_u64, |sum, e| sum.saturating_add(e.lasts));
        if empty > TICKS_MAX { Err(Reason::TimeStamps) } else { Ok(i128::from(empty)) }
    };
    let (seen_from, _) = edited(picture)?;
    let (heard_from, _) = edited(sound)?;
    let (movie_hz, seen_hz, heard_hz) =
        (i128::from(movie.timescale), i128::from(picture.timescale), i128::from(sound.timescale));
    // Both in ticks of the sound: ends of the empty stretches, less how late the first picture is within its own edit.
    let apart = (empty(sound)? - empty(picture)?) * heard_hz;
    let late = i128::from(delay.saturating_sub(seen_from)) * heard_hz;
    let begins = apart.div_euclid(movie_hz) - late.div_euclid(seen_hz);
    let begins = i64::try_from(begins).map_err(|_| Reason::TimeStamps)?;
    Ok((begins, begins.saturating_sub(heard_from)))
}

/// Frames per 1000 seconds, at the fastest.
fn frame_rate(pictures: &[Stored], timescale: u32, end_us: u64, segments: &[Segment]) -> Result<u64, Reason> {
    let mean = u64::try_from(pictures.len() as u128 * 1_000_000_000 / u128::from(end_us.max(1))).unwrap_or(u64::MAX);
    let even = pictures.split_last().is_some_and(|(_, all)| all.windows(2).all(|w| w[0].duration == w[1].duration));
    let millis = if even {
        let ticks = u64::from(pictures.first().map_or(1, |first| first.duration).max(1));
        (u64::from(timescale) * 1000 + ticks / 2) / ticks
    } else {
        let fastest = segments
            .iter()
            .filter(|segment| segment.micros >= 500_000 || segments.len() == 1)
            .map(|segment| segment.pictures.len() as u64 * 1_000_000_000 / segment.micros.max(1))
            .max()
            .unwrap_or(mean);
        let near = Rate::new(u32::try_from(mean).unwrap_or(u32::MAX).max(1), 1000).map(Rate::snapped);
        match near.map(Rate::millis) {
            // Jitter of a clock in whole milliseconds is no change of rate.
            Some(near) if fastest.abs_diff(near) * 50 <= near => near,
            _ => fastest,
        }
    };
    // A little over sixty is sixty by a rounded clock.
    if millis > 60_500 { Err(Reason::FrameRate(millis)) } else { Ok(millis.min(60_000)) }
}

/// Whole seconds that every segment, rounded, stays within: four, or less for a clip of one segment.
fn target(segments: &[Segment], voices: &[Voice]) -> u32 {
    let seen = segments.iter().map(|segment| segment.micros);
    let longest = seen.chain(voices.iter().map(Voice::longest_us)).max().unwrap_or(0);
    let whole = |micros: u64| u32::try_from(micros / 1_000_000).unwrap_or(u32::MAX);
    if segments.len() > 1 { whole(longest + 500_000).max(TARGET_SECS) } else { whole(longest + 999_999).max(1) }
}

/// 128 bits of FNV-1a over what decides the bytes that come out.
fn digest(passthrough: &Passthrough, file_len: u64) -> String {
    let mut text = String::new();
    let _ = write!(text, "{VERSION} {file_len} {:?} {:?}", passthrough.size, passthrough.segments);
    for voice in &passthrough.voices {
        let _ = write!(text, " {} {:?}", voice.sound.rendition, voice.pieces());
    }
    let mut hash = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d_u128;
    for byte in text.bytes() {
        hash = (hash ^ u128::from(byte)).wrapping_mul(0x0000_0000_0100_0000_0000_0000_0000_013B);
    }
    format!("{hash:032x}")
}

/// Goes up with every change that makes other bytes of the same source.
const VERSION: u32 = 2;
/// Ticks of any clock at most, so that products of them do not overflow.
const TICKS_MAX: u64 = 1 << 50;
/// The shortest side that is passed through.
const SIDE_MIN: u32 = 16;
/// The picture begins at most this much later than the sound, which is left out until then.
const LATE_US_MAX: i64 = 100_000;
/// How far a segment's length by its samples may be from its length on the screen.
const UNEVEN_US_MAX: u64 = 50_000;
const TARGET_SECS: u32 = 4;
