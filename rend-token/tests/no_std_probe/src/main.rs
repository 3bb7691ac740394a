//! Signs and verifies without the standard library; exits with 42 when both went well.
#![no_std]
#![no_main]

use core::panic::PanicInfo;

use rend_token::{
    Artifact, ArtifactClass, AssetRef, ClassMask, Grant, KeyLabel, KeyRing, KeySpec, Policy, Request, Secret, SecretPolicy,
    Signer, UnixSecs, Verifier,
};

unsafe extern "C" {
    fn _exit(code: i32) -> !;
}

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    // SAFETY: `_exit` takes any number and does not return.
    unsafe { _exit(101) }
}

// What core was compiled to call when unwinding, which a program that aborts never does.
#[unsafe(no_mangle)]
extern "C" fn rust_eh_personality() {}

fn went_well() -> Option<()> {
    let secret = Secret::from_bytes(b"Zr8fQ0mVt3uXkYw1LhJc7sNdB2gAe5PiRo9KxTyUvMlWqHzE").ok()?;
    let key = KeySpec::new(KeyLabel::new("2026-11").ok()?, secret);
    let ring = KeyRing::<2>::build(&[key], Policy::new(), SecretPolicy::Production).ok()?;
    let (asset, now) = (AssetRef::parse("018f5d3e-7c1a-7b2c-9d4e-5f60718293a4").ok()?, UnixSecs::new(1_800_000_000));
    let claims = Grant::playback(&asset, ClassMask::HLS, 900).build(now).ok()?;
    let token = Signer::new(&ring).sign(&claims).ok()?;
    let request = Request::new(&asset, Artifact::new(ArtifactClass::Segment, "a"), now);
    Verifier::playback(&ring).verify(token.as_bytes(), &request).ok()?;
    Verifier::playback(&ring).verify(token.as_bytes().get(1..)?, &request).is_err().then_some(())
}

#[unsafe(no_mangle)]
extern "C" fn main() -> i32 {
    if went_well().is_some() { 42 } else { 1 }
}
