//! Rules and checks.

use std::collections::BTreeMap;

use croner::Cron;
use croner::parser::CronParser;
use croner::parser::Year;
use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::probe;
use super::text;
use super::text::Names;
use super::text::place;
use crate::library::codes;
use crate::library::diagnostic::At;
use crate::library::diagnostic::Diagnostic;
use crate::library::diagnostic::Span;
use crate::library::field::Entries;
use crate::library::field::Field;
use crate::library::field::Found;
use crate::library::raw::List;
use crate::library::raw::MatcherText;
use crate::library::raw::ScheduleText;
use crate::library::raw::rule::RawCheck;
use crate::library::raw::rule::RawRemedy;
use crate::library::raw::rule::RawRule;
use crate::library::raw::rule::RawRuleLimits;
use crate::library::raw::rule::RawUnknown;
use crate::library::suggest::short;
use crate::model::labels::Labels;
use crate::model::matcher;
use crate::model::matcher::Matcher;
use crate::model::playbook::Mode;
use crate::model::playbook::Rate;
use crate::model::rule::Check;
use crate::model::rule::Remedy;
use crate::model::rule::Rule;
use crate::model::rule::RuleLimits;
use crate::model::rule::Set;

const NAMES: Names<'static> = Names { variables: &["labels", "annotations"], steps: None };

/// A rule, and what is checked when all files are read.
#[derive(Debug)]
pub(crate) struct BuiltRule {
    pub(crate) rule: Box<Rule>,
    pub(crate) file: String,
    pub(crate) name_span: Span,
    pub(crate) remedies: Vec<BuiltRemedy>,
    pub(crate) cooldown_span: Span,
    pub(crate) rate_span: Span,
    /// Whether its matchers and `when` could be read.
    pub(crate) selects: bool,
}

/// A remedy whose playbook is not looked up yet.
#[derive(Debug)]
pub(crate) struct BuiltRemedy {
    pub(crate) remedy: Remedy,
    pub(crate) playbook_span: Span,
    pub(crate) with: Vec<(Found<String>, Found<serde_json::Value>)>,
}

/// One rule. `None` when not even its name can be read.
pub(crate) fn rule(at: At<'_>, found: Found<RawRule>) -> Option<BuiltRule> {
    let Found { value: raw, span, .. } = found;
    let before = at.sink.errors();
    let name = raw.name.need(at, span, "a rule", "name").and_then(|name| text::name(at, name));
    let near = name.as_ref().map_or(span, |name| name.span);
    let matchers = raw.matchers.need(at, near, "a rule", "match");
    let matchers = matchers.map(|it| all_matchers(at, it.value)).unwrap_or_default();
    let when = raw.when.and_then(Field::found).map(|it| text::condition(at, it, NAMES));
    let selects = at.sink.errors() == before;

    let target = raw.target.need(at, near, "a rule", "target");
    let target = target.map(|it| text::template(at, it, NAMES)).unwrap_or_default();
    let remedies: Vec<BuiltRemedy> = raw
        .response
        .and_then(Field::found)
        .map(|it| it.value)
        .unwrap_or_default()
        .into_iter()
        .filter_map(Field::found)
        .filter_map(|it| remedy(at, it))
        .collect();
    let verify = raw.verify.and_then(Field::found);
    let verify = verify.and_then(|it| probe::verification(at, it, NAMES));
    let (limits, cooldown_span, rate_span) =
        raw.limits.and_then(Field::found).map(|it| limits(at, it.value)).unwrap_or_default();
    let mode = raw.mode.and_then(Field::found);
    // `escalate` is the only word, and what happens anyway.
    drop(raw.on_failure);
    let name = name?;
    let rule = Rule {
        name: name.value,
        description: raw.description.and_then(Field::found).map(|it| it.value).unwrap_or_default(),
        matchers,
        when,
        group_by: raw
            .group_by
            .and_then(Field::found)
            .map(|it| labels_named(at, it.value))
            .unwrap_or_default(),
        target,
        response: Vec::new(),
        verify,
        limits,
        mode: mode.map_or_else(
            || Set::default_of(Mode::Auto),
            |mode| Set { value: mode.value, place: place(at, mode.span) },
        ),
        go_on: raw.go_on.and_then(Field::found).is_some_and(|it| it.value),
        place: place(at, name.span),
    };
    let file = at.file.to_owned();
    Some(BuiltRule {
        rule: Box::new(rule),
        file,
        name_span: name.span,
        remedies,
        cooldown_span,
        rate_span,
        selects,
    })
}

fn all_matchers(at: At<'_>, raw: List<MatcherText>) -> Vec<Matcher> {
    let mut matchers = Vec::new();
    for item in raw.into_iter().filter_map(Field::found) {
        let text = item.value.0.as_str();
        match matcher::parse_many(text, matcher::Grammar::Fallback) {
            Ok(read) => matchers.extend(read),
            Err(error) => {
                let mut found = Diagnostic::error(codes::MATCHER, error.message);
                if text.matches('"').count() % 2 == 1 {
                    found = found.note(
                        "a comma ends the item of a list, even between double quotes: put the matcher in single quotes",
                    );
                }
                at.report(at.inside(item.span, &item.written, Some(error.at)), found);
            }
        }
    }
    matchers
}

fn labels_named(at: At<'_>, raw: List<String>) -> Vec<String> {
    let found = raw.into_iter().filter_map(Field::found);
    found.filter_map(|it| text::name(at, it)).map(|it| it.value).collect()
}

fn remedy(at: At<'_>, found: Found<RawRemedy>) -> Option<BuiltRemedy> {
    let Found { value: raw, span, .. } = found;
    let mut with = Vec::new();
    for (key, value) in raw.with.and_then(Field::found).map(|it| it.value.0).unwrap_or_default() {
        let (Some(key), Some(value)) = (key.found(), value.found()) else { continue };
        if let serde_json::Value::String(text) = &value.value {
            text::check_template(at, value.span, &value.written, text, NAMES);
        }
        with.push((key, value));
    }
    let mode = raw.mode.and_then(Field::found);
    let tier = raw.tier.and_then(Field::found);
    let tier = text::tier(at, tier.as_ref());
    let playbook = raw.playbook.need(at, span, "a remedy", "playbook")?;
    let remedy = Remedy {
        playbook: playbook.value,
        with: BTreeMap::new(),
        mode: mode.map(|mode| Set { value: mode.value, place: place(at, mode.span) }),
        tier,
        place: place(at, playbook.span),
    };
    Some(BuiltRemedy { remedy, playbook_span: playbook.span, with })
}

fn limits(at: At<'_>, raw: RawRuleLimits) -> (RuleLimits, Span, Span) {
    let set = |found: Option<Field<_>>| {
        let found = found.and_then(Field::found)?;
        let value = text::duration(at, &found)?;
        Some((Set { value, place: place(at, found.span) }, found.span))
    };
    let settle = set(raw.settle).map(|(settle, _)| settle);
    let (cooldown, cooldown_span) = set(raw.cooldown).unzip();
    let rate = raw.rate.and_then(Field::found);
    let rate_span = rate.as_ref().map(|rate| rate.span).unwrap_or_default();
    let rate = rate.and_then(|found| {
        let value: Rate = text::rate(at, &found)?;
        Some(Set { value, place: place(at, found.span) })
    });
    (RuleLimits { settle, cooldown, rate }, cooldown_span.unwrap_or_default(), rate_span)
}

/// A check and the place of its name.
pub(crate) fn check(at: At<'_>, found: Found<RawCheck>) -> Option<(Check, Span)> {
    let Found { value: raw, span, .. } = found;
    let name = raw.name.need(at, span, "a check", "name").and_then(|name| text::name(at, name));
    let near = name.as_ref().map_or(span, |name| name.span);
    let timezone = raw.timezone.and_then(Field::found);
    if let Some(zone) = &timezone
        && TimeZone::get(&zone.value).is_err()
    {
        let message = format!("unknown time zone `{}`", short(&zone.value));
        let label = "expected an IANA name such as Europe/Berlin";
        at.report(zone.span, Diagnostic::error(codes::TIMEZONE, message).label(label));
    }
    let cron = raw.cron.need(at, near, "a check", "cron");
    if let Some(cron) = &cron {
        schedule(at, cron);
    }
    let probe = raw.probe.need(at, near, "a check", "probe");
    let probe =
        probe.and_then(|it| probe::probe(at, "the probe", it.span, it.value, Names::of(&[])));
    let consecutive = raw.consecutive.and_then(Field::found);
    let unknown = raw.unknown.and_then(Field::found).map_or(RawUnknown::Alert, |it| it.value);
    let labels = labels(at, raw.labels);
    let annotations = labels_of(raw.annotations);
    let name = name?;
    let check = Check {
        name: name.value,
        cron: cron?.value.0,
        timezone: timezone.map_or_else(|| "UTC".to_owned(), |zone| zone.value),
        probe: probe?,
        consecutive: consecutive.map_or(1, |it| text::positive(at, &it)),
        unknown_alerts: unknown == RawUnknown::Alert,
        labels,
        annotations,
        place: place(at, name.span),
    };
    Some((check, name.span))
}

/// Reports a schedule that cannot be read, or that never comes.
fn schedule(at: At<'_>, cron: &Found<ScheduleText>) {
    if let Err(reason) = read_schedule(&cron.value.0) {
        at.report(cron.span, Diagnostic::error(codes::CRON, reason));
    }
}

fn read_schedule(text: &str) -> Result<Cron, String> {
    let fields = text.split_whitespace().count();
    if !text.trim_start().starts_with('@') && !(5..=6).contains(&fields) {
        return Err(format!("expected five fields, or six with seconds first, got {fields}"));
    }
    let parser = CronParser::builder().year(Year::Disallowed).build();
    let cron = parser.parse(text).map_err(|error| {
        let reason = error.to_string();
        let reason = reason.trim_end_matches('.');
        let reason = reason.rsplit_once(": ").map_or(reason, |(_, reason)| reason);
        format!("`{}` is not a schedule: {}", short(text), lowercase_first(reason))
    })?;
    // Any instant will do: a schedule without a year comes in every span of eight years, or never.
    let start = Timestamp::UNIX_EPOCH.to_zoned(TimeZone::UTC);
    cron.find_next_occurrence(&start, false)
        .map_err(|_| format!("`{}` never comes: no date is like that", short(text)))?;
    Ok(cron)
}

fn lowercase_first(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_lowercase().chain(chars).collect())
}

fn labels(at: At<'_>, entries: Option<Field<Entries<String>>>) -> Labels {
    if let Some(entries) = entries.as_ref().and_then(Field::get) {
        for (key, _) in &entries.0 {
            if key.get().is_some_and(String::is_empty) {
                let message = "a label without a name";
                at.report(key.span(), Diagnostic::error(codes::VALUE, message));
            }
        }
    }
    labels_of(entries)
}

fn labels_of(entries: Option<Field<Entries<String>>>) -> Labels {
    let entries = entries.and_then(Field::found).map(|it| it.value.0).unwrap_or_default();
    let pairs = entries.into_iter();
    pairs.filter_map(|(key, value)| Some((key.found()?.value, value.found()?.value))).collect()
}
