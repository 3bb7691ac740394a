//! One part: where it is put, and what is put there when that is here.

use futures::StreamExt;
use hmac::{Hmac, KeyInit, Mac};
use http::header::ETAG;
use http::{HeaderValue, StatusCode};
use rend_core::artifact::ObjectKey;
use rend_core::id::UploadId;
use rend_core::time::Timestamp;
use rend_core::upload::parts::{SIGNED_MAX, URL_KEPT};
use rend_core::upload::sweep::SESSION_KEPT;
use rend_core::upload::transfer::{Step, Transfer};
use rend_storage::StoreError;
use serde::Deserialize;
use serde_json::json as value;
use sha2::Sha256;

use super::super::Body;
use super::{division_of, from_hex, must_be_open, open_one, parse, parts_of};
use crate::auth::Caller;
use crate::error::{ApiError, UploadRefusal};
use crate::http::videos::{drain, query_pairs};
use crate::http::{Answer, json};
use crate::ingest::source::BODY_IDLE_MAX;
use crate::state::State;
use crate::wire::hex;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Numbers {
    numbers: Vec<u32>,
}

/// Says where parts are put. It moves the end of the session, since its sender is there.
pub(super) async fn sign(state: &State, caller: Caller, id: UploadId, body: &[u8]) -> Answer {
    let transfer = open_one(state, caller, id).await?;
    let (division, direct) = division_of(&transfer)?;
    let wish: Numbers = parse(body, "an object with numbers: up to 10 numbers of parts")?;
    if wish.numbers.is_empty() || wish.numbers.len() > SIGNED_MAX {
        return Err(ApiError::field("/numbers", "1 to 10 numbers of parts"));
    }
    let store = parts_of(state)?;
    let expires = state.clock.wall() + URL_KEPT;
    let source = ObjectKey::source(transfer.session.asset);
    let ttl_secs = u32::try_from(URL_KEPT.as_secs()).unwrap_or(u32::MAX);
    let mut parts = Vec::with_capacity(wish.numbers.len());
    for number in wish.numbers {
        let bytes = division
            .bytes_of(number)
            .ok_or_else(|| ApiError::field("/numbers", format!("numbers from 1 to {}", division.parts())))?;
        let address = store.part_address(&source, &direct.name, number, bytes, ttl_secs).await?;
        let url = address.unwrap_or_else(|| {
            let signature = hex(&Signed { id, number, bytes, expires }.sign(&direct.secret).finalize().into_bytes());
            let (site, secs) = (state.config.site_url.trim_end_matches('/'), expires.as_secs());
            format!("{site}/v1/uploads/{id}/parts/{number}?bytes={bytes}&expires={secs}&signature={signature}")
        });
        parts.push(value!({ "number": number, "bytes": bytes, "method": "PUT", "url": url }));
    }
    let step = Step::Renew { expires_at: state.clock.wall() + SESSION_KEPT };
    match state.stores.transfers.advance_transfer(id, transfer.epoch, &step).await {
        Ok(_) => {}
        Err(StoreError::Conflict { .. }) => return Err(ApiError::Upload(UploadRefusal::Gone)),
        Err(error) => return Err(error.into()),
    }
    json(StatusCode::OK, &value!({ "parts": parts, "expires_at": expires.to_string() }))
}

/// What the URL of a part says, and its signature vouches for.
struct Signed {
    id: UploadId,
    number: u32,
    bytes: u64,
    expires: Timestamp,
}

impl Signed {
    fn sign(&self, secret: &[u8; 32]) -> Hmac<Sha256> {
        // A key that is shorter than a block is filled up with zeros, as HMAC itself has it.
        let mut block = [0; 64];
        block[..32].copy_from_slice(secret);
        let mut mac = Hmac::<Sha256>::new(&block.into());
        mac.update(b"part of an upload\0");
        mac.update(self.id.as_bytes());
        mac.update(&self.number.to_be_bytes());
        mac.update(&self.bytes.to_be_bytes());
        mac.update(&self.expires.as_secs().to_be_bytes());
        mac
    }

    fn parse(id: UploadId, number: u32, query: &str) -> Result<(Self, Vec<u8>), ApiError> {
        let pairs = query_pairs(query);
        let word = |name: &str| pairs.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
        let number_in = |name: &str| word(name).and_then(|text| text.parse().ok());
        let read = || {
            let (bytes, expires) = (number_in("bytes")?, Timestamp::from_secs(number_in("expires")?));
            Some((Self { id, number, bytes, expires }, from_hex(word("signature")?)?))
        };
        read().ok_or_else(|| ApiError::field("query", "the URL as `POST /v1/uploads/{id}/parts` answered it"))
    }
}

/// Takes a part here, from whoever has its URL.
pub(super) async fn take(
    state: &State,
    id: UploadId,
    number: u32,
    query: &str,
    length: Option<u64>,
    mut body: Body,
) -> Answer {
    let judged = admitted(state, id, number, query, length).await;
    let (transfer, bytes) = match judged {
        Ok(judged) => judged,
        Err(error) => {
            drain(&mut body).await;
            return Err(error);
        }
    };
    let source = ObjectKey::source(transfer.session.asset);
    let (_, direct) = division_of(&transfer)?;
    let stored = parts_of(state)?.put_part(&source, &direct.name, number, bytes, lively(body)).await;
    let tag = match stored {
        Ok(tag) => tag,
        Err(StoreError::NotFound { .. }) => return Err(ApiError::Upload(UploadRefusal::Gone)),
        Err(error) => return Err(error.into()),
    };
    let mut response = json(StatusCode::OK, &value!({ "number": number, "etag": tag.as_str() }))?;
    if let Ok(tag) = HeaderValue::from_str(&format!("\"{tag}\"")) {
        response.headers_mut().insert(ETAG, tag);
    }
    Ok(response)
}

async fn admitted(
    state: &State,
    id: UploadId,
    number: u32,
    query: &str,
    length: Option<u64>,
) -> Result<(Transfer, u64), ApiError> {
    let (said, signature) = Signed::parse(id, number, query)?;
    let transfer = state.stores.transfers.transfer(id).await?;
    let direct = transfer.direct.as_ref().ok_or(ApiError::NotFound { what: "upload" })?;
    if said.sign(&direct.secret).verify_slice(&signature).is_err() {
        return Err(ApiError::Upload(UploadRefusal::PartUrl));
    }
    let now = state.clock.wall();
    if now >= said.expires {
        return Err(ApiError::Upload(UploadRefusal::PartUrl));
    }
    must_be_open(state, &transfer).await?;
    if length.is_some_and(|length| length != said.bytes) {
        return Err(ApiError::field("Content-Length", format!("{} bytes, which this part has", said.bytes)));
    }
    Ok((transfer, said.bytes))
}

/// A body that counts as broken when it says nothing for too long.
fn lively(body: Body) -> rend_storage::objects::ObjectBody {
    let broken = || StoreError::BadBody { reason: "the connection ended before the part did".into() };
    futures::stream::unfold(Some(body), move |body| async move {
        let mut body = body?;
        match tokio::time::timeout(BODY_IDLE_MAX, body.next()).await {
            Ok(Some(Ok(chunk))) => Some((Ok(chunk), Some(body))),
            Ok(Some(Err(()))) | Err(_) => Some((Err(broken()), None)),
            Ok(None) => None,
        }
    })
    .boxed()
}
