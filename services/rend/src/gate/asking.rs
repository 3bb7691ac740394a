//! How the gate asks, and the clip that it uploads.

use std::time::Duration;

use rend_core::artifact::ArtifactPath;
use rend_core::config::Vars;
use rend_core::gate::check::Fetch;
use rend_core::id::AssetId;
use rend_core::time::{Clock, Timestamp};
use rend_shell::ProcessVars;
use reqwest::{Method, StatusCode};
use serde_json::Value;
use sha2::Digest;
use sha2::Sha256;

use super::{Gate, Seen};

impl Gate {
    /// How far the clock of an edge is from this machine's, if it tells its time.
    pub(super) async fn clock_off(&self, at: usize) -> Option<Duration> {
        let answer = self.client.get(format!("{}/healthz", self.edges[at].private)).send().await.ok()?;
        let there = httpdate::parse_http_date(answer.headers().get("date")?.to_str().ok()?).ok()?;
        let (there, here) = (Timestamp::from_system(there), self.clock.wall());
        Some(there.since(here).max(here.since(there)))
    }

    pub(super) async fn private(
        &self,
        method: Method,
        url: &str,
        body: Option<Value>,
    ) -> Result<(StatusCode, Value), String> {
        let mut request = self.client.request(method, url).bearer_auth(&self.token);
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request.send().await.map_err(|_| "nothing answers at its private address".to_owned())?;
        let status = answer.status();
        Ok((status, answer.json().await.unwrap_or(Value::Null)))
    }

    pub(super) async fn fetch(
        &self,
        at: usize,
        asset: AssetId,
        path: ArtifactPath,
        headers: &[(&str, &str)],
    ) -> Result<Seen, String> {
        let url = format!("{}/v/{asset}/{path}", self.edges[at].public);
        let mut request = self.client.get(url);
        if let Some(cookie) = self.sessions.get(&asset) {
            request = request.header("cookie", cookie);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let began = self.clock.mono();
        let mut answer = request.send().await.map_err(|_| "no answer".to_owned())?;
        let text = |name: &str| answer.headers().get(name).and_then(|v| v.to_str().ok()).map(str::to_owned);
        let mut fetch = Fetch {
            status: answer.status().as_u16(),
            cache: text("x-rend-cache").and_then(|word| word.parse().ok()),
            content_type: text("content-type"),
            cache_control: text("cache-control"),
            etag: text("etag"),
            accept_ranges: text("accept-ranges"),
            content_range: text("content-range"),
            bytes: 0,
            sha256: None,
        };
        let mut digest = Sha256::new();
        let mut ttfb = None;
        loop {
            match answer.chunk().await {
                Ok(Some(chunk)) => {
                    ttfb.get_or_insert_with(|| self.clock.mono().since(began));
                    fetch.bytes += chunk.len() as u64;
                    digest.update(&chunk);
                }
                Ok(None) => {
                    fetch.sha256 = Some(digest.finalize().into());
                    break;
                }
                Err(_) => break,
            }
        }
        Ok(Seen { fetch, ttfb: ttfb.unwrap_or_else(|| self.clock.mono().since(began)) })
    }
}

/// Four seconds of moving bars with a tone, made by the same ffmpeg that the worker uses.
pub(super) async fn clip() -> Result<Vec<u8>, String> {
    let ffmpeg = ProcessVars.get("REND_FFMPEG_PATH").unwrap_or_else(|| "ffmpeg".into());
    let made = rend_shell::spawn_blocking(move || {
        std::process::Command::new(ffmpeg)
            .args(["-nostdin", "-v", "error", "-f", "lavfi", "-i", "testsrc2=size=640x360:rate=30:duration=4"])
            .args(["-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000:duration=4"])
            .args(["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-g", "30", "-c:a", "aac"])
            .args(["-f", "mp4", "-movflags", "frag_keyframe+empty_moov", "pipe:1"])
            .output()
    })
    .await
    .map_err(|_| "the clip could not be made".to_owned())?;
    let output = made
        .map_err(|e| format!("ffmpeg could not be started ({e}); `apt-get install ffmpeg`, or set REND_FFMPEG_PATH"))?;
    if output.status.success() && !output.stdout.is_empty() {
        Ok(output.stdout)
    } else {
        Err("ffmpeg made no clip".into())
    }
}

pub(super) fn unhex(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    for (byte, at) in bytes.iter_mut().zip((0..64).step_by(2)) {
        *byte = u8::from_str_radix(&text[at..at + 2], 16).ok()?;
    }
    Some(bytes)
}
