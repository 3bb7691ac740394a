use proptest::prelude::*;

use super::*;
use crate::media::check::{Rendered, renditions};
use crate::media::isobmff::read_segment;
use crate::media::isobmff::write::Writer;
use crate::media::ladder::LadderPolicy;
use crate::media::moov::Aac;
use crate::media::plan::Policy;
use crate::media::probe::Limits;

/// A made-up file: its description, and its samples as one stretch of bytes.
#[derive(Clone, Debug)]
struct Made {
    /// Frames in each group, and whether the pictures within are shown in another order than they are decoded.
    groups: Vec<usize>,
    mixed: bool,
    /// Ticks of 1/24 s that the sound is late, and its frames.
    sound: Option<(u32, usize)>,
    /// The languages of its sounds, which are all the same otherwise.
    langs: Vec<&'static str>,
    matrix: [u32; 9],
    edits: Vec<(u32, i32)>,
    picture_bytes: u32,
    /// The first group after which the key frame is shown too late.
    open_at: Option<usize>,
    shown: (u16, u16),
}

const UPRIGHT: [u32; 9] = [0x0001_0000, 0, 0, 0, 0x0001_0000, 0, 0, 0, 0x4000_0000];
const TURNED: [u32; 9] = [0, 0x0001_0000, 0, 0xFFFF_0000, 0, 0, 0x0168_0000, 0, 0x4000_0000];

impl Default for Made {
    fn default() -> Self {
        Self {
            groups: vec![48; 6],
            mixed: true,
            sound: Some((0, 563)),
            langs: vec!["und"],
            matrix: UPRIGHT,
            edits: vec![(12_000, 2)],
            picture_bytes: 60,
            open_at: None,
            shown: (640, 360),
        }
    }
}

impl Made {
    fn frames(&self) -> usize {
        self.groups.iter().sum()
    }

    /// Each picture's delay: mixed ones go key, third, second, fifth, fourth, …
    fn delays(&self) -> Vec<u32> {
        let mut all = Vec::new();
        for (number, group) in self.groups.iter().enumerate() {
            let open = self.open_at == Some(number);
            for index in 0..*group {
                let last_alone = group.is_multiple_of(2) && index + 1 == *group;
                let delay = match (self.mixed, index) {
                    (false, _) => 0,
                    (true, 0) => 2 + u32::from(open),
                    (true, 1) if open => 1,
                    _ if last_alone => 2,
                    (true, index) if index % 2 == 1 => 3,
                    (true, _) => 1,
                };
                all.push(delay);
            }
        }
        all
    }

    fn data(&self) -> Vec<u8> {
        let mut bytes = vec![0xEE; 100];
        for group in &self.groups {
            for index in 0..*group {
                let at = bytes.len();
                bytes.extend_from_slice(&(self.picture_bytes - 4).to_be_bytes());
                bytes.push(if index == 0 { 0x65 } else { 0x41 });
                bytes.resize(at + self.picture_bytes as usize, u8::try_from(at % 251).unwrap());
            }
        }
        if let Some((_, frames)) = self.sound {
            (0..frames).for_each(|frame| bytes.extend_from_slice(&[u8::try_from(frame % 251).unwrap(); 10]));
        }
        bytes
    }

    fn moov(&self) -> Bytes {
        let mut w = Writer::default();
        w.boxed(b"moov", |w| {
            w.full(b"mvhd", 0, 0, |w| w.u32s(&[0, 0, 1000, 0]));
            w.boxed(b"udta", |w| w.put(b"somewhere on earth"));
            self.track(w, b"vide", "und");
            for lang in self.langs.iter().filter(|_| self.sound.is_some()) {
                self.track(w, b"soun", lang);
            }
        });
        w.finish()
    }

    fn track(&self, w: &mut Writer, handler: &[u8; 4], lang: &str) {
        let packed = lang.bytes().fold(0, |packed, letter| packed << 5 | u32::from(letter - 0x60));
        let video = handler == b"vide";
        let (late, sounds) = self.sound.unwrap_or_default();
        w.boxed(b"trak", |w| {
            w.full(b"tkhd", 0, 3, |w| {
                w.u32s(&[0, 0, 1, 0, 0, 0, 0, 0, 0]);
                w.u32s(&if video { self.matrix } else { UPRIGHT });
                let shown = if video { self.shown } else { (0, 0) };
                w.u32s(&[u32::from(shown.0) << 16, u32::from(shown.1) << 16]);
            });
            let edits = if video { self.edits.clone() } else { vec![(late * 1000 / 24, -1), (0, 1024)] };
            w.boxed(b"edts", |w| {
                w.full(b"elst", 0, 0, |w| {
                    w.u32(u32::try_from(edits.len()).unwrap());
                    edits.iter().for_each(|(lasts, from)| w.u32s(&[*lasts, from.cast_unsigned(), 0x0001_0000]));
                });
            });
            w.boxed(b"mdia", |w| {
                w.full(b"mdhd", 0, 0, |w| w.u32s(&[0, 0, if video { 24 } else { 48_000 }, 0, packed << 16]));
                w.full(b"hdlr", 0, 0, |w| {
                    w.u32(0);
                    w.put(handler);
                });
                w.boxed(b"minf", |w| w.boxed(b"stbl", |w| self.table(w, video, u32::try_from(sounds).unwrap())));
            });
        });
    }

    fn table(&self, w: &mut Writer, video: bool, sounds: u32) {
        let frames = u32::try_from(self.frames()).unwrap();
        let (count, size, start) =
            if video { (frames, self.picture_bytes, 100) } else { (sounds, 10, 100 + frames * self.picture_bytes) };
        if video {
            w.put(&avc().stsd());
        } else {
            w.put(&Aac { low_complexity: true, sample_rate: 48_000, channels: 2 }.stsd());
        }
        w.full(b"stts", 0, 0, |w| w.u32s(&[1, count, if video { 1 } else { 1024 }]));
        if video {
            let delays = self.delays();
            w.full(b"ctts", 0, 0, |w| {
                w.u32(count);
                delays.iter().for_each(|delay| w.u32s(&[1, *delay]));
            });
            w.full(b"stss", 0, 0, |w| {
                w.u32(u32::try_from(self.groups.len()).unwrap());
                let mut at = 1;
                for group in &self.groups {
                    w.u32(at);
                    at += u32::try_from(*group).unwrap();
                }
            });
        }
        w.full(b"stsc", 0, 0, |w| w.u32s(&[1, 1, count, 1]));
        w.full(b"stsz", 0, 0, |w| w.u32s(&[size, count]));
        w.full(b"stco", 0, 0, |w| w.u32s(&[1, start]));
    }

    fn survey(&self) -> Result<Passthrough, Vec<Reason>> {
        survey(&self.moov(), self.data().len() as u64, &Limits::default(), &LadderPolicy::default())
    }
}

fn avc() -> Avc {
    crate::media::moov::tests::avc((640, 360))
}

/// Every segment of `passthrough`, made of `data`.
fn segments(passthrough: &Passthrough, data: &[u8]) -> Vec<Bytes> {
    let data = Bytes::copy_from_slice(data);
    let parts = |index| {
        let place = |at: u64| usize::try_from(at).unwrap();
        let reads = passthrough.reads(index).into_iter();
        reads.map(|range| (range.start, data.slice(place(range.start)..place(range.end)))).collect::<Vec<_>>()
    };
    (0..passthrough.len()).map(|index| passthrough.write(index, &parts(index)).unwrap()).collect()
}

fn rendered(passthrough: &Passthrough, segments: &[Bytes]) -> Rendered {
    let read = |bytes: &Bytes| (bytes.len() as u64, read_segment(passthrough.description(), bytes).unwrap());
    Rendered {
        variant: passthrough.variant(),
        media: passthrough.media(usize::MAX, true),
        init: passthrough.description().clone(),
        segments: segments.iter().map(read).collect(),
    }
}

#[track_caller]
fn check_refused(change: impl FnOnce(&mut Made), expect: Reason) {
    let mut made = Made::default();
    change(&mut made);
    assert_eq!(made.survey().map(|passthrough| passthrough.id), Err(vec![expect]));
}

#[test]
fn a_good_file_is_cut_and_described_from_its_tables_alone() {
    let made = Made::default();
    let passthrough = made.survey().unwrap();
    let list = passthrough.media(usize::MAX, true);
    assert_eq!(list.segments.iter().map(|e| e.micros / 1000).collect::<Vec<_>>(), [2000, 2000, 4000, 4000]);
    assert_eq!((passthrough.millifps, passthrough.target_secs, passthrough.duration_us), (24_000, 4, 12_000_000));
    let init = passthrough.init();
    assert!(!init.windows(9).any(|w| w == b"somewhere"));
    let segments = segments(&passthrough, &made.data());
    let first = read_segment(passthrough.description(), &segments[0]).unwrap();
    assert_eq!((first[0].shown_at, first[0].samples, first[1].starts_at), (0, 48, 0));
    assert_eq!(passthrough.warm(3).len(), 3);
    assert_eq!(passthrough.iframes().micros(), list.micros());
}

#[test]
fn sounds_in_several_languages_are_cut_beside_the_pictures() {
    let made = Made { langs: vec!["eng", "deu", "eng"], ..Made::default() };
    let passthrough = made.survey().unwrap();
    assert!(passthrough.id != Made::default().survey().unwrap().id);
    let names: Vec<_> = passthrough.renditions().iter().map(ToString::to_string).collect();
    assert_eq!(names, ["src", "a-eng", "a-deu", "a-eng-2"]);
    assert_eq!(passthrough.description().tracks.len(), 1, "the pictures are alone");
    let data = Bytes::from(made.data());
    let segments = segments(&passthrough, &data);
    assert!(renditions(&passthrough.master(false), &[rendered(&passthrough, &segments)]).is_empty());
    let master = passthrough.master(true);
    assert_eq!((master.sounds.len(), master.sounds[0].default, master.sounds[1].default), (3, true, false));
    assert_eq!(master.variants[0].codecs, format!("{},mp4a.40.2", passthrough.variant().codecs));
    assert_eq!(passthrough.warm(6)[4].to_string(), "hls/a-eng/index.m3u8");
    for voice in passthrough.voices() {
        let init = crate::media::isobmff::read_init(&voice.init()).unwrap();
        let list = passthrough.media_of(voice, usize::MAX, true);
        assert_eq!((init.tracks.len(), list.segments.len()), (1, segments.len()));
        let mut next = 0;
        for (index, start_us) in passthrough.starts_us().enumerate() {
            let place = |at: u64| usize::try_from(at).unwrap();
            let parts: Vec<_> =
                voice.reads(index).into_iter().map(|r| (r.start, data.slice(place(r.start)..place(r.end)))).collect();
            let run = read_segment(&init, &voice.write(index, &parts).unwrap()).unwrap()[0];
            assert_eq!(run.starts_at, next, "{index}");
            assert!((run.starts_at * 1_000_000 / 48_000).abs_diff(start_us) < 21_400, "{index}");
            assert_eq!(list.segments[index].micros / 10, run.duration * 100_000 / 48_000, "{index}");
            next += run.duration;
        }
        assert!(voice.write(0, &[]).is_err(), "a part is missing");
    }
    // In one language the first is heard, and the pictures have it.
    let plain = Made { langs: vec!["deu", "deu"], ..Made::default() }.survey().unwrap();
    assert_eq!((plain.voices().len(), plain.description().tracks.len()), (0, 2));
}

#[test]
fn what_would_not_play_well_is_refused_with_its_reason() {
    check_refused(|m| m.matrix = TURNED, Reason::Turned);
    check_refused(|m| m.shown = (480, 360), Reason::Shape);
    check_refused(|m| m.groups = vec![48, 200, 40], Reason::KeyFrames(8333));
    check_refused(|m| (m.groups, m.open_at) = (vec![96, 96, 96], Some(1)), Reason::KeyFrames(8000));
    check_refused(|m| m.groups = vec![1], Reason::Still);
    check_refused(|m| m.picture_bytes = 20_000, Reason::Bitrate(3840, 1600));
    check_refused(|m| m.sound = Some((0, 1000)), Reason::SoundLonger);
    check_refused(|m| m.edits = vec![(12_000, 60)], Reason::Edited);
    check_refused(|m| m.edits = vec![(6000, 2)], Reason::Edited);
    check_refused(|m| m.edits = vec![(2000, 2), (2000, 96)], Reason::Edited);
    check_refused(|m| m.edits = vec![(500, -1), (12_000, 2)], Reason::LateStart);
    let made = Made::default();
    let short = survey(&made.moov(), made.data().len() as u64 - 1, &Limits::default(), &LadderPolicy::default());
    assert_eq!(short.map(|p| p.id), Err(vec![Reason::CutShort]));
    let small = LadderPolicy { rungs: vec![], source_size: false };
    let refused = survey(&made.moov(), made.data().len() as u64, &Limits::default(), &small);
    assert_eq!(refused.map(|p| p.id), Err(vec![Reason::Ladder]));
}

#[test]
fn a_key_frame_that_is_none_is_seen_when_its_segment_is_written() {
    let made = Made::default();
    let passthrough = made.survey().unwrap();
    let mut data = made.data();
    let second = usize::try_from(passthrough.first_picture(1).unwrap().start).unwrap();
    data[second + 4] = 0x41;
    let data = Bytes::from(data);
    let whole = [(0, data.clone())];
    assert!(passthrough.write(0, &whole).is_ok());
    assert_eq!(passthrough.write(1, &whole), Err(Reason::OpenGroups));
    assert_eq!(passthrough.starts_anew(&data[second..second + 20]), Some(false));
    assert!(passthrough.write(2, &[(0, data.slice(..5000))]).is_err(), "a part is short");
}

#[test]
fn a_picture_with_parameter_sets_of_another_film_is_seen_wherever_it_is() {
    let made = Made::default();
    let passthrough = made.survey().unwrap();
    let mut data = made.data();
    let picture = &passthrough.pictures[passthrough.segments[1].pictures.start + 3];
    let at = usize::try_from(picture.offset).unwrap();
    data[at..at + 6].copy_from_slice(&[0, 0, 0, 2, 0x68, 0xEB]);
    let whole = [(0, Bytes::from(data))];
    assert!(passthrough.write(0, &whole).is_ok());
    assert_eq!(passthrough.write(1, &whole), Err(Reason::ParameterSets));
    assert!(passthrough.write(2, &whole).is_ok());
}

#[test]
fn rungs_below_are_cut_where_the_source_is() {
    let mut source = crate::media::plan::tests::source(1280, 720, 12);
    let made = Made::default();
    let passthrough = Passthrough { size: Size { width: 1280, height: 720 }, ..made.survey().unwrap() };
    let video = source.video.as_mut().unwrap();
    let rate = crate::media::probe::Rate::new(24, 1).unwrap();
    (video.rate, video.native, video.frames) = (rate, rate, Some(288));
    let Beside::Below(plan) = beside(&passthrough, &source, None, &Policy::default()) else { panic!() };
    assert_eq!(plan.rungs.iter().map(|r| r.rendition).collect::<Vec<_>>(), [Rendition::P360, Rendition::P480]);
    assert_eq!(plan.cuts.iter().map(|cut| cut.first).collect::<Vec<_>>(), [0, 48, 96, 192]);
    assert!(plan.units.iter().all(|unit| !unit.open));
    // Off its grid: a ladder of its own.
    source.video.as_mut().unwrap().cadence = crate::media::probe::Cadence::Variable;
    assert!(matches!(beside(&passthrough, &source, None, &Policy::default()), Beside::Instead(_)));
    // Nothing is smaller.
    let passthrough = Passthrough { size: Size { width: 640, height: 360 }, ..passthrough };
    assert!(matches!(beside(&passthrough, &source, None, &Policy::default()), Beside::Alone(_)));
}

fn any_made() -> impl Strategy<Value = Made> {
    let groups = proptest::collection::vec(2_usize..97, 1..20);
    (groups, any::<bool>(), proptest::option::of((0_u32..100, 0_usize..700))).prop_map(|(groups, mixed, sound)| {
        let edits = vec![(0, if mixed { 2 } else { 0 })];
        Made { groups, mixed, sound, edits, ..Made::default() }
    })
}

proptest! {
    #[test]
    fn what_is_passed_through_keeps_every_rule_and_every_picture(made in any_made()) {
        let Ok(passthrough) = made.survey() else {
            // Only a sound that goes on after the picture is a reason here.
            prop_assert!(made.sound.is_some());
            return Ok(());
        };
        let data = made.data();
        let segments = segments(&passthrough, &data);
        let broken = renditions(&passthrough.master(false), &[rendered(&passthrough, &segments)]);
        prop_assert!(broken.is_empty(), "{broken:?}");
        let mut pictures = 0;
        for (index, segment) in segments.iter().enumerate() {
            prop_assert_eq!(Some(segment.len() as u64), passthrough.bytes_of(index));
            let runs = read_segment(passthrough.description(), segment).unwrap();
            pictures += runs[0].samples;
            if let [_, sound] = runs.as_slice() {
                // Sound and pictures of a segment begin together, to within a frame of sound.
                let picture_us = runs[0].shown_at.unsigned_abs() * 1_000_000 / 24;
                let sound_us = sound.starts_at * 1_000_000 / 48_000;
                prop_assert!(sound_us.abs_diff(picture_us) < 21_400, "{sound_us} {picture_us}");
            }
        }
        prop_assert_eq!(pictures, made.frames() as u64);
        prop_assert_eq!(&passthrough.id, &made.survey().unwrap().id);
    }

    #[test]
    fn no_changed_byte_makes_the_survey_panic(at in 0_usize..4000, value in any::<u8>(), more in any::<[(u16, u8); 4]>()) {
        let made = Made { groups: vec![48, 40], sound: Some((3, 150)), ..Made::default() };
        let mut moov = made.moov().to_vec();
        let len = moov.len();
        moov[at % len] = value;
        for (at, value) in more.iter().filter(|(at, _)| at % 3 == 0) {
            moov[usize::from(*at) % len] = *value;
        }
        if let Ok(passthrough) = survey(&moov.into(), 20_000, &Limits::default(), &LadderPolicy::default()) {
            let data = Bytes::from(vec![0; 20_000]);
            for index in 0..passthrough.len() {
                prop_assert!(passthrough.reads(index).iter().all(|range| range.end <= 20_000));
                let _ = passthrough.write(index, &[(0, data.clone())]);
            }
        }
    }
}
