//! What was deleted does not come back, though the origin still has it.

use std::sync::Arc;
use std::time::Duration;

use crate::control::{Control, towards};
use crate::rig::{ASSET, OTHER, Origin, Rig};

const SEGMENT: &str = "hls/720p/segment_00003.m4s";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deleted_asset_is_not_fetched_again_while_its_objects_last_nor_after_a_restart() {
    let rig = Rig::start().await;
    rig.origin.put(ASSET, SEGMENT, "media").await;
    assert_eq!(rig.get(SEGMENT).await.status, 200);
    assert_eq!(rig.purge(&format!(r#"{{"asset_id":"{ASSET}","seq":1}}"#)).await.status, 200);
    assert_eq!(rig.get(SEGMENT).await.status, 200, "a purge alone only forgets");
    assert_eq!(rig.purge(&format!(r#"{{"asset_id":"{ASSET}","seq":2,"gone":true}}"#)).await.status, 200);
    assert_eq!(rig.get(SEGMENT).await.status, 404);
    let warm = format!(r#"{{"asset_id":"{ASSET}","artifacts":[{{"path":"{SEGMENT}","priority":0}}]}}"#);
    let warmed = rig.internal("POST", "/internal/warm", &warm).await;
    assert_eq!(warmed.json()["results"][0]["status"], "failed", "{}", warmed.json());
    // Another purge of it does not make it one that plays.
    assert_eq!(rig.purge(&format!(r#"{{"asset_id":"{ASSET}","seq":3}}"#)).await.status, 200);
    assert_eq!(rig.get(SEGMENT).await.status, 404);
    let (origin, dir) = rig.stop().await;
    let rig = Rig::with(origin, dir, |_| {}).await;
    assert_eq!(rig.get(SEGMENT).await.status, 404);
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edge_that_was_away_reads_in_the_log_what_was_deleted() {
    let control = Control::default();
    control.purges.lock().unwrap().extend([OTHER.to_owned(), ASSET.to_owned()]);
    control.gone.lock().unwrap().insert(ASSET.to_owned());
    let (at, _trigger) = control.start().await;
    let origin = Origin::default();
    origin.put(ASSET, SEGMENT, "media").await;
    let rig = Rig::with(origin, Arc::new(tempfile::tempdir().unwrap()), towards(at)).await;
    while rig.internal("GET", "/internal/cache", "").await.json()["purge_seen"] != 2 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(rig.get(SEGMENT).await.status, 404);
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_a_whole_asset_can_be_gone() {
    let rig = Rig::start().await;
    let order = format!(r#"{{"asset_id":"{ASSET}","path":"poster.jpg","gone":true}}"#);
    assert_eq!(rig.purge(&order).await.status, 422);
    rig.stop().await;
}
