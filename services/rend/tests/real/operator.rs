//! What is playing stops when an operator says so, and plays again when the operator gives it back.

use std::process::Command;

use serde_json::Value;

use crate::common::{Up, good_clip, pause};

/// The status and the body at `url`.
fn get(url: &str) -> (u16, String) {
    let asked = Command::new("curl").args(["-s", "-w", "\n%{http_code}", url]).output().unwrap();
    let text = String::from_utf8_lossy(&asked.stdout).into_owned();
    let (body, status) = text.rsplit_once('\n').unwrap();
    (status.parse().unwrap(), body.to_owned())
}

/// Looks until `done`, for at most half a minute.
fn wait(what: &str, mut done: impl FnMut() -> bool) {
    for _ in 0..600 {
        if done() {
            return;
        }
        pause();
    }
    panic!("{what}");
}

#[test]
fn a_playing_asset_stops_on_the_edge_when_it_is_suspended_and_plays_again_when_it_is_restored() {
    let folder = tempfile::tempdir().unwrap();
    let up = Up::start(&folder.path().join("data"), &[]);
    let clip = good_clip(folder.path(), 6);
    let asset: Value = serde_json::from_str(&up.rend_ok(&[
        "upload",
        clip.to_str().unwrap(),
        "--policy",
        "public",
        "--wait",
        "--json",
    ]))
    .unwrap();
    let id = asset["id"].as_str().unwrap();
    let player = format!("{}/api/player/{id}?transport=path", up.at("api"));
    let begin = || {
        let (status, body) = get(&player);
        (status, serde_json::from_str::<Value>(&body).unwrap())
    };
    let (_, begun) = begin();
    let playing = begun["manifest_url"].as_str().unwrap().to_owned();
    assert_eq!(get(&playing).0, 200);

    let order = |action: &str, reason: &str| {
        up.rend_ok(&["operator", action, "--asset", id, "--by", "ada", "--reason", reason]);
    };
    order("suspend", "a court's order");
    let (status, refused) = begin();
    assert_eq!((status, refused["code"].as_str()), (403, Some("suspended")));
    wait("the edge goes on serving what was suspended", || get(&playing).0 != 200);
    assert!([401, 403].contains(&get(&playing).0), "{}", get(&playing).0);

    order("restore", "it was lifted");
    // A token from the very second of the suspension is not believed; the next one is.
    wait("what was restored does not play", || {
        let (status, begun) = begin();
        assert_eq!(status, 200, "{begun}");
        get(begun["manifest_url"].as_str().unwrap()).0 == 200
    });
    assert_ne!(get(&playing).0, 200, "what was handed out before stays ended");

    let log = up.rend_ok(&["operator", "log"]);
    let lines: Vec<_> = log.lines().collect();
    assert_eq!(lines.len(), 2, "{log}");
    assert!(lines[0].contains("suspend") && lines[0].ends_with("ada: a court's order"), "{log}");
    // Without the operator's token the private listener takes no order.
    let refused = Command::new(crate::common::REND)
        .args([
            "operator",
            "suspend",
            "--asset",
            id,
            "--by",
            "eve",
            "--reason",
            "x",
            "--control",
            &up.at("api_private"),
        ])
        .env("REND_OPERATOR_TOKEN", "not-the-operators-token-of-this-folder")
        .output()
        .unwrap();
    assert!(!refused.status.success());
    assert!(up.stop().success());
}
