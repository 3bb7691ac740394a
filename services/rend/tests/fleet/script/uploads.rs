//! Somebody who uploads in pieces, and goes on at the other API when one does not answer.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use reqwest::Method;

use super::UPLOADS;
use super::world::{TRIES, World, moment};

/// Uploads the same file again and again until `over`, and answers the assets whose upload was acknowledged.
pub(super) async fn bring_in(world: &World, seed: u64, file: Vec<u8>, over: &AtomicBool) -> Vec<String> {
    let mut acknowledged = Vec::new();
    while acknowledged.len() < UPLOADS && !over.load(Ordering::Relaxed) {
        let name = format!("script-{seed}-{}", acknowledged.len());
        acknowledged.push(upload(world, &name, &file).await);
    }
    acknowledged
}

async fn upload(world: &World, name: &str, file: &[u8]) -> String {
    let (place, asset) = begin(world, name, file.len()).await;
    let (mut which, mut offset) = (0, 0);
    for _ in 0..TRIES * 4 {
        if offset == file.len() {
            return asset;
        }
        let piece = &file[offset..file.len().min(offset + PIECE_BYTES)];
        let sent = tus(world, which, Method::PATCH, &place)
            .header("content-type", "application/offset+octet-stream")
            .header("upload-offset", offset)
            .body(piece.to_vec())
            .send()
            .await;
        match sent.ok().filter(|answer| answer.status() == 204).as_ref().and_then(offset_of) {
            Some(reached) => offset = reached,
            None => {
                which += 1;
                moment().await;
                // What was kept of the piece is for the server to say.
                if let Some(kept) = stand(world, which, &place).await {
                    offset = kept;
                }
            }
        }
        tokio::time::sleep(BETWEEN).await;
    }
    panic!("an upload never came to its end");
}

/// Begins one, as often as it takes; under one name it is one upload.
async fn begin(world: &World, name: &str, bytes: usize) -> (String, String) {
    for which in 0..TRIES {
        let asked = tus(world, which, Method::POST, "/v1/uploads")
            .header("upload-length", bytes)
            // The words are `policy` and `public`.
            .header("upload-metadata", "policy cHVibGlj")
            .header("idempotency-key", name)
            .send()
            .await;
        if let Ok(answer) = asked
            && answer.status() == 201
        {
            let text = |name: &str| answer.headers()[name].to_str().unwrap().to_owned();
            return (text("location"), text("rend-asset-id"));
        }
        moment().await;
    }
    panic!("no upload could be begun");
}

async fn stand(world: &World, which: usize, place: &str) -> Option<usize> {
    let answer = tus(world, which, Method::HEAD, place).send().await.ok()?;
    if answer.status().is_success() { offset_of(&answer) } else { None }
}

fn tus(world: &World, which: usize, method: Method, path: &str) -> reqwest::RequestBuilder {
    world.api(which, method, path).header("tus-resumable", "1.0.0")
}

fn offset_of(answer: &reqwest::Response) -> Option<usize> {
    answer.headers().get("upload-offset")?.to_str().ok()?.parse().ok()
}

/// Bytes of one piece.
const PIECE_BYTES: usize = 64 << 10;
/// Between two pieces.
const BETWEEN: Duration = Duration::from_millis(60);
