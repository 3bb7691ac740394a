//! The world: one queue of events, one clock, and everybody in it.

use std::collections::BTreeMap;
use std::fmt;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use rend_core::fleet::registry;
use rend_core::id::AssetId;
use rend_core::prng::Prng;
use rend_core::time::{Mono, Timestamp};
use rend_storage::edges::{EdgeDirectory, PurgeLog};
use rend_storage::jobs::JobQueue;

use crate::checks::Truth;
use crate::control::Control;
use crate::disk::Crash;
use crate::edge::EdgeNode;
use crate::net::{Net, Node};
use crate::scenario::Options;
use crate::viewer::Gate;
use crate::worker::WorkerNode;

/// A fleet, its surroundings, and what is to happen to it.
pub struct World {
    pub(crate) options: Options,
    pub(crate) prng: Prng,
    pub(crate) now: Mono,
    pub(crate) net: Net,
    pub(crate) edges: Vec<EdgeNode>,
    pub(crate) workers: Vec<WorkerNode>,
    pub(crate) control: Control,
    pub(crate) gate: Gate,
    pub(crate) truth: Truth,
    pub(crate) calm: bool,
    queue: BTreeMap<(Mono, u64), Event>,
    events: u64,
    trace: Vec<String>,
}

/// How a run went.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Report {
    /// What was broken; empty when all held.
    pub violations: Vec<String>,
    /// What happened, one line an event.
    pub trace: Vec<String>,
    /// Events that happened.
    pub events: u64,
    /// Telemetry events that arrived, each counted once.
    pub delivered: u64,
    /// Jobs that came to an end.
    pub jobs: u64,
    /// Purges that were ordered.
    pub purges: u64,
    /// Fills that were stored.
    pub stored: u64,
}

/// Something that happens at a moment.
#[derive(Debug)]
pub(crate) enum Event {
    Arrive { to: Node, incarnation: u32, packet: crate::control::Packet },
    Request { edge: usize },
    Tick { edge: usize, incarnation: u32 },
    FillContinues { edge: usize, incarnation: u32, fill: u64, version: u64, piece: u32 },
    FillTimeout { edge: usize, incarnation: u32, fill: u64 },
    AnswerTimeout { edge: usize, incarnation: u32, ticket: u64 },
    WorkEnds { worker: usize, incarnation: u32, work: u64 },
    Publish,
    NewJob,
    Mishap,
    EdgeStarts { edge: usize },
    WorkerStarts { worker: usize },
    DisksHeal { edge: usize },
}

impl World {
    /// The world of `seed`, with everybody started.
    pub fn new(options: Options, seed: u64) -> Self {
        let mut prng = Prng::seeded(seed);
        let net = Net::new(options.loss_percent, options.repeat_percent, options.delay_ms_max);
        let skew = |prng: &mut Prng| signed(prng, options.skew_ms_max);
        let control = Control::new(skew(&mut prng));
        let edges = (0..options.edges).map(|n| EdgeNode::new(n, skew(&mut prng))).collect();
        let workers = (0..options.workers).map(|_| WorkerNode::new(skew(&mut prng))).collect();
        let gate = Gate::new(seed);
        let mut world = Self {
            options,
            prng,
            now: Mono::START,
            net,
            edges,
            workers,
            control,
            gate,
            truth: Truth::new(options.assets, options.poison),
            calm: false,
            queue: BTreeMap::new(),
            events: 0,
            trace: Vec::new(),
        };
        for edge in 0..options.edges {
            world.start_edge(edge);
            world.again(options.request_every_ms, Event::Request { edge });
        }
        (0..options.workers).for_each(|worker| world.start_worker(worker));
        world.again(options.purge_every_ms, Event::Publish);
        world.again(options.job_every_ms, Event::NewJob);
        world.again(options.mishap_every_ms, Event::Mishap);
        world
    }

    /// Runs to the end, or to the first event after which something does not hold.
    pub fn run(mut self) -> Report {
        let trouble = Mono::START + self.options.trouble;
        self.run_until(trouble);
        if self.truth.violations.is_empty() {
            self.heal();
            self.run_until(trouble + self.options.calm);
        }
        if self.truth.violations.is_empty() {
            self.check_liveness();
        }
        let delivered = self.control.accounts().iter().map(|account| account.received).sum();
        let jobs = once(self.control.store.depth()).map_or(0, |depth| self.control.jobs - depth.queued - depth.leased);
        Report {
            violations: self.truth.violations,
            trace: self.trace,
            events: self.events,
            delivered,
            jobs,
            purges: self.truth.purges.len() as u64,
            stored: self.truth.stored,
        }
    }

    /// Lets `event` happen after `wait`.
    pub(crate) fn after(&mut self, wait: Duration, event: Event) {
        self.events += 1;
        self.queue.insert((self.now + wait, self.events), event);
    }

    /// Sends a packet, as far as the network lets it.
    pub(crate) fn send(&mut self, from: Node, to: Node, incarnation: u32, packet: &crate::control::Packet) {
        for delay in self.net.delays(&mut self.prng, from, to) {
            self.after(delay, Event::Arrive { to, incarnation, packet: packet.clone() });
        }
    }

    /// A line for the trace.
    pub(crate) fn say(&mut self, line: fmt::Arguments<'_>) {
        self.trace.push(format!("{:>10.3} {line}", self.now.since_start().as_secs_f64()));
    }

    /// What a node's own clock shows.
    pub(crate) fn wall(&self, skew_ms: i64) -> Timestamp {
        let millis = WALL_MS + u64::try_from(self.now.since_start().as_millis()).unwrap_or(u64::MAX);
        Timestamp::from_millis(millis.saturating_add_signed(skew_ms))
    }

    fn run_until(&mut self, until: Mono) {
        loop {
            let due = self.queue.keys().next().map(|(due, _)| *due);
            let machines = self.edges.iter().filter_map(EdgeNode::deadline);
            let machines = machines.chain(self.workers.iter().filter_map(WorkerNode::deadline)).min();
            let Some(next) = due.into_iter().chain(machines).min().filter(|next| *next <= until) else { break };
            self.now = self.now.max(next);
            self.wake_machines();
            while let Some(entry) = self.queue.first_entry().filter(|entry| entry.key().0 <= self.now) {
                let event = entry.remove();
                self.happen(event);
                self.check_safety();
                if !self.truth.violations.is_empty() {
                    return;
                }
            }
        }
        self.now = until;
    }

    fn wake_machines(&mut self) {
        for edge in 0..self.edges.len() {
            self.wake_edge(edge);
        }
        for worker in 0..self.workers.len() {
            self.wake_worker(worker);
        }
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Arrive { to, incarnation, packet } => {
                self.say(format_args!("{to:?} gets {packet}"));
                match to {
                    Node::Control | Node::Origin => self.control_gets(packet),
                    Node::Edge(edge) => self.edge_gets(edge, incarnation, packet),
                    Node::Worker(worker) => self.worker_gets(worker, incarnation, packet),
                }
            }
            Event::Request { edge } => {
                if !self.calm {
                    self.request(edge);
                    self.again(self.options.request_every_ms, Event::Request { edge });
                }
            }
            Event::Tick { edge, incarnation } => self.tick(edge, incarnation),
            Event::FillContinues { edge, incarnation, fill, version, piece } => {
                self.fill_continues(edge, incarnation, fill, version, piece);
            }
            Event::FillTimeout { edge, incarnation, fill } => self.fill_fails(edge, incarnation, fill),
            Event::AnswerTimeout { edge, incarnation, ticket } => self.ingested(edge, incarnation, ticket, None),
            Event::WorkEnds { worker, incarnation, work } => self.work_ends(worker, incarnation, work),
            Event::Publish => {
                if !self.calm {
                    self.publish();
                    self.again(self.options.purge_every_ms, Event::Publish);
                }
            }
            Event::NewJob => {
                if !self.calm {
                    self.new_job();
                    self.again(self.options.job_every_ms, Event::NewJob);
                }
            }
            Event::Mishap => {
                if !self.calm {
                    self.mishap();
                    self.again(self.options.mishap_every_ms, Event::Mishap);
                }
            }
            Event::EdgeStarts { edge } => self.start_edge(edge),
            Event::WorkerStarts { worker } => self.start_worker(worker),
            Event::DisksHeal { edge } => {
                if let Some(edge) = self.edges.get(edge) {
                    edge.disks.heal();
                }
            }
        }
    }

    /// Lets `event` happen after a pause of `mean_ms` on average; 0 is never.
    fn again(&mut self, mean_ms: u64, event: Event) {
        if mean_ms > 0 {
            let pause = Duration::from_millis(1 + self.prng.below(2 * mean_ms));
            self.after(pause, event);
        }
    }

    fn mishap(&mut self) {
        let mishaps = self.options.mishaps;
        let edge = self.prng.below(self.edges.len() as u64);
        let edge = usize::try_from(edge).unwrap_or(0);
        match self.prng.below(6) {
            0 | 1 if mishaps.crashes && !self.edges.is_empty() => {
                let crash = if self.prng.below(2) == 0 { Crash::Killed } else { Crash::PowerLost };
                self.crash_edge(edge, crash);
            }
            0 | 1 if mishaps.crashes && !self.workers.is_empty() => {
                let worker = usize::try_from(self.prng.below(self.workers.len() as u64)).unwrap_or(0);
                self.crash_worker(worker);
            }
            2 if mishaps.cuts => {
                let others = self.edges.len() + self.workers.len();
                let other = usize::try_from(self.prng.below(others as u64)).unwrap_or(0);
                let other =
                    if other < self.edges.len() { Node::Edge(other) } else { Node::Worker(other - self.edges.len()) };
                let there = self.prng.below(3) != 0 && self.net.toggle(other, Node::Control);
                let back = self.prng.below(3) != 0 && self.net.toggle(Node::Control, other);
                self.say(format_args!("the way of {other:?} to the control plane is cut: {there}, and back: {back}"));
            }
            3 if mishaps.disks && !self.edges.is_empty() => {
                let what = self.edges[edge].disks.mishap(&mut self.prng);
                self.say(format_args!("edge {edge}: {what}"));
                let until = Duration::from_millis(self.prng.below(15_000));
                self.after(until, Event::DisksHeal { edge });
            }
            4 if mishaps.clocks => self.jump(),
            5 if mishaps.directory => {
                self.say(format_args!("the control plane loses its directory of edges"));
                self.control.lose_directory();
            }
            _ => {}
        }
    }

    fn jump(&mut self) {
        let skew = signed(&mut self.prng, self.options.skew_ms_max.max(1000));
        let nodes = self.edges.len() + self.workers.len();
        let node = usize::try_from(self.prng.below(nodes as u64 + 1)).unwrap_or(0);
        self.say(format_args!("the clock of node {node} jumps to {skew} ms off"));
        if let Some(edge) = self.edges.get_mut(node) {
            edge.skew_ms = skew;
        } else if let Some(worker) = self.workers.get_mut(node - self.edges.len()) {
            worker.skew_ms = skew;
        } else {
            self.control.skew_ms = skew;
        }
    }

    fn heal(&mut self) {
        self.say(format_args!("every fault ends"));
        self.calm = true;
        self.net.heal();
        for edge in 0..self.edges.len() {
            self.edges[edge].disks.heal();
            self.start_edge(edge);
        }
        (0..self.workers.len()).for_each(|worker| self.start_worker(worker));
    }

    fn check_safety(&mut self) {
        for edge in 0..self.edges.len() {
            let Some(up) = &self.edges[edge].up else { continue };
            self.truth.account(up.boot, &up.pump.account());
            let stats = up.cache.stats();
            if stats.used_bytes > stats.max_bytes {
                self.truth
                    .broken(format!("the cache of edge {edge} uses {} bytes of {}", stats.used_bytes, stats.max_bytes));
            }
        }
    }

    fn check_liveness(&mut self) {
        let rows = once(self.control.directory.all()).unwrap_or_default();
        let now = self.wall(self.control.skew_ms);
        let playing = registry::playing(&rows, now, LIVE_WINDOW);
        let head = once(self.control.store.purge_head()).unwrap_or(0);
        for edge in 0..self.edges.len() {
            if !playing.iter().any(|row| row.id == self.edges[edge].id) {
                self.truth.broken(format!("edge {edge} is not playing though every fault has ended"));
            }
            let wall_ms = self.wall(self.edges[edge].skew_ms).as_millis();
            let Some(up) = &mut self.edges[edge].up else { continue };
            let seen = up.agent.purge_seen();
            if seen != head {
                self.truth.broken(format!("edge {edge} has carried out {seen} purges of {head}"));
            }
            for asset in 0..self.truth.versions.len() {
                for index in 0..crate::edge::SEGMENTS {
                    if let Some(version) = up.stored(asset, index, wall_ms) {
                        self.truth.served(edge, asset, version);
                        if version != self.truth.versions[asset] {
                            self.truth.broken(format!("edge {edge} keeps an old version of asset {asset}"));
                        }
                    }
                }
            }
            let (boot, account) = (up.boot, up.pump.account());
            self.truth.settle_run(boot, &account);
        }
        self.truth.settle_accounts();
        for account in self.control.accounts() {
            let received = self.truth.received_of(&account.boot);
            if account.received != received {
                self.truth.broken(format!(
                    "the store counts {} events of run {:x?}, of {received}",
                    account.received, account.boot
                ));
            }
        }
        if let Ok(depth) = once(self.control.store.depth())
            && depth.queued + depth.leased > 0
        {
            self.truth.broken(format!("jobs are left over: {depth:?}"));
        }
    }
}

impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("World").field("now", &self.now).field("options", &self.options).finish_non_exhaustive()
    }
}

/// The answer of a memory adapter, which never waits.
///
/// # Panics
///
/// When it does: that is a bug of the adapter.
pub(crate) fn once<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(answer) => answer,
        Poll::Pending => panic!("a memory adapter waited"),
    }
}

/// The name of asset number `asset`.
pub(crate) fn asset_id(asset: usize) -> AssetId {
    AssetId::from_bytes([u8::try_from(asset + 1).unwrap_or(u8::MAX); 16])
}

/// The number of the asset with this name.
pub(crate) fn asset_number(id: AssetId) -> usize {
    usize::from(id.as_bytes()[0]).saturating_sub(1)
}

fn signed(prng: &mut Prng, max: u64) -> i64 {
    let offset = i64::try_from(prng.below(max + 1)).unwrap_or(0);
    if prng.below(2) == 0 { offset } else { -offset }
}

/// What clocks without skew show at the start.
const WALL_MS: u64 = 1_800_000_000_000;
/// An edge is live while its last word is younger than this.
pub(crate) const LIVE_WINDOW: Duration = Duration::from_secs(60);
