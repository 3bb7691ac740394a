//! The outbox on disk: what was recorded stays here until it is acknowledged.
//!
//! # Format
//!
//! One directory, three kinds of files. Numbers count upwards over all runs and kinds, so names sort by age.
//!
//! | name | holds |
//! |---|---|
//! | `{number}-{boot}.seg` | a segment: one header, then events of one run |
//! | `{number}-{boot}.bad` | quarantine: header and event, for each event that the other side refuses |
//! | `{number}.ledger` | which segments are delivered; how many events each run lost |
//!
//! `number` is 16 hexadecimal digits, `boot` the 16 of the run that wrote the file. Every file is a sequence of frames:
//!
//! ```text
//! ┌───────────────┬───────────────┬──────────────────────────────────┐
//! │ length u32 LE │ crc32c u32 LE │ body: kind, then the rest        │   length and checksum are the body's,
//! └───────────────┴───────────────┴──────────────────────────────────┘   1 ≤ length ≤ 1025
//! H version:u8 boot:8 node:text          header; version is 1
//! E json                                 one event, in the form of `wire`, without boot and node
//! A number:u64                           the segment of this number is delivered
//! D boot:8 total:u64 told:u64 node:text  a run's lost events, and how many of them the other side knows of
//! ```
//!
//! # Rules
//!
//! - A segment is appended to by one run only. Once sealed, or found at a start, it is a batch that never changes: its id
//!   is `boot:number`.
//! - A tail that is cut short or damaged ends the reading of its file; every frame before it counts.
//! - An acknowledgement is written to the ledger and synced before the segment is removed. A crash between the two leaves a
//!   segment that the next start removes; the other order would leave a ledger that speaks of what is gone, or a loss.
//! - A ledger is never appended to after a failed write or by another run. It is written anew under a higher number, synced,
//!   and only then are older ones removed. All that are found are read; their entries only ever grow, so order is no matter.
//! - A file of an unknown version stays where it is, untouched and counted in the quota.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use rend_core::id::EdgeId;

use crate::files::{FilesError, SegmentFiles};
use crate::recorder::{Counts, Grade};
use crate::wire::hex;

mod contents;
mod ledger;
mod names;
pub mod segment;

use contents::contents;
use ledger::Ledger;
use names::{Kind, parse_name};
use segment::{End, Frame};

/// Bytes of a file that are read at most: more than any segment has.
pub const FILE_BYTES_MAX: usize = 8 << 20;
/// Bytes that quarantine files may take in total; further refused events are dropped and counted.
pub const QUARANTINE_BYTES_MAX: u64 = 16 << 20;
/// Bytes after which the ledger is written anew.
pub const LEDGER_BYTES_MAX: u64 = 64 << 10;
/// Runs with unreported losses that are remembered. It takes so many crashes in a row without one delivery to fill it.
pub const RUNS_MAX: usize = 256;

/// The files of one edge's outbox, and the counts of what they hold.
pub(crate) struct Spool<F> {
    files: F,
    boot: [u8; 8],
    node: EdgeId,
    counts: Arc<Counts>,
    bytes_max: u64,
    next_no: u64,
    open: Option<OpenSegment>,
    sealed: BTreeMap<u64, Sealed>,
    runs: BTreeMap<[u8; 8], Run>,
    /// Delivered segments whose files are still to be removed.
    delivered: BTreeMap<u64, (String, u64)>,
    ledger: Option<Ledger>,
    old_ledgers: BTreeSet<String>,
    /// What the ledger does not say yet.
    unwritten: Vec<Frame>,
    /// This run's losses as last written down.
    noted: u64,
    quarantine: Option<String>,
    quarantine_bytes: u64,
}

/// What a segment holds, read back to be delivered.
pub(crate) struct Loaded {
    pub(crate) no: u64,
    pub(crate) boot: [u8; 8],
    pub(crate) node: EdgeId,
    pub(crate) payloads: Vec<Vec<u8>>,
}

#[derive(Debug)]
struct OpenSegment {
    no: u64,
    name: String,
    bytes: u64,
    events: usize,
}

#[derive(Debug)]
struct Sealed {
    name: String,
    bytes: u64,
    events: usize,
    /// What is left to deliver.
    pieces: Vec<Range<usize>>,
    /// How often its delivery gave way to others.
    deferred: u32,
}

#[derive(Debug)]
struct Run {
    node: EdgeId,
    dropped: u64,
    told: u64,
}

impl<F: SegmentFiles> Spool<F> {
    /// Reads what earlier runs left.
    pub(crate) fn open(
        files: F,
        boot: [u8; 8],
        node: EdgeId,
        counts: Arc<Counts>,
        bytes_max: u64,
    ) -> Result<Self, FilesError> {
        let mut spool = Self {
            files,
            boot,
            node: node.clone(),
            counts,
            bytes_max,
            next_no: 1,
            open: None,
            sealed: BTreeMap::new(),
            runs: BTreeMap::from([(boot, Run { node, dropped: 0, told: 0 })]),
            delivered: BTreeMap::new(),
            ledger: None,
            old_ledgers: BTreeSet::new(),
            unwritten: Vec::new(),
            noted: 0,
            quarantine: None,
            quarantine_bytes: 0,
        };
        let found = spool.files.list()?;
        let acked = spool.read_ledgers(&found)?;
        for (name, bytes) in found {
            let Some((no, kind)) = parse_name(&name) else { continue };
            spool.next_no = spool.next_no.max(no.saturating_add(1));
            match kind {
                Kind::Ledger => {}
                Kind::Quarantine => {
                    spool.quarantine_bytes += bytes;
                    spool.grow(bytes);
                }
                Kind::Segment(_) if acked.contains(&no) => {
                    spool.delivered.insert(no, (name, bytes));
                    spool.grow(bytes);
                }
                Kind::Segment(of) => spool.find(no, name, bytes, of)?,
            }
        }
        Ok(spool)
    }

    /// Writes events at the end of the open segment, at most about `bytes_max` bytes and `events_max` events, and takes
    /// those that are written, or dropped for want of quota, off the front of `pending`. Answers bytes and events written.
    ///
    /// After an error the segment is given up: it is sealed as it stands, and what did not reach it is still pending.
    pub(crate) fn append(
        &mut self,
        pending: &mut std::collections::VecDeque<(Vec<u8>, Grade)>,
        bytes_max: u64,
        events_max: u64,
    ) -> Result<(u64, u64), FilesError> {
        let mut chunk = Vec::new();
        let fresh = self.open.is_none();
        if fresh {
            Frame::Header { boot: self.boot, node: self.node.clone() }.write(&mut chunk);
        }
        let head = chunk.len();
        let used = self.counts.spooled_bytes.load(Ordering::Relaxed);
        // The pending events that go into this chunk; those that have no room are dropped on the way.
        let mut taken = Vec::new();
        while let Some((payload, grade)) = pending.front() {
            if (chunk.len() as u64) >= bytes_max.min(CHUNK_BYTES) || taken.len() as u64 >= events_max {
                break;
            }
            let frame = (segment::FRAME_HEAD_BYTES + 1 + payload.len()) as u64;
            let quota = match grade {
                Grade::Billing => self.bytes_max,
                Grade::Other => self.bytes_max / 4 * 3,
            };
            if used + chunk.len() as u64 + frame > quota {
                let grade = *grade;
                pending.pop_front();
                self.lose(self.boot, grade, 1);
                self.counts.queued.fetch_sub(1, Ordering::Relaxed);
                continue;
            }
            segment::write_event(payload, &mut chunk);
            taken.extend(pending.pop_front());
        }
        if taken.is_empty() {
            return Ok((0, 0));
        }
        if fresh {
            let no = self.take_no();
            let name = format!("{no:016x}-{}.seg", hex(&self.boot));
            self.open = Some(OpenSegment { no, name, bytes: 0, events: 0 });
        }
        let Some(open) = &mut self.open else { return Ok((0, 0)) };
        let result = self.files.append(&open.name, &chunk);
        let (bytes, events) = match &result {
            Ok(()) => (chunk.len() as u64, taken.len()),
            Err(_) => landed(&self.files, open),
        };
        let events = events.min(taken.len());
        open.bytes += bytes;
        open.events += events;
        self.grow(bytes);
        self.counts.spooled.fetch_add(events as u64, Ordering::Relaxed);
        self.counts.queued.fetch_sub(events as u64, Ordering::Relaxed);
        for back in taken.drain(events..).rev() {
            pending.push_front(back);
        }
        match result {
            Ok(()) => Ok(((chunk.len() - if fresh { head } else { 0 }) as u64, events as u64)),
            Err(error) => {
                self.seal();
                Err(error)
            }
        }
    }

    /// Syncs the open segment. After an error it is sealed as it stands.
    pub(crate) fn sync(&mut self) -> Result<(), FilesError> {
        let Some(open) = &self.open else { return Ok(()) };
        let synced = self.files.sync(&open.name);
        if synced.is_err() {
            // Whether the bytes reached the disk cannot be known any more, and a second sync might claim they did.
            self.seal();
        }
        synced
    }

    /// Makes the open segment a batch.
    pub(crate) fn seal(&mut self) {
        let Some(open) = self.open.take() else { return };
        if open.events == 0 {
            self.delivered.insert(open.no, (open.name, open.bytes));
            return;
        }
        let pieces = std::iter::once(0..open.events).collect();
        let sealed = Sealed { name: open.name, bytes: open.bytes, events: open.events, pieces, deferred: 0 };
        self.sealed.insert(open.no, sealed);
    }

    /// The batch to deliver next: the oldest, or, each second time, the newest, so that a long backlog does not hide what
    /// happens now. Those whose delivery gave way come after the others.
    pub(crate) fn choose(&self, newest: bool) -> Option<(u64, Vec<Range<usize>>)> {
        let fewest = self.sealed.values().map(|sealed| sealed.deferred).min()?;
        let mut ready = self.sealed.iter().filter(|(_, sealed)| sealed.deferred == fewest);
        let (no, sealed) = if newest { ready.next_back() } else { ready.next() }?;
        Some((*no, sealed.pieces.clone()))
    }

    /// Reads a batch. Events that it should hold but does not are counted as lost; `None` when nothing is left of it.
    pub(crate) fn load(&mut self, no: u64) -> Result<Option<Loaded>, FilesError> {
        let Some(sealed) = self.sealed.get(&no) else { return Ok(None) };
        let bytes = self.files.read(&sealed.name, FILE_BYTES_MAX)?;
        let named = parse_name(&sealed.name);
        let Some((_, Kind::Segment(boot))) = named else { return Ok(None) };
        let content = bytes.as_deref().map(contents).unwrap_or_default();
        let (boot, node) = content.header.unwrap_or_else(|| (boot, self.node.clone()));
        let mut payloads = content.payloads;
        payloads.truncate(sealed.events);
        let (whole, there) = (sealed.events, payloads.len());
        let left: Vec<Range<usize>> =
            sealed.pieces.iter().map(|piece| piece.start.min(there)..piece.end.min(there)).collect();
        let before: usize = sealed.pieces.iter().map(ExactSizeIterator::len).sum();
        let lost = before - left.iter().map(ExactSizeIterator::len).sum::<usize>();
        if there < whole {
            self.lose(boot, Grade::Billing, lost as u64);
            self.counts.spooled.fetch_sub(lost as u64, Ordering::Relaxed);
        }
        let left: Vec<Range<usize>> = left.into_iter().filter(|piece| !piece.is_empty()).collect();
        if left.is_empty() {
            self.deliver(no);
            return Ok(None);
        }
        if let Some(sealed) = self.sealed.get_mut(&no) {
            sealed.events = there;
            sealed.pieces = left;
        }
        Ok(Some(Loaded { no, boot, node, payloads }))
    }

    /// What is left of a batch.
    pub(crate) fn pieces(&self, no: u64) -> Vec<Range<usize>> {
        self.sealed.get(&no).map(|sealed| sealed.pieces.clone()).unwrap_or_default()
    }

    /// Puts a batch behind the others.
    pub(crate) fn defer(&mut self, no: u64, pieces: Vec<Range<usize>>) {
        if let Some(sealed) = self.sealed.get_mut(&no) {
            sealed.pieces = pieces;
            sealed.deferred += 1;
        }
    }

    /// Marks a batch as delivered. Its file goes once the ledger says so.
    pub(crate) fn deliver(&mut self, no: u64) {
        if let Some(sealed) = self.sealed.remove(&no) {
            self.delivered.insert(no, (sealed.name, sealed.bytes));
            self.unwritten.push(Frame::Acked { file_no: no });
        }
    }

    /// Keeps an event that the other side refuses, or drops it when there is no room.
    pub(crate) fn quarantine(&mut self, boot: [u8; 8], node: &EdgeId, payload: &[u8]) {
        let mut frames = Vec::new();
        Frame::Header { boot, node: node.clone() }.write(&mut frames);
        segment::write_event(payload, &mut frames);
        let bytes = frames.len() as u64;
        let used = self.counts.spooled_bytes.load(Ordering::Relaxed);
        let room = self.quarantine_bytes + bytes <= QUARANTINE_BYTES_MAX && used + bytes <= self.bytes_max;
        self.counts.spooled.fetch_sub(1, Ordering::Relaxed);
        let name = match (&self.quarantine, room) {
            (_, false) => return self.lose(boot, Grade::Billing, 1),
            (Some(name), true) => name.clone(),
            (None, true) => format!("{:016x}-{}.bad", self.take_no(), hex(&self.boot)),
        };
        let kept = self.files.append(&name, &frames).and_then(|()| self.files.sync(&name));
        self.quarantine_bytes += bytes;
        self.grow(bytes);
        if kept.is_ok() {
            self.quarantine = Some(name);
            self.counts.quarantined.fetch_add(1, Ordering::Relaxed);
        } else {
            // What stands at the end of that file is not known, so the next one begins another.
            self.quarantine = None;
            self.lose(boot, Grade::Billing, 1);
        }
    }

    /// Events that a run has lost in total, as far as is known.
    pub(crate) fn dropped_total(&self, boot: [u8; 8]) -> u64 {
        let ring = if boot == self.boot { self.counts.ring_dropped.load(Ordering::Relaxed) } else { 0 };
        ring + self.runs.get(&boot).map_or(0, |run| run.dropped)
    }

    /// The other side knows that `boot` lost `total` events.
    pub(crate) fn told(&mut self, boot: [u8; 8], total: u64) {
        let dropped = self.dropped_total(boot);
        if let Some(run) = self.runs.get_mut(&boot)
            && total > run.told
        {
            run.told = total;
            let node = run.node.clone();
            self.unwritten.push(Frame::Dropped { boot, node, total: dropped, told: total });
        }
    }

    /// A run whose losses the other side does not know of in full.
    pub(crate) fn untold(&self) -> Option<([u8; 8], EdgeId)> {
        let untold = self.runs.iter().find(|(boot, run)| self.dropped_total(**boot) > run.told);
        untold.map(|(boot, run)| (*boot, run.node.clone()))
    }

    /// Whether [`tidy`](Self::tidy) has anything to do at once.
    pub(crate) fn is_untidy(&self) -> bool {
        !self.unwritten.is_empty() || !self.delivered.is_empty()
    }

    /// Brings the ledger up to date, then removes what is delivered.
    pub(crate) fn tidy(&mut self) -> Result<(), FilesError> {
        let dropped = self.dropped_total(self.boot);
        if dropped > self.noted {
            let told = self.runs.get(&self.boot).map_or(0, |run| run.told);
            self.unwritten.push(Frame::Dropped { boot: self.boot, node: self.node.clone(), total: dropped, told });
        }
        if !self.unwritten.is_empty() {
            self.write_ledger()?;
            self.noted = dropped;
        }
        while let Some((no, (name, bytes))) = self.delivered.first_key_value() {
            self.files.remove(name)?;
            let (no, bytes) = (*no, *bytes);
            self.delivered.remove(&no);
            self.counts.spooled_bytes.fetch_sub(bytes, Ordering::Relaxed);
        }
        self.forget_settled_runs();
        Ok(())
    }

    /// Counts events lost by a run, other than those lost before they reached the pump.
    pub(crate) fn lose(&mut self, boot: [u8; 8], grade: Grade, events: u64) {
        for _ in 0..events {
            self.counts.drop_one(grade);
        }
        let node = self.node.clone();
        let run = self.runs.entry(boot).or_insert(Run { node, dropped: 0, told: 0 });
        run.dropped += events;
        if boot != self.boot && events > 0 {
            let (node, total, told) = (run.node.clone(), run.dropped, run.told);
            self.unwritten.push(Frame::Dropped { boot, node, total, told });
        }
    }

    /// Takes in a segment of an earlier run.
    fn find(&mut self, no: u64, name: String, bytes: u64, boot: [u8; 8]) -> Result<(), FilesError> {
        // Listed but gone: somebody removed it by hand. Its gap shows.
        let Some(content) = self.files.read(&name, FILE_BYTES_MAX)? else { return Ok(()) };
        self.grow(bytes);
        let content = contents(&content);
        let events = content.payloads.len();
        if events == 0 && content.end == End::Foreign {
            return Ok(());
        }
        if events == 0 {
            self.delivered.insert(no, (name, bytes));
            return Ok(());
        }
        let node = self.node.clone();
        self.runs.entry(boot).or_insert(Run { node, dropped: 0, told: 0 });
        self.counts.recovered.fetch_add(events as u64, Ordering::Relaxed);
        self.counts.spooled.fetch_add(events as u64, Ordering::Relaxed);
        let pieces = std::iter::once(0..events).collect();
        self.sealed.insert(no, Sealed { name, bytes, events, pieces, deferred: 0 });
        Ok(())
    }

    fn take_no(&mut self) -> u64 {
        let no = self.next_no;
        self.next_no += 1;
        no
    }

    fn grow(&self, bytes: u64) {
        self.counts.spooled_bytes.fetch_add(bytes, Ordering::Relaxed);
    }
}

impl<F> fmt::Debug for Spool<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Spool")
            .field("node", &self.node)
            .field("open", &self.open)
            .field("sealed", &self.sealed.len())
            .finish_non_exhaustive()
    }
}

/// How much of a failed append is there: bytes, and events beyond those known.
fn landed<F: SegmentFiles>(files: &F, open: &OpenSegment) -> (u64, usize) {
    let Ok(Some(bytes)) = files.read(&open.name, FILE_BYTES_MAX) else { return (0, 0) };
    let events = contents(&bytes).payloads.len();
    ((bytes.len() as u64).saturating_sub(open.bytes), events.saturating_sub(open.events))
}

/// Bytes that one append carries, about.
const CHUNK_BYTES: u64 = 64 << 10;
