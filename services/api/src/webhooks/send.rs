//! One try: a signed message on its way to an endpoint.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use hmac::{Hmac, KeyInit, Mac};
use rend_core::event::Event;
use rend_core::time::Timestamp;
use rend_core::upload::pull::{Guard, Refused};
use rend_core::webhook::deliver::{ANSWER_WITHIN, Reply};
use rend_core::webhook::{Endpoint, message_id, signed};
use serde_json::json;
use sha2::Sha256;

use crate::ingest::fetch::{guarded, judge, parse, refused_by};
use crate::wire::EventJson;

/// What is sent.
pub(crate) struct Message {
    id: String,
    body: Bytes,
}

impl Message {
    /// What tells of `event`. It is the same at every try.
    pub(crate) fn of(event: &Event) -> Self {
        let id = message_id(event.seq);
        let body = json!({
            "id": id,
            "type": event.kind.name(),
            "timestamp": event.at.to_string(),
            "data": EventJson::new(event),
        });
        Self { id, body: body.to_string().into() }
    }

    /// A message that tells of nothing, to see whether it arrives.
    pub(crate) fn test(name: &str, now: Timestamp) -> Self {
        let id = format!("test_{name}");
        let body = json!({ "id": id, "type": "webhook.test", "timestamp": now.to_string(), "data": {} });
        Self { id, body: body.to_string().into() }
    }
}

/// What came of one try.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Sent {
    /// It was answered with this status.
    Answered(u16),
    /// No answer came in time.
    Late,
    /// No connection stood, or it broke.
    Unreachable,
    /// It may not be sent there.
    Refused(Refused),
}

impl Sent {
    pub(crate) const fn reply(self) -> Reply {
        match self {
            Self::Answered(status) => Reply::of_status(status),
            Self::Late | Self::Unreachable | Self::Refused(_) => Reply::Failed,
        }
    }
}

/// Sends. Every address is judged at the moment it is connected to, no redirect is followed, no body of an answer is read,
/// and no connection is kept.
pub(crate) struct Sender {
    client: reqwest::Client,
    guard: Guard,
    within: Duration,
}

impl Sender {
    /// A sender to where `guard` allows.
    ///
    /// # Errors
    ///
    /// When TLS is not available.
    pub(crate) fn new(guard: Guard) -> reqwest::Result<Self> {
        Ok(Self { client: guarded(guard)?, guard, within: ANSWER_WITHIN })
    }

    /// The same with less patience.
    #[cfg(test)]
    pub(crate) fn patient_for(self, within: Duration) -> Self {
        Self { within, ..self }
    }

    /// Sends `message` to `endpoint`, signed with the secrets that hold at `now`.
    pub(crate) async fn send(&self, endpoint: &Endpoint, message: &Message, now: Timestamp) -> Sent {
        let url = match parse(&endpoint.url).and_then(|url| judge(self.guard, &url).map(|()| url)) {
            Ok(url) => url,
            Err(refused) => return Sent::Refused(refused),
        };
        let request = self
            .client
            .post(url)
            .header("content-type", "application/json")
            .header("webhook-id", &message.id)
            .header("webhook-timestamp", now.as_secs())
            .header("webhook-signature", signatures(endpoint, message, now))
            .body(message.body.clone());
        match tokio::time::timeout(self.within, request.send()).await {
            Ok(Ok(answer)) => Sent::Answered(answer.status().as_u16()),
            Ok(Err(error)) => refused_by(&error).map_or(Sent::Unreachable, Sent::Refused),
            Err(_) => Sent::Late,
        }
    }
}

/// `v1,` and the HMAC-SHA256 in base64, for each secret that holds, with spaces between.
fn signatures(endpoint: &Endpoint, message: &Message, now: Timestamp) -> String {
    let text = signed(&message.id, now, &message.body);
    let sign = |secret: &rend_core::webhook::Secret| {
        // A key of any length is a key.
        let mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).map(|mac| mac.chain_update(&text));
        mac.map(|mac| format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))).unwrap_or_default()
    };
    endpoint.secrets(now).map(sign).collect::<Vec<_>>().join(" ")
}
