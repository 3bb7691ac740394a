//! One learns how to give a viewer one video for a quarter of an hour, and to check every request in a server of one's own.
#![expect(clippy::print_stdout, reason = "an example prints")]

use std::error::Error;

use rend_token::transport::{COOKIE_SECURE, CookieSite, SetCookie, candidates, redact};
use rend_token::{
    Artifact, ArtifactClass, AssetRef, ClassMask, Grant, KeyRingBuf, Policy, Request, RingValues, Rung, SessionId,
    Signer, UnixSecs, Verifier,
};

fn main() -> Result<(), Box<dyn Error>> {
    // Where the application starts: keys come from its configuration, and are refused here rather than in the night.
    let values = RingValues {
        signing_label: Some("2026-11"),
        signing_secret: Some("Zr8fQ0mVt3uXkYw1LhJc7sNdB2gAe5PiRo9KxTyUvMlWqHzE"),
        verify_keys: None,
        production: true,
    };
    let ring = KeyRingBuf::from_values(&values, Policy::new())?;
    let now = UnixSecs::new(1_800_000_000);

    // Where somebody may watch: the answer of the application carries a cookie.
    let asset = AssetRef::parse("my_video-42")?;
    let ceiling = Rung::new(2).ok_or("a ladder has fifteen rungs")?;
    let grant = Grant::playback(&asset, ClassMask::HLS, 900).rung_max(ceiling).session(SessionId::new([1; 7]));
    let token = Signer::new(&ring).sign(&grant.build(now)?)?;
    let header = SetCookie::new(CookieSite::Same, &token, &asset, 900).to_string();
    println!("Set-Cookie: {}", redact(&header));

    // Where a request comes in: the path was parsed by the application, the cookie is as the browser sent it.
    let cookie = format!("theme=dark; {COOKIE_SECURE}={}", token.as_str());
    let answer = |asset: &str, rung: u8, class: ArtifactClass, later: u32| -> Result<&str, Box<dyn Error>> {
        let artifact = Artifact::new(class, "hls/720p/segment_00001.m4s").on_rung(Rung::new(rung).ok_or("no rung")?);
        let request = Request::new(&AssetRef::parse(asset)?, artifact, now.saturating_add(later));
        let found = candidates(None, None, [cookie.as_bytes()], COOKIE_SECURE);
        let verified = found.iter().find_map(|token| Verifier::playback(&ring).verify(token, &request).ok());
        Ok(if verified.is_some() { "200" } else { "401" })
    };
    println!("the video, at 720p              {}", answer("my_video-42", 2, ArtifactClass::Segment, 60)?);
    println!("the video, at 1080p             {}", answer("my_video-42", 3, ArtifactClass::Segment, 60)?);
    println!("the video's original            {}", answer("my_video-42", 2, ArtifactClass::Original, 60)?);
    println!("another video                   {}", answer("my_video-43", 2, ArtifactClass::Segment, 60)?);
    println!("the video, a quarter later      {}", answer("my_video-42", 2, ArtifactClass::Segment, 900)?);
    Ok(())
}
