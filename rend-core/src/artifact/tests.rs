use proptest::prelude::*;

use super::*;
use crate::id::AssetId;

#[track_caller]
fn check(path: &str, expect: Option<Retention>) {
    let parsed = path.parse::<ArtifactPath>().ok();
    assert_eq!(parsed.map(|p| p.retention()), expect, "{path}");
    if let Some(parsed) = parsed {
        assert_eq!(parsed.to_string(), path);
    }
}

#[test]
fn what_starts_playback_outlives_the_rest() {
    check("hls/master.m3u8", Some(Retention::Control));
    check("hls/360p/index.m3u8", Some(Retention::Control));
    check("hls/2160p/init_2160p.mp4", Some(Retention::Control));
    check("hls/src/init_src.mp4", Some(Retention::Control));
    check("hls/a-en/init_a-en.mp4", Some(Retention::Control));
    check("hls/a-und/segment_00001.m4s", Some(Retention::Startup));
    check("hls/360p/segment_00000.m4s", Some(Retention::Startup));
    check("hls/360p/segment_00002.m4s", Some(Retention::Tail));
    check("hls/360p/segment_4294967295.m4s", Some(Retention::Tail));
    check("hls/360p/iframe.m3u8", Some(Retention::Tail));
    check("opener.mp4", Some(Retention::Still));
    check("downloads/720p.mp4", Some(Retention::Tail));
    check("downloads/a-eng-2.mp4", Some(Retention::Tail));
    check("poster.jpg", Some(Retention::Still));
    check("thumbs.jpg", Some(Retention::Tail));
    check("thumbs.vtt", Some(Retention::Tail));
    check("hls/c-pt-br_0f3a19c2/index.m3u8", Some(Retention::Control));
    check("hls/c-en_00000001/text_00000.vtt", Some(Retention::Tail));
}

#[test]
fn what_is_not_published_does_not_parse() {
    for path in [
        "",
        "source.mp4",
        "hls",
        "hls/",
        "/hls/master.m3u8",
        "hls//master.m3u8",
        "hls/./master.m3u8",
        "hls/../opener.mp4",
        "hls/%2e%2e/x",
        "hls/..%5c",
        "hls\\..\\x",
        "hls/..;/x",
        "hls/master.m3u8/",
        "hls/master.m3u8;x",
        "hls/master.m3u8%00.ts",
        "hls/master.m3u8%3ftoken=x",
        "hls/720P/index.m3u8",
        "hls/999p/index.m3u8",
        "hls/720p/init_480p.mp4",
        "hls/720p/segment_.m4s",
        "hls/720p/segment_-1.m4s",
        "hls/720p/segment_+0001.m4s",
        "hls/720p/segment_1.m4s",
        "hls/720p/segment_000001.m4s",
        "hls/720p/segment_4294967296.m4s",
        "hls/720p/segment_\u{663}\u{663}\u{663}\u{663}\u{663}.m4s",
        "hls/720p/segment_00001.M4S",
        "hls/720p/segment_00001.m4s.ts",
        "hls/720p/720p/index.m3u8",
        "hls/a-/index.m3u8",
        "hls/a-EN/index.m3u8",
        "hls/a-engl/index.m3u8",
        "hls/a-eng-1/index.m3u8",
        "hls/a-eng-10/index.m3u8",
        "hls/a-eng-/index.m3u8",
        "hls/c-en/index.m3u8",
        "hls/c-EN_00000001/index.m3u8",
        "hls/c-en_1/index.m3u8",
        "hls/c-en_0000000A/index.m3u8",
        "hls/c-en_+0000001/index.m3u8",
        "hls/c-en_00000001/text_0.vtt",
        "hls/c-en_00000001/segment_00000.m4s",
        "hls/c-en_00000001/",
        "downloads/",
        "downloads/.mp4",
        "downloads/720p",
        "downloads/720p.m4s",
        "downloads/999p.mp4",
        "downloads/720p/720p.mp4",
        "downloads/../opener.mp4",
        "hls/downloads/720p.mp4",
        "hls/clip_1.m3u8",
        "hls/clip_2-2.m3u8",
        "hls/clip_01-2.m3u8",
        "hls/clip_+1-2.m3u8",
        "hls/clip_1-4294967296.m3u8",
        "hls/clip_1-2",
        "hls/clip_1-2/index.m3u8",
        "hls/720p/clip_1-2.mp4",
        "hls/c-en_00000001/clip_2-1.m3u8",
    ] {
        check(path, None);
    }
    check(&format!("hls/720p/segment_{}.m4s", "0".repeat(10_000)), None);
}

#[test]
fn an_object_key_is_a_safe_relative_path() {
    for good in ["a", "assets/x/hls/master.m3u8", "a_b-c.d"] {
        assert_eq!(good.parse::<ObjectKey>().map(|k| k.to_string()), Ok(good.to_owned()));
    }
    for bad in ["", "/a", "a/", "a//b", "a/../b", "./a", "A", "a b", "a\\b", "a\0", &"x".repeat(513)] {
        assert_eq!(bad.parse::<ObjectKey>(), Err(BadKey), "{bad}");
    }
}

fn rendition() -> impl Strategy<Value = Rendition> {
    let lang = "[a-z]{2,3}".prop_map(|l| Rendition::Audio(l.parse().unwrap()));
    let again =
        ("[a-z]{2,3}", 2_u8..10).prop_map(|(l, number)| Rendition::AudioAgain { lang: l.parse().unwrap(), number });
    prop_oneof![prop::sample::select(Rendition::RUNGS.to_vec()), Just(Rendition::Source), lang, again]
}

fn clip() -> impl Strategy<Value = ClipRef> {
    (0..u32::MAX, 1..=u32::MAX).prop_filter_map("a clip ends after it begins", |(start, length)| {
        ClipRef::new(start, start.saturating_add(length))
    })
}

fn path() -> impl Strategy<Value = ArtifactPath> {
    prop_oneof![
        prop::sample::select(vec![
            ArtifactPath::Master,
            ArtifactPath::Opener,
            ArtifactPath::Poster,
            ArtifactPath::ThumbSprite,
            ArtifactPath::ThumbTrack
        ]),
        rendition().prop_map(ArtifactPath::Variant),
        rendition().prop_map(ArtifactPath::IFrames),
        rendition().prop_map(ArtifactPath::Init),
        rendition().prop_map(ArtifactPath::Download),
        (rendition(), any::<u32>()).prop_map(|(rendition, index)| ArtifactPath::Segment { rendition, index }),
        clip().prop_map(ArtifactPath::ClipMaster),
        (rendition(), clip()).prop_map(|(rendition, clip)| ArtifactPath::ClipVariant { rendition, clip }),
        (any::<u32>(), clip()).prop_map(|(version, clip)| {
            let captions = CaptionRef { lang: "en".parse().unwrap(), version };
            ArtifactPath::ClipCaptions { captions, clip }
        }),
    ]
}

proptest! {
    #[test]
    fn printing_and_parsing_undo_each_other(path in path()) {
        prop_assert_eq!(path.to_string().parse(), Ok(path));
    }

    #[test]
    fn two_texts_never_give_one_path(text in "(hls/|downloads/)?[0-9a-z_-]{1,5}/?[a-z_.0-9%-]{0,24}") {
        if let Ok(path) = text.parse::<ArtifactPath>() {
            prop_assert_eq!(path.to_string(), text);
        }
    }

    #[test]
    fn every_artifact_has_an_object_key(path in path(), bytes in any::<[u8; 16]>()) {
        let asset = AssetId::from_bytes(bytes);
        let key = ObjectKey::artifact(asset, path);
        prop_assert_eq!(key.as_str().parse(), Ok(key.clone()));
        prop_assert!(key.as_str().starts_with(&ObjectKey::asset_prefix(asset)));
    }
}
