//! Redundancy groups (G9): two members of one are never disturbed at the same time.

use jiff::Timestamp;

use crate::decide::guard::Subject;
use crate::decide::guard::hold_for_now;
use crate::decide::guard::proceed;
use crate::model::decision::Facts;
use crate::model::decision::Ruling;

pub(super) const NAME: &str = "redundancy group";

/// Held while a run is at work on another member of the target's group, for whatever rule.
pub(super) fn judge(subject: &Subject, facts: &Facts, now: Timestamp) -> Ruling {
    if subject.group.is_empty() {
        return proceed(NAME, "the rule names none");
    }
    let knob = format!("redundancy_group of rule {}", subject.rule);
    let busy = facts.runs.iter().find(|run| {
        run.group == subject.group && run.target != subject.target && !run.state.is_final()
    });
    match busy {
        None => {
            proceed(NAME, format!("no other of {}", subject.group)).limit("one at a time", knob)
        }
        Some(run) => {
            let reason = format!(
                "{} of the same redundancy group {} is being acted on",
                run.target, subject.group
            );
            hold_for_now(NAME, now, reason, &run.target).limit("one at a time", knob)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::guard::tests::facts;
    use crate::decide::guard::tests::now;
    use crate::decide::guard::tests::run;
    use crate::decide::guard::tests::subject;
    use crate::model::decision::PastRun;
    use crate::model::run::RunState;

    #[test]
    fn g09_two_members_of_one_redundancy_group_are_never_disrupted_together() {
        let subject = Subject { group: "shard-1".into(), ..subject() };
        let verdict = |group: &str, target: &str, state: RunState| {
            let run = PastRun { group: group.into(), target: target.into(), state, ..run(5) };
            judge(&subject, &Facts { runs: vec![run].into(), ..facts() }, now()).verdict.as_str()
        };
        assert_eq!(verdict("shard-1", "deployment/b", RunState::Verifying), "hold");
        assert_eq!(verdict("shard-1", "deployment/b", RunState::Fixed), "proceed");
        assert_eq!(verdict("shard-2", "deployment/b", RunState::Running), "proceed");
        assert_eq!(verdict("shard-1", "deployment/api", RunState::Running), "proceed");
        assert_eq!(verdict("", "deployment/b", RunState::Running), "proceed");
    }
}
