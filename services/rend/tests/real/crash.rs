//! `kill -9` at random moments: what was acknowledged is there, what was begun is finished.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::common::{REND, Up, clip, good_clip, pause};
use rend_core::artifact::ArtifactPath;
use rend_core::prng::Prng;

/// Deaths of the process.
const KILLS: u64 = 20;

#[test]
#[expect(clippy::disallowed_methods, reason = "a seed that differs from run to run, and is printed")]
fn twenty_kills_lose_no_acknowledged_upload_and_every_asset_ends_ready() {
    let seed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().subsec_nanos();
    println!("seed {seed}");
    let mut prng = Prng::seeded(seed.into());
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let place = folder.path();
    let clips = [clip(place, 2), clip(place, 5), clip(place, 9), good_clip(place, 9)];
    let mut acknowledged = BTreeSet::new();
    for round in 0..KILLS {
        let up = Up::start(&data, &[]);
        // Uploads run while the process dies: those that printed an id were acknowledged.
        let uploads: Vec<_> = (0..1 + prng.below(2))
            .map(|_| {
                let clip = &clips[usize::try_from(prng.below(clips.len() as u64)).unwrap()];
                let mut command = Command::new(REND);
                command.arg("upload").arg(clip).env("REND_DATA_DIR", &data);
                command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap()
            })
            .collect();
        let played = play_something(&up, &acknowledged);
        let asked = download_something(&up, &acknowledged, round);
        for _ in 0..prng.below(40) {
            pause();
        }
        up.kill();
        for upload in uploads {
            let output = upload.wait_with_output().unwrap();
            if output.status.success() {
                acknowledged.insert(String::from_utf8(output.stdout).unwrap().lines().next().unwrap().to_owned());
            }
        }
        for mut child in played.into_iter().chain(asked) {
            let _ = child.kill();
            let _ = child.wait();
        }
        no_half_named_file(&data.join("objects"), round);
    }
    assert!(!acknowledged.is_empty(), "some upload was acknowledged");
    let up = Up::start(&data, &[]);
    let mut waiting = acknowledged.clone();
    for _ in 0..6000 {
        waiting.retain(|id| {
            let asset = up.asset(id);
            assert_ne!(asset["playable_state"], "failed", "{asset}");
            asset["playable_state"] != "hls_ready" || asset["source_state"] != "ready"
        });
        if waiting.is_empty() {
            break;
        }
        pause();
    }
    assert!(waiting.is_empty(), "{} of {} assets did not end ready", waiting.len(), acknowledged.len());
    let last = acknowledged.last().unwrap();
    up.rend_ok(&["download", last]);
    for id in &acknowledged {
        // What was asked for before some death is made after it.
        let is_asked = up.asset(id)["jobs"].as_array().unwrap().iter().any(|job| job["kind"] == "download");
        if is_asked {
            up.rend_ok(&["download", id]);
        }
    }
    for asset in up.assets() {
        let id = asset["id"].as_str().unwrap().to_owned();
        assert!(acknowledged.contains(&id) || asset["source_state"] != "processing", "{asset}");
    }
    // The bytes that edges serve afterwards are the published ones, on what was there all along and on what is new.
    let first = acknowledged.first().unwrap();
    let gate = up.rend(&["gate", "--json", "--asset", first]);
    assert!(gate.status.success(), "{}", String::from_utf8_lossy(&gate.stdout));
    no_orphan(&data);
    assert!(up.stop().success());
}

/// A client that plays while the process dies, if there is anything to play.
fn play_something(up: &Up, acknowledged: &BTreeSet<String>) -> Option<std::process::Child> {
    let ready = acknowledged.iter().find(|id| up.asset(id)["playable_state"] == "hls_ready")?;
    let page = format!("{}/api/player/{ready}?transport=path", up.at("api"));
    let script = "import json,sys,urllib.request as u\n\
                  m=json.load(u.urlopen(sys.argv[1]))['manifest_url']\n\
                  while True:\n\
                  \x20t=u.urlopen(m).read().decode()\n\
                  \x20for l in [l for l in t.split('\\n') if l and l[0]!='#']:\n\
                  \x20\x20v=m.rsplit('/',1)[0]+'/'+l\n\
                  \x20\x20for s in [s for s in u.urlopen(v).read().decode().split('\\n') if s and s[0]!='#']:\n\
                  \x20\x20\x20u.urlopen(v.rsplit('/',1)[0]+'/'+s).read()\n";
    let mut python = Command::new("python3");
    python.args(["-c", script, &page]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    Some(python.spawn().unwrap())
}

/// A client that has a file made while the process dies, if there is anything to make it of.
fn download_something(up: &Up, acknowledged: &BTreeSet<String>, round: u64) -> Option<std::process::Child> {
    let place = usize::try_from(round).unwrap() % acknowledged.len().max(1);
    let ready = acknowledged.iter().nth(place).filter(|id| up.asset(id)["playable_state"] == "hls_ready")?;
    let mut command = Command::new(REND);
    command.args(["download", ready]).env("REND_DATA_DIR", &up.data);
    Some(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
}

/// Every file in the object store has a name that says whole: nothing temporary lies where readers look.
fn no_half_named_file(objects: &Path, round: u64) {
    let mut folders = vec![objects.join("objects")];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(&folder) else { continue };
        for entry in entries {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() {
                folders.push(path);
            } else {
                assert!(!name.contains("tmp") && !name.contains("part"), "round {round}: {}", path.display());
            }
        }
    }
    // The grammar is what decides who may be read; this only shows that the test looks at the right place.
    assert!("hls/master.m3u8".parse::<ArtifactPath>().is_ok());
}

/// No encoder outlives the worker that started it.
fn no_orphan(data: &Path) {
    let scratch = data.join("scratch").display().to_string();
    for _ in 0..100 {
        let listed = Command::new("ps").args(["-eo", "args"]).output().unwrap();
        let text = String::from_utf8_lossy(&listed.stdout).into_owned();
        if !text.lines().any(|line| line.contains("ffmpeg") && line.contains(&scratch)) {
            return;
        }
        pause();
    }
    panic!("an encoder was left behind");
}
