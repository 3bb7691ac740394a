//! The fleet that is measured: API, two edges, and a database with many assets that are all like one that was uploaded.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rend_core::config::Vars;
use rend_shell::ProcessVars;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_postgres::NoTls;

use crate::Size;

/// What edges and the API show each other.
pub(crate) const EDGE_TOKEN: &str = "edge-token-for-benches-alone-0123456789abcdef";
/// What edges show when they tell what they served.
pub(crate) const TELEMETRY_TOKEN: &str = "telemetry-token-for-benches-0123456789abcdef";

/// The fleet.
pub(crate) struct Stand {
    children: Vec<Child>,
    folder: PathBuf,
    /// Where the API answers callers, and where edges.
    pub(crate) api: [String; 2],
    /// Where the edges answer the API.
    pub(crate) edges: [String; 2],
    pub(crate) database: String,
    pub(crate) clickhouse: String,
    pub(crate) key: String,
}

impl Stand {
    pub(crate) async fn start(size: &Size) -> Self {
        let name = format!("bench_{}", std::process::id());
        let server = given("REND_TEST_POSTGRES_URL");
        connect(&server).await.batch_execute(&format!("CREATE DATABASE {name}")).await.unwrap();
        let database = format!("{}/{name}?sslmode=disable", server.rsplit_once('/').unwrap().0);
        let folder = std::env::temp_dir().join(format!("rend-bench-fleet-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let port = || std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
        let ports: [String; 6] = [(); 6].map(|()| port());
        let [api, inner, first, first_own, other, other_own] = &ports;
        let edges = [("ash-1", "us-east", first, first_own), ("ams-1", "europe-west", other, other_own)];
        let expected = edges.map(|(id, region, at, own)| format!("{id}={region}=http://{at}=http://{own}")).join(",");
        let shared = [
            ("REND_LOG", "error".to_owned()),
            ("DATABASE_URL", database.clone()),
            ("REND_REDIS_URL", given("REND_TEST_REDIS_URL")),
            ("S3_ENDPOINT", given("REND_TEST_S3_ENDPOINT")),
            ("S3_BUCKET", given("REND_TEST_S3_BUCKET")),
            ("S3_PREFIX", format!("{name}/")),
            ("AWS_ACCESS_KEY_ID", given("REND_TEST_S3_ACCESS_KEY")),
            ("AWS_SECRET_ACCESS_KEY", given("REND_TEST_S3_SECRET_KEY")),
            ("CLICKHOUSE_URL", given("REND_TEST_CLICKHOUSE_URL")),
            ("CLICKHOUSE_DATABASE", name.clone()),
            ("CLICKHOUSE_USER", given("REND_TEST_CLICKHOUSE_USER")),
            ("CLICKHOUSE_PASSWORD", given("REND_TEST_CLICKHOUSE_PASSWORD")),
            ("REND_API_BIND_ADDR", api.clone()),
            ("REND_API_PRIVATE_BIND_ADDR", inner.clone()),
            // One caller stands for many.
            ("REND_API_RATE_LIMIT_READS_PER_MINUTE", "0".to_owned()),
            ("REND_API_RATE_LIMIT_WRITES_PER_MINUTE", "0".to_owned()),
            ("REND_SITE_BASE_URL", format!("http://{api}")),
            ("REND_PLAYBACK_BASE_URL", format!("http://{first}")),
            ("REND_CONTROL_PLANE_URL", format!("http://{inner}")),
            ("REND_EXPECTED_EDGES", expected),
            ("REND_EDGE_HEARTBEAT_INTERVAL_SECS", "2".to_owned()),
            ("REND_PLAYBACK_SIGNING_KEY_ID", "bench".to_owned()),
            ("REND_PLAYBACK_SIGNING_SECRET", "0123456789-a-secret-for-benches-alone-abcdefghijkl".to_owned()),
            ("REND_EDGE_INTERNAL_TOKEN", EDGE_TOKEN.to_owned()),
            ("REND_INTERNAL_TELEMETRY_TOKEN", TELEMETRY_TOKEN.to_owned()),
        ];
        let programs = std::env::current_exe().unwrap().ancestors().nth(2).unwrap().to_path_buf();
        let log = fs::File::create(folder.join("log")).unwrap();
        let command = |program: &str, args: &[&str]| {
            let mut command = Command::new(programs.join(program));
            command.args(args).envs(shared.iter().map(|(name, value)| (*name, value))).stdin(Stdio::null());
            command.stderr(log.try_clone().unwrap());
            command
        };
        let once = |args: &[&str]| {
            let done = command("rend-api", args).output().unwrap();
            assert!(done.status.success(), "rend-api {args:?}");
            String::from_utf8(done.stdout).unwrap().trim().to_owned()
        };
        once(&["migrate"]);
        let key = once(&["key", "bench"]);
        let mut stand = Self {
            children: Vec::new(),
            folder: folder.clone(),
            api: [api.clone(), inner.clone()],
            edges: [first_own.clone(), other_own.clone()],
            database,
            clickhouse: name,
            key,
        };
        let begin = |stand: &mut Self, mut command: Command| {
            stand.children.push(command.stdout(Stdio::null()).spawn().unwrap())
        };
        begin(&mut stand, command("rend-api", &["serve"]));
        listening(api).await;
        for (id, region, at, own) in edges {
            let mut edge = command("rend-edge", &[]);
            edge.env("REND_EDGE_ID", id).env("REND_EDGE_REGION", region);
            edge.env("REND_EDGE_BIND_ADDR", at).env("REND_EDGE_PRIVATE_BIND_ADDR", own);
            edge.env("REND_EDGE_BASE_URL", format!("http://{at}"))
                .env("REND_EDGE_PRIVATE_URL", format!("http://{own}"));
            edge.env("REND_EDGE_CACHE_DIR", folder.join(id).join("cache"));
            edge.env("REND_EDGE_TELEMETRY_SPOOL_DIR", folder.join(id).join("spool"));
            begin(&mut stand, edge);
            listening(at).await;
        }
        begin(&mut stand, command("rend-api", &["worker", "media"]));
        let model = stand.upload().await;
        // What it does while it waits would be measured as well.
        if let Some(mut worker) = stand.children.pop() {
            let _ = worker.kill();
            let _ = worker.wait();
        }
        stand.multiply(&model, size.assets).await;
        stand
    }

    /// A connection of a measurement's own.
    pub(crate) async fn connect(&self) -> tokio_postgres::Client {
        connect(&self.database).await
    }

    /// The asset of a number.
    pub(crate) fn asset(n: u64) -> String {
        format!("018f0000-0000-7000-8000-{n:012x}")
    }

    /// Uploads a clip and waits until it plays.
    async fn upload(&self) -> String {
        let clip = clip(&self.folder);
        let path = "/v1/videos?policy=public&title=Model";
        let uploaded = Http::connect(&self.api[0]).await.ask("POST", path, &self.key, &fs::read(clip).unwrap()).await;
        let asset: Value = serde_json::from_slice(&uploaded.1).unwrap();
        let id = asset["id"].as_str().unwrap_or_else(|| panic!("{asset}")).to_owned();
        for _ in 0..1200 {
            let (_, shown) =
                Http::connect(&self.api[0]).await.ask("GET", &format!("/v1/assets/{id}"), &self.key, b"").await;
            let shown: Value = serde_json::from_slice(&shown).unwrap();
            if shown["playable_state"] == "hls_ready" {
                return id;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("the clip did not become ready");
    }

    /// Makes `count` assets like the one.
    async fn multiply(&self, model: &str, count: u64) {
        let db = self.connect().await;
        let columns = db
            .query("SELECT column_name FROM information_schema.columns WHERE table_name = 'assets' ORDER BY ordinal_position", &[])
            .await
            .unwrap();
        let names: Vec<String> = columns.iter().map(|row| row.get(0)).collect();
        let values: Vec<_> = names
            .iter()
            .map(|name| match name.as_str() {
                "id" => "('018f0000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid".to_owned(),
                name => format!("a.{name}"),
            })
            .collect();
        let sql = format!(
            "INSERT INTO assets ({}) SELECT {} FROM assets a, generate_series(1, {count}) n WHERE a.id = '{model}'; \
             ANALYZE assets",
            names.join(", "),
            values.join(", ")
        );
        db.batch_execute(&sql).await.unwrap();
    }
}

impl Drop for Stand {
    fn drop(&mut self) {
        for child in &mut self.children {
            let _ = child.kill();
            let _ = child.wait();
        }
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// What the run says under `name`.
pub(crate) fn given(name: &str) -> String {
    ProcessVars.get(name).unwrap_or_else(|| panic!("{name} is not set; run `cargo xtask bench fleet`"))
}

async fn connect(url: &str) -> tokio_postgres::Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    rend_shell::spawn("postgres", async move {
        // It ends with the measurement that holds the client.
        let _ = connection.await;
    });
    client
}

async fn listening(at: &str) {
    for _ in 0..600 {
        if TcpStream::connect(at).await.is_ok() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("nothing listens on {at}");
}

fn clip(folder: &Path) -> PathBuf {
    let path = folder.join("clip.mp4");
    let mut ffmpeg = Command::new("ffmpeg");
    ffmpeg.args(["-nostdin", "-v", "error", "-y", "-f", "lavfi", "-i", "testsrc2=size=640x360:rate=30:duration=4"]);
    ffmpeg.args(["-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000:duration=4", "-c:v", "libx264"]);
    ffmpeg.args(["-preset", "ultrafast", "-pix_fmt", "yuv420p", "-g", "60", "-c:a", "aac"]).arg(&path);
    assert!(ffmpeg.status().unwrap().success());
    path
}

/// A connection that is asked one thing after the other, with as little of a client as will do.
pub(crate) struct Http {
    stream: TcpStream,
    read: Vec<u8>,
}

impl Http {
    pub(crate) async fn connect(at: &str) -> Self {
        let stream = TcpStream::connect(at).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, read: Vec::with_capacity(64 << 10) }
    }

    /// Asks, and answers the status and the body.
    pub(crate) async fn ask(&mut self, method: &str, path: &str, bearer: &str, body: &[u8]) -> (u16, Vec<u8>) {
        let mut request = format!(
            "{method} {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer {bearer}\r\n\
             content-type: {}\r\ncontent-length: {}\r\n\r\n",
            // Nothing else that is sent here is a video.
            if path.starts_with("/v1/videos") { "video/mp4" } else { "application/json" },
            body.len()
        )
        .into_bytes();
        request.extend_from_slice(body);
        self.stream.write_all(&request).await.unwrap();
        self.read.clear();
        loop {
            assert!(
                self.stream.read_buf(&mut self.read).await.unwrap() > 0,
                "{method} {path}: the connection was closed"
            );
            let Some(end) = self.read.windows(4).position(|window| window == b"\r\n\r\n") else { continue };
            let head = String::from_utf8_lossy(&self.read[..end]).to_ascii_lowercase();
            let length =
                head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse::<usize>().ok());
            let length = length.unwrap_or_else(|| panic!("{method} {path}: no length in {head}"));
            if self.read.len() >= end + 4 + length {
                let status = head.split(' ').nth(1).unwrap().parse().unwrap();
                return (status, self.read[end + 4..end + 4 + length].to_vec());
            }
        }
    }
}
