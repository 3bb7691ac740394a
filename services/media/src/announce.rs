//! Naming what became durable, as it does.

use rend_core::artifact::{ArtifactPath, ObjectKey, Rendition};
use rend_core::asset::Move;
use tokio::sync::mpsc;

use crate::encode::{Encode, OPENER_SEGMENTS};
use crate::publish::{Made, SMALL};
use crate::trouble::Trouble;

impl Encode<'_> {
    /// Names what became durable, as it does.
    pub(crate) async fn publish(&self, mut made: mpsc::Receiver<Made>) -> Result<(), Trouble> {
        let start = self.plan.start();
        let mut playable = false;
        let mut opener = self.plan.rungs.is_empty();
        loop {
            // What an earlier attempt left is named before anything new arrives.
            for rendition in self.plan.renditions() {
                if rendition == start || playable {
                    self.name(rendition).await?;
                }
            }
            if !playable && self.catalogue.lock().await.is_listed(start) {
                playable = true;
                self.attempt.advance(Move::OpenerReady, Some(&self.plan)).await?;
            }
            if playable && !opener {
                opener = self.put_opener().await?;
            }
            let Some(first) = made.recv().await else { return Ok(()) };
            let mut catalogue = self.catalogue.lock().await;
            catalogue.add(first);
            while let Ok(more) = made.try_recv() {
                catalogue.add(more);
            }
        }
    }

    /// Puts a rendition's list if it grew, and the list of renditions if this one is new.
    async fn name(&self, rendition: Rendition) -> Result<(), Trouble> {
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
            new.then(|| catalogue.master())
        };
        match master {
            Some(master) => self.put_text(ArtifactPath::Master, master.to_string()).await,
            None => Ok(()),
        }
    }

    async fn put_opener(&self) -> Result<bool, Trouble> {
        let start = self.plan.start();
        let wanted = usize::try_from(OPENER_SEGMENTS).unwrap_or(0).min(self.plan.cuts.len());
        let Some(segments) = self.catalogue.lock().await.opener(wanted) else { return Ok(false) };
        let (init, _) = self
            .attempt
            .shelf
            .get(&ObjectKey::artifact(self.attempt.shelf.asset, ArtifactPath::Init(start)), SMALL)
            .await?;
        let whole = std::iter::once(init).chain(segments).collect::<Vec<_>>().concat();
        self.attempt.shelf.put(ArtifactPath::Opener, whole.into()).await?;
        Ok(true)
    }

    pub(crate) async fn put_text(&self, path: ArtifactPath, text: String) -> Result<(), Trouble> {
        Ok(self.attempt.shelf.put(path, text.into()).await?)
    }
}
