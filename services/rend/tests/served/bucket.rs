//! Videos whose every byte lies in a bucket.

use std::path::{Path, PathBuf};
use std::process::Command;

use rend_storage::objects::ObjectStore;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

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

/// A clip of more than one part: a short film, and much behind it that a player passes over.
fn large_clip(folder: &Path) -> PathBuf {
    let clip = folder.join("large.mp4");
    let film = "-nostdin -v error -y -f lavfi -i testsrc2=s=320x180:r=24:d=2 -c:v libx264 -preset ultrafast -pix_fmt yuv420p \
                -movflags +faststart";
    let status = Command::new("ffmpeg").args(film.split_whitespace()).arg(&clip).status();
    assert!(status.expect("these tests need ffmpeg").success());
    let mut bytes = std::fs::read(&clip).unwrap();
    let free: u32 = 17 << 20;
    bytes.extend(free.to_be_bytes());
    bytes.extend(b"free");
    bytes.resize(bytes.len() + free as usize - 8, 7);
    std::fs::write(&clip, bytes).unwrap();
    clip
}

fn digest_of(clip: &Path) -> String {
    Sha256::digest(std::fs::read(clip).unwrap()).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
#[ignore = "needs S3 and ClickHouse: cargo xtask test starts them"]
fn parts_go_straight_to_the_bucket_and_become_a_film_that_plays() {
    let folder = tempfile::tempdir().unwrap();
    let fleet = Fleet::start(folder.path());
    let clip = large_clip(folder.path());
    let output = fleet.rend(&["upload", "--direct", "--wait", "--json", &clip.display().to_string()]);
    let asset: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|_| panic!("no asset: {}", String::from_utf8_lossy(&output.stderr)));
    assert_eq!(asset["playable_state"], "hls_ready", "{asset}");
    assert_eq!(asset["sha256"], digest_of(&clip), "the digest is that of the bytes, though none passed the API");
}

#[test]
#[ignore = "needs S3 and ClickHouse: cargo xtask test starts them"]
fn parts_in_the_bucket_outlast_a_restart_of_the_api() {
    let folder = tempfile::tempdir().unwrap();
    let mut fleet = Fleet::start(folder.path());
    let clip = large_clip(folder.path());
    let bytes = std::fs::read(&clip).unwrap();
    let (base, key) = (fleet.var("REND_API_BASE"), fleet.var("REND_API_KEY"));
    let ask = |path: String, body: Value| {
        // A client keeps connections that end with the runtime they were made in.
        let request = reqwest::Client::new().post(format!("{base}{path}")).bearer_auth(&key).json(&body);
        block_on(async {
            let answer = request.send().await.unwrap();
            let status = answer.status();
            let said: Value = answer.json().await.unwrap();
            assert!(status.is_success(), "{status} {said}");
            said
        })
    };
    let upload = ask("/v1/uploads".into(), json!({ "bytes": bytes.len(), "policy": "public" }));
    let path = format!("/v1/uploads/{}", upload["id"].as_str().unwrap());
    let part_bytes = usize::try_from(upload["part_bytes"].as_u64().unwrap()).unwrap();
    let mut listed = Vec::new();
    for (part, number) in bytes.chunks(part_bytes).zip(1_u32..) {
        let signed = ask(format!("{path}/parts"), json!({ "numbers": [number] }));
        let url = signed["parts"][0]["url"].as_str().unwrap().to_owned();
        assert!(url.starts_with(&fleet.objects.endpoint), "the part goes to the storage itself");
        assert!(!url.contains(&fleet.objects.secret_key));
        let put =
            |bytes: Vec<u8>| block_on(async { reqwest::Client::new().put(&url).body(bytes).send().await.unwrap() });
        // More than was signed for is not taken.
        assert!(!put([part, b"more"].concat()).status().is_success());
        let answer = put(part.to_vec());
        assert!(answer.status().is_success(), "{}", answer.status());
        listed.push(json!({ "number": number, "etag": answer.headers()["etag"].to_str().unwrap() }));
        if number == 1 {
            fleet.restart_api(folder.path());
        }
    }
    fleet.restart_api(folder.path());
    let whole = json!({ "parts": listed, "size": bytes.len(), "sha256": digest_of(&clip) });
    let asset = ask(format!("{path}/complete"), whole.clone());
    assert_eq!(ask(format!("{path}/complete"), whole)["id"], asset["id"], "twice is once");
    assert_eq!(asset["id"], upload["asset_id"]);
}
