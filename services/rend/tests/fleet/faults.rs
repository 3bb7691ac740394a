//! What was acknowledged comes true, whatever fails in between.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::fleet::{APIS, Fleet, Second, WORKER, pause};

#[test]
#[ignore = "needs real servers: cargo xtask served starts them"]
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
            fleet.ways.cut("postgres")
        } else {
            fleet.ways.freeze("postgres")
        }
        (0..60).for_each(|_| pause());
        fleet.ways.mend("postgres");
        fleet.ways.thaw("postgres");
    }
    for id in &acknowledged {
        ready(&fleet, id);
    }
}

#[test]
#[ignore = "needs real servers: cargo xtask served starts them"]
fn a_job_whose_worker_was_killed_is_finished_by_another() {
    let folder = tempfile::tempdir().unwrap();
    let mut fleet = Fleet::start(folder.path(), &Second::default());
    let clip = clip(folder.path());
    let id = upload(&fleet, &clip);
    while fleet.asset(&id).is_none_or(|asset| asset["source_state"] != "processing" && asset["source_state"] != "ready")
    {
        pause();
    }
    fleet.kill(WORKER);
    fleet.begin(WORKER);
    ready(&fleet, &id);
}

#[test]
#[ignore = "needs real servers: cargo xtask served starts them"]
fn what_plays_goes_on_playing_while_the_database_and_the_control_plane_are_away() {
    let folder = tempfile::tempdir().unwrap();
    let mut fleet = Fleet::start(folder.path(), &Second::default());
    let id = upload(&fleet, &clip(folder.path()));
    ready(&fleet, &id);
    // A viewer opens the page and gets a cookie; after that, edges are on their own.
    let jar = folder.path().join("cookies").display().to_string();
    let opened = curl(&["-c", &jar, &format!("{}/api/player/{id}", fleet.apis[0])]);
    let bootstrap: Value = serde_json::from_slice(&opened.stdout).unwrap();
    let playlist = bootstrap["playback_url"].as_str().unwrap();
    fleet.ways.cut("postgres");
    APIS.into_iter().chain([WORKER]).for_each(|name| fleet.kill(name));
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
pub(crate) fn upload(fleet: &Fleet, clip: &Path) -> String {
    let output = fleet.rend(&["upload", clip.to_str().unwrap(), "--policy", "public", "--json"]);
    assert!(output.status.success(), "{}\n{}", String::from_utf8_lossy(&output.stderr), fleet.logs());
    let asset: Value = serde_json::from_slice(&output.stdout).unwrap();
    asset["id"].as_str().unwrap().to_owned()
}

/// Waits until the asset plays whole.
pub(crate) fn ready(fleet: &Fleet, id: &str) {
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

/// A clip of four seconds that plays as it is.
fn clip(folder: &Path) -> PathBuf {
    make_clip(folder, 4, &["libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-g", "60"])
}

/// A clip of `secs` seconds with moving bars and a tone, in the codec and with the options of `video`.
pub(crate) fn make_clip(folder: &Path, secs: u32, video: &[&str]) -> PathBuf {
    let path = folder.join(format!("clip-{}-{secs}.mp4", video[0]));
    let mut ffmpeg = Command::new("ffmpeg");
    let pictures = format!("testsrc2=size=640x360:rate=30:duration={secs}");
    let sound = format!("sine=frequency=440:sample_rate=48000:duration={secs}");
    ffmpeg.args(["-nostdin", "-v", "error", "-y", "-f", "lavfi", "-i", &pictures, "-f", "lavfi", "-i", &sound]);
    ffmpeg.arg("-c:v").args(video).args(["-c:a", "aac"]);
    assert!(ffmpeg.arg(&path).status().expect("`cargo xtask served` installs ffmpeg").success());
    path
}
