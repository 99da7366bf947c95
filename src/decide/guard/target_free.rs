//! One active run per target.

use jiff::Timestamp;

use crate::decide::guard::Subject;
use crate::decide::guard::hold_for_now;
use crate::decide::guard::proceed;
use crate::model::decision::Facts;
use crate::model::decision::Ruling;

pub(super) const NAME: &str = "target free";

/// Held while another run, of whatever rule, is at work on the target.
pub(super) fn judge(subject: &Subject, facts: &Facts, now: Timestamp) -> Ruling {
    let busy = facts.runs.iter().find(|run| run.target == subject.target && !run.state.is_final());
    match busy {
        None => proceed(NAME, "no run"),
        Some(run) => hold_for_now(
            NAME,
            now,
            format!(
                "{} of rule {} is {} on {}",
                run.playbook,
                run.rule,
                run.state.as_str(),
                run.target
            ),
            "1 run",
        )
        .limit("1 run", "one active run per target"),
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
    fn holds_while_any_rule_works_on_the_target() {
        let verdict = |run: PastRun| {
            judge(&subject(), &Facts { runs: vec![run].into(), ..facts() }, now()).verdict.as_str()
        };
        let busy = PastRun { state: RunState::Verifying, ended_at: None, ..run(60) };
        assert_eq!(verdict(PastRun { rule: "other".into(), ..busy.clone() }), "hold");
        assert_eq!(verdict(PastRun { target: "deployment/web".into(), ..busy }), "proceed");
        assert_eq!(verdict(run(60)), "proceed");
    }
}
