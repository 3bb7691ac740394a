//! `rend hls check`: reads a presentation from a folder or over HTTP and tells every rule that it breaks.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Subcommand;
use futures::{StreamExt, TryStreamExt};
use rend_core::media::check::{
    Broken, Described, List, Presentation, Segment, is_master, lists_of, parts_of, presentation,
};

use crate::Outcome;

#[derive(Subcommand)]
pub(crate) enum HlsVerb {
    /// Hold a presentation against the rules of HLS; one finding a line, status 1 when there is an error
    Check {
        /// A folder with `master.m3u8` or `hls/master.m3u8`, the playlist itself, or its URL
        place: String,
        /// Whether warnings make for status 1 too
        #[arg(long)]
        strict: bool,
    },
}

pub(crate) async fn hls(verb: HlsVerb) -> Outcome {
    let HlsVerb::Check { place, strict } = verb;
    let (place, master) = Place::find(&place)?;
    let (all, mut broken) = read(&place, &master).await?;
    broken.extend(presentation(&all));
    for finding in &broken {
        println!("{finding}");
    }
    let errors = broken.iter().filter(|finding| finding.is_error()).count();
    let segments: usize = all.lists.iter().map(|list| list.segments.len()).sum();
    println!("{} lists, {segments} segments, {errors} errors, {} warnings", all.lists.len(), broken.len() - errors);
    Ok(if errors > 0 || strict && !broken.is_empty() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Where a presentation lies: names are relative to the multivariant playlist.
enum Place {
    Folder(PathBuf),
    Web(reqwest::Client, reqwest::Url),
}

/// The beginning of a file, its whole length, and the media type it was served with.
struct Head {
    bytes: bytes::Bytes,
    len: u64,
    media_type: Option<String>,
}

impl Place {
    /// The place, and the name of the multivariant playlist there.
    fn find(place: &str) -> Result<(Self, String), String> {
        if place.starts_with("http://") || place.starts_with("https://") {
            let url = reqwest::Url::parse(place).map_err(|error| format!("{place} is no URL: {error}"))?;
            let client = reqwest::Client::builder().build().map_err(|error| format!("no HTTP client: {error}"))?;
            return Ok((Self::Web(client, url), String::new()));
        }
        let path = Path::new(place);
        if path.is_file() {
            let name = path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
            let folder =
                path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
            return Ok((Self::Folder(folder.to_path_buf()), name));
        }
        let folder = [path.to_path_buf(), path.join("hls")].into_iter().find(|folder| folder.join(MASTER).is_file());
        let folder = folder.ok_or_else(|| format!("there is no {MASTER} in {place}, nor in its folder hls"))?;
        Ok((Self::Folder(folder), MASTER.to_owned()))
    }

    async fn head(&self, name: &str, bytes_max: u64) -> Result<Head, String> {
        match self {
            Self::Folder(folder) => {
                use tokio::io::AsyncReadExt;
                let path = folder.join(name);
                let told = |error: std::io::Error| format!("{}: {error}", path.display());
                let file = tokio::fs::File::open(&path).await.map_err(told)?;
                let len = file.metadata().await.map_err(told)?.len();
                let mut bytes = Vec::new();
                file.take(bytes_max).read_to_end(&mut bytes).await.map_err(told)?;
                Ok(Head { bytes: bytes.into(), len, media_type: None })
            }
            Self::Web(client, base) => {
                let url = if name.is_empty() { Ok(base.clone()) } else { base.join(name) };
                let url = url.map_err(|error| format!("{name}: no address: {error}"))?;
                // Addresses of signed playback hold a token, so only the name is ever shown.
                let told = |error: reqwest::Error| format!("{name}: {}", error.without_url());
                let range = format!("bytes=0-{}", bytes_max.saturating_sub(1));
                let answer = client.get(url).header("range", range).send().await.map_err(told)?;
                let answer = answer.error_for_status().map_err(told)?;
                let header = |key: &str| Some(answer.headers().get(key)?.to_str().ok()?.to_owned());
                let whole = header("content-range").and_then(|range| range.rsplit_once('/')?.1.parse().ok());
                let media_type = header("content-type");
                let bytes = answer.bytes().await.map_err(told)?;
                Ok(Head { len: whole.unwrap_or(bytes.len() as u64), bytes, media_type })
            }
        }
    }
}

async fn read(place: &Place, master: &str) -> Result<(Presentation, Vec<Broken>), String> {
    let mut broken = Vec::new();
    let text = text(place, master, &mut broken).await?;
    if !is_master(&text) {
        return Err("this is no multivariant playlist: name the one that lists the renditions".to_owned());
    }
    let mut all = Presentation { master: text, ..Presentation::default() };
    for uri in lists_of(&all.master).into_iter().take(LISTS_MAX) {
        all.lists.push(list(place, uri, &mut broken).await?);
    }
    Ok((all, broken))
}

async fn list(place: &Place, uri: String, broken: &mut Vec<Broken>) -> Result<List, String> {
    let text = match text(place, &uri, broken).await {
        Ok(text) => text,
        // A list that is named and not there is a finding about the list that names it.
        Err(why) => {
            eprintln!("{why}");
            return Ok(List { uri, ..List::default() });
        }
    };
    let (map, segments) = parts_of(&text);
    let folder = uri.rsplit_once('/').map_or(String::new(), |(folder, _)| format!("{folder}/"));
    let mut read = List { uri, text, ..List::default() };
    if let Some(map) = map {
        let head = place.head(&format!("{folder}{map}"), HEAD_BYTES).await?;
        kind(&head, &map, "video/mp4", broken);
        read.init = Described::read(&head.bytes).ok();
    }
    if read.init.is_none() && segments.iter().all(|name| name.ends_with(".vtt")) {
        for name in &segments {
            let head = place.head(&format!("{folder}{name}"), HEAD_BYTES).await?;
            kind(&head, name, "text/vtt", broken);
            read.texts.push(String::from_utf8_lossy(&head.bytes).into_owned());
        }
    }
    let keys_only = read.text.lines().any(|line| line == "#EXT-X-I-FRAMES-ONLY");
    if let (Some(described), false) = (&read.init, keys_only) {
        let folder = &folder;
        let heads = segments.iter().map(|name| async move {
            let head = place.head(&format!("{folder}{name}"), HEAD_BYTES).await?;
            let segment = Segment::read(&described.init, &head.bytes, head.len);
            Ok::<_, String>((segment.map_err(|error| format!("{name}: {error}"))?, head))
        });
        let heads: Vec<_> = futures::stream::iter(heads).buffered(READS_AT_ONCE).try_collect().await?;
        if let Some((_, head)) = heads.first() {
            kind(head, "the first segment", "video/mp4", broken);
        }
        read.segments = heads.into_iter().map(|(segment, _)| segment).collect();
    }
    Ok(read)
}

async fn text(place: &Place, name: &str, broken: &mut Vec<Broken>) -> Result<String, String> {
    let head = place.head(name, TEXT_BYTES_MAX).await?;
    let shown = if name.is_empty() { "master" } else { name };
    kind(&head, shown, "application/vnd.apple.mpegurl", broken);
    String::from_utf8(head.bytes.to_vec()).map_err(|_| format!("error P1 {shown}: not UTF-8"))
}

/// P2, as far as it concerns how a file is served.
fn kind(head: &Head, name: &str, wanted: &str, broken: &mut Vec<Broken>) {
    let told = head.media_type.as_deref().map(|told| told.split(';').next().unwrap_or(told).trim());
    if let Some(told) = told.filter(|told| !told.eq_ignore_ascii_case(wanted)) {
        broken.push(Broken::error("P2", format!("{name}: is served as {told}, not as {wanted}")));
    }
}

const MASTER: &str = "master.m3u8";
/// Bytes of a segment that hold its headers.
const HEAD_BYTES: u64 = 256 << 10;
/// Bytes of a playlist that are read.
const TEXT_BYTES_MAX: u64 = 4 << 20;
/// Media playlists that are read.
const LISTS_MAX: usize = 64;
/// Segments that are read at once.
const READS_AT_ONCE: usize = 8;
