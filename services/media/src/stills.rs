//! Pictures beside the ladder.

use bytes::Bytes;
use rend_core::artifact::{ArtifactPath, Lang, ObjectKey};
use rend_core::media::ffmpeg;
use rend_core::media::isobmff::{NewRun, NewTrack, Sample, TrackKind, write_init, write_segment};
use rend_core::media::storyboard::Storyboard;

use crate::encode::Encode;
use crate::process::PROBE_TIMEOUT;
use crate::trouble::Trouble;

impl Encode<'_> {
    /// A still, if one can be had; playback does not need it.
    pub(crate) async fn put_poster(&self) {
        let Some(args) = ffmpeg::poster(&self.plan, &self.input) else { return };
        let taken = async {
            let config = &self.attempt.worker.config;
            let run = self.attempt.start(&config.ffmpeg, &args, PROBE_TIMEOUT).await?;
            let (bytes, _) = run.output(POSTER_BYTES_MAX).await.map_err(Trouble::run)?;
            if bytes.is_empty() {
                return Ok(());
            }
            Ok::<_, Trouble>(self.attempt.shelf.put(ArtifactPath::Poster, bytes.into()).await?)
        };
        if let Err(trouble) = taken.await {
            tracing::warn!(asset = %self.attempt.shelf.asset, ?trouble, "no poster");
        }
    }

    /// Small stills of all of it, if they can be had; playback does not need them.
    pub(crate) async fn put_storyboard(&self) {
        if let Err(trouble) = self.storyboard().await {
            tracing::warn!(asset = %self.attempt.shelf.asset, ?trouble, "no storyboard");
        }
    }

    async fn storyboard(&self) -> Result<(), Trouble> {
        let (start, rung, made) = {
            let catalogue = self.catalogue.lock().await;
            let start = catalogue.plan().start();
            let rung = catalogue.plan().rungs.first().copied();
            (start, rung, catalogue.made(start))
        };
        let lengths: Vec<u64> = made.iter().map(|made| made.micros).collect();
        let Some(rung) = rung else { return Ok(()) };
        let Some(board) = Storyboard::over(&lengths, rung.size) else { return Ok(()) };
        let Some(track) = self.inits.lock().await.get(&start).and_then(|init| init.first(TrackKind::Video).cloned())
        else {
            return Ok(());
        };
        let (id, kind, timescale, size) = (1, TrackKind::Video, 1, track.size);
        let mut keys =
            write_init(&[NewTrack { id, kind, timescale, size, lang: Lang::UND, stsd: track.stsd }]).to_vec();
        let shelf = &self.attempt.shelf;
        for (tile, number) in board.tiles.iter().zip(0_u32..) {
            let Some(made) = made.get(tile.segment as usize) else { continue };
            let path = ArtifactPath::Segment { rendition: start, index: tile.segment };
            let (head, _) = shelf.get(&ObjectKey::artifact(shelf.asset, path), made.key_bytes).await?;
            let Some(data) = first_sample(&head) else { continue };
            let sample = Sample { track: id, decoded_at: 0, shown_after: 0, duration: 1, key: true, data };
            let run = NewRun { track: id, starts_at: number.into(), samples: &[sample] };
            keys.extend_from_slice(&write_segment(number + 1, &[run]));
        }
        let file = self.attempt.scratch.join("keys.mp4");
        tokio::fs::write(&file, keys).await.map_err(Trouble::scratch)?;
        let args = ffmpeg::storyboard(&board, &file.to_string_lossy());
        let run = self.attempt.start(&self.attempt.worker.config.ffmpeg, &args, PROBE_TIMEOUT).await?;
        let (sprite, _) = run.output(POSTER_BYTES_MAX).await.map_err(Trouble::run)?;
        if !sprite.is_empty() {
            // The index names the picture, so the picture is there first.
            shelf.put(ArtifactPath::ThumbSprite, sprite.into()).await?;
            self.put_text(ArtifactPath::ThumbTrack, board.track()).await?;
        }
        Ok(())
    }
}

const POSTER_BYTES_MAX: usize = 4 << 20;

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
