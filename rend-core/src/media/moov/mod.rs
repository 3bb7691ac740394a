//! The description of a whole MP4 or MOV file: its tracks and where each of their samples lies.
//!
//! ```text
//! moov( mvhd  trak( tkhd  edts( elst )  mdia( mdhd  hdlr  minf( dinf( dref )  stbl( stsd stts ctts stss stsc stsz stco ) ) ) )… )
//! ```
//!
//! [`locate`] finds the description, [`read_movie`] reads it, and [`SampleTable::samples`] walks a track's samples in one
//! pass. The tables stay the bytes they are: nothing is unpacked, a count is believed only as far as there are bytes for
//! it, every sum is checked, and the work is linear in the bytes. Boxes are read to a depth that is fixed by what is
//! looked for, never by what is there.
use crate::artifact::Lang;
use crate::media::isobmff::TrackKind;

mod avc;
mod entry;
mod keys;
mod locate;
mod table;
mod tracks;

pub use avc::{Avc, ParameterSet};
pub use entry::{Aac, Colour, Entry};
pub use keys::{KEYS_MAX, key_instants};
pub use locate::{Place, locate};
pub use table::{SampleTable, Samples, Stored};
pub use tracks::read_movie;

/// What a file says of itself.
#[derive(Clone, Debug)]
pub struct Movie {
    /// Ticks a second of [`Edit::lasts`].
    pub timescale: u32,
    /// Whether samples are in fragments, so that the tables do not tell all of them.
    pub fragmented: bool,
    /// Its tracks, in the order of the file.
    pub tracks: Vec<MovieTrack>,
}

/// One track of a file.
#[derive(Clone, Debug)]
pub struct MovieTrack {
    /// Whether it is seen or heard.
    pub kind: TrackKind,
    /// Ticks a second.
    pub timescale: u32,
    /// Its language.
    pub lang: Lang,
    /// Whether it is used unless somebody chooses otherwise.
    pub enabled: bool,
    /// Whether it is shown as it is stored: neither turned, mirrored nor moved.
    pub upright: bool,
    /// The size it asks to be shown at, rounded to pixels; 0 where it does not say.
    pub shown: (u32, u32),
    /// Its edit list; empty when it has none.
    pub edits: Vec<Edit>,
    /// Where in its own time the last stretch that is shown ends, in its ticks; `None` when all there is is shown.
    pub shown_until: Option<i64>,
    /// Whether its samples are in the file itself.
    pub contained: bool,
    /// How its samples are coded: the first description, and how many there are.
    pub entry: Entry,
    /// How many sample descriptions there are.
    pub descriptions: u32,
    /// Where its samples lie. Tracks that are neither seen nor heard have none.
    pub table: Option<SampleTable>,
}

/// One entry of an edit list.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Edit {
    /// How long it lasts, in ticks of the movie; 0 for all there is.
    pub lasts: u64,
    /// Where in the track's own time it begins, or `None` for a stretch with nothing to show.
    pub from: Option<u64>,
    /// Whether it runs at the usual speed.
    pub usual_speed: bool,
}

/// Bytes of a description that are read at most: about ten hours of pictures and sound.
pub const MOOV_BYTES_MAX: u64 = 32 << 20;
/// Entries of an edit list at most. Any longer list is refused: it is an edit, and not a delay.
const EDITS_MAX: usize = 16;
/// Samples of one track at most: four hours at 60 frames a second.
pub const SAMPLES_MAX: u32 = 1 << 20;

#[cfg(test)]
pub(super) mod tests {
    pub(crate) use super::avc::tests::avc;
}
