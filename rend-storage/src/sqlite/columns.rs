//! Values of rend-core as columns, and back.

use std::str::FromStr;

use rend_core::time::Timestamp;
use rusqlite::Row;
use rusqlite::types::FromSql;

use super::fault::Fault;
use crate::documents::Strange;

/// A column as SQLite has it.
pub(super) fn get<T: FromSql>(row: &Row<'_>, name: &'static str) -> Result<T, Fault> {
    Ok(row.get(name)?)
}

/// A word or a text with a grammar.
pub(super) fn parsed<T: FromStr>(row: &Row<'_>, name: &'static str) -> Result<T, Fault> {
    let text = row.get_ref(name)?.as_str().map_err(|_| Fault::Strange(name))?;
    text.parse().map_err(|_| Fault::Strange(name))
}

/// A number of any size, kept in the same 64 bits.
pub(super) fn number(row: &Row<'_>, name: &'static str) -> Result<u64, Fault> {
    Ok(get::<i64>(row, name)?.cast_unsigned())
}

/// As [`number`], where there may be none.
pub(super) fn number_or_none(row: &Row<'_>, name: &'static str) -> Result<Option<u64>, Fault> {
    Ok(get::<Option<i64>>(row, name)?.map(i64::cast_unsigned))
}

/// A time.
pub(super) fn time(row: &Row<'_>, name: &'static str) -> Result<Timestamp, Fault> {
    Ok(Timestamp::from_millis(number(row, name)?))
}

/// As [`time`], where there may be none.
pub(super) fn time_or_none(row: &Row<'_>, name: &'static str) -> Result<Option<Timestamp>, Fault> {
    Ok(number_or_none(row, name)?.map(Timestamp::from_millis))
}

/// A time as a parameter.
pub(super) const fn millis(at: Timestamp) -> i64 {
    at.as_millis().cast_signed()
}

/// A number that is compared, and so must not wrap: those past the largest that SQLite has become it.
pub(super) fn capped(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// How many rows a caller wants.
pub(super) fn limit(rows: usize) -> i64 {
    i64::try_from(rows).unwrap_or(i64::MAX)
}

/// A text that is read whole.
pub(super) fn read<T>(
    row: &Row<'_>,
    name: &'static str,
    of: impl FnOnce(&str) -> Result<T, Strange>,
) -> Result<T, Fault> {
    let text = row.get_ref(name)?.as_str().map_err(|_| Fault::Strange(name))?;
    Ok(of(text)?)
}

/// As [`read`], where there may be none.
pub(super) fn read_or_none<T>(
    row: &Row<'_>,
    name: &'static str,
    of: impl FnOnce(&str) -> Result<T, Strange>,
) -> Result<Option<T>, Fault> {
    if get::<Option<String>>(row, name)?.is_none() { Ok(None) } else { read(row, name, of).map(Some) }
}
