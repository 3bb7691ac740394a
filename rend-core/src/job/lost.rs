//! What a job that failed without its worker saying so means for its asset.
//!
//! A worker that knows why a job failed says it of the asset in the same breath. One that was lost says nothing, and the job
//! fails when its last lease runs out; whoever finds it says it instead, unless somebody else has the work by now.

use crate::artifact::Rendition;
use crate::asset::{Asset, DownloadState, Failure, Move, PlayableState, RenditionRow, RenditionState, SourceState};
use crate::job::{Job, JobKind, JobState};

/// The moves that say of `asset` that `job` failed, in their order; none where nothing is left to be said.
///
/// `jobs` are all jobs of the asset, read after the asset was: whatever somebody asked for since then has changed the
/// asset, and moves that expect it as it was are refused.
pub fn moves_for_lost(job: &Job, asset: &Asset, jobs: &[Job]) -> Vec<Move> {
    let code = job.error.as_ref().map_or("processing_failed", |error| error.code.as_str());
    let failure = |what: &str, instead: &str| Failure {
        code: code.to_owned(),
        detail: format!("{what} was interrupted too often and was given up; {instead}"),
    };
    match job.kind {
        JobKind::Media => {
            let is_newest = !jobs.iter().any(|other| other.kind == JobKind::Media && other.id > job.id);
            let waits = asset.source.is_live() && asset.source != SourceState::Ready;
            if !is_newest || !waits {
                return Vec::new();
            }
            let failure = failure("preparing the video", "try again, or upload it in another format");
            if plays_whole(asset) { keep_playing(asset, &failure) } else { vec![Move::Fail(failure)] }
        }
        JobKind::Download => {
            let is_open = |state: JobState| matches!(state, JobState::Queued | JobState::Leased);
            // One job makes all that is pending, whoever asked for it.
            if jobs.iter().any(|other| other.kind == JobKind::Download && is_open(other.state)) {
                return Vec::new();
            }
            let pending = asset.downloads.iter().filter(|row| row.state == DownloadState::Pending);
            let failed = |rendition| {
                let failure = failure("making the download", "ask for it again");
                Move::DownloadFailed { rendition, failure }
            };
            pending.map(|row| failed(row.rendition)).collect()
        }
        // The asset does not tell of these: they are tried again by what asked for them.
        JobKind::Delete | JobKind::Assemble | JobKind::Pull | JobKind::Captions => Vec::new(),
    }
}

/// Whether the source itself plays to its end. What is encoded behind it is not named before all of it is there, so viewers
/// miss nothing without.
fn plays_whole(asset: &Asset) -> bool {
    let source = |row: &RenditionRow| row.rendition == Rendition::Source && row.state == RenditionState::Ready;
    asset.playable == PlayableState::OpenerReady && asset.renditions.iter().any(source)
}

fn keep_playing(asset: &Asset, failure: &Failure) -> Vec<Move> {
    let lost = asset.renditions.iter().filter(|row| row.state == RenditionState::Planned);
    let failed = |row: &RenditionRow| Move::RenditionFailed { rendition: row.rendition, failure: failure.clone() };
    lost.map(failed).chain([Move::HlsReady { degraded: true }]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::asset::{DownloadRow, PlaybackPolicy};
    use crate::id::{AssetId, JobId, OrgId};
    use crate::job::{ErrorClass, JobError};
    use crate::time::Timestamp;

    fn job(id: u8, kind: JobKind, state: JobState) -> Job {
        let error = JobError {
            class: ErrorClass::Poison,
            code: "worker_lost".into(),
            detail: String::new(),
            stderr_tail: String::new(),
        };
        Job {
            id: JobId::from_bytes([id; 16]),
            asset: AssetId::from_bytes([1; 16]),
            kind,
            state,
            attempt: 3,
            attempts_max: 3,
            run_at: Timestamp::EPOCH,
            lease_expires: None,
            worker: None,
            error: (state == JobState::Failed).then_some(error),
            created_at: Timestamp::EPOCH,
            updated_at: Timestamp::EPOCH,
        }
    }

    fn asset(source: SourceState, pending: &[Rendition]) -> Asset {
        let (id, org) = (AssetId::from_bytes([1; 16]), OrgId::from_bytes([2; 16]));
        let mut asset = Asset::new(id, org, "t".into(), PlaybackPolicy::Public, Timestamp::EPOCH);
        asset.source = source;
        let row = |rendition: &Rendition| DownloadRow { rendition: *rendition, state: DownloadState::Pending };
        asset.downloads = pending.iter().map(row).collect();
        asset.downloads.push(DownloadRow { rendition: Rendition::P480, state: DownloadState::Ready { bytes: 9 } });
        asset
    }

    /// What is said of `asset` when job 5, of this kind, failed beside `others`.
    #[track_caller]
    fn check(kind: JobKind, asset: &Asset, others: &[(u8, JobKind, JobState)], expect: &[&str]) {
        let lost = job(5, kind, JobState::Failed);
        let mut jobs = vec![lost.clone()];
        jobs.extend(others.iter().map(|(id, kind, state)| job(*id, *kind, *state)));
        let said: Vec<String> = moves_for_lost(&lost, asset, &jobs)
            .into_iter()
            .map(|step| {
                let name = step.name();
                if let Move::Fail(failure) = &step {
                    return format!("{name} {}", failure.code);
                }
                if let Move::RenditionFailed { rendition, failure } = &step {
                    return format!("{rendition} failed {}", failure.code);
                }
                if let Move::DownloadFailed { rendition, failure } = step {
                    return format!("{rendition} {}", failure.code);
                }
                name.to_owned()
            })
            .collect();
        assert_eq!(said, expect);
    }

    #[test]
    fn what_a_lost_worker_was_at_is_failed_unless_somebody_has_it() {
        use JobKind::{Delete, Download, Media};
        use JobState::{Failed, Leased, Queued, Succeeded};
        let processing = asset(SourceState::Processing, &[]);
        check(Media, &processing, &[], &["fail worker_lost"]);
        check(Media, &processing, &[(4, Media, Failed), (6, Download, Queued)], &["fail worker_lost"]);
        check(Media, &processing, &[(6, Media, Queued)], &[]);
        check(Media, &asset(SourceState::Ready, &[]), &[], &[]);
        check(Media, &asset(SourceState::Deleted, &[]), &[], &[]);

        let mut plays = processing;
        plays.playable = PlayableState::OpenerReady;
        let row = |rendition, state| RenditionRow { rendition, state, bandwidth: None };
        plays.renditions = vec![row(Rendition::P360, RenditionState::Planned)];
        check(Media, &plays, &[], &["fail worker_lost"]);
        plays.renditions.push(row(Rendition::Source, RenditionState::Planned));
        check(Media, &plays, &[], &["fail worker_lost"]);
        plays.renditions[1].state = RenditionState::Ready;
        check(Media, &plays, &[], &["360p failed worker_lost", "hls_ready"]);
        check(Media, &plays, &[(6, Media, Queued)], &[]);

        let two = asset(SourceState::Ready, &[Rendition::P360, Rendition::P720]);
        check(Download, &two, &[], &["360p worker_lost", "720p worker_lost"]);
        check(
            Download,
            &two,
            &[(4, Download, Succeeded), (6, Download, Failed), (7, Media, Queued)],
            &["360p worker_lost", "720p worker_lost"],
        );
        check(Download, &two, &[(4, Download, Queued)], &[]);
        check(Download, &two, &[(6, Download, Leased)], &[]);
        check(Download, &asset(SourceState::Ready, &[]), &[], &[]);
        check(Delete, &two, &[], &[]);
    }
}
