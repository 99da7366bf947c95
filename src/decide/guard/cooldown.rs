//! Cooldown (G2): time between runs on one target.

use jiff::Timestamp;

use crate::decide::guard::Subject;
use crate::decide::guard::hold;
use crate::decide::guard::proceed;
use crate::model::decision::Facts;
use crate::model::decision::PastRun;
use crate::model::decision::Ruling;
use crate::model::rule::is_schedule;
use crate::model::run::RunState;
use crate::model::time::after;
use crate::model::time::show_duration;
use crate::model::time::since;

const NAME: &str = "cooldown";

/// Held until `cooldown` after the last run on the target ended. The remedies of one response follow one
/// another without it: the next is tried because the one before did not help. A schedule runs when it is time.
pub(super) fn judge(subject: &Subject, facts: &Facts, now: Timestamp) -> Ruling {
    if is_schedule(&subject.rule) {
        return proceed(NAME, "not asked: a schedule");
    }
    let limit = &subject.limits.cooldown;
    let (shown, knob) = (show_duration(limit.value), format!("cooldown ({})", limit.place));
    let last = facts
        .runs
        .iter()
        .filter(|run| run.target == subject.target && counts(run) && !earlier_remedy(subject, run))
        .filter_map(|run| run.ended_at)
        .max();
    let Some(last) = last.filter(|_| subject.remedy != 0) else {
        return proceed(NAME, "no run yet").limit(shown, knob);
    };
    let measured = format!("last run {} ago", show_duration(since(now, last)));
    let until = after(last, limit.value);
    let ruling = if until > now {
        hold(NAME, until, format!("{measured}, of {shown}"), measured)
    } else {
        proceed(NAME, measured)
    };
    ruling.limit(shown, knob)
}

/// What was rejected, expired or superseded never touched the target.
fn counts(run: &PastRun) -> bool {
    !matches!(run.state, RunState::Rejected | RunState::Expired | RunState::Superseded)
}

fn earlier_remedy(subject: &Subject, run: &PastRun) -> bool {
    run.incident == subject.incident
        && run.remedy < subject.remedy
        && run.remedy > 0
        && run.ended_at.is_some_and(|ended| ended >= subject.since)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::guard::tests::facts;
    use crate::decide::guard::tests::now;
    use crate::decide::guard::tests::run;
    use crate::decide::guard::tests::subject;
    use crate::model::incident::IncidentId;

    fn verdict(run: PastRun) -> &'static str {
        judge(&subject(), &Facts { runs: vec![run].into(), ..facts() }, now()).verdict.as_str()
    }

    #[test]
    fn holds_until_the_cooldown_is_over() {
        assert_eq!(verdict(run(299)), "hold");
        assert_eq!(verdict(run(300)), "proceed");
        assert_eq!(verdict(PastRun { target: "deployment/web".into(), ..run(1) }), "proceed");
    }

    #[test]
    fn what_was_only_observed_has_the_same_cooldown_and_what_never_touched_the_target_has_none() {
        let ended = |state| verdict(PastRun { state, ..run(299) });
        assert_eq!(ended(RunState::Observed), "hold");
        assert_eq!(verdict(PastRun { state: RunState::Observed, ..run(300) }), "proceed");
        assert_eq!(ended(RunState::Cancelled), "hold");
        for state in [RunState::Rejected, RunState::Expired, RunState::Superseded] {
            assert_eq!(ended(state), "proceed", "{state:?}");
        }
    }

    #[test]
    fn a_schedule_need_not_wait_and_makes_others_wait() {
        let mine = Subject { rule: "schedule:backup".into(), ..subject() };
        let just_now = Facts { runs: vec![run(1)].into(), ..facts() };
        assert_eq!(judge(&mine, &just_now, now()).verdict.as_str(), "proceed");
        assert_eq!(verdict(PastRun { rule: "schedule:backup".into(), ..run(1) }), "hold");
    }

    #[test]
    fn the_next_remedy_of_the_same_trouble_need_not_wait() {
        let first = PastRun { incident: IncidentId(1), remedy: 1, ..run(1) };
        let second = Subject { remedy: 2, since: run(60).started_at, ..subject() };
        let judge = |subject: &Subject| {
            let facts = Facts { runs: vec![first.clone()].into(), ..facts() };
            judge(subject, &facts, now()).verdict.as_str()
        };
        assert_eq!(judge(&second), "proceed");
        assert_eq!(
            judge(&Subject { remedy: 1, ..second.clone() }),
            "hold",
            "the same remedy again"
        );
        assert_eq!(judge(&Subject { since: now(), ..second }), "hold", "an earlier trouble");
    }
}
