//! Writing: a short object in one request, a long one in parts.

use std::fmt::Write as _;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use http::header::{ETAG, HeaderValue};
use rend_core::artifact::ObjectKey;
use s3::command::Command;
use s3::serde_types::Part;

use super::client::{Client, Conditions};
use super::fault::Fault;
use super::key::stored;
use super::read::meta_of;
use super::{PART_BYTES, unavailable};
use crate::StoreError;
use crate::objects::{Intake, ObjectBody, ObjectMeta, Put};

/// Stores `body` under `key`, if `conditions` hold.
pub(super) async fn put(
    client: &Arc<Client>,
    key: &ObjectKey,
    put: Put,
    mut body: ObjectBody,
    conditions: Conditions,
) -> Result<ObjectMeta, StoreError> {
    let name = stored(key);
    let announced = put.clone();
    let mut intake = Intake::new(put)?;
    let mut waiting = BytesMut::new();
    let mut upload: Option<Upload> = None;
    while let Some(chunk) = body.next().await {
        waiting.extend_from_slice(&intake.take(chunk)?);
        loop {
            let number = upload.as_ref().map_or(1, Upload::next_number);
            let size = part_bytes(number, announced.len);
            // One byte more than a part, so that what fits in one request is put in one.
            if waiting.len() <= size {
                break;
            }
            let part = waiting.split_to(size).freeze();
            let upload = match &mut upload {
                Some(upload) => upload,
                none => none.insert(Upload::begin(client, &name, &announced).await?),
            };
            upload.send(&part).await?;
        }
    }
    let meta = intake.finish()?;
    let rest = waiting.freeze();
    match upload {
        Some(mut upload) => {
            upload.send(&rest).await?;
            upload.complete(&meta, &conditions).await?;
        }
        None => whole(client, &name, &meta, &rest, conditions).await?,
    }
    Ok(meta)
}

async fn whole(
    client: &Client,
    name: &str,
    meta: &ObjectMeta,
    bytes: &Bytes,
    conditions: Conditions,
) -> Result<(), StoreError> {
    let conditions = told(conditions, meta.modified.as_millis(), meta.sha256)?;
    let content_type = meta.content_type.as_str();
    let command = Command::PutObject { content: bytes, content_type, custom_headers: None, multipart: None };
    client.ask(name, command, &conditions).await?;
    Ok(())
}

/// An object on its way in parts. Dropped before it is whole, it is given up.
struct Upload {
    client: Arc<Client>,
    name: String,
    content_type: String,
    id: String,
    parts: Vec<Part>,
    is_over: bool,
}

impl Upload {
    async fn begin(client: &Arc<Client>, name: &str, put: &Put) -> Result<Self, StoreError> {
        let told = told(Conditions::default(), put.now.as_millis(), put.sha256)?;
        let id = client.begin(name, &put.content_type, &told).await?;
        Ok(Self {
            client: Arc::clone(client),
            name: name.to_owned(),
            content_type: put.content_type.clone(),
            id,
            parts: Vec::new(),
            is_over: false,
        })
    }

    /// The number of the part that comes next.
    fn next_number(&self) -> u32 {
        u32::try_from(self.parts.len()).map_or(u32::MAX, |sent| sent.saturating_add(1))
    }

    async fn send(&mut self, bytes: &Bytes) -> Result<(), StoreError> {
        let number = self.next_number();
        if number > PARTS_MAX {
            return Err(StoreError::BadBody { reason: "it is longer than this storage takes".into() });
        }
        let part = self.client.part(&self.name, &self.content_type, &self.id, number, bytes).await?;
        self.parts.push(part);
        Ok(())
    }

    async fn complete(mut self, meta: &ObjectMeta, conditions: &Conditions) -> Result<(), StoreError> {
        let mut tries = 1;
        let mut doubtful = false;
        loop {
            let fault = match self.client.complete(&self.name, &self.id, &self.parts, conditions).await {
                Ok(()) => break,
                Err(fault) => fault,
            };
            // An earlier try may have been carried out although its answer was lost; then the upload is gone, or the
            // object that is there now is what stands in the condition's way.
            if doubtful && self.is_there(meta).await {
                break;
            }
            doubtful |= fault.is_ambiguous();
            let Some(wait) = self.client.wait_before(tries).filter(|_| fault.is_passing()) else {
                // The upload is gone by a rule of the server, or by somebody else.
                let is_gone = fault.is_status(404);
                return Err(if is_gone { unavailable(fault) } else { fault.into() });
            };
            tries += 1;
            tokio::time::sleep(wait).await;
        }
        self.is_over = true;
        Ok(())
    }

    /// Whether the object is there that this upload makes.
    async fn is_there(&self, meta: &ObjectMeta) -> bool {
        let Ok(answer) = self.client.ask(&self.name, Command::HeadObject, &Conditions::default()).await else {
            return false;
        };
        let ends = format!("-{}", self.parts.len());
        let tag = answer.headers().get(ETAG).and_then(|tag| tag.to_str().ok());
        let is_of_parts = tag.is_some_and(|tag| tag.trim_matches('"').ends_with(&ends));
        let found: Result<ObjectMeta, Fault> = meta_of(&answer);
        is_of_parts && found.is_ok_and(|found| found.len == meta.len && found.modified == meta.modified)
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        if self.is_over {
            return;
        }
        // Without a runtime, and where this fails, the server's rule for unfinished uploads takes it.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let (client, name, id) = (Arc::clone(&self.client), self.name.clone(), self.id.clone());
        runtime.spawn(async move {
            let _ = client.abort(&name, &id).await;
        });
    }
}

pub(super) fn told(conditions: Conditions, put_ms: u64, sha256: Option<[u8; 32]>) -> Result<Conditions, Fault> {
    let value = |text: &str| HeaderValue::from_str(text).map_err(|_| Fault::Odd { what: "a header" });
    let mut told = conditions.told(PUT_MS, value(&put_ms.to_string())?);
    if let Some(sha256) = sha256 {
        let mut hex = String::with_capacity(64);
        for byte in sha256 {
            // Writing to a string cannot fail.
            let _ = write!(hex, "{byte:02x}");
        }
        told = told.told(SHA256, value(&hex)?);
    }
    Ok(told)
}

/// Bytes of part `number` of an object of `announced` bytes, such that [`PARTS_MAX`] parts hold it.
///
/// Parts of an announced length are all alike, which some servers insist on. Without one they grow on the way.
fn part_bytes(number: u32, announced: Option<u64>) -> usize {
    match announced {
        Some(len) => {
            let least = usize::try_from(len.div_ceil(u64::from(PARTS_MAX))).unwrap_or(usize::MAX);
            least.next_multiple_of(1 << 20).max(PART_BYTES)
        }
        None => PART_BYTES << (number.saturating_sub(1) / PARTS_OF_A_SIZE).min(GROWTHS_MAX),
    }
}

/// When the object was put, in milliseconds since 1970.
pub(super) const PUT_MS: &str = "x-amz-meta-rend-put-ms";
/// Its SHA-256 in hexadecimal digits.
pub(super) const SHA256: &str = "x-amz-meta-rend-sha256";
/// Parts that an object may have.
const PARTS_MAX: u32 = 10_000;
/// Parts of one size, before they grow.
const PARTS_OF_A_SIZE: u32 = 2_000;
/// How often they double.
const GROWTHS_MAX: u32 = 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_thousand_parts_hold_the_longest_source() {
        const LONGEST: u64 = 250 << 30;
        let grown: u64 = (1..=PARTS_MAX).map(|number| part_bytes(number, None) as u64).sum();
        assert!(grown >= LONGEST, "{grown}");
        for len in [0, 1, 80 << 30, (80 << 30) + 1, LONGEST, 5 << 40] {
            let size = part_bytes(1, Some(len));
            assert!(size as u64 * u64::from(PARTS_MAX) >= len && size >= PART_BYTES, "{len}");
            assert_eq!(part_bytes(PARTS_MAX, Some(len)), size, "parts of an announced length are alike");
        }
        assert_eq!(part_bytes(1, None), PART_BYTES);
    }
}
