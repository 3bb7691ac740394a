//! Bootstrap: whether a viewer may start, where, and how the right to fetch travels.

use std::time::Duration;

use crate::artifact::ArtifactPath;
use crate::asset::{Asset, Failure, PlayableState, PlaybackPolicy, SourceState};
use crate::id::AssetId;
use crate::playback::scope::Transport;
use crate::url::BaseUrl;

/// What a player's bootstrap comes to.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Admission {
    /// It may start.
    Ready,
    /// There is nothing to play yet; asking again later helps.
    NotPlayable,
    /// It never will play as it is.
    Unavailable(Option<Failure>),
    /// The asset is for those the owner vouches for, and nobody vouched for this viewer.
    Denied,
    /// There is no such asset any more.
    Gone,
}

/// Whether a viewer of `asset` may start. `vouched` says that they bring a token that was verified for this asset.
///
/// A deleted asset is gone for everyone, and a viewer who may not see an asset learns nothing of its state.
pub fn admit(asset: &Asset, vouched: bool) -> Admission {
    if asset.source == SourceState::Deleted || asset.playable == PlayableState::Deleted {
        return Admission::Gone;
    }
    if asset.policy == PlaybackPolicy::Signed && !vouched {
        return Admission::Denied;
    }
    match asset.playable {
        PlayableState::OpenerReady | PlayableState::HlsReady => Admission::Ready,
        PlayableState::NotPlayable => Admission::NotPlayable,
        PlayableState::Failed => Admission::Unavailable(asset.failure.clone()),
        PlayableState::Deleted => Admission::Gone,
    }
}

/// The URL of one artifact at one edge. It can be shown to scripts and written in logs of ours: it is made of a base, an
/// asset and an artifact, none of which can hold a token.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PlaybackUrl(String);

impl PlaybackUrl {
    /// Where `path` of `asset` is played from at `base`.
    pub fn new(base: &BaseUrl, asset: AssetId, path: ArtifactPath) -> Self {
        Self(base.join(&format!("v/{asset}/{path}")))
    }

    /// The URL as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The URL of one artifact with the token in its path, for players without cookies. It is a credential: it has no
/// `Debug`, and nothing turns it into a [`PlaybackUrl`].
#[expect(missing_debug_implementations, reason = "it holds a token")]
#[derive(Clone, Eq, PartialEq)]
pub struct PathTokenUrl(String);

impl PathTokenUrl {
    /// Where `path` of `asset` is played from at `base` by whoever holds `token`; `None` when the text cannot be part of
    /// a path as it stands.
    pub fn new(base: &BaseUrl, asset: AssetId, token: &str, path: ArtifactPath) -> Option<Self> {
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.');
        let fits = (1..=TOKEN_CHARS_MAX).contains(&token.len()) && token.bytes().all(plain);
        fits.then(|| Self(base.join(&format!("v/{asset}/~{token}/{path}"))))
    }

    /// The URL itself. Whoever calls this takes care that it is not logged.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

/// Characters that a token in a path may have.
pub const TOKEN_CHARS_MAX: usize = 244;

/// What a ready bootstrap tells a player beside its URLs.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Terms {
    /// How the right to fetch travels.
    pub transport: Transport,
    /// How long it lasts.
    pub ttl: Duration,
    /// When to ask for the next: four fifths of the way.
    pub refresh_after: Duration,
}

impl Terms {
    /// The terms of a right that lasts `ttl`.
    pub fn new(transport: Transport, ttl: Duration) -> Self {
        Self { transport, ttl, refresh_after: Duration::from_secs(ttl.as_secs() * 4 / 5) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::OrgId;
    use crate::time::Timestamp;

    #[test]
    fn every_pair_of_states_and_policies_has_one_answer() {
        let id = AssetId::from_bytes([1; 16]);
        let mut asset =
            Asset::new(id, OrgId::from_bytes([2; 16]), String::new(), PlaybackPolicy::Signed, Timestamp::EPOCH);
        for source in SourceState::ALL {
            for playable in PlayableState::ALL {
                for policy in PlaybackPolicy::ALL {
                    for vouched in [false, true] {
                        (asset.source, asset.playable, asset.policy) = (*source, *playable, *policy);
                        let gone = *source == SourceState::Deleted || *playable == PlayableState::Deleted;
                        let denied = *policy == PlaybackPolicy::Signed && !vouched;
                        let expect = match (gone, denied, playable.is_playable()) {
                            (true, ..) => Admission::Gone,
                            (_, true, _) => Admission::Denied,
                            (_, _, true) => Admission::Ready,
                            _ if *playable == PlayableState::Failed => Admission::Unavailable(None),
                            _ => Admission::NotPlayable,
                        };
                        assert_eq!(admit(&asset, vouched), expect, "{source} {playable} {policy} {vouched}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_url_for_scripts_holds_no_token_and_one_with_a_token_is_no_url_for_scripts() {
        let base: BaseUrl = "https://ash-1.example.com/".parse().unwrap();
        let asset = AssetId::from_bytes([0; 16]);
        let url = PlaybackUrl::new(&base, asset, ArtifactPath::Master);
        assert_eq!(url.as_str(), format!("https://ash-1.example.com/v/{asset}/hls/master.m3u8"));
        let with_token = PathTokenUrl::new(&base, asset, "rt1.abc_-", ArtifactPath::Master).unwrap();
        assert_eq!(with_token.expose(), format!("https://ash-1.example.com/v/{asset}/~rt1.abc_-/hls/master.m3u8"));
        for odd in ["", "a/b", "a b", "a%2fb", "a?b", &"x".repeat(245)] {
            assert!(PathTokenUrl::new(&base, asset, odd, ArtifactPath::Master).is_none(), "{odd}");
        }
    }

    #[test]
    fn a_player_asks_again_after_four_fifths() {
        let terms = Terms::new(Transport::Path(crate::playback::scope::PathReason::Asked), Duration::from_secs(900));
        assert_eq!(terms.refresh_after, Duration::from_secs(720));
    }
}
