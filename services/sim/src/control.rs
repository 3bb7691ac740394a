//! The control plane: registration, heartbeats, the purge log, ingest and the job queue, over the memory adapters; and the origin.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use rend_core::analytics::{NodeAccount, PlaybackBatch};
use rend_core::fleet::{Beat, EdgeRow, Heard, PurgeRow, registry};
use rend_core::http::Response;
use rend_core::id::JobId;
use rend_core::job::JobState;
use rend_core::job::worker::Told;
use rend_core::job::{JobKind, Lease, NewJob, Outcome};
use rend_storage::StoreError;
use rend_storage::analytics::Analytics;
use rend_storage::edges::{EdgeDirectory, PurgeLog};
use rend_storage::jobs::{Claim, JobQueue};
use rend_storage::memory::Memory;
use rend_telemetry::wire::{self, Answer, Rejected};

use crate::checks::{is_poison, is_rejected};
use crate::net::Node;
use crate::origin::Mood;
use crate::world::{LIVE_WINDOW, World, asset_id, asset_number, once};

/// The control plane's stores and clock.
pub(crate) struct Control {
    pub(crate) store: Memory,
    /// Apart from the store, so that it can be lost alone.
    pub(crate) directory: Memory,
    pub(crate) skew_ms: i64,
    pub(crate) jobs: u64,
}

impl Control {
    pub(crate) fn new(skew_ms: i64) -> Self {
        Self { store: Memory::default(), directory: Memory::default(), skew_ms, jobs: 0 }
    }

    pub(crate) fn lose_directory(&mut self) {
        self.directory = Memory::default();
    }

    pub(crate) fn accounts(&self) -> Vec<NodeAccount> {
        once(self.store.accounts()).unwrap_or_default()
    }
}

/// What travels.
#[derive(Clone, Debug)]
pub(crate) enum Packet {
    Register { edge: usize, incarnation: u32, beat: Beat },
    Beat { edge: usize, incarnation: u32, beat: Beat },
    CatchUp { edge: usize, incarnation: u32, after: u64 },
    Ingest { edge: usize, incarnation: u32, ticket: u64, body: Bytes },
    Fetch { edge: usize, incarnation: u32, fill: u64, asset: usize },
    Store { worker: usize, incarnation: u32, number: u64, ask: StoreAsk },
    Heard(Heard),
    Purge(PurgeRow),
    Purges { after: u64, rows: Vec<PurgeRow> },
    Ingested { ticket: u64, response: Response },
    Fetched { fill: u64, version: u64, mood: Mood },
    Told { number: u64, told: Told },
}

/// What a worker asks the store.
#[derive(Clone, Debug)]
pub(crate) enum StoreAsk {
    Claim(Claim),
    Extend(Lease, rend_core::time::Timestamp),
    Finish(Lease, Outcome, rend_core::time::Timestamp),
}

impl fmt::Display for Packet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Register { edge, beat, .. } => write!(f, "register from {edge}: {}", beat.state),
            Self::Beat { edge, beat, .. } => write!(f, "beat from {edge}: {}", beat.state),
            Self::CatchUp { edge, after, .. } => write!(f, "purges after {after}? from {edge}"),
            Self::Ingest { edge, ticket, body, .. } => write!(f, "batch {ticket} from {edge}, {} bytes", body.len()),
            Self::Fetch { edge, fill, asset, .. } => write!(f, "fetch {fill} of asset {asset} from {edge}"),
            Self::Store { worker, number, ask, .. } => write!(f, "ask {number} from {worker}: {ask:?}"),
            Self::Heard(heard) => write!(f, "{heard:?}"),
            Self::Purge(row) => write!(f, "purge {} of asset {}", row.seq, asset_number(row.asset)),
            Self::Purges { after, rows } => write!(f, "{} purges after {after}", rows.len()),
            Self::Ingested { ticket, response } => write!(f, "answer {} to batch {ticket}", response.status),
            Self::Fetched { fill, version, mood } => write!(f, "version {version} for fetch {fill}, {mood:?}"),
            Self::Told { number, told } => write!(f, "answer to ask {number}: {told:?}"),
        }
    }
}

impl World {
    pub(crate) fn control_gets(&mut self, packet: Packet) {
        let now = self.wall(self.control.skew_ms);
        match packet {
            Packet::Register { edge, incarnation, beat } => {
                let row = EdgeRow {
                    id: self.edges[edge].id.clone(),
                    region: "local".to_owned(),
                    public_url: "http://edge".to_owned(),
                    private_url: "http://edge".to_owned(),
                    version: String::new(),
                    beat,
                    registered_at: now,
                    beat_at: now,
                };
                if once(self.control.directory.register(&row)).is_ok() {
                    let purge_head = self.head();
                    self.reply(edge, incarnation, &Packet::Heard(Heard::Registered { purge_head }));
                }
            }
            Packet::Beat { edge, incarnation, beat } => {
                let heard = match once(self.control.directory.beat(&self.edges[edge].id, &beat, now)) {
                    Ok(()) => Heard::Beaten { purge_head: self.head() },
                    Err(_) => Heard::Unknown,
                };
                self.reply(edge, incarnation, &Packet::Heard(heard));
            }
            Packet::CatchUp { edge, incarnation, after } => {
                let rows = once(self.control.store.purges_after(after, PURGES_AT_ONCE)).unwrap_or_default();
                self.reply(edge, incarnation, &Packet::Purges { after, rows });
            }
            Packet::Ingest { edge, incarnation, ticket, body } => {
                let response = self.ingest(&body);
                self.reply(edge, incarnation, &Packet::Ingested { ticket, response });
            }
            Packet::Fetch { edge, incarnation, fill, asset } => {
                let version = self.truth.versions[asset];
                let mood = self.origin_mood();
                self.send(Node::Origin, Node::Edge(edge), incarnation, &Packet::Fetched { fill, version, mood });
            }
            Packet::Store { worker, incarnation, number, ask } => {
                let told = self.store(ask);
                self.send(Node::Control, Node::Worker(worker), incarnation, &Packet::Told { number, told });
            }
            Packet::Heard(_)
            | Packet::Purge(_)
            | Packet::Purges { .. }
            | Packet::Ingested { .. }
            | Packet::Fetched { .. }
            | Packet::Told { .. } => {}
        }
    }

    /// The owner replaces an asset at the origin, and every edge is to forget the old version.
    pub(crate) fn publish(&mut self) {
        let now = self.wall(self.control.skew_ms);
        let asset = usize::try_from(self.prng.below(self.truth.versions.len() as u64)).unwrap_or(0);
        self.truth.versions[asset] += 1;
        let version = self.truth.versions[asset];
        let Ok(seq) = once(self.control.store.append_purge(asset_id(asset), now)) else { return };
        self.truth.purges.insert(seq, (asset, version));
        self.say(format_args!("purge {seq}: asset {asset} is at version {version}"));
        let rows = once(self.control.directory.all()).unwrap_or_default();
        let live: Vec<_> = registry::live(&rows, now, LIVE_WINDOW).into_iter().map(|row| row.id.clone()).collect();
        for edge in 0..self.edges.len() {
            if live.contains(&self.edges[edge].id) {
                let incarnation = self.edges[edge].incarnation;
                self.reply(edge, incarnation, &Packet::Purge(PurgeRow { seq, asset: asset_id(asset), at: now }));
            }
        }
    }

    pub(crate) fn new_job(&mut self) {
        let now = self.wall(self.control.skew_ms);
        let id = JobId::new(now, self.prng.ten());
        let job = NewJob { id, asset: asset_id(0), kind: JobKind::Media, run_at: now, attempts_max: ATTEMPTS_MAX };
        if once(self.control.store.enqueue(&job, now)).is_ok() {
            self.control.jobs += 1;
        }
    }

    fn reply(&mut self, edge: usize, incarnation: u32, packet: &Packet) {
        self.send(Node::Control, Node::Edge(edge), incarnation, packet);
    }

    fn head(&self) -> u64 {
        once(self.control.store.purge_head()).unwrap_or(0)
    }

    fn ingest(&mut self, body: &[u8]) -> Response {
        let empty = |status| Response { status, body: Bytes::new() };
        let decoded = match wire::decode(body) {
            Ok(decoded) => decoded,
            Err(error) => {
                self.truth.broken(format!("an edge sent what is not a batch: {error}"));
                return empty(400);
            }
        };
        let mut answer = Answer { rejected: decoded.rejected, ..Answer::default() };
        let mut good = Vec::new();
        for (index, event) in decoded.batch.events.into_iter().enumerate() {
            if self.options.poison && is_poison(event.seq) {
                return empty(422);
            }
            if self.options.poison && is_rejected(event.seq) {
                answer.rejected.push(Rejected { index, reason: "it is refused".to_owned() });
            } else {
                good.push(event);
            }
        }
        // The store is away for one batch of ten while things go wrong, before or after it wrote the batch down.
        let trouble = if self.calm { 0 } else { self.prng.below(20) };
        if trouble == 1 {
            return empty(503);
        }
        let now = self.wall(self.control.skew_ms);
        let batch = PlaybackBatch { events: good, ..decoded.batch };
        let Ok(recorded) = once(self.control.store.record(&batch, now)) else { return empty(503) };
        for event in &batch.events {
            self.truth.received(event, Some(asset_number(event.asset)));
        }
        self.truth.told(batch.boot, batch.dropped_total);
        (answer.new, answer.repeated) = (recorded.new, recorded.repeated);
        if trouble == 2 { empty(500) } else { Response { status: 200, body: answer.to_json() } }
    }

    fn store(&mut self, ask: StoreAsk) -> Told {
        match ask {
            StoreAsk::Claim(claim) => match once(self.control.store.claim(&claim)) {
                Ok(Some((job, lease))) => {
                    self.truth.claimed(lease.job, lease.token);
                    if job.state != JobState::Leased {
                        self.truth.broken(format!("a claimed job is {}", job.state));
                    }
                    Told::Claimed(lease)
                }
                Ok(None) => Told::NothingDue,
                Err(_) => Told::Failed,
            },
            StoreAsk::Extend(lease, expires) => match once(self.control.store.extend(&lease, expires)) {
                Ok(lease) => Told::Extended(lease),
                Err(StoreError::LeaseLost) => Told::LeaseLost,
                Err(_) => Told::Failed,
            },
            StoreAsk::Finish(lease, outcome, now) => match once(self.control.store.finish(&lease, &outcome, now)) {
                Ok(()) => {
                    let done = matches!(outcome, Outcome::Succeed | Outcome::Fail { .. });
                    self.truth.let_go(lease.job, lease.token, done);
                    Told::Finished
                }
                Err(StoreError::LeaseLost) => Told::LeaseLost,
                Err(_) => Told::Failed,
            },
        }
    }
}

/// Orders that one answer carries.
const PURGES_AT_ONCE: usize = 5;
/// How often a job is tried.
pub(crate) const ATTEMPTS_MAX: u32 = 10;
/// How long a worker may keep silent about a job.
pub(crate) const LEASE: Duration = Duration::from_secs(40);
