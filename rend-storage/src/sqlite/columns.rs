//! Values of rend-core as columns, and back.

use std::str::FromStr;

use rend_core::time::Timestamp;
use rusqlite::Row;
use rusqlite::types::FromSql;
use serde_json::{Map, Value};

use super::fault::Fault;

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

/// A JSON text.
pub(super) fn json(row: &Row<'_>, name: &'static str) -> Result<Value, Fault> {
    let text = row.get_ref(name)?.as_str().map_err(|_| Fault::Strange(name))?;
    serde_json::from_str(text).map_err(|_| Fault::Strange(name))
}

/// As [`json`], where there may be none.
pub(super) fn json_or_none(row: &Row<'_>, name: &'static str) -> Result<Option<Value>, Fault> {
    if get::<Option<String>>(row, name)?.is_none() { Ok(None) } else { json(row, name).map(Some) }
}

/// An object with these fields.
pub(super) fn object<const N: usize>(fields: [(&str, Value); N]) -> Value {
    Value::Object(fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect::<Map<_, _>>())
}

/// The text of a field.
pub(super) fn text_of(value: &Value, field: &'static str) -> Result<String, Fault> {
    value.get(field).and_then(Value::as_str).map(str::to_owned).ok_or(Fault::Strange(field))
}

/// The number in a field.
pub(super) fn number_of<T: TryFrom<u64>>(value: &Value, field: &'static str) -> Result<T, Fault> {
    let number = value.get(field).and_then(Value::as_u64).ok_or(Fault::Strange(field))?;
    T::try_from(number).map_err(|_| Fault::Strange(field))
}

/// The word in a field.
pub(super) fn word_of<T: FromStr>(value: &Value, field: &'static str) -> Result<T, Fault> {
    text_of(value, field)?.parse().map_err(|_| Fault::Strange(field))
}

/// The list in a field, or in the value itself.
pub(super) fn list_of<'v>(value: &'v Value, field: &'static str) -> Result<&'v [Value], Fault> {
    let list = if value.is_array() { Some(value) } else { value.get(field) };
    list.and_then(Value::as_array).map(Vec::as_slice).ok_or(Fault::Strange(field))
}
