//! Pictures beside the ladder.

use std::time::Duration;

use bytes::Bytes;
use rend_core::artifact::{ArtifactPath, Lang, ObjectKey, Rendition};
use rend_core::media::ffmpeg;
use rend_core::media::isobmff::{NewRun, NewTrack, Run, Sample, Track, TrackKind, write_init, write_segment};
use rend_core::media::ladder::Size;
use rend_core::media::passthrough::Passthrough;
use rend_core::media::plan::RunLimit;
use rend_core::media::playlist::Entry;
use rend_core::media::storyboard::Storyboard;

use crate::encode::Encode;
use crate::passthrough::Passed;
use crate::process::Attempt;
use crate::trouble::Trouble;

impl Encode<'_> {
    /// A still, if one can be had; playback does not need it.
    pub(crate) async fn put_poster(&self) {
        let Some(args) = ffmpeg::poster(&self.plan, &self.input) else { return };
        let taken = async {
            let config = &self.attempt.worker.config;
            let run = self.attempt.start(&config.ffmpeg, &args, STILLS_LIMIT).await?;
            let (bytes, _) = run.output(POSTER_BYTES_MAX).await.map_err(Trouble::run)?;
            if bytes.is_empty() {
                return Ok(());
            }
            Ok::<_, Trouble>(self.attempt.shelf.put(ArtifactPath::Poster, bytes.into()).await?)
        };
        if let Err(trouble) = taken.await {
            self.attempt.does_without("a poster", trouble).await;
        }
    }

    /// Small stills of all of it, if they can be had; playback does not need them.
    pub(crate) async fn put_storyboard(&self) {
        if let Err(trouble) = self.storyboard().await {
            self.attempt.does_without("a storyboard", trouble).await;
        }
    }

    async fn storyboard(&self) -> Result<(), Trouble> {
        let (start, rung, made) = {
            let catalogue = self.catalogue.lock().await;
            let start = catalogue.plan().start();
            let rung = catalogue.plan().rungs.first().copied();
            (start, rung, catalogue.made(start))
        };
        let Some(rung) = rung else { return Ok(()) };
        let Some(track) = self.inits.lock().await.get(&start).and_then(|init| init.first(TrackKind::Video).cloned())
        else {
            return Ok(());
        };
        let stills: Vec<Still> =
            made.iter().map(|made| Still { micros: made.micros, key_bytes: made.key_bytes }).collect();
        self.attempt.storyboard(start, rung.size, &track, &stills).await
    }
}

/// A segment as far as a storyboard wants to know it.
pub(crate) struct Still {
    /// Its length in microseconds.
    pub(crate) micros: u64,
    /// The bytes of it that hold its first key frame.
    pub(crate) key_bytes: u64,
}

impl Attempt<'_> {
    /// Small stills of a source that plays as it is and has no ladder, if they can be had.
    pub(crate) async fn storyboard_of_source(&self, passed: &Passed) {
        let rendered = &passed.rendered;
        let Some(track) = rendered.init.first(TrackKind::Video) else { return };
        let still = |(entry, (_, runs)): (&Entry, &(u64, Vec<Run>))| Still {
            micros: entry.micros,
            key_bytes: runs.iter().find(|run| run.track == track.id).map_or(0, |run| run.first_sample_end),
        };
        let stills: Vec<Still> = rendered.media.segments.iter().zip(&rendered.segments).map(still).collect();
        let made = self.storyboard(Passthrough::RENDITION, passed.passthrough.size, track, &stills);
        if let Err(trouble) = made.await {
            self.does_without("a storyboard", trouble).await;
        }
    }

    /// Says that `what` could not be had, unless nobody wants it any more.
    async fn does_without(&self, what: &str, trouble: Trouble) {
        if let Ok(trouble) = self.unless_gone(trouble).await {
            tracing::warn!(asset = %self.shelf.asset, ?trouble, "it does without {what}");
        }
    }

    /// Lays the first pictures of segments side by side: `stills` tells of all segments of `rendition`, in their order.
    async fn storyboard(
        &self,
        rendition: Rendition,
        size: Size,
        track: &Track,
        stills: &[Still],
    ) -> Result<(), Trouble> {
        let lengths: Vec<u64> = stills.iter().map(|still| still.micros).collect();
        let Some(board) = Storyboard::over(&lengths, size) else { return Ok(()) };
        let (id, kind, timescale, stsd) = (1, TrackKind::Video, 1, track.stsd.clone());
        let mut keys =
            write_init(&[NewTrack { id, kind, timescale, size: track.size, lang: Lang::UND, stsd }]).to_vec();
        for (tile, number) in board.tiles.iter().zip(0_u32..) {
            let Some(still) = stills.get(tile.segment as usize) else { continue };
            let path = ArtifactPath::Segment { rendition, index: tile.segment };
            let (head, _) = self.shelf.get(&ObjectKey::artifact(self.shelf.asset, path), still.key_bytes).await?;
            let Some(data) = first_sample(&head) else { continue };
            let sample = Sample { track: id, decoded_at: 0, shown_after: 0, duration: 1, key: true, data };
            let run = NewRun { track: id, starts_at: number.into(), samples: &[sample] };
            keys.extend_from_slice(&write_segment(number + 1, &[run]));
        }
        let file = self.scratch.join("keys.mp4");
        tokio::fs::write(&file, keys).await.map_err(Trouble::scratch)?;
        let args = ffmpeg::storyboard(&board, &file.to_string_lossy());
        let run = self.start(&self.worker.config.ffmpeg, &args, STILLS_LIMIT).await?;
        let (sprite, _) = run.output(POSTER_BYTES_MAX).await.map_err(Trouble::run)?;
        if !sprite.is_empty() {
            // The index names the picture, so the picture is there first.
            self.shelf.put(ArtifactPath::ThumbSprite, sprite.into()).await?;
            self.shelf.put(ArtifactPath::ThumbTrack, board.track().into()).await?;
        }
        Ok(())
    }
}

const POSTER_BYTES_MAX: usize = 4 << 20;
/// What taking them may use: they are pictures of a few instants.
const STILLS_LIMIT: RunLimit = RunLimit { wall: Duration::from_secs(60), cpu: Duration::from_secs(60) };

/// The bytes of a segment's first sample, given the segment up to that sample's end: they follow the head of its media.
fn first_sample(head: &Bytes) -> Option<Bytes> {
    let mut at = 0;
    loop {
        let size = u32::from_be_bytes(*head.get(at..)?.first_chunk::<4>()?);
        if head.get(at + 4..at + 8)? == b"mdat" {
            return Some(head.slice(at + 8..)).filter(|data| !data.is_empty());
        }
        at += usize::try_from(size).ok().filter(|size| *size >= 8)?;
    }
}
