//! Parts that are put one by one, and clips of what became of them.

use std::fs;
use std::process::Command;

use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::common::{Up, good_clip};

/// The length of what plays at `url`, in seconds, as a player would find it.
fn length_of(url: &str) -> f64 {
    let entries = ["-v", "error", "-show_entries", "format=duration", "-of", "csv=p=0", url];
    let output = Command::new("ffprobe").args(entries).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().parse().unwrap()
}

#[test]
fn a_file_in_parts_becomes_a_film_and_a_clip_of_it_plays() {
    rend_shell::install_tls();
    let folder = tempfile::tempdir().unwrap();
    let up = Up::start(&folder.path().join("data"), &[]);
    let clip = good_clip(folder.path(), 12);
    // Behind the film lies much that a player passes over, so that it is more than one part.
    let mut bytes = fs::read(&clip).unwrap();
    let free: u32 = 9 << 20;
    bytes.extend(free.to_be_bytes());
    bytes.extend(b"free");
    bytes.resize(bytes.len() + free as usize - 8, 7);
    fs::write(&clip, &bytes).unwrap();
    let said = up.rend_ok(&["upload", "--direct", "--wait", "--json", clip.to_str().unwrap()]);
    let asset: Value = serde_json::from_str(&said).unwrap();
    let digest: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(
        (asset["playable_state"].as_str(), asset["sha256"].as_str()),
        (Some("hls_ready"), Some(digest.as_str()))
    );

    let key = fs::read_to_string(up.data.join("api-key")).unwrap();
    let ask = |query: &str| {
        let url = format!("{}/v1/assets/{}/playback{query}", up.at("api"), asset["id"].as_str().unwrap());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let request = reqwest::Client::new().get(url).bearer_auth(key.trim());
            request.send().await.unwrap().json::<Value>().await.unwrap()
        })
    };
    let clip = ask("?start=4.5&end=7");
    let actual = &clip["clip"]["actual"];
    let wanted = (actual["end_ms"].as_f64().unwrap() - actual["start_ms"].as_f64().unwrap()) / 1000.0;
    assert!(actual["start_ms"].as_u64().unwrap() <= 4500 && actual["end_ms"].as_u64().unwrap() >= 7000, "{clip}");
    assert!(wanted < 11.0, "it is not the whole film: {clip}");
    let length = length_of(clip["playback_url"].as_str().unwrap());
    assert!((length - wanted).abs() < 0.1, "{length} s play where {wanted} s were said");
    let film = length_of(ask("")["playback_url"].as_str().unwrap());
    assert!((film - 12.0).abs() < 0.2, "the film is as long as it was: {film}");

    // And as one ordinary file: kept by the command, and played from its URL.
    let (id, kept) = (asset["id"].as_str().unwrap(), folder.path().join("film.mp4"));
    up.rend_ok(&["download", id, "--output", kept.to_str().unwrap()]);
    let url = up.rend_ok(&["download", id]);
    for place in [kept.to_str().unwrap(), url.trim()] {
        let length = length_of(place);
        assert!((length - 12.0).abs() < 0.2, "{length}");
    }
    let head = fs::read(&kept).unwrap();
    assert!(
        &head[4..8] == b"ftyp" && head.len() < bytes.len() - 9_000_000,
        "the film alone, without what lay behind it"
    );
    let rung = url.trim().rsplit('/').next().unwrap().trim_end_matches(".mp4").to_owned();
    up.rend_ok(&["download", id, "--rung", &rung, "--remove"]);
    let events = up.rend(&["download", id, "--rung", "999p"]);
    assert!(String::from_utf8_lossy(&events.stderr).contains(&format!("/rung: one of {rung}")), "{events:?}");
}
