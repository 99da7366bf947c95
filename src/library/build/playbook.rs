//! Playbooks.

use std::collections::BTreeMap;
use std::time::Duration;

use super::action::SLICES;
use super::parameter;
use super::parameter::Role;
use super::proof;
use super::step;
use super::text;
use super::text::Names;
use crate::library::codes;
use crate::library::diagnostic::At;
use crate::library::diagnostic::Diagnostic;
use crate::library::diagnostic::Span;
use crate::library::field::Field;
use crate::library::field::Found;
use crate::library::raw::List;
use crate::library::raw::playbook::RawPlaybook;
use crate::library::raw::playbook::RawPlaybookLimits;
use crate::library::raw::playbook::RawStep;
use crate::model::action::Action;
use crate::model::playbook::Mode;
use crate::model::playbook::Playbook;
use crate::model::playbook::PlaybookLimits;
use crate::model::playbook::Step;
use crate::model::playbook::What;

/// How long an approval is waited for when a playbook says nothing.
const APPROVE_WITHIN: Duration = Duration::from_hours(1);
/// What was planned for is old after that, and the target is held all the while.
const LONGEST_APPROVAL: Duration = Duration::from_hours(24);

/// A playbook, and what is checked when all files are read.
#[derive(Debug)]
pub(crate) struct BuiltPlaybook {
    pub(crate) playbook: Playbook,
    pub(crate) name_span: Span,
    /// Secrets that it names itself, as defaults, and their places.
    pub(crate) secrets: Vec<(serde_json::Value, Span)>,
    /// Whether it has no errors of its own: values for its parameters can be judged.
    pub(crate) sound: bool,
}

/// One document with `playbook:`. `None` when not even its name can be read.
pub(crate) fn playbook(at: At<'_>, found: Found<RawPlaybook>) -> Option<BuiltPlaybook> {
    let before = at.sink.errors();
    let Found { value: raw, span, .. } = found;
    let name = raw.name.need(at, span, "a playbook", "playbook");
    let name = name.and_then(|name| text::name(at, name));
    let mut parameters = BTreeMap::new();
    let mut names = Vec::new();
    let mut secrets = Vec::new();
    let mut defaults = Vec::new();
    for (key, value) in
        raw.parameters.and_then(Field::found).map(|it| it.value.0).unwrap_or_default()
    {
        let Some(key) = key.found() else { continue };
        // A parameter whose declaration is wrong is a name all the same.
        names.push(key.value.clone());
        let role = Role::Parameter;
        let value = value.found().and_then(|value| parameter::parameter(at, &key, value, role));
        if let Some(value) = value {
            if value.secret {
                secrets.push(key.value.clone());
                defaults.extend(value.default.clone().map(|default| (default, key.clone())));
            }
            parameters.insert(key.value, value);
        }
    }
    let variables: Vec<&str> = names.iter().map(String::as_str).chain(parameter::TAKEN).collect();
    let mut all = Steps { variables: &variables, secrets: &secrets, lines: BTreeMap::new() };
    let steps = raw.steps.need(at, span, "a playbook", "steps");
    if let Some(empty) = steps.as_ref().filter(|steps| steps.value.is_empty()) {
        let message = "a playbook without steps";
        at.report(
            empty.span,
            Diagnostic::error(codes::SHAPE, message).label("expected at least one"),
        );
    }
    let steps = steps.map(|it| all.read(at, it.value)).unwrap_or_default();
    let on_resolve =
        raw.on_resolve.and_then(Field::found).map(|it| all.read(at, it.value)).unwrap_or_default();
    let tier = raw.tier.and_then(Field::found);
    let approvals = raw.approvals.and_then(Field::found);
    let approve_within = raw.approve_within.and_then(Field::found);
    let place = approve_within.as_ref().map(|it| it.span);
    let approve_within = text::duration_or(at, approve_within, APPROVE_WITHIN);
    if let Some(place) =
        place.filter(|_| approve_within.is_zero() || approve_within > LONGEST_APPROVAL)
    {
        let message = "people have between 1s and 24h to approve";
        let label = "the run holds its target all the while";
        at.report(place, Diagnostic::error(codes::VALUE, message).label(label));
    }
    let limits = raw.limits.and_then(Field::found).map(|it| limits(at, it.value));
    let acts_on = raw.acts_on.and_then(Field::found).map(|it| it.value).unwrap_or_default();
    let acts_on = acts_on.into_iter().filter_map(Field::found).filter_map(|it| text::name(at, it));
    let acts_on = acts_on.map(|it| it.value).collect();
    let seen: Vec<&str> =
        names.iter().map(String::as_str).chain(["labels", "annotations"]).collect();
    let seen = Names { variables: &seen, steps: None, secrets: &secrets };
    let cache = raw.cache.and_then(Field::found).and_then(|it| proof::cache(at, it, seen));
    let rollback = raw.rollback.and_then(Field::found).and_then(|it| proof::rollback(at, it, seen));
    let mut steps = steps;
    if cache.is_some() {
        steps.iter_mut().for_each(sliced);
    }
    let name = name?;
    Some(BuiltPlaybook {
        playbook: Playbook {
            name: name.value,
            description: raw
                .description
                .and_then(Field::found)
                .map(|it| it.value)
                .unwrap_or_default(),
            parameters,
            tier: text::tier(at, tier.as_ref()).unwrap_or(1),
            approvals: text::approvals(at, approvals.as_ref()).unwrap_or(1),
            approve_within,
            mode: raw.mode.and_then(Field::found).map_or(Mode::Auto, |it| it.value),
            limits: limits.unwrap_or_default(),
            acts_on,
            cache,
            rollback,
            steps,
            on_resolve,
            file: at.file.to_owned(),
            line: name.span.line,
        },
        name_span: name.span,
        secrets: defaults.into_iter().map(|(name, key)| (name, key.span)).collect(),
        sound: at.sink.errors() == before,
    })
}

/// A cache that is guarded is emptied a slice at a time (G10).
fn sliced(step: &mut Step) {
    let What::Action(action) = &mut step.what else { return };
    match action {
        Action::RedisFlush(flush) => flush.slices = flush.slices.or(Some(SLICES)),
        Action::RedisDelete(delete) if delete.pattern.is_some() => {
            delete.slices = delete.slices.or(Some(SLICES));
        }
        _ => {}
    }
}

fn limits(at: At<'_>, raw: RawPlaybookLimits) -> PlaybookLimits {
    PlaybookLimits {
        rate: raw.rate.and_then(Field::found).and_then(|it| text::rate(at, &it)),
        concurrent: raw.concurrent.and_then(Field::found).map(|it| text::positive(at, &it)),
    }
}

/// The steps of one playbook.
struct Steps<'a> {
    variables: &'a [&'a str],
    /// Parameters that are secrets.
    secrets: &'a [String],
    /// Line of each name.
    lines: BTreeMap<String, u32>,
}

impl Steps<'_> {
    fn read(&mut self, at: At<'_>, raw: List<RawStep>) -> Vec<Step> {
        let mut steps = Vec::new();
        for found in raw.into_iter().filter_map(Field::found) {
            let before: Vec<String> = self.lines.keys().cloned().collect();
            if let Some(name) = found.value.name.get() {
                let span = found.value.name.span();
                if let Some(line) = self.lines.get(name) {
                    let message = format!("step `{name}` is here twice");
                    let label = format!("first on line {line}");
                    at.report(span, Diagnostic::error(codes::DUPLICATE_NAME, message).label(label));
                } else {
                    self.lines.insert(name.clone(), span.line);
                }
            }
            let names =
                Names { variables: self.variables, steps: Some(&before), secrets: self.secrets };
            steps.extend(step::step(at, found, names));
        }
        steps
    }
}
