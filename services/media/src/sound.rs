//! The sound of a source: encoded once, cut as every rendition needs it.

use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use rend_core::media::isobmff::{FragmentReader, Piece, Track};
use tokio::sync::watch;

use crate::runner::{Run, RunError, Said};
use crate::trouble::Trouble;

/// The frames of AAC that exist so far, kept in a scratch file.
///
/// The encoder runs ahead of what was asked for by a few seconds only: its pipe fills and it waits, so that it does not
/// take the processor from the pictures that somebody waits for.
#[derive(Clone, Debug)]
pub(crate) struct Sound {
    kept: Arc<Mutex<Kept>>,
    wanted: Arc<watch::Sender<u64>>,
    state: watch::Receiver<State>,
}

#[derive(Clone, Debug, Default)]
struct State {
    track: Option<Track>,
    frames: u64,
    ended: bool,
}

#[derive(Debug)]
struct Kept {
    file: std::fs::File,
    /// Where each frame ends in the file.
    ends: Vec<u32>,
}

/// The other end of [`Sound`]: runs the encoder.
#[derive(Debug)]
pub(crate) struct Encoder {
    kept: Arc<Mutex<Kept>>,
    wanted: watch::Receiver<u64>,
    state: watch::Sender<State>,
}

impl Sound {
    /// A place for the frames in a new file at `path`.
    pub(crate) fn open(path: &Path) -> Result<(Self, Encoder), Trouble> {
        let mut options = std::fs::File::options();
        let file = options.read(true).write(true).create(true).truncate(true).open(path).map_err(Trouble::scratch)?;
        let kept = Arc::new(Mutex::new(Kept { file, ends: Vec::new() }));
        let (wanted, wanted_by) = watch::channel(0);
        let (state, state_of) = watch::channel(State::default());
        let encoder = Encoder { kept: kept.clone(), wanted: wanted_by, state };
        Ok((Self { kept, wanted: Arc::new(wanted), state: state_of }, encoder))
    }

    /// How the track is described, once the encoder has said so.
    pub(crate) async fn track(&self) -> Result<Track, Trouble> {
        let mut state = self.state.clone();
        self.want(0);
        let state = state.wait_for(|s| s.track.is_some() || s.ended).await.map_err(|_| Trouble::sound_lost())?;
        state.track.clone().ok_or_else(Trouble::sound_lost)
    }

    /// Frames `from..to`, as many of them as there are in the end.
    pub(crate) async fn frames(&self, from: u64, to: u64) -> Result<Vec<Bytes>, Trouble> {
        let mut state = self.state.clone();
        self.want(to);
        let there =
            state.wait_for(|s| s.frames >= to || s.ended).await.map_err(|_| Trouble::sound_lost())?.frames.min(to);
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.read(from, there).map_err(Trouble::scratch)
    }

    /// Has the encoder run to its end.
    pub(crate) fn want_all(&self) {
        self.want(u64::MAX - READ_AHEAD);
    }

    /// How many frames there are in all, once that is known.
    pub(crate) async fn total(&self) -> Result<u64, Trouble> {
        self.want_all();
        let mut state = self.state.clone();
        Ok(state.wait_for(|s| s.ended).await.map_err(|_| Trouble::sound_lost())?.frames)
    }

    fn want(&self, frames: u64) {
        self.wanted.send_if_modified(|wanted| {
            let more = *wanted < frames + READ_AHEAD;
            *wanted = (*wanted).max(frames + READ_AHEAD);
            more
        });
    }
}

impl Encoder {
    /// Reads what `run` encodes until its end.
    pub(crate) async fn drive(mut self, mut run: Run) -> Result<Said, RunError> {
        let mut reader = FragmentReader::default();
        let mut primed = false;
        loop {
            let have = self.state.borrow().frames;
            if self.wanted.wait_for(|wanted| *wanted > have).await.is_err() {
                // Nobody is left who could want more.
                return Ok(Said::default());
            }
            let Some(chunk) = run.read().await? else { break };
            reader.push(&chunk);
            let torn = |error| RunError::Output(io::Error::other(error));
            while let Some(piece) = reader.next_piece().map_err(torn)? {
                match piece {
                    Piece::Init(init) => {
                        let track = init.tracks.into_iter().next();
                        self.state.send_modify(|state| state.track = track);
                    }
                    Piece::Samples(samples) => {
                        // The first frame holds what the encoder needs before the first instant, and is not heard.
                        let skip = usize::from(!primed && !samples.is_empty());
                        primed |= skip == 1;
                        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
                        for sample in &samples[skip..] {
                            kept.push(&sample.data).map_err(RunError::Output)?;
                        }
                        let frames = kept.ends.len() as u64;
                        drop(kept);
                        self.state.send_modify(|state| state.frames = frames);
                    }
                }
            }
        }
        let said = run.finish().await;
        // Damaged sound may end early; what there is of it is heard.
        self.state.send_modify(|state| state.ended = true);
        said
    }
}

impl Kept {
    fn push(&mut self, frame: &[u8]) -> io::Result<()> {
        let start = self.ends.last().copied().unwrap_or(0);
        let end = u32::try_from(frame.len()).ok().and_then(|len| start.checked_add(len));
        let end = end.ok_or_else(|| io::Error::other("more sound than fits"))?;
        self.file.seek(SeekFrom::Start(start.into()))?;
        self.file.write_all(frame)?;
        self.ends.push(end);
        Ok(())
    }

    fn read(&mut self, from: u64, to: u64) -> io::Result<Vec<Bytes>> {
        let end_of = |frame: u64| {
            let index = usize::try_from(frame).unwrap_or(usize::MAX);
            if index == 0 { 0 } else { self.ends.get(index - 1).copied().unwrap_or(0) }
        };
        if from >= to {
            return Ok(Vec::new());
        }
        let (start, end) = (end_of(from), end_of(to));
        let mut bytes = vec![0; usize::try_from(end.saturating_sub(start)).unwrap_or(0)];
        let lens: Vec<u32> = (from..to).map(|frame| end_of(frame + 1) - end_of(frame)).collect();
        self.file.seek(SeekFrom::Start(start.into()))?;
        self.file.read_exact(&mut bytes)?;
        let mut all = Bytes::from(bytes);
        Ok(lens.into_iter().map(|len| all.split_to(usize::try_from(len).unwrap_or(0))).collect())
    }
}

/// Frames that the encoder may be ahead: about four seconds.
const READ_AHEAD: u64 = 188;
