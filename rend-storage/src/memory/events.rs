use async_trait::async_trait;
use rend_core::event::{Event, EventKind};
use rend_core::id::{AssetId, OrgId};
use rend_core::time::Timestamp;

use super::{Memory, State};
use crate::StoreError;
use crate::events::{EventLog, EventsOf};

impl State {
    /// Appends one event.
    pub(super) fn note(&mut self, asset: AssetId, org: OrgId, kind: EventKind, at: Timestamp) -> Event {
        let count = self.event_counts.entry(asset).or_default();
        *count += 1;
        self.event_head += 1;
        let event = Event { seq: self.event_head, asset_seq: *count, at, asset, org, kind };
        self.events.push(event.clone());
        event
    }
}

#[async_trait]
impl EventLog for Memory {
    async fn append(&self, asset: AssetId, kind: &EventKind, now: Timestamp) -> Result<Event, StoreError> {
        self.with(|state| {
            let org = state.assets.get(&asset).ok_or(StoreError::NotFound { what: "asset" })?.org;
            Ok(state.note(asset, org, kind.clone(), now))
        })
    }

    async fn after(&self, of: EventsOf, seq: u64, limit: usize) -> Result<Vec<Event>, StoreError> {
        Ok(self.with(|state| {
            let first = state.events.partition_point(|event| event.seq <= seq);
            let wanted = state.events[first..].iter().filter(|event| match of {
                EventsOf::Asset(asset) => event.asset == asset,
                EventsOf::Org(org) => event.org == org,
            });
            wanted.take(limit).cloned().collect()
        }))
    }

    async fn head(&self) -> Result<u64, StoreError> {
        Ok(self.with(|state| state.event_head))
    }
}
