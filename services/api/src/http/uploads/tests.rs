use std::sync::atomic::Ordering;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use futures::stream;
use http::Response;
use rend_core::asset::Edit;
use rend_core::credential::{Scope, Scopes};
use rend_core::upload::transfer::PART_BYTES_MAX;

use super::*;
use crate::ingest::rig::{Rig, bytes_of};
use crate::routes;
use crate::sync::sweep::collect;

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

#[tokio::test]
async fn a_file_in_pieces_becomes_an_original_with_its_digest() {
    let sender = Sender::running().await;
    // More than one part of one piece, and a piece that ends within a part.
    let file = bytes_of(PART_BYTES_MAX as usize + 70_000);
    let metadata =
        format!("filename {},policy {}", BASE64_STANDARD.encode("Holiday.mp4"), BASE64_STANDARD.encode("public"));
    let length = file.len().to_string();
    let headers = [("upload-length", length.as_str()), ("upload-metadata", &metadata)];
    let begun = sender.ask("POST", "/v1/uploads", &headers, b"").await;
    assert_eq!(begun.status(), 201);
    let (path, asset) = named(&begun);
    let found = sender.rig.stores.assets.get(asset).await.unwrap();
    assert_eq!(
        (found.title.as_str(), found.policy.as_str(), found.source.as_str()),
        ("Holiday.mp4", "public", "uploading")
    );
    let mut offset = 0;
    for piece in [&file[..1], &file[1..5000], &file[5000..]] {
        let answer = sender.patch(&path, offset, piece).await;
        assert_eq!(answer.status(), 204, "{:?}", answer.body());
        offset += piece.len() as u64;
        assert_eq!(header(&answer, "upload-offset"), offset.to_string());
        assert_eq!(header(&answer, "rend-asset-id"), asset.to_string());
    }
    let stored = sender.rig.until(asset, "uploaded").await.stored.unwrap();
    assert_eq!((stored.bytes, stored.sha256), (file.len() as u64, sha256(&file)));
    assert_eq!(sender.rig.object(&ObjectKey::source(asset)).await, file);
    let jobs = sender.rig.stores.jobs.of_asset(asset).await.unwrap();
    assert_eq!(jobs.iter().filter(|job| job.kind == JobKind::Media).count(), 1);
    while !sender.rig.pieces().await.is_empty() {
        tokio::task::yield_now().await;
    }
    // Who did not hear the last answer asks again.
    let head = sender.ask("HEAD", &path, &[], b"").await;
    assert_eq!((header(&head, "upload-offset"), header(&head, "upload-length")), (length.as_str(), length.as_str()));
    assert_eq!(header(&head, "upload-metadata"), metadata);
    assert_eq!(sender.patch(&path, offset, b"").await.status(), 204);
    refused(&sender.patch(&path, 0, b"x").await, 409, "offset_mismatch");
    sender.rig.stop();
}

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
async fn a_piece_that_does_not_fit_is_told_why_and_changes_nothing() {
    let sender = Sender::new().await;
    let (path, _) = sender.begin(10).await;
    assert_eq!(sender.patch(&path, 0, b"0123").await.status(), 204);
    refused(&sender.patch(&path, 3, b"3").await, 409, "offset_mismatch");
    refused(&sender.patch(&path, 5, b"5").await, 409, "offset_mismatch");
    refused(&sender.patch(&path, 4, b"4567890").await, 413, "past_end");
    let plain = [("upload-offset", "4"), ("content-type", "video/mp4")];
    refused(&sender.ask("PATCH", &path, &plain, b"4").await, 415, "media_type");
    refused(&sender.ask("PATCH", &path, &[("content-type", PIECE)], b"4").await, 400, "missing_header");
    refused(&sender.patch_with(&path, 4, b"4", &[("upload-checksum", "md5 AAAA")]).await, 400, "invalid_header");
    refused(&sender.patch_with(&path, 4, b"4", &[("tus-resumable", "")]).await, 412, "tus_version");
    let nobody = "/v1/uploads/01999999-0000-7000-8000-000000000000";
    refused(&sender.patch(nobody, 0, b"0").await, 404, "not_found");
    assert_eq!(sender.offset(&path).await, 4);
    assert_eq!(sender.rig.parts_of(id_of(&path)).await, b"0123");
    assert_eq!(sender.rig.pieces().await.len(), 1, "nothing of what was refused is kept");
}

#[tokio::test]
async fn a_body_past_its_announced_end_is_not_kept() {
    let sender = Sender::new().await;
    let (path, _) = sender.begin(4).await;
    let writers = Arc::new(Writers::default());
    let long = stream::iter(["abc", "de"].map(|text| Ok(Bytes::from_static(text.as_bytes())))).boxed();
    let answer = sender.send(&writers, &path, 0, long).await;
    assert!(matches!(answer, Err(ApiError::Upload(UploadRefusal::PastEnd { bytes_max: 4 }))), "{answer:?}");
    assert_eq!((sender.offset(&path).await, sender.rig.pieces().await.len()), (0, 0));
}

#[tokio::test]
async fn a_piece_counts_only_with_its_digest() {
    let sender = Sender::running().await;
    let (path, asset) = sender.begin(10).await;
    let sha256 = format!("sha256 {}", BASE64_STANDARD.encode(sha256(b"01234")));
    let sha1 = format!("sha1 {}", BASE64_STANDARD.encode(sha1::Sha1::digest(b"56789")));
    refused(&sender.patch_with(&path, 0, b"01235", &[("upload-checksum", &sha256)]).await, 460, "checksum_mismatch");
    assert_eq!((sender.offset(&path).await, sender.rig.pieces().await.len()), (0, 0));
    assert_eq!(sender.patch_with(&path, 0, b"01234", &[("upload-checksum", &sha256)]).await.status(), 204);
    refused(&sender.patch_with(&path, 5, b"56788", &[("upload-checksum", &sha1)]).await, 460, "checksum_mismatch");
    assert_eq!(sender.patch_with(&path, 5, b"56789", &[("upload-checksum", &sha1)]).await.status(), 204);
    assert_eq!(sender.rig.until(asset, "uploaded").await.stored.unwrap().sha256, self::sha256(b"0123456789"));
    sender.rig.stop();
}

#[tokio::test(start_paused = true)]
async fn what_came_before_a_connection_broke_is_kept() {
    let sender = Sender::new().await;
    let (path, _) = sender.begin(10).await;
    let writers = Arc::new(Writers::default());
    let broken = stream::iter([Ok(Bytes::from_static(b"012")), Ok(Bytes::from_static(b"34")), Err(())]).boxed();
    assert!(matches!(sender.send(&writers, &path, 0, broken).await, Ok(5)));
    assert_eq!(sender.offset(&path).await, 5);
    assert_eq!(sender.patch(&path, 5, b"56789").await.status(), 204);
    assert_eq!(sender.rig.parts_of(id_of(&path)).await, b"0123456789");
}

#[tokio::test(start_paused = true)]
async fn a_body_that_stops_coming_is_ended_and_what_came_is_kept() {
    let sender = Sender::new().await;
    let (path, _) = sender.begin(10).await;
    let writers = Arc::new(Writers::default());
    let stuck = stream::iter([Ok(Bytes::from_static(b"012"))]).chain(stream::pending()).boxed();
    let answer = sender.send(&writers, &path, 0, stuck).await;
    assert!(matches!(answer, Err(ApiError::Upload(UploadRefusal::Idle { received: 3 }))), "{answer:?}");
    assert_eq!(sender.offset(&path).await, 3);
}

#[tokio::test(start_paused = true)]
async fn a_newer_request_takes_over_a_stuck_one_and_loses_none_of_its_bytes() {
    let sender = Sender::new().await;
    let (path, _) = sender.begin(10).await;
    let writers = Arc::new(Writers::default());
    let (heard, hears) = tokio::sync::oneshot::channel();
    let stuck = stream::iter([Ok(Bytes::from_static(b"012"))])
        .chain(stream::once(async move {
            let _ = heard.send(());
            futures::future::pending().await
        }))
        .boxed();
    let first = sender.send(&writers, &path, 0, stuck);
    let second = async {
        hears.await.unwrap();
        // It believes that nothing came; now it learns better.
        let elsewhere = sender.send(&writers, &path, 0, stream::empty().boxed()).await;
        assert!(
            matches!(elsewhere, Ok(0) | Err(ApiError::Upload(UploadRefusal::Elsewhere { received: 3 }))),
            "{elsewhere:?}"
        );
        sender.send(&writers, &path, 3, stream::iter([Ok(Bytes::from_static(b"3456789"))]).boxed()).await
    };
    let (first, second) = futures::join!(first, second);
    assert!(matches!(first, Err(ApiError::Upload(UploadRefusal::TakenOver { received: 3 }))), "{first:?}");
    assert!(matches!(second, Ok(10)), "{second:?}");
    assert_eq!(sender.rig.parts_of(id_of(&path)).await, b"0123456789");
}

#[tokio::test]
async fn a_writer_of_another_process_counts_nothing_after_it_was_taken_over() {
    let sender = Sender::new().await;
    let (path, _) = sender.begin(10).await;
    let (one, other) = (Arc::new(Writers::default()), Arc::new(Writers::default()));
    let (go, went) = tokio::sync::oneshot::channel();
    let slow = stream::iter([Ok(Bytes::from_static(b"xyz"))])
        .chain(stream::once(async move { went.await.map(|()| Bytes::from_static(b"!")).map_err(|_| ()) }))
        .boxed();
    let slow = sender.send(&one, &path, 0, slow);
    let quick = async {
        // Nobody tells the slow one: the two processes share the store alone.
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        let answer = sender.send(&other, &path, 0, stream::iter([Ok(Bytes::from_static(b"01234"))]).boxed()).await;
        go.send(()).unwrap();
        answer
    };
    let (slow, quick) = futures::join!(slow, quick);
    assert!(matches!(quick, Ok(5)), "{quick:?}");
    assert!(matches!(slow, Err(ApiError::Upload(UploadRefusal::TakenOver { received: 5 }))), "{slow:?}");
    assert_eq!(sender.rig.parts_of(id_of(&path)).await, b"01234");
    assert_eq!(sender.rig.pieces().await.len(), 1, "what did not count is removed");
}

#[tokio::test]
async fn a_full_disk_is_said_and_the_upload_goes_on_once_there_is_room() {
    let sender = Sender::running().await;
    let (path, asset) = sender.begin(10).await;
    assert_eq!(sender.patch(&path, 0, b"01234").await.status(), 204);
    sender.rig.disk.room.store(4, Ordering::Relaxed);
    refused(&sender.patch(&path, 5, b"56789").await, 507, "no_space");
    assert_eq!(sender.offset(&path).await, 5);
    sender.rig.disk.room.store(u64::MAX, Ordering::Relaxed);
    assert_eq!(sender.patch(&path, 5, b"56789").await.status(), 204);
    sender.rig.until(asset, "uploaded").await;
    sender.rig.stop();
}

#[tokio::test]
async fn an_upload_whose_time_is_over_is_gone_and_never_an_original() {
    let sender = Sender::new().await;
    let (path, asset) = sender.begin(10).await;
    sender.rig.pass(SESSION_KEPT / 2);
    assert_eq!(sender.patch(&path, 0, b"0123").await.status(), 204);
    sender.rig.pass(SESSION_KEPT - Duration::from_millis(1));
    assert_eq!(sender.offset(&path).await, 4, "each piece gives it more time");
    sender.rig.pass(Duration::from_millis(1));
    refused(&sender.patch(&path, 4, b"4").await, 410, "upload_gone");
    refused(&sender.ask("HEAD", &path, &[], b"").await, 410, "upload_gone");
    let now = sender.rig.state.clock.wall();
    let expired = sender.rig.stores.uploads.expired(now, 10).await.unwrap();
    assert_eq!(expired.len(), 1);
    abandon(&sender.rig.stores, &expired[0], now).await;
    let failed = sender.rig.stores.assets.get(asset).await.unwrap();
    assert_eq!((failed.source.as_str(), failed.failure.unwrap().code.as_str()), ("failed", "upload_incomplete"));
    assert!(sender.rig.pieces().await.is_empty());
    refused(&sender.patch(&path, 4, b"4").await, 410, "upload_gone");
}

#[tokio::test]
async fn an_upload_says_until_when_it_is_kept_and_each_piece_moves_that() {
    let sender = Sender::new().await;
    let due = || httpdate::fmt_http_date((sender.rig.state.clock.wall() + SESSION_KEPT).to_system());
    let begun = sender.ask("POST", "/v1/uploads", &[("upload-length", "10")], b"").await;
    let (path, asset) = named(&begun);
    let first = due();
    assert_eq!(header(&begun, "upload-expires"), first);
    sender.rig.pass(Duration::from_secs(3600));
    // Neither a look nor what is refused gives it more time.
    assert_eq!(header(&sender.ask("HEAD", &path, &[], b"").await, "upload-expires"), first);
    refused(&sender.patch(&path, 5, b"5").await, 409, "offset_mismatch");
    assert_eq!(header(&sender.ask("HEAD", &path, &[], b"").await, "upload-expires"), first);
    for (offset, piece) in [(0, b"012"), (3, b"345")] {
        sender.rig.pass(Duration::from_secs(3600));
        let answer = sender.patch(&path, offset, piece).await;
        assert_eq!((answer.status().as_u16(), header(&answer, "upload-expires")), (204, due().as_str()));
        assert_eq!(header(&sender.ask("HEAD", &path, &[], b"").await, "upload-expires"), due());
        assert_ne!(due(), first);
    }
    let session = id_of(&path);
    let state = async || sender.rig.stores.uploads.get(session).await.unwrap().state;
    sender.rig.pass(SESSION_KEPT - Duration::from_millis(1));
    collect(&sender.rig.stores, sender.rig.state.clock.wall()).await.unwrap();
    assert_eq!(
        (state().await, sender.offset(&path).await),
        (UploadState::Open, 6),
        "it is kept for as long as it said"
    );
    sender.rig.pass(Duration::from_millis(1));
    let late = sender.ask("HEAD", &path, &[], b"").await;
    refused(&late, 410, "upload_gone");
    assert!(!late.headers().contains_key("upload-expires"));
    refused(&sender.patch(&path, 6, b"6789").await, 410, "upload_gone");
    assert!(!sender.rig.pieces().await.is_empty());
    collect(&sender.rig.stores, sender.rig.state.clock.wall()).await.unwrap();
    assert_eq!(state().await, UploadState::Abandoned);
    assert!(sender.rig.pieces().await.is_empty());
    let failed = sender.rig.stores.assets.get(asset).await.unwrap();
    assert_eq!((failed.source.as_str(), failed.failure.unwrap().code.as_str()), ("failed", "upload_incomplete"));
    refused(&sender.ask("HEAD", &path, &[], b"").await, 410, "upload_gone");
    refused(&sender.patch(&path, 6, b"6789").await, 410, "upload_gone");
}

#[tokio::test]
async fn an_upload_that_is_whole_has_no_end_any_more() {
    let sender = Sender::running().await;
    let (path, asset) = sender.begin(4).await;
    let whole = sender.patch(&path, 0, b"0123").await;
    assert_eq!(whole.status(), 204);
    sender.rig.until(asset, "uploaded").await;
    assert!(!whole.headers().contains_key("upload-expires"), "{whole:?}");
    let look = sender.ask("HEAD", &path, &[], b"").await;
    assert_eq!((look.status().as_u16(), header(&look, "upload-offset")), (200, "4"));
    assert!(!look.headers().contains_key("upload-expires"));
    sender.rig.pass(SESSION_KEPT * 2);
    collect(&sender.rig.stores, sender.rig.state.clock.wall()).await.unwrap();
    assert_eq!(sender.rig.stores.assets.get(asset).await.unwrap().source.as_str(), "uploaded");
    sender.rig.stop();
}

#[tokio::test]
async fn what_its_sender_ends_is_gone_with_its_bytes_and_its_asset() {
    let sender = Sender::new().await;
    let (path, asset) = sender.begin(10).await;
    assert_eq!(sender.patch(&path, 0, b"0123").await.status(), 204);
    // As a client does it that knows GET and POST alone.
    let answer = sender.ask("POST", &path, &[("x-http-method-override", "DELETE")], b"").await;
    assert_eq!(answer.status(), 204);
    assert_eq!(header(&answer, "tus-resumable"), "1.0.0");
    assert!(sender.rig.pieces().await.is_empty());
    assert_eq!(sender.rig.stores.assets.get(asset).await.unwrap().source, SourceState::Deleted);
    refused(&sender.ask("DELETE", &path, &[], b"").await, 410, "upload_gone");
    refused(&sender.patch(&path, 4, b"4").await, 410, "upload_gone");
}

#[tokio::test]
async fn nothing_more_comes_for_an_asset_that_was_deleted() {
    let sender = Sender::running().await;
    let (path, asset) = sender.begin(10).await;
    assert_eq!(sender.patch(&path, 0, b"0123").await.status(), 204);
    let now = sender.rig.state.clock.wall();
    let change = Change { asset, expect: None, step: Move::RequestDeletion, fence: None, enqueue: None, now };
    sender.rig.stores.assets.advance(&change).await.unwrap();
    refused(&sender.patch(&path, 4, b"456789").await, 410, "upload_gone");
    refused(&sender.ask("HEAD", &path, &[], b"").await, 410, "upload_gone");
    // One that was whole when it was deleted leaves no original behind.
    let (path, asset) = sender.begin(4).await;
    let transfer = sender.rig.stores.transfers.take_over(id_of(&path)).await.unwrap();
    let body = stream::iter([Ok(Bytes::from_static(b"0123"))]).boxed();
    let stop = tokio::sync::watch::channel(false).1;
    receive(&sender.rig.stores, &sender.rig.clock(), transfer, Source::new(body, 4, stop), None).await.unwrap();
    let change = Change { asset, step: Move::RequestDeletion, ..change };
    sender.rig.stores.assets.advance(&change).await.unwrap();
    assemble_later(&sender.rig.state, id_of(&path), asset).await.unwrap();
    ended(&sender.rig.state, id_of(&path)).await;
    assert!(sender.rig.stores.objects.list("sources/", None, 10).await.unwrap().is_empty());
    sender.rig.stop();
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
async fn an_upload_that_a_crash_left_whole_is_taken_up() {
    let sender = Sender::new().await;
    let (path, asset) = sender.begin(4).await;
    let transfer = sender.rig.stores.transfers.take_over(id_of(&path)).await.unwrap();
    let body = stream::iter([Ok(Bytes::from_static(b"0123"))]).boxed();
    let stop = tokio::sync::watch::channel(false).1;
    receive(&sender.rig.stores, &sender.rig.clock(), transfer, Source::new(body, 4, stop), None).await.unwrap();
    // Nobody asked for it to be put together. The next start does.
    sender.rig.run();
    assert_eq!(sender.rig.until(asset, "uploaded").await.stored.unwrap().sha256, sha256(b"0123"));
    sender.rig.stop();
}

#[tokio::test]
async fn a_change_of_what_is_said_of_an_asset_does_not_stop_its_upload() {
    let sender = Sender::running().await;
    let (path, asset) = sender.begin(4).await;
    let edit = Edit { title: Some("Another".into()), ..Edit::default() };
    let change = Change {
        asset,
        expect: None,
        step: Move::Edit(edit),
        fence: None,
        enqueue: None,
        now: sender.rig.state.clock.wall(),
    };
    sender.rig.stores.assets.advance(&change).await.unwrap();
    assert_eq!(sender.patch(&path, 0, b"0123").await.status(), 204);
    assert_eq!(sender.rig.until(asset, "uploaded").await.title, "Another");
    sender.rig.stop();
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
