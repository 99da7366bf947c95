//! What people give to be explained: an alert in a file, and a time.

use std::path::Path;

use jiff::Timestamp;
use jiff::civil;
use jiff::tz::TimeZone;

use crate::error::Error;
use crate::model::labels::Labels;
use crate::model::time::after;
use crate::model::time::before;
use crate::model::time::parse_duration;

/// One alert.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Given {
    pub(super) labels: Labels,
    pub(super) annotations: Labels,
    /// Alerts that its delivery cut off.
    pub(super) truncated: u64,
}

/// Alerts of a file: a webhook body, one alert, or a map of labels.
pub(super) fn read(file: &Path) -> Result<Vec<Given>, Error> {
    let name = file.display();
    let text = std::fs::read_to_string(file)
        .map_err(|error| Error::new("Q0602", format!("could not read {name}: {error}")))?;
    let json: serde_json::Value = serde_json::from_str(&text)
        .map_err(|error| Error::new("Q0603", format!("{name} is not JSON: {error}")))?;
    let truncated = json.get("truncatedAlerts").and_then(serde_json::Value::as_u64).unwrap_or(0);
    let one = |value: &serde_json::Value| -> Option<Given> {
        // built anew, since an empty label is none
        let labels: Labels = serde_json::from_value(value.get("labels").cloned()?).ok()?;
        let annotations = value.get("annotations").cloned().unwrap_or_default();
        Some(Given {
            labels: labels.iter().collect(),
            annotations: serde_json::from_value(annotations).unwrap_or_default(),
            truncated,
        })
    };
    let expected = || {
        Error::new("Q0603", format!("{name} holds no alert")).hint(
            "expected a webhook body with `alerts`, an alert with `labels`, or a map of labels",
        )
    };
    if let Some(alerts) = json.get("alerts").and_then(serde_json::Value::as_array) {
        return alerts.iter().map(|alert| one(alert).ok_or_else(expected)).collect();
    }
    if let Some(alert) = one(&json) {
        return Ok(vec![alert]);
    }
    let labels: Labels = serde_json::from_value(json).map_err(|_| expected())?;
    let labels = labels.iter().collect();
    Ok(vec![Given { labels, annotations: Labels::default(), truncated: 0 }])
}

/// `2026-01-05T10:15:00Z`, `10:15` or `10:15:30` of today in UTC, `+2h` or `-10m` from now.
pub(super) fn time(text: &str, now: Timestamp) -> Result<Timestamp, String> {
    if let Some(ahead) = text.strip_prefix('+') {
        return Ok(after(now, parse_duration(ahead)?));
    }
    if let Some(back) = text.strip_prefix('-') {
        return Ok(before(now, parse_duration(back)?));
    }
    let today = now.to_zoned(TimeZone::UTC).date();
    let clock = |text: &str| -> Option<Timestamp> {
        let time: civil::Time = text.contains(':').then(|| text.parse().ok())??;
        Some(today.to_datetime(time).to_zoned(TimeZone::UTC).ok()?.timestamp())
    };
    text.parse().ok().or_else(|| clock(text)).ok_or_else(|| {
        format!("`{text}` is not a time; write one like 2026-01-05T10:15:00Z, 10:15 or +2h")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_people_write_them() {
        let now: Timestamp = "2026-01-05T10:00:00Z".parse().unwrap();
        for (text, expected) in [
            ("2026-01-06T00:00:00+02:00", "2026-01-05T22:00:00Z"),
            ("10:15", "2026-01-05T10:15:00Z"),
            ("23:59:30", "2026-01-05T23:59:30Z"),
            ("+2h", "2026-01-05T12:00:00Z"),
            ("-1d", "2026-01-04T10:00:00Z"),
        ] {
            assert_eq!(time(text, now).unwrap().to_string(), expected, "{text}");
        }
        for text in ["", "+", "soon", "25:00", "2026-01-05", "+2", "10"] {
            assert!(time(text, now).is_err(), "{text}");
        }
    }
}
