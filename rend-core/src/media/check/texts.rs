//! V6 for captions: their lists beside those of the picture, and what their segments begin with.

use super::Findings;
use super::lists::{MasterLines, MediaLines, attribute};
use super::presentation::List;
use crate::media::captions::{Captions, Wrong};

/// Whether the list at `uri` is one of captions.
pub(super) fn is_captions(master: &MasterLines, uri: &str) -> bool {
    captions(master).any(|(_, other)| other == uri)
}

/// What a multivariant playlist says of captions.
pub(super) fn groups(master: &MasterLines, found: &mut Findings) {
    let all: Vec<_> = captions(master).collect();
    for (attributes, uri) in &master.variants {
        let group = attribute(attributes, "SUBTITLES");
        found.error(group.is_some() || all.is_empty(), "V6", || format!("{uri}: is played without the captions"));
        let there = |group| all.iter().any(|(list, _)| attribute(list, "GROUP-ID") == Some(group));
        found.error(group.is_none_or(there), "V6", || format!("{uri}: its group of captions is not there"));
    }
    let defaults = all.iter().filter(|(list, _)| attribute(list, "DEFAULT") == Some("YES")).count();
    found.error(defaults <= 1, "V6", || "master: two captions are shown by default".to_owned());
    let mut names: Vec<_> = all.iter().filter_map(|(list, _)| attribute(list, "NAME")).collect();
    names.sort_unstable();
    found.error(names.windows(2).all(|pair| pair[0] != pair[1]), "V6", || {
        "master: two captions have one name".to_owned()
    });
    for (list, uri) in all {
        for key in ["NAME", "LANGUAGE", "AUTOSELECT"] {
            found.error(attribute(list, key).is_some(), "V6", || format!("{uri}: {key} is missing"));
        }
    }
}

/// What a list of captions must keep, beside a variant of `beside`.
pub(super) fn list(list: &List, lines: &MediaLines, beside: Option<&MediaLines>, found: &mut Findings) {
    let name = &list.uri;
    let target = lines.target_secs.unwrap_or(0);
    found.error(lines.maps.is_empty(), "V6", || format!("{name}: captions have no EXT-X-MAP"));
    for (index, line) in lines.segments.iter().enumerate() {
        found.error((line.micros + 500_000) / 1_000_000 <= target, "M1", || {
            format!("{name} #{index}: longer than the target duration")
        });
    }
    if let Some(beside) = beside {
        found.error(lines.target_secs == beside.target_secs, "V6", || format!("{name}: another target duration"));
        let apart = lines.micros().abs_diff(beside.micros());
        found.error(apart <= APART_US_MAX || !(lines.ended && beside.ended), "V6", || {
            format!("{name}: ends {apart} µs from the picture")
        });
    }
    found.error(list.texts.len() == lines.segments.len(), "M2", || format!("{name}: listed segments are missing"));
    for (index, text) in list.texts.iter().enumerate() {
        let header = text.lines().take_while(|line| !line.trim().is_empty());
        let mapped = header.clone().any(|line| line.starts_with("X-TIMESTAMP-MAP=") && line.contains("MPEGTS:"));
        found.error(text.starts_with("WEBVTT"), "V6", || format!("{name} #{index}: is no WebVTT"));
        found.error(mapped, "V6", || format!("{name} #{index}: X-TIMESTAMP-MAP is missing"));
        let wrong = Captions::read(text.as_bytes()).err().filter(|bad| bad.wrong != Wrong::Empty);
        if let (Some(bad), true) = (wrong, text.starts_with("WEBVTT")) {
            found.error(false, "V6", || format!("{name} #{index}: {bad}"));
        }
    }
}

fn captions(master: &MasterLines) -> impl Iterator<Item = &(String, String)> {
    master.media.iter().filter(|(list, _)| attribute(list, "TYPE") == Some("SUBTITLES"))
}

/// How far captions may end from the picture.
const APART_US_MAX: u64 = 1000;
