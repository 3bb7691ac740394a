//! One attempt at one asset: from the stored source to a playable ladder.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::stream::FuturesUnordered;
use futures::{StreamExt, TryStreamExt};
use rend_core::artifact::{ArtifactPath, Lang, ObjectKey, Rendition};
use rend_core::asset::{Asset, Failure, Move, PlayableState};
use rend_core::job::Lease;
use rend_core::media::check::{self, Rendered};
use rend_core::media::ffmpeg;
use rend_core::media::isobmff::{
    FragmentReader, Init, NewRun, NewTrack, Piece, Sample, TrackKind, read_init, read_segment, write_init,
    write_segment,
};
use rend_core::media::plan::{Cut, Plan, SOUND_FRAME, SOUND_HZ, Unit, plan};
use rend_core::media::playlist::{Master, Media};
use rend_core::media::probe::{self, Cadence, JSON_BYTES_MAX, PacketScan, Reject, Source};
use rend_core::media::sniff::{SNIFF_BYTES, sniff};
use rend_storage::StoreError;
use rend_storage::assets::Change;
use tokio::sync::{Mutex, OwnedSemaphorePermit, mpsc};

use crate::assembly::{Assembly, Segment};
use crate::publish::{Catalogue, Made, Shelf};
use crate::runner::{Jail, Run, RunError};
use crate::sound::Sound;
use crate::trouble::Trouble;
use crate::worker::{Advance, Worker};

/// One attempt: what it works on and with.
pub(crate) struct Attempt<'w> {
    pub(crate) worker: &'w Worker,
    pub(crate) lease: Lease,
    pub(crate) shelf: Shelf,
    /// A folder of its own, removed afterwards.
    pub(crate) scratch: PathBuf,
}

impl Attempt<'_> {
    /// Does all of it.
    pub(crate) async fn perform(&self) -> Result<(), Trouble> {
        self.advance(Move::BeginProcessing, None).await?;
        let input = self.fetch_source().await?;
        let source = self.probe(&input).await?;
        let scan = self.scan(&source, &input).await?;
        let source = match &scan {
            Some(scan) => source
                .measured(scan, &self.worker.config.limits)
                .map_err(|reject| Trouble::Refused(reject, String::new()))?,
            None => source,
        };
        let plan = Arc::new(plan(&source, scan.as_ref(), &self.worker.config.policy));
        let planned = Move::Planned { media: source.facts(), renditions: plan.renditions() };
        self.advance(planned, None).await?;
        tracing::info!(
            asset = %self.shelf.asset, plan = plan.id, rungs = plan.rungs.len(), segments = plan.cuts.len(),
            units = plan.units.len(), "planned"
        );
        let catalogue = self.adopt(&plan).await?;
        Encode::new(self, plan, input, catalogue).perform().await
    }

    async fn advance(&self, step: Move, plan: Option<&Plan>) -> Result<Asset, Trouble> {
        let change = Change {
            asset: self.shelf.asset,
            expect: None,
            step: step.clone(),
            fence: Some(self.lease.clone()),
            enqueue: None,
            now: self.shelf.clock.wall(),
        };
        let asset = self.worker.ports.assets.advance(&change).await?;
        let warm = match (&step, plan) {
            (Move::OpenerReady | Move::HlsReady { .. }, Some(plan)) => plan.warm(self.worker.config.warm_items_max),
            _ => Vec::new(),
        };
        (self.worker.notify)(Advance { asset: asset.clone(), warm });
        Ok(asset)
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
        let run = self.start(&self.worker.config.ffprobe, &args, PROBE_TIMEOUT).await?;
        match run.output(JSON_BYTES_MAX).await {
            Ok((json, _)) => probe::read(&json, container, &self.worker.config.limits).map_err(refuse),
            Err(RunError::Failed { said, .. }) => Err(Trouble::Refused(Reject::Unreadable, said.tail)),
            // Whatever keeps the probe busy for longer than this is made to do so.
            Err(RunError::Timeout { .. }) => Err(refuse(Reject::Unreadable)),
            Err(error) => Err(Trouble::run(error)),
        }
    }

    async fn scan(&self, source: &Source, input: &Path) -> Result<Option<PacketScan>, Trouble> {
        let Some(stream) = source.untold() else { return Ok(None) };
        let args = ffmpeg::packets(source.container, &input.to_string_lossy(), stream);
        let mut run = self.start(&self.worker.config.ffprobe, &args, SCAN_TIMEOUT).await?;
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

    async fn start(&self, program: &Path, args: &[String], timeout: Duration) -> Result<Run, Trouble> {
        let jail = Jail {
            scratch: self.scratch.clone(),
            timeout,
            cpu_secs: timeout.as_secs().saturating_mul(64),
            memory_bytes: self.worker.config.memory_bytes_max,
            file_bytes: FILE_BYTES_MAX,
            offline: self.worker.offline().await,
        };
        Run::start(program, args, &jail).await.map_err(Trouble::run)
    }

    /// Takes over what an earlier attempt at the same plan left; what another plan left is removed.
    async fn adopt(&self, plan: &Arc<Plan>) -> Result<Catalogue, Trouble> {
        let mut catalogue = Catalogue::new(plan.clone());
        let prefix = ObjectKey::asset_prefix(self.shelf.asset);
        let Ok(marker) = format!("{prefix}plan").parse::<ObjectKey>() else { return Ok(catalogue) };
        let earlier = match self.shelf.get(&marker, 64).await {
            Ok((bytes, _)) => Some(bytes),
            Err(StoreError::NotFound { .. }) => None,
            Err(error) => return Err(error.into()),
        };
        let same = earlier.is_some_and(|bytes| bytes == plan.id.as_bytes());
        let mut after = None;
        let mut segments = Vec::new();
        loop {
            let page = self.shelf.objects.list(&prefix, after.as_ref(), PAGE).await?;
            for key in &page {
                let Some(path) = key.as_str().strip_prefix(&prefix).and_then(|p| p.parse::<ArtifactPath>().ok()) else {
                    continue;
                };
                if !same {
                    self.shelf.objects.delete(key).await?;
                } else if let ArtifactPath::Init(rendition) = path {
                    if let Ok(init) = read_init(&self.shelf.get(key, SMALL).await?.0) {
                        catalogue.init(rendition, init);
                    }
                } else if let ArtifactPath::Segment { rendition, index } = path {
                    segments.push((key.clone(), rendition, index));
                }
            }
            after = page.last().cloned();
            if page.len() < PAGE {
                break;
            }
        }
        if !same {
            self.shelf.put_at(&marker, "text/plain", Bytes::copy_from_slice(plan.id.as_bytes())).await?;
            return Ok(catalogue);
        }
        for (key, rendition, index) in segments {
            let Some(init) = catalogue.init_of(rendition).cloned() else { continue };
            let keep = rendition == plan.start() && index < OPENER_SEGMENTS;
            let (bytes, len) = self.shelf.get(&key, if keep { u64::MAX } else { SMALL }).await?;
            let Some(made) = read_back(plan, &init, rendition, index, &bytes, len, keep) else { continue };
            catalogue.add(made);
        }
        Ok(catalogue)
    }
}

/// The encoding of one plan.
struct Encode<'a> {
    attempt: &'a Attempt<'a>,
    plan: Arc<Plan>,
    input: String,
    sound: Option<Sound>,
    sound_encoder: std::sync::Mutex<Option<crate::sound::Encoder>>,
    inits: Mutex<BTreeMap<Rendition, Init>>,
    catalogue: Mutex<Catalogue>,
}

/// What a unit came to.
struct UnitEnd {
    unit: u32,
    frames: u64,
    /// Lines of complaint from the decoder.
    complaints: u64,
}

impl<'a> Encode<'a> {
    fn new(attempt: &'a Attempt<'a>, plan: Arc<Plan>, input: PathBuf, catalogue: Catalogue) -> Self {
        let inits = plan.renditions().into_iter().filter_map(|r| Some((r, catalogue.init_of(r)?.clone()))).collect();
        Self {
            attempt,
            plan,
            input: input.to_string_lossy().into_owned(),
            sound: None,
            sound_encoder: std::sync::Mutex::new(None),
            inits: Mutex::new(inits),
            catalogue: Mutex::new(catalogue),
        }
    }

    async fn perform(mut self) -> Result<(), Trouble> {
        if self.plan.sound {
            let file = std::fs::File::options()
                .read(true)
                .write(true)
                .create(true)
                .truncate(true)
                .open(self.attempt.scratch.join("sound"))
                .map_err(Trouble::scratch)?;
            let (sound, encoder) = Sound::new(file);
            self.sound = Some(sound);
            self.sound_encoder = std::sync::Mutex::new(Some(encoder));
        }
        let this = &self;
        let (sender, receiver) = mpsc::channel(MADE_MAX);
        let units = async move {
            let ends = if this.plan.rungs.is_empty() {
                this.sound_alone(&sender).await?;
                Vec::new()
            } else {
                this.units(&sender).await?
            };
            drop(sender);
            Ok::<_, Trouble>(ends)
        };
        let all = async { tokio::try_join!(units, this.publish(receiver)) };
        let encoder = this.sound_encoder.lock().ok().and_then(|mut slot| slot.take());
        let ends = match encoder {
            Some(encoder) => {
                let args = ffmpeg::audio(&this.plan, &this.input);
                // It waits for the pictures, so it may take as long as all of them one after another.
                let config = &this.attempt.worker.config;
                let runs = u32::try_from(this.plan.units.len()).unwrap_or(u32::MAX).saturating_add(1);
                let timeout = config.process_timeout.saturating_mul(runs);
                let run = this.attempt.start(&config.ffmpeg, &args, timeout).await?;
                let driven = encoder.drive(run);
                tokio::pin!(driven, all);
                // The sound's end does not end the pictures, and a sound that nobody waits for any more is dropped.
                tokio::select! {
                    ends = &mut all => ends?.0,
                    said = &mut driven => {
                        if let Err(error) = said {
                            tracing::warn!(asset = %this.attempt.shelf.asset, %error, "the sound ended with an error");
                            if !matches!(error, RunError::Failed { .. }) {
                                return Err(Trouble::run(error));
                            }
                        }
                        all.await?.0
                    }
                }
            }
            None => all.await?.0,
        };
        self.finish(&ends).await
    }

    async fn start(&self, args: &[String]) -> Result<Run, Trouble> {
        let config = &self.attempt.worker.config;
        self.attempt.start(&config.ffmpeg, args, config.process_timeout).await
    }

    /// Runs the plan's units: the opener first and alone, then as many at once as there are slots.
    async fn units(&self, sender: &mpsc::Sender<Made>) -> Result<Vec<UnitEnd>, Trouble> {
        let mut ends = Vec::new();
        let mut waiting = self.plan.units.iter().peekable();
        if let Some(opener) = waiting.next_if(|unit| unit.is_opener() && !unit.open) {
            ends.push(self.unit(opener, sender, None).await?);
        }
        let mut running = FuturesUnordered::new();
        let rest = async {
            loop {
                while running.len() < self.attempt.worker.config.slots_max() {
                    let Some(unit) = waiting.next() else { break };
                    running.push(async move {
                        let permit = self.attempt.worker.slots.clone().acquire_owned().await.ok();
                        self.unit(unit, sender, permit).await
                    });
                }
                match running.next().await {
                    Some(end) => ends.push(end?),
                    None => return Ok::<_, Trouble>(ends),
                }
            }
        };
        let (ends, ()) = tokio::join!(rest, self.put_poster());
        ends
    }

    async fn unit(
        &self,
        unit: &Unit,
        sender: &mpsc::Sender<Made>,
        _permit: Option<OwnedSemaphorePermit>,
    ) -> Result<UnitEnd, Trouble> {
        if !unit.open && self.is_made(unit).await {
            return Ok(UnitEnd { unit: unit.number, frames: unit.frames, complaints: 0 });
        }
        let mut run = self.start(&ffmpeg::video(&self.plan, unit, &self.input)).await?;
        let mut reader = FragmentReader::default();
        let mut assemblies: Vec<Assembly> =
            unit.outputs.iter().map(|(_, from)| Assembly::new(&self.plan, unit, *from)).collect();
        let mut read_init = None;
        while let Some(chunk) = run.read().await.map_err(Trouble::run)? {
            reader.push(&chunk);
            while let Some(piece) = reader.next_piece().map_err(torn)? {
                match piece {
                    Piece::Init(init) => {
                        for (place, (rendition, _)) in unit.outputs.iter().enumerate() {
                            self.describe(*rendition, init.tracks.get(place).ok_or_else(no_track)?).await?;
                        }
                        read_init = Some(init);
                    }
                    Piece::Samples(samples) => {
                        let init = read_init.as_ref().ok_or_else(no_track)?;
                        for sample in samples {
                            let place = init.tracks.iter().position(|t| t.id == sample.track).ok_or_else(no_track)?;
                            let (Some(assembly), Some((rendition, from))) =
                                (assemblies.get_mut(place), unit.outputs.get(place))
                            else {
                                continue;
                            };
                            if let Some(segment) = assembly.push(sample).filter(|segment| segment.index >= *from) {
                                self.segment(*rendition, segment, sender).await?;
                            }
                        }
                    }
                }
            }
        }
        let said = match run.finish().await {
            Ok(said) => said,
            Err(RunError::Failed { said, status }) if assemblies.iter().any(Assembly::has_frames) => {
                tracing::warn!(asset = %self.attempt.shelf.asset, unit = unit.number, status, "the encoder ended with an error");
                said
            }
            // A stretch of a damaged source may hold nothing at all. The rest of it decides what becomes of it.
            Err(RunError::Failed { said, .. }) if unit.number > 0 => said,
            Err(RunError::Failed { said, .. }) => return Err(Trouble::Refused(Reject::Unreadable, said.tail)),
            Err(error) => return Err(Trouble::run(error)),
        };
        let frames = assemblies.iter().map(Assembly::end).min().unwrap_or(unit.first) - unit.first;
        for (assembly, (rendition, from)) in assemblies.into_iter().zip(&unit.outputs) {
            for segment in assembly.finish(&self.plan).into_iter().filter(|segment| segment.index >= *from) {
                self.segment(*rendition, segment, sender).await?;
            }
        }
        if !said.tail.is_empty() {
            tracing::debug!(asset = %self.attempt.shelf.asset, unit = unit.number, said = said.tail, "the encoder complained");
        }
        Ok(UnitEnd { unit: unit.number, frames, complaints: said.lines })
    }

    async fn is_made(&self, unit: &Unit) -> bool {
        let catalogue = self.catalogue.lock().await;
        let mut needed =
            unit.outputs.iter().flat_map(|(r, from)| unit.segments.clone().filter(|i| *i >= *from).map(|i| (*r, i)));
        needed.all(|(rendition, index)| catalogue.has(rendition, index))
    }

    /// Makes the initialisation segment durable before the first segment, and sees to it that all units agree on it.
    async fn describe(&self, rendition: Rendition, track: &rend_core::media::isobmff::Track) -> Result<(), Trouble> {
        let mut inits = self.inits.lock().await;
        if let Some(known) = inits.get(&rendition) {
            let same = known.first(TrackKind::Video).is_some_and(|known| known.stsd == track.stsd);
            return if same {
                Ok(())
            } else {
                Err(Trouble::permanent("encoder_failed", "two runs described one rung differently", ""))
            };
        }
        let size = track.size;
        let mut tracks = vec![NewTrack {
            id: VIDEO,
            kind: TrackKind::Video,
            timescale: self.plan.grid.timescale,
            size,
            lang: Lang::UND,
            stsd: track.stsd.clone(),
        }];
        if let Some(sound) = &self.sound {
            tracks.push(self.sound_track(SOUND, sound).await?);
        }
        let init = self.put_init(rendition, &tracks).await?;
        inits.insert(rendition, init);
        Ok(())
    }

    async fn sound_track(&self, id: u32, sound: &Sound) -> Result<NewTrack, Trouble> {
        let track = sound.track().await?;
        let lang = self.plan.source.audio.as_ref().map_or(Lang::UND, |audio| audio.lang);
        Ok(NewTrack { id, kind: TrackKind::Audio, timescale: SOUND_HZ, size: (0, 0), lang, stsd: track.stsd })
    }

    async fn put_init(&self, rendition: Rendition, tracks: &[NewTrack]) -> Result<Init, Trouble> {
        let bytes = write_init(tracks);
        let init = read_init(&bytes).map_err(torn)?;
        self.attempt.shelf.put(ArtifactPath::Init(rendition), bytes).await?;
        self.catalogue.lock().await.init(rendition, init.clone());
        Ok(init)
    }

    /// Makes one segment of pictures and sound durable.
    async fn segment(
        &self,
        rendition: Rendition,
        segment: Segment,
        sender: &mpsc::Sender<Made>,
    ) -> Result<(), Trouble> {
        let Segment { index, cut, samples } = segment;
        let sound = match &self.sound {
            Some(sound) => Some(self.sound_samples(sound, &cut).await?),
            None => None,
        };
        let mut runs = vec![NewRun { track: VIDEO, starts_at: self.plan.grid.ticks_at(cut.first), samples: &samples }];
        if let Some((first, samples)) = sound.as_ref().filter(|(_, samples)| !samples.is_empty()) {
            runs.push(NewRun { track: SOUND, starts_at: first * u64::from(SOUND_FRAME), samples });
        }
        self.put_segment(rendition, index, &cut, &runs, sender).await
    }

    async fn put_segment(
        &self,
        rendition: Rendition,
        index: u32,
        cut: &Cut,
        runs: &[NewRun<'_>],
        sender: &mpsc::Sender<Made>,
    ) -> Result<(), Trouble> {
        let bytes = write_segment(index.saturating_add(1), runs);
        let key_bytes = {
            let inits = self.inits.lock().await;
            let init = inits.get(&rendition).ok_or_else(no_track)?;
            read_segment(init, &bytes).map_err(torn)?.first().map_or(0, |run| run.first_sample_end)
        };
        self.attempt.shelf.put(ArtifactPath::Segment { rendition, index }, bytes.clone()).await?;
        let keep = rendition == self.plan.start() && index < OPENER_SEGMENTS;
        let made = Made {
            rendition,
            index,
            micros: self.plan.micros_of(cut),
            bytes: bytes.len() as u64,
            key_bytes,
            kept: keep.then_some(bytes),
        };
        sender.send(made).await.map_err(|_| Trouble::transient("stopped", "publishing ended before encoding", ""))
    }

    /// The frames of sound that begin within `cut`, and the number of the first.
    async fn sound_samples(&self, sound: &Sound, cut: &Cut) -> Result<(u64, Vec<Sample>), Trouble> {
        let frame_at = |frame: u64| {
            let ticks = u128::from(self.plan.grid.ticks_at(frame)) * u128::from(SOUND_HZ);
            let per = u128::from(self.plan.grid.timescale) * u128::from(SOUND_FRAME);
            u64::try_from(ticks.div_ceil(per)).unwrap_or(u64::MAX)
        };
        let first = frame_at(cut.first);
        let frames = sound.frames(first, frame_at(cut.end())).await?;
        Ok((first, frames.into_iter().map(sound_sample).collect()))
    }

    /// A source without pictures: its sound, cut alone.
    async fn sound_alone(&self, sender: &mpsc::Sender<Made>) -> Result<(), Trouble> {
        let Some(sound) = &self.sound else { return Err(Trouble::Refused(Reject::NotAVideo, String::new())) };
        let rendition = self.plan.start();
        let track = self.sound_track(VIDEO, sound).await?;
        let init = self.put_init(rendition, &[track]).await?;
        self.inits.lock().await.insert(rendition, init);
        let firm = self.plan.cuts.len().saturating_sub(2);
        for (index, cut) in self.plan.cuts.iter().enumerate().take(firm) {
            let frames = sound.frames(cut.first, cut.end()).await?;
            if (frames.len() as u64) < cut.frames {
                break;
            }
            self.sound_segment(rendition, index, cut, frames, sender).await?;
        }
        let total = sound.total().await?;
        if total == 0 {
            return Err(Trouble::Refused(Reject::Unreadable, String::new()));
        }
        let done = firm.min(self.plan.cuts.iter().take_while(|cut| cut.end() <= total).count());
        for (index, cut) in self.plan.settled(total, done).iter().enumerate().skip(done) {
            let frames = sound.frames(cut.first, cut.end()).await?;
            self.sound_segment(rendition, index, cut, frames, sender).await?;
        }
        Ok(())
    }

    async fn sound_segment(
        &self,
        rendition: Rendition,
        index: usize,
        cut: &Cut,
        frames: Vec<Bytes>,
        sender: &mpsc::Sender<Made>,
    ) -> Result<(), Trouble> {
        let samples: Vec<Sample> = frames.into_iter().map(sound_sample).collect();
        let runs = [NewRun { track: VIDEO, starts_at: cut.first * u64::from(SOUND_FRAME), samples: &samples }];
        let index = u32::try_from(index).unwrap_or(u32::MAX);
        self.put_segment(rendition, index, cut, &runs, sender).await
    }

    /// Names what became durable, as it does.
    async fn publish(&self, mut made: mpsc::Receiver<Made>) -> Result<(), Trouble> {
        let start = self.plan.start();
        let mut playable = false;
        let mut opener = self.plan.rungs.is_empty();
        loop {
            // What an earlier attempt left is named before anything new arrives.
            for rendition in self.plan.renditions() {
                if rendition == start || playable {
                    self.name(rendition).await?;
                }
            }
            if !playable && self.catalogue.lock().await.is_listed(start) {
                playable = true;
                self.attempt.advance(Move::OpenerReady, Some(&self.plan)).await?;
            }
            if playable && !opener {
                opener = self.put_opener().await?;
            }
            let Some(first) = made.recv().await else { return Ok(()) };
            let mut catalogue = self.catalogue.lock().await;
            catalogue.add(first);
            while let Ok(more) = made.try_recv() {
                catalogue.add(more);
            }
        }
    }

    /// Puts a rendition's list if it grew, and the list of renditions if this one is new.
    async fn name(&self, rendition: Rendition) -> Result<(), Trouble> {
        let now = self.attempt.shelf.clock.mono();
        let (list, new) = {
            let mut catalogue = self.catalogue.lock().await;
            (catalogue.grown(rendition, now), !catalogue.is_listed(rendition))
        };
        let Some(list) = list else { return Ok(()) };
        self.put_text(ArtifactPath::Variant(rendition), list.to_string()).await?;
        let master = {
            let mut catalogue = self.catalogue.lock().await;
            catalogue.put_list(rendition, &list, now);
            new.then(|| catalogue.master())
        };
        match master {
            Some(master) => self.put_text(ArtifactPath::Master, master.to_string()).await,
            None => Ok(()),
        }
    }

    async fn put_opener(&self) -> Result<bool, Trouble> {
        let start = self.plan.start();
        let wanted = usize::try_from(OPENER_SEGMENTS).unwrap_or(0).min(self.plan.cuts.len());
        let Some(segments) = self.catalogue.lock().await.opener(wanted) else { return Ok(false) };
        let (init, _) = self
            .attempt
            .shelf
            .get(&ObjectKey::artifact(self.attempt.shelf.asset, ArtifactPath::Init(start)), SMALL)
            .await?;
        let whole = std::iter::once(init).chain(segments).collect::<Vec<_>>().concat();
        self.attempt.shelf.put(ArtifactPath::Opener, whole.into()).await?;
        Ok(true)
    }

    async fn put_text(&self, path: ArtifactPath, text: String) -> Result<(), Trouble> {
        Ok(self.attempt.shelf.put(path, text.into()).await?)
    }

    /// Ends every list, measures, checks, and calls the asset ready.
    async fn finish(&self, ends: &[UnitEnd]) -> Result<(), Trouble> {
        let renditions = self.plan.renditions();
        let mut catalogue = self.catalogue.lock().await;
        let prefix = catalogue.prefix(self.plan.start());
        if prefix == 0 {
            return Err(Trouble::Refused(Reject::Unreadable, String::new()));
        }
        if renditions.iter().any(|r| catalogue.prefix(*r) != prefix || catalogue.has_hole(*r)) {
            return Err(Trouble::transient("encoder_failed", "the renditions came out with different lengths", ""));
        }
        let made = catalogue.media(self.plan.start(), true).micros();
        if made < self.plan.source.duration_us / 10 {
            // So little of it decodes that calling it playable would be a joke on its owner.
            return Err(Trouble::Refused(Reject::Unreadable, String::new()));
        }
        if self.plan.rungs.is_empty() {
            self.put_poster().await;
        }
        let mut master = Master::default();
        let mut rendered = Vec::new();
        let now = self.attempt.shelf.clock.mono();
        for (place, rendition) in renditions.iter().enumerate() {
            let list = catalogue.media(*rendition, true);
            let (bandwidth, _) = catalogue.measure(*rendition);
            catalogue.put_list(*rendition, &list, now);
            self.put_text(ArtifactPath::Variant(*rendition), list.to_string()).await?;
            if place < rend_core::media::plan::IFRAME_LISTS && !self.plan.rungs.is_empty() {
                let keys = catalogue.iframes(*rendition);
                self.put_text(ArtifactPath::IFrames(*rendition), keys.to_string()).await?;
            }
            master = catalogue.master();
            self.put_text(ArtifactPath::Master, master.to_string()).await?;
            rendered.push((*rendition, list, bandwidth));
        }
        drop(catalogue);
        self.check(&master, &rendered).await?;
        for (rendition, _, bandwidth) in &rendered {
            let ready = Move::RenditionReady { rendition: *rendition, bandwidth: *bandwidth };
            self.attempt.advance(ready, None).await?;
        }
        let short = made + SHORT_US_MAX.max(self.plan.source.duration_us / 50) < self.plan.source.duration_us;
        let complaints: u64 = ends.iter().map(|end| end.complaints).sum();
        let empty = ends.iter().filter(|end| end.frames == 0).map(|end| end.unit).next();
        let broken = self.plan.source.video.as_ref().is_some_and(|video| video.cadence == Cadence::Broken);
        let degraded = short || broken || complaints > 0 || empty.is_some();
        self.attempt.advance(Move::HlsReady { degraded }, Some(&self.plan)).await?;
        tracing::info!(asset = %self.attempt.shelf.asset, degraded, complaints, "ready");
        Ok(())
    }

    /// Reads back what was made and holds it against the rules.
    async fn check(&self, master: &Master, made: &[(Rendition, Media, u64)]) -> Result<(), Trouble> {
        let shelf = &self.attempt.shelf;
        let inits = self.inits.lock().await;
        let mut all = Vec::new();
        for ((rendition, media, _), variant) in made.iter().zip(&master.variants) {
            let init = inits.get(rendition).ok_or_else(no_track)?;
            let reads = (0..media.segments.len()).map(|index| async move {
                let index = u32::try_from(index).unwrap_or(u32::MAX);
                let key = ObjectKey::artifact(shelf.asset, ArtifactPath::Segment { rendition: *rendition, index });
                let (bytes, len) = shelf.get(&key, SMALL).await?;
                Ok::<_, Trouble>((len, read_segment(init, &bytes).map_err(torn)?))
            });
            let segments = futures::stream::iter(reads).buffered(CHECKS_AT_ONCE).try_collect().await?;
            all.push(Rendered { variant: variant.clone(), media: media.clone(), init: init.clone(), segments });
        }
        let mut broken = check::text("master", &master.to_string());
        broken.extend(check::renditions(master, &all));
        match broken.first() {
            None => Ok(()),
            Some(first) => {
                let all: Vec<String> = broken.iter().map(ToString::to_string).collect();
                Err(Trouble::permanent(
                    "check_failed",
                    format!("what was made breaks a rule of HLS: {first}"),
                    all.join("\n"),
                ))
            }
        }
    }

    /// A still, if one can be had; playback does not need it.
    async fn put_poster(&self) {
        let Some(args) = ffmpeg::poster(&self.plan, &self.input) else { return };
        let taken = async {
            let config = &self.attempt.worker.config;
            let run = self.attempt.start(&config.ffmpeg, &args, PROBE_TIMEOUT).await?;
            let (bytes, _) = run.output(POSTER_BYTES_MAX).await.map_err(Trouble::run)?;
            if bytes.is_empty() {
                return Ok(());
            }
            Ok::<_, Trouble>(self.attempt.shelf.put(ArtifactPath::Poster, bytes.into()).await?)
        };
        if let Err(trouble) = taken.await {
            tracing::warn!(asset = %self.attempt.shelf.asset, ?trouble, "no poster");
        }
    }
}

/// Tells the asset that it failed, unless it plays already: then it keeps playing with what there is.
pub(crate) async fn fail(attempt: &Attempt<'_>, failure: Failure) -> Result<(), Trouble> {
    let asset = attempt.worker.ports.assets.get(attempt.shelf.asset).await?;
    if asset.playable == PlayableState::HlsReady {
        return Ok(());
    }
    attempt.advance(Move::Fail(failure), None).await.map(|_| ())
}

const VIDEO: u32 = 1;
const SOUND: u32 = 2;
/// Segments of the first rung that the opener is made of: four seconds.
const OPENER_SEGMENTS: u32 = 2;
/// Durable segments that wait to be named.
const MADE_MAX: usize = 64;
/// Keys asked for at once.
const PAGE: usize = 1000;
/// Enough of any segment for its headers, and all of an initialisation segment.
const SMALL: u64 = 256 << 10;
/// Segments read at once for the check.
const CHECKS_AT_ONCE: usize = 8;
const POSTER_BYTES_MAX: usize = 4 << 20;
const LINE_BYTES_MAX: usize = 4096;
/// Bytes of any file that a run may write. It writes to pipes only.
const FILE_BYTES_MAX: u64 = 0;
const PROBE_TIMEOUT: Duration = Duration::from_secs(20);
const SCAN_TIMEOUT: Duration = Duration::from_secs(120);
/// A result shorter than its source by more than this, or by a fiftieth, was made of a damaged source.
const SHORT_US_MAX: u64 = 1_000_000;

fn sound_sample(data: Bytes) -> Sample {
    Sample { track: SOUND, decoded_at: 0, shown_after: 0, duration: SOUND_FRAME, key: true, data }
}

fn read_back(
    plan: &Plan,
    init: &Init,
    rendition: Rendition,
    index: u32,
    bytes: &Bytes,
    len: u64,
    keep: bool,
) -> Option<Made> {
    let runs = read_segment(init, bytes).ok()?;
    let lead = init.first(TrackKind::Video).or_else(|| init.tracks.first())?;
    let run = runs.iter().find(|run| run.track == lead.id)?;
    let first = run.starts_at / u64::from(plan.grid.ticks);
    let cut = Cut { first, frames: run.duration / u64::from(plan.grid.ticks) };
    let kept = keep.then(|| bytes.clone());
    Some(Made { rendition, index, micros: plan.micros_of(&cut), bytes: len, key_bytes: run.first_sample_end, kept })
}

fn torn(error: rend_core::media::isobmff::BoxError) -> Trouble {
    Trouble::transient("encoder_failed", error.to_string(), "")
}

fn no_track() -> Trouble {
    Trouble::transient("encoder_failed", "the encoder gave another track than asked for", "")
}
