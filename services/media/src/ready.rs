//! The end of an attempt: every list is ended, measured and checked.

use rend_core::artifact::ArtifactPath;
use rend_core::asset::Move;
use rend_core::job::{ErrorClass, JobError};
use rend_core::media::damage::{Damage, Decoded};
use rend_core::media::plan::Route;
use rend_core::media::probe::{Cadence, Reject};

use crate::encode::{Encode, Fault, SoundsEnd, UnitEnd};
use crate::trouble::Trouble;
use crate::verify::Expected;

impl Encode<'_> {
    /// Ends every list, measures, checks, and calls the asset ready.
    pub(crate) async fn finish(&self, ends: &[UnitEnd], heard: &SoundsEnd, faults: &[Fault]) -> Result<(), Trouble> {
        let prefix = self.settle(faults).await?;
        let is_damaged = match self.damage(ends, heard).await? {
            Damage::None => false,
            Damage::Some => true,
            Damage::Spoilt(reject) => return Err(self.attempt.spoilt(reject)),
        };
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
        let mut rendered = Vec::new();
        let now = self.attempt.shelf.clock.mono();
        for sound in &plan.sounds {
            let list = catalogue.media(sound.rendition, true);
            let (bandwidth, _) = catalogue.measure(sound.rendition);
            catalogue.put_list(sound.rendition, &list, now);
            self.put_text(ArtifactPath::Variant(sound.rendition), list.to_string()).await?;
            rendered.push((sound.rendition, bandwidth));
        }
        for (place, rendition) in plan.renditions().iter().enumerate() {
            let list = catalogue.media(*rendition, true);
            let (bandwidth, _) = catalogue.measure(*rendition);
            catalogue.put_list(*rendition, &list, now);
            self.put_text(ArtifactPath::Variant(*rendition), list.to_string()).await?;
            if place < rend_core::media::plan::IFRAME_LISTS && !plan.rungs.is_empty() {
                let keys = catalogue.iframes(*rendition);
                self.put_text(ArtifactPath::IFrames(*rendition), keys.to_string()).await?;
            }
            self.put_text(ArtifactPath::Master, catalogue.master().to_string()).await?;
            rendered.push((*rendition, bandwidth));
        }
        let shown = catalogue.shown(&catalogue.master());
        drop(catalogue);
        let expected = Expected::of(&plan, &ends.iter().map(|end| (end.unit, end.frames)).collect::<Vec<_>>(), torn);
        let (checked, ()) = tokio::join!(self.attempt.check(&expected), self.put_storyboard());
        checked?;
        for (rendition, bandwidth) in &rendered {
            let ready = Move::RenditionReady { rendition: *rendition, bandwidth: *bandwidth };
            self.attempt.advance(ready, None).await?;
        }
        let short = made + SHORT_US_MAX.max(plan.source.duration_us / 50) < plan.source.duration_us;
        let empty = ends.iter().filter(|end| end.frames == 0).map(|end| end.unit).next();
        let broken = plan.source.video.as_ref().is_some_and(|video| video.cadence == Cadence::Broken);
        let degraded = short || torn || broken || is_damaged || empty.is_some();
        self.attempt.advance(Move::HlsReady { degraded }, Some(&shown)).await?;
        tracing::info!(asset = %self.attempt.shelf.asset, degraded, "ready");
        Ok(())
    }

    /// How damaged the source is, by all that was said while it was decoded. The pictures of a film count, and without any
    /// the sound; a film whose sound alone is damaged plays.
    async fn damage(&self, ends: &[UnitEnd], heard: &SoundsEnd) -> Result<Damage, Trouble> {
        let pictures = ends.iter().fold(Decoded::default(), |all, end| all.and(end.decoded));
        let mut complaints = heard.complaints + heard.decoded.bad + ends.iter().map(|end| end.complaints).sum::<u64>();
        let is_film = self.plan.source.video.is_some();
        if self.plan.route == Route::Passthrough
            && self.attempt.damage(&self.plan, false, &self.input).await? != Damage::None
        {
            complaints += 1;
        }
        let (frames, bad) = (pictures.frames, pictures.bad);
        tracing::debug!(asset = %self.attempt.shelf.asset, frames, bad, complaints, "decoded");
        Ok(if is_film { pictures } else { heard.decoded }.damage(complaints))
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
}

/// A result shorter than its source by more than this, or by a fiftieth, was made of a damaged source.
const SHORT_US_MAX: u64 = 1_000_000;
