//! Fragments, as an encoder writes them on a pipe and as segments hold them.

use std::collections::BTreeMap;

use bytes::{Bytes, BytesMut};

use super::boxes::{BoxError, Cursor, children, head};
use super::description::read_moov;
use super::{Init, Run, Sample};

/// What a file on a pipe turned out to hold next.
#[derive(Debug)]
pub enum Piece {
    /// The description of its tracks; comes once, first.
    Init(Init),
    /// The samples of one fragment, track by track.
    Samples(Vec<Sample>),
}

/// Takes a fragmented file apart while it arrives.
#[derive(Debug, Default)]
pub struct FragmentReader {
    pending: BytesMut,
    init: Option<Init>,
    moof: Option<Bytes>,
}

impl FragmentReader {
    /// Takes in the next bytes.
    pub fn push(&mut self, bytes: &[u8]) {
        self.pending.extend_from_slice(bytes);
    }

    /// The next piece, or `None` until more bytes arrive.
    ///
    /// # Errors
    ///
    /// [`BoxError`] when the bytes are no fragmented file; the reader is of no use then.
    pub fn next_piece(&mut self) -> Result<Option<Piece>, BoxError> {
        loop {
            let Some((kind, header, len)) = head(&self.pending)? else { return Ok(None) };
            if len > BOX_BYTES_MAX {
                return Err(BoxError("a box is too large"));
            }
            if self.pending.len() < len {
                return Ok(None);
            }
            let whole = self.pending.split_to(len).freeze();
            match &kind {
                b"moov" => {
                    let init = read_moov(&whole.slice(header..))?;
                    self.init = Some(init.clone());
                    return Ok(Some(Piece::Init(init)));
                }
                b"moof" => self.moof = Some(whole),
                b"mdat" => {
                    let moof = self.moof.take().ok_or(BoxError("media data without a fragment header"))?;
                    let init = self.init.as_ref().ok_or(BoxError("a fragment before the description"))?;
                    return Ok(Some(Piece::Samples(read_fragment(init, &moof, &whole)?)));
                }
                _ => {}
            }
        }
    }

    /// Whether bytes wait that are no whole piece: the file ended in the middle of a box.
    pub fn is_torn(&self) -> bool {
        !self.pending.is_empty() || self.moof.is_some()
    }
}

/// Reads a media segment, or its beginning up to the end of the last `moof`. The media data need not be there.
///
/// # Errors
///
/// [`BoxError`] when it is none.
pub fn read_segment(init: &Init, bytes: &Bytes) -> Result<Vec<Run>, BoxError> {
    let mut runs: Vec<Run> = Vec::new();
    // Where the run of each track is, since a forged segment may name a new one in every header.
    let mut places: BTreeMap<u32, usize> = BTreeMap::new();
    let mut at = 0;
    while let Some((kind, _, len)) = head(&bytes[at..])? {
        if &kind == b"moof" {
            let moof = bytes.get(at..at + len).ok_or(BoxError("a fragment header is cut short"))?;
            for traf in trafs(init, &bytes.slice_ref(moof))? {
                let track = traf.track;
                let duration: u64 = traf.entries.iter().map(|e| u64::from(e.duration)).sum();
                let mut decoded = traf.starts_at;
                let mut shown = i64::MAX;
                for entry in &traf.entries {
                    shown =
                        shown.min(i64::try_from(decoded).unwrap_or(i64::MAX).saturating_add(entry.shown_after.into()));
                    decoded = decoded.saturating_add(entry.duration.into());
                }
                let Some(first) = traf.entries.first() else { continue };
                let end = u64::try_from(at)
                    .unwrap_or(u64::MAX)
                    .saturating_add(traf.data_at)
                    .saturating_add(first.size.into());
                match places.get(&track).and_then(|place| runs.get_mut(*place)) {
                    Some(run) => {
                        run.duration = run.duration.saturating_add(duration);
                        run.samples += traf.entries.len() as u64;
                        run.shown_at = run.shown_at.min(shown);
                    }
                    None => {
                        places.insert(track, runs.len());
                        runs.push(Run {
                            track,
                            starts_at: traf.starts_at,
                            duration,
                            samples: traf.entries.len() as u64,
                            starts_with_key: first.key,
                            shown_at: shown,
                            first_sample_end: end,
                        });
                    }
                }
            }
        }
        at = match at.checked_add(len) {
            Some(next) if next < bytes.len() => next,
            _ => break,
        };
    }
    if runs.is_empty() { Err(BoxError("no fragment")) } else { Ok(runs) }
}

/// Bytes of one box that are taken in at most: two seconds of anything Rend encodes are far below.
pub const BOX_BYTES_MAX: usize = 256 << 20;
/// The flag of a sample at which decoding can not start.
const NOT_SYNC: u32 = 0x0001_0000;

/// One track's part of a fragment, before its data is looked at.
pub(super) struct Traf {
    pub(super) track: u32,
    pub(super) starts_at: u64,
    /// Where its data begins, counted from the start of the `moof`.
    pub(super) data_at: u64,
    pub(super) entries: Vec<Entry>,
}

pub(super) struct Entry {
    pub(super) duration: u32,
    pub(super) size: u32,
    pub(super) key: bool,
    pub(super) shown_after: i32,
}

pub(super) fn trafs(init: &Init, moof: &Bytes) -> Result<Vec<Traf>, BoxError> {
    let (_, header, _) = head(moof)?.ok_or(BoxError("no fragment header"))?;
    let mut out = Vec::new();
    // Without an offset of its own, a run's data follows that of the run before.
    let mut follows = moof.len() as u64 + 8;
    let mut left = moof.len();
    for traf in children(&moof.slice(header..))?.iter().filter(|b| &b.kind == b"traf") {
        let parts = children(&traf.body)?;
        let part = |kind: &[u8; 4]| parts.iter().find(|b| &b.kind == kind).map(|b| Cursor(b.body.clone()));
        let mut tfhd = part(b"tfhd").ok_or(BoxError("a run has no header"))?;
        let flags = tfhd.u32()? & 0xFF_FFFF;
        let track = tfhd.u32()?;
        let (mut duration, mut size, mut sample_flags) = init.track(track).map_or((0, 0, 0), |t| t.defaults);
        if flags & 0x1 != 0 {
            return Err(BoxError("absolute offsets"));
        }
        if flags & 0x2 != 0 {
            tfhd.skip(4)?;
        }
        if flags & 0x8 != 0 {
            duration = tfhd.u32()?;
        }
        if flags & 0x10 != 0 {
            size = tfhd.u32()?;
        }
        if flags & 0x20 != 0 {
            sample_flags = tfhd.u32()?;
        }
        let starts_at = match part(b"tfdt") {
            Some(mut tfdt) => {
                let long = tfdt.u32()? >> 24 == 1;
                if long { tfdt.u64()? } else { tfdt.u32()?.into() }
            }
            None => 0,
        };
        let mut entries = Vec::new();
        let mut data_at = None;
        for trun in parts.iter().filter(|b| &b.kind == b"trun") {
            let mut c = Cursor(trun.body.clone());
            let flags = c.u32()?;
            let count = usize::try_from(c.u32()?).unwrap_or(usize::MAX);
            let at = if flags & 0x1 != 0 { u64::from(c.u32()?) } else { follows };
            let first_flags = if flags & 0x4 != 0 { Some(c.u32()?) } else { None };
            let width: usize = [0x100, 0x200, 0x400, 0x800].iter().filter(|bit| flags & **bit != 0).count() * 4;
            // Where nothing is said of each sample, a count costs its writer nothing, and so it may not cost us more than
            // the header it stands in.
            left = left.checked_sub(count).ok_or(BoxError("a run counts more samples than its header has bytes"))?;
            if width.saturating_mul(count) > c.0.len() {
                return Err(BoxError("a run counts more samples than it holds"));
            }
            data_at.get_or_insert(at);
            follows = at;
            for index in 0..count {
                let duration = if flags & 0x100 != 0 { c.u32()? } else { duration };
                let size = if flags & 0x200 != 0 { c.u32()? } else { size };
                let own = if flags & 0x400 != 0 { c.u32()? } else { sample_flags };
                let own = first_flags.filter(|_| index == 0).unwrap_or(own);
                let shown_after = if flags & 0x800 != 0 { c.u32()?.cast_signed() } else { 0 };
                follows = follows.saturating_add(size.into());
                entries.push(Entry { duration, size, key: own & NOT_SYNC == 0, shown_after });
            }
        }
        out.push(Traf { track, starts_at, data_at: data_at.unwrap_or(follows), entries });
    }
    Ok(out)
}

fn read_fragment(init: &Init, moof: &Bytes, mdat: &Bytes) -> Result<Vec<Sample>, BoxError> {
    let mut samples = Vec::new();
    for traf in trafs(init, moof)? {
        let mut at = usize::try_from(traf.data_at)
            .ok()
            .and_then(|at| at.checked_sub(moof.len()))
            .ok_or(BoxError("data outside its fragment"))?;
        let mut decoded_at = traf.starts_at;
        for entry in traf.entries {
            let end = at.saturating_add(usize::try_from(entry.size).unwrap_or(usize::MAX));
            let data = mdat.get(at..end).ok_or(BoxError("a sample reaches past its data"))?;
            samples.push(Sample {
                track: traf.track,
                decoded_at,
                shown_after: entry.shown_after,
                duration: entry.duration,
                key: entry.key,
                data: mdat.slice_ref(data),
            });
            decoded_at = decoded_at.saturating_add(entry.duration.into());
            at = end;
        }
    }
    Ok(samples)
}
