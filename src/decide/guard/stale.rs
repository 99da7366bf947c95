//! Stale alerts (G3): old evidence is unknown, and unknown never acts.

use jiff::Timestamp;

use crate::decide::guard::Subject;
use crate::decide::guard::hold_for_now;
use crate::decide::guard::proceed;
use crate::model::decision::Facts;
use crate::model::decision::Ruling;
use crate::model::decision::Standing;
use crate::model::time::show_duration;

/// This guard's name.
pub const NAME: &str = "stale";

/// Held when nobody has said for longer than `max_age` that the alert fires. Alertmanager listing it now is
/// fresh evidence: a webhook repeats only every few hours.
pub(super) fn judge(subject: &Subject, facts: &Facts, now: Timestamp) -> Ruling {
    let limit = &subject.limits.max_age;
    let knob = format!("max_age ({})", limit.place);
    if facts.standing == Standing::Active {
        return proceed(NAME, "Alertmanager lists it now").limit(show_duration(limit.value), knob);
    }
    let age = show_duration(facts.evidence_age);
    let ruling = if subject.remedy == 0 || facts.evidence_age <= limit.value {
        proceed(NAME, format!("{age} old"))
    } else {
        hold_for_now(
            NAME,
            now,
            format!("the last sign of the alert is {age} old"),
            format!("{age} old"),
        )
    };
    ruling.limit(show_duration(limit.value), knob)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::decide::guard::tests::facts;
    use crate::decide::guard::tests::now;
    use crate::decide::guard::tests::subject;

    #[test]
    fn holds_beyond_max_age_unless_alertmanager_lists_it_now() {
        let verdict = |seconds, standing| {
            let evidence_age = Duration::from_secs(seconds);
            judge(&subject(), &Facts { evidence_age, standing, ..facts() }, now()).verdict.as_str()
        };
        assert_eq!(verdict(900, Standing::NotAsked), "proceed");
        assert_eq!(verdict(901, Standing::NotAsked), "hold");
        assert_eq!(verdict(901, Standing::Active), "proceed");
    }
}
