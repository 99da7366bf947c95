//! Cron checks: when the next slot is, and what a streak raises.

use jiff::Timestamp;

use crate::decide::slots;
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
    slots::next(&check.cron, &check.timezone, after)
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
    use crate::model::probe::Probe;
    use crate::model::rule::Place;

    fn check() -> Check {
        Check {
            name: "c".into(),
            cron: "* * * * *".into(),
            timezone: "UTC".into(),
            probe: Probe::Alert,
            consecutive: 3,
            unknown_alerts: true,
            labels: Labels::default(),
            annotations: Labels::default(),
            place: Place::default(),
        }
    }

    #[test]
    fn streaks_raise_and_resolve() {
        let c = check();
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
