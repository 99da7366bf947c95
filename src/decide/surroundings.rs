//! What holds around all cases: a storm, a silent watchdog, a clock that was set.

use std::time::Duration;

use jiff::Timestamp;

use crate::model::config::Config;
use crate::model::config::StormLimits;
use crate::model::decision::Jump;
use crate::model::decision::Trip;
use crate::model::decision::Watchdog;
use crate::model::labels::Labels;
use crate::model::time::since;

/// The scope of the breaker over everything.
pub const STORM: &str = "storm";

/// The mark of the watchdog's last arrival.
pub const WATCHDOG: &str = "watchdog";

/// The scope of the breakers of a rule's groups begins so.
pub fn group_scope(rule: &str) -> String {
    format!("group:{rule}")
}

/// Whether a breaker covers the incidents of a rule: then its own page explains, and theirs are held.
pub fn covers(scope: &str, rule: &str) -> bool {
    let group = group_scope(rule);
    let rest = scope.strip_prefix(&group);
    scope == STORM || rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(':'))
}

/// The storm's breaker after so many targets were counted.
pub fn storm(
    trip: Option<Trip>,
    targets: u32,
    limits: StormLimits,
    now: Timestamp,
) -> Option<Trip> {
    crate::decide::trip::next(trip, Some(targets > limits.targets), limits.cooldown, now)
}

/// Whether these labels are those of the watchdog, which is no trouble.
pub fn is_watchdog(config: &Config, labels: &Labels) -> bool {
    let watchdog = config.watchdog.as_ref();
    watchdog.is_some_and(|it| it.matchers.iter().all(|matcher| matcher.matches(labels)))
}

/// Whether the watchdog still arrives; `seen` is when it arrived last, or when quell began to wait for it.
pub fn watchdog(config: &Config, seen: Option<Timestamp>, now: Timestamp) -> Watchdog {
    let Some(watchdog) = &config.watchdog else { return Watchdog::NotWatched };
    let age = seen.map_or(Duration::ZERO, |seen| since(now, seen));
    if age > watchdog.within.value { Watchdog::Missing(age) } else { Watchdog::Seen(age) }
}

/// A difference between the wall clock and one that cannot be set, from which on the clock was set and did not merely
/// drift: clocks are disciplined by slewing below it.
pub const JUMP: Duration = Duration::from_secs(5);

/// Whether the wall clock was set: it shows `now`, and a clock that cannot be set shows `expected`.
pub fn jumped(expected: Timestamp, now: Timestamp) -> Option<Jump> {
    let (by_ms, size) = if now >= expected {
        let size = since(now, expected);
        (i64::try_from(size.as_millis()).unwrap_or(i64::MAX), size)
    } else {
        let size = since(expected, now);
        (i64::try_from(size.as_millis()).map_or(i64::MIN, |ms| -ms), size)
    };
    (size >= JUMP).then_some(Jump { at: now, by_ms })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_767_607_200 + seconds).unwrap()
    }

    #[test]
    fn a_breaker_covers_everything_or_the_rules_own_groups() {
        for (scope, rule, expected) in [
            ("storm", "api", true),
            ("group:api", "api", true),
            ("group:api:count(up)", "api", true),
            ("group:api-2", "api", false),
            ("group:web", "api", false),
        ] {
            assert_eq!(covers(scope, rule), expected, "{scope} {rule}");
        }
    }

    #[test]
    fn g13_a_clock_that_is_slewed_has_not_jumped_and_one_that_is_set_has() {
        let by = |seconds: i64| jumped(at(60), at(60 + seconds)).map(|jump| jump.by_ms);
        assert_eq!((by(0), by(4), by(-4)), (None, None, None));
        assert_eq!((by(5), by(3600), by(-3600)), (Some(5000), Some(3_600_000), Some(-3_600_000)));
    }
}
