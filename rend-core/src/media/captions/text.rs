//! What a cue says, with no markup but that which WebVTT knows.

/// `line` with known tags and character references as they are, other tags left out, and everything else as plain text.
/// Cleaning again changes nothing.
pub(super) fn cleaned(line: &str, srt: bool) -> String {
    let mut out = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(first) = rest.chars().next() {
        let after = &rest[first.len_utf8()..];
        match first {
            '<' => match tag(after) {
                Some((tag, behind)) => {
                    out.push_str(&tag);
                    rest = behind;
                    continue;
                }
                None => out.push_str("&lt;"),
            },
            '>' => out.push_str("&gt;"),
            '&' => {
                if let Some(len) = reference(after) {
                    out.push('&');
                    out.push_str(&after[..len]);
                    rest = &after[len..];
                    continue;
                }
                out.push_str("&amp;");
            }
            // Other players' commands, such as {\an8}.
            '{' if srt && after.starts_with('\\') && after.contains('}') => {
                rest = after.split_once('}').map_or("", |(_, behind)| behind);
                continue;
            }
            // What can not be seen may do anything.
            c if c.is_control() && c != '\t' => {}
            c => out.push(c),
        }
        rest = after;
    }
    out
}

/// Whether a line of SRT asks to stand at the upper edge.
pub(super) fn is_raised(line: &str) -> bool {
    ["{\\an7}", "{\\an8}", "{\\an9}"].iter().any(|command| line.contains(command))
}

/// The tag that `text` begins with, after its `<`, as it is kept (nothing for an unknown one), and what stands behind it.
/// `None` when it is no tag.
fn tag(text: &str) -> Option<(String, &str)> {
    let (inside, behind) = text.split_once('>')?;
    let (closes, inside) = inside.strip_prefix('/').map_or((false, inside), |rest| (true, rest));
    let starts = inside.chars().next()?;
    if starts.is_ascii_digit() && !closes {
        // When the words behind it are shown.
        let at = super::instant(inside).filter(|_| inside.contains('.'));
        return Some((at.map_or_else(String::new, |ms| format!("<{}>", super::Instant(ms))), behind));
    }
    if !starts.is_ascii_alphabetic() || inside.contains('<') {
        return None;
    }
    let end = inside.find([' ', '\t']).unwrap_or(inside.len());
    let (word, annotation) = inside.split_at(end);
    let (name, classes) = word.split_once('.').map_or((word, ""), |(name, classes)| (name, classes));
    let name = name.to_ascii_lowercase();
    if !TAGS.contains(&name.as_str()) {
        return Some((String::new(), behind));
    }
    if closes {
        return Some((format!("</{name}>"), behind));
    }
    let mut kept = format!("<{name}");
    let plain = |class: &&str| {
        !class.is_empty() && class.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'))
    };
    // Dashes before the tag's end would make it an arrow, which begins another cue.
    for class in classes.split('.').map(|class| class.trim_end_matches('-')).filter(plain) {
        kept.push('.');
        kept.push_str(class);
    }
    let annotation: String = annotation.chars().filter(|c| !c.is_control() && !matches!(c, '&' | '<' | '>')).collect();
    let annotation = annotation.trim_start().trim_end_matches(|c: char| c == '-' || c.is_whitespace());
    if ANNOTATED.contains(&name.as_str()) && !annotation.is_empty() {
        kept.push(' ');
        kept.push_str(annotation);
    }
    kept.push('>');
    Some((kept, behind))
}

/// The length of the character reference that `text` begins with, after its `&`, up to its `;`.
fn reference(text: &str) -> Option<usize> {
    let end = text.bytes().take(REFERENCE_BYTES_MAX).position(|byte| byte == b';')?;
    let name = &text[..end];
    let known = match name.strip_prefix('#') {
        Some(number) => {
            let (digits, hex) = number.strip_prefix(['x', 'X']).map_or((number, false), |hex| (hex, true));
            let fits = |byte: u8| if hex { byte.is_ascii_hexdigit() } else { byte.is_ascii_digit() };
            !digits.is_empty() && digits.bytes().all(fits)
        }
        None => REFERENCES.contains(&name),
    };
    known.then_some(end + 1)
}

/// The tags of WebVTT.
const TAGS: [&str; 8] = ["b", "i", "u", "c", "v", "lang", "ruby", "rt"];
/// Those that say something besides their name: who speaks, and in which language.
const ANNOTATED: [&str; 2] = ["v", "lang"];
/// Character references that every player of WebVTT knows.
const REFERENCES: [&str; 7] = ["amp", "lt", "gt", "nbsp", "lrm", "rlm", "quot"];
/// Bytes of a character reference that are looked at.
const REFERENCE_BYTES_MAX: usize = 10;
