//! The names of objects in storage.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use super::{ArtifactPath, CaptionRef};
use crate::id::{AssetId, UploadId};

/// The name of an object in storage.
///
/// Keys of one asset share the prefix [`ObjectKey::asset_prefix`], so a delete can list them. A key is 1 to 512
/// characters of `a-z`, `0-9`, `_`, `.`, `-` and `/`, without empty, `.` or `..` parts: it is a safe relative file name
/// on every system and a safe S3 key.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct ObjectKey(Box<str>);

impl ObjectKey {
    /// Where a published artifact lies.
    pub fn artifact(asset: AssetId, path: ArtifactPath) -> Self {
        Self(format!("assets/{asset}/{path}").into())
    }

    /// Where the original upload lies. No edge ever reads it: it is outside `assets/`.
    pub fn source(asset: AssetId) -> Self {
        Self(format!("sources/{asset}/original").into())
    }

    /// Where captions lie as they were given, in WebVTT. No edge ever reads them.
    pub fn captions(asset: AssetId, captions: CaptionRef) -> Self {
        Self(format!("sources/{asset}/captions/{captions}").into())
    }

    /// What the keys of everything that was given for `asset` begin with: the original and its captions.
    pub fn source_prefix(asset: AssetId) -> String {
        format!("sources/{asset}/")
    }

    /// Where a piece of an upload lies until the whole is put together. The epoch keeps writers apart.
    pub fn upload_part(upload: UploadId, start: u64, epoch: u64) -> Self {
        Self(format!("uploads/{upload}/{start:016x}-{epoch:x}").into())
    }

    /// What the keys of every piece of `upload` begin with.
    pub fn upload_prefix(upload: UploadId) -> String {
        format!("uploads/{upload}/")
    }

    /// What the keys of every artifact of `asset` begin with.
    pub fn asset_prefix(asset: AssetId) -> String {
        format!("assets/{asset}/")
    }

    /// The key as text.
    pub const fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for ObjectKey {
    type Err = BadKey;

    fn from_str(text: &str) -> Result<Self, BadKey> {
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'_' | b'.' | b'-' | b'/');
        let fits = (1..=512).contains(&text.len()) && text.bytes().all(plain);
        if fits && text.split('/').all(|part| !matches!(part, "" | "." | "..")) {
            Ok(Self(text.into()))
        } else {
            Err(BadKey)
        }
    }
}

/// The text cannot name an object.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[error("not an object key: 1 to 512 characters a-z 0-9 _ . - /, with no empty, . or .. part")]
pub struct BadKey;
