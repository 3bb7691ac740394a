//! When an upload is over, and what is left of it then.

use std::time::Duration;

use bytes::Bytes;
use futures::{StreamExt, stream};
use rend_core::asset::{Move, SourceState};
use rend_core::upload::UploadState;
use rend_core::upload::sweep::SESSION_KEPT;
use rend_storage::assets::Change;

use super::{Sender, header, id_of, named, refused};
use crate::http::uploads::abandon;
use crate::http::uploads::piece::ended;
use crate::ingest::assemble_later;
use crate::ingest::source::{Source, receive};
use crate::sync::sweep::collect;

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
