//! What an earlier attempt left behind.

use std::sync::Arc;

use bytes::Bytes;
use rend_core::artifact::{ArtifactPath, ObjectKey, Rendition};
use rend_core::id::AssetId;
use rend_core::media::damage::Decoded;
use rend_core::media::isobmff::{Init, TrackKind, read_init, read_segment};
use rend_core::media::plan::{Cut, Plan, SOUND_FRAME, SOUND_RATE};
use rend_storage::StoreError;

use crate::encode::UnitEnd;
use crate::process::Attempt;
use crate::publish::{Catalogue, Made, SMALL};
use crate::trouble::Trouble;

impl Attempt<'_> {
    /// Takes over what an earlier attempt at the same plan left; what another plan left is removed.
    pub(crate) async fn adopt(&self, plan: &Arc<Plan>) -> Result<Catalogue, Trouble> {
        let mut catalogue = Catalogue::new(plan.clone());
        let prefix = ObjectKey::asset_prefix(self.shelf.asset);
        let Ok(marker) = format!("{prefix}plan").parse::<ObjectKey>() else { return Ok(catalogue) };
        let earlier = match self.shelf.get(&marker, 64).await {
            Ok((bytes, _)) => Some(bytes),
            Err(StoreError::NotFound { .. }) => None,
            Err(error) => return Err(error.into()),
        };
        let same = earlier.is_some_and(|bytes| bytes == plan.id.as_bytes());
        let mut after = None;
        let mut segments = Vec::new();
        loop {
            let page = self.shelf.objects.list(&prefix, after.as_ref(), PAGE).await?;
            for key in &page {
                if !same {
                    let kept = key.as_str().strip_prefix(&prefix).is_some_and(|name| self.keeps(name));
                    if *key != marker && !kept {
                        self.shelf.objects.delete(key).await?;
                    }
                    continue;
                }
                let Some(name) = key.as_str().strip_prefix(&prefix) else { continue };
                match name.parse::<ArtifactPath>() {
                    Ok(ArtifactPath::Init(rendition)) => {
                        if let Ok(init) = read_init(&self.shelf.get(key, SMALL).await?.0) {
                            catalogue.init(rendition, init);
                        }
                    }
                    Ok(ArtifactPath::Segment { rendition, index }) => segments.push((key.clone(), rendition, index)),
                    Ok(_) => {}
                    Err(_) if name.starts_with(ENDS) => {
                        let (bytes, _) = self.shelf.get(key, RECORD_BYTES_MAX).await?;
                        if let Some(end) = UnitEnd::read(&String::from_utf8_lossy(&bytes)) {
                            catalogue.ended(end);
                        }
                    }
                    Err(_) => {}
                }
            }
            after = page.last().cloned();
            if page.len() < PAGE {
                break;
            }
        }
        if !same {
            self.shelf.put_at(&marker, "text/plain", Bytes::copy_from_slice(plan.id.as_bytes())).await?;
            return Ok(catalogue);
        }
        for (key, rendition, index) in segments {
            let Some(init) = catalogue.init_of(rendition).cloned() else { continue };
            let (bytes, len) = self.shelf.get(&key, SMALL).await?;
            let Some(made) = read_back(plan, &init, rendition, index, &bytes, len) else { continue };
            catalogue.add(made);
        }
        Ok(catalogue)
    }
}

impl UnitEnd {
    /// Where the record of a unit lies: it is written once all that the unit makes is durable, so whoever finds it need
    /// not run the unit again.
    pub(crate) fn key(asset: AssetId, unit: u32) -> Option<ObjectKey> {
        format!("{}{ENDS}{unit}", ObjectKey::asset_prefix(asset)).parse().ok()
    }

    /// The record's text: number, frames, complaints; frames that were decoded, and how many of them were bad.
    pub(crate) fn record(&self) -> String {
        let Self { unit, frames, complaints, decoded } = self;
        format!("{unit} {frames} {complaints} {} {}\n", decoded.frames, decoded.bad)
    }

    fn read(text: &str) -> Option<Self> {
        let mut numbers = text.split_whitespace().map(str::parse::<u64>);
        let mut next = || numbers.next()?.ok();
        let (unit, frames, complaints) = (u32::try_from(next()?).ok()?, next()?, next()?);
        Some(Self { unit, frames, complaints, decoded: Decoded { frames: next()?, bad: next()? } })
    }
}

/// What the records of ended units begin with, below their asset.
const ENDS: &str = "ended/";
const RECORD_BYTES_MAX: u64 = 128;
/// Keys asked for at once.
const PAGE: usize = 1000;

fn read_back(plan: &Plan, init: &Init, rendition: Rendition, index: u32, bytes: &Bytes, len: u64) -> Option<Made> {
    let runs = read_segment(init, bytes).ok()?;
    let lead = init.first(TrackKind::Video).or_else(|| init.tracks.first())?;
    let run = runs.iter().find(|run| run.track == lead.id)?;
    let cut = |ticks: u32| Cut { first: run.starts_at / u64::from(ticks), frames: run.duration / u64::from(ticks) };
    let micros = if plan.sounds.iter().any(|sound| sound.rendition == rendition) {
        let heard = cut(SOUND_FRAME);
        SOUND_RATE.micros_at(heard.end()) - SOUND_RATE.micros_at(heard.first)
    } else {
        plan.micros_of(&cut(plan.grid.ticks))
    };
    Some(Made { rendition, index, micros, bytes: len, key_bytes: run.first_sample_end })
}
