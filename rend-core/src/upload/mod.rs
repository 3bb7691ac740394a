//! Uploads: sessions that end, and what is left of them.
//!
//! [`admission`] decides before a byte is read, [`idempotency`] what a repeat means, [`sweep`] what happens to sessions
//! that nobody ended. [`transfer`] is how a session comes in pieces, and [`tus`] how a sender says so over HTTP; [`parts`]
//! is how its bytes go past the API; [`pull`] is how one is fetched from elsewhere, and [`address`] from where it never is.

pub mod address;
pub mod admission;
mod holds;
pub mod idempotency;
pub mod parts;
pub mod pull;
pub mod sweep;
pub mod transfer;
pub mod tus;

use std::fmt;
use std::str::FromStr;

use crate::asset::{UnknownWord, named};
use crate::id::{AssetId, OrgId, UploadId};
use crate::time::Timestamp;

#[doc(hidden)]
pub use holds::transfers_hold;

/// One attempt to bring in an original.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct UploadSession {
    /// Its name.
    pub id: UploadId,
    /// What it will become the source of.
    pub asset: AssetId,
    /// Who pays for it.
    pub org: OrgId,
    /// The announced length in bytes, if announced.
    pub bytes_expected: Option<u64>,
    /// Where it stands.
    pub state: UploadState,
    /// After this it is swept.
    pub expires_at: Timestamp,
    /// When it began.
    pub created_at: Timestamp,
}

named! {
    /// Where an upload session stands.
    UploadState {
        /// Bytes may arrive.
        Open = "open",
        /// The original is stored.
        Complete = "complete",
        /// It ended without an original.
        Abandoned = "abandoned",
    }
}
