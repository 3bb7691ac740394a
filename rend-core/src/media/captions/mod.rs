//! Captions: from a WebVTT or SRT file to cues, and from cues to segments of HLS.
//!
//! ```text
//! bytes ─▶ read ─▶ Captions ─▶ Display     WebVTT as it is kept
//!                      └────▶ segments     one WebVTT text for each segment of the picture, and their playlist
//! ```
//!
//! What somebody gives is read leniently where players do not mind (line ends, byte order marks, commas in times,
//! counters that are missing, cues out of order) and refused, with the line, where something would be lost. Of the
//! markup only what WebVTT knows is kept; comments, styles and regions are left out.

use std::fmt;
use std::fmt::Write as _;

use thiserror::Error;

mod hls;
mod settings;
mod srt;
mod text;
mod vtt;

pub use hls::{list, segments};

/// What is shown over a picture, and when.
///
/// Holding one proves that it has at least one cue and at most [`CUES_MAX`], in the order in which they begin, each of
/// which lasts and says something; and that what they say holds only markup that WebVTT knows. Printing gives WebVTT, and
/// reading that gives the same value.
///
/// ```
/// use rend_core::media::captions::Captions;
///
/// let captions = Captions::read(b"1\r\n00:00:01,000 --> 00:00:02,500\r\n<font color=red>Hello</font> & <i>you</i>\r\n")?;
/// assert_eq!(captions.to_string(), "WEBVTT\n\n00:00:01.000 --> 00:00:02.500\nHello &amp; <i>you</i>\n");
/// # Ok::<(), rend_core::media::captions::BadCaptions>(())
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Captions(Vec<Cue>);

impl Captions {
    /// Reads a WebVTT file, which begins with `WEBVTT`, or else a SRT file.
    ///
    /// # Errors
    ///
    /// [`BadCaptions`] with the line at which it can not be read, or which is over a limit.
    pub fn read(bytes: &[u8]) -> Result<Self, BadCaptions> {
        if bytes.len() > BYTES_MAX {
            return Err(BadCaptions { line: 0, wrong: Wrong::TooLarge });
        }
        if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
            return Err(BadCaptions { line: 1, wrong: Wrong::NotUtf8 });
        }
        let bytes = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(bytes);
        let text = std::str::from_utf8(bytes).map_err(|error| {
            let before = bytes.get(..error.valid_up_to()).unwrap_or_default();
            let lines = before.iter().filter(|byte| **byte == b'\n').count();
            BadCaptions { line: 1 + u32::try_from(lines).unwrap_or(u32::MAX), wrong: Wrong::NotUtf8 }
        })?;
        let mut cues = if vtt::is_vtt(text) { vtt::read(text)? } else { srt::read(text)? };
        if cues.is_empty() {
            return Err(BadCaptions { line: 0, wrong: Wrong::Empty });
        }
        // Several may begin at one instant, and then stand as they came.
        cues.sort_by_key(|cue| cue.from_ms);
        let captions = Self(cues);
        // What is kept is what is printed, and that must be taken again.
        if captions.to_string().len() > BYTES_MAX {
            return Err(BadCaptions { line: 0, wrong: Wrong::TooLarge });
        }
        Ok(captions)
    }

    /// The cues, in the order in which they begin.
    pub fn cues(&self) -> &[Cue] {
        &self.0
    }
}

impl fmt::Display for Captions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WEBVTT\n")?;
        self.0.iter().try_for_each(|cue| write!(f, "\n{cue}"))
    }
}

/// Something that is shown for a while.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Cue {
    /// From when on, in milliseconds.
    pub from_ms: u64,
    /// Until when; later than that.
    pub to_ms: u64,
    /// Where on the picture, in the words of WebVTT; mostly empty.
    pub settings: String,
    /// What: lines with the markup that WebVTT knows, none of them empty.
    pub text: String,
}

impl fmt::Display for Cue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} --> {}", Instant(self.from_ms), Instant(self.to_ms))?;
        if !self.settings.is_empty() {
            write!(f, " {}", self.settings)?;
        }
        writeln!(f, "\n{}", self.text)
    }
}

/// An instant as WebVTT writes it.
struct Instant(u64);

impl fmt::Display for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = self.0;
        write!(f, "{:02}:{:02}:{:02}.{:03}", ms / 3_600_000, ms / 60_000 % 60, ms / 1000 % 60, ms % 1000)
    }
}

/// A file of captions can not be taken. Sending the same again will not help.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub struct BadCaptions {
    /// The line at which, from 1; 0 for the whole file.
    pub line: u32,
    /// What is wrong there.
    pub wrong: Wrong,
}

impl fmt::Display for BadCaptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::new();
        if self.line > 0 {
            write!(text, "line {}: ", self.line)?;
        }
        write!(f, "{text}{}", self.wrong)
    }
}

/// What is wrong with a file of captions.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum Wrong {
    /// It is larger than [`BYTES_MAX`].
    #[error("the file may have 2 MiB at most")]
    TooLarge,
    /// It is in another encoding.
    #[error("the text is not UTF-8; save it in that encoding")]
    NotUtf8,
    /// It is neither of the two formats.
    #[error(
        "this is neither WebVTT, which begins with a line WEBVTT, nor SubRip, which begins with a counter and a line of times"
    )]
    NotCaptions,
    /// A line that should say when a cue is shown does not.
    #[error("expected two times like 00:01:02.345 --> 00:01:04.000")]
    Times,
    /// A cue ends before it begins.
    #[error("the cue ends before it begins")]
    Backwards,
    /// A cue says more than [`CUE_BYTES_MAX`].
    #[error("the cue may have 4096 bytes at most")]
    CueTooLong,
    /// There are more cues than [`CUES_MAX`].
    #[error("there may be 20000 cues at most")]
    TooManyCues,
    /// There is nothing to show.
    #[error("there is no cue in it")]
    Empty,
}

/// Bytes of a file of captions.
pub const BYTES_MAX: usize = 2 << 20;
/// Cues of a file of captions.
pub const CUES_MAX: usize = 20_000;
/// Bytes of what one cue says.
pub const CUE_BYTES_MAX: usize = 4096;

/// The lines of `text` with their numbers, whichever way they end.
fn lines(text: &str) -> impl Iterator<Item = (u32, &str)> {
    // A carriage return ends a line, alone or before a line feed.
    let mut rest = Some(text);
    let lines = std::iter::from_fn(move || {
        let text = rest?;
        let Some(at) = text.find(['\r', '\n']) else {
            rest = None;
            return Some(text);
        };
        let (line, after) = text.split_at(at);
        rest = Some(after.strip_prefix("\r\n").unwrap_or_else(|| &after[1..]));
        Some(line)
    });
    (1_u32..).zip(lines)
}

/// A cue of these times and lines, unless it would show nothing. `first` is the line of its times.
fn cue(
    first: u32,
    (from_ms, to_ms): (u64, u64),
    mut settings: String,
    said: &[&str],
    srt: bool,
) -> Result<Option<Cue>, BadCaptions> {
    if to_ms < from_ms {
        return Err(BadCaptions { line: first, wrong: Wrong::Backwards });
    }
    if said.iter().map(|line| line.len() + 1).sum::<usize>() > CUE_BYTES_MAX {
        return Err(BadCaptions { line: first, wrong: Wrong::CueTooLong });
    }
    let raised = srt && said.iter().any(|line| text::is_raised(line));
    if raised && settings.is_empty() {
        settings.push_str("line:0");
    }
    let kept: Vec<String> =
        said.iter().map(|line| text::cleaned(line, srt)).filter(|line| !line.trim().is_empty()).collect();
    let text = kept.join("\n");
    // Printed, it must be taken again.
    if text.len() + 1 > CUE_BYTES_MAX {
        return Err(BadCaptions { line: first, wrong: Wrong::CueTooLong });
    }
    Ok((from_ms < to_ms && !text.is_empty()).then_some(Cue { from_ms, to_ms, settings, text }))
}

/// The two times of a line of them, and what stands behind. `None` when it is no such line.
fn times(line: &str) -> Option<((u64, u64), &str)> {
    let (from, after) = line.split_once("-->")?;
    let after = after.trim_start();
    let end = after.find([' ', '\t']).unwrap_or(after.len());
    let (to, rest) = after.split_at(end);
    Some(((instant(from.trim())?, instant(to)?), rest.trim()))
}

/// `[hh:]mm:ss.mmm` in milliseconds; SRT has a comma.
fn instant(text: &str) -> Option<u64> {
    let (clock, part) = text.split_once(['.', ',']).unwrap_or((text, ""));
    let number = |digits: &str, len_max: usize| {
        let fits = (1..=len_max).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
        digits.parse::<u64>().ok().filter(|_| fits)
    };
    let mut fields = clock.rsplit(':');
    let secs = number(fields.next()?, 2).filter(|secs| *secs < 60)?;
    let minutes = number(fields.next()?, 2).filter(|minutes| *minutes < 60)?;
    let hours = fields.next().map_or(Some(0), |hours| number(hours, 3))?;
    if fields.next().is_some() {
        return None;
    }
    let ms = if part.is_empty() { 0 } else { number(part, 3)? * [100, 10, 1][part.len() - 1] };
    Some(((hours * 60 + minutes) * 60 + secs) * 1000 + ms)
}

#[cfg(test)]
mod tests;
