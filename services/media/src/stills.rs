//! Pictures beside the ladder.

use rend_core::artifact::ArtifactPath;
use rend_core::media::ffmpeg;

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
}

const POSTER_BYTES_MAX: usize = 4 << 20;
