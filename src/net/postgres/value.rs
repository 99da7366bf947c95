//! Values of any type, as JSON.
//!
//! What is asked with parameters is answered in `PostgreSQL`'s binary forms, one a type. Those of numbers, texts, times and
//! JSON are read here; of another type, a query says what it wants to see with `::text`.

use std::fmt::Write as _;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::civil::DateTime;
use serde_json::Value;
use sqlx::Row as _;
use sqlx::TypeInfo as _;
use sqlx::ValueRef as _;
use sqlx::postgres::PgRow;

/// 2000-01-01, from which the server counts, in seconds of Unix.
const EPOCH: i64 = 946_684_800;

/// The value in column `index`, from 0; NULL where there is no such column. Intervals are seconds, a month has 30 days. NaN and the
/// infinite are texts, since JSON has none.
pub fn json(row: &PgRow, index: usize) -> Value {
    let Ok(raw) = row.try_get_raw(index) else { return Value::Null };
    if raw.is_null() {
        return Value::Null;
    }
    let kind = raw.type_info().name().to_owned();
    raw.as_bytes().ok().and_then(|bytes| read(&kind, bytes)).unwrap_or_else(|| {
        Value::String(format!("[{}: write ::text to see it]", kind.to_lowercase()))
    })
}

/// `None`: of a type that is not read here.
fn read(kind: &str, bytes: &[u8]) -> Option<Value> {
    Some(match kind {
        "BOOL" => Value::Bool(bytes.first() != Some(&0)),
        "INT2" => i16::from_be_bytes(bytes.try_into().ok()?).into(),
        "INT4" => i32::from_be_bytes(bytes.try_into().ok()?).into(),
        "INT8" => i64::from_be_bytes(bytes.try_into().ok()?).into(),
        "OID" | "XID" => u32::from_be_bytes(bytes.try_into().ok()?).into(),
        "FLOAT4" => float(f32::from_be_bytes(bytes.try_into().ok()?).into()),
        "FLOAT8" => float(f64::from_be_bytes(bytes.try_into().ok()?)),
        "NUMERIC" => number(&numeric(bytes)?),
        "TEXT" | "VARCHAR" | "CHAR" | "BPCHAR" | "NAME" | "UNKNOWN" | "\"CHAR\"" => text(bytes),
        "JSON" => serde_json::from_slice(bytes).ok()?,
        "JSONB" => serde_json::from_slice(bytes.get(1..)?).ok()?,
        "UUID" => Value::String(uuid(bytes)?),
        "TIMESTAMPTZ" => instant(bytes)?.to_string().into(),
        "TIMESTAMP" => {
            let at = instant(bytes)?;
            DateTime::from(at.to_zoned(jiff::tz::TimeZone::UTC)).to_string().into()
        }
        "DATE" => {
            let days = i32::from_be_bytes(bytes.try_into().ok()?);
            let first = Date::constant(2000, 1, 1);
            let days = jiff::Span::new().try_days(days).ok()?;
            first.checked_add(days).ok()?.to_string().into()
        }
        "INTERVAL" => float(interval(bytes)?),
        "VOID" => Value::Null,
        _ => return None,
    })
}

fn text(bytes: &[u8]) -> Value {
    Value::String(String::from_utf8_lossy(bytes).into_owned())
}

fn float(value: f64) -> Value {
    serde_json::Number::from_f64(value).map_or_else(|| value.to_string().into(), Value::Number)
}

/// Decimal digits, as a number where it is one.
fn number(digits: &str) -> Value {
    match digits.parse::<i64>() {
        Ok(whole) => whole.into(),
        Err(_) => digits.parse().map_or_else(|_| digits.into(), float),
    }
}

/// `count`, `weight`, `sign`, `scale`, and digits to the base 10000, the first of which has that weight.
fn numeric(bytes: &[u8]) -> Option<String> {
    let word = |at: usize| {
        let pair = bytes.get(at * 2..at * 2 + 2)?;
        Some(u16::from_be_bytes(pair.try_into().ok()?))
    };
    let (count, sign, scale) = (word(0)?, word(2)?, usize::from(word(3)?));
    let weight = i32::from(word(1)?.cast_signed());
    let minus = match sign {
        0x0000 => "",
        0x4000 => "-",
        0xC000 => return Some("NaN".into()),
        0xD000 => return Some("inf".into()),
        0xF000 => return Some("-inf".into()),
        _ => return None,
    };
    let digit = |place: i32| match usize::try_from(weight - place) {
        Ok(index) if index < usize::from(count) => word(4 + index),
        _ => Some(0),
    };
    let mut whole = String::new();
    for place in (0..=weight).rev() {
        write!(whole, "{:04}", digit(place)?).ok()?;
    }
    let whole = match whole.trim_start_matches('0') {
        "" => "0",
        whole => whole,
    };
    let mut part = String::new();
    let mut place = -1;
    while part.len() < scale {
        write!(part, "{:04}", digit(place)?).ok()?;
        place -= 1;
    }
    part.truncate(scale);
    let point = if part.is_empty() { "" } else { "." };
    Some(format!("{minus}{whole}{point}{part}"))
}

fn uuid(bytes: &[u8]) -> Option<String> {
    let mut hex = String::new();
    for byte in bytes {
        write!(hex, "{byte:02x}").ok()?;
    }
    let part = |from: usize, to: usize| hex.get(from..to);
    Some([part(0, 8)?, part(8, 12)?, part(12, 16)?, part(16, 20)?, part(20, 32)?].join("-"))
}

/// Microseconds from 2000.
fn instant(bytes: &[u8]) -> Option<Timestamp> {
    let micros = i64::from_be_bytes(bytes.try_into().ok()?);
    Timestamp::from_microsecond(micros.checked_add(EPOCH * 1_000_000)?).ok()
}

/// Seconds.
#[expect(clippy::cast_precision_loss, reason = "centuries in microseconds are exact enough")]
fn interval(bytes: &[u8]) -> Option<f64> {
    let micros = i64::from_be_bytes(bytes.get(..8)?.try_into().ok()?);
    let days = i32::from_be_bytes(bytes.get(8..12)?.try_into().ok()?);
    let months = i32::from_be_bytes(bytes.get(12..16)?.try_into().ok()?);
    let days = f64::from(days) + f64::from(months) * 30.0;
    Some(days * 86_400.0 + micros as f64 / 1e6)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn whatever_bytes_come_nothing_panics(
            kind in prop::sample::select(vec![
                "BOOL", "INT2", "INT8", "NUMERIC", "JSONB", "UUID", "TIMESTAMP", "DATE", "INTERVAL",
            ]),
            bytes in prop::collection::vec(any::<u8>(), 0..24),
        ) {
            drop(read(kind, &bytes));
        }
    }
}
