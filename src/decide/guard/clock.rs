//! Clocks (G13): after the wall clock was set, and for an alert from the future, nobody knows how old things are.

use jiff::Timestamp;

use crate::decide::guard::Subject;
use crate::decide::guard::hold;
use crate::decide::guard::hold_for_now;
use crate::decide::guard::proceed;
use crate::model::decision::Facts;
use crate::model::decision::Ruling;
use crate::model::time::after;
use crate::model::time::show_duration;

const NAME: &str = "clock";

/// Held for `max_skew` after the clock was set, and while the alert claims to have begun further ahead than `max_skew`.
pub(super) fn judge(subject: &Subject, facts: &Facts, now: Timestamp) -> Ruling {
    if subject.remedy == 0 {
        return proceed(NAME, "not asked: takes a temporary measure back");
    }
    let limit = &subject.limits.max_skew;
    let shown = show_duration(limit.value);
    // one that was set back may have been set "later" than now
    let last = facts.around.jumps.iter().max_by_key(|jump| jump.at.min(now));
    let ruling = if let Some(jump) = last
        && after(jump.at.min(now), limit.value) > now
    {
        let by = show_duration(std::time::Duration::from_millis(jump.by_ms.unsigned_abs()));
        let way = if jump.by_ms < 0 { "back" } else { "forward" };
        let reason = format!(
            "the wall clock was set {way} by {by} at {:.0}: nothing begins until evidence is new again",
            jump.at
        );
        hold(NAME, after(jump.at.min(now), limit.value), reason, format!("set {way} by {by}"))
    } else if facts.ahead > limit.value {
        let ahead = show_duration(facts.ahead);
        let reason = format!(
            "the alert says that it began {ahead} in the future: the clock of its source or of this host is wrong"
        );
        hold_for_now(NAME, now, reason, format!("{ahead} ahead"))
    } else {
        proceed(NAME, "steady")
    };
    ruling.limit(shown, format!("max_skew ({})", limit.place))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::decide::guard::tests::around;
    use crate::decide::guard::tests::facts;
    use crate::decide::guard::tests::now;
    use crate::decide::guard::tests::subject;
    use crate::model::decision::Circumstances;
    use crate::model::decision::Jump;
    use crate::model::time::before;

    fn set(minutes_ago: u64, by_ms: i64) -> Ruling {
        let jumps = vec![Jump { at: before(now(), Duration::from_mins(minutes_ago)), by_ms }];
        judge(&subject(), &around(Circumstances { jumps, ..Circumstances::default() }), now())
    }

    #[test]
    fn g13_holds_for_max_skew_after_the_clock_was_set_either_way() {
        for by_ms in [3_600_000, -3_600_000] {
            assert_eq!(set(4, by_ms).verdict.as_str(), "hold", "{by_ms}");
            assert_eq!(set(5, by_ms).verdict.as_str(), "proceed", "{by_ms}");
        }
        let words = "the wall clock was set back by 1h at 2026-01-05T09:56:00Z: nothing begins until evidence is new again";
        assert_eq!(set(4, -3_600_000).reason, words);
    }

    #[test]
    fn g13_an_alert_from_the_future_is_not_believed() {
        let ruled = |ahead| judge(&subject(), &Facts { ahead, ..facts() }, now());
        assert_eq!(ruled(Duration::from_mins(5)).verdict.as_str(), "proceed");
        assert_eq!(ruled(Duration::from_secs(301)).verdict.as_str(), "hold");
    }
}
