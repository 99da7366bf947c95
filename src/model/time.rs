//! Durations as Prometheus writes them, and how instants are kept.

use std::time::Duration;

use jiff::Timestamp;

/// Parses `90s`, `5m`, `1h30m`, `250ms`: units descending, each at most once, and `0`.
/// Returns what was wrong, as a sentence fragment.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    const UNITS: [(&str, u64); 7] = [
        ("y", 365 * 86_400_000),
        ("w", 7 * 86_400_000),
        ("d", 86_400_000),
        ("h", 3_600_000),
        ("m", 60_000),
        ("s", 1_000),
        ("ms", 1),
    ];
    let wrong = || format!("`{text}` is not a duration; write one like 90s, 5m or 1h30m");
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    let (mut rest, mut next, mut total_ms) = (text, 0, 0_u64);
    while !rest.is_empty() {
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (number, tail) = rest.split_at(digits);
        let letters = tail.len() - tail.trim_start_matches(|c: char| c.is_ascii_alphabetic()).len();
        let (unit, tail) = tail.split_at(letters);
        let at = UNITS.iter().position(|(name, _)| *name == unit).ok_or_else(wrong)?;
        let (Some((_, factor)), true) = (UNITS.get(at), at >= next) else { return Err(wrong()) };
        let number: u64 = number.parse().map_err(|_| wrong())?;
        total_ms = number
            .checked_mul(*factor)
            .and_then(|ms| total_ms.checked_add(ms))
            .filter(|ms| *ms <= 100 * 365 * 86_400_000)
            .ok_or_else(|| format!("`{text}` is longer than 100 years"))?;
        (next, rest) = (at + 1, tail);
    }
    if text.is_empty() { Err(wrong()) } else { Ok(Duration::from_millis(total_ms)) }
}

/// Writes a duration as people say it: `1h30m`, `12m 5s` is written `12m5s`, `212ms`, `0s`.
pub fn show_duration(duration: Duration) -> String {
    let ms = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    if ms < 1_000 {
        return if ms == 0 { "0s".into() } else { format!("{ms}ms") };
    }
    let seconds = if ms < 10_000 { ms / 1_000 } else { (ms + 500) / 1_000 };
    let mut out = String::new();
    let mut rest = seconds;
    for (unit, size) in [("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)] {
        if rest >= size && out.matches(|c: char| c.is_ascii_alphabetic()).count() < 2 {
            out = format!("{out}{}{unit}", rest / size);
        }
        rest %= size;
    }
    out
}

/// Time from `earlier` to `later`; zero when the clock went backwards, so that it never shortens a wait.
pub fn since(later: Timestamp, earlier: Timestamp) -> Duration {
    Duration::try_from(later.duration_since(earlier)).unwrap_or(Duration::ZERO)
}

/// `at` plus `duration`, at most the end of time.
pub fn after(at: Timestamp, duration: Duration) -> Timestamp {
    at.checked_add(duration).unwrap_or(Timestamp::MAX)
}

/// An instant as a clock shows it that was set by so many milliseconds.
pub fn moved(at: Timestamp, by_ms: i64) -> Timestamp {
    let by = Duration::from_millis(by_ms.unsigned_abs());
    if by_ms < 0 { before(at, by) } else { after(at, by) }
}

/// The earlier of two instants, where there are any.
pub fn earlier(a: Option<Timestamp>, b: Option<Timestamp>) -> Option<Timestamp> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

/// `at` minus `duration`, at least the beginning of time.
pub fn before(at: Timestamp, duration: Duration) -> Timestamp {
    at.checked_sub(duration).unwrap_or(Timestamp::MIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_as_prometheus_writes_them() {
        for (text, ms) in
            [("90s", 90_000), ("5m", 300_000), ("1h30m", 5_400_000), ("250ms", 250), ("0", 0)]
        {
            assert_eq!(parse_duration(text), Ok(Duration::from_millis(ms)), "{text}");
        }
        for text in ["", "5", "m", "5 m", "1m1h", "1m1m", "-5m", "1.5h", "5x", "999999999y"] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn durations_are_shown_with_at_most_two_units() {
        for (ms, text) in [
            (0, "0s"),
            (212, "212ms"),
            (1_900, "1s"),
            (90_000, "1m30s"),
            (900_000, "15m"),
            (90_061_000, "1d1h"),
            (5_400_000, "1h30m"),
        ] {
            assert_eq!(show_duration(Duration::from_millis(ms)), text);
        }
    }
}
