//! One request at a time: signed, bounded in time, and tried again when that can help.

use std::time::Duration;

use http::header::{CONTENT_LENGTH, CONTENT_RANGE, HeaderMap, HeaderName, HeaderValue, IF_MATCH, IF_NONE_MATCH};
use s3::command::{Command, Multipart};
use s3::creds::Credentials;
use s3::region::Region;
use s3::request::Request;
use s3::request::tokio_backend::ReqwestRequest;
use s3::serde_types::{ListBucketResult, Part};
use s3::{Bucket, error::S3Error};

use super::budget::Budget;
use super::fault::Fault;
use super::{S3Config, Style};

/// An answer whose head has arrived.
pub(super) type Answer = <ReqwestRequest<'static> as Request>::Response;

/// The bucket, and what is left of the patience with it.
pub(super) struct Client {
    bucket: Bucket,
    prefix: String,
    budget: Budget,
    answer_within: Duration,
    silent_max: Duration,
    body_bytes_per_sec_min: u64,
}

/// What a request says beside its command.
#[derive(Clone, Default)]
pub(super) struct Conditions {
    headers: HeaderMap,
}

impl Conditions {
    /// Only if the object still is the one with this tag.
    pub(super) fn if_match(mut self, tag: &HeaderValue) -> Self {
        self.headers.insert(IF_MATCH, tag.clone());
        self
    }

    /// Only if there is none yet.
    pub(super) fn if_absent(mut self) -> Self {
        self.headers.insert(IF_NONE_MATCH, HeaderValue::from_static("*"));
        self
    }

    /// With this said of the object, under the name `x-amz-meta-{name}`.
    pub(super) fn told(mut self, name: &'static str, value: HeaderValue) -> Self {
        self.headers.insert(HeaderName::from_static(name), value);
        self
    }
}

impl Client {
    pub(super) fn new(config: &S3Config) -> Result<Self, Fault> {
        let said = |_: S3Error| Fault::Odd { what: "the settings" };
        let region = Region::Custom {
            region: config.region.clone(),
            endpoint: config.endpoint.trim_end_matches('/').to_owned(),
        };
        let (key, secret) = (Some(config.access_key.as_str()), Some(config.secret_key.as_str()));
        let credentials =
            Credentials::new(key, secret, None, None, None).map_err(|_| Fault::Odd { what: "the credentials" })?;
        // Trying again is ours: the library's own way waits whole seconds and knows no budget.
        s3::set_retries(0);
        let mut bucket = *Bucket::new(&config.bucket, region, credentials).map_err(said)?;
        match config.style {
            Style::Path => bucket.set_path_style(),
            Style::Virtual => bucket.set_subdomain_style(),
        }
        // A body may take as long as it flows; what must not wait has its own limit below.
        bucket.set_request_timeout(None);
        Ok(Self {
            bucket,
            prefix: config.prefix.clone(),
            budget: Budget::full(),
            answer_within: config.answer_within,
            silent_max: config.silent_max,
            body_bytes_per_sec_min: config.body_bytes_per_sec_min.max(1),
        })
    }

    /// The store's own name for a name in the bucket, if it lies within the store's prefix.
    pub(super) fn strip<'n>(&self, name: &'n str) -> Option<&'n str> {
        name.strip_prefix(self.prefix.as_str())
    }

    /// How long a body may be silent.
    pub(super) const fn silent_max(&self) -> Duration {
        self.silent_max
    }

    /// How long to wait before a broken body is asked for again, if it may be.
    pub(super) fn wait_before(&self, tries: u32) -> Option<Duration> {
        self.budget.draw(tries)
    }

    /// Asks once or more until there is an answer that is a success, or one that asking again will not better.
    pub(super) async fn ask(&self, name: &str, command: Command<'_>, conditions: &Conditions) -> Result<Answer, Fault> {
        self.again(|| self.once(name, command.clone(), conditions)).await
    }

    /// Asks once.
    pub(super) async fn once(
        &self,
        name: &str,
        command: Command<'_>,
        conditions: &Conditions,
    ) -> Result<Answer, Fault> {
        let bytes = command.content_length()? as u64;
        let within = self.answer_within + Duration::from_secs(bytes / self.body_bytes_per_sec_min);
        let bucket = self.bucket.with_extra_headers(conditions.headers.clone())?;
        let path = format!("{}{name}", self.prefix);
        let asked = async {
            let request = ReqwestRequest::new(&bucket, &path, command).await?;
            request.response().await
        };
        match tokio::time::timeout(within, asked).await {
            Ok(answer) => Ok(answer?),
            Err(_) => Err(Fault::Timeout),
        }
    }

    /// One page of names that begin with `prefix`, folders told as such.
    pub(super) async fn page(
        &self,
        prefix: &str,
        token: Option<String>,
        start_after: Option<String>,
        names_max: usize,
    ) -> Result<ListBucketResult, Fault> {
        let prefix = format!("{}{prefix}", self.prefix);
        let start_after = start_after.map(|name| format!("{}{name}", self.prefix));
        self.again(|| async {
            let (prefix, delimiter) = (prefix.clone(), Some("/".to_owned()));
            let page = self.bucket.list_page(prefix, delimiter, token.clone(), start_after.clone(), Some(names_max));
            let page = tokio::time::timeout(self.answer_within, page).await.map_err(|_| Fault::Timeout)?;
            Ok(page?.0)
        })
        .await
    }

    /// Begins an object that arrives in parts, and answers the upload's name.
    pub(super) async fn begin(&self, name: &str, content_type: &str, conditions: &Conditions) -> Result<String, Fault> {
        let bucket = self.bucket.with_extra_headers(conditions.headers.clone())?;
        let path = format!("{}{name}", self.prefix);
        // An upload that was begun twice leaves one that nobody ends; the server's rule for those takes it.
        self.again(|| async {
            let begun = bucket.initiate_multipart_upload(&path, content_type);
            let begun = tokio::time::timeout(self.answer_within, begun).await.map_err(|_| Fault::Timeout)?;
            Ok(begun?.upload_id)
        })
        .await
    }

    /// Stores one part, and answers its tag.
    pub(super) async fn part(
        &self,
        name: &str,
        content_type: &str,
        upload: &str,
        number: u32,
        bytes: &[u8],
    ) -> Result<Part, Fault> {
        let multipart = Some(Multipart::new(number, upload));
        let command = Command::PutObject { content: bytes, content_type, custom_headers: None, multipart };
        let answer = self.ask(name, command, &Conditions::default()).await?;
        let tag = answer.headers().get(http::header::ETAG).and_then(|tag| tag.to_str().ok());
        let etag = tag.ok_or(Fault::Odd { what: "a part without a tag" })?.to_owned();
        Ok(Part { part_number: number, etag })
    }

    /// Puts the parts together. Once only: whether a second try is due, only the caller can see.
    pub(super) async fn complete(
        &self,
        name: &str,
        upload: &str,
        parts: &[Part],
        conditions: &Conditions,
    ) -> Result<(), Fault> {
        let bucket = self.bucket.with_extra_headers(conditions.headers.clone())?;
        let path = format!("{}{name}", self.prefix);
        let done = bucket.complete_multipart_upload(&path, upload, parts.to_vec());
        // Servers that copy the parts into one take their time.
        match tokio::time::timeout(COMPLETE_WITHIN, done).await {
            Ok(done) => Ok(done.map(drop)?),
            Err(_) => Err(Fault::Timeout),
        }
    }

    /// Gives up an upload in parts.
    pub(super) async fn abort(&self, name: &str, upload: &str) -> Result<(), Fault> {
        let path = format!("{}{name}", self.prefix);
        self.again(|| async {
            let gone = self.bucket.abort_upload(&path, upload);
            match tokio::time::timeout(self.answer_within, gone).await {
                Ok(gone) => Ok(gone?),
                Err(_) => Err(Fault::Timeout),
            }
        })
        .await
    }

    /// A URL by which whoever has it may read the object until then.
    pub(super) async fn presign_get(&self, name: &str, ttl_secs: u32) -> Result<String, Fault> {
        Ok(self.bucket.presign_get(format!("/{}{name}", self.prefix), ttl_secs, None).await?)
    }

    /// A URL by which whoever has it may put the object until then.
    pub(super) async fn presign_put(&self, name: &str, ttl_secs: u32) -> Result<String, Fault> {
        Ok(self.bucket.presign_put(format!("/{}{name}", self.prefix), ttl_secs, None, None).await?)
    }

    /// A URL by which whoever has it may put part `number` of the upload, which has `bytes`, until then.
    pub(super) async fn presign_part(
        &self,
        name: &str,
        upload: &str,
        number: u32,
        bytes: u64,
        ttl_secs: u32,
    ) -> Result<String, Fault> {
        // The length is signed with the rest, so that nobody puts more than was asked for.
        let headers: HeaderMap = [(CONTENT_LENGTH, HeaderValue::from(bytes))].into_iter().collect();
        let queries = [("partNumber", number.to_string()), ("uploadId", upload.to_owned())];
        let queries = queries.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        let path = format!("/{}{name}", self.prefix);
        Ok(self.bucket.presign_put(path, ttl_secs, Some(headers), Some(queries)).await?)
    }

    /// Tries `once` until it is answered, or trying again can not help, or the budget is spent.
    async fn again<T, F>(&self, once: impl Fn() -> F) -> Result<T, Fault>
    where
        F: Future<Output = Result<T, Fault>>,
    {
        let mut tries = 1;
        loop {
            let fault = match once().await {
                Ok(answer) => {
                    self.budget.earn();
                    return Ok(answer);
                }
                Err(fault) => fault,
            };
            let Some(wait) = Some(()).filter(|()| fault.is_passing()).and_then(|()| self.budget.draw(tries)) else {
                return Err(fault);
            };
            tries += 1;
            tokio::time::sleep(wait).await;
        }
    }
}

/// The whole object's length, of an answer with all of it or a part.
pub(super) fn whole_len(answer: &Answer) -> Option<u64> {
    let text = |name: HeaderName| answer.headers().get(name).and_then(|value| value.to_str().ok());
    match text(CONTENT_RANGE) {
        Some(range) => range.rsplit_once('/')?.1.parse().ok(),
        None => text(CONTENT_LENGTH)?.parse().ok(),
    }
}

/// How long putting parts together may take.
const COMPLETE_WITHIN: Duration = Duration::from_secs(300);
