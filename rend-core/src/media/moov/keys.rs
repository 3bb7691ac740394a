//! From where a picture can be decoded.

use bytes::Bytes;

use super::read_movie;
use crate::media::isobmff::TrackKind;

/// The instants, in microseconds from the first picture shown, at which decoding of the track of pictures with the most
/// samples can start, in order and at most [`KEYS_MAX`].
///
/// Empty when every picture is such an instant, or when the description can not be read: whoever plans by it wastes some
/// decoding without it and goes wrong never.
pub fn key_instants(moov: &Bytes, file_len: u64) -> Vec<u64> {
    let Ok(movie) = read_movie(moov, file_len) else { return Vec::new() };
    let pictures = movie.tracks.iter().filter(|track| track.kind == TrackKind::Video);
    let Some(track) = pictures.max_by_key(|track| track.table.as_ref().map_or(0, super::SampleTable::count)) else {
        return Vec::new();
    };
    let Some(table) = &track.table else { return Vec::new() };
    let begins = track.edits.iter().find_map(|edit| edit.from).unwrap_or(0);
    let (mut keys, mut all) = (Vec::new(), true);
    for sample in table.samples().map_while(Result::ok) {
        all &= sample.key;
        if sample.key && keys.len() < KEYS_MAX {
            let shown = sample.decoded_at.saturating_add_signed(sample.shown_after.into()).saturating_sub(begins);
            let us = u128::from(shown) * 1_000_000 / u128::from(track.timescale.max(1));
            keys.push(u64::try_from(us).unwrap_or(u64::MAX));
        }
    }
    if all {
        return Vec::new();
    }
    keys.sort_unstable();
    keys
}

/// Instants that are kept at most: about nine hours of pictures with one every two seconds.
pub const KEYS_MAX: usize = 16 << 10;
