//! One attempt at one asset: from the stored source to a playable ladder.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use rend_core::artifact::ObjectKey;
use rend_core::asset::{Asset, Cost, Failure, MediaFacts, Move, PlayableState};
use rend_core::id::JobId;
use rend_core::job::{JobKind, Lease, NewJob};
use rend_core::media::ffmpeg;
use rend_core::media::plan::{Plan, RunLimit, Unit};
use rend_core::media::probe::{self, JSON_BYTES_MAX, PacketScan, Reject, Source, UNEVEN};
use rend_core::media::sniff::{SNIFF_BYTES, sniff};
use rend_core::time::{Mono, Timestamp};
use rend_storage::StoreError;
use rend_storage::assets::Change;

use crate::encode::Encode;
use crate::passthrough::Passed;
use crate::publish::Shelf;
use crate::runner::{Jail, Run, RunError};
use crate::trouble::Trouble;
use crate::verify::CHECK_FAILED;
use crate::worker::{Advance, Worker};

/// One attempt: what it works on and with.
pub(crate) struct Attempt<'w> {
    pub(crate) worker: &'w Worker,
    pub(crate) lease: Lease,
    pub(crate) shelf: Shelf,
    /// A folder of its own, removed afterwards.
    pub(crate) scratch: PathBuf,
    /// The source as a file, once there is one.
    pub(crate) input: std::sync::OnceLock<PathBuf>,
    /// The source, once it plays as it is.
    pub(crate) passed: std::sync::OnceLock<Passed>,
    /// Set when so much of the source turned out to be damaged that it is not to play, though it does.
    pub(crate) spoilt: std::sync::OnceLock<()>,
    /// When decoding of the source can start, once its description was read.
    pub(crate) keys_us: std::sync::OnceLock<Vec<u64>>,
    pub(crate) began_at: Mono,
    /// What notes on the source cost, as far as that is measured by itself.
    pub(crate) costs: std::sync::Mutex<Vec<(String, Cost)>>,
}

impl Attempt<'_> {
    /// Does what jobs of this kind are for.
    pub(crate) async fn perform_as(&self, kind: JobKind) -> Result<(), Trouble> {
        match kind {
            JobKind::Download => self.deliver().await,
            JobKind::Media | JobKind::Delete | JobKind::Assemble | JobKind::Pull | JobKind::Captions => {
                self.perform().await
            }
        }
    }

    /// Does all of it.
    async fn perform(&self) -> Result<(), Trouble> {
        self.advance(Move::BeginProcessing, None).await?;
        let note = self.pass().await?;
        let input = self.fetch_source().await?;
        let _ = self.input.set(input.clone());
        let mut source = self.probe(&input).await?;
        if let Some(note) = note {
            self.costs(&note, Cost::UntilPlayable);
            source.notes.push(note);
        }
        source.keys_us = self.keys_us.get().cloned().unwrap_or_default();
        let scanned_at = self.shelf.clock.mono();
        let scan = self.scan(&source, &input).await?;
        self.costs(UNEVEN, Cost::Millis(millis(self.shelf.clock.mono().since(scanned_at))));
        let source = match &scan {
            Some(scan) => source
                .measured(scan, &self.worker.config.limits)
                .map_err(|reject| Trouble::Refused(reject, String::new()))?,
            None => source,
        };
        let played = source.clone();
        let (done, taken) =
            tokio::join!(self.play(played, scan.as_ref(), input.clone()), self.take_subtitles(&source, &input));
        if let Err(trouble) = taken
            && let Ok(trouble) = self.unless_gone(trouble).await
        {
            // What plays is not made again for the sake of its captions.
            tracing::warn!(asset = %self.shelf.asset, ?trouble, "the subtitles of a source were not all taken");
        }
        done
    }

    /// Writes down what `note` costs.
    pub(crate) fn costs(&self, note: &str, cost: Cost) {
        if let Ok(mut costs) = self.costs.lock() {
            costs.push((note.to_owned(), cost));
        }
    }

    /// What owners are told of `source`, with what it cost.
    pub(crate) fn facts(&self, source: &Source) -> MediaFacts {
        let mut facts = source.facts();
        if let Ok(costs) = self.costs.lock() {
            for note in &mut facts.notes {
                note.cost = costs.iter().find(|(what, _)| *what == note.what).map_or(note.cost, |(_, cost)| *cost);
            }
        }
        facts
    }

    /// Says that the first seconds play, since now.
    pub(crate) fn opener_ready(&self) -> Move {
        Move::OpenerReady { took_ms: millis(self.shelf.clock.mono().since(self.began_at)) }
    }

    /// Has the source play.
    async fn play(&self, source: Source, scan: Option<&PacketScan>, input: PathBuf) -> Result<(), Trouble> {
        let Some(plan) = self.planned(source, scan, &input).await? else { return Ok(()) };
        let plan = Arc::new(plan);
        tracing::info!(
            asset = %self.shelf.asset, plan = plan.id, rungs = plan.rungs.len(), segments = plan.cuts.len(),
            units = plan.units.len(), "planned"
        );
        let mut catalogue = self.adopt(&plan).await?;
        self.behind(&plan, &mut catalogue);
        Encode::new(self, plan, input, catalogue).perform().await
    }

    pub(crate) async fn advance(&self, step: Move, plan: Option<&Plan>) -> Result<Asset, Trouble> {
        let asset = self.advance_quietly(step.clone()).await?;
        let warm = match (&step, plan) {
            (Move::OpenerReady { .. } | Move::HlsReady { .. }, Some(plan)) => {
                plan.warm(self.worker.config.warm_items_max)
            }
            _ => Vec::new(),
        };
        (self.worker.notify)(Advance { asset: asset.clone(), warm });
        Ok(asset)
    }

    /// The same, told to nobody.
    pub(crate) async fn advance_quietly(&self, step: Move) -> Result<Asset, Trouble> {
        let now = self.shelf.clock.wall();
        let mut change =
            Change { asset: self.shelf.asset, expect: None, step, fence: Some(self.lease.clone()), enqueue: None, now };
        if !matches!(change.step, Move::HlsReady { .. }) {
            return Ok(self.worker.ports.assets.advance(&change).await?);
        }
        // From the moment an asset is ready its captions are published by a job of their own. Whether there are any is
        // looked at together with the step, since somebody may be giving some right now.
        for _ in 0..LOOKS_MAX {
            let asset = self.worker.ports.assets.get(self.shelf.asset).await?;
            change.expect = Some(asset.revision);
            change.enqueue = (!asset.captions.is_empty()).then(|| self.captions_job(now));
            match self.worker.ports.assets.advance(&change).await {
                Err(StoreError::Conflict { .. }) => {}
                done => return Ok(done?),
            }
        }
        (change.expect, change.enqueue) = (None, Some(self.captions_job(now)));
        Ok(self.worker.ports.assets.advance(&change).await?)
    }

    pub(crate) fn captions_job(&self, now: Timestamp) -> NewJob {
        NewJob {
            id: JobId::new(now, (self.worker.entropy)()),
            asset: self.shelf.asset,
            kind: JobKind::Captions,
            run_at: now,
            attempts_max: CAPTIONS_ATTEMPTS_MAX,
        }
    }

    /// The source as a file: the object's own if the store has one, else a copy in the scratch folder.
    async fn fetch_source(&self) -> Result<PathBuf, Trouble> {
        let key = ObjectKey::source(self.shelf.asset);
        if let Some(file) = self.shelf.objects.local(&key).await {
            return Ok(file);
        }
        let path = self.scratch.join("source");
        let mut object = self.shelf.objects.get(&key, None).await?;
        let mut file = tokio::fs::File::create(&path).await.map_err(Trouble::scratch)?;
        while let Some(chunk) = object.body.next().await {
            tokio::io::AsyncWriteExt::write_all(&mut file, &chunk?).await.map_err(Trouble::scratch)?;
        }
        tokio::io::AsyncWriteExt::flush(&mut file).await.map_err(Trouble::scratch)?;
        Ok(path)
    }

    async fn probe(&self, input: &Path) -> Result<Source, Trouble> {
        let refuse = |reject| Trouble::Refused(reject, String::new());
        let (head, _) = self.shelf.get(&ObjectKey::source(self.shelf.asset), SNIFF_BYTES as u64).await?;
        let container = sniff(&head).ok_or_else(|| refuse(Reject::NotAVideo))?;
        let args = ffmpeg::probe(container, &input.to_string_lossy());
        let run = self.start(&self.worker.config.ffprobe, &args, self.worker.config.probe_limit).await?;
        match run.output(JSON_BYTES_MAX).await {
            Ok((json, _)) => probe::read(&json, container, &self.worker.config.limits).map_err(refuse),
            Err(RunError::Failed { said, .. }) => Err(Trouble::Refused(Reject::Unreadable, said.tail)),
            // Whatever keeps the probe busy for longer than this is made to do so. One that only had to wait is tried again.
            Err(RunError::Spent { said, .. }) => Err(Trouble::Refused(Reject::Unreadable, said.tail)),
            Err(error) => Err(Trouble::run(error)),
        }
    }

    async fn scan(&self, source: &Source, input: &Path) -> Result<Option<PacketScan>, Trouble> {
        let Some(stream) = source.untold() else { return Ok(None) };
        let args = ffmpeg::packets(source.container, &input.to_string_lossy(), stream);
        let mut run = self.start(&self.worker.config.ffprobe, &args, SCAN_LIMIT).await?;
        let mut scan = PacketScan::default();
        let mut rest = String::new();
        while let Some(chunk) = run.read().await.map_err(Trouble::run)? {
            rest.push_str(&String::from_utf8_lossy(&chunk));
            while let Some(end) = rest.find('\n') {
                scan.line(&rest[..end]);
                rest.drain(..=end);
            }
            if rest.len() > LINE_BYTES_MAX {
                return Err(Trouble::Refused(Reject::Unreadable, String::new()));
            }
        }
        run.finish().await.map_err(Trouble::run)?;
        Ok(Some(scan))
    }

    /// `trouble`, if it means anything: what goes wrong after the asset was deleted, or after another worker got the job,
    /// is [`Trouble::Lost`] and no failure of anything.
    pub(crate) async fn unless_gone(&self, trouble: Trouble) -> Result<Trouble, Trouble> {
        if matches!(trouble, Trouble::Lost) || self.is_gone().await { Err(Trouble::Lost) } else { Ok(trouble) }
    }

    /// Whether the lease is lost or the asset is deleted, as far as can be told: the lease is beaten once.
    pub(crate) async fn is_gone(&self) -> bool {
        let ports = &self.worker.ports;
        let expires = self.shelf.clock.wall() + self.worker.config.lock_timeout;
        if matches!(ports.jobs.extend(&self.lease, expires).await, Err(StoreError::LeaseLost)) {
            return true;
        }
        match ports.assets.get(self.shelf.asset).await {
            Ok(asset) => !asset.source.is_live(),
            Err(error) => matches!(error, StoreError::NotFound { .. }),
        }
    }

    /// What a run of `unit` may use at most.
    pub(crate) fn limit(&self, plan: &Plan, unit: &Unit) -> RunLimit {
        self.limit_of(unit.cost(plan))
    }

    /// What a run that costs so many pixels may use at most.
    pub(crate) fn limit_of(&self, pixels: u64) -> RunLimit {
        let config = &self.worker.config;
        RunLimit::of(pixels, config.policy.slots, config.run_floor, config.process_timeout)
    }

    pub(crate) async fn start(&self, program: &Path, args: &[String], limit: RunLimit) -> Result<Run, Trouble> {
        let jail = Jail {
            scratch: self.scratch.clone(),
            reads: self.input.get().cloned().into_iter().collect(),
            timeout: limit.wall,
            // Bounds of the system are whole seconds.
            cpu_secs: limit.cpu.as_secs().max(1),
            tells_cpu: program == self.worker.config.ffprobe,
            memory_bytes: self.worker.config.memory_bytes_max,
            file_bytes: FILE_BYTES_MAX,
            offline: self.worker.offline().await,
        };
        Run::start(program, args, &jail).await.map_err(Trouble::run)
    }
}

/// Tells the asset that it failed, unless it plays already: then it keeps playing with what there is. Answers whether it
/// plays.
pub(crate) async fn fail(attempt: &Attempt<'_>, mut failure: Failure) -> Result<bool, Trouble> {
    let asset = attempt.worker.ports.assets.get(attempt.shelf.asset).await?;
    if asset.playable == PlayableState::HlsReady {
        return Ok(true);
    }
    match attempt.keep_playing(&asset, &failure).await {
        Ok(true) => return Ok(true),
        Ok(false) => {}
        // What there is must not play on, whatever kept the rest from being made.
        Err(Trouble::Error(error)) if error.code == CHECK_FAILED => {
            failure = Failure { code: error.code, detail: error.detail };
        }
        Err(trouble) => return Err(trouble),
    }
    attempt.advance(Move::Fail(failure), None).await.map(|_| false)
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

const LINE_BYTES_MAX: usize = 4096;
/// How often is looked whether an asset has captions that is changed meanwhile; after that it is taken to have some.
const LOOKS_MAX: usize = 8;
/// Tries to publish captions: with their waits more than a day.
const CAPTIONS_ATTEMPTS_MAX: u32 = 200;
/// Bytes of any file that a run may write. It writes to pipes only.
const FILE_BYTES_MAX: u64 = 0;
/// What looking at every packet may use: it reads all of the source.
const SCAN_LIMIT: RunLimit = RunLimit { wall: Duration::from_secs(600), cpu: Duration::from_secs(120) };
