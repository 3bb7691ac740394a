//! Subtitles inside a source become captions, as if somebody had given them.
//!
//! What was taken is written down beside the source, a language a line: an owner who removes captions does not get them back
//! by another attempt. Captions that somebody gave are never replaced by those of the source.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use rend_core::artifact::{CaptionRef, ObjectKey};
use rend_core::asset::{CAPTIONS_MAX, CaptionKind, CaptionOrigin, CaptionRow, Move};
use rend_core::media::captions::{BYTES_MAX, Captions};
use rend_core::media::ffmpeg;
use rend_core::media::plan::RunLimit;
use rend_core::media::probe::Source;
use rend_core::media::subtitles::{Subtitle, chosen};
use rend_storage::StoreError;
use rend_storage::assets::Change;

use crate::process::Attempt;
use crate::trouble::Trouble;

impl Attempt<'_> {
    /// Has the subtitles of `source` become captions. Playback does not wait for them, and does without those that can not
    /// be read.
    pub(crate) async fn take_subtitles(&self, source: &Source, input: &Path) -> Result<(), Trouble> {
        let (wanted, _) = chosen(&source.subtitles, CAPTIONS_MAX);
        if wanted.is_empty() {
            return Ok(());
        }
        let Ok(record) = format!("{}subtitles", ObjectKey::source_prefix(self.shelf.asset)).parse::<ObjectKey>() else {
            return Ok(());
        };
        let mut taken: BTreeSet<String> = match self.shelf.get(&record, RECORD_BYTES_MAX).await {
            Ok((bytes, _)) => String::from_utf8_lossy(&bytes).lines().map(str::to_owned).collect(),
            Err(StoreError::NotFound { .. }) => BTreeSet::new(),
            Err(error) => return Err(error.into()),
        };
        for subtitle in wanted {
            if taken.contains(subtitle.lang.as_str()) {
                continue;
            }
            match self.captions_of(source, subtitle, input).await {
                Ok(captions) => self.store_captions(subtitle, &captions).await?,
                // Damaged text is no reason to try again: it is the same then.
                Err(why) => {
                    let asset = self.shelf.asset;
                    tracing::warn!(%asset, lang = %subtitle.lang, why, "subtitles of the source could not be read");
                }
            }
            taken.insert(subtitle.lang.to_string());
            let text: String = taken.iter().map(|lang| format!("{lang}\n")).collect();
            self.shelf.put_at(&record, "text/plain", text.into()).await?;
        }
        Ok(())
    }

    /// One track of subtitles, read in the jail.
    async fn captions_of(&self, source: &Source, subtitle: &Subtitle, input: &Path) -> Result<Captions, String> {
        let args = ffmpeg::subtitles(source.container, subtitle, &input.to_string_lossy());
        let config = &self.worker.config;
        let limit = RunLimit::alike(config.process_timeout.min(TIMEOUT));
        let run = self.start(&config.ffmpeg, &args, limit).await.map_err(|trouble| format!("{trouble:?}"))?;
        let (text, _) = run.output(BYTES_MAX).await.map_err(|error| error.to_string())?;
        Captions::read(&text).map_err(|bad| bad.to_string())
    }

    /// Makes captions those of their language, unless somebody gave others.
    async fn store_captions(&self, subtitle: &Subtitle, captions: &Captions) -> Result<(), Trouble> {
        let entropy = (self.worker.entropy)();
        let version = u32::from_be_bytes([entropy[0], entropy[1], entropy[2], entropy[3]]);
        let row = CaptionRow {
            captions: CaptionRef { lang: subtitle.lang, version },
            label: subtitle.lang.name(),
            kind: if subtitle.accessible { CaptionKind::Captions } else { CaptionKind::Subtitles },
            default: false,
            origin: CaptionOrigin::Original,
            cues: u32::try_from(captions.cues().len()).unwrap_or(u32::MAX),
            published: false,
        };
        // The text is there before anything says so.
        let key = ObjectKey::captions(self.shelf.asset, row.captions);
        self.shelf.put_at(&key, "text/vtt", captions.to_string().into()).await?;
        let now = self.shelf.clock.wall();
        let change = Change {
            asset: self.shelf.asset,
            expect: None,
            step: Move::StoreCaptions(row),
            fence: Some(self.lease.clone()),
            // The asset may be ready by now, and then nobody else publishes them.
            enqueue: Some(self.captions_job(now)),
            now,
        };
        match self.worker.ports.assets.advance(&change).await {
            Ok(_) => Ok(()),
            Err(error) => {
                let _ = self.shelf.objects.delete(&key).await;
                // Somebody gave captions in this language, or as many as an asset may have.
                if matches!(error, StoreError::Illegal(_)) { Ok(()) } else { Err(error.into()) }
            }
        }
    }
}

/// Bytes of the record: more than all languages have.
const RECORD_BYTES_MAX: u64 = 4096;
/// How long one track may take to be read.
const TIMEOUT: Duration = Duration::from_secs(600);
