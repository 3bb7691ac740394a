use proptest::prelude::*;

use super::*;
use crate::media::isobmff::{NewRun, Sample, samples, write_init, write_segment};
use crate::media::moov::{Aac, Movie, Stored, read_movie};

fn video(id: u32) -> NewTrack {
    let stsd = crate::media::moov::tests::avc((640, 360)).stsd();
    NewTrack { id, kind: TrackKind::Video, timescale: 15_360, size: (640, 360), lang: Lang::UND, stsd }
}

fn audio(id: u32) -> NewTrack {
    let stsd = Aac { low_complexity: true, sample_rate: 48_000, channels: 2 }.stsd();
    NewTrack { id, kind: TrackKind::Audio, timescale: 48_000, size: (0, 0), lang: Lang::UND, stsd }
}

/// A rendition: its initialisation segment and its segments, each with the samples of its tracks from an instant on.
fn rendition(tracks: &[NewTrack], segments: &[Vec<(u64, Vec<Sample>)>]) -> (Bytes, Vec<Bytes>) {
    let segment = |(number, runs): (u32, &Vec<(u64, Vec<Sample>)>)| {
        let runs: Vec<NewRun<'_>> = (1..)
            .zip(runs)
            .map(|(track, (starts_at, samples))| NewRun { track, starts_at: *starts_at, samples })
            .collect();
        write_segment(number, &runs)
    };
    (write_init(tracks), (1..).zip(segments).map(segment).collect())
}

fn sample(duration: u32, shown_after: i32, key: bool, data: Vec<u8>) -> Sample {
    Sample { track: 0, decoded_at: 0, shown_after, duration, key, data: data.into() }
}

/// The file, put together as whoever copies it does.
fn file(parts: &[(Bytes, Vec<Bytes>)]) -> Result<Bytes, BoxError> {
    let inits: Vec<_> = parts.iter().map(|(init, _)| (init.clone(), Lang::UND)).collect();
    let mut progressive = Progressive::new(&inits)?;
    for number in 0..parts.iter().map(|(_, segments)| segments.len()).max().unwrap_or(0) {
        for (part, (_, segments)) in parts.iter().enumerate() {
            if let Some(segment) = segments.get(number) {
                progressive.segment(part, segment, segment.len() as u64)?;
            }
        }
    }
    let layout = progressive.finish()?;
    let mut whole = layout.head.to_vec();
    for Copied { part, segment, range } in &layout.copied {
        let bytes = &parts[*part].1[usize::try_from(*segment).unwrap()];
        let place = |at: u64| usize::try_from(at).unwrap();
        whole.extend_from_slice(&bytes[place(range.start)..place(range.end)]);
    }
    assert_eq!(whole.len() as u64, layout.bytes);
    Ok(whole.into())
}

fn movie(file: &Bytes) -> Movie {
    assert_eq!(&file[4..8], b"ftyp");
    let moov = usize::try_from(u32::from_be_bytes(*file.first_chunk().unwrap())).unwrap();
    assert_eq!(&file[moov + 4..moov + 8], b"moov", "the description comes first");
    read_movie(&file.slice(moov..), file.len() as u64).unwrap()
}

/// What is told of a sample in two ways: when it is decoded after the first, when it is shown, whether it is a key, its bytes.
type Told = (u64, i128, bool, Vec<u8>);

/// What the segments say of one track.
fn of_segments((init, segments): &(Bytes, Vec<Bytes>), track: u32) -> Vec<Told> {
    let all = segments.iter().flat_map(|segment| samples(init, segment).unwrap());
    let own: Vec<Sample> = all.filter(|sample| sample.track == track).collect();
    let first = own[0].decoded_at;
    let shown = |sample: &Sample| i128::from(sample.decoded_at) + i128::from(sample.shown_after);
    own.iter().map(|s| (s.decoded_at - first, shown(s), s.key, s.data.to_vec())).collect()
}

/// What the file says of one track.
fn of_file(file: &Bytes, movie: &Movie, track: usize) -> Vec<Told> {
    let track = &movie.tracks[track];
    let (waits, from) = match track.edits[..] {
        [] => (0, 0),
        [edit] => (0, edit.from.unwrap()),
        [wait, edit] => {
            assert_eq!(wait.from, None);
            (wait.lasts, edit.from.unwrap())
        }
        _ => panic!("{:?}", track.edits),
    };
    let waits = u128::from(waits) * u128::from(track.timescale) / u128::from(movie.timescale);
    let shown = |s: &Stored| {
        i128::from(s.decoded_at) + i128::from(s.shown_after) - i128::from(from) + i128::try_from(waits).unwrap()
    };
    let data = |s: &Stored| {
        let at = usize::try_from(s.offset).unwrap();
        file[at..at + usize::try_from(s.size).unwrap()].to_vec()
    };
    let all = track.table.as_ref().unwrap().samples().map(Result::unwrap);
    all.map(|s| {
        assert!(s.shown_after >= 0, "the older form of the table knows no negative numbers");
        (s.decoded_at, shown(&s), s.key, data(&s))
    })
    .collect()
}

#[test]
fn a_picture_that_is_shown_before_it_is_decoded_is_put_right_by_an_edit() {
    let pictures = |first: u8| {
        vec![
            sample(512, 0, true, vec![first]),
            sample(512, 512, false, vec![first + 1; 2]),
            sample(512, -512, false, vec![first + 2; 3]),
        ]
    };
    let sound = || vec![sample(1024, 0, true, vec![9; 4]), sample(1024, 0, true, vec![8; 5])];
    let segments = [vec![(0, pictures(0)), (0, sound())], vec![(1536, pictures(3)), (2048, sound())]];
    let part = rendition(&[video(1), audio(2)], &segments);
    let file = file(std::slice::from_ref(&part)).unwrap();
    let movie = movie(&file);
    assert!(!movie.fragmented && movie.timescale == 15_360);
    let [picture, sound] = &movie.tracks[..] else { panic!("{:?}", movie.tracks) };
    assert_eq!((picture.shown, picture.enabled, picture.upright), ((640, 360), true, true));
    assert_eq!(picture.edits.iter().map(|edit| (edit.lasts, edit.from)).collect::<Vec<_>>(), [(3072, Some(512))]);
    assert!(sound.edits.is_empty());
    assert_eq!(of_file(&file, &movie, 0), of_segments(&part, 1));
    assert_eq!(of_file(&file, &movie, 1), of_segments(&part, 2));
    assert!(file.ends_with(&[&[3, 4, 4, 5, 5, 5][..], &[9; 4], &[8; 5]].concat()), "as in the segments, in turn");
}

#[test]
fn what_begins_late_waits_and_what_lies_between_two_segments_lengthens_the_sample_before() {
    let segments =
        [vec![(30_720, vec![sample(512, 0, true, vec![1])])], vec![(40_000, vec![sample(512, 0, true, vec![2])])]];
    let picture = rendition(&[video(1)], &segments);
    let sound = rendition(&[audio(1)], &[vec![(0, vec![sample(1024, 0, true, vec![3])])]]);
    let file = file(&[picture.clone(), sound.clone()]).unwrap();
    let movie = movie(&file);
    let edits: Vec<_> = movie.tracks[0].edits.iter().map(|edit| (edit.lasts, edit.from)).collect();
    assert_eq!(edits, [(30_720, None), (9280 + 512, Some(0))]);
    assert_eq!(of_file(&file, &movie, 0), of_segments(&picture, 1));
    assert_eq!(of_file(&file, &movie, 1), of_segments(&sound, 1));
}

#[test]
fn a_file_past_four_gigabytes_has_long_offsets_and_one_below_has_none() {
    #[track_caller]
    fn check(whole_segments: u64, long: bool) {
        let mut progressive = Progressive::new(&[(write_init(&[video(1)]), Lang::UND)]).unwrap();
        // The header of a segment whose one sample has a whole gigabyte.
        let mut header =
            write_segment(1, &[NewRun { track: 1, starts_at: 0, samples: &[sample(1, 0, true, vec![])] }]).to_vec();
        let size = header.windows(4).position(|w| w == b"trun").unwrap() + 4 + 4 + 4 + 4 + 4;
        header[size..size + 4].copy_from_slice(&(1_u32 << 30).to_be_bytes());
        let tfdt = header.windows(4).position(|w| w == b"tfdt").unwrap() + 8;
        for number in 0..whole_segments {
            header[tfdt..tfdt + 8].copy_from_slice(&number.to_be_bytes());
            progressive.segment(0, &Bytes::copy_from_slice(&header), 2 << 30).unwrap();
        }
        let layout = progressive.finish().unwrap();
        assert_eq!(layout.bytes, layout.head.len() as u64 + (whole_segments << 30));
        let moov = usize::try_from(u32::from_be_bytes(*layout.head.first_chunk().unwrap())).unwrap();
        let moov =
            moov..moov + usize::try_from(u32::from_be_bytes(*layout.head[moov..].first_chunk().unwrap())).unwrap();
        let movie = read_movie(&layout.head.slice(moov), layout.bytes).unwrap();
        let offsets: Vec<_> = movie.tracks[0]
            .table
            .as_ref()
            .unwrap()
            .samples()
            .map(|s| s.unwrap().offset - layout.head.len() as u64)
            .collect();
        assert_eq!(offsets, (0..whole_segments).map(|number| number << 30).collect::<Vec<_>>());
        assert_eq!(layout.head.windows(4).any(|w| w == b"co64"), long);
        assert_eq!(layout.head.windows(4).any(|w| w == b"stco"), !long);
    }
    check(3, false);
    check(4, true);
    check(40, true);
}

#[test]
fn what_can_not_be_one_file_is_refused() {
    let part = |at: &[u64]| {
        let segments: Vec<_> = at.iter().map(|at| vec![(*at, vec![sample(512, 0, true, vec![1])])]).collect();
        rendition(&[video(1)], &segments)
    };
    assert!(file(&[part(&[0, 512])]).is_ok());
    assert!(file(&[part(&[512, 0])]).is_err(), "time runs backwards");
    assert!(file(&[part(&[])]).is_err(), "there is nothing to see");
    assert!(file(&[]).is_err());
    let (init, segments) = part(&[0]);
    let inits = [(init, Lang::UND)];
    let whole = segments[0].len() as u64;
    let fresh = || Progressive::new(&inits).unwrap();
    assert!(fresh().segment(0, &segments[0], whole - 1).is_err(), "its data is cut off");
    assert!(fresh().segment(0, &segments[0].slice(..60), whole).is_err(), "its header is cut off");
    assert!(fresh().segment(1, &segments[0], whole).is_err());
    let mut many = fresh();
    let crowd = vec![sample(1, 0, true, vec![]); 1 << 16];
    for number in 0..u64::from(SAMPLES_MAX >> 16) {
        let run = NewRun { track: 1, starts_at: number << 16, samples: &crowd };
        let segment = write_segment(1, &[run]);
        many.segment(0, &segment, segment.len() as u64).unwrap();
    }
    let run = NewRun { track: 1, starts_at: u64::from(SAMPLES_MAX), samples: &crowd[..1] };
    let segment = write_segment(1, &[run]);
    assert!(many.segment(0, &segment, segment.len() as u64).is_err(), "there are as many as may be");
}

fn pictures() -> impl Strategy<Value = Vec<Sample>> {
    let sample = (1_u32..2000, -900_i32..900, any::<bool>(), prop::collection::vec(any::<u8>(), 0..12))
        .prop_map(|(duration, delay, key, data)| sample(duration, delay, key, data));
    prop::collection::vec(sample, 1..9)
}

fn sounds() -> impl Strategy<Value = Vec<Sample>> {
    prop::collection::vec(prop::collection::vec(any::<u8>(), 1..9), 1..9)
        .prop_map(|all| all.into_iter().map(|data| sample(1024, 0, true, data)).collect())
}

/// Segments that follow each other, each so far behind the one before.
fn placed(start: u64, all: Vec<(u64, Vec<Sample>)>) -> Vec<(u64, Vec<Sample>)> {
    let mut at = start;
    let place = |(gap, samples): (u64, Vec<Sample>)| {
        let lasts: u64 = samples.iter().map(|sample| u64::from(sample.duration)).sum();
        let begins = at + gap;
        at = begins + lasts;
        (begins, samples)
    };
    all.into_iter().map(place).collect()
}

proptest! {
    #[test]
    fn the_file_says_of_every_sample_what_the_segments_say(
        start in 0_u64..5000,
        all in prop::collection::vec(((0_u64..3, pictures()), (0_u64..3, sounds())), 1..6),
        together: bool,
    ) {
        let (seen, mut heard): (Vec<_>, Vec<_>) = all.into_iter().unzip();
        // What begins late is placed to a tick of the movie, which is the pictures' own.
        heard[0].0 = 0;
        let (seen, heard) = (placed(start, seen), placed(0, heard));
        let parts = if together {
            let segments: Vec<_> = seen.into_iter().zip(heard).map(|(seen, heard)| vec![seen, heard]).collect();
            vec![rendition(&[video(1), audio(2)], &segments)]
        } else {
            let alone = |segments: Vec<(u64, Vec<Sample>)>| segments.into_iter().map(|one| vec![one]).collect::<Vec<_>>();
            vec![rendition(&[video(1)], &alone(seen)), rendition(&[audio(1)], &alone(heard))]
        };
        let file = file(&parts).unwrap();
        let movie = movie(&file);
        prop_assert_eq!(of_file(&file, &movie, 0), of_segments(&parts[0], 1));
        let (part, track) = if together { (0, 2) } else { (1, 1) };
        prop_assert_eq!(of_file(&file, &movie, 1), of_segments(&parts[part], track));
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), len: u64, at in 0_usize..2000, value: u8) {
        let (init, segments) = rendition(&[video(1)], &[vec![(0, vec![sample(512, 0, true, vec![1, 2, 3])])]]);
        let mut progressive = Progressive::new(&[(init.clone(), Lang::UND)]).unwrap();
        let _ = progressive.segment(0, &bytes.into(), len);
        let (mut init, mut segment) = (init.to_vec(), segments[0].to_vec());
        let (i, s) = (at % init.len(), at % segment.len());
        (init[i], segment[s]) = (value, value);
        if let Ok(mut progressive) = Progressive::new(&[(init.into(), Lang::UND)]) {
            let _ = progressive.segment(0, &segment.into(), len);
            let _ = progressive.finish();
        }
    }
}
