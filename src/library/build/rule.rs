//! Rules, checks and schedules.

use std::collections::BTreeMap;
use std::time::Duration;

use super::each;
use super::probe;
use super::schedule;
use super::text;
use super::text::Names;
use super::text::place;
use super::updates::updates;
use crate::library::codes;
use crate::library::diagnostic::At;
use crate::library::diagnostic::Diagnostic;
use crate::library::diagnostic::Span;
use crate::library::field::Entries;
use crate::library::field::Field;
use crate::library::field::Found;
use crate::library::raw::List;
use crate::library::raw::MatcherText;
use crate::library::raw::Opt;
use crate::library::raw::TemplateText;
use crate::library::raw::playbook::RawItems;
use crate::library::raw::rule::RawBlast;
use crate::library::raw::rule::RawCheck;
use crate::library::raw::rule::RawPage;
use crate::library::raw::rule::RawPopulation;
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
use crate::model::rule::Blast;
use crate::model::rule::Check;
use crate::model::rule::Members;
use crate::model::rule::Population;
use crate::model::rule::Remedy;
use crate::model::rule::Rule;
use crate::model::rule::RuleLimits;
use crate::model::rule::SCHEDULE;
use crate::model::rule::Set;
use crate::model::rule::is_schedule;

pub(crate) const NAMES: Names<'static> =
    Names { variables: &["labels", "annotations"], steps: None, secrets: &[] };

/// A rule, and what is checked when all files are read.
#[derive(Debug)]
pub(crate) struct BuiltRule {
    pub(crate) rule: Box<Rule>,
    pub(crate) file: String,
    pub(crate) name_span: Span,
    pub(crate) remedies: Vec<BuiltRemedy>,
    pub(crate) cooldown_span: Span,
    pub(crate) rate_span: Span,
    pub(crate) page_span: Span,
    /// Channels of its updates.
    pub(crate) told: Vec<Found<String>>,
    /// Whether its matchers and `when` could be read.
    pub(crate) selects: bool,
}

/// The values that a remedy or a schedule gives to parameters, with their places.
pub(crate) type With = Vec<(Found<String>, Found<serde_json::Value>)>;

/// A remedy whose playbook is not looked up yet.
#[derive(Debug)]
pub(crate) struct BuiltRemedy {
    pub(crate) remedy: Remedy,
    pub(crate) playbook_span: Span,
    pub(crate) with: With,
}

/// One rule. `None` when not even its name can be read.
pub(crate) fn rule(at: At<'_>, found: Found<RawRule>) -> Option<BuiltRule> {
    let Found { value: raw, span, .. } = found;
    let before = at.sink.errors();
    let name = raw.name.need(at, span, "a rule", "name").and_then(|name| text::name(at, name));
    if let Some(name) = name.as_ref().filter(|name| is_schedule(&name.value)) {
        let message = format!("the name of a rule cannot begin with `{SCHEDULE}`");
        let label = "schedules are known by such names";
        at.report(name.span, Diagnostic::error(codes::VALUE, message).label(label));
    }
    let near = name.as_ref().map_or(span, |name| name.span);
    let matchers = raw.matchers.need(at, near, "a rule", "match");
    let matchers = matchers.map(|it| all_matchers(at, it.value)).unwrap_or_default();
    let when = raw.when.and_then(Field::found).map(|it| text::condition(at, it, NAMES));
    let selects = at.sink.errors() == before;

    let target = raw.target.need(at, near, "a rule", "target");
    let target = target.map(|it| text::template(at, it, NAMES)).unwrap_or_default();
    let raw_remedies = raw.response.and_then(Field::found).map(|it| it.value).unwrap_or_default();
    // `collect` would keep what was allocated for the raw ones, and those are larger
    let mut remedies = Vec::with_capacity(raw_remedies.len());
    remedies
        .extend(raw_remedies.into_iter().filter_map(Field::found).filter_map(|it| remedy(at, it)));
    let verify = raw.verify.and_then(Field::found);
    let verify = verify.and_then(|it| probe::verification(at, it, NAMES));
    let (limits, cooldown_span, rate_span) =
        raw.limits.and_then(Field::found).map(|it| limits(at, it.value)).unwrap_or_default();
    let population = population(at, raw.population, &limits, near);
    let redundancy_group =
        raw.redundancy_group.and_then(Field::found).map(|it| text::template(at, it, NAMES));
    let mode = raw.mode.and_then(Field::found);
    let page = raw.page.and_then(Field::found).and_then(|it| page(at, it));
    let updates = raw.updates.and_then(Field::found).and_then(|it| updates(at, it));
    let (updates, told) = updates.unzip();
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
        population,
        redundancy_group,
        page: page.as_ref().map(|(page, _)| page.clone()),
        updates,
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
        page_span: page.map(|(_, span)| span).unwrap_or_default(),
        told: told.unwrap_or_default(),
        selects,
    })
}

/// The longest that a page may be held: beyond it, somebody should have looked.
const LONGEST_HOLD: Duration = Duration::from_hours(1);

fn page(at: At<'_>, found: Found<RawPage>) -> Option<(Set<Duration>, Span)> {
    let within = found.value.unless_fixed_within;
    let within = within.need(at, found.span, "`page`", "unless_fixed_within")?;
    let value = text::duration(at, &within)?;
    if value.is_zero() || value > LONGEST_HOLD {
        let message = "a page is held for more than 0s and at most 1h";
        at.report(within.span, Diagnostic::error(codes::VALUE, message));
    }
    Some((Set { value, place: place(at, within.span) }, within.span))
}

pub(crate) fn all_matchers(at: At<'_>, raw: List<MatcherText>) -> Vec<Matcher> {
    let mut matchers = Vec::with_capacity(raw.len());
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
    let with = with(at, raw.with);
    let mode = raw.mode.and_then(Field::found);
    let tier = raw.tier.and_then(Field::found);
    let tier = text::tier(at, tier.as_ref());
    let approvals = raw.approvals.and_then(Field::found);
    let approvals = text::approvals(at, approvals.as_ref());
    let playbook = raw.playbook.need(at, span, "a remedy", "playbook")?;
    let remedy = Remedy {
        playbook: playbook.value,
        with: BTreeMap::new(),
        mode: mode.map(|mode| Set { value: mode.value, place: place(at, mode.span) }),
        tier,
        approvals,
        place: place(at, playbook.span),
    };
    Some(BuiltRemedy { remedy, playbook_span: playbook.span, with })
}

/// `with:`; templates are checked, values when the playbook is known.
pub(crate) fn with(at: At<'_>, raw: Opt<Entries<serde_json::Value>>) -> With {
    let entries = raw.and_then(Field::found).map(|it| it.value.0).unwrap_or_default();
    let mut with = Vec::with_capacity(entries.len());
    for (key, value) in entries {
        let (Some(key), Some(value)) = (key.found(), value.found()) else { continue };
        if let serde_json::Value::String(text) = &value.value {
            text::check_template(at, value.span, &value.written, text, NAMES);
        }
        with.push((key, value));
    }
    with
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
    let percent = |found: Field<_>| {
        let found = found.found()?;
        let value = text::percent(at, &found)?;
        Some(Set { value, place: place(at, found.span) })
    };
    let ineffective = raw.ineffective.and_then(Field::found).and_then(|found| {
        let value: Rate = text::rate(at, &found)?;
        Some(Set { value, place: place(at, found.span) })
    });
    let demote_after = raw.demote_after.and_then(Field::found).and_then(|found| {
        let value: Rate = text::rate_of_one(at, &found)?;
        Some(Set { value, place: place(at, found.span) })
    });
    let min_available = raw.min_available.and_then(Field::found).map(|found| {
        let value = text::positive(at, &found);
        Set { value, place: place(at, found.span) }
    });
    let limits = RuleLimits {
        settle,
        cooldown,
        rate,
        max_unhealthy: raw.max_unhealthy.and_then(percent),
        blast: raw.blast.and_then(Field::found).and_then(|it| blast(at, it)),
        min_available,
        ineffective,
        demote_after,
        quiet: set(raw.quiet).map(|(quiet, _)| quiet),
    };
    (limits, cooldown_span.unwrap_or_default(), rate_span)
}

const BLAST_WITHIN: Duration = Duration::from_hours(1);

fn blast(at: At<'_>, found: Found<RawBlast>) -> Option<Set<Blast>> {
    let Found { value: raw, span, .. } = found;
    let max = raw.max.need(at, span, "`blast`", "max")?;
    let within = text::duration_or(at, raw.within.and_then(Field::found), BLAST_WITHIN);
    let Some(share) = each::share(&max.value.0) else {
        let message = format!("`{}` is neither a count nor a part", short(&max.value.0));
        let label = "write a number above zero, or a part from 1% to 100%";
        at.report(max.span, Diagnostic::error(codes::VALUE, message).label(label));
        return None;
    };
    Some(Set { value: Blast { max: share, within }, place: place(at, max.span) })
}

/// The group that targets belong to; limits that are parts of it need one.
fn population(
    at: At<'_>,
    raw: Opt<RawPopulation>,
    limits: &RuleLimits,
    near: Span,
) -> Option<Population> {
    let Some(found) = raw.and_then(Field::found) else {
        let needs = [
            ("max_unhealthy", limits.max_unhealthy.is_some()),
            ("blast", limits.blast.is_some()),
            ("min_available", limits.min_available.is_some()),
        ];
        if let Some((key, _)) = needs.iter().find(|(_, there)| *there) {
            let message = format!("`{key}` is a part of a population, and the rule names none");
            let label = "expected `population: { of: … }` beside `limits`";
            at.report(near, Diagnostic::error(codes::VALUE, message).label(label));
        }
        return None;
    };
    let Found { value: raw, span, .. } = found;
    let unhealthy = raw.unhealthy.and_then(Field::found).map(|it| text::template(at, it, NAMES));
    let of = raw.of.need(at, span, "`population`", "of")?;
    let here = place(at, of.span);
    let members = match of.value {
        RawItems::Expression(text) => {
            let query = Found { value: TemplateText(text.0), span: of.span, written: of.written };
            Members::Promql(text::template(at, query, NAMES))
        }
        RawItems::List(list) => {
            let mut names: Vec<String> = Vec::new();
            for item in list.into_iter().filter_map(Field::found) {
                if names.contains(&item.value.0) {
                    let message = format!("member `{}` is in the list twice", short(&item.value.0));
                    at.report(item.span, Diagnostic::error(codes::VALUE, message));
                }
                names.push(item.value.0);
            }
            if names.is_empty() {
                let message = "an empty population: nothing could ever be acted on";
                at.report(of.span, Diagnostic::error(codes::VALUE, message));
            }
            Members::Listed(names)
        }
    };
    Some(Population { of: members, unhealthy, place: here })
}

/// A check and the place of its name.
pub(crate) fn check(at: At<'_>, found: Found<RawCheck>) -> Option<(Check, Span)> {
    let Found { value: raw, span, .. } = found;
    let name = raw.name.need(at, span, "a check", "name").and_then(|name| text::name(at, name));
    let near = name.as_ref().map_or(span, |name| name.span);
    let timezone = schedule::timezone(at, raw.timezone);
    let cron = raw.cron.need(at, near, "a check", "cron");
    if let Some(cron) = &cron {
        schedule::cron(at, cron);
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
        timezone,
        probe: probe?,
        consecutive: consecutive.map_or(1, |it| text::positive(at, &it)),
        unknown_alerts: unknown == RawUnknown::Alert,
        labels,
        annotations,
        place: place(at, name.span),
    };
    Some((check, name.span))
}

pub(crate) fn labels(at: At<'_>, entries: Option<Field<Entries<String>>>) -> Labels {
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
