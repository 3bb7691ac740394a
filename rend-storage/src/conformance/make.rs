//! Values that the cases are told with.

use rend_core::artifact::{CaptionRef, Rendition};
use rend_core::asset::{
    Asset, CaptionKind, CaptionOrigin, CaptionRow, Cost, Failure, MediaFacts, Move, Note, PlaybackPolicy, StoredSource,
};
use rend_core::id::{AssetId, JobId, LeaseToken, OrgId};
use rend_core::job::{ErrorClass, Job, JobError, JobKind, Lease, NewJob};
use rend_core::time::Timestamp;

use crate::jobs::{Claim, JobQueue};

/// A time, `secs` seconds into the story that a case tells.
pub(super) fn at(secs: u64) -> Timestamp {
    Timestamp::from_secs(1_800_000_000 + secs)
}

/// The `n`th asset. Later ones sort later.
pub(super) fn asset_id(n: u8) -> AssetId {
    AssetId::new(at(u64::from(n)), [n; 10])
}

/// The `n`th organisation.
pub(super) fn org_id(n: u8) -> OrgId {
    OrgId::new(at(u64::from(n)), [n; 10])
}

/// The `n`th job. Later ones sort later.
pub(super) fn job_id(n: u8) -> JobId {
    JobId::new(at(u64::from(n)), [n; 10])
}

/// The `n`th fence.
pub(super) fn token(n: u8) -> LeaseToken {
    LeaseToken::new(at(0), [n; 10])
}

/// The `n`th asset as it is first written down, of the first organisation.
pub(super) fn asset(n: u8) -> Asset {
    Asset::new(asset_id(n), org_id(1), format!("asset {n}"), PlaybackPolicy::Signed, at(u64::from(n)))
}

/// A media job on the first asset, due at once, tried three times.
pub(super) fn job(n: u8) -> NewJob {
    NewJob { id: job_id(n), asset: asset_id(1), kind: JobKind::Media, run_at: at(0), attempts_max: 3 }
}

/// A claim of any kind of job at `now`, for ten seconds, with the `n`th fence.
pub(super) fn claim(n: u8, now: u64) -> Claim {
    Claim {
        worker: format!("worker {n}"),
        kinds: JobKind::ALL.to_vec(),
        token: token(n),
        now: at(now),
        expires: at(now + 10),
    }
}

/// Claims what must be there.
pub(super) async fn claimed(store: &impl JobQueue, n: u8, now: u64) -> (Job, Lease) {
    store.claim(&claim(n, now)).await.unwrap().expect("a job is due")
}

/// The one job that `asset` has.
pub(super) async fn only_job(store: &impl JobQueue, asset: AssetId) -> Job {
    let jobs = store.of_asset(asset).await.unwrap();
    assert_eq!(jobs.len(), 1, "{jobs:?}");
    jobs.into_iter().next().unwrap()
}

/// Trouble that another try may help.
pub(super) fn trouble(code: &str) -> JobError {
    JobError {
        class: ErrorClass::Transient,
        code: code.into(),
        detail: "A sentence, with \"quotes\" and\nlines.".into(),
        stderr_tail: "…the end of what it said \u{1f600}".into(),
    }
}

/// A reason that may be shown.
pub(super) fn failure(code: &str) -> Failure {
    Failure { code: code.into(), detail: "What would be \"right\" is another file.".into() }
}

/// What the probe found.
pub(super) fn captions(lang: &str) -> CaptionRow {
    CaptionRow {
        captions: CaptionRef { lang: lang.parse().unwrap(), version: 0xfffe_0001 },
        label: "\"Ünïcödé\" \u{1f600}".into(),
        kind: CaptionKind::Subtitles,
        default: false,
        origin: CaptionOrigin::Given,
        cues: 7,
        published: false,
    }
}

pub(super) fn media() -> MediaFacts {
    MediaFacts {
        container: "mov,mp4,m4a,3gp,3g2,mj2".into(),
        duration_ms: 61_234,
        width: 1280,
        height: 720,
        millifps: 29_970,
        video_codec: "h264".into(),
        audio_codec: String::new(),
        notes: vec![
            Note { what: "The frames come at uneven times.".into(), cost: Cost::Millis(31) },
            Note::until_playable("It is HEVC."),
            "\"quoted\" — ünïcödé".into(),
        ],
    }
}

/// The moves that lead from a new asset to one that plays, each legal after those before it.
pub(super) fn moves_to_ready() -> Vec<Move> {
    let audio = Rendition::Audio("de".parse().unwrap());
    vec![
        Move::BeginUpload,
        Move::SourceStored(StoredSource { bytes: u64::MAX, sha256: [0xab; 32] }),
        Move::BeginProcessing,
        Move::Planned { media: media(), renditions: vec![audio, Rendition::P360, Rendition::P720, Rendition::Source] },
        Move::OpenerReady { took_ms: 70 },
        Move::RenditionReady { rendition: Rendition::P360, bandwidth: 900_001 },
        Move::RenditionFailed { rendition: Rendition::P720, failure: failure("timeout") },
        Move::RenditionReady { rendition: audio, bandwidth: 96_000 },
        Move::HlsReady { degraded: false },
    ]
}
