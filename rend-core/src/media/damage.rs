//! What decoders say of damaged sources, and what becomes of the asset.
//!
//! ```text
//! lines of ffmpeg ─▶ Log ─▶ Decoded (one a stream, summed over runs) ─▶ Decoded::damage ─▶ plays, plays degraded, refused
//! ```
//!
//! Lines of complaint are many a picture with one decoder and none with another, so they are no measure of how much is
//! damaged: pictures are counted. Decoders of H.264, MPEG-2 and MPEG-4 say of each picture whose holes they filled that they
//! did; ffmpeg says of each that came out marked as damaged, and of each packet that nothing came out of.

use std::collections::BTreeMap;

use crate::media::probe::Reject;

/// What came out of the decoder of one stream, in one run or in several.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Decoded {
    /// Pictures, or frames of sound, that were there to decode.
    pub frames: u64,
    /// How many of them came out damaged, or not at all.
    pub bad: u64,
}

impl Decoded {
    /// Both together.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self { frames: self.frames.saturating_add(other.frames), bad: self.bad.saturating_add(other.bad) }
    }

    /// What follows when decoders complained this often besides.
    pub fn damage(self, complaints: u64) -> Damage {
        let (frames, bad) = (u128::from(self.frames.max(self.bad)), u128::from(self.bad));
        if bad * 100 > frames * BAD_PERCENT_MAX {
            let percent = u32::try_from((bad * 100).div_ceil(frames.max(1))).unwrap_or(100);
            return Damage::Spoilt(Reject::Spoilt { percent });
        }
        if self.bad > 0 || complaints > 0 { Damage::Some } else { Damage::None }
    }
}

/// How damaged a source is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Damage {
    /// Nothing is known to be wrong with it.
    None,
    /// It plays, and its owner is told that it is damaged.
    Some,
    /// More than [`BAD_PERCENT_MAX`] of it is bad: calling it playable would be a joke on its owner.
    Spoilt(Reject),
}

/// Reads what one run of ffmpeg says, a line at a time, as long as it was told to say the level of each (`-v level+…`). Of
/// other programs, which do not, every line is a complaint.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Log {
    complaints: u64,
    /// Whether the last line that told its level was no complaint, so that lines without one are more of it.
    in_talk: bool,
    /// Pictures whose holes were filled. It is not said of which stream.
    concealed: u64,
    streams: BTreeMap<u32, Stream>,
}

/// What was said of one stream.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
struct Stream {
    /// Came out of the decoder.
    frames: u64,
    /// Of those came out marked as damaged.
    corrupt: u64,
    /// Did not come out.
    failed: u64,
}

impl Log {
    /// Takes in a line, without its end, and answers whether it is a complaint.
    pub fn line(&mut self, line: &str) -> bool {
        let (level, text) = level(line);
        let complains = level.map_or(!self.in_talk, |level| COMPLAINTS.contains(&level));
        if level.is_some() {
            self.in_talk = !complains;
            self.count(text);
        }
        self.complaints += u64::from(complains);
        complains
    }

    /// How many lines were complaints.
    pub const fn complaints(&self) -> u64 {
        self.complaints
    }

    /// What came of the pictures in stream `index`, the only ones that were decoded.
    pub fn pictures(&self, index: u32) -> Decoded {
        self.decoded(index, self.concealed)
    }

    /// What came of the sound in stream `index`.
    pub fn sound(&self, index: u32) -> Decoded {
        self.decoded(index, 0)
    }

    fn decoded(&self, index: u32, concealed: u64) -> Decoded {
        let stream = self.streams.get(&index).copied().unwrap_or_default();
        // Both are said of most damaged pictures, and one of them of some: neither is said twice of one.
        let damaged = stream.corrupt.max(concealed);
        let bad = damaged.saturating_add(stream.failed);
        Decoded { frames: stream.frames.saturating_add(stream.failed).max(bad), bad }
    }

    fn count(&mut self, text: &str) {
        if text.starts_with("concealing ") {
            self.concealed += 1;
        } else if let Some((_, of)) = text.split_once("corrupt decoded frame in stream ") {
            self.of(number(of), |stream| stream.corrupt += 1);
        } else if let Some(of) = text.strip_prefix("Error while decoding stream #0:") {
            self.of(number(of), |stream| stream.failed += 1);
        } else if let Some(of) = text.trim_start().strip_prefix("Input stream #0:") {
            // The balance at the end: how many packets were read, and how many frames came out.
            let frames = of.split_once(" frames decoded").and_then(|(before, _)| before.rsplit(' ').next());
            if let Some(frames) = frames.and_then(|frames| frames.parse().ok()) {
                self.of(number(of), |stream| stream.frames = frames);
            }
        }
    }

    fn of(&mut self, index: Option<u32>, change: impl FnOnce(&mut Stream)) {
        let Some(index) = index else { return };
        if self.streams.len() < STREAMS_MAX || self.streams.contains_key(&index) {
            change(self.streams.entry(index).or_default());
        }
    }
}

/// An asset of whose pictures, or of whose sound when it has no pictures, more than this is bad is refused.
pub const BAD_PERCENT_MAX: u128 = 10;
/// Streams that are counted: more than are ever decoded in one run.
const STREAMS_MAX: usize = 64;
const COMPLAINTS: [&str; 3] = ["error", "fatal", "panic"];
const LEVELS: [&str; 8] = ["error", "fatal", "panic", "warning", "info", "verbose", "debug", "trace"];

/// The level that a line tells, and what it says. Before the level stands who says it, in brackets as well.
fn level(line: &str) -> (Option<&str>, &str) {
    let mut rest = line;
    while let Some((word, text)) = rest.strip_prefix('[').and_then(|rest| rest.split_once("] ")) {
        if LEVELS.contains(&word) {
            return (Some(word), text);
        }
        rest = text;
    }
    (None, line)
}

/// The number that `text` begins with.
fn number(text: &str) -> Option<u32> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    text.get(..end)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(frames: u64, bad: u64, complaints: u64, expect: &Damage) {
        assert_eq!(&Decoded { frames, bad }.damage(complaints), expect, "{bad} of {frames}");
    }

    #[test]
    fn more_than_a_tenth_is_too_much_and_anything_less_is_told() {
        let spoilt = |percent| Damage::Spoilt(Reject::Spoilt { percent });
        check(0, 0, 0, &Damage::None);
        check(240, 0, 0, &Damage::None);
        check(240, 0, 1, &Damage::Some);
        check(240, 1, 0, &Damage::Some);
        check(240, 24, 60, &Damage::Some);
        check(240, 25, 60, &spoilt(11));
        check(240, 48, 0, &spoilt(20));
        check(240, 240, 0, &spoilt(100));
        // A run that was ended before it could say how many there were.
        check(0, 3, 3, &spoilt(100));
        check(u64::MAX, u64::MAX, 0, &spoilt(100));
    }

    #[test]
    fn a_spoilt_source_is_refused_as_unreadable_in_a_sentence() {
        let failure = Reject::Spoilt { percent: 20 }.failure();
        assert_eq!(failure.code, "unreadable");
        assert_eq!(
            failure.detail,
            "the file is too damaged to be played: 20 % of it can not be decoded; export or copy it again from where it \
             is whole, and upload that"
        );
    }

    fn read(text: &str) -> Log {
        let mut log = Log::default();
        text.lines().for_each(|line| {
            log.line(line);
        });
        log
    }

    const FILM: &str = "\
[info] Input #0, mov,mp4,m4a,3gp,3g2,mj2, from 'film.mp4':
[info]   Stream #0:0[0x1](und): Video: h264 (High), 640x360, 24 fps (default)
[h264 @ 0x55] [error] cabac decode of qscale diff failed at 28 18
[h264 @ 0x55] [error] error while decoding MB 28 18, bytestream 1501
[h264 @ 0x55] [info] concealing 221 DC, 221 AC, 221 MV errors in B frame
[warning] film.mp4: corrupt decoded frame in stream 0
[h264 @ 0x56] [info] concealing 249 DC, 249 AC, 249 MV errors in P frame
[h264 @ 0x56] [error] Invalid NAL unit size (43 > 12).
[error] Error while decoding stream #0:0: Invalid data found when processing input
[aac @ 0x57] [error] channel element 2.4 is not allocated
[error] Error while decoding stream #0:1: Invalid data found when processing input
[verbose] Input file #0 (film.mp4):
[verbose]   Input stream #0:0 (video): 240 packets read (846784 bytes); 239 frames decoded; 
[verbose]   Input stream #0:1 (audio): 432 packets read (9000 bytes); 431 frames decoded (441344 samples); 
[verbose]   Input stream #0:2 (audio): 0 packets read (0 bytes); 
[verbose]   Total: 672 packets (933562 bytes) demuxed
";

    #[test]
    fn each_bad_picture_is_counted_once_however_much_is_said_of_it() {
        let log = read(FILM);
        assert_eq!(log.pictures(0), Decoded { frames: 240, bad: 3 });
        assert_eq!(log.sound(1), Decoded { frames: 432, bad: 1 });
        assert_eq!(log.sound(2), Decoded::default());
        assert_eq!(log.complaints(), 6);
    }

    #[test]
    fn what_is_said_in_passing_is_no_complaint_and_what_other_programs_say_is() {
        #[track_caller]
        fn check(text: &str, complaints: u64) {
            assert_eq!(read(text).complaints(), complaints, "{text}");
        }
        check("no\nnot at all", 2);
        check("[info] a line\nand more of it\n[warning] beware\nof this", 0);
        check("[mov @ 0x1] [error] a line\nand more of it", 2);
        check("[vist#0:0/h264 @ 0x1] [dec:h264 @ 0x2] [fatal] it ends", 1);
        check("[something] [else] altogether", 1);
        check("[info] a title: [error] corrupt decoded frame in stream 0", 0);
    }

    proptest! {
        #[test]
        fn no_lines_make_the_reader_panic_or_hold_more_than_its_bound(lines in proptest::collection::vec(".{0,80}", 0..40), index in 0_u32..1000) {
            let mut log = Log::default();
            for line in &lines {
                log.line(line);
            }
            for index in 0..index {
                log.line(&format!("[error] Error while decoding stream #0:{index}: no"));
            }
            prop_assert!(log.streams.len() <= STREAMS_MAX);
            let all = log.pictures(0).and(log.sound(1));
            prop_assert!(all.bad <= all.frames);
        }
    }
}
