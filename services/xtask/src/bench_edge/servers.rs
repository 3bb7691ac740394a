//! The servers that are compared: one process tree each, on a free port, over the same files.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::{ASSET, Failure, INTERNAL, SECRET};

/// A server under test.
pub(super) struct Server {
    /// What it is called in the table.
    pub(super) name: &'static str,
    /// Where it answers.
    pub(super) at: SocketAddr,
    /// Where its figures are, if it tells any.
    pub(super) private: Option<SocketAddr>,
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

impl Server {
    /// The header that its clients send.
    pub(super) fn cookie(&self) -> String {
        format!("Cookie: {}", self.cookie)
    }

    /// A request for `path` of the one asset.
    pub(super) fn request(&self, path: &str, connection: &str) -> String {
        format!("GET /v/{ASSET}/{path} HTTP/1.1\r\nhost: a\r\nconnection: {connection}\r\n{}\r\n\r\n", self.cookie())
    }

    /// The body of `path`.
    pub(super) fn fetch(&self, path: &str) -> Result<Vec<u8>, Failure> {
        let mut stream = TcpStream::connect(self.at)?;
        stream.write_all(self.request(path, "close").as_bytes())?;
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes)?;
        let end = bytes.windows(4).position(|w| w == b"\r\n\r\n").ok_or("no head")?;
        if !bytes.starts_with(b"HTTP/1.1 200") {
            return Err(format!("{}: {path} was not answered with 200", self.name).into());
        }
        Ok(bytes.split_off(end + 4))
    }

    /// How often the origin was asked for a body.
    pub(super) fn origin_reads(&self) -> Result<u64, Failure> {
        let mut stream = TcpStream::connect(self.private.ok_or("it has no figures")?)?;
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

    /// CPU seconds of the process and of its children so far.
    pub(super) fn cpu_secs(&self) -> f64 {
        let ticks: u64 = self
            .pids()
            .iter()
            .filter_map(|pid| fs::read_to_string(format!("/proc/{pid}/stat")).ok())
            .map(|stat| {
                let rest = stat.rsplit(')').next().unwrap_or_default().to_owned();
                rest.split_whitespace().skip(11).take(2).filter_map(|ticks| ticks.parse::<u64>().ok()).sum::<u64>()
            })
            .sum();
        ticks as f64 / 100.0
    }

    /// Memory of its own, in KiB: what is mapped of files is the system's.
    pub(super) fn memory_kib(&self) -> u64 {
        let of = |pid: &String| {
            let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
            let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"))?.to_owned();
            line.split_whitespace().next()?.parse::<u64>().ok()
        };
        self.pids().iter().filter_map(of).sum()
    }

    fn pids(&self) -> Vec<String> {
        let own = self.child.id().to_string();
        let mut pids = vec![own.clone()];
        for process in fs::read_dir("/proc").into_iter().flatten().flatten() {
            let parent = fs::read_to_string(process.path().join("stat")).ok().and_then(|stat| {
                stat.rsplit(')').next().and_then(|rest| rest.split_whitespace().nth(1).map(str::to_owned))
            });
            if parent.as_ref() == Some(&own) {
                pids.push(process.file_name().to_string_lossy().into_owned());
            }
        }
        pids
    }
}

/// The edge, as people run it: signed, and with its account of every response.
pub(super) fn edge(dir: &Path, release: &Path, token: &str) -> Result<Server, Failure> {
    start_edge(&release.join("rend-edge"), &[], dir, "edge", token)
}

/// The edge over an origin that takes `delay` to answer, as one across a network does.
pub(super) fn edge_far_from_its_origin(
    dir: &Path,
    release: &Path,
    token: &str,
    delay: Duration,
) -> Result<Server, Failure> {
    let delay = delay.as_millis().to_string();
    start_edge(&release.join("examples/slow_origin"), &[&delay], dir, "far", token)
}

fn start_edge(program: &Path, args: &[&str], dir: &Path, own: &str, token: &str) -> Result<Server, Failure> {
    let (public, private) = (free_port()?, free_port()?);
    let child = Command::new(program)
        .args(args)
        .env("REND_LOG", "warn")
        .env("REND_EDGE_CACHE_DIR", dir.join(own).join("cache"))
        .env("REND_EDGE_TELEMETRY_SPOOL_DIR", dir.join(own).join("spool"))
        .env("REND_OBJECT_STORE_DIR", dir.join("objects"))
        .env("REND_EDGE_INTERNAL_TOKEN", INTERNAL)
        .env("REND_INTERNAL_TELEMETRY_TOKEN", "a telemetry token for benches only, long")
        .env("REND_PLAYBACK_SIGNING_KEY_ID", "local-dev-playback-key")
        .env("REND_PLAYBACK_SIGNING_SECRET", SECRET)
        .env("REND_CONTROL_PLANE_URL", "http://127.0.0.1:9")
        .env("REND_EDGE_BIND_ADDR", public.to_string())
        .env("REND_EDGE_PRIVATE_BIND_ADDR", private.to_string())
        .spawn()?;
    let cookie = format!("rend_pb={token}");
    let server = Server { name: "rend-edge", at: public, private: Some(private), cookie, child };
    wait_for(public)?;
    Ok(server)
}

/// nginx with `sendfile` and open files kept, which checks nothing.
pub(super) fn nginx(dir: &Path) -> Result<Server, Failure> {
    let at = free_port()?;
    let home = dir.join("nginx");
    fs::create_dir_all(&home)?;
    let www = dir.join("www");
    let (home, www) = (home.display(), www.display());
    let conf = format!(
        "worker_processes 2; worker_rlimit_nofile 20000; pid {home}/pid; error_log {home}/error.log; daemon off; user root;\n\
         events {{ worker_connections 16384; }}\n\
         http {{ access_log off; sendfile on; tcp_nopush on; tcp_nodelay on; keepalive_timeout 65; keepalive_requests 100000000;\n\
         open_file_cache max=1000 inactive=60s; types {{ application/vnd.apple.mpegurl m3u8; video/mp4 m4s; }}\n\
         client_body_temp_path {home}/a; proxy_temp_path {home}/b; fastcgi_temp_path {home}/c; uwsgi_temp_path {home}/d; scgi_temp_path {home}/e;\n\
         server {{ listen {at} reuseport backlog=1024; root {www}; location / {{ add_header Cache-Control \"max-age=3600\"; }} }} }}\n"
    );
    let file = dir.join("nginx.conf");
    fs::write(&file, conf)?;
    let child = Command::new("nginx").arg("-c").arg(&file).stderr(Stdio::null()).spawn()?;
    wait_for(at)?;
    Ok(Server { name: "nginx sendfile", at, private: None, cookie: String::new(), child })
}

/// Varnish over nginx, with everything in its memory.
pub(super) fn varnish(dir: &Path, origin: SocketAddr) -> Result<Server, Failure> {
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
    Ok(Server { name: "varnish malloc", at, private: None, cookie: String::new(), child })
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

/// Where a program is.
pub(super) fn find(tool: &str) -> Option<PathBuf> {
    let paths = std::env::var_os("PATH")?;
    let more = ["/usr/sbin", "/usr/local/sbin"].map(PathBuf::from);
    std::env::split_paths(&paths).chain(more).map(|dir| dir.join(tool)).find(|file| file.is_file())
}
