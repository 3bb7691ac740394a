//! WebVTT as it comes.

use super::{BadCaptions, CUES_MAX, Cue, Wrong, cue, lines, settings, times};

/// Whether a text says that it is WebVTT.
pub(super) fn is_vtt(text: &str) -> bool {
    text.strip_prefix("WEBVTT").is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t', '\r', '\n']))
}

/// The cues of `text` as they come. What stands before the first empty line is the header's and says nothing to us.
pub(super) fn read(text: &str) -> Result<Vec<Cue>, BadCaptions> {
    let mut cues = Vec::new();
    let mut all = lines(text).peekable();
    while all.next_if(|(_, line)| !line.trim().is_empty()).is_some() {}
    loop {
        while all.next_if(|(_, line)| line.trim().is_empty()).is_some() {}
        let Some((number, line)) = all.next() else { return Ok(cues) };
        if !line.contains("-->") && is_aside(line) {
            while all.next_if(|(_, line)| !line.trim().is_empty()).is_some() {}
            continue;
        }
        // A cue may have a name, which nobody sees.
        let (at, line) = if line.contains("-->") {
            (number, line)
        } else {
            all.next_if(|(_, line)| line.contains("-->")).ok_or(BadCaptions { line: number, wrong: Wrong::Times })?
        };
        let (when, behind) = times(line).ok_or(BadCaptions { line: at, wrong: Wrong::Times })?;
        let mut said = Vec::new();
        while let Some((_, line)) = all.next_if(|(_, line)| !line.trim().is_empty() && !line.contains("-->")) {
            said.push(line);
        }
        if cues.len() == CUES_MAX {
            return Err(BadCaptions { line: at, wrong: Wrong::TooManyCues });
        }
        cues.extend(cue(at, when, settings::kept(behind), &said, false)?);
    }
}

/// Whether a block that begins so is none of the cues: a comment, styles, or a region.
fn is_aside(line: &str) -> bool {
    ["NOTE", "STYLE", "REGION"]
        .iter()
        .any(|word| line.strip_prefix(word).is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t'])))
}
