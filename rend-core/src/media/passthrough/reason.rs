//! Why a source is not passed through as it is.

use std::fmt;

use crate::media::isobmff::BoxError;

/// Why a source is encoded and not passed through. Each prints as a sentence for the owner of the file.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Reason {
    /// It is no MP4 or MOV file.
    Container,
    /// Its description is not to be found.
    NoDescription(&'static str),
    /// Its description can not be read.
    Unreadable(BoxError),
    /// Its samples are in fragments already.
    Fragmented,
    /// It has more or fewer pictures than one.
    Pictures(usize),
    /// Its picture is coded otherwise, by these four letters.
    PictureCodec(String),
    /// Its picture has another profile of H.264 than baseline, main or high.
    Profile(u8),
    /// Its picture needs a decoder of a higher level, times ten.
    Level(u8),
    /// Its picture has finer colours or more bits than ordinary screens and decoders take.
    Depth,
    /// Its picture holds half-pictures of different instants.
    Interlaced,
    /// Its pixels are not square, or its description contradicts its pictures.
    Shape,
    /// Its picture is stored turned or mirrored.
    Turned,
    /// Its picture is for screens of high dynamic range.
    HighRange,
    /// Its description changes on the way.
    Descriptions,
    /// Its pictures bring parameter sets that its description does not have, as those of joined films do.
    ParameterSets,
    /// Its samples are in another file.
    Elsewhere,
    /// Its picture has more frames a second, in thousandths.
    FrameRate(u64),
    /// It has fewer than two pictures.
    Still,
    /// Its picture spends more: kb/s, and the most.
    Bitrate(u64, u64),
    /// From one place where playback can start to the next it is as long as this, in milliseconds.
    KeyFrames(u64),
    /// Its key frames are no places to start, since pictures after them need pictures before them.
    OpenGroups,
    /// Its first picture is no place to start.
    NoStart,
    /// Its sound is coded otherwise, by these four letters.
    SoundCodec(String),
    /// Its sound has another profile, rate or number of channels than players take.
    Sound,
    /// Its sound has holes or an uneven clock.
    SoundClock,
    /// Its sound goes on after the picture has ended.
    SoundLonger,
    /// Its sound is there for so little of it that most would be silence.
    Silent,
    /// It was cut by an edit list.
    Edited,
    /// Its picture begins later than its sound.
    LateStart,
    /// Its time stamps contradict each other.
    TimeStamps,
    /// Some of what it describes is not there.
    CutShort,
    /// It is longer or larger than a limit.
    Limit,
    /// It is larger than the largest rung of the ladder.
    Ladder,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Container => f.write_str("it is no MP4 or MOV file"),
            Self::NoDescription(why) => f.write_str(why),
            Self::Unreadable(error) => write!(f, "its description can not be used ({error})"),
            Self::Fragmented => f.write_str("it is stored in fragments"),
            Self::Pictures(count) => write!(f, "it holds {count} pictures, not one"),
            Self::PictureCodec(codec) => write!(f, "its picture is {codec}, not H.264 (avc1)"),
            Self::Profile(profile) => write!(f, "its H.264 profile {profile} is not baseline, main or high"),
            Self::Level(level) => write!(f, "its H.264 level {}.{} is above 5.2", level / 10, level % 10),
            Self::Depth => f.write_str("its colours are finer than 8-bit 4:2:0"),
            Self::Interlaced => f.write_str("it is interlaced"),
            Self::Shape => f.write_str("its pixels are not square, or its sizes contradict each other"),
            Self::Turned => f.write_str("it is stored turned or mirrored"),
            Self::HighRange => f.write_str("it has high dynamic range"),
            Self::Descriptions => f.write_str("its coding changes on the way"),
            Self::ParameterSets => {
                f.write_str("its pictures change their coding on the way, as those of joined films do")
            }
            Self::Elsewhere => f.write_str("its samples are in another file"),
            Self::FrameRate(millis) => write!(f, "it has {} frames a second, more than 60", millis / 1000),
            Self::Still => f.write_str("it has fewer than two pictures"),
            Self::Bitrate(kbps, most) => write!(f, "it spends {kbps} kb/s, more than {most} kb/s"),
            Self::KeyFrames(ms) => {
                write!(f, "its key frames are up to {}.{} s apart, more than 4 s", ms / 1000, ms % 1000 / 100)
            }
            Self::OpenGroups => f.write_str("its groups of pictures are open"),
            Self::NoStart => f.write_str("its first picture is no key frame"),
            Self::SoundCodec(codec) => write!(f, "its sound is {codec}, not AAC"),
            Self::Sound => f.write_str("its sound is not AAC-LC with one or two channels at 44.1 or 48 kHz"),
            Self::SoundClock => f.write_str("its sound has holes or an uneven clock"),
            Self::Silent => f.write_str("its sound is there for a small part of it only"),
            Self::SoundLonger => f.write_str("its sound goes on after the picture ends"),
            Self::Edited => f.write_str("an edit list cuts it"),
            Self::LateStart => f.write_str("its picture begins later than its sound"),
            Self::TimeStamps => f.write_str("its time stamps contradict each other"),
            Self::CutShort => f.write_str("some of what it describes is missing"),
            Self::Limit => f.write_str("it is too long"),
            Self::Ladder => f.write_str("it is larger than the largest rung that may be made"),
        }
    }
}

/// All reasons in one sentence.
pub fn report(reasons: &[Reason]) -> String {
    let told: Vec<String> = reasons.iter().map(ToString::to_string).collect();
    format!("it had to be encoded before it could be played: {}", told.join("; "))
}
