//! What ffprobe says of a file, turned into a [`Source`] or a reason to refuse it.
//!
//! Nothing that a file claims about itself is believed further than its limits: a [`Source`] can be had only from
//! [`read`], and holding one proves that its size, length and frame rate are within the [`Limits`] it was read with, so
//! that the cost of decoding it is bounded before anything is decoded.

use std::fmt;

use thiserror::Error;

use crate::artifact::Lang;
use crate::asset::{Failure, MediaFacts};
use crate::media::ladder::Size;
use crate::media::sniff::Container;
use crate::media::subtitles::Subtitle;

mod wire;

/// An uploaded file as the planner sees it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Source {
    /// How it is packed.
    pub container: Container,
    /// The one picture that will be shown, if there is one.
    pub video: Option<Video>,
    /// The one sound track that will be heard, if there is one.
    pub audio: Option<Audio>,
    /// Sound tracks beside it, in the order of the file.
    pub other_audio: Vec<Audio>,
    /// Tracks of subtitles, in the order of the file.
    pub subtitles: Vec<Subtitle>,
    /// The stream that is a still for the cover.
    pub cover: Option<u32>,
    /// Its length in microseconds: what will be played, from the first instant of any track that is used. 0 when the file
    /// does not say, as recordings made by a browser do not: then a [`PacketScan`] tells.
    pub duration_us: u64,
    /// When decoding of its picture can start, in microseconds and in order; empty when that is not known, or anywhere. It
    /// is a hint: see [`key_instants`](crate::media::moov::key_instants).
    pub keys_us: Vec<u64>,
    /// What was not standard about it, in sentences for its owner.
    pub notes: Vec<String>,
}

/// The picture of a source.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Video {
    /// Its stream in the file.
    pub index: u32,
    /// Its codec in ffmpeg's word.
    pub codec: String,
    /// Its profile in ffmpeg's word, or empty.
    pub profile: String,
    /// The size of its pictures as coded.
    pub coded: Size,
    /// The size as shown: turned upright and with square pixels.
    pub display: Size,
    /// By how many degrees it is turned for showing: 0, 90, 180 or 270.
    pub rotation: u16,
    /// The pixel format in ffmpeg's word.
    pub pixel_format: String,
    /// How light is coded.
    pub transfer: Transfer,
    /// Whether the file says by which matrix its colours are coded. Players guess by the size where none is named.
    pub matrix_known: bool,
    /// Whether each frame holds two half-pictures of different instants.
    pub interlaced: bool,
    /// The rate of the grid that its frames lie on, at most [`FPS_MAX`], snapped to a standard rate when it is near one.
    pub rate: Rate,
    /// The rate that the file has, before [`Self::rate`] was held within bounds.
    pub native: Rate,
    /// Whether its frames come at even distances.
    pub cadence: Cadence,
    /// How many frames it has, if the file says so.
    pub frames: Option<u64>,
    /// When it starts, in microseconds after the start of the file.
    pub start_us: u64,
    /// Its own length in microseconds.
    pub duration_us: u64,
    /// What it spends, in kb/s, if known.
    pub kbps: Option<u32>,
}

impl Video {
    /// The size of its pictures as coded, turned upright.
    pub const fn upright(&self) -> Size {
        match self.rotation {
            90 | 270 => Size { width: self.coded.height, height: self.coded.width },
            _ => self.coded,
        }
    }
}

/// One sound track of a source.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Audio {
    /// Its stream in the file.
    pub index: u32,
    /// Its codec in ffmpeg's word.
    pub codec: String,
    /// Its channels.
    pub channels: u32,
    /// Its samples a second.
    pub sample_rate: u32,
    /// Its language.
    pub lang: Lang,
    /// Whether the file wants it chosen.
    pub default: bool,
    /// When it ends, in microseconds after the start of the file, if the file says so.
    pub end_us: Option<u64>,
}

/// How light is coded.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Transfer {
    /// For ordinary screens.
    Sdr,
    /// SMPTE ST 2084, the curve of HDR10.
    Pq,
    /// Hybrid log-gamma.
    Hlg,
}

/// How evenly frames come.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Cadence {
    /// At even distances, but for jitter and a rare gap.
    Constant,
    /// With gaps. The frames are laid on the grid and the gaps stay gaps.
    Variable,
    /// The time stamps contradict the number of frames; frames are counted instead.
    Broken,
}

/// A number of frames a second, as a fraction in lowest terms.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Rate {
    num: u32,
    den: u32,
}

impl Rate {
    /// `num / den` frames a second, or `None` when either is 0.
    pub const fn new(num: u32, den: u32) -> Option<Self> {
        if num == 0 || den == 0 {
            return None;
        }
        let mut a = num;
        let mut b = den;
        while b != 0 {
            (a, b) = (b, a % b);
        }
        Some(Self { num: num / a, den: den / a })
    }

    /// The numerator.
    pub const fn num(self) -> u32 {
        self.num
    }

    /// The denominator.
    pub const fn den(self) -> u32 {
        self.den
    }

    /// Frames per 1000 seconds, rounded.
    pub fn millis(self) -> u64 {
        (u64::from(self.num) * 1000 + u64::from(self.den) / 2) / u64::from(self.den)
    }

    /// How many frames begin in `us` microseconds, rounded to the nearest.
    pub fn frames_in(self, us: u64) -> u64 {
        let exact = u128::from(us) * u128::from(self.num);
        let den = u128::from(self.den) * 1_000_000;
        u64::try_from((exact + den / 2) / den).unwrap_or(u64::MAX)
    }

    /// When frame number `frame` begins, in microseconds, rounded to the nearest.
    pub fn micros_at(self, frame: u64) -> u64 {
        let exact = u128::from(frame) * u128::from(self.den) * 1_000_000;
        u64::try_from((exact + u128::from(self.num) / 2) / u128::from(self.num)).unwrap_or(u64::MAX)
    }

    /// The standard rate within two thousandths of this one, or this one.
    pub(super) fn snapped(self) -> Self {
        let near = |standard: &&Self| {
            let a = u64::from(self.num) * u64::from(standard.den);
            let b = u64::from(standard.num) * u64::from(self.den);
            a.abs_diff(b) * 500 <= b
        };
        let distance = |standard: &&Self| standard.millis().abs_diff(self.millis());
        STANDARD.iter().filter(near).min_by_key(distance).copied().unwrap_or(self)
    }

    /// Every so-many-th frame of this rate, so that the rate is at most [`FPS_MAX`]; at least one frame a second.
    fn bounded(self) -> Self {
        if self.num < self.den {
            return Self { num: 1, den: 1 };
        }
        let every = self.num.div_ceil(self.den.saturating_mul(FPS_MAX)).max(1);
        Self::new(self.num, self.den.saturating_mul(every)).unwrap_or(self)
    }

    /// A fraction whose parts are small enough for every sum made of it.
    fn tamed(self) -> Self {
        if self.num <= 240_000 && self.den <= 10_010 {
            return self;
        }
        Self::new(u32::try_from(self.millis()).unwrap_or(u32::MAX).clamp(1, 1_000_000), 1000).unwrap_or(self)
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.num, self.den)
    }
}

/// What a source may be at most.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Limits {
    /// Seconds of playback.
    pub duration_secs_max: u64,
    /// Pixels along either side.
    pub side_max: u32,
    /// Pixels in one picture.
    pub pixels_max: u64,
    /// Pixels in a second of it: what a decoder must keep up with. A small file may claim any number of them.
    pub pixels_per_sec_max: u64,
    /// Pixels in all its pictures: what decoding costs, priced before it begins.
    pub pixels_total_max: u64,
}

impl Default for Limits {
    /// Twelve hours; 8192 a side and 35.4 million pixels a picture; 4320p30 by rate; and as many pixels in all as three
    /// hours of 2160p60.
    fn default() -> Self {
        Self {
            duration_secs_max: 12 * 3600,
            side_max: 8192,
            pixels_max: 35_400_000,
            pixels_per_sec_max: 7680 * 4320 * 30 + 1,
            pixels_total_max: 3 * 3600 * 60 * 3840 * 2160,
        }
    }
}

/// Why a file is refused. Trying again gives the same answer.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
pub enum Reject {
    /// It can not be parsed.
    #[error("the file can not be read: it is damaged, cut short, or not a media file")]
    Unreadable,
    /// It was parsed, but too much of it is damaged.
    #[error("the file is too damaged to be played: {percent} % of it can not be decoded")]
    Spoilt {
        /// How much, in hundredths, rounded up.
        percent: u32,
    },
    /// It was parsed, but there is nothing in it to play.
    #[error("the file holds no moving picture and no sound")]
    NotAVideo,
    /// It is larger, longer or costlier than allowed.
    #[error("the file is over a limit: {0}")]
    OverLimit(String),
    /// It is a kind of media that this installation can not decode.
    #[error("the file can not be decoded: {0}")]
    Unsupported(String),
}

impl Reject {
    /// The stable word for it.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Unreadable | Self::Spoilt { .. } => "unreadable",
            Self::NotAVideo => "not_a_video",
            Self::OverLimit(_) => "over_limit",
            Self::Unsupported(_) => "unsupported",
        }
    }

    /// The word and a sentence for the owner.
    pub fn failure(&self) -> Failure {
        let fix = match self {
            Self::Unreadable => "; export it again, for example as MP4 with H.264 and AAC, and upload that",
            Self::Spoilt { .. } => "; export or copy it again from where it is whole, and upload that",
            Self::NotAVideo => "; upload a video or a sound file",
            Self::OverLimit(_) => "; make it shorter or smaller and upload that",
            Self::Unsupported(_) => "; convert it to H.264 and AAC and upload that",
        };
        Failure { code: self.code().to_owned(), detail: format!("{self}{fix}") }
    }
}

/// Reads what `ffprobe -print_format json -show_format -show_streams` said of a file that starts as `container`.
///
/// # Errors
///
/// [`Reject`] when there is nothing to play or a limit is passed.
pub fn read(json: &[u8], container: Container, limits: &Limits) -> Result<Source, Reject> {
    if json.len() > JSON_BYTES_MAX {
        return Err(Reject::Unreadable);
    }
    let said: wire::Said = serde_json::from_slice(json).map_err(|_| Reject::Unreadable)?;
    said.source(container, limits)
}

impl Source {
    /// The stream whose packets must be looked at before a plan can be made, if there is one: the file does not tell its
    /// length, or its frames come unevenly.
    pub fn untold(&self) -> Option<u32> {
        match &self.video {
            Some(video) if self.duration_us == 0 || video.cadence == Cadence::Variable => Some(video.index),
            None if self.duration_us == 0 => self.audio.as_ref().map(|audio| audio.index),
            Some(_) | None => None,
        }
    }

    /// The source, with a length that the file did not tell taken from its packets.
    ///
    /// # Errors
    ///
    /// [`Reject`] when that length is over a limit, or nothing was found.
    pub fn measured(mut self, scan: &PacketScan, limits: &Limits) -> Result<Self, Reject> {
        if self.duration_us > 0 {
            return Ok(self);
        }
        if scan.packets < 2 {
            return Err(if self.video.is_some() { Reject::NotAVideo } else { Reject::Unreadable });
        }
        let spans = scan.last_us.abs_diff(scan.first_us);
        let last = spans / (scan.packets - 1);
        self.duration_us = spans.saturating_add(last);
        if let Some(video) = &mut self.video {
            video.duration_us = self.duration_us;
            self.duration_us = self.duration_us.saturating_add(video.start_us);
            let pictures = scan.packets.max(video.rate.frames_in(self.duration_us));
            if video.coded.pixels().saturating_mul(pictures) > limits.pixels_total_max {
                return Err(Reject::OverLimit("it would take too long to decode".to_owned()));
            }
        }
        if self.duration_us > limits.duration_secs_max.saturating_mul(1_000_000) {
            return Err(Reject::OverLimit(format!("it is longer than {} hours", limits.duration_secs_max / 3600)));
        }
        Ok(self)
    }

    /// What owners and viewers are told of it.
    pub fn facts(&self) -> MediaFacts {
        let video = self.video.as_ref();
        MediaFacts {
            container: self.container.to_string(),
            duration_ms: self.duration_us / 1000,
            width: video.map_or(0, |v| v.display.width),
            height: video.map_or(0, |v| v.display.height),
            millifps: video.map_or(0, |v| u32::try_from(v.rate.millis()).unwrap_or(u32::MAX)),
            video_codec: video.map_or_else(String::new, |v| v.codec.clone()),
            audio_codec: self.audio.as_ref().map_or_else(String::new, |a| a.codec.clone()),
            notes: self.notes.iter().map(|note| note.as_str().into()).collect(),
        }
    }
}

/// What owners are told of frames that come at uneven distances.
pub const UNEVEN: &str = "frames come at uneven distances; their times are kept";

/// What the time stamps of a picture's packets say, for sources whose cadence or length the file does not tell.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct PacketScan {
    /// Packets that had a time stamp.
    pub packets: u64,
    /// The first instant, in microseconds.
    pub first_us: i64,
    /// The last instant.
    pub last_us: i64,
    /// The longest time without a new frame.
    pub gap_us_max: u64,
}

impl PacketScan {
    /// Takes in one line of ffprobe's CSV: the time stamp of a packet in seconds.
    pub fn line(&mut self, line: &str) {
        let Some(us) = line.trim().trim_end_matches(',').parse::<f64>().ok().filter(|s| s.abs() < 1e9) else { return };
        #[expect(clippy::cast_possible_truncation, reason = "bounded in the line above")]
        let us = (us * 1e6).round() as i64;
        if self.packets == 0 {
            (self.first_us, self.last_us) = (us, us);
        }
        // Frames are stored in decoding order, so a later packet may be shown earlier; that is no gap.
        if us > self.last_us {
            self.gap_us_max = self.gap_us_max.max(us.abs_diff(self.last_us));
            self.last_us = us;
        }
        self.first_us = self.first_us.min(us);
        self.packets += 1;
    }
}

/// Frames a second that Rend encodes at most.
pub const FPS_MAX: u32 = 60;
/// Bytes of ffprobe's answer that are read at most.
pub const JSON_BYTES_MAX: usize = 4 << 20;

/// Rates that cameras, films and screens really have, as numerator and denominator.
const STANDARD: [Rate; 18] = [
    Rate { num: 5, den: 1 },
    Rate { num: 10, den: 1 },
    Rate { num: 12, den: 1 },
    Rate { num: 25, den: 2 },
    Rate { num: 15, den: 1 },
    Rate { num: 20, den: 1 },
    Rate { num: 24_000, den: 1001 },
    Rate { num: 24, den: 1 },
    Rate { num: 25, den: 1 },
    Rate { num: 30_000, den: 1001 },
    Rate { num: 30, den: 1 },
    Rate { num: 48, den: 1 },
    Rate { num: 50, den: 1 },
    Rate { num: 60_000, den: 1001 },
    Rate { num: 60, den: 1 },
    Rate { num: 100, den: 1 },
    Rate { num: 120, den: 1 },
    Rate { num: 240, den: 1 },
];

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A plain H.264 picture of this size at 30 frames a second and ten seconds.
    pub(crate) fn video(display: Size) -> Video {
        let rate = Rate { num: 30, den: 1 };
        Video {
            index: 0,
            codec: "h264".to_owned(),
            profile: "High".to_owned(),
            coded: display,
            display,
            rotation: 0,
            pixel_format: "yuv420p".to_owned(),
            transfer: Transfer::Sdr,
            matrix_known: true,
            interlaced: false,
            rate,
            native: rate,
            cadence: Cadence::Constant,
            frames: Some(300),
            start_us: 0,
            duration_us: 10_000_000,
            kbps: None,
        }
    }

    fn stream(fields: &str) -> String {
        format!(
            r#"{{"index":0,"codec_type":"video","codec_name":"h264","width":640,"height":360,"pix_fmt":"yuv420p",{fields}}}"#
        )
    }

    fn probe(streams: &[String], duration: &str) -> Result<Source, Reject> {
        let json =
            format!(r#"{{"streams":[{}],"format":{{"duration":"{duration}","start_time":"0.0"}}}}"#, streams.join(","));
        read(json.as_bytes(), Container::Mov, &Limits::default())
    }

    #[test]
    fn a_picture_whose_sides_multiply_past_any_number_is_over_the_limit() {
        let side = 1_u64 << 33;
        let huge = format!(r#"{{"index":0,"codec_type":"video","codec_name":"h264","width":{side},"height":{side}}}"#);
        assert!(matches!(probe(std::slice::from_ref(&huge), "10.0"), Err(Reject::OverLimit(_))));
        // It is also compared with other pictures of the file, and one that is the default comes before it.
        let chosen = stream(r#""disposition":{"default":1},"r_frame_rate":"30/1","avg_frame_rate":"30/1""#);
        let source = probe(&[huge, chosen], "10.0").unwrap();
        assert_eq!(source.video.unwrap().coded, Size { width: 640, height: 360 });
    }

    const PLAIN: &str = r#""r_frame_rate":"24/1","avg_frame_rate":"24/1","duration":"8.0","nb_frames":"192""#;
    const SOUND: &str =
        r#"{"index":1,"codec_type":"audio","codec_name":"aac","channels":2,"sample_rate":"48000","duration":"8.0"}"#;

    #[test]
    fn a_plain_clip_is_read() {
        let source = probe(&[stream(PLAIN), SOUND.to_owned()], "8.0").unwrap();
        let video = source.video.unwrap();
        assert_eq!((video.rate.millis(), video.frames, video.cadence), (24_000, Some(192), Cadence::Constant));
        assert_eq!((source.duration_us, source.audio.unwrap().index), (8_000_000, 1));
        assert!(source.notes.is_empty(), "{:?}", source.notes);
    }

    #[track_caller]
    fn check_rate(fields: &str, millis: u64, cadence: Cadence) {
        let video = probe(&[stream(fields)], "8.0").unwrap().video.unwrap();
        assert_eq!((video.rate.millis(), video.cadence), (millis, cadence), "{fields}");
    }

    #[test]
    fn rates_are_snapped_bounded_and_told_apart_from_gaps() {
        check_rate(r#""r_frame_rate":"30/1","avg_frame_rate":"2500/83","nb_frames":"250""#, 30_000, Cadence::Constant);
        check_rate(r#""r_frame_rate":"90000/2999","avg_frame_rate":"369000/13657""#, 30_000, Cadence::Variable);
        check_rate(r#""r_frame_rate":"24/1","avg_frame_rate":"432/41""#, 24_000, Cadence::Variable);
        check_rate(r#""r_frame_rate":"240/1","avg_frame_rate":"240/1""#, 60_000, Cadence::Constant);
        check_rate(r#""r_frame_rate":"100/1","avg_frame_rate":"100/1""#, 50_000, Cadence::Constant);
        check_rate(r#""r_frame_rate":"24000/1001","avg_frame_rate":"24000/1001""#, 23_976, Cadence::Constant);
        check_rate(
            r#""r_frame_rate":"1/5","avg_frame_rate":"1/5","duration":"30","nb_frames":"6""#,
            1000,
            Cadence::Constant,
        );
        check_rate(r#""r_frame_rate":"90000/1","avg_frame_rate":"0/0""#, 30_000, Cadence::Variable);
        let giant =
            r#""r_frame_rate":"4096/89478485","avg_frame_rate":"4096/89478485","duration":"8.0","nb_frames":"192""#;
        check_rate(giant, 24_000, Cadence::Broken);
    }

    #[test]
    fn pictures_are_measured_as_they_are_shown() {
        let turned = format!(r#"{PLAIN},"side_data_list":[{{"side_data_type":"Display Matrix","rotation":-90}}]"#);
        let video = probe(&[stream(&turned)], "8.0").unwrap().video.unwrap();
        assert_eq!((video.display, video.rotation), (Size { width: 360, height: 640 }, 270));
        let wide = format!(r#"{PLAIN},"sample_aspect_ratio":"16:11""#);
        let video = probe(&[stream(&wide)], "8.0").unwrap().video.unwrap();
        assert_eq!(video.display, Size { width: 931, height: 360 });
    }

    #[test]
    fn covers_are_not_pictures() {
        let cover = format!(r#"{PLAIN},"disposition":{{"attached_pic":1}}"#);
        let source = probe(&[stream(&cover), SOUND.to_owned()], "8.0").unwrap();
        assert_eq!((source.video, source.cover), (None, Some(0)));
        assert_eq!(probe(&[stream(&cover)], "8.0"), Err(Reject::NotAVideo));
    }

    #[test]
    fn a_file_may_lie_about_its_length() {
        let source = probe(&[stream(PLAIN), SOUND.to_owned()], "360000.0").unwrap();
        assert_eq!(source.duration_us, 8_000_000);
    }

    #[track_caller]
    fn check_refused(fields: &str, duration: &str, code: &str) {
        let stream = format!(r#"{{"index":0,"codec_type":"video","codec_name":"h264","pix_fmt":"yuv420p",{fields}}}"#);
        assert_eq!(probe(&[stream], duration).map_err(|e| e.code()), Err(code), "{fields}");
    }

    #[test]
    fn what_is_over_a_limit_is_refused_before_it_is_decoded() {
        let fine = r#""r_frame_rate":"60/1","avg_frame_rate":"60/1""#;
        check_refused(&format!(r#""width":65535,"height":65535,{fine}"#), "8", "over_limit");
        check_refused(&format!(r#""width":8192,"height":8192,{fine}"#), "8", "over_limit");
        check_refused(&format!(r#""width":4096,"height":4096,{fine}"#), "8", "over_limit");
        check_refused(&format!(r#""width":640,"height":360,{fine}"#), "43201", "over_limit");
        check_refused(&format!(r#""width":3840,"height":2160,{fine}"#), "10801", "over_limit");
        check_refused(&format!(r#""width":0,"height":0,{fine}"#), "8", "unreadable");
        check_refused(&format!(r#""width":640,"height":360,{fine},"nb_frames":"1""#), "0.04", "not_a_video");
        let unknown = r#""codec_name":"unknown","width":640,"height":360"#;
        let strange = |fields: &str| {
            let stream = format!(r#"{{"index":0,"codec_type":"video",{fields}}}"#);
            probe(&[stream], "8").map_err(|e| e.code())
        };
        assert_eq!(strange(&format!(r#"{unknown},"codec_tag_string":"abcd""#)), Err("unsupported"));
        assert_eq!(strange(&format!(r#"{unknown},"codec_tag_string":"[0][0][0][0]""#)), Err("unreadable"));
        assert_eq!(read(b"{}", Container::Mov, &Limits::default()), Err(Reject::NotAVideo));
        assert_eq!(read(b"", Container::Mov, &Limits::default()), Err(Reject::Unreadable));
    }

    #[test]
    fn gaps_are_found_in_any_order_of_packets() {
        let mut scan = PacketScan::default();
        for line in ["0.0", "0.125", "0.042", "0.083", "N/A", "", "5.0,", "4.9", "nonsense"] {
            scan.line(line);
        }
        assert_eq!(scan, PacketScan { packets: 6, first_us: 0, last_us: 5_000_000, gap_us_max: 4_875_000 });
    }

    #[test]
    fn a_length_that_is_not_told_is_taken_from_the_packets() {
        let recording = r#""r_frame_rate":"30/1","avg_frame_rate":"30/1""#;
        let source = probe(&[stream(recording)], "").unwrap();
        assert_eq!((source.duration_us, source.untold()), (0, Some(0)));
        let scan = PacketScan { packets: 31, first_us: 0, last_us: 3_000_000, gap_us_max: 100_000 };
        let measured = source.clone().measured(&scan, &Limits::default()).unwrap();
        assert_eq!((measured.duration_us, measured.untold()), (3_100_000, None));
        let long = PacketScan { last_us: 50_000_000_000, ..scan };
        assert_eq!(source.clone().measured(&long, &Limits::default()).map_err(|e| e.code()), Err("over_limit"));
        assert_eq!(source.measured(&PacketScan::default(), &Limits::default()), Err(Reject::NotAVideo));
    }

    proptest! {
        #[test]
        fn frames_and_instants_undo_each_other(num in 1_u32..240_000, den in 1_u32..1002, frame in 0_u64..2_600_000) {
            let rate = Rate::new(num, den).unwrap();
            prop_assume!(rate.millis() < 240_000);
            prop_assert_eq!(rate.frames_in(rate.micros_at(frame)), frame);
        }

        #[test]
        fn no_answer_makes_the_reader_panic(json in "\\PC{0,200}") {
            let _ = read(json.as_bytes(), Container::Mov, &Limits::default());
        }
    }
}
