//! The side that one thread drives: queue to disk, disk to requests, answers to acknowledgements.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::Duration;

use rend_core::http::{Method, Request, Response};
use rend_core::id::EdgeId;
use rend_core::machine::Machine;
use rend_core::prng::Prng;
use rend_core::time::Mono;

use crate::batch::{Batcher, Happened, Limits, Order};
use crate::files::{FilesError, SegmentFiles};
use crate::recorder::{Account, Counts, Grade, Queued, Recorder};
use crate::ship::{Input, Output, Shipper};
use crate::spool::{Loaded, Spool};
use crate::wire::{self, Answer, hex};

/// Takes what [`Recorder`]s leave to the spool, and from there to the other side.
///
/// Its calls block on the disk, so give it a thread. The thread's loop, with a client that answers through `answers`:
///
/// ```no_run
/// # use std::sync::mpsc::{Receiver, Sender};
/// # use rend_core::{http::Response, time::{Clock, Mono}};
/// # use rend_telemetry::{Pump, Shipment, files::SegmentFiles};
/// # fn run<F: SegmentFiles>(mut pump: Pump<F>, clock: &dyn Clock, client: Sender<Shipment>,
/// #     answers: Receiver<(u64, Option<Response>)>, stopping: impl Fn() -> bool) {
/// while !stopping() {
///     pump.step(clock.mono());
///     if let Some(shipment) = pump.shipment(clock.mono()) {
///         let _ = client.send(shipment); // sends the request, then `answers` hears (ticket, response or none)
///     }
///     let now = clock.mono();
///     if let Ok((ticket, response)) = answers.recv_timeout(pump.deadline(now).since(now)) {
///         pump.on_answer(ticket, response.as_ref(), clock.mono());
///     }
/// }
/// pump.close(clock.mono()); // what was recorded is on disk; the next run delivers it
/// # }
/// ```
///
/// A request that never hears an answer blocks all others: the client has a timeout, and then answers `None`.
pub struct Pump<F> {
    spool: Spool<F>,
    counts: Arc<Counts>,
    boot: [u8; 8],
    node: EdgeId,
    queue: Receiver<Queued>,
    /// Off the queue, not yet on disk.
    pending: VecDeque<(Vec<u8>, Grade)>,
    batcher: Batcher,
    shipper: Shipper,
    config: PumpConfig,
    destination: Destination,
    /// The batch being delivered.
    loaded: Option<Loaded>,
    ready: Option<Shipment>,
    /// The request under way: its ticket, and the losses it told of.
    asked: Option<(u64, u64)>,
    /// What the answer under way said of single events.
    rejected: Vec<usize>,
    newest_next: bool,
    /// After a failed write: not before this.
    stuck_until: Option<Mono>,
    trouble: Option<FilesError>,
    tidy_at: Mono,
    account_at: Mono,
}

/// The bounds and rhythms of a [`Pump`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct PumpConfig {
    /// Events that wait in memory at most; further ones are dropped and counted.
    pub queue_events_max: usize,
    /// Bytes on disk at most, quarantine included; further events are dropped and counted. Events that do not bill stop at
    /// three quarters of it. The ledger, at most about twice [`crate::spool::LEDGER_BYTES_MAX`], is on top.
    pub spool_bytes_max: u64,
    /// When files are synced and sealed.
    pub limits: Limits,
}

impl Default for PumpConfig {
    /// 4,096 events in memory, 1 GiB on disk, and [`Limits::default`].
    fn default() -> Self {
        Self { queue_events_max: 4096, spool_bytes_max: 1 << 30, limits: Limits::default() }
    }
}

/// Where batches go. It has no `Debug`, since it holds a credential.
#[expect(missing_debug_implementations, reason = "it holds a credential")]
#[derive(Clone, Eq, PartialEq)]
pub struct Destination {
    /// The absolute URL of `/internal/telemetry/playback`.
    pub url: String,
    /// The bearer token that the other side expects.
    pub bearer: String,
}

/// One request to send. It has no `Debug`, since its headers carry a credential.
#[expect(missing_debug_implementations, reason = "its headers carry a credential")]
pub struct Shipment {
    /// Goes back to [`Pump::on_answer`].
    pub ticket: u64,
    /// What to send.
    pub request: Request,
    /// Events in it.
    pub events: usize,
}

impl<F: SegmentFiles> Pump<F> {
    /// Opens the spool, reads what earlier runs left in it, and begins the run `boot`.
    ///
    /// `boot` must be new for each start: eight bytes from the operating system's chance. It also seeds the jitter.
    ///
    /// # Errors
    ///
    /// When the files cannot be listed or read. Later trouble is no error but a [`Pump::trouble`].
    pub fn open(
        config: PumpConfig,
        files: F,
        destination: Destination,
        boot: [u8; 8],
        node: EdgeId,
        now: Mono,
    ) -> Result<(Recorder, Self), FilesError> {
        let counts = Arc::new(Counts::default());
        let queue_events_max = config.queue_events_max.max(1);
        counts.queue_others_max.store((queue_events_max as u64 * 3).div_ceil(4), Ordering::Relaxed);
        let (sender, queue) = sync_channel(queue_events_max);
        let recorder = Recorder::new(sender, Arc::clone(&counts), node.clone());
        let spool = Spool::open(files, boot, node.clone(), Arc::clone(&counts), config.spool_bytes_max)?;
        let pump = Self {
            spool,
            counts,
            boot,
            node,
            queue,
            pending: VecDeque::new(),
            batcher: Batcher::new(config.limits),
            shipper: Shipper::new(Prng::seeded(u64::from_le_bytes(boot))),
            config,
            destination,
            loaded: None,
            ready: None,
            asked: None,
            rejected: Vec::new(),
            newest_next: false,
            stuck_until: None,
            trouble: None,
            tidy_at: now,
            account_at: now,
        };
        Ok((recorder, pump))
    }

    /// Moves what was recorded to disk, syncs and seals what is due, and removes what is delivered. Blocks on the disk.
    ///
    /// After a failed write it leaves the disk alone for a second; events then wait in memory up to the queue's bound.
    pub fn step(&mut self, now: Mono) {
        if self.stuck_until.is_none_or(|until| now >= until) {
            let result = self.write(now);
            self.stuck_until = result.is_err().then(|| now + STUCK_FOR);
            match result {
                Ok(()) => {}
                Err(error) => self.trouble = Some(error),
            }
        }
        if self.spool.is_untidy() || now >= self.tidy_at {
            match self.spool.tidy() {
                Ok(()) => self.tidy_at = now + TIDY_EVERY,
                Err(error) => self.trouble = Some(error),
            }
        }
        self.shipper.wake(now);
    }

    /// The next request to send, if one is due. At most one is under way at a time.
    pub fn shipment(&mut self, now: Mono) -> Option<Shipment> {
        self.shipper.wake(now);
        self.perform(now);
        if self.ready.is_none() && self.shipper.is_idle(now) {
            self.offer(now);
            self.perform(now);
        }
        self.ready.take()
    }

    /// Takes in what became of a request: `None` when no answer came in time. An answer with an unknown ticket, such as
    /// one that comes after its timeout, changes nothing.
    pub fn on_answer(&mut self, ticket: u64, response: Option<&Response>, now: Mono) {
        if self.asked.is_none_or(|(asked, _)| asked != ticket) {
            return;
        }
        if let Some(answer) = response.filter(|r| r.is_success()).and_then(|r| Answer::from_json(&r.body)) {
            self.rejected = answer.rejected.iter().map(|rejected| rejected.index).collect();
            self.rejected.sort_unstable();
            self.rejected.dedup();
        }
        self.shipper.handle(Input::Answer { ticket, status: response.map(|r| r.status) }, now);
        self.perform(now);
        self.rejected.clear();
    }

    /// When [`step`](Self::step) and [`shipment`](Self::shipment) are wanted next: a sync interval from `now`, since
    /// recorders do not wake the pump, or sooner when something is due.
    pub fn deadline(&self, now: Mono) -> Mono {
        let due = [self.batcher.deadline(), self.shipper.deadline()].into_iter().flatten().min();
        let poll = now + self.config.limits.sync_after;
        due.map_or(poll, |due| due.min(poll)).max(now)
    }

    /// Takes everything that was recorded to disk and seals it, so that the next run, or a last few
    /// [`shipment`](Self::shipment)s, can deliver it. Recording may go on; call it again then.
    pub fn close(&mut self, now: Mono) {
        self.stuck_until = None;
        self.step(now);
        self.batcher.handle(Happened::Closing, now);
        if let Err(error) = self.obey(now).and_then(|()| self.spool.tidy()) {
            self.trouble = Some(error);
        }
    }

    /// Where every event is. See [`Recorder::account`].
    pub fn account(&self) -> Account {
        self.counts.account()
    }

    /// What went wrong with the disk since this was last asked.
    pub const fn trouble(&mut self) -> Option<FilesError> {
        self.trouble.take()
    }

    fn write(&mut self, now: Mono) -> Result<(), FilesError> {
        // At most one queue's worth a step, so that steps end even while recorders are faster than the disk.
        for _ in 0..self.config.queue_events_max.max(1) {
            if self.pending.len() >= PENDING_EVENTS_MAX {
                self.write_pending(now)?;
            }
            let Ok(queued) = self.queue.try_recv() else { break };
            let grade = Grade::of(&queued.served);
            let event = queued.into_event(self.boot, self.node.clone());
            match wire::encode_event(&event) {
                Some(payload) => self.pending.push_back((payload, grade)),
                // No event of these types is so long; if one were, it would be counted like any other loss.
                None => {
                    self.counts.queued.fetch_sub(1, Ordering::Relaxed);
                    self.spool.lose(event.boot, grade, 1);
                }
            }
        }
        self.write_pending(now)?;
        self.batcher.wake(now);
        self.obey(now)
    }

    fn write_pending(&mut self, now: Mono) -> Result<(), FilesError> {
        while !self.pending.is_empty() {
            let (bytes_max, events_max) = self.batcher.room();
            match self.spool.append(&mut self.pending, bytes_max.max(1), events_max.max(1)) {
                Ok((_, 0)) => {}
                Ok((bytes, events)) => {
                    self.batcher.handle(Happened::Appended { bytes, events }, now);
                    self.obey(now)?;
                }
                Err(error) => {
                    self.batcher.handle(Happened::Abandoned, now);
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    fn obey(&mut self, now: Mono) -> Result<(), FilesError> {
        while let Some(order) = self.batcher.poll() {
            match order {
                Order::Sync => {
                    if let Err(error) = self.spool.sync() {
                        self.batcher.handle(Happened::Abandoned, now);
                        return Err(error);
                    }
                }
                Order::Seal => self.spool.seal(),
            }
        }
        Ok(())
    }

    fn offer(&mut self, now: Mono) {
        while let Some((no, _)) = self.spool.choose(self.newest_next) {
            match self.spool.load(no) {
                Ok(Some(loaded)) => {
                    self.newest_next = !self.newest_next;
                    let pieces = self.spool.pieces(no);
                    self.loaded = Some(loaded);
                    self.shipper.handle(Input::Offer { batch: no, pieces }, now);
                    return;
                }
                Ok(None) => {}
                Err(error) => {
                    let pieces = self.spool.pieces(no);
                    self.spool.defer(no, pieces);
                    self.trouble = Some(error);
                    return;
                }
            }
        }
        // Nothing to deliver but the news of a loss.
        if now >= self.account_at
            && let Some((boot, node)) = self.spool.untold()
        {
            self.account_at = now + ACCOUNT_EVERY;
            self.loaded = Some(Loaded { no: ACCOUNT_ONLY, boot, node, payloads: Vec::new() });
            self.shipper.handle(Input::Offer { batch: ACCOUNT_ONLY, pieces: std::iter::once(0..0).collect() }, now);
        }
    }

    fn perform(&mut self, _now: Mono) {
        while let Some(output) = self.shipper.poll() {
            let Some(loaded) = &self.loaded else { continue };
            match output {
                Output::Send { ticket, piece, .. } => {
                    let dropped_total = self.spool.dropped_total(loaded.boot);
                    self.asked = Some((ticket, dropped_total));
                    let whole = piece.len() == loaded.payloads.len();
                    let id = if whole {
                        format!("{}:{}", hex(&loaded.boot), loaded.no)
                    } else {
                        format!("{}:{}:{}-{}", hex(&loaded.boot), loaded.no, piece.start, piece.end)
                    };
                    let events = piece.len();
                    let payloads = loaded.payloads[piece].iter().map(Vec::as_slice);
                    let body = wire::join(&id, loaded.boot, &loaded.node, dropped_total, payloads);
                    let request = Request {
                        method: Method::Post,
                        url: self.destination.url.clone(),
                        headers: vec![
                            ("authorization", format!("Bearer {}", self.destination.bearer)),
                            ("content-type", "application/json".to_owned()),
                        ],
                        body,
                    };
                    self.ready = Some(Shipment { ticket, request, events });
                }
                Output::Acked { piece, .. } => {
                    let boot = loaded.boot;
                    let (start, len) = (piece.start, piece.len());
                    let mut refused = 0;
                    for index in self.rejected.iter().take_while(|index| **index < len) {
                        self.spool.quarantine(boot, &loaded.node, &loaded.payloads[start + index]);
                        refused += 1;
                    }
                    let acked = len as u64 - refused;
                    self.counts.acked.fetch_add(acked, Ordering::Relaxed);
                    self.counts.spooled.fetch_sub(acked, Ordering::Relaxed);
                    self.learn_told(boot);
                }
                Output::Quarantine { piece, .. } => {
                    let (boot, node) = (loaded.boot, loaded.node.clone());
                    for payload in &loaded.payloads[piece.clone()] {
                        self.spool.quarantine(boot, &node, payload);
                    }
                    if piece.is_empty() {
                        // A side that refuses the bare account would be asked for ever.
                        self.learn_told(boot);
                    }
                }
                Output::Done { batch } => {
                    self.spool.deliver(batch);
                    self.loaded = None;
                }
                Output::Deferred { batch, pieces } => {
                    self.spool.defer(batch, pieces);
                    self.loaded = None;
                }
            }
        }
    }

    fn learn_told(&mut self, boot: [u8; 8]) {
        if let Some((_, total)) = self.asked {
            self.spool.told(boot, total);
        }
    }
}

impl<F> fmt::Debug for Pump<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pump")
            .field("spool", &self.spool)
            .field("account", &self.counts.account())
            .finish_non_exhaustive()
    }
}

/// After a failed write the disk is left alone for so long.
const STUCK_FOR: Duration = Duration::from_secs(1);
/// Losses are written down at least so often.
const TIDY_EVERY: Duration = Duration::from_secs(1);
/// Losses alone are told at most so often.
const ACCOUNT_EVERY: Duration = Duration::from_secs(2);
/// Events off the queue that are not yet on disk, at most.
const PENDING_EVENTS_MAX: usize = 256;
/// The number of a batch that holds no events. Files count from 1.
const ACCOUNT_ONLY: u64 = 0;
