//! `rend operator suspend | restore | log`: what an operator takes out of service, over the API's private listener.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use rend_core::config::Vars;
use rend_core::id::{AssetId, OrgId};
use rend_core::url::BaseUrl;
use rend_shell::ProcessVars;
use reqwest::Method;
use serde_json::{Value, json};

use crate::Outcome;
use crate::client::Api;

#[derive(Subcommand)]
pub(crate) enum OperatorVerb {
    /// Have nothing of it served any more, from now on, on every edge
    Suspend(OrderArgs),
    /// Have it served again
    Restore(OrderArgs),
    /// Print who suspended and restored what, and why, oldest first
    Log {
        #[command(flatten)]
        control: Control,
        /// As JSON, a line an order
        #[arg(long)]
        json: bool,
    },
}

#[derive(Args)]
pub(crate) struct OrderArgs {
    #[command(flatten)]
    control: Control,
    #[command(flatten)]
    subject: SubjectArgs,
    /// Why; the record keeps it, and the owner of an asset sees it in its history
    #[arg(long)]
    reason: String,
    /// Who gives the order [default: `USER`]
    #[arg(long)]
    by: Option<String>,
}

#[derive(Args)]
#[group(required = true, multiple = false)]
struct SubjectArgs {
    /// The asset's id
    #[arg(long)]
    asset: Option<AssetId>,
    /// The organisation's id
    #[arg(long)]
    org: Option<OrgId>,
}

/// Where the control plane answers operators. The token is `REND_OPERATOR_TOKEN`, else that of the `rend up` here.
#[derive(Args)]
pub(crate) struct Control {
    /// The API's private listener [default: `REND_CONTROL_PLANE_URL`, else the Rend that `rend up` runs here]
    #[arg(long)]
    control: Option<String>,
}

impl Control {
    fn api(&self) -> Result<Api, String> {
        let folder = crate::default_data_dir();
        let up = std::fs::read(folder.join("up.json")).ok();
        let up = up.and_then(|text| serde_json::from_slice::<Value>(&text).ok());
        let running = || up.as_ref().and_then(|up| up["api_private"].as_str().map(str::to_owned));
        let base = self.control.clone().or_else(|| ProcessVars.get("REND_CONTROL_PLANE_URL")).or_else(running);
        let base = base.unwrap_or_else(|| "http://127.0.0.1:4001".into());
        let base: BaseUrl =
            base.parse().map_err(|_| format!("`{base}` is no http or https URL such as http://127.0.0.1:4001"))?;
        let secrets = std::fs::read_to_string(folder.join("secrets.env")).unwrap_or_default();
        let secrets = rend_core::config::env_text(&secrets).unwrap_or_default();
        let token = ProcessVars
            .get("REND_OPERATOR_TOKEN")
            .or_else(|| secrets.get("REND_OPERATOR_TOKEN").cloned())
            .ok_or("REND_OPERATOR_TOKEN is not set, and no data folder of a `rend up` is here")?;
        Api::with(base.as_str().trim_end_matches('/').to_owned(), token)
    }
}

pub(crate) async fn operator(verb: OperatorVerb) -> Outcome {
    match verb {
        OperatorVerb::Suspend(args) => order(args, "suspend").await,
        OperatorVerb::Restore(args) => order(args, "restore").await,
        OperatorVerb::Log { control, json } => log(&control, json).await,
    }
}

async fn order(args: OrderArgs, action: &str) -> Outcome {
    let by = args.by.or_else(|| ProcessVars.get("USER")).filter(|by| !by.is_empty());
    let by = by.ok_or("USER is not set; say with --by who gives the order")?;
    let subject = match (args.subject.asset, args.subject.org) {
        (Some(asset), _) => format!("assets/{asset}"),
        (None, Some(org)) => format!("organizations/{org}"),
        (None, None) => return Err("name an asset with --asset, or an organisation with --org".into()),
    };
    let api = args.control.api()?;
    let path = format!("/internal/operator/{subject}/{action}");
    let wish = json!({ "by": by, "reason": args.reason });
    let order = api.json(api.request(Method::POST, &path).json(&wish)).await?;
    let done = if action == "suspend" { "suspended" } else { "restored" };
    println!("{} {} is {done}", order["kind"].as_str().unwrap_or("-"), order["subject"].as_str().unwrap_or("-"));
    if let (Some(asked), Some(told)) = (order["edges"]["asked"].as_u64(), order["edges"]["told"].as_u64())
        && told < asked
    {
        eprintln!("{told} of {asked} edges know already; the others learn it with their next heartbeat");
    }
    Ok(ExitCode::SUCCESS)
}

async fn log(control: &Control, as_json: bool) -> Outcome {
    let api = control.api()?;
    let mut after = "0".to_owned();
    loop {
        let page = api.get(&format!("/internal/operator/orders?after={after}")).await?;
        for order in page["data"].as_array().into_iter().flatten() {
            if as_json {
                println!("{order}");
                continue;
            }
            let text = |name: &str| order[name].as_str().unwrap_or("-").to_owned();
            let about = format!("{} {}", text("kind"), text("subject"));
            println!("{}  {:<8} {about:<42} {}: {}", text("at"), text("action"), text("by"), text("reason"));
        }
        match page["next_cursor"].as_str() {
            Some(cursor) => after = cursor.to_owned(),
            None => return Ok(ExitCode::SUCCESS),
        }
    }
}
