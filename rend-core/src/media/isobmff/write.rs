//! Initialisation segments and media segments, written.

use bytes::Bytes;

use super::{Sample, TrackKind};
use crate::artifact::Lang;

/// A track of an initialisation segment to be written.
#[derive(Clone, Debug)]
pub struct NewTrack {
    /// Its number, from 1.
    pub id: u32,
    /// Whether it is seen or heard.
    pub kind: TrackKind,
    /// Ticks a second.
    pub timescale: u32,
    /// Width and height as shown, for pictures.
    pub size: (u16, u16),
    /// Its language.
    pub lang: Lang,
    /// Its sample description box, whole.
    pub stsd: Bytes,
}

/// The initialisation segment for these tracks. It has no edit list and no metadata.
pub fn write_init(tracks: &[NewTrack]) -> Bytes {
    let mut w = Writer::default();
    w.boxed(b"ftyp", |w| {
        w.put(b"iso6");
        w.u32(0);
        w.put(b"iso6cmfcmp41");
    });
    w.boxed(b"moov", |w| {
        w.mvhd(1000, 0, tracks.iter().map(|t| t.id).max().unwrap_or(0).saturating_add(1));
        for track in tracks {
            w.trak(track);
        }
        w.boxed(b"mvex", |w| {
            for track in tracks {
                w.full(b"trex", 0, 0, |w| w.u32s(&[track.id, 1, 0, 0, 0]));
            }
        });
    });
    w.finish()
}

/// One track's part of a segment to be written.
#[derive(Clone, Copy, Debug)]
pub struct NewRun<'a> {
    /// The track's number.
    pub track: u32,
    /// When the first sample is decoded, in ticks.
    pub starts_at: u64,
    /// The samples; only duration, delay, key and data are taken from them.
    pub samples: &'a [Sample],
}

/// How long a media segment is that has runs of so many samples, with `data` bytes in all of them together.
pub fn segment_len(counts: &[usize], data: u64) -> u64 {
    let runs: u64 = counts.iter().map(|count| RUN_BYTES + 16 * *count as u64).sum();
    FRAME_BYTES.saturating_add(runs).saturating_add(data)
}

/// The media segment number `sequence` with these runs, in this order.
pub fn write_segment(sequence: u32, runs: &[NewRun<'_>]) -> Bytes {
    let data: usize = runs.iter().flat_map(|run| run.samples).map(|s| s.data.len()).sum();
    let entries: usize = runs.iter().map(|run| run.samples.len()).sum();
    let mut w = Writer(Vec::with_capacity(data + entries * 16 + 256));
    w.boxed(b"styp", |w| {
        w.put(b"msdh");
        w.u32(0);
        w.put(b"msdhmsixcmfs");
    });
    let moof_at = w.0.len();
    let mut offsets = Vec::new();
    w.boxed(b"moof", |w| {
        w.full(b"mfhd", 0, 0, |w| w.u32(sequence));
        for run in runs {
            w.boxed(b"traf", |w| {
                w.full(b"tfhd", 0, 0x02_0000, |w| w.u32(run.track));
                w.full(b"tfdt", 1, 0, |w| w.u64(run.starts_at));
                w.full(b"trun", 1, 0x0F01, |w| {
                    w.u32(u32::try_from(run.samples.len()).unwrap_or(u32::MAX));
                    offsets.push(w.0.len());
                    w.u32(0);
                    for sample in run.samples {
                        w.u32(sample.duration);
                        w.u32(u32::try_from(sample.data.len()).unwrap_or(u32::MAX));
                        w.u32(if sample.key { FLAGS_KEY } else { FLAGS_DEPENDENT });
                        w.put(&sample.shown_after.to_be_bytes());
                    }
                });
            });
        }
    });
    let mut offset = w.0.len() - moof_at + 8;
    for (run, at) in runs.iter().zip(offsets) {
        w.0[at..at + 4].copy_from_slice(&u32::try_from(offset).unwrap_or(u32::MAX).to_be_bytes());
        offset += run.samples.iter().map(|s| s.data.len()).sum::<usize>();
    }
    w.boxed(b"mdat", |w| {
        for sample in runs.iter().flat_map(|run| run.samples) {
            w.put(&sample.data);
        }
    });
    w.finish()
}

/// Bytes of a segment beside its runs and its data: `styp`, the headers of `moof` and `mdat`, and `mfhd`.
const FRAME_BYTES: u64 = 28 + 8 + 8 + 16;
/// Bytes of a run beside its samples: the header of `traf`, `tfhd`, `tfdt` and the beginning of `trun`.
const RUN_BYTES: u64 = 8 + 16 + 20 + 20;
/// A sample that depends on no other.
const FLAGS_KEY: u32 = 0x0200_0000;
/// A sample that depends on others and is no place to start.
const FLAGS_DEPENDENT: u32 = 0x0101_0000;
/// The matrix that changes nothing.
const MATRIX: [u32; 9] = [0x0001_0000, 0, 0, 0, 0x0001_0000, 0, 0, 0, 0x4000_0000];

/// How long a track is: in ticks of the movie as it is shown, and in its own as it is decoded. Nothing where fragments say.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Lasts {
    pub(crate) shown: u64,
    pub(crate) decoded: u64,
}

#[derive(Default)]
pub(crate) struct Writer(Vec<u8>);

impl Writer {
    pub(crate) fn put(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    pub(crate) fn u16(&mut self, value: u16) {
        self.put(&value.to_be_bytes());
    }

    pub(crate) fn u32(&mut self, value: u32) {
        self.put(&value.to_be_bytes());
    }

    pub(crate) const fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn u32s(&mut self, values: &[u32]) {
        values.iter().for_each(|value| self.u32(*value));
    }

    pub(crate) fn u64(&mut self, value: u64) {
        self.put(&value.to_be_bytes());
    }

    pub(crate) fn boxed(&mut self, kind: &[u8; 4], body: impl FnOnce(&mut Self)) {
        let at = self.0.len();
        self.u32(0);
        self.put(kind);
        body(self);
        let len = u32::try_from(self.0.len() - at).unwrap_or(u32::MAX);
        self.0[at..at + 4].copy_from_slice(&len.to_be_bytes());
    }

    pub(crate) fn full(&mut self, kind: &[u8; 4], version: u32, flags: u32, body: impl FnOnce(&mut Self)) {
        self.boxed(kind, |w| {
            w.u32(version << 24 | flags);
            body(w);
        });
    }

    /// The header of a movie that lasts `lasts` ticks.
    pub(crate) fn mvhd(&mut self, timescale: u32, lasts: u64, next_track: u32) {
        self.header(b"mvhd", 0, &[timescale], lasts, |w| {
            w.u32s(&[0x0001_0000, 0x0100_0000, 0, 0]);
            w.u32s(&MATRIX);
            w.u32s(&[0; 6]);
            w.u32(next_track);
        });
    }

    /// A header with two instants that are not told and a length. A length that is too long for the usual form takes the
    /// long one.
    fn header(&mut self, kind: &[u8; 4], flags: u32, fields: &[u32], lasts: u64, rest: impl FnOnce(&mut Self)) {
        let short = u32::try_from(lasts).ok();
        self.full(kind, u32::from(short.is_none()), flags, |w| {
            w.u32s(if short.is_some() { &[0; 2] } else { &[0; 4] });
            w.u32s(fields);
            match short {
                Some(lasts) => w.u32(lasts),
                None => w.u64(lasts),
            }
            rest(w);
        });
    }

    /// A track whose samples are all in fragments.
    pub(crate) fn trak(&mut self, track: &NewTrack) {
        self.trak_of(
            track,
            Lasts::default(),
            |_| {},
            |w| {
                w.full(b"stts", 0, 0, |w| w.u32(0));
                w.full(b"stsc", 0, 0, |w| w.u32(0));
                w.full(b"stsz", 0, 0, |w| w.u32s(&[0, 0]));
                w.full(b"stco", 0, 0, |w| w.u32(0));
            },
        );
    }

    /// A track with these edits and, behind its sample description, these tables.
    pub(crate) fn trak_of(
        &mut self,
        track: &NewTrack,
        lasts: Lasts,
        edits: impl FnOnce(&mut Self),
        tables: impl FnOnce(&mut Self),
    ) {
        let video = track.kind == TrackKind::Video;
        self.boxed(b"trak", |w| {
            w.header(b"tkhd", 0x3, &[track.id, 0], lasts.shown, |w| {
                w.u32s(&[0, 0]);
                w.u16(0);
                w.u16(u16::from(!video));
                w.u16(if video { 0 } else { 0x0100 });
                w.u16(0);
                w.u32s(&MATRIX);
                w.u32s(&[u32::from(track.size.0) << 16, u32::from(track.size.1) << 16]);
            });
            edits(w);
            w.boxed(b"mdia", |w| {
                w.header(b"mdhd", 0, &[track.timescale], lasts.decoded, |w| {
                    w.u16(packed(track.lang));
                    w.u16(0);
                });
                w.full(b"hdlr", 0, 0, |w| {
                    w.u32(0);
                    w.put(if video { b"vide" } else { b"soun" });
                    w.u32s(&[0; 3]);
                    w.put(b"rend\0");
                });
                w.boxed(b"minf", |w| {
                    if video {
                        w.full(b"vmhd", 0, 1, |w| w.u32s(&[0, 0]));
                    } else {
                        w.full(b"smhd", 0, 0, |w| w.u32(0));
                    }
                    w.boxed(b"dinf", |w| {
                        w.full(b"dref", 0, 0, |w| {
                            w.u32(1);
                            w.full(b"url ", 0, 1, |_| {});
                        });
                    });
                    w.boxed(b"stbl", |w| {
                        w.put(&track.stsd);
                        tables(w);
                    });
                });
            });
        });
    }

    pub(crate) fn finish(self) -> Bytes {
        self.0.into()
    }
}

/// A language in the fifteen bits that a media header has for it. Two-letter codes have no place there.
fn packed(lang: Lang) -> u16 {
    let code = match lang.as_str().as_bytes() {
        [a, b, c] => [*a, *b, *c],
        _ => *b"und",
    };
    code.iter().fold(0, |bits, letter| bits << 5 | u16::from(letter - 0x60))
}
