//! What may begin, and what a key stands for.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use rend_core::credential::{Scope, Scopes};
use rend_core::id::{AssetId, OrgId, UploadId};
use rend_core::job::JobKind;
use rend_core::time::Timestamp;
use rend_core::upload::{UploadSession, UploadState};

use super::{PIECE, Row, Sender, header, named, refused, sha256};
use crate::http::uploads::open::OPEN_MAX;

#[tokio::test]
async fn a_whole_file_may_come_with_its_creation() {
    let sender = Sender::running().await;
    let headers = [("upload-length", "5"), ("content-type", PIECE), ("content-length", "5")];
    let answer = sender.ask("POST", "/v1/uploads", &headers, b"bytes").await;
    assert_eq!((answer.status().as_u16(), header(&answer, "upload-offset")), (201, "5"));
    let asset = sender.rig.until(named(&answer).1, "uploaded").await;
    assert_eq!(asset.stored.unwrap().sha256, sha256(b"bytes"));
    sender.rig.stop();
}

#[tokio::test]
async fn a_first_piece_that_can_not_be_understood_opens_nothing() {
    let sender = Sender::new().await;
    let usual = [("upload-length", "5"), ("content-type", PIECE)];
    for bad in [("upload-checksum", "sha256"), ("upload-checksum", "md5 AAAA"), ("content-length", "five")] {
        let answer = sender.ask("POST", "/v1/uploads", &[usual[0], usual[1], bad], b"bytes").await;
        refused(&answer, 400, "invalid_header");
        assert!(answer.headers().get("location").is_none());
    }
    let old = [usual[0], usual[1], ("upload-checksum", "sha256"), ("tus-resumable", "0.2.2")];
    refused(&sender.ask("POST", "/v1/uploads", &old, b"bytes").await, 412, "tus_version");
    assert!(sender.rig.stores.assets.page(crate::config::SOLE_ORG, None, 10).await.unwrap().is_empty());
}

#[tokio::test]
async fn an_upload_whose_first_piece_does_not_count_is_there_all_the_same() {
    let sender = Sender::running().await;
    let wrong = format!("sha256 {}", BASE64_STANDARD.encode(sha256(b"other")));
    let with = |more: (&'static str, String)| {
        let usual = [("upload-length", "5".to_owned()), ("content-type", PIECE.to_owned())];
        usual.into_iter().chain([more]).collect::<Vec<_>>()
    };
    // Another digest, more bytes than were announced, and a disk that is full.
    let rows = [
        (with(("upload-checksum", wrong)), &b"bytes"[..], u64::MAX),
        (with(("content-length", "6".to_owned())), b"bytes!", u64::MAX),
        (with(("content-length", "5".to_owned())), b"bytes", 0),
    ];
    for (headers, body, room) in rows {
        sender.rig.disk.room.store(room, std::sync::atomic::Ordering::Relaxed);
        let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let answer = sender.ask("POST", "/v1/uploads", &headers, body).await;
        assert_eq!((answer.status().as_u16(), header(&answer, "upload-offset")), (201, "0"), "{headers:?}");
        let (path, asset) = named(&answer);
        sender.rig.disk.room.store(u64::MAX, std::sync::atomic::Ordering::Relaxed);
        assert_eq!(sender.patch(&path, 0, b"bytes").await.status(), 204, "its sender goes on");
        assert_eq!(sender.rig.until(asset, "uploaded").await.stored.unwrap().sha256, sha256(b"bytes"));
    }
    sender.rig.stop();
}

#[tokio::test]
async fn a_client_learns_what_is_spoken_without_a_key() {
    let sender = Sender::new().await;
    let unsaid = [("authorization", ""), ("tus-resumable", "")];
    for path in ["/v1/uploads", "/v1/uploads/01999999-0000-7000-8000-000000000000"] {
        let answer = sender.ask("OPTIONS", path, &unsaid, b"").await;
        assert_eq!(answer.status(), 204);
        assert_eq!(header(&answer, "tus-version"), "1.0.0");
        assert_eq!(header(&answer, "tus-extension"), "creation,creation-with-upload,expiration,checksum,termination");
        assert_eq!(header(&answer, "tus-checksum-algorithm"), "sha256,sha1");
        assert_eq!(header(&answer, "tus-max-size"), (64 << 20).to_string());
    }
}

#[tokio::test]
async fn what_cannot_begin_is_told_why() {
    let sender = Sender::new().await;
    let reader = sender.rig.key(Scopes::NONE.with(Scope::Read)).await;
    let reader = format!("Bearer {reader}");
    let title = format!("title {}", BASE64_STANDARD.encode("a\nb"));
    let policy = format!("policy {}", BASE64_STANDARD.encode("secret"));
    let rows: &[Row<'_>] = &[
        (&[("tus-resumable", "")], 412, "tus_version"),
        (&[("tus-resumable", "0.2.2")], 412, "tus_version"),
        (&[("authorization", "")], 401, "unauthorized"),
        (&[("authorization", &reader)], 403, "missing_scope"),
        (&[], 400, "missing_header"),
        (&[("upload-length", "-1")], 400, "invalid_header"),
        (&[("upload-length", "0")], 422, "empty_upload"),
        (&[("upload-length", "67108865")], 413, "too_large"),
        (&[("upload-length", "5"), ("upload-metadata", "title %%")], 400, "invalid_header"),
        (&[("upload-length", "5"), ("upload-metadata", &title)], 422, "invalid_field"),
        (&[("upload-length", "5"), ("upload-metadata", &policy)], 422, "invalid_field"),
        (&[("upload-length", "5"), ("idempotency-key", "a b")], 422, "idempotency_key"),
    ];
    for (headers, status, code) in rows {
        refused(&sender.ask("POST", "/v1/uploads", headers, b"").await, *status, code);
    }
    assert_eq!(sender.rig.stores.transfers.open_transfers(crate::config::SOLE_ORG).await.unwrap(), 0);
    assert!(sender.rig.stores.assets.page(crate::config::SOLE_ORG, None, 10).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_key_stands_for_one_upload() {
    let sender = Sender::new().await;
    let title = |title: &str| format!("title {}", BASE64_STANDARD.encode(title));
    let (one, other) = (title("one"), title("other"));
    let headers = [("upload-length", "10"), ("upload-metadata", one.as_str()), ("idempotency-key", "k1")];
    let first = sender.ask("POST", "/v1/uploads", &headers, b"").await;
    let (path, asset) = named(&first);
    assert_eq!(sender.patch(&path, 0, b"0123").await.status(), 204);
    let again = sender.ask("POST", "/v1/uploads", &headers, b"").await;
    assert_eq!((again.status().as_u16(), named(&again)), (201, (path.clone(), asset)));
    let with_body = [headers[0], headers[1], headers[2], ("content-type", PIECE), ("content-length", "2")];
    let again = sender.ask("POST", "/v1/uploads", &with_body, b"01").await;
    assert_eq!(header(&again, "upload-offset"), "4", "what is there is not stored twice");
    for (length, title) in [("11", &one), ("10", &other)] {
        let headers = [("upload-length", length), ("upload-metadata", title.as_str()), ("idempotency-key", "k1")];
        refused(&sender.ask("POST", "/v1/uploads", &headers, b"").await, 422, "idempotency_key");
    }
    let another = [headers[0], headers[1], ("idempotency-key", "k2")];
    assert_ne!(named(&sender.ask("POST", "/v1/uploads", &another, b"").await).0, path);
    assert_eq!(sender.rig.stores.assets.page(crate::config::SOLE_ORG, None, 10).await.unwrap().len(), 2);
}

#[tokio::test]
async fn an_organisation_opens_only_so_many() {
    let sender = Sender::new().await;
    for n in 0..OPEN_MAX {
        let session = UploadSession {
            id: UploadId::new(Timestamp::from_secs(n), [1; 10]),
            asset: AssetId::from_bytes([1; 16]),
            org: crate::config::SOLE_ORG,
            bytes_expected: None,
            state: UploadState::Open,
            expires_at: Timestamp::MAX,
            created_at: Timestamp::EPOCH,
        };
        sender.rig.stores.uploads.open(&session).await.unwrap();
    }
    refused(&sender.ask("POST", "/v1/uploads", &[("upload-length", "1")], b"").await, 429, "too_many_uploads");
}

#[tokio::test]
async fn another_organisations_upload_is_not_there() {
    let sender = Sender::new().await;
    let (path, _) = sender.begin(10).await;
    let org = OrgId::from_bytes([9; 16]);
    let store = sender.rig.stores.credentials.as_ref();
    let key = crate::make_key(store, org, "other", Scopes::ALL, None, sender.rig.state.clock.wall()).await.unwrap().1;
    let other = format!("Bearer {key}");
    for method in ["HEAD", "DELETE"] {
        refused(&sender.ask(method, &path, &[("authorization", &other)], b"").await, 404, "not_found");
    }
    refused(&sender.patch_with(&path, 0, b"0", &[("authorization", &other)]).await, 404, "not_found");
    assert_eq!(sender.offset(&path).await, 0);
}

#[tokio::test]
async fn a_wish_is_judged_before_anything_is_written_down() {
    let sender = Sender::new().await;
    let wish = async |body: &str| {
        sender.ask("POST", "/v1/videos", &[("content-type", "application/json")], body.as_bytes()).await
    };
    for (body, code) in [
        ("{}", "invalid_field"),
        ("no json", "invalid_field"),
        (r#"{"source_url":"https://example.com/a","x":1}"#, "invalid_field"),
        (r#"{"source_url":"film.mp4"}"#, "source_refused"),
        (r#"{"source_url":"ftp://example.com/a"}"#, "source_refused"),
        (r#"{"source_url":"https://u:p@example.com/a"}"#, "source_refused"),
        (r#"{"source_url":"https://10.0.0.1/a"}"#, "source_refused"),
        (r#"{"source_url":"https://169.254.169.254/latest/meta-data"}"#, "source_refused"),
        (r#"{"source_url":"https://[::ffff:127.0.0.1]/a"}"#, "source_refused"),
        (r#"{"source_url":"https://0x0a000001/a"}"#, "source_refused"),
        (r#"{"source_url":"https://example.com/a","policy":"secret"}"#, "invalid_field"),
    ] {
        let answer = wish(body).await;
        assert_eq!(answer.status(), 422, "{body}: {:?}", answer.body());
        let said: serde_json::Value = serde_json::from_slice(answer.body()).unwrap();
        assert_eq!(said["code"], code, "{body}");
        assert!(!said.to_string().contains("u:p@"), "{said}");
    }
    assert!(sender.rig.stores.assets.page(crate::config::SOLE_ORG, None, 10).await.unwrap().is_empty());
    let answer = wish(r#"{"source_url":"https://example.com/films/My%20film.mp4?sig=secret","policy":"public"}"#).await;
    assert_eq!(answer.status(), 202, "{:?}", answer.body());
    let said: serde_json::Value = serde_json::from_slice(answer.body()).unwrap();
    assert_eq!((said["title"].as_str(), said["source_state"].as_str()), (Some("My film.mp4"), Some("uploading")));
    assert!(!said.to_string().contains("sig="), "the URL is not shown");
    let asset: AssetId = said["id"].as_str().unwrap().parse().unwrap();
    let jobs = sender.rig.stores.jobs.of_asset(asset).await.unwrap();
    assert_eq!(jobs.iter().map(|job| job.kind).collect::<Vec<_>>(), [JobKind::Pull]);
    // What is fetched can not be sent as well.
    let path = format!("/v1/uploads/{}", jobs[0].id);
    refused(&sender.patch(&path, 0, b"0").await, 404, "not_found");
}
