//! Videos whose every byte lies in a bucket.

use rend_storage::objects::ObjectStore;
use serde_json::Value;

use crate::fleet::{Fleet, block_on, pause};

#[test]
#[ignore = "needs S3 and ClickHouse: cargo xtask test starts them"]
fn the_gate_passes_over_a_bucket_and_leaves_no_object() {
    let folder = tempfile::tempdir().unwrap();
    let fleet = Fleet::start(folder.path());
    // Upload, opener and ladder, bootstrap, miss and hit, purge and warm, telemetry, delete: all of it.
    let output = fleet.rend(&["gate", "--target", "configured", "--json"]);
    let report: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|_| panic!("no report: {}", String::from_utf8_lossy(&output.stderr)));
    let failed: Vec<_> = report["steps"].as_array().unwrap().iter().filter(|step| step["verdict"] == "fail").collect();
    assert!(failed.is_empty(), "{report}");
    assert!(output.status.success(), "{report}");

    // The delete that ends the gate is carried out by a job.
    let mut left = Vec::new();
    for _ in 0..600 {
        left = block_on(fleet.objects().list("", None, 1000)).unwrap();
        if left.is_empty() {
            break;
        }
        pause();
    }
    assert_eq!(left, [], "a deleted asset leaves no object");
}

#[test]
#[ignore = "needs S3 and ClickHouse: cargo xtask test starts them"]
fn the_doctor_says_what_the_server_can_do_and_what_is_wrong_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let fleet = Fleet::start(folder.path());
    let output = fleet.rend(&["doctor", "s3"]);
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{said}");
    assert!(said.contains("holds to If-Match") && !said.contains("WRONG"), "{said}");
    assert!(!said.contains(&fleet.objects.secret_key));
}
