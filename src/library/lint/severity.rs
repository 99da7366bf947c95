//! Severities that quell.yml says nothing about.

use std::collections::BTreeSet;

use super::Gathered;
use super::Span;
use super::contradiction::literals;
use super::items;
use crate::library::codes;
use crate::library::diagnostic::At;
use crate::library::diagnostic::Diagnostic;
use crate::library::diagnostic::Sink;
use crate::library::suggest::did_you_mean;
use crate::library::yaml::Node;
use crate::model::config::Config;
use crate::model::labels::Labels;
use crate::model::matcher::Op;
use crate::model::rule::Rule;

const LABEL: &str = "severity";

/// The values that matchers of a rule name, with the place of each.
pub(super) fn named(node: &Node, rule: &Rule) -> Vec<(String, Span)> {
    let mut found = Vec::new();
    for matcher in rule.matchers.iter().filter(|it| it.name() == LABEL) {
        let values = match matcher.op() {
            Op::Equal => vec![matcher.value()],
            Op::Regex => literals(matcher.value()).unwrap_or_default(),
            Op::NotEqual | Op::NotRegex => continue,
        };
        for value in values.into_iter().filter(|it| !it.is_empty()) {
            let items = items(node, "match");
            let holds = |it: &&&Node| it.text.contains(LABEL) && it.text.contains(value);
            let span = items.iter().find(holds).map_or(node.span, |it| it.span);
            found.push((value.to_owned(), span));
        }
    }
    found
}

/// The value that `labels` of a check or schedule gives.
pub(super) fn given(node: &Node, labels: &Labels) -> Vec<(String, Span)> {
    let written = node.get("labels").and_then(|it| it.get(LABEL));
    let found = written.map(|it| (labels.get(LABEL).to_owned(), it.span));
    found.into_iter().filter(|(value, _)| !value.is_empty()).collect()
}

/// Reports values of `severity` that quell.yml does not configure, each once, when it configures any.
pub(super) fn check(sink: &Sink, config: &Config, gathered: &Gathered) {
    if config.severities.is_empty() {
        return;
    }
    let mut told: BTreeSet<&str> = BTreeSet::new();
    let report = |file: &str, value: &str, span| {
        let known = config.severities.keys().map(String::as_str);
        let fate = if config.severities.contains_key("critical") {
            "such alerts are told as `critical`"
        } else {
            "such alerts are told to no channel"
        };
        let message = format!("severity `{value}` is not one of quell.yml: {fate}");
        let near = did_you_mean(value, known.clone());
        let label =
            if near.is_empty() { format!("add `{value}` under `severities`") } else { near };
        let note = format!("`severities` has: {}", known.collect::<Vec<_>>().join(", "));
        let found = Diagnostic::warning(codes::UNKNOWN_SEVERITY, message).label(label).note(note);
        At { file, text: "", sink }.report(span, found);
    };
    let rules = gathered.rules.iter().map(|it| it.file.as_str());
    let rules = rules.zip(gathered.facts.iter().map(|it| &it.severities));
    let checks = gathered.checks.iter().map(|(it, _)| it.place.file.as_str());
    let checks = checks.zip(gathered.check_facts.iter().map(|it| &it.severities));
    let schedules = gathered.schedules.iter().map(|it| it.file.as_str());
    let schedules = schedules.zip(gathered.schedule_facts.iter().map(|it| &it.severities));
    for (file, severities) in rules.chain(checks).chain(schedules) {
        for (value, span) in severities {
            if !config.severities.contains_key(value) && told.insert(value) {
                report(file, value, *span);
            }
        }
    }
}
