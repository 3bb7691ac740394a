//! Languages of sounds and captions: tags as BCP 47 writes them, and what people call them.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use crate::artifact::Lang;

/// A language as BCP 47 writes it, in lower case: `en`, `pt-br`, `zh-hant`, `es-419`.
///
/// A primary part of two or three letters, then at most two parts of two to eight letters and digits; at most
/// [`LangTag::LEN_MAX`] characters. It is safe in a path and in an attribute of a playlist.
///
/// ```
/// use rend_core::language::LangTag;
///
/// let tag = LangTag::of("pt-BR")?;
/// assert_eq!((tag.to_string().as_str(), tag.bcp47().as_str()), ("pt-br", "pt-BR"));
/// assert_eq!(tag.name(), "Português (BR)");
/// assert!(LangTag::of("portuguese").is_err());
/// # Ok::<(), rend_core::language::BadTag>(())
/// ```
#[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct LangTag([u8; Self::LEN_MAX]);

impl LangTag {
    /// Characters that a tag may have.
    pub const LEN_MAX: usize = 12;

    /// The tag that `text` writes, in letters of any case.
    ///
    /// # Errors
    ///
    /// [`BadTag`] when it is none.
    pub fn of(text: &str) -> Result<Self, BadTag> {
        if text.len() > Self::LEN_MAX {
            return Err(BadTag);
        }
        text.to_ascii_lowercase().parse()
    }

    /// The tag in lower case.
    pub fn as_str(&self) -> &str {
        let len = self.0.iter().position(|byte| *byte == 0).unwrap_or(Self::LEN_MAX);
        std::str::from_utf8(&self.0[..len]).unwrap_or("und")
    }

    /// The tag with the letters that BCP 47 recommends: `pt-BR`, `zh-Hant`; a language of three letters that has a name of
    /// two by that one.
    pub fn bcp47(&self) -> String {
        let mut parts = self.as_str().split('-');
        let first = parts.next().unwrap_or("und");
        let mut text = Spoken::of(first).map_or(first, |spoken| spoken.two).to_owned();
        for part in parts {
            text.push('-');
            match part.len() {
                2 => text.push_str(&part.to_ascii_uppercase()),
                4 if part.bytes().all(|byte| byte.is_ascii_lowercase()) => {
                    text.push_str(&part[..1].to_ascii_uppercase());
                    text.push_str(&part[1..]);
                }
                _ => text.push_str(part),
            }
        }
        text
    }

    /// What its speakers call the language, or the tag itself where that is not known here.
    pub fn name(&self) -> String {
        let text = self.as_str();
        let (first, rest) = text.split_once('-').unwrap_or((text, ""));
        match Spoken::of(first) {
            Some(spoken) if rest.is_empty() => spoken.name.to_owned(),
            Some(spoken) => {
                let shown = self.bcp47();
                format!("{} ({})", spoken.name, shown.split_once('-').map_or("", |(_, rest)| rest))
            }
            None if text == "und" => "Unknown".to_owned(),
            None => self.bcp47(),
        }
    }
}

impl From<Lang> for LangTag {
    /// The language by its shortest name.
    fn from(lang: Lang) -> Self {
        let code = lang.as_str();
        let mut tag = [0; Self::LEN_MAX];
        let short = Spoken::of(code).map_or(code, |spoken| spoken.two);
        tag[..short.len()].copy_from_slice(short.as_bytes());
        Self(tag)
    }
}

impl fmt::Display for LangTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for LangTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LangTag({self})")
    }
}

impl FromStr for LangTag {
    type Err = BadTag;

    /// Reads what `Display` prints: lower case only, so that one language has one path.
    fn from_str(text: &str) -> Result<Self, BadTag> {
        let mut parts = text.split('-');
        let first = parts.next().unwrap_or_default();
        let letters = (2..=3).contains(&first.len()) && first.bytes().all(|byte| byte.is_ascii_lowercase());
        let rest_fits = parts.clone().count() <= 2
            && parts.all(|part| {
                (2..=8).contains(&part.len())
                    && part.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
            });
        if text.len() > Self::LEN_MAX || !letters || !rest_fits {
            return Err(BadTag);
        }
        let mut tag = [0; Self::LEN_MAX];
        tag[..text.len()].copy_from_slice(text.as_bytes());
        Ok(Self(tag))
    }
}

/// The text is no language tag that Rend takes. Trying again will not help.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[error("not a language: two or three letters, then at most two parts such as a country, like en, pt-br or zh-hant")]
pub struct BadTag;

/// A language with the names that ISO 639 has for it and the one that its speakers have.
struct Spoken {
    two: &'static str,
    three: [&'static str; 2],
    name: &'static str,
}

impl Spoken {
    fn of(code: &str) -> Option<&'static Self> {
        SPOKEN.iter().find(|spoken| spoken.two == code || spoken.three.contains(&code))
    }
}

const fn spoken(two: &'static str, three: [&'static str; 2], name: &'static str) -> Spoken {
    Spoken { two, three, name }
}

/// The languages that files and viewers most often name.
const SPOKEN: &[Spoken] = &[
    spoken("ar", ["ara", "ara"], "العربية"),
    spoken("bg", ["bul", "bul"], "Български"),
    spoken("bn", ["ben", "ben"], "বাংলা"),
    spoken("ca", ["cat", "cat"], "Català"),
    spoken("cs", ["ces", "cze"], "Čeština"),
    spoken("cy", ["cym", "wel"], "Cymraeg"),
    spoken("da", ["dan", "dan"], "Dansk"),
    spoken("de", ["deu", "ger"], "Deutsch"),
    spoken("el", ["ell", "gre"], "Ελληνικά"),
    spoken("en", ["eng", "eng"], "English"),
    spoken("es", ["spa", "spa"], "Español"),
    spoken("et", ["est", "est"], "Eesti"),
    spoken("eu", ["eus", "baq"], "Euskara"),
    spoken("fa", ["fas", "per"], "فارسی"),
    spoken("fi", ["fin", "fin"], "Suomi"),
    spoken("fr", ["fra", "fre"], "Français"),
    spoken("ga", ["gle", "gle"], "Gaeilge"),
    spoken("gl", ["glg", "glg"], "Galego"),
    spoken("he", ["heb", "heb"], "עברית"),
    spoken("hi", ["hin", "hin"], "हिन्दी"),
    spoken("hr", ["hrv", "hrv"], "Hrvatski"),
    spoken("hu", ["hun", "hun"], "Magyar"),
    spoken("id", ["ind", "ind"], "Bahasa Indonesia"),
    spoken("is", ["isl", "ice"], "Íslenska"),
    spoken("it", ["ita", "ita"], "Italiano"),
    spoken("ja", ["jpn", "jpn"], "日本語"),
    spoken("ko", ["kor", "kor"], "한국어"),
    spoken("lt", ["lit", "lit"], "Lietuvių"),
    spoken("lv", ["lav", "lav"], "Latviešu"),
    spoken("ms", ["msa", "may"], "Bahasa Melayu"),
    spoken("nb", ["nob", "nob"], "Norsk bokmål"),
    spoken("nl", ["nld", "dut"], "Nederlands"),
    spoken("no", ["nor", "nor"], "Norsk"),
    spoken("pl", ["pol", "pol"], "Polski"),
    spoken("pt", ["por", "por"], "Português"),
    spoken("ro", ["ron", "rum"], "Română"),
    spoken("ru", ["rus", "rus"], "Русский"),
    spoken("sk", ["slk", "slo"], "Slovenčina"),
    spoken("sl", ["slv", "slv"], "Slovenščina"),
    spoken("sr", ["srp", "srp"], "Српски"),
    spoken("sv", ["swe", "swe"], "Svenska"),
    spoken("ta", ["tam", "tam"], "தமிழ்"),
    spoken("th", ["tha", "tha"], "ไทย"),
    spoken("tr", ["tur", "tur"], "Türkçe"),
    spoken("uk", ["ukr", "ukr"], "Українська"),
    spoken("ur", ["urd", "urd"], "اردو"),
    spoken("vi", ["vie", "vie"], "Tiếng Việt"),
    spoken("zh", ["zho", "chi"], "中文"),
];

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(text: &str, expect: Option<(&str, &str, &str)>) {
        let tag = LangTag::of(text).ok();
        let found = tag.map(|tag| (tag.to_string(), tag.bcp47(), tag.name()));
        assert_eq!(found, expect.map(|(tag, shown, name)| (tag.into(), shown.into(), name.into())), "{text}");
    }

    #[test]
    fn a_language_has_one_tag_and_a_name_that_its_speakers_know() {
        check("en", Some(("en", "en", "English")));
        check("GER", Some(("ger", "de", "Deutsch")));
        check("pt-BR", Some(("pt-br", "pt-BR", "Português (BR)")));
        check("zh-Hant-TW", Some(("zh-hant-tw", "zh-Hant-TW", "中文 (Hant-TW)")));
        check("es-419", Some(("es-419", "es-419", "Español (419)")));
        check("und", Some(("und", "und", "Unknown")));
        check("tlh", Some(("tlh", "tlh", "tlh")));
        for bad in
            ["", "e", "engl", "en-", "en-x", "en_us", "en-us-x1-y2", "én", "12", "en-abcdefghij", "zh-hant-tw-xx"]
        {
            check(bad, None);
        }
        assert!("pt-BR".parse::<LangTag>().is_err(), "one language has one path");
        assert_eq!(LangTag::from("deu".parse::<Lang>().unwrap()).to_string(), "de");
        assert_eq!(LangTag::from(Lang::UND).to_string(), "und");
    }

    proptest! {
        #[test]
        fn a_tag_reads_back_as_it_prints(text in "[a-z]{2,3}(-[a-z0-9]{2,4}){0,2}") {
            match text.parse::<LangTag>() {
                Ok(tag) => prop_assert_eq!(tag.to_string(), text),
                Err(BadTag) => prop_assert!(text.len() > LangTag::LEN_MAX),
            }
        }
    }
}
