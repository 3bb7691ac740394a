//! The ticket under which a player tells what it sees.
//!
//! ```text
//! version 1 · begun 8 (ms, big end first) · view 16 · org 16 · asset 16 · viewer 7 · mac 16, in base64url
//! ```
//!
//! It lets its holder tell of one view of one asset and nothing else: it opens no media, and what is told bills nothing.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use rend_core::id::{AssetId, OrgId};
use rend_core::time::Timestamp;
use rend_core::viewing::View;
use sha2::{Digest, Sha256};

/// Signs and reads tickets.
pub(crate) struct ViewTickets([u8; 32]);

const VERSION: u8 = 1;
const BODY_BYTES: usize = 1 + 8 + 16 + 16 + 16 + 7;
const MAC_BYTES: usize = 16;

impl ViewTickets {
    /// `secret` is known to every process of the control plane and to no player.
    pub(crate) fn new(secret: &str) -> Self {
        Self(Sha256::new_with_prefix(b"rend view tickets\0").chain_update(secret).finalize().into())
    }

    /// The ticket of `view`.
    pub(crate) fn sign(&self, view: &View) -> String {
        let mut bytes = Vec::with_capacity(BODY_BYTES + MAC_BYTES);
        bytes.push(VERSION);
        bytes.extend(view.begun_at.as_millis().to_be_bytes());
        bytes.extend(view.id);
        bytes.extend(view.org.as_bytes());
        bytes.extend(view.asset.as_bytes());
        bytes.extend(view.viewer);
        let mac = self.mac(&bytes);
        bytes.extend(mac);
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// The view that `text` is the ticket of, if it was signed here.
    pub(crate) fn read(&self, text: &str) -> Option<View> {
        // Longer ones are not even decoded.
        if text.len() > (BODY_BYTES + MAC_BYTES) * 2 {
            return None;
        }
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        let (body, mac) = bytes.split_at_checked(BODY_BYTES)?;
        if !rend_token::ct_eq(&self.mac(body), mac) {
            return None;
        }
        let mut body = body;
        if body.split_off(..1)? != [VERSION] {
            return None;
        }
        Some(View {
            begun_at: Timestamp::from_millis(u64::from_be_bytes(*body.split_off(..8)?.first_chunk()?)),
            id: *body.split_off(..16)?.first_chunk()?,
            org: OrgId::from_bytes(*body.split_off(..16)?.first_chunk()?),
            asset: AssetId::from_bytes(*body.split_off(..16)?.first_chunk()?),
            viewer: *body.first_chunk()?,
        })
    }

    fn mac(&self, body: &[u8]) -> [u8; MAC_BYTES] {
        let mut mac = [0; MAC_BYTES];
        // HMAC takes keys of every length.
        if let Ok(keyed) = Hmac::<Sha256>::new_from_slice(&self.0) {
            mac.copy_from_slice(&keyed.chain_update(body).finalize().into_bytes()[..MAC_BYTES]);
        }
        mac
    }
}

impl fmt::Debug for ViewTickets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ViewTickets")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view() -> View {
        View {
            begun_at: Timestamp::from_secs(1_800_000_000),
            id: [1; 16],
            org: OrgId::from_bytes([2; 16]),
            asset: AssetId::from_bytes([3; 16]),
            viewer: [4; 7],
        }
    }

    #[test]
    fn a_ticket_reads_back_and_no_other_text_does() {
        let tickets = ViewTickets::new("secret");
        let text = tickets.sign(&view());
        assert_eq!(tickets.read(&text), Some(view()));
        assert_eq!(ViewTickets::new("other").read(&text), None);
        for at in 0..text.len() {
            let mut bytes = text.clone().into_bytes();
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            assert_eq!(tickets.read(&String::from_utf8(bytes).unwrap()), None, "{at}");
            assert_eq!(tickets.read(&text[..at]), None);
        }
        assert_eq!(tickets.read(&text.repeat(3)), None);
    }
}
