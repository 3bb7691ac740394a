//! Uploads as a client of tus meets them: how they begin, how their pieces come, how they end.

use std::sync::Arc;

use bytes::Bytes;
use http::Response;
use rend_core::credential::Scopes;
use rend_core::id::{AssetId, UploadId};
use rend_core::upload::tus::Piece;
use sha2::{Digest, Sha256};

use super::Body;
use super::piece::add;
use super::tus::PIECE;
use super::writers::Writers;
use crate::error::ApiError;
use crate::ingest::rig::Rig;
use crate::routes;

mod begin;
mod end;
mod pieces;

/// A rig with a key for uploads.
struct Sender {
    rig: Rig,
    key: String,
}

type Answer = Response<Bytes>;

/// Headers, and the status and code that they are refused with.
type Row<'r> = (&'r [(&'r str, &'r str)], u16, &'r str);

impl Sender {
    async fn new() -> Self {
        let rig = Rig::new();
        let key = rig.key(Scopes::ALL).await;
        Self { rig, key }
    }

    /// One whose uploads are put together.
    async fn running() -> Self {
        let sender = Self::new().await;
        sender.rig.run();
        sender
    }

    async fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        let auth = format!("Bearer {}", self.key);
        let mut request = warp::test::request().method(method).path(path).body(body);
        let usual = [("tus-resumable", "1.0.0"), ("authorization", auth.as_str())];
        for (name, value) in
            usual.iter().filter(|(name, _)| !headers.iter().any(|(other, _)| other == name)).chain(headers)
        {
            if !value.is_empty() {
                request = request.header(*name, *value);
            }
        }
        request.reply(&routes::public(&self.rig.state)).await
    }

    async fn begin(&self, bytes: usize) -> (String, AssetId) {
        let answer = self.ask("POST", "/v1/uploads", &[("upload-length", &bytes.to_string())], b"").await;
        assert_eq!(answer.status(), 201, "{:?}", answer.body());
        named(&answer)
    }

    async fn patch(&self, path: &str, offset: u64, body: &[u8]) -> Answer {
        self.patch_with(path, offset, body, &[]).await
    }

    async fn patch_with(&self, path: &str, offset: u64, body: &[u8], more: &[(&str, &str)]) -> Answer {
        let (offset, length) = (offset.to_string(), body.len().to_string());
        let mut headers =
            vec![("upload-offset", offset.as_str()), ("content-type", PIECE), ("content-length", &length)];
        headers.extend(more);
        self.ask("PATCH", path, &headers, body).await
    }

    async fn offset(&self, path: &str) -> u64 {
        let answer = self.ask("HEAD", path, &[], b"").await;
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.headers()["cache-control"], "no-store");
        header(&answer, "upload-offset").parse().unwrap()
    }

    /// A piece that comes by and by, as [`add`] sees it.
    async fn send(&self, writers: &Arc<Writers>, path: &str, offset: u64, body: Body) -> Result<u64, ApiError> {
        let piece = Piece { offset, bytes: None };
        add(&self.rig.state, writers, id_of(path), piece, None, body).await
    }
}

fn named(answer: &Answer) -> (String, AssetId) {
    (header(answer, "location").to_owned(), header(answer, "rend-asset-id").parse().unwrap())
}

#[track_caller]
fn header<'a>(answer: &'a Answer, name: &str) -> &'a str {
    answer.headers().get(name).unwrap_or_else(|| panic!("no {name}: {answer:?}")).to_str().unwrap()
}

#[track_caller]
fn refused(answer: &Answer, status: u16, code: &str) {
    assert_eq!(answer.status(), status, "{:?}", answer.body());
    if !answer.body().is_empty() {
        let said: serde_json::Value = serde_json::from_slice(answer.body()).unwrap();
        assert_eq!(said["code"], code, "{said}");
    }
    assert_eq!(header(answer, "tus-resumable"), "1.0.0");
}

fn id_of(path: &str) -> UploadId {
    path.rsplit('/').next().unwrap().parse().unwrap()
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}
