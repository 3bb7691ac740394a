//! What people get wrong: each fault has its own words, a status, and disturbs nothing else.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;

use crate::common::{REND, Up, clip, pause, rend};

/// Uploads `bytes` as `name` and answers what `rend upload --wait` says on its error stream.
#[track_caller]
fn refused(up: &Up, folder: &Path, name: &str, bytes: &[u8], code: &str) {
    let path = folder.join(name);
    fs::write(&path, bytes).unwrap();
    let output = up.rend(&["upload", "--wait", path.to_str().unwrap()]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success(), "{name} was taken");
    assert!(said.contains(code), "{name}: {said}");
    assert_eq!(said.trim_end().lines().count(), 1, "{name}: {said}");
}

#[test]
fn files_that_are_no_videos_are_told_apart_and_a_good_one_still_plays() {
    let folder = tempfile::tempdir().unwrap();
    let up = Up::start(&folder.path().join("data"), &[("REND_MAX_UPLOAD_BYTES", "2000000")]);
    let good = clip(folder.path(), 2);
    let whole = fs::read(&good).unwrap();
    refused(&up, folder.path(), "text.mp4", b"this is a letter, not a film", "not_a_video");
    refused(
        &up,
        folder.path(),
        "picture.mp4",
        &[&[0xff, 0xd8, 0xff, 0xe0, 0, 16][..], &[0; 2000]].concat(),
        "not_a_video",
    );
    refused(&up, folder.path(), "zero.mp4", b"", "empty_upload");
    refused(&up, folder.path(), "large.mp4", &vec![0; 2_000_001], "too_large");
    // The index of this file stands at its end, so half of it cannot be read.
    refused(&up, folder.path(), "half.mp4", &whole[..whole.len() / 2], "unreadable");
    let failed = up.assets().into_iter().filter(|asset| asset["source_state"] == "failed").count();
    assert_eq!(failed, 3, "the three that were stored say that they failed; the others left nothing");
    up.rend_ok(&["upload", "--wait", good.to_str().unwrap()]);
}

#[test]
fn a_body_shorter_than_its_length_leaves_an_asset_that_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let up = Up::start(&folder.path().join("data"), &[]);
    let key = fs::read_to_string(up.data.join("api-key")).unwrap();
    let at = up.at("api").replace("http://", "");
    let mut stream = TcpStream::connect(&at).unwrap();
    let head = format!(
        "POST /v1/videos HTTP/1.1\r\nHost: {at}\r\nAuthorization: Bearer {}\r\nContent-Length: 1000\r\n\r\n",
        key.trim()
    );
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(&[7; 500]).unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    drop(stream);
    let mut state = String::new();
    for _ in 0..200 {
        let assets = up.assets();
        if let Some(asset) = assets.first().filter(|asset| asset["source_state"] == "failed") {
            state = asset["failure"]["code"].as_str().unwrap().to_owned();
            break;
        }
        pause();
    }
    assert_eq!(state, "upload_incomplete");
}

#[test]
fn a_port_in_use_a_folder_in_use_and_a_newer_folder_are_said_in_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let up = Up::start(&folder.path().join("data"), &[]);
    let one_line = |output: std::process::Output, part: &str| {
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success(), "{said}");
        assert!(said.contains(part), "{said}");
        assert_eq!(said.trim_end().lines().count(), 1, "{said}");
    };
    let again = Command::new(REND).args(["up", "--any-port", "--data-dir"]).arg(&up.data).output().unwrap();
    one_line(again, "another `rend up` uses the data folder");
    let taken = up.at("api").replace("http://", "");
    let other = folder.path().join("other");
    let clash =
        Command::new(REND).args(["up", "--data-dir"]).arg(&other).env("REND_API_BIND_ADDR", taken).output().unwrap();
    one_line(clash, "REND_API_BIND_ADDR");
    let newer = folder.path().join("newer");
    fs::create_dir_all(&newer).unwrap();
    fs::write(newer.join("VERSION"), "2\n").unwrap();
    let refused = Command::new(REND).args(["up", "--any-port", "--data-dir"]).arg(&newer).output().unwrap();
    one_line(refused, "was written by a newer Rend");
    assert_eq!(
        fs::read_dir(&newer).unwrap().filter(|e| e.as_ref().unwrap().file_name() != "LOCK").count(),
        1,
        "nothing was touched"
    );
}

#[test]
fn a_missing_encoder_is_named_with_its_fix() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let up =
        Up::start(&data, &[("REND_FFMPEG_PATH", "/nonexistent/ffmpeg"), ("REND_FFPROBE_PATH", "/nonexistent/ffprobe")]);
    let said = fs::read_to_string(data.with_extension("log")).unwrap();
    assert!(said.contains("apt-get install ffmpeg"), "{said}");
    // What can not be encoded yet waits, and the owner sees why.
    let clip = clip(folder.path(), 2);
    let id = up.rend_ok(&["upload", clip.to_str().unwrap()]).lines().next().unwrap().to_owned();
    let mut code = String::new();
    for _ in 0..200 {
        let asset = up.asset(&id);
        if let Some(found) = asset["jobs"][0]["error"]["code"].as_str() {
            code = found.to_owned();
            break;
        }
        pause();
    }
    assert_eq!(code, "encoder_missing");
    drop(up);
    // Nothing was lost: with an encoder the same asset becomes ready.
    let up = Up::start(&data, &[]);
    let mut ready = false;
    for _ in 0..1200 {
        ready = up.asset(&id)["playable_state"] == "hls_ready";
        if ready {
            break;
        }
        pause();
    }
    assert!(ready, "{}", up.asset(&id));
}

#[test]
fn commands_without_a_server_or_with_a_wrong_word_say_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let said = |args: &[&str]| {
        let output = rend(folder.path(), args);
        assert!(!output.status.success(), "{args:?}");
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    assert!(said(&["ls"]).contains("REND_API_KEY"));
    assert!(said(&["ls", "--api", "ftp://x"]).contains("http"));
    fs::write(folder.path().join("api-key"), "rend_live_00").unwrap();
    assert!(said(&["ls", "--api", "http://127.0.0.1:9"]).contains("rend up"));
    assert!(said(&["show", "../keys", "--api", "http://127.0.0.1:9"]).contains("rend ls"));
    assert!(said(&["upload", "nothing.mp4", "--api", "http://127.0.0.1:9"]).contains("nothing.mp4"));
}

#[test]
fn the_environment_is_judged_whole() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("edge.env");
    fs::write(
        &file,
        "REND_ENV=production\nREND_PLAYBACK_SIGNING_SECRET=changeme\nREND_EDGE_BASE_URL=http://localhost:4100\n",
    )
    .unwrap();
    let output = rend(folder.path(), &["env", "check", "--role", "edge", "--file", file.to_str().unwrap()]);
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    for name in ["REND_PLAYBACK_SIGNING_SECRET", "REND_EDGE_BASE_URL", "REND_EDGE_INTERNAL_TOKEN"] {
        assert!(said.contains(name), "{said}");
    }
    assert!(!said.contains("changeme\n"), "no secret is repeated");
    assert!(rend(folder.path(), &["env", "docs"]).stdout.starts_with(b"|"));
}
