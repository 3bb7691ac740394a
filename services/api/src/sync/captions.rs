//! Captions: what viewers can choose follows what the asset has.
//!
//! The worker is the only one who writes the list of renditions until an asset is ready; after that it is this job. Of
//! several jobs at once the last to write looks again at what the asset has by then, so that none leaves an older state.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::{FutureExt, StreamExt, TryStreamExt};
use rend_core::artifact::{ArtifactPath, CaptionRef, ObjectKey};
use rend_core::asset::{Asset, CaptionKind, CaptionRow, Move, SourceState};
use rend_core::id::AssetId;
use rend_core::job::{Job, JobKind, Outcome};
use rend_core::media::captions::{self, Captions};
use rend_core::media::playlist::{Master, Media, Track};
use rend_storage::StoreError;
use rend_storage::assets::Change;
use rend_storage::objects::Put;
use sha2::{Digest, Sha256};

use crate::http::captions::read_text;
use crate::queue;
use crate::state::State;

/// Tries before captions count as unpublishable. With the longest wait between them this is more than a day.
pub(crate) const ATTEMPTS_MAX: u32 = 200;
/// How long one try may take before another process may begin again. Publishing twice is the same as publishing once.
const LEASE_FOR: Duration = Duration::from_secs(120);
/// Segments written at once.
const WRITES_AT_ONCE: usize = 8;
/// How often one try starts anew because the captions changed under it.
const TURNS_MAX: usize = 16;
/// Keys of captions that are looked at: more than all languages have over twelve hours.
const KEYS_MAX: usize = 400_000;
/// Bytes of a list that are read.
const LIST_BYTES_MAX: u64 = 4 << 20;

/// Works off captions jobs until a stop is requested.
pub(crate) async fn run(state: Arc<State>) {
    queue::work_off(&state, JobKind::Captions, LEASE_FOR, |state, job, _| outcome(state, job).boxed()).await;
}

async fn outcome(state: &State, job: &Job) -> Outcome {
    let mut shutdown = state.shutdown.clone();
    let published = tokio::select! {
        published = publish(state, job.asset) => published,
        () = shutdown.requested() => return Outcome::Defer { at: state.clock.wall() },
    };
    let Err(error) = published else { return Outcome::Succeed };
    tracing::warn!(asset = %job.asset, %error, "captions could not be published; it is tried again");
    queue::again(state, job, "captions_failed", "the captions could not be published yet; it is tried again")
}

/// Has viewers choose between the captions that `id` has. An asset that is not ready is left to be: its worker asks again.
async fn publish(state: &State, id: AssetId) -> Result<(), StoreError> {
    for _ in 0..TURNS_MAX {
        // Keys are listed before the asset is read: what is among them and not in the asset is older than the asset.
        let folders = folders(state, id).await?;
        let asset = match state.stores.assets.get(id).await {
            Ok(asset) if asset.source == SourceState::Ready => asset,
            Ok(_) | Err(StoreError::NotFound { .. }) => return Ok(()),
            Err(error) => return Err(error),
        };
        let mut master: Master = read_list(state, id, ArtifactPath::Master).await?;
        let beside = match master.variants.first().map(|variant| format!("hls/{}", variant.uri).parse()) {
            Some(Ok(path)) => read_list::<Media>(state, id, path).await?,
            Some(Err(_)) | None => return Err(damaged("the list of renditions names none")),
        };
        let mut moved = false;
        for row in &asset.captions {
            match put_captions(state, id, row.captions, &beside, &folders).await {
                Ok(()) => {}
                // They were replaced since the asset was read.
                Err(StoreError::NotFound { .. }) => moved = true,
                Err(error) => return Err(error),
            }
        }
        if moved {
            continue;
        }
        master.captions = tracks(&asset.captions);
        put(state, id, ArtifactPath::Master, master.to_string()).await?;
        if rows(&state.stores.assets.get(id).await?) != rows(&asset) {
            continue;
        }
        let wanted: Vec<CaptionRef> = asset.captions.iter().map(|row| row.captions).collect();
        let gone: Vec<CaptionRef> = folders.iter().copied().filter(|there| !wanted.contains(there)).collect();
        for captions in &gone {
            take_away(state, id, *captions).await?;
        }
        state.dispatch.purge_captions(id, &gone).await;
        if asset.captions.iter().all(|row| row.published) && gone.is_empty() {
            return Ok(());
        }
        let step = Move::CaptionsPublished(wanted);
        let change = Change { asset: id, expect: None, step, fence: None, enqueue: None, now: state.clock.wall() };
        return match state.stores.assets.advance(&change).await {
            Ok(_) | Err(StoreError::Illegal(_) | StoreError::NotFound { .. }) => Ok(()),
            Err(error) => Err(error),
        };
    }
    Err(damaged("the captions kept changing"))
}

/// What of the captions decides what is published.
fn rows(asset: &Asset) -> Vec<CaptionRow> {
    asset.captions.iter().map(|row| CaptionRow { published: false, ..row.clone() }).collect()
}

/// The captions as players are told of them. Names are told apart by their language where people gave two the same.
fn tracks(rows: &[CaptionRow]) -> Vec<Track> {
    let mut taken = BTreeSet::new();
    rows.iter()
        .map(|row| {
            let lang = row.captions.lang.bcp47();
            let mut name = row.label.clone();
            if !taken.insert(name.clone()) {
                name = format!("{name} ({lang})");
            }
            Track {
                uri: format!("c-{}/index.m3u8", row.captions),
                lang,
                name,
                default: row.default,
                channels: 0,
                accessible: row.kind == CaptionKind::Captions,
            }
        })
        .collect()
}

/// Makes the segments and then the list of some captions durable, unless the list is there already.
async fn put_captions(
    state: &State,
    id: AssetId,
    name: CaptionRef,
    beside: &Media,
    folders: &BTreeSet<CaptionRef>,
) -> Result<(), StoreError> {
    let path = ArtifactPath::Captions(name);
    if folders.contains(&name) && state.stores.objects.head(&ObjectKey::artifact(id, path)).await.is_ok() {
        return Ok(());
    }
    let text = read_text(state, id, name).await?;
    let captions = Captions::read(&text).map_err(|_| damaged("captions that were kept can not be read"))?;
    let texts = captions::segments(&captions, beside);
    let writes = (0..)
        .zip(texts)
        .map(|(index, text)| put(state, id, ArtifactPath::CaptionSegment { captions: name, index }, text));
    futures::stream::iter(writes).buffer_unordered(WRITES_AT_ONCE).try_collect::<()>().await?;
    put(state, id, path, captions::list(beside).to_string()).await
}

/// Deletes what is published of some captions, the list first.
async fn take_away(state: &State, id: AssetId, name: CaptionRef) -> Result<(), StoreError> {
    let list = ObjectKey::artifact(id, ArtifactPath::Captions(name));
    state.stores.objects.delete(&list).await?;
    let folder = list.as_str().trim_end_matches("index.m3u8").to_owned();
    for key in state.stores.objects.list(&folder, None, KEYS_MAX).await? {
        state.stores.objects.delete(&key).await?;
    }
    Ok(())
}

/// The captions of which anything is published.
async fn folders(state: &State, id: AssetId) -> Result<BTreeSet<CaptionRef>, StoreError> {
    let prefix = format!("{}hls/c-", ObjectKey::asset_prefix(id));
    let keys = state.stores.objects.list(&prefix, None, KEYS_MAX).await?;
    let name = |key: &ObjectKey| key.as_str().strip_prefix(&prefix)?.split_once('/')?.0.parse().ok();
    Ok(keys.iter().filter_map(name).collect())
}

async fn read_list<T: std::str::FromStr>(state: &State, id: AssetId, path: ArtifactPath) -> Result<T, StoreError> {
    let mut object = state.stores.objects.get(&ObjectKey::artifact(id, path), Some(0..LIST_BYTES_MAX)).await?;
    let mut all = bytes::BytesMut::new();
    while let Some(chunk) = object.body.next().await {
        all.extend_from_slice(&chunk?);
    }
    String::from_utf8_lossy(&all).parse().map_err(|_| damaged("a list that was published can not be read"))
}

async fn put(state: &State, id: AssetId, path: ArtifactPath, text: String) -> Result<(), StoreError> {
    let bytes = Bytes::from(text);
    let put = Put {
        content_type: path.content_type().to_owned(),
        len: Some(bytes.len() as u64),
        sha256: Some(Sha256::digest(&bytes).into()),
        now: state.clock.wall(),
    };
    let body = futures::stream::once(async move { Ok(bytes) }).boxed();
    state.stores.objects.put(&ObjectKey::artifact(id, path), put, body).await.map(|_| ())
}

fn damaged(what: &'static str) -> StoreError {
    StoreError::Unavailable(what.into())
}

#[cfg(test)]
mod tests {
    use rend_core::artifact::Rendition;
    use rend_core::asset::{CaptionOrigin, MediaFacts, PlaybackPolicy, StoredSource};
    use rend_core::media::playlist::{Entry, Variant};

    use super::*;
    use crate::config::SOLE_ORG;
    use crate::ingest::rig::Rig;

    const ASSET: AssetId = AssetId::from_bytes([7; 16]);

    async fn step(rig: &Rig, step: Move) -> Asset {
        let now = rig.state.clock.wall();
        let change = Change { asset: ASSET, expect: None, step, fence: None, enqueue: None, now };
        rig.stores.assets.advance(&change).await.unwrap()
    }

    /// An asset that is published and, except for its last step, ready.
    async fn almost_ready(rig: &Rig) {
        let now = rig.state.clock.wall();
        let asset = Asset::new(ASSET, SOLE_ORG, "a".into(), PlaybackPolicy::Public, now);
        rig.stores.assets.create(&asset).await.unwrap();
        step(rig, Move::BeginUpload).await;
        step(rig, Move::SourceStored(StoredSource { bytes: 1, sha256: [0; 32] })).await;
        step(rig, Move::BeginProcessing).await;
        let media = MediaFacts {
            container: "mov".into(),
            duration_ms: 6000,
            width: 640,
            height: 360,
            millifps: 30_000,
            video_codec: "h264".into(),
            audio_codec: String::new(),
            notes: vec![],
        };
        step(rig, Move::Planned { media, renditions: vec![Rendition::P360] }).await;
        let entry = |micros| Entry { micros, uri: "segment_00000.m4s".into(), bytes: None };
        let list = Media {
            target_secs: 4,
            init: "init_360p.mp4".into(),
            segments: vec![entry(2_000_000), entry(4_000_000)],
            ended: true,
            iframes_only: false,
        };
        let variant = Variant {
            uri: "360p/index.m3u8".into(),
            bandwidth: 9,
            average: 8,
            codecs: "avc1.64001f".into(),
            resolution: Some((640, 360)),
            millifps: Some(30_000),
        };
        let master = Master { variants: vec![variant], ..Master::default() };
        put(&rig.state, ASSET, ArtifactPath::Variant(Rendition::P360), list.to_string()).await.unwrap();
        put(&rig.state, ASSET, ArtifactPath::Master, master.to_string()).await.unwrap();
    }

    async fn give(rig: &Rig, lang: &str, version: u32, label: &str, text: &str) -> CaptionRef {
        let captions = CaptionRef { lang: lang.parse().unwrap(), version };
        let bytes = Bytes::from(text.to_owned());
        let announced = Put { content_type: "text/vtt".into(), len: None, sha256: None, now: rig.state.clock.wall() };
        let body = futures::stream::once(async move { Ok(bytes) }).boxed();
        rig.stores.objects.put(&ObjectKey::captions(ASSET, captions), announced, body).await.unwrap();
        let row = CaptionRow {
            captions,
            label: label.into(),
            kind: CaptionKind::Subtitles,
            default: false,
            origin: CaptionOrigin::Given,
            cues: 1,
            published: false,
        };
        step(rig, Move::StoreCaptions(row)).await;
        captions
    }

    async fn master(rig: &Rig) -> Master {
        read_list(&rig.state, ASSET, ArtifactPath::Master).await.unwrap()
    }

    async fn keys(rig: &Rig) -> Vec<String> {
        let prefix = format!("{}hls/c-", ObjectKey::asset_prefix(ASSET));
        let keys = rig.stores.objects.list(&prefix, None, 100).await.unwrap();
        keys.iter().map(|key| key.as_str()[prefix.len()..].to_owned()).collect()
    }

    const ONE: &str = "WEBVTT\n\n00:00:01.000 --> 00:00:03.000\none\n";

    #[tokio::test]
    async fn captions_are_published_once_the_asset_is_ready_and_replaced_by_newer_ones() {
        let rig = Rig::new();
        almost_ready(&rig).await;
        give(&rig, "en", 1, "English", ONE).await;
        publish(&rig.state, ASSET).await.unwrap();
        assert!(keys(&rig).await.is_empty(), "the worker is the only one who writes until then");
        let ready = step(&rig, Move::HlsReady { degraded: false }).await;
        assert!(!ready.captions[0].published);

        publish(&rig.state, ASSET).await.unwrap();
        let files = ["index.m3u8", "text_00000.vtt", "text_00001.vtt"];
        assert_eq!(keys(&rig).await, files.map(|file| format!("en_00000001/{file}")));
        let shown = master(&rig).await;
        let names: Vec<_> = shown.captions.iter().map(|track| (track.name.as_str(), track.uri.as_str())).collect();
        assert_eq!(names, [("English", "c-en_00000001/index.m3u8")]);
        assert_eq!(shown.variants.len(), 1, "what plays stays as it was");
        let asset = rig.stores.assets.get(ASSET).await.unwrap();
        assert!(asset.captions[0].published);

        publish(&rig.state, ASSET).await.unwrap();
        assert_eq!(rig.stores.assets.get(ASSET).await.unwrap().revision, asset.revision, "once is enough");

        give(&rig, "en", 2, "English", ONE).await;
        give(&rig, "en-gb", 3, "English", ONE).await;
        publish(&rig.state, ASSET).await.unwrap();
        assert!(keys(&rig).await.iter().all(|key| !key.starts_with("en_00000001")), "the older ones are gone");
        let names: Vec<_> = master(&rig).await.captions.into_iter().map(|track| track.name).collect();
        assert_eq!(names, ["English", "English (en-GB)"], "no two tracks have one name");

        for lang in ["en", "en-gb"] {
            step(&rig, Move::RemoveCaptions(lang.parse().unwrap())).await;
        }
        publish(&rig.state, ASSET).await.unwrap();
        assert!(keys(&rig).await.is_empty());
        assert!(master(&rig).await.captions.is_empty());
    }

    #[tokio::test]
    async fn what_a_try_left_half_done_is_made_whole_by_the_next() {
        let rig = Rig::new();
        almost_ready(&rig).await;
        step(&rig, Move::HlsReady { degraded: false }).await;
        let captions = give(&rig, "en", 1, "English", ONE).await;
        let first = ArtifactPath::CaptionSegment { captions, index: 0 };
        put(&rig.state, ASSET, first, "torn".into()).await.unwrap();
        publish(&rig.state, ASSET).await.unwrap();
        let text = rig.object(&ObjectKey::artifact(ASSET, first)).await;
        assert!(String::from_utf8_lossy(&text).contains("\none\n"), "a segment without its list is written anew");
    }

    #[tokio::test]
    async fn a_text_that_is_gone_is_tried_again_and_a_deleted_asset_is_not() {
        let rig = Rig::new();
        almost_ready(&rig).await;
        step(&rig, Move::HlsReady { degraded: false }).await;
        let captions = give(&rig, "en", 1, "English", ONE).await;
        rig.stores.objects.delete(&ObjectKey::captions(ASSET, captions)).await.unwrap();
        assert!(publish(&rig.state, ASSET).await.is_err());
        step(&rig, Move::RequestDeletion).await;
        publish(&rig.state, ASSET).await.unwrap();
    }
}
