//! Which sounds of a source viewers choose from.
//!
//! A source with sound in one language has it in every rendition of its pictures. With two languages or more each sound is a
//! rendition of its own, and the pictures have none: see [`sounds`].

use crate::artifact::{Lang, Rendition};
use crate::language::LangTag;
use crate::media::playlist::Track;
use crate::media::probe::{Audio, Source};

/// A sound with a rendition of its own.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Sound {
    /// The rendition that it becomes.
    pub rendition: Rendition,
    /// Its language.
    pub lang: Lang,
    /// What viewers choose it by. No other sound of the source has the same.
    pub name: String,
    /// Whether it is heard unless somebody chooses otherwise. One of them is.
    pub default: bool,
}

impl Sound {
    /// Its entry in the multivariant playlist, with this many channels.
    pub fn track(&self, channels: u32) -> Track {
        Track {
            uri: format!("{}/index.m3u8", self.rendition),
            lang: LangTag::from(self.lang).bcp47(),
            name: self.name.clone(),
            default: self.default,
            channels,
            accessible: false,
        }
    }
}

/// The sounds of `source` that become renditions of their own, each with the stream it is made of.
///
/// There are none unless there is a picture, and sound in two languages at least. The first is the one that is heard unless
/// somebody chooses otherwise. Of more than [`SOUNDS_MAX`] sounds the first are taken.
pub fn sounds(source: &Source) -> Vec<(Sound, &Audio)> {
    if source.video.is_none() {
        return Vec::new();
    }
    let heard: Vec<&Audio> = source.audio.iter().chain(&source.other_audio).collect();
    let langs: Vec<Lang> = heard.iter().map(|audio| audio.lang).collect();
    named(&langs).into_iter().zip(heard).collect()
}

/// Sounds in these languages as renditions of their own, the first of them heard by default; none when all are in one
/// language.
pub fn named(langs: &[Lang]) -> Vec<Sound> {
    let tags: Vec<LangTag> = langs.iter().copied().map(LangTag::from).collect();
    if tags.iter().all(|tag| Some(tag) == tags.first()) {
        return Vec::new();
    }
    let sound = |(place, lang): (usize, &Lang)| {
        let tag = LangTag::from(*lang);
        let again = tags.iter().take(place).filter(|earlier| **earlier == tag).count();
        let number = u8::try_from(again).unwrap_or(u8::MAX).saturating_add(1);
        let (rendition, name) = match number {
            1 => (Rendition::Audio(*lang), tag.name()),
            _ => (Rendition::AudioAgain { lang: *lang, number }, format!("{} {number}", tag.name())),
        };
        Sound { rendition, lang: *lang, name, default: place == 0 }
    };
    langs.iter().take(SOUNDS_MAX).enumerate().map(sound).collect()
}

/// Sounds that become renditions of their own at most.
pub const SOUNDS_MAX: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::plan::tests::source;

    #[track_caller]
    fn check(langs: &[&str], expect: &[(&str, &str)]) {
        let langs: Vec<Lang> = langs.iter().map(|lang| lang.parse().unwrap()).collect();
        let told: Vec<_> = named(&langs).iter().map(|s| (s.rendition.to_string(), s.name.clone())).collect();
        let expect: Vec<_> = expect.iter().map(|(path, name)| ((*path).to_owned(), (*name).to_owned())).collect();
        assert_eq!(told, expect);
    }

    #[test]
    fn sounds_are_parted_from_the_picture_when_there_are_two_languages() {
        check(&[], &[]);
        check(&["eng"], &[]);
        check(&["eng", "en"], &[]);
        check(&["eng", "deu"], &[("a-eng", "English"), ("a-deu", "Deutsch")]);
        check(&["und", "fre"], &[("a-und", "Unknown"), ("a-fre", "Français")]);
    }

    #[test]
    fn a_language_that_comes_again_has_a_name_and_a_path_of_its_own() {
        check(
            &["eng", "deu", "eng", "ger", "eng"],
            &[
                ("a-eng", "English"),
                ("a-deu", "Deutsch"),
                ("a-eng-2", "English 2"),
                ("a-ger-2", "Deutsch 2"),
                ("a-eng-3", "English 3"),
            ],
        );
    }

    #[test]
    fn no_more_sounds_are_taken_than_the_bound_says() {
        let langs: Vec<Lang> = ["eng", "deu"].iter().cycle().take(40).map(|lang| lang.parse().unwrap()).collect();
        let all = named(&langs);
        assert_eq!(all.len(), SOUNDS_MAX);
        assert_eq!(all.iter().filter(|sound| sound.default).count(), 1);
        assert!(all.iter().all(|sound| sound.rendition.to_string().parse() == Ok(sound.rendition)));
    }

    #[test]
    fn a_source_without_pictures_has_no_choice_of_sounds() {
        let mut source = source(640, 360, 10);
        let other = source.audio.clone().unwrap();
        source.other_audio = vec![Audio { index: 2, lang: "deu".parse().unwrap(), ..other }];
        assert_eq!(sounds(&source).iter().map(|(_, audio)| audio.index).collect::<Vec<_>>(), [1, 2]);
        source.video = None;
        assert!(sounds(&source).is_empty());
    }
}
