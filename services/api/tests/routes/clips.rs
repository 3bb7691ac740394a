//! Clips of what is published.

use futures::StreamExt;
use http::StatusCode;
use rend_core::artifact::{ArtifactPath, ObjectKey, Rendition};
use rend_core::asset::Move;
use rend_core::id::AssetId;
use rend_core::media::playlist::{Entry, Master, Media, Variant};
use rend_core::time::Timestamp;
use rend_storage::objects::Put;

use crate::support::Api;

async fn put(api: &Api, asset: &str, path: ArtifactPath, text: String) {
    let key = ObjectKey::artifact(asset.parse().unwrap(), path);
    let put = Put { content_type: path.content_type().into(), len: None, sha256: None, now: Timestamp::EPOCH };
    let body = futures::stream::once(async move { Ok(text.into()) }).boxed();
    api.stores.objects.put(&key, put, body).await.unwrap();
}

async fn text(api: &Api, asset: &str, path: ArtifactPath) -> String {
    let key = ObjectKey::artifact(asset.parse::<AssetId>().unwrap(), path);
    let body = api.stores.objects.get(&key, None).await.unwrap().body;
    let bytes = body.map(Result::unwrap).collect::<Vec<_>>().await.concat();
    String::from_utf8(bytes).unwrap()
}

/// A film of two renditions with segments of two and four seconds, twelve seconds in all.
async fn film(api: &Api) -> String {
    let id = api.playable("signed").await;
    let mut master = Master::default();
    for rendition in [Rendition::P360, Rendition::P720] {
        let uri = format!("{rendition}/index.m3u8");
        let (codecs, resolution) = ("avc1.64001f".to_owned(), Some((640, 360)));
        master.variants.push(Variant { uri, bandwidth: 9, average: 8, codecs, resolution, millifps: Some(30_000) });
        let entry = |(n, secs): (usize, &u64)| Entry {
            micros: secs * 1_000_000,
            uri: format!("segment_{n:05}.m4s"),
            bytes: None,
        };
        let segments = [2, 2, 4, 4].iter().enumerate().map(entry).collect();
        let init = format!("init_{rendition}.mp4");
        let list = Media { target_secs: 4, init, segments, ended: true, iframes_only: false };
        put(api, &id, ArtifactPath::Variant(rendition), list.to_string()).await;
    }
    put(api, &id, ArtifactPath::Master, master.to_string()).await;
    id
}

async fn finished(api: &Api) -> String {
    let id = film(api).await;
    api.advance(&id, Move::RenditionReady { rendition: Rendition::P360, bandwidth: 9 }).await;
    api.advance(&id, Move::HlsReady { degraded: false }).await;
    id
}

#[tokio::test]
async fn a_clip_lists_the_segments_of_the_film_that_show_it() {
    let api = Api::new().await;
    let id = finished(&api).await;
    let path = format!("/v1/assets/{id}/playback?start=2.5&end=5");
    let answer = api.send("GET", &path, b"").await;
    assert_eq!(answer.0.status(), StatusCode::OK);
    let said = answer.json();
    assert_eq!(said["clip"]["requested"], serde_json::json!({ "start_ms": 2500, "end_ms": 5000 }));
    assert_eq!(said["clip"]["actual"], serde_json::json!({ "start_ms": 2000, "end_ms": 8000 }));
    let url = said["playback_url"].as_str().unwrap();
    assert!(url.ends_with("/hls/clip_2000-8000.m3u8"), "{url}");
    let clip: ArtifactPath = "hls/clip_2000-8000.m3u8".parse().unwrap();
    let list: Master = text(&api, &id, clip).await.parse().unwrap();
    for (variant, rung) in list.variants.iter().zip(["360p", "720p"]) {
        assert_eq!(variant.uri, format!("{rung}/clip_2000-8000.m3u8"));
        let own: ArtifactPath = format!("hls/{}", variant.uri).parse().unwrap();
        let media: Media = text(&api, &id, own).await.parse().unwrap();
        let named: Vec<_> = media.segments.iter().map(|entry| entry.uri.as_str()).collect();
        assert_eq!(named, ["segment_00001.m4s", "segment_00002.m4s"]);
        assert_eq!((media.micros(), media.ended, media.init), (6_000_000, true, format!("init_{rung}.mp4")));
    }
    // The same segments are the same clip.
    let objects = api.stores.objects.list("assets/", None, 100).await.unwrap();
    let again = api.send("GET", &format!("/v1/assets/{id}/playback?start=3&end=7.999"), b"").await.json();
    assert_eq!(again["clip"]["actual"], said["clip"]["actual"]);
    assert_eq!(api.stores.objects.list("assets/", None, 100).await.unwrap(), objects);
    // Without either word it is the film.
    let film = api.send("GET", &format!("/v1/assets/{id}/playback"), b"").await.json();
    assert!(film["clip"].is_null() && film["playback_url"].as_str().unwrap().ends_with("/hls/master.m3u8"));
}

#[tokio::test]
async fn what_is_no_part_of_the_film_is_no_clip() {
    let api = Api::new().await;
    let id = finished(&api).await;
    for query in ["start=12", "start=5&end=5", "start=5&end=4", "start=x", "end=-1", "start=1.2345", "from=1"] {
        let answer = api.send("GET", &format!("/v1/assets/{id}/playback?{query}"), b"").await;
        answer.is(StatusCode::UNPROCESSABLE_ENTITY, "invalid_field");
    }
    let growing = film(&api).await;
    let answer = api.send("GET", &format!("/v1/assets/{growing}/playback?start=1"), b"").await;
    answer.is(StatusCode::CONFLICT, "not_playable");
}

#[tokio::test]
async fn clips_have_a_bound_and_those_that_are_there_still_play() {
    let api = Api::new().await;
    let id = finished(&api).await;
    let clip = |query: &str| format!("/v1/assets/{id}/playback?{query}");
    assert_eq!(api.send("GET", &clip("end=1"), b"").await.0.status(), StatusCode::OK);
    for n in 0..999 {
        let path = format!("hls/clip_{n}-90000.m3u8").parse().unwrap();
        put(&api, &id, path, "#EXTM3U\n".into()).await;
    }
    api.send("GET", &clip("start=9"), b"").await.is(StatusCode::CONFLICT, "conflict");
    assert_eq!(api.send("GET", &clip("end=1"), b"").await.0.status(), StatusCode::OK);
}
