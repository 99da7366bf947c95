//! What spans files: names that are unique, playbooks and servers that exist, limits that tighten.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::build::channel::check_channel;
use super::build::parameter::literal;
use super::build::playbook::BuiltPlaybook;
use super::build::rule::BuiltRemedy;
use super::build::rule::BuiltRule;
use super::build::schedule::BuiltSchedule;
use super::codes;
use super::diagnostic::At;
use super::diagnostic::Diagnostic;
use super::diagnostic::Sink;
use super::diagnostic::Span;
use super::diagnostic::Used;
use super::field::Found;
use super::lint;
use super::suggest::did_you_mean;
use super::suggest::short;
use crate::decide::parameters;
use crate::decide::parameters::is_template;
use crate::model::action::TargetKind;
use crate::model::config::Config;
use crate::model::playbook::OnUnknown;
use crate::model::playbook::Playbook;
use crate::model::playbook::Rate;
use crate::model::rule::Check;
use crate::model::rule::Place;
use crate::model::rule::Remedy;
use crate::model::rule::Rule;
use crate::model::rule::Schedule;
use crate::model::time::show_duration;

/// Everything read from rule and playbook files.
#[derive(Debug, Default)]
pub(crate) struct Gathered {
    pub(crate) rules: Vec<BuiltRule>,
    pub(crate) checks: Vec<(Check, Span)>,
    pub(crate) schedules: Vec<BuiltSchedule>,
    pub(crate) playbooks: Vec<BuiltPlaybook>,
    /// Of each rule, check, schedule and playbook, what lints over several files need.
    pub(crate) facts: Vec<lint::Facts>,
    pub(crate) check_facts: Vec<lint::CheckFacts>,
    pub(crate) schedule_facts: Vec<lint::Facts>,
    pub(crate) playbook_facts: Vec<lint::PlaybookFacts>,
}

impl Gathered {
    /// Playbooks by name, and what lints know of each.
    pub(crate) fn playbooks_by_name(
        &self,
    ) -> BTreeMap<&str, (&BuiltPlaybook, &lint::PlaybookFacts)> {
        let all = self.playbooks.iter().zip(&self.playbook_facts);
        all.map(|it| (it.0.playbook.name.as_str(), it)).collect()
    }

    /// The remedies of rules, then those of schedules, with the file of each.
    pub(crate) fn remedies(&self) -> impl Iterator<Item = (&str, &BuiltRemedy)> {
        let of_rules = self
            .rules
            .iter()
            .flat_map(|rule| rule.remedies.iter().map(|it| (rule.file.as_str(), it)));
        of_rules.chain(self.schedules.iter().map(|it| (it.file.as_str(), &it.remedy)))
    }
}

/// The same, each name looked up.
#[derive(Debug)]
pub(crate) struct Linked {
    pub(crate) rules: Vec<Arc<Rule>>,
    pub(crate) checks: Vec<Arc<Check>>,
    pub(crate) schedules: Vec<Arc<Schedule>>,
    pub(crate) playbooks: BTreeMap<String, Arc<Playbook>>,
}

/// Joins what was read. Without a `config`, its servers and limits are not looked at.
pub(crate) fn link(sink: &Sink, config: Option<&Config>, gathered: Gathered) -> Linked {
    lint::link(sink, config, &gathered);
    let Gathered { rules, checks, schedules, playbooks, facts, .. } = gathered;
    // of a hundred thousand rules they are large
    drop(facts);
    duplicates(
        sink,
        "playbook",
        playbooks.iter().map(|it| (&it.playbook.name, it.playbook.file.as_str(), it.name_span)),
    );
    let rule_names = rules.iter().map(|it| (&it.rule.name, it.file.as_str(), it.name_span));
    duplicates(sink, "rule", rule_names);
    let check_names = checks.iter().map(|(it, span)| (&it.name, it.place.file.as_str(), *span));
    duplicates(sink, "check", check_names);
    let schedule_names =
        schedules.iter().map(|it| (&it.schedule.name, it.file.as_str(), it.name_span));
    duplicates(sink, "schedule", schedule_names);
    let used = sink.take_used();
    if let Some(config) = config {
        look_up_names(sink, config, used);
        for playbook in &playbooks {
            let at = At { file: &playbook.playbook.file, text: "", sink };
            for (name, span) in &playbook.secrets {
                secret(at, Some(config), *span, name);
            }
        }
    }
    let mut by_name: BTreeMap<&str, &BuiltPlaybook> = BTreeMap::new();
    for playbook in &playbooks {
        by_name.entry(&playbook.playbook.name).or_insert(playbook);
    }
    let names_playbooks = !schedules.is_empty() || rules.iter().any(|it| !it.remedies.is_empty());
    if playbooks.is_empty() && config.is_none() && names_playbooks {
        let remark = "no playbook was read, so the playbooks that rules name were not looked up";
        sink.push(Diagnostic::remark(remark));
    }
    let look_up = !playbooks.is_empty() || config.is_some();
    let mut linked_rules = Vec::new();
    for built in rules {
        let at = At { file: &built.file, text: "", sink };
        if let Some(config) = config {
            looser(at, config, &built);
            patient(at, config, &built);
            let known = config.channels.keys().cloned().collect();
            for name in &built.told {
                check_channel(at, name, &known);
            }
        }
        let mut rule = built.rule;
        for it in built.remedies {
            respond(at, config, &mut rule, it, &by_name, look_up);
        }
        linked_rules.push(Arc::from(rule));
    }
    let mut linked_schedules = Vec::new();
    for built in schedules {
        let at = At { file: &built.file, text: "", sink };
        let mut schedule = built.schedule;
        let mut rule = Rule::clone(&schedule.rule);
        respond(at, config, &mut rule, built.remedy, &by_name, look_up);
        schedule.rule = Arc::new(rule);
        linked_schedules.push(Arc::new(schedule));
    }
    Linked {
        rules: linked_rules,
        schedules: linked_schedules,
        checks: checks.into_iter().map(|(check, _)| Arc::new(check)).collect(),
        playbooks: playbooks
            .into_iter()
            .map(|it| (it.playbook.name.clone(), Arc::new(it.playbook)))
            .collect(),
    }
}

/// Adds a remedy, whose playbook is looked up, to the response of a rule.
fn respond(
    at: At<'_>,
    config: Option<&Config>,
    rule: &mut Rule,
    it: BuiltRemedy,
    by_name: &BTreeMap<&str, &BuiltPlaybook>,
    look_up: bool,
) {
    let playbook = by_name.get(it.remedy.playbook.as_str()).copied();
    if playbook.is_none() && look_up {
        unknown_playbook(at, &it, by_name.keys().copied());
    }
    if let Some(playbook) = playbook
        && rule.verify.is_none()
    {
        unverified(at, it.playbook_span, &playbook.playbook);
    }
    rule.response.push(remedy(at, config, it, playbook));
}

fn duplicates<'a>(
    sink: &Sink,
    what: &str,
    names: impl Iterator<Item = (&'a String, &'a str, Span)>,
) {
    let mut seen: BTreeMap<&str, (&str, Span)> = BTreeMap::new();
    for (name, file, span) in names {
        if let Some((first, place)) = seen.get(name.as_str()) {
            let message = format!("{what} `{name}` is here twice");
            let label = format!("first at {first}:{}", place.line);
            let found = Diagnostic::error(codes::DUPLICATE_NAME, message).label(label);
            At { file, text: "", sink }.report(span, found);
        } else {
            seen.insert(name, (file, span));
        }
    }
}

/// Reports servers and channels that quell.yml does not have.
fn look_up_names(sink: &Sink, config: &Config, used: Vec<(String, Span, Used)>) {
    let channels: BTreeSet<String> = config.channels.keys().cloned().collect();
    for (file, span, used) in used {
        let at = At { file: &file, text: "", sink };
        match used {
            Used::Server(kind, name) => server(at, config, span, kind, &name),
            Used::Channel(name) => {
                let found = Found { value: name, span, written: String::new() };
                check_channel(at, &found, &channels);
            }
        }
    }
}

fn server(at: At<'_>, config: &Config, span: Span, kind: TargetKind, name: &str) {
    let known = config.targets.names(kind);
    if known.contains(&name) {
        return;
    }
    let word = kind.as_str();
    let message = format!("unknown {word} server `{}`", short(name));
    let note = match known.as_slice() {
        [] => format!("`targets.{word}` of quell.yml has no servers"),
        list => format!("`targets.{word}` of quell.yml has: {}", list.join(", ")),
    };
    let label = did_you_mean(name, known);
    at.report(span, Diagnostic::error(codes::UNKNOWN_SERVER, message).label(label).note(note));
}

fn unknown_playbook<'a>(
    at: At<'_>,
    it: &BuiltRemedy,
    known: impl Iterator<Item = &'a str> + Clone,
) {
    let message = format!("unknown playbook `{}`", short(&it.remedy.playbook));
    let label = did_you_mean(&it.remedy.playbook, known.clone());
    let list: Vec<&str> = known.take(20).collect();
    let mut found = Diagnostic::error(codes::UNKNOWN_PLAYBOOK, message).label(label);
    found = match list.as_slice() {
        [] => found.note("no playbook was read: see `playbooks:` in quell.yml"),
        list => found.note(format!("playbooks: {}", list.join(", "))),
    };
    at.report(it.playbook_span, found);
}

fn unverified(at: At<'_>, span: Span, playbook: &Playbook) {
    let mut steps = playbook.steps.iter().chain(&playbook.on_resolve);
    if let Some(step) = steps.find(|step| step.on_unknown == OnUnknown::Probe) {
        let message = format!(
            "step `{}` of playbook `{}` asks the verification when its outcome is unknown, and this rule has none",
            step.name, playbook.name
        );
        let label = "add `verify:`, else a person is asked";
        at.report(span, Diagnostic::warning(codes::UNVERIFIED, message).label(label));
    }
}

/// A remedy whose literal values are checked against its playbook, and kept as their author wrote them.
fn remedy(
    at: At<'_>,
    config: Option<&Config>,
    it: BuiltRemedy,
    playbook: Option<&BuiltPlaybook>,
) -> Remedy {
    let mut remedy = it.remedy;
    let declared = playbook.map(|built| &built.playbook);
    let sound = playbook.is_some_and(|built| built.sound);
    for (key, value) in it.with {
        let parameter = declared.and_then(|playbook| playbook.parameters.get(&key.value));
        let mut kept = value.value.clone();
        if let (Some(playbook), None, true) = (declared, parameter, sound) {
            let message =
                format!("playbook `{}` has no parameter `{}`", playbook.name, short(&key.value));
            let names = playbook.parameters.keys().map(String::as_str);
            let label = did_you_mean(&key.value, names.clone());
            let note = match names.collect::<Vec<_>>().as_slice() {
                [] => format!("{} takes no parameters", playbook.name),
                list => format!("{} takes: {}", playbook.name, list.join(", ")),
            };
            let found = Diagnostic::error(codes::UNKNOWN_PARAMETER, message).label(label);
            at.report(key.span, found.note(note));
        }
        if let Some(parameter) = parameter {
            kept = literal(parameter, &value);
            let dynamic = kept.as_str().is_some_and(is_template);
            if parameter.secret {
                secret(at, config, value.span, &kept);
            } else if !dynamic && sound {
                match parameters::check(&key.value, parameter, &kept) {
                    Ok(checked) => kept = checked,
                    Err(reason) => {
                        let found = Diagnostic::error(codes::PARAMETER_VALUE, reason);
                        at.report(value.span, found);
                    }
                }
            }
        }
        remedy.with.insert(key.value, kept);
    }
    if let (Some(playbook), true) = (declared, sound) {
        for (name, parameter) in &playbook.parameters {
            if parameter.required && !remedy.with.contains_key(name) {
                let message = format!("playbook `{}` needs parameter `{name}`", playbook.name);
                let label = format!("write `with: {{ {name}: … }}`");
                let found = Diagnostic::error(codes::MISSING_PARAMETER, message).label(label);
                at.report(it.playbook_span, found);
            }
        }
    }
    remedy
}

/// The value of a parameter that is a secret: the name of one, written out.
fn secret(at: At<'_>, config: Option<&Config>, span: Span, value: &serde_json::Value) {
    let Some(name) = value.as_str().filter(|name| !is_template(name)) else {
        let message = "expected the name of a secret, written out";
        let label = "no value of an alert may choose a credential";
        at.report(span, Diagnostic::error(codes::UNKNOWN_SECRET, message).label(label));
        return;
    };
    // without a quell.yml nothing acts, and there is no place where a secret could be
    let written = config.filter(|config| config.file.is_some());
    let Some(config) = written.filter(|config| !config.secrets.contains_key(name)) else { return };
    let known: Vec<&str> = config.secrets.keys().map(String::as_str).collect();
    let message = format!("unknown secret `{}`", short(name));
    let note = match known.as_slice() {
        [] => "quell.yml has no `secrets:`".to_owned(),
        list => format!("`secrets:` of quell.yml has: {}", list.join(", ")),
    };
    let label = did_you_mean(name, known);
    at.report(span, Diagnostic::error(codes::UNKNOWN_SECRET, message).label(label).note(note));
}

fn looser(at: At<'_>, config: &Config, built: &BuiltRule) {
    let wins = |global: String, place: &Place| {
        if place.line == 0 {
            format!("the global limit wins: {global}, by default")
        } else {
            format!("the global limit wins: {global}, set at {place}")
        }
    };
    if let Some(cooldown) = &built.rule.limits.cooldown {
        let global = &config.limits.cooldown;
        if cooldown.value < global.value {
            let message = "this cooldown is shorter than the global one";
            let label = wins(show_duration(global.value), &global.place);
            let found = Diagnostic::warning(codes::LOOSER, message).label(label);
            at.report(built.cooldown_span, found);
        }
    }
    if let Some(rate) = &built.rule.limits.rate {
        let global = &config.limits.rate;
        if never_binds(rate.value, global.value) {
            let message = "this rate allows more than the global one";
            let shown = format!("{} per {}", global.value.count, show_duration(global.value.per));
            let label = wins(shown, &global.place);
            let found = Diagnostic::warning(codes::LOOSER, message).label(label);
            at.report(built.rate_span, found);
        }
    }
}

/// Reports a page that is held in vain: for nothing to try, without a channel that pages, or beyond the time in which
/// somebody would have to answer, by a severity that the rule takes.
fn patient(at: At<'_>, config: &Config, built: &BuiltRule) {
    let Some(page) = &built.rule.page else { return };
    let report = |message: &str, label: String| {
        let found = Diagnostic::warning(codes::HELD_PAGE, message).label(label);
        at.report(built.page_span, found);
    };
    if built.remedies.is_empty() {
        let label = "without `response`, the page is sent at once".to_owned();
        return report("this page waits for a remedy, and the rule has none", label);
    }
    let told = || config.severities.values().flat_map(|it| it.notify.iter().chain(&it.escalate_to));
    if !config.severities.is_empty() && !told().any(|name| config.paging.contains(name)) {
        let label = "of the channels that `severities` name, none has `pages: true`".to_owned();
        return report("this page is held, and no channel pages", label);
    }
    let of_severity = || built.rule.matchers.iter().filter(|it| it.name() == "severity");
    let taken = config.severities.iter().filter(|(name, _)| of_severity().all(|it| it.takes(name)));
    let mut sooner = taken.filter_map(|(name, it)| Some((name, it.ack_within?)));
    if let Some((name, within)) = sooner.find(|(_, within)| *within < page.value) {
        let label = format!("`{name}` wants an answer within {}", show_duration(within));
        report("this page is held for longer than a severity gives people to answer", label);
    }
}

/// Whether whatever `global` allows, `rate` allows with room to spare.
pub(crate) fn never_binds(rate: Rate, global: Rate) -> bool {
    let ms = |duration: Duration| duration.as_millis().max(1);
    let spans = ms(rate.per).div_ceil(ms(global.per));
    u128::from(rate.count) > u128::from(global.count).saturating_mul(spans)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_never_binds_when_the_global_one_is_always_reached_first() {
        let rate = |count, minutes: u64| Rate { count, per: Duration::from_secs(60 * minutes) };
        for (own, global, expected) in [
            (rate(3, 60), rate(30, 60), false),
            (rate(30, 60), rate(30, 60), false),
            (rate(31, 60), rate(30, 60), true),
            (rate(31, 10), rate(30, 60), true),
            (rate(10, 10), rate(30, 60), false),
            (rate(59, 120), rate(30, 60), false),
            (rate(61, 120), rate(30, 60), true),
        ] {
            assert_eq!(never_binds(own, global), expected, "{own:?} {global:?}");
        }
    }
}
