//! Tests of rules: what happens, and what must come of it. Names are looked up in the library that is tested.

mod event;
mod expect;

use std::time::Duration;

use jiff::Timestamp;

use super::text;
use crate::decide::guard;
use crate::library::Library;
use crate::library::codes;
use crate::library::diagnostic::At;
use crate::library::diagnostic::Diagnostic;
use crate::library::diagnostic::Span;
use crate::library::field::Entries;
use crate::library::field::Field;
use crate::library::field::Found;
use crate::library::raw::DurationText;
use crate::library::raw::Opt;
use crate::library::raw::test::PROOFS;
use crate::library::raw::test::RawTest;
use crate::library::raw::test::RawTestFile;
use crate::library::scenario::Scenario;
use crate::library::scenario::Wanted;
use crate::library::suggest::did_you_mean;
use crate::library::suggest::short;
use crate::model::labels::Labels;

/// When a test begins that does not say: a Monday morning.
const BEGINS: &str = "2026-01-05T10:00:00Z";
/// The longest time that a test may reach.
const LONGEST: Duration = Duration::from_hours(24 * 366);

/// The tests of a file.
pub(crate) fn tests(at: At<'_>, raw: Found<RawTestFile>, library: &Library) -> Vec<Scenario> {
    let names = Names { at, library };
    let list = raw.value.tests.need(at, raw.span, "a test file", "tests");
    let list = list.map(|it| it.value).unwrap_or_default();
    let mut tests: Vec<Scenario> = Vec::new();
    for found in list.into_iter().filter_map(Field::found) {
        let Some(test) = test(names, found) else { continue };
        if let Some(first) = tests.iter().find(|it| it.name == test.name) {
            let message = format!("test `{}` is here twice", short(&test.name));
            let label = format!("first at line {}", first.span.line);
            at.report(test.span, Diagnostic::error(codes::DUPLICATE_NAME, message).label(label));
        }
        tests.push(test);
    }
    tests
}

fn test(names: Names<'_>, found: Found<RawTest>) -> Option<Scenario> {
    let at = names.at;
    let Found { value: raw, span, .. } = found;
    let name = raw.name.need(at, span, "a test", "name").and_then(|name| text::name(at, name));
    let near = name.as_ref().map_or(span, |name| name.span);
    let begins = raw.at.and_then(Field::found).and_then(|it| names.instant(&it));
    let mut events = Vec::new();
    let mut before = Duration::ZERO;
    let raw_events = raw.events.and_then(Field::found).map(|it| it.value).unwrap_or_default();
    for event in raw_events.into_iter().filter_map(Field::found) {
        let built = event::event(names, event, before);
        before = built.as_ref().map_or(before, |it| it.at);
        events.extend(built);
    }
    let expect = raw.expect.need(at, near, "a test", "expect");
    if let Some(empty) = expect.as_ref().filter(|it| it.value.is_empty()) {
        let message = "a test that expects nothing cannot fail";
        at.report(empty.span, Diagnostic::error(codes::VALUE, message));
    }
    let expect = expect.map(|it| it.value).unwrap_or_default();
    let mut expects: Vec<_> =
        expect.into_iter().filter_map(Field::found).map(|it| expect::expect(names, it)).collect();
    // those without a time are of the end
    expects.sort_by_key(|it| it.at.unwrap_or(Duration::MAX));
    events.sort_by_key(|it| it.at);
    let name = name?;
    Some(Scenario {
        name: name.value,
        file: at.file.to_owned(),
        span: name.span,
        at: begins.or_else(|| BEGINS.parse().ok())?,
        mode: raw.mode.and_then(Field::found).map(|it| it.value),
        events,
        expects,
    })
}

/// Looks up what a test names.
#[derive(Clone, Copy)]
pub(super) struct Names<'a> {
    pub(super) at: At<'a>,
    pub(super) library: &'a Library,
}

impl<'a> Names<'a> {
    fn instant(self, found: &Found<String>) -> Option<Timestamp> {
        let read = found.value.parse::<Timestamp>();
        if read.is_err() {
            let message = format!("`{}` is not an instant", short(&found.value));
            let label = format!("write one like {BEGINS}");
            let found_wrong = Diagnostic::error(codes::VALUE, message).label(label);
            self.at.report(found.span, found_wrong);
        }
        read.ok()
    }

    /// A time since the beginning.
    pub(super) fn time(self, raw: Opt<DurationText>) -> Option<Duration> {
        let found = raw.and_then(Field::found)?;
        let time = text::duration(self.at, &found)?;
        if time > LONGEST {
            let message = "a test reaches at most a year";
            self.at.report(found.span, Diagnostic::error(codes::VALUE, message));
            return None;
        }
        Some(time)
    }

    fn one_of(
        self,
        found: &Found<String>,
        code: &'static str,
        what: &str,
        known: impl Iterator<Item = &'a str> + Clone,
    ) {
        if known.clone().any(|it| it == found.value) {
            return;
        }
        let message = format!("unknown {what} `{}`", short(&found.value));
        let label = did_you_mean(&found.value, known.clone());
        let list: Vec<&str> = known.take(20).collect();
        let mut wrong = Diagnostic::error(code, message).label(label);
        wrong = match list.as_slice() {
            [] => wrong.note(format!("there is no {what}")),
            list => wrong.note(format!("{what}s: {}", list.join(", "))),
        };
        self.at.report(found.span, wrong);
    }

    pub(super) fn rule(self, raw: Opt<String>) -> Option<Found<String>> {
        let found = raw.and_then(Field::found)?;
        let known: Vec<&str> = self.library.all_rules().map(|rule| rule.name.as_str()).collect();
        self.one_of(&found, codes::UNKNOWN_NAME, "rule", known.into_iter());
        Some(found)
    }

    pub(super) fn check(self, raw: Opt<String>) -> Option<Found<String>> {
        let found = raw.and_then(Field::found)?;
        let known = self.library.checks.iter().map(|check| check.name.as_str());
        self.one_of(&found, codes::UNKNOWN_NAME, "check", known);
        Some(found)
    }

    pub(super) fn playbook(self, raw: Opt<String>) -> Option<Found<String>> {
        let found = raw.and_then(Field::found)?;
        let known = self.library.playbooks.keys().map(String::as_str);
        self.one_of(&found, codes::UNKNOWN_PLAYBOOK, "playbook", known);
        Some(found)
    }

    /// A step, of the playbook if one is named.
    pub(super) fn step(self, raw: Opt<String>, playbook: Option<&String>) -> Option<Found<String>> {
        let found = raw.and_then(Field::found)?;
        let playbooks = self.library.playbooks.values();
        let mine = playbooks.filter(|it| playbook.is_none_or(|name| *name == it.name));
        let known = mine
            .flat_map(|it| it.steps.iter().chain(&it.on_resolve))
            .map(|step| step.name.as_str());
        if playbook.is_none_or(|name| self.library.playbooks.contains_key(name)) {
            self.one_of(&found, codes::UNKNOWN_NAME, "step", known);
        }
        Some(found)
    }

    pub(super) fn channel(self, raw: Opt<String>) -> Option<String> {
        let found = raw.and_then(Field::found)?;
        let known = self.library.config.channels.keys().map(String::as_str);
        self.one_of(&found, codes::UNKNOWN_CHANNEL, "channel", known);
        Some(found.value)
    }

    /// Who speaks: an operator, where there are any.
    pub(super) fn operator(self, raw: Opt<String>) -> String {
        let operators = &self.library.config.operators;
        let Some(found) = raw.and_then(Field::found) else {
            let highest = operators.iter().max_by_key(|it| it.tier);
            return highest.map_or_else(|| "a person".to_owned(), |it| it.name.clone());
        };
        if !operators.is_empty() {
            let known = operators.iter().map(|it| it.name.as_str());
            self.one_of(&found, codes::UNKNOWN_NAME, "operator", known);
        }
        found.value
    }

    /// A guard by its name, with blanks, dashes or underscores between its words.
    pub(super) fn guard(self, raw: Opt<String>) -> Option<Wanted<String>> {
        let found = raw.and_then(Field::found)?;
        let found = found.map(|name| name.replace(['-', '_'], " "));
        self.one_of(&found, codes::UNKNOWN_NAME, "guard", guard::NAMES.iter().copied());
        Some(wanted(found))
    }

    /// What a playbook wants to be shown, spelled as a guard is.
    pub(super) fn proof(self, raw: Opt<String>) -> Option<String> {
        let found = raw.and_then(Field::found)?;
        let found = found.map(|name| name.replace(['-', '_'], " "));
        self.one_of(&found, codes::UNKNOWN_NAME, "proof", PROOFS.iter().copied());
        Some(found.value)
    }

    /// A metric of the verification of a rule, if that is known.
    pub(super) fn metric(self, raw: Opt<String>, rule: Option<&str>) -> Option<String> {
        let found = raw.and_then(Field::found)?;
        let rule = self.library.all_rules().find(|it| Some(it.name.as_str()) == rule);
        if let Some(rule) = rule {
            let unharmed = rule.verify.as_ref().map_or(&[][..], |it| &it.unharmed);
            let known = unharmed.iter().map(|it| it.name.as_str());
            self.one_of(&found, codes::UNKNOWN_NAME, "metric", known);
        }
        Some(found.value)
    }

    /// What a pause covers.
    pub(super) fn scope(self, raw: Opt<String>) -> Option<String> {
        let found = raw.and_then(Field::found)?;
        let inner = |value: &str| Some(Found { value: value.to_owned(), ..found.clone() });
        let field = |value: &str| inner(value).map(Field::of);
        match found.value.split_once(':') {
            None if found.value == "all" => {}
            Some(("rule", name)) => drop(self.rule(field(name))),
            Some(("playbook", name)) => drop(self.playbook(field(name))),
            Some(("target", name)) if !name.is_empty() => {}
            _ => {
                let message = format!("`{}` cannot be paused", short(&found.value));
                let label = "expected all, rule:NAME, playbook:NAME or target:NAME";
                let wrong = Diagnostic::error(codes::VALUE, message).label(label);
                self.at.report(found.span, wrong);
            }
        }
        Some(found.value)
    }

    pub(super) fn wrong_keys(self, span: Span, message: impl Into<String>, label: &str) {
        let wrong = Diagnostic::error(codes::SHAPE, message).label(label);
        self.at.report(span, wrong);
    }
}

/// Labels as written.
pub(super) fn labels(entries: Entries<String>) -> Labels {
    let found = entries.0.into_iter().filter_map(|(key, value)| {
        let (key, value) = (key.found()?, value.found()?);
        Some((key.value, value.value))
    });
    found.collect()
}

pub(super) fn wanted<T>(found: Found<T>) -> Wanted<T> {
    Wanted { value: found.value, span: found.span }
}
