//! Clips: parts of a film that is whole, cut at the segments it has. A clip is lists alone; no byte of media is made for it.
//!
//! ```text
//!             start            end              what is asked for
//!   |----|----|--#-|----|----|-#--|----|        segments of the film
//!             |==================|              what the clip's lists hold
//! ```
//!
//! The lists of a clip stand beside those of the film, so that they name the same segments by the same short names.

use thiserror::Error;

use super::playlist::{Entry, Master, Media, Track, Variant};
use crate::artifact::ClipRef;

/// A stretch of a film, in microseconds from its beginning.
///
/// Holding one proves that it is not empty and that it begins and ends where segments of the list do that it was taken from.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Span {
    start: u64,
    end: u64,
}

impl Span {
    /// The segments of `list` that show any of the time from `start_ms` up to `end_ms`; to the end of the film without one.
    ///
    /// # Errors
    ///
    /// [`NoClip`].
    pub fn of(list: &Media, start_ms: u64, end_ms: Option<u64>) -> Result<Self, NoClip> {
        if !list.ended {
            return Err(NoClip::Growing);
        }
        let film_ms = list.micros() / 1000;
        let (start, end) = (start_ms.saturating_mul(1000), end_ms.unwrap_or(u64::MAX).saturating_mul(1000));
        if start >= end {
            return Err(NoClip::Backwards);
        }
        let mut shown = placed(&list.segments).filter(|(at, entry)| *at < end && at + entry.micros > start);
        let (from, first) = shown.next().ok_or(NoClip::Past { film_ms })?;
        let until = shown.last().map_or(from + first.micros, |(at, entry)| at + entry.micros);
        Ok(Self { start: from, end: until })
    }

    /// Where it begins, in milliseconds.
    pub const fn start_ms(&self) -> u64 {
        self.start / 1000
    }

    /// Where it ends, in milliseconds.
    pub const fn end_ms(&self) -> u64 {
        self.end / 1000
    }

    /// What the clip is called, or `None` when it lies past what a name can say: seven weeks.
    pub fn clip(&self) -> Option<ClipRef> {
        ClipRef::new(u32::try_from(self.start_ms()).ok()?, u32::try_from(self.end_ms()).ok()?)
    }

    /// The segments of another rendition of the same film that show this: each of which the middle lies within, since cuts of
    /// sound and picture differ by less than half a segment.
    pub fn cut(&self, list: &Media) -> Media {
        self.keep(list, |at, micros| (self.start..self.end).contains(&(at + micros / 2)))
    }

    /// The segments of captions that hold any of this. They may be far longer than those of the picture.
    pub fn cover(&self, list: &Media) -> Media {
        self.keep(list, |at, micros| at < self.end && at + micros > self.start)
    }

    fn keep(&self, list: &Media, shows: impl Fn(u64, u64) -> bool) -> Media {
        let shown = placed(&list.segments).filter(|(at, entry)| shows(*at, entry.micros));
        Media { segments: shown.map(|(_, entry)| entry.clone()).collect(), ended: true, ..list.clone() }
    }
}

/// The list of a clip's renditions: those of the film, each by its list of the clip. Key-frame lists are left out.
pub fn master(film: &Master, clip: ClipRef) -> Master {
    let uri = |uri: &str| match uri.rsplit_once('/') {
        Some((folder, _)) => format!("{folder}/clip_{clip}.m3u8"),
        None => uri.to_owned(),
    };
    let track = |track: &Track| Track { uri: uri(&track.uri), ..track.clone() };
    Master {
        variants: film.variants.iter().map(|v| Variant { uri: uri(&v.uri), ..v.clone() }).collect(),
        iframes: Vec::new(),
        sounds: film.sounds.iter().map(track).collect(),
        captions: film.captions.iter().map(track).collect(),
    }
}

/// Why there is no such clip. Asking for another may help.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum NoClip {
    /// The film is not whole yet. Trying again helps when it is.
    #[error("the film is still being made; clips are of whole films")]
    Growing,
    /// The end is not after the start.
    #[error("the end of a clip is after its start")]
    Backwards,
    /// It begins after the film's end.
    #[error("the film ends at {film_ms} ms")]
    Past {
        /// Where the film ends.
        film_ms: u64,
    },
}

/// Each segment with where it begins.
fn placed(segments: &[Entry]) -> impl Iterator<Item = (u64, &Entry)> {
    segments.iter().scan(0_u64, |at, entry| {
        let begins = *at;
        *at = at.saturating_add(entry.micros);
        Some((begins, entry))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn list(lengths: &[u64]) -> Media {
        let entry =
            |(n, micros): (usize, &u64)| Entry { micros: *micros, uri: format!("segment_{n:05}.m4s"), bytes: None };
        let segments = lengths.iter().enumerate().map(entry).collect();
        Media { target_secs: 4, init: "init_720p.mp4".into(), segments, ended: true, iframes_only: false }
    }

    const FILM: [u64; 5] = [2_000_000, 2_000_000, 4_000_000, 4_000_000, 1_500_000];

    #[track_caller]
    fn check(start_ms: u64, end_ms: Option<u64>, expect: Result<(u64, u64, usize), NoClip>) {
        let film = list(&FILM);
        let found = Span::of(&film, start_ms, end_ms);
        let said = found.map(|span| (span.start_ms(), span.end_ms(), span.cut(&film).segments.len()));
        assert_eq!(said, expect, "{start_ms} {end_ms:?}");
    }

    #[test]
    fn a_clip_is_the_segments_that_show_any_of_it() {
        check(0, None, Ok((0, 13_500, 5)));
        check(0, Some(1), Ok((0, 2000, 1)));
        check(2000, Some(4000), Ok((2000, 4000, 1)));
        check(1999, Some(4001), Ok((0, 8000, 3)));
        check(5000, Some(9000), Ok((4000, 12_000, 2)));
        check(13_499, Some(90_000), Ok((12_000, 13_500, 1)));
        check(13_500, None, Err(NoClip::Past { film_ms: 13_500 }));
        check(u64::MAX, None, Err(NoClip::Backwards));
        check(4000, Some(4000), Err(NoClip::Backwards));
        check(4000, Some(3000), Err(NoClip::Backwards));
        let growing = Media { ended: false, ..list(&FILM) };
        assert_eq!(Span::of(&growing, 0, Some(1)), Err(NoClip::Growing));
    }

    #[test]
    fn a_list_whose_cuts_lie_a_little_apart_gives_the_same_segments() {
        let span = Span::of(&list(&FILM), 2500, Some(7000)).unwrap();
        let sound = span.cut(&list(&[2_005_333, 1_984_000, 4_010_667, 4_000_000, 1_500_000]));
        let named: Vec<_> = sound.segments.iter().map(|entry| entry.uri.as_str()).collect();
        assert_eq!(named, ["segment_00001.m4s", "segment_00002.m4s"]);
        assert_eq!((sound.ended, sound.init.as_str()), (true, "init_720p.mp4"));
        let captions = list(&[30_000_000]);
        assert!(span.cut(&captions).segments.is_empty() && span.cover(&captions).segments.len() == 1);
    }

    #[test]
    fn the_renditions_of_a_clip_are_those_of_the_film() {
        let variant = Variant {
            uri: "720p/index.m3u8".into(),
            bandwidth: 9,
            average: 8,
            codecs: "avc1.64001f".into(),
            resolution: None,
            millifps: None,
        };
        let film = Master { iframes: vec![variant.clone()], variants: vec![variant], ..Master::default() };
        let clip = master(&film, ClipRef::new(2000, 8000).unwrap());
        assert_eq!(clip.variants[0].uri, "720p/clip_2000-8000.m3u8");
        assert!(clip.iframes.is_empty() && clip.to_string().parse() == Ok(clip));
    }

    proptest! {
        #[test]
        fn a_clip_holds_what_was_asked_for_and_no_segment_more(
            lengths in prop::collection::vec(1_000_u64..6_000_000, 1..40), start in 0_u64..60_000, len in 1_u64..60_000
        ) {
            let film = list(&lengths);
            let Ok(span) = Span::of(&film, start, Some(start + len)) else {
                prop_assert!(start >= film.micros() / 1000);
                return Ok(());
            };
            let cut = span.cut(&film);
            prop_assert!(span.start <= start * 1000 && span.end >= ((start + len) * 1000).min(film.micros()));
            prop_assert_eq!(cut.micros(), span.end - span.start);
            let (first, last) = (cut.segments.first().unwrap(), cut.segments.last().unwrap());
            prop_assert!(span.start + first.micros > start * 1000, "the first segment shows some of it");
            prop_assert!(span.end - last.micros < (start + len) * 1000, "and so does the last");
            prop_assert_eq!(cut.to_string().parse::<Media>(), Ok(cut));
        }
    }
}
