//! The real program, killed in the middle of its work.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use futures::StreamExt;
use rend_core::artifact::ObjectKey;
use rend_core::time::Timestamp;
use rend_storage::fs::FsObjects;
use rend_storage::objects::{ObjectStore, Put};

use crate::rig::{ASSET, INTERNAL, SECRET, cookie, noise, request};

struct Edge {
    child: Child,
    public: SocketAddr,
    private: SocketAddr,
}

impl Edge {
    fn command(dir: &Path, public: SocketAddr, private: SocketAddr) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_rend-edge"));
        command
            .env_clear()
            .env("REND_EDGE_CACHE_DIR", dir.join("cache"))
            .env("REND_EDGE_TELEMETRY_SPOOL_DIR", dir.join("spool"))
            .env("REND_OBJECT_STORE_DIR", dir.join("objects"))
            .env("REND_EDGE_INTERNAL_TOKEN", INTERNAL)
            .env("REND_INTERNAL_TELEMETRY_TOKEN", "a telemetry token for tests only, long")
            .env("REND_PLAYBACK_SIGNING_KEY_ID", "local-dev-playback-key")
            .env("REND_PLAYBACK_SIGNING_SECRET", SECRET)
            .env("REND_CONTROL_PLANE_URL", "http://127.0.0.1:9")
            .env("REND_EDGE_CACHE_MIN_FREE_BYTES", "0")
            .env("REND_EDGE_BIND_ADDR", public.to_string())
            .env("REND_EDGE_PRIVATE_BIND_ADDR", private.to_string())
            .stderr(Stdio::null());
        command
    }

    async fn start(dir: &Path) -> Self {
        // Ports that were free a moment ago.
        let free = || std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let (public, private) = (free(), free());
        let child = Self::command(dir, public, private).spawn().unwrap();
        while tokio::net::TcpStream::connect(private).await.is_err() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Self { child, public, private }
    }

    async fn get(&self, path: &str) -> crate::rig::Answer {
        request(self.public, "GET", &format!("/v/{ASSET}/{path}"), &[("cookie", &cookie(ASSET))], "").await
    }
}

impl Drop for Edge {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn segment(index: usize) -> String {
    format!("hls/720p/segment_{index:05}.m4s")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_edge_serves_nothing_half_and_nothing_purged() {
    let dir = tempfile::tempdir().unwrap();
    let objects = FsObjects::open(dir.path().join("objects")).unwrap();
    let bodies: Vec<_> = (0..12).map(|index| noise(700_000 + index)).collect();
    for (index, body) in bodies.iter().enumerate() {
        let key = ObjectKey::artifact(ASSET.parse().unwrap(), segment(index).parse().unwrap());
        let put =
            Put { content_type: "video/mp4".into(), len: None, sha256: None, now: Timestamp::from_secs(1_800_000_000) };
        objects.put(&key, put, futures::stream::iter([Ok(body.clone())]).boxed()).await.unwrap();
    }
    for round in 0..5_u64 {
        let edge = Edge::start(dir.path()).await;
        let load = async {
            for (index, body) in bodies.iter().enumerate() {
                let answer = edge.get(&segment(index)).await;
                assert!(answer.status == 200 && answer.whole && answer.body == *body, "round {round}, {index}");
            }
        };
        let _ = tokio::time::timeout(Duration::from_millis(5 + 15 * round), load).await;
        drop(edge);
    }
    let edge = Edge::start(dir.path()).await;
    for (index, body) in bodies.iter().enumerate() {
        let answer = edge.get(&segment(index)).await;
        assert!(answer.whole && answer.body == *body, "{index}");
    }
    let bearer = format!("Bearer {INTERNAL}");
    let order = format!(r#"{{"asset_id":"{ASSET}"}}"#);
    let answer = request(edge.private, "POST", "/internal/purge", &[("authorization", &bearer)], &order).await;
    assert_eq!(answer.json()["purged"], 12);
    drop(edge);
    let edge = Edge::start(dir.path()).await;
    assert_eq!(edge.get(&segment(0)).await.header("x-rend-cache"), "MISS", "a purge that was answered holds");
}

#[test]
fn a_port_in_use_is_told_in_one_line_with_its_variable() {
    let dir = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let at = taken.local_addr().unwrap();
    let output = Edge::command(dir.path(), at, ([127, 0, 0, 1], 0).into()).stderr(Stdio::piped()).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success());
    assert!(said.starts_with(&format!("rend-edge: REND_EDGE_BIND_ADDR={at}: the port is in use")), "{said}");
    assert_eq!(said.trim_end().lines().count(), 1, "{said}");
}

#[test]
fn a_missing_secret_is_told_by_its_variable() {
    let dir = tempfile::tempdir().unwrap();
    let zero = ([127, 0, 0, 1], 0).into();
    let mut command = Edge::command(dir.path(), zero, zero);
    let output = command.env_remove("REND_PLAYBACK_SIGNING_SECRET").stderr(Stdio::piped()).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && said.contains("REND_PLAYBACK_SIGNING_SECRET"), "{said}");
}
