//! An edge: its agent, its cache and its spool, and the viewers that come to it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use rend_cache::{
    Begin, Cache, Config, FailKind, FillReader, FillWriter, Finished, Head, Key, KeyMeta, Lookup, Mode, Scope,
};
use rend_core::artifact::{ArtifactPath, Rendition};
use rend_core::fleet::{Agent, AgentConfig, Ask, Beat, EdgeState, Heard, PurgeRow};
use rend_core::http::Response;
use rend_core::id::EdgeId;
use rend_core::machine::Machine;
use rend_core::time::Mono;
use rend_telemetry::memory::MemoryFiles;
use rend_telemetry::{CacheStatus, Destination, Pump, PumpConfig, Recorder, Served};

use crate::control::Packet;
use crate::disk::{Crash, Disks};
use crate::net::Node;
use crate::origin::Mood;
use crate::world::{Event, World, asset_id};

/// An edge's machine. Its process comes and goes; disks and clock stay.
pub(crate) struct EdgeNode {
    pub(crate) id: EdgeId,
    pub(crate) disks: Disks,
    pub(crate) skew_ms: i64,
    pub(crate) incarnation: u32,
    pub(crate) up: Option<Up>,
}

/// An edge's process.
pub(crate) struct Up {
    pub(crate) boot: [u8; 8],
    pub(crate) agent: Agent,
    pub(crate) cache: Cache,
    pub(crate) pump: Pump<MemoryFiles>,
    recorder: Recorder,
    fills: BTreeMap<u64, Filling>,
    readers: Vec<Reading>,
    next_fill: u64,
    tick_soon: bool,
}

struct Filling {
    writer: FillWriter,
    asset: usize,
    index: u32,
    started: bool,
    mood: Mood,
}

struct Reading {
    reader: FillReader,
    asset: usize,
    index: u32,
    sent: u64,
    /// The version of the fill that is read, once its first bytes are there.
    version: Option<u64>,
    cache: CacheStatus,
}

impl EdgeNode {
    pub(crate) fn new(number: usize, skew_ms: i64) -> Self {
        let id = format!("edge-{number}").parse::<EdgeId>();
        let Ok(id) = id else { unreachable!("the name of an edge keeps to the grammar") };
        Self { id, disks: Disks::new(), skew_ms, incarnation: 0, up: None }
    }

    pub(crate) fn deadline(&self) -> Option<Mono> {
        self.up.as_ref().and_then(|up| up.agent.deadline())
    }
}

impl Up {
    /// The version of an artifact that is stored, looked at as for a viewer.
    pub(crate) fn stored(&self, asset: usize, index: u32, wall_ms: u64) -> Option<u64> {
        match self.cache.lookup(&key(asset, index), wall_ms) {
            Lookup::Hit(hit) => version_of(hit.body()),
            Lookup::Filling(_) | Lookup::Absent | Lookup::Negative(_) | Lookup::Overloaded => None,
        }
    }

    fn beat(&self, state: EdgeState) -> Beat {
        let (stats, account) = (self.cache.stats(), self.pump.account());
        Beat {
            state,
            cache_bytes_max: stats.max_bytes,
            cache_bytes_used: stats.used_bytes,
            cache_entries: stats.entries as u64,
            disk_bytes_free: stats.free_bytes,
            fills: u32::try_from(self.fills.len()).unwrap_or(u32::MAX),
            spool_events: account.spooled,
            dropped_events: account.dropped(),
            purge_seen: self.agent.purge_seen(),
        }
    }
}

impl World {
    /// Starts the process of an edge that is down.
    pub(crate) fn start_edge(&mut self, edge: usize) {
        let Some(node) = self.edges.get(edge) else { return };
        if node.up.is_some() {
            return;
        }
        let wall_ms = self.wall(node.skew_ms).as_millis();
        let mut boot = [0; 8];
        self.prng.fill(&mut boot);
        let files = Arc::<rend_cache::memory::MemoryFiles>::clone(&node.disks.cache);
        let opened = Cache::open(Config::new(CACHE_BYTES_MAX), files, wall_ms);
        let destination = Destination { url: "http://control/ingest".to_owned(), bearer: "secret".to_owned() };
        let config =
            PumpConfig { queue_events_max: 32, spool_bytes_max: self.options.spool_bytes_max, ..PumpConfig::default() };
        let pump = Pump::open(config, node.disks.spool.clone(), destination, boot, node.id.clone(), self.now);
        let (Ok((cache, recovered)), Ok((recorder, pump))) = (opened, pump) else {
            // A disk that refuses at the start: whoever supervises the process starts it again.
            self.say(format_args!("edge {edge} cannot start"));
            return self.after(Duration::from_secs(3), Event::EdgeStarts { edge });
        };
        let agent = Agent::new(AgentConfig::default(), recovered.purge_seen, self.prng.bits(), self.now);
        let node = &mut self.edges[edge];
        node.incarnation += 1;
        let incarnation = node.incarnation;
        node.up = Some(Up {
            boot,
            agent,
            cache,
            pump,
            recorder,
            fills: BTreeMap::new(),
            readers: Vec::new(),
            next_fill: 0,
            tick_soon: false,
        });
        self.say(format_args!("edge {edge} starts, run {boot:x?}, {} purges seen", recovered.purge_seen));
        self.after(Duration::from_millis(1), Event::Tick { edge, incarnation });
        self.wake_edge(edge);
    }

    /// Ends the process of an edge without warning, and lets it start again after a while.
    pub(crate) fn crash_edge(&mut self, edge: usize, crash: Crash) {
        let Some(node) = self.edges.get_mut(edge) else { return };
        let Some(up) = node.up.take() else { return };
        node.disks.crash(crash, &mut self.prng);
        self.truth.run_ended(up.boot, up.pump.account(), crash == Crash::Killed);
        self.truth.process_ended(edge);
        self.say(format_args!("edge {edge} crashes: {crash:?}"));
        let down = Duration::from_millis(self.prng.below(20_000));
        self.after(down, Event::EdgeStarts { edge });
    }

    /// Lets the agent's time pass, and asks what it wants asked.
    pub(crate) fn wake_edge(&mut self, edge: usize) {
        let now = self.now;
        let Some(up) = self.edges[edge].up.as_mut() else { return };
        up.agent.wake(now);
        if up.agent.deadline().is_some_and(|due| due <= now) {
            up.agent.wake(now);
            if up.agent.deadline().is_some_and(|due| due < now) {
                self.truth.broken(format!("the agent of edge {edge} would spin"));
            }
        }
        let incarnation = self.edges[edge].incarnation;
        while let Some(up) = self.edges[edge].up.as_mut()
            && let Some(ask) = up.agent.poll()
        {
            let packet = match ask {
                Ask::Register { state } => Packet::Register { edge, incarnation, beat: up.beat(state) },
                Ask::Beat { state } => Packet::Beat { edge, incarnation, beat: up.beat(state) },
                Ask::CatchUp { after } => Packet::CatchUp { edge, incarnation, after },
            };
            self.send(Node::Edge(edge), Node::Control, 0, &packet);
        }
    }

    pub(crate) fn edge_gets(&mut self, edge: usize, incarnation: u32, packet: Packet) {
        if self.edges[edge].incarnation != incarnation || self.edges[edge].up.is_none() {
            // The connection it came on died with the process that had opened it.
            return;
        }
        match packet {
            Packet::Heard(heard) => self.hear(edge, heard),
            Packet::Purge(row) => {
                let seq = row.seq;
                if self.purge(edge, std::slice::from_ref(&row)) {
                    self.hear(edge, Heard::Purged { seq });
                }
            }
            Packet::Purges { after, rows } => {
                let seen = rows.last().map_or(after, |row| row.seq);
                let done = self.purge(edge, &rows);
                self.hear(edge, if done { Heard::CaughtUp { seen } } else { Heard::Failed });
            }
            Packet::Ingested { ticket, response } => self.ingested(edge, incarnation, ticket, Some(&response)),
            Packet::Fetched { fill, version, mood } => self.fill_starts(edge, fill, version, mood),
            Packet::Register { .. }
            | Packet::Beat { .. }
            | Packet::CatchUp { .. }
            | Packet::Ingest { .. }
            | Packet::Fetch { .. }
            | Packet::Store { .. }
            | Packet::Told { .. } => {}
        }
    }

    fn hear(&mut self, edge: usize, heard: Heard) {
        let now = self.now;
        if let Some(up) = self.edges[edge].up.as_mut() {
            up.agent.handle(heard, now);
        }
        self.wake_edge(edge);
    }

    /// Carries out purges; says whether all of them are written down.
    fn purge(&mut self, edge: usize, rows: &[PurgeRow]) -> bool {
        let Some(up) = self.edges[edge].up.as_mut() else { return false };
        let mut all = true;
        for row in rows {
            // The cache remembers the largest place it is told, and a restart catches up from there. So a purge that came
            // ahead of others is carried out without its place: the gap before it must still be asked for.
            let place = if row.seq == up.cache.purge_seen() + 1 { row.seq } else { 0 };
            let done = up.cache.purge(&Scope::Group(*row.asset.as_bytes()), Mode::Hard, place).is_ok();
            self.truth.purged(edge, row.seq, done);
            all &= done;
        }
        self.read(edge);
        all
    }

    /// A viewer asks for a segment.
    pub(crate) fn request(&mut self, edge: usize) {
        let wall_ms = self.wall(self.edges[edge].skew_ms).as_millis();
        let asset = usize::try_from(self.prng.below(self.truth.versions.len() as u64)).unwrap_or(0);
        let index = u32::try_from(self.prng.below(u64::from(SEGMENTS))).unwrap_or(0);
        if self.edges[edge].up.is_none() {
            return;
        }
        if self.options.tokens && !self.admitted(edge, asset, index) {
            return self.record(edge, asset, index, 403, 0, CacheStatus::Pass);
        }
        let Some(up) = self.edges[edge].up.as_mut() else { return };
        let key = key(asset, index);
        let joined = |reader| Reading { reader, asset, index, sent: 0, version: None, cache: CacheStatus::Coalesced };
        match up.cache.lookup(&key, wall_ms) {
            Lookup::Hit(hit) => {
                let bytes = hit.body().clone();
                match version_of(&bytes) {
                    Some(version) if bytes == body(asset, version) => self.truth.served(edge, asset, version),
                    _ => {
                        self.truth.broken(format!("edge {edge} served a damaged body of asset {asset} segment {index}"))
                    }
                }
                self.record(edge, asset, index, 200, bytes.len() as u64, CacheStatus::Hit);
            }
            Lookup::Filling(reader) => up.readers.push(joined(reader)),
            Lookup::Negative(_) | Lookup::Overloaded => self.record(edge, asset, index, 503, 0, CacheStatus::Pass),
            Lookup::Absent => match up.cache.begin(&key, &KeyMeta::segment(index, None), None, wall_ms) {
                Begin::Lead(writer) => {
                    let fill = up.next_fill;
                    up.next_fill += 1;
                    let own = writer.reader().map(|reader| Reading { cache: CacheStatus::Miss, ..joined(reader) });
                    up.readers.extend(own);
                    up.fills.insert(fill, Filling { writer, asset, index, started: false, mood: Mood::Absent });
                    let incarnation = self.edges[edge].incarnation;
                    self.truth.fetch_began(edge, asset, index);
                    self.send(Node::Edge(edge), Node::Origin, 0, &Packet::Fetch { edge, incarnation, fill, asset });
                    self.after(FILL_PATIENCE, Event::FillTimeout { edge, incarnation, fill });
                }
                Begin::Follow(reader) => up.readers.push(joined(reader)),
                Begin::Stored | Begin::Negative(_) | Begin::Overloaded => {
                    self.record(edge, asset, index, 503, 0, CacheStatus::Pass);
                }
            },
        }
        self.read(edge);
    }

    /// Whether the viewer's token is good, as the edge finds and as it is.
    fn admitted(&mut self, edge: usize, asset: usize, index: u32) -> bool {
        let issuer = self.wall(self.control.skew_ms);
        let now = self.wall(self.edges[edge].skew_ms);
        let assets = self.truth.versions.len();
        let Some(ticket) = self.gate.ticket(asset, assets, issuer) else { return false };
        let admitted = self.gate.admits(&ticket, asset, path(index), now);
        self.truth.admitted(edge, asset, &ticket, now.as_secs(), admitted);
        admitted
    }

    /// The origin's answer begins: its head, and a first piece of the body.
    fn fill_starts(&mut self, edge: usize, fill: u64, version: u64, mood: Mood) {
        let wall_ms = self.wall(self.edges[edge].skew_ms).as_millis();
        let incarnation = self.edges[edge].incarnation;
        let Some(up) = self.edges[edge].up.as_mut() else { return };
        let Some(filling) = up.fills.get_mut(&fill).filter(|filling| !filling.started) else { return };
        filling.started = true;
        filling.mood = mood;
        if mood == Mood::Absent {
            return self.end_fill(edge, fill, |writer| writer.fail(FailKind::NotFound, wall_ms));
        }
        let head = Head::new(&format!("\"{version}\""), "video/mp4");
        let whole = body(filling.asset, version).len() as u64;
        let head = if matches!(mood, Mood::Unannounced { .. }) { head } else { head.with_len(whole) };
        if filling.writer.expect(head, wall_ms).is_err() {
            return self.fill_fails(edge, incarnation, fill);
        }
        self.purge_between_steps();
        self.fill_continues(edge, incarnation, fill, version, 0);
    }

    /// The next piece of the body arrives, or does not.
    pub(crate) fn fill_continues(&mut self, edge: usize, incarnation: u32, fill: u64, version: u64, piece: u32) {
        let wall_ms = self.wall(self.edges[edge].skew_ms).as_millis();
        if self.edges[edge].incarnation != incarnation {
            return;
        }
        let Some(filling) = self.edges[edge].up.as_mut().and_then(|up| up.fills.get_mut(&fill)) else { return };
        let (whole, mood) = (body(filling.asset, version), filling.mood);
        let pieces = mood.pieces().max(1);
        let end = |piece: u32| whole.len() * piece as usize / pieces as usize;
        match mood {
            // The edge's patience ends it.
            Mood::Stalls { after, .. } if piece == after => return self.read(edge),
            Mood::Resets { after, .. } if piece == after => return self.end_fill(edge, fill, drop),
            Mood::Whole { .. }
            | Mood::Unannounced { .. }
            | Mood::Stalls { .. }
            | Mood::Resets { .. }
            | Mood::Short { .. }
            | Mood::Long { .. }
            | Mood::Absent => {}
        }
        let last = piece + 1 == pieces;
        let short = usize::from(last && matches!(mood, Mood::Short { .. }));
        let mut pushed = filling.writer.push(whole.slice(end(piece)..end(piece + 1) - short), wall_ms);
        if last && matches!(mood, Mood::Long { .. }) {
            pushed = pushed.and_then(|()| filling.writer.push(Bytes::from_static(b"x"), wall_ms));
        }
        self.leave_between_steps(edge);
        self.purge_between_steps();
        if pushed.is_err() && piece == 0 {
            self.fill_fails(edge, incarnation, fill);
        } else if pushed.is_err() {
            self.end_fill(edge, fill, drop);
        } else if last {
            let mut finished = None;
            self.end_fill(edge, fill, |writer| finished = Some(writer.finish(wall_ms)));
            let miscounted = matches!(mood, Mood::Short { .. } | Mood::Long { .. });
            match finished {
                Some(Ok(_)) if miscounted => {
                    self.truth.broken(format!("edge {edge} took a miscounted body for a whole one"));
                }
                Some(Ok(Finished::Stored(_))) => self.truth.stored += 1,
                Some(_) | None => {}
            }
        } else {
            let pause = Duration::from_millis(self.prng.below(self.net.delay_ms_max.max(1)));
            self.after(pause, Event::FillContinues { edge, incarnation, fill, version, piece: piece + 1 });
        }
        self.read(edge);
    }

    /// Lets go of a fill in one way or another, and lets its readers see.
    fn end_fill(&mut self, edge: usize, fill: u64, end: impl FnOnce(FillWriter)) {
        let Some(filling) = self.edges[edge].up.as_mut().and_then(|up| up.fills.remove(&fill)) else { return };
        let Filling { writer, asset, index, .. } = filling;
        end(writer);
        self.end_fetch(edge, asset, index);
        self.read(edge);
    }

    /// One of those who read along hangs up.
    pub(crate) fn reader_leaves(&mut self, edge: usize) {
        let Some(up) = self.edges[edge].up.as_mut().filter(|up| !up.readers.is_empty()) else { return };
        let at = usize::try_from(self.prng.below(up.readers.len() as u64)).unwrap_or(0);
        let Reading { asset, index, sent, cache, .. } = up.readers.swap_remove(at);
        self.record(edge, asset, index, 200, sent, cache);
    }

    /// The origin does not answer, or the fill cannot go on.
    pub(crate) fn fill_fails(&mut self, edge: usize, incarnation: u32, fill: u64) {
        let wall_ms = self.wall(self.edges[edge].skew_ms).as_millis();
        if self.edges[edge].incarnation != incarnation {
            return;
        }
        self.end_fill(edge, fill, |writer| writer.fail(FailKind::Timeout, wall_ms));
    }

    /// Only when no younger fetch took this one's place, after a purge.
    fn end_fetch(&mut self, edge: usize, asset: usize, index: u32) {
        let Some(up) = &self.edges[edge].up else { return };
        if !up
            .cache
            .inspect(*asset_id(asset).as_bytes(), 0)
            .iter()
            .any(|view| *view.name == *path(index).to_string() && matches!(view.state, rend_cache::EntryState::Filling))
        {
            self.truth.fetch_ended(edge, asset, index);
        }
    }

    /// Lets every viewer of a fill read on.
    fn read(&mut self, edge: usize) {
        let mut over = Vec::new();
        let Some(up) = self.edges[edge].up.as_mut() else { return };
        let mut cx = Context::from_waker(Waker::noop());
        let (mut served, mut damaged) = (Vec::new(), Vec::new());
        up.readers.retain_mut(|reading| {
            loop {
                match reading.reader.poll_chunk(&mut cx) {
                    Poll::Ready(Some(Ok(bytes))) => {
                        // A fill has one version, which its first bytes tell.
                        let version = *reading.version.get_or_insert_with(|| version_of(&bytes).unwrap_or(0));
                        let (from, whole) = (reading.sent as usize, body(reading.asset, version));
                        if whole.get(from..from + bytes.len()) == Some(&bytes[..]) {
                            served.push((reading.asset, version));
                        } else {
                            damaged.push(reading.asset);
                        }
                        reading.sent += bytes.len() as u64;
                    }
                    Poll::Ready(end) => {
                        if end.is_none() && reading.sent != body(reading.asset, 0).len() as u64 {
                            damaged.push(reading.asset);
                        }
                        let status = if end.is_none() || reading.sent > 0 { 200 } else { 502 };
                        over.push((reading.asset, reading.index, status, reading.sent, reading.cache));
                        return false;
                    }
                    Poll::Pending => return true,
                }
            }
        });
        for asset in damaged {
            self.truth.broken(format!("a reader of a fill at edge {edge} got asset {asset} in part, or not as it is"));
        }
        for (asset, version) in served {
            self.truth.served(edge, asset, version);
        }
        for (asset, index, status, sent, cache) in over {
            self.record(edge, asset, index, status, sent, cache);
        }
    }

    fn record(&mut self, edge: usize, asset: usize, index: u32, status: u16, bytes_sent: u64, cache: CacheStatus) {
        let observed_at = self.wall(self.edges[edge].skew_ms);
        let node = &mut self.edges[edge];
        let Some(up) = node.up.as_mut() else { return };
        up.recorder.record(Served {
            observed_at,
            org: None,
            asset: asset_id(asset),
            session: None,
            path: path(index),
            object_bytes: None,
            bytes_sent,
            range_start: 0,
            status,
            cache,
            ttfb_us: 1,
            duration_ms: 1,
            aborted: false,
        });
        let (boot, incarnation, soon) = (up.boot, node.incarnation, std::mem::replace(&mut up.tick_soon, true));
        self.truth.recorded(boot, asset, bytes_sent);
        if !soon {
            self.after(Duration::from_millis(60), Event::Tick { edge, incarnation });
        }
    }

    /// The pump's thread goes round once.
    pub(crate) fn tick(&mut self, edge: usize, incarnation: u32) {
        let now = self.now;
        if self.edges[edge].incarnation != incarnation {
            return;
        }
        let Some(up) = self.edges[edge].up.as_mut() else { return };
        up.tick_soon = false;
        up.pump.step(now);
        if let Some(shipment) = up.pump.shipment(now) {
            let ticket = shipment.ticket;
            let packet = Packet::Ingest { edge, incarnation, ticket, body: shipment.request.body };
            self.send(Node::Edge(edge), Node::Control, 0, &packet);
            self.after(ANSWER_PATIENCE, Event::AnswerTimeout { edge, incarnation, ticket });
        }
        let Some(up) = self.edges[edge].up.as_mut() else { return };
        let account = up.pump.account();
        let busy = account.queued + account.spooled + account.spooled_bytes > 0;
        let next = Duration::from_millis(if busy { 700 } else { 10_000 });
        if !std::mem::replace(&mut up.tick_soon, true) {
            self.after(next, Event::Tick { edge, incarnation });
        }
    }

    pub(crate) fn ingested(&mut self, edge: usize, incarnation: u32, ticket: u64, response: Option<&Response>) {
        let now = self.now;
        if self.edges[edge].incarnation == incarnation
            && let Some(up) = self.edges[edge].up.as_mut()
        {
            up.pump.on_answer(ticket, response, now);
        }
    }
}

/// The body of an artifact: each half tells its version.
pub(crate) fn body(asset: usize, version: u64) -> Bytes {
    let half = format!("{version:016}-{asset:08}-{}", "x".repeat(274));
    Bytes::from(half.repeat(2))
}

fn version_of(bytes: &[u8]) -> Option<u64> {
    std::str::from_utf8(bytes.get(..16)?).ok()?.parse().ok()
}

fn path(index: u32) -> ArtifactPath {
    ArtifactPath::Segment { rendition: Rendition::P720, index }
}

fn key(asset: usize, index: u32) -> Key {
    Key::new(*asset_id(asset).as_bytes(), &path(index).to_string())
}

/// Segments of each asset.
pub(crate) const SEGMENTS: u32 = 6;
/// Room for about sixteen artifacts, so that eviction is at work too.
const CACHE_BYTES_MAX: u64 = 64 << 10;
/// How long an edge waits for the origin.
const FILL_PATIENCE: Duration = Duration::from_secs(5);
/// How long an edge waits for an answer to its batch.
const ANSWER_PATIENCE: Duration = Duration::from_secs(5);
