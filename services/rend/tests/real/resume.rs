//! Uploads in pieces while the server is killed: the same command goes on, and what is stored is the file.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

use rend_core::prng::Prng;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::common::{REND, Up, pause};

/// Deaths of the server.
const KILLS: u64 = 10;
/// Pauses in which the parts of the last upload must go. A job that died with its server is taken up once its lease is over,
/// and then reads every byte again, on a machine that may be busy.
const PAUSES_MAX: u32 = 3_000;
/// Bytes of the file: several parts, and one that is not full.
const FILE_BYTES: usize = 150_000_000;

#[test]
#[expect(clippy::disallowed_methods, reason = "a seed that differs from run to run, and is printed")]
fn ten_kills_in_the_middle_of_uploads_leave_each_file_as_it_was() {
    let seed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().subsec_nanos();
    println!("seed {seed}");
    let mut prng = Prng::seeded(seed.into());
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let file = some_bytes(folder.path(), "film.bin", &mut prng);
    let digest = sha256(&file);
    let mut up = Up::start(&data, &[]);
    let mut kills = 0;
    let mut round = 0;
    while kills < KILLS {
        round += 1;
        // A client that lives on through every death of its server, and one that is killed with it and started again.
        let title = format!("film {round}");
        let patient = begin(&data, &file, &title);
        let mut mortal = begin(&data, &file, &format!("other {round}"));
        for _ in 0..2 {
            for _ in 0..prng.below(16) {
                pause();
            }
            up.kill();
            kills += 1;
            // One that has come to its end would upload the file a second time.
            let is_done = mortal.try_wait().unwrap().is_some();
            if !is_done {
                let _ = mortal.kill();
                let _ = mortal.wait();
            }
            up = Up::start(&data, &[]);
            if !is_done {
                mortal = begin(&data, &file, &format!("other {round}"));
            }
        }
        for client in [patient, mortal] {
            let output = client.wait_with_output().unwrap();
            // Noise is no video, so the command may end with what the worker says of it; what counts is what was stored.
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            let asset: Value =
                serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("round {round}: {said}"));
            assert_eq!(asset["sha256"], digest, "round {round}: {asset}");
            assert_eq!(asset["bytes"], FILE_BYTES as u64);
        }
        let assets = up.assets();
        let named = |title: &str| assets.iter().filter(|asset| asset["title"] == title).collect::<Vec<_>>();
        assert_eq!(named(&title).len(), 1, "one asset an upload");
        for asset in named(&format!("other {round}")) {
            assert!(asset["sha256"] == digest || asset["source_state"] == "uploading", "round {round}: {asset}");
        }
    }
    assert_eq!(fs::read_dir(data.join("uploads")).unwrap().count(), 0, "nothing is remembered of what ended");
    // Parts go once their whole is there; a killed server goes on with that, too.
    let parts = data.join("objects/objects/uploads");
    for _ in 0..PAUSES_MAX {
        if !parts.exists() {
            break;
        }
        pause();
    }
    assert!(!parts.exists(), "left behind: {:?}", left(&parts));
    assert!(up.stop().success());
}

/// Every file and empty folder below `folder`.
fn left(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return vec![folder.to_owned()] };
    let below: Vec<_> = entries.flat_map(|entry| left(&entry.unwrap().path())).collect();
    if below.is_empty() { vec![folder.to_owned()] } else { below }
}

#[test]
fn a_file_that_changes_while_it_is_uploaded_is_not_taken_for_one() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let file = some_bytes(folder.path(), "film.bin", &mut Prng::seeded(1));
    let up = Up::start(&data, &[]);
    let client = begin(&data, &file, "film");
    for _ in 0..400 {
        if !up.assets().is_empty() {
            break;
        }
        pause();
    }
    up.kill();
    fs::write(&file, b"another file").unwrap();
    let up = Up::start(&data, &[]);
    let output = client.wait_with_output().unwrap();
    // The last byte may have left before the change; then the file is the one it was.
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.stdout.is_empty() || said.contains("changed while it was uploaded"), "{said}");
    assert!(up.stop().success());
}

#[test]
fn a_video_that_may_not_be_fetched_is_refused_in_a_sentence() {
    let folder = tempfile::tempdir().unwrap();
    let up = Up::start(&folder.path().join("data"), &[]);
    for url in ["http://127.0.0.1:1/film.mp4", "https://[::1]/film.mp4", "https://user:secret@example.com/film.mp4"] {
        let output = up.rend(&["upload", url]);
        assert!(!output.status.success());
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(said.contains("source_refused") && !said.contains("secret@"), "{said}");
    }
    let log = fs::read_to_string(up.data.with_extension("log")).unwrap();
    assert!(!log.contains("film.mp4"), "no URL is logged: {log}");
    assert!(up.stop().success());
}

/// `rend upload`, under way.
fn begin(data: &Path, file: &Path, title: &str) -> Child {
    let mut command = Command::new(REND);
    command.arg("upload").arg(file).args(["--json", "--resumable", "--title", title]).env("REND_DATA_DIR", data);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

fn some_bytes(folder: &Path, name: &str, prng: &mut Prng) -> PathBuf {
    let mut bytes = vec![0; FILE_BYTES];
    prng.fill(&mut bytes);
    let path = folder.join(name);
    fs::write(&path, bytes).unwrap();
    path
}

fn sha256(file: &Path) -> String {
    Sha256::digest(fs::read(file).unwrap()).iter().map(|byte| format!("{byte:02x}")).collect()
}
