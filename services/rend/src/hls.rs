//! `rend hls check`: reads a presentation from a folder or over HTTP and tells every rule that it breaks.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Subcommand;
use futures::StreamExt;
use rend_core::id::AssetId;
use rend_core::media::check::{
    BROKEN_MAX, Broken, Described, List, Presentation, Segment, is_master, lists_of, parts_of, presentation,
};
use rend_core::media::isobmff::Init;

use crate::Outcome;
use crate::client::{Api, Server};
use crate::token::read as read_token;

#[derive(Subcommand)]
pub(crate) enum HlsVerb {
    /// Hold a presentation against the rules of HLS; one finding a line, status 1 when there is an error
    Check {
        /// A folder with `master.m3u8` or `hls/master.m3u8`, the playlist itself, or its URL; the id of an asset, or the URL
        /// that its players begin with, `…/api/player/ID`
        place: String,
        /// A file with the token that a signed asset's players begin with; an asset named by its id needs none
        #[arg(long)]
        token_file: Option<PathBuf>,
        /// A file with the cookie to send, as `name=value`, for the URL of a playlist
        #[arg(long, conflicts_with = "token_file")]
        cookie_file: Option<PathBuf>,
        /// Whether warnings make for status 1 too
        #[arg(long)]
        strict: bool,
        #[command(flatten)]
        server: Server,
    },
}

pub(crate) async fn hls(verb: HlsVerb) -> Outcome {
    let HlsVerb::Check { place, token_file, cookie_file, strict, server } = verb;
    let secret = |file: Option<PathBuf>| file.map(|file| read_token(Some(&file))).transpose();
    let (token, cookie) = (secret(token_file)?, secret(cookie_file)?);
    let (place, master) = if let Ok(asset) = place.parse::<AssetId>() {
        (Place::of_asset(asset, &Api::of(&server)?).await?, String::new())
    } else {
        Place::find(&place, token.as_deref(), cookie.as_deref()).await?
    };
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

/// What a player is told when it begins.
#[derive(serde::Deserialize)]
struct Begun {
    manifest_url: String,
}

/// The beginning of a file, its whole length, and the media type it was served with.
#[derive(Debug)]
struct Head {
    bytes: bytes::Bytes,
    len: u64,
    media_type: Option<String>,
}

impl Place {
    /// The place, and the name of the multivariant playlist there.
    async fn find(place: &str, token: Option<&[u8]>, cookie: Option<&[u8]>) -> Result<(Self, String), String> {
        if place.starts_with("http://") || place.starts_with("https://") {
            // The text is not said again, since addresses may hold tokens.
            let url = reqwest::Url::parse(place).map_err(|error| format!("this is no URL: {error}"))?;
            if is_beginning(&url) {
                return Ok((Self::begin(url, token).await?, String::new()));
            }
            return Ok((Self::Web(client(cookie)?, url), String::new()));
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

    /// Where an asset is served, as its owner's key finds out.
    async fn of_asset(asset: AssetId, api: &Api) -> Result<Self, String> {
        let handed = api.get(&format!("/v1/assets/{asset}/playback")).await?;
        let url = reqwest::Url::parse(&format!("{}/api/player/{asset}", api.base));
        let token = handed["bootstrap_token"].as_str().map(str::as_bytes);
        Self::begin(url.map_err(|error| format!("no URL: {error}"))?, token).await
    }

    /// Begins as a player does, and stays with the address that it is given.
    async fn begin(mut url: reqwest::Url, token: Option<&[u8]>) -> Result<Self, String> {
        let transport = ("transport", "path");
        let kept: Vec<(String, String)> =
            url.query_pairs().into_owned().filter(|(key, _)| key != transport.0).collect();
        let token = token.map(|token| String::from_utf8_lossy(token).into_owned());
        url.query_pairs_mut().clear().extend_pairs(kept).append_pair(transport.0, transport.1);
        if let Some(token) = token {
            url.query_pairs_mut().append_pair("token", &token);
        }
        let client = client(None)?;
        let told = |error: reqwest::Error| format!("playback did not begin: {}", error.without_url());
        let answer = client.get(url.clone()).send().await.map_err(told)?;
        if answer.status() == reqwest::StatusCode::UNAUTHORIZED {
            return Err(
                "this asset is signed: name it by its id, or give the token of a player with --token-file".to_owned()
            );
        }
        let answer: Begun = answer.error_for_status().map_err(told)?.json().await.map_err(told)?;
        let manifest = url.join(&answer.manifest_url).map_err(|error| format!("no address to play: {error}"))?;
        Ok(Self::Web(client, manifest))
    }

    /// A segment, and how it was served. All of it is fetched only where its beginning does not hold every header.
    async fn segment(&self, name: String, init: &Init) -> Result<(Segment, Head), String> {
        let mut head = self.head(&name, HEAD_BYTES).await?;
        if goes_on(&head.bytes, head.len) {
            if head.len > SEGMENT_BYTES_MAX {
                let (len, max) = (head.len, SEGMENT_BYTES_MAX);
                return Err(format!("{name}: a segment of {len} bytes in several fragments; at most {max} are read"));
            }
            head = self.head(&name, SEGMENT_BYTES_MAX).await?;
        }
        let segment = Segment::read(init, &head.bytes, head.len).map_err(|error| format!("{name}: {error}"))?;
        // Many are read, and their bytes have said what they had to say.
        head.bytes = bytes::Bytes::new();
        Ok((segment, head))
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
                let name = if name.is_empty() { "the playlist" } else { name };
                // Addresses of signed playback hold a token, so only the name is ever shown.
                let told = |error: reqwest::Error| format!("{name}: {}", error.without_url());
                let range = format!("bytes=0-{}", bytes_max.saturating_sub(1));
                let answer = client.get(url).header("range", range).send().await.map_err(told)?;
                if matches!(answer.status().as_u16(), 401 | 403) {
                    return Err(format!("{name}: it is for those who may play it: {HOW_TO_BEGIN}"));
                }
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

/// Whether players begin at this address, rather than at a playlist.
fn is_beginning(url: &reqwest::Url) -> bool {
    let mut parts = url.path().trim_end_matches('/').rsplit('/');
    let is_asset = parts.next().is_some_and(|id| id.parse::<AssetId>().is_ok());
    is_asset && parts.next() == Some("player")
}

/// A client that sends this cookie, and only where it was told to go.
fn client(cookie: Option<&[u8]>) -> Result<reqwest::Client, String> {
    let mut builder = reqwest::Client::builder();
    if let Some(cookie) = cookie {
        let mut value = reqwest::header::HeaderValue::from_bytes(cookie)
            .ok()
            .filter(|_| cookie.contains(&b'='))
            .ok_or("the cookie's file holds no line such as `name=value`")?;
        value.set_sensitive(true);
        let headers = [(reqwest::header::COOKIE, value)].into_iter().collect();
        builder = builder.default_headers(headers).redirect(reqwest::redirect::Policy::none());
    }
    builder.build().map_err(|error| format!("no HTTP client: {error}"))
}

/// Reads all that the multivariant playlist names. What is not there, or can not be read, is a finding like any other.
async fn read(place: &Place, master: &str) -> Result<(Presentation, Vec<Broken>), String> {
    let mut broken = Vec::new();
    let text = text(place, master, &mut broken).await?;
    if !is_master(&text) {
        return Err("this is no multivariant playlist: name the one that lists the renditions".to_owned());
    }
    let mut all = Presentation { master: text, ..Presentation::default() };
    for uri in lists_of(&all.master).into_iter().take(LISTS_MAX) {
        all.lists.push(list(place, uri, &mut broken).await);
    }
    Ok((all, broken))
}

async fn list(place: &Place, uri: String, broken: &mut Vec<Broken>) -> List {
    let text = match text(place, &uri, broken).await {
        Ok(text) => text,
        // A list that is named and not there is a finding about the list that names it.
        Err(why) => {
            broken.push(Broken::error("V5", format!("master: {why}")));
            return List { uri, ..List::default() };
        }
    };
    let (map, segments) = parts_of(&text);
    let folder = uri.rsplit_once('/').map_or(String::new(), |(folder, _)| format!("{folder}/"));
    let mut read = List { uri, text, ..List::default() };
    if let Some(map) = map {
        match place.head(&format!("{folder}{map}"), HEAD_BYTES).await {
            Ok(head) => {
                kind(&head, &map, "video/mp4", broken);
                read.init = Described::read(&head.bytes).ok();
            }
            Err(why) => broken.push(Broken::error("M5", why)),
        }
    }
    if read.init.is_none() && segments.iter().all(|name| name.ends_with(".vtt")) {
        let mut heads = Vec::new();
        for name in &segments {
            let head = place.head(&format!("{folder}{name}"), HEAD_BYTES).await;
            heads.push(head.inspect(|head| kind(head, name, "text/vtt", broken)));
        }
        let texts = up_to_a_gap(heads, broken).into_iter();
        read.texts = texts.map(|head| String::from_utf8_lossy(&head.bytes).into_owned()).collect();
    }
    let keys_only = read.text.lines().any(|line| line == "#EXT-X-I-FRAMES-ONLY");
    if let (Some(described), false) = (&read.init, keys_only) {
        let reads = segments.iter().map(|name| place.segment(format!("{folder}{name}"), &described.init));
        let served: Vec<_> = futures::stream::iter(reads).buffered(READS_AT_ONCE).collect().await;
        if let Some(Ok((_, head))) = served.first() {
            kind(head, "the first segment", "video/mp4", broken);
        }
        read.segments = up_to_a_gap(served, broken).into_iter().map(|(segment, _)| segment).collect();
    }
    read
}

/// What could be read before the first that could not: a list that is shorter than it says is a finding of its own, while
/// one with a hole would have every rule after the hole seem broken. Each that could not be read is named.
fn up_to_a_gap<T>(pieces: Vec<Result<T, String>>, broken: &mut Vec<Broken>) -> Vec<T> {
    let mut whole = true;
    let mut kept = Vec::new();
    for piece in pieces {
        match piece {
            Ok(piece) if whole => kept.push(piece),
            Ok(_) => {}
            Err(why) => {
                whole = false;
                if broken.len() < BROKEN_MAX {
                    broken.push(Broken::error("M2", why));
                }
            }
        }
    }
    kept
}

/// Whether a segment of `len` bytes, of which these come first, may hold the header of a fragment that is not among them.
fn goes_on(head: &[u8], len: u64) -> bool {
    let mut at = 0;
    loop {
        if at >= len {
            return false;
        }
        let rest = usize::try_from(at).ok().and_then(|at| head.get(at..)).unwrap_or_default();
        let word = |place: usize| Some(u64::from(u32::from_be_bytes(*rest.get(place..)?.first_chunk()?)));
        let (Some(size), Some(kind)) = (word(0), rest.get(4..8)) else { return true };
        let size = match size {
            0 => len - at,
            1 => match (word(8), word(12)) {
                (Some(high), Some(low)) => high << 32 | low,
                _ => return true,
            },
            size => size,
        };
        let Some(end) = at.checked_add(size).filter(|_| size >= 8) else { return false };
        if kind == b"moof" && end > head.len() as u64 {
            return true;
        }
        at = end;
    }
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

const HOW_TO_BEGIN: &str = "name the asset by its id, or the URL that its players begin with, or give --cookie-file";
const MASTER: &str = "master.m3u8";
/// Bytes of a segment that hold its headers, unless it has several fragments.
const HEAD_BYTES: u64 = 256 << 10;
/// Bytes of a segment with several fragments that are read: eight of them at once stay within what a small machine has.
const SEGMENT_BYTES_MAX: u64 = 64 << 20;
/// Bytes of a playlist that are read.
const TEXT_BYTES_MAX: u64 = 4 << 20;
/// Media playlists that are read.
const LISTS_MAX: usize = 64;
/// Segments that are read at once.
const READS_AT_ONCE: usize = 8;

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use rend_core::artifact::Lang;
    use rend_core::media::isobmff::{NewRun, NewTrack, Sample, TrackKind, write_init, write_segment};

    use super::*;

    fn fragment(number: u32, bytes: usize) -> Vec<u8> {
        let sample =
            Sample { track: 1, decoded_at: 0, shown_after: 0, duration: 500, key: true, data: vec![7; bytes].into() };
        let starts_at = u64::from(number - 1) * 500;
        write_segment(number, &[NewRun { track: 1, starts_at, samples: &[sample] }]).to_vec()
    }

    #[tokio::test]
    async fn a_segment_of_several_fragments_is_read_to_its_last_header() {
        let entry =
            [&[0; 24][..], &[2, 128, 1, 104], &[0; 50], &[0, 0, 0, 13], b"avcC", &[1, 0x64, 0, 0x1F, 0xFF]].concat();
        let boxed = |kind: &[u8; 4], body: &[u8]| {
            [&u32::try_from(body.len() + 8).unwrap().to_be_bytes()[..], kind, body].concat()
        };
        let stsd = boxed(b"stsd", &[&[0, 0, 0, 0, 0, 0, 0, 1][..], &boxed(b"avc1", &entry)].concat());
        let track = NewTrack {
            id: 1,
            kind: TrackKind::Video,
            timescale: 1000,
            size: (640, 360),
            lang: Lang::UND,
            stsd: Bytes::from(stsd),
        };
        let described = Described::read(&write_init(&[track])).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let many: Vec<u8> = (1..=4).flat_map(|number| fragment(number, 200 << 10)).collect();
        std::fs::write(folder.path().join("many.m4s"), &many).unwrap();
        std::fs::write(folder.path().join("one.m4s"), fragment(1, 400 << 10)).unwrap();
        let place = Place::Folder(folder.path().to_path_buf());
        let (segment, _) = place.segment("many.m4s".to_owned(), &described.init).await.unwrap();
        assert_eq!((segment.sequences, segment.runs[0].duration), (vec![1, 2, 3, 4], 2000));
        assert_eq!(segment.bytes, many.len() as u64);
        let (segment, _) = place.segment("one.m4s".to_owned(), &described.init).await.unwrap();
        assert_eq!((segment.sequences, segment.keys.len()), (vec![1], 1));
        assert!(place.segment("none.m4s".to_owned(), &described.init).await.unwrap_err().contains("none.m4s"));
    }

    #[test]
    fn a_beginning_tells_whether_headers_come_after_it() {
        let (one, two) = (fragment(1, 1000), [fragment(1, 1000), fragment(2, 10)].concat());
        let check = |file: &[u8], head: usize, expect: bool| {
            assert_eq!(goes_on(&file[..head], file.len() as u64), expect, "{head} of {}", file.len());
        };
        check(&one, one.len(), false);
        check(&one, one.len() - 900, false);
        check(&one, 20, true);
        check(&two, two.len(), false);
        check(&two, one.len(), true);
        check(&two, one.len() - 900, true);
        check(&two, one.len() + 20, true);
        check(&two, two.len() - 5, false);
        // The last box says that it goes to the end.
        let open = [&one[..], &[0, 0, 0, 0], b"mdat", &[0; 64]].concat();
        check(&open, one.len() + 8, false);
        assert!(!goes_on(&[0, 0, 0, 1, 109, 100, 97, 116, 255, 255, 255, 255, 255, 255, 255, 255], 1 << 30));
    }

    #[test]
    fn what_comes_after_a_gap_is_left_out_and_every_gap_is_told() {
        let mut broken = Vec::new();
        let pieces = vec![Ok(1), Ok(2), Err("three".to_owned()), Ok(4), Err("five".to_owned())];
        assert_eq!(up_to_a_gap(pieces, &mut broken), [1, 2]);
        let told: Vec<String> = broken.iter().map(ToString::to_string).collect();
        assert_eq!(told, ["error M2 three", "error M2 five"]);
    }

    #[test]
    fn a_player_begins_at_an_asset_and_nowhere_else() {
        let id = AssetId::from_bytes([7; 16]);
        let is = |path: &str| is_beginning(&reqwest::Url::parse(&format!("https://a.example{path}")).unwrap());
        assert!(is(&format!("/api/player/{id}")));
        assert!(is(&format!("/api/player/{id}/?token=x")));
        assert!(!is(&format!("/v/{id}/hls/master.m3u8")));
        assert!(!is("/api/player/none"));
    }

    #[test]
    fn a_cookie_that_is_none_is_not_sent() {
        rend_shell::install_tls();
        assert!(client(Some(b"rend_pb=value")).is_ok());
        assert!(client(Some(b"value")).is_err());
        assert!(client(Some(b"a=b\nc=d")).is_err());
    }
}
