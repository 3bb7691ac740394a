//! The storyboard: one picture of many small stills, and an index that says which of them belongs to which instant.
//!
//! Stills are the key frames that segments start with, so making them decodes one frame a still of the smallest rung.

use std::fmt::Write as _;

use crate::artifact::ArtifactPath;
use crate::media::ladder::Size;

/// One picture of many small stills.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Storyboard {
    /// The size of one still.
    pub tile: Size,
    /// Stills beside each other.
    pub columns: u32,
    /// The stills, in the order of time: row by row.
    pub tiles: Vec<Tile>,
}

/// One still of a storyboard.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Tile {
    /// The segment that starts with it.
    pub segment: u32,
    /// From when on it is shown, in microseconds.
    pub from_us: u64,
    /// Until when.
    pub to_us: u64,
}

impl Storyboard {
    /// The storyboard over segments of these lengths in microseconds, of pictures of size `of`; `None` when there are none.
    ///
    /// A long video has no more than [`TILES_MAX`] stills, each for several segments.
    pub fn over(lengths: &[u64], of: Size) -> Option<Self> {
        let step = lengths.len().div_ceil(TILES_MAX).max(1);
        let (mut tiles, mut at) = (Vec::new(), 0_u64);
        for (index, some) in lengths.chunks(step).enumerate() {
            let to_us = some.iter().fold(at, |sum, us| sum.saturating_add(*us));
            let segment = u32::try_from(index * step).unwrap_or(u32::MAX);
            tiles.push(Tile { segment, from_us: at, to_us });
            at = to_us;
        }
        let long = of.width.max(of.height).max(1);
        let scaled = |side: u32| {
            let exact = u64::from(side) * u64::from(LONG_SIDE) / u64::from(long);
            u32::try_from(exact).unwrap_or(LONG_SIDE).max(2) / 2 * 2
        };
        let columns = u32::try_from(tiles.len()).unwrap_or(COLUMNS_MAX).min(COLUMNS_MAX);
        let tile = Size { width: scaled(of.width), height: scaled(of.height) };
        (!tiles.is_empty()).then_some(Self { tile, columns, tiles })
    }

    /// Stills above each other.
    pub fn rows(&self) -> u32 {
        u32::try_from(self.tiles.len()).unwrap_or(u32::MAX).div_ceil(self.columns.max(1))
    }

    /// The index, in WebVTT: each cue names the part of the picture to show.
    pub fn track(&self) -> String {
        let mut text = "WEBVTT\n".to_owned();
        for (tile, index) in self.tiles.iter().zip(0_u32..) {
            let (column, row) = (index % self.columns.max(1), index / self.columns.max(1));
            let Size { width, height } = self.tile;
            let _ = write!(
                text,
                "\n{} --> {}\n{}#xywh={},{},{width},{height}\n",
                instant(tile.from_us),
                instant(tile.to_us),
                ArtifactPath::ThumbSprite,
                column * width,
                row * height,
            );
        }
        text
    }
}

/// Stills of one storyboard.
pub const TILES_MAX: usize = 100;
/// Pixels of a still's longer side.
const LONG_SIDE: u32 = 160;
/// Stills beside each other.
const COLUMNS_MAX: u32 = 10;

/// An instant as WebVTT writes it, rounded to the millisecond.
fn instant(us: u64) -> String {
    let ms = (us + 500) / 1000;
    format!("{:02}:{:02}:{:02}.{:03}", ms / 3_600_000, ms / 60_000 % 60, ms / 1000 % 60, ms % 1000)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_still_has_its_instant_and_its_place() {
        let lengths = [2_002_000, 2_001_999, 4_004_000];
        let board = Storyboard::over(&lengths, Size { width: 640, height: 360 }).unwrap();
        assert_eq!((board.tile, board.columns, board.rows()), (Size { width: 160, height: 90 }, 3, 1));
        assert_eq!(
            board.track(),
            "WEBVTT\n\n00:00:00.000 --> 00:00:02.002\nthumbs.jpg#xywh=0,0,160,90\n\n\
             00:00:02.002 --> 00:00:04.004\nthumbs.jpg#xywh=160,0,160,90\n\n\
             00:00:04.004 --> 00:00:08.008\nthumbs.jpg#xywh=320,0,160,90\n"
        );
        assert_eq!(Storyboard::over(&[], Size { width: 640, height: 360 }), None);
    }

    proptest! {
        #[test]
        fn a_storyboard_covers_all_and_stays_small(
            lengths in prop::collection::vec(1_u64..10_000_000, 1..3000), width in 16_u32..8193, height in 16_u32..8193,
        ) {
            let board = Storyboard::over(&lengths, Size { width, height }).unwrap();
            prop_assert!(board.tiles.len() <= TILES_MAX);
            prop_assert!(board.columns * board.rows() >= board.tiles.len() as u32);
            prop_assert!(board.columns * board.tile.width <= 1600 && board.rows() * board.tile.height <= 1600);
            prop_assert_eq!(board.tiles.last().map(|tile| tile.to_us), Some(lengths.iter().sum()));
            for pair in board.tiles.windows(2) {
                prop_assert_eq!(pair[0].to_us, pair[1].from_us);
            }
        }
    }
}
