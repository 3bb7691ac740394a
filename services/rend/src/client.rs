//! Talks to a running Rend.

use std::fs;

use clap::Args;
use rend_core::config::Vars;
use rend_shell::ProcessVars;
use reqwest::{Method, RequestBuilder};
use serde_json::Value;

/// Which Rend, and with which key.
#[derive(Args, Clone)]
pub(crate) struct Server {
    /// Where the API answers [default: `REND_API_BASE`, else the Rend that `rend up` runs here]
    #[arg(long, global = true)]
    pub api: Option<String>,
}

/// A running Rend, and a key for it. The key has no way out but into the header of a request.
#[derive(Clone)]
pub(crate) struct Api {
    pub base: String,
    key: String,
    client: reqwest::Client,
}

impl Api {
    /// The server that the flags, the environment or the data folder name, in this order.
    pub(crate) fn of(server: &Server) -> Result<Self, String> {
        let base = base(server)?;
        let file = crate::default_data_dir().join("api-key");
        let key = ProcessVars
            .get("REND_API_KEY")
            .or_else(|| fs::read_to_string(&file).ok())
            .map(|key| key.trim().to_owned())
            .filter(|key| !key.is_empty())
            .ok_or_else(|| {
                format!("there is no API key: set REND_API_KEY, or run this where {} lies", file.display())
            })?;
        Self::with(base, key)
    }

    /// The server at `base`, with `key`.
    pub(crate) fn with(base: String, key: String) -> Result<Self, String> {
        let client = reqwest::Client::builder().build().map_err(|e| format!("no HTTP client: {e}"))?;
        Ok(Self { base, key, client })
    }

    /// A request to `path`.
    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.base)).bearer_auth(&self.key)
    }

    /// The JSON that `request` is answered with.
    pub(crate) async fn json(&self, request: RequestBuilder) -> Result<Value, String> {
        let answer = request.send().await.map_err(|e| self.unreachable(&e))?;
        let status = answer.status();
        let text = answer.text().await.map_err(|e| self.unreachable(&e))?;
        let body: Value = serde_json::from_str(&text).unwrap_or(Value::Null);
        if status.is_success() {
            return Ok(body);
        }
        let detail = body["detail"].as_str().unwrap_or("the server gave no reason");
        let code = body["code"].as_str().unwrap_or("unknown");
        Err(format!("{detail} ({status}, {code})"))
    }

    /// What lies at a URL that needs no key, such as one that holds a token.
    pub(crate) async fn fetch(&self, url: &str) -> Result<reqwest::Response, String> {
        let answer = self.client.get(url).send().await;
        // The cause is not told, since it would repeat the URL.
        let answer = answer.map_err(|_| "the edge that has the file does not answer; try again".to_owned())?;
        if answer.status().is_success() { Ok(answer) } else { Err(format!("the edge answered {}", answer.status())) }
    }

    /// The JSON at `path`.
    pub(crate) async fn get(&self, path: &str) -> Result<Value, String> {
        self.json(self.request(Method::GET, path)).await
    }

    fn unreachable(&self, error: &reqwest::Error) -> String {
        if error.is_connect() {
            format!("no Rend answers at {}; start one with `rend up`, or name another with --api", self.base)
        } else {
            format!("the connection to {} broke; try again", self.base)
        }
    }
}

/// The server that a flag or the environment names, if one does.
pub(crate) fn named(server: &Server) -> Option<String> {
    server.api.clone().or_else(|| ProcessVars.get("REND_API_BASE"))
}

/// Where the API answers.
pub(crate) fn base(server: &Server) -> Result<String, String> {
    let file = crate::default_data_dir().join("up.json");
    let running = || {
        let text = fs::read_to_string(&file).ok()?;
        let up: Value = serde_json::from_str(&text).ok()?;
        up["api"].as_str().map(str::to_owned)
    };
    let base = named(server).or_else(running);
    let base = base.unwrap_or_else(|| "http://127.0.0.1:4000".into());
    let parsed: rend_core::url::BaseUrl =
        base.parse().map_err(|_| format!("`{base}` is no http or https URL such as http://127.0.0.1:4000"))?;
    Ok(parsed.as_str().to_owned())
}
