//! What a hit takes from the allocator: next to nothing, since its head is copied and its request is read where it lies.
#![expect(unsafe_code, reason = "an allocator that counts can only be made so")]
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicU64, Ordering};

#[path = "edge/rig.rs"]
#[expect(dead_code, reason = "the other tests use the rest of it")]
mod rig;

struct Counting;

// SAFETY: every call is passed on to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.fetch_add(1, Ordering::Relaxed);
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
static COUNT: AtomicU64 = AtomicU64::new(0);

const HITS: u64 = 500;
/// The key's name and what rounding leaves.
const ALLOCATIONS_A_HIT_MAX: u64 = 3;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hit_takes_little_from_the_allocator() {
    let rig = rig::Rig::start().await;
    let path = "hls/720p/init_720p.mp4";
    rig.origin.put(rig::ASSET, path, vec![7; 1024]).await;
    let (at, cookie) = (rig.public, rig::cookie(rig::ASSET));
    let counted = rend_shell::spawn_blocking(move || {
        let mut stream = TcpStream::connect(at).unwrap();
        let request = format!("GET /v/{}/{path} HTTP/1.1\r\nhost: edge\r\ncookie: {cookie}\r\n\r\n", rig::ASSET);
        let mut answers = BufReader::new(stream.try_clone().unwrap());
        let (mut line, mut body) = (Vec::with_capacity(512), [0; 1024]);
        let mut ask = |count: u64| {
            let before = COUNT.load(Ordering::Relaxed);
            for _ in 0..count {
                stream.write_all(request.as_bytes()).unwrap();
                loop {
                    line.clear();
                    answers.read_until(b'\n', &mut line).unwrap();
                    if line == b"\r\n" {
                        break;
                    }
                }
                answers.read_exact(&mut body).unwrap();
            }
            COUNT.load(Ordering::Relaxed) - before
        };
        ask(50);
        ask(HITS)
    });
    let counted = counted.await.unwrap();
    assert!(counted > 0, "the counter counts");
    // What the edge does beside, such as looking at its folder once a second, is a few in a hundred of these.
    assert!(counted / HITS <= ALLOCATIONS_A_HIT_MAX, "{} allocations a hit", counted as f64 / HITS as f64);
    rig.stop().await;
}
