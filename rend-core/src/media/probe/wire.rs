//! ffprobe's JSON as it comes, and the way from it to a [`Source`].

use serde::Deserialize;
use serde_json::Value;

use super::{Audio, Cadence, Limits, Rate, Reject, Source, Transfer, Video};
use crate::artifact::Lang;
use crate::asset::CAPTIONS_MAX;
use crate::language::LangTag;
use crate::media::ladder::Size;
use crate::media::sniff::Container;
use crate::media::sounds::sounds;
use crate::media::subtitles::{self, Subtitle};

/// All that ffprobe said. Every field may be missing, and numbers may be text.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Said {
    #[serde(default)]
    streams: Vec<Stream>,
    #[serde(default)]
    format: Format,
}

#[derive(Debug, Default, Deserialize)]
struct Format {
    #[serde(default)]
    duration: Value,
    #[serde(default)]
    start_time: Value,
    #[serde(default)]
    bit_rate: Value,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Stream {
    index: u32,
    codec_type: String,
    codec_name: String,
    codec_tag_string: String,
    profile: Value,
    width: Value,
    height: Value,
    sample_aspect_ratio: String,
    pix_fmt: String,
    field_order: String,
    color_space: String,
    color_transfer: String,
    r_frame_rate: String,
    avg_frame_rate: String,
    start_time: Value,
    duration: Value,
    nb_frames: Value,
    bit_rate: Value,
    channels: Value,
    sample_rate: Value,
    disposition: Disposition,
    tags: Value,
    side_data_list: Vec<Value>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Disposition {
    default: Value,
    attached_pic: Value,
    timed_thumbnails: Value,
    still_image: Value,
    forced: Value,
    hearing_impaired: Value,
}

impl Said {
    pub(super) fn source(&self, container: Container, limits: &Limits) -> Result<Source, Reject> {
        let mut notes = Vec::new();
        let is_still = |s: &Stream| {
            yes(&s.disposition.attached_pic) || yes(&s.disposition.timed_thumbnails) || yes(&s.disposition.still_image)
        };
        let pictures = || self.streams.iter().filter(|s| s.codec_type == "video" && !is_still(s));
        let cover =
            self.streams.iter().find(|s| s.codec_type == "video" && yes(&s.disposition.attached_pic)).map(|s| s.index);
        let chosen = pictures().max_by_key(|s| {
            let area = natural(&s.width).unwrap_or(0).saturating_mul(natural(&s.height).unwrap_or(0));
            // Of equals the first in the file wins, hence the turned index.
            (yes(&s.disposition.default), area, u32::MAX - s.index)
        });
        let start_us = micros(&self.format.start_time).unwrap_or(0);
        let whole_us = micros(&self.format.duration).and_then(|us| u64::try_from(us).ok()).filter(|us| *us > 0);

        let mut audio: Vec<Audio> =
            self.streams.iter().filter(|s| s.codec_type == "audio").filter_map(|s| s.audio(start_us)).collect();
        let first = audio.iter().position(|a| a.default).unwrap_or(0);
        let heard = if audio.is_empty() { None } else { Some(audio.remove(first)) };

        let video = match chosen {
            Some(stream) => {
                let sound_end = heard.as_ref().and_then(|a| a.end_us);
                Some(stream.video(start_us, whole_us, sound_end, natural(&self.format.bit_rate), limits, &mut notes)?)
            }
            None => None,
        };
        if pictures().count() > 1 {
            notes.push("the file holds several pictures; the main one was used".to_owned());
        }
        let subtitles: Vec<Subtitle> =
            self.streams.iter().filter(|s| s.codec_type == "subtitle").map(Stream::subtitle).collect();
        notes.extend(subtitles::chosen(&subtitles, CAPTIONS_MAX).1);
        if video.is_none() && heard.is_none() {
            return Err(Reject::NotAVideo);
        }
        let told = video.as_ref().filter(|v| v.duration_us > 0);
        let video_end = told.map_or(0, |v| v.start_us.saturating_add(v.duration_us));
        let audio_end = heard.as_ref().and_then(|a| a.end_us);
        let duration_us = match (&video, audio_end) {
            // A sound that goes on is worth hearing: the last picture is held under it. A few frames more are not.
            (Some(_), Some(end)) if told.is_some() && end > video_end.saturating_add(HOLD_US_MIN) => {
                notes.push("the sound goes on after the picture ends; the last picture is held".to_owned());
                end
            }
            (Some(_), _) => video_end,
            (None, end) => end.or(whole_us).unwrap_or(0),
        };
        if duration_us > limits.duration_secs_max.saturating_mul(1_000_000) {
            let hours = limits.duration_secs_max / 3600;
            return Err(Reject::OverLimit(format!("it is longer than {hours} hours")));
        }
        let keys_us = Vec::new();
        let mut source = Source {
            container,
            video,
            audio: heard,
            other_audio: audio,
            subtitles,
            cover,
            duration_us,
            keys_us,
            notes,
        };
        let (more, chosen) = (source.other_audio.len(), sounds(&source).len());
        if chosen > 0 {
            source.notes.push(format!("the file holds sound in several languages; viewers choose among {chosen}"));
        }
        if chosen > 0 && more + 1 > chosen {
            source.notes.push(format!("{} more sound tracks were left out", more + 1 - chosen));
        } else if chosen == 0 && more > 0 {
            source.notes.push(format!("the file holds {more} more sound tracks; the default one was used"));
        }
        Ok(source)
    }
}

impl Stream {
    fn video(
        &self,
        file_start_us: i64,
        whole_us: Option<u64>,
        sound_end_us: Option<u64>,
        file_bits: Option<u64>,
        limits: &Limits,
        notes: &mut Vec<String>,
    ) -> Result<Video, Reject> {
        if self.codec_name.is_empty() || self.codec_name == "unknown" {
            // Without even the mark of a codec, the description itself is cut off.
            let marked = !matches!(self.codec_tag_string.as_str(), "" | "[0][0][0][0]");
            let unknown = Reject::Unsupported("its picture has an unknown codec".to_owned());
            return Err(if marked { unknown } else { Reject::Unreadable });
        }
        let (width, height) = (natural(&self.width).unwrap_or(0), natural(&self.height).unwrap_or(0));
        if width == 0 || height == 0 {
            return Err(Reject::Unreadable);
        }
        let side_max = u64::from(limits.side_max);
        if width > side_max || height > side_max || width.saturating_mul(height) > limits.pixels_max {
            return Err(Reject::OverLimit(format!("a picture of {width} × {height} is too large")));
        }
        let side = |pixels: u64| u32::try_from(pixels).map_err(|_| Reject::Unreadable);
        let coded = Size { width: side(width)?, height: side(height)? };
        if coded.short_side() < SIDE_MIN {
            return Err(Reject::Unsupported(format!("a picture of {width} × {height} is too small")));
        }
        let (rotation, display) = self.shown(coded, limits);
        if rotation != 0 {
            notes.push(format!("the picture is stored turned by {rotation} degrees; it is shown upright"));
        }
        if display.pixels() > limits.pixels_max || display.width.max(display.height) > limits.side_max {
            return Err(Reject::OverLimit("its picture is too large once its pixels are made square".to_owned()));
        }

        let frames = natural(&self.nb_frames).filter(|n| *n > 0);
        let start_us = u64::try_from(micros(&self.start_time).unwrap_or(file_start_us) - file_start_us).unwrap_or(0);
        let own_us = micros(&self.duration).and_then(|us| u64::try_from(us).ok()).filter(|us| *us > 0);
        // Without a length of its own the picture lasts as long as the file, whose length counts from the file's start.
        let duration_us = own_us.or_else(|| whole_us.map(|us| us.saturating_sub(start_us))).unwrap_or(0);
        let told = |text: &str| fraction(text).filter(|r| r.millis() <= 1_000_000);
        let counted = frames.zip(Some(duration_us).filter(|us| *us > 0)).and_then(|(frames, us)| {
            let per_kilosecond = u128::from(frames) * 1_000_000_000 / u128::from(us);
            u32::try_from(per_kilosecond).ok().and_then(|millis| Rate::new(millis, 1000))
        });
        let (base, mean) = (told(&self.r_frame_rate).filter(|r| r.millis() <= 300_000), told(&self.avg_frame_rate));
        let (native, cadence) = cadence(base, mean, counted);
        match cadence {
            Cadence::Constant => {}
            Cadence::Variable => notes.push(super::UNEVEN.to_owned()),
            Cadence::Broken => notes.push("the time stamps are damaged; frames were counted instead".to_owned()),
        }
        let rate = native.bounded();
        if native.millis() > rate.millis() {
            notes.push(format!("{} frames a second were reduced to {}", native.millis() / 1000, rate.millis() / 1000));
        }
        if frames == Some(1) || (duration_us > 0 && native.millis() >= 1000 && native.frames_in(duration_us) < 2) {
            return Err(Reject::NotAVideo);
        }
        let seconds_max = limits.duration_secs_max.saturating_mul(1_000_000);
        if duration_us > seconds_max {
            return Err(Reject::OverLimit(format!("it is longer than {} hours", limits.duration_secs_max / 3600)));
        }
        if coded.pixels().saturating_mul(native.millis()) / 1000 > limits.pixels_per_sec_max {
            return Err(Reject::OverLimit(format!("{width} × {height} at {} frames a second", native.millis() / 1000)));
        }
        let all_us = duration_us.max(sound_end_us.unwrap_or(0).min(seconds_max));
        let pictures = frames.unwrap_or(0).max(native.frames_in(duration_us)).max(rate.frames_in(all_us));
        if coded.pixels().saturating_mul(pictures) > limits.pixels_total_max {
            return Err(Reject::OverLimit("it would take too long to decode".to_owned()));
        }

        let transfer = match self.color_transfer.as_str() {
            "smpte2084" => Transfer::Pq,
            "arib-std-b67" => Transfer::Hlg,
            _ => Transfer::Sdr,
        };
        if transfer != Transfer::Sdr {
            notes.push("high dynamic range was mapped to the range of ordinary screens".to_owned());
        }
        let interlaced = matches!(self.field_order.as_str(), "tt" | "bb" | "tb" | "bt");
        if interlaced {
            notes.push("interlaced pictures were made progressive".to_owned());
        }
        let bits = natural(&self.bit_rate).or(file_bits);
        Ok(Video {
            index: self.index,
            codec: self.codec_name.clone(),
            profile: self.profile.as_str().unwrap_or_default().to_owned(),
            coded,
            display,
            rotation,
            pixel_format: self.pix_fmt.clone(),
            transfer,
            matrix_known: !matches!(self.color_space.as_str(), "" | "unknown" | "reserved"),
            interlaced,
            rate,
            native,
            cadence,
            frames,
            start_us,
            duration_us,
            kbps: bits.and_then(|bits| u32::try_from(bits.div_ceil(1000)).ok()).filter(|kbps| *kbps > 0),
        })
    }

    /// The quarter turn and the size as shown.
    fn shown(&self, coded: Size, limits: &Limits) -> (u16, Size) {
        let mut size = coded;
        if let Some((num, den)) = pair(&self.sample_aspect_ratio, ':').filter(|(n, d)| *n > 0 && *d > 0 && n != d) {
            let wide = (u64::from(coded.width) * num + den / 2) / den;
            size.width = u32::try_from(wide).unwrap_or(u32::MAX).clamp(2, limits.side_max.saturating_mul(4));
        }
        let told = self.side_data_list.iter().find_map(|side| side.get("rotation").and_then(Value::as_f64));
        #[expect(
            clippy::cast_possible_truncation,
            reason = "a float cast saturates, and quarters are taken modulo four"
        )]
        let quarters = ((told.unwrap_or(0.0) / 90.0).round() as i64).rem_euclid(4);
        if quarters % 2 == 1 {
            size = Size { width: size.height, height: size.width };
        }
        (u16::try_from(quarters * 90).unwrap_or(0), size)
    }

    fn subtitle(&self) -> Subtitle {
        let lang = self.tags.get("language").and_then(Value::as_str).and_then(|lang| LangTag::of(lang).ok());
        Subtitle {
            index: self.index,
            codec: self.codec_name.clone(),
            // A language of three letters and its name of two are one.
            lang: lang.and_then(|lang| LangTag::of(&lang.bcp47()).ok()).or(lang).unwrap_or_else(|| Lang::UND.into()),
            forced: yes(&self.disposition.forced),
            accessible: yes(&self.disposition.hearing_impaired),
        }
    }

    fn audio(&self, file_start_us: i64) -> Option<Audio> {
        let channels = natural(&self.channels).and_then(|n| u32::try_from(n).ok())?;
        let sample_rate = natural(&self.sample_rate).and_then(|n| u32::try_from(n).ok())?;
        if channels == 0 || sample_rate == 0 || self.codec_name.is_empty() || self.codec_name == "unknown" {
            return None;
        }
        let start = micros(&self.start_time).unwrap_or(file_start_us) - file_start_us;
        let end_us = micros(&self.duration).map(|us| us.saturating_add(start)).and_then(|us| u64::try_from(us).ok());
        let lang = self.tags.get("language").and_then(Value::as_str).and_then(|lang| lang.parse().ok());
        Some(Audio {
            index: self.index,
            codec: self.codec_name.clone(),
            channels,
            sample_rate,
            lang: lang.unwrap_or(Lang::UND),
            default: yes(&self.disposition.default),
            end_us,
        })
    }
}

/// The grid's rate and how the frames lie on it, from the base rate, the mean rate and the count that the file gives.
fn cadence(base: Option<Rate>, mean: Option<Rate>, counted: Option<Rate>) -> (Rate, Cadence) {
    if let (Some(told), Some(counted)) = (mean.or(base), counted) {
        // The count and the mean are two ways to say one thing. When they differ twofold, the time stamps are forged.
        let (told, real) = (told.millis().max(1), counted.millis().max(1));
        if told > real * 2 || real > told * 2 {
            return (counted.snapped().tamed(), Cadence::Broken);
        }
    }
    let unknown = Rate { num: 30, den: 1 };
    match (base.map(|r| r.snapped().tamed()), mean) {
        // Filling the gaps would invent more than one frame in twenty; below that it is not worth keeping them.
        (Some(base), Some(mean)) if mean.millis() * 105 > base.millis() * 100 => {
            // A base below the mean says only that the guess was poor.
            let faster = mean.millis() * 9 > base.millis() * 10;
            (if faster { mean.snapped().tamed() } else { base }, Cadence::Constant)
        }
        (Some(base), Some(_)) => (base, Cadence::Variable),
        (Some(base), None) => (base, Cadence::Constant),
        (None, Some(mean)) => (mean.snapped().tamed(), Cadence::Variable),
        (None, None) => (unknown, Cadence::Variable),
    }
}

fn fraction(text: &str) -> Option<Rate> {
    let (num, den) = pair(text, '/')?;
    Rate::new(u32::try_from(num).ok()?, u32::try_from(den).ok()?)
}

fn pair(text: &str, between: char) -> Option<(u64, u64)> {
    let (a, b) = text.split_once(between)?;
    let (a, b) = (a.parse().ok()?, b.parse().ok()?);
    (a <= PART_MAX && b <= PART_MAX).then_some((a, b))
}

fn yes(value: &Value) -> bool {
    natural(value) == Some(1)
}

fn natural(value: &Value) -> Option<u64> {
    match value {
        Value::Number(n) => n.as_u64(),
        Value::String(text) => text.parse().ok(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
    .filter(|n| *n <= NATURAL_MAX)
}

/// Seconds, as text or a number, in microseconds.
fn micros(value: &Value) -> Option<i64> {
    let seconds = match value {
        Value::Number(n) => n.as_f64(),
        Value::String(text) => text.parse::<f64>().ok(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }?;
    #[expect(clippy::cast_possible_truncation, reason = "bounded right here")]
    (seconds.abs() < 1e9).then(|| (seconds * 1e6).round() as i64)
}

/// The shortest side that the encoder makes something of.
const SIDE_MIN: u32 = 16;
/// Sound that goes on for longer than this after the picture is kept, under the last picture.
const HOLD_US_MIN: u64 = 500_000;
/// No part of a fraction is larger, so that products of them do not overflow.
const PART_MAX: u64 = 1 << 31;
/// No count, size or rate that means anything is larger. Products of two of them may not fit 64 bits, and saturate.
const NATURAL_MAX: u64 = 1 << 40;
