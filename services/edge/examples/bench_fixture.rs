//! Prepares a folder for measuring an edge beside other servers: the same two files as objects and as plain files.
//!
//! `bench_fixture DIR` writes `DIR/objects` and `DIR/www`, and prints the path token that opens both on the edge.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a tool for developers fails by panicking and prints")]

use std::path::PathBuf;

use futures::StreamExt;
use rend_core::artifact::ObjectKey;
use rend_core::prng::Prng;
use rend_core::time::Clock;
use rend_shell::SystemClock;
use rend_storage::fs::FsObjects;
use rend_storage::objects::{ObjectStore, Put};
use rend_token::{AssetRef, ClassMask, Grant, KeyRingBuf, Policy, RingValues, Signer, UnixSecs};

const ASSET: &str = "018f5d3e-7c1a-7b2c-9d4e-5f60718293a4";

#[tokio::main]
async fn main() {
    let mut args = std::env::args().skip(1);
    let dir = PathBuf::from(args.next().unwrap());
    let secret = args.next().unwrap();
    let objects = FsObjects::open(dir.join("objects")).unwrap();
    let now = SystemClock::start().wall();
    let mut files: Vec<(String, usize)> = (0..8).map(|n| (format!("hls/720p/segment_{n:05}.m4s"), 1 << 20)).collect();
    files.push(("hls/720p/index.m3u8".to_owned(), 1 << 10));
    // What nobody has asked for yet: for a thousand cold clients at once.
    files.push(("hls/1080p/segment_00000.m4s".to_owned(), 1 << 20));
    for (path, len) in files {
        let mut bytes = vec![0; len];
        Prng::seeded(len as u64).fill(&mut bytes);
        if path.ends_with(".m3u8") {
            let text = format!("#EXTM3U\n{}\n#EXT-X-ENDLIST\n", "#".repeat(len - 24));
            bytes = text.into_bytes();
        }
        let file = dir.join("www/v").join(ASSET).join(&path);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, &bytes).unwrap();
        let key = ObjectKey::artifact(ASSET.parse().unwrap(), path.parse().unwrap());
        let put = Put { content_type: "video/mp4".into(), len: None, sha256: None, now };
        objects.put(&key, put, futures::stream::iter([Ok(bytes.into())]).boxed()).await.unwrap();
    }
    let values = RingValues {
        signing_label: Some("local-dev-playback-key"),
        signing_secret: Some(&secret),
        verify_keys: None,
        production: false,
    };
    let ring = KeyRingBuf::from_values(&values, Policy::new()).unwrap();
    let claims = Grant::playback(&AssetRef::parse(ASSET).unwrap(), ClassMask::HLS, 86_400)
        .build(UnixSecs::try_from(now.as_secs()).unwrap())
        .unwrap();
    println!("{}", Signer::new(&ring).sign(&claims).unwrap().as_str());
}
