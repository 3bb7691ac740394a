//! Naming what became durable, as it does; and no longer naming what is given up.

use bytes::Bytes;
use rend_core::artifact::{ArtifactPath, ObjectKey, Rendition};
use rend_core::asset::{Failure, Move};
use rend_core::job::JobError;
use rend_core::media::isobmff::join;
use tokio::sync::mpsc;

use crate::encode::{Encode, OPENER_SEGMENTS, torn};
use crate::publish::SMALL;
use crate::trouble::Trouble;

impl Encode<'_> {
    /// Names what became durable, as it does.
    pub(crate) async fn publish(&self, mut nudged: mpsc::Receiver<()>) -> Result<(), Trouble> {
        let mut playable = false;
        let mut opener = self.plan.rungs.is_empty();
        loop {
            // What an earlier attempt left is named before anything new arrives.
            let plan = self.catalogue.lock().await.plan().clone();
            let start = plan.start();
            for sound in &plan.sounds {
                self.name(sound.rendition).await?;
            }
            for rendition in plan.renditions() {
                if rendition == start || playable {
                    self.name(rendition).await?;
                }
            }
            if !playable && self.catalogue.lock().await.is_listed(start) {
                playable = true;
                self.attempt.advance(self.attempt.opener_ready(), Some(&plan)).await?;
            }
            if playable && !opener {
                opener = self.put_opener(start).await?;
            }
            if nudged.recv().await.is_none() {
                return Ok(());
            }
        }
    }

    /// Puts a rendition's list if it grew, and the list of renditions if this one is new.
    async fn name(&self, rendition: Rendition) -> Result<(), Trouble> {
        let _naming = self.naming.lock().await;
        let now = self.attempt.shelf.clock.mono();
        let (list, new) = {
            let mut catalogue = self.catalogue.lock().await;
            (catalogue.grown(rendition, now), !catalogue.is_listed(rendition))
        };
        let Some(list) = list else { return Ok(()) };
        self.put_text(ArtifactPath::Variant(rendition), list.to_string()).await?;
        let master = {
            let mut catalogue = self.catalogue.lock().await;
            catalogue.put_list(rendition, &list, now);
            Some(catalogue.master()).filter(|master| new && !master.variants.is_empty())
        };
        match master {
            Some(master) => self.put_text(ArtifactPath::Master, master.to_string()).await,
            None => Ok(()),
        }
    }

    /// Goes on without a rung. The last one is not given up: its error is the attempt's.
    pub(crate) async fn give_up(&self, rendition: Rendition, error: &JobError) -> Result<(), Trouble> {
        let _naming = self.naming.lock().await;
        let (listed, master) = {
            let mut catalogue = self.catalogue.lock().await;
            if catalogue.plan().rungs.iter().all(|rung| rung.rendition == rendition) {
                return Err(Trouble::Error(error.clone()));
            }
            let listed = catalogue.is_listed(rendition);
            catalogue.lose(rendition);
            (listed, catalogue.master())
        };
        tracing::warn!(
            asset = %self.attempt.shelf.asset, %rendition, code = error.code, detail = error.detail,
            "a rung failed twice and is given up"
        );
        let failure = Failure { code: error.code.clone(), detail: error.detail.clone() };
        self.attempt.advance(Move::RenditionFailed { rendition, failure }, None).await?;
        if listed {
            // Players that know the rung already are told by its list's absence to go to another one.
            if !master.variants.is_empty() {
                self.put_text(ArtifactPath::Master, master.to_string()).await?;
            }
            let shelf = &self.attempt.shelf;
            shelf.objects.delete(&ObjectKey::artifact(shelf.asset, ArtifactPath::Variant(rendition))).await?;
        }
        Ok(())
    }

    async fn put_opener(&self, start: Rendition) -> Result<bool, Trouble> {
        let wanted = usize::try_from(OPENER_SEGMENTS).unwrap_or(0).min(self.plan.cuts.len());
        if self.catalogue.lock().await.prefix(start) < wanted {
            return Ok(false);
        }
        let shelf = &self.attempt.shelf;
        let heard = self.catalogue.lock().await.plan().sounds.first().map(|sound| sound.rendition);
        let mut parts = Vec::new();
        for rendition in std::iter::once(start).chain(heard) {
            let (init, _) = shelf.get(&ObjectKey::artifact(shelf.asset, ArtifactPath::Init(rendition)), SMALL).await?;
            let mut segments = Vec::new();
            for index in 0..u32::try_from(wanted).unwrap_or(OPENER_SEGMENTS) {
                let path = ArtifactPath::Segment { rendition, index };
                segments.push(shelf.get(&ObjectKey::artifact(shelf.asset, path), OPENER_BYTES_MAX).await?.0);
            }
            parts.push((init, segments));
        }
        shelf.put(ArtifactPath::Opener, opener(&parts)?).await?;
        Ok(true)
    }

    pub(crate) async fn put_text(&self, path: ArtifactPath, text: String) -> Result<(), Trouble> {
        Ok(self.attempt.shelf.put(path, text.into()).await?)
    }
}

/// The first segments as one file: as they are where there is nothing to put together.
pub(crate) fn opener(parts: &[(Bytes, Vec<Bytes>)]) -> Result<Bytes, Trouble> {
    match parts {
        [(init, segments)] => {
            let whole: Vec<&[u8]> = std::iter::once(init).chain(segments).map(AsRef::as_ref).collect();
            Ok(whole.concat().into())
        }
        several => join(several).map_err(torn),
    }
}

/// Bytes of one of the opener's segments at most. No encoder of ours spends a hundredth of it on two seconds.
const OPENER_BYTES_MAX: u64 = 256 << 20;
