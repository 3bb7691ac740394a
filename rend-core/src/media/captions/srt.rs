//! SRT as it comes, which nobody has ever written down: counters may be wrong or missing, and so may empty lines.

use super::{BadCaptions, CUES_MAX, Cue, Wrong, cue, lines, times};

/// The cues of `text` as they come. A cue goes from its line of times to the next one, without the counter before that.
pub(super) fn read(text: &str) -> Result<Vec<Cue>, BadCaptions> {
    let mut cues = Vec::new();
    let mut open: Option<(u32, (u64, u64))> = None;
    let mut said: Vec<&str> = Vec::new();
    for (number, line) in lines(text) {
        let line = line.trim();
        if !line.contains("-->") {
            if open.is_none() && !line.is_empty() && !is_counter(line) {
                return Err(BadCaptions { line: number, wrong: Wrong::NotCaptions });
            }
            said.push(line);
            continue;
        }
        // An arrow in what is said is no line of times; one that misses its times is a mistake.
        let Some((when, _)) = times(line) else {
            if open.is_some() && !line.starts_with(|first: char| first.is_ascii_digit()) {
                said.push(line);
                continue;
            }
            return Err(BadCaptions { line: number, wrong: Wrong::Times });
        };
        if let Some((first, when)) = open.take() {
            if let [.., before, last] = said.as_slice()
                && before.is_empty()
                && is_counter(last)
            {
                said.pop();
            }
            cues.extend(cue(first, when, String::new(), &said, true)?);
        }
        if cues.len() == CUES_MAX {
            return Err(BadCaptions { line: number, wrong: Wrong::TooManyCues });
        }
        said.clear();
        open = Some((number, when));
    }
    match open {
        Some((first, when)) => cues.extend(cue(first, when, String::new(), &said, true)?),
        None => return Err(BadCaptions { line: 1, wrong: Wrong::NotCaptions }),
    }
    Ok(cues)
}

fn is_counter(line: &str) -> bool {
    (1..=10).contains(&line.len()) && line.bytes().all(|byte| byte.is_ascii_digit())
}
