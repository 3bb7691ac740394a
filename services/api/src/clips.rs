//! Instant clips: lists that name some of a film's segments, written once and served by every edge like the film's own.

use futures::StreamExt;
use rend_core::artifact::{ArtifactPath, ClipRef, ObjectKey};
use rend_core::asset::{Asset, PlayableState, SourceState};
use rend_core::id::AssetId;
use rend_core::media::clip::{NoClip, Span, master};
use rend_core::media::playlist::{Master, Media, PLAYLIST_BYTES_MAX};
use rend_storage::StoreError;
use rend_storage::objects::Put;

use crate::error::ApiError;
use crate::http::videos::query_pairs;
use crate::state::State;

/// Clips that an asset may have. The same segments are the same clip, whoever asks for them.
pub(crate) const CLIPS_MAX: usize = 1000;

/// The part of a film that somebody asks for, in milliseconds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct ClipWish {
    pub start_ms: u64,
    pub end_ms: Option<u64>,
}

impl ClipWish {
    /// What `?start=&end=` asks for, in seconds with up to three decimals; nothing when neither is there.
    pub(crate) fn parse(query: &str) -> Result<Option<Self>, ApiError> {
        let (mut start, mut end) = (None, None);
        for (name, value) in query_pairs(query) {
            let millis = || millis(&value).ok_or("seconds from the film's beginning, such as 12 or 12.5");
            match name.as_str() {
                "start" => start = Some(millis().map_err(|right| ApiError::field("start", right))?),
                "end" => end = Some(millis().map_err(|right| ApiError::field("end", right))?),
                other => {
                    return Err(ApiError::field("query", format!("`{other}` is not known; known are start and end")));
                }
            }
        }
        let asked = start.is_some() || end.is_some();
        Ok(asked.then_some(Self { start_ms: start.unwrap_or(0), end_ms: end }))
    }
}

/// Characters that a time in a query may have. A film is not half as long as that can say.
const SECONDS_CHARS_MAX: usize = 20;

/// Seconds with up to three decimals, as milliseconds.
fn millis(text: &str) -> Option<u64> {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    if whole.is_empty() || text.len() > SECONDS_CHARS_MAX || part.len() > 3 || !digits(whole) || !digits(part) {
        return None;
    }
    let part: u64 = format!("{part:0<3}").parse().ok()?;
    whole.parse::<u64>().ok()?.checked_mul(1000)?.checked_add(part)
}

/// The clip of `asset` that shows what `wish` asks for. Its lists are there when this returns.
///
/// # Errors
///
/// When the film is not whole yet, or has no such part, or has [`CLIPS_MAX`] clips already.
pub(crate) async fn clip(state: &State, asset: &Asset, wish: ClipWish) -> Result<ClipRef, ApiError> {
    if asset.playable != PlayableState::HlsReady {
        return Err(ApiError::NotPlayable(Box::new(asset.clone())));
    }
    let film: Master = read(state, asset.id, ArtifactPath::Master).await?;
    let path_of = |uri: &str| format!("hls/{uri}").parse::<ArtifactPath>().ok();
    let leading = film.variants.first().and_then(|variant| path_of(&variant.uri)).ok_or_else(strange)?;
    let leading: Media = read(state, asset.id, leading).await?;
    let span = Span::of(&leading, wish.start_ms, wish.end_ms).map_err(|why| match why {
        NoClip::Growing => ApiError::NotPlayable(Box::new(asset.clone())),
        NoClip::Backwards => ApiError::field("end", why.to_string()),
        NoClip::Past { .. } => ApiError::field("start", why.to_string()),
    })?;
    let clip = span.clip().ok_or_else(|| ApiError::field("start", "less than seven weeks"))?;
    let whole = ObjectKey::artifact(asset.id, ArtifactPath::ClipMaster(clip));
    match state.stores.objects.head(&whole).await {
        Ok(_) => return Ok(clip),
        Err(StoreError::NotFound { .. }) => {}
        Err(error) => return Err(error.into()),
    }
    let prefix = format!("{}hls/clip_", ObjectKey::asset_prefix(asset.id));
    if state.stores.objects.list(&prefix, None, CLIPS_MAX).await?.len() >= CLIPS_MAX {
        let detail =
            format!("this video has {CLIPS_MAX} clips already; ask for one of them, or upload the part by itself");
        return Err(ApiError::Conflict { detail });
    }
    let list = master(&film, clip);
    let uris = film.variants.iter().map(|variant| &variant.uri);
    let uris = uris.chain(film.sounds.iter().chain(&film.captions).map(|track| &track.uri));
    let mut written = Vec::new();
    for path in uris.map(|uri| path_of(uri).ok_or_else(strange)) {
        let path = path?;
        let media: Media = read(state, asset.id, path).await?;
        let (own, shown) = if let ArtifactPath::Variant(rendition) = path {
            (ArtifactPath::ClipVariant { rendition, clip }, span.cut(&media))
        } else if let ArtifactPath::Captions(captions) = path {
            (ArtifactPath::ClipCaptions { captions, clip }, span.cover(&media))
        } else {
            return Err(strange());
        };
        written.push(write(state, asset.id, own, shown.to_string()).await?);
    }
    // The list that names the others comes last, so that whoever finds it finds them.
    written.push(write(state, asset.id, ArtifactPath::ClipMaster(clip), list.to_string()).await?);
    // A delete may have looked before these were there.
    let is_gone = match state.stores.assets.get(asset.id).await {
        Ok(now) => now.source == SourceState::Deleted,
        Err(StoreError::NotFound { .. }) => true,
        Err(error) => return Err(error.into()),
    };
    if is_gone {
        for key in &written {
            state.stores.objects.delete(key).await?;
        }
        return Err(ApiError::NotFound { what: "asset" });
    }
    Ok(clip)
}

/// A playlist of the asset.
async fn read<T: std::str::FromStr>(state: &State, asset: AssetId, path: ArtifactPath) -> Result<T, ApiError> {
    let object = state.stores.objects.get(&ObjectKey::artifact(asset, path), None).await?;
    if object.meta.len > PLAYLIST_BYTES_MAX as u64 {
        return Err(strange());
    }
    let (mut body, mut bytes) = (object.body, Vec::new());
    while let Some(chunk) = body.next().await {
        bytes.extend_from_slice(&chunk?);
    }
    String::from_utf8(bytes).ok().and_then(|text| text.parse().ok()).ok_or_else(strange)
}

async fn write(state: &State, asset: AssetId, path: ArtifactPath, text: String) -> Result<ObjectKey, ApiError> {
    let key = ObjectKey::artifact(asset, path);
    let len = Some(text.len() as u64);
    let put = Put { content_type: path.content_type().to_owned(), len, sha256: None, now: state.clock.wall() };
    let body = futures::stream::once(async move { Ok(text.into()) }).boxed();
    state.stores.objects.put(&key, put, body).await?;
    Ok(key)
}

/// What is published is not what this version publishes.
fn strange() -> ApiError {
    ApiError::Conflict { detail: "the playlists of this video are none that clips can be taken from".into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expect: Option<u64>) {
        assert_eq!(millis(text), expect, "{text}");
    }

    #[test]
    fn seconds_have_up_to_three_decimals() {
        check("0", Some(0));
        check("12", Some(12_000));
        check("12.5", Some(12_500));
        check("12.005", Some(12_005));
        check("12.", Some(12_000));
        check("00000000000000000012", Some(12_000));
        check("000000000000000000012", None);
        for odd in ["", ".5", "-1", "+1", "1e3", "1.0001", "1,5", "99999999999999999999", "18446744073709551615"] {
            check(odd, None);
        }
    }

    #[test]
    fn a_query_without_a_clip_asks_for_the_film() {
        assert_eq!(ClipWish::parse("").unwrap(), None);
        assert_eq!(ClipWish::parse("start=1.5").unwrap(), Some(ClipWish { start_ms: 1500, end_ms: None }));
        assert_eq!(ClipWish::parse("end=2").unwrap(), Some(ClipWish { start_ms: 0, end_ms: Some(2000) }));
        assert!(ClipWish::parse("stop=2").is_err() && ClipWish::parse("start=x").is_err());
    }
}
