//! `rend cache replay | explain`: what the cache's policy decided, and why.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use rend_cache::policy::{Alpha, Lru, Policy, S3Fifo, ValueWheel, WheelConfig};
use rend_cache::replay::{RECORD_BYTES, Recorded, replay};
use rend_core::artifact::ArtifactPath;
use rend_core::config::Vars;
use rend_core::id::AssetId;
use rend_core::url::BaseUrl;
use rend_shell::ProcessVars;
use serde_json::Value;

use crate::Outcome;

#[derive(Subcommand)]
pub(crate) enum CacheVerb {
    /// Decide again what a recorded log says was decided, and print the digest: the same on every machine
    Replay(ReplayArgs),
    /// Say why an artifact is kept at an edge, or why it is not there
    Explain(ExplainArgs),
}

#[derive(Args)]
pub(crate) struct ReplayArgs {
    /// The log: what `GET /internal/cache-log` of an edge's private listener gives when `REND_EDGE_CACHE_LOG_BYTES` is set
    log: PathBuf,
    /// The limit that the cache had, in bytes
    #[arg(long, default_value_t = 10 << 30)]
    limit_bytes: u64,
    /// The policy that decided
    #[arg(long, value_enum, default_value = "wheel")]
    policy: PolicyName,
    /// How much the size counts against an object, for the wheel
    #[arg(long, value_enum, default_value = "balanced")]
    alpha: AlphaName,
    /// Whether the wheel refused unknown objects from its start on; what an edge turns on for its write budget is in its log
    #[arg(long)]
    write_budget: bool,
    /// As JSON
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
pub(crate) struct ExplainArgs {
    /// The asset's id
    asset: String,
    /// The artifact below it, such as `hls/720p/segment_00003.m4s`
    path: String,
    /// Where the edge's private listener answers [default: `REND_EDGE_PRIVATE_URL`, else the Rend that `rend up` runs here]
    #[arg(long)]
    edge: Option<String>,
    /// As JSON
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum PolicyName {
    Wheel,
    Lru,
    S3Fifo,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum AlphaName {
    Bytes,
    Quarter,
    Balanced,
    Objects,
}

pub(crate) async fn cache(verb: CacheVerb) -> Outcome {
    match verb {
        CacheVerb::Replay(args) => decide_again(&args),
        CacheVerb::Explain(args) => explain(args).await,
    }
}

fn decide_again(args: &ReplayArgs) -> Outcome {
    let log = std::fs::read(&args.log).map_err(|error| format!("{}: {error}", args.log.display()))?;
    let wheel = || WheelConfig {
        alpha: match args.alpha {
            AlphaName::Bytes => Alpha::Bytes,
            AlphaName::Quarter => Alpha::Quarter,
            AlphaName::Balanced => Alpha::Balanced,
            AlphaName::Objects => Alpha::Objects,
        },
        admission: args.write_budget,
        ..WheelConfig::default()
    };
    let policy: Box<dyn Policy> = match args.policy {
        PolicyName::Wheel => Box::new(ValueWheel::with_config(args.limit_bytes, wheel())),
        PolicyName::Lru => Box::new(Lru::new(args.limit_bytes)),
        PolicyName::S3Fifo => Box::new(S3Fifo::new(args.limit_bytes)),
    };
    let name = policy.name();
    let digest = replay(&log, policy).ok_or_else(|| {
        let first = first_difference(&log, args, &wheel);
        format!(
            "{} is no log of this policy: {first}. Name the policy, its limit and its alpha as they were",
            args.log.display()
        )
    })?;
    let events = log.len() / RECORD_BYTES;
    if args.json {
        println!("{}", serde_json::json!({ "policy": name, "events": events, "digest": format!("{digest:016x}") }));
    } else {
        println!("{events} events, every verdict as recorded; digest {digest:016x} ({name})");
    }
    Ok(ExitCode::SUCCESS)
}

/// Where a replay leaves the log.
fn first_difference(log: &[u8], args: &ReplayArgs, wheel: &dyn Fn() -> WheelConfig) -> String {
    if !log.len().is_multiple_of(RECORD_BYTES) {
        return format!("its length is no multiple of {RECORD_BYTES}");
    }
    let policy: Box<dyn Policy> = match args.policy {
        PolicyName::Wheel => Box::new(ValueWheel::with_config(args.limit_bytes, wheel())),
        PolicyName::Lru => Box::new(Lru::new(args.limit_bytes)),
        PolicyName::S3Fifo => Box::new(S3Fifo::new(args.limit_bytes)),
    };
    let mut recorded = Recorded::new(policy, log.len());
    for (number, event) in rend_cache::replay::events(log).enumerate() {
        recorded.apply(event);
        let at = number * RECORD_BYTES;
        if recorded.log()[at..] != log[at..at + RECORD_BYTES] {
            return format!("event {} was decided otherwise", number + 1);
        }
    }
    format!("event {} is none", recorded.log().len() / RECORD_BYTES + 1)
}

async fn explain(args: ExplainArgs) -> Outcome {
    let asset: AssetId = args.asset.parse().map_err(|_| format!("`{}` is no asset's id", args.asset))?;
    let path: ArtifactPath = args
        .path
        .trim_start_matches('/')
        .parse()
        .map_err(|_| format!("`{}` names no artifact; they look like hls/720p/segment_00003.m4s", args.path))?;
    let folder = crate::default_data_dir();
    let up = std::fs::read(folder.join("up.json")).ok().and_then(|text| serde_json::from_slice::<Value>(&text).ok());
    let running = || up.as_ref().and_then(|up| up["edge_private"].as_str().map(str::to_owned));
    let base = args.edge.or_else(|| ProcessVars.get("REND_EDGE_PRIVATE_URL")).or_else(running);
    let base = base.unwrap_or_else(|| "http://127.0.0.1:4110".into());
    let base: BaseUrl =
        base.parse().map_err(|_| format!("`{base}` is no http or https URL such as http://10.0.0.2:4110"))?;
    let secrets = std::fs::read_to_string(folder.join("secrets.env")).unwrap_or_default();
    let secrets = rend_core::config::env_text(&secrets).unwrap_or_default();
    let token = ProcessVars
        .get("REND_EDGE_INTERNAL_TOKEN")
        .or_else(|| secrets.get("REND_EDGE_INTERNAL_TOKEN").cloned())
        .ok_or("REND_EDGE_INTERNAL_TOKEN is not set, and no data folder of a `rend up` is here")?;
    let url = format!("{}/internal/cache/{asset}/{path}", base.as_str().trim_end_matches('/'));
    let client = reqwest::Client::builder().build().map_err(|error| format!("no HTTP client: {error}"))?;
    let unreachable = |_| format!("no edge answers at {}; name its private listener with --edge", base.as_str());
    let answer = client.get(url).bearer_auth(token).send().await.map_err(unreachable)?;
    let status = answer.status();
    let text = answer.text().await.map_err(unreachable)?;
    let told: Value = serde_json::from_str(&text).unwrap_or(Value::Null);
    if !status.is_success() {
        let detail = told["detail"].as_str().unwrap_or("the edge gave no reason");
        return Err(format!("{detail} ({status})"));
    }
    if args.json {
        println!("{text}");
    } else {
        print!("{}", sentence(&told));
    }
    Ok(ExitCode::SUCCESS)
}

/// What an edge told, for people.
fn sentence(told: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    let mut lines = format!("{}: {} — {}\n", text(&told["path"]), text(&told["fate"]), text(&told["why"]));
    let detail = &told["detail"];
    let mut say = |label: &str, value: &Value| {
        if !value.is_null() {
            let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            lines += &format!("  {label:<28}{value}\n");
        }
    };
    say("policy", &told["policy"]);
    for (label, field) in [
        ("state", "state"),
        ("class", "class"),
        ("bytes on disk", "bytes"),
        ("hits", "hits"),
        ("in memory", "in_ram"),
        ("last confirmed, ms ago", "age_ms"),
        ("reason", "reason"),
        ("ms ago", "ago_ms"),
        ("asked again in, ms", "asks_again_in_ms"),
    ] {
        say(label, &detail[field]);
    }
    say("distance from eviction", &detail["eviction"]["distance"]);
    lines
}

#[cfg(test)]
mod tests {
    use rend_cache::policy::{Event, Id, Traits};

    use super::*;

    fn log() -> Vec<u8> {
        let mut recorded = Recorded::new(ValueWheel::new(1000), 1 << 20);
        for id in (0..200).map(|n| Id(n % 37)) {
            recorded.apply(Event::Hit { id });
            recorded.apply(Event::Reserve { id, size: 100, traits: Traits::plain() });
            recorded.apply(Event::Commit { id, size: 100 });
        }
        recorded.log().to_vec()
    }

    fn args(log: PathBuf, limit_bytes: u64) -> ReplayArgs {
        ReplayArgs {
            log,
            limit_bytes,
            policy: PolicyName::Wheel,
            alpha: AlphaName::Balanced,
            write_budget: false,
            json: false,
        }
    }

    #[test]
    fn a_log_replays_under_its_own_limit_and_says_where_another_decides_otherwise() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        std::fs::write(&path, log()).unwrap();
        assert!(decide_again(&args(path.clone(), 1000)).is_ok());
        let error = decide_again(&args(path.clone(), 50)).unwrap_err();
        assert!(error.contains("was decided otherwise"), "{error}");
        std::fs::write(&path, &log()[..33]).unwrap();
        let error = decide_again(&args(path, 1000)).unwrap_err();
        assert!(error.contains("no multiple of 32"), "{error}");
    }

    #[test]
    fn what_an_edge_tells_reads_like_a_sentence() {
        let told = serde_json::json!({ "path": "poster.jpg", "fate": "evicted", "why": "others were worth more",
            "policy": "wheel", "detail": { "reason": null, "ago_ms": 12 } });
        let text = sentence(&told);
        assert!(
            text.starts_with("poster.jpg: evicted — others were worth more\n") && text.contains("ms ago"),
            "{text}"
        );
    }
}
