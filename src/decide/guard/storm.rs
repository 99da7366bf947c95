//! Storm (G1): when very much is in trouble at once, it is not the targets that are sick, and nothing begins.

use jiff::Timestamp;

use crate::decide::guard::Subject;
use crate::decide::guard::hold;
use crate::decide::guard::hold_for_now;
use crate::decide::guard::proceed;
use crate::decide::trip;
use crate::model::decision::Facts;
use crate::model::decision::Ruling;
use crate::model::time::show_duration;

/// This guard's name.
pub const NAME: &str = "storm";

/// Held while more distinct targets than `targets` came into trouble within the span, and after it until there have
/// been no more for `cooldown` without a break.
pub(super) fn judge(subject: &Subject, facts: &Facts, now: Timestamp) -> Ruling {
    if subject.remedy == 0 {
        return proceed(NAME, "not asked: takes a temporary measure back");
    }
    let limits = &subject.limits.storm;
    let storm = &facts.around.storm;
    let span = show_duration(limits.value.within);
    let measured = format!("{} targets in {span}", storm.targets);
    let shown = format!("{} in {span}", limits.value.targets);
    let knob = format!("storm ({})", limits.place);
    let ruling = if let Some(glass) = &facts.around.glass {
        proceed(NAME, format!("lifted by {}", glass.by))
    } else if storm.targets > limits.value.targets {
        let reason = format!(
            "{measured} came into trouble, above {}: this is no fault of one target",
            limits.value.targets
        );
        hold_for_now(NAME, now, reason, measured)
    } else if let Some(trip) = &storm.trip {
        match trip::ends(trip, limits.value.cooldown) {
            Some(until) if until <= now => proceed(NAME, measured),
            Some(until) => {
                let cooldown = show_duration(limits.value.cooldown);
                let reason = format!(
                    "after a storm nothing begins until it has been calm for {cooldown} without a break"
                );
                hold(NAME, until, reason, measured)
            }
            None => hold_for_now(NAME, now, "a storm goes on", measured),
        }
    } else {
        proceed(NAME, measured)
    };
    ruling.limit(shown, knob)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::decide::guard::tests::around;
    use crate::decide::guard::tests::facts;
    use crate::decide::guard::tests::glass;
    use crate::decide::guard::tests::now;
    use crate::decide::guard::tests::subject;
    use crate::model::decision::Circumstances;
    use crate::model::decision::Storm;
    use crate::model::decision::Trip;
    use crate::model::decision::Verdict;
    use crate::model::time::after;
    use crate::model::time::before;

    fn ruled(targets: u32, trip: Option<Trip>) -> Ruling {
        let storm = Storm { targets, trip };
        judge(&subject(), &around(Circumstances { storm, ..Circumstances::default() }), now())
    }

    fn calm_for(minutes: u64) -> Trip {
        let since = before(now(), Duration::from_hours(1));
        Trip { since, calm_since: Some(before(now(), Duration::from_mins(minutes))) }
    }

    #[test]
    fn g01_the_target_above_the_limit_holds_everything() {
        assert_eq!(ruled(20, None).verdict, Verdict::Proceed);
        let ruling = ruled(21, None);
        assert_eq!(ruling.verdict.as_str(), "hold");
        let words = "21 targets in 5m came into trouble, above 20: this is no fault of one target";
        assert_eq!((ruling.reason.as_str(), ruling.limit.as_str()), (words, "20 in 5m"));
    }

    #[test]
    fn g01_work_resumes_only_after_the_cooldown_without_a_break() {
        let until = after(now(), Duration::from_mins(1));
        assert_eq!(ruled(0, Some(calm_for(9))).verdict, Verdict::Hold { until });
        assert_eq!(ruled(0, Some(calm_for(10))).verdict, Verdict::Proceed);
        let goes_on = Trip { since: before(now(), Duration::from_hours(9)), calm_since: None };
        assert_eq!(ruled(0, Some(goes_on)).verdict.as_str(), "hold");
    }

    #[test]
    fn g01_holds_every_mutating_phase_but_the_taking_back() {
        let storm = Storm { targets: 21, trip: None };
        let facts = around(Circumstances { storm, ..Circumstances::default() });
        let back = Subject { remedy: 0, ..subject() };
        assert_eq!(judge(&back, &facts, now()).verdict, Verdict::Proceed);
        let again = crate::decide::guard::still_true(&subject(), &facts, now());
        assert!(again.iter().any(|it| it.guard == NAME && it.verdict.as_str() == "hold"));
    }

    #[test]
    fn g11_break_glass_lifts_it_and_says_who_did() {
        let storm = Storm { targets: 21, trip: None };
        let facts = Facts {
            around: Circumstances { storm, glass: Some(glass()), ..Circumstances::default() },
            ..facts()
        };
        let ruling = judge(&subject(), &facts, now());
        assert_eq!((ruling.verdict, ruling.measured), (Verdict::Proceed, "lifted by dana".into()));
    }
}
