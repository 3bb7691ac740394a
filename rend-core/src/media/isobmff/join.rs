//! Tracks that lie in files of their own, put together into one file.

use bytes::Bytes;

use super::{BoxError, FragmentReader, Init, NewRun, NewTrack, Piece, Sample, read_init, write_init, write_segment};
use crate::artifact::Lang;

/// A fragmented file with the tracks of all `parts`, each an initialisation segment and the media segments that go with it.
///
/// The first segment of the whole holds the first of every part, and so on. Parts with fewer segments end early.
///
/// # Errors
///
/// [`BoxError`] when one of them can not be read.
pub fn join(parts: &[(Bytes, Vec<Bytes>)]) -> Result<Bytes, BoxError> {
    let mut tracks = Vec::new();
    let mut readers = Vec::new();
    for (head, _) in parts {
        let init = read_init(head)?;
        let first = u32::try_from(tracks.len()).unwrap_or(u32::MAX);
        tracks.extend(init.tracks.iter().zip(first + 1..).map(|(track, id)| NewTrack {
            id,
            kind: track.kind,
            timescale: track.timescale,
            size: track.size,
            lang: Lang::UND,
            stsd: track.stsd.clone(),
        }));
        readers.push((init, first));
    }
    let mut whole = write_init(&tracks).to_vec();
    let count = parts.iter().map(|(_, segments)| segments.len()).max().unwrap_or(0);
    for number in 0..count {
        let mut runs: Vec<(u32, Vec<Sample>)> = Vec::new();
        for ((head, segments), (init, first)) in parts.iter().zip(&readers) {
            let Some(segment) = segments.get(number) else { continue };
            let samples = samples(head, segment)?;
            for (track, id) in init.tracks.iter().zip(first + 1..) {
                let own: Vec<Sample> = samples.iter().filter(|sample| sample.track == track.id).cloned().collect();
                if !own.is_empty() {
                    runs.push((id, own));
                }
            }
        }
        let runs: Vec<NewRun<'_>> = runs
            .iter()
            .map(|(track, samples)| NewRun {
                track: *track,
                starts_at: samples.first().map_or(0, |sample| sample.decoded_at),
                samples,
            })
            .collect();
        whole.extend_from_slice(&write_segment(u32::try_from(number).unwrap_or(u32::MAX).saturating_add(1), &runs));
    }
    Ok(whole.into())
}

/// The samples of one media segment, given the initialisation segment that it goes with.
///
/// # Errors
///
/// [`BoxError`] when they can not be read.
pub fn samples(init: &Bytes, segment: &Bytes) -> Result<Vec<Sample>, BoxError> {
    let mut reader = FragmentReader::default();
    reader.push(init);
    reader.push(segment);
    let mut all = Vec::new();
    while let Some(piece) = reader.next_piece()? {
        match piece {
            Piece::Init(Init { .. }) => {}
            Piece::Samples(samples) => all.extend(samples),
        }
    }
    if reader.is_torn() { Err(BoxError("a segment is cut short")) } else { Ok(all) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::isobmff::tests::{aac_stsd, avc_stsd};
    use crate::media::isobmff::{TrackKind, read_segment};

    fn part(kind: TrackKind, timescale: u32, stsd: Bytes, starts: &[u64], data: &'static [u8]) -> (Bytes, Vec<Bytes>) {
        let size = if kind == TrackKind::Video { (640, 360) } else { (0, 0) };
        let init = write_init(&[NewTrack { id: 1, kind, timescale, size, lang: Lang::UND, stsd }]);
        let sample = Sample {
            track: 1,
            decoded_at: 0,
            shown_after: 0,
            duration: timescale,
            key: true,
            data: Bytes::from_static(data),
        };
        let segment = |(number, at): (usize, &u64)| {
            let run = NewRun { track: 1, starts_at: *at, samples: std::slice::from_ref(&sample) };
            write_segment(u32::try_from(number).unwrap() + 1, &[run])
        };
        (init, starts.iter().enumerate().map(segment).collect())
    }

    #[test]
    fn a_picture_and_a_sound_in_files_of_their_own_become_one_file() {
        let picture = part(TrackKind::Video, 15_360, avc_stsd(640, 360), &[0, 15_360], b"picture");
        let sound = part(TrackKind::Audio, 48_000, aac_stsd(), &[0], b"sound");
        let whole = join(&[picture, sound]).unwrap();
        let init = read_init(&whole).unwrap();
        assert_eq!(init.tracks.iter().map(|t| (t.id, t.timescale)).collect::<Vec<_>>(), [(1, 15_360), (2, 48_000)]);
        let mut reader = FragmentReader::default();
        reader.push(&whole);
        let mut told = Vec::new();
        while let Some(piece) = reader.next_piece().unwrap() {
            if let Piece::Samples(samples) = piece {
                told.push(samples.iter().map(|s| (s.track, s.decoded_at, s.data.len())).collect::<Vec<_>>());
            }
        }
        assert_eq!(told, [vec![(1, 0, 7), (2, 0, 5)], vec![(1, 15_360, 7)]]);
        assert_eq!(read_segment(&init, &whole).unwrap().len(), 2);
    }

    #[test]
    fn a_segment_that_is_cut_short_is_told() {
        let (init, segments) = part(TrackKind::Video, 15_360, avc_stsd(640, 360), &[0], b"picture");
        let torn = segments[0].slice(..segments[0].len() - 1);
        assert!(samples(&init, &torn).is_err());
        assert!(join(&[(init, vec![torn])]).is_err());
    }
}
