//! Limits of a playbook that the global ones never let it reach.

use super::Gathered;
use crate::library::codes;
use crate::library::diagnostic::At;
use crate::library::diagnostic::Diagnostic;
use crate::library::diagnostic::Sink;
use crate::library::link::never_binds;
use crate::model::config::Config;
use crate::model::rule::Place;
use crate::model::time::show_duration;

/// Reports them; those of rules are found where rules are linked.
pub(super) fn check(sink: &Sink, config: &Config, gathered: &Gathered) {
    for (built, facts) in gathered.playbooks.iter().zip(&gathered.playbook_facts) {
        let at = At { file: &built.playbook.file, text: "", sink };
        let global = &config.limits.rate;
        if let Some((_, span)) = facts.rate.filter(|(rate, _)| never_binds(*rate, global.value)) {
            let shown = format!("{} per {}", global.value.count, show_duration(global.value.per));
            let label = format!("the global limit wins: {shown}, {}", set(&global.place));
            let message = "this rate allows more than the global one";
            at.report(span, Diagnostic::warning(codes::LOOSER, message).label(label));
        }
        let global = &config.limits.concurrent;
        if let Some((_, span)) = facts.concurrent.filter(|(own, _)| *own > global.value) {
            let label = format!("the global limit wins: {}, {}", global.value, set(&global.place));
            let message = "this allows more runs at once than the global limit";
            at.report(span, Diagnostic::warning(codes::LOOSER, message).label(label));
        }
    }
}

fn set(place: &Place) -> String {
    if place.line == 0 { "by default".to_owned() } else { format!("set at {place}") }
}
