//! A source that plays as it is: cut by byte ranges and published without an encoder.
//!
//! ```text
//! description ─▶ survey ─▶ init, segment 0 ─▶ list ─▶ master ─▶ it plays ─▶ the other segments ─▶ the list is ended
//!                                                                                  └▶ the ladder, behind it
//! ```
//!
//! Only ranges of the source are read, so it need not be fetched first. While a ladder is encoded behind it, viewers play
//! the source; the ladder is named when all of it is there.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::{StreamExt, TryStreamExt};
use rend_core::artifact::{ArtifactPath, ObjectKey};
use rend_core::asset::{Asset, Cost, Failure, Move, PlayableState, RenditionState};
use rend_core::media::check::{self, Rendered};
use rend_core::media::damage::Damage;
use rend_core::media::ffmpeg;
use rend_core::media::isobmff::{BoxError, Run, read_segment};
use rend_core::media::moov::{Place, key_instants, locate};
use rend_core::media::passthrough::{Beside, Passthrough, Reason, Voice, beside, report, survey};
use rend_core::media::plan::{Plan, plan};
use rend_core::media::probe::{PacketScan, Reject, Source};
use rend_core::media::sniff::{Container, sniff};
use rend_storage::StoreError;

use crate::announce::opener;
use crate::encode::Encode;
use crate::process::Attempt;
use crate::publish::{Catalogue, Top};
use crate::runner::RunError;
use crate::trouble::Trouble;
use crate::verify::Expected;
use crate::worker::Advance;

/// A source that plays, whole and checked.
#[derive(Debug)]
pub(crate) struct Passed {
    pub(crate) passthrough: Passthrough,
    /// It as it was read back.
    pub(crate) rendered: Rendered,
}

/// Why the source does not play as it is.
enum Stopped {
    /// It would not play well, for these reasons.
    Reasons(Vec<Reason>),
    /// Something went wrong.
    Trouble(Trouble),
}

impl Attempt<'_> {
    /// Lets the source play as it is, if it can. Otherwise answers with a sentence for its owner that says why not.
    pub(crate) async fn pass(&self) -> Result<Option<String>, Trouble> {
        if !self.worker.config.policy.passthrough {
            return Ok(None);
        }
        let stopped = match self.try_to_pass().await {
            Ok(passed) => {
                let _ = self.passed.set(passed);
                return Ok(None);
            }
            Err(stopped) => stopped,
        };
        match stopped {
            Stopped::Reasons(reasons) => {
                tracing::info!(asset = %self.shelf.asset, reasons = report(&reasons), "not passed through");
                Ok(Some(report(&reasons)))
            }
            Stopped::Trouble(trouble) => Err(trouble),
        }
    }

    async fn try_to_pass(&self) -> Result<Passed, Stopped> {
        let passthrough = self.survey().await?;
        self.look_at_starts(&passthrough).await?;
        let planned = Move::Planned { media: passthrough.facts(), renditions: passthrough.renditions() };
        self.advance(planned, None).await?;
        let publisher = Publisher { attempt: self, passthrough: &passthrough };
        let rendered = publisher.publish().await?;
        tracing::info!(
            asset = %self.shelf.asset, passthrough = passthrough.id, segments = passthrough.len(), "passed through"
        );
        Ok(Passed { passthrough, rendered })
    }

    /// Reads the source's description and decides.
    async fn survey(&self) -> Result<Passthrough, Stopped> {
        let key = ObjectKey::source(self.shelf.asset);
        let (mut bytes, file_len) = self.shelf.get(&key, HEAD_BYTES).await?;
        if sniff(&bytes) != Some(Container::Mov) {
            return Err(Reason::Container.into());
        }
        let mut at = 0;
        for _ in 0..LOOKS_MAX {
            match locate(at, &bytes, file_len) {
                Place::Look(next) => {
                    at = next;
                    bytes = self.part(next..next.saturating_add(HEAD_BYTES)).await?;
                }
                Place::At(range) => {
                    let here = |position: u64| usize::try_from(position.checked_sub(at)?).ok();
                    let known = here(range.start).zip(here(range.end)).and_then(|(from, to)| bytes.get(from..to));
                    let moov = match known {
                        Some(moov) => bytes.slice_ref(moov),
                        None => self.part(range).await?,
                    };
                    let _ = self.keys_us.set(key_instants(&moov, file_len));
                    let config = &self.worker.config;
                    return survey(&moov, file_len, &config.limits, &config.policy.ladder).map_err(Stopped::Reasons);
                }
                Place::Nowhere(why) => return Err(Reason::NoDescription(why).into()),
            }
        }
        Err(Reason::NoDescription("its description lies behind too many boxes").into())
    }

    /// Looks at the first bytes of segments that are spread over the whole: what the tables call a key frame may need
    /// others before it, or another description. Every picture is looked at again when its segment is written.
    async fn look_at_starts(&self, passthrough: &Passthrough) -> Result<(), Stopped> {
        let count = passthrough.len();
        let looked_at = count.clamp(1, STARTS_LOOKED_AT);
        let places = (0..looked_at).map(|n| n * count / looked_at);
        let looks = places.filter_map(|place| passthrough.first_picture(place)).map(|range| self.part(range));
        let mut looks = futures::stream::iter(looks).buffered(READS_AT_ONCE);
        while let Some(bytes) = looks.try_next().await? {
            if passthrough.starts_anew(&bytes) != Some(true) {
                return Err(Reason::OpenGroups.into());
            }
            if !passthrough.describes(&bytes) {
                return Err(Reason::ParameterSets.into());
            }
        }
        Ok(())
    }

    /// A part of the source. It is shorter than asked for where the source ends.
    async fn part(&self, range: Range<u64>) -> Result<Bytes, Trouble> {
        let mut object = self.shelf.objects.get(&ObjectKey::source(self.shelf.asset), Some(range.clone())).await?;
        let mut all = BytesMut::new();
        while let Some(chunk) = object.body.next().await {
            all.extend_from_slice(&chunk?);
        }
        Ok(all.freeze())
    }

    /// Decides what is encoded, and writes it down. `None` when all is done: the source plays and nothing lies below it.
    pub(crate) async fn planned(
        &self,
        mut source: Source,
        scan: Option<&PacketScan>,
        input: &Path,
    ) -> Result<Option<Plan>, Trouble> {
        let policy = &self.worker.config.policy;
        let Some(passed) = self.passed.get() else {
            let plan = plan(&source, scan, policy);
            let planned = Move::Planned { media: self.facts(&plan.source), renditions: plan.all_renditions() };
            self.advance(planned, None).await?;
            return Ok(Some(plan));
        };
        self.costs(passed.passthrough.note(), Cost::UntilPlayable);
        source.notes.push(passed.passthrough.note().to_owned());
        let beside = beside(&passed.passthrough, &source, scan, policy);
        let mut renditions = match &beside {
            Beside::Alone(_) => Vec::new(),
            Beside::Below(plan) | Beside::Instead(plan) => plan.all_renditions(),
        };
        if !matches!(beside, Beside::Instead(_)) {
            renditions.extend(passed.passthrough.renditions());
        }
        self.advance(Move::Planned { media: self.facts(&source), renditions }, None).await?;
        if matches!(beside, Beside::Alone(_)) {
            // Somebody may watch it by now; what is called ready is read back all the same.
            self.check(&Expected::default()).await?;
        }
        if !matches!(beside, Beside::Instead(_)) {
            self.ready(passed).await?;
        }
        match beside {
            Beside::Alone(plan) => {
                let plan = Arc::new(plan);
                let encode = Encode::new(self, plan.clone(), input.to_owned(), Catalogue::new(plan.clone()));
                let stills = async {
                    encode.put_poster().await;
                    self.storyboard_of_source(passed).await;
                };
                let path = input.to_string_lossy();
                let (damage, ()) = tokio::join!(self.damage(&plan, true, &path), stills);
                let degraded = match damage? {
                    Damage::None => false,
                    Damage::Some => true,
                    Damage::Spoilt(reject) => return Err(self.spoilt(reject)),
                };
                self.advance(Move::HlsReady { degraded }, None).await?;
                Ok(None)
            }
            Beside::Below(plan) | Beside::Instead(plan) => Ok(Some(plan)),
        }
    }

    /// How damaged is what is played as it is beside `plan`, or `alone`: see [`ffmpeg::decode`].
    pub(crate) async fn damage(&self, plan: &Plan, alone: bool, input: &str) -> Result<Damage, Trouble> {
        let Some(args) = ffmpeg::decode(plan, alone, input) else { return Ok(Damage::None) };
        let config = &self.worker.config;
        let _permit = self.worker.slots.clone().acquire_owned().await.ok();
        let run = self.start(&config.ffmpeg, &args, self.limit_of(plan.cost_to_decode())).await?;
        let (log, failed) = match run.output(DECODED_BYTES_MAX).await {
            Ok((_, said)) => (said.log, 0),
            Err(RunError::Failed { said, .. }) => (said.log, 1),
            Err(error) => return Err(Trouble::run(error)),
        };
        let seen = plan.source.video.as_ref().map(|video| log.pictures(video.index)).unwrap_or_default();
        Ok(seen.damage(log.complaints() + failed))
    }

    /// Refuses a source that is too damaged, also when it plays already.
    pub(crate) fn spoilt(&self, reject: Reject) -> Trouble {
        let _ = self.spoilt.set(());
        Trouble::Refused(reject, String::new())
    }

    /// Has the ladder of `plan` stay unnamed until it is complete, and then with the source above it, if the source plays.
    pub(crate) fn behind(&self, plan: &Plan, catalogue: &mut Catalogue) {
        let Some(passed) = self.passed.get() else { return };
        let below = plan.route == rend_core::media::plan::Route::Passthrough;
        let top = below.then(|| Top {
            variant: passed.rendered.variant.clone(),
            keys: passed.passthrough.iframe_variant(),
            sounds: passed.passthrough.heard(),
        });
        catalogue.stay_behind(top);
    }

    /// Whether what is stored at `name`, below the asset, belongs to the source that plays.
    pub(crate) fn keeps(&self, name: &str) -> bool {
        let Some(passed) = self.passed.get() else { return false };
        match name.parse::<ArtifactPath>() {
            Ok(ArtifactPath::Master | ArtifactPath::Opener) => true,
            Ok(path) => path.rendition().is_some_and(|own| passed.passthrough.renditions().contains(&own)),
            Err(_) => name == MARKER,
        }
    }

    /// Says that all that is passed through is there.
    async fn ready(&self, passed: &Passed) -> Result<(), Trouble> {
        let passthrough = &passed.passthrough;
        let heard = passthrough.voices().iter().zip(passthrough.heard());
        let mut all = vec![(Passthrough::RENDITION, passthrough.variant().bandwidth)];
        all.extend(heard.map(|(voice, heard)| (voice.sound.rendition, heard.bandwidth)));
        for (rendition, bandwidth) in all {
            self.advance(Move::RenditionReady { rendition, bandwidth }, None).await?;
        }
        Ok(())
    }

    /// Leaves an asset playing whose ladder failed while the source plays. Answers whether it does; what breaks a rule is an
    /// error of its own.
    pub(crate) async fn keep_playing(&self, asset: &Asset, failure: &Failure) -> Result<bool, Trouble> {
        let plays = asset.playable == PlayableState::OpenerReady && self.spoilt.get().is_none();
        let Some(passed) = self.passed.get().filter(|_| plays) else {
            return Ok(false);
        };
        let master = passed.passthrough.master(true).to_string();
        self.shelf.put(ArtifactPath::Master, master.into()).await?;
        self.check(&Expected::default()).await?;
        let own = passed.passthrough.renditions();
        let mine = |row: &&rend_core::asset::RenditionRow| own.contains(&row.rendition);
        if asset.renditions.iter().any(|row| mine(&row)) {
            let lost = asset.renditions.iter().filter(|row| !mine(row) && row.state == RenditionState::Planned);
            for row in lost {
                let step = Move::RenditionFailed { rendition: row.rendition, failure: failure.clone() };
                self.advance(step, None).await?;
            }
        } else {
            let media = asset.media.clone().unwrap_or_else(|| passed.passthrough.facts());
            self.advance(Move::Planned { media, renditions: own }, None).await?;
        }
        self.ready(passed).await?;
        self.advance(Move::HlsReady { degraded: true }, None).await?;
        Ok(true)
    }
}

/// Publishes one source.
struct Publisher<'a> {
    attempt: &'a Attempt<'a>,
    passthrough: &'a Passthrough,
}

impl Publisher<'_> {
    async fn publish(&self) -> Result<Rendered, Stopped> {
        let count = self.passthrough.len();
        let there = self.made_before().await?;
        let (first, ()) = tokio::try_join!(self.segment(0), self.put_init())?;
        // A list only grows, also over attempts.
        let mut listed = there.max(1).min(count);
        self.put_list(listed, false).await?;
        self.put_master(false).await?;
        self.announce().await?;

        let clock = &self.attempt.shelf.clock;
        let mut listed_at = clock.mono();
        let mut opening = vec![first.0];
        let mut segments = vec![first.1];
        let mut rest = futures::stream::iter((1..count).map(|index| self.segment(index))).buffered(WRITES_AT_ONCE);
        while let Some((bytes, made)) = rest.try_next().await? {
            segments.push(made);
            if segments.len() <= OPENER_SEGMENTS {
                opening.push(bytes);
            }
            let now = clock.mono();
            if segments.len() > listed && now.since(listed_at) >= LIST_INTERVAL {
                (listed, listed_at) = (segments.len(), now);
                self.put_list(listed, false).await?;
            }
        }
        let rendered = Rendered {
            variant: self.passthrough.variant(),
            media: self.passthrough.media(count, true),
            init: self.passthrough.description().clone(),
            segments,
        };
        self.check(&rendered)?;
        self.put_list(count, true).await?;
        let iframes = self.passthrough.iframes().to_string();
        let shelf = &self.attempt.shelf;
        shelf.put(ArtifactPath::IFrames(Passthrough::RENDITION), iframes.into()).await?;
        let mut parts = vec![(self.passthrough.init(), opening)];
        if let Some(voice) = self.passthrough.voices().first() {
            let mut spoken = Vec::new();
            for index in 0..parts[0].1.len() {
                spoken.push(self.spoken(voice, index).await?);
            }
            parts.push((voice.init(), spoken));
        }
        shelf.put(ArtifactPath::Opener, opener(&parts)?).await?;
        self.put_master(true).await?;
        Ok(rendered)
    }

    /// How many segments an earlier attempt at the same source made, without a hole. Writes down that this one begins.
    async fn made_before(&self) -> Result<usize, Stopped> {
        let shelf = &self.attempt.shelf;
        let prefix = ObjectKey::asset_prefix(shelf.asset);
        let marker: ObjectKey =
            format!("{prefix}{MARKER}").parse().map_err(|_| Stopped::Reasons(vec![Reason::Limit]))?;
        match shelf.get(&marker, 64).await {
            Ok((bytes, _)) if bytes == self.passthrough.id.as_bytes() => {}
            Ok(_) | Err(StoreError::NotFound { .. }) => {
                let id = Bytes::copy_from_slice(self.passthrough.id.as_bytes());
                shelf.put_at(&marker, "text/plain", id).await?;
                return Ok(0);
            }
            Err(error) => return Err(error.into()),
        }
        let first = ArtifactPath::Segment { rendition: Passthrough::RENDITION, index: 0 };
        let folder = format!("{prefix}{first}").replace("00000.m4s", "");
        let keys = shelf.objects.list(&folder, None, self.passthrough.len()).await?;
        let name = |index: u32| ArtifactPath::Segment { rendition: Passthrough::RENDITION, index };
        let mut expected = (0..).map(|index| ObjectKey::artifact(shelf.asset, name(index)));
        Ok(keys.iter().take_while(|key| expected.next().as_ref() == Some(*key)).count())
    }

    async fn put_init(&self) -> Result<(), Stopped> {
        let shelf = &self.attempt.shelf;
        for voice in self.passthrough.voices() {
            shelf.put(ArtifactPath::Init(voice.sound.rendition), voice.init()).await?;
        }
        Ok(shelf.put(ArtifactPath::Init(Passthrough::RENDITION), self.passthrough.init()).await?)
    }

    /// Makes one segment durable, and answers with its bytes, its length and what it holds.
    async fn segment(&self, index: usize) -> Result<(Bytes, (u64, Vec<Run>)), Stopped> {
        let number = u32::try_from(index).unwrap_or(u32::MAX);
        // No picture is there before what is heard with it.
        for voice in self.passthrough.voices() {
            let path = ArtifactPath::Segment { rendition: voice.sound.rendition, index: number };
            self.attempt.shelf.put(path, self.spoken(voice, index).await?).await?;
        }
        let parts = self.parts(self.passthrough.reads(index)).await?;
        let bytes = self.passthrough.write(index, &parts)?;
        let runs = read_segment(self.passthrough.description(), &bytes)?;
        let path = ArtifactPath::Segment { rendition: Passthrough::RENDITION, index: number };
        self.attempt.shelf.put(path, bytes.clone()).await?;
        let len = bytes.len() as u64;
        // Only the opener needs the bytes again.
        Ok((if index < OPENER_SEGMENTS { bytes } else { Bytes::new() }, (len, runs)))
    }

    /// One segment of a sound.
    async fn spoken(&self, voice: &Voice, index: usize) -> Result<Bytes, Stopped> {
        Ok(voice.write(index, &self.parts(voice.reads(index)).await?)?)
    }

    /// Parts of the source, each with where it begins.
    async fn parts(&self, ranges: Vec<Range<u64>>) -> Result<Vec<(u64, Bytes)>, Stopped> {
        let reads = ranges.into_iter().map(|range| async move {
            let start = range.start;
            Ok::<_, Trouble>((start, self.attempt.part(range).await?))
        });
        Ok(futures::stream::iter(reads).buffered(READS_AT_ONCE).try_collect().await?)
    }

    async fn put_list(&self, count: usize, ended: bool) -> Result<(), Stopped> {
        for voice in self.passthrough.voices() {
            let list = self.passthrough.media_of(voice, count, ended).to_string();
            self.attempt.shelf.put(ArtifactPath::Variant(voice.sound.rendition), list.into()).await?;
        }
        let list = self.passthrough.media(count, ended).to_string();
        Ok(self.attempt.shelf.put(ArtifactPath::Variant(Passthrough::RENDITION), list.into()).await?)
    }

    async fn put_master(&self, iframes: bool) -> Result<(), Stopped> {
        let master = self.passthrough.master(iframes).to_string();
        Ok(self.attempt.shelf.put(ArtifactPath::Master, master.into()).await?)
    }

    /// Says that it plays.
    async fn announce(&self) -> Result<(), Stopped> {
        let asset = self.attempt.advance_quietly(self.attempt.opener_ready()).await?;
        let worker = self.attempt.worker;
        (worker.notify)(Advance { asset, warm: self.passthrough.warm(worker.config.warm_items_max) });
        Ok(())
    }

    fn check(&self, rendered: &Rendered) -> Result<(), Stopped> {
        let master = self.passthrough.master(false);
        let mut broken = check::text("master", &master.to_string());
        broken.extend(check::renditions(&master, std::slice::from_ref(rendered)));
        if broken.is_empty() {
            return Ok(());
        }
        let told: Vec<String> = broken.iter().map(ToString::to_string).collect();
        tracing::error!(asset = %self.attempt.shelf.asset, broken = told.join("; "), "a source does not play by the rules");
        Err(Reason::TimeStamps.into())
    }
}

impl From<Trouble> for Stopped {
    fn from(trouble: Trouble) -> Self {
        Self::Trouble(trouble)
    }
}

impl From<StoreError> for Stopped {
    fn from(error: StoreError) -> Self {
        Self::Trouble(error.into())
    }
}

impl From<BoxError> for Stopped {
    fn from(error: BoxError) -> Self {
        Self::Reasons(vec![Reason::Unreadable(error)])
    }
}

impl From<Reason> for Stopped {
    fn from(reason: Reason) -> Self {
        Self::Reasons(vec![reason])
    }
}

/// Where the id of a source that plays lies, below its asset.
const MARKER: &str = "passed";
/// Bytes read at once where boxes begin: the whole description of a clip of some minutes.
const HEAD_BYTES: u64 = 64 << 10;
/// Boxes that are looked at in search of the description.
const LOOKS_MAX: usize = 64;
/// Segments whose first picture is looked at before anything is published.
const STARTS_LOOKED_AT: usize = 16;
/// Parts of the source that are read side by side.
const READS_AT_ONCE: usize = 4;
/// Segments that are made side by side.
const WRITES_AT_ONCE: usize = 4;
/// A growing list is put at most this often.
const LIST_INTERVAL: Duration = Duration::from_secs(1);
/// Bytes that a decoder whose pictures nobody wants may say.
const DECODED_BYTES_MAX: usize = 4096;
/// Segments that the opener is made of.
const OPENER_SEGMENTS: usize = 2;
