//! The origin, which answers well, slowly, in part, or not to the end.

use rend_core::prng::Prng;

use crate::world::World;

/// How the origin answers one fetch.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Mood {
    /// All of it, in so many pieces.
    Whole { pieces: u32 },
    /// The same without saying how much there will be.
    Unannounced { pieces: u32 },
    /// So many of so many pieces, and then nothing any more: the edge's patience ends it.
    Stalls { after: u32, pieces: u32 },
    /// The connection ends after so many of so many pieces.
    Resets { after: u32, pieces: u32 },
    /// One byte fewer than was announced.
    Short { pieces: u32 },
    /// One byte more than was announced.
    Long { pieces: u32 },
    /// It has no such thing.
    Absent,
}

impl Mood {
    fn draw(prng: &mut Prng) -> Self {
        let number = |prng: &mut Prng, bound: u64| u32::try_from(prng.below(bound)).unwrap_or(0);
        let pieces = 1 + number(prng, PIECES_MAX);
        let after = number(prng, u64::from(pieces));
        match prng.below(10) {
            0 => Self::Stalls { after, pieces },
            1 => Self::Resets { after, pieces },
            2 => Self::Short { pieces },
            3 => Self::Long { pieces },
            4 => Self::Absent,
            5 | 6 => Self::Unannounced { pieces },
            _ => Self::Whole { pieces },
        }
    }

    /// In how many pieces it would send all.
    pub(crate) const fn pieces(self) -> u32 {
        match self {
            Self::Whole { pieces }
            | Self::Unannounced { pieces }
            | Self::Stalls { pieces, .. }
            | Self::Resets { pieces, .. }
            | Self::Short { pieces }
            | Self::Long { pieces } => pieces,
            Self::Absent => 0,
        }
    }
}

impl World {
    /// How the origin answers the next fetch.
    pub(crate) fn origin_mood(&mut self) -> Mood {
        // An origin without moods draws no chance, so that worlds that know none stay as their seeds made them.
        if self.options.moods && !self.calm { Mood::draw(&mut self.prng) } else { Mood::Whole { pieces: 2 } }
    }

    /// A purge may come between any two steps of a fill.
    pub(crate) fn purge_between_steps(&mut self) {
        let percent = self.options.purge_between_steps_percent;
        if percent > 0 && !self.calm && self.prng.below(100) < percent {
            self.publish();
        }
    }

    /// So may the end of whoever reads along.
    pub(crate) fn leave_between_steps(&mut self, edge: usize) {
        if self.options.moods && self.prng.below(8) == 0 {
            self.reader_leaves(edge);
        }
    }
}

/// The most pieces of one body.
const PIECES_MAX: u64 = 6;
