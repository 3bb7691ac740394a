//! One value of one kind, read from text.

use std::net::SocketAddr;
use std::path::PathBuf;

use super::secret::{SecretText, shape_of};
use super::variable::Kind;
use crate::fleet::{ExpectedEdges, Region};
use crate::id::EdgeId;
use crate::url::{BaseUrl, Origin};

/// A value as its kind wants it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Value {
    Text(String),
    Bool(bool),
    Number(u64),
    Addr(SocketAddr),
    Url(BaseUrl),
    Path(PathBuf),
    Secret(SecretText),
    EdgeId(EdgeId),
    Region(Region),
    Edges(ExpectedEdges),
    Origins(Vec<Origin>),
    VerifyKeys(Vec<(String, SecretText)>),
    Database(PathBuf),
    DatabaseServer(SecretText),
}

/// Characters that a text value may have.
pub(super) const TEXT_CHARS_MAX: usize = 1024;
/// Origins that a list may have.
pub(super) const ORIGINS_MAX: usize = 256;
/// Keys that a list may have.
pub(super) const VERIFY_KEYS_MAX: usize = 63;

impl Kind {
    /// Whether the value must never be shown.
    pub const fn is_secret(self) -> bool {
        matches!(self, Self::Secret { .. } | Self::Issued | Self::VerifyKeys | Self::Foreign)
    }

    /// What a value of this kind looks like, as a noun phrase for people.
    pub fn expected(self) -> String {
        let range = |noun: &str, min: u64, max: u64| format!("{noun} from {min} to {max}");
        match self {
            Self::Text => "text without line breaks, at most 1024 characters".into(),
            Self::Bool => "`true` or `false`".into(),
            Self::Number { min, max } => range("a whole number", min, max),
            Self::Bytes { min, max } => range("bytes, with or without `KiB`, `MiB`, `GiB` or `TiB`,", min, max),
            Self::Secs { min, max } => range("whole seconds", min, max),
            Self::Addr => "an IP address and a port".into(),
            Self::Url(_) => "an http or https URL without credentials, query or fragment".into(),
            Self::Path => "a path".into(),
            Self::Secret { bytes_min } => format!("a random secret of at least {bytes_min} bytes"),
            Self::Issued => "the secret that was issued to you".into(),
            Self::KeyId => "a key name of 1 to 64 characters A-Z a-z 0-9 _ . -".into(),
            Self::EdgeId => "an edge id of 1 to 63 characters a-z, 0-9 and -".into(),
            Self::Region => "a region of 1 to 63 characters a-z, 0-9 and -".into(),
            Self::Domain => "a host name with a dot in it".into(),
            Self::Edges => "`id=region=public_url[=private_url]` with commas between".into(),
            Self::Origins => "browser origins, scheme://host[:port], with commas between".into(),
            Self::VerifyKeys => "`key_id=secret` with commas between".into(),
            Self::OneOf(words) => {
                let words: Vec<_> = words.iter().map(|word| format!("`{word}`")).collect();
                format!("one of {}", words.join(", "))
            }
            Self::Database => "`sqlite:` and the path of a file, or `postgres://user:password@host/database`".into(),
            Self::Foreign => "an absolute URL".into(),
        }
    }

    /// What may be shown of a value that stands in the configuration.
    pub(super) fn shown(self, text: &str) -> String {
        // The URL of a database server has a password in it, wherever it has it.
        if self.is_secret() || (self == Self::Database && !text.starts_with("sqlite:")) {
            return shape_of(text);
        }
        // A value in the wrong place may be a secret all the same: what looks like one is not repeated.
        let lower = text.to_ascii_lowercase();
        let telling = ["@", "token", "secret", "password", "bearer", "rt1.", "rend_live", "rend_test", "sk_"];
        if telling.iter().any(|part| lower.contains(part)) {
            return format!("a value of {} characters that may hold a credential", text.chars().count());
        }
        let start: String = text.chars().take(SHOWN_CHARS_MAX).collect();
        let cut = if start.len() < text.len() { " and more" } else { "" };
        format!("`{}`{cut}", start.escape_debug())
    }

    /// Reads `text`, or answers what is wrong with it in a clause that shows nothing of it.
    pub(super) fn read(self, text: &str) -> Result<Value, String> {
        let no = |why: &str| Err(why.to_owned());
        match self {
            Self::Text => {
                let fits = text.chars().count() <= TEXT_CHARS_MAX && !text.chars().any(char::is_control);
                if fits { Ok(Value::Text(text.into())) } else { no("it is too long or has control characters") }
            }
            Self::Bool => match text {
                "true" | "1" | "yes" | "on" => Ok(Value::Bool(true)),
                "false" | "0" | "no" | "off" => Ok(Value::Bool(false)),
                _ => no("it is neither"),
            },
            Self::Number { min, max } => within(digits(text), min, max),
            Self::Secs { min, max } => within(digits(text.strip_suffix('s').unwrap_or(text)), min, max),
            Self::Bytes { min, max } => within(bytes(text), min, max),
            Self::Addr => text.parse().map(Value::Addr).or_else(|_| no("it is not an address such as 127.0.0.1:4000")),
            Self::Url(_) => text.parse().map(Value::Url).map_err(|bad: crate::url::BadUrl| bad.to_string()),
            Self::Path if text.contains('\0') => no("it has a NUL character"),
            Self::Path => Ok(Value::Path(text.into())),
            Self::Secret { .. } | Self::Issued => {
                let clean = text.trim() == text && !text.chars().any(char::is_control);
                if clean {
                    Ok(Value::Secret(SecretText::new(text)))
                } else {
                    no("it has blanks around it or control characters")
                }
            }
            Self::KeyId if is_key_id(text) => Ok(Value::Text(text.into())),
            Self::KeyId => no("it is not"),
            Self::EdgeId => text.parse().map(Value::EdgeId).or_else(|_| no("it is not")),
            Self::Region => text.parse().map(Value::Region).or_else(|_| no("it is not")),
            Self::Domain => {
                let bare = text.strip_prefix('.').unwrap_or(text);
                match format!("https://{bare}").parse::<BaseUrl>() {
                    Ok(base) if base.host() == bare.to_ascii_lowercase() && is_domain(base.host()) => {
                        Ok(Value::Text(base.host().into()))
                    }
                    _ => no("it is not"),
                }
            }
            Self::Edges => {
                text.parse().map(Value::Edges).map_err(|bad: crate::fleet::BadExpectedEdges| bad.to_string())
            }
            Self::Origins => origins(text).map(Value::Origins),
            Self::VerifyKeys => verify_keys(text).map(Value::VerifyKeys),
            Self::OneOf(words) if words.contains(&text) => Ok(Value::Text(text.into())),
            Self::OneOf(_) => no("it is another word"),
            Self::Database => database(text),
            Self::Foreign if text.contains("://") => Ok(Value::Secret(SecretText::new(text))),
            Self::Foreign => no("it has no scheme"),
        }
    }
}

/// Characters of a wrong value that are shown.
const SHOWN_CHARS_MAX: usize = 80;

fn digits(text: &str) -> Option<u64> {
    let plain = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    text.parse().ok().filter(|_| plain)
}

fn bytes(text: &str) -> Option<u64> {
    let units = [("KiB", 10), ("MiB", 20), ("GiB", 30), ("TiB", 40)];
    let unit = units.iter().find_map(|(unit, shift)| Some((text.strip_suffix(unit)?, *shift)));
    let (number, shift) = unit.unwrap_or((text, 0));
    digits(number.trim_end())?.checked_mul(1 << shift)
}

fn within(number: Option<u64>, min: u64, max: u64) -> Result<Value, String> {
    match number {
        Some(n) if (min..=max).contains(&n) => Ok(Value::Number(n)),
        Some(_) => Err("it is out of range".into()),
        None => Err("it is not a number".into()),
    }
}

pub(super) fn is_key_id(text: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-');
    (1..=64).contains(&text.len()) && text.bytes().all(plain)
}

fn is_domain(host: &str) -> bool {
    host.contains('.') && !host.bytes().all(|b| b.is_ascii_digit() || b == b'.')
}

fn origins(text: &str) -> Result<Vec<Origin>, String> {
    let mut origins = Vec::new();
    for (index, entry) in text.split(',').map(str::trim).enumerate() {
        if index >= ORIGINS_MAX {
            return Err(format!("it has more than {ORIGINS_MAX} entries"));
        }
        if entry == "*" || entry == "null" {
            return Err(format!("entry {}: `{entry}` is no exact origin", index + 1));
        }
        let origin = entry.parse().map_err(|bad| format!("entry {}: {bad}", index + 1))?;
        if !origins.contains(&origin) {
            origins.push(origin);
        }
    }
    Ok(origins)
}

fn verify_keys(text: &str) -> Result<Vec<(String, SecretText)>, String> {
    let mut keys: Vec<(String, SecretText)> = Vec::new();
    for (index, entry) in text.split(',').map(str::trim).enumerate() {
        let at = |why: &str| format!("entry {}: {why}", index + 1);
        if index >= VERIFY_KEYS_MAX {
            return Err(at("the list has more than 63 entries"));
        }
        let (id, secret) = entry.split_once('=').ok_or_else(|| at("it is not key_id=secret"))?;
        if !is_key_id(id) {
            return Err(at("its key id is not 1 to 64 characters A-Z a-z 0-9 _ . -"));
        }
        if secret.is_empty() || secret.chars().any(|c| c.is_control() || c.is_whitespace()) {
            return Err(at("its secret is empty or has blanks"));
        }
        if keys.iter().any(|(known, _)| known == id) {
            return Err(at("its key id stands in an earlier entry"));
        }
        keys.push((id.to_owned(), SecretText::new(secret)));
    }
    Ok(keys)
}

fn database(text: &str) -> Result<Value, String> {
    let server = ["postgres://", "postgresql://"].iter().find_map(|scheme| text.strip_prefix(scheme));
    if let Some(rest) = server {
        let (host, name) = rest.split_once('/').unwrap_or((rest, ""));
        let odd = |c: char| c.is_whitespace() || c.is_control();
        return match (host.rsplit('@').next(), name.split('?').next()) {
            _ if text.contains(odd) => Err("it has blanks or control characters".into()),
            (Some("") | None, _) => Err("it names no host".into()),
            (_, Some("") | None) => Err("it names no database".into()),
            _ => Ok(Value::DatabaseServer(SecretText::new(text))),
        };
    }
    let path = text.strip_prefix("sqlite:").ok_or("it begins with neither `sqlite:` nor `postgres://`")?;
    let path = path.strip_prefix("//").unwrap_or(path);
    if path.is_empty() || path.contains([':', '?', '\0']) {
        return Err("it names no file".into());
    }
    Ok(Value::Database(path.into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::variable::Reach;

    #[track_caller]
    fn check(kind: Kind, text: &str, expect: Result<Value, &str>) {
        match (kind.read(text), expect) {
            (Ok(found), Ok(value)) => assert_eq!(found, value, "{text}"),
            (Err(why), Err(part)) => assert!(why.contains(part), "{text}: {why}"),
            (found, expect) => panic!("{text}: {found:?}, not {expect:?}"),
        }
    }

    #[test]
    fn numbers_have_ranges_and_bytes_have_units() {
        let number = Kind::Number { min: 1, max: 1024 };
        check(number, "64", Ok(Value::Number(64)));
        check(number, "0", Err("out of range"));
        check(number, "1025", Err("out of range"));
        for odd in ["", "+1", "-1", "1.0", "0x1", " 1", "99999999999999999999"] {
            check(number, odd, Err("not a number"));
        }
        let bytes = Kind::Bytes { min: 0, max: u64::MAX };
        check(bytes, "10GiB", Ok(Value::Number(10 << 30)));
        check(bytes, "10 MiB", Ok(Value::Number(10 << 20)));
        check(bytes, "7", Ok(Value::Number(7)));
        check(bytes, "99999999TiB", Err("not a number"));
        check(bytes, "1GB", Err("not a number"));
        check(Kind::Secs { min: 0, max: 9 }, "5s", Ok(Value::Number(5)));
    }

    #[test]
    fn a_database_is_a_file_or_a_postgresql_server() {
        check(Kind::Database, "sqlite:/var/rend.db", Ok(Value::Database("/var/rend.db".into())));
        check(Kind::Database, "sqlite:///var/rend.db", Ok(Value::Database("/var/rend.db".into())));
        check(Kind::Database, "sqlite:rend.db", Ok(Value::Database("rend.db".into())));
        for server in ["postgres://u:p@h/db", "postgresql://h:5432/db?sslmode=require"] {
            check(Kind::Database, server, Ok(Value::DatabaseServer(SecretText::new(server))));
        }
        check(Kind::Database, "postgres://u:p@/db", Err("names no host"));
        check(Kind::Database, "postgres://h", Err("names no database"));
        check(Kind::Database, "postgres://h/?x", Err("names no database"));
        check(Kind::Database, "postgres://h /db", Err("blanks"));
        check(Kind::Database, "mysql://h/db", Err("neither"));
        check(Kind::Database, "sqlite::memory:", Err("names no file"));
        check(Kind::Database, "sqlite:", Err("names no file"));
        check(Kind::Database, "/var/rend.db", Err("sqlite:"));
    }

    #[test]
    fn lists_name_the_entry_that_is_wrong() {
        check(
            Kind::Origins,
            "https://a.example, http://b:1",
            Ok(Value::Origins(vec!["https://a.example".parse().unwrap(), "http://b:1".parse().unwrap()])),
        );
        check(Kind::Origins, "https://a.example,*", Err("entry 2"));
        check(Kind::Origins, "https://a.example/x", Err("entry 1"));
        check(
            Kind::VerifyKeys,
            "k1=s1,k2=s2=",
            Ok(Value::VerifyKeys(vec![("k1".into(), SecretText::new("s1")), ("k2".into(), SecretText::new("s2="))])),
        );
        check(Kind::VerifyKeys, "k1=s1,k1=s2", Err("entry 2: its key id stands"));
        check(Kind::VerifyKeys, "k1", Err("entry 1"));
        check(Kind::VerifyKeys, "k1=", Err("entry 1"));
        check(Kind::VerifyKeys, "k 1=x", Err("entry 1"));
    }

    #[test]
    fn a_domain_has_a_dot_and_is_no_address() {
        check(Kind::Domain, ".Example.com", Ok(Value::Text("example.com".into())));
        for odd in ["localhost", "127.0.0.1", "a.b/c", "a.b:1", "http://a.b", ""] {
            check(Kind::Domain, odd, Err(""));
        }
    }

    #[test]
    fn no_value_that_may_be_a_credential_is_shown() {
        let url = Kind::Url(Reach::Public);
        for (kind, text) in [
            (url, "https://user:hunter2@example.com"),
            (url, "https://example.com?token=hunter2"),
            (Kind::Text, "Bearer hunter2"),
            (Kind::Secret { bytes_min: 1 }, "hunter2"),
            (Kind::Foreign, "redis://:hunter2@h"),
            (Kind::Database, "postgres://u:hunter2@h"),
            (Kind::Database, "hunter2"),
        ] {
            assert!(!kind.shown(text).contains("hunter2"), "{text}");
        }
        assert_eq!(Kind::Bool.shown("maybe\n"), "`maybe\\n`");
        assert!(Kind::Bool.shown(&"x".repeat(500)).ends_with("and more"));
    }
}
