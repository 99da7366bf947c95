//! Labels and annotations that an alert may lack, read as if it had them.
//!
//! A template that reads one fails when it is rendered: the rule has taken the alert, and then cannot act on it. A
//! condition is unknown, which never acts either.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::Gathered;
use super::inside;
use super::items;
use super::scalars;
use crate::decide::condition::Condition;
use crate::decide::condition::Member;
use crate::decide::matching::WHEN_VARIABLES;
use crate::decide::parameters::is_template;
use crate::decide::render;
use crate::decide::schedule::labels;
use crate::library::build::parameter;
use crate::library::codes;
use crate::library::diagnostic::At;
use crate::library::diagnostic::Diagnostic;
use crate::library::diagnostic::Sink;
use crate::library::yaml::Node;
use crate::model::labels::Labels;
use crate::model::rule::Rule;
use crate::model::rule::Schedule;

/// Members that every alert which a rule takes has. An alert has a name, whoever sent it.
fn sure(rule: &Rule) -> BTreeSet<Member> {
    let label = |name: &str| ("labels".to_owned(), name.to_owned());
    let none = Labels::default();
    let asked = rule.matchers.iter().filter(|it| !it.matches(&none)).map(|it| label(it.name()));
    asked.chain([label("alertname")]).collect()
}

/// Reports what the templates and the condition of a rule read without knowing that it is there, each once. What is sure.
pub(super) fn rule(at: At<'_>, node: &Node, rule: &Rule) -> BTreeSet<Member> {
    let mut sure = sure(rule);
    let mut told: BTreeSet<Member> = BTreeSet::new();
    if let Some((when, written)) = rule.when.as_deref().zip(node.get("when"))
        && let Ok(condition) = Condition::new(when, &WHEN_VARIABLES)
    {
        let reads = condition.reads();
        for member in reads.needed.difference(&sure) {
            let (of, name) = member;
            let offset = when.find(name.as_str()).unwrap_or(0);
            let message = format!("{} may be missing, and then this is unknown", shown(member));
            let label = if of == "labels" {
                format!("add `{name}!=\"\"` to `match`, or write `has(labels.{name}) && …`")
            } else {
                format!("write `has(annotations.{name}) && …`")
            };
            at.report(
                inside(at, written, offset),
                Diagnostic::warning(codes::MAY_BE_MISSING, message).label(label),
            );
            told.insert(member.clone());
        }
        // unknown is not true: an alert that lacks it is not taken
        sure.extend(reads.ensured);
    }
    let mut scalar = |scalar: &Node| {
        if !is_template(&scalar.text) {
            return;
        }
        for read in render::needed(&scalar.text) {
            let member = (read.of, read.member);
            if sure.contains(&member) || !told.insert(member.clone()) {
                continue;
            }
            let found = Diagnostic::warning(codes::MAY_BE_MISSING, may_be_missing(&member));
            at.report(inside(at, scalar, read.at), found.label(remedy(&member)));
        }
    };
    for key in ["target", "verify"] {
        if let Some(node) = node.get(key) {
            scalars(node, &mut scalar);
        }
    }
    for item in items(node, "response") {
        if let Some(with) = item.get("with") {
            scalars(with, &mut scalar);
        }
    }
    sure
}

/// Reports what the templates of a schedule read and it does not give: no slot could begin. What it gives.
pub(super) fn schedule(at: At<'_>, node: &Node, schedule: &Schedule) -> BTreeSet<Member> {
    let given = labels(schedule, Timestamp::UNIX_EPOCH);
    let sure: BTreeSet<Member> =
        given.iter().map(|(name, _)| ("labels".to_owned(), name.to_owned())).collect();
    let mut scalar = |scalar: &Node| {
        for read in render::needed(&scalar.text) {
            let member = (read.of, read.member);
            if !sure.contains(&member) {
                let message = format!("a slot of this schedule has no {}", shown(&member));
                let label = match &member {
                    (of, name) if of == "labels" => format!("add `{name}` to `labels`"),
                    _ => "a schedule has labels, and no annotations".to_owned(),
                };
                let found = Diagnostic::error(codes::TEMPLATE, message).label(label);
                at.report(inside(at, scalar, read.at), found);
            }
        }
    };
    for written in ["verify", "with"].into_iter().filter_map(|key| node.get(key)) {
        scalars(written, &mut scalar);
    }
    sure
}

/// What the steps of a playbook read of the alert itself, with the line of each.
pub(super) fn playbook(node: &Node) -> Vec<(Member, u32)> {
    let mut needed: Vec<(Member, u32)> = Vec::new();
    let mut add = |member: Member, line| {
        if !needed.iter().any(|(it, _)| *it == member) {
            needed.push((member, line));
        }
    };
    let parameters = node.get("parameters").map(|it| match &it.value {
        crate::library::yaml::Value::Map(entries) => {
            entries.iter().map(|(key, _)| key.text.as_str()).collect()
        }
        _ => Vec::new(),
    });
    let variables: Vec<&str> =
        parameters.unwrap_or_default().into_iter().chain(parameter::TAKEN).collect();
    for step in ["steps", "on_resolve"].into_iter().flat_map(|key| items(node, key)) {
        if let Some(condition) = step.get("if") {
            let reads = Condition::new(&condition.text, &variables).map(|it| it.reads());
            let of_alert = |of: &str| WHEN_VARIABLES.contains(&of);
            for member in reads.into_iter().flat_map(|it| it.needed) {
                if of_alert(&member.0) {
                    add(member, condition.span.line);
                }
            }
        }
        scalars(step, &mut |scalar| {
            if is_template(&scalar.text) {
                for read in render::needed(&scalar.text) {
                    add((read.of, read.member), scalar.span.line);
                }
            }
        });
    }
    needed
}

/// Reports what a playbook reads and the rule that uses it does not know to be there.
pub(super) fn in_playbooks(sink: &Sink, gathered: &Gathered) {
    let playbooks = gathered.playbooks_by_name();
    let rules = gathered.rules.iter().zip(&gathered.facts);
    let rules = rules.map(|(it, facts)| (it.file.as_str(), it.remedies.as_slice(), facts, false));
    let schedules = gathered.schedules.iter().zip(&gathered.schedule_facts);
    let schedules = schedules
        .map(|(it, facts)| (it.file.as_str(), std::slice::from_ref(&it.remedy), facts, true));
    for (file, remedies, facts, is_schedule) in rules.chain(schedules) {
        let mut told = BTreeSet::new();
        for remedy in remedies {
            let Some((playbook, of_playbook)) = playbooks.get(remedy.remedy.playbook.as_str())
            else {
                continue;
            };
            for (member, line) in &of_playbook.needed {
                // nothing is sure of a rule that was not looked at, or never matches
                let silent = facts.sure.is_empty() || facts.sure.contains(member);
                if silent || !told.insert(member) {
                    continue;
                }
                let message = format!(
                    "playbook `{}` reads {} ({}:{line}), which may be missing",
                    playbook.playbook.name,
                    shown(member),
                    playbook.playbook.file
                );
                let label = match member {
                    (of, name) if of == "labels" && is_schedule => {
                        format!("add `{name}` to `labels`")
                    }
                    (of, name) if of == "labels" => format!("add `{name}!=\"\"` to `match`"),
                    _ => "give it a `default` there".to_owned(),
                };
                let found = Diagnostic::warning(codes::MAY_BE_MISSING, message).label(label);
                At { file, text: "", sink }.report(remedy.playbook_span, found);
            }
        }
    }
}

fn shown((of, name): &Member) -> String {
    format!("{} `{name}`", if of == "labels" { "label" } else { "annotation" })
}

fn may_be_missing(member: &Member) -> String {
    match member.0.as_str() {
        "labels" => {
            format!("{} may be missing: no matcher of this rule asks for it", shown(member))
        }
        _ => format!("{} may be missing: nothing makes sure of an annotation", shown(member)),
    }
}

fn remedy((of, name): &Member) -> String {
    match of.as_str() {
        "labels" => format!("add `{name}!=\"\"` to `match`"),
        _ => "add a filter: `| default(\"…\")`".to_owned(),
    }
}
