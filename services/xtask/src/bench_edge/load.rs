//! Load on one server for some seconds, and what it made of it.

use std::process::Command;

use super::servers::Server;
use super::{ASSET, Failure};

/// What one server did in one round.
#[derive(Clone, Copy, Debug)]
pub(super) struct Round {
    pub(super) requests_per_sec: f64,
    pub(super) cpu_secs: f64,
    pub(super) requests_per_cpu_sec: f64,
    pub(super) p50_ms: f64,
    pub(super) p99_ms: f64,
}

/// Asks `server` for `path` with `clients` connections for `secs`.
pub(super) fn round(server: &Server, path: &str, clients: usize, secs: u32) -> Result<Round, Failure> {
    let before = server.cpu_secs();
    let output = Command::new("wrk")
        .args(["-t1", &format!("-c{clients}"), &format!("-d{secs}"), "--latency", "-H", &server.cookie()])
        .arg(format!("http://{}/v/{ASSET}/{path}", server.at))
        .output()?;
    let cpu_secs = server.cpu_secs() - before;
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
        cpu_secs,
        requests_per_cpu_sec: requests_per_sec * f64::from(secs) / cpu_secs.max(0.01),
        p50_ms: millis(&after("50%")).ok_or("no latency")?,
        p99_ms: millis(&after("99%")).ok_or("no latency")?,
    })
}

/// The middle one of `figures`.
pub(super) fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or(f64::NAN)
}

fn millis(text: &str) -> Option<f64> {
    for (unit, factor) in [("us", 0.001), ("ms", 1.0), ("s", 1000.0)] {
        if let Some(number) = text.strip_suffix(unit) {
            return number.parse::<f64>().ok().map(|n| n * factor);
        }
    }
    None
}
