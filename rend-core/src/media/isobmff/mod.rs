//! ISO base media boxes, as far as fragments need them.
//!
//! An encoder writes one fragmented file on a pipe; [`FragmentReader`] takes it apart into samples as it arrives. Rend
//! then writes its own [`write_init`] and [`write_segment`], so that cuts, times and tracks are what the plan says and
//! nothing of the source's metadata can come along.
//!
//! ```text
//! init.mp4      ftyp  moov( mvhd  trak…( tkhd mdia( mdhd hdlr minf( … stbl( stsd ) ) ) )  mvex( trex… ) )
//! segment.m4s   styp  moof( mfhd  traf…( tfhd tfdt trun ) )  mdat( video samples, then audio samples )
//! 720p.mp4      ftyp  moov( mvhd  trak…( … stbl( stsd stts ctts stss stsc stsz stco ) ) )  mdat( as in each segment, in turn )
//! ```
//!
//! Sizes and counts inside a file are never believed beyond the bytes that are there.

use bytes::Bytes;

pub(crate) mod boxes;
mod description;
mod fragment;
mod join;
mod progressive;
#[cfg(test)]
pub(crate) mod work;
pub(crate) mod write;

pub use boxes::BoxError;
pub use description::read_init;
pub use fragment::{BOX_BYTES_MAX, FragmentReader, Piece, read_segment};
pub use join::{join, samples};
pub use progressive::{Copied, Layout, Progressive, SAMPLES_MAX};
pub use write::{NewRun, NewTrack, segment_len, write_init, write_segment};

/// What an initialisation segment says of its tracks, in the order of the file.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Init {
    /// The tracks.
    pub tracks: Vec<Track>,
}

impl Init {
    /// The track with this id.
    pub fn track(&self, id: u32) -> Option<&Track> {
        self.tracks.iter().find(|track| {
            #[cfg(test)]
            work::step();
            track.id == id
        })
    }

    /// The first track of this kind.
    pub fn first(&self, kind: TrackKind) -> Option<&Track> {
        self.tracks.iter().find(|track| track.kind == kind)
    }
}

/// One track of an initialisation segment.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Track {
    /// Its number in the file.
    pub id: u32,
    /// Whether it is seen or heard.
    pub kind: TrackKind,
    /// Ticks a second.
    pub timescale: u32,
    /// Its codec as RFC 6381 writes it, such as `avc1.64001f`.
    pub codec: String,
    /// Coded width and height, for pictures.
    pub size: (u16, u16),
    /// Its sample description box, whole.
    pub stsd: Bytes,
    /// Whether it has an edit list.
    pub edited: bool,
    /// What samples are unless a fragment says otherwise: duration, size, flags.
    pub defaults: (u32, u32, u32),
}

/// Whether a track is seen or heard.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum TrackKind {
    /// Pictures.
    Video,
    /// Sound.
    Audio,
    /// Anything else.
    Other,
}

/// One sample on its way through.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Sample {
    /// The track it belongs to.
    pub track: u32,
    /// When it is decoded, in ticks of the track.
    pub decoded_at: u64,
    /// How much later it is shown.
    pub shown_after: i32,
    /// How long it lasts.
    pub duration: u32,
    /// Whether decoding can start here.
    pub key: bool,
    /// Its bytes.
    pub data: Bytes,
}

/// One track's part of a segment, as [`read_segment`] finds it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Run {
    /// The track.
    pub track: u32,
    /// When its first sample is decoded.
    pub starts_at: u64,
    /// How long all its samples last.
    pub duration: u64,
    /// How many there are.
    pub samples: u64,
    /// Whether decoding can start at the first.
    pub starts_with_key: bool,
    /// When the earliest of them is shown.
    pub shown_at: i64,
    /// How many bytes of the segment hold all up to the end of its first sample.
    pub first_sample_end: u64,
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::write::Writer;
    use super::*;
    use crate::artifact::Lang;

    fn sample(track: u32, duration: u32, shown_after: i32, key: bool, data: &'static [u8]) -> Sample {
        Sample { track, decoded_at: 0, shown_after, duration, key, data: Bytes::from_static(data) }
    }

    /// A sample description with an H.264 High profile, level 3.1 configuration.
    pub(crate) fn avc_stsd(width: u16, height: u16) -> Bytes {
        let mut w = Writer::default();
        w.full(b"stsd", 0, 0, |w| {
            w.u32(1);
            w.boxed(b"avc1", |w| {
                w.put(&[0; 24]);
                w.u16(width);
                w.u16(height);
                w.put(&[0; 50]);
                w.boxed(b"avcC", |w| w.put(&[1, 0x64, 0, 0x1F, 0xFF]));
            });
        });
        w.finish()
    }

    pub(crate) fn aac_stsd() -> Bytes {
        let mut w = Writer::default();
        w.full(b"stsd", 0, 0, |w| {
            w.u32(1);
            w.boxed(b"mp4a", |w| w.put(&[0; 28]));
        });
        w.finish()
    }

    fn two_tracks() -> Vec<NewTrack> {
        let track = |id, kind, timescale, size, stsd| NewTrack { id, kind, timescale, size, lang: Lang::UND, stsd };
        vec![
            track(1, TrackKind::Video, 15_360, (1280, 720), avc_stsd(1280, 720)),
            track(2, TrackKind::Audio, 48_000, (0, 0), aac_stsd()),
        ]
    }

    #[test]
    fn what_is_written_reads_back() {
        let init = read_init(&write_init(&two_tracks())).unwrap();
        assert_eq!(init.tracks.iter().map(|t| t.codec.as_str()).collect::<Vec<_>>(), ["avc1.64001f", "mp4a.40.2"]);
        assert_eq!(
            (init.tracks[0].size, init.tracks[0].timescale, init.tracks[0].edited),
            ((1280, 720), 15_360, false)
        );

        let video =
            [sample(1, 512, 0, true, b"idr"), sample(1, 512, 512, false, b"p"), sample(1, 512, -512, false, b"b")];
        let audio = [sample(2, 1024, 0, true, b"aa"), sample(2, 1024, 0, true, b"bb")];
        let runs = [
            NewRun { track: 1, starts_at: 30_720, samples: &video },
            NewRun { track: 2, starts_at: 96_256, samples: &audio },
        ];
        let segment = write_segment(7, &runs);
        assert_eq!(segment_len(&[3, 2], 5 + 4), segment.len() as u64);
        let read = read_segment(&init, &segment).unwrap();
        assert_eq!((read[0].starts_at, read[0].duration, read[0].samples), (30_720, 1536, 3));
        assert!(read[0].starts_with_key && read[0].shown_at == 30_720);
        assert!(segment[..usize::try_from(read[0].first_sample_end).unwrap()].ends_with(b"idr"));
        assert_eq!((read[1].starts_at, read[1].duration), (96_256, 2048));

        let mut reader = FragmentReader::default();
        let mut file = write_init(&two_tracks()).to_vec();
        file.extend_from_slice(&segment);
        let mut samples = Vec::new();
        for byte in &file {
            reader.push(std::slice::from_ref(byte));
            while let Some(piece) = reader.next_piece().unwrap() {
                match piece {
                    Piece::Init(found) => assert_eq!(found, init),
                    Piece::Samples(found) => samples.extend(found),
                }
            }
        }
        assert!(!reader.is_torn());
        assert_eq!(samples.iter().map(|s| &s.data[..]).collect::<Vec<_>>(), [&b"idr"[..], b"p", b"b", b"aa", b"bb"]);
        assert_eq!((samples[2].decoded_at, samples[2].shown_after), (30_720 + 1024, -512));
    }

    #[test]
    fn a_forged_count_is_refused_and_costs_nothing() {
        let init = read_init(&write_init(&two_tracks())).unwrap();
        let mut segment =
            write_segment(1, &[NewRun { track: 1, starts_at: 0, samples: &[sample(1, 1, 0, true, b"x")] }]).to_vec();
        let trun = segment.windows(4).position(|w| w == b"trun").unwrap();
        segment[trun + 8..trun + 12].copy_from_slice(&u32::MAX.to_be_bytes());
        assert!(read_segment(&init, &segment.into()).is_err());
    }

    #[test]
    fn a_count_without_bytes_behind_it_is_refused() {
        // Sixteen bytes that claim a million samples with nothing said of any: many of them in one small file.
        let init = read_init(&write_init(&two_tracks())).unwrap();
        let mut w = Writer::default();
        w.boxed(b"moof", |w| {
            for _ in 0..20 {
                w.boxed(b"traf", |w| {
                    w.full(b"tfhd", 0, 0x02_0000, |w| w.u32(1));
                    w.full(b"trun", 0, 0, |w| w.u32(1 << 20));
                });
            }
        });
        assert!(read_segment(&init, &w.finish()).is_err());
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_readers_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let bytes = Bytes::from(bytes);
            let _ = read_init(&bytes);
            let _ = read_segment(&Init::default(), &bytes);
        }

        #[test]
        fn no_flipped_byte_makes_the_readers_panic(at in 0_usize..2000, value in any::<u8>()) {
            let init = write_init(&two_tracks());
            let segment = write_segment(1, &[NewRun { track: 1, starts_at: 0, samples: &[sample(1, 1, 0, true, b"x")] }]);
            let mut file = [init.as_ref(), segment.as_ref()].concat();
            let at = at % file.len();
            file[at] = value;
            let mut reader = FragmentReader::default();
            reader.push(&file);
            while let Ok(Some(_)) = reader.next_piece() {}
        }
    }
}
