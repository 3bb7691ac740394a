//! `cargo xtask up`: from a fresh clone to a playing video.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::run::{Done, cargo, read, root, run};
use crate::tools::{CC, FFMPEG, need, web};

/// How long `rend up` may take until it answers.
const READY_WITHIN: Duration = Duration::from_secs(60);

/// Builds, starts, uploads a sample, prints where to look, and waits for Ctrl-C.
pub(crate) fn up(install: bool, once: bool, data_dir: &Path) -> Done {
    need(&[CC, FFMPEG], install)?;
    if let Err(why) = web(install) {
        println!("hls.js is left out ({why}); the player will use the browser's own HLS and say so");
    }
    run(cargo().args(["build", "--release", "-p", "rend"]))?;
    let rend = target().join("release/rend");
    let mut running = Running::start(&rend, data_dir, &[])?;
    let sample = sample(data_dir)?;
    let title = ["--title", "Sample: colour bars", "--policy", "public"];
    let mut upload = Command::new(&rend);
    upload
        .args(["upload", "--wait", "--json"])
        .args(title)
        .arg(&sample)
        .env("REND_API_BASE", &running.api)
        .env("REND_API_KEY", &running.key);
    println!("\nuploading a sample clip …");
    let asset: Value = read(&mut upload)
        .and_then(|text| serde_json::from_str(&text).ok())
        .ok_or("the sample could not be uploaded; the lines above say why")?;
    let watch = asset["playback_url"].as_str().ok_or("the answer to the upload names no player page")?;
    println!(
        "\n  Rend is up.\n\n  player      {watch}\n  dashboard   {api}/dashboard#key={key}\n  API         {api}/v1/assets\n  metrics     {private}/metrics\n  data        {data}\n\n  Ctrl-C stops it.\n",
        api = running.api,
        private = running.api_private,
        key = running.key,
        data = data_dir.display(),
    );
    if once {
        return running.stop();
    }
    // Ctrl-C reaches the child as well, which stops cleanly; this only waits for it.
    let status = running.child.wait().map_err(|e| e.to_string())?;
    if status.success() { Ok(()) } else { Err(format!("rend up ended with {status}")) }
}

/// The browser tests, against a Rend of their own on free ports.
pub(crate) fn browser_tests() -> Done {
    run(cargo().args(["build", "-p", "rend"]))?;
    let data_dir = std::env::temp_dir().join(format!("rend-browser-{}", std::process::id()));
    // Few words of its own: the last lines are to be the test runner's.
    let vars = [("REND_PLAYBACK_TOKEN_TTL_SECS", "10"), ("REND_LOG", "warn")];
    let mut running = Running::start(&target().join("debug/rend"), &data_dir, &vars)?;
    let (good, clip) = (sample(&data_dir)?, encoded_sample(&data_dir)?);
    let mut node = Command::new("npm");
    node.current_dir(root().join("services/web"))
        .args(["run", "test:real"])
        .env("REND_API_BASE", &running.api)
        .env("REND_API_KEY", &running.key)
        .env("REND_TEST_CLIP", &clip)
        .env("REND_TEST_CLIP_GOOD", &good)
        .env("REND_BIN", target().join("debug/rend"));
    let tested = run(&mut node);
    let stopped = running.stop();
    let _ = fs::remove_dir_all(&data_dir);
    tested.and(stopped)
}

/// A `rend up` of ours, killed when it is dropped.
pub(crate) struct Running {
    child: Child,
    pub(crate) api: String,
    api_private: String,
    pub(crate) key: String,
}

impl Running {
    /// Starts `rend up` over `data_dir` and waits until it answers; with `vars` it takes any free ports.
    ///
    /// # Errors
    ///
    /// It ended, or did not answer in time.
    pub(crate) fn start(rend: &Path, data_dir: &Path, vars: &[(&str, &str)]) -> Result<Self, String> {
        let status_file = data_dir.join("up.json");
        let _ = fs::remove_file(&status_file);
        // When this process is killed and cannot stop its child, the kernel does: nothing is left behind on the ports.
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "TERM"]).arg(rend);
        command.arg("up").arg("--data-dir").arg(data_dir).envs(vars.iter().copied());
        if vars.is_empty() {
            println!("\n$ {} up --data-dir {}", rend.display(), data_dir.display());
        } else {
            command.arg("--any-port");
        }
        let mut child = command.spawn().map_err(|e| format!("`{}` could not be started: {e}", rend.display()))?;
        let began = Instant::now();
        loop {
            if let Some(status) = child.try_wait().map_err(|e| e.to_string())? {
                return Err(format!("rend up ended with {status}; the lines above say why"));
            }
            if let Some(up) = fs::read(&status_file).ok().and_then(|text| serde_json::from_slice::<Value>(&text).ok()) {
                let field = |name: &str| {
                    up[name].as_str().map(str::to_owned).ok_or_else(|| format!("{name} is missing in up.json"))
                };
                let key = fs::read_to_string(data_dir.join("api-key"))
                    .map_err(|e| format!("the API key can not be read: {e}"))?;
                return Ok(Self {
                    child,
                    api: field("api")?,
                    api_private: field("api_private")?,
                    key: key.trim().to_owned(),
                });
            }
            if began.elapsed() > READY_WITHIN {
                let _ = child.kill();
                return Err(format!("rend up did not answer within {} s", READY_WITHIN.as_secs()));
            }
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// Asks it to stop and waits until it has.
    ///
    /// # Errors
    ///
    /// It ended with another status than 0.
    pub(crate) fn stop(&mut self) -> Done {
        read(Command::new("kill").args(["-TERM", &self.child.id().to_string()]))
            .ok_or("rend up could not be signalled")?;
        let status = self.child.wait().map_err(|e| e.to_string())?;
        if status.success() { Ok(()) } else { Err(format!("rend up ended with {status} when it was asked to stop")) }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
    }
}

/// Where cargo builds.
pub(crate) fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// A clip of our own making: twelve seconds of moving colour bars with a tone, which plays as it is.
pub(crate) fn sample(data_dir: &Path) -> Result<PathBuf, String> {
    make(data_dir, "sample", &["libx264", "-preset", "veryfast", "-pix_fmt", "yuv420p", "-g", "60"])
}

/// The same in a codec that has to be encoded anew.
fn encoded_sample(data_dir: &Path) -> Result<PathBuf, String> {
    make(data_dir, "sample-mpeg4", &["mpeg4", "-q:v", "4"])
}

fn make(data_dir: &Path, name: &str, codec: &[&str]) -> Result<PathBuf, String> {
    let clip = data_dir.join(name).with_extension("mp4");
    if clip.is_file() {
        return Ok(clip);
    }
    let part = clip.with_extension("part.mp4");
    let mut ffmpeg = Command::new("ffmpeg");
    ffmpeg.args(["-nostdin", "-v", "error", "-y"]);
    ffmpeg.args(["-f", "lavfi", "-i", "testsrc2=size=1280x720:rate=30:duration=12"]);
    ffmpeg.args(["-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000:duration=12"]);
    ffmpeg.arg("-c:v").args(codec).args(["-c:a", "aac", "-b:a", "96k", "-movflags", "+faststart"]);
    run(ffmpeg.arg(&part))?;
    fs::rename(&part, &clip).map_err(|e| e.to_string())?;
    Ok(clip)
}
