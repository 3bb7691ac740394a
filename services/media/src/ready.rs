//! The end of an attempt: every list is ended, measured and checked.

use futures::{StreamExt, TryStreamExt};
use rend_core::artifact::{ArtifactPath, ObjectKey, Rendition};
use rend_core::asset::Move;
use rend_core::job::{ErrorClass, JobError};
use rend_core::media::check::{self, Rendered};
use rend_core::media::isobmff::read_segment;
use rend_core::media::playlist::{Master, Media};
use rend_core::media::probe::{Cadence, Reject};

use crate::encode::{Encode, Fault, UnitEnd, no_track, torn};
use crate::publish::SMALL;
use crate::trouble::Trouble;

impl Encode<'_> {
    /// Ends every list, measures, checks, and calls the asset ready.
    pub(crate) async fn finish(&self, ends: &[UnitEnd], faults: &[Fault]) -> Result<(), Trouble> {
        let prefix = self.settle(faults).await?;
        let mut catalogue = self.catalogue.lock().await;
        let plan = catalogue.plan().clone();
        let made = catalogue.media(plan.start(), true).micros();
        if made < plan.source.duration_us / 10 {
            // So little of it decodes that calling it playable would be a joke on its owner.
            return Err(Trouble::Refused(Reject::Unreadable, String::new()));
        }
        let torn = catalogue.end_after(prefix);
        if plan.rungs.is_empty() {
            self.put_poster().await;
        }
        let mut master = Master::default();
        let mut rendered = Vec::new();
        let now = self.attempt.shelf.clock.mono();
        for (place, rendition) in plan.renditions().iter().enumerate() {
            let list = catalogue.media(*rendition, true);
            let (bandwidth, _) = catalogue.measure(*rendition);
            catalogue.put_list(*rendition, &list, now);
            self.put_text(ArtifactPath::Variant(*rendition), list.to_string()).await?;
            if place < rend_core::media::plan::IFRAME_LISTS && !plan.rungs.is_empty() {
                let keys = catalogue.iframes(*rendition);
                self.put_text(ArtifactPath::IFrames(*rendition), keys.to_string()).await?;
            }
            master = catalogue.master();
            self.put_text(ArtifactPath::Master, master.to_string()).await?;
            rendered.push((*rendition, list, bandwidth));
        }
        drop(catalogue);
        self.check(&master, &rendered).await?;
        for (rendition, _, bandwidth) in &rendered {
            let ready = Move::RenditionReady { rendition: *rendition, bandwidth: *bandwidth };
            self.attempt.advance(ready, None).await?;
        }
        let short = made + SHORT_US_MAX.max(plan.source.duration_us / 50) < plan.source.duration_us;
        let complaints: u64 = ends.iter().map(|end| end.complaints).sum();
        let empty = ends.iter().filter(|end| end.frames == 0).map(|end| end.unit).next();
        let broken = plan.source.video.as_ref().is_some_and(|video| video.cadence == Cadence::Broken);
        let degraded = short || torn || broken || complaints > 0 || empty.is_some();
        self.attempt.advance(Move::HlsReady { degraded }, Some(&plan)).await?;
        tracing::info!(asset = %self.attempt.shelf.asset, degraded, complaints, "ready");
        Ok(())
    }

    /// How many segments the asset has. Rungs that have fewer than another one are given up.
    async fn settle(&self, faults: &[Fault]) -> Result<usize, Trouble> {
        let (longest, short) = {
            let catalogue = self.catalogue.lock().await;
            let renditions = catalogue.plan().renditions();
            let longest = renditions.iter().map(|r| catalogue.prefix(*r)).max().unwrap_or(0);
            (longest, renditions.into_iter().filter(|r| catalogue.prefix(*r) < longest).collect::<Vec<_>>())
        };
        // A stretch that nothing could be made of for want of time or memory may be made yet.
        let wanting = |fault: &&Fault| fault.segments.start as usize >= longest || longest == 0;
        if let Some(fault) = faults.iter().filter(wanting).find(|fault| fault.error.class != ErrorClass::Permanent) {
            return Err(Trouble::Error(fault.error.clone()));
        }
        if longest == 0 {
            let tail = faults.first().map_or_else(String::new, |fault| fault.error.stderr_tail.clone());
            return Err(Trouble::Refused(Reject::Unreadable, tail));
        }
        for rendition in short {
            let fault = faults.iter().find(|fault| fault.rendition == rendition);
            let error = fault.map_or_else(
                || JobError {
                    class: ErrorClass::Permanent,
                    code: "encoder_failed".to_owned(),
                    detail: "it came out shorter than the others".to_owned(),
                    stderr_tail: String::new(),
                },
                |fault| fault.error.clone(),
            );
            self.give_up(rendition, &error).await?;
        }
        Ok(longest)
    }

    /// Reads back what was made and holds it against the rules.
    async fn check(&self, master: &Master, made: &[(Rendition, Media, u64)]) -> Result<(), Trouble> {
        let shelf = &self.attempt.shelf;
        let inits = self.inits.lock().await;
        let mut all = Vec::new();
        for ((rendition, media, _), variant) in made.iter().zip(&master.variants) {
            let init = inits.get(rendition).ok_or_else(no_track)?;
            let reads = (0..media.segments.len()).map(|index| async move {
                let index = u32::try_from(index).unwrap_or(u32::MAX);
                let key = ObjectKey::artifact(shelf.asset, ArtifactPath::Segment { rendition: *rendition, index });
                let (bytes, len) = shelf.get(&key, SMALL).await?;
                Ok::<_, Trouble>((len, read_segment(init, &bytes).map_err(torn)?))
            });
            let segments = futures::stream::iter(reads).buffered(CHECKS_AT_ONCE).try_collect().await?;
            all.push(Rendered { variant: variant.clone(), media: media.clone(), init: init.clone(), segments });
        }
        all.extend(self.catalogue.lock().await.top());
        let mut broken = check::text("master", &master.to_string());
        broken.extend(check::renditions(master, &all));
        match broken.first() {
            None => Ok(()),
            Some(first) => {
                let all: Vec<String> = broken.iter().map(ToString::to_string).collect();
                Err(Trouble::permanent(
                    "check_failed",
                    format!("what was made breaks a rule of HLS: {first}"),
                    all.join("\n"),
                ))
            }
        }
    }
}

/// Segments read at once for the check.
const CHECKS_AT_ONCE: usize = 8;
/// A result shorter than its source by more than this, or by a fiftieth, was made of a damaged source.
const SHORT_US_MAX: u64 = 1_000_000;
