//! Values of rend-core as columns, and back.

use std::error::Error;
use std::str::FromStr;

use bytes::BytesMut;
use rend_core::time::Timestamp;
use tokio_postgres::Row;
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type, accepts, to_sql_checked};

use super::fault::Fault;
use crate::documents::Strange;

/// The sixteen bytes of an identifier, as a `uuid`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Id(pub(super) [u8; 16]);

impl ToSql for Id {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        out.extend_from_slice(&self.0);
        Ok(IsNull::No)
    }

    accepts!(UUID);
    to_sql_checked!();
}

impl<'a> FromSql<'a> for Id {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        Ok(Self(raw.try_into()?))
    }

    accepts!(UUID);
}

/// A column as PostgreSQL has it.
pub(super) fn get<'r, T: FromSql<'r>>(row: &'r Row, name: &'static str) -> Result<T, Fault> {
    Ok(row.try_get(name)?)
}

/// The bytes of an identifier.
pub(super) fn id(row: &Row, name: &'static str) -> Result<[u8; 16], Fault> {
    Ok(get::<Id>(row, name)?.0)
}

/// So many bytes.
pub(super) fn bytes<const N: usize>(row: &Row, name: &'static str) -> Result<[u8; N], Fault> {
    get::<&[u8]>(row, name)?.try_into().map_err(|_| Strange(name).into())
}

/// As [`bytes`], where there may be none.
pub(super) fn bytes_or_none<const N: usize>(row: &Row, name: &'static str) -> Result<Option<[u8; N]>, Fault> {
    let found = get::<Option<&[u8]>>(row, name)?;
    Ok(found.map(|bytes| bytes.try_into().map_err(|_| Strange(name))).transpose()?)
}

/// A word or a text with a grammar.
pub(super) fn parsed<T: FromStr>(row: &Row, name: &'static str) -> Result<T, Fault> {
    get::<&str>(row, name)?.parse().map_err(|_| Strange(name).into())
}

/// A text that people gave.
pub(super) fn text(row: &Row, name: &'static str) -> Result<String, Fault> {
    Ok(unescape(get(row, name)?))
}

/// As [`text`], where there may be none.
pub(super) fn text_or_none(row: &Row, name: &'static str) -> Result<Option<String>, Fault> {
    Ok(get::<Option<&str>>(row, name)?.map(unescape))
}

/// A number of any size, kept in the same 64 bits.
pub(super) fn number(row: &Row, name: &'static str) -> Result<u64, Fault> {
    Ok(get::<i64>(row, name)?.cast_unsigned())
}

/// As [`number`], where there may be none.
pub(super) fn number_or_none(row: &Row, name: &'static str) -> Result<Option<u64>, Fault> {
    Ok(get::<Option<i64>>(row, name)?.map(i64::cast_unsigned))
}

/// A number of 32 bits, kept in more, since PostgreSQL's have a sign.
pub(super) fn small(row: &Row, name: &'static str) -> Result<u32, Fault> {
    u32::try_from(get::<i64>(row, name)?).map_err(|_| Strange(name).into())
}

/// A time.
pub(super) fn time(row: &Row, name: &'static str) -> Result<Timestamp, Fault> {
    Ok(Timestamp::from_millis(number(row, name)?))
}

/// As [`time`], where there may be none.
pub(super) fn time_or_none(row: &Row, name: &'static str) -> Result<Option<Timestamp>, Fault> {
    Ok(number_or_none(row, name)?.map(Timestamp::from_millis))
}

/// A time as a parameter.
pub(super) const fn millis(at: Timestamp) -> i64 {
    at.as_millis().cast_signed()
}

/// A number that is compared, and so must not wrap: those past the largest that PostgreSQL has become it.
pub(super) fn capped(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// How many rows a caller wants.
pub(super) fn limit(rows: usize) -> i64 {
    i64::try_from(rows).unwrap_or(i64::MAX)
}

/// A text as a parameter. PostgreSQL keeps no NUL, so one is written as two characters, the first of which is no
/// character at all in Unicode and so in nobody's way.
pub(super) fn escape(text: &str) -> String {
    if !text.contains(['\0', ESCAPE]) {
        return text.to_owned();
    }
    let mut kept = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        match c {
            '\0' => kept.extend([ESCAPE, '0']),
            ESCAPE => kept.extend([ESCAPE, '1']),
            c => kept.push(c),
        }
    }
    kept
}

fn unescape(kept: &str) -> String {
    if !kept.contains(ESCAPE) {
        return kept.to_owned();
    }
    let mut text = String::with_capacity(kept.len());
    let mut chars = kept.chars();
    while let Some(c) = chars.next() {
        match c {
            ESCAPE if chars.next() == Some('0') => text.push('\0'),
            c => text.push(c),
        }
    }
    text
}

/// A noncharacter: Unicode promises never to give it a meaning.
const ESCAPE: char = '\u{10ffff}';

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_text_without_a_nul_is_kept_as_it_is() {
        assert_eq!(escape("\"Ünïcödé\" \u{1f600}\n"), "\"Ünïcödé\" \u{1f600}\n");
        assert_eq!(escape("a\0b"), "a\u{10ffff}0b");
    }

    proptest! {
        #[test]
        fn every_text_comes_back_and_none_is_kept_with_a_nul(text in "[a01\u{0}\u{10ffff}\u{e9}]{0,12}") {
            let kept = escape(&text);
            prop_assert!(!kept.contains('\0'));
            prop_assert_eq!(unescape(&kept), text);
        }
    }
}
