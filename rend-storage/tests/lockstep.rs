//! Random operations, the same on memory and on SQLite or PostgreSQL, give the same answers.
#![cfg(all(feature = "sqlite", feature = "postgres"))]
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

mod served;

use std::fmt::Debug;

use futures::executor::block_on;
use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use rend_core::analytics::{CacheStatus, PlaybackBatch, PlaybackEvent};
use rend_core::artifact::{ArtifactPath, CaptionRef, Rendition};
use rend_core::asset::{
    Asset, CaptionKind, CaptionOrigin, CaptionRow, Edit, Failure, MediaFacts, Move, PlaybackPolicy, StoredSource,
};
use rend_core::credential::{Credential, Scopes};
use rend_core::event::{EventKind, FanoutOutcome};
use rend_core::fleet::{Beat, EdgeRow, EdgeState};
use rend_core::id::{AssetId, CredentialId, JobId, LeaseToken, OrgId, UploadId, WebhookId};
use rend_core::job::{ErrorClass, JobError, JobKind, Lease, NewJob, Outcome};
use rend_core::retention::Due;
use rend_core::suspension::{Action, Order, Signed, Subject};
use rend_core::time::Timestamp;
use rend_core::upload::transfer::{Part, Pull, Step, Transfer};
use rend_core::upload::{UploadSession, UploadState};
use rend_core::webhook::deliver::{Lease as WebhookLease, Progress, Waiting};
use rend_core::webhook::{Endpoint, Kinds, Secret, State, Why};
use rend_storage::analytics::Analytics;
use rend_storage::assets::{AssetStore, Change};
use rend_storage::credentials::CredentialStore;
use rend_storage::edges::{EdgeDirectory, PurgeLog};
use rend_storage::events::{EventLog, EventsOf};
use rend_storage::jobs::{Claim, JobQueue};
use rend_storage::memory::Memory;
use rend_storage::postgres::Postgres;
use rend_storage::retention::Retention;
use rend_storage::sqlite::Sqlite;
use rend_storage::suspensions::SuspensionLog;
use rend_storage::transfers::TransferStore;
use rend_storage::uploads::UploadStore;
use rend_storage::webhooks::WebhookStore;

/// One thing asked of a store. Small numbers name assets, jobs and so on, so that operations meet each other.
#[derive(Clone, Debug)]
enum Ask {
    Create(u8, u8),
    GetAsset(u8),
    Page(u8, Option<u8>, usize),
    Advance { asset: u8, expect: Option<u64>, step: Move, fence: Option<usize>, enqueue: Option<NewJob> },
    Append(u8, EventKind),
    Events(EventsOf, u64, usize),
    Open(u8, u64),
    Settle(u8, UploadState),
    Expired(usize),
    Pieces { n: u8, how: u8, amount: u64 },
    Enqueue(NewJob),
    Claim(Vec<JobKind>, u64),
    Extend(usize, u64),
    Finish(usize, Outcome),
    Register(u8, u64),
    Beat(u8, u64),
    Purge(u8),
    Purges(u64, usize),
    Insert(u8, u8),
    Revoke(u8),
    Touch(u8),
    Record(PlaybackBatch),
    Overview(u8, u64, u64, usize),
    Playback(u8, u64, u64),
    Order(Subject, Action),
    Suspension(u8),
    Orders(u64, usize),
    Hook(u8, u8, usize),
    Rehook { n: u8, late: bool, change: Rehook },
    Unhook(u8),
    Old(Due, usize),
}

/// What becomes of an endpoint.
#[derive(Clone, Debug)]
enum Rehook {
    Secret,
    Disable(Option<u8>),
    Enable,
    Told(Progress),
}

/// What a run knows besides the store: leases it was given, and the time.
#[derive(Default)]
struct Story {
    leases: Vec<Lease>,
    claims: u8,
    now: u64,
}

impl Story {
    fn lease(&self, n: usize) -> Lease {
        let invented = || Lease { job: job(1), token: token(255), attempt: 1, expires: at(0) };
        self.leases.get(n % self.leases.len().max(1)).cloned().unwrap_or_else(invented)
    }
}

trait Every:
    AssetStore
    + UploadStore
    + TransferStore
    + JobQueue
    + EventLog
    + EdgeDirectory
    + PurgeLog
    + CredentialStore
    + Analytics
    + SuspensionLog
    + WebhookStore
    + Retention
{
}
impl Every for Memory {}
impl Every for Sqlite {}
impl Every for Postgres {}

fn told<T: Debug, E: Debug>(answer: &Result<T, E>) -> String {
    format!("{answer:?}")
}

/// Asks `store`, and answers all that it said in text.
async fn perform(store: &impl Every, ask: &Ask, story: &mut Story) -> String {
    let now = at(story.now);
    match ask {
        Ask::Create(n, org_n) => {
            let asset = Asset::new(asset(*n), org(*org_n), format!("asset {n}"), PlaybackPolicy::Public, now);
            told(&store.create(&asset).await)
        }
        Ask::GetAsset(n) => told(&AssetStore::get(store, asset(*n)).await),
        Ask::Page(n, before, rows) => told(&store.page(org(*n), before.map(asset), *rows).await),
        Ask::Advance { asset: n, expect, step, fence, enqueue } => {
            let fence = fence.map(|n| story.lease(n));
            let change =
                Change { asset: asset(*n), expect: *expect, step: step.clone(), fence, enqueue: enqueue.clone(), now };
            told(&store.advance(&change).await)
        }
        Ask::Append(n, kind) => told(&store.append(asset(*n), kind, now).await),
        Ask::Events(of, seq, rows) => told(&store.after(*of, *seq, *rows).await),
        Ask::Open(n, ttl) => {
            let session = UploadSession {
                id: upload(*n),
                asset: asset(*n),
                org: org(1),
                bytes_expected: (*ttl % 2 == 0).then_some(*ttl),
                state: UploadState::Open,
                expires_at: at(story.now + ttl),
                created_at: now,
            };
            told(&store.open(&session).await)
        }
        Ask::Settle(n, state) => {
            let answer = told(&store.settle(upload(*n), *state).await);
            answer + &told(&UploadStore::get(store, upload(*n)).await)
        }
        Ask::Expired(rows) => told(&store.expired(now, *rows).await),
        Ask::Pieces { n, how, amount } => pieces(store, upload(*n), *how, *amount, story).await,
        Ask::Enqueue(new) => told(&store.enqueue(new, now).await),
        Ask::Claim(kinds, ttl) => {
            story.claims = story.claims.wrapping_add(1);
            let claim = Claim {
                worker: format!("worker {}", story.claims),
                kinds: kinds.clone(),
                token: token(story.claims),
                now,
                expires: at(story.now + ttl),
            };
            let answer = store.claim(&claim).await;
            if let Ok(Some((_, lease))) = &answer {
                story.leases.push(lease.clone());
            }
            told(&answer)
        }
        Ask::Extend(n, ttl) => told(&store.extend(&story.lease(*n), at(story.now + ttl)).await),
        Ask::Finish(n, outcome) => told(&store.finish(&story.lease(*n), outcome, now).await),
        Ask::Register(n, version) => told(&store.register(&edge(*n, *version, now)).await),
        Ask::Beat(n, used) => told(&store.beat(&edge(*n, 0, now).id, &beat(*used), now).await),
        Ask::Purge(n) => told(&store.append_purge(asset(*n), now).await),
        Ask::Purges(seq, rows) => told(&store.purges_after(*seq, *rows).await),
        Ask::Insert(n, digest) => told(&store.insert(&credential(*n, *digest, now)).await),
        Ask::Revoke(n) => told(&store.revoke(credential(*n, 0, now).id, now).await),
        Ask::Touch(n) => told(&store.touch(credential(*n, 0, now).id, now).await),
        Ask::Record(batch) => told(&store.record(batch, now).await),
        Ask::Overview(n, from, until, top) => {
            let (of, from, until) = (org(*n), at(*from), at(*until));
            told(&store.overview(of, from, until, *top).await) + &told(&store.served(of, from, until).await)
        }
        Ask::Playback(n, from, until) => told(&store.playback(asset(*n), at(*from), at(*until)).await),
        Ask::Order(subject, action) => {
            let signed = Signed::new("ada \u{1f600}", "a \"court's\"\norder").unwrap();
            told(&store.append_order(&Order { subject: *subject, action: *action, signed, at: now }).await)
        }
        Ask::Suspension(n) => told(&store.suspension(asset(*n)).await),
        Ask::Orders(seq, rows) => told(&store.orders_after(*seq, *rows).await),
        Ask::Hook(n, org_n, most) => told(&store.insert_webhook(&endpoint(*n, *org_n, now), *most).await),
        Ask::Rehook { n, late, change } => rehook(store, *n, *late, change, now).await,
        Ask::Unhook(n) => told(&store.remove_webhook(hook(*n)).await),
        Ask::Old(due, rows) => {
            told(&store.count_due(due, *rows + 1).await) + &told(&store.remove_due(due, *rows).await)
        }
    }
}

/// Changes an endpoint as it stands, or as it stood one change before.
async fn rehook(store: &impl Every, n: u8, late: bool, change: &Rehook, now: Timestamp) -> String {
    // One that is not there is made up, so that replacing it is tried as well.
    let mut row = store.webhook(hook(n)).await.unwrap_or_else(|_| endpoint(n, n, now));
    row.revision = row.revision.saturating_sub(u64::from(late));
    let changed = match change {
        Rehook::Secret => row.with_new_secret(Secret::from_bytes([n.wrapping_add(100); 32]), now),
        Rehook::Disable(tell) => row.disabled(Why::Exhausted, now, tell.map(asset)),
        Rehook::Enable => row.enabled(now),
        Rehook::Told(progress) => Endpoint { progress: progress.clone(), ..row },
    };
    told(&store.replace_webhook(&changed).await)
}

/// Asks for something about an upload in pieces that may follow from where it stands, and answers all that was said.
async fn pieces(store: &impl Every, id: UploadId, how: u8, amount: u64, story: &Story) -> String {
    let known = store.transfer(id).await;
    let (epoch, received) = known.as_ref().map_or((0, 0), |known| (known.epoch, known.received));
    let step = match how {
        0 | 1 => {
            let session = UploadSession {
                id,
                asset: asset(1),
                org: org(1),
                bytes_expected: (how == 0).then_some(amount),
                state: UploadState::Open,
                expires_at: at(story.now + amount),
                created_at: at(story.now),
            };
            let pull = (how == 1).then(|| Pull { url: "https://example.com/".into(), validator: None });
            return told(&store.open_transfer(&Transfer::new(session, "title eA==".into(), pull)).await);
        }
        2 => return told(&store.take_over(id).await),
        // One in five writers was taken over, and one in seven begins elsewhere.
        3 | 4 => {
            let (epoch, start) = (
                epoch.saturating_sub(u64::from(amount.is_multiple_of(5))),
                received + u64::from(amount.is_multiple_of(7)),
            );
            let parts = vec![Part { start, bytes: amount, epoch }, Part { start: start + amount, bytes: 1, epoch }];
            let step = Step::Append { parts, expires_at: at(story.now + amount) };
            return told(&store.advance_transfer(id, epoch, &step).await);
        }
        5 => Step::Learn {
            bytes_expected: amount.is_multiple_of(2).then_some(received + amount % 3),
            validator: Some("v".into()),
        },
        _ => Step::Restart,
    };
    told(&store.advance_transfer(id, epoch, &step).await)
}

/// All that a store holds, in text.
async fn everything(store: &impl Every) -> Vec<String> {
    let mut all = vec![
        told(&store.depth().await),
        told(&store.failed(None, 1000).await),
        told(&EventLog::head(store).await),
        told(&store.purge_head().await),
        told(&store.purges_after(0, 1000).await),
        told(&EdgeDirectory::all(store).await),
        told(&store.accounts().await),
        told(&store.whole_transfers(1000).await),
        told(&store.orders_after(0, 1000).await),
    ];
    for n in 0..SOME {
        all.push(told(&AssetStore::get(store, asset(n)).await));
        all.push(told(&UploadStore::get(store, upload(n)).await));
        all.push(told(&store.transfer(upload(n)).await));
        all.push(told(&store.parts(upload(n), 0, 1000).await));
        all.push(told(&store.open_transfers(org(n)).await));
        all.push(told(&store.of_asset(asset(n)).await));
        all.push(told(&store.after(EventsOf::Asset(asset(n)), 0, 1000).await));
        all.push(told(&store.after(EventsOf::Org(org(n)), 0, 1000).await));
        all.push(told(&store.page(org(n), None, 1000).await));
        all.push(told(&store.list(org(n)).await));
        all.push(told(&store.by_digest(&[n; 32]).await));
        all.push(told(&store.playback(asset(n), at(0), at(1000)).await));
        all.push(told(&store.overview(org(n), at(0), at(1000), 1000).await));
        all.push(told(&store.suspension(asset(n)).await));
        let hooks = store.webhooks(org(n)).await;
        all.push(told(&hooks));
        // Their `Debug` shows no secret.
        all.extend(hooks.iter().flatten().flat_map(|hook| hook.secrets(at(0))).map(Secret::expose));
    }
    all
}

/// How many of each thing there are to name.
const SOME: u8 = 4;

fn at(secs: u64) -> Timestamp {
    Timestamp::from_secs(1_800_000_000 + secs)
}

fn asset(n: u8) -> AssetId {
    AssetId::new(at(u64::from(n)), [n; 10])
}

fn org(n: u8) -> OrgId {
    OrgId::new(at(0), [n % 2; 10])
}

fn job(n: u8) -> JobId {
    JobId::new(at(u64::from(n)), [n; 10])
}

fn upload(n: u8) -> UploadId {
    UploadId::new(at(u64::from(n)), [n; 10])
}

fn hook(n: u8) -> WebhookId {
    WebhookId::new(at(u64::from(n)), [n; 10])
}

fn endpoint(n: u8, org_n: u8, now: Timestamp) -> Endpoint {
    Endpoint {
        id: hook(n),
        org: org(org_n),
        url: format!("https://hooks.example/{n}"),
        description: "\"quoted\" \u{1f600}".into(),
        wants: if n.is_multiple_of(2) { Kinds::ALL } else { Kinds::new(["asset.created"]).unwrap() },
        secret: Secret::from_bytes([n; 32]),
        secret_before: None,
        state: State::Active,
        progress: Progress::from_place(u64::from(n)),
        revision: 0,
        created_at: now,
        updated_at: now,
    }
}

fn token(n: u8) -> LeaseToken {
    LeaseToken::new(at(0), [n; 10])
}

fn credential(n: u8, digest: u8, now: Timestamp) -> Credential {
    Credential {
        id: CredentialId::new(at(u64::from(n)), [n; 10]),
        org: org(n),
        name: format!("key {n}"),
        prefix: "rend_".into(),
        digest: [digest; 32],
        scopes: Scopes::ALL,
        created_at: now,
        expires_at: None,
        last_used_at: None,
        revoked_at: None,
    }
}

fn beat(used: u64) -> Beat {
    Beat {
        state: EdgeState::ALL[(used % 3) as usize],
        cache_bytes_max: u64::MAX,
        cache_bytes_used: used,
        cache_entries: 1,
        disk_bytes_free: 2,
        fills: 3,
        spool_events: 4,
        dropped_events: 5,
        purge_seen: 6,
    }
}

fn edge(n: u8, version: u64, now: Timestamp) -> EdgeRow {
    EdgeRow {
        id: format!("edge-{n}").parse().unwrap(),
        region: "eu".into(),
        public_url: format!("https://edge-{n}.example"),
        private_url: "http://127.0.0.1:1".into(),
        version: version.to_string(),
        beat: beat(version),
        registered_at: now,
        beat_at: now,
    }
}

fn some() -> std::ops::Range<u8> {
    0..SOME
}

fn failure() -> Failure {
    Failure { code: "timeout".into(), detail: "\"quoted\"".into() }
}

fn trouble() -> JobError {
    JobError {
        class: ErrorClass::Transient,
        code: "storage".into(),
        detail: String::new(),
        stderr_tail: "\u{1f600}\n".into(),
    }
}

fn any_due() -> impl Strategy<Value = Due> {
    (0..5_u8, 0..400_u64, 0..6_u64).prop_map(|(shelf, secs, upto)| {
        let before = at(secs);
        match shelf {
            0 => Due::Events { before },
            1 => Due::Jobs { before },
            2 => Due::Uploads { before },
            3 => Due::Purges { before, upto },
            _ => Due::PlayerEvents { before },
        }
    })
}

fn any_move() -> impl Strategy<Value = Move> {
    let media = MediaFacts {
        container: "mov".into(),
        duration_ms: 1,
        width: 2,
        height: 3,
        millifps: 4,
        video_codec: "h264".into(),
        audio_codec: "aac".into(),
        notes: vec!["odd".into()],
    };
    let planned = Move::Planned { media, renditions: vec![Rendition::P360, Rendition::P720] };
    let rendition = prop_oneof![Just(Rendition::P360), Just(Rendition::P720), Just(Rendition::Source)];
    prop_oneof![
        3 => Just(Move::BeginUpload),
        3 => any::<u64>().prop_map(|bytes| Move::SourceStored(StoredSource { bytes, sha256: [1; 32] })),
        3 => Just(Move::BeginProcessing),
        3 => Just(planned),
        1 => (rendition.clone(), any::<u64>())
            .prop_map(|(rendition, bandwidth)| Move::RenditionReady { rendition, bandwidth }),
        1 => rendition.clone().prop_map(|rendition| Move::RenditionFailed { rendition, failure: failure() }),
        1 => (0..100_000_u64).prop_map(|took_ms| Move::OpenerReady { took_ms }),
        1 => any::<bool>().prop_map(|degraded| Move::HlsReady { degraded }),
        1 => Just(Move::Fail(failure())),
        1 => Just(Move::Retry),
        1 => option::of(".{0,8}").prop_map(|title| {
            Move::Edit(Edit { title: title.clone(), external_id: Some(title), ..Edit::default() })
        }),
        2 => (any_captions(), any::<bool>(), any::<bool>()).prop_map(|(captions, default, given)| {
            Move::StoreCaptions(CaptionRow {
                captions,
                label: "\"a\" \u{1f600}".into(),
                kind: if default { CaptionKind::Captions } else { CaptionKind::Subtitles },
                default,
                origin: if given { CaptionOrigin::Given } else { CaptionOrigin::Original },
                cues: captions.version,
                published: false,
            })
        }),
        1 => any_captions().prop_map(|captions| Move::RemoveCaptions(captions.lang)),
        1 => vec(any_captions(), 0..3).prop_map(Move::CaptionsPublished),
        1 => rendition.clone().prop_map(Move::RequestDownload),
        1 => (rendition.clone(), any::<u64>()).prop_map(|(rendition, bytes)| Move::DownloadReady { rendition, bytes }),
        1 => rendition.clone().prop_map(|rendition| Move::DownloadFailed { rendition, failure: failure() }),
        1 => rendition.prop_map(Move::RemoveDownload),
        1 => Just(Move::RequestDeletion),
        1 => Just(Move::Deleted),
    ]
}

fn any_captions() -> impl Strategy<Value = CaptionRef> {
    let lang = prop::sample::select(vec!["de", "en", "pt-br"]);
    (lang, 0..3_u32).prop_map(|(lang, version)| CaptionRef { lang: lang.parse().unwrap(), version })
}

fn any_job() -> impl Strategy<Value = NewJob> {
    (0..12_u8, some(), any::<bool>(), 0..40_u64, 0..3_u32).prop_map(|(n, asset_n, media, run_at, attempts_max)| {
        NewJob {
            id: job(n),
            asset: asset(asset_n),
            kind: if media { JobKind::Media } else { JobKind::Delete },
            run_at: at(run_at),
            attempts_max,
        }
    })
}

fn any_outcome() -> impl Strategy<Value = Outcome> {
    prop_oneof![
        Just(Outcome::Succeed),
        (0..60_u64).prop_map(|secs| Outcome::Retry { at: at(secs), error: trouble() }),
        (0..60_u64).prop_map(|secs| Outcome::Defer { at: at(secs) }),
        Just(Outcome::Fail { error: trouble() }),
    ]
}

fn any_event_kind() -> impl Strategy<Value = EventKind> {
    let edge = || "edge-1".parse().unwrap();
    prop_oneof![
        Just(EventKind::AssetUpdated),
        any::<u64>().prop_map(|bytes| EventKind::SourceUploaded { bytes }),
        ".{0,8}".prop_map(|code| EventKind::ProcessingFailed { code }),
        Just(EventKind::EdgePurge { edge: edge(), outcome: FanoutOutcome::Succeeded }),
    ]
}

fn any_playback() -> impl Strategy<Value = PlaybackEvent> {
    let what = (0..2_u8, 0..20_u64, 0..50_u64, option::of(some()), some(), option::of(0..3_u8));
    let how = (prop_oneof![Just(u64::MAX), 0..5000_u64], 200..204_u16, 0..CacheStatus::ALL.len(), any::<bool>());
    (what, how).prop_map(|((boot, seq, seen, org_n, asset_n, session), (bytes_sent, status, cache, aborted))| {
        PlaybackEvent {
            boot: [boot; 8],
            seq,
            node: "edge-1".parse().unwrap(),
            observed_at: at(seen),
            org: org_n.map(org),
            asset: asset(asset_n),
            session: session.map(|n| [n; 7]),
            path: ArtifactPath::Opener,
            object_bytes: None,
            bytes_sent,
            range_start: 7,
            status,
            cache: CacheStatus::ALL[cache],
            ttfb_us: 8,
            duration_ms: 9,
            aborted,
        }
    })
}

fn any_batch() -> impl Strategy<Value = PlaybackBatch> {
    (0..3_u8, 0..5_u64, vec(any_playback(), 0..6)).prop_map(|(boot, dropped_total, events)| PlaybackBatch {
        boot: [boot; 8],
        node: "edge-1".parse().unwrap(),
        dropped_total,
        events,
    })
}

fn any_rehook() -> impl Strategy<Value = Rehook> {
    let waiting = btree_map(0..50_u64, (0..9_u32, 0..60_u64), 0..3);
    let waiting = waiting.prop_map(|waiting| {
        waiting.into_iter().map(|(seq, (attempts, due))| (seq, Waiting { attempts, due: at(due) })).collect()
    });
    let lease = option::of((any::<[u8; 8]>(), 0..60_u64));
    let lease = lease.prop_map(|lease| lease.map(|(holder, until)| WebhookLease { holder, until: at(until) }));
    let progress = (0..1000_u64, waiting, lease);
    prop_oneof![
        Just(Rehook::Secret),
        option::of(some()).prop_map(Rehook::Disable),
        Just(Rehook::Enable),
        progress.prop_map(|(cursor, waiting, lease)| Rehook::Told(Progress { cursor, waiting, lease })),
    ]
}

fn any_ask() -> impl Strategy<Value = Ask> {
    let subject =
        prop_oneof![some().prop_map(|n| Subject::Asset(asset(n))), some().prop_map(|n| Subject::Org(org(n))),];
    let action = prop_oneof![Just(Action::Suspend), Just(Action::Restore)];
    let suspensions = prop_oneof![
        3 => (subject, action).prop_map(|(subject, action)| Ask::Order(subject, action)),
        1 => some().prop_map(Ask::Suspension),
        1 => (0..5_u64, 0..6_usize).prop_map(|(seq, rows)| Ask::Orders(seq, rows)),
    ];
    let webhooks = prop_oneof![
        2 => (some(), some(), 0..4_usize).prop_map(|(n, org, most)| Ask::Hook(n, org, most)),
        3 => (some(), prop::bool::weighted(0.2), any_rehook())
            .prop_map(|(n, late, change)| Ask::Rehook { n, late, change }),
        1 => some().prop_map(Ask::Unhook),
        2 => (any_due(), 0..9_usize).prop_map(|(due, rows)| Ask::Old(due, rows)),
    ];
    let rows = 0..6_usize;
    let of = prop_oneof![some().prop_map(|n| EventsOf::Asset(asset(n))), some().prop_map(|n| EventsOf::Org(org(n)))];
    let kinds = vec(prop_oneof![Just(JobKind::Media), Just(JobKind::Delete)], 0..3);
    let upload_state = (0..UploadState::ALL.len()).prop_map(|n| UploadState::ALL[n]);
    let advance = (some(), option::weighted(0.3, 1..5_u64), any_move(), option::weighted(0.3, 0..9_usize));
    let advance = (advance, option::weighted(0.3, any_job()))
        .prop_map(|((asset, expect, step, fence), enqueue)| Ask::Advance { asset, expect, step, fence, enqueue });
    prop_oneof![
        4 => (some(), some()).prop_map(|(n, org)| Ask::Create(n, org)),
        1 => some().prop_map(Ask::GetAsset),
        1 => (some(), option::of(some()), rows.clone()).prop_map(|(n, before, rows)| Ask::Page(n, before, rows)),
        12 => advance,
        1 => (some(), any_event_kind()).prop_map(|(n, kind)| Ask::Append(n, kind)),
        1 => (of, 0..20_u64, rows.clone()).prop_map(|(of, seq, rows)| Ask::Events(of, seq, rows)),
        2 => (some(), 0..30_u64).prop_map(|(n, ttl)| Ask::Open(n, ttl)),
        2 => (some(), upload_state).prop_map(|(n, state)| Ask::Settle(n, state)),
        1 => rows.clone().prop_map(Ask::Expired),
        6 => (some(), 0..7_u8, 0..20_u64).prop_map(|(n, how, amount)| Ask::Pieces { n, how, amount }),
        4 => any_job().prop_map(Ask::Enqueue),
        6 => (kinds, 0..20_u64).prop_map(|(kinds, ttl)| Ask::Claim(kinds, ttl)),
        2 => (0..9_usize, 0..30_u64).prop_map(|(n, ttl)| Ask::Extend(n, ttl)),
        4 => (0..9_usize, any_outcome()).prop_map(|(n, outcome)| Ask::Finish(n, outcome)),
        1 => (some(), any::<u64>()).prop_map(|(n, version)| Ask::Register(n, version)),
        1 => (some(), any::<u64>()).prop_map(|(n, used)| Ask::Beat(n, used)),
        1 => some().prop_map(Ask::Purge),
        1 => (0..5_u64, rows.clone()).prop_map(|(seq, rows)| Ask::Purges(seq, rows)),
        1 => (some(), some()).prop_map(|(n, digest)| Ask::Insert(n, digest)),
        1 => some().prop_map(Ask::Revoke),
        1 => some().prop_map(Ask::Touch),
        3 => any_batch().prop_map(Ask::Record),
        1 => (some(), 0..50_u64, 0..60_u64, rows).prop_map(|(n, from, until, top)| Ask::Overview(n, from, until, top)),
        1 => (some(), 0..50_u64, 0..60_u64).prop_map(|(n, from, until)| Ask::Playback(n, from, until)),
        4 => suspensions,
        4 => webhooks,
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn memory_and_sqlite_give_the_same_answers(asks in vec((any_ask(), 0..4_u64), 1..80)) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rend.db");
        let memory = Memory::default();
        let mut sqlite = Sqlite::open(&path).unwrap();
        let (mut one, mut other) = (Story::default(), Story::default());
        for (n, (ask, wait)) in asks.iter().enumerate() {
            one.now += wait;
            other.now += wait;
            let expected = block_on(perform(&memory, ask, &mut one));
            let answer = block_on(perform(&sqlite, ask, &mut other));
            prop_assert_eq!(answer, expected, "{:?}", ask);
            if n % 32 == 31 {
                // What is remembered does not depend on who has the file open.
                drop(sqlite);
                sqlite = Sqlite::open(&path).unwrap();
            }
        }
        prop_assert_eq!(block_on(everything(&sqlite)), block_on(everything(&memory)));
    }
}

proptest! {
    // Each answer takes a server a part of a millisecond, and each case a schema.
    #![proptest_config(ProptestConfig { cases: 40, max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    #[ignore = "needs PostgreSQL: cargo xtask test starts one"]
    fn memory_and_postgres_give_the_same_answers(asks in vec((any_ask(), 0..4_u64), 1..80)) {
        let memory = Memory::default();
        let (postgres, _schema) = served::fresh();
        let (mut one, mut other) = (Story::default(), Story::default());
        for (ask, wait) in &asks {
            one.now += wait;
            other.now += wait;
            let expected = block_on(perform(&memory, ask, &mut one));
            let answer = served::block_on(perform(&postgres, ask, &mut other));
            prop_assert_eq!(answer, expected, "{:?}", ask);
        }
        prop_assert_eq!(served::block_on(everything(&postgres)), block_on(everything(&memory)));
    }
}
