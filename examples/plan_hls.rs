//! What would Rend make of a video? Learn here how a probe's answer becomes a plan, and a plan becomes HLS playlists.
//!
//! Everything is a pure function over values: nothing is encoded, no file is read.
#![expect(clippy::print_stdout, reason = "an example shows what it found")]
use std::error::Error;

use rend_core::media::ffmpeg;
use rend_core::media::plan::{Policy, plan};
use rend_core::media::playlist::{Entry, Master, Media, Variant};
use rend_core::media::probe::{self, Limits};
use rend_core::media::sniff::sniff;

/// The first bytes of a file, and what `ffprobe -print_format json -show_format -show_streams` said of it.
const HEAD: &[u8] = b"\0\0\0\x20ftypisom\0\0\x02\0isomiso2avc1mp41";
const PROBE: &[u8] = br#"{
  "streams": [
    {"index": 0, "codec_type": "video", "codec_name": "h264", "width": 1080, "height": 1920, "pix_fmt": "yuv420p",
     "r_frame_rate": "30/1", "avg_frame_rate": "30/1", "duration": "14.5", "nb_frames": "435", "bit_rate": "9000000"},
    {"index": 1, "codec_type": "audio", "codec_name": "aac", "channels": 2, "sample_rate": "48000", "duration": "14.5"}
  ],
  "format": {"duration": "14.5", "start_time": "0.0"}
}"#;

fn main() -> Result<(), Box<dyn Error>> {
    let container = sniff(HEAD).ok_or("not a container that Rend reads")?;
    let source = probe::read(PROBE, container, &Limits::default())?;
    let plan = plan(&source, None, &Policy::default());

    println!("plan {} of {} segments, counted as {}", plan.id, plan.cuts.len(), plan.tier().as_str());
    for rung in &plan.rungs {
        println!("  {:>5}: {}x{}, at most {} kb/s", rung.rendition, rung.size.width, rung.size.height, rung.kbps_max);
    }
    println!("first fetched: {}", plan.warm(4).iter().map(ToString::to_string).collect::<Vec<_>>().join(", "));
    println!("first run: ffmpeg {}", ffmpeg::video(&plan, &plan.units[0], "clip.mp4").join(" "));

    let segments = plan.cuts.iter().enumerate().map(|(index, cut)| Entry {
        micros: plan.micros_of(cut),
        uri: format!("segment_{index:05}.m4s"),
        bytes: None,
    });
    let media = Media {
        target_secs: plan.target_secs,
        init: "init_360p.mp4".to_owned(),
        segments: segments.collect(),
        ended: true,
        iframes_only: false,
    };
    println!("\n{media}");
    assert_eq!(media.to_string().parse::<Media>()?, media);

    let variants = plan.rungs.iter().map(|rung| Variant {
        uri: format!("{}/index.m3u8", rung.rendition),
        bandwidth: u64::from(rung.kbps_max) * 1000,
        average: u64::from(rung.kbps_max) * 900,
        codecs: "avc1.64001f,mp4a.40.2".to_owned(),
        resolution: Some((rung.size.width, rung.size.height)),
        millifps: Some(plan.grid.rate.millis()),
    });
    println!("{}", Master { variants: variants.collect(), ..Master::default() });
    Ok(())
}
