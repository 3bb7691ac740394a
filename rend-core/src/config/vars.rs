//! The surroundings as a value, and the text file that can stand for them.

use std::collections::BTreeMap;

use thiserror::Error;

/// Where a program reads its environment variables.
///
/// # Contract
///
/// [`get`](Self::get) answers the same for one name as long as the value lives, and answers `Some` for every name in
/// [`names`](Self::names). A variable that is not valid UTF-8 counts as absent.
pub trait Vars {
    /// The value of the variable `name`, if it is set.
    fn get(&self, name: &str) -> Option<String>;
    /// The names of all variables, in any order.
    fn names(&self) -> Vec<String>;
}

impl Vars for BTreeMap<String, String> {
    fn get(&self, name: &str) -> Option<String> {
        Self::get(self, name).cloned()
    }

    fn names(&self) -> Vec<String> {
        self.keys().cloned().collect()
    }
}

/// Reads an env file: one `NAME=value` a line.
///
/// Blank lines and lines that begin with `#` say nothing; `export ` may stand before a name. A value in single quotes is
/// taken as it stands; in double quotes `\n`, `\t`, `\"`, `\\` and `\$` are understood; without quotes it ends before
/// ` #` and loses the blanks around it. Nothing is substituted. The last of two lines with one name wins, as in a shell.
///
/// ```
/// use rend_core::config::{Vars, env_text};
///
/// let vars = env_text("# edges\nREND_EDGE_ID=ash-1 # the first\nREND_LOG='info,rend=debug'\n")?;
/// assert_eq!(Vars::get(&vars, "REND_EDGE_ID").as_deref(), Some("ash-1"));
/// assert_eq!(Vars::get(&vars, "REND_LOG").as_deref(), Some("info,rend=debug"));
/// # Ok::<(), rend_core::config::EnvTextErrors>(())
/// ```
///
/// # Errors
///
/// [`EnvTextErrors`] with every line that could not be read. Trying again will not help.
pub fn env_text(text: &str) -> Result<BTreeMap<String, String>, EnvTextErrors> {
    let mut vars = BTreeMap::new();
    let mut bad = Vec::new();
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    for (index, line) in text.lines().enumerate() {
        match assignment(line) {
            Ok(Some((name, value))) => {
                vars.insert(name.to_owned(), value);
            }
            Ok(None) => {}
            Err(what) if bad.len() < ENV_TEXT_ERRORS_MAX => bad.push(EnvLineError { line: index + 1, what }),
            Err(_) => {}
        }
    }
    if bad.is_empty() { Ok(vars) } else { Err(EnvTextErrors { lines: bad }) }
}

/// Writes one assignment such that [`env_text`] reads back exactly `value`. Line breaks other than `\n` are kept only
/// inside double quotes' escapes; a carriage return becomes part of the quoted text.
pub fn env_line(name: &str, value: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./:=,@%+".contains(c);
    if !value.is_empty() && value.chars().all(plain) {
        return format!("{name}={value}");
    }
    let mut quoted = String::with_capacity(value.len() + 2);
    for c in value.chars() {
        match c {
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            '"' | '\\' | '$' => quoted.extend(['\\', c]),
            other => quoted.push(other),
        }
    }
    format!("{name}=\"{quoted}\"")
}

/// Lines of an env file that could not be read.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[error("{}", .lines.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
pub struct EnvTextErrors {
    /// Each of them, at most [`ENV_TEXT_ERRORS_MAX`].
    pub lines: Vec<EnvLineError>,
}

/// One line of an env file that could not be read. It never shows the line, which may hold a secret.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[error("line {line}: {what}")]
pub struct EnvLineError {
    /// The line's number, from 1.
    pub line: usize,
    /// What is wrong, and what would be right.
    pub what: &'static str,
}

/// Lines that are reported of one file; further ones are only not read.
pub const ENV_TEXT_ERRORS_MAX: usize = 50;

fn assignment(line: &str) -> Result<Option<(&str, String)>, &'static str> {
    let line = line.trim();
    if line.is_empty() || line.starts_with('#') {
        return Ok(None);
    }
    let line = line.strip_prefix("export ").map_or(line, str::trim_start);
    let (name, value) = line.split_once('=').ok_or("no `=`: expected NAME=value")?;
    let lead = |b: u8| b.is_ascii_alphabetic() || b == b'_';
    let named = name.bytes().next().is_some_and(lead) && name.bytes().all(|b| lead(b) || b.is_ascii_digit());
    if !named {
        return Err("the name is not A-Z, 0-9 and _: expected NAME=value without blanks around `=`");
    }
    Ok(Some((name, value_of(value.trim_start())?)))
}

fn value_of(text: &str) -> Result<String, &'static str> {
    let after_quote = |rest: &str| {
        let rest = rest.trim_start();
        if rest.is_empty() || rest.starts_with('#') { Ok(()) } else { Err("text after the closing quote") }
    };
    if let Some(rest) = text.strip_prefix('\'') {
        let (value, rest) = rest.split_once('\'').ok_or("the single quote is not closed on its line")?;
        after_quote(rest)?;
        return Ok(value.to_owned());
    }
    let Some(rest) = text.strip_prefix('"') else {
        let end = text.find(" #").or_else(|| text.find("\t#")).unwrap_or(text.len());
        let value = if text.starts_with('#') { "" } else { text[..end].trim_end() };
        return Ok(value.to_owned());
    };
    let mut value = String::new();
    let mut chars = rest.chars();
    while let Some(c) = chars.next() {
        match c {
            '"' => {
                after_quote(chars.as_str())?;
                return Ok(value);
            }
            '\\' => match chars.next() {
                Some('n') => value.push('\n'),
                Some('r') => value.push('\r'),
                Some('t') => value.push('\t'),
                Some(plain @ ('"' | '\\' | '$')) => value.push(plain),
                _ => return Err("an unknown escape: expected \\n, \\r, \\t, \\\", \\\\ or \\$"),
            },
            other => value.push(other),
        }
    }
    Err("the double quote is not closed on its line")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(line: &str, expect: Result<&str, &str>) {
        match (env_text(line), expect) {
            (Ok(vars), Ok(value)) => assert_eq!(vars.get("A").map(String::as_str), Some(value), "{line}"),
            (Err(errors), Err(part)) => assert!(errors.to_string().contains(part), "{line}: {errors}"),
            (found, _) => panic!("{line}: {found:?}"),
        }
    }

    #[test]
    fn values_are_read_as_a_shell_would() {
        check("A=b", Ok("b"));
        check("export A=b", Ok("b"));
        check("  A=b  ", Ok("b"));
        check("A=", Ok(""));
        check("A=b # said", Ok("b"));
        check("A=b#c", Ok("b#c"));
        check("A='b # c'", Ok("b # c"));
        check("A=\"b\\n\\\"c\\\"\" # said", Ok("b\n\"c\""));
        check("A=b=c", Ok("b=c"));
        check("A=1\nA=2", Ok("2"));
        check("A=b\r\n", Ok("b"));
    }

    #[test]
    fn a_line_that_cannot_be_read_is_named_by_its_number() {
        check("\n\nA", Err("line 3: no `=`"));
        check("A =b", Err("line 1: the name"));
        check("1A=b", Err("the name"));
        check("A='b", Err("single quote"));
        check("A=\"b", Err("double quote"));
        check("A=\"b\" c", Err("after the closing quote"));
        check("A=\"\\x\"", Err("escape"));
    }

    #[test]
    fn a_bad_line_is_never_shown() {
        let error = env_text("my secret value\nA='hunter2").unwrap_err().to_string();
        assert!(!error.contains("secret") && !error.contains("hunter2"), "{error}");
    }

    #[test]
    fn at_most_fifty_lines_are_reported() {
        assert_eq!(env_text(&"?\n".repeat(1000)).unwrap_err().lines.len(), ENV_TEXT_ERRORS_MAX);
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(value in any::<String>()) {
            let vars = env_text(&env_line("A", &value)).unwrap();
            prop_assert_eq!(vars.get("A"), Some(&value));
        }

        #[test]
        fn any_text_is_read_or_refused(text in any::<String>()) {
            let _ = env_text(&text);
        }
    }
}
