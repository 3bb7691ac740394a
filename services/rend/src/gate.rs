//! `rend gate`: uploads a video of its own, drives the real path, and says whether viewers may be let in.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, ValueEnum};
use rend_core::artifact::ArtifactPath;
use rend_core::config::{Vars, env_text};
use rend_core::gate::check::{Fetch, Published};
use rend_core::gate::{Report, Step, Thresholds, Timing, Verdict, scan};
use rend_core::id::AssetId;
use rend_core::time::{Clock, Mono};
use rend_shell::{ProcessVars, SystemClock};
use reqwest::{Method, StatusCode};
use serde_json::Value;

use crate::Outcome;
use crate::client::{Api, Server};

mod accounts;
mod asking;
mod serving;

use asking::{clip, unhex};
use serving::complete;

/// What to look at, and how to say what was seen.
#[derive(Args)]
pub(crate) struct GateArgs {
    #[command(flatten)]
    server: Server,
    /// What runs
    #[arg(long, value_enum, default_value_t = Target::Embedded)]
    target: Target,
    /// Edges as id=region=public[=private], with commas between [default: `REND_READINESS_EDGES`, else the one of `rend up`]
    #[arg(long)]
    edges: Option<String>,
    /// An asset of yours whose published bytes are looked at as well; nothing of it is changed
    #[arg(long)]
    asset: Option<String>,
    /// Where to write the report [default: readiness/ in the data folder]
    #[arg(long)]
    output: Option<PathBuf>,
    /// Print the report as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Eq, PartialEq, ValueEnum)]
enum Target {
    /// A `rend up` on this machine
    Embedded,
    /// The two edges of a `cargo xtask stack` on this machine
    LocalTwoEdge,
    /// Whatever --api and --edges name
    Configured,
}

/// Clients at once on one cold artifact.
const STAMPEDE: usize = 32;
/// Bootstraps that are timed.
const BOOTSTRAPS: usize = 5;
/// How long a video of four seconds may take before the gate gives it up.
const READY_WITHIN: Duration = Duration::from_secs(180);
/// How long telemetry may take to show.
const VISIBLE_WITHIN: Duration = Duration::from_secs(60);
/// How long a delete may take to reach every edge.
const GONE_WITHIN: Duration = Duration::from_secs(30);
/// How long the warm of a finished video may take before the caches are looked at all the same.
const SETTLED_WITHIN: Duration = Duration::from_secs(10);
/// How far an edge's clock may be from this machine's: tokens begin and end by it.
const CLOCK_OFF_MAX: Duration = Duration::from_secs(30);
/// How often it is asked how far something is.
const ASK_EVERY: Duration = Duration::from_millis(50);
/// Artifacts that one warm asks for, at most.
const WARM_MAX: usize = 16;
/// The name of the latest report.
const LATEST: &str = "playback-readiness-latest.json";

pub(crate) async fn gate(args: GateArgs) -> Outcome {
    let thresholds = Thresholds::from_vars(&ProcessVars).map_err(|wrong| wrong.join("; "))?;
    let local = Local::read(args.target);
    let api = match (local.stack("REND_API_BASE"), local.stack("REND_API_KEY")) {
        (Some(base), Some(key)) => Api::with(base, key)?,
        _ => Api::of(&args.server)?,
    };
    let edges = edges(&args, &local)?;
    let token = local
        .stack("REND_EDGE_INTERNAL_TOKEN")
        .or_else(|| ProcessVars.get("REND_EDGE_INTERNAL_TOKEN"))
        .or_else(|| local.secrets.get("REND_EDGE_INTERNAL_TOKEN").cloned())
        .ok_or("REND_EDGE_INTERNAL_TOKEN is not set, and no data folder of a `rend up` is here")?;
    let clock = SystemClock::start();
    let target = match args.target {
        Target::Embedded => "embedded",
        Target::LocalTwoEdge => "local-two-edge",
        Target::Configured => "configured",
    };
    let report = Report { target: target.into(), started_at: clock.wall(), thresholds, ..Report::default() };
    // Redirects and cookies are what is judged, so the client does neither by itself.
    let client = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .timeout(Duration::from_secs(30))
        .build()
        .map_err(|e| format!("no HTTP client: {e}"))?;
    let mut gate =
        Gate { api, client, edges, token, clock, report, sessions: BTreeMap::new(), dropped: BTreeMap::new() };
    let other = args
        .asset
        .as_ref()
        .map(|id| id.parse::<AssetId>())
        .transpose()
        .map_err(|_| "--asset: no asset id".to_owned())?;
    gate.run(other).await;

    let secrets: Vec<&str> =
        std::iter::once(gate.token.as_str()).chain(local.secrets.values().map(String::as_str)).collect();
    let text = gate.report.to_json().to_string();
    scan(&text, &secrets).map_err(|leak| format!("the report is not written: {leak}"))?;
    let folder = args.output.unwrap_or_else(|| crate::default_data_dir().join("readiness"));
    write(&folder, &gate.report, &text)?;
    if args.json {
        println!("{text}");
    } else {
        print_report(&gate.report);
    }
    Ok(match gate.report.verdict() {
        Verdict::Pass | Verdict::Warn => ExitCode::SUCCESS,
        Verdict::Fail => ExitCode::FAILURE,
    })
}

/// What a `rend up` or a stack on this machine left for its tools.
struct Local {
    up: Value,
    secrets: BTreeMap<String, String>,
    stack: BTreeMap<String, String>,
}

impl Local {
    /// What a stack says under `name`; nothing for another target.
    fn stack(&self, name: &str) -> Option<String> {
        self.stack.get(name).cloned()
    }

    fn read(target: Target) -> Self {
        let folder = crate::default_data_dir();
        let up = fs::read(folder.join("up.json")).ok().and_then(|text| serde_json::from_slice(&text).ok());
        let secrets = fs::read_to_string(folder.join("secrets.env")).ok().and_then(|text| env_text(&text).ok());
        // A stack's own folder, wherever it was put, or where it lies unless it is put elsewhere.
        let files = [folder.join("stack.env"), folder.join("stack/stack.env")];
        let stack =
            files.iter().filter(|_| target == Target::LocalTwoEdge).find_map(|file| fs::read_to_string(file).ok());
        let stack = stack.and_then(|text| env_text(&text).ok());
        Self { up: up.unwrap_or(Value::Null), secrets: secrets.unwrap_or_default(), stack: stack.unwrap_or_default() }
    }
}

struct Edge {
    id: String,
    public: String,
    private: String,
}

fn edges(args: &GateArgs, local: &Local) -> Result<Vec<Edge>, String> {
    let stack = || local.stack("REND_READINESS_EDGES");
    let text = args.edges.clone().or_else(stack).or_else(|| ProcessVars.get("REND_READINESS_EDGES"));
    if args.target == Target::LocalTwoEdge && text.is_none() {
        return Err(
            "no stack runs here; start one with `cargo xtask stack`, or name its folder in REND_DATA_DIR".into()
        );
    }
    if let Some(text) = text {
        let known: rend_core::fleet::ExpectedEdges = text.parse().map_err(|e| format!("--edges: {e}"))?;
        let edge = |edge: &rend_core::fleet::ExpectedEdge| Edge {
            id: edge.id.to_string(),
            public: edge.public_url.as_str().to_owned(),
            private: edge.private_url.as_ref().unwrap_or(&edge.public_url).as_str().to_owned(),
        };
        if args.target == Target::LocalTwoEdge && known.iter().count() != 2 {
            return Err("this target has two edges; --target configured takes any number".into());
        }
        return Ok(known.iter().map(edge).collect());
    }
    let field = |name: &str| local.up[name].as_str().map(str::to_owned);
    match (field("edge"), field("edge_private")) {
        (Some(public), Some(private)) => Ok(vec![Edge { id: "local-edge-001".into(), public, private }]),
        _ => Err("no `rend up` runs on this data folder; start one, or name edges with --edges".into()),
    }
}

struct Gate {
    api: Api,
    client: reqwest::Client,
    edges: Vec<Edge>,
    token: String,
    clock: SystemClock,
    report: Report,
    /// The playback cookie of each asset.
    sessions: BTreeMap<AssetId, String>,
    /// Events that each edge had lost before.
    dropped: BTreeMap<String, u64>,
}

/// One response, with the time to its first body byte.
struct Seen {
    fetch: Fetch,
    ttfb: Duration,
}

/// What is published of an asset.
type Manifest = Vec<(ArtifactPath, Published)>;

impl Gate {
    /// Drives every step. A step that fails ends the run where the later ones would only repeat its fault; what was
    /// uploaded is deleted whatever happens.
    async fn run(&mut self, other: Option<AssetId>) {
        if !self.step("ready", Self::ready).await {
            return;
        }
        if let Some(asset) = other {
            self.look_at(asset).await;
        }
        let uploaded = self.upload().await;
        self.report.steps.push(Step::new("upload", uploaded.as_ref().err().cloned().into_iter().collect()));
        let Ok(asset) = uploaded else { return };
        self.drive(asset).await;
        let wrong = self.delete(asset).await;
        self.report.steps.push(Step::new("delete", wrong));
    }

    async fn step(&mut self, name: &'static str, perform: impl AsyncFnOnce(&mut Self) -> Vec<String>) -> bool {
        let step = Step::new(name, perform(self).await);
        let good = step.verdict == Verdict::Pass;
        self.report.steps.push(step);
        good
    }

    async fn ready(&mut self) -> Vec<String> {
        let mut wrong = Vec::new();
        match self.api.get("/readyz").await {
            Ok(_) => {}
            Err(_) => wrong.push("the API is not ready".to_owned()),
        }
        for at in 0..self.edges.len() {
            let (id, url) = (self.edges[at].id.clone(), format!("{}/readyz", self.edges[at].private));
            match self.private(Method::GET, &url, None).await {
                Ok((StatusCode::OK, _)) => {}
                Ok((status, body)) => {
                    let checks = body["checks"].as_object().into_iter().flatten();
                    let failed: Vec<_> =
                        checks.filter(|(_, c)| c["status"] != "ok").map(|(name, _)| name.clone()).collect();
                    wrong.push(format!("edge {id} is not ready ({status}; failing: {})", failed.join(", ")));
                }
                Err(why) => wrong.push(format!("edge {id}: {why}")),
            }
            if let Some(off) = self.clock_off(at).await.filter(|off| *off > CLOCK_OFF_MAX) {
                wrong.push(format!("edge {id}: its clock is off by {} s", off.as_secs()));
            }
            let dropped = self.accounts(&id).await.map_or(0, |(dropped, _)| dropped);
            self.dropped.insert(id, dropped);
        }
        wrong
    }

    /// Uploads the gate's own clip.
    async fn upload(&mut self) -> Result<AssetId, String> {
        let clip = clip().await?;
        let began = self.clock.mono();
        let request = self
            .api
            .request(Method::POST, "/v1/videos")
            .query(&[("title", "Readiness gate"), ("policy", "public")])
            .body(clip);
        let asset = self.api.json(request).await?;
        self.note(Timing::UploadResponse, self.clock.mono().since(began));
        asset["id"].as_str().and_then(|id| id.parse().ok()).ok_or_else(|| "the answer names no asset".to_owned())
    }

    async fn drive(&mut self, asset: AssetId) {
        let began = self.clock.mono();
        if !self
            .step("opener_playable", async |gate| gate.wait_for(asset, began, Timing::UploadToOpenerPlayable).await)
            .await
            || !self.step("hls_ready", async |gate| gate.wait_for(asset, began, Timing::UploadToHlsReady).await).await
            || !self.step("bootstrap", async |gate| gate.bootstrap(asset).await).await
        {
            return;
        }
        self.settled(asset).await;
        let manifest = match self.manifest(asset).await {
            Ok(manifest) => manifest,
            Err(why) => {
                self.report.steps.push(Step::new("published", vec![why]));
                return;
            }
        };
        self.report.steps.push(Step::new("published", complete(&manifest)));
        let played = self.step("edge_miss_hit", async |gate| gate.miss_hit(asset, &manifest).await).await;
        if !played {
            return;
        }
        self.step("edge_warm", async |gate| gate.warm(asset, &manifest).await).await;
        self.step("edge_headers", async |gate| gate.headers(asset, &manifest).await).await;
        self.step("edge_coalescing", async |gate| gate.stampede(asset, &manifest).await).await;
        self.step("edge_denies", async |gate| gate.denies(asset).await).await;
        self.step("telemetry_visible", async |gate| gate.telemetry(asset).await).await;
        self.step("telemetry_accounted", Self::accounted).await;
    }

    /// Looks at somebody's asset without changing anything of it but the caches.
    async fn look_at(&mut self, asset: AssetId) {
        self.step("asset", async |gate| {
            let mut wrong = gate.bootstrap(asset).await;
            match gate.manifest(asset).await {
                Ok(manifest) => wrong.extend(gate.miss_hit(asset, &manifest).await),
                Err(why) => wrong.push(why),
            }
            wrong
        })
        .await;
    }

    async fn wait_for(&mut self, asset: AssetId, began: Mono, timing: Timing) -> Vec<String> {
        loop {
            let state = match self.api.get(&format!("/v1/assets/{asset}")).await {
                Ok(asset) => asset,
                Err(why) => return vec![why],
            };
            let playable = state["playable_state"].as_str().unwrap_or_default();
            let there =
                playable == "hls_ready" || timing == Timing::UploadToOpenerPlayable && playable == "opener_ready";
            let took = self.clock.mono().since(began);
            if there {
                self.note(timing, took);
                return Vec::new();
            }
            if playable == "failed" {
                return vec![format!("the video failed: {}", state["failure"]["code"].as_str().unwrap_or("unknown"))];
            }
            if took > READY_WITHIN {
                return vec![format!("the video was still {playable} after {} s", READY_WITHIN.as_secs())];
            }
            tokio::time::sleep(ASK_EVERY).await;
        }
    }

    /// Waits until the warm that follows a finished video has ended, so that it does not fill what is purged next. An
    /// installation that warms nothing is not waited for longer than [`SETTLED_WITHIN`].
    async fn settled(&self, asset: AssetId) {
        let began = self.clock.mono();
        while self.clock.mono().since(began) < SETTLED_WITHIN {
            let page = self.api.get(&format!("/v1/assets/{asset}/events")).await.unwrap_or(Value::Null);
            let none = Vec::new();
            let events = page["data"].as_array().unwrap_or(&none);
            let of = |word: &str| events.iter().filter(|event| event["type"] == word).count();
            let ready = events.iter().rposition(|event| event["data"]["playable_state"] == "hls_ready");
            let warmed = events.iter().rposition(|event| event["type"] == "edge.warming_attempted");
            let ended = of("edge.warming_succeeded") + of("edge.warming_failed");
            if warmed > ready && ended == of("edge.warming_attempted") {
                return;
            }
            tokio::time::sleep(ASK_EVERY).await;
        }
    }

    fn note(&mut self, timing: Timing, took: Duration) {
        self.report.timings.entry(timing).or_default().push(took);
    }
}

fn write(folder: &Path, report: &Report, text: &str) -> Result<(), String> {
    let name = format!("playback-readiness-{}.json", report.started_at.as_millis());
    let written = || -> std::io::Result<()> {
        fs::create_dir_all(folder)?;
        fs::write(folder.join(&name), text)?;
        let part = folder.join("latest.part");
        fs::write(&part, text)?;
        fs::rename(part, folder.join(LATEST))
    };
    written().map_err(|e| format!("the report can not be written to {}: {e}", folder.display()))
}

fn print_report(report: &Report) {
    for step in &report.steps {
        println!("{:<4}  {}", step.verdict, step.name);
        for reason in &step.reasons {
            println!("      {reason}");
        }
    }
    for (timing, summary) in report.summaries() {
        let verdict = summary.verdict(report.thresholds.of(timing));
        let millis = |time: Duration| time.as_secs_f64() * 1000.0;
        println!(
            "{verdict:<4}  {:<26} p50 {:>9.1} ms   p95 {:>9.1} ms   max {:>9.1} ms   ({})",
            timing.key(),
            millis(summary.p50),
            millis(summary.p95),
            millis(summary.max),
            summary.count
        );
    }
    println!("\n{}", report.verdict());
}
