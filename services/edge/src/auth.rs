//! Whether a request may have what it asks for, and the cookie that goes with the answer.

use std::net::IpAddr;

use http::header::{self, HeaderValue};
use rend_core::artifact::ArtifactPath;
use rend_core::id::OrgId;
use rend_core::time::Timestamp;
use rend_token::transport::{
    CANDIDATES_MAX, COOKIE_LOCAL, COOKIE_SECURE, CookieDomain, CookieSite, SetCookie, candidates,
};
use rend_token::{
    Artifact, ArtifactClass, AssetRef, Denied, Reason, Renew, Request, Rung, Signer, UnixSecs, Use, Verified, Verifier,
};

use crate::config::EdgeConfig;
use crate::plain::Fields;
use crate::target::Target;
use crate::trust::Trusted;

/// What a verified token said that the account of the response needs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Viewer {
    pub(crate) org: Option<OrgId>,
    pub(crate) session: Option<[u8; 7]>,
}

/// A request that may have what it asks for, and how its token came.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Admitted {
    verified: Verified,
    /// The cookie that carried the token; `None` for a query or a path.
    cookie: Option<&'static str>,
    asset: AssetRef,
    now: UnixSecs,
}

impl Admitted {
    /// Who watches, as far as the token says.
    pub(crate) fn viewer(&self) -> Viewer {
        let claims = self.verified.claims();
        Viewer {
            org: claims.org().map(|org| OrgId::from_bytes(*org.as_bytes())),
            session: claims.session().map(|session| *session.as_bytes()),
        }
    }

    /// The cookie that belongs to the answer: a bootstrap token is exchanged for a playback token, and a playback token
    /// that came in a cookie, may be renewed and is in the last third of its life gets its successor. Whoever carries
    /// tokens in another way gets new ones where he got the first.
    pub(crate) fn set_cookie(
        &self,
        trusted: &Trusted,
        rules: &CookieRules,
        request: &impl Fields,
    ) -> Option<HeaderValue> {
        let (signer, now) = (Signer::new(trusted.ring.as_ref()), self.now);
        let (token, name, max_age_secs) = match (self.verified.claims().purpose(), self.cookie) {
            (Use::Bootstrap, _) => {
                let left = self.verified.claims().deadline().map_or(u32::MAX, |deadline| deadline.since(now));
                let token = signer.exchange(&self.verified, rules.playback_ttl_secs, now).ok()?;
                (token, rules.name(), rules.playback_ttl_secs.min(left))
            }
            (Use::Playback, Some(name)) => {
                let Renew::Now(expires_at) = self.verified.renew() else { return None };
                // Where no key signs here, the player asks the control plane, as it does without renewal.
                (signer.renew(&self.verified, now).ok()?, name, expires_at.since(now))
            }
            (Use::Playback, None) => return None,
        };
        let site = rules.site(name, request);
        let cookie = SetCookie::new(site, &token, &self.asset, max_age_secs);
        let cookie = match rules.domain() {
            Some(domain) => cookie.domain(domain),
            None => cookie,
        };
        let mut value = HeaderValue::try_from(cookie.to_string()).ok()?;
        value.set_sensitive(true);
        Some(value)
    }
}

/// How this edge sets cookies.
#[derive(Clone, Debug)]
pub(crate) struct CookieRules {
    secure: bool,
    host: String,
    domain: Option<String>,
    playback_ttl_secs: u32,
}

impl CookieRules {
    /// The rules for an edge that viewers reach at the base URL of `config`.
    pub(crate) fn new(config: &EdgeConfig) -> Self {
        let (scheme, rest) = config.base_url.split_once("://").unwrap_or(("http", ""));
        let host = rest.split('/').next().unwrap_or_default();
        let host =
            host.rsplit_once(':').filter(|(_, port)| port.bytes().all(|b| b.is_ascii_digit())).map_or(host, |h| h.0);
        Self {
            secure: scheme == "https",
            host: host.to_owned(),
            domain: config.cookie_domain.clone(),
            playback_ttl_secs: config.playback_ttl_secs,
        }
    }

    const fn name(&self) -> &'static str {
        if self.secure { COOKIE_SECURE } else { COOKIE_LOCAL }
    }

    /// The domain that the control plane set the cookie for, if this host lies under it. A cookie without it would stand
    /// beside the first one, not in its place.
    fn domain(&self) -> Option<CookieDomain<'_>> {
        CookieDomain::new(self.domain.as_deref()?, &self.host, &self.host)
    }

    /// A browser sends a cookie to a stranger's page only when it was set for that, so the next one is set likewise.
    fn site(&self, name: &str, request: &impl Fields) -> CookieSite {
        let strange = request.first(&SEC_FETCH_SITE).is_some_and(|site| site == b"cross-site");
        match (name == COOKIE_SECURE, strange) {
            (false, _) => CookieSite::Local,
            (true, false) => CookieSite::Same,
            (true, true) => CookieSite::Cross,
        }
    }
}

/// Looks at the tokens of a request one after the other, at most [`CANDIDATES_MAX`]. The first that opens `target` wins.
///
/// # Errors
///
/// The reason of the last token tried, for metrics alone.
pub(crate) fn admit(
    trusted: &Trusted,
    target: &Target<'_>,
    query: Option<&str>,
    headers: &impl Fields,
    address: Option<IpAddr>,
    now: Timestamp,
) -> Result<Admitted, Reason> {
    // After 2106 no token is good, which is what an end of the scale says.
    let now = UnixSecs::try_from(now.as_secs()).unwrap_or(UnixSecs::MAX);
    let asset = AssetRef::uuid(*target.asset.as_bytes());
    let mut request = Request::new(&asset, artifact_of(&target.path, target.name), now);
    if let Some(origin) = headers.first(&header::ORIGIN) {
        request = request.origin(origin);
    }
    if let Some(address) = address {
        request = request.address(address);
    }
    let mut reason = Reason::Missing;
    let mut left = CANDIDATES_MAX;
    let playback = Verifier::playback(trusted.ring.as_ref()).with_revocation(&trusted.revoked);
    for cookie in [None, Some(COOKIE_SECURE), Some(COOKIE_LOCAL)] {
        if cookie.is_none() && query.is_none() && target.token.is_none() {
            continue;
        }
        let found = match cookie {
            None => candidates(query.map(str::as_bytes), target.token.map(str::as_bytes), [], ""),
            Some(name) => candidates(None, None, headers.each(&header::COOKIE), name),
        };
        for token in found.iter().take(left) {
            match playback.verify(token, &request).or_else(|denied| exchange(trusted, target, token, &request, denied))
            {
                Ok(verified) => return Ok(Admitted { verified, cookie, asset, now }),
                Err(denied) => reason = denied.reason(),
            }
        }
        left = left.saturating_sub(found.len());
    }
    Err(reason)
}

/// A bootstrap token opens the master playlist and nothing else.
fn exchange(
    trusted: &Trusted,
    target: &Target<'_>,
    token: &[u8],
    request: &Request<'_>,
    denied: Denied,
) -> Result<Verified, Denied> {
    if denied.reason() == Reason::Suite && target.path == ArtifactPath::Master {
        let bootstrap = Verifier::bootstrap(trusted.ring.as_ref()).with_revocation(&trusted.revoked);
        return bootstrap.verify(token, request);
    }
    Err(denied)
}

/// A published path as tokens see it; `name` is how it prints.
pub fn artifact_of<'a>(path: &ArtifactPath, name: &'a str) -> Artifact<'a> {
    let audio = path.rendition().is_some_and(|rendition| rendition.sound_lang().is_some());
    let class = match path {
        ArtifactPath::Master | ArtifactPath::ClipMaster(_) => ArtifactClass::MasterManifest,
        ArtifactPath::Variant(_) | ArtifactPath::IFrames(_) | ArtifactPath::ClipVariant { .. } => {
            ArtifactClass::VariantManifest
        }
        ArtifactPath::Init(_) => ArtifactClass::Init,
        ArtifactPath::Segment { .. } if audio => ArtifactClass::Audio,
        ArtifactPath::Segment { .. } => ArtifactClass::Segment,
        ArtifactPath::Download(_) => ArtifactClass::Progressive,
        ArtifactPath::Opener => ArtifactClass::Opener,
        ArtifactPath::Poster => ArtifactClass::Thumbnail,
        ArtifactPath::ThumbSprite | ArtifactPath::ThumbTrack => ArtifactClass::Storyboard,
        ArtifactPath::Captions(_) | ArtifactPath::CaptionSegment { .. } | ArtifactPath::ClipCaptions { .. } => {
            ArtifactClass::Captions
        }
        // A kind that this edge does not know yet is opened by no class that today's tokens name.
        _ => ArtifactClass::App,
    };
    let artifact = Artifact::new(class, name);
    match path.rendition().and_then(|rendition| Rung::new(rendition.ladder_index())) {
        Some(rung) => artifact.on_rung(rung),
        None => artifact,
    }
}

/// Where a request comes from, in the words of the browser that sends it.
const SEC_FETCH_SITE: header::HeaderName = header::HeaderName::from_static("sec-fetch-site");
