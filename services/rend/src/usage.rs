//! `rend usage`: what was delivered, as it is counted for good.

use std::process::ExitCode;

use clap::Args;
use rend_core::time::Timestamp;
use serde_json::Value;

use crate::Outcome;
use crate::client::{Api, Server};

#[derive(Args)]
pub(crate) struct UsageArgs {
    #[command(flatten)]
    server: Server,
    /// The first hour, such as 2027-01-15T08:00:00.000Z; without it, everything there is
    #[arg(long)]
    from: Option<Timestamp>,
    /// The hour before which to stop
    #[arg(long)]
    until: Option<Timestamp>,
    /// One JSON line an hour and tier: what `rend ledger verify --bill` compares with
    #[arg(long)]
    json: bool,
}

pub(crate) async fn usage(args: UsageArgs) -> Outcome {
    let api = Api::of(&args.server)?;
    let mut cursor: Option<String> = None;
    loop {
        let hours = [("from", args.from), ("until", args.until)];
        let hours = hours.into_iter().filter_map(|(name, at)| Some(format!("&{name}={}", at?)));
        let query: String = hours.chain(cursor.iter().map(|cursor| format!("&cursor={cursor}"))).collect();
        let page = api.get(&format!("/v1/usage?limit=200{query}")).await?;
        for row in page["data"].as_array().into_iter().flatten() {
            println!("{}", if args.json { bill_line(row) } else { shown(row) });
        }
        match page["next_cursor"].as_str() {
            Some(next) => cursor = Some(next.to_owned()),
            None => return Ok(ExitCode::SUCCESS),
        }
    }
}

/// A row as a line of a bill.
fn bill_line(row: &Value) -> String {
    let line = serde_json::json!({
        "hour": row["hour"],
        "org": row["org_id"],
        "tier": row["tier"],
        "delivered_ms": row["delivered_ms"],
    });
    line.to_string()
}

fn shown(row: &Value) -> String {
    let text = |name: &str| row[name].as_str().unwrap_or("-").to_owned();
    let lacks = if row["complete"] == true { "" } else { ", incomplete" };
    let delivered = row["delivered_ms"].as_u64().unwrap_or(0);
    format!("{}  {:<10} {delivered:>14} ms  revision {}{lacks}", text("hour"), text("tier"), row["revision"])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_shown_with_what_it_lacks_and_billed_without() {
        let row = serde_json::json!({
            "org_id": "o", "hour": "2027-01-15T08:00:00.000Z", "tier": "720p", "delivered_ms": 4000, "revision": 2,
            "complete": false, "counted_at": "2027-01-15T09:15:00.000Z"
        });
        assert_eq!(shown(&row), "2027-01-15T08:00:00.000Z  720p                 4000 ms  revision 2, incomplete");
        let line = r#"{"delivered_ms":4000,"hour":"2027-01-15T08:00:00.000Z","org":"o","tier":"720p"}"#;
        assert_eq!(bill_line(&row), line);
    }
}
