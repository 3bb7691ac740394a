//! One `Range` header → a byte span.
//!
//! The grammar is RFC 9110's `bytes=first-last`, `bytes=first-` and `bytes=-suffix`. What is not a well-formed single range of
//! bytes is ignored, as the RFC allows, and the whole body is the answer; so are many ranges.

use std::fmt;

/// What a `Range` header asks of a body.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ByteRange {
    /// From `first` to `last`, both included; to the end without `last`.
    From {
        /// The first byte.
        first: u64,
        /// The last byte, at least `first`.
        last: Option<u64>,
    },
    /// The last `len` bytes.
    Suffix {
        /// How many.
        len: u64,
    },
}

impl ByteRange {
    /// Reads one header value. `None` when the whole body is to be sent: no range of bytes, malformed, or several.
    ///
    /// ```
    /// use rend_cache::range::ByteRange;
    ///
    /// assert_eq!(ByteRange::parse(b"bytes=0-499"), Some(ByteRange::From { first: 0, last: Some(499) }));
    /// assert_eq!(ByteRange::parse(b"bytes=0-1,5-9"), None);
    /// ```
    pub fn parse(value: &[u8]) -> Option<Self> {
        let value = std::str::from_utf8(value).ok()?;
        let (unit, set) = value.split_once('=')?;
        if !unit.eq_ignore_ascii_case("bytes") {
            return None;
        }
        let (first, last) = set.trim_matches([' ', '\t']).split_once('-')?;
        match (first, last) {
            ("", len) => Some(Self::Suffix { len: digits(len)? }),
            (first, "") => Some(Self::From { first: digits(first)?, last: None }),
            (first, last) => {
                let (first, last) = (digits(first)?, digits(last)?);
                (first <= last).then_some(Self::From { first, last: Some(last) })
            }
        }
    }

    /// The part of a body of `len` bytes that is asked for.
    pub const fn within(self, len: u64) -> Answer {
        match self {
            Self::From { first, .. } if first >= len => Answer::Unsatisfiable { len },
            Self::From { first, last } => {
                let end = match last {
                    Some(last) if last < len => last + 1,
                    Some(_) | None => len,
                };
                Answer::Span(Span { start: first, end, len })
            }
            Self::Suffix { len: 0 } => Answer::Unsatisfiable { len },
            Self::Suffix { .. } if len == 0 => Answer::Unsatisfiable { len },
            Self::Suffix { len: wanted } => Answer::Span(Span { start: len.saturating_sub(wanted), end: len, len }),
        }
    }
}

impl fmt::Display for ByteRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::From { first, last: Some(last) } => write!(f, "bytes={first}-{last}"),
            Self::From { first, last: None } => write!(f, "bytes={first}-"),
            Self::Suffix { len } => write!(f, "bytes=-{len}"),
        }
    }
}

/// What to send.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Answer {
    /// 200 with everything.
    Whole,
    /// 206 with this part.
    Span(Span),
    /// 416: the body is only `len` bytes long.
    Unsatisfiable {
        /// The body's length.
        len: u64,
    },
}

/// A part of a body: `start` is before `end`, and `end` is not behind `len`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Span {
    start: u64,
    end: u64,
    len: u64,
}

impl Span {
    /// The first byte.
    pub const fn start(&self) -> u64 {
        self.start
    }

    /// One past the last byte.
    pub const fn end(&self) -> u64 {
        self.end
    }

    /// How many bytes the part has; never none.
    #[expect(clippy::len_without_is_empty, reason = "a span holds at least one byte")]
    pub const fn len(&self) -> u64 {
        self.end - self.start
    }
}

impl fmt::Display for Span {
    /// The value of a `Content-Range` header.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "bytes {}-{}/{}", self.start, self.end - 1, self.len)
    }
}

/// Answers one request's `Range` and `If-Range` for a body of `len` bytes with the strong `etag` (quotes included).
///
/// An `If-Range` that is not exactly the strong `etag` makes the range void: dates and weak tags never match, which RFC 9110
/// allows and which cannot splice two versions.
pub fn answer(range: Option<&[u8]>, if_range: Option<&[u8]>, etag: &str, len: u64) -> Answer {
    let Some(range) = range.and_then(ByteRange::parse) else { return Answer::Whole };
    if if_range.is_some_and(|tag| tag != etag.as_bytes() || tag.starts_with(b"W/")) {
        return Answer::Whole;
    }
    range.within(len)
}

/// Decimal digits only, saturating: a number too large to be a length is behind every end.
fn digits(text: &str) -> Option<u64> {
    if text.is_empty() || text.len() > DIGITS_MAX || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some(text.parse().unwrap_or(u64::MAX - 1))
}

/// Longer numbers are not looked at.
const DIGITS_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(range: &str, len: u64, expect: &str) {
        let text = match answer(Some(range.as_bytes()), None, "\"e\"", len) {
            Answer::Whole => "200".to_owned(),
            Answer::Span(span) => span.to_string(),
            Answer::Unsatisfiable { len } => format!("416 {len}"),
        };
        assert_eq!(text, expect, "{range} of {len}");
    }

    #[test]
    fn a_range_header_is_answered_as_rfc_9110_says() {
        check("bytes=0-0", 10, "bytes 0-0/10");
        check("bytes=0-", 10, "bytes 0-9/10");
        check("bytes=3-5", 10, "bytes 3-5/10");
        check("bytes=3-99", 10, "bytes 3-9/10");
        check("bytes=9-9", 10, "bytes 9-9/10");
        check("bytes=10-", 10, "416 10");
        check("bytes=-3", 10, "bytes 7-9/10");
        check("bytes=-30", 10, "bytes 0-9/10");
        check("bytes=-0", 10, "416 10");
        check("bytes=0-", 0, "416 0");
        check("bytes=-1", 0, "416 0");
        check("BYTES=0-1", 10, "bytes 0-1/10");
        check("bytes=0-99999999999999999999999999", 10, "bytes 0-9/10");
        check("bytes=99999999999999999999999999-", 10, "416 10");
        check("bytes=-99999999999999999999999999", 10, "bytes 0-9/10");
    }

    #[test]
    fn what_is_not_one_range_of_bytes_gets_the_whole_body() {
        for range in [
            "",
            "bytes",
            "bytes=",
            "bytes=-",
            "bytes=5-3",
            "bytes=0-1,3-4",
            "items=0-1",
            "bytes=a-b",
            "bytes=+1-2",
            "bytes=1--2",
            "bytes 0-1",
        ] {
            check(range, 10, "200");
        }
        assert_eq!(answer(Some(b"bytes=\xff-"), None, "\"e\"", 10), Answer::Whole);
        assert_eq!(answer(None, None, "\"e\"", 10), Answer::Whole);
    }

    #[test]
    fn a_range_counts_only_while_if_range_names_the_same_version() {
        let with = |tag: &[u8]| answer(Some(b"bytes=0-0"), Some(tag), "\"e\"", 10);
        assert!(matches!(with(b"\"e\""), Answer::Span(_)));
        for other in [&b"\"f\""[..], b"W/\"e\"", b"e", b"Sat, 21 Nov 2026 03:53:39 GMT"] {
            assert_eq!(with(other), Answer::Whole);
        }
    }
}
