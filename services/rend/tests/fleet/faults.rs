//! What was acknowledged comes true, whatever fails in between.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::fleet::{Fleet, Second, pause};

#[test]
#[ignore = "needs PostgreSQL: cargo xtask test starts one"]
fn an_acknowledged_upload_is_ready_in_the_end_though_the_database_comes_and_goes() {
    let folder = tempfile::tempdir().unwrap();
    let fleet = Fleet::start(folder.path(), &Second::default());
    let clip = clip(folder.path());
    let mut acknowledged = Vec::new();
    for round in 0..3_u32 {
        acknowledged.push(upload(&fleet, &clip));
        // At once, then a little later: before the job is claimed, and in the middle of it.
        (0..round * 8).for_each(|_| pause());
        if round % 2 == 0 {
            fleet.database.cut()
        } else {
            fleet.database.freeze()
        }
        (0..60).for_each(|_| pause());
        fleet.database.mend();
        fleet.database.thaw();
    }
    for id in &acknowledged {
        ready(&fleet, id);
    }
}

#[test]
#[ignore = "needs PostgreSQL: cargo xtask test starts one"]
fn a_job_whose_worker_was_killed_is_finished_by_another() {
    let folder = tempfile::tempdir().unwrap();
    let mut fleet = Fleet::start(folder.path(), &Second::default());
    let clip = clip(folder.path());
    let id = upload(&fleet, &clip);
    while fleet.asset(&id).is_none_or(|asset| asset["source_state"] != "processing" && asset["source_state"] != "ready")
    {
        pause();
    }
    fleet.kill("worker");
    fleet.start_worker();
    ready(&fleet, &id);
}

#[test]
#[ignore = "needs PostgreSQL: cargo xtask test starts one"]
fn what_plays_goes_on_playing_while_the_database_and_the_control_plane_are_away() {
    let folder = tempfile::tempdir().unwrap();
    let mut fleet = Fleet::start(folder.path(), &Second::default());
    let id = upload(&fleet, &clip(folder.path()));
    ready(&fleet, &id);
    // A viewer opens the page and gets a cookie; after that, edges are on their own.
    let jar = folder.path().join("cookies").display().to_string();
    let opened = curl(&["-c", &jar, &format!("{}/api/player/{id}", fleet.api())]);
    let bootstrap: Value = serde_json::from_slice(&opened.stdout).unwrap();
    let playlist = bootstrap["playback_url"].as_str().unwrap();
    fleet.database.cut();
    fleet.kill("api");
    fleet.kill("worker");
    for _ in 0..40 {
        let played = curl(&["-b", &jar, "-o", "/dev/null", "-w", "%{http_code}", playlist]);
        assert_eq!(String::from_utf8_lossy(&played.stdout), "200", "{}", fleet.logs());
        pause();
    }
}

fn curl(args: &[&str]) -> std::process::Output {
    Command::new("curl").arg("-s").args(args).output().expect("curl asks in place of a browser")
}

/// Uploads, and answers the id once it was acknowledged.
fn upload(fleet: &Fleet, clip: &Path) -> String {
    let output = fleet.rend(&["upload", clip.to_str().unwrap(), "--policy", "public", "--json"]);
    assert!(output.status.success(), "{}\n{}", String::from_utf8_lossy(&output.stderr), fleet.logs());
    let asset: Value = serde_json::from_slice(&output.stdout).unwrap();
    asset["id"].as_str().unwrap().to_owned()
}

/// Waits until the asset plays whole.
fn ready(fleet: &Fleet, id: &str) {
    let mut last = None;
    for _ in 0..2400 {
        last = fleet.asset(id);
        let state = last.as_ref().map_or("", |asset| asset["playable_state"].as_str().unwrap());
        match state {
            "hls_ready" => return,
            "failed" => panic!("{last:?}\n{}", fleet.logs()),
            _ => pause(),
        }
    }
    panic!("{last:?}\n{}", fleet.logs());
}

/// A clip of four seconds with moving bars and a tone.
fn clip(folder: &Path) -> PathBuf {
    let path = folder.join("clip.mp4");
    let mut ffmpeg = Command::new("ffmpeg");
    ffmpeg.args(["-nostdin", "-v", "error", "-y", "-f", "lavfi", "-i", "testsrc2=size=640x360:rate=30:duration=4"]);
    ffmpeg.args(["-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000:duration=4"]);
    ffmpeg.args(["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-g", "60", "-c:a", "aac"]);
    assert!(ffmpeg.arg(&path).status().expect("`cargo xtask test` installs ffmpeg").success());
    path
}
