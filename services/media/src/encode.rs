//! The encoding of one plan: which encoder runs when, and what becomes of what it makes.
//!
//! A unit that fails is tried once more, each of its rungs alone. A rung that fails again where another succeeds is given
//! up, and the others play without it; a stretch that no rung can be made of is the source's fault and ends all of them.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use rend_core::artifact::{ArtifactPath, Lang, Rendition};
use rend_core::job::JobError;
use rend_core::media::damage::Decoded;
use rend_core::media::ffmpeg;
use rend_core::media::isobmff::{
    FragmentReader, Init, NewRun, NewTrack, Piece, Sample, TrackKind, read_init, read_segment, write_init,
    write_segment,
};
use rend_core::media::plan::{Cut, Plan, RunLimit, SOUND_FRAME, SOUND_HZ, Unit};
use rend_core::media::probe::{Audio, Reject};
use rend_core::media::sounds::sounds;
use tokio::sync::{Mutex, OwnedSemaphorePermit, mpsc};

use crate::assembly::{Assembly, Segment};
use crate::process::Attempt;
use crate::publish::{Catalogue, Made};
use crate::runner::{Run, RunError};
use crate::sound::{Encoder, Sound};
use crate::trouble::Trouble;
use crate::voices::Voice;

/// The encoding of one plan.
pub(crate) struct Encode<'a> {
    pub(crate) attempt: &'a Attempt<'a>,
    pub(crate) plan: Arc<Plan>,
    pub(crate) input: String,
    /// The sound that goes with the pictures, or is alone.
    sound: Option<Sound>,
    /// The sounds that have renditions of their own.
    voices: Vec<Voice>,
    /// The encoders of all of them, each with its stream in the source, until they are started.
    sound_encoders: std::sync::Mutex<Vec<(Audio, Encoder)>>,
    pub(crate) inits: Mutex<BTreeMap<Rendition, Init>>,
    pub(crate) catalogue: Mutex<Catalogue>,
    /// Held while lists are written, so that a rung that is given up is not named again.
    pub(crate) naming: Mutex<()>,
    faults: Mutex<Vec<Fault>>,
}

/// What a unit came to.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct UnitEnd {
    pub(crate) unit: u32,
    pub(crate) frames: u64,
    /// Lines of complaint from the decoder.
    pub(crate) complaints: u64,
    /// What came out of the decoder.
    pub(crate) decoded: Decoded,
}

/// What is known of the sounds once they are made.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct SoundsEnd {
    /// Lines of complaint from the decoders, and encoders that failed.
    pub(crate) complaints: u64,
    /// What came out of the decoders.
    pub(crate) decoded: Decoded,
}

/// A rung that could not be encoded over a stretch, twice.
pub(crate) struct Fault {
    pub(crate) rendition: Rendition,
    pub(crate) segments: Range<u32>,
    pub(crate) error: JobError,
}

/// Says that something became durable. What it was stands in the catalogue, so one message that waits is enough.
pub(crate) type Nudge = mpsc::Sender<()>;

impl<'a> Encode<'a> {
    pub(crate) fn new(attempt: &'a Attempt<'a>, plan: Arc<Plan>, input: PathBuf, catalogue: Catalogue) -> Self {
        let inits =
            plan.all_renditions().into_iter().filter_map(|r| Some((r, catalogue.init_of(r)?.clone()))).collect();
        Self {
            attempt,
            plan,
            input: input.to_string_lossy().into_owned(),
            sound: None,
            voices: Vec::new(),
            sound_encoders: std::sync::Mutex::default(),
            inits: Mutex::new(inits),
            catalogue: Mutex::new(catalogue),
            naming: Mutex::new(()),
            faults: Mutex::new(Vec::new()),
        }
    }

    pub(crate) async fn perform(mut self) -> Result<(), Trouble> {
        let mut encoders = Vec::new();
        if let Some(audio) = self.plan.source.audio.as_ref().filter(|_| self.plan.sound) {
            let (sound, encoder) = Sound::open(&self.attempt.scratch.join("sound"))?;
            self.sound = Some(sound);
            encoders.push((audio.clone(), encoder));
        }
        for (chosen, audio) in sounds(&self.plan.source) {
            // A sound that plays already is not made again.
            if self.plan.sounds.contains(&chosen) {
                let (sound, encoder) = Sound::open(&self.attempt.scratch.join(chosen.rendition.to_string()))?;
                self.voices.push(Voice::new(chosen, sound));
                encoders.push((audio.clone(), encoder));
            }
        }
        self.sound_encoders = std::sync::Mutex::new(encoders);
        let this = &self;
        let (nudge, nudged) = mpsc::channel(1);
        let units = async move {
            let ends = if this.plan.rungs.is_empty() {
                this.sound_alone(&nudge).await?;
                Vec::new()
            } else {
                this.units(&nudge).await?
            };
            drop(nudge);
            Ok::<_, Trouble>(ends)
        };
        let all = async { tokio::try_join!(units, this.publish(nudged)) };
        let driven = this.drive_sounds();
        tokio::pin!(driven, all);
        // The sounds' end does not end the pictures. When those are there, what is left of the sounds is decoded as well:
        // whether all of the source is whole is known only then.
        let (ends, heard) = tokio::select! {
            ends = &mut all => {
                let ends = ends?.0;
                self.hear_out();
                (ends, driven.await?)
            }
            heard = &mut driven => {
                let heard = heard?;
                (all.await?.0, heard)
            }
        };
        let faults = std::mem::take(&mut *self.faults.lock().await);
        self.finish(&ends, &heard, &faults).await
    }

    /// Lets the encoders of all sounds run to their ends.
    fn hear_out(&self) {
        self.sound.iter().chain(self.voices.iter().map(Voice::sound)).for_each(Sound::want_all);
    }

    /// Runs the encoders of all sounds to their ends.
    async fn drive_sounds(&self) -> Result<SoundsEnd, Trouble> {
        let encoders = self.sound_encoders.lock().map(|mut slot| std::mem::take(&mut *slot)).unwrap_or_default();
        let config = &self.attempt.worker.config;
        // They wait for the pictures, so they may take as long as all of those one after another.
        let runs = u32::try_from(self.plan.units.len()).unwrap_or(u32::MAX).saturating_add(1);
        let timeout = config.process_timeout.saturating_mul(runs);
        let mut driven = FuturesUnordered::new();
        for (audio, encoder) in encoders {
            let args = ffmpeg::audio(&self.plan, &audio, &self.input);
            let cpu = self.attempt.limit_of(self.plan.cost_of_sound()).cpu;
            let run = self.attempt.start(&config.ffmpeg, &args, RunLimit { wall: timeout, cpu }).await?;
            driven.push(async move { (audio.index, encoder.drive(run).await) });
        }
        let mut end = SoundsEnd::default();
        while let Some((index, said)) = driven.next().await {
            let said = match said {
                Ok(said) => said,
                Err(RunError::Failed { status, said }) => {
                    let (asset, stderr) = (self.attempt.shelf.asset, &said.tail);
                    tracing::warn!(%asset, status, stderr, "the sound ended with an error");
                    end.complaints += 1;
                    said
                }
                Err(error) => return Err(Trouble::run(error)),
            };
            end.complaints += said.log.complaints();
            end.decoded = end.decoded.and(said.log.sound(index));
        }
        Ok(end)
    }

    async fn start(&self, unit: &Unit) -> Result<Run, Trouble> {
        let args = ffmpeg::video(&self.plan, unit, &self.input);
        self.attempt.start(&self.attempt.worker.config.ffmpeg, &args, self.attempt.limit(&self.plan, unit)).await
    }

    /// Runs the plan's units: the opener first and alone, then as many at once as there are slots.
    async fn units(&self, nudge: &Nudge) -> Result<Vec<UnitEnd>, Trouble> {
        let mut ends = Vec::new();
        let mut waiting = self.plan.units.iter().peekable();
        if let Some(opener) = waiting.next_if(|unit| unit.is_opener() && !unit.open) {
            ends.push(self.carry(opener, nudge, None).await?);
        }
        let mut running = FuturesUnordered::new();
        let rest = async {
            loop {
                while running.len() < self.attempt.worker.config.slots_max() {
                    let Some(unit) = waiting.next() else { break };
                    running.push(async move {
                        let permit = self.attempt.worker.slots.clone().acquire_owned().await.ok();
                        self.carry(unit, nudge, permit).await
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

    /// Carries a unit to its end, unless an earlier attempt did. When it fails, each of its rungs gets one more try, alone.
    async fn carry(
        &self,
        unit: &Unit,
        nudge: &Nudge,
        _permit: Option<OwnedSemaphorePermit>,
    ) -> Result<UnitEnd, Trouble> {
        if let Some(end) = self.catalogue.lock().await.end_of(unit.number) {
            return Ok(end);
        }
        let unit = self.left_of(unit).await;
        if unit.outputs.is_empty() {
            return Ok(UnitEnd { unit: unit.number, frames: unit.frames, ..UnitEnd::default() });
        }
        let first = match self.unit(&unit, nudge).await {
            Ok(end) => return self.record(end).await,
            Err(trouble) => self.attempt.unless_gone(trouble).await?.of_unit()?,
        };
        tracing::warn!(
            asset = %self.attempt.shelf.asset, unit = unit.number, code = first.code, detail = first.detail,
            stderr = first.stderr_tail, "a unit failed and is tried again, each rung alone"
        );
        let mut end = UnitEnd { unit: unit.number, ..UnitEnd::default() };
        let mut failed = false;
        for output in &unit.outputs {
            let alone = Unit { outputs: vec![*output], ..unit.clone() };
            match self.unit(&alone, nudge).await {
                Ok(one) => {
                    end.frames = end.frames.max(one.frames);
                    end.complaints += one.complaints;
                    end.decoded = end.decoded.and(one.decoded);
                }
                Err(trouble) => {
                    let error = self.attempt.unless_gone(trouble).await?.of_unit()?;
                    let segments = unit.segments.start.max(output.1)..unit.segments.end;
                    self.faults.lock().await.push(Fault { rendition: output.0, segments, error });
                    failed = true;
                }
            }
        }
        if failed {
            self.judge().await?;
            return Ok(end);
        }
        self.record(end).await
    }

    /// Writes down that a unit ended well, so that no later attempt runs it again.
    async fn record(&self, end: UnitEnd) -> Result<UnitEnd, Trouble> {
        let shelf = &self.attempt.shelf;
        if let Some(key) = UnitEnd::key(shelf.asset, end.unit) {
            shelf.put_at(&key, "text/plain", end.record().into()).await?;
        }
        self.judge().await?;
        Ok(end)
    }

    /// Gives up every rung that failed over a stretch which another rung has: the source is not to blame for that.
    async fn judge(&self) -> Result<(), Trouble> {
        let mut faults = self.faults.lock().await;
        let guilty = {
            let catalogue = self.catalogue.lock().await;
            let plan = catalogue.plan();
            let others_have = |fault: &&Fault| {
                let has = |rendition| fault.segments.clone().any(|index| catalogue.has(rendition, index));
                plan.rungs.iter().any(|rung| rung.rendition != fault.rendition && has(rung.rendition))
            };
            let judged: BTreeMap<Rendition, JobError> =
                faults.iter().filter(others_have).map(|fault| (fault.rendition, fault.error.clone())).collect();
            judged
        };
        faults.retain(|fault| !guilty.contains_key(&fault.rendition));
        drop(faults);
        for (rendition, error) in guilty {
            self.give_up(rendition, &error).await?;
        }
        Ok(())
    }

    async fn unit(&self, unit: &Unit, nudge: &Nudge) -> Result<UnitEnd, Trouble> {
        tracing::debug!(asset = %self.attempt.shelf.asset, unit = unit.number, first = unit.first, "a unit begins");
        let mut run = self.start(unit).await?;
        let mut reader = FragmentReader::default();
        let mut assemblies: Vec<Assembly> =
            unit.outputs.iter().map(|(_, from)| Assembly::new(&self.plan, unit, *from)).collect();
        let mut read_init = None;
        while let Some(chunk) = run.read().await.map_err(Trouble::in_unit)? {
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
                                self.segment(*rendition, segment, nudge).await?;
                            }
                        }
                    }
                }
            }
        }
        // What an encoder that failed left unfinished is not told from what it would have made, so it is dropped.
        let said = run.finish().await.map_err(Trouble::in_unit)?;
        let frames = assemblies.iter().map(Assembly::end).min().unwrap_or(unit.first) - unit.first;
        for (assembly, (rendition, from)) in assemblies.into_iter().zip(&unit.outputs) {
            for segment in assembly.finish(&self.plan).into_iter().filter(|segment| segment.index >= *from) {
                self.segment(*rendition, segment, nudge).await?;
            }
        }
        if !said.tail.is_empty() {
            tracing::debug!(asset = %self.attempt.shelf.asset, unit = unit.number, said = said.tail, "the encoder complained");
        }
        let decoded = self.plan.source.video.as_ref().map(|video| said.log.pictures(video.index)).unwrap_or_default();
        Ok(UnitEnd { unit: unit.number, frames, complaints: said.log.complaints(), decoded })
    }

    /// The unit without rungs that were given up.
    async fn left_of(&self, unit: &Unit) -> Unit {
        let catalogue = self.catalogue.lock().await;
        let wanted =
            |(rendition, _): &&(Rendition, u32)| catalogue.plan().rungs.iter().any(|rung| rung.rendition == *rendition);
        Unit { outputs: unit.outputs.iter().filter(wanted).copied().collect(), ..unit.clone() }
    }

    /// Makes the initialisation segment durable before the first segment, and sees to it that all units agree on it.
    async fn describe(&self, rendition: Rendition, track: &rend_core::media::isobmff::Track) -> Result<(), Trouble> {
        let mut inits = self.inits.lock().await;
        if let Some(known) = inits.get(&rendition) {
            let same = known.first(TrackKind::Video).is_some_and(|known| known.stsd == track.stsd);
            return if same {
                Ok(())
            } else {
                Err(Trouble::unit("encoder_failed", "two runs described one rung differently"))
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
        let lang = self.plan.source.audio.as_ref().map_or(Lang::UND, |audio| audio.lang);
        Ok(new_sound(id, lang, sound.track().await?.stsd))
    }

    pub(crate) async fn put_init(&self, rendition: Rendition, tracks: &[NewTrack]) -> Result<Init, Trouble> {
        let bytes = write_init(tracks);
        let init = read_init(&bytes).map_err(torn)?;
        self.attempt.shelf.put(ArtifactPath::Init(rendition), bytes).await?;
        self.catalogue.lock().await.init(rendition, init.clone());
        Ok(init)
    }

    /// Makes one segment of pictures and sound durable.
    async fn segment(&self, rendition: Rendition, segment: Segment, nudge: &Nudge) -> Result<(), Trouble> {
        let Segment { index, cut, samples } = segment;
        if self.catalogue.lock().await.has(rendition, index) {
            // An earlier attempt, or an earlier try at this unit, made the same bytes.
            return Ok(());
        }
        let sound = match &self.sound {
            Some(sound) => Some(self.sound_samples(sound, &cut).await?),
            None => None,
        };
        // Where sounds have renditions of their own, no picture is there before what is heard with it.
        for voice in &self.voices {
            self.speak(voice, index, &cut, nudge).await?;
        }
        let mut runs = vec![NewRun { track: VIDEO, starts_at: self.plan.grid.ticks_at(cut.first), samples: &samples }];
        if let Some((first, samples)) = sound.as_ref().filter(|(_, samples)| !samples.is_empty()) {
            runs.push(NewRun { track: SOUND, starts_at: first * u64::from(SOUND_FRAME), samples });
        }
        self.put_segment(rendition, index, self.plan.micros_of(&cut), &runs, nudge).await
    }

    pub(crate) async fn put_segment(
        &self,
        rendition: Rendition,
        index: u32,
        micros: u64,
        runs: &[NewRun<'_>],
        nudge: &Nudge,
    ) -> Result<(), Trouble> {
        let bytes = write_segment(index.saturating_add(1), runs);
        let key_bytes = {
            let inits = self.inits.lock().await;
            let init = inits.get(&rendition).ok_or_else(no_track)?;
            read_segment(init, &bytes).map_err(torn)?.first().map_or(0, |run| run.first_sample_end)
        };
        let len = bytes.len() as u64;
        self.attempt.shelf.put(ArtifactPath::Segment { rendition, index }, bytes).await?;
        let made = Made { rendition, index, micros, bytes: len, key_bytes };
        self.catalogue.lock().await.add(made);
        // When one is waiting already, it says this too; when nobody listens any more, the attempt is ending.
        let _ = nudge.try_send(());
        Ok(())
    }

    /// The frames of sound that begin within `cut`, and the number of the first.
    async fn sound_samples(&self, sound: &Sound, cut: &Cut) -> Result<(u64, Vec<Sample>), Trouble> {
        let heard = self.heard_in(cut);
        let frames = sound.frames(heard.start, heard.end).await?;
        Ok((heard.start, frames.into_iter().map(sound_sample).collect()))
    }

    /// Which frames of sound begin within `cut`.
    pub(crate) fn heard_in(&self, cut: &Cut) -> Range<u64> {
        let frame_at = |frame: u64| {
            let ticks = u128::from(self.plan.grid.ticks_at(frame)) * u128::from(SOUND_HZ);
            let per = u128::from(self.plan.grid.timescale) * u128::from(SOUND_FRAME);
            u64::try_from(ticks.div_ceil(per)).unwrap_or(u64::MAX)
        };
        frame_at(cut.first)..frame_at(cut.end())
    }

    /// A source without pictures: its sound, cut alone.
    async fn sound_alone(&self, nudge: &Nudge) -> Result<(), Trouble> {
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
            self.sound_segment(rendition, index, cut, frames, nudge).await?;
        }
        let total = sound.total().await?;
        if total == 0 {
            return Err(Trouble::Refused(Reject::Unreadable, String::new()));
        }
        let done = firm.min(self.plan.cuts.iter().take_while(|cut| cut.end() <= total).count());
        for (index, cut) in self.plan.settled(total, done).iter().enumerate().skip(done) {
            let frames = sound.frames(cut.first, cut.end()).await?;
            self.sound_segment(rendition, index, cut, frames, nudge).await?;
        }
        Ok(())
    }

    async fn sound_segment(
        &self,
        rendition: Rendition,
        index: usize,
        cut: &Cut,
        frames: Vec<Bytes>,
        nudge: &Nudge,
    ) -> Result<(), Trouble> {
        let samples: Vec<Sample> = frames.into_iter().map(sound_sample).collect();
        let runs = [NewRun { track: VIDEO, starts_at: cut.first * u64::from(SOUND_FRAME), samples: &samples }];
        let index = u32::try_from(index).unwrap_or(u32::MAX);
        self.put_segment(rendition, index, self.plan.micros_of(cut), &runs, nudge).await
    }
}

pub(crate) const VIDEO: u32 = 1;
const SOUND: u32 = 2;
/// Segments of the first rung that the opener is made of: four seconds.
pub(crate) const OPENER_SEGMENTS: u32 = 2;

pub(crate) fn sound_sample(data: Bytes) -> Sample {
    Sample { track: SOUND, decoded_at: 0, shown_after: 0, duration: SOUND_FRAME, key: true, data }
}

/// A track of sound as Rend encodes it.
pub(crate) const fn new_sound(id: u32, lang: Lang, stsd: Bytes) -> NewTrack {
    NewTrack { id, kind: TrackKind::Audio, timescale: SOUND_HZ, size: (0, 0), lang, stsd }
}

pub(crate) fn torn(error: rend_core::media::isobmff::BoxError) -> Trouble {
    Trouble::unit("encoder_failed", error.to_string())
}

pub(crate) fn no_track() -> Trouble {
    Trouble::unit("encoder_failed", "the encoder gave another track than asked for")
}
