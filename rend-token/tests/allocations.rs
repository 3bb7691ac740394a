//! Nothing on the paths of a request allocates, whether it is allowed or denied.
#![expect(unsafe_code, reason = "an allocator that counts can only be made so; the crate itself forbids it")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::hint::black_box;

use rend_token::testing::{self, Choices, NOW, arbitrary_claims, request, ring};
use rend_token::transport::{COOKIE_SECURE, candidates, split_path};
use rend_token::{Artifact, ArtifactClass, AssetRef, ClassMask, Grant, Renew, Request, Signer, UnixSecs, Verifier};

struct Counting;

// SAFETY: every call is passed on to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.with(|count| count.set(count.get() + 1));
        // SAFETY: the caller's promise is the system's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

thread_local! {
    static COUNT: Cell<u64> = const { Cell::new(0) };
}

#[track_caller]
fn without_allocation<T>(work: impl FnOnce() -> T) -> T {
    let before = COUNT.with(Cell::get);
    let done = black_box(work());
    assert_eq!(COUNT.with(Cell::get) - before, 0);
    done
}

#[test]
fn the_counter_counts() {
    let before = COUNT.with(Cell::get);
    drop(black_box(Box::new(1)));
    assert_eq!(COUNT.with(Cell::get) - before, 1);
}

#[test]
fn no_step_of_a_request_allocates() {
    let ring = ring();
    let signer = Signer::new(ring);
    let grants: Vec<_> = (0..200_u8)
        .map(|seed| {
            let bytes: Vec<u8> =
                (0..120_u8).map(|at| at.wrapping_mul(31).wrapping_add(seed.wrapping_mul(97))).collect();
            arbitrary_claims(&mut Choices(&bytes))
        })
        .collect();
    for claims in &grants {
        let verifier = testing::verifier(ring, claims);
        let request = request(claims, claims.starts_at());
        let mut buffer = [0; rend_token::TOKEN_LEN_MAX];
        let len = without_allocation(|| signer.sign_into(claims, &mut buffer)).unwrap();
        let verified = without_allocation(|| verifier.verify(&buffer[..len], &request)).unwrap();
        if !matches!(verified.renew(), Renew::No) && claims.purpose() == rend_token::Use::Playback {
            without_allocation(|| signer.renew(&verified, claims.starts_at())).unwrap();
        }
        buffer[len - 7] ^= 1;
        assert!(without_allocation(|| verifier.verify(&buffer[..len], &request)).is_err());
        for len in [0, 3, 4, 5, 60] {
            assert!(without_allocation(|| verifier.verify(&buffer[..len], &request)).is_err());
        }
    }
}

#[test]
fn no_step_from_the_header_to_the_answer_allocates() {
    let ring = ring();
    let asset = AssetRef::parse(testing::ASSET).unwrap();
    let claims = Grant::playback(&asset, ClassMask::HLS, 900).build(NOW).unwrap();
    let token = Signer::new(ring).sign(&claims).unwrap();
    let path = format!("/v/{}/~{}/hls/720p/segment_00001.m4s", testing::ASSET, token.as_str());
    let cookie = format!("a=b; {COOKIE_SECURE}=junk; {COOKIE_SECURE}={}", token.as_str());
    let allowed = without_allocation(|| {
        let path = split_path(&path)?;
        let asset = AssetRef::parse(path.asset).ok()?;
        let request =
            Request::new(&asset, Artifact::new(ArtifactClass::Segment, path.artifact), UnixSecs::new(NOW.get() + 1));
        let verifier = Verifier::playback(ring);
        let token = path.token.map(str::as_bytes);
        let found = candidates(Some(b"token=stale"), token, [cookie.as_bytes()], COOKIE_SECURE);
        found.iter().find_map(|token| verifier.verify(token, &request).ok())
    });
    assert!(allowed.is_some());
}

#[test]
fn a_megabyte_of_nonsense_costs_no_allocation() {
    let ring = ring();
    let claims = arbitrary_claims(&mut Choices(&[]));
    let nonsense = vec![b'A'; 1 << 20];
    assert!(without_allocation(|| Verifier::playback(ring).verify(&nonsense, &request(&claims, NOW))).is_err());
}
