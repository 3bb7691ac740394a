//! HLS playlists as Rend writes them, and a reader for them.
//!
//! [`Media`] and [`Master`] print with [`std::fmt::Display`] and parse with [`std::str::FromStr`]; parsing what was printed
//! gives the same value. Durations are differences of rounded absolute times, so that they never drift from the media.

use std::fmt;
use std::fmt::Write as _;
use std::str::FromStr;

use thiserror::Error;

mod ascent;

/// A media playlist: one rendition's segments, or its key frames alone.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Media {
    /// Whole seconds that no segment, rounded, is longer than. Fixed before the first byte is published.
    pub target_secs: u32,
    /// The initialisation segment, relative to the playlist; empty for captions, which have none.
    pub init: String,
    /// The segments, from the first.
    pub segments: Vec<Entry>,
    /// Whether nothing will be added any more.
    pub ended: bool,
    /// Whether it lists key frames only.
    pub iframes_only: bool,
}

/// One segment of a media playlist.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Entry {
    /// Its length in microseconds.
    pub micros: u64,
    /// Its address, relative to the playlist.
    pub uri: String,
    /// The part of it that is meant, as length and offset, when not all of it is.
    pub bytes: Option<(u64, u64)>,
}

impl Media {
    /// The length of all segments, in microseconds.
    pub fn micros(&self) -> u64 {
        self.segments.iter().fold(0, |sum, entry| sum.saturating_add(entry.micros))
    }
}

impl fmt::Display for Media {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:{}", self.target_secs)?;
        f.write_str("#EXT-X-MEDIA-SEQUENCE:0\n#EXT-X-PLAYLIST-TYPE:EVENT\n")?;
        f.write_str(if self.iframes_only { "#EXT-X-I-FRAMES-ONLY\n" } else { "#EXT-X-INDEPENDENT-SEGMENTS\n" })?;
        if !self.ended {
            // Without it a player takes a growing list for a live event and starts near its end.
            f.write_str("#EXT-X-START:TIME-OFFSET=0\n")?;
        }
        if !self.init.is_empty() {
            writeln!(f, "#EXT-X-MAP:URI=\"{}\"", self.init)?;
        }
        for Entry { micros, uri, bytes } in &self.segments {
            writeln!(f, "#EXTINF:{}.{:06},", micros / 1_000_000, micros % 1_000_000)?;
            if let Some((len, offset)) = bytes {
                writeln!(f, "#EXT-X-BYTERANGE:{len}@{offset}")?;
            }
            writeln!(f, "{uri}")?;
        }
        if self.ended { f.write_str("#EXT-X-ENDLIST\n") } else { Ok(()) }
    }
}

impl FromStr for Media {
    type Err = BadPlaylist;

    fn from_str(text: &str) -> Result<Self, BadPlaylist> {
        let mut seen: Vec<&str> = Vec::new();
        let mut media =
            Self { target_secs: 0, init: String::new(), segments: Vec::new(), ended: false, iframes_only: false };
        let (mut micros, mut bytes) = (None, None);
        for line in lines(text)? {
            let (tag, value) = line.split_once(':').unwrap_or((line, ""));
            if ONCE.contains(&tag) {
                if seen.contains(&tag) {
                    return Err(BadPlaylist("a tag stands twice"));
                }
                seen.push(tag);
            }
            match tag {
                "#EXT-X-TARGETDURATION" => {
                    media.target_secs = value.parse().map_err(|_| BadPlaylist("target duration"))?
                }
                "#EXT-X-MAP" => {
                    media.init = attribute(value, "URI").ok_or(BadPlaylist("a map without URI"))?.to_owned()
                }
                "#EXT-X-I-FRAMES-ONLY" => media.iframes_only = true,
                "#EXT-X-ENDLIST" => media.ended = true,
                "#EXTINF" => micros = Some(seconds(value.split(',').next().unwrap_or_default())?),
                "#EXT-X-BYTERANGE" => {
                    let (len, offset) = value.split_once('@').ok_or(BadPlaylist("a byte range without offset"))?;
                    let number = |text: &str| text.parse().map_err(|_| BadPlaylist("byte range"));
                    bytes = Some((number(len)?, number(offset)?));
                }
                _ if line.starts_with('#') => {}
                uri => {
                    if media.segments.len() == SEGMENTS_MAX {
                        return Err(BadPlaylist("too many segments"));
                    }
                    let micros = micros.take().ok_or(BadPlaylist("a segment without duration"))?;
                    media.segments.push(Entry { micros, uri: uri_of(uri, line)?, bytes: bytes.take() });
                }
            }
        }
        if !seen.contains(&"#EXT-X-TARGETDURATION") {
            return Err(BadPlaylist("no target duration"));
        }
        Ok(media)
    }
}

/// A multivariant playlist.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Master {
    /// The renditions, the one to start with first.
    pub variants: Vec<Variant>,
    /// Key-frame lists for seeking with pictures.
    pub iframes: Vec<Variant>,
    /// Sounds to choose from, for variants that have none of their own. Every variant has all of them.
    pub sounds: Vec<Track>,
    /// Captions to choose from. Every variant has all of them.
    pub captions: Vec<Track>,
}

/// Something that viewers choose beside the picture: the sound in one language, or the captions.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Track {
    /// Its media playlist, relative to the multivariant one.
    pub uri: String,
    /// Its language as BCP 47 writes it.
    pub lang: String,
    /// What viewers choose it by.
    pub name: String,
    /// Whether it is used unless somebody chooses otherwise.
    pub default: bool,
    /// Its channels, for sound; 0 for captions.
    pub channels: u32,
    /// Whether it is for people who can not hear: captions that tell noises too.
    pub accessible: bool,
}

impl Track {
    fn line(&self, f: &mut fmt::Formatter<'_>, kind: &str, group: &str) -> fmt::Result {
        // A quoted value can hold neither quotes nor line ends.
        let name: String = self.name.chars().map(|c| if c == '"' || c.is_control() { '\'' } else { c }).collect();
        let default = if self.default { "YES" } else { "NO" };
        write!(f, "#EXT-X-MEDIA:TYPE={kind},GROUP-ID=\"{group}\",LANGUAGE=\"{}\",NAME=\"{name}\"", self.lang)?;
        write!(f, ",DEFAULT={default},AUTOSELECT=YES")?;
        if kind == SUBTITLES {
            f.write_str(",FORCED=NO")?;
        }
        if self.accessible {
            write!(f, ",CHARACTERISTICS=\"{ACCESSIBLE}\"")?;
        }
        if self.channels > 0 {
            write!(f, ",CHANNELS=\"{}\"", self.channels)?;
        }
        writeln!(f, ",URI=\"{}\"", self.uri)
    }

    fn read(list: &str) -> Result<Self, BadPlaylist> {
        let text = |name| attribute(list, name).map(str::to_owned);
        Ok(Self {
            uri: text("URI").ok_or(BadPlaylist("a track without URI"))?,
            lang: text("LANGUAGE").unwrap_or_else(|| "und".to_owned()),
            name: text("NAME").ok_or(BadPlaylist("a track without a name"))?,
            default: attribute(list, "DEFAULT") == Some("YES"),
            channels: attribute(list, "CHANNELS").and_then(|value| value.parse().ok()).unwrap_or(0),
            accessible: attribute(list, "CHARACTERISTICS") == Some(ACCESSIBLE),
        })
    }
}

/// A sound with a rendition of its own, as the variants that it goes with must know it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Heard {
    /// Its entry.
    pub track: Track,
    /// Its codec as RFC 6381 writes it.
    pub codec: String,
    /// Its peak in bits per second.
    pub bandwidth: u64,
    /// Its mean in bits per second.
    pub average: u64,
}

impl Master {
    /// Adds sounds to choose from. Each variant is told as what it takes together with the dearest of them.
    pub fn hear(&mut self, sounds: Vec<Heard>) {
        let most = |of: fn(&Heard) -> u64| sounds.iter().map(of).max().unwrap_or(0);
        let (peak, mean) = (most(|sound| sound.bandwidth), most(|sound| sound.average));
        for variant in &mut self.variants {
            variant.bandwidth = variant.bandwidth.saturating_add(peak);
            variant.average = variant.average.saturating_add(mean);
            for sound in &sounds {
                if !variant.codecs.split(',').any(|codec| codec == sound.codec) {
                    let comma = if variant.codecs.is_empty() { "" } else { "," };
                    variant.codecs = format!("{}{comma}{}", variant.codecs, sound.codec);
                }
            }
        }
        self.sounds.extend(sounds.into_iter().map(|sound| sound.track));
    }
}

/// The type of captions, in the words of HLS.
const SUBTITLES: &str = "SUBTITLES";
/// The group that all sounds are in.
const SOUND_GROUP: &str = "sound";
/// The group that all captions are in.
const CAPTION_GROUP: &str = "captions";
/// What is said of captions for people who can not hear.
const ACCESSIBLE: &str =
    "public.accessibility.transcribes-spoken-dialog,public.accessibility.describes-music-and-sound";

/// One rendition in a multivariant playlist.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Variant {
    /// Its media playlist, relative to the multivariant one.
    pub uri: String,
    /// Its peak in bits per second.
    pub bandwidth: u64,
    /// Its mean in bits per second.
    pub average: u64,
    /// Its codecs as RFC 6381 writes them, parted by commas.
    pub codecs: String,
    /// Width and height, when there is a picture.
    pub resolution: Option<(u32, u32)>,
    /// Frames per 1000 seconds, when there is a picture.
    pub millifps: Option<u64>,
}

impl Variant {
    fn attributes(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BANDWIDTH={},AVERAGE-BANDWIDTH={},CODECS=\"{}\"", self.bandwidth, self.average, self.codecs)?;
        if let Some((width, height)) = self.resolution {
            write!(f, ",RESOLUTION={width}x{height}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Master {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-INDEPENDENT-SEGMENTS\n")?;
        self.sounds.iter().try_for_each(|track| track.line(f, "AUDIO", SOUND_GROUP))?;
        self.captions.iter().try_for_each(|track| track.line(f, SUBTITLES, CAPTION_GROUP))?;
        for variant in &self.variants {
            f.write_str("#EXT-X-STREAM-INF:")?;
            variant.attributes(f)?;
            if let Some(rate) = variant.millifps {
                write!(f, ",FRAME-RATE={}.{:03},VIDEO-RANGE=SDR", rate / 1000, rate % 1000)?;
            }
            if !self.sounds.is_empty() {
                write!(f, ",AUDIO=\"{SOUND_GROUP}\"")?;
            }
            if !self.captions.is_empty() {
                write!(f, ",SUBTITLES=\"{CAPTION_GROUP}\"")?;
            }
            writeln!(f, ",CLOSED-CAPTIONS=NONE\n{}", variant.uri)?;
        }
        for variant in &self.iframes {
            f.write_str("#EXT-X-I-FRAME-STREAM-INF:")?;
            variant.attributes(f)?;
            writeln!(f, ",VIDEO-RANGE=SDR,URI=\"{}\"", variant.uri)?;
        }
        Ok(())
    }
}

impl FromStr for Master {
    type Err = BadPlaylist;

    fn from_str(text: &str) -> Result<Self, BadPlaylist> {
        let mut master = Self::default();
        let mut pending = None;
        for line in lines(text)? {
            if let Some(list) = line.strip_prefix("#EXT-X-STREAM-INF:") {
                pending = Some(variant(list, String::new())?);
            } else if let Some(list) = line.strip_prefix("#EXT-X-I-FRAME-STREAM-INF:") {
                let uri = attribute(list, "URI").ok_or(BadPlaylist("a key-frame list without URI"))?;
                master.iframes.push(variant(list, uri.to_owned())?);
            } else if let Some(list) = line.strip_prefix("#EXT-X-MEDIA:") {
                match attribute(list, "TYPE") {
                    Some("AUDIO") => master.sounds.push(Track::read(list)?),
                    Some(SUBTITLES) => master.captions.push(Track::read(list)?),
                    _ => return Err(BadPlaylist("a track of an unknown type")),
                }
            } else if !line.starts_with('#') {
                let found = pending.take().ok_or(BadPlaylist("an address without a rendition"))?;
                master.variants.push(Variant { uri: uri_of(line, line)?, ..found });
            }
            let tracks = master.sounds.len() + master.captions.len();
            if master.variants.len() + master.iframes.len() > VARIANTS_MAX || tracks > TRACKS_MAX {
                return Err(BadPlaylist("too many renditions"));
            }
        }
        if pending.is_some() { Err(BadPlaylist("a rendition without an address")) } else { Ok(master) }
    }
}

/// The text is no playlist that Rend could have written. Trying again will not help.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[error("not a playlist: {0}")]
pub struct BadPlaylist(&'static str);

/// The peak and the mean of segments given as microseconds and bytes, in bits per second.
///
/// The peak is the highest rate of any segments in a row that last between half and one and a half target durations, as
/// HLS defines it; of a rendition too short for that, it is the mean.
pub fn bandwidth(segments: &[(u64, u64)], target_secs: u32) -> (u64, u64) {
    let rate = |micros: u64, bytes: u64| {
        u64::try_from((u128::from(bytes) * 8_000_000).div_ceil(u128::from(micros.max(1)))).unwrap_or(u64::MAX)
    };
    let whole = segments.iter().fold((0_u64, 0_u64), |sum, s| (sum.0.saturating_add(s.0), sum.1.saturating_add(s.1)));
    let average = rate(whole.0, whole.1);
    let target = u64::from(target_secs) * 1_000_000;
    let mut peak = average;
    for start in 0..segments.len() {
        let (mut micros, mut bytes) = (0_u64, 0_u64);
        for segment in &segments[start..] {
            micros = micros.saturating_add(segment.0);
            bytes = bytes.saturating_add(segment.1);
            if micros.saturating_mul(2) > target.saturating_mul(3) {
                break;
            }
            if micros.saturating_mul(2) >= target {
                peak = peak.max(rate(micros, bytes));
            }
        }
    }
    (peak, average)
}

/// Segments that a list holds at most: twelve hours of two seconds.
pub const SEGMENTS_MAX: usize = 21_600;
/// Renditions that a multivariant list holds at most.
pub const VARIANTS_MAX: usize = 64;
/// Sounds and captions that a multivariant list holds at most.
pub const TRACKS_MAX: usize = 64;
/// Bytes of a playlist that are read at most.
pub const PLAYLIST_BYTES_MAX: usize = 4 << 20;

const ONCE: [&str; 6] = [
    "#EXT-X-VERSION",
    "#EXT-X-TARGETDURATION",
    "#EXT-X-MEDIA-SEQUENCE",
    "#EXT-X-PLAYLIST-TYPE",
    "#EXT-X-ENDLIST",
    "#EXT-X-MAP",
];

fn lines(text: &str) -> Result<impl Iterator<Item = &str>, BadPlaylist> {
    if text.len() > PLAYLIST_BYTES_MAX {
        return Err(BadPlaylist("too long"));
    }
    let rest = text.strip_prefix("#EXTM3U\n").ok_or(BadPlaylist("the first line is not #EXTM3U"))?;
    Ok(rest.lines().filter(|line| !line.is_empty()))
}

/// An address in the grammar that Rend writes: relative, lower case, no query, no way up.
fn uri_of(uri: &str, line: &str) -> Result<String, BadPlaylist> {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'_' | b'.' | b'-' | b'/');
    let fits = uri == line && uri.bytes().all(plain) && uri.split('/').all(|part| !matches!(part, "" | "." | ".."));
    if fits { Ok(uri.to_owned()) } else { Err(BadPlaylist("an address outside the grammar")) }
}

fn seconds(text: &str) -> Result<u64, BadPlaylist> {
    let bad = BadPlaylist("a duration is no number of seconds");
    let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
    if part.is_empty() || part.len() > 6 || !part.bytes().all(|b| b.is_ascii_digit()) {
        return Err(bad);
    }
    let whole: u64 = whole.parse().map_err(|_| bad)?;
    let micros: u64 = format!("{part:0<6}").parse().map_err(|_| bad)?;
    whole.checked_mul(1_000_000).and_then(|us| us.checked_add(micros)).ok_or(bad)
}

/// The value of `name` in an attribute list, without its quotes.
fn attribute<'a>(list: &'a str, name: &str) -> Option<&'a str> {
    let mut rest = list;
    while !rest.is_empty() {
        let (key, after) = rest.split_once('=')?;
        let (value, next) = match after.strip_prefix('"') {
            Some(quoted) => {
                let (value, next) = quoted.split_once('"')?;
                (value, next.strip_prefix(',').unwrap_or(next))
            }
            None => after.split_once(',').unwrap_or((after, "")),
        };
        if key == name {
            return Some(value);
        }
        rest = next;
    }
    None
}

fn variant(list: &str, uri: String) -> Result<Variant, BadPlaylist> {
    let number = |name| attribute(list, name).and_then(|value| value.parse::<u64>().ok());
    let resolution = attribute(list, "RESOLUTION")
        .and_then(|value| value.split_once('x'))
        .and_then(|(w, h)| Some((w.parse().ok()?, h.parse().ok()?)));
    let rate = attribute(list, "FRAME-RATE").map(seconds).transpose()?;
    Ok(Variant {
        uri,
        bandwidth: number("BANDWIDTH").ok_or(BadPlaylist("a rendition without bandwidth"))?,
        average: number("AVERAGE-BANDWIDTH").ok_or(BadPlaylist("a rendition without mean bandwidth"))?,
        codecs: attribute(list, "CODECS").ok_or(BadPlaylist("a rendition without codecs"))?.to_owned(),
        resolution,
        millifps: rate.map(|us| us / 1000),
    })
}

/// Lines of `text` that Rend never writes, for people who read the result of a check.
pub(super) fn foreign_lines(text: &str) -> String {
    let mut out = String::new();
    for line in text.lines().filter(|line| line.contains('?') || line.contains("://")) {
        let _ = writeln!(out, "{line}");
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_growing_list_reads_as_hls_wants_it() {
        let entry = |index: u32, micros| Entry { micros, uri: format!("segment_{index:05}.m4s"), bytes: None };
        let mut list = Media {
            target_secs: 4,
            init: "init_720p.mp4".to_owned(),
            segments: vec![entry(0, 2_002_000), entry(1, 2_001_999)],
            ended: false,
            iframes_only: false,
        };
        let growing = "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:4\n#EXT-X-MEDIA-SEQUENCE:0\n\
            #EXT-X-PLAYLIST-TYPE:EVENT\n#EXT-X-INDEPENDENT-SEGMENTS\n#EXT-X-START:TIME-OFFSET=0\n\
            #EXT-X-MAP:URI=\"init_720p.mp4\"\n#EXTINF:2.002000,\nsegment_00000.m4s\n#EXTINF:2.001999,\nsegment_00001.m4s\n";
        assert_eq!(list.to_string(), growing);
        list.ended = true;
        assert!(list.to_string().ends_with("#EXT-X-ENDLIST\n"));
    }

    #[test]
    fn a_master_list_says_all_that_a_player_chooses_by() {
        let variant = Variant {
            uri: "720p/index.m3u8".to_owned(),
            bandwidth: 2_900_000,
            average: 2_500_000,
            codecs: "avc1.64001f,mp4a.40.2".to_owned(),
            resolution: Some((1280, 720)),
            millifps: Some(29_970),
        };
        let text = Master { variants: vec![variant], ..Master::default() }.to_string();
        assert_eq!(
            text,
            "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-INDEPENDENT-SEGMENTS\n#EXT-X-STREAM-INF:BANDWIDTH=2900000,\
             AVERAGE-BANDWIDTH=2500000,CODECS=\"avc1.64001f,mp4a.40.2\",RESOLUTION=1280x720,FRAME-RATE=29.970,\
             VIDEO-RANGE=SDR,CLOSED-CAPTIONS=NONE\n720p/index.m3u8\n"
        );
    }

    #[track_caller]
    fn check_refused(text: &str) {
        assert!(text.parse::<Media>().is_err(), "{text}");
    }

    #[test]
    fn what_rend_never_writes_is_refused() {
        check_refused("");
        check_refused("\u{feff}#EXTM3U\n#EXT-X-TARGETDURATION:4\n");
        check_refused("#EXTM3U\n");
        check_refused("#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXT-X-TARGETDURATION:4\n");
        check_refused("#EXTM3U\n#EXT-X-TARGETDURATION:4\nsegment.m4s\n");
        check_refused("#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:4,\nhttp://example.com/x\n");
        check_refused("#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:4,\n../x\n");
        check_refused("#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:4,\nx?token=1\n");
        check_refused("#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:NaN,\nx\n");
        check_refused("#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:99999999999999999999,\nx\n");
    }

    #[test]
    fn the_peak_is_over_segments_in_a_row_that_last_about_a_target() {
        // Two seconds at 8 Mb/s beside four at 1: the pair lasts six seconds, the first alone lasts half a target.
        assert_eq!(bandwidth(&[(2_000_000, 2_000_000), (4_000_000, 500_000)], 4), (8_000_000, 3_333_334));
        // One second is shorter than half a target and counts only together with its neighbour.
        assert_eq!(bandwidth(&[(1_000_000, 1_000_000), (1_000_000, 0)], 4), (4_000_000, 4_000_000));
        assert_eq!(bandwidth(&[], 4), (0, 0));
    }

    fn uri() -> impl Strategy<Value = String> {
        "[a-z0-9_]{1,8}(/[a-z0-9_-]{1,8}){0,2}"
    }

    fn media() -> impl Strategy<Value = Media> {
        let entry = (0_u64..100_000_000, uri(), proptest::option::of((0_u64..9999, 0_u64..9999)))
            .prop_map(|(micros, uri, bytes)| Entry { micros, uri, bytes });
        (1_u32..10, uri(), proptest::collection::vec(entry, 0..20), any::<bool>(), any::<bool>()).prop_map(
            |(target_secs, init, segments, ended, iframes_only)| Media {
                target_secs,
                init,
                segments,
                ended,
                iframes_only,
            },
        )
    }

    fn variant() -> impl Strategy<Value = Variant> {
        (uri(), any::<u64>(), any::<u64>(), "[a-z0-9.,]{1,20}", proptest::option::of((any::<u32>(), any::<u32>())))
            .prop_map(|(uri, bandwidth, average, codecs, resolution)| Variant {
                uri,
                bandwidth,
                average,
                codecs,
                resolution,
                millifps: None,
            })
    }

    fn track(channels: std::ops::Range<u32>) -> impl Strategy<Value = Track> {
        (uri(), "[a-z]{2}(-[A-Z]{2})?", "[^\"\\p{Cc}]{0,12}", any::<bool>(), channels, any::<bool>()).prop_map(
            |(uri, lang, name, default, channels, accessible)| Track { uri, lang, name, default, channels, accessible },
        )
    }

    #[test]
    fn a_track_is_told_so_that_no_name_breaks_the_line() {
        let track = Track {
            uri: "c-en_00000001/index.m3u8".to_owned(),
            lang: "en".to_owned(),
            name: "Ann\"s\nown, URI=x".to_owned(),
            default: true,
            channels: 0,
            accessible: true,
        };
        let sound = Track { uri: "a-de/index.m3u8".to_owned(), channels: 2, accessible: false, ..track.clone() };
        let text = Master { sounds: vec![sound], captions: vec![track], ..Master::default() }.to_string();
        assert_eq!(
            text.lines().skip(3).collect::<Vec<_>>(),
            [
                "#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"sound\",LANGUAGE=\"en\",NAME=\"Ann's'own, URI=x\",DEFAULT=YES,\
                 AUTOSELECT=YES,CHANNELS=\"2\",URI=\"a-de/index.m3u8\"",
                "#EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID=\"captions\",LANGUAGE=\"en\",NAME=\"Ann's'own, URI=x\",DEFAULT=YES,\
                 AUTOSELECT=YES,FORCED=NO,CHARACTERISTICS=\"public.accessibility.transcribes-spoken-dialog,\
                 public.accessibility.describes-music-and-sound\",URI=\"c-en_00000001/index.m3u8\"",
            ]
        );
    }

    proptest! {
        #[test]
        fn a_media_list_reads_back(media in media()) {
            prop_assert_eq!(media.to_string().parse(), Ok(media));
        }

        #[test]
        fn a_master_list_reads_back(
            variants in proptest::collection::vec((variant(), proptest::option::of(1_u64..60_001)), 0..6),
            iframes in proptest::collection::vec(variant(), 0..3),
            sounds in proptest::collection::vec(track(1..9), 0..3),
            captions in proptest::collection::vec(track(0..1), 0..3),
        ) {
            let variants = variants.into_iter().map(|(v, millifps)| Variant { millifps, ..v }).collect();
            let master = Master { variants, iframes, sounds, captions };
            prop_assert_eq!(master.to_string().parse(), Ok(master));
        }

        #[test]
        fn no_text_makes_the_readers_panic(text in "#EXTM3U\n(#EXT(INF|-X-MAP|-X-STREAM-INF|-X-BYTERANGE):[A-Z=\",@.0-9]{0,12}\n?|\\PC{0,8}\n){0,8}") {
            let _ = text.parse::<Media>();
            let _ = text.parse::<Master>();
        }
    }
}
