//! Reading: one request an object, and another only where a body breaks off.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use futures::StreamExt;
use futures::stream::BoxStream;
use http::header::{CONTENT_RANGE, CONTENT_TYPE, ETAG, HeaderValue, LAST_MODIFIED};
use rend_core::artifact::ObjectKey;
use rend_core::time::Timestamp;
use s3::command::Command;

use super::client::{Answer, Client, Conditions, whole_len};
use super::fault::Fault;
use super::key::stored;
use super::write::{PUT_MS, SHA256};
use crate::StoreError;
use crate::objects::{Object, ObjectMeta};

/// Opens the object at `key`, or the part of it in `range`.
pub(super) async fn get(
    client: &Arc<Client>,
    key: &ObjectKey,
    range: Option<Range<u64>>,
) -> Result<Object, StoreError> {
    let name = stored(key);
    let range = range.unwrap_or(0..u64::MAX);
    if range.start >= range.end || range.start > PLACE_MAX {
        return nothing(client, &name).await;
    }
    // A server may count places with a sign, and takes an end past the object's for a mistake if it is past those.
    let end = (range.end <= PLACE_MAX).then(|| range.end - 1);
    let is_whole = range.start == 0 && end.is_none();
    let command = if is_whole { Command::GetObject } else { Command::GetObjectRange { start: range.start, end } };
    match client.ask(&name, command, &Conditions::default()).await {
        Ok(answer) => open(Arc::clone(client), name, answer, &range),
        // There is nothing at that place; that there is an object has yet to be seen.
        Err(fault) if fault.is_status(416) => nothing(client, &name).await,
        Err(fault) => Err(fault.into()),
    }
}

/// What the headers of an answer say of its object.
pub(super) fn meta_of(answer: &Answer) -> Result<ObjectMeta, Fault> {
    let text = |name: &str| answer.headers().get(name).and_then(|value| value.to_str().ok());
    let put_at = text(PUT_MS).and_then(|millis| millis.parse().ok()).map(Timestamp::from_millis);
    // What others put here does not say when in our way.
    let changed = || text(LAST_MODIFIED.as_str()).and_then(|date| httpdate::parse_http_date(date).ok());
    Ok(ObjectMeta {
        len: whole_len(answer).ok_or(Fault::Odd { what: "an object without a length" })?,
        sha256: text(SHA256).and_then(digest),
        content_type: text(CONTENT_TYPE.as_str()).unwrap_or("application/octet-stream").to_owned(),
        modified: put_at.or_else(|| changed().map(Timestamp::from_system)).unwrap_or(Timestamp::EPOCH),
    })
}

/// What is known of the object, and none of its bytes.
async fn nothing(client: &Client, name: &str) -> Result<Object, StoreError> {
    let answer = client.ask(name, Command::HeadObject, &Conditions::default()).await?;
    Ok(Object { meta: meta_of(&answer)?, body: futures::stream::empty().boxed() })
}

fn open(client: Arc<Client>, name: String, answer: Answer, range: &Range<u64>) -> Result<Object, StoreError> {
    let meta = meta_of(&answer)?;
    let at = begins_at(&answer);
    if at != range.start {
        return Err(Fault::Odd { what: "another range than the one that was asked for" }.into());
    }
    let body = Body {
        client,
        name,
        tag: answer.headers().get(ETAG).cloned(),
        at,
        end: range.end.min(meta.len),
        tries: 1,
        arriving: Box::pin(answer.bytes_stream().map(|piece| piece.map_err(|_| Fault::Broken))),
    };
    Ok(Object { meta, body: futures::stream::try_unfold(body, Body::next).boxed() })
}

/// The place of an answer's first byte in its object.
fn begins_at(answer: &Answer) -> u64 {
    let range = answer.headers().get(CONTENT_RANGE).and_then(|range| range.to_str().ok());
    let start = range.and_then(|range| range.trim_start_matches("bytes").trim_start().split('-').next()?.parse().ok());
    start.unwrap_or(0)
}

/// A body as it arrives, from as many answers as it takes.
struct Body {
    client: Arc<Client>,
    name: String,
    tag: Option<HeaderValue>,
    at: u64,
    end: u64,
    tries: u32,
    arriving: BoxStream<'static, Result<Bytes, Fault>>,
}

impl Body {
    async fn next(mut self) -> Result<Option<(Bytes, Self)>, StoreError> {
        while self.at < self.end {
            let fault = match tokio::time::timeout(self.client.silent_max(), self.arriving.next()).await {
                Ok(Some(Ok(mut piece))) => {
                    let wanted = usize::try_from(self.end - self.at).unwrap_or(usize::MAX);
                    piece.truncate(wanted);
                    if piece.is_empty() {
                        continue;
                    }
                    self.at += piece.len() as u64;
                    self.tries = 1;
                    return Ok(Some((piece, self)));
                }
                Ok(Some(Err(fault))) => fault,
                Ok(None) => Fault::Broken,
                Err(_) => Fault::Timeout,
            };
            self.go_on(fault).await?;
        }
        Ok(None)
    }

    /// Asks for the rest of the same object after `fault`.
    async fn go_on(&mut self, mut fault: Fault) -> Result<(), StoreError> {
        loop {
            // Without a tag the rest might be that of another object.
            let Some(tag) = &self.tag else { return Err(fault.into()) };
            let Some(wait) = self.client.wait_before(self.tries).filter(|_| fault.is_passing()) else {
                return Err(fault.into());
            };
            self.tries += 1;
            tokio::time::sleep(wait).await;
            let rest = Command::GetObjectRange { start: self.at, end: Some(self.end - 1) };
            match self.client.once(&self.name, rest, &Conditions::default().if_match(tag)).await {
                Ok(answer) if begins_at(&answer) == self.at => {
                    self.arriving = Box::pin(answer.bytes_stream().map(|piece| piece.map_err(|_| Fault::Broken)));
                    return Ok(());
                }
                Ok(_) => return Err(Fault::Odd { what: "another range than the one that was asked for" }.into()),
                Err(gone) if gone.is_status(404) || gone.is_status(412) => {
                    return Err(StoreError::Conflict { what: "object" });
                }
                Err(again) => fault = again,
            }
        }
    }
}

fn digest(hex: &str) -> Option<[u8; 32]> {
    if hex.len() != 64 || !hex.is_ascii() {
        return None;
    }
    let mut digest = [0; 32];
    for (at, byte) in digest.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).ok()?;
    }
    Some(digest)
}

/// The last place that every server can name.
const PLACE_MAX: u64 = i64::MAX as u64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_read_only_from_all_of_its_digits() {
        assert_eq!(digest(&"a7".repeat(32)), Some([0xa7; 32]));
        for odd in [String::new(), "a7".repeat(31), "zz".repeat(32), "ä".repeat(32)] {
            assert_eq!(digest(&odd), None, "{odd}");
        }
    }
}
