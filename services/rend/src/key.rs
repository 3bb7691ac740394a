//! `rend key create | list | revoke`.

use std::process::ExitCode;

use clap::Subcommand;
use reqwest::Method;
use serde_json::{Value, json};

use crate::Outcome;
use crate::client::{Api, Server};

#[derive(Subcommand)]
pub(crate) enum KeyVerb {
    /// Make a key; it is shown once
    Create {
        /// What to call it
        name: String,
        /// What it may do: upload, read, delete, analytics, admin, with commas between
        #[arg(long, default_value = "upload,read", value_delimiter = ',')]
        scopes: Vec<String>,
        /// When it stops working, as an RFC 3339 time
        #[arg(long)]
        expires_at: Option<String>,
    },
    /// List keys, without the keys themselves
    List,
    /// End a key for good
    Revoke {
        /// Its id, as `rend key list` shows it
        id: String,
    },
}

pub(crate) async fn key(server: &Server, verb: KeyVerb) -> Outcome {
    let api = Api::of(server)?;
    match verb {
        KeyVerb::Create { name, scopes, expires_at } => {
            let wish = json!({ "name": name, "scopes": scopes, "expires_at": expires_at });
            let made = api.json(api.request(Method::POST, "/v1/keys").json(&wish)).await?;
            println!("{}", made["key"].as_str().unwrap_or_default());
            eprintln!("this is the only time the key is shown");
        }
        KeyVerb::List => {
            let keys = api.get("/v1/keys").await?;
            for key in keys["data"].as_array().into_iter().flatten() {
                let text = |name: &str| key[name].as_str().unwrap_or("-").to_owned();
                let scopes: Vec<_> = key["scopes"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
                let state = if key["revoked_at"].is_string() { "revoked" } else { "works" };
                println!("{}  {}…  {state:<8} {:<36} {}", text("id"), text("prefix"), scopes.join(","), text("name"));
            }
        }
        KeyVerb::Revoke { id } => {
            let id: rend_core::id::CredentialId =
                id.parse().map_err(|_| format!("`{id}` is no key's id; `rend key list` lists them"))?;
            api.json(api.request(Method::DELETE, &format!("/v1/keys/{id}"))).await?;
            println!("{id} is revoked");
        }
    }
    Ok(ExitCode::SUCCESS)
}
