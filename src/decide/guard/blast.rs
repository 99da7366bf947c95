//! Blast radius (G4): how much of a population is acted on in a span of time.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::decide::guard::Subject;
use crate::decide::guard::hold;
use crate::decide::guard::hold_for_now;
use crate::decide::guard::population;
use crate::decide::guard::proceed;
use crate::model::decision::Facts;
use crate::model::decision::Ruling;
use crate::model::playbook::Share;
use crate::model::run::RunState;
use crate::model::time::after;
use crate::model::time::before;
use crate::model::time::show_duration;

const NAME: &str = "blast";

/// Held until the oldest of the targets that the rule acted on leaves the span, when this one would be one too many. A
/// target that was acted on already is no further one.
pub(super) fn judge(subject: &Subject, facts: &Facts, now: Timestamp) -> Ruling {
    let Some(limit) = &subject.limits.blast else { return proceed(NAME, "no limit") };
    let span = show_duration(limit.value.within);
    let shown = format!("{} in {span}", limit.value.max);
    let knob = format!("blast ({})", limit.place);
    let total = match facts.population.as_ref().map(|it| population::known(&subject.limits, it)) {
        // counted when nothing else is against it, and always before an action
        None => return proceed(NAME, "not counted yet").limit(shown, knob),
        Some(Err(why)) => return hold_for_now(NAME, now, why, "unknown").limit(shown, knob),
        Some(Ok((total, _))) => total,
    };
    let from = before(now, limit.value.within);
    let mut last: BTreeMap<&str, Timestamp> = BTreeMap::new();
    for run in facts.runs.iter().filter(|run| run.rule == subject.rule && touched(run.state)) {
        if run.started_at > from && run.target != subject.target {
            let at = last.entry(&run.target).or_insert(run.started_at);
            *at = run.started_at.max(*at);
        }
    }
    let allowed = allowed(limit.value.max, total);
    let acted = u64::try_from(last.len()).unwrap_or(u64::MAX);
    let measured = format!("{} in {span}", population::share(acted.saturating_add(1), total));
    if acted < allowed {
        return proceed(NAME, measured).limit(shown, knob);
    }
    // enough of them must leave the span that this one fits
    let mut starts: Vec<Timestamp> = last.into_values().collect();
    starts.sort_unstable();
    let leaving = usize::try_from(acted - allowed).ok().and_then(|index| starts.get(index));
    let until = leaving.map_or(now, |at| after(*at, limit.value.within));
    let reason = format!("{measured} would be acted on, of {allowed}");
    hold(NAME, until, reason, measured).limit(shown, knob)
}

/// At least one, or the limit would be a ban; a part is rounded down.
fn allowed(max: Share, total: u64) -> u64 {
    match max {
        Share::Count(count) => u64::from(count).max(1),
        Share::Percent(percent) => (total.saturating_mul(u64::from(percent)) / 100).max(1),
    }
}

/// What was only planned or proposed touched nothing.
fn touched(state: RunState) -> bool {
    !matches!(
        state,
        RunState::Superseded | RunState::Rejected | RunState::Expired | RunState::Observed
    )
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::decide::guard::tests::facts;
    use crate::decide::guard::tests::group;
    use crate::decide::guard::tests::now;
    use crate::decide::guard::tests::run;
    use crate::decide::guard::tests::subject;
    use crate::model::decision::PastRun;
    use crate::model::decision::Verdict;
    use crate::model::rule::Blast;
    use crate::model::rule::Set;

    fn ruled(max: Share, total: u64, others: &[(&str, u64)]) -> Ruling {
        let mut subject = subject();
        subject.limits.blast =
            Some(Set::default_of(Blast { max, within: Duration::from_hours(1) }));
        let runs = others
            .iter()
            .map(|(target, ago)| PastRun { target: (*target).into(), ..run(*ago) })
            .collect();
        judge(&subject, &Facts { population: Some(group(total, 1)), runs, ..facts() }, now())
    }

    #[test]
    fn g04_the_target_above_the_part_waits_until_the_oldest_leaves() {
        let quarter = Share::Percent(25);
        assert_eq!(ruled(quarter, 12, &[("a", 1200), ("b", 60)]).verdict, Verdict::Proceed);
        let ruling = ruled(quarter, 12, &[("a", 1200), ("b", 60), ("c", 3000)]);
        let until = after(run(3000).started_at, Duration::from_hours(1));
        assert_eq!(ruling.verdict, Verdict::Hold { until });
        assert_eq!(ruling.reason, "4 of 12 (33 %) in 1h would be acted on, of 3");
    }

    #[test]
    fn g04_one_target_counts_once_and_one_may_always_be_acted_on() {
        assert_eq!(ruled(Share::Count(2), 9, &[("a", 60), ("a", 90)]).verdict, Verdict::Proceed);
        assert_eq!(ruled(Share::Percent(25), 2, &[]).verdict, Verdict::Proceed);
        assert_eq!(ruled(Share::Percent(25), 2, &[("a", 60)]).verdict.as_str(), "hold");
    }

    #[test]
    fn g03_an_empty_population_is_unknown() {
        assert_eq!(ruled(Share::Percent(25), 0, &[]).verdict.as_str(), "hold");
    }
}
