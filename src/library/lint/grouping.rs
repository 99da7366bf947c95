//! Rules that act on one target and group its incidents differently.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use super::Gathered;
use crate::library::codes;
use crate::library::diagnostic::At;
use crate::library::diagnostic::Diagnostic;
use crate::library::diagnostic::Sink;

/// Reports a rule whose target another rule writes in the same words, with another `group_by`. A rule without
/// `group_by` groups by itself and its target, and disagrees with nobody.
pub(super) fn check(sink: &Sink, gathered: &Gathered) {
    let mut seen: BTreeMap<&str, (usize, BTreeSet<&String>)> = BTreeMap::new();
    for (position, (built, facts)) in gathered.rules.iter().zip(&gathered.facts).enumerate() {
        let Some(span) = facts.group_by else { continue };
        let rule = &built.rule;
        let group: BTreeSet<&String> = rule.group_by.iter().collect();
        if built.remedies.is_empty() || rule.target.is_empty() || group.is_empty() {
            continue;
        }
        let Some((earlier, other)) = seen.get(rule.target.as_str()) else {
            seen.insert(&rule.target, (position, group));
            continue;
        };
        if *other == group {
            continue;
        }
        let Some(earlier) = gathered.rules.get(*earlier) else { continue };
        let message = format!(
            "rule `{}` ({}) acts on the same target and groups by {}",
            earlier.rule.name,
            earlier.rule.place,
            earlier.rule.group_by.join(", ")
        );
        let found = Diagnostic::warning(codes::GROUPED_APART, message)
            .label("write the same `group_by`")
            .note(format!(
                "both act on {}, and people would see its trouble in pieces of different size",
                rule.target
            ));
        At { file: &built.file, text: "", sink }.report(span, found);
    }
}
