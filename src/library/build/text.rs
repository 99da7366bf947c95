//! Small texts that mean something: durations, rates, templates, conditions, patterns.

use std::time::Duration;

use crate::decide::condition;
use crate::decide::parameters::is_template;
use crate::decide::render;
use crate::library::codes;
use crate::library::diagnostic::At;
use crate::library::diagnostic::Diagnostic;
use crate::library::diagnostic::Span;
use crate::library::field::Field;
use crate::library::field::Found;
use crate::library::raw::ConditionText;
use crate::library::raw::DurationText;
use crate::library::raw::List;
use crate::library::raw::ListText;
use crate::library::raw::Opt;
use crate::library::raw::PercentText;
use crate::library::raw::RateText;
use crate::library::raw::SignedText;
use crate::library::raw::SpanText;
use crate::library::raw::TemplateText;
use crate::library::raw::WholeText;
use crate::library::suggest::did_you_mean;
use crate::library::suggest::short;
use crate::model::action::Span as TimeSpan;
use crate::model::action::Whole;
use crate::model::playbook::Rate;
use crate::model::rule::Place;
use crate::model::time::parse_duration;

/// What a template or a condition may name.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Names<'a> {
    /// First words: `labels`.
    pub(crate) variables: &'a [&'a str],
    /// Names of the steps whose output is known, in a playbook.
    pub(crate) steps: Option<&'a [String]>,
    /// Parameters that are secrets.
    pub(crate) secrets: &'a [String],
}

impl<'a> Names<'a> {
    /// Outside a playbook.
    pub(crate) fn of(variables: &'a [&'a str]) -> Self {
        Self { variables, steps: None, secrets: &[] }
    }
}

/// Where a value was written, for refusals to name.
pub(crate) fn place(at: At<'_>, span: Span) -> Place {
    Place { file: at.file.to_owned(), line: span.line }
}

/// `5m`
pub(crate) fn duration(at: At<'_>, found: &Found<DurationText>) -> Option<Duration> {
    parse_duration(&found.value.0)
        .map_err(|reason| at.report(found.span, Diagnostic::error(codes::DURATION, reason)))
        .ok()
}

/// `5m`, or a default when the key is absent or wrong.
pub(crate) fn duration_or(
    at: At<'_>,
    found: Option<Found<DurationText>>,
    default: Duration,
) -> Duration {
    found.and_then(|found| duration(at, &found)).unwrap_or(default)
}

/// `3 per 1h`
pub(crate) fn rate(at: At<'_>, found: &Found<RateText>) -> Option<Rate> {
    let wrong = |reason: String| {
        at.report(found.span, Diagnostic::error(codes::RATE, reason));
        None
    };
    let text = found.value.0.trim();
    let Some((count, per)) = text.split_once(" per ") else {
        return wrong(format!("`{}` is not a rate; write one like 3 per 1h", short(text)));
    };
    let Ok(count) = count.trim().parse::<u32>() else {
        return wrong(format!("`{}` is not a count; write a rate like 3 per 1h", short(count)));
    };
    match parse_duration(per.trim()) {
        Ok(per) if per.is_zero() => wrong("a rate needs a span of time above zero".to_owned()),
        Ok(per) => Some(Rate { count, per }),
        Err(reason) => wrong(reason),
    }
}

/// `3 per 1d`, of something that must have happened at least once.
pub(crate) fn rate_of_one(at: At<'_>, found: &Found<RateText>) -> Option<Rate> {
    let rate = rate(at, found)?;
    if rate.count == 0 {
        let message = "expected at least 1: nothing can be said of what never happened";
        at.report(found.span, Diagnostic::error(codes::RATE, message));
    }
    Some(rate)
}

/// Text that may hold templates over `variables`.
pub(crate) fn template(at: At<'_>, found: Found<TemplateText>, names: Names<'_>) -> String {
    check_template(at, found.span, &found.written, &found.value.0, names);
    found.value.0
}

/// The same, of each of a list.
pub(crate) fn templates(at: At<'_>, list: List<TemplateText>, names: Names<'_>) -> Vec<String> {
    list.into_iter().filter_map(Field::found).map(|it| template(at, it, names)).collect()
}

/// A whole number that is not negative, or a template.
pub(crate) fn whole(at: At<'_>, field: Opt<WholeText>, names: Names<'_>) -> Option<Whole> {
    let found = field.and_then(Field::found)?;
    let (span, number) = (found.span, Whole(found.value.0.trim().to_owned()));
    if !is_template(&number.0)
        && let Err(reason) = number.read()
    {
        at.report(span, Diagnostic::error(codes::VALUE, reason));
    }
    template(at, found.map(|it| TemplateText(it.0)), names);
    Some(number)
}

/// The same with a default, and never zero.
pub(crate) fn most(at: At<'_>, field: Opt<WholeText>, names: Names<'_>, default: u32) -> Whole {
    let span = field.as_ref().map(Field::span);
    let number = whole(at, field, names).unwrap_or_else(|| Whole::from(default));
    if let (Some(span), Ok(0)) = (span, number.read()) {
        let message = "expected a number above zero, got 0";
        at.report(span, Diagnostic::error(codes::VALUE, message));
    }
    number
}

/// A whole number with its sign: `2`, `-1`, `+1`.
pub(crate) fn signed(at: At<'_>, field: Opt<SignedText>) -> Option<i32> {
    let found = field.and_then(Field::found)?;
    let text = found.value.0.trim();
    let number = text.parse::<i32>().ok().filter(|number| *number != 0);
    if number.is_none() {
        let message = format!("expected a whole number such as 2 or -1, got `{}`", short(text));
        at.report(found.span, Diagnostic::error(codes::VALUE, message));
    }
    number
}

/// A span of time, or a template.
pub(crate) fn span(at: At<'_>, field: Opt<SpanText>, names: Names<'_>) -> Option<TimeSpan> {
    let found = field.and_then(Field::found)?;
    let time = TimeSpan(found.value.0.trim().to_owned());
    if !is_template(&time.0)
        && let Err(reason) = time.read()
    {
        at.report(found.span, Diagnostic::error(codes::DURATION, reason));
    }
    template(at, found.map(|it| TemplateText(it.0)), names);
    Some(time)
}

/// Reports a template that does not parse, or names something unknown or a secret.
pub(crate) fn check_template(at: At<'_>, span: Span, written: &str, text: &str, names: Names<'_>) {
    if let Some(paths) = references(at, span, written, text, names) {
        no_secret(at, span, &paths, names);
    }
}

/// What a template reads, if it parses and names nothing unknown.
pub(crate) fn references(
    at: At<'_>,
    span: Span,
    written: &str,
    text: &str,
    names: Names<'_>,
) -> Option<Vec<String>> {
    let key = format!("template {:?} {text}", names.variables);
    let checked = at.sink.once(key, || render::check(text, names.variables));
    if let Err((reason, offset)) = checked {
        let found = Diagnostic::error(codes::TEMPLATE, reason).label(in_brackets(text, names));
        at.report(at.inside(span, written, offset), found);
        return None;
    }
    let paths = render::references(text).unwrap_or_default();
    steps_before(at, span, &paths, names, codes::TEMPLATE);
    Some(paths)
}

/// What to write where the name of a step is no single word: `steps.my-step` takes `step` away from `steps.my`.
fn in_brackets(text: &str, names: Names<'_>) -> String {
    let word = |name: &&String| name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    let mut odd = names.steps.unwrap_or_default().iter().filter(|name| !word(name));
    odd.find(|name| text.contains(&format!("steps.{name}")))
        .map_or_else(String::new, |name| format!("write `steps[\"{name}\"]`"))
}

/// Reports what reads a step that does not come before.
fn steps_before(at: At<'_>, span: Span, paths: &[String], names: Names<'_>, code: &'static str) {
    let Some(steps) = names.steps else { return };
    for path in paths {
        let Some(path) = path.strip_prefix("steps.") else { continue };
        let is_step = |name: &&String| {
            path.strip_prefix(name.as_str()).is_some_and(|it| it.is_empty() || it.starts_with('.'))
        };
        if !steps.iter().any(|name| is_step(&name)) {
            let name = path.split('.').next().unwrap_or_default();
            let message = format!("no step `{}` comes before this one", short(name));
            let label = did_you_mean(name, steps.iter().map(String::as_str));
            at.report(span, Diagnostic::error(code, message).label(label));
        }
    }
}

/// Reports a secret where its value could be seen.
pub(crate) fn no_secret(at: At<'_>, span: Span, paths: &[String], names: Names<'_>) {
    let named = paths.iter().filter_map(|path| path.split('.').next());
    for name in named.filter(|name| names.secrets.iter().any(|secret| secret == name)) {
        let message = format!("the secret `{name}` cannot stand here");
        let label = "only in `env` of a command, and in `headers`, `body` and `json` of `http`";
        at.report(span, Diagnostic::error(codes::SECRET_PLACE, message).label(label));
    }
}

/// CEL over `variables`.
pub(crate) fn condition(at: At<'_>, found: Found<ConditionText>, names: Names<'_>) -> String {
    expression(at, found.map(|it| it.0), names, "condition", condition::check)
}

/// CEL that gives a list, over `variables`.
pub(crate) fn list(at: At<'_>, found: Found<ListText>, names: Names<'_>) -> String {
    expression(at, found.map(|it| it.0), names, "list", condition::check_list)
}

/// What is wrong, and where.
type Wrong = (String, Option<usize>);

fn expression(
    at: At<'_>,
    found: Found<String>,
    names: Names<'_>,
    kind: &str,
    check: fn(&str, &[&str]) -> Result<(), Wrong>,
) -> String {
    let key = format!("{kind} {:?} {}", names.variables, found.value);
    match at.sink.once(key, || check(&found.value, names.variables)) {
        Ok(()) => {
            let paths = condition::names(&found.value);
            steps_before(at, found.span, &paths, names, codes::CONDITION);
            no_secret(at, found.span, &paths, names);
        }
        Err((reason, offset)) => {
            let span = at.inside(found.span, &found.written, offset);
            let label = in_brackets(&found.value, names);
            at.report(span, Diagnostic::error(codes::CONDITION, reason).label(label));
        }
    }
    found.value
}

/// A name that people choose: not empty, on one line.
pub(crate) fn name(at: At<'_>, found: Found<String>) -> Option<Found<String>> {
    let text = found.value.trim();
    if text.is_empty() || text.chars().any(char::is_control) || text.chars().count() > 200 {
        let message = "a name has 1 to 200 characters on one line";
        at.report(found.span, Diagnostic::error(codes::VALUE, message));
        return None;
    }
    Some(found)
}

/// 1 to 4.
pub(crate) fn tier(at: At<'_>, found: Option<&Found<u8>>) -> Option<u8> {
    let found = found?;
    if !(1..=4).contains(&found.value) {
        let message = format!("expected a tier from 1 to 4, got {}", found.value);
        at.report(found.span, Diagnostic::error(codes::VALUE, message));
    }
    Some(found.value)
}

/// 1 to 5.
pub(crate) fn approvals(at: At<'_>, found: Option<&Found<u8>>) -> Option<u8> {
    let found = found?;
    if !(1..=5).contains(&found.value) {
        let message = format!("expected 1 to 5 people who approve, got {}", found.value);
        at.report(found.span, Diagnostic::error(codes::VALUE, message));
    }
    Some(found.value)
}

/// `40%`, from 0 to 100.
pub(crate) fn percent(at: At<'_>, found: &Found<PercentText>) -> Option<u8> {
    let text = found.value.0.trim();
    let digits = text.strip_suffix('%').filter(|it| it.bytes().all(|c| c.is_ascii_digit()));
    let part = digits.and_then(|it| it.parse().ok()).filter(|part| *part <= 100);
    if part.is_none() {
        let message = format!("`{}` is not a part; write one from 0% to 100%", short(text));
        at.report(found.span, Diagnostic::error(codes::VALUE, message));
    }
    part
}

/// A count that is not zero.
pub(crate) fn positive(at: At<'_>, found: &Found<u32>) -> u32 {
    if found.value == 0 {
        let message = "expected a number above zero, got 0";
        at.report(found.span, Diagnostic::error(codes::VALUE, message));
    }
    found.value
}
