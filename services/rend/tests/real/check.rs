//! `rend hls check` of what an edge serves, to those who may play it and to those who may not.

use std::process::Command;

use serde_json::Value;

use crate::common::{Up, good_clip};

#[test]
fn a_served_asset_is_held_against_the_rules_by_its_id_its_player_or_a_cookie() {
    let folder = tempfile::tempdir().unwrap();
    let up = Up::start(&folder.path().join("data"), &[]);
    let clip = good_clip(folder.path(), 6).display().to_string();
    let upload = |policy: &str| {
        let said = up.rend_ok(&["upload", &clip, "--policy", policy, "--wait", "--json"]);
        serde_json::from_str::<Value>(&said).unwrap()["id"].as_str().unwrap().to_owned()
    };
    let (public, signed) = (upload("public"), upload("signed"));
    let player = |id: &str| format!("{}/api/player/{id}", up.at("api"));
    let passes = |args: &[&str]| {
        let said = up.rend_ok(&[&["hls", "check"], args].concat());
        assert!(said.contains(" 0 errors"), "{args:?}: {said}");
    };
    let fails = |args: &[&str], because: &str| {
        let output = up.rend(&[&["hls", "check"], args].concat());
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && said.contains(because), "{args:?}: {said}");
        assert!(!said.contains("rt1."), "no token is shown: {said}");
    };
    passes(&[&public]);
    passes(&[&signed]);
    passes(&[&player(&public)]);
    fails(&[&player(&signed)], "--token-file");

    // A cookie as a browser gets it, beside the address that it is for.
    let begun = Command::new("curl").args(["-s", "-i", &player(&public)]).output().unwrap();
    let begun = String::from_utf8(begun.stdout).unwrap();
    let (headers, body) = begun.split_once("\r\n\r\n").unwrap();
    let mut cookies = headers.lines().filter_map(|line| line.strip_prefix("set-cookie: "));
    let set = cookies.find(|cookie| cookie.contains("rend_pb=")).unwrap();
    let cookie = folder.path().join("cookie");
    std::fs::write(&cookie, set.split(';').next().unwrap()).unwrap();
    let begun: Value = serde_json::from_str(body).unwrap();
    let manifest = begun["manifest_url"].as_str().unwrap();
    fails(&[manifest], "--cookie-file");
    passes(&[manifest, "--cookie-file", &cookie.display().to_string()]);
}
