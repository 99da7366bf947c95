//! Enough must stay (G4): members of the population that stay well beside the one that is acted on.

use std::collections::BTreeSet;

use jiff::Timestamp;

use crate::decide::guard::Subject;
use crate::decide::guard::hold_for_now;
use crate::decide::guard::population;
use crate::decide::guard::proceed;
use crate::model::decision::Facts;
use crate::model::decision::Ruling;

const NAME: &str = "min available";

/// Held while fewer than `min_available` would stay: those that are not well, and those that other runs of the rule work
/// on now, do not count. The target itself is counted as not well.
pub(super) fn judge(subject: &Subject, facts: &Facts, now: Timestamp) -> Ruling {
    let Some(limit) = &subject.limits.min_available else { return proceed(NAME, "no limit") };
    let busy: BTreeSet<&str> = facts
        .runs
        .iter()
        .filter(|run| !run.state.is_final() && run.rule == subject.rule)
        .map(|run| run.target.as_str())
        .filter(|target| *target != subject.target)
        .collect();
    let ruling = match facts.population.as_ref().map(|it| population::known(&subject.limits, it)) {
        // counted when nothing else is against it, and always before an action
        None => proceed(NAME, "not counted yet"),
        Some(Err(why)) => hold_for_now(NAME, now, why, "unknown"),
        Some(Ok((total, unhealthy))) => {
            let stay = total
                .saturating_sub(unhealthy.max(1))
                .saturating_sub(u64::try_from(busy.len()).unwrap_or(u64::MAX));
            let measured = format!("{stay} of {total} would stay");
            if stay < u64::from(limit.value) {
                hold_for_now(NAME, now, format!("{measured}, at least {}", limit.value), measured)
            } else {
                proceed(NAME, measured)
            }
        }
    };
    ruling.limit(format!("at least {}", limit.value), format!("min_available ({})", limit.place))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::guard::tests::facts;
    use crate::decide::guard::tests::group;
    use crate::decide::guard::tests::now;
    use crate::decide::guard::tests::run;
    use crate::decide::guard::tests::subject;
    use crate::model::decision::Counted;
    use crate::model::decision::PastRun;
    use crate::model::decision::Population;
    use crate::model::rule::Set;
    use crate::model::run::RunState;

    fn limited(stay: u32) -> Subject {
        let mut subject = subject();
        subject.limits.min_available = Some(Set::default_of(stay));
        subject
    }

    #[test]
    fn g04_refuses_what_would_leave_fewer_than_must_stay() {
        let facts = Facts { population: Some(group(5, 2)), ..facts() };
        assert_eq!(judge(&limited(3), &facts, now()).verdict.as_str(), "proceed");
        let ruling = judge(&limited(4), &facts, now());
        assert_eq!(ruling.verdict.as_str(), "hold");
        assert_eq!(ruling.reason, "3 of 5 would stay, at least 4");
    }

    #[test]
    fn g04_others_that_are_worked_on_do_not_count_and_the_target_is_never_well() {
        let busy =
            PastRun { target: "b".into(), state: RunState::Running, ended_at: None, ..run(5) };
        let with = |runs: Vec<PastRun>| Facts {
            population: Some(group(5, 0)),
            runs: runs.into(),
            ..facts()
        };
        assert_eq!(judge(&limited(4), &with(vec![]), now()).verdict.as_str(), "proceed");
        assert_eq!(judge(&limited(4), &with(vec![busy]), now()).verdict.as_str(), "hold");
    }

    #[test]
    fn g03_a_population_that_nobody_can_count_holds() {
        let unknown = Population { total: Counted::Unknown("no sample".into()), ..group(1, 0) };
        let facts = Facts { population: Some(unknown), ..facts() };
        assert_eq!(judge(&limited(1), &facts, now()).verdict.as_str(), "hold");
        assert_eq!(judge(&subject(), &facts, now()).verdict.as_str(), "proceed");
    }
}
