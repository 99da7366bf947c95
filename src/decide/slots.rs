//! Slots of cron schedules: of checks, schedules and windows.

use croner::Cron;
use croner::parser::CronParser;
use croner::parser::Seconds;
use jiff::Timestamp;
use jiff::tz::TimeZone;

/// A cron schedule in a time zone.
///
/// Where clocks go forward, a slot in the gap comes when it ends; where they go back, a slot at a fixed time comes once.
#[derive(Debug, Clone)]
pub struct Slots {
    cron: Cron,
    zone: TimeZone,
}

impl Slots {
    /// `None` when either cannot be read; the loader has refused it then.
    pub fn new(cron: &str, timezone: &str) -> Option<Self> {
        let zone = TimeZone::get(timezone).ok()?;
        let cron = CronParser::builder().seconds(Seconds::Optional).build().parse(cron).ok()?;
        Some(Self { cron, zone })
    }

    /// The first slot after `after`; `None` when it never comes.
    pub fn next(&self, after: Timestamp) -> Option<Timestamp> {
        let next =
            self.cron.find_next_occurrence(&after.to_zoned(self.zone.clone()), false).ok()?;
        Some(next.timestamp())
    }
}

/// The first slot after `after`; `None` when the schedule never comes.
pub fn next(cron: &str, timezone: &str, after: Timestamp) -> Option<Timestamp> {
    Slots::new(cron, timezone)?.next(after)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slots(cron: &str, zone: &str, from: &str, count: usize) -> Vec<String> {
        let mut at: Timestamp = from.parse().unwrap();
        let mut out = Vec::new();
        for _ in 0..count {
            at = next(cron, zone, at).unwrap();
            out.push(at.to_string());
        }
        out
    }

    #[test]
    fn five_fields_are_standard_and_six_begin_with_seconds() {
        assert_eq!(slots("0 2 * * *", "UTC", "2026-01-05T10:00:00Z", 1), ["2026-01-06T02:00:00Z"]);
        assert_eq!(
            slots("*/30 * * * * *", "UTC", "2026-01-05T10:00:00Z", 2),
            ["2026-01-05T10:00:30Z", "2026-01-05T10:01:00Z"]
        );
        assert_eq!(
            slots("0 9 * * 1-5", "UTC", "2026-01-02T10:00:00Z", 1),
            ["2026-01-05T09:00:00Z"],
            "1 is Monday"
        );
    }

    #[test]
    fn a_slot_in_a_dst_gap_comes_once_and_one_in_an_overlap_comes_once() {
        let gap = slots("30 2 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z", 2);
        assert_eq!(gap, ["2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"]);
        let overlap = slots("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z", 2);
        assert_eq!(overlap, ["2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"]);
    }

    #[test]
    fn agrees_with_the_cron_crate_where_that_one_is_right() {
        use std::str::FromStr as _;
        // six fields, UTC, weekdays by name: there the two must give the same instants
        for text in ["0 */7 * * * *", "30 15 3 * * Mon,Fri", "0 0 0 1 */2 *", "5 0 12 * Jan Sun"] {
            let other = cron::Schedule::from_str(text).unwrap();
            let from = "2026-02-27T10:00:00Z";
            let chrono_from: chrono::DateTime<chrono::Utc> = from.parse().unwrap();
            let expected: Vec<String> = other
                .after(&chrono_from)
                .take(5)
                .map(|at| Timestamp::from_second(at.timestamp()).unwrap().to_string())
                .collect();
            assert_eq!(slots(text, "UTC", from, 5), expected, "{text}");
        }
    }

    #[test]
    fn what_cannot_be_read_or_never_comes_has_no_slot() {
        let from: Timestamp = "2026-01-05T10:00:00Z".parse().unwrap();
        for (cron, zone) in
            [("0 2 30 2 *", "UTC"), ("nonsense", "UTC"), ("0 2 * * *", "Mars/Olympus")]
        {
            assert_eq!(next(cron, zone, from), None, "{cron} {zone}");
        }
    }
}
