//! What becomes of a page that a rule holds while a remedy is tried.

use crate::decide::audience;
use crate::decide::respond::Case;
use crate::decide::respond::Conclusion;
use crate::decide::respond::Then;
use crate::model::decision::Verdict;
use crate::model::explain::PagePlan;
use crate::model::incident::NoticeKind;
use crate::model::playbook::Mode;
use crate::model::time::show_duration;

/// Until when it is held, unless something sends it `at_once`; `None` when the rule does not hold it.
pub(super) fn plan(case: Case<'_>, at_once: Option<String>) -> Option<PagePlan> {
    let Case { config, rule, incident, .. } = case;
    let within = rule.page.as_ref()?;
    let mut channels: Vec<String> = Vec::new();
    if let Some(severity) = audience::severity(config, &incident.severity) {
        for name in severity.notify.iter().filter(|it| config.paging.contains(*it)) {
            if !channels.contains(name) {
                channels.push(name.clone());
            }
        }
    }
    let (held_until, why) = match (incident.held_until, at_once) {
        (Some(_), Some(why)) => (None, why),
        (Some(until), None) => (Some(until), String::new()),
        (None, _) if rule.response.is_empty() => (None, "the rule has no remedy".into()),
        (None, _) => (None, String::new()),
    };
    Some(PagePlan {
        within: show_duration(within.value),
        set_in: within.place.to_string(),
        channels,
        held_until,
        why,
    })
}

/// Why what a judgement comes to sends the page at once, if it does.
pub(super) fn at_once(conclusion: &Conclusion) -> Option<String> {
    let Conclusion { decision, owed, page, then } = conclusion;
    if let Then::People(reason) = then {
        return Some(reason.clone());
    }
    if let Some(reason) = page {
        return Some(reason.clone());
    }
    if owed.iter().any(|it| it.notice.kind == NoticeKind::NeedsYou) {
        return Some(decision.reason.clone());
    }
    match then {
        Then::Create(plan) if plan.mode == Mode::Observe => {
            Some("mode observe: nothing is tried".into())
        }
        Then::Create(_) if decision.verdict == Verdict::Ask => {
            Some("a person must approve it".into())
        }
        Then::Create(_) | Then::Again(_) | Then::People(_) => None,
    }
}
