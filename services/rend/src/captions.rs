//! `rend captions add | ls | rm`: what is shown over a video for who can not hear it or does not know its language.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Subcommand, ValueEnum};
use rend_core::language::LangTag;
use reqwest::Method;
use serde_json::Value;

use crate::Outcome;
use crate::assets::{checked, text};
use crate::client::{Api, Server};

#[derive(Subcommand)]
pub(crate) enum CaptionsVerb {
    /// Give an asset captions in one language; what it has in that language is replaced
    Add {
        /// The asset's id
        id: String,
        /// A WebVTT or SRT file in UTF-8
        file: PathBuf,
        /// Their language, such as en or pt-BR; without it, what stands before the ending: film.pt-BR.srt
        #[arg(long)]
        lang: Option<String>,
        /// What viewers choose them by; without it, the language's own name
        #[arg(long)]
        label: Option<String>,
        /// What they are for
        #[arg(long, value_enum, default_value = "subtitles")]
        kind: Kind,
        /// Show them unless a viewer chooses otherwise
        #[arg(long)]
        default: bool,
    },
    /// List the captions of an asset
    Ls {
        /// The asset's id
        id: String,
        /// As JSON, a line a language
        #[arg(long)]
        json: bool,
    },
    /// Take the captions in some languages away
    Rm {
        /// The asset's id
        id: String,
        /// Their languages
        #[arg(required = true)]
        langs: Vec<String>,
    },
}

/// What captions are for.
#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum Kind {
    /// What is said, for who does not understand the language
    Subtitles,
    /// What is said and heard, for who can not hear
    Captions,
}

pub(crate) async fn captions(server: &Server, verb: CaptionsVerb) -> Outcome {
    let api = Api::of(server)?;
    match verb {
        CaptionsVerb::Add { id, file, lang, label, kind, default } => {
            let lang = match &lang {
                Some(lang) => tag(lang)?,
                None => of_name(&file)?,
            };
            let body = tokio::fs::read(&file).await.map_err(|error| format!("{}: {error}", file.display()))?;
            let kind = match kind {
                Kind::Subtitles => "subtitles",
                Kind::Captions => "captions",
            };
            let mut query = vec![("kind", kind.to_owned()), ("default", default.to_string())];
            query.extend(label.map(|label| ("label", label)));
            let path = format!("/v1/assets/{}/captions/{lang}", checked(&id)?);
            let given = api.json(api.request(Method::PUT, &path).query(&query).body(body)).await?;
            println!("{}", line(&given));
        }
        CaptionsVerb::Ls { id, json } => {
            let page = api.get(&format!("/v1/assets/{}/captions", checked(&id)?)).await?;
            for row in page["data"].as_array().into_iter().flatten() {
                if json {
                    println!("{row}");
                } else {
                    println!("{}", line(row));
                }
            }
        }
        CaptionsVerb::Rm { id, langs } => {
            for lang in langs {
                let path = format!("/v1/assets/{}/captions/{}", checked(&id)?, tag(&lang)?);
                api.json(api.request(Method::DELETE, &path)).await?;
                println!("{lang} is gone");
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn line(row: &Value) -> String {
    let cues = row["cues"].as_u64().unwrap_or(0);
    let shown = if row["default"] == true { ", shown by default" } else { "" };
    let (lang, kind, state, label) = (text(row, "lang"), text(row, "kind"), text(row, "state"), text(row, "label"));
    format!("{lang:<12} {kind:<10} {state:<10} {cues:>6} cues  {label}{shown}")
}

fn tag(lang: &str) -> Result<LangTag, String> {
    LangTag::of(lang).map_err(|bad| format!("{lang}: {bad}"))
}

/// The language that a file's name tells before its ending.
fn of_name(file: &Path) -> Result<LangTag, String> {
    let stem = file.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
    let last = stem.rsplit_once('.').map_or(stem, |(_, last)| last);
    LangTag::of(last).map_err(|_| {
        format!("the name of {} tells no language such as film.pt-BR.srt; say it with --lang", file.display())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(file: &str, expect: Option<&str>) {
        assert_eq!(of_name(Path::new(file)).ok().map(|tag| tag.bcp47()).as_deref(), expect, "{file}");
    }

    #[test]
    fn a_files_name_tells_its_language() {
        check("film.pt-BR.srt", Some("pt-BR"));
        check("/tmp/some.film.de.vtt", Some("de"));
        check("en.vtt", Some("en"));
        check("captions.vtt", None);
        check("film.captions.vtt", None);
    }
}
