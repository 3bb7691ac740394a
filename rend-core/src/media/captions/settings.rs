//! Where on the picture a cue stands, in the words of WebVTT.

/// The settings of `text` that mean something by themselves, each once, as they stand there. A region is not kept, since
/// regions are not.
pub(super) fn kept(text: &str) -> String {
    let mut found: Vec<(&str, &str)> = Vec::new();
    for word in text.split_ascii_whitespace() {
        if let Some((name, value)) = word.split_once(':')
            && means_something(name, value)
            && !found.iter().any(|(known, _)| *known == name)
        {
            found.push((name, value));
        }
    }
    found.iter().map(|(name, value)| format!("{name}:{value}")).collect::<Vec<_>>().join(" ")
}

fn means_something(name: &str, value: &str) -> bool {
    let (first, second) = value.split_once(',').map_or((value, None), |(first, second)| (first, Some(second)));
    match name {
        "vertical" => matches!(value, "rl" | "lr"),
        "align" => matches!(value, "start" | "center" | "end" | "left" | "right"),
        "size" => percent(value),
        "position" => percent(first) && second.is_none_or(|word| matches!(word, "line-left" | "center" | "line-right")),
        "line" => {
            let number = first.strip_prefix('-').unwrap_or(first);
            (percent(first) || digits(number, 4))
                && second.is_none_or(|word| matches!(word, "start" | "center" | "end"))
        }
        _ => false,
    }
}

fn percent(text: &str) -> bool {
    let Some(number) = text.strip_suffix('%') else { return false };
    let (whole, part) = number.split_once('.').unwrap_or((number, "0"));
    digits(whole, 3) && digits(part, 6) && whole.parse::<u32>().is_ok_and(|whole| whole <= 100)
}

fn digits(text: &str, len_max: usize) -> bool {
    (1..=len_max).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
}
