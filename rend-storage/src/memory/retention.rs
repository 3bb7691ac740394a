use std::collections::BTreeSet;

use async_trait::async_trait;
use rend_core::asset::SourceState;
use rend_core::id::{AssetId, JobId, UploadId};
use rend_core::job::{Job, JobKind, JobState};
use rend_core::retention::Due;
use rend_core::time::Timestamp;
use rend_core::upload::UploadState;

use super::{Memory, State};
use crate::StoreError;
use crate::retention::Retention;

#[async_trait]
impl Retention for Memory {
    async fn count_due(&self, due: &Due, most: usize) -> Result<usize, StoreError> {
        Ok(self.with(|state| match *due {
            Due::Events { before } => state.due_events(before, most).len(),
            Due::Jobs { before } => state.due_jobs(before, most).len(),
            Due::Uploads { before } => state.due_uploads(before, most).len(),
            Due::Purges { before, upto } => state.due_purges(before, upto, most).len(),
            Due::Playback { before } => state.due_playback(before, most).len(),
            Due::PlayerEvents { before } => state.due_player_events(before, most).len(),
        }))
    }

    async fn remove_due(&self, due: &Due, rows: usize) -> Result<usize, StoreError> {
        Ok(self.with(|state| match *due {
            Due::Events { before } => {
                let going = state.due_events(before, rows);
                state.events.retain(|event| !going.contains(&event.seq));
                going.len()
            }
            Due::Jobs { before } => {
                let going = state.due_jobs(before, rows);
                going.iter().for_each(|id| drop(state.jobs.remove(id)));
                going.len()
            }
            Due::Uploads { before } => {
                let going = state.due_uploads(before, rows);
                for id in &going {
                    state.uploads.remove(id);
                    state.come.remove(id);
                }
                going.len()
            }
            Due::Purges { before, upto } => {
                let going = state.due_purges(before, upto, rows);
                state.purges.retain(|row| !going.contains(&row.seq));
                going.len()
            }
            Due::Playback { before } => {
                let going = state.due_playback(before, rows);
                for id in &going {
                    state.played.remove(id);
                    state.recorded_at.remove(id);
                }
                going.len()
            }
            Due::PlayerEvents { before } => {
                let going = state.due_player_events(before, rows);
                going.iter().for_each(|moment| drop(state.viewed.remove(moment)));
                going.len()
            }
        }))
    }
}

impl State {
    fn due_events(&self, before: Timestamp, rows: usize) -> BTreeSet<u64> {
        let due = self.events.iter().filter(|event| event.at < before).filter_map(|event| {
            let asset = self.assets.get(&event.asset)?;
            let gone = asset.source == SourceState::Deleted && asset.updated_at < before;
            gone.then_some((asset.updated_at, asset.id, event.seq))
        });
        oldest(due.collect(), rows).into_iter().map(|(_, _, seq)| seq).collect()
    }

    fn due_jobs(&self, before: Timestamp, rows: usize) -> Vec<JobId> {
        let ended = |job: &Job| matches!(job.state, JobState::Succeeded | JobState::Failed);
        let jobs = || self.jobs.values().map(|held| &held.job);
        let rests = |asset: AssetId| {
            let at_rest = self.assets.get(&asset).is_none_or(|asset| match asset.source {
                SourceState::Ready | SourceState::Failed | SourceState::Deleted => true,
                SourceState::Pending | SourceState::Uploading | SourceState::Uploaded | SourceState::Processing => {
                    false
                }
            });
            at_rest && jobs().all(|other| other.asset != asset || ended(other))
        };
        let due = jobs().filter(|job| ended(job) && job.updated_at < before);
        let due = due.filter(|job| !(job.kind == JobKind::Delete && job.state == JobState::Failed) && rests(job.asset));
        oldest(due.map(|job| (job.updated_at, job.id)).collect(), rows).into_iter().map(|(_, id)| id).collect()
    }

    fn due_uploads(&self, before: Timestamp, rows: usize) -> Vec<UploadId> {
        let ended = self.uploads.values().filter(|session| session.state != UploadState::Open);
        let due = ended.filter(|session| session.expires_at < before).map(|session| (session.expires_at, session.id));
        oldest(due.collect(), rows).into_iter().map(|(_, id)| id).collect()
    }

    fn due_purges(&self, before: Timestamp, upto: u64, rows: usize) -> BTreeSet<u64> {
        let due = self.purges.iter().filter(|row| row.at < before && row.seq <= upto && row.seq < self.purge_head);
        due.map(|row| row.seq).take(rows).collect()
    }

    fn due_playback(&self, before: Timestamp, rows: usize) -> Vec<[u8; 16]> {
        let due = self.played.values().filter(|event| event.observed_at < before).filter(|event| {
            let recorded = self.recorded_at.get(&event.id());
            let counted = self.counted.get(&event.observed_at.hour());
            recorded.is_some_and(|at| *at < before && counted.is_some_and(|hour| hour.at >= *at))
        });
        let due = due.map(|event| (event.observed_at, event.id()));
        oldest(due.collect(), rows).into_iter().map(|(_, id)| id).collect()
    }

    fn due_player_events(&self, before: Timestamp, rows: usize) -> Vec<([u8; 16], u32)> {
        let due = self.viewed.values().filter(|event| event.at < before);
        let due = due.map(|event| (event.at, event.view, event.seq));
        oldest(due.collect(), rows).into_iter().map(|(_, view, seq)| (view, seq)).collect()
    }
}

fn oldest<T: Ord>(mut due: Vec<T>, rows: usize) -> Vec<T> {
    due.sort_unstable();
    due.truncate(rows);
    due
}
