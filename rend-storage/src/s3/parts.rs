//! Objects in parts that come straight to the bucket, by URLs that are signed for one part each.

use async_trait::async_trait;
use bytes::BytesMut;
use futures::StreamExt;
use rend_core::artifact::ObjectKey;
use rend_core::id::UploadId;
use rend_core::time::Timestamp;
use rend_core::upload::parts::{Listed, PART_BYTES_MAX, Tag};
use s3::command::Command;
use s3::serde_types::Part;

use super::S3Objects;
use super::client::Conditions;
use super::fault::Fault;
use super::key::stored;
use super::read::meta_of;
use super::write::told;
use crate::StoreError;
use crate::multipart::PartStore;
use crate::objects::{Intake, ObjectBody, ObjectMeta, Put};

#[async_trait]
impl PartStore for S3Objects {
    async fn begin_parts(
        &self,
        key: &ObjectKey,
        _upload: UploadId,
        content_type: &str,
        now: Timestamp,
    ) -> Result<String, StoreError> {
        // Looked at here, since the server would keep whatever it is told.
        Intake::new(Put { content_type: content_type.to_owned(), len: None, sha256: None, now })?;
        let said = told(Conditions::default(), now.as_millis(), None)?;
        Ok(self.0.begin(&stored(key), content_type, &said).await?)
    }

    async fn part_address(
        &self,
        key: &ObjectKey,
        name: &str,
        number: u32,
        bytes: u64,
        ttl_secs: u32,
    ) -> Result<Option<String>, StoreError> {
        Ok(Some(self.0.presign_part(&stored(key), name, number, bytes, ttl_secs).await?))
    }

    async fn put_part(
        &self,
        key: &ObjectKey,
        name: &str,
        number: u32,
        bytes: u64,
        mut body: ObjectBody,
    ) -> Result<Tag, StoreError> {
        let long = || StoreError::BadBody { reason: "it is longer than a part may be".into() };
        if bytes > PART_BYTES_MAX {
            return Err(long());
        }
        let put = Put {
            content_type: "application/octet-stream".into(),
            len: Some(bytes),
            sha256: None,
            now: Timestamp::EPOCH,
        };
        let (mut intake, mut part) = (Intake::new(put)?, BytesMut::new());
        while let Some(chunk) = body.next().await {
            part.extend_from_slice(&intake.take(chunk)?);
        }
        intake.finish()?;
        let sent = self.0.part(&stored(key), "application/octet-stream", name, number, &part).await;
        let sent = sent.map_err(over)?;
        sent.etag.parse().map_err(|_| Fault::Odd { what: "the tag of a part" }.into())
    }

    async fn join_parts(
        &self,
        key: &ObjectKey,
        name: &str,
        parts: &[Listed],
        put: Put,
    ) -> Result<ObjectMeta, StoreError> {
        let path = stored(key);
        let listed: Vec<_> =
            parts.iter().map(|part| Part { part_number: part.number, etag: format!("\"{}\"", part.tag) }).collect();
        let mut tries = 1;
        while let Err(fault) = self.0.complete(&path, name, &listed, &Conditions::default()).await {
            let Some(wait) = self.0.wait_before(tries).filter(|_| fault.is_passing()) else {
                return Err(unfit(fault));
            };
            tries += 1;
            tokio::time::sleep(wait).await;
        }
        let answer = self.0.ask(&path, Command::HeadObject, &Conditions::default()).await?;
        let meta = meta_of(&answer)?;
        if put.len.is_some_and(|len| len != meta.len) {
            return Err(StoreError::BadBody { reason: format!("it has {} bytes, not the announced ones", meta.len) });
        }
        Ok(meta)
    }

    async fn drop_parts(&self, key: &ObjectKey, name: &str) -> Result<(), StoreError> {
        match self.0.abort(&stored(key), name).await {
            Ok(()) => Ok(()),
            Err(fault) if fault.is_absence() => Ok(()),
            Err(fault) => Err(fault.into()),
        }
    }
}

/// What is asked of an upload that is not there any more.
fn over(fault: Fault) -> StoreError {
    if fault.is_absence() { StoreError::NotFound { what: "upload" } } else { fault.into() }
}

/// Why parts were not joined.
fn unfit(fault: Fault) -> StoreError {
    if let Fault::Refused { status: 400, code } = &fault
        && PARTS_REFUSED.contains(&code.as_str())
    {
        return StoreError::BadBody { reason: "a part is not there as it was listed".into() };
    }
    over(fault)
}

/// How servers say that a list of parts is not what they have.
const PARTS_REFUSED: [&str; 4] = ["InvalidPart", "InvalidPartOrder", "EntityTooSmall", "MalformedXML"];
