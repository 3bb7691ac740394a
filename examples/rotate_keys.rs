//! One learns how a key is replaced while people watch, and how a leaked one is shut out at once.
#![expect(clippy::print_stdout, reason = "an example prints")]

use std::error::Error;

use rend_token::{
    Artifact, ArtifactClass, AssetRef, ClassMask, Grant, KeyLabel, KeyRingBuf, Policy, Reason, Request, RingValues,
    Signer, UnixSecs, Verifier,
};

const OLD: &str = "Zr8fQ0mVt3uXkYw1LhJc7sNdB2gAe5PiRo9KxTyUvMlWqHzE";
const NEW: &str = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";

fn main() -> Result<(), Box<dyn Error>> {
    let asset = AssetRef::parse("018f5d3e-7c1a-7b2c-9d4e-5f60718293a4")?;
    let now = UnixSecs::new(1_800_000_000);
    let claims = Grant::playback(&asset, ClassMask::HLS, 900).build(now)?;
    let request = Request::new(&asset, Artifact::new(ArtifactClass::Segment, "hls/720p/segment_00001.m4s"), now);
    let reason = |ring: &KeyRingBuf, token: &str| match Verifier::playback(ring).verify(token.as_bytes(), &request) {
        Ok(_) => "plays",
        Err(denied) => denied.reason().as_str(),
    };

    // Before: one key. 1: the new one only verifies, everywhere. 2: it signs, the old one only verifies. 3: the old is gone.
    let (old, new) = (("2026-10", OLD), ("2026-11", NEW));
    let steps = [
        ("before", ring(old, None)?),
        ("1 add the new key to verify", ring(old, Some(new))?),
        ("2 swap: the new key signs", ring(new, Some(old))?),
        ("3 drop the old key", ring(new, None)?),
    ];
    println!("{:<30} {:>14} {:>14}", "step", "older token", "newer token");
    let older = Signer::new(&steps[0].1).sign(&claims)?;
    let newer = Signer::new(&steps[2].1).sign(&claims)?;
    for (name, ring) in &steps {
        println!("{name:<30} {:>14} {:>14}", reason(ring, older.as_str()), reason(ring, newer.as_str()));
    }

    // The old key has leaked: it is revoked where the rings are, and what it signed is counted as such.
    let (_, overlap) = &steps[2];
    let revoked = overlap.revoke(&KeyLabel::new("2026-10")?).ok_or("no such key")?;
    println!(
        "{:<30} {:>14} {:>14}",
        "emergency: revoke the old",
        reason(&revoked, older.as_str()),
        reason(&revoked, newer.as_str())
    );
    assert_eq!(reason(&revoked, older.as_str()), Reason::RevokedKey.as_str());

    // A configuration that cannot be is refused with everything that is wrong with it, and without its secrets.
    if let Err(problems) = ring(("local-dev-playback-key", "changeme"), Some(("../x", OLD))) {
        println!("\n{problems}");
    }
    Ok(())
}

fn ring(signer: (&str, &str), overlap: Option<(&str, &str)>) -> Result<KeyRingBuf, Box<dyn Error>> {
    let verify_keys = overlap.map(|(label, secret)| format!("{label}={secret}")).unwrap_or_default();
    let values = RingValues {
        signing_label: Some(signer.0),
        signing_secret: Some(signer.1),
        verify_keys: Some(&verify_keys),
        production: true,
    };
    Ok(KeyRingBuf::from_values(&values, Policy::new())?)
}
