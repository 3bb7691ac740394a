//! `rend hls check` of what an edge serves, to those who may play it and to those who may not.

use std::fs;
use std::path::Path;
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
    told_whole(&up, &public, &folder.path().join("export"));
    fails(&[&player(&signed)], "--token-file");

    // A cookie as a browser gets it, beside the address that it is for.
    let begun = Command::new("curl").args(["-s", "-i", &player(&public)]).output().unwrap();
    let begun = String::from_utf8(begun.stdout).unwrap();
    let (headers, body) = begun.split_once("\r\n\r\n").unwrap();
    let mut cookies = headers.lines().filter_map(|line| line.strip_prefix("set-cookie: "));
    let set = cookies.find(|cookie| cookie.contains("rend_pb=")).unwrap();
    let cookie = folder.path().join("cookie");
    fs::write(&cookie, set.split(';').next().unwrap()).unwrap();
    let begun: Value = serde_json::from_str(body).unwrap();
    let manifest = begun["manifest_url"].as_str().unwrap();
    fails(&[manifest], "--cookie-file");
    passes(&[manifest, "--cookie-file", &cookie.display().to_string()]);
}

/// What is wrong in one place does not hide what is wrong in another: with a segment gone, another one cut short and a line
/// missing, each is named, and the command ends as with any error.
fn told_whole(up: &Up, asset: &str, export: &Path) {
    copy(&up.data.join("objects/objects/assets").join(asset).join("hls"), export);
    let place = export.display().to_string();
    let said = up.rend_ok(&["hls", "check", &place]);
    assert!(said.contains(" 0 errors"), "{said}");
    let list = list_of(export);
    let named: Vec<_> =
        fs::read_to_string(&list).unwrap().lines().filter(|l| l.ends_with(".m4s")).map(str::to_owned).collect();
    let [.., cut, gone] = named.as_slice() else { panic!("there are two segments: {named:?}") };
    fs::remove_file(list.with_file_name(gone)).unwrap();
    fs::write(list.with_file_name(cut), b"short").unwrap();
    let master = export.join("master.m3u8");
    let text = fs::read_to_string(&master).unwrap().replace("#EXT-X-INDEPENDENT-SEGMENTS\n", "");
    fs::write(&master, text).unwrap();
    let output = up.rend(&["hls", "check", &place]);
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    for (rule, what) in [("error M2 ", gone.as_str()), ("error M2 ", cut), ("error M3 ", "EXT-X-INDEPENDENT-SEGMENTS")]
    {
        assert!(said.lines().any(|line| line.starts_with(rule) && line.contains(what)), "{rule}{what}: {said}");
    }
    assert!(said.lines().last().unwrap().contains(" errors, "), "the summary: {said}");
    fs::remove_file(&list).unwrap();
    let output = up.rend(&["hls", "check", &place]);
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(
        output.status.code() == Some(1) && said.contains("error V5 master: ") && said.contains(" errors, "),
        "{said}"
    );
}

/// The first media playlist that segments are listed in.
fn list_of(export: &Path) -> std::path::PathBuf {
    let master = fs::read_to_string(export.join("master.m3u8")).unwrap();
    export.join(master.lines().find(|line| !line.starts_with('#') && line.ends_with(".m3u8")).unwrap())
}

/// Objects as they are kept, as the files that they are: a key is a folder, and its object the file in it.
fn copy(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        if entry.file_name().to_string_lossy().starts_with('@') {
            fs::copy(entry.path(), to).unwrap();
            return;
        }
        fs::create_dir_all(to).unwrap();
        copy(&entry.path(), &to.join(entry.file_name()));
    }
}
