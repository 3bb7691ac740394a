//! Playlists as lines, whoever wrote them: what a check wants to know of a text that may break any rule.

use super::Findings;

/// What a media playlist says, as far as it can be made out.
#[derive(Clone, Debug, Default)]
pub(super) struct MediaLines {
    pub(super) version: Option<u64>,
    pub(super) target_secs: Option<u64>,
    /// The address of each map, and before which segment it stands.
    pub(super) maps: Vec<(String, usize)>,
    pub(super) segments: Vec<SegmentLine>,
    pub(super) ended: bool,
    pub(super) iframes_only: bool,
    pub(super) independent: bool,
    pub(super) starts_at_zero: bool,
}

/// One segment of a media playlist.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct SegmentLine {
    pub(super) micros: u64,
    /// Digits after the point.
    pub(super) decimals: usize,
    pub(super) uri: String,
    pub(super) bytes: Option<(u64, u64)>,
    pub(super) discontinuity: bool,
}

impl MediaLines {
    pub(super) fn read(text: &str) -> Self {
        let mut list = Self::default();
        let mut next = SegmentLine::default();
        for line in text.trim_start_matches('\u{feff}').lines().map(str::trim_end).filter(|line| !line.is_empty()) {
            let (tag, value) = line.split_once(':').unwrap_or((line, ""));
            match tag {
                "#EXT-X-VERSION" => list.version = value.parse().ok(),
                "#EXT-X-TARGETDURATION" => list.target_secs = value.parse().ok(),
                "#EXT-X-MAP" => {
                    list.maps.push((attribute(value, "URI").unwrap_or_default().to_owned(), list.segments.len()));
                }
                "#EXT-X-I-FRAMES-ONLY" => list.iframes_only = true,
                "#EXT-X-INDEPENDENT-SEGMENTS" => list.independent = true,
                "#EXT-X-ENDLIST" => list.ended = true,
                "#EXT-X-DISCONTINUITY" => next.discontinuity = true,
                "#EXT-X-START" => {
                    let at = attribute(value, "TIME-OFFSET").and_then(|at| at.parse::<f64>().ok());
                    list.starts_at_zero = at.is_some_and(|at| at.abs() < 0.001);
                }
                "#EXTINF" => {
                    let secs = value.split(',').next().unwrap_or_default();
                    next.decimals = secs.split_once('.').map_or(0, |(_, part)| part.len());
                    next.micros = micros(secs);
                }
                "#EXT-X-BYTERANGE" => {
                    let (len, offset) = value.split_once('@').unwrap_or((value, "0"));
                    next.bytes = Some((len.parse().unwrap_or(0), offset.parse().unwrap_or(0)));
                }
                _ if line.starts_with('#') => {}
                uri => {
                    next.uri = if tag == line { uri.to_owned() } else { line.to_owned() };
                    list.segments.push(std::mem::take(&mut next));
                }
            }
        }
        list
    }

    /// The length of all segments.
    pub(super) fn micros(&self) -> u64 {
        self.segments.iter().fold(0, |sum, segment| sum.saturating_add(segment.micros))
    }
}

/// What a multivariant playlist says, as far as it can be made out.
#[derive(Clone, Debug, Default)]
pub(super) struct MasterLines {
    pub(super) version: Option<u64>,
    pub(super) independent: bool,
    /// Each variant's attributes and address.
    pub(super) variants: Vec<(String, String)>,
    /// Each key-frame list's.
    pub(super) iframes: Vec<(String, String)>,
    /// Each further rendition's; the address is empty when it has none.
    pub(super) media: Vec<(String, String)>,
}

impl MasterLines {
    pub(super) fn read(text: &str) -> Self {
        let mut master = Self::default();
        let mut pending: Option<String> = None;
        for line in text.lines().map(str::trim_end).filter(|line| !line.is_empty()) {
            let uri = |list: &str| attribute(list, "URI").unwrap_or_default().to_owned();
            if let Some(list) = line.strip_prefix("#EXT-X-STREAM-INF:") {
                pending = Some(list.to_owned());
            } else if let Some(list) = line.strip_prefix("#EXT-X-I-FRAME-STREAM-INF:") {
                master.iframes.push((list.to_owned(), uri(list)));
            } else if let Some(list) = line.strip_prefix("#EXT-X-MEDIA:") {
                master.media.push((list.to_owned(), uri(list)));
            } else if let Some(version) = line.strip_prefix("#EXT-X-VERSION:") {
                master.version = version.parse().ok();
            } else if line == "#EXT-X-INDEPENDENT-SEGMENTS" {
                master.independent = true;
            } else if !line.starts_with('#')
                && let Some(list) = pending.take()
            {
                master.variants.push((list, line.to_owned()));
            }
        }
        master
    }
}

/// The media playlists that a multivariant playlist names, each once, in its order.
pub fn lists_of(master: &str) -> Vec<String> {
    let lines = MasterLines::read(master);
    let mut all: Vec<String> = Vec::new();
    for (_, uri) in lines.variants.into_iter().chain(lines.media).chain(lines.iframes) {
        if !uri.is_empty() && !all.contains(&uri) {
            all.push(uri);
        }
    }
    all
}

/// What a media playlist names: its initialisation segment, if it has one, and its segments, both relative to it.
pub fn parts_of(list: &str) -> (Option<String>, Vec<String>) {
    let lines = MediaLines::read(list);
    (lines.maps.into_iter().next().map(|(uri, _)| uri), lines.segments.into_iter().map(|s| s.uri).collect())
}

/// Whether a text is a multivariant playlist rather than a media playlist.
pub fn is_master(text: &str) -> bool {
    text.lines().any(|line| line.starts_with("#EXT-X-STREAM-INF:"))
}

/// P1 to P3, which every playlist keeps.
pub(super) fn every(name: &str, text: &str, found: &mut Findings) {
    found.error(!text.starts_with('\u{feff}'), "P1", || format!("{name}: begins with a byte order mark"));
    let first = text.trim_start_matches('\u{feff}').split('\n').next().unwrap_or_default();
    found.error(first.trim_end_matches('\r') == "#EXTM3U", "P1", || format!("{name}: the first line is not #EXTM3U"));
    found.error(!text.contains('\r'), "P1", || format!("{name}: lines end in CR LF"));
    for tag in ONCE {
        let times = text.lines().filter(|line| line.split(':').next() == Some(*tag)).count();
        found.error(times <= 1, "P1", || format!("{name}: {tag} stands {times} times"));
    }
    let place = |wanted: &dyn Fn(&str) -> bool| text.lines().position(wanted);
    let sequence = place(&|line| line.starts_with("#EXT-X-MEDIA-SEQUENCE"));
    let segment = place(&|line| line.starts_with("#EXTINF"));
    found.error(sequence.zip(segment).is_none_or(|(sequence, segment)| sequence < segment), "P1", || {
        format!("{name}: the media sequence stands behind the first segment")
    });
    let lines = MediaLines::read(text);
    if !lines.maps.is_empty() {
        let version = lines.version.unwrap_or(1);
        found.error(version >= 6, "P2", || format!("{name}: version {version} knows no map"));
        found.warning(version != 6, "P2", || format!("{name}: fragments are known from version 7 on"));
    }
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'_' | b'.' | b'-' | b'/');
    for line in text.trim_start_matches('\u{feff}').lines().map(str::trim_end) {
        let uri = if line.starts_with('#') {
            line.split_once(':').and_then(|(_, list)| attribute(list, "URI"))
        } else {
            Some(line).filter(|line| !line.is_empty())
        };
        let Some(uri) = uri else { continue };
        let inside = uri.bytes().all(plain) && uri.split('/').all(|part| !matches!(part, "" | "." | ".."));
        // A part that is outside the grammar may be a secret, so it is not repeated.
        found.error(inside, "P3", || format!("{name}: an address leaves the asset or is not plain"));
    }
}

/// P1 of a media playlist: where it begins and how it grows are said, though players take them for granted.
pub(super) fn placed(name: &str, text: &str, found: &mut Findings) {
    for tag in ["#EXT-X-MEDIA-SEQUENCE", "#EXT-X-PLAYLIST-TYPE"] {
        let is_said = text.lines().any(|line| line.split(':').next() == Some(tag));
        found.warning(is_said, "P1", || format!("{name}: {tag} is missing"));
    }
}

/// M1 and M6: what a list that grew may have changed. `before` and `after` are two states of one list.
pub(super) fn growth(name: &str, before: &str, after: &str, found: &mut Findings) {
    let (old, new) = (MediaLines::read(before), MediaLines::read(after));
    found.error(old.target_secs == new.target_secs, "M1", || format!("{name}: the target duration changed"));
    let kept = new.segments.len() >= old.segments.len() && new.segments.iter().zip(&old.segments).all(|(a, b)| a == b);
    found.error(kept && old.maps.first() == new.maps.first(), "M6", || {
        format!("{name}: what was listed is not listed any more as it was")
    });
    found.error(!old.ended || (new.ended && new.segments.len() == old.segments.len()), "M6", || {
        format!("{name}: a list that had ended grew")
    });
}

/// The value of `name` in an attribute list, without its quotes.
pub(super) fn attribute<'a>(list: &'a str, name: &str) -> Option<&'a str> {
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
        if key.trim() == name {
            return Some(value);
        }
        rest = next;
    }
    None
}

/// Seconds as text in microseconds; 0 for what is no number.
pub(super) fn micros(text: &str) -> u64 {
    let text = text.trim();
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let digits: String = part.chars().take_while(char::is_ascii_digit).chain("000000".chars()).take(6).collect();
    let whole: u64 = whole.parse().unwrap_or(0);
    whole.saturating_mul(1_000_000).saturating_add(digits.parse().unwrap_or(0))
}

const ONCE: &[&str] = &[
    "#EXT-X-VERSION",
    "#EXT-X-TARGETDURATION",
    "#EXT-X-MEDIA-SEQUENCE",
    "#EXT-X-PLAYLIST-TYPE",
    "#EXT-X-ENDLIST",
    "#EXT-X-INDEPENDENT-SEGMENTS",
];
