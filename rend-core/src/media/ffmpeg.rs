//! The arguments of ffmpeg and ffprobe, as data.
//!
//! Every run names the one demuxer that may open the input and the two protocols it may use, reads one file, writes one
//! fragmented file to its standard output, and takes no metadata along. One run may encode several rungs: they are
//! tracks 1, 2, … of the one output, in the order of [`Unit::outputs`].

use std::collections::BTreeSet;

use crate::media::plan::{Effort, Plan, Route, SOUND_HZ, Unit};
use crate::media::probe::{Audio, Cadence, Transfer, Video};
use crate::media::sniff::Container;
use crate::media::sounds::sounds;
use crate::media::storyboard::Storyboard;
use crate::media::subtitles::Subtitle;

/// The arguments of one run, without the program's name.
pub type Arguments = Vec<String>;

/// Asks what is in `input`: see [`crate::media::probe::read`].
pub fn probe(container: Container, input: &str) -> Arguments {
    let mut args = words("-v error -print_format json -show_format -show_streams");
    args.extend(open(container, input));
    args
}

/// Asks for the time stamp of every packet of stream `index`, a line each: see [`crate::media::probe::PacketScan`].
pub fn packets(container: Container, input: &str, index: u32) -> Arguments {
    let mut args = words("-v error -print_format csv=p=0 -show_entries packet=pts_time");
    args.extend(["-select_streams".to_owned(), index.to_string()]);
    args.extend(open(container, input));
    args
}

/// Encodes one unit of `plan`.
pub fn video(plan: &Plan, unit: &Unit, input: &str) -> Arguments {
    let Some(video) = &plan.source.video else { return Vec::new() };
    let grid = &plan.grid;
    let mut args = telling();
    args.extend(["-threads".to_owned(), unit.threads.to_string()]);
    args.extend(words("-filter_threads 1 -filter_complex_threads 1"));
    let from = unit.first - unit.preroll;
    if from > 0 {
        // Half a frame early, then rounded down: a time stamp that is off by less than that still falls on its frame.
        args.extend(["-ss".to_owned(), instant(grid.micros_at(from) - grid.micros_at(1) / 2)]);
    }
    if video.cadence == Cadence::Broken && plan.source.container == Container::Mov {
        // An edit list in forged time would throw away what is counted here.
        args.extend(words("-ignore_editlist 1"));
    }
    // Where pictures change their size on the way, filters that began anew would count frames from nought again.
    args.extend(words("-reinit_filter 0"));
    args.extend(open(plan.source.container, input));
    args.extend(["-filter_complex".to_owned(), graph(plan, unit, video)]);
    let rungs: Vec<_> =
        unit.outputs.iter().filter_map(|(r, _)| plan.rungs.iter().find(|rung| rung.rendition == *r)).collect();
    for (index, _) in rungs.iter().enumerate() {
        args.extend(["-map".to_owned(), format!("[o{index}]")]);
    }
    args.extend(words(
        "-an -sn -dn -map_metadata -1 -map_chapters -1 -fps_mode passthrough -c:v libx264 -profile:v high",
    ));
    args.extend([
        "-preset".to_owned(),
        preset(unit.effort).to_owned(),
        "-threads".to_owned(),
        unit.threads.to_string(),
    ]);
    // What ends up in parameter sets is fixed here, since every unit of a rung shares one initialisation segment.
    let references = if plan.effort == Effort::Thorough { 3 } else { 1 };
    // Without looking ahead and weighing what later pictures repeat, the fastest preset spends two to three times the bytes
    // of the rest of its rung: every viewer would wait for them, and the lowest rung would ask for more than the next.
    let ahead = if unit.effort == Effort::Opener { ":rc-lookahead=10:mbtree=1" } else { "" };
    // A stretch follows another that has spent its bits: begun with a full allowance, each would spend what the one before
    // saved, and the rung more than its most bits a second where they meet.
    let begun = if unit.first > 0 { ":vbv-init=0.5" } else { "" };
    args.extend(["-x264-params".to_owned(), format!("stitchable=1:ref={references}:{PARAMETER_SETS}{ahead}{begun}")]);
    args.extend(["-crf".to_owned(), CRF.to_string()]);
    for (index, rung) in rungs.iter().enumerate() {
        args.extend([format!("-maxrate:v:{index}"), format!("{}k", rung.kbps_max)]);
        args.extend([format!("-bufsize:v:{index}"), format!("{}k", u64::from(rung.kbps_max) * 2)]);
    }
    args.extend(["-g".to_owned(), grid.gop.to_string(), "-keyint_min".to_owned(), grid.gop.to_string()]);
    args.extend(words("-sc_threshold 0"));
    if plan.route == Route::Passthrough {
        for (index, (_, from)) in unit.outputs.iter().enumerate() {
            let own = unit.first + unit.skipped(plan, *from);
            let inner = own + 1..unit.first + unit.frames;
            let firsts = plan.cuts.iter().map(|cut| cut.first).filter(|first| inner.contains(first));
            // A quarter of a frame early, so that rounding finds the frame itself.
            let early = grid.micros_at(1) / 4;
            let instants: Vec<String> = firsts.map(|first| instant(grid.micros_at(first - own) - early)).collect();
            if !instants.is_empty() {
                args.extend([format!("-force_key_frames:v:{index}"), instants.join(",")]);
            }
        }
    } else if unit.sparse {
        let gop = instant(grid.micros_at(grid.gop.into()));
        args.extend(["-force_key_frames".to_owned(), format!("expr:gte(t,n_forced*{gop})")]);
    }
    args.extend(["-video_track_timescale".to_owned(), grid.timescale.to_string()]);
    args.extend(words("-f mp4 -movflags +frag_keyframe+empty_moov+default_base_moof -flush_packets 1 pipe:1"));
    args
}

/// Encodes one sound of the source for all of `plan`: AAC-LC, stereo, 48 kHz, from the first instant to a little past the
/// last, silent where the source is.
pub fn audio(plan: &Plan, audio: &Audio, input: &str) -> Arguments {
    let mut args = telling();
    args.extend(words("-threads 1"));
    args.extend(open(plan.source.container, input));
    args.extend(["-map".to_owned(), format!("0:{}", audio.index)]);
    args.extend(words("-vn -sn -dn -map_metadata -1 -map_chapters -1"));
    let resample = format!("aresample={SOUND_HZ}:async=1:first_pts=0");
    let filter = if plan.source.video.is_some() {
        // Under a picture there is sound from its first frame to its last, so that no segment lacks a track.
        let end = instant(plan.source.duration_us + SOUND_TAIL_US);
        format!("{resample},apad=whole_dur={end},atrim=end={end}")
    } else {
        resample
    };
    args.extend(["-af".to_owned(), filter]);
    args.extend(words("-ac 2 -c:a aac -profile:a aac_low -b:a 128k"));
    args.extend(words("-f mp4 -movflags +empty_moov+default_base_moof -frag_duration 1000000 -flush_packets 1 pipe:1"));
    args
}

/// Reads one track of subtitles as WebVTT.
pub fn subtitles(container: Container, subtitle: &Subtitle, input: &str) -> Arguments {
    let mut args = quiet();
    args.extend(words("-threads 1"));
    args.extend(open(container, input));
    args.extend(["-map".to_owned(), format!("0:{}", subtitle.index)]);
    args.extend(words("-vn -an -dn -map_metadata -1 -map_chapters -1 -c:s webvtt -f webvtt pipe:1"));
    args
}

/// Takes one picture as a JPEG: the cover when the source is sound alone, else an early frame.
pub fn poster(plan: &Plan, input: &str) -> Option<Arguments> {
    let mut args = quiet();
    args.extend(words("-threads 1"));
    let stream = match &plan.source.video {
        Some(video) => {
            let at = (plan.source.duration_us / 3).min(POSTER_US);
            if plan.source.container.is_seekable() && video.cadence == Cadence::Constant && at > 0 {
                args.extend(["-ss".to_owned(), instant(at)]);
            }
            video.index
        }
        None => plan.source.cover?,
    };
    args.extend(open(plan.source.container, input));
    args.extend(["-map".to_owned(), format!("0:{stream}")]);
    let tone = plan.source.video.as_ref().map_or("", |video| tone_map(video.transfer));
    // As large as the largest rung needs, and no larger than a page shows.
    let top = plan.rungs.last().map_or_else(
        || "iw:ih".to_owned(),
        |rung| {
            let size = if rung.size.width > 1280 {
                plan.rungs.iter().rev().find(|r| r.size.width <= 1280).unwrap_or(rung).size
            } else {
                rung.size
            };
            format!("{}:{}", size.width, size.height)
        },
    );
    args.extend(["-vf".to_owned(), format!("{tone}scale={top}:flags=bicubic,setsar=1,format=yuvj420p")]);
    args.extend(words("-an -sn -dn -map_metadata -1 -frames:v 1 -c:v mjpeg -q:v 4 -f image2pipe pipe:1"));
    Some(args)
}

/// Decodes what is played as it is beside `plan`, or `alone`, and keeps none of it: what is wrong is said on the way.
///
/// Of the pictures the encoders of the rungs tell, and of the sounds that the plan makes those of the sounds: they are not
/// decoded again. `None` when nothing is left to be told of.
pub fn decode(plan: &Plan, alone: bool, input: &str) -> Option<Arguments> {
    let pictures = plan.source.video.as_ref().filter(|_| alone).map(|video| video.index);
    let made = !alone && (plan.sound || !plan.sounds.is_empty());
    let all = sounds(&plan.source).into_iter().map(|(_, audio)| audio.index);
    let heard: BTreeSet<u32> = all.chain(plan.source.audio.as_ref().map(|audio| audio.index)).collect();
    let heard = heard.into_iter().filter(|_| !made);
    let mapped: Vec<u32> = pictures.into_iter().chain(heard).collect();
    if mapped.is_empty() {
        return None;
    }
    let mut args = telling();
    args.extend(words("-threads 1"));
    args.extend(open(plan.source.container, input));
    args.extend(mapped.into_iter().flat_map(|index| ["-map".to_owned(), format!("0:{index}")]));
    args.extend(words("-sn -dn"));
    if pictures.is_some() {
        args.extend(words("-vf select=0"));
    }
    args.extend(words("-f null pipe:1"));
    Some(args)
}

/// Lays the stills of `board` side by side as a JPEG. `input` is a fragmented file of nothing but their key frames.
pub fn storyboard(board: &Storyboard, input: &str) -> Arguments {
    let mut args = quiet();
    args.extend(words("-threads 1"));
    args.extend(open(Container::Mov, input));
    let (width, height) = (board.tile.width, board.tile.height);
    let (columns, rows, tiles) = (board.columns, board.rows(), board.tiles.len());
    let filter = format!(
        "scale={width}:{height}:flags=bicubic,setsar=1,format=yuvj420p,tile={columns}x{rows}:nb_frames={tiles}"
    );
    args.extend(["-vf".to_owned(), filter]);
    args.extend(words(
        "-an -sn -dn -map_metadata -1 -fps_mode passthrough -frames:v 1 -c:v mjpeg -q:v 5 -f image2pipe pipe:1",
    ));
    args
}

/// The constant quality that rungs are encoded with, below their most bits a second.
pub const CRF: u32 = 23;
/// Filters and encoders without which a plan can not be carried out.
pub const NEEDED: &[(&str, &str)] = &[
    ("encoder", "libx264"),
    ("encoder", "aac"),
    ("encoder", "mjpeg"),
    ("filter", "fps"),
    ("filter", "scale"),
    ("filter", "tile"),
    ("filter", "tpad"),
    ("filter", "bwdif"),
    ("filter", "mpdecimate"),
    ("filter", "zscale"),
    ("filter", "tonemap"),
];
/// From this short side on, pictures are taken to be coded by BT.709 when nothing is said.
const HD_SIDE_MIN: u32 = 720;
/// What decides the parameter sets besides the number of references. Presets differ in it.
const PARAMETER_SETS: &str = "bframes=3:b-pyramid=normal:weightp=1:8x8dct=1:cabac=1:open-gop=0";
/// Sound is made for this much longer than the picture, and what is too much is dropped.
const SOUND_TAIL_US: u64 = 500_000;
/// The poster is no later than this.
const POSTER_US: u64 = 3_000_000;

fn quiet() -> Arguments {
    words("-nostdin -hide_banner -v error -max_error_rate 1")
}

/// The level of every line, each as often as it is said, and at the end how much was decoded: see
/// [`Log`](crate::media::damage::Log).
fn telling() -> Arguments {
    words("-nostdin -hide_banner -nostats -v repeat+level+verbose -max_error_rate 1")
}

/// How an input is opened: by one demuxer, over two protocols, following no reference out of it.
fn open(container: Container, input: &str) -> Arguments {
    let name = container.demuxer();
    let mut args = words("-protocol_whitelist file,pipe");
    args.extend(["-format_whitelist".to_owned(), name.to_owned()]);
    if container == Container::Mov {
        args.extend(words("-enable_drefs 0 -use_absolute_path 0"));
    }
    args.extend(["-f".to_owned(), name.to_owned(), "-i".to_owned(), format!("file:{input}")]);
    args
}

fn graph(plan: &Plan, unit: &Unit, video: &Video) -> String {
    let rate = plan.grid.rate;
    let first = video.upright();
    // Browsers' recordings and joined films change their size on the way: everything behind this sees one size and one
    // format. Pictures that have both pass it untouched.
    let mut chain = vec![format!("scale={}:{}:flags=bicubic", first.width, first.height)];
    if is_word(&video.pixel_format) {
        chain.push(format!("format={}", video.pixel_format));
    }
    if video.cadence == Cadence::Broken {
        chain.push(format!("setpts=N/({rate})/TB"));
    }
    if video.interlaced {
        chain.push("bwdif=mode=send_frame".to_owned());
    }
    let round = if unit.first > unit.preroll { "down" } else { "near" };
    chain.push(format!("fps=fps={rate}:start_time=0:round={round}"));
    if !unit.open {
        // A frozen last picture fills what a damaged source leaves out, so that every rung has every frame.
        chain.push("tpad=stop_mode=clone:stop=-1".to_owned());
        chain.push(format!("trim=start_frame={}:end_frame={}", unit.preroll, unit.preroll + unit.frames));
        chain.push("setpts=PTS-STARTPTS".to_owned());
    } else if unit.preroll > 0 {
        chain.push(format!("trim=start_frame={}", unit.preroll));
        chain.push("setpts=PTS-STARTPTS".to_owned());
    }
    let tone = tone_map(video.transfer).trim_end_matches(',');
    if !tone.is_empty() {
        chain.push(tone.to_owned());
    }
    if video.transfer == Transfer::Sdr && !video.matrix_known && video.display.short_side() >= HD_SIDE_MIN {
        // Said once here, so that a small rung is not shown in other colours than a large one.
        chain.push("setparams=color_primaries=bt709:color_trc=bt709:colorspace=bt709".to_owned());
    }
    if unit.sparse {
        chain.push("format=yuv420p".to_owned());
        chain.push("mpdecimate=hi=0:lo=0:frac=0".to_owned());
    }
    let mut graph = format!("[0:{}]{}", video.index, chain.join(","));
    let outputs = unit.outputs.len();
    if outputs > 1 {
        graph.push_str(&format!(",split={outputs}"));
        (0..outputs).for_each(|index| graph.push_str(&format!("[s{index}]")));
    }
    for (index, (rendition, from)) in unit.outputs.iter().enumerate() {
        let Some(rung) = plan.rungs.iter().find(|rung| rung.rendition == *rendition) else { continue };
        graph.push_str(&if outputs > 1 { format!(";[s{index}]") } else { ",".to_owned() });
        let skipped = unit.skipped(plan, *from);
        if skipped > 0 {
            graph.push_str(&format!("trim=start_frame={skipped},setpts=PTS-STARTPTS,"));
        }
        if rung.size != video.display || video.display != video.upright() {
            graph.push_str(&format!("scale={}:{}:flags=bicubic,", rung.size.width, rung.size.height));
        }
        graph.push_str(&format!("setsar=1,format=yuv420p[o{index}]"));
    }
    graph
}

/// From a high dynamic range to that of ordinary screens.
const fn tone_map(transfer: Transfer) -> &'static str {
    match transfer {
        Transfer::Sdr => "",
        Transfer::Pq => {
            "zscale=tin=smpte2084:pin=bt2020:min=bt2020nc:t=linear:npl=100,format=gbrpf32le,zscale=p=bt709,\
             tonemap=tonemap=hable:desat=0,zscale=t=bt709:m=bt709:r=tv,format=yuv420p,"
        }
        Transfer::Hlg => {
            "zscale=tin=arib-std-b67:pin=bt2020:min=bt2020nc:t=linear:npl=100,format=gbrpf32le,zscale=p=bt709,\
             tonemap=tonemap=hable:desat=0,zscale=t=bt709:m=bt709:r=tv,format=yuv420p,"
        }
    }
}

const fn preset(effort: Effort) -> &'static str {
    match effort {
        Effort::Opener => "superfast",
        Effort::Usual => "veryfast",
        Effort::Thorough => "medium",
    }
}

/// Whether it can stand in a filter's argument.
fn is_word(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

fn instant(us: u64) -> String {
    format!("{}.{:06}", us / 1_000_000, us % 1_000_000)
}

fn words(text: &str) -> Arguments {
    text.split(' ').map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::plan::tests::source;
    use crate::media::plan::{Policy, plan};

    #[test]
    fn every_run_names_its_demuxer_and_its_protocols() {
        let plan = plan(&source(1280, 720, 20), None, &Policy::default());
        let lang = crate::artifact::Lang::UND.into();
        let subtitle = Subtitle { index: 2, codec: "mov_text".to_owned(), lang, forced: false, accessible: false };
        let all = plan.units.iter().map(|unit| video(&plan, unit, "/in")).chain([
            audio(&plan, plan.source.audio.as_ref().unwrap(), "/in"),
            subtitles(Container::Mov, &subtitle, "/in"),
            poster(&plan, "/in").unwrap(),
            probe(Container::Mov, "/in"),
            packets(Container::Mov, "/in", 0),
        ]);
        for args in all {
            let line = args.join(" ");
            let opened = "-protocol_whitelist file,pipe -format_whitelist mov -enable_drefs 0 -use_absolute_path 0 -f mov -i file:/in";
            assert!(line.contains(opened), "{line}");
            assert_eq!(line.matches("-i ").count(), 1);
        }
    }

    #[test]
    fn what_no_encoder_decodes_is_decoded_for_its_own_sake() {
        let mut plan = plan(&source(1280, 720, 20), None, &Policy::default());
        let maps = |plan: &Plan, alone: bool| {
            let args = decode(plan, alone, "/in").unwrap_or_default();
            let maps = args.windows(2).filter(|pair| pair[0] == "-map").map(|pair| pair[1].clone());
            (maps.collect::<Vec<_>>().join(" "), args.contains(&"select=0".to_owned()))
        };
        assert_eq!(maps(&plan, true), ("0:0 0:1".to_owned(), true));
        assert_eq!(maps(&plan, false), (String::new(), false));
        // Its sounds are taken over as they are.
        plan.sound = false;
        assert_eq!(maps(&plan, false), ("0:1".to_owned(), false));
        plan.source.audio = None;
        assert_eq!(maps(&plan, true), ("0:0".to_owned(), true));
    }

    #[test]
    fn a_unit_in_the_middle_is_sought_half_a_frame_early_and_cut_to_the_frame() {
        let plan = plan(&source(1280, 720, 60), None, &Policy::default());
        let unit = plan.units.iter().find(|unit| unit.first > 0 && !unit.open).unwrap();
        let line = video(&plan, unit, "/in").join(" ");
        let at = plan.grid.micros_at(unit.first) - 16_666;
        assert!(line.contains(&format!("-ss {} ", instant(at))), "{line}");
        assert!(line.contains(&format!(
            "[0:0]scale=1280:720:flags=bicubic,format=yuv420p,fps=fps=30/1:start_time=0:round=down,tpad=stop_mode=clone:stop=-1,trim=start_frame=0:end_frame={},",
            unit.frames
        )));
    }

    #[test]
    fn a_stream_that_may_change_its_size_is_scaled_to_the_first_by_filters_that_stay() {
        for container in [Container::Mov, Container::Matroska, Container::MpegTs] {
            let mut source = source(1280, 720, 20);
            source.container = container;
            let plan = plan(&source, None, &Policy::default());
            for unit in &plan.units {
                let line = video(&plan, unit, "/in").join(" ");
                assert!(line.contains("-reinit_filter 0 -protocol_whitelist"), "{line}");
                assert!(line.contains("[0:0]scale=1280:720:flags=bicubic,format=yuv420p,fps="), "{line}");
            }
        }
    }

    #[test]
    fn a_format_that_is_no_word_does_not_come_into_a_filter() {
        let mut source = source(1280, 720, 20);
        for (format, chain) in [
            ("yuv422p10le", "flags=bicubic,format=yuv422p10le,fps="),
            ("", "flags=bicubic,fps="),
            ("a,b", "flags=bicubic,fps="),
        ] {
            format.clone_into(&mut source.video.as_mut().unwrap().pixel_format);
            let plan = plan(&source, None, &Policy::default());
            let line = video(&plan, &plan.units[0], "/in").join(" ");
            assert!(line.contains(chain), "{line}");
        }
    }

    #[test]
    fn several_rungs_are_decoded_once() {
        let plan = plan(&source(1280, 720, 60), None, &Policy { slots: 4, ..Policy::default() });
        let line = video(&plan, &plan.units[1], "/in").join(" ");
        // The opener's unit made the first two seconds of the lowest rung; the largest is as large as the source.
        let graph = "split=3[s0][s1][s2];[s0]trim=start_frame=60,setpts=PTS-STARTPTS,scale=640:360:flags=bicubic,setsar=1,\
                     format=yuv420p[o0];[s1]scale=854:480:flags=bicubic,setsar=1,format=yuv420p[o1];[s2]setsar=1,";
        assert!(line.contains(graph), "{line}");
        assert!(line.contains("-map [o0] -map [o1] -map [o2]"));
    }

    #[test]
    fn odd_sources_get_the_filters_they_need() {
        let mut source = source(1280, 720, 20);
        let picture = source.video.as_mut().unwrap();
        picture.interlaced = true;
        picture.transfer = Transfer::Pq;
        let plan = plan(&source, None, &Policy::default());
        let line = video(&plan, &plan.units[0], "/in").join(" ");
        assert!(line.contains("format=yuv420p,bwdif=mode=send_frame,fps="), "{line}");
        assert!(line.contains("tonemap=tonemap=hable"), "{line}");
    }
}
