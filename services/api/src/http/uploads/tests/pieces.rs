//! Pieces that come, break off, do not fit or come twice.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use futures::{StreamExt, stream};
use rend_core::artifact::ObjectKey;
use rend_core::asset::{Edit, Move};
use rend_core::job::JobKind;
use rend_core::upload::transfer::PART_BYTES_MAX;
use rend_storage::assets::Change;
use sha2::Digest;

use super::{PIECE, Sender, header, id_of, named, refused, sha256};
use crate::error::{ApiError, UploadRefusal};
use crate::http::uploads::writers::Writers;
use crate::ingest::rig::bytes_of;
use crate::ingest::source::{Source, receive};

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
    assert_eq!(sender.rig.until(asset, "uploaded").await.stored.unwrap().sha256, super::sha256(b"0123456789"));
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
