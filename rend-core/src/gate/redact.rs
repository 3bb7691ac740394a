//! Looks a text over for what must not be written down.

use std::fmt;
use std::net::IpAddr;

use thiserror::Error;

/// A kind of secret or private datum in a text. It does not say where or what, since that would repeat it.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[error("the text holds {0}")]
pub struct Leak(pub &'static str);

/// Whether `text` can be kept: no URL with a host, no playback token, no API key, no bearer value, no cookie, no address,
/// and none of `secrets`.
///
/// # Errors
///
/// [`Leak`] with the first kind that was found.
pub fn scan(text: &str, secrets: &[&str]) -> Result<(), Leak> {
    let found = |needle: &str| text.contains(needle);
    if secrets.iter().any(|secret| secret.len() >= SECRET_BYTES_MIN && found(secret)) {
        return Err(Leak("a configured secret"));
    }
    // Header names and schemes may be written in any case.
    let lower = text.to_ascii_lowercase();
    let found = |needle: &str| lower.contains(needle);
    let kinds = [
        (found("rt1."), "a playback token"),
        (found("rend_live_") || found("rend_test_"), "an API key"),
        (found("bearer "), "a bearer value"),
        (found("rend_pb=") || found("rend_session=") || found("cookie:") || found("set-cookie"), "a cookie"),
        (found("http://") || found("https://") || found("postgres://") || found("redis://"), "a full URL"),
        (found("token="), "a token in a query"),
        (found("-----begin"), "a private key"),
        (has_address(text), "a network address"),
    ];
    kinds.into_iter().find(|(is, _)| *is).map_or(Ok(()), |(_, kind)| Err(Leak(kind)))
}

/// Secrets shorter than this would be found in every text.
const SECRET_BYTES_MIN: usize = 8;

fn has_address(text: &str) -> bool {
    let part_of_one = |c: char| c.is_ascii_hexdigit() || matches!(c, '.' | ':');
    text.split(|c: char| !part_of_one(c)).any(|word| {
        let word = word.trim_end_matches(['.', ':']);
        // Times such as 03:29:47 have colons too, but parse as no address.
        let without_port = word.rsplit_once(':').filter(|(host, _)| host.contains('.')).map_or(word, |(host, _)| host);
        without_port.len() >= 3 && without_port.parse::<IpAddr>().is_ok()
    })
}

/// A value that is never shown.
#[derive(Clone, Copy, Default, Eq, PartialEq)]
pub struct Redacted<T>(pub T);

impl<T> fmt::Debug for Redacted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

impl<T> fmt::Display for Redacted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(text: &str, expect: Result<(), &'static str>) {
        assert_eq!(scan(text, &["the-secret-of-the-edges"]), expect.map_err(Leak), "{text}");
    }

    #[test]
    fn what_must_not_be_written_is_found() {
        check("GET hls/720p/segment_00001.m4s at 2026-11-21T03:29:47.000Z took 1.5 ms, version 0.1.0", Ok(()));
        check("rt1.EQAA8A", Err("a playback token"));
        check("rend_live_00ff", Err("an API key"));
        check("Authorization: Bearer abc", Err("a bearer value"));
        check("rend_pb=x", Err("a cookie"));
        check("see https://edge.example.com/v/x", Err("a full URL"));
        check("see HTTPS://edge.example.com/v/x", Err("a full URL"));
        check("COOKIE: a=b", Err("a cookie"));
        check("-----BEGIN PRIVATE KEY-----", Err("a private key"));
        check("?token=abc", Err("a token in a query"));
        check("from 192.0.2.1:4100", Err("a network address"));
        check("from 2001:db8::1", Err("a network address"));
        check("x the-secret-of-the-edges y", Err("a configured secret"));
    }

    proptest! {
        #[test]
        fn an_address_is_found_wherever_it_stands(before in "[g-z ]{0,9} ", v4 in any::<[u8; 4]>(), after in " [g-z ]{0,9}") {
            let address = IpAddr::from(v4);
            let text = format!("{before}{address}{after}");
            prop_assert!(scan(&text, &[]).is_err());
        }

        #[test]
        fn a_redacted_value_is_never_shown(secret in "[a-zA-Z]{11,40}") {
            let shown = format!("{0} {0:?}", Redacted(&secret));
            prop_assert!(!shown.contains(&secret));
        }
    }
}
