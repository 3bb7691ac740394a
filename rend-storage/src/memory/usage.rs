use async_trait::async_trait;
use rend_core::artifact::Rendition;
use rend_core::id::{AssetId, OrgId};
use rend_core::media::ladder::Tier;
use rend_core::time::Timestamp;
use rend_core::usage::{Correction, CountedHour, Lengths, Usage};

use super::{Memory, State};
use crate::StoreError;
use crate::usage::UsageLedger;

#[async_trait]
impl UsageLedger for Memory {
    async fn counted(&self, from: Timestamp, until: Timestamp) -> Result<Vec<CountedHour>, StoreError> {
        Ok(self.with(|state| {
            let hours = state.counted.values().filter(|counted| (from..until).contains(&counted.hour));
            hours.copied().collect()
        }))
    }

    async fn written(&self, hour: Timestamp) -> Result<Vec<Usage>, StoreError> {
        Ok(self.with(|state| sums(state, |_, of| of == hour)))
    }

    async fn write_count(&self, hour: &CountedHour, corrections: &[Correction]) -> Result<(), StoreError> {
        self.with(|state| {
            let what = "count of this hour";
            let pass = state.counted.get(&hour.hour).map_or(0, |counted| counted.pass);
            let key = |c: &Correction| (c.org, c.hour, c.tier, c.revision);
            if pass != hour.pass || corrections.iter().any(|c| state.corrections.contains_key(&key(c))) {
                return Err(StoreError::Conflict { what });
            }
            state.counted.insert(hour.hour, CountedHour { pass: pass + 1, ..*hour });
            state.corrections.extend(corrections.iter().map(|c| (key(c), (c.micros, hour.at))));
            Ok(())
        })
    }

    async fn usage(
        &self,
        org: OrgId,
        from: Timestamp,
        until: Timestamp,
        after: Option<(Timestamp, Tier)>,
        rows: usize,
    ) -> Result<Vec<Usage>, StoreError> {
        Ok(self.with(|state| {
            let mut found = sums(state, |whose, hour| whose == org && (from..until).contains(&hour));
            let place = |hour: Timestamp, tier: Tier| (std::cmp::Reverse(hour), tier.as_str());
            found.sort_by_key(|usage| place(usage.hour, usage.tier));
            found.retain(|usage| after.is_none_or(|(hour, tier)| place(usage.hour, usage.tier) > place(hour, tier)));
            found.truncate(rows);
            found
        }))
    }

    async fn learn_lengths(&self, asset: AssetId, rendition: Rendition, lengths: &Lengths) -> Result<(), StoreError> {
        self.with(|state| state.lengths.insert((asset, rendition), lengths.clone()));
        Ok(())
    }

    async fn lengths(&self, asset: AssetId, rendition: Rendition) -> Result<Option<Lengths>, StoreError> {
        Ok(self.with(|state| state.lengths.get(&(asset, rendition)).cloned()))
    }
}

/// The sums of what is wanted, by organisation, hour and tier.
fn sums(state: &State, wanted: impl Fn(OrgId, Timestamp) -> bool) -> Vec<Usage> {
    let mut sums: Vec<(Usage, i64)> = Vec::new();
    for ((org, hour, tier, revision), (micros, _)) in &state.corrections {
        if !wanted(*org, *hour) {
            continue;
        }
        // They come by what they correct, so those that add up stand together.
        match sums.last_mut() {
            Some((usage, sum)) if (usage.org, usage.hour, usage.tier) == (*org, *hour, *tier) => {
                *sum += micros;
                usage.revision = *revision;
            }
            _ => {
                let Some(counted) = state.counted.get(hour) else { continue };
                let (complete, at) = (counted.complete, counted.at);
                let usage = Usage { org: *org, hour: *hour, tier: *tier, revision: *revision, micros: 0, complete, at };
                sums.push((usage, *micros));
            }
        }
    }
    sums.into_iter().map(|(usage, sum)| Usage { micros: sum.max(0).cast_unsigned(), ..usage }).collect()
}
