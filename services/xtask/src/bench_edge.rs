//! The edge beside nginx (and Varnish, when it is installed): same files, same client, interleaved rounds.

use std::fs;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant};

/// Measures, prints a table, and answers failure only when something could not be measured.
pub(crate) fn run() -> ExitCode {
    match measure() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench edge: {error}");
            ExitCode::FAILURE
        }
    }
}

const ASSET: &str = "018f5d3e-7c1a-7b2c-9d4e-5f60718293a4";
const SECRET: &str = "Zr8fQ0mVt3uXkYw1LhJc7sNdB2gAe5PiRo9KxTyUvMlWqHzE";
const INTERNAL: &str = "an internal token for benches only, long enough";
const SEGMENT: &str = "hls/720p/segment_00003.m4s";
const PLAYLIST: &str = "hls/720p/index.m3u8";
const COLD: &str = "hls/1080p/segment_00000.m4s";
const ROUNDS: usize = 5;
const SECONDS: u32 = 4;
const CLIENTS: usize = 32;
const COLD_CLIENTS: usize = 1000;

type Failure = Box<dyn std::error::Error>;

/// A server under test: where it is, which processes are it.
struct Server {
    name: &'static str,
    at: SocketAddr,
    cookie: String,
    child: Child,
}

impl Drop for Server {
    fn drop(&mut self) {
        // nginx and Varnish end their workers on SIGTERM; SIGKILL would leave them.
        let _ = Command::new("kill").arg(self.child.id().to_string()).status();
        let _ = self.child.wait();
    }
}

struct Round {
    requests_per_sec: f64,
    requests_per_cpu_sec: f64,
    p99_ms: f64,
}

fn measure() -> Result<(), Failure> {
    for (tool, package) in [("nginx", "nginx-light"), ("wrk", "wrk")] {
        find(tool).ok_or_else(|| format!("{tool} is not installed: apt-get install {package}"))?;
    }
    let built = Command::new("cargo")
        .args(["build", "--release", "-p", "rend-edge", "--bin", "rend-edge", "--example", "bench_fixture"])
        .status()?;
    if !built.success() {
        return Err("the edge could not be built".into());
    }
    let target = std::env::var("CARGO_TARGET_DIR").unwrap_or_else(|_| "target".into());
    let release = Path::new(&target).join("release");
    let dir = std::env::temp_dir().join(format!("rend-bench-edge-{}", std::process::id()));
    fs::create_dir_all(&dir)?;
    let result = with_folder(&dir, &release);
    let _ = fs::remove_dir_all(&dir);
    result
}

fn with_folder(dir: &Path, release: &Path) -> Result<(), Failure> {
    let fixture = Command::new(release.join("examples/bench_fixture")).arg(dir).arg(SECRET).output()?;
    if !fixture.status.success() {
        return Err("the fixture could not be made".into());
    }
    let token = String::from_utf8(fixture.stdout)?.trim().to_owned();
    let (edge, private) = start_edge(dir, release, &token)?;
    let mut servers = vec![edge, start_nginx(dir)?];
    if find("varnishd").is_some() {
        let nginx = servers[1].at;
        servers.push(start_varnish(dir, nginx)?);
    }
    stampede(&servers[0], private)?;
    for path in [SEGMENT, PLAYLIST] {
        let mut bodies = Vec::new();
        for server in &servers {
            fetch(server, path)?;
            bodies.push(fetch(server, path)?);
        }
        if bodies.iter().any(|body| *body != bodies[0]) {
            return Err(format!("{path}: the servers do not send the same bytes").into());
        }
    }
    println!(
        "wrk -t1 -c{CLIENTS} -d{SECONDS}, {ROUNDS} interleaved rounds; client and servers share this machine's cores."
    );
    println!("Median of the rounds; ratios are the median over rounds of edge / peer.\n");
    println!(
        "| body | server | requests/s | MB/s | requests per CPU second | p99 ms | edge ÷ it: requests/s | per CPU second | p99 |"
    );
    println!("|---|---|---|---|---|---|---|---|---|");
    for (path, bytes, label) in [(SEGMENT, 1_048_576.0, "1 MiB segment"), (PLAYLIST, 1024.0, "1 KiB playlist")] {
        let mut rounds: Vec<Vec<Round>> = servers.iter().map(|_| Vec::new()).collect();
        for _ in 0..ROUNDS {
            for (server, rounds) in servers.iter().zip(&mut rounds) {
                rounds.push(round(server, path)?);
            }
        }
        for (server, own) in servers.iter().zip(&rounds) {
            let of = |figure: fn(&Round) -> f64| median(own.iter().map(figure).collect());
            let ratio = |figure: fn(&Round) -> f64| {
                median(rounds[0].iter().zip(own).map(|(edge, peer)| figure(edge) / figure(peer)).collect())
            };
            println!(
                "| {label} | {} | {:.0} | {:.0} | {:.0} | {:.2} | {:.2} | {:.2} | {:.2} |",
                server.name,
                of(|r| r.requests_per_sec),
                of(|r| r.requests_per_sec) * bytes / 1e6,
                of(|r| r.requests_per_cpu_sec),
                of(|r| r.p99_ms),
                ratio(|r| r.requests_per_sec),
                ratio(|r| r.requests_per_cpu_sec),
                ratio(|r| r.p99_ms),
            );
        }
    }
    Ok(())
}

fn start_edge(dir: &Path, release: &Path, token: &str) -> Result<(Server, SocketAddr), Failure> {
    let (public, private) = (free_port()?, free_port()?);
    let child = Command::new(release.join("rend-edge"))
        .env("REND_LOG", "warn")
        .env("REND_EDGE_CACHE_DIR", dir.join("cache"))
        .env("REND_EDGE_TELEMETRY_SPOOL_DIR", dir.join("spool"))
        .env("REND_OBJECT_STORE_DIR", dir.join("objects"))
        .env("REND_EDGE_INTERNAL_TOKEN", INTERNAL)
        .env("REND_INTERNAL_TELEMETRY_TOKEN", "a telemetry token for benches only, long")
        .env("REND_PLAYBACK_SIGNING_KEY_ID", "local-dev-playback-key")
        .env("REND_PLAYBACK_SIGNING_SECRET", SECRET)
        .env("REND_CONTROL_PLANE_URL", "http://127.0.0.1:9")
        .env("REND_EDGE_BIND_ADDR", public.to_string())
        .env("REND_EDGE_PRIVATE_BIND_ADDR", private.to_string())
        .spawn()?;
    let server = Server { name: "rend-edge", at: public, cookie: format!("rend_pb={token}"), child };
    wait_for(public)?;
    Ok((server, private))
}

fn start_nginx(dir: &Path) -> Result<Server, Failure> {
    let at = free_port()?;
    let home = dir.join("nginx");
    fs::create_dir_all(&home)?;
    let www = dir.join("www");
    let (home, www) = (home.display(), www.display());
    let conf = format!(
        "worker_processes 2; pid {home}/pid; error_log {home}/error.log; daemon off; user root;\n\
         events {{ worker_connections 4096; }}\n\
         http {{ access_log off; sendfile on; tcp_nopush on; tcp_nodelay on; keepalive_timeout 65; keepalive_requests 100000000;\n\
         open_file_cache max=1000 inactive=60s; types {{ application/vnd.apple.mpegurl m3u8; video/mp4 m4s; }}\n\
         client_body_temp_path {home}/a; proxy_temp_path {home}/b; fastcgi_temp_path {home}/c; uwsgi_temp_path {home}/d; scgi_temp_path {home}/e;\n\
         server {{ listen {at} reuseport backlog=1024; root {www}; location / {{ add_header Cache-Control \"max-age=3600\"; }} }} }}\n"
    );
    let file = dir.join("nginx.conf");
    fs::write(&file, conf)?;
    let child = Command::new("nginx").arg("-c").arg(&file).stderr(Stdio::null()).spawn()?;
    wait_for(at)?;
    Ok(Server { name: "nginx sendfile", at, cookie: String::new(), child })
}

fn start_varnish(dir: &Path, origin: SocketAddr) -> Result<Server, Failure> {
    let at = free_port()?;
    let vcl = dir.join("default.vcl");
    let text = format!(
        "vcl 4.1;\nbackend default {{ .host = \"127.0.0.1\"; .port = \"{}\"; }}\nsub vcl_recv {{ unset req.http.cookie; return (hash); }}\nsub vcl_backend_response {{ set beresp.ttl = 1h; }}\n",
        origin.port()
    );
    fs::write(&vcl, text)?;
    let child = Command::new("varnishd")
        .args(["-F", "-j", "none", "-n"])
        .arg(dir.join("varnish"))
        .arg("-a")
        .arg(at.to_string())
        .arg("-f")
        .arg(&vcl)
        .args(["-s", "malloc,256m", "-p", "thread_pool_min=40", "-p", "thread_pools=2"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    wait_for(at)?;
    Ok(Server { name: "varnish malloc", at, cookie: String::new(), child })
}

/// Asks with as many cold clients as one popular video has, all at once.
fn stampede(edge: &Server, private: SocketAddr) -> Result<(), Failure> {
    let before = origin_reads(private)?;
    let start = Arc::new(Barrier::new(COLD_CLIENTS));
    // Bodies are read only when everybody has a first byte: a gigabyte through one loopback would be measured else.
    let begun = Arc::new(Barrier::new(COLD_CLIENTS));
    let clients: Vec<_> = (0..COLD_CLIENTS)
        .map(|_| {
            let (start, begun) = (Arc::clone(&start), Arc::clone(&begun));
            let (request, at) = (head(edge, COLD), edge.at);
            std::thread::Builder::new().stack_size(128 << 10).spawn(move || {
                let connected = TcpStream::connect(at);
                start.wait();
                let Ok(mut stream) = connected else {
                    begun.wait();
                    return Err(io::ErrorKind::ConnectionRefused.into());
                };
                let mut first = [0; 1];
                let came = stream.write_all(request.as_bytes()).and_then(|()| stream.read_exact(&mut first));
                let at = Instant::now();
                begun.wait();
                came?;
                let mut buffer = vec![0; 64 << 10];
                let mut len = 1;
                loop {
                    match stream.read(&mut buffer)? {
                        0 => return Ok::<_, io::Error>((at, len)),
                        read => len += read,
                    }
                }
            })
        })
        .collect();
    let mut firsts = Vec::new();
    for client in clients {
        let (first, len) = client?.join().map_err(|_| "a client panicked")??;
        if len < 1 << 20 {
            return Err("a cold client got less than the whole body".into());
        }
        firsts.push(first);
    }
    firsts.sort();
    let spread = firsts[firsts.len() - 1] - firsts[0];
    let reads = origin_reads(private)? - before;
    println!(
        "{COLD_CLIENTS} cold clients on one 1 MiB segment: {reads} read(s) of the origin, last first-byte {spread:.1?} after the first (a thread a client on this machine).\n"
    );
    Ok(())
}

fn origin_reads(private: SocketAddr) -> Result<u64, Failure> {
    let mut stream = TcpStream::connect(private)?;
    write!(
        stream,
        "GET /metrics HTTP/1.1\r\nhost: a\r\nconnection: close\r\nauthorization: Bearer {INTERNAL}\r\n\r\n"
    )?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    let line =
        text.lines().find(|line| line.starts_with("rend_edge_origin_requests_total{kind=\"get\",outcome=\"ok\"}"));
    Ok(line.and_then(|line| line.rsplit(' ').next()).map_or(Ok(0), str::parse)?)
}

fn head(server: &Server, path: &str) -> String {
    format!("GET /v/{ASSET}/{path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncookie: {}\r\n\r\n", server.cookie)
}

fn fetch(server: &Server, path: &str) -> Result<Vec<u8>, Failure> {
    let mut stream = TcpStream::connect(server.at)?;
    stream.write_all(head(server, path).as_bytes())?;
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes)?;
    let end = bytes.windows(4).position(|w| w == b"\r\n\r\n").ok_or("no head")?;
    if !bytes.starts_with(b"HTTP/1.1 200") {
        return Err(format!("{}: {path} was not answered with 200", server.name).into());
    }
    Ok(bytes.split_off(end + 4))
}

fn round(server: &Server, path: &str) -> Result<Round, Failure> {
    let before = cpu_secs(server.child.id());
    let output = Command::new("wrk")
        .args(["-t1", &format!("-c{CLIENTS}"), &format!("-d{SECONDS}"), "--latency", "-H"])
        .arg(format!("Cookie: {}", server.cookie))
        .arg(format!("http://{}/v/{ASSET}/{path}", server.at))
        .output()?;
    let cpu = cpu_secs(server.child.id()) - before;
    let text = String::from_utf8(output.stdout)?;
    if text.contains("Non-2xx") || text.contains("Socket errors") {
        return Err(format!("{}: {text}", server.name).into());
    }
    let after = |label: &str| {
        let line = text.lines().find_map(|line| line.trim().strip_prefix(label)).unwrap_or_default();
        line.trim().to_owned()
    };
    let requests_per_sec: f64 = after("Requests/sec:").parse()?;
    Ok(Round {
        requests_per_sec,
        requests_per_cpu_sec: requests_per_sec * f64::from(SECONDS) / cpu.max(0.01),
        p99_ms: millis(&after("99%")).ok_or("no latency")?,
    })
}

/// CPU seconds of a process and of its children so far.
fn cpu_secs(pid: u32) -> f64 {
    let mut pids = vec![pid.to_string()];
    if let Ok(all) = fs::read_dir("/proc") {
        for process in all.flatten() {
            let name = process.file_name().to_string_lossy().into_owned();
            let parent = fs::read_to_string(process.path().join("stat")).ok().and_then(|stat| {
                stat.rsplit(')').next().and_then(|rest| rest.split_whitespace().nth(1).map(str::to_owned))
            });
            if parent.as_deref() == Some(&pid.to_string()) {
                pids.push(name);
            }
        }
    }
    let ticks: u64 = pids
        .iter()
        .filter_map(|pid| fs::read_to_string(format!("/proc/{pid}/stat")).ok())
        .map(|stat| {
            let rest = stat.rsplit(')').next().unwrap_or_default().to_owned();
            rest.split_whitespace().skip(11).take(2).filter_map(|ticks| ticks.parse::<u64>().ok()).sum::<u64>()
        })
        .sum();
    ticks as f64 / 100.0
}

fn millis(text: &str) -> Option<f64> {
    for (unit, factor) in [("us", 0.001), ("ms", 1.0), ("s", 1000.0)] {
        if let Some(number) = text.strip_suffix(unit) {
            return number.parse::<f64>().ok().map(|n| n * factor);
        }
    }
    None
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

fn free_port() -> Result<SocketAddr, Failure> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

fn wait_for(at: SocketAddr) -> Result<(), Failure> {
    let until = Instant::now() + Duration::from_secs(20);
    while Instant::now() < until {
        if TcpStream::connect(at).is_ok() {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Err(format!("nothing listens on {at}").into())
}

fn find(tool: &str) -> Option<PathBuf> {
    let paths = std::env::var_os("PATH")?;
    let more = ["/usr/sbin", "/usr/local/sbin"].map(PathBuf::from);
    std::env::split_paths(&paths).chain(more).map(|dir| dir.join(tool)).find(|file| file.is_file())
}
