//! Prepares a folder for `cargo xtask soak edge`: some titles with segments of different sizes as objects.
//!
//! `soak_fixture DIR SECRET TITLES SEGMENTS` writes `DIR/objects` and prints a line a title: asset, token. Byte `n` of an artifact is
//! `(n + start) % 251`, where `start` is the sum of the bytes of `asset/path`, so that whoever reads it knows what it must be.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a tool for developers fails by panicking and prints")]

use std::path::PathBuf;

use futures::StreamExt;
use rend_core::artifact::ObjectKey;
use rend_core::prng::Prng;
use rend_core::time::{Clock, Timestamp};
use rend_shell::SystemClock;
use rend_storage::fs::FsObjects;
use rend_storage::objects::{ObjectStore, Put};
use rend_token::{AssetRef, ClassMask, Grant, KeyRingBuf, Policy, RingValues, Signer, UnixSecs};

#[tokio::main]
async fn main() {
    let mut args = std::env::args().skip(1);
    let dir = PathBuf::from(args.next().unwrap());
    let secret = args.next().unwrap();
    let titles: u32 = args.next().unwrap().parse().unwrap();
    let segments: u32 = args.next().unwrap().parse().unwrap();
    let objects = FsObjects::open(dir.join("objects")).unwrap();
    let now = SystemClock::start().wall();
    let values = RingValues {
        signing_label: Some("local-dev-playback-key"),
        signing_secret: Some(&secret),
        verify_keys: None,
        production: false,
    };
    let ring = KeyRingBuf::from_values(&values, Policy::new()).unwrap();
    let mut prng = Prng::seeded(7);
    for title in 0..titles {
        let asset = format!("018f5d3e-7c1a-7b2c-9d4e-5f60{title:08x}");
        put(&objects, now, &asset, "hls/master.m3u8", 400).await;
        put(&objects, now, &asset, "hls/720p/init_720p.mp4", 1200).await;
        for segment in 0..segments {
            let len = 20_000 + usize::try_from(prng.below(300_000)).unwrap();
            put(&objects, now, &asset, &format!("hls/720p/segment_{segment:05}.m4s"), len).await;
        }
        let grant = Grant::playback(&AssetRef::parse(&asset).unwrap(), ClassMask::HLS, 86_400);
        let claims = grant.build(UnixSecs::try_from(now.as_secs()).unwrap()).unwrap();
        println!("{asset} {}", Signer::new(&ring).sign(&claims).unwrap().as_str());
    }
}

async fn put(objects: &FsObjects, now: Timestamp, asset: &str, path: &str, len: usize) {
    let start: usize = format!("{asset}/{path}").bytes().map(usize::from).sum();
    let bytes: Vec<u8> = (0..len).map(|n| ((n + start) % 251) as u8).collect();
    let key = ObjectKey::artifact(asset.parse().unwrap(), path.parse().unwrap());
    let put = Put { content_type: "video/mp4".into(), len: None, sha256: None, now };
    objects.put(&key, put, futures::stream::iter([Ok(bytes.into())]).boxed()).await.unwrap();
}
