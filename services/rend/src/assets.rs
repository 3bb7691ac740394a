//! `rend ls`, `show`, `rm` and `play`.

use std::process::ExitCode;

use reqwest::Method;
use serde_json::Value;

use crate::Outcome;
use crate::client::Api;

pub(crate) async fn list(api: &Api, json: bool) -> Outcome {
    let mut cursor: Option<String> = None;
    loop {
        let path =
            cursor.as_ref().map_or_else(|| "/v1/assets".to_owned(), |cursor| format!("/v1/assets?cursor={cursor}"));
        let page = api.get(&path).await?;
        for asset in page["data"].as_array().into_iter().flatten() {
            if json {
                println!("{asset}");
            } else {
                println!(
                    "{}  {:<12}  {:>8}  {}",
                    text(asset, "id"),
                    text(asset, "playable_state"),
                    asset["duration_ms"].as_u64().map_or_else(|| "-".into(), duration),
                    text(asset, "title")
                );
            }
        }
        match page["next_cursor"].as_str() {
            Some(next) => cursor = Some(next.to_owned()),
            None => return Ok(ExitCode::SUCCESS),
        }
    }
}

pub(crate) async fn show(api: &Api, id: &str, json: bool) -> Outcome {
    let asset = api.get(&format!("/v1/assets/{}", checked(id)?)).await?;
    if json {
        println!("{asset}");
        return Ok(ExitCode::SUCCESS);
    }
    let line = |name: &str, value: String| println!("{name:<12} {value}");
    line("title", text(&asset, "title"));
    line("source", text(&asset, "source_state"));
    line("playable", text(&asset, "playable_state"));
    line("policy", text(&asset, "playback_policy"));
    if let Some(millis) = asset["duration_ms"].as_u64() {
        line("duration", duration(millis));
    }
    if let (Some(width), Some(height)) = (asset["width"].as_u64(), asset["height"].as_u64()) {
        line("size", format!("{width}×{height}"));
    }
    for rung in asset["renditions"].as_array().into_iter().flatten() {
        let rate = rung["bandwidth"].as_u64().map_or_else(String::new, |bits| format!(", peak {} kbit/s", bits / 1000));
        line("rendition", format!("{} {}{rate}", text(rung, "name"), text(rung, "state")));
    }
    for note in asset["input_report"].as_array().into_iter().flatten() {
        let cost = note["cost_ms"].as_u64().map_or_else(String::new, |millis| format!(" ({millis} ms)"));
        line("note", format!("{}{cost}", text(note, "what")));
    }
    if let Some(detail) = asset["failure"]["detail"].as_str() {
        line("failed", format!("{detail} ({})", text(&asset["failure"], "code")));
    }
    for job in asset["jobs"].as_array().into_iter().flatten() {
        let error = job["error"]["code"].as_str().map_or_else(String::new, |code| format!(", last trouble {code}"));
        line(
            "job",
            format!(
                "{} {} (try {} of {}{error})",
                text(job, "kind"),
                text(job, "state"),
                job["attempt"],
                job["attempts_max"]
            ),
        );
    }
    line("page", text(&asset, "playback_url"));
    Ok(ExitCode::SUCCESS)
}

pub(crate) async fn remove(api: &Api, ids: &[String]) -> Outcome {
    for id in ids {
        api.json(api.request(Method::DELETE, &format!("/v1/assets/{}", checked(id)?))).await?;
        println!(
            "{id} no longer plays; its files are being removed, and `asset.deleted` in its events says when they are gone"
        );
    }
    Ok(ExitCode::SUCCESS)
}

pub(crate) async fn play(api: &Api, id: &str) -> Outcome {
    let playback = api.get(&format!("/v1/assets/{}/playback", checked(id)?)).await?;
    println!("{}{}", api.base, text(&playback, "player_url"));
    Ok(ExitCode::SUCCESS)
}

/// An id as the server writes it, so that a typing error does not become another route.
pub(crate) fn checked(id: &str) -> Result<&str, String> {
    id.parse::<rend_core::id::AssetId>().map(|_| id).map_err(|_| format!("`{id}` is no asset id; `rend ls` lists them"))
}

pub(crate) fn text(value: &Value, name: &str) -> String {
    value[name].as_str().unwrap_or("-").to_owned()
}

fn duration(millis: u64) -> String {
    let secs = millis / 1000;
    if secs >= 3600 {
        format!("{}:{:02}:{:02}", secs / 3600, secs / 60 % 60, secs % 60)
    } else {
        format!("{}:{:02}", secs / 60, secs % 60)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_as_people_write_them() {
        assert_eq!(duration(999), "0:00");
        assert_eq!(duration(61_000), "1:01");
        assert_eq!(duration(3_661_000), "1:01:01");
    }

    #[test]
    fn only_an_asset_id_becomes_part_of_a_path() {
        assert!(checked("018f5d3e-7c1a-7b2c-9d4e-5f60718293a4").is_ok());
        assert!(checked("../keys").is_err());
    }
}
