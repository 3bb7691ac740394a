//! What an earlier attempt left behind.

use std::sync::Arc;

use bytes::Bytes;
use rend_core::artifact::{ArtifactPath, ObjectKey, Rendition};
use rend_core::media::isobmff::{Init, TrackKind, read_init, read_segment};
use rend_core::media::plan::{Cut, Plan};
use rend_storage::StoreError;

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
                let Some(path) = key.as_str().strip_prefix(&prefix).and_then(|p| p.parse::<ArtifactPath>().ok()) else {
                    continue;
                };
                if !same {
                    self.shelf.objects.delete(key).await?;
                } else if let ArtifactPath::Init(rendition) = path {
                    if let Ok(init) = read_init(&self.shelf.get(key, SMALL).await?.0) {
                        catalogue.init(rendition, init);
                    }
                } else if let ArtifactPath::Segment { rendition, index } = path {
                    segments.push((key.clone(), rendition, index));
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

/// Keys asked for at once.
const PAGE: usize = 1000;

fn read_back(plan: &Plan, init: &Init, rendition: Rendition, index: u32, bytes: &Bytes, len: u64) -> Option<Made> {
    let runs = read_segment(init, bytes).ok()?;
    let lead = init.first(TrackKind::Video).or_else(|| init.tracks.first())?;
    let run = runs.iter().find(|run| run.track == lead.id)?;
    let first = run.starts_at / u64::from(plan.grid.ticks);
    let cut = Cut { first, frames: run.duration / u64::from(plan.grid.ticks) };
    Some(Made { rendition, index, micros: plan.micros_of(&cut), bytes: len, key_bytes: run.first_sample_end })
}
