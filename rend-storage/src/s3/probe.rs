//! What a server can do, found out by doing it.

use std::fmt;

use bytes::Bytes;
use futures::StreamExt;
use http::header::HeaderValue;
use rend_core::artifact::ObjectKey;
use rend_core::time::Timestamp;
use s3::command::Command;

use super::client::Conditions;
use super::key::stored;
use super::{PART_BYTES, S3Objects};
use crate::StoreError;
use crate::objects::{ObjectStore, Put};

/// Something that is asked of a server.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum Ability {
    /// The bucket is there and the credentials list it.
    List,
    /// An object that was put reads back at once with its bytes, its media type, its time and its digest.
    PutGet,
    /// A range gives that part, and one past the end is said to be.
    Range,
    /// An object in parts appears whole, and one that was given up never does.
    Parts,
    /// A get on the condition that the object is still the same is refused when it is not.
    IfMatch,
    /// A key and a key beneath it are two objects.
    Beneath,
    /// A deleted object is gone at once, and deleting it again is no error.
    Delete,
    /// A put on the condition that nothing is there is refused when there is something.
    PutIfAbsent,
}

impl Ability {
    /// Every one, in the order in which they are tried.
    pub const ALL: [Self; 8] = [
        Self::List,
        Self::PutGet,
        Self::Range,
        Self::Parts,
        Self::IfMatch,
        Self::Beneath,
        Self::Delete,
        Self::PutIfAbsent,
    ];

    /// Whether Rend does not work without it.
    pub const fn is_needed(self) -> bool {
        !matches!(self, Self::PutIfAbsent | Self::Beneath)
    }
}

impl fmt::Display for Ability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::List => "lists the bucket",
            Self::PutGet => "reads back what was put",
            Self::Range => "gives ranges",
            Self::Parts => "takes objects in parts",
            Self::IfMatch => "holds to If-Match",
            Self::Beneath => "keeps a key and a key beneath it",
            Self::Delete => "forgets what was deleted",
            Self::PutIfAbsent => "holds to If-None-Match on put",
        })
    }
}

/// What was found of one ability.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Finding {
    /// What was asked.
    pub ability: Ability,
    /// What the server did instead, in words that may be shown; `None` when it can.
    pub lacks: Option<String>,
}

/// What was found of all of them.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Probed {
    /// One for each ability, in the order of [`Ability::ALL`]. After a bucket that cannot be listed there are no more.
    pub findings: Vec<Finding>,
}

impl Probed {
    /// Whether the server has everything that Rend needs.
    pub fn is_fit(&self) -> bool {
        self.findings.iter().all(|finding| finding.lacks.is_none() || !finding.ability.is_needed())
    }
}

impl S3Objects {
    /// Finds out what the server can do. It puts a few small objects and one of [`PART_BYTES`] under keys that begin with
    /// `rend-probe/{word}/`, and deletes them; `word` keeps two probes at once apart.
    pub async fn probe(&self, word: &str, now: Timestamp) -> Probed {
        let mut findings = Vec::new();
        for ability in Ability::ALL {
            let lacks = self.try_out(ability, word, now).await.err();
            let is_hopeless = ability == Ability::List && lacks.is_some();
            findings.push(Finding { ability, lacks });
            if is_hopeless {
                break;
            }
        }
        if let Ok(left) = self.list(&format!("rend-probe/{word}/"), None, 100).await {
            for key in left {
                // What cannot be deleted now is small, and says by its name what it is.
                let _ = self.delete(&key).await;
            }
        }
        Probed { findings }
    }

    async fn try_out(&self, ability: Ability, word: &str, now: Timestamp) -> Result<(), String> {
        let key = |name: &str| {
            let key = format!("rend-probe/{word}/{name}").parse::<ObjectKey>();
            key.map_err(|_| format!("`{word}` cannot stand in a key"))
        };
        match ability {
            Ability::List => self.check().await.map_err(|trouble| trouble.to_string()),
            Ability::PutGet => {
                let put = self.write(&key("a")?, b"one", now).await?;
                let found = self.read(&key("a")?, None).await?;
                same(found == (b"one".to_vec(), put), "what came back is not what was put")
            }
            Ability::Range => {
                self.write(&key("a")?, b"0123456789", now).await?;
                let (part, meta) = self.read(&key("a")?, Some(3..6)).await?;
                same(part == b"345" && meta.len == 10, "another part came than was asked for")?;
                let (part, _) = self.read(&key("a")?, Some(10..20)).await?;
                same(part.is_empty(), "bytes came from past the end")
            }
            Ability::Parts => self.try_parts(&key("parts")?, now).await,
            Ability::IfMatch => {
                self.write(&key("a")?, b"one", now).await?;
                let other = Conditions::default().if_match(&HeaderValue::from_static("\"0\""));
                match self.0.ask(&stored(&key("a")?), Command::GetObject, &other).await {
                    Err(fault) if fault.is_status(412) => Ok(()),
                    Err(fault) => Err(fault.to_string()),
                    Ok(_) => Err("it gave the object although the condition does not hold".into()),
                }
            }
            Ability::Beneath => {
                self.write(&key("b")?, b"above", now).await?;
                self.write(&key("b/c")?, b"beneath", now).await?;
                let above = self.read(&key("b")?, None).await?;
                let beneath = self.read(&key("b/c")?, None).await?;
                same(above.0 == b"above" && beneath.0 == b"beneath", "one of them is not what was put")
            }
            Ability::Delete => {
                self.write(&key("a")?, b"one", now).await?;
                self.delete(&key("a")?).await.map_err(said)?;
                self.delete(&key("a")?).await.map_err(said)?;
                let is_gone = matches!(self.head(&key("a")?).await, Err(StoreError::NotFound { .. }));
                same(is_gone, "it is still there")
            }
            Ability::PutIfAbsent => {
                self.write(&key("once")?, b"first", now).await?;
                let second = self.put_if_absent(&key("once")?, put(now), body(b"second".to_vec())).await;
                let kept = self.read(&key("once")?, None).await?.0 == b"first";
                let is_refused = matches!(second, Err(StoreError::Conflict { .. }));
                same(is_refused && kept, "it stored over what was there")
            }
        }
    }

    async fn try_parts(&self, key: &ObjectKey, now: Timestamp) -> Result<(), String> {
        let long = vec![7; PART_BYTES + 3];
        let broken = futures::stream::iter([
            Ok(Bytes::from(long.clone())),
            Err(StoreError::Unavailable("given up on purpose".into())),
        ]);
        let refused = ObjectStore::put(self, key, put(now), broken.boxed()).await;
        let is_absent = matches!(self.head(key).await, Err(StoreError::NotFound { .. }));
        same(refused.is_err() && is_absent, "an object that was given up is there")?;
        let whole = ObjectStore::put(self, key, put(now), body(long)).await.map_err(said)?;
        let (end, meta) = self.read(key, Some(whole.len - 2..whole.len)).await?;
        same(end == [7, 7] && meta.len == whole.len, "the object is not all there")
    }

    async fn write(&self, key: &ObjectKey, bytes: &[u8], now: Timestamp) -> Result<crate::objects::ObjectMeta, String> {
        ObjectStore::put(self, key, put(now), body(bytes.to_vec())).await.map_err(said)
    }

    async fn read(
        &self,
        key: &ObjectKey,
        range: Option<std::ops::Range<u64>>,
    ) -> Result<(Vec<u8>, crate::objects::ObjectMeta), String> {
        let object = self.get(key, range).await.map_err(said)?;
        let mut body = object.body;
        let mut bytes = Vec::new();
        while let Some(piece) = body.next().await {
            bytes.extend_from_slice(&piece.map_err(said)?);
        }
        Ok((bytes, object.meta))
    }
}

fn put(now: Timestamp) -> Put {
    Put { content_type: "application/octet-stream".into(), len: None, sha256: None, now }
}

fn body(bytes: Vec<u8>) -> crate::objects::ObjectBody {
    futures::stream::iter([Ok(Bytes::from(bytes))]).boxed()
}

fn same(holds: bool, otherwise: &str) -> Result<(), String> {
    if holds { Ok(()) } else { Err(otherwise.to_owned()) }
}

/// An error with its cause, in words that may be shown.
fn said(error: StoreError) -> String {
    std::error::Error::source(&error).map_or_else(|| error.to_string(), ToString::to_string)
}
