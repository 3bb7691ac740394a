//! `rend webhook create | ls | rm | enable | test | replay | rotate`: who is told of events.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use rend_core::id::WebhookId;
use reqwest::Method;
use serde_json::{Value, json};

use crate::Outcome;
use crate::client::{Api, Server};

#[derive(Subcommand)]
pub(crate) enum WebhookVerb {
    /// Have a URL told of events from now on; the secret that signs them is shown once
    Create {
        /// Where to send
        url: String,
        /// Of these events alone, with commas between, such as rendition.ready,asset.deleted
        #[arg(long, value_delimiter = ',')]
        events: Vec<String>,
        /// What to call it
        #[arg(long, default_value = "")]
        description: String,
    },
    /// List who is told, and how far
    Ls {
        /// As JSON, a line an endpoint
        #[arg(long)]
        json: bool,
    },
    /// Tell an endpoint no more, and forget it
    Rm {
        /// Its id
        id: WebhookId,
    },
    /// Go on with an endpoint that was disabled, from where it stopped
    Enable {
        /// Its id
        id: WebhookId,
    },
    /// Send a message that tells of nothing, and say what came of it
    Test {
        /// Its id
        id: WebhookId,
    },
    /// Tell an endpoint again
    Replay {
        /// Its id
        id: WebhookId,
        #[command(flatten)]
        what: ReplayArgs,
    },
    /// Sign with a new secret, which is shown once; the old one signs for a day more
    Rotate {
        /// Its id
        id: WebhookId,
    },
}

#[derive(Args)]
#[group(required = true, multiple = false)]
pub(crate) struct ReplayArgs {
    /// Of everything after this place of the log
    #[arg(long)]
    after: Option<u64>,
    /// Of this event, by its `webhook-id`
    #[arg(long)]
    event: Option<String>,
}

pub(crate) async fn webhook(server: &Server, verb: WebhookVerb) -> Outcome {
    let api = Api::of(server)?;
    let post = |path: &str, wish: Value| api.json(api.request(Method::POST, path).json(&wish));
    match verb {
        WebhookVerb::Create { url, events, description } => {
            let wish = json!({ "url": url, "events": events, "description": description });
            let made = post(PATH, wish).await?;
            println!("{}\n{}", text(&made, "id"), text(&made, "secret"));
            eprintln!("the second line is the secret that messages are signed with; this is the only time it is shown");
        }
        WebhookVerb::Ls { json } => list(&api, json).await?,
        WebhookVerb::Rm { id } => {
            api.json(api.request(Method::DELETE, &format!("{PATH}/{id}"))).await?;
            println!("{id} is told no more");
        }
        WebhookVerb::Enable { id } => {
            let wish = json!({ "enabled": true });
            api.json(api.request(Method::PATCH, &format!("{PATH}/{id}")).json(&wish)).await?;
            println!("{id} is told from where it stopped");
        }
        WebhookVerb::Test { id } => {
            let said = post(&format!("{PATH}/{id}/test"), json!({})).await?;
            let status = said["status"].as_u64().map_or_else(String::new, |status| format!(" ({status})"));
            println!("{}{status}", text(&said, "detail"));
            if said["arrived"] != true {
                return Ok(ExitCode::FAILURE);
            }
        }
        WebhookVerb::Replay { id, what } => {
            let wish = match (what.after, what.event) {
                (Some(after), _) => json!({ "after": after }),
                (None, event) => json!({ "event_id": event }),
            };
            post(&format!("{PATH}/{id}/replay"), wish).await?;
            println!("{id} is told again");
        }
        WebhookVerb::Rotate { id } => {
            let made = post(&format!("{PATH}/{id}/rotate-secret"), json!({})).await?;
            println!("{}", text(&made, "secret"));
            eprintln!("this is the only time it is shown; the old one signs for 24 hours more");
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn list(api: &Api, as_json: bool) -> Result<(), String> {
    let page = api.get(PATH).await?;
    for endpoint in page["data"].as_array().into_iter().flatten() {
        if as_json {
            println!("{endpoint}");
            continue;
        }
        let state = endpoint["disabled_why"].as_str().unwrap_or("told");
        let waiting = endpoint["waiting"].as_u64().unwrap_or_default();
        let (id, url) = (text(endpoint, "id"), text(endpoint, "url"));
        println!("{id}  {state:<10} up to {:<8} {waiting:>3} waiting  {url}", endpoint["cursor"].as_u64().unwrap_or(0));
    }
    Ok(())
}

fn text(value: &Value, name: &str) -> String {
    value[name].as_str().unwrap_or("-").to_owned()
}

const PATH: &str = "/v1/webhook-endpoints";
