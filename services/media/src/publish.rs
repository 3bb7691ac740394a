//! What is durable may be named, and nothing else may.
//!
//! Objects of a rendition become visible in one order: initialisation segment, segments, media playlist, multivariant
//! playlist. A media playlist grows by the segments that are there without a hole from the first on.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use futures::StreamExt;
use rend_core::artifact::{ArtifactPath, ObjectKey, Rendition};
use rend_core::id::AssetId;
use rend_core::media::isobmff::{Init, TrackKind};
use rend_core::media::plan::{Plan, SOUND_CHANNELS};
use rend_core::media::playlist::{Entry, Heard, Master, Media, Variant, bandwidth};
use rend_core::media::sounds::Sound;
use rend_core::time::{Clock, Mono};
use rend_storage::StoreError;
use rend_storage::objects::{ObjectStore, Put};
use sha2::{Digest, Sha256};

use crate::encode::UnitEnd;

/// Puts one asset's artifacts into the object store.
#[derive(Clone, Debug)]
pub(crate) struct Shelf {
    pub(crate) objects: Arc<dyn ObjectStore>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) asset: AssetId,
}

impl Shelf {
    pub(crate) async fn put(&self, path: ArtifactPath, bytes: Bytes) -> Result<(), StoreError> {
        self.put_at(&ObjectKey::artifact(self.asset, path), path.content_type(), bytes).await
    }

    pub(crate) async fn put_at(&self, key: &ObjectKey, content_type: &str, bytes: Bytes) -> Result<(), StoreError> {
        let put = Put {
            content_type: content_type.to_owned(),
            len: Some(bytes.len() as u64),
            // Announced, since a store that takes a large object in parts keeps no digest of its own, and edges verify.
            sha256: Some(Sha256::digest(&bytes).into()),
            now: self.clock.wall(),
        };
        let body = futures::stream::once(async move { Ok(bytes) }).boxed();
        self.objects.put(key, put, body).await.map(|_| ())
    }

    /// The object at `key`, or its first `bytes_max`, and its whole length.
    pub(crate) async fn get(&self, key: &ObjectKey, bytes_max: u64) -> Result<(Bytes, u64), StoreError> {
        let mut object = self.objects.get(key, Some(0..bytes_max)).await?;
        let mut all = bytes::BytesMut::new();
        while let Some(chunk) = object.body.next().await {
            all.extend_from_slice(&chunk?);
        }
        Ok((all.freeze(), object.meta.len))
    }
}

/// A segment that is durable.
#[derive(Clone, Debug)]
pub(crate) struct Made {
    pub(crate) rendition: Rendition,
    pub(crate) index: u32,
    /// Its length in microseconds.
    pub(crate) micros: u64,
    /// Its length in bytes.
    pub(crate) bytes: u64,
    /// The bytes of it that hold its first key frame.
    pub(crate) key_bytes: u64,
}

/// What is durable of each rendition, and what was said of it.
///
/// Its plan has the renditions that are still wanted: one that is given up is in it no more.
#[derive(Debug)]
pub(crate) struct Catalogue {
    plan: Arc<Plan>,
    renditions: BTreeMap<Rendition, Listed>,
    ended: BTreeMap<u32, UnitEnd>,
    /// Whether something plays already, so that nothing is named before all of it is there.
    behind: bool,
    /// What is listed above the rungs.
    top: Option<Top>,
}

/// A source that is passed through, as the list of renditions tells of it.
#[derive(Clone, Debug)]
pub(crate) struct Top {
    pub(crate) variant: Variant,
    /// Its key-frame list.
    pub(crate) keys: Variant,
    /// Its sounds, if they have renditions of their own.
    pub(crate) sounds: Vec<Heard>,
}

#[derive(Debug, Default)]
struct Listed {
    init: Option<Init>,
    segments: Vec<Option<Made>>,
    /// Segments in the media playlist as it was last put.
    listed: usize,
    listed_at: Option<Mono>,
    ended: bool,
    measured: Option<(u64, u64)>,
}

impl Catalogue {
    pub(crate) fn new(plan: Arc<Plan>) -> Self {
        let renditions = plan.all_renditions().into_iter().map(|r| (r, Listed::default())).collect();
        Self { plan, renditions, ended: BTreeMap::new(), behind: false, top: None }
    }

    /// Something plays already: nothing is named before all of it is there, and then below `top`, if that stays.
    pub(crate) fn stay_behind(&mut self, top: Option<Top>) {
        (self.behind, self.top) = (true, top);
    }

    /// A unit came to its end, in this attempt or an earlier one.
    pub(crate) fn ended(&mut self, end: UnitEnd) {
        self.ended.insert(end.unit, end);
    }

    pub(crate) fn end_of(&self, unit: u32) -> Option<UnitEnd> {
        self.ended.get(&unit).copied()
    }

    pub(crate) const fn plan(&self) -> &Arc<Plan> {
        &self.plan
    }

    /// Goes on without this rendition: nothing names it from here on.
    pub(crate) fn lose(&mut self, rendition: Rendition) {
        self.plan = Arc::new(self.plan.without(rendition));
        self.renditions.remove(&rendition);
    }

    /// Forgets what lies behind the first `segments` of every rendition, and answers whether there was anything.
    pub(crate) fn end_after(&mut self, segments: usize) -> bool {
        let behind = self.renditions.values().any(|listed| listed.segments.len() > segments);
        self.renditions.values_mut().for_each(|listed| listed.segments.truncate(segments));
        behind
    }

    pub(crate) fn init(&mut self, rendition: Rendition, init: Init) {
        if let Some(listed) = self.renditions.get_mut(&rendition) {
            listed.init = Some(init);
        }
    }

    pub(crate) fn init_of(&self, rendition: Rendition) -> Option<&Init> {
        self.renditions.get(&rendition)?.init.as_ref()
    }

    pub(crate) fn add(&mut self, made: Made) {
        let Some(listed) = self.renditions.get_mut(&made.rendition) else { return };
        let index = usize::try_from(made.index).unwrap_or(usize::MAX);
        if index >= rend_core::media::playlist::SEGMENTS_MAX {
            return;
        }
        if listed.segments.len() <= index {
            listed.segments.resize(index + 1, None);
        }
        listed.segments[index] = Some(made);
    }

    pub(crate) fn has(&self, rendition: Rendition, index: u32) -> bool {
        let index = usize::try_from(index).unwrap_or(usize::MAX);
        self.renditions.get(&rendition).is_some_and(|l| l.segments.get(index).is_some_and(Option::is_some))
    }

    /// The segments of a rendition, up to the first that is missing.
    pub(crate) fn made(&self, rendition: Rendition) -> Vec<Made> {
        let segments = self.renditions.get(&rendition).map_or(&[][..], |listed| &listed.segments);
        segments.iter().map_while(Clone::clone).collect()
    }

    /// How many segments there are without a hole.
    pub(crate) fn prefix(&self, rendition: Rendition) -> usize {
        self.renditions.get(&rendition).map_or(0, |l| l.segments.iter().take_while(|s| s.is_some()).count())
    }

    /// The media playlist to put now, if it says more than the last one did and that was not a moment ago.
    pub(crate) fn grown(&mut self, rendition: Rendition, now: Mono) -> Option<Media> {
        let prefix = self.prefix(rendition);
        let listed = self.renditions.get(&rendition)?;
        let fresh = listed.listed_at.is_some_and(|at| now.since(at) < LIST_INTERVAL) && prefix > QUICK_SEGMENTS;
        if self.behind || listed.ended || prefix <= listed.listed || fresh {
            return None;
        }
        Some(self.media(rendition, false))
    }

    /// The media playlist as it stands.
    pub(crate) fn media(&self, rendition: Rendition, ended: bool) -> Media {
        let entry = |made: &Made| Entry { micros: made.micros, uri: segment_name(made.index), bytes: None };
        self.list(rendition, ended, false, entry)
    }

    /// The key-frame list of a finished rendition.
    pub(crate) fn iframes(&self, rendition: Rendition) -> Media {
        let entry = |made: &Made| Entry {
            micros: made.micros,
            uri: segment_name(made.index),
            bytes: Some((made.key_bytes, 0)),
        };
        self.list(rendition, true, true, entry)
    }

    pub(crate) fn put_list(&mut self, rendition: Rendition, list: &Media, now: Mono) {
        if let Some(listed) = self.renditions.get_mut(&rendition) {
            listed.listed = list.segments.len();
            listed.listed_at = Some(now);
            listed.ended = list.ended;
        }
    }

    pub(crate) fn is_listed(&self, rendition: Rendition) -> bool {
        self.renditions.get(&rendition).is_some_and(|l| l.listed > 0)
    }

    /// Measures a finished rendition; answers with its peak and its mean.
    pub(crate) fn measure(&mut self, rendition: Rendition) -> (u64, u64) {
        let target = self.plan.target_secs;
        let Some(listed) = self.renditions.get_mut(&rendition) else { return (0, 0) };
        let segments: Vec<_> = listed.segments.iter().flatten().map(|made| (made.micros, made.bytes)).collect();
        let measured = bandwidth(&segments, target);
        listed.measured = Some(measured);
        measured
    }

    /// The multivariant playlist over all that is listed, the rendition to start with first.
    pub(crate) fn master(&self) -> Master {
        let mut master = Master::default();
        for (place, rendition) in self.plan.renditions().into_iter().enumerate() {
            let Some(listed) = self.renditions.get(&rendition).filter(|l| l.listed > 0) else { continue };
            let Some(init) = &listed.init else { continue };
            let rung = self.plan.rungs.iter().find(|rung| rung.rendition == rendition);
            // What is not measured yet is at most what the encoder may spend, and the sound, and the wrapping.
            let sound = if self.plan.sound { SOUND_BITS } else { WRAPPING_BITS };
            let allowed = rung.map_or(0, |rung| u64::from(rung.kbps_max) * 1000) + sound;
            let so_far: Vec<_> = listed.segments.iter().flatten().map(|made| (made.micros, made.bytes)).collect();
            let (bandwidth_now, average) = bandwidth(&so_far, self.plan.target_secs);
            let (bandwidth, average) = listed.measured.unwrap_or_else(|| (bandwidth_now.max(allowed), average));
            let codecs: Vec<&str> = init.tracks.iter().map(|track| track.codec.as_str()).collect();
            let picture = init.first(TrackKind::Video);
            master.variants.push(Variant {
                uri: format!("{rendition}/index.m3u8"),
                bandwidth,
                average,
                codecs: codecs.join(","),
                resolution: picture.map(|track| (track.size.0.into(), track.size.1.into())),
                millifps: picture.map(|_| self.plan.grid.rate.millis()),
            });
            if let Some(picture) = picture.filter(|_| listed.ended && place < rend_core::media::plan::IFRAME_LISTS) {
                let keys: Vec<_> = listed.segments.iter().flatten().map(|made| (made.micros, made.key_bytes)).collect();
                let (peak, mean) = rend_core::media::playlist::bandwidth(&keys, self.plan.target_secs);
                master.iframes.push(Variant {
                    uri: format!("{rendition}/iframe.m3u8"),
                    bandwidth: peak,
                    average: mean,
                    codecs: picture.codec.clone(),
                    resolution: Some((picture.size.0.into(), picture.size.1.into())),
                    millifps: None,
                });
            }
        }
        let mut sounds: Vec<Heard> = self.plan.sounds.iter().filter_map(|sound| self.heard(sound)).collect();
        if let Some(top) = &self.top {
            master.variants.push(top.variant.clone());
            master.iframes.push(top.keys.clone());
            sounds.extend(top.sounds.iter().cloned());
        }
        let rungs = self.plan.renditions();
        let measured = |rung| self.renditions.get(rung).is_none_or(|l| l.listed == 0 || l.measured.is_some());
        master.ascend(rungs.iter().all(measured));
        master.hear(sounds);
        master
    }

    /// The plan of what `master` names: a rung that costs more than a better one is not in it.
    pub(crate) fn shown(&self, master: &Master) -> Plan {
        let named = |rung: &Rendition| {
            let uri = format!("{rung}/index.m3u8");
            master.variants.iter().any(|variant| variant.uri == uri)
        };
        let hidden = self.plan.rungs.iter().map(|rung| rung.rendition).filter(|rung| !named(rung));
        hidden.fold(Plan::clone(&self.plan), |plan, rung| plan.without(rung))
    }

    /// A sound that is listed.
    fn heard(&self, sound: &Sound) -> Option<Heard> {
        let listed = self.renditions.get(&sound.rendition).filter(|listed| listed.listed > 0)?;
        let codec = listed.init.as_ref()?.first(TrackKind::Audio)?.codec.clone();
        let (bandwidth, average) = listed.measured.unwrap_or((SOUND_BITS, SOUND_BITS));
        Some(Heard { track: sound.track(SOUND_CHANNELS), codec, bandwidth, average })
    }

    fn list(&self, rendition: Rendition, ended: bool, iframes_only: bool, entry: impl Fn(&Made) -> Entry) -> Media {
        let segments = self.renditions.get(&rendition).map_or(&[][..], |l| &l.segments);
        Media {
            target_secs: self.plan.target_secs,
            init: format!("init_{rendition}.mp4"),
            segments: segments.iter().map_while(Option::as_ref).map(entry).collect(),
            ended,
            iframes_only,
        }
    }
}

/// Enough of any segment for its headers, and all of an initialisation segment.
pub(crate) const SMALL: u64 = 256 << 10;
/// A growing list is put at most this often, once it holds more than [`QUICK_SEGMENTS`].
const LIST_INTERVAL: std::time::Duration = std::time::Duration::from_secs(1);
const QUICK_SEGMENTS: usize = 4;
/// What sound and its wrapping add to a rung, in bits a second.
const SOUND_BITS: u64 = 160_000;
/// What wrapping alone adds to a rung.
const WRAPPING_BITS: u64 = 20_000;

fn segment_name(index: u32) -> String {
    format!("segment_{index:05}.m4s")
}
