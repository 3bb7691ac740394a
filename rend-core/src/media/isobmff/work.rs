//! How much readers do, counted: headers looked at, numbers taken, samples walked. What files that mean harm cost is held
//! to their bytes, whatever they claim, on any machine and without a clock.

use std::cell::Cell;

use bytes::Bytes;

use super::write::Writer;
use super::{FragmentReader, Init, NewTrack, TrackKind, read_init, read_segment, samples, write_init};
use crate::artifact::Lang;
use crate::media::ladder::LadderPolicy;
use crate::media::moov::{Aac, Place, key_instants, locate};
use crate::media::passthrough::survey;
use crate::media::probe::Limits;

thread_local! {
    static STEPS: Cell<u64> = const { Cell::new(0) };
}

/// Counts one step of a reader.
pub(crate) fn step() {
    STEPS.set(STEPS.get() + 1);
}

/// Steps for each byte of a file, or segment cut from it, at most. A step is a few nanoseconds, so that this is within
/// fifty nanoseconds a byte.
const STEPS_PER_BYTE: u64 = 6;
/// Steps that any file may cost.
const STEPS_FLOOR: u64 = 500;
/// Bytes of a made-up description, about.
const LARGE: usize = 300_000;

/// Lets every reader read `file`, and answers how many steps all of them took.
fn read(file: &Bytes) -> u64 {
    STEPS.set(0);
    let len = file.len() as u64;
    let mut cut = 0;
    if let Place::At(range) = locate(0, file, len) {
        let place = |at: u64| usize::try_from(at).unwrap();
        let moov = file.slice(place(range.start)..place(range.end));
        let _ = key_instants(&moov, len);
        cut = survey(&moov, len, &Limits::default(), &LadderPolicy::default()).map_or(0, |passed| passed.len());
    }
    let init = read_init(file).or_else(|_| read_init(&two_tracks())).unwrap();
    let _ = read_segment(&init, file);
    let _ = read_segment(&Init::default(), file);
    let _ = samples(&two_tracks(), file);
    let mut reader = FragmentReader::default();
    for chunk in file.chunks(7) {
        reader.push(chunk);
        while let Ok(Some(_)) = reader.next_piece() {}
    }
    let steps = STEPS.get();
    let most = STEPS_FLOOR + STEPS_PER_BYTE * (len + cut as u64);
    assert!(steps <= most, "{steps} steps for {len} bytes and {cut} segments; {most} are allowed");
    steps
}

/// Files of one shape, one of them eight times as large: neither costs more than its bytes allow, and the larger one costs
/// no more than its share.
#[track_caller]
fn check(shape: impl Fn(usize) -> Bytes) {
    let (small, large) = (shape(LARGE / 8), shape(LARGE));
    let (few, many) = (read(&small).max(STEPS_FLOOR), read(&large));
    let grown = large.len() as u64 * few * 3 / 2 / (small.len() as u64).max(1);
    assert!(many <= grown, "{few} steps for {} bytes and {many} for {}", small.len(), large.len());
}

fn two_tracks() -> Bytes {
    let track = |id, kind, timescale, size, stsd| NewTrack { id, kind, timescale, size, lang: Lang::UND, stsd };
    write_init(&[
        track(1, TrackKind::Video, 15_360, (640, 360), super::tests::avc_stsd(640, 360)),
        track(2, TrackKind::Audio, 48_000, (0, 0), super::tests::aac_stsd()),
    ])
}

fn number(count: usize) -> u32 {
    u32::try_from(count).unwrap()
}

/// A file whose description has these tracks, with `data` bytes of media behind it.
fn file(tracks: impl FnOnce(&mut Writer), data: usize) -> Bytes {
    let mut w = Writer::default();
    w.boxed(b"moov", |w| {
        w.full(b"mvhd", 0, 0, |w| w.u32s(&[0, 0, 1000, 0]));
        tracks(w);
    });
    w.boxed(b"mdat", |w| w.put(&vec![0; data]));
    w.finish()
}

fn track(w: &mut Writer, handler: &[u8; 4], lang: u32, tables: impl FnOnce(&mut Writer)) {
    w.boxed(b"trak", |w| {
        w.full(b"tkhd", 0, 3, |w| {
            w.u32s(&[0, 0, 1, 0, 0, 0, 0, 0, 0]);
            w.u32s(&[0x0001_0000, 0, 0, 0, 0x0001_0000, 0, 0, 0, 0x4000_0000]);
            w.u32s(&[640 << 16, 360 << 16]);
        });
        w.boxed(b"mdia", |w| {
            w.full(b"mdhd", 0, 0, |w| w.u32s(&[0, 0, if handler == b"vide" { 24 } else { 48_000 }, 0, lang << 16]));
            w.full(b"hdlr", 0, 0, |w| {
                w.u32(0);
                w.put(handler);
            });
            w.boxed(b"minf", |w| w.boxed(b"stbl", tables));
        });
    });
}

/// The tables of a picture, and what they are told to be: each is as a good file has it unless it is named here.
#[derive(Default)]
struct Tables {
    stts: Vec<u32>,
    ctts: Vec<u32>,
    stsc: Vec<u32>,
    stss: Vec<u32>,
    stsz: Vec<u32>,
    stco: Vec<u32>,
}

impl Tables {
    fn write(self, w: &mut Writer, stsd: &Bytes) {
        w.put(stsd);
        let mut table = |kind: &[u8; 4], words: Vec<u32>, usual: &[u32]| {
            let words = if words.is_empty() { usual } else { &words };
            if !words.is_empty() {
                w.full(kind, 0, 0, |w| w.u32s(words));
            }
        };
        table(b"stts", self.stts, &[1, u32::MAX, 1]);
        table(b"ctts", self.ctts, &[]);
        table(b"stss", self.stss, &[]);
        table(b"stsc", self.stsc, &[1, 1, u32::MAX, 1]);
        table(b"stsz", self.stsz, &[1, 100]);
        table(b"stco", self.stco, &[1, 0]);
    }
}

fn picture(tables: Tables, data: usize) -> Bytes {
    let stsd = crate::media::moov::tests::avc((640, 360)).stsd();
    file(|w| track(w, b"vide", 0, |w| tables.write(w, &stsd)), data)
}

/// A table that counts its entries, each of the same words.
fn table(bytes: usize, words: &[u32]) -> Vec<u32> {
    let count = bytes / (4 * words.len());
    std::iter::once(number(count)).chain(words.iter().copied().cycle().take(count * words.len())).collect()
}

#[test]
fn boxes_within_boxes_cost_no_more_than_their_bytes() {
    for kind in [b"moov", b"trak", b"moof", b"free"] {
        check(|bytes| {
            let all = bytes / 8;
            let mut w = Writer::default();
            (0..all).for_each(|depth| {
                w.u32(number((all - depth) * 8));
                w.put(if depth == 0 && kind == b"trak" { b"moov" } else { kind });
            });
            w.finish()
        });
    }
}

#[test]
fn boxes_beside_boxes_cost_no_more_than_their_bytes() {
    let many = |w: &mut Writer, kind: &[u8; 4], count| (0..count).for_each(|_| w.boxed(kind, |_| {}));
    for kind in [b"free", b"moof", b"mdat", b"trak"] {
        check(|bytes| {
            let mut w = Writer::default();
            many(&mut w, kind, bytes / 8);
            w.finish()
        });
        check(|bytes| file(|w| many(w, kind, bytes / 8), 0));
        check(|bytes| file(|w| track(w, b"vide", 0, |w| many(w, kind, bytes / 8)), 0));
    }
}

#[test]
fn tables_of_nothing_cost_no_more_than_their_bytes() {
    let none = |bytes: usize| table(bytes, &[0, 1]);
    check(|bytes| picture(Tables { stts: none(bytes), ..Tables::default() }, 100));
    check(|bytes| picture(Tables { ctts: none(bytes), ..Tables::default() }, 100));
    check(|bytes| picture(Tables { stss: table(bytes, &[1]), ..Tables::default() }, 100));
    let falling = |bytes: usize| std::iter::once(number(bytes / 4)).chain((1..=number(bytes / 4)).rev()).collect();
    check(|bytes| picture(Tables { stss: falling(bytes), ..Tables::default() }, 100));
    // Chunks that hold no sample, and runs of chunks that all begin at the first.
    check(|bytes| {
        let (stsc, stco) = (vec![1, 1, 0, 1], table(bytes, &[0]));
        picture(Tables { stsc, stco, ..Tables::default() }, 100)
    });
    check(|bytes| picture(Tables { stsc: table(bytes, &[1, 0, 1]), ..Tables::default() }, 100));
    check(|bytes| {
        picture(Tables { stsc: table(bytes, &[1, 1, 1]), stco: table(bytes, &[0]), ..Tables::default() }, 100)
    });
}

#[test]
fn samples_that_nothing_tells_apart_cost_no_more_than_the_bytes_that_they_would_have() {
    check(|bytes| picture(Tables { stsz: vec![1, number(bytes)], ..Tables::default() }, bytes));
    check(|bytes| picture(Tables { stsz: vec![1, u32::MAX], ..Tables::default() }, bytes));
    let stsd = Aac { low_complexity: true, sample_rate: 48_000, channels: 2 }.stsd();
    let video = crate::media::moov::tests::avc((640, 360)).stsd();
    // Sounds in so many languages that all claim the same bytes: eight are looked at, and no more.
    check(|bytes| {
        let tables = |stsz| Tables { stsz, stts: vec![1, u32::MAX, 1024], ..Tables::default() };
        let sounds = |w: &mut Writer| {
            let pictures = Tables { stsz: vec![1, 48], ..Tables::default() };
            track(w, b"vide", 0, |w| pictures.write(w, &video));
            for lang in 0..200 {
                track(w, b"soun", 0x15C7 + lang, |w| tables(vec![8, number(bytes / 16)]).write(w, &stsd));
            }
        };
        file(sounds, bytes)
    });
}

/// A fragment header with so many runs of each of `tracks`, and no media.
fn fragment(w: &mut Writer, tracks: std::ops::Range<u32>, runs: usize) {
    w.boxed(b"moof", |w| {
        for track in tracks {
            w.boxed(b"traf", |w| {
                w.full(b"tfhd", 0, 0x02_0000, |w| w.u32(track));
                (0..runs).for_each(|_| w.full(b"trun", 0, 0, |w| w.u32(1)));
            });
        }
    });
    w.boxed(b"mdat", |_| {});
}

#[test]
fn fragments_of_ever_new_tracks_cost_no_more_than_their_bytes() {
    for runs in [1, 500] {
        check(|bytes| {
            let mut w = Writer::default();
            let per_moof = number(1000 / runs);
            for moof in 0..number(bytes) / (per_moof * (24 + 16 * number(runs))) {
                fragment(&mut w, moof * per_moof..(moof + 1) * per_moof, runs);
            }
            w.finish()
        });
    }
}

#[test]
fn descriptions_of_ever_more_tracks_cost_no_more_than_their_bytes() {
    // Each fragment header is held against all of them.
    for count in [60, 1000] {
        let stsd = super::tests::aac_stsd();
        let tracks = (1..=count).map(|id| NewTrack {
            id,
            kind: TrackKind::Audio,
            timescale: 48_000,
            size: (0, 0),
            lang: Lang::UND,
            stsd: stsd.clone(),
        });
        let mut w = Writer::default();
        w.put(&write_init(&tracks.collect::<Vec<_>>()));
        (0..LARGE / 40_000).for_each(|_| fragment(&mut w, 5000..6000, 1));
        read(&w.finish());
    }
}
