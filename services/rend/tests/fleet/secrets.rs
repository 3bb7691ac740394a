//! Nothing secret, no address and no place of a viewer stands in anything that is kept or shown.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{IpAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};

use reqwest::{Client, ClientBuilder, Method};
use serde_json::{Value, json};

use crate::engines::given;
use crate::faults::{make_clip, ready};
use crate::fleet::{DATABASE_PASSWORD, EDGE_TOKEN, Fleet, SECRET, TELEMETRY_TOKEN, pause};

#[test]
#[ignore = "needs real servers: cargo xtask served starts them"]
fn no_secret_no_address_and_no_coordinate_is_kept_or_shown_anywhere() {
    let folder = tempfile::tempdir().unwrap();
    // The most talkative, and with a network before it that says where viewers are.
    let vars = [("REND_LOG", "debug"), ("REND_PLAYER_GEO_HEADERS", "vercel"), ("REND_WEBHOOK_ALLOW_LOOPBACK", "true")];
    let fleet = Fleet::alone(folder.path(), &vars);
    let mut needles = Needles::of(&fleet);
    let receiver = Receiver::start();
    let endpoint = webhook(&fleet, &receiver, &mut needles);
    let clip = make_clip(folder.path(), 4, &["libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-g", "60"]);
    let uploaded = fleet.rend(&["upload", clip.to_str().unwrap(), "--policy", "signed", "--json"]);
    let asset: Value = serde_json::from_slice(&uploaded.stdout).unwrap();
    let id = asset["id"].as_str().unwrap().to_owned();
    ready(&fleet, &id);

    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(journey(&fleet, &id, &mut needles));
    // A try that fails says so in a log, and the next one arrives.
    receiver.expect(3);
    let tested = fleet.rend(&["webhook", "test", &endpoint]);
    assert!(tested.status.success(), "{}", String::from_utf8_lossy(&tested.stderr));
    let (_, gate) = fleet.gate();
    needles.expect_none("the gate's report", gate.to_string().as_bytes());

    // What is told later lies on disk meanwhile: nobody takes it while the ingest is away.
    fleet.ways.cut("api-a");
    fleet.ways.cut("api-b");
    runtime.block_on(watch(&fleet, &id, &needles.cookies.clone()));
    let mut spooled = 0;
    for _ in 0..100 {
        spooled = ["ash-1", "ams-1"]
            .map(|edge| files(&fleet.folder().join(edge).join("spool")))
            .iter()
            .flatten()
            .map(|(_, bytes)| bytes.len())
            .sum();
        if spooled > 500 {
            break;
        }
        pause();
    }
    assert!(spooled > 500, "there is a spool to look at");

    let mut looked = 0;
    for (path, bytes) in files(fleet.folder()) {
        let name = path.strip_prefix(fleet.folder()).unwrap().to_string_lossy().into_owned();
        // What tools are told on purpose, for its owner only; what was uploaded; and what was made of it.
        let kept_apart = name == "stack.env" || name.ends_with(".mp4") || name.contains("/cache/");
        if kept_apart || name.starts_with("tmp/") {
            continue;
        }
        needles.expect_none(&name, &bytes);
        looked += 1;
    }
    assert!(looked > 6, "logs, spools and reports are looked at");
    fleet.ways.mend("api-a");
    fleet.ways.mend("api-b");

    let pages = runtime.block_on(pages(&fleet, &id));
    let rows = [rows_of_postgres(&fleet), runtime.block_on(rows_of_clickhouse(&fleet))];
    for (name, text) in pages.iter().chain(rows.iter().flatten()) {
        needles.expect_none(name, text.as_bytes());
    }

    // The same look finds what is there: names of assets are no secret, and they stand in all of these.
    let named = Needles { texts: vec![("the asset".into(), id.clone())], ..Needles::default() };
    let finds = |text: &str| named.found(text.as_bytes()).is_some();
    assert!(finds(&fleet.logs()), "logs name what they speak of");
    let telling = pages.iter().chain(rows.iter().flatten()).filter(|(_, text)| finds(text)).count();
    assert!(telling >= 3, "events and rows name what they speak of");
}

#[test]
fn a_secret_in_a_log_is_found_whatever_stands_around_it() {
    let mut needles = Needles::default();
    needles.texts.push(("the edge token".into(), EDGE_TOKEN.into()));
    needles.texts.push(("an address".into(), "127.0.0.77".into()));
    let check = |text: &[u8], expect: Option<&str>| assert_eq!(needles.found(text).as_deref(), expect);
    check(b"{\"level\":\"INFO\",\"edge\":\"ash-1\"}", None);
    check(format!("bearer={EDGE_TOKEN};").as_bytes(), Some("the edge token"));
    check(b"\x00\x01peer 127.0.0.77:3\xff", Some("an address"));
    check(b"from 127.0.0.7 to 127.0.0.1", None);
    check(b"GET /v/x/~rt1.AbCdEfGhIjKl/hls/master.m3u8", Some("a playback token"));
    check(b"tokens look like rt1.<...>, and rt1. alone is none", None);
    check(b"cookie: rend_pb=AAAA", Some("a playback cookie"));
    check(b"set-cookie: theme=dark; Path=/", None);
}

/// Where messages of a webhook arrive, in a thread of its own. The first is refused.
struct Receiver {
    /// With a word in it that its owner would not want to see elsewhere.
    url: String,
    heads: Arc<Mutex<Vec<String>>>,
}

impl Receiver {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/{RECEIVER_WORD}", listener.local_addr().unwrap());
        let heads = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&heads);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                // One that dies in the middle is no message.
                let Some(head) = receive(&mut stream) else { continue };
                let mut kept = kept.lock().unwrap();
                kept.push(head);
                let status = if kept.len() == 1 { "503 Busy" } else { "200 OK" };
                let _ = write!(stream, "HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
            }
        });
        Self { url, heads }
    }

    /// Waits until so many messages have arrived.
    fn expect(&self, count: usize) {
        for _ in 0..1200 {
            if self.heads.lock().unwrap().len() >= count {
                return;
            }
            pause();
        }
        panic!("{} of {count} messages arrived", self.heads.lock().unwrap().len());
    }
}

/// The head of one message, once its body was read.
fn receive(stream: &mut TcpStream) -> Option<String> {
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head).ok()? == 0 {
            return None;
        }
    }
    let length = head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
    let mut body = vec![0; length?];
    reader.read_exact(&mut body).ok()?;
    Some(head)
}

/// Has events told to `receiver`; its address, and what they are signed with, is for its owner alone.
fn webhook(fleet: &Fleet, receiver: &Receiver, needles: &mut Needles) -> String {
    let made = fleet.rend(&["webhook", "create", &receiver.url]);
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let made = String::from_utf8(made.stdout).unwrap();
    let (endpoint, secret) = (made.lines().next().unwrap(), made.lines().nth(1).unwrap().trim());
    let bytes = secret.strip_prefix("whsec_").unwrap_or_else(|| panic!("no secret: {made}"));
    needles.texts.push(("the secret of a webhook".to_owned(), bytes.to_owned()));
    needles.texts.push(("the address of a webhook".to_owned(), RECEIVER_WORD.to_owned()));
    endpoint.to_owned()
}

/// Stands in the address of the receiver.
const RECEIVER_WORD: &str = "hooks-of-an-owner-7c41";

/// What must not be found, each with what it is called.
#[derive(Default)]
struct Needles {
    texts: Vec<(String, String)>,
    /// What a viewer sends, for the way there and for the edges.
    cookies: Vec<(String, String)>,
}

impl Needles {
    fn of(fleet: &Fleet) -> Self {
        let mut needles = Self::default();
        for (name, secret) in [
            ("the signing secret", SECRET.to_owned()),
            ("the edge token", EDGE_TOKEN.to_owned()),
            ("the telemetry token", TELEMETRY_TOKEN.to_owned()),
            ("the API key", fleet.key.clone()),
            ("the S3 access key", given("REND_TEST_S3_ACCESS_KEY")),
            ("the S3 secret", given("REND_TEST_S3_SECRET_KEY")),
            ("the password of ClickHouse", given("REND_TEST_CLICKHOUSE_PASSWORD")),
            ("the password of the database", DATABASE_PASSWORD.to_owned()),
        ] {
            needles.texts.push((name.to_owned(), secret));
        }
        for viewer in VIEWERS {
            needles.texts.push(("a viewer's address".to_owned(), viewer.to_owned()));
        }
        for place in [LATITUDE, LONGITUDE, FORWARDED] {
            needles.texts.push(("a viewer's place".to_owned(), place.to_owned()));
        }
        needles
    }

    /// What stands in `bytes` and must not.
    fn found(&self, bytes: &[u8]) -> Option<String> {
        let holds = |needle: &[u8]| bytes.windows(needle.len()).position(|window| window == needle);
        if let Some((name, _)) = self.texts.iter().find(|(_, text)| holds(text.as_bytes()).is_some()) {
            return Some(name.clone());
        }
        let token = |at: usize| {
            let rest = bytes.get(at + 4..at + 12);
            rest.is_some_and(|rest| rest.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-')))
        };
        if bytes.windows(4).enumerate().any(|(at, window)| window == b"rt1." && token(at)) {
            return Some("a playback token".to_owned());
        }
        let cookie = ["rend_pb=", "rend_session="].iter().any(|name| holds(name.as_bytes()).is_some());
        cookie.then(|| "a playback cookie".to_owned())
    }

    #[track_caller]
    fn expect_none(&self, place: &str, bytes: &[u8]) {
        if let Some(found) = self.found(bytes) {
            panic!("{found} stands in {place}");
        }
    }
}

/// Addresses of this machine that nobody but one viewer has.
const VIEWERS: [&str; 3] = ["127.0.0.77", "127.0.0.78", "127.0.0.79"];
/// Where the network before the API says that they are.
const LATITUDE: &str = "48.858370";
const LONGITUDE: &str = "2.294481";
/// And from where.
const FORWARDED: &str = "203.0.113.77";

fn viewer(which: usize) -> ClientBuilder {
    let address: IpAddr = VIEWERS[which].parse().unwrap();
    Client::builder().local_address(address).redirect(reqwest::redirect::Policy::none())
}

/// Opens, plays in all three ways, plays again after a revocation, asks for analytics.
async fn journey(fleet: &Fleet, id: &str, needles: &mut Needles) {
    let owner = Client::builder().build().unwrap();
    let api =
        |method: Method, path: &str| owner.request(method, format!("{}{path}", fleet.apis[0])).bearer_auth(&fleet.key);
    let handed: Value =
        api(Method::GET, &format!("/v1/assets/{id}/playback")).send().await.unwrap().json().await.unwrap();
    let bootstrap_token = handed["bootstrap_token"].as_str().unwrap().to_owned();
    let page = format!("{}/api/player/{id}?token={bootstrap_token}", fleet.apis[0]);
    let open = |url: String| {
        let request = viewer(0).build().unwrap().get(url);
        let request = request.header("x-vercel-ip-latitude", LATITUDE).header("x-vercel-ip-longitude", LONGITUDE);
        request.header("x-vercel-forwarded-for", FORWARDED).header("x-vercel-ip-country", "FR")
    };
    let opened = open(page.clone()).send().await.unwrap();
    assert_eq!(opened.status(), 200);
    let lines = opened.headers().get_all("set-cookie").iter().map(|line| line.to_str().unwrap().to_owned());
    for pair in lines.map(|line| line.split(';').next().unwrap().to_owned()) {
        let (name, value) = pair.split_once('=').unwrap();
        needles.cookies.push((name.to_owned(), value.to_owned()));
    }
    let by_path: Value = open(format!("{page}&transport=path")).send().await.unwrap().json().await.unwrap();
    let by_path = by_path["playback_url"].as_str().unwrap().to_owned();
    let path_token = by_path.split('~').nth(1).unwrap().split('/').next().unwrap().to_owned();
    for token in [&bootstrap_token, &path_token] {
        needles.texts.push(("a playback token of the journey".to_owned(), token.clone()));
    }
    for (name, value) in needles.cookies.clone() {
        needles.texts.push((format!("the cookie {name}"), value));
    }

    watch(fleet, id, &needles.cookies).await;
    for door in &fleet.doors {
        let path = viewer(1).build().unwrap().get(format!("http://{door}/v/{id}/~{path_token}/hls/master.m3u8"));
        assert_eq!(path.send().await.unwrap().status(), 200);
        let query = viewer(2).build().unwrap().get(format!("http://{door}/v/{id}/hls/master.m3u8?token={path_token}"));
        assert_eq!(query.send().await.unwrap().status(), 200);
        let refused = viewer(2).build().unwrap().get(format!("http://{door}/v/{id}/~{path_token}x/hls/master.m3u8"));
        assert_eq!(refused.send().await.unwrap().status(), 401);
    }
    // A path that is wrong in every way is refused, and not repeated in a log.
    for path in [format!("/v1/nothing?token={bootstrap_token}"), format!("/v/{id}/~{path_token}/../x")] {
        for base in fleet.apis.iter().chain(&fleet.edges) {
            let _ = viewer(1).build().unwrap().get(format!("{base}{path}")).send().await.unwrap();
        }
    }
    let order = json!({ "asset": id, "issued_before": "2020-01-01T00:00:00Z" });
    let revoked = api(Method::POST, "/v1/revocations").json(&order).send().await.unwrap();
    assert!(revoked.status().is_success(), "{}", revoked.status());
    let asked = api(Method::GET, &format!("/v1/assets/{id}/analytics/playback?window_seconds=3600"));
    assert_eq!(asked.send().await.unwrap().status(), 200);
}

/// One viewer with the cookies, at both edges.
async fn watch(fleet: &Fleet, id: &str, cookies: &[(String, String)]) {
    let line: Vec<_> = cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let client = viewer(0).build().unwrap();
    for door in &fleet.doors {
        let played = client.get(format!("http://{door}/v/{id}/hls/master.m3u8")).header("cookie", line.join("; "));
        assert_eq!(played.send().await.unwrap().status(), 200);
    }
}

/// What the processes show: metrics, events, the fleet.
async fn pages(fleet: &Fleet, id: &str) -> Vec<(String, String)> {
    let client = Client::builder().build().unwrap();
    let mut pages = Vec::new();
    for base in &fleet.private {
        let answer = client.get(format!("{base}/metrics")).bearer_auth(EDGE_TOKEN).send().await.unwrap();
        assert_eq!(answer.status(), 200, "the metrics of {base}");
        let text = answer.text().await.unwrap();
        assert!(text.contains("rend_"), "{text}");
        pages.push((format!("the metrics of {base}"), text));
    }
    for path in [format!("/v1/assets/{id}/events"), "/v1/fleet".to_owned(), format!("/v1/assets/{id}")] {
        let answer = client.get(format!("{}{path}", fleet.apis[0])).bearer_auth(&fleet.key).send().await.unwrap();
        assert_eq!(answer.status(), 200);
        pages.push((path, answer.text().await.unwrap()));
    }
    pages
}

/// Every table of the database as text, but for the one that is there to hold what messages are signed with and where they
/// go.
fn rows_of_postgres(fleet: &Fleet) -> Vec<(String, String)> {
    let ask = |sql: &str| {
        let asked = Command::new("psql").args([fleet.database(), "-X", "-q", "-A", "-t", "-c", sql]).output().unwrap();
        assert!(asked.status.success(), "{}", String::from_utf8_lossy(&asked.stderr));
        String::from_utf8(asked.stdout).unwrap()
    };
    let tables = ask("SELECT tablename FROM pg_tables WHERE schemaname = 'public'");
    let tables: Vec<_> = tables.lines().filter(|table| !table.is_empty()).collect();
    assert!(tables.contains(&"events") && tables.contains(&"credentials"), "{tables:?}");
    assert!(
        tables.contains(&KEEPS_SECRETS)
            && ask(&format!("SELECT document FROM {KEEPS_SECRETS}")).contains(RECEIVER_WORD)
    );
    let others = tables.iter().filter(|table| **table != KEEPS_SECRETS);
    others.map(|table| (format!("the table {table}"), ask(&format!("SELECT * FROM {table}")))).collect()
}

/// The table of the endpoints of webhooks.
const KEEPS_SECRETS: &str = "webhook_endpoints";

async fn rows_of_clickhouse(fleet: &Fleet) -> Vec<(String, String)> {
    let mut rows = Vec::new();
    for table in ["edge_events", "edge_event_ids", "ingest_batches"] {
        let text = fleet.served(&format!("SELECT * FROM {table} FORMAT JSONEachRow")).await;
        assert!(!text.is_empty(), "{table} has rows");
        rows.push((format!("the table {table}"), text));
    }
    rows
}

/// Every file below `folder`, with its bytes.
fn files(folder: &Path) -> Vec<(std::path::PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if let Ok(bytes) = fs::read(&path) {
                found.push((path, bytes));
            }
        }
    }
    found
}
