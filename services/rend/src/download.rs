//! `rend download`: a rendition as one ordinary file.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use futures::StreamExt;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;

use crate::Outcome;
use crate::assets::{checked, text};
use crate::client::{Api, Server};

#[derive(Args)]
pub(crate) struct DownloadArgs {
    #[command(flatten)]
    server: Server,
    /// The asset's id
    id: String,
    /// Which rung, such as 720p; without it, the best up to 1080p
    #[arg(long)]
    rung: Option<String>,
    /// Write the file here; without it, print where it can be fetched
    #[arg(long, short)]
    output: Option<PathBuf>,
    /// Take the file away instead
    #[arg(long, conflicts_with = "output", requires = "rung")]
    remove: bool,
}

pub(crate) async fn download(args: DownloadArgs) -> Outcome {
    let api = Api::of(&args.server)?;
    let path = format!("/v1/assets/{}/downloads", checked(&args.id)?);
    if args.remove {
        let rung = named(args.rung.as_deref().unwrap_or_default())?;
        api.json(api.request(Method::DELETE, &format!("{path}/{rung}"))).await?;
        println!("{rung} can no longer be downloaded");
        return Ok(ExitCode::SUCCESS);
    }
    let made = made(&api, &path, args.rung.as_deref()).await?;
    let url = made["url"].as_str().ok_or("the file is there, but the asset is out of service")?;
    match &args.output {
        Some(file) => {
            let bytes = keep(&api, url, file, made["bytes"].as_u64()).await?;
            println!("{}: {bytes} bytes of {}", file.display(), text(&made, "rung"));
        }
        None => println!("{url}"),
    }
    Ok(ExitCode::SUCCESS)
}

/// The download once it is there. It is asked for again while it is not, which changes nothing.
async fn made(api: &Api, path: &str, rung: Option<&str>) -> Result<Value, String> {
    let wish = rung.map_or_else(|| json!({}), |rung| json!({ "rung": rung }));
    let asked = api.json(api.request(Method::POST, path).json(&wish)).await?;
    let own = asked["rung"].clone();
    let mut now = asked;
    for _ in 0..LOOKS_MAX {
        match now["state"].as_str() {
            Some("ready") => return Ok(now),
            Some("failed") => {
                let error = &now["error"];
                return Err(format!(
                    "{} could not be made: {} ({})",
                    text(&now, "rung"),
                    text(error, "detail"),
                    text(error, "code")
                ));
            }
            Some(_) | None => {}
        }
        tokio::time::sleep(LOOK_EVERY).await;
        let page = api.get(path).await?;
        let row = page["data"].as_array().into_iter().flatten().find(|row| row["rung"] == own);
        now = row.cloned().ok_or("somebody took the download away meanwhile")?;
    }
    Err("it is still being made; ask again later".into())
}

/// Fetches the file. Nothing stands under its name until all of it is there.
async fn keep(api: &Api, url: &str, file: &Path, bytes: Option<u64>) -> Result<u64, String> {
    let told = |error: std::io::Error| format!("{}: {error}", file.display());
    let mut name = file.as_os_str().to_owned();
    name.push(".part");
    let part = PathBuf::from(name);
    let mut body = api.fetch(url).await?.bytes_stream();
    let mut out = tokio::fs::File::create(&part).await.map_err(told)?;
    let mut came = 0;
    while let Some(chunk) = body.next().await {
        let chunk = chunk.map_err(|_| "the connection broke; try again".to_owned())?;
        came += chunk.len() as u64;
        out.write_all(&chunk).await.map_err(told)?;
    }
    out.sync_all().await.map_err(told)?;
    if bytes.is_some_and(|bytes| bytes != came) {
        return Err(format!("{came} bytes came instead of {}; try again", bytes.unwrap_or(0)));
    }
    tokio::fs::rename(&part, file).await.map_err(told)?;
    Ok(came)
}

/// A rung as the server writes it, so that a typing error does not become another route.
fn named(rung: &str) -> Result<&str, String> {
    let known = rung.parse::<rend_core::artifact::Rendition>().is_ok();
    if known { Ok(rung) } else { Err(format!("`{rung}` is no rung such as 720p")) }
}

/// How often is looked whether the file is there, and how many times at most: an hour.
const LOOK_EVERY: Duration = Duration::from_millis(500);
const LOOKS_MAX: u32 = 7200;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_rung_becomes_part_of_a_path() {
        for rung in ["720p", "src", "a-eng"] {
            assert!(named(rung).is_ok());
        }
        for odd in ["", "720", "../keys"] {
            assert!(named(odd).is_err(), "{odd}");
        }
    }
}
