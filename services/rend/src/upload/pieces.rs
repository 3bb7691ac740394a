//! Sends a file in pieces, and goes on where it was: after a break, a restart of the server, or one of this command.
//!
//! What is remembered of an upload lies in a file of its own, named by what the upload is: the file, its size and when it
//! last changed, its title, and which server. So the same command goes on, and a changed file begins anew.

use std::path::{Path, PathBuf};
use std::time::Duration;

use indicatif::ProgressBar;
use rend_core::upload::tus::{Metadata, VERSION};
use reqwest::{Body, Method, RequestBuilder, Response, StatusCode};
use serde_json::Value;
use tokio::io::AsyncSeekExt;

use super::ledger::{Entry, Ledger};
use super::tries::{Next, PATIENCE, Tries, Try};
use crate::client::{Api, Server};

/// How long an answer that needs no bytes may take.
pub(super) const ANSWER_WAIT: Duration = Duration::from_secs(60);
/// How long the server may take to put the pieces together.
const ASSEMBLE_WAIT: Duration = Duration::from_secs(3600);
/// How often is asked meanwhile.
const ASK_EVERY: Duration = Duration::from_millis(250);

/// What is sent, and where to.
pub(super) struct Pieces<'a> {
    pub(super) server: &'a Server,
    pub(super) path: &'a Path,
    pub(super) title: &'a str,
    pub(super) policy: &'a str,
    pub(super) bar: &'a ProgressBar,
}

/// A file as it was when the upload began.
#[derive(Clone, Copy, PartialEq)]
pub(super) struct Stamp {
    pub(super) bytes: u64,
    changed: std::time::SystemTime,
}

impl Pieces<'_> {
    /// Sends the file to its end, and answers its asset.
    pub(super) async fn send(&self) -> Result<Value, String> {
        let metadata = self.metadata()?;
        let once = async |api: &Api, ledger: &Ledger, entry: &mut Entry, stamp: Stamp| {
            let tried = self.once(api, ledger, entry, stamp, &metadata).await;
            if matches!(tried, Try::Moved) {
                self.bar.println("the connection broke; going on");
            }
            tried
        };
        self.persist("tus", tus, once).await
    }

    /// Tries until the server has all of it, and answers its asset. `way` names how it is sent, since what is remembered
    /// of one way means nothing to another.
    pub(super) async fn persist(
        &self,
        way: &str,
        ask: fn(&Api, Method, &str) -> RequestBuilder,
        mut once: impl AsyncFnMut(&Api, &Ledger, &mut Entry, Stamp) -> Try,
    ) -> Result<Value, String> {
        let stamp = self.stamp()?;
        let ledger = Ledger::open(&format!("{}\n{way}", self.identity(stamp)?))?;
        let mut entry = ledger.read().unwrap_or_else(Entry::new);
        ledger.write(&entry)?;
        let mut tries = Tries::new();
        loop {
            let api = Api::of(self.server)?;
            let tried = once(&api, &ledger, &mut entry, stamp).await;
            if self.stamp()? != stamp {
                if let Some(path) = &entry.path {
                    // It makes no sense any more; it would expire anyway.
                    let _ = ask(&api, Method::DELETE, path).timeout(ANSWER_WAIT).send().await;
                }
                ledger.forget();
                return Err(format!("{} changed while it was uploaded; run the command again", self.path.display()));
            }
            match tries.after(tried) {
                Next::Collect { asset } => {
                    let asset = self.put_together(&asset).await?;
                    ledger.forget();
                    return Ok(asset);
                }
                Next::Again => {}
                Next::Rest(rest) => tokio::time::sleep(rest).await,
                Next::Anew => {
                    entry = Entry::new();
                    ledger.write(&entry)?;
                }
                Next::End(why) => return Err(why),
            }
        }
    }

    /// One try: begins the upload or asks where it stands, and sends what is missing.
    async fn once(&self, api: &Api, ledger: &Ledger, entry: &mut Entry, stamp: Stamp, metadata: &str) -> Try {
        let (path, offset) = match &entry.path {
            Some(path) => match self.stands(api, path).await {
                Ok(offset) => (path.clone(), offset),
                Err(tried) => return tried,
            },
            None => match self.begin(api, entry, stamp, metadata).await {
                Ok(path) => {
                    entry.path = Some(path.clone());
                    if let Err(why) = ledger.write(entry) {
                        return Try::Failed(why);
                    }
                    (path, 0)
                }
                Err(tried) => return tried,
            },
        };
        self.bar.set_position(offset);
        let body = match self.rest_of_file(offset).await {
            Ok(body) => body,
            Err(why) => return Try::Failed(why),
        };
        let request = tus(api, Method::PATCH, &path)
            .header("upload-offset", offset)
            .header("content-type", "application/offset+octet-stream")
            .header("content-length", stamp.bytes - offset)
            .body(body);
        let Ok(answer) = request.send().await else { return self.after_break(api, &path, offset).await };
        match number(&answer, "upload-offset") {
            Some(at) if answer.status().is_success() && at == stamp.bytes => match text(&answer, "rend-asset-id") {
                Some(asset) => Try::Done { asset },
                None => Try::Failed("the server's answer names no asset".into()),
            },
            Some(at) if answer.status().is_success() && at > offset => Try::Moved,
            _ if answer.status() == StatusCode::CONFLICT || answer.status() == StatusCode::REQUEST_TIMEOUT => {
                self.after_break(api, &path, offset).await
            }
            _ => refused(answer).await,
        }
    }

    /// Whether anything came on before a connection broke.
    async fn after_break(&self, api: &Api, path: &str, offset: u64) -> Try {
        match self.stands(api, path).await {
            Ok(at) if at > offset => Try::Moved,
            Ok(_) => Try::Nothing(format!("the connection to {} broke", api.base)),
            Err(tried) => tried,
        }
    }

    async fn begin(&self, api: &Api, entry: &Entry, stamp: Stamp, metadata: &str) -> Result<String, Try> {
        // Named before it is asked for: a repeat, also of a killed command, finds the upload that was begun.
        let request = tus(api, Method::POST, "/v1/uploads")
            .header("upload-length", stamp.bytes)
            .header("upload-metadata", metadata)
            .header("idempotency-key", &entry.key)
            .timeout(ANSWER_WAIT);
        let answer = request.send().await.map_err(|_| unreachable(api))?;
        if !answer.status().is_success() {
            return Err(refused(answer).await);
        }
        let location = text(&answer, "location").filter(|path| path.starts_with('/'));
        location.ok_or_else(|| Try::Failed("the server's answer names no upload".into()))
    }

    async fn stands(&self, api: &Api, path: &str) -> Result<u64, Try> {
        let answer = tus(api, Method::HEAD, path).timeout(ANSWER_WAIT).send().await.map_err(|_| unreachable(api))?;
        if !answer.status().is_success() {
            return Err(refused(answer).await);
        }
        number(&answer, "upload-offset").ok_or_else(|| Try::Failed("the server does not say how far it is".into()))
    }

    /// Waits until the server has made one file of the pieces.
    async fn put_together(&self, asset: &str) -> Result<Value, String> {
        let (mut waited, mut away) = (Duration::ZERO, Duration::ZERO);
        loop {
            let api = Api::of(self.server)?;
            match api.get(&format!("/v1/assets/{asset}")).await {
                Ok(asset) if asset["source_state"] != "uploading" => return Ok(asset),
                Ok(_) => away = Duration::ZERO,
                Err(why) if away >= PATIENCE => return Err(why),
                Err(_) => away += ASK_EVERY,
            }
            if waited >= ASSEMBLE_WAIT {
                return Err(
                    "everything is uploaded, but the server has not put it together yet; `rend show` tells".into()
                );
            }
            tokio::time::sleep(ASK_EVERY).await;
            waited += ASK_EVERY;
        }
    }

    async fn rest_of_file(&self, offset: u64) -> Result<Body, String> {
        let fault = |e| format!("{} can not be read: {e}", self.path.display());
        let mut file = tokio::fs::File::open(self.path).await.map_err(fault)?;
        file.seek(std::io::SeekFrom::Start(offset)).await.map_err(fault)?;
        Ok(Body::wrap_stream(super::chunks(file, self.bar.clone())))
    }

    fn stamp(&self) -> Result<Stamp, String> {
        let fault = |e| format!("{} can not be read: {e}", self.path.display());
        let meta = std::fs::metadata(self.path).map_err(fault)?;
        Ok(Stamp { bytes: meta.len(), changed: meta.modified().map_err(fault)? })
    }

    fn metadata(&self) -> Result<String, String> {
        let pairs = [("title", self.title), ("policy", self.policy)];
        let pairs = pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).to_vec();
        Metadata::new(pairs).map(|metadata| metadata.to_header()).map_err(|why| why.to_string())
    }

    /// All that makes this upload what it is.
    fn identity(&self, stamp: Stamp) -> Result<String, String> {
        let path: PathBuf =
            self.path.canonicalize().map_err(|e| format!("{} can not be read: {e}", self.path.display()))?;
        let changed = stamp.changed.duration_since(std::time::UNIX_EPOCH).unwrap_or_default().as_nanos();
        // A server on this machine may answer on another port after a restart, so only one that was named counts.
        let server = crate::client::named(self.server).unwrap_or_default();
        Ok(format!("{}\n{}\n{changed}\n{}\n{}\n{server}", path.display(), stamp.bytes, self.title, self.policy))
    }
}

fn tus(api: &Api, method: Method, path: &str) -> RequestBuilder {
    api.request(method, path).header("tus-resumable", VERSION)
}

fn text(answer: &Response, name: &str) -> Option<String> {
    answer.headers().get(name)?.to_str().ok().map(str::to_owned)
}

fn number(answer: &Response, name: &str) -> Option<u64> {
    text(answer, name)?.parse().ok()
}

pub(super) fn unreachable(api: &Api) -> Try {
    Try::Nothing(format!("no Rend answers at {}", api.base))
}

/// What a refusal means for the next try.
pub(super) async fn refused(answer: Response) -> Try {
    let status = answer.status();
    let body: Value = serde_json::from_slice(&answer.bytes().await.unwrap_or_default()).unwrap_or(Value::Null);
    let detail = body["detail"].as_str().unwrap_or("the server gave no reason");
    let code = body["code"].as_str().unwrap_or("unknown");
    let why = format!("{detail} ({status}, {code})");
    match status {
        StatusCode::NOT_FOUND | StatusCode::GONE => Try::Gone,
        StatusCode::INSUFFICIENT_STORAGE => Try::Failed(format!("{why}; the same command goes on where it stopped")),
        StatusCode::CONFLICT | StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS => Try::Nothing(why),
        status if status.is_server_error() => Try::Nothing(why),
        _ => Try::Failed(why),
    }
}
