//! The API against its own description, by a tool that is not ours: schemathesis reads `/openapi.json` of a running
//! `rend up` and asks every operation for what the description allows and for what it forbids.
//!
//! Examples are few and drawn from one seed, so that two runs ask the same. There is a video that plays and an endpoint of
//! webhooks, so that answers are judged and not only refusals. [`LEFT_OUT`] says what is not asked, and [`Told::config`]
//! which of the tool's judgements do not count, each with its reason. In the end the same tool is handed a description that
//! lies, and must say so: a judge that finds nothing wrong anywhere is none.

use std::fmt::Write as _;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::engines::environment;
use crate::interrupt;
use crate::run::{Done, cargo, read, run};
use crate::tools::{FFMPEG, need};
use crate::up::{Running, sample, target};

/// Holds a Rend of its own to its description.
pub(crate) fn contract(install: bool) -> Done {
    need(&[FFMPEG], install)?;
    let st = environment("schemathesis", &PACKAGES, install)?.join("bin/st");
    run(cargo().args(["build", "-p", "rend"]))?;
    let rend = target().join("debug/rend");
    // From here on Ctrl-C ends the tool and Rend, and the folder goes after them.
    interrupt::catch(&interrupt::OF_TERMINAL)?;
    let data_dir = std::env::temp_dir().join(format!("rend-contract-{}", std::process::id()));
    let held = Running::start(&rend, &data_dir, &VARS).and_then(|mut running| {
        let held = judged(&st, &rend, &running, &data_dir);
        let stopped = running.stop();
        held.and(stopped)
    });
    let _ = fs::remove_dir_all(&data_dir);
    held
}

fn judged(st: &Path, rend: &Path, running: &Running, data_dir: &Path) -> Done {
    let told = Told::make(rend, running, data_dir)?;
    let config = data_dir.join("schemathesis.toml");
    fs::write(&config, told.config(running)).map_err(|e| format!("{}: {e}", config.display()))?;
    ask(st, running, data_dir)?;
    finds_a_lie(st, running, data_dir)
}

/// The tool asks more often than one caller may.
const VARS: [(&str, &str); 4] = [
    ("REND_LOG", "error"),
    ("REND_API_RATE_LIMIT_READS_PER_MINUTE", "0"),
    ("REND_API_RATE_LIMIT_WRITES_PER_MINUTE", "0"),
    ("REND_API_RATE_LIMIT_ADDRESS_PER_MINUTE", "0"),
];

/// Operations that are not asked, and why.
const LEFT_OUT: [(&str, &str); 1] = [("/v1/events", "a stream, which has no end to wait for")];

/// What there is to ask for.
struct Told {
    asset: String,
    endpoint: String,
}

impl Told {
    /// Makes a video that plays, and an endpoint at a host that there can never be.
    fn make(rend: &Path, running: &Running, data_dir: &Path) -> Result<Self, String> {
        let command = |words: &[&str]| {
            let mut command = Command::new(rend);
            command.args(words).env("REND_API_BASE", &running.api).env("REND_API_KEY", &running.key);
            command
        };
        let clip = sample(data_dir)?;
        let mut upload = command(&["upload", "--wait", "--json", "--policy", "public"]);
        let asset = read(upload.arg(&clip)).ok_or("the sample could not be uploaded")?;
        let asset: Value = serde_json::from_str(&asset).map_err(|e| format!("the answer to the upload: {e}"))?;
        let asset = asset["id"].as_str().ok_or("the answer to the upload names no asset")?.to_owned();
        let made = read(&mut command(&["webhook", "create", "https://hooks.invalid/"]))
            .ok_or("the endpoint of webhooks could not be made")?;
        let endpoint = made.lines().next().unwrap_or_default().to_owned();
        Ok(Self { asset, endpoint })
    }

    /// What the tool is told.
    fn config(&self, running: &Running) -> String {
        let mut text = format!("headers = {{ Authorization = \"Bearer {}\" }}\n{JUDGEMENTS}", running.key);
        let known = ASSET_PATHS.map(|path| (path, &self.asset)).into_iter();
        for (path, id) in known.chain(ENDPOINT_PATHS.map(|path| (path, &self.endpoint))) {
            // Who deletes it would leave nothing for the others.
            let _ = write!(
                text,
                "\n[[operations]]\ninclude-path = \"{path}\"\nexclude-method = \"DELETE\"\nparameters = {{ \"path.id\" = \"{id}\" }}\n"
            );
        }
        text
    }
}

/// Paths at which the video is asked for. Elsewhere, and by `DELETE`, ids are drawn, and nothing is there.
const ASSET_PATHS: [&str; 12] = [
    "/v1/assets/{id}",
    "/v1/assets/{id}/retry",
    "/v1/assets/{id}/artifacts",
    "/v1/assets/{id}/captions",
    "/v1/assets/{id}/captions/{lang}",
    "/v1/assets/{id}/downloads",
    "/v1/assets/{id}/events",
    "/v1/assets/{id}/playback",
    "/v1/assets/{id}/analytics/playback",
    "/api/player/{id}",
    "/watch/{id}",
    "/embed/{id}",
];
/// Paths at which the endpoint is asked for. A test of it would wait for its host.
const ENDPOINT_PATHS: [&str; 3] =
    ["/v1/webhook-endpoints/{id}", "/v1/webhook-endpoints/{id}/rotate-secret", "/v1/webhook-endpoints/{id}/replay"];

fn ask(st: &Path, running: &Running, folder: &Path) -> Done {
    let mut asked = Command::new(st);
    // What it would keep of its runs goes with the folder.
    asked.current_dir(folder).args(["run", &format!("{}/openapi.json", running.api)]);
    for (path, why) in LEFT_OUT {
        println!("left out: {path} ({why})");
        asked.args(["--exclude-path", path]);
    }
    asked.args(["--phases", "examples,coverage,fuzzing", "--max-examples", "8", "--seed", "1"]);
    asked.args(["--workers", "1", "--request-timeout", "20", "--no-color"]);
    run(&mut asked)
}

/// The same judge, with a description that says of one number that it is text.
fn finds_a_lie(st: &Path, running: &Running, folder: &Path) -> Done {
    let mut document: Value = serde_json::from_str(&fetch(&running.api, "/openapi.json")?)
        .map_err(|e| format!("/openapi.json is not JSON: {e}"))?;
    document["components"]["schemas"]["Health"]["properties"]["uptime_seconds"] = json!({ "type": "string" });
    let lie = folder.join("lie.json");
    fs::write(&lie, document.to_string()).map_err(|e| format!("{}: {e}", lie.display()))?;
    let mut asked = Command::new(st);
    asked.current_dir(folder).arg("run").arg(&lie).args(["--url", &running.api, "--include-path", "/healthz"]);
    asked.args(["--phases", "fuzzing", "--max-examples", "1", "--seed", "1", "--no-color"]);
    let said = asked.output().map_err(|e| format!("{} could not be started: {e}", st.display()))?;
    let words = String::from_utf8_lossy(&said.stdout);
    if said.status.code() == Some(1) && words.contains("Response violates schema") {
        println!("a description that says of a number that it is text is found out");
        return Ok(());
    }
    Err(format!("schemathesis did not find a description that lies ({}): {words}", said.status))
}

/// The body of what is answered at `path`.
fn fetch(base: &str, path: &str) -> Result<String, String> {
    let at = base.trim_start_matches("http://");
    let mut said = String::new();
    TcpStream::connect(at)
        .and_then(|mut stream| {
            write!(stream, "GET {path} HTTP/1.0\r\nHost: {at}\r\n\r\n")?;
            stream.read_to_string(&mut said)
        })
        .map_err(|e| format!("{base}{path}: {e}"))?;
    let body = said.split_once("\r\n\r\n").map(|(_, body)| body.to_owned());
    body.ok_or_else(|| format!("{base}{path} answered no body"))
}

/// What does not count. That whatever a schema allows is accepted: tickets, signed URLs and the like are good or not by more
/// than their shape. Methods, which a test of ours tries at every path. And where one judgement would be wrong: what
/// answers to OPTIONS says the same of every path, and a header that the description does not name is not forbidden.
const JUDGEMENTS: &str = r#"
[generation]
database = "none"

[checks]
positive_data_acceptance.enabled = false
unsupported_method.enabled = false
allow_header_conformance.enabled = false
negative_data_rejection.expected-statuses = ["4xx"]

[[operations]]
include-method = "OPTIONS"
checks.negative_data_rejection.enabled = false

[[operations]]
include-name = "PATCH /v1/uploads/{id}"
checks.negative_data_rejection.enabled = false
"#;

/// The tool and all that it stands on.
const PACKAGES: [&str; 27] = [
    "anyio==4.16.0",
    "certifi==2026.10.18",
    "charset-normalizer==3.5.2",
    "click==8.5.1",
    "graphql-core==3.3.2",
    "harfile==0.6.0",
    "hypothesis==6.170.15",
    "hypothesis-graphql==0.13.5",
    "idna==3.20",
    "iniconfig==2.3.1",
    "jsonschema_rs==0.60.3",
    "markdown-it-py==4.3.0",
    "MarkupSafe==3.0.4",
    "mdurl==0.1.2",
    "packaging==26.3",
    "pluggy==1.7.0",
    "Pygments==2.21.0",
    "pyrate-limiter==4.5.1",
    "pytest==9.2.0",
    "PyYAML==6.0.3",
    "requests==2.34.2",
    "rich==15.0.0",
    "schemathesis==4.32.5",
    "sortedcontainers==2.4.0",
    "typing_extensions==4.16.0",
    "urllib3==2.8.0",
    "Werkzeug==3.1.9",
];
