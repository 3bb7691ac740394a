//! Whether a request may have what it asks for.

use std::net::IpAddr;

use http::header::{self, HeaderMap};
use rend_core::artifact::{ArtifactPath, Rendition};
use rend_core::id::OrgId;
use rend_core::time::Timestamp;
use rend_token::transport::{COOKIE_LOCAL, COOKIE_SECURE, candidates};
use rend_token::{
    Artifact, ArtifactClass, AssetRef, Denied, KeyRingBuf, Reason, Request, Rung, UnixSecs, Verified, Verifier,
};

use crate::target::Target;

/// What a verified token said that the account of the response needs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Viewer {
    pub(crate) org: Option<OrgId>,
    pub(crate) session: Option<[u8; 7]>,
}

impl From<&Verified> for Viewer {
    fn from(verified: &Verified) -> Self {
        let claims = verified.claims();
        Self {
            org: claims.org().map(|org| OrgId::from_bytes(*org.as_bytes())),
            session: claims.session().map(|session| *session.as_bytes()),
        }
    }
}

/// Looks at the tokens of a request one after the other. The first that opens `target` wins.
///
/// # Errors
///
/// The reason of the last token tried, for metrics alone.
pub(crate) fn admit(
    ring: &KeyRingBuf,
    target: &Target<'_>,
    query: Option<&str>,
    headers: &HeaderMap,
    address: Option<IpAddr>,
    now: Timestamp,
) -> Result<Viewer, Reason> {
    // After 2106 no token is good, which is what an end of the scale says.
    let now = UnixSecs::try_from(now.as_secs()).unwrap_or(UnixSecs::MAX);
    let asset = AssetRef::uuid(*target.asset.as_bytes());
    let mut request = Request::new(&asset, artifact(&target.path, target.name), now);
    if let Some(origin) = headers.get(header::ORIGIN) {
        request = request.origin(origin.as_bytes());
    }
    if let Some(address) = address {
        request = request.address(address);
    }
    let mut reason = Reason::Missing;
    let playback = Verifier::playback(ring);
    for cookie in [COOKIE_LOCAL, COOKIE_SECURE] {
        let lines = headers.get_all(header::COOKIE).iter().map(|line| line.as_bytes());
        // Query and path are looked at once only.
        let first = cookie == COOKIE_LOCAL;
        let query = query.filter(|_| first).map(str::as_bytes);
        let path = target.token.filter(|_| first).map(str::as_bytes);
        for token in candidates(query, path, lines, cookie).iter() {
            match playback.verify(token, &request).or_else(|denied| exchange(ring, target, token, &request, denied)) {
                Ok(verified) => return Ok(Viewer::from(&verified)),
                Err(denied) => reason = denied.reason(),
            }
        }
    }
    Err(reason)
}

/// A bootstrap token opens the master playlist and nothing else.
fn exchange(
    ring: &KeyRingBuf,
    target: &Target<'_>,
    token: &[u8],
    request: &Request<'_>,
    denied: Denied,
) -> Result<Verified, Denied> {
    if denied.reason() == Reason::Suite && target.path == ArtifactPath::Master {
        return Verifier::bootstrap(ring).verify(token, request);
    }
    Err(denied)
}

/// The path as tokens see it.
fn artifact<'a>(path: &ArtifactPath, name: &'a str) -> Artifact<'a> {
    let audio = matches!(path.rendition(), Some(Rendition::Audio(_)));
    let class = match path {
        ArtifactPath::Master => ArtifactClass::MasterManifest,
        ArtifactPath::Variant(_) | ArtifactPath::IFrames(_) => ArtifactClass::VariantManifest,
        ArtifactPath::Init(_) => ArtifactClass::Init,
        ArtifactPath::Segment { .. } if audio => ArtifactClass::Audio,
        ArtifactPath::Segment { .. } => ArtifactClass::Segment,
        ArtifactPath::Opener => ArtifactClass::Opener,
        ArtifactPath::Poster => ArtifactClass::Thumbnail,
        ArtifactPath::ThumbSprite | ArtifactPath::ThumbTrack => ArtifactClass::Storyboard,
        // A kind that this edge does not know yet is opened by no class that today's tokens name.
        _ => ArtifactClass::App,
    };
    let artifact = Artifact::new(class, name);
    match path.rendition().and_then(|rendition| Rung::new(rendition.ladder_index())) {
        Some(rung) => artifact.on_rung(rung),
        None => artifact,
    }
}
