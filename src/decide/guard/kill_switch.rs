//! Kill switch (G6): while it is set nothing begins; only a person clears it.

use jiff::Timestamp;

use crate::decide::guard::Subject;
use crate::decide::guard::hold;
use crate::decide::guard::proceed;
use crate::decide::own::audit::PAUSED_BY;
use crate::model::decision::Facts;
use crate::model::decision::Pause;
use crate::model::decision::Ruling;
use crate::model::time::after;

/// This guard's name.
pub const NAME: &str = "kill switch";

/// The pause that covers everything, or this rule, playbook or target.
pub fn pause<'a>(subject: &Subject, pauses: &'a [Pause]) -> Option<&'a Pause> {
    let scopes = [
        "all".to_owned(),
        format!("rule:{}", subject.rule),
        format!("playbook:{}", subject.playbook),
        format!("target:{}", subject.target),
    ];
    pauses.iter().find(|pause| scopes.contains(&pause.scope))
}

/// Held as long as a pause covers it.
pub(super) fn judge(subject: &Subject, facts: &Facts, now: Timestamp) -> Ruling {
    let Some(pause) = pause(subject, &facts.pauses) else {
        return proceed(NAME, "not set");
    };
    let why = if pause.reason.is_empty() { String::new() } else { format!(": {}", pause.reason) };
    let knob = if pause.by == PAUSED_BY {
        "quell audit accept".to_owned()
    } else {
        format!("quell resume {}", pause.scope)
    };
    let clears = if pause.by == PAUSED_BY { knob.as_str() } else { "quell resume" };
    hold(
        NAME,
        after(now, std::time::Duration::from_secs(1)),
        format!("{} is paused by {}{why}; `{clears}` clears it", pause.scope, pause.by),
        format!("paused since {:.0}", pause.at),
    )
    .limit("", knob)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::guard::tests::facts;
    use crate::decide::guard::tests::now;
    use crate::decide::guard::tests::subject;

    fn verdict(scope: &str) -> &'static str {
        let pause = Pause {
            scope: scope.into(),
            by: "dana".into(),
            reason: "fire drill".into(),
            at: now(),
        };
        let facts = Facts { pauses: vec![pause], ..facts() };
        judge(&subject(), &facts, now()).verdict.as_str()
    }

    #[test]
    fn holds_what_the_pause_covers_and_nothing_else() {
        for scope in ["all", "rule:api-error-rate", "playbook:restart", "target:deployment/api"] {
            assert_eq!(verdict(scope), "hold", "{scope}");
        }
        for scope in ["rule:other", "playbook:rollback", "target:deployment/web", "rule:restart"] {
            assert_eq!(verdict(scope), "proceed", "{scope}");
        }
    }

    #[test]
    fn names_who_paused_why_and_how_to_clear_it() {
        let pause = Pause {
            scope: "all".into(),
            by: "dana".into(),
            reason: "fire drill".into(),
            at: now(),
        };
        let ruling = judge(&subject(), &Facts { pauses: vec![pause], ..facts() }, now());
        assert_eq!(ruling.reason, "all is paused by dana: fire drill; `quell resume` clears it");
    }
}
