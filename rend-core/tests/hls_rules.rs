//! Each rule of HLS that Rend keeps, broken alone.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]
use bytes::Bytes;
use rend_core::artifact::Lang;
use rend_core::media::captions::{self, Captions};
use rend_core::media::check::{Described, List, Presentation, Segment, growth, lists_of, parts_of, presentation};
use rend_core::media::isobmff::{NewRun, NewTrack, Sample, TrackKind, write_init, write_segment};
use rend_core::media::playlist::{Entry, Master, Media, Track, Variant, bandwidth};

/// Samples of half a second in three segments, a key frame every two seconds.
const SEGMENTS: [(u64, u64); 3] = [(0, 4), (4, 4), (8, 8)];

fn boxed(kind: &[u8; 4], body: &[u8]) -> Vec<u8> {
    let len = u32::try_from(body.len() + 8).unwrap();
    [&len.to_be_bytes()[..], kind, body].concat()
}

fn stsd(format: &[u8; 4], height: u16) -> Bytes {
    let config = boxed(b"avcC", &[1, 0x64, 0, 0x1F, 0xFF]);
    let entry = [&[0; 24][..], &640_u16.to_be_bytes(), &height.to_be_bytes(), &[0; 50], &config].concat();
    boxed(b"stsd", &[&[0, 0, 0, 0, 0, 0, 0, 1][..], &boxed(format, &entry)].concat()).into()
}

fn init(height: u16) -> Bytes {
    let size = (640, height);
    let kind = TrackKind::Video;
    write_init(&[NewTrack { id: 1, kind, timescale: 1000, size, lang: Lang::UND, stsd: stsd(b"avc1", height) }])
}

fn segment(index: usize, bytes: usize) -> Bytes {
    let (first, count) = SEGMENTS[index];
    let sample = |place: u64| Sample {
        track: 1,
        decoded_at: 0,
        shown_after: 0,
        duration: 500,
        key: place.is_multiple_of(4),
        data: vec![7; bytes].into(),
    };
    let samples: Vec<Sample> = (0..count).map(sample).collect();
    write_segment(u32::try_from(index).unwrap() + 1, &[NewRun { track: 1, starts_at: first * 500, samples: &samples }])
}

fn rung(name: &str, height: u16, bytes: usize) -> (List, List, Variant, Variant) {
    let described = Described::read(&init(height)).unwrap();
    let all: Vec<Segment> = (0..3)
        .map(|index| {
            let bytes = segment(index, bytes);
            Segment::read(&described.init, &bytes, bytes.len() as u64).unwrap()
        })
        .collect();
    let entry = |bytes: Option<(u64, u64)>, index: usize| Entry {
        micros: SEGMENTS[index].1 * 500_000,
        uri: format!("segment_{index:05}.m4s"),
        bytes,
    };
    let mut media = Media {
        target_secs: 4,
        init: format!("init_{name}.mp4"),
        segments: (0..3).map(|index| entry(None, index)).collect(),
        ended: true,
        iframes_only: false,
    };
    let rates = |sizes: Vec<u64>| {
        let pairs: Vec<_> = sizes.into_iter().enumerate().map(|(i, bytes)| (SEGMENTS[i].1 * 500_000, bytes)).collect();
        bandwidth(&pairs, 4)
    };
    let (peak, average) = rates(all.iter().map(|segment| segment.bytes).collect());
    let (iframe_peak, iframe_mean) = rates(all.iter().map(|segment| segment.runs[0].first_sample_end).collect());
    let variant = Variant {
        uri: format!("{name}/index.m3u8"),
        bandwidth: peak,
        average,
        codecs: "avc1.64001f".to_owned(),
        resolution: Some((640, height.into())),
        millifps: Some(2000),
    };
    let uri = format!("{name}/iframe.m3u8");
    let iframe = Variant { uri, bandwidth: iframe_peak, average: iframe_mean, millifps: None, ..variant.clone() };
    let list = |uri: &str, media: &Media| List {
        uri: uri.to_owned(),
        text: media.to_string(),
        init: Some(described.clone()),
        segments: if media.iframes_only { Vec::new() } else { all.clone() },
        texts: Vec::new(),
        frames: (!media.iframes_only).then(|| all.iter().map(|segment| segment.runs[0].samples).sum()),
    };
    let whole = list(&variant.uri, &media);
    media.iframes_only = true;
    media.segments = (0..3).map(|index| entry(Some((all[index].runs[0].first_sample_end, 0)), index)).collect();
    let keys = list(&iframe.uri, &media);
    (whole, keys, variant, iframe)
}

fn good() -> Presentation {
    let (low, low_keys, low_variant, iframe) = rung("360p", 360, 5000);
    let (high, _, high_variant, _) = rung("480p", 480, 9000);
    let master = Master { variants: vec![low_variant, high_variant], iframes: vec![iframe], ..Master::default() };
    Presentation { master: master.to_string(), lists: vec![low, high, low_keys], duration_us: Some(8_000_000) }
}

#[track_caller]
fn check(change: impl FnOnce(&mut Presentation), expect: &[&str]) {
    let mut all = good();
    change(&mut all);
    let mut told: Vec<String> =
        presentation(&all).iter().map(|b| b.to_string().split(' ').take(2).collect::<Vec<_>>().join(" ")).collect();
    told.dedup();
    assert_eq!(told, expect, "{:#?}", presentation(&all));
}

fn text(all: &mut Presentation, list: usize, from: &str, to: &str) {
    assert!(all.lists[list].text.contains(from), "{from}");
    all.lists[list].text = all.lists[list].text.replacen(from, to, 1);
}

fn master(all: &mut Presentation, from: &str, to: &str) {
    assert!(all.master.contains(from), "{from} in {}", all.master);
    all.master = all.master.replacen(from, to, 1);
}

/// The same with captions, as they are published.
fn captioned() -> Presentation {
    let mut all = good();
    let beside: Media = all.lists[0].text.parse().unwrap();
    let read = Captions::read(b"WEBVTT\n\n00:00:01.000 --> 00:00:05.000\nHi\n").unwrap();
    let track = Track {
        uri: "c-en_00000001/index.m3u8".to_owned(),
        lang: "en".to_owned(),
        name: "English".to_owned(),
        default: false,
        channels: 0,
        accessible: false,
    };
    all.lists.push(List {
        uri: track.uri.clone(),
        text: captions::list(&beside).to_string(),
        texts: captions::segments(&read, &beside),
        ..List::default()
    });
    let master: Master = all.master.parse().unwrap();
    all.master = Master { captions: vec![track], ..master }.to_string();
    all
}

#[track_caller]
fn check_captions(change: impl FnOnce(&mut Presentation), expect: &[&str]) {
    let mut all = captioned();
    change(&mut all);
    let mut told: Vec<_> = presentation(&all).iter().filter(|b| b.is_error()).map(|b| b.rule).collect();
    told.dedup();
    assert_eq!(told, expect, "{:#?}", presentation(&all));
}

#[test]
fn v6_captions_are_cut_as_the_picture_is() {
    check_captions(|_| {}, &[]);
    check_captions(|p| p.lists[3].texts[0] = p.lists[3].texts[0].replace("X-TIMESTAMP-MAP", "X"), &["V6"]);
    check_captions(|p| p.lists[3].texts[1] = "hello".to_owned(), &["V6"]);
    check_captions(|p| p.lists[3].texts[0].push_str("\n00:02.000 --> 00:01.000\nx\n"), &["V6"]);
    check_captions(|p| p.lists[3].texts.truncate(1), &["M2"]);
    check_captions(|p| text(p, 3, "TARGETDURATION:4", "TARGETDURATION:5"), &["V6"]);
    check_captions(|p| text(p, 3, "#EXTINF:4", "#EXTINF:3"), &["V6"]);
    check_captions(|p| text(p, 3, "#EXTINF:4", "#EXTINF:5"), &["M1", "V6"]);
    check_captions(|p| master(p, ",SUBTITLES=\"captions\"", ""), &["V6"]);
    check_captions(|p| master(p, "GROUP-ID=\"captions\"", "GROUP-ID=\"other\""), &["V6"]);
    check_captions(|p| master(p, ",NAME=\"English\"", ""), &["V6"]);
}

#[test]
fn what_rend_writes_keeps_every_rule() {
    check(|_| {}, &[]);
}

#[test]
fn p1_a_playlist_has_its_form() {
    check(|p| p.lists[0].text.insert(0, '\u{feff}'), &["error P1"]);
    check(|p| text(p, 0, "#EXTM3U\n", "#EXT-X-EXTM3U\n"), &["error P1"]);
    check(|p| p.lists[1].text = p.lists[1].text.replace('\n', "\r\n"), &["error P1"]);
    check(|p| text(p, 0, "#EXT-X-ENDLIST\n", "#EXT-X-ENDLIST\n#EXT-X-ENDLIST\n"), &["error P1"]);
    check(
        |p| {
            text(p, 0, "#EXT-X-MEDIA-SEQUENCE:0\n", "");
            text(p, 0, "#EXT-X-ENDLIST\n", "#EXT-X-MEDIA-SEQUENCE:0\n#EXT-X-ENDLIST\n");
        },
        &["error P1"],
    );
    check(|p| text(p, 0, "#EXT-X-MEDIA-SEQUENCE:0\n", ""), &["warning P1"]);
    check(|p| text(p, 1, "#EXT-X-PLAYLIST-TYPE:EVENT\n", ""), &["warning P1"]);
}

#[test]
fn p2_a_version_knows_maps() {
    check(|p| text(p, 0, "VERSION:7", "VERSION:5"), &["error P2"]);
    check(|p| text(p, 0, "VERSION:7", "VERSION:6"), &["warning P2"]);
}

#[test]
fn p3_addresses_are_plain_and_relative() {
    check(|p| text(p, 1, "segment_00001.m4s", "segment_00001.m4s?token=secret"), &["error P3"]);
    check(|p| text(p, 1, "segment_00001.m4s", "https://example.com/a"), &["error P3"]);
    check(|p| text(p, 1, "URI=\"init", "URI=\"../init"), &["error P3"]);
    let mut all = good();
    text(&mut all, 1, "segment_00001.m4s", "segment_00001.m4s?token=secret");
    assert!(presentation(&all).iter().all(|broken| !broken.detail.contains("secret")));
}

#[test]
fn m1_durations_are_within_the_target() {
    check(
        |p| p.lists.iter_mut().for_each(|list| list.text = list.text.replace("TARGETDURATION:4", "TARGETDURATION:3")),
        &["error M1"],
    );
    let list = &good().lists[0].text;
    assert_eq!(growth("x", list, &list.replace("TARGETDURATION:4", "TARGETDURATION:5"))[0].rule, "M1");
}

#[test]
fn m2_durations_are_those_of_the_samples_and_of_the_source() {
    check(|p| text(p, 1, "#EXTINF:2.000000", "#EXTINF:2.060000"), &["error M2"]);
    check(|p| text(p, 1, "#EXTINF:2.000000", "#EXTINF:2.030000"), &["error M2"]);
    check(|p| text(p, 1, "#EXTINF:2.000000", "#EXTINF:2.0"), &["warning M2"]);
    check(|p| p.duration_us = Some(9_000_000), &["error M2"]);
    check(|p| p.duration_us = None, &[]);
    check(|p| p.lists[1].frames = p.lists[1].frames.map(|frames| frames + 1), &[]);
    check(|p| p.lists[1].frames = p.lists[1].frames.map(|frames| frames + 2), &["error M2"]);
    check(|p| p.lists[1].frames = None, &[]);
    check(
        |p| {
            p.lists[1].segments.pop();
        },
        &["error M2", "error V3"],
    );
}

#[test]
fn m3_segments_start_with_key_frames() {
    check(|p| p.lists[1].segments[1].runs[0].starts_with_key = false, &["error M3"]);
    check(|p| text(p, 0, "#EXT-X-INDEPENDENT-SEGMENTS\n", ""), &["error M3"]);
    check(|p| master(p, "#EXT-X-INDEPENDENT-SEGMENTS\n", ""), &["error M3"]);
}

#[test]
fn m4_tracks_go_on_where_they_ended() {
    check(|p| p.lists[1].segments[1].runs[0].starts_at += 1, &["error M4"]);
    check(|p| p.lists[1].segments[1].sequences = vec![1], &["error M4"]);
    let tail = |p: &mut Presentation, duration: u64, said: &str| {
        for list in &mut p.lists {
            list.text = list.text.replace("#EXTINF:4.000000", said);
            if let Some(last) = list.segments.last_mut() {
                last.runs[0].duration = duration;
                last.runs[0].samples = 1;
                last.keys.truncate(1);
            }
        }
        p.duration_us = None;
    };
    let rules = |duration, said: &str| {
        let mut all = good();
        tail(&mut all, duration, said);
        presentation(&all).iter().filter(|b| b.rule == "M4").map(|b| b.is_error()).collect::<Vec<_>>()
    };
    assert_eq!(rules(80, "#EXTINF:0.080000"), [true, true]);
    assert_eq!(rules(1500, "#EXTINF:1.500000"), [false, false]);
    assert_eq!(rules(2000, "#EXTINF:2.000000"), [] as [bool; 0]);
}

#[test]
fn m5_the_description_is_whole() {
    check(|p| text(p, 1, "#EXT-X-MAP:URI=\"init_480p.mp4\"\n", ""), &["error M5"]);
    check(|p| p.lists[1].init.as_mut().unwrap().init.tracks[0].edited = true, &["error M5"]);
    check(|p| p.lists[1].init.as_mut().unwrap().brands = vec![*b"isom"], &["error M5"]);
    check(|p| p.lists[1].init.as_mut().unwrap().init.tracks[0].stsd = Bytes::new(), &["error M5"]);
    check(
        |p| {
            p.lists[1].init.as_mut().unwrap().init.tracks[0].codec = "avc3.64001f".to_owned();
            p.master = p
                .master
                .replace("CODECS=\"avc1.64001f\",RESOLUTION=640x480", "CODECS=\"avc3.64001f\",RESOLUTION=640x480");
        },
        &["error M5"],
    );
    check(|p| p.lists[1].init = None, &["error M5"]);
}

#[test]
fn m6_lists_only_grow() {
    let whole = good().lists[0].text.clone();
    let growing = whole.replace("#EXT-X-ENDLIST\n", "");
    let shorter = growing.rsplit_once("#EXTINF").unwrap().0.to_owned();
    assert!(growth("x", &shorter, &growing).is_empty());
    assert!(growth("x", &growing, &whole).is_empty());
    assert_eq!(growth("x", &growing, &shorter)[0].rule, "M6");
    assert_eq!(growth("x", &growing, &growing.replace("00001", "00009"))[0].rule, "M6");
    assert_eq!(growth("x", &whole, &growing)[0].rule, "M6");
}

#[test]
fn m7_a_growing_list_is_begun_at_its_start() {
    let growing = |p: &mut Presentation, start: &str| {
        let list = p.lists[1].text.replace("#EXT-X-ENDLIST\n", "");
        p.lists[1].text =
            list.replace("#EXT-X-INDEPENDENT-SEGMENTS\n", &format!("#EXT-X-INDEPENDENT-SEGMENTS\n{start}"));
    };
    check(|p| growing(p, ""), &["warning M7"]);
    check(|p| growing(p, "#EXT-X-START:TIME-OFFSET=0\n"), &[]);
}

#[test]
fn m8_discontinuities_stand_where_something_breaks() {
    let second = "#EXTINF:2.000000,\nsegment_00001.m4s";
    check(|p| text(p, 1, second, &format!("#EXT-X-DISCONTINUITY\n{second}")), &["error M8"]);
    check(|p| text(p, 1, second, &format!("#EXT-X-MAP:URI=\"init_480p.mp4\"\n{second}")), &["error M8"]);
    check(
        |p| {
            let mut strange = p.lists[1].segments[1].runs[0];
            strange.track = 9;
            p.lists[1].segments[1].runs.push(strange);
        },
        &["error M8"],
    );
}

#[test]
fn v1_bandwidths_are_as_measured() {
    let peak = |p: &Presentation| p.master.split("BANDWIDTH=").nth(1).unwrap().split(',').next().unwrap().to_owned();
    check(
        |p| {
            let said = peak(p);
            master(p, &format!(":BANDWIDTH={said}"), ":BANDWIDTH=1");
        },
        &["error V1"],
    );
    check(|p| master(p, "AVERAGE-BANDWIDTH=", "AVERAGE=\"\",X="), &["error V1"]);
    check(
        |p| {
            p.lists[1].segments[0].bytes *= 9;
            let sizes: Vec<_> =
                p.lists[1].segments.iter().zip(SEGMENTS).map(|(s, (_, n))| (n * 500_000, s.bytes)).collect();
            let (peak, mean) = bandwidth(&sizes, 4);
            let (head, tail) = p.master.rsplit_once("#EXT-X-STREAM-INF:BANDWIDTH=").unwrap();
            let tail = tail.split_once(",CODECS").unwrap().1;
            p.master = format!("{head}#EXT-X-STREAM-INF:BANDWIDTH={peak},AVERAGE-BANDWIDTH={mean},CODECS{tail}");
        },
        &["warning V1", "warning V5"],
    );
}

#[test]
fn v2_attributes_are_those_of_the_media() {
    check(|p| master(p, "CODECS=\"avc1.64001f\"", "CODECS=\"avc1.640028\""), &["error V2"]);
    check(|p| master(p, "CODECS=\"avc1.64001f\"", "CODECS=\"avc1.64001f,mp4a.40.2\""), &["error V2"]);
    check(|p| master(p, "RESOLUTION=640x360", "RESOLUTION=641x360"), &["error V2"]);
    check(|p| master(p, ",FRAME-RATE=2.000", ""), &["error V2"]);
    check(|p| master(p, ",FRAME-RATE=2.000", ",FRAME-RATE=2"), &["error V2"]);
    check(|p| master(p, ",FRAME-RATE=2.000", ",FRAME-RATE=1.000"), &["error V2"]);
    check(|p| master(p, ",FRAME-RATE=2.000", ",FRAME-RATE=61.000"), &["error V2"]);
    check(|p| master(p, ",VIDEO-RANGE=SDR", ""), &["error V2"]);
    check(|p| master(p, ",CLOSED-CAPTIONS=NONE", ""), &["error V2"]);
}

#[test]
fn v3_variants_are_cut_at_the_same_instants() {
    check(|p| p.lists[1].segments[1].runs[0].shown_at += 3, &["error V3"]);
    check(|p| text(p, 1, "TARGETDURATION:4", "TARGETDURATION:5"), &["error V3"]);
}

#[test]
fn v4_key_frame_lists_fit_their_segments() {
    check(
        |p| {
            let line = p.master.lines().find(|line| line.contains("I-FRAME")).unwrap().to_owned();
            master(p, &format!("{line}\n"), "");
        },
        &["warning V4"],
    );
    check(|p| text(p, 2, "#EXTINF:4.000000", "#EXTINF:3.000000"), &["warning V4"]);
    check(|p| text(p, 2, "#EXT-X-BYTERANGE:", "#EXT-X-BYTERANGE:1@0\n#X:"), &["warning V4"]);
    check(
        |p| {
            p.lists.pop();
        },
        &["error V4"],
    );
}

#[test]
fn v5_each_variant_stands_once_and_a_light_one_first() {
    let line = |p: &Presentation| {
        p.master.lines().skip_while(|line| !line.contains("STREAM-INF")).take(2).collect::<Vec<_>>().join("\n")
    };
    check(
        |p| {
            let line = line(p);
            p.master.push_str(&line);
        },
        &["error V5", "warning V5"],
    );
    check(|p| master(p, "480p/index.m3u8", "720p/index.m3u8"), &["error V5"]);
    check(|p| p.master = "#EXTM3U\n#EXT-X-INDEPENDENT-SEGMENTS\n".to_owned(), &["error V5"]);
}

#[test]
fn v6_sounds_in_groups_agree() {
    let group = "#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a\",NAME=\"English\",LANGUAGE=\"en\",CHANNELS=\"2\",DEFAULT=YES,\
                 AUTOSELECT=YES,URI=\"480p/index.m3u8\"\n";
    let all = |p: &mut Presentation, group: &str| {
        p.master = p.master.replace("#EXT-X-STREAM-INF:", "#EXT-X-STREAM-INF:AUDIO=\"a\",");
        master(p, "#EXT-X-INDEPENDENT-SEGMENTS\n", &format!("#EXT-X-INDEPENDENT-SEGMENTS\n{group}"));
    };
    check(|p| all(p, group), &[]);
    check(|p| all(p, ""), &["error V6"]);
    check(|p| all(p, &group.replace("LANGUAGE=\"en\",", "")), &["error V6"]);
    let twice = format!("{group}{}", group.replace("English", "Deutsch"));
    check(|p| all(p, &twice), &["error V6"]);
    let named = format!("{group}{}", group.replace("DEFAULT=YES", "DEFAULT=NO"));
    check(|p| all(p, &named), &["error V6"]);
    check(|p| all(p, &group.replace("480p/index.m3u8", "a-de/index.m3u8")), &["error V6"]);
    check(
        |p| {
            all(p, group);
            master(p, "INF:AUDIO=\"a\",", "INF:");
        },
        &["error V6"],
    );
}

#[test]
fn v7_codecs_and_key_frames_stay_within_bounds() {
    check(|p| p.lists[1].segments[2].keys[1] += 10, &["warning V7"]);
    let far = |list: &mut List| list.segments.iter_mut().skip(1).take(1).for_each(|segment| segment.keys.clear());
    check(|p| p.lists.iter_mut().for_each(far), &["warning V7"]);
    let high = |p: &mut Presentation| {
        p.lists[1].init.as_mut().unwrap().init.tracks[0].codec = "avc1.6e0033".to_owned();
        p.master = p.master.replace("\"avc1.64001f\",RESOLUTION=640x480", "\"avc1.6e0033\",RESOLUTION=640x480");
    };
    check(high, &["warning V7"]);
}

#[test]
fn a_reader_is_told_what_to_fetch() {
    let all = good();
    assert_eq!(lists_of(&all.master), ["360p/index.m3u8", "480p/index.m3u8", "360p/iframe.m3u8"]);
    let (map, segments) = parts_of(&all.lists[0].text);
    assert_eq!((map.as_deref(), segments.len()), (Some("init_360p.mp4"), 3));
}
