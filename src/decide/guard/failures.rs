//! Own error budget: when quell's own runs fail one after another, quell is the trouble, and nothing begins.

use jiff::Timestamp;

use crate::decide::guard::Subject;
use crate::decide::guard::hold;
use crate::decide::guard::proceed;
use crate::model::decision::Facts;
use crate::model::decision::Ruling;
use crate::model::rule::is_schedule;
use crate::model::run::RunState;
use crate::model::time::after;
use crate::model::time::before;
use crate::model::time::show_duration;

const NAME: &str = "failures";

/// Held until the oldest of the last failed runs of all rules leaves the span. Schedules neither count nor wait.
pub(super) fn judge(subject: &Subject, facts: &Facts, now: Timestamp) -> Ruling {
    if is_schedule(&subject.rule) || subject.remedy == 0 {
        return proceed(NAME, "not asked: no remedy");
    }
    let limit = &subject.limits.failures;
    let span = show_duration(limit.value.per);
    let from = before(now, limit.value.per);
    let mut ended: Vec<Timestamp> = facts
        .runs
        .iter()
        .filter(|run| matches!(run.state, RunState::Failed | RunState::Stuck))
        .filter(|run| !is_schedule(&run.rule) && run.remedy > 0)
        .filter_map(|run| run.ended_at)
        .filter(|at| *at > from)
        .collect();
    ended.sort_unstable();
    let measured = format!("{} failed in the last {span}", ended.len());
    let over = ended.len().checked_sub(limit.value.count as usize).and_then(|over| ended.get(over));
    let ruling = match over {
        None => proceed(NAME, measured),
        Some(oldest) => {
            let reason = format!("{measured}: what quell does makes nothing better");
            hold(NAME, after(*oldest, limit.value.per), reason, measured)
        }
    };
    ruling.limit(format!("{} per {span}", limit.value.count), format!("failures ({})", limit.place))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::guard::tests::facts;
    use crate::decide::guard::tests::now;
    use crate::decide::guard::tests::run;
    use crate::decide::guard::tests::subject;
    use crate::model::decision::PastRun;
    use crate::model::decision::Verdict;

    #[test]
    fn g05_own_error_budget_holds_when_it_is_spent_until_the_oldest_failure_is_old() {
        let failed = |count: u64| {
            let other = |at| PastRun {
                state: RunState::Failed,
                target: format!("t{at}"),
                ..run(60 * (at + 1))
            };
            let facts = Facts { runs: (0..count).map(other).collect(), ..facts() };
            judge(&subject(), &facts, now()).verdict
        };
        assert_eq!(failed(9), Verdict::Proceed);
        let until = after(run(600).started_at, subject().limits.failures.value.per);
        assert_eq!(failed(10), Verdict::Hold { until });
    }
}
