//! Loop breaker (G5): what was tried on a target and did not help is not tried for ever, over all playbooks.

use jiff::Timestamp;

use crate::decide::guard::Subject;
use crate::decide::guard::proceed;
use crate::decide::guard::refuse;
use crate::model::decision::Facts;
use crate::model::decision::PastRun;
use crate::model::decision::Ruling;
use crate::model::rule::is_schedule;
use crate::model::run::RunState;
use crate::model::time::before;
use crate::model::time::show_duration;

/// This guard's name.
pub const NAME: &str = "ineffective";

/// Whether a run on the target came to nothing, seen from a trouble that began at `since`: it failed, nobody could see
/// whether it helped, it got stuck, or it was verified and the target is in trouble again.
pub fn did_not_help(run: &PastRun, since: Timestamp) -> bool {
    match run.state {
        RunState::Failed | RunState::Stuck => true,
        RunState::Fixed => run.ended_at.is_some_and(|ended| ended < since),
        RunState::Planned
        | RunState::AwaitingApproval
        | RunState::Running
        | RunState::AwaitingAnswer
        | RunState::InDoubt
        | RunState::Verifying
        | RunState::Undoing
        | RunState::Cancelled
        | RunState::Expired
        | RunState::Rejected
        | RunState::Observed
        | RunState::Superseded => false,
    }
}

/// Refuses, so that people are told, when as many runs on the target did not help within the span. A schedule is no
/// remedy.
pub(super) fn judge(subject: &Subject, facts: &Facts, now: Timestamp) -> Ruling {
    if is_schedule(&subject.rule) || subject.remedy == 0 {
        return proceed(NAME, "not asked: no remedy");
    }
    let limit = &subject.limits.ineffective;
    let span = show_duration(limit.value.per);
    let from = before(now, limit.value.per);
    let mine: Vec<&PastRun> = facts
        .runs
        .iter()
        .filter(|run| run.target == subject.target && run.remedy > 0 && !is_schedule(&run.rule))
        .filter(|run| run.started_at > from && did_not_help(run, subject.since))
        .collect();
    let measured = format!("{} in the last {span}", mine.len());
    let ruling = if mine.len() < limit.value.count as usize {
        proceed(NAME, measured)
    } else {
        let mut tried: Vec<&str> = Vec::new();
        for run in &mine {
            if !tried.contains(&run.playbook.as_str()) {
                tried.push(&run.playbook);
            }
        }
        let reason = format!(
            "{measured} did not help {} for long ({}): people are needed, not another try",
            subject.target,
            tried.join(", ")
        );
        refuse(NAME, reason, measured)
    };
    ruling.limit(
        format!("{} per {span}", limit.value.count),
        format!("ineffective ({})", limit.place),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::guard::tests::facts;
    use crate::decide::guard::tests::now;
    use crate::decide::guard::tests::run;
    use crate::decide::guard::tests::subject;

    fn ruled(runs: Vec<PastRun>) -> Ruling {
        judge(&subject(), &Facts { runs: runs.into(), ..facts() }, now())
    }

    fn ended(state: RunState, seconds_ago: u64) -> PastRun {
        PastRun { state, ..run(seconds_ago) }
    }

    #[test]
    fn g05_loop_breaker_refuses_at_k_over_all_playbooks() {
        let flush = PastRun { playbook: "flush".into(), ..ended(RunState::Failed, 1000) };
        let two = vec![ended(RunState::Failed, 600), flush];
        assert_eq!(ruled(two.clone()).verdict.as_str(), "proceed");
        let three: Vec<_> = two.into_iter().chain([ended(RunState::Stuck, 900)]).collect();
        let ruling = ruled(three);
        assert_eq!(ruling.verdict.as_str(), "refuse");
        let words = "3 in the last 6h did not help deployment/api for long (restart, flush): people are needed, not another try";
        assert_eq!((ruling.reason.as_str(), ruling.limit.as_str()), (words, "3 per 6h"));
        assert_eq!(ruling.knob, "ineffective (default)");
    }

    #[test]
    fn g05_verified_and_in_trouble_again_counts_and_what_touched_nothing_does_not() {
        let thrice = |state| ruled(vec![ended(state, 600); 3]).verdict.as_str();
        assert_eq!(thrice(RunState::Fixed), "refuse");
        for state in
            [RunState::Observed, RunState::Superseded, RunState::Rejected, RunState::Expired]
        {
            assert_eq!(thrice(state), "proceed", "{state:?}");
        }
        // the trouble began two minutes ago: a fix since then is one of it, which has not come back
        assert_eq!(ruled(vec![ended(RunState::Fixed, 60); 3]).verdict.as_str(), "proceed");
    }

    #[test]
    fn g05_other_targets_and_old_runs_do_not_count() {
        let other = PastRun { target: "deployment/web".into(), ..ended(RunState::Failed, 60) };
        assert_eq!(ruled(vec![other; 3]).verdict.as_str(), "proceed");
        assert_eq!(ruled(vec![ended(RunState::Failed, 6 * 3600); 3]).verdict.as_str(), "proceed");
    }
}
