use async_trait::async_trait;
use rend_core::id::{OrgId, UploadId};
use rend_core::upload::UploadState;
use rend_core::upload::transfer::{Direct, Part, Pull, Step, Transfer};

use super::{Memory, State};
use crate::StoreError;
use crate::transfers::TransferStore;

/// What is remembered of a transfer beside its session.
#[derive(Clone, Debug, Default)]
pub(super) struct Come {
    received: u64,
    epoch: u64,
    note: String,
    pull: Option<Pull>,
    direct: Option<Direct>,
    parts: Vec<Part>,
}

#[async_trait]
impl TransferStore for Memory {
    async fn open_transfer(&self, transfer: &Transfer) -> Result<(), StoreError> {
        self.with(|state| {
            let id = transfer.session.id;
            if state.uploads.contains_key(&id) {
                return Err(StoreError::Conflict { what: "upload" });
            }
            write(state, transfer, &[]);
            Ok(())
        })
    }

    async fn transfer(&self, id: UploadId) -> Result<Transfer, StoreError> {
        self.with(|state| find(state, id))
    }

    async fn take_over(&self, id: UploadId) -> Result<Transfer, StoreError> {
        self.with(|state| {
            let next = find(state, id)?.taken_over()?;
            write(state, &next, &[]);
            Ok(next)
        })
    }

    async fn advance_transfer(&self, id: UploadId, epoch: u64, step: &Step) -> Result<Transfer, StoreError> {
        self.with(|state| {
            let next = find(state, id)?.after(epoch, step)?;
            let parts = match step {
                Step::Append { parts, .. } => parts.as_slice(),
                Step::Learn { .. } | Step::Renew { .. } | Step::Seal { .. } => &[],
                Step::Restart => {
                    state.come.entry(id).or_default().parts.clear();
                    &[]
                }
            };
            write(state, &next, parts);
            Ok(next)
        })
    }

    async fn parts(&self, id: UploadId, from: u64, limit: usize) -> Result<Vec<Part>, StoreError> {
        Ok(self.with(|state| {
            let parts = state.come.get(&id).map_or(&[][..], |come| &come.parts);
            parts.iter().filter(|part| part.start >= from).take(limit).copied().collect()
        }))
    }

    async fn open_transfers(&self, org: OrgId) -> Result<u64, StoreError> {
        let is_open = |state: &UploadState| *state == UploadState::Open;
        Ok(self.with(|state| {
            state.uploads.values().filter(|session| session.org == org && is_open(&session.state)).count() as u64
        }))
    }

    async fn whole_transfers(&self, limit: usize) -> Result<Vec<Transfer>, StoreError> {
        Ok(self.with(|state| {
            let all = state.uploads.keys().filter_map(|id| find(state, *id).ok());
            all.filter(|it| it.session.state == UploadState::Open && it.is_whole()).take(limit).collect()
        }))
    }
}

fn find(state: &State, id: UploadId) -> Result<Transfer, StoreError> {
    let session = state.uploads.get(&id).cloned().ok_or(StoreError::NotFound { what: "upload" })?;
    let Come { received, epoch, note, pull, direct, .. } = state.come.get(&id).cloned().unwrap_or_default();
    Ok(Transfer { session, received, epoch, note, pull, direct })
}

fn write(state: &mut State, transfer: &Transfer, parts: &[Part]) {
    let id = transfer.session.id;
    state.uploads.insert(id, transfer.session.clone());
    let come = state.come.entry(id).or_default();
    come.received = transfer.received;
    come.epoch = transfer.epoch;
    come.note.clone_from(&transfer.note);
    come.pull.clone_from(&transfer.pull);
    come.direct.clone_from(&transfer.direct);
    come.parts.extend_from_slice(parts);
}
