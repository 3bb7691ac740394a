//! A `rend up` of a test's own: on free ports, in a folder that goes away.
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::Duration;

use serde_json::Value;

/// The program under test.
pub(crate) const REND: &str = env!("CARGO_BIN_EXE_rend");

/// A running `rend up`.
pub(crate) struct Up {
    pub(crate) data: PathBuf,
    pub(crate) child: Child,
    pub(crate) said: Value,
}

impl Up {
    /// Starts one on `data` and waits until it answers.
    pub(crate) fn start(data: &Path, vars: &[(&str, &str)]) -> Self {
        let _ = fs::remove_file(data.join("up.json"));
        let mut command = Command::new(REND);
        command.args(["up", "--any-port", "--data-dir"]).arg(data).envs(vars.iter().copied());
        let log = fs::OpenOptions::new().create(true).append(true).open(data.with_extension("log")).unwrap();
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().unwrap();
        for _ in 0..1200 {
            if let Some(said) = fs::read(data.join("up.json")).ok().and_then(|text| serde_json::from_slice(&text).ok())
            {
                return Self { data: data.to_path_buf(), child, said };
            }
            if let Some(status) = child.try_wait().unwrap() {
                panic!("rend up ended with {status}: {}", fs::read_to_string(data.with_extension("log")).unwrap());
            }
            pause();
        }
        panic!("rend up did not answer");
    }

    /// The value under `name` in up.json.
    pub(crate) fn at(&self, name: &str) -> String {
        self.said[name].as_str().unwrap().to_owned()
    }

    /// `rend` with `args`, as a person on this machine types it.
    pub(crate) fn rend(&self, args: &[&str]) -> Output {
        rend(&self.data, args)
    }

    /// What `rend` prints when it must succeed.
    pub(crate) fn rend_ok(&self, args: &[&str]) -> String {
        let output = self.rend(args);
        assert!(output.status.success(), "rend {args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Every asset, newest first.
    pub(crate) fn assets(&self) -> Vec<Value> {
        self.rend_ok(&["ls", "--json"]).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// One asset.
    pub(crate) fn asset(&self, id: &str) -> Value {
        serde_json::from_str(&self.rend_ok(&["show", id, "--json"])).unwrap()
    }

    /// SIGKILL, as a power cut does it.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// SIGTERM, and the status it ends with.
    pub(crate) fn stop(mut self) -> std::process::ExitStatus {
        assert!(Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status().unwrap().success());
        self.child.wait().unwrap()
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// `rend` on the data folder `data`.
pub(crate) fn rend(data: &Path, args: &[&str]) -> Output {
    Command::new(REND).args(args).env("REND_DATA_DIR", data).stdin(Stdio::null()).output().unwrap()
}

/// A short wait between two looks.
#[expect(clippy::disallowed_methods, reason = "the processes under test run on the real clock")]
pub(crate) fn pause() {
    thread::sleep(Duration::from_millis(50));
}

/// A clip of `secs` seconds with moving bars and a tone, in a codec that has to be encoded anew.
pub(crate) fn clip(folder: &Path, secs: u32) -> PathBuf {
    make(folder, secs, "mpeg4", &["-q:v", "4"])
}

/// The same in H.264 and AAC, which plays as it is.
pub(crate) fn good_clip(folder: &Path, secs: u32) -> PathBuf {
    make(folder, secs, "libx264", &["-preset", "ultrafast", "-pix_fmt", "yuv420p", "-g", "60"])
}

fn make(folder: &Path, secs: u32, codec: &str, options: &[&str]) -> PathBuf {
    let path = folder.join(format!("clip-{codec}-{secs}.mp4"));
    let duration = format!("duration={secs}");
    let pictures = format!("testsrc2=size=640x360:rate=30:{duration}");
    let sound = format!("sine=frequency=440:sample_rate=48000:{duration}");
    let made = Command::new("ffmpeg")
        .args(["-nostdin", "-v", "error", "-y", "-f", "lavfi", "-i", &pictures, "-f", "lavfi", "-i", &sound])
        .args(["-c:v", codec])
        .args(options)
        .args(["-c:a", "aac"])
        .arg(&path)
        .status()
        .expect("ffmpeg is needed for this test; `cargo xtask test` installs it");
    assert!(made.success());
    path
}
