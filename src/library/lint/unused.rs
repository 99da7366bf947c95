//! What nothing uses: parameters, playbooks, and the alerts of checks.

use std::collections::BTreeSet;

use super::Gathered;
use super::scalars;
use crate::decide::check::labels;
use crate::library::candidates::Candidates;
use crate::library::codes;
use crate::library::diagnostic::At;
use crate::library::diagnostic::Diagnostic;
use crate::library::diagnostic::Sink;
use crate::library::yaml::Node;
use crate::library::yaml::Value;
use crate::model::config::Config;
use crate::model::playbook::Playbook;

/// Where a playbook may name its parameters.
const PLACES: [&str; 4] = ["steps", "on_resolve", "rollback", "cache"];

/// Reports parameters that nothing of the playbook names.
pub(super) fn parameters(at: At<'_>, node: &Node, playbook: &Playbook) {
    let mut words: BTreeSet<&str> = BTreeSet::new();
    for key in PLACES {
        if let Some(steps) = node.get(key) {
            scalars(steps, &mut |scalar| {
                let is_part = |c: char| c == '_' || c.is_alphanumeric();
                words.extend(scalar.text.split(|c| !is_part(c)));
            });
        }
    }
    let Some(Value::Map(declared)) = node.get("parameters").map(|it| &it.value) else { return };
    for (key, _) in declared {
        if playbook.parameters.contains_key(&key.text) && !words.contains(key.text.as_str()) {
            let message = format!("no step uses parameter `{}`", key.text);
            let found = Diagnostic::warning(codes::UNUSED_PARAMETER, message);
            at.report(key.span, found.label("use it, or remove it"));
        }
    }
}

/// Reports playbooks that no rule or schedule names, when there are any to name them.
pub(super) fn playbooks(sink: &Sink, gathered: &Gathered) {
    let used: BTreeSet<&str> =
        gathered.remedies().map(|(_, it)| it.remedy.playbook.as_str()).collect();
    let known = gathered.playbooks_by_name();
    // a rule that could not be read, or that misspells the name, may be the one that uses it
    let misspelt = used.iter().any(|it| !known.contains_key(it));
    let nothing = gathered.rules.is_empty() && gathered.schedules.is_empty();
    if nothing || misspelt || sink.errors() > 0 {
        return;
    }
    for built in &gathered.playbooks {
        let name = built.playbook.name.as_str();
        if !used.contains(name) {
            let message = format!("no rule or schedule uses playbook `{name}`");
            let found = Diagnostic::warning(codes::UNUSED_PLAYBOOK, message)
                .label("name it in the `response` of a rule or in a schedule, or remove it");
            At { file: &built.playbook.file, text: "", sink }.report(built.name_span, found);
        }
    }
}

/// Reports checks whose alert no rule takes, when there are rules to take it and nobody is told of alerts without one.
pub(super) fn checks(sink: &Sink, config: Option<&Config>, gathered: &Gathered) {
    if gathered.rules.is_empty()
        || sink.errors() > 0
        || config.is_some_and(|it| !it.unmatched.is_empty())
    {
        return;
    }
    let candidates = Candidates::of(&gathered.rules);
    for (check, span) in &gathered.checks {
        let labels = labels(check);
        let mut rules = candidates.for_alert(labels.get("alertname"));
        let taken =
            rules.any(|it| !it.selects || it.rule.matchers.iter().all(|it| it.matches(&labels)));
        if !taken {
            let message = format!("no rule takes the alert of this check: {labels}");
            let found = Diagnostic::warning(codes::UNHEARD_CHECK, message)
                .label("add a rule, or `unmatched:` to quell.yml");
            At { file: &check.place.file, text: "", sink }.report(*span, found);
        }
    }
}
