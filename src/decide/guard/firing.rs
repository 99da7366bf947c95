//! Still firing: what is over needs no remedy.

use jiff::Timestamp;

use crate::decide::guard::Subject;
use crate::decide::guard::proceed;
use crate::decide::guard::refuse;
use crate::model::decision::Facts;
use crate::model::decision::Ruling;
use crate::model::decision::Standing;
use crate::model::time::show_duration;

/// This guard's name; the engine tells a resolution from other refusals by it.
pub const NAME: &str = "still firing";

/// Refused when the episode is closed, or when Alertmanager no longer lists the alert.
pub(super) fn judge(subject: &Subject, facts: &Facts, _: Timestamp) -> Ruling {
    if subject.remedy == 0 {
        return proceed(NAME, "not asked: takes a temporary measure back");
    }
    if !facts.firing {
        return refuse(NAME, "the alert has resolved", "resolved");
    }
    if facts.standing == Standing::Gone {
        return refuse(NAME, "Alertmanager no longer lists the alert", "gone");
    }
    proceed(NAME, format!("for {}", show_duration(facts.firing_for)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::guard::tests::facts;
    use crate::decide::guard::tests::now;
    use crate::decide::guard::tests::subject;

    #[test]
    fn refuses_what_resolved_or_vanished() {
        let verdict = |facts: Facts| judge(&subject(), &facts, now()).verdict.as_str();
        assert_eq!(verdict(facts()), "proceed");
        assert_eq!(verdict(Facts { firing: false, ..facts() }), "refuse");
        assert_eq!(verdict(Facts { standing: Standing::Gone, ..facts() }), "refuse");
    }

    #[test]
    fn taking_a_measure_back_needs_no_firing_alert() {
        let subject = Subject { remedy: 0, ..subject() };
        let ruling = judge(&subject, &Facts { firing: false, ..facts() }, now());
        assert_eq!(ruling.verdict.as_str(), "proceed");
    }
}
