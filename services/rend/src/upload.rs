//! `rend upload FILE`.

use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use bytes::Bytes;
use clap::{Args, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};
use reqwest::{Body, Method};
use serde_json::Value;
use tokio::io::AsyncReadExt;

use crate::Outcome;
use crate::client::{Api, Server};

mod direct;
mod ledger;
mod pieces;
mod tries;

use pieces::Pieces;

/// What to upload, and how.
#[derive(Args)]
pub(crate) struct UploadArgs {
    #[command(flatten)]
    server: Server,
    /// The video file, or the https URL that the server shall fetch it from
    file: PathBuf,
    /// What to call it [default: the file's name]
    #[arg(long)]
    title: Option<String>,
    /// Who may play it: whoever has the link, or whoever your server vouches for
    #[arg(long, value_enum, default_value_t = Policy::Public)]
    policy: Policy,
    /// Send it in pieces that survive a break; the same command goes on where it stopped [default for files above 64 MiB]
    #[arg(long)]
    resumable: bool,
    /// Send it in parts that go straight to the object storage, past the API; the same command goes on where it stopped
    #[arg(long, conflicts_with = "resumable")]
    direct: bool,
    /// Wait until all of it plays
    #[arg(long)]
    wait: bool,
    /// Print the asset as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Policy {
    Public,
    Signed,
}

/// Files above this are sent in pieces unasked: what is smaller is sent again sooner than it is looked after.
const PIECES_ABOVE_BYTES: u64 = 64 << 20;
/// Bytes read from the file at a time.
const CHUNK_BYTES: usize = 256 << 10;
/// How often a waiting upload asks how far it is.
const ASK_EVERY: Duration = Duration::from_millis(250);

pub(crate) async fn upload(args: UploadArgs) -> Outcome {
    let api = Api::of(&args.server)?;
    let policy = match args.policy {
        Policy::Public => "public",
        Policy::Signed => "signed",
    };
    let quiet = args.json || !std::io::stderr().is_terminal();
    let mut asset = match args.file.to_str().filter(|text| text.starts_with("https://") || text.starts_with("http://"))
    {
        Some(url) => ask_for(&api, url, args.title.as_deref(), policy).await?,
        None => send(&api, &args, policy, quiet).await?,
    };
    let id = asset["id"].as_str().ok_or("the server's answer names no asset")?.to_owned();
    if args.wait {
        asset = wait(&Api::of(&args.server)?, &id, quiet).await?;
    }
    if args.json {
        println!("{asset}");
    } else {
        println!("{id}\n{}", asset["playback_url"].as_str().unwrap_or_default());
    }
    let failed = asset["playable_state"] == "failed";
    if failed {
        let failure = &asset["failure"];
        let text = |name: &str| failure[name].as_str().unwrap_or("unknown").to_owned();
        return Err(format!("{}: {} ({})", args.file.display(), text("detail"), text("code")));
    }
    Ok(ExitCode::SUCCESS)
}

/// Has the server fetch the video itself.
async fn ask_for(api: &Api, url: &str, title: Option<&str>, policy: &str) -> Result<Value, String> {
    let wish = serde_json::json!({ "source_url": url, "title": title, "policy": policy });
    api.json(api.request(Method::POST, "/v1/videos").json(&wish)).await
}

async fn send(api: &Api, args: &UploadArgs, policy: &str, quiet: bool) -> Result<Value, String> {
    let name = args.file.display();
    let meta = tokio::fs::metadata(&args.file).await.map_err(|e| format!("{name} can not be read: {e}"))?;
    if !meta.is_file() {
        return Err(format!("{name} is not a file"));
    }
    let title = args.title.clone().unwrap_or_else(|| {
        args.file.file_name().map_or_else(|| "Untitled".into(), |n| n.to_string_lossy().into_owned())
    });
    let bar = if quiet { ProgressBar::hidden() } else { ProgressBar::new(meta.len()) };
    if let Ok(style) =
        ProgressStyle::with_template("{spinner} {msg} {wide_bar} {bytes}/{total_bytes} {bytes_per_sec} {eta}")
    {
        bar.set_style(style);
    }
    bar.set_message(title.clone());
    let asset = if args.direct {
        let (server, path, title) = (&args.server, args.file.as_path(), title.as_str());
        Pieces { server, path, title, policy, bar: &bar }.send_direct().await?
    } else if args.resumable || meta.len() > PIECES_ABOVE_BYTES {
        let (server, path, title) = (&args.server, args.file.as_path(), title.as_str());
        Pieces { server, path, title, policy, bar: &bar }.send().await?
    } else {
        let file = tokio::fs::File::open(&args.file).await.map_err(|e| format!("{name} can not be read: {e}"))?;
        let request = api
            .request(Method::POST, "/v1/videos")
            .query(&[("title", title.as_str()), ("policy", policy)])
            .header("content-length", meta.len())
            .body(Body::wrap_stream(chunks(file, bar.clone())));
        api.json(request).await?
    };
    bar.finish_and_clear();
    Ok(asset)
}

fn chunks(file: tokio::fs::File, bar: ProgressBar) -> impl futures::Stream<Item = std::io::Result<Bytes>> {
    futures::stream::unfold((file, bar), |(mut file, bar)| async move {
        let mut chunk = vec![0; CHUNK_BYTES];
        match file.read(&mut chunk).await {
            Ok(0) => None,
            Ok(len) => {
                chunk.truncate(len);
                bar.inc(len as u64);
                Some((Ok(Bytes::from(chunk)), (file, bar)))
            }
            Err(error) => Some((Err(error), (file, bar))),
        }
    })
}

async fn wait(api: &Api, id: &str, quiet: bool) -> Result<Value, String> {
    let spinner = if quiet { ProgressBar::hidden() } else { ProgressBar::new_spinner() };
    loop {
        let asset = api.get(&format!("/v1/assets/{id}")).await?;
        let playable = asset["playable_state"].as_str().unwrap_or_default();
        if matches!(playable, "hls_ready" | "failed" | "deleted") {
            spinner.finish_and_clear();
            return Ok(asset);
        }
        let none = Vec::new();
        let rungs = asset["renditions"].as_array().unwrap_or(&none);
        let ready = rungs.iter().filter(|rung| rung["state"] == "ready").count();
        let word = if playable == "opener_ready" { "it plays; the rest is being made" } else { "it is being prepared" };
        spinner.set_message(format!("{word} ({ready} of {} renditions)", rungs.len()));
        spinner.tick();
        tokio::time::sleep(ASK_EVERY).await;
    }
}
