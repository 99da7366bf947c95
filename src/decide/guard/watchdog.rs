//! Watchdog (G3): an alert that always fires. When it stops arriving, monitoring is blind, and nothing begins.

use jiff::Timestamp;

use crate::decide::guard::Subject;
use crate::decide::guard::hold_for_now;
use crate::decide::guard::proceed;
use crate::model::decision::Facts;
use crate::model::decision::Ruling;
use crate::model::decision::Watchdog;
use crate::model::time::show_duration;

const NAME: &str = "watchdog";

/// Held while the watchdog of quell.yml is missing.
pub(super) fn judge(subject: &Subject, facts: &Facts, now: Timestamp) -> Ruling {
    const KNOB: &str = "watchdog in quell.yml";
    if subject.remedy == 0 {
        return proceed(NAME, "not asked: takes a temporary measure back");
    }
    match facts.around.watchdog {
        Watchdog::NotWatched => proceed(NAME, "quell.yml names none"),
        Watchdog::Seen(age) => proceed(NAME, format!("{} old", show_duration(age))).limit("", KNOB),
        Watchdog::Missing(age) => {
            let age = show_duration(age);
            let reason = format!(
                "the watchdog alert has not arrived for {age}: monitoring or Alertmanager is down, so nobody can see"
            );
            hold_for_now(NAME, now, reason, format!("missing for {age}")).limit("", KNOB)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::decide::guard::tests::around;
    use crate::decide::guard::tests::now;
    use crate::decide::guard::tests::subject;
    use crate::model::decision::Circumstances;

    #[test]
    fn g03_a_missing_watchdog_holds_everything() {
        let ruled = |watchdog| {
            let facts = around(Circumstances { watchdog, ..Circumstances::default() });
            judge(&subject(), &facts, now())
        };
        assert_eq!(ruled(Watchdog::NotWatched).verdict.as_str(), "proceed");
        assert_eq!(ruled(Watchdog::Seen(Duration::from_mins(4))).verdict.as_str(), "proceed");
        let ruling = ruled(Watchdog::Missing(Duration::from_mins(6)));
        assert_eq!(ruling.verdict.as_str(), "hold");
        assert_eq!(ruling.measured, "missing for 6m");
    }
}
