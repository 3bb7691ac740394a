//! The encoding of one plan: which encoder runs when, and what becomes of what it makes.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use rend_core::artifact::{ArtifactPath, Lang, Rendition};
use rend_core::media::ffmpeg;
use rend_core::media::isobmff::{
    FragmentReader, Init, NewRun, NewTrack, Piece, Sample, TrackKind, read_init, read_segment, write_init,
    write_segment,
};
use rend_core::media::plan::{Cut, Plan, SOUND_FRAME, SOUND_HZ, Unit};
use rend_core::media::probe::Reject;
use tokio::sync::{Mutex, OwnedSemaphorePermit, mpsc};

use crate::assembly::{Assembly, Segment};
use crate::process::Attempt;
use crate::publish::{Catalogue, Made};
use crate::runner::{Run, RunError};
use crate::sound::Sound;
use crate::trouble::Trouble;

/// The encoding of one plan.
pub(crate) struct Encode<'a> {
    pub(crate) attempt: &'a Attempt<'a>,
    pub(crate) plan: Arc<Plan>,
    pub(crate) input: String,
    sound: Option<Sound>,
    sound_encoder: std::sync::Mutex<Option<crate::sound::Encoder>>,
    pub(crate) inits: Mutex<BTreeMap<Rendition, Init>>,
    pub(crate) catalogue: Mutex<Catalogue>,
}

/// What a unit came to.
pub(crate) struct UnitEnd {
    pub(crate) unit: u32,
    pub(crate) frames: u64,
    /// Lines of complaint from the decoder.
    pub(crate) complaints: u64,
}

impl<'a> Encode<'a> {
    pub(crate) fn new(attempt: &'a Attempt<'a>, plan: Arc<Plan>, input: PathBuf, catalogue: Catalogue) -> Self {
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

    pub(crate) async fn perform(mut self) -> Result<(), Trouble> {
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
}

const VIDEO: u32 = 1;
const SOUND: u32 = 2;
/// Segments of the first rung that the opener is made of: four seconds.
pub(crate) const OPENER_SEGMENTS: u32 = 2;
/// Durable segments that wait to be named.
const MADE_MAX: usize = 64;

fn sound_sample(data: Bytes) -> Sample {
    Sample { track: SOUND, decoded_at: 0, shown_after: 0, duration: SOUND_FRAME, key: true, data }
}

pub(crate) fn torn(error: rend_core::media::isobmff::BoxError) -> Trouble {
    Trouble::transient("encoder_failed", error.to_string(), "")
}

pub(crate) fn no_track() -> Trouble {
    Trouble::transient("encoder_failed", "the encoder gave another track than asked for", "")
}
