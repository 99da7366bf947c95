//! Prometheus's alerting rules, and prometheus.yml for what it adds to alerts.

use std::collections::BTreeSet;
use std::path::Path;
use std::path::PathBuf;

use super::labels;
use super::labels::External;
use super::labels::Known;
use super::paths::expand;
use super::wrong;
use crate::library::codes;
use crate::library::diagnostic::At;
use crate::library::diagnostic::Span;
use crate::library::files::Reader;
use crate::library::promql;
use crate::library::yaml::Node;
use crate::library::yaml::Value;

/// An alerting rule.
#[derive(Debug)]
pub(super) struct Alert {
    pub(super) name: String,
    pub(super) file: String,
    /// Of its name.
    pub(super) span: Span,
    pub(super) labels: Known,
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Alerts {
    pub(super) alerts: Vec<Alert>,
    pub(super) external: External,
}

/// Reads files of rules, and those that a prometheus.yml among them lists.
pub(super) fn read(reader: &mut Reader<'_>, paths: &[PathBuf]) -> Alerts {
    let mut alerts = Alerts::default();
    let mut waiting: Vec<PathBuf> = paths.iter().rev().cloned().collect();
    while let Some(path) = waiting.pop() {
        for file in expand(&path) {
            let mut listed = Vec::new();
            reader.documents(&file, &mut |at, node| {
                one(at, node, &file, &mut alerts, &mut listed);
            });
            waiting.extend(listed);
        }
    }
    alerts
}

fn one(at: At<'_>, node: &Node, file: &Path, alerts: &mut Alerts, listed: &mut Vec<PathBuf>) {
    if ["global", "scrape_configs", "rule_files"].iter().any(|key| node.get(key).is_some()) {
        settings(at, node, file, alerts, listed);
        return;
    }
    // as they are, or as the operator for Kubernetes wraps them
    let groups = node.get("groups").or_else(|| node.get("spec").and_then(|it| it.get("groups")));
    let Some(groups) = groups else {
        if node.value != Value::Null {
            let message = format!("{} has no `groups` of Prometheus rules", at.file);
            wrong(at, node, codes::NOT_PROMETHEUS, message, "expected `groups:` at the top");
        }
        return;
    };
    for group in list(groups) {
        let shared = group.get("labels");
        for rule in group.get("rules").into_iter().flat_map(list) {
            let Some(name) = rule.get("alert") else { continue };
            let mut known = expression(rule.get("expr"), &mut alerts.external.of_series);
            for (label, value) in [shared, rule.get("labels")].into_iter().flatten().flat_map(pairs)
            {
                alerts.external.of_series.insert(label.to_owned());
                known.set(label, (!value.contains("{{")).then_some(value));
            }
            known.set("alertname", Some(&name.text));
            alerts.alerts.push(Alert {
                name: name.text.clone(),
                file: at.file.to_owned(),
                span: name.span,
                labels: known,
            });
        }
    }
}

fn settings(at: At<'_>, node: &Node, file: &Path, alerts: &mut Alerts, listed: &mut Vec<PathBuf>) {
    // it holds credentials of all kinds, and nothing of it needs to be shown
    at.mask(node.span);
    let external = alerts.external.labels.get_or_insert_default();
    let labels = node.get("global").and_then(|it| it.get("external_labels"));
    for (name, value) in labels.into_iter().flat_map(pairs) {
        // Prometheus puts in variables of its environment
        external.insert(name.to_owned(), (!value.contains('$')).then(|| value.to_owned()));
    }
    let alerting = node.get("alerting");
    let relabels =
        |of: &Node| of.get("alert_relabel_configs").is_some_and(|it| it.first().is_some());
    alerts.external.relabelled |= alerting.is_some_and(|alerting| {
        relabels(alerting) || alerting.get("alertmanagers").into_iter().flat_map(list).any(relabels)
    });
    let folder = file.parent().unwrap_or_else(|| Path::new(""));
    let files = node.get("rule_files").into_iter().flat_map(list);
    listed.extend(files.map(|it| folder.join(&it.text)));
}

/// What is certain about the labels of an expression; of one that is not read here, nothing.
fn expression(expr: Option<&Node>, of_series: &mut BTreeSet<String>) -> Known {
    let Some(expr) = expr.and_then(|it| promql::parse(&it.text).ok()) else {
        return Known::default();
    };
    let known = labels::of(&expr);
    of_series.extend(known.fixed.keys().cloned());
    of_series.extend(known.allowed.iter().flatten().cloned());
    known
}

fn list(node: &Node) -> Vec<&Node> {
    match &node.value {
        Value::List(items) => items.iter().map(|it| &**it).collect(),
        _ => Vec::new(),
    }
}

fn pairs(node: &Node) -> Vec<(&str, &str)> {
    match &node.value {
        Value::Map(entries) => {
            entries.iter().map(|(key, value)| (key.text.as_str(), value.text.as_str())).collect()
        }
        _ => Vec::new(),
    }
}
