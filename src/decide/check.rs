//! Cron checks: when the next slot is, and what a streak raises.

use croner::parser::CronParser;
use croner::parser::Seconds;
use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::model::alert::Alert;
use crate::model::alert::AlertStatus;
use crate::model::labels::Labels;
use crate::model::rule::Check;
use crate::model::run::Health;
use crate::model::run::Observation;

/// Name of the alert that a check raises when it cannot see. It never triggers a remedy.
pub const BLIND: &str = "QuellCheckUnknown";

/// What a check raises after an observation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Raise {
    /// Nothing.
    Nothing,
    /// Its alert fires, or fires still.
    Fire,
    /// Its alert is over.
    Resolve,
    /// It cannot see.
    Blind,
    /// It sees again.
    Sighted,
}

/// The first slot after `after`; `None` when the schedule never comes.
pub fn next_slot(check: &Check, after: Timestamp) -> Option<Timestamp> {
    let zone = TimeZone::get(&check.timezone).ok()?;
    let cron = CronParser::builder().seconds(Seconds::Optional).build().parse(&check.cron).ok()?;
    let next = cron.find_next_occurrence(&after.to_zoned(zone), false).ok()?;
    Some(next.timestamp())
}

/// What `streak` observations of `health` in a row raise. Unhealthy as often as `consecutive` fires, healthy as often
/// resolves; unknown as often raises the check's own alert and changes nothing else.
pub fn raise(check: &Check, health: Health, streak: u32, firing: bool, blind: bool) -> Raise {
    let enough = streak >= check.consecutive;
    match health {
        Health::Unknown if enough && check.unknown_alerts && !blind => Raise::Blind,
        Health::Unhealthy | Health::Healthy if blind => Raise::Sighted,
        Health::Unhealthy if enough => Raise::Fire,
        Health::Healthy if enough && firing => Raise::Resolve,
        Health::Unknown | Health::Unhealthy | Health::Healthy => Raise::Nothing,
    }
}

/// Labels of the alert it raises.
pub fn labels(check: &Check) -> Labels {
    let mut labels = check.labels.clone();
    if !labels.has("alertname") {
        labels.set("alertname", check.name.as_str());
    }
    labels
}

/// Labels of the alert that says that it cannot see.
pub fn blind_labels(check: &Check) -> Labels {
    let severity = check.labels.get("severity");
    let severity = if severity.is_empty() { "warning" } else { severity };
    [("alertname", BLIND), ("check", check.name.as_str()), ("severity", severity)]
        .into_iter()
        .collect()
}

/// The alert that is raised or resolved; `firing` is whether its alert fires already.
pub fn alert(
    check: &Check,
    raise: Raise,
    firing: bool,
    seen: &Observation,
    now: Timestamp,
) -> Option<Alert> {
    let (status, labels) = match raise {
        Raise::Nothing => return None,
        Raise::Fire => (AlertStatus::Firing, labels(check)),
        Raise::Resolve => (AlertStatus::Resolved, labels(check)),
        Raise::Blind => (AlertStatus::Firing, blind_labels(check)),
        Raise::Sighted => (AlertStatus::Resolved, blind_labels(check)),
    };
    let mut annotations = check.annotations.clone();
    annotations.set("summary", summary(check, status, seen));
    let begins = status == AlertStatus::Firing && !(firing && raise == Raise::Fire);
    Some(Alert {
        status,
        labels,
        annotations,
        starts_at: begins.then_some(now),
        ends_at: (status == AlertStatus::Resolved).then_some(now),
        generator_url: String::new(),
    })
}

/// What people read first.
pub fn summary(check: &Check, status: AlertStatus, seen: &Observation) -> String {
    match status {
        AlertStatus::Firing => {
            format!(
                "check {}: {} {} times in a row: {}",
                check.name,
                seen.health.as_str(),
                check.consecutive,
                seen.measured
            )
        }
        AlertStatus::Resolved => {
            format!("check {}: {}: {}", check.name, seen.health.as_str(), seen.measured)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::playbook::Probe;
    use crate::model::rule::Place;

    fn check(cron: &str, timezone: &str) -> Check {
        Check {
            name: "c".into(),
            cron: cron.into(),
            timezone: timezone.into(),
            probe: Probe::Alert,
            consecutive: 3,
            unknown_alerts: true,
            labels: Labels::default(),
            annotations: Labels::default(),
            place: Place::default(),
        }
    }

    fn slots(cron: &str, zone: &str, from: &str, count: usize) -> Vec<String> {
        let check = check(cron, zone);
        let mut at: Timestamp = from.parse().unwrap();
        let mut out = Vec::new();
        for _ in 0..count {
            at = next_slot(&check, at).unwrap();
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
            let chrono_from = cron_from(from);
            let expected: Vec<String> = other
                .after(&chrono_from)
                .take(5)
                .map(|at| Timestamp::from_second(at.timestamp()).unwrap().to_string())
                .collect();
            assert_eq!(slots(text, "UTC", from, 5), expected, "{text}");
        }
    }

    fn cron_from(text: &str) -> chrono::DateTime<chrono::Utc> {
        text.parse().unwrap()
    }

    #[test]
    fn streaks_raise_and_resolve() {
        let c = check("* * * * *", "UTC");
        for (health, streak, firing, blind, expected) in [
            (Health::Unhealthy, 2, false, false, Raise::Nothing),
            (Health::Unhealthy, 3, false, false, Raise::Fire),
            (Health::Unhealthy, 4, true, false, Raise::Fire),
            (Health::Healthy, 2, true, false, Raise::Nothing),
            (Health::Healthy, 3, true, false, Raise::Resolve),
            (Health::Healthy, 3, false, false, Raise::Nothing),
            (Health::Unknown, 3, true, false, Raise::Blind),
            (Health::Unknown, 9, true, true, Raise::Nothing),
            (Health::Unhealthy, 1, true, true, Raise::Sighted),
        ] {
            assert_eq!(raise(&c, health, streak, firing, blind), expected, "{health:?} {streak}");
        }
    }
}
