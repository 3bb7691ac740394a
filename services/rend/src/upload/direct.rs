//! Sends a file in parts that go straight to the object storage, and goes on with those that are missing.
//!
//! What was answered for each part is remembered beside the upload's name, so the same command puts no part twice.

use std::collections::BTreeMap;
use std::io::{Read, Seek, SeekFrom};
use std::time::Duration;

use futures::StreamExt;
use rend_core::upload::parts::SIGNED_MAX;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::io::{AsyncReadExt, AsyncSeekExt};

use super::ledger::{Entry, Ledger};
use super::pieces::{ANSWER_WAIT, Pieces, Stamp, refused, unreachable};
use super::tries::Try;
use crate::client::Api;

/// Parts that are under way at once.
const AT_ONCE: usize = 4;
/// How long one part may take: five megabytes on a slow line.
const PART_WAIT: Duration = Duration::from_secs(600);

/// An upload as the server knows it.
struct Known {
    path: String,
    asset: String,
    part_bytes: u64,
    parts: u32,
}

impl Pieces<'_> {
    /// Sends the file to its end past the API, and answers its asset.
    pub(super) async fn send_direct(&self) -> Result<Value, String> {
        let once = async |api: &Api, ledger: &Ledger, entry: &mut Entry, stamp: Stamp| {
            self.try_direct(api, ledger, entry, stamp.bytes).await
        };
        self.persist("direct", |api, method, path| api.request(method, path), once).await
    }

    /// One try: begins or finds the upload, puts some of the parts that are missing, or completes it.
    async fn try_direct(&self, api: &Api, ledger: &Ledger, entry: &mut Entry, bytes: u64) -> Try {
        let known = match self.known(api, entry, bytes).await {
            Ok(known) => known,
            Err(tried) => return tried,
        };
        entry.path = Some(known.path.clone());
        if let Err(why) = ledger.write(entry) {
            return Try::Failed(why);
        }
        let missing: Vec<u32> =
            (1..=known.parts).filter(|number| !entry.parts.contains_key(number)).take(SIGNED_MAX).collect();
        let there: u64 = entry.parts.keys().map(|number| part_len(&known, *number, bytes)).sum();
        self.bar.set_position(there);
        if missing.is_empty() {
            return self.complete(api, ledger, &known, entry, bytes).await;
        }
        let urls = match self.signed(api, &known, &missing).await {
            Ok(urls) => urls,
            Err(tried) => return tried,
        };
        let puts = urls.into_iter().map(|(number, url)| async move {
            (
                number,
                self.put_part(number, &url, u64::from(number - 1) * known.part_bytes, bytes, known.part_bytes).await,
            )
        });
        let mut answers = futures::stream::iter(puts).buffer_unordered(AT_ONCE);
        let (mut moved, mut trouble) = (false, None);
        while let Some((number, answer)) = answers.next().await {
            match answer {
                Ok(tag) => {
                    moved = true;
                    entry.parts.insert(number, tag);
                    if let Err(why) = ledger.write(entry) {
                        return Try::Failed(why);
                    }
                }
                Err(why) => trouble = Some(why),
            }
        }
        match trouble {
            Some(why) if !moved => Try::Nothing(why),
            Some(_) | None => Try::Moved,
        }
    }

    /// The upload as the server knows it, begun now if it was not.
    async fn known(&self, api: &Api, entry: &Entry, bytes: u64) -> Result<Known, Try> {
        let request = match &entry.path {
            Some(path) => api.request(Method::GET, path),
            None => api
                .request(Method::POST, "/v1/uploads")
                .header("idempotency-key", &entry.key)
                .json(&json!({ "bytes": bytes, "title": self.title, "policy": self.policy })),
        };
        let answer = request.timeout(ANSWER_WAIT).send().await.map_err(|_| unreachable(api))?;
        if !answer.status().is_success() {
            return Err(refused(answer).await);
        }
        let said: Value = answer.json().await.map_err(|_| unreachable(api))?;
        let read = || {
            let parts = u32::try_from(said["parts"].as_u64()?).ok()?;
            let asset = said["asset_id"].as_str()?.to_owned();
            Some(Known {
                path: format!("/v1/uploads/{}", said["id"].as_str()?),
                asset,
                part_bytes: said["part_bytes"].as_u64()?,
                parts,
            })
        };
        if said["state"] == "abandoned" {
            return Err(Try::Gone);
        }
        read().ok_or_else(|| Try::Failed("the server's answer names no upload".into()))
    }

    async fn signed(&self, api: &Api, known: &Known, numbers: &[u32]) -> Result<BTreeMap<u32, String>, Try> {
        let request = api.request(Method::POST, &format!("{}/parts", known.path)).json(&json!({ "numbers": numbers }));
        let answer = request.timeout(ANSWER_WAIT).send().await.map_err(|_| unreachable(api))?;
        if !answer.status().is_success() {
            return Err(refused(answer).await);
        }
        let said: Value = answer.json().await.map_err(|_| unreachable(api))?;
        let parts = said["parts"].as_array().into_iter().flatten();
        let read = parts
            .filter_map(|part| Some((u32::try_from(part["number"].as_u64()?).ok()?, part["url"].as_str()?.to_owned())));
        Ok(read.collect())
    }

    /// Puts one part where it was told, and answers its tag. No key of ours goes there.
    async fn put_part(
        &self,
        number: u32,
        url: &str,
        start: u64,
        bytes: u64,
        part_bytes: u64,
    ) -> Result<String, String> {
        let fault = |e: std::io::Error| format!("{} can not be read: {e}", self.path.display());
        let len = part_bytes.min(bytes - start);
        let mut file = tokio::fs::File::open(self.path).await.map_err(fault)?;
        file.seek(SeekFrom::Start(start)).await.map_err(fault)?;
        let mut part = Vec::with_capacity(usize::try_from(len).unwrap_or(0));
        file.take(len).read_to_end(&mut part).await.map_err(fault)?;
        let client = reqwest::Client::builder().build().map_err(|e| format!("no HTTP client: {e}"))?;
        let request = client.put(url).header("content-length", part.len()).body(part).timeout(PART_WAIT);
        // What a URL says lets in whoever has it, so it stands in no message.
        let answer = request.send().await.map_err(|_| format!("part {number} could not be put"))?;
        let status = answer.status();
        if status != StatusCode::OK {
            return Err(format!("part {number} was not taken ({status})"));
        }
        let tag = answer.headers().get("etag").and_then(|tag| tag.to_str().ok()).map(str::to_owned);
        self.bar.inc(len);
        tag.ok_or_else(|| format!("part {number} was taken without an ETag"))
    }

    async fn complete(&self, api: &Api, ledger: &Ledger, known: &Known, entry: &mut Entry, bytes: u64) -> Try {
        let sha256 = match self.digest() {
            Ok(digest) => digest,
            Err(why) => return Try::Failed(why),
        };
        let parts: Vec<_> = entry.parts.iter().map(|(number, tag)| json!({ "number": number, "etag": tag })).collect();
        let whole = json!({ "parts": parts, "size": bytes, "sha256": sha256 });
        let request = api.request(Method::POST, &format!("{}/complete", known.path)).json(&whole);
        let Ok(answer) = request.timeout(PART_WAIT).send().await else { return unreachable(api) };
        if answer.status().is_success() {
            return Try::Done { asset: known.asset.clone() };
        }
        if answer.status() == StatusCode::UNPROCESSABLE_ENTITY {
            // Some part is not there as it was answered; all are put again.
            entry.parts.clear();
            if let Err(why) = ledger.write(entry) {
                return Try::Failed(why);
            }
        }
        refused(answer).await
    }

    /// The SHA-256 of the file, as hexadecimal digits.
    fn digest(&self) -> Result<String, String> {
        let fault = |e: std::io::Error| format!("{} can not be read: {e}", self.path.display());
        let mut file = std::fs::File::open(self.path).map_err(fault)?;
        file.seek(SeekFrom::Start(0)).map_err(fault)?;
        let (mut digest, mut chunk) = (Sha256::new(), vec![0; super::CHUNK_BYTES]);
        loop {
            match file.read(&mut chunk).map_err(fault)? {
                0 => break,
                len => digest.update(&chunk[..len]),
            }
        }
        Ok(digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
    }
}

fn part_len(known: &Known, number: u32, bytes: u64) -> u64 {
    known.part_bytes.min(bytes.saturating_sub(u64::from(number - 1) * known.part_bytes))
}
