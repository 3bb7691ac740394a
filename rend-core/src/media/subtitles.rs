//! Subtitles that lie inside a source: which of them become captions.

use crate::language::LangTag;

/// A track of subtitles in a source.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Subtitle {
    /// Its stream in the file.
    pub index: u32,
    /// Its codec in ffmpeg's word.
    pub codec: String,
    /// Its language.
    pub lang: LangTag,
    /// Whether it shows only what nobody in the film's language would understand.
    pub forced: bool,
    /// Whether it tells noises too.
    pub accessible: bool,
}

impl Subtitle {
    /// Whether it is text. The others are pictures, and can not become captions.
    pub fn is_text(&self) -> bool {
        TEXTS.contains(&self.codec.as_str())
    }
}

/// Those of `all` that become captions, and sentences for the owner of the file on these and on those that do not.
///
/// A language has captions once: the first that is not forced is taken. At most `languages_max` are.
pub fn chosen(all: &[Subtitle], languages_max: usize) -> (Vec<&Subtitle>, Vec<String>) {
    let mut taken: Vec<&Subtitle> = Vec::new();
    for subtitle in all.iter().filter(|subtitle| subtitle.is_text() && !subtitle.forced) {
        if taken.len() < languages_max && taken.iter().all(|other| other.lang != subtitle.lang) {
            taken.push(subtitle);
        }
    }
    let mut notes = Vec::new();
    if !taken.is_empty() {
        let names: Vec<String> = taken.iter().map(|subtitle| subtitle.lang.name()).collect();
        notes.push(format!("subtitles inside the file become captions where they can be read: {}", names.join(", ")));
    }
    let mut drawn: Vec<String> =
        all.iter().filter(|subtitle| !subtitle.is_text()).map(|subtitle| subtitle.lang.name()).collect();
    if !drawn.is_empty() {
        drawn.dedup();
        drawn.truncate(languages_max);
        notes.push(format!("subtitles that are pictures were left out: {}", drawn.join(", ")));
    }
    let more = all.iter().filter(|subtitle| subtitle.is_text()).count() - taken.len();
    if more > 0 {
        notes.push(format!("{more} more subtitle tracks in the same languages were left out"));
    }
    (taken, notes)
}

/// What ffmpeg calls subtitles that are text.
const TEXTS: [&str; 7] = ["mov_text", "subrip", "srt", "ass", "ssa", "webvtt", "text"];

#[cfg(test)]
mod tests {
    use super::*;

    fn track(index: u32, codec: &str, lang: &str) -> Subtitle {
        let lang = LangTag::of(lang).unwrap();
        Subtitle { index, codec: codec.to_owned(), lang, forced: false, accessible: false }
    }

    #[track_caller]
    fn check(all: &[Subtitle], expect: &[u32], notes: &[&str]) {
        let (taken, told) = chosen(all, 3);
        assert_eq!(taken.iter().map(|subtitle| subtitle.index).collect::<Vec<_>>(), expect);
        assert_eq!(told.len(), notes.len(), "{told:?}");
        for (told, note) in told.iter().zip(notes) {
            assert!(told.contains(note), "{told}");
        }
    }

    #[test]
    fn text_is_taken_once_a_language_and_pictures_are_told() {
        check(&[], &[], &[]);
        check(&[track(2, "mov_text", "en")], &[2], &["become captions where they can be read: English"]);
        check(&[track(2, "hdmv_pgs_subtitle", "de")], &[], &["pictures were left out: Deutsch"]);
        let forced = Subtitle { forced: true, ..track(1, "subrip", "en") };
        let all = [forced, track(2, "ass", "en"), track(3, "subrip", "de"), track(4, "dvd_subtitle", "fr")];
        check(&all, &[2, 3], &["English, Deutsch", "pictures were left out: Français", "1 more"]);
        let many = ["en", "de", "fr", "es"].map(|lang| track(1, "webvtt", lang));
        check(&many, &[1, 1, 1], &["Français", "1 more"]);
    }
}
