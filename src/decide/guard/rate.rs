//! Rates (G2): runs in a sliding span of time, per rule, per playbook and of everything; and runs at once.
//! Counted in the store, so they hold over restarts and replicas, and an idle limiter does not burst.

use jiff::Timestamp;

use crate::decide::guard::Subject;
use crate::decide::guard::hold;
use crate::decide::guard::hold_for_now;
use crate::decide::guard::proceed;
use crate::model::decision::Facts;
use crate::model::decision::PastRun;
use crate::model::decision::Ruling;
use crate::model::playbook::Rate;
use crate::model::rule::is_schedule;
use crate::model::run::RunState;
use crate::model::time::after;
use crate::model::time::before;
use crate::model::time::show_duration;

/// [`playbook`]'s.
pub(super) const PLAYBOOK: &str = "rate of the playbook";
/// [`concurrent`]'s.
pub(super) const AT_ONCE: &str = "at once";

/// Runs of this rule.
pub(super) fn rule(subject: &Subject, facts: &Facts, now: Timestamp) -> Ruling {
    const NAME: &str = "rate of the rule";
    match &subject.limits.rule_rate {
        None => proceed(NAME, "no limit of its own"),
        Some(rate) => within(
            NAME,
            rate.value,
            &format!("rate ({})", rate.place),
            facts.runs.iter().filter(|run| run.rule == subject.rule),
            now,
        ),
    }
}

/// Runs of this playbook, in a span of time and at once.
pub(super) fn playbook(subject: &Subject, facts: &Facts, now: Timestamp) -> Ruling {
    let mine = || facts.runs.iter().filter(|run| run.playbook == subject.playbook);
    let knob = format!("limits of playbook {}", subject.playbook);
    if let Some(limit) = subject.limits.playbook_concurrent {
        let busy = mine().filter(|run| !run.state.is_final()).count();
        if busy >= limit as usize {
            let reason = format!("{busy} runs of {} at once, of {limit}", subject.playbook);
            return hold_for_now(PLAYBOOK, now, reason, format!("{busy} at once"))
                .limit(format!("{limit} at once"), knob);
        }
    }
    match subject.limits.playbook_rate {
        None => proceed(PLAYBOOK, "no limit of its own"),
        Some(rate) => within(PLAYBOOK, rate, &knob, mine(), now),
    }
}

/// Runs for the alerts of one service, over all rules and targets. An alert without a service has no such limit.
pub(super) fn service(subject: &Subject, facts: &Facts, now: Timestamp) -> Ruling {
    const PLAYBOOK: &str = "rate of the service";
    if is_schedule(&subject.rule) || subject.service.is_empty() {
        return proceed(PLAYBOOK, "the alert names no service");
    }
    let rate = &subject.limits.service_rate;
    let mine = |run: &&PastRun| run.service == subject.service && !is_schedule(&run.rule);
    let runs = facts.runs.iter().filter(mine);
    within(PLAYBOOK, rate.value, &format!("service_rate ({})", rate.place), runs, now)
}

/// Runs of everything that responds to alerts. Schedules come as often as their crons say: they are not counted, so
/// that no remedy has to wait for them, nor they for remedies.
pub(super) fn global(subject: &Subject, facts: &Facts, now: Timestamp) -> Ruling {
    const PLAYBOOK: &str = "rate of everything";
    if is_schedule(&subject.rule) {
        return proceed(PLAYBOOK, "not asked: a schedule");
    }
    let rate = &subject.limits.global_rate;
    let runs = facts.runs.iter().filter(|run| !is_schedule(&run.rule));
    within(PLAYBOOK, rate.value, &format!("rate ({})", rate.place), runs, now)
}

/// Runs of everything at once.
pub(super) fn concurrent(subject: &Subject, facts: &Facts, now: Timestamp) -> Ruling {
    let limit = &subject.limits.concurrent;
    let busy = facts.runs.iter().filter(|run| !run.state.is_final()).count();
    let measured = format!("{busy} runs at once");
    let ruling = if busy >= limit.value as usize {
        hold_for_now(AT_ONCE, now, format!("{measured}, of {}", limit.value), measured)
    } else {
        proceed(AT_ONCE, measured)
    };
    ruling.limit(limit.value.to_string(), format!("concurrent ({})", limit.place))
}

/// Held until the oldest of the last `count` runs leaves the span.
fn within<'a>(
    name: &str,
    rate: Rate,
    knob: &str,
    runs: impl Iterator<Item = &'a PastRun>,
    now: Timestamp,
) -> Ruling {
    let start = before(now, rate.per);
    let mut starts: Vec<Timestamp> = runs
        .filter(|run| {
            !matches!(run.state, RunState::Superseded | RunState::Rejected | RunState::Expired)
        })
        .map(|run| run.started_at)
        .filter(|at| *at > start)
        .collect();
    starts.sort_unstable();
    let span = show_duration(rate.per);
    let limit = format!("{} per {span}", rate.count);
    let measured = format!("{} in the last {span}", starts.len());
    let over = starts.len().checked_sub(rate.count as usize).and_then(|over| starts.get(over));
    let ruling = if rate.count == 0 {
        hold_for_now(name, now, "the limit is 0: it never runs", measured)
    } else if let Some(oldest) = over {
        hold(name, after(*oldest, rate.per), format!("{measured}, of {limit}"), measured)
    } else {
        proceed(name, measured)
    };
    ruling.limit(limit, knob)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::decide::guard::tests::facts;
    use crate::decide::guard::tests::now;
    use crate::decide::guard::tests::run;
    use crate::decide::guard::tests::subject;
    use crate::model::decision::Runs;
    use crate::model::decision::Verdict;
    use crate::model::rule::Set;

    const THREE_AN_HOUR: Rate = Rate { count: 3, per: Duration::from_hours(1) };

    fn limited() -> Subject {
        let mut subject = subject();
        subject.limits.rule_rate = Some(Set::default_of(THREE_AN_HOUR));
        subject
    }

    #[test]
    fn the_fourth_run_waits_until_the_first_leaves_the_hour() {
        let runs = Runs::from(Vec::from([3000, 1200, 60].map(run)));
        let two = Facts { runs: runs.iter().skip(1).cloned().collect(), ..facts() };
        assert_eq!(rule(&limited(), &two, now()).verdict, Verdict::Proceed);
        let three = Facts { runs, ..facts() };
        assert_eq!(
            rule(&limited(), &three, now()).verdict,
            Verdict::Hold { until: after(run(3000).started_at, THREE_AN_HOUR.per) }
        );
    }

    #[test]
    fn other_rules_and_runs_that_never_acted_do_not_count() {
        let mut runs: Vec<PastRun> = (0..9).map(|_| run(60)).collect();
        for run in &mut runs {
            run.rule = "other".into();
        }
        runs.extend((0..9).map(|_| PastRun { state: RunState::Superseded, ..run(60) }));
        assert_eq!(
            rule(&limited(), &Facts { runs: runs.into(), ..facts() }, now()).verdict,
            Verdict::Proceed
        );
    }

    #[test]
    fn g02_one_service_is_limited_over_all_its_targets() {
        let subject = Subject { service: "shop".into(), ..subject() };
        let of = |service: &str, count: u64| {
            let one = |at| PastRun {
                service: service.into(),
                target: format!("t{at}"),
                rule: "other".into(),
                ..run(60 + at)
            };
            let facts = Facts { runs: (0..count).map(one).collect(), ..facts() };
            super::service(&subject, &facts, now()).verdict.as_str()
        };
        assert_eq!((of("shop", 9), of("shop", 10), of("mail", 10)), ("proceed", "hold", "proceed"));
    }

    #[test]
    fn what_was_only_observed_counts_as_what_was_done() {
        let observed = |at| PastRun { state: RunState::Observed, ..run(at) };
        let runs: Vec<PastRun> = [3000, 1200, 60].map(observed).into();
        let facts = Facts { runs: runs.into(), ..facts() };
        assert_eq!(rule(&limited(), &facts, now()).verdict.as_str(), "hold");
    }

    #[test]
    fn everything_together_is_limited_too() {
        let runs: Vec<PastRun> = (0..30).map(|at| run(60 + at)).collect();
        assert_eq!(
            global(&subject(), &Facts { runs: runs.into(), ..facts() }, now()).verdict.as_str(),
            "hold"
        );
    }

    #[test]
    fn schedules_neither_count_nor_wait() {
        let mut runs: Vec<PastRun> = (0..30).map(|at| run(60 + at)).collect();
        for run in &mut runs {
            run.rule = "schedule:backup".into();
        }
        let facts = Facts { runs: runs.into(), ..facts() };
        assert_eq!(global(&subject(), &facts, now()).verdict, Verdict::Proceed);
        let schedule = Subject { rule: "schedule:backup".into(), ..subject() };
        let runs = (0..30).map(|at| run(60 + at)).collect();
        let facts = Facts { runs, ..facts };
        assert_eq!(global(&schedule, &facts, now()).verdict, Verdict::Proceed);
    }

    #[test]
    fn runs_at_once_are_limited_to_the_number_and_not_one_more() {
        let busy = |count| {
            let run = PastRun { state: RunState::Running, ended_at: None, ..run(60) };
            let facts = Facts { runs: vec![run; count].into(), ..facts() };
            concurrent(&subject(), &facts, now()).verdict.as_str()
        };
        assert_eq!((busy(4), busy(5)), ("proceed", "hold"));
    }

    #[test]
    fn a_playbook_has_limits_of_its_own() {
        let mut subject = subject();
        subject.limits.playbook_concurrent = Some(1);
        let busy = PastRun { state: RunState::Running, ended_at: None, ..run(60) };
        let facts = Facts { runs: vec![busy].into(), ..facts() };
        assert_eq!(playbook(&subject, &facts, now()).verdict.as_str(), "hold");
    }
}
