//! The adapter that keeps objects in S3-compatible storage.
//!
//! An object of up to [`PART_BYTES`] is put in one request; a longer one in parts, of which one is in memory at a time,
//! and it appears when the last is there. What is known of an object stands in its headers: its media type, and as
//! `x-amz-meta-rend-put-ms` and `x-amz-meta-rend-sha256` its time and digest. The digest of an object in parts is known
//! only after its headers were sent, so it is kept only where it was announced.
//!
//! | asked of the server | for |
//! |---|---|
//! | put, get, head, delete, ranges | everything |
//! | a read after a write sees it | everything |
//! | uploads in parts | objects longer than [`PART_BYTES`] |
//! | `If-Match` on get | going on where a body broke off |
//! | listing with prefix and delimiter | deleting an asset |
//! | `If-None-Match: *` on put | [`S3Objects::put_if_absent`], which no port needs |
//!
//! A server that keeps keys as folders may list in another order than S3 does: the order is made here. Requests that may
//! be repeated are, out of a budget that all of them share.

use std::fmt;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use rend_core::artifact::ObjectKey;
use rend_core::config::{SecretText, Settings, variable as v};
use s3::command::Command;
use thiserror::Error;

use crate::StoreError;
use crate::multipart::PartStore;
use crate::objects::{Object, ObjectBody, ObjectMeta, ObjectStore, Put};

mod budget;
mod client;
mod fault;
mod key;
mod list;
mod parts;
mod probe;
mod read;
mod write;

use client::{Client, Conditions};

pub use probe::{Ability, Finding, Probed};

/// Objects in a bucket. Clones share connections and the budget of retries.
///
/// Its methods must be called within a tokio runtime with time and network.
#[derive(Clone)]
pub struct S3Objects(Arc<Client>);

/// Where the bucket is and who asks.
#[expect(missing_debug_implementations, reason = "it holds a secret")]
#[derive(Clone)]
pub struct S3Config {
    /// The server's URL, such as `https://s3.example.net`, without the bucket.
    pub endpoint: String,
    /// The region that requests are signed for.
    pub region: String,
    /// The bucket.
    pub bucket: String,
    /// Put before every key: nothing, or a path that ends with `/`, so that several stores may share a bucket.
    pub prefix: String,
    /// Who asks.
    pub access_key: String,
    /// The secret that requests are signed with.
    pub secret_key: String,
    /// Where the bucket's name stands in URLs.
    pub style: Style,
    /// How long the head of an answer may take.
    pub answer_within: Duration,
    /// How long a body may be silent before it counts as broken off.
    pub silent_max: Duration,
    /// A request with a body has as much more time as the body takes at this rate.
    pub body_bytes_per_sec_min: u64,
}

impl S3Config {
    /// A bucket with usual patience: 15 s for an answer, 15 s of silence, 64 KiB/s; the bucket's name in the path.
    pub fn new(endpoint: &str, region: &str, bucket: &str, access_key: &str, secret_key: &str) -> Self {
        Self {
            endpoint: endpoint.to_owned(),
            region: region.to_owned(),
            bucket: bucket.to_owned(),
            prefix: String::new(),
            access_key: access_key.to_owned(),
            secret_key: secret_key.to_owned(),
            style: Style::Path,
            answer_within: Duration::from_secs(15),
            silent_max: Duration::from_secs(15),
            body_bytes_per_sec_min: 64 * 1024,
        }
    }

    /// The bucket that `settings` name, if they name one.
    pub fn from_settings(settings: &Settings) -> Option<Self> {
        let endpoint = settings.url(&v::S3_ENDPOINT)?.as_str();
        let text = |variable| settings.text(variable).unwrap_or_default();
        let secret = |variable| settings.secret(variable).map_or("", SecretText::expose);
        let (key, secret) = (secret(&v::AWS_ACCESS_KEY_ID), secret(&v::AWS_SECRET_ACCESS_KEY));
        let mut config = Self::new(endpoint, text(&v::S3_REGION), text(&v::S3_BUCKET), key, secret);
        config.prefix = text(&v::S3_PREFIX).to_owned();
        if text(&v::S3_URL_STYLE) == "virtual" {
            config.style = Style::Virtual;
        }
        Some(config)
    }
}

/// Where the bucket's name stands in URLs.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Style {
    /// `https://server/bucket/key`: every server knows it.
    Path,
    /// `https://bucket.server/key`: what Amazon asks for.
    Virtual,
}

/// Why a bucket cannot be used, in words that name no address and no secret.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
pub enum Trouble {
    /// The server was heard, and will say the same again: there is no such bucket, or the credentials do not open it.
    #[error("{0}")]
    Refused(String),
    /// The server was not heard, or is in trouble itself. It may pass.
    #[error("{0}")]
    Away(String),
}

impl S3Objects {
    /// The store that `config` names. Nothing is asked of the server yet: [`S3Objects::check`] does.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`] when the settings name no bucket.
    pub fn new(config: &S3Config) -> Result<Self, StoreError> {
        let slash = config.prefix.is_empty() || config.prefix.ends_with('/');
        if config.bucket.is_empty() || !slash {
            return Err(StoreError::Unavailable("the bucket needs a name, and its prefix ends with a slash".into()));
        }
        Ok(Self(Arc::new(Client::new(config)?)))
    }

    /// Whether the bucket is there and the credentials open it.
    ///
    /// # Errors
    ///
    /// [`Trouble`], which says whether waiting can help.
    pub async fn check(&self) -> Result<(), Trouble> {
        match self.0.page("", None, None, 1).await {
            Ok(_) => Ok(()),
            Err(fault) if fault.is_passing() => Err(Trouble::Away(fault.to_string())),
            Err(fault) => Err(Trouble::Refused(fault.to_string())),
        }
    }

    /// Stores `body` under `key` unless there is an object already.
    ///
    /// The server must hold to `If-None-Match: *`; one that does not know it stores over what is there. [`S3Objects::probe`]
    /// tells which it is.
    ///
    /// # Errors
    ///
    /// [`StoreError::Conflict`] when there is one; else those of [`ObjectStore::put`].
    pub async fn put_if_absent(&self, key: &ObjectKey, put: Put, body: ObjectBody) -> Result<ObjectMeta, StoreError> {
        write::put(&self.0, key, put, body, Conditions::default().if_absent()).await
    }

    /// A URL by which whoever has it may read the object at `key` for `ttl_secs`, at most a week. Treat it as a secret.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`] when no such URL can be made.
    pub async fn presign_get(&self, key: &ObjectKey, ttl_secs: u32) -> Result<String, StoreError> {
        Ok(self.0.presign_get(&key::stored(key), ttl_secs).await?)
    }

    /// A URL by which whoever has it may put an object at `key` for `ttl_secs`, at most a week. Treat it as a secret.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`] when no such URL can be made.
    pub async fn presign_put(&self, key: &ObjectKey, ttl_secs: u32) -> Result<String, StoreError> {
        Ok(self.0.presign_put(&key::stored(key), ttl_secs).await?)
    }
}

impl fmt::Debug for S3Objects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("S3Objects").finish_non_exhaustive()
    }
}

#[async_trait]
impl ObjectStore for S3Objects {
    async fn put(&self, key: &ObjectKey, put: Put, body: ObjectBody) -> Result<ObjectMeta, StoreError> {
        write::put(&self.0, key, put, body, Conditions::default()).await
    }

    async fn get(&self, key: &ObjectKey, range: Option<Range<u64>>) -> Result<Object, StoreError> {
        read::get(&self.0, key, range).await
    }

    async fn head(&self, key: &ObjectKey) -> Result<ObjectMeta, StoreError> {
        let answer = self.0.ask(&key::stored(key), Command::HeadObject, &Conditions::default()).await?;
        read::meta_of(&answer).map_err(StoreError::from)
    }

    async fn delete(&self, key: &ObjectKey) -> Result<(), StoreError> {
        match self.0.ask(&key::stored(key), Command::DeleteObject, &Conditions::default()).await {
            Ok(_) => Ok(()),
            Err(fault) if fault.is_absence() => Ok(()),
            Err(fault) => Err(fault.into()),
        }
    }

    async fn list(&self, prefix: &str, after: Option<&ObjectKey>, limit: usize) -> Result<Vec<ObjectKey>, StoreError> {
        list::list(&self.0, prefix, after, limit).await.map_err(unavailable)
    }

    async fn local(&self, _key: &ObjectKey) -> Option<PathBuf> {
        None
    }

    fn parts(&self) -> Option<&dyn PartStore> {
        Some(self)
    }
}

/// A fault of a question about the bucket itself, where nothing can be absent but the bucket.
fn unavailable(fault: fault::Fault) -> StoreError {
    StoreError::Unavailable(Box::new(fault))
}

/// Bytes of an object that are put in one request, and of each part of a longer one unless it is very long. About twice
/// as many are in memory while a put is under way.
pub const PART_BYTES: usize = 8 * 1024 * 1024;
