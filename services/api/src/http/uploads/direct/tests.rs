use std::sync::atomic::Ordering;
use std::time::Duration;

use futures::StreamExt;
use http::Response;
use rend_core::asset::SourceState;
use rend_core::credential::Scopes;
use rend_core::id::AssetId;
use rend_core::upload::parts::{Listed, PART_BYTES, SIGNED_MAX, URL_KEPT};
use rend_core::upload::sweep::SESSION_KEPT;
use rend_core::upload::transfer::Step;
use rend_storage::objects::Put;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::whole::shown;
use super::*;
use crate::http::uploads::abandon;
use crate::http::uploads::piece::hand_over;
use crate::ingest::rig::{Rig, bytes_of};
use crate::routes;
use crate::wire::hex;

/// A rig with a key for uploads.
struct Sender {
    rig: Rig,
    key: String,
}

type Answer = Response<Bytes>;

impl Sender {
    async fn new() -> Self {
        let rig = Rig::new();
        let key = rig.key(Scopes::ALL).await;
        Self { rig, key }
    }

    /// One whose uploads become originals.
    async fn running() -> Self {
        let sender = Self::new().await;
        sender.rig.run();
        sender
    }

    async fn ask(&self, method: &str, path: &str, body: &Value) -> Answer {
        self.ask_as(method, path, body, &self.key, None).await
    }

    async fn ask_as(&self, method: &str, path: &str, body: &Value, key: &str, once: Option<&str>) -> Answer {
        let mut request = warp::test::request()
            .method(method)
            .path(path)
            .header("authorization", format!("Bearer {key}"))
            .header("content-type", "application/json; charset=utf-8")
            .body(body.to_string());
        if let Some(once) = once {
            request = request.header("idempotency-key", once);
        }
        request.reply(&routes::public(&self.rig.state)).await
    }

    async fn begin(&self, bytes: usize) -> Value {
        let answer = self.ask("POST", "/v1/uploads", &json!({ "bytes": bytes, "title": "Film" })).await;
        assert_eq!(answer.status(), 201, "{:?}", answer.body());
        let said = said(&answer);
        assert_eq!(answer.headers()["location"], path(&said, ""));
        said
    }

    /// The URLs of parts, without the host.
    async fn urls(&self, upload: &Value, numbers: &[u32]) -> Vec<String> {
        let answer = self.ask("POST", &path(upload, "/parts"), &json!({ "numbers": numbers })).await;
        assert_eq!(answer.status(), 200, "{:?}", answer.body());
        let said = said(&answer);
        let parts = said["parts"].as_array().unwrap();
        parts
            .iter()
            .map(|part| part["url"].as_str().unwrap().split_once("/v1/").unwrap().1)
            .map(|url| format!("/v1/{url}"))
            .collect()
    }

    /// Puts bytes as whoever has the URL does: with no key.
    async fn put(&self, url: &str, bytes: &[u8]) -> Answer {
        let request = warp::test::request().method("PUT").path(url).header("content-length", bytes.len());
        request.body(bytes).reply(&routes::public(&self.rig.state)).await
    }

    /// Puts every part of `file`, and answers how they are listed.
    async fn put_all(&self, upload: &Value, file: &[u8]) -> Vec<Value> {
        let mut listed = Vec::new();
        for (piece, number) in file.chunks(PART_BYTES as usize).zip(1_u32..) {
            let url = self.urls(upload, &[number]).await.remove(0);
            let answer = self.put(&url, piece).await;
            assert_eq!(answer.status(), 200, "{:?}", answer.body());
            listed.push(json!({ "number": number, "etag": answer.headers()["etag"].to_str().unwrap() }));
        }
        listed
    }

    async fn complete(&self, upload: &Value, parts: &[Value], size: usize, sha256: Option<&str>) -> Answer {
        let mut body = json!({ "parts": parts, "size": size });
        if let Some(sha256) = sha256 {
            body["sha256"] = sha256.into();
        }
        self.ask("POST", &path(upload, "/complete"), &body).await
    }
}

fn said(answer: &Answer) -> Value {
    serde_json::from_slice(answer.body()).unwrap()
}

fn path(upload: &Value, rest: &str) -> String {
    format!("/v1/uploads/{}{rest}", upload["id"].as_str().unwrap())
}

fn asset_of(upload: &Value) -> AssetId {
    upload["asset_id"].as_str().unwrap().parse().unwrap()
}

fn digest_of(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

#[track_caller]
fn refused(answer: &Answer, status: u16, code: &str) {
    assert_eq!(answer.status(), status, "{:?}", answer.body());
    assert_eq!(said(answer)["code"], code, "{:?}", answer.body());
}

#[tokio::test]
async fn parts_that_go_past_the_api_become_an_original_once() {
    let sender = Sender::running().await;
    let file = bytes_of(PART_BYTES as usize + 12_345);
    let upload = sender.begin(file.len()).await;
    assert_eq!((upload["parts"].as_u64(), upload["part_bytes"].as_u64()), (Some(2), Some(PART_BYTES)));
    assert_eq!(said(&sender.ask("GET", &path(&upload, ""), &json!({})).await), upload);
    let mut parts = sender.put_all(&upload, &file).await;
    parts.reverse();
    for _ in 0..2 {
        let answer = sender.complete(&upload, &parts, file.len(), Some(&digest_of(&file))).await;
        assert_eq!(answer.status(), 200, "{:?}", answer.body());
        let asset = said(&answer);
        assert_eq!(
            (asset["title"].as_str(), asset["sha256"].as_str()),
            (Some("Film"), Some(digest_of(&file).as_str()))
        );
    }
    let asset = asset_of(&upload);
    let stored = sender.rig.until(asset, "uploaded").await.stored.unwrap();
    assert_eq!(stored.bytes, file.len() as u64);
    assert_eq!(sender.rig.object(&ObjectKey::source(asset)).await, file);
    assert_eq!(sender.rig.pieces().await, [], "nothing of the parts stays");
    let jobs = sender.rig.stores.jobs.of_asset(asset).await.unwrap();
    let media = jobs.iter().filter(|job| job.kind == rend_core::job::JobKind::Media).count();
    assert_eq!(media, 1, "it becomes an original exactly once");
    assert_eq!(said(&sender.ask("GET", &path(&upload, ""), &json!({})).await)["state"], "complete");
    let late = sender.ask("POST", &path(&upload, "/parts"), &json!({ "numbers": [1] })).await;
    refused(&late, 410, "upload_gone");
}

#[tokio::test]
async fn what_is_not_all_of_the_file_is_refused_and_can_still_be_completed() {
    let sender = Sender::running().await;
    let file = bytes_of(2 * PART_BYTES as usize + 1);
    let upload = sender.begin(file.len()).await;
    let parts = sender.put_all(&upload, &file).await;
    let with_tag = |n: usize, tag: &str| {
        let mut parts = parts.clone();
        parts[n]["etag"] = tag.into();
        parts
    };
    let other = digest_of(b"other");
    for (listed, size, sha256, pointer) in [
        (parts[..2].to_vec(), file.len(), None, "/parts"),
        ([&parts[..], &parts[..1]].concat(), file.len(), None, "/parts"),
        (with_tag(0, "<a>"), file.len(), None, "/parts"),
        (with_tag(1, &other), file.len(), None, "/parts"),
        (parts.clone(), file.len() + 1, None, "/size"),
        (parts.clone(), file.len(), Some("abc"), "/sha256"),
        (parts.clone(), file.len(), Some(other.as_str()), "/parts"),
    ] {
        let answer = sender.complete(&upload, &listed, size, sha256).await;
        assert_eq!(answer.status(), 422, "{:?}", answer.body());
        assert_eq!(said(&answer)["errors"][0]["pointer"], pointer, "{:?}", answer.body());
    }
    // Of one that is put again, the last counts.
    let url = sender.urls(&upload, &[3]).await.remove(0);
    let again = sender.put(&url, b"x").await;
    refused(&sender.complete(&upload, &parts, file.len(), None).await, 422, "parts_mismatch");
    let mut parts = parts;
    parts[2]["etag"] = again.headers()["etag"].to_str().unwrap().into();
    assert_eq!(sender.complete(&upload, &parts, file.len(), None).await.status(), 200);
}

#[tokio::test]
async fn a_url_puts_its_own_part_and_nothing_else() {
    let sender = Sender::new().await;
    let upload = sender.begin(100).await;
    let url = sender.urls(&upload, &[1]).await.remove(0);
    let bytes = bytes_of(100);
    for (changed, status, code) in [
        (url.replace("/parts/1?", "/parts/2?"), 403, "part_url"),
        (url.replace("bytes=100", "bytes=101"), 403, "part_url"),
        (url.replace("expires=", "expires=9"), 403, "part_url"),
        (url.split_once('?').unwrap().0.to_owned(), 422, "invalid_field"),
        (url.split_once("&signature").unwrap().0.to_owned(), 422, "invalid_field"),
        (format!("{url}0"), 422, "invalid_field"),
    ] {
        refused(&sender.put(&changed, &bytes).await, status, code);
    }
    let other = sender.begin(100).await;
    let theirs = url.replace(upload["id"].as_str().unwrap(), other["id"].as_str().unwrap());
    refused(&sender.put(&theirs, &bytes).await, 403, "part_url");
    refused(&sender.put(&url, &bytes[..99]).await, 422, "invalid_field");
    assert_eq!(sender.put(&url, &bytes).await.status(), 200);
    // Its time ends, and new URLs are to be had.
    sender.rig.pass(URL_KEPT);
    refused(&sender.put(&url, &bytes).await, 403, "part_url");
    let fresh = sender.urls(&upload, &[1]).await.remove(0);
    assert_eq!(sender.put(&fresh, &bytes).await.status(), 200);
}

#[tokio::test]
async fn the_bounds_of_a_wish_are_said() {
    let sender = Sender::new().await;
    for (wish, status, code) in [
        (json!({ "bytes": 0 }), 422, "empty_upload"),
        (json!({ "bytes": (64_u64 << 20) + 1 }), 413, "too_large"),
        (json!({ "title": "a" }), 422, "invalid_field"),
        (json!({ "bytes": 1, "colour": "red" }), 422, "invalid_field"),
        (json!({ "bytes": 1, "policy": "mine" }), 422, "invalid_field"),
        (json!({ "bytes": 1, "title": "\u{7}" }), 422, "invalid_field"),
    ] {
        refused(&sender.ask("POST", "/v1/uploads", &wish).await, status, code);
    }
    let upload = sender.begin(3 * PART_BYTES as usize).await;
    for numbers in [json!([]), json!([0]), json!([4]), json!((1..=11).collect::<Vec<_>>()), json!("1")] {
        let answer = sender.ask("POST", &path(&upload, "/parts"), &json!({ "numbers": numbers })).await;
        refused(&answer, 422, "invalid_field");
    }
    assert_eq!(sender.urls(&upload, &[1, 2, 3, 3, 2, 1, 1, 2, 3, 1]).await.len(), SIGNED_MAX);
}

#[tokio::test]
async fn a_key_stands_for_one_upload_and_tus_does_not_reach_it() {
    let sender = Sender::new().await;
    let wish = json!({ "bytes": 100, "title": "Film" });
    let begin = async |wish: &Value| sender.ask_as("POST", "/v1/uploads", wish, &sender.key, Some("once")).await;
    let (first, second) = (begin(&wish).await, begin(&wish).await);
    assert_eq!((said(&first), second.status().as_u16()), (said(&second), 201));
    refused(&begin(&json!({ "bytes": 101, "title": "Film" })).await, 422, "idempotency_key");
    let upload = said(&first);
    let request = warp::test::request().method("HEAD").path(&path(&upload, "")).header("tus-resumable", "1.0.0");
    let request = request.header("authorization", format!("Bearer {}", sender.key));
    assert_eq!(request.reply(&routes::public(&sender.rig.state)).await.status(), 404);
    // Another organisation's key finds nothing.
    let org = rend_core::id::OrgId::from_bytes([9; 16]);
    let now = sender.rig.state.clock.wall();
    let store = sender.rig.stores.credentials.as_ref();
    let theirs = crate::make_key(store, org, "theirs", Scopes::ALL, None, now).await.unwrap().1;
    for (method, rest, body) in [
        ("POST", "/parts", json!({ "numbers": [1] })),
        ("POST", "/complete", json!({ "parts": [{ "number": 1, "etag": "a" }], "size": 100 })),
    ] {
        let answer = sender.ask_as(method, &path(&upload, rest), &body, &theirs, None).await;
        refused(&answer, 404, "not_found");
    }
}

#[tokio::test]
async fn an_upload_that_is_given_up_or_expires_leaves_nothing() {
    let sender = Sender::new().await;
    let upload = sender.begin(100).await;
    let url = sender.urls(&upload, &[1]).await.remove(0);
    sender.put(&url, &bytes_of(100)).await;
    assert_eq!(sender.rig.pieces().await.len(), 2, "what says that it began, and a part");
    assert_eq!(sender.ask("DELETE", &path(&upload, ""), &json!({})).await.status(), 204);
    assert_eq!(sender.rig.pieces().await, []);
    refused(&sender.put(&url, &bytes_of(100)).await, 410, "upload_gone");
    refused(&sender.ask("POST", &path(&upload, "/parts"), &json!({ "numbers": [1] })).await, 410, "upload_gone");

    let upload = sender.begin(100).await;
    let url = sender.urls(&upload, &[1]).await.remove(0);
    sender.put(&url, &bytes_of(100)).await;
    sender.rig.pass(SESSION_KEPT + Duration::from_secs(1));
    let now = sender.rig.state.clock.wall();
    let expired = sender.rig.stores.uploads.expired(now, 10).await.unwrap();
    assert_eq!(expired.len(), 1);
    abandon(&sender.rig.stores, &expired[0], now).await;
    assert_eq!(sender.rig.pieces().await, []);
    let asset = sender.rig.stores.assets.get(asset_of(&upload)).await.unwrap();
    assert_eq!((asset.source, asset.failure.unwrap().code.as_str()), (SourceState::Failed, "upload_incomplete"));
}

#[tokio::test]
async fn what_was_joined_before_a_crash_is_found_by_the_next_request() {
    let sender = Sender::new().await;
    let file = bytes_of(1000);
    let upload = sender.begin(file.len()).await;
    let parts = sender.put_all(&upload, &file).await;
    // The store made one object of the parts, and the process was killed before it wrote that down.
    let id: UploadId = upload["id"].as_str().unwrap().parse().unwrap();
    let transfer = sender.rig.stores.transfers.transfer(id).await.unwrap();
    let source = ObjectKey::source(transfer.session.asset);
    let listed = Listed { number: 1, tag: parts[0]["etag"].as_str().unwrap().parse().unwrap() };
    let put = Put { content_type: OCTETS.into(), len: Some(1000), sha256: None, now: sender.rig.state.clock.wall() };
    let store = sender.rig.stores.objects.parts().unwrap();
    store.join_parts(&source, &transfer.direct.unwrap().name, &[listed], put).await.unwrap();
    sender.rig.run();
    let answer = sender.complete(&upload, &parts, file.len(), Some(&digest_of(&file))).await;
    assert_eq!(answer.status(), 200, "{:?}", answer.body());
    assert_eq!(sender.rig.object(&source).await, file);
}

#[tokio::test]
async fn a_file_with_another_digest_than_announced_fails_its_asset() {
    let sender = Sender::running().await;
    let file = bytes_of(1000);
    let upload = sender.begin(file.len()).await;
    sender.put_all(&upload, &file).await;
    // As a bucket would have it, which can not tell the digest of what it joined: the store says yes, and the job looks.
    let id: UploadId = upload["id"].as_str().unwrap().parse().unwrap();
    let source = ObjectKey::source(asset_of(&upload));
    let put = Put { content_type: OCTETS.into(), len: None, sha256: None, now: sender.rig.state.clock.wall() };
    let body = futures::stream::iter([Ok(Bytes::from(file))]).boxed();
    sender.rig.stores.objects.put(&source, put, body).await.unwrap();
    let seal = Step::Seal { sha256: Some([7; 32]) };
    let transfer = sender.rig.stores.transfers.advance_transfer(id, 0, &seal).await.unwrap();
    hand_over(&sender.rig.state, &transfer).await;
    let asset = sender.rig.until(asset_of(&upload), "failed").await;
    assert_eq!(asset.failure.unwrap().code, WRONG_DIGEST);
    let shown = shown(&sender.rig.state, &transfer).await;
    assert!(matches!(shown, Err(ApiError::Upload(UploadRefusal::Digest))), "{shown:?}");
    for _ in 0..200 {
        if sender.rig.stores.objects.head(&source).await.is_err() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("what nobody announced stays");
}

#[tokio::test]
async fn a_full_disk_is_said_and_the_part_can_be_put_again() {
    let sender = Sender::new().await;
    let upload = sender.begin(100).await;
    let url = sender.urls(&upload, &[1]).await.remove(0);
    sender.rig.disk.room.store(10, Ordering::Relaxed);
    refused(&sender.put(&url, &bytes_of(100)).await, 507, "no_space");
    sender.rig.disk.room.store(u64::MAX, Ordering::Relaxed);
    assert_eq!(sender.put(&url, &bytes_of(100)).await.status(), 200);
}
