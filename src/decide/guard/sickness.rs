//! Sickness ceiling (G1): when too much of a group is not well, the cause is not the member, and nobody is acted on.

use jiff::Timestamp;

use crate::decide::guard::Subject;
use crate::decide::guard::hold;
use crate::decide::guard::hold_for_now;
use crate::decide::guard::population;
use crate::decide::guard::proceed;
use crate::decide::trip;
use crate::model::decision::Facts;
use crate::model::decision::Population;
use crate::model::decision::Ruling;
use crate::model::time::show_duration;

/// This guard's name.
pub const NAME: &str = "max unhealthy";

/// A group of this size or less may have one member that is not well, whatever part of it that is.
const SMALL: u64 = 2;

/// Whether more of the group is not well than may be; `None` when nobody knows.
pub fn over(subject: &Subject, population: &Population) -> Option<bool> {
    let (total, unhealthy) = population::known(subject, population).ok()?;
    Some(is_over(total, unhealthy, subject.limits.max_unhealthy.value))
}

fn is_over(total: u64, unhealthy: u64, percent: u8) -> bool {
    if total <= SMALL {
        unhealthy > 1
    } else {
        u128::from(unhealthy) * 100 > u128::from(total) * u128::from(percent)
    }
}

/// Held while more than `max_unhealthy` of the population is not well or nobody knows, and after it until it has been
/// below for the storm's `cooldown` without a break.
pub(super) fn judge(subject: &Subject, facts: &Facts, now: Timestamp) -> Ruling {
    if subject.remedy == 0 {
        return proceed(NAME, "not asked: takes a temporary measure back");
    }
    let limit = &subject.limits.max_unhealthy;
    let cooldown = subject.limits.storm.value.cooldown;
    let Some(group) = &facts.population else {
        return proceed(NAME, "the rule names no population");
    };
    let known = population::known(subject, group);
    let ruling = match (&facts.around.glass, known) {
        (Some(glass), _) => proceed(NAME, format!("lifted by {}", glass.by)),
        (None, Err(why)) => hold_for_now(NAME, now, why, "unknown"),
        (None, Ok((total, unhealthy))) => {
            let measured = population::share(unhealthy, total);
            let ends = group.trip.as_ref().map(|it| trip::ends(it, cooldown));
            if is_over(total, unhealthy, limit.value) {
                let reason = format!("{measured} are not well: this is no fault of one member");
                hold_for_now(NAME, now, reason, measured)
            } else {
                match ends {
                    Some(None) => {
                        hold_for_now(NAME, now, "too much of the group was not well", measured)
                    }
                    Some(Some(until)) if until > now => {
                        let reason = format!(
                            "too much of the group was not well; nothing begins until it has been below for {} without a break",
                            show_duration(cooldown)
                        );
                        hold(NAME, until, reason, measured)
                    }
                    Some(Some(_)) | None => proceed(NAME, measured),
                }
            }
        }
    };
    ruling.limit(format!("{} %", limit.value), format!("max_unhealthy ({})", limit.place))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::decide::guard::tests::facts;
    use crate::decide::guard::tests::glass;
    use crate::decide::guard::tests::group;
    use crate::decide::guard::tests::now;
    use crate::decide::guard::tests::subject;
    use crate::model::decision::Circumstances;
    use crate::model::decision::Counted;
    use crate::model::decision::Trip;
    use crate::model::decision::Verdict;
    use crate::model::time::after;
    use crate::model::time::before;

    fn ruled(population: Population) -> Ruling {
        judge(&subject(), &Facts { population: Some(population), ..facts() }, now())
    }

    #[test]
    fn g01_sickness_ceiling_holds_above_the_part_and_not_at_it() {
        for (total, unhealthy, expected) in [
            (10, 4, "proceed"),
            (10, 5, "hold"),
            (12, 2, "proceed"),
            (100, 40, "proceed"),
            (100, 41, "hold"),
            (3, 1, "proceed"),
            (3, 2, "hold"),
            // fewer than three: one may be ill
            (2, 1, "proceed"),
            (2, 2, "hold"),
            (1, 1, "proceed"),
        ] {
            let ruling = ruled(group(total, unhealthy));
            assert_eq!(ruling.verdict.as_str(), expected, "{unhealthy} of {total}");
        }
        let ruling = ruled(group(12, 6));
        let words = "6 of 12 (50 %) are not well: this is no fault of one member";
        assert_eq!((ruling.reason.as_str(), ruling.limit.as_str()), (words, "40 %"));
        assert_eq!(ruling.knob, "max_unhealthy (default)");
    }

    #[test]
    fn g01_work_resumes_only_after_the_cooldown_below() {
        let trip = |calm: Option<u64>| Population {
            trip: Some(Trip {
                since: before(now(), Duration::from_hours(1)),
                calm_since: calm.map(|minutes| before(now(), Duration::from_mins(minutes))),
            }),
            ..group(10, 0)
        };
        let until = after(now(), Duration::from_mins(1));
        assert_eq!(ruled(trip(Some(9))).verdict, Verdict::Hold { until });
        assert_eq!(ruled(trip(Some(10))).verdict, Verdict::Proceed);
        assert_eq!(ruled(trip(None)).verdict.as_str(), "hold");
    }

    #[test]
    fn g03_an_unknown_population_holds() {
        let unknown = Population { total: Counted::Unknown("no sample".into()), ..group(1, 0) };
        let ruling = ruled(unknown);
        assert_eq!(ruling.verdict.as_str(), "hold");
        assert_eq!(ruling.reason, "the population cannot be counted: no sample");
    }

    #[test]
    fn g11_break_glass_lifts_it() {
        let around = Circumstances { glass: Some(glass()), ..Circumstances::default() };
        let facts = Facts { population: Some(group(10, 9)), around, ..facts() };
        assert_eq!(judge(&subject(), &facts, now()).verdict, Verdict::Proceed);
    }

    #[test]
    fn a_rule_without_a_population_says_so() {
        let ruling = judge(&subject(), &facts(), now());
        assert_eq!(ruling.verdict, Verdict::Proceed);
        assert_eq!(ruling.measured, "the rule names no population");
    }
}
