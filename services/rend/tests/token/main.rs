//! `rend token`, as people and scripts use it.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

const ASSET: &str = "018f5d3e-7c1a-7b2c-9d4e-5f60718293a4";
const SECRET: &str = "Zr8fQ0mVt3uXkYw1LhJc7sNdB2gAe5PiRo9KxTyUvMlWqHzE";
const OLD_SECRET: &str = "hT7wPq2Zs9dKfLm4XcVb8nRy6uJgAe3i5oQx1zWtHvYkEjUl";

/// `rend token` with `args`, in an environment of these keys and nothing else, with `input` to read.
fn token(args: &[&str], vars: &[(&str, &str)], input: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rend"));
    command.arg("token").args(args).env_clear().envs(vars.iter().copied());
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.current_dir(std::env::temp_dir()).spawn().unwrap();
    // A program that refuses early does not read.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

fn keys() -> Vec<(&'static str, &'static str)> {
    vec![
        ("REND_PLAYBACK_SIGNING_KEY_ID", "new-1"),
        ("REND_PLAYBACK_SIGNING_SECRET", SECRET),
        ("REND_PLAYBACK_VERIFY_KEYS", "old-1=hT7wPq2Zs9dKfLm4XcVb8nRy6uJgAe3i5oQx1zWtHvYkEjUl"),
    ]
}

/// What must be printed, and that no secret is.
#[track_caller]
fn said(output: &Output, status: i32) -> String {
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(status), "{out}{err}");
    for secret in [SECRET, OLD_SECRET] {
        assert!(!out.contains(secret) && !err.contains(secret), "a secret was printed");
    }
    out.into_owned()
}

fn mint(args: &[&str]) -> String {
    let args: Vec<_> = ["mint", "--asset", ASSET].iter().chain(args).copied().collect();
    said(&token(&args, &keys(), ""), 0).trim().to_owned()
}

#[test]
fn a_minted_token_is_good_where_it_was_minted_for_and_refused_elsewhere() {
    let made = mint(&["--ttl", "600", "--classes", "hls", "--network", "192.0.2.0/24"]);
    assert!(made.starts_with("rt1."));
    let verify = |more: &[&str], status| {
        let args: Vec<_> = ["verify"].iter().chain(more).copied().collect();
        said(&token(&args, &keys(), &format!("{made}\n")), status)
    };
    let near = ["--asset", ASSET, "--address", "192.0.2.7"];
    let good = verify(&near, 0);
    assert!(good.contains("playback token, key new-1"), "{good}");
    let segment = ["--asset", ASSET, "--address", "192.0.2.7", "--path", "hls/720p/segment_00001.m4s"];
    verify(&segment, 0);
    assert_eq!(verify(&["--asset", ASSET], 2), "refused: ip\n");
    let other = ["--asset", "018f5d3e-7c1a-7b2c-9d4e-5f60718293a5", "--address", "192.0.2.7"];
    assert_eq!(verify(&other, 2), "refused: asset\n");
    assert_eq!(verify(&["--asset", ASSET, "--address", "192.0.2.7", "--path", "opener.mp4"], 2), "refused: class\n");
    assert_eq!(
        verify(&["--asset", ASSET, "--address", "192.0.2.7", "--at", "2100-01-01T00:00:00Z"], 2),
        "refused: expired\n"
    );
    let json: Value = serde_json::from_str(&verify(&["--asset", ASSET, "--json"], 2)).unwrap();
    assert_eq!(json, serde_json::json!({ "verified": false, "reason": "ip" }));
}

#[test]
fn a_bootstrap_token_opens_the_master_playlist_alone() {
    let made = mint(&["--bootstrap"]);
    let verify = |path| token(&["verify", "--asset", ASSET, "--path", path], &keys(), &made);
    assert!(said(&verify("hls/master.m3u8"), 0).contains("bootstrap token"));
    assert_eq!(said(&verify("hls/720p/index.m3u8"), 2), "refused: suite\n");
}

#[test]
fn inspect_says_loudly_that_nothing_is_verified() {
    let folder = tempfile::tempdir().unwrap();
    let made = mint(&["--session", "9f3c2a7b11d04e", "--renew-until", "14400", "--countries", "US,DE"]);
    let output = token(&["inspect"], &[], &made);
    let text = said(&output, 0);
    assert!(text.starts_with("verified: no\n") && text.contains("session: 9f3c2a7b11d04e"), "{text}");
    assert!(String::from_utf8_lossy(&output.stderr).starts_with("NOT VERIFIED"));
    let file = folder.path().join("token");
    fs::write(&file, format!("  {made}\n")).unwrap();
    let json = said(&token(&["inspect", "--json", file.to_str().unwrap()], &[], ""), 0);
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&json["verified"], &json["renewal_step_secs"]), (&false.into(), &900.into()));
    assert_eq!(json["countries"], "DE US");
    // It needs no keys, and a changed token is shown like a good one: that is why it says so.
    let changed = format!("{}AAAAAA", &made[..made.len() - 6]);
    said(&token(&["inspect"], &[], &changed), 0);
    assert_eq!(said(&token(&["verify", "--asset", ASSET], &keys(), &changed), 2), "refused: bad_mac\n");
    said(&token(&["inspect"], &[], "a.b.c"), 1);
}

#[test]
fn keys_are_listed_without_their_secrets() {
    let listed = said(&token(&["keys"], &keys(), ""), 0);
    let lines: Vec<_> = listed.lines().collect();
    assert_eq!(lines.len(), 2, "{listed}");
    assert!(lines[0].contains("signs and verifies") && lines[0].ends_with("new-1"), "{listed}");
    assert!(lines[1].contains("  verifies ") && lines[1].ends_with("old-1"), "{listed}");
    let json: Value = serde_json::from_str(&said(&token(&["keys", "--json"], &keys(), ""), 0)).unwrap();
    assert_eq!((&json[1]["signs"], &json[1]["verifies"]), (&false.into(), &true.into()));
}

#[test]
fn keys_come_from_an_env_file_or_from_the_folder_of_rend_up() {
    let folder = tempfile::tempdir().unwrap();
    let text = format!("REND_PLAYBACK_SIGNING_KEY_ID=new-1\nREND_PLAYBACK_SIGNING_SECRET={SECRET}\n");
    let check = |args: &[&str], vars: &[(&str, &str)]| said(&token(args, vars, ""), 0);
    let file = folder.path().join("edge.env");
    fs::write(&file, &text).unwrap();
    assert!(check(&["keys", "--env-file", file.to_str().unwrap()], &[]).ends_with("new-1\n"));
    fs::write(folder.path().join("secrets.env"), &text).unwrap();
    assert!(check(&["keys"], &[("REND_DATA_DIR", folder.path().to_str().unwrap())]).ends_with("new-1\n"));
}

#[test]
fn what_is_wrong_is_said_in_a_line_that_holds_no_secret() {
    #[track_caller]
    fn refused(args: &[&str], vars: &[(&str, &str)], part: &str) {
        let output = token(args, vars, "");
        said(&output, 1);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(text.contains(part) && text.trim_end().lines().count() == 1, "{text}");
    }
    let nowhere = [("REND_DATA_DIR", "/nonexistent")];
    refused(&["keys"], &nowhere, "REND_PLAYBACK_SIGNING_SECRET is not set");
    refused(&["keys", "--env-file", "/nonexistent"], &[], "/nonexistent can not be read");
    let mint = |more: &[&'static str]| -> Vec<&'static str> {
        ["mint", "--asset", ASSET].iter().chain(more).copied().collect()
    };
    refused(&mint(&["--ttl", "0"]), &keys(), "the life must be");
    refused(&mint(&["--classes", "films"]), &keys(), "--classes `films`");
    refused(&mint(&["--session", "xyz"]), &keys(), "--session `xyz`");
    refused(&mint(&["--network", "192.0.2.0"]), &keys(), "--network");
    refused(&["mint", "--asset", "a/b"], &keys(), "--asset `a/b`");
    let mut weak = keys();
    weak.push(("REND_ENV", "production"));
    weak[1].1 = "changeme";
    refused(&["keys"], &weak, "REND_PLAYBACK_SIGNING_SECRET is a placeholder");
}

#[test]
fn a_token_or_a_secret_is_not_taken_from_the_command_line() {
    let made = mint(&[]);
    let output = token(&["inspect", &made], &[], "");
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(text.contains("standard input") && !text.contains(&made), "{text}");
    let help = token(&["mint", "--help"], &[], "");
    assert!(!String::from_utf8_lossy(&help.stdout).contains("secret"));
    assert!(!Path::new(&made).exists());
}
