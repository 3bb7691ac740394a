//! What a public URL asks for, read once.

use rend_core::artifact::ArtifactPath;
use rend_core::id::AssetId;

/// A parsed `/v/…` path: holding one proves that it names something Rend may publish.
#[derive(Clone, Copy)]
pub(crate) struct Target<'a> {
    /// The asset.
    pub(crate) asset: AssetId,
    /// What of it.
    pub(crate) path: ArtifactPath,
    /// The same as text. A path has one spelling, so this is also how it prints.
    pub(crate) name: &'a str,
    /// The token that stood in the path, if one did. It is not yet verified.
    pub(crate) token: Option<&'a str>,
}

impl<'a> Target<'a> {
    /// Reads `/v/{asset}/{artifact}` or `/v/{asset}/~{token}/{artifact}`, or `None` for anything else.
    pub(crate) fn parse(path: &'a str) -> Option<Self> {
        let (asset, rest) = path.strip_prefix("/v/")?.split_once('/')?;
        let (token, rest) = match rest.strip_prefix('~') {
            Some(signed) => signed.split_once('/').map(|(token, rest)| (Some(token), rest))?,
            None => (None, rest),
        };
        Some(Self { asset: asset.parse().ok()?, path: rest.parse().ok()?, name: rest, token })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ASSET: &str = "018f5d3e-7c1a-7b2c-9d4e-5f60718293a4";

    #[track_caller]
    fn check(path: &str, expect: Option<(&str, Option<&str>)>) {
        let parsed = Target::parse(path);
        let seen = parsed.map(|t| (t.path.to_string(), t.token));
        assert_eq!(seen, expect.map(|(p, t)| (p.to_owned(), t)), "{path}");
    }

    #[test]
    fn a_path_names_an_artifact_with_or_without_a_token() {
        check(&format!("/v/{ASSET}/hls/master.m3u8"), Some(("hls/master.m3u8", None)));
        check(&format!("/v/{ASSET}/opener.mp4"), Some(("opener.mp4", None)));
        check(&format!("/v/{ASSET}/~rt1.abc/hls/720p/index.m3u8"), Some(("hls/720p/index.m3u8", Some("rt1.abc"))));
        check(&format!("/v/{ASSET}/~/poster.jpg"), Some(("poster.jpg", Some(""))));
    }

    #[test]
    fn what_is_not_published_does_not_parse() {
        for path in [
            "/",
            "/v",
            "/v/",
            "/V/018f5d3e-7c1a-7b2c-9d4e-5f60718293a4/opener.mp4",
            "/v/018f5d3e-7c1a-7b2c-9d4e-5f60718293a/opener.mp4",
            "/v/018F5D3E-7C1A-7B2C-9D4E-5F60718293A4/opener.mp4",
            "/v/{018f5d3e-7c1a-7b2c-9d4e-5f60718293a4}/opener.mp4",
            "/v/018f5d3e-7c1a-7b2c-9d4e-5f60718293a4",
            "/v/018f5d3e-7c1a-7b2c-9d4e-5f60718293a4/",
            "/v/018f5d3e-7c1a-7b2c-9d4e-5f60718293a4//opener.mp4",
            "/v/018f5d3e-7c1a-7b2c-9d4e-5f60718293a4/source.mp4",
            "/v/018f5d3e-7c1a-7b2c-9d4e-5f60718293a4/hls/../opener.mp4",
            "/v/018f5d3e-7c1a-7b2c-9d4e-5f60718293a4/%6fpener.mp4",
            "/v/018f5d3e-7c1a-7b2c-9d4e-5f60718293a4/~token",
            "/v/018f5d3e-7c1a-7b2c-9d4e-5f60718293a4/~a/~b/opener.mp4",
        ] {
            check(path, None);
        }
    }
}
